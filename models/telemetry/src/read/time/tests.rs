//! Times in the forms that people and programs write.

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
        "20 novembre 2026 à 12:00",
        "20 de noviembre de 2026, 12:00",
        "20 nov. 2026 12:00:00 p. m.",
        "20 novembre 2026 12h00",
        "20. November 2026 um 12:00 Uhr",
        "2026年11月20日 12:00",
        "2026年11月20日12時00分",
        "11/20/2026 12 PM",
        "20.11.2026 12:00 - 13:00",
        "20.11.2026 12:00 - 20.11.2026 13:00",
        "2026-11-20T11:00Z/2026-11-20T12:00Z",
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
        "2026-11-20 12:00 - hall",
        "2026.11",
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
fn months_and_weeks_begin_with_their_first_day() {
    for (text, day) in [
        ("2024-01", "2024-01-01"),
        ("2024/12", "2024-12-01"),
        ("Jan 2024", "2024-01-01"),
        ("février 2024", "2024-02-01"),
        ("2025-W01", "2024-12-30"),
        ("2026W10", "2026-03-02"),
        ("2026-W10-7", "2026-03-08"),
        ("1er mars 2026", "2026-03-01"),
        ("31 mrt 2026", "2026-03-31"),
    ] {
        let read = civil(text, None).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((read.at.date().to_string().as_str(), read.has_time), (day, false), "{text}");
    }
    for text in ["2024-13", "1013-11", "2024-W60", "Hall 2024", "2024.12"] {
        assert_eq!(civil(text, None), None, "{text}");
    }
}

#[test]
fn a_year_of_two_digits_may_stand_first() {
    let read = civil("26-03-09 10:00", Some(DateOrder::YearFirst)).unwrap();
    assert_eq!(read.at.to_string(), "2026-03-09T10:00:00");
    assert!(civil("26-03-09 10:00", None).unwrap().is_open);
    assert!(!civil("26-03-26 10:00", None).unwrap().is_open);
    assert_eq!(civil("3-4-2026", Some(DateOrder::YearFirst)), None);
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
