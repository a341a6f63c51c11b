//! The columns beside a date: its time of day in the forms that people and programs write, its year, month and day where each has a column,
//! and the zone of each row.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::infer::{Fields, Wanted};
use super::time_columns::{ClockForm, DateParts, Found, Search, TimeColumns, is_clock, is_date};
use super::{InputError, header, time, zones};

/// Rows among which a header of years and months is sought.
const HEAD_ROWS: usize = 50;
/// So many hours of a day without a header show that a column counts them.
const FEWEST_HOURS: usize = 12;

const HOURS: &[&str] = &[
    "hour",
    "hours",
    "hr",
    "hod",
    "h",
    "hh",
    "hh24",
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
const MINUTES: &[&str] = &["minute", "minutes", "min", "minuten", "minuto", "mm", "mn", "mi"];
const SECONDS: &[&str] = &["second", "seconds", "sec", "ss", "sekunde", "seconde", "segundo"];
const YEARS: &[&str] =
    &["year", "yr", "yy", "yyyy", "jahr", "année", "annee", "año", "ano", "anno", "jaar", "år", "rok"];
const MONTHS: &[&str] = &["month", "mo", "mon", "mm", "monat", "mois", "mes", "mês", "mese", "maand", "måned", "månad"];
const DAYS: &[&str] = &["day", "dy", "dd", "mday", "tag", "jour", "día", "dia", "giorno", "dag"];
const DAYS_OF_YEAR: &[&str] = &["doy", "yday", "day of year", "day_of_year", "dayofyear", "julian day", "jday"];
const ZONES: &[&str] = &[
    "tz",
    "timezone",
    "time_zone",
    "time zone",
    "zone",
    "zeitzone",
    "utc_offset",
    "utc offset",
    "utcoffset",
    "utc_offset_seconds",
    "gmt_offset",
    "gmtoffset",
    "tz_offset",
    "tzoffset",
    "offset",
];

/// A date with a midnight behind it that may stand for no time of day at all.
pub(super) fn is_midnight(text: &str) -> bool {
    const MIDNIGHTS: &[&str] = &["00:00", "00:00:00", "0:00", "0:00:00", "00:00:00.000", "12:00 AM", "12:00:00 AM"];
    text.split_once([' ', 'T']).is_some_and(|(date, clock)| {
        MIDNIGHTS.contains(&clock.trim()) && time::civil(date, None).is_some_and(|c| !c.has_time)
    })
}

/// Minutes of the day of `14.30` and `14.30.00`.
fn dotted(text: &str) -> Option<u32> {
    let parts: Vec<&str> = text.split('.').collect();
    let (hour, others) = parts.split_first()?;
    let is_part = |part: &str, digits: std::ops::RangeInclusive<usize>| {
        digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    if !is_part(hour, 1..=2) || !(1..=2).contains(&others.len()) || !others.iter().all(|part| is_part(part, 2..=2)) {
        return None;
    }
    let number = |text: &str| text.parse::<u32>().ok();
    let (hour, minute) = (number(hour)?, number(others[0])?);
    let seconds = others.get(1).map_or(Some(0), |text| number(text))?;
    (hour < 24 && minute < 60 && seconds < 60).then_some(hour * 60 + minute)
}

/// Whether digits are hours, minutes and seconds, as in `143000` or `93000`.
fn is_compact(text: &str) -> bool {
    let is_digits = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_digits && text.parse::<u32>().is_ok_and(|n| n / 10_000 < 24 && n / 100 % 100 < 60 && n % 100 < 60)
}

/// Whether a title is that of a time of day. A time that is measured has its unit in the title.
fn names_clock(title: &str) -> bool {
    let title = header::column(title);
    let key = title.key.to_lowercase();
    let names = ["hhmm", "hrmn", "hhmmss", "ora", "kl", "tid", "klokkeslæt", "godzina"];
    title.unit.is_empty() && (header::names_time(&key) || names.contains(&key.as_str()))
}

/// Whether a name of minutes may also be one of millimetres or of least values: it counts behind an hour only.
fn may_be_rain(key: &str) -> bool {
    matches!(key, "mm" | "mn" | "mi" | "min")
}

impl Wanted<'_> {
    /// Whether a cell of a column of times tells no more than a day, or nothing.
    pub(super) fn tells_day_alone(&self, text: &str) -> bool {
        match self.civil(text) {
            Some(civil) => !civil.has_time || is_midnight(text),
            None => self.time(text).is_none(),
        }
    }
}

impl Search<'_, '_> {
    fn key(&self, column: usize, data_from: usize) -> String {
        header::column(self.title(column, data_from)).key.to_lowercase()
    }

    /// Whether the cells of a column run one way within each date.
    fn runs_within_dates(&self, dates: usize, column: usize, value: &dyn Fn(&str) -> Option<u32>) -> bool {
        let cell = |r: &Fields<'_>, c: usize| r.get(c).map_or(String::new(), |f| f.to_string());
        let cells: Vec<(String, u32)> =
            self.rows.iter().filter_map(|r| Some((cell(r, dates), value(&cell(r, column))?))).collect();
        let pairs = || cells.windows(2).filter(|w| w[0].0 == w[1].0);
        pairs().count() > 0 && (pairs().all(|w| w[0].1 <= w[1].1) || pairs().all(|w| w[0].1 >= w[1].1))
    }

    /// The time of day beside a column of dates alone.
    ///
    /// # Errors
    /// There is no column of the name that the options give.
    pub(super) fn clock(&self, time: &mut TimeColumns, data_from: usize) -> Result<(), InputError> {
        let wanted = self.wanted;
        let is_bare = |f: &str| wanted.civil(f).is_some_and(|c| !c.has_time);
        let all = self.count(&|f| is_date(f, wanted), time.column);
        let (bare, midnights) = (self.count(&is_bare, time.column), self.count(&is_midnight, time.column));
        let whole = |c: usize, most: u32| self.is_whole(c, most, data_from);
        let others = || (0..self.widest).filter(|c| *c != time.column);
        let key = |c: usize| self.key(c, data_from);
        let all_are = |c: usize, is: &dyn Fn(&str) -> bool| self.all_are(c, data_from, is);
        let is_hours = |c: usize| whole(c, 24);
        if !wanted.options.clock.is_empty() {
            self.take_given_clock(time, data_from)?;
            time.has_midnight = midnights > 0;
            return Ok(());
        }
        if all == 0 || bare + midnights < all {
            return Ok(());
        }
        let distinct: HashSet<&str> = self.cells(time.column).filter(|f| is_date(f, wanted)).collect();
        let repeats = distinct.len() < all;
        if midnights > 0 && !repeats {
            return Ok(());
        }
        let is_text = |c: &usize| {
            // One time a day may be that of the day's highest value.
            let is_its = repeats || {
                let key = key(*c);
                key.is_empty() || is_clock(&key) || header::names_time(&key) || header::names_end(&key)
            };
            let cells = self.rows[data_from..].iter().filter_map(|r| r.get(*c));
            is_its && cells.filter(|f| is_clock(f)).count() * 2 >= all
        };
        let names_clock = |c: usize| names_clock(self.title(c, data_from));
        let is_dotted = |c: &usize| {
            names_clock(*c)
                && all_are(*c, &|f| dotted(f).is_some())
                && (all_are(*c, &|f| f.matches('.').count() == 2)
                    || (repeats && self.runs_within_dates(time.column, *c, &dotted)))
        };
        let counts_hours = |c: &usize| {
            let hours = |f: &str| f.parse::<u32>().ok();
            let distinct: HashSet<&str> = self.cells(*c).collect();
            self.title(*c, data_from).is_empty()
                && repeats
                && is_hours(*c)
                && distinct.len() >= FEWEST_HOURS
                && self.runs_within_dates(time.column, *c, &hours)
                && self.tells_rows_apart(time.column, *c)
        };
        let found = if let Some(found) = others().find(is_text) {
            Some((found, ClockForm::Text))
        } else if let Some(hours) = others().find(|c| HOURS.contains(&key(*c).as_str()) && is_hours(*c)) {
            let behind =
                |names: &[&str]| others().find(|c| *c != hours && names.contains(&key(*c).as_str()) && whole(*c, 59));
            let behind = |names: &[&str]| behind(names).filter(|c| *c > hours || !may_be_rain(&key(*c)));
            time.minute = behind(MINUTES);
            time.second = time.minute.and_then(|_| behind(SECONDS));
            Some((hours, ClockForm::Hours))
        } else if let Some(digits) = others().find(|c| names_clock(*c) && whole(*c, 2400)) {
            Some((digits, ClockForm::HoursMinutes))
        } else if let Some(digits) = others().find(|c| names_clock(*c) && all_are(*c, &is_compact)) {
            Some((digits, ClockForm::HoursMinutesSeconds))
        } else if let Some(marks) = others().find(is_dotted) {
            Some((marks, ClockForm::Dotted))
        } else {
            others().find(counts_hours).map(|hours| (hours, ClockForm::Hours))
        };
        match found {
            Some((column, form)) => (time.clock, time.form) = (Some(column), form),
            // Whole times may stand in another column, as seconds since 1970 do.
            None if repeats => time.column = self.whole_time(time.column).unwrap_or(time.column),
            None => {}
        }
        time.has_midnight = midnights > 0 && time.clock.is_some();
        Ok(())
    }

    fn all_are(&self, column: usize, data_from: usize, is: &dyn Fn(&str) -> bool) -> bool {
        let cells = self.rows[data_from..].iter().filter_map(|r| r.get(column));
        let mut cells = cells.filter(|f| !f.is_empty()).peekable();
        cells.peek().is_some() && cells.all(|f| is(f))
    }

    /// Whether a column holds whole numbers up to `most`; from 100 on their last two digits are minutes.
    fn is_whole(&self, column: usize, most: u32, data_from: usize) -> bool {
        self.all_are(column, data_from, &|f| {
            f.len() <= 4
                && f.bytes().all(|b| b.is_ascii_digit())
                && f.parse::<u32>().is_ok_and(|n| n <= most && (most < 100 || n % 100 < 60))
        })
    }

    /// Takes the time of day from the column that the options name.
    fn take_given_clock(&self, time: &mut TimeColumns, data_from: usize) -> Result<(), InputError> {
        let given = self.given_clock(time.column, data_from)?;
        let form = match () {
            () if self.count(&is_clock, given) > 0 => ClockForm::Text,
            () if self.all_are(given, data_from, &|f| dotted(f).is_some()) => ClockForm::Dotted,
            () if self.is_whole(given, 24, data_from) => ClockForm::Hours,
            () if self.is_whole(given, 2400, data_from) => ClockForm::HoursMinutes,
            () if self.all_are(given, data_from, &is_compact) => ClockForm::HoursMinutesSeconds,
            () => ClockForm::Text,
        };
        (time.clock, time.form) = (Some(given), form);
        Ok(())
    }

    /// The column of the time of day that the options name; in a table without header its number among those that are no dates.
    fn given_clock(&self, dates: usize, data_from: usize) -> Result<usize, InputError> {
        let given = self.wanted.options.clock.as_str();
        let named = (0..self.widest).find(|c| {
            let title = self.title(*c, data_from);
            title == given || header::column(title).key == given
        });
        let numbered = || {
            let n: usize = given.strip_prefix("column ")?.parse().ok()?;
            (0..self.widest).filter(|c| *c != dates).nth(n.checked_sub(1)?)
        };
        named.or_else(numbered).ok_or_else(|| InputError::NoColumn {
            wanted: given.to_owned(),
            found: (0..self.widest.min(12)).map(|c| self.title(c, data_from)).collect::<Vec<_>>().join(", "),
        })
    }

    /// Whether no two rows in a row have the same date and the same cell in a column.
    fn tells_rows_apart(&self, dates: usize, column: usize) -> bool {
        let rows = &self.rows[self.begin.min(self.rows.len())..];
        rows.windows(2).all(|w| w[0].get(dates) != w[1].get(dates) || w[0].get(column) != w[1].get(column))
    }

    /// A column of whole times whose dates are those of `dates`, give or take a day for their zone.
    fn whole_time(&self, dates: usize) -> Option<usize> {
        let day = |text: &str| self.wanted.time(text).map(|at| at.0.div_euclid(86_400_000_000));
        (0..self.widest).filter(|c| *c != dates).find(|c| {
            let pairs: Vec<(i64, i64)> =
                self.rows.iter().filter_map(|r| Some((day(r.get(dates)?)?, day(r.get(*c)?)?))).collect();
            let distinct: HashSet<&str> = self.cells(*c).collect();
            let all = self.count(&|f| is_date(f, self.wanted), dates);
            pairs.len() * 10 >= all * 9 && pairs.iter().all(|(a, b)| (a - b).abs() <= 1) && distinct.len() * 2 > all
        })
    }

    /// The zone of each row, where a column of such a name holds nothing else.
    pub(super) fn zone(&self, time: &mut TimeColumns, data_from: usize) {
        let is_zone = |c: &usize| {
            let key = self.key(*c, data_from);
            // A bare number is also that of a zone in a garden, or what a sensor is off by.
            let is_word = |f: &str| !matches!(key.as_str(), "zone" | "offset") || f.trim().parse::<f64>().is_err();
            ZONES.contains(&key.as_str()) && self.all_are(*c, data_from, &|f| is_word(f) && zones::of_cell(f).is_some())
        };
        time.zone_column = (0..self.widest).filter(|c| !time.all().any(|t| t == *c)).find(is_zone);
    }

    /// Year, month and day in columns of their own, or what of them there is; and whether another column tells the whole date too.
    ///
    /// # Errors
    /// There is no column of the name that the options give.
    pub(super) fn parts(&self) -> Result<Option<(Found, bool)>, InputError> {
        let found = (0..self.rows.len().min(HEAD_ROWS)).find_map(|row| self.parts_below(row));
        let Some(mut found) = found else { return Ok(None) };
        let is_told_whole = self.is_told_whole(&found);
        if !is_told_whole && !self.wanted.options.clock.is_empty() {
            (found.time.minute, found.time.second) = (None, None);
            self.take_given_clock(&mut found.time, found.data_from)?;
        }
        Ok(Some((found, is_told_whole)))
    }

    /// Whether a column tells the date that year, month and day tell, or the day beside it where its times are of another zone.
    fn is_told_whole(&self, found: &Found) -> bool {
        let Some(parts) = found.time.parts else { return false };
        let data = &self.rows[found.data_from..];
        let agrees = |row: &Fields<'_>, cell: &str| {
            let of = |c: usize| row.get(c).map_or("", |f| f.as_ref());
            let told = parts.date(of(found.time.column), &of).and_then(|date| date.parse::<Date>().ok());
            let of_moment = || Some(self.wanted.time(cell)?.timestamp().to_zoned(TimeZone::UTC).date());
            let whole = self.wanted.civil(cell).map(|civil| civil.at.date()).or_else(of_moment);
            let (Some(told), Some(whole)) = (told, whole) else { return false };
            // Day and month may stand the other way round.
            let turned = Date::new(whole.year(), whole.day(), whole.month()).ok();
            [Some(whole), turned].into_iter().flatten().any(|date| match (parts.month, parts.day) {
                (None, None) => date.year() == told.year(),
                (_, None) => (date.year(), date.month()) == (told.year(), told.month()),
                _ => date.since(told).is_ok_and(|span| span.get_days().abs() <= 1),
            })
        };
        (0..self.widest).filter(|c| !found.time.all().any(|t| t == *c)).any(|c| {
            let filled = || data.iter().filter_map(|r| Some((r, r.get(c).filter(|f| !f.is_empty())?)));
            let same = filled().filter(|(row, cell)| agrees(row, cell)).count();
            same * 10 >= data.len() * 9 && same > 0
        })
    }

    fn parts_below(&self, head: usize) -> Option<Found> {
        let keys: Vec<String> =
            self.rows[head].iter().map(|f| f.trim_start_matches('#').trim().to_lowercase()).collect();
        let mut used: Vec<usize> = Vec::new();
        let mut take = |names: &[&str]| {
            let found = (0..keys.len()).find(|c| names.contains(&keys[*c].as_str()) && !used.contains(c));
            used.extend(found);
            found
        };
        let column = take(YEARS)?;
        let day_of_year = take(DAYS_OF_YEAR);
        let month = if day_of_year.is_none() { take(MONTHS) } else { None };
        let day = day_of_year.or_else(|| month.and_then(|_| take(DAYS)));
        let clock = day.and_then(|_| take(HOURS));
        let is_minute = |c: &usize| {
            let mut numbers = self.rows[head + 1..].iter().filter_map(|r| r.get(*c)?.parse::<f64>().ok());
            !may_be_rain(&keys[*c]) || (Some(*c) > clock && numbers.all(|n| n.fract() == 0.0 && n < 60.0))
        };
        let minute = clock.and_then(|_| take(MINUTES)).filter(is_minute);
        let second = minute.and_then(|_| take(SECONDS));
        let parts = DateParts { month, day, is_day_of_year: day_of_year.is_some() };
        let mut time = TimeColumns {
            column,
            clock,
            minute,
            second,
            form: ClockForm::Hours,
            parts: Some(parts),
            ..TimeColumns::default()
        };
        let is_row = |r: &Fields<'_>, time: &TimeColumns| super::time_columns::is_data(r, time, self.wanted);
        // A row of units may stand between.
        let data_from = (head + 1..self.rows.len().min(head + 4)).find(|r| is_row(&self.rows[*r], &time))?;
        let data = &self.rows[data_from..];
        let read = data.iter().filter(|r| is_row(r, &time)).count();
        if read * 10 < data.len() * 9 {
            return None;
        }
        // Years alone are a time where each row has a later one.
        let years: Vec<&str> = data.iter().filter_map(|r| r.get(column)).map(|f| f.as_ref()).collect();
        if month.is_none() && day.is_none() && !(years.len() > 1 && years.windows(2).all(|w| w[0] < w[1])) {
            return None;
        }
        if month.is_none() && day.is_none() && self.has_other_time(column, data_from) {
            return None;
        }
        self.zone(&mut time, data_from);
        // The time of day may be a text: `Year,Month,Day,Time`.
        if time.clock.is_none() && day.is_some() {
            let named = (0..self.widest).find(|c| {
                header::names_time(&keys.get(*c).cloned().unwrap_or_default())
                    && self.count(&is_clock, *c) * 10 >= data.len() * 9
            });
            (time.clock, time.form) = (named, ClockForm::Text);
            // Or digits: `Year,Month,Day,HHMM`. Numbers up to 24 may be hours as well as minutes.
            let is_digits = |c: &usize| {
                !time.holds(*c)
                    && keys.get(*c).is_some_and(|key| names_clock(key))
                    && self.is_whole(*c, 2400, data_from)
                    && !self.is_whole(*c, 24, data_from)
            };
            if let Some(digits) = (0..self.widest).find(is_digits).filter(|_| time.clock.is_none()) {
                (time.clock, time.form) = (Some(digits), ClockForm::HoursMinutes);
            }
        }
        Some(Found { time, data_from })
    }

    fn has_other_time(&self, column: usize, data_from: usize) -> bool {
        let row = &self.rows[data_from];
        row.iter().enumerate().any(|(c, f)| c != column && (self.wanted.time(f).is_some() || is_date(f, self.wanted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_told_from_numbers() {
        assert_eq!(dotted("14.30"), Some(870));
        assert_eq!(dotted("0.05.59"), Some(5));
        for text in ["14.3", "14.60", "24.00", "14", "14.30.00.1", "-1.30", "14.300"] {
            assert_eq!(dotted(text), None, "{text}");
        }
        assert!(["143000", "93000", "0"].iter().all(|t| is_compact(t)));
        assert!(["243000", "146000", "1430001", "14.3"].iter().all(|t| !is_compact(t)));
    }
}
