//! How likely the model found what it wrote, and what it would have written else: log-probabilities by its own logits, before penalties,
//! biases, constraints and the temperature.

use std::collections::VecDeque;

use super::{TokenId, Tokenizer};

/// A token that was written, with the likeliest ones at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    /// The token.
    pub token: TokenId,
    /// The logarithm of its probability.
    pub log_probability: f32,
    /// The likeliest tokens at this place, from the likeliest on, as many as were asked for.
    pub top: Vec<(TokenId, f32)>,
}

/// The likelihoods of a text under way, told with the text that their tokens stand for.
#[derive(Debug)]
pub(super) struct Likelihoods {
    top: usize,
    /// Where in the text each token begins and ends, in bytes.
    untold: VecDeque<(usize, usize, Likelihood)>,
    told: Vec<Likelihood>,
    written: usize,
}

impl Likelihoods {
    /// With the `top` likeliest tokens at each place.
    pub(super) fn new(top: usize) -> Likelihoods {
        Likelihoods { top, untold: VecDeque::new(), told: Vec::new(), written: 0 }
    }

    /// Takes a token that was chosen from `logits: [n_vocab]`.
    pub(super) fn push(&mut self, token: TokenId, logits: &[f32], tokenizer: &Tokenizer) {
        let begins = self.written;
        self.written += tokenizer.bytes_of(token).len();
        self.untold.push_back((begins, self.written, Likelihood::of(token, logits, self.top)));
    }

    /// Says that the text up to this byte has been told.
    pub(super) fn told(&mut self, length: usize) {
        while let Some((begins, ends, _)) = self.untold.front()
            && (*begins < length || *ends <= length)
        {
            self.told.extend(self.untold.pop_front().map(|(.., likelihood)| likelihood));
        }
    }

    /// Those of tokens whose text has been told since the last call.
    pub(super) fn take(&mut self) -> Vec<Likelihood> {
        std::mem::take(&mut self.told)
    }
}

impl Likelihood {
    /// The likelihood of a token by `logits: [n_vocab]`, with the `top` likeliest at its place.
    pub fn of(token: TokenId, logits: &[f32], top: usize) -> Likelihood {
        let known = |logit: &f32| if logit.is_nan() { f32::NEG_INFINITY } else { *logit };
        let largest = logits.iter().map(known).fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|logit| f64::from(known(logit) - largest).exp()).sum();
        let log = |logit: f32| (f64::from(logit - largest) - total.ln()) as f32;
        let mut best: Vec<(TokenId, f32)> = Vec::with_capacity(top + 1);
        for (index, logit) in logits.iter().map(known).enumerate() {
            if best.len() == top && best.last().is_none_or(|(_, least)| logit <= *least) {
                continue;
            }
            let at = best.partition_point(|(_, other)| *other >= logit);
            best.insert(at, (TokenId(index as u32), logit));
            best.truncate(top);
        }
        let chosen = logits.get(token.0 as usize).map_or(f32::NEG_INFINITY, known);
        Likelihood {
            token,
            log_probability: log(chosen),
            top: best.into_iter().map(|(token, logit)| (token, log(logit))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_those_of_the_softmax_and_the_likeliest_come_first() {
        let logits = [0.0, 2.0, f32::NAN, 1.0];
        let total = 1.0 + 2f32.exp() + 1f32.exp();
        let found = Likelihood::of(TokenId(3), &logits, 2);
        assert!((found.log_probability - (1.0 - total.ln())).abs() < 1e-6);
        assert_eq!(found.top.iter().map(|(token, _)| token.0).collect::<Vec<_>>(), [1, 3]);
        assert!((found.top[0].1 - (2.0 - total.ln())).abs() < 1e-6);
        assert!(Likelihood::of(TokenId(0), &logits, 0).top.is_empty());
        assert_eq!(Likelihood::of(TokenId(0), &logits, 9).top.len(), 4);
    }
}
