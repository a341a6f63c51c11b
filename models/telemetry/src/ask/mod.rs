//! Questions on readings in plain English, answered by computation: "which day was the coldest?", "how long was the door open
//! yesterday?". A question becomes one of a closed set of computations, or is refused with the reason; nothing is guessed, and every
//! number of an answer is computed from the readings.
//!
//! [`find_kinds`] tells meters from levels by their values, [`parse`] reads a question, [`answer`] computes. None of them reads a clock
//! or a store.

mod answer;
mod bucket;
mod held;
mod level;
mod period;
mod question;
mod words;

pub use answer::{Answer, ReadSensor, answer};
pub use period::Period;
pub use question::{Bucket, By, Condition, NotUnderstood, Question, What, parse};

use crate::course::Growth;
use crate::kind::{Kind, Seen};
use crate::{Moment, SensorTraits, Span};

/// Sets the kinds of sensors that only their values show: meters and amounts by interval.
///
/// # Errors
/// Those of `read`.
pub fn find_kinds<E>(sensors: &mut [SensorTraits], read: &mut ReadSensor<'_, E>) -> Result<(), E> {
    for (place, traits) in sensors.iter_mut().enumerate() {
        if traits.kind.is_some() || Kind::guess(&traits.name, &traits.unit).is_some() {
            continue;
        }
        let (mut growth, mut count, mut range) = (Growth::default(), 0, (f64::INFINITY, f64::NEG_INFINITY));
        let all = Span { from: Moment(i64::MIN), to: Moment(i64::MAX) };
        read(place, all, &mut |_, value| {
            growth.push(value);
            count += 1;
            range = (range.0.min(value), range.1.max(value));
        })?;
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
