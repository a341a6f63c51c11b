//! Whether a reply claims that something was done. A small model often says that it did what it did not; such a sentence is not
//! said.

use nearfield_home::spoken::verbs::{is_acting, is_deed_done, is_deed_under_way, is_past_of};

use crate::voice::tools::Truth;

/// States of things, which after a wish are as good as a claim.
#[rustfmt::skip]
const STATES: &[&str] = &[
    "on", "off", "open", "opened", "closed", "shut", "locked", "unlocked", "running", "started", "stopped", "playing",
    "paused", "set", "dimmed", "activated", "enabled", "disabled", "armed", "done", "ready", "muted",
];

/// What consents to a wish.
const CONSENT: &[&str] = &["ok", "okay", "sure", "alright", "certainly", "done", "absolutely", "affirmative"];

/// What a sentence says that is no claim.
#[rustfmt::skip]
const DENIAL: &[&str] = &[
    "not", "cannot", "cant", "couldnt", "cant", "unable", "no", "nothing", "never", "wont", "dont", "didnt", "hasnt",
    "havent", "isnt", "arent", "sorry", "failed", "impossible", "wasnt", "without",
];

/// Whether a word says of a deed that it is done.
fn is_done(word: &str) -> bool {
    word == "done" || is_deed_done(word)
}

/// Where a clause stands in its sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Standing {
    /// At its beginning, or right behind consent: "Sure, turning off the pump."
    #[default]
    Opening,
    /// Behind another clause: "It rises, creating a volcano."
    Following,
}

impl Standing {
    /// That of what follows `clause`, which stands so itself and ends in `mark`.
    pub(super) fn behind(self, clause: &str, mark: char) -> Self {
        let is_consent = || words_of(clause).iter().all(|word| CONSENT.contains(&word.as_str()));
        match matches!(mark, ',' | ';' | ':') && !(self == Standing::Opening && is_consent()) {
            true => Standing::Following,
            false => Standing::Opening,
        }
    }
}

/// The words of a text in lower case, without apostrophes.
fn words_of(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace(['\'', '\u{2019}'], "");
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether `clause` claims a deed. After a wish (`is_wish`) a state, a promise or consent is one, too; in an answer to a question it
/// is not.
pub(super) fn claims(clause: &str, standing: Standing, is_wish: bool) -> bool {
    let words = words_of(clause);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
    if words.is_empty() || clause.trim_end().ends_with('?') || has(DENIAL) {
        return false;
    }
    let at = |index: usize| words.get(index).copied().unwrap_or_default();
    let first_person = (0..words.len()).any(|i| {
        let rest: Vec<&str> = words[i..].iter().copied().take(6).collect();
        match rest.as_slice() {
            ["i" | "we", verb, ..] if is_done(verb) => true,
            ["i" | "we", "have" | "just" | "also" | "already" | "now", rest @ ..] | ["ive" | "weve", rest @ ..] => {
                rest.iter().take(3).any(|word| is_done(word))
            }
            ["i", "am", rest @ ..] | ["im", rest @ ..] | ["we", "are", rest @ ..] => {
                rest.iter().take(2).any(|word| is_deed_under_way(word)) || rest.starts_with(&["going", "to"])
            }
            ["i" | "we", "will" | "shall", rest @ ..] | ["ill" | "well", rest @ ..] | ["let", "me", rest @ ..] => {
                rest.iter().take(2).any(|word| is_acting(word) || matches!(*word, "do" | "take" | "get"))
            }
            _ => false,
        }
    });
    // "Set the lamp to blue." is one, "Set theory is hard." and "Closed by a lid." are none.
    let by_chance = at(1) == "by" || at(0) == "set" && !matches!(at(1), "the" | "your" | "all" | "it" | "its");
    let begins = standing == Standing::Opening && (is_deed_under_way(at(0)) || is_done(at(0)) && !by_chance);
    let now = words.windows(2).any(|pair| matches!(pair[0], "is" | "are") && pair[1] == "now")
        || words.windows(3).any(|three| matches!(three[0], "has" | "have") && three[1] == "been" && is_done(three[2]));
    if first_person || begins || now {
        return true;
    }
    // "The roses are watered.", "It is being cleaned."
    let is_participle = |word: &&&str| {
        is_done(word) || is_deed_under_way(word) || word.len() > 4 && (word.ends_with("ed") || word.ends_with("ing"))
    };
    let is_be = |word: &str| matches!(word, "is" | "are" | "was" | "were" | "been" | "be" | "being" | "gets" | "its");
    let passive =
        (0..words.len()).any(|i| is_be(words[i]) && words[i + 1..].iter().take(3).any(|word| is_participle(&word)));
    is_wish
        && (CONSENT.contains(&at(0))
            || passive
            || has(STATES) && words.iter().any(|word| matches!(*word, "is" | "are" | "was" | "were" | "been" | "will"))
            || matches!(
                (at(0), at(1)),
                ("of", "course")
                    | ("no", "problem")
                    | ("got", "it")
                    | ("all", "set")
                    | ("youre", "welcome")
                    | ("you", "can")
            ))
}

/// Verbs for which words are the whole answer: "tell", "describe".
#[rustfmt::skip]
const SPEAKING: &[&str] = &[
    "tell", "say", "write", "explain", "describe", "give", "list", "name", "show", "read", "sing", "count", "make", "think", "guess",
    "imagine", "let", "do", "be", "have", "go", "help", "find", "look", "know", "see", "remember", "forget", "translate", "spell",
    "compare", "suggest", "summarise", "summarize", "calculate", "come", "get", "keep", "put", "use",
];

/// Whether a clause says of the verb that was asked for that it was done: "Ordered a pizza." of "order a pizza".
fn says_done(verb: &str, clause: &str, standing: Standing) -> bool {
    let words = words_of(clause);
    if clause.trim_end().ends_with('?') || words.iter().any(|word| DENIAL.contains(&word.as_str())) {
        return false;
    }
    let is_past = |word: &String| is_past_of(word, verb);
    let begins = standing == Standing::Opening && words.len() > 1 && words.first().is_some_and(is_past);
    let tells = |i: usize| matches!(words[i].as_str(), "i" | "we" | "ive" | "weve" | "been");
    begins || (0..words.len()).any(|i| tells(i) && words[i + 1..].iter().take(3).any(is_past))
}

/// Lets what a model writes pass clause by clause, but for those that claim what was not done.
#[derive(Debug, Default)]
pub(super) struct HonestText {
    /// What is known of the home.
    truth: Option<Truth>,
    /// The verb with which the request begins, where it asks for a deed.
    verb: Option<String>,
    held: String,
    /// Where the clause under way stands.
    standing: Standing,
    /// A mark behind a digit: it ends the clause if no digit follows.
    mark: Option<char>,
    /// Whether the text is in a code fence, which claims nothing, and how many of a fence's marks stand at its end.
    in_fence: bool,
    ticks: usize,
    /// The clause under way has been looked at, and passes.
    passes: bool,
    /// The sentence under way claims something: the rest of it is dropped.
    drops: bool,
    /// Whether anything was dropped.
    pub(super) dropped: bool,
    /// Whether something was dropped because it is not so.
    pub(super) untrue: bool,
}

/// What begins and ends code.
const FENCE: &str = "```";

/// After so many words without a claim a clause passes before it ends: all that makes it one stands at its beginning.
const ENOUGH_WORDS: usize = 9;

impl HonestText {
    /// Holds clauses to what is known of the home as well.
    pub(super) fn held_to(truth: Option<Truth>) -> Self {
        Self { truth, ..Self::default() }
    }

    /// Holds clauses to a request as well, of which no words alone can be the deed.
    pub(super) fn asked_for(self, request: &str) -> Self {
        let text = nearfield_home::spoken::normalise(request);
        let verb = text.split(' ').next().filter(|verb| verb.len() > 2 && !SPEAKING.contains(verb));
        Self { verb: verb.map(str::to_owned), ..self }
    }

    /// What may be said of the text so far.
    pub(super) fn push(&mut self, text: &str) -> String {
        let mut out = String::new();
        for c in text.chars() {
            self.ticks = if c == '`' { self.ticks + 1 } else { 0 };
            if self.ticks == FENCE.len() {
                if !self.in_fence {
                    self.held.truncate(self.held.trim_end_matches('`').len());
                    self.settle(self.standing, &mut out);
                    out.push_str(&FENCE[1..]);
                    (self.mark, self.drops, self.passes) = (None, false, false);
                }
                out.push(c);
                (self.in_fence, self.ticks) = (!self.in_fence, 0);
                continue;
            }
            if self.in_fence {
                out.push(c);
                continue;
            }
            // "70.4 degrees" goes on behind its point.
            if let Some(mark) = self.mark.take()
                && !c.is_ascii_digit()
            {
                self.end_clause(mark, &mut out);
            }
            let follows_digit = self.held.ends_with(|before: char| before.is_ascii_digit());
            self.held.push(c);
            if matches!(c, '.' | ',' | ':') && follows_digit {
                self.mark = Some(c);
            } else if matches!(c, ',' | ';' | ':' | '.' | '!' | '?' | '\n' | '…') {
                self.end_clause(c, &mut out);
            } else if c == '`' {
                // It may be the first of a fence.
            } else if self.passes || (c == ' ' && self.held.split_whitespace().count() >= ENOUGH_WORDS) {
                self.settle(self.standing, &mut out);
                self.passes = true;
            }
        }
        out
    }

    fn end_clause(&mut self, mark: char, out: &mut String) {
        // Of a clause that passes, the beginning is no longer there: it was no consent.
        let standing = if self.passes { Standing::Following } else { self.standing };
        self.standing = standing.behind(&self.held, mark);
        self.settle(standing, out);
        if !matches!(mark, ',' | ';' | ':') {
            self.drops = false;
        }
        self.passes = false;
    }

    /// The rest.
    pub(super) fn finish(&mut self) -> String {
        let mut out = String::new();
        self.settle(self.standing, &mut out);
        out
    }

    fn settle(&mut self, standing: Standing, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        if !self.passes && !self.drops {
            let is_untrue = self.truth.as_ref().is_some_and(|truth| truth.is_denied_by(&held));
            self.untrue |= is_untrue;
            let is_done = self.verb.as_ref().is_some_and(|verb| says_done(verb, &held, standing));
            self.drops = is_untrue || is_done || claims(&held, standing, false);
            self.dropped |= self.drops;
        }
        if !self.drops {
            out.push_str(&held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_are_claims_and_states_refusals_and_offers_are_none() {
        for text in [
            "I've turned on the hall light.",
            "I have just locked the gate.",
            "I turned it off.",
            "Turning off the pump now.",
            "I'm setting the timer.",
            "I will open the hatch.",
            "Let me close that for you.",
            "The pump is now running.",
            "The hatch has been opened.",
            "Turned on the lamp.",
            "Set the front door to locked.",
            "Moved cheese to chores.",
            "Done!",
        ] {
            assert!(claims(text, Standing::Opening, false) && claims(text, Standing::Opening, true), "{text}");
        }
        for text in [
            "The hall light is on.",
            "No, the gate is locked.",
            "I could not turn on the light.",
            "I cannot open the hatch.",
            "I haven't turned on anything.",
            "Would you like me to turn on the light?",
            "Shall I close it?",
            "It is 21 degrees in the hall.",
            "Hello, I am well.",
            "Set theory is a branch of mathematics.",
            "",
        ] {
            assert!(!claims(text, Standing::Opening, false), "{text}");
        }
        for text in [
            "The hall light is on.",
            "Okay.",
            "Sure, the gate is locked.",
            "The timer of 5 minutes is running.",
            "Of course!",
            "The roses are watered.",
            "The cellar is being cleaned.",
            "Milk was added to your list.",
        ] {
            assert!(claims(text, Standing::Opening, true), "{text}");
        }
        for text in ["I can't do that.", "Which light do you mean?", "There is no sauna here.", "Paris."] {
            assert!(!claims(text, Standing::Opening, true), "{text}");
        }
    }

    #[test]
    fn a_clause_that_goes_on_with_a_sentence_is_no_claim_by_its_first_word() {
        for (text, honest) in [
            (
                "Magma rises to the surface, creating a volcano. It cools.",
                "Magma rises to the surface, creating a volcano. It cools.",
            ),
            ("The tide turns twice a day, raising the sea.", "The tide turns twice a day, raising the sea."),
            ("Sure, turning off the pump. It is late.", "Sure, It is late."),
            ("Okay, sure, set the lamp to blue. It is late.", "Okay, sure, It is late."),
            ("The pump is old, I am turning it off. It is late.", "The pump is old, It is late."),
        ] {
            for size in [1, 3, 7, 200] {
                let mut filter = HonestText::default();
                let chars: Vec<char> = text.chars().collect();
                let pieces = chars.chunks(size).map(|piece| filter.push(&piece.iter().collect::<String>()));
                let said = pieces.collect::<String>() + &filter.finish();
                assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" "), honest, "{size}");
            }
        }
    }

    #[test]
    fn code_in_a_fence_claims_nothing_and_stays_whole() {
        for (text, honest) in [
            (
                "Here it is:\n```python\nprint('Done! I turned it off.')\n```\nI turned it off. Bye.",
                "Here it is:\n```python\nprint('Done! I turned it off.')\n```\n Bye.",
            ),
            ("I have turned it off ```sh\nopened = 1, set```", "```sh\nopened = 1, set```"),
            ("Use `set` or ``x`` in it. Done!", "Use `set` or ``x`` in it."),
            ("```json\n{\"a\": 1.5, \"b\": [1, 2]}\n```", "```json\n{\"a\": 1.5, \"b\": [1, 2]}\n```"),
        ] {
            for size in [1, 2, 5, 200] {
                let mut filter = HonestText::default();
                let chars: Vec<char> = text.chars().collect();
                let pieces = chars.chunks(size).map(|piece| filter.push(&piece.iter().collect::<String>()));
                let said = pieces.collect::<String>() + &filter.finish();
                assert_eq!(said.trim_end(), honest, "{size}");
            }
        }
    }

    #[test]
    fn the_verb_that_was_asked_for_is_not_said_to_be_done() {
        for (request, text, honest) in [
            ("move cheese to chores", "Moved cheese to chores. It is late.", " It is late."),
            ("order a pizza", "Ordered a pizza. It is late.", " It is late."),
            ("Please book a table for two.", "I've booked a table. It is late.", " It is late."),
            ("buy milk", "I have already bought it.", ""),
            ("order a pizza", "I cannot order a pizza.", "I cannot order a pizza."),
            ("order a pizza", "Have you ordered one before?", "Have you ordered one before?"),
            ("tell me of Faust", "He told a tale. I told it, too.", "He told a tale. I told it, too."),
            ("who ordered it?", "Ordered things are tidy.", "Ordered things are tidy."),
        ] {
            for size in [1, 4, 200] {
                let mut filter = HonestText::default().asked_for(request);
                let chars: Vec<char> = text.chars().collect();
                let pieces = chars.chunks(size).map(|piece| filter.push(&piece.iter().collect::<String>()));
                let said = pieces.collect::<String>() + &filter.finish();
                assert_eq!(said, honest, "{request} {size}");
            }
        }
    }

    #[test]
    fn a_number_is_held_to_the_home_with_its_decimals() {
        let file = nearfield_home::HomeFile::parse(r#"{"rooms": {"loft": {"temperature_c": 20.4}}}"#).unwrap();
        for (text, honest) in [
            ("It is 70.4 degrees in the loft. Good night.", " Good night."),
            ("It is 20.4 degrees in the loft. Good night.", "It is 20.4 degrees in the loft. Good night."),
            ("There is no loft here.", ""),
        ] {
            for size in 1..12 {
                let mut filter = HonestText::held_to(Some(Truth::of(file.home(), "", true)));
                let chars: Vec<char> = text.chars().collect();
                let mut said = String::new();
                for piece in chars.chunks(size) {
                    said.push_str(&filter.push(&piece.iter().collect::<String>()));
                }
                said.push_str(&filter.finish());
                assert_eq!(said, honest, "{size}");
            }
        }
    }

    #[test]
    fn claims_are_taken_out_of_a_text_however_it_is_cut() {
        let text = "It is warm, and I have turned on the fan, which helps. The fan is off. I will open the window. It is quite a long day today and the sun is out.";
        let honest = "It is warm, The fan is off. It is quite a long day today and the sun is out.";
        for size in 1..20 {
            let mut filter = HonestText::default();
            let chars: Vec<char> = text.chars().collect();
            let mut said = String::new();
            for piece in chars.chunks(size) {
                said.push_str(&filter.push(&piece.iter().collect::<String>()));
            }
            said.push_str(&filter.finish());
            assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" "), honest, "{size}");
            assert!(filter.dropped);
        }
    }
}
