//! Whether work on a turn is still wanted: what long work asks between two pieces of it.

use std::ops::ControlFlow;

use crate::flow::{Turn, Turns};

/// Cancelled when its turn is silenced; see [`Turns::cancel_of`].
#[derive(Clone, Debug)]
pub struct Cancel(Option<(Turns, Turn)>);

impl Cancel {
    /// Never cancelled: for work that belongs to no turn.
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether nobody wants the work any more.
    pub fn is_cancelled(&self) -> bool {
        self.0.as_ref().is_some_and(|(turns, turn)| !turns.is_alive(*turn))
    }

    /// As [`is_cancelled`](Self::is_cancelled), for loops that are told whether to go on.
    pub fn check(&self) -> ControlFlow<()> {
        if self.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Turns {
    /// What work on `turn` asks whether it is still wanted.
    pub fn cancel_of(&self, turn: Turn) -> Cancel {
        Cancel(Some((self.clone(), turn)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_cancelled_with_its_turn_and_with_no_other() {
        let turns = Turns::default();
        let (first, second) = (turns.begin(), turns.begin());
        let (first, second) = (turns.cancel_of(first), turns.cancel_of(second));
        turns.silence_before(Turn(2));
        assert!(first.check().is_break() && second.check().is_continue() && !Cancel::never().is_cancelled());
    }
}
