//! Causal attention with grouped queries over a preallocated cache of keys and values, with an online softmax (Milakov and
//! Gimelshein, 2018): no score is ever stored beyond a tile.

use half::f16;

use crate::level::Level;
#[cfg(target_arch = "x86_64")]
use crate::level::Set;
use crate::pool::Pool;
use crate::product::SharedSlice;
use crate::vector::{exp, half_to_float};

/// Positions whose keys lie side by side, so that the lanes of a vector are positions.
pub(crate) const LANES: usize = 8;

/// Query rows that one task takes at a time.
const ROWS_PER_TASK: usize = 16;

/// Numbers of a head that share a scale in the byte cache.
pub(crate) const SCALED: usize = 32;

/// How a store keeps its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvFormat {
    /// Half floats.
    F16,
    /// Signed bytes, with an f16 scale for each 32 numbers of a head: about half the memory. Heads are multiples of 32 wide.
    Q8_0,
}

/// Keys and values of every layer. The memory is reserved at once and used up as positions are written.
#[derive(Debug)]
pub struct KvStore {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    keys: Cells,   // [layers, kv_heads, capacity / 8, head_dim, 8]: eight positions side by side
    values: Cells, // [layers, kv_heads, capacity, head_dim]
}

/// The numbers of a store, in its format.
#[derive(Debug)]
enum Cells {
    F16(Vec<u16>),
    Q8 {
        bytes: Vec<i8>,
        scales: Vec<u16>, // as the bytes, with head_dim / 32 in the place of head_dim
    },
}

/// The numbers of one head.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    F16(&'a [u16]),
    Q8 { bytes: &'a [i8], scales: &'a [u16] },
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

    /// A store for at least `capacity` positions; `None` when its size does not fit an address or the memory is not there.
    ///
    /// # Panics
    /// A dimension is zero, the head is wider than [`MOST_HEAD_DIM`](Self::MOST_HEAD_DIM), or no multiple of 32 for bytes.
    pub fn new(format: KvFormat, layers: usize, kv_heads: usize, head_dim: usize, capacity: usize) -> Option<KvStore> {
        assert!(layers > 0 && kv_heads > 0, "a store has layers and heads");
        assert!((1..=Self::MOST_HEAD_DIM).contains(&head_dim), "a head is at most {} wide", Self::MOST_HEAD_DIM);
        assert!(format == KvFormat::F16 || head_dim.is_multiple_of(SCALED), "bytes share a scale by {SCALED}");
        let capacity = capacity.max(1).checked_next_multiple_of(LANES)?;
        let len = layers.checked_mul(kv_heads)?.checked_mul(head_dim)?.checked_mul(capacity)?;
        len.checked_mul(4).filter(|bytes| *bytes <= isize::MAX as usize)?;
        let cells = || match format {
            KvFormat::F16 => Some(Cells::F16(zeroes(len)?)),
            KvFormat::Q8_0 => Some(Cells::Q8 { bytes: zeroes(len)?, scales: zeroes(len / SCALED)? }),
        };
        Some(KvStore { layers, kv_heads, head_dim, capacity, keys: cells()?, values: cells()? })
    }

    /// Bytes reserved.
    pub fn bytes(&self) -> usize {
        let of = |cells: &Cells| match cells {
            Cells::F16(halves) => 2 * halves.len(),
            Cells::Q8 { bytes, scales } => bytes.len() + 2 * scales.len(),
        };
        of(&self.keys) + of(&self.values)
    }

    /// Positions that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How the numbers are kept.
    pub fn format(&self) -> KvFormat {
        match self.keys {
            Cells::F16(_) => KvFormat::F16,
            Cells::Q8 { .. } => KvFormat::Q8_0,
        }
    }

    /// A copy of the first `positions` positions, with room for as many as this one.
    pub fn fork(&self, positions: usize) -> Option<KvStore> {
        let mut copy = KvStore::new(self.format(), self.layers, self.kv_heads, self.head_dim, self.capacity)?;
        let used = positions.min(self.capacity).next_multiple_of(LANES);
        for (from, to) in [(&self.keys, &mut copy.keys), (&self.values, &mut copy.values)] {
            match (from, to) {
                (Cells::F16(from), Cells::F16(to)) => copy_heads(from, to, self.capacity, used, self.head_dim),
                (Cells::Q8 { bytes, scales }, Cells::Q8 { bytes: to_bytes, scales: to_scales }) => {
                    copy_heads(bytes, to_bytes, self.capacity, used, self.head_dim);
                    copy_heads(scales, to_scales, self.capacity, used, self.head_dim / SCALED);
                }
                _ => unreachable!("a copy has the format of its original"),
            }
        }
        Some(copy)
    }

    /// Bytes that [`save`](Self::save) writes for this many positions.
    pub fn saved_bytes(&self, positions: usize) -> usize {
        let numbers =
            self.layers * self.kv_heads * self.head_dim * positions.next_multiple_of(LANES).min(self.capacity);
        2 * match self.format() {
            KvFormat::F16 => 2 * numbers,
            KvFormat::Q8_0 => numbers + 2 * (numbers / SCALED),
        }
    }

    /// Writes the first `positions` positions, little-endian, in an order that does not hang on the capacity.
    ///
    /// # Errors
    /// What the writer says.
    pub fn save(&self, positions: usize, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        let used = positions.next_multiple_of(LANES).min(self.capacity);
        let mut halves = |halves: &[u16], width: usize| {
            for head in halves.chunks_exact(self.capacity * width) {
                let bytes: Vec<u8> = head[..used * width].iter().flat_map(|half| half.to_le_bytes()).collect();
                out.write_all(&bytes)?;
            }
            Ok(())
        };
        match (&self.keys, &self.values) {
            (Cells::F16(keys), Cells::F16(values)) => {
                halves(keys, self.head_dim)?;
                halves(values, self.head_dim)
            }
            (Cells::Q8 { bytes: keys, scales: key_scales }, Cells::Q8 { bytes: values, scales: value_scales }) => {
                halves(key_scales, self.head_dim / SCALED)?;
                halves(value_scales, self.head_dim / SCALED)?;
                for head in
                    [keys, values].into_iter().flat_map(|cells| cells.chunks_exact(self.capacity * self.head_dim))
                {
                    let bytes: Vec<u8> = head[..used * self.head_dim].iter().map(|byte| byte.cast_unsigned()).collect();
                    out.write_all(&bytes)?;
                }
                Ok(())
            }
            _ => unreachable!("keys and values have one format"),
        }
    }

    /// Reads what [`save`](Self::save) wrote for this many positions, which must fit.
    ///
    /// # Errors
    /// What the reader says; the first positions are then no longer what they were.
    pub fn load(&mut self, positions: usize, from: &mut dyn std::io::Read) -> std::io::Result<()> {
        assert!(positions <= self.capacity, "positions of the store");
        let (capacity, head_dim) = (self.capacity, self.head_dim);
        let used = positions.next_multiple_of(LANES);
        let mut buffer = vec![0u8; 2 * used * head_dim];
        let mut halves = |halves: &mut [u16], width: usize, from: &mut dyn std::io::Read| {
            for head in halves.chunks_exact_mut(capacity * width) {
                let buffer = &mut buffer[..2 * used * width];
                from.read_exact(buffer)?;
                for (half, bytes) in head.iter_mut().zip(buffer.as_chunks::<2>().0) {
                    *half = u16::from_le_bytes(*bytes);
                }
            }
            std::io::Result::Ok(())
        };
        match (&mut self.keys, &mut self.values) {
            (Cells::F16(keys), Cells::F16(values)) => {
                halves(keys, head_dim, from)?;
                halves(values, head_dim, from)
            }
            (Cells::Q8 { bytes: keys, scales: key_scales }, Cells::Q8 { bytes: values, scales: value_scales }) => {
                halves(key_scales, head_dim / SCALED, from)?;
                halves(value_scales, head_dim / SCALED, from)?;
                for head in [keys, values].into_iter().flat_map(|cells| cells.chunks_exact_mut(capacity * head_dim)) {
                    let buffer = &mut buffer[..used * head_dim];
                    from.read_exact(buffer)?;
                    head.iter_mut().zip(buffer.iter()).for_each(|(cell, byte)| *cell = byte.cast_signed());
                }
                Ok(())
            }
            _ => unreachable!("keys and values have one format"),
        }
    }

    /// Stores one position of one layer. key, value: `[kv_heads, head_dim]`.
    pub fn write(&mut self, level: Level, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let width = self.head_dim;
        assert!(layer < self.layers && position < self.capacity, "a position of the store");
        assert!(key.len() == self.kv_heads * width && value.len() == key.len(), "one key and value for each head");
        for head in 0..self.kv_heads {
            let first = (layer * self.kv_heads + head) * self.capacity;
            let numbers = head * width..(head + 1) * width;
            let panel = (first + position / LANES * LANES, position % LANES);
            self.keys.write(level, &key[numbers.clone()], panel.0, panel.1, LANES);
            self.values.write(level, &value[numbers], first + position, 0, 1);
        }
    }

    /// Moves what stands at `from` to `to` in every layer, and lets `turn` change the keys (layer, `[kv_heads, head_dim]`) on
    /// the way, as a new place needs another rotation.
    pub fn shift(&mut self, from: usize, to: usize, turn: &mut dyn FnMut(usize, &mut [f32])) {
        assert!(from < self.capacity && to < self.capacity, "positions of the store");
        let width = self.head_dim;
        let mut keys = vec![0f32; self.kv_heads * width];
        let mut values = keys.clone();
        for layer in 0..self.layers {
            for head in 0..self.kv_heads {
                let source = self.head(layer, head);
                for d in 0..width {
                    keys[head * width + d] = source.key(from, d);
                    values[head * width + d] = source.value(from, d);
                }
            }
            turn(layer, &mut keys);
            self.write(Level::SCALAR, layer, to, &keys, &values);
        }
    }

    /// Keys and values of one head of one layer.
    fn head(&self, layer: usize, head: usize) -> Head<'_> {
        let (index, len) = (layer * self.kv_heads + head, self.capacity * self.head_dim);
        Head { keys: self.keys.part(index, len), values: self.values.part(index, len), head_dim: self.head_dim }
    }
}

/// Zeroed pages come from the system untouched, so only written positions take memory; `None` where it has not that much.
fn zeroes<T: Default + Copy>(len: usize) -> Option<Vec<T>> {
    let mut reserved: Vec<T> = Vec::new();
    reserved.try_reserve_exact(len).ok()?;
    drop(reserved);
    Some(vec![T::default(); len])
}

/// Piece `index` of pieces of `len` elements.
fn part<T>(slice: &[T], index: usize, len: usize) -> &[T] {
    &slice[index * len..][..len]
}

/// Copies the first `used` of `capacity` positions of every head; a position has `width` elements.
fn copy_heads<T: Copy>(from: &[T], to: &mut [T], capacity: usize, used: usize, width: usize) {
    for (from, to) in from.chunks_exact(capacity * width).zip(to.chunks_exact_mut(capacity * width)) {
        to[..used * width].copy_from_slice(&from[..used * width]);
    }
}

impl Cells {
    /// Part `index` of parts of `len` numbers.
    fn part(&self, index: usize, len: usize) -> Numbers<'_> {
        match self {
            Cells::F16(halves) => Numbers::F16(part(halves, index, len)),
            Cells::Q8 { bytes, scales } => {
                Numbers::Q8 { bytes: part(bytes, index, len), scales: part(scales, index, len / SCALED) }
            }
        }
    }

    /// Writes the numbers of one head. They begin `lane` after the place of position `position` (counted over all heads) and
    /// are `stride` apart.
    fn write(&mut self, level: Level, numbers: &[f32], position: usize, lane: usize, stride: usize) {
        let width = numbers.len();
        match self {
            Cells::F16(halves) => {
                let mut rounded = [0u16; KvStore::MOST_HEAD_DIM];
                to_halves(level, numbers, &mut rounded);
                let places = halves[position * width + lane..].iter_mut().step_by(stride);
                places.zip(&rounded[..width]).for_each(|(place, half)| *place = *half);
            }
            Cells::Q8 { bytes, scales } => {
                for (block, numbers) in numbers.chunks_exact(SCALED).enumerate() {
                    let largest =
                        numbers.iter().fold(0f32, |largest, x| if x.abs() > largest { x.abs() } else { largest });
                    let scale = f16::from_f32(largest / 127.0);
                    let inverse = if scale > f16::ZERO { 1.0 / scale.to_f32() } else { 0.0 };
                    scales[position * (width / SCALED) + block * stride + lane] = scale.to_bits();
                    let places = bytes[position * width + block * SCALED * stride + lane..].iter_mut().step_by(stride);
                    for (place, x) in places.zip(numbers) {
                        *place = (x * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
                    }
                }
            }
        }
    }
}

/// The cache of one head.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub keys: Numbers<'a>,   // [capacity / 8, head_dim, 8]
    pub values: Numbers<'a>, // [capacity, head_dim]
    pub head_dim: usize,
}

impl Head<'_> {
    /// Component `d` of a key.
    fn key(&self, position: usize, d: usize) -> f32 {
        let panel = position / LANES * LANES;
        match self.keys {
            Numbers::F16(halves) => half_to_float(halves[panel * self.head_dim + d * LANES + position % LANES]),
            Numbers::Q8 { bytes, scales } => {
                let scale = scales[panel * (self.head_dim / SCALED) + d / SCALED * LANES + position % LANES];
                half_to_float(scale) * f32::from(bytes[panel * self.head_dim + d * LANES + position % LANES])
            }
        }
    }

    /// Component `d` of a value.
    fn value(&self, position: usize, d: usize) -> f32 {
        match self.values {
            Numbers::F16(halves) => half_to_float(halves[position * self.head_dim + d]),
            Numbers::Q8 { bytes, scales } => {
                half_to_float(scales[position * (self.head_dim / SCALED) + d / SCALED])
                    * f32::from(bytes[position * self.head_dim + d])
            }
        }
    }
}

impl Head<'_> {
    /// A query times a key, before the attention's own scale.
    fn score(&self, position: usize, q: &[f32]) -> f32 {
        let at = position / LANES * LANES * self.head_dim + position % LANES;
        match self.keys {
            Numbers::F16(halves) => {
                q.iter().zip(halves[at..].iter().step_by(LANES)).map(|(q, k)| q * half_to_float(*k)).sum()
            }
            Numbers::Q8 { .. } => q.iter().enumerate().map(|(d, q)| q * self.key(position, d)).sum(),
        }
    }

    /// `out += weight * value`.
    fn add_value(&self, position: usize, weight: f32, out: &mut [f32]) {
        match self.values {
            Numbers::F16(halves) => {
                for (out, value) in out.iter_mut().zip(&halves[position * self.head_dim..]) {
                    *out += weight * half_to_float(*value);
                }
            }
            Numbers::Q8 { .. } => {
                for (d, out) in out.iter_mut().enumerate() {
                    *out += weight * self.value(position, d);
                }
            }
        }
    }
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
        attention.n_heads.is_multiple_of(store.kv_heads) && q.len() == out.len() && q.len().is_multiple_of(width),
        "whole rows of heads"
    );
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
        // SAFETY: these levels are proof of AVX2, FMA and F16C; `attend` has checked the positions.
        Set::Avx2 | Set::AvxVnni | Set::AvxVnniEvex | Set::Avx512 if head.head_dim.is_multiple_of(8) => unsafe {
            crate::avx2::attention::attend_rows(scale, head, queries)
        },
        _ => queries.into_iter().for_each(|query| attend_plainly(scale, head, query)),
    }
}

/// The definition: one position after the other.
fn attend_plainly(scale: f32, head: Head<'_>, query: Query<'_>) {
    let (mut largest, mut total) = (f32::NEG_INFINITY, 0f32);
    query.out.fill(0.0);
    for position in query.first..query.end {
        let score = head.score(position, query.q);
        let score = score * scale;
        if score > largest {
            let shrink = exp::<false>(largest - score);
            total *= shrink;
            query.out.iter_mut().for_each(|out| *out *= shrink);
            largest = score;
        }
        let weight = exp::<false>(score - largest);
        total += weight;
        head.add_value(position, weight, query.out);
    }
    query.out.iter_mut().for_each(|out| *out /= total);
}

fn to_halves(level: Level, from: &[f32], to: &mut [u16]) {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are proof of AVX2, FMA and F16C.
        Set::Avx2 | Set::AvxVnni | Set::AvxVnniEvex | Set::Avx512 => unsafe {
            crate::avx2::attention::to_halves(from, to)
        },
        _ => {
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
