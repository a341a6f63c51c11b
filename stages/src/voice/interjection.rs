//! Short sounds while a reply is being spoken: a cough, "mhm", "wait", or a question. The loudspeaker is held as soon as somebody speaks;
//! what they said decides whether the reply goes on where it stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::flow::{Cancel, Turn};

/// Characters of the reply under way that are kept, at least: an echo is of what was said last.
const KEPT_CHARS: usize = 400;

/// How often one looks who waits.
const LOOK: Duration = Duration::from_millis(5);

/// The most words of an interjection.
const MOST_WORDS: usize = 4;

/// The most words that anybody says in a second: a recognizer that writes more has made them up from a short sound.
const MOST_WORDS_A_SECOND: f32 = 9.0;

/// What is said to show that one listens.
#[rustfmt::skip]
const LISTENING: &[&str] = &[
    "mm", "mmm", "mhm", "mmhm", "hmm", "hm", "uh", "huh", "um", "ah", "oh", "ooh", "aha", "ha", "haha", "wow", "i", "see", "got", "it", "really",
    "interesting", "exactly", "nice", "cool",
];

/// What is said to show that one agrees, or answers a question with.
const AGREEING: &[&str] =
    &["yeah", "yep", "yes", "sure", "okay", "ok", "right", "alright", "all", "fine", "good", "great"];

/// What holds the reply.
#[rustfmt::skip]
const WAIT: &[&str] = &[
    "wait", "wait wait", "wait please", "please wait", "hold on", "hang on", "pause", "one moment", "one second", "one sec", "just a moment",
    "just a second", "just a sec", "just a minute", "wait a moment", "wait a second", "wait a sec", "wait a minute", "hold on a second",
    "hold on a moment", "hang on a second", "hang on a minute", "hold that thought",
];

/// What lets a held reply go on.
#[rustfmt::skip]
const GO_ON: &[&str] = &[
    "go on", "go ahead", "continue", "carry on", "keep going", "please continue", "please go on", "okay go on", "ok go on", "go on please",
    "resume", "i'm back", "i'm listening",
];

/// What was said while a reply was being spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interjection {
    /// No word: a cough, a door.
    Noise,
    /// Somebody shows that they listen.
    Listening,
    /// Words of the reply itself, which the microphone has heard from the loudspeaker.
    Echo,
    /// The reply is to wait.
    Wait,
    /// The reply is to go on.
    GoOn,
    /// Something that the assistant has to answer.
    Speech,
}

/// Holds the loudspeaker while somebody speaks; shared by who listens and who plays.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_held: AtomicBool,
    said: Mutex<Said>,
}

/// The reply under way, as far as it went to the loudspeaker.
#[derive(Debug, Default)]
struct Said {
    turn: Option<Turn>,
    /// Its clauses, a line each.
    text: String,
    asks: bool,
}

impl Hold {
    /// Whether nothing is to be heard of the reply just now.
    pub fn is_held(&self) -> bool {
        self.0.is_held.load(Ordering::Acquire)
    }

    /// Holds the reply where it is.
    pub fn hold(&self) {
        self.0.is_held.store(true, Ordering::Release);
    }

    /// Lets the reply go on.
    pub fn release(&self) {
        self.0.is_held.store(false, Ordering::Release);
    }

    /// Waits until the reply may go on, or is cancelled.
    pub fn wait(&self, cancel: &Cancel) {
        while self.is_held() && !cancel.is_cancelled() {
            std::thread::sleep(LOOK);
        }
    }

    /// A clause of the reply of `turn` goes to the loudspeaker.
    pub fn saying(&self, turn: Turn, clause: &str) {
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.turn != Some(turn) {
            *said = Said { turn: Some(turn), ..Said::default() };
        }
        said.asks |= clause.contains('?');
        said.text.push('\n');
        said.text.push_str(clause);
        if said.text.len() > 2 * KEPT_CHARS {
            let from = said.text.ceil_char_boundary(said.text.len() - KEPT_CHARS);
            said.text.drain(..from);
        }
    }

    /// What `text` is, said within `time` while the reply was being spoken; `waits`: somebody has asked it to.
    pub fn judge(&self, text: &str, time: Duration, waits: bool) -> Interjection {
        let said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = words(text);
        let phrase = heard.join(" ");
        // Whisper writes "you" for sounds that are no speech.
        let is_too_fast = heard.len() as f32 > (MOST_WORDS_A_SECOND * time.as_secs_f32()).max(1.0);
        if heard.is_empty() || phrase == "you" || is_too_fast {
            return Interjection::Noise;
        }
        if super::converse::dismissed(text).is_some() || matches!(phrase.as_str(), "no" | "don't") {
            return Interjection::Speech;
        }
        if said.text.lines().any(|clause| words(clause) == heard) {
            return Interjection::Echo;
        }
        if WAIT.contains(&phrase.as_str()) {
            return Interjection::Wait;
        }
        // "Shall I go on?" "Go on."
        let is_answer = said.asks && !waits;
        if GO_ON.contains(&phrase.as_str()) && !is_answer {
            return Interjection::GoOn;
        }
        let agrees = |word: &String| AGREEING.contains(&word.as_str());
        // "Nmm", "hmph": however it is written, it is no word.
        let is_hum =
            |word: &String| word.len() <= 5 && word.contains(['m', 'h']) && word.chars().all(|c| "mhnpfr".contains(c));
        let listens = |word: &String| LISTENING.contains(&word.as_str()) || is_hum(word);
        let is_short = heard.len() <= MOST_WORDS && !text.contains('?');
        if is_short && heard.iter().all(|word| listens(word) || agrees(word) && !said.asks) {
            return Interjection::Listening;
        }
        if !is_answer && words(&said.text).windows(heard.len()).any(|run| run == heard) {
            return Interjection::Echo;
        }
        Interjection::Speech
    }
}

/// The words of a text, without what stands in brackets or between asterisks: recognizers write sounds so.
fn words(text: &str) -> Vec<String> {
    let mut spoken = String::with_capacity(text.len());
    let (mut depth, mut is_starred) = (0usize, false);
    for c in text.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            '*' => is_starred = !is_starred,
            _ if depth == 0 && !is_starred => spoken.push(c),
            _ => {}
        }
    }
    super::converse::words_of(&spoken.replace('\u{2019}', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn while_saying(clause: &str) -> Hold {
        let hold = Hold::default();
        hold.saying(Turn(1), "An earlier reply, of which nothing counts any more?");
        hold.saying(Turn(2), clause);
        hold
    }

    #[test]
    fn what_is_said_into_a_reply_is_told_apart() {
        let hold = while_saying("The capital of France is Paris, a city on the Seine.");
        for (text, what) in [
            ("", Interjection::Noise),
            ("[coughs]", Interjection::Noise),
            (" (coughing) ", Interjection::Noise),
            ("*sneezes*", Interjection::Noise),
            ("you", Interjection::Noise),
            ("Mm-hmm.", Interjection::Listening),
            ("NMM", Interjection::Listening),
            ("Okay.", Interjection::Listening),
            ("Oh, I see.", Interjection::Listening),
            ("Yeah, right.", Interjection::Listening),
            ("a city on", Interjection::Echo),
            ("Paris.", Interjection::Echo),
            ("Wait.", Interjection::Wait),
            ("Hold on a second.", Interjection::Wait),
            ("Go on.", Interjection::GoOn),
            ("Stop.", Interjection::Speech),
            ("Стоп", Interjection::Speech),
            ("TV.", Interjection::Speech),
            ("No.", Interjection::Speech),
            ("Thank you.", Interjection::Speech),
            ("Really?", Interjection::Speech),
            ("Okay, turn off the light.", Interjection::Speech),
            ("Wait, what about Berlin?", Interjection::Speech),
            ("And the capital of Spain?", Interjection::Speech),
        ] {
            assert_eq!(hold.judge(text, Duration::from_secs(1), false), what, "{text:?}");
        }
        assert_eq!(hold.judge("I bought a ham.", Duration::from_millis(300), false), Interjection::Noise);
        assert_eq!(hold.judge("Stop.", Duration::from_millis(90), false), Interjection::Speech);
    }

    #[test]
    fn agreement_answers_a_reply_that_asks() {
        let hold = while_saying("It is getting late. Shall I close the blinds?");
        assert_eq!(hold.judge("Yes.", Duration::from_secs(1), false), Interjection::Speech);
        assert_eq!(hold.judge("Okay.", Duration::from_secs(1), false), Interjection::Speech);
        assert_eq!(hold.judge("Mm-hmm.", Duration::from_secs(1), false), Interjection::Listening);
        assert_eq!(
            hold.judge("The blinds.", Duration::from_secs(1), false),
            Interjection::Speech,
            "it may be the answer"
        );
        hold.saying(Turn(3), "The blinds are closed.");
        assert_eq!(hold.judge("Okay.", Duration::from_secs(1), false), Interjection::Listening);
    }

    #[test]
    fn of_a_long_reply_the_end_is_kept() {
        let hold = Hold::default();
        (0..1_000).for_each(|n| hold.saying(Turn(1), &format!("Über die Straße geht die Nummer {n}.")));
        assert!(hold.0.said.lock().unwrap().text.len() <= 2 * KEPT_CHARS);
        assert_eq!(hold.judge("die Nummer 999", Duration::from_secs(1), false), Interjection::Echo);
        assert_eq!(hold.judge("die Nummer 3", Duration::from_secs(1), false), Interjection::Speech);
    }

    #[test]
    fn a_request_to_stop_is_one_though_the_reply_has_the_word_and_a_filler_is_no_request_to_wait() {
        let hold = while_saying("The bus stop is near the church.");
        let judge = |text: &str, waits| hold.judge(text, Duration::from_secs(1), waits);
        assert_eq!(judge("Stop.", false), Interjection::Speech);
        assert_eq!(judge("No.", false), Interjection::Speech);
        assert_eq!(judge("the bus stop", false), Interjection::Echo);
        assert_eq!(judge("One moment.", false), Interjection::Wait);
        hold.saying(Turn(2), "One moment.");
        assert_eq!(judge("One moment.", false), Interjection::Echo, "the microphone has heard the loudspeaker");
        hold.saying(Turn(2), "Shall I go on?");
        assert_eq!(judge("Go on.", false), Interjection::Speech, "it is the answer");
        assert_eq!(judge("Go on.", true), Interjection::GoOn);
    }
}
