//! Sensor readings: parsing, windows in event time, streaming statistics in bounded memory, anomalies, tables, and the check of every
//! sentence against them.
//!
//! ```
//! use jiff::tz::TimeZone;
//! use nearfield_telemetry::read::{Found, Reader, TextOptions};
//!
//! let mut values: Vec<f64> = Vec::new();
//! let mut take = |found: Found<'_>| {
//!     println!("{}: {} {} {}", found.at.timestamp(), found.key, found.value, found.unit);
//!     values.push(found.value);
//! };
//! let mut reader = Reader::new(&TextOptions::default(), TimeZone::UTC, "value")?;
//! reader.push("time,hall temperature (°C)\n2026-11-20 10:00,20.5\n2026-11-20 10:05,20.9\n".as_bytes(), &mut take)?;
//! reader.end(&mut take)?;
//! assert_eq!(values, [20.5, 20.9]);
//! # Ok::<(), nearfield_telemetry::read::InputError>(())
//! ```
//!
//! The example `report_csv` goes from a file to a report. Everything here is pure: readings carry their times and nothing reads a
//! clock. Sources, the store and the language model are in other crates.

pub mod anomaly;
pub mod ask;
pub mod check;
pub mod clock;
pub mod course;
mod dates;
pub mod examples;
pub mod expected;
pub mod figure;
pub mod forms;
pub mod kind;
pub mod language;
pub mod novelty;
pub mod quantile;
mod rain;
pub mod read;
pub mod sentence;
pub mod statistics;
pub mod table;
pub mod track;
pub mod unit;
pub mod window;
pub mod windows;

use serde::{Deserialize, Serialize};

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;
/// Values beyond this are no reading of any sensor; the square of it, summed a million times, is still a number.
pub const LARGEST_VALUE: f64 = 1e15;
/// Times before this are no time at which a reading was taken: 1990-01-01.
const EARLIEST: i64 = 631_152_000 * MICROS;
/// Nor after this: 2200-01-01.
const LATEST: i64 = 7_258_118_400 * MICROS;

/// A point in time: microseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub i64);

/// The time of a reading that came without any, where its arrival tells when it was taken.
pub const NO_TIME: Moment = Moment(i64::MIN);

impl Moment {
    /// Seconds from `earlier` to this, negative where it comes before.
    pub fn seconds_since(self, earlier: Moment) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / MICROS as f64
    }

    /// This moment and `seconds` more.
    #[must_use]
    pub fn plus_seconds(self, seconds: f64) -> Moment {
        Moment(self.0.saturating_add((seconds * MICROS as f64) as i64))
    }

    /// Whether a reading can have been taken then.
    pub fn is_plausible(self) -> bool {
        (EARLIEST..LATEST).contains(&self.0)
    }

    /// As jiff knows it.
    pub fn timestamp(self) -> jiff::Timestamp {
        // A machine without a clock begins in 1970, and a window may begin before.
        jiff::Timestamp::from_microsecond(self.0.clamp(-EARLIEST, LATEST)).expect("the range lies within jiff's")
    }
}

impl From<jiff::Timestamp> for Moment {
    fn from(timestamp: jiff::Timestamp) -> Self {
        Moment(timestamp.as_microsecond())
    }
}

/// The number of a sensor within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SensorId(pub u32);

/// One value of one sensor at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// When it was taken.
    pub at: Moment,
    /// By which sensor.
    pub sensor: SensorId,
    /// Finite, and no larger than [`LARGEST_VALUE`] either way.
    pub value: f64,
}

/// From one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Its beginning.
    pub from: Moment,
    /// Its end.
    pub to: Moment,
}

impl Span {
    /// How long it is.
    pub fn seconds(self) -> f64 {
        self.to.seconds_since(self.from)
    }
}

/// What is known of a sensor beside its readings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SensorTraits {
    /// What people call it; empty: its key, made readable.
    #[cfg_attr(feature = "schema", schemars(example = &"fridge temperature"))]
    pub name: String,
    /// Its unit; empty: none.
    #[cfg_attr(feature = "schema", schemars(example = &"°C"))]
    pub unit: String,
    /// Readings below this are an anomaly.
    #[cfg_attr(feature = "schema", schemars(example = 2.0))]
    pub low: Option<f64>,
    /// Readings above this are an anomaly.
    #[cfg_attr(feature = "schema", schemars(example = 8.0))]
    pub high: Option<f64>,
    /// How often it reports, in seconds; without it, the median of what was seen.
    #[cfg_attr(feature = "schema", schemars(example = 60.0))]
    pub every_seconds: Option<f64>,
    /// Digits after the point in tables and texts; without it, what its values and their range ask for.
    #[cfg_attr(feature = "schema", schemars(example = 1))]
    pub decimals: Option<u8>,
    /// Its kind, one of measurement, total_increasing (a meter), total, binary, states, percentage, battery, signal, angle and amount (of
    /// each interval); without it, what its unit, its name and its values say.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", example = &"measurement"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<kind::Kind>,
    /// The names of 0 and 1 of a binary sensor, as in ["closed", "open"]; empty: off and on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
}
