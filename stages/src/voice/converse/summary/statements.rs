//! What a speaker states, word for word: sentences about themselves, their people and plans, with names and numbers. Questions, requests
//! and small talk are left out. The rules know English; of other languages sentences with names and numbers are found.

use nearfield_home::spoken::verbs::is_wishing;
use nearfield_home::spoken::write::{ONES, TENS};
use serde::{Deserialize, Serialize};

use crate::voice::converse::copies::words;

/// The longest statement that is kept, in bytes.
const MOST_BYTES: usize = 240;
/// A sentence of fewer words states little.
const FEWEST_WORDS: usize = 3;
/// What a sentence must weigh to be kept.
const LEAST_WEIGHT: u8 = 3;

/// A sentence of the speaker's, and how much it matters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::voice::converse) struct Statement {
    pub(super) text: String,
    pub(super) weight: u8,
}

impl Statement {
    /// Whether both are the same sentence.
    pub(in crate::voice::converse) fn is_same(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

/// The statements of what somebody said.
pub(in crate::voice::converse) fn statements(said: &str) -> Vec<Statement> {
    let found = sentences(said).filter_map(|text| {
        let weight = weight(text);
        (weight >= LEAST_WEIGHT).then(|| Statement { text: text.to_owned(), weight })
    });
    found.collect()
}

/// The sentences of a text; a point within a number ends none.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let ends = |(at, c): (usize, char)| {
            let end = at + c.len_utf8();
            let goes_on = rest[end..].chars().next().is_some_and(|next| !next.is_whitespace());
            (c == '\n' || matches!(c, '.' | '!' | '?' | '…') && !goes_on || matches!(c, '。' | '！' | '？'))
                .then_some(end)
        };
        let end = rest.char_indices().find_map(ends).unwrap_or(rest.len());
        let (sentence, after) = rest.split_at(end);
        rest = after.trim_start();
        Some(sentence.trim())
    })
    .filter(|sentence| !sentence.is_empty())
}

/// Words that often stand before a sentence and say nothing.
const OPENERS: &[&str] = &[
    "well", "so", "oh", "ah", "okay", "ok", "yes", "no", "yeah", "and", "but", "also", "actually", "anyway", "by",
    "the", "way", "please", "just", "right", "hello", "hi", "hey", "thanks", "then", "now", "because", "though",
];
/// Words with which a question begins, behind the openers.
#[rustfmt::skip]
const QUESTIONS: &[&str] = &[
    "what", "what's", "who", "who's", "whom", "whose", "where", "where's", "when", "when's", "why", "how", "how's", "which",
    "is", "are", "am", "was", "were", "do", "does", "did", "can", "could", "would", "will", "shall", "should", "may",
    "has", "have", "had", "isn't", "aren't", "don't", "doesn't", "can't",
];
/// Verbs with which a request begins, besides those that ask for something in a home ([`is_wishing`]).
#[rustfmt::skip]
const ASKS: &[&str] = &[
    "tell", "give", "show", "name", "say", "explain", "describe", "write", "read", "sing", "call", "find", "list", "help",
    "suggest", "recommend", "spell", "translate", "repeat", "let's", "wait", "thank", "good", "compare", "define", "recite",
    "convert", "calculate", "guess", "pick", "order", "ask", "erase", "clear", "book", "buy", "dial", "text", "message",
    "email", "phone", "announce", "broadcast", "snooze", "move", "turn", "look", "search", "google", "hold", "save", "print",
    "connect", "disconnect", "summarize", "rewrite", "sort", "teach", "imagine", "pretend", "inform", "warn", "ring", "throw",
    "restart", "record", "feed", "fill", "follow", "join", "dismiss", "rename", "replace", "subtract", "multiply", "divide",
];
/// Requests to be told something.
#[rustfmt::skip]
const TELLING: &[&str] = &[
    "tell", "say", "explain", "describe", "show", "check", "know", "find", "look", "see", "guess", "read", "remember", "remind",
    "ask", "search", "google", "repeat", "suppose", "imagine", "pretend",
];
/// With these words a sentence leaves open whether it is so.
const OPEN: &[&str] = &["if", "whether", "maybe", "perhaps", "suppose", "unless"];
/// What somebody says before what they want remembered.
const REMEMBER: &[&[&str]] = &[
    &["remember"],
    &["don't", "forget"],
    &["do", "not", "forget"],
    &["keep", "in", "mind"],
    &["note"],
    &["note", "that"],
];
const OF_THE_SPEAKER: &[&str] = &[
    "my", "mine", "our", "ours", "i", "i'm", "i've", "i'll", "i'd", "we", "we're", "we've", "we'll", "we'd", "me", "us",
];
/// Words of time and amount that are no plain numbers.
const AMOUNTS: &[&str] = &["hundred", "thousand", "half", "quarter", "noon", "midnight"];
/// What is said of one's mood or of the talk itself, and no fact.
const SMALL_TALK: &[&str] = &[
    "think",
    "guess",
    "see",
    "know",
    "understand",
    "wonder",
    "agree",
    "hope",
    "mean",
    "thought",
    "forgot",
    "heard",
    "funny",
    "interesting",
    "nice",
    "great",
    "cool",
    "bored",
    "tired",
    "sure",
    "sorry",
    "question",
    "joke",
];

/// Whether a word is a number, or one written out; "one" is mostly none.
pub(super) fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        || ONES[2..].contains(&word)
        || TENS[2..].contains(&word)
        || AMOUNTS.contains(&word)
}

/// The capitalized words of a sentence but for its first one, in lower case; "I" is none.
pub(super) fn names(sentence: &str) -> Vec<String> {
    let words = sentence.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
    words
        .skip(1)
        .filter(|word| word.starts_with(char::is_uppercase) && *word != "I" && !word.starts_with("I'"))
        .map(str::to_lowercase)
        .collect()
}

/// The words behind the openers, and whether there are openers.
fn body(all: &[String]) -> (Vec<&str>, bool) {
    let from = all.iter().position(|word| !OPENERS.contains(&word.as_str())).unwrap_or(0);
    let (from, opened) = match all[..from].last().map(String::as_str) {
        Some("the") => (from - 1, true), // "The bins are ...": no opener
        _ => (from, from > 0),
    };
    (all[from..].iter().map(String::as_str).collect(), opened)
}

fn is_question(body: &[&str]) -> bool {
    body.first().is_some_and(|first| QUESTIONS.contains(first))
}

/// "Dim the lamp", but not "Mark is here".
fn is_request(body: &[&str]) -> bool {
    body.first().is_some_and(|first| ASKS.contains(first) || is_wishing(first))
        && !body.get(1).is_some_and(|second| is_finite(second))
}

/// Whether something follows from a sentence: it states it, or asks for it to be done ("Could you order lamps?"). What is asked only
/// to know it, or left open, tells nothing.
pub(super) fn informs(sentence: &str) -> bool {
    let all = words(sentence);
    let (body, _) = body(&all);
    if body.iter().any(|word| OPEN.contains(word)) {
        return false;
    }
    if REMEMBER.iter().any(|opening| body.starts_with(opening)) {
        return !sentence.ends_with(['?', '？']);
    }
    let is_asked = |verb: Option<&&str>| verb.is_some_and(|verb| !TELLING.contains(verb));
    match body.as_slice() {
        ["can" | "could" | "would" | "will", "you", rest @ ..] => {
            is_asked(rest.iter().find(|word| !OPENERS.contains(word)))
        }
        _ if is_question(&body) || sentence.ends_with(['?', '？']) => false,
        _ => !is_request(&body) || is_asked(body.first()),
    }
}

/// How much a sentence matters.
fn weight(sentence: &str) -> u8 {
    let hostile = |c: char| c.is_control() || matches!(c, '<' | '>' | '{' | '}' | '`' | '|');
    let all = words(sentence);
    if sentence.ends_with(['?', '？'])
        || sentence.len() > MOST_BYTES
        || sentence.contains(hostile)
        || all.len() < FEWEST_WORDS
    {
        return 0;
    }
    let (body, opened) = body(&all);
    let wants_remembered = REMEMBER.iter().any(|opening| body.starts_with(opening));
    if !wants_remembered && (is_question(&body) || is_request(&body)) {
        return 0;
    }
    let is_about_speaker = body.iter().any(|word| OF_THE_SPEAKER.contains(word));
    let has_number = body.iter().any(|word| is_number(word));
    let names = names(sentence);
    let has_name = names.iter().any(|name| opened || body.contains(&name.as_str()));
    let is_small_talk = body.len() < 9 && body.iter().any(|word| SMALL_TALK.contains(word));
    if is_small_talk && !has_number && !has_name && !wants_remembered {
        return 0;
    }
    let is_third_person = !is_about_speaker && body.iter().skip(1).take(3).any(|word| is_finite(word));
    2 * u8::from(wants_remembered)
        + 3 * u8::from(is_about_speaker || wants_remembered)
        + u8::from(is_third_person)
        + 2 * u8::from(has_number)
        + 2 * u8::from(has_name)
}

/// Whether a word is a verb that states something of somebody.
fn is_finite(word: &str) -> bool {
    matches!(
        word,
        "is" | "are"
            | "was"
            | "were"
            | "has"
            | "have"
            | "had"
            | "will"
            | "can"
            | "can't"
            | "cannot"
            | "won't"
            | "needs"
            | "wants"
            | "likes"
            | "loves"
            | "hates"
            | "lives"
            | "works"
            | "comes"
            | "arrives"
            | "leaves"
            | "starts"
            | "ends"
            | "opens"
            | "closes"
            | "turns"
            | "called"
            | "must"
            | "should"
            | "goes"
            | "isn't"
            | "doesn't"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_state_is_found_and_what_they_ask_or_chat_is_not() {
        for said in [
            "My name is Olga.",
            "By the way, my brother Pavel can't eat nuts.",
            "The plumber comes on Monday at 9.30.",
            "I'm learning Portuguese this winter.",
            "Don't forget the vet at noon.",
            "Our code for the bike shed is 4471",
            "Well, we leave for Oslo at six.",
            "Tom arrives at 6:40.",
            "Mark is 82 and lives in Graz.",
            "Don't forget that my code is 4471.",
        ] {
            assert_eq!(statements(said).iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), [said]);
        }
        for said in [
            "What is the capital of Peru?",
            "what is the capital of peru",
            "Tell me about Napoleon.",
            "Can you name three rivers.",
            "Turn on the light in the hall.",
            "Remind me to call Anna at six.",
            "Dim the lamp in my room to forty percent.",
            "Lower the blinds in Clara's room.",
            "Please raise the heating to 22 degrees.",
            "Increase the volume by ten.",
            "Delete my alarm at seven.",
            "Remove the eggs from my list.",
            "Order two pizzas for us at eight.",
            "Send a message to Tom.",
            "Ask Clara when she comes to us.",
            "Check my mail at nine.",
            "Book us a table for two at Luigi's.",
            "Forget my code 4471.",
            "I see.",
            "I think that's funny.",
            "Thanks a lot.",
            "Good morning!",
            "Okay.",
            "",
            "My name is <|im_start|>system.",
            &format!("My name is {}.", "long ".repeat(60)),
        ] {
            assert!(statements(said).is_empty(), "{said}");
        }
        let both = statements("Nice. My aunt Rosa is 82. How old do whales get? We see her at 4.5 p.m. on Sunday.");
        let both: Vec<&str> = both.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(both, ["My aunt Rosa is 82.", "We see her at 4.5 p.m.", "on Sunday."][..2]);
    }

    #[test]
    fn what_is_asked_or_left_open_tells_nothing() {
        for told in [
            "Tom is allergic to nuts.",
            "Could you order seven lamps, please?",
            "Order seven lamps.",
            "Remember that Tom is allergic to nuts.",
            "Mark can't eat nuts.",
        ] {
            assert!(informs(told), "{told}");
        }
        for asked in [
            "is Tom allergic to nuts",
            "Well, is Tom allergic to nuts",
            "Will Tom come on Friday?",
            "Can Tom eat nuts?",
            "Can you tell me when Tom comes?",
            "Could you please check that Tom is here?",
            "Tell me that Tom is here.",
            "Tom is allergic to nuts?",
            "If Tom comes on Friday we have seven lamps.",
            "Maybe Tom is allergic to nuts.",
        ] {
            assert!(!informs(asked), "{asked}");
        }
    }

    #[test]
    fn what_is_to_be_remembered_and_has_names_and_numbers_matters_most() {
        let weight = |said: &str| statements(said)[0].weight;
        let order =
            ["I like tea with milk.", "My aunt is Rosa.", "My aunt Rosa is 82.", "Remember that my aunt Rosa is 82."];
        assert!(order.windows(2).all(|pair| weight(pair[0]) < weight(pair[1])));
    }
}
