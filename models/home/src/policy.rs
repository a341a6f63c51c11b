//! Who may do what, and how often: for each domain whether an action is confirmed first, from where it may come, and how many are
//! done a minute. Locks, garage doors and gates, alarms and valves are what it is for; any domain can have a rule.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nearfield_base::range::in_range;
use serde::{Deserialize, Serialize};

use crate::domain::Domain;
use crate::model::{Entity, Home};
use crate::services::ServiceCall;

/// The most actions a minute that a rule can allow.
const MOST_PER_MINUTE: u32 = 6000;

/// Where a request comes from.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Spoken.
    Voice,
    /// Typed at this machine: `chat`, `eval`.
    Text,
    /// A program, over the network.
    Network,
}

/// Which actions are confirmed first.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// None.
    #[default]
    Never,
    /// Those that open, unlock, disarm or sound an alarm.
    Opening,
    /// All.
    Always,
}

/// The rule of one domain.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Which actions are confirmed first: "never", "opening" (what opens, unlocks or disarms) or "always".
    #[cfg_attr(feature = "schema", schemars(example = &"opening"))]
    pub confirm: Confirm,
    /// From where they may come.
    #[cfg_attr(feature = "schema", schemars(example = ["voice", "text"]))]
    pub origins: Vec<Origin>,
    /// How many are done a minute.
    #[cfg_attr(feature = "schema", schemars(example = 6))]
    pub per_minute: u32,
}

impl Default for Rule {
    fn default() -> Self {
        Self { confirm: Confirm::Never, origins: vec![Origin::Voice, Origin::Text, Origin::Network], per_minute: 60 }
    }
}

/// The rules, by domain. `garage` is for covers that are garage doors, gates and doors; without a rule of its own that is `cover`'s.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policy {
    rules: BTreeMap<String, Rule>,
}

/// What the policy says to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be made.
    Allowed,
    /// It may be made once the person has said yes to this question.
    Confirm(String),
    /// It may not be made, for this reason; a sentence that can be spoken.
    Refused(String),
}

impl Policy {
    /// A policy with these rules.
    ///
    /// # Errors
    /// A rule of no known domain; the sentence names it.
    pub fn new(rules: BTreeMap<String, Rule>) -> Result<Self, String> {
        for (name, rule) in &rules {
            if name != "garage" && Domain::from_name(name) == Domain::Other {
                return Err(format!(
                    "`home.policy.{name}` is for no domain; use lock, garage, cover, alarm_control_panel, valve or another domain's name"
                ));
            }
            in_range(&format!("home.policy.{name}.per_minute"), rule.per_minute, 1..=MOST_PER_MINUTE)?;
        }
        Ok(Self { rules })
    }

    fn rule(&self, entity: &Entity) -> Option<(&str, &Rule)> {
        let guarded = matches!(entity.device_class(), Some("garage" | "gate" | "door"));
        let names = [(entity.domain == Domain::Cover && guarded).then_some("garage"), Some(entity.domain.as_str())];
        names
            .into_iter()
            .flatten()
            .find_map(|name| self.rules.get_key_value(name))
            .map(|(name, rule)| (name.as_str(), rule))
    }
}

/// A policy at work: it remembers what was done in the last minute.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    policy: Policy,
    /// When which domain acted, oldest first.
    recent: VecDeque<(Duration, String)>,
}

impl Guard {
    /// A guard that has seen nothing yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, recent: VecDeque::new() }
    }

    /// What the policy says to a call at a time (since whatever beginning). An allowed call is counted.
    pub fn check(
        &mut self,
        home: &Home,
        call: &ServiceCall,
        origin: Origin,
        confirmed: bool,
        now: Duration,
    ) -> Verdict {
        while self.recent.front().is_some_and(|(when, _)| now.saturating_sub(*when) >= Duration::from_secs(60)) {
            self.recent.pop_front();
        }
        let mut counted = Vec::new();
        for entity in call.entities.iter().filter_map(|id| home.entity(id)) {
            let Some((name, rule)) = self.policy.rule(entity) else { continue };
            if !rule.origins.contains(&origin) {
                let from = match origin {
                    Origin::Voice => "by voice",
                    Origin::Text => "by text",
                    Origin::Network => "over the network",
                };
                return Verdict::Refused(format!("the {} may not be controlled {from}", entity.name));
            }
            let done = self.recent.iter().filter(|(_, other)| other == name).count()
                + counted.iter().filter(|c| *c == name).count();
            if done >= rule.per_minute as usize {
                return Verdict::Refused(format!("the {} was used too often in the last minute", entity.name));
            }
            let asks = match rule.confirm {
                Confirm::Never => false,
                Confirm::Opening => opens(&call.service, entity),
                Confirm::Always => true,
            };
            if asks && !confirmed {
                return Verdict::Confirm(format!("Do you really want to {} the {}?", verb(&call.service), entity.name));
            }
            counted.push(name.to_owned());
        }
        self.recent.extend(counted.into_iter().map(|name| (now, name)));
        Verdict::Allowed
    }
}

/// Whether a service opens what is closed, or sounds an alarm.
fn opens(service: &str, entity: &Entity) -> bool {
    let name = service.rsplit('.').next().unwrap_or_default();
    match entity.domain {
        Domain::Lock => !matches!(name, "lock" | "turn_on"),
        Domain::Cover | Domain::Valve => !name.starts_with("close") && !name.starts_with("stop") && name != "turn_off",
        Domain::AlarmControlPanel => matches!(name, "alarm_disarm" | "alarm_trigger"),
        Domain::Siren => name != "turn_off",
        _ => !matches!(name, "turn_off"),
    }
}

/// `cover.open_cover` is "open", `alarm_control_panel.alarm_disarm` is "disarm".
fn verb(service: &str) -> String {
    let name = service.rsplit('.').next().unwrap_or_default();
    let bare = name.trim_start_matches("alarm_").trim_end_matches("_cover").trim_end_matches("_valve");
    match bare {
        "turn_on" => "turn on".to_owned(),
        "turn_off" => "turn off".to_owned(),
        "set_cover_position" | "set_valve_position" | "set_position" => "move".to_owned(),
        other => other.replace('_', " "),
    }
}
