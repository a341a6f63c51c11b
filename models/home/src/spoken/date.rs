//! Days: "today", "tomorrow", "the day after tomorrow", "on Monday", "next Friday", "this weekend", "the 3rd of March", "in three
//! days", and the parts of a day.

use jiff::{
    ToSpan,
    civil::{Date, Weekday, date},
};

use super::number::{number, ordinal};

/// Days that were spoken of: the first, and how many from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// The first day.
    pub first: Date,
    /// How many days: 1, 2 for a weekend, 7 for a week.
    pub days: u8,
    /// The hours of the day meant, begin and end: "tonight", "tomorrow morning".
    pub hours: Option<(i8, i8)>,
}

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A month's number by its name or the name's first three letters.
fn month(word: &str) -> Option<i8> {
    MONTHS
        .iter()
        .position(|m| *m == word || (word.len() == 3 && m.starts_with(word)) || (word == "sept" && *m == "september"))
        .map(|i| i as i8 + 1)
}

/// A weekday by its name, plural included.
fn weekday(word: &str) -> Option<Weekday> {
    let word = word.strip_suffix('s').unwrap_or(word);
    Some(match word {
        "monday" | "mon" => Weekday::Monday,
        "tuesday" | "tue" => Weekday::Tuesday,
        "wednesday" | "wedne" => Weekday::Wednesday,
        "thursday" | "thur" => Weekday::Thursday,
        "friday" | "fri" => Weekday::Friday,
        "saturday" | "sat" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

/// Days at the beginning of `words`, counted from `today`.
pub fn day(words: &[&str], today: Date) -> Option<(Day, usize)> {
    let skip = usize::from(matches!(words.first(), Some(&("on" | "for" | "during" | "by"))));
    let (mut found, mut n) = named(&words[skip..], today)?;
    n += skip;
    if found.hours.is_none()
        && let Some((hours, m)) = part_of_day(&words[n..])
    {
        found.hours = Some(hours);
        n += m;
    }
    Some((found, n))
}

/// The hours around noon.
pub const NOON: (i8, i8) = (11, 14);

fn part_of_day(words: &[&str]) -> Option<((i8, i8), usize)> {
    let skip = match words {
        ["in", "the", ..] => 2,
        ["at", ..] => 1,
        _ => 0,
    };
    let hours = match words.get(skip)? {
        &"morning" => (6, 12),
        &"noon" | &"midday" => NOON,
        &"afternoon" => (12, 18),
        &"evening" => (18, 22),
        &"night" => (20, 24),
        _ => return None,
    };
    Some((hours, skip + 1))
}

fn named(words: &[&str], today: Date) -> Option<(Day, usize)> {
    let plus = |days: i32| today.checked_add(days.days()).ok();
    let one = |first: Date, n: usize| Some((Day { first, days: 1, hours: None }, n));
    if let Some((days, n)) = next_days(words) {
        return Some((Day { first: plus(1)?, days, hours: None }, n));
    }
    match *words {
        ["today", ..] => return one(today, 1),
        ["tonight", ..] => return Some((Day { first: today, days: 1, hours: Some((18, 24)) }, 1)),
        ["this", "morning" | "afternoon" | "evening", ..] => {
            let (hours, _) = part_of_day(&words[1..])?;
            return Some((Day { first: today, days: 1, hours: Some(hours) }, 2));
        }
        ["tomorrow", ..] => return one(plus(1)?, 1),
        ["yesterday", ..] => return one(plus(-1)?, 1),
        ["the", "day", "after", "tomorrow", ..] => return one(plus(2)?, 4),
        ["day", "after", "tomorrow", ..] => return one(plus(2)?, 3),
        ["the", "day", "before", "yesterday", ..] => return one(plus(-2)?, 4),
        ["this" | "the" | "coming", "weekend", ..] => return weekend(today, 2),
        ["at" | "over", "the", "weekend", ..] => return weekend(today, 3),
        ["the" | "this", "coming", "weekend", ..] => return weekend(today, 3),
        ["the", "rest", "of", "the", "week", ..] => {
            let left = 7 - today.weekday().to_monday_zero_offset();
            return Some((Day { first: today, days: left as u8, hours: None }, 5));
        }
        ["the", "week", "ahead", ..] | ["the", "coming", "week", ..] => {
            return Some((Day { first: today, days: 7, hours: None }, 3));
        }
        ["the" | "this", "whole", "week", ..] => {
            let left = 7 - today.weekday().to_monday_zero_offset();
            return Some((Day { first: today, days: left as u8, hours: None }, 3));
        }
        ["later", "today", ..] => return one(today, 2),
        ["later", "this", "week", ..] => {
            let left = 7 - today.weekday().to_monday_zero_offset();
            return Some((Day { first: today, days: left as u8, hours: None }, 3));
        }
        ["weekend", ..] => return weekend(today, 1),
        ["next", "weekend", ..] => {
            let (coming, _) = weekend(today, 2)?;
            return Some((Day { first: coming.first.checked_add(7.days()).ok()?, ..coming }, 2));
        }
        ["this", "week", ..] => {
            // On a Sunday the week that is meant is the one that begins.
            let left = 7 - today.weekday().to_monday_zero_offset();
            let left = if left == 1 { 7 } else { left };
            return Some((Day { first: today, days: left as u8, hours: None }, 2));
        }
        ["next", "week", ..] => {
            let left = i32::from(7 - today.weekday().to_monday_zero_offset());
            return Some((Day { first: plus(left)?, days: 7, hours: None }, 2));
        }
        ["in", "a", "week", ..] => return one(plus(7)?, 3),
        ["in", ..] => {
            let (count, n) = number(&words[1..])?;
            let step = match words.get(1 + n)? {
                &"day" | &"days" => 1,
                &"week" | &"weeks" => 7,
                _ => return None,
            };
            return (count.fract() == 0.0 && (0.0..=366.0).contains(&count))
                .then(|| plus(count as i32 * step))
                .flatten()
                .and_then(|d| one(d, 2 + n));
        }
        _ => {}
    }
    // "next friday", "this friday", "friday"
    let (next, skip) = match words.first()? {
        &"next" => (true, 1),
        &"this" | &"coming" => (false, 1),
        _ => (false, 0),
    };
    if let Some(wanted) = words.get(skip).and_then(|w| weekday(w)) {
        let ahead = i32::from((wanted.to_monday_zero_offset() - today.weekday().to_monday_zero_offset()).rem_euclid(7));
        let ahead = if next && ahead == 0 { 7 } else { ahead };
        return one(plus(ahead)?, skip + 1);
    }
    // "the 3rd of march", "march 3rd", "3 march", "march the third"
    let the = usize::from(words.first() == Some(&"the"));
    let rest = &words[the..];
    let counted = |words: &[&str]| {
        ordinal(words)
            .or_else(|| number(words).filter(|(v, _)| v.fract() == 0.0 && *v >= 1.0).map(|(v, n)| (v as u32, n)))
    };
    if let Some(m) = rest.first().and_then(|w| month(w)) {
        let the = usize::from(rest.get(1) == Some(&"the"));
        let (d, n) = counted(&rest[1 + the..])?;
        return one(coming(today, m, d)?, the + 1 + n);
    }
    let (d, n) = counted(rest)?;
    let of = usize::from(rest.get(n) == Some(&"of"));
    let m = rest.get(n + of).and_then(|w| month(w))?;
    one(coming(today, m, d)?, the + n + of + 1)
}

/// "The next three days", "next five days", "the coming two days".
fn next_days(words: &[&str]) -> Option<(u8, usize)> {
    let skip = usize::from(matches!(words.first(), Some(&("the" | "these" | "this"))));
    if !matches!(words.get(skip), Some(&("next" | "coming" | "following"))) {
        return None;
    }
    let rest = &words[skip + 1..];
    let (count, n) = match rest {
        ["few", "days", ..] | ["couple", "days", ..] => (3.0, 1),
        ["couple", "of", "days", ..] => (2.0, 2),
        _ => number(rest)?,
    };
    let is_count = count.fract() == 0.0 && (1.0..=14.0).contains(&count);
    (is_count && rest.get(n) == Some(&"days")).then_some((count as u8, skip + 1 + n + 1))
}

fn weekend(today: Date, n: usize) -> Option<(Day, usize)> {
    let weekday = today.weekday().to_monday_zero_offset();
    let (ahead, days) = if weekday == 6 { (0, 1) } else { (5 - i32::from(weekday), 2) };
    Some((Day { first: today.checked_add(ahead.days()).ok()?, days, hours: None }, n))
}

/// The next such day of a month from `today` on.
fn coming(today: Date, month: i8, day: u32) -> Option<Date> {
    let day = i8::try_from(day).ok()?;
    [today.year(), today.year() + 1]
        .into_iter()
        .filter_map(|year| Date::new(year, month, day).ok())
        .find(|d| *d >= today)
        .or_else(|| (month == 2 && day == 29).then(|| date(today.year() / 4 * 4 + 4, 2, 29)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spoken::write;
    use proptest::prelude::*;

    // A Sunday.
    const TODAY: Date = date(2026, 11, 29);

    #[test]
    fn days_are_read_as_people_say_them() {
        for (text, first, days) in [
            ("today", date(2026, 11, 29), 1),
            ("tomorrow", date(2026, 11, 30), 1),
            ("the day after tomorrow", date(2026, 12, 1), 1),
            ("on friday", date(2026, 12, 4), 1),
            ("next sunday", date(2026, 12, 6), 1),
            ("next week", date(2026, 11, 30), 7),
            ("this weekend", date(2026, 11, 29), 1),
            ("in three days", date(2026, 12, 2), 1),
            ("the 3rd of march", date(2027, 3, 3), 1),
            ("december the twenty fourth", date(2026, 12, 24), 1),
            ("24 december", date(2026, 12, 24), 1),
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(day(&words, TODAY), Some((Day { first, days, hours: None }, words.len())), "{text}");
        }
        let (tomorrow, n) = day(&["tomorrow", "morning"], TODAY).unwrap();
        assert_eq!((tomorrow.first, tomorrow.hours, n), (date(2026, 11, 30), Some((6, 12)), 2));
        assert_eq!(day(&["the", "31st", "of", "february"], TODAY), None);
    }

    proptest! {
        #[test]
        fn a_date_written_out_is_read_back(ahead in 0i32..365) {
            let wanted = TODAY.checked_add(ahead.days()).unwrap();
            let text = crate::spoken::normalise(&write::date(wanted));
            let words: Vec<&str> = text.split(' ').collect();
            prop_assert_eq!(day(&words, TODAY), Some((Day { first: wanted, days: 1, hours: None }, words.len())));
        }
    }
}
