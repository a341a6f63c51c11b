//! Who a sentence speaks of, and in which order: "Tom lent me forty euros" does not bear out "The user lent Tom forty euros".

use super::statements::{is_number, names};
use crate::voice::converse::copies::words;

#[rustfmt::skip]
const SPEAKER: &[&str] = &[
    "i", "i'm", "i've", "i'll", "i'd", "me", "we", "we're", "we've", "we'll", "we'd", "us", "user", "speaker",
];
/// The speaker in a summary, and the assistant in what the speaker says.
const ADDRESSED: &[&str] = &["you", "you're", "you've", "you'll", "you'd"];
/// Whose: with the word behind it this is somebody or something else than the speaker.
const OF_THE_SPEAKER: &[&str] = &["my", "our", "your", "user's", "speaker's"];
/// Whoever they stand for was named in another sentence.
#[rustfmt::skip]
const PRONOUNS: &[&str] = &["he", "she", "they", "it", "him", "her", "them", "his", "their", "he's", "she's", "they're", "it's"];
/// With these the speaker is named as the one who said it.
const REPORTS: &[&str] = &["said", "says", "told", "tells", "mentioned", "mentions", "asked", "asks"];
/// Names of times, which may stand anywhere.
#[rustfmt::skip]
const TIMES: &[&str] = &[
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march", "april", "may",
    "june", "july", "august", "september", "october", "november", "december", "christmas", "easter",
];

/// The speaker among those that are spoken of.
const THE_SPEAKER: &str = "I";

/// Who is spoken of, each once, in order. Names of the same one that stand together ("my sister Clara") are one entry.
pub(super) struct Actors {
    groups: Vec<Vec<String>>,
    has_pronoun: bool,
}

impl Actors {
    /// Of what the speaker said.
    pub(super) fn of_said(sentence: &str) -> Self {
        Self::found(sentence, &[])
    }

    /// Of a sentence of a summary.
    pub(super) fn of(sentence: &str) -> Self {
        Self::found(sentence, ADDRESSED)
    }

    fn found(sentence: &str, addressed: &[&str]) -> Self {
        let (all, names) = (words(sentence), names(sentence));
        let first = all.first().filter(|first| sentence.starts_with(char::is_uppercase) && !is_plain(first));
        let mut found: Vec<(usize, String)> = Vec::new();
        for (at, word) in all.iter().enumerate() {
            let is_name = names.contains(word) || at == 0 && first.is_some();
            let before = at.checked_sub(1).map(|at| all[at].as_str());
            if SPEAKER.contains(&word.as_str()) || addressed.contains(&word.as_str()) {
                let is_report = all[at + 1..].iter().take(2).any(|next| REPORTS.contains(&next.as_str()));
                if !is_report {
                    found.push((at, THE_SPEAKER.to_owned()));
                }
            } else if before.is_some_and(|before| OF_THE_SPEAKER.contains(&before))
                || is_name && !TIMES.contains(&word.as_str()) && !is_number(word)
            {
                found.push((at, word.trim_end_matches("'s").to_owned()));
            }
        }
        let mut groups: Vec<Vec<String>> = Vec::new();
        let mut last = None;
        for (at, actor) in found {
            let is_known = groups.iter().flatten().any(|other| *other == actor);
            match groups.last_mut() {
                _ if is_known => {}
                Some(group) if last == Some(at) && actor != THE_SPEAKER && group[0] != THE_SPEAKER => group.push(actor),
                _ => groups.push(vec![actor]),
            }
            last = Some(at + 1);
        }
        Self { groups, has_pronoun: all.iter().any(|word| PRONOUNS.contains(&word.as_str())) }
    }

    /// Whether what a sentence says of these people can follow from what this one says.
    pub(super) fn bear_out(&self, sentence: &Self) -> bool {
        let place = |actor: &String| self.groups.iter().position(|group| group.contains(actor));
        let mut last = 0;
        sentence.groups.iter().flatten().all(|actor| match place(actor) {
            Some(at) => {
                let is_in_order = at >= last;
                last = at;
                is_in_order
            }
            // "He can't eat nuts", of somebody who was named before.
            None => self.has_pronoun && actor != THE_SPEAKER,
        })
    }
}

/// Whether a word that begins a sentence is no name.
fn is_plain(word: &str) -> bool {
    #[rustfmt::skip]
    const PLAIN: &[&str] = &[
        "a", "an", "the", "this", "that", "these", "those", "there", "here", "on", "in", "at", "to", "for", "from", "by", "with", "of",
        "and", "but", "so", "if", "as", "when", "while", "because", "no", "not", "yes", "all", "both", "each", "next", "one", "some",
        "every", "please", "well", "also", "actually", "today", "tomorrow", "tonight", "yesterday", "remember", "don't", "note",
        "could", "can", "would", "will", "order", "my", "our", "your", "its",
    ];
    let others = [SPEAKER, ADDRESSED, OF_THE_SPEAKER, PRONOUNS, REPORTS, TIMES];
    PLAIN.contains(&word) || others.iter().any(|list| list.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_what_to_whom_is_held_and_who_is_who_is_not() {
        let bears = |said: &str, sentence: &str| Actors::of_said(said).bear_out(&Actors::of(sentence));
        for (said, sentence) in [
            ("Tom lent me forty euros.", "Tom lent the user forty euros."),
            ("My sister Clara arrives on Thursday.", "Clara, the user's sister, arrives on Thursday."),
            ("My sister Clara arrives on Thursday.", "On Thursday Clara arrives."),
            ("He can't eat nuts.", "Tom can't eat nuts."),
            ("The bins are green.", "The bins are green."),
            ("Tom lent me forty euros.", "The user said that Tom lent the user forty euros."),
        ] {
            assert!(bears(said, sentence), "{said} {sentence}");
        }
        for (said, sentence) in [
            ("Tom lent me forty euros.", "The user lent Tom forty euros."),
            ("Anna hates Tom.", "Tom hates Anna."),
            ("Tom arrives on Friday.", "The user arrives on Friday."),
            ("My brother gave Olga a piano.", "Olga gave the user's brother a piano."),
            ("Tom's sister is Clara.", "The user's sister is Clara."),
            ("You lent Tom forty euros.", "The user lent Tom forty euros."),
        ] {
            assert!(!bears(said, sentence), "{said} {sentence}");
        }
    }
}
