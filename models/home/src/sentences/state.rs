//! States in words: whether an entity "is on", "is open", "is low", and how its state is said.

use crate::domain::Domain;
use crate::model::Entity;
use crate::spoken::write;

/// Whether a word such as "on", "open", "locked", "playing" describes an entity now; `None` where it says nothing about such a
/// thing.
pub fn is(entity: &Entity, word: &str) -> Option<bool> {
    let state = entity.state.as_str();
    if matches!(state, "unavailable" | "unknown" | "") && !matches!(word, "unavailable" | "available") {
        return None;
    }
    let class = entity.device_class().unwrap_or_default();
    let binary = entity.domain == Domain::BinarySensor;
    let opening = binary && matches!(class, "door" | "window" | "opening" | "garage_door" | "garage");
    let on = state == "on";
    let cover = matches!(entity.domain, Domain::Cover | Domain::Valve);
    let lock = entity.domain == Domain::Lock;
    let alarm = entity.domain == Domain::AlarmControlPanel;
    Some(match word {
        "unavailable" | "offline" => state == "unavailable",
        "available" | "online" => state != "unavailable",
        "on" | "running" | "active" | "activated" | "enabled" | "working" => match entity.domain {
            Domain::Cover | Domain::Lock | Domain::Scene | Domain::Person | Domain::Weather | Domain::Todo => {
                return None;
            }
            Domain::Climate | Domain::MediaPlayer | Domain::WaterHeater => state != "off" && state != "standby",
            Domain::Vacuum => state == "cleaning" || state == "returning",
            Domain::LawnMower => state == "mowing",
            Domain::Timer => state == "active",
            Domain::Valve => state == "open" || state == "opening",
            Domain::AlarmControlPanel => state != "disarmed",
            // What draws power runs.
            Domain::Sensor if class == "power" => state.parse::<f64>().ok()? > 3.0,
            Domain::Sensor if state != "on" && state != "off" => return None,
            _ => on,
        },
        // What runs for a while, and has come to its end.
        "finished" => match entity.domain {
            Domain::BinarySensor if matches!(class, "running" | "power" | "") => !on,
            Domain::Switch | Domain::Sensor => return is(entity, "on").map(|on| !on),
            Domain::Vacuum | Domain::LawnMower => matches!(state, "docked" | "idle" | "returning"),
            Domain::MediaPlayer => !matches!(state, "playing" | "paused"),
            _ => return None,
        },
        "off" | "inactive" | "disabled" | "deactivated" => return is(entity, "on").map(|on| !on),
        "open" | "opened" | "ajar" => {
            if cover {
                !matches!(state, "closed" | "closing")
            } else if opening {
                on
            } else {
                return None;
            }
        }
        "closed" | "shut" | "close" => return is(entity, "open").map(|open| !open),
        "opening" => cover.then_some(state == "opening")?,
        "closing" => cover.then_some(state == "closing")?,
        "locked" => {
            if lock {
                state == "locked"
            } else if binary && class == "lock" {
                !on
            } else {
                return None;
            }
        }
        "unlocked" => return is(entity, "locked").map(|locked| !locked),
        "jammed" => lock.then_some(state == "jammed")?,
        "playing" => (entity.domain == Domain::MediaPlayer).then_some(state == "playing")?,
        "paused" => state == "paused",
        "idle" => state == "idle",
        "muted" => {
            entity.attributes.get("is_volume_muted").and_then(serde_json::Value::as_bool).or_else(|| {
                (entity.domain == Domain::MediaPlayer).then(|| entity.number("volume_level") == Some(0.0))
            })?
        }
        "cleaning" | "vacuuming" => (entity.domain == Domain::Vacuum).then_some(state == "cleaning")?,
        "mowing" => (entity.domain == Domain::LawnMower).then_some(state == "mowing")?,
        "docked" | "charging" | "parked" => match entity.domain {
            Domain::Vacuum | Domain::LawnMower => state == "docked",
            _ if class == "battery_charging" => on,
            _ => return None,
        },
        "charged" => return None,
        "returning" => state == "returning",
        "heating" => match entity.text("hvac_action") {
            Some(action) => action == "heating",
            None if entity.domain == Domain::Climate => state == "heat",
            None => return None,
        },
        "cooling" => match entity.text("hvac_action") {
            Some(action) => action == "cooling",
            None if entity.domain == Domain::Climate => state == "cool",
            None => return None,
        },
        "oscillating" => entity.attributes.get("oscillating").and_then(serde_json::Value::as_bool)?,
        "armed" => alarm.then_some(state.starts_with("armed"))?,
        "disarmed" => alarm.then_some(state == "disarmed")?,
        "triggered" => {
            if alarm {
                state == "triggered"
            } else if binary {
                on
            } else {
                return None;
            }
        }
        "home" | "at home" | "in" | "here" => person(entity)?.then_some(state == "home")?,
        "away" | "out" | "gone" | "not home" => person(entity)?.then_some(state != "home")?,
        "wet" | "leaking" | "flooded" => (binary && class == "moisture").then_some(on)?,
        "dry" => (binary && class == "moisture").then_some(!on)?,
        "occupied" => (binary && matches!(class, "occupancy" | "motion" | "presence")).then_some(on)?,
        "empty" | "unoccupied" | "clear" | "vacant" => {
            (binary && matches!(class, "occupancy" | "motion" | "presence" | "smoke" | "gas")).then_some(!on)?
        }
        "detected" | "moving" => binary.then_some(on)?,
        "low" => match (entity.domain, class) {
            (Domain::BinarySensor, "battery") => on,
            (Domain::Sensor, "battery") => state.parse::<f64>().ok()? <= 20.0,
            _ => return None,
        },
        "connected" | "plugged in" => (binary && matches!(class, "connectivity" | "plug")).then_some(on)?,
        "disconnected" | "unplugged" => (binary && matches!(class, "connectivity" | "plug")).then_some(!on)?,
        other => return (state == other).then_some(true),
    })
}

fn person(entity: &Entity) -> Option<bool> {
    matches!(entity.domain, Domain::Person | Domain::DeviceTracker).then_some(true)
}

/// An entity's state as it stands behind "is": "on at 50%", "closed", "21.5 °C".
pub fn words(entity: &Entity) -> String {
    let state = entity.state.as_str();
    let class = entity.device_class().unwrap_or_default();
    match state {
        "unavailable" => return "not available".to_owned(),
        "unknown" | "" if entity.domain != Domain::Scene => return "unknown".to_owned(),
        _ => {}
    }
    let on = state == "on";
    match entity.domain {
        Domain::Light if on => match entity.number("brightness") {
            Some(b) if b < 255.0 && b > 0.0 => format!("on at {}%", (b / 2.55).round()),
            _ => "on".to_owned(),
        },
        Domain::Fan if on => match entity.number("percentage") {
            Some(p) if p > 0.0 => format!("on at {}%", write::number(p)),
            _ => "on".to_owned(),
        },
        Domain::Cover | Domain::Valve => match entity.number("current_position") {
            Some(p) if p > 0.0 && p < 100.0 && state == "open" => format!("{}% open", write::number(p)),
            _ => state.to_owned(),
        },
        Domain::BinarySensor => binary_words(class, on).to_owned(),
        Domain::Climate => climate_words(entity),
        Domain::MediaPlayer => match (state, entity.text("media_title"), entity.text("media_artist")) {
            ("playing", Some(title), Some(artist)) => format!("{state} {title} by {artist}"),
            ("playing", Some(title), None) => format!("{state} {title}"),
            ("paused", Some(title), Some(artist)) => format!("{state}: {title} by {artist}"),
            ("paused", Some(title), None) => format!("{state}: {title}"),
            _ => state.to_owned(),
        },
        Domain::Person | Domain::DeviceTracker => match state {
            "home" => "at home".to_owned(),
            "not_home" => "away".to_owned(),
            zone => format!("at {zone}"),
        },
        Domain::Vacuum | Domain::LawnMower => match state {
            "docked" => "docked".to_owned(),
            "returning" => "returning to its dock".to_owned(),
            other => other.to_owned(),
        },
        Domain::WaterHeater if !matches!(state, "off" | "on") => format!("in {} mode", state.replace('_', " ")),
        Domain::AlarmControlPanel => state.replace('_', " "),
        Domain::Weather => super::answers::weather::condition(state).to_owned(),
        _ => match (state.parse::<f64>(), entity.unit()) {
            (Ok(value), Some(unit)) => quantity(value, unit),
            (Ok(value), None) => write::number(value),
            _ => state.replace('_', " "),
        },
    }
}

fn climate_words(entity: &Entity) -> String {
    let unit = entity.unit().unwrap_or("\u{b0}");
    let mode = match entity.state.as_str() {
        "heat" => "set to heat",
        "cool" => "set to cool",
        "auto" => "in auto mode",
        "heat_cool" => "in heat/cool mode",
        "dry" => "in dry mode",
        "fan_only" => "in fan mode",
        other => other,
    };
    let mut out = mode.to_owned();
    if entity.state != "off"
        && let Some(target) = entity.number("temperature")
    {
        out.push_str(&format!(" at {}", quantity(target, unit)));
    }
    if let Some(now) = entity.number("current_temperature") {
        out.push_str(&format!(", and it is {} there", quantity(now, unit)));
    }
    out
}

/// A binary sensor's state by its class.
fn binary_words(class: &str, on: bool) -> &'static str {
    let (yes, no) = match class {
        "door" | "window" | "opening" | "garage_door" | "garage" => ("open", "closed"),
        "lock" => ("unlocked", "locked"),
        "battery" => ("low", "normal"),
        "battery_charging" => ("charging", "not charging"),
        "motion" => ("detecting motion", "clear"),
        "occupancy" | "presence" => ("occupied", "clear"),
        "moisture" => ("wet", "dry"),
        "smoke" | "gas" | "carbon_monoxide" | "sound" | "vibration" | "light" => ("detected", "clear"),
        "connectivity" => ("connected", "disconnected"),
        "plug" => ("plugged in", "unplugged"),
        "problem" => ("reporting a problem", "OK"),
        "tamper" => ("tampered with", "clear"),
        "safety" => ("unsafe", "safe"),
        "heat" => ("hot", "normal"),
        "cold" => ("cold", "normal"),
        "running" => ("running", "not running"),
        "update" => ("due for an update", "up to date"),
        _ => ("on", "off"),
    };
    if on { yes } else { no }
}

/// A number with its unit: "21.5 °C", "75%".
pub fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "%" => format!("{}%", write::number(value)),
        "\u{b0}" => format!("{}\u{b0}", write::number(value)),
        "\u{b0}C" | "\u{b0}F" => format!("{} {unit}", write::number(value)),
        "" => write::number(value),
        unit => format!("{} {unit}", write::number(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(id: &str, state: &str, attributes: serde_json::Value) -> Entity {
        let mut e = Entity::new(id, "X");
        state.clone_into(&mut e.state);
        e.attributes = attributes.as_object().cloned().unwrap_or_default();
        e
    }

    #[test]
    fn words_for_states_fit_the_things_they_are_said_of() {
        let window = entity("binary_sensor.w", "on", serde_json::json!({"device_class": "window"}));
        assert_eq!(is(&window, "open"), Some(true));
        assert_eq!(is(&window, "closed"), Some(false));
        assert_eq!(is(&window, "locked"), None);
        assert_eq!(words(&window), "open");
        let lock = entity("lock.l", "locked", serde_json::json!({}));
        assert_eq!((is(&lock, "locked"), is(&lock, "unlocked"), is(&lock, "open")), (Some(true), Some(false), None));
        let light = entity("light.l", "on", serde_json::json!({"brightness": 128}));
        assert_eq!(words(&light), "on at 50%");
        let gone = entity("light.l", "unavailable", serde_json::json!({}));
        assert_eq!((is(&gone, "on"), words(&gone).as_str()), (None, "not available"));
    }
}
