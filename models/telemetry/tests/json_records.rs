//! Records in JSON of the systems that people export from: devices and quantities are told apart, and the readings found.

mod reading;

use reading::{read, try_read};

#[test]
fn quantities_of_one_device_are_sensors_each() {
    for (text, keys) in [
        (
            r#"{"deviceId":"d0","capability":"x","attribute":"temperature","value":20.0,"timestamp":"2026-03-09T00:00:00Z"}
{"deviceId":"d0","capability":"x","attribute":"humidity","value":50,"timestamp":"2026-03-09T00:00:00Z"}"#,
            ["d0 humidity", "d0 temperature"],
        ),
        (
            r#"{"device":"d0","type":"temperature","value":20,"time":"2026-03-09T00:00:00Z"}
{"device":"d0","type":"humidity","value":50,"time":"2026-03-09T00:00:00Z"}"#,
            ["d0 humidity", "d0 temperature"],
        ),
        (
            r#"{"sensor":{"id":7,"name":"attic"},"metric":"temperature","value":20,"ts":"2026-03-09T00:00:00Z"}
{"sensor":{"id":7,"name":"attic"},"metric":"humidity","value":50,"ts":"2026-03-09T00:00:00Z"}"#,
            ["attic humidity", "attic temperature"],
        ),
    ] {
        let found = read(text);
        assert_eq!(found.keys(), keys, "{text}");
        assert_eq!((found.values(keys[0]), found.values(keys[1])), (vec![50.0], vec![20.0]));
    }
    // As before: a sensor and its value.
    let found = read("{\"sensor\":\"kitchen\",\"value\":20,\"time\":\"2026-03-09T00:00:00Z\"}\n");
    assert_eq!(found.keys(), ["kitchen"]);
}

#[test]
fn devices_are_told_apart_wherever_they_are_named() {
    for (text, keys) in [
        (
            r#"{"time":"2026-03-09T00:00:00Z","clientId":"dev1","payload":{"temperature":20.1}}
{"time":"2026-03-09T00:00:00Z","clientId":"dev2","payload":{"temperature":25.1}}"#,
            ["dev1.payload.temperature", "dev2.payload.temperature"],
        ),
        (
            r#"{"tags":{"room":"a"},"fields":{"temp":20.0},"timestamp":1773014400,"name":"climate"}
{"tags":{"room":"b"},"fields":{"temp":50},"timestamp":1773014400,"name":"climate"}"#,
            ["a.fields.temp", "b.fields.temp"],
        ),
        (
            r#"{"time":"2026-03-09 00:00:00","model":"Nexus-TH","id":55,"channel":1,"temperature_C":11.1}
{"time":"2026-03-09 00:00:00","model":"LaCrosse-TX","id":9,"temperature_C":-5.1}"#,
            ["LaCrosse-TX 9.temperature_C", "Nexus-TH 1 55.temperature_C"],
        ),
        (
            r#"{"EnqueuedTimeUtc":"2026-03-09T00:00:00.441Z","SystemProperties":{"connectionDeviceId":"dev1"},"Body":{"messageId":0,"deviceId":"dev1","temperature":20.0}}
{"EnqueuedTimeUtc":"2026-03-09T00:00:00.441Z","SystemProperties":{"connectionDeviceId":"dev2"},"Body":{"messageId":0,"deviceId":"dev2","temperature":21.0}}"#,
            ["dev1.Body.temperature", "dev2.Body.temperature"],
        ),
        (
            r#"[{"device":"a","samples":[{"t":"2026-03-09T00:00:00Z","v":{"temp":20.0}}]},{"device":"b","samples":[{"t":"2026-03-09T00:00:00Z","v":{"temp":21.0}}]}]"#,
            ["a.v.temp", "b.v.temp"],
        ),
    ] {
        let found = read(text);
        assert_eq!(found.keys(), keys, "{text}");
        assert!(keys.iter().all(|key| found.values(key).len() == 1), "{text}");
    }
    let text = "rtl_433/host/events {\"time\":\"2026-03-09 00:00:00\",\"model\":\"Nexus-TH\",\"id\":55,\"channel\":1,\"temperature_C\":11.1}\nrtl_433/host/events {\"time\":\"2026-03-09 00:00:00\",\"model\":\"LaCrosse-TX\",\"id\":9,\"temperature_C\":-5.1}\nhome/k1/climate {\"device\":\"k1\",\"time\":\"2026-03-09 00:00:00\",\"temperature\":20.5}\n";
    let found = read(text);
    assert_eq!(found.values("rtl_433/host/events/LaCrosse-TX 9/temperature_C"), [-5.1]);
    assert_eq!(found.values("rtl_433/host/events/Nexus-TH 1 55/temperature_C"), [11.1]);
    // A topic that names the device tells it apart.
    assert_eq!(found.values("home/k1/climate/temperature"), [20.5]);
}

#[test]
fn times_are_found_under_the_names_that_systems_use() {
    for time in [
        r#""@timestamp":"2026-03-09T00:10:00Z""#,
        r#""eventTime":"2026-03-09T00:10:00Z""#,
        r#""createdAt":"2026-03-09T00:10:00Z""#,
        r#""measuredAt":1773015000"#,
        r#""enqueuedTimeUtc":"2026-03-09T00:10:00Z""#,
        r#""readingTime":1773015000"#,
        r#""timestamp":{"$date":"2026-03-09T00:10:00Z"}"#,
        r#""timestamp":{"$date":{"$numberLong":"1773015000000"}}"#,
        r#""LocalTime":"2026-03-09 00:10:00""#,
    ] {
        let found = read(&format!("{{{time},\"temp\":20.5}}\n{{{time},\"temp\":20.5}}\n"));
        assert_eq!(found.times("temp")[0], "03-09 00:10", "{time}");
        assert_eq!(found.keys(), ["temp"], "{time}");
    }
    // Of two times nobody knows which is meant.
    assert!(
        try_read("{\"startTime\":\"2026-03-09T00:10:00Z\",\"arrivalTime\":\"2026-03-09T00:20:00Z\",\"temp\":20}\n")
            .is_err()
    );
    let found = read(
        r#"{"features":[{"id":"u/1","properties":{"timestamp":"2026-03-09T00:00:00+00:00","temperature":{"unitCode":"wmoUnit:degC","value":20.0}}},{"id":"u/2","properties":{"timestamp":"2026-03-09T00:10:00+00:00","temperature":{"unitCode":"wmoUnit:degC","value":20.2}}}]}"#,
    );
    assert_eq!(
        (found.keys(), found.unit("temperature"), found.values("temperature")),
        (vec!["temperature"], "°C", vec![20.0, 20.2])
    );
    let found = read(r#"{"_source":{"@timestamp":"2026-03-09T00:00:00Z","temp":20.0}}"#);
    assert_eq!(found.values("temp"), [20.0]);
}

#[test]
fn arrays_of_columns_and_of_rows_are_tables() {
    let found = read(
        r#"{"latitude":52.5,"utc_offset_seconds":3600,"timezone":"Europe/Berlin","hourly_units":{"time":"iso8601","temperature_2m":"°C"},"hourly":{"time":["2026-03-09T00:00","2026-03-09T01:00"],"temperature_2m":[5.5,null]}}"#,
    );
    assert_eq!(
        (found.keys(), found.unit("temperature_2m"), found.times("temperature_2m")),
        (vec!["temperature_2m"], "°C", vec!["03-08 23:00"])
    );
    assert_eq!(found.rejected.empty, 1);
    let found = read(r#"{"timestamps":[1773014400,1773015000],"temp":[20.1,20.2]}"#);
    assert_eq!((found.values("temp"), found.times("temp")), (vec![20.1, 20.2], vec!["03-09 00:00", "03-09 00:10"]));
    let found = read("[[1773014400000,20.02],[1773015000000,null],[1773015600000,20.32]]");
    assert_eq!((found.values("file"), found.rejected.empty), (vec![20.02, 20.32], 1));
    let found = read(
        r#"[{"target":"temp","datapoints":[[20.02,1773014400000],[20.18,1773015000000]]},{"target":"hum","datapoints":[[50,1773014400000]]}]"#,
    );
    assert_eq!((found.keys(), found.values("temp")), (vec!["hum", "temp"], vec![20.02, 20.18]));
    let found = read(
        r#"{"columns":["time","temp"],"index":[0,1],"data":[["2026-03-09T00:00:00Z",20.1],["2026-03-09T00:10:00Z",20.2]]}"#,
    );
    assert_eq!((found.keys(), found.values("temp")), (vec!["temp"], vec![20.1, 20.2]));
    let found = read(r#"{"status":"ok","body":{"1773014400":[20.0,50],"1773015000":[20.2,51]}}"#);
    assert_eq!((found.values("column 1"), found.values("column 2")), (vec![20.0, 20.2], vec![50.0, 51.0]));
}

#[test]
fn readings_within_records_are_read_and_named_by_what_is_around_them() {
    let found = read(
        r#"{"time":"2026-03-09T08:00:00Z","readings":[{"name":"temp","value":20.1,"unit":"C"},{"name":"hum","value":50,"unit":"%"}]}
{"id":1,"dt":1773044400,"readings":[{"name":"temp","value":20.3,"unit":"C"},{"name":"hum","value":51,"unit":"%"}]}"#,
    );
    assert_eq!(
        (found.keys(), found.values("temp"), found.unit("temp"), found.unit("hum")),
        (vec!["hum", "temp"], vec![20.1, 20.3], "°C", "%")
    );
    let found = read(
        r#"{"data":{"sensors":[{"name":"kitchen","unit":"°C","readings":[{"ts":1773014400000000,"value":20.02}]},{"name":"hall","unit":"°C","readings":[{"ts":1773014400000000,"value":18.0}]}]}}"#,
    );
    assert_eq!(
        (found.keys(), found.unit("kitchen"), found.values("hall")),
        (vec!["hall", "kitchen"], "°C", vec![18.0])
    );
    let found = read(
        r#"{"energy":{"timeUnit":"QUARTER_OF_AN_HOUR","unit":"Wh","values":[{"date":"2026-03-09 00:00:00","value":null},{"date":"2026-03-09 00:15:00","value":201.8}]}}"#,
    );
    assert_eq!((found.values("energy"), found.unit("energy"), found.rejected.empty), (vec![201.8], "Wh", 1));
    let found = read(
        r#"{"production":[{"type":"inverters","readingTime":1773014400,"wNow":3},{"type":"eim","readingTime":1773014400,"wNow":5}]}"#,
    );
    assert_eq!((found.values("inverters.wNow"), found.values("eim.wNow")), (vec![3.0], vec![5.0]));
    let found =
        read(r#"{"dateTime":"2026-03-09T00:00:00Z","temp":{"value":20.0,"unit":"°C"},"hum":{"value":50,"unit":"%"}}"#);
    assert_eq!((found.keys(), found.unit("temp")), (vec!["hum", "temp"], "°C"));
    let found = read(
        r#"{"channel":{"id":9,"name":"Weather","field1":"Temperature (C)","created_at":"2020-01-01T00:00:00Z"},"feeds":[{"created_at":"2026-03-09T00:00:00Z","entry_id":1000,"field1":"20.02"}]}"#,
    );
    let field = found.sensors.iter().find(|(key, _)| key.ends_with("field1")).map(|(_, sensor)| sensor).unwrap();
    assert_eq!((field.name.as_str(), field.unit.as_str(), found.sensors.len()), ("Temperature", "°C", 1));
    let found = read(r#"{"time":"2026-03-09T00:00:00Z","temps":[20.0,21.0]}"#);
    assert_eq!((found.values("temps[0]"), found.values("temps[1]")), (vec![20.0], vec![21.0]));
}
