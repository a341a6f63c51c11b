//! What a text is read as, for the tests of whole inputs.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use nearfield_telemetry::kind::Kind;
use nearfield_telemetry::read::explain::Explanation;
use nearfield_telemetry::read::{Found, InputError, Reader, Rejected, TextOptions, states};

/// A sensor: its unit, its kind as it is told, and time (UTC) and value of each reading.
#[derive(Debug, Default)]
pub struct Sensor {
    pub name: String,
    pub unit: String,
    pub kind: Option<Kind>,
    pub readings: Vec<(String, f64)>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Outcome {
    pub sensors: BTreeMap<String, Sensor>,
    pub rejected: Rejected,
    /// As `--explain` prints it.
    pub explained: String,
}

impl Outcome {
    pub fn keys(&self) -> Vec<&str> {
        self.sensors.keys().map(String::as_str).collect()
    }

    pub fn sensor(&self, key: &str) -> &Sensor {
        self.sensors.get(key).unwrap_or_else(|| panic!("no {key:?} among {:?}", self.keys()))
    }

    pub fn values(&self, key: &str) -> Vec<f64> {
        self.sensor(key).readings.iter().map(|(_, value)| *value).collect()
    }

    pub fn times(&self, key: &str) -> Vec<&str> {
        self.sensor(key).readings.iter().map(|(at, _)| at.as_str()).collect()
    }

    pub fn unit(&self, key: &str) -> &str {
        &self.sensor(key).unit
    }

    /// The states of a sensor, as they are told.
    pub fn words(&self, key: &str) -> Vec<String> {
        self.values(key).into_iter().map(states::of_code).collect()
    }

    /// The kind that `--explain` prints.
    pub fn is_explained_as(&self, key: &str, kind: &str) -> bool {
        self.explained.lines().any(|line| line.starts_with(&format!("{key} ")) && line.contains(&format!("  {kind}  ")))
    }
}

/// Reads a text in UTC.
pub fn try_read(text: &str) -> Result<Outcome, InputError> {
    try_read_with(text, &TextOptions::default())
}

/// Reads a text in UTC, as options say.
pub fn try_read_with(text: &str, options: &TextOptions) -> Result<Outcome, InputError> {
    let mut reader = Reader::new(options, TimeZone::UTC, "file")?;
    let mut outcome = Outcome::default();
    let mut explanation = Explanation::default();
    let mut emit = |found: Found<'_>| {
        explanation.add(found);
        let sensor = outcome.sensors.entry(found.key.to_owned()).or_default();
        (sensor.name, sensor.unit, sensor.kind) = (found.name.to_owned(), found.unit.to_owned(), found.kind);
        let at = found.at.timestamp().strftime("%m-%d %H:%M").to_string();
        sensor.readings.push((at, (found.value * 1e6).round() / 1e6));
    };
    reader.push(text.as_bytes(), &mut emit)?;
    reader.end(&mut emit)?;
    outcome.rejected = reader.take_rejected();
    explanation.reject(outcome.rejected.clone());
    outcome.explained = explanation.text(&reader, &TimeZone::UTC);
    Ok(outcome)
}

/// Reads a text that can be read.
pub fn read(text: &str) -> Outcome {
    try_read(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
