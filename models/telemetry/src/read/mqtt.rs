//! What an MQTT message holds: every number and every state of it, named by device and path. Knows the topics of Tasmota,
//! Zigbee2MQTT, Shelly, ESPHome, Home Assistant and ThingsBoard; of others it takes what can be a reading.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::json::{Leaf, leaf};
use super::json_keys::{device_within, name_of_value};
use super::json_record::leaves;
use super::mqtt_names::{INTERNAL, contact};
use super::rejected::Cause;
use super::time::json_stamp;
use super::{Emit, Found, Rejected, json_times, missing, states};
use crate::Moment;
use crate::clock::Stamp;
use crate::kind::Kind;
use crate::unit;

/// Numbers in one message.
const MAX_LEAVES: usize = 4096;
/// Keys of a message's time.
const TIME_KEYS: [&str; 9] =
    ["timestamp", "time", "ts", "Time", "last_seen", "datetime", "Timestamp", "unixtime", "epoch"];
/// Where a message's readings go: the reading, and the time that it brings.
pub type LiveEmit<'a> = dyn FnMut(Found<'_>, Stamp) + 'a;

/// Whose topic it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Tasmota,
    Zigbee,
    Shelly,
    EspHome,
    HomeAssistant,
    ThingsBoard,
    Other,
}

/// A topic: who sent it, what its device is called, and what it says of the reading.
struct Topic {
    sender: Sender,
    device: String,
    /// Words behind the device's.
    what: String,
}

fn words(text: &str) -> String {
    text.replace(['_', ':'], " ").trim().to_owned()
}

/// Topic and payload of a line. A topic may hold spaces, as of Zigbee2MQTT's devices: it ends before JSON, else with the last word that a
/// slash joins.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let first = line.split_once(' ')?;
    for (at, _) in line.match_indices(' ').filter(|(at, _)| line[at + 1..].starts_with(['{', '['])) {
        let (topic, payload) = (&line[..at], &line[at + 1..]);
        if first.1.len() > payload.len() && serde_json::from_str::<serde::de::IgnoredAny>(payload).is_ok() {
            return Some((topic, payload));
        }
    }
    if first.1.starts_with(['{', '[', '"']) {
        return Some(first);
    }
    // `zigbee2mqtt/living room/availability online`
    let within = first.1.rfind('/').filter(|_| first.0.contains('/'));
    match within.and_then(|slash| first.1[slash..].find(' ').map(|space| first.0.len() + 1 + slash + space)) {
        Some(at) => Some((&line[..at], &line[at + 1..])),
        None => Some(first),
    }
}

/// What a topic says; `None` for one that never holds a reading.
fn topic(topic: &str) -> Option<Topic> {
    let parts: Vec<&str> = topic.split('/').filter(|p| !p.is_empty()).collect();
    let of = |sender, device: &str, what: &str| Some(Topic { sender, device: words(device), what: words(what) });
    match parts.as_slice() {
        ["tele" | "stat", device @ .., kind] if !device.is_empty() => match *kind {
            "SENSOR" | "STATE" | "STATUS8" | "STATUS10" | "STATUS11" | "RESULT" | "ENERGY" => {
                of(Sender::Tasmota, &device.join(" "), "")
            }
            "LWT" => of(Sender::Tasmota, &device.join(" "), "link"),
            kind if kind.starts_with("POWER") => of(Sender::Tasmota, &device.join(" "), kind),
            kind if kind.starts_with("INFO")
                || kind.starts_with("STATUS")
                || matches!(kind, "LOGGING" | "HASS_STATE" | "UPTIME") =>
            {
                None
            }
            kind => of(Sender::Tasmota, &device.join(" "), kind),
        },
        ["zigbee2mqtt", "bridge", ..] => None,
        ["zigbee2mqtt", device @ .., "availability"] if !device.is_empty() => {
            of(Sender::Zigbee, &device.join(" "), "link")
        }
        ["zigbee2mqtt", .., "set" | "get"] => None,
        ["zigbee2mqtt", device @ ..] if !device.is_empty() => of(Sender::Zigbee, &device.join(" "), ""),
        ["shellies", "announce"] | ["shellies", "command"] => None,
        ["shellies", _, "info" | "announce" | "command"] => None,
        ["shellies", _, .., "command"] => None,
        ["shellies", device, "online"] => of(Sender::Shelly, device, "link"),
        ["shellies", device, "sensor", what @ ..] => of(Sender::Shelly, device, &what.join(" ")),
        ["shellies", device, what @ ..] => of(Sender::Shelly, device, &what.join(" ")),
        [device @ .., "status", channel] if !device.is_empty() && channel.contains(':') => {
            of(Sender::Shelly, &device.join(" "), channel)
        }
        [device @ .., "events", "rpc"] if !device.is_empty() => of(Sender::Shelly, &device.join(" "), ""),
        [.., "rpc"] => None,
        ["nearfield", ..] => None,
        [base, "sensor" | "binary_sensor" | "switch" | "climate" | "light" | "number", object, ..]
            if matches!(*base, "homeassistant" | "statestream" | "hass") && object.starts_with("nearfield_") =>
        {
            None
        }
        ["homeassistant", .., "config"] => None,
        ["homeassistant" | "statestream" | "hass", "status"] => None,
        [base, domain, object, what] if matches!(*base, "homeassistant" | "statestream" | "hass") => {
            // An entity's attributes: its range, its step, its icon; its state is the reading.
            let is_measured = matches!(*what, "state" | "current_temperature" | "current_humidity");
            let is_domain = matches!(
                *domain,
                "sensor"
                    | "binary_sensor"
                    | "switch"
                    | "climate"
                    | "cover"
                    | "lock"
                    | "person"
                    | "device_tracker"
                    | "fan"
                    | "number"
                    | "input_number"
                    | "input_boolean"
                    | "light"
                    | "media_player"
                    | "vacuum"
                    | "water_heater"
                    | "humidifier"
                    | "counter"
                    | "input_select"
                    | "select"
                    | "sun"
                    | "weather"
                    | "alarm_control_panel"
            );
            let what = if *what == "state" { "" } else { *what };
            if is_measured && is_domain { of(Sender::HomeAssistant, object, what) } else { None }
        }
        [
            device @ ..,
            "sensor" | "binary_sensor" | "switch" | "text_sensor" | "number" | "select" | "light" | "fan" | "cover"
            | "climate",
            name,
            "state",
        ] if !device.is_empty() => of(Sender::EspHome, &device.join(" "), name),
        [.., "debug"] | [.., "command"] if parts.len() > 1 => None,
        ["v1", "devices", "me", "telemetry"] => of(Sender::ThingsBoard, "", ""),
        ["v1", "gateway", "telemetry"] => of(Sender::ThingsBoard, "", ""),
        ["v1", "devices", "me", ..] | ["v1", "gateway", ..] => None,
        _ => {
            let tail: Vec<&str> = parts.iter().rev().take(2).rev().copied().collect();
            of(Sender::Other, &tail.join(" "), "")
        }
    }
}

/// What a message holds. `time` is the path of its time where a mapping gives one; empty: where devices usually put it.
pub fn message(
    name: &str,
    payload: &str,
    time: &str,
    zone: &TimeZone,
    rejected: &mut Rejected,
    emit: &mut LiveEmit<'_>,
) {
    let Some(topic) = topic(name) else { return };
    let text = payload.trim();
    let device_and = |what: &str| format!("{} {what}", topic.device).trim().to_owned();
    if !text.starts_with(['{', '[', '"']) {
        let value = Value::String(text.to_owned());
        let what = if topic.what.is_empty() { topic.device.clone() } else { device_and(&topic.what) };
        let known = topic.sender != Sender::Other;
        let (unit, kind) = quantity(last_word(&topic.what), topic.sender, &Value::Null);
        let label = if known { what.as_str() } else { "" };
        let found = Found { name: label, unit, kind, ..Found::number(name, Moment(0), 0.0) };
        let is_worded = matches!(topic.sender, Sender::HomeAssistant | Sender::EspHome);
        let entity = name.split_once('/').map_or("", |(_, entity)| entity);
        let found_leaf = leaf(&value, is_worded);
        match if is_worded { found_leaf.of_several(entity, '/', &value) } else { found_leaf } {
            Leaf::Text if text.is_empty() => rejected.empty += 1,
            Leaf::Text => rejected.cell(Cause::NotANumber, name, 0, text),
            found_leaf => put(found_leaf, &value, found, Stamp::None, rejected, emit),
        }
        return;
    }
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        rejected.malformed += 1;
        return;
    };
    if topic.sender == Sender::ThingsBoard && things_board(&json, zone, rejected, emit) {
        return;
    }
    let (body, inner_path) = body(&json, topic.sender);
    let own_zone = body.as_object().and_then(json_times::zone);
    let zone = own_zone.as_ref().unwrap_or(zone);
    let joined = body.as_object().and_then(json_times::date_and_clock);
    let joined_text = joined.as_ref().map(|(text, _)| Value::String(text.clone()));
    let stamp = match time {
        "" if joined_text.is_some() => {
            let mut whole = body.as_object().into_iter().flat_map(json_times::whole).map(|(_, value)| value);
            whole.find(|value| matches!(json_stamp(value, zone), Some(Stamp::At(_)))).or(joined_text.as_ref())
        }
        "" => TIME_KEYS.iter().find_map(|k| body.get(*k).or_else(|| json.get(*k))).filter(|v| !v.is_null()),
        path => match super::json::lookup(&json, path) {
            Some(found) => Some(found),
            None => {
                rejected.without_time += 1;
                return;
            }
        },
    };
    let stamp = match stamp {
        None => Stamp::None,
        Some(value) => match json_stamp(value, zone) {
            Some(stamp) => stamp,
            None => {
                rejected.without_time += 1;
                return;
            }
        },
    };
    if !body.is_object() {
        match leaf(body, false) {
            Leaf::Text => rejected.without_reading += 1,
            found => put(found, body, Found::number(name, Moment(0), 0.0), stamp, rejected, emit),
        }
        return;
    }
    let mut path = String::new();
    let mut budget = MAX_LEAVES;
    let mut n = 0;
    let device = if topic.sender == Sender::Other { device_within(name, body) } else { String::new() };
    let quantity_of =
        body.as_object().filter(|_| topic.sender == Sender::Other).and_then(|o| name_of_value(o, None, ""));
    leaves(body, &mut path, 0, &mut budget, &mut |path, own, value, told| {
        let is_time = TIME_KEYS.contains(&own) && json_stamp(value, zone).is_some();
        let is_part = joined.as_ref().is_some_and(|(_, keys)| keys.contains(&path)) || json_times::is_zone(own, value);
        let is_label = own == "channel" && !device.is_empty();
        let is_no_reading = is_time || is_part || is_label || INTERNAL.contains(&own);
        if is_no_reading || path.starts_with("update.") || path.starts_with("sys.") {
            return;
        }
        let mut found_leaf = leaf(value, false);
        if matches!(found_leaf, Leaf::Text) || (topic.sender == Sender::Zigbee && own == "update") {
            return;
        }
        if let Leaf::Number(_, _) = found_leaf
            && value.is_string()
            && !matches!(topic.sender, Sender::ThingsBoard | Sender::Shelly)
            && value.as_str().is_some_and(|v| v.matches('.').count() > 1 || v.len() > 12)
        {
            return;
        }
        if let Leaf::State(_, value, _) = found_leaf
            && let Some((states, is_reversed)) = contact(own)
        {
            found_leaf = Leaf::State(Kind::Binary, if is_reversed { 1.0 - value } else { value }, states);
        }
        n += 1;
        let within = match device.is_empty() {
            true => path.replace('.', "/"),
            false => format!("{device}/{}", path.replace('.', "/")),
        };
        let is_value = own == "value" && path == own;
        let key = match (is_value, inner_path.is_empty()) {
            (true, _) => match &quantity_of {
                // Readings of several quantities or devices under one topic.
                Some(quantity) => format!("{name}/{quantity}"),
                None if !device.is_empty() => format!("{name}/{device}"),
                None => name.to_owned(),
            },
            (false, true) => format!("{name}/{within}"),
            (false, false) => format!("{name}/{inner_path}/{within}"),
        };
        let label = match topic.sender {
            Sender::Other if !within.contains('/') => String::new(),
            Sender::Other if !device.is_empty() => match (is_value, &quantity_of) {
                (true, Some(quantity)) => words(quantity),
                (true, None) => words(&device),
                _ => words(&format!("{device} {}", path.replace('.', " "))),
            },
            _ => {
                let what = words(&path.replace('.', " "));
                let begin = if topic.what.is_empty() { topic.device.clone() } else { device_and(&topic.what) };
                format!("{begin} {what}")
            }
        };
        let (unit, kind) = quantity(own, topic.sender, body);
        let unit = if unit.is_empty() { told } else { unit };
        put(
            found_leaf,
            value,
            Found { name: &label, unit, kind, ..Found::number(&key, Moment(0), 0.0) },
            stamp,
            rejected,
            emit,
        );
    });
    if n == 0 {
        rejected.without_reading += 1;
    }
}

/// Where in a message the readings are.
fn body(json: &Value, sender: Sender) -> (&Value, &'static str) {
    match sender {
        Sender::Tasmota => match json.get("StatusSNS") {
            Some(inner) => (inner, ""),
            None => (json, ""),
        },
        Sender::Shelly => match json.get("params") {
            Some(inner) => (inner, ""),
            None => (json, ""),
        },
        _ => (json, ""),
    }
}

/// ThingsBoard's telemetry: with times of its own, and of several devices. `false`: it is a plain object.
fn things_board(json: &Value, zone: &TimeZone, rejected: &mut Rejected, emit: &mut LiveEmit<'_>) -> bool {
    let mut points = |device: &str, point: &Value| {
        let stamp = point.get("ts").and_then(|ts| json_stamp(ts, zone)).unwrap_or(Stamp::None);
        for (name, value) in point.get("values").and_then(Value::as_object).into_iter().flatten() {
            let key = format!("{device} {name}").trim().to_owned();
            match leaf(value, true) {
                Leaf::Text => {}
                found => put(found, value, Found::number(&key, Moment(0), 0.0), stamp, rejected, emit),
            }
        }
    };
    if json.get("values").is_some() {
        points("", json);
        return true;
    }
    if let Some(elements) = json.as_array() {
        elements.iter().for_each(|point| points("", point));
        return true;
    }
    let Some(devices) = json.as_object().filter(|o| o.values().all(Value::is_array)) else { return false };
    for (device, series) in devices {
        series.as_array().into_iter().flatten().for_each(|point| points(device, point));
    }
    true
}

fn last_word(text: &str) -> &str {
    text.rsplit(' ').next().unwrap_or(text)
}

/// Unit and kind of what these devices call by this name.
fn quantity(name: &str, sender: Sender, body: &Value) -> (&'static str, Option<Kind>) {
    if sender == Sender::Other || sender == Sender::ThingsBoard || sender == Sender::HomeAssistant {
        return ("", None);
    }
    let said = |key: &str, otherwise: &'static str| match body.get(key).and_then(Value::as_str) {
        Some("F") => "°F",
        Some("C") => "°C",
        Some("mmHg") => "mmHg",
        _ => otherwise,
    };
    let total = Some(Kind::TotalIncreasing);
    match (name, sender) {
        ("Temperature" | "DewPoint", _) => (said("TempUnit", "°C"), None),
        (
            "temperature"
            | "device_temperature"
            | "local_temperature"
            | "tC"
            | "soil_temperature"
            | "current_heating_setpoint",
            _,
        ) => ("°C", None),
        ("tF", _) => ("°F", None),
        ("Humidity" | "humidity" | "rh" | "soil_moisture" | "Moisture", _) => ("%", None),
        ("battery" | "Battery", _) => ("%", Some(Kind::Battery)),
        ("Pressure" | "SeaPressure", _) => (said("PressureUnit", "hPa"), None),
        ("pressure", Sender::Zigbee) => ("hPa", None),
        ("linkquality" | "RSSI" | "rssi", _) => ("", Some(Kind::Signal)),
        ("Signal", Sender::Tasmota) => ("dBm", Some(Kind::Signal)),
        ("power" | "Power" | "apower" | "act_power", _) => ("W", None),
        ("ApparentPower" | "aprt_power", _) => ("VA", None),
        ("ReactivePower", _) => ("var", None),
        // The share of the power that is real, and what came since the message before.
        ("Factor" | "pf", _) => ("", Some(Kind::Measurement)),
        ("Period", Sender::Tasmota) => ("Wh", Some(Kind::Amount)),
        ("current" | "Current", _) => ("A", None),
        ("Voltage", Sender::Tasmota) | ("voltage", Sender::Shelly) => ("V", None),
        ("voltage", Sender::Zigbee) if body.get("battery").is_some() => ("mV", None),
        ("voltage", Sender::Zigbee) => ("V", None),
        ("energy", Sender::Zigbee) => ("kWh", total),
        ("Total", _) => ("kWh", total),
        ("Today" | "Yesterday", _) => ("kWh", None),
        // Shelly counts watt minutes in its first generation, watt hours in the second.
        ("energy", Sender::Shelly) => ("W min", total),
        ("total", Sender::Shelly) => ("Wh", total),
        ("illuminance" | "illuminance_lux" | "Illuminance" | "lux", _) => ("lx", None),
        ("co2" | "CarbonDioxide" | "eCO2", _) => ("ppm", None),
        ("pm25" | "pm10", _) => ("µg/m³", None),
        ("freq" | "frequency" | "Frequency", _) => ("Hz", None),
        _ => ("", None),
    }
}

fn put(
    leaf: Leaf<'_>,
    value: &Value,
    found: Found<'_>,
    stamp: Stamp,
    rejected: &mut Rejected,
    emit: &mut LiveEmit<'_>,
) {
    match leaf {
        Leaf::Empty => rejected.empty += 1,
        Leaf::Number(n, behind) => {
            let unit = if found.unit.is_empty() { unit::tidy(behind) } else { found.unit };
            if missing::is_usual(n) && missing::is_impossible_in(unit) {
                return rejected.missing(found.key);
            }
            emit(Found { value: n, unit, ..found }, stamp);
        }
        Leaf::State(kind, value, states) => emit(Found { value, kind: Some(kind), states, unit: "", ..found }, stamp),
        Leaf::Word(word) => match states::code_of(found.key, &word) {
            Some(value) => emit(Found { value, kind: Some(Kind::States), unit: "", ..found }, stamp),
            None => rejected.cell(Cause::NotANumber, found.key, 0, &word),
        },
        Leaf::Wrong(cause) => rejected.cell(cause, found.key, 0, &value.to_string()),
        Leaf::Text => rejected.cell(Cause::NotANumber, found.key, 0, &value.to_string()),
    }
}

/// A message out of a file, which tells when it came.
pub(super) fn file_message(
    topic: &str,
    payload: &str,
    arrived: Moment,
    zone: &TimeZone,
    line: u64,
    rejected: &mut Rejected,
    emit: &mut Emit<'_>,
) {
    let faults = rejected.faults();
    message(topic, payload, "", zone, rejected, &mut |found, stamp| {
        let at = match stamp {
            Stamp::At(at) => at,
            Stamp::None | Stamp::NoClock => arrived,
        };
        emit(Found { at, ..found });
    });
    if rejected.faults() > faults {
        rejected.at_line(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, name, unit, value and the state's words.
    fn read(topic: &str, payload: &str) -> Vec<(String, String, String, f64, String)> {
        let mut found = Vec::new();
        let mut rejected = Rejected::default();
        message(topic, payload, "", &TimeZone::UTC, &mut rejected, &mut |f, _| {
            found.push((f.key.to_owned(), f.name.to_owned(), f.unit.to_owned(), f.value, f.states[1].to_owned()));
        });
        found
    }

    fn named(topic: &str, payload: &str) -> Vec<(String, f64)> {
        read(topic, payload)
            .into_iter()
            .map(|(key, name, _, v, _)| (if name.is_empty() { key } else { name }, v))
            .collect()
    }

    #[test]
    fn tasmota_s_nested_numbers_are_named_by_device_and_path() {
        let text = r#"{"Time":"2026-03-10T12:00:00","AM2301":{"Temperature":20.5,"Humidity":45.1},"ENERGY":{"TotalStartTime":"2025-01-01T00:00:00","Total":12.3,"Power":40},"TempUnit":"C"}"#;
        let found = read("tele/x/SENSOR", text);
        let short: Vec<_> = found.iter().map(|(_, n, u, v, _)| (n.as_str(), u.as_str(), *v)).collect();
        assert_eq!(
            short,
            [
                ("x AM2301 Temperature", "°C", 20.5),
                ("x AM2301 Humidity", "%", 45.1),
                ("x ENERGY Total", "kWh", 12.3),
                ("x ENERGY Power", "W", 40.0)
            ]
        );
        assert_eq!(found[0].0, "tele/x/SENSOR/AM2301/Temperature");
        assert_eq!(named("stat/plug/POWER", "ON"), [("plug POWER".to_owned(), 1.0)]);
    }

    #[test]
    fn zigbee2mqtt_s_last_seen_is_a_time_and_a_contact_is_a_door() {
        for seen in ["1773144000000", "\"2026-03-10T12:00:00+00:00\""] {
            let text =
                format!(r#"{{"battery":97,"contact":false,"last_seen":{seen},"linkquality":120,"temperature":21.5}}"#);
            let mut at = Vec::new();
            message("zigbee2mqtt/front door", &text, "", &TimeZone::UTC, &mut Rejected::default(), &mut |f, stamp| {
                at.push((f.name.to_owned(), f.value, f.states[1], stamp));
            });
            let noon = Stamp::At(Moment(1_773_144_000_000_000));
            assert_eq!(
                at,
                [
                    ("front door battery".to_owned(), 97.0, "", noon),
                    ("front door contact".to_owned(), 1.0, "open", noon),
                    ("front door linkquality".to_owned(), 120.0, "", noon),
                    ("front door temperature".to_owned(), 21.5, "", noon)
                ]
            );
        }
        assert_eq!(read("zigbee2mqtt/bridge/info", "{\"version\":1}"), []);
    }

    #[test]
    fn shelly_esphome_and_statestream_topics_name_their_readings() {
        assert_eq!(named("shellies/s1/relay/0/power", "12.5"), [("s1 relay 0 power".to_owned(), 12.5)]);
        assert_eq!(named("shellies/s1/relay/0", "on"), [("s1 relay 0".to_owned(), 1.0)]);
        let status = r#"{"id":0,"output":true,"apower":12.3,"aenergy":{"total":512.1,"minute_ts":1773144000},"temperature":{"tC":41.2}}"#;
        let found = named("shellyplus1-a/status/switch:0", status);
        let names: Vec<_> = found.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(
            names,
            [
                "shellyplus1-a switch 0 output",
                "shellyplus1-a switch 0 apower",
                "shellyplus1-a switch 0 aenergy total",
                "shellyplus1-a switch 0 temperature tC"
            ]
        );
        let event =
            r#"{"src":"shellyplus1-a","method":"NotifyStatus","params":{"ts":1773144000.12,"switch:0":{"apower":5}}}"#;
        assert_eq!(named("shellyplus1-a/events/rpc", event), [("shellyplus1-a switch 0 apower".to_owned(), 5.0)]);
        assert_eq!(
            named("kitchen/sensor/air_temperature/state", "21.5"),
            [("kitchen air temperature".to_owned(), 21.5)]
        );
        assert_eq!(named("kitchen/binary_sensor/window/state", "ON"), [("kitchen window".to_owned(), 1.0)]);
        let kinds = ["off", "heat"].map(|state| {
            let mut kind = None;
            let mut emit = |found: Found<'_>, _| kind = found.kind;
            message("homeassistant/climate/hall/state", state, "", &TimeZone::UTC, &mut Rejected::default(), &mut emit);
            kind
        });
        assert_eq!(kinds, [Some(Kind::States); 2], "a thermostat is off or heats, which is not on");
        assert_eq!(
            named("homeassistant/sensor/hall_temperature/state", "19.5"),
            [("hall temperature".to_owned(), 19.5)]
        );
        for attribute in ["min", "max", "step", "editable"] {
            assert_eq!(read(&format!("homeassistant/input_number/x/{attribute}"), "5"), []);
        }
        assert_eq!(read("homeassistant/sensor/nearfield_ab/state", "5"), [], "its own reports do not come back");
    }

    #[test]
    fn things_board_s_times_and_devices_are_kept() {
        let found = named("v1/devices/me/telemetry", r#"{"ts":1773144000000,"values":{"temperature":21.5}}"#);
        assert_eq!(found, [("temperature".to_owned(), 21.5)]);
        let text = r#"{"Device A":[{"ts":1773144000000,"values":{"temperature":21.5,"humidity":40}}],"Device B":[{"values":{"temperature":5}}]}"#;
        let found = named("v1/gateway/telemetry", text);
        assert_eq!(found[2], ("Device B temperature".to_owned(), 5.0));
        assert_eq!(named("v1/devices/me/telemetry", r#"{"temperature":4}"#)[0].1, 4.0);
    }

    #[test]
    fn a_message_without_a_reading_is_counted() {
        let mut rejected = Rejected::default();
        let mut silent = |_: Found<'_>, _: Stamp| panic!("nothing is read");
        message("home/hall", r#"{"note":"a long story of nothing"}"#, "", &TimeZone::UTC, &mut rejected, &mut silent);
        message("home/hall", "a long story of nothing at all", "", &TimeZone::UTC, &mut rejected, &mut silent);
        assert_eq!((rejected.without_reading, rejected.not_a_number), (1, 1));
        assert_eq!(rejected.by_sensor.keys().collect::<Vec<_>>(), ["home/hall"]);
    }
}
