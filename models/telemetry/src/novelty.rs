//! How new a reading is to its sensor, told at the moment it comes, from its value alone and in bounded memory.
//!
//! Two measures of novelty, each the distance to the nearest neighbour in everything the sensor has given so far (nearest-neighbour
//! outlier detection: Knorr and Ng, VLDB 1998; Ramaswamy, Rastogi and Shim, SIGMOD 2000):
//!
//! - **value**: the distance of the reading to the nearest value there was. A first peak, a level never seen and a first zero are
//!   new; the same again is not.
//! - **shape**: the means of every twelve readings, four in a row, against the fours there were (city-block distance), as KNN-CAD
//!   does on lagged vectors (Burnaev and Ishimtsev, "Conformalized density- and distance-based anomaly detection in time-series
//!   data", 2016). A course never seen is new though each of its values is usual.
//!
//! Distances of sensors in volts and pascals do not compare. A distance is therefore turned into a probability: the share of the
//! sensor's earlier distances that were as large, and beyond the largest twentieth of them an exponential tail (peaks over a
//! threshold: Pickands, Ann. Statist. 3, 1975; for streams: Siffer et al., KDD 2017). Its negative decimal logarithm is the
//! surprise: 2 for what one reading in a hundred comes up to. The larger of the two surprises counts.
//!
//! Of one event, only what surpasses it is told again for 150 readings.

use std::collections::VecDeque;

/// Readings after an event in which only a larger surprise is another.
const REST: u64 = 150;
/// Distances from which the tail is estimated, at most and at least.
const MOST_DISTANCES: usize = 2048;
const FEWEST_DISTANCES: usize = 50;
/// The tail begins where this share of the distances is smaller.
const TAIL_FROM: f64 = 0.95;
/// The tail's mean is at least this share of the way from the median to where it begins.
const NARROWEST_TAIL: f64 = 0.05;
/// Values that are remembered.
const MOST_VALUES: usize = 2048;
/// Readings in a step, steps in a shape, shapes that are remembered.
const STEP_READINGS: usize = 12;
const SHAPE_STEPS: usize = 4;
const MOST_SHAPES: usize = 512;
/// Shapes from which on only what is not already well known is remembered.
const ENOUGH_SHAPES: usize = 100;
/// A shape is well known if this share of the distances is larger than its own.
const WELL_KNOWN: f64 = 0.3;

/// What is remembered of one sensor.
#[derive(Clone, Debug, Default)]
pub struct Novelty {
    readings: u64,
    values: Values,
    value_distances: Distances,
    shapes: Shapes,
    shape_distances: Distances,
    /// The last event: at which reading, and its surprise.
    event: Option<(u64, f64)>,
}

impl Novelty {
    /// Takes the next reading in the order of time. Answers the surprise if an event begins with it or grows.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        self.readings += 1;
        let mut surprise = self.value_distances.surprise(self.values.distance(value));
        if let Some(distance) = self.shapes.distance(value, &self.shape_distances) {
            surprise = surprise.max(self.shape_distances.surprise(distance));
        }
        let rests = |(at, before): (u64, f64)| self.readings - at < REST && surprise <= before;
        if surprise <= 0.0 || self.event.is_some_and(rests) {
            return None;
        }
        self.event = Some((self.readings, surprise));
        Some(surprise)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        let distances = self.value_distances.sample.capacity() + self.shape_distances.sample.capacity();
        let shapes = self.shapes.known.capacity() * size_of::<Shape>();
        size_of::<Self>() + (distances + self.values.0.capacity()) * size_of::<f64>() + shapes
    }
}

/// The values there were, in order. Where there are too many, the one that its neighbours stand for best is dropped.
#[derive(Clone, Debug, Default)]
struct Values(Vec<f64>);

impl Values {
    /// The distance to the nearest value there was; 0 for the first. The value is remembered.
    fn distance(&mut self, value: f64) -> f64 {
        let known = &mut self.0;
        let place = known.partition_point(|v| *v < value);
        let above = known.get(place).map(|v| v - value);
        let below = place.checked_sub(1).map(|i| value - known[i]);
        let distance = above.into_iter().chain(below).min_by(f64::total_cmp).unwrap_or(0.0);
        if distance > 0.0 || known.is_empty() {
            known.insert(place, value);
        }
        if known.len() > MOST_VALUES {
            let gap = |i: &usize| known[i + 1] - known[i - 1];
            let densest = (1..known.len() - 1).min_by(|a, b| gap(a).total_cmp(&gap(b)));
            known.remove(densest.unwrap_or(0));
        }
        distance
    }
}

/// Four steps in a row.
#[derive(Clone, Copy, Debug)]
struct Shape {
    steps: [f64; SHAPE_STEPS],
    /// At which step it, or one like it, was there last.
    seen: u64,
}

impl Shape {
    fn distance(&self, other: &[f64; SHAPE_STEPS]) -> f64 {
        self.steps.iter().zip(other).map(|(a, b)| (a - b).abs()).sum()
    }
}

/// The shapes there were, and the one that goes on.
#[derive(Clone, Debug, Default)]
struct Shapes {
    sum: f64,
    readings: usize,
    steps: u64,
    last: VecDeque<f64>,
    known: Vec<Shape>,
}

impl Shapes {
    /// With the last reading of a step, the distance to the nearest shape there was.
    fn distance(&mut self, value: f64, distances: &Distances) -> Option<f64> {
        self.sum += value / STEP_READINGS as f64;
        self.readings += 1;
        if self.readings < STEP_READINGS {
            return None;
        }
        self.last.push_back(std::mem::take(&mut self.sum));
        (self.readings, self.steps) = (0, self.steps + 1);
        if self.last.len() > SHAPE_STEPS {
            self.last.pop_front();
        }
        if self.last.len() < SHAPE_STEPS {
            return None;
        }
        let mut steps = [0.0; SHAPE_STEPS];
        steps.iter_mut().zip(&self.last).for_each(|(to, from)| *to = *from);
        // What shares steps with this one is no precedent.
        let well_known = if self.known.len() > ENOUGH_SHAPES { distances.well_known } else { 0.0 };
        let ended = |shape: &&mut Shape| shape.seen + SHAPE_STEPS as u64 <= self.steps;
        let nearest = self.known.iter_mut().filter(ended).map(|shape| (shape.distance(&steps), shape));
        let nearest = nearest.min_by(|a, b| a.0.total_cmp(&b.0));
        match nearest {
            Some((distance, shape)) if distance <= well_known => {
                shape.seen = self.steps - SHAPE_STEPS as u64;
                Some(distance)
            }
            nearest => {
                let distance = nearest.map(|(distance, _)| distance);
                if self.known.len() == MOST_SHAPES {
                    let oldest = (0..MOST_SHAPES).min_by_key(|i| self.known[*i].seen).unwrap_or(0);
                    self.known.swap_remove(oldest);
                }
                self.known.push(Shape { steps, seen: self.steps });
                distance
            }
        }
    }
}

/// The distances there were: all of them, or of many every second, every fourth, and so on.
#[derive(Clone, Debug)]
struct Distances {
    sample: Vec<f64>,
    /// One of so many is kept.
    every: u64,
    count: u64,
    /// At which count the estimates are made anew.
    due: u64,
    well_known: f64,
    tail_from: f64,
    tail_mean: f64,
}

impl Default for Distances {
    fn default() -> Self {
        Distances { sample: Vec::new(), every: 1, count: 0, due: 0, well_known: 0.0, tail_from: 0.0, tail_mean: 1.0 }
    }
}

impl Distances {
    /// The surprise of a distance, which then counts among those there were; 0 up to where the tail begins.
    fn surprise(&mut self, distance: f64) -> f64 {
        let known = self.sample.len() >= FEWEST_DISTANCES;
        if known && self.count >= self.due {
            self.estimate();
            self.due = self.count + (self.count / 20).clamp(8, 512);
        }
        let beyond = distance - self.tail_from;
        let surprise = match known && beyond > 0.0 {
            true => beyond / self.tail_mean / std::f64::consts::LN_10 - (1.0 - TAIL_FROM).log10(),
            false => 0.0,
        };
        if self.count.is_multiple_of(self.every) {
            self.sample.push(distance);
        }
        self.count += 1;
        if self.sample.len() == MOST_DISTANCES {
            let mut nth = 0;
            self.sample.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.every *= 2;
        }
        surprise
    }

    fn estimate(&mut self) {
        let mut sorted = self.sample.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        (self.well_known, self.tail_from) = (at(WELL_KNOWN), at(TAIL_FROM));
        let tail: Vec<f64> = sorted.iter().map(|d| d - self.tail_from).filter(|d| *d > 0.0).collect();
        let narrowest = (self.tail_from - at(0.5)) * NARROWEST_TAIL;
        let mean = tail.iter().sum::<f64>() / tail.len().max(1) as f64;
        self.tail_mean = mean.max(narrowest).max(f64::MIN_POSITIVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A course of a day of 288 readings with noise that is the same in each run.
    fn usual(i: usize) -> f64 {
        let hash = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let noise = ((hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / f64::from(1 << 24);
        20.0 + 3.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin() + 0.4 * noise
    }

    fn events(course: impl Fn(usize) -> f64, readings: usize) -> Vec<(usize, f64)> {
        let mut novelty = Novelty::default();
        (0..readings).filter_map(|i| novelty.push(course(i)).map(|surprise| (i, surprise))).collect()
    }

    fn highest_after(events: &[(usize, f64)], learnt: usize) -> Option<(usize, f64)> {
        events.iter().copied().filter(|(i, _)| *i >= learnt).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    #[test]
    fn a_value_never_seen_surprises_the_first_time_and_hardly_the_second() {
        let events = events(|i| if i == 2000 || i == 3000 { 45.0 } else { usual(i) }, 4000);
        let of = |at: usize| events.iter().find(|(i, _)| *i == at).map_or(0.0, |(_, surprise)| *surprise);
        assert!(of(2000) > 10.0 && of(3000) == 0.0, "{} {}", of(2000), of(3000));
    }

    #[test]
    fn a_course_never_seen_surprises_though_its_values_are_usual() {
        // For half a day the readings stand still at a level that they pass every day.
        let events = events(|i| if (12_000..12_144).contains(&i) { 20.0 + usual(i) / 100.0 } else { usual(i) }, 13_000);
        let (at, surprise) = highest_after(&events, 8640).unwrap();
        assert!((12_000..12_180).contains(&at) && surprise > 1.6, "{at} {surprise}");
    }

    #[test]
    fn an_ordinary_course_of_weeks_has_less_than_one_event_a_day_and_none_that_is_strong() {
        let events = events(usual, 288 * 60);
        let late: Vec<_> = events.iter().filter(|(i, _)| *i >= 288 * 7).collect();
        assert!(late.len() < 53 && late.iter().all(|(_, surprise)| *surprise < 6.0), "{late:?}");
    }

    #[test]
    fn units_and_offsets_do_not_matter() {
        let course = |i: usize| if i.is_multiple_of(977) { 31.0 + (i % 7) as f64 } else { usual(i) };
        let (one, other) = (events(course, 5000), events(|i| 1024.0 * course(i), 5000));
        assert_eq!(one, other);
        let readings = |events: Vec<(usize, f64)>| events.into_iter().map(|(i, _)| i).collect::<Vec<_>>();
        assert_eq!(readings(one), readings(events(|i| -course(i), 5000)));
    }

    #[test]
    fn memory_stays_flat_whatever_comes() {
        let mut novelty = Novelty::default();
        let mut state = 1u64;
        let mut after_some = 0;
        for i in 0..60_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = [state as f64, 1e15, -1e15, 0.0, (state >> 50) as f64][i % 5];
            let surprise = novelty.push(value).unwrap_or(0.0);
            assert!(surprise >= 0.0 && !surprise.is_nan());
            if i == 20_000 {
                after_some = novelty.bytes();
            }
        }
        assert!(novelty.bytes() <= after_some && after_some < 100 << 10, "{} {after_some}", novelty.bytes());
    }

    #[test]
    fn a_sensor_that_never_changed_is_surprising_when_it_does() {
        let events = events(|i| if i < 1000 { 5.0 } else { 5.5 }, 1100);
        assert_eq!(events.first().map(|(i, _)| *i), Some(1000));
    }
}
