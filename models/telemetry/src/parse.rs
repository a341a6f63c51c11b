//! Readings from text: CSV with sensors as columns or as rows, JSON lines, and single payloads. Delimiter, header, time and
//! layout are found by themselves or given. What can't be read is counted by its reason and passed over; only an input that
//! can't be what it is taken for is an error.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::clock::Stamp;
use super::{LARGEST_VALUE, Moment, unit};

/// Longer lines are passed over unread; five thousand columns fit.
pub const MAX_LINE_BYTES: usize = 1 << 20;
/// Columns, and numbers in one JSON object.
const MAX_FIELDS: usize = 16_384;
/// JSON deeper than this is not searched.
const MAX_DEPTH: usize = 16;

const TIME_NAMES: &[&str] = &[
    "timestamp",
    "time",
    "datetime",
    "date_time",
    "date",
    "ts",
    "t",
    "at",
    "when",
    "last_updated",
    "last_changed",
    "zeit",
    "_time",
];
const SENSOR_NAMES: &[&str] = &[
    "sensor",
    "sensor_id",
    "entity_id",
    "name",
    "id",
    "topic",
    "key",
    "device",
    "metric",
    "_field",
    "channel",
    "tag",
    "parameter",
    "variable",
    "location",
];
const VALUE_NAMES: &[&str] = &["value", "state", "reading", "val", "_value", "measurement"];
const UNIT_NAMES: &[&str] = &["unit", "unit_of_measurement", "units"];

/// How text is to be read; what is empty is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TextOptions {
    /// "csv" or "jsonl"; empty: by the first character.
    pub format: String,
    /// One character between columns; empty: the most frequent of comma, semicolon, tab and bar.
    pub delimiter: String,
    /// The column or key of the time.
    pub time: String,
    /// The time's form in strftime's letters; empty: RFC 3339, `2026-11-20 14:05:00`, `20.11.2026 14:05` or seconds since 1970.
    pub time_format: String,
    /// The column or key of the sensor's name, where each line holds one reading.
    pub sensor: String,
    /// The column or key of the value, where each line holds one reading.
    pub value: String,
}

/// What was passed over, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Lines that are no UTF-8.
    pub not_utf8: u64,
    /// Lines of more than a mebibyte.
    pub too_long: u64,
    /// Lines that are no JSON object, or CSV lines with too few columns.
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
    /// Readings of sensors beyond the number that is taken.
    pub sensors_beyond: u64,
    /// The number of the first line of a text in which something was passed over.
    pub first_line: Option<u64>,
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
            + self.sensors_beyond
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
        self.sensors_beyond += other.sensors_beyond;
        self.first_line = self.first_line.or(other.first_line);
        self
    }
}

/// An input that can't be what it is taken for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// Packed.
    #[error("it is compressed ({0}): unpack it, as in `{1} -c FILE | nearfield report --input -`")]
    Compressed(&'static str, &'static str),
    /// Not UTF-8 but wide characters, or no text.
    #[error("it is no UTF-8 text ({0})")]
    NotText(&'static str),
    /// No column or key holds a time.
    #[error(
        "no {0} holds a time that can be read: name it with --set text.time=NAME, and its form with text.time_format"
    )]
    NoTime(&'static str),
    /// A column that was asked for is not there.
    #[error("there is no column {wanted:?}; there are: {found}")]
    NoColumn {
        /// What was asked for.
        wanted: String,
        /// What the header has.
        found: String,
    },
    /// The options contradict themselves.
    #[error("{0}")]
    Options(String),
}

/// Where lines go, each with its number, counted from 1.
pub type OnLine<'a, E> = dyn FnMut(u64, &[u8]) -> Result<(), E> + 'a;

/// Cuts bytes into lines of bounded length.
#[derive(Debug, Default)]
pub struct LineCutter {
    pending: Vec<u8>,
    overlong: bool,
    too_long: u64,
    first_too_long: Option<u64>,
    lines: u64,
}

impl LineCutter {
    /// Adds bytes; hands each complete line to `line`, with its number and without its end.
    ///
    /// # Errors
    /// The first error of `line`.
    pub fn push<E>(&mut self, mut bytes: &[u8], line: &mut OnLine<'_, E>) -> Result<(), E> {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let (head, tail) = bytes.split_at(end);
            bytes = &tail[1..];
            if self.pending.is_empty() && !self.overlong && head.len() <= MAX_LINE_BYTES {
                self.lines += 1;
                line(self.lines, trimmed(head))?;
            } else {
                self.keep(head);
                self.finish_line(line)?;
            }
        }
        self.keep(bytes);
        Ok(())
    }

    /// The input is at its end: a last line may lack its newline.
    ///
    /// # Errors
    /// The error of `line`.
    pub fn end<E>(&mut self, line: &mut OnLine<'_, E>) -> Result<(), E> {
        if self.pending.is_empty() && !self.overlong { Ok(()) } else { self.finish_line(line) }
    }

    fn finish_line<E>(&mut self, line: &mut OnLine<'_, E>) -> Result<(), E> {
        let pending = std::mem::take(&mut self.pending);
        self.lines += 1;
        if std::mem::take(&mut self.overlong) {
            self.too_long += 1;
            self.first_too_long.get_or_insert(self.lines);
            return Ok(());
        }
        if pending.is_empty() { Ok(()) } else { line(self.lines, trimmed(&pending)) }
    }

    /// The number of the first line that was too long since this was last asked.
    pub fn take_first_too_long(&mut self) -> Option<u64> {
        self.first_too_long.take()
    }

    /// Another input begins: what is left of a line of the old one is passed over. Answers whether there was any.
    pub fn begin(&mut self) -> bool {
        self.lines = 0;
        self.overlong = false;
        !std::mem::take(&mut self.pending).is_empty()
    }

    /// Lines that were too long, so far.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.overlong {
            return;
        }
        if self.pending.len() + bytes.len() > MAX_LINE_BYTES {
            self.overlong = true;
            self.pending = Vec::new();
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Where readings go: the sensor's key, its unit where the input tells one, time and value.
pub type Emit<'a> = dyn FnMut(&str, &str, Moment, f64) + 'a;

/// Reads lines of one input.
#[derive(Debug)]
pub struct LineParser {
    options: TextOptions,
    zone: TimeZone,
    /// What a lone column of values is called: the file's name.
    lone_name: String,
    format: Option<Format>,
    layout: Option<Layout>,
    rejected: Rejected,
    lines: u64,
    times: u64,
    /// Times that only a device without a clock tells are handed on.
    live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

#[derive(Debug)]
struct Layout {
    delimiter: char,
    header: Vec<Column>,
    time: usize,
    /// Sensor, value and perhaps unit column, where each line holds one reading.
    single: Option<(usize, usize, Option<usize>)>,
    /// Rows have one column more than the header, in front.
    shift: Option<usize>,
}

#[derive(Clone, Debug)]
struct Column {
    key: String,
    unit: String,
}

impl LineParser {
    /// For one input. Times without an offset are local in `zone`.
    ///
    /// # Errors
    /// Options that can't be meant.
    pub fn new(options: &TextOptions, zone: TimeZone, lone_name: &str) -> Result<LineParser, InputError> {
        let wrong = |text: &str| Err(InputError::Options(text.to_owned()));
        let format = match options.format.as_str() {
            "" => None,
            "csv" => Some(Format::Csv),
            "jsonl" => Some(Format::Json),
            other => return wrong(&format!("text.format is {other:?}: write \"csv\" or \"jsonl\", or leave it empty")),
        };
        if options.delimiter.chars().count() > 1 {
            return wrong("text.delimiter must be one character");
        }
        if options.sensor.is_empty() != options.value.is_empty() {
            return wrong("text.sensor and text.value belong together: give both or none");
        }
        Ok(LineParser {
            options: options.clone(),
            zone,
            lone_name: lone_name.to_owned(),
            format,
            layout: None,
            rejected: Rejected::default(),
            lines: 0,
            times: 0,
            live: false,
        })
    }

    /// For readings that come as they are taken: a time before 1990 is handed on as it is, since it says no more than that the
    /// device has no clock.
    #[must_use]
    pub fn live(mut self) -> LineParser {
        self.live = true;
        self
    }

    /// What was passed over so far.
    pub fn rejected(&self) -> Rejected {
        self.rejected
    }

    /// Reads a line.
    ///
    /// # Errors
    /// The input can't be what it is taken for.
    pub fn line(&mut self, line: &[u8], emit: &mut Emit<'_>) -> Result<(), InputError> {
        let line = if self.lines == 0 && self.layout.is_none() { first_line(line)? } else { line };
        let lossy;
        let text = match std::str::from_utf8(line) {
            Ok(text) => text,
            // A header in an old encoding is worth reading; a reading in one is not.
            Err(_) if self.layout.is_none() && !line.contains(&0) => {
                lossy = String::from_utf8_lossy(line);
                &lossy
            }
            Err(_) => {
                self.rejected.not_utf8 += 1;
                return Ok(());
            }
        };
        if text.trim().is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let format =
            *self.format.get_or_insert(if text.trim_start().starts_with('{') { Format::Json } else { Format::Csv });
        match format {
            Format::Json => {
                self.lines += 1;
                self.json_line(text, emit);
                Ok(())
            }
            Format::Csv => self.csv_line(text, emit),
        }
    }

    /// Whether the whole of the input made sense.
    ///
    /// # Errors
    /// Not one line had a time.
    pub fn finish(&self) -> Result<(), InputError> {
        if self.lines > 0 && self.times == 0 && self.rejected.without_time > 0 {
            return Err(InputError::NoTime(if self.format == Some(Format::Json) { "key" } else { "column" }));
        }
        Ok(())
    }

    fn time(&self, text: &str) -> Option<Moment> {
        let since_1970 = || text.trim().parse().ok().and_then(|n| self.small(n));
        parse_time(text, &self.options.time_format, &self.zone).or_else(since_1970)
    }

    /// Seconds since a device without a clock was started.
    fn small(&self, number: f64) -> Option<Moment> {
        (self.live && (0.0..1e8).contains(&number)).then_some(Moment((number * 1e6) as i64))
    }

    /// Counts a time; `None` where it can't be used.
    fn moment(&mut self, at: Option<Moment>) -> Option<Moment> {
        match at {
            None => {
                self.rejected.without_time += 1;
                None
            }
            Some(at) if !at.is_plausible() && !self.live => {
                self.rejected.implausible_time += 1;
                self.times += 1;
                None
            }
            Some(at) => {
                self.times += 1;
                Some(at)
            }
        }
    }

    fn value(&mut self, text: &str, delimiter: char) -> Option<f64> {
        let value = match parse_value(text, delimiter) {
            Field::Empty => {
                self.rejected.empty += 1;
                return None;
            }
            Field::Wrong => {
                self.rejected.not_a_number += 1;
                return None;
            }
            Field::Number(value) => value,
        };
        self.in_range(value)
    }

    fn in_range(&mut self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            self.rejected.not_finite += 1;
            None
        } else if value.abs() > LARGEST_VALUE {
            self.rejected.out_of_range += 1;
            None
        } else {
            Some(value)
        }
    }

    fn csv_line(&mut self, text: &str, emit: &mut Emit<'_>) -> Result<(), InputError> {
        if self.layout.is_none() {
            let (layout, is_header) = self.find_layout(text)?;
            self.layout = Some(layout);
            if is_header {
                return Ok(());
            }
        }
        self.lines += 1;
        let mut layout = self.layout.take().expect("the layout has been found");
        self.csv_fields(text, &mut layout, emit);
        self.layout = Some(layout);
        Ok(())
    }

    fn csv_fields(&mut self, text: &str, layout: &mut Layout, emit: &mut Emit<'_>) {
        let fields = split(text, layout.delimiter);
        let shift = *layout.shift.get_or_insert(usize::from(fields.len() == layout.header.len() + 1));
        let Some(time) = fields.get(layout.time + shift) else {
            self.rejected.malformed += 1;
            return;
        };
        if **time == *layout.header[layout.time].key {
            return; // The header again, as after a rotation.
        }
        let at = self.time(time);
        let Some(at) = self.moment(at) else { return };
        if let Some((sensor, value, unit)) = layout.single {
            let (Some(sensor), Some(value)) = (fields.get(sensor + shift), fields.get(value + shift)) else {
                self.rejected.malformed += 1;
                return;
            };
            let unit = unit.and_then(|u| fields.get(u + shift)).map_or("", |u| u.as_ref());
            if let Some(value) = self.value(value, layout.delimiter) {
                emit(sensor, unit, at, value);
            }
            return;
        }
        if fields.len() < layout.header.len() {
            self.rejected.malformed += 1;
        }
        for (i, column) in layout.header.iter().enumerate() {
            if i == layout.time {
                continue;
            }
            let Some(field) = fields.get(i + shift) else { break };
            if let Some(value) = self.value(field, layout.delimiter) {
                emit(&column.key, &column.unit, at, value);
            }
        }
    }

    fn find_layout(&self, text: &str) -> Result<(Layout, bool), InputError> {
        let delimiter = match self.options.delimiter.chars().next() {
            Some(given) => given,
            None => [',', ';', '\t', '|'].into_iter().rev().max_by_key(|d| split(text, *d).len()).unwrap_or(','),
        };
        let fields = split(text, delimiter);
        let has_time = |f: &str| self.time(f).is_some_and(Moment::is_plausible);
        let is_header = !fields.iter().any(|f| has_time(f));
        if !is_header {
            let time = fields.iter().position(|f| has_time(f)).unwrap_or(0);
            let mut n = 0;
            let names = (0..fields.len()).map(|i| {
                n += usize::from(i != time);
                let lone = fields.len() == 2;
                Column { key: if lone { self.lone_name.clone() } else { format!("column {n}") }, unit: String::new() }
            });
            let header = names.collect();
            // A word and a number beside the time: each line is one reading, and the word is its sensor.
            let others = || (0..fields.len()).filter(|i| *i != time);
            let is_number = |i: &usize| matches!(parse_value(&fields[*i], delimiter), Field::Number(_));
            let is_word = |i: &usize| fields[*i].chars().any(char::is_alphabetic) && !is_number(i);
            let numbers: Vec<usize> = others().filter(is_number).collect();
            let single = match (others().find(is_word), numbers.as_slice()) {
                (Some(sensor), [value]) => {
                    Some((sensor, *value, others().find(|i| *i != sensor && unit::is_known(&fields[*i]))))
                }
                _ => None,
            };
            return Ok((Layout { delimiter, header, time, single, shift: Some(0) }, false));
        }
        let mut header: Vec<Column> = fields.iter().take(MAX_FIELDS).map(|f| column(f)).collect();
        let place =
            |names: &[&str]| names.iter().find_map(|n| header.iter().position(|c| c.key.eq_ignore_ascii_case(n)));
        let given = |wanted: &str| {
            header.iter().position(|c| c.key == wanted).ok_or_else(|| InputError::NoColumn {
                wanted: wanted.to_owned(),
                found: header.iter().take(12).map(|c| c.key.as_str()).collect::<Vec<_>>().join(", "),
            })
        };
        let time = match self.options.time.as_str() {
            "" => place(TIME_NAMES).unwrap_or(0),
            wanted => given(wanted)?,
        };
        let single = match (self.options.sensor.as_str(), self.options.value.as_str()) {
            ("", _) => match (place(SENSOR_NAMES), place(VALUE_NAMES)) {
                (Some(sensor), Some(value)) => Some((sensor, value, place(UNIT_NAMES))),
                _ => None,
            },
            (sensor, value) => Some((given(sensor)?, given(value)?, place(UNIT_NAMES))),
        };
        if header.len() == 2 && single.is_none() {
            let lone = &mut header[1 - time.min(1)];
            if VALUE_NAMES.iter().any(|n| lone.key.eq_ignore_ascii_case(n)) {
                lone.key.clone_from(&self.lone_name);
            }
        }
        Ok((Layout { delimiter, header, time, single, shift: None }, true))
    }

    fn json_line(&mut self, text: &str, emit: &mut Emit<'_>) {
        let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else {
            self.rejected.malformed += 1;
            return;
        };
        let value = Value::Object(object);
        let find = |given: &str, names: &[&str]| -> Option<String> {
            if !given.is_empty() {
                return Some(given.to_owned());
            }
            names.iter().find(|n| value.get(**n).is_some()).map(|n| (*n).to_owned())
        };
        let time_key = find(&self.options.time, TIME_NAMES);
        let at = time_key.as_deref().and_then(|key| lookup(&value, key)).and_then(|t| self.json_time(t));
        let Some(at) = self.moment(at) else { return };
        let sensor_key = find(&self.options.sensor, SENSOR_NAMES);
        let value_key = find(&self.options.value, VALUE_NAMES);
        let single = (
            sensor_key.as_deref().and_then(|k| lookup(&value, k)).and_then(Value::as_str),
            value_key.as_deref().and_then(|k| lookup(&value, k)),
        );
        if let (Some(sensor), Some(reading)) = single {
            let unit = UNIT_NAMES.iter().find_map(|u| value.get(u)).and_then(Value::as_str).unwrap_or("");
            if let Some(v) = self.json_value(reading) {
                emit(sensor, unit, at, v);
            }
            return;
        }
        let mut budget = MAX_FIELDS;
        let mut path = String::new();
        self.leaves(&value, &mut path, 0, &mut budget, &mut |parser, path, leaf| {
            if Some(path) != time_key.as_deref()
                && (leaf.is_number() || leaf.is_null())
                && let Some(v) = parser.json_value(leaf)
            {
                emit(path, "", at, v);
            }
        });
    }

    fn leaves(
        &mut self,
        value: &Value,
        path: &mut String,
        depth: usize,
        budget: &mut usize,
        leaf: &mut dyn FnMut(&mut Self, &str, &Value),
    ) {
        match value {
            Value::Object(object) if depth < MAX_DEPTH => {
                for (key, inner) in object {
                    let length = path.len();
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                    self.leaves(inner, path, depth + 1, budget, leaf);
                    path.truncate(length);
                }
            }
            leaf_value if *budget > 0 => {
                *budget -= 1;
                leaf(self, path, leaf_value);
            }
            _ => {}
        }
    }

    fn json_time(&self, value: &Value) -> Option<Moment> {
        let since_1970 = || value.as_f64().and_then(|n| self.small(n));
        json_time(value, &self.options.time_format, &self.zone).or_else(since_1970)
    }

    fn json_value(&mut self, value: &Value) -> Option<f64> {
        match value {
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                self.in_range(number)
            }
            Value::String(text) => self.value(text, ','),
            Value::Bool(on) => Some(f64::from(u8::from(*on))),
            Value::Null => {
                self.rejected.empty += 1;
                None
            }
            _ => {
                self.rejected.not_a_number += 1;
                None
            }
        }
    }
}

/// What is not text is called what it is, before anybody wonders about columns.
fn first_line(line: &[u8]) -> Result<&[u8], InputError> {
    match line {
        [0x1f, 0x8b, ..] => Err(InputError::Compressed("gzip", "gunzip")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(InputError::Compressed("zstd", "unzstd")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(InputError::Compressed("xz", "unxz")),
        [b'P', b'K', 3, 4, ..] => Err(InputError::Compressed("zip", "unzip")),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(InputError::NotText("UTF-16: convert it with iconv")),
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok(rest),
        _ if line.iter().take(4096).any(|b| *b == 0) => Err(InputError::NotText("it holds zero bytes")),
        _ => Ok(line),
    }
}

/// A line's fields; quotes around a field are taken off, doubled ones inside are one.
fn split(text: &str, delimiter: char) -> Vec<std::borrow::Cow<'_, str>> {
    if !text.contains('"') {
        return text.split(delimiter).take(MAX_FIELDS).map(|f| f.trim().into()).collect();
    }
    let mut fields = Vec::new();
    let (mut field, mut quoted) = (String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => {
                fields.push(std::mem::take(&mut field).trim().to_owned().into());
                if fields.len() >= MAX_FIELDS {
                    return fields;
                }
            }
            c => field.push(c),
        }
    }
    fields.push(field.trim().to_owned().into());
    fields
}

/// `Temperature (°C)` or `temp [°C]`: the key and the unit.
fn column(field: &str) -> Column {
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(inner) = field.strip_suffix(close)
            && let Some((key, unit)) = inner.rsplit_once(open)
            && !key.trim().is_empty()
            && unit.chars().count() <= 8
        {
            return Column { key: key.trim().to_owned(), unit: unit.trim().to_owned() };
        }
    }
    Column { key: field.trim().to_owned(), unit: String::new() }
}

enum Field {
    Empty,
    Wrong,
    Number(f64),
}

/// A value; a comma is a decimal comma where it can't be anything else.
fn parse_value(text: &str, delimiter: char) -> Field {
    let text = text.trim();
    let empty = ["", "-", "na", "n/a", "null", "none", "unknown", "unavailable"];
    if empty.iter().any(|e| text.eq_ignore_ascii_case(e)) {
        return Field::Empty;
    }
    if text.len() > 64 {
        return Field::Wrong;
    }
    if let Ok(value) = text.parse::<f64>() {
        return Field::Number(value);
    }
    let lone_comma = text.matches(',').count() == 1 && !text.contains('.');
    if lone_comma
        && delimiter != ','
        && let Ok(value) = text.replace(',', ".").parse::<f64>()
    {
        return Field::Number(value);
    }
    Field::Wrong
}

/// A time in any of the forms that are known, or in the given one.
pub fn parse_time(text: &str, format: &str, zone: &TimeZone) -> Option<Moment> {
    let text = text.trim();
    if text.is_empty() || text.len() > 64 {
        return None;
    }
    let local = |civil: DateTime| civil.to_zoned(zone.clone()).ok().map(|z| Moment::from(z.timestamp()));
    if !format.is_empty() {
        let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
        return match parsed.to_timestamp() {
            Ok(timestamp) => Some(timestamp.into()),
            Err(_) => local(parsed.to_datetime().ok()?),
        };
    }
    let bytes = text.as_bytes();
    if bytes.iter().all(|b| b.is_ascii_digit() || *b == b'.') && bytes[0] != b'.' && text.matches('.').count() <= 1 {
        return epoch(text.parse().ok()?);
    }
    if bytes.len() >= 10 && bytes[4] == b'-' {
        // With an offset or a Z it is a point in time, without it is local.
        if bytes.len() > 16
            && (bytes[bytes.len() - 1].eq_ignore_ascii_case(&b'z')
                || bytes[16..].iter().any(|b| matches!(b, b'+' | b'-')))
        {
            return text.parse::<jiff::Timestamp>().ok().map(Moment::from);
        }
        return local(text.parse::<DateTime>().ok()?);
    }
    if bytes.len() >= 16 && bytes[2] == b'.' && bytes[5] == b'.' {
        let form = if bytes.len() > 16 { "%d.%m.%Y %H:%M:%S" } else { "%d.%m.%Y %H:%M" };
        return local(DateTime::strptime(form, text).ok()?);
    }
    None
}

/// Seconds since 1970, or thousandths, millionths or billionths of them, by their size.
fn epoch(number: f64) -> Option<Moment> {
    let micros = match number {
        n if n < 1e8 => return None,
        n if n < 1e11 => n * 1e6,
        n if n < 1e14 => n * 1e3,
        n if n < 1e17 => n,
        n if n < 1e20 => n / 1e3,
        _ => return None,
    };
    Some(Moment(micros.round() as i64))
}

/// A time in JSON: a text, or a number of seconds since 1970.
pub fn json_time(value: &Value, format: &str, zone: &TimeZone) -> Option<Moment> {
    match value {
        Value::String(text) => parse_time(text, format, zone),
        Value::Number(number) => epoch(number.as_f64()?),
        _ => None,
    }
}

/// The time that a live reading brings, as in [`json_time`]: small numbers and times before 1990 are those of a device without a
/// clock. `None` where it is no time at all.
pub fn json_stamp(value: &Value, zone: &TimeZone) -> Option<Stamp> {
    match json_time(value, "", zone) {
        Some(at) => Some(Stamp::from(at)),
        None => value.as_f64().filter(|n| (0.0..1e8).contains(n)).map(|_| Stamp::NoClock),
    }
}

/// A number in JSON, or in a text within it.
pub fn json_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => match parse_value(text, ';') {
            Field::Number(number) => number,
            Field::Empty | Field::Wrong => return None,
        },
        Value::Bool(on) => f64::from(u8::from(*on)),
        _ => return None,
    };
    (number.is_finite() && number.abs() <= LARGEST_VALUE).then_some(number)
}

/// What stands at a path such as `sensor.values[0].temperature`; a leading `$.` may stand before it.
pub fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    let mut place = value;
    for part in path.trim_start_matches('$').split(['.', '[']).filter(|p| !p.is_empty()) {
        place = match part.strip_suffix(']') {
            Some(index) => place.get(index.parse::<usize>().ok()?)?,
            None => place.get(part)?,
        };
    }
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, unit, seconds since 1970, value.
    type Found = (String, String, i64, f64);

    fn read_with(text: &[u8], options: &TextOptions) -> Result<(Vec<Found>, Rejected), InputError> {
        let mut parser = LineParser::new(options, TimeZone::get("Europe/Berlin").unwrap(), "cellar")?;
        let mut cutter = LineCutter::default();
        let mut found = Vec::new();
        let mut line = |_, line: &[u8]| {
            parser
                .line(line, &mut |key, unit, at, v| found.push((key.to_owned(), unit.to_owned(), at.0 / 1_000_000, v)))
        };
        cutter.push(text, &mut line)?;
        cutter.end(&mut line)?;
        parser.finish()?;
        let mut rejected = parser.rejected();
        rejected.too_long += cutter.too_long();
        Ok((found, rejected))
    }

    fn read(text: &str) -> Vec<Found> {
        read_with(text.as_bytes(), &TextOptions::default()).unwrap().0
    }

    fn rejected(text: &[u8]) -> Rejected {
        read_with(text, &TextOptions::default()).unwrap().1
    }

    /// 2026-11-20 12:00 in Berlin.
    const NOON: i64 = 1_795_172_400;

    fn is(found: &[Found], wanted: &[(&str, &str, i64, f64)]) {
        let found: Vec<_> = found.iter().map(|(k, u, t, v)| (k.as_str(), u.as_str(), *t, *v)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn columns_rows_and_lone_values_are_told_apart() {
        is(
            &read("time,kitchen (°C),hall [%]\n2026-11-20 12:00:00,21.5,45\n"),
            &[("kitchen", "°C", NOON, 21.5), ("hall", "%", NOON, 45.0)],
        );
        is(&read("sensor;value;unit;timestamp\nhall;21,5;°C;2026-11-20T11:00:00Z\n"), &[("hall", "°C", NOON, 21.5)]);
        is(&read("timestamp,value\n2026-11-20 12:00,4\n"), &[("cellar", "", NOON, 4.0)]);
        is(&read("1795172400\t4\n1795172401\t5"), &[("cellar", "", NOON, 4.0), ("cellar", "", NOON + 1, 5.0)]);
        // Without a header, too.
        is(
            &read("2026-11-20 12:00:00,hall,21.5,°C\n2026-11-20 12:00:00,attic,45,%\n"),
            &[("hall", "°C", NOON, 21.5), ("attic", "%", NOON, 45.0)],
        );
        // As R writes it: the rows have a name that the header lacks.
        is(&read("\"date\",\"Temp\"\n\"1\",\"2026-11-20 12:00:00\",23.7\n"), &[("Temp", "", NOON, 23.7)]);
    }

    #[test]
    fn json_lines_are_read_flat_nested_and_one_by_one() {
        is(
            &read("{\"ts\":1795172400000,\"kitchen\":{\"temp\":21.5,\"co2\":500},\"note\":\"x\"}\n"),
            &[("kitchen.temp", "", NOON, 21.5), ("kitchen.co2", "", NOON, 500.0)],
        );
        is(
            &read("{\"time\":\"2026-11-20T12:00:00+01:00\",\"sensor\":\"hall\",\"value\":\"45\",\"unit\":\"%\"}"),
            &[("hall", "%", NOON, 45.0)],
        );
    }

    #[test]
    fn times_are_read_in_the_forms_that_people_write() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for text in [
            "2026-11-20T12:00:00+01:00",
            "2026-11-20 12:00",
            "2026-11-20T11:00:00Z",
            "20.11.2026 12:00",
            "20.11.2026 12:00:00",
            "1795172400",
            "1795172400.0",
            "1795172400000",
        ] {
            assert_eq!(parse_time(text, "", &zone).map(|m| m.0 / 1_000_000), Some(NOON), "{text}");
        }
        let american = parse_time("11/20/2026 12:00 PM", "%m/%d/%Y %I:%M %p", &zone);
        assert_eq!(american.map(|m| m.0 / 1_000_000), Some(NOON));
        for text in ["", "noon", "12", "2026-13-45 12:00", "2026-11-20T99:00:00Z", "....", "1e9"] {
            assert_eq!(parse_time(text, "", &zone), None, "{text}");
        }
    }

    #[test]
    fn local_times_follow_the_clocks_when_they_change() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let at = |text: &str| parse_time(text, "", &zone).unwrap().0 / 1_000_000;
        assert_eq!(at("2026-03-29 03:30:00") - at("2026-03-29 01:30:00"), 3600);
        assert_eq!(at("2026-10-25 03:30:00") - at("2026-10-25 01:30:00"), 3 * 3600);
    }

    #[test]
    fn values_that_are_none_are_counted_by_their_reason() {
        let head = "time;a\n";
        let line = |v: &str| format!("{head}2026-11-20 12:00:00;{v}\n2026-11-20 12:01:00;1\n");
        let of = |v: &str| rejected(line(v).as_bytes());
        assert_eq!(of("NaN").not_finite, 1);
        assert_eq!(of("-inf").not_finite, 1);
        assert_eq!(of("1e308").out_of_range, 1);
        assert_eq!(of("1e999").not_finite, 1);
        assert_eq!(of("").empty, 1);
        assert_eq!(of("unavailable").empty, 1);
        assert_eq!(of("21 °C").not_a_number, 1);
        assert_eq!(of("1.234,5").not_a_number, 1);
        assert_eq!(of("21,5").faults(), 0);
        assert_eq!(rejected(b"time;a\n2026-11-20 12:00;1\nyesterday;2\n").without_time, 1);
        assert_eq!(rejected(b"time;a\n2026-11-20 12:00;1\n0001-01-01 00:00;2\n").implausible_time, 1);
        assert_eq!(rejected(b"time;a\n2026-11-20 12:00;1\n2026-11-20 12:01;\xff\n").not_utf8, 1);
        assert_eq!(rejected(b"{\"ts\":1795172400,\"a\":1}\n{\"ts\":\n[1]\n").malformed, 2);
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_the_next_one_is_read() {
        let mut text = b"time,a\n2026-11-20 12:00,1\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 10 << 20));
        text.extend_from_slice(b"\n2026-11-20 12:01,2\n");
        let (found, rejected) = read_with(&text, &TextOptions::default()).unwrap();
        assert_eq!((found.len(), rejected.too_long), (2, 1));
    }

    #[test]
    fn what_is_no_text_is_called_what_it_is() {
        let error = |bytes: &[u8]| read_with(bytes, &TextOptions::default()).unwrap_err().to_string();
        assert!(error(b"\x1f\x8b\x08\0\0\0\0\0").contains("gunzip"));
        assert!(error(b"PK\x03\x04\0\0").contains("zip"));
        assert!(error(b"\xff\xfet\0i\0m\0e\0").contains("UTF-16"));
        assert!(error(b"\0\0\0\0").contains("zero bytes"));
        assert!(error(b"a,b\n1,2\n3,4\n").contains("text.time"));
        let options = TextOptions { time: "when".to_owned(), ..TextOptions::default() };
        let message = read_with(b"time,a\n2026-11-20 12:00,1\n", &options).unwrap_err().to_string();
        assert!(message.contains("\"when\"") && message.contains("time, a"), "{message}");
    }

    #[test]
    fn lines_are_cut_alike_however_the_bytes_arrive() {
        let text = b"one\r\ntwo\n\nthree";
        let cut = |size: usize| {
            let mut cutter = LineCutter::default();
            let mut found = Vec::new();
            let mut line = |_, l: &[u8]| -> Result<(), ()> {
                found.push(l.to_vec());
                Ok(())
            };
            for piece in text.chunks(size) {
                cutter.push(piece, &mut line).unwrap();
            }
            cutter.end(&mut line).unwrap();
            found.retain(|l| !l.is_empty());
            found
        };
        assert!((1..20).all(|size| cut(size) == cut(100)));
    }

    #[test]
    fn paths_into_json_are_followed() {
        let value: Value = serde_json::from_str(r#"{"a":{"b":[{"c":5}]},"x.y":7}"#).unwrap();
        for (path, found) in
            [("a.b[0].c", Some(5)), ("$.a.b[0].c", Some(5)), ("x.y", Some(7)), ("a.b[1].c", None), ("a.[", None)]
        {
            assert_eq!(lookup(&value, path).and_then(Value::as_i64), found, "{path}");
        }
    }
}
