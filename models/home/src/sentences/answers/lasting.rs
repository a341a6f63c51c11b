//! Questions about how long: "how long until the washer is done?", answered by a sensor or timer that tells what is left or when it
//! ends, and "how long has the lamp been on?", "when was the gate opened?", of which the states tell nothing but how it is now.

use jiff::civil::DateTime;

use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::outcome::{Reading, Step};
use crate::sentences::reply::{capital, the};
use crate::sentences::state;
use crate::sentences::target::{Resolver, Want};
use crate::sentences::vocabulary::stem;
use crate::spoken::write;

/// What has a state that lasts.
#[rustfmt::skip]
const LASTS: &[Domain] = &[
    Domain::Light, Domain::Switch, Domain::Cover, Domain::Lock, Domain::Climate, Domain::Fan, Domain::MediaPlayer, Domain::Vacuum,
    Domain::Valve, Domain::LawnMower, Domain::Humidifier, Domain::AlarmControlPanel, Domain::BinarySensor, Domain::Person,
    Domain::InputBoolean,
];

/// Words around the thing in a question for what is left.
const AROUND: &[&str] = &[
    "the",
    "my",
    "our",
    "a",
    "is",
    "are",
    "be",
    "will",
    "does",
    "do",
    "has",
    "have",
    "done",
    "finished",
    "finish",
    "ready",
    "over",
    "through",
    "complete",
    "completed",
    "still",
    "left",
    "take",
    "need",
    "run",
    "running",
    "going",
    "to",
    "for",
    "on",
    "it",
    "more",
    "time",
    "much",
    "many",
    "minutes",
    "hours",
    "yet",
    "end",
    "cycle",
    "remaining",
    "of",
    "in",
    "program",
    "programme",
    "until",
    "till",
    "before",
    "how",
    "long",
    "when",
    "what",
    "longer",
];

/// The answer, where there is exactly one.
pub fn about(text: &str, resolver: &Resolver<'_>, now: DateTime) -> Option<Step> {
    let said: Vec<&str> = text.split(' ').filter(|w| !matches!(*w, "," | ".")).collect();
    if said.len() > 14 {
        return None;
    }
    left(&said, resolver, now).or_else(|| since(&said, resolver))
}

/// "How long until …", "when will … be done", "how long will … take".
fn left(said: &[&str], resolver: &Resolver<'_>, now: DateTime) -> Option<Step> {
    let ends = said.iter().any(|w| {
        matches!(
            *w,
            "done"
                | "finished"
                | "finish"
                | "ready"
                | "over"
                | "complete"
                | "left"
                | "remaining"
                | "take"
                | "need"
                | "until"
                | "end"
        )
    });
    let asks = match said {
        ["how", "long" | "much", ..] | ["how", "many", "minutes" | "hours", ..] => ends,
        ["when", "will" | "is" | "does" | "do" | "are", ..] | ["what", "time", "will" | "is" | "does", ..] => ends,
        _ => false,
    };
    if !asks {
        return None;
    }
    let content: Vec<String> = said.iter().filter(|w| !AROUND.contains(w)).map(|w| stem(w)).collect();
    if content.is_empty() {
        return None;
    }
    let mut fit: Vec<usize> = Vec::new();
    for (at, named) in resolver.names.entities.iter().enumerate() {
        let entity = &resolver.home.entities()[at];
        if told(entity, now).is_none() {
            continue;
        }
        let area = named.area.map(|area| resolver.names.areas[area].iter().flatten()).into_iter().flatten();
        let place: Vec<&String> = area.collect();
        let explained = |w: &String| named.names.iter().any(|name| name.contains(w)) || named.device.contains(w);
        if content.iter().any(explained) && content.iter().all(|w| explained(w) || place.contains(&w)) {
            fit.push(at);
        }
    }
    let [one] = fit[..] else { return None };
    let entity = &resolver.home.entities()[one];
    let answer = told(entity, now)?;
    Some(Step::Say(reading(&[entity]), format!("{} {answer}.", capital(&the(entity)))))
}

/// What a sensor of a duration or of a moment, or a running timer, says of the time left.
fn told(entity: &Entity, now: DateTime) -> Option<String> {
    match (entity.domain, entity.device_class()) {
        (Domain::Sensor, Some("timestamp")) => {
            let at: DateTime = entity.state.get(..19)?.replace(' ', "T").parse().ok()?;
            Some(format!("is {} at {}", write::day(at.date(), now.date()), write::clock(at.time())))
        }
        (Domain::Sensor, class) => {
            let unit = entity.unit()?;
            let is_time = class == Some("duration") || matches!(unit, "s" | "min" | "h");
            let value: f64 = entity.state.parse().ok().filter(|_| is_time)?;
            Some(format!("is {}", state::quantity(value, unit)))
        }
        (Domain::Timer, _) if entity.state == "active" => {
            entity.text("remaining").map(|left| format!("has {} left", write::clocked(left)))
        }
        _ => None,
    }
}

/// "How long has … been on?", "since when …", "when was … opened?": the states are of now.
fn since(said: &[&str], resolver: &Resolver<'_>) -> Option<Step> {
    let thing = match said {
        ["how", "long", "has" | "have", rest @ ..] | ["how", "long", "is" | "are", rest @ ..] => {
            &rest[..rest
                .iter()
                .position(|w| matches!(*w, "been" | "already" | "on" | "off" | "open" | "closed" | "running"))?]
        }
        ["since", "when", "is" | "are" | "has" | "have", rest @ ..] => {
            &rest[..rest.iter().position(|w| {
                matches!(*w, "been" | "on" | "off" | "open" | "closed" | "locked" | "running" | "away" | "home")
            })?]
        }
        ["when", "was" | "were", rest @ ..]
        | ["when", "did", rest @ ..]
        | ["what", "time", "was" | "did", rest @ ..] => {
            let at = rest.iter().position(|w| {
                matches!(
                    *w,
                    "last"
                        | "opened"
                        | "closed"
                        | "turned"
                        | "switched"
                        | "locked"
                        | "unlocked"
                        | "get"
                        | "leave"
                        | "come"
                        | "arrive"
                        | "open"
                        | "close"
                        | "start"
                        | "started"
                        | "stop"
                        | "change"
                        | "changed"
                        | "go"
                )
            })?;
            &rest[..at]
        }
        _ => return None,
    };
    if thing.is_empty() {
        return None;
    }
    let want = Want { domains: LASTS, or_else: &[], place_means: &[], group: false };
    let found = resolver.resolve(&thing.join(" "), want).ok()?;
    let [one] = found.entities[..] else { return None };
    let entity = &resolver.home.entities()[one];
    let name = if entity.domain == Domain::Person { entity.name.clone() } else { the(entity) };
    Some(Step::Say(reading(&[entity]), format!("I do not know since when; {name} is {} now.", state::words(entity))))
}

fn reading(entities: &[&Entity]) -> Reading {
    let targets = entities.iter().map(|entity| entity.id.clone()).collect();
    Reading { intent: "AskWhat".to_owned(), targets, ..Reading::default() }
}
