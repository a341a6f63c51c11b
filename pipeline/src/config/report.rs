//! `report.toml`: the sensor reporter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use nearfield_base::range::in_range;
use nearfield_stages::report::schedule::Schedule;
use nearfield_stages::report::store::{BackupPlan, Retention};
use nearfield_stages::report::topic_mapping::TopicMapping;
use nearfield_telemetry::anomaly::AnomalyOptions;
use nearfield_telemetry::expected::Expected;
use nearfield_telemetry::language::Language;
use nearfield_telemetry::read::TextOptions;
use nearfield_telemetry::unit::System;
use nearfield_telemetry::window::{Length, WindowPlan};
use nearfield_telemetry::{LARGEST_VALUE, SensorTraits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Config, LlmConfig, MqttConfig, OutletConfig, PromptConfig};

/// The whole of `report.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportConfig {
    /// How reports are told.
    pub report: TellingConfig,
    /// The windows over which readings are summarized.
    pub window: WindowConfig,
    /// Which messages of a broker are read, for `--input mqtt://host/topic` or mqtts://host/topic. A broker sends only so many
    /// messages before it wants acknowledgements, and they come when the store has synced: mosquitto's max_inflight_messages of 20
    /// allows some 2,000 messages a second; raise it to 1000 for 20,000. A repeated reading is recognized
    /// by its time: payloads with a time of their own are never counted twice.
    pub source: ReadingsSourceConfig,
    /// How exported files are read; what is empty is inferred from the input, and `report --explain FILE` shows it.
    pub text: TextOptions,
    /// Which readings are used.
    pub readings: ReadingsConfig,
    /// What is known of sensors, by their keys: the column, the path in JSON, or the topic.
    pub sensors: BTreeMap<String, SensorTraits>,
    /// What counts as an anomaly.
    pub anomalies: AnomalyOptions,
    /// Known causes: anomalies that begin at these times are told apart, with the reason.
    pub expected: Vec<Expected>,
    /// Accepted readings on disk, so that nothing is lost and an open window survives a crash. The store is checked when it is opened
    /// and once a day. From a damaged one every readable reading goes into a new file, those that only a copy has from the newest
    /// copy; the damaged file is kept beside it as FILE.damaged-TIME (the last three are kept).
    pub store: StoreConfig,
    /// The language model.
    pub llm: LlmConfig,
    /// The system text of the language model.
    pub prompt: PromptConfig,
    /// Other machines that get each report.
    pub outlets: OutletConfig,
    /// How brokers are spoken to.
    pub mqtt: MqttConfig,
}

/// How reports are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TellingConfig {
    /// The language: "en", "de", "fr" or "es". Sentences of the language model are English only; in the others every sentence is
    /// computed. Names of sensors stay as they are.
    pub language: Language,
}

/// The windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WindowConfig {
    /// 90s, 15m, 1h, 1d, 1w: windows lie on the local calendar, so a day has 23 or 25 hours when the clocks change.
    #[schemars(with = "String")]
    pub length: Length,
    /// How far apart windows begin, for sliding ones: length = "1h", every = "15m"; empty: as far as they are long.
    pub every: String,
    /// The time zone, as in "Europe/Berlin"; empty: the system's.
    pub zone: String,
    /// Live readings may come so much later than newer ones; later still, they are counted and not used.
    pub lateness_s: f64,
    /// A live reading so far ahead of its arrival, or behind it at a constant distance of more than lateness_s too, has a wrong clock:
    /// its sensor is named and the time of arrival used.
    pub clock_tolerance_s: f64,
    /// Readings that may wait for older ones; a file is sorted over so many.
    pub waiting: usize,
    /// A reading so far away from all others is not believed before seven more agree.
    #[schemars(with = "String")]
    pub clock_jump: Length,
    /// When reports are due: "daily at 07:00", "every 1h"; empty: when their window is over.
    pub schedule: String,
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

impl WindowConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        self.plan()?;
        self.due()?;
        in_range("lateness_s", self.lateness_s, 0.0..=86_400.0)?;
        in_range("clock_tolerance_s", self.clock_tolerance_s, 1.0..=86_400.0)?;
        in_range("waiting", self.waiting, 1000..=10_000_000)
    }

    fn time_zone(&self) -> Result<TimeZone, String> {
        match self.zone.as_str() {
            "" => Ok(TimeZone::system()),
            name => TimeZone::get(name)
                .map_err(|_| format!("zone is {name:?} but must be a time zone, as in \"Europe/Berlin\" or \"UTC\"")),
        }
    }

    fn plan(&self) -> Result<WindowPlan, String> {
        let every = match self.every.as_str() {
            "" => self.length,
            text => text.parse().map_err(|e| format!("every: {e}"))?,
        };
        WindowPlan::new(self.length, every, self.time_zone()?).map_err(|e| format!("length: {e}"))
    }

    fn due(&self) -> Result<Schedule, String> {
        self.schedule.parse().map_err(|e| format!("schedule: {e}"))
    }
}

/// Which messages of a broker are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingsSourceConfig {
    /// More topics to subscribe to than the one in the address, with + and #.
    pub topics: Vec<String>,
    /// What messages mean; the first mapping that fits counts. Without one a message is a number, or every number in a JSON object.
    pub mappings: Vec<TopicMapping>,
}

/// Which readings are used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingsConfig {
    /// Readings of more sensors are counted and not used.
    pub max_sensors: usize,
    /// Sensors that are not named under `[sensors]` are skipped.
    pub only_known: bool,
    /// The units in which reports tell values: "own", as sensors give them; "metric"; or "imperial". The store keeps the sensors' own.
    pub units: System,
}

impl Default for ReadingsConfig {
    fn default() -> Self {
        Self { max_sensors: 10_000, only_known: false, units: System::Own }
    }
}

impl ReadingsConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("max_sensors", self.max_sensors, 1..=100_000)
    }
}

/// The store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The database; empty: for MQTT `report.sqlite` in Nearfield's data folder, for files none; "none": none at all.
    pub file: PathBuf,
    /// Older readings are dropped.
    #[schemars(with = "String")]
    pub max_age: Length,
    /// The oldest readings are dropped when they take more.
    pub max_bytes: u64,
    /// A folder for copies of the store, best on another disk; empty: none are made.
    pub backup: PathBuf,
    /// How often a copy is made.
    #[schemars(with = "String")]
    pub backup_every: Length,
    /// Copies at most; the oldest make room.
    pub backups_kept: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            max_age: Length::Days(35),
            max_bytes: 1 << 30,
            backup: PathBuf::new(),
            backup_every: Length::Days(1),
            backups_kept: 3,
        }
    }
}

impl StoreConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("max_bytes", self.max_bytes, 1_000_000..=10_000_000_000_000)?;
        in_range("backups_kept", self.backups_kept, 1..=1000)
    }
}

impl Config for ReportConfig {
    const MOVED: &'static [(&'static str, &'static str)] = &[
        ("llm.max_report_tokens", "llm.max_tokens"),
        ("mqtt.topics", "source.topics"),
        ("mqtt.mappings", "source.mappings"),
    ];

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let own = [&mut self.store.file, &mut self.store.backup];
        own.into_iter().chain(self.mqtt.paths()).chain(self.outlets.paths()).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.window.check().map_err(|e| format!("window.{e}"))?;
        self.readings.check().map_err(|e| format!("readings.{e}"))?;
        self.text.check()?;
        for (key, sensor) in &self.sensors {
            check_sensor(sensor).map_err(|e| format!("sensors.{key}.{e}"))?;
        }
        self.anomalies.check().map_err(|e| format!("anomalies.{e}"))?;
        for (i, expected) in self.expected.iter().enumerate() {
            expected.check().map_err(|e| format!("expected[{i}].{e}"))?;
        }
        self.store.check().map_err(|e| format!("store.{e}"))?;
        self.llm.check().map_err(|e| format!("llm.{e}"))?;
        self.outlets.check().map_err(|e| format!("outlets.{e}"))?;
        self.mqtt.check().map_err(|e| format!("mqtt.{e}"))
    }
}

fn check_sensor(sensor: &SensorTraits) -> Result<(), String> {
    for (limit, value) in [("low", sensor.low), ("high", sensor.high)] {
        value.map_or(Ok(()), |v| in_range(limit, v, -LARGEST_VALUE..=LARGEST_VALUE))?;
    }
    if let (Some(low), Some(high)) = (sensor.low, sensor.high)
        && low >= high
    {
        return Err(format!("low is {low} but must be below high ({high})"));
    }
    sensor.every_seconds.map_or(Ok(()), |s| in_range("every_seconds", s, 0.001..=1e9))?;
    sensor.decimals.map_or(Ok(()), |d| in_range("decimals", d, 0..=9))
}

impl ReportConfig {
    /// The time zone.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn zone(&self) -> Result<TimeZone, String> {
        self.window.time_zone().map_err(|e| format!("window.{e}"))
    }

    /// The grid of windows.
    ///
    /// # Errors
    /// Lengths that don't go together.
    pub fn plan(&self) -> Result<WindowPlan, String> {
        self.window.plan().map_err(|e| format!("window.{e}"))
    }

    /// When reports are due.
    ///
    /// # Errors
    /// It is no schedule.
    pub fn schedule(&self) -> Result<Schedule, String> {
        self.window.due().map_err(|e| format!("window.{e}"))
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
            ("outlets.name=my/house", ["outlets.name", "a to z"]),
            ("outlets.spool_max_age=long", ["outlets.spool_max_age", "long"]),
            ("llm.context_tokens=9", ["llm.context_tokens", "from 64"]),
        ] {
            let message = ReportConfig::load(None, &[set.to_owned()]).unwrap_err().to_string();
            assert!(words.iter().all(|w| message.contains(w)), "{set}: {message}");
        }
        let sets = ["sensors.hall.low=9", "sensors.hall.high=3"].map(str::to_owned);
        let message = ReportConfig::load(None, &sets).unwrap_err().to_string();
        assert!(message.ends_with("sensors.hall.low is 9 but must be below high (3)"), "{message}");
    }
}
