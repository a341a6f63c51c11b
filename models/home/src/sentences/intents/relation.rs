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
    // "As warm as" says nothing of a light's brightness.
    if let Some(said) = found.text("level_of")
        && !has_level(domain, said)
    {
        return Err(Stop::Mismatch);
    }
    let (_, attribute, service, key) = LEVELS.iter().find(|(known, ..)| *known == domain).ok_or(Stop::Mismatch)?;
    let level =
        model.number(attribute).ok_or_else(|| Stop::Unsaid(format!("the {} of it", attribute.replace('_', " "))))?;
    found.act_each(&target, data(json!({*key: level})), |entity| {
        Some(ServiceCall::new(*service, [&entity.id]).with(*key, Value::from(level)))
    })
}

/// Whether the one level that things of a domain have is what was said: "as loud as", "to the same brightness as".
fn has_level(domain: Domain, said: &str) -> bool {
    match said {
        "brightness" => domain == Light,
        "volume" => domain == MediaPlayer,
        "softness" => matches!(domain, Light | MediaPlayer),
        "temperature" => domain == Climate,
        "speed" => domain == Fan,
        "position" => matches!(domain, Cover | Valve),
        _ => true,
    }
}

/// Lights that are to be on while the others of a place, or of their own rooms, go out. Where neither is known, nothing does.
fn only_on(found: &Found<'_>) -> Done {
    let kept = found.target(group(&[Light]))?;
    if kept.bare_place {
        return Err(Stop::Mismatch);
    }
    let area = |i: &usize| found.resolver.names.entities[*i].area;
    let areas: Option<Vec<usize>> = kept.entities.iter().map(area).collect();
    let within = |i: &usize| match (&kept.place, &areas) {
        (Some(place), _) => found.resolver.is_in(*i, place),
        (None, Some(areas)) => area(i).is_some_and(|area| areas.contains(&area)),
        (None, None) => false,
    };
    if kept.place.is_none() && areas.is_none() {
        return Err(Stop::Mismatch);
    }
    let others: Vec<usize> = found
        .entities(&[Light])
        .into_iter()
        .filter(|i| !kept.entities.contains(i) && within(i) && found.entity(*i).state == "on")
        .collect();
    let dark: Vec<usize> = kept.entities.iter().copied().filter(|i| found.entity(*i).state == "off").collect();
    if others.is_empty() && dark.is_empty() {
        return Err(Stop::Negative("No other light is on.".to_owned()));
    }
    let calls = [("light.turn_on", &dark), ("light.turn_off", &others)]
        .into_iter()
        .filter(|(_, lights)| !lights.is_empty())
        .map(|(service, lights)| ServiceCall::new(service, lights.iter().map(|i| found.id(*i))))
        .collect();
    let target = Target { entities: [dark.clone(), others.clone()].concat(), many: true, ..Target::default() };
    found.acts(&target, calls, Map::new())
}
