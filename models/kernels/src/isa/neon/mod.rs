//! The kernels for 64-bit ARM: plain NEON (which every such processor has), the byte products `sdot` (dotprod: Cortex-A55, A76
//! and later), and the byte matrices `smmla` (i8mm). The three share everything but the one step in which bytes are
//! multiplied; that step is written as instructions where the intrinsics are not stable yet.
//!
//! Unlike on x86, both sides are signed bytes: weights are unpacked with their zero point taken off.
#![allow(clippy::needless_range_loop)]

pub(crate) mod attention;
mod floats;
mod panel;
pub(crate) mod rows;
mod strips;

use std::arch::aarch64::*;
use std::arch::asm;

use crate::activations::Row;
use crate::formats::{BlockFormat, Format, Lanes, STRIP_ROWS};
use crate::panel::PanelRows;

/// Rows in a panel.
pub(crate) const ROWS: usize = 4;

/// How bytes are multiplied.
const PLAIN: u8 = 0;
const DOT: u8 = 1;
const MATRIX: u8 = 2;

/// Compiles both kernels with one set of instructions.
macro_rules! kernels {
    ($name:ident, $kind:expr, $features:literal) => {
        pub(crate) mod $name {
            use super::*;

            /// One row of weights times one row of activations.
            ///
            /// # Safety
            /// The processor has these instructions. `weights` is a whole row of `format`, which [`rows::reads`] accepts, as
            /// wide as `x`.
            #[target_feature(enable = $features)]
            pub(crate) unsafe fn dot(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
                // SAFETY: the caller's promise.
                unsafe { rows::dot::<{ $kind }>(format, weights, x) }
            }

            /// Adds four rows of weights times each token's activations to `sums: [tokens, 4]`.
            ///
            /// # Safety
            /// The processor has these instructions. `rows` are whole rows (of a format that the row kernels
            /// read) or a strip of `format` with `columns` weights a row, and
            /// `x` gives rows of activations as wide.
            #[target_feature(enable = $features)]
            pub(crate) unsafe fn multiply_panel<'x>(
                format: Format,
                rows: &PanelRows<'_>,
                columns: usize,
                x: &dyn Fn(usize) -> Row<'x>,
                sums: &mut [f32],
            ) {
                // SAFETY: the caller's promise.
                unsafe { panel::multiply::<{ $kind }>(format, rows, columns, x, sums) }
            }

            /// The dot products of sixteen rows of weights with one row of activations.
            ///
            /// # Safety
            /// The processor has these instructions. `strip` is a whole strip of `format`, as wide as `x`.
            #[target_feature(enable = $features)]
            pub(crate) unsafe fn dot_strip(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
                // SAFETY: the caller's promise.
                unsafe { strips::dot_strip::<{ $kind }>(format, strip, x) }
            }
        }
    };
}

kernels!(plain, PLAIN, "neon");
kernels!(dotprod, DOT, "neon,dotprod");
kernels!(i8mm, MATRIX, "neon,dotprod,i8mm");

/// Four rows of a strip.
impl Lanes for uint8x16_t {
    type Floats = float32x4_t;

    #[inline(always)]
    unsafe fn words(from: *const u8, rows: usize) -> uint8x16_t {
        // SAFETY: the caller has sixteen words.
        unsafe { vld1q_u8(from.add(4 * ROWS * rows)) }
    }
    #[inline(always)]
    unsafe fn splat(byte: u8) -> uint8x16_t {
        // SAFETY: register operations of every 64-bit ARM; so below.
        unsafe { vdupq_n_u8(byte) }
    }
    #[inline(always)]
    unsafe fn and(self, other: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vandq_u8(self, other) }
    }
    #[inline(always)]
    unsafe fn or(self, other: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vorrq_u8(self, other) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: uint8x16_t) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { veorq_u8(self, other) }
    }
    #[inline(always)]
    unsafe fn left(self, bits: usize) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vshlq_u8(self, vdupq_n_s8(bits as i8)) }
    }
    #[inline(always)]
    unsafe fn right(self, bits: usize) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { vshlq_u8(self, vdupq_n_s8(-(bits as i8))) }
    }
    #[inline(always)]
    unsafe fn nibbles(self, upper: bool) -> uint8x16_t {
        // SAFETY: see above.
        unsafe { if upper { vshrq_n_u8::<4>(self) } else { vandq_u8(self, vdupq_n_u8(15)) } }
    }
    #[inline(always)]
    unsafe fn lookup(self, table: &[u8; 16]) -> uint8x16_t {
        // SAFETY: see above; the table has sixteen bytes.
        unsafe { vqtbl1q_u8(vld1q_u8(table.as_ptr()), self) }
    }
    #[inline(always)]
    unsafe fn halves(from: *const u8, rows: usize) -> float32x4_t {
        // SAFETY: the caller has sixteen f16; the conversion is of every 64-bit ARM.
        unsafe {
            let halves = vld1_u16(from.add(2 * ROWS * rows).cast());
            let floats: float32x4_t;
            asm!("fcvtl {o:v}.4s, {i:v}.4h", o = out(vreg) floats, i = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags));
            floats
        }
    }
    #[inline(always)]
    unsafe fn brain_floats(from: *const u8, rows: usize) -> float32x4_t {
        // SAFETY: the caller has sixteen bf16.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.add(2 * ROWS * rows).cast()))) }
    }
    #[inline(always)]
    unsafe fn signed(from: *const u8, rows: usize) -> float32x4_t {
        // SAFETY: the caller has sixteen bytes.
        unsafe {
            let bytes = vreinterpret_s8_u8(four_bytes(from, rows));
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))))
        }
    }
    #[inline(always)]
    unsafe fn unsigned(from: *const u8, rows: usize, shift: u32, mask: u8) -> float32x4_t {
        // SAFETY: the caller has sixteen bytes.
        unsafe {
            let bytes = four_bytes(from, rows);
            let bytes = if shift == 0 { bytes } else { vshl_u8(bytes, vdup_n_s8(-(shift as i8))) };
            let bytes = if mask == 0xff { bytes } else { vand_u8(bytes, vdup_n_u8(mask)) };
            vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))))
        }
    }
    #[inline(always)]
    unsafe fn multiply(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn negative(a: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vnegq_f32(a) }
    }
    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(0.0) }
    }
}

/// The bytes of four rows out of sixteen, in the lower half of a register.
#[inline(always)]
unsafe fn four_bytes(from: *const u8, rows: usize) -> uint8x8_t {
    // SAFETY: the caller has sixteen bytes.
    unsafe { vreinterpret_u8_u32(vdup_n_u32(from.add(ROWS * rows).cast::<u32>().read_unaligned())) }
}

/// The weights of four columns in a quarter of a strip, as signed bytes: less their zero point where that is 128, as they are
/// otherwise.
#[inline(always)]
unsafe fn weights<F: BlockFormat>(unit: *const u8, quarter: usize, part: usize, four: usize) -> int8x16_t {
    const { assert!(F::SIGNED || F::LARGEST <= 127, "a signed byte") };
    // SAFETY: the caller has the unit.
    unsafe {
        vreinterpretq_s8_u8(if F::SIGNED {
            F::signed_weights::<uint8x16_t>(unit, quarter, part, four)
        } else {
            F::weights::<uint8x16_t>(unit, quarter, part, four)
        })
    }
}

/// Adds the products of sixteen bytes each to four lanes.
#[inline(always)]
unsafe fn multiply_bytes<const KIND: u8>(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: register operations; with another kind than `PLAIN`, the caller has `sdot`.
    unsafe {
        if KIND == PLAIN {
            let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
            vpadalq_s16(vpadalq_s16(sums, low), vmull_high_s8(a, b))
        } else {
            let mut sums = sums;
            asm!("sdot {s:v}.4s, {a:v}.16b, {b:v}.16b", s = inout(vreg) sums, a = in(vreg) a, b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags));
            sums
        }
    }
}

/// Two rows of eight bytes (`a`) times two (`b`): lanes are (row of a, row of b) = 00, 01, 10, 11.
#[inline(always)]
unsafe fn multiply_matrices(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: register operations; the caller has `smmla`.
    unsafe {
        asm!("smmla {s:v}.4s, {a:v}.16b, {b:v}.16b", s = inout(vreg) sums, a = in(vreg) a, b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}
