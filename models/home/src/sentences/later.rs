//! Wishes for later and for a while: "turn off the fan in 20 minutes", "turn on the coffee machine at 7 tomorrow", "open the valve
//! for ten minutes". Here the time is told from the wish; what the rest means, the templates say.

use std::time::Duration;

use jiff::civil::DateTime;
use serde_json::{Map, Value, json};

use super::outcome::Reading;
use crate::model::Home;
use crate::services::ServiceCall;
use crate::spoken;

/// When a wish for later is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Due {
    /// After so long.
    After(Duration),
    /// At a moment.
    At(DateTime),
}

/// What the time in a request says of the wish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Meant {
    /// Not now.
    Later(Due),
    /// Now, and taken back after so long.
    For(Duration),
}

/// The longest time that a wish may wait, or last.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// A request without its time, and when it is meant; `None` where it says no time at its beginning or end.
pub(super) fn split(text: &str, now: DateTime) -> Option<(String, Meant)> {
    let words: Vec<&str> = text.split(' ').filter(|w| !w.is_empty()).collect();
    let (wish, meant) = at_the_end(&words, now).or_else(|| at_the_beginning(&words, now))?;
    let wish: Vec<&str> = wish.iter().copied().skip_while(|w| *w == ",").collect();
    let wish = wish.join(" ").trim_end_matches([' ', ',']).to_owned();
    let fits = match meant {
        Meant::Later(Due::After(time)) | Meant::For(time) => !time.is_zero() && time <= LONGEST,
        Meant::Later(Due::At(at)) => at > now,
    };
    (fits && wish.contains(' ')).then_some((wish, meant))
}

fn at_the_beginning<'w>(words: &'w [&'w str], now: DateTime) -> Option<(&'w [&'w str], Meant)> {
    let (meant, n) = meant_at(words, now)?;
    Some((&words[n..], meant))
}

fn at_the_end<'w>(words: &'w [&'w str], now: DateTime) -> Option<(&'w [&'w str], Meant)> {
    (1..words.len()).find_map(|at| {
        let (meant, n) = meant_at(&words[at..], now)?;
        (at + n == words.len()).then_some((&words[..at], meant))
    })
}

/// A time with the word before it, and how many words it takes.
fn meant_at(words: &[&str], now: DateTime) -> Option<(Meant, usize)> {
    let (first, rest) = words.split_first()?;
    let at_moment = |at: DateTime| Meant::Later(Due::At(at));
    if let "in" | "after" | "for" = *first {
        let (time, n) = spoken::duration(rest)?;
        return Some((if *first == "for" { Meant::For(time) } else { Meant::Later(Due::After(time)) }, n + 1));
    }
    // "at 7 [tomorrow]", "tomorrow [morning] at 7"
    if *first == "at" {
        let (time, n) = spoken::clock_time(rest)?;
        let day = spoken::day(&rest[n..], now.date());
        let taken = n + 1 + day.map_or(0, |(_, n)| n);
        return Some((at_moment(moment(time, day.map(|(day, _)| day), now)?), taken));
    }
    let (day, n) = spoken::day(words, now.date())?;
    if day.hours == Some(spoken::NOON) {
        return Some((at_moment(day.first.at(12, 0, 0, 0)), n));
    }
    let (time, m) = words.get(n).filter(|w| **w == "at").and_then(|_| spoken::clock_time(&words[n + 1..]))?;
    Some((at_moment(moment(time, Some(day), now)?), n + 1 + m))
}

fn moment(time: spoken::ClockTime, day: Option<spoken::Day>, now: DateTime) -> Option<DateTime> {
    let Some(day) = day else { return Some(time.next_after(now)) };
    if day.days != 1 {
        return None;
    }
    Some(time.on(day.first, day.hours.map(|(from, _)| from)))
}

/// Words that put a wish off, or make it depend on something.
const NOT_NOW: &[&str] =
    &["if", "when", "whenever", "unless", "once", "later", "tomorrow", "tonight", "sunset", "sunrise", "dusk", "dawn"];

/// Words of timers, alarms and reminders.
const TIMERS: &[&str] = &[
    "timer",
    "timers",
    "alarm",
    "alarms",
    "remind",
    "reminder",
    "reminders",
    "wake",
    "countdown",
    "alert",
    "notify",
    "ping",
];

/// Whether a request is for another time than now, or depends on something: nothing may be changed at once. That holds for a timer or
/// a reminder too: what it names is to be told of then, not done now.
pub fn is_for_later(request: &str, now: DateTime) -> bool {
    let text = spoken::normalise(request);
    let words: Vec<&str> = text.split(' ').collect();
    words.iter().any(|word| NOT_NOW.contains(word))
        || matches!(split(&text, now), Some((_, Meant::Later(_))))
        || is_some_time(&words)
        || is_another_day(&words, now)
        || is_within(&words, now)
}

/// Whether a request, or one of several in it, is for a while: "turn on the heater for ten minutes and lock the door". What is done then
/// must be taken back, or not be done.
pub fn is_for_a_while(request: &str) -> bool {
    let text = spoken::normalise(request);
    let words: Vec<&str> = text.split(' ').filter(|w| !w.is_empty()).collect();
    (1..words.len()).any(|at| words[at - 1] == "for" && spoken::duration(&words[at..]).is_some())
}

/// Whether a request speaks of timers, alarms or reminders, which may be started for a later time.
pub fn is_of_timers(request: &str) -> bool {
    spoken::normalise(request).split(' ').any(|word| TIMERS.contains(&word))
}

/// A day other than this one, or a part of this one that has a name: "on Thursday", "this evening".
fn is_another_day(words: &[&str], now: DateTime) -> bool {
    (0..words.len()).any(|at| {
        // "In the morning", but not "in the morning room".
        if let ["in", "the", "morning" | "afternoon" | "evening", rest @ ..] | ["at", "night", rest @ ..] = &words[at..]
            && rest.first().is_none_or(|next| matches!(*next, "to" | "and" | "," | "at"))
        {
            return true;
        }
        let Some((day, n)) = spoken::day(&words[at..], now.date()) else { return false };
        let said = &words[at..at + n];
        let is_ahead = day.first >= now.date() && (!said.contains(&"today") || said[0] == "later");
        // "Play blue Monday": a name of a day that nothing leads in may be one of something else.
        let is_led_in =
            matches!(words[at], "on" | "this" | "next" | "coming" | "the" | "day" | "at" | "over" | "in" | "for");
        let is_at_an_end = (at == 0 || at + n == words.len()) && words[0] != "play";
        is_ahead && (is_led_in || is_at_an_end)
    })
}

/// A time of day in the middle of a request: "remind me at 9 to …", "at 9 tomorrow", "at 7 pm".
fn is_within(words: &[&str], now: DateTime) -> bool {
    let is_of_timers = words.iter().any(|word| TIMERS.contains(word));
    (0..words.len()).any(|at| {
        if words[at] != "at" {
            return false;
        }
        let Some((time, n)) = spoken::clock_time(&words[at + 1..]) else { return false };
        let said = &words[at + 1..at + 1 + n];
        let is_told =
            said.iter().any(|w| matches!(*w, "am" | "pm" | "oclock" | "noon" | "midnight") || w.contains(':'));
        let day = words.get(at + 1 + n).is_some() && spoken::day(&words[at + 1 + n..], now.date()).is_some();
        is_of_timers || day || is_told && time.exact
    })
}

/// Whether words begin or end with a time: "call mum in 20 minutes", "water the plants at 9 tomorrow", with days as well "take out
/// the bins on Thursday".
pub(super) fn has_time_at_an_end(text: &str, today: jiff::civil::Date, days: bool) -> bool {
    let words: Vec<&str> = text.split(' ').filter(|w| !w.is_empty()).collect();
    let leads = |at: usize| matches!(words[at], "for" | "by" | "during");
    let is_own = |at: usize| leads(at) || at > 0 && leads(at - 1);
    (0..words.len()).any(|at| {
        let rest = &words[at..];
        let moment = match rest[0] {
            "at" => spoken::clock_time(&rest[1..]).map(|(_, n)| n + 1),
            "in" | "after" => spoken::duration(&rest[1..]).map(|(_, n)| n + 1),
            _ => None,
        };
        let n = match moment {
            Some(n) => n + spoken::day(&rest[n..], today).map_or(0, |(_, n)| n),
            // "A present for Sunday" has its day for itself.
            None if days && !is_own(at) => spoken::day(rest, today).map_or(0, |(_, n)| n),
            None => 0,
        };
        n > 0 && (at == 0 || at + n == words.len())
    })
}

/// A time that cannot be told is later all the same: "in some minutes", "in a while", "next week".
fn is_some_time(words: &[&str]) -> bool {
    // A "second" may be the second of two.
    let is_unit = |w: &&str| match w.strip_suffix('s') {
        Some(one) => matches!(one, "second" | "minute" | "hour" | "day" | "week" | "month" | "year"),
        None => matches!(*w, "minute" | "hour" | "week" | "month" | "year" | "while" | "bit" | "moment"),
    };
    words.iter().enumerate().any(|(i, word)| {
        let behind = &words[i + 1..];
        match *word {
            "in" => {
                behind.iter().take(4).take_while(|w| !matches!(**w, "the" | "my" | "our" | "for" | "in")).any(is_unit)
            }
            "next" => behind.first().is_some_and(|w| is_unit(w) || w.ends_with("day")),
            _ => false,
        }
    })
}

/// A wish in the words that take it back: "turn off the fan" of "turn on the fan".
pub(super) fn opposite_words(wish: &str) -> String {
    const VERBS: &[(&str, &str)] = &[
        ("turn on ", "turn off "),
        ("turn off ", "turn on "),
        ("switch on ", "switch off "),
        ("switch off ", "switch on "),
        ("open ", "close "),
        ("close ", "open "),
        ("shut ", "open "),
        ("unlock ", "lock "),
        ("unmute ", "mute "),
        ("mute ", "unmute "),
        ("pause ", "resume "),
        ("resume ", "pause "),
        ("play ", "pause "),
    ];
    let opposite = VERBS.iter().find_map(|(verb, other)| Some(format!("{other}{}", wish.strip_prefix(verb)?)));
    // "Turn the fan on"
    opposite
        .or_else(|| Some(format!("{} off", wish.strip_suffix(" on")?)))
        .or_else(|| Some(format!("{} on", wish.strip_suffix(" off")?)))
        .unwrap_or_else(|| "set things back".to_owned())
}

/// The calls that take back what these will do; `None` where that is not known.
pub(super) fn taken_back(readings: &[Reading], home: &Home) -> Option<Vec<Reading>> {
    let mut back = Vec::new();
    for reading in readings.iter().rev() {
        let mut calls = Vec::new();
        for call in reading.calls.iter().rev() {
            calls.extend(opposite(call, home)?);
        }
        let intent = match reading.intent.as_str() {
            "TurnOn" => "TurnOff",
            "TurnOff" => "TurnOn",
            "Open" => "Close",
            "Close" => "Open",
            "Unlock" => "Lock",
            "Play" => "Pause",
            "Pause" => "Play",
            "SetTemperature" => "SetTemperature",
            "Mute" => "Mute",
            _ => return None,
        };
        let arguments = calls.first().map(|call| call.data.clone()).unwrap_or_default();
        back.push(Reading {
            intent: intent.to_owned(),
            targets: reading.targets.clone(),
            arguments,
            calls,
            ..Reading::default()
        });
    }
    Some(back)
}

/// What takes one call back: the opposite service, or the value of now.
fn opposite(call: &ServiceCall, home: &Home) -> Option<Vec<ServiceCall>> {
    let (domain, service) = call.service.split_once('.')?;
    let is_plain = call.data.is_empty();
    let other = match service {
        "turn_on" if is_plain => "turn_off",
        "turn_off" => "turn_on",
        "open_cover" => "close_cover",
        "close_cover" => "open_cover",
        "open_valve" => "close_valve",
        "close_valve" => "open_valve",
        "unlock" => "lock",
        "media_play" => "media_pause",
        "media_pause" => "media_play",
        "volume_mute" => {
            let muted = call.data.get("is_volume_muted").and_then(Value::as_bool)?;
            let data: Map<String, Value> = [("is_volume_muted".to_owned(), json!(!muted))].into_iter().collect();
            return Some(vec![ServiceCall { data, ..call.clone() }]);
        }
        "set_temperature" => {
            let before = |id: &String| {
                let now = home.entity(id)?.number("temperature")?;
                Some(ServiceCall::new(call.service.clone(), [id]).with("temperature", json!(now)))
            };
            return call.entities.iter().map(before).collect();
        }
        _ => return None,
    };
    Some(vec![ServiceCall::new(format!("{domain}.{other}"), &call.entities)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_in_a_reminder_is_for_later_as_well() {
        // A Monday.
        let now = jiff::civil::date(2026, 11, 30).at(17, 12, 0, 0);
        for text in [
            "remind me tomorrow at 9 to water the plants",
            "remind me tomorrow to open the blind",
            "remind me at 9 to turn on the coffee machine",
            "remind me tonight to close the blind",
            "remind me when the washing is done",
            "remind me in the morning to call mum",
            "turn on the coffee machine in the morning",
            "lock the door at night",
            "wake me at 7 and open the blinds",
            "set a reminder for Thursday to lock the door",
            "set an alarm on Thursday at 8 and turn on the heating",
            "turn off the coffee machine tonight",
            "turn off the coffee machine this evening",
            "turn on the coffee machine on Thursday",
            "turn on the coffee machine later",
            "please turn on the lamp at 9 pm and close the blind",
        ] {
            assert!(is_for_later(text, now), "{text}");
        }
        for text in [
            "set a timer for 10 minutes and turn on the oven light",
            "turn off the kitchen timer",
            "turn on the lamp",
            "play blue monday",
            "turn on the lamp in the morning room",
            "turn on the night light",
            "turn off the lights for tonight",
            "turn the lamp on today",
            "set the volume at 20 percent in the study",
        ] {
            assert!(!is_for_later(text, now), "{text}");
        }
        assert!(is_of_timers("Remind me in 10 minutes") && !is_of_timers("turn off the fan in 10 minutes"));
    }

    #[test]
    fn a_time_at_an_end_of_words_is_told() {
        let today = jiff::civil::date(2026, 11, 30);
        for (text, clock, days) in [
            ("call mum in 20 minutes", true, true),
            ("take out the bins at 8 pm", true, true),
            ("take out the bins on thursday at 8 pm", true, true),
            ("at 8 on thursday take out the bins", true, true),
            ("take out the bins on thursday", false, true),
            ("tomorrow call mum", false, true),
            ("buy a present for sunday", false, false),
            ("look at 5 houses", false, false),
            ("call mum", false, false),
            ("", false, false),
        ] {
            let found = (has_time_at_an_end(text, today, false), has_time_at_an_end(text, today, true));
            assert_eq!(found, (clock, days), "{text}");
        }
    }

    #[test]
    fn a_time_at_either_end_is_told_from_the_wish_and_a_value_is_none() {
        let now = jiff::civil::date(2026, 3, 18).at(19, 0, 0, 0);
        let minutes = |n: u64| Duration::from_secs(60 * n);
        for (text, wish, meant) in [
            ("turn off the fan in 20 minutes", "turn off the fan", Meant::Later(Due::After(minutes(20)))),
            ("in half an hour , close the blinds", "close the blinds", Meant::Later(Due::After(minutes(30)))),
            ("open the valve for 10 minutes", "open the valve", Meant::For(minutes(10))),
            (
                "turn on the coffee machine at 7 tomorrow",
                "turn on the coffee machine",
                Meant::Later(Due::At(jiff::civil::date(2026, 3, 19).at(7, 0, 0, 0))),
            ),
            (
                "tomorrow at 6:30 am turn on the heating",
                "turn on the heating",
                Meant::Later(Due::At(jiff::civil::date(2026, 3, 19).at(6, 30, 0, 0))),
            ),
            (
                "turn off the lights at 11 pm",
                "turn off the lights",
                Meant::Later(Due::At(jiff::civil::date(2026, 3, 18).at(23, 0, 0, 0))),
            ),
        ] {
            assert_eq!(split(text, now), Some((wish.to_owned(), meant)), "{text}");
        }
        for text in ["turn off the fan", "turn on the lamp in the kitchen", "set the fan to 20 percent", "in 5 minutes"]
        {
            assert_eq!(split(text, now), None, "{text}");
        }
    }
}
