//! `Q3_K`: 256 weights in 110 bytes: 32 bytes of third bits (bit `p` of byte `i` belongs to weight `i` of part `p`), 64 bytes of
//! lower bits as in `Q2_K`, twelve bytes of sixteen 6-bit scales, an f16 scale; `w = d (s - 32) (q - 4)`.
//!
//! Unit: d f16 \[16\], for each of 8 parts two scales i8 \[16\], 8 words of third bits \[16\], 16 words of lower bits \[16\].

use super::{Block, BlockFormat, Lanes, Scales, half_at, one_bit, put_half, put_words};

pub(crate) struct Q3K;

/// Bytes of scales at the head of a unit.
const HEAD: usize = 32 + 16 * 16;

/// Scale `index` (of 16) from the twelve packed bytes: eight bytes of lower nibbles, four of upper pairs of bits.
fn scale(packed: &[u8], index: usize) -> i8 {
    let low = packed[index % 8] >> (index / 8 * 4) & 15;
    let high = packed[8 + index % 4] >> (index / 4 * 2) & 3;
    (low | high << 4).cast_signed() - 32
}

impl BlockFormat for Q3K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 32 + 64 + 12 + 2;
    const UNIT_BYTES: usize = HEAD + 24 * 64;
    const LARGEST: u8 = 7;
    const ZERO_POINT: u8 = 4;
    const SHARED: usize = 16;

    #[inline(always)]
    fn read(block: &[u8], part: usize) -> Block {
        let d = half_at(block, 108);
        let mut values = [0i8; 32];
        for ((value, third), byte) in values.iter_mut().zip(block).zip(&block[32 + part / 4 * 32..]) {
            *value = (byte >> (part % 4 * 2) & 3 | (third >> part & 1) << 2).cast_signed();
        }
        let scales = [0, 1].map(|side| d * f32::from(scale(&block[96..108], 2 * part + side)));
        Block { values, scales, minima: scales.map(|scale| 4.0 * scale) }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[108..110], lane, unit);
        for index in 0..16 {
            unit[32 + 16 * index + lane] = scale(&block[96..108], index).cast_unsigned();
        }
        put_words(&block[..96], lane, &mut unit[HEAD..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let words = |word: usize| L::words(unit.add(HEAD + 64 * word), rows);
            let low = words(8 + part / 4 * 8 + four).right(part % 4 * 2).and(L::splat(3));
            low.or(one_bit(words(four), part, 2))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, part: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe {
            let d = L::halves(unit, rows);
            let of = |side: usize| L::multiply(d, L::signed(unit.add(32 + 16 * (2 * part + side)), rows));
            Scales { scales: [of(0), of(1)], minima: [L::zero(); 2] }
        }
    }
}
