//! Products of strips with one token: a register holds four columns of four rows, a quarter of a strip.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{PLAIN, ROWS, weights};
use crate::activations::Row;
use crate::formats::{BlockFormat, Format, STRIP_ROWS, Scales, with_blocks};

/// Quarters in a strip.
const QUARTERS: usize = STRIP_ROWS / ROWS;

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

/// The products of sixteen columns of four rows, added to a lane a row. `small` says that no weight is above 63.
#[inline(always)]
unsafe fn sixteen_columns<const KIND: u8>(
    small: bool,
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
        let together = if small { 4 } else { 2 };
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
    // SAFETY: the caller's promises are those of the kernel.
    unsafe { with_blocks!(format, F => dot_units::<F, KIND>(strip, x)) }
}

/// # Safety
/// As for [`dot_strip`].
#[inline(always)]
unsafe fn dot_units<F: BlockFormat, const KIND: u8>(strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    // SAFETY: the strip holds a unit for each `PARTS` blocks of the activations.
    unsafe {
        let zero_point = if F::SIGNED { 0.0 } else { f32::from(F::ZERO_POINT) };
        let small = !F::SIGNED;
        let mut totals = [vdupq_n_f32(0.0); QUARTERS];
        for index in 0..x.scales.len() / F::PARTS {
            let unit = strip.as_ptr().add(index * F::UNIT_BYTES);
            for part in 0..F::PARTS {
                let at = index * F::PARTS + part;
                let from = x.values.as_ptr().add(32 * at);
                let of_x = [vld1q_s8(from), vld1q_s8(from.add(16))];
                for quarter in 0..QUARTERS {
                    let w = |four: usize| weights::<F>(unit, quarter, part, four);
                    let zero = vdupq_n_s32(0);
                    let first = sixteen_columns::<KIND>(small, zero, [w(0), w(1), w(2), w(3)], of_x[0]);
                    let begin = if F::SHARED == 16 { zero } else { first };
                    let second = sixteen_columns::<KIND>(small, begin, [w(4), w(5), w(6), w(7)], of_x[1]);
                    let Scales { scales, minima } = F::scales::<uint8x16_t>(unit, quarter, part);
                    let total = &mut totals[quarter];
                    if F::SHARED == 16 {
                        for (side, sum) in [first, second].into_iter().enumerate() {
                            let mut sum = vmulq_n_f32(vcvtq_f32_s32(sum), x.scales[at]);
                            let of_x = x.sums_16[2 * at + side];
                            if zero_point != 0.0 {
                                sum = vsubq_f32(sum, vdupq_n_f32(zero_point * of_x));
                            }
                            *total = vfmaq_f32(*total, sum, scales[side]);
                            if F::MINIMA {
                                *total = vfmsq_n_f32(*total, minima[side], of_x);
                            }
                        }
                    } else {
                        let mut sum = vmulq_n_f32(vcvtq_f32_s32(second), x.scales[at]);
                        if zero_point != 0.0 {
                            sum = vsubq_f32(sum, vdupq_n_f32(zero_point * x.sums_32[at]));
                        }
                        *total = vfmaq_f32(*total, sum, scales[0]);
                        if F::MINIMA {
                            *total = vfmsq_n_f32(*total, minima[0], x.sums_32[at]);
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
