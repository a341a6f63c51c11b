//! Guesses: work that is begun before it is sure that anybody wants it. Each has a number; it is withdrawn (the speaker goes on) or
//! kept (they had finished). Only the last one that was begun can be kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::flow::{Turn, Turns};

/// The guesses of one flow, shared by its stages.
#[derive(Clone, Debug, Default)]
pub struct Guesses {
    numbers: Turns,
    /// The last guess that was right; 0 before the first.
    kept: Arc<AtomicU64>,
    /// The last guess whose reply begins with the clause that was spoken ahead; 0 before the first.
    begun: Arc<AtomicU64>,
}

impl Guesses {
    /// Begins the next guess.
    pub fn begin(&self) -> Turn {
        self.numbers.begin()
    }

    /// Withdraws all that were not kept.
    pub fn withdraw_all(&self) {
        self.numbers.silence_all();
    }

    /// The guess was right: it can't be withdrawn any more.
    pub fn keep(&self, guess: Turn) {
        self.kept.store(guess.0, Ordering::Release);
    }

    /// Whether work on the guess may still be wanted.
    pub fn is_alive(&self, guess: Turn) -> bool {
        self.is_kept(guess) || self.numbers.is_alive(guess)
    }

    /// Whether the guess was right.
    pub fn is_kept(&self, guess: Turn) -> bool {
        self.kept.load(Ordering::Acquire) == guess.0
    }

    /// The reply that is wanted begins with the clause that is being spoken ahead for this guess: it may be heard.
    pub fn begin_aloud(&self, guess: Turn) {
        self.begun.store(guess.0, Ordering::Release);
    }

    /// Whether what is being spoken ahead for the guess may be heard.
    pub fn is_aloud(&self, guess: Turn) -> bool {
        self.begun.load(Ordering::Acquire) == guess.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_that_was_kept_is_not_withdrawn_with_later_ones() {
        let guesses = Guesses::default();
        let (first, second) = (guesses.begin(), guesses.begin());
        assert!(guesses.is_alive(second) && !guesses.is_kept(second));
        guesses.keep(first);
        guesses.withdraw_all();
        assert!(guesses.is_alive(first) && !guesses.is_alive(second));
        let third = guesses.begin();
        assert!(guesses.is_alive(third) && !guesses.is_kept(third));
    }
}
