//! Speech to text: utterances in, transcripts out.
//!
//! A guess (the speaker pauses, and may go on) is transcribed ahead and kept; when the utterance turns out to have ended
//! there, its transcript is ready at once.

use nearfield_speech::audio::SampleRate;
use nearfield_speech::stt::{SpeechToText, Transcription};
use std::ops::ControlFlow;
use std::time::Duration;

use crate::flow::{Emit, Stage};
use crate::flow::{Turn, Turns};
use crate::messages::{Envelope, Transcript, Utterance};

/// Silence left behind the last word: recognizers trained on whole recordings expect a little.
const TAIL: Duration = Duration::from_millis(200);

/// Turns utterances into text.
pub struct Transcribe {
    stt: SpeechToText,
    turns: Turns,
    guesses: Turns,
    ahead: Option<(Turn, usize, Transcription)>,
}

impl Transcribe {
    /// `guesses` numbers the utterances that may yet be withdrawn.
    pub fn new(stt: SpeechToText, turns: Turns, guesses: Turns) -> Self {
        Self { stt, turns, guesses, ahead: None }
    }
}

impl Stage for Transcribe {
    type In = Utterance;
    type Out = Transcript;

    fn name(&self) -> &'static str {
        "transcribe"
    }

    fn step(&mut self, input: Envelope<Utterance>, emit: &mut Emit<'_, Transcript>) -> anyhow::Result<()> {
        let Envelope { turn, born: closed, body: utterance } = input;
        let known = self.ahead.take().filter(|(t, n, _)| *t == turn && *n == utterance.speech_samples);
        let transcription = match known {
            Some((_, _, transcription)) => Ok(transcription),
            None => {
                let n = utterance.samples.len().min(utterance.speech_samples + SampleRate::SPEECH.samples_in(TAIL));
                let (turns, guesses) = (&self.turns, &self.guesses);
                self.stt.transcribe(&utterance.samples[..n], &mut || {
                    let wanted = turns.is_alive(turn) && utterance.guess.is_none_or(|g| guesses.is_alive(g));
                    if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })
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
            Err(error) => (String::new(), None, Err(error.into())),
        };
        let speech_ended = utterance.speech_ended;
        let _ = emit(Envelope::new(turn, Transcript { text, suppressed, speech_ended, closed }));
        result
    }
}
