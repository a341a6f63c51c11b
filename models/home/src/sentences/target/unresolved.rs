//! Why a phrase means nothing that an intent can be done to, and what is known about it all the same.

use super::{PREPOSITIONS, Resolver};
use crate::sentences::nouns::noun_at;

/// Why a phrase means nothing that an intent can be done to.
#[derive(Debug, Clone, PartialEq)]
pub enum Unresolved {
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

impl Resolver<'_> {
    /// What is wrong with a phrase that nothing fits.
    pub(super) fn explain(&self, stems: &[String], plural: bool) -> Unresolved {
        let words: Vec<&str> = stems.iter().map(String::as_str).filter(|w| !PREPOSITIONS.contains(w)).collect();
        let phrase = words.join(" ");
        // A room that is in the home is not one that it lacks, whatever the intent can be done to there.
        let is_here = (0..stems.len())
            .any(|i| self.names.place_at(&stems[i..]).is_some() || !self.names.areas_with(&stems[i]).is_empty());
        if is_here {
            return Unresolved::Unknown(phrase);
        }
        if let Some((noun, n, _)) = noun_at(&words) {
            if n == words.len() {
                return Unresolved::Nothing { what: noun.word(true), place: None };
            }
            // "lights in the garage" in a home without one
            if let Some(room) = ROOMS.iter().find(|room| **room == words[n..].join(" ")) {
                return Unresolved::Nothing { what: noun.word(plural), place: Some(place_phrase(room)) };
            }
        }
        for n in [1, 2] {
            if words.len() > n
                && let Some(room) = ROOMS.iter().find(|room| **room == words[..n].join(" "))
                && let Some((noun, m, _)) = noun_at(&words[n..])
                && n + m == words.len()
            {
                return Unresolved::Nothing { what: noun.word(plural), place: Some(place_phrase(room)) };
            }
        }
        Unresolved::Unknown(phrase)
    }
}

fn place_phrase(room: &str) -> String {
    if matches!(room, "upstairs" | "downstairs") { room.to_owned() } else { format!("in the {room}") }
}
