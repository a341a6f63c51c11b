//! Which columns of a table hold the time: one with date and time of day, a date and its time of day or hour beside it, year, month and
//! day in columns of their own, Excel's days, or a number that counts from a start.

use std::collections::HashMap;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::header;
use super::infer::{Fields, Wanted};
use super::number::{self, Cell, Marks};
use super::time::{self, DateOrder};
use super::{InputError, date_words};
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
    /// The second, beside one of minutes.
    pub(super) second: Option<usize>,
    /// The rest of a date of which `column` is the year.
    pub(super) parts: Option<DateParts>,
    /// The zone of each row, as in `Europe/Berlin` or `+02:00`.
    pub(super) zone_column: Option<usize>,
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
    /// Columns that tell again, in parts, what the whole time tells.
    pub(super) again: Vec<usize>,
    /// The zone that the header names.
    pub(super) zone: Option<TimeZone>,
}

/// The rest of a date whose year has a column of its own; without a day it is a whole month, without a month a whole year.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DateParts {
    pub(super) month: Option<usize>,
    pub(super) day: Option<usize>,
    /// Days are counted from the beginning of the year.
    pub(super) is_day_of_year: bool,
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
    /// `143000`.
    HoursMinutesSeconds,
    /// `14.30` or `14.30.00`.
    Dotted,
}

impl TimeColumns {
    /// The columns that make the time.
    pub(super) fn all(&self) -> impl Iterator<Item = usize> {
        let parts = self.parts.unwrap_or_default();
        let others = [parts.month, parts.day, self.clock, self.minute, self.second];
        [Some(self.column)].into_iter().chain(others).flatten()
    }

    /// Whether a column is one of them, or tells their zone.
    pub(super) fn holds(&self, column: usize) -> bool {
        self.all().any(|c| c == column) || Some(column) == self.zone_column || self.again.contains(&column)
    }

    /// With each column moved to the left, where rows have a name in front that the header lacks.
    pub(super) fn moved_left(self) -> TimeColumns {
        let left = |column: Option<usize>| column.and_then(|c| c.checked_sub(1));
        TimeColumns {
            column: self.column - 1,
            clock: left(self.clock),
            minute: left(self.minute),
            second: left(self.second),
            parts: self.parts.map(|p| DateParts { month: left(p.month), day: left(p.day), ..p }),
            zone_column: left(self.zone_column),
            again: self.again.iter().filter_map(|c| c.checked_sub(1)).collect(),
            ..self
        }
    }

    /// The time of a row as one text, where it has more columns than one. `date` turns a date into a form that is known.
    pub(super) fn joined<'a>(
        &self,
        of: &dyn Fn(usize) -> &'a str,
        date: &dyn Fn(&'a str) -> Option<String>,
    ) -> Option<String> {
        let date = match self.parts {
            Some(parts) => parts.date(of(self.column), of)?,
            None => {
                let date_cell = of(self.column);
                let bare = match self.has_midnight {
                    true => date_cell.split([' ', 'T']).next().unwrap_or(date_cell),
                    false => date_cell,
                };
                date(bare)?
            }
        };
        let Some(clock) = self.clock.map(of) else { return Some(date) };
        if clock.trim().is_empty() {
            return None; // nobody knows when on that day
        }
        let two = |column: Option<usize>| column.map(of).filter(|text| !text.is_empty()).unwrap_or("00");
        Some(match self.form {
            // Some programs put a date into the column of times too.
            ClockForm::Text => {
                let clock = clock
                    .rsplit_once(' ')
                    .map_or(clock, |(before, last)| if before.contains(['-', '/', '.']) { last } else { clock });
                format!("{date} {clock}")
            }
            ClockForm::Dotted => format!("{date} {}", clock.replace('.', ":")),
            ClockForm::Hours => format!("{date} {clock}:{:0>2}:{:0>2}", two(self.minute), two(self.second)),
            ClockForm::HoursMinutes => {
                let digits = format!("{clock:0>4}");
                format!("{date} {}:{}", digits.get(..2)?, digits.get(2..)?)
            }
            ClockForm::HoursMinutesSeconds => {
                let digits = format!("{clock:0>6}");
                format!("{date} {}:{}:{}", digits.get(..2)?, digits.get(2..4)?, digits.get(4..)?)
            }
        })
    }
}

impl DateParts {
    /// The date of a row as ISO 8601 writes it.
    pub(super) fn date<'a>(self, year: &str, of: &dyn Fn(usize) -> &'a str) -> Option<String> {
        let year: i16 = year.parse().ok().filter(|y| (1900..=2200).contains(y))?;
        let number = |column: usize| of(column).parse::<i16>().ok();
        let date = if self.is_day_of_year {
            let day = self.day.and_then(number).filter(|day| (1..=366).contains(day))?;
            let new_year = Date::new(year, 1, 1).ok()?;
            new_year.checked_add(i32::from(day - 1).days()).ok().filter(|date| date.year() == year)?
        } else {
            let month = match self.month {
                None => 1,
                Some(column) => number(column).or_else(|| date_words::month(of(column)).map(|m| m as i16))?,
            };
            let day = self.day.map_or(Some(1), number)?;
            Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?
        };
        Some(date.to_string())
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
    if time.parts.is_some() {
        let of = |c: usize| row.get(c).map_or("", |f| f.as_ref());
        let whole = time.joined(&of, &|date| Some(date.to_owned()));
        return whole.is_some_and(|text| wanted.time(&text).is_some() || is_date(&text, wanted));
    }
    wanted.time(cell).is_some() || is_date(cell, wanted)
}

pub(super) fn is_date(text: &str, wanted: &Wanted<'_>) -> bool {
    wanted.civil(text).is_some()
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

/// Looks at the columns of a sample.
pub(super) struct Search<'a, 's> {
    pub(super) rows: &'a [Fields<'s>],
    pub(super) widest: usize,
    /// The first row that may be data.
    pub(super) begin: usize,
    named: Option<usize>,
    pub(super) wanted: &'a Wanted<'a>,
}

impl Search<'_, '_> {
    pub(super) fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        let rows = &self.rows[self.begin.min(self.rows.len())..];
        rows.iter().filter_map(move |r| r.get(column)).map(|f| f.as_ref())
    }

    pub(super) fn count(&self, is: &dyn Fn(&str) -> bool, column: usize) -> usize {
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
    pub(super) fn title(&self, column: usize, data_from: usize) -> &str {
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

    /// Whether a row is a title: words alone, none of which is a time.
    fn is_title(&self, row: &Fields<'_>) -> bool {
        let wanted = self.wanted;
        row.iter().filter(|f| !f.is_empty()).count() > 1
            && row.iter().all(|f| {
                matches!(number::read(f, Marks::Unknown), Cell::Other | Cell::Empty)
                    && wanted.time(f).is_none()
                    && !is_date(f, wanted)
                    && !is_clock(f)
            })
    }

    /// The first row of data below lines of meta data that hold a time too, as when the logger was started: those have another number of
    /// cells, and the header stands below them.
    fn below_meta(&self, time: &TimeColumns, data_from: usize) -> usize {
        let (rows, wanted) = (self.rows, self.wanted);
        if self.named.is_some() {
            return data_from;
        }
        let mut widths: HashMap<usize, usize> = HashMap::new();
        rows[data_from..]
            .iter()
            .filter(|r| is_data(r, time, wanted))
            .for_each(|r| *widths.entry(r.len()).or_default() += 1);
        let Some((&width, &n)) = widths.iter().max_by_key(|(w, n)| (**n, **w)) else { return data_from };
        if n < 2 || rows[data_from].len() == width {
            return data_from;
        }
        let end = rows.len().min(data_from + 60);
        let other = rows[data_from..end].iter().take_while(|r| r.len() != width).count();
        let header = data_from + other;
        match rows.get(header) {
            Some(row) if self.is_title(row) => {
                let below = rows[header..].iter().position(|r| r.len() == width && is_data(r, time, wanted));
                below.map_or(data_from, |below| header + below)
            }
            _ => data_from,
        }
    }

    /// How many rows right above the data are rows of values too, whose time can't be read, as those of a logger without a clock.
    fn untimed_above(&self, time: &TimeColumns, data_from: usize) -> usize {
        let rows = self.rows;
        let Some(model) = rows.get(data_from) else { return 0 };
        let is_number = |f: &str| matches!(number::read(f, Marks::Unknown), Cell::Number(..) | Cell::Ambiguous);
        let is_alike = |r: &Fields<'_>| {
            let title = r.get(time.column).map_or("", |f| f.as_ref());
            let others = || r.iter().zip(model).enumerate().filter(|(c, _)| *c != time.column);
            r.len() == model.len()
                && !header::names_time(&header::column(title).key)
                && others().any(|(_, (f, m))| is_number(f) && is_number(m))
                && others().all(|(_, (f, m))| number::is_nothing(f) || is_number(f) == is_number(m))
        };
        let above = rows[self.begin..data_from].iter().rev().take_while(|r| is_alike(r)).count();
        let is_below_title = (data_from - above).checked_sub(1).is_some_and(|t| self.is_title(&rows[t]));
        let first = &rows[data_from - above];
        let has_decimals =
            first.iter().enumerate().any(|(c, f)| c != time.column && is_number(f) && f.contains(['.', ',']));
        if above > 0 && (is_below_title || has_decimals) { above } else { 0 }
    }

    /// The number of cells that more than half of the rows have.
    fn width(&self, data_from: usize) -> Option<usize> {
        let rows = &self.rows[data_from..];
        let mut widths: HashMap<usize, usize> = HashMap::new();
        rows.iter().for_each(|r| *widths.entry(r.len()).or_default() += 1);
        widths.into_iter().find(|(w, n)| *w > 1 && *n * 2 > rows.len()).map(|(w, _)| w)
    }
}

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
    let mut again = Vec::new();
    if named.is_none()
        && wanted.options.start.is_empty()
        && let Some((found, is_told_whole)) = search.parts()?
    {
        if !is_told_whole {
            return Ok(Some(found));
        }
        again = found.time.all().collect();
    }
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
        data_from = search.below_meta(&time, data_from);
        // What stands right above may be data whose times are in a form that is not known.
        let is_alike =
            |r: &Fields<'_>| r.len() == rows[data_from].len() && r.get(time.column).is_some_and(|f| resembles_time(f));
        let above = rows[search.begin..data_from].iter().rev().take_while(|r| is_alike(r)).count();
        data_from -= above;
        data_from -= search.untimed_above(&time, data_from);
        search.clock(&mut time, data_from)?;
        search.zone(&mut time, data_from);
    }
    if named.is_none() && !wanted.live {
        // Rows of another table below have their times elsewhere.
        let has_other = |r: &Fields<'_>| r.iter().take(widest).any(|f| wanted.time(f).is_some() || is_date(f, wanted));
        let width = search.width(data_from).unwrap_or(rows[data_from].len());
        let alike = || rows[data_from..].iter().filter(|r| r.len() == width);
        let times = alike().filter(|r| is_data(r, &time, wanted)).count();
        let all = times + alike().filter(|r| !is_data(r, &time, wanted) && !has_other(r)).count();
        if times * 2 <= all && all > 1 {
            let column = time.column + 1;
            return if at_end { Err(InputError::FewTimes { column, times, rows: all }) } else { Ok(None) };
        }
    }
    again.retain(|c| !time.holds(*c));
    time.again = again;
    Ok(Some(Found { time, data_from }))
}

impl Wanted<'_> {
    /// Date and time of day of a cell, in the form that the options tell or in any that is known.
    pub(super) fn civil(&self, text: &str) -> Option<time::Civil> {
        match self.options.time_format.as_str() {
            "" => time::civil(text, None),
            format => time::civil_of_format(text, format),
        }
    }

    /// A time, whichever of day and month comes first.
    pub(super) fn time(&self, text: &str) -> Option<Moment> {
        let order = Some(DateOrder::DayFirst);
        let read = |order| time::parse(text, &self.options.time_format, self.zone, order, time::Course::default());
        read(order).or_else(|| read(None)).filter(|at| at.is_plausible())
    }
}
