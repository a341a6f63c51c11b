//! Times as people and programs write them: ISO 8601, dates in the orders of the world, two columns, seconds since 1970, and
//! Excel's days.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::zones;
use crate::Moment;
use crate::clock::Stamp;

/// Which of day and month stands first in `03/04/2026`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateOrder {
    /// 3 April.
    DayFirst,
    /// 4 March.
    MonthFirst,
}

/// A time without its zone, or with an offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Civil {
    /// Date and time of day.
    pub at: DateTime,
    /// Seconds east of Greenwich, where the text says so.
    pub offset: Option<i32>,
    /// Day and month could be the other way round.
    pub is_open: bool,
    /// It has a time of day.
    pub has_time: bool,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// In other languages, where they differ in the first three letters.
const OTHER_MONTHS: [(&str, usize); 8] =
    [("mär", 3), ("mrz", 3), ("mai", 5), ("okt", 10), ("dez", 12), ("fév", 2), ("avr", 4), ("aoû", 8)];
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

fn month(word: &str) -> Option<i32> {
    let lower = word.to_lowercase();
    let begin: String = lower.chars().take(3).collect();
    let known = MONTHS.iter().position(|m| *m == begin).map(|i| i as i32 + 1);
    known.or_else(|| OTHER_MONTHS.iter().find(|(m, _)| *m == begin).map(|(_, n)| *n as i32))
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
        let day = scan.number(1, 2)?;
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
            let mark = scan.eat(&['-', '/', '.'])?;
            let month = scan.number(1, 2)?;
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
            let mark = scan.eat(&['-', '/', '.', ' '])?;
            scan.spaces();
            if scan.rest.starts_with(char::is_alphabetic) {
                let named = month(scan.word())?;
                scan.eat(&['.']);
                scan.eat(&['-', '/', ' ', ',']);
                scan.spaces();
                return Some((year_of(scan.digits(2, 4)?)?, named, first, false));
            }
            let second = scan.number(1, 2)?;
            scan.eat(&[mark]).filter(|m| *m != ' ')?;
            let year = year_of(scan.digits(2, 4)?)?;
            let order = match mark {
                '.' => Some(DateOrder::DayFirst),
                _ => order,
            };
            let day_first = match order {
                Some(order) => order == DateOrder::DayFirst,
                None => second <= 12,
            };
            let is_open = order.is_none() && first <= 12 && second <= 12 && first != second;
            Some(if day_first { (year, second, first, is_open) } else { (year, first, second, is_open) })
        }
        _ => None,
    }
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
    let digits = scan.rest.bytes().take_while(u8::is_ascii_digit).count();
    let (mut hour, minute, mut second);
    if matches!(digits, 4 | 6) {
        (hour, minute) = (scan.rest[..2].parse().ok()?, scan.rest[2..4].parse().ok()?);
        second = if digits == 6 { scan.rest[4..6].parse().ok()? } else { 0 };
        scan.rest = &scan.rest[digits..];
    } else {
        hour = scan.number(1, 2)?;
        scan.eat(&[':', '.', 'h'])?;
        minute = scan.number(2, 2)?;
        second = 0;
        let before = scan.rest;
        if scan.eat(&[':', '.']).is_some() {
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
    let before = scan.rest;
    scan.spaces();
    match scan.word().to_ascii_lowercase().as_str() {
        "am" => hour %= 12,
        "pm" => hour = hour % 12 + 12,
        "uhr" => {}
        _ => scan.rest = before,
    }
    if second == 60 {
        second = 59; // a leap second
    }
    let is_midnight = (hour, minute, second) == (24, 0, 0);
    ((0..24).contains(&hour) || is_midnight).then_some((hour, minute, second, nanos))
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

/// Reads a date and a time of day.
pub fn civil(text: &str, order: Option<DateOrder>) -> Option<Civil> {
    let text = text.trim();
    if text.len() < 6 || text.len() > 64 || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut scan = Scan { rest: text };
    let (year, month, day, is_open) = date(&mut scan, order)?;
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let rest = scan.rest;
    let (mut time, mut offset_seconds, mut has_time) = ((0, 0, 0, 0), None, false);
    if !rest.is_empty() {
        if scan.eat(&['T', 't', '_', ',', ' ', ';', '\u{a0}', '\u{202f}', ':']).is_none()
            && !rest.starts_with(|c: char| c.is_ascii_digit())
        {
            return None;
        }
        scan.spaces();
        if scan.eat(&['-']).is_some() {
            scan.spaces();
        }
        if let Some(at) = scan.rest.strip_prefix("at ") {
            scan.rest = at;
        }
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
    if text.is_empty() || text.len() > 64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20 12:00 in Berlin.
    const NOON: i64 = 1_795_172_400;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    #[test]
    fn times_are_read_in_the_forms_that_people_write() {
        for text in [
            "2026-11-20T12:00:00+01:00",
            "2026-11-20 12:00",
            "2026-11-20T11:00:00Z",
            "2026-11-20T11:00:00.000000+00:00",
            "2026-11-20 11:00:00 UTC",
            "2026-11-20 13:00 UTC+2",
            "2026-11-20 06:00:00 EST",
            "2026-11-20 07:00:00 EDT",
            "2026-11-20 03:00 PST",
            "2026-11-20 20:30 ACST",
            "2026-11-20 12:00 CET",
            "2026-11-20 12:00[Europe/Berlin]",
            "2026-11-20 06:00 America/New_York",
            "2026-11-20T12:00:00+0100",
            "2026-11-20T12:00:00,000",
            "2026/11/20 12:00",
            "20.11.2026 12:00",
            "20.11.2026 12:00:00",
            "20.11.26, 12:00",
            "20/11/2026 12:00:00",
            "11/20/2026 12:00:00 PM",
            "11/20/26 12:00 PM",
            "20-11-2026 12:00",
            "20 Nov 2026 12:00",
            "20-Nov-2026 12:00:00",
            "Nov 20, 2026, 12:00:00 PM",
            "Fri Nov 20 12:00:00 2026",
            "Fri, 20 Nov 2026 11:00:00 GMT",
            "20261120T120000",
            "20261120120000",
            "2026112012",
            "1795172400",
            "1795172400.0",
            "1795172400000",
            "1795172400000000000",
        ] {
            assert_eq!(parse_time(text, "", &berlin()).map(|m| m.0 / 1_000_000), Some(NOON), "{text}");
        }
        let american = parse_time("11/20/2026 12:00 PM", "%m/%d/%Y %I:%M %p", &berlin());
        assert_eq!(american.map(|m| m.0 / 1_000_000), Some(NOON));
        for text in [
            "",
            "noon",
            "12",
            "2026-13-45 12:00",
            "2026-11-20T99:00:00Z",
            "....",
            "1e9",
            "20.1",
            "1.2.3",
            "2026-11-20 12:00 hall",
        ] {
            assert_eq!(parse_time(text, "", &berlin()), None, "{text}");
        }
    }

    #[test]
    fn the_last_minute_of_a_day_may_be_called_24_00() {
        let at = |text: &str| parse_time(text, "", &berlin()).unwrap();
        assert_eq!(at("2026-03-10 24:00"), at("2026-03-11 00:00"));
        assert_eq!(parse_time("2026-03-10 24:01", "", &berlin()), None);
    }

    #[test]
    fn day_and_month_are_open_where_both_are_possible() {
        assert!(civil("03/04/2026 12:00", None).unwrap().is_open);
        assert!(!civil("13/04/2026 12:00", None).unwrap().is_open);
        assert!(!civil("03.04.2026 12:00", None).unwrap().is_open);
        let month = civil("03/04/2026", Some(DateOrder::MonthFirst)).unwrap();
        assert_eq!((month.at.month(), month.at.day()), (3, 4));
    }

    #[test]
    fn local_times_follow_the_clocks_when_they_change() {
        let at = |text: &str| parse_time(text, "", &berlin()).unwrap().0 / 1_000_000;
        assert_eq!(at("2026-03-29 03:30:00") - at("2026-03-29 01:30:00"), 3600);
        assert_eq!(at("2026-10-25 03:30:00") - at("2026-10-25 01:30:00"), 3 * 3600);
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_by_the_series() {
        let mut last = None;
        let mut steps = Vec::new();
        for text in ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"] {
            let civil = civil(&format!("2026-10-25 {text}"), None).unwrap();
            let at = moment(civil, &berlin(), Course { last, descending: false }).unwrap();
            steps.extend(last.map(|l: Moment| at.seconds_since(l)));
            last = Some(at);
        }
        assert_eq!(steps, [1800.0; 5]);
    }

    #[test]
    fn a_zone_s_own_abbreviations_are_read_as_it_means_them() {
        let at = |text: &str, zone: &str| {
            parse_time(text, "", &TimeZone::get(zone).unwrap()).map(|at| at.timestamp().to_string())
        };
        let read = |time: &str| Some(format!("2026-{time}:00Z"));
        assert_eq!(at("2026-07-01 12:00 IST", "Asia/Kolkata"), read("07-01T06:30"));
        assert_eq!(at("2026-07-01 12:00 IST", "Europe/Dublin"), read("07-01T11:00"));
        assert_eq!(at("2026-07-01 12:00 IST", "Europe/Berlin"), None);
        assert_eq!(at("2026-07-01 12:00 CST", "Asia/Shanghai"), read("07-01T04:00"));
        assert_eq!(at("2026-07-01 12:00 CDT", "Asia/Shanghai"), read("07-01T17:00"));
        // The hour that comes twice, told by its name.
        assert_eq!(at("2026-11-01 01:30 EDT", "America/New_York"), read("11-01T05:30"));
        assert_eq!(at("2026-11-01 01:30 EST", "America/New_York"), read("11-01T06:30"));
    }

    #[test]
    fn excel_counts_days_since_1899() {
        assert_eq!(excel(46_091.25).unwrap().to_string(), "2026-03-10T06:00:00");
        assert_eq!(excel(21.5), None);
    }
}
