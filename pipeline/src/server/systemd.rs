//! What systemd is told of the process: ready, reloading, stopping, and that it lives. Without `NOTIFY_SOCKET` nothing is.

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

/// Tells that the thread lives by which everything is answered, twice as often as is asked for.
pub async fn watchdog() {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        tell(&[NotifyState::Watchdog]);
        sleep(period / 2).await;
    }
}
