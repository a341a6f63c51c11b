//! Columns and keys beside a time that were read wrong without a word: zones that are none, dates told twice, times of day left out.

mod reading;

use std::fmt::Write;

use nearfield_telemetry::read::TextOptions;
use reading::{read, try_read, try_read_with};

fn with_clock(clock: &str) -> TextOptions {
    TextOptions { clock: clock.to_owned(), ..TextOptions::default() }
}

#[test]
fn numbers_in_columns_called_zone_or_offset_are_no_time_zones() {
    let found = read("time,zone,moisture\n2026-03-09 10:00,1,40\n2026-03-09 10:00,2,41\n2026-03-09 10:10,3,42\n");
    let times: Vec<&str> =
        found.keys().iter().filter(|k| k.contains("moisture")).flat_map(|k| found.times(k)).collect();
    assert!(times.iter().all(|at| at.starts_with("03-09 10:")), "{times:?}");
    let found = read("time,temp,offset\n2026-03-09 10:00,20,0\n2026-03-09 10:10,21,2\n");
    assert_eq!((found.times("temp"), found.values("offset")), (vec!["03-09 10:00", "03-09 10:10"], vec![0.0, 2.0]));
    let found = read("time,temp,zone\n2026-03-09 10:00,20,+02:00\n2026-03-09 10:10,21,UTC+2\n");
    assert_eq!(found.times("temp"), ["03-09 08:00", "03-09 08:10"]);
    let found = read("time,temp,utc_offset\n2026-03-09 10:00,20,2\n2026-03-09 10:10,21,2\n");
    assert_eq!(found.times("temp"), ["03-09 08:00", "03-09 08:10"]);
}

#[test]
fn minutes_of_an_offset_whose_sign_nobody_knows_are_counted() {
    let text = "time,temp,tz_offset\n2026-03-09 10:00,20,-120\n2026-03-09 10:10,21,2\n2026-03-09 10:20,21,2\n";
    let found = read(text);
    assert_eq!((found.times("temp"), found.rejected.without_time), (vec!["03-09 08:10", "03-09 08:20"], 1));
}

#[test]
fn a_pressure_with_a_decimal_comma_is_no_flagged_number() {
    let found = read("time;SLP\n2026-03-09 10:00;1013,2\n2026-03-09 11:00;1013,4\n");
    assert_eq!(found.values("SLP"), [1013.2, 1013.4]);
    let found = read("time;SLP\n2026-03-09 10:00;10132,1\n2026-03-09 11:00;10134,1\n");
    assert_eq!((found.values("SLP"), found.unit("SLP")), (vec![1013.2, 1013.4], "hPa"));
}

#[test]
fn a_whole_date_goes_before_its_parts() {
    let found = read("Date,Year,Month,Temp\n2026-03-09,2026,3,5\n2026-03-10,2026,3,6\n2026-03-11,2026,3,7\n");
    assert_eq!((found.keys(), found.times("Temp")), (vec!["Temp"], vec!["03-09 00:00", "03-10 00:00", "03-11 00:00"]));
    let found =
        read("datetime,year,month,day,hour,temp\n2026-03-09 10:05,2026,3,9,10,5\n2026-03-09 10:15,2026,3,9,10,6\n");
    assert_eq!((found.keys(), found.times("temp")), (vec!["temp"], vec!["03-09 10:05", "03-09 10:15"]));
    let found = read("Year,Month,Day,Hour,Date,a\n2026,3,9,10,2026-03-09,5\n2026,3,9,11,2026-03-09,6\n");
    assert_eq!((found.keys(), found.times("a")), (vec!["a"], vec!["03-09 10:00", "03-09 11:00"]));
    // Another date is no time of the row.
    let found = read("Year,Month,Day,Calibrated,a\n2026,3,9,2026-01-01,5\n2026,3,10,2026-01-01,6\n");
    assert_eq!(found.times("a"), ["03-09 00:00", "03-10 00:00"]);
}

#[test]
fn year_month_and_day_are_not_all_of_a_time() {
    let found = read("Year,Month,Day,HHMM,a\n2026,3,9,0730,5\n2026,3,9,0740,6\n2026,3,9,1310,6\n");
    assert_eq!((found.keys(), found.times("a")), (vec!["a"], vec!["03-09 07:30", "03-09 07:40", "03-09 13:10"]));
    let found = read("Year,Month,Day,Time,a\n2026,3,9,0730,5\n2026,3,9,0740,6\n");
    assert_eq!(found.times("a"), ["03-09 07:30", "03-09 07:40"]);
    let text = "Year,Month,Day,slot,a\n2026,3,9,730,5\n2026,3,9,740,6\n2026,3,9,750,6\n";
    let error = try_read(text).err().unwrap().to_string();
    assert!(error.contains("text.clock") && error.contains("2026-03-09"), "{error}");
    let found = try_read_with(text, &with_clock("slot")).unwrap();
    assert_eq!(found.times("a"), ["03-09 07:30", "03-09 07:40", "03-09 07:50"]);
    assert!(try_read_with(text, &with_clock("other")).is_err());
}

#[test]
fn an_empty_time_of_day_is_no_midnight_and_a_day_out_of_its_year_no_panic() {
    let found = read("Date,Time,a\n2026-03-09,10:00,1\n2026-03-09,,2\n2026-03-09,10:20,3\n2026-03-09,10:30,3\n");
    assert_eq!((found.values("a"), found.rejected.without_time), (vec![1.0, 3.0, 3.0], 1));
    let mut text = "year,doy,a\n".to_owned();
    (1..20).for_each(|day| writeln!(text, "2026,{day},1").unwrap());
    text.push_str("2026,-32768,1\n");
    let found = read(&text);
    assert_eq!((found.values("a").len(), found.rejected.without_time), (19, 1));
    _ = try_read("time,a\n1\u{a0}st-03-26,1\n2\u{a0}st-03-26,2\n");
    _ = try_read("time,a\n26-03-09,1\n26-03-10,1\n26-03-11,1\n1\u{a0}st-03-26,1\n");
}

#[test]
fn channels_that_are_numbered_are_no_hours_of_a_day() {
    let titles: Vec<String> = (1..=24).map(|c| c.to_string()).collect();
    let values =
        |shift: f64| (1..=24).map(|c| format!("{:.1}", f64::from(c * 7 % 24) + shift)).collect::<Vec<_>>().join(",");
    let row = |at: &str| format!("{at},{}\n", values(at.len() as f64 + f64::from(at.as_bytes()[at.len() - 2]) / 10.0));
    let head = format!("timestamp,{}\n", titles.join(","));
    let found = read(&(head.clone() + &row("2026-03-09 10:00") + &row("2026-03-09 10:10")));
    assert_eq!((found.keys().len(), found.times("24")), (24, vec!["03-09 10:00", "03-09 10:10"]));
    assert_eq!(read(&(head.clone() + &row("1773014400") + &row("1773015000"))).keys().len(), 24);
    let found = read(&(head + &row("2026-03-09") + &row("2026-03-10")));
    assert_eq!((found.keys(), found.values("file").len()), (vec!["file"], 48));
    // The zone that a column tells is that of the row.
    let head = format!("date,tz,{}\n", titles.join(","));
    let found = read(&(head + &row("2026-03-09,+02:00") + &row("2026-03-10,+01:00")));
    assert_eq!((found.times("file")[0], found.times("file")[24]), ("03-08 22:00", "03-09 23:00"));
}

#[test]
fn minutes_stand_behind_an_hour() {
    let found = read("date,hour,mm,a\n2026-03-09,10,0,1\n2026-03-09,10,30,2\n");
    assert_eq!((found.keys(), found.times("a")), (vec!["a"], vec!["03-09 10:00", "03-09 10:30"]));
    // Rain in mm before the hour, or next to it.
    let found = read("date,mm,hour\n2026-03-09,0,10\n2026-03-09,3,11\n");
    assert_eq!((found.values("mm"), found.times("mm")), (vec![0.0, 3.0], vec!["03-09 10:00", "03-09 11:00"]));
}

#[test]
fn dates_in_json_are_asked_for_and_whole_times_go_before_pairs() {
    let open = r#"{"date":"03/04/2026","time":"10:00","temp":20}"#;
    assert!(try_read(open).err().unwrap().to_string().contains("03/04/2026"));
    let shown = "{\"date\":\"13/04/2026\",\"time\":\"10:00\",\"temp\":20}\n{\"date\":\"03/04/2026\",\"time\":\"10:00\",\"temp\":21}\n";
    assert_eq!(read(shown).times("temp"), ["04-13 10:00", "04-03 10:00"]);
    let whole = r#"{"date":"2026-03-09","time":"10:00","timestamp":"2026-03-09T10:00:30+02:00","temp":20}"#;
    assert_eq!(read(whole).times("temp"), ["03-09 08:00"]);
    // An open date that was only looked at costs nothing.
    let looked = r#"{"timestamp":"2026-03-09T10:00:00Z","date":"03/04/2026","time":"10:00","temp":20}"#;
    assert_eq!(read(looked).times("temp"), ["03-09 10:00"]);
}

#[test]
fn the_zone_of_the_object_around_is_that_of_its_records() {
    let found = read(
        r#"{"timezone":"America/New_York","data":[{"time":"2026-03-09 10:00","temp":20},{"time":"2026-03-09 11:00","temp":21}]}"#,
    );
    assert_eq!(found.times("temp"), ["03-09 14:00", "03-09 15:00"]);
    let found = read(r#"{"timezone":"America/New_York","time":["2026-03-09 10:00"],"temp":[20]}"#);
    assert_eq!(found.times("temp"), ["03-09 14:00"]);
    let found = read(r#"{"tz":"+02:00","measuredAt":"2026-03-09 10:00","temp":20}"#);
    assert_eq!(found.times("temp"), ["03-09 08:00"]);
    let found = read(r#"{"tz":"+02:00","EnqueuedTimeUtc":"2026-03-09 10:00","temp":20}"#);
    assert_eq!(found.times("temp"), ["03-09 10:00"]);
    let open = r#"{"timezone":"America/New_York","time":["03/04/2026 10:00"],"temp":[20]}"#;
    assert!(try_read(open).err().unwrap().to_string().contains("03/04/2026"));
}

#[test]
fn numbers_beside_a_value_and_its_unit_are_read() {
    let found = read(
        r#"{"time":"2026-03-09T00:00:00Z","energy":{"value":1,"total":900,"unit":"kWh"},"t":{"value":5,"unitCode":"wmoUnit:degC","quality":"V"}}"#,
    );
    assert_eq!((found.values("energy.value"), found.values("energy.total")), (vec![1.0], vec![900.0]));
    assert_eq!((found.values("t"), found.unit("t")), (vec![5.0], "°C"));
}

#[test]
fn devices_of_a_log_are_told_apart() {
    let found = read("2026-03-09T00:00:00Z device=a temp=20\n2026-03-09T00:00:00Z device=b temp=21\n");
    assert_eq!((found.keys(), found.values("b temp")), (vec!["a temp", "b temp"], vec![21.0]));
    if let Ok(found) = try_read("03/04/2026 10:00:00 device=a temp=20\n03/04/2026 10:10:00 device=a temp=21\n") {
        assert!(!found.keys().contains(&"a temp"), "a date was guessed: {found:?}");
    }
}

#[test]
fn all_devices_are_looked_for_however_large_one_is() {
    let many: Vec<String> = (0..12_000).map(|i| format!("{{\"n\":{i}}}")).collect();
    let last = r#"{"readings":[{"ts":1773014400,"temp":20}]}"#;
    let deep = format!("{{\"x\":{{\"y\":[{}]}},\"l\":{last}}}", many[..4].join(","));
    let text = format!(
        "{{\"a\":{{{}}},\"b\":{last},\"c\":{deep}}}",
        (0..11_000).map(|i| format!("\"k{i}\":{{\"n\":1}}")).collect::<Vec<_>>().join(",")
    );
    let found = read(&text);
    assert!(found.keys().iter().any(|key| key.starts_with('b')), "{:?}", found.keys());
}

#[test]
fn one_unit_is_that_of_the_quantities_it_fits() {
    let found = read("time,temp,humidity,unit\n2026-03-09 10:00,20,50,°C\n2026-03-09 11:00,21,51,°C\n");
    assert_eq!((found.unit("temp"), found.unit("humidity")), ("°C", ""));
}
