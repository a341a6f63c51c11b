//! Covers and valves: positions from 0 (closed) to 100 (open), tilts. A move is done at once: the state is what it ends in.

use serde_json::Value;

use super::{Data, ServiceError, number, on_off};
use crate::domain::Domain;
use crate::model::Entity;

pub(super) fn settle(entity: &mut Entity) {
    let word = entity.state.to_lowercase();
    let is_open = match word.as_str() {
        "open" | "opening" | "closing" => Some(true),
        "closed" => Some(false),
        other => on_off(other).map(|word| word == "on"),
    };
    if word == "unavailable" || word == "unknown" {
        return;
    }
    if entity.domain == Domain::Valve {
        // Without a position a valve is what it says.
        let reports = entity.attributes.get("reports_position").and_then(Value::as_bool).unwrap_or(false);
        if let Some(position) = entity.attributes.remove("current_valve_position") {
            entity.attributes.insert("current_position".to_owned(), position);
        }
        let by_position = entity.number("current_position").map(|position| position > 0.0);
        let open = if reports { by_position.or(is_open) } else { is_open.or(by_position) }.unwrap_or(false);
        entity.state = if open { "open" } else { "closed" }.to_owned();
        return;
    }
    let position = entity.number("current_position").unwrap_or(if is_open == Some(true) { 100.0 } else { 0.0 });
    entity.attributes.insert("current_position".to_owned(), number(position));
    let is_moving = word == "opening" || word == "closing";
    if !is_moving {
        entity.state = if position > 0.0 { "open" } else { "closed" }.to_owned();
    }
}

pub(super) fn run(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    let is_open = entity.state != "closed";
    let target = match data.name {
        "open_cover" | "open_valve" => 100.0,
        "close_cover" | "close_valve" => 0.0,
        "toggle" => {
            if is_open {
                0.0
            } else {
                100.0
            }
        }
        "set_cover_position" | "set_valve_position" => data.number("position").unwrap_or(0.0).round(),
        "stop_cover" | "stop_valve" => {
            let open = entity.number("current_position").unwrap_or(100.0) > 0.0;
            entity.state = if open { "open" } else { "closed" }.to_owned();
            return Ok(());
        }
        tilt => return tilted(entity, tilt, data),
    };
    let feature = if target > 0.0 { "OPEN" } else { "CLOSE" };
    let positioned = data.name.starts_with("set_");
    if !positioned && !entity.supports(feature) {
        return Err(super::unsupported(entity, if target > 0.0 { "be opened" } else { "be closed" }));
    }
    entity.state = if target > 0.0 { "open" } else { "closed" }.to_owned();
    let reports = entity.domain == Domain::Cover
        || entity.attributes.get("reports_position").and_then(Value::as_bool).unwrap_or(false)
        || (positioned && entity.attributes.contains_key("current_position"));
    if reports || positioned {
        entity.attributes.insert("current_position".to_owned(), number(target));
    }
    Ok(())
}

fn tilted(entity: &mut Entity, name: &str, data: &Data<'_>) -> Result<(), ServiceError> {
    let can = entity.attributes.contains_key("current_tilt_position")
        || ["OPEN_TILT", "CLOSE_TILT", "SET_TILT_POSITION"].iter().any(|feature| entity.supports(feature));
    if !can {
        return Err(super::unsupported(entity, "be tilted"));
    }
    let tilt = match name {
        "open_cover_tilt" => 100.0,
        "close_cover_tilt" => 0.0,
        "set_cover_tilt_position" => data.number("tilt_position").unwrap_or(0.0).round(),
        _ => return Ok(()),
    };
    entity.attributes.insert("current_tilt_position".to_owned(), number(tilt));
    Ok(())
}
