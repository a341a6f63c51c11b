//! What happens to a running process: its language model has panicked, it is to read its configuration again, or it is to end.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, select};
use nearfield_stages::flow::{StopSignal, is_stopped};
use tokio::sync::oneshot;

use super::reload::{Changes, reload};
use super::{Base, Current, load, systemd};
use crate::output::terminal::chain;

/// An order to read the configuration again, and who is told what came of it.
pub type Order = oneshot::Sender<Result<Changes, String>>;

/// By what a process is called.
pub struct Calls {
    /// The language model has panicked.
    pub panicked: Receiver<()>,
    /// SIGHUP.
    pub hung_up: Receiver<()>,
    /// `nearfield reload`.
    pub ordered: Receiver<Order>,
}

/// Does what it is called for, until `stop`.
pub fn run(mut base: Base, current: &Current, calls: &Calls, stop: &StopSignal) {
    while !is_stopped(stop) {
        select! {
            recv(stop) -> _ => return,
            recv(calls.panicked) -> _ => replace_panicked(&base, current, stop),
            recv(calls.hung_up) -> _ => drop(reloaded(&mut base, current)),
            recv(calls.ordered) -> order => {
                let done = reloaded(&mut base, current);
                if let Ok(order) = order {
                    // Who ordered it may have left.
                    let _ = order.send(done);
                }
            }
        }
    }
}

/// Reads the configuration again, and says in the log what came of it.
fn reloaded(base: &mut Base, current: &Current) -> Result<Changes, String> {
    systemd::reloading();
    let done = reload(base, current).map_err(|error| chain(&error));
    let said = match &done {
        Ok(changes) => format!("the configuration was read again: {changes}"),
        Err(reason) => format!("the configuration was read again, and nothing was changed: {reason}"),
    };
    match &done {
        Ok(_) => tracing::warn!("{said}"),
        Err(_) => tracing::error!("{said}"),
    }
    systemd::ready(&said.replace(char::is_control, " "));
    done
}

/// Puts a new server in the place of one whose language model has panicked.
fn replace_panicked(base: &Base, current: &Current, stop: &StopSignal) {
    tracing::error!("the language model has panicked and is started again; what was being answered has failed");
    match load(base) {
        Ok(server) => *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(server),
        Err(error) => tracing::error!("the language model can't be started again: {error:#}"),
    }
    // One that panics at once is not tried without a pause.
    let _: Result<_, RecvTimeoutError> = stop.recv_timeout(Duration::from_secs(1));
}
