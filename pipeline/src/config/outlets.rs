//! `[outlets]`: the other machines that get what a flow makes.

use std::path::PathBuf;
use std::time::Duration;

use nearfield_base::range::in_range;
use nearfield_stages::mqtt::MqttUrl;
use nearfield_stages::outlets::SpoolLimits;
use nearfield_telemetry::window::Length;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::Files;

/// Why a broker is refused where the feature is left out.
pub(crate) const MQTT_LEFT_OUT: &str = "this build leaves MQTT out; build Nearfield with the feature `mqtt`";

/// Other machines that get each caption, alert or report. One is on disk before anything else happens with it, and stays there
/// until the other side has it; a kill or a restart delays it. It may come twice: the same Idempotency-Key says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutletConfig {
    /// A URL that gets each by POST, as JSON; empty: none. What its answer means:
    ///
    /// - 2xx: delivered. 301, 302, 307, 308: followed, the token only to the same host, never from https to http.
    /// - 400, 413, 415, 422: this one is set aside in the spool's folder "refused" with the reason, the next ones go on.
    /// - 401, 403, 407: kept; tried again after 1 minute, then up to 1 hour; a new token in the file is used without a restart.
    /// - 408, 425, 429, 5xx or no answer: kept; tried again after Retry-After, else after 1 s, then up to 5 minutes.
    /// - Anything else, as 404 and 410: kept; tried again after 1 minute, then up to 1 hour: the URL is probably wrong.
    pub webhook: String,
    /// The file that holds its bearer token; empty: none.
    pub webhook_token_file: PathBuf,
    /// A server that takes longer than this is tried again later.
    pub webhook_timeout_s: f64,
    /// A broker that gets each, as in "mqtt://hub.local", at nearfield/NAME/caption/state or nearfield/NAME/report/state, as `[mqtt]`
    /// says; empty: none. What the broker refuses for itself (its size, an access list) is set aside in "refused" with the reason,
    /// the next ones go on.
    pub mqtt: String,
    /// MQTT 3.1.1 does not say when a message is dropped: with it, a message counts as delivered when it comes back (this user must
    /// be allowed to read the topic).
    pub mqtt_confirm: bool,
    /// NAME, and the device in Home Assistant; empty: an id made from the machine and Nearfield's data folder.
    pub name: String,
    /// The topic prefix of Home Assistant's discovery; empty: no discovery messages.
    pub discovery_prefix: String,
    /// The folder for what could not be delivered yet, for one program at a time; empty: `spool` in Nearfield's data folder. To send
    /// a refused one again, move its file one folder up and restart.
    pub spool: PathBuf,
    /// Undelivered ones at most, and refused ones at most; the oldest are discarded, which is logged.
    pub spool_messages: usize,
    /// The same in bytes.
    pub spool_max_bytes: u64,
    /// The same in age, as in "30d"; empty: any age.
    pub spool_max_age: String,
}

impl Default for OutletConfig {
    fn default() -> Self {
        Self {
            webhook: String::new(),
            webhook_token_file: PathBuf::new(),
            webhook_timeout_s: 10.0,
            mqtt: String::new(),
            mqtt_confirm: true,
            name: String::new(),
            discovery_prefix: "homeassistant".to_owned(),
            spool: PathBuf::new(),
            spool_messages: 1000,
            spool_max_bytes: 256 << 20,
            spool_max_age: String::new(),
        }
    }
}

impl OutletConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("webhook_timeout_s", self.webhook_timeout_s, 0.1..=3600.0)?;
        in_range("spool_messages", self.spool_messages, 1..=1_000_000)?;
        in_range("spool_max_bytes", self.spool_max_bytes, 100_000..=10_000_000_000_000)?;
        self.limits()?;
        if !self.mqtt.is_empty() {
            if !cfg!(feature = "mqtt") {
                return Err(format!("mqtt is {:?}, but {MQTT_LEFT_OUT}", self.mqtt));
            }
            self.mqtt.parse::<MqttUrl>().map_err(|e| format!("mqtt: {e}"))?;
        }
        if self.name.len() > 64 || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
            let name = &self.name;
            return Err(format!("name is {name:?} but must be at most 64 of a to z, A to Z, 0 to 9, \"_\" and \"-\""));
        }
        Ok(())
    }

    /// What the spool holds.
    ///
    /// # Errors
    /// The age is no duration.
    pub fn limits(&self) -> Result<SpoolLimits, String> {
        let age = match self.spool_max_age.as_str() {
            "" => None,
            text => {
                let age: Length = text.parse().map_err(|e| format!("spool_max_age: {e}"))?;
                Some(Duration::from_secs_f64(age.seconds()))
            }
        };
        Ok(SpoolLimits { messages: self.spool_messages, bytes: self.spool_max_bytes, age })
    }

    /// Whether another machine gets anything.
    pub fn any(&self) -> bool {
        !self.webhook.is_empty() || !self.mqtt.is_empty()
    }

    /// Lists the files among the keys, so that no output overwrites them.
    pub(crate) fn list(&self, files: &mut Files) {
        files.reads("outlets.webhook_token_file", &self.webhook_token_file);
        files.writes_shared("outlets.spool", &self.spool);
    }

    /// The paths among the keys.
    pub fn paths(&mut self) -> [&mut PathBuf; 2] {
        [&mut self.webhook_token_file, &mut self.spool]
    }
}
