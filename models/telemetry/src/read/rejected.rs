//! What was not read, counted by cause and by sensor, with the lines and the cells that show it.

use std::collections::BTreeMap;

use serde::Serialize;

/// Sensors whose rejected cells are counted one by one.
const MAX_SENSORS: usize = 256;
/// Examples kept of a sensor.
const MAX_EXAMPLES: usize = 3;
/// Characters of an example.
const MAX_EXAMPLE: usize = 40;

/// Why a cell was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No number.
    NotANumber,
    /// NaN or infinity.
    NotFinite,
    /// Beyond 1e15 either way.
    OutOfRange,
    /// It can be read as two numbers: `1,200`.
    Ambiguous,
}

/// The cells of one sensor that were not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RejectedOf {
    /// No number.
    pub not_a_number: u64,
    /// NaN or infinity.
    pub not_finite: u64,
    /// Beyond 1e15 either way.
    pub out_of_range: u64,
    /// Cells that can be read as two numbers.
    pub ambiguous: u64,
    /// The first of them: line (0 where there are none) and text.
    pub examples: Vec<(u64, String)>,
}

impl RejectedOf {
    /// All causes together.
    pub fn total(&self) -> u64 {
        self.not_a_number + self.not_finite + self.out_of_range + self.ambiguous
    }
}

/// What was skipped, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Lines in no known encoding.
    pub not_utf8: u64,
    /// Lines of more than a mebibyte.
    pub too_long: u64,
    /// Lines that are no JSON, or CSV lines with too few or too many columns.
    pub malformed: u64,
    /// Lines without a readable time.
    pub without_time: u64,
    /// Times before 1990 or after 2200.
    pub implausible_time: u64,
    /// Fields without a value.
    pub empty: u64,
    /// Fields that are no number.
    pub not_a_number: u64,
    /// NaN and infinity.
    pub not_finite: u64,
    /// Values beyond 1e15 either way.
    pub out_of_range: u64,
    /// Numbers that can be read in two ways.
    pub ambiguous: u64,
    /// Readings of sensors beyond the number that is taken.
    pub sensors_beyond: u64,
    /// Messages in which nothing could be a reading.
    pub without_reading: u64,
    /// The number of the first line of a text in which something was skipped.
    pub first_line: Option<u64>,
    /// Cells by sensor.
    pub by_sensor: BTreeMap<String, RejectedOf>,
    /// Cells in another unit than their sensor's, which were turned into it: read, and counted by sensor all the same.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub converted: BTreeMap<String, u64>,
    /// Numbers that stand for no value, as -999: empty, and counted by sensor all the same.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, u64>,
    /// Names of the sheets of a spreadsheet that were not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sheets: Vec<String>,
}

impl Rejected {
    /// All but empty fields, which are no fault.
    pub fn faults(&self) -> u64 {
        self.not_utf8
            + self.too_long
            + self.malformed
            + self.without_time
            + self.implausible_time
            + self.not_a_number
            + self.not_finite
            + self.out_of_range
            + self.ambiguous
            + self.sensors_beyond
            + self.without_reading
    }

    /// Counts a cell of `sensor` in `line`.
    pub fn cell(&mut self, cause: Cause, sensor: &str, line: u64, text: &str) {
        *match cause {
            Cause::NotANumber => &mut self.not_a_number,
            Cause::NotFinite => &mut self.not_finite,
            Cause::OutOfRange => &mut self.out_of_range,
            Cause::Ambiguous => &mut self.ambiguous,
        } += 1;
        self.at_line(line);
        if self.by_sensor.len() >= MAX_SENSORS && !self.by_sensor.contains_key(sensor) {
            return;
        }
        if !self.by_sensor.contains_key(sensor) {
            self.by_sensor.insert(sensor.to_owned(), RejectedOf::default());
        }
        let of = self.by_sensor.get_mut(sensor).expect("it has just been put in");
        *match cause {
            Cause::NotANumber => &mut of.not_a_number,
            Cause::NotFinite => &mut of.not_finite,
            Cause::OutOfRange => &mut of.out_of_range,
            Cause::Ambiguous => &mut of.ambiguous,
        } += 1;
        if of.examples.len() < MAX_EXAMPLES {
            let is_shown = |c: &char| !c.is_control();
            of.examples.push((line, text.trim().chars().filter(is_shown).take(MAX_EXAMPLE).collect()));
        }
    }

    /// Counts a cell of `sensor` that was turned into its unit.
    pub fn converted(&mut self, sensor: &str) {
        add(&mut self.converted, sensor, 1);
    }

    /// Counts a number of `sensor` that stands for no value.
    pub fn missing(&mut self, sensor: &str) {
        self.empty += 1;
        add(&mut self.missing, sensor, 1);
    }

    /// Something in `line` was skipped.
    pub fn at_line(&mut self, line: u64) {
        if line > 0 {
            self.first_line.get_or_insert(line);
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: Rejected) -> Rejected {
        self.not_utf8 += other.not_utf8;
        self.too_long += other.too_long;
        self.malformed += other.malformed;
        self.without_time += other.without_time;
        self.implausible_time += other.implausible_time;
        self.empty += other.empty;
        self.not_a_number += other.not_a_number;
        self.not_finite += other.not_finite;
        self.out_of_range += other.out_of_range;
        self.ambiguous += other.ambiguous;
        self.sensors_beyond += other.sensors_beyond;
        self.without_reading += other.without_reading;
        self.first_line = self.first_line.or(other.first_line);
        self.sheets.extend(other.sheets.into_iter().take(MAX_EXAMPLES));
        other.converted.iter().for_each(|(sensor, n)| add(&mut self.converted, sensor, *n));
        other.missing.iter().for_each(|(sensor, n)| add(&mut self.missing, sensor, *n));
        for (sensor, of) in other.by_sensor {
            if self.by_sensor.len() >= MAX_SENSORS && !self.by_sensor.contains_key(&sensor) {
                continue;
            }
            let sum = self.by_sensor.entry(sensor).or_default();
            sum.not_a_number += of.not_a_number;
            sum.not_finite += of.not_finite;
            sum.out_of_range += of.out_of_range;
            sum.ambiguous += of.ambiguous;
            let room = MAX_EXAMPLES.saturating_sub(sum.examples.len());
            sum.examples.extend(of.examples.into_iter().take(room));
        }
        self
    }
}

/// Adds to the count of a sensor, if there is room for it.
fn add(counts: &mut BTreeMap<String, u64>, sensor: &str, n: u64) {
    if let Some(count) = counts.get_mut(sensor) {
        *count += n;
    } else if counts.len() < MAX_SENSORS {
        counts.insert(sensor.to_owned(), n);
    }
}
