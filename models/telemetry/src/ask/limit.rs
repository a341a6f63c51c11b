//! Limits in questions: "above 25 °C", "more than 2kW".

use super::question::{Condition, NotUnderstood, kind_of};
use super::spoken::Words;
use crate::kind::Kind;
use crate::{SensorTraits, unit};

/// A limit in a question: `above 25 °C`.
pub(super) struct Limit {
    above: bool,
    value: f64,
    /// As it is printed; empty: none.
    pub(super) unit: String,
}

/// The limit of a question.
///
/// # Errors
/// The unit may be read in two ways.
pub(super) fn limit(words: &mut Words) -> Result<Option<Limit>, NotUnderstood> {
    const WAYS: &[(&[&str], bool)] = &[
        (&["above"], true),
        (&["over"], true),
        (&["more", "than"], true),
        (&["higher", "than"], true),
        (&["warmer", "than"], true),
        (&["exceed"], true),
        (&["exceeded"], true),
        (&["below"], false),
        (&["under"], false),
        (&["less", "than"], false),
        (&["lower", "than"], false),
        (&["colder", "than"], false),
    ];
    let found = WAYS.iter().find_map(|(way, above)| Some((words.find(way)?, way.len(), *above)));
    let Some((at, length, above)) = found else { return Ok(None) };
    let mut end = at + length;
    let Some(number) = words.written(end) else { return Ok(None) };
    let digits = number.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(number.len());
    let (digits, attached) = number.split_at(digits);
    let Some(value) = digits.parse().ok().filter(|v: &f64| v.is_finite()) else { return Ok(None) };
    let attached = attached.to_owned();
    end += 1;
    // "8 degrees Celsius", "8 °C", "8°C"; "a" and "in" are no units where they stand alone, unless they are written as such.
    let next = words.written(end).filter(|word| !matches!(*word, "a" | "in"));
    let pair = next.zip(words.written(end + 1)).map(|(first, second)| format!("{first} {second}"));
    let mut unit = attached.clone();
    if !attached.is_empty() {
        match unit::read(&attached) {
            Some(unit::Read::One(known)) => known.clone_into(&mut unit),
            Some(unit::Read::Several) => return Err(NotUnderstood::Unit(attached)),
            None => {}
        }
    } else if let Some(unit::Read::One(known)) = pair.as_deref().and_then(unit::read) {
        known.clone_into(&mut unit);
        end += 2;
    } else if let Some(next) = next {
        match unit::read(next) {
            Some(unit::Read::One(known)) => {
                known.clone_into(&mut unit);
                end += 1;
            }
            Some(unit::Read::Several) => return Err(NotUnderstood::Unit(next.to_owned())),
            None => {}
        }
    }
    words.used[at..end].fill(true);
    Ok(Some(Limit { above, value, unit }))
}

impl Limit {
    /// In the unit of a sensor; `None` where the units measure different things.
    pub(super) fn value_for(&self, traits: &SensorTraits) -> Option<f64> {
        // Degrees are those of the sensor.
        let are_its_own =
            matches!(self.unit.as_str(), "degrees" | "°") && matches!(traits.unit.as_str(), "°C" | "°F" | "°");
        match self.unit.is_empty() || are_its_own || unit::is_same(&self.unit, &traits.unit) {
            true => Some(self.value),
            false => unit::convert(self.value, &self.unit, &traits.unit, false),
        }
    }

    /// What has to hold of a sensor's values.
    ///
    /// # Errors
    /// It has none, or others.
    pub(super) fn condition(&self, traits: &SensorTraits) -> Result<Condition, NotUnderstood> {
        if kind_of(traits).is_some_and(Kind::is_state) {
            return Err(NotUnderstood::Kind(
                traits.name.clone(),
                "has states and no values that could be above or below anything",
            ));
        }
        let value = self
            .value_for(traits)
            .ok_or_else(|| NotUnderstood::Kind(traits.name.clone(), "has another unit than the question's"))?;
        Ok(if self.above { Condition::Above(value) } else { Condition::Below(value) })
    }
}
