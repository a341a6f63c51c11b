//! Exports as usual systems write them, each read right: whose reading it is, its unit, its time and its value. The files are
//! ours, small, in the formats of the real systems. `cargo test -p nearfield-telemetry --test exports -- --nocapture` prints the
//! table.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::tz::TimeZone;
use nearfield_telemetry::kind::Kind;
use nearfield_telemetry::read::{InputError, Reader, Rejected, TextOptions, rows_of, states};

/// Key, unit, time in UTC, value.
type Line<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Name, bytes, zone, what is to be found among the readings, and how many there are.
type Case<'a> = (&'a str, &'a [u8], &'a str, &'a [Line<'a>], usize);

struct Outcome {
    /// By key: unit, and time and value of each reading.
    sensors: BTreeMap<String, (String, Vec<(String, String)>)>,
    rejected: Rejected,
}

fn read_in_pieces(bytes: &[u8], options: &TextOptions, zone: &str, piece: usize) -> Result<Outcome, InputError> {
    let mut reader = Reader::new(options, TimeZone::get(zone).unwrap(), "cellar")?;
    let mut sensors: BTreeMap<String, (String, Vec<(String, String)>)> = BTreeMap::new();
    {
        let mut emit = |found: nearfield_telemetry::read::Found<'_>| {
            let value = match found.kind {
                Some(Kind::Binary) => found.states[usize::from(found.value > 0.5)].to_owned(),
                Some(Kind::States) => states::of_code(found.value),
                _ => format!("{}", (found.value * 1e9).round() / 1e9),
            };
            let sensor = sensors.entry(found.key.to_owned()).or_default();
            if sensor.0.is_empty() {
                found.unit.clone_into(&mut sensor.0);
            }
            let at = found.at.timestamp().strftime("%Y-%m-%d %H:%M:%S").to_string();
            sensor.1.push((at, value));
        };
        for piece in bytes.chunks(piece) {
            reader.push(piece, &mut emit)?;
        }
        reader.end(&mut emit)?;
    }
    let rejected = reader.take_rejected();
    Ok(Outcome { sensors, rejected })
}

fn read(bytes: &[u8], zone: &str) -> Result<Outcome, InputError> {
    let whole = read_in_pieces(bytes, &TextOptions::default(), zone, bytes.len().max(1))?;
    let pieces = read_in_pieces(bytes, &TextOptions::default(), zone, 7)?;
    assert_eq!(whole.sensors, pieces.sensors, "it is read alike however its bytes arrive");
    Ok(whole)
}

/// One line of the table of results.
fn hold(name: &str, bytes: &[u8], zone: &str, expected: &[Line<'_>], readings: usize) -> String {
    let outcome = read(bytes, zone).unwrap_or_else(|e| panic!("{name}: {e}"));
    let told: Vec<&String> = outcome.sensors.keys().collect();
    for (key, unit, at, value) in expected {
        let Some((found_unit, values)) = outcome.sensors.get(*key) else {
            panic!("{name}: no {key:?} among {told:?}; rejected {:?}", outcome.rejected)
        };
        assert_eq!(found_unit, unit, "{name}: the unit of {key}");
        assert!(
            values.iter().any(|(t, v)| t == at && v == value),
            "{name}: {key} has no {value} at {at}, but {values:?}; rejected {:?}",
            outcome.rejected
        );
    }
    let keys: std::collections::BTreeSet<&str> = expected.iter().map(|e| e.0).collect();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), told, "{name}: the sensors; rejected {:?}", outcome.rejected);
    let n: usize = outcome.sensors.values().map(|(_, v)| v.len()).sum();
    assert_eq!(n, readings, "{name}: readings; rejected {:?}: {:?}", outcome.rejected, outcome.sensors);
    let r = &outcome.rejected;
    let mut line = format!("{name:<34} {} sensors, {n} readings", told.len());
    if r.faults() > 0 {
        write!(line, ", {} rejected", r.faults()).unwrap();
    }
    line
}

#[test]
fn usual_exports_are_read_right() {
    let cases: &[Case<'_>] = &include!("exports/cases.in");
    let mut table = String::new();
    let mut wrong = Vec::new();
    for (name, bytes, zone, expected, readings) in cases {
        match std::panic::catch_unwind(|| hold(name, bytes, zone, expected, *readings)) {
            Ok(line) => writeln!(table, "{line}").unwrap(),
            Err(_) => wrong.push(name),
        }
    }
    println!("{table}{} of {} exports are read right", cases.len() - wrong.len(), cases.len());
    assert!(cases.len() >= 40 && wrong.is_empty(), "{wrong:?}");
}

#[test]
fn another_time_of_the_row_is_no_rejected_reading() {
    let text = "Consumption (kWh), Start, End\n0.1, 2026-03-10T00:00:00Z, 2026-03-10T00:30:00Z\n0.2, 2026-03-10T00:30:00Z, 2026-03-10T01:00:00Z\n";
    let outcome = read(text.as_bytes(), "UTC").unwrap();
    assert_eq!((outcome.sensors.len(), outcome.rejected.faults()), (1, 0), "{:?}", outcome.rejected);
    // However it is written: with a zone or none, between quotes, empty where the interval is not over, in seconds, as a time of day.
    for text in [
        "Start;End;kWh\n10.03.2026 00:00;10.03.2026 00:30;0,1\n10.03.2026 00:30;;0,25\n",
        "time , kWh ,\t received_at \n2026-03-10 00:00, 0.1, \"2026-03-10 00:30 \"\n2026-03-10 00:30, 0.2, n/a\n",
        "start_time,end_time,kWh\n1773100800,1773102600,0.1\n1773102600,1773104400,0.2\n",
        "Date,Start Time,End Time,kWh\n2026-03-10,00:00,00:30,0.1\n2026-03-10,00:30,01:00,0.2\n",
    ] {
        let outcome = read(text.as_bytes(), "UTC").unwrap();
        assert_eq!(outcome.sensors.keys().collect::<Vec<_>>(), ["kWh"], "{text}: {:?}", outcome.rejected);
        assert_eq!(outcome.rejected.faults(), 0, "{text}: {:?}", outcome.rejected);
        assert_eq!(outcome.sensors["kWh"].1.len(), 2, "{text}: {:?}", outcome.sensors);
    }
    // Numbers that are no times are read, whatever their name.
    let text = "time,end\n2026-03-10 00:00,7.5\n2026-03-10 00:30,8\n";
    let outcome = read(text.as_bytes(), "UTC").unwrap();
    assert_eq!((outcome.sensors["end"].1.len(), outcome.rejected.faults()), (2, 0), "{:?}", outcome.rejected);
}

#[test]
fn a_header_with_other_columns_in_the_midst_holds_for_what_is_below_it() {
    let text = "time,hall,cellar\n2026-03-10 00:00,20.5,11\n2026-03-10 00:10,20.6,12\ntime,hall,cellar\n2026-03-10 00:20,20.7,13\n\
                cellar,attic,time\n14,8.5,2026-03-10 00:30\n15,8.6,2026-03-10 00:40\ntime,attic\n";
    let outcome = read(text.as_bytes(), "UTC").unwrap();
    let values = |key: &str| outcome.sensors[key].1.iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    assert_eq!(values("hall"), ["20.5", "20.6", "20.7"]);
    assert_eq!(values("cellar"), ["11", "12", "13", "14", "15"]);
    assert_eq!(values("attic"), ["8.5", "8.6"]);
    assert_eq!(outcome.rejected.faults(), 0, "{:?}", outcome.rejected);
}

#[test]
fn spreadsheets_are_read_with_their_dates_and_numbers() {
    for name in ["hall.xlsx", "hall.ods"] {
        let bytes = std::fs::read(format!("{}/tests/exports/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let text = rows_of(bytes).unwrap();
        let line = hold(
            name,
            &text,
            "Europe/Berlin",
            &[
                ("Temperature", "°C", "2026-03-09 23:00:00", "21.125"),
                ("Temperature", "°C", "2026-03-10 00:00:00", "22"),
                ("Energy", "kWh", "2026-03-10 00:00:00", "1234.5"),
            ],
            4,
        );
        println!("{line}");
    }
    assert!(matches!(rows_of(b"PK\x03\x04 and no more".to_vec()), Err(InputError::Compressed("zip", _))));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_with_the_key_that_decides() {
    let of = |text: &str, set: fn(&mut TextOptions)| {
        let mut options = TextOptions::default();
        set(&mut options);
        read_in_pieces(text.as_bytes(), &options, "UTC", 1000)
    };
    let value = |outcome: Result<Outcome, InputError>| -> Vec<String> {
        outcome.unwrap().sensors.into_values().flat_map(|(_, v)| v.into_iter().map(|(_, v)| v)).collect()
    };
    let open = "Time;Power\n2026-03-10 00:00;1,200\n2026-03-10 00:01;1,230\n";
    let error = of(open, |_| {}).err().unwrap().to_string();
    assert!(error.contains("\"1,200\"") && error.contains("\"Power\"") && error.contains("text.decimal"), "{error}");
    assert_eq!(value(of(open, |o| o.decimal = ".".to_owned())), ["1200", "1230"]);
    assert_eq!(value(of(open, |o| o.decimal = ",".to_owned())), ["1.2", "1.23"]);
    let german = "Zeit;Leistung\n10.03.2026 00:00;1.110\n10.03.2026 00:01;1.200\n";
    let error = of(german, |_| {}).err().unwrap().to_string();
    assert!(error.contains("\"1.110\"") && error.contains("text.decimal"), "{error}");
    assert_eq!(value(of(german, |o| o.decimal = ",".to_owned())), ["1110", "1200"]);
    let date = "time,a\n03/04/2026 12:00,1\n";
    let error = of(date, |_| {}).err().unwrap().to_string();
    assert!(error.contains("03/04/2026") && error.contains("text.time_format"), "{error}");
    // A single cell in a column that has shown nothing is set aside, and named.
    let mut late = String::from("Time;Power\n");
    (0..5200).for_each(|i| writeln!(late, "{};{}", 1_773_144_000 + i, i % 7).unwrap());
    late.push_str("1773154000;1,200\n");
    let outcome = of(&late, |_| {}).unwrap();
    assert_eq!((outcome.rejected.ambiguous, outcome.rejected.by_sensor["Power"].ambiguous), (1, 1));
    assert_eq!(outcome.rejected.by_sensor["Power"].examples, [(5202, "1,200".to_owned())]);
}

#[test]
fn what_is_no_export_is_called_what_it_is() {
    let mut errors = String::new();
    let mut add =
        |what: &str, error: Option<String>| errors.push_str(&format!("{what}: {}\n", error.unwrap_or_default()));
    let cases: [(&str, &[u8]); 7] = [
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0"),
        ("zeros", b"\0\0\0\0"),
        ("bytes", b"\x01\x02\x8f\xc2\x13\x07\x1c\x90\x02\x11\x93"),
        ("SQLite", b"SQLite format 3\0"),
        ("PNG", b"\x89PNG\r\n\x1a\n"),
        ("a table without a time", b"a,b\n1,2\n3,4\n"),
        ("JSON without a time", b"{\"a\":1}\n"),
    ];
    for (what, bytes) in cases {
        add(what, read(bytes, "UTC").err().map(|error| error.to_string()));
    }
    let options = TextOptions { time: "when".to_owned(), ..TextOptions::default() };
    let error = read_in_pieces(b"time,a\n2026-11-20 12:00,1\n", &options, "UTC", 99).err();
    add("another column of times", error.map(|error| error.to_string()));
    let options = TextOptions { format: "fax".to_owned(), ..TextOptions::default() };
    add("an unknown format", Reader::new(&options, TimeZone::UTC, "x").err().map(|error| error.to_string()));
    snapbox::assert_data_eq!(errors, snapbox::file!["snapshots/no_export.txt"].raw());
}

#[test]
fn every_cell_that_is_not_read_is_counted_by_cause_and_named_by_sensor() {
    let text = "time;hall;attic\n2026-03-10 00:00;21;warm?\n2026-03-10 00:01;NaN;3\n2026-03-10 00:02;1e300;4\nyesterday;1;1\n2026-03-10 00:03;;5\n2026-03-10 00:04\n";
    let rejected = read(text.as_bytes(), "UTC").unwrap().rejected;
    assert_eq!((rejected.not_a_number, rejected.not_finite, rejected.out_of_range), (1, 1, 1));
    assert_eq!((rejected.without_time, rejected.empty, rejected.malformed, rejected.first_line), (1, 1, 1, Some(2)));
    assert_eq!(rejected.by_sensor["attic"].examples, [(2, "warm?".to_owned())]);
    assert_eq!((rejected.by_sensor["hall"].not_finite, rejected.by_sensor["hall"].out_of_range), (1, 1));
}

#[test]
fn the_explanation_tells_columns_sensors_and_rejected_cells() {
    let text = "Datum;Uhrzeit;Temperatur (°C);Tür;Notiz\n10.03.2026;00:00;20,5;auf;alles gut hier im Haus, denke ich\n10.03.2026;00:10;21,5;zu;?\n10.03.2026;00:20;x;zu;!\n";
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut reader = Reader::new(&TextOptions::default(), zone.clone(), "x").unwrap();
    let mut explanation = nearfield_telemetry::read::explain::Explanation::default();
    reader.push(text.as_bytes(), &mut |found| explanation.add(found)).unwrap();
    reader.end(&mut |found| explanation.add(found)).unwrap();
    explanation.reject(reader.take_rejected());
    let told = explanation.text(&reader, &zone);
    snapbox::assert_data_eq!(told, snapbox::file!["snapshots/explanation.txt"].raw());
}
