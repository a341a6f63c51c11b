//! States as words, and the numbers that stand for them in the store: two states are 0 and 1; others have a code that is made
//! from the word alone, so that it is the same after a restart and on another machine.

use crate::kind::Kind;

/// Pairs of states: what is 0, what is 1.
const PAIRS: &[(&str, &str)] = &[
    ("off", "on"),
    ("closed", "open"),
    ("close", "open"),
    ("closed", "opened"),
    ("false", "true"),
    ("no", "yes"),
    ("not home", "home"),
    ("away", "home"),
    ("clear", "detected"),
    ("clear", "motion"),
    ("locked", "unlocked"),
    ("dry", "wet"),
    ("free", "occupied"),
    ("vacant", "occupied"),
    ("disconnected", "connected"),
    ("offline", "online"),
    ("inactive", "active"),
    ("aus", "an"),
    ("aus", "ein"),
    ("zu", "auf"),
    ("geschlossen", "offen"),
    ("geschlossen", "geöffnet"),
    ("nein", "ja"),
    ("fermé", "ouvert"),
    ("cerrado", "abierto"),
    ("stopped", "running"),
];

/// Words of devices with more states, in the order of their codes: never change the order, it is in the stores.
const WORDS: &[&str] = &[
    "off",
    "on",
    "heat",
    "cool",
    "auto",
    "dry",
    "fan only",
    "heat cool",
    "idle",
    "heating",
    "cooling",
    "drying",
    "fan",
    "preheating",
    "defrosting",
    "playing",
    "paused",
    "standby",
    "buffering",
    "cleaning",
    "docked",
    "returning",
    "error",
    "charging",
    "discharging",
    "not charging",
    "full",
    "opening",
    "closing",
    "open",
    "closed",
    "stopped",
    "armed home",
    "armed away",
    "armed night",
    "disarmed",
    "triggered",
    "pending",
    "arming",
    "sunny",
    "cloudy",
    "partlycloudy",
    "rainy",
    "pouring",
    "snowy",
    "clear night",
    "fog",
    "windy",
    "lightning",
    "above horizon",
    "below horizon",
    "running",
    "washing",
    "rinsing",
    "spinning",
    "finished",
    "low",
    "medium",
    "high",
    "eco",
    "comfort",
    "boost",
    "away",
    "home",
    "sleep",
    "manual",
    "single",
    "double",
    "hold",
    "long",
    "locked",
    "unlocked",
    "locking",
    "unlocking",
    "jammed",
    "normal",
    "warning",
    "critical",
    "good",
    "fair",
    "poor",
    "excellent",
    "ready",
    "printing",
    "not home",
    "online",
    "offline",
];

/// Codes of words that are spelled: above all others.
const SPELLED: f64 = 1000.0;
/// The letters of spelled words; a word is a number to this base.
const LETTERS: &[u8; 38] = b" abcdefghijklmnopqrstuvwxyz0123456789.";
/// Letters of a spelled word: 38^9 < 1e15, the largest value.
const MAX_SPELLED: usize = 9;

/// A state as it is told: lower case, spaces for underscores. `None` for what is no word of a state.
pub fn word(text: &str) -> Option<String> {
    let text = text.trim();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if letters < 2 || text.chars().count() > 32 || text.split([' ', '_', '-']).count() > 4 {
        return None;
    }
    if !text.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-')) {
        return None;
    }
    let tidy: String = text.to_lowercase().chars().map(|c| if matches!(c, '_' | '-') { ' ' } else { c }).collect();
    Some(tidy.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The pair to which a word belongs, and whether it is its 1.
pub fn pair(word: &str) -> Option<([&'static str; 2], bool)> {
    PAIRS.iter().find(|(no, yes)| *no == word || *yes == word).map(|(no, yes)| ([*no, *yes], *yes == word))
}

/// What off and on mean for a binary sensor of Home Assistant's class.
pub fn of_device_class(class: &str) -> Option<[&'static str; 2]> {
    Some(match class {
        "door" | "garage_door" | "opening" | "window" => ["closed", "open"],
        "motion" | "occupancy" | "gas" | "smoke" | "carbon_monoxide" | "sound" | "vibration" | "tamper" => {
            ["clear", "detected"]
        }
        "presence" => ["away", "home"],
        "moisture" => ["dry", "wet"],
        "lock" => ["locked", "unlocked"],
        "connectivity" => ["disconnected", "connected"],
        "plug" => ["unplugged", "plugged in"],
        "problem" => ["ok", "problem"],
        _ => return None,
    })
}

/// The kind of a sensor whose states are these words, and what its 0 and 1 are called.
pub fn kind_of<'a>(words: impl Iterator<Item = &'a str> + Clone) -> (Kind, [&'static str; 2]) {
    let fits = |(no, yes): &&(&str, &str)| words.clone().all(|w| w == *no || w == *yes);
    match PAIRS.iter().find(fits) {
        Some((no, yes)) => (Kind::Binary, [no, yes]),
        None => (Kind::States, ["", ""]),
    }
}

/// The number that stands for a word of a sensor with several states.
pub fn code(word: &str) -> f64 {
    if let Some(place) = WORDS.iter().position(|w| *w == word) {
        return place as f64;
    }
    let letters = word.chars().map(|c| match c {
        'ä' | 'à' | 'á' | 'â' => 'a',
        'ö' | 'ó' | 'ô' => 'o',
        'ü' | 'ú' | 'û' => 'u',
        'é' | 'è' | 'ê' => 'e',
        'ß' => 's',
        c => c,
    });
    let place = |c: char| LETTERS.iter().position(|l| char::from(*l) == c).unwrap_or(LETTERS.len() - 1);
    let spelled = letters.take(MAX_SPELLED).fold(0.0, |n, c| n * LETTERS.len() as f64 + place(c) as f64);
    SPELLED + spelled
}

/// The number of a word that devices are known to use.
pub fn known_code(word: &str) -> Option<f64> {
    WORDS.iter().position(|w| *w == word).map(|place| place as f64)
}

/// The word for which a number stands, as far as it has been kept.
pub fn of_code(code: f64) -> String {
    if let Some(word) = WORDS.get(code.max(0.0) as usize).filter(|_| code < SPELLED) {
        return (*word).to_owned();
    }
    let mut rest = (code - SPELLED).max(0.0) as u64;
    let mut letters = Vec::new();
    while rest > 0 {
        letters.push(LETTERS[(rest % LETTERS.len() as u64) as usize]);
        rest /= LETTERS.len() as u64;
    }
    letters.reverse();
    String::from_utf8(letters).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_number_for_ever_and_come_back_from_it() {
        for text in ["heat", "fan only", "Turbo_2", "eco plus", "q"] {
            let word = super::word(&format!("{text} ")).unwrap_or(text.to_owned());
            assert_eq!(of_code(code(&word)), word);
        }
        // What is longer than its number can hold is told by its beginning.
        assert_eq!(of_code(code("superheating")), "superheat");
        assert_eq!((code("off"), code("heat")), (0.0, 2.0));
        assert!(code("zzzzzzzzz") < crate::LARGEST_VALUE);
    }

    #[test]
    fn pairs_of_states_are_known_and_others_are_several() {
        assert_eq!(kind_of(["on", "off"].into_iter()), (Kind::Binary, ["off", "on"]));
        assert_eq!(kind_of(["open"].into_iter()), (Kind::Binary, ["closed", "open"]));
        assert_eq!(kind_of(["heat", "off"].into_iter()).0, Kind::States);
        assert_eq!(pair("not home"), Some((["not home", "home"], false)));
        assert_eq!(word("fan_only").as_deref(), Some("fan only"));
        for text in ["", "x", "a long text of many words here", "sw 1.2.3", "<b>"] {
            assert_eq!(word(text), None, "{text}");
        }
    }
}
