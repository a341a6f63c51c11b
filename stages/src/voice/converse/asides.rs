//! What is said about the conversation itself: "say that again", "go on", and how much of a long answer is said before that is asked.

use super::copies::words;
use crate::voice::clauses::ends_sentence;

/// What follows the part of a long reply that is said at once.
pub(super) const OFFER: &str = " Shall I go on?";

/// What is repeated where nothing has been said.
pub(super) const NOTHING_YET: &str = "I have not said anything yet.";

/// Whether the last reply is to be said once more.
pub(super) fn is_again(question: &str) -> bool {
    let words = words(question).join(" ");
    let words = words.trim_start_matches("please ").trim_start_matches("can you ").trim_start_matches("could you ");
    matches!(
        words.trim_end_matches(" please").trim_end_matches(" for me"),
        "say that again"
            | "say it again"
            | "say again"
            | "tell me again"
            | "repeat that"
            | "repeat it"
            | "repeat what you said"
            | "what did you say"
            | "what did you just say"
            | "what was that"
            | "pardon"
            | "pardon me"
            | "come again"
            | "i didn't hear you"
            | "i didn't hear that"
            | "i didn't catch that"
            | "once more"
    )
}

/// Whether an offer to go on is taken.
pub(super) fn is_go_on(question: &str) -> bool {
    let words = words(question).join(" ");
    let words = words.trim_end_matches(" please");
    let words = words.strip_prefix("yes ").or_else(|| words.strip_prefix("please ")).unwrap_or(words);
    matches!(
        words,
        "yes"
            | "yeah"
            | "yep"
            | "sure"
            | "ok"
            | "okay"
            | "go on"
            | "go ahead"
            | "continue"
            | "do"
            | "more"
            | "keep going"
    )
}

/// What is said, if anything, where somebody wants no answer: nothing to who asks for silence, and little to who takes a request back.
pub(in crate::voice) fn dismissed(question: &str) -> Option<&'static str> {
    let words = words(question).join(" ");
    let words = words.strip_prefix("please ").or_else(|| words.strip_prefix("okay ")).unwrap_or(&words);
    match words.trim_end_matches(" please").trim_end_matches(" now").trim_end_matches(" thanks") {
        "stop" | "stop it" | "stop that" | "stop talking" | "stop stop" | "be quiet" | "quiet" | "silence" | "hush"
        | "shush" | "shut up" | "enough" | "that's enough" | "that is enough" | "no more" => Some(""),
        "never mind" | "nevermind" | "cancel" | "cancel that" => Some("All right."),
        _ => Forgets::of(question).map(Forgets::said),
    }
}

/// What of the conversation is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forgets {
    /// What was said last.
    Last,
    All,
}

impl Forgets {
    /// Whether somebody wants something forgotten.
    pub(super) fn of(question: &str) -> Option<Self> {
        const BEFORE: &[&str] = &["please", "okay", "ok", "no", "oh", "now", "just", "can", "could", "you"];
        const AFTER: &[&str] = &["please", "now", "thanks", "again", "okay", "ok"];
        let words = words(question);
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        while words.last().is_some_and(|word| AFTER.contains(word)) {
            words.pop();
        }
        let from = words.iter().take_while(|word| BEFORE.contains(*word)).count();
        match words[from..].join(" ").as_str() {
            "forget it"
            | "forget about it"
            | "forget that"
            | "forget about that"
            | "forget this"
            | "forget what i just said"
            | "forget what i just told you"
            | "forget that i said that"
            | "forget i said that" => Some(Self::Last),
            "forget everything"
            | "forget about everything"
            | "forget it all"
            | "forget all"
            | "forget all that"
            | "forget all of it"
            | "forget all of that"
            | "forget all i said"
            | "forget all i told you"
            | "forget everything i said"
            | "forget everything i told you"
            | "forget everything i have said"
            | "forget everything i have told you"
            | "forget everything i've said"
            | "forget everything i've told you"
            | "forget everything we said"
            | "forget everything we talked about"
            | "forget everything about me"
            | "forget everything you know about me"
            | "forget what i said"
            | "forget what i told you"
            | "forget what i have said"
            | "forget what i have told you"
            | "forget what i've said"
            | "forget what i've told you"
            | "forget what we talked about"
            | "forget the conversation"
            | "forget this conversation"
            | "forget our conversation"
            | "clear the conversation"
            | "clear this conversation"
            | "clear our conversation"
            | "delete this conversation"
            | "delete our conversation"
            | "delete the conversation" => Some(Self::All),
            _ => None,
        }
    }

    /// What is answered.
    pub(super) fn said(self) -> &'static str {
        match self {
            Self::Last => "All right.",
            Self::All => "All right, I have forgotten our conversation.",
        }
    }
}

/// Whether somebody only spoke of the conversation, and goes on with what was said before.
pub(super) fn is_aside(question: &str) -> bool {
    is_again(question) || is_go_on(question) || dismissed(question).is_some()
}

/// Whether somebody wants a long answer.
fn wants_all(question: &str) -> bool {
    const WANTS: &[&str] =
        &["long", "longer", "longest", "detail", "details", "detailed", "whole", "entire", "complete"];
    words(question).iter().any(|word| WANTS.contains(&word.as_str()))
}

/// How much of a reply is said at once.
#[derive(Clone)]
pub(super) struct Budget {
    /// 0: all of it.
    most_words: usize,
    words: usize,
    /// The reply so far.
    said: String,
}

impl Budget {
    /// So many words, and the rest of the sentence, unless the question wants more; 0: all of it.
    pub(super) fn of(most_words: usize, question: &str) -> Self {
        let most_words = if most_words > 0 && wants_all(question) { 0 } else { most_words };
        Self { most_words, words: 0, said: String::new() }
    }

    /// Takes the next piece of the reply; answers how much of it is said, where it is left out from there on with all that follows.
    pub(super) fn take<'a>(&mut self, piece: &'a str) -> Option<&'a str> {
        if self.most_words == 0 {
            return None;
        }
        for (at, c) in piece.char_indices() {
            if !c.is_whitespace() && (self.said.is_empty() || self.said.ends_with(char::is_whitespace)) {
                let said = self.said.trim_end();
                let is_sentence = said.ends_with(['!', '?']) || said.ends_with('.') && ends_sentence(said, c);
                if is_sentence && self.words >= self.most_words {
                    return Some(piece[..at].trim_end());
                }
                self.words += 1;
            }
            self.said.push(c);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_long_reply_ends_with_a_sentence_behind_the_budget() {
        let text = "One two three. Dr. Four says five six. Seven eight! Nine.";
        for (most, question, expected) in [
            (0, "Tell me a story.", text),
            (2, "Tell me a story.", "One two three."),
            (3, "Tell me a story.", "One two three."),
            (4, "Tell me a story.", "One two three. Dr. Four says five six."),
            (9, "Tell me a story.", "One two three. Dr. Four says five six. Seven eight!"),
            (99, "Tell me a story.", text),
            (2, "Tell me a long story.", text),
        ] {
            let mut budget = Budget::of(most, question);
            let mut said = String::new();
            for piece in text.split_inclusive(|c: char| c.is_alphanumeric() || c == '.') {
                match budget.take(piece) {
                    None => said.push_str(piece),
                    Some(rest) => {
                        said.push_str(rest);
                        break;
                    }
                }
            }
            assert_eq!(said.trim_end(), expected, "{most}");
            let whole = Budget::of(most, question).take(text).unwrap_or(text);
            assert_eq!(whole, expected, "{most}, in one piece");
        }
    }

    #[test]
    fn who_wants_no_answer_gets_none() {
        for silence in ["Stop.", "stop", "Please be quiet!", "Shut up.", "That's enough, thanks."] {
            assert_eq!(dismissed(silence), Some(""), "{silence}");
        }
        for retreat in ["Never mind.", "Okay, forget it.", "Cancel that, please."] {
            assert_eq!(dismissed(retreat), Some("All right."), "{retreat}");
        }
        for request in [
            "Stop the vacuum.",
            "Is it quiet in here?",
            "Cancel the timer.",
            "Never mind the lights, close the blinds.",
        ] {
            assert_eq!(dismissed(request), None, "{request}");
        }
    }

    #[test]
    fn what_is_to_be_forgotten_is_told_from_requests_and_from_what_is_to_be_kept() {
        for last in ["Forget that.", "Okay, forget it.", "Can you forget what I just said, please?"] {
            assert_eq!(Forgets::of(last), Some(Forgets::Last), "{last}");
            assert_eq!(dismissed(last), Some("All right."), "{last}");
        }
        for all in ["Forget everything.", "Please forget what I said.", "Forget everything I told you, please."] {
            assert_eq!(Forgets::of(all), Some(Forgets::All), "{all}");
            assert!(dismissed(all).is_some(), "{all}");
        }
        for other in [
            "Don't forget that.",
            "Forget the milk.",
            "Forget my code 4471.",
            "I forget everything.",
            "Never mind.",
            "",
        ] {
            assert_eq!(Forgets::of(other), None, "{other}");
        }
    }

    #[test]
    fn asides_are_told_from_requests() {
        for again in ["Say that again.", "Can you repeat that, please?", "Pardon?", "What did you say?"] {
            assert!(is_again(again), "{again}");
        }
        for other in ["Repeat the song.", "What did you say to Anna?", "Say hello.", ""] {
            assert!(!is_again(other), "{other}");
        }
        for yes in ["Yes.", "Yes, please.", "Go on.", "Yes, go on.", "Continue."] {
            assert!(is_go_on(yes), "{yes}");
        }
        for other in ["No.", "Yes, turn on the light.", "Go to bed.", "What is on?"] {
            assert!(!is_go_on(other), "{other}");
        }
    }
}
