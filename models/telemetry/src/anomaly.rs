//! What is out of the ordinary in a sensor's window, each kind by a method with a name and a source.
//!
//! - **spike**: modified z-score of the distance from a running median, in units of the median absolute deviation (Hampel,
//!   J. Am. Stat. Assoc. 69, 1974; Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993).
//! - **drift**: two-sided CUSUM (Page, Biometrika 41, 1954) against the beginning of the window, or against the usual course of
//!   the day once one is known; the change point is where the sum last stood at zero. It must hold until the window ends.
//! - **stuck**: a run of equal values that is long in time and against the other runs of the same window, unless that is usual at
//!   these times of the day, or the course runs into it and out of it without a jump.
//! - **gap**: a pause longer than a multiple of the usual one, unless the pauses around it are as long.
//! - **above**, **below**: readings out of the configured limits.

use serde::{Deserialize, Serialize};

use super::quantile::median;
use super::statistics::{Run, Tally};
use super::track::Slot;
use super::{Moment, Span};
use nearfield_base::range::in_range;

/// From a median absolute deviation to a standard deviation of normal values: 1 / Phi^-1(3/4).
const MAD_TO_SIGMA: f64 = 1.482_6;
/// From a mean absolute deviation to a standard deviation of normal values: sqrt(pi / 2).
const MEAN_TO_SIGMA: f64 = 1.253_314;
/// Slots on either side that make the running median.
const HALF_WIDTH: usize = 6;
/// Fewest slots in which spikes and drifts are sought.
const FEWEST_SLOTS: usize = 16;
/// Parts of the day whose usual level is kept: quarters of an hour.
pub const DAY_PARTS: usize = 96;

/// The methods: kind, name, source.
pub const METHODS: [(&str, &str, &str); 5] = [
    ("spike", "robust z-score", "Hampel 1974; Iglewicz and Hoaglin 1993"),
    ("drift", "CUSUM", "Page 1954"),
    ("stuck", "stuck value", "longest run of equal values"),
    ("gap", "drop-out", "pause against the usual pause"),
    ("limit", "limits", "the configuration"),
];

/// When something counts as out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct AnomalyOptions {
    /// Spikes (Hampel 1974): robust standard deviations away from the running median.
    pub spike_z: f64,
    /// Drifts by CUSUM (Page 1954): the allowance, in robust standard deviations.
    pub cusum_k: f64,
    /// The threshold, in robust standard deviations.
    pub cusum_h: f64,
    /// At the end of the window the level has moved by so many robust standard deviations.
    pub drift_sigmas: f64,
    /// A value is stuck after so many seconds, if that is unusual for the sensor.
    pub stuck_seconds: f64,
    /// And so many readings.
    pub stuck_readings: u64,
    /// A gap is so many usual pauses long.
    pub gap_pauses: f64,
    /// And so many seconds.
    pub gap_seconds: f64,
}

impl Default for AnomalyOptions {
    fn default() -> Self {
        AnomalyOptions {
            spike_z: 8.0,
            cusum_k: 0.5,
            cusum_h: 8.0,
            drift_sigmas: 5.0,
            stuck_seconds: 3600.0,
            stuck_readings: 20,
            gap_pauses: 5.0,
            gap_seconds: 60.0,
        }
    }
}

impl AnomalyOptions {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("spike_z", self.spike_z, 2.0..=1000.0)?;
        in_range("cusum_k", self.cusum_k, 0.0..=100.0)?;
        in_range("cusum_h", self.cusum_h, 1.0..=1000.0)?;
        in_range("drift_sigmas", self.drift_sigmas, 1.0..=1000.0)?;
        in_range("stuck_seconds", self.stuck_seconds, 0.0..=1e9)?;
        in_range("stuck_readings", self.stuck_readings, 2..=1_000_000_000)?;
        in_range("gap_pauses", self.gap_pauses, 1.5..=1e6)?;
        in_range("gap_seconds", self.gap_seconds, 0.0..=1e9)
    }
}

/// What kind of anomaly, with its figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Anomaly {
    /// A single value, or a short burst, far off.
    Spike {
        /// The value farthest off.
        value: f64,
        /// When.
        at: Moment,
        /// Robust standard deviations from the running median.
        score: f64,
    },
    /// The level moved and did not come back.
    Drift {
        /// By how much, downwards negative.
        by: f64,
        /// Since when.
        from: Moment,
        /// Robust standard deviations.
        score: f64,
    },
    /// The same value over and over.
    Stuck {
        /// The value.
        value: f64,
        /// From its first to its last reading.
        span: Span,
    },
    /// No readings.
    Gap {
        /// From the last before to the first after, as far as it lies in the window.
        span: Span,
    },
    /// Above the upper limit.
    Above {
        /// The limit.
        limit: f64,
        /// The highest.
        extreme: f64,
        /// From the first outside to the first inside again.
        span: Span,
    },
    /// Below the lower limit.
    Below {
        /// The limit.
        limit: f64,
        /// The lowest.
        extreme: f64,
        /// From the first outside to the first inside again.
        span: Span,
    },
}

impl Anomaly {
    /// The name of the method that finds it, as in [`METHODS`].
    pub fn method(&self) -> &'static str {
        match self {
            Anomaly::Spike { .. } => "robust z-score",
            Anomaly::Drift { .. } => "CUSUM",
            Anomaly::Stuck { .. } => "stuck value",
            Anomaly::Gap { .. } => "drop-out",
            Anomaly::Above { .. } | Anomaly::Below { .. } => "limits",
        }
    }

    /// When it begins.
    pub fn begins(&self) -> Moment {
        match self {
            Anomaly::Spike { at, .. } => *at,
            Anomaly::Drift { from, .. } => *from,
            Anomaly::Stuck { span, .. }
            | Anomaly::Gap { span }
            | Anomaly::Above { span, .. }
            | Anomaly::Below { span, .. } => span.from,
        }
    }

    /// The first is told first: what is out of limits, then what is missing, far off, frozen, on its way.
    pub fn rank(&self) -> u8 {
        match self {
            Anomaly::Above { .. } | Anomaly::Below { .. } => 0,
            Anomaly::Spike { .. } => 1,
            Anomaly::Gap { .. } => 2,
            Anomaly::Drift { .. } => 3,
            Anomaly::Stuck { .. } => 4,
        }
    }
}

/// The usual level of a sensor in each quarter of an hour of the day, learned from earlier windows.
#[derive(Clone, Debug, PartialEq)]
pub struct DayProfile {
    levels: Vec<f32>, // [DAY_PARTS], NaN where unknown
}

impl Default for DayProfile {
    fn default() -> Self {
        DayProfile { levels: vec![f32::NAN; DAY_PARTS] }
    }
}

impl DayProfile {
    /// How much a new day counts.
    const NEWS: f32 = 0.3;

    /// Learns from a window's course; `part` says in which quarter of an hour of the day a moment lies.
    pub fn learn(&mut self, slots: &[Slot], part: &dyn Fn(Moment) -> usize) {
        let mut sums = vec![(0.0, 0u32); DAY_PARTS];
        for slot in slots {
            let sum = &mut sums[part(slot.first) % DAY_PARTS];
            *sum = (sum.0 + slot.mean(), sum.1 + 1);
        }
        for (level, (sum, n)) in self.levels.iter_mut().zip(sums) {
            if n > 0 {
                let mean = (sum / f64::from(n)) as f32;
                *level = if level.is_nan() { mean } else { *level + Self::NEWS * (mean - *level) };
            }
        }
    }

    /// Whether a run's value is what is usual at its times of the day.
    fn of_run(&self, run: &Run, slots: &[Slot], part: &dyn Fn(Moment) -> usize) -> Usual {
        let known = |level: &f32| !level.is_nan();
        let low = self.levels.iter().copied().filter(known).fold(f32::INFINITY, f32::min);
        let high = self.levels.iter().copied().filter(known).fold(f32::NEG_INFINITY, f32::max);
        let of_run: Vec<f32> = slots
            .iter()
            .filter(|s| s.last >= run.span.from && s.first <= run.span.to)
            .map(|s| self.levels[part(s.first) % DAY_PARTS])
            .collect();
        let levels: Vec<f32> = of_run.iter().copied().filter(known).collect();
        if levels.is_empty() || levels.len() * 5 < of_run.len() * 4 || high <= low {
            return Usual::Unknown;
        }
        let range = f64::from(high - low);
        let distant = |share: f64| levels.iter().filter(|l| (f64::from(**l) - run.value).abs() > share * range).count();
        match () {
            () if distant(SAME_SHARE) * 5 <= levels.len() => Usual::Same,
            () if distant(4.0 * SAME_SHARE) * 3 >= levels.len() => Usual::Other,
            () => Usual::Unknown,
        }
    }

    /// What is usual at each slot; `None` where less than four of five slots have a usual level.
    fn usual(&self, slots: &[Slot], part: &dyn Fn(Moment) -> usize) -> Option<Vec<f64>> {
        let levels: Vec<f64> = slots.iter().map(|s| f64::from(self.levels[part(s.first) % DAY_PARTS])).collect();
        let known: Vec<f64> = levels.iter().copied().filter(|l| !l.is_nan()).collect();
        if known.len() * 5 < slots.len() * 4 {
            return None;
        }
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        Some(levels.into_iter().map(|l| if l.is_nan() { mean } else { l }).collect())
    }
}

/// Everything out of the ordinary in a sensor's window, in the order of time. `end` is where the window, or what is known of
/// it, ends; `usual_pause` in seconds, where it is known.
pub fn find(
    tally: &Tally,
    end: Moment,
    usual_pause: Option<f64>,
    profile: Option<(&DayProfile, &dyn Fn(Moment) -> usize)>,
    options: &AnomalyOptions,
) -> Vec<Anomaly> {
    let mut found: Vec<Anomaly> = Vec::new();
    for excursion in tally.excursions().0 {
        let (limit, extreme, span) = (excursion.limit, excursion.extreme, excursion.span);
        found.push(match excursion.above {
            true => Anomaly::Above { limit, extreme, span },
            false => Anomaly::Below { limit, extreme, span },
        });
    }
    if let Some(pause) = usual_pause.or_else(|| tally.usual_pause()) {
        let longest = (pause * options.gap_pauses).max(options.gap_seconds);
        found.extend(tally.pauses_beyond(longest, end).into_iter().map(|span| Anomaly::Gap { span }));
    }
    let slots = tally.track().slots();
    let is_switch = is_switch(slots);
    if !is_switch {
        found.extend(stuck(tally, profile, options));
    }
    if slots.len() >= FEWEST_SLOTS && !is_switch {
        let spikes = spikes(slots, options, tally.step());
        // What is out of limits is told as that, not as a spike too.
        let out_of_limits = |at: Moment| tally.excursions().0.iter().any(|e| e.span.from <= at && at <= e.span.to);
        let drift = drift(slots, &spikes, profile, options);
        found.extend(spikes.into_iter().filter(|s| !out_of_limits(s.begins())));
        found.extend(drift);
    }
    found.sort_by_key(|a| (a.begins(), a.rank()));
    found
}

/// A door, a lamp, a presence: where a value is only ever one of two, and both of them in one slot of twenty, there is no level
/// that it could leave.
fn is_switch(slots: &[Slot]) -> bool {
    let low = slots.iter().map(|s| s.low.0).fold(f64::INFINITY, f64::min);
    let high = slots.iter().map(|s| s.high.0).fold(f64::NEG_INFINITY, f64::max);
    let is_one = |v: f64| v == low || v == high;
    let often = |n: usize| n * 20 >= slots.len();
    low < high
        && slots.iter().all(|s| is_one(s.low.0) && is_one(s.high.0))
        && often(slots.iter().filter(|s| s.low.0 == low).count())
        && often(slots.iter().filter(|s| s.high.0 == high).count())
}

/// A robust standard deviation of distances; by the mean where nearly all of them are equal. Where many are none at all, as those of a
/// light in its night, they say nothing of the others.
fn robust_sigma(distances: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = distances.iter().map(|d| d.abs()).collect();
    let mean = sizes.iter().sum::<f64>() / sizes.len().max(1) as f64;
    let all = sizes.len();
    sizes.retain(|size| *size > 0.0);
    if sizes.len() * 4 < all {
        return mean * MEAN_TO_SIGMA;
    }
    let is_half_none = sizes.len() * 3 < all * 2;
    if !is_half_none {
        sizes.resize(all, 0.0);
    }
    match median(&mut sizes) * MAD_TO_SIGMA {
        mad if mad > 0.0 => mad,
        _ => mean * MEAN_TO_SIGMA,
    }
}

/// `step` is the smallest difference that the sensor tells.
fn spikes(slots: &[Slot], options: &AnomalyOptions, step: f64) -> Vec<Anomaly> {
    let means: Vec<f64> = slots.iter().map(Slot::mean).collect();
    let mut neighbours = Vec::with_capacity(2 * HALF_WIDTH + 1);
    let farthest: Vec<(f64, f64, Moment)> = slots
        .iter()
        .enumerate()
        .map(|(i, slot)| {
            // As many on both sides: on a slope a lopsided median would be off.
            let reach = HALF_WIDTH.min(i.max(2)).min((slots.len() - 1 - i).max(2));
            neighbours.clear();
            neighbours.extend_from_slice(&means[i.saturating_sub(reach)..(i + reach + 1).min(means.len())]);
            let usual = median(&mut neighbours);
            let (low, high) = (slot.low.0 - usual, slot.high.0 - usual);
            if high.abs() >= low.abs() { (high, slot.high.0, slot.high.1) } else { (low, slot.low.0, slot.low.1) }
        })
        .collect();
    let distances: Vec<f64> = farthest.iter().map(|f| f.0).collect();
    // The dead centre of a rough course is narrower than its usual noise: the spread of single steps is a floor.
    let steps: Vec<f64> = means.windows(2).map(|w| w[1] - w[0]).collect();
    let sigma = robust_sigma(&distances).max(robust_sigma(&steps) / std::f64::consts::SQRT_2);
    if sigma <= 0.0 {
        return Vec::new();
    }
    // The top of a smooth course lies off the median of its slopes, but by no more than the course's own steps.
    let is_step_of_course = |i: usize, distance: f64| {
        let reach = i.saturating_sub(HALF_WIDTH)..(i + HALF_WIDTH).min(steps.len());
        // The steps into and out of a burst are its own.
        let others = reach.filter(|s| *s + 3 < i || *s > i + 2).map(|s| steps[s].abs());
        distance.abs() < 1.5 * others.fold(0.0, f64::max)
    };
    let mut found: Vec<Anomaly> = Vec::new();
    let mut last: Option<usize> = None;
    for (i, (distance, value, at)) in farthest.iter().enumerate() {
        let score = distance / sigma;
        // A course that is coarser than its noise jumps by a step or two.
        if score.abs() < options.spike_z || distance.abs() < step * 2.5 || is_step_of_course(i, *distance) {
            continue;
        }
        let burst = last.is_some_and(|l| i - l <= 2);
        last = Some(i);
        match found.last_mut() {
            Some(Anomaly::Spike { score: before, value: v, at: a }) if burst && before.signum() == score.signum() => {
                if score.abs() > before.abs() {
                    (*before, *v, *a) = (score, *value, *at);
                }
            }
            _ => found.push(Anomaly::Spike { value: *value, at: *at, score }),
        }
    }
    found
}

fn drift(
    slots: &[Slot],
    spikes: &[Anomaly],
    profile: Option<(&DayProfile, &dyn Fn(Moment) -> usize)>,
    options: &AnomalyOptions,
) -> Option<Anomaly> {
    let usual = profile.and_then(|(profile, part)| profile.usual(slots, part));
    let mut levels: Vec<f64> = slots.iter().map(Slot::mean).collect();
    if let Some(usual) = &usual {
        levels.iter_mut().zip(usual).for_each(|(level, usual)| *level -= usual);
    }
    // A spike is no drift: its slots take the level of the slot before.
    for i in 1..slots.len() {
        let hit = |s: &Anomaly| slots[i].first <= s.begins() && s.begins() <= slots[i].last;
        if spikes.iter().any(hit) {
            levels[i] = levels[i - 1];
        }
    }
    let quarter = (levels.len() / 4).max(4);
    let centre = median(&mut levels[..quarter].to_vec());
    let distances: Vec<f64> = levels[..quarter].iter().map(|l| l - centre).collect();
    let steps: Vec<f64> = levels.windows(2).map(|w| w[1] - w[0]).collect();
    let sigma = robust_sigma(&distances).max(robust_sigma(&steps) / std::f64::consts::SQRT_2);
    if sigma <= 0.0 {
        return None;
    }
    let mut best: Option<Anomaly> = None;
    for sign in [1.0, -1.0] {
        let (mut sum, mut zero, mut alarmed) = (0.0f64, 0usize, false);
        for (i, level) in levels.iter().enumerate() {
            sum = (sum + sign * (level - centre) / sigma - options.cusum_k).max(0.0);
            if sum == 0.0 {
                (zero, alarmed) = (i, false);
            }
            alarmed |= sum > options.cusum_h;
        }
        if !alarmed {
            continue;
        }
        let end = levels.len() - (levels.len() / 10).max(3);
        let level = median(&mut levels[end..].to_vec());
        let by = sign * (level - centre);
        // Where the level has been much farther away and came back, it is a course, not a drift.
        let farthest = levels[zero..].iter().map(|l| sign * (l - centre)).fold(0.0, f64::max);
        let score = by / sigma;
        if score < options.drift_sigmas || by < 0.7 * farthest {
            continue;
        }
        let from = slots[(zero + 1).min(slots.len() - 1)].first;
        best = Some(Anomaly::Drift { by: sign * by, from, score });
    }
    best
}

/// What is usual at the slots of a run, against its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usual {
    Same,
    Other,
    Unknown,
}

/// Values as near to each other as this share of a sensor's range are the same for a run of equal ones.
const SAME_SHARE: f64 = 0.05;

fn stuck(
    tally: &Tally,
    profile: Option<(&DayProfile, &dyn Fn(Moment) -> usize)>,
    options: &AnomalyOptions,
) -> Option<Anomaly> {
    let (longest, runs) = tally.runs();
    longest.into_iter().find_map(|run| stuck_in(run, runs, tally, profile, options))
}

fn stuck_in(
    run: Run,
    runs: u64,
    tally: &Tally,
    profile: Option<(&DayProfile, &dyn Fn(Moment) -> usize)>,
    options: &AnomalyOptions,
) -> Option<Anomaly> {
    if run.count < options.stuck_readings || run.span.seconds() < options.stuck_seconds {
        return None;
    }
    let found = Some(Anomaly::Stuck { value: run.value, span: run.span });
    let slots = tally.track().slots();
    let usual = profile.map_or(Usual::Unknown, |(profile, part)| profile.of_run(&run, slots, part));
    if runs < 3 {
        // A value that never moves is the sensor's own, unless other days have shown that it moves.
        return found.filter(|_| usual == Usual::Other);
    }
    let others = (tally.count() - run.count) as f64 / (runs - 1) as f64;
    let is_long = run.count as f64 >= 10.0 * others;
    let is_rest = match usual {
        Usual::Same => true,
        Usual::Other => false,
        Usual::Unknown => is_floor(&run, slots),
    };
    found.filter(|_| is_long && !is_rest)
}

/// Whether a run of equal values is the floor or the ceiling of a course that runs into it and out of it without a jump, as light does at
/// nightfall and dawn.
fn is_floor(run: &Run, slots: &[Slot]) -> bool {
    let low = slots.iter().map(|s| s.low.0).fold(f64::INFINITY, f64::min);
    let high = slots.iter().map(|s| s.high.0).fold(f64::NEG_INFINITY, f64::max);
    if run.value != low && run.value != high {
        return false;
    }
    let is_near = |value: f64, beyond: Option<f64>| {
        let step = (value - run.value).abs();
        let next = beyond.map_or(0.0, |beyond| (beyond - value) * (value - run.value).signum());
        step <= 2.0 * SAME_SHARE * (high - low) || (next > 0.0 && step <= 2.0 * next)
    };
    let before: Vec<f64> = slots.iter().rev().filter(|s| s.last < run.span.from).take(2).map(Slot::mean).collect();
    let after: Vec<f64> = slots.iter().filter(|s| s.first > run.span.to).take(2).map(Slot::mean).collect();
    // A flash in the midst of a night ends it no more than the window does.
    let is_break = |edge: &[f64]| edge.get(1) == Some(&run.value);
    let is_soft = |edge: &[f64]| edge.first().is_none_or(|value| is_near(*value, edge.get(1).copied()));
    [before, after].iter().all(|edge| is_break(edge) || is_soft(edge))
}

#[cfg(test)]
mod tests;
