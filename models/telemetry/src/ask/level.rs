//! The figures of a time, gathered from its readings.

use crate::Moment;
use crate::course::{Growth, MeanAngle, Resolution};
use crate::kind::Kind;

/// A reading is so far before a time at most that what a meter counted since then belongs to it.
pub(super) const BEFORE_SECONDS: f64 = 86_400.0;

/// The figures of a time.
#[derive(Default)]
pub(super) struct Level {
    pub(super) count: u64,
    sum: f64,
    pub(super) low: Option<(f64, Moment)>,
    pub(super) high: Option<(f64, Moment)>,
    pub(super) last: Option<(f64, Moment)>,
    pub(super) first: Option<Moment>,
    pub(super) growth: Growth,
    angle: MeanAngle,
    pub(super) resolution: Resolution,
}

impl Level {
    /// After a reading of before the time, from which what is counted begins.
    pub(super) fn after(before: Option<f64>) -> Level {
        Level { growth: Growth::after(before), ..Level::default() }
    }

    pub(super) fn push(&mut self, at: Moment, value: f64) {
        self.count += 1;
        self.sum += value;
        if self.low.is_none_or(|(low, _)| value < low) {
            self.low = Some((value, at));
        }
        if self.high.is_none_or(|(high, _)| value > high) {
            self.high = Some((value, at));
        }
        self.first.get_or_insert(at);
        self.last = Some((value, at));
        self.growth.push(value);
        self.angle.push(value);
        self.resolution.push(value);
    }

    pub(super) fn mean(&self, kind: Option<Kind>) -> f64 {
        let direction = (kind == Some(Kind::Angle)).then(|| self.angle.degrees(self.count)).flatten();
        direction.unwrap_or(self.sum / self.count.max(1) as f64)
    }

    /// Whether these are directions that cancel each other, so that they have no mean.
    pub(super) fn is_all_round(&self, kind: Option<Kind>) -> bool {
        kind == Some(Kind::Angle) && self.angle.degrees(self.count).is_none()
    }

    pub(super) fn summed(&self, kind: Option<Kind>) -> f64 {
        if kind == Some(Kind::Amount) { self.sum } else { self.growth.gain }
    }
}
