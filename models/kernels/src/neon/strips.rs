//! Strips (see `crate::strips`) with NEON: a register holds four columns of four rows, a quarter of a strip.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{PLAIN, ROWS};
use crate::activations::Row;
use crate::format::Format;
use crate::strips::{K_HEAD, STRIP_ROWS, unit_bytes, unit_columns};

/// Quarters in a strip.
const QUARTERS: usize = STRIP_ROWS / ROWS;

/// Blocks of 32 columns in a unit that share words.
pub(super) const fn parts(format: Format) -> usize {
    match format {
        Format::Q4K | Format::Q5K => 2,
        Format::Q6K => 4,
        _ => 1,
    }
}

/// What is taken off each weight that [`weights`] gives.
pub(super) const fn zero_point(format: Format) -> i8 {
    match format {
        Format::Q4_0 => 8,
        Format::Q6K => 32,
        _ => 0,
    }
}

/// The weights of columns `4 * four..` of block `part` of the parts of a group, in a quarter of a strip, with their zero point.
#[inline(always)]
pub(super) unsafe fn weights(
    format: Format,
    unit: *const u8,
    group: usize,
    part: usize,
    four: usize,
    quarter: usize,
) -> int8x16_t {
    // SAFETY: the caller has the unit; register operations otherwise.
    unsafe {
        let from = unit.add(16 * quarter);
        let words = |word: usize| vld1q_u8(from.add(K_HEAD + 64 * word));
        let first = |word: usize| vld1q_u8(from.add(32 + 64 * word));
        let nibbles = |bytes: uint8x16_t, upper: bool| {
            if upper { vshrq_n_u8::<4>(bytes) } else { vandq_u8(bytes, vdupq_n_u8(15)) }
        };
        let bytes = match format {
            Format::Q4_0 => nibbles(first(four % 4), four >= 4),
            Format::Q8_0 => veorq_u8(first(four), vdupq_n_u8(0x80)),
            Format::Q4K => nibbles(words(8 * group + four), part == 1),
            Format::Q5K => {
                let set = vtstq_u8(words(four), vdupq_n_u8(1 << (2 * group + part)));
                let nibbles = nibbles(words(8 + 8 * group + four), part == 1);
                vorrq_u8(nibbles, vandq_u8(set, vdupq_n_u8(16)))
            }
            _ => {
                let nibbles = nibbles(words(16 * group + part % 2 * 8 + four), part >= 2);
                let upper = words(32 + 8 * group + four);
                let upper = match part {
                    0 => vshlq_n_u8::<4>(upper),
                    1 => vshlq_n_u8::<2>(upper),
                    2 => upper,
                    _ => vshrq_n_u8::<2>(upper),
                };
                vorrq_u8(nibbles, vandq_u8(upper, vdupq_n_u8(0x30)))
            }
        };
        vreinterpretq_s8_u8(bytes)
    }
}

/// The scales of a block in a quarter of a strip (the second only where 16 weights share one), and its minima.
#[inline(always)]
pub(super) unsafe fn scales(
    format: Format,
    unit: *const u8,
    block: usize,
    quarter: usize,
) -> ([float32x4_t; 2], float32x4_t) {
    // SAFETY: the caller has the unit; the conversion is of every 64-bit ARM.
    unsafe {
        let halves = |from: usize| {
            let halves = vld1_u16(unit.add(from + 2 * ROWS * quarter).cast());
            let floats: float32x4_t;
            asm!("fcvtl {o:v}.4s, {i:v}.4h", o = out(vreg) floats, i = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags));
            floats
        };
        // Four bytes in the lower half of a register.
        let bytes = |from: usize| {
            vreinterpret_u8_u32(vdup_n_u32(unit.add(from + ROWS * quarter).cast::<u32>().read_unaligned()))
        };
        match format {
            Format::Q4K | Format::Q5K => {
                let of = |at: usize| vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes(64 + 32 * block + at)))));
                ([vmulq_f32(halves(0), of(0)); 2], vmulq_f32(halves(32), of(STRIP_ROWS)))
            }
            Format::Q6K => {
                let of = |side: usize| {
                    let bytes = vreinterpret_s8_u8(bytes(64 + 16 * (2 * block + side)));
                    vmulq_f32(halves(0), vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes)))))
                };
                ([of(0), of(1)], vdupq_n_f32(0.0))
            }
            _ => ([halves(0); 2], vdupq_n_f32(0.0)),
        }
    }
}

/// Four rows of four weights each times the four activations from `4 * LANE` of `x`, added to a lane a row.
#[inline(always)]
unsafe fn multiply_lane<const LANE: usize>(sums: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: register operations; the caller has `sdot`.
    unsafe {
        asm!("sdot {s:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]", s = inout(vreg) sums, w = in(vreg) w, x = in(vreg) x,
            lane = const LANE, options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// The products of sixteen columns of four rows, added to a lane a row.
#[inline(always)]
unsafe fn sixteen_columns<const KIND: u8>(
    format: Format,
    sums: int32x4_t,
    weights: [int8x16_t; 4],
    x: int8x16_t,
) -> int32x4_t {
    // SAFETY: register operations; with another kind than `PLAIN`, the caller has `sdot`.
    unsafe {
        let [a, b, c, d] = weights;
        if KIND != PLAIN {
            let sums = multiply_lane::<1>(multiply_lane::<0>(sums, a, x), b, x);
            return multiply_lane::<3>(multiply_lane::<2>(sums, c, x), d, x);
        }
        let words = vreinterpretq_s32_s8(x);
        let of_x = [
            vreinterpretq_s8_s32(vdupq_laneq_s32::<0>(words)),
            vreinterpretq_s8_s32(vdupq_laneq_s32::<1>(words)),
            vreinterpretq_s8_s32(vdupq_laneq_s32::<2>(words)),
            vreinterpretq_s8_s32(vdupq_laneq_s32::<3>(words)),
        ];
        // 4 * 63 * 127 = 32004 and 2 * 127 * 127 = 32258 fit 16 bits, with a lane a row and column.
        let mut pairs = [vdupq_n_s32(0); 2];
        let together = if matches!(format, Format::Q8_0) { 2 } else { 4 };
        for first in (0..4).step_by(together) {
            let mut lanes = [vdupq_n_s16(0); 2];
            for four in first..first + together {
                lanes[0] = vmlal_s8(lanes[0], vget_low_s8(weights[four]), vget_low_s8(of_x[four]));
                lanes[1] = vmlal_high_s8(lanes[1], weights[four], of_x[four]);
            }
            pairs = [vpadalq_s16(pairs[0], lanes[0]), vpadalq_s16(pairs[1], lanes[1])];
        }
        vaddq_s32(sums, vpaddq_s32(pairs[0], pairs[1]))
    }
}

/// The dot products of sixteen rows of weights with one row of activations.
///
/// # Safety
/// The processor has the instructions of this kind. `strip` is a whole strip of `format`, as wide as `x`.
#[inline(always)]
pub(super) unsafe fn dot_strip<const KIND: u8>(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    // SAFETY: the caller's promises are those of the kernel; a match for each format lets each have a loop of its own.
    unsafe {
        match format {
            Format::Q4_0 => dot_units::<KIND>(Format::Q4_0, strip, x),
            Format::Q8_0 => dot_units::<KIND>(Format::Q8_0, strip, x),
            Format::Q4K => dot_units::<KIND>(Format::Q4K, strip, x),
            Format::Q5K => dot_units::<KIND>(Format::Q5K, strip, x),
            Format::Q6K => dot_units::<KIND>(Format::Q6K, strip, x),
            _ => unreachable!("this format has no strips"),
        }
    }
}

/// # Safety
/// As for [`dot_strip`].
#[inline(always)]
unsafe fn dot_units<const KIND: u8>(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    let blocks = unit_columns(format).unwrap_or(32) / 32;
    let parts = parts(format);
    // SAFETY: the strip holds a unit for each `blocks` blocks of the activations.
    unsafe {
        let mut totals = [vdupq_n_f32(0.0); QUARTERS];
        for index in 0..x.scales.len() / blocks {
            let unit = strip.as_ptr().add(index * unit_bytes(format));
            for group in 0..blocks / parts {
                for part in 0..parts {
                    let block = group * parts + part;
                    let at = index * blocks + block;
                    let from = x.values.as_ptr().add(32 * at);
                    let of_x = [vld1q_s8(from), vld1q_s8(from.add(16))];
                    for quarter in 0..QUARTERS {
                        let w = |four: usize| weights(format, unit, group, part, four, quarter);
                        let zero = vdupq_n_s32(0);
                        let first = sixteen_columns::<KIND>(format, zero, [w(0), w(1), w(2), w(3)], of_x[0]);
                        let begin = if format == Format::Q6K { zero } else { first };
                        let second = sixteen_columns::<KIND>(format, begin, [w(4), w(5), w(6), w(7)], of_x[1]);
                        let (scales, minima) = scales(format, unit, block, quarter);
                        let total = &mut totals[quarter];
                        let zero_point = f32::from(zero_point(format));
                        if format == Format::Q6K {
                            for (side, sum) in [first, second].into_iter().enumerate() {
                                let sum = vmulq_n_f32(vcvtq_f32_s32(sum), x.scales[at]);
                                let sum = vsubq_f32(sum, vdupq_n_f32(zero_point * x.sums_16[2 * at + side]));
                                *total = vfmaq_f32(*total, sum, scales[side]);
                            }
                        } else {
                            let sum = vmulq_n_f32(vcvtq_f32_s32(second), x.scales[at]);
                            let sum = match format {
                                Format::Q4_0 => vsubq_f32(sum, vdupq_n_f32(zero_point * x.sums_32[at])),
                                _ => sum,
                            };
                            *total = vfmaq_f32(*total, sum, scales[0]);
                            if matches!(format, Format::Q4K | Format::Q5K) {
                                *total = vfmsq_n_f32(*total, minima, x.sums_32[at]);
                            }
                        }
                    }
                }
            }
        }
        let mut out = [0f32; STRIP_ROWS];
        for quarter in 0..QUARTERS {
            vst1q_f32(out[ROWS * quarter..].as_mut_ptr(), totals[quarter]);
        }
        out
    }
}

/// The 32 weights of a block of each of four rows, less their zero point, row by row: `[half of the block][row]`.
#[inline(always)]
pub(super) unsafe fn rows_of_block(
    format: Format,
    unit: *const u8,
    block: usize,
    quarter: usize,
) -> [[int8x16_t; ROWS]; 2] {
    let (group, part) = (block / parts(format), block % parts(format));
    // SAFETY: the caller has the unit; register operations otherwise.
    unsafe {
        let less = vdupq_n_s8(zero_point(format));
        let mut halves = [[vdupq_n_s8(0); ROWS]; 2];
        for half in 0..2 {
            let w = |four: usize| {
                let bytes = vsubq_s8(weights(format, unit, group, part, 4 * half + four, quarter), less);
                vreinterpretq_s32_s8(bytes)
            };
            // Words are [four columns][row]; transposed they are [row][four columns].
            let (a, b, c, d) = (w(0), w(1), w(2), w(3));
            let (ab, cd) = ((vtrn1q_s32(a, b), vtrn2q_s32(a, b)), (vtrn1q_s32(c, d), vtrn2q_s32(c, d)));
            let (ab0, ab1) = (vreinterpretq_s64_s32(ab.0), vreinterpretq_s64_s32(ab.1));
            let (cd0, cd1) = (vreinterpretq_s64_s32(cd.0), vreinterpretq_s64_s32(cd.1));
            halves[half] = [
                vreinterpretq_s8_s64(vtrn1q_s64(ab0, cd0)),
                vreinterpretq_s8_s64(vtrn1q_s64(ab1, cd1)),
                vreinterpretq_s8_s64(vtrn2q_s64(ab0, cd0)),
                vreinterpretq_s8_s64(vtrn2q_s64(ab1, cd1)),
            ];
        }
        halves
    }
}
