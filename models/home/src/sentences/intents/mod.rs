//! Intents: what each does with the slots of a match.

mod comfort;
mod items;
mod light;
mod list;
mod media;
mod openings;
mod power;
mod program;
mod relation;
mod robot;

use serde_json::{Map, Value, json};

use super::outcome::{Reading, Step, Stop};
use super::target::{Resolver, Target, Unresolved, Want};
use crate::domain::Domain;
use crate::model::Entity;
use crate::services::ServiceCall;

/// One match of a template in one home at one moment.
pub(super) struct Found<'a> {
    /// The request, or the clause of it.
    pub said: &'a str,
    pub intent: &'a str,
    pub slots: Map<String, Value>,
    pub resolver: Resolver<'a>,
    pub now: jiff::civil::DateTime,
    /// Whether the assistant keeps timers of its own.
    pub has_timers: bool,
}

/// Intents that can be meant of "everything".
const FOR_EVERYTHING: &[&str] =
    &["TurnOn", "TurnOff", "Toggle", "Open", "Close", "Lock", "Unlock", "Pause", "Mute", "Stop", "SetBrightness"];

pub(super) type Done = Result<Step, Stop>;

impl<'a> Found<'a> {
    pub fn text(&self, slot: &str) -> Option<&str> {
        self.slots.get(slot).and_then(Value::as_str)
    }

    pub fn number(&self, slot: &str) -> Option<f64> {
        self.slots.get(slot).and_then(Value::as_f64)
    }

    pub fn flag(&self, slot: &str) -> Option<bool> {
        self.slots.get(slot).and_then(Value::as_bool)
    }

    pub fn entity(&self, i: usize) -> &'a Entity {
        &self.resolver.home.entities()[i]
    }

    pub fn entities(&self, domains: &[Domain]) -> Vec<usize> {
        (0..self.resolver.home.entities().len()).filter(|i| domains.contains(&self.entity(*i).domain)).collect()
    }

    /// The day that was said with "noon", which is a time of it: "tomorrow at noon".
    pub fn noon(&self) -> Option<jiff::civil::Date> {
        let day = self.slots.get("day")?;
        let (from, to) = crate::spoken::NOON;
        (day["hours"] == json!([from, to])).then(|| day["first"].as_str()?.parse().ok()).flatten()
    }

    /// The phrase that says what it is for, with the place that stands elsewhere in the sentence.
    pub fn phrase(&self) -> Option<String> {
        match (self.text("target"), self.text("place")) {
            (Some(target), Some(place)) => Some(format!("{target} in {place}")),
            (Some(target), None) => Some(target.to_owned()),
            (None, _) => None,
        }
    }

    /// What the slot `target` means.
    pub fn target(&self, want: Want<'_>) -> Result<Target, Stop> {
        let phrase = self.phrase().ok_or(Stop::Mismatch)?;
        // "Everything" is what is switched, closed, locked or played, and no timer or robot beside it.
        let is_everything = matches!(phrase.split(' ').next(), Some("everything" | "anything"));
        if is_everything && !FOR_EVERYTHING.contains(&self.intent) {
            return Err(Stop::Mismatch);
        }
        let found = self.resolver.resolve(&phrase, want)?;
        some(self.resolver.settled(found, want)?)
    }

    /// What the slot `target` means where one thing is meant: of several that fit, the only one that can do what is wished.
    pub fn target_that(&self, want: Want<'_>, can: impl Fn(&Entity) -> bool) -> Result<Target, Stop> {
        match self.target(want) {
            Err(Stop::Target(Unresolved::Several { what, entities })) => {
                let able: Vec<usize> = entities.iter().copied().filter(|i| can(self.entity(*i))).collect();
                match able[..] {
                    [_] => Ok(Target { entities: able, ..Target::default() }),
                    _ => Err(Stop::Target(Unresolved::Several { what, entities })),
                }
            }
            found => found,
        }
    }

    /// What the slot `target` means where all that fits is meant: of a question, whose answer can tell several things.
    pub fn asked(&self, want: Want<'_>) -> Result<Target, Stop> {
        let phrase = self.phrase().ok_or(Stop::Mismatch)?;
        let found = self.resolver.resolve(&phrase, want)?;
        some(match self.resolver.settled(found.clone(), want) {
            Err(Unresolved::Several { .. }) => Target { many: true, ..found },
            settled => settled?,
        })
    }

    /// What the slot `target` means; where nothing was said: what `noun` is in the place that was said, here, or the only one.
    pub fn target_or(&self, noun: &str, want: Want<'_>) -> Result<Target, Stop> {
        if self.text("target").is_some() {
            return self.target(want);
        }
        if let Some(place) = self.text("place") {
            let found = self.resolver.resolve(&format!("{noun} in {place}"), want)?;
            return some(self.resolver.settled(found, want)?);
        }
        let all = self.entities(want.domains);
        if let Some(here) = self.resolver.here {
            let near: Vec<usize> =
                all.iter().copied().filter(|i| self.resolver.names.entities[*i].area == Some(here)).collect();
            if !near.is_empty() {
                return Ok(Target { entities: near, many: true, ..Target::default() });
            }
        }
        match all.len() {
            0 => Err(Stop::Target(Unresolved::Nothing { what: noun.to_owned(), place: None })),
            1 => Ok(Target { entities: all, ..Target::default() }),
            _ => Err(Stop::Target(Unresolved::Several { what: noun.to_owned(), entities: all })),
        }
    }

    /// A step that calls one service for all entities.
    pub fn act(&self, target: &Target, service: &str, data: Map<String, Value>) -> Done {
        let ids: Vec<String> = target.entities.iter().map(|i| self.entity(*i).id.clone()).collect();
        let call = ServiceCall { service: service.to_owned(), entities: ids, data: data.clone() };
        self.acts(target, vec![call], data)
    }

    /// A step of several calls.
    pub fn acts(&self, target: &Target, calls: Vec<ServiceCall>, arguments: Map<String, Value>) -> Done {
        if target.entities.is_empty() {
            return Err(Stop::Mismatch);
        }
        Ok(Step::Act(self.reading(target, calls, arguments)))
    }

    /// A step of one call for each thing, where there is one for it.
    pub fn act_each(
        &self,
        target: &Target,
        arguments: Map<String, Value>,
        call: impl Fn(&Entity) -> Option<ServiceCall>,
    ) -> Done {
        let calls = target.entities.iter().filter_map(|i| call(self.entity(*i))).collect();
        self.acts(target, calls, arguments)
    }

    pub fn reading(&self, target: &Target, calls: Vec<ServiceCall>, arguments: Map<String, Value>) -> Reading {
        let targets = target.entities.iter().map(|i| self.entity(*i).id.clone()).collect();
        Reading { intent: self.intent.to_owned(), targets, arguments, calls, ..Reading::default() }
    }

    /// A spoken answer.
    pub fn say(&self, entities: &[usize], answer: impl Into<String>) -> Done {
        let target = Target { entities: entities.to_vec(), ..Target::default() };
        Ok(Step::Say(self.reading(&target, Vec::new(), Map::new()), answer.into()))
    }

    pub fn id(&self, i: usize) -> &'a str {
        &self.entity(i).id
    }
}

/// A target that means something: "everything here" may be nothing.
fn some(target: Target) -> Result<Target, Stop> {
    if target.entities.is_empty() { Err(Stop::Mismatch) } else { Ok(target) }
}

/// Parameters of a call.
pub(super) fn data(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Refuses what is said without a verb of "any" or "some": "any lights on" is a question.
pub(super) fn bare(found: &Found<'_>) -> Result<(), Stop> {
    let begins = |word: &str| found.text("target").is_some_and(|t| t.split(' ').next() == Some(word));
    let asks = ["any", "some", "each", "every", "which", "is", "are", "no"].into_iter().any(begins);
    if found.flag("bare") == Some(true) && asks { Err(Stop::Mismatch) } else { Ok(()) }
}

/// What an intent comes to.
pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "TurnOn" | "TurnOff" | "Toggle" | "LightsFor" | "LightsOut" | "Start" | "Stop" | "SceneOn" | "Press"
        | "SetOption" | "SetNumber" | "ChangeNumber" => power::carry_out(found),
        "SetBrightness" | "ChangeBrightness" | "SetColor" | "ChangeWarmth" | "SetEffect" => light::carry_out(found),
        "Open" | "Close" | "SetPosition" | "ChangePosition" | "Tilt" | "Lock" | "Unlock" | "Arm" | "Disarm" => {
            openings::carry_out(found)
        }
        "SetTemperature" | "ChangeTemperature" | "SetMode" | "SetPreset" | "SetSpeed" | "ChangeSpeed" | "Oscillate"
        | "SetDirection" | "SetHumidity" | "ChangeHumidity" => comfort::carry_out(found),
        "Play" | "Pause" | "NextTrack" | "PreviousTrack" | "SetVolume" | "ChangeVolume" | "Mute" | "SelectSource"
        | "Shuffle" | "Repeat" | "PlayMedia" => media::carry_out(found),
        "StartVacuum" | "DockVacuum" | "StopVacuum" | "PauseVacuum" | "LocateVacuum" | "SpotClean" | "VacuumSpeed"
        | "StartMower" | "DockMower" | "PauseMower" => robot::carry_out(found),
        "AddItem" | "MoveItem" | "RemoveItem" | "CompleteItem" | "ReopenItem" | "ClearCompleted" | "ClearList"
        | "ReadList" | "CompletedItems" | "CountItems" | "HasItem" | "WhichList" | "DueItems" | "ItemDue" => {
            list::carry_out(found)
        }
        "TimerStart" | "EntityTimerChange" | "AlarmAt" | "TimerCancel" | "TimerPause" | "TimerResume"
        | "TimerChange" | "TimerStatus" | "TellTime" | "TellDate" | "TimeUntil" | "Undo" | "LastActions"
        | "Nevermind" | "Yes" | "No" | "Remember" | "Memories" | "Forget" => program::carry_out(found),
        "SameAs" | "OnlyOn" => relation::carry_out(found),
        _ => super::answers::carry_out(found),
    }
}

/// A want for one or several domains.
pub(super) const fn want(domains: &[Domain]) -> Want<'_> {
    Want { domains, or_else: &[], place_means: domains, group: false }
}

/// A want that takes all of a kind in a place.
pub(super) const fn group(domains: &[Domain]) -> Want<'_> {
    Want { domains, or_else: &[], place_means: domains, group: true }
}

/// A value between what two attributes of a thing allow, or what is usual where it has them not.
pub(super) fn within(entity: &Entity, value: f64, least: (&str, f64), most: (&str, f64)) -> f64 {
    let limit = |(key, usual): (&str, f64)| entity.number(key).unwrap_or(usual);
    let low = limit(least);
    value.clamp(low, limit(most).max(low))
}

/// Which entities a value in percent applies to, for "set … to 50".
pub(super) fn percent_call(entity: &Entity, level: f64) -> Option<ServiceCall> {
    let id = entity.id.clone();
    Some(match entity.domain {
        Domain::Light if level <= 0.0 => ServiceCall::new("light.turn_off", [id]),
        Domain::Light => ServiceCall::new("light.turn_on", [id]).with("brightness_pct", json!(level)),
        Domain::Cover => ServiceCall::new("cover.set_cover_position", [id]).with("position", json!(level)),
        Domain::Valve => ServiceCall::new("valve.set_valve_position", [id]).with("position", json!(level)),
        Domain::Fan => ServiceCall::new("fan.set_percentage", [id]).with("percentage", json!(level)),
        Domain::MediaPlayer => {
            ServiceCall::new("media_player.volume_set", [id]).with("volume_level", json!(level / 100.0))
        }
        Domain::Humidifier => ServiceCall::new("humidifier.set_humidity", [id]).with("humidity", json!(level)),
        _ => return None,
    })
}
