//! What requests add to logits before a token is chosen: a bias for single tokens, and penalties for those that the text has already.

use std::collections::HashMap;

use super::TokenId;

/// What is added to logits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogitBias {
    /// A number for each of some tokens; -100 and less forbids one.
    pub tokens: Vec<(TokenId, f32)>,
    /// Taken off the logit of a token for each time that it was written.
    pub frequency_penalty: f32,
    /// Taken off the logit of every token that was written.
    pub presence_penalty: f32,
}

/// From here on a token is forbidden.
const FORBIDS: f32 = -100.0;

/// The bias of a text under way.
#[derive(Debug)]
pub(super) struct Biased {
    bias: LogitBias,
    /// How often each token was written.
    written: HashMap<TokenId, u32>,
    logits: Vec<f32>, // [n_vocab]
}

impl LogitBias {
    /// Whether it changes nothing.
    pub fn is_none(&self) -> bool {
        self.tokens.is_empty() && self.frequency_penalty == 0.0 && self.presence_penalty == 0.0
    }
}

impl Biased {
    /// `None` where nothing is added.
    pub(super) fn new(bias: &LogitBias) -> Option<Biased> {
        (!bias.is_none()).then(|| Biased { bias: bias.clone(), written: HashMap::new(), logits: Vec::new() })
    }

    /// The logits to choose from: `[n_vocab]`
    pub(super) fn of(&mut self, logits: &[f32]) -> &[f32] {
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        for (token, bias) in &self.bias.tokens {
            if let Some(logit) = self.logits.get_mut(token.0 as usize) {
                *logit = if *bias <= FORBIDS { f32::NEG_INFINITY } else { *logit + bias };
            }
        }
        for (token, times) in &self.written {
            if let Some(logit) = self.logits.get_mut(token.0 as usize) {
                *logit -= *times as f32 * self.bias.frequency_penalty + self.bias.presence_penalty;
            }
        }
        &self.logits
    }

    /// Counts a token.
    pub(super) fn push(&mut self, token: TokenId) {
        *self.written.entry(token).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_is_added_and_penalties_follow_what_was_written() {
        let bias = LogitBias {
            tokens: vec![(TokenId(0), 2.0), (TokenId(1), -100.0), (TokenId(9), 1.0)],
            frequency_penalty: 0.5,
            presence_penalty: 1.0,
        };
        let mut biased = Biased::new(&bias).unwrap();
        assert_eq!(biased.of(&[1.0, 1.0, 1.0]), [3.0, f32::NEG_INFINITY, 1.0]);
        biased.push(TokenId(2));
        biased.push(TokenId(2));
        assert_eq!(biased.of(&[1.0, 1.0, 1.0]), [3.0, f32::NEG_INFINITY, -1.0]);
        assert!(Biased::new(&LogitBias::default()).is_none());
    }
}
