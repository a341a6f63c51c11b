//! Times in questions: "yesterday", "last week", "in March", "on 5 March", "between 8:00 and 12:00 on Monday", "in the last 3 hours".

use jiff::civil::{Date, Time, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan, Zoned};

use super::question::NotUnderstood;
use crate::dates::{MONTHS, WEEKDAYS};
use crate::{Moment, Span};

/// A part of time, and how answers call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// From when to when; the end is not later than now.
    pub span: Span,
    /// As it stands in an answer: "yesterday (Thursday, 5 March 2026)".
    pub label: String,
}

/// A period, and the places of the words that said it.
pub(super) struct FoundPeriod {
    pub(super) period: Period,
    pub(super) words: std::ops::Range<usize>,
}

const SMALL: [&str; 13] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
/// No question looks back further: jiff's calendar begins in the year -9999.
const MOST_UNITS: i64 = 10_000;

/// A day as answers call it: "Thursday, 5 March 2026".
pub fn day_name(day: Date) -> String {
    day.strftime("%A, %-d %B %Y").to_string()
}

/// A moment as answers call it.
pub(super) fn moment_name(at: Moment, zone: &TimeZone) -> String {
    at.timestamp().to_zoned(zone.clone()).strftime("%A, %-d %B %Y at %H:%M").to_string()
}

/// A whole number, as digits or as a word.
fn number(word: &str) -> Option<i64> {
    let small = SMALL.iter().position(|w| *w == word).map(|n| n as i64);
    small.or_else(|| word.parse().ok()).filter(|n| (0..=MOST_UNITS).contains(n))
}

/// A time of the day, as in `8:30`.
pub(super) fn time_of_day(word: &str) -> Option<Time> {
    let (hour, minute) = word.split_once(':')?;
    let two = |part: &str| part.len() <= 2 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !two(hour) || minute.len() != 2 || !two(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

/// Reads times against a now.
pub(super) struct Calendar<'a> {
    pub(super) now: &'a Zoned,
}

impl Calendar<'_> {
    /// Today, as far as it has come.
    pub(super) fn today(&self) -> Option<Period> {
        self.day(self.now.date(), "today".to_owned())
    }

    fn start_of(&self, day: Date) -> Option<Zoned> {
        day.to_zoned(self.now.time_zone().clone()).ok()
    }

    /// Whole days from `from` to before `to`, as far as they are over.
    fn days(&self, from: Date, to: Date, label: String) -> Option<Period> {
        self.between(&self.start_of(from)?, &self.start_of(to)?, label)
    }

    fn between(&self, from: &Zoned, to: &Zoned, label: String) -> Option<Period> {
        let span = Span { from: from.timestamp().into(), to: to.timestamp().min(self.now.timestamp()).into() };
        (span.from < span.to).then_some(Period { span, label })
    }

    fn day(&self, day: Date, label: String) -> Option<Period> {
        self.days(day, day.tomorrow().ok()?, label)
    }

    fn month(&self, first: Date) -> Option<Period> {
        let label = format!("in {}", first.strftime("%B %Y"));
        self.days(first, first.checked_add(1.month()).ok()?, label)
    }

    /// The calendar day that begins at `words`, and how many words it takes.
    fn date(&self, words: &[&str]) -> Option<(Date, usize)> {
        let today = self.now.date();
        let first = words.first()?;
        match *first {
            "today" => return Some((today, 1)),
            "yesterday" => return Some((today.yesterday().ok()?, 1)),
            _ => {}
        }
        if let ["the", "day", "before", "yesterday", ..] | ["day", "before", "yesterday", ..] = words {
            let length = if *first == "the" { 4 } else { 3 };
            return Some((today.checked_sub(2.days()).ok()?, length));
        }
        let skipped = usize::from(*first == "last");
        if let Some((_, weekday)) = words.get(skipped).and_then(|w| WEEKDAYS.iter().find(|(name, _)| name == w)) {
            return Some((today.nth_weekday(-1, *weekday).ok()?, skipped + 1));
        }
        if first.len() == 10
            && let Ok(day) = first.parse::<Date>()
        {
            return Some((day, 1));
        }
        let month_of = |word: &&str| MONTHS.iter().position(|m| m == word).map(|m| m as i8 + 1);
        let day_of = |word: &str| {
            let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let ending = &word[digits.len()..];
            (digits.len() <= 2 && matches!(ending, "" | "st" | "nd" | "rd" | "th"))
                .then(|| digits.parse::<i8>().ok())?
        };
        let the = usize::from(*first == "the");
        let (day, month, mut length) = match (words.get(the)?, words.get(the + 1), words.get(the + 2)) {
            (day, Some(&"of"), Some(month)) => (day_of(day)?, month_of(month)?, the + 3),
            (day, Some(month), _) if month_of(month).is_some() => (day_of(day)?, month_of(month)?, the + 2),
            (month, Some(day), _) => (day_of(day)?, month_of(month)?, the + 2),
            _ => return None,
        };
        let year = words.get(length).and_then(|w| year(w));
        length += usize::from(year.is_some());
        Some((self.dated(year, month, day)?, length))
    }

    /// A day of the year that is said, or the last one that has come.
    fn dated(&self, year: Option<i16>, month: i8, day: i8) -> Option<Date> {
        let today = self.now.date();
        match year {
            Some(year) => Date::new(year, month, day).ok(),
            None => (0..8).find_map(|back| Date::new(today.year() - back, month, day).ok().filter(|d| *d <= today)),
        }
    }

    /// The longest expression of time that begins at a word.
    fn at(&self, words: &[&str]) -> Option<(Period, usize)> {
        let today = self.now.date();
        let monday = today.tomorrow().ok()?.nth_weekday(-1, Weekday::Monday).ok()?;
        let preposition =
            usize::from(matches!(words.first(), Some(&("in" | "on" | "over" | "during" | "for" | "within" | "of"))));
        let rest = &words[preposition..];
        // "Was it on yesterday": no time begins with this "on".
        if words.first() == Some(&"on") && matches!(rest.first(), Some(&("today" | "yesterday" | "this" | "since"))) {
            return None;
        }
        let found = |period: Option<Period>, length: usize| period.map(|p| (p, length + preposition));
        match rest {
            ["this", "week", ..] => {
                return found(self.days(monday, monday.checked_add(7.days()).ok()?, "this week".into()), 2);
            }
            ["last" | "previous", "week", ..] => {
                return found(self.days(monday.checked_sub(7.days()).ok()?, monday, "last week".into()), 2);
            }
            ["this", "month", ..] => {
                return found(
                    self.month(today.first_of_month()).map(|p| Period { label: "this month".into(), ..p }),
                    2,
                );
            }
            ["last" | "previous", "month", ..] => {
                let first = today.first_of_month().checked_sub(1.month()).ok()?;
                return found(self.month(first), 2);
            }
            ["this", "year", ..] => {
                let first = today.first_of_year();
                return found(self.days(first, first.checked_add(1.year()).ok()?, "this year".into()), 2);
            }
            ["last" | "previous", "year", ..] => {
                let first = today.first_of_year().checked_sub(1.year()).ok()?;
                return found(self.days(first, today.first_of_year(), format!("in {}", first.year())), 2);
            }
            ["last", "night", ..] => {
                let from = today.yesterday().ok()?.at(22, 0, 0, 0).to_zoned(self.now.time_zone().clone()).ok()?;
                let to = today.at(6, 0, 0, 0).to_zoned(self.now.time_zone().clone()).ok()?;
                return found(self.between(&from, &to, "last night (22:00 to 06:00)".into()), 2);
            }
            ["this", part @ ("morning" | "afternoon" | "evening"), ..] => {
                let (from, to) = match *part {
                    "morning" => (6, 12),
                    "afternoon" => (12, 18),
                    _ => (18, 23),
                };
                let at = |hour: i8| today.at(hour, 0, 0, 0).to_zoned(self.now.time_zone().clone()).ok();
                let end = if to == 23 { self.start_of(today.tomorrow().ok()?)? } else { at(to)? };
                return found(self.between(&at(from)?, &end, format!("this {part} (from {from:02}:00)")), 2);
            }
            _ => {}
        }
        // "in the last 3 hours", "the past week"
        let the = usize::from(rest.first() == Some(&"the"));
        if let Some(&("last" | "past" | "previous")) = rest.get(the) {
            let (n, length) = match rest.get(the + 1).and_then(|w| number(w)) {
                Some(n) => (n, 2),
                None => (1, 1),
            };
            if let Some(unit) = rest.get(the + length)
                && n > 0
            {
                let plural =
                    |one: &str| if n == 1 { format!("in the last {one}") } else { format!("in the last {n} {one}s") };
                let one = unit.strip_suffix('s').unwrap_or(unit);
                let ago = match one {
                    "minute" => Some(SignedDuration::from_mins(n)),
                    "hour" => Some(SignedDuration::from_hours(n)),
                    _ => None,
                };
                let from = match (ago, one) {
                    (Some(ago), _) => self.now.checked_sub(ago).ok(),
                    (None, "day") => self.now.checked_sub(n.days()).ok(),
                    (None, "week") => self.now.checked_sub(n.weeks()).ok(),
                    (None, "month") => self.now.checked_sub(n.months()).ok(),
                    (None, "year") => self.now.checked_sub(n.years()).ok(),
                    _ => None,
                };
                if let Some(from) = from {
                    return found(self.between(&from, self.now, plural(one)), the + length + 1);
                }
            }
        }
        // "since Monday", "since 5 March", "since 8:00"
        if let ["since", since @ ..] = words {
            if let Some((day, length)) = self.date(since) {
                let label = format!("since {}", day_name(day));
                return self.between(&self.start_of(day)?, self.now, label).map(|p| (p, length + 1));
            }
            let time = since.first().and_then(|w| time_of_day(w))?;
            let from = today.to_datetime(time).to_zoned(self.now.time_zone().clone()).ok()?;
            return self.between(&from, self.now, format!("since {}", time.strftime("%H:%M"))).map(|p| (p, 2));
        }
        // "between 3 March and 5 March", "from Monday to Wednesday"
        if let [opening @ ("between" | "from"), range @ ..] = words {
            let closing: &[&str] = if *opening == "between" { &["and"] } else { &["to", "until", "till"] };
            let (first, length) = self.date(range)?;
            if !range.get(length).is_some_and(|w| closing.contains(w)) {
                return None;
            }
            let (last, more) = self.date(&range[length + 1..])?;
            let label = format!("from {} to {}", day_name(first), day_name(last));
            return self.days(first, last.tomorrow().ok()?, label).map(|p| (p, length + more + 2));
        }
        // "in March", "in March 2026", "in 2025"
        if preposition == 1 {
            if let Some(month) = rest.first().and_then(|w| MONTHS.iter().position(|m| m == w)) {
                let year = rest.get(1).and_then(|w| year(w));
                let first = self.dated(year, month as i8 + 1, 1)?;
                // "on March 5" is a day.
                if rest.get(1).is_none_or(|w| year.is_some() || self.date(rest).is_none() || w.is_empty()) {
                    return found(self.month(first), 1 + usize::from(year.is_some()));
                }
            }
            // "over 2000" is a limit.
            if let Some(year) = rest.first().and_then(|w| year(w))
                && matches!(words.first(), Some(&("in" | "during" | "of")))
            {
                let first = date(year, 1, 1);
                return found(self.days(first, first.checked_add(1.year()).ok()?, format!("in {year}")), 1);
            }
        }
        let (day, length) = self.date(rest)?;
        let label = match (day == today, Some(day) == today.yesterday().ok()) {
            (true, _) => "today".to_owned(),
            (_, true) => format!("yesterday ({})", day_name(day)),
            _ => format!("on {}", day_name(day)),
        };
        found(self.day(day, label), length)
    }

    /// The first expression of time in a question.
    pub(super) fn find(&self, words: &[&str]) -> Option<FoundPeriod> {
        (0..words.len()).find_map(|start| {
            let (period, length) = self.at(&words[start..])?;
            Some(FoundPeriod { period, words: start..start + length })
        })
    }

    /// The day that a period lies in.
    fn only_day(&self, period: &Period) -> Option<Date> {
        let date = |at: Moment| at.timestamp().to_zoned(self.now.time_zone().clone()).date();
        let day = date(period.span.from);
        (date(Moment(period.span.to.0 - 1)) == day).then_some(day)
    }

    /// The same day narrowed to a part of it: "between 8:00 and 12:00 yesterday"; "between 22:00 and 6:00" ends on the next day.
    ///
    /// # Errors
    /// The period is no day, or the time has not come.
    pub(super) fn narrowed(&self, period: &Period, from: Time, to: Time) -> Result<Period, NotUnderstood> {
        let zone = self.now.time_zone();
        let day = self.only_day(period).ok_or(NotUnderstood::Times)?;
        let is_whole = self.day(day, String::new()).is_some_and(|whole| whole.span == period.span);
        if !is_whole || from == to {
            return Err(NotUnderstood::Times);
        }
        let end = if from < to { day } else { day.tomorrow().map_err(|_| NotUnderstood::Times)? };
        let at = |day: Date, time: Time| day.to_datetime(time).to_zoned(zone.clone()).map_err(|_| NotUnderstood::Times);
        let after_midnight = if from < to { "" } else { " of the next day" };
        let (begin, label) = (from.strftime("%H:%M"), &period.label);
        let label = format!("{label} between {begin} and {}{after_midnight}", to.strftime("%H:%M"));
        self.between(&at(day, from)?, &at(end, to)?, label).ok_or(NotUnderstood::Future)
    }

    /// A moment of a day: "at 14:00 yesterday".
    ///
    /// # Errors
    /// The period is longer than a day or has no such moment, or the moment has not come.
    pub(super) fn moment(&self, period: &Period, time: Time) -> Result<Moment, NotUnderstood> {
        let day = self.only_day(period).ok_or(NotUnderstood::Times)?;
        let at = day.to_datetime(time).to_zoned(self.now.time_zone().clone()).map_err(|_| NotUnderstood::Times)?;
        if at > *self.now {
            return Err(NotUnderstood::Future);
        }
        let at: Moment = at.timestamp().into();
        if at < period.span.from || at > period.span.to {
            return Err(NotUnderstood::Times);
        }
        Ok(at)
    }
}

fn year(word: &str) -> Option<i16> {
    let is_year = word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit());
    word.parse().ok().filter(|year| is_year && (1990..2200).contains(year))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(String, String, String)> {
        let now: Zoned = "2026-03-06T15:30:00[Europe/Berlin]".parse().unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let found = Calendar { now: &now }.find(&words)?;
        let at = |m: Moment| m.timestamp().to_zoned(now.time_zone().clone()).strftime("%m-%d %H:%M").to_string();
        Some((at(found.period.span.from), at(found.period.span.to), words[found.words].join(" ")))
    }

    #[test]
    fn times_are_read_against_now() {
        for (text, from, to, said) in [
            ("today", "03-06 00:00", "03-06 15:30", "today"),
            ("it yesterday then", "03-05 00:00", "03-06 00:00", "yesterday"),
            ("the day before yesterday", "03-04 00:00", "03-05 00:00", "the day before yesterday"),
            ("this week", "03-02 00:00", "03-06 15:30", "this week"),
            ("last week", "02-23 00:00", "03-02 00:00", "last week"),
            ("last month", "02-01 00:00", "03-01 00:00", "last month"),
            ("in the last 3 hours", "03-06 12:30", "03-06 15:30", "in the last 3 hours"),
            ("over the past two days", "03-04 15:30", "03-06 15:30", "over the past two days"),
            ("on monday", "03-02 00:00", "03-03 00:00", "on monday"),
            ("last friday", "02-27 00:00", "02-28 00:00", "last friday"),
            ("on 3 march", "03-03 00:00", "03-04 00:00", "on 3 march"),
            ("on march 3rd 2026", "03-03 00:00", "03-04 00:00", "on march 3rd 2026"),
            ("on the 3rd of march", "03-03 00:00", "03-04 00:00", "on the 3rd of march"),
            ("2026-03-03", "03-03 00:00", "03-04 00:00", "2026-03-03"),
            ("in february", "02-01 00:00", "03-01 00:00", "in february"),
            ("since tuesday", "03-03 00:00", "03-06 15:30", "since tuesday"),
            ("since 8:00", "03-06 08:00", "03-06 15:30", "since 8:00"),
            ("between 2 march and 3 march", "03-02 00:00", "03-04 00:00", "between 2 march and 3 march"),
            ("from monday to tuesday", "03-02 00:00", "03-04 00:00", "from monday to tuesday"),
            ("last night", "03-05 22:00", "03-06 06:00", "last night"),
            ("this morning", "03-06 06:00", "03-06 12:00", "this morning"),
        ] {
            assert_eq!(found(text), Some((from.to_owned(), to.to_owned(), said.to_owned())), "{text}");
        }
        for text in ["the kitchen", "on 31 february", "tomorrow", "in 3", "last 99999999999 days", "in the", "since"] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
