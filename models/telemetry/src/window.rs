//! When windows begin and end: on the grid of the local calendar, so that a day is a day when the clocks change too.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{MICROS, Moment, Span};

/// How long a window is, or how far apart two are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many seconds by the clock, less than a day.
    Seconds(u32),
    /// So many days of the calendar, whose hours are 23 or 25 when the clocks change.
    Days(u16),
    /// So many months of the calendar.
    Months(u8),
}

impl Length {
    /// About how many seconds.
    pub fn seconds(self) -> f64 {
        match self {
            Length::Seconds(n) => f64::from(n),
            Length::Days(n) => f64::from(n) * 86_400.0,
            // A year of 365.25 days has twelve.
            Length::Months(n) => f64::from(n) * 30.4375 * 86_400.0,
        }
    }
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a length of time: write 90s, 15m, 1h, 1d, 1w or 1mo");
        let outside = || format!("{text:?} is out of range: a length of time is from 1 second to 366 days");
        let text = text.trim();
        let is_number = text.strip_prefix('-').is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
        if is_number {
            return Err(outside());
        }
        let Some(at) = text.find(|c: char| !c.is_ascii_digit()) else {
            let what = if text.is_empty() { "" } else { "; it lacks its unit" };
            return Err(format!("{}{what}", wrong()));
        };
        let number: u32 = match &text[..at] {
            "" => return Err(wrong()),
            digits => digits.parse().map_err(|_| outside())?,
        };
        let seconds = |unit: u32| number.checked_mul(unit).filter(|s| *s > 0).ok_or_else(outside);
        let length = match text[at..].trim() {
            "s" => Length::Seconds(seconds(1)?),
            "m" | "min" => Length::Seconds(seconds(60)?),
            "h" => Length::Seconds(seconds(3600)?),
            "mo" | "month" | "months" => match number {
                months @ 1..=12 => return Ok(Length::Months(months as u8)),
                _ => return Err(outside()),
            },
            // Minutes, or months?
            "M" => {
                return Err(format!(
                    "{text:?} is not a length of time: write {number}m for minutes or {number}mo for months"
                ));
            }
            "d" | "w" => {
                let days = number.checked_mul(if text.ends_with('w') { 7 } else { 1 });
                match days {
                    Some(days @ 1..=366) => Length::Days(days as u16),
                    _ => return Err(outside()),
                }
            }
            _ => return Err(wrong()),
        };
        Ok(match length {
            Length::Seconds(s) if s > 366 * 86_400 => return Err(outside()),
            Length::Seconds(s) if s % 86_400 == 0 => Length::Days((s / 86_400) as u16),
            Length::Seconds(s) if s > 86_400 => {
                return Err(format!("{text:?} is not a window: one longer than a day has whole days, as in 2d"));
            }
            other => other,
        })
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Length::Months(n) => write!(f, "{n}mo"),
            Length::Days(n) => write!(f, "{n}d"),
            Length::Seconds(n) if n % 3600 == 0 => write!(f, "{}h", n / 3600),
            Length::Seconds(n) if n % 60 == 0 => write!(f, "{}m", n / 60),
            Length::Seconds(n) => write!(f, "{n}s"),
        }
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The grid of windows.
#[derive(Clone, Debug)]
pub struct WindowPlan {
    length: Length,
    every: Length,
    zone: TimeZone,
}

impl WindowPlan {
    /// Windows of `length`, one beginning each `every`; the same for both makes them tumble, less makes them slide.
    ///
    /// # Errors
    /// If windows would leave time out between them, or more than 96 would be open at once.
    pub fn new(length: Length, every: Length, zone: TimeZone) -> Result<WindowPlan, String> {
        if every.seconds() > length.seconds() {
            return Err(format!(
                "windows of {length} each {every} leave readings out: make them as long as that at least"
            ));
        }
        if length.seconds() / every.seconds() > 96.0 {
            return Err(format!("windows of {length} each {every}: more than 96 would be open at once"));
        }
        Ok(WindowPlan { length, every, zone })
    }

    /// The time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// How long a window is.
    pub fn length(&self) -> Length {
        self.length
    }

    /// How far apart windows begin.
    pub fn every(&self) -> Length {
        self.every
    }

    /// The last beginning of a window at or before `at`.
    pub fn start_before(&self, at: Moment) -> Moment {
        let date = at.timestamp().to_zoned(self.zone.clone()).date();
        match self.every {
            Length::Months(n) => {
                let months = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
                let first = date.first_of_month();
                let behind = months.rem_euclid(i32::from(n));
                self.midnight(first.checked_sub(behind.months()).unwrap_or(first), 0)
            }
            Length::Days(n) => {
                // Weeks begin with their Monday.
                let from = if n % 7 == 0 { FIRST_MONDAY } else { 0 };
                let day = days_since_1970(date) - from;
                self.midnight(date, -(day.rem_euclid(i64::from(n)) as i32))
            }
            Length::Seconds(s) => {
                let midnight = self.midnight(date, 0);
                let step = i64::from(s) * MICROS;
                Moment(midnight.0 + (at.0 - midnight.0).div_euclid(step) * step)
            }
        }
    }

    /// The beginning that follows the beginning `start`.
    pub fn next_start(&self, start: Moment) -> Moment {
        let date = start.timestamp().to_zoned(self.zone.clone()).date();
        match self.every {
            Length::Months(n) => {
                let first = date.first_of_month();
                self.midnight(first.checked_add(i32::from(n).months()).unwrap_or(first), 0)
            }
            Length::Days(n) => self.midnight(date, i32::from(n)),
            Length::Seconds(s) => Moment(start.0 + i64::from(s) * MICROS).min(self.midnight(date, 1)),
        }
    }

    /// The end of the window that begins at `start`.
    pub fn end_of(&self, start: Moment) -> Moment {
        if self.length == self.every {
            return self.next_start(start);
        }
        let after = |length: jiff::Span| {
            let zoned = start.timestamp().to_zoned(self.zone.clone());
            zoned.checked_add(length).map_or(Moment(start.0), |z| z.timestamp().into())
        };
        match self.length {
            Length::Months(n) => after(i32::from(n).months()),
            Length::Days(n) => after(i32::from(n).days()),
            Length::Seconds(s) => Moment(start.0 + i64::from(s) * MICROS),
        }
    }

    /// The windows in which `at` lies, the earliest first.
    pub fn windows_at(&self, at: Moment) -> Vec<Span> {
        let mut start = self.start_before(at);
        let mut found = Vec::new();
        while self.end_of(start) > at {
            found.push(Span { from: start, to: self.end_of(start) });
            start = self.start_before(Moment(start.0 - 1));
        }
        found.reverse();
        found
    }

    /// The same time of the day before.
    pub fn day_before(&self, at: Moment) -> Moment {
        let zoned = at.timestamp().to_zoned(self.zone.clone());
        zoned.checked_sub(1.day()).map_or(Moment(at.0 - 86_400 * MICROS), |z| z.timestamp().into())
    }

    fn midnight(&self, date: Date, days: i32) -> Moment {
        let date = date.checked_add(days.days()).unwrap_or(date);
        // Where the clocks skip midnight, the day begins at its first instant.
        date.to_zoned(self.zone.clone()).and_then(|z| z.start_of_day()).map_or(Moment(0), |z| z.timestamp().into())
    }
}

/// 1970-01-05, in days since 1970.
const FIRST_MONDAY: i64 = 4;

fn days_since_1970(date: Date) -> i64 {
    let epoch = Date::constant(1970, 1, 1);
    i64::from((date - epoch).get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(length: &str, every: &str, zone: &str) -> WindowPlan {
        WindowPlan::new(length.parse().unwrap(), every.parse().unwrap(), TimeZone::get(zone).unwrap()).unwrap()
    }

    fn at(text: &str) -> Moment {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    #[test]
    fn a_day_has_23_or_25_hours_when_the_clocks_change() {
        let days = plan("1d", "1d", "Europe/Berlin");
        for (noon, hours) in
            [("2026-03-29T10:00:00Z", 23.0), ("2026-10-25T10:00:00Z", 25.0), ("2026-11-20T10:00:00Z", 24.0)]
        {
            let [day] = days.windows_at(at(noon))[..] else { panic!() };
            assert_eq!(day.seconds() / 3600.0, hours, "{noon}");
            assert_eq!(days.next_start(day.from), day.to);
        }
        // Where midnight itself is skipped.
        let beirut = plan("1d", "1d", "Asia/Beirut");
        let [day] = beirut.windows_at(at("2026-03-29T10:00:00Z"))[..] else { panic!() };
        assert_eq!(day.seconds() / 3600.0, 23.0);
    }

    #[test]
    fn hours_follow_each_other_without_gap_or_overlap_through_a_change_of_the_clocks() {
        let hours = plan("1h", "1h", "Europe/Berlin");
        let mut start = hours.start_before(at("2026-10-24T20:15:00Z"));
        for _ in 0..12 {
            let end = hours.end_of(start);
            assert_eq!(end.seconds_since(start), 3600.0);
            assert_eq!(hours.windows_at(start), [Span { from: start, to: end }]);
            assert_eq!(hours.windows_at(Moment(end.0 - 1)), [Span { from: start, to: end }]);
            start = end;
        }
        // Half an hour of zone, as in India; the hours are the local ones.
        let india = plan("1h", "1h", "Asia/Kolkata");
        assert_eq!(india.start_before(at("2026-11-20T10:40:00Z")), at("2026-11-20T10:30:00Z"));
    }

    #[test]
    fn sliding_windows_overlap_as_often_as_they_should() {
        let sliding = plan("1h", "15m", "UTC");
        let windows = sliding.windows_at(at("2026-11-20T10:40:00Z"));
        assert_eq!(windows.len(), 4);
        assert_eq!(windows[0].from, at("2026-11-20T09:45:00Z"));
        assert!(windows.iter().all(|w| w.seconds() == 3600.0));
        let week = plan("1w", "1d", "UTC");
        assert_eq!(week.windows_at(at("2026-11-20T10:40:00Z")).len(), 7);
    }

    #[test]
    fn weeks_begin_with_monday_and_months_with_their_first_day() {
        let window = |length: &str, day: &str| {
            let plan = plan(length, length, "Europe/Berlin");
            let [window] = plan.windows_at(at(&format!("{day}T10:00:00Z")))[..] else { panic!() };
            let date = |at: Moment| at.timestamp().to_zoned(plan.zone().clone()).date().to_string();
            assert_eq!(plan.next_start(window.from), window.to);
            [date(window.from), date(window.to)]
        };
        // 2 March 2026 is a Monday.
        for day in ["2026-03-02", "2026-03-05", "2026-03-08"] {
            assert_eq!(window("1w", day), ["2026-03-02", "2026-03-09"]);
        }
        assert_eq!(window("7d", "2026-03-05"), ["2026-03-02", "2026-03-09"]);
        assert_eq!(window("1mo", "2026-02-28"), ["2026-02-01", "2026-03-01"]);
        assert_eq!(window("1mo", "2026-03-31"), ["2026-03-01", "2026-04-01"]);
        assert_eq!(window("3mo", "2026-05-31"), ["2026-04-01", "2026-07-01"]);
        assert_eq!(window("12mo", "2026-05-31"), ["2026-01-01", "2027-01-01"]);
        let sliding = plan("1mo", "1d", "UTC");
        assert_eq!(sliding.windows_at(at("2026-03-20T10:00:00Z")).len(), 28, "since 21 February");
    }

    #[test]
    fn lengths_are_read_as_people_write_them_and_others_refused() {
        for (text, length) in [
            ("90s", Length::Seconds(90)),
            ("15m", Length::Seconds(900)),
            ("24h", Length::Days(1)),
            ("2w", Length::Days(14)),
            ("1mo", Length::Months(1)),
        ] {
            assert_eq!(text.parse::<Length>().unwrap(), length);
        }
        for text in ["", "1", "h", "0h", "-1h", "36h", "1y", "99999999999h", "400d", "9600h", "1.5h", "60", "-5"] {
            let error = text.parse::<Length>().unwrap_err();
            assert!(
                error.contains(text) && (error.contains("90s") || error.contains("366 days") || text == "36h"),
                "{error}"
            );
        }
        let utc = || TimeZone::UTC;
        assert!(WindowPlan::new(Length::Seconds(60), Length::Seconds(120), utc()).is_err());
        assert!(WindowPlan::new(Length::Days(1), Length::Seconds(60), utc()).is_err());
    }
}
