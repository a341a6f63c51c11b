//! The words of questions: adjectives that stand for a quantity and a direction, verbs that stand for states, and what says nothing.

use crate::SensorTraits;
use crate::unit;

/// What is measured, as adjectives and nouns name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantity {
    Temperature,
    Humidity,
    Light,
    Loudness,
    Wind,
    Rain,
    Pressure,
    Power,
    Energy,
    Water,
    Air,
    Battery,
}

impl Quantity {
    /// Whether a sensor measures it.
    pub(super) fn fits(self, traits: &SensorTraits) -> bool {
        let unit = traits.unit.as_str();
        let name = traits.name.to_lowercase();
        let turns_into = |other: &str| unit::convert(0.0, unit, other, false).is_some();
        let named = |words: &[&str]| words.iter().any(|w| name.contains(w));
        match self {
            // Without a unit the name tells.
            Quantity::Temperature => turns_into("°C") || (unit.is_empty() && named(&["temp"])),
            Quantity::Humidity => {
                let is_named = named(&["humid", "feucht", "moist"]);
                (unit.is_empty() && is_named) || (unit == "%" && (is_named || !named(&["batt", "akku", "soc"])))
            }
            Quantity::Light => turns_into("lx"),
            Quantity::Loudness => unit.starts_with("dB") && unit != "dBm",
            Quantity::Wind => turns_into("m/s") && named(&["wind", "gust"]),
            Quantity::Rain => named(&["rain", "precip", "regen"]),
            Quantity::Pressure => turns_into("hPa") || (unit.is_empty() && named(&["pressure", "druck"])),
            Quantity::Power => turns_into("W"),
            Quantity::Energy => turns_into("kWh"),
            Quantity::Water => turns_into("l") || turns_into("l/min") || named(&["water"]),
            Quantity::Air => unit == "ppm" || named(&["co2", "carbon dioxide"]),
            Quantity::Battery => unit == "%" && named(&["batt", "akku", "soc", "charge"]),
        }
    }
}

/// `coldest`, `colder` and `cold`: the quantity, and whether more of it is meant.
const ADJECTIVES: &[(&[&str; 3], Quantity, bool)] = &[
    (&["warmest", "warmer", "warm"], Quantity::Temperature, true),
    (&["hottest", "hotter", "hot"], Quantity::Temperature, true),
    (&["coldest", "colder", "cold"], Quantity::Temperature, false),
    (&["coolest", "cooler", "cool"], Quantity::Temperature, false),
    (&["dampest", "damper", "damp"], Quantity::Humidity, true),
    (&["driest", "drier", "dry"], Quantity::Humidity, false),
    (&["brightest", "brighter", "bright"], Quantity::Light, true),
    (&["darkest", "darker", "dark"], Quantity::Light, false),
    (&["loudest", "louder", "loud"], Quantity::Loudness, true),
    (&["quietest", "quieter", "quiet"], Quantity::Loudness, false),
    (&["windiest", "windier", "windy"], Quantity::Wind, true),
    (&["rainiest", "rainier", "rainy"], Quantity::Rain, true),
    (&["wettest", "wetter", "wet"], Quantity::Rain, true),
];

/// Nouns and adverbs for quantities, where they are not part of the sensor's name.
const NOUNS: &[(&str, Quantity)] = &[
    ("temperature", Quantity::Temperature),
    ("humidity", Quantity::Humidity),
    ("humid", Quantity::Humidity),
    ("brightness", Quantity::Light),
    ("light", Quantity::Light),
    ("noise", Quantity::Loudness),
    ("wind", Quantity::Wind),
    ("rain", Quantity::Rain),
    ("rained", Quantity::Rain),
    ("rainfall", Quantity::Rain),
    ("pressure", Quantity::Pressure),
    ("power", Quantity::Power),
    ("energy", Quantity::Energy),
    ("electricity", Quantity::Energy),
    ("water", Quantity::Water),
    ("air", Quantity::Air),
    ("co2", Quantity::Air),
    ("battery", Quantity::Battery),
];

/// How an adjective is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Degree {
    /// `cold`
    Plain,
    /// `colder`
    Comparative,
    /// `coldest`
    Superlative,
}

/// An adjective of a question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adjective {
    pub(super) quantity: Option<Quantity>,
    pub(super) more: bool,
    pub(super) degree: Degree,
}

pub(super) fn adjective(word: &str) -> Option<Adjective> {
    let degrees = [Degree::Superlative, Degree::Comparative, Degree::Plain];
    let known = ADJECTIVES.iter().find_map(|(forms, quantity, more)| {
        let at = forms.iter().position(|form| *form == word)?;
        Some(Adjective { quantity: Some(*quantity), more: *more, degree: degrees[at] })
    });
    let any = |more, degree| Some(Adjective { quantity: None, more, degree });
    known.or_else(|| match word {
        "highest" | "maximum" | "max" | "peak" | "most" | "largest" | "greatest" => any(true, Degree::Superlative),
        "lowest" | "minimum" | "min" | "least" | "smallest" | "fewest" => any(false, Degree::Superlative),
        "higher" | "more" | "larger" | "greater" => any(true, Degree::Comparative),
        "lower" | "less" | "smaller" | "fewer" => any(false, Degree::Comparative),
        _ => None,
    })
}

pub(super) fn noun(word: &str) -> Option<Quantity> {
    NOUNS.iter().find(|(noun, _)| *noun == word).map(|(_, quantity)| *quantity)
}

/// Verbs and other words for states, and the state's word.
const STATES: &[(&str, &str)] = &[
    ("opened", "open"),
    ("opens", "open"),
    ("opening", "open"),
    ("close", "closed"),
    ("closes", "closed"),
    ("running", "on"),
    ("ran", "on"),
    ("run", "on"),
    ("shut", "closed"),
    ("detect", "detected"),
    ("unlock", "unlocked"),
    ("lock", "locked"),
];

/// Words that a state may be called by in a question.
pub(super) fn state_words(word: &str) -> impl Iterator<Item = &str> {
    std::iter::once(word).chain(STATES.iter().filter(move |(said, _)| *said == word).map(|(_, state)| *state))
}

/// Words that say nothing of their own in a question.
const FILLERS: &[&str] = &[
    "the",
    "a",
    "an",
    "of",
    "in",
    "on",
    "at",
    "to",
    "for",
    "by",
    "with",
    "and",
    "was",
    "were",
    "is",
    "are",
    "has",
    "had",
    "have",
    "been",
    "be",
    "did",
    "do",
    "does",
    "it",
    "its",
    "that",
    "this",
    "there",
    "my",
    "our",
    "we",
    "i",
    "me",
    "tell",
    "show",
    "please",
    "what",
    "which",
    "how",
    "when",
    "who",
    "much",
    "reading",
    "readings",
    "value",
    "values",
    "level",
    "sensor",
    "get",
    "got",
    "go",
    "went",
    "right",
    "ever",
    "so",
    "far",
    "altogether",
    "overall",
    "s",
];

pub(super) fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word)
}

/// Other words for the same part of a sensor's name.
const SAME: &[&[&str]] =
    &[&["outside", "outdoor", "outdoors"], &["inside", "indoor", "indoors"], &["fridge", "refrigerator"]];

/// Whether a word of a question is a word of a sensor's name.
pub(super) fn is_named(said: &str, part: &str) -> bool {
    let singular = |word: &str| word.strip_suffix('s').filter(|w| w.chars().count() > 2).unwrap_or(word).to_owned();
    said == part
        || singular(said) == singular(part)
        || SAME.iter().any(|group| group.contains(&said) && group.contains(&part))
}
