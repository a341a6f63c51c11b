//! Requests that lean on the last one: "and the kitchen?", "what about tomorrow?", "the other one", "a bit more", "off again", and the
//! answer to a question that was asked back. The last request's words are said again with the new ones in their place; where that
//! has not exactly one meaning, nothing is guessed.

use super::outcome::{Outcome, Reading, Step};
use super::vocabulary::stem;
use super::{Heard, Matcher, Setting, Turn, same, targets};
use crate::domain::Domain;
use crate::spoken;

/// The intent of a reading that stands for a question asked back: its targets are the choices.
pub const ASKED: &str = "Asked";

/// The longest request that leans on the last one, in words.
const LONGEST: usize = 9;

/// What marks a request as going on with the last one; longest first.
const MARKS: &[&str] = &[
    "and now do the same for",
    "and now do the same in",
    "and do the same for",
    "and do the same in",
    "do the same for",
    "do the same in",
    "do the same with",
    "and the same for",
    "and the same in",
    "and the same with",
    "the same for",
    "the same in",
    "the same with",
    "same for",
    "same in",
    "same with",
    "same again for",
    "okay and what about",
    "ok and what about",
    "and what about",
    "and how about",
    "and what is with",
    "what about",
    "how about",
    "and also",
    "and now",
    "okay and",
    "ok and",
    "also",
    "and",
    "now",
    "or",
];

/// The same behind it.
const TAILS: &[&str] = &["as well", "too", "also", "instead", "then", "please", "as well please", "too please", "now"];

/// What goes on in the same direction.
const MORE: &[&str] = &[
    "more",
    "a bit more",
    "a little more",
    "a little bit more",
    "a touch more",
    "some more",
    "even more",
    "still more",
    "a lot more",
    "much more",
    "again",
    "once more",
    "once again",
    "one more time",
    "do it again",
    "do that again",
    "same again",
    "further",
    "a bit further",
    "a little further",
    "keep going",
    "more than that",
];
/// What goes back.
const LESS: &[&str] = &[
    "less",
    "a bit less",
    "a little less",
    "a little bit less",
    "a touch less",
    "not so much",
    "not that much",
    "not quite so much",
    "a bit back",
    "back a bit",
    "back a little",
    "less than that",
    "that is too much",
    "too much",
];

/// Words and what turns them round.
const OPPOSITES: &[(&str, &str)] = &[
    ("up", "down"),
    ("raise", "lower"),
    ("increase", "decrease"),
    ("louder", "quieter"),
    ("brighter", "dimmer"),
    ("brighten", "dim"),
    ("lighter", "darker"),
    ("warmer", "cooler"),
    ("hotter", "colder"),
    ("faster", "slower"),
    ("open", "close"),
    ("higher", "lower"),
];

/// A request without what marks it, and whether it was marked.
fn unmarked(request: &str) -> (Vec<String>, bool) {
    let mut words: Vec<String> = spoken::words(request).into_iter().filter(|w| w != "," && w != ".").collect();
    let mut marked = words.iter().any(|w| w == "other") && words.len() <= 4;
    let begins = |words: &[String], phrase: &str| {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        words.len() > phrase.len() && words.iter().zip(&phrase).all(|(a, b)| a == b)
    };
    if let Some(mark) = MARKS.iter().find(|mark| begins(&words, mark)) {
        words.drain(..mark.split(' ').count());
        marked = true;
    }
    for tail in TAILS {
        let n = tail.split(' ').count();
        if words.len() > n && words[words.len() - n..].join(" ") == *tail {
            words.truncate(words.len() - n);
            marked |= !matches!(*tail, "please" | "now" | "then");
        }
    }
    (words, marked)
}

impl Matcher {
    /// What a request comes to that goes on with the last one; `None` where it does not, or several readings fit.
    pub(super) fn followed(&self, request: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Followed> {
        let before = setting.before?;
        let (words, marked) = unmarked(request);
        if words.is_empty() || words.len() > LONGEST || before.wording.request.is_empty() {
            return None;
        }
        let phrase = words.join(" ");
        let goes_on = Following { matcher: self, names, setting, before };
        let heard = if before.intent == ASKED { goes_on.chosen(&words) } else { goes_on.said_again(&words, &phrase) };
        heard.map(|heard| Followed { heard, marked: marked || before.intent == ASKED })
    }
}

/// What a request comes to, and whether a word of it says that it goes on with the last one.
pub(super) struct Followed {
    pub heard: Heard,
    pub marked: bool,
}

struct Following<'a, 'b> {
    matcher: &'a Matcher,
    names: &'a Turn<'b>,
    setting: &'a Setting<'a>,
    before: &'a Reading,
}

impl Following<'_, '_> {
    /// What the words come to where "it" is `last`.
    fn heard_of(&self, text: &str, last: &[String]) -> Option<Heard> {
        let setting = Setting { last, before: None, ..self.setting.clone() };
        let heard = self.matcher.heard(&spoken::normalise(text), self.names, &setting);
        let acted = !self.is_question() && self.before.intent != ASKED;
        let fits = matches!(&heard.outcome, Outcome::Do(steps) if steps.iter().all(|step| match step {
            Step::Act(_) => !self.is_question(),
            Step::Say(..) => !acted,
            Step::Request(_) => false,
        }));
        (fits && !heard.negative).then_some(heard)
    }

    fn is_question(&self) -> bool {
        self.before.intent != ASKED && self.before.calls.is_empty()
    }

    /// The one thing that all of these texts mean, of those that mean something.
    fn one_of(&self, texts: &[String]) -> Option<Heard> {
        let mut found: Option<Heard> = None;
        for text in texts {
            let Some(heard) = self.heard_of(text, self.setting.last) else { continue };
            match &found {
                None => found = Some(heard),
                Some(other) if alike(&other.outcome, &heard.outcome) => {}
                Some(_) => return None,
            }
        }
        found
    }

    /// The answer to "which one?".
    fn chosen(&self, words: &[String]) -> Option<Heard> {
        let choices = &self.before.targets;
        let said: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .skip_while(|w| matches!(*w, "no" | "yes" | "um" | "uh" | "i" | "mean" | "meant" | "want"))
            .collect();
        let plain: Vec<&str> = said
            .iter()
            .copied()
            .filter(|w| {
                !matches!(*w, "the" | "one" | "ones" | "in" | "on" | "at" | "of" | "that" | "my" | "please" | "is")
            })
            .collect();
        let picked: Vec<String> = match plain.as_slice() {
            [] => return None,
            ["all" | "both" | "everything"] | ["all" | "both", "them" | "lights" | "these" | "those"] => {
                choices.clone()
            }
            ["first"] => vec![choices.first()?.clone()],
            ["second"] => vec![choices.get(1)?.clone()],
            ["third"] => vec![choices.get(2)?.clone()],
            ["last"] => vec![choices.last()?.clone()],
            plain => {
                let stems: Vec<String> = plain.iter().map(|w| stem(w)).collect();
                let fit: Vec<&String> = choices.iter().filter(|id| self.is_called(id, &stems)).collect();
                match fit[..] {
                    [one] => vec![one.clone()],
                    _ => return None,
                }
            }
        };
        self.with_target(&picked)
    }

    /// Whether each word is part of an entity's name, its device's or its place's, or the word for its kind.
    fn is_called(&self, id: &str, stems: &[String]) -> bool {
        let Some(at) = self.setting.home.entities().iter().position(|e| e.id == id) else { return false };
        let named = &self.names.entities[at];
        let mut rest = stems;
        let mut is_named = false;
        while let Some(first) = rest.first() {
            if let Some((place, n)) = self.names.place_at(rest)
                && named.area.is_some_and(|area| place.areas.contains(&area))
            {
                is_named = true;
                rest = &rest[n..];
                continue;
            }
            let own = named.names.iter().any(|name| name.contains(first)) || named.device.contains(first);
            let kind = named.kinds.binary_search(&first.as_str()).is_ok();
            if !own && !kind {
                return false;
            }
            is_named |= own;
            rest = &rest[1..];
        }
        is_named
    }

    /// The last request for other entities.
    fn with_target(&self, ids: &[String]) -> Option<Heard> {
        let wording = &self.before.wording;
        let pronoun = if ids.len() > 1 { "them" } else { "it" };
        let texts: Vec<String> = match wording.part("target") {
            Some(old) => {
                let place = wording.part("place").map(|place| format!(" in {place}")).unwrap_or_default();
                let without = wording.request.replacen(&place, "", 1);
                vec![replaced(&without, old, pronoun)?]
            }
            None => ["on", "of"].iter().map(|on| format!("{} {on} {pronoun}", wording.request)).collect(),
        };
        let all_there = |heard: &Heard| match &heard.outcome {
            Outcome::Do(steps) => {
                let acted: Vec<String> = steps.iter().flat_map(targets).collect();
                !acted.is_empty() && acted.iter().all(|id| ids.contains(id))
            }
            _ => false,
        };
        texts.iter().find_map(|text| self.heard_of(text, ids).filter(all_there))
    }

    /// The last request with the new words in the place of old ones.
    fn said_again(&self, words: &[String], phrase: &str) -> Option<Heard> {
        let said: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["the", "other", rest @ ..] | ["other", rest @ ..] = said.as_slice()
            && matches!(rest, [] | ["one" | "two" | "ones" | "side"])
        {
            return self.with_target(&[self.other()?]);
        }
        if MORE.contains(&phrase) {
            return self.more();
        }
        if LESS.contains(&phrase) {
            return self.less();
        }
        if let Some(heard) = self.switched(&said) {
            return Some(heard);
        }
        let wording = &self.before.wording;
        let request = wording.request.as_str();
        // A day, in the place of another or behind all.
        if self.is_question()
            && let Some((_, n)) = spoken::day(&said, self.setting.now.date())
            && n == said.len()
        {
            let text = match wording.part("day") {
                Some(old) => replaced(request, old, phrase)?,
                None => format!("{request} {phrase}"),
            };
            return self.one_of(&[text]);
        }
        if let Some(place) = self.place(&said) {
            return self.elsewhere(&place);
        }
        // "And stamps to errands": only the verb is left out.
        let verb = request.split(' ').next().unwrap_or_default();
        if matches!(self.before.intent.as_str(), "AddItem" | "RemoveItem" | "CompleteItem")
            && said.iter().any(|w| matches!(*w, "to" | "on" | "from" | "off"))
        {
            return self.one_of(&[format!("{verb} {phrase}")]);
        }
        if words.iter().any(|w| w == "again") {
            let rest: Vec<&str> = said.iter().copied().filter(|w| *w != "again").collect();
            if !rest.is_empty() && self.before.intent != ASKED {
                return self.one_of(&[rest.join(" ")]);
            }
        }
        // A value, a measurement, a colour; then a thing.
        let values: Vec<String> = wording
            .parts
            .iter()
            .filter(|(slot, _)| !matches!(slot.as_str(), "target" | "list" | "calendar" | "place" | "day"))
            .filter_map(|(_, old)| replaced(request, old, phrase))
            .collect();
        let things: Vec<String> = ["target", "list", "calendar"]
            .iter()
            .filter_map(|slot| wording.part(slot))
            .filter_map(|old| replaced(request, old, phrase))
            .collect();
        self.one_of(&values).or_else(|| self.one_of(&things))
    }

    /// A phrase that is a place and nothing else, without its preposition.
    fn place(&self, said: &[&str]) -> Option<String> {
        let skip = said.iter().take_while(|w| matches!(**w, "in" | "on" | "at" | "for" | "from")).count();
        let the = said[skip..].iter().take_while(|w| matches!(**w, "the" | "my" | "our")).count();
        let rest = &said[skip + the..];
        let stems: Vec<String> = rest.iter().map(|w| stem(w)).collect();
        let whole = self.names.place_at(&stems).is_some_and(|(_, n)| {
            n == stems.len() || n + 1 == stems.len() && matches!(stems[n].as_str(), "floor" | "room" | "area")
        });
        let part = stems.len() == 1 && !self.names.areas_with(&stems[0]).is_empty();
        (whole || part).then(|| said[skip..].join(" "))
    }

    /// The last request in another place.
    fn elsewhere(&self, place: &str) -> Option<Heard> {
        let wording = &self.before.wording;
        let request = wording.request.as_str();
        if let Some(old) = wording.part("place") {
            return self.one_of(&[replaced(request, old, place)?]);
        }
        let within = if matches!(place, "upstairs" | "downstairs" | "outside" | "inside") {
            place.to_owned()
        } else {
            format!("in {place}")
        };
        let mut texts = Vec::new();
        if let Some(old) = wording.part("target") {
            if let Some(target) = self.moved(old, place) {
                return self.one_of(&[replaced(request, old, &target)?]);
            }
            texts.push(replaced(request, old, &format!("{old} {within}"))?);
            if let Some(heard) = self.one_of(&texts) {
                return Some(heard);
            }
            // Of a thing with a name of its own: what is of its kind there.
            let home = self.setting.home;
            let domains: Vec<Domain> =
                self.before.targets.iter().filter_map(|id| home.entity(id)).map(|e| e.domain).collect();
            let kind = domains.first().filter(|first| domains.iter().all(|d| d == *first))?;
            return self.one_of(&[replaced(request, old, &format!("the {} {within}", kind.plural()))?]);
        }
        self.one_of(&[format!("{request} {within}")])
    }

    /// A phrase for a thing with another place in it.
    fn moved(&self, phrase: &str, place: &str) -> Option<String> {
        let said: Vec<&str> = phrase.split(' ').collect();
        let stems: Vec<String> = said.iter().map(|w| stem(w)).collect();
        for at in 0..said.len() {
            let n = match self.names.place_at(&stems[at..]) {
                Some((_, n)) => n,
                None if !self.names.areas_with(&stems[at]).is_empty() => 1,
                None => continue,
            };
            let mut from = at;
            while from > 0 && matches!(said[from - 1], "the" | "my" | "our") {
                from -= 1;
            }
            let mut parts: Vec<&str> = said[..from].to_vec();
            let bare = place.trim_start_matches("the ");
            // "the snug lights", "the lights in the snug"
            let is_adverb = matches!(place, "upstairs" | "downstairs" | "outside" | "inside");
            if is_adverb {
                while parts.last().is_some_and(|w| matches!(*w, "in" | "on" | "at")) {
                    parts.pop();
                }
            }
            if at + n == said.len() && from > 0 {
                parts.push(if is_adverb { bare } else { place });
            } else {
                parts.push(if from < at { "the" } else { "" });
                parts.push(bare);
            }
            parts.extend(&said[at + n..]);
            return Some(parts.into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" "));
        }
        None
    }

    /// The one thing that goes with what the last request was about: the other of two that share a word of their names, else of two
    /// of a kind in one place.
    fn other(&self) -> Option<String> {
        let [id] = &self.before.targets[..] else { return None };
        let home = self.setting.home;
        let at = home.entities().iter().position(|e| e.id == *id)?;
        let own = &self.names.entities[at];
        let area: Vec<&String> = own.area.map(|a| self.names.areas[a].iter().flatten().collect()).unwrap_or_default();
        let kin: Vec<usize> = (0..home.entities().len())
            .filter(|i| *i != at)
            .filter(|i| self.names.entities[*i].domain == own.domain && self.names.entities[*i].class == own.class)
            .collect();
        let shares = |i: &usize| {
            let words = self.names.entities[*i].names.iter().flatten();
            words
                .filter(|w| !area.contains(w) && own.kinds.binary_search(&w.as_str()).is_err())
                .any(|w| own.names.iter().any(|name| name.contains(w)))
        };
        let named: Vec<usize> = kin.iter().copied().filter(shares).collect();
        let near: Vec<usize> =
            kin.iter().copied().filter(|i| own.area.is_some() && self.names.entities[*i].area == own.area).collect();
        let one = match (&named[..], &near[..], &kin[..]) {
            ([one], ..) | ([], [one], _) | ([], [], [one]) => *one,
            _ => return None,
        };
        Some(home.entities()[one].id.clone())
    }

    /// "Off again", "back on", "close it again": of what the last request was about.
    fn switched(&self, said: &[&str]) -> Option<Heard> {
        let words: Vec<&str> =
            said.iter().copied().filter(|w| !matches!(*w, "again" | "back" | "it" | "them")).collect();
        if words.len() == said.len() || self.is_question() {
            return None;
        }
        let text = match words[..] {
            ["on"] | ["turn" | "switch" | "put", "on"] => "turn it on",
            ["off"] | ["turn" | "switch", "off"] => "turn it off",
            ["open"] => "open it",
            ["close" | "closed" | "shut"] => "close it",
            ["up"] => "raise it",
            ["down"] => "lower it",
            _ => return None,
        };
        self.one_of(&[text.to_owned()])
    }

    /// The same change once more. An absolute value is one that can be raised.
    fn more(&self) -> Option<Heard> {
        let request = &self.before.wording.request;
        if self.before.intent.starts_with("Change")
            || matches!(self.before.intent.as_str(), "NextTrack" | "PreviousTrack")
        {
            return self.one_of(&[self.of_it(request)]);
        }
        self.a_bit(true)
    }

    fn less(&self) -> Option<Heard> {
        if !self.before.intent.starts_with("Change") {
            return self.a_bit(false);
        }
        let turned: Vec<&str> = self
            .before
            .wording
            .request
            .split(' ')
            .map(|word| {
                let pair = OPPOSITES.iter().find_map(|(a, b)| match word {
                    w if w == *a => Some(*b),
                    w if w == *b => Some(*a),
                    _ => None,
                });
                pair.unwrap_or(word)
            })
            .collect();
        let turned = turned.join(" ");
        (turned != self.before.wording.request).then(|| self.one_of(&[self.of_it(&turned)])).flatten()
    }

    /// The request with "it" for what it was about, so that it is the same things however they were found.
    fn of_it(&self, request: &str) -> String {
        let old = self.before.wording.part("target").unwrap_or_default();
        if old.is_empty() || self.setting.last.is_empty() {
            return request.to_owned();
        }
        replaced(request, old, "it").unwrap_or_else(|| request.to_owned())
    }

    /// A small change of what was set: only where the request did not say a direction itself.
    fn a_bit(&self, up: bool) -> Option<Heard> {
        let lowers = ["dim", "lower", "down", "reduce", "decrease", "drop", "close", "shut", "cut", "cool"];
        if self.before.wording.request.split(' ').any(|w| lowers.contains(&w)) {
            return None;
        }
        let text = match (self.before.intent.as_str(), up) {
            ("SetBrightness", true) => "make it a bit brighter",
            ("SetBrightness", false) => "make it a bit dimmer",
            ("SetVolume", true) => "turn it up a bit",
            ("SetVolume", false) => "turn it down a bit",
            ("SetTemperature", true) => "make it a bit warmer",
            ("SetTemperature", false) => "make it a bit cooler",
            ("SetSpeed", true) => "make it a bit faster",
            ("SetSpeed", false) => "make it a bit slower",
            ("SetPosition", true) => "open it a bit more",
            ("SetPosition", false) => "close it a bit more",
            _ => return None,
        };
        self.one_of(&[text.to_owned()])
    }
}

/// A text with one phrase in the place of another, which must stand in it once as words of their own.
fn replaced(text: &str, old: &str, new: &str) -> Option<String> {
    let (text, old) = (format!(" {text} "), format!(" {old} "));
    (!old.trim().is_empty() && text.matches(&old).count() == 1)
        .then(|| text.replacen(&old, &format!(" {new} "), 1).trim().to_owned())
}

fn alike(a: &Outcome, b: &Outcome) -> bool {
    match (a, b) {
        (Outcome::Do(a), Outcome::Do(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => false,
    }
}
