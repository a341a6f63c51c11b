//! Failures that another attempt may not meet, and the pause before it.

use std::time::Duration;

use ureq::http::Uri;

use crate::hub::exchange::{Answer, TransferError, shown, sleep};
use crate::hub::{Event, Hub, HubError, Wanted, host};

/// The longest that a server may make us wait before the next attempt.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A failure that the next attempt may not meet.
pub(super) struct Transient {
    pub why: String,
    pub unreachable: bool,
    pub retry_after: Option<Duration>,
}

impl Transient {
    pub(super) fn because(why: &str) -> Self {
        Self { why: shown(why), unreachable: false, retry_after: None }
    }
}

impl Hub {
    /// What an answer other than success means.
    pub(super) fn refusal(&self, wanted: &Wanted<'_>, revision: &str, answer: &Answer) -> Result<Transient, HubError> {
        let code = answer.header("x-error-code").map(shown);
        let of_the_hub = self.exchange.is_endpoint(&answer.uri);
        match answer.status {
            404 | 410 => Err(HubError::NoSuchFile {
                file: wanted.file.to_string(),
                repository: wanted.repository.to_string(),
                revision: revision.to_string(),
                status: answer.status,
                code,
            }),
            401 | 403 if of_the_hub => Err(HubError::Gated {
                repository: wanted.repository.to_string(),
                status: answer.status,
                code,
                page: format!("{}/{}", self.endpoint, wanted.repository),
                had_token: self.has_token,
            }),
            // Where the hub leads to, 403 means that the signed address is too old: the hub gives a new one.
            403 | 408 | 425 | 429 | 500..=599 => Ok(Transient {
                why: format!("{} answered HTTP {}", host(&answer.uri), answer.status),
                unreachable: false,
                retry_after: answer.number("retry-after").map(Duration::from_secs),
            }),
            status => Err(HubError::NotAHub {
                host: host(&answer.uri),
                file: wanted.file.to_string(),
                found: format!("HTTP {status}"),
            }),
        }
    }

    /// What a failed transfer means.
    pub(super) fn transient(
        &self,
        wanted: &Wanted<'_>,
        uri: &Uri,
        error: TransferError,
    ) -> Result<Transient, HubError> {
        match error {
            TransferError::Stopped => Err(HubError::Stopped),
            TransferError::Transient(why) => Ok(Transient::because(&why)),
            TransferError::Unreachable(why) => Ok(Transient { unreachable: true, ..Transient::because(&why) }),
            TransferError::Permanent(why) => Err(HubError::NotAHub {
                host: host(uri),
                file: wanted.file.to_string(),
                found: format!("in a way that cannot be used ({})", shown(&why)),
            }),
        }
    }

    /// Waits before the next attempt.
    pub(super) fn wait(
        &self,
        failures: u32,
        transient: &Transient,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), HubError> {
        let backoff = self.retry.backoff * 2u32.saturating_pow((failures - 1).min(6));
        let after = transient.retry_after.map_or(backoff, |asked| asked.min(MAX_RETRY_AFTER).max(backoff));
        on_event(Event::Retrying { why: &transient.why, after });
        if sleep(after, stop) { Err(HubError::Stopped) } else { Ok(()) }
    }
}
