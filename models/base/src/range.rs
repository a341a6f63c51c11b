//! Options that must lie in a range: one sentence for all of them.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Whether `value` lies in `range`. What is no number lies in none.
///
/// # Errors
/// A sentence that names the key, the value and what is accepted.
pub fn in_range<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<(), String> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(format!("{key} is {value} but must be from {} to {}", range.start(), range.end())),
    }
}
