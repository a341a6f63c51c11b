//! `Q5_K`: 256 weights in 176 bytes: as `Q4_K`, with 32 bytes of fifth bits before the nibbles: bit `p` of byte `i` belongs to
//! weight `i` of part `p`.
//!
//! Unit: the head of `Q4_K`, 8 words of fifth bits \[16\], 32 words \[16\].

use super::q4_k::{HEAD, put_scales, read_scales, scales};
use super::{Block, BlockFormat, Lanes, Scales, one_bit, put_words};

pub(crate) struct Q5K;

impl BlockFormat for Q5K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 2 + 2 + 12 + 32 + 128;
    const UNIT_BYTES: usize = HEAD + 40 * 64;
    const LARGEST: u8 = 31;
    const ZERO_POINT: u8 = 0;
    const MINIMA: bool = true;

    #[inline(always)]
    fn read(block: &[u8], part: usize) -> Block {
        let (d, m) = read_scales(block, part);
        let (fifths, nibbles) = block[16..].split_at(32);
        let mut values = [0i8; 32];
        for ((value, byte), fifths) in values.iter_mut().zip(&nibbles[part / 2 * 32..]).zip(fifths) {
            *value = (byte >> (part % 2 * 4) & 15 | (fifths >> part & 1) << 4).cast_signed();
        }
        Block { values, scales: [d; 2], minima: [m; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_scales(block, lane, unit);
        put_words(&block[16..176], lane, &mut unit[HEAD..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let words = |word: usize| L::words(unit.add(HEAD + 64 * word), rows);
            words(8 + part / 2 * 8 + four).nibbles(part % 2 == 1).or(one_bit(words(four), part, 4))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, part: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe { scales::<L>(unit, rows, part) }
    }
}
