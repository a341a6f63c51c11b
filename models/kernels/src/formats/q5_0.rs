//! `Q5_0`: 32 weights in 22 bytes: an f16 scale, a word of fifth bits and 16 bytes of nibbles, the lower ones first;
//! `w = d (q - 16)`.
//!
//! Unit: scales f16 \[16\], a word of fifth bits \[16\] in the order of the columns of the words (see `spread_fifths`),
//! 4 words \[16\].

use super::{Block, BlockFormat, Lanes, Scales, half_at, one_bit, put_half, put_words, split_nibbles, spread_fifths};

pub(crate) struct Q5_0;

/// Nibbles and fifth bits together.
pub(super) fn with_fifths(nibbles: &[u8], fifths: &[u8]) -> [i8; 32] {
    let mut values = split_nibbles(nibbles);
    for (i, value) in values.iter_mut().enumerate() {
        *value |= ((fifths[i / 8] >> (i % 8) & 1) << 4).cast_signed();
    }
    values
}

/// Writes fifth bits and nibbles, which follow each other in a block.
pub(super) fn put_five_bits(block: &[u8], lane: usize, unit: &mut [u8]) {
    let fifths = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    put_words(&spread_fifths(fifths), lane, unit);
    put_words(&block[4..20], lane, &mut unit[64..]);
}

/// Weights of five bits, whose words are at `words`.
///
/// # Safety
/// As for [`BlockFormat::weights`].
#[inline(always)]
pub(super) unsafe fn five_bits<L: Lanes>(words: *const u8, rows: usize, four: usize) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let nibbles = L::words(words.add(64 + 64 * (four % 4)), rows).nibbles(four >= 4);
        nibbles.or(one_bit(L::words(words, rows), four, 4))
    }
}

impl BlockFormat for Q5_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 2 + 4 + 16;
    const UNIT_BYTES: usize = 32 + 64 + 4 * 64;
    const LARGEST: u8 = 31;
    const ZERO_POINT: u8 = 16;

    #[inline(always)]
    fn read(block: &[u8], _: usize) -> Block {
        let d = half_at(block, 0);
        Block { values: with_fifths(&block[6..], &block[2..6]), scales: [d; 2], minima: [16.0 * d; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[..2], lane, unit);
        put_five_bits(&block[2..22], lane, &mut unit[32..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, _: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { five_bits(unit.add(32), rows, four) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, _: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe { Scales { scales: [L::halves(unit, rows); 2], minima: [L::zero(); 2] } }
    }
}
