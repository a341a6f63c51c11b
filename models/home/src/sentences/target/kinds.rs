//! Phrases with the word for a kind of thing, or with some words of a name.

use super::{PREPOSITIONS, Resolver, Target, Unresolved, Want};
use crate::domain::Domain;
use crate::sentences::nouns::{ANYTHING, Noun, SWITCHED, noun_at};
use crate::sentences::vocabulary::{Named, Place, stem};

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
    "hose",
    "extractor",
    "bolt",
    "faucet",
];

/// What players with a picture are called, and those without.
const PICTURE: &[&str] = &["tv", "television", "projector", "screen", "beamer"];
const SOUND: &[&str] = &[
    "radio",
    "speaker",
    "soundbar",
    "stereo",
    "hifi",
    "sonos",
    "echo",
    "homepod",
    "receiver",
    "amplifier",
    "turntable",
];

/// The mode of a thermostat that a word for it asks for.
fn mode_of(noun: &str) -> Option<&'static str> {
    match noun {
        "heating" | "heater" | "radiator" | "heat" => Some("heat"),
        "ac" | "air conditioning" | "air conditioner" | "aircon" => Some("cool"),
        _ => None,
    }
}

impl Resolver<'_> {
    /// Things by the word for their kind.
    pub(super) fn kind(
        &self,
        stems: &[String],
        place: Option<&Place>,
        want: Want<'_>,
        plural: bool,
    ) -> Result<Target, Unresolved> {
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
            return Err(Unresolved::Unknown(stems.join(" ")));
        };
        debug_assert_eq!(n, stems.len());
        let acceptable: Vec<usize> = self.of(want.domains).filter(inside).collect();
        let named = |entity: &Named| {
            let said: Vec<String> = noun.said.split(' ').map(stem).collect();
            entity.names.iter().any(|name| name.windows(said.len()).any(|w| w == &said[..]))
        };
        let entity = |i: &usize| &self.names.entities[*i];
        // A switch is a sprinkler only where it is called so.
        let of_kind = |i: &usize| {
            noun.means(entity(i).domain, entity(i).class.as_deref())
                && !(entity(i).domain == Domain::Switch && matches!(noun.said, "sprinkler" | "irrigation"))
        };
        let of_kind_at_all =
            |i: &usize| !(entity(i).domain == Domain::Switch && matches!(noun.said, "sprinkler" | "irrigation"));
        let specific = SPECIFIC.contains(&noun.said);
        let mut found: Vec<usize> = Vec::new();
        if specific {
            found = acceptable.iter().copied().filter(|i| named(entity(i))).collect();
            // "The TV" is no light behind it.
            if found.iter().any(|i| noun.domains.contains(&entity(i).domain)) {
                found.retain(|i| noun.domains.contains(&entity(i).domain));
            }
            // "The lamps" with one that is called so are the lights.
            if plural && found.len() == 1 && matches!(noun.domains, [Domain::Light] | [Domain::MediaPlayer]) {
                found.clear();
            }
        }
        if found.is_empty() {
            found = acceptable.iter().copied().filter(|i| of_kind(i)).collect();
            // A door may be called so and have another class, and a garden light may be a switch.
            let is_every_player = plural && noun.domains == [Domain::MediaPlayer];
            if (!noun.classes.is_empty() || found.is_empty()) && !is_every_player {
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
                .filter(|i| noun.domains.contains(&entity(i).domain) && entity(i).class.is_none() && of_kind_at_all(i))
                .collect();
        }
        // "The TV" is no radio, and rather the one whose id says so.
        if found.len() > 1 && noun.domains == [Domain::MediaPlayer] {
            let is_called = |i: &usize, words: &[&str]| {
                let class = entity(i).class.as_deref();
                let by_class = match words.first() {
                    Some(&"tv") => class == Some("tv"),
                    Some(_) => matches!(class, Some("speaker" | "receiver")),
                    None => false,
                };
                let id = &self.home.entities()[*i].id;
                let in_id = |word: &&str| id.split(['.', '_']).any(|part| part == *word);
                by_class
                    || words.iter().any(|word| entity(i).names.iter().flatten().any(|own| own == word) || in_id(word))
            };
            let (own, other) = match noun.said {
                "tv" | "television" | "screen" | "movie" | "film" | "video" | "show" => (PICTURE, SOUND),
                "speaker" | "soundbar" | "radio" | "stereo" => (&[][..], PICTURE),
                _ => (&[][..], &[][..]),
            };
            if found.iter().any(|i| is_called(i, own)) {
                found.retain(|i| is_called(i, own));
            } else if found.iter().any(|i| !is_called(i, other)) {
                found.retain(|i| !is_called(i, other));
            }
        }
        // "The heating" is what can heat, "the air conditioning" what can cool.
        if let Some(mode) = mode_of(noun.said) {
            let can = |i: &usize| {
                let modes = self.home.entities()[*i].options("hvac_modes");
                modes.is_empty() || modes.iter().any(|own| *own == mode || matches!(*own, "heat_cool" | "auto"))
            };
            if found.iter().any(can) {
                found.retain(can);
            }
        }
        // "The gate" is not the front door, where a lock is called so.
        let locks: Vec<usize> =
            found.iter().copied().filter(|i| entity(i).domain == Domain::Lock && named(entity(i))).collect();
        if noun.said == "gate" && !locks.is_empty() {
            found.retain(|i| entity(i).domain != Domain::Lock || locks.contains(i));
        }
        // Of a door's cover, lock and sensor, the one that the intent is likeliest for.
        if let Some(first) = want.domains.iter().find(|d| found.iter().any(|i| entity(i).domain == **d))
            && !matches!(first, Domain::Light | Domain::Switch)
            && noun.domains.len() > 1
        {
            found.retain(|i| entity(i).domain == *first);
        }
        let is_there = |i: usize| inside(&i) && (of_kind(&i) || named(entity(&i)));
        if found.is_empty() && (0..self.names.entities.len()).any(is_there) {
            // There is such a thing, and the intent is not for it.
            return Err(Unresolved::Unknown(stems.join(" ")));
        }
        if found.is_empty() {
            let what = noun.word(true);
            return Err(Unresolved::Nothing { what, place: place.map(Place::phrase) });
        }
        Ok(target(found, Some(noun), false))
    }

    /// Things that the words explain: each word is part of a name, of the area's name, or the word for the kind.
    pub(super) fn by_words(
        &self,
        stems: &[String],
        place: Option<&Place>,
        want: Want<'_>,
        plural: bool,
    ) -> Result<Target, Unresolved> {
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
            return Err(Unresolved::Unknown(stems.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" ")));
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
        let is_kind = |word: &str| entity.kinds.binary_search(&word).is_ok();
        // A fan of the device "Hall Light" is no light.
        let is_of_other_kind =
            |word: &str| noun_at(&[word]).is_some_and(|(noun, ..)| !noun.domains.contains(&entity.domain));
        let mut least = None;
        for name in &entity.names {
            let mut cost = 0;
            let mut named = 0;
            let explained = stems.iter().all(|word| {
                if name.contains(word) {
                    named += 1;
                    true
                } else if entity.device.contains(word) && !is_of_other_kind(word) {
                    named += 1;
                    cost += 4;
                    true
                } else if area.contains(word) {
                    cost += 1;
                    true
                } else if entity.model.contains(word) && !is_of_other_kind(word) && !is_kind(word) {
                    named += 1;
                    cost += 6;
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
}
