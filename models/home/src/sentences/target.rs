//! Which entities a phrase means: "the kitchen lights", "the blinds in the hall and the study", "everything upstairs except the
//! fan", "it". A phrase means something only if every word of it is explained.

use super::nouns::{ANYTHING, Noun, SWITCHED, noun_at};
use super::vocabulary::{Named, Place, Vocabulary, stem};
use crate::domain::Domain;
use crate::model::Home;

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

/// Why a phrase means nothing that an intent can be done to.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// Words that no name and no noun explains.
    Unknown(String),
    /// The words are clear, and there is no such thing.
    Nothing {
        /// "light", "blinds".
        what: String,
        /// "in the garage".
        place: Option<String>,
    },
    /// One is meant and several fit.
    Several {
        /// "light"
        what: String,
        /// Those that fit.
        entities: Vec<usize>,
    },
}

/// Rooms that people have: one of them that is not in a home is known not to be there.
const ROOMS: &[&str] = &[
    "kitchen",
    "bedroom",
    "bathroom",
    "living room",
    "dining room",
    "garage",
    "attic",
    "basement",
    "cellar",
    "hall",
    "hallway",
    "office",
    "study",
    "garden",
    "balcony",
    "patio",
    "terrace",
    "laundry room",
    "laundry",
    "utility room",
    "guest room",
    "nursery",
    "playroom",
    "den",
    "library",
    "gym",
    "sauna",
    "pantry",
    "closet",
    "toilet",
    "guest bathroom",
    "corridor",
    "porch",
    "conservatory",
    "workshop",
    "shed",
    "backyard",
    "yard",
    "upstairs",
    "downstairs",
    "loft",
    "lounge",
    "foyer",
    "staircase",
];

const DETERMINERS: &[&str] = &[
    "the", "my", "our", "your", "a", "an", "some", "any", "this", "these", "those", "that", "of", "his", "her",
    "their", "single", "whole", "entire", "please", "other",
];
const PREPOSITIONS: &[&str] = &[
    "in", "on", "at", "of", "from", "inside", "within", "for", "by", "to", "near", "around", "over", "the", "my",
    "our", "s",
];
const ALL: &[&str] = &["all", "every", "each", "both"];
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

/// Words for a kind of thing that mean a named part of it first: a "lamp" is a light called so, where there is one.
const SPECIFIC: &[&str] = &[
    "lamp",
    "bulb",
    "plug",
    "outlet",
    "socket",
    "radio",
    "radiator",
    "heater",
    "ac",
    "air conditioning",
    "air conditioner",
    "tv",
    "speaker",
    "roomba",
    "sprinkler",
    "tap",
    "routine",
    "boiler",
    "stereo",
    "soundbar",
    "mode",
    "irrigation",
    "water",
    "task",
    "ventilation",
    "todo",
    "siren",
    "alarm",
    "screen",
    "to do",
    "gas",
    "deadbolt",
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
}

impl Resolver<'_> {
    /// What a phrase means.
    ///
    /// # Errors
    /// [`Trouble`]
    pub fn resolve(&self, phrase: &str, want: Want<'_>) -> Result<Target, Trouble> {
        let first = self.filtered(phrase, want);
        match first {
            Err(Trouble::Unknown(_) | Trouble::Nothing { .. }) if !want.or_else.is_empty() => {
                let other = Want { domains: want.or_else, or_else: &[], place_means: &[], ..want };
                self.filtered(phrase, other).or(first)
            }
            found => found,
        }
    }

    /// Handles "… that are on".
    fn filtered(&self, phrase: &str, want: Want<'_>) -> Result<Target, Trouble> {
        let said: Vec<&str> = phrase.split(' ').filter(|w| !w.is_empty()).collect();
        if let Some(at) = said.iter().position(|w| matches!(*w, "that" | "which"))
            && at > 0
            && let Some(state) =
                said.last().copied().filter(|w| matches!(*w, "on" | "off" | "open" | "closed" | "running" | "playing"))
            && said[at + 1..said.len() - 1]
                .iter()
                .all(|w| matches!(*w, "is" | "are" | "still" | "currently" | "left" | "was" | "were" | "turned"))
        {
            let mut found = self.excepted(&said[..at], want)?;
            found.entities.retain(|i| super::state::is(&self.home.entities()[*i], state) == Some(true));
            found.many = true;
            return Ok(found);
        }
        self.excepted(&said, want)
    }

    /// Handles "… except …".
    fn excepted(&self, said: &[&str], want: Want<'_>) -> Result<Target, Trouble> {
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
            return self.listed(said, want);
        };
        let mut kept = self.listed(&said[..at], want)?;
        let left_out = &said[at + n..];
        let mut without = self.listed(left_out, want);
        if let (Err(_), Some(noun)) = (&without, kept.noun) {
            let mut words = left_out.to_vec();
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

    /// Handles "a, b and c", where the parts share a noun or a place.
    fn listed(&self, said: &[&str], want: Want<'_>) -> Result<Target, Trouble> {
        let parts: Vec<&[&str]> =
            said.split(|w| matches!(*w, "and" | "," | "or" | "plus" | "nor")).filter(|p| !p.is_empty()).collect();
        if parts.len() < 2 {
            return self.one(said, want);
        }
        // A name may contain "and".
        if let Ok(whole) = self.exact(said, want) {
            return Ok(whole);
        }
        let alone: Vec<Result<Target, Trouble>> = parts.iter().map(|part| self.one(part, want)).collect();
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
    pub fn settled(&self, mut found: Target, want: Want<'_>) -> Result<Target, Trouble> {
        if found.entities.len() > 1
            && found.place.is_none()
            && !found.all
            && found.noun.is_some()
            && (!found.many || want.group)
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
        Err(Trouble::Several { what, entities: found.entities })
    }

    fn accepts(&self, i: usize, domains: &[Domain]) -> bool {
        domains.contains(&self.names.entities[i].domain)
    }

    fn of(&self, domains: &[Domain]) -> impl Iterator<Item = usize> {
        let domains = domains.to_vec();
        (0..self.names.entities.len()).filter(move |i| self.accepts(*i, &domains))
    }

    /// Whether an entity is in one of a place's areas: by its own, or by its name where it has none.
    pub fn is_in(&self, i: usize, place: &Place) -> bool {
        let entity = &self.names.entities[i];
        match entity.area {
            Some(area) => place.areas.contains(&area),
            None => place.areas.iter().any(|a| {
                self.names.areas[*a]
                    .iter()
                    .any(|area| entity.names.iter().any(|n| n.windows(area.len()).any(|w| w == &area[..])))
            }),
        }
    }

    /// A whole name.
    fn exact(&self, said: &[&str], want: Want<'_>) -> Result<Target, Trouble> {
        let said = without_determiners(said);
        let stems: Vec<String> = said.iter().map(|w| stem(w)).collect();
        let all: Vec<usize> =
            self.names.named(&stems).iter().copied().filter(|i| self.accepts(*i, want.domains)).collect();
        let Some(first) = want.domains.iter().find(|d| all.iter().any(|i| self.names.entities[*i].domain == **d))
        else {
            return Err(Trouble::Unknown(said.join(" ")));
        };
        let entities: Vec<usize> = all.into_iter().filter(|i| self.names.entities[*i].domain == *first).collect();
        Ok(Target { entities, ..Target::default() })
    }

    /// A phrase without "and" and "except".
    fn one(&self, said: &[&str], want: Want<'_>) -> Result<Target, Trouble> {
        let mut rest = said;
        let (mut all, mut many) = (false, false);
        while let Some(first) = rest.first() {
            if ALL.contains(first) {
                (all, many) = (true, true);
            } else if !DETERMINERS.contains(first) {
                let counted = matches!(*first, "two" | "three" | "four" | "2" | "3" | "4") && rest.len() > 1;
                if !(counted && rest.last().is_some_and(|w| stem(w) != *w)) {
                    break;
                }
                many = true;
            }
            rest = &rest[1..];
        }
        let phrase = said.join(" ");
        if PRONOUNS.contains(&phrase.as_str()) || (rest.is_empty() && !said.is_empty()) {
            let mut entities: Vec<usize> =
                self.last.iter().copied().filter(|i| self.accepts(*i, want.domains)).collect();
            entities.dedup();
            return if entities.is_empty() {
                Err(Trouble::Unknown(phrase))
            } else {
                Ok(Target { entities, many: true, ..Target::default() })
            };
        }
        let stems: Vec<String> = rest.iter().map(|w| stem(w)).collect();
        let plural = rest.last().is_some_and(|w| stem(w) != *w && !w.starts_with(|c: char| c.is_ascii_digit()))
            && noun_at(&rest[rest.len() - 1..]).is_none_or(|(_, _, many)| many);
        // "the lights in the kitchen": the noun is the first word.
        let plural = plural || rest.first().is_some_and(|w| noun_at(&[*w]).is_some_and(|(_, _, many)| many));
        many |= plural;
        let finish = |mut found: Target| {
            found.many |= many;
            found.all |= all;
            Ok(found)
        };
        let exact = if all { Err(Trouble::Unknown(String::new())) } else { self.exact(rest, want) };
        if let Ok(found) = &exact
            && (!plural || self.literal(found, rest))
        {
            return self.narrowed(found.clone()).map_or_else(Err, finish);
        }
        // The longest place named, wherever it stands; then none.
        let mut trouble = None;
        if noun_at(&stems).is_some_and(|(_, n, _)| n == stems.len() && n > 1) {
            match self.kind(&stems, None, want) {
                Ok(found) => return finish(found),
                Err(t) => trouble = Some(t),
            }
        }
        for (place, head) in self.places_in(&stems) {
            match self.in_place(&head, &place, want) {
                Ok(found) => return finish(found),
                Err(t @ (Trouble::Nothing { .. } | Trouble::Several { .. })) => trouble = trouble.or(Some(t)),
                Err(Trouble::Unknown(_)) => {}
            }
        }
        if let Ok(found) = exact {
            return finish(found);
        }
        if let Ok(found) = self.kind(&stems, None, want) {
            return finish(found);
        }
        if let Ok(found) = self.by_words(&stems, None, want, plural) {
            return finish(found);
        }
        if let Some(found) = self.in_part_of_a_place(&stems, want, many) {
            return found.and_then(finish);
        }
        Err(trouble.unwrap_or_else(|| self.trouble(&stems, plural)))
    }

    /// Several things of one name: those here come first.
    fn narrowed(&self, mut found: Target) -> Result<Target, Trouble> {
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

    /// Every way to take a place out of a phrase: the place and what is left.
    fn places_in(&self, stems: &[String]) -> Vec<(Place, Vec<String>)> {
        let mut out: Vec<(Place, Vec<String>, usize)> = Vec::new();
        for i in 0..stems.len() {
            if let Some((place, n)) = self.names.place_at(&stems[i..]) {
                let (mut from, mut to) = (i, i + n);
                while from > 0 && PREPOSITIONS.contains(&stems[from - 1].as_str()) {
                    from -= 1;
                }
                if stems.get(to).is_some_and(|w| matches!(w.as_str(), "area" | "floor" | "s" | "room")) && to - i == n {
                    to += 1;
                }
                let mut head: Vec<String> = stems[..from].to_vec();
                head.extend_from_slice(&stems[to..]);
                head.retain(|w| !matches!(w.as_str(), "the" | "my" | "our"));
                out.push((place.clone(), head, n));
            } else if let Some((here, n)) = self.here.and_then(|h| here_at(&stems[i..]).map(|n| (h, n))) {
                let head: Vec<String> = stems[..i].iter().chain(&stems[i + n..]).cloned().collect();
                let label = self.home.areas()[here].name.to_lowercase();
                out.push((Place { label, areas: vec![here], preposition: "in the" }, head, n));
            } else if let Some(n) = whole_home_at(&stems[i..]) {
                let head: Vec<String> = stems[..i].iter().chain(&stems[i + n..]).cloned().collect();
                let areas = (0..self.names.areas.len()).collect();
                out.push((Place { label: "house".to_owned(), areas, preposition: "in the" }, head, n));
            }
        }
        out.sort_by_key(|(_, _, n)| std::cmp::Reverse(*n));
        out.into_iter().map(|(place, head, _)| (place, head)).collect()
    }

    fn in_place(&self, head: &[String], place: &Place, want: Want<'_>) -> Result<Target, Trouble> {
        if head.is_empty() {
            let entities: Vec<usize> = self.of(want.place_means).filter(|i| self.is_in(*i, place)).collect();
            return if want.place_means.is_empty() {
                Err(Trouble::Unknown(place.label.clone()))
            } else if entities.is_empty() {
                let what = want.place_means[0].noun().to_owned();
                Err(Trouble::Nothing { what, place: Some(place.phrase()) })
            } else {
                Ok(Target { entities, many: true, place: Some(place.clone()), bare_place: true, ..Target::default() })
            };
        }
        let kind = self.kind(head, Some(place), want);
        match kind {
            Ok(found) => Ok(found),
            Err(trouble) => match self.by_words(head, Some(place), want, false) {
                Ok(found) => Ok(found),
                Err(_) => Err(trouble),
            },
        }
    }

    /// Things by the word for their kind.
    fn kind(&self, stems: &[String], place: Option<&Place>, want: Want<'_>) -> Result<Target, Trouble> {
        let stems: Vec<&str> = stems.iter().map(String::as_str).filter(|w| !PREPOSITIONS.contains(w)).collect();
        let inside = |i: &usize| place.is_none_or(|p| self.is_in(*i, p));
        let target = |entities: Vec<usize>, noun: Option<Noun>, all: bool| Target {
            entities,
            many: all,
            all,
            noun,
            place: place.cloned(),
            bare_place: false,
        };
        if stems.len() == 1 && ANYTHING.contains(&stems[0]) {
            let all = matches!(stems[0], "everything" | "anything" | "stuff");
            let domains: Vec<Domain> = want.domains.iter().copied().filter(|d| SWITCHED.contains(d)).collect();
            let domains = if domains.is_empty() { want.domains.to_vec() } else { domains };
            let entities: Vec<usize> = self.of(&domains).filter(inside).collect();
            return Ok(target(entities, None, all));
        }
        let Some((noun, n, _)) = noun_at(&stems).filter(|(_, n, _)| *n == stems.len()) else {
            return Err(Trouble::Unknown(stems.join(" ")));
        };
        debug_assert_eq!(n, stems.len());
        let acceptable: Vec<usize> = self.of(want.domains).filter(inside).collect();
        let named = |entity: &Named| {
            let said: Vec<String> = noun.said.split(' ').map(stem).collect();
            entity.names.iter().any(|name| name.windows(said.len()).any(|w| w == &said[..]))
        };
        let entity = |i: &usize| &self.names.entities[*i];
        let of_kind = |i: &usize| noun.means(entity(i).domain, entity(i).class.as_deref());
        let specific = SPECIFIC.contains(&noun.said);
        let mut found: Vec<usize> = Vec::new();
        if specific {
            found = acceptable.iter().copied().filter(|i| named(entity(i))).collect();
        }
        if found.is_empty() {
            found = acceptable.iter().copied().filter(|i| of_kind(i)).collect();
            // A door may be called so and have another class, and a garden light may be a switch.
            if !noun.classes.is_empty() || found.is_empty() {
                let none = found.is_empty();
                let also = |i: &usize| named(entity(i)) && (none || noun.domains.contains(&entity(i).domain));
                found.extend(acceptable.iter().copied().filter(also));
                found.sort_unstable();
                found.dedup();
            }
        }
        if found.is_empty() {
            found = acceptable
                .iter()
                .copied()
                .filter(|i| noun.domains.contains(&entity(i).domain) && entity(i).class.is_none())
                .collect();
        }
        // Of a door's cover, lock and sensor, the one that the intent is likeliest for.
        if let Some(first) = want.domains.iter().find(|d| found.iter().any(|i| entity(i).domain == **d))
            && !matches!(first, Domain::Light | Domain::Switch)
            && noun.domains.len() > 1
        {
            found.retain(|i| entity(i).domain == *first);
        }
        if found.is_empty() {
            let what = noun.word(true);
            return Err(Trouble::Nothing { what, place: place.map(Place::phrase) });
        }
        Ok(target(found, Some(noun), false))
    }

    /// Things that the words explain: each word is part of a name, of the area's name, or the word for the kind.
    fn by_words(
        &self,
        stems: &[String],
        place: Option<&Place>,
        want: Want<'_>,
        plural: bool,
    ) -> Result<Target, Trouble> {
        let stems: Vec<&String> = stems.iter().filter(|w| !PREPOSITIONS.contains(&w.as_str())).collect();
        let mut best: Vec<(usize, usize)> = Vec::new();
        for i in self.of(want.domains) {
            if place.is_some_and(|p| !self.is_in(i, p)) {
                continue;
            }
            if let Some(cost) = self.cost(&stems, i) {
                best.push((cost, i));
            }
        }
        let Some(least) = best.iter().map(|(cost, _)| *cost).min() else {
            return Err(Trouble::Unknown(stems.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" ")));
        };
        let mut entities: Vec<usize> =
            best.iter().filter(|(cost, _)| plural || *cost == least).map(|(_, i)| *i).collect();
        // One name, several domains: the first wanted.
        if entities.len() > 1
            && let Some(first) =
                want.domains.iter().find(|d| entities.iter().any(|i| self.names.entities[*i].domain == **d))
            && !plural
        {
            let names = |i: usize| &self.names.entities[i].names;
            let one_name = entities.iter().all(|i| names(*i) == names(entities[0]));
            let one_device = entities.iter().all(|i| {
                self.home.entities()[*i].device.is_some()
                    && self.home.entities()[*i].device == self.home.entities()[entities[0]].device
            });
            if one_name || one_device {
                entities.retain(|i| self.names.entities[*i].domain == *first);
            }
        }
        let found = Target { entities, place: place.cloned(), many: plural, ..Target::default() };
        self.narrowed(found)
    }

    /// How far a phrase is from an entity's name; `None` where a word of it is not explained.
    fn cost(&self, stems: &[&String], i: usize) -> Option<usize> {
        let entity = &self.names.entities[i];
        let area: Vec<&String> =
            entity.area.map(|a| self.names.areas[a].iter().flatten().collect()).unwrap_or_default();
        let is_kind = |word: &str| {
            super::nouns::NOUNS.iter().any(|n| {
                n.said.split(' ').any(|w| w == word)
                    && (n.means(entity.domain, entity.class.as_deref())
                        || (entity.class.is_none() && n.domains.contains(&entity.domain)))
            })
        };
        let mut least = None;
        for name in &entity.names {
            let mut cost = 0;
            let mut named = 0;
            let explained = stems.iter().all(|word| {
                if name.contains(word) {
                    named += 1;
                    true
                } else if entity.device.contains(word) {
                    named += 1;
                    cost += 4;
                    true
                } else if area.contains(word) {
                    cost += 1;
                    true
                } else if is_kind(word) {
                    cost += 2;
                    true
                } else {
                    false
                }
            });
            let only_kind = stems.iter().all(|word| is_kind(word));
            if !explained || named == 0 || (only_kind && name.len() > stems.len() && stems.len() == 1) {
                continue;
            }
            for word in name.iter().filter(|w| !stems.contains(w)) {
                cost += if area.contains(&word) || is_kind(word) { 1 } else { 10 };
            }
            least = Some(least.map_or(cost, |l: usize| l.min(cost)));
        }
        least
    }

    /// A place by one word of its name: "the bedroom lights" where the room is the master bedroom.
    fn in_part_of_a_place(&self, stems: &[String], want: Want<'_>, many: bool) -> Option<Result<Target, Trouble>> {
        for (i, word) in stems.iter().enumerate() {
            let areas = self.names.areas_with(word);
            if areas.is_empty() {
                continue;
            }
            let mut head: Vec<String> = stems[..i].iter().chain(&stems[i + 1..]).cloned().collect();
            head.retain(|w| !PREPOSITIONS.contains(&w.as_str()) && w != "room" && w != "area");
            let label = self.home.areas()[areas[0]].name.to_lowercase();
            let place = Place { label, areas: areas.to_vec(), preposition: "in the" };
            match self.in_place(&head, &place, want) {
                Ok(found) if areas.len() == 1 || many || found.entities.len() == 1 => return Some(Ok(found)),
                Ok(found) => {
                    let what = found.noun.map_or_else(|| "one".to_owned(), |n| n.word(false));
                    return Some(Err(Trouble::Several { what, entities: found.entities }));
                }
                Err(t @ Trouble::Nothing { .. }) if areas.len() == 1 => return Some(Err(t)),
                Err(_) => {}
            }
        }
        None
    }

    /// What is wrong with a phrase that nothing fits.
    fn trouble(&self, stems: &[String], plural: bool) -> Trouble {
        let words: Vec<&str> = stems.iter().map(String::as_str).filter(|w| !PREPOSITIONS.contains(w)).collect();
        let phrase = words.join(" ");
        if let Some((noun, n, _)) = noun_at(&words) {
            if n == words.len() {
                return Trouble::Nothing { what: noun.word(true), place: None };
            }
            // "lights in the garage" in a home without one
            if let Some(room) = ROOMS.iter().find(|room| **room == words[n..].join(" ")) {
                return Trouble::Nothing { what: noun.word(plural), place: Some(place_phrase(room)) };
            }
        }
        for n in [1, 2] {
            if words.len() > n
                && let Some(room) = ROOMS.iter().find(|room| **room == words[..n].join(" "))
                && let Some((noun, m, _)) = noun_at(&words[n..])
                && n + m == words.len()
            {
                return Trouble::Nothing { what: noun.word(plural), place: Some(place_phrase(room)) };
            }
        }
        Trouble::Unknown(phrase)
    }
}

fn place_phrase(room: &str) -> String {
    if matches!(room, "upstairs" | "downstairs") { room.to_owned() } else { format!("in the {room}") }
}

/// "here", "in here", "this room".
fn here_at(stems: &[String]) -> Option<usize> {
    match stems.iter().map(String::as_str).take(3).collect::<Vec<_>>().as_slice() {
        ["in", "here", ..] | ["this", "room", ..] | ["over", "here", ..] => Some(2),
        ["in", "this", "room"] => Some(3),
        ["here", ..] => Some(1),
        _ => None,
    }
}

/// "in the house", "everywhere", "at home".
fn whole_home_at(stems: &[String]) -> Option<usize> {
    match stems.iter().map(String::as_str).take(5).collect::<Vec<_>>().as_slice() {
        [
            "in" | "around" | "throughout" | "of" | "across",
            "the" | "my" | "our",
            "whole" | "entire",
            "house" | "home" | "apartment" | "flat",
            ..,
        ] => Some(4),
        [
            "in" | "around" | "throughout" | "of" | "across",
            "the" | "my" | "our",
            "house" | "home" | "apartment" | "flat",
            ..,
        ] => Some(3),
        ["at", "home", ..] | ["all", "over", ..] => Some(2),
        ["in", "every" | "all", "room", ..] => Some(3),
        ["in", "all", "the", "room", ..] => Some(4),
        ["everywhere", ..] => Some(1),
        _ => None,
    }
}

fn without_determiners<'a, 'b>(said: &'b [&'a str]) -> &'b [&'a str] {
    let n = said.iter().take_while(|w| DETERMINERS.contains(w)).count();
    &said[n..]
}
