//! Products of rows as they stand in the file, for weights that stay mapped: formats without such kernels are interleaved on
//! the way.

use std::arch::aarch64::*;

use super::floats::dot_floats;
use super::multiply_bytes;
use crate::activations::Row;
use crate::formats::{Format, half_at, scale_and_minimum};

/// Whether rows of this format are multiplied as they stand.
pub(crate) fn reads(format: Format) -> bool {
    match format {
        Format::F32 | Format::F16 | Format::Bf16 => true,
        Format::Q8_0 | Format::Q4_0 | Format::Q5_0 | Format::Q4K | Format::Q5K | Format::Q6K => true,
        Format::Q4_1 | Format::Q5_1 | Format::Q2K | Format::Q3K => false,
        Format::Iq4Nl | Format::Iq4Xs | Format::Mxfp4 => false,
    }
}

/// One row of weights times one row of activations.
///
/// # Safety
/// The processor has the instructions of this kind. `weights` is a whole row of `format`, which [`reads`] accepts, as wide as
/// `x`.
#[inline(always)]
pub(super) unsafe fn dot<const KIND: u8>(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
    // SAFETY: the caller's promises are those of each kernel; a match for each format lets each have a loop of its own.
    unsafe {
        match format {
            Format::F32 | Format::F16 | Format::Bf16 => dot_floats(format, weights, x.floats),
            Format::Q8_0 => dot_blocks::<KIND>(Format::Q8_0, weights, x),
            Format::Q4_0 => dot_blocks::<KIND>(Format::Q4_0, weights, x),
            Format::Q5_0 => dot_blocks::<KIND>(Format::Q5_0, weights, x),
            Format::Q4K => dot_blocks::<KIND>(Format::Q4K, weights, x),
            Format::Q5K => dot_blocks::<KIND>(Format::Q5K, weights, x),
            Format::Q6K => dot_blocks::<KIND>(Format::Q6K, weights, x),
            _ => unreachable!("see `reads`"),
        }
    }
}

#[inline(always)]
unsafe fn dot_blocks<const KIND: u8>(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
    // SAFETY: the row and the activations hold the blocks that are counted here.
    unsafe {
        let mut sums = [vdupq_n_f32(0.0); 2];
        let mut offset = 0.0;
        for (b, x_scale) in x.scales.iter().enumerate() {
            let [w0, w1] = unpack(format, weights.as_ptr(), b);
            let from = x.values.as_ptr().add(32 * b);
            let (x0, x1) = (vld1q_s8(from), vld1q_s8(from.add(16)));
            let ([s0, s1], minimum) = scales(format, weights, b);
            let first = multiply_bytes::<KIND>(vdupq_n_s32(0), w0, x0);
            if format == Format::Q6K {
                let second = multiply_bytes::<KIND>(vdupq_n_s32(0), w1, x1);
                sums[0] = vfmaq_n_f32(sums[0], vcvtq_f32_s32(first), s0 * x_scale);
                sums[1] = vfmaq_n_f32(sums[1], vcvtq_f32_s32(second), s1 * x_scale);
            } else {
                let both = multiply_bytes::<KIND>(first, w1, x1);
                sums[b % 2] = vfmaq_n_f32(sums[b % 2], vcvtq_f32_s32(both), s0 * x_scale);
            }
            offset += minimum * x.sums_32[b];
        }
        vaddvq_f32(vaddq_f32(sums[0], sums[1])) - offset
    }
}

/// The 32 weights of block `b`, less their zero point.
#[inline(always)]
pub(super) unsafe fn unpack(format: Format, row: *const u8, b: usize) -> [int8x16_t; 2] {
    // SAFETY: the caller has block `b` in the row; register operations otherwise.
    unsafe {
        let low = |bytes| vandq_u8(bytes, vdupq_n_u8(15));
        let less = |bytes, zero_point| vsubq_s8(vreinterpretq_s8_u8(bytes), vdupq_n_s8(zero_point));
        match format {
            Format::Q8_0 => {
                let block = row.add(b * 34 + 2).cast();
                [vld1q_s8(block), vld1q_s8(block.add(16))]
            }
            Format::Q4_0 => {
                let packed = vld1q_u8(row.add(b * 18 + 2));
                [less(low(packed), 8), less(vshrq_n_u8::<4>(packed), 8)]
            }
            Format::Q5_0 => {
                let block = row.add(b * 22);
                let packed = vld1q_u8(block.add(6));
                let own = vcombine_u8(vcreate_u8(0x8040_2010_0804_0201), vcreate_u8(0x8040_2010_0804_0201));
                let fifths = |at: usize| {
                    let bits = vcombine_u8(vdup_n_u8(*block.add(2 + at)), vdup_n_u8(*block.add(3 + at)));
                    vandq_u8(vtstq_u8(bits, own), vdupq_n_u8(16))
                };
                [less(vorrq_u8(low(packed), fifths(0)), 16), less(vorrq_u8(vshrq_n_u8::<4>(packed), fifths(2)), 16)]
            }
            Format::Q4K | Format::Q5K => {
                let (block, part) = (row.add(b / 8 * format.block_bytes()), b % 8);
                let from = block.add(if format == Format::Q5K { 48 } else { 16 } + part / 2 * 32);
                let mut halves = [vld1q_u8(from), vld1q_u8(from.add(16))];
                for half in 0..2 {
                    halves[half] = if part % 2 == 1 { vshrq_n_u8::<4>(halves[half]) } else { low(halves[half]) };
                    if format == Format::Q5K {
                        let set = vtstq_u8(vld1q_u8(block.add(16 + 16 * half)), vdupq_n_u8(1 << part));
                        halves[half] = vorrq_u8(halves[half], vandq_u8(set, vdupq_n_u8(16)));
                    }
                }
                [vreinterpretq_s8_u8(halves[0]), vreinterpretq_s8_u8(halves[1])]
            }
            _ => {
                let (block, half, part) = (row.add(b / 8 * 210), b % 8 / 4, b % 4);
                let from = block.add(half * 64 + part % 2 * 32);
                let mut halves = [vdupq_n_s8(0); 2];
                for i in 0..2 {
                    let nibbles = vld1q_u8(from.add(16 * i));
                    let nibbles = if part >= 2 { vshrq_n_u8::<4>(nibbles) } else { low(nibbles) };
                    let high = vld1q_u8(block.add(128 + half * 32 + 16 * i));
                    let high = vandq_u8(vshlq_u8(high, vdupq_n_s8(-2 * part as i8)), vdupq_n_u8(3));
                    halves[i] = less(vorrq_u8(nibbles, vshlq_n_u8::<4>(high)), 32);
                }
                halves
            }
        }
    }
}

/// The scales of the two halves of block `b`, and its minimum.
#[inline(always)]
pub(super) fn scales(format: Format, row: &[u8], b: usize) -> ([f32; 2], f32) {
    match format {
        Format::Q4K | Format::Q5K => {
            let block = &row[b / 8 * format.block_bytes()..];
            let (scale, minimum) = scale_and_minimum(&block[4..16], b % 8);
            ([half_at(block, 0) * f32::from(scale); 2], half_at(block, 2) * f32::from(minimum))
        }
        Format::Q6K => {
            let block = &row[b / 8 * 210..];
            let (d, at) = (half_at(block, 208), 192 + b % 8 * 2);
            ([d * f32::from(block[at] as i8), d * f32::from(block[at + 1] as i8)], 0.0)
        }
        _ => ([half_at(row, b * format.block_bytes()); 2], 0.0),
    }
}
