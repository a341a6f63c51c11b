//! A home of rooms as lines of text, in the order in which a small model reads them best.

use std::fmt::Write as _;

use nearfield_base::lists::joined;
use serde_json::{Map, Value};

use super::{DoorState, Rooms};
use crate::model::one_line;

impl Rooms {
    /// The home as it stands in the system message, without a final newline; empty when there is nothing to say.
    ///
    /// It is grouped by what people ask for, so that also a small model reads off which lights are on and where it is warmest,
    /// and has each thing's state behind its name, so that one thing is looked up as easily; what changes most often comes
    /// last, so that a cache keeps what is before it. A room without a light or a reading that others have is named as such.
    ///
    /// ```text
    /// lights on: hall=on
    /// lights off: kitchen=off, bath=off and den=off
    /// no light: attic=none
    /// doors locked: front door=locked
    /// devices on: heater=on
    /// no humidity: attic=none
    /// humidity %, highest first: hall=45, kitchen=40
    /// temperature °C, warmest first: kitchen=21.5, hall=19, attic=-3.2
    /// attic: window open
    /// outside: 4 °C, rain
    /// ```
    pub fn render(&self) -> String {
        let named = |key| self.part(key).map(|(name, value)| (one_line(name), value)).collect::<Vec<_>>();
        let rooms = named("rooms");
        let mut lines = Vec::new();
        by_state(&mut lines, "lights", &["on", "off"], &rooms, |room| &room["light"]);
        lacking(&mut lines, "light", &rooms, |room| room["light"].is_string());
        by_state(&mut lines, "doors", &DoorState::WORDS, &named("doors"), |door| door);
        by_state(&mut lines, "devices", &["on", "off"], &named("devices"), |device| device);
        ranked(&mut lines, ("humidity", "humidity_pct"), "humidity %, highest first", &rooms);
        ranked(&mut lines, ("temperature", "temperature_c"), "temperature °C, warmest first", &rooms);
        for (name, room) in &rooms {
            let facts = room.as_object().map(|room| extras(room, &["temperature_c", "humidity_pct", "light"]));
            if let Some(facts) = facts.filter(|facts| !facts.is_empty()) {
                lines.push(format!("{name}: {}", facts.join(", ")));
            }
        }
        let outside = outside_facts(self.state.get("outside"));
        if !outside.is_empty() {
            lines.push(format!("outside: {}", outside.join(", ")));
        }
        lines.join("\n")
    }
}

/// Adds a line for each state that something is in: `doors open: gate=open and hatch=open`.
fn by_state(
    lines: &mut Vec<String>,
    what: &str,
    words: &[&str],
    things: &[(String, &Value)],
    state: impl Fn(&Value) -> &Value,
) {
    for word in words {
        let within = things.iter().filter(|(_, thing)| state(thing).as_str() == Some(word));
        let named: Vec<String> = within.map(|(name, _)| format!("{name}={word}")).collect();
        if !named.is_empty() {
            lines.push(format!("{what} {word}: {}", joined(&named)));
        }
    }
}

/// Adds a line with the rooms that do not have what others have.
fn lacking(lines: &mut Vec<String>, what: &str, rooms: &[(String, &Value)], has: impl Fn(&Value) -> bool) {
    let without: Vec<String> =
        rooms.iter().filter(|(_, room)| !has(room)).map(|(name, _)| format!("{name}=none")).collect();
    if !without.is_empty() && without.len() < rooms.len() {
        lines.push(format!("no {what}: {}", joined(&without)));
    }
}

/// Adds a line with the readings of the rooms, the highest first and equal ones in the file's order.
fn ranked(lines: &mut Vec<String>, (what, key): (&str, &str), title: &str, rooms: &[(String, &Value)]) {
    lacking(lines, what, rooms, |room| room[key].is_number());
    let mut readings: Vec<(f64, String)> = rooms
        .iter()
        .filter_map(|(name, room)| match &room[key] {
            Value::Number(number) => Some((number.as_f64()?, format!("{name}={}", shortest(number)))),
            _ => None,
        })
        .collect();
    readings.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    if !readings.is_empty() {
        let shown: Vec<String> = readings.into_iter().map(|(_, shown)| shown).collect();
        lines.push(format!("{title}: {}", shown.join(", ")));
    }
}

fn outside_facts(outside: Option<&Value>) -> Vec<String> {
    let Some(outside) = outside.and_then(Value::as_object) else { return Vec::new() };
    let mut facts = Vec::new();
    if let Some(Value::Number(celsius)) = outside.get("temperature_c") {
        facts.push(format!("{} °C", shortest(celsius)));
    }
    if let Some(Value::Number(percent)) = outside.get("humidity_pct") {
        facts.push(format!("humidity {} %", shortest(percent)));
    }
    if let Some(weather) = outside.get("weather").and_then(Value::as_str).map(one_line).filter(|it| !it.is_empty()) {
        facts.push(weather);
    }
    facts.extend(extras(outside, &["temperature_c", "humidity_pct", "weather"]));
    facts
}

/// The scalar fields beyond the known ones, as "name value"; objects and lists stay in the file only.
fn extras(of: &Map<String, Value>, known: &[&str]) -> Vec<String> {
    let mut facts = Vec::new();
    for (name, value) in of.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        let value = match value {
            Value::Bool(yes) => yes.to_string(),
            Value::Number(number) => shortest(number),
            Value::String(text) => one_line(text),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        let mut fact = one_line(name);
        let _ = write!(fact, " {value}"); // writing to a String cannot fail
        facts.push(fact.trim().to_owned());
    }
    facts
}

/// 21.5, 4 (for 4.0), -3.2; never "-0". Numbers beyond any sensor are shortened to an exponent.
fn shortest(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(0.0)) => "0".to_owned(),
        (None, Some(real)) if real.abs() >= 1e15 || real.abs() < 1e-6 => format!("{real:e}"),
        (None, Some(real)) => real.to_string(),
        (None, None) => number.to_string(),
    }
}
