//! The check: does a sentence say nothing but what the table says? Every number, unit, sensor name, direction word and time must
//! follow from it, or the sentence is refused with the reason.
//!
//! How: a sentence is read from left to right with a closed vocabulary. A sensor is named by its whole name; a word such as
//! *lowest*, *rose* or *stuck* opens a claim about the sensor named last; the numbers and times that follow must be those of
//! that claim. A word that is neither in the vocabulary nor part of a name refuses the sentence, and so does a claim
//! that is opened but not made, a sensor that is named but not spoken of, or a sentence that claims nothing. So a model may
//! choose its words, but can't say anything that is not in the table; what a strange model says well in other words is lost.
//!
//! Rounding: a number may have fewer digits after the point than the table's; it must then be the table's number rounded half
//! away from zero. Units: the table's, another spelling of it, or one that it can be turned into, with the number turned too.

mod claims;
mod names;
mod tokens;

use thiserror::Error;

use super::table::Table;
use claims::Reader;
pub use names::{readable_name, spoken_name};
use tokens::{Token, tokens};

/// Sentences longer than this are refused unread.
const MAX_CHARS: usize = 500;

/// Why a sentence is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A word that the table does not account for.
    #[error("the word {0:?} is not accounted for by the table")]
    Word(String),
    /// A character that is neither letter, digit nor common punctuation.
    #[error("the character {0:?} can't be accounted for")]
    Character(char),
    /// A number that is not what the table says in this place.
    #[error("the number {0} is not what the table says there")]
    Number(String),
    /// A unit that is not the sensor's and can't be turned into it.
    #[error("the unit {0:?} does not belong to that sensor")]
    Unit(String),
    /// A time that is not what the table says in this place.
    #[error("the time {0} is not what the table says there")]
    Time(String),
    /// A date outside the window.
    #[error("the date {0} is not the window's")]
    Date(String),
    /// A direction or an event that the table does not report of this sensor.
    #[error("the table does not say {0:?} of that sensor")]
    Claim(&'static str),
    /// A claim that is opened but has no number.
    #[error("{0:?} is followed by no number")]
    Unfinished(&'static str),
    /// A sensor is named and nothing is said of it.
    #[error("nothing is said of {0:?}")]
    NothingOf(String),
    /// Nothing is claimed at all.
    #[error("it says nothing of the table")]
    Nothing,
    /// Too long to be a sentence of a report.
    #[error("it has more than 500 characters")]
    TooLong,
}

/// What an accepted sentence covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// The sensors it names: indexes into the table's rows.
    pub rows: Vec<usize>,
    /// The anomalies it tells: indexes into the table's notes.
    pub notes: Vec<usize>,
    /// It says that nothing unusual was seen.
    pub nothing_unusual: bool,
}

/// Holds `sentence` to `table`.
///
/// # Errors
/// The first thing in it that does not follow from the table.
pub fn check(table: &Table, sentence: &str) -> Result<Covered, Violation> {
    if sentence.chars().count() > MAX_CHARS {
        return Err(Violation::TooLong);
    }
    let tokens = tokens(table, sentence)?;
    let mut reader = Reader::new(table);
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1);
        match token {
            Token::Name(row) => reader.name(*row)?,
            Token::Word(word) => reader.word(word, next)?,
            Token::Number { figure, text, unit } => reader.number(*figure, text, *unit)?,
            Token::Time(minutes, text) => reader.time(*minutes, text)?,
            Token::Duration(text) => reader.duration(text)?,
            Token::Date(text, fits) => {
                if !fits {
                    return Err(Violation::Date(text.clone()));
                }
            }
            Token::Pause => {}
        }
    }
    reader.end()
}

/// The sensors that a sentence names, whether or not what it says of them holds.
pub fn named(table: &Table, sentence: &str) -> Vec<usize> {
    let mut rows: Vec<usize> = match tokens(table, sentence) {
        Ok(tokens) => tokens.iter().filter_map(|t| if let Token::Name(row) = t { Some(*row) } else { None }).collect(),
        Err(_) => {
            let lower = sentence.to_lowercase();
            (0..table.rows().len()).filter(|r| lower.contains(&table.rows()[*r].name.to_lowercase())).collect()
        }
    };
    rows.dedup();
    rows
}

fn is_article(word: &str) -> bool {
    matches!(word, "a" | "an" | "the")
}

#[cfg(test)]
mod tests;
