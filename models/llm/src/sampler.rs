//! The choice of the next token from the logits: greedy, or seeded chance among the likely ones.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::TokenId;
use nearfield_base::range::in_range;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SamplerOptions {
    /// 0 always takes the most likely token; higher values flatten the distribution. `top_k`, `top_p`, `min_p` and `seed` matter only above 0.
    pub temperature: f32,
    /// Only this many of the most likely tokens are candidates; 0: all.
    pub top_k: usize,
    /// Only the most likely tokens that together reach this probability are candidates; 1: all.
    pub top_p: f32,
    /// Only tokens with at least this share of the most likely one's probability are candidates; 0: all.
    pub min_p: f32,
    /// Divides the logits of recent tokens (multiplies negative ones); 1: none.
    pub repetition_penalty: f32,
    /// How many recent tokens are penalised.
    pub repetition_window: usize,
    /// The same seed makes the same choices.
    pub seed: u64,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        SamplerOptions {
            temperature: 0.0,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.0,
            repetition_window: 64,
            seed: 0,
        }
    }
}

impl SamplerOptions {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("temperature", self.temperature, 0.0..=10.0)?;
        in_range("top_k", self.top_k, 0..=1 << 20)?;
        in_range("top_p", self.top_p, 0.0..=1.0)?;
        in_range("min_p", self.min_p, 0.0..=1.0)?;
        in_range("repetition_penalty", self.repetition_penalty, 0.1..=10.0)?;
        in_range("repetition_window", self.repetition_window, 0..=1 << 20)
    }
}

/// Chooses tokens; its state is that of the generator and a buffer.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: SamplerOptions,
    chance: ChaCha8Rng,
    candidates: Vec<(TokenId, f32)>,
}

impl Sampler {
    /// A sampler at the start of its seed's sequence.
    pub fn new(options: &SamplerOptions) -> Sampler {
        Sampler { options: *options, chance: ChaCha8Rng::seed_from_u64(options.seed), candidates: Vec::new() }
    }

    /// Chooses from `logits: [n_vocab]`; `recent` are the tokens before, of which the last few are penalised. Numbers that
    /// are not numbers are never chosen; where there is nothing to choose it is token 0.
    pub fn sample(&mut self, logits: &[f32], recent: &[TokenId]) -> TokenId {
        let o = self.options;
        let penalised = o.repetition_penalty > 0.0 && o.repetition_penalty != 1.0 && o.repetition_window > 0;
        if o.temperature <= 0.0 && !penalised {
            return likeliest(logits.iter().enumerate().map(|(index, logit)| (TokenId(index as u32), *logit)));
        }
        let candidates = &mut self.candidates;
        candidates.clear();
        candidates.extend(
            logits
                .iter()
                .enumerate()
                .map(|(index, logit)| (TokenId(index as u32), if logit.is_nan() { f32::NEG_INFINITY } else { *logit })),
        );
        if penalised {
            let recent = &recent[recent.len().saturating_sub(o.repetition_window)..];
            for (index, token) in recent.iter().enumerate() {
                if recent[..index].contains(token) {
                    continue; // once is enough
                }
                if let Some((_, logit)) = candidates.get_mut(token.0 as usize) {
                    *logit = if *logit > 0.0 { *logit / o.repetition_penalty } else { *logit * o.repetition_penalty };
                }
            }
        }
        if o.temperature <= 0.0 {
            return likeliest(candidates.iter().copied());
        }
        // Descending by logit, by number where equal, so that the order does not hang on the sorting.
        let order = |a: &(TokenId, f32), b: &(TokenId, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        let largest = candidates.iter().map(|(_, logit)| *logit).fold(f32::NEG_INFINITY, f32::max);
        if largest == f32::NEG_INFINITY {
            return TokenId(0);
        }
        if o.min_p > 0.0 {
            let least = largest + o.temperature * o.min_p.min(1.0).ln();
            candidates.retain(|(_, logit)| *logit >= least);
        }
        if o.top_k > 0 && o.top_k < candidates.len() {
            candidates.select_nth_unstable_by(o.top_k - 1, order);
            candidates.truncate(o.top_k);
        }
        candidates.sort_unstable_by(order);
        let mut total = 0.0;
        for (_, logit) in candidates.iter_mut() {
            *logit = ((*logit - largest) / o.temperature).exp();
            total += *logit;
        }
        if o.top_p < 1.0 {
            let (mut sum, mut kept) = (0.0, 0);
            while kept < candidates.len() && sum < o.top_p.max(0.0) * total {
                sum += candidates[kept].1;
                kept += 1;
            }
            candidates.truncate(kept.max(1));
            total = candidates.iter().map(|(_, weight)| weight).sum();
        }
        let mut left = self.chance.random::<f32>() * total;
        for (token, weight) in candidates.iter() {
            left -= weight;
            if left < 0.0 {
                return *token;
            }
        }
        candidates.last().map_or(TokenId(0), |(token, _)| *token)
    }
}

/// The first of the likeliest.
fn likeliest(logits: impl Iterator<Item = (TokenId, f32)>) -> TokenId {
    let mut best = (TokenId(0), f32::NEG_INFINITY);
    for (token, logit) in logits {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SamplerOptions {
        SamplerOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..SamplerOptions::default() }
    }

    fn counts(options: &SamplerOptions, logits: &[f32]) -> Vec<usize> {
        let mut sampler = Sampler::new(options);
        let mut counts = vec![0; logits.len()];
        for _ in 0..4000 {
            counts[sampler.sample(logits, &[]).0 as usize] += 1;
        }
        counts
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_likeliest() {
        let mut sampler = Sampler::new(&SamplerOptions::default());
        assert_eq!(sampler.sample(&[0.1, 3.0, f32::NAN, 3.0], &[]), TokenId(1));
        assert_eq!(sampler.sample(&[f32::NAN, f32::NAN], &[]), TokenId(0));
    }

    #[test]
    fn the_same_seed_makes_the_same_choices_and_another_makes_others() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
        let draw = |seed| {
            let mut sampler = Sampler::new(&SamplerOptions { seed, ..options() });
            (0..50).map(|_| sampler.sample(&logits, &[])).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn chances_follow_the_softmax_at_the_temperature() {
        let counts = counts(&SamplerOptions { temperature: 0.5, ..options() }, &[0.0, 0.5]);
        let share = counts[1] as f64 / 4000.0;
        let expected = 1.0 / (1.0 + (-1.0f64).exp());
        assert!((share - expected).abs() < 0.03, "{share} {expected}");
    }

    #[test]
    fn each_cut_leaves_only_what_it_says() {
        let logits = [0.0, 3.0, 1.0, 2.0];
        assert_eq!(counts(&SamplerOptions { top_k: 2, ..options() }, &logits).iter().filter(|n| **n > 0).count(), 2);
        // Probabilities are 0.032, 0.644, 0.087, 0.237.
        let by_p = counts(&SamplerOptions { top_p: 0.7, ..options() }, &logits);
        assert!(by_p[1] > 0 && by_p[3] > 0 && by_p[0] + by_p[2] == 0, "{by_p:?}");
        let by_share = counts(&SamplerOptions { min_p: 0.3, ..options() }, &logits);
        assert!(by_share[1] > 0 && by_share[3] > 0 && by_share[0] + by_share[2] == 0, "{by_share:?}");
        assert_eq!(counts(&SamplerOptions { top_p: 0.0, ..options() }, &logits)[1], 4000);
    }

    #[test]
    fn recent_tokens_are_penalised_within_the_window_alone() {
        let o = SamplerOptions { repetition_penalty: 2.0, repetition_window: 2, ..SamplerOptions::default() };
        let mut sampler = Sampler::new(&o);
        assert_eq!(sampler.sample(&[1.0, 1.5], &[TokenId(1), TokenId(1)]), TokenId(0));
        assert_eq!(sampler.sample(&[1.0, 1.5], &[TokenId(1), TokenId(7), TokenId::EMBEDDING]), TokenId(1));
        assert_eq!(sampler.sample(&[-1.0, -1.5], &[TokenId(0)]), TokenId(1));
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(serde_json::from_str::<SamplerOptions>(r#"{"temperture": 1.0}"#).is_err());
        assert!(serde_json::from_str::<SamplerOptions>(r#"{"temperature": 0.7, "seed": 3}"#).is_ok());
    }
}
