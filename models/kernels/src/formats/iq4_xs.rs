//! `IQ4_XS`: 256 weights in 136 bytes: an f16 scale, eight 6-bit scales (two bytes of their upper bits, four of their lower
//! ones), 128 bytes of nibbles that index the table of `IQ4_NL`; `w = d (s - 32) table[q]`.
//!
//! Unit: d f16 \[16\], scales of 8 parts i8 \[16\], for each part 4 words \[16\].

use super::iq4_nl::{read_values, values};
use super::{Block, BlockFormat, Lanes, Scales, half_at, put_half, put_words};

pub(crate) struct Iq4Xs;

/// Bytes of scales at the head of a unit.
const HEAD: usize = 32 + 8 * 16;

/// The scale of a part.
fn scale(block: &[u8], part: usize) -> i8 {
    let low = block[4 + part / 2] >> (part % 2 * 4) & 15;
    let high = block[2 + part / 4] >> (part % 4 * 2) & 3;
    (low | high << 4).cast_signed() - 32
}

impl BlockFormat for Iq4Xs {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 2 + 2 + 4 + 128;
    const UNIT_BYTES: usize = HEAD + 32 * 64;
    const LARGEST: u8 = 113 + 128;
    const ZERO_POINT: u8 = 128;

    #[inline(always)]
    fn read(block: &[u8], part: usize) -> Block {
        let d = half_at(block, 0) * f32::from(scale(block, part));
        Block { values: read_values(&block[8 + 16 * part..]), scales: [d; 2], minima: [0.0; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[..2], lane, unit);
        for part in 0..8 {
            unit[32 + 16 * part + lane] = scale(block, part).cast_unsigned();
        }
        put_words(&block[8..136], lane, &mut unit[HEAD..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { values(unit.add(HEAD + 256 * part), rows, four, false) }
    }

    #[inline(always)]
    unsafe fn signed_weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { values(unit.add(HEAD + 256 * part), rows, four, true) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, part: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe {
            let scale = L::multiply(L::halves(unit, rows), L::signed(unit.add(32 + 16 * part), rows));
            Scales { scales: [scale; 2], minima: [L::zero(); 2] }
        }
    }
}
