//! Listening: frames of sound in, utterances out. Decides when somebody began to speak and when they have ended.
//!
//! New speech begins a new turn, and silences the reply under way where the flow allows interruptions. While the speaker
//! merely pauses, the utterance so far goes out as a guess, so that transcription runs during the very silence that has
//! to be waited for; a guess that turns out too short is withdrawn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use nearfield_speech::audio::SampleRate;
use nearfield_speech::vad::{Endpointer, SamplePosition, SpeechEvent};

use crate::flow::{Emit, Guesses, Stage, Turn, Turns};
use crate::messages::{Envelope, Frame, Order, Utterance};
use crate::voice::interjection::{Hold, Interjection};
use crate::voice::notes::Note;
use crate::voice::turn_end::TurnEnd;
use crate::voice::wake::{Attending, Attention};

/// What happens when somebody speaks while a reply is under way.
pub enum TurnTaking {
    /// The reply falls silent: somebody speaks to a machine that can tell them from itself.
    Interrupt,
    /// The reply is held while somebody speaks, and falls silent once it is known that they want something; after a cough or an "mhm" it
    /// goes on. Needs a [`TurnEnd`] that gets the words.
    Weigh(Resume),
    /// Nothing is heard while the loudspeaker is on, which the microphone would take for somebody. What was begun before it fell silent is
    /// half a question, and is not answered: "(Is) the front door locked" must not lock it.
    DeafWhile(Arc<AtomicBool>),
    /// Nobody speaks before the answer is over: a recording can wait. The channel tells which turns are over.
    Wait(Receiver<Turn>),
}

/// What it takes to hold a reply and let it go on.
pub struct Resume {
    hold: Hold,
    /// Turns that are over.
    over: Receiver<Turn>,
    /// The turn that was asked last, while its reply is under way.
    asked: Option<Turn>,
    /// The sample at which the speech began that holds the reply, and how many samples of it there were at its last pause.
    since: Option<u64>,
    spoken: u64,
    /// The sample up to which somebody has asked the reply to wait.
    waits_until: Option<u64>,
    /// The sample from which the loudspeaker may be heard again: what it had queued of a silenced reply is gone by then.
    release_at: Option<u64>,
}

impl Resume {
    /// `over` tells the turns that are over.
    pub fn new(hold: Hold, over: Receiver<Turn>) -> Self {
        Self { hold, over, asked: None, since: None, spoken: 0, waits_until: None, release_at: None }
    }

    fn release(&mut self) {
        (self.since, self.waits_until, self.release_at) = (None, None, None);
        self.hold.release();
    }
}

/// Speech of which longer is known to want something, whatever its words.
const LONGEST_INTERJECTION: Duration = Duration::from_millis(900);

/// A recognizer that takes longer for a few words is not waited for: what was said then ends the reply.
const LONGEST_JUDGEMENT_MS: u32 = 6_000;

/// Within this a loudspeaker has thrown away what it had queued of a silenced reply.
const SILENCED_WITHIN: Duration = Duration::from_millis(100);

/// About so much has been said when speech is noticed.
const LEAST_SPEECH: Duration = Duration::from_millis(100);

/// Speech that begins so soon after the loudspeaker has fallen silent began before.
const NO_BEGINNING: Duration = Duration::from_millis(60);

/// How long a reply waits that was asked to.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Finds utterances in a stream of frames.
pub struct Listen {
    endpointer: Endpointer,
    turns: Turns,
    guesses: Guesses,
    turn_taking: TurnTaking,
    /// How long a pause has to be to end a turn; without it, as the endpointer's options say.
    turn_end: Option<TurnEnd>,
    /// What has to be said before anything is listened to; without it, everything is.
    attention: Option<Attention>,
    /// Where it is told that somebody speaks.
    notes: Option<Sender<Note>>,
    /// Nothing has been heard since the loudspeaker was on, and then: the speech under way has no beginning.
    was_deaf: bool,
    is_half: bool,
    /// A word has interrupted the loudspeaker, which has not fallen silent yet.
    interrupts: bool,
    /// The turn of the speech under way.
    turn: Option<Turn>,
    /// The guess of the pause under way.
    guess: Option<Turn>,
    /// The sample, as the endpointer counts, at which the speech under way began.
    began: u64,
    /// Samples taken in all.
    clock: u64,
    /// Samples taken since the endpointer began, and when the last of them was captured.
    position: u64,
    captured: Instant,
    /// Whether the last frame held samples that are no numbers.
    is_broken: bool,
}

impl Listen {
    /// A listener that begins `turns`, and numbers its guesses by `guesses`.
    pub fn new(endpointer: Endpointer, turns: Turns, guesses: Guesses, turn_taking: TurnTaking) -> Self {
        Self {
            endpointer,
            turns,
            guesses,
            turn_taking,
            turn_end: None,
            attention: None,
            notes: None,
            was_deaf: false,
            is_half: false,
            interrupts: false,
            turn: None,
            guess: None,
            began: 0,
            clock: 0,
            position: 0,
            captured: Instant::now(),
            is_broken: false,
        }
    }

    /// The same with turns that end by what was said in them, rather than after a fixed silence. The endpointer needs a pause
    /// ([`pause_ms`](nearfield_speech::vad::EndpointOptions::pause_ms)).
    #[must_use]
    pub fn ending(self, turn_end: TurnEnd) -> Self {
        Self { turn_end: Some(turn_end), ..self }
    }

    /// The same, deaf until a word has been said.
    #[must_use]
    pub fn attending(self, attention: Attention) -> Self {
        Self { attention: Some(attention), ..self }
    }

    /// The same, which tells when somebody begins to speak and has ended.
    #[must_use]
    pub fn telling(self, notes: Sender<Note>) -> Self {
        Self { notes: Some(notes), ..self }
    }

    /// What of the frame is listened to. What was under way is dropped where a word was said.
    fn attended(&mut self, samples: Vec<f32>) -> anyhow::Result<Option<Vec<f32>>> {
        let Some(attention) = &mut self.attention else { return Ok(Some(samples)) };
        let attending = attention.hear(&samples, self.turn.is_some())?;
        Ok(match attending {
            Attending::Awake => Some(samples),
            Attending::Asleep => {
                self.forget();
                None
            }
            Attending::Woken(follows) => {
                self.drop_what_is_under_way();
                self.interrupts = true;
                Some(follows)
            }
            Attending::Stopped => {
                self.drop_what_is_under_way();
                None
            }
        })
    }

    /// Nothing that was heard so far belongs to what is heard next.
    fn forget(&mut self) {
        self.endpointer.reset();
        self.position = 0;
        (self.was_deaf, self.is_half) = (false, false);
    }

    /// The reply falls silent, and speech under way, which is the word itself, is no question.
    fn drop_what_is_under_way(&mut self) {
        self.drop_speech();
        self.silence_all();
    }

    /// No reply goes on.
    fn silence_all(&mut self) {
        self.turns.silence_all();
        if let TurnTaking::Weigh(resume) = &mut self.turn_taking {
            resume.release();
        }
    }

    /// Speech under way is no question.
    fn drop_speech(&mut self) {
        if let TurnTaking::Weigh(resume) = &mut self.turn_taking
            && resume.since.take().is_some()
            && resume.waits_until.is_none()
        {
            resume.hold.release();
        }
        self.forget();
        self.guesses.withdraw_all();
        self.guess = None;
        self.turn = None;
        if let Some(turn_end) = &mut self.turn_end {
            turn_end.over();
        }
    }

    fn tell(&self, note: Note) {
        if let Some(notes) = &self.notes {
            let _ = notes.try_send(note);
        }
    }

    fn obey(&mut self, order: Order, emit: &mut Emit<'_, Utterance>) {
        match order {
            Order::Answer(text) => {
                self.drop_speech();
                let turn = self.begin();
                self.turn = None;
                let now = Instant::now();
                let (samples, typed) = (Vec::new(), Some(text));
                let utterance = Utterance { samples, speech_samples: 0, speech_ended: now, guess: None, typed };
                let _ = emit(Envelope::new(turn, utterance));
            }
            Order::Forget => self.drop_speech(),
            Order::Silence => self.silence_all(),
        }
    }

    fn begin(&mut self) -> Turn {
        let turn = self.turns.begin();
        self.turn = Some(turn);
        match &mut self.turn_taking {
            TurnTaking::Interrupt => self.turns.silence_before(turn),
            TurnTaking::Weigh(resume) => match resume.asked.is_some_and(|asked| self.turns.is_alive(asked)) {
                true => {
                    resume.hold.hold();
                    (resume.since, resume.release_at) = (Some(self.clock), None);
                }
                false => self.interrupt(),
            },
            TurnTaking::DeafWhile(_) | TurnTaking::Wait(_) => {}
        }
        turn
    }

    /// What is being said wants something: replies to earlier turns fall silent.
    fn interrupt(&mut self) {
        if let Some(turn) = self.turn {
            self.turns.silence_before(turn);
        }
        if let TurnTaking::Weigh(resume) = &mut self.turn_taking
            && resume.hold.is_held()
        {
            (resume.since, resume.waits_until) = (None, None);
            resume.release_at = Some(self.clock + SampleRate::SPEECH.samples_in(SILENCED_WITHIN) as u64);
        }
    }

    /// The words are known of what is being said while a reply is held.
    fn weigh(&mut self, text: &str) {
        let TurnTaking::Weigh(resume) = &mut self.turn_taking else { return };
        if resume.since.is_none() {
            return;
        }
        let waits = resume.waits_until.is_some();
        let what = resume.hold.judge(text, SampleRate::SPEECH.duration_of(resume.spoken as usize), waits);
        match what {
            Interjection::Speech => return self.interrupt(),
            Interjection::Wait => {
                let wait = SampleRate::SPEECH.samples_in(LONGEST_WAIT) as u64;
                (resume.since, resume.waits_until) = (None, Some(self.clock + wait));
            }
            // Who has asked for silence may cough in it.
            Interjection::Noise | Interjection::Echo => {}
            Interjection::Listening | Interjection::GoOn => resume.release(),
        }
        tracing::info!(?what, text, samples = resume.spoken, "this is no question: the reply is not interrupted");
        self.drop_speech();
    }

    /// Looks whether what holds a reply is longer than an interjection, and whether the reply has waited long enough.
    fn watch_the_hold(&mut self) {
        let TurnTaking::Weigh(resume) = &mut self.turn_taking else { return };
        while let Ok(over) = resume.over.try_recv() {
            if resume.asked.is_some_and(|asked| over >= asked) {
                resume.asked = None;
                if resume.since.is_none() {
                    resume.release(); // there is nothing left to hold
                }
            }
        }
        let longest = SampleRate::SPEECH.samples_in(LONGEST_INTERJECTION) as u64;
        let is_long = resume.since.is_some_and(|since| self.guess.is_none() && self.clock > since + longest);
        if is_long {
            self.interrupt();
        } else if resume.since.is_none() && resume.waits_until.is_some_and(|until| self.clock > until) {
            if let Some(Turn(asked)) = resume.asked {
                self.turns.silence_before(Turn(asked + 1));
            }
            resume.release();
        } else if resume.release_at.is_some_and(|at| self.clock >= at) {
            resume.release();
        }
    }

    fn take(&mut self, events: Vec<SpeechEvent>, emit: &mut Emit<'_, Utterance>) {
        for event in events {
            match event {
                SpeechEvent::Started { .. } => {
                    self.began = self.position.saturating_sub(SampleRate::SPEECH.samples_in(LEAST_SPEECH) as u64);
                    let no_beginning = SampleRate::SPEECH.samples_in(NO_BEGINNING) as u64;
                    self.is_half = std::mem::take(&mut self.was_deaf) && self.began <= no_beginning;
                    let turn = self.begin();
                    self.tell(Note::Speaking { turn });
                }
                SpeechEvent::Resumed => {
                    self.is_half = false;
                    self.guesses.withdraw_all();
                    self.guess = None;
                    if let Some(turn_end) = &mut self.turn_end {
                        turn_end.over();
                    }
                }
                SpeechEvent::Paused { samples, end, last_speech_sample } => {
                    let Some(turn) = self.turn else { continue };
                    if let TurnTaking::Weigh(resume) = &mut self.turn_taking {
                        resume.spoken = last_speech_sample.0.saturating_sub(self.began);
                    }
                    let guess = self.guesses.begin();
                    self.guess = Some(guess);
                    let sound = self.turn_end.is_some().then(|| samples.clone());
                    let utterance = self.utterance(samples, end, last_speech_sample, Some(guess));
                    let _ = emit(Envelope::new(turn, utterance));
                    let Some((turn_end, sound)) = self.turn_end.as_mut().zip(sound) else { continue };
                    let is_contested = matches!(&self.turn_taking, TurnTaking::Weigh(resume) if resume.since.is_some());
                    let longest = if is_contested { LONGEST_JUDGEMENT_MS } else { turn_end.longest_ms() };
                    let silence_ms = turn_end.paused(guess, sound).unwrap_or(longest);
                    self.endpointer.end_after(silence_ms);
                }
                SpeechEvent::Ended { .. } if std::mem::take(&mut self.is_half) => {
                    tracing::info!("what was said began while the loudspeaker was on: half of it is no question");
                    self.drop_speech();
                }
                SpeechEvent::Ended { samples, end, last_speech_sample, .. } => {
                    if matches!(&self.turn_taking, TurnTaking::Weigh(resume) if resume.since.is_some()) {
                        self.interrupt(); // it is over, and its words are not known
                    }
                    if let Some(guess) = self.guess.take() {
                        self.guesses.keep(guess);
                    }
                    if let Some(turn_end) = &mut self.turn_end {
                        turn_end.over();
                    }
                    let turn = match self.turn.take() {
                        Some(turn) => turn,
                        None => self.begin(),
                    };
                    let utterance = self.utterance(samples, end, last_speech_sample, None);
                    if let TurnTaking::Weigh(resume) = &mut self.turn_taking {
                        resume.asked = Some(turn);
                    }
                    self.tell(Note::Spoken { turn });
                    let _ = emit(Envelope::new(turn, utterance));
                    if let Some(attention) = &mut self.attention {
                        attention.asked(turn);
                    }
                    self.wait_for_the_answer(turn);
                }
            }
        }
    }

    fn wait_for_the_answer(&self, turn: Turn) {
        let TurnTaking::Wait(answered) = &self.turn_taking else { return };
        while self.turns.is_alive(turn) {
            match answered.recv_timeout(Duration::from_millis(50)) {
                Ok(done) if done >= turn => return,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn utterance(
        &self,
        samples: Vec<f32>,
        end: SamplePosition,
        last_speech: SamplePosition,
        guess: Option<Turn>,
    ) -> Utterance {
        let speech_samples = samples.len().saturating_sub(end.0.saturating_sub(last_speech.0) as usize);
        let since = SampleRate::SPEECH.duration_of(self.position.saturating_sub(last_speech.0) as usize);
        let speech_ended = self.captured.checked_sub(since).unwrap_or(self.captured);
        Utterance { samples, speech_samples, speech_ended, guess, typed: None }
    }
}

/// Replaces samples that are not numbers by silence, which would stay in the state of a recurrent model for ever; answers how many.
fn silence_what_is_no_number(samples: &mut [f32]) -> usize {
    let mut broken = 0;
    for sample in samples.iter_mut().filter(|sample| !sample.is_finite()) {
        *sample = 0.0;
        broken += 1;
    }
    broken
}

impl Stage for Listen {
    type In = Frame;
    type Out = Utterance;

    fn name(&self) -> &'static str {
        "listen"
    }

    /// Frames come before any turn; they carry the turn number 0.
    fn takes_silenced(&self) -> bool {
        true
    }

    fn step(&mut self, input: Envelope<Frame>, emit: &mut Emit<'_, Utterance>) -> anyhow::Result<()> {
        let mut frame = input.body;
        if let Some(order) = frame.order.take() {
            self.captured = frame.captured;
            self.obey(order, emit);
            return Ok(());
        }
        let broken = silence_what_is_no_number(&mut frame.samples);
        let is_new = !std::mem::replace(&mut self.is_broken, broken > 0) && broken > 0;
        self.captured = frame.captured;
        let is_loud = matches!(&self.turn_taking, TurnTaking::DeafWhile(speaking) if speaking.load(Ordering::Acquire));
        self.interrupts &= is_loud;
        self.clock += frame.samples.len() as u64;
        let attended = self.attended(std::mem::take(&mut frame.samples))?;
        if is_loud && !self.interrupts && self.turn.is_none() {
            self.forget();
            self.was_deaf = true;
            return Ok(());
        }
        let samples = attended.unwrap_or_default();
        if let Some(looked) = self.turn_end.as_mut().and_then(TurnEnd::look) {
            self.endpointer.end_after(looked.silence_ms);
            self.weigh(&looked.text);
        }
        self.watch_the_hold();
        let mut events = Vec::new();
        self.position += samples.len() as u64;
        self.endpointer.push(&samples, &mut |e| events.push(e))?;
        if frame.last {
            self.endpointer.finish(&mut |e| events.push(e));
        }
        self.take(events, emit);
        if frame.last {
            self.position = 0;
            if let Some(attention) = &mut self.attention {
                attention.end();
            }
        }
        // Once, however long it lasts.
        anyhow::ensure!(!is_new, "{broken} samples of the sound are not numbers and are replaced by silence");
        Ok(())
    }

    fn finish(&mut self, emit: &mut Emit<'_, Utterance>) -> anyhow::Result<()> {
        let mut events = Vec::new();
        self.endpointer.finish(&mut |e| events.push(e));
        self.take(events, emit);
        if let TurnTaking::Weigh(resume) = &mut self.turn_taking {
            resume.release(); // nobody is left to let it go on
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
