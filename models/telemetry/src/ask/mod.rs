//! Questions on readings in plain English, answered by computation: "which day was the coldest?", "how long was the door open
//! yesterday?". A question becomes one of a closed set of computations, or is refused with the reason; nothing is guessed, and every
//! number of an answer is computed from the readings.
//!
//! [`find_kinds`] tells meters from levels by their values, [`parse`] reads a question, [`answer`] computes. None of them reads a clock
//! or a store.

mod answer;
mod bucket;
mod choice;
mod held;
mod level;
mod limit;
mod period;
mod question;
mod spoken;
mod times;
mod words;

pub use answer::{Answer, ReadSensor, answer};
pub use period::Period;
pub use question::{Bucket, By, Condition, NotUnderstood, Question, What, parse};

use crate::SensorTraits;
use crate::course::Growth;
use crate::kind::{Kind, Seen};

/// Sets the kinds of sensors that only their values show: meters and amounts by interval. `read_all` gives the readings of all sensors
/// in the order of time, once, and only where there is a sensor of which it is not known.
///
/// # Errors
/// Those of `read_all`.
pub fn find_kinds<E>(
    sensors: &mut [SensorTraits],
    read_all: impl FnOnce(&mut dyn FnMut(usize, f64)) -> Result<(), E>,
) -> Result<(), E> {
    struct Values {
        growth: Growth,
        count: u64,
        range: (f64, f64),
    }
    let is_open = |traits: &SensorTraits| traits.kind.is_none() && Kind::guess(&traits.name, &traits.unit).is_none();
    let nothing = || Values { growth: Growth::default(), count: 0, range: (f64::INFINITY, f64::NEG_INFINITY) };
    let mut open: Vec<Option<Values>> = sensors.iter().map(|traits| is_open(traits).then(nothing)).collect();
    if open.iter().all(Option::is_none) {
        return Ok(());
    }
    read_all(&mut |place, value| {
        if let Some(Some(values)) = open.get_mut(place) {
            values.growth.push(value);
            values.count += 1;
            values.range = (values.range.0.min(value), values.range.1.max(value));
        }
    })?;
    for (traits, values) in sensors.iter_mut().zip(open) {
        let Some(Values { growth, count, range }) = values else { continue };
        let seen = Seen { growth: &growth, count, range };
        if seen.is_amount(traits, false) {
            traits.kind = Some(Kind::Amount);
        } else if seen.is_total(traits, false) {
            traits.kind = Some(Kind::TotalIncreasing);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
