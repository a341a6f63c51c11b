//! What a model writes as a summary, held to what was said: a sentence stays only if a single turn has its names, its numbers and nearly
//! all of its other words, and denies what it denies. Small models invent, mix people up and answer instead.

use std::collections::HashSet;

use super::statements::{is_number, names, sentences};
use crate::voice::converse::copies::words;

/// The most sentences that are looked at, and the longest one in bytes.
const MOST_SENTENCES: usize = 64;
const MOST_BYTES: usize = 200;
/// A shorter sentence says nothing.
const FEWEST_WORDS: usize = 3;
/// A shorter word is not looked for among what was said.
const SHORTEST_WORD: usize = 4;
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
    "wants",
    "wanted",
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
    "likes",
    "needs",
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
    "wish",
];
/// Short words with which a sentence may begin; any other one may be a name.
const BEGINNINGS: &[&str] = &[
    "a", "an", "the", "i", "my", "we", "our", "you", "he", "his", "she", "her", "it", "its", "on", "in", "at", "to",
    "for", "if", "as", "and", "but", "by", "of", "no", "not", "all", "both", "each", "when", "these", "those", "next",
    "one",
];
/// Words with which a wish begins that is put as a question.
const WISHES: &[&str] = &["can", "could", "would", "will", "may", "please"];
const DENIALS: &[&str] = &["not", "no", "never", "nobody", "nothing", "without", "cannot", "none", "neither"];

/// What one turn came to, for comparing.
pub(in crate::voice::converse) struct Said {
    words: HashSet<String>,
    /// By sentence: its words, and whether it denies something.
    sentences: Vec<(HashSet<String>, bool)>,
}

impl Said {
    /// Of what was asked only to know it, nothing follows.
    pub(in crate::voice::converse) fn of(text: &str) -> Self {
        let is_wish = |it: &str| words(it).first().is_some_and(|first| WISHES.contains(&first.as_str()));
        let told = sentences(text).filter(|it| !it.ends_with(['?', '？']) || is_wish(it));
        let sentences: Vec<(HashSet<String>, bool)> =
            told.map(|it| (words(it).into_iter().collect(), denies(it))).collect();
        Self { words: sentences.iter().flat_map(|(words, _)| words.iter().cloned()).collect(), sentences }
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
        let content: Vec<&String> = content(&all).collect();
        let found = content.iter().filter(|word| has(&self.words, word)).count();
        if content.is_empty() || content.len() - found > content.len() / OWN_WORDS {
            return false;
        }
        // It must deny what the sentence denies that it resembles most.
        let shared = |words: &HashSet<String>| content.iter().filter(|word| has(words, word)).count();
        let alike = self.sentences.iter().max_by_key(|(words, _)| shared(words));
        alike.is_some_and(|(_, it_denies)| *it_denies == denies(sentence))
    }
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

/// Whether a word is among these, or one that begins like it.
fn has(words: &HashSet<String>, word: &str) -> bool {
    let stem: String = word.chars().take(SHORTEST_WORD).collect();
    words.contains(word) || !is_number(word) && words.iter().any(|other| other.starts_with(&stem))
}

/// Whether a statement says what a sentence does.
pub(super) fn says_as_much(statement: &str, sentence: &str) -> bool {
    let (stated, all) = (words(statement).into_iter().collect(), words(sentence));
    let content: Vec<&String> = content(&all).collect();
    content.iter().filter(|word| has(&stated, word)).count() * 4 >= content.len() * 3
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
        ]
        .map(Said::of)
        .into_iter()
        .collect()
    }

    #[test]
    fn what_follows_from_one_turn_stays_without_its_list_marks() {
        let written = "Summary:\n- Clara, the user's sister, arrives on Thursday at 6:40.\n2. Tom can't eat nuts.\n* The user wants seven lamps for the office in Graz.";
        let kept = checked(written, &turns());
        let due = [
            "Clara, the user's sister, arrives on Thursday at 6:40.",
            "Tom can't eat nuts.",
            "The user wants seven lamps for the office in Graz.",
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
