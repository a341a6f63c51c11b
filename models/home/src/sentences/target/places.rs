//! Phrases with a place in them: "the lights in the kitchen", "upstairs", "here", "in the whole house".

use super::{PREPOSITIONS, Resolver, Target, Unresolved, Want};
use crate::domain::Domain;
use crate::sentences::numbered::is_numeral;
use crate::sentences::vocabulary::Place;

impl Resolver<'_> {
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

    /// Whether a phrase is a place and nothing else.
    pub fn place(&self, phrase: &str) -> bool {
        let stems: Vec<String> = phrase
            .split(' ')
            .filter(|w| !matches!(*w, "the" | "my" | "our"))
            .map(crate::sentences::vocabulary::stem)
            .collect();
        self.names.place_at(&stems).is_some_and(|(_, n)| n == stems.len())
    }

    /// Every way to take a place out of a phrase: the place and what is left.
    pub(super) fn places_in(&self, stems: &[String]) -> Vec<(Place, Vec<String>)> {
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
            } else if let Some(n) = house_at(&stems[i..]) {
                let head: Vec<String> = stems[..i].iter().chain(&stems[i + n..]).cloned().collect();
                let areas = (0..self.names.areas.len()).collect();
                out.push((Place { label: "house".to_owned(), areas, preposition: "in the" }, head, n));
            }
        }
        out.sort_by_key(|(_, _, n)| std::cmp::Reverse(*n));
        out.into_iter().map(|(place, head, _)| (place, head)).collect()
    }

    pub(super) fn in_place(
        &self,
        head: &[String],
        place: &Place,
        want: Want<'_>,
        plural: bool,
    ) -> Result<Target, Unresolved> {
        if head.is_empty() {
            let entities: Vec<usize> = self.of(want.place_means).filter(|i| self.is_in(*i, place)).collect();
            let is_of_lights = want.place_means.first() == Some(&Domain::Light);
            return if want.place_means.is_empty() || entities.is_empty() && !is_of_lights {
                Err(Unresolved::Unknown(place.label.clone()))
            } else if entities.is_empty() {
                let what = want.place_means[0].noun().to_owned();
                Err(Unresolved::Nothing { what, place: Some(place.phrase()) })
            } else {
                Ok(Target { entities, many: true, place: Some(place.clone()), bare_place: true, ..Target::default() })
            };
        }
        let kind = self.kind(head, Some(place), want, plural);
        match kind {
            Ok(found) => Ok(found),
            Err(trouble) => match self.by_words(head, Some(place), want, plural) {
                Ok(found) => Ok(found),
                Err(_) => Err(trouble),
            },
        }
    }

    /// A place by one word of its name: "the bedroom lights" where the room is the master bedroom.
    pub(super) fn in_part_of_a_place(
        &self,
        stems: &[String],
        want: Want<'_>,
        many: bool,
    ) -> Option<Result<Target, Unresolved>> {
        for (i, word) in stems.iter().enumerate() {
            let areas = self.names.areas_with(word);
            // "Up by 2" is in no room: its number stands behind a word of the room's.
            let is_alone = is_numeral(word) && (i == 0 || PREPOSITIONS.contains(&stems[i - 1].as_str()));
            if areas.is_empty() || is_alone {
                continue;
            }
            let mut head: Vec<String> = stems[..i].iter().chain(&stems[i + 1..]).cloned().collect();
            head.retain(|w| {
                let w = w.as_str();
                !PREPOSITIONS.contains(&w) && !matches!(w, "room" | "area" | "both" | "all" | "every" | "each")
            });
            let label = self.home.areas()[areas[0]].name.to_lowercase();
            let place = Place { label, areas: areas.to_vec(), preposition: "in the" };
            match self.in_place(&head, &place, want, false) {
                Ok(found) if areas.len() == 1 || many || found.entities.len() == 1 => return Some(Ok(found)),
                Ok(found) => {
                    let what = found.noun.map_or_else(|| "one".to_owned(), |n| n.word(false));
                    return Some(Err(Unresolved::Several { what, entities: found.entities }));
                }
                Err(t @ Unresolved::Nothing { .. }) if areas.len() == 1 => return Some(Err(t)),
                Err(_) => {}
            }
        }
        None
    }
}

/// "here", "in here", "this room", "in my area": how many words.
pub fn here_at<S: AsRef<str>>(words: &[S]) -> Option<usize> {
    match words.iter().map(S::as_ref).take(3).collect::<Vec<_>>().as_slice() {
        ["in" | "on" | "around", "this" | "the" | "my" | "our", "room" | "area" | "space", ..] => Some(3),
        ["in" | "over" | "around", "here", ..]
        | ["this", "room" | "area" | "space" | "place", ..]
        | ["my" | "our", "area" | "space" | "room"] => Some(2),
        ["here", ..] => Some(1),
        _ => None,
    }
}

/// "in the house", "everywhere", "all over the flat", "in every room": how many words.
pub fn house_at<S: AsRef<str>>(words: &[S]) -> Option<usize> {
    let words: Vec<&str> = words.iter().map(S::as_ref).take(7).collect();
    let mut n = 0;
    match words.as_slice() {
        ["everywhere", ..] => return Some(1),
        ["at", "home", ..] => return Some(2),
        ["all", "over" | "around", ..] => n = 2,
        ["in" | "around" | "throughout" | "of" | "across" | "on" | "at" | "inside", ..] => n = 1,
        _ => {}
    }
    let every = n;
    if matches!(words.get(n), Some(&("every" | "all" | "each"))) {
        n += 1;
        n += usize::from(matches!(words.get(n), Some(&("the" | "my" | "our"))));
        if matches!(words.get(n), Some(&("room" | "rooms" | "area" | "floor" | "areas" | "floors"))) {
            return Some(n + 1);
        }
        n = every;
    }
    let article = matches!(words.get(n), Some(&("the" | "my" | "our" | "this")));
    n += usize::from(article);
    let whole = matches!(words.get(n), Some(&("whole" | "entire")));
    n += usize::from(whole);
    let is_house = matches!(words.get(n), Some(&("house" | "home" | "apartment" | "flat" | "place" | "building")));
    if is_house && (article || whole) {
        return Some(n + 1);
    }
    // "All over" alone, and "house" before what is in it.
    match words.as_slice() {
        ["all", "over", ..] => Some(2),
        ["house" | "apartment", _, ..] => Some(1),
        _ => None,
    }
}
