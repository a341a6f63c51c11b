//! Known causes: what the user has said will happen, and at what times. An anomaly that lies in such a time is told apart from those that
//! nobody expects.

use jiff::Zoned;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::anomaly::Anomaly;
use crate::dates::WEEKDAYS;
use crate::windows::ClosedWindow;
use crate::{Moment, SensorId, SensorTraits};

/// What is expected of sensors at times of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// The sensor's name as reports tell it; `*` stands for any letters.
    #[cfg_attr(feature = "schema", schemars(example = &"boiler *"))]
    pub sensor: String,
    /// From this time of the day, as in "22:00"; empty: from midnight.
    #[cfg_attr(feature = "schema", schemars(example = &"02:00"))]
    pub from: String,
    /// To this time of the day, which may lie after midnight; empty: to the end of the day.
    #[cfg_attr(feature = "schema", schemars(example = &"04:30"))]
    pub to: String,
    /// On these days, as in ["sat", "sun"]; empty: every day.
    #[cfg_attr(feature = "schema", schemars(example = ["sat"]))]
    pub days: Vec<String>,
    /// Why; it is told.
    #[cfg_attr(feature = "schema", schemars(example = &"legionella run"))]
    pub reason: String,
}

/// An anomaly that was expected.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedAnomaly {
    /// Whose.
    pub sensor: SensorId,
    /// What.
    pub anomaly: Anomaly,
    /// Why, in the user's words.
    pub reason: String,
}

impl Expected {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        if self.sensor.trim().is_empty() {
            return Err("sensor is empty: name the sensor as reports tell it, or \"*\" for all".to_owned());
        }
        for (key, text) in [("from", &self.from), ("to", &self.to)] {
            if !text.is_empty() && time(text).is_none() {
                return Err(format!("{key} is {text:?} but must be a time of the day, as in \"22:00\""));
            }
        }
        match self.days.iter().find(|day| weekday(day).is_none()) {
            Some(day) => Err(format!(
                "days names {day:?}: write \"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\" or \"sun\""
            )),
            None => Ok(()),
        }
    }

    /// Whether an anomaly of a sensor of this name that begins at `at` is expected.
    fn covers(&self, name: &str, at: &Zoned) -> bool {
        let (from, to) = (time(&self.from).unwrap_or(Time::midnight()), time(&self.to).unwrap_or(Time::MAX));
        let now = at.time();
        // A time over midnight belongs to the day on which it begins.
        let (is_in, weekday_of) = match from <= to {
            true => (from <= now && now <= to, at.weekday()),
            false if now >= from => (true, at.weekday()),
            false => (now <= to, at.weekday().previous()),
        };
        let is_day = self.days.is_empty() || self.days.iter().any(|d| weekday(d) == Some(weekday_of));
        is_in && is_day && matches(&self.sensor.to_lowercase(), &name.to_lowercase())
    }
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    if (hour, minute) == ("24", "00") {
        return Some(Time::MAX);
    }
    let two = |t: &str| (t.len() <= 2).then(|| t.parse::<i8>().ok()).flatten();
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

fn weekday(text: &str) -> Option<Weekday> {
    let lower = text.trim().to_lowercase();
    WEEKDAYS.iter().find(|(name, _)| lower.len() >= 3 && name.starts_with(&lower)).map(|(_, day)| *day)
}

/// Whether `name` is `pattern`, in which `*` stands for any letters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or("");
    for piece in pieces {
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

impl ClosedWindow {
    /// Takes the anomalies that are expected out of those that are told as such.
    pub fn set_expected_apart(&mut self, expected: &[Expected], traits: &[SensorTraits], zone: &TimeZone) {
        if expected.is_empty() {
            return;
        }
        let ClosedWindow { sensors, expected: apart, .. } = self;
        for summary in sensors {
            let Some(traits) = traits.get(summary.sensor.0 as usize) else { continue };
            let zoned = |at: Moment| at.timestamp().to_zoned(zone.clone());
            summary.anomalies.retain(|anomaly| {
                let at = zoned(anomaly.begins());
                let Some(known) = expected.iter().find(|e| e.covers(&traits.name, &at)) else { return true };
                let reason = known.reason.clone();
                apart.push(ExpectedAnomaly { sensor: summary.sensor, anomaly: *anomaly, reason });
                false
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_days_and_names_decide_what_is_expected() {
        let expected = |sensor: &str, from: &str, to: &str, days: &[&str]| Expected {
            sensor: sensor.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            days: days.iter().map(|d| (*d).to_owned()).collect(),
            reason: String::new(),
        };
        // 2026-03-14 is a Saturday.
        let at = |text: &str| format!("2026-03-{text}:00[Europe/Berlin]").parse::<Zoned>().unwrap();
        for (sensor, from, to, days, when, is) in [
            ("boiler", "02:00", "04:00", &[][..], "14T03:00", true),
            ("Boil*", "02:00", "04:00", &[], "14T04:01", false),
            ("*", "", "", &[], "14T23:59", true),
            ("b*l*r", "22:00", "05:00", &["sat"], "15T04:00", true),
            ("boiler", "22:00", "05:00", &["Sunday"], "15T04:00", false),
            ("boiler", "22:00", "05:00", &["sat"], "14T23:00", true),
            ("boil", "", "", &[], "14T23:00", false),
            ("*x*", "", "", &[], "14T23:00", false),
            ("*", "", "24:00", &[], "14T23:59", true),
        ] {
            let known = expected(sensor, from, to, days);
            assert_eq!(known.check(), Ok(()));
            assert_eq!(known.covers("boiler", &at(when)), is, "{known:?} at {when}");
        }
        for (sensor, from, days) in
            [("", "", &[][..]), ("a", "25:00", &[]), ("a", "noon", &[]), ("a", "", &["today"]), ("a", "", &["month"])]
        {
            assert!(expected(sensor, from, "", days).check().is_err(), "{sensor} {from} {days:?}");
        }
    }
}
