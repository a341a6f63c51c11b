//! Sensors, units and states in tables that were once mixed up without a word: each is told apart, or refused with what decides.

mod reading;

use std::fmt::Write;

use reading::{read, try_read};

#[test]
fn states_are_told_apart_however_long_they_are() {
    let washer = read(
        "time,washer\n2026-03-09 00:00,Cotton 60 eco\n2026-03-09 01:00,Cotton 60 eco\n2026-03-09 02:00,Cotton 60 quick\n2026-03-09 03:00,Cotton 60 eco\n",
    );
    let told = ["cotton 60 eco", "cotton 60 eco", "cotton 60 quick", "cotton 60 eco"];
    assert_eq!((washer.words("washer"), washer.rejected.faults()), (told.map(str::to_owned).to_vec(), 0));
    let stages = read(
        "time;mode\n2026-03-09 00:00;stage_01_run\n2026-03-09 01:00;stage_01_idle\n2026-03-09 02:00;stage_01_run\n",
    );
    assert_eq!(stages.words("mode"), ["stage 01 run", "stage 01 idle", "stage 01 run"]);
    let long = read(
        "{\"time\":\"2026-03-09T00:00:00Z\",\"sensor\":\"hp\",\"value\":\"Heating stage 1\"}\n{\"time\":\"2026-03-09T01:00:00Z\",\"sensor\":\"hp\",\"value\":\"Heating stage 2\"}\n",
    );
    assert_eq!(long.words("hp"), ["heating stage 1", "heating stage 2"]);
}

#[test]
fn a_numbered_device_column_tells_sensors_apart() {
    let found = read(
        "time_stamp,sensor_index,temperature\n1773014400,101,20.5\n1773014400,102,25.5\n1773015000,101,20.7\n1773015000,102,25.9\n1773015600,101,20.9\n1773015600,102,26.1\n",
    );
    assert_eq!(found.keys(), ["101 temperature", "102 temperature"]);
    assert_eq!(found.values("102 temperature"), [25.5, 25.9, 26.1]);
    let found = read(
        "time,loop no,temperature\n2026-03-09 00:00,1,20.5\n2026-03-09 00:00,2,25.5\n2026-03-09 00:10,1,20.7\n2026-03-09 00:10,2,25.9\n",
    );
    assert_eq!(found.keys(), ["1 temperature", "2 temperature"]);
    // A column of numbers that tells nothing apart is one of readings.
    let found =
        read("time,fan no,temperature\n2026-03-09 00:00,1,20.5\n2026-03-09 00:10,2,25.5\n2026-03-09 00:20,1,20.7\n");
    assert_eq!(found.keys(), ["fan no", "temperature"]);
}

#[test]
fn a_value_with_its_quality_flag_is_no_decimal_number() {
    let found = read(
        "time,TMP\n2026-03-09T00:00:00,\"+0080,1\"\n2026-03-09T01:00:00,\"-0011,1\"\n2026-03-09T02:00:00,\"+9999,9\"\n",
    );
    assert_eq!((found.values("TMP"), found.unit("TMP")), (vec![8.0, -1.1], "°C"));
    assert_eq!(found.rejected.missing["TMP"], 1);
    // Nobody knows the scale of another column.
    let found = read("time,XYZ,a\n2026-03-09T00:00:00,\"+0080,1\",1\n2026-03-09T01:00:00,\"-0011,1\",2\n");
    assert_eq!((found.keys(), found.rejected.by_sensor["XYZ"].total()), (vec!["a"], 2));
    // One digit behind a comma, beside columns with points.
    let error =
        try_read("time,a,b\n2026-03-09 00:00,\"20,1\",1.5\n2026-03-09 01:00,\"21,1\",1.6\n").unwrap_err().to_string();
    assert!(error.contains("\"20,1\" in the column \"a\"") && error.contains("text.decimal"), "{error}");
    let found = read("time;a;b\n2026-03-09 00:00;20,1;1,5\n2026-03-09 01:00;21,1;1,6\n");
    assert_eq!((found.values("a"), found.values("b")), (vec![20.1, 21.1], vec![1.5, 1.6]));
    let found = read("time,a,b\n2026-03-09 00:00,\"20,1\",\"1,5\"\n2026-03-09 01:00,\"21,1\",\"1,6\"\n");
    assert_eq!(found.values("a"), [20.1, 21.1]);
}

#[test]
fn rows_above_the_first_readable_time_are_counted_and_the_header_stays() {
    for untimed in ["not synced", "", "--", "20 xyz 2026"] {
        let mut text = "time,temp,hum\n".to_owned();
        (0..3).for_each(|i| writeln!(text, "{untimed},20.{i},5{i}").unwrap());
        (0..6).for_each(|i| writeln!(text, "2026-03-09 00:{i}0:00,21.{i},6{i}").unwrap());
        let found = read(&text);
        assert_eq!(found.keys(), ["hum", "temp"], "{untimed:?}");
        assert_eq!((found.values("temp").len(), found.rejected.without_time), (6, 3), "{untimed:?}");
    }
    // Columns that are named by numbers have a header all the same.
    let found = read("time,10,20\n2026-03-09 00:00:00,5.1,5.2\n2026-03-09 00:10:00,5.3,5.4\n");
    assert_eq!((found.keys(), found.rejected.faults()), (vec!["10", "20"], 0));
}

#[test]
fn lines_about_a_logger_are_no_header_even_with_a_time() {
    let mut text = "Elitech Report\nModel:\tRC-5\nSerial:\tEF12\nStart Time:\t2026-03-09 00:00:00\nStop Time:\t2026-03-09 23:50:00\n\nNo.\tTime\tTemperature°C\n".to_owned();
    (0..6).for_each(|i| writeln!(text, "{}\t2026-03-09 00:{i}0:00\t20.{i}", i + 1).unwrap());
    let found = read(&text);
    assert_eq!((found.keys(), found.unit("Temperature")), (vec!["Temperature"], "°C"));
    assert_eq!(found.values("Temperature"), [20.0, 20.1, 20.2, 20.3, 20.4, 20.5]);
    let mut text = "Glucose Data,Generated on,09-03-2026 10:00 UTC\nDevice,Serial Number,Device Timestamp,Record Type,Historic Glucose mg/dL\n".to_owned();
    (13..30).for_each(|day| writeln!(text, "FreeStyle,AB12,{day}-03-2026 00:00,0,{}", 77 + day).unwrap());
    let found = read(&text);
    let glucose = found.keys().into_iter().find(|key| key.contains("Glucose")).map(str::to_owned).unwrap();
    assert_eq!((found.values(&glucose).len(), found.unit(&glucose), found.rejected.malformed), (17, "mg/dL", 0));
    // A title with a date above rows that have none: nothing of it is read.
    let mut text = "Datum/Uhrzeit;Verbrauchswert;Einheit;Ansicht:;24 Stunden;Datum;9.3.2026 00:00\n".to_owned();
    (0..24).for_each(|hour| writeln!(text, "{hour:02}:00;0,4;kWh").unwrap());
    assert!(try_read(&text).unwrap_err().to_string().contains("only 0 of 24 rows have a time"));
    let day = (0..48).map(|i| format!("0.{i:02}")).collect::<Vec<_>>().join(",");
    let nem = format!(
        "100,NEM12,202603010000,MDP,RET\n200,4001112223,E1,E1,E1,N1,METER1,kWh,30,20260401\n300,20260309,{day},A\n300,20260310,{day},A\n900\n"
    );
    assert!(try_read(&nem).unwrap_err().to_string().contains("it is NEM12"));
}

#[test]
fn tables_as_databases_print_them_are_read() {
    let psql = "        time         | temp | pump\n---------------------+------+------\n 2026-03-09 00:00:00 | 20.1 | t\n 2026-03-09 00:10:00 | 20.2 | f\n(2 rows)\n";
    let markdown = "| time | temp | pump |\n|------|-----:|------|\n| 2026-03-09 00:00:00 | 20.1 | true |\n| 2026-03-09 00:10:00 | 20.2 | false |\n";
    let mysql = "+---------------------+------+-------+\n| time                | temp | pump  |\n+---------------------+------+-------+\n| 2026-03-09 00:00:00 | 20.1 | true  |\n| 2026-03-09 00:10:00 | 20.2 | false |\n+---------------------+------+-------+\n";
    let sqlite = "┌─────────────────────┬──────┬──────┐\n│        time         │ temp │ pump │\n├─────────────────────┼──────┼──────┤\n│ 2026-03-09 00:00:00 │ 20.1 │ t    │\n│ 2026-03-09 00:10:00 │ 20.2 │ f    │\n└─────────────────────┴──────┴──────┘\n";
    for text in [psql, markdown, mysql, sqlite] {
        let found = read(text);
        assert_eq!(found.keys(), ["pump", "temp"], "{text}");
        assert_eq!((found.values("temp"), found.values("pump")), (vec![20.1, 20.2], vec![1.0, 0.0]), "{text}");
        assert_eq!(found.rejected.faults(), 0, "{text}");
    }
}

#[test]
fn a_column_of_units_is_that_of_the_values_before_it() {
    let mut text = "Start,Usage,Unit,Cost\n".to_owned();
    for hour in 0..24 {
        writeln!(text, "2026-03-09 {hour:02}:00,0.{:02},kWh,$0.{:02}", 20 + hour * 7 % 11 * 5, 10 + hour).unwrap();
    }
    let found = read(&text);
    assert_eq!(found.keys(), ["Cost", "Usage"]);
    assert_eq!((found.unit("Usage"), found.unit("Cost"), found.values("Cost")[0]), ("kWh", "$", 0.1));
    assert!(found.is_explained_as("Usage", "amounts") && found.rejected.faults() == 0, "{}", found.explained);
    let found = read(
        "time,temp,temp_unit,pressure,pressure_unit\n2026-03-09 00:00,68.0,F,1013.0,hPa\n2026-03-09 01:00,69.8,F,1013.1,hPa\n",
    );
    assert_eq!((found.unit("temp"), found.unit("pressure"), found.keys().len()), ("°F", "hPa", 2));
    let found = read(
        "statistic_id,unit,start,min,max,mean\nsensor.a,°C,09.03.2026 00:00,19.5,20.5,20.0\nsensor.b,°C,09.03.2026 00:00,9.5,10.5,10.0\nsensor.a,°C,09.03.2026 01:00,19.6,20.6,20.1\nsensor.b,°C,09.03.2026 01:00,9.6,10.6,10.1\n",
    );
    assert_eq!((found.unit("sensor.a mean"), found.values("sensor.b max")), ("°C", vec![10.5, 10.6]));
    // Words that are no units are text as before.
    let found = read("time,a,unit\n2026-03-09 00:00,1,north wing\n2026-03-09 01:00,2,south wing\n");
    assert_eq!(found.unit("a"), "");
}

#[test]
fn energy_by_interval_is_counted_whatever_it_is_called() {
    let table = |title: &str, value: &dyn Fn(i32) -> f64| {
        let mut text = format!("time;{title}\n");
        (0..48).for_each(|i| writeln!(text, "2026-03-{:02} {:02}:00;{:.3}", 9 + i / 24, i % 24, value(i)).unwrap());
        text
    };
    let interval = |i: i32| 0.1 + f64::from(i * 7 % 11) * 0.1;
    for title in ["kWh", "E_Wh", "PV Produktion [Wh]", "Verbrauch [kWh]", "Energy (kWh)"] {
        let found = read(&table(title, &interval));
        assert!(found.is_explained_as(found.keys()[0], "amounts"), "{title}: {}", found.explained);
    }
    for title in ["Compteur (kWh)", "Wasser (m3)", "Zähler kWh", "kWh"] {
        let found = read(&table(title, &|i| 12_345.0 + f64::from(i) * 0.3));
        assert!(found.is_explained_as(found.keys()[0], "increasing total"), "{title}: {}", found.explained);
    }
    // What a battery holds is no sum.
    for title in ["Battery (kWh)", "Puffer kWh", "Heat storage (kWh)"] {
        let found = read(&table(title, &interval));
        assert!(!found.is_explained_as(found.keys()[0], "amounts"), "{title}: {}", found.explained);
    }
}

#[test]
fn usual_cells_are_read() {
    let found =
        read("time,temp,hum,p\n2026-03-09 00:00,20.0C,50%RH,1013.0hPa\n2026-03-09 01:00,20.8C,51%RH,1013.1hPa\n");
    assert_eq!(
        (found.values("temp"), found.values("hum"), found.values("p")),
        (vec![20.0, 20.8], vec![50.0, 51.0], vec![1013.0, 1013.1])
    );
    let found =
        read("time,grid W,b\n2026-03-09 00:00,(200),200-\n2026-03-09 01:00,208,208\n2026-03-09 02:00,(222),222-\n");
    assert_eq!(
        (found.values("grid W"), found.values("b"), found.rejected.faults()),
        (vec![-200.0, 208.0, -222.0], vec![-200.0, 208.0, -222.0], 0)
    );
    let found = read("time;price;cost\n2026-03-09 00:00;0,1997 €/kWh;€ 2,00\n2026-03-09 01:00;0,2083 €/kWh;€ 2,08\n");
    assert_eq!(
        (found.values("price"), found.unit("price"), found.values("cost"), found.unit("cost")),
        (vec![0.1997, 0.2083], "€/kWh", vec![2.0, 2.08], "€")
    );
    let found = read("time,used\n2026-03-09 00:00,512.0 MiB\n2026-03-09 01:00,1.00 GiB\n");
    assert_eq!((found.values("used"), found.unit("used")), (vec![512.0, 1024.0], "MiB"));
}
