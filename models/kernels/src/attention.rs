//! Causal attention with grouped queries over a preallocated cache of keys and values, with an online softmax (Milakov and
//! Gimelshein, 2018): no score is ever stored beyond a tile.

use crate::kv_cache::{KvStore, Query};
use crate::level::Level;
use crate::pool::Pool;
use crate::shared_slice::SharedSlice;

/// Query rows that one task takes at a time.
const ROWS_PER_TASK: usize = 16;

/// What the attention of one layer computes.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Heads of the queries: a multiple of the store's heads.
    pub n_heads: usize,
    /// Position of the first query; the later ones follow it.
    pub first_position: usize,
    /// What a score is multiplied by, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// How many positions a query sees, its own included; `None` for all before it.
    pub window: Option<usize>,
}

impl KvStore {
    /// Stores one position of one layer. key, value: `[kv_heads, head_dim]`.
    pub fn write(&mut self, level: Level, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let round = level.kernels().to_halves;
        // SAFETY: the level is proof of the instructions of its kernel; both slices are equally long.
        self.put(&|from, to| unsafe { round(from, to) }, layer, position, key, value);
    }
}

/// Attends with `q: [tokens, n_heads, head_dim]` to what the store holds of `layer` up to each query's own position, and
/// writes `out: [tokens, n_heads, head_dim]`.
///
/// # Panics
/// The shapes do not fit each other, or a position is beyond the store.
pub fn attend(
    level: Level,
    pool: &Pool,
    attention: &Attention,
    q: &[f32],
    store: &KvStore,
    layer: usize,
    out: &mut [f32],
) {
    let width = attention.n_heads * store.head_dim;
    assert!(
        attention.n_heads.is_multiple_of(store.kv_heads) && q.len() == out.len() && q.len().is_multiple_of(width),
        "whole rows of heads"
    );
    let kernels = level.kernels();
    let tokens = q.len() / width;
    assert!(layer < store.layers && attention.first_position + tokens <= store.capacity, "positions of the store");
    let group = attention.n_heads / store.kv_heads;
    let tasks_each = (tokens * group).div_ceil(ROWS_PER_TASK);
    let head_dim = store.head_dim;
    let out = SharedSlice::new(out);
    // Each query meets each key and each value before it.
    let multiplications = 2 * q.len() * (attention.first_position + tokens);
    pool.run_sized(multiplications, store.kv_heads * tasks_each, &|task| {
        let (kv_head, part) = (task / tasks_each, task % tasks_each);
        let head = store.head(layer, kv_head);
        let query = |row: usize| {
            let (token, position) = (row / group, attention.first_position + row / group);
            let start = token * width + (kv_head * group + row % group) * head_dim;
            Query {
                q: &q[start..start + head_dim],
                // SAFETY: each row of the output belongs to one task, and is handed out once.
                out: unsafe { out.range(start, head_dim) },
                first: attention.window.map_or(0, |window| (position + 1).saturating_sub(window)),
                end: position + 1,
            }
        };
        let mut row = part * ROWS_PER_TASK;
        let end = (tokens * group).min(row + ROWS_PER_TASK);
        while row < end {
            let count = (end - row).min(4);
            // SAFETY: the level is proof of the instructions of its kernel; the positions were checked above.
            let attend = |queries: &mut [Query<'_>]| unsafe { (kernels.attend)(attention.scale, head, queries) };
            match count {
                1 => attend(&mut [query(row)]),
                2 => attend(&mut std::array::from_fn::<_, 2, _>(|i| query(row + i))),
                3 => attend(&mut std::array::from_fn::<_, 3, _>(|i| query(row + i))),
                _ => attend(&mut std::array::from_fn::<_, 4, _>(|i| query(row + i))),
            }
            row += count;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::kv_cache::{KvFormat, SCALED};

    fn noise(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    /// Softmax over all visible positions, in f64, of what layer 1 of the store holds.
    fn by_definition(attention: &Attention, q: &[f32], store: &KvStore) -> Vec<f64> {
        let (width, group) = (store.head_dim, attention.n_heads / store.kv_heads);
        let mut out = Vec::new();
        for (row, q) in q.chunks_exact(width).enumerate() {
            let position = attention.first_position + row / attention.n_heads;
            let head = store.head(1, row % attention.n_heads / group);
            let seen = attention.window.map_or(0, |window| (position + 1).saturating_sub(window))..position + 1;
            let score = |p| (0..width).map(|d| f64::from(q[d]) * f64::from(head.key(p, d))).sum::<f64>();
            let scores: Vec<f64> = seen.clone().map(|p| (score(p) * f64::from(attention.scale)).exp()).collect();
            let total: f64 = scores.iter().sum();
            let weighed = |d| seen.clone().zip(&scores).map(|(p, s)| s * f64::from(head.value(p, d))).sum::<f64>();
            out.extend((0..width).map(|d| weighed(d) / total));
        }
        out
    }

    #[test]
    fn every_level_attends_as_the_definition_says() {
        let pool = Pool::new(NonZeroUsize::new(2));
        for (level, format) in Level::present().into_iter().flat_map(|l| [(l, KvFormat::F16), (l, KvFormat::Q8_0)]) {
            for (n_heads, kv_heads, head_dim, before, tokens, window) in [
                (4, 4, 8, 0, 1, None),
                (9, 3, 64, 150, 1, None),
                (9, 3, 32, 5, 13, None),
                (14, 2, 24, 63, 70, Some(20)),
                (14, 2, 96, 63, 70, Some(20)),
                (3, 1, 12, 9, 9, None),
            ] {
                if format == KvFormat::Q8_0 && head_dim % SCALED != 0 {
                    continue;
                }
                let end = before + tokens;
                let mut store = KvStore::new(format, 2, kv_heads, head_dim, end).unwrap();
                for position in 0..end {
                    let key = noise(kv_heads * head_dim, position as u32);
                    let value = noise(kv_heads * head_dim, 1000 + position as u32);
                    store.write(level, 1, position, &key, &value);
                    let most = if format == KvFormat::F16 { 5e-4 } else { 1.001 / 254.0 };
                    for (index, (key, value)) in key.iter().zip(&value).enumerate() {
                        let (head, d) = (store.head(1, index / head_dim), index % head_dim);
                        assert!((head.key(position, d) - key).abs() <= most, "{level} {format:?}");
                        assert!((head.value(position, d) - value).abs() <= most, "{level} {format:?}");
                    }
                }
                let q: Vec<f32> = noise(tokens * n_heads * head_dim, 7).iter().map(|x| x * 3.0).collect();
                let attention = Attention { n_heads, first_position: before, scale: 0.4, window };
                let mut out = vec![f32::NAN; q.len()];
                attend(level, &pool, &attention, &q, &store, 1, &mut out);
                for (a, b) in out.iter().zip(by_definition(&attention, &q, &store)) {
                    let case = format!("{level} {format:?} {n_heads}/{kv_heads}x{head_dim}");
                    assert!((f64::from(*a) - b).abs() < 2e-5, "{case}: {a} {b}");
                }
                let copy = store.fork(end).unwrap();
                let mut again = vec![f32::NAN; q.len()];
                attend(level, &pool, &attention, &q, &copy, 1, &mut again);
                assert_eq!(out, again, "a fork holds the same");
            }
        }
    }

    #[test]
    fn a_shifted_position_is_found_at_its_new_place() {
        let pool = Pool::new(NonZeroUsize::new(1));
        let mut store = KvStore::new(KvFormat::F16, 1, 1, 8, 16).unwrap();
        let (level, attention) = (Level::best(), Attention { n_heads: 1, first_position: 0, scale: 1.0, window: None });
        store.write(level, 0, 9, &[1.0; 8], &[2.5; 8]);
        store.shift(9, 0, &mut |_, key| assert_eq!(key, [1.0; 8]));
        let mut out = [0.0; 8];
        attend(level, &pool, &attention, &[1.0; 8], &store, 0, &mut out);
        assert_eq!(out, [2.5; 8]);
    }

    #[test]
    fn an_absurd_store_is_refused_without_taking_memory() {
        assert!(KvStore::new(KvFormat::F16, 1000, 1000, 256, usize::MAX / 2).is_none());
        assert!(KvStore::new(KvFormat::F16, 1000, 1000, 256, 1 << 40).is_none());
    }
}
