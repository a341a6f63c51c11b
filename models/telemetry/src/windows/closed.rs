//! A closed window: what was gathered of each sensor in it, and what was not used.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::anomaly::Anomaly;
use crate::course::StateTimes;
use crate::expected::ExpectedAnomaly;
use crate::statistics::Statistics;
use crate::track::Track;
use crate::{SensorId, Span};

/// What was not used, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// Came after their window was closed.
    pub late: u64,
    /// Same sensor, same time as another: the first one counts.
    pub duplicates: u64,
    /// Those among the duplicates that have another value than the first one.
    pub conflicting: u64,
    /// A time far away that no other reading agreed with.
    pub implausible_times: u64,
}

/// What was not used of one sensor, where its time was the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnusedOf {
    /// Came after their window was closed.
    pub late: u64,
    /// A time far away that no other reading agreed with.
    pub implausible_times: u64,
}

/// One sensor in a closed window.
#[derive(Clone, Debug)]
pub struct SensorSummary {
    /// Which.
    pub sensor: SensorId,
    /// Its figures; `None` when it gave no readings.
    pub statistics: Option<Statistics>,
    /// Mean against the window before.
    pub change: Option<f64>,
    /// Mean against the same window of the day before.
    pub change_from_day_before: Option<f64>,
    /// The usual time between two readings, in seconds.
    pub usual_pause: Option<f64>,
    /// What was out of the ordinary, in the order of time.
    pub anomalies: Vec<Anomaly>,
    /// Times out of limits beyond those among the anomalies.
    pub more_out_of_limits: u64,
    /// Its course, for plots.
    pub track: Track,
    /// It counts up: what counts is its growth, and `change` compares that.
    pub is_total: bool,
    /// Each reading is what came since the one before: what counts is their sum, and `change` compares that.
    pub is_amount: bool,
    /// In so many days a battery is empty, if it goes on as since it was last charged.
    pub lasts_days: Option<f64>,
    /// How long it was in each state, of a sensor of states.
    pub states: Option<StateTimes>,
}

/// A closed window.
#[derive(Clone, Debug)]
pub struct ClosedWindow {
    /// From its beginning to its end.
    pub span: Span,
    /// Every sensor that is known by then, in the order of their numbers.
    pub sensors: Vec<SensorSummary>,
    /// What was not used since the last window was closed.
    pub unused: Unused,
    /// The same by sensor, where its time was the reason.
    pub unused_of: BTreeMap<SensorId, UnusedOf>,
    /// Empty windows before this one that are not told one by one.
    pub skipped: u64,
    /// Anomalies with a known cause.
    pub expected: Vec<ExpectedAnomaly>,
    /// Whether the input ended before the window did.
    pub cut_short: bool,
}

impl ClosedWindow {
    /// Readings in it.
    pub fn readings(&self) -> u64 {
        self.sensors.iter().filter_map(|s| s.statistics.as_ref()).map(|s| s.count).sum()
    }
}
