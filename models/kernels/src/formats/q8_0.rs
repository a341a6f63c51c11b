//! `Q8_0`: 32 weights in 34 bytes: an f16 scale and 32 signed bytes.
//!
//! Unit: scales f16 \[16\], 8 words \[16\] whose bytes have their upper bit turned, so that they are unsigned.

use super::{Block, BlockFormat, Lanes, Scales, half_at, put_half, put_words};

pub(crate) struct Q8_0;

impl BlockFormat for Q8_0 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 2 + 32;
    const UNIT_BYTES: usize = 32 + 8 * 64;
    const LARGEST: u8 = 255;
    const ZERO_POINT: u8 = 128;

    #[inline(always)]
    fn read(block: &[u8], _: usize) -> Block {
        let mut values = [0i8; 32];
        for (value, byte) in values.iter_mut().zip(&block[2..]) {
            *value = byte.cast_signed();
        }
        Block { values, scales: [half_at(block, 0); 2], minima: [0.0; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[..2], lane, unit);
        let mut turned = [0u8; 32];
        turned.iter_mut().zip(&block[2..34]).for_each(|(to, byte)| *to = byte ^ 0x80);
        put_words(&turned, lane, &mut unit[32..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, _: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::words(unit.add(32 + 64 * four), rows) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, _: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe { Scales { scales: [L::halves(unit, rows); 2], minima: [L::zero(); 2] } }
    }
}
