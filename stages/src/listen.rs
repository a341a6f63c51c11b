//! Listening: frames of sound in, utterances out. Decides when somebody began to speak and when they have ended.
//!
//! New speech begins a new turn, and silences the reply under way where the flow allows interruptions. While the speaker
//! merely pauses, the utterance so far goes out as a guess, so that transcription runs during the very silence that has
//! to be waited for; a guess that turns out too short is withdrawn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use nearfield_models::audio::SampleRate;
use nearfield_models::vad::{Endpointer, SamplePosition, SpeechEvent};

use crate::drive::{Emit, Stage};
use crate::messages::{Envelope, Frame, Utterance};
use crate::turn::{Turn, Turns};

/// What happens when somebody speaks while a reply is under way.
pub enum Manners {
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
    guesses: Turns,
    manners: Manners,
    /// The turn of the speech under way.
    turn: Option<Turn>,
    /// Samples taken since the endpointer began, and when the last of them was captured.
    position: u64,
    captured: Instant,
}

impl Listen {
    /// A listener that begins `turns`, and numbers its guesses by `guesses`.
    pub fn new(endpointer: Endpointer, turns: Turns, guesses: Turns, manners: Manners) -> Self {
        Self { endpointer, turns, guesses, manners, turn: None, position: 0, captured: Instant::now() }
    }

    fn begin(&mut self) -> Turn {
        let turn = self.turns.begin();
        if matches!(self.manners, Manners::Interrupt) {
            self.turns.silence_before(turn);
        }
        self.turn = Some(turn);
        turn
    }

    fn take(&mut self, events: Vec<SpeechEvent>, emit: &mut Emit<'_, Utterance>) {
        for event in events {
            match event {
                SpeechEvent::Started { .. } => {
                    self.begin();
                }
                SpeechEvent::Resumed => self.guesses.silence_all(),
                SpeechEvent::Paused { samples, end, last_speech_sample } => {
                    let Some(turn) = self.turn else { continue };
                    let guess = self.guesses.begin();
                    let utterance = self.utterance(samples, end, last_speech_sample, Some(guess));
                    let _ = emit(Envelope::new(turn, utterance));
                }
                SpeechEvent::Ended { samples, end, last_speech_sample, .. } => {
                    let turn = match self.turn.take() {
                        Some(turn) => turn,
                        None => self.begin(),
                    };
                    let utterance = self.utterance(samples, end, last_speech_sample, None);
                    let _ = emit(Envelope::new(turn, utterance));
                    self.wait_for_the_answer(turn);
                }
            }
        }
    }

    fn wait_for_the_answer(&self, turn: Turn) {
        let Manners::Wait(answered) = &self.manners else { return };
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
        Utterance { samples, speech_samples, speech_ended, guess }
    }
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
        let frame = input.body;
        self.captured = frame.captured;
        let deaf = matches!(&self.manners, Manners::DeafWhile(speaking) if speaking.load(Ordering::Acquire));
        if deaf && self.turn.is_none() {
            self.endpointer.reset();
            self.position = 0;
            return Ok(());
        }
        let mut events = Vec::new();
        self.position += frame.samples.len() as u64;
        self.endpointer.push(&frame.samples, &mut |e| events.push(e))?;
        if frame.last {
            self.endpointer.finish(&mut |e| events.push(e));
        }
        self.take(events, emit);
        if frame.last {
            self.position = 0;
        }
        Ok(())
    }

    fn finish(&mut self, emit: &mut Emit<'_, Utterance>) -> anyhow::Result<()> {
        let mut events = Vec::new();
        self.endpointer.finish(&mut |e| events.push(e));
        self.take(events, emit);
        Ok(())
    }
}
