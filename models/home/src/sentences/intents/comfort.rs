//! Thermostats, fans, humidifiers and water heaters.

use serde_json::{Map, json};

use super::power::chosen;
use super::{Done, Found, data, group, want, within};
use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::outcome::Stop;
use crate::sentences::reply::{capital, the};
use crate::sentences::slots::size_of;
use crate::sentences::target::{Target, Want};
use crate::services::ServiceCall;
use crate::spoken::{Change, Size};

use Domain::{Climate, Fan, Humidifier, WaterHeater};

const HEATS: Want<'_> = Want { domains: &[Climate], or_else: &[WaterHeater], place_means: &[Climate], group: true };
const FANS: Want<'_> = group(&[Fan]);

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "SetTemperature" => {
            let slot = found.slots.get("temperature").ok_or(Stop::Mismatch)?;
            let value = slot["value"].as_f64().ok_or(Stop::Mismatch)?;
            let target = found.target_or("thermostat", HEATS)?;
            // "Down one degree" is no temperature, and neither is what the thing cannot be set to.
            let beyond = |i: &usize| {
                let entity = found.entity(*i);
                let value = in_unit(value, slot["unit"].as_str(), entity);
                entity.number("min_temp").is_some_and(|low| value < low)
                    || entity.number("max_temp").is_some_and(|high| value > high)
            };
            if let Some(i) = target.entities.iter().find(|i| beyond(i)) {
                let entity = found.entity(*i);
                let unit = entity.unit().unwrap_or("\u{b0}");
                let limit = |key: &str| entity.number(key).map(|t| crate::sentences::state::quantity(t, unit));
                return match (limit("min_temp"), limit("max_temp")) {
                    (Some(low), Some(high)) if value.abs() > 4.0 => {
                        Err(Stop::Negative(format!("{} can be set from {low} to {high}.", capital(&the(entity)))))
                    }
                    _ => Err(Stop::Mismatch),
                };
            }
            found.act_each(&target, data(json!({"temperature": value})), |entity| {
                let value = in_unit(value, slot["unit"].as_str(), entity);
                let call = ServiceCall::new(format!("{}.set_temperature", entity.domain), [&entity.id]);
                let call = call.with("temperature", json!(value));
                // "Heat it to 21": what is off has to heat for that.
                match found.text("mode") {
                    Some(mode) if entity.state == "off" && entity.options("hvac_modes").contains(&mode) => {
                        Some(call.with("hvac_mode", json!(mode)))
                    }
                    _ => Some(call),
                }
            })
        }
        "ChangeTemperature" => {
            let mut target = found.target_or("thermostat", want(&[Climate]))?;
            target.entities.retain(|i| found.entity(*i).number("temperature").is_some());
            if target.entities.is_empty() {
                return Err(Stop::Unsaid("what temperature it is set to".to_owned()));
            }
            let size = size_of(found.slots.get("size"));
            let up = found.flag("up").unwrap_or(true);
            found.act_each(&target, Map::new(), |entity| {
                let now = entity.number("temperature").unwrap_or(20.0);
                let new = Change { up, size }.of_degrees(now, is_fahrenheit(entity));
                let new = within(entity, new, ("min_temp", -50.0), ("max_temp", 300.0));
                Some(ServiceCall::new("climate.set_temperature", [&entity.id]).with("temperature", json!(new)))
            })
        }
        "SetMode" => {
            let mode = found.text("hvac_mode").ok_or(Stop::Mismatch)?;
            let offered = |entity: &Entity| offered_mode(entity, mode).is_some();
            let target = match found.phrase() {
                Some(_) => found.target_that(Want { or_else: &[], ..HEATS }, offered)?,
                None => the_only(found, &[Climate], offered)?,
            };
            let mode = offered_mode(found.entity(target.entities[0]), mode).ok_or(Stop::Mismatch)?;
            let mut arguments = data(json!({"hvac_mode": mode}));
            let Some(slot) = found.slots.get("temperature") else {
                return found.act(&target, "climate.set_hvac_mode", arguments);
            };
            let value = slot["value"].as_f64().ok_or(Stop::Mismatch)?;
            arguments.insert("temperature".to_owned(), json!(value));
            found.act_each(&target, arguments, |entity| {
                let value = in_unit(value, slot["unit"].as_str(), entity);
                let call = ServiceCall::new("climate.set_temperature", [&entity.id]);
                Some(call.with("hvac_mode", json!(mode)).with("temperature", json!(value)))
            })
        }
        "SetPreset" => preset(found),
        "SetSpeed" => {
            let level = found.number("level").or(found.number("speed_name")).ok_or(Stop::Mismatch)?;
            if !(0.0..=100.0).contains(&level) {
                return Err(Stop::Negative("A speed is between 0 and 100%.".to_owned()));
            }
            let target = found.target_or("fan", FANS)?;
            // A preset of that name comes before a percentage.
            if let Some(said) = found.text("speed_name_text")
                && let Some(mode) = chosen(&found.entity(target.entities[0]).options("preset_modes"), said)
            {
                return found.act(&target, "fan.set_preset_mode", data(json!({"preset_mode": mode})));
            }
            found.act(&target, "fan.set_percentage", data(json!({"percentage": level})))
        }
        "ChangeSpeed" => {
            let target = found.target_or("fan", FANS)?;
            // "Twice as fast"
            if let Some(factor) = found.number("factor") {
                let speed = |entity: &Entity| entity.number("percentage").filter(|speed| *speed > 0.0);
                if target.entities.iter().any(|i| speed(found.entity(*i)).is_none()) {
                    return Err(Stop::Unsaid("how fast it is".to_owned()));
                }
                return found.act_each(&target, Map::new(), |entity| {
                    let percent = (speed(entity)? * factor).round().clamp(1.0, 100.0);
                    Some(ServiceCall::new("fan.set_percentage", [&entity.id]).with("percentage", json!(percent)))
                });
            }
            let up = found.flag("up").unwrap_or(true);
            let service = if up { "fan.increase_speed" } else { "fan.decrease_speed" };
            let data = match size_of(found.slots.get("size")) {
                Size::By(step) => data(json!({"percentage_step": step})),
                _ => Map::new(),
            };
            found.act(&target, service, data)
        }
        "Oscillate" => {
            let is_off = found.flag("on") != Some(true);
            let swings = |entity: &Entity| match entity.attributes.get("oscillating") {
                Some(now) => !is_off || *now == json!(true),
                None => false,
            };
            let target = match (found.phrase(), found.text("place")) {
                (None, None) => the_only(found, &[Fan], swings)?,
                _ => found.target_or("fan", FANS)?,
            };
            found.act(&target, "fan.oscillate", data(json!({"oscillating": found.flag("on") == Some(true)})))
        }
        "SetDirection" => {
            let target = found.target(FANS)?;
            let wanted = found.text("direction").unwrap_or("forward");
            found.act(&target, "fan.set_direction", data(json!({"direction": wanted})))
        }
        "ChangeHumidity" => {
            let wanted = Want { place_means: &[Humidifier], ..want(&[Humidifier]) };
            let mut target = found.target_or("humidifier", wanted)?;
            target.entities.retain(|i| found.entity(*i).number("humidity").is_some());
            let size = match size_of(found.slots.get("size")) {
                Size::Small | Size::Medium => Size::By(5.0),
                size => size,
            };
            let up = found.flag("up").unwrap_or(true);
            found.act_each(&target, Map::new(), |entity| {
                let level = Change { up, size }.of_percent(entity.number("humidity").unwrap_or(50.0));
                let level = within(entity, level, ("min_humidity", 0.0), ("max_humidity", 100.0));
                Some(ServiceCall::new("humidifier.set_humidity", [&entity.id]).with("humidity", json!(level)))
            })
        }
        _ => {
            let level = found.number("level").filter(|l| (0.0..=100.0).contains(l)).ok_or(Stop::Mismatch)?;
            let target = found.target_or(
                "humidifier",
                Want {
                    domains: &[Humidifier],
                    or_else: if found.flag("bare") == Some(true) { &[] } else { &[Climate] },
                    place_means: &[Humidifier],
                    group: true,
                },
            )?;
            let service = format!("{}.set_humidity", found.entity(target.entities[0]).domain);
            found.act(&target, &service, data(json!({"humidity": level})))
        }
    }
}

/// What is meant where nothing was named: what was spoken of last, or else the only thing that can do it.
fn the_only(found: &Found<'_>, domains: &[Domain], can: impl Fn(&Entity) -> bool) -> Result<Target, Stop> {
    let fits = |i: &usize| domains.contains(&found.entity(*i).domain) && can(found.entity(*i));
    let last: Vec<usize> = found.resolver.last.iter().copied().filter(fits).collect();
    let all: Vec<usize> = match last.len() {
        1 => last,
        _ => found.entities(domains).into_iter().filter(|i| can(found.entity(*i))).collect(),
    };
    match all.len() {
        1 => Ok(Target { entities: all, ..Target::default() }),
        _ => Err(Stop::Mismatch),
    }
}

/// A thermostat's mode by what it offers: "auto" of one that heats and cools is `heat_cool`.
fn offered_mode<'m>(entity: &Entity, mode: &'m str) -> Option<&'m str> {
    let modes = entity.options("hvac_modes");
    if modes.is_empty() || modes.contains(&mode) {
        return Some(mode);
    }
    (mode == "auto" && modes.contains(&"heat_cool")).then_some("heat_cool")
}

/// Where modes and presets are listed, the service that sets one, and its parameter.
const PRESETS: &[(&str, &str, &str)] = &[
    ("preset_modes", "set_preset_mode", "preset_mode"),
    ("fan_modes", "set_fan_mode", "fan_mode"),
    ("swing_modes", "set_swing_mode", "swing_mode"),
    ("available_modes", "set_mode", "mode"),
    ("operation_list", "set_operation_mode", "operation_mode"),
];

/// A mode or preset of a thermostat, fan, humidifier or water heater, by what it offers.
fn preset(found: &Found<'_>) -> Done {
    let said = found.text("mode").ok_or(Stop::Mismatch)?;
    let offered = |entity: &Entity| PRESETS.iter().any(|(list, ..)| chosen(&entity.options(list), said).is_some());
    let wanted = Want { place_means: &[Climate], ..want(&[Climate, Fan, Humidifier, WaterHeater]) };
    let target = match found.phrase() {
        Some(_) => found.target_that(wanted, offered)?,
        None => the_only(found, wanted.domains, offered)?,
    };
    let entity = found.entity(target.entities[0]);
    for (options, service, key) in PRESETS {
        if let Some(option) = chosen(&entity.options(options), said) {
            return found.act(&target, &format!("{}.{service}", entity.domain), data(json!({*key: option})));
        }
    }
    Err(Stop::Mismatch)
}

fn is_fahrenheit(entity: &Entity) -> bool {
    entity.unit().is_some_and(|u| u.contains('F'))
        || entity.unit().is_none()
            && entity.number("temperature").or(entity.number("current_temperature")).is_some_and(|t| t > 45.0)
}

/// A temperature in the entity's unit.
fn in_unit(value: f64, said: Option<&str>, entity: &Entity) -> f64 {
    let converted =
        match (said, is_fahrenheit(entity), entity.unit().is_some() || entity.number("temperature").is_some()) {
            (Some("C"), true, _) => value * 1.8 + 32.0,
            (Some("F"), false, true) => (value - 32.0) / 1.8,
            _ => return value,
        };
    (converted * 10.0).round() / 10.0
}
