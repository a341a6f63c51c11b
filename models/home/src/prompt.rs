//! The text of a home for a language model. First what there is (areas with their entities), which changes when somebody edits the
//! home; then the states, those that change seldom before those that change by themselves, so that a cache keeps what stands
//! before a change. Of a large home only what the request may be about is told.

use std::collections::HashSet;

use nearfield_base::lists::joined;

use crate::domain::Domain;
use crate::model::{Entity, Home};

/// What a request is about, as far as it is known before a model reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Focus<'a> {
    /// The words of the request.
    pub request: &'a str,
    /// The area of the device that was spoken to.
    pub area: Option<&'a str>,
    /// The ids of entities that were used lately, the newest first.
    pub recent: &'a [String],
}

/// The entities that the prompt tells of, in the file's order: all of them where there are at most `most`, else those that the
/// request's words, its area, the asking device's area and recent use speak for.
pub fn chosen<'a>(home: &'a Home, focus: &Focus<'_>, most: usize) -> Vec<&'a Entity> {
    if home.entities().len() <= most {
        return home.entities().iter().collect();
    }
    let words: HashSet<String> = stems(focus.request).collect();
    let hits = |text: &str| stems(text).filter(|stem| words.contains(stem)).count();
    let mut scored: Vec<(i64, usize)> = home
        .entities()
        .iter()
        .enumerate()
        .map(|(at, entity)| {
            let name = entity.names().map(|name| 4 * hits(name)).max().unwrap_or(0);
            let area = home.area_of(entity);
            let in_area = area.map_or(0, |area| {
                std::iter::once(&area.name).chain(&area.aliases).map(|name| 3 * hits(name)).max().unwrap_or(0)
            });
            let on_floor = home.floor_of(entity).map_or(0, |floor| 2 * hits(&floor.name));
            let kind = 3 * (hits(entity.domain.noun()) + entity.device_class().map_or(0, hits)).min(1);
            let is_here = area.is_some_and(|area| Some(area.id.as_str()) == focus.area);
            let here = if is_here { 2 } else { 0 };
            let recent = if focus.recent.iter().take(10).any(|id| *id == entity.id) { 2 } else { 0 };
            // What can be controlled comes before what only tells something.
            let controlled = usize::from(!entity.domain.is_read_only());
            ((name + in_area + on_floor + kind + here + recent + controlled) as i64, at)
        })
        .collect();
    scored.sort_by_key(|(score, at)| (-score, *at));
    scored.truncate(most);
    let mut kept: Vec<usize> = scored.into_iter().map(|(_, at)| at).collect();
    kept.sort_unstable();
    kept.into_iter().map(|at| &home.entities()[at]).collect()
}

/// What there is and how it is, without a final newline; empty where nothing is told.
///
/// ```text
/// Kitchen: Kitchen Light (light), Fridge (temperature sensor)
/// Hall: Front Door (lock)
/// States:
/// Front Door: locked
/// Kitchen Light: on, 50 % brightness
/// Fridge: 4 °C
/// ```
pub fn text(home: &Home, entities: &[&Entity]) -> String {
    let mut lines = Vec::new();
    for area in home.areas() {
        let there: Vec<String> =
            entities.iter().filter(|e| e.area.as_deref() == Some(&area.id)).map(|e| named(e)).collect();
        if !there.is_empty() {
            let floor = area.floor.as_deref().and_then(|id| home.floor(id));
            let floor = floor.map_or_else(String::new, |floor| format!(" ({})", floor.name));
            lines.push(format!("{}{floor}: {}", area.name, there.join(", ")));
        }
    }
    let elsewhere: Vec<String> = entities.iter().filter(|e| e.area.is_none()).map(|e| named(e)).collect();
    if !elsewhere.is_empty() {
        lines.push(format!("Elsewhere: {}", elsewhere.join(", ")));
    }
    if !entities.is_empty() {
        lines.push("States:".to_owned());
    }
    let mut ordered = entities.to_vec();
    ordered.sort_by_key(|entity| restlessness(entity));
    for entity in ordered {
        let mut name = entity.name.clone();
        let twice = entities.iter().filter(|other| other.name == entity.name).count() > 1;
        if twice {
            name = format!("{name} ({})", kind(entity));
        }
        lines.push(format!("{name}: {}", state(entity)));
    }
    lines.join("\n")
}

fn named(entity: &Entity) -> String {
    format!("{} ({})", entity.name, kind(entity))
}

/// "light", "temperature sensor", "garage cover".
fn kind(entity: &Entity) -> String {
    match entity.device_class() {
        Some(class) => format!("{} {}", class.replace('_', " "), entity.domain.noun()),
        None => entity.domain.noun().to_owned(),
    }
}

/// How often a state changes by itself: what is least restless stands first.
fn restlessness(entity: &Entity) -> u8 {
    match entity.domain {
        Domain::Scene | Domain::Script | Domain::Button | Domain::Automation | Domain::InputButton => 0,
        Domain::Lock | Domain::AlarmControlPanel | Domain::Valve | Domain::Siren => 1,
        Domain::Light | Domain::Switch | Domain::Cover | Domain::Fan | Domain::InputBoolean => 2,
        Domain::Todo | Domain::Calendar | Domain::Vacuum | Domain::LawnMower | Domain::MediaPlayer => 3,
        Domain::Climate | Domain::Humidifier | Domain::WaterHeater => 4,
        Domain::Person | Domain::DeviceTracker | Domain::BinarySensor | Domain::Weather => 5,
        Domain::Sensor => 6,
        _ => 4,
    }
}

/// An entity's state in words and units: "on, 50 % brightness", "heat, set to 21 °C, now 19.5 °C", "3 items: milk, eggs and tea".
pub fn state(entity: &Entity) -> String {
    let mut parts = vec![entity.state.replace('_', " ")];
    let mut add = |text: String| parts.push(text);
    let number = |key: &str| entity.number(key).map(shortest);
    match entity.domain {
        Domain::Light if entity.state == "on" => {
            if let Some(level) = entity.number("brightness") {
                add(format!("{} % brightness", (level / 255.0 * 100.0).round()));
            }
        }
        Domain::Fan if entity.state == "on" => {
            if let Some(percentage) = number("percentage") {
                add(format!("{percentage} % speed"));
            }
        }
        Domain::Cover | Domain::Valve => {
            if let Some(position) = entity.number("current_position").filter(|p| *p > 0.0 && *p < 100.0) {
                add(format!("{} % open", shortest(position)));
            }
        }
        Domain::Climate | Domain::WaterHeater => {
            let unit = entity.unit().unwrap_or("°");
            if let Some(wanted) = number("temperature") {
                add(format!("set to {wanted} {unit}"));
            }
            if let Some(now) = number("current_temperature") {
                add(format!("now {now} {unit}"));
            }
            if let Some(now) = number("current_humidity") {
                add(format!("humidity {now} %"));
            }
        }
        Domain::MediaPlayer if entity.state != "off" => {
            if let Some(volume) = entity.number("volume_level") {
                add(format!("volume {} %", (volume * 100.0).round()));
            }
            for key in ["media_title", "source"] {
                if let Some(text) = entity.text(key) {
                    add(text.to_owned());
                }
            }
        }
        Domain::Sensor | Domain::Number | Domain::InputNumber => {
            if let Some(unit) = entity.unit() {
                parts[0] = format!("{} {unit}", entity.state);
            }
        }
        Domain::BinarySensor => parts[0] = binary(entity).to_owned(),
        Domain::Todo => {
            let items: Vec<String> = entity.open_items().take(20).map(str::to_owned).collect();
            let count = entity.open_items().count();
            parts[0] = match count {
                0 => "empty".to_owned(),
                1 => format!("1 item: {}", items[0]),
                _ => format!("{count} items: {}", joined(&items)),
            };
        }
        Domain::Calendar => {
            let events: Vec<String> = entity.events().take(20).map(|e| format!("{} {}", e.start, e.summary)).collect();
            if !events.is_empty() {
                parts[0] = events.join("; ");
            }
        }
        Domain::Weather => {
            for (key, unit_key, unit) in [
                ("temperature", "temperature_unit", "°C"),
                ("humidity", "", "% humidity"),
                ("wind_speed", "wind_speed_unit", "km/h wind"),
            ] {
                if let Some(value) = number(key) {
                    let unit = entity.text(unit_key).unwrap_or(unit);
                    add(format!("{value} {unit}"));
                }
            }
        }
        _ => {}
    }
    parts.join(", ")
}

/// What a binary sensor's state means for its class.
pub fn binary(entity: &Entity) -> &'static str {
    let on = entity.state == "on";
    let (yes, no) = match entity.device_class().unwrap_or_default() {
        "door" | "garage_door" | "opening" | "window" => ("open", "closed"),
        "lock" => ("unlocked", "locked"),
        "motion" | "moving" | "occupancy" | "sound" | "vibration" | "smoke" | "gas" | "carbon_monoxide" | "tamper" => {
            ("detected", "clear")
        }
        "moisture" => ("wet", "dry"),
        "presence" => ("home", "away"),
        "battery" => ("low", "normal"),
        "battery_charging" => ("charging", "not charging"),
        "connectivity" => ("connected", "disconnected"),
        "plug" => ("plugged in", "unplugged"),
        "power" | "light" => ("on", "off"),
        "problem" => ("problem", "OK"),
        "running" => ("running", "not running"),
        "safety" => ("unsafe", "safe"),
        "cold" => ("cold", "normal"),
        "heat" => ("hot", "normal"),
        "update" => ("update available", "up to date"),
        _ => ("on", "off"),
    };
    if on { yes } else { no }
}

/// 21.5, 4 for 4.0.
fn shortest(number: f64) -> String {
    let rounded = (number * 100.0).round() / 100.0;
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

/// The words of a text, small and without their plural's s; the commonest words are left out.
fn stems(text: &str) -> impl Iterator<Item = String> {
    const COMMON: [&str; 24] = [
        "the", "a", "an", "in", "on", "off", "of", "to", "and", "is", "are", "it", "turn", "set", "please", "my",
        "all", "at", "for", "what", "can", "you", "i", "with",
    ];
    let lower = text.to_lowercase();
    let words: Vec<String> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !COMMON.contains(word))
        .map(|word| if word.len() > 3 { word.trim_end_matches('s').to_owned() } else { word.to_owned() })
        .collect();
    words.into_iter()
}
