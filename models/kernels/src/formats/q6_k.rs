//! `Q6_K`: 256 weights in 210 bytes: 128 bytes of nibbles, 64 bytes of upper bits (two for each weight), sixteen 8-bit scales,
//! an f16 scale; `w = d s (q - 32)`.
//!
//! Unit: d f16 \[16\], 32 bytes unused, for each of 8 parts two scales i8 \[16\], and for each half of the columns 8 words of
//! nibbles \[16\], 8 words of upper bits \[16\] and 8 words of nibbles \[16\]: the order in which the parts need them, as memory is
//! read at a quarter of its speed where two streams take turns.

use super::{Block, BlockFormat, Lanes, Scales, half_at, put_half, put_words};

pub(crate) struct Q6K;

/// Bytes of scales at the head of a unit.
const HEAD: usize = 64 + 16 * 16;

impl BlockFormat for Q6K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 128 + 64 + 16 + 2;
    const UNIT_BYTES: usize = HEAD + 48 * 64;
    const LARGEST: u8 = 63;
    const ZERO_POINT: u8 = 32;
    const SHARED: usize = 16;

    #[inline(always)]
    fn read(block: &[u8], part: usize) -> Block {
        let (half, part) = (part / 4, part % 4);
        let (low, high) = (&block[half * 64 + part % 2 * 32..], &block[128 + half * 32..]);
        let eights = &block[192 + half * 8 + part * 2..];
        let d = half_at(block, 208);
        let mut values = [0i8; 32];
        for ((value, low), high) in values.iter_mut().zip(low).zip(high) {
            *value = (low >> (part / 2 * 4) & 15 | (high >> (2 * part) & 3) << 4).cast_signed();
        }
        let scales = [d * f32::from(eights[0].cast_signed()), d * f32::from(eights[1].cast_signed())];
        Block { values, scales, minima: scales.map(|scale| 32.0 * scale) }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[208..210], lane, unit);
        for (scale, byte) in block[192..208].iter().enumerate() {
            unit[64 + 16 * scale + lane] = *byte;
        }
        for half in 0..2 {
            let (low, high) = (&block[64 * half..][..64], &block[128 + 32 * half..][..32]);
            for (place, bytes) in [&low[..32], high, &low[32..]].into_iter().enumerate() {
                put_words(bytes, lane, &mut unit[HEAD + 64 * (24 * half + 8 * place)..]);
            }
        }
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let (half, part) = (part / 4, part % 4);
            let words = |word: usize| L::words(unit.add(HEAD + 64 * (24 * half + word)), rows);
            let low = words(part % 2 * 16 + four).nibbles(part >= 2);
            let high = words(8 + four);
            // The two bits of this part, moved to bits 4 and 5.
            let high = if part <= 2 { high.left(4 - 2 * part) } else { high.right(2) };
            low.or(high.and(L::splat(0x30)))
        }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, part: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe {
            let d = L::halves(unit, rows);
            let of = |side: usize| L::multiply(d, L::signed(unit.add(64 + 16 * (2 * part + side)), rows));
            Scales { scales: [of(0), of(1)], minima: [L::zero(); 2] }
        }
    }
}
