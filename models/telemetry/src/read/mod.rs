//! Readings from text, whatever system has exported it: tables with sensors as columns or as rows, JSON, line protocol, metrics,
//! MQTT messages. Encoding, format, delimiter, header, units, times and layout are inferred from a sample of the input, or given.
//! What can't be read is counted by cause and by sensor; an input that can be read in two ways is refused with the key that
//! decides.

mod decisions;
mod decode;
pub mod explain;
mod fields;
mod header;
mod infer;
mod influx;
mod json;
mod lines;
mod logs;
pub mod mqtt;
mod number;
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
mod workbook;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use json::{json_number, lookup};
pub use lines::{LineCutter, MAX_LINE_BYTES, OnLine};
pub use rejected::{Cause, Rejected, RejectedOf};
pub use time::{json_stamp, json_time, parse_time};
pub use workbook::{MAX_WORKBOOK, is_workbook, rows_of};

use crate::Moment;
use crate::kind::Kind;
use decode::Decode;
use fields::Joiner;
use json::Json;
use rrd::Rrd;
use sheet::Sheet;
use sniff::sniff;
use splitter::Splitter;

/// Names of formats and of the systems that export them, each with the format it stands for.
const PROFILES: [(&str, Option<Format>); 20] = [
    ("", None),
    ("csv", Some(Format::Table)),
    ("jsonl", Some(Format::JsonLines)),
    ("json", Some(Format::Json)),
    ("home-assistant", None),
    ("zigbee2mqtt", None),
    ("tasmota", None),
    ("esphome", None),
    ("shelly", None),
    ("thingsboard", None),
    ("influx-csv", Some(Format::Table)),
    ("influx-line", Some(Format::Influx)),
    ("senml", None),
    ("toa5", Some(Format::Table)),
    ("grafana", None),
    ("sma", Some(Format::Table)),
    ("prometheus", None),
    ("mosquitto", Some(Format::Messages)),
    ("xlsx", Some(Format::Table)),
    ("rrdtool", Some(Format::Rrd)),
];

/// How text is to be read; what is empty is inferred.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TextOptions {
    /// "csv", "jsonl" or "json"; or a system: "home-assistant", "zigbee2mqtt", "tasmota", "esphome", "shelly", "thingsboard",
    /// "influx-csv", "influx-line", "senml", "toa5", "grafana", "sma", "prometheus", "mosquitto" (mosquitto_sub -v), "xlsx", "rrdtool"; empty: by
    /// the first lines.
    pub format: String,
    /// The encoding, as in "windows-1252"; empty: by the bytes.
    pub encoding: String,
    /// One character between columns; empty: the one by which the lines have a time and the same number of columns.
    pub delimiter: String,
    /// The decimal mark, "." or ","; empty: by the numbers. The report asks for it where 1,200 may be 1200 or 1.2 and no other number
    /// shows which.
    pub decimal: String,
    /// The column or key of the time.
    pub time: String,
    /// The time's form in strftime's letters, as in "%m/%d/%Y %I:%M %p"; empty: any of the usual forms. The report asks for it where
    /// 03/04/2026 may be March or April.
    pub time_format: String,
    /// The column or key of the sensor's name, where each line holds one reading.
    pub sensor: String,
    /// The column or key of the value, where each line holds one reading.
    pub value: String,
}

/// An input that can't be what it is taken for, or that could be two things.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// Packed.
    #[error("it is compressed ({0}): unpack it, as in `{1} -c FILE | nearfield report --input -`")]
    Compressed(&'static str, &'static str),
    /// No text.
    #[error("it is not text ({0})")]
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
    /// Numbers that are one thing in one half of the world and another in the other.
    #[error(
        "{example:?} in the column {column:?} can be read as two numbers, and nothing in the input shows which: \
         say which mark separates decimals with --set text.decimal=\".\" or --set text.decimal=\",\""
    )]
    OpenNumber {
        /// The column, or the sensor.
        column: String,
        /// The first such cell.
        example: String,
    },
    /// Dates of which nobody knows whether the day or the month comes first.
    #[error(
        "{0:?} can be read as two dates, and nothing in the input shows which: say what comes first with \
         --set text.time_format=\"%d/%m/%Y %H:%M\" or \"%m/%d/%Y %H:%M\""
    )]
    OpenDate(String),
    /// A spreadsheet that can't be opened.
    #[error("the spreadsheet can't be read: {0}")]
    Workbook(String),
    /// The options contradict themselves.
    #[error("{0}")]
    Options(String),
}

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
    sample: Vec<(u64, String)>,
    sample_bytes: usize,
    /// Bytes before the format is known.
    head: Vec<u8>,
    delimiter_told: Option<char>,
    sheet: Option<Sheet>,
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
        let given = PROFILES.iter().find(|(name, _)| *name == options.format).and_then(|(_, format)| *format);
        Ok(Reader {
            json: Json::new(options, zone.clone(), false),
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
            sample: Vec::new(),
            sample_bytes: 0,
            head: Vec::new(),
            delimiter_told: None,
            sheet: None,
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
        self.text(&text, false, emit)
    }

    /// Nothing more is there for now: what is there decides.
    ///
    /// # Errors
    /// The input can't be what it is taken for.
    pub fn pause(&mut self, emit: &mut Emit<'_>) -> Result<(), InputError> {
        let mut text = Vec::new();
        self.decode.settle(&mut text)?;
        self.text(&text, true, emit)?;
        self.decide(false, emit)
    }

    /// The input is at its end.
    ///
    /// # Errors
    /// Not one line had a time, or the input could be two things.
    pub fn end(&mut self, emit: &mut Emit<'_>) -> Result<(), InputError> {
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

impl TextOptions {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        if !PROFILES.iter().any(|(name, _)| *name == self.format) {
            let names: Vec<&str> = PROFILES.iter().map(|(name, _)| *name).filter(|n| !n.is_empty()).collect();
            return Err(format!(
                "text.format is {:?}: write \"csv\" or \"jsonl\" or one of {}, or leave it empty",
                self.format,
                names[2..].join(", ")
            ));
        }
        if self.delimiter.chars().count() > 1 {
            return Err("text.delimiter must be one character".to_owned());
        }
        if !matches!(self.decimal.as_str(), "" | "." | ",") {
            return Err(format!("text.decimal is {:?}: write \".\" or \",\", or leave it empty", self.decimal));
        }
        if self.sensor.is_empty() != self.value.is_empty() {
            return Err("text.sensor and text.value belong together: give both or none".to_owned());
        }
        Ok(())
    }
}
