//! The layout for writing text: strips of sixteen rows, interleaved word by word.
//!
//! In a file's layout a row stands by itself, so a product with one token ends in sums across a register and pays for the
//! scales of each block. In a strip, the same four columns of sixteen rows lie side by side: a lane of a register is a row,
//! the activation is the same for all, and the scales of sixteen blocks are one register.
//!
//! A strip is a run of *units*, each a number of whole blocks of every one of its sixteen rows: 32 columns of `Q4_0` and
//! `Q8_0`, 256 of the K formats. A unit begins with what the scales are made of and goes on with the weights, whose 32-bit
//! words are those of the file (`Q8_0`: with the upper bit of each byte turned), in the file's order, word `w` of all
//! sixteen rows before word `w + 1`. In bytes, with `[16]` for one entry a row:
//!
//! | format | head | weights |
//! |---|---|---|
//! | `Q4_0` | scales f16 [16] | 4 words [16] |
//! | `Q8_0` | scales f16 [16] | 8 words [16] |
//! | `Q4_K` | d f16 [16], m f16 [16], of each of 8 blocks: scale u8 [16], minimum u8 [16] | 32 words [16] |
//! | `Q5_K` | as `Q4_K` | 8 words of fifth bits [16], 32 words [16] |
//! | `Q6_K` | d f16 [16], 32 bytes unused, of each of 8 blocks: 2 scales i8 [16] | 32 words of nibbles [16], 16 words of upper bits [16] |
//!
//! A matrix whose rows do not fill its last strip has zeros there.

use crate::format::{Format, Matrix};
use crate::pool::Pool;
use crate::product::SharedSlice;
use crate::scalar::{Block, half_at, scale_and_minimum};

/// Rows in a strip.
pub const STRIP_ROWS: usize = 16;

/// Bytes of the scales at the head of a unit of a K format.
pub(crate) const K_HEAD: usize = 320;

/// Columns in a unit; `None` for formats that are not laid out in strips.
pub(crate) const fn unit_columns(format: Format) -> Option<usize> {
    match format {
        Format::Q4_0 | Format::Q8_0 => Some(32),
        Format::Q4K | Format::Q5K | Format::Q6K => Some(256),
        Format::F32 | Format::F16 | Format::Bf16 | Format::Q5_0 => None,
    }
}

/// Bytes in a unit.
pub(crate) const fn unit_bytes(format: Format) -> usize {
    match format {
        Format::Q4_0 => 32 + 4 * 64,
        Format::Q8_0 => 32 + 8 * 64,
        Format::Q4K => K_HEAD + 32 * 64,
        Format::Q5K => K_HEAD + 40 * 64,
        Format::Q6K => K_HEAD + 48 * 64,
        Format::F32 | Format::F16 | Format::Bf16 | Format::Q5_0 => 0,
    }
}

/// Bytes of a matrix in strips; `None` where the format has no such layout, or the columns do not fill units.
pub fn strip_bytes(format: Format, rows: usize, columns: usize) -> Option<usize> {
    let unit = unit_columns(format)?;
    if !columns.is_multiple_of(unit) {
        return None;
    }
    (columns / unit).checked_mul(unit_bytes(format))?.checked_mul(rows.div_ceil(STRIP_ROWS))
}

/// Where the words of a block of the file lie: before them `head` bytes; then so many words, in the order of the strip.
const fn words(format: Format) -> (usize, usize) {
    match format {
        Format::Q4_0 => (2, 4),
        Format::Q8_0 => (2, 8),
        Format::Q4K => (16, 32),
        Format::Q5K => (16, 40),
        Format::Q6K => (0, 48),
        Format::F32 | Format::F16 | Format::Bf16 | Format::Q5_0 => (0, 0),
    }
}

/// Lays a matrix out in strips.
///
/// # Panics
/// The matrix is in strips already, its format has no strips, or `out` has another length than [`strip_bytes`].
pub fn to_strips(pool: &Pool, matrix: &Matrix<'_>, out: &mut [u8]) {
    let format = matrix.format;
    assert!(!matrix.in_strips, "rows are laid out in strips, not strips");
    let total = strip_bytes(format, matrix.rows, matrix.columns).expect("a format with strips");
    assert_eq!(out.len(), total, "room for every strip");
    let strips = matrix.rows.div_ceil(STRIP_ROWS);
    let each = total / strips.max(1);
    let out = SharedSlice::new(out);
    pool.run(strips, &|strip| {
        // SAFETY: each strip is written by one task alone.
        let out = unsafe { out.range(strip * each, each) };
        for (index, unit) in out.chunks_exact_mut(unit_bytes(format)).enumerate() {
            unit.fill(0);
            for lane in 0..STRIP_ROWS.min(matrix.rows - strip * STRIP_ROWS) {
                let row = matrix.row(strip * STRIP_ROWS + lane);
                put(format, &row[index * format.block_bytes()..][..format.block_bytes()], lane, unit);
            }
        }
    });
}

/// Writes a block of the file into its lane of a unit.
#[inline]
fn put(format: Format, block: &[u8], lane: usize, unit: &mut [u8]) {
    let weights = match format {
        Format::Q4_0 | Format::Q8_0 => {
            unit[2 * lane..][..2].copy_from_slice(&block[..2]);
            32
        }
        Format::Q4K | Format::Q5K => {
            unit[2 * lane..][..2].copy_from_slice(&block[..2]);
            unit[32 + 2 * lane..][..2].copy_from_slice(&block[2..4]);
            for part in 0..8 {
                let (scale, minimum) = scale_and_minimum(&block[4..16], part);
                unit[64 + 32 * part + lane] = scale;
                unit[64 + 32 * part + 16 + lane] = minimum;
            }
            K_HEAD
        }
        _ => {
            unit[2 * lane..][..2].copy_from_slice(&block[208..210]);
            for (scale, byte) in block[192..208].iter().enumerate() {
                unit[64 + 16 * scale + lane] = *byte;
            }
            K_HEAD
        }
    };
    let (head, count) = words(format);
    let turned = if format == Format::Q8_0 { 0x8080_8080 } else { 0 };
    let places = unit[weights..].as_chunks_mut::<64>().0;
    for (place, word) in places.iter_mut().zip(block[head..].as_chunks::<4>().0).take(count) {
        let word = u32::from_le_bytes(*word) ^ turned;
        place[4 * lane..][..4].copy_from_slice(&word.to_le_bytes());
    }
}

/// Reads block `index` (of 32 columns) of row `lane` of a strip: the definition of the layout.
pub(crate) fn unpack(format: Format, strip: &[u8], lane: usize, index: usize) -> Block {
    let per_unit = unit_columns(format).expect("a format with strips") / 32;
    let unit = &strip[index / per_unit * unit_bytes(format)..][..unit_bytes(format)];
    let part = index % per_unit;
    let d = half_at(unit, 2 * lane);
    // Byte `i` (of 32) of the words from number `first`.
    let byte = |weights: usize, first: usize, i: usize| unit[weights + 64 * (first + i / 4) + 4 * lane + i % 4];
    let mut values = [0i8; 32];
    let mut fill = |value: &dyn Fn(usize) -> u8| {
        values.iter_mut().enumerate().for_each(|(i, place)| *place = value(i) as i8);
    };
    let (scales, minima) = match format {
        Format::Q4_0 => {
            fill(&|i| byte(32, 0, i % 16) >> (i / 16 * 4) & 15);
            ([d; 2], [8.0 * d; 2])
        }
        Format::Q8_0 => {
            fill(&|i| byte(32, 0, i) ^ 0x80);
            ([d; 2], [0.0; 2])
        }
        Format::Q4K | Format::Q5K => {
            let nibbles = if format == Format::Q5K { 8 } else { 0 };
            fill(&|i| {
                let fifth = if format == Format::Q5K { byte(K_HEAD, 0, i) >> part & 1 } else { 0 };
                byte(K_HEAD, nibbles + part / 2 * 8, i) >> (part % 2 * 4) & 15 | fifth << 4
            });
            let (scale, minimum) = (unit[64 + 32 * part + lane], unit[64 + 32 * part + 16 + lane]);
            ([d * f32::from(scale); 2], [half_at(unit, 32 + 2 * lane) * f32::from(minimum); 2])
        }
        _ => {
            let (half, part) = (part / 4, part % 4);
            fill(&|i| {
                let low = byte(K_HEAD, half * 16 + part % 2 * 8, i) >> (part / 2 * 4) & 15;
                low | (byte(K_HEAD, 32 + half * 8, i) >> (2 * part) & 3) << 4
            });
            let scale = |at: usize| d * f32::from(unit[64 + 16 * (half * 8 + part * 2 + at) + lane] as i8);
            let scales = [scale(0), scale(1)];
            (scales, scales.map(|scale| 32.0 * scale))
        }
    };
    Block { values, scales, minima }
}
