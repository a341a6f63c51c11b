//! Text to speech: clauses in, sound out, block by block as the voice makes it.

use nearfield_speech::tts::Voice;

use crate::flow::{Emit, Stage, Turn};
use crate::messages::{Clause, Envelope, Speech};
use crate::voice::clauses::MAX_CHARS;

/// Speaks clauses.
pub struct Speak {
    voice: Box<dyn Voice>,
    is_over: bool,
}

impl Speak {
    /// Speaks with `voice`.
    pub fn new(voice: Box<dyn Voice>) -> Self {
        Self { voice, is_over: false }
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
                self.voice.speak(&text, &mut |samples| {
                    emit(Envelope::new(turn, Speech::Samples { rate, samples: samples.to_vec() }))
                })?;
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
