//! Inputs that were once read wrong without a word: each is read right now, or refused with what decides.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::tz::TimeZone;
use nearfield_telemetry::kind::Kind;
use nearfield_telemetry::read::explain::Explanation;
use nearfield_telemetry::read::{Found, InputError, Reader, Rejected, TextOptions, rows_of};

/// The unit, the kind as it is told, and time (UTC) and value of each reading.
type Sensor = (String, Option<Kind>, Vec<(String, f64)>);

#[derive(Debug, Default)]
struct Outcome {
    /// By name.
    sensors: BTreeMap<String, Sensor>,
    rejected: Rejected,
    decisions: BTreeMap<&'static str, String>,
}

impl Outcome {
    fn values(&self, sensor: &str) -> Vec<f64> {
        let told = || self.sensors.keys().collect::<Vec<_>>();
        let found = self.sensors.get(sensor).unwrap_or_else(|| panic!("no {sensor:?} among {:?}", told()));
        found.2.iter().map(|(_, v)| *v).collect()
    }

    fn times(&self, sensor: &str) -> Vec<&str> {
        self.sensors[sensor].2.iter().map(|(at, _)| at.as_str()).collect()
    }
}

fn read_with(text: &str, zone: &str, set: impl FnOnce(&mut TextOptions)) -> Result<Outcome, InputError> {
    let mut options = TextOptions::default();
    set(&mut options);
    let mut reader = Reader::new(&options, TimeZone::get(zone).unwrap(), "file")?;
    let mut outcome = Outcome::default();
    let mut emit = |found: Found<'_>| {
        let sensor = outcome.sensors.entry(found.key.to_owned()).or_default();
        sensor.0 = found.unit.to_owned();
        sensor.1 = found.kind;
        let at = found.at.timestamp().strftime("%m-%d %H:%M").to_string();
        sensor.2.push((at, (found.value * 1e6).round() / 1e6));
    };
    reader.push(text.as_bytes(), &mut emit)?;
    reader.end(&mut emit)?;
    outcome.rejected = reader.take_rejected();
    outcome.decisions = reader.decisions().into_iter().collect();
    Ok(outcome)
}

fn read(text: &str) -> Outcome {
    read_with(text, "Europe/Berlin", |_| {}).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refused(text: &str) -> String {
    match read_with(text, "Europe/Berlin", |_| {}) {
        Err(error) => error.to_string(),
        Ok(outcome) => panic!("it was read: {outcome:?}"),
    }
}

#[test]
fn days_stand_first_beside_half_days_where_the_steps_say_so() {
    let mut text = "\"Date & Time\",\"Temp - °C\"\n".to_owned();
    for day in 1..=20 {
        for hour in 0..24 {
            let (shown, half) = (if hour % 12 == 0 { 12 } else { hour % 12 }, if hour < 12 { "AM" } else { "PM" });
            writeln!(text, "\"{day:02}/11/26 {shown:02}:00 {half}\",\"20.0\"").unwrap();
        }
    }
    let found = read(&text);
    assert_eq!((found.values("Temp").len(), found.rejected.faults()), (480, 0), "{:?}", found.rejected);
    assert_eq!((found.times("Temp")[0], found.times("Temp")[479]), ("10-31 23:00", "11-20 22:00"));
    // As before: months first in America.
    let american = read("time,a\n11/01/2026 12:00 AM,1\n11/01/2026 01:00 AM,2\n");
    assert_eq!(american.times("a"), ["10-31 23:00", "11-01 00:00"]);
    let steps = read("time,a\n11/01/2026 12:00 AM,1\n11/02/2026 12:00 AM,2\n11/03/2026 12:00 AM,2\n");
    assert_eq!(steps.times("a"), ["10-31 23:00", "11-01 23:00", "11-02 23:00"]);
}

#[test]
fn a_date_that_contradicts_the_order_of_those_before_is_an_error_and_no_lost_line() {
    let mut text = "time,a\n".to_owned();
    // More rows of one day than are looked at.
    (0..6000)
        .for_each(|i| writeln!(text, "01/11/26 {:02}:{:02}:{:02} AM,1", 1 + i / 3600, i / 60 % 60, i % 60).unwrap());
    text.push_str("13/11/26 01:00:00 AM,1\n");
    let error = refused(&text);
    assert!(error.contains("line 6002") && error.contains("13/11/26") && error.contains("text.time_format"), "{error}");
    // Of a lone broken date nothing is made where others have shown the order.
    let text =
        "time,a\n12/11/2026 01:00,1\n13/11/2026 01:00,1\n14/11/2026 01:00,1\n15/11/2026 01:00,1\n11/16/2026 01:00,1\n";
    let found = read(text);
    assert_eq!((found.values("a").len(), found.rejected.without_time), (4, 1));
}

#[test]
fn times_of_named_zones_are_read_also_where_summer_time_ends() {
    let text = "time,temp\n2026-11-01 00:30:00 EDT,1\n2026-11-01 01:30:00 EDT,2\n2026-11-01 01:30:00 EST,3\n2026-11-01 02:30:00 EST,4\n";
    let found = read(text);
    assert_eq!(found.times("temp"), ["11-01 04:30", "11-01 05:30", "11-01 06:30", "11-01 07:30"]);
    let found = read("time,temp\n2026-07-01 10:00:00 PDT,20\n2026-07-01 10:10:00 PDT,21\n");
    assert_eq!(found.times("temp"), ["07-01 17:00", "07-01 17:10"]);
}

#[test]
fn rows_above_the_first_readable_time_are_counted_and_are_no_header() {
    let text = "time,temp\n2026-10-30 00:00:00 XQZT,20.0\n2026-10-30 01:00:00 XQZT,22.5\n2026-11-01 02:00:00 EST,21\n2026-11-01 03:00:00 EST,21\n2026-11-01 04:00:00 EST,21\n";
    let found = read(text);
    assert_eq!(found.sensors.keys().collect::<Vec<_>>(), ["temp"]);
    assert_eq!((found.values("temp").len(), found.rejected.without_time, found.rejected.first_line), (3, 2, Some(2)));
    assert_eq!(found.decisions["header"], "line 1");
}

#[test]
fn a_zone_in_the_header_is_that_of_the_times() {
    for header in ["time (UTC)", "Timestamp UTC", "utc", "Time [GMT]", "utc_time"] {
        let found = read(&format!("{header},temp\n2026-07-01 10:00:00,20\n2026-07-01 10:10:00,21\n"));
        assert_eq!(found.times("temp"), ["07-01 10:00", "07-01 10:10"], "{header}");
        assert_eq!(found.decisions["zone"], "UTC, by the header");
    }
    let hobo = "\"Plot Title: Cellar\"\n\"#\",\"Date Time, GMT-05:00\",\"Temp, °F (LGR S/N: 104, SEN S/N: 104)\"\n1,11/01/26 12:00:00 AM,40.093\n2,11/02/26 12:10:00 AM,40.387\n";
    assert_eq!(read(hobo).times("Temp"), ["11-01 05:00", "11-02 05:10"]);
    // A column of local times beside one of UTC, and a zone that is the input's own.
    let both = "local_time,utc_time,temp\n2026-07-01 12:00:00,2026-07-01 10:00:00,20\n2026-07-01 12:10:00,2026-07-01 10:10:00,21\n";
    assert_eq!(read(both).times("temp"), ["07-01 10:00", "07-01 10:10"]);
    let own = read("time (CET),temp\n2026-07-01 12:00:00,20\n2026-07-01 12:10:00,21\n");
    assert_eq!(own.times("temp"), ["07-01 10:00", "07-01 10:10"]);
    let json = read("{\"utc\":\"2026-07-01 10:00:00\",\"temp\":20}\n{\"utc\":\"2026-07-01 10:10:00\",\"temp\":21}\n");
    assert_eq!(json.times("temp"), ["07-01 10:00", "07-01 10:10"]);
}

#[test]
fn a_date_and_its_hour_in_two_columns_are_one_time() {
    let mut hours = "date,hour,kWh\n".to_owned();
    for day in 1..=2 {
        (0..24).for_each(|hour| writeln!(hours, "2026-11-0{day},{hour},0.{hour:02}").unwrap());
    }
    let found = read(&hours);
    assert_eq!(found.sensors.keys().collect::<Vec<_>>(), ["kWh"]);
    assert_eq!((found.values("kWh").len(), found.times("kWh")[9]), (48, "11-01 08:00"));
    let minutes = "date;hour;minute;a\n01.11.2026;7;5;1\n01.11.2026;7;10;2\n01.11.2026;24;0;3\n";
    assert_eq!(read(minutes).times("a"), ["11-01 06:05", "11-01 06:10", "11-01 23:00"]);
    let digits = "date,hhmm,a\n20261101,0005,1\n20261101,0010,2\n20261101,1310,3\n";
    assert_eq!(read(digits).times("a"), ["10-31 23:05", "10-31 23:10", "11-01 12:10"]);
    // As spreadsheets export two cells.
    let midnight =
        "Date;Time;a\n2026-11-01 00:00:00;07:30;1\n2026-11-01 00:00:00;07:40;2\n2026-11-02 00:00:00;07:40;2\n";
    assert_eq!(read(midnight).times("a"), ["11-01 06:30", "11-01 06:40", "11-02 06:40"]);
    // The time of the day's highest value is none of the row.
    let highest = "date,high,time of high\n2026-11-01,9.5,14:20\n2026-11-02,9.6,15:10\n";
    assert_eq!(read(highest).times("high"), ["10-31 23:00", "11-01 23:00"]);
}

#[test]
fn hours_of_weather_services_are_no_seconds_since_1970() {
    let found = read("STATIONS_ID;MESS_DATUM;TT_TU;eor\n3379;2026110100;20.0;eor\n3379;2026110101;20.1;eor\n");
    assert_eq!(found.sensors.iter().next().unwrap().1.2[0].0, "10-31 23:00", "{found:?}");
}

#[test]
fn directions_are_directions_in_degrees_and_in_points_of_the_compass() {
    for (title, unit) in [
        ("wind direction", ""),
        ("Windrichtung (Grad)", "°"),
        ("wind_dir", ""),
        ("WindDirection", ""),
        ("wind direction (degrees)", "°"),
    ] {
        let found = read(&format!("time,{title}\n2026-11-01T00:00:00,350\n2026-11-01T00:10:00,2\n"));
        let (key, (shown, ..)) = found.sensors.iter().next().unwrap();
        assert_eq!((shown.as_str(), Kind::guess(key, shown)), (unit, Some(Kind::Angle)), "{title}");
    }
    let found = read(
        "time,Windrichtung,Zustand\n2026-11-01T00:00:00,N,auf\n2026-11-01T00:10:00,OSO,zu\n2026-11-01T00:20:00,W,zu\n2026-11-01T00:30:00,windstill,zu\n",
    );
    assert_eq!(found.values("Windrichtung"), [0.0, 112.5, 270.0]);
    assert_eq!((found.sensors["Windrichtung"].0.as_str(), found.sensors["Windrichtung"].1), ("°", Some(Kind::Angle)));
    assert_eq!(found.rejected.faults(), 0, "{:?}", found.rejected);
    let long = "time,sensor,value\n2026-11-01T00:00:00,wind direction,SSW\n2026-11-01T00:10:00,wind direction,N\n";
    assert_eq!(read(long).values("wind direction"), [202.5, 0.0]);
    assert!(!Kind::names_total("plug ENERGY Factor") && Kind::names_total("plug ENERGY Total"));
}

#[test]
fn numbers_that_stand_for_no_value_are_none() {
    let text = "time,temp (°C),hum (%),level,feed\n2026-11-01T00:00:00,20.1,50,3,-980\n2026-11-01T00:10:00,-999,51,4,-999\n2026-11-01T00:20:00,20.3,-9999,-999,-1010\n2026-11-01T00:30:00,20.3,52,4,200\n";
    let found = read(text);
    assert_eq!(found.values("temp"), [20.1, 20.3, 20.3]);
    assert_eq!(found.values("hum"), [50.0, 51.0, 52.0]);
    assert_eq!(found.values("level"), [3.0, 4.0, 4.0]);
    // What may well be a reading is one.
    assert_eq!(found.values("feed"), [-980.0, -999.0, -1010.0, 200.0]);
    let told: Vec<(&str, u64)> = found.rejected.missing.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    assert_eq!(told, [("hum", 1), ("level", 1), ("temp", 1)]);
    let given = |o: &mut TextOptions| o.missing = "-99, 9999".to_owned();
    let found =
        read_with("time,a\n2026-11-01T00:00:00,-99\n2026-11-01T00:10:00,9999\n2026-11-01T00:20:00,1\n", "UTC", given);
    assert_eq!(found.unwrap().values("a"), [1.0]);
    let json = read("{\"time\":\"2026-11-01T00:00:00\",\"temperature\":-999,\"power\":-999}\n");
    assert_eq!(json.sensors.keys().collect::<Vec<_>>(), ["power"]);
    let error = read_with("time,a\n", "UTC", |o| o.missing = "none".to_owned()).err().unwrap().to_string();
    assert!(error.contains("text.missing"), "{error}");
}

#[test]
fn a_bare_letter_behind_a_temperature_is_a_degree() {
    let found = read("time,Temp (F),Outdoor (F)\n2026-11-01T00:00:00,68,50\n");
    assert_eq!((found.sensors["Temp"].0.as_str(), found.sensors["Outdoor"].0.as_str()), ("°F", "°F"));
}

#[test]
fn what_has_no_times_of_day_is_refused_with_what_helps() {
    let elapsed = "TimeStamp(ms),IAQ,bTemp\n0,50,19.99\n3000,51,20.07\n6000,52,20.22\n30000,53,20.2\n";
    let error = refused(elapsed);
    assert!(error.contains("TimeStamp(ms)") && error.contains("text.start"), "{error}");
    let start = |o: &mut TextOptions| o.start = "2026-11-01 08:00".to_owned();
    let found = read_with(elapsed, "UTC", start).unwrap();
    assert_eq!(found.times("IAQ"), ["11-01 08:00", "11-01 08:00", "11-01 08:00", "11-01 08:00"]);
    assert_eq!(found.sensors.keys().collect::<Vec<_>>(), ["IAQ", "bTemp"]);
    let found = read_with("elapsed (min);a\n0;1\n10;2\n90;3\n", "UTC", start).unwrap();
    assert_eq!(found.times("a"), ["11-01 08:00", "11-01 08:10", "11-01 09:30"]);
    let error = refused("seconds time,a\n0,1\n10,2\n20,3\n");
    assert!(error.contains("text.start"), "{error}");
    let error = refused(
        "entity_id,type,unit,2026-11-01,2026-11-02\nsensor.grid,grid_consumption,kWh,5.1,6.2\nsensor.solar,solar_production,kWh,2.1,3.2\n",
    );
    assert!(error.contains("1 of 3 rows") && error.contains("text.time"), "{error}");
    // Excel's days are read as before.
    assert_eq!(read("time,a\n46327.5,1\n46327.75,2\n").times("a"), ["11-01 11:00", "11-01 17:00"]);
}

#[test]
fn a_live_table_of_a_device_without_a_clock_is_read() {
    let mut reader = Reader::new(&TextOptions::default(), TimeZone::UTC, "x").unwrap().live();
    let mut values = Vec::new();
    let mut emit = |found: Found<'_>| {
        if found.key == "a" {
            values.push((found.at.0, found.value));
        }
    };
    reader.push(b"time,a\n0,1\n10,2\n20,3\n", &mut emit).unwrap();
    reader.end(&mut emit).unwrap();
    assert_eq!(values, [(0, 1.0), (10_000_000, 2.0), (20_000_000, 3.0)]);
}

#[test]
fn topics_with_colons_and_spaces_and_stored_uplinks_are_recognised() {
    let shelly = "2026-11-01T00:00:00+0100 shellyplus1pm-a8/status/switch:0 {\"id\":0,\"apower\":100}\n2026-11-01T00:10:00+0100 shellyplus1pm-a8/status/switch:0 {\"id\":0,\"apower\":101}\n";
    assert_eq!(read(shelly).values("shellyplus1pm-a8/status/switch:0/apower"), [100.0, 101.0]);
    let zigbee = "2026-11-01T00:00:00+0100 zigbee2mqtt/kitchen climate {\"temperature\":20.5}\n2026-11-01T00:10:00+0100 zigbee2mqtt/kitchen climate {\"temperature\":20.6}\n2026-11-01T00:10:00+0100 zigbee2mqtt/living room/availability online\n2026-11-01T00:10:00+0100 home/hall 21.5\n";
    let found = read(zigbee);
    assert_eq!(found.values("zigbee2mqtt/kitchen climate/temperature"), [20.5, 20.6]);
    assert_eq!(found.values("home/hall"), [21.5]);
    assert_eq!(found.values("zigbee2mqtt/living room/availability"), [1.0]);
    assert_eq!(found.rejected.faults(), 0, "{:?}", found.rejected);
    let stored = "{\"result\":{\"end_device_ids\":{\"device_id\":\"eui-1\"},\"received_at\":\"2026-11-01T00:00:00Z\",\"uplink_message\":{\"decoded_payload\":{\"TempC_SHT\":20.05}}}}\n";
    assert_eq!(read(stored).values("eui-1.TempC_SHT"), [20.05]);
    // Dates with slashes, and rows of a table, are no topics.
    let table = "a/b:1 x,time\n1,2026-11-01 00:00\n2,2026-11-01 00:10\n";
    assert_eq!(read(table).values("a/b:1 x"), [1.0, 2.0]);
}

fn workbook(name: &str) -> Outcome {
    let bytes = std::fs::read(format!("{}/tests/exports/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    read(std::str::from_utf8(&rows_of(bytes).unwrap()).unwrap())
}

#[test]
fn dates_and_times_in_cells_of_their_own_are_one_time_and_lines_have_the_numbers_of_rows() {
    for name in ["two_cells.xlsx", "two_cells.ods"] {
        let found = workbook(name);
        assert_eq!(found.sensors.keys().collect::<Vec<_>>(), ["Temp"], "{name}");
        assert_eq!(found.times("Temp"), ["10-31 23:00", "10-31 23:10", "11-01 06:30"], "{name}");
        // Two rows stand empty above the header.
        assert_eq!(found.decisions["header"], "line 3", "{name}");
    }
}

#[test]
fn sheets_with_the_same_columns_are_read_together_and_others_are_named() {
    let rooms = workbook("rooms.xlsx");
    assert_eq!(rooms.values("Kitchen Temp"), [20.0, 20.5]);
    assert_eq!(rooms.values("Hall Temp"), [18.0, 18.5]);
    assert_eq!(rooms.rejected.sheets, ["Meter"]);
    assert_eq!(rooms.decisions["sheets"], "Kitchen, Hall");
    let months = workbook("months.xlsx");
    assert_eq!(months.values("Temp"), [5.0, 5.5, 3.0, 3.5]);
    assert!(months.rejected.sheets.is_empty());
}

#[test]
fn even_rain_is_told_as_amounts() {
    let mut text = "Zeit;Regen (mm)\n".to_owned();
    for i in 0..144 {
        let rain = if (60..71).contains(&i) { "0,2" } else { "0,0" };
        writeln!(text, "01.11.2026 {:02}:{:02};{rain}", i / 6, i % 6 * 10).unwrap();
    }
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut reader = Reader::new(&TextOptions::default(), zone.clone(), "x").unwrap();
    let mut explanation = Explanation::default();
    reader.push(text.as_bytes(), &mut |found| explanation.add(found)).unwrap();
    reader.end(&mut |found| explanation.add(found)).unwrap();
    let told = explanation.text(&reader, &zone);
    assert!(told.contains("amounts"), "{told}");
}
