//! Keys and values of every layer, preallocated, in half floats or in bytes with scales.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

use half::f16;
use memmap2::MmapMut;

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
    pub(crate) layers: Vec<Layer>,
    pub(crate) capacity: usize,
    keys: Cells,   // of each head of each layer: [capacity / 8, head_dim, 8]: eight positions side by side
    values: Cells, // of each head of each layer: [capacity, head_dim]
}

/// The heads of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvHeads {
    /// How many heads have keys and values.
    pub count: usize,
    /// Numbers in a head.
    pub head_dim: usize,
}

/// One layer of a store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub heads: KvHeads,
    /// Numbers that a position has in the layers before this one.
    before: usize,
}

/// The numbers of a store, in its format.
#[derive(Debug)]
enum Cells {
    F16(Pages<u16>),
    Q8 {
        bytes: Pages<i8>,
        scales: Pages<u16>, // as the bytes, with head_dim / 32 in the place of head_dim
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
    pub const MOST_HEAD_DIM: usize = 512;

    /// A store for at least `capacity` positions of these layers; `None` when its size does not fit an address or the memory is
    /// not there.
    ///
    /// # Panics
    /// A dimension is zero, a head is wider than [`MOST_HEAD_DIM`](Self::MOST_HEAD_DIM), or no multiple of 32 for bytes.
    pub fn new(format: KvFormat, heads: &[KvHeads], capacity: usize) -> Option<KvStore> {
        let mut layers = Vec::with_capacity(heads.len());
        let mut width = 0usize; // of a position
        for heads in heads.iter().copied() {
            assert!(heads.count > 0, "a layer has heads");
            let most = Self::MOST_HEAD_DIM;
            assert!((1..=most).contains(&heads.head_dim), "a head is at most {most} wide");
            assert!(
                format == KvFormat::F16 || heads.head_dim.is_multiple_of(SCALED),
                "bytes share a scale by {SCALED}"
            );
            layers.push(Layer { heads, before: width });
            width = width.checked_add(heads.count.checked_mul(heads.head_dim)?)?;
        }
        let capacity = capacity.max(1).checked_next_multiple_of(LANES)?;
        let len = width.checked_mul(capacity)?;
        len.checked_mul(4).filter(|bytes| *bytes <= isize::MAX as usize)?;
        let cells = || match format {
            KvFormat::F16 => Some(Cells::F16(Pages::new(len)?)),
            KvFormat::Q8_0 => Some(Cells::Q8 { bytes: Pages::new(len)?, scales: Pages::new(len / SCALED)? }),
        };
        Some(KvStore { layers, capacity, keys: cells()?, values: cells()? })
    }

    /// Where the numbers of each head stand, and how many of them a position has.
    fn heads(&self) -> impl Iterator<Item = (Range<usize>, usize)> + '_ {
        self.layers.iter().flat_map(move |layer| {
            let KvHeads { count, head_dim } = layer.heads;
            (0..count).map(move |head| (self.place(layer, head), head_dim))
        })
    }

    fn place(&self, layer: &Layer, head: usize) -> Range<usize> {
        let start = (layer.before + head * layer.heads.head_dim) * self.capacity;
        start..start + layer.heads.head_dim * self.capacity
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
        let heads: Vec<KvHeads> = self.layers.iter().map(|layer| layer.heads).collect();
        let mut copy = KvStore::new(self.format(), &heads, self.capacity)?;
        copy.copy_from(self, positions);
        Some(copy)
    }

    /// Takes the first `positions` positions of another store.
    ///
    /// # Panics
    /// The other has other layers, another capacity or another format.
    pub fn copy_from(&mut self, other: &KvStore, positions: usize) {
        let heads = |store: &KvStore| store.layers.iter().map(|layer| layer.heads).collect::<Vec<_>>();
        assert!(heads(self) == heads(other) && self.capacity == other.capacity, "a store of the same shape");
        let used = positions.min(self.capacity).next_multiple_of(LANES);
        for (place, width) in other.heads() {
            let used = place.start..place.start + used * width;
            for (from, to) in [(&other.keys, &mut self.keys), (&other.values, &mut self.values)] {
                match (from, to) {
                    (Cells::F16(from), Cells::F16(to)) => to[used.clone()].copy_from_slice(&from[used.clone()]),
                    (Cells::Q8 { bytes, scales }, Cells::Q8 { bytes: to_bytes, scales: to_scales }) => {
                        to_bytes[used.clone()].copy_from_slice(&bytes[used.clone()]);
                        to_scales[scaled(&used)].copy_from_slice(&scales[scaled(&used)]);
                    }
                    _ => panic!("a store of the same format"),
                }
            }
        }
    }

    /// Bytes that [`save`](Self::save) writes for this many positions.
    pub fn saved_bytes(&self, positions: usize) -> usize {
        let width: usize = self.layers.iter().map(|layer| layer.heads.count * layer.heads.head_dim).sum();
        let numbers = width * positions.next_multiple_of(LANES).min(self.capacity);
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
        let used: Vec<Range<usize>> =
            self.heads().map(|(place, width)| place.start..place.start + used * width).collect();
        let mut halves = |halves: &[u16]| {
            let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
            out.write_all(&bytes)
        };
        for cells in [&self.keys, &self.values] {
            for head in &used {
                match cells {
                    Cells::F16(cells) => halves(&cells[head.clone()])?,
                    Cells::Q8 { scales, .. } => halves(&scales[scaled(head)])?,
                }
            }
        }
        for cells in [&self.keys, &self.values] {
            let Cells::Q8 { bytes, .. } = cells else { continue };
            for head in &used {
                let bytes: Vec<u8> = bytes[head.clone()].iter().map(|byte| byte.cast_unsigned()).collect();
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    }

    /// Reads what [`save`](Self::save) wrote for this many positions, which must fit.
    ///
    /// # Errors
    /// What the reader says; the first positions are then no longer what they were.
    pub fn load(&mut self, positions: usize, from: &mut dyn std::io::Read) -> std::io::Result<()> {
        assert!(positions <= self.capacity, "positions of the store");
        let used = positions.next_multiple_of(LANES);
        let used: Vec<Range<usize>> =
            self.heads().map(|(place, width)| place.start..place.start + used * width).collect();
        let mut buffer = vec![0u8; used.iter().map(|head| 2 * head.len()).max().unwrap_or(0)];
        let mut read = |halves: &mut [u16], from: &mut dyn std::io::Read| {
            let buffer = &mut buffer[..2 * halves.len()];
            from.read_exact(buffer)?;
            let halves = halves.iter_mut().zip(buffer.as_chunks::<2>().0);
            halves.for_each(|(half, bytes)| *half = u16::from_le_bytes(*bytes));
            std::io::Result::Ok(())
        };
        for cells in [&mut self.keys, &mut self.values] {
            for head in &used {
                match cells {
                    Cells::F16(cells) => read(&mut cells[head.clone()], from)?,
                    Cells::Q8 { scales, .. } => read(&mut scales[scaled(head)], from)?,
                }
            }
        }
        for cells in [&mut self.keys, &mut self.values] {
            let Cells::Q8 { bytes, .. } = cells else { continue };
            for head in &used {
                let buffer = &mut buffer[..head.len()];
                from.read_exact(buffer)?;
                bytes[head.clone()].iter_mut().zip(&*buffer).for_each(|(cell, byte)| *cell = byte.cast_signed());
            }
        }
        Ok(())
    }

    /// Stores one position of one layer, with half floats as `round` makes them. key, value: `[heads, head_dim]`.
    pub(crate) fn put(&mut self, round: Round, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        assert!(layer < self.layers.len() && position < self.capacity, "a position of the store");
        let layer = self.layers[layer];
        let KvHeads { count, head_dim: width } = layer.heads;
        assert!(key.len() == count * width && value.len() == key.len(), "one key and value for each head");
        for head in 0..count {
            let start = self.place(&layer, head).start;
            let numbers = head * width..(head + 1) * width;
            self.keys.write(
                round,
                &key[numbers.clone()],
                start + position / LANES * LANES * width,
                position % LANES,
                LANES,
            );
            self.values.write(round, &value[numbers], start + position * width, 0, 1);
        }
    }

    /// Moves what stands at `from` to `to` in every layer, and lets `turn` change the keys (layer, `[heads, head_dim]`) on the way,
    /// as a new place needs another rotation.
    pub fn shift(&mut self, from: usize, to: usize, turn: &mut dyn FnMut(usize, &mut [f32])) {
        assert!(from < self.capacity && to < self.capacity, "positions of the store");
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for layer in 0..self.layers.len() {
            let KvHeads { count, head_dim: width } = self.layers[layer].heads;
            keys.resize(count * width, 0.0);
            values.resize(count * width, 0.0);
            for head in 0..count {
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
        let layer = &self.layers[layer];
        let place = self.place(layer, head);
        Head { keys: self.keys.part(&place), values: self.values.part(&place), head_dim: layer.heads.head_dim }
    }
}

/// Integers in pages of their own: the system hands each out as zeroes when it is first written, so only written positions take
/// memory. (Zeroed memory of the allocator may be such that was used before, and is then written at once.)
#[derive(Debug)]
struct Pages<T> {
    map: MmapMut,
    len: usize,
    of: PhantomData<T>,
}

/// A number of any bits, that may be zero.
trait Integer {}
impl Integer for u16 {}
impl Integer for i8 {}

impl<T: Integer> Pages<T> {
    /// As many zeroes; `None` where the system has not that much.
    fn new(len: usize) -> Option<Pages<T>> {
        let map = MmapMut::map_anon(len.checked_mul(size_of::<T>())?.max(1)).ok()?;
        Some(Pages { map, len, of: PhantomData })
    }
}

impl<T: Integer> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: a map begins with a page, is as long as these integers, and any bits are an integer.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
    }
}

impl<T: Integer> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nobody else has the map.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.len) }
    }
}

/// Where the scales of numbers stand.
fn scaled(numbers: &Range<usize>) -> Range<usize> {
    numbers.start / SCALED..numbers.end / SCALED
}

impl Cells {
    /// Some of the numbers.
    fn part(&self, numbers: &Range<usize>) -> Numbers<'_> {
        match self {
            Cells::F16(halves) => Numbers::F16(&halves[numbers.clone()]),
            Cells::Q8 { bytes, scales } => {
                Numbers::Q8 { bytes: &bytes[numbers.clone()], scales: &scales[scaled(numbers)] }
            }
        }
    }

    /// Writes the numbers of one head at one position: from `start + lane` on, `stride` apart.
    fn write(&mut self, round: Round, numbers: &[f32], start: usize, lane: usize, stride: usize) {
        let width = numbers.len();
        match self {
            Cells::F16(halves) => {
                let mut rounded = [0u16; KvStore::MOST_HEAD_DIM];
                round(numbers, &mut rounded[..width]);
                let places = halves[start + lane..].iter_mut().step_by(stride);
                places.zip(&rounded[..width]).for_each(|(place, half)| *place = *half);
            }
            Cells::Q8 { bytes, scales } => {
                for (block, numbers) in numbers.chunks_exact(SCALED).enumerate() {
                    let largest =
                        numbers.iter().fold(0f32, |largest, x| if x.abs() > largest { x.abs() } else { largest });
                    let scale = f16::from_f32(largest / 127.0);
                    let inverse = if scale > f16::ZERO { 1.0 / scale.to_f32() } else { 0.0 };
                    scales[start / SCALED + block * stride + lane] = scale.to_bits();
                    let places = bytes[start + block * SCALED * stride + lane..].iter_mut().step_by(stride);
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
    /// Whether there are more tokens than a few: what prompts are read with may round otherwise.
    pub many: bool,
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
