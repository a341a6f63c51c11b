//! Text to speech: clauses in, sound out, block by block as the voice makes it.
//!
//! The first clause of a reply to a guess is made into sound ahead and kept; when the reply turns out to begin with it, its sound is
//! there at once.

use std::ops::ControlFlow;

use nearfield_speech::tts::Voice;

use crate::flow::fault::Fault;
use crate::flow::{Emit, Guesses, Stage, Turn};
use crate::messages::{Ahead, Clause, Envelope, Speech};
use crate::voice::clauses::MAX_CHARS;

/// Speaks clauses.
pub struct Speak {
    voice: Box<dyn Voice>,
    guesses: Guesses,
    ahead: Option<Prepared>,
    is_over: bool,
    fault: Fault,
}

/// The sound of a clause that nobody was to hear yet.
struct Prepared {
    turn: Turn,
    clause: String,
    blocks: Vec<Vec<f32>>,
}

impl Speak {
    /// Speaks with `voice`.
    pub fn new(voice: Box<dyn Voice>) -> Self {
        Self { voice, guesses: Guesses::default(), ahead: None, is_over: false, fault: Fault::of("ahead") }
    }

    /// The same, which leaves off speaking ahead for guesses that are withdrawn.
    #[must_use]
    pub fn guessing(self, guesses: Guesses) -> Self {
        Self { guesses, ..self }
    }

    /// Makes the sound of a clause that may never be wanted.
    fn prepare(&mut self, turn: Turn, ahead: Ahead) -> anyhow::Result<()> {
        self.ahead = None;
        let Ahead { guess, clause } = ahead;
        self.fault.step()?;
        if clause.chars().count() > MAX_CHARS || !self.guesses.is_alive(guess) {
            return Ok(());
        }
        let (mut blocks, guesses) = (Vec::new(), &self.guesses);
        self.voice.speak(&clause, &mut |samples| {
            blocks.push(samples.to_vec());
            if guesses.is_alive(guess) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if self.fault.garbled().is_some() {
            blocks = vec![vec![f32::NAN; 700], Vec::new()];
        }
        if self.guesses.is_alive(guess) {
            self.ahead = Some(Prepared { turn, clause, blocks });
        }
        Ok(())
    }
}

impl Stage for Speak {
    type In = Clause;
    type Out = Speech;

    fn name(&self) -> &'static str {
        "speak"
    }

    fn step(&mut self, input: Envelope<Clause>, emit: &mut Emit<'_, Speech>) -> anyhow::Result<()> {
        let turn = input.turn;
        match input.body {
            Clause::Text(text) => {
                let chars = text.chars().count();
                anyhow::ensure!(
                    chars <= MAX_CHARS,
                    "a clause of {chars} characters is not spoken; at most {MAX_CHARS} are"
                );
                let _ = emit(Envelope::new(turn, Speech::Clause(text.clone())));
                let rate = self.voice.sample_rate();
                if let Some(prepared) = self.ahead.take().filter(|it| it.turn == turn && it.clause == text) {
                    for samples in prepared.blocks {
                        if emit(Envelope::new(turn, Speech::Samples { rate, samples })).is_break() {
                            break;
                        }
                    }
                    return Ok(());
                }
                self.voice.speak(&text, &mut |samples| {
                    emit(Envelope::new(turn, Speech::Samples { rate, samples: samples.to_vec() }))
                })?;
            }
            // A voice that fails does so again when the clause is wanted, and then says so.
            Clause::Ahead(ahead) => {
                if let Err(error) = self.prepare(turn, ahead) {
                    tracing::debug!(%turn, %error, "a clause could not be spoken ahead");
                }
            }
            Clause::End => self.is_over = true,
        }
        Ok(())
    }

    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, Speech>) {
        if std::mem::take(&mut self.is_over) {
            let _ = emit(Envelope::new(turn, Speech::End));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use nearfield_speech::audio::SampleRate;
    use nearfield_speech::tts::TtsError;

    /// Makes a block of sound for each word, and counts them.
    struct Words(Arc<AtomicUsize>, Option<Guesses>);

    impl Voice for Words {
        fn name(&self) -> &str {
            "words"
        }
        fn sample_rate(&self) -> SampleRate {
            SampleRate(16_000)
        }
        fn speak(&mut self, text: &str, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<(), TtsError> {
            for word in text.split(' ') {
                self.0.fetch_add(1, Ordering::Relaxed);
                if let Some(guesses) = &self.1 {
                    guesses.withdraw_all();
                }
                if sink(&[word.len() as f32; 10]).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    /// The sound that comes of a clause, by the first sample of each block.
    fn sound(speak: &mut Speak, turn: u64, clause: Clause) -> Vec<f32> {
        let mut out = Vec::new();
        let emit = &mut |speech: Envelope<Speech>| {
            if let Speech::Samples { samples, .. } = speech.body {
                out.push(samples[0]);
            }
            ControlFlow::Continue(())
        };
        speak.take(Envelope::new(Turn(turn), clause), emit).unwrap();
        out
    }

    #[test]
    fn a_clause_spoken_ahead_is_unheard_until_the_reply_begins_with_it_and_is_made_once() {
        let (made, guesses) = (Arc::new(AtomicUsize::new(0)), Guesses::default());
        let mut speak = Speak::new(Box::new(Words(made.clone(), None))).guessing(guesses.clone());
        let ahead = |guesses: &Guesses| Clause::Ahead(Ahead { guess: guesses.begin(), clause: "It is on.".to_owned() });
        assert!(sound(&mut speak, 1, ahead(&guesses)).is_empty());
        assert_eq!(made.load(Ordering::Relaxed), 3);
        assert_eq!(sound(&mut speak, 1, Clause::Text("It is on.".to_owned())), [2.0, 2.0, 3.0]);
        assert_eq!(made.load(Ordering::Relaxed), 3);
        // Another reply, and the same words in another turn, are spoken anew.
        assert!(sound(&mut speak, 2, ahead(&guesses)).is_empty());
        assert_eq!(sound(&mut speak, 2, Clause::Text("No.".to_owned())), [3.0]);
        assert!(sound(&mut speak, 3, ahead(&guesses)).is_empty());
        assert_eq!(sound(&mut speak, 4, Clause::Text("It is on.".to_owned())), [2.0, 2.0, 3.0]);
        assert_eq!(made.load(Ordering::Relaxed), 3 + 3 + 1 + 3 + 3);
    }

    #[test]
    fn speaking_ahead_stops_when_the_guess_is_withdrawn() {
        let (made, guesses) = (Arc::new(AtomicUsize::new(0)), Guesses::default());
        let mut speak = Speak::new(Box::new(Words(made.clone(), Some(guesses.clone())))).guessing(guesses.clone());
        let ahead = Ahead { guess: guesses.begin(), clause: "one two three four".to_owned() };
        assert!(sound(&mut speak, 1, Clause::Ahead(ahead)).is_empty());
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }
}
