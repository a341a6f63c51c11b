//! Attributes of things: brightness, volume, color, position, what a thermostat is set to, what plays.

use serde_json::Value;

use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::intents::{Done, Found};
use crate::sentences::outcome::Stop;
use crate::sentences::reply::{capital, is_plural, the};
use crate::sentences::state;
use crate::sentences::target::{Target, Want};
use crate::spoken::{colour, write};

use Domain::{Climate, Cover, Fan, Humidifier, Light, MediaPlayer, Timer, Vacuum, Valve, WaterHeater};

pub(super) fn ask(found: &Found<'_>) -> Done {
    let attribute = found.text("attribute").ok_or(Stop::Mismatch)?;
    let domains: &[Domain] = match attribute {
        "brightness" | "color" | "color_temperature" | "effect" => &[Light],
        "volume" | "source" | "playing" => &[MediaPlayer],
        "position" | "tilt" => &[Cover, Valve],
        "fan_speed" => &[Fan, Vacuum],
        "direction" => &[Fan],
        "mode" | "preset" => &[Climate, Humidifier, Fan, WaterHeater],
        "setpoint" => &[Climate, WaterHeater, Humidifier],
        "current_temperature" => &[Climate, WaterHeater],
        "target_humidity" => &[Humidifier, Climate],
        "remaining" => &[Timer],
        _ => return Err(Stop::Mismatch),
    };
    let want = Want { domains, or_else: &[], place_means: domains, group: true };
    let target = if found.text("target").is_some() {
        let target = found.target(want)?;
        // "What is on in the kitchen?" asks for more than what plays.
        if attribute == "playing" && target.bare_place && found.flag("on") == Some(true) {
            return Err(Stop::Mismatch);
        }
        target
    } else {
        let all = found.entities(domains);
        let state = if found.flag("paused") == Some(true) { "paused" } else { "playing" };
        let playing: Vec<usize> = all.iter().copied().filter(|i| found.entity(*i).state == state).collect();
        match (attribute, playing.len(), all.len()) {
            ("playing", 0, 1..) => return found.say(&all, format!("Nothing is {state}.")),
            ("playing", ..) => Target { entities: playing, many: true, ..Target::default() },
            (_, _, 1) => Target { entities: all, ..Target::default() },
            _ => found.target_or("thermostat", want)?,
        }
    };
    let mut sentences = Vec::new();
    let mut told = Vec::new();
    for i in target.entities.iter().take(6) {
        if let Some(sentence) = sentence(found.entity(*i), attribute) {
            sentences.push(sentence);
            told.push(*i);
        }
    }
    if sentences.is_empty() {
        return Err(Stop::Unsaid(attribute.replace('_', " ")));
    }
    found.say(&told, sentences.join(" "))
}

/// What a thing can be set to: its sources, effects or modes.
pub(super) fn options(found: &Found<'_>) -> Done {
    let (domains, lists): (&[Domain], &[&str]) = match found.text("list") {
        Some("source") => (&[MediaPlayer], &["source_list"]),
        Some("effect") => (&[Light], &["effect_list"]),
        _ => (
            &[Climate, Fan, Humidifier, WaterHeater, Vacuum, Domain::InputSelect, Domain::Select],
            &["options", "preset_modes", "hvac_modes", "available_modes", "operation_list", "fan_speed_list"],
        ),
    };
    let target = found.target(Want { domains, or_else: &[], place_means: &[], group: false })?;
    let entity = found.entity(target.entities[0]);
    let offered: Vec<String> = lists
        .iter()
        .map(|list| entity.options(list))
        .find(|offered| !offered.is_empty())
        .ok_or_else(|| Stop::Unsaid("what it can be set to".to_owned()))?
        .into_iter()
        .map(|option| option.replace('_', " "))
        .collect();
    let what = if found.text("list") == Some("effect") { "show" } else { "be set to" };
    found.say(&target.entities, format!("{} can {what} {}.", capital(&the(entity)), write::or(&offered)))
}

fn sentence(entity: &Entity, attribute: &str) -> Option<String> {
    let name = the(entity);
    let is = if is_plural(entity) { "are" } else { "is" };
    let of = |what: &str, value: String| Some(format!("The {what} of {name} is {value}."));
    let off = || Some(format!("{} {is} off.", capital(&name)));
    let is_off = entity.state == "off";
    match attribute {
        "brightness" => match entity.number("brightness") {
            Some(b) if !is_off => of("brightness", format!("{}%", (b / 2.55).round())),
            _ if is_off => off(),
            _ => None,
        },
        "volume" => match entity.number("volume_level") {
            Some(v) => of("volume", format!("{}%", (v * 100.0).round())),
            None if is_off => off(),
            None => None,
        },
        "color" => {
            if is_off {
                return off();
            }
            if let Some(Value::Array(rgb)) = entity.attributes.get("rgb_color") {
                let part = |i: usize| rgb.get(i).and_then(Value::as_u64).unwrap_or(0) as u8;
                return of("color", colour::name([part(0), part(1), part(2)]).to_owned());
            }
            entity
                .number("color_temp_kelvin")
                .and_then(|k| of("color temperature", format!("{} kelvin", write::number(k))))
        }
        "color_temperature" => entity
            .number("color_temp_kelvin")
            .and_then(|k| of("color temperature", format!("{} kelvin", write::number(k)))),
        "effect" => entity.text("effect").and_then(|e| of("effect", e.to_owned())),
        "position" => match entity.number("current_position") {
            Some(p) if p > 0.0 && p < 100.0 => Some(format!("{} {is} {}% open.", capital(&name), write::number(p))),
            Some(p) => Some(format!("{} {is} {}, at {}%.", capital(&name), entity.state, write::number(p))),
            None => Some(format!("{} {is} {}.", capital(&name), state::words(entity))),
        },
        "tilt" => entity.number("current_tilt_position").and_then(|p| of("tilt", format!("{}%", write::number(p)))),
        "fan_speed" => match (entity.number("percentage"), entity.text("fan_speed")) {
            _ if entity.domain == Fan && is_off => off(),
            (Some(p), _) => of("speed", format!("{}%", write::number(p))),
            (_, Some(speed)) => of("suction", speed.to_owned()),
            _ => None,
        },
        "direction" => entity.text("direction").and_then(|d| of("direction", d.to_owned())),
        "mode" => match entity.domain {
            Climate => Some(format!("{} is {}.", capital(&name), mode(&entity.state))),
            _ => entity
                .text("mode")
                .or(entity.text("preset_mode"))
                .or(entity.text("operation_mode"))
                .and_then(|m| of("mode", m.to_owned())),
        },
        "preset" => entity.text("preset_mode").and_then(|m| of("preset", m.to_owned())),
        "source" => entity.text("source").and_then(|s| of("source", s.to_owned())),
        "playing" => Some(match (entity.text("media_title"), entity.text("media_artist")) {
            (Some(title), artist) if !is_off => {
                let by = artist.map(|artist| format!(" by {artist}")).unwrap_or_default();
                let colon = if entity.state == "playing" { "" } else { ":" };
                format!("{} is {}{colon} {title}{by}.", capital(&name), entity.state)
            }
            _ => format!("{} is {}.", capital(&name), entity.state),
        }),
        "setpoint" if entity.domain == Humidifier => {
            let off = if is_off { "off, and " } else { "" };
            entity.number("humidity").map(|h| format!("{} is {off}set to {}%.", capital(&name), write::number(h)))
        }
        "setpoint" => {
            let unit = entity.unit().unwrap_or("\u{b0}");
            if let Some(target) = entity.number("temperature") {
                return Some(format!("{} is set to {}.", capital(&name), state::quantity(target, unit)));
            }
            let (low, high) = (entity.number("target_temp_low")?, entity.number("target_temp_high")?);
            Some(format!(
                "{} is set to between {} and {}.",
                capital(&name),
                state::quantity(low, unit),
                state::quantity(high, unit)
            ))
        }
        "current_temperature" => {
            let unit = entity.unit().unwrap_or("\u{b0}");
            entity
                .number("current_temperature")
                .map(|t| format!("{} measures {}.", capital(&name), state::quantity(t, unit)))
        }
        "target_humidity" => {
            entity.number("humidity").map(|h| format!("{} is set to {}%.", capital(&name), write::number(h)))
        }
        "remaining" => {
            entity.text("remaining").map(|left| format!("{} has {} left.", capital(&name), write::clocked(left)))
        }
        _ => None,
    }
}

fn mode(state: &str) -> String {
    match state {
        "off" => "off".to_owned(),
        "heat" | "cool" | "dry" => format!("set to {state}"),
        other => format!("in {} mode", other.replace('_', " ")),
    }
}
