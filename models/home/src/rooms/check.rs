//! Whether a file of rooms has values of the kinds that the form asks for.

use serde_json::{Map, Value};

use super::DoorState;
use crate::error::FormatError;
use crate::model::one_line;

/// Refuses a document whose known keys have values of another kind.
pub(super) fn check(state: &Map<String, Value>) -> Result<(), FormatError> {
    let part = |key: &'static str| match state.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(part)) => Ok(Some(part)),
        Some(other) => Err(wrong(key, "an object", other)),
    };
    let number = |key: String, value: Option<&Value>| match value {
        None | Some(Value::Null | Value::Number(_)) => Ok(()),
        Some(other) => Err(wrong(&key, "a number", other)),
    };
    for (name, room) in part("rooms")?.into_iter().flatten() {
        let Value::Object(fields) = room else {
            return Err(wrong(&format!("rooms.{name}"), "an object", room));
        };
        for key in ["temperature_c", "humidity_pct"] {
            number(format!("rooms.{name}.{key}"), fields.get(key))?;
        }
        match fields.get("light") {
            None | Some(Value::Null) => {}
            Some(Value::String(light)) if light == "on" || light == "off" => {}
            Some(other) => return Err(wrong(&format!("rooms.{name}.light"), "\"on\" or \"off\"", other)),
        }
    }
    for (name, state) in part("doors")?.into_iter().flatten() {
        if !(state.is_null() || state.as_str().is_some_and(|word| DoorState::from_word(word).is_some())) {
            let expected = "\"locked\", \"unlocked\", \"open\" or \"closed\"";
            return Err(wrong(&format!("doors.{name}"), expected, state));
        }
    }
    for (name, state) in part("devices")?.into_iter().flatten() {
        if !(state.is_null() || matches!(state.as_str(), Some("on" | "off"))) {
            return Err(wrong(&format!("devices.{name}"), "\"on\" or \"off\"", state));
        }
    }
    if let Some(outside) = part("outside")? {
        number("outside.temperature_c".to_owned(), outside.get("temperature_c"))?;
        number("outside.humidity_pct".to_owned(), outside.get("humidity_pct"))?;
        match outside.get("weather") {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => return Err(wrong("outside.weather", "a text", other)),
        }
    }
    Ok(())
}

pub(super) fn wrong(key: &str, expected: &str, found: &Value) -> FormatError {
    FormatError::Rooms(format!("`{}` must be {expected}, but it is {}", one_line(key), describe(found)))
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => {
            let short: String = text.chars().take(40).collect();
            format!("the text {short:?}")
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
