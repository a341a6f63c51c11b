//! `MXFP4` (OCP Microscaling Formats, 2023): 32 weights in 17 bytes: the exponent of a power of two and 16 bytes of nibbles, the
//! lower ones first, which are floats of one sign, two exponent and one mantissa bit.
//!
//! These floats are kept doubled, as integers from -12 to 12, and the scale is halved, as ggml does.
//!
//! Unit: scales bf16 \[16\], which hold every power of two that the exponent can say, 4 words \[16\].

use half::bf16;

use super::{Block, BlockFormat, Lanes, Scales, put_half, put_words, split_nibbles};

pub(crate) struct Mxfp4;

/// Twice the value of each four-bit float.
const TABLE: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// The values with the zero point added.
const UNSIGNED: [u8; 16] = {
    let mut bytes = [0; 16];
    let mut i = 0;
    while i < 16 {
        bytes[i] = (TABLE[i] + Mxfp4::ZERO_POINT.cast_signed()).cast_unsigned();
        i += 1;
    }
    bytes
};

/// Half of two to the power of `exponent - 127`, as the upper half of a float.
fn half_scale(exponent: u8) -> u16 {
    match exponent {
        0 | 1 => 0x0020 << exponent, // below the smallest normal number
        _ => u16::from(exponent - 1) << 7,
    }
}

impl BlockFormat for Mxfp4 {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 1 + 16;
    const UNIT_BYTES: usize = 32 + 4 * 64;
    const LARGEST: u8 = 24;
    const ZERO_POINT: u8 = 12;

    #[inline(always)]
    fn read(block: &[u8], _: usize) -> Block {
        let d = bf16::from_bits(half_scale(block[0])).to_f32();
        let values = split_nibbles(&block[1..]).map(|nibble| TABLE[usize::from(nibble.cast_unsigned())] + 12);
        Block { values, scales: [d; 2], minima: [12.0 * d; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&half_scale(block[0]).to_le_bytes(), lane, unit);
        put_words(&block[1..17], lane, &mut unit[32..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, _: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::words(unit.add(32 + 64 * (four % 4)), rows).nibbles(four >= 4).lookup(&UNSIGNED) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, _: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe { Scales { scales: [L::brain_floats(unit, rows); 2], minima: [L::zero(); 2] } }
    }
}
