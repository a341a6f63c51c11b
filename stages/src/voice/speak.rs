//! Text to speech: clauses in, sound out, block by block as the voice makes it.

use nearfield_speech::tts::Voice;

use crate::flow::{Emit, Stage};
use crate::messages::{Clause, Envelope, Speech};

/// Speaks clauses.
pub struct Speak {
    voice: Box<dyn Voice>,
}

impl Speak {
    /// Speaks with `voice`.
    pub fn new(voice: Box<dyn Voice>) -> Self {
        Self { voice }
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
                let _ = emit(Envelope::new(turn, Speech::Clause(text.clone())));
                let rate = self.voice.sample_rate();
                self.voice.speak(&text, &mut |samples| {
                    emit(Envelope::new(turn, Speech::Samples { rate, samples: samples.to_vec() }))
                })?;
            }
            Clause::End => {
                let _ = emit(Envelope::new(turn, Speech::End));
            }
        }
        Ok(())
    }
}
