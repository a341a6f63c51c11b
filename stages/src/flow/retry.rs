//! What fails for a while, as writing to a full disk does, and is tried again until it succeeds or the program ends.

use std::time::Duration;

use crate::flow::StopSignal;

/// Calls `attempt` until it succeeds. After each failure `pause` says how long to wait, or that it is to be given up.
///
/// # Errors
/// That of the last attempt: it was given up, or `stop` came while it failed.
pub fn retry<T, E>(
    stop: &StopSignal,
    mut attempt: impl FnMut() -> Result<T, E>,
    mut pause: impl FnMut(&E) -> Option<Duration>,
) -> Result<T, E> {
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Some(wait) = pause(&error) else { return Err(error) };
        // Nothing is ever sent on `stop`: it either times out or is disconnected.
        if stop.recv_timeout(wait).is_err_and(|e| e.is_disconnected()) {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_until_it_succeeds_is_given_up_or_the_program_ends() {
        let (sender, stop) = crossbeam_channel::bounded(0);
        let wait = |_: &i32| Some(Duration::from_millis(1));
        let mut n = 0;
        let mut fail = || {
            n += 1;
            if n % 5 == 0 { Ok(n) } else { Err(n) }
        };
        assert_eq!(retry(&stop, &mut fail, wait), Ok(5));
        assert_eq!(retry(&stop, &mut fail, |n| (*n < 7).then_some(Duration::ZERO)), Err(7));
        drop(sender);
        assert_eq!(retry(&stop, &mut fail, |_| Some(Duration::from_secs(3600))), Err(8));
    }
}
