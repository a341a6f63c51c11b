//! Everything that is switched, pressed, chosen or set: switches, vacuums, lawn mowers, scenes, scripts, buttons, timers, helpers;
//! and the states of things that only tell something.

use serde_json::{Map, Value};

use super::{Data, ServiceCall, ServiceError, on_off, switched};
use crate::domain::Domain;
use crate::model::{Entity, Home};

pub(super) fn settle(entity: &mut Entity) {
    let given = entity.state.clone();
    let word = on_off(&given).map(str::to_owned);
    entity.state = match entity.domain {
        Domain::Switch
        | Domain::InputBoolean
        | Domain::BinarySensor
        | Domain::Automation
        | Domain::Remote
        | Domain::Script => {
            let flag = entity.attributes.remove("is_on").and_then(|value| value.as_bool());
            match (word, flag) {
                (Some(word), _) => word,
                (None, Some(on)) => if on { "on" } else { "off" }.to_owned(),
                (None, None) if given.is_empty() => "off".to_owned(),
                (None, None) => given,
            }
        }
        Domain::Sensor | Domain::Number | Domain::InputNumber => {
            let unit = entity.attributes.remove("native_unit_of_measurement");
            if let Some(unit) = unit {
                entity.attributes.insert("unit_of_measurement".to_owned(), unit);
            }
            match entity.attributes.remove("native_value") {
                Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
                None if given.is_empty() => "unknown".to_owned(),
                None => given,
            }
        }
        Domain::Weather => {
            for (from, to) in [
                ("native_temperature", "temperature"),
                ("native_temperature_unit", "temperature_unit"),
                ("native_wind_speed", "wind_speed"),
                ("native_wind_speed_unit", "wind_speed_unit"),
                ("native_pressure", "pressure"),
                ("native_pressure_unit", "pressure_unit"),
                ("native_visibility", "visibility"),
                ("native_visibility_unit", "visibility_unit"),
            ] {
                if let Some(value) = entity.attributes.remove(from) {
                    entity.attributes.insert(to.to_owned(), value);
                }
            }
            for key in ["daily_forecast", "hourly_forecast", "twice_daily_forecast", "forecast"] {
                if let Some(value) = entity.attributes.remove(key) {
                    entity.stored.insert(key.to_owned(), value);
                }
            }
            let condition = entity.attributes.remove("condition");
            match (given.is_empty(), condition.as_ref().and_then(Value::as_str)) {
                (true, Some(condition)) => condition.to_owned(),
                (true, None) => "unknown".to_owned(),
                (false, _) => given,
            }
        }
        Domain::Vacuum | Domain::LawnMower => match given.as_str() {
            "" => "docked".to_owned(),
            _ => given,
        },
        Domain::Timer => match given.as_str() {
            "" => "idle".to_owned(),
            _ => given,
        },
        Domain::Scene | Domain::Button | Domain::InputButton | Domain::Event if given.is_empty() => {
            "unknown".to_owned()
        }
        _ if given.is_empty() => "unknown".to_owned(),
        _ => given,
    };
}

pub(super) fn run(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    let state = match (entity.domain, data.name) {
        (Domain::Vacuum, "start" | "clean_spot") => "cleaning",
        (Domain::Vacuum | Domain::LawnMower, "pause") => "paused",
        (Domain::Vacuum, "stop") => "idle",
        (Domain::Vacuum, "return_to_base") | (Domain::LawnMower, "dock") => "returning",
        (Domain::LawnMower, "start_mowing") => "mowing",
        (Domain::Vacuum, "set_fan_speed") => {
            entity.attributes.insert("fan_speed".to_owned(), data.text("fan_speed").unwrap_or_default().into());
            return Ok(());
        }
        // These leave nothing behind but the time of their last use, and a home has no clock.
        (Domain::Vacuum, "locate")
        | (Domain::Scene | Domain::Script, _)
        | (Domain::Button | Domain::InputButton, _)
        | (Domain::Automation, "trigger") => return Ok(()),
        (Domain::Timer, name) => {
            let duration = data.number("duration").or_else(|| seconds(entity, "duration"));
            let left = seconds(entity, "remaining").filter(|_| entity.state == "paused");
            match name {
                "start" => {
                    let Some(total) = data.number("duration").or(left).or(duration) else {
                        return Err(ServiceError::Parameter(format!(
                            "it was not said how long the {} is to run",
                            entity.name
                        )));
                    };
                    if data.number("duration").is_some() {
                        entity.attributes.insert("duration".to_owned(), clock(total).into());
                    }
                    entity.attributes.insert("remaining".to_owned(), clock(total).into());
                    "active"
                }
                "change" => {
                    if entity.state == "idle" {
                        return Err(ServiceError::Unsupported(format!("the {} does not run", entity.name)));
                    }
                    // What is said is how much is added, or taken off.
                    let by = data.number("duration").unwrap_or(0.0);
                    let left = (seconds(entity, "remaining").unwrap_or(0.0) + by).max(0.0);
                    entity.attributes.insert("remaining".to_owned(), clock(left).into());
                    return Ok(());
                }
                "pause" if entity.state == "active" => "paused",
                "pause" => return Err(ServiceError::Unsupported(format!("the {} does not run", entity.name))),
                _ => {
                    entity.attributes.remove("remaining");
                    "idle"
                }
            }
        }
        (Domain::InputNumber | Domain::Number, name) => {
            let step = entity.number("step").unwrap_or(1.0);
            let current: f64 = entity.state.parse().unwrap_or(0.0);
            let value = match name {
                "increment" => current + step,
                "decrement" => current - step,
                _ => data.number("value").unwrap_or(current),
            };
            let low = entity.number("min").unwrap_or(f64::MIN);
            let high = entity.number("max").unwrap_or(f64::MAX);
            let value = value.clamp(low, high.max(low));
            // Home Assistant writes these with a decimal.
            entity.state = if value.fract() == 0.0 { format!("{value:.1}") } else { super::tidy(value).to_string() };
            return Ok(());
        }
        (Domain::InputSelect | Domain::Select, name) => {
            let options = entity.options("options");
            let at = options.iter().position(|option| *option == entity.state);
            let option = match (name, options.len()) {
                ("select_option", _) => data.text("option").unwrap_or_default(),
                (_, 0) => return Err(ServiceError::Unsupported(format!("the {} has no options", entity.name))),
                ("select_next", count) => options[at.map_or(0, |at| (at + 1) % count)],
                (_, count) => options[at.map_or(0, |at| (at + count - 1) % count)],
            };
            entity.state = option.to_owned();
            return Ok(());
        }
        (Domain::InputText | Domain::Text, _) => data.text("value").unwrap_or_default(),
        (_, name) => match switched(entity, name) {
            Some(false) => "off",
            _ => "on",
        },
    };
    entity.state = state.to_owned();
    Ok(())
}

fn seconds(entity: &Entity, key: &str) -> Option<f64> {
    let text = entity.text(key)?;
    text.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.trim().parse::<f64>().ok()?))
}

/// `0:05:00`
fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

/// The calls that bring entities into the states that a scene holds: `{"light.x": "on"}` or `{"light.x": {"state": "on", …}}`.
pub(super) fn of_scene(home: &Home, scene: &Entity) -> Vec<ServiceCall> {
    let states = scene.attributes.get("entities").and_then(Value::as_object).into_iter().flatten();
    states
        .filter_map(|(id, wanted)| {
            let entity = home.entity(id)?;
            let state = wanted.as_str().or_else(|| wanted.get("state")?.as_str());
            let attributes = wanted.as_object().cloned().unwrap_or_default();
            call_for(entity, state, attributes)
        })
        .collect()
}

/// The call that brings an entity into a state.
fn call_for(entity: &Entity, state: Option<&str>, mut attributes: Map<String, Value>) -> Option<ServiceCall> {
    attributes.remove("state");
    let domain = entity.domain;
    let name = match (domain, state?) {
        (Domain::Cover, "open") => "open_cover",
        (Domain::Cover, "closed") => "close_cover",
        (Domain::Valve, "open") => "open_valve",
        (Domain::Valve, "closed") => "close_valve",
        (Domain::Lock, "locked") => "lock",
        (Domain::Lock, "unlocked") => "unlock",
        (Domain::Climate, "off") => "turn_off",
        (Domain::Climate, mode) => {
            return Some(ServiceCall::new("climate.set_hvac_mode", [&entity.id]).with("hvac_mode", mode));
        }
        (Domain::MediaPlayer, "playing") => "media_play",
        (Domain::MediaPlayer, "paused") => "media_pause",
        (_, "on") => "turn_on",
        (_, "off") => "turn_off",
        (Domain::InputSelect, option) => {
            return Some(ServiceCall::new("input_select.select_option", [&entity.id]).with("option", option));
        }
        _ => return None,
    };
    let service = super::service(domain, name)?;
    let mut call = ServiceCall::new(service.full_name(), [&entity.id]);
    attributes.retain(|key, _| service.fields.iter().any(|field| field.name == key));
    call.data = attributes;
    Some(call)
}

/// The calls of a script's sequence: `[{"action": "light.turn_on", "target": {"entity_id": …}, "data": {…}}]`.
pub(super) fn of_script(script: &Entity) -> Vec<ServiceCall> {
    let steps = script.attributes.get("sequence").and_then(Value::as_array).into_iter().flatten();
    steps
        .filter_map(|step| {
            let service = step.get("action").or_else(|| step.get("service"))?.as_str()?;
            if service.starts_with("script.") {
                return None; // A script that runs itself would never end.
            }
            let target = step.pointer("/target/entity_id").or_else(|| step.get("entity_id"))?;
            let ids: Vec<&str> = match target {
                Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
                one => one.as_str().into_iter().collect(),
            };
            let mut call = ServiceCall::new(service, ids);
            call.data = step.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
            Some(call)
        })
        .collect()
}
