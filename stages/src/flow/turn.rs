//! Turns: the number that every message carries, and the one comparison by which a reply is cancelled.
//!
//! A flow (one conversation, one camera, one set of sensors) counts its turns upwards. Whoever hears new speech begins a
//! turn and may silence all earlier ones; everybody else only asks whether a message's turn is still alive. There are no
//! cancellation tokens, flags or exceptions besides this.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// The number of a turn within its flow; the first turn is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Turn(pub u64);

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The turn counter of one flow, shared by its stages.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    /// The last turn that was begun.
    last: AtomicU64,
    /// Turns below this number are silenced.
    oldest_alive: AtomicU64,
}

impl Turns {
    /// Begins the next turn and leaves the earlier ones to finish.
    pub fn begin(&self) -> Turn {
        Turn(self.0.last.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Silences every turn before `turn`: what they still have under way is dropped wherever it is.
    pub fn silence_before(&self, turn: Turn) {
        self.0.oldest_alive.fetch_max(turn.0, Ordering::AcqRel);
    }

    /// Silences every turn begun so far.
    pub fn silence_all(&self) {
        self.silence_before(Turn(self.0.last.load(Ordering::Acquire) + 1));
    }

    /// Whether a later turn has begun.
    pub fn is_followed(&self, turn: Turn) -> bool {
        self.0.last.load(Ordering::Acquire) > turn.0
    }

    /// Whether `turn` may still be worked on.
    pub fn is_alive(&self, turn: Turn) -> bool {
        turn.0 >= self.0.oldest_alive.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silencing_a_turn_leaves_it_and_the_later_ones_alive() {
        let turns = Turns::default();
        let (a, b) = (turns.begin(), turns.begin());
        assert!(turns.is_alive(a) && turns.is_alive(b));
        turns.silence_before(b);
        assert!(!turns.is_alive(a) && turns.is_alive(b));
        turns.silence_before(a); // An older word never revives.
        assert!(!turns.is_alive(a));
        turns.silence_all();
        assert!(!turns.is_alive(b) && turns.is_alive(turns.begin()));
    }
}
