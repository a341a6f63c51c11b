//! Short spoken replies, computed from what calls changed.

use serde_json::Value;

use super::nouns::{noun_at, singular};
use super::outcome::Reading;
use super::state;
use crate::domain::Domain;
use crate::model::{Entity, Home};
use crate::services::Change;
use crate::spoken::ordinary::is_ordinary;
use crate::spoken::{colour, write};

/// "the kitchen light", or the bare name where it takes no article.
pub fn the(entity: &Entity) -> String {
    let name = entity.name.trim();
    let lower = name.to_lowercase();
    let proper = lower.starts_with("the ")
        || lower.starts_with("my ")
        || matches!(entity.domain, Domain::Person)
        || lower.contains('\'')
        || lower.ends_with(" today")
        || is_own_name(entity);
    if proper { name.to_owned() } else { format!("the {}", lowered(name)) }
}

/// Things as they are asked for: where several have one name, each with its area, as in "the floor lamp in the study".
pub fn told_apart(entities: &[&Entity], home: &Home) -> Vec<String> {
    let names: Vec<String> = entities.iter().map(|entity| the(entity)).collect();
    let is_alone = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let with_place = |(entity, name): (&&Entity, &String)| match home.area_of(entity) {
        Some(area) if !is_alone(name) => {
            // "In bedroom 1"
            let the = if area.name.ends_with(|c: char| c.is_ascii_digit()) { "" } else { "the " };
            format!("{name} in {the}{}", lowered(&area.name))
        }
        _ => name.clone(),
    };
    entities.iter().zip(&names).map(with_place).collect()
}

/// Whether a robot has a name as a person has: "Dusty Bin", "Rosie".
fn is_own_name(entity: &Entity) -> bool {
    let is_ordinary_word = |word: &str| is_ordinary(&singular(&word.to_lowercase()));
    matches!(entity.domain, Domain::Vacuum | Domain::LawnMower)
        && entity
            .name
            .split_whitespace()
            .all(|w| w.starts_with(char::is_uppercase) && w.chars().any(char::is_lowercase))
        && !entity.name.split_whitespace().any(|w| is_ordinary_word(w) && !matches!(w.to_lowercase().as_str(), "bin"))
}

/// A name as it stands in a sentence: in lower case where it is made of ordinary words ("the kitchen light", but "living room TV"),
/// else as its owner wrote it ("the Hue Go", "the Great Room Sonos").
pub fn lowered(name: &str) -> String {
    let shouts = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_uppercase() || c.is_ascii_digit());
    let words: Vec<&str> = name.split(' ').collect();
    let ordinary = |word: &&str| {
        let plain: String = word.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        plain.is_empty() || plain.chars().all(|c| c.is_ascii_digit()) || shouts(word) || is_ordinary(&singular(&plain))
    };
    if !words.iter().all(ordinary) {
        return name.to_owned();
    }
    let lower = |word: &&str| if shouts(word) { (*word).to_owned() } else { word.to_lowercase() };
    words.iter().map(lower).collect::<Vec<_>>().join(" ")
}

/// Whether a thing's name speaks of several: "Hall Lights", but not "Sonos".
pub fn is_plural(entity: &Entity) -> bool {
    let name = entity.name.to_lowercase();
    let Some(last) = name.split(|c: char| !c.is_alphanumeric()).rfind(|w| !w.is_empty()) else {
        return false;
    };
    match noun_at(&[last]) {
        Some((.., many)) => many,
        None => {
            last.len() > 3 && last.ends_with('s') && !["ss", "us", "is", "os"].iter().any(|end| last.ends_with(end))
        }
    }
}

/// The first letter large.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Names in a sentence: all of a few, else how many.
pub fn names(entities: &[&Entity]) -> String {
    let mut names: Vec<String> = entities.iter().map(|e| the(e)).collect();
    names.dedup();
    if names.len() <= 4 {
        return write::and(&names);
    }
    let domain = entities[0].domain;
    let one_kind = entities.iter().all(|e| e.domain == domain);
    format!("{} {}", entities.len(), if one_kind { domain.plural() } else { "devices" })
}

/// What came of a reading's calls: `changes` are what they did, `home` is as it is after.
pub fn reply(reading: &Reading, home: &Home, changes: &[Change]) -> String {
    let targets: Vec<&Entity> = reading.targets.iter().filter_map(|id| home.entity(id)).collect();
    if targets.is_empty() {
        return "Done.".to_owned();
    }
    let changed: Vec<&Entity> = targets
        .iter()
        .copied()
        .filter(|e| changes.iter().any(|c| c.entity_id() == e.id && !c.now.is_empty()))
        .collect();
    // A scene that is turned on is set.
    let intent = match (reading.intent.as_str(), targets[0].domain) {
        ("TurnOn", Domain::Scene | Domain::Script) => "SceneOn",
        (intent, _) => intent,
    };
    let silent = matches!(
        intent,
        "SceneOn"
            | "Press"
            | "LocateVacuum"
            | "Start"
            | "NextTrack"
            | "PreviousTrack"
            | "AddItem"
            | "MoveItem"
            | "RemoveItem"
            | "CompleteItem"
            | "ReopenItem"
            | "ClearCompleted"
            | "ClearList"
            | "AddEvent"
            | "PlayMedia"
            | "EntityTimerChange"
            | "ChangeWarmth"
    );
    let already = changed.is_empty() && !silent;
    let shown = if changed.is_empty() { &targets } else { &changed };
    let what = names(shown);
    let many = shown.len() > 1 || is_plural(shown[0]);
    let is = if many { "are" } else { "is" };
    let said = |text: String| format!("{}.", capital(&text));
    let percent =
        |key: &str| reading.arguments.get(key).and_then(Value::as_f64).map(|v| format!("{}%", write::number(v)));
    if already && !matches!(intent, "TimerStart" | "Stop" | "StopVacuum" | "SetPosition") {
        let now = match intent {
            "TurnOn" | "LightsFor" => "on".to_owned(),
            "TurnOff" | "LightsOut" => "off".to_owned(),
            "Open" => "open".to_owned(),
            "Close" => "closed".to_owned(),
            "Lock" => "locked".to_owned(),
            "Unlock" => "unlocked".to_owned(),
            "Mute" if reading.arguments.get("is_volume_muted") == Some(&Value::Bool(false)) => "unmuted".to_owned(),
            "Mute" => "muted".to_owned(),
            "Pause" | "PauseVacuum" | "PauseMower" | "TimerPause" => "paused".to_owned(),
            "Play" => "playing".to_owned(),
            "StartVacuum" => "cleaning".to_owned(),
            "StartMower" => "mowing".to_owned(),
            "Oscillate" if reading.arguments.get("oscillating") == Some(&Value::Bool(true)) => "oscillating".to_owned(),
            "Oscillate" => "still".to_owned(),
            "SetBrightness" if percent("brightness_pct").is_some() => {
                format!("at {}", percent("brightness_pct").unwrap_or_default())
            }
            "SetPosition" => format!("at {}", percent("position").unwrap_or_default()),
            "SetTemperature" => {
                let unit = shown[0].unit().unwrap_or("\u{b0}");
                let to = shown[0].number("temperature").map(|t| state::quantity(t, unit)).unwrap_or_default();
                format!("set to {to}")
            }
            _ if shown.len() == 1 => state::words(shown[0]),
            _ => "like that".to_owned(),
        };
        return said(format!("{what} {is} already {now}"));
    }
    match intent {
        "TurnOn" | "LightsFor" => said(format!("turned on {what}")),
        "TurnOff" | "LightsOut" => said(format!("turned off {what}")) + left_on(reading, home),
        "Toggle" => match shown[..] {
            [one] => said(format!("{what} {is} now {}", state::words(one))),
            _ => said(format!("switched {what}")),
        },
        // A scene's or script's name is no phrase to put an article before.
        "SceneOn" => match targets[0].domain {
            Domain::Scene => said(format!("set the scene {}", targets[0].name)),
            _ => said(format!("started {}", targets[0].name)),
        },
        "Shuffle" => match reading.arguments.get("shuffle") {
            Some(Value::Bool(true)) => said(format!("{what} {is} shuffling")),
            _ => said(format!("{what} {is} no longer shuffling")),
        },
        "Repeat" => match reading.arguments.get("repeat").and_then(Value::as_str) {
            Some("one") => said(format!("{what} {is} repeating this track")),
            Some("off") => said(format!("{what} {is} no longer repeating")),
            _ => said(format!("{what} {is} repeating")),
        },
        "EntityTimerChange" => match shown[0].text("remaining") {
            Some(left) => said(format!("{what} {} {} left", if many { "have" } else { "has" }, write::clocked(left))),
            None => said(format!("changed {what}")),
        },
        "SetNumber" | "ChangeNumber" => said(format!("set {what} to {}", state::words(shown[0]))),
        "ChangeHumidity" => match shown[0].number("humidity") {
            Some(level) => said(format!("set {what} to {}%", write::number(level))),
            None => said(format!("changed {what}")),
        },
        "ChangeWarmth" => said(format!(
            "made {what} {}",
            if reading.arguments.get("up") == Some(&Value::Bool(true)) { "cooler" } else { "warmer" }
        )),
        "SetMode" if reading.arguments.contains_key("temperature") => {
            let unit = shown[0].unit().unwrap_or("\u{b0}");
            let to = reading.arguments.get("temperature").and_then(Value::as_f64).map(|t| state::quantity(t, unit));
            let mode = argument(reading, "hvac_mode").replace('_', " ");
            said(format!("set {what} to {mode} at {}", to.unwrap_or_default()))
        }
        "Start" | "StartVacuum" | "StartMower" => said(format!("started {what}")),
        "Press" => said(format!("pressed {what}")),
        "Stop" | "StopVacuum" => said(format!("stopped {what}")),
        "PauseVacuum" | "PauseMower" | "Pause" | "TimerPause" => said(format!("paused {what}")),
        "DockVacuum" | "DockMower" if shown.len() > 1 => said(format!("{what} {is} returning to their docks")),
        "DockVacuum" | "DockMower" => said(format!("{what} {is} returning to its dock")),
        "LocateVacuum" => said(format!("{what} {is} making a sound")),
        "SpotClean" => said(format!("{what} {is} cleaning the spot")),
        "Open" => said(format!("opened {what}")),
        "Close" => said(format!("closed {what}")),
        "Lock" => said(format!("locked {what}")),
        "Unlock" => said(format!("unlocked {what}")),
        "Arm" => said(format!("armed {what}")),
        "Disarm" => said(format!("disarmed {what}")),
        "SetBrightness" if percent("brightness_pct").is_some() => {
            said(format!("set {what} to {}", percent("brightness_pct").unwrap_or_default()))
        }
        "SetBrightness" => said(format!("turned off {what}")),
        "ChangeBrightness" | "ChangePosition" | "ChangeSpeed" | "SetSpeed" | "ChangeTemperature" | "ChangeVolume"
        | "SetVolume" => said(match (intent, shown[..].first()) {
            ("ChangeVolume" | "SetVolume", Some(one)) => {
                let level = one.number("volume_level").map(|v| format!("{}%", (v * 100.0).round()));
                format!("the volume of {what} {} {}", "is now", level.unwrap_or_else(|| "changed".to_owned()))
            }
            ("ChangeTemperature", Some(one)) => {
                let unit = one.unit().unwrap_or("\u{b0}");
                let to = one.number("temperature").map(|t| state::quantity(t, unit)).unwrap_or_default();
                format!("set {what} to {to}")
            }
            (_, Some(one)) if shown.len() == 1 => format!("{what} {is} now {}", state::words(one)),
            ("ChangeBrightness", _) if reading.arguments.get("up") == Some(&Value::Bool(false)) => {
                format!("dimmed {what}")
            }
            ("ChangeBrightness", _) => format!("brightened {what}"),
            _ => format!("changed {what}"),
        }),
        "SetColor" => {
            let color = match (
                reading.arguments.get("color_name"),
                reading.arguments.get("rgb_color"),
                reading.arguments.get("color_temp_kelvin"),
            ) {
                (Some(Value::String(name)), ..) => name.clone(),
                (_, Some(Value::Array(rgb)), _) => {
                    let part = |i: usize| rgb.get(i).and_then(Value::as_u64).unwrap_or(0) as u8;
                    colour::name([part(0), part(1), part(2)]).to_owned()
                }
                (_, _, Some(kelvin)) => format!("{kelvin} kelvin"),
                _ => "the color".to_owned(),
            };
            let at = percent("brightness_pct").map(|level| format!(" at {level}")).unwrap_or_default();
            said(format!("set {what} to {color}{at}"))
        }
        "SetPosition" => said(format!("set {what} to {}", percent("position").unwrap_or_default())),
        "SetTemperature" => {
            let unit = shown[0].unit().unwrap_or("\u{b0}");
            let to = shown[0].number("temperature").map(|t| state::quantity(t, unit)).unwrap_or_default();
            said(format!("set {what} to {to}"))
        }
        "Play" => said(format!("playing on {what}")),
        "PlayMedia" => {
            let media = reading.arguments.get("media_content_id").and_then(Value::as_str).unwrap_or("it");
            said(format!("playing {media} on {what}"))
        }
        "NextTrack" => "Skipped to the next track.".to_owned(),
        "PreviousTrack" => "Back to the previous track.".to_owned(),
        "Mute" => match reading.arguments.get("is_volume_muted") {
            Some(Value::Bool(false)) => said(format!("unmuted {what}")),
            _ => said(format!("muted {what}")),
        },
        "AddItem" => {
            let items: Vec<&str> = reading
                .arguments
                .get("items")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            said(format!("added {} to {what}", write::and(&items)))
        }
        "AddEvent" => said(format!("added {} to {what}", argument(reading, "summary"))),
        "MoveItem" => said(format!("moved {} to {what}", argument(reading, "item"))),
        "RemoveItem" => said(format!("removed {} from {what}", argument(reading, "item"))),
        "CompleteItem" => said(format!("marked {} as done", argument(reading, "item"))),
        "ReopenItem" => said(format!("{} is open again", argument(reading, "item"))),
        "ClearList" => said(format!("cleared {what}")),
        "ClearCompleted" => said(format!("removed what was done from {what}")),
        "TimerStart" => match shown[0].text("duration").filter(|_| reading.arguments.contains_key("duration")) {
            Some(length) => said(format!("started {what} for {}", write::clocked(length))),
            None => said(format!("started {what}")),
        },
        "TimerCancel" => said(format!("cancelled {what}")),
        "Oscillate" => match reading.arguments.get("oscillating") {
            Some(Value::Bool(true)) => said(format!("{what} {is} oscillating")),
            _ => said(format!("{what} stopped oscillating")),
        },
        _ => match reading.arguments.iter().next() {
            Some((_, value)) => {
                let value = match (value.as_f64(), value.as_str()) {
                    (Some(number), _) => {
                        let is_percent = matches!(intent, "SetHumidity" | "Tilt" | "SetPosition");
                        format!("{}{}", write::number(number), if is_percent { "%" } else { "" })
                    }
                    (None, Some(text)) => text.replace('_', " "),
                    (None, None) => value.to_string(),
                };
                match intent {
                    "Tilt" => said(format!("set the tilt of {what} to {value}")),
                    _ => said(format!("set {what} to {value}")),
                }
            }
            None => "Done.".to_owned(),
        },
    }
}

/// What "everything off" leaves as it is.
fn left_on(reading: &Reading, home: &Home) -> &'static str {
    let everything = matches!(reading.wording.part("target"), Some("everything" | "it all" | "all of it"));
    let heats = |e: &Entity| matches!(e.domain, Domain::Climate | Domain::WaterHeater) && e.state != "off";
    if everything && reading.wording.part("place").is_none() && home.entities().iter().any(heats) {
        return " I left the heating as it is.";
    }
    ""
}

fn argument<'r>(reading: &'r Reading, key: &str) -> &'r str {
    reading.arguments.get(key).and_then(Value::as_str).unwrap_or("it")
}
