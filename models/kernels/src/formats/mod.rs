//! The storage formats of weights: the block formats of GGML that have kernels here, one file each.
//!
//! A file says how a block lies in a GGUF file, how sixteen rows of it are interleaved in a strip (see `strips`), and how
//! both are read. Reading a block of a file is plain Rust ([`BlockFormat::read`]), the definition that every kernel is tested
//! against. Reading a strip is written once for all instruction sets, in terms of [`Lanes`].
//!
//! To add a format: a file here, its arm in [`with_blocks!`] and in [`Format`], and its GGUF name in the reader of the models.

mod iq4_nl;
mod iq4_xs;
mod mxfp4;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;

use std::fmt;

use half::{bf16, f16};

pub(crate) use iq4_nl::Iq4Nl;
pub(crate) use iq4_xs::Iq4Xs;
pub(crate) use mxfp4::Mxfp4;
pub(crate) use q2_k::Q2K;
pub(crate) use q3_k::Q3K;
pub(crate) use q4_0::Q4_0;
pub(crate) use q4_1::Q4_1;
pub(crate) use q4_k::Q4K;
#[cfg(target_arch = "aarch64")]
pub(crate) use q4_k::scale_and_minimum;
pub(crate) use q5_0::Q5_0;
pub(crate) use q5_1::Q5_1;
pub(crate) use q5_k::Q5K;
pub(crate) use q6_k::Q6K;
pub(crate) use q8_0::Q8_0;

/// Rows in a strip: so many rows of a matrix are interleaved.
pub const STRIP_ROWS: usize = 16;

/// A storage format with kernels. The layouts are those of the GGUF specification's tensor types of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// Brain floats: the upper half of a 32-bit float.
    Bf16,
    /// 32 weights: an f16 scale and 32 signed bytes.
    Q8_0,
    /// 32 weights: an f16 scale and 32 nibbles, `w = d (q - 8)`.
    Q4_0,
    /// 32 weights: an f16 scale and minimum and 32 nibbles, `w = d q + m`.
    Q4_1,
    /// 32 weights: an f16 scale, a word of fifth bits and 32 nibbles, `w = d (q - 16)`.
    Q5_0,
    /// 32 weights: an f16 scale and minimum, a word of fifth bits and 32 nibbles, `w = d q + m`.
    Q5_1,
    /// 256 weights: f16 scale and minimum, sixteen 4-bit pairs of them, 2-bit values, `w = d s q - m t`.
    Q2K,
    /// 256 weights: 3-bit values, sixteen 6-bit scales, an f16 scale, `w = d (s - 32) (q - 4)`.
    Q3K,
    /// 256 weights: f16 scale and minimum, eight 6-bit pairs of them, nibbles, `w = d s q - m t`.
    Q4K,
    /// 256 weights: as `Q4K` with a fifth bit each.
    Q5K,
    /// 256 weights: 6-bit values, sixteen 8-bit scales, an f16 scale, `w = d s (q - 32)`.
    Q6K,
    /// 32 weights: an f16 scale and 32 nibbles that index a table of sixteen bytes, `w = d table[q]`.
    Iq4Nl,
    /// 256 weights: an f16 scale, eight 6-bit scales and nibbles that index the table of `Iq4Nl`.
    Iq4Xs,
    /// 32 weights: a power of two as scale and 32 four-bit floats (OCP Microscaling, 2023).
    Mxfp4,
}

/// Evaluates an expression with `$F` being the type of a block format.
macro_rules! with_blocks {
    ($format:expr, $F:ident => $body:expr) => {
        $crate::formats::with_blocks!(@ $format, $F, $body;
            Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2K Q3K Q4K Q5K Q6K Iq4Nl Iq4Xs Mxfp4)
    };
    (@ $format:expr, $F:ident, $body:expr; $($name:ident)*) => {
        match $format {
            $($crate::formats::Format::$name => {
                #[allow(unused_imports)]
                use $crate::formats::BlockFormat as _;
                type $F = $crate::formats::$name;
                $body
            })*
            $crate::formats::Format::F32 | $crate::formats::Format::F16 | $crate::formats::Format::Bf16 => {
                unreachable!()
            }
        }
    };
}
pub(crate) use with_blocks;

impl Format {
    /// Weights in one block.
    pub const fn block_weights(self) -> usize {
        match self {
            Format::F32 | Format::F16 | Format::Bf16 => 1,
            _ => with_blocks!(self, F => F::WEIGHTS),
        }
    }

    /// Bytes in one block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::F16 | Format::Bf16 => 2,
            _ => with_blocks!(self, F => F::BYTES),
        }
    }

    /// True where products run on 8-bit activations.
    pub const fn is_quantized(self) -> bool {
        self.block_weights() > 1
    }

    /// Bytes of a row of `columns` weights; `None` when they do not fill whole blocks or do not fit an address.
    pub const fn row_bytes(self, columns: usize) -> Option<usize> {
        if !columns.is_multiple_of(self.block_weights()) {
            return None;
        }
        (columns / self.block_weights()).checked_mul(self.block_bytes())
    }

    /// The name as GGUF tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            Format::F32 => "F32",
            Format::F16 => "F16",
            Format::Bf16 => "BF16",
            Format::Q8_0 => "Q8_0",
            Format::Q4_0 => "Q4_0",
            Format::Q4_1 => "Q4_1",
            Format::Q5_0 => "Q5_0",
            Format::Q5_1 => "Q5_1",
            Format::Q2K => "Q2_K",
            Format::Q3K => "Q3_K",
            Format::Q4K => "Q4_K",
            Format::Q5K => "Q5_K",
            Format::Q6K => "Q6_K",
            Format::Iq4Nl => "IQ4_NL",
            Format::Iq4Xs => "IQ4_XS",
            Format::Mxfp4 => "MXFP4",
        }
    }

    /// Every format, floats first.
    pub const ALL: [Format; 16] = [
        Format::F32,
        Format::F16,
        Format::Bf16,
        Format::Q8_0,
        Format::Q4_0,
        Format::Q4_1,
        Format::Q5_0,
        Format::Q5_1,
        Format::Q2K,
        Format::Q3K,
        Format::Q4K,
        Format::Q5K,
        Format::Q6K,
        Format::Iq4Nl,
        Format::Iq4Xs,
        Format::Mxfp4,
    ];

    /// The format of that GGUF name, if it has kernels.
    pub fn named(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// 32 consecutive weights: `w[i] = scales[i / 16] * values[i] - minima[i / 16]`.
pub(crate) struct Block {
    pub values: [i8; 32],
    pub scales: [f32; 2],
    pub minima: [f32; 2],
}

/// A quantized format.
///
/// In a strip, a *unit* is one block of each of its sixteen rows. The weights of a unit are unsigned numbers up to `LARGEST`,
/// from which `ZERO_POINT` is taken off.
pub(crate) trait BlockFormat {
    /// Weights in a block.
    const WEIGHTS: usize;
    /// Bytes in a block.
    const BYTES: usize;
    /// Bytes in a unit.
    const UNIT_BYTES: usize;
    /// The largest weight that [`weights`](Self::weights) gives.
    const LARGEST: u8;
    /// What is taken off each of these weights: 128 where [`signed_weights`](Self::signed_weights) are signed bytes, and 0 for
    /// formats with minima.
    const ZERO_POINT: u8;
    /// Whether blocks have minima.
    const MINIMA: bool = false;
    /// Weights that share a scale: 32 or 16.
    const SHARED: usize = 32;

    /// Parts of 32 weights in a block.
    const PARTS: usize = Self::WEIGHTS / 32;
    /// True where weights are signed bytes once the zero point is taken off.
    const SIGNED: bool = Self::ZERO_POINT == 128;

    /// Reads part `part` of a block of the file: the definition of the format.
    fn read(block: &[u8], part: usize) -> Block;

    /// Writes a block of the file into its lane of a unit, which is zero there.
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]);

    /// The weights of columns `4 * four..4 * four + 4` of a part, unsigned, in group `rows` of as many rows as
    /// `L` has words.
    ///
    /// # Safety
    /// `unit` points to a whole unit, and the processor has the instructions of `L`.
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L;

    /// The same with the zero point taken off, for formats whose zero point is 128.
    ///
    /// # Safety
    /// As for [`weights`](Self::weights).
    #[inline(always)]
    unsafe fn signed_weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { Self::weights::<L>(unit, rows, part, four).xor(L::splat(0x80)) }
    }

    /// What a part is scaled with.
    ///
    /// # Safety
    /// As for [`weights`](Self::weights).
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, part: usize) -> Scales<L::Floats>;
}

/// The scales of a part of 32 columns of some rows, one lane a row: of its two halves, which are the same where 32 weights share
/// a scale. The minima have a meaning where the format has them.
#[derive(Clone, Copy)]
pub(crate) struct Scales<F> {
    pub scales: [F; 2],
    pub minima: [F; 2],
}

/// A register of 32-bit words, each of another row of a strip: what an instruction set needs to read strips. `rows` numbers
/// the groups of so many rows. All functions need the instructions of the type.
pub(crate) trait Lanes: Copy {
    /// As many floats.
    type Floats: Copy;

    /// The words of these rows out of sixteen words.
    unsafe fn words(from: *const u8, rows: usize) -> Self;
    /// The same byte everywhere.
    unsafe fn splat(byte: u8) -> Self;
    unsafe fn and(self, other: Self) -> Self;
    unsafe fn or(self, other: Self) -> Self;
    unsafe fn xor(self, other: Self) -> Self;
    /// Shifts to the left; bits of a neighbouring byte may come in from the right.
    unsafe fn left(self, bits: usize) -> Self;
    /// Shifts to the right; bits of a neighbouring byte may come in from the left.
    unsafe fn right(self, bits: usize) -> Self;
    /// The lower four bits of each byte, or the upper ones.
    unsafe fn nibbles(self, upper: bool) -> Self;
    /// Each byte, below 16, replaced by an entry of the table.
    unsafe fn lookup(self, table: &[u8; 16]) -> Self;

    /// Sixteen f16 as floats.
    unsafe fn halves(from: *const u8, rows: usize) -> Self::Floats;
    /// Sixteen bf16 as floats.
    unsafe fn brain_floats(from: *const u8, rows: usize) -> Self::Floats;
    /// Sixteen signed bytes as floats.
    unsafe fn signed(from: *const u8, rows: usize) -> Self::Floats;
    /// Sixteen unsigned bytes as floats, of which the bits of `mask` are taken after a shift to the right.
    unsafe fn unsigned(from: *const u8, rows: usize, shift: u32, mask: u8) -> Self::Floats;
    unsafe fn multiply(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    unsafe fn negative(a: Self::Floats) -> Self::Floats;
    unsafe fn zero() -> Self::Floats;
}

/// Bit `bit` of each byte, as bit `to`, and nothing else.
///
/// # Safety
/// The processor has the instructions of `L`.
#[inline(always)]
pub(crate) unsafe fn one_bit<L: Lanes>(words: L, bit: usize, to: usize) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let moved = if bit <= to { words.left(to - bit) } else { words.right(bit - to) };
        moved.and(L::splat(1 << to))
    }
}

/// One row: the definition of what the wider registers do.
impl Lanes for u32 {
    type Floats = f32;

    unsafe fn words(from: *const u8, rows: usize) -> u32 {
        // SAFETY: the caller has sixteen words.
        u32::from_le(unsafe { from.add(4 * rows).cast::<u32>().read_unaligned() })
    }
    unsafe fn splat(byte: u8) -> u32 {
        u32::from_ne_bytes([byte; 4])
    }
    unsafe fn and(self, other: u32) -> u32 {
        self & other
    }
    unsafe fn or(self, other: u32) -> u32 {
        self | other
    }
    unsafe fn xor(self, other: u32) -> u32 {
        self ^ other
    }
    unsafe fn left(self, bits: usize) -> u32 {
        self << bits
    }
    unsafe fn right(self, bits: usize) -> u32 {
        self >> bits
    }
    unsafe fn nibbles(self, upper: bool) -> u32 {
        (if upper { self >> 4 } else { self }) & 0x0f0f_0f0f
    }
    unsafe fn lookup(self, table: &[u8; 16]) -> u32 {
        u32::from_le_bytes(self.to_le_bytes().map(|index| table[usize::from(index)]))
    }
    unsafe fn halves(from: *const u8, rows: usize) -> f32 {
        // SAFETY: the caller has sixteen f16.
        f16::from_le_bytes(unsafe { from.add(2 * rows).cast::<[u8; 2]>().read() }).to_f32()
    }
    unsafe fn brain_floats(from: *const u8, rows: usize) -> f32 {
        // SAFETY: the caller has sixteen bf16.
        bf16::from_le_bytes(unsafe { from.add(2 * rows).cast::<[u8; 2]>().read() }).to_f32()
    }
    unsafe fn signed(from: *const u8, rows: usize) -> f32 {
        // SAFETY: the caller has sixteen bytes.
        f32::from(unsafe { from.add(rows).cast::<i8>().read() })
    }
    unsafe fn unsigned(from: *const u8, rows: usize, shift: u32, mask: u8) -> f32 {
        // SAFETY: the caller has sixteen bytes.
        f32::from(unsafe { from.add(rows).read() } >> shift & mask)
    }
    unsafe fn multiply(a: f32, b: f32) -> f32 {
        a * b
    }
    unsafe fn negative(a: f32) -> f32 {
        -a
    }
    unsafe fn zero() -> f32 {
        0.0
    }
}

/// Reads block `index` (of 32 columns) of row `lane` of a strip.
pub(crate) fn read_strip<F: BlockFormat>(strip: &[u8], lane: usize, index: usize) -> Block {
    let unit = &strip[index / F::PARTS * F::UNIT_BYTES..][..F::UNIT_BYTES];
    let (unit, part) = (unit.as_ptr(), index % F::PARTS);
    assert!(lane < STRIP_ROWS, "a row of the strip");
    let mut values = [0i8; 32];
    for (four, values) in values.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        // SAFETY: a whole unit, and plain arithmetic.
        let word: u32 = unsafe {
            if F::SIGNED { F::signed_weights(unit, lane, part, four) } else { F::weights(unit, lane, part, four) }
        };
        *values = word.to_le_bytes().map(u8::cast_signed);
    }
    // SAFETY: as above.
    let Scales { scales, minima } = unsafe { F::scales::<u32>(unit, lane, part) };
    let minima = match (F::MINIMA, F::SIGNED) {
        (true, _) => minima,
        (false, true) => [0.0; 2],
        (false, false) => scales.map(|scale| f32::from(F::ZERO_POINT) * scale),
    };
    Block { values, scales, minima }
}

/// Reads block `index` (of 32 columns) of a row of the file.
pub(crate) fn read_row<F: BlockFormat>(row: &[u8], index: usize) -> Block {
    F::read(&row[index / F::PARTS * F::BYTES..][..F::BYTES], index % F::PARTS)
}

/// Writes a whole row of the file as floats.
pub(crate) fn dequantize(format: Format, row: &[u8], out: &mut [f32]) {
    match format {
        Format::F32 | Format::F16 | Format::Bf16 => {
            for (index, value) in out.iter_mut().enumerate() {
                *value = float_at(format, row, index);
            }
        }
        _ => with_blocks!(format, F => dequantize_blocks(out, |index| read_row::<F>(row, index))),
    }
}

/// Writes a row as floats that has its blocks of 32 from `block`.
pub(crate) fn dequantize_blocks(out: &mut [f32], block: impl Fn(usize) -> Block) {
    for (index, out) in out.chunks_exact_mut(32).enumerate() {
        let block = block(index);
        for (i, value) in out.iter_mut().enumerate() {
            *value = block.scales[i / 16] * f32::from(block.values[i]) - block.minima[i / 16];
        }
    }
}

/// Weight `index` of a row in a float format.
fn float_at(format: Format, row: &[u8], index: usize) -> f32 {
    match format {
        Format::F16 => half_at(row, 2 * index),
        Format::Bf16 => bf16::from_le_bytes([row[2 * index], row[2 * index + 1]]).to_f32(),
        _ => f32::from_le_bytes([row[4 * index], row[4 * index + 1], row[4 * index + 2], row[4 * index + 3]]),
    }
}

/// The f16 at `offset` bytes.
pub(crate) fn half_at(bytes: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes([bytes[offset], bytes[offset + 1]]).to_f32()
}

/// Sixteen bytes as 32 values: the lower nibbles first.
fn split_nibbles(bytes: &[u8]) -> [i8; 32] {
    let mut values = [0i8; 32];
    let (low, high) = values.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        *low = (byte & 15) as i8;
        *high = (byte >> 4) as i8;
    }
    values
}

/// Writes the bytes of a block as words of its lane, from byte `at` of the unit.
#[inline(always)]
fn put_words(block: &[u8], lane: usize, unit: &mut [u8]) {
    let places = unit.as_chunks_mut::<64>().0;
    for (place, word) in places.iter_mut().zip(block.as_chunks::<4>().0) {
        place[4 * lane..][..4].copy_from_slice(word);
    }
}

/// Writes an f16 into its lane of sixteen.
#[inline(always)]
fn put_half(half: &[u8], lane: usize, unit: &mut [u8]) {
    unit[2 * lane..][..2].copy_from_slice(half);
}

/// The fifth bits of 32 weights in the order of the words of a strip: bit `i` of byte `j` belongs to column `4 i + j`.
#[inline(always)]
fn spread_fifths(fifths: u32) -> [u8; 4] {
    [0, 1, 2, 3].map(|j| {
        let bits = fifths >> j & 0x1111_1111;
        let bits = (bits | bits >> 3) & 0x0303_0303;
        let bits = (bits | bits >> 6) & 0x000f_000f;
        (bits | bits >> 12) as u8
    })
}
