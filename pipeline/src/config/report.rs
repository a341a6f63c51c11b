//! What a user writes into `report.toml`, and on the command line with `--set`.
//!
//! Read once, checked once, plain data from then on. Every key has a default, so an empty file is complete;
//! `configs/report.toml` shows all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use nearfield_base::range::in_range;
use nearfield_llm::{CacheType, SamplerOptions};
use nearfield_stages::mqtt::{MqttUrl, Version};
use nearfield_stages::outlets::SpoolLimits;
use nearfield_stages::report::read_mqtt::TopicMapping;
use nearfield_stages::report::schedule::Schedule;
use nearfield_stages::report::store::{BackupPlan, Retention};
use nearfield_telemetry::anomaly::AnomalyOptions;
use nearfield_telemetry::read::TextOptions;
use nearfield_telemetry::window::{Length, WindowPlan};
use nearfield_telemetry::{LARGEST_VALUE, SensorTraits};
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, load};

/// The whole of `report.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportConfig {
    /// The windows.
    pub window: WindowConfig,
    /// How text is read.
    pub text: TextOptions,
    /// The broker.
    pub mqtt: MqttConfig,
    /// Sensors in general.
    pub readings: ReadingsConfig,
    /// What is known of some sensors, by their keys.
    pub sensors: BTreeMap<String, SensorTraits>,
    /// When something is out of the ordinary.
    pub anomalies: AnomalyOptions,
    /// The store.
    pub store: StoreConfig,
    /// The language model.
    pub llm: ReportLlmConfig,
    /// Where reports go besides the output.
    pub outlets: OutletsConfig,
}

/// `[window]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowConfig {
    /// How long a window is.
    pub length: Length,
    /// How far apart windows begin; empty: as long as they are.
    pub every: String,
    /// The time zone; empty: the system's.
    pub zone: String,
    /// How much later than the newest a reading may come, where readings come live.
    pub lateness_s: f64,
    /// A live reading whose time is farther ahead of its arrival than this has a wrong clock.
    pub clock_tolerance_s: f64,
    /// Readings that may wait for older ones.
    pub waiting: usize,
    /// A reading so much ahead of all others is not believed before others agree.
    pub clock_jump: Length,
    /// When reports are due.
    pub schedule: String,
}

/// `[mqtt]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    /// "3.1.1" or "5".
    pub version: Version,
    /// The client id; empty: made from the machine and the store, the same after each restart.
    pub client_id: String,
    /// The user; empty: none.
    pub user: String,
    /// The file that holds the password.
    pub password_file: PathBuf,
    /// Authorities to trust for mqtts, a PEM file; empty: the well-known ones.
    pub ca_file: PathBuf,
    /// How often we say that we are there.
    pub keep_alive_s: u64,
    /// More topics than the one in the address.
    pub topics: Vec<String>,
    /// What messages mean.
    pub mappings: Vec<TopicMapping>,
}

/// `[readings]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingsConfig {
    /// Sensors at most.
    pub max_sensors: usize,
    /// Whether sensors that are not under `[sensors]` are passed over.
    pub only_known: bool,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The file; empty: for MQTT `report.sqlite` in Nearfield's data folder, for files none; "none": none.
    pub file: String,
    /// Readings older than this are dropped.
    pub max_age: Length,
    /// The oldest readings are dropped when they take more than this.
    pub max_bytes: u64,
    /// The folder for copies of the store; empty: none are made.
    pub backup: PathBuf,
    /// How often a copy is made.
    pub backup_every: Length,
    /// Copies at most; the oldest make room.
    pub backups_kept: usize,
}

/// `[llm]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportLlmConfig {
    /// A model's name, the path of a GGUF file, or "none".
    pub model: String,
    /// Tokens that the cache has room for.
    pub context_tokens: usize,
    /// How keys and values are kept.
    pub cache: CacheType,
    /// Threads; 0: chosen from the cores.
    pub threads: usize,
    /// The longest report.
    pub max_report_tokens: usize,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
}

/// `[outlets]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutletsConfig {
    /// A URL that gets each report by POST; empty: none.
    pub webhook: String,
    /// The file that holds its bearer token; empty: none.
    pub webhook_token_file: PathBuf,
    /// A server that takes longer than this is tried again later.
    pub webhook_timeout_s: f64,
    /// A broker that gets each report; empty: none.
    pub mqtt: String,
    /// What this installation is called in topics and by Home Assistant; empty: an id made from the machine and the data folder.
    pub name: String,
    /// With MQTT 3.1.1: a message counts as delivered only when the broker sends it back.
    pub mqtt_confirm: bool,
    /// Where Home Assistant looks for announcements; empty: it is not told.
    pub discovery_prefix: String,
    /// The folder for what could not be delivered yet; empty: `spool` in Nearfield's data folder.
    pub spool: PathBuf,
    /// Undelivered reports at most, and refused ones at most.
    pub spool_messages: usize,
    /// Their bytes at most.
    pub spool_max_bytes: u64,
    /// Their age at most; empty: any.
    pub spool_max_age: String,
}

impl Default for WindowConfig {
    fn default() -> Self {
        Self {
            length: Length::Days(1),
            every: String::new(),
            zone: String::new(),
            lateness_s: 30.0,
            clock_tolerance_s: 30.0,
            waiting: 200_000,
            clock_jump: Length::Days(30),
            schedule: String::new(),
        }
    }
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
            topics: Vec::new(),
            mappings: Vec::new(),
        }
    }
}

impl Default for ReadingsConfig {
    fn default() -> Self {
        Self { max_sensors: 10_000, only_known: false }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            file: String::new(),
            max_age: Length::Days(35),
            max_bytes: 1 << 30,
            backup: PathBuf::new(),
            backup_every: Length::Days(1),
            backups_kept: 3,
        }
    }
}

impl Default for ReportLlmConfig {
    fn default() -> Self {
        Self {
            model: "talk-nano".to_owned(),
            context_tokens: 1024,
            cache: CacheType::F16,
            threads: 0,
            max_report_tokens: 200,
            sampler: SamplerOptions::default(),
        }
    }
}

impl Default for OutletsConfig {
    fn default() -> Self {
        Self {
            webhook: String::new(),
            webhook_token_file: PathBuf::new(),
            webhook_timeout_s: 10.0,
            mqtt: String::new(),
            name: String::new(),
            mqtt_confirm: true,
            discovery_prefix: "homeassistant".to_owned(),
            spool: PathBuf::new(),
            spool_messages: 1000,
            spool_max_bytes: 256 << 20,
            spool_max_age: String::new(),
        }
    }
}

impl OutletsConfig {
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
            self.mqtt.parse::<MqttUrl>().map_err(|e| format!("mqtt: {e}"))?;
        }
        if self.name.len() > 64 || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
            let name = &self.name;
            return Err(format!("name is {name:?} but must be at most 64 letters, digits, \"_\" and \"-\""));
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
}

impl ReportConfig {
    /// Reads `path` (or starts from the defaults), then applies each `key=value` of `sets`.
    ///
    /// # Errors
    /// A file that can't be read, a key that is unknown, a value of the wrong type or out of range; each with its place.
    pub fn load(path: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        load(path, sets, Self::resolve, Self::check)
    }

    /// Relative paths in a file start at the file.
    fn resolve(&mut self, folder: &Path) {
        for path in [
            &mut self.mqtt.password_file,
            &mut self.mqtt.ca_file,
            &mut self.outlets.webhook_token_file,
            &mut self.outlets.spool,
            &mut self.store.backup,
        ] {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        }
        if !matches!(self.store.file.as_str(), "" | "none") {
            self.store.file = folder.join(&self.store.file).to_string_lossy().into_owned();
        }
    }

    fn check(&self) -> Result<(), String> {
        self.plan()?;
        self.schedule()?;
        in_range("window.lateness_s", self.window.lateness_s, 0.0..=86_400.0)?;
        in_range("window.clock_tolerance_s", self.window.clock_tolerance_s, 1.0..=86_400.0)?;
        in_range("window.waiting", self.window.waiting, 1000..=10_000_000)?;
        in_range("readings.max_sensors", self.readings.max_sensors, 1..=100_000)?;
        in_range("mqtt.keep_alive_s", self.mqtt.keep_alive_s, 1..=3600)?;
        in_range("store.max_bytes", self.store.max_bytes, 1_000_000..=10_000_000_000_000)?;
        in_range("store.backups_kept", self.store.backups_kept, 1..=1000)?;
        self.outlets.check().map_err(|e| format!("outlets.{e}"))?;
        in_range("llm.context_tokens", self.llm.context_tokens, 256..=1_000_000)?;
        in_range("llm.max_report_tokens", self.llm.max_report_tokens, 16..=self.llm.context_tokens / 2)?;
        in_range("llm.threads", self.llm.threads, 0..=256)?;
        self.llm.sampler.check().map_err(|e| format!("llm.sampler.{e}"))?;
        self.anomalies.check().map_err(|e| format!("anomalies.{e}"))?;
        self.text.check()?;
        for (key, sensor) in &self.sensors {
            let named = |e: String| format!("sensors.{key}.{e}");
            if let (Some(low), Some(high)) = (sensor.low, sensor.high)
                && low >= high
            {
                return Err(format!("sensors.{key}: low is {low} and high is {high}, but low must be below high"));
            }
            for (limit, value) in [("low", sensor.low), ("high", sensor.high)] {
                value.map_or(Ok(()), |v| in_range(limit, v, -LARGEST_VALUE..=LARGEST_VALUE)).map_err(named)?;
            }
            sensor.every_seconds.map_or(Ok(()), |s| in_range("every_seconds", s, 0.001..=1e9)).map_err(named)?;
            sensor.decimals.map_or(Ok(()), |d| in_range("decimals", d, 0..=9)).map_err(named)?;
        }
        Ok(())
    }

    /// The time zone.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn zone(&self) -> Result<TimeZone, String> {
        match self.window.zone.as_str() {
            "" => Ok(TimeZone::system()),
            name => TimeZone::get(name).map_err(|_| {
                format!("window.zone is {name:?} but must be a time zone, as in \"Europe/Berlin\" or \"UTC\"")
            }),
        }
    }

    /// The grid of windows.
    ///
    /// # Errors
    /// Lengths that don't go together.
    pub fn plan(&self) -> Result<WindowPlan, String> {
        let every = match self.window.every.as_str() {
            "" => self.window.length,
            text => text.parse().map_err(|e| format!("window.every: {e}"))?,
        };
        WindowPlan::new(self.window.length, every, self.zone()?).map_err(|e| format!("window: {e}"))
    }

    /// When reports are due.
    ///
    /// # Errors
    /// It is no schedule.
    pub fn schedule(&self) -> Result<Schedule, String> {
        self.window.schedule.parse().map_err(|e| format!("window.schedule: {e}"))
    }

    /// Where copies of the store go; `None` when none are to be made.
    pub fn backups(&self) -> Option<BackupPlan> {
        (!self.store.backup.as_os_str().is_empty()).then(|| BackupPlan {
            folder: self.store.backup.clone(),
            every: Duration::from_secs_f64(self.store.backup_every.seconds()),
            keep: self.store.backups_kept,
        })
    }

    /// How much the store keeps.
    pub fn retention(&self) -> Retention {
        Retention { age: Duration::from_secs_f64(self.store.max_age.seconds()), bytes: self.store.max_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_is_the_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/report.toml");
        assert_eq!(ReportConfig::load(Some(&path), &[]).unwrap(), ReportConfig::default());
    }

    #[test]
    fn wrong_values_are_named_with_what_would_be_right() {
        for (set, words) in [
            ("window.length=fortnight", ["1h", "fortnight"]),
            ("window.every=2d", ["window", "leave readings out"]),
            ("window.zone=Mars", ["Mars", "Europe/Berlin"]),
            ("window.schedule=often", ["often", "daily at 07:00"]),
            ("window.lateness_s=-1", ["window.lateness_s", "from 0"]),
            ("mqtt.version=6", ["3.1.1", "5"]),
            ("anomalies.spikes=3", ["spikes", "spike_z"]),
            ("outlets.mqtt=localhost", ["outlets.mqtt", "mqtt://"]),
            ("outlets.name=my/house", ["outlets.name", "letters"]),
            ("outlets.spool_max_age=long", ["outlets.spool_max_age", "long"]),
            ("llm.context_tokens=9", ["llm.context_tokens", "256"]),
        ] {
            let message = ReportConfig::load(None, &[set.to_owned()]).unwrap_err().to_string();
            assert!(words.iter().all(|w| message.contains(w)), "{set}: {message}");
        }
        let sets = ["sensors.hall.low=9", "sensors.hall.high=3"].map(str::to_owned);
        assert!(ReportConfig::load(None, &sets).unwrap_err().to_string().contains("sensors.hall"));
    }
}
