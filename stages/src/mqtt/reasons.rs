//! What brokers, TLS and the system say, in words that tell what to do.

use std::io::ErrorKind;
use std::time::Duration;

use super::packets::Properties;
use super::{MqttError, Version};

/// Why a broker refuses to connect, and whether that stays so until the configuration changes.
pub(super) fn refusal(version: Version, code: u8, said: &Properties) -> (String, bool) {
    let reason = match (version, code) {
        (Version::V3, 1) | (Version::V5, 0x84) => "it does not speak this version of MQTT: set mqtt.version",
        (Version::V3, 2) | (Version::V5, 0x85) => "it rejects the client id: set mqtt.client_id",
        (Version::V3, 3) | (Version::V5, 0x88 | 0x89) => return ("it is not available".to_owned(), false),
        (Version::V3, 4) | (Version::V5, 0x86) => "wrong user or password: set mqtt.user and mqtt.password_file",
        (Version::V3, 5) | (Version::V5, 0x87) => "not authorized: set mqtt.user and mqtt.password_file",
        (Version::V5, 0x8a) => "this client is banned",
        (Version::V5, 0x8c) => "it requires an authentication method that Nearfield does not support",
        (Version::V3, _) => return (format!("code {code:#04x}"), false),
        (Version::V5, _) => return (in_words(code, said), false),
    };
    (reason.to_owned(), true)
}

/// A reason code of MQTT 5 (section 2.4) in words, with what the broker adds.
pub(super) fn in_words(code: u8, said: &Properties) -> String {
    let words = match code {
        0x00 => "normal disconnection",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "an error of its implementation",
        0x87 => "not authorized: its access list must allow this user and topic",
        0x88 => "it is not available",
        0x89 => "it is busy",
        0x8b => "it is shutting down",
        0x8d => "keep-alive timeout",
        0x8e => "session taken over",
        0x8f => "invalid topic filter",
        0x90 => "invalid topic",
        0x93 => "more messages at once than it takes",
        0x95 => "the packet is too large: raise its message_size_limit or max_packet_size",
        0x96 => "too many messages in a short time",
        0x97 => "quota exceeded",
        0x98 => "an administrator ended it",
        0x99 => "the payload's format is invalid",
        0x9a => "it does not retain messages",
        0x9b => "it does not support this quality of service",
        0x9c | 0x9d => "use another server",
        0x9f => "too many connections in a short time",
        0xa0 => "the connection has lasted as long as it allows",
        _ => "an unknown reason",
    };
    let mut text = format!("{words} (code {code:#04x})");
    for said in [&said.reason, &said.other_server].into_iter().flatten() {
        text.push_str(&format!(", {said:?}"));
    }
    text
}

/// What the system says to a connection that could not be made, and what to do.
pub(super) fn connect_failure(error: &std::io::Error, port: u16) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            format!("nothing listens on port {port}: check that the broker runs, and the port in its address")
        }
        ErrorKind::TimedOut => "no answer within 10 s: check the network and firewalls between".to_owned(),
        _ => error.to_string(),
    }
}

/// What is wrong with the broker's side of TLS, and what to do.
pub(super) fn tls_failure(error: &std::io::Error) -> Option<String> {
    use rustls::CertificateError as Certificate;
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let hint = match error {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            "its certificate is not signed by a known authority: set mqtt.ca_file"
        }
        rustls::Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "its certificate is not valid yet: check this machine's clock"
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired: renew it, or check this machine's clock"
        }
        rustls::Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another name: use a name that the certificate holds",
        rustls::Error::InvalidMessage(_) => "it does not speak TLS on this port: use mqtt:// or another port",
        _ => return Some(format!("TLS failed: {error}")),
    };
    Some(hint.to_owned())
}

/// Connections that a broker closed without a reason, soon after it had accepted them: with 3.1.1 the one sign of two clients
/// with the same client id.
#[derive(Debug, Default)]
pub struct CloseStreak {
    closed: u32,
}

impl CloseStreak {
    /// Closed within this time, it counts.
    const SOON: Duration = Duration::from_secs(10);
    /// So many in a row are no coincidence.
    const MANY: u32 = 3;

    /// `error` ended a connection that had held for `held` (`None`: it was never accepted); the text for people.
    pub fn explain(&mut self, error: &MqttError, held: Option<Duration>, client_id: &str) -> String {
        match (error, held) {
            (MqttError::Closed { .. }, Some(held)) if held < Self::SOON => self.closed += 1,
            // While the other client is let in we may not even get an answer.
            (_, None) => {}
            _ => self.closed = 0,
        }
        match self.closed >= Self::MANY && matches!(error, MqttError::Closed { .. }) {
            true => format!(
                "{error}, soon after accepting it and several times in a row: probably another client uses the client id \
                 {client_id:?}; set a different mqtt.client_id in each program"
            ),
            false => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_closed_again_and_again_soon_after_they_were_accepted_are_explained() {
        let closed = MqttError::Closed { broker: "mqtt://b:1883".to_owned() };
        let mut streak = CloseStreak::default();
        let soon = Some(Duration::from_millis(200));
        assert!(!streak.explain(&closed, soon, "me").contains("client id"));
        assert!(!streak.explain(&closed, soon, "me").contains("client id"));
        let text = streak.explain(&closed, soon, "me");
        assert!(text.contains("another client uses the client id \"me\""), "{text}");
        assert!(!streak.explain(&closed, Some(Duration::from_secs(600)), "me").contains("client id"));
    }
}
