//! Covers, valves, locks and alarms.

use serde_json::{Map, json};

use super::{Done, Found, data, group, want};
use crate::domain::Domain;
use crate::sentences::idioms::is_time_word;
use crate::sentences::outcome::Stop;
use crate::sentences::slots::size_of;
use crate::sentences::target::{Target, Want};
use crate::services::ServiceCall;
use crate::spoken::{Change, Size};

use Domain::{AlarmControlPanel, Cover, Fan, Humidifier, Light, Lock, MediaPlayer, Valve};

const OPENS: &[Domain] = &[Cover, Valve];

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "Open" => opened(found, "open"),
        "Close" => opened(found, "close"),
        "SetPosition" => position(found),
        "ChangePosition" => {
            let target = found.target(Want { place_means: &[Cover], ..group(OPENS) })?;
            let size = size_of(found.slots.get("size"));
            let size = if size == Size::Medium { Size::By(25.0) } else { size };
            let up = found.flag("up").unwrap_or(true);
            found.act_each(&target, Map::new(), |entity| {
                let now =
                    entity.number("current_position").unwrap_or(if entity.state == "closed" { 0.0 } else { 100.0 });
                super::percent_call(entity, Change { up, size }.of_percent(now))
            })
        }
        "Tilt" => {
            let level = found.number("level").filter(|l| (0.0..=100.0).contains(l)).ok_or(Stop::Mismatch)?;
            let target = found.target(group(&[Cover]))?;
            found.act(&target, "cover.set_cover_tilt_position", data(json!({"tilt_position": level})))
        }
        "Lock" => {
            // "Lock up": every lock there is.
            let all = found.entities(&[Lock]);
            let target = match found.phrase() {
                Some(_) => found.target(want(&[Lock]))?,
                None => Target { entities: all, many: true, all: true, ..Target::default() },
            };
            found.act(&target, "lock.lock", Map::new())
        }
        "Unlock" => {
            lets_somebody(found)?;
            // "Let him in": by the door that was just spoken of.
            let last: Vec<usize> =
                found.resolver.last.iter().copied().filter(|i| found.entity(*i).domain == Lock).collect();
            let target = match (found.phrase(), &last[..]) {
                (Some(_), _) => found.target(want(&[Lock]))?,
                (None, [one]) => Target { entities: vec![*one], ..Target::default() },
                (None, _) => return Err(Stop::Mismatch),
            };
            found.act(&target, "lock.unlock", Map::new())
        }
        "Arm" => {
            let target = found.target_or("alarm", Want { place_means: &[], ..want(&[AlarmControlPanel]) })?;
            let mode = found.text("mode").unwrap_or("away");
            found.act(&target, &format!("alarm_control_panel.alarm_arm_{mode}"), Map::new())
        }
        _ => {
            let target = found.target_or("alarm", Want { place_means: &[], ..want(&[AlarmControlPanel]) })?;
            found.act(&target, "alarm_control_panel.alarm_disarm", Map::new())
        }
    }
}

/// Words of a clause, and of nobody whom a door is opened for: "let me know when the dog goes out of the gate", "let nobody in".
#[rustfmt::skip]
const NOBODY: &[&str] = &[
    "nobody", "no", "none", "not", "never", "neither", "only", "know", "see", "check", "hear", "look", "think", "guess", "remember",
    "forget", "when", "if", "whether", "who", "what", "that", "which", "where", "why", "how", "is", "are", "was", "has", "until",
    "before", "after", "while", "once", "unless",
];

/// Refuses "let … in" and "unlock … for …" of anything but somebody in a few words: what is to be told, a prohibition, a time.
fn lets_somebody(found: &Found<'_>) -> Result<(), Stop> {
    let Some(who) = found.text("who") else { return Ok(()) };
    let words: Vec<&str> = who.split(' ').collect();
    let is_time = |at: usize| {
        let word = words[at];
        is_time_word(word)
            || matches!(word, "at" | "in" | "from")
            || word != "one" && crate::spoken::number(&words[at..]).is_some()
            || crate::spoken::day(&words[at..], found.now.date()).is_some()
    };
    let is_asked = matches!(words[..], ["me" | "us", ref rest @ ..] if !rest.is_empty() && !matches!(rest, ["all" | "both" | "back"]));
    match words.len() > 3 || is_asked || (0..words.len()).any(|at| NOBODY.contains(&words[at]) || is_time(at)) {
        true => Err(Stop::Mismatch),
        false => Ok(()),
    }
}

fn opened(found: &Found<'_>, verb: &str) -> Done {
    super::bare(found)?;
    lets_somebody(found)?;
    // "Water the herbs": by what is called so, or lies there, and lets water through.
    if found.flag("waters") == Some(true) {
        let target = found.target(Want { place_means: &[Valve], ..group(&[Valve]) })?;
        return found.act(&target, &format!("valve.{verb}_valve"), Map::new());
    }
    // "Let some daylight in": what shuts it out here, or the only such thing of the home.
    if found.flag("daylight") == Some(true) {
        let shades =
            |i: &usize| matches!(found.entity(*i).device_class(), Some("blind" | "curtain" | "shade" | "shutter"));
        let mut target = found.target_or("blind", group(&[Cover]))?;
        target.entities.retain(shades);
        return found.act(&target, "cover.open_cover", Map::new());
    }
    let target = found.target(Want { place_means: &[Cover], ..want(OPENS) });
    let mut target = match target {
        Ok(target) => target,
        // "Open the blinds in the kitchen": all of a kind in a place, but only one garage door or gate.
        Err(Stop::Target(crate::sentences::target::Unresolved::Several { what, entities })) => {
            let curtains = entities.iter().all(|i| {
                found.entity(*i).domain == Cover
                    && !matches!(found.entity(*i).device_class(), Some("garage" | "gate" | "door"))
            });
            if !curtains {
                return Err(Stop::Target(crate::sentences::target::Unresolved::Several { what, entities }));
            }
            found.target(Want { place_means: &[Cover], ..group(OPENS) })?
        }
        Err(other) => return Err(other),
    };
    // "Garage door open" tells or asks, and does not say what to do.
    let is_entrance =
        |i: &usize| matches!(found.entity(*i).device_class(), Some("garage" | "gate" | "door" | "window"));
    let tells = verb == "open" || found.flag("told") == Some(true);
    if found.flag("bare") == Some(true) && tells && target.entities.iter().any(is_entrance) {
        return Err(Stop::Mismatch);
    }
    // "The door" is not the garage's, which is called so.
    if verb == "open" && is_some_garage(found, &target) {
        return Err(Stop::Mismatch);
    }
    if target.bare_place || target.noun.is_none() && target.many && target.all {
        // "Close everything": not the garage, whose door is asked for by name.
        target.entities.retain(|i| found.entity(*i).domain == Cover);
    }
    let mut calls = Vec::new();
    for (domain, service) in [(Cover, format!("cover.{verb}_cover")), (Valve, format!("valve.{verb}_valve"))] {
        let ids: Vec<&str> =
            target.entities.iter().filter(|i| found.entity(**i).domain == domain).map(|i| found.id(*i)).collect();
        if !ids.is_empty() {
            calls.push(ServiceCall::new(service, ids));
        }
    }
    found.acts(&target, calls, Map::new())
}

/// Whether "the door" was said, and only a garage's is there.
fn is_some_garage(found: &Found<'_>, target: &Target) -> bool {
    let is_garage = |i: &usize| matches!(found.entity(*i).device_class(), Some("garage"));
    target.noun.is_some_and(|noun| noun.said == "door")
        && target.place.is_none()
        && target.entities.iter().all(is_garage)
}

fn position(found: &Found<'_>) -> Done {
    let mut level = found.number("level").ok_or(Stop::Mismatch)?;
    if !(0.0..=100.0).contains(&level) {
        return Err(Stop::Negative("A position is between 0 and 100%.".to_owned()));
    }
    if found.flag("inverse") == Some(true) {
        level = 100.0 - level;
    }
    // How far something is from being closed is said of what opens and closes only.
    let or_else: &[Domain] = if found.flag("inverse") == Some(true) { &[] } else { &[Fan, Humidifier] };
    let wanted = Want { domains: &[Cover, Valve], or_else, place_means: &[], group: true };
    let target: Target = match found.target(wanted) {
        Ok(target) => target,
        Err(stop) => {
            // "Set the speaker to 50" says the level of something else.
            let others = Want { domains: &[Light, MediaPlayer], place_means: &[], or_else: &[], group: true };
            return Err(if found.target(others).is_ok() { Stop::Mismatch } else { stop });
        }
    };
    if is_some_garage(found, &target) {
        return Err(Stop::Mismatch);
    }
    found.act_each(&target, data(json!({"position": level})), |entity| super::percent_call(entity, level))
}
