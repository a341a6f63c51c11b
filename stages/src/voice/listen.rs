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
use crate::voice::notes::Note;
use crate::voice::turn_end::TurnEnd;
use crate::voice::wake::{Attending, Attention};

/// What happens when somebody speaks while a reply is under way.
pub enum TurnTaking {
    /// The reply falls silent: somebody speaks to a machine that can tell them from itself.
    Interrupt,
    /// Nothing is heard while the loudspeaker is on, which the microphone would take for somebody.
    DeafWhile(Arc<AtomicBool>),
    /// Nobody speaks before the answer is over: a recording is being read faster than life. The channel tells which
    /// turns are over.
    Wait(Receiver<Turn>),
}

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
    /// A word has interrupted the loudspeaker, which has not fallen silent yet.
    interrupts: bool,
    /// The turn of the speech under way.
    turn: Option<Turn>,
    /// The guess of the pause under way.
    guess: Option<Turn>,
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
            interrupts: false,
            turn: None,
            guess: None,
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
    }

    /// The reply falls silent, and speech under way, which is the word itself, is no question.
    fn drop_what_is_under_way(&mut self) {
        self.drop_speech();
        self.turns.silence_all();
    }

    /// Speech under way is no question.
    fn drop_speech(&mut self) {
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
            Order::Silence => {
                self.turns.silence_all();
            }
        }
    }

    fn begin(&mut self) -> Turn {
        let turn = self.turns.begin();
        if matches!(self.turn_taking, TurnTaking::Interrupt) {
            self.turns.silence_before(turn);
        }
        self.turn = Some(turn);
        turn
    }

    fn take(&mut self, events: Vec<SpeechEvent>, emit: &mut Emit<'_, Utterance>) {
        for event in events {
            match event {
                SpeechEvent::Started { .. } => {
                    let turn = self.begin();
                    self.tell(Note::Speaking { turn });
                }
                SpeechEvent::Resumed => {
                    self.guesses.withdraw_all();
                    self.guess = None;
                    if let Some(turn_end) = &mut self.turn_end {
                        turn_end.over();
                    }
                }
                SpeechEvent::Paused { samples, end, last_speech_sample } => {
                    let Some(turn) = self.turn else { continue };
                    let guess = self.guesses.begin();
                    self.guess = Some(guess);
                    let sound = self.turn_end.is_some().then(|| samples.clone());
                    let utterance = self.utterance(samples, end, last_speech_sample, Some(guess));
                    let _ = emit(Envelope::new(turn, utterance));
                    let Some((turn_end, sound)) = self.turn_end.as_mut().zip(sound) else { continue };
                    let silence_ms = turn_end.paused(guess, sound).unwrap_or(turn_end.longest_ms());
                    self.endpointer.end_after(silence_ms);
                }
                SpeechEvent::Ended { samples, end, last_speech_sample, .. } => {
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
        let attended = self.attended(std::mem::take(&mut frame.samples))?;
        if is_loud && !self.interrupts && self.turn.is_none() {
            self.forget();
            return Ok(());
        }
        let samples = attended.unwrap_or_default();
        if let Some(silence_ms) = self.turn_end.as_mut().and_then(TurnEnd::look) {
            self.endpointer.end_after(silence_ms);
        }
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
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfield_speech::vad::{EndpointOptions, VadError, VoiceActivity};
    use std::ops::ControlFlow;

    /// Takes every loud frame for speech.
    struct Loudness;

    impl VoiceActivity for Loudness {
        fn frame_samples(&self) -> usize {
            160
        }
        fn probability(&mut self, frame: &[f32]) -> Result<f32, VadError> {
            Ok(if frame.iter().any(|s| s.abs() > 0.1) { 1.0 } else { 0.0 })
        }
        fn reset(&mut self) {}
        fn name(&self) -> &str {
            "loudness"
        }
    }

    fn listener(turns: &Turns, guesses: &Guesses, turn_taking: TurnTaking) -> Listen {
        let endpointer = Endpointer::new(Box::new(Loudness), EndpointOptions::default()).unwrap();
        Listen::new(endpointer, turns.clone(), guesses.clone(), turn_taking)
    }

    /// Feeds milliseconds of (loud?) sound in frames of 20 ms; answers what came out.
    fn hear(listen: &mut Listen, parts: &[(bool, usize)]) -> Vec<Envelope<Utterance>> {
        let mut out = Vec::new();
        for &(loud, ms) in parts {
            for _ in 0..ms / 20 {
                let frame = Frame {
                    samples: vec![if loud { 0.5 } else { 0.0 }; 320],
                    captured: Instant::now(),
                    last: false,
                    order: None,
                };
                let emit = &mut |u| {
                    out.push(u);
                    ControlFlow::Continue(())
                };
                listen.step(Envelope::new(Turn(0), frame), emit).unwrap();
            }
        }
        out
    }

    #[test]
    fn a_new_turn_silences_the_previous_reply() {
        let (turns, guesses) = (Turns::default(), Guesses::default());
        let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt);
        let first = hear(&mut listen, &[(false, 400), (true, 600), (false, 800)]).pop().unwrap().turn;
        assert!(turns.is_alive(first));
        hear(&mut listen, &[(true, 300)]);
        assert!(!turns.is_alive(first), "the reply goes on while somebody speaks");
    }

    #[test]
    fn a_pause_gives_a_guess_that_going_on_withdraws() {
        let (turns, guesses) = (Turns::default(), Guesses::default());
        let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt);
        let guess = hear(&mut listen, &[(false, 400), (true, 600), (false, 300)]).pop().unwrap();
        let number = guess.body.guess.expect("only a pause so far");
        assert!(guesses.is_alive(number));
        let rest = hear(&mut listen, &[(true, 400), (false, 800)]);
        assert!(!guesses.is_alive(number), "the speaker went on");
        let (last, before) = (rest.last().unwrap(), &rest[rest.len() - 2]);
        assert_eq!((last.turn, last.body.guess), (guess.turn, None));
        assert!(before.body.guess.is_some_and(|g| guesses.is_alive(g)));
        assert_eq!(last.body.speech_samples, before.body.speech_samples, "the last guess was right");
    }

    #[test]
    fn a_microphone_that_hears_the_loudspeaker_is_deaf_while_it_is_on() {
        let (turns, guesses) = (Turns::default(), Guesses::default());
        let speaking = Arc::new(AtomicBool::new(true));
        let mut listen = listener(&turns, &guesses, TurnTaking::DeafWhile(speaking.clone()));
        assert!(hear(&mut listen, &[(true, 600), (false, 800)]).is_empty());
        speaking.store(false, Ordering::Release);
        assert!(!hear(&mut listen, &[(true, 600), (false, 800)]).is_empty());
    }

    /// The word is a sample of 0.9.
    struct Mark;

    impl nearfield_speech::wake::WakeModel for Mark {
        fn words(&self) -> usize {
            1
        }
        fn hop_samples(&self) -> usize {
            320
        }
        fn context_hops(&self) -> usize {
            1
        }
        fn scores(&mut self, hop: &[f32]) -> Result<Vec<f32>, nearfield_speech::wake::WakeError> {
            Ok(vec![f32::from(u8::from(hop.contains(&0.9)))])
        }
        fn reset(&mut self) {}
    }

    fn attentive(turns: &Turns, turn_taking: TurnTaking) -> Listen {
        use crate::voice::wake::{AttentionOptions, WakeWord};
        let spotter = nearfield_speech::wake::WakeSpotter::new(Box::new(Mark), vec![0.5], None);
        let words = vec![WakeWord { name: "hey".to_owned(), stops: false }];
        let options = AttentionOptions { wait: Duration::from_secs(2), follow_up: Duration::ZERO };
        // Nothing is told by a channel whose other end is gone.
        let (_, over) = crossbeam_channel::bounded(1);
        listener(turns, &Guesses::default(), turn_taking).attending(Attention::new(spotter, words, options, over))
    }

    /// The word, said over 20 ms.
    fn say_the_word(listen: &mut Listen) {
        let frame = Frame { samples: vec![0.9; 320], captured: Instant::now(), last: false, order: None };
        listen.step(Envelope::new(Turn(0), frame), &mut |_| ControlFlow::Continue(())).unwrap();
    }

    #[test]
    fn speech_is_a_question_after_the_word_and_not_before_it() {
        let turns = Turns::default();
        let mut listen = attentive(&turns, TurnTaking::Interrupt);
        assert!(hear(&mut listen, &[(false, 400), (true, 600), (false, 800)]).is_empty());
        say_the_word(&mut listen);
        let heard = hear(&mut listen, &[(false, 300), (true, 600), (false, 800)]);
        assert!(heard.last().is_some_and(|utterance| utterance.body.guess.is_none()), "{}", heard.len());
        assert!(
            hear(&mut listen, &[(false, 400), (true, 600), (false, 800)]).is_empty(),
            "each question needs the word"
        );
    }

    #[test]
    fn the_word_interrupts_a_reply_and_speech_does_not_where_the_loudspeaker_is_heard() {
        let turns = Turns::default();
        let speaking = Arc::new(AtomicBool::new(true));
        let mut listen = attentive(&turns, TurnTaking::DeafWhile(speaking.clone()));
        let reply = turns.begin();
        assert!(hear(&mut listen, &[(true, 600), (false, 800)]).is_empty());
        assert!(turns.is_alive(reply));
        say_the_word(&mut listen);
        assert!(!turns.is_alive(reply), "the reply goes on");
        // It falls silent within a moment; what is said meanwhile counts.
        let mut heard = hear(&mut listen, &[(false, 100), (true, 200)]);
        speaking.store(false, Ordering::Release);
        heard.extend(hear(&mut listen, &[(true, 400), (false, 800)]));
        let last = heard.pop().expect("the question was heard");
        assert!(last.body.speech_samples >= 9_000, "its beginning is there: {}", last.body.speech_samples);
    }

    #[test]
    fn speech_ended_when_its_last_sample_was_captured_not_when_the_silence_was_over() {
        let (turns, guesses) = (Turns::default(), Guesses::default());
        let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt);
        let utterance = hear(&mut listen, &[(false, 400), (true, 600), (false, 800)]).pop().unwrap();
        let waited = utterance.born.saturating_duration_since(utterance.body.speech_ended);
        assert!((480..560).contains(&waited.as_millis()), "{waited:?}");
    }
    /// How long the silence was after which a turn ended whose words were `text`.
    fn silence_after(text: &str) -> u128 {
        let (turns, guesses) = (Turns::default(), Guesses::default());
        let (tell, words) = crossbeam_channel::bounded(4);
        let turn_end = TurnEnd::new(Default::default(), None, Some(words));
        let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt).ending(turn_end);
        let guess = hear(&mut listen, &[(false, 400), (true, 600), (false, 120)]).pop().unwrap().body.guess.unwrap();
        tell.send((guess, text.to_owned())).unwrap();
        let mut silence_ms = 120;
        let ended = loop {
            silence_ms += 20;
            if let Some(ended) = hear(&mut listen, &[(false, 20)]).pop() {
                break ended;
            }
        };
        assert!(ended.body.guess.is_none() && guesses.is_kept(guess), "the guess was right");
        silence_ms
    }

    #[test]
    fn a_turn_ends_soon_after_a_whole_sentence_and_late_after_half_of_one() {
        assert!((120..=160).contains(&silence_after("What time is it?")));
        assert!((1_480..=1_540).contains(&silence_after("Turn on the lights and")));
        let unsure = silence_after("Turn it off.");
        assert!((600..1_400).contains(&unsure), "{unsure}");
    }

    #[test]
    fn words_of_an_earlier_pause_do_not_end_a_later_one() {
        let (turns, guesses) = (Turns::default(), Guesses::default());
        let (tell, words) = crossbeam_channel::bounded(4);
        let turn_end = TurnEnd::new(Default::default(), None, Some(words));
        let mut listen = listener(&turns, &guesses, TurnTaking::Interrupt).ending(turn_end);
        let guess = hear(&mut listen, &[(false, 400), (true, 600), (false, 120)]).pop().unwrap().body.guess.unwrap();
        hear(&mut listen, &[(true, 300)]);
        tell.send((guess, "What time is it?".to_owned())).unwrap();
        let out = hear(&mut listen, &[(false, 1_000)]);
        assert!(out.iter().all(|utterance| utterance.body.guess.is_some()), "it ended by words that were not its own");
        assert!(hear(&mut listen, &[(false, 600)]).pop().unwrap().body.guess.is_none(), "it never ended");
    }
}
