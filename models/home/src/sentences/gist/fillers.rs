//! Words that have no part in a wish, words that make more of it than a wish for now, and courtesies.

/// Words with which a wish is dressed.
#[rustfmt::skip]
const FILLERS: &[&str] = &[
    "the", "a", "an", "my", "our", "your", "his", "her", "their", "its", "this", "that", "these", "those", "some", "any", "all",
    "every", "each", "both", "of", "in", "on", "to", "at", "for", "with", "and", "then", "it", "them", "i", "we", "you", "me", "us",
    "please", "is", "are", "be", "been", "being", "so", "too", "just", "now", "again", "back", "bit", "little", "lot", "quite", "very",
    "really", "want", "wants", "need", "needs", "like", "love", "would", "could", "can", "will", "may", "should", "must", "there",
    "here", "one", "ones", "get", "got", "let", "lets", "have", "has", "give", "put", "set", "make", "turn", "switch", "flip", "flick",
    "pop", "throw", "chuck", "slap", "stick", "bring", "take", "hit", "go", "goes", "come", "keep", "leave", "do", "thing", "things",
    "right", "ok", "okay", "hey", "well", "alright", "quick", "quickly", "kindly", "mate", "dear", "darling", "buddy", "thanks",
    "thank", "time", "pair", "whole", "entire", "over", "up", "down", "out", "into", "onto", "as", "sure", "mind", "possible", "today",
    "already", "also", "still", "about", "percent", "degrees", "degree", "celsius", "brightness", "level", "speed", "position",
    "volume", "color", "colour", "temperature", "state", "ahead", "straight", "away", "everyone", "everybody", "someone", "somebody",
    "how", "care", "think", "guess", "maybe", "perhaps", "able", "nice", "good", "great", "wonderful", "lovely", "cool", "way",
    "while", "other", "which", "what", "am", "going", "gonna", "wanna", "gotta", "ought", "'s", "s", "im", "id", "ready", "appreciate",
    "grateful", "job", "shade", "tone", "hue", "deep", "blow", "blowing", "move", "moving", "favour", "favor", "honour", "honours",
];

/// Whether a word has no part in a wish.
pub(super) fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word)
}

/// Words that deny, put off, ask, or tell of what was.
#[rustfmt::skip]
const GATES: &[&str] = &[
    "not", "never", "no", "nobody", "none", "nothing", "without", "except", "excluding", "unless", "if", "when", "whenever", "until",
    "till", "once", "after", "before", "while", "later", "tomorrow", "tonight", "yesterday", "was", "were", "did", "had", "or",
    "instead", "only", "why", "who", "whose", "whom", "where", "what", "which", "how", "does", "pretend", "imagine", "suppose",
    "ignore", "story", "joke", "song", "poem", "explain", "mean", "remember", "remind", "timer", "alarm", "add", "list", "says",
    "said", "told", "asked", "wonder", "know", "cancel", "always", "twice", "times", "left", "monday", "tuesday", "wednesday",
    "thursday", "friday", "saturday", "sunday", "o'clock", "oclock", "minute", "minutes", "hour", "hours", "half-hour", "than", "else",
    "forget", "noon", "midday", "midnight", "afternoon", "weekend", "weekends", "week", "weeks", "day", "days", "month", "months",
    "soon", "sometime", "someday", "eventually", "daily", "nightly", "weekly", "hourly", "seconds", "moment", "moments", "sunset",
    "sunrise", "dawn", "dusk", "hate", "hates", "broke", "broken", "kidding", "joking", "wait", "nor", "neither", "dangerous",
    "unsafe", "risky", "forbidden", "mistake", "wrong",
];

/// Whether a request, or what stands behind a comma in it, begins as a question does.
pub(super) fn asks(words: &[&str]) -> bool {
    const ASKS: &[&str] = &[
        "is", "are", "am", "has", "have", "does", "did", "do", "will", "would", "should", "shall", "may", "any",
        "tell", "show", "say",
    ];
    let is_behind = |w: &[&str]| w[0] == "," && matches!(w[1], "is" | "are" | "does" | "did" | "has" | "have");
    words.first().is_some_and(|first| ASKS.contains(first)) || words.windows(2).any(is_behind)
}

/// Whether more is said than a wish for now.
pub(super) fn is_gate(words: &[&str]) -> bool {
    let is_gate = |at: usize| {
        // "Call it a day" is to stop.
        GATES.contains(&words[at]) && !(words[at] == "day" && words[..at].ends_with(&["call", "it", "a"]))
    };
    // "The lights that are on": which these are depends on how things are.
    let is_told_apart = |w: &[&str]| matches!(w, ["that" | "which" | "who", "is" | "are" | "was" | "were"]);
    asks(words) || (0..words.len()).any(is_gate) || is_for_a_while(words) || words.windows(2).any(is_told_apart)
}

/// Whether something is wished for a short time that nobody measures: "for a moment".
pub(super) fn is_for_a_while(words: &[&str]) -> bool {
    let is_short = |w: &[&str]| {
        matches!(
            w,
            ["for" | "in", "a" | "one", "second" | "sec" | "bit" | "moment" | "minute" | "while"]
                | ["for", "a", "little" | "short"]
        )
    };
    words.windows(3).any(is_short)
}

/// Whether a clause is nothing but a courtesy: "please", "thank you".
pub(super) fn is_courtesy(clause: &[&str]) -> bool {
    let is_kind = |w: &&str| {
        matches!(
            *w,
            "please" | "thanks" | "thank" | "you" | "now" | "ok" | "okay" | "hey" | "well" | "alright" | "right"
        ) || matches!(*w, "mate" | "love" | "dear" | "darling" | "buddy" | "just" | "kindly")
    };
    clause.len() <= 3 && clause.iter().all(is_kind)
}

/// Words that set a mode, a direction or a degree, which no wish may leave out.
#[rustfmt::skip]
const MEANINGFUL: &[&str] = &[
    "low", "medium", "high", "quiet", "turbo", "eco", "auto", "boost", "reverse", "forward", "oscillate", "swing", "tilt", "slats",
    "slat", "cool", "heat", "heating", "cooling", "dry", "fan", "half", "third", "quarter", "fifth", "less", "more", "most", "few",
    "slightly", "somewhat", "others", "rest", "every", "except", "but", "halfway", "gently", "slowly", "faster", "slower", "bluetooth",
    "aux", "hdmi", "playlist", "album", "channel", "source", "input", "morning", "evening", "night", "day",
];

/// Whether a word says more than how a wish is dressed.
pub(super) fn is_meaningful(word: &str) -> bool {
    MEANINGFUL.contains(&word)
}
