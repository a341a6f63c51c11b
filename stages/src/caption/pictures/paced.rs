//! The pace of recorded pictures: each has its time, and is given when that has come, or at once.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::flow::{StopSignal, is_stopped};
use crate::voice::capture::Pace;

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

    /// Waits until the picture at `at` is due; [`ControlFlow::Break`] when `stop` came first.
    pub fn wait_for(&mut self, at: Duration, stop: &StopSignal) -> ControlFlow<()> {
        if self.pace == Pace::Fast {
            return if is_stopped(stop) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        }
        let due = *self.begun.get_or_insert_with(|| Instant::now() - at) + at;
        super::sleep_until(due, stop)
    }
}
