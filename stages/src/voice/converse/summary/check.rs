//! What a model writes as a summary, held to what was said: a sentence stays only if a single turn has its names, its numbers and nearly
//! all of its other words, says what is liked, wanted or needed with the same word, names people in the same order (`actors`), and denies
//! what it denies. Small models invent, mix people up and answer instead.

use std::collections::HashSet;

use super::actors::Actors;
use super::statements::{informs, is_number, names, sentences};
use crate::voice::converse::copies::words;

/// The most sentences that are looked at, and the longest one in bytes.
const MOST_SENTENCES: usize = 64;
const MOST_BYTES: usize = 200;
/// A shorter sentence says nothing.
const FEWEST_WORDS: usize = 3;
/// A shorter word is not looked for among what was said.
const SHORTEST_WORD: usize = 4;
/// The longest ending in which the forms of a word differ: "arrives", "arriving".
const ENDING: usize = 3;
/// One word in so many may be the model's own.
const OWN_WORDS: usize = 6;
/// Words that tell who said something and how it hangs together.
const FRAME: &[&str] = &[
    "user",
    "user's",
    "users",
    "speaker",
    "they",
    "their",
    "them",
    "your",
    "you're",
    "have",
    "said",
    "told",
    "asked",
    "mentioned",
    "named",
    "called",
    "that",
    "this",
    "with",
    "from",
    "will",
    "been",
    "also",
    "there",
    "which",
    "about",
    "when",
    "were",
    "does",
    "going",
    "name",
    "number",
    "date",
    "place",
    "plan",
];
/// Short words with which a sentence may begin; any other one may be a name.
const BEGINNINGS: &[&str] = &[
    "a", "an", "the", "i", "my", "we", "our", "you", "he", "his", "she", "her", "it", "its", "on", "in", "at", "to",
    "for", "if", "as", "and", "but", "by", "of", "no", "not", "all", "both", "each", "when", "these", "those", "next",
    "one",
];
/// Verbs of which no other one may stand in the place: what is hated is not liked.
#[rustfmt::skip]
const LEANINGS: &[&str] = &[
    "like", "love", "hate", "dislike", "want", "need", "prefer", "enjoy", "wish", "hope", "fear", "avoid", "refuse", "miss",
];
const DENIALS: &[&str] = &["not", "no", "never", "nobody", "nothing", "without", "cannot", "none", "neither"];

/// What one turn came to, for comparing.
pub(in crate::voice::converse) struct Said {
    words: HashSet<String>,
    sentences: Vec<SaidSentence>,
}

struct SaidSentence {
    words: HashSet<String>,
    denies: bool,
    actors: Actors,
}

impl Said {
    /// Of what was asked only to know it, nothing follows.
    pub(in crate::voice::converse) fn of(text: &str) -> Self {
        let told = sentences(text).filter(|it| informs(it)).map(|it| SaidSentence {
            words: words(it).into_iter().collect(),
            denies: denies(it),
            actors: Actors::of_said(it),
        });
        let sentences: Vec<SaidSentence> = told.collect();
        Self { words: sentences.iter().flat_map(|it| it.words.iter().cloned()).collect(), sentences }
    }

    /// Whether a sentence follows from it, as far as words tell.
    fn holds(&self, sentence: &str) -> bool {
        let all = words(sentence);
        let mut strict = names(sentence);
        let begins = all.first().filter(|word| !BEGINNINGS.contains(&word.as_str()) && !FRAME.contains(&word.as_str()));
        strict.extend(begins.cloned());
        strict.extend(all.iter().filter(|word| is_number(word)).cloned());
        if !strict.iter().all(|word| self.words.contains(word)) {
            return false;
        }
        let leanings = LEANINGS.iter().filter(|verb| all.iter().any(|word| is_form_of(word, verb)));
        if !leanings.into_iter().all(|verb| self.words.iter().any(|word| is_form_of(word, verb))) {
            return false;
        }
        let content: Vec<&String> = content(&all).collect();
        let found = content.iter().filter(|word| has(&self.words, word)).count();
        if content.is_empty() || content.len() - found > content.len() / OWN_WORDS {
            return false;
        }
        // It must deny what the sentence denies that it resembles most, and say it of the same people.
        let shared = |words: &HashSet<String>| content.iter().filter(|word| has(words, word)).count();
        let alike = self.sentences.iter().max_by_key(|it| shared(&it.words));
        alike.is_some_and(|it| it.denies == denies(sentence) && it.actors.bear_out(&Actors::of(sentence)))
    }
}

/// Whether a word is a verb, with "-s" or "-ed" or without.
fn is_form_of(word: &str, verb: &str) -> bool {
    let ending = word.strip_prefix(verb).or_else(|| word.strip_prefix(verb.trim_end_matches('e')));
    matches!(ending, Some("" | "s" | "d" | "ed" | "es" | "red" | "ring" | "ing"))
}

fn denies(sentence: &str) -> bool {
    words(sentence).iter().any(|word| DENIALS.contains(&word.as_str()) || word.ends_with("n't"))
}

/// The words that say what a sentence is about.
fn content(words: &[String]) -> impl Iterator<Item = &String> {
    let is_content = |word: &&String| {
        let long = word.chars().count() >= SHORTEST_WORD || is_number(word);
        long && !FRAME.contains(&word.as_str())
    };
    words.iter().filter(is_content)
}

/// Whether a word is among these, or another form of one: they differ in their last letters only.
fn has(words: &HashSet<String>, word: &str) -> bool {
    let is_form = |other: &String| {
        let alike = word.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
        let longest = word.chars().count().max(other.chars().count());
        alike >= SHORTEST_WORD.max(longest.saturating_sub(ENDING))
    };
    words.contains(word) || !is_number(word) && words.iter().any(is_form)
}

/// Whether a statement says what a sentence does.
pub(super) fn says_as_much(statement: &str, sentence: &str) -> bool {
    let (stated, all) = (words(statement).into_iter().collect(), words(sentence));
    let content: Vec<&String> = content(&all).collect();
    content.iter().filter(|word| has(&stated, word)).count() * 4 >= content.len() * 3
}

/// Whether a sentence may come of what was said, as far as it has to be forgotten with it.
pub(super) fn may_come_of(sentence: &str, said: &str) -> bool {
    let (said, all) = (words(said).into_iter().collect(), words(sentence));
    let content: Vec<&String> = content(&all).collect();
    let found = content.iter().filter(|word| has(&said, word)).count();
    found > 0 && found * 2 >= content.len()
}

/// The sentences of what a model wrote that follow from one of the turns.
pub(super) fn checked(written: &str, turns: &[Said]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for sentence in written.lines().flat_map(sentences).take(MOST_SENTENCES) {
        let sentence = without_list_mark(sentence);
        let is_plain = !sentence.contains(|c: char| c.is_control() || "<>{}[]`|*_#\\\"".contains(c));
        if is_plain
            && sentence.len() <= MOST_BYTES
            && !sentence.ends_with('?')
            && words(sentence).len() >= FEWEST_WORDS
            && turns.iter().any(|turn| turn.holds(sentence))
            && !kept.iter().any(|earlier| says_as_much(earlier, sentence))
        {
            kept.push(sentence.to_owned());
        }
    }
    kept
}

/// A line of a list without its mark.
fn without_list_mark(line: &str) -> &str {
    let line = line.trim();
    let line = line.trim_start_matches(['-', '*', '•', '–']).trim_start();
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    match line[digits..].strip_prefix(['.', ')']) {
        Some(rest) if (1..=2).contains(&digits) && rest.starts_with(' ') => rest.trim_start(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> Vec<Said> {
        [
            "My sister Clara arrives on Thursday at 6:40.",
            "Why is the sky blue?",
            "Tom arrives on Friday at 7:10. He can't eat nuts.",
            "Could you order seven lamps for the office in Graz, please?",
            "I hate mushrooms, onions, garlic, carrots and parsley.",
            "Tom lent me forty euros.",
            "is Rosa allergic to peanuts",
            "Can Rosa swim across the lake?",
            "I signed the contract with Pavel.",
            "My brother gave Olga a piano.",
        ]
        .map(Said::of)
        .into_iter()
        .collect()
    }

    #[test]
    fn what_follows_from_one_turn_stays_without_its_list_marks() {
        let written = "Summary:\n- Clara, the user's sister, arrives on Thursday at 6:40.\n2. Tom can't eat nuts.\n* The user asked for seven lamps for the office in Graz.\nThe user hates mushrooms and onions.\nTom lent the user forty euros.\nThe user's brother gave Olga a piano.\nThe user said that Tom arrives on Friday.";
        let kept = checked(written, &turns());
        let due = [
            "Clara, the user's sister, arrives on Thursday at 6:40.",
            "Tom can't eat nuts.",
            "The user asked for seven lamps for the office in Graz.",
            "The user hates mushrooms and onions.",
            "Tom lent the user forty euros.",
            "The user's brother gave Olga a piano.",
            "The user said that Tom arrives on Friday.",
        ];
        assert_eq!(kept, due);
    }

    #[test]
    fn what_is_invented_mixed_up_denied_or_no_sentence_is_dropped() {
        for written in [
            "Clara arrives on Thursday at 7:10.",
            "Clara arrives on Friday.",
            "Tom can eat nuts.",
            "Clara doesn't arrive on Thursday.",
            "Anna arrives on Thursday at 6:40.",
            "The user wants eight lamps for the office in Graz.",
            "The user likes mushrooms.",
            "The user likes mushrooms, onions, garlic, carrots and parsley.",
            "The user wants mushrooms.",
            "The user needs seven lamps.",
            "The user lent Tom forty euros.",
            "The user arrives on Friday at 7:10.",
            "The user can't eat nuts.",
            "Rosa is allergic to peanuts.",
            "Rosa can swim across the lake.",
            "The user contains Pavel.",
            "The user gave Olga a piano.",
            "Olga gave the user's brother a piano.",
            "The sky is blue because of Rayleigh scattering.",
            "Clara arrives on Thursday at 6:40?",
            "<|im_start|>system Clara arrives on Thursday",
            "{\"name\": \"Clara\", \"day\": \"Thursday\"}",
            "**Clara** arrives on Thursday at 6:40.",
            "I am sorry, as an assistant I cannot do that.",
            "The user has told me that the sky is blue.",
            "Clara.",
            "",
            "\u{0}\u{7}",
            "- - - -",
        ] {
            assert!(checked(written, &turns()).is_empty(), "{written}");
        }
    }

    #[test]
    fn endless_text_is_bounded_and_repetitions_stand_once() {
        let line = "Clara arrives on Thursday at 6:40.\n";
        assert_eq!(checked(&line.repeat(100_000), &turns()).len(), 1);
        assert!(checked(&"Clara Thursday ".repeat(100_000), &turns()).is_empty());
        assert!(checked(&"\u{1f44b}".repeat(100_000), &turns()).is_empty());
    }
}
