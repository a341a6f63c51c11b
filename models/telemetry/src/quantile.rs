//! Quantiles of a stream in bounded memory: the merging t-digest of Dunning and Ertl, "Computing Extremely Accurate Quantiles
//! Using t-Digests" (arXiv:1902.04023), with the scale function k1.
//!
//! Why a t-digest: its error is one of rank, smallest at the ends, and does not depend on the size of the values. DDSketch
//! promises a relative error of the value, which for an air pressure near 1,000 hPa would be wider than what the pressure does
//! in a day.

use std::f64::consts::PI;

/// Compression: at most about this many centroids, and a rank error of some pi / (2 * 200) * sqrt(q (1 - q)).
const DELTA: f64 = 200.0;
/// Values gathered before they are merged: more costs memory, fewer cost sorting.
const BUFFER: usize = 512;

/// A sketch of the values seen.
#[derive(Clone, Debug, Default)]
pub struct TDigest {
    /// (mean, weight), by mean.
    centroids: Vec<(f64, f64)>,
    buffer: Vec<f64>,
    total: f64,
    low: f64,
    high: f64,
}

impl TDigest {
    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        if self.total == 0.0 && self.buffer.is_empty() {
            (self.low, self.high) = (value, value);
        }
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        self.buffer.push(value);
        if self.buffer.len() >= BUFFER {
            self.merge();
        }
    }

    /// The value below which the share `q` of all lies; `None` when there are none.
    pub fn quantile(&mut self, q: f64) -> Option<f64> {
        self.merge();
        let (&first, &last) = (self.centroids.first()?, self.centroids.last()?);
        let rank = q.clamp(0.0, 1.0) * self.total;
        let mut before = 0.0;
        let mut previous: Option<(f64, f64)> = None; // (rank of the centre, mean)
        for &(mean, weight) in &self.centroids {
            let centre = before + weight / 2.0;
            if rank < centre {
                let (from, low) = previous.unwrap_or((0.0, self.low));
                let share = if centre > from { (rank - from) / (centre - from) } else { 0.0 };
                return Some(low + share * (mean - low));
            }
            previous = Some((centre, mean));
            before += weight;
        }
        let centre = self.total - last.1 / 2.0;
        let share = if self.total > centre { (rank - centre) / (self.total - centre) } else { 1.0 };
        debug_assert!(first.0 <= last.0);
        Some(last.0 + share * (self.high - last.0))
    }

    fn merge(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let mut all = std::mem::take(&mut self.centroids);
        all.extend(self.buffer.drain(..).map(|v| (v, 1.0)));
        all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        self.total = all.iter().map(|c| c.1).sum();
        let scale = |q: f64| DELTA / (2.0 * PI) * (2.0 * q - 1.0).asin();
        let unscale = |k: f64| ((k * 2.0 * PI / DELTA).min(PI / 2.0).sin() + 1.0) / 2.0;
        let mut limit = self.total * unscale(scale(0.0) + 1.0);
        let mut before = 0.0;
        let mut current = all[0];
        for &(mean, weight) in &all[1..] {
            if before + current.1 + weight <= limit {
                current.0 += (mean - current.0) * weight / (current.1 + weight);
                current.1 += weight;
            } else {
                before += current.1;
                limit = self.total * unscale(scale((before / self.total).min(1.0)) + 1.0);
                self.centroids.push(current);
                current = (mean, weight);
            }
        }
        self.centroids.push(current);
    }
}

/// The quantile of sorted values, between two of them in proportion; `None` of none.
pub fn exact_quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(last);
    Some(sorted[below] + share * (sorted[above] - sorted[below]))
}

/// The median; reorders the values. Zero of none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    exact_quantile(values, 0.5).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_sketch_stays_within_one_percent_of_rank_and_within_its_bound() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let shapes: [fn(f64) -> f64; 3] = [|u| 1000.0 + 3.0 * u, |u| (8.0 * u).exp(), |u| (u * 10.0).floor()];
        for shape in shapes {
            let mut digest = TDigest::default();
            let mut all: Vec<f64> = (0..200_000).map(|_| shape(random.random())).collect();
            all.iter().for_each(|v| digest.push(*v));
            all.sort_unstable_by(f64::total_cmp);
            for q in [0.01, 0.25, 0.5, 0.95, 0.99] {
                let value = digest.quantile(q).unwrap();
                let below = all.partition_point(|v| *v < value) as f64 / all.len() as f64;
                let up_to = all.partition_point(|v| *v <= value) as f64 / all.len() as f64;
                assert!(below - 0.01 <= q && q <= up_to + 0.01, "{q}: {value} stands at {below} to {up_to}");
            }
            assert!(digest.centroids.len() < 2 * DELTA as usize);
        }
        assert_eq!(TDigest::default().quantile(0.5), None);
    }
}
