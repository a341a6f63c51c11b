//! Words that have no part in a wish, words that make more of it than a wish for now, and clauses that only tell something.

/// Words with which a wish is dressed.
#[rustfmt::skip]
const FILLERS: &[&str] = &[
    "the", "a", "an", "my", "our", "your", "his", "her", "their", "its", "this", "that", "these", "those", "some", "any", "all",
    "every", "each", "both", "of", "in", "on", "to", "at", "for", "with", "and", "then", "it", "them", "i", "we", "you", "me",
    "us", "please", "is", "are", "be", "been", "being", "so", "too", "just", "now", "again", "back", "bit", "little", "lot", "quite", "very",
    "really", "want", "wants", "need", "needs", "like", "love", "would", "could", "can", "will", "may", "should", "must", "there", "here", "one", "ones",
    "get", "got", "let", "lets", "have", "has", "give", "put", "set", "make", "turn", "switch", "flip", "flick", "pop", "throw", "chuck",
    "slap", "stick", "bring", "take", "hit", "go", "goes", "come", "keep", "leave", "do", "thing", "things", "right", "ok", "okay", "hey",
    "well", "alright", "quick", "quickly", "kindly", "mate", "love", "dear", "darling", "buddy", "thanks", "thank", "time", "pair", "whole", "entire",
    "over", "up", "down", "out", "into", "onto", "as", "sure", "mind", "possible", "today", "already", "also", "still", "about",
    "percent", "degrees", "degree", "celsius", "brightness", "level", "speed", "position", "volume", "color", "colour", "temperature", "state", "ahead",
    "straight", "away", "everyone", "everybody", "someone", "somebody", "how", "care", "think", "guess", "maybe", "perhaps", "able", "moment", "second", "nice",
    "good", "great", "wonderful", "lovely", "cool", "way", "while", "other", "which", "what", "dear", "am", "going", "gonna", "wanna", "gotta", "ought",
    "'s", "s", "im", "id", "ready", "appreciate", "grateful", "great", "job", "shade", "tone", "hue", "deep", "blow", "blowing", "move", "moving", "favour", "favor", "honour", "honours",
];

/// Whether a word has no part in a wish.
pub(super) fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word)
}

/// Words that deny, put off, ask, or tell of what was.
#[rustfmt::skip]
const GATES: &[&str] = &[
    "not", "never", "no", "nobody", "none", "nothing", "without", "except", "excluding", "unless", "if", "when", "whenever", "until",
    "till", "once", "after", "before", "while", "later", "tomorrow", "tonight", "yesterday", "was", "were", "did", "had", "or", "instead", "only", "why",
    "who", "whose", "whom", "where", "what", "which", "how", "does", "pretend", "imagine", "suppose", "ignore", "story", "joke", "song", "poem", "explain", "mean",
    "remember", "remind", "timer", "alarm", "add", "list", "says", "said", "told", "asked", "wonder", "know", "cancel", "always", "twice", "times", "add", "left", "brighter than", "monday", "tuesday",
    "wednesday", "thursday", "friday", "saturday", "sunday", "o'clock", "oclock", "minute", "minutes", "hour", "hours", "half-hour", "than", "else", "forget",
];

/// Whether a request begins as a question does.
pub(super) fn asks(words: &[&str]) -> bool {
    const ASKS: &[&str] = &[
        "is", "are", "am", "has", "have", "does", "did", "do", "will", "would", "should", "shall", "may", "any",
        "tell", "show", "say",
    ];
    words.first().is_some_and(|first| ASKS.contains(first))
}

/// Whether more is said than a wish for now.
pub(super) fn is_gate(words: &[&str]) -> bool {
    asks(words) || words.iter().any(|w| GATES.contains(w))
}

/// Whether a clause only tells something: of somebody, or how something is.
pub(super) fn is_remark(clause: &[&str]) -> bool {
    const WHO: &[&str] = &[
        "i",
        "we",
        "he",
        "she",
        "they",
        "it",
        "there",
        "this",
        "that",
        "the",
        "my",
        "our",
        "you",
        "everyone",
        "everybody",
        "somebody",
        "someone",
    ];
    const IS: &[&str] = &[
        "is", "are", "am", "has", "have", "feel", "feels", "looks", "smells", "seems", "forgot", "left", "going",
        "heading",
    ];
    let is_short = clause.len() <= 3 && clause.iter().all(|w| is_filler(w));
    is_short || clause.first().is_some_and(|w| WHO.contains(w)) && clause.iter().any(|w| IS.contains(w))
}

/// Words that set a mode, a direction or a degree, which no wish may leave out.
#[rustfmt::skip]
const MEANINGFUL: &[&str] = &[
    "low", "medium", "high", "quiet", "turbo", "eco", "auto", "boost", "reverse", "forward", "oscillate", "swing", "tilt", "slats", "slat", "cool",
    "heat", "heating", "cooling", "dry", "fan", "half", "third", "quarter", "fifth", "less", "more", "most", "few", "slightly", "somewhat", "others", "rest", "every",
    "except", "but", "halfway", "gently", "slowly", "faster", "slower", "bluetooth", "aux", "hdmi", "playlist", "album", "channel", "source", "input", "morning", "evening", "night", "day",
];

/// Whether a word says more than how a wish is dressed.
pub(super) fn is_meaningful(word: &str) -> bool {
    MEANINGFUL.contains(&word)
}
