//! Questions about an event of a calendar in words that no template has: "when is the boiler being serviced?", "what time do we fly to
//! Denver?". They are answered only where the words that name something are those of one event.

use jiff::civil::DateTime;

use super::calendar::{Event, events_of, on, told, when};
use crate::domain::Domain;
use crate::model::Home;
use crate::sentences::nouns::singular;
use crate::sentences::outcome::{Reading, Step};
use crate::sentences::reply::capital;
use crate::spoken::verbs::same_verb;
use crate::spoken::{self, near, write};

/// How a question about an event begins.
const ASKS: &[&str] = &[
    "when", "what", "where", "who", "how", "which", "is", "are", "do", "does", "did", "have", "has", "am", "until",
    "will", "tell", "at",
];

/// Words that name nothing.
#[rustfmt::skip]
const EMPTY: &[&str] = &[
    "the", "a", "an", "my", "our", "your", "his", "her", "their", "this", "that", "i", "we", "you", "he", "she", "they", "it", "me",
    "us", "to", "at", "on", "in", "for", "of", "with", "from", "by", "and", "is", "are", "am", "be", "been", "being", "was", "were",
    "do", "does", "did", "have", "has", "had", "got", "get", "will", "would", "can", "should", "shall", "going", "go", "when", "what",
    "where", "who", "how", "which", "time", "day", "date", "long", "until", "till", "there", "again", "next", "any", "some", "still",
    "start", "starts", "begin", "begins", "end", "ends", "finish", "over", "last", "lasts", "take", "takes", "place", "scheduled",
    "planned", "due", "coming", "come", "comes", "happening", "happen", "tell", "know", "need", "supposed", "here", "up", "calendar",
    "diary", "agenda", "appointment", "event", "meeting", "thing", "exactly", "many", "more", "hour", "today", "morning", "evening",
    "afternoon", "tonight", "days", "weeks", "hours", "much", "week", "weekend", "anyone", "someone", "anybody", "done", "out", "off", "back", "happens", "go",
];

/// What people do with events whose titles do not say it: "fly" to Denver, "see" the dentist, "pick up" Emma.
#[rustfmt::skip]
const DOING: &[&str] = &[
    "fly", "flying", "leave", "leaving", "arrive", "arriving", "travel", "traveling", "drive", "see", "seeing", "meet", "meeting",
    "visit", "visiting", "stay", "staying", "pick", "picking", "drop", "dropping", "collect", "play", "playing", "attend", "return",
    "kid", "child", "everyone", "appointment", "lesson", "class", "course", "session", "practice", "training", "party", "game",
    "match", "visit", "pickup", "collection", "call", "trip", "service", "delivery", "deliver", "delivered", "booked", "booking",
    "come", "set", "off", "having", "hold", "held", "doing", "getting", "man", "guy", "guys", "people", "night", "altogether",
    "lasting", "kick", "run", "running", "till", "book", "expected", "attending", "total", "bring", "take",
];

/// The answer, where there is exactly one.
pub fn about(text: &str, home: &Home, now: DateTime) -> Option<Step> {
    let said: Vec<&str> = text.split(' ').filter(|w| !matches!(*w, "," | ".")).collect();
    let first = *said.first()?;
    if !ASKS.contains(&first) || said.len() > 16 {
        return None;
    }
    let calendars: Vec<usize> =
        (0..home.entities().len()).filter(|i| home.entities()[*i].domain == Domain::Calendar).collect();
    let events = events_of(home, &calendars);
    if events.is_empty() {
        return None;
    }
    // The day, wherever it stands.
    let mut day = None;
    let mut content: Vec<String> = Vec::new();
    let mut at = 0;
    while at < said.len() {
        if let Some((found, n)) = spoken::day(&said[at..], now.date()) {
            day = Some(found);
            at += n;
            continue;
        }
        if !EMPTY.contains(&said[at]) {
            content.push(singular(said[at]));
        }
        at += 1;
    }
    if content.is_empty() {
        return None;
    }
    let score = |event: &Event<'_>| -> Option<usize> {
        let mut own: Vec<String> = spoken::words(event.event.summary).iter().map(|w| singular(w)).collect();
        own.extend(spoken::words(event.event.location.unwrap_or_default()).iter().map(|w| singular(w)));
        let calendar = spoken::words(&home.entities()[event.calendar].name);
        let mut named = 0;
        for word in &content {
            // "Ann's shift" on Ann's calendar
            let is_whose = calendar.iter().any(|w| singular(w) == *word || w == word || singular(word) == *w);
            if is_whose && content.len() > 1 && !own.contains(word) {
                continue;
            }
            let is = own.iter().any(|o| o == word || same_verb(word, o) || near::distance(word, o).is_some());
            if is {
                named += 1;
            } else if !DOING.contains(&word.as_str()) {
                return None;
            }
        }
        (named > 0).then_some(named)
    };
    let scored: Vec<(usize, &Event<'_>)> = events.iter().filter_map(|e| score(e).map(|n| (n, e))).collect();
    let most = scored.iter().map(|(n, _)| *n).max()?;
    let mut fit: Vec<&Event<'_>> = scored.into_iter().filter(|(n, _)| *n == most).map(|(_, e)| e).collect();
    let summary = fit[0].event.summary;
    if fit.iter().any(|e| e.event.summary != summary) {
        return None;
    }
    let yes_no = matches!(first, "is" | "are" | "do" | "does" | "did" | "have" | "has" | "am" | "will");
    let ahead: Vec<&Event<'_>> = fit.iter().copied().filter(|e| e.end >= now).collect();
    if !ahead.is_empty() {
        fit = ahead;
    }
    if let Some(day) = day {
        let there = on(fit.iter().map(|e| (*e).clone()).collect(), day.first, i32::from(day.days), day.hours);
        if there.is_empty() {
            let label = write::day(day.first, now.date());
            let answer = format!("No, not {label}. {} is {}.", capital(summary), when(fit[0], now.date()));
            return Some(said_of(home, fit[0], answer));
        }
        fit.retain(|e| there.iter().any(|other| other.start == e.start && other.calendar == e.calendar));
    }
    let event = *fit.first()?;
    let place = event.event.location.filter(|l| !l.is_empty());
    let is = format!("{} is {}", capital(summary), when(event, now.date()));
    let is_timed = !event.whole_day && event.end > event.start;
    let ends = || match event.whole_day {
        true => write::day(event.end.date().yesterday().unwrap_or(event.end.date()), now.date()),
        false => write::clock(event.end.time()),
    };
    let asks_end = said.iter().any(|w| matches!(*w, "until" | "till" | "end" | "ends" | "finish" | "over" | "long"));
    let says = |word: &str| said.contains(&word);
    let asks_left = says("until") || says("till") || says("before") || said.windows(2).any(|w| w == ["have", "to"]);
    let counts_time =
        asks_left && said.first() == Some(&"how") && (says("long") || says("time") || says("hours") || says("minutes"));
    // "How many nights are they staying?"
    let counts_nights = said.starts_with(&["how", "many"]) && (says("nights") || says("days")) && !asks_left;
    let days = now.date().until(event.start.date()).map_or(0, |span| span.get_days());
    let counts = said.starts_with(&["how", "many", "days"])
        || said.starts_with(&["how", "long", "until"])
        || said.starts_with(&["how", "long", "till"]);
    let away = now.duration_until(event.start);
    let answer = if counts_nights && event.end > event.start && (says("nights") || says("staying") || says("last")) {
        let nights = event.start.date().until(event.end.date()).map_or(0, |span| span.get_days());
        let nights = usize::try_from(nights).unwrap_or_default();
        let unit = if says("nights") { ("night", "nights") } else { ("day", "days") };
        let stay = write::count(nights, unit.0, unit.1);
        format!(
            "{stay}: {summary}, from {} until {}.",
            when(event, now.date()),
            write::day(event.end.date(), now.date())
        )
    } else if counts_time && !event.whole_day && away.as_secs() > 0 && away.as_hours() < 48 {
        let left = write::duration(std::time::Duration::from_secs(away.as_secs().unsigned_abs() / 60 * 60));
        format!("It is {left} until {summary}, {}.", when(event, now.date()))
    } else if (counts || counts_time) && days >= 0 {
        let left = usize::try_from(days).unwrap_or_default();
        format!("It is {} until {summary}, {}.", write::count(left, "day", "days"), when(event, now.date()))
    } else if first == "where" {
        let place = place?;
        format!("{} is at {place}, {}.", capital(summary), when(event, now.date()))
    } else if asks_end && (is_timed || event.whole_day) {
        let length = event.start.duration_until(event.end);
        let lasts = match is_timed {
            true => format!(" ({})", write::duration(std::time::Duration::from_secs(length.as_secs().unsigned_abs()))),
            false => String::new(),
        };
        format!("{is} until {}{lasts}.", ends())
    } else if yes_no {
        format!("Yes, {}.", told(event, Some(now.date())))
    } else {
        let until = if is_timed { format!(" until {}", ends()) } else { String::new() };
        let place = place.map(|place| format!(", at {place}")).unwrap_or_default();
        format!("{is}{until}{place}.")
    };
    Some(said_of(home, event, answer))
}

fn said_of(home: &Home, event: &Event<'_>, answer: String) -> Step {
    let reading = Reading {
        intent: "FindEvent".to_owned(),
        targets: vec![home.entities()[event.calendar].id.clone()],
        ..Reading::default()
    };
    Step::Say(reading, answer)
}
