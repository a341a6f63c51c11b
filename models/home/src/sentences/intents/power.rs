//! On, off, toggle, start, stop; scenes, scripts, buttons; options and numbers.

use serde_json::{Map, json};

use super::{Done, Found, data, group, want};
use crate::domain::Domain;
use crate::sentences::outcome::Stop;
use crate::sentences::target::{Target, Want};
use crate::services::ServiceCall;

use Domain::{
    Automation, Button, Camera, Climate, Cover, Fan, Humidifier, InputBoolean, InputButton, InputNumber, InputSelect,
    LawnMower, Light, MediaPlayer, Number, Remote, Scene, Script, Select, Siren, Switch, Timer, Vacuum, Valve,
    WaterHeater,
};

const ON_OFF: &[Domain] = &[
    Light,
    Switch,
    Fan,
    InputBoolean,
    MediaPlayer,
    Climate,
    Humidifier,
    WaterHeater,
    Siren,
    Remote,
    Camera,
    Automation,
];

/// What can be given a rest.
const RESTS: &[Domain] = &[Light, Switch, Fan, InputBoolean, Climate, Humidifier, WaterHeater, Siren];

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        // "Get the air moving in here"
        "TurnOn" if found.text("noun") == Some("fans") => {
            let target = found.target_or("fan", group(&[Fan]))?;
            found.act(&target, "fan.turn_on", Map::new())
        }
        "TurnOn" => switch(found, "turn_on"),
        "TurnOff" => switch(found, "turn_off"),
        "Toggle" => switch(found, "toggle"),
        "LightsFor" => {
            let target = found.target_or("lights", Want { place_means: &[Light], ..group(&[Light]) })?;
            found.act(&target, "light.turn_on", Map::new())
        }
        "LightsOut" => {
            if found.flag("none") == Some(true) && found.text("place").is_none() && found.resolver.here.is_none() {
                let lights = found.entities(&[Light]);
                let target = Target { entities: lights, many: true, ..Target::default() };
                return if found.slots.contains_key("target") {
                    Err(Stop::Mismatch)
                } else {
                    found.act(&target, "light.turn_off", Map::new())
                };
            }
            let target = found.target_or("lights", group(&[Light]))?;
            found.act(&target, "light.turn_off", Map::new())
        }
        "Start" => start(found),
        "Stop" => stop(found),
        "SceneOn" => scene(found),
        "Press" => {
            let target = found.target(want(&[Button, InputButton]))?;
            // What a button is called is a wish only as a whole: "grease the bearings".
            let whole = |i: &usize| {
                let said = super::super::vocabulary::stems(found.text("target").unwrap_or_default());
                found.resolver.names.entities[*i].names.contains(&said)
            };
            if found.flag("bare") == Some(true) && !target.entities.iter().all(whole) {
                return Err(Stop::Mismatch);
            }
            let service = format!("{}.press", found.entity(target.entities[0]).domain);
            found.act(&target, &service, Map::new())
        }
        "SetOption" => option(found),
        "ChangeNumber" => {
            let by = found.number("value").ok_or(Stop::Mismatch)?;
            let by = if found.flag("up") == Some(true) { by } else { -by };
            let target = found.target(Want { place_means: &[], ..want(&[InputNumber, Number]) })?;
            let entity = found.entity(target.entities[0]);
            let now: f64 = entity.state.parse().map_err(|_| Stop::Unsaid("its value".to_owned()))?;
            let (low, high) = (entity.number("min").unwrap_or(f64::MIN), entity.number("max").unwrap_or(f64::MAX));
            let service = format!("{}.set_value", entity.domain);
            found.act(&target, &service, data(json!({"value": (now + by).clamp(low, high.max(low))})))
        }
        _ => {
            let value = found.number("value").ok_or(Stop::Mismatch)?;
            let target = found.target(Want { place_means: &[], ..want(&[InputNumber, Number]) })?;
            let service = format!("{}.set_value", found.entity(target.entities[0]).domain);
            found.act(&target, &service, data(json!({"value": value})))
        }
    }
}

fn switch(found: &Found<'_>, verb: &str) -> Done {
    let wanted = Want {
        domains: ON_OFF,
        or_else: if verb == "turn_on" {
            &[Script, Scene, Vacuum, LawnMower, Valve, Cover]
        } else {
            &[Script, Vacuum, LawnMower, Valve, Cover]
        },
        place_means: &[Light],
        group: true,
    };
    super::bare(found)?;
    // "Has Emma left the lamp on?" asks.
    let asks =
        ["did", "has", "have", "is", "was", "why", "when", "if", "who", "do", "does", "could", "would", "not", "never"];
    if found.text("who").is_some_and(|who| who.split(' ').any(|w| asks.contains(&w)) || who.split(' ').count() > 3) {
        return Err(Stop::Mismatch);
    }
    let mut target = found.target(wanted)?;
    // "Get the bathroom nice and warm", "silence the kitchen": of a room that is not said of its lights.
    let of_things = ["heats", "rests"].iter().any(|flag| found.flag(flag) == Some(true));
    if of_things && target.bare_place {
        return Err(Stop::Mismatch);
    }
    // "Give the pond pump a rest", "silence the fountain": what runs until it is switched off. A player is paused or muted.
    if found.flag("rests") == Some(true) && !target.entities.iter().all(|i| RESTS.contains(&found.entity(*i).domain)) {
        return Err(Stop::Mismatch);
    }
    // "Put the awning out" opens it.
    if found.flag("out") == Some(true) && target.entities.iter().any(|i| found.entity(*i).domain != Light) {
        return Err(Stop::Mismatch);
    }
    // A noun that several domains share ("the heater") in no place still means one thing.
    if target.entities.len() > 1
        && !target.many
        && target.noun.is_some_and(|n| !matches!(n.domains[0], Light | Switch | Fan))
        && target.place.is_none()
    {
        return Err(Stop::Target(crate::sentences::target::Unresolved::Several {
            what: target.noun.map(|n| n.word(false)).unwrap_or_default(),
            entities: target.entities,
        }));
    }
    if verb == "turn_off" && target.entities.len() > 1 && target.many && target.noun.is_none() {
        // "Turn everything off" leaves alone what is off and could not be.
        let on: Vec<usize> = target
            .entities
            .iter()
            .copied()
            .filter(|i| found.entity(*i).is_active() || found.entity(*i).domain == Light)
            .collect();
        if !on.is_empty() {
            target.entities = on;
        }
    }
    target.entities.retain(|i| found.entity(*i).state != "unavailable" || !target.many);
    if target.entities.is_empty() {
        return Err(Stop::Negative("None of them can be reached.".to_owned()));
    }
    let domains: Vec<Domain> = target.entities.iter().map(|i| found.entity(*i).domain).collect();
    let mut calls: Vec<ServiceCall> = Vec::new();
    let mut seen: Vec<Domain> = Vec::new();
    for domain in domains {
        if !seen.contains(&domain) {
            seen.push(domain);
            let ids = target.entities.iter().filter(|i| found.entity(**i).domain == domain).map(|i| found.id(*i));
            let service = match (domain, verb) {
                (Vacuum | LawnMower | Valve | Cover, verb) => format!("homeassistant.{verb}"),
                (domain, verb) => format!("{domain}.{verb}"),
            };
            calls.push(ServiceCall::new(service, ids));
        }
    }
    found.acts(&target, calls, Map::new())
}

fn start(found: &Found<'_>) -> Done {
    let target = found.target(Want {
        place_means: &[],
        ..want(&[Script, Vacuum, LawnMower, Scene, Automation, Switch, Timer, Fan, Humidifier, Siren])
    })?;
    let domain = found.entity(target.entities[0]).domain;
    let service = match domain {
        Vacuum => "vacuum.start".to_owned(),
        LawnMower => "lawn_mower.start_mowing".to_owned(),
        Timer => "timer.start".to_owned(),
        Automation => "automation.trigger".to_owned(),
        domain => format!("{domain}.turn_on"),
    };
    found.act(&target, &service, Map::new())
}

fn stop(found: &Found<'_>) -> Done {
    // "Cancel everything" calls off what is planned, and no device.
    let is_called_off = found.said.split(' ').any(|w| matches!(w, "cancel" | "planned" | "scheduled" | "pending"));
    let is_all = |said: &str| said.split(' ').any(|w| matches!(w, "everything" | "all"));
    if is_called_off && found.text("target").is_some_and(is_all) {
        return Err(Stop::Mismatch);
    }
    let mut target = found.target(Want {
        place_means: &[],
        ..want(&[
            Cover,
            Vacuum,
            LawnMower,
            MediaPlayer,
            Valve,
            Script,
            Fan,
            Timer,
            Switch,
            InputBoolean,
            Humidifier,
            Siren,
        ])
    })?;
    let domain = found.entity(target.entities[0]).domain;
    target.entities.retain(|i| found.entity(*i).domain == domain);
    let service = match domain {
        Cover => "cover.stop_cover",
        Vacuum => "vacuum.stop",
        LawnMower => "lawn_mower.pause",
        MediaPlayer => "media_player.media_stop",
        // "Stop the sprinkler" does not mean to leave it half open.
        Valve if target.entities.iter().all(|i| found.entity(*i).state == "open") => "valve.close_valve",
        Valve => "valve.stop_valve",
        Script => "script.turn_off",
        Timer => "timer.cancel",
        domain => &format!("{domain}.turn_off"),
    };
    found.act(&target, service, Map::new())
}

fn scene(found: &Found<'_>) -> Done {
    let target = found.target(Want { place_means: &[], ..want(&[Scene, Script]) })?;
    if target.entities.len() != 1 || target.all {
        return Err(Stop::Mismatch);
    }
    // "Night night" is no movie night: a time of day alone is no part of a name that says which.
    let said = crate::sentences::vocabulary::stems(found.text("target").unwrap_or_default());
    let is_greeting = said.iter().all(|word| {
        matches!(
            word.as_str(),
            "good" | "night" | "morning" | "evening" | "day" | "afternoon" | "bye" | "home" | "time"
        )
    });
    let names = &found.resolver.names.entities[target.entities[0]].names;
    if is_greeting && !names.contains(&said) {
        return Err(Stop::Mismatch);
    }
    let entity = found.entity(target.entities[0]);
    found.act(&target, &format!("{}.turn_on", entity.domain), Map::new())
}

fn option(found: &Found<'_>) -> Done {
    let wanted = found.text("option").ok_or(Stop::Mismatch)?;
    if found.text("target").is_none() {
        // "Put the house in night mode": the one thing here that can be set so.
        let having: Vec<usize> = found
            .entities(&[InputSelect, Select])
            .into_iter()
            .filter(|i| chosen(&found.entity(*i).options("options"), wanted).is_some())
            .collect();
        let [one] = having[..] else { return Err(Stop::Mismatch) };
        let entity = found.entity(one);
        let option = chosen(&entity.options("options"), wanted).ok_or(Stop::Mismatch)?;
        let target = Target { entities: having, ..Target::default() };
        return found.act(&target, &format!("{}.select_option", entity.domain), data(json!({"option": option})));
    }
    let target = found.target(Want { place_means: &[], ..want(&[InputSelect, Select]) })?;
    let entity = found.entity(target.entities[0]);
    let option = chosen(&entity.options("options"), wanted).ok_or(Stop::Mismatch)?;
    found.act(&target, &format!("{}.select_option", entity.domain), data(json!({"option": option})))
}

/// The option that was said: alike but for case, `_` and articles.
pub(super) fn chosen<'o>(options: &[&'o str], said: &str) -> Option<&'o str> {
    let folded = |text: &str| {
        crate::spoken::words(&text.replace('_', " "))
            .into_iter()
            .filter(|w| !matches!(w.as_str(), "the" | "mode" | "preset" | "setting" | "a"))
            .map(|w| crate::sentences::vocabulary::stem(&w))
            .collect::<String>()
    };
    let said = folded(said);
    (!said.is_empty()).then(|| options.iter().copied().find(|o| folded(o) == said)).flatten()
}
