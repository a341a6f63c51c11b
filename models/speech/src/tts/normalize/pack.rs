//! A language pack: the words of one language's text normalizer, read from a TOML table that is part of the program.

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

/// The words of a language. See `english.toml` for what each table is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pack {
    #[serde(default)]
    pub dialect: HashMap<String, Dialect>,
    pub numbers: NumberWords,
    pub magnitudes: HashMap<String, String>,
    /// Full name -> short forms.
    pub months: BTreeMap<String, Vec<String>>,
    pub weekdays: HashMap<String, String>,
    pub currencies: HashMap<String, [String; 4]>,
    pub units: HashMap<String, [String; 2]>,
    pub unit_rules: UnitRules,
    pub prefixes: HashMap<char, String>,
    pub operators: HashMap<char, String>,
    pub signs: HashMap<char, String>,
    pub letters: HashMap<char, String>,
    pub address: Address,
    pub time: TimeWords,
    pub fractions: Fractions,
    pub roman: Roman,
    pub abbreviations: Abbreviations,
    pub words: HashMap<String, String>,
    pub acronyms: Acronyms,
    pub context: Context,
}

/// Where a dialect differs.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Dialect {
    /// "two hundred and five".
    pub hundred_and: bool,
    /// 3/11/2026 is in November.
    pub day_first: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberWords {
    pub small: Vec<String>,
    pub tens: Vec<String>,
    pub hundred: String,
    pub scales: Vec<String>,
    pub and: String,
    pub point: String,
    pub minus: String,
    pub plus: String,
    pub exponent: String,
    pub to: String,
    pub oh: String,
    pub ordinals: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitRules {
    pub attached_only: HashSet<String>,
    pub alone: HashSet<String>,
    pub per: String,
    pub square: String,
    pub cubic: String,
    pub squared: String,
    pub cubed: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Address {
    pub dot: String,
    pub at: String,
    pub hashtag: String,
    pub words: HashSet<String>,
    pub spelled: HashSet<String>,
    pub signs: HashMap<char, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeWords {
    pub am: String,
    pub pm: String,
    pub o_clock: String,
    pub hundred: String,
    pub midnight: String,
    pub and: String,
    pub the: String,
    pub of: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fractions {
    pub half: String,
    pub halves: String,
    pub quarter: String,
    pub quarters: String,
    pub over: String,
    pub out_of: String,
    pub and: String,
    pub a: String,
    pub one: String,
    pub signs: HashMap<char, [String; 2]>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Roman {
    pub the: String,
    pub rulers: HashSet<String>,
    pub titles: HashSet<String>,
    pub counted: HashSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Abbreviations {
    pub undotted: HashSet<String>,
    pub titles: HashMap<String, String>,
    pub placed: HashMap<String, [String; 2]>,
    pub numbered: HashMap<String, String>,
    pub dotted: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acronyms {
    pub spelled: HashSet<String>,
    pub words: HashSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    pub year: HashSet<String>,
    pub about: HashSet<String>,
    pub after_year: HashSet<String>,
    pub digits: HashSet<String>,
    pub place: HashSet<String>,
    pub on: HashSet<String>,
    pub lettered: HashSet<String>,
    pub not_counted: HashSet<String>,
    pub emergency: HashSet<String>,
    pub calls: HashSet<String>,
}

/// English.
pub(super) fn english() -> &'static Pack {
    static ENGLISH: OnceLock<Pack> = OnceLock::new();
    ENGLISH
        .get_or_init(|| toml::from_str(include_str!("english.toml")).expect("the English pack is a table of its form"))
}

impl Pack {
    /// The months' names in their order.
    pub fn month(&self, number: u32) -> Option<&str> {
        const ORDER: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let begins = ORDER.get(number.checked_sub(1)? as usize)?;
        self.months.keys().find(|name| name.starts_with(begins)).map(String::as_str)
    }

    /// The month that a word names, in full or short.
    pub fn month_named(&self, word: &str) -> Option<&str> {
        self.months
            .iter()
            .find(|(name, short)| *name == word || short.iter().any(|s| s == word))
            .map(|(name, _)| name.as_str())
    }
}
