//! What the matcher makes of a request: steps to take, a question to ask back, or a pass to the next in line with the reason.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::later::Due;
use crate::services::ServiceCall;

/// One meaning of a request: an intent, the entities it is for, and what was said about it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// The intent: "TurnOn", "SetBrightness".
    pub intent: String,
    /// The ids of the entities.
    pub targets: Vec<String>,
    /// Values: levels, colours, items.
    pub arguments: Map<String, Value>,
    /// The calls that carry it out; none for a question.
    pub calls: Vec<ServiceCall>,
    /// The words that said so.
    #[serde(skip)]
    pub wording: Wording,
}

/// What a request said, kept so that the next one can lean on it: "and the kitchen?".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wording {
    /// The request, or the clause of it, as the templates read it.
    pub request: String,
    /// The words of it that filled a template's slots: "target", "place", "day", "level".
    pub parts: Vec<(String, String)>,
}

impl Wording {
    /// The words for a slot.
    pub fn part(&self, slot: &str) -> Option<&str> {
        self.parts.iter().find(|(known, _)| known == slot).map(|(_, words)| words.as_str())
    }
}

/// One step of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Calls to make; [`super::reply`] says what came of them.
    Act(Reading),
    /// A question that the states answer: the reading and the answer.
    Say(Reading, String),
    /// What the home itself does not keep: timers, undo, notes.
    Request(Request),
}

impl Step {
    /// The same with the words that said so.
    pub(super) fn said(mut self, words: &Wording) -> Self {
        if let Self::Act(reading) | Self::Say(reading, _) = &mut self {
            reading.wording = words.clone();
        }
        self
    }
}

/// What the program around the home keeps.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Start timers.
    StartTimers {
        /// One or several; zero seconds is possible and is to be refused by who keeps timers.
        durations: Vec<Duration>,
        /// What they are called.
        name: Option<String>,
    },
    /// Ring at a time of day.
    Alarm {
        /// When.
        at: jiff::civil::DateTime,
        /// What it is called.
        name: Option<String>,
    },
    /// Make calls later.
    Later {
        /// When.
        due: Due,
        /// The wish in words, without its time: "turn off the fan".
        wish: String,
        /// What is to be done then.
        readings: Vec<Reading>,
    },
    /// Cancel timers.
    CancelTimers(TimerChoice),
    /// Pause timers.
    PauseTimers(TimerChoice),
    /// Let paused timers go on.
    ResumeTimers(TimerChoice),
    /// Make a timer longer, or shorter.
    ChangeTimer {
        /// Which.
        which: TimerChoice,
        /// By how many seconds; negative is shorter.
        seconds: f64,
    },
    /// How much is left.
    TimerStatus(TimerChoice),
    /// Take back the last actions.
    Undo {
        /// How many.
        count: usize,
    },
    /// Tell the last actions.
    LastActions,
    /// Keep a note.
    Remember(String),
    /// Tell the notes.
    Memories,
    /// Delete notes that contain this.
    Forget(String),
    /// Drop what was asked back.
    Nevermind,
    /// Consent to what was asked back.
    Yes,
    /// Refusal of what was asked back.
    No,
}

impl Request {
    /// Whether it starts, changes or asks about timers.
    pub fn is_about_timers(&self) -> bool {
        matches!(
            self,
            Self::StartTimers { .. }
                | Self::CancelTimers(_)
                | Self::PauseTimers(_)
                | Self::ResumeTimers(_)
                | Self::ChangeTimer { .. }
                | Self::TimerStatus(_)
        )
    }
}

/// Which timers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TimerChoice {
    /// All of them.
    pub all: bool,
    /// The one of this name.
    pub name: Option<String>,
    /// The one that was started for so long.
    pub duration: Option<Duration>,
    /// Whether "alarm" was said, which rings at a time of day, or "timer"; `None` where either may be meant.
    pub alarm: Option<bool>,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Exactly one reading fits; of two wishes in one sentence, one each.
    Do(Vec<Step>),
    /// Several things fit: ask which is meant. The next request may be the answer.
    Ask {
        /// The question.
        question: String,
        /// The ids of what fits.
        choices: Vec<String>,
        /// What was asked for, which the answer goes on with.
        wording: Wording,
    },
    /// Not for the matcher.
    Pass(Pass),
}

/// Why a request is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// No sentence template fits.
    NoTemplate,
    /// One fits, with a name that nothing in the home explains.
    UnknownName(String),
    /// Two readings fit equally well.
    SeveralReadings(Vec<String>),
    /// What is asked for is not in the states.
    NotKnown(String),
}

impl std::fmt::Display for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoTemplate => f.write_str("no sentence template fits"),
            Self::UnknownName(name) => write!(f, "nothing here is called {name:?}"),
            Self::SeveralReadings(intents) => write!(f, "it can mean {}", intents.join(" or ")),
            Self::NotKnown(what) => write!(f, "the states do not say {what}"),
        }
    }
}

/// Why a match of a template comes to nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stop {
    /// The phrase for its target.
    Target(super::target::Unresolved),
    /// A clear answer: it is not there, it can't do that.
    Negative(String),
    /// The states do not say.
    Unsaid(String),
    /// The template does not mean this.
    Mismatch,
}

impl From<super::target::Unresolved> for Stop {
    fn from(trouble: super::target::Unresolved) -> Self {
        Self::Target(trouble)
    }
}
