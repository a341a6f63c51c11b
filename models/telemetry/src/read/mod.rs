//! Readings from text, whatever system has exported it: tables with sensors as columns or as rows, JSON, line protocol, metrics,
//! MQTT messages. Encoding, format, delimiter, header, units, times and layout are inferred from a sample of the input, or given.
//! What can't be read is counted by cause and by sensor; an input that can be read in two ways is refused with the key that
//! decides.

mod clock_columns;
mod compass;
mod date_words;
mod decisions;
mod decode;
pub mod explain;
mod fields;
mod flagged;
mod header;
mod infer;
mod influx;
mod input_error;
mod json;
mod json_keys;
mod json_record;
mod json_shapes;
mod json_times;
mod lines;
mod logs;
mod matrix;
mod missing;
pub mod mqtt;
mod mqtt_names;
mod number;
mod options;
mod percent;
mod printed;
mod prometheus;
mod records;
mod rejected;
mod roles;
mod rrd;
mod sheet;
mod sniff;
mod splitter;
pub mod states;
mod systems;
mod tables;
mod time;
mod time_columns;
mod titles;
mod unit_columns;
mod workbook;
mod zones;

use jiff::tz::TimeZone;
use serde_json::Value;

pub use input_error::InputError;
pub use json::{json_number, lookup};
pub use lines::{LineCutter, MAX_LINE_BYTES, OnLine};
pub use options::TextOptions;
pub use rejected::{Cause, Rejected, RejectedOf};
pub use time::{json_stamp, json_time, parse_time};
pub use workbook::{MAX_WORKBOOK, is_workbook, rows_of};

use crate::Moment;
use crate::kind::Kind;
use decode::Decode;
use fields::Joiner;
use json::Json;
use missing::Missing;
use options::PROFILES;
use rrd::Rrd;
use sheet::Sheet;
use sniff::sniff;
use splitter::Splitter;

/// A reading as the input tells it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found<'a> {
    /// What its sensor is called in the store.
    pub key: &'a str,
    /// What people call it; empty: its key, made readable.
    pub name: &'a str,
    /// Its unit; empty: none is told.
    pub unit: &'a str,
    /// What kind of sensor it is, where the input tells.
    pub kind: Option<Kind>,
    /// What 0 and 1 are called, of a sensor with two states.
    pub states: [&'static str; 2],
    /// When.
    pub at: Moment,
    /// Finite, and no larger than [`LARGEST_VALUE`](crate::LARGEST_VALUE) either way. Of a state: the number that stands for it.
    pub value: f64,
}

impl<'a> Found<'a> {
    /// A number of a sensor.
    pub fn number(key: &'a str, at: Moment, value: f64) -> Found<'a> {
        Found { key, name: "", unit: "", kind: None, states: ["", ""], at, value }
    }
}

/// Where readings go.
pub type Emit<'a> = dyn FnMut(Found<'_>) + 'a;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Rows of columns.
    Table,
    /// A value a line.
    JsonLines,
    /// Values over several lines.
    Json,
    /// InfluxDB's line protocol.
    Influx,
    /// Prometheus' text format.
    Metrics,
    /// `topic payload`, as `mosquitto_sub -v` prints it.
    Messages,
    /// What devices print of themselves.
    Log,
    /// A round-robin database as text.
    Rrd,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Format::Table => "table",
            Format::JsonLines => "JSON lines",
            Format::Json => "JSON",
            Format::Influx => "InfluxDB line protocol",
            Format::Metrics => "Prometheus metrics",
            Format::Messages => "MQTT messages",
            Format::Log => "log of a device",
            Format::Rrd => "round-robin database",
        }
    }
}

/// Reads one input, piece by piece.
#[derive(Debug)]
pub struct Reader {
    options: TextOptions,
    zone: TimeZone,
    /// What a lone column of values is called: the file's name.
    lone_name: String,
    live: bool,
    untimed: bool,
    decode: Decode,
    cutter: LineCutter,
    given: Option<Format>,
    format: Option<Format>,
    joiner: Joiner,
    /// Comments right above the first row of a table.
    comments: Vec<(u64, String)>,
    sample: Vec<(u64, String)>,
    sample_bytes: usize,
    /// Bytes before the format is known.
    head: Vec<u8>,
    delimiter_told: Option<char>,
    sheet: Option<Sheet>,
    missing: Missing,
    /// The sheets of a spreadsheet that are read.
    sheets: String,
    json: Json,
    rrd: Rrd,
    splitter: Splitter,
    rejected: Rejected,
    /// Records of the formats that are neither table nor JSON, and those with a time.
    records: u64,
    timed: u64,
    /// Lines without a time can't be told from when on.
    without_time: bool,
    /// Tables that have ended where another's header came.
    headers: u32,
}

impl Reader {
    /// For one input. Times without an offset are local in `zone`.
    ///
    /// # Errors
    /// Options that can't be meant.
    pub fn new(options: &TextOptions, zone: TimeZone, lone_name: &str) -> Result<Reader, InputError> {
        options.check().map_err(InputError::Options)?;
        if !options.start.is_empty() && time::parse_time(&options.start, "", &zone).is_none() {
            let text = format!("text.start is {:?}: write a time such as \"2026-11-01 08:00\"", options.start);
            return Err(InputError::Options(text));
        }
        let given = PROFILES.iter().find(|(name, _)| *name == options.format).and_then(|(_, format)| *format);
        Ok(Reader {
            json: Json::new(options, zone.clone(), lone_name),
            decode: Decode::new(&options.encoding)?,
            options: options.clone(),
            zone,
            lone_name: lone_name.to_owned(),
            live: false,
            untimed: false,
            cutter: LineCutter::default(),
            given,
            format: None,
            joiner: Joiner::default(),
            comments: Vec::new(),
            sample: Vec::new(),
            sample_bytes: 0,
            head: Vec::new(),
            delimiter_told: None,
            sheet: None,
            missing: Missing::new(options),
            sheets: String::new(),
            rrd: Rrd::default(),
            splitter: Splitter::default(),
            rejected: Rejected::default(),
            records: 0,
            timed: 0,
            without_time: false,
            headers: 0,
        })
    }

    /// For readings that come as they are taken: a time before 1990 is handed on as it is, since it says no more than that the
    /// device has no clock.
    #[must_use]
    pub fn live(mut self) -> Reader {
        self.go_live();
        self
    }

    /// From here on readings come as they are taken.
    pub fn go_live(&mut self) {
        self.live = true;
        self.json.live = true;
        self.sheet.iter_mut().for_each(Sheet::go_live);
    }

    /// Readings without a time are handed on with [`NO_TIME`](crate::NO_TIME) in its place: they were taken when they came.
    pub fn allow_untimed(&mut self) {
        self.untimed = true;
        self.json.untimed = true;
    }

    /// What was skipped since this was last asked.
    pub fn take_rejected(&mut self) -> Rejected {
        self.rejected.too_long += self.cutter.take_too_long();
        if let Some(line) = self.cutter.take_first_too_long() {
            let first = self.rejected.first_line.map_or(line, |first| first.min(line));
            self.rejected.first_line = Some(first);
        }
        std::mem::take(&mut self.rejected)
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// The input can't be what it is taken for.
    pub fn push(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), InputError> {
        let mut text = Vec::new();
        self.decode.push(bytes, &mut text)?;
        self.sift(emit, |reader, emit| reader.text(&text, false, emit))
    }

    /// Reads without the numbers that stand for no value.
    fn sift<T>(&mut self, emit: &mut Emit<'_>, read: impl FnOnce(&mut Reader, &mut Emit<'_>) -> T) -> T {
        let missing = std::mem::take(&mut self.missing);
        let mut rejected = Rejected::default();
        let outcome = read(self, &mut |found| match missing.is_none(&found) {
            true => rejected.missing(found.key),
            false => emit(found),
        });
        self.missing = missing;
        if rejected.empty > 0 {
            self.rejected = std::mem::take(&mut self.rejected).plus(rejected);
        }
        outcome
    }

    /// Nothing more is there for now: what is there decides.
    ///
    /// # Errors
    /// The input can't be what it is taken for.
    pub fn pause(&mut self, emit: &mut Emit<'_>) -> Result<(), InputError> {
        let mut text = Vec::new();
        self.decode.settle(&mut text)?;
        self.sift(emit, |reader, emit| {
            reader.text(&text, true, emit)?;
            reader.decide(false, emit)
        })
    }

    /// The input is at its end.
    ///
    /// # Errors
    /// Not one line had a time, or the input could be two things.
    pub fn end(&mut self, emit: &mut Emit<'_>) -> Result<(), InputError> {
        self.sift(emit, Reader::finish)
    }

    fn finish(&mut self, emit: &mut Emit<'_>) -> Result<(), InputError> {
        self.pause(emit)?;
        let head = std::mem::take(&mut self.head);
        if !head.is_empty() {
            self.format.get_or_insert(self.given.unwrap_or(Format::Table));
            self.cut(&head, emit)?;
        }
        self.end_line(emit)?;
        if self.format == Some(Format::Json) {
            self.splitter.end();
            self.splitter_faults();
        }
        self.decide(true, emit)?;
        let (rows, times, what) = match (self.format, &self.sheet) {
            (Some(Format::Table), Some(sheet)) => (self.records + sheet.rows, self.timed + sheet.times, "column"),
            (Some(Format::Json | Format::JsonLines), _) => (self.json.values, self.json.times, "key"),
            _ => (self.records, self.timed, "line"),
        };
        // A date that was only looked at has cost no reading.
        if self.rejected.without_time > 0
            && let Some(date) = self.json.dates.open()
        {
            return Err(InputError::OpenDate(date));
        }
        if rows > 0 && times == 0 && (self.without_time || self.rejected.without_time > 0) {
            return Err(InputError::NoTime(what));
        }
        Ok(())
    }

    /// The last line is whole although its newline is missing: another input follows.
    ///
    /// # Errors
    /// The input can't be what it is taken for.
    pub fn end_line(&mut self, emit: &mut Emit<'_>) -> Result<(), InputError> {
        self.sift(emit, Reader::finish_line)
    }

    fn finish_line(&mut self, emit: &mut Emit<'_>) -> Result<(), InputError> {
        let mut cutter = std::mem::take(&mut self.cutter);
        let outcome = cutter.end(&mut |number, line| self.line(number, line, emit));
        self.cutter = cutter;
        outcome?;
        let mut joiner = std::mem::take(&mut self.joiner);
        joiner.end(&mut |number, record| self.record(number, record, emit))
    }

    /// Another file of the same kind begins, as after a rotation. Answers whether a piece of a line of the old one is lost.
    pub fn begin(&mut self) -> bool {
        self.joiner.begin();
        let lost = self.cutter.begin() || !self.head.is_empty();
        if self.format.is_none() {
            self.head.clear();
            self.decode.begin();
        }
        lost
    }

    /// Drops a line that has no end yet; answers whether there was one.
    pub fn cut_off_line(&mut self) -> bool {
        self.format.is_some_and(|format| format != Format::Json) && self.cutter.drop_pending()
    }

    /// Counts a line that ends with its file in the midst.
    pub fn count_cut_off(&mut self) {
        self.rejected.malformed += 1;
    }

    fn text(&mut self, text: &[u8], pause: bool, emit: &mut Emit<'_>) -> Result<(), InputError> {
        if self.format.is_some() {
            return self.cut(text, emit);
        }
        self.head.extend_from_slice(text);
        if self.head.is_empty() {
            return Ok(());
        }
        match sniff(&self.head, pause) {
            None => Ok(()),
            Some(format) => {
                self.format = Some(match self.given {
                    Some(Format::Json | Format::JsonLines) if matches!(format, Format::Json | Format::JsonLines) => {
                        format
                    }
                    Some(given) => given,
                    None => format,
                });
                let head = std::mem::take(&mut self.head);
                self.cut(&head, emit)
            }
        }
    }

    fn cut(&mut self, text: &[u8], emit: &mut Emit<'_>) -> Result<(), InputError> {
        if self.format == Some(Format::Json) {
            let Reader { splitter, json, rejected, .. } = self;
            splitter.push(text, &mut |line, value| match serde_json::from_slice::<Value>(value) {
                Ok(value) => json.value(line, &value, rejected, emit),
                Err(_) => {
                    rejected.malformed += 1;
                    rejected.at_line(line);
                }
            });
            self.splitter_faults();
            return Ok(());
        }
        let mut cutter = std::mem::take(&mut self.cutter);
        let outcome = cutter.push(text, &mut |number, line| self.line(number, line, emit));
        self.cutter = cutter;
        outcome
    }

    fn splitter_faults(&mut self) {
        let (strays, too_long, first) = self.splitter.take_faults();
        self.rejected.malformed += strays;
        self.rejected.too_long += too_long;
        first.into_iter().for_each(|line| self.rejected.at_line(line));
    }

    fn line(&mut self, number: u64, line: &[u8], emit: &mut Emit<'_>) -> Result<(), InputError> {
        let Ok(text) = std::str::from_utf8(line) else {
            self.rejected.not_utf8 += 1;
            self.rejected.at_line(number);
            return Ok(());
        };
        match self.format {
            Some(Format::Table) | None => {
                let mut joiner = std::mem::take(&mut self.joiner);
                let outcome = joiner.line(number, text, &mut |number, record| self.record(number, record, emit));
                self.joiner = joiner;
                outcome
            }
            _ => self.record(number, text, emit),
        }
    }

    fn record(&mut self, number: u64, text: &str, emit: &mut Emit<'_>) -> Result<(), InputError> {
        if text.trim().is_empty() {
            return Ok(());
        }
        match self.format {
            Some(Format::JsonLines | Format::Json) => {
                if text.starts_with('#') {
                    return Ok(());
                }
                match serde_json::from_str::<Value>(text.trim_start_matches('\u{1e}')) {
                    Ok(value) => self.json.value(number, &value, &mut self.rejected, emit),
                    Err(_) => {
                        self.rejected.malformed += 1;
                        self.rejected.at_line(number);
                    }
                }
                Ok(())
            }
            Some(Format::Influx) => {
                self.influx(number, text, emit);
                Ok(())
            }
            Some(Format::Metrics) => {
                self.metrics(number, text, emit);
                Ok(())
            }
            Some(Format::Messages) => {
                self.message(number, text, emit);
                Ok(())
            }
            Some(Format::Log) => {
                self.log_line(number, text, emit);
                Ok(())
            }
            Some(Format::Rrd) => {
                self.rrd_line(number, text, emit);
                Ok(())
            }
            Some(Format::Table) | None => self.row(number, text, emit),
        }
    }
}
