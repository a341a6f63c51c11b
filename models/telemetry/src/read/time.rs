//! Times as people and programs write them: ISO 8601, dates in the orders of the world, two columns, seconds since 1970, and
//! Excel's days.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, ISOWeekDate, Weekday};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::date_words::{self, Word, month};
use super::zones;
use crate::Moment;
use crate::clock::Stamp;

/// Which of day and month stands first in `03/04/2026`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "that is what they are called")]
pub enum DateOrder {
    /// 3 April.
    DayFirst,
    /// 4 March.
    MonthFirst,
    /// 5 April 2003.
    YearFirst,
}

/// A time without its zone, or with an offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Civil {
    /// Date and time of day.
    pub at: DateTime,
    /// Seconds east of Greenwich, where the text says so.
    pub offset: Option<i32>,
    /// Day, month or a year of two digits could stand in another order.
    pub is_open: bool,
    /// It has a time of day.
    pub has_time: bool,
}

/// Longer texts are no times.
const MAX_TIME: usize = 64;

struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn digits(&mut self, least: usize, most: usize) -> Option<&'a str> {
        let n = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if n < least || n > most {
            return None;
        }
        let (digits, rest) = self.rest.split_at(n);
        self.rest = rest;
        Some(digits)
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i32> {
        self.digits(least, most)?.parse().ok()
    }

    fn eat(&mut self, wanted: &[char]) -> Option<char> {
        let c = self.rest.chars().next().filter(|c| wanted.contains(c))?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Takes a word of these kinds, and the spaces around it.
    fn word_of(&mut self, kinds: &[Word]) -> Option<Word> {
        let begin = self.rest.trim_start_matches([' ', '\u{a0}', '\u{202f}']);
        let (word, rest) = date_words::strip(begin, kinds)?;
        self.rest = rest;
        self.spaces();
        Some(word)
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\u{a0}', '\u{202f}']);
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }
}

/// Year, month, day, and whether the last two could be the other way round.
fn date(scan: &mut Scan<'_>, order: Option<DateOrder>) -> Option<(i32, i32, i32, bool)> {
    let begin = scan.rest;
    if begin.starts_with(char::is_alphabetic) {
        // `Tue, 10 Mar 2026`, `Mar 10, 2026`, `Tue Mar 10 12:00:00 2026`.
        let first = scan.word();
        scan.eat(&['.', ',']);
        scan.spaces();
        let mut named = month(first);
        if named.is_none() || scan.rest.starts_with(char::is_alphabetic) {
            if scan.rest.starts_with(char::is_alphabetic) {
                named = month(scan.word());
                scan.eat(&['.', ',']);
                scan.spaces();
            } else {
                return date(scan, order);
            }
        }
        let before = scan.rest;
        if let Some(year) = scan.digits(4, 4) {
            // `Jan 2024`: a whole month, from its first day on.
            let year = year.parse().ok().filter(|_| scan.rest.is_empty()).filter(|y| is_of_months(*y))?;
            return Some((year, named?, 1, false));
        }
        scan.rest = before;
        let day = scan.number(1, 2)?;
        scan.word_of(&[Word::Ordinal]);
        scan.eat(&[',']);
        scan.spaces();
        let before = scan.rest;
        match scan.digits(4, 4) {
            Some(year) => return Some((year.parse().ok()?, named?, day, false)),
            None => scan.rest = before,
        }
        // The year stands behind the time, as in C's asctime.
        let (time, year) = scan.rest.rsplit_once(' ')?;
        let year: i32 = year.trim().parse().ok().filter(|y| (1000..10_000).contains(y))?;
        scan.rest = time.trim_end();
        return Some((year, named?, day, false));
    }
    let n = begin.bytes().take_while(u8::is_ascii_digit).count();
    match n {
        4 => {
            let year = scan.number(4, 4)?;
            let mark = scan.eat(&['-', '/', '.', '年', '년'])?;
            if matches!(mark, '年' | '년') {
                return east_asian(scan, year);
            }
            let month = scan.number(1, 2)?;
            if scan.rest.is_empty() && mark != '.' && is_of_months(year) {
                return Some((year, month, 1, false)); // `2024-01`
            }
            scan.eat(&[mark])?;
            Some((year, month, scan.number(1, 2)?, false))
        }
        8 | 12 | 14 => {
            let digits = &begin[..n];
            if !(digits.starts_with("19") || digits.starts_with("20")) {
                return None;
            }
            scan.rest = &begin[8..];
            let part = |from: usize, to: usize| digits[from..to].parse::<i32>().ok();
            Some((part(0, 4)?, part(4, 6)?, part(6, 8)?, false))
        }
        1 | 2 => {
            let first = scan.number(1, 2)?;
            scan.word_of(&[Word::Ordinal]);
            let mark = scan.eat(&['-', '/', '.', ' ']).or(scan.rest.starts_with(char::is_alphabetic).then_some(' '))?;
            scan.spaces();
            if scan.rest.starts_with(char::is_alphabetic) {
                scan.word_of(&[Word::Of]);
                let named = month(scan.word())?;
                scan.eat(&['.']);
                scan.eat(&['-', '/', ' ', ',']);
                scan.word_of(&[Word::Of]);
                scan.spaces();
                let year = year_of(scan.digits(2, 4)?)?;
                scan.word_of(&[Word::Of]);
                return Some((year, named, first, false));
            }
            let second = scan.number(1, 2)?;
            scan.eat(&[mark]).filter(|m| *m != ' ')?;
            let third = scan.digits(2, 4)?;
            let two_digits = (n == 2 && third.len() == 2).then(|| third.parse::<i32>().ok()).flatten();
            let order = match mark {
                '.' => Some(DateOrder::DayFirst),
                _ => order,
            };
            if order == Some(DateOrder::YearFirst) {
                let day = two_digits?; // the first two bytes are digits then
                return Some((year_of(&begin[..2])?, second, day, false));
            }
            let year = year_of(third)?;
            let day_first = match order {
                Some(order) => order == DateOrder::DayFirst,
                None => second <= 12,
            };
            let may_begin_with_year =
                second <= 12 && two_digits.is_some_and(|day| (1..=31).contains(&day) && day != first);
            let is_open = order.is_none() && ((first <= 12 && second <= 12 && first != second) || may_begin_with_year);
            Some(if day_first { (year, second, first, is_open) } else { (year, first, second, is_open) })
        }
        _ => None,
    }
}

/// `2026年3月1日`, of which the year has been read.
fn east_asian(scan: &mut Scan<'_>, year: i32) -> Option<(i32, i32, i32, bool)> {
    scan.spaces();
    let month = scan.number(1, 2)?;
    scan.eat(&['月', '월'])?;
    scan.spaces();
    let day = scan.number(1, 2)?;
    scan.eat(&['日', '일', '号'])?;
    Some((year, month, day, false))
}

/// Years whose months may stand without a day.
fn is_of_months(year: i32) -> bool {
    (1970..=2100).contains(&year)
}

fn year_of(digits: &str) -> Option<i32> {
    match (digits.len(), digits.parse::<i32>().ok()?) {
        (4, year) => Some(year),
        (2, year) => Some(if year < 70 { 2000 + year } else { 1900 + year }),
        _ => None,
    }
}

/// Hours, minutes, seconds and nanoseconds.
fn time_of_day(scan: &mut Scan<'_>) -> Option<(i32, i32, i32, i32)> {
    let mut half = scan.word_of(&[Word::Am, Word::Pm]);
    let digits = scan.rest.bytes().take_while(u8::is_ascii_digit).count();
    let (mut hour, minute, mut second);
    if matches!(digits, 4 | 6) {
        (hour, minute) = (scan.rest[..2].parse().ok()?, scan.rest[2..4].parse().ok()?);
        second = if digits == 6 { scan.rest[4..6].parse().ok()? } else { 0 };
        scan.rest = &scan.rest[digits..];
    } else {
        hour = scan.number(1, 2)?;
        let behind = scan.rest;
        if half.is_none() {
            half = scan.word_of(&[Word::Am, Word::Pm]);
        }
        if half.is_some() && behind.len() != scan.rest.len() {
            // `2 PM`
            return twelve_hours(hour, half).map(|hour| (hour, 0, 0, 0));
        }
        let mark = scan.eat(&[':', '.', 'h', '時', '时', '시'])?;
        scan.spaces();
        if mark == 'h' && scan.rest.is_empty() {
            return (0..24).contains(&hour).then_some((hour, 0, 0, 0));
        }
        minute = scan.number(2, 2)?;
        second = 0;
        scan.eat(&['分', '분']);
        let before = scan.rest;
        let is_counted = matches!(mark, '時' | '时' | '시');
        if is_counted {
            scan.spaces();
            second = scan.number(1, 2).unwrap_or(0);
            scan.eat(&['秒', '초']);
        } else if scan.eat(&[':', '.']).is_some() {
            match scan.number(2, 2) {
                Some(s) => second = s,
                None => scan.rest = before,
            }
        }
    }
    let mut nanos = 0;
    let before = scan.rest;
    if scan.eat(&['.', ',']).is_some() {
        match scan.digits(1, 9) {
            Some(fraction) => nanos = format!("{fraction:0<9}").parse().ok()?,
            None => scan.rest = before,
        }
    }
    if half.is_none() {
        half = scan.word_of(&[Word::Am, Word::Pm, Word::OClock]).filter(|word| *word != Word::OClock);
    }
    if half.is_some() {
        hour = twelve_hours(hour, half)?;
    }
    if second == 60 {
        second = 59; // a leap second
    }
    let is_midnight = (hour, minute, second) == (24, 0, 0);
    ((0..24).contains(&hour) || is_midnight).then_some((hour, minute, second, nanos))
}

/// An hour of the half of a day that a word tells.
fn twelve_hours(hour: i32, half: Option<Word>) -> Option<i32> {
    (0..=23).contains(&hour).then_some(match half {
        Some(Word::Pm) if hour < 12 => hour + 12,
        Some(Word::Am) => hour % 12,
        _ => hour,
    })
}

/// `Z`, `+01:00`, `+0100`, ` UTC`; the inner is `None` where the text ends without any.
fn offset(scan: &mut Scan<'_>) -> Option<Option<i32>> {
    scan.spaces();
    if scan.rest.is_empty() {
        return Some(None);
    }
    let sign = match scan.eat(&['+', '-', '\u{2212}']) {
        Some('+') => 1,
        Some(_) => -1,
        None => {
            let word = scan.word().to_ascii_lowercase();
            if matches!(word.as_str(), "z" | "utc" | "gmt") && scan.rest.starts_with(['+', '-']) {
                return offset(scan); // as mosquitto prints it: `Z+0100`
            }
            return scan.rest.is_empty().then_some(Some(zones::seconds_of(&word)?));
        }
    };
    let hours = scan.number(1, 4)?;
    let (hours, minutes) = match scan.eat(&[':']) {
        Some(_) => (hours, scan.number(2, 2)?),
        None if hours > 99 => (hours / 100, hours % 100),
        None => (hours, 0),
    };
    // A zone in brackets says it once more.
    let is_end = scan.rest.is_empty() || scan.rest.starts_with('[');
    (is_end && hours <= 18 && minutes < 60).then_some(Some(sign * (hours * 3600 + minutes * 60)))
}

/// The beginning of an interval, as in `01.01.2026 00:00 - 01:00`; `None`: the text is none.
fn beginning(text: &str, order: Option<DateOrder>) -> Option<&str> {
    const BETWEEN: [&str; 6] = [" - ", " \u{2013} ", " \u{2014} ", " bis ", " to ", "/"];
    let is_time = |text: &str, may_be_clock: bool| {
        let mut scan = Scan { rest: text };
        let is_clock = may_be_clock && time_of_day(&mut scan).is_some() && scan.rest.is_empty();
        is_clock || civil(text, order).is_some_and(|civil| civil.has_time)
    };
    BETWEEN.iter().find_map(|between| {
        let (begin, end) = text.split_once(between)?;
        let may_be = *between != "/" || (begin.contains('T') && end.contains('T'));
        (may_be && is_time(begin, false) && is_time(end.trim(), true)).then_some(begin)
    })
}

/// `2025-W01`, `2025W01`, `2025-W01-3` (ISO 8601): its Monday, or that day.
fn iso_week(text: &str) -> Option<Civil> {
    let (year, rest) = text.split_at_checked(4)?;
    let rest = rest.strip_prefix('-').unwrap_or(rest).strip_prefix('W')?;
    let (week, day) = match rest.split_once('-') {
        Some((week, day)) => (week, day.parse().ok().filter(|_| day.len() == 1)?),
        None => (rest, 1i8),
    };
    if week.len() != 2 || !year.bytes().chain(week.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let day = Weekday::from_monday_one_offset(day).ok()?;
    let date = ISOWeekDate::new(year.parse().ok()?, week.parse().ok()?, day).ok()?.date();
    Some(Civil { at: date.at(0, 0, 0, 0), offset: None, is_open: false, has_time: false })
}

/// Reads a date and a time of day.
pub fn civil(text: &str, order: Option<DateOrder>) -> Option<Civil> {
    let text = text.trim();
    if text.len() < 6 || text.len() > MAX_TIME || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let text = beginning(text, order).unwrap_or(text);
    if let Some(at) = iso_week(text) {
        return Some(at);
    }
    let mut scan = Scan { rest: text };
    let (year, month, day, is_open) = date(&mut scan, order)?;
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let rest = scan.rest;
    let (mut time, mut offset_seconds, mut has_time) = ((0, 0, 0, 0), None, false);
    if !rest.is_empty() {
        let has_half = || date_words::strip(rest, &[Word::Am, Word::Pm]).is_some();
        if scan.eat(&['T', 't', '_', ',', ' ', ';', '\u{a0}', '\u{202f}', ':']).is_none()
            && !rest.starts_with(|c: char| c.is_ascii_digit())
            && !has_half()
        {
            return None;
        }
        scan.spaces();
        if scan.eat(&['-']).is_some() {
            scan.spaces();
        }
        scan.word_of(&[Word::At]);
        time = time_of_day(&mut scan)?;
        has_time = true;
        offset_seconds = offset(&mut scan)?;
    }
    let (hour, minute, second, nanos) = time;
    let (date, hour) = if hour == 24 { (date.tomorrow().ok()?, 0) } else { (date, hour) };
    let time =
        jiff::civil::Time::new(hour as i8, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, nanos).ok()?;
    Some(Civil { at: date.to_datetime(time), offset: offset_seconds, is_open, has_time })
}

/// Reads a date and perhaps a time of day in a form of strftime's letters.
pub fn civil_of_format(text: &str, format: &str) -> Option<Civil> {
    let parsed = jiff::fmt::strtime::parse(format, text.trim()).ok()?;
    let has_time = parsed.hour().is_some();
    let at = parsed.to_datetime().or_else(|_| parsed.to_date().map(|d| d.at(0, 0, 0, 0))).ok()?;
    Some(Civil { at, offset: parsed.offset().map(jiff::tz::Offset::seconds), is_open: false, has_time })
}

/// Where in the hours that a clock shows twice a time lies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    /// The time before, of the same series.
    pub last: Option<Moment>,
    /// The series runs from new to old.
    pub descending: bool,
}

/// The moment of a local time. In the hour that comes twice in autumn the series decides: its times do not go back.
pub fn moment(civil: Civil, zone: &TimeZone, course: Course) -> Option<Moment> {
    if let Some(offset) = civil.offset {
        let offset = jiff::tz::Offset::from_seconds(offset).ok()?;
        return offset.to_timestamp(civil.at).ok().map(Moment::from);
    }
    let ambiguous = zone.to_ambiguous_zoned(civil.at);
    let is_twofold = matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Fold { .. });
    if !is_twofold {
        return ambiguous.compatible().ok().map(|z| Moment::from(z.timestamp()));
    }
    let earlier: Moment = ambiguous.clone().earlier().ok()?.timestamp().into();
    let later: Moment = ambiguous.later().ok()?.timestamp().into();
    Some(match course.last {
        Some(last) if course.descending => {
            if later < last {
                later
            } else {
                earlier
            }
        }
        Some(last) => {
            if earlier <= last && last < later {
                later
            } else {
                earlier
            }
        }
        None if course.descending => later,
        None => earlier,
    })
}

/// A time in any of the forms that are known, or in the given one.
pub fn parse_time(text: &str, format: &str, zone: &TimeZone) -> Option<Moment> {
    parse(text, format, zone, None, Course::default())
}

/// The same, with what is known of the order of day and month and of the series.
pub fn parse(text: &str, format: &str, zone: &TimeZone, order: Option<DateOrder>, course: Course) -> Option<Moment> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_TIME {
        return None;
    }
    if !format.is_empty() {
        let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
        return match parsed.to_timestamp() {
            Ok(timestamp) => Some(timestamp.into()),
            Err(_) => {
                let date = parsed.to_datetime().or_else(|_| parsed.to_date().map(|d| d.at(0, 0, 0, 0))).ok()?;
                moment(Civil { at: date, offset: None, is_open: false, has_time: true }, zone, course)
            }
        };
    }
    let bytes = text.as_bytes();
    if bytes.iter().all(|b| b.is_ascii_digit() || *b == b'.') && bytes[0] != b'.' && text.matches('.').count() <= 1 {
        // `20260310120000` is a date, not thousandths of seconds. Seconds since 1970 have begun with 17 since 2023 and will with 18 until 2030.
        if let Some(at) = date_and_hour(text).and_then(|c| moment(c, zone, course)) {
            return Some(at);
        }
        if matches!(bytes.len(), 12 | 14)
            && !text.contains('.')
            && (text.starts_with("19") || text.starts_with("20"))
            && let Some(at) = civil(text, order).and_then(|c| moment(c, zone, course))
        {
            return Some(at);
        }
        return epoch(text.parse().ok()?);
    }
    if let Some((rest, name)) = zones::cut(text)
        && let Some(at) = named(rest, name, zone, order)
    {
        return Some(at);
    }
    moment(civil(text, order)?, zone, course)
}

/// `20260310` and `2026031012`, as weather services write dates and hours.
fn date_and_hour(text: &str) -> Option<Civil> {
    if !matches!(text.len(), 8 | 10) || !(text.starts_with("19") || text.starts_with("20")) || text.contains('.') {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
    let (year, hour) = (text[..4].parse().ok()?, if text.len() == 10 { part(8, 10)? } else { 0 });
    let date = Date::new(year, part(4, 6)?, part(6, 8)?).ok()?;
    let time = jiff::civil::Time::new(hour, 0, 0, 0).ok()?;
    Some(Civil { at: date.to_datetime(time), offset: None, is_open: false, has_time: text.len() == 10 })
}

/// A local time whose zone is named: one of the database, or what `zone` calls its own time, as `IST` is another in Dublin than in Delhi.
fn named(text: &str, name: &str, zone: &TimeZone, order: Option<DateOrder>) -> Option<Moment> {
    let civil = civil(text, order).filter(|c| c.offset.is_none() && c.has_time)?;
    if let Some(of_database) = zones::of_database(name) {
        return moment(civil, &of_database, Course::default());
    }
    if !zones::is_of(name, zone) {
        return None;
    }
    let ambiguous = zone.to_ambiguous_zoned(civil.at);
    let both = [ambiguous.clone().earlier().ok()?, ambiguous.later().ok()?];
    // In the hour that comes twice the name tells which it is; a time with the name of the other half of the year keeps its offset.
    let is_named = |z: &&jiff::Zoned| zone.to_offset_info(z.timestamp()).abbreviation() == name;
    both.iter().find(is_named).map(|z| Moment::from(z.timestamp()))
}

/// What a text says of date and time of day, without a zone's name that only [`parse`] can read.
pub fn civil_in_any_zone(text: &str) -> Option<Civil> {
    civil(text, None).or_else(|| civil(zones::cut(text)?.0, None))
}

/// Whether day, month or a year of two digits could stand in another order.
pub fn is_open(text: &str) -> bool {
    civil_in_any_zone(text).is_some_and(|civil| civil.is_open)
}

/// The same in a given order of day, month and year.
pub fn civil_in_order(text: &str, order: DateOrder) -> Option<Civil> {
    civil(text, Some(order)).or_else(|| civil(zones::cut(text)?.0, Some(order)))
}

/// Seconds since 1970, or thousandths, millionths or billionths of them, by their size.
pub fn epoch(number: f64) -> Option<Moment> {
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

/// Excel's time: days since 1899-12-30, as local time.
pub fn excel(days: f64) -> Option<DateTime> {
    if !(10_000.0..80_000.0).contains(&days) {
        return None;
    }
    let seconds = (days * 86_400.0).round() as i64;
    Date::constant(1899, 12, 30).at(0, 0, 0, 0).checked_add(seconds.seconds()).ok()
}

/// A time in JSON: a text, or a number of seconds since 1970. A date that can be read in several orders is none.
pub fn json_time(value: &Value, format: &str, zone: &TimeZone) -> Option<Moment> {
    match value {
        Value::String(text) if format.is_empty() && is_open(text) => None,
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

#[cfg(test)]
mod tests;
