//! Text to speech: clauses in, sound out, block by block as the voice makes it.
//!
//! The first clause of a reply to a guess is made into sound ahead and kept; when the reply turns out to begin with it, its sound is
//! there at once, and what is still to be made of it follows as it comes.

use std::ops::ControlFlow;
use std::time::Instant;

use nearfield_speech::tts::Voice;

use crate::flow::fault::Fault;
use crate::flow::{Emit, Guesses, Stage, Turn};
use crate::llm_thread::Pause;
use crate::messages::{Ahead, Clause, Envelope, Speech};
use crate::voice::clauses::MAX_CHARS;
use crate::voice::pace::{Pace, Part};

/// Speaks clauses.
pub struct Speak {
    voice: Box<dyn Voice>,
    guesses: Guesses,
    /// By which the language model leaves the cores to the first sound of a reply.
    pause: Pause,
    pace: Pace,
    /// The turn of the last clause.
    turn: Option<Turn>,
    ahead: Option<Prepared>,
    is_over: bool,
    fault: Fault,
}

/// A clause that was made into sound before anybody was to hear it.
struct Prepared {
    turn: Turn,
    clause: String,
    blocks: Vec<Vec<f32>>,
    /// The reply began with it while it was being made.
    is_heard: bool,
}

impl Speak {
    /// Speaks with `voice`.
    pub fn new(voice: Box<dyn Voice>) -> Self {
        Self {
            voice,
            guesses: Guesses::default(),
            pause: Pause::default(),
            pace: Pace::default(),
            turn: None,
            ahead: None,
            is_over: false,
            fault: Fault::of("ahead"),
        }
    }

    /// The same, which leaves off speaking ahead for guesses that are withdrawn.
    #[must_use]
    pub fn guessing(self, guesses: Guesses) -> Self {
        Self { guesses, ..self }
    }

    /// The same, before whose first sound of a reply the language model pauses.
    #[must_use]
    pub fn pausing(self, pause: Pause) -> Self {
        Self { pause, ..self }
    }

    /// The same, which tells how long it takes to its first sound.
    #[must_use]
    pub fn keeping(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Makes the sound of a clause that may never be wanted. Once the reply has begun with it, it is heard.
    fn prepare(&mut self, turn: Turn, ahead: Ahead, emit: &mut Emit<'_, Speech>) -> anyhow::Result<()> {
        self.ahead = None;
        let Ahead { guess, clause } = ahead;
        if let Err(error) = self.fault.step() {
            tracing::debug!(%turn, %error, "a clause could not be spoken ahead");
            return Ok(());
        }
        if clause.chars().count() > MAX_CHARS || !self.guesses.is_alive(guess) {
            return Ok(());
        }
        let (guesses, rate) = (&self.guesses, self.voice.sample_rate());
        let (mut blocks, mut is_aloud) = (Vec::new(), false);
        let mut pausing = Some((self.pause.begin(), Instant::now()));
        let spoken = self.voice.speak(&clause, &mut |samples| {
            if let Some((_, since)) = pausing.take() {
                self.pace.took(Part::Voice, since.elapsed());
            }
            blocks.push(samples.to_vec());
            if !is_aloud && guesses.is_aloud(guess) {
                is_aloud = true;
                let _ = emit(Envelope::new(turn, Speech::Clause(clause.clone())));
            }
            if is_aloud {
                let mut blocks = blocks.drain(..);
                return blocks.try_for_each(|samples| emit(Envelope::new(turn, Speech::Samples { rate, samples })));
            }
            if guesses.is_alive(guess) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if self.fault.garbled().is_some() {
            blocks = vec![vec![f32::NAN; 700], Vec::new()];
        }
        match spoken {
            Err(error) if is_aloud => return Err(error.into()),
            // A voice that fails does so again when the clause is wanted, and then says so.
            Err(error) => tracing::debug!(%turn, %error, "a clause could not be spoken ahead"),
            Ok(()) if is_aloud || self.guesses.is_alive(guess) => {
                self.ahead = Some(Prepared { turn, clause, blocks, is_heard: is_aloud });
            }
            Ok(()) => {}
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
                let prepared = self.ahead.take().filter(|it| it.turn == turn && it.clause == text);
                let is_first = self.turn.replace(turn) != Some(turn);
                if prepared.as_ref().is_some_and(|it| it.is_heard) {
                    return Ok(());
                }
                let _ = emit(Envelope::new(turn, Speech::Clause(text.clone())));
                let rate = self.voice.sample_rate();
                if let Some(prepared) = prepared {
                    for samples in prepared.blocks {
                        if emit(Envelope::new(turn, Speech::Samples { rate, samples })).is_break() {
                            break;
                        }
                    }
                    return Ok(());
                }
                let mut pausing = is_first.then(|| (self.pause.begin(), Instant::now()));
                self.voice.speak(&text, &mut |samples| {
                    if let Some((_, since)) = pausing.take() {
                        self.pace.took(Part::Voice, since.elapsed());
                    }
                    emit(Envelope::new(turn, Speech::Samples { rate, samples: samples.to_vec() }))
                })?;
            }
            Clause::Filler(text) => {
                let rate = self.voice.sample_rate();
                let mut begun = false;
                self.voice.speak(&text, &mut |samples| {
                    if !std::mem::replace(&mut begun, true)
                        && emit(Envelope::new(turn, Speech::Filler(text.clone()))).is_break()
                    {
                        return ControlFlow::Break(());
                    }
                    emit(Envelope::new(turn, Speech::Samples { rate, samples: samples.to_vec() }))
                })?;
            }
            Clause::Ahead(ahead) => self.prepare(turn, ahead, emit)?,
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

    /// Makes a block of sound for each word, counts them, and does something in between.
    struct Words(Arc<AtomicUsize>, Box<dyn Fn(usize) + Send>);

    impl Voice for Words {
        fn name(&self) -> &str {
            "words"
        }
        fn sample_rate(&self) -> SampleRate {
            SampleRate(16_000)
        }
        fn speak(&mut self, text: &str, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<(), TtsError> {
            for word in text.split(' ') {
                self.1(self.0.fetch_add(1, Ordering::Relaxed));
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
        let mut speak = Speak::new(Box::new(Words(made.clone(), Box::new(|_| {})))).guessing(guesses.clone());
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
    fn a_clause_that_is_wanted_while_it_is_spoken_ahead_is_heard_from_then_on_and_once() {
        let (made, guesses) = (Arc::new(AtomicUsize::new(0)), Guesses::default());
        let guess = guesses.begin();
        let (kept, seen) = (guesses.clone(), made.clone());
        let words = Words(
            made,
            Box::new(move |n| {
                if n == 1 {
                    kept.keep(guess);
                    kept.begin_aloud(guess);
                }
            }),
        );
        let mut speak = Speak::new(Box::new(words)).guessing(guesses);
        let mut heard = Vec::new();
        let mut take = |clause: Clause| {
            let emit = &mut |speech: Envelope<Speech>| {
                heard.push(match speech.body {
                    Speech::Samples { samples, .. } => format!("{} of {}", samples[0], seen.load(Ordering::Relaxed)),
                    other => format!("{other:?}"),
                });
                ControlFlow::Continue(())
            };
            speak.take(Envelope::new(Turn(1), clause), emit).unwrap();
        };
        take(Clause::Ahead(Ahead { guess, clause: "one two three".to_owned() }));
        take(Clause::Text("one two three".to_owned()));
        take(Clause::Text("four".to_owned()));
        let clause = |text: &str| format!("{:?}", Speech::Clause(text.to_owned()));
        let expected = [&clause("one two three"), "3 of 2", "3 of 2", "5 of 3", &clause("four"), "4 of 4"];
        assert_eq!(heard, expected);
    }

    #[test]
    fn speaking_ahead_stops_when_the_guess_is_withdrawn() {
        let (made, guesses) = (Arc::new(AtomicUsize::new(0)), Guesses::default());
        let withdrawn = guesses.clone();
        let words = Words(made.clone(), Box::new(move |_| withdrawn.withdraw_all()));
        let mut speak = Speak::new(Box::new(words)).guessing(guesses.clone());
        let ahead = Ahead { guess: guesses.begin(), clause: "one two three four".to_owned() };
        assert!(sound(&mut speak, 1, Clause::Ahead(ahead)).is_empty());
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }
}
