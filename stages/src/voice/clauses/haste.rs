//! How early the first clause of a reply leaves: with its sentence, before a phrase, or behind three words.

/// How early the first clause of a reply leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// With a mark: for a text that nobody waits for.
    #[default]
    None,
    /// Before a word that begins a phrase, behind four or five others: "The distance to the moon" of "The distance to the moon is ...".
    Phrase,
    /// Before a word that begins a phrase, behind three others: "The best way" of "The best way to ...". What follows has to be spoken
    /// within a second.
    Short,
}

/// Words that begin a phrase, and how many words stand before them: in `Haste::Phrase`, in `Haste::Short`.
const PHRASE_WORDS: [([usize; 2], &[&str]); 3] = [
    (
        [4, 3],
        &[
            "although", "and", "are", "because", "but", "can", "if", "is", "or", "since", "was", "were", "when",
            "which", "while",
        ],
    ),
    (
        [5, 3],
        &[
            "about", "as", "at", "between", "by", "for", "from", "in", "into", "on", "than", "that", "through", "to",
            "with",
        ],
    ),
    ([5, 4], &["of"]),
];

/// Words that lean on the next one: no clause ends behind them.
const LEANING: &[&str] = &[
    "a", "an", "are", "as", "be", "for", "he", "how", "i", "in", "is", "it", "its", "my", "no", "not", "of", "on",
    "our", "she", "so", "than", "that", "the", "their", "there", "these", "they", "this", "those", "to", "very", "was",
    "we", "were", "what", "when", "where", "which", "who", "why", "with", "you", "your",
];

impl Haste {
    /// Where a first clause of `words` words may end before its last one, which is complete: what stands before it, and that word.
    pub(super) fn cut(self, text: &str, words: usize) -> Option<(&str, &str)> {
        let column = match self {
            Haste::None => return None,
            Haste::Phrase => 0,
            Haste::Short => 1,
        };
        let (before, last) = text.rsplit_once(' ')?;
        let lower = last.to_lowercase();
        let is_phrase = PHRASE_WORDS.iter().any(|(least, begin)| words > least[column] && begin.contains(&&*lower));
        let behind = before.rsplit(' ').next().unwrap_or(before).to_lowercase();
        // "It is 21 to 25 degrees."
        let is_number = self == Haste::Short && behind.starts_with(|c: char| c.is_ascii_digit());
        // "The difference between tea and coffee."
        let is_pair = lower == "and" && before.split(' ').any(|word| word.eq_ignore_ascii_case("between"));
        let may_end = before.ends_with(char::is_alphanumeric) && !LEANING.contains(&&*behind) && !is_number && !is_pair;
        (is_phrase && may_end).then_some((before, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::clauses::ClauseSplitter;
    use proptest::prelude::*;

    fn split(haste: Haste, text: &str) -> Vec<String> {
        let (mut splitter, mut out) = (ClauseSplitter::hasting(haste), Vec::new());
        splitter.push(text, |clause| out.push(clause));
        splitter.finish(|clause| out.push(clause));
        out
    }

    #[test]
    fn in_haste_the_first_clause_ends_before_a_phrase_and_others_do_not() {
        for (text, expected) in [
            (
                "The sky appears blue because of scattering. It is red in the evening because of it.",
                &["The sky appears blue,", "because of scattering.", "It is red in the evening because of it."][..],
            ),
            ("It is about 93 million miles from the earth.", &["It is about 93 million miles,", "from the earth."]),
            ("The lamp in the hall is on.", &["The lamp in the hall,", "is on."]),
            (
                "The moon is a small body that orbits the earth.",
                &["The moon is a small body,", "that orbits the earth."],
            ),
            ("The distance to the moon is long.", &["The distance to the moon,", "is long."]),
            ("I do not know where it is.", &["I do not know where it is."]),
            ("The lamps (four of them and a candle) are on.", &["The lamps (four of them and a candle) are on."]),
            ("It may rain later, and then", &["It may rain later,", "and then"]),
            ("I do not know what that is for", &["I do not know what that is for"]),
        ] {
            assert_eq!(split(Haste::Phrase, text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn in_haste_no_word_is_lost_or_moved(words in prop::collection::vec("[a-z]{1,6}|and|because|in|with|[0-9]{1,3}", 0..30)) {
            let text = words.join(" ");
            for haste in [Haste::Phrase, Haste::Short] {
                let out = split(haste, &text).join(" ").replace(',', "");
                prop_assert_eq!(out, text.clone());
            }
        }
    }

    #[test]
    fn a_short_first_clause_has_three_words_and_ends_behind_none_that_leans() {
        for (text, first) in [
            ("The best way to cook potatoes is by boiling them.", "The best way,"),
            ("The main difference between tea and coffee is the plant.", "The main difference,"),
            ("The most common reason for this is the cold.", "The most common reason,"),
            ("The capital of France is Paris.", "The capital of France,"),
            ("The difference between tea and coffee is the plant.", "The difference between tea and coffee,"),
            ("The average amount of time is a year.", "The average amount of time,"),
            ("It is 21 to 25 degrees.", "It is 21 to 25 degrees."),
            ("The lights are on in the hall.", "The lights are on in the hall."),
            ("Spiders and flies have legs.", "Spiders and flies have legs."),
        ] {
            assert_eq!(split(Haste::Short, text)[0], first, "{text}");
        }
    }
}
