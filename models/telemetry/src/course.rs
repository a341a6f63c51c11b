//! What the sequence of a sensor's readings shows beside their level: how much a total has grown, and how long each state lasted.

use crate::figure::decimals_for;
use serde::Serialize;

use super::{Moment, Span};

/// States that are told apart in a window.
const MAX_STATES: usize = 32;
/// A total that falls to this share of what it was has begun anew.
const RESET_SHARE: f64 = 0.1;

/// How a series grows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// By how much, resets left out: what was counted.
    pub gain: f64,
    /// How often it began anew.
    pub resets: u32,
    /// Steps down that are no reset.
    #[serde(skip)]
    pub falls: u32,
    /// Steps up.
    #[serde(skip)]
    pub rises: u32,
    /// Only whole numbers.
    #[serde(skip)]
    pub is_whole: bool,
    #[serde(skip)]
    last: Option<f64>,
}

impl Default for Growth {
    fn default() -> Self {
        Growth { gain: 0.0, resets: 0, falls: 0, rises: 0, is_whole: true, last: None }
    }
}

impl Growth {
    /// After a reading of before the window, from which the first step counts.
    pub fn after(before: Option<f64>) -> Growth {
        Growth { last: before, ..Growth::default() }
    }

    /// Adds the next reading.
    pub fn push(&mut self, value: f64) {
        self.is_whole &= value.fract() == 0.0;
        if let Some(last) = self.last.replace(value) {
            if value > last {
                self.rises += 1;
                self.gain += value - last;
            } else if value < last && last > 0.0 && (0.0..=last * RESET_SHARE).contains(&value) {
                self.resets += 1;
                self.gain += value;
            } else if value < last {
                self.falls += 1;
                self.gain += value - last;
            }
        }
    }

    /// Whether it has only grown, but for resets.
    pub fn only_grows(&self) -> bool {
        self.falls == 0 && self.rises > 0 && self.resets <= self.rises
    }
}

/// How long a sensor was in one state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InState {
    /// The number that stands for the state.
    pub state: f64,
    /// Seconds in all.
    pub seconds: f64,
    /// How often it began in the window; one that was there at the beginning among them.
    pub times: u32,
    /// The longest time without another state.
    pub longest: Span,
}

/// How long a sensor was in each of its states.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StateTimes {
    /// Each state, in the order in which they came.
    pub states: Vec<InState>,
    /// Changes from one to another.
    pub changes: u32,
    #[serde(skip)]
    current: Option<(f64, Moment)>,
    #[serde(skip)]
    known_until: Option<Moment>,
}

impl StateTimes {
    /// In a window that begins at `start`, with the state of before.
    pub fn after(start: Moment, before: Option<f64>) -> StateTimes {
        let mut times = StateTimes::default();
        if let Some(state) = before {
            times.current = Some((state, start));
            times.known_until = Some(start);
        }
        times
    }

    /// Adds the next reading.
    pub fn push(&mut self, at: Moment, state: f64) {
        self.known_until = Some(self.known_until.map_or(at, |k| k.max(at)));
        match self.current {
            Some((now, _)) if now == state => {}
            Some((_, since)) if at >= since => {
                self.end(at);
                self.changes += 1;
                self.current = Some((state, at));
            }
            Some(_) => {} // older than what is known
            None => self.current = Some((state, at)),
        }
    }

    fn end(&mut self, at: Moment) {
        let Some((state, since)) = self.current.take() else { return };
        let span = Span { from: since, to: at.max(since) };
        let full = self.states.len() >= MAX_STATES;
        match self.states.iter_mut().find(|s| s.state == state) {
            Some(known) => {
                known.seconds += span.seconds();
                known.times += 1;
                if span.seconds() > known.longest.seconds() {
                    known.longest = span;
                }
            }
            None if full => {}
            None => self.states.push(InState { state, seconds: span.seconds(), times: 1, longest: span }),
        }
    }

    /// The times up to `end`; `None` where no state is known.
    pub fn until(mut self, end: Moment) -> Option<StateTimes> {
        self.current?;
        self.end(end);
        Some(self)
    }

    /// What it was last.
    pub fn last(&self) -> Option<f64> {
        self.current.map(|(state, _)| state)
    }

    /// The time in a state.
    pub fn of(&self, state: f64) -> Option<&InState> {
        self.states.iter().find(|s| s.state == state)
    }
}

/// Digits after the point that a series has, and the mean of its directions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resolution {
    decimals: u8,
    largest: f64,
}

/// A series with so many digits after the point may have more, as one that was turned into another unit.
pub const ENDLESS_DECIMALS: u8 = 6;

impl Resolution {
    /// Adds a reading.
    pub fn push(&mut self, value: f64) {
        self.largest = self.largest.max(value.abs());
        const POWERS: [f64; 7] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
        while usize::from(self.decimals) < POWERS.len() - 1 {
            let scaled = value * POWERS[usize::from(self.decimals)];
            // Numbers of single precision are off by so much.
            if (scaled - scaled.round()).abs() <= 1e-5 {
                break;
            }
            self.decimals += 1;
        }
    }

    /// Digits after the point.
    pub fn decimals(self) -> u8 {
        // All values are so small that the digits above tell nothing of them.
        if self.largest > 0.0 && self.largest < 1e-3 { decimals_for(self.largest) } else { self.decimals }
    }
}

/// The mean of directions: of 350° and 10° it is 0°, not 180°.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAngle {
    sine: f64,
    cosine: f64,
}

impl MeanAngle {
    /// Adds a direction in degrees.
    pub fn push(&mut self, degrees: f64) {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        self.sine += sine;
        self.cosine += cosine;
    }

    /// The mean in degrees, from 0 to 360; `None` where the directions cancel each other.
    pub fn degrees(self, count: u64) -> Option<f64> {
        let length = self.sine.hypot(self.cosine);
        (count > 0 && length / count as f64 > 1e-6).then(|| self.sine.atan2(self.cosine).to_degrees().rem_euclid(360.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(m: i64) -> Moment {
        Moment(m * 60_000_000)
    }

    #[test]
    fn a_meter_s_growth_is_counted_through_its_resets() {
        let mut growth = Growth::after(Some(98.0));
        [99.0, 100.5, 0.5, 2.0, 2.0].into_iter().for_each(|v| growth.push(v));
        assert_eq!((growth.gain, growth.resets, growth.falls), (2.5 + 0.5 + 1.5, 1, 0));
        assert!(growth.only_grows());
        [1.5, 3.0].into_iter().for_each(|v| growth.push(v));
        assert!(!growth.only_grows());
    }

    #[test]
    fn states_last_from_one_change_to_the_next_and_into_the_window() {
        let mut times = StateTimes::after(minute(0), Some(1.0));
        for (m, state) in [(10, 0.0), (20, 0.0), (30, 1.0), (90, 0.0)] {
            times.push(minute(m), state);
        }
        let times = times.until(minute(120)).unwrap();
        let on = times.of(1.0).unwrap();
        assert_eq!((on.seconds, on.times, times.changes), (70.0 * 60.0, 2, 3));
        assert_eq!(on.longest, Span { from: minute(30), to: minute(90) });
        assert_eq!(times.of(0.0).unwrap().seconds, 50.0 * 60.0);
        assert_eq!(StateTimes::default().until(minute(1)), None);
    }

    #[test]
    fn digits_follow_the_values() {
        let of = |values: &[f64]| {
            let mut resolution = Resolution::default();
            values.iter().for_each(|v| resolution.push(*v));
            resolution.decimals()
        };
        assert_eq!(of(&[18_894.5, 18_903.9]), 1);
        assert_eq!(of(&[101_316.0, 101_334.0]), 0);
        assert_eq!(of(&[f64::from(20.1f32), 20.25]), 2);
        assert_eq!(of(&[1.0 / 3.0]), 6);
        assert_eq!(of(&[2.002e-8, 0.0]), 11);
        assert_eq!(of(&[0.0]), 0);
    }

    #[test]
    fn the_mean_of_directions_goes_round_the_circle() {
        let mut mean = MeanAngle::default();
        [350.0, 10.0, 20.0, 340.0].into_iter().for_each(|d| mean.push(d));
        let degrees = mean.degrees(4).unwrap();
        assert!(degrees.min(360.0 - degrees) < 1e-9, "{degrees}");
    }
}
