//! A pause of the language model while the first sound of a reply is made: the model is ahead of the voice by then, and both want the
//! same cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest pause; a voice that takes longer gets no more by it.
const LONGEST: Duration = Duration::from_millis(200);

/// Shared by the model's thread and the voices that make sounds.
#[derive(Clone, Debug, Default)]
pub struct Pause {
    next: Arc<AtomicU64>,
    /// The pauses under way, and when each is over at the latest.
    under_way: Arc<Mutex<Vec<(u64, Instant)>>>,
}

impl Pause {
    /// Has the model pause until the answer is dropped, but not for long. The pause of another voice goes on for as long as that one wants.
    #[must_use]
    pub fn begin(&self) -> Pausing<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.change(|all| all.push((number, Instant::now() + LONGEST)));
        Pausing { pause: self, number }
    }

    /// Whether the model is to pause.
    pub fn is_on(&self) -> bool {
        self.change(|all| {
            let now = Instant::now();
            all.iter().any(|(_, until)| now < *until)
        })
    }

    fn change<T>(&self, with: impl FnOnce(&mut Vec<(u64, Instant)>) -> T) -> T {
        with(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A pause under way.
pub struct Pausing<'a> {
    pause: &'a Pause,
    number: u64,
}

impl Drop for Pausing<'_> {
    fn drop(&mut self) {
        self.pause.change(|all| all.retain(|(number, _)| *number != self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_when_it_is_dropped_or_has_been_long_enough() {
        let pause = Pause::default();
        assert!(!pause.is_on());
        let pausing = pause.begin();
        assert!(pause.clone().is_on());
        drop(pausing);
        assert!(!pause.is_on());
        let _pausing = pause.begin();
        std::thread::sleep(LONGEST + Duration::from_millis(1));
        assert!(!pause.is_on());
    }

    #[test]
    fn the_end_of_one_voices_pause_leaves_that_of_another() {
        let pause = Pause::default();
        let (first, other) = (pause.begin(), pause.clone());
        let second = other.begin();
        drop(first);
        assert!(pause.is_on());
        drop(second);
        assert!(!pause.is_on());
    }
}
