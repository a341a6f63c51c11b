//! Brightness, colour and white.

use serde_json::{Map, Value, json};

use super::{Done, Found, data, group, within};
use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::outcome::Stop;
use crate::sentences::reply;
use crate::sentences::slots::size_of;
use crate::sentences::target::Target;
use crate::services::ServiceCall;
use crate::spoken::{Change, Size};

const LIGHT: &[Domain] = &[Domain::Light];

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "SetBrightness" => {
            let level = found.number("level").ok_or(Stop::Mismatch)?;
            if !(0.0..=100.0).contains(&level) {
                return Err(Stop::Negative("A brightness is between 0 and 100%.".to_owned()));
            }
            let mut target = found.target_or("lights", group(LIGHT))?;
            dimmable(found, &mut target)?;
            // "Dim the lights to 20%" turns on none that is off, where others are on.
            let on: Vec<usize> = target.entities.iter().copied().filter(|i| found.entity(*i).state == "on").collect();
            if found.flag("dims") == Some(true) && !on.is_empty() {
                target.entities = on;
            }
            let service = if level == 0.0 { "light.turn_off" } else { "light.turn_on" };
            let data = if level == 0.0 { Map::new() } else { data(json!({"brightness_pct": level})) };
            found.act(&target, service, data)
        }
        "ChangeBrightness" => change(found),
        "SetColor" => color(found),
        "ChangeWarmth" => {
            let mut target = found.target(group(LIGHT))?;
            let before = target.entities.len();
            target.entities.retain(|i| has_mode(found.entity(*i), &["color_temp", "rgbww", "rgbw"]));
            if target.entities.is_empty() && before > 0 {
                return Err(Stop::Mismatch);
            }
            let up = found.flag("up") == Some(true);
            found.act_each(&target, data(json!({"up": up})), |entity| {
                let now = entity.number("color_temp_kelvin").unwrap_or(3500.0);
                let kelvin = if up { now + 800.0 } else { now - 800.0 };
                let limits = (("min_color_temp_kelvin", 2000.0), ("max_color_temp_kelvin", 6500.0));
                let kelvin = within(entity, kelvin, limits.0, limits.1).round();
                Some(ServiceCall::new("light.turn_on", [&entity.id]).with("color_temp_kelvin", json!(kelvin)))
            })
        }
        _ => {
            let wanted = found.text("effect").ok_or(Stop::Mismatch)?;
            let offers = |entity: &Entity| super::power::chosen(&entity.options("effect_list"), wanted).is_some();
            let target = found.target_that(group(LIGHT), offers)?;
            let entity = found.entity(target.entities[0]);
            let effect = super::power::chosen(&entity.options("effect_list"), wanted).ok_or(Stop::Mismatch)?;
            found.act(&target, "light.turn_on", data(json!({"effect": effect})))
        }
    }
}

fn has_mode(entity: &Entity, among: &[&str]) -> bool {
    let modes = entity.options("supported_color_modes");
    modes.is_empty() || modes.iter().any(|m| among.contains(&m.to_lowercase().as_str()))
}

fn can_dim(entity: &Entity) -> bool {
    has_mode(entity, &["brightness", "color_temp", "hs", "xy", "rgb", "rgbw", "rgbww", "white"])
}

/// Keeps the lights that can be dimmed, where any can.
fn dimmable(found: &Found<'_>, target: &mut Target) -> Result<(), Stop> {
    let can: Vec<usize> = target.entities.iter().copied().filter(|i| can_dim(found.entity(*i))).collect();
    if can.is_empty() {
        let name = target.entities.first().map(|i| reply::the(found.entity(*i))).unwrap_or_default();
        let many = target.entities.len() > 1;
        return Err(Stop::Negative(if many {
            "None of these lights can be dimmed.".to_owned()
        } else {
            format!("{} cannot be dimmed.", reply::capital(&name))
        }));
    }
    target.entities = can;
    Ok(())
}

fn change(found: &Found<'_>) -> Done {
    let mut target = found.target_or("lights", group(LIGHT))?;
    dimmable(found, &mut target)?;
    let size = match found.number("factor") {
        Some(factor) => Size::Times(factor),
        None => size_of(found.slots.get("size")),
    };
    let up = found.flag("up").unwrap_or(true);
    // Of several lights, those that are on are what is too dark or too bright.
    let on: Vec<usize> = target.entities.iter().copied().filter(|i| found.entity(*i).state == "on").collect();
    if target.entities.len() > 1 && !on.is_empty() {
        target.entities = on;
    }
    // What is off cannot be dimmed further.
    if !up && target.entities.iter().all(|i| found.entity(*i).state == "off") {
        let names: Vec<&Entity> = target.entities.iter().map(|i| found.entity(*i)).collect();
        let is = if names.len() == 1 { "is" } else { "are" };
        let what = reply::capital(&reply::names(&names));
        return Err(Stop::Negative(format!("{what} {is} off.")));
    }
    found.act_each(&target, data(json!({"up": up})), |entity| {
        let raw = entity.number("brightness").unwrap_or(if entity.state == "on" { 255.0 } else { 0.0 });
        let level = Change { up, size }.of_percent((raw / 2.55).round());
        let level = if up { level } else { level.max(1.0) };
        Some(ServiceCall::new("light.turn_on", [&entity.id]).with("brightness_pct", json!(level)))
    })
}

fn color(found: &Found<'_>) -> Done {
    let color = found.slots.get("color").ok_or(Stop::Mismatch)?;
    let mut target = found.target(group(LIGHT))?;
    let white = color.get("rgb") == Some(&json!([255, 255, 255]));
    let kelvin = color.get("kelvin").cloned();
    let modes: &[&str] = if kelvin.is_some() || white {
        &["color_temp", "rgb", "rgbw", "rgbww", "hs", "xy", "white"]
    } else {
        &["hs", "xy", "rgb", "rgbw", "rgbww"]
    };
    let can: Vec<usize> = target.entities.iter().copied().filter(|i| has_mode(found.entity(*i), modes)).collect();
    if can.is_empty() {
        let name = target.entities.first().map(|i| reply::the(found.entity(*i))).unwrap_or_default();
        return Err(Stop::Negative(format!("{} cannot change its color.", reply::capital(&name))));
    }
    target.entities = can;
    let mut arguments = match (kelvin, color.get("rgb")) {
        (Some(kelvin), _) => data(json!({"color_temp_kelvin": kelvin})),
        (None, Some(_)) => {
            let said = color.get("said").cloned().unwrap_or_default();
            let known = said.as_str().and_then(crate::services::colour_named).is_some();
            if known { data(json!({"color_name": said})) } else { data(json!({"rgb_color": color["rgb"]})) }
        }
        (None, None) => return Err(Stop::Mismatch),
    };
    if let Some(level) = found.slots.get("level").filter(|l| l.as_f64().is_some_and(|l| l > 0.0 && l <= 100.0)) {
        arguments.insert("brightness_pct".to_owned(), Value::clone(level));
    }
    found.act(&target, "light.turn_on", arguments)
}
