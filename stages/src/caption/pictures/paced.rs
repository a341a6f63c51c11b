//! The pace of recorded pictures: each has its time, and is given when that has come, or at once.

use std::time::{Duration, Instant};

use crate::voice::capture::{Pace, StopSignal};

/// Tells when the picture with a given time is due.
#[derive(Clone, Debug)]
pub struct Clock {
    pace: Pace,
    begun: Option<Instant>,
}

impl Clock {
    /// A clock that starts with the first picture.
    pub fn new(pace: Pace) -> Self {
        Self { pace, begun: None }
    }

    /// Waits until the picture at `at` is due; answers false when `stop` came first.
    pub fn wait_for(&mut self, at: Duration, stop: &StopSignal) -> bool {
        if self.pace == Pace::Fast {
            return !super::is_stopped(stop);
        }
        let due = *self.begun.get_or_insert_with(|| Instant::now() - at) + at;
        // Nothing is ever sent on `stop`: it either times out or is disconnected.
        !stop.recv_deadline(due).is_err_and(|e| e.is_disconnected())
    }
}
