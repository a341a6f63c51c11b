//! Whether readings of rain are amounts by interval (a tipping bucket that is read every ten minutes) or a counter that begins anew (rain of
//! the day). Both are mostly zero, rise, and fall back to zero: what decides is when they fall. A counter of a day does so at midnight,
//! and keeps what it has counted until then; amounts end with the rain.

use jiff::tz::TimeZone;

use crate::kind::is_rain;
use crate::{Moment, SensorTraits};

/// Falls to zero that are remembered.
const MAX_FALLS: usize = 32;
/// An amount that is the same for so long, in seconds, is none: it never rains so evenly.
const HELD_SECONDS: f64 = 12.0 * 3600.0;

/// The course of a sensor of rain.
#[derive(Clone, Debug, Default)]
pub(crate) struct RainCourse {
    last: Option<(Moment, f64)>,
    /// Since when it shows the same value above zero.
    same_since: Option<Moment>,
    /// It has risen from zero since it was last zero.
    from_zero: bool,
    /// The last falls to zero of what had risen from zero: the readings before and after.
    falls: Vec<(Moment, Moment)>,
    /// Steps down that ended above zero.
    steps_down: u32,
    /// How often it kept one value for long.
    held: u32,
}

impl RainCourse {
    /// For a sensor whose name and unit are those of rain, and of which nobody has said what it is.
    pub(crate) fn of(traits: &SensorTraits) -> Option<RainCourse> {
        const COUNTERS: &[&str] = &[
            "counter", "today", "daily", "day", "week", "weekly", "month", "monthly", "year", "yearly", "event",
            "since", "heute", "tag", "woche", "monat", "jahr", "seit", "last", "letzte",
        ];
        let name = traits.name.to_lowercase();
        let is_counter = name.split(|c: char| !c.is_alphanumeric()).any(|w| {
            COUNTERS.contains(&w)
                || ["dailyrain", "eventrain", "weeklyrain", "monthlyrain", "yearlyrain"]
                    .iter()
                    .any(|c| w.starts_with(c))
        });
        (traits.kind.is_none() && !is_counter && is_rain(&traits.name, &traits.unit)).then(RainCourse::default)
    }

    /// Adds the next reading.
    pub(crate) fn push(&mut self, at: Moment, value: f64) {
        if self.last.is_some_and(|(last, _)| at <= last) {
            return;
        }
        let Some((before_at, before)) = self.last.replace((at, value)) else { return };
        if value != before || value <= 0.0 {
            self.same_since = (value > 0.0).then_some(at);
        } else if self.same_since.is_some_and(|since| at.seconds_since(since) > HELD_SECONDS) {
            self.held += 1;
            self.same_since = None;
        }
        if before == 0.0 && value > 0.0 {
            self.from_zero = true;
        } else if before > 0.0 && value == 0.0 {
            if std::mem::take(&mut self.from_zero) {
                if self.falls.len() == MAX_FALLS {
                    self.falls.remove(0);
                }
                self.falls.push((before_at, at));
            }
        } else if value < before && self.from_zero {
            self.steps_down += 1;
        }
    }

    /// Whether its readings are amounts, as far as they have shown.
    pub(crate) fn is_amount(&self, zone: &TimeZone) -> bool {
        let at_midnight = self.falls.iter().filter(|(before, after)| is_over_midnight(*before, *after, zone)).count();
        let within_a_day = self.falls.len() - at_midnight + self.steps_down as usize;
        within_a_day > at_midnight + 2 * self.held as usize
    }
}

/// Whether a day ends between two moments, by the clock, or by one that is not changed in summer.
fn is_over_midnight(before: Moment, after: Moment, zone: &TimeZone) -> bool {
    [-3600.0, 0.0, 3600.0].into_iter().any(|shift| {
        let day = |at: Moment| at.plus_seconds(shift).timestamp().to_zoned(zone.clone()).date();
        day(before) != day(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings every ten minutes from midnight.
    fn is_amount(values: &[f64]) -> bool {
        let mut course = RainCourse::default();
        values.iter().enumerate().for_each(|(i, v)| course.push(Moment(i as i64 * 600_000_000), *v));
        course.is_amount(&TimeZone::UTC)
    }

    fn day(dry: usize, rain: &[f64]) -> Vec<f64> {
        let mut values = vec![0.0; dry];
        values.extend(rain);
        values.resize(144, 0.0);
        values
    }

    #[test]
    fn even_rain_is_told_from_a_counter_of_the_day() {
        assert!(is_amount(&day(60, &[0.2; 11])));
        assert!(is_amount(&day(60, &[0.2, 0.4, 0.2])));
        // What a day has counted stays until midnight.
        let counted = [day(100, &[0.2; 44]), day(20, &[1.0; 124]), day(0, &[])].concat();
        assert!(!is_amount(&counted));
        // A counter of the year that begins anew in the middle of a day.
        let mut values = vec![0.0; 10];
        values.extend([12.4; 200]);
        values.extend([0.0; 50]);
        assert!(!is_amount(&values));
        assert!(!is_amount(&[0.0; 100]) && !is_amount(&[5.0, 5.0, 0.0, 0.0]));
    }
}
