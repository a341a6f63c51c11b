//! Wishes that say what is wanted by another thing: "make the TV as quiet as the radio", "only the pendants should stay on in the
//! kitchen".

use serde_json::{Map, Value, json};

use super::{Done, Found, data, group, want};
use crate::domain::Domain;
use crate::sentences::outcome::Stop;
use crate::sentences::target::Target;
use crate::services::ServiceCall;

use Domain::{Climate, Cover, Fan, Light, MediaPlayer, Valve};

/// Domains that have a level, its attribute, the service that sets it and what the service calls it.
const LEVELS: &[(Domain, &str, &str, &str)] = &[
    (Light, "brightness", "light.turn_on", "brightness"),
    (MediaPlayer, "volume_level", "media_player.volume_set", "volume_level"),
    (Fan, "percentage", "fan.set_percentage", "percentage"),
    (Cover, "current_position", "cover.set_cover_position", "position"),
    (Valve, "current_position", "valve.set_valve_position", "position"),
    (Climate, "temperature", "climate.set_temperature", "temperature"),
];

const LEVELLED: &[Domain] = &[Light, MediaPlayer, Fan, Cover, Valve, Climate];

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "OnlyOn" => only_on(found),
        _ => same_as(found),
    }
}

/// The level of one thing for others of its kind.
fn same_as(found: &Found<'_>) -> Done {
    let target = found.target(group(LEVELLED))?;
    let domain = found.entity(target.entities[0]).domain;
    if target.entities.iter().any(|i| found.entity(*i).domain != domain) {
        return Err(Stop::Mismatch);
    }
    let said = found.text("other").ok_or(Stop::Mismatch)?;
    let other = found.resolver.resolve(said, want(&[domain]))?;
    let other = found.resolver.settled(other, want(&[domain]))?;
    let [model] = other.entities[..] else { return Err(Stop::Mismatch) };
    if target.entities.contains(&model) {
        return Err(Stop::Mismatch);
    }
    let model = found.entity(model);
    if found.flag("color") == Some(true) {
        let colour = model.attributes.get("rgb_color").filter(|value| value.is_array());
        let colour = colour.ok_or_else(|| Stop::Unsaid("its color".to_owned()))?;
        return match domain {
            Light => found.act(&target, "light.turn_on", data(json!({"rgb_color": colour}))),
            _ => Err(Stop::Mismatch),
        };
    }
    let (_, attribute, service, key) = LEVELS.iter().find(|(known, ..)| *known == domain).ok_or(Stop::Mismatch)?;
    let level =
        model.number(attribute).ok_or_else(|| Stop::Unsaid(format!("the {} of it", attribute.replace('_', " "))))?;
    found.act_each(&target, data(json!({*key: level})), |entity| {
        Some(ServiceCall::new(*service, [&entity.id]).with(*key, Value::from(level)))
    })
}

/// Lights that are to stay as they are while the others of a place, or of where the asker is, go out.
fn only_on(found: &Found<'_>) -> Done {
    let kept = found.target(group(&[Light]))?;
    if kept.bare_place {
        return Err(Stop::Mismatch);
    }
    let place = kept.place.clone();
    let within = |i: &usize| match (&place, found.resolver.here) {
        (Some(place), _) => found.resolver.is_in(*i, place),
        (None, Some(here)) => found.resolver.names.entities[*i].area == Some(here),
        (None, None) => true,
    };
    let others: Vec<usize> = found
        .entities(&[Light])
        .into_iter()
        .filter(|i| !kept.entities.contains(i) && within(i) && found.entity(*i).state == "on")
        .collect();
    if others.is_empty() {
        return Err(Stop::Negative("No other light is on.".to_owned()));
    }
    let target = Target { entities: others, many: true, ..Target::default() };
    found.act(&target, "light.turn_off", Map::new())
}
