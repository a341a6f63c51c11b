//! Causal attention with grouped queries over a preallocated cache of keys and values, with an online softmax (Milakov and
//! Gimelshein, 2018): no score is ever stored beyond a tile.

use half::f16;

use crate::level::{Level, Set};
use crate::pool::Pool;
use crate::product::SharedSlice;
use crate::vector::exp;

/// Positions whose keys lie side by side, so that the lanes of a vector are positions.
pub(crate) const LANES: usize = 8;

/// Query rows that one task takes at a time.
const ROWS_PER_TASK: usize = 16;

/// Keys and values of every layer, f16. The memory is reserved at once and used up as positions are written.
#[derive(Debug)]
pub struct KvStore {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    keys: Vec<u16>,   // [layers, kv_heads, capacity / 8, head_dim, 8]: eight positions side by side
    values: Vec<u16>, // [layers, kv_heads, capacity, head_dim]
}

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
    /// The widest head that the kernels take.
    pub const MOST_HEAD_DIM: usize = 256;

    /// A store for at least `capacity` positions; `None` when its size does not fit an address.
    ///
    /// # Panics
    /// A dimension is zero, or the head is wider than [`MOST_HEAD_DIM`](Self::MOST_HEAD_DIM).
    pub fn new(layers: usize, kv_heads: usize, head_dim: usize, capacity: usize) -> Option<KvStore> {
        assert!(
            layers > 0 && kv_heads > 0 && (1..=Self::MOST_HEAD_DIM).contains(&head_dim),
            "a store has layers, heads and widths"
        );
        let capacity = capacity.max(1).checked_next_multiple_of(LANES)?;
        let len = layers.checked_mul(kv_heads)?.checked_mul(head_dim)?.checked_mul(capacity)?;
        len.checked_mul(4).filter(|bytes| *bytes <= isize::MAX as usize)?;
        let reserve = || {
            let mut numbers: Vec<u16> = Vec::new();
            numbers.try_reserve_exact(len).ok()?;
            drop(numbers);
            Some(vec![0; len]) // zeroed pages come from the system untouched, so only written positions take memory
        };
        Some(KvStore { layers, kv_heads, head_dim, capacity, keys: reserve()?, values: reserve()? })
    }

    /// Bytes reserved.
    pub fn bytes(&self) -> usize {
        2 * (self.keys.len() + self.values.len())
    }

    /// Positions that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// A copy of the first `positions` positions, with room for as many as this one.
    pub fn fork(&self, positions: usize) -> Option<KvStore> {
        let mut copy = KvStore::new(self.layers, self.kv_heads, self.head_dim, self.capacity)?;
        let (each, used) =
            (self.capacity * self.head_dim, positions.min(self.capacity).next_multiple_of(LANES) * self.head_dim);
        for start in (0..self.keys.len()).step_by(each) {
            copy.keys[start..start + used].copy_from_slice(&self.keys[start..start + used]);
            copy.values[start..start + used].copy_from_slice(&self.values[start..start + used]);
        }
        Some(copy)
    }

    /// Stores one position of one layer. key, value: `[kv_heads, head_dim]`.
    pub fn write(&mut self, level: Level, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let width = self.head_dim;
        assert!(layer < self.layers && position < self.capacity, "a position of the store");
        assert!(key.len() == self.kv_heads * width && value.len() == key.len(), "one key and value for each head");
        let mut halves = [0u16; Self::MOST_HEAD_DIM];
        for head in 0..self.kv_heads {
            to_halves(level, &key[head * width..][..width], &mut halves);
            let start = self.key_start(layer, head, position);
            for (place, half) in self.keys[start..].iter_mut().step_by(LANES).zip(&halves[..width]) {
                *place = *half;
            }
            to_halves(level, &value[head * width..][..width], &mut halves);
            let start = self.value_start(layer, head, position);
            self.values[start..start + width].copy_from_slice(&halves[..width]);
        }
    }

    /// Moves what stands at `from` to `to` in every layer, and lets `turn` change the keys (`[kv_heads, head_dim]`) on the
    /// way, as a new place needs another rotation.
    pub fn shift(&mut self, from: usize, to: usize, turn: &mut dyn FnMut(&mut [f32])) {
        assert!(from < self.capacity && to < self.capacity, "positions of the store");
        let width = self.head_dim;
        let mut key = vec![0f32; self.kv_heads * width];
        for layer in 0..self.layers {
            for head in 0..self.kv_heads {
                let start = self.key_start(layer, head, from);
                for (d, key) in key[head * width..][..width].iter_mut().enumerate() {
                    *key = f16::from_bits(self.keys[start + d * LANES]).to_f32();
                }
            }
            turn(&mut key);
            for head in 0..self.kv_heads {
                let start = self.key_start(layer, head, to);
                for (d, key) in key[head * width..][..width].iter().enumerate() {
                    self.keys[start + d * LANES] = f16::from_f32(*key).to_bits();
                }
                let source = self.value_start(layer, head, from);
                let target = self.value_start(layer, head, to);
                self.values.copy_within(source..source + width, target);
            }
        }
    }

    /// Where the key of a position begins; its components are [`LANES`] apart.
    fn key_start(&self, layer: usize, head: usize, position: usize) -> usize {
        ((layer * self.kv_heads + head) * self.capacity + position / LANES * LANES) * self.head_dim + position % LANES
    }

    fn value_start(&self, layer: usize, head: usize, position: usize) -> usize {
        ((layer * self.kv_heads + head) * self.capacity + position) * self.head_dim
    }

    /// Keys and values of one head of one layer.
    fn head(&self, layer: usize, head: usize) -> Head<'_> {
        let each = self.capacity * self.head_dim;
        let start = (layer * self.kv_heads + head) * each;
        Head {
            keys: &self.keys[start..start + each],
            values: &self.values[start..start + each],
            head_dim: self.head_dim,
        }
    }
}

/// The cache of one head.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub keys: &'a [u16],   // [capacity / 8, head_dim, 8]
    pub values: &'a [u16], // [capacity, head_dim]
    pub head_dim: usize,
}

/// One query, where its result goes, and the positions that it sees.
pub(crate) struct Query<'a> {
    pub q: &'a [f32],       // [head_dim]
    pub out: &'a mut [f32], // [head_dim]
    pub first: usize,
    pub end: usize,
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
        attention.n_heads % store.kv_heads == 0 && q.len() == out.len() && q.len() % width == 0,
        "whole rows of heads"
    );
    let tokens = q.len() / width;
    assert!(layer < store.layers && attention.first_position + tokens <= store.capacity, "positions of the store");
    let group = attention.n_heads / store.kv_heads;
    let tasks_each = (tokens * group).div_ceil(ROWS_PER_TASK);
    let head_dim = store.head_dim;
    let out = SharedSlice::new(out);
    pool.run(store.kv_heads * tasks_each, &|task| {
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
            match end - row {
                1 => attend_rows(level, attention.scale, head, [query(row)]),
                2 => attend_rows(level, attention.scale, head, std::array::from_fn::<_, 2, _>(|i| query(row + i))),
                3 => attend_rows(level, attention.scale, head, std::array::from_fn::<_, 3, _>(|i| query(row + i))),
                _ => attend_rows(level, attention.scale, head, std::array::from_fn::<_, 4, _>(|i| query(row + i))),
            }
            row += 4;
        }
    });
}

fn attend_rows<const R: usize>(level: Level, scale: f32, head: Head<'_>, queries: [Query<'_>; R]) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is proof of AVX2, FMA and F16C; `attend` has checked the positions.
        Set::Avx2 if head.head_dim % 8 == 0 => unsafe { crate::avx2::attend_rows(scale, head, queries) },
        _ => queries.into_iter().for_each(|query| attend_plainly(scale, head, query)),
    }
}

/// The definition: one position after the other.
fn attend_plainly(scale: f32, head: Head<'_>, query: Query<'_>) {
    let width = head.head_dim;
    let (mut largest, mut total) = (f32::NEG_INFINITY, 0f32);
    query.out.fill(0.0);
    for position in query.first..query.end {
        let keys = &head.keys[position / LANES * LANES * width + position % LANES..];
        let score: f32 =
            query.q.iter().zip(keys.iter().step_by(LANES)).map(|(q, k)| q * f16::from_bits(*k).to_f32()).sum();
        let score = score * scale;
        if score > largest {
            let shrink = exp::<false>(largest - score);
            total *= shrink;
            query.out.iter_mut().for_each(|out| *out *= shrink);
            largest = score;
        }
        let weight = exp::<false>(score - largest);
        total += weight;
        for (out, v) in query.out.iter_mut().zip(&head.values[position * width..]) {
            *out += weight * f16::from_bits(*v).to_f32();
        }
    }
    query.out.iter_mut().for_each(|out| *out /= total);
}

fn to_halves(level: Level, from: &[f32], to: &mut [u16]) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is proof of AVX2, FMA and F16C.
        Set::Avx2 => unsafe { crate::avx2::to_halves(from, to) },
        Set::Scalar => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = f16::from_f32(*from).to_bits();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn noise(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    /// Softmax over all visible positions, in f64.
    fn by_definition(
        attention: &Attention,
        q: &[f32],
        keys: &[Vec<f32>],
        values: &[Vec<f32>],
        kv_heads: usize,
        head_dim: usize,
    ) -> Vec<f64> {
        let group = attention.n_heads / kv_heads;
        let rounded = |x: f32| f64::from(f16::from_f32(x).to_f32());
        let mut out = Vec::new();
        for (row, q) in q.chunks_exact(head_dim).enumerate() {
            let (position, head) =
                (attention.first_position + row / attention.n_heads, row % attention.n_heads / group);
            let first = attention.window.map_or(0, |window| (position + 1).saturating_sub(window));
            let scores: Vec<f64> = (first..=position)
                .map(|p| {
                    q.iter().zip(&keys[p][head * head_dim..]).map(|(q, k)| f64::from(*q) * rounded(*k)).sum::<f64>()
                })
                .map(|score| (score * f64::from(attention.scale)).exp())
                .collect();
            let total: f64 = scores.iter().sum();
            for d in 0..head_dim {
                out.push(
                    (first..=position)
                        .zip(&scores)
                        .map(|(p, s)| s * rounded(values[p][head * head_dim + d]))
                        .sum::<f64>()
                        / total,
                );
            }
        }
        out
    }

    #[test]
    fn every_level_attends_as_the_definition_says() {
        let pool = Pool::new(NonZeroUsize::new(2));
        for level in Level::present() {
            for (n_heads, kv_heads, head_dim, before, tokens, window) in [
                (4, 4, 8, 0, 1, None),
                (9, 3, 64, 150, 1, None),
                (9, 3, 32, 5, 13, None),
                (14, 2, 24, 63, 70, Some(20)),
                (3, 1, 12, 9, 9, None),
            ] {
                let end = before + tokens;
                let mut store = KvStore::new(2, kv_heads, head_dim, end).unwrap();
                let keys: Vec<Vec<f32>> = (0..end).map(|p| noise(kv_heads * head_dim, p as u32)).collect();
                let values: Vec<Vec<f32>> = (0..end).map(|p| noise(kv_heads * head_dim, 1000 + p as u32)).collect();
                for position in 0..end {
                    store.write(level, 1, position, &keys[position], &values[position]);
                }
                let q: Vec<f32> = noise(tokens * n_heads * head_dim, 7).iter().map(|x| x * 3.0).collect();
                let attention = Attention { n_heads, first_position: before, scale: 0.4, window };
                let mut out = vec![f32::NAN; q.len()];
                attend(level, &pool, &attention, &q, &store, 1, &mut out);
                let expected = by_definition(&attention, &q, &keys, &values, kv_heads, head_dim);
                for (a, b) in out.iter().zip(expected) {
                    assert!((f64::from(*a) - b).abs() < 2e-5, "{level} {n_heads}/{kv_heads}x{head_dim}: {a} {b}");
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
        let mut store = KvStore::new(1, 1, 8, 16).unwrap();
        let (level, attention) = (Level::best(), Attention { n_heads: 1, first_position: 0, scale: 1.0, window: None });
        store.write(level, 0, 9, &[1.0; 8], &[2.5; 8]);
        store.shift(9, 0, &mut |key| assert_eq!(key, [1.0; 8]));
        let mut out = [0.0; 8];
        attend(level, &pool, &attention, &[1.0; 8], &store, 0, &mut out);
        assert_eq!(out, [2.5; 8]);
    }

    #[test]
    fn an_absurd_store_is_refused_without_taking_memory() {
        assert!(KvStore::new(1000, 1000, 256, usize::MAX / 2).is_none());
        assert!(KvStore::new(1000, 1000, 256, 1 << 40).is_none());
    }
}
