//! The table of a window: what a language model gets to see, and what every text is held to. Its figures are kept as they are
//! printed; what is not in it, nobody may say.

mod clock;

use std::collections::HashSet;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::check::spoken_name;
use super::figure::{Figure, decimals_for};
use super::kind::Kind;
use super::language::Language;
use super::statistics::Statistics;
use super::windows::{ClosedWindow, SensorSummary};
use super::{Moment, SensorTraits};
use clock::{Clock, heading};

/// What the model is told before any table; the part of the prompt that never changes.
pub const SYSTEM: &str = "You write short reports on sensor readings. Use only the numbers in the table.";
/// Sensors in a table.
pub const MAX_ROWS: usize = 6;
/// Anomalies in a table.
pub const MAX_NOTES: usize = 4;

/// A time of day to the minute, `24:00` included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockTime(pub u16);

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A value, and when, where times are told.
#[derive(Clone, Copy, Debug)]
pub struct Extreme {
    /// The value.
    pub value: Figure,
    /// Its time.
    pub at: Option<ClockTime>,
}

/// How a mean compares with the one before.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Higher by so much.
    Rose(Figure),
    /// Lower by so much.
    Fell(Figure),
    /// The same as far as can be told.
    Steady,
}

/// The figures of a sensor.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// The mean.
    pub mean: Figure,
    /// The lowest.
    pub low: Extreme,
    /// The highest.
    pub high: Extreme,
    /// Against the window before, where there was one.
    pub change: Option<Change>,
}

/// What a total has counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// So much in the window.
    pub gain: Figure,
    /// Where it stood at the last reading; of amounts, whose sum counts: nothing.
    pub last: Option<Figure>,
    /// How often it began anew.
    pub resets: u32,
}

/// How long a battery lasts.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// Its charge at the last reading.
    pub last: Figure,
    /// In so many days it is empty.
    pub days: u32,
}

/// A state, and how long it lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLine {
    /// The state's word.
    pub word: String,
    /// In all, as it is told: `3 h 10 min`.
    pub lasted: String,
    /// The longest time, where the window tells times.
    pub longest: Times,
}

/// The states of a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct States {
    /// Those that occurred: of two, the one that means something first (on, open); of several, the longest first.
    pub lines: Vec<StateLine>,
    /// Changes from one to another.
    pub changes: u32,
}

/// A sensor's line.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What people call it; unique in the table.
    pub name: String,
    /// Its unit; empty: none.
    pub unit: String,
    /// Its figures, of a sensor whose level counts; `None`: it has no readings, or is of another kind.
    pub figures: Option<Figures>,
    /// What it counted, of a total.
    pub counted: Option<Counted>,
    /// Its states, of a sensor of states.
    pub states: Option<States>,
    /// How long it lasts, of a battery that is known for long enough.
    pub charge: Option<Charge>,
}

impl Row {
    /// Whether anything is known of it.
    pub fn has_readings(&self) -> bool {
        self.figures.is_some() || self.counted.is_some() || self.states.is_some()
    }
}

/// What the 0 or the 1 of a sensor with two states is called.
pub fn state_word(traits: &SensorTraits, is_one: bool) -> String {
    let said = traits.states.get(usize::from(is_one)).filter(|w| !w.is_empty());
    said.cloned().unwrap_or_else(|| (if is_one { "on" } else { "off" }).to_owned())
}

/// From a time to another, where times are told.
pub type Times = Option<(ClockTime, ClockTime)>;

/// What kind of anomaly, in the figures that are printed.
#[derive(Clone, Copy, Debug)]
pub enum NoteKind {
    /// A single value far off.
    Spike(Extreme),
    /// No readings.
    Gap(Times),
    /// The level moved.
    Drift {
        /// Upwards.
        up: bool,
        /// By so much.
        by: Figure,
        /// Since.
        from: Option<ClockTime>,
    },
    /// The same value over and over.
    Stuck(Figure, Times),
    /// Above this limit.
    Above(Figure, Times),
    /// Below this limit.
    Below(Figure, Times),
}

/// An anomaly's line.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// Whose: an index into the rows.
    pub row: usize,
    /// What.
    pub kind: NoteKind,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Table {
    /// In English, for the model.
    title: String,
    /// The times of the window's ends, as its heading tells them.
    ends: Option<[String; 2]>,
    language: Language,
    /// In the table's language, for people.
    heading: String,
    dates: [Date; 2],
    rows: Vec<Row>,
    notes: Vec<Note>,
    /// With what changes compare.
    before: &'static str,
}

impl Table {
    /// The table of a closed window; `traits_of` tells what is known of each sensor. At most [`MAX_ROWS`] sensors, those with
    /// anomalies first, and [`MAX_NOTES`] anomalies.
    pub fn new(window: &ClosedWindow, traits_of: &dyn Fn(&SensorSummary) -> SensorTraits, zone: &TimeZone) -> Table {
        let clock = Clock::new(window.span, zone);
        let mut order: Vec<&SensorSummary> = window.sensors.iter().collect();
        order.sort_by_key(|s| s.anomalies.is_empty());
        order.truncate(MAX_ROWS);
        let mut rows = Vec::with_capacity(order.len());
        let mut candidates: Vec<(u8, usize, Moment, Note)> = Vec::new();
        let mut names = HashSet::new();
        for (row, summary) in order.iter().enumerate() {
            let traits = traits_of(summary);
            let digits = Digits::of(summary, &traits);
            let is_state = traits.kind.is_some_and(Kind::is_state);
            let statistics = summary.statistics.filter(|_| !is_state);
            let counts = summary.is_total || summary.is_amount;
            let counted = statistics.filter(|_| counts).map(|s| {
                let exact = |value: f64| Figure::exact(value, traits.decimals.unwrap_or(s.decimals));
                match summary.is_amount {
                    true => Counted { gain: exact(s.sum()), last: None, resets: 0 },
                    false => {
                        Counted { gain: exact(s.growth.gain), last: Some(exact(s.last.0)), resets: s.growth.resets }
                    }
                }
            });
            let charge = statistics
                .zip(summary.lasts_days)
                .map(|(s, days)| Charge { last: digits.value(s.last.0), days: days.round().max(1.0) as u32 });
            rows.push(Row {
                name: unique(spoken_name(&traits.name), &mut names),
                unit: traits.unit.clone(),
                figures: statistics.filter(|_| !counts).map(|s| Figures {
                    mean: digits.value(s.mean_direction.unwrap_or(s.mean)),
                    low: Extreme { value: digits.value(s.low.0), at: clock.time(s.low.1) },
                    high: Extreme { value: digits.value(s.high.0), at: clock.time(s.high.1) },
                    change: summary.change.and_then(|c| digits.change(c, &s)),
                }),
                counted,
                charge,
                states: summary.states.as_ref().map(|states| clock.states(states, &traits)),
            });
            let mut seen: Vec<(u8, usize)> = Vec::new();
            for anomaly in &summary.anomalies {
                let rank = anomaly.rank();
                // The first of its kind of each sensor comes before the second of any.
                let nth = match seen.iter_mut().find(|(kind, _)| *kind == rank) {
                    Some((_, n)) => {
                        *n += 1;
                        *n
                    }
                    None => {
                        seen.push((rank, 0));
                        0
                    }
                };
                if let Some(kind) = clock.note(anomaly, &digits) {
                    candidates.push((rank, nth, anomaly.begins(), Note { row, kind }));
                }
            }
        }
        candidates.sort_by_key(|(rank, nth, begins, _)| (*nth, *rank, *begins));
        candidates.truncate(MAX_NOTES);
        candidates.sort_by_key(|(.., begins, _)| *begins);
        let notes = candidates.into_iter().map(|c| c.3).collect();
        let before = if clock.is_month() { "the month before" } else { before(window.span.seconds()) };
        let ends = clock.ends();
        let title = heading(Language::English, clock.dates, &ends);
        Table {
            heading: title.clone(),
            title,
            ends: Some(ends),
            language: Language::English,
            dates: clock.dates,
            rows,
            notes,
            before,
        }
    }

    /// A table of given lines, for tests and for parts of a table.
    pub fn of(title: String, dates: [Date; 2], rows: Vec<Row>, notes: Vec<Note>) -> Table {
        let (heading, language) = (title.clone(), Language::English);
        Table { title, ends: None, language, heading, dates, rows, notes, before: "the window before" }
    }

    /// The same with another window before it, as in "the day before".
    #[must_use]
    pub fn after(self, before: &'static str) -> Table {
        Table { before, ..self }
    }

    /// The same for a report in another language. What a model reads stays English.
    #[must_use]
    pub fn in_language(self, language: Language) -> Table {
        let heading = self.ends.as_ref().map_or(self.title.clone(), |ends| heading(language, self.dates, ends));
        Table { language, heading, ..self }
    }

    /// The language of the report.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The window in words, in the report's language.
    pub fn heading(&self) -> &str {
        &self.heading
    }

    /// The first and the last day.
    pub fn dates(&self) -> [Date; 2] {
        self.dates
    }

    /// With what changes compare: "the day before".
    pub fn before(&self) -> &'static str {
        self.before
    }

    /// The sensors.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The anomalies.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The table that holds nothing but one anomaly or one sensor's line: the facts of one sentence.
    #[must_use]
    pub fn narrowed(&self, row: usize, note: Option<usize>) -> Table {
        let notes = note.map(|n| Note { row: 0, ..self.notes[n] }).into_iter().collect();
        Table { rows: vec![self.rows[row].clone()], notes, ..self.clone() }
    }
}

/// As the model reads it; no newline at the end.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Window: {}", self.title)?;
        for Row { name, unit, figures, counted, states, charge } in &self.rows {
            if let Some(Counted { gain, last, resets }) = counted {
                write!(f, "\n{name}: counted {gain}{}", Spaced(unit))?;
                if let Some(last) = last {
                    write!(f, ", stood at {last}")?;
                }
                match resets {
                    0 => {}
                    1 => write!(f, ", 1 reset")?,
                    n => write!(f, ", {n} resets")?,
                }
                continue;
            }
            if let Some(States { lines, changes }) = states {
                write!(f, "\n{name}: ")?;
                for (i, line) in lines.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{} for {}", line.word, line.lasted)?;
                    if i == 0 && *changes > 1 && line.longest.is_some() {
                        write!(f, ", longest{}", FromTo(&line.longest))?;
                    }
                }
                write!(f, ", {changes} changes")?;
                continue;
            }
            if let Some(Charge { last, days }) = charge {
                write!(f, "\n{name}: stood at {last}{}, lasts {days} days", Spaced(unit))?;
                continue;
            }
            let Some(Figures { mean, low, high, change }) = figures else {
                write!(f, "\n{name}: no readings")?;
                continue;
            };
            write!(f, "\n{name}: mean {mean}{}", Spaced(unit))?;
            for (word, extreme) in [("lowest", low), ("highest", high)] {
                write!(f, ", {word} {}", extreme.value)?;
                if let Some(at) = extreme.at {
                    write!(f, " at {at}")?;
                }
            }
            match change {
                Some(Change::Rose(by)) => write!(f, ", rose by {by}")?,
                Some(Change::Fell(by)) => write!(f, ", fell by {by}")?,
                Some(Change::Steady) => write!(f, ", steady")?,
                None => {}
            }
        }
        if self.notes.is_empty() {
            return write!(f, "\nAnomalies: none");
        }
        write!(f, "\nAnomalies:")?;
        for Note { row, kind } in &self.notes {
            let Row { name, unit, .. } = &self.rows[*row];
            let unit = Spaced(unit);
            write!(f, "\n{name}: ")?;
            match kind {
                NoteKind::Spike(Extreme { value, at: Some(at) }) => write!(f, "spike to {value}{unit} at {at}")?,
                NoteKind::Spike(Extreme { value, at: None }) => write!(f, "spike to {value}{unit}")?,
                NoteKind::Gap(times) => write!(f, "gap{}", FromTo(times))?,
                NoteKind::Drift { up, by, from } => {
                    write!(f, "drift {} by {by}{unit}", if *up { "up" } else { "down" })?;
                    if let Some(from) = from {
                        write!(f, " from {from}")?;
                    }
                }
                NoteKind::Stuck(value, times) => write!(f, "stuck at {value}{unit}{}", FromTo(times))?,
                NoteKind::Above(limit, times) => write!(f, "above {limit}{unit}{}", FromTo(times))?,
                NoteKind::Below(limit, times) => write!(f, "below {limit}{unit}{}", FromTo(times))?,
            }
        }
        Ok(())
    }
}

/// What a window of so many seconds follows.
fn before(seconds: f64) -> &'static str {
    match seconds {
        s if (s - 3600.0).abs() < 1.0 => "the hour before",
        // With a change of the clocks, a day has 23 or 25 hours.
        s if (s - 86_400.0).abs() <= 3600.0 => "the day before",
        s if (s - 604_800.0).abs() <= 3600.0 => "the week before",
        _ => "the window before",
    }
}

/// `name`, or what tells it from a row before that is called the same.
fn unique(name: String, names: &mut HashSet<String>) -> String {
    let mut candidate = name.clone();
    let mut n = 1;
    while !names.insert(candidate.to_lowercase()) {
        n += 1;
        candidate = format!("{name} no {n}");
    }
    candidate
}

/// A unit after its number: with a space before it, or nothing.
#[derive(Clone, Copy)]
pub(super) struct Spaced<'a>(pub &'a str);

impl fmt::Display for Spaced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " {}", self.0) }
    }
}

/// ` from 02:10 to 03:45`, or nothing.
pub(super) struct FromTo<'a>(pub &'a Times);

impl fmt::Display for FromTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((from, to)) => write!(f, " from {from} to {to}"),
            None => Ok(()),
        }
    }
}

/// States of a sensor in a table.
const MAX_STATES: usize = 4;

/// Digits after the point that suit a sensor's values: by their size, and where they lie close together as fine as they are.
pub fn digits_of(statistics: &Statistics) -> u8 {
    digits_between(statistics.low.0, statistics.high.0, statistics.decimals)
}

/// The same of values that lie between two and have so many digits themselves.
pub(super) fn digits_between(low: f64, high: f64, decimals: u8) -> u8 {
    let by_size = decimals_for(low.abs().max(high.abs()));
    let range = high - low;
    let is_coarse = range > 0.0 && range < 20.0 * 10f64.powi(-i32::from(by_size));
    if is_coarse { by_size.max(decimals.min(decimals_for(range))) } else { by_size }
}

/// A sensor is steady as long as its values lie within this share of their mean.
const STEADY_SHARE: f64 = 0.05;

/// With how many digits a sensor's values are printed.
struct Digits(u8);

impl Digits {
    fn of(summary: &SensorSummary, traits: &SensorTraits) -> Digits {
        Digits(traits.decimals.unwrap_or_else(|| summary.statistics.map_or(1, |s| digits_of(&s))))
    }

    fn value(&self, value: f64) -> Figure {
        Figure::exact(value, self.0)
    }

    /// A difference may need a digit more than the values themselves: 1013 hPa may rise by 3.1.
    fn difference(&self, value: f64) -> Figure {
        Figure::new(value, decimals_for(value).min(self.0 + 1))
    }

    /// `None` where the mean is as it was, while the values go up and down: nobody would call that steady.
    fn change(&self, change: f64, statistics: &Statistics) -> Option<Change> {
        let by = self.difference(change.abs());
        if by.is_zero() || change.abs() < statistics.deviation * 0.1 {
            let range = statistics.high.0 - statistics.low.0;
            let is_steady =
                range <= STEADY_SHARE * statistics.mean.abs() || range <= 3.0 * 10f64.powi(-i32::from(self.0));
            is_steady.then_some(Change::Steady)
        } else if change > 0.0 {
            Some(Change::Rose(by))
        } else {
            Some(Change::Fell(by))
        }
    }
}
