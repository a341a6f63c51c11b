//! Thermostats, fans, humidifiers and water heaters.

use serde_json::Value;

use super::{Data, ServiceError, number, on_off, switched};
use crate::domain::Domain;
use crate::model::Entity;

pub(super) fn settle(entity: &mut Entity) {
    match entity.domain {
        Domain::Climate => settle_climate(entity),
        Domain::Fan => settle_fan(entity),
        _ => {
            if let Some(word) = on_off(&entity.state) {
                entity.state = word.to_owned();
            } else if entity.state.is_empty() {
                entity.state = "off".to_owned();
            }
            rename(entity, "target_humidity", "humidity");
            rename(entity, "target_temperature", "temperature");
        }
    }
}

fn rename(entity: &mut Entity, from: &str, to: &str) {
    if let Some(value) = entity.attributes.remove(from) {
        entity.attributes.insert(to.to_owned(), value);
    }
}

fn settle_climate(entity: &mut Entity) {
    // Inventories call the wish `target_temperature`, and some what is measured `temperature`; Home Assistant calls the wish so.
    if entity.attributes.contains_key("target_temperature") {
        if !entity.attributes.contains_key("current_temperature")
            && let Some(measured) = entity.attributes.remove("temperature")
        {
            entity.attributes.insert("current_temperature".to_owned(), measured);
        }
        rename(entity, "target_temperature", "temperature");
    }
    let mode = entity.attributes.remove("hvac_mode");
    if let Some(word) = on_off(&entity.state).filter(|_| entity.state.eq_ignore_ascii_case("false")) {
        entity.state = word.to_owned();
    }
    if entity.state.is_empty() {
        entity.state = mode.as_ref().and_then(Value::as_str).unwrap_or("off").to_owned();
    }
}

fn settle_fan(entity: &mut Entity) {
    let stated = on_off(&entity.state);
    let is_on = entity.attributes.remove("is_on").and_then(|value| value.as_bool());
    let shown = entity.number("percentage");
    if let Some(percentage) = shown {
        entity.stored.insert("percentage".to_owned(), number(percentage));
    }
    let on = match (shown, stated, is_on) {
        (Some(percentage), ..) => percentage > 0.0,
        (None, Some(word), _) => word == "on",
        (None, None, Some(on)) => on,
        (None, None, None) => false,
    };
    if entity.state != "unavailable" && entity.state != "unknown" {
        entity.state = if on { "on" } else { "off" }.to_owned();
    }
    let has_speed = shown.is_some() || entity.features.as_ref().is_some_and(|f| f.iter().any(|f| f == "SET_SPEED"));
    if has_speed && shown.is_none() {
        entity.attributes.insert("percentage".to_owned(), number(if on { 100.0 } else { 0.0 }));
    }
}

pub(super) fn run(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    match entity.domain {
        Domain::Climate => run_climate(entity, data),
        Domain::Fan => run_fan(entity, data),
        _ => {
            if let Some(on) = switched(entity, data.name) {
                let before = entity.text("operation_mode").unwrap_or("on").to_owned();
                let on_word = if entity.domain == Domain::WaterHeater { before } else { "on".to_owned() };
                entity.state = if on { on_word } else { "off".to_owned() };
            }
            for (key, attribute) in [("humidity", "humidity"), ("temperature", "temperature")] {
                if let Some(value) = data.number(key) {
                    entity.attributes.insert(attribute.to_owned(), number(value));
                }
            }
            if let Some(mode) = data.text("mode") {
                entity.attributes.insert("mode".to_owned(), mode.into());
            }
            if let Some(mode) = data.text("operation_mode") {
                mode.clone_into(&mut entity.state);
                entity.attributes.insert("operation_mode".to_owned(), mode.into());
            }
            if let Some(away) = data.flag("away_mode") {
                entity.attributes.insert("away_mode".to_owned(), if away { "on" } else { "off" }.into());
            }
            Ok(())
        }
    }
}

fn run_climate(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    for (key, attribute) in [
        ("temperature", "temperature"),
        ("target_temp_low", "target_temp_low"),
        ("target_temp_high", "target_temp_high"),
        ("humidity", "humidity"),
    ] {
        if let Some(value) = data.number(key) {
            entity.attributes.insert(attribute.to_owned(), number(value));
        }
    }
    for key in ["fan_mode", "preset_mode", "swing_mode"] {
        if let Some(mode) = data.text(key) {
            entity.attributes.insert(key.to_owned(), mode.into());
        }
    }
    if data.name == "set_temperature" && !data.fields.keys().any(|key| key != "hvac_mode") {
        return Err(ServiceError::Parameter(format!(
            "it was not said to what temperature the {} is to be set",
            entity.name
        )));
    }
    if let Some(mode) = data.text("hvac_mode") {
        mode.clone_into(&mut entity.state);
    }
    match switched(entity, data.name) {
        Some(true) if entity.state == "off" => {
            let modes = entity.options("hvac_modes");
            let first = ["heat_cool", "heat", "cool"].into_iter().find(|mode| modes.contains(mode));
            let Some(mode) = first.or_else(|| modes.into_iter().find(|mode| *mode != "off")) else {
                return Err(super::unsupported(entity, "be turned on"));
            };
            entity.state = mode.to_owned();
        }
        Some(false) => entity.state = "off".to_owned(),
        _ => {}
    }
    Ok(())
}

fn run_fan(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    let current = entity.number("percentage").unwrap_or(if entity.state == "on" { 100.0 } else { 0.0 });
    let count = entity.number("speed_count").filter(|count| *count >= 1.0).unwrap_or(10.0);
    let own = entity.number("percentage_step").filter(|step| *step >= 1.0);
    let step = data.number("percentage_step").or(own).unwrap_or(100.0 / count);
    let percentage = match data.name {
        "increase_speed" => Some((current + step).min(100.0)),
        "decrease_speed" => Some((current - step).max(0.0)),
        _ => match (data.number("percentage"), switched(entity, data.name)) {
            (Some(percentage), _) => Some(percentage),
            (None, Some(true)) if current > 0.0 => Some(current),
            (None, Some(true)) => Some(100.0),
            (None, Some(false)) => Some(0.0),
            (None, None) => None,
        },
    };
    if let Some(percentage) = percentage {
        entity.state = if percentage > 0.0 { "on" } else { "off" }.to_owned();
        let has_speed = entity.attributes.contains_key("percentage") || data.number("percentage").is_some();
        if has_speed {
            entity.attributes.insert("percentage".to_owned(), number(percentage.round()));
        }
    }
    if let Some(oscillating) = data.flag("oscillating") {
        entity.attributes.insert("oscillating".to_owned(), oscillating.into());
    }
    if let Some(direction) = data.text("direction") {
        let key = if entity.attributes.contains_key("current_direction") { "current_direction" } else { "direction" };
        entity.attributes.insert(key.to_owned(), direction.into());
    }
    if let Some(mode) = data.text("preset_mode") {
        entity.attributes.insert("preset_mode".to_owned(), mode.into());
    }
    Ok(())
}
