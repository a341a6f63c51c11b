//! What systemd is told of the process: ready, reloading, stopping, and that it lives. Without `NOTIFY_SOCKET` nothing is. And what it
//! hands over: sockets that it has opened itself (socket activation).

use std::net::TcpListener;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::sleep;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd can't be told: {error}");
    }
}

/// It serves; `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// It reads its configuration again; [`ready`] follows.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It is at its end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Sockets that systemd has opened for the process (`LISTEN_FDS`): the first is for HTTP, the second for Wyoming.
pub struct Sockets {
    sockets: ListenFd,
    at: usize,
}

impl Sockets {
    /// Those that were handed over, once: children of the process get none.
    pub fn inherited() -> Self {
        Self { sockets: ListenFd::from_env(), at: 0 }
    }

    /// The next one, in place of the address in `key`.
    ///
    /// # Errors
    /// There is one, and it is no TCP socket.
    pub fn next(&mut self, key: &str) -> anyhow::Result<Option<TcpListener>> {
        let at = self.at;
        self.at += 1;
        if at >= self.sockets.len() {
            return Ok(None);
        }
        match self.sockets.take_tcp_listener(at).with_context(|| format!("{key}: socket {} of systemd", at + 1))? {
            Some(listener) => Ok(Some(listener)),
            None => bail!("{key}: socket {} of systemd was taken already", at + 1),
        }
    }
}

/// Tells that the thread lives by which everything is answered, twice as often as is asked for.
pub async fn watchdog() {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        tell(&[NotifyState::Watchdog]);
        sleep(period / 2).await;
    }
}
