//! Speech to text: utterances in, transcripts out.
//!
//! A guess (the speaker pauses, and may go on) is transcribed ahead and kept; when the utterance turns out to have ended
//! there, its transcript is ready at once. Until then it goes to whoever decides that, and to whoever can prepare an answer.

use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use nearfield_speech::audio::SampleRate;
use nearfield_speech::stt::{SpeechToText, Transcription};

use crate::flow::{Emit, Guesses, Stage, Turn, Turns};
use crate::messages::{Envelope, Transcript, Utterance};
use crate::voice::pace::{Pace, Part};

/// Silence left behind the last word: recognizers trained on whole recordings expect a little. A guess has as much, so that it is
/// transcribed as the whole utterance is.
const TAIL: Duration = Duration::from_millis(32);

/// Turns utterances into text.
pub struct Transcribe {
    stt: SpeechToText,
    turns: Turns,
    guesses: Guesses,
    /// Where the words of a guess go.
    words: Option<Sender<(Turn, String)>>,
    /// Whether the transcripts of guesses go on as well.
    passes_guesses: bool,
    pace: Pace,
    ahead: Option<(Turn, usize, Transcription)>,
    /// What the turn goes on with.
    transcript: Option<Transcript>,
}

impl Transcribe {
    /// `guesses` numbers the utterances that may yet be withdrawn.
    pub fn new(stt: SpeechToText, turns: Turns, guesses: Guesses) -> Self {
        Self {
            stt,
            turns,
            guesses,
            words: None,
            passes_guesses: false,
            pace: Pace::default(),
            ahead: None,
            transcript: None,
        }
    }

    /// The same, whose transcripts of guesses go on, so that answers to them can be prepared.
    #[must_use]
    pub fn passing_guesses(self) -> Self {
        Self { passes_guesses: true, ..self }
    }

    /// The same, which keeps to a budget.
    #[must_use]
    pub fn keeping(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The same, which tells the words of each guess by its number; what finds no room is left out.
    #[must_use]
    pub fn telling(self, words: Sender<(Turn, String)>) -> Self {
        Self { words: Some(words), ..self }
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
        if let Some(text) = utterance.typed {
            self.ahead = None;
            self.transcript = Some(Transcript { closed, ..Transcript::typed(&text, utterance.speech_ended) });
            return Ok(());
        }
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
                let cancel = match utterance.guess {
                    Some(guess) => cancel.or_withdrawn(&self.guesses, guess),
                    None => cancel,
                };
                let shortens = self.pace.shortens_context(turn);
                let shortens = self.stt.shorten_context(shortens);
                let begun = Instant::now();
                let transcribed = self.stt.transcribe(&utterance.samples[..n], &mut || cancel.check());
                if utterance.guess.is_some() && transcribed.as_ref().is_ok_and(|it| !it.stopped) {
                    self.pace.took(Part::Notice, begun.saturating_duration_since(utterance.speech_ended));
                    self.pace.transcribed(begun.elapsed(), shortens);
                }
                transcribed.map_err(anyhow::Error::from)
            }
        };
        if let Some(guess) = utterance.guess {
            match transcription {
                Ok(t) if !t.stopped && self.guesses.is_alive(guess) => {
                    if let Some(words) = &self.words {
                        let _ = words.try_send((guess, t.text.clone()));
                    }
                    self.transcript = self.passes_guesses.then(|| Transcript {
                        text: t.text.clone(),
                        suppressed: t.suppressed,
                        speech_ended: utterance.speech_ended,
                        closed,
                        guess: Some(guess),
                    });
                    self.ahead = Some((turn, utterance.speech_samples, t));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%turn, %error, "the guess could not be transcribed");
                    if let Some(words) = &self.words {
                        let _ = words.try_send((guess, String::new()));
                    }
                }
            }
            return Ok(());
        }
        let (text, suppressed, result) = match transcription {
            Ok(t) => (t.text, t.suppressed, Ok(())),
            // The turn still has to come to its end: an empty transcript takes it there.
            Err(error) => (String::new(), None, Err(error)),
        };
        let speech_ended = utterance.speech_ended;
        self.transcript = Some(Transcript { text, suppressed, speech_ended, closed, guess: None });
        result
    }

    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, Transcript>) {
        if let Some(transcript) = self.transcript.take() {
            let _ = emit(Envelope::new(turn, transcript));
        }
    }
}
