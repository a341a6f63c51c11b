//! Ctrl-C and SIGTERM: the first ends the program in good order, the second at once.

use std::convert::Infallible;

use crossbeam_channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A channel that is disconnected when the user asks the program to end. Nothing is ever sent on it.
///
/// # Errors
/// If the system does not let signals be handled.
pub fn stop_signal() -> std::io::Result<Receiver<Infallible>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (keep, stop): (Sender<Infallible>, _) = bounded(0);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut keep = Some(keep);
        for signal in &mut signals {
            if keep.take().is_none() {
                // As a shell reports a program that a signal has killed.
                std::process::exit(128 + signal);
            }
        }
    })?;
    Ok(stop)
}

/// Whether `stop` has been disconnected.
pub fn is_stopped(stop: &Receiver<Infallible>) -> bool {
    matches!(stop.try_recv(), Err(crossbeam_channel::TryRecvError::Disconnected))
}
