//! What the keys of an object in JSON say: which holds its time, whose it is, which quantity a lone value is, and its unit.

use serde_json::{Map, Value};

use super::header::{TIME_NAMES, UNIT_NAMES, VALUE_NAMES, joined, names_device_id};
use super::json::{Leaf, leaf};
use super::systems::device_of;
use crate::unit;

/// Keys whose text tells the quantity of a value beside it.
const QUANTITIES: [&str; 11] = [
    "attribute",
    "metric",
    "quantity",
    "measurement",
    "measurement_type",
    "parameter",
    "property",
    "variable",
    "field",
    "type",
    "sensor_type",
];
/// Types that say nothing of the quantity.
const NO_QUANTITY: [&str; 10] =
    ["sensor", "reading", "measurement", "telemetry", "data", "event", "state", "value", "state_changed", "number"];
/// Objects whose texts tell what a record is of.
const LABELS: [&str; 4] = ["tags", "labels", "tag", "dimensions"];
/// Objects in which a device is named.
const NAMED: [&str; 13] = [
    "device",
    "sensor",
    "node",
    "station",
    "meter",
    "host",
    "thing",
    "SystemProperties",
    "systemProperties",
    "deviceInfo",
    "Body",
    "body",
    "meta",
];
/// Longer texts name no device.
const MAX_WORD: usize = 128;

/// The keys that may hold the time of an object, under other names than the usual ones: the likeliest first, in groups of which one must
/// decide.
pub(super) fn time_keys(object: &Map<String, Value>) -> [Vec<&str>; 3] {
    const MEASURED: [&str; 9] =
        ["measur", "observ", "reading", "sample", "record", "event", "enqueued", "local", "log"];
    const OTHERS: [&str; 14] = [
        "expir", "until", "due", "next", "uptime", "runtime", "birth", "install", "update", "modified", "end", "last",
        "boot", "generat",
    ];
    let mut found: [Vec<&str>; 3] = Default::default();
    for key in object.keys().filter(|key| key.len() <= 64) {
        let plain = joined(key);
        let is_time =
            ["time", "timestamp", "timeutc", "datetime", "date", "timestamputc"].iter().any(|end| plain.ends_with(end))
                || key.ends_with("At")
                || key.ends_with("_at");
        if TIME_NAMES.iter().any(|name| joined(name) == plain) {
            found[0].push(key);
        } else if is_time && !OTHERS.iter().any(|w| plain.contains(w)) {
            found[if MEASURED.iter().any(|w| plain.contains(w)) { 1 } else { 2 }].push(key);
        }
    }
    found
}

/// A word that tells a device from others.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= MAX_WORD => Some(text.clone()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Whose an object is, as far as it tells: its own device, a device or tags in an object within, else the places that it names.
pub(super) fn origin(object: &Map<String, Value>) -> Option<String> {
    // rtl_433: the model, its channel and its number together.
    if let (Some(model), Some(id)) = (object.get("model").and_then(Value::as_str), object.get("id").and_then(word)) {
        let channel = object.get("channel").and_then(word);
        let words = [Some(model.to_owned()), channel, Some(id)];
        return Some(words.into_iter().flatten().collect::<Vec<_>>().join(" "));
    }
    let named =
        || object.iter().find(|(key, value)| names_device_id(key) && word(value).is_some()).and_then(|(_, v)| word(v));
    let inner = |key: &&str| object.get(*key).and_then(Value::as_object);
    let labels = || {
        let labels = LABELS.iter().find_map(inner)?;
        let words: Vec<&str> =
            labels.values().filter_map(Value::as_str).filter(|w| !w.is_empty() && w.len() <= MAX_WORD).collect();
        (!words.is_empty() && words.len() <= 8).then(|| words.join(" "))
    };
    let within = || {
        NAMED.iter().filter_map(inner).find_map(|inner| {
            let named = ["name", "id"].iter().find_map(|key| inner.get(*key).and_then(word));
            device_in(inner).or(named.filter(|_| !inner.contains_key("version")))
        })
    };
    match device_of(object) {
        // A name of what is measured is no device where tags tell one.
        Some(device) => match labels() {
            Some(labels) if device_in(object).is_none() => Some(labels),
            _ => Some(device),
        },
        None => named().or_else(labels).or_else(within),
    }
    .filter(|found| found.len() <= 4 * MAX_WORD)
}

/// The device that a message is of, where its topic does not name it, as of a receiver that reports what it hears of many.
pub(super) fn device_within(topic: &str, body: &Value) -> String {
    let plain = |text: &str| text.replace(['_', ':'], " ").trim().to_owned();
    let of = |object: &Map<String, Value>| match object.contains_key("model") && object.contains_key("id") {
        true => origin(object),
        false => device_in(object),
    };
    let found = body.as_object().and_then(of).unwrap_or_default();
    let is_named = found.is_empty() || topic.split('/').any(|part| plain(part) == plain(&found));
    if is_named { String::new() } else { found }
}

/// The device that an object names by a key which holds nothing else.
fn device_in(object: &Map<String, Value>) -> Option<String> {
    object.iter().find_map(|(key, value)| match names_device_id(key) || key == "device" || key == "node" {
        true => word(value),
        false => None,
    })
}

/// The texts by which a value alone in its object is told from others: device, sensor, quantity.
pub(super) fn name_of_value(object: &Map<String, Value>, sensor: Option<&str>, around: &str) -> Option<String> {
    let quantity = QUANTITIES.iter().find_map(|key| object.get(*key)?.as_str()).filter(|q| !NO_QUANTITY.contains(q));
    if sensor.is_none() && quantity.is_none() {
        return None;
    }
    let device = origin(object);
    let mut words: Vec<&str> = Vec::new();
    for word in [Some(around), device.as_deref(), sensor, quantity].into_iter().flatten() {
        // A device's name that the sensor's begins with says nothing new.
        if !word.is_empty() && word.len() <= 4 * MAX_WORD && !words.contains(&word) {
            words.push(word);
        }
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// The value of an object that holds no more than a value and its unit, with the unit: `{"value": 20.1, "unit": "°C"}`.
pub(super) fn value_in_unit(object: &Map<String, Value>) -> Option<(&str, &Value, &str)> {
    let (key, value) = VALUE_NAMES.iter().find_map(|key| object.get_key_value(*key))?;
    let unit = UNIT_NAMES.iter().chain(&["unitCode"]).find_map(|key| object.get(*key)?.as_str())?;
    // Other numbers and states beside them are readings too.
    let holds_more = object.iter().any(|(other, beside)| {
        let is_silent = other == key || matches!(leaf(beside, false), Leaf::Text | Leaf::Empty);
        !is_silent || beside.is_array() || beside.is_object()
    });
    let is_scalar = !holds_more;
    // `wmoUnit:degC`
    let unit = unit.rsplit_once(':').map_or(unit, |(_, unit)| unit);
    is_scalar.then_some((key.as_str(), value, unit::tidy(unit)))
}

/// Numbers that count messages.
pub(super) fn counts_messages(name: &str) -> bool {
    matches!(joined(name).as_str(), "messageid" | "msgid" | "entryid" | "sequencenumber")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn whose_an_object_is() {
        for (text, whose) in [
            (r#"{"clientId":"dev1","payload":{"temperature":20.1}}"#, Some("dev1")),
            (r#"{"tags":{"room":"a"},"name":"climate"}"#, Some("a")),
            (r#"{"model":"Nexus-TH","id":55,"channel":1}"#, Some("Nexus-TH 1 55")),
            (r#"{"SystemProperties":{"connectionDeviceId":"dev1"}}"#, Some("dev1")),
            (r#"{"Body":{"deviceId":"dev2"}}"#, Some("dev2")),
            (r#"{"sensor":{"id":7,"name":"attic"}}"#, Some("attic")),
            (r#"{"device_id":"d","room":"a"}"#, Some("d")),
            (r#"{"temperature":20}"#, None),
            (r#"{"messageId":"x"}"#, None),
        ] {
            assert_eq!(origin(&object(text)).as_deref(), whose, "{text}");
        }
    }

    #[test]
    fn names_of_times_are_known_however_their_words_are_joined() {
        let first = |text: &str| time_keys(&object(text)).into_iter().flatten().next().map(str::to_owned);
        for key in [
            "@timestamp",
            "eventTime",
            "createdAt",
            "measuredAt",
            "EnqueuedTimeUtc",
            "readingTime",
            "LocalTime",
            "dateTime",
        ] {
            assert_eq!(first(&format!("{{\"temp\":1,{key:?}:0}}")).as_deref(), Some(key));
        }
        for key in ["uptime", "expiresAt", "lat", "format", "lastUpdate", "endTime"] {
            assert_eq!(first(&format!("{{{key:?}:0}}")), None, "{key}");
        }
    }
}
