//! `Q2_K`: 256 weights in 84 bytes: sixteen bytes of a 4-bit scale and a 4-bit minimum, 64 bytes of 2-bit values, an f16 scale
//! and an f16 minimum; `w = d s q - m t`. Part `p` of a half of the block (128 weights) has bits `2 p` and `2 p + 1` of its 32
//! bytes.
//!
//! Unit: d f16 \[16\], m f16 \[16\], for each of 8 parts two bytes of scale and minimum u8 \[16\], 16 words \[16\].

use super::{Block, BlockFormat, Lanes, Scales, half_at, put_half, put_words};

pub(crate) struct Q2K;

/// Bytes of scales at the head of a unit.
const HEAD: usize = 64 + 16 * 16;

impl BlockFormat for Q2K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 16 + 64 + 2 + 2;
    const UNIT_BYTES: usize = HEAD + 16 * 64;
    const LARGEST: u8 = 3;
    const ZERO_POINT: u8 = 0;
    const MINIMA: bool = true;
    const SHARED: usize = 16;

    #[inline(always)]
    fn read(block: &[u8], part: usize) -> Block {
        let (d, m) = (half_at(block, 80), half_at(block, 82));
        let mut values = [0i8; 32];
        for (value, byte) in values.iter_mut().zip(&block[16 + part / 4 * 32..]) {
            *value = (byte >> (part % 4 * 2) & 3).cast_signed();
        }
        let both = [block[2 * part], block[2 * part + 1]];
        Block {
            values,
            scales: both.map(|both| d * f32::from(both & 15)),
            minima: both.map(|both| m * f32::from(both >> 4)),
        }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[80..82], lane, unit);
        put_half(&block[82..84], lane, &mut unit[32..]);
        for (index, byte) in block[..16].iter().enumerate() {
            unit[64 + 16 * index + lane] = *byte;
        }
        put_words(&block[16..80], lane, &mut unit[HEAD..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let words = L::words(unit.add(HEAD + 64 * (part / 4 * 8 + four)), rows);
            words.right(part % 4 * 2).and(L::splat(3))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, part: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe {
            let (d, m) = (L::halves(unit, rows), L::halves(unit.add(32), rows));
            let of = |side: usize, shift| L::unsigned(unit.add(64 + 16 * (2 * part + side)), rows, shift, 15);
            Scales {
                scales: [L::multiply(d, of(0, 0)), L::multiply(d, of(1, 0))],
                minima: [L::multiply(m, of(0, 4)), L::multiply(m, of(1, 4))],
            }
        }
    }
}
