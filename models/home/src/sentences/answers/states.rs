//! "Is any window open?", "how many lights are on?", "which doors are unlocked?", "what is the state of the washer?"

use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::intents::{Done, Found};
use crate::sentences::outcome::Stop;
use crate::sentences::reply::{capital, is_plural, lowered, names, the};
use crate::sentences::state;
use crate::sentences::target::{Target, Unresolved, Want};
use crate::spoken::write;

use Domain::{
    AlarmControlPanel, Automation, BinarySensor, Camera, Climate, Cover, DeviceTracker, Fan, Humidifier, InputBoolean,
    InputNumber, InputSelect, InputText, LawnMower, Light, Lock, MediaPlayer, Number, Person, Remote, Scene, Script,
    Select, Sensor, Siren, Switch, Timer, Vacuum, Valve, WaterHeater,
};

/// Domains in which a state word is first looked for.
fn domains(word: &str) -> &'static [Domain] {
    match word {
        "open" | "closed" => &[Cover, BinarySensor, Valve],
        "opening" | "closing" => &[Cover, Valve],
        "locked" | "unlocked" | "jammed" => &[Lock, BinarySensor],
        "playing" | "paused" | "muted" => &[MediaPlayer],
        "cleaning" | "docked" | "returning" | "charging" => &[Vacuum, LawnMower, BinarySensor],
        "mowing" => &[LawnMower],
        "heating" | "cooling" => &[Climate],
        "oscillating" => &[Fan],
        "armed" | "disarmed" => &[AlarmControlPanel],
        "triggered" => &[AlarmControlPanel, BinarySensor],
        "wet" | "dry" | "occupied" | "empty" | "connected" | "disconnected" | "plugged in" | "unplugged"
        | "detected" => &[BinarySensor],
        "low" => &[BinarySensor, Sensor],
        "finished" => &[BinarySensor, Vacuum, LawnMower, MediaPlayer, Sensor, Switch],
        "idle" => &[MediaPlayer, Vacuum, Timer],
        "unavailable" | "available" => &[
            Light,
            Switch,
            Fan,
            Cover,
            Lock,
            Climate,
            MediaPlayer,
            Vacuum,
            Valve,
            Sensor,
            BinarySensor,
            Camera,
            Humidifier,
        ],
        _ => &[
            Light,
            Switch,
            Fan,
            MediaPlayer,
            Climate,
            InputBoolean,
            Humidifier,
            Siren,
            Camera,
            Remote,
            WaterHeater,
            Vacuum,
            LawnMower,
            Valve,
            Automation,
            Script,
            Timer,
            AlarmControlPanel,
            BinarySensor,
            Sensor,
        ],
    }
}

/// What has a state of its own to be told.
const TOLD: &[Domain] = &[
    Light,
    Switch,
    Cover,
    Lock,
    Climate,
    Fan,
    MediaPlayer,
    Vacuum,
    Valve,
    LawnMower,
    Humidifier,
    WaterHeater,
    AlarmControlPanel,
    BinarySensor,
    Sensor,
    InputBoolean,
    InputNumber,
    Number,
    InputSelect,
    Select,
    InputText,
    Timer,
    Siren,
    Camera,
    Person,
    DeviceTracker,
    Automation,
    Script,
    Scene,
    Remote,
];

/// The word for things of a state in a sentence: "wet", "detecting motion".
fn said(word: &str) -> &str {
    word
}

fn wanted(word: &str) -> Want<'static> {
    Want { domains: domains(word), or_else: &[], place_means: &[], group: true }
}

/// Those of a target of which the word can be said, each with whether it is so.
fn judged(found: &Found<'_>, target: &Target, word: &str) -> Vec<(usize, bool)> {
    target.entities.iter().filter_map(|i| state::is(found.entity(*i), word).map(|is| (*i, is))).collect()
}

/// What the slots mean: a target, or everything of a device class in a place.
fn target(found: &Found<'_>, word: &str) -> Result<Target, Stop> {
    let Some(class) = found.text("class") else {
        return found.asked(wanted(word));
    };
    let place = match found.text("place") {
        Some(place) => Some(found.resolver.resolve(place, Want { place_means: &[BinarySensor], ..wanted(word) })?),
        None => None,
    };
    let fits = |entity: &Entity| {
        let is = entity.device_class().unwrap_or_default();
        is == class || class == "motion" && matches!(is, "occupancy" | "presence")
    };
    let mut entities: Vec<usize> =
        found.entities(&[BinarySensor]).into_iter().filter(|i| fits(found.entity(*i))).collect();
    let here = found.resolver.here;
    if let Some(place) = &place {
        entities.retain(|i| place.entities.contains(i));
    } else if let Some(here) = here
        && entities.iter().any(|i| found.resolver.names.entities[*i].area == Some(here))
        && found.text("place").is_none()
        && class == "motion"
    {
        entities.retain(|i| found.resolver.names.entities[*i].area == Some(here));
    }
    if entities.is_empty() {
        return Err(Stop::Unsaid(format!("anything about {class}")));
    }
    Ok(Target { entities, many: true, place: place.and_then(|p| p.place), ..Target::default() })
}

/// Yes or no.
pub(super) fn ask(found: &Found<'_>) -> Done {
    let word = found.text("state").unwrap_or("off");
    let mut target = target(found, word)?;
    // A thing and the sensor of what it draws: the thing is meant.
    if target.entities.iter().any(|i| found.entity(*i).domain != Sensor) {
        target.entities.retain(|i| found.entity(*i).domain != Sensor);
    }
    let judged = judged(found, &target, word);
    let ids: Vec<usize> = judged.iter().map(|(i, _)| *i).collect();
    let yes: Vec<&Entity> = judged.iter().filter(|(_, is)| *is).map(|(i, _)| found.entity(*i)).collect();
    let no: Vec<&Entity> = judged.iter().filter(|(_, is)| !*is).map(|(i, _)| found.entity(*i)).collect();
    match judged[..] {
        [] => {
            return match target.entities[..] {
                [one] if found.entity(one).state == "unavailable" => {
                    found.say(&[one], format!("{} is not available.", capital(&the(found.entity(one)))))
                }
                _ => Err(Stop::Mismatch),
            };
        }
        [(i, is)] => {
            let entity = found.entity(i);
            let verb = verb(entity);
            let now = if word == "finished" {
                state::words(entity)
            } else if word == "muted" && !is {
                "not muted".to_owned()
            } else if is && !matches!(word, "on" | "heating" | "cooling") {
                word.to_owned()
            } else {
                state::words(entity)
            };
            return found.say(&[i], format!("{}, {} {verb} {now}.", if is { "Yes" } else { "No" }, the(entity)));
        }
        _ => {}
    }
    let phrase = found.text("target").unwrap_or_default();
    // "Are the lights off?" is so only if all are; of "are the lights on?" those are told that are.
    let rest = matches!(word, "off" | "closed" | "locked" | "docked" | "dry" | "empty" | "finished" | "disarmed");
    let is_definite = target.many && !phrase.split(' ').any(|w| matches!(w, "any" | "a" | "some"));
    let every = target.all
        || phrase.starts_with("all ")
        || phrase.starts_with("every")
        || phrase.starts_with("both")
        || rest && is_definite && !found.slots.contains_key("class");
    let what = target.noun.map_or_else(|| "devices".to_owned(), |n| n.word(true));
    let any = phrase.split(' ').any(|w| w == "any" || w == "a" || w == "some")
        || found.slots.contains_key("class")
        || !target.many;
    let place = target.place.as_ref().map(|p| format!(" {}", p.phrase())).unwrap_or_default();
    let word = said(word);
    let answer = if yes.is_empty() {
        if every || !any {
            format!("No, none of the {what}{place} are {word}.")
        } else {
            format!("No, no {what}{place} are {word}.")
        }
    } else if no.is_empty() {
        let all = if yes.len() == 2 { "both".to_owned() } else { format!("all {}", yes.len()) };
        format!("Yes, {all} {what}{place} are {word}: {}.", names_all(&yes))
    } else if every {
        format!("No, {} {} not {word}.", names_all(&no), are(no.len()))
    } else {
        format!("Yes, {} {} {word}.", names_all(&yes), are(yes.len()))
    };
    found.say(&ids, answer)
}

/// The areas of the home.
pub(super) fn rooms(found: &Found<'_>) -> Done {
    let names: Vec<String> = found.resolver.home.areas().iter().map(|area| lowered(&area.name)).collect();
    let answer = match names.len() {
        0 => "I know of no rooms.".to_owned(),
        1 => format!("There is one room: the {}.", names[0]),
        n => format!("There are {n} rooms: {}.", write::and(&names)),
    };
    found.say(&[], answer)
}

fn are(n: usize) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

fn verb(entity: &Entity) -> &'static str {
    if is_plural(entity) && !matches!(entity.domain, Person | Sensor) { "are" } else { "is" }
}

/// Up to eight names; more are counted.
fn names_all(entities: &[&Entity]) -> String {
    if entities.len() > 8 {
        return names(entities);
    }
    let mut list: Vec<String> = entities.iter().map(|e| the(e)).collect();
    list.dedup();
    write::and(&list)
}

/// "What is the state of …?"
pub(super) fn what(found: &Found<'_>) -> Done {
    let target = found.asked(Want { domains: TOLD, or_else: &[], place_means: &[], group: true })?;
    // A device's name is the name of several of its entities: what it does comes before what it measures.
    let mut told = target.entities.clone();
    if told.len() > 6 {
        return Err(Stop::Target(Unresolved::Several {
            what: target.noun.map_or_else(|| "one".to_owned(), |n| n.word(false)),
            entities: told,
        }));
    }
    told.dedup();
    let sentences: Vec<String> = told
        .iter()
        .map(|i| {
            let entity = found.entity(*i);
            if found.flag("where") == Some(true)
                && let Some(area) = found.resolver.home.area_of(entity)
            {
                let (the, area) = (capital(&the(entity)), area.name.to_lowercase());
                return format!("{the} {} in the {area}, {}.", verb(entity), state::words(entity));
            }
            format!("{} {} {}.", capital(&the(entity)), verb(entity), state::words(entity))
        })
        .collect();
    found.say(&told, sentences.join(" "))
}

/// "How many … are on?", "how many … are there?"
pub(super) fn count(found: &Found<'_>) -> Done {
    if found.flag("exist") == Some(true) {
        let target = found.asked(Want { domains: TOLD, or_else: &[], place_means: &[], group: true });
        let target = match target {
            Ok(target) if target.noun.is_some() => target,
            Ok(_) => return Err(Stop::Mismatch),
            Err(Stop::Target(Unresolved::Nothing { what, place })) => {
                let place = place.map(|p| format!(" {p}")).unwrap_or_default();
                return found.say(&[], format!("There are no {what}{place}."));
            }
            Err(other) => return Err(other),
        };
        let n = target.entities.len();
        let noun = target.noun.ok_or(Stop::Mismatch)?;
        let place = target.place.as_ref().map(|p| format!(" {}", p.phrase())).unwrap_or_default();
        let list: Vec<&Entity> = target.entities.iter().map(|i| found.entity(*i)).collect();
        return found.say(
            &target.entities,
            format!("There {} {n} {}{place}: {}.", are(n), noun.word(n != 1), names_all(&list)),
        );
    }
    let word = found.text("state").ok_or(Stop::Mismatch)?;
    let target = match target(found, word) {
        Ok(target) => target,
        Err(Stop::Target(Unresolved::Nothing { what, place })) => {
            let place = place.map(|p| format!(" {p}")).unwrap_or_default();
            return found.say(&[], format!("None: there are no {what}{place}."));
        }
        Err(other) => return Err(other),
    };
    let yes: Vec<usize> = judged(found, &target, word).into_iter().filter(|(_, is)| *is).map(|(i, _)| i).collect();
    let what = |n: usize| {
        target.noun.map_or_else(|| if n == 1 { "device" } else { "devices" }.to_owned(), |noun| noun.word(n != 1))
    };
    let place = target.place.as_ref().map(|p| format!(" {}", p.phrase())).unwrap_or_default();
    let list: Vec<&Entity> = yes.iter().map(|i| found.entity(*i)).collect();
    let answer = match yes.len() {
        0 => format!("No {}{place} are {word}.", what(2)),
        n => format!("{n} {}{place} {} {word}: {}.", what(n), are(n), names_all(&list)),
    };
    found.say(&yes, answer)
}

/// "Which … are on?"
pub(super) fn which(found: &Found<'_>) -> Done {
    if found.flag("exist") == Some(true) {
        return exist(found);
    }
    let word = found.text("state").ok_or(Stop::Mismatch)?;
    let target = if found.text("target").is_some() {
        target(found, word)?
    } else {
        let kinds: &[Domain] = if word == "on" {
            &[Light, Switch, Fan, MediaPlayer, Climate, InputBoolean, Humidifier, Vacuum]
        } else {
            domains(word)
        };
        let mut entities = found.entities(kinds);
        let place = match found.text("place") {
            Some(place) => {
                found
                    .resolver
                    .resolve(place, Want { domains: kinds, or_else: &[], place_means: kinds, group: true })?
                    .place
            }
            None => None,
        };
        if let Some(place) = &place {
            entities.retain(|i| found.resolver.is_in(*i, place));
        }
        Target { entities, many: true, place, ..Target::default() }
    };
    let yes: Vec<usize> = judged(found, &target, word).into_iter().filter(|(_, is)| *is).map(|(i, _)| i).collect();
    let place = target.place.as_ref().map(|p| format!(" {}", p.phrase())).unwrap_or_default();
    let list: Vec<&Entity> = yes.iter().map(|i| found.entity(*i)).collect();
    let answer = match yes.len() {
        0 => {
            let what = target.noun.map(|n| n.word(true));
            match what {
                Some(what) => format!("No {what}{place} are {word}."),
                None => format!("Nothing is {word}{place}."),
            }
        }
        1..=12 => {
            let mut list: Vec<String> = list.iter().map(|e| the(e)).collect();
            list.dedup();
            format!(
                "{} {} {word}{}.",
                capital(&write::and(&list)),
                are(list.len()),
                if target.noun.is_none() { place } else { String::new() }
            )
        }
        n => format!(
            "{n} of them are {word}: {} and others.",
            list[..8].iter().map(|e| the(e)).collect::<Vec<_>>().join(", ")
        ),
    };
    found.say(&yes, answer)
}

fn exist(found: &Found<'_>) -> Done {
    let target = match found.asked(Want { domains: TOLD, or_else: &[], place_means: &[], group: true }) {
        Ok(target) if target.noun.is_some() => target,
        Ok(_) => return Err(Stop::Mismatch),
        Err(Stop::Target(Unresolved::Nothing { what, place })) => {
            let place = place.map(|p| format!(" {p}")).unwrap_or_default();
            return found.say(&[], format!("There are no {what}{place}."));
        }
        Err(other) => return Err(other),
    };
    let list: Vec<&Entity> = target.entities.iter().map(|i| found.entity(*i)).collect();
    let n = list.len();
    let noun = target.noun.ok_or(Stop::Mismatch)?.word(n != 1);
    let place = target.place.as_ref().map(|p| format!(" {}", p.phrase())).unwrap_or_default();
    let mut shown: Vec<String> = list.iter().take(12).map(|e| the(e)).collect();
    shown.dedup();
    found.say(&target.entities, format!("There {} {n} {noun}{place}: {}.", are(n), write::and(&shown)))
}
