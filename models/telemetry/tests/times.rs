//! Exports whose times stand in forms of their own: dates with times of day in other columns, years of two digits, zones of rows, a day a row.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use nearfield_telemetry::read::mqtt;
use nearfield_telemetry::read::{Found, InputError, Reader, Rejected, TextOptions};

type Readings = BTreeMap<String, Vec<(String, f64)>>;

fn read_with(text: &str, zone: &str, set: impl FnOnce(&mut TextOptions)) -> Result<(Readings, Rejected), InputError> {
    let mut options = TextOptions::default();
    set(&mut options);
    let mut reader = Reader::new(&options, TimeZone::get(zone).unwrap(), "file")?;
    let mut readings = Readings::new();
    let mut emit = |found: Found<'_>| {
        let at = found.at.timestamp().strftime("%m-%d %H:%M:%S").to_string();
        readings.entry(found.key.to_owned()).or_default().push((at, found.value));
    };
    // Pieces, as a file that grows or a pipe brings them.
    text.as_bytes().chunks(7).try_for_each(|piece| reader.push(piece, &mut emit))?;
    reader.end(&mut emit)?;
    Ok((readings, reader.take_rejected()))
}

/// The readings in UTC.
fn read(text: &str) -> Readings {
    let (readings, rejected) = read_with(text, "UTC", |_| {}).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(rejected.faults(), 0, "{rejected:?} of {text}");
    readings
}

fn refused(text: &str) -> String {
    match read_with(text, "UTC", |_| {}) {
        Err(error) => error.to_string(),
        Ok(found) => panic!("it was read: {found:?}"),
    }
}

/// Times of a sensor, which is the only one.
fn times(text: &str, sensor: &str) -> Vec<String> {
    let readings = read(text);
    assert_eq!(readings.keys().collect::<Vec<_>>(), [sensor], "{text}");
    readings[sensor].iter().map(|(at, _)| at.clone()).collect()
}

#[test]
fn a_time_of_day_with_points_stands_beside_its_date() {
    for text in [
        "Date;Time;P\n13/03/2026;14.30;2,54\n13/03/2026;14.45;2,61\n13/03/2026;15.00;2,70\n",
        "Datum;Uhrzeit;P\n13.03.2026;14.30.00;20,5\n13.03.2026;14.45.00;20,6\n13.03.2026;15.00.00;20,7\n",
        "date,time,P\n20260313,143000,20.5\n20260313,144500,20.6\n20260313,150000,20.9\n",
        "date,time,P\n2026-03-13,1430,20.5\n2026-03-13,1445,20.6\n2026-03-13,1500,20.9\n",
        "Year,Month,Day,Hour,Minute,P\n2026,3,13,14,30,1.5\n2026,3,13,14,45,1.5\n2026,3,13,15,0,1.5\n",
        "year,DOY,hh,min,P\n2026,72,14,30,1.5\n2026,72,14,45,1.5\n2026,72,15,0,1.5\n",
        "year,month,day,time,P\n2026,Mar,13,14:30,1.5\n2026,Mar,13,14:45,1.5\n2026,Mar,13,15:00,1.5\n",
        "date,epoch,P\n2026-03-13,1773412200,20.5\n2026-03-13,1773413100,20.6\n2026-03-13,1773414000,20.9\n",
    ] {
        assert_eq!(times(text, "P"), ["03-13 14:30:00", "03-13 14:45:00", "03-13 15:00:00"], "{text}");
    }
}

#[test]
fn numbers_that_are_no_times_of_day_stay_numbers() {
    // A sensor that is really called time, in its unit; one whose numbers are no minutes; and a temperature beside a date.
    let lap = read("date,time (s),temp\n2026-03-09,14.30,20\n2026-03-10,14.45,21\n2026-03-11,15.00,22\n");
    assert_eq!(lap["time"].iter().map(|(_, v)| *v).collect::<Vec<_>>(), [14.3, 14.45, 15.0]);
    let timed =
        read("datetime,time,temp\n2026-03-09 10:00,14.75,20\n2026-03-09 10:01,9.30,21\n2026-03-09 10:02,1.1,22\n");
    assert_eq!(timed["time"].len(), 3);
    let daily = read("date,temp\n2026-03-09,14.30\n2026-03-10,14.45\n2026-03-11,15.00\n");
    assert_eq!(daily["temp"][0], ("03-09 00:00:00".to_owned(), 14.3));
    let stations =
        read("date,station,temp\n2026-03-09,a,14.30\n2026-03-09,b,14.45\n2026-03-10,a,15.00\n2026-03-10,b,15.1\n");
    assert_eq!(stations.len(), 2, "{stations:?}");
}

#[test]
fn hours_of_a_table_without_header_are_told_by_their_course() {
    let rows: String = (0..48).map(|i| format!("2026-03-{:02},{},{}.5,80\n", 9 + i / 24, i % 24, i % 7)).collect();
    let readings = read(&rows);
    let first: Vec<&str> = readings.values().map(|r| r[25].0.as_str()).collect();
    assert_eq!(first, ["03-10 01:00:00"; 2], "{readings:?}");
}

#[test]
fn rows_of_one_date_that_nothing_tells_apart_are_refused() {
    let text = "date,run,temp\n2026-03-09,14.3,20\n2026-03-09,9.75,21\n2026-03-09,11.5,22\n";
    let error = refused(text);
    assert!(error.contains("text.clock") && error.contains("2026-03-09"), "{error}");
    let named = "date,run,temp\n2026-03-09,14.30,20\n2026-03-09,09.45,21\n2026-03-09,11.50,22\n";
    let (readings, _) = read_with(named, "UTC", |options| options.clock = "run".to_owned()).unwrap();
    assert_eq!(readings["temp"][1], ("03-09 09:45:00".to_owned(), 21.0));
    // The same row twice says nothing else.
    assert_eq!(read("date,temp\n2026-03-09,20\n2026-03-09,20\n2026-03-10,21\n2026-03-10,21\n")["temp"].len(), 4);
}

#[test]
fn a_form_of_dates_alone_leaves_the_time_of_day_to_its_column() {
    let text = "Date;Time;P\n09/03/26;14.30;2,54\n09/03/26;14.45;2,61\n";
    assert!(refused(text).contains("text.time_format"), "nothing shows the order");
    let (readings, _) = read_with(text, "UTC", |options| options.time_format = "%d/%m/%y".to_owned()).unwrap();
    assert_eq!(readings["P"][1].0, "03-09 14:45:00");
}

#[test]
fn a_year_of_two_digits_is_where_the_steps_show_it() {
    let days = |form: &dyn Fn(u32) -> String| -> String {
        std::iter::once("time,t\n".to_owned()).chain((9..13).map(|d| format!("{} 00:00,1.5\n", form(d)))).collect()
    };
    let march = ["03-09 00:00:00", "03-10 00:00:00", "03-11 00:00:00", "03-12 00:00:00"];
    for text in [
        days(&|d| format!("26-03-{d:02}")),
        days(&|d| format!("26/03/{d:02}")),
        days(&|d| format!("{d:02}-03-26")),
        days(&|d| format!("03/{d:02}/26")),
        days(&|d| format!("{d:02}.03.26")),
    ] {
        assert_eq!(times(&text, "t"), march, "{text}");
    }
    assert!(refused("time,t\n26-03-09 00:00,1.5\n26-03-09 00:10,1.6\n").contains("two dates"));
}

#[test]
fn zones_of_headers_and_of_rows_are_used() {
    let summer = |header: &str, cell: &str| {
        let text = format!("{header},temp\n2026-07-09 12:00{cell},20\n2026-07-09 13:00{cell},21\n");
        read(&text)["temp"][0].0.clone()
    };
    for (header, cell, at) in [
        ("time (America/New_York)", "", "07-09 16:00:00"),
        ("timestamp(America/Los_Angeles)", "", "07-09 19:00:00"),
        ("local_time,tz", ",Europe/Berlin", "07-09 10:00:00"),
        ("time,utc_offset", ",+02:00", "07-09 10:00:00"),
        ("time,timezone", ",America/New_York", "07-09 16:00:00"),
        ("time,utc_offset_seconds", ",7200", "07-09 10:00:00"),
        ("time (UTC),tz", ",Europe/Berlin", "07-09 12:00:00"),
        ("time,zone", ",UTC", "07-09 12:00:00"),
    ] {
        assert_eq!(summer(header, cell), at, "{header}");
    }
    // A zone of the garden, and rows of two zones.
    let garden = read("time,zone,moisture\n2026-07-09 12:00,lawn,20\n2026-07-09 12:00,hedge,21\n");
    assert_eq!(garden.len(), 2, "{garden:?}");
    let both = "time,tz,temp\n2026-07-09 12:00,Europe/Berlin,20\n2026-07-09 12:00,America/New_York,21\n2026-07-09 12:00,Mars/Base,1\n";
    let (readings, rejected) = read_with(both, "UTC", |_| {}).unwrap();
    assert_eq!((readings.values().map(Vec::len).sum::<usize>(), rejected.faults()), (3, 3), "a text, not a zone");
}

#[test]
fn json_and_mqtt_have_dates_and_times_of_day_and_zones_too() {
    let text = "{\"date\":\"2026-07-09\",\"time\":\"08:10:00\",\"temp\":20.3}\n{\"date\":\"2026-07-09\",\"time\":\"08:20:00\",\"temp\":20.9}\n";
    assert_eq!(times(text, "temp"), ["07-09 08:10:00", "07-09 08:20:00"]);
    let text =
        "{\"date\":\"2026-07-09\",\"hour\":8,\"temp\":20.3}\n{\"date\":\"2026-07-09\",\"hour\":9,\"temp\":20.9}\n";
    assert_eq!(times(text, "temp"), ["07-09 08:00:00", "07-09 09:00:00"]);
    let text = "{\"time\":\"2026-07-09T08:10:00\",\"timezone\":\"Europe/Berlin\",\"temp\":20.3}\n{\"time\":\"2026-07-09T08:20:00\",\"utc_offset\":\"+02:00\",\"temp\":20.3}\n";
    assert_eq!(times(text, "temp"), ["07-09 06:10:00", "07-09 06:20:00"]);
    let mut found = Vec::new();
    let payload = "{\"date\":\"2026-07-09\",\"time\":\"08:10:00\",\"tz\":\"Europe/Berlin\",\"temp\":20.3}";
    mqtt::message("home/hall", payload, "", &TimeZone::UTC, &mut Rejected::default(), &mut |reading, stamp| {
        found.push((reading.key.to_owned(), format!("{stamp:?}")));
    });
    assert_eq!(found, [("home/hall/temp".to_owned(), "At(Moment(1783577400000000))".to_owned())]);
}

#[test]
fn dates_in_json_are_read_in_the_order_that_one_of_them_shows() {
    let line = |date: &str| format!("{{\"time\":\"{date} 08:10\",\"temp\":20.3}}\n");
    assert_eq!(times(&(line("13/04/2026") + &line("02/05/2026")), "temp"), ["04-13 08:10:00", "05-02 08:10:00"]);
    assert_eq!(times(&(line("04/13/2026") + &line("05/02/2026")), "temp"), ["04-13 08:10:00", "05-02 08:10:00"]);
    assert!(refused(&line("03/04/2026")).contains("two dates"));
    assert!(refused(&(line("03/04/2026") + &line("13/04/2026"))).contains("03/04/2026"), "what came before is lost");
    let form = |options: &mut TextOptions| options.time_format = "%m/%d/%Y %H:%M".to_owned();
    let (readings, _) = read_with(&line("03/04/2026"), "UTC", form).unwrap();
    assert_eq!(readings["temp"][0].0, "03-04 08:10:00");
    let mut rejected = Rejected::default();
    let payload = "{\"time\":\"03/04/2026 08:10\",\"temp\":20.3}";
    mqtt::message("home/hall", payload, "", &TimeZone::UTC, &mut rejected, &mut |_, _| panic!("nobody knows when"));
    assert_eq!(rejected.without_time, 1);
}

#[test]
fn pairs_of_names_and_values_behind_a_time_are_readings() {
    let text = "2026-03-09T00:00:00Z INFO temp=20.0 door=open\n2026-03-09T00:10:00Z INFO temp=20.1 door=closed\n";
    let readings = read(text);
    assert_eq!(readings["temp"], [("03-09 00:00:00".to_owned(), 20.0), ("03-09 00:10:00".to_owned(), 20.1)]);
    assert_eq!(readings["door"].iter().map(|(_, v)| *v).collect::<Vec<_>>(), [1.0, 0.0]);
}

#[test]
fn columns_that_tell_nothing_are_no_sensors() {
    let text = "STATIONS_ID;MESS_DATUM;PP_10;TT_10;eor\n433;202603090000;-999;8.0;eor\n433;202603090010;-999;8.2;eor\n433;202603090020;-999;8.3;eor\n";
    let (readings, rejected) = read_with(text, "UTC", |_| {}).unwrap();
    assert_eq!(readings.keys().collect::<Vec<_>>(), ["TT_10"]);
    assert_eq!((rejected.faults(), rejected.missing["PP_10"]), (0, 3));
    let text =
        "created_at,entry_id,field1\n2026-03-09 00:00,101,20.5\n2026-03-09 00:01,104,20.6\n2026-03-09 00:02,105,20.7\n";
    assert_eq!(read(text).keys().collect::<Vec<_>>(), ["field1"]);
}

#[test]
fn a_row_of_a_day_has_its_readings_at_the_times_of_its_columns() {
    let header = |titles: &[String]| format!("Date,{}\n", titles.join(","));
    let row =
        |day: u32| format!("2026-03-{day:02},{}\n", (0..24).map(|h| format!("{h}.5")).collect::<Vec<_>>().join(","));
    for titles in [
        (0..24).map(|h| format!("{h:02}:00")).collect::<Vec<_>>(),
        (1..25).map(|h| format!("{h:02}:00")).collect(),
        (1..25).map(|h| format!("H{h}")).collect(),
        (0..24).map(|h| format!("{h:02}:00 - {:02}:00", h + 1)).collect(),
    ] {
        let readings = read(&(header(&titles) + &row(9) + &row(10)));
        let told: Vec<_> = readings["file"].iter().map(|(at, v)| (at.as_str(), *v)).collect();
        assert_eq!(
            (told.len(), told[0], told[47]),
            (48, ("03-09 00:00:00", 0.5), ("03-10 23:00:00", 23.5)),
            "{titles:?}"
        );
    }
    let titles: Vec<String> = (0..24).map(|h| format!("{h:02}:00")).collect();
    let text = format!("Meter,{}", header(&titles)) + &["a", "b"].map(|m| format!("{m},{}", row(9))).concat();
    assert_eq!(read(&text).keys().collect::<Vec<_>>(), ["a", "b"]);
    // The hour that does not exist, where clocks are set forward, is counted where it has a value.
    let (readings, rejected) = read_with(&(header(&titles) + &row(29)), "Europe/Berlin", |_| {}).unwrap();
    assert_eq!(readings["file"].len() as u64 + rejected.without_time, 24);
    // Channels that are numbered are sensors.
    let channels: Vec<String> = (1..13).map(|c| c.to_string()).collect();
    let text = format!("time,{}\n2026-03-09 10:00,{}\n", channels.join(","), channels.join(","));
    assert_eq!(read(&text).len(), 12);
}

#[test]
fn months_weeks_and_intervals_are_times() {
    for (text, sensor, at) in [
        ("Month,kWh\nJan 2024,300\nFeb 2024,301\n", "kWh", ["01-01 00:00:00", "02-01 00:00:00"]),
        ("month,kWh\n2024-01,300\n2024-02,301\n", "kWh", ["01-01 00:00:00", "02-01 00:00:00"]),
        ("year,kWh\n2023,300\n2024,301\n", "kWh", ["01-01 00:00:00", "01-01 00:00:00"]),
        ("year,month,kWh\n2024,1,300\n2024,2,301\n", "kWh", ["01-01 00:00:00", "02-01 00:00:00"]),
        ("week,kWh\n2026-W01,51\n2026-W02,52\n", "kWh", ["12-29 00:00:00", "01-05 00:00:00"]),
        (
            "Zeitraum;Preis\n09.03.2026 00:00 - 01:00;20,0\n09.03.2026 01:00 - 02:00;20,7\n",
            "Preis",
            ["03-09 00:00:00", "03-09 01:00:00"],
        ),
        ("Date;T\n1 juil. 2026;20,7\n1 août 2026;20,9\n", "T", ["07-01 00:00:00", "08-01 00:00:00"]),
        ("Fecha;T\n5 de marzo de 2026;20,7\n1 dic 2026;20,9\n", "T", ["03-05 00:00:00", "12-01 00:00:00"]),
    ] {
        assert_eq!(times(text, sensor), at, "{text}");
    }
}

#[test]
fn columns_of_fixed_width_are_a_table() {
    let text = "Date       Time    Temp   Hum\n2026-03-09 00:00   20.02    55\n2026-03-09 00:10   20.18    56\n";
    assert_eq!(read(text)["Hum"], [("03-09 00:00:00".to_owned(), 55.0), ("03-09 00:10:00".to_owned(), 56.0)]);
    let buoy =
        "#YY  MM DD hh mm WDIR WSPD\n#yr  mo dy hr mn degT m/s\n2026 03 09 01 00 201  2.1\n2026 03 09 02 00 202  2.2\n";
    assert_eq!(read(buoy)["WSPD"][1], ("03-09 02:00:00".to_owned(), 2.2));
    let comment = "# STN,YYYYMMDD,   HH,   T\n  260,20260309,    1,  80\n  260,20260309,    2,  81\n";
    assert_eq!(read(comment)["T"][1], ("03-09 02:00:00".to_owned(), 81.0));
}
