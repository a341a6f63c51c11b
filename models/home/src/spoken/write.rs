//! Numbers, durations, times and dates written out: in figures for an answer, and in words.

use std::time::Duration;

use jiff::civil::{Date, Time};

/// The numbers from 0 to 19 in words.
pub const ONES: &[&str] = &[
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
/// The tens in words, by their first digit; none for 0 and 1.
pub const TENS: &[&str] = &["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const ORDINALS: &[&str] = &[
    "",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
];

/// A whole number of less than a million in words: "twenty five", "minus one hundred and three".
pub fn number_words(n: i64) -> String {
    if n < 0 {
        return format!("minus {}", number_words(-n));
    }
    match n {
        0..20 => ONES[n as usize].to_owned(),
        20..100 if n % 10 == 0 => TENS[n as usize / 10].to_owned(),
        20..100 => format!("{} {}", TENS[n as usize / 10], ONES[n as usize % 10]),
        100..1000 if n % 100 == 0 => format!("{} hundred", ONES[n as usize / 100]),
        100..1000 => format!("{} hundred and {}", ONES[n as usize / 100], number_words(n % 100)),
        1000..1_000_000 => {
            let rest = n % 1000;
            let thousands = number_words(n / 1000);
            match rest {
                0 => format!("{thousands} thousand"),
                1..100 => format!("{thousands} thousand and {}", number_words(rest)),
                _ => format!("{thousands} thousand {}", number_words(rest)),
            }
        }
        _ => n.to_string(),
    }
}

/// An ordinal below forty in words; larger ones in figures.
pub fn ordinal_words(n: u32) -> String {
    match n {
        1..20 => ORDINALS[n as usize].to_owned(),
        20 => "twentieth".to_owned(),
        30 => "thirtieth".to_owned(),
        21..40 => format!("{} {}", TENS[n as usize / 10], ORDINALS[n as usize % 10]),
        _ => format!("{n}th"),
    }
}

/// A number as it is said in an answer: at most two decimals, none that say nothing.
pub fn number(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

/// "1 thing", "2 things".
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A duration: "1 hour, 30 minutes and 5 seconds".
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts: Vec<String> = [
        (seconds / 86_400, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, unit)| count(n as usize, unit, &format!("{unit}s")))
    .collect();
    if parts.is_empty() { "0 seconds".to_owned() } else { and(&parts) }
}

/// A duration as Home Assistant writes it, in words: "30 minutes" of "0:30:00". Anything else stays as it is.
pub fn clocked(text: &str) -> String {
    let parts: Option<Vec<u64>> = text.split(':').map(|part| part.trim().parse().ok()).collect();
    match parts {
        Some(parts) if (2..=3).contains(&parts.len()) && parts.iter().all(|part| *part < 10_000) => {
            duration(Duration::from_secs(parts.iter().fold(0, |sum, part| sum * 60 + part)))
        }
        _ => text.to_owned(),
    }
}

/// A quantity with its article: "a 30%", "an 80%".
pub fn with_article(quantity: &str) -> String {
    let whole = quantity.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let is_eleven_or_eighteen = matches!(whole.len() % 3, 2) && (whole.starts_with("11") || whole.starts_with("18"));
    let an = whole.starts_with('8') || is_eleven_or_eighteen;
    format!("{} {quantity}", if an { "an" } else { "a" })
}

/// A time that was said, as it stands in an answer: "on Friday evening", "tomorrow morning".
pub fn said_time(said: &str) -> String {
    const DAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let is_day = |word: &str| DAYS.contains(&word.trim_end_matches('s'));
    let words: Vec<String> = said
        .split(' ')
        .map(|word| match is_day(word) {
            true => word[..1].to_uppercase() + &word[1..],
            false => word.to_owned(),
        })
        .collect();
    let before = match said {
        _ if said.split(' ').next().is_some_and(is_day) => "on ",
        _ if said.starts_with("the weekend") => "at ",
        _ if said.starts_with("the next ") || said.starts_with("the coming ") => "in ",
        _ => "",
    };
    format!("{before}{}", words.join(" "))
}

/// A list in a sentence: "a, b and c".
pub fn and<S: AsRef<str>>(items: &[S]) -> String {
    join(items, "and")
}

/// A choice in a sentence: "a, b or c".
pub fn or<S: AsRef<str>>(items: &[S]) -> String {
    join(items, "or")
}

fn join<S: AsRef<str>>(items: &[S], word: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} {word} {}", first.join(", "), last.as_ref())
        }
    }
}

/// A time of day: "7:30 AM".
pub fn clock(time: Time) -> String {
    let (hour, half) = twelve(time.hour());
    format!("{hour}:{:02} {}", time.minute(), if half { "PM" } else { "AM" })
}

/// A time of day in words: "half past seven in the evening".
pub fn clock_words(time: Time) -> String {
    let (hour, minute) = (i64::from(time.hour()), i64::from(time.minute()));
    let name = |hour: i64| ONES[(if hour % 12 == 0 { 12 } else { hour % 12 }) as usize];
    let part = |hour: i64| match hour {
        0..12 => "in the morning",
        12..18 => "in the afternoon",
        _ => "in the evening",
    };
    let next = (hour + 1) % 24;
    match minute {
        0 if hour == 0 => "midnight".to_owned(),
        0 if hour == 12 => "noon".to_owned(),
        0 => format!("{} oclock {}", name(hour), part(hour)),
        30 => format!("half past {} {}", name(hour), part(hour)),
        15 => format!("a quarter past {} {}", name(hour), part(hour)),
        45 if next != 0 && next != 12 => format!("a quarter to {} {}", name(next), part(next)),
        1..10 => format!("{} oh {} {}", name(hour), ONES[minute as usize], part(hour)),
        _ => format!("{} {} {}", name(hour), number_words(minute), part(hour)),
    }
}

fn twelve(hour: i8) -> (i8, bool) {
    (if hour % 12 == 0 { 12 } else { hour % 12 }, hour >= 12)
}

/// A date: "March 3rd".
pub fn date(date: Date) -> String {
    let day = date.day();
    let end = match (day % 10, day / 10) {
        (1, t) if t != 1 => "st",
        (2, t) if t != 1 => "nd",
        (3, t) if t != 1 => "rd",
        _ => "th",
    };
    format!("{} {day}{end}", month(date.month()))
}

/// A weekday's name.
pub fn weekday(date: Date) -> &'static str {
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        [date.weekday().to_monday_zero_offset() as usize]
}

/// A day as it is called on `today`: "today", "tomorrow", "on Friday", "on March 3rd".
pub fn day(day: Date, today: Date) -> String {
    match today.until(day).map_or(99, |span| span.get_days()) {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        -1 => "yesterday".to_owned(),
        2..7 => format!("on {}", weekday(day)),
        _ => format!("on {}", date(day)),
    }
}

fn month(n: i8) -> &'static str {
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ][(n - 1).clamp(0, 11) as usize]
}
