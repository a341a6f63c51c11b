//! The gated delta rule (Yang et al., 2024): linear attention whose state, a matrix for each head, forgets by a factor and is
//! corrected by what a key should have given and did not.

use crate::float::{exp, fma};
use crate::level::{Level, Set};
use crate::pool::Pool;
use crate::shared_slice::SharedSlice;

/// Lanes of a sum.
const LANES: usize = 16;

/// The inputs of one layer for some tokens.
#[derive(Debug, Clone, Copy)]
pub struct DeltaRule<'a> {
    /// Numbers in a head of keys, and in one of values: a multiple of 16.
    pub head_dim: usize,
    /// Heads of queries and keys; the heads of values take them in turn.
    pub key_heads: usize,
    /// Heads of values, of which each has a state.
    pub value_heads: usize,
    /// `[tokens, stride]`: of each token its queries, keys and values, one after the other.
    pub qkv: &'a [f32],
    /// `[tokens, value_heads]`: the logarithm of what remains of the state.
    pub decay: &'a [f32],
    /// `[tokens, value_heads]`: how much of the difference is taken in.
    pub rate: &'a [f32],
}

impl DeltaRule<'_> {
    /// Queries, keys and values of a token.
    fn stride(&self) -> usize {
        (2 * self.key_heads + self.value_heads) * self.head_dim
    }

    /// Numbers in the state of all heads.
    pub fn state_len(&self) -> usize {
        self.value_heads * self.head_dim * self.head_dim
    }
}

/// Passes some tokens through the state of each head, token by token.
/// state: `[value_heads, head_dim of values, head_dim of keys]`, out: `[tokens, value_heads, head_dim]`.
///
/// # Panics
/// The shapes do not fit each other.
pub fn delta_rule(level: Level, pool: &Pool, rule: &DeltaRule<'_>, state: &mut [f32], out: &mut [f32]) {
    let DeltaRule { head_dim, value_heads, .. } = *rule;
    let tokens = rule.qkv.len() / rule.stride();
    assert!(head_dim.is_multiple_of(LANES) && rule.key_heads > 0, "heads of whole lanes");
    assert!(rule.qkv.len() == tokens * rule.stride() && out.len() == tokens * value_heads * head_dim, "whole tokens");
    assert!(rule.decay.len() == tokens * value_heads && rule.rate.len() == rule.decay.len(), "a number for each head");
    assert_eq!(state.len(), rule.state_len(), "a matrix for each head");
    let (state, out) = (SharedSlice::new(state), SharedSlice::new(out));
    let size = head_dim * head_dim;
    pool.run_sized(4 * tokens * value_heads * size, value_heads, &|head| {
        // SAFETY: each head has a state of its own, and is one task.
        let state = unsafe { state.range(head * size, size) };
        for token in 0..tokens {
            // SAFETY: each head has numbers of its own in the output of each token.
            let out = unsafe { out.range((token * value_heads + head) * head_dim, head_dim) };
            step(level, rule, token, head, state, out);
        }
    });
}

/// One token of one head.
fn step(level: Level, rule: &DeltaRule<'_>, token: usize, head: usize, state: &mut [f32], out: &mut [f32]) {
    let DeltaRule { head_dim, key_heads, value_heads, .. } = *rule;
    let qkv = &rule.qkv[token * rule.stride()..][..rule.stride()];
    let key_head = head % key_heads;
    let (q, k) = (&qkv[key_head * head_dim..][..head_dim], &qkv[(key_heads + key_head) * head_dim..][..head_dim]);
    let v = &qkv[(2 * key_heads + head) * head_dim..][..head_dim];
    let (decay, rate) = (rule.decay[token * value_heads + head], rule.rate[token * value_heads + head]);
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(q: &[f32], k: &[f32], v: &[f32], decay: f32, rate: f32, state: &mut [f32], out: &mut [f32]) {
        rows::<true>(q, k, v, decay, rate, state, out);
    }
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are proof of AVX2 and FMA.
        Set::Avx2 | Set::AvxVnni | Set::AvxVnniEvex | Set::Avx512 => unsafe {
            avx2(q, k, v, decay, rate, state, out);
        },
        #[cfg(target_arch = "aarch64")]
        Set::Neon | Set::NeonDotprod | Set::NeonI8mm => rows::<true>(q, k, v, decay, rate, state, out),
        Set::Scalar => rows::<false>(q, k, v, decay, rate, state, out),
    }
}

/// `state = decay state`, `state += rate (v - state k) k`, `out = state q / sqrt(head_dim)`, row by row.
#[inline(always)]
fn rows<const FUSED: bool>(q: &[f32], k: &[f32], v: &[f32], decay: f32, rate: f32, state: &mut [f32], out: &mut [f32]) {
    let width = q.len();
    let (decay, scale) = (exp::<FUSED>(decay), 1.0 / (width as f32).sqrt());
    let (q, k) = (q.as_chunks::<LANES>().0, k.as_chunks::<LANES>().0);
    for ((row, v), out) in state.chunks_exact_mut(width).zip(v).zip(out) {
        let row = row.as_chunks_mut::<LANES>().0;
        let mut held = [0f32; LANES];
        for (row, k) in row.iter_mut().zip(k) {
            for ((held, row), k) in held.iter_mut().zip(row).zip(k) {
                *row *= decay;
                *held = fma::<FUSED>(*row, *k, *held);
            }
        }
        let delta = (v - held.iter().sum::<f32>()) * rate;
        let mut read = [0f32; LANES];
        for ((row, k), q) in row.iter_mut().zip(k).zip(q) {
            for (((read, row), k), q) in read.iter_mut().zip(row).zip(k).zip(q) {
                *row = fma::<FUSED>(delta, *k, *row);
                *read = fma::<FUSED>(*row, *q, *read);
            }
        }
        *out = read.iter().sum::<f32>() * scale;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::float::noise;

    #[test]
    fn every_level_follows_the_delta_rule_as_f64_does_and_one_token_at_a_time_gives_the_same() {
        let (head_dim, key_heads, value_heads, tokens) = (32, 2, 4, 9);
        let stride = (2 * key_heads + value_heads) * head_dim;
        let (qkv, rate) = (noise(tokens * stride, 1), noise(tokens * value_heads, 3));
        let decay: Vec<f32> = noise(tokens * value_heads, 2).iter().map(|x| -x.abs()).collect();
        let rule = DeltaRule { head_dim, key_heads, value_heads, qkv: &qkv, decay: &decay, rate: &rate };
        let begin = noise(rule.state_len(), 4);
        let mut exact: Vec<f64> = begin.iter().map(|x| f64::from(*x)).collect();
        let mut expected = Vec::new();
        for token in 0..tokens {
            let at = |first: usize, d: usize| f64::from(qkv[token * stride + first * head_dim + d]);
            for head in 0..value_heads {
                let state = &mut exact[head * head_dim * head_dim..][..head_dim * head_dim];
                let key_head = head % key_heads;
                let number = token * value_heads + head;
                for (j, row) in state.chunks_exact_mut(head_dim).enumerate() {
                    row.iter_mut().for_each(|x| *x *= f64::from(decay[number]).exp());
                    let held: f64 = row.iter().enumerate().map(|(i, x)| x * at(key_heads + key_head, i)).sum();
                    let delta = (at(2 * key_heads + head, j) - held) * f64::from(rate[number]);
                    row.iter_mut().enumerate().for_each(|(i, x)| *x += delta * at(key_heads + key_head, i));
                    let read: f64 = row.iter().enumerate().map(|(i, x)| x * at(key_head, i)).sum();
                    expected.push(read / (head_dim as f64).sqrt());
                }
            }
        }
        for level in Level::present() {
            let pool = Pool::new(NonZeroUsize::new(2));
            let (mut state, mut out) = (begin.clone(), vec![0.0; tokens * value_heads * head_dim]);
            delta_rule(level, &pool, &rule, &mut state, &mut out);
            for (a, b) in out.iter().zip(&expected) {
                assert!((f64::from(*a) - b).abs() < 1e-3 * (1.0 + b.abs()), "{level}: {a} {b}");
            }
            let (mut again, mut one) = (begin.clone(), vec![0.0; value_heads * head_dim]);
            for token in 0..tokens {
                let rule = DeltaRule {
                    qkv: &qkv[token * stride..][..stride],
                    decay: &decay[token * value_heads..][..value_heads],
                    rate: &rate[token * value_heads..][..value_heads],
                    ..rule
                };
                delta_rule(level, &pool, &rule, &mut again, &mut one);
                assert_eq!(one, out[token * value_heads * head_dim..][..value_heads * head_dim], "{level}");
            }
            assert_eq!(state, again, "{level}");
        }
    }
}
