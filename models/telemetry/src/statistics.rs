//! The statistics of one sensor in one window, reading by reading, in bounded memory whatever the window's length.
//!
//! Mean and deviation by Welford's recurrence (Technometrics 4, 1962), the slope by the same recurrence on time and value;
//! median and 95th percentile exact up to [`MAX_SLOTS`] readings and by a t-digest beyond.

use serde::Serialize;

use super::course::{Growth, MeanAngle, Resolution, StateTimes};
use super::kind::Kind;
use super::quantile::{TDigest, exact_quantile};
use super::track::{MAX_SLOTS, Track};
use super::{Moment, Span};

/// The longest pauses that are remembered for telling which of them are gaps.
const MAX_PAUSES: usize = 16;
/// The longest runs of one value that are remembered: a light has two in each of its nights.
const MAX_RUNS: usize = 8;
/// So many pauses that are alike make a cadence.
const CADENCE: usize = 3;
/// Times out of limits that are remembered one by one.
const MAX_EXCURSIONS: usize = 16;

/// A time out of the configured limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excursion {
    /// Whether above the upper limit; else below the lower.
    pub above: bool,
    /// The limit.
    pub limit: f64,
    /// The value farthest out.
    pub extreme: f64,
    /// From the first reading outside to the first inside again, or the last there is.
    pub span: Span,
}

/// Readings of one and the same value, one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// The value.
    pub value: f64,
    /// How many.
    pub count: u64,
    /// From the first to the last.
    pub span: Span,
}

/// What is gathered of one sensor while a window is open.
#[derive(Clone, Debug)]
pub struct Tally {
    start: Moment,
    /// When the last reading ahead of the window was.
    before: Option<Moment>,
    limits: (Option<f64>, Option<f64>),
    count: u64,
    first: (f64, Moment),
    last: (f64, Moment),
    low: (f64, Moment),
    high: (f64, Moment),
    mean: f64,
    squares: f64, // sum of squared distances from the mean
    time_mean: f64,
    time_squares: f64,
    products: f64,
    track: Track,
    digest: Option<TDigest>,
    pauses: Vec<Span>,
    run: Run,
    /// The longest of those that have ended.
    longest_runs: Vec<Run>,
    runs: u64,
    excursions: Vec<Excursion>,
    excursions_beyond: u64,
    outside: bool,
    growth: Growth,
    resolution: Resolution,
    /// Of a sensor of states.
    states: Option<StateTimes>,
    /// Of a sensor of directions.
    angle: Option<MeanAngle>,
}

impl Tally {
    /// The tally of a window that begins at `start`. A reading above `limits.1` or below `limits.0` is out of limits. `before` is
    /// the sensor's last reading ahead of the window, from which the first pause, step and state count.
    pub fn new(
        start: Moment,
        limits: (Option<f64>, Option<f64>),
        before: Option<(Moment, f64)>,
        kind: Option<Kind>,
    ) -> Tally {
        let value_before = before.map(|(_, value)| value);
        let nothing = Run { value: f64::NAN, count: 0, span: Span { from: start, to: start } };
        let mut tally = Tally {
            start,
            before: before.map(|(at, _)| at),
            limits,
            count: 0,
            first: (0.0, start),
            last: (0.0, start),
            low: (f64::INFINITY, start),
            high: (f64::NEG_INFINITY, start),
            mean: 0.0,
            squares: 0.0,
            time_mean: 0.0,
            time_squares: 0.0,
            products: 0.0,
            track: Track::default(),
            digest: None,
            pauses: Vec::new(),
            run: nothing,
            longest_runs: Vec::new(),
            runs: 0,
            excursions: Vec::new(),
            excursions_beyond: 0,
            outside: false,
            growth: Growth::after(value_before),
            resolution: Resolution::default(),
            states: kind.is_some_and(Kind::is_state).then(|| StateTimes::after(start, value_before)),
            angle: (kind == Some(Kind::Angle)).then(MeanAngle::default),
        };
        if before.is_some() {
            // The pause is told as far as it lies within the window.
            tally.pauses.push(Span { from: start, to: start });
        }
        tally
    }

    /// Adds a reading. One that is older than the one before counts in every figure; in the sequence (pauses, runs of one value,
    /// times out of limits) it is not sought.
    pub fn push(&mut self, at: Moment, value: f64) {
        let in_order = self.count == 0 || at >= self.last.1;
        if self.count == 0 {
            self.first = (value, at);
            if let Some(pause) = self.pauses.first_mut() {
                pause.to = at;
            }
        } else if in_order {
            self.note_pause(Span { from: self.last.1, to: at });
        }
        self.count += 1;
        if in_order {
            self.last = (value, at);
        } else if at < self.first.1 {
            self.first = (value, at);
        }
        if value < self.low.0 {
            self.low = (value, at);
        }
        if value > self.high.0 {
            self.high = (value, at);
        }
        let n = self.count as f64;
        let seconds = at.seconds_since(self.start);
        let from_mean = value - self.mean;
        let from_time = seconds - self.time_mean;
        self.mean += from_mean / n;
        self.time_mean += from_time / n;
        self.squares += from_mean * (value - self.mean);
        self.time_squares += from_time * (seconds - self.time_mean);
        self.products += from_time * (value - self.mean);
        if in_order {
            self.note_run(at, value);
            self.note_limits(at, value);
            self.growth.push(value);
            if let Some(states) = &mut self.states {
                states.push(at, value);
            }
        }
        self.resolution.push(value);
        if let Some(angle) = &mut self.angle {
            angle.push(value);
        }
        if self.digest.is_none() && self.track.is_exact() && self.track.slots().len() == MAX_SLOTS {
            let mut digest = TDigest::default();
            self.track.slots().iter().for_each(|slot| digest.push(slot.sum));
            self.digest = Some(digest);
        }
        if let Some(digest) = &mut self.digest {
            digest.push(value);
        }
        self.track.push(at, value);
    }

    fn note_pause(&mut self, pause: Span) {
        if self.pauses.len() < MAX_PAUSES {
            self.pauses.push(pause);
        } else if let Some(shortest) = self.pauses.iter_mut().min_by(|a, b| a.seconds().total_cmp(&b.seconds()))
            && shortest.seconds() < pause.seconds()
        {
            *shortest = pause;
        }
    }

    fn note_run(&mut self, at: Moment, value: f64) {
        if self.run.count > 0 && self.run.value == value {
            self.run.count += 1;
            self.run.span.to = at;
        } else {
            let ended = std::mem::replace(&mut self.run, Run { value, count: 1, span: Span { from: at, to: at } });
            self.runs += 1;
            if ended.count > 1 {
                keep_longest(&mut self.longest_runs, ended);
            }
        }
    }

    fn note_limits(&mut self, at: Moment, value: f64) {
        let beyond = match self.limits {
            (_, Some(high)) if value > high => Some((true, high)),
            (Some(low), _) if value < low => Some((false, low)),
            _ => None,
        };
        if self.outside && self.excursions_beyond == 0 {
            let last = self.excursions.last_mut().expect("a sensor is outside since an excursion began");
            last.span.to = at;
            if beyond.is_some_and(|(above, _)| above == last.above) {
                last.extreme = if last.above { last.extreme.max(value) } else { last.extreme.min(value) };
                return;
            }
        }
        self.outside = beyond.is_some();
        if let Some((above, limit)) = beyond {
            if self.excursions.len() < MAX_EXCURSIONS {
                self.excursions.push(Excursion { above, limit, extreme: value, span: Span { from: at, to: at } });
            } else {
                self.excursions_beyond += 1;
            }
        }
    }

    /// The smallest difference that its values tell.
    pub fn step(&self) -> f64 {
        10f64.powi(-i32::from(self.resolution.decimals()))
    }

    /// How many readings.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last reading.
    pub fn last(&self) -> Option<(f64, Moment)> {
        (self.count > 0).then_some(self.last)
    }

    /// Its course.
    pub fn track(&self) -> &Track {
        &self.track
    }

    /// The longest runs of equal values, the longest first, and how many runs there were.
    pub fn runs(&self) -> (Vec<Run>, u64) {
        let mut longest = self.longest_runs.clone();
        keep_longest(&mut longest, self.run);
        longest.sort_by_key(|run| std::cmp::Reverse(run.count));
        (longest, self.runs)
    }

    /// The times out of limits, and how many more there were than are told.
    pub fn excursions(&self) -> (&[Excursion], u64) {
        (&self.excursions, self.excursions_beyond)
    }

    /// The median time between two readings, by the track; `None` of fewer than three readings.
    pub fn usual_pause(&self) -> Option<f64> {
        let slots = self.track.slots();
        let mut pauses: Vec<f64> = match self.track.is_exact() {
            true => slots.windows(2).map(|w| w[1].first.seconds_since(w[0].first)).collect(),
            false => slots
                .iter()
                .filter(|s| s.count > 1)
                .map(|s| s.last.seconds_since(s.first) / f64::from(s.count - 1))
                .collect(),
        };
        pauses.sort_unstable_by(f64::total_cmp);
        (pauses.len() >= 2).then(|| exact_quantile(&pauses, 0.5)).flatten()
    }

    /// Pauses longer than `longest` seconds, in the order of time, the one until `end` among them.
    pub fn pauses_beyond(&self, longest: f64, end: Moment) -> Vec<Span> {
        let mut pauses = self.pauses.clone();
        if self.count > 0 {
            pauses.push(Span { from: self.last.1, to: end });
        }
        pauses.retain(|p| p.seconds() > longest);
        pauses.sort_unstable_by_key(|p| p.from);
        if !pauses.is_empty() {
            let all = self.all_pauses();
            pauses.retain(|p| !is_of_cadence(*p, &all));
        }
        pauses
    }

    /// The pauses between readings in the order of time, the one from the reading ahead of the window among them; those of readings that
    /// have been merged by their mean.
    fn all_pauses(&self) -> Vec<Span> {
        let mut pauses = Vec::new();
        let mut last = self.before;
        for slot in self.track.slots() {
            pauses.extend(last.map(|last| Span { from: last, to: slot.first }));
            let within = i64::from(slot.count) - 1;
            if within > 0 {
                let step = (slot.last.0 - slot.first.0) / within;
                let place = |n: i64| Moment(slot.first.0 + n * step);
                pauses.extend((0..within.min(CADENCE as i64)).map(|n| Span { from: place(n), to: place(n + 1) }));
            }
            last = Some(slot.last);
        }
        pauses
    }

    /// The times of its states up to `end`, of a sensor of states.
    pub fn states(&self, end: Moment) -> Option<StateTimes> {
        self.states.clone()?.until(end)
    }

    /// The figures; `None` without a reading. `end` is where the window ends, or the readings so far.
    pub fn statistics(&self, end: Moment) -> Option<Statistics> {
        if self.count == 0 {
            return None;
        }
        let (median, p95) = match &self.digest {
            Some(digest) => {
                let mut digest = digest.clone();
                (digest.quantile(0.5), digest.quantile(0.95))
            }
            None => {
                let mut values: Vec<f64> = self.track.slots().iter().map(|s| s.sum).collect();
                values.sort_unstable_by(f64::total_cmp);
                (exact_quantile(&values, 0.5), exact_quantile(&values, 0.95))
            }
        };
        let elapsed = end.seconds_since(self.start);
        Some(Statistics {
            count: self.count,
            per_hour: if elapsed > 0.0 { self.count as f64 * 3600.0 / elapsed } else { 0.0 },
            low: self.low,
            high: self.high,
            first: self.first,
            last: self.last,
            mean: self.mean.clamp(self.low.0, self.high.0),
            median: median.unwrap_or(self.mean),
            p95: p95.unwrap_or(self.mean),
            deviation: if self.count > 1 { (self.squares.max(0.0) / (self.count - 1) as f64).sqrt() } else { 0.0 },
            slope_per_hour: if self.time_squares > 0.0 { self.products / self.time_squares * 3600.0 } else { 0.0 },
            growth: self.growth,
            decimals: self.resolution.decimals(),
            mean_direction: self.angle.and_then(|a| a.degrees(self.count)),
        })
    }
}

/// Puts a run among the longest, if it is one of them.
fn keep_longest(longest: &mut Vec<Run>, run: Run) {
    if longest.len() < MAX_RUNS {
        longest.push(run);
    } else if let Some(shortest) = longest.iter_mut().min_by_key(|run| run.count)
        && shortest.count < run.count
    {
        *shortest = run;
    }
}

/// Whether a pause is one of a slower cadence than the usual, as where hourly statistics stand before states: the pauses before it or after
/// it are as long, and alike.
fn is_of_cadence(pause: Span, all: &[Span]) -> bool {
    let end = all.partition_point(|p| p.from < pause.from);
    // The window may have cut it off at its beginning.
    let begin = all.partition_point(|p| p.to <= pause.from).min(end);
    let next = all.partition_point(|p| p.from < pause.to);
    let before = &all[begin.saturating_sub(CADENCE)..begin];
    let after = &all[next.min(all.len())..(next + CADENCE).min(all.len())];
    let whole =
        all.get(begin).filter(|p| p.to >= pause.to).map_or(pause.seconds(), |p| p.seconds().max(pause.seconds()));
    let is_alike = |p: &&Span| (p.seconds() - whole).abs() <= whole * 0.1;
    let neighbours = before.iter().chain(after).filter(is_alike).count();
    let is_next_to_cadence = || {
        [before, after].iter().any(|side| {
            let lengths = || side.iter().map(|p| p.seconds());
            let (shortest, longest) = (lengths().fold(f64::INFINITY, f64::min), lengths().fold(0.0, f64::max));
            side.len() == CADENCE && longest <= shortest * 1.1 && whole <= longest * 1.5
        })
    };
    neighbours + 1 >= CADENCE || is_next_to_cadence()
}

/// The figures of one sensor in one window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// How many readings.
    pub count: u64,
    /// Readings an hour.
    pub per_hour: f64,
    /// The lowest, and when first.
    pub low: (f64, Moment),
    /// The highest, and when first.
    pub high: (f64, Moment),
    /// The first, and when.
    pub first: (f64, Moment),
    /// The last, and when.
    pub last: (f64, Moment),
    /// The mean of the readings (not of time).
    pub mean: f64,
    /// Half of the readings lie below.
    pub median: f64,
    /// 95 of 100 readings lie below.
    pub p95: f64,
    /// The standard deviation of the sample.
    pub deviation: f64,
    /// By least squares: how much it rises in an hour.
    pub slope_per_hour: f64,
    /// How it grew, with the step from the last reading before the window.
    pub growth: Growth,
    /// Digits after the point that its values have, at most six.
    pub decimals: u8,
    /// The circular mean in degrees, of a sensor of directions.
    pub mean_direction: Option<f64>,
}

impl Statistics {
    /// The sum of the readings.
    pub fn sum(&self) -> f64 {
        self.mean * self.count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(values: &[f64], limits: (Option<f64>, Option<f64>)) -> Tally {
        let mut tally = Tally::new(Moment(0), limits, None, None);
        for (i, value) in values.iter().enumerate() {
            tally.push(Moment(i as i64 * 60_000_000), *value);
        }
        tally
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn streaming_figures_are_those_of_their_definitions(values in prop::collection::vec(-1e3f64..1e3, 2..3000), offset in prop::sample::select(vec![0.0, 1e6])) {
            let values: Vec<f64> = values.iter().map(|v| v + offset).collect();
            let end = Moment(values.len() as i64 * 60_000_000);
            let figures = tally(&values, (None, None)).statistics(end).unwrap();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let hours = |i: usize| i as f64 / 60.0;
            let time_mean = (0..values.len()).map(hours).sum::<f64>() / n;
            let products: f64 = values.iter().enumerate().map(|(i, v)| (hours(i) - time_mean) * (v - mean)).sum();
            let squares: f64 = (0..values.len()).map(|i| (hours(i) - time_mean).powi(2)).sum();
            prop_assert!((figures.mean - mean).abs() < 1e-6);
            prop_assert!((figures.deviation - variance.sqrt()).abs() < 1e-5);
            prop_assert!((figures.slope_per_hour - products / squares).abs() < 1e-4 * (1.0 + figures.slope_per_hour.abs()));
            prop_assert!((figures.per_hour - 60.0).abs() < 1e-9);
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            for (q, got) in [(0.5, figures.median), (0.95, figures.p95)] {
                let slack = if values.len() <= MAX_SLOTS { 1e-9 } else { 0.02 };
                let (low, high) = (exact_quantile(&sorted, q - slack).unwrap(), exact_quantile(&sorted, q + slack).unwrap());
                prop_assert!(low - 1e-5 <= got && got <= high + 1e-5, "{} {} {}", low, got, high);
            }
        }
    }

    #[test]
    fn times_out_of_limits_begin_and_end_with_readings() {
        let tally = tally(&[5.0, 9.0, 12.0, 7.0, 1.0, 9.0], (Some(2.0), Some(8.0)));
        let minute = |m: i64| Moment(m * 60_000_000);
        let (found, more) = tally.excursions();
        assert_eq!(more, 0);
        let told: Vec<_> = found.iter().map(|e| (e.above, e.extreme, e.span.from, e.span.to)).collect();
        assert_eq!(
            told,
            [(true, 12.0, minute(1), minute(3)), (false, 1.0, minute(4), minute(5)), (true, 9.0, minute(5), minute(5))]
        );
    }

    #[test]
    fn memory_stays_bounded_whatever_comes() {
        let values: Vec<f64> = (0..50_000).map(|i| f64::from(i % 10)).collect();
        let tally = tally(&values, (Some(2.0), Some(8.0)));
        assert!(tally.track().slots().len() <= MAX_SLOTS && tally.pauses.len() <= MAX_PAUSES);
        assert!(tally.excursions.len() <= MAX_EXCURSIONS && tally.excursions_beyond > 0);
    }
}
