//! `Q4_0`: 32 weights in 18 bytes: an f16 scale and 16 bytes of nibbles, the lower ones first; `w = d (q - 8)`.
//!
//! Unit: scales f16 \[16\], 4 words \[16\].

use super::{Block, BlockFormat, Lanes, Scales, half_at, put_half, put_words, split_nibbles};

pub(crate) struct Q4_0;

impl BlockFormat for Q4_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 2 + 16;
    const UNIT_BYTES: usize = 32 + 4 * 64;
    const LARGEST: u8 = 15;
    const ZERO_POINT: u8 = 8;

    #[inline(always)]
    fn read(block: &[u8], _: usize) -> Block {
        let d = half_at(block, 0);
        Block { values: split_nibbles(&block[2..]), scales: [d; 2], minima: [8.0 * d; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[..2], lane, unit);
        put_words(&block[2..18], lane, &mut unit[32..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, _: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::words(unit.add(32 + 64 * (four % 4)), rows).nibbles(four >= 4) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, _: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe { Scales { scales: [L::halves(unit, rows); 2], minima: [L::zero(); 2] } }
    }
}
