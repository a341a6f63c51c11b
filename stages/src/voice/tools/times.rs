//! What a request says of time, to which the calls of a model are held: nothing of the home is changed for another time, a timer runs
//! for a time that was said, and of several times none is left out without a word.

use std::time::Duration;

use jiff::civil::DateTime;
use nearfield_home::sentences::wish::Wish;
use nearfield_home::sentences::{is_for_a_while, is_for_later, is_of_timers};
use nearfield_home::spoken;
use nearfield_home::spoken::verbs::is_acting;
use serde_json::{Map, Value};

use super::CallError;
use super::timer::in_words;

/// The most times of one request that are looked at.
const MOST_TIMES: usize = 20;

/// The times of the request under way.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// Whether it is for another time than now.
    is_for_later: bool,
    /// Whether something is wished for a while.
    is_for_a_while: bool,
    /// Whether it says what is to be done with something: "turn it off".
    is_deed: bool,
    /// Whether it speaks of timers or reminders.
    is_of_timers: bool,
    /// How long the timers may run.
    said: Vec<Duration>,
    /// For how long some were started.
    set: Vec<Duration>,
}

impl Times {
    /// Of a request made at `now`.
    pub(super) fn of(request: &str, now: DateTime) -> Self {
        Self {
            is_for_later: is_for_later(request, now),
            is_for_a_while: is_for_a_while(request),
            is_deed: is_deed(request),
            is_of_timers: is_of_timers(request),
            said: durations_in(request),
            set: Vec::new(),
        }
    }

    /// Whether a timer may be started for so long: `with_home` says whether the wish may be for a thing of the home.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check_timer(&self, arguments: &Map<String, Value>, with_home: bool) -> Result<(), CallError> {
        // "Turn it off in ten minutes" is no wish for a timer.
        if with_home && self.is_for_later && self.is_deed && !self.is_of_timers {
            return Err(only_now());
        }
        if self.said.is_empty() {
            // "At 7": how long that is, no model reckons.
            return if self.is_for_later { Err(only_lengths()) } else { Ok(()) };
        }
        let time = seconds(arguments);
        if self.said.iter().any(|said| (said.as_secs_f64() - time).abs() < 0.5) {
            return Ok(());
        }
        let said: Vec<String> = self.said.iter().map(|time| in_words(*time)).collect();
        Err(CallError::Mistake(format!("the timer must be for the time that was said: {}", spoken::write::or(&said))))
    }

    /// A timer was started for so long.
    pub(super) fn timer_was_set(&mut self, arguments: &Map<String, Value>) {
        self.set.extend(Duration::try_from_secs_f64(seconds(arguments)));
    }

    /// Whether a call may change the home now. What is put on a list may have its time with it: "call mum tomorrow".
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check_change(&self, tool: &str, arguments: &Value, now: DateTime) -> Result<(), CallError> {
        let has_its_time = tool.ends_with("_item")
            && arguments.get("item").and_then(Value::as_str).is_some_and(|item| is_for_later(item, now));
        match self.is_for_later && !has_its_time {
            true if self.is_of_timers => Err(not_understood()),
            true => Err(only_now()),
            // A model's call has no end: what was to run for ten minutes would run for ever.
            false if self.is_for_a_while && !self.is_of_timers && !tool.ends_with("_item") => Err(only_alone()),
            false => Ok(()),
        }
    }

    /// What is to be said of times for which no timer was started, where one was for another.
    pub(super) fn left_out(&self) -> Option<String> {
        let is_set = |said: &&Duration| self.set.iter().any(|set| set.abs_diff(**said) < Duration::from_millis(500));
        let left: Vec<String> = self.said.iter().filter(|said| !is_set(said)).map(|time| in_words(*time)).collect();
        let says = self.is_of_timers && !self.set.is_empty() && !left.is_empty();
        says.then(|| format!("I have set nothing for {}.", spoken::write::and(&left)))
    }
}

fn only_now() -> CallError {
    CallError::Failed { what: String::new(), reason: "I can do that only now, not at another time".to_owned() }
}

fn only_alone() -> CallError {
    let reason = "I can do something for a while only where you ask for nothing else with it";
    CallError::Failed { what: String::new(), reason: reason.to_owned() }
}

fn only_lengths() -> CallError {
    let reason = "I can start a timer only for a length of time, such as 10 minutes";
    CallError::Failed { what: String::new(), reason: reason.to_owned() }
}

fn not_understood() -> CallError {
    let reason = "I did not understand for when that is meant, so I did nothing";
    CallError::Failed { what: String::new(), reason: reason.to_owned() }
}

/// Whether a request begins with what is to be done, or with when: "in ten minutes turn it off".
fn is_deed(request: &str) -> bool {
    let text = spoken::normalise(request);
    let mut words = text.split(' ');
    match words.next() {
        Some("in" | "at" | "after") => words.any(is_acting),
        first => first.is_some_and(is_acting) || !Wish::of(request).deeds.is_empty(),
    }
}

/// Whether several things are to be done and something of it later. Items of lists may have their time with them.
pub(super) fn mixes_times(request: &str, now: DateTime) -> bool {
    let text = spoken::normalise(request);
    let has_several = text.split(' ').any(|word| matches!(word, "and" | "then"));
    let is_of_list = matches!(text.split(' ').next(), Some("add" | "put" | "write" | "note"));
    has_several && !is_of_list && is_deed(request) && is_for_later(request, now) && !is_of_timers(request)
}

/// The seconds of a timer's arguments.
fn seconds(arguments: &Map<String, Value>) -> f64 {
    let of = |(key, unit): (&str, f64)| arguments.get(key).and_then(Value::as_f64).unwrap_or_default() * unit;
    [("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0)].into_iter().map(of).sum()
}

/// Every length of time in a request.
fn durations_in(request: &str) -> Vec<Duration> {
    let text = spoken::normalise(request);
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    let (mut all, mut at) = (Vec::new(), 0);
    while at < words.len() && all.len() < MOST_TIMES {
        match spoken::durations(&words[at..]) {
            Some((found, taken)) => {
                all.extend(found);
                at += taken.max(1);
            }
            None => at += 1,
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn times(request: &str) -> Times {
        // A Monday.
        Times::of(request, jiff::civil::date(2026, 11, 30).at(17, 12, 0, 0))
    }

    fn timer(arguments: Value) -> Map<String, Value> {
        arguments.as_object().unwrap().clone()
    }

    #[test]
    fn a_timer_runs_for_a_time_that_was_said() {
        for (request, arguments, fits) in [
            ("set a timer for 10 minutes", json!({"minutes": 10}), true),
            ("set a timer for 90 seconds", json!({"minutes": 1.5}), true),
            ("set a timer for an hour and a half", json!({"hours": 1, "minutes": 30}), true),
            ("remind me in 10 minutes to open the oven", json!({"minutes": 10}), true),
            ("set a timer for 10 minutes", json!({"minutes": 1}), false),
            ("set a timer for 10 minutes", json!({"hours": 10}), false),
            ("set a timer for 12 minutes for pasta and 3 minutes for tea", json!({"minutes": 15}), false),
            ("turn off the fan in 10 minutes", json!({"minutes": 10}), false),
            ("in 10 minutes turn off the fan", json!({"minutes": 10}), false),
            ("tell me in 10 minutes", json!({"minutes": 10}), true),
            ("remind me tomorrow at 9 to water the plants", json!({"hours": 9}), false),
            ("wake me at 7", json!({"minutes": 7}), false),
            ("start a timer", json!({"minutes": 5}), true),
        ] {
            assert_eq!(times(request).check_timer(&timer(arguments), true).is_ok(), fits, "{request}");
        }
    }

    #[test]
    fn nothing_is_changed_now_for_another_time_and_a_reminder_is_no_exception() {
        for (request, tool, arguments, may) in [
            ("remind me tomorrow at 9 to water the plants", "open", json!({"name": "Sprinkler"}), false),
            ("remind me tomorrow to open the blind", "open", json!({"name": "Blind"}), false),
            ("remind me tonight to close the blind", "close", json!({"name": "Blind"}), false),
            ("turn on the coffee machine on Thursday", "turn_on", json!({"name": "Coffee Machine"}), false),
            ("remind me to water the plants tomorrow", "add_item", json!({"item": "water the plants tomorrow"}), true),
            ("remind me tomorrow to water the plants", "add_item", json!({"item": "water the plants"}), false),
            ("set a timer for 10 minutes and turn on the lamp", "turn_on", json!({"name": "Lamp"}), true),
            ("turn on the lamp", "turn_on", json!({"name": "Lamp"}), true),
            ("add tea and turn on the heater for 10 minutes", "turn_on", json!({"name": "Heater"}), false),
            ("add tea and turn on the heater for 10 minutes", "add_item", json!({"item": "tea"}), true),
            ("start rosie for 5 minutes and close the gate", "close", json!({"name": "Gate"}), false),
            ("turn on the lamp for mum", "turn_on", json!({"name": "Lamp"}), true),
        ] {
            let now = jiff::civil::date(2026, 11, 30).at(17, 12, 0, 0);
            assert_eq!(times(request).check_change(tool, &arguments, now).is_ok(), may, "{request}");
        }
    }

    #[test]
    fn a_time_for_which_nothing_was_set_is_told() {
        let mut times = times("set a timer for 12 minutes for pasta and 3 minutes for tea");
        assert_eq!(times.left_out(), None, "nothing was set at all");
        times.timer_was_set(&timer(json!({"minutes": 12})));
        assert_eq!(times.left_out().as_deref(), Some("I have set nothing for 3 minutes."));
        times.timer_was_set(&timer(json!({"minutes": 3})));
        assert_eq!(times.left_out(), None);
    }
}
