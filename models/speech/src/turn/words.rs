//! What the words so far tell of whether a turn is complete: English, by the last words, the first one, and the mark behind them. A
//! recognizer that was trained on written text ends what it hears with a full stop even where the speaker breaks off, so the words
//! count before the mark; without a mark, or with dots, it has heard that something is missing.

/// Words after which a sentence goes on.
#[rustfmt::skip]
const GOES_ON: &[&str] = &[
    // Conjunctions and question words.
    "and", "or", "but", "because", "if", "than", "whether", "while", "although", "unless", "until", "since", "so", "then",
    "who", "which", "whose", "when", "where", "what", "how", "why", "that",
    // Articles, prepositions, possessives.
    "the", "a", "an", "of", "to", "for", "with", "from", "at", "into", "between", "during", "without", "about", "like", "by", "via", "as", "per", "on", "in",
    "my", "your", "our", "their", "his", "every", "each", "some", "any", "another",
    // Adverbs, auxiliaries, pronouns.
    "very", "really", "also", "maybe", "please", "just", "only",
    "is", "are", "was", "were", "will", "would", "could", "should", "can", "may", "does", "did", "has", "have", "be", "am", "do",
    "i", "we", "they", "i'm", "i'd", "i'll", "let's", "there's", "what's", "it's", "you're",
    // Fillers.
    "um", "uh", "uhm", "er", "erm", "hmm", "hm", "well", "wait",
];

/// Words of these with which a question may end: "Who is she?", "What time is that?"
#[rustfmt::skip]
const ENDS_QUESTION: &[&str] = &[
    "she", "he", "they", "i", "we", "is", "are", "was", "were", "am", "do", "does", "did", "has", "have", "be", "can", "could", "will",
    "would", "should", "that", "who", "what",
];

/// Prepositions with which a short question may end: "Where are you from?"
const ENDS_SHORT_QUESTION: &[&str] = &["from", "for", "about", "like", "at", "in", "with", "to", "on", "of"];

/// Verbs that want an object.
#[rustfmt::skip]
const WANTS_OBJECT: &[&str] = &[
    "tell", "call", "take", "play", "set", "turn", "add", "send", "read", "show", "make", "find", "remind", "translate", "lock",
    "unlock", "open", "close", "put", "give", "get", "bring", "ask", "write", "want", "need", "know", "think", "listen", "switch",
    "wake", "explain", "order", "buy", "bake", "describe", "name", "start", "drive",
];

/// Words that begin a question, also within a sentence.
const QUESTIONS: &[&str] = &["how", "what", "when", "where", "which", "who", "why"];

/// Beginnings that are no request of their own, however they are marked.
#[rustfmt::skip]
const OPENINGS: &[&[&str]] = &[
    &["can", "you"], &["could", "you"], &["would", "you"], &["i", "would", "like"], &["i'd", "like"], &["turn", "off"],
    &["how", "much"], &["how", "many"], &["how", "long"], &["what", "time"], &["what", "kind"], &["i", "wonder"], &["hey"],
    &["okay", "so"], &["let", "me", "think"], &["i", "have", "a", "question"],
];

/// What is complete though it is short.
#[rustfmt::skip]
const COMPLETE: &[&[&str]] = &[
    &["yes"], &["no"], &["stop"], &["cancel"], &["okay"], &["ok"], &["sure"], &["thanks"], &["thank", "you"], &["hello"], &["hi"],
    &["good", "morning"], &["good", "evening"], &["good", "night"], &["goodbye"], &["never", "mind"], &["louder"], &["quieter"],
    &["yes", "please"], &["no", "thanks"], &["do", "it"], &["go", "on"], &["repeat", "that"],
];

/// Conjunctions that begin a clause to which another belongs: "When I get home".
const SUBORDINATES: &[&str] = &["when", "if", "while", "because", "after", "before", "since"];

/// Verbs of requests, and the words of which they want one: "Turn the volume", "Remind me tomorrow".
#[rustfmt::skip]
const WANTS: &[(&str, &[&str])] = &[
    ("turn", PARTICLES), ("switch", PARTICLES), ("put", PARTICLES), ("translate", &["to", "into", "in"]),
    ("remind", REMINDERS), ("reminds", REMINDERS), ("set", &["to", "for", "at", "on", "off", "as"]),
    ("wake", &["at", "in", "when", "by", "now"]),
];

const REMINDERS: &[&str] = &["to", "that", "about", "of", "in", "at"];

const PARTICLES: &[&str] =
    &["on", "off", "up", "down", "to", "over", "around", "out", "in", "into", "back", "away", "left", "right"];

/// Those of the verbs that a number serves as well: "Set the timer ten minutes."
const WANTS_OR_NUMBER: &[&str] = &["set", "wake"];

/// What recognizers write for "for" and "to" where the speaker breaks off behind them: "Set a timer 4."
const SOUNDS_LIKE_A_PREPOSITION: &[&str] = &["4", "four", "2", "two"];

/// Words before "end", where it is none and not a broken off "and": "Turn it down a little end."
const BEFORE_END: &[&str] =
    &["the", "an", "this", "that", "week", "year", "month", "my", "will", "to", "should", "it", "does", "did"];

/// Verbs with which "How do I ..." may end.
const ENDS_HOW: &[&str] =
    &["look", "sound", "start", "begin", "know", "help", "win", "relax", "sleep", "go", "pay", "vote", "do"];

/// Verbs with which "in" may end a request: "Bring the washing in."
const ENDS_IN: &[&str] = &["bring", "take", "let", "put", "come", "call"];

#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "fifteen", "twenty",
    "thirty", "forty", "fifty", "sixty", "half", "quarter", "noon", "midnight",
];

/// A request without what makes it one politely: "could you", "please".
fn plain<'a, 'b>(words: &'b [&'a str]) -> &'b [&'a str] {
    match words {
        ["please", rest @ ..] => plain(rest),
        ["can" | "could" | "would" | "will", "you", rest @ ..] => plain(rest),
        _ => words,
    }
}

/// Whether a request lacks what its verb or its last words want.
fn lacks_something(words: &[&str], is_question: bool) -> bool {
    let request = plain(words);
    let Some(verb) = request.first() else { return false };
    let is_number = |w: &&&str| w.starts_with(|c: char| c.is_ascii_digit()) || NUMBERS.contains(*w);
    let is_cut_off = words.last().is_some_and(|last| SOUNDS_LIKE_A_PREPOSITION.contains(last));
    let has_number = || request.iter().filter(is_number).count() > usize::from(is_cut_off);
    let wanted = WANTS.iter().find(|(of, _)| of == verb).map(|(_, wanted)| wanted);
    let lacks = wanted.is_some_and(|wanted| {
        !(request.iter().any(|word| wanted.contains(word)) || WANTS_OR_NUMBER.contains(verb) && has_number())
    });
    let ends = |with: &[&str]| words.ends_with(with);
    let is_between_one = || {
        request.iter().position(|word| *word == "between").is_some_and(|at| {
            // "Between the two", "between them": both are said.
            !request[at..]
                .iter()
                .any(|word| matches!(*word, "and" | "two" | "both" | "them" | "these" | "those" | "us"))
        })
    };
    // "How do I reset": "the router".
    let is_open_how = || {
        let end = words.len().saturating_sub(4);
        matches!(&words[end..], ["how", "do" | "can" | "should", "i" | "we", verb] if !ENDS_HOW.contains(verb))
    };
    // "Could you make it a bit", "What time does that", "Add the following", "What is the difference between tea".
    lacks
        || is_open_how()
        || is_between_one()
        || request.contains(&"make") && (ends(&["a", "bit"]) || ends(&["a", "little"]))
        || !is_question && request.contains(&"following")
        || words.len() > 2
            && *verb != "who"
            && matches!(words[words.len() - 2], "does" | "do" | "did")
            && matches!(words[words.len() - 1], "that" | "this" | "it" | "these" | "those")
}

/// The probability that a speaker has finished who has said what is a whole by more than its words, as a command that means one thing
/// only; also that of a whole question.
pub const WHOLE: f32 = 0.97;

/// The probability, 0 to 1, that a speaker who has said `text` and pauses has finished. `text` is a transcript so far.
pub fn completeness(text: &str) -> f32 {
    let text = text.trim().trim_end_matches(['"', '\'', '”', ')']);
    let lower = text.to_lowercase().replace('\u{2019}', "'");
    let all = lower.trim_end_matches(['.', '?', '!', '…', ',', '-', '–', '—', ';', ':', ' ']);
    let mark = lower[all.len()..].trim();
    let sentence = all.rsplit(['.', '?', '!']).next().unwrap_or_default();
    let words: Vec<&str> =
        sentence.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty()).collect();
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return 0.4 };
    let n = words.len();
    let is_question = mark.starts_with('?');
    let is_cut = mark.starts_with("..") || mark.starts_with(['…', '-', '–', '—', ',', ';', ':']);
    if COMPLETE.contains(&words.as_slice()) && !is_cut {
        return 0.85;
    }
    // "Switch the heating on."
    let ends_in = *last != "in" || plain(&words).first().is_some_and(|verb| ENDS_IN.contains(verb));
    let is_particle = matches!(*last, "on" | "in" | "off") && ends_in && n >= 5 && !is_question && !mark.is_empty();
    let ends_question = is_question
        && (n > 2 && ENDS_QUESTION.contains(last) || (3..=5).contains(&n) && ENDS_SHORT_QUESTION.contains(last));
    // "Explain what a volcano is."
    let ends_indirect_question = matches!(*last, "is" | "are" | "was" | "were")
        && mark == "."
        && words[..n - 1].iter().rev().skip(1).take(4).any(|word| QUESTIONS.contains(word));
    if *last == "end" && n > 2 && !BEFORE_END.contains(&words[n - 2]) {
        return 0.1;
    }
    if GOES_ON.contains(last) && !is_particle && !ends_question && !ends_indirect_question {
        return 0.03;
    }
    if OPENINGS.contains(&words.as_slice()) {
        return 0.05;
    }
    let verb = if *last == "me" && n > 1 { words[n - 2] } else { last };
    // "How long does it take?" has its object in front.
    let has_object = is_question && n >= 4 && QUESTIONS.contains(first);
    if WANTS_OBJECT.contains(&verb) && !has_object {
        return 0.12;
    }
    if lacks_something(&words, is_question) {
        return 0.12;
    }
    let is_subordinate = SUBORDINATES.contains(first) && !is_question && n <= 6 && !all.contains(',');
    if is_cut || is_subordinate {
        return 0.1;
    }
    // A recognizer that writes neither capitals nor marks tells nothing by leaving a mark out.
    let is_plain = mark.is_empty() && text.starts_with(char::is_lowercase);
    match (mark.is_empty(), is_question) {
        (true, _) if n >= 6 || is_plain && n >= 4 => 0.74,
        (true, _) => 0.35,
        (_, true) if n >= 4 => WHOLE,
        (_, true) => 0.75,
        _ if n >= 6 => 0.86,
        // A question that was asked with a falling voice: "Who won the football game."
        _ if n >= 4 && QUESTIONS.contains(first) => 0.86,
        _ if n >= 4 => 0.8,
        _ if n == 3 => 0.75,
        _ if n == 2 => 0.7,
        _ => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_sentence_is_complete_and_one_that_breaks_off_is_not() {
        for whole in [
            "What is the capital of France?",
            "Turn off the lights.",
            "How old is she?",
            "Where are you from?",
            "Explain what a volcano is.",
            "Tell me who that man was.",
            "How long does it take?",
            "Which one do you want?",
            "When I get home, please switch the heating on.",
            "Do you know what time it is?",
            "Stop.",
            "Yes, please!",
            "Could you turn the volume down a little?",
            "Remind me to call my sister.",
            "Set a timer for ten minutes.",
            "Please bring the washing in.",
            "Could you make the bedroom a bit warmer?",
            "How does it work?",
            "What is the difference between tea and coffee?",
            "What is the difference between them?",
            "Set the volume to 4.",
            "Play it to the end.",
            "How do I look?",
            "How do I reset the router?",
        ] {
            assert!(completeness(whole) >= 0.8, "{whole}");
        }
        for part in [
            "What is the capital of...",
            "Set a timer 4.",
            "Reminds me tomorrow.",
            "Turn the volume down a little end.",
            "So, how do I reset?",
            "Turn off the lights and",
            "Turn off the lights and.",
            "I want to know, um",
            "Remind me to call my",
            "Remind me to call.",
            "Remind me.",
            "Tell me",
            "How long does it take to drive from?",
            "When I get home.",
            "It was in the kitchen,",
            "The kitchen lamp, the hall lamp —",
            "Turn the volume.",
            "Please switch the lamp.",
            "Could you make the bedroom a bit?",
            "Remind me tomorrow.",
            "Translate the sentence.",
            "Set an alarm.",
            "Put the following on my list.",
            "What time does that?",
            "What is the difference between tea?",
            "I wonder how many animals live in.",
        ] {
            assert!(completeness(part) < 0.2, "{part}");
        }
        for unsure in ["Tomorrow.", "Turn it off.", "set a timer for ten minutes", "is the front door locked", ""] {
            assert!((0.3..0.8).contains(&completeness(unsure)), "{unsure}");
        }
    }
}
