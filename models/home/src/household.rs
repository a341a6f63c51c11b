//! A home at work: its file, the policy, the ledger of actions and what is remembered, behind one door through which the sentence
//! matcher, the language model's tools and programs act alike. Leaves out understanding: it gets calls, and answers what became of
//! them.

use std::time::Duration;

use jiff::Zoned;
use nearfield_base::lists::joined;

use crate::domain::Domain;
use crate::error::HomeError;
use crate::file::HomeFile;
use crate::ledger::{Action, Ledger};
use crate::model::Home;
use crate::policy::{Guard, Origin, Policy, Verdict};
use crate::remembered::Remembered;
use crate::services::{Change, ServiceCall, ServiceError};

/// Who asks, where and when.
#[derive(Debug, Clone)]
pub struct Asking {
    /// What was said.
    pub request: String,
    /// From where it comes.
    pub origin: Origin,
    /// The id of the area of the device that was spoken to.
    pub area: Option<String>,
    /// The time of day.
    pub now: Zoned,
    /// Time since the program was started, which no setting of the clock changes.
    pub elapsed: Duration,
}

/// What became of calls.
#[derive(Debug)]
pub enum Outcome {
    /// They were made.
    Done(Vec<Change>),
    /// They wait for a yes.
    Confirm(String),
    /// The policy forbids them; the reason.
    Refused(String),
    /// A call was wrong.
    Wrong(ServiceError),
    /// The home's file could not be read or written.
    Failed(HomeError),
}

/// A home at work.
#[derive(Debug, Clone)]
pub struct Household {
    file: HomeFile,
    guard: Guard,
    ledger: Ledger,
    remembered: Remembered,
    pending: Option<Vec<ServiceCall>>,
}

impl Household {
    /// A home with a policy and what is remembered.
    pub fn new(file: HomeFile, policy: Policy, remembered: Remembered) -> Self {
        Self { file, guard: Guard::new(policy), ledger: Ledger::default(), remembered, pending: None }
    }

    /// The home.
    pub fn home(&self) -> &Home {
        self.file.home()
    }

    /// Its file.
    pub fn file(&self) -> &HomeFile {
        &self.file
    }

    /// Reads the file again if someone wrote it since; see [`HomeFile::reload_if_changed`].
    ///
    /// # Errors
    /// [`HomeError`]
    pub fn reload_if_changed(&mut self) -> Result<bool, HomeError> {
        self.file.reload_if_changed()
    }

    /// The last actions.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is remembered.
    pub fn remembered(&mut self) -> &mut Remembered {
        &mut self.remembered
    }

    /// What is remembered, to be read.
    pub fn notes(&self) -> &Remembered {
        &self.remembered
    }

    /// Whether calls wait for a yes.
    pub fn awaits_confirmation(&self) -> bool {
        self.pending.is_some()
    }

    /// Makes calls: all of them, or none where the policy or one of the calls forbids it.
    pub fn call(&mut self, calls: &[ServiceCall], asking: &Asking) -> Outcome {
        self.make(calls, asking, false)
    }

    /// Why calls may not be made later, when nobody is asked; `None` where they may. Nothing is counted.
    pub fn refuses_later(&self, calls: &[ServiceCall], asking: &Asking) -> Option<String> {
        let mut guard = self.guard.clone();
        calls.iter().find_map(|call| match guard.check(self.file.home(), call, asking.origin, false, asking.elapsed) {
            Verdict::Allowed => None,
            Verdict::Confirm(_) => Some("I do that only where you say yes to it at that moment.".to_owned()),
            Verdict::Refused(why) => Some(why),
        })
    }

    /// Makes the calls that wait for a yes; `None` where none do.
    pub fn confirmed(&mut self, asking: &Asking) -> Option<(Vec<ServiceCall>, Outcome)> {
        let calls = self.pending.take()?;
        let outcome = self.make(&calls, asking, true);
        Some((calls, outcome))
    }

    /// Forgets the calls that wait for a yes; answers whether there were any.
    pub fn declined(&mut self) -> bool {
        self.pending.take().is_some()
    }

    fn make(&mut self, calls: &[ServiceCall], asking: &Asking, confirmed: bool) -> Outcome {
        self.pending = None;
        // Counted only once all are allowed.
        let mut guard = self.guard.clone();
        for call in calls {
            match guard.check(self.file.home(), call, asking.origin, confirmed, asking.elapsed) {
                Verdict::Allowed => {}
                Verdict::Confirm(question) => {
                    self.pending = Some(calls.to_vec());
                    return Outcome::Confirm(question);
                }
                Verdict::Refused(why) => return Outcome::Refused(why),
            }
        }
        let done = self.file.change(|home| {
            let mut changes = Vec::new();
            for call in calls {
                changes.extend(home.apply(call)?);
            }
            Ok::<_, ServiceError>(changes)
        });
        match done {
            Err(error) => Outcome::Failed(error),
            Ok(Err(error)) => Outcome::Wrong(error),
            Ok(Ok(changes)) => {
                self.guard = guard;
                self.ledger.record(Action {
                    when: asking.now.strftime("%H:%M").to_string(),
                    request: asking.request.clone(),
                    calls: calls.to_vec(),
                    changes: changes.clone(),
                });
                Outcome::Done(changes)
            }
        }
    }

    /// Takes the last actions back; answers a sentence.
    ///
    /// # Errors
    /// The home's file could not be read or written; nothing was taken back.
    pub fn undo(&mut self, count: usize) -> Result<String, HomeError> {
        let mut ledger = self.ledger.clone();
        let undone = self.file.change(|home| Ok::<_, std::convert::Infallible>(ledger.undo(home, count)))?;
        let Ok(undone) = undone;
        self.ledger = ledger;
        let restored = (!undone.restored.is_empty()).then(|| {
            let verb = if undone.restored.len() == 1 { "is as it was" } else { "are as they were" };
            format!("The {} {verb}.", joined(&undone.restored))
        });
        let kept = (!undone.changed_since.is_empty()).then(|| {
            format!("The {} was changed since by something else, so I left it.", joined(&undone.changed_since))
        });
        let said: Vec<String> = restored.into_iter().chain(kept).collect();
        Ok(if said.is_empty() { "There is nothing to undo.".to_owned() } else { said.join(" ") })
    }

    /// What was done last, in sentences: "At 14:05 I turned on the kitchen light."
    pub fn last_done(&self, count: usize) -> String {
        let said: Vec<String> = self.ledger.last().take(count.max(1)).map(told).collect();
        if said.is_empty() { "I have not done anything yet.".to_owned() } else { said.join(" ") }
    }
}

fn told(action: &Action) -> String {
    let deeds: Vec<String> = action
        .calls
        .iter()
        .filter_map(|call| {
            let names: Vec<&str> = action
                .changes
                .iter()
                .filter(|change| call.entities.iter().any(|id| id == change.entity_id()) && !change.now.is_empty())
                .map(|change| change.before.name.as_str())
                .collect();
            (!names.is_empty()).then(|| past(call, &listed(&names, call)))
        })
        .collect();
    format!("At {} I {}.", action.when, joined(&deeds))
}

/// One sentence that says what calls have done: "Turned on the Kitchen Light and closed the Blinds."
pub fn done(home: &Home, calls: &[ServiceCall]) -> String {
    let deeds: Vec<String> = calls
        .iter()
        .map(|call| {
            let names: Vec<&str> = call.entities.iter().filter_map(|id| Some(home.entity(id)?.name.as_str())).collect();
            past(call, &listed(&names, call))
        })
        .collect();
    let text = joined(&deeds);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => "There was nothing to do.".to_owned(),
    }
}

/// What calls are to do, as it stands behind "I could not": "turn on the Kitchen Light and close the Blinds".
pub fn wanted(home: &Home, calls: &[ServiceCall]) -> String {
    let deeds: Vec<String> = calls
        .iter()
        .map(|call| {
            let names: Vec<&str> = call.entities.iter().filter_map(|id| Some(home.entity(id)?.name.as_str())).collect();
            infinitive(&past(call, &listed(&names, call)))
        })
        .collect();
    if deeds.is_empty() { "change the home".to_owned() } else { joined(&deeds) }
}

/// "turn on the lamp" of "turned on the lamp".
fn infinitive(past: &str) -> String {
    let (verb, rest) = past.split_once(' ').unwrap_or((past, ""));
    let plain = match verb {
        "went" => "go",
        "sent" => "send",
        "set" => "set",
        "stopped" => "stop",
        "skipped" => "skip",
        "closed" | "paused" | "moved" | "changed" | "muted" | "unmuted" | "removed" => verb.trim_end_matches('d'),
        verb => verb.trim_end_matches("ed"),
    };
    format!("{plain} {rest}")
}

/// Names in a sentence; of more than four their number and kind.
fn listed(names: &[&str], call: &ServiceCall) -> String {
    if names.len() > 4 {
        let domain = call.entities.first().map_or(Domain::Other, |id| Domain::of_id(id));
        let alike = call.entities.iter().all(|id| Domain::of_id(id) == domain);
        return format!("{} {}", names.len(), if alike { domain.plural() } else { "devices" });
    }
    joined(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
}

/// "turned on the kitchen light"
fn past(call: &ServiceCall, names: &str) -> String {
    let text = |key: &str| {
        let value = call.data.get(key)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let percent = |key: &str| text(key).map(|number| format!("set the {names} to {number} %"));
    let name = call.service.rsplit('.').next().unwrap_or_default();
    let bare = name.trim_start_matches("alarm_").trim_end_matches("_cover").trim_end_matches("_valve");
    match bare {
        "turn_on" => percent("brightness_pct")
            .or_else(|| text("color_name").map(|colour| format!("set the {names} to {colour}")))
            .unwrap_or_else(|| format!("turned on the {names}")),
        "turn_off" => format!("turned off the {names}"),
        "toggle" => format!("switched the {names}"),
        "open" => format!("opened the {names}"),
        "close" => format!("closed the {names}"),
        "stop" | "media_stop" => format!("stopped the {names}"),
        "lock" => format!("locked the {names}"),
        "unlock" => format!("unlocked the {names}"),
        "start" | "start_mowing" => format!("started the {names}"),
        "pause" | "media_pause" => format!("paused the {names}"),
        "media_play" => format!("started playing on the {names}"),
        "media_next_track" => format!("skipped to the next track on the {names}"),
        "media_previous_track" => format!("went back to the previous track on the {names}"),
        "return_to_base" | "dock" => format!("sent the {names} back"),
        "press" => format!("pressed the {names}"),
        "disarm" => format!("disarmed the {names}"),
        "set_cover_position" | "set_valve_position" | "set_position" => {
            percent("position").unwrap_or_else(|| format!("moved the {names}"))
        }
        "set_percentage" => percent("percentage").unwrap_or_else(|| format!("changed the {names}")),
        "set_temperature" => format!("set the {names} to {} degrees", text("temperature").unwrap_or_default()),
        "set_hvac_mode" => format!("set the {names} to {}", text("hvac_mode").unwrap_or_default()),
        "volume_set" => {
            let level = call.data.get("volume_level").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
            format!("set the volume of the {names} to {} %", (level * 100.0).round())
        }
        "volume_mute" if call.data.get("is_volume_muted") == Some(&false.into()) => format!("unmuted the {names}"),
        "volume_mute" => format!("muted the {names}"),
        "add_item" => format!("added {} to the {names}", text("item").unwrap_or_default()),
        "remove_item" => format!("removed {} from the {names}", text("item").unwrap_or_default()),
        "update_item" if text("status").as_deref() == Some("completed") => {
            format!("marked {} as done on the {names}", text("item").unwrap_or_default())
        }
        arm if arm.starts_with("arm_") => format!("armed the {names}"),
        _ => format!("changed the {names}"),
    }
}
