//! Inputs that can't be read, and what decides where they can be read in two ways.

use thiserror::Error;

/// An input that can't be what it is taken for, or that could be two things.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// Packed.
    #[error("it is compressed ({0}): unpack it, as in `{1} -c FILE | nearfield report --input -`")]
    Compressed(&'static str, &'static str),
    /// No text.
    #[error("it is not text ({0})")]
    NotText(&'static str),
    /// No column or key holds a time.
    #[error(
        "no {0} holds a time that can be read: name it with --set text.time=NAME, and its form with text.time_format"
    )]
    NoTime(&'static str),
    /// A column that was asked for is not there.
    #[error("there is no column {wanted:?}; there are: {found}")]
    NoColumn {
        /// What was asked for.
        wanted: String,
        /// What the header has.
        found: String,
    },
    /// Numbers that are one thing in one half of the world and another in the other.
    #[error(
        "{example:?} in the column {column:?} can be read as two numbers, and nothing in the input shows which: \
         say which mark separates decimals with --set text.decimal=\".\" or --set text.decimal=\",\""
    )]
    OpenNumber {
        /// The column, or the sensor.
        column: String,
        /// The first such cell.
        example: String,
    },
    /// Dates of which nobody knows whether the day or the month comes first.
    #[error(
        "{0:?} can be read as two dates, and nothing in the input shows which: say what comes first with \
         --set text.time_format=\"%d/%m/%Y %H:%M\" or \"%m/%d/%Y %H:%M\" (%y for a year of two digits; \"%d/%m/%Y\" where the time of \
         day has a column of its own)"
    )]
    OpenDate(String),
    /// Rows of a day that nothing tells apart.
    #[error(
        "the column {column:?} holds dates alone, and several rows have {date:?}: name the column of the time of day with --set \
         text.clock=NAME, or that of the whole time with --set text.time=NAME"
    )]
    DatesAlone {
        /// The column.
        column: String,
        /// A date that several rows have.
        date: String,
    },
    /// Dates were read with day and month one way round, until one showed that it is the other.
    #[error(
        "line {line} ({date:?}) shows that dates before it were read wrong, with the {was} first: say what comes first with \
         --set text.time_format=\"%d/%m/%Y %H:%M\" or \"%m/%d/%Y %H:%M\""
    )]
    OtherOrder {
        /// Where it stands.
        line: u64,
        /// The date.
        date: String,
        /// What was taken to come first.
        was: &'static str,
    },
    /// Times that count from a start nobody has told.
    #[error(
        "the column {0:?} counts time from a start that the input does not tell: say when that was with --set \
         text.start=\"2026-11-01 08:00\", or name another column with --set text.time=NAME"
    )]
    Elapsed(String),
    /// Only some rows have a time, so that the table is another one than it seems.
    #[error(
        "only {times} of {rows} rows have a time in column {column}, the likeliest one: name the column of the time with --set \
         text.time=NAME, or turn the table so that each row has one"
    )]
    FewTimes {
        /// The column's place, from 1.
        column: usize,
        /// Rows with a time.
        times: usize,
        /// All rows.
        rows: usize,
    },
    /// A format whose rows hold a whole day each.
    #[error(
        "it is {0}, in which a row holds the intervals of a whole day: turn it into a table with a time and a value in each row"
    )]
    DayRows(&'static str),
    /// A spreadsheet that can't be opened.
    #[error("the spreadsheet can't be read: {0}")]
    Workbook(String),
    /// The options contradict themselves.
    #[error("{0}")]
    Options(String),
}
