//! Which entities a phrase means: "the kitchen lights", "the blinds in the hall and the study", "everything upstairs except the
//! fan", "it". A phrase means something only if every word of it is explained.

mod kinds;
mod places;
mod unresolved;

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::nouns::{Noun, noun_at};
use super::numbered::is_numeral;
use super::vocabulary::{Place, Vocabulary, stem};
use crate::domain::Domain;
use crate::model::Home;

pub use places::{here_at, house_at};
pub use unresolved::Unresolved;

/// What an intent can be done to.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    /// Domains, the likeliest first: of two things with one name, the first is meant.
    pub domains: &'a [Domain],
    /// Domains to look in where the first have nothing.
    pub or_else: &'a [Domain],
    /// What a bare place means: "turn off the kitchen".
    pub place_means: &'a [Domain],
    /// Whether one word for a kind of thing in a place means all of them there: "the kitchen light" with three lamps.
    pub group: bool,
}

/// Entities that a phrase means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Target {
    /// Their indexes in the home.
    pub entities: Vec<usize>,
    /// Whether several may be meant: a plural, "all", a list, a place.
    pub many: bool,
    /// Whether "all" or "everything" was said.
    pub all: bool,
    /// The word for their kind, where one was said.
    pub noun: Option<Noun>,
    /// The place, where one was said.
    pub place: Option<Place>,
    /// Whether the phrase is a place and nothing else.
    pub bare_place: bool,
}

const DETERMINERS: &[&str] = &[
    "the", "my", "our", "your", "a", "an", "some", "any", "this", "these", "those", "that", "of", "his", "her",
    "their", "single", "whole", "entire", "please", "other", "pair", "pairs", "set", "sets",
];
const PREPOSITIONS: &[&str] = &[
    "in",
    "on",
    "at",
    "of",
    "from",
    "inside",
    "within",
    "for",
    "by",
    "to",
    "near",
    "around",
    "over",
    "the",
    "my",
    "our",
    "s",
    "throughout",
    "across",
];
const ALL: &[&str] = &["all", "every", "each", "both"];
/// Where in a room a thing can be.
#[rustfmt::skip]
pub const SPOTS: &[&str] = &[
    "table", "desk", "sofa", "couch", "bed", "counter", "worktop", "stove", "cooker", "hob", "sink", "mirror", "shelf", "bookcase",
    "fireplace", "mantelpiece", "bath", "bathtub", "wall", "corner", "armchair", "chair", "dresser", "island", "wardrobe", "cot",
    "cabinet", "sideboard", "nightstand", "workbench", "bench", "stairs", "piano", "aquarium", "plants",
];

/// Whether words say where in a room something is, and nothing else: "over the dining table", "on the wall".
fn is_spot(words: &[&str], is_known: impl Fn(&str) -> bool) -> bool {
    let n = match words {
        ["next" | "close", "to", ..] | ["in", "front", ..] => 2,
        ["over" | "above" | "beside" | "behind" | "near" | "by" | "under" | "on" | "at" | "in" | "below", ..] => 1,
        _ => return false,
    };
    let rest = &words[n..];
    let last = rest.last().is_some_and(|w| SPOTS.contains(w));
    last && rest.len() <= 4
        && rest[..rest.len() - 1].iter().all(|w| DETERMINERS.contains(w) || SPOTS.contains(w) || is_known(&stem(w)))
}

const PRONOUNS: &[&str] = &[
    "it",
    "them",
    "that",
    "this",
    "those",
    "these",
    "that one",
    "this one",
    "those ones",
    "the same",
    "both of them",
    "all of them",
];

/// Resolves phrases against one home at one moment.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    /// The names.
    pub names: &'a Vocabulary,
    /// The states.
    pub home: &'a Home,
    /// The area of the device that was spoken to.
    pub here: Option<usize>,
    /// What the last request was about.
    pub last: &'a [usize],
    /// What phrases were found to mean.
    pub known: &'a RefCell<Known>,
}

/// What phrases mean, by their words and what is wanted.
pub type Known = HashMap<(String, u64), Result<Target, Unresolved>>;

impl Resolver<'_> {
    /// What a phrase means.
    ///
    /// # Errors
    /// [`Unresolved`]
    pub fn resolve(&self, phrase: &str, want: Want<'_>) -> Result<Target, Unresolved> {
        let mut hasher = DefaultHasher::new();
        (want.domains, want.or_else, want.place_means, want.group).hash(&mut hasher);
        let key = (phrase.to_owned(), hasher.finish());
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let found = self.find(phrase, want);
        self.known.borrow_mut().insert(key, found.clone());
        found
    }

    fn find(&self, phrase: &str, want: Want<'_>) -> Result<Target, Unresolved> {
        let first = self.filtered(phrase, want);
        match first {
            Err(Unresolved::Unknown(_) | Unresolved::Nothing { .. }) if !want.or_else.is_empty() => {
                let other = Want { domains: want.or_else, or_else: &[], place_means: &[], ..want };
                self.filtered(phrase, other).or(first)
            }
            // A whole name comes before a word for a kind: "the boiler" where a water heater is called so, and the thermostats are not.
            Ok(found) if found.noun.is_some() && !want.or_else.is_empty() && !self.is_said_of(&found, phrase) => {
                let said: Vec<&str> = phrase.split(' ').filter(|w| !w.is_empty()).collect();
                let other = Want { domains: want.or_else, or_else: &[], place_means: &[], ..want };
                self.exact(&said, other).or(Ok(found))
            }
            found => found,
        }
    }

    /// Whether one of the things found has all the words of a phrase in its name.
    fn is_said_of(&self, found: &Target, phrase: &str) -> bool {
        let said: Vec<&str> = phrase.split(' ').filter(|w| !w.is_empty()).collect();
        let stems: Vec<String> = without_determiners(&said).iter().map(|w| stem(w)).collect();
        let has = |name: &Vec<String>| stems.iter().all(|word| name.contains(word));
        found.entities.iter().any(|i| self.names.entities[*i].names.iter().any(has))
    }

    /// Handles "… that are on".
    fn filtered(&self, phrase: &str, mut want: Want<'_>) -> Result<Target, Unresolved> {
        let mut said: Vec<&str> = phrase.split(' ').filter(|w| !w.is_empty()).collect();
        // "Whichever lamp is still off", "whatever is lit indoors": the same with "that".
        if matches!(said.first(), Some(&("whichever" | "whatever" | "what")))
            && let Some(is) = said.iter().position(|w| matches!(*w, "is" | "are"))
        {
            let lit = said.iter().skip(is).any(|w| *w == "lit");
            let what = match said[1..is].iter().any(|w| !matches!(*w, "one" | "ones" | "of" | "the" | "them")) {
                true => said[1..is].to_vec(),
                false => vec![if lit { "lights" } else { "everything" }],
            };
            let rest = said[is + 1..].to_vec();
            said = what.into_iter().chain(["that", "is"]).chain(rest).collect();
        }
        if let Some(at) = said.iter().position(|w| matches!(*w, "that" | "which"))
            && at > 0
            && let Some(ahead) = said[at + 1..]
                .iter()
                .position(|w| !matches!(*w, "is" | "are" | "still" | "currently" | "left" | "was" | "were" | "turned"))
            && let Some(state) = match said[at + 1 + ahead] {
                "lit" | "burning" => {
                    want.domains = if want.domains.contains(&Domain::Light) { &[Domain::Light] } else { want.domains };
                    Some("on")
                }
                "shut" => Some("closed"),
                state @ ("on" | "off" | "open" | "closed" | "running" | "playing" | "locked" | "unlocked"
                | "paused") => Some(state),
                _ => None,
            }
            && ahead > 0
        {
            // "… that is on in the kitchen"
            let mut phrase = said[..at].to_vec();
            phrase.extend_from_slice(&said[at + 2 + ahead..]);
            let mut found = self.excepted(&phrase, want)?;
            found.entities.retain(|i| super::state::is(&self.home.entities()[*i], state) == Some(true));
            found.many = true;
            return Ok(found);
        }
        self.excepted(&said, want)
    }

    /// Handles "… except …".
    fn excepted(&self, said: &[&str], want: Want<'_>) -> Result<Target, Unresolved> {
        let mark = |i: usize| match said[i..] {
            ["except", "for" | "in" | "the", ..] if said[i + 1] == "for" => Some(2),
            ["except" | "excluding" | "besides" | "without" | "minus", ..] => Some(1),
            ["but", "not", ..]
            | ["apart", "from", ..]
            | ["other", "than", ..]
            | ["aside", "from", ..]
            | ["leaving", "out", ..] => Some(2),
            ["but", ..] | ["not", ..] => Some(1),
            _ => None,
        };
        let Some((at, n)) = (1..said.len()).find_map(|i| mark(i).map(|n| (i, n))) else {
            return self.described(said, want);
        };
        let mut kept = self.listed(&said[..at], want)?;
        // "Except the ones in the kitchen": what is there.
        let left_out = match said[at + n..] {
            ["the", "one" | "ones", "in" | "on" | "at" | "of" | "from", ..] => &said[at + n + 3..],
            ["those" | "ones" | "one", "in" | "on" | "at" | "of" | "from", ..] => &said[at + n + 2..],
            _ => &said[at + n..],
        };
        let mut without = self.listed(left_out, want);
        if let (Err(_), Some(noun)) = (&without, kept.noun) {
            let mut words = left_out.to_vec();
            // "but the kitchen one"
            if words.last().is_some_and(|w| matches!(*w, "one" | "ones")) {
                words.pop();
            }
            words.push(noun.said);
            without = self.listed(&words, want);
        }
        let without = without?;
        if without.bare_place || without.place.is_some() && without.noun.is_none() {
            let place = without.place.as_ref().map(|p| p.areas.clone()).unwrap_or_default();
            kept.entities.retain(|i| !self.names.entities[*i].area.is_some_and(|a| place.contains(&a)));
        }
        kept.entities.retain(|i| !without.entities.contains(i));
        kept.many = true;
        Ok(kept)
    }

    /// Handles "the pendant over the dining table", "the panels on the wall": where no name holds the place in the room, what is
    /// left is meant, if it is one thing.
    fn described(&self, said: &[&str], want: Want<'_>) -> Result<Target, Unresolved> {
        let found = self.listed(said, want);
        let Err(Unresolved::Unknown(_)) = found else { return found };
        let Some(at) = (1..said.len()).find(|at| is_spot(&said[*at..], |word| self.names.knows(word))) else {
            return found;
        };
        let (head, spot) = said.split_at(at);
        let is_said = |w: &&str| SPOTS.contains(w) || self.names.knows(&stem(w)) && !PREPOSITIONS.contains(w);
        let words: Vec<&str> = spot[1..].iter().copied().filter(|w| is_said(w) && !DETERMINERS.contains(w)).collect();
        let known: Vec<&str> = words.iter().copied().filter(|w| !SPOTS.contains(w)).collect();
        let only = |said: &[&str]| {
            let found = self.listed(said, want).and_then(|found| self.settled(found, want)).ok()?;
            (found.entities.len() == 1 && !found.bare_place).then_some(found)
        };
        let turned = |words: &[&str]| only(&[words, without_determiners(head)].concat());
        // "The lamp on my desk" may be called so; "over the dining table" is in the dining room; "on the wall" says nothing more.
        let one = turned(&words).or_else(|| if known.is_empty() { only(head) } else { turned(&known) });
        one.map_or(found, Ok)
    }

    /// Handles "a, b and c", where the parts share a noun or a place.
    fn listed(&self, said: &[&str], want: Want<'_>) -> Result<Target, Unresolved> {
        // "Rooms 1, 2 and 3"
        if let Some(each) = self.names.with_each_name(said) {
            let each: Vec<&str> = each.iter().map(String::as_str).collect();
            return self.parts(&each, want);
        }
        self.parts(said, want)
    }

    fn parts(&self, said: &[&str], want: Want<'_>) -> Result<Target, Unresolved> {
        let parts: Vec<&[&str]> =
            said.split(|w| matches!(*w, "and" | "," | "or" | "plus" | "nor")).filter(|p| !p.is_empty()).collect();
        if parts.len() < 2 {
            return self.one(said, want);
        }
        // A name may contain "and".
        if let Ok(whole) = self.exact(said, want) {
            return Ok(whole);
        }
        // "Every curtain and blind", "all lamps and fans": what is said of the first is said of each.
        let every: Option<&str> = parts[0].first().copied().filter(|w| ALL.contains(w) && *w != "both");
        let spread: Vec<Vec<&str>> = parts
            .iter()
            .map(|part| match every {
                Some(every) if !DETERMINERS.contains(&part[0]) && !ALL.contains(&part[0]) => {
                    std::iter::once(every).chain(part.iter().copied()).collect()
                }
                _ => part.to_vec(),
            })
            .collect();
        let parts: Vec<&[&str]> = spread.iter().map(Vec::as_slice).collect();
        let alone: Vec<Result<Target, Unresolved>> = parts.iter().map(|part| self.one(part, want)).collect();
        let last_noun = self.noun_in(parts[parts.len() - 1]);
        let first_noun = self.noun_in(parts[0]);
        let last_place = alone[parts.len() - 1].as_ref().ok().filter(|t| !t.bare_place).and_then(|t| t.place.clone());
        let first_place = alone[0].as_ref().ok().filter(|t| !t.bare_place).and_then(|t| t.place.clone());
        let mut all = Target { many: true, ..Target::default() };
        let mut nouns = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let bare = match &alone[i] {
                Ok(found) => found.bare_place,
                Err(_) => self.noun_in(part).is_none(),
            };
            let mut found = alone[i].clone();
            if bare {
                // "the kitchen and hall lights", "the lights in the kitchen and the hall", "lamp 1 and 2"
                for noun in [last_noun, first_noun].into_iter().flatten() {
                    let mut words = part.to_vec();
                    let noun = noun.word(true);
                    words.push(&noun);
                    if let Ok(better) = self.one(&words, want) {
                        found = Ok(better);
                        break;
                    }
                }
                if found.is_err() && i > 0 && part.len() == 1 {
                    let mut words = parts[0].to_vec();
                    words.pop();
                    words.push(part[0]);
                    found = self.one(&words, want);
                }
            } else if !matches!(&found, Ok(t) if t.place.is_some() || (t.entities.len() == 1 && t.noun.is_none()))
                && let Some(place) = last_place.as_ref().or(first_place.as_ref())
            {
                // "the fan and the light in the bedroom"
                let mut words = part.to_vec();
                words.extend(["in", "the"]);
                words.extend(place.label.split(' '));
                if let Ok(better) = self.one(&words, want) {
                    found = Ok(better);
                }
            }
            let found = found.and_then(|t| self.settled(t, want));
            let found = match found {
                Ok(found) => found,
                // "the salt and pepper lamp"
                Err(trouble) => return self.one(said, want).map_err(|_| trouble),
            };
            nouns.push(found.noun);
            all.all |= found.all;
            for entity in found.entities {
                if !all.entities.contains(&entity) {
                    all.entities.push(entity);
                }
            }
        }
        if nouns.windows(2).all(|pair| pair[0] == pair[1]) {
            all.noun = nouns[0];
        }
        Ok(all)
    }

    fn noun_in(&self, said: &[&str]) -> Option<Noun> {
        (0..said.len()).find_map(|i| {
            noun_at(&said[i..])
                .filter(|(_, n, _)| i + n == said.len() || i == 0 || DETERMINERS.contains(&said[i - 1]))
                .map(|(noun, ..)| noun)
        })
    }

    /// Decides what is meant where one thing was said and several fit.
    pub fn settled(&self, mut found: Target, want: Want<'_>) -> Result<Target, Unresolved> {
        // "The shutter" is the one of that class, or called so, where there is a blind besides.
        if !found.many
            && !found.all
            && found.entities.len() > 1
            && let Some(noun) = found.noun.filter(|noun| noun.domains == [Domain::Cover])
        {
            let is_so = |i: &usize| {
                let entity = &self.names.entities[*i];
                entity.class.as_deref() == Some(noun.said) || entity.names.iter().flatten().any(|w| w == noun.said)
            };
            if found.entities.iter().any(is_so) {
                found.entities.retain(is_so);
            }
        }
        if found.entities.len() > 1
            && found.place.is_none()
            && !found.all
            && found.noun.is_some()
            && let Some(here) = self.here
        {
            let near: Vec<usize> =
                found.entities.iter().copied().filter(|i| self.names.entities[*i].area == Some(here)).collect();
            if !near.is_empty() {
                found.entities = near;
                found.many |= want.group;
            }
        }
        if found.many || found.entities.len() <= 1 || (want.group && found.place.is_some() && found.noun.is_some()) {
            return Ok(found);
        }
        let what = found.noun.map_or_else(|| "one".to_owned(), |n| n.word(false));
        Err(Unresolved::Several { what, entities: found.entities })
    }

    fn accepts(&self, i: usize, domains: &[Domain]) -> bool {
        domains.contains(&self.names.entities[i].domain)
    }

    fn of(&self, domains: &[Domain]) -> impl Iterator<Item = usize> {
        let domains = domains.to_vec();
        (0..self.names.entities.len()).filter(move |i| self.accepts(*i, &domains))
    }

    /// A whole name.
    fn exact(&self, said: &[&str], want: Want<'_>) -> Result<Target, Unresolved> {
        let said = without_determiners(said);
        let stems: Vec<String> = said.iter().map(|w| stem(w)).collect();
        let all: Vec<usize> =
            self.names.named(&stems).iter().copied().filter(|i| self.accepts(*i, want.domains)).collect();
        let Some(first) = want.domains.iter().find(|d| all.iter().any(|i| self.names.entities[*i].domain == **d))
        else {
            return Err(Unresolved::Unknown(said.join(" ")));
        };
        let entities: Vec<usize> = all.into_iter().filter(|i| self.names.entities[*i].domain == *first).collect();
        Ok(Target { entities, ..Target::default() })
    }

    /// A phrase without "and" and "except". Parts of longer phrases come again and again.
    fn one(&self, said: &[&str], want: Want<'_>) -> Result<Target, Unresolved> {
        let mut hasher = DefaultHasher::new();
        (want.domains, want.or_else, want.place_means, want.group).hash(&mut hasher);
        // No phrase holds this character.
        let key = (format!("\u{1}{}", said.join(" ")), hasher.finish());
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let found = self.one_anew(said, want);
        self.known.borrow_mut().insert(key, found.clone());
        found
    }

    fn one_anew(&self, said: &[&str], want: Want<'_>) -> Result<Target, Unresolved> {
        let mut rest = said;
        let (mut all, mut many) = (false, false);
        while let Some(first) = rest.first() {
            if ALL.contains(first) {
                (all, many) = (true, true);
            } else if *first == "any" {
                many = true;
            } else if !DETERMINERS.contains(first) {
                let counted = matches!(*first, "two" | "three" | "four" | "2" | "3" | "4") && rest.len() > 1;
                if !(counted && rest.last().is_some_and(|w| stem(w) != *w)) {
                    break;
                }
                many = true;
            }
            rest = &rest[1..];
        }
        // "The one on the east side", "the left one": by the word that tells it from the others.
        if let ["one" | "ones", "on" | "in" | "at" | "by" | "with" | "to", of @ ..] = rest {
            let of = without_determiners(of);
            let of = of.strip_suffix(&["side"]).unwrap_or(of);
            let stems: Vec<String> = of.iter().map(|w| stem(w)).collect();
            if let Ok(found) = self.by_words(&stems, None, want, false)
                && found.entities.len() == 1
            {
                return Ok(found);
            }
        }
        let phrase = said.join(" ");
        if PRONOUNS.contains(&phrase.as_str()) || (rest.is_empty() && !said.is_empty()) {
            let mut entities: Vec<usize> =
                self.last.iter().copied().filter(|i| self.accepts(*i, want.domains)).collect();
            entities.dedup();
            // "Make it pink" in a room, before anything was spoken of: its lights.
            if entities.is_empty()
                && matches!(phrase.as_str(), "it" | "them")
                && want.domains == [Domain::Light]
                && let Some(here) = self.here
            {
                entities = self.of(want.domains).filter(|i| self.names.entities[*i].area == Some(here)).collect();
            }
            return if entities.is_empty() {
                Err(Unresolved::Unknown(phrase))
            } else {
                Ok(Target { entities, many: true, ..Target::default() })
            };
        }
        let stems: Vec<String> = rest.iter().map(|w| stem(w)).collect();
        let plural = rest.last().is_some_and(|w| stem(w) != *w && !w.starts_with(|c: char| c.is_ascii_digit()))
            && noun_at(&rest[rest.len() - 1..]).is_none_or(|(_, _, many)| many);
        // "the lights in the kitchen": the noun is the first word.
        let plural = plural || rest.first().is_some_and(|w| noun_at(&[*w]).is_some_and(|(_, _, many)| many));
        // "the tubes in the workshop"
        let plural = plural
            || rest
                .iter()
                .position(|w| matches!(*w, "in" | "on" | "at" | "of"))
                .is_some_and(|at| at > 0 && stem(rest[at - 1]) != rest[at - 1] && noun_at(&rest[at - 1..at]).is_none());
        many |= plural;
        let finish = |mut found: Target| {
            found.many |= many;
            found.all |= all;
            Ok(found)
        };
        let exact = if all { Err(Unresolved::Unknown(String::new())) } else { self.exact(rest, want) };
        if let Ok(found) = &exact
            && (!plural || self.literal(found, rest))
        {
            return self.narrowed(found.clone()).map_or_else(Err, finish);
        }
        // A number is no name but its own: "up by 2" is for no "Bedroom 2 Speaker".
        if let [number] = &stems[..]
            && is_numeral(number)
            && rest[0] != "one"
        {
            return exact.and_then(finish);
        }
        // The longest place named, wherever it stands; then none.
        let mut trouble = None;
        if noun_at(&stems).is_some_and(|(_, n, _)| n == stems.len() && n > 1) {
            match self.kind(&stems, None, want, plural) {
                Ok(found) => return finish(found),
                Err(t) => trouble = Some(t),
            }
        }
        for (place, head) in self.places_in(&stems) {
            match self.in_place(&head, &place, want, plural) {
                Ok(found) => return finish(found),
                Err(t @ (Unresolved::Nothing { .. } | Unresolved::Several { .. })) => trouble = trouble.or(Some(t)),
                Err(Unresolved::Unknown(_)) => {}
            }
        }
        if let Ok(found) = exact {
            return finish(found);
        }
        if let Ok(found) = self.kind(&stems, None, want, plural) {
            return finish(found);
        }
        if let Ok(found) = self.by_words(&stems, None, want, plural) {
            return finish(found);
        }
        if let Some(found) = self.in_part_of_a_place(&stems, want, many) {
            return found.and_then(finish);
        }
        Err(trouble.unwrap_or_else(|| self.explain(&stems, plural)))
    }

    /// Several things of one name: those here come first.
    fn narrowed(&self, mut found: Target) -> Result<Target, Unresolved> {
        if found.entities.len() > 1
            && let Some(here) = self.here
        {
            let near: Vec<usize> =
                found.entities.iter().copied().filter(|i| self.names.entities[*i].area == Some(here)).collect();
            if near.len() == 1 {
                found.entities = near;
            }
        }
        Ok(found)
    }

    fn literal(&self, found: &Target, said: &[&str]) -> bool {
        let said = said.join(" ");
        found
            .entities
            .iter()
            .any(|i| self.home.entities()[*i].names().any(|n| crate::spoken::words(n).join(" ") == said))
    }
}

fn without_determiners<'a, 'b>(said: &'b [&'a str]) -> &'b [&'a str] {
    let n = said.iter().take_while(|w| DETERMINERS.contains(w)).count();
    &said[n..]
}
