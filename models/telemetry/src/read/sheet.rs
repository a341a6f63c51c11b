//! Rows of a table, whose layout is known, become readings.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::clock_columns::is_midnight;
use super::compass::{self, Compass};
use super::fields::split;
use super::flagged::{Flagged, FlaggedValue};
use super::infer::{Layout, Part, Shown};
use super::matrix::Slot;
use super::missing;
use super::number::{self, Cell, Marks};
use super::rejected::Cause;
use super::roles::key_of;
use super::states;
use super::time::{self, Course, DateOrder};
use super::time_columns;
use super::{Emit, Found, InputError, Rejected, TextOptions, zones};
use crate::kind::Kind;
use crate::{LARGEST_VALUE, Moment, unit};

/// Series whose units and times are remembered.
const MAX_SERIES: usize = 16_384;

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) layout: Layout,
    zone: TimeZone,
    time_format: String,
    /// Where a time that is counted from a start begins.
    start: Option<Moment>,
    /// A date that contradicts the order of day and month in which those before were read, and its line.
    contradiction: Option<(u64, String)>,
    /// Times that only a device without a clock tells are handed on.
    live: bool,
    /// Units that columns and series have shown in their cells.
    units: HashMap<String, String>,
    /// The last time of each series, to tell the hour that comes twice.
    last: HashMap<String, Moment>,
    /// Zones that cells have told.
    zones: HashMap<String, Option<TimeZone>>,
    /// Series that the sample has not shown.
    shown: HashMap<String, Shown>,
    /// Rows with a time.
    pub(super) times: u64,
    /// Rows.
    pub(super) rows: u64,
}

impl Sheet {
    pub(super) fn new(layout: Layout, zone: TimeZone, options: &TextOptions, live: bool) -> Sheet {
        let shown = layout.series.clone();
        let start = time::parse_time(&options.start, "", &zone);
        let zone = layout.time.zone.clone().unwrap_or(zone);
        Sheet {
            layout,
            zone,
            time_format: options.time_format.clone(),
            start,
            contradiction: None,
            live,
            units: HashMap::new(),
            last: HashMap::new(),
            zones: HashMap::new(),
            shown,
            times: 0,
            rows: 0,
        }
    }

    /// From here on readings come as they are taken.
    pub(super) fn go_live(&mut self) {
        self.live = true;
    }

    /// Whether the fields are those of a header that has come before or comes anew.
    fn is_header(&self, fields: &[Cow<'_, str>]) -> bool {
        let column = self.layout.time.column;
        let Some(time) = fields.get(column + self.layout.shift) else { return false };
        let known = &self.layout.columns[column.min(self.layout.columns.len() - 1)];
        !time.is_empty() && (**time == *known.key || **time == *known.title)
    }

    /// Whether a row is a header with other columns than the table's own, as a logger writes it that was set up anew: it names a time
    /// where the table does or as it does, and holds no number.
    pub(super) fn is_other_header(&self, text: &str) -> bool {
        let known = &self.layout.columns[self.layout.time.column.min(self.layout.columns.len() - 1)];
        // Nearly all rows end here.
        if self.layout.header_line.is_none() || known.title.is_empty() || !text.contains(known.title.as_str()) {
            return false;
        }
        let fields = split(text, self.layout.delimiter);
        let is_one = fields.len() > 1
            && fields.iter().any(|f| **f == *known.title)
            && fields.iter().all(|f| matches!(number::read(f, Marks::Unknown), Cell::Other | Cell::Empty));
        is_one && !fields.iter().map(|f| f.as_ref()).eq(self.layout.columns.iter().map(|c| c.title.as_str()))
    }

    /// Reads a row.
    pub(super) fn row(&mut self, line: u64, text: &str, rejected: &mut Rejected, emit: &mut Emit<'_>) {
        let fields = split(text, self.layout.delimiter);
        let shift = self.layout.shift;
        if self.is_header(&fields) {
            return;
        }
        self.rows += 1;
        let width = self.layout.columns.len() + shift;
        let Some(cell) = fields.get(self.layout.time.column + shift) else {
            rejected.malformed += 1;
            rejected.at_line(line);
            return;
        };
        if fields.len() > width && fields[width..].iter().any(|f| !f.is_empty()) {
            // A decimal comma without quotes, or a mark within a name: nobody knows which field is which.
            rejected.malformed += 1;
            rejected.at_line(line);
            return;
        }
        let series = self.series(&fields);
        let at = self.time(cell, &fields, &series);
        let Some(at) = at else {
            self.look_for_contradiction(line, cell);
            rejected.without_time += 1;
            rejected.at_line(line);
            return;
        };
        self.times += 1;
        if !at.is_plausible() && !self.live {
            rejected.implausible_time += 1;
            rejected.at_line(line);
            return;
        }
        self.remember(&series, at);
        if self.layout.single.is_some() {
            self.single(line, &fields, series, at, rejected, emit);
        } else {
            if fields.len() < width
                && !(fields.len() + 1 == width && self.layout.columns.last().is_some_and(|c| c.key.is_empty()))
            {
                rejected.malformed += 1;
                rejected.at_line(line);
            }
            let times = self.times_of_day(cell, &fields, at);
            self.wide(line, &fields, &series, (at, &times), rejected, emit);
        }
    }

    /// A date that can only be read with day and month the other way round shows that those before were read wrong.
    fn look_for_contradiction(&mut self, line: u64, cell: &str) {
        let Some(order) = self.layout.time.order.filter(|_| !self.layout.time.order_is_shown) else { return };
        let is_date = time::civil_in_any_zone(cell).is_some();
        if is_date && self.contradiction.is_none() && time::civil_in_order(cell, order).is_none() {
            self.contradiction = Some((line, cell.to_owned()));
        }
    }

    /// The error that a contradiction in the order of day and month is.
    pub(super) fn check(&mut self) -> Result<(), InputError> {
        let Some((line, date)) = self.contradiction.take() else { return Ok(()) };
        let was = match self.layout.time.order {
            Some(DateOrder::DayFirst) => "day",
            Some(DateOrder::YearFirst) => "year",
            _ => "month",
        };
        Err(InputError::OtherOrder { line, date, was })
    }

    /// Whose the row is.
    fn series(&self, fields: &[Cow<'_, str>]) -> String {
        let columns = match &self.layout.single {
            Some(single) => &single.sensors,
            None => &self.layout.devices,
        };
        key_of(fields, columns, self.layout.shift)
    }

    fn remember(&mut self, series: &str, at: Moment) {
        if let Some(last) = self.last.get_mut(series) {
            *last = at;
        } else if self.last.len() < MAX_SERIES {
            self.last.insert(series.to_owned(), at);
        }
    }

    /// A date alone in a form that is known.
    fn date(&self, date: &str) -> Option<String> {
        match self.time_format.as_str() {
            "" => Some(date.to_owned()),
            format => time::civil_of_format(date, format).map(|civil| civil.at.date().to_string()),
        }
    }

    /// The zone of a row, as its own column tells it; `None`: it tells what is no zone.
    fn zone_of(&mut self, fields: &[Cow<'_, str>]) -> Option<TimeZone> {
        // What the header says goes before what a column beside it does.
        let of_header = self.layout.time.zone.is_some();
        let Some(column) = self.layout.time.zone_column.filter(|_| !of_header) else {
            return Some(self.zone.clone());
        };
        let cell = fields.get(column + self.layout.shift).map_or("", |f| f.as_ref());
        if cell.is_empty() {
            return Some(self.zone.clone());
        }
        if let Some(known) = self.zones.get(cell) {
            return known.clone();
        }
        // JavaScript's minutes have the other sign: of such numbers nobody knows which they are.
        let is_offset = matches!(self.layout.columns[column].key.to_lowercase().as_str(), "tz_offset" | "tzoffset");
        let is_minutes = is_offset && cell.parse::<f64>().is_ok_and(|n| n.abs() > 14.0);
        let zone = zones::of_cell(cell).filter(|_| !is_minutes);
        if self.zones.len() < MAX_SERIES {
            self.zones.insert(cell.to_owned(), zone.clone());
        }
        zone
    }

    fn time(&mut self, cell: &str, fields: &[Cow<'_, str>], series: &str) -> Option<Moment> {
        let zone = self.zone_of(fields)?;
        let columns = &self.layout.time;
        let course = Course { last: self.last.get(series).copied(), descending: columns.descending };
        if let Some(scale) = columns.elapsed {
            let count = time_columns::number_of(cell)?;
            return Some(self.start?.plus_seconds(count * scale));
        }
        if columns.excel {
            let at = time::excel(time_columns::number_of(cell)?)?;
            return time::moment(time::Civil { at, offset: None, is_open: false, has_time: true }, &zone, course);
        }
        if columns.clock.is_some() || columns.parts.is_some() {
            let of = |c: usize| fields.get(c + self.layout.shift).map_or("", |f| f.as_ref());
            let joined = columns.joined(&of, &|date| self.date(date))?;
            return time::parse(&joined, "", &zone, columns.order, course);
        }
        let small = || {
            let number: f64 = cell.trim().parse().ok()?;
            (self.live && (0.0..1e8).contains(&number)).then_some(Moment((number * 1e6) as i64))
        };
        time::parse(cell, &self.time_format, &zone, columns.order, course).or_else(small)
    }

    /// The times of the columns of a matrix, where a row is a day.
    fn times_of_day(&mut self, date: &str, fields: &[Cow<'_, str>], at: Moment) -> Vec<(usize, Option<Moment>)> {
        if self.layout.matrix.is_empty() {
            return Vec::new();
        }
        let zone = self.zone_of(fields).unwrap_or_else(|| self.zone.clone());
        let date = match is_midnight(date) {
            true => date.split([' ', 'T']).next().unwrap_or(date),
            false => date,
        };
        let mut last = Some(at);
        let mut of = |slot: &Slot| {
            // Cells that are empty have no time: days on which clocks change have more columns than hours.
            fields.get(slot.column + self.layout.shift).filter(|cell| !cell.is_empty())?;
            let text = format!("{} {}", self.date(date)?, slot.clock());
            let course = Course { last, descending: false };
            let at = time::parse(&text, "", &zone, self.layout.time.order, course);
            last = at.or(last);
            Some((slot.column, at))
        };
        self.layout.matrix.iter().filter_map(&mut of).collect()
    }

    fn wide(
        &mut self,
        line: u64,
        fields: &[Cow<'_, str>],
        device: &str,
        (at, times): (Moment, &[(usize, Option<Moment>)]),
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        let Sheet { layout, units, .. } = self;
        let mut key = String::new();
        for (i, (column, part)) in layout.columns.iter().zip(&layout.parts).enumerate() {
            if matches!(part, Part::None | Part::RowNumber) {
                continue;
            }
            let Some(cell) = fields.get(i + layout.shift) else { break };
            let key: &str = if device.is_empty() {
                &column.key
            } else {
                key.clear();
                key.push_str(device);
                if !column.key.is_empty() {
                    key.push(' ');
                    key.push_str(&column.key);
                }
                &key
            };
            let told = match part {
                Part::InUnit(_, _, u) => fields.get(u + layout.shift).map_or("", |u| unit::of_name(&column.key, u)),
                _ => "",
            };
            let (unit, varies) = if told.is_empty() { (column.unit.as_str(), false) } else { (told, true) };
            let at = match times.binary_search_by_key(&i, |(column, _)| *column).map(|place| times[place].1) {
                Err(_) => at,
                Ok(Some(at)) => at,
                // Clocks were set forward over this time of day.
                Ok(None) => {
                    rejected.without_time += u64::from(!number::is_nothing(cell));
                    continue;
                }
            };
            let mut reading = ReadCell { line, key, unit, varies, at, units, rejected, emit };
            match part {
                Part::InUnit(marks, has_floor, _) => {
                    reading.number(cell, with_delimiter(*marks, layout.delimiter, cell), *has_floor)
                }
                Part::Flagged(flagged) => reading.flagged(cell, *flagged),
                Part::Numbers(marks, has_floor) => {
                    reading.number(cell, with_delimiter(*marks, layout.delimiter, cell), *has_floor)
                }
                Part::States(shown) => reading.state(cell, shown),
                Part::Compass(compass) => reading.point(cell, *compass),
                _ => reading.text(cell),
            }
        }
    }

    fn single(
        &mut self,
        line: u64,
        fields: &[Cow<'_, str>],
        key: String,
        at: Moment,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        let Sheet { layout, units, shown, .. } = self;
        let single = layout.single.as_ref().expect("a single layout");
        let Some(cell) = fields.get(single.value + layout.shift) else {
            rejected.malformed += 1;
            rejected.at_line(line);
            return;
        };
        let unit = single.unit.and_then(|u| fields.get(u + layout.shift)).map_or("", |u| u.as_ref());
        let shown_now;
        let shown = match shown.get(&key) {
            Some(shown) => shown,
            None => {
                shown_now = first_shown(cell);
                // The first cell decides, unless it says nothing.
                if !number::is_nothing(cell) && shown.len() < MAX_SERIES {
                    shown.insert(key.clone(), shown_now.clone());
                }
                &shown_now
            }
        };
        let mut reading = ReadCell { line, key: &key, unit, varies: true, at, units, rejected, emit };
        if shown.is_state {
            reading.state(cell, shown);
        } else if let Some(compass) = shown.compass {
            reading.point(cell, compass);
        } else {
            let marks = if shown.marks == Marks::Unknown { layout.marks } else { shown.marks };
            reading.number(cell, with_delimiter(marks, layout.delimiter, cell), shown.has_floor);
        }
    }
}

/// In a table whose columns are parted by commas, a bare point is a decimal one.
fn with_delimiter(marks: Marks, delimiter: char, cell: &str) -> Marks {
    if marks == Marks::Unknown && delimiter == ',' && !cell.contains(',') { Marks::Point } else { marks }
}

/// How a series is read of which only one cell is known.
pub(super) fn first_shown(cell: &str) -> Shown {
    let word = match number::read(cell, Marks::Unknown) {
        Cell::Other => states::word_of_cell(cell),
        _ => None,
    };
    match word {
        Some(word) => Shown { is_state: true, pair: states::pair(&word).map(|(pair, _)| pair), ..Shown::default() },
        None => Shown::default(),
    }
}

/// A cell on its way to a reading.
pub(super) struct ReadCell<'a, 'e> {
    pub(super) line: u64,
    pub(super) key: &'a str,
    pub(super) unit: &'a str,
    /// Each reading brings its unit.
    pub(super) varies: bool,
    pub(super) at: Moment,
    pub(super) units: &'a mut HashMap<String, String>,
    pub(super) rejected: &'a mut Rejected,
    pub(super) emit: &'a mut Emit<'e>,
}

impl ReadCell<'_, '_> {
    fn reject(&mut self, cause: Cause, cell: &str) {
        self.rejected.cell(cause, self.key, self.line, cell);
    }

    /// With `has_floor`, -999 and the like are none.
    pub(super) fn number(&mut self, cell: &str, marks: Marks, has_floor: bool) {
        match number::read(cell, marks) {
            Cell::Empty => self.rejected.empty += 1,
            Cell::Ambiguous => self.reject(Cause::Ambiguous, cell),
            Cell::Other => self.reject(Cause::NotANumber, cell),
            Cell::Number(value, _) if !value.is_finite() => self.reject(Cause::NotFinite, cell),
            Cell::Number(value, _) if value.abs() > LARGEST_VALUE => self.reject(Cause::OutOfRange, cell),
            Cell::Number(value, _) if has_floor && missing::is_usual(value) => self.rejected.missing(self.key),
            Cell::Number(value, behind) => self.value(cell, value, behind),
        }
    }

    /// A number with a quality flag behind it.
    fn flagged(&mut self, cell: &str, flagged: Flagged) {
        match flagged.read(cell) {
            _ if number::is_nothing(cell) => self.rejected.empty += 1,
            FlaggedValue::Value(value) => {
                (self.emit)(Found { unit: flagged.unit, ..Found::number(self.key, self.at, value) });
            }
            FlaggedValue::None => self.rejected.missing(self.key),
            FlaggedValue::Wrong => self.reject(Cause::NotANumber, cell),
        }
    }

    /// A point of the compass.
    fn point(&mut self, cell: &str, compass: Compass) {
        match compass::degrees(cell, compass) {
            Some(value) => {
                let found = Found::number(self.key, self.at, value);
                (self.emit)(Found { unit: "°", kind: Some(Kind::Angle), ..found });
            }
            None if number::is_nothing(cell) || compass::is_calm(cell) => self.rejected.empty += 1,
            None => self.reject(Cause::NotANumber, cell),
        }
    }

    /// A value in its unit; one in another unit is turned into that of its sensor.
    fn value(&mut self, cell: &str, value: f64, behind: &str) {
        let told = unit::tidy(if behind.is_empty() { self.unit } else { behind });
        // The unit of a header holds for all of its cells.
        let is_fixed = behind.is_empty() && (!self.varies || told.is_empty());
        if is_fixed && (self.units.is_empty() || !self.units.contains_key(self.key)) {
            (self.emit)(Found { unit: told, ..Found::number(self.key, self.at, value) });
            return;
        }
        let own = match self.units.get(self.key) {
            Some(own) => own.clone(),
            None => {
                let own = if self.unit.is_empty() { told } else { unit::tidy(self.unit) };
                if self.units.len() < MAX_SERIES {
                    self.units.insert(self.key.to_owned(), own.to_owned());
                }
                own.to_owned()
            }
        };
        if told.is_empty() || own.is_empty() || unit::is_same(told, &own) {
            (self.emit)(Found { unit: &own, ..Found::number(self.key, self.at, value) });
            return;
        }
        // A bare F behind a temperature is a degree; elsewhere it may be a farad.
        let is_degree = told == "F" && unit::convert(0.0, &own, "°C", false).is_some();
        match unit::convert(value, if is_degree { "°F" } else { told }, &own, false) {
            Some(value) => {
                self.rejected.converted(self.key);
                (self.emit)(Found { unit: &own, ..Found::number(self.key, self.at, value) });
            }
            None => self.reject(Cause::NotANumber, cell),
        }
    }

    pub(super) fn state(&mut self, cell: &str, shown: &Shown) {
        if number::is_nothing(cell) {
            self.rejected.empty += 1;
            return;
        }
        let Some(word) = states::word_of_cell(cell) else { return self.reject(Cause::NotANumber, cell) };
        match shown.pair {
            Some(pair) => match states::pair(&word).filter(|_| !pair.contains(&word.as_str())) {
                None if pair.contains(&word.as_str()) => {
                    self.emit_state(Kind::Binary, f64::from(u8::from(word == pair[1])), pair)
                }
                Some((_, is_one)) => self.emit_state(Kind::Binary, f64::from(u8::from(is_one)), pair),
                None => self.reject(Cause::NotANumber, cell),
            },
            None => match states::code(&word) {
                Some(code) => self.emit_state(Kind::States, code, ["", ""]),
                None => self.reject(Cause::NotANumber, cell),
            },
        }
    }

    fn emit_state(&mut self, kind: Kind, value: f64, states: [&'static str; 2]) {
        (self.emit)(Found { kind: Some(kind), states, ..Found::number(self.key, self.at, value) });
    }

    fn text(&mut self, cell: &str) {
        if number::is_nothing(cell) {
            self.rejected.empty += 1;
        } else {
            self.reject(Cause::NotANumber, cell);
        }
    }
}
