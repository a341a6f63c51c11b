//! Which columns of a table hold the time: one with date and time of day, a date and its time of day or hour beside it, Excel's days, or
//! a number that counts from a start.

use std::collections::HashSet;

use jiff::tz::TimeZone;

use super::InputError;
use super::header;
use super::infer::{Fields, Wanted};
use super::number::{self, Cell, Marks};
use super::time::{self, DateOrder};
use crate::Moment;

/// The columns of the time.
#[derive(Clone, Debug, Default)]
pub(super) struct TimeColumns {
    pub(super) column: usize,
    /// The time of day, where the date has a column of its own.
    pub(super) clock: Option<usize>,
    pub(super) form: ClockForm,
    /// The minute, beside a column of hours.
    pub(super) minute: Option<usize>,
    /// Dates are written with the midnight before their time of day, as spreadsheets export them.
    pub(super) has_midnight: bool,
    /// Days since 1899.
    pub(super) excel: bool,
    /// Seconds of a unit in which it counts from the start that the options tell.
    pub(super) elapsed: Option<f64>,
    pub(super) order: Option<DateOrder>,
    /// Rows have shown the order, which otherwise is no more than likely.
    pub(super) order_is_shown: bool,
    pub(super) descending: bool,
    /// The zone that the header names.
    pub(super) zone: Option<TimeZone>,
}

/// How a column of its own tells the time of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ClockForm {
    /// `07:30`
    #[default]
    Text,
    /// `7`: the hour.
    Hours,
    /// `730` or `0730`.
    HoursMinutes,
}

impl TimeColumns {
    /// Whether a column is one of them.
    pub(super) fn holds(&self, column: usize) -> bool {
        column == self.column || Some(column) == self.clock || Some(column) == self.minute
    }

    /// With each column moved to the left, where rows have a name in front that the header lacks.
    pub(super) fn moved_left(self) -> TimeColumns {
        TimeColumns {
            column: self.column - 1,
            clock: self.clock.map(|c| c - 1),
            minute: self.minute.map(|c| c - 1),
            ..self
        }
    }

    /// Date and time of day of a row as one text, where they have columns of their own.
    pub(super) fn joined(&self, date: &str, clock: &str, minute: &str) -> String {
        let date = if self.has_midnight { date.split([' ', 'T']).next().unwrap_or(date) } else { date };
        let minute = if minute.is_empty() { "00" } else { minute };
        match self.form {
            // Some programs put a date into the column of times too.
            ClockForm::Text => {
                let clock = clock
                    .rsplit_once(' ')
                    .map_or(clock, |(before, last)| if before.contains(['-', '/', '.']) { last } else { clock });
                format!("{date} {clock}")
            }
            ClockForm::Hours => format!("{date} {clock}:{minute:0>2}"),
            ClockForm::HoursMinutes => {
                let digits = format!("{clock:0>4}");
                format!("{date} {}:{}", &digits[..2], digits.get(2..).unwrap_or(""))
            }
        }
    }
}

/// Where the time stands, and where the data begin.
pub(super) struct Found {
    pub(super) time: TimeColumns,
    pub(super) data_from: usize,
}

/// Whether a row has a time in its column.
pub(super) fn is_data(row: &Fields<'_>, time: &TimeColumns, wanted: &Wanted<'_>) -> bool {
    let Some(cell) = row.get(time.column) else { return false };
    if time.elapsed.is_some() {
        return number_of(cell).is_some();
    }
    if time.excel {
        return is_days(cell);
    }
    wanted.time(cell).is_some() || is_date(cell, wanted)
}

pub(super) fn is_date(text: &str, wanted: &Wanted<'_>) -> bool {
    wanted.options.time_format.is_empty() && time::civil(text, None).is_some()
}

pub(super) fn is_clock(text: &str) -> bool {
    let mut parts = text.split(':');
    let digits =
        |p: Option<&str>| p.is_some_and(|p| (1..=2).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    digits(parts.next())
        && parts.next().is_some_and(|p| p.len() >= 2 && p.as_bytes()[..2].iter().all(u8::is_ascii_digit))
}

pub(super) fn number_of(cell: &str) -> Option<f64> {
    match number::read(cell, if cell.contains(',') { Marks::Comma } else { Marks::Point }) {
        Cell::Number(number, "") if number.is_finite() => Some(number),
        _ => None,
    }
}

fn is_days(cell: &str) -> bool {
    number_of(cell).is_some_and(|n| time::excel(n).is_some())
}

/// Whether a text is a time in a form that is not known: digits and marks, perhaps with a word behind them.
fn resembles_time(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    text.len() <= 64 && digits >= 6 && digits >= letters && text.contains([':', '-', '/', '.'])
}

/// A date with a midnight behind it that may stand for no time of day at all.
fn is_midnight(text: &str) -> bool {
    const MIDNIGHTS: &[&str] = &["00:00", "00:00:00", "0:00", "0:00:00", "00:00:00.000", "12:00 AM", "12:00:00 AM"];
    text.split_once([' ', 'T']).is_some_and(|(date, clock)| {
        MIDNIGHTS.contains(&clock.trim()) && time::civil(date, None).is_some_and(|c| !c.has_time)
    })
}

/// Looks at the columns of a sample.
struct Search<'a, 's> {
    rows: &'a [Fields<'s>],
    widest: usize,
    /// The first row that may be data.
    begin: usize,
    named: Option<usize>,
    wanted: &'a Wanted<'a>,
}

impl Search<'_, '_> {
    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        let rows = &self.rows[self.begin.min(self.rows.len())..];
        rows.iter().filter_map(move |r| r.get(column)).map(|f| f.as_ref())
    }

    fn count(&self, is: &dyn Fn(&str) -> bool, column: usize) -> usize {
        self.cells(column).filter(|f| is(f)).count()
    }

    /// The column that the options name, or the likeliest.
    fn column(&self) -> Option<usize> {
        let wanted = self.wanted;
        let rows = self.rows;
        if let Some(head) = self.named {
            let given = rows[head]
                .iter()
                .position(|f| header::column(f).key == wanted.options.time || *f == wanted.options.time)?;
            // Rows may have a name in front that the header lacks.
            let shifted = rows.get(head + 1).is_some_and(|r| r.len() == rows[head].len() + 1);
            return Some(given + usize::from(shifted && self.count(&|f| wanted.time(f).is_some(), given) == 0));
        }
        let counts: Vec<usize> = (0..self.widest).map(|c| self.count(&|f| wanted.time(f).is_some(), c)).collect();
        let best = counts.iter().copied().max().unwrap_or(0);
        let likely: Vec<usize> = (0..self.widest).filter(|c| counts[*c] > 0 && counts[*c] * 2 >= best).collect();
        let first = likely
            .iter()
            .filter_map(|c| rows.iter().position(|r| r.get(*c).is_some_and(|f| wanted.time(f).is_some())))
            .min();
        let head = first.and_then(|f| f.checked_sub(1)).map(|f| header::columns(rows[f].iter().map(|f| f.as_ref())));
        let by_name = head.as_ref().and_then(|head| {
            header::TIME_NAMES.iter().find_map(|n| {
                likely.iter().copied().find(|c| head.get(*c).is_some_and(|h| h.key.eq_ignore_ascii_case(n)))
            })
        });
        let is_textual = |c: &usize| {
            self.count(&|f| wanted.time(f).is_some() && f.bytes().any(|b| !b.is_ascii_digit() && b != b'.'), *c) > 0
        };
        by_name.or_else(|| likely.iter().copied().find(is_textual)).or_else(|| likely.first().copied())
    }

    /// The cell of a column in the row above the data.
    fn title(&self, column: usize, data_from: usize) -> &str {
        let head = self.named.or(data_from.checked_sub(1));
        head.and_then(|h| self.rows[h].get(column)).map_or("", |f| f.as_ref())
    }

    /// Days since 1899, in a column of that name or in `given`: nearly all of its numbers are some, and they lie within one life.
    fn excel(&self, given: Option<usize>) -> Option<usize> {
        let rows = self.rows;
        (0..self.widest).find(|c| {
            let title = rows.first().and_then(|r| r.get(*c)).map_or("", |f| f.as_ref());
            if !(header::names_time(&header::column(title).key) || Some(*c) == given) || unit_of_time(title).is_some() {
                return false;
            }
            let numbers: Vec<f64> = self.cells(*c).filter_map(number_of).collect();
            let days: Vec<f64> = numbers.iter().copied().filter(|n| time::excel(*n).is_some()).collect();
            let (low, high) = (days.iter().copied().fold(f64::MAX, f64::min), days.iter().copied().fold(0.0, f64::max));
            !days.is_empty() && days.len() * 10 >= numbers.len() * 9 && high - low < 40.0 * 365.25
        })
    }

    /// Whether the numbers of a column never fall, and are most of its cells.
    fn grows(&self, column: usize) -> bool {
        let numbers: Vec<f64> = self.cells(column).filter_map(number_of).collect();
        numbers.len() > 1
            && numbers.len() * 2 >= self.cells(column).filter(|f| !f.is_empty()).count()
            && numbers[0] < numbers[numbers.len() - 1]
            && numbers.windows(2).all(|w| w[0] <= w[1])
            && numbers[0] >= 0.0
    }

    /// A column that counts time from a start: the one that is named, else the first of such a name, whose numbers never fall.
    fn elapsed(&self, given: Option<usize>) -> Option<(usize, usize, f64)> {
        let first = |c: usize| {
            let is_number = |r: &usize| self.rows[*r].get(c).is_some_and(|f| number_of(f).is_some());
            (self.begin..self.rows.len()).find(is_number)
        };
        let is_named = |c: usize| {
            first(c).is_some_and(|data_from| {
                let key = header::column(self.title(c, data_from)).key.to_lowercase();
                let words = || key.split(|c: char| !c.is_alphanumeric());
                header::names_time(&key)
                    || words().any(|w| {
                        matches!(w, "elapsed" | "uptime" | "millis" | "runtime" | "time" | "timestamp" | "zeit")
                    })
            })
        };
        let column = given.or_else(|| (0..self.widest).find(|c| is_named(*c) && self.grows(*c)))?;
        let data_from = first(column)?;
        let title = self.title(column, data_from);
        let scale = unit_of_time(title).unwrap_or(if title.to_lowercase().contains("millis") { 0.001 } else { 1.0 });
        Some((column, data_from, scale))
    }

    /// The time of day beside a column of dates alone.
    fn clock(&self, time: &mut TimeColumns, data_from: usize) {
        let wanted = self.wanted;
        let is_bare = |f: &str| time::civil(f, None).is_some_and(|c| !c.has_time);
        let all = self.count(&|f| is_date(f, wanted), time.column);
        let (bare, midnights) = (self.count(&is_bare, time.column), self.count(&is_midnight, time.column));
        if all == 0 || bare + midnights < all {
            return;
        }
        let distinct: HashSet<&str> = self.cells(time.column).filter(|f| is_date(f, wanted)).collect();
        let repeats = distinct.len() < all;
        if midnights > 0 && !repeats {
            return;
        }
        let others = || (0..self.widest).filter(|c| *c != time.column);
        let key = |c: usize| header::column(self.title(c, data_from)).key.to_lowercase();
        let is_text = |c: &usize| {
            // One time a day may be that of the day's highest value.
            let is_its = repeats || {
                let key = key(*c);
                key.is_empty() || is_clock(&key) || header::names_time(&key) || header::names_end(&key)
            };
            is_its && self.count(&is_clock, *c) * 2 >= all
        };
        let whole = |c: usize, most: u32| {
            let mut cells = self.rows[data_from..].iter().filter_map(|r| r.get(c)).filter(|f| !f.is_empty()).peekable();
            cells.peek().is_some()
                && cells.all(|f| {
                    f.len() <= 4
                        && f.bytes().all(|b| b.is_ascii_digit())
                        && f.parse::<u32>().is_ok_and(|n| n <= most && (most < 100 || n % 100 < 60))
                })
        };
        if let Some(found) = others().find(is_text) {
            (time.clock, time.form) = (Some(found), ClockForm::Text);
        } else if let Some(hours) = others().find(|c| HOURS.contains(&key(*c).as_str()) && whole(*c, 24)) {
            (time.clock, time.form) = (Some(hours), ClockForm::Hours);
            time.minute = others().find(|c| MINUTES.contains(&key(*c).as_str()) && whole(*c, 59));
        } else if let Some(digits) = others().find(|c| {
            let key = key(*c);
            (header::names_time(&key) || matches!(key.as_str(), "hhmm" | "hrmn")) && whole(*c, 2400)
        }) {
            (time.clock, time.form) = (Some(digits), ClockForm::HoursMinutes);
        }
        time.has_midnight = midnights > 0 && time.clock.is_some();
    }
}

const HOURS: &[&str] = &[
    "hour",
    "hours",
    "hr",
    "hod",
    "h",
    "hour of day",
    "hour ending",
    "hour_ending",
    "hourending",
    "stunde",
    "std",
    "heure",
    "hora",
    "uur",
    "ora",
];
const MINUTES: &[&str] = &["minute", "minutes", "min", "minuten", "minuto"];

/// Seconds of the unit in which the title of a column says that time is counted: `TimeStamp(ms)`, `Elapsed time [s]`, `time_ms`.
fn unit_of_time(title: &str) -> Option<f64> {
    let lower = title.to_lowercase();
    let last = lower.rsplit(|c: char| !c.is_alphanumeric() && c != 'µ').find(|w| !w.is_empty())?;
    let is_alone = last.len() == lower.trim().len();
    let scale = match last {
        "ms" | "msec" | "millis" | "milliseconds" => 1e-3,
        "us" | "µs" | "micros" | "microseconds" => 1e-6,
        "s" | "sec" | "secs" | "seconds" | "sekunden" => 1.0,
        "min" | "mins" | "minutes" | "minuten" => 60.0,
        "h" | "hr" | "hrs" | "hours" | "stunden" => 3600.0,
        "d" | "days" | "tage" => 86_400.0,
        _ => return None,
    };
    (!is_alone || last.len() > 3).then_some(scale)
}

/// The columns of the time, and the first row of data; `None`: no row has a time yet.
///
/// # Errors
/// The times count from a start that nobody has told, or few rows have any.
pub(super) fn find_time(
    rows: &[Fields<'_>],
    named: Option<usize>,
    wanted: &Wanted<'_>,
    at_end: bool,
) -> Result<Option<Found>, InputError> {
    let widest = rows.iter().map(Vec::len).max().unwrap_or(0).min(256);
    let search = Search { rows, widest, begin: named.map_or(0, |h| h + 1), named, wanted };
    let column = search.column();
    if !wanted.options.start.is_empty() {
        let given = named.and(column);
        let found = search.elapsed(given).map(|(column, data_from, scale)| Found {
            time: TimeColumns { column, elapsed: Some(scale), ..TimeColumns::default() },
            data_from,
        });
        return Ok(found);
    }
    let mut time = TimeColumns { column: column.unwrap_or(0), ..TimeColumns::default() };
    let has_times =
        |time: &TimeColumns| search.count(&|f| wanted.time(f).is_some() || is_date(f, wanted), time.column) > 0;
    if column.is_none() || (named.is_some() && !has_times(&time)) {
        let Some(excel) = search.excel(column) else {
            let elapsed =
                search.elapsed(named.and(column)).filter(|(c, ..)| at_end && !wanted.live && search.grows(*c));
            return match elapsed {
                Some((column, data_from, _)) => Err(InputError::Elapsed(search.title(column, data_from).to_owned())),
                None => Ok(None),
            };
        };
        time = TimeColumns { column: excel, excel: true, ..TimeColumns::default() };
    }
    let Some(mut data_from) = (search.begin..rows.len()).find(|r| is_data(&rows[*r], &time, wanted)) else {
        return Ok(None);
    };
    if !time.excel {
        // What stands right above may be data whose times are in a form that is not known.
        let is_alike =
            |r: &Fields<'_>| r.len() == rows[data_from].len() && r.get(time.column).is_some_and(|f| resembles_time(f));
        let above = rows[search.begin..data_from].iter().rev().take_while(|r| is_alike(r)).count();
        data_from -= above;
        if wanted.options.time_format.is_empty() {
            search.clock(&mut time, data_from);
        }
    }
    if named.is_none() && !wanted.live {
        // Rows of another table below have their times elsewhere.
        let has_other = |r: &Fields<'_>| r.iter().take(widest).any(|f| wanted.time(f).is_some() || is_date(f, wanted));
        let alike = || rows[data_from..].iter().filter(|r| r.len() == rows[data_from].len());
        let times = alike().filter(|r| is_data(r, &time, wanted)).count();
        let all = times + alike().filter(|r| !is_data(r, &time, wanted) && !has_other(r)).count();
        if times * 2 <= all && all > 1 {
            let column = time.column + 1;
            return if at_end { Err(InputError::FewTimes { column, times, rows: all }) } else { Ok(None) };
        }
    }
    Ok(Some(Found { time, data_from }))
}

impl Wanted<'_> {
    /// A time, whichever of day and month comes first.
    pub(super) fn time(&self, text: &str) -> Option<Moment> {
        let order = Some(DateOrder::DayFirst);
        let read = |order| time::parse(text, &self.options.time_format, self.zone, order, time::Course::default());
        read(order).or_else(|| read(None)).filter(|at| at.is_plausible())
    }
}
