//! "Which room is the warmest?", "which battery is the lowest?", "where is the heating set highest?"

use super::measure::{
    Value, area_name, average, called, is_about_its_area, place_of, preferred, preferred_by_room, values,
};
use crate::domain::Domain;
use crate::sentences::intents::{Done, Found};
use crate::sentences::outcome::Stop;
use crate::sentences::reply::{capital, the};
use crate::sentences::state;
use crate::sentences::target::Want;
use crate::spoken::write;

pub(super) fn extreme(found: &Found<'_>) -> Done {
    if found.flag("lights") == Some(true) {
        return brightest(found);
    }
    if let Some(kind) = found.text("setpoint") {
        return setpoint_extreme(found, kind);
    }
    if let Some(kind) = found.text("own") {
        return own_extreme(found, kind);
    }
    let (measure, kind) = match found.text("extreme") {
        Some(extreme) => extreme.rsplit_once('_').ok_or(Stop::Mismatch)?,
        None => (found.text("measure").ok_or(Stop::Mismatch)?, found.text("high_low").ok_or(Stop::Mismatch)?),
    };
    let mut all = values(found, measure);
    let mut place_words = String::new();
    // "Apart from the sauna"
    if let Some(without) = found.text("without") {
        let without = place_of(found, without).ok_or(Stop::Mismatch)?;
        all.retain(|v| !found.resolver.is_in(v.at, &without));
    }
    // A room is indoors.
    if found.flag("rooms") == Some(true) && found.text("place").is_none() {
        let is_outdoors = |v: &Value| {
            let area = found.resolver.names.entities[v.at].area.map(|a| found.resolver.names.areas[a].iter().flatten());
            area.into_iter().flatten().any(|word| super::compare::OUTDOORS.contains(&word.as_str()))
        };
        if all.iter().any(|v| !is_outdoors(v)) {
            all.retain(|v| !is_outdoors(v));
        }
    }
    if let Some(phrase) = found.text("place").or(found.text("target")) {
        let whole = matches!(phrase, "the house" | "house" | "home" | "all rooms" | "the home");
        if !whole && let Some(place) = place_of(found, phrase) {
            all.retain(|v| found.resolver.is_in(v.at, &place));
            place_words = format!(" {}", place.phrase());
        } else if !whole && !matches!(phrase, "sensor" | "room" | "device" | "devices" | "sensors" | "rooms") {
            let target = found
                .resolver
                .resolve(phrase, Want { domains: Domain::ALL, or_else: &[], place_means: &[], group: true })?;
            all.retain(|v| {
                target.entities.contains(&v.at)
                    || target.entities.iter().any(|i| {
                        found.entity(*i).device.is_some() && found.entity(*i).device == found.entity(v.at).device
                    })
            });
        }
    }
    // Rooms are compared by what measures rooms.
    if found.text("extreme").is_some() || measure == "temperature" {
        let rooms: Vec<Value> = all
            .iter()
            .filter(|v| is_about_its_area(found, v.at, measure) || found.entity(v.at).domain == Domain::Climate)
            .cloned()
            .collect();
        if rooms.len() > 1 {
            all = rooms;
        }
    }
    let words = called(measure);
    if kind == "mean" {
        let all = preferred_by_room(found, all);
        return if all.is_empty() {
            Err(Stop::Unsaid(format!("the {words}")))
        } else {
            average(found, &all, &words, &place_words)
        };
    }
    let all = if all.iter().filter(|v| found.entity(v.at).domain == Domain::Sensor).count() > 1 {
        preferred(found, all)
    } else {
        all
    };
    if all.is_empty() {
        return Err(Stop::Unsaid(format!("the {words}")));
    }
    let best = furthest(&all, kind).ok_or(Stop::Mismatch)?;
    let value = state::quantity(best.number, &best.unit);
    let ids: Vec<usize> = all.iter().filter(|v| v.number == best.number).map(|v| v.at).collect();
    let room = area_name(found, best.at)
        .filter(|_| is_about_its_area(found, best.at, measure) || found.entity(best.at).domain == Domain::Climate);
    let answer = match (room, found.text("extreme")) {
        (Some(room), Some(extreme)) => {
            let word = match extreme {
                "temperature_max" => "warmest",
                "temperature_min" => "coldest",
                "humidity_max" => "most humid",
                "humidity_min" => "driest",
                "illuminance_max" => "brightest",
                "illuminance_min" => "darkest",
                "sound_pressure_max" => "loudest",
                "sound_pressure_min" => "quietest",
                "carbon_dioxide_max" => "one with the worst air",
                _ => "one with the best air",
            };
            format!("The {room} is the {word}, at {value}.")
        }
        (Some(room), None) => {
            format!("The {} {words} is {value}, in the {room}.", if kind == "max" { "highest" } else { "lowest" })
        }
        (None, _) => {
            format!(
                "The {} {words} is {value}, from {}.",
                if kind == "max" { "highest" } else { "lowest" },
                the(found.entity(best.at))
            )
        }
    };
    found.say(&ids, answer)
}

/// The first of the highest values ("max"), or of the lowest.
fn furthest<'v>(all: &'v [Value], kind: &str) -> Option<&'v Value> {
    let is_further = |a: &Value, b: &Value| if kind == "max" { b.number > a.number } else { b.number < a.number };
    all.iter().reduce(|a, b| if is_further(a, b) { b } else { a })
}

/// "Which lamp is the brightest?": of those that are on and say how bright they are.
fn brightest(found: &Found<'_>) -> Done {
    let lit = |i: &usize| {
        let entity = found.entity(*i);
        let level = entity.number("brightness").filter(|_| entity.state == "on")?;
        Some((*i, level))
    };
    let all: Vec<(usize, f64)> = found.entities(&[Domain::Light]).iter().filter_map(lit).collect();
    let Some(most) = all.iter().map(|(_, level)| *level).reduce(f64::max) else {
        return Err(Stop::Unsaid("which light is the brightest".to_owned()));
    };
    let best: Vec<usize> = all.iter().filter(|(_, level)| *level == most).map(|(i, _)| *i).collect();
    let names: Vec<&crate::model::Entity> = best.iter().map(|i| found.entity(*i)).collect();
    let is = if best.len() == 1 { "is" } else { "are" };
    let percent = write::number((most / 2.55).round());
    found.say(&best, format!("{} {is} the brightest, at {percent}%.", capital(&crate::sentences::reply::names(&names))))
}

/// "Which room is the heating set highest in?"
fn setpoint_extreme(found: &Found<'_>, kind: &str) -> Done {
    let set: Vec<Value> = found
        .entities(&[Domain::Climate])
        .into_iter()
        .filter(|i| found.entity(*i).state != "off")
        .filter_map(|at| {
            let entity = found.entity(at);
            let unit = entity.unit().unwrap_or("\u{b0}").to_owned();
            Some(Value { at, number: entity.number("temperature")?, unit })
        })
        .collect();
    let best = furthest(&set, kind).ok_or_else(|| Stop::Unsaid("what the heating is set to".to_owned()))?;
    let same: Vec<usize> = set.iter().filter(|v| v.number == best.number).map(|v| v.at).collect();
    let names: Vec<String> = same
        .iter()
        .map(|at| match area_name(found, *at) {
            Some(area) => format!("{} in the {area}", the(found.entity(*at))),
            None => the(found.entity(*at)),
        })
        .collect();
    let is = if same.len() == 1 { "is" } else { "are" };
    let word = if kind == "max" { "highest" } else { "lowest" };
    let value = state::quantity(best.number, &best.unit);
    found.say(&same, format!("{} {is} set the {word}, to {value}.", capital(&write::and(&names))))
}

/// "Which tank is the fullest?": of things of one kind, by what each reads.
fn own_extreme(found: &Found<'_>, kind: &str) -> Done {
    let want = Want { domains: &[Domain::Sensor], or_else: &[], place_means: &[], group: true };
    let target = found.asked(want)?;
    let read: Vec<Value> = target
        .entities
        .iter()
        .filter_map(|at| {
            let entity = found.entity(*at);
            let number = entity.state.parse().ok()?;
            Some(Value { at: *at, number, unit: entity.unit().unwrap_or_default().to_owned() })
        })
        .collect();
    if read.len() < 2 || read.iter().any(|v| v.unit != read[0].unit) {
        return Err(Stop::Mismatch);
    }
    let best = furthest(&read, kind).ok_or(Stop::Mismatch)?;
    let value = state::quantity(best.number, &best.unit);
    found.say(
        &[best.at],
        format!(
            "{} has the {}: {value}.",
            capital(&the(found.entity(best.at))),
            if kind == "max" { "most" } else { "least" }
        ),
    )
}
