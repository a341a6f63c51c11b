//! Keys and values of every layer, preallocated, in half floats or in bytes with scales.

use half::f16;

use crate::float::{half_to_float, tanh};

/// How floats become half floats: the second slice is as long as the first.
pub(crate) type Round<'a> = &'a dyn Fn(&[f32], &mut [u16]);

/// Rounds to the nearest half float, ties to even.
pub(crate) fn round_plainly(from: &[f32], to: &mut [u16]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f16::from_f32(*from).to_bits();
    }
}

/// Positions whose keys lie side by side, so that the lanes of a vector are positions.
pub(crate) const LANES: usize = 8;

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
    pub(crate) layers: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) capacity: usize,
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

    /// Stores one position of one layer, with half floats as `round` makes them. key, value: `[kv_heads, head_dim]`.
    pub(crate) fn put(&mut self, round: Round, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let width = self.head_dim;
        assert!(layer < self.layers && position < self.capacity, "a position of the store");
        assert!(key.len() == self.kv_heads * width && value.len() == key.len(), "one key and value for each head");
        for head in 0..self.kv_heads {
            let first = (layer * self.kv_heads + head) * self.capacity;
            let numbers = head * width..(head + 1) * width;
            let panel = (first + position / LANES * LANES, position % LANES);
            self.keys.write(round, &key[numbers.clone()], panel.0, panel.1, LANES);
            self.values.write(round, &value[numbers], first + position, 0, 1);
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
            self.put(&round_plainly, layer, to, &keys, &values);
        }
    }

    /// Keys and values of one head of one layer.
    pub(crate) fn head(&self, layer: usize, head: usize) -> Head<'_> {
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
    fn write(&mut self, round: Round, numbers: &[f32], position: usize, lane: usize, stride: usize) {
        let width = numbers.len();
        match self {
            Cells::F16(halves) => {
                let mut rounded = [0u16; KvStore::MOST_HEAD_DIM];
                round(numbers, &mut rounded[..width]);
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
    pub(crate) fn key(&self, position: usize, d: usize) -> f32 {
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
    pub(crate) fn value(&self, position: usize, d: usize) -> f32 {
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
    pub(crate) fn score(&self, position: usize, q: &[f32]) -> f32 {
        let at = position / LANES * LANES * self.head_dim + position % LANES;
        match self.keys {
            Numbers::F16(halves) => {
                q.iter().zip(halves[at..].iter().step_by(LANES)).map(|(q, k)| q * half_to_float(*k)).sum()
            }
            Numbers::Q8 { .. } => q.iter().enumerate().map(|(d, q)| q * self.key(position, d)).sum(),
        }
    }

    /// `out += weight * value`.
    pub(crate) fn add_value(&self, position: usize, weight: f32, out: &mut [f32]) {
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

/// One query, what it sees, and what came of it.
#[derive(Default)]
pub(crate) struct Query<'a> {
    pub q: &'a [f32], // [head_dim]
    /// `[head_dim]`: the sum of the values it sees, each times `exp(score - largest)`.
    pub out: &'a mut [f32],
    pub first: usize,
    pub end: usize,
    /// Its own position, and what is added to a score for each position that a key lies before it.
    pub position: usize,
    pub slope: f32,
    /// The largest score, and the sum of `exp(score - largest)`: at first those of what it has seen elsewhere.
    pub largest: f32,
    pub total: f32,
}

/// What becomes of the product of a query and a key.
#[derive(Clone, Copy)]
pub(crate) struct Scoring {
    pub scale: f32,
    /// `cap * tanh(score / cap)`; 0 for none.
    pub cap: f32,
}

impl Scoring {
    /// The score of a key `distance` positions before the query, from the product of both.
    #[inline(always)]
    pub(crate) fn score<const FUSED: bool>(self, product: f32, slope: f32, distance: f32) -> f32 {
        let score = product * self.scale;
        let score = if self.cap > 0.0 { self.cap * tanh::<FUSED>(score / self.cap) } else { score };
        score - slope * distance
    }
}
