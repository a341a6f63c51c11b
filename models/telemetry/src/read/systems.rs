//! JSON of systems whose readings stand deeper than the device that they are of: uplinks of LoRaWAN network servers, answers of
//! InfluxQL.

use serde_json::{Map, Value};

use super::json::{self, Json, leaf, put};
use super::json_record::leaves;
use super::{Emit, Found, Rejected};

/// Numbers in one uplink.
const MAX_LEAVES: usize = 1024;

/// Where an uplink tells the device, its decoded values and its time. The Things Stack, ChirpStack 4 and 3, Helium.
const UPLINKS: [(&[&str], &str, &[&str]); 5] = [
    (&["end_device_ids.device_id"], "uplink_message.decoded_payload", &["uplink_message.received_at", "received_at"]),
    (&["dev_id"], "payload_fields", &["metadata.time"]),
    (&["deviceInfo.deviceName", "deviceInfo.devEui"], "object", &["time"]),
    (&["deviceName", "devEUI"], "object", &["publishedAt", "time"]),
    (&["name", "dev_eui"], "decoded.payload", &["reported_at"]),
];

/// Where the first gateway's signal strength stands.
const SIGNALS: [&str; 3] = ["uplink_message.rx_metadata[0].rssi", "rxInfo[0].rssi", "hotspots[0].rssi"];

impl Json {
    /// An uplink: the device's own values, and the signal at its first gateway. The rest is the network's.
    pub(super) fn uplink(&mut self, line: u64, value: &Value, rejected: &mut Rejected, emit: &mut Emit<'_>) -> bool {
        // What The Things Stack has stored comes wrapped.
        let value = match value.get("result") {
            Some(inner @ Value::Object(_)) if value.as_object().is_some_and(|o| o.len() == 1) => inner,
            _ => value,
        };
        let text = |path: &str| json::lookup(value, path).and_then(Value::as_str);
        let found = UPLINKS.iter().find_map(|(devices, values, times)| {
            let device = devices.iter().find_map(|d| text(d))?;
            Some((device, json::lookup(value, values)?, *times))
        });
        let Some((device, values, times)) = found.filter(|(_, values, _)| values.is_object()) else { return false };
        let at = times.iter().find_map(|t| json::lookup(value, t)).and_then(|t| self.time(t));
        let Some(at) = self.moment(line, at, rejected) else { return true };
        let mut path = device.to_owned();
        let mut budget = MAX_LEAVES;
        leaves(values, &mut path, 0, &mut budget, &mut |path, _, inner, unit| {
            put(line, leaf(inner, true), inner, Found { unit, ..Found::number(path, at, 0.0) }, rejected, emit);
        });
        if let Some(signal) = SIGNALS.iter().find_map(|s| json::lookup(value, s)).filter(|s| s.is_number()) {
            let key = format!("{device}.signal");
            put(
                line,
                leaf(signal, false),
                signal,
                Found { unit: "dBm", ..Found::number(&key, at, 0.0) },
                rejected,
                emit,
            );
        }
        true
    }

    /// An answer of InfluxQL: series with tags, columns and rows.
    pub(super) fn influxql(
        &mut self,
        line: u64,
        object: &Map<String, Value>,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) -> bool {
        let Some(results) = object.get("results").and_then(Value::as_array) else { return false };
        if !results.iter().all(|r| r.get("series").is_some() || r.get("statement_id").is_some()) {
            return false;
        }
        let series = results.iter().filter_map(|r| r.get("series")?.as_array()).flatten();
        for series in series {
            let mut prefix: Vec<&str> = Vec::new();
            let tags = series.get("tags").and_then(Value::as_object);
            prefix.extend(tags.into_iter().flatten().filter_map(|(_, v)| v.as_str()).filter(|v| !v.is_empty()));
            prefix.extend(series.get("name").and_then(Value::as_str));
            let columns: Vec<&str> =
                series["columns"].as_array().into_iter().flatten().map(|c| c.as_str().unwrap_or("")).collect();
            let Some(time) = columns.iter().position(|c| *c == "time") else { continue };
            let others = columns.len() - 1;
            let keys: Vec<String> = columns
                .iter()
                .map(|c| match *c {
                    // The only field of a measurement says nothing that its name does not.
                    "value" if others == 1 => prefix.join(" "),
                    column => format!("{} {column}", prefix.join(" ")),
                })
                .collect();
            for row in series["values"].as_array().into_iter().flatten() {
                let at = row.get(time).and_then(|t| self.time(t));
                let Some(at) = self.moment(line, at, rejected) else { continue };
                for (c, key) in keys.iter().enumerate().filter(|(c, _)| *c != time) {
                    let value = row.get(c).unwrap_or(&Value::Null);
                    put(line, leaf(value, true), value, Found::number(key.trim(), at, 0.0), rejected, emit);
                }
            }
        }
        true
    }
}

/// What an object says of whose it is: a device, else the places that it names, else whatever else tells it from others.
pub(super) fn device_of(object: &Map<String, Value>) -> Option<String> {
    const DEVICES: [&str; 25] = [
        "device",
        "device_id",
        "deviceId",
        "deviceid",
        "device_name",
        "deviceName",
        "dev_id",
        "dev_eui",
        "devEUI",
        "devEui",
        "node",
        "node_id",
        "nodeId",
        "sensor_id",
        "sensorId",
        "sensor_name",
        "sensor",
        "station",
        "station_id",
        "host",
        "mac",
        "serial",
        "meter",
        "meter_id",
        "thing",
    ];
    const PLACES: [&str; 9] = ["site", "building", "house", "floor", "room", "zone", "location", "raum", "standort"];
    const OTHERS: [&str; 6] = ["entity_id", "topic", "name", "id", "tag", "channel"];
    let word = |key: &str| match object.get(key)? {
        Value::String(text) if !text.is_empty() && text.len() <= 128 => Some(text.clone()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    };
    let first = |keys: &[&str]| keys.iter().find_map(|key| word(key));
    let text_of_others =
        || OTHERS.iter().filter(|k| object.get(**k).is_some_and(Value::is_string)).find_map(|k| word(k));
    let places = || {
        let found: Vec<String> =
            PLACES.iter().filter(|k| object.get(**k).is_some_and(Value::is_string)).filter_map(|k| word(k)).collect();
        (!found.is_empty()).then(|| found.join(" "))
    };
    first(&DEVICES).or_else(places).or_else(text_of_others)
}
