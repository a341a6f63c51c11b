//! Whether work on a turn is still wanted: what long work asks between two pieces of it.

use std::ops::ControlFlow;

use crate::flow::{Guesses, Turn, Turns};

/// Cancelled when its turn is silenced ([`Turns::cancel_of`]) or followed by another ([`Turns::cancel_when_followed`]), or its guess
/// withdrawn ([`Cancel::or_withdrawn`]).
#[derive(Clone, Debug)]
pub struct Cancel {
    turn: Option<(Turns, Turn)>,
    /// The last turn after which the work is wanted.
    last: Option<(Turns, Turn)>,
    guess: Option<(Guesses, Turn)>,
}

impl Cancel {
    /// Never cancelled: for work that belongs to no turn.
    pub fn never() -> Self {
        Self { turn: None, last: None, guess: None }
    }

    /// The same for work on a guess, which is cancelled too when that is withdrawn.
    #[must_use]
    pub fn or_withdrawn(self, guesses: &Guesses, guess: Turn) -> Self {
        Self { guess: Some((guesses.clone(), guess)), ..self }
    }

    /// Whether nobody wants the work any more.
    pub fn is_cancelled(&self) -> bool {
        self.turn.as_ref().is_some_and(|(turns, turn)| !turns.is_alive(*turn))
            || self.last.as_ref().is_some_and(|(turns, turn)| turns.is_followed(*turn))
            || self.guess.as_ref().is_some_and(|(guesses, guess)| !guesses.is_alive(*guess))
    }

    /// As [`is_cancelled`](Self::is_cancelled), for loops that are told whether to go on.
    pub fn check(&self) -> ControlFlow<()> {
        if self.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Turns {
    /// What work on `turn` asks whether it is still wanted.
    pub fn cancel_of(&self, turn: Turn) -> Cancel {
        Cancel { turn: Some((self.clone(), turn)), ..Cancel::never() }
    }

    /// What work between `turn` and the next one asks whether it is still wanted: no longer once that one has begun.
    pub fn cancel_when_followed(&self, turn: Turn) -> Cancel {
        Cancel { last: Some((self.clone(), turn)), ..Cancel::never() }
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

    #[test]
    fn work_between_turns_is_cancelled_by_the_next_one_and_not_by_silence() {
        let turns = Turns::default();
        let cancel = turns.cancel_when_followed(turns.begin());
        turns.silence_all();
        assert!(!cancel.is_cancelled());
        turns.begin();
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn work_on_a_guess_is_cancelled_with_the_guess_unless_that_was_kept() {
        let (turns, guesses) = (Turns::default(), Guesses::default());
        let turn = turns.begin();
        let (first, second) = (guesses.begin(), guesses.begin());
        let cancel = |guess| turns.cancel_of(turn).or_withdrawn(&guesses, guess);
        let (first_cancel, second_cancel) = (cancel(first), cancel(second));
        guesses.keep(first);
        guesses.withdraw_all();
        assert!(!first_cancel.is_cancelled() && second_cancel.is_cancelled());
        turns.silence_all();
        assert!(first_cancel.is_cancelled());
    }
}
