//! Phrasing: the reply's text in, as it is written; clauses out, each as soon as it can be spoken. Markup never gets through; where
//! nothing else was written, one sentence says so.

use crate::flow::{Emit, Stage, Turn};
use crate::messages::{Clause, Envelope, TextDelta};
use crate::voice::clauses::ClauseSplitter;
use crate::voice::spoken::SpokenFilter;

/// What is said of a reply in which nothing can be spoken.
const UNSPEAKABLE: &str = "I have no answer that can be said aloud.";

/// Cuts the reply into clauses.
#[derive(Default)]
pub struct Phrase {
    filter: SpokenFilter,
    splitter: ClauseSplitter,
    turn: Option<Turn>,
    /// Whether a clause of this reply has left.
    has_spoken: bool,
    is_over: bool,
}

/// Finds the clause with which a reply begins, while it is being written.
#[derive(Default)]
pub struct FirstClause {
    filter: SpokenFilter,
    splitter: ClauseSplitter,
}

impl FirstClause {
    /// Takes the next piece of the reply; answers the clause once it is complete.
    pub fn push(&mut self, text: &str) -> Option<String> {
        let mut first = None;
        self.splitter.push(&self.filter.push(text), &mut |clause| {
            first.get_or_insert(clause);
        });
        first
    }

    /// The reply is complete.
    pub fn finish(&mut self) -> Option<String> {
        let mut first = None;
        let mut take = |clause| {
            first.get_or_insert(clause);
        };
        self.splitter.push(&self.filter.finish(), &mut take);
        self.splitter.finish(&mut take);
        first
    }
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
            *self = Self { turn: Some(turn), ..Self::default() };
        }
        let has_spoken = &mut self.has_spoken;
        let mut send = |clause| {
            *has_spoken = true;
            let _ = emit(Envelope::new(turn, Clause::Text(clause)));
        };
        match input.body {
            TextDelta::Text(text) => self.splitter.push(&self.filter.push(&text), &mut send),
            TextDelta::Ahead(ahead) => {
                let _ = emit(Envelope::new(turn, Clause::Ahead(ahead)));
            }
            TextDelta::Cut => {
                (self.filter, self.splitter) = (SpokenFilter::default(), ClauseSplitter::default());
            }
            TextDelta::End => {
                self.splitter.push(&self.filter.finish(), &mut send);
                self.splitter.finish(&mut send);
                if self.filter.has_heard() && !*has_spoken {
                    let _ = emit(Envelope::new(turn, Clause::Text(UNSPEAKABLE.to_owned())));
                }
                *self = Self { is_over: true, ..Self::default() };
            }
        }
        Ok(())
    }

    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, Clause>) {
        if std::mem::take(&mut self.is_over) {
            let _ = emit(Envelope::new(turn, Clause::End));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;

    fn phrase(stage: &mut Phrase, turn: u64, delta: TextDelta) -> Vec<Clause> {
        let mut out = Vec::new();
        let emit = &mut |c: Envelope<Clause>| {
            out.push(c.body);
            ControlFlow::Continue(())
        };
        stage.take(Envelope::new(Turn(turn), delta), emit).unwrap();
        out
    }

    #[test]
    fn the_first_clause_leaves_before_the_reply_is_complete() {
        let mut stage = Phrase::default();
        let text = "It is 21.5 degrees in the kitchen. The hall";
        assert_eq!(
            phrase(&mut stage, 1, TextDelta::Text(text.to_owned())),
            [Clause::Text("It is 21.5 degrees in the kitchen.".to_owned())]
        );
        assert_eq!(phrase(&mut stage, 1, TextDelta::End), [Clause::Text("The hall".to_owned()), Clause::End]);
    }

    #[test]
    fn a_reply_of_nothing_but_markup_is_one_honest_sentence_and_silence_stays_silence() {
        let mut stage = Phrase::default();
        let json = r#"{"name": "set_light", "arguments": {"room": "kitchen"}}"#;
        assert!(phrase(&mut stage, 1, TextDelta::Text(json.to_owned())).is_empty());
        assert_eq!(phrase(&mut stage, 1, TextDelta::End), [Clause::Text(UNSPEAKABLE.to_owned()), Clause::End]);
        assert!(phrase(&mut stage, 2, TextDelta::Text(format!("{json} It is on. "))).is_empty());
        assert_eq!(phrase(&mut stage, 2, TextDelta::End), [Clause::Text("It is on.".to_owned()), Clause::End]);
        assert_eq!(phrase(&mut stage, 3, TextDelta::End), [Clause::End]);
    }

    #[test]
    fn a_clause_that_is_taken_back_is_not_spoken() {
        let mut stage = Phrase::default();
        let text = "It is warm. The state of the home can is is".to_owned();
        assert_eq!(phrase(&mut stage, 1, TextDelta::Text(text)), [Clause::Text("It is warm.".to_owned())]);
        assert!(phrase(&mut stage, 1, TextDelta::Cut).is_empty());
        assert!(phrase(&mut stage, 1, TextDelta::Text(" So much.".to_owned())).is_empty());
        assert_eq!(phrase(&mut stage, 1, TextDelta::End), [Clause::Text("So much.".to_owned()), Clause::End]);
    }

    #[test]
    fn what_an_interrupted_reply_left_behind_is_not_spoken_with_the_next() {
        let mut stage = Phrase::default();
        assert!(phrase(&mut stage, 1, TextDelta::Text("The light in".to_owned())).is_empty());
        assert!(phrase(&mut stage, 2, TextDelta::Text("Yes.".to_owned())).is_empty());
        assert_eq!(phrase(&mut stage, 2, TextDelta::End), [Clause::Text("Yes.".to_owned()), Clause::End]);
    }
}
