//! Names of sensors, so that no sentence can be read in two ways.

use jiff::civil::Date;

use super::claims::Reader;
use super::{Violation, is_article};
use crate::table::Table;

/// Everything that a row's name must be, so that no sentence can be read in two ways: letters, digits and single spaces, with a
/// letter in it.
pub fn readable_name(text: &str) -> String {
    let mut name = String::new();
    let mut characters = text.chars().take(60).peekable();
    while let Some(c) = characters.next() {
        // A point between two digits belongs to a name such as PM2.5.
        let is_between = c == '.'
            && name.ends_with(|c: char| c.is_ascii_digit())
            && name.chars().any(char::is_alphabetic)
            && characters.peek().is_some_and(char::is_ascii_digit);
        if c.is_alphanumeric() || is_between {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with(' ') {
            name.push(' ');
        }
    }
    let name = name.trim();
    if name.chars().any(char::is_alphabetic) { name.to_owned() } else { format!("sensor {name}").trim().to_owned() }
}

/// Words that mean nothing to the check and sound well after *the*.
const NOUNS: &[&str] = &["value", "values", "level", "sensor", "window", "report", "day", "period", "limit"];
/// Words that mean something beside others only.
const HALVES: &[&str] = &["nothing", "unusual", "seen", "no", "data", "between"];

/// A readable name as it stands in sentences, behind *the*: without an article of its own, and with *sensor* before it where it
/// would be read as something else, as in `a b`, `mean` and `an`.
pub fn spoken_name(name: &str) -> String {
    let bare = match name.split_once(' ') {
        Some((first, rest)) if first.eq_ignore_ascii_case("the") => rest,
        _ => name,
    };
    let words: Vec<String> = bare.split(' ').map(str::to_lowercase).collect();
    let is_letter = words[0].chars().nth(1).is_none();
    let is_said = |word: &String| {
        word.bytes().all(|b| b.is_ascii_digit())
            || HALVES.contains(&word.as_str())
            || (is_vocabulary(word) && !NOUNS.contains(&word.as_str()))
    };
    if is_article(&words[0]) || is_letter || words.iter().all(is_said) {
        format!("sensor {bare}")
    } else {
        bare.to_owned()
    }
}

/// Whether the check knows a word by itself.
fn is_vocabulary(word: &str) -> bool {
    let table = Table::of(String::new(), [Date::ZERO; 2], Vec::new(), Vec::new());
    let mut reader = Reader::new(&table);
    !matches!(reader.word(word, None), Err(Violation::Word(_)))
}
