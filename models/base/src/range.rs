//! The range check of an option, with one error sentence for all.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Checks that `value` lies in `range`; NaN never does.
///
/// # Errors
/// A sentence that names the key, the value and what is accepted.
pub fn in_range<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<(), String> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(format!("{key} is {value} but must be from {} to {}", range.start(), range.end())),
    }
}
