//! Where people are.

use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::intents::{Done, Found};
use crate::sentences::outcome::Stop;
use crate::sentences::reply::capital;
use crate::sentences::target::{Unresolved, Want};
use crate::spoken::write;

const PEOPLE: &[Domain] = &[Domain::Person];

pub(super) fn locate(found: &Found<'_>) -> Done {
    let all = found.entities(PEOPLE);
    if found.flag("everyone") == Some(true) {
        return everyone(found, &all);
    }
    let want = Want { domains: PEOPLE, or_else: &[Domain::DeviceTracker], place_means: &[], group: false };
    let target = found.target(want)?;
    let [at] = target.entities[..] else {
        if target.many && !target.entities.is_empty() {
            let list: Vec<String> = target
                .entities
                .iter()
                .map(|i| format!("{} is {}", name(found.entity(*i)), place(found.entity(*i))))
                .collect();
            return found.say(&target.entities, format!("{}.", capital(&write::and(&list))));
        }
        return Err(Stop::Target(Unresolved::Several { what: "person".to_owned(), entities: target.entities }));
    };
    let entity = found.entity(at);
    if matches!(entity.state.as_str(), "unknown" | "unavailable" | "") {
        return found.say(&[at], format!("I do not know where {} is.", name(entity)));
    }
    // "Who is at home with Ann?"
    if found.text("asks") == Some("with") {
        let others: Vec<String> = all
            .iter()
            .filter(|i| **i != at && found.entity(**i).state == "home")
            .map(|i| found.entity(*i).name.clone())
            .collect();
        let answer = match (entity.state == "home", others.len()) {
            (false, 0) => format!("{} is {}, and nobody is at home.", name(entity), place(entity)),
            (false, n) => format!(
                "{} is {}. {} {} at home.",
                name(entity),
                place(entity),
                write::and(&others),
                if n == 1 { "is" } else { "are" }
            ),
            (true, 0) => format!("Nobody else is at home with {}.", name(entity)),
            (true, n) => {
                format!("{} {} at home with {}.", write::and(&others), if n == 1 { "is" } else { "are" }, name(entity))
            }
        };
        return found.say(all.as_slice(), answer);
    }
    let yes = match found.text("asks") {
        Some("home") => Some(entity.state == "home"),
        Some("away") => Some(entity.state != "home"),
        Some(_) => {
            let words = |text: &str| crate::spoken::words(&text.replace('_', " ")).join(" ");
            let zone = words(found.text("zone").unwrap_or_default());
            // "Is she in the kitchen?" is nothing that a person's state tells.
            let is_room = found.resolver.place(&zone);
            if is_room && words(&entity.state) != zone {
                return Err(Stop::Unsaid(format!("whether {} is there", name(entity))));
            }
            Some(words(&entity.state) == zone)
        }
        None => None,
    };
    let told = format!("{} is {}", name(entity), place(entity));
    found.say(
        &[at],
        match yes {
            Some(true) => format!("Yes, {told}."),
            Some(false) => format!("No, {told}."),
            None => format!("{}.", capital(&told)),
        },
    )
}

fn name(entity: &Entity) -> String {
    if entity.domain == Domain::Person { entity.name.clone() } else { crate::sentences::reply::the(entity) }
}

fn place(entity: &Entity) -> String {
    match entity.state.as_str() {
        "home" => "at home".to_owned(),
        "not_home" => "away from home".to_owned(),
        "unknown" | "unavailable" | "" => "at an unknown place".to_owned(),
        zone => format!("at {}", zone.replace('_', " ")),
    }
}

fn everyone(found: &Found<'_>, all: &[usize]) -> Done {
    if all.is_empty() {
        return Err(Stop::Unsaid("who is at home".to_owned()));
    }
    let names = |home: bool| -> Vec<String> {
        all.iter()
            .filter(|i| (found.entity(**i).state == "home") == home)
            .map(|i| found.entity(*i).name.clone())
            .collect()
    };
    let (home, away) = (names(true), names(false));
    let is = |n: usize| if n == 1 { "is" } else { "are" };
    let at_home = || format!("{} {} at home", write::and(&home), is(home.len()));
    let asked = match (found.text("asks"), home.is_empty(), away.is_empty()) {
        (Some("zone"), ..) => return in_zone(found, all),
        (Some("anyone"), true, _) => Some("No, nobody is at home.".to_owned()),
        (Some("anyone"), false, _) => Some(format!("Yes, {}.", at_home())),
        (Some("nobody"), true, _) => Some("Yes, nobody is at home.".to_owned()),
        (Some("nobody"), false, _) => Some(format!("No, {}.", at_home())),
        (Some("all"), _, true) => Some(format!("Yes, {}.", at_home())),
        (Some("all"), ..) => Some(format!("No, {} {} not at home.", write::and(&away), is(away.len()))),
        (Some("count"), false, _) => {
            let people = write::count(home.len(), "person", "people");
            Some(format!("{people} {} at home: {}.", is(home.len()), write::and(&home)))
        }
        (Some("away" | "count_away"), _, true) => Some("Nobody is away.".to_owned()),
        (Some("away"), ..) => Some(format!("{}.", capital(&write::and(&places(found, all))))),
        (Some("count_away"), ..) => {
            let people = write::count(away.len(), "person", "people");
            Some(format!("{people} {} not at home: {}.", is(away.len()), write::and(&places(found, all))))
        }
        _ => None,
    };
    if let Some(answer) = asked {
        return found.say(all, answer);
    }
    let answer = match (home.len(), away.len()) {
        (0, _) => "Nobody is at home.".to_owned(),
        (n, 0) => format!("{} {} at home.", write::and(&home), is(n)),
        (n, _) => format!("{} {} at home, and {}.", write::and(&home), is(n), write::and(&places(found, all))),
    };
    found.say(all, answer)
}

/// Where those are who are not at home: "Ben is away from home".
fn places(found: &Found<'_>, all: &[usize]) -> Vec<String> {
    let away = all.iter().map(|i| found.entity(*i)).filter(|person| person.state != "home");
    away.map(|person| format!("{} is {}", person.name, place(person))).collect()
}

/// Who is at a place that is none of the home's rooms: "who is at work?"
fn in_zone(found: &Found<'_>, all: &[usize]) -> Done {
    let words = |text: &str| crate::spoken::words(&text.replace('_', " ")).join(" ");
    let zone = words(found.text("zone").unwrap_or_default());
    let is_known = all.iter().any(|i| words(&found.entity(*i).state) == zone);
    if zone.is_empty() || !is_known && (found.resolver.place(&zone) || !matches!(zone.as_str(), "work" | "school")) {
        return Err(Stop::Mismatch);
    }
    let there: Vec<usize> = all.iter().copied().filter(|i| words(&found.entity(*i).state) == zone).collect();
    let names: Vec<String> = there.iter().map(|i| found.entity(*i).name.clone()).collect();
    let answer = match names.len() {
        0 => format!("Nobody is at {zone}."),
        1 => format!("{} is at {}.", names[0], found.entity(there[0]).state.replace('_', " ")),
        _ => format!("{} are at {}.", write::and(&names), found.entity(there[0]).state.replace('_', " ")),
    };
    found.say(all, answer)
}
