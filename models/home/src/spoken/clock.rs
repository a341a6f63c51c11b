//! Clock times: "7 am", "half past seven", "a quarter to eight", "19:30", "noon", "seven in the evening".

use jiff::civil::Time;

use super::number::number;

/// A time of day as it was said: without "am" or "pm" it may mean either half of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockTime {
    /// 0 to 23; below 13 where the half of the day was not said.
    pub hour: i8,
    /// 0 to 59.
    pub minute: i8,
    /// Whether the half of the day is known: "am", "in the evening", "19:30", "noon".
    pub exact: bool,
}

impl ClockTime {
    /// The time of day, taken as said.
    pub fn time(self) -> Time {
        Time::constant(self.hour, self.minute, 0, 0)
    }

    /// That time of a day, of which the part that was meant begins at the hour `from`: "three" in the afternoon is 15:00.
    pub fn on(self, day: jiff::civil::Date, from: Option<i8>) -> jiff::civil::DateTime {
        let is_later = from.is_some_and(|from| from >= 12) && !self.exact && self.hour < 12;
        day.at(if is_later { self.hour + 12 } else { self.hour }, self.minute, 0, 0)
    }

    /// The next such time after `now`: "seven" said at 15:00 is 19:00, "7 am" is tomorrow morning.
    pub fn next_after(self, now: jiff::civil::DateTime) -> jiff::civil::DateTime {
        let mut hours = vec![self.hour];
        if !self.exact {
            hours.push((self.hour + 12) % 24);
        }
        let day = now.date();
        [day, day.tomorrow().unwrap_or(day)]
            .into_iter()
            .flat_map(|d| hours.iter().map(move |h| d.at(*h, self.minute, 0, 0)))
            .filter(|t| *t > now)
            .min()
            .unwrap_or(now)
    }
}

/// Hour words: digits or a number up to 24.
fn hour(words: &[&str]) -> Option<(i8, usize)> {
    let (value, n) = number(words)?;
    (value.fract() == 0.0 && (0.0..=24.0).contains(&value)).then_some((value as i8, n))
}

/// A clock time at the beginning of `words`.
pub fn clock_time(words: &[&str]) -> Option<(ClockTime, usize)> {
    let skip = usize::from(words.first() == Some(&"at"));
    let rest = &words[skip..];
    let (found, n) = said(rest)?;
    let (found, m) = half_of_day(found, &rest[n..])?;
    Some((found, skip + n + m))
}

fn said(words: &[&str]) -> Option<(ClockTime, usize)> {
    let exact = |hour, minute, n| Some((ClockTime { hour, minute, exact: true }, n));
    let open = |hour: i8, minute, n| {
        let known = hour == 0 || hour > 12;
        Some((ClockTime { hour: hour % 24, minute, exact: known }, n))
    };
    match words.first()? {
        &"noon" | &"midday" => return exact(12, 0, 1),
        &"midnight" => return exact(0, 0, 1),
        first if first.contains(':') => {
            let (h, m) = first.split_once(':')?;
            let (h, m): (i8, i8) = (h.parse().ok()?, m.get(..2)?.parse().ok()?);
            // "07:30" is written as a 24-hour clock.
            return ((0..24).contains(&h) && (0..60).contains(&m))
                .then_some((ClockTime { hour: h, minute: m, exact: h == 0 || h > 12 || first.starts_with('0') }, 1));
        }
        _ => {}
    }
    // "half past seven", "a quarter to eight", "ten past", "twenty five to six"
    let a = usize::from(words.first() == Some(&"a"));
    let before = match words.get(a) {
        Some(&"half") => Some((30, a + 1)),
        Some(&"quarter") => Some((15, a + 1)),
        _ if a == 0 => number(words)
            .filter(|(v, _)| v.fract() == 0.0 && (1.0..60.0).contains(v))
            .map(|(v, n)| (v as i8, if matches!(words.get(n), Some(&("minutes" | "minute"))) { n + 1 } else { n })),
        _ => None,
    };
    if let Some((minutes, n)) = before
        && let Some(word @ ("past" | "after" | "to" | "before" | "till" | "til")) = words.get(n).copied()
        && let Some((h, m)) = hour_name(&words[n + 1..])
    {
        let past = matches!(word, "past" | "after");
        let midnight_or_noon = matches!(words.get(n + 1), Some(&("noon" | "midday" | "midnight")));
        let (hour, minute) = if past { (h, minutes) } else { ((h + 23) % 24, 60 - minutes) };
        let hour = if !past && hour == 0 && !midnight_or_noon { 12 } else { hour };
        let exact = midnight_or_noon || h == 0 || h > 12;
        return Some((ClockTime { hour: hour % 24, minute, exact }, n + 1 + m));
    }
    // "half seven" is half past seven.
    if words.first() == Some(&"half")
        && let Some((h, n)) = hour(&words[1..]).filter(|(h, _)| (1..=12).contains(h))
    {
        return open(h, 30, 1 + n);
    }
    let (h, mut n) = hour(words)?;
    if words.get(n) == Some(&"oclock") {
        return open(h, 0, n + 1);
    }
    if words.get(n) == Some(&"hundred") && words.get(n + 1) == Some(&"hours") {
        return exact(h % 24, 0, n + 2);
    }
    // "seven thirty", "seven oh five"
    let oh = usize::from(matches!(words.get(n), Some(&("oh" | "o"))));
    if let Some((minutes, m)) = number(&words[(n + oh).min(words.len())..])
        && minutes.fract() == 0.0
        && (if oh == 1 { (1.0..10.0).contains(&minutes) } else { (10.0..60.0).contains(&minutes) })
        && !words[n].starts_with(|c: char| c.is_ascii_digit())
    {
        n += oh + m;
        return open(h, minutes as i8, n);
    }
    open(h, 0, n)
}

fn hour_name(words: &[&str]) -> Option<(i8, usize)> {
    match words.first()? {
        &"noon" | &"midday" => Some((12, 1)),
        &"midnight" => Some((0, 1)),
        _ => {
            let (h, n) = hour(words)?;
            Some((h, n + usize::from(words.get(n) == Some(&"oclock"))))
        }
    }
}

/// Which half of the day, from what follows: "am", "in the evening", "tonight".
fn half_of_day(time: ClockTime, rest: &[&str]) -> Option<(ClockTime, usize)> {
    let (evening, n) = match *rest {
        ["am", ..] => (false, 1),
        ["pm", ..] => (true, 1),
        ["a", "m", ..] => (false, 2),
        ["p", "m", ..] => (true, 2),
        ["in", "the", "morning", ..] => (false, 3),
        ["in", "the", "afternoon" | "evening", ..] => (true, 3),
        ["at", "night", ..] => (time.hour >= 6, 2),
        ["this", "morning", ..] | ["tomorrow", "morning", ..] => (false, 2),
        ["this", "afternoon" | "evening", ..] => (true, 2),
        ["tonight", ..] => (time.hour >= 5, 1),
        _ => return Some((time, 0)),
    };
    // "13:30 pm" contradicts nothing, "15 am" does.
    if time.hour > 12 {
        return evening.then_some((ClockTime { exact: true, ..time }, n));
    }
    let hour = match (evening, time.hour) {
        (true, h) if h < 12 => h + 12,
        (false, 12) => 0,
        (_, h) => h,
    };
    Some((ClockTime { hour, exact: true, ..time }, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spoken::{normalise, write};
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(i8, i8, bool)> {
        let text = normalise(text);
        let words: Vec<&str> = text.split(' ').collect();
        let (t, n) = clock_time(&words)?;
        assert_eq!(n, words.len(), "{text}");
        Some((t.hour, t.minute, t.exact))
    }

    #[test]
    fn times_are_read_as_people_say_them() {
        for (text, hour, minute, exact) in [
            ("7 am", 7, 0, true),
            ("at 7pm", 19, 0, true),
            ("half past seven", 7, 30, false),
            ("half seven", 7, 30, false),
            ("a quarter to eight", 7, 45, false),
            ("quarter past nine in the evening", 21, 15, true),
            ("ten to one", 12, 50, false),
            ("twenty five to six pm", 17, 35, true),
            ("ten minutes past six", 6, 10, false),
            ("19:30", 19, 30, true),
            ("7:30 p.m.", 19, 30, true),
            ("07:05", 7, 5, true),
            ("seven thirty", 7, 30, false),
            ("seven oh five", 7, 5, false),
            ("six o'clock", 6, 0, false),
            ("noon", 12, 0, true),
            ("midnight", 0, 0, true),
            ("a quarter to midnight", 23, 45, true),
            ("12 am", 0, 0, true),
            ("12 pm", 12, 0, true),
            ("eleven at night", 23, 0, true),
            ("seven in the morning", 7, 0, true),
        ] {
            assert_eq!(read(text), Some((hour, minute, exact)), "{text}");
        }
        assert_eq!(read("25"), None);
        assert_eq!(read("7:75"), None);
    }

    #[test]
    fn an_open_time_is_the_next_one() {
        let now = jiff::civil::date(2026, 11, 29).at(15, 0, 0, 0);
        let at = |text: &str| clock_time(&text.split(' ').collect::<Vec<_>>()).unwrap().0.next_after(now);
        assert_eq!(at("seven"), jiff::civil::date(2026, 11, 29).at(19, 0, 0, 0));
        assert_eq!(at("two"), jiff::civil::date(2026, 11, 30).at(2, 0, 0, 0));
        assert_eq!(at("7 am"), jiff::civil::date(2026, 11, 30).at(7, 0, 0, 0));
    }

    proptest! {
        #[test]
        fn a_time_written_out_is_read_back(hour in 0i8..24, minute in 0i8..60) {
            let text = normalise(&write::clock(Time::constant(hour, minute, 0, 0)));
            let words: Vec<&str> = text.split(' ').collect();
            let (found, n) = clock_time(&words).unwrap();
            prop_assert_eq!((found.hour, found.minute, found.exact, n), (hour, minute, true, words.len()), "{}", text);
            let text = write::clock_words(Time::constant(hour, minute, 0, 0));
            let words: Vec<&str> = text.split(' ').collect();
            let (found, n) = clock_time(&words).unwrap();
            prop_assert_eq!((found.hour, found.minute, found.exact, n), (hour, minute, true, words.len()), "{}", text);
        }
    }
}
