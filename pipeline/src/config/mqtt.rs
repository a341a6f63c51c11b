//! `[mqtt]`: how brokers are spoken to, by sources and outlets alike.

use std::path::PathBuf;

use nearfield_base::range::in_range;
use nearfield_stages::mqtt::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How brokers are spoken to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    /// The protocol: "5" or "3.1.1".
    pub version: Version,
    /// The client id; empty: made from the machine and the store or the spool, the same after each restart. Never the same in two
    /// programs: they disconnect each other.
    pub client_id: String,
    /// The user; empty: no login.
    pub user: String,
    /// The file that holds the password.
    pub password_file: PathBuf,
    /// Authorities to trust with mqtts, a PEM file; empty: the well-known ones.
    pub ca_file: PathBuf,
    /// Seconds between the pings that keep the connection open.
    pub keep_alive_s: u64,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            version: Version::V5,
            client_id: String::new(),
            user: String::new(),
            password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            keep_alive_s: 30,
        }
    }
}

impl MqttConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("keep_alive_s", self.keep_alive_s, 1..=3600)
    }

    /// The paths among the keys.
    pub fn paths(&mut self) -> [&mut PathBuf; 2] {
        [&mut self.password_file, &mut self.ca_file]
    }
}
