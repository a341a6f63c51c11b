//! How an input is read, as a table for people: what was decided, and for each sensor its column, unit, kind, first and last value
//! and the cells that were not read.

use std::collections::HashMap;

use super::{Found, Reader, Rejected, states};
use crate::course::Growth;
use crate::figure::Figure;
use crate::kind::{Kind, Seen};
use crate::rain::RainCourse;
use crate::{Moment, SensorTraits};

/// Sensors that are told one by one.
const MAX_SENSORS: usize = 1000;

/// What is gathered of a sensor.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Its key.
    pub key: String,
    /// Its unit.
    pub unit: String,
    /// Its kind, as far as its source and its values tell.
    pub kind: Option<Kind>,
    /// Readings.
    pub count: u64,
    growth: Growth,
    range: (f64, f64),
    rain: Option<RainCourse>,
    /// The first value in the order of the input, and when.
    pub first: (Moment, String),
    /// The last.
    pub last: (Moment, String),
}

impl Explained {
    /// As reports find it: by what is said of the sensor, then by its values.
    fn told_kind(&self, zone: &jiff::tz::TimeZone) -> &'static str {
        let traits = SensorTraits {
            name: self.key.clone(),
            unit: self.unit.clone(),
            kind: self.kind,
            ..SensorTraits::default()
        };
        let seen = Seen { growth: &self.growth, count: self.count, range: self.range };
        let is_amount = self.rain.as_ref().is_some_and(|rain| rain.is_amount(zone)) || seen.is_amount(&traits, false);
        match self.kind {
            _ if is_amount => Kind::Amount.name(),
            None if seen.is_total(&traits, Kind::names_total(&self.key) && self.count < 10) => {
                Kind::TotalIncreasing.name()
            }
            kind => kind.map_or("measurement", Kind::name),
        }
    }
}

/// Gathers what is read.
#[derive(Debug, Default)]
pub struct Explanation {
    sensors: Vec<Explained>,
    places: HashMap<String, usize>,
    beyond: u64,
    rejected: Rejected,
}

impl Explanation {
    /// Takes a reading.
    pub fn add(&mut self, found: Found<'_>) {
        let value = match found.kind {
            Some(Kind::Binary) if !found.states[0].is_empty() => {
                found.states[usize::from(found.value > 0.5)].to_owned()
            }
            Some(Kind::States) => states::of_code(found.value),
            _ => {
                let text = format!("{}", found.value);
                if text.len() > 12 { Figure::exact(found.value, 3).to_string() } else { text }
            }
        };
        if let Some(place) = self.places.get(found.key) {
            let sensor = &mut self.sensors[*place];
            sensor.count += 1;
            sensor.growth.push(found.value);
            sensor.range = (sensor.range.0.min(found.value), sensor.range.1.max(found.value));
            sensor.rain.iter_mut().for_each(|rain| rain.push(found.at, found.value));
            sensor.last = (found.at, value);
            return;
        }
        if self.sensors.len() >= MAX_SENSORS {
            self.beyond += 1;
            return;
        }
        self.places.insert(found.key.to_owned(), self.sensors.len());
        let kind = found.kind.or_else(|| Kind::guess(found.key, found.unit));
        let traits = SensorTraits {
            name: found.key.to_owned(),
            unit: found.unit.to_owned(),
            kind: found.kind,
            ..SensorTraits::default()
        };
        let mut rain = RainCourse::of(&traits);
        rain.iter_mut().for_each(|rain| rain.push(found.at, found.value));
        self.sensors.push(Explained {
            key: found.key.to_owned(),
            unit: found.unit.to_owned(),
            kind,
            count: 1,
            growth: Growth::after(Some(found.value)),
            range: (found.value, found.value),
            rain,
            first: (found.at, value.clone()),
            last: (found.at, value),
        });
    }

    /// Takes what was not read.
    pub fn reject(&mut self, rejected: Rejected) {
        self.rejected = std::mem::take(&mut self.rejected).plus(rejected);
    }

    /// The sensors in the order in which they came.
    pub fn sensors(&self) -> &[Explained] {
        &self.sensors
    }

    /// What was not read.
    pub fn rejected(&self) -> &Rejected {
        &self.rejected
    }

    /// The whole as text.
    pub fn text(&self, reader: &Reader, zone: &jiff::tz::TimeZone) -> String {
        let mut out = String::new();
        for (what, decided) in reader.decisions() {
            out.push_str(&format!("{what:<13} {decided}\n"));
        }
        let time = |at: Moment| at.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let of = |key: &str| self.rejected.by_sensor.get(key);
        let head = ["sensor", "unit", "kind", "readings", "first", "last", "rejected"];
        let mut rows: Vec<[String; 7]> = vec![head.map(str::to_owned)];
        let mut rejected_only: Vec<&String> =
            self.rejected.by_sensor.keys().filter(|k| !self.places.contains_key(*k)).collect();
        rejected_only.sort();
        for sensor in &self.sensors {
            rows.push([
                sensor.key.clone(),
                sensor.unit.clone(),
                sensor.told_kind(zone).to_owned(),
                sensor.count.to_string(),
                format!("{} at {}", sensor.first.1, time(sensor.first.0)),
                format!("{} at {}", sensor.last.1, time(sensor.last.0)),
                of(&sensor.key).map_or(String::new(), |r| r.total().to_string()),
            ]);
        }
        for key in rejected_only {
            let n = of(key).map_or(0, super::RejectedOf::total).to_string();
            rows.push([
                key.clone(),
                String::new(),
                "text, not read".to_owned(),
                "0".to_owned(),
                String::new(),
                String::new(),
                n,
            ]);
        }
        let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..7).map(width).collect();
        out.push('\n');
        for row in &rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, w)| format!("{cell}{}", " ".repeat(w - cell.chars().count())))
                .collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        if self.beyond > 0 {
            out.push_str(&format!("and {} readings of more sensors\n", self.beyond));
        }
        out.push_str(&self.rejected_text());
        if !self.rejected.converted.is_empty() {
            out.push_str("\nConverted:\n");
        }
        for (sensor, count) in &self.rejected.converted {
            let cells = if *count == 1 { "cell" } else { "cells" };
            out.push_str(&format!("{sensor}: {count} {cells} in another unit\n"));
        }
        if !self.rejected.missing.is_empty() {
            out.push_str("\nNumbers that stand for no value (text.missing names others):\n");
        }
        for (sensor, count) in &self.rejected.missing {
            out.push_str(&format!("{sensor}: {count}\n"));
        }
        out
    }

    fn rejected_text(&self) -> String {
        let r = &self.rejected;
        let mut out = String::new();
        let causes = [
            (r.not_utf8, "lines in another encoding"),
            (r.too_long, "lines too long"),
            (r.malformed, "lines with too few or too many columns, or broken"),
            (r.without_time, "lines without a readable time"),
            (r.implausible_time, "lines with a time before 1990 or after 2200"),
            (r.not_a_number, "non-numeric values"),
            (r.not_finite, "values that are NaN or infinite"),
            (r.out_of_range, "values beyond 1e15"),
            (r.ambiguous, "numbers that can be read in two ways (set text.decimal)"),
            (r.without_reading, "messages without a reading"),
            (r.empty, "empty cells"),
        ];
        for (n, what) in causes.iter().filter(|(n, _)| *n > 0) {
            out.push_str(&format!("{n} {what}\n"));
        }
        if !r.sheets.is_empty() {
            out.push_str(&format!("sheets with other columns: {}\n", r.sheets.join(", ")));
        }
        if let Some(line) = r.first_line {
            out.push_str(&format!("the first such line is line {line}\n"));
        }
        for (sensor, of) in &r.by_sensor {
            let examples: Vec<String> = of
                .examples
                .iter()
                .map(|(line, text)| if *line > 0 { format!("{text:?} in line {line}") } else { format!("{text:?}") })
                .collect();
            out.push_str(&format!("{sensor}: {} rejected, as {}\n", of.total(), examples.join(", ")));
        }
        if out.is_empty() { out } else { format!("\nNot read:\n{out}") }
    }
}
