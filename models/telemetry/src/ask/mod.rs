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
mod pick;
mod question;
mod spoken;
mod times;
mod words;

pub use answer::{Answer, ReadSensor, answer};
pub use period::Period;
pub use question::{Bucket, By, Condition, NotUnderstood, Question, What, parse};

use jiff::tz::TimeZone;

use crate::course::Growth;
use crate::kind::{Kind, Seen};
use crate::rain::RainCourse;
use crate::{Moment, SensorTraits};

/// Sets the kinds of sensors that only their values show: meters and amounts by interval. `read_all` gives the readings of all sensors
/// in the order of time, once, and only where there is a sensor of which it is not known.
///
/// # Errors
/// Those of `read_all`.
pub fn find_kinds<E>(
    sensors: &mut [SensorTraits],
    zone: &TimeZone,
    read_all: impl FnOnce(&mut dyn FnMut(usize, Moment, f64)) -> Result<(), E>,
) -> Result<(), E> {
    struct Values {
        growth: Growth,
        count: u64,
        range: (f64, f64),
        rain: Option<RainCourse>,
    }
    let is_open = |traits: &SensorTraits| traits.kind.is_none() && Kind::guess(&traits.name, &traits.unit).is_none();
    let nothing = |traits: &SensorTraits| Values {
        growth: Growth::default(),
        count: 0,
        range: (f64::INFINITY, f64::NEG_INFINITY),
        rain: RainCourse::of(traits),
    };
    let mut open: Vec<Option<Values>> = sensors.iter().map(|traits| is_open(traits).then(|| nothing(traits))).collect();
    if open.iter().all(Option::is_none) {
        return Ok(());
    }
    read_all(&mut |place, at, value| {
        if let Some(Some(values)) = open.get_mut(place) {
            values.growth.push(value);
            values.rain.iter_mut().for_each(|rain| rain.push(at, value));
            values.count += 1;
            values.range = (values.range.0.min(value), values.range.1.max(value));
        }
    })?;
    for (traits, values) in sensors.iter_mut().zip(open) {
        let Some(Values { growth, count, range, rain }) = values else { continue };
        let seen = Seen { growth: &growth, count, range };
        if rain.is_some_and(|rain| rain.is_amount(zone)) || seen.is_amount(traits, false) {
            traits.kind = Some(Kind::Amount);
        } else if seen.is_total(traits, false) {
            traits.kind = Some(Kind::TotalIncreasing);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
