//! `Q4_K`: 256 weights in 144 bytes: f16 scale and minimum, twelve bytes of eight 6-bit pairs of them, 128 bytes of nibbles;
//! `w = d s q - m t`.
//!
//! Unit: d f16 \[16\], m f16 \[16\], for each of 8 parts scales u8 \[16\] and minima u8 \[16\], 32 words \[16\].

use super::{Block, BlockFormat, Lanes, STRIP_ROWS, Scales, half_at, put_half, put_words};

pub(crate) struct Q4K;

/// Bytes of scales at the head of a unit of `Q4_K` and `Q5_K`.
pub(super) const HEAD: usize = 32 + 32 + 8 * 32;

/// The 6-bit scale and minimum of part `part` from the 12 packed bytes of the 4- and 5-bit K formats.
pub(crate) fn scale_and_minimum(packed: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let (low, scale_high, minimum_high) = (packed[part + 4], packed[part - 4] >> 6, packed[part] >> 6);
        (low & 15 | scale_high << 4, low >> 4 | minimum_high << 4)
    }
}

/// Scale and minimum of a part of a block of the file.
#[inline(always)]
pub(super) fn read_scales(block: &[u8], part: usize) -> (f32, f32) {
    let (scale, minimum) = scale_and_minimum(&block[4..16], part);
    (half_at(block, 0) * f32::from(scale), half_at(block, 2) * f32::from(minimum))
}

/// Writes the scales of a block.
#[inline(always)]
pub(super) fn put_scales(block: &[u8], lane: usize, unit: &mut [u8]) {
    put_half(&block[..2], lane, unit);
    put_half(&block[2..4], lane, &mut unit[32..]);
    for part in 0..8 {
        let (scale, minimum) = scale_and_minimum(&block[4..16], part);
        unit[64 + 32 * part + lane] = scale;
        unit[64 + 32 * part + STRIP_ROWS + lane] = minimum;
    }
}

/// The scales of a part of a unit.
///
/// # Safety
/// As for [`BlockFormat::scales`].
#[inline(always)]
pub(super) unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, part: usize) -> Scales<L::Floats> {
    // SAFETY: the caller's promise.
    unsafe {
        let of = |at: usize| L::unsigned(unit.add(64 + 32 * part + at), rows, 0, 0xff);
        let scale = L::multiply(L::halves(unit, rows), of(0));
        let minimum = L::multiply(L::halves(unit.add(32), rows), of(STRIP_ROWS));
        Scales { scales: [scale; 2], minima: [minimum; 2] }
    }
}

impl BlockFormat for Q4K {
    const WEIGHTS: usize = 256;
    const BYTES: usize = 2 + 2 + 12 + 128;
    const UNIT_BYTES: usize = HEAD + 32 * 64;
    const LARGEST: u8 = 15;
    const ZERO_POINT: u8 = 0;
    const MINIMA: bool = true;

    #[inline(always)]
    fn read(block: &[u8], part: usize) -> Block {
        let (d, m) = read_scales(block, part);
        let mut values = [0i8; 32];
        for (value, byte) in values.iter_mut().zip(&block[16 + part / 2 * 32..]) {
            *value = (byte >> (part % 2 * 4) & 15).cast_signed();
        }
        Block { values, scales: [d; 2], minima: [m; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_scales(block, lane, unit);
        put_words(&block[16..144], lane, &mut unit[HEAD..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, part: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::words(unit.add(HEAD + 64 * (part / 2 * 8 + four)), rows).nibbles(part % 2 == 1) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, part: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe { scales::<L>(unit, rows, part) }
    }
}
