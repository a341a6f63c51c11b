//! `Q4_1`: 32 weights in 20 bytes: an f16 scale, an f16 minimum and 16 bytes of nibbles, the lower ones first; `w = d q + m`.
//!
//! Unit: scales f16 \[16\], minima f16 \[16\], 4 words \[16\].

use super::{Block, BlockFormat, Lanes, Scales, half_at, put_half, put_words, split_nibbles};

pub(crate) struct Q4_1;

impl BlockFormat for Q4_1 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 2 + 2 + 16;
    const UNIT_BYTES: usize = 32 + 32 + 4 * 64;
    const LARGEST: u8 = 15;
    const ZERO_POINT: u8 = 0;
    const MINIMA: bool = true;

    #[inline(always)]
    fn read(block: &[u8], _: usize) -> Block {
        let (d, m) = (half_at(block, 0), half_at(block, 2));
        Block { values: split_nibbles(&block[4..]), scales: [d; 2], minima: [-m; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[..2], lane, unit);
        put_half(&block[2..4], lane, &mut unit[32..]);
        put_words(&block[4..20], lane, &mut unit[64..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, _: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::words(unit.add(64 + 64 * (four % 4)), rows).nibbles(four >= 4) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, _: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe {
            let minima = L::negative(L::halves(unit.add(32), rows));
            Scales { scales: [L::halves(unit, rows); 2], minima: [minima; 2] }
        }
    }
}
