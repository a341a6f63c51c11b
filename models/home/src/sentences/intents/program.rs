//! What the program around the home answers or keeps: timers, the time and date, undo, notes.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Done, Found, data, want};
use crate::domain::Domain;
use crate::sentences::later::has_time_at_an_end;
use crate::sentences::outcome::{Request, Step, Stop, TimerChoice};
use crate::sentences::target::{Target, Unresolved, Want};
use crate::spoken::{ClockTime, write};

const TIMER: Want<'_> = Want { place_means: &[], ..want(&[Domain::Timer]) };

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    if let Some(step) = only_entity(found) {
        return step;
    }
    let request = match found.intent {
        "TimerStart" => return start(found),
        "EntityTimerChange" => return change_entity(found),
        "AlarmAt" => alarm(found)?,
        "TimerCancel" if found.flag("entity") == Some(true) => return entity_timer(found, "timer.cancel", Map::new()),
        "TimerCancel" | "TimerPause" | "TimerResume" | "TimerChange" | "TimerStatus"
            if found.flag("entity") != Some(true) && is_entities(found) =>
        {
            return Err(Stop::Mismatch);
        }
        "TimerCancel" => Request::CancelTimers(choice(found)?),
        "TimerPause" if found.flag("entity") == Some(true) => return entity_timer(found, "timer.pause", Map::new()),
        "TimerPause" => Request::PauseTimers(choice(found)?),
        "TimerResume" if found.flag("entity") == Some(true) => {
            // Home Assistant's timers go on with the service that starts them.
            let timer = found.target(TIMER)?;
            if let Some(i) = timer.entities.iter().find(|i| found.entity(**i).state != "paused") {
                let the = crate::sentences::reply::capital(&crate::sentences::reply::the(found.entity(*i)));
                return Err(Stop::Negative(format!("{the} is not paused.")));
            }
            return found.act(&timer, "timer.start", Map::new());
        }
        "TimerResume" => Request::ResumeTimers(choice(found)?),
        "TimerChange" => {
            let total: f64 = seconds(found.slots.get("durations")).iter().sum();
            let seconds = if found.flag("more") == Some(false) { -total } else { total };
            let duration = self::seconds(found.slots.get("which")).first().map(|s| Duration::from_secs_f64(*s));
            Request::ChangeTimer { which: TimerChoice { duration, ..choice(found)? }, seconds }
        }
        "TimerStatus" if found.flag("entity") == Some(true) => return remaining(found),
        "TimerStatus" => Request::TimerStatus(choice(found)?),
        "TellTime" => return found.say(&[], format!("It is {}.", write::clock(found.now.time()))),
        "TellDate" => {
            let day = match found.slots.get("day") {
                Some(day) => day["first"].as_str().and_then(|d| d.parse().ok()).ok_or(Stop::Mismatch)?,
                None => found.now.date(),
            };
            let when =
                if found.slots.contains_key("day") { write::day(day, found.now.date()) } else { "today".to_owned() };
            let when = crate::sentences::reply::capital(when.strip_prefix("on ").unwrap_or(&when));
            let weekday = write::weekday(day);
            let weekday = if when == weekday { String::new() } else { format!("{weekday}, ") };
            return found.say(&[], format!("{when} is {weekday}{}, {}.", write::date(day), day.year()));
        }
        "TimeUntil" => return until(found),
        "Undo" => Request::Undo { count: count(found) },
        "LastActions" => Request::LastActions,
        "Nevermind" => Request::Nevermind,
        "Yes" => Request::Yes,
        "No" => Request::No,
        "Remember" => Request::Remember(found.text("text").ok_or(Stop::Mismatch)?.to_owned()),
        "Memories" => Request::Memories,
        _ => Request::Forget(found.text("text").ok_or(Stop::Mismatch)?.to_owned()),
    };
    Ok(Step::Request(request))
}

fn seconds(value: Option<&Value>) -> Vec<f64> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn start(found: &Found<'_>) -> Done {
    let mut all = seconds(found.slots.get("durations"));
    if found.flag("entity") == Some(true) {
        let data = match all.first() {
            Some(seconds) if *seconds > 0.0 => data(json!({"duration": seconds})),
            Some(_) => return Err(Stop::Mismatch),
            None => Map::new(),
        };
        return entity_timer(found, "timer.start", data);
    }
    all.extend(seconds(found.slots.get("more")));
    if all.is_empty() {
        return Err(Stop::Mismatch);
    }
    let name = timer_name(found)?;
    Ok(Step::Request(Request::StartTimers { durations: all.into_iter().map(Duration::from_secs_f64).collect(), name }))
}

/// Whether a word is cut from the day behind a name, or given to it: "the bins on" and "Thursday", "turn the lamp" and "on tomorrow".
fn shares_day(name: &str, found: &Found<'_>) -> bool {
    let Some(day) = found.slots.get("day").and_then(|day| day["said"].as_str()) else { return false };
    let bare = day.strip_prefix("on ").unwrap_or(day);
    let needs_none =
        ["today", "tonight", "tomorrow", "this ", "next "].iter().any(|relative| bare.starts_with(relative));
    let cut =
        ["on", "for", "by", "during", "this", "next", "the"].contains(&name.rsplit(' ').next().unwrap_or_default());
    cut && !needs_none || bare.len() < day.len() && needs_none
}

/// The most words of what one is to be reminded of.
const MOST_REMINDER_WORDS: usize = 16;

/// The name a timer was given, without articles. One that is a duration, a time or a common word is none.
fn timer_name(found: &Found<'_>) -> Result<Option<String>, Stop> {
    let Some(name) = found.text("name") else { return Ok(None) };
    // "Remind me to …": what a template has a place of its own for is no part of it.
    if found.flag("reminds") == Some(true) {
        let is_fit = name.split(' ').count() <= MOST_REMINDER_WORDS
            && !has_time_at_an_end(name, found.now.date(), true)
            && !name.starts_with("to ")
            && !shares_day(name, found);
        return if is_fit { Ok(Some(name.to_owned())) } else { Err(Stop::Mismatch) };
    }
    let words: Vec<&str> =
        name.split(' ').skip_while(|w| matches!(*w, "the" | "my" | "a" | "an" | "me" | "to")).collect();
    let taken = |w: &&str| {
        matches!(
            *w,
            "timer"
                | "timers"
                | "alarm"
                | "minute"
                | "minutes"
                | "hour"
                | "hours"
                | "seconds"
                | "second"
                | "more"
                | "another"
                | "for"
                | "all"
                | "at"
                | "am"
                | "pm"
        )
    };
    if words.is_empty() || words.len() > 6 || words.iter().any(taken) || crate::spoken::number(&words).is_some() {
        return Err(Stop::Mismatch);
    }
    Ok(Some(words.join(" ")))
}

fn choice(found: &Found<'_>) -> Result<TimerChoice, Stop> {
    let duration = seconds(found.slots.get("durations")).first().map(|s| Duration::from_secs_f64(*s));
    let says = |words: &[&str]| found.said.split(' ').any(|word| words.contains(&word));
    let alarm = match (says(&["alarm", "alarms"]), says(&["timer", "timers", "countdown"])) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    };
    Ok(TimerChoice { all: found.flag("all") == Some(true), name: timer_name(found)?, duration, alarm })
}

fn entity_timer(found: &Found<'_>, service: &str, data: Map<String, Value>) -> Done {
    // "Turn off the kitchen" is not for the kitchen timer.
    if found.text("target").is_some_and(|said| found.resolver.place(said)) {
        return Err(Stop::Mismatch);
    }
    let target = found.target(TIMER)?;
    found.act(&target, service, data)
}

/// "The timer", where the assistant itself keeps none and one of the home's is in a state in which that can be meant.
fn only_entity(found: &Found<'_>) -> Option<Done> {
    let (states, service): (&[&str], _) = match found.intent {
        "TimerCancel" => (&["active", "paused"], "timer.cancel"),
        "TimerPause" => (&["active"], "timer.pause"),
        "TimerResume" => (&["paused"], "timer.start"),
        "TimerStatus" => (&["active", "paused"], ""),
        _ => return None,
    };
    let is_plain = ["target", "name", "durations", "all"].iter().all(|slot| !found.slots.contains_key(*slot));
    if found.has_timers || !is_plain {
        return None;
    }
    let mut fit: Vec<usize> = found
        .entities(&[Domain::Timer])
        .into_iter()
        .filter(|i| states.contains(&found.entity(*i).state.as_str()))
        .collect();
    if let Some(place) = found.text("place") {
        let there = found.resolver.resolve(place, Want { place_means: &[Domain::Timer], ..TIMER }).ok()?;
        fit.retain(|i| there.entities.contains(i));
    }
    let [one] = fit[..] else { return None };
    if service.is_empty() {
        return Some(told(found, one));
    }
    Some(found.act(&Target { entities: fit, ..Target::default() }, service, Map::new()))
}

/// Whether the name of a timer is that of one that is a thing of this home, for which other templates are.
fn is_entities(found: &Found<'_>) -> bool {
    let named = |name: &str| found.resolver.resolve(name, TIMER).is_ok_and(|target| !target.entities.is_empty());
    found.text("name").is_some_and(|name| named(name) || named(&format!("{name} timer")))
}

/// More time, or less, for a timer that is a thing of this home.
fn change_entity(found: &Found<'_>) -> Done {
    let target = found.target(TIMER)?;
    let total: f64 = seconds(found.slots.get("durations")).iter().sum();
    let by = if found.flag("more") == Some(false) { -total } else { total };
    let [at] = target.entities[..] else {
        return Err(Stop::Target(Unresolved::Several { what: "timer".to_owned(), entities: target.entities }));
    };
    let entity = found.entity(at);
    if entity.state != "active" {
        let the = crate::sentences::reply::capital(&crate::sentences::reply::the(entity));
        return Err(Stop::Negative(format!("{the} is not running.")));
    }
    let clock = |key: &str| {
        let text = entity.text(key)?;
        text.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.trim().parse::<f64>().ok()?))
    };
    // Home Assistant's timers are not made longer than what they were started for: then they are started anew.
    match (clock("remaining"), clock("duration")) {
        (Some(left), Some(whole)) if left + by > whole => {
            found.act(&target, "timer.start", data(json!({"duration": left + by})))
        }
        _ => found.act(&target, "timer.change", data(json!({"duration": by}))),
    }
}

fn remaining(found: &Found<'_>) -> Done {
    let target: Target = found.target(TIMER)?;
    told(found, target.entities[0])
}

fn told(found: &Found<'_>, at: usize) -> Done {
    let entity = found.entity(at);
    let the = crate::sentences::reply::the(entity);
    let left = entity.text("remaining").map(write::clocked);
    let state = match (entity.state.as_str(), left) {
        ("idle", _) => format!("{the} is not running"),
        ("paused", Some(left)) => format!("{the} is paused with {left} left"),
        ("paused", None) => format!("{the} is paused"),
        (_, Some(left)) => format!("{the} has {left} left"),
        _ if found.text("asks").is_some() => format!("{the} is running"),
        _ => return Err(Stop::Unsaid("how long the timer still runs".to_owned())),
    };
    let yes = match (found.text("asks"), entity.state.as_str()) {
        (Some("running"), "active") | (Some("paused"), "paused") => Some("Yes"),
        (Some("paused"), "active") if entity.text("remaining").is_some() => Some("No"),
        (Some("running" | "paused"), _) | (Some("done"), "active" | "paused") => Some("No"),
        _ => None,
    };
    let answer = match yes {
        Some(yes) => format!("{yes}, {state}."),
        None => format!("{}.", crate::sentences::reply::capital(&state)),
    };
    found.say(&[at], answer)
}

fn clock(value: &Value) -> Option<ClockTime> {
    Some(ClockTime {
        hour: i8::try_from(value["hour"].as_i64()?).ok()?,
        minute: i8::try_from(value["minute"].as_i64()?).ok()?,
        exact: value["exact"].as_bool()?,
    })
}

fn alarm(found: &Found<'_>) -> Result<Request, Stop> {
    let name = timer_name(found)?;
    let Some(time) = found.slots.get("time").and_then(clock) else {
        let at = found.noon().map(|day| day.at(12, 0, 0, 0)).filter(|at| *at > found.now);
        return Ok(Request::Alarm { at: at.ok_or(Stop::Mismatch)?, name });
    };
    let day: Option<jiff::civil::Date> = found.slots.get("day").and_then(|d| d["first"].as_str()?.parse().ok());
    let morning = found.slots.get("day").is_some_and(|d| d["hours"].is_null());
    let at = match day {
        Some(day) => {
            let from = found.slots.get("day").and_then(|d| d["hours"][0].as_i64());
            let at = time.on(day, from.and_then(|hour| i8::try_from(hour).ok()));
            let said = found.slots.get("day").and_then(|d| d["said"].as_str()).unwrap_or_default();
            match at <= found.now {
                false => at,
                // "Monday at 8" on a Monday at 9 is the next one.
                true if !said.contains("today") && morning => {
                    at.checked_add(jiff::Span::new().weeks(1)).map_err(|_| Stop::Mismatch)?
                }
                // "Today at 7" may be either half of the day.
                true => {
                    let next = time.next_after(found.now);
                    if next.date() != day {
                        return Err(Stop::Negative(format!("It is past {} already.", write::clock(time.time()))));
                    }
                    next
                }
            }
        }
        None => time.next_after(found.now),
    };
    Ok(Request::Alarm { at, name })
}

fn until(found: &Found<'_>) -> Done {
    if let Some(time) = found.slots.get("time").and_then(clock) {
        let at = time.next_after(found.now);
        let left = found.now.duration_until(at);
        let left = Duration::from_secs(left.as_secs().unsigned_abs() / 60 * 60);
        return found.say(&[], format!("It is {} until {}.", write::duration(left), write::clock(at.time())));
    }
    let day = found.slots.get("day").ok_or(Stop::Mismatch)?;
    let first: jiff::civil::Date = day["first"].as_str().and_then(|d| d.parse().ok()).ok_or(Stop::Mismatch)?;
    let days = found.now.date().until(first).map_or(0, |span| span.get_days());
    let n = usize::try_from(days).map_err(|_| Stop::Mismatch)?;
    found.say(
        &[],
        format!("It is {} until {}, {}.", write::count(n, "day", "days"), write::weekday(first), write::date(first)),
    )
}

fn count(found: &Found<'_>) -> usize {
    found.number("count").map_or(1, |n| n.clamp(1.0, 20.0) as usize)
}
