//! Zones as times and headers name them: abbreviations, offsets (`UTC+2`), and names of the time zone database.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// Abbreviations that programs print, in minutes east of Greenwich; those of North America as in RFC 5322, 4.3. Of abbreviations that
/// several zones have (`IST`, `AST`) only the zone of the input can tell which is meant ([`is_of`]).
const ZONES: &[(&str, i32)] = &[
    ("z", 0),
    ("utc", 0),
    ("gmt", 0),
    ("wet", 0),
    ("west", 60),
    ("bst", 60),
    ("cet", 60),
    ("mez", 60),
    ("cest", 120),
    ("mesz", 120),
    ("eet", 120),
    ("eest", 180),
    ("msk", 180),
    ("sast", 120),
    ("est", -300),
    ("edt", -240),
    ("cst", -360),
    ("cdt", -300),
    ("mst", -420),
    ("mdt", -360),
    ("pst", -480),
    ("pdt", -420),
    ("akst", -540),
    ("akdt", -480),
    ("hst", -600),
    ("nst", -210),
    ("ndt", -150),
    ("adt", -180),
    ("brt", -180),
    ("jst", 540),
    ("kst", 540),
    ("hkt", 480),
    ("sgt", 480),
    ("awst", 480),
    ("acst", 570),
    ("acdt", 630),
    ("aest", 600),
    ("aedt", 660),
    ("nzst", 720),
    ("nzdt", 780),
];

/// Seconds east of Greenwich of an abbreviation.
pub(super) fn seconds_of(abbreviation: &str) -> Option<i32> {
    let lower = abbreviation.to_ascii_lowercase();
    ZONES.iter().find(|(name, _)| *name == lower).map(|(_, minutes)| minutes * 60)
}

/// A text without the zone's name at its end, and that name: an abbreviation of capitals (`EDT`), or a name of the database
/// (`America/New_York`, also in brackets). `None` where it ends otherwise.
pub(super) fn cut(text: &str) -> Option<(&str, &str)> {
    let (rest, name) = match text.strip_suffix(']') {
        Some(inner) => inner.split_once('[')?,
        None => text.rsplit_once([' ', '\u{a0}'])?,
    };
    let is_abbreviation = (3..=5).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase());
    let is_name = name.contains('/')
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'-' | b'+'));
    (is_abbreviation || is_name).then_some((rest.trim_end(), name))
}

/// The zone of a name of the database.
pub(super) fn of_database(name: &str) -> Option<TimeZone> {
    if name.contains('/') { TimeZone::get(name).ok() } else { None }
}

/// Whether `zone` calls its time so, in winter or in summer.
pub(super) fn is_of(abbreviation: &str, zone: &TimeZone) -> bool {
    // 15 January and 15 July 2026.
    [1_768_435_200, 1_784_073_600].into_iter().filter_map(|at| Timestamp::from_second(at).ok()).any(|at| {
        let info = zone.to_offset_info(at);
        info.abbreviation().eq_ignore_ascii_case(abbreviation) || is_german(abbreviation, info.abbreviation())
    })
}

fn is_german(abbreviation: &str, own: &str) -> bool {
    matches!((abbreviation.to_ascii_uppercase().as_str(), own), ("MEZ", "CET") | ("MESZ", "CEST"))
}

/// The zone that the title of a column of times names, as in `time (UTC)`, `Date Time, GMT-05:00` or `utc_time`. `None` where it names
/// none, or one in which clocks are changed as in `own`: `time (CET)` is what the clock in Berlin shows, also in summer.
pub(super) fn of_title(title: &str, own: &TimeZone) -> Option<TimeZone> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '/' | '+' | '-' | ':');
    // `America/New_York` has an underscore of its own; in `time_Europe/Berlin` it parts the words.
    let whole = title.split(|c: char| !is_word(c) && c != '_');
    for word in whole.chain(title.split(|c: char| !is_word(c))) {
        if let Some(zone) = of_database(word) {
            return Some(zone);
        }
    }
    let lower = title.to_lowercase();
    for name in ["utc", "gmt"] {
        let Some(at) = lower.find(name) else { continue };
        let behind = lower[at + name.len()..].trim_start();
        if let Some(seconds) = offset(behind) {
            return fixed(seconds);
        }
    }
    // `Date Time (+01:00)`
    let bare = lower.split(['(', ')', '[', ']', ',', ' ']).find_map(|word| offset(word).filter(|_| word.contains(':')));
    if let Some(seconds) = bare {
        return fixed(seconds);
    }
    if ["local", "lokal", "ortszeit"].iter().any(|word| lower.contains(word)) {
        return None;
    }
    let words: Vec<&str> = title.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    // `utc_time`, `timestampUTC`, `dateutc`.
    if words.iter().any(|w| w.eq_ignore_ascii_case("zulu") || is_utc(w)) {
        return fixed(0);
    }
    let named: Vec<i32> = words
        .iter()
        .filter(|w| w.len() > 2 && w.bytes().all(|b| b.is_ascii_uppercase()))
        .filter(|w| !is_of(w, own))
        .filter_map(|w| seconds_of(w))
        .collect();
    // `CET/CEST` is one zone whose clocks are changed.
    let abbreviations = words.iter().filter(|w| w.len() > 2 && seconds_of(w).is_some()).count();
    match named[..] {
        [seconds] if abbreviations == 1 => fixed(seconds),
        _ => None,
    }
}

/// The zone that a cell or a key's value tells: a name of the database, an abbreviation, `UTC+2`, `+02:00`, or a number of hours, minutes
/// or seconds, which are told apart by their size.
pub(super) fn of_cell(text: &str) -> Option<TimeZone> {
    let text = text.trim();
    if let Some(zone) = of_database(text) {
        return Some(zone);
    }
    if let Some(seconds) = seconds_of(text) {
        return fixed(seconds);
    }
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_prefix("utc").or_else(|| lower.strip_prefix("gmt")).unwrap_or(&lower).trim();
    let is_signed = bare.starts_with(['+', '-', '\u{2212}']);
    if let Some(seconds) = offset(bare).filter(|_| is_signed && (bare.contains(':') || bare.len() == 5)) {
        return fixed(seconds);
    }
    let number: f64 = bare.parse().ok()?;
    let is_multiple = |of: f64| number % of == 0.0;
    match number.abs() {
        hours if hours <= 14.0 && is_multiple(0.25) => fixed((number * 3600.0) as i32),
        minutes if (30.0..=840.0).contains(&minutes) && is_multiple(15.0) => fixed(number as i32 * 60),
        seconds if (1800.0..=50_400.0).contains(&seconds) && is_multiple(900.0) => fixed(number as i32),
        _ => None,
    }
}

fn is_utc(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let rest = lower.strip_prefix("utc").or_else(|| lower.strip_suffix("utc"));
    rest.is_some_and(|rest| rest.is_empty() || super::header::names_time(rest))
}

/// `+1`, `-05:00`, `+0530`, with whatever closes a bracket behind it.
fn offset(text: &str) -> Option<i32> {
    let text = text.trim_end_matches([')', ']', ' ']);
    let (sign, digits) = match text.chars().next()? {
        '+' => (1, &text[1..]),
        '-' => (-1, &text[1..]),
        '\u{2212}' => (-1, &text['\u{2212}'.len_utf8()..]),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    if hours.is_empty() || hours.len() > 2 || !hours.bytes().chain(minutes.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn fixed(seconds: i32) -> Option<TimeZone> {
    match seconds {
        0 => Some(TimeZone::UTC),
        _ => Offset::from_seconds(seconds).ok().map(TimeZone::fixed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_of_a_column_tells_the_zone_of_its_times() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let summer = Timestamp::from_second(1_784_073_600).unwrap();
        for (title, seconds) in [
            ("time (UTC)", Some(0)),
            ("Timestamp UTC", Some(0)),
            ("utc", Some(0)),
            ("utc_time", Some(0)),
            ("dateutc", Some(0)),
            ("timestampUTC", Some(0)),
            ("Time [GMT]", Some(0)),
            ("Date Time, GMT-05:00", Some(-18_000)),
            ("Date Time, GMT+01:00", Some(3600)),
            ("time (UTC+2)", Some(7200)),
            ("local time (UTC+05:30)", Some(19_800)),
            ("Time (+01:00)", Some(3600)),
            ("Zeit (EST)", Some(-18_000)),
            ("time (Asia/Tokyo)", Some(32_400)),
            ("time (America/New_York)", Some(-14_400)),
            ("timestamp(America/Los_Angeles)", Some(-25_200)),
            ("time_Europe/Berlin", Some(7200)),
            ("time (America/Argentina/Buenos_Aires)", Some(-10_800)),
            // What the clock shows here, whose name it is.
            ("time (CET)", None),
            ("Zeit (MEZ)", None),
            ("time (EST/EDT)", None),
            ("local time (UTC)", None),
            ("time", None),
            ("Date/Time", None),
            ("utcnow count", None),
            ("best time", None),
            ("Uhrzeit-1", None),
        ] {
            let found = of_title(title, &berlin).map(|zone| zone.to_offset(summer).seconds());
            assert_eq!(found, seconds, "{title}");
        }
    }

    #[test]
    fn cells_tell_zones_in_many_forms() {
        let summer = Timestamp::from_second(1_784_073_600).unwrap();
        for (text, seconds) in [
            ("Europe/Berlin", Some(7200)),
            ("America/New_York", Some(-14_400)),
            ("UTC", Some(0)),
            ("Z", Some(0)),
            ("EST", Some(-18_000)),
            ("+02:00", Some(7200)),
            ("-0530", Some(-19_800)),
            ("UTC+2", Some(7200)),
            ("2", Some(7200)),
            ("-5.0", Some(-18_000)),
            ("5.75", Some(20_700)),
            ("120", Some(7200)),
            ("7200", Some(7200)),
            ("-18000", Some(-18_000)),
            ("0", Some(0)),
            ("kitchen", None),
            ("17", None),
            ("1000", None),
            ("", None),
        ] {
            let found = of_cell(text).map(|zone| zone.to_offset(summer).seconds());
            assert_eq!(found, seconds, "{text}");
        }
    }

    #[test]
    fn names_of_zones_are_cut_off_times() {
        assert_eq!(cut("2026-10-30 00:00 EDT"), Some(("2026-10-30 00:00", "EDT")));
        assert_eq!(cut("2026-10-30T00:00[Europe/Berlin]"), Some(("2026-10-30T00:00", "Europe/Berlin")));
        for text in ["2026-10-30 00:00", "10/30/2026 12:00 PM", "living room", "12:00 am", "a/b c:d"] {
            assert_eq!(cut(text), None, "{text}");
        }
        assert!(of_database("../../etc/passwd").is_none());
    }
}
