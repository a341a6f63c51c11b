//! Sums over scored tokens, and the figures that they come to, with llama.cpp's definitions of errors and percentiles.

use serde::Serialize;

use super::rows::Scored;

/// What is kept of all tokens.
#[derive(Debug, Default)]
pub(super) struct Sums {
    nll: Moments,
    reference_nll: Moments,
    kld: Moments,
    delta_p: Moments,
    same_top: u64,
    /// Divergence and change of probability of each token, for the percentiles.
    klds: Vec<f32>,
    deltas: Vec<f32>,
}

/// The figures of all tokens against the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Divergence {
    /// The perplexity of the reference.
    pub reference_perplexity: f64,
    pub reference_perplexity_error: f64,
    pub kld_mean: f64,
    pub kld_error: f64,
    pub kld_median: f64,
    pub kld_p99: f64,
    pub kld_max: f64,
    /// The share of tokens for which both find the same one the most probable, 0 to 1.
    pub top1_agreement: f64,
    pub delta_p_mean: f64,
    pub delta_p_rms: f64,
    /// The largest gain, and the largest loss of probability.
    pub delta_p_max: f64,
    pub delta_p_min: f64,
}

/// Numbers added up, and their squares.
#[derive(Debug, Default, Clone, Copy)]
struct Moments {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.count += 1;
        self.sum += x;
        self.squares += x * x;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The standard error of the mean.
    fn error(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let variance = self.squares / self.count as f64 - self.mean() * self.mean();
        (variance.max(0.0) / (self.count - 1) as f64).sqrt()
    }

    /// The exponential of the mean, and its error.
    fn perplexity(&self) -> (f64, f64) {
        let perplexity = self.mean().exp();
        (perplexity, perplexity * self.error())
    }
}

impl Sums {
    pub(super) fn add(&mut self, scored: &Scored) {
        self.nll.add(scored.nll);
        if let Some(compared) = &scored.compared {
            self.reference_nll.add(compared.reference_nll);
            self.kld.add(compared.kld);
            self.delta_p.add(compared.delta_p);
            self.same_top += u64::from(compared.same_top);
            self.klds.push(compared.kld as f32);
            self.deltas.push(compared.delta_p as f32);
        }
    }

    /// Scored tokens.
    pub(super) fn count(&self) -> u64 {
        self.nll.count
    }

    /// The perplexity, and its standard error.
    pub(super) fn perplexity(&self) -> (f64, f64) {
        self.nll.perplexity()
    }

    /// The mean divergence so far.
    pub(super) fn kld_mean(&self) -> f64 {
        self.kld.mean()
    }

    /// All figures against the reference, if there is one.
    pub(super) fn divergence(&self) -> Option<Divergence> {
        if self.klds.is_empty() {
            return None;
        }
        let (mut klds, mut deltas) = (self.klds.clone(), self.deltas.clone());
        klds.sort_by(f32::total_cmp);
        deltas.sort_by(f32::total_cmp);
        let (reference_perplexity, reference_perplexity_error) = self.reference_nll.perplexity();
        let n = self.kld.count as f64;
        Some(Divergence {
            reference_perplexity,
            reference_perplexity_error,
            kld_mean: self.kld.mean(),
            kld_error: self.kld.error(),
            kld_median: percentile(&klds, 0.5),
            kld_p99: percentile(&klds, 0.99),
            kld_max: percentile(&klds, 1.0),
            top1_agreement: self.same_top as f64 / n,
            delta_p_mean: self.delta_p.mean(),
            delta_p_rms: (self.delta_p.squares / n).sqrt(),
            delta_p_max: percentile(&deltas, 1.0),
            delta_p_min: percentile(&deltas, 0.0),
        })
    }
}

/// Of sorted numbers, the one below which that share of them lies; between two of them by their distance.
fn percentile(sorted: &[f32], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, part) = (at as usize, at.fract());
    let above = (below + 1).min(sorted.len() - 1);
    (1.0 - part) * f64::from(sorted[below]) + part * f64::from(sorted[above])
}

#[cfg(test)]
mod tests {
    use super::super::rows::Compared;
    use super::*;

    #[test]
    fn percentiles_lie_between_their_neighbours() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(percentile(&sorted, 0.0), 1.0);
        assert_eq!(percentile(&sorted, 0.5), 3.0);
        assert_eq!(percentile(&sorted, 1.0), 8.0);
        assert!((percentile(&sorted, 0.99) - 7.88).abs() < 1e-6);
        assert_eq!(percentile(&[5.0], 0.99), 5.0);
    }

    #[test]
    fn figures_are_those_of_the_tokens() {
        let mut sums = Sums::default();
        assert_eq!(sums.divergence(), None);
        for (nll, kld, delta_p, same_top) in [(1.0, 0.5, 0.1, true), (3.0, 0.1, -0.3, false), (2.0, 0.3, 0.0, true)] {
            let compared = Compared { reference_nll: 1.0, kld, delta_p, same_top };
            sums.add(&Scored { nll, compared: Some(compared) });
        }
        let (perplexity, error) = sums.perplexity();
        assert!((perplexity - 2f64.exp()).abs() < 1e-12);
        assert!((error - 2f64.exp() * (1f64 / 3.0).sqrt()).abs() < 1e-12, "{error}"); // variance 2/3 over n - 1 = 2
        let figures = sums.divergence().unwrap();
        assert!((figures.kld_mean - 0.3).abs() < 1e-12 && (figures.kld_median - 0.3).abs() < 1e-6);
        assert!((figures.top1_agreement - 2.0 / 3.0).abs() < 1e-12);
        assert!((figures.delta_p_rms - (0.1f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((figures.reference_perplexity - 1f64.exp()).abs() < 1e-12);
        assert!((figures.delta_p_min + 0.3).abs() < 1e-6 && (figures.delta_p_max - 0.1).abs() < 1e-6);
    }
}
