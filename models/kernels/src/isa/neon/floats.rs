//! Products of weights in float formats, which are multiplied with the activations as they are.

use std::arch::aarch64::*;
use std::arch::asm;

use super::ROWS;
use crate::activations::Row;
use crate::formats::{Format, dequantize};

/// Columns in a panel of floats.
const FLOATS: usize = 512;

/// Four weights of a float format from number `index`.
#[inline(always)]
unsafe fn four_floats(format: Format, row: *const u8, index: usize) -> float32x4_t {
    // SAFETY: the caller has four weights from `index`; the conversion is of every 64-bit ARM.
    unsafe {
        match format {
            Format::F32 => vld1q_f32(row.add(4 * index).cast()),
            Format::F16 => {
                let halves = vld1_u16(row.add(2 * index).cast());
                let floats: float32x4_t;
                asm!("fcvtl {o:v}.4s, {i:v}.4h", o = out(vreg) floats, i = in(vreg) halves,
                    options(pure, nomem, nostack, preserves_flags));
                floats
            }
            _ => vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(row.add(2 * index).cast()))),
        }
    }
}

/// One row of weights times one row of activations.
///
/// # Safety
/// `weights` is a whole row of `format`, as wide as `x`.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn dot_floats(format: Format, weights: &[u8], x: &[f32]) -> f32 {
    let whole = x.len() / 4;
    let mut sums = [vdupq_n_f32(0.0); 4];
    for i in 0..whole {
        // SAFETY: both have four numbers from `4 * i`.
        unsafe {
            let weights = four_floats(format, weights.as_ptr(), 4 * i);
            sums[i % 4] = vfmaq_f32(sums[i % 4], weights, vld1q_f32(x.as_ptr().add(4 * i)));
        }
    }
    let mut rest = [0f32; 4];
    let tail = &x[whole * 4..];
    let bytes = format.block_bytes();
    dequantize(format, &weights[whole * 4 * bytes..], &mut rest[..tail.len()]);
    let rest: f32 = rest.iter().zip(tail).map(|(w, x)| w * x).sum();
    vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3]))) + rest
}

/// Four rows at a time, as floats.
///
/// # Safety
/// The rows have `columns` weights of `format`, and so many floats has every row of activations.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn panel_floats<'x>(
    format: Format,
    rows: &[&[u8]; ROWS],
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    let mut panel = [[0f32; FLOATS]; ROWS];
    let bytes = format.block_bytes();
    for first in (0..columns).step_by(FLOATS) {
        let width = (columns - first).min(FLOATS);
        for (row, panel) in rows.iter().zip(&mut panel) {
            let whole = width / 4 * 4;
            for column in (0..whole).step_by(4) {
                // SAFETY: the row has four weights from here, and the panel room.
                unsafe { vst1q_f32(panel[column..].as_mut_ptr(), four_floats(format, row.as_ptr(), first + column)) };
            }
            dequantize(format, &row[(first + whole) * bytes..], &mut panel[whole..width]);
        }
        for (token, sums) in sums.iter_mut().enumerate() {
            let x = &x(token).floats[first..first + width];
            let mut totals = [[vdupq_n_f32(0.0); 2]; ROWS];
            for (index, of_x) in x.as_chunks::<8>().0.iter().enumerate() {
                for r in 0..ROWS {
                    for half in 0..2 {
                        // SAFETY: both have eight numbers from `8 * index`.
                        let (weights, of_x) = unsafe {
                            (vld1q_f32(panel[r][8 * index + 4 * half..].as_ptr()), vld1q_f32(of_x[4 * half..].as_ptr()))
                        };
                        totals[r][half] = vfmaq_f32(totals[r][half], weights, of_x);
                    }
                }
            }
            for r in 0..ROWS {
                let rest = x.len() / 8 * 8..x.len();
                let rest: f32 = panel[r][rest.clone()].iter().zip(&x[rest]).map(|(w, x)| w * x).sum();
                sums[r] += vaddvq_f32(vaddq_f32(totals[r][0], totals[r][1])) + rest;
            }
        }
    }
}
