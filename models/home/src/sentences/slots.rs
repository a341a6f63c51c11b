//! The lists that a template may name and that no file defines: what a home's names, numbers and times mean at a place in a
//! request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Value, json};

use super::nouns::noun_at;
use super::numbered::is_numeral;
use super::target::{here_at, house_at};
use super::template::Slots;
use super::vocabulary::{Vocabulary, stem};
use crate::spoken;

/// Words that stand in phrases for things without being names.
const FUNCTION: &[&str] = &[
    "the",
    "my",
    "our",
    "your",
    "a",
    "an",
    "all",
    "every",
    "each",
    "both",
    "any",
    "some",
    "this",
    "that",
    "these",
    "those",
    "it",
    "them",
    "of",
    "in",
    "on",
    "at",
    "from",
    "and",
    "or",
    ",",
    "except",
    "but",
    "not",
    "for",
    "apart",
    "other",
    "than",
    "excluding",
    "everything",
    "anything",
    "something",
    "device",
    "devices",
    "thing",
    "things",
    "here",
    "there",
    "room",
    "house",
    "home",
    "one",
    "ones",
    "two",
    "three",
    "area",
    "floor",
    "inside",
    "everywhere",
    "whole",
    "entire",
    "same",
    "stuff",
    "appliance",
    "appliances",
    "is",
    "are",
    "which",
    "still",
    "by",
    "to",
    "single",
    "pair",
    "pairs",
    "space",
    "around",
    "throughout",
    "his",
    "her",
    "their",
    "besides",
    "aside",
    "over",
    "plus",
    "apartment",
    "flat",
    "place",
    "building",
    "whichever",
    "whatever",
    "lot",
    "side",
    "indoors",
    "rooms",
    "without",
    "were",
    "was",
    "left",
    "off",
    "open",
    "closed",
    "running",
    "playing",
    "turned",
    "lit",
    "currently",
    "leaving",
    "out",
    "nor",
    "no",
    "through",
];

/// Words that end no phrase.
const UNFINISHED: &[&str] = &[
    "the", "my", "our", "your", "a", "an", "of", "by", "to", "and", "or", ",", "for", "from", "at", "but", "except",
    "plus", "nor", "his", "her", "their", "through",
];

/// Where the values of a list end and what they stand for, by list and byte of the request.
type Memo = HashMap<(&'static str, usize), Rc<[(usize, Value)]>>;

/// The computed lists, for one request.
pub struct Computed<'a> {
    text: &'a str,
    words: Vec<&'a str>,
    /// Where each word begins.
    starts: Vec<usize>,
    /// Whether a phrase for things may contain the word.
    explained: Vec<bool>,
    names: &'a Vocabulary,
    /// Whether it is known where the request was made.
    here: bool,
    today: jiff::civil::Date,
    /// What was computed: by list and byte of the request.
    memo: RefCell<Memo>,
}

impl<'a> Computed<'a> {
    /// For a normalised request.
    pub fn new(text: &'a str, names: &'a Vocabulary, here: bool, today: jiff::civil::Date) -> Self {
        let mut starts = Vec::new();
        let mut at = 0;
        let words: Vec<&str> = text.split(' ').collect();
        for word in &words {
            starts.push(at);
            at += word.len() + 1;
        }
        let explained = words
            .iter()
            .map(|w| {
                FUNCTION.contains(w)
                    || super::target::SPOTS.contains(w)
                    || names.knows(&stem(w))
                    || noun_at(&[*w]).is_some()
                    || w.bytes().all(|b| b.is_ascii_digit())
            })
            .collect();
        Self { text, words, starts, explained, names, here, today, memo: RefCell::default() }
    }

    fn end(&self, word: usize) -> usize {
        self.starts[word] + self.words[word].len()
    }

    /// Ends of every phrase from a word on that names may explain. None ends in a word that asks for another behind it, and none runs
    /// over a particle: "the lamp on and the fan" are two things to be told of.
    fn phrases(&self, from: usize) -> Vec<(usize, Value)> {
        // "Up by 2": how much, and no thing with that number.
        let is_amount = |i: usize| self.words[i] == "by" && spoken::number(&self.words[i + 1..]).is_some();
        let is_relative = |i: usize| matches!(self.words[i], "that" | "which" | "still" | "is" | "are");
        let ends_within = (from + 1..self.words.len()).find(|i| {
            let particle = matches!(self.words[i - 1], "on" | "off" | "open" | "closed" | "out");
            particle
                && matches!(self.words[*i], "and" | "," | "or" | "but" | "plus")
                && !(from..i - 1).any(is_relative)
                && !self.names.knows(self.words[i - 1])
        });
        (from..ends_within.unwrap_or(self.words.len()))
            .take_while(|i| self.explained[*i] && !is_amount(*i))
            .filter(|i| !UNFINISHED.contains(&self.words[*i]) || self.names.knows(self.words[*i]))
            .map(|i| (self.end(i), Value::String(self.text[self.starts[from]..self.end(i)].to_owned())))
            .collect()
    }

    /// An option that something here has: a mode, a preset, a source, an effect.
    fn options(&self, from: usize) -> Vec<(usize, Value)> {
        let stems: Vec<String> = self.words[from..].iter().take(5).map(|w| stem(w)).collect();
        (1..=stems.len())
            .filter(|n| self.names.is_option(&stems[..*n]))
            .map(|n| {
                let last = from + n - 1;
                (self.end(last), Value::String(self.text[self.starts[from]..self.end(last)].to_owned()))
            })
            .collect()
    }

    /// Ends of every phrase at all.
    fn anything(&self, from: usize) -> Vec<(usize, Value)> {
        (from..self.words.len())
            .map(|i| (self.end(i), Value::String(self.text[self.starts[from]..self.end(i)].to_owned())))
            .collect()
    }

    /// A place's name with what stands before it.
    fn places(&self, from: usize) -> Vec<(usize, Value)> {
        let skip = self.words[from..].iter().take_while(|w| matches!(**w, "the" | "my" | "our")).count();
        let stems: Vec<String> = self.words[from + skip..].iter().map(|w| stem(w)).collect();
        let mut out = Vec::new();
        let said = &self.words[from..];
        let here = if self.here { here_at(said) } else { None };
        if let Some(n) = here.or_else(|| house_at(said)) {
            let last = from + n - 1;
            out.push((self.end(last), Value::String(self.text[self.starts[from]..self.end(last)].to_owned())));
        }
        if let Some((_, n)) = self.names.place_at(&stems) {
            let mut last = from + skip + n - 1;
            out.push((self.end(last), Value::String(self.text[self.starts[from]..self.end(last)].to_owned())));
            if self.words.get(last + 1).is_some_and(|w| matches!(*w, "area" | "floor")) {
                last += 1;
                out.push((self.end(last), Value::String(self.text[self.starts[from]..self.end(last - 1)].to_owned())));
            }
        } else if stems.first().is_some_and(|s| !is_numeral(s) && !self.names.areas_with(s).is_empty()) {
            let last = from + skip;
            out.push((self.end(last), Value::String(self.text[self.starts[from]..self.end(last)].to_owned())));
        }
        out
    }
}

impl Slots for Computed<'_> {
    fn values(&self, list: &str, at: usize) -> Option<Rc<[(usize, Value)]>> {
        let list = *KNOWN.iter().find(|known| **known == list)?;
        let Some(from) = self.starts.iter().position(|s| *s == at) else { return Some(Rc::from([])) };
        if let Some(known) = self.memo.borrow().get(&(list, at)) {
            return Some(known.clone());
        }
        let computed: Rc<[(usize, Value)]> = self.compute(list, from).into();
        self.memo.borrow_mut().insert((list, at), computed.clone());
        Some(computed)
    }
}

impl Computed<'_> {
    /// Whether the bare number at a word is part of a name.
    fn is_of_name(&self, list: &str, from: usize) -> bool {
        let rest = &self.words[from..];
        let taken = match list {
            "number" => spoken::number(rest).map(|(_, n)| n),
            "temperature" => spoken::temperature(rest).map(|(.., n)| n),
            _ => spoken::percent(rest, true).map(|(_, n)| n),
        };
        taken == Some(1) && self.names.is_number_of_name(&self.words, from)
    }

    /// The values of a list from a word on.
    fn compute(&self, list: &str, from: usize) -> Vec<(usize, Value)> {
        let rest = &self.words[from..];
        let one = |found: Option<(Value, usize)>| {
            found.map(|(value, n)| (self.end(from + n - 1), value)).into_iter().collect::<Vec<_>>()
        };
        match list {
            "target" | "name" => self.phrases(from),
            "words" => self.anything(from),
            "option" => self.options(from),
            "place" | "area" | "floor" => self.places(from),
            // "The blinds in bedroom 1" are closed, and not to one percent.
            "number" | "level" | "step" | "temperature" if self.is_of_name(list, from) => Vec::new(),
            "number" => one(spoken::number(rest).map(|(v, n)| (json!(v), n))),
            "ordinal" => one(spoken::ordinal(rest).map(|(v, n)| (json!(v), n))),
            "percent" => one(spoken::percent(rest, false).map(|(v, n)| (json!(v), n))),
            // "The other one" is no one percent.
            "level" => {
                one(spoken::percent(rest, true).filter(|(_, n)| *n > 1 || rest[0] != "one").map(|(v, n)| (json!(v), n)))
            }
            "temperature" => one(spoken::temperature(rest).map(|(v, unit, n)| {
                let unit = unit.map(|u| if u == spoken::amount::Degrees::Celsius { "C" } else { "F" });
                (json!({"value": v, "unit": unit}), n)
            })),
            "size" => one(spoken::relative(rest).map(|(size, n)| (size_value(size), n))),
            "step" => one(spoken::percent(rest, true).map(|(by, n)| (json!({"by": by}), n))),
            "percent_step" => one(spoken::percent(rest, false).map(|(by, n)| (json!({"by": by}), n))),
            "degrees" => one(spoken::temperature(rest)
                .filter(|(_, _, n)| rest[..*n].iter().any(|w| w.starts_with("degree")))
                .map(|(by, _, n)| (json!({"by": by}), n))),
            "factor" => one(spoken::amount::factor(rest).map(|(v, n)| (json!(v), n))),
            "kelvin" => {
                one(spoken::colour_temperature(rest)
                    .map(|(k, n)| (json!({"kelvin": k, "said": rest[..n].join(" ")}), n)))
            }
            "color" => one(spoken::colour(rest).map(|(c, n)| {
                let said = rest[..n].join(" ");
                let value = match c {
                    spoken::Colour::Rgb(rgb) => json!({"rgb": rgb, "said": said}),
                    spoken::Colour::Kelvin(k) => json!({"kelvin": k, "said": said}),
                };
                (value, n)
            })),
            "duration" => one(spoken::duration(rest).map(|(d, n)| (json!(d.as_secs_f64()), n))),
            "durations" => one(spoken::durations(rest)
                .map(|(list, n)| (json!(list.iter().map(std::time::Duration::as_secs_f64).collect::<Vec<_>>()), n))),
            "time" => one(spoken::clock_time(rest)
                .map(|(t, n)| (json!({"hour": t.hour, "minute": t.minute, "exact": t.exact}), n))),
            "day" => one(spoken::day(rest, self.today).map(|(d, n)| {
                let hours = d.hours.map(|(from, to)| json!([from, to]));
                (json!({"first": d.first.to_string(), "days": d.days, "hours": hours, "said": rest[..n].join(" ")}), n)
            })),
            _ => Vec::new(),
        }
    }
}

const KNOWN: &[&str] = &[
    "target",
    "name",
    "area",
    "floor",
    "words",
    "option",
    "place",
    "number",
    "ordinal",
    "percent",
    "level",
    "temperature",
    "size",
    "step",
    "percent_step",
    "degrees",
    "factor",
    "color",
    "kelvin",
    "duration",
    "durations",
    "time",
    "day",
];

fn size_value(size: spoken::Size) -> Value {
    match size {
        spoken::Size::Small => json!("small"),
        spoken::Size::Medium => json!("medium"),
        spoken::Size::Large => json!("large"),
        spoken::Size::By(v) => json!({"by": v}),
        spoken::Size::Times(v) => json!({"times": v}),
    }
}

/// A relative size out of a slot.
pub fn size_of(value: Option<&Value>) -> spoken::Size {
    match value {
        Some(Value::String(s)) if s == "small" => spoken::Size::Small,
        Some(Value::String(s)) if s == "large" => spoken::Size::Large,
        Some(Value::Object(map)) => {
            match (map.get("by").and_then(Value::as_f64), map.get("times").and_then(Value::as_f64)) {
                (Some(by), _) => spoken::Size::By(by),
                (_, Some(times)) => spoken::Size::Times(times),
                _ => spoken::Size::Medium,
            }
        }
        _ => spoken::Size::Medium,
    }
}
