//! The end of a flow: a channel on which nothing is ever sent. Dropping its other end is the signal.

use std::convert::Infallible;

use crossbeam_channel::{Receiver, TryRecvError};

/// Disconnected when whoever holds it is to end. Nothing is ever sent on it, so waiting on it is a sleep that the signal cuts
/// short; `crossbeam_channel::never()` is one that never comes.
pub type StopSignal = Receiver<Infallible>;

/// Whether `stop` has been disconnected.
pub fn is_stopped(stop: &StopSignal) -> bool {
    matches!(stop.try_recv(), Err(TryRecvError::Disconnected))
}
