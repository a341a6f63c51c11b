//! Speech to text: utterances in, transcripts out.
//!
//! A guess (the speaker pauses, and may go on) is transcribed ahead and kept; when the utterance turns out to have ended
//! there, its transcript is ready at once.

use nearfield_speech::audio::SampleRate;
use nearfield_speech::stt::{SpeechToText, Transcription};
use std::ops::ControlFlow;
use std::time::Duration;

use crate::flow::{Cancel, Emit, Stage, Turn, Turns};
use crate::messages::{Envelope, Transcript, Utterance};

/// Silence left behind the last word: recognizers trained on whole recordings expect a little.
const TAIL: Duration = Duration::from_millis(200);

/// Turns utterances into text.
pub struct Transcribe {
    stt: SpeechToText,
    turns: Turns,
    guesses: Turns,
    ahead: Option<(Turn, usize, Transcription)>,
    /// What the turn goes on with.
    transcript: Option<Transcript>,
}

impl Transcribe {
    /// `guesses` numbers the utterances that may yet be withdrawn.
    pub fn new(stt: SpeechToText, turns: Turns, guesses: Turns) -> Self {
        Self { stt, turns, guesses, ahead: None, transcript: None }
    }
}

impl Stage for Transcribe {
    type In = Utterance;
    type Out = Transcript;

    fn name(&self) -> &'static str {
        "transcribe"
    }

    fn step(&mut self, input: Envelope<Utterance>, _emit: &mut Emit<'_, Transcript>) -> anyhow::Result<()> {
        let Envelope { turn, born: closed, body: utterance } = input;
        let known = self.ahead.take().filter(|(t, n, _)| *t == turn && *n == utterance.speech_samples);
        let transcription = match known {
            Some((_, _, transcription)) => Ok(transcription),
            None if !utterance.samples.iter().all(|sample| sample.is_finite()) => {
                Err(anyhow::anyhow!("the sound holds samples that are not numbers"))
            }
            None => {
                let n = utterance
                    .samples
                    .len()
                    .min(utterance.speech_samples.saturating_add(SampleRate::SPEECH.samples_in(TAIL)));
                let cancel = self.turns.cancel_of(turn);
                let withdrawn = utterance.guess.map_or(Cancel::never(), |guess| self.guesses.cancel_of(guess));
                let transcribed = self.stt.transcribe(&utterance.samples[..n], &mut || match cancel.check() {
                    ControlFlow::Continue(()) => withdrawn.check(),
                    ControlFlow::Break(()) => ControlFlow::Break(()),
                });
                transcribed.map_err(anyhow::Error::from)
            }
        };
        if utterance.guess.is_some() {
            match transcription {
                Ok(t) if !t.stopped => self.ahead = Some((turn, utterance.speech_samples, t)),
                Ok(_) => {}
                Err(error) => tracing::debug!(%turn, %error, "the guess could not be transcribed"),
            }
            return Ok(());
        }
        let (text, suppressed, result) = match transcription {
            Ok(t) => (t.text, t.suppressed, Ok(())),
            // The turn still has to come to its end: an empty transcript takes it there.
            Err(error) => (String::new(), None, Err(error)),
        };
        let speech_ended = utterance.speech_ended;
        self.transcript = Some(Transcript { text, suppressed, speech_ended, closed });
        result
    }

    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, Transcript>) {
        if let Some(transcript) = self.transcript.take() {
            let _ = emit(Envelope::new(turn, transcript));
        }
    }
}
