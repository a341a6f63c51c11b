//! The things of a home that the words of a request speak for, by name, by part of a name, by sound, or by what they are and where.

use std::collections::{BTreeSet, HashMap};

use super::super::nouns::{Noun, noun_at};
use super::super::vocabulary::{Place, Vocabulary, stem};
use super::fillers::is_filler;
use crate::domain::Domain;
use crate::spoken::near;
use crate::spoken::ordinary::is_ordinary;

/// How a thing was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// By what it is: "the lamp".
    Kind,
    /// By what it is and where: "the lamp in the hall".
    KindAndPlace,
    /// By a part of its name that no other thing has.
    Part,
    /// By its whole name.
    Whole,
}

/// Things that the same words speak for.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    /// Indexes of the home's entities.
    pub(super) entities: Vec<usize>,
    /// Positions of the words.
    pub(super) words: BTreeSet<usize>,
    pub(super) how: How,
    /// Whether a word was taken for one that only sounds or is spelt like it.
    pub(super) is_guess: bool,
    /// Whether several are meant.
    pub(super) many: bool,
    /// What and where, as it was said, of a thing that was not named: "lights in the hall".
    pub(super) said: Option<String>,
}

/// Words that are in names and say little of which is meant.
fn is_plain(stem: &str) -> bool {
    noun_at(&[stem]).is_some()
        || matches!(
            stem,
            "the"
                | "of"
                | "in"
                | "on"
                | "and"
                | "my"
                | "room"
                | "area"
                | "floor"
                | "main"
                | "mode"
                | "to"
                | "a"
                | "for"
        )
}

/// Whether a word may stand for one of a name, and whether that is a guess.
fn stands_for(said: &str, token: &str) -> Option<bool> {
    let is_possessive = said.strip_suffix('s') == Some(token) || token.strip_suffix('s') == Some(said);
    if said == token || is_possessive {
        return Some(false);
    }
    // Short words have too many neighbours, and an ordinary word is not misspelt: a "store" is no "stove".
    (token.len() >= 6
        && said.as_bytes().first() == token.as_bytes().first()
        && !is_filler(said)
        && !is_ordinary(said)
        && near::distance(said, token).is_some())
    .then_some(true)
}

/// Two to four words in a row, written together.
fn windows(words: &[&str]) -> Vec<(std::ops::Range<usize>, String)> {
    let of =
        |n: usize| (0..(words.len() + 1).saturating_sub(n)).map(move |at| (at..at + n, words[at..at + n].concat()));
    (2..=4).flat_map(of).collect()
}

/// Words that together sound or are spelt like a whole name: "koh tat sue" for "kotatsu".
fn sounds_like(windows: &[(std::ops::Range<usize>, String)], name: &[String]) -> Option<std::ops::Range<usize>> {
    let known: String = name.concat();
    if known.len() < 6 || name.iter().all(|token| is_plain(token)) {
        return None;
    }
    let near = |said: &String| {
        said.len().abs_diff(known.len()) <= 3
            && said.as_bytes()[0] == known.as_bytes()[0]
            && near::sounds_alike(said, &known)
    };
    windows.iter().find(|(_, said)| !said.is_empty() && near(said)).map(|(at, _)| at.clone())
}

/// All mentions that the words allow, those that more words speak for first.
pub(super) fn mentions(words: &[&str], names: &Vocabulary) -> Vec<Mention> {
    let stems: Vec<String> = words.iter().map(|word| stem(word)).collect();
    let mut nouns: Vec<(usize, usize, Noun, bool)> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match noun_at(&words[at..]) {
            Some((noun, n, many)) => {
                nouns.push((at, n, noun, many));
                at += n;
            }
            None => at += 1,
        }
    }
    let says_all = words.iter().any(|w| matches!(*w, "all" | "every" | "both" | "each" | "pair" | "everything"));
    let windows = windows(words);
    let said_places: Vec<Option<(&Place, usize)>> = (0..stems.len()).map(|at| names.place_at(&stems[at..])).collect();
    // Where each word of a name may stand: names share words.
    let mut places: HashMap<&str, Vec<(usize, bool)>> = HashMap::new();
    let mut found: Vec<(f64, Mention)> = Vec::new();
    for (index, entity) in names.entities.iter().enumerate() {
        if entity.domain == Domain::Other {
            continue;
        }
        let mut place: BTreeSet<usize> = BTreeSet::new();
        let mut place_said: Option<String> = None;
        for at in 0..stems.len() {
            if let Some((found, n)) = said_places[at]
                && entity.area.is_some_and(|area| found.areas.contains(&area))
            {
                place.extend(at..at + n);
                place_said.get_or_insert_with(|| found.phrase());
            } else if entity.area.is_some_and(|area| names.areas_with(&stems[at]).contains(&area)) {
                place.insert(at);
            }
        }
        let mut kind: BTreeSet<usize> = BTreeSet::new();
        let mut many = says_all;
        let mut kind_said: Option<Noun> = None;
        for (at, n, noun, plural) in &nouns {
            let means = noun.means(entity.domain, entity.class.as_deref())
                || entity.class.is_none() && noun.domains.contains(&entity.domain);
            if means {
                kind.extend(*at..at + n);
                kind_said = Some(*noun);
                many |= plural;
            }
        }
        let mut best: Option<(f64, BTreeSet<usize>, How, bool)> = None;
        for name in &entity.names {
            let (mut weight, mut got, mut special) = (0.0, 0.0, 0);
            let (mut at_words, mut is_guess) = (BTreeSet::new(), false);
            for token in name {
                let worth = if is_plain(token) { 0.4 } else { 1.0 };
                weight += worth;
                let hits = places.entry(token.as_str()).or_insert_with(|| {
                    (0..stems.len()).filter_map(|at| Some((at, stands_for(&stems[at], token)?))).collect()
                });
                let hit = hits.iter().filter(|(at, _)| !at_words.contains(at)).min_by_key(|(_, guess)| *guess);
                if let Some((at, guess)) = hit {
                    got += worth;
                    at_words.insert(*at);
                    is_guess |= guess;
                    special += usize::from(!is_plain(token));
                }
            }
            if let Some(window) = sounds_like(&windows, name).filter(|_| got / weight <= 0.99) {
                (got, is_guess, at_words) = (weight, true, window.collect());
            }
            if got == 0.0 {
                continue;
            }
            let how = match got / weight {
                share if share > 0.99 => How::Whole,
                share if special > 0 && share > 0.3 => How::Part,
                _ => continue,
            };
            // The words of an area in a name name the place, too.
            if how == How::Part && at_words.iter().all(|at| place.contains(at) || kind.contains(at)) && kind.is_empty()
            {
                continue;
            }
            if best.as_ref().is_none_or(|(other, ..)| got > *other) {
                best = Some((got, at_words, how, is_guess));
            }
        }
        let (mut score, mut at_words, how, is_guess) = match best {
            Some(best) => best,
            None if !kind.is_empty() && !place.is_empty() => (0.5, kind.clone(), How::KindAndPlace, false),
            None if !kind.is_empty() => (0.3, kind.clone(), How::Kind, false),
            None => continue,
        };
        at_words.extend(&kind);
        at_words.extend(&place);
        score += 0.5 * at_words.len() as f64 + if how == How::Whole { 0.5 } else { 0.0 };
        let said = match (kind_said, place_said) {
            (Some(kind), Some(place)) if how == How::KindAndPlace => Some(match many {
                true => format!("all the {} {place}", kind.word(true)),
                false => format!("the {} {place}", kind.said),
            }),
            (Some(kind), None) if how == How::Kind && says_all && !words.contains(&"both") => {
                Some(format!("all the {}", kind.word(true)))
            }
            _ => None,
        };
        score -= if is_guess { 0.4 } else { 0.0 };
        found.push((score, Mention { entities: vec![index], words: at_words, how, is_guess, many, said }));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut merged: Vec<(f64, Mention)> = Vec::new();
    for (score, one) in found {
        let domain = |one: &Mention| names.entities[one.entities[0]].domain;
        let is_same = |(known, m): &&mut (f64, Mention)| {
            (*known - score).abs() < 1e-9 && m.words == one.words && domain(m) == domain(&one)
        };
        match merged.iter_mut().find(is_same) {
            Some((_, known)) => known.entities.extend(one.entities),
            None => merged.push((score, one)),
        }
    }
    merged.into_iter().map(|(_, mention)| mention).collect()
}
