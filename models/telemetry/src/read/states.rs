//! States as words, and the numbers that stand for them in the store: two states are 0 and 1; others have a code that is made
//! from the word alone, so that it is the same after a restart and on another machine. A short word is spelled in its code; of a
//! longer one the code is a hash, and the word itself is kept beside it: in memory, and by whoever keeps the readings.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError, RwLock};

use super::infer::MAX_STATES;
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

/// A state as a cell of a table tells it: databases print `t` and `f` for what is true and what is not.
pub(super) fn word_of_cell(text: &str) -> Option<String> {
    match text {
        "t" => Some("true".to_owned()),
        "f" => Some("false".to_owned()),
        text => word(text),
    }
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

/// Codes from here on are hashes of words, which [`remember`] keeps; all lie below [`LARGEST_VALUE`](crate::LARGEST_VALUE).
pub const HASHED: f64 = 2e14;
/// How many codes there are for hashes.
const HASHES: u64 = 799_999_999_999_999;
/// Words that are kept.
const MAX_KEPT: usize = 16_384;

/// The words whose codes are hashes.
static KEPT: LazyLock<RwLock<HashMap<u64, String>>> = LazyLock::new(RwLock::default);
/// How many of them each sensor has brought, by the hash of its name; no more sensors than words.
static KEPT_OF: LazyLock<Mutex<HashMap<u64, usize>>> = LazyLock::new(Mutex::default);

/// FNV-1a, whose values never change: they are in the stores.
fn hash(word: &str) -> u64 {
    let whole = word
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    HASHED as u64 + whole % HASHES
}

/// A word as its own number, where it is short and of plain letters and digits.
fn spelled(word: &str) -> Option<f64> {
    let place = |c: char| LETTERS.iter().position(|l| char::from(*l) == c);
    let fits = word.len() <= MAX_SPELLED && !word.starts_with(' ');
    let number = || word.chars().try_fold(0.0, |n, c| Some(n * LETTERS.len() as f64 + place(c)? as f64));
    fits.then(number).flatten().map(|n| SPELLED + n)
}

/// The number that stands for a word of a sensor with several states. `None`: there are more words than are kept.
pub fn code(word: &str) -> Option<f64> {
    code_of_short(word).or_else(|| remember(word).then(|| hash(word) as f64))
}

/// The number of a word that need not be kept.
fn code_of_short(word: &str) -> Option<f64> {
    known_code(word).or_else(|| spelled(word))
}

/// As [`code`], of a sensor whose words nobody has looked through: of each such sensor so many words are kept that no one can fill the
/// table by sending texts.
pub(super) fn code_of(sensor: &str, word: &str) -> Option<f64> {
    if let Some(code) = code_of_short(word) {
        return Some(code);
    }
    let code = hash(word);
    if let Some(kept) = KEPT.read().unwrap_or_else(PoisonError::into_inner).get(&code) {
        return (kept == word).then_some(code as f64);
    }
    let mut kept_of = KEPT_OF.lock().unwrap_or_else(PoisonError::into_inner);
    let sensor = hash(sensor);
    let n = kept_of.get(&sensor).copied().unwrap_or(0);
    if n >= MAX_STATES || !remember(word) {
        return None;
    }
    kept_of.insert(sensor, n + 1);
    Some(code as f64)
}

/// Keeps a word that can't be told from its code, as one that a store knows. `false`: there is no room for it, or another word has
/// its code.
pub fn remember(word: &str) -> bool {
    let code = hash(word);
    if let Some(kept) = KEPT.read().unwrap_or_else(PoisonError::into_inner).get(&code) {
        return kept == word;
    }
    let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= MAX_KEPT || word.len() > 256 {
        return false;
    }
    kept.entry(code).or_insert_with(|| word.to_owned()) == word
}

/// The word that has to be kept beside a reading of this value, so that it can be told later.
pub fn word_to_keep(code: f64) -> Option<String> {
    let is_hash = code >= HASHED && code.fract() == 0.0;
    is_hash.then(|| KEPT.read().unwrap_or_else(PoisonError::into_inner).get(&(code as u64)).cloned()).flatten()
}

/// The number of a word that devices are known to use.
pub fn known_code(word: &str) -> Option<f64> {
    WORDS.iter().position(|w| *w == word).map(|place| place as f64)
}

/// The word for which a number stands.
pub fn of_code(code: f64) -> String {
    if code >= HASHED {
        return word_to_keep(code).unwrap_or_else(|| format!("state {code:.0}"));
    }
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
            assert_eq!(of_code(code(&word).unwrap()), word);
        }
        assert_eq!((code("off"), code("heat")), (Some(0.0), Some(2.0)));
        assert!(code("zzzzzzzzz").unwrap() < HASHED);
        // The stores of before hold this number.
        assert_eq!(code("turbo 2"), Some(61_920_331_089.0));
    }

    #[test]
    fn long_words_and_those_of_other_letters_are_told_apart() {
        let words = [
            "cotton 60 eco",
            "cotton 60 quick",
            "heating stage 1",
            "heating stage 2",
            "kühlen",
            "kuhlen",
            "вкл",
            "выкл",
        ];
        let codes: Vec<f64> = words.iter().map(|w| code(w).unwrap()).collect();
        for (i, (word, of)) in words.iter().zip(&codes).enumerate() {
            assert_eq!(of_code(*of), *word);
            assert!(*of <= crate::LARGEST_VALUE && of.fract() == 0.0 && !codes[..i].contains(of), "{word}: {of}");
        }
        assert_eq!(code("cotton 60 eco"), Some(685_704_818_526_907.0), "codes of words are in the stores");
        assert_eq!(word_to_keep(codes[0]).as_deref(), Some("cotton 60 eco"));
        assert_eq!((word_to_keep(2.0), word_to_keep(21.5)), (None, None));
    }

    #[test]
    fn a_sensor_can_t_fill_the_table_of_words() {
        let codes: Vec<_> = (0..40).map(|i| code_of("flood", &format!("flooding word {i}"))).collect();
        assert!(codes[..16].iter().all(Option::is_some) && codes[16..].iter().all(Option::is_none), "{codes:?}");
        assert_eq!(code_of("flood", "flooding word 3"), codes[3]);
        assert!(code_of("flood", "heat").is_some() && code_of("other", "flooding word 39").is_some());
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
