//! Phrasing: the reply's text in, as it is written; clauses out, each as soon as it can be spoken.

use crate::clauses::ClauseSplitter;
use crate::drive::{Emit, Stage};
use crate::messages::{Clause, Envelope, TextDelta};
use crate::turn::Turn;

/// Cuts the reply into clauses.
#[derive(Default)]
pub struct Phrase {
    splitter: ClauseSplitter,
    turn: Option<Turn>,
}

impl Stage for Phrase {
    type In = TextDelta;
    type Out = Clause;

    fn name(&self) -> &'static str {
        "phrase"
    }

    fn step(&mut self, input: Envelope<TextDelta>, emit: &mut Emit<'_, Clause>) -> anyhow::Result<()> {
        let turn = input.turn;
        if self.turn != Some(turn) {
            // What an interrupted reply left behind is not part of this one.
            self.splitter = ClauseSplitter::default();
            self.turn = Some(turn);
        }
        let mut send = |clause| {
            let _ = emit(Envelope::new(turn, Clause::Text(clause)));
        };
        match input.body {
            TextDelta::Text(text) => self.splitter.push(&text, &mut send),
            TextDelta::End => {
                self.splitter.finish(&mut send);
                let _ = emit(Envelope::new(turn, Clause::End));
                self.turn = None;
                self.splitter = ClauseSplitter::default();
            }
        }
        Ok(())
    }
}
