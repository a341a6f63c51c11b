//! MQTT 3.1.1 and 5 over TCP or TLS, as much of it as a source and an outlet need: connect, subscribe, receive at QoS 0 and 1
//! with acknowledgements sent when we say so, publish at QoS 1, keep alive. One blocking connection, no threads of its own.
//!
//! Written here because the crates bring an async runtime, or are codecs without the connection. Packets from the broker are
//! bounded in length before anything is allocated. Sources: OASIS MQTT 3.1.1 and MQTT 5.0.
//!
//! Without the feature `mqtt` only addresses and options remain, so that a configuration which asks for a broker can be refused by
//! the key's name.

mod address;
#[cfg(feature = "mqtt")]
mod connection;
#[cfg(feature = "mqtt")]
mod packets;
#[cfg(feature = "mqtt")]
mod reasons;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use address::MqttUrl;
#[cfg(feature = "mqtt")]
pub use connection::Connection;
#[cfg(feature = "mqtt")]
pub use reasons::CloseStreak;

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub enum Version {
    /// 3.1.1.
    #[serde(rename = "3.1.1")]
    V3,
    /// 5.0.
    #[serde(rename = "5")]
    V5,
}

impl<'de> Deserialize<'de> for Version {
    /// "3.1.1", "5", or the number 5, as people write it.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Number(5)) => Ok(Version::V5),
            Ok(Written::Text(text)) if text == "5" => Ok(Version::V5),
            Ok(Written::Text(text)) if text == "3.1.1" => Ok(Version::V3),
            _ => Err(serde::de::Error::custom("the version of MQTT must be \"3.1.1\" or \"5\"")),
        }
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Where.
    pub url: MqttUrl,
    /// Which protocol.
    pub version: Version,
    /// Who we are; the broker keeps what it has for us under this name.
    pub client_id: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Authorities to trust instead of the well-known ones, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// Whether the broker shall keep messages for us while we are away.
    pub keep_session: bool,
    /// How often we say that we are still there.
    pub keep_alive: Duration,
}

#[cfg(test)]
impl ConnectOptions {
    /// To an address where nobody listens.
    pub(crate) fn to_nobody() -> Self {
        Self {
            url: "mqtt://127.0.0.1:1".parse().expect("an address"),
            version: Version::V5,
            client_id: "test".to_owned(),
            login: None,
            ca_file: None,
            keep_session: false,
            keep_alive: Duration::from_secs(30),
        }
    }
}

/// What the broker tells others when our connection breaks, and keeps for those who come later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
}

/// What went wrong between us and a broker.
#[derive(Debug, Error)]
pub enum MqttError {
    /// Nobody there, or the line broke.
    #[error("the broker {broker} can't be reached: {reason}")]
    Unreachable {
        /// The broker.
        broker: String,
        /// The system's word.
        reason: String,
    },
    /// The broker does not want us.
    #[error("the broker {broker} refuses the connection: {reason}")]
    Refused {
        /// The broker.
        broker: String,
        /// Its reason.
        reason: String,
        /// Whether it will be the same until somebody changes the configuration.
        permanent: bool,
    },
    /// The broker has ended the connection, and said why (MQTT 5).
    #[error("the broker {broker} ended the connection: {reason}")]
    Ended {
        /// The broker.
        broker: String,
        /// Its reason code.
        code: u8,
        /// The code in words.
        reason: String,
    },
    /// The connection has ended without a word.
    #[error("the broker {broker} closed the connection without a reason")]
    Closed {
        /// The broker.
        broker: String,
    },
    /// The broker does not take this one message.
    #[error("the broker {broker} refuses the message: {reason}")]
    MessageRefused {
        /// The broker.
        broker: String,
        /// Its reason code.
        code: u8,
        /// The code in words.
        reason: String,
    },
    /// It violates the protocol.
    #[error("the broker {broker} violates the MQTT protocol: {reason}")]
    Protocol {
        /// The broker.
        broker: String,
        /// What is wrong.
        reason: String,
    },
    /// Our side of TLS can't be set up.
    #[error("TLS can't be used: {0}")]
    Tls(String),
}

/// A message from the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Its number, to be acknowledged; `None` at QoS 0.
    pub number: Option<u16>,
    /// Whether its payload was read; one of more than a mebibyte was not.
    pub whole: bool,
}

/// Reason codes of MQTT 5 that decide what is done.
pub mod code {
    /// Unspecified error.
    pub const UNSPECIFIED: u8 = 0x80;
    /// Implementation specific error.
    pub const IMPLEMENTATION: u8 = 0x83;
    /// Not authorized.
    pub const NOT_AUTHORIZED: u8 = 0x87;
    /// Session taken over.
    pub const TAKEN_OVER: u8 = 0x8e;
    /// Topic name invalid.
    pub const TOPIC_INVALID: u8 = 0x90;
    /// Packet too large.
    pub const PACKET_TOO_LARGE: u8 = 0x95;
    /// Quota exceeded.
    pub const QUOTA_EXCEEDED: u8 = 0x97;
    /// Payload format invalid.
    pub const PAYLOAD_FORMAT: u8 = 0x99;
}

/// Whether `topic` is one that `filter` asks for.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(f), Some(t)) if f == t => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, fits) in [
            ("home/#", "home/a/b", true),
            ("home/#", "home", true),
            ("#", "a/b", true),
            ("home/+/t", "home/a/t", true),
            ("home/+", "home/a/t", false),
            ("home/a", "home/b", false),
            ("+", "a", true),
        ] {
            assert_eq!(matches(filter, topic), fits, "{filter} {topic}");
        }
    }
}
