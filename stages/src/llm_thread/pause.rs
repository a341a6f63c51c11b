//! A pause of the language model while the first sound of a reply is made: the model is ahead of the voice by then, and both want the
//! same cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest pause; a voice that takes longer gets no more by it.
const LONGEST: Duration = Duration::from_millis(200);

/// Shared by the model's thread and whoever makes the sound.
#[derive(Clone, Debug)]
pub struct Pause {
    since: Instant,
    /// When it is over, in microseconds since `since`; 0: there is none.
    until: Arc<AtomicU64>,
}

impl Default for Pause {
    fn default() -> Self {
        Self { since: Instant::now(), until: Arc::default() }
    }
}

impl Pause {
    /// Has the model pause until the answer is dropped, but not for long.
    #[must_use]
    pub fn begin(&self) -> Pausing<'_> {
        let until = (self.since.elapsed() + LONGEST).as_micros();
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
        Pausing(self)
    }

    /// Whether the model is to pause.
    pub fn is_on(&self) -> bool {
        let until = self.until.load(Ordering::Acquire);
        until > 0 && self.since.elapsed().as_micros() < u128::from(until)
    }
}

/// A pause under way.
pub struct Pausing<'a>(&'a Pause);

impl Drop for Pausing<'_> {
    fn drop(&mut self) {
        self.0.until.store(0, Ordering::Release);
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
}
