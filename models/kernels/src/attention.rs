//! Attention, causal or over a stretch, with grouped queries over a preallocated cache of keys and values, with an online softmax (Milakov and
//! Gimelshein, 2018): no score is ever stored beyond a tile.

use std::ops::Range;

use crate::float::exp;
use crate::kv_cache::{Head, KvHeads, KvStore, Query, Scoring};
use crate::level::Level;
use crate::panel::FEW_TOKENS;
use crate::pool::Pool;
use crate::shared_slice::SharedSlice;

/// The most query rows that one task takes at a time: the more, the less often keys and values are read.
const ROWS_PER_TASK: usize = 64;
/// The fewest that are worth a task, and how many tasks there should be for each thread.
const FEWEST_ROWS: usize = 16;
const TASKS_PER_THREAD: usize = 4;

/// Positions that one task takes at a time where there are few queries: a long past is then shared out too.
const POSITIONS_PER_TASK: usize = 512;

/// What the attention of one layer computes.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Heads of the queries: a multiple of the store's heads.
    pub n_heads: usize,
    /// Position of the first query; the later ones follow it.
    pub first_position: usize,
    /// What a score is multiplied by, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// How many positions a query sees, its own included; `None` for all before it.
    pub window: Option<usize>,
    /// `cap * tanh(score / cap)` in the place of the score.
    pub cap: Option<f32>,
    /// What is taken off a score for each position that a key lies before the query: `[n_heads]`.
    pub slopes: Option<&'a [f32]>,
    /// A score of each head that takes its part of the weights and gives no value: `[n_heads]`.
    pub sinks: Option<&'a [f32]>,
    /// Queries see all positions before this one, also those after their own: attention that is not causal. `None` for none of these.
    pub until: Option<usize>,
    /// Queries see no position before this one.
    pub from: usize,
}

impl Attention<'_> {
    /// Attention to all positions, without anything added to the scores.
    pub fn plain(n_heads: usize, first_position: usize, scale: f32) -> Attention<'static> {
        Attention {
            n_heads,
            first_position,
            scale,
            window: None,
            cap: None,
            slopes: None,
            sinks: None,
            until: None,
            from: 0,
        }
    }
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
    attention: &Attention<'_>,
    q: &[f32],
    store: &KvStore,
    layer: usize,
    out: &mut [f32],
) {
    assert!(layer < store.layers.len(), "layers of the store");
    let KvHeads { count: kv_heads, head_dim } = store.layers[layer].heads;
    let width = attention.n_heads * head_dim;
    assert!(
        attention.n_heads.is_multiple_of(kv_heads) && q.len() == out.len() && q.len().is_multiple_of(width),
        "whole rows of heads"
    );
    let kernels = level.kernels();
    let tokens = q.len() / width;
    assert!(attention.first_position + tokens <= store.capacity, "positions of the store");
    assert!(attention.until.is_none_or(|until| until <= store.capacity), "positions of the store");
    for each_head in [attention.slopes, attention.sinks].into_iter().flatten() {
        assert_eq!(each_head.len(), attention.n_heads, "a number for each head");
    }
    let group = attention.n_heads / kv_heads;
    let many = tokens > FEW_TOKENS;
    let work = Work { attention, q, head_dim, group, many, kernel: kernels.attend };
    let rows = tokens * work.group; // of each head of the store
    // Each query meets each key and each value before it.
    let end = attention.until.unwrap_or(0).max(attention.first_position + tokens);
    let seen = attention.window.map_or(end, |window| end.min(window + tokens));
    let multiplications = 2 * q.len() * seen;
    // Which way is taken does not hang on the threads, nor on how many of a few tokens come together.
    let first_part = (end - seen) / POSITIONS_PER_TASK;
    let parts = end.div_ceil(POSITIONS_PER_TASK) - first_part;
    if tokens <= FEW_TOKENS && parts > 1 {
        let each = head_dim + 2; // the sum of values, the largest score, the total of the weights
        let mut partial = vec![0f32; kv_heads * parts * rows * each];
        let shared = SharedSlice::new(&mut partial);
        pool.run_sized(multiplications, kv_heads * parts, &|task| {
            let (kv_head, part) = (task / parts, task % parts);
            let positions = (first_part + part) * POSITIONS_PER_TASK..(first_part + part + 1) * POSITIONS_PER_TASK;
            let at = |row: usize| (task * rows + row) * each;
            // SAFETY: each task has rows of its own, and each is handed out once.
            let out = |row: usize| unsafe { shared.range(at(row), work.head_dim) };
            work.attend(store.head(layer, kv_head), kv_head, 0..rows, positions, &out, &mut |row, query| {
                // SAFETY: these two numbers follow the sum, which is another piece.
                let state = unsafe { shared.range(at(row) + work.head_dim, 2) };
                state.copy_from_slice(&[query.largest, query.total]);
            });
        });
        for kv_head in 0..kv_heads {
            for row in 0..rows {
                let start = work.start(kv_head, row);
                let of_part = |part: usize| &partial[((kv_head * parts + part) * rows + row) * each..][..each];
                combine((0..parts).map(of_part), &mut out[start..start + work.head_dim]);
            }
        }
        return;
    }
    let rows_each = (kv_heads * rows / (TASKS_PER_THREAD * pool.threads())).clamp(FEWEST_ROWS, ROWS_PER_TASK);
    let tasks_each = rows.div_ceil(rows_each);
    let shared = SharedSlice::new(out);
    pool.run_sized(multiplications, kv_heads * tasks_each, &|task| {
        let (kv_head, part) = (task / tasks_each, task % tasks_each);
        let some = part * rows_each..rows.min((part + 1) * rows_each);
        // SAFETY: each row of the output belongs to one task, and is handed out once.
        let out = |row: usize| unsafe { shared.range(work.start(kv_head, row), work.head_dim) };
        work.attend(store.head(layer, kv_head), kv_head, some, 0..usize::MAX, &out, &mut |_, query| {
            let total = query.total;
            query.out.iter_mut().for_each(|sum| *sum /= total);
        });
    });
}

/// Puts together what the parts of the past gave for one query: each a sum of values, the largest score and the total.
fn combine<'a>(parts: impl Iterator<Item = &'a [f32]> + Clone, out: &mut [f32]) {
    let width = out.len();
    let largest = parts.clone().map(|part| part[width]).fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    out.fill(0.0);
    for part in parts.filter(|part| part[width] > f32::NEG_INFINITY) {
        let weight = exp::<false>(part[width] - largest);
        total += weight * part[width + 1];
        out.iter_mut().zip(part).for_each(|(out, sum)| *out += weight * sum);
    }
    out.iter_mut().for_each(|out| *out /= total);
}

/// What the tasks of one attention share.
struct Work<'a> {
    attention: &'a Attention<'a>,
    q: &'a [f32],
    head_dim: usize,
    /// Heads of queries for each head of the store.
    group: usize,
    many: bool,
    kernel: unsafe fn(Scoring, Head<'_>, &mut [Query<'_>]),
}

impl<'a> Work<'a> {
    /// Where the query of a row stands. The rows of a head of the store are the queries of its group, token by token.
    fn start(&self, kv_head: usize, row: usize) -> usize {
        let head = kv_head * self.group + row % self.group;
        (row / self.group * self.attention.n_heads + head) * self.head_dim
    }

    /// The query of a row, to those of the positions that it sees.
    fn query(&self, kv_head: usize, row: usize, positions: &Range<usize>, out: &'a mut [f32]) -> Query<'a> {
        let position = self.attention.first_position + row / self.group;
        let head = kv_head * self.group + row % self.group;
        let sees = self.attention.until.unwrap_or(0).max(position + 1);
        let first = self.attention.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let first = first.max(self.attention.from.min(position));
        // A sink is met once: with the first position that is seen.
        let sink = self.attention.sinks.filter(|_| positions.contains(&first)).map(|sinks| sinks[head]);
        Query {
            q: &self.q[self.start(kv_head, row)..][..self.head_dim],
            out,
            first: first.max(positions.start).min(sees),
            end: sees.min(positions.end),
            position,
            slope: self.attention.slopes.map_or(0.0, |slopes| slopes[head]),
            largest: sink.unwrap_or(f32::NEG_INFINITY),
            total: if sink.is_some() { 1.0 } else { 0.0 },
        }
    }

    /// Attends with some rows, a task's worth at a time, and hands each to `done`.
    fn attend(
        &self,
        head: Head<'_>,
        kv_head: usize,
        rows: Range<usize>,
        positions: Range<usize>,
        out: &dyn Fn(usize) -> &'a mut [f32],
        done: &mut dyn FnMut(usize, &mut Query<'_>),
    ) {
        let scoring = Scoring { scale: self.attention.scale, cap: self.attention.cap.unwrap_or(0.0), many: self.many };
        for first in rows.clone().step_by(ROWS_PER_TASK) {
            let count = (rows.end - first).min(ROWS_PER_TASK);
            let mut queries: [Query<'_>; ROWS_PER_TASK] = std::array::from_fn(|i| match i < count {
                true => self.query(kv_head, first + i, &positions, out(first + i)),
                false => Query::default(),
            });
            // SAFETY: the level is proof of the instructions of its kernel; the caller has checked the positions.
            unsafe { (self.kernel)(scoring, head, &mut queries[..count]) };
            queries[..count].iter_mut().enumerate().for_each(|(i, query)| done(first + i, query));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::float::noise;
    use crate::kv_cache::{KvFormat, SCALED};

    /// Softmax over all visible positions, in f64, of what layer 1 of the store holds.
    fn by_definition(attention: &Attention<'_>, q: &[f32], store: &KvStore) -> Vec<f64> {
        let KvHeads { count, head_dim: width } = store.layers[1].heads;
        let group = attention.n_heads / count;
        let mut out = Vec::new();
        for (row, q) in q.chunks_exact(width).enumerate() {
            let position = attention.first_position + row / attention.n_heads;
            let head = store.head(1, row % attention.n_heads / group);
            let first = attention.window.map_or(0, |window| (position + 1).saturating_sub(window));
            let seen = first.max(attention.from.min(position))..attention.until.unwrap_or(0).max(position + 1);
            let score = |p| (0..width).map(|d| f64::from(q[d]) * f64::from(head.key(p, d))).sum::<f64>();
            let (head_of_q, cap) = (row % attention.n_heads, attention.cap.map(f64::from));
            let slope = attention.slopes.map_or(0.0, |slopes| f64::from(slopes[head_of_q]));
            let scored = |p| {
                let score = score(p) * f64::from(attention.scale);
                cap.map_or(score, |cap| cap * (score / cap).tanh()) - slope * (position as f64 - p as f64)
            };
            let scores: Vec<f64> = seen.clone().map(|p| scored(p).exp()).collect();
            let sink = attention.sinks.map_or(0.0, |sinks| f64::from(sinks[head_of_q]).exp());
            let total: f64 = scores.iter().sum::<f64>() + sink;
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
                (2, 1, 512, 70, 2, None),
                (3, 1, 12, 9, 9, None),
                (7, 1, 16, 1300, 3, None),
                (4, 2, 16, 1300, 1, Some(700)),
            ] {
                if format == KvFormat::Q8_0 && head_dim % SCALED != 0 {
                    continue;
                }
                let end = before + tokens;
                let mut store = KvStore::new(format, &[KvHeads { count: kv_heads, head_dim }; 2], end).unwrap();
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
                let attention = Attention { window, ..Attention::plain(n_heads, before, 0.4) };
                let (slopes, sinks) = (noise(n_heads, 5), noise(n_heads, 6));
                let slopes: Vec<f32> = slopes.iter().map(|slope| slope.abs() / 4.0).collect();
                let mut out = vec![f32::NAN; q.len()];
                for attention in [
                    Attention { cap: Some(2.0), ..attention },
                    Attention { slopes: Some(&slopes), ..attention },
                    Attention { sinks: Some(&sinks), ..attention },
                    Attention { until: Some(end), ..attention },
                    Attention { from: before, until: Some(end), ..attention },
                    Attention { until: Some(before + 1 + tokens / 2), ..attention },
                    attention,
                ] {
                    attend(level, &pool, &attention, &q, &store, 1, &mut out);
                    for (a, b) in out.iter().zip(by_definition(&attention, &q, &store)) {
                        let case = format!("{level} {format:?} {n_heads}/{kv_heads}x{head_dim} {attention:?}");
                        assert!((f64::from(*a) - b).abs() < 2e-5, "{case}: {a} {b}");
                    }
                }
                let copy = store.fork(end).unwrap();
                let mut again = vec![f32::NAN; q.len()];
                attend(level, &pool, &attention, &q, &copy, 1, &mut again);
                assert_eq!(out, again, "a fork holds the same");
            }
        }
    }

    #[test]
    fn a_few_queries_together_get_what_each_gets_alone_to_the_last_bit() {
        let (n_heads, kv_heads, head_dim, before) = (6, 2, 16, 1100);
        let mut store =
            KvStore::new(KvFormat::F16, &[KvHeads { count: kv_heads, head_dim }; 2], before + FEW_TOKENS).unwrap();
        for level in Level::present() {
            for position in 0..before + FEW_TOKENS {
                let key = noise(2 * kv_heads * head_dim, position as u32);
                store.write(level, 1, position, &key[..kv_heads * head_dim], &key[kv_heads * head_dim..]);
            }
            let q = noise(FEW_TOKENS * n_heads * head_dim, 3);
            for (threads, window) in [(1, None), (3, None), (2, Some(300)), (1, Some(77))] {
                let pool = Pool::new(NonZeroUsize::new(threads));
                let attention = Attention { window, ..Attention::plain(n_heads, before, 0.3) };
                let (mut together, mut alone) = (vec![0.0; q.len()], vec![0.0; q.len()]);
                attend(level, &pool, &attention, &q, &store, 1, &mut together);
                let each = n_heads * head_dim;
                for (token, (q, out)) in q.chunks(each).zip(alone.chunks_mut(each)).enumerate() {
                    let attention = Attention { first_position: before + token, ..attention };
                    attend(level, &pool, &attention, q, &store, 1, out);
                }
                assert_eq!(together, alone, "{level} {window:?}");
            }
        }
    }

    #[test]
    fn a_shifted_position_is_found_at_its_new_place() {
        let pool = Pool::new(NonZeroUsize::new(1));
        let mut store = KvStore::new(KvFormat::F16, &[KvHeads { count: 1, head_dim: 8 }], 16).unwrap();
        let (level, attention) = (Level::best(), Attention::plain(1, 0, 1.0));
        store.write(level, 0, 9, &[1.0; 8], &[2.5; 8]);
        store.shift(9, 0, &mut |_, key| assert_eq!(key, [1.0; 8]));
        let mut out = [0.0; 8];
        attend(level, &pool, &attention, &[1.0; 8], &store, 0, &mut out);
        assert_eq!(out, [2.5; 8]);
    }

    #[test]
    fn an_absurd_store_is_refused_without_taking_memory() {
        assert!(KvStore::new(KvFormat::F16, &[KvHeads { count: 1000, head_dim: 256 }; 1000], usize::MAX / 2).is_none());
        assert!(KvStore::new(KvFormat::F16, &[KvHeads { count: 1000, head_dim: 256 }; 1000], 1 << 40).is_none());
    }
}
