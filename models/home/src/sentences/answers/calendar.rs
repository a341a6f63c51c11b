//! What is on a calendar, when something is, and what is put on it.

use jiff::civil::{Date, DateTime, Time};
use serde_json::{Value, json};

use crate::domain::Domain;
use crate::model::Home;
use crate::sentences::intents::{Done, Found, data};
use crate::sentences::nouns::singular;
use crate::sentences::outcome::Stop;
use crate::sentences::reply::{capital, lowered};
use crate::sentences::target::{Target, Unresolved, Want};
use crate::services::CalendarEvent;
use crate::spoken::{self, words, write};

const CALENDAR: Want<'_> = Want { domains: &[Domain::Calendar], or_else: &[], place_means: &[], group: true };

/// An event with its times.
#[derive(Clone)]
pub(super) struct Event<'e> {
    pub calendar: usize,
    pub event: CalendarEvent<'e>,
    pub start: DateTime,
    pub end: DateTime,
    pub whole_day: bool,
}

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "CalendarEvents" => events(found),
        "NextEvent" => next(found),
        "AfterEvent" => beside(found),
        "FindEvent" => find(found),
        _ => add(found),
    }
}

fn calendars(found: &Found<'_>) -> Result<Vec<usize>, Stop> {
    let all = found.entities(&[Domain::Calendar]);
    if all.is_empty() {
        return Err(Stop::Unsaid("what is on a calendar".to_owned()));
    }
    let Some(said) = found.text("calendar") else { return Ok(all) };
    let generic = matches!(
        said.trim_start_matches("the ").trim_start_matches("my "),
        "calendar" | "calendars" | "schedule" | "agenda" | "all calendars" | "diary" | "planner"
    );
    if generic {
        return Ok(all);
    }
    let target = found.resolver.resolve(said, CALENDAR)?;
    Ok(target.entities)
}

/// A moment as calendars write it: a date, or a date with a time and perhaps a zone, which is taken as the home's.
fn moment(text: &str) -> Option<(DateTime, bool)> {
    if text.len() <= 10 {
        let date: Date = text.parse().ok()?;
        return Some((date.to_datetime(Time::midnight()), true));
    }
    let plain: String = text.chars().take(19).map(|c| if c == ' ' { 'T' } else { c }).collect();
    plain.parse::<DateTime>().ok().or_else(|| text.get(..16)?.replace(' ', "T").parse().ok()).map(|t| (t, false))
}

fn all_events<'f>(found: &Found<'f>, calendars: &[usize]) -> Vec<Event<'f>> {
    events_of(found.resolver.home, calendars)
}

/// The events of calendars, in the order of their beginnings.
pub(super) fn events_of<'f>(home: &'f Home, calendars: &[usize]) -> Vec<Event<'f>> {
    let mut out = Vec::new();
    for calendar in calendars {
        let entity = &home.entities()[*calendar];
        for event in entity.events() {
            let Some((start, whole_day)) = moment(event.start) else { continue };
            let end = moment(event.end).map_or(start, |(end, _)| end);
            out.push(Event { calendar: *calendar, event, start, end, whole_day });
        }
        // A calendar whose events are not told still tells the present or next one.
        if entity.events().next().is_none()
            && let (Some(summary), Some(start)) = (entity.text("message"), entity.text("start_time"))
            && let Some((from, whole_day)) = moment(start)
        {
            let end = entity.text("end_time").unwrap_or(start);
            let event = CalendarEvent {
                summary,
                start,
                end,
                location: entity.text("location"),
                description: entity.text("description"),
            };
            let until = moment(end).map_or(from, |(end, _)| end);
            let is_all_day = entity.attributes.get("all_day") == Some(&Value::Bool(true));
            out.push(Event { calendar: *calendar, event, start: from, end: until, whole_day: whole_day || is_all_day });
        }
    }
    out.sort_by_key(|e| e.start);
    out
}

/// "Dentist at 9:30 AM"
pub(super) fn told(event: &Event<'_>, today: Option<Date>) -> String {
    let mut out = event.event.summary.to_owned();
    if let Some(today) = today {
        out.push_str(&format!(" {}", write::day(event.start.date(), today)));
    }
    if !event.whole_day {
        out.push_str(&format!(" at {}", write::clock(event.start.time())));
    }
    out
}

/// From one hour to before another.
pub(super) type Hours = (i8, i8);

/// The first day that was said, and which hours of it.
fn day_of(found: &Found<'_>) -> Option<(Date, Option<Hours>)> {
    let day = found.slots.get("day")?;
    let hours = day["hours"].as_array().and_then(|h| Some((h[0].as_i64()? as i8, h[1].as_i64()? as i8)));
    Some((day["first"].as_str()?.parse().ok()?, hours))
}

/// The first day that was said, how many days, which hours of them, and how to say it.
fn span(found: &Found<'_>) -> Option<(Date, i32, Option<Hours>, String)> {
    let today = found.now.date();
    // "At 6": an hour of the day; without am or pm of the waking part of it.
    let time = found.slots.get("time").and_then(|time| {
        let hour = i8::try_from(time["hour"].as_i64()?).ok()?;
        let minute = i8::try_from(time["minute"].as_i64()?).ok()?;
        let is_later = time["exact"] == Value::Bool(false) && hour < 8;
        Some(if is_later { (hour + 12, minute) } else { (hour, minute) })
    });
    if let Some((hour, minute)) = time {
        let first = day_of(found).map_or(today, |(first, _)| first);
        let clock = write::clock(Time::new(hour, minute, 0, 0).ok()?);
        let label = format!("{} at {clock}", write::day(first, today));
        return Some((first, 1, Some((hour, hour + 1)), label));
    }
    match found.slots.get("day") {
        None => None,
        Some(day) => {
            let (first, hours) = day_of(found)?;
            let days = i32::try_from(day["days"].as_i64()?).ok()?;
            let said = day["said"].as_str().unwrap_or_default().trim_start_matches("for ").to_owned();
            let label = if days > 1 || hours.is_some() { write::said_time(&said) } else { write::day(first, today) };
            Some((first, days, hours, label))
        }
    }
}

/// Those of the events that lie in days, or in hours of them.
pub(super) fn on<'f>(events: Vec<Event<'f>>, first: Date, days: i32, hours: Option<Hours>) -> Vec<Event<'f>> {
    let last = first.checked_add(jiff::Span::new().days(i64::from(days - 1))).unwrap_or(first);
    events
        .into_iter()
        .filter(|e| {
            // A whole day's end is the day after.
            let end = if e.whole_day && e.end > e.start {
                e.end.date().yesterday().unwrap_or(e.end.date())
            } else {
                e.end.date()
            };
            let in_days = e.start.date() <= last && end >= first;
            let in_hours = hours.is_none_or(|(from, to)| {
                let begins = if e.start.date() < first { 0 } else { e.start.hour() };
                let ends = if e.end.date() > last { 24 } else { e.end.hour() + i8::from(e.end.minute() > 0) };
                e.whole_day || begins < to && ends > from
            });
            in_days && in_hours
        })
        .collect()
}

fn events(found: &Found<'_>) -> Done {
    let calendars = calendars(found)?;
    let events = all_events(found, &calendars);
    let (list, label, several) = match span(found) {
        Some((first, days, hours, label)) => (on(events, first, days, hours), label, days > 1),
        None => {
            // No day was said: what is left, from today on.
            let today = found.now.date();
            (
                events.into_iter().filter(|e| e.end >= found.now || e.start.date() >= today).collect(),
                String::new(),
                true,
            )
        }
    };
    let label = if label.is_empty() { String::new() } else { format!(" {label}") };
    let whose = match (found.text("calendar"), calendars.as_slice()) {
        (Some(_), [one]) => format!(" on {}", calendar_name(found, *one)),
        _ => String::new(),
    };
    // Of a time of day, what is then comes before what lasts all day.
    let list: Vec<Event<'_>> = if let Some((_, _, Some(_), _)) = span(found)
        && list.iter().any(|e| !e.whole_day)
    {
        list.into_iter().filter(|e| !e.whole_day).collect()
    } else {
        list
    };
    let list: Vec<Event<'_>> = match (found.text("pick"), list.iter().any(|e| !e.whole_day)) {
        (Some(pick), timed) => {
            let mut list: Vec<Event<'_>> = list.into_iter().filter(|e| !timed || !e.whole_day).collect();
            if pick == "last" {
                list.reverse();
            } else {
                // What is over is not the first thing to come, unless a day was named.
                let ahead: Vec<Event<'_>> = list.iter().filter(|e| e.end >= found.now).cloned().collect();
                if !ahead.is_empty() {
                    list = ahead;
                }
            }
            let Some(one) = list.into_iter().next() else {
                return found.say(&calendars, format!("There is nothing{whose}{label}."));
            };
            let place = one.event.location.filter(|l| !l.is_empty()).map(|l| format!(", at {l}")).unwrap_or_default();
            let which = if pick == "last" { "last" } else { "first" };
            return found
                .say(&[one.calendar], format!("The {which} is {}{place}.", self::told(&one, Some(found.now.date()))));
        }
        (None, _) => list,
    };
    // "Am I free?", "is anything on?"
    let yes = match (found.text("asks"), list.is_empty()) {
        (Some("free"), true) | (Some("any"), false) => "Yes. ",
        (Some(_), _) => "No. ",
        (None, _) => "",
    };
    let answer = match list.len() {
        0 => format!("{yes}There is nothing{whose}{label}."),
        n => {
            let today = several.then(|| found.now.date());
            let told: Vec<String> = list.iter().take(8).map(|e| told(e, today)).collect();
            let what = write::count(n, "event", "events");
            format!("{yes}There {} {what}{whose}{label}: {}.", if n == 1 { "is" } else { "are" }, write::and(&told))
        }
    };
    found.say(&calendars, answer)
}

fn calendar_name(found: &Found<'_>, at: usize) -> String {
    let name = lowered(&found.entity(at).name);
    if name.contains("calendar") { format!("the {name}") } else { format!("the {name} calendar") }
}

fn next(found: &Found<'_>) -> Done {
    let calendars = calendars(found)?;
    let events = all_events(found, &calendars);
    let Some(event) =
        events.iter().find(|e| e.start >= found.now || (e.whole_day && e.start.date() >= found.now.date()))
    else {
        return found.say(&calendars, "There is nothing coming up.");
    };
    let place = event.event.location.filter(|l| !l.is_empty()).map(|l| format!(", at {l}")).unwrap_or_default();
    found.say(&[event.calendar], format!("Next is {}{place}.", told(event, Some(found.now.date()))))
}

fn find(found: &Found<'_>) -> Done {
    let said = found.text("event").ok_or(Stop::Mismatch)?;
    let calendars = calendars(found)?;
    let skip =
        ["the", "my", "a", "an", "our", "appointment", "event", "meeting", "to", "next", "with", "of", "for", "at"];
    let folded = |text: &str, all: bool| -> Vec<String> {
        words(text).iter().filter(|w| all || !skip.contains(&w.as_str())).map(|w| singular(w)).collect()
    };
    let mut wanted = folded(said, false);
    if wanted.is_empty() {
        wanted = folded(said, true);
    }
    if wanted.is_empty() || said.split(' ').count() > 8 {
        return Err(Stop::Mismatch);
    }
    let matching: Vec<Event<'_>> = all_events(found, &calendars)
        .into_iter()
        .filter(|e| {
            let has = folded(e.event.summary, true);
            wanted.iter().all(|w| has.contains(w) || has.iter().any(|h| crate::spoken::near::distance(w, h).is_some()))
        })
        .collect();
    let matching = match span(found) {
        Some((first, days, hours, label)) => {
            let on = on(matching.clone(), first, days, hours);
            if on.is_empty() && !matching.is_empty() {
                return found.say(
                    &calendars,
                    format!(
                        "No, not {label}. {} is {}.",
                        capital(matching[0].event.summary),
                        when(&matching[0], found.now.date())
                    ),
                );
            }
            on
        }
        None => matching,
    };
    let Some(event) = matching.iter().find(|e| e.end >= found.now).or(matching.last()) else {
        return Err(Stop::Mismatch);
    };
    let place = event.event.location.filter(|l| !l.is_empty()).map(|l| format!(", at {l}")).unwrap_or_default();
    let end = if event.whole_day || event.end == event.start {
        String::new()
    } else {
        format!(" until {}", write::clock(event.end.time()))
    };
    let (yes, summary) = match found.text("asks") {
        Some(_) => ("Yes, ", event.event.summary.to_owned()),
        None => ("", capital(event.event.summary)),
    };
    found.say(&[event.calendar], format!("{yes}{summary} is {}{end}{place}.", when(event, found.now.date())))
}

/// What comes after an event, or before it, on the same day.
fn beside(found: &Found<'_>) -> Done {
    let said = found.text("event").ok_or(Stop::Mismatch)?;
    let calendars = calendars(found)?;
    let wanted: Vec<String> =
        words(said).iter().filter(|w| !matches!(w.as_str(), "the" | "my" | "our" | "a")).map(|w| singular(w)).collect();
    let all = all_events(found, &calendars);
    let is_it = |e: &Event<'_>| {
        let has: Vec<String> = words(e.event.summary).iter().map(|w| singular(w)).collect();
        !wanted.is_empty() && wanted.iter().all(|w| has.contains(w))
    };
    let at = all.iter().position(|e| e.end >= found.now && is_it(e)).ok_or(Stop::Mismatch)?;
    let day = all[at].start.date();
    let after = found.flag("after") != Some(false);
    let timed = |e: &&Event<'_>| !e.whole_day && e.start.date() == day;
    let other = match after {
        true => all[at + 1..].iter().find(timed),
        false => all[..at].iter().rev().find(timed),
    };
    let (word, summary) = (if after { "after" } else { "before" }, all[at].event.summary);
    match other {
        Some(event) => {
            found.say(&[event.calendar], format!("{} is {}.", capital(word), told(event, Some(found.now.date()))))
        }
        None => found.say(&calendars, format!("There is nothing {word} {summary} that day.")),
    }
}

pub(super) fn when(event: &Event<'_>, today: Date) -> String {
    let day = write::day(event.start.date(), today);
    if event.whole_day { day } else { format!("{day} at {}", write::clock(event.start.time())) }
}

fn add(found: &Found<'_>) -> Done {
    let summary = found.text("event").ok_or(Stop::Mismatch)?;
    // "A meeting with Sam" is called so, not "with Sam".
    if summary.starts_with("with ") {
        return Err(Stop::Mismatch);
    }
    let calendars = calendars(found)?;
    let [calendar] = calendars[..] else {
        return Err(Stop::Target(Unresolved::Several { what: "calendar".to_owned(), entities: calendars }));
    };
    let (first, hours) = day_of(found).ok_or(Stop::Mismatch)?;
    let target = Target { entities: vec![calendar], ..Target::default() };
    let time = match found.slots.get("time") {
        // "Tomorrow at noon"
        None if hours == Some(spoken::NOON) => Some(Time::new(12, 0, 0, 0).map_err(|_| Stop::Mismatch)?),
        None => None,
        Some(time) => {
            let mut hour = time["hour"].as_i64().and_then(|h| i8::try_from(h).ok()).ok_or(Stop::Mismatch)?;
            let minute = time["minute"].as_i64().and_then(|m| i8::try_from(m).ok()).ok_or(Stop::Mismatch)?;
            // "At three" is in the afternoon.
            if time["exact"] == Value::Bool(false)
                && (hour < 7 || hours.is_some_and(|(from, _)| from >= 12))
                && hour < 12
            {
                hour += 12;
            }
            Some(Time::new(hour, minute, 0, 0).map_err(|_| Stop::Mismatch)?)
        }
    };
    let summary = capital(summary);
    let arguments = match time {
        Some(time) => {
            let start = first.to_datetime(time);
            let end = start.checked_add(jiff::Span::new().hours(1)).map_err(|_| Stop::Mismatch)?;
            data(json!({"summary": summary, "start_date_time": start.to_string(), "end_date_time": end.to_string()}))
        }
        None => {
            let end = first.tomorrow().map_err(|_| Stop::Mismatch)?;
            data(json!({"summary": summary, "start_date": first.to_string(), "end_date": end.to_string()}))
        }
    };
    found.act(&target, "calendar.create_event", arguments)
}
