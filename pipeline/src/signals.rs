//! Ctrl-C, SIGTERM and, but for a service, SIGHUP: the first ends the program in good order, the second at once, unless it comes within a
//! second: `timeout`, a terminal and a supervisor may each send one for the same wish, to the program and to its process group. Good order has two
//! seconds: what does not look at the signal (a read that waits for nobody, a model that is being loaded) is ended by force then. Writes that would
//! lose data with the program ([`writes`]) are waited for a little longer.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never};
pub use nearfield_stages::flow::is_stopped;
use nearfield_stages::flow::writes;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// So long after the first signal the program ends by force. With the time that this takes, it is over within two seconds.
const GRACE: Duration = Duration::from_millis(1900);
/// A signal that comes so soon after the first is the same wish, sent twice.
const SAME_WISH: Duration = Duration::from_secs(1);
/// How often writes are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A channel that is disconnected when the user asks the program to end. Nothing is ever sent on it.
///
/// # Errors
/// If the system does not let signals be handled, or can't start a thread.
pub fn stop_signal() -> std::io::Result<Receiver<Infallible>> {
    listen(None)
}

/// As [`stop_signal`], for a service: SIGHUP asks it to read its configuration again, and is told by the second channel. A terminal
/// sends it when it is closed, and then it ends the program, as it ends others.
///
/// # Errors
/// As [`stop_signal`].
pub fn service_signals() -> std::io::Result<(Receiver<Infallible>, Receiver<()>)> {
    if std::io::stdin().is_terminal() {
        return Ok((listen(None)?, never()));
    }
    let (hung_up, reload) = bounded(1);
    Ok((listen(Some(hung_up))?, reload))
}

/// Has the process told to end, as by SIGTERM.
///
/// # Errors
/// The system does not let it.
pub fn end_in_order() -> std::io::Result<()> {
    signal_hook::low_level::raise(SIGTERM)
}

fn listen(hung_up: Option<Sender<()>>) -> std::io::Result<Receiver<Infallible>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (keep, stop): (Sender<Infallible>, _) = bounded(0);
    // The watchdog exists before there is anything to watch: at a signal the system may be short of threads.
    let (ring, bell) = bounded::<i32>(1);
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        if let Ok(signal) = bell.recv() {
            watch(signal, Instant::now());
        }
    })?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let (mut keep, mut first) = (Some(keep), None);
        for signal in &mut signals {
            if let (SIGHUP, Some(hung_up)) = (signal, &hung_up) {
                let _ = hung_up.try_send(());
                continue;
            }
            let since = *first.get_or_insert_with(Instant::now);
            if keep.take().is_none() {
                if since.elapsed() < SAME_WISH {
                    continue;
                }
                end_now(status_of(signal));
            }
            let _ = ring.try_send(signal);
        }
    })?;
    Ok(stop)
}

/// Waits for the program to end, and ends it when it takes too long.
fn watch(signal: i32, begun: Instant) {
    std::thread::sleep(GRACE);
    while writes::are_under_way() && begun.elapsed() < writes::LONGEST {
        std::thread::sleep(LOOK_AGAIN);
    }
    tracing::debug!(signal, "the program did not end in time and is ended by force");
    end_now(status_of(signal));
}

/// As a shell reports a program that a signal has killed.
fn status_of(signal: i32) -> i32 {
    128 + signal
}

/// Ends the program as it is: threads that are still in a library do not see it taken down around them.
pub fn end_now(status: i32) -> ! {
    signal_hook::low_level::exit(status)
}
