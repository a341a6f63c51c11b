//! A question that no template has, about one thing that can be read off: "how much diesel have we got?", "are we on shore power?",
//! "did the dishwasher leak?". It is answered only where its words name one sensor and say little else.

use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::outcome::{Reading, Step};
use crate::sentences::reply::{capital, the};
use crate::sentences::state;
use crate::sentences::target::Resolver;
use crate::sentences::vocabulary::stem;

/// How a question begins.
const ASKS: &[&str] =
    &["what", "how", "is", "are", "was", "were", "which", "does", "do", "did", "has", "have", "any", "tell", "am"];
/// Questions that are answered by yes or no.
const YES_NO: &[&str] = &["is", "are", "was", "were", "does", "do", "did", "has", "have", "any", "am"];
/// Words of questions that name nothing.
const SAYS_NOTHING: &[&str] = &[
    "the",
    "a",
    "an",
    "my",
    "our",
    "your",
    "his",
    "her",
    "their",
    "this",
    "that",
    "it",
    "its",
    "i",
    "we",
    "you",
    "they",
    "me",
    "us",
    "there",
    "here",
    "of",
    "in",
    "on",
    "at",
    "for",
    "from",
    "to",
    "by",
    "with",
    "much",
    "many",
    "left",
    "got",
    "get",
    "have",
    "has",
    "had",
    "be",
    "been",
    "being",
    "currently",
    "right",
    "now",
    "still",
    "already",
    "yet",
    "level",
    "reading",
    "value",
    "status",
    "state",
    "current",
    "currently",
    "doing",
    "anything",
    "something",
    "any",
    "some",
    "enough",
    "please",
    "or",
    "and",
    "too",
    "really",
    "actually",
    "can",
    "could",
    "would",
    "will",
    "tell",
    "know",
    "say",
    "show",
    "give",
    "moment",
    "house",
    "home",
    "long",
    "big",
    "often",
    "kind",
    "all",
    "so",
    "just",
    "remaining",
    "today",
    "percent",
    "degree",
    "detected",
    "s",
    "out",
    "up",
    "down",
];
/// Words after which the states of now are no answer.
const NOT_NOW: &[&str] = &[
    "yesterday",
    "tomorrow",
    "last",
    "ago",
    "week",
    "month",
    "year",
    "tonight",
    "morning",
    "evening",
    "ever",
    "when",
    "why",
    "if",
    "should",
    "average",
    "mean",
    "history",
    "usually",
    "next",
    "until",
    "since",
    "will",
    "not",
    "more",
    "less",
    "than",
    "most",
    "turn",
    "switch",
    "set",
    "open",
    "close",
    "remind",
    "add",
    "play",
    "lock",
    "unlock",
    "and",
];
/// Words that say that a binary sensor's state is "off".
const REFUSALS: &[&str] = &[
    "closed",
    "shut",
    "dry",
    "empty",
    "off",
    "locked",
    "okay",
    "ok",
    "fine",
    "clear",
    "disconnected",
    "unplugged",
    "safe",
    "normal",
];

/// What else people say of a thing that measures this.
fn said_of(class: &str) -> &'static [&'static str] {
    match class {
        "battery" => &["battery", "charge", "charged", "full", "empty", "power", "juice", "low", "flat"],
        "temperature" => &["temperature", "warm", "hot", "cold", "cool", "temp"],
        "humidity" | "moisture" => {
            &["humid", "humidity", "damp", "dry", "wet", "moist", "moisture", "leak", "leaking", "water", "flood"]
        }
        "power" => &[
            "power",
            "electricity",
            "drawing",
            "using",
            "use",
            "consuming",
            "making",
            "producing",
            "generating",
            "energy",
        ],
        "energy" => &["energy", "electricity", "used", "use", "using", "power", "consumed", "produced", "made"],
        "door" | "window" | "opening" | "garage_door" => &["open", "closed", "shut", "door", "window"],
        "motion" | "occupancy" | "presence" => {
            &["motion", "movement", "moving", "anyone", "anybody", "somebody", "someone", "occupied", "empty"]
        }
        "connectivity" | "plug" => &["connected", "online", "plugged", "off", "disconnected", "unplugged"],
        "carbon_dioxide" | "aqi" | "pm25" => {
            &["air", "quality", "dust", "fresh", "stuffy", "bad", "good", "okay", "ok", "fine"]
        }
        "volume_storage" | "volume" | "water" | "gas" => &["full", "empty", "fill", "filled", "fullest", "used", "use"],
        "smoke" | "gas_detector" => &["smoke", "fire"],
        "running" => &["running", "finished", "done", "going"],
        "problem" | "safety" => &["problem", "wrong", "okay", "ok", "fine", "safe"],
        "lock" => &["locked", "unlocked"],
        "vibration" | "sound" => &["vibrating", "noise", "sound"],
        _ => &[
            "on", "off", "live", "running", "working", "full", "empty", "active", "low", "high", "done", "finished",
            "ready", "going", "over",
        ],
    }
}

/// The answer, where there is exactly one.
pub fn about(text: &str, resolver: &Resolver<'_>) -> Option<Step> {
    let said: Vec<&str> = text.split(' ').filter(|w| !matches!(*w, "," | ".")).collect();
    let first = *said.first()?;
    if !ASKS.contains(&first) || said.len() > 14 || said.iter().any(|w| NOT_NOW.contains(w)) {
        return None;
    }
    let content: Vec<String> =
        said.iter().filter(|w| !ASKS.contains(w) && !SAYS_NOTHING.contains(w)).map(|w| stem(w)).collect();
    if content.is_empty() {
        return None;
    }
    let yes_no = YES_NO.contains(&first);
    let mut best: Vec<(usize, usize)> = Vec::new();
    // Those that the question says by what they measure alone, or by that and their room.
    let mut implied: Vec<usize> = Vec::new();
    for (i, named) in resolver.names.entities.iter().enumerate() {
        if !matches!(named.domain, Domain::Sensor | Domain::BinarySensor | Domain::InputNumber) {
            continue;
        }
        let entity = &resolver.home.entities()[i];
        if matches!(entity.state.as_str(), "unknown" | "unavailable" | "") {
            continue;
        }
        let class = named.class.as_deref().unwrap_or_default();
        let measured: Vec<&str> = class.split('_').chain(said_of(class).iter().copied()).collect();
        let area: Vec<&String> =
            named.area.map(|a| resolver.names.areas[a].iter().flatten().collect()).unwrap_or_default();
        for name in &named.names {
            let own = content
                .iter()
                .filter(|w| {
                    name.contains(w) && !measured.contains(&w.as_str()) && !area.contains(w) && w.as_str() != "sensor"
                        || named.device.contains(w)
                })
                .count();
            let explained = content.iter().all(|w| {
                name.contains(w)
                    || named.device.contains(w)
                    || area.contains(&w)
                    || measured.iter().any(|m| stem(m) == *w)
            });
            if explained && own == 0 {
                let in_area = content.iter().any(|w| area.contains(&w));
                let is_meter = matches!(class, "energy" | "gas" | "water") && named.area.is_none();
                if (in_area || is_meter) && !implied.contains(&i) {
                    implied.push(i);
                }
            }
            if !explained || own == 0 {
                continue;
            }
            // What is in the name and was not said makes it less likely.
            let missing = name.iter().filter(|w| !content.contains(w) && w.as_str() != "sensor").count() * 2;
            let kind = usize::from(yes_no != (named.domain == Domain::BinarySensor));
            best.push((missing + kind, i));
        }
    }
    let mut fit: Vec<usize> = match best.iter().map(|(cost, _)| *cost).min() {
        Some(least) => best.into_iter().filter(|(cost, _)| *cost == least).map(|(_, i)| i).collect(),
        None => implied,
    };
    fit.dedup();
    let [one] = fit[..] else { return None };
    let entity = &resolver.home.entities()[one];
    let reading = Reading { intent: "AskWhat".to_owned(), targets: vec![entity.id.clone()], ..Reading::default() };
    Some(Step::Say(reading, told(entity, &said, yes_no)))
}

fn told(entity: &Entity, said: &[&str], yes_no: bool) -> String {
    let words = state::words(entity);
    if yes_no && entity.domain == Domain::BinarySensor {
        let on = entity.state == "on";
        let yes = on != said.iter().any(|w| REFUSALS.contains(w));
        return format!("{}, {} is {words}.", if yes { "Yes" } else { "No" }, the(entity));
    }
    format!("{} is {words}.", capital(&the(entity)))
}
