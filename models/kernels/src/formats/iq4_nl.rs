//! `IQ4_NL`: 32 weights in 18 bytes: an f16 scale and 16 bytes of nibbles, the lower ones first, which index a table of values
//! that lie closer together near zero; `w = d table[q]`.
//!
//! Unit: scales f16 \[16\], 4 words \[16\].

use super::{Block, BlockFormat, Lanes, Scales, half_at, put_half, put_words, split_nibbles};

pub(crate) struct Iq4Nl;

/// The values, as ggml has them (`kvalues_iq4nl`).
const TABLE: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The values as bytes, with what is added to each.
const fn bytes(offset: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut i = 0;
    while i < 16 {
        bytes[i] = TABLE[i].cast_unsigned().wrapping_add(offset);
        i += 1;
    }
    bytes
}

/// Values of the table, unsigned or signed.
///
/// # Safety
/// As for [`BlockFormat::weights`].
#[inline(always)]
pub(super) unsafe fn values<L: Lanes>(words: *const u8, rows: usize, four: usize, signed: bool) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let nibbles = L::words(words.add(64 * (four % 4)), rows).nibbles(four >= 4);
        nibbles.lookup(if signed { const { &bytes(0) } } else { const { &bytes(128) } })
    }
}

/// Sixteen bytes of nibbles as values of the table.
pub(super) fn read_values(nibbles: &[u8]) -> [i8; 32] {
    split_nibbles(nibbles).map(|nibble| TABLE[usize::from(nibble.cast_unsigned())])
}

impl BlockFormat for Iq4Nl {
    const WEIGHTS: usize = 32;
    const BYTES: usize = 2 + 16;
    const UNIT_BYTES: usize = 32 + 4 * 64;
    const LARGEST: u8 = 113 + 128;
    const ZERO_POINT: u8 = 128;

    #[inline(always)]
    fn read(block: &[u8], _: usize) -> Block {
        Block { values: read_values(&block[2..]), scales: [half_at(block, 0); 2], minima: [0.0; 2] }
    }

    #[inline(always)]
    fn pack(block: &[u8], lane: usize, unit: &mut [u8]) {
        put_half(&block[..2], lane, unit);
        put_words(&block[2..18], lane, &mut unit[32..]);
    }

    #[inline(always)]
    unsafe fn weights<L: Lanes>(unit: *const u8, rows: usize, _: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { values(unit.add(32), rows, four, false) }
    }

    #[inline(always)]
    unsafe fn signed_weights<L: Lanes>(unit: *const u8, rows: usize, _: usize, four: usize) -> L {
        // SAFETY: the caller's promise.
        unsafe { values(unit.add(32), rows, four, true) }
    }

    #[inline(always)]
    unsafe fn scales<L: Lanes>(unit: *const u8, rows: usize, _: usize) -> Scales<L::Floats> {
        // SAFETY: the caller's promise.
        unsafe { Scales { scales: [L::halves(unit, rows); 2], minima: [L::zero(); 2] } }
    }
}
