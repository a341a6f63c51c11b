//! Products with many tokens: panels of four rows.

use std::arch::aarch64::*;
use std::mem::MaybeUninit;

use super::floats::panel_floats;
use super::rows::{scales, unpack};
use super::{MATRIX, ROWS, multiply_bytes, multiply_matrices, weights};
use crate::activations::Row;
use crate::formats::{BlockFormat, Format, Scales, with_blocks};
use crate::panel::PanelRows;

/// Tokens that pass over a panel together.
const TOKENS: usize = 4;
/// Blocks of 32 columns in a panel.
const BLOCKS: usize = 64;

/// Four rows, unpacked.
struct Panel {
    /// `[block][16 columns]`: sixteen bytes of each row; for byte matrices, eight columns of rows 0 and 1, the next eight, then
    /// the same of rows 2 and 3.
    values: [[[int8x16_t; ROWS]; 2]; BLOCKS],
    scales: [[float32x4_t; 2]; BLOCKS], // [block][16 columns]: one lane a row
    minima: [[float32x4_t; 2]; BLOCKS], // as the scales, of formats that have them
}

/// Adds four rows of weights times each token's activations to `sums: [tokens, 4]`.
///
/// # Safety
/// The processor has the instructions of this kind. `rows` are whole rows (of a format that the row kernels read) or a strip of
/// `format` with `columns` weights a row, and `x` gives rows of activations as wide.
#[inline(always)]
pub(super) unsafe fn multiply<'x, const KIND: u8>(
    format: Format,
    rows: &PanelRows<'_>,
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [f32],
) {
    let sums = sums.as_chunks_mut::<ROWS>().0;
    // SAFETY: the caller's promises are those of each kernel.
    unsafe {
        if !format.is_quantized() {
            return panel_floats(format, rows.apart(), columns, x, sums);
        }
        match rows {
            PanelRows::InStrips([strip, _], quarter) => with_blocks!(format, F => {
                let fill = |panel: *mut Panel, first: usize, blocks: usize| fill_strip::<F, KIND>(panel, strip, *quarter, first, blocks);
                panel_blocks::<F, KIND>(&fill, columns, x, sums)
            }),
            PanelRows::Apart(_) => with_blocks!(format, F => {
                let rows = rows.apart();
                let fill = |panel: *mut Panel, first: usize, blocks: usize| fill_rows::<KIND>(format, panel, rows, first, blocks);
                panel_blocks::<F, KIND>(&fill, columns, x, sums)
            }),
        }
    }
}

/// Fills a panel with `fill` (from a first block, so many blocks) and passes all tokens over it, as often as the columns need.
#[inline(always)]
unsafe fn panel_blocks<'x, F: BlockFormat, const KIND: u8>(
    fill: &dyn Fn(*mut Panel, usize, usize), // dyn: one copy of the loop below, into which `pass` is inlined
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    let mut panel = MaybeUninit::<Panel>::uninit();
    let blocks = columns / 32;
    for first in (0..blocks).step_by(BLOCKS) {
        let count = (blocks - first).min(BLOCKS);
        fill(panel.as_mut_ptr(), first, count);
        let mut token = 0;
        while token < sums.len() {
            // The last pass may be short: its empty places repeat the last token and are not written.
            let here = (sums.len() - token).min(TOKENS);
            let of_x = std::array::from_fn(|i| x(token + i.min(here - 1)));
            // SAFETY: `fill` wrote what is read here.
            unsafe {
                let sums = &mut sums[token..token + here];
                pass::<KIND>(F::SHARED, F::MINIMA, panel.as_ptr(), first, count, &of_x, sums);
            }
            token += here;
        }
    }
}

/// Writes block `b` of a panel: the bytes of each half of four rows, their scales and minima.
#[inline(always)]
unsafe fn put<const KIND: u8>(
    panel: *mut Panel,
    b: usize,
    halves: [[int8x16_t; ROWS]; 2],
    scales: [float32x4_t; 2],
    minima: [float32x4_t; 2],
) {
    // SAFETY: the caller has room for the block; register operations otherwise.
    unsafe {
        for half in 0..2 {
            let [a, b_, c, d] = halves[half];
            (*panel).values[b][half] = if KIND == MATRIX {
                let zip = |a, b| {
                    let (a, b) = (vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b));
                    (vreinterpretq_s8_s64(vzip1q_s64(a, b)), vreinterpretq_s8_s64(vzip2q_s64(a, b)))
                };
                let ((p, q), (r, s)) = (zip(a, b_), zip(c, d));
                [p, q, r, s]
            } else {
                [a, b_, c, d]
            };
            (*panel).scales[b][half] = scales[half];
            (*panel).minima[b][half] = minima[half];
        }
    }
}

/// Unpacks `blocks` blocks of four rows of the file from block `first`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn fill_rows<const KIND: u8>(
    format: Format,
    panel: *mut Panel,
    rows: &[&[u8]; ROWS],
    first: usize,
    blocks: usize,
) {
    for b in 0..blocks {
        // SAFETY: the caller has these blocks in the rows, and room for them in the panel.
        unsafe {
            let mut halves = [[vdupq_n_s8(0); ROWS]; 2];
            let (mut scales_of, mut minima) = ([[0f32; ROWS]; 2], [0f32; ROWS]);
            for r in 0..ROWS {
                let [low, high] = unpack(format, rows[r].as_ptr(), first + b);
                (halves[0][r], halves[1][r]) = (low, high);
                let (scales, minimum) = scales(format, rows[r], first + b);
                (scales_of[0][r], scales_of[1][r], minima[r]) = (scales[0], scales[1], minimum);
            }
            let scales = [vld1q_f32(scales_of[0].as_ptr()), vld1q_f32(scales_of[1].as_ptr())];
            put::<KIND>(panel, b, halves, scales, [vld1q_f32(minima.as_ptr()); 2]);
        }
    }
}

/// Unpacks `blocks` blocks of a quarter of a strip from block `first`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn fill_strip<F: BlockFormat, const KIND: u8>(
    panel: *mut Panel,
    strip: &[u8],
    quarter: usize,
    first: usize,
    blocks: usize,
) {
    for b in 0..blocks {
        // SAFETY: the caller has these blocks in the strip, and room for them in the panel.
        unsafe {
            let (unit, part) = (strip.as_ptr().add((first + b) / F::PARTS * F::UNIT_BYTES), (first + b) % F::PARTS);
            let Scales { scales, minima } = F::scales::<uint8x16_t>(unit, quarter, part);
            put::<KIND>(panel, b, rows_of_block::<F>(unit, part, quarter), scales, minima);
        }
    }
}

/// The 32 weights of a block of each of four rows, less their zero point, row by row: `[half of the block][row]`.
#[inline(always)]
unsafe fn rows_of_block<F: BlockFormat>(unit: *const u8, part: usize, quarter: usize) -> [[int8x16_t; ROWS]; 2] {
    // SAFETY: the caller has the unit; register operations otherwise.
    unsafe {
        let less = vdupq_n_s8(if F::SIGNED { 0 } else { F::ZERO_POINT.cast_signed() });
        let mut halves = [[vdupq_n_s8(0); ROWS]; 2];
        for half in 0..2 {
            let w = |four: usize| {
                let bytes = vsubq_s8(weights::<F>(unit, quarter, part, 4 * half + four), less);
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

/// For each of four tokens, the four rows' products of one half block or of a whole one (`halves`).
#[inline(always)]
unsafe fn products<const KIND: u8>(
    values: &[[int8x16_t; ROWS]],
    x: [*const i8; TOKENS], // at the first of these columns
) -> [int32x4_t; TOKENS] {
    // SAFETY: the caller's activations have sixteen columns for each of `values`.
    unsafe {
        let mut products = [vdupq_n_s32(0); TOKENS];
        if KIND == MATRIX {
            let mut sums = [[vdupq_n_s32(0); 2]; 2]; // [pair of tokens][pair of rows]
            for (half, [p, q, r, s]) in values.iter().enumerate() {
                for pair in 0..2 {
                    let a = vreinterpretq_s64_s8(vld1q_s8(x[2 * pair].add(16 * half)));
                    let b = vreinterpretq_s64_s8(vld1q_s8(x[2 * pair + 1].add(16 * half)));
                    let (low, high) = (vreinterpretq_s8_s64(vzip1q_s64(a, b)), vreinterpretq_s8_s64(vzip2q_s64(a, b)));
                    let [upper, lower] = sums[pair];
                    sums[pair][0] = multiply_matrices(multiply_matrices(upper, *p, low), *q, high);
                    sums[pair][1] = multiply_matrices(multiply_matrices(lower, *r, low), *s, high);
                }
            }
            for pair in 0..2 {
                let [upper, lower] = sums[pair]; // rows 0 and 1, rows 2 and 3: lanes alternate between the tokens
                products[2 * pair] = vuzp1q_s32(upper, lower);
                products[2 * pair + 1] = vuzp2q_s32(upper, lower);
            }
        } else {
            let mut sums = [[vdupq_n_s32(0); ROWS]; TOKENS];
            for (half, weights) in values.iter().enumerate() {
                for t in 0..TOKENS {
                    let of_x = vld1q_s8(x[t].add(16 * half));
                    for r in 0..ROWS {
                        sums[t][r] = multiply_bytes::<KIND>(sums[t][r], weights[r], of_x);
                    }
                }
            }
            for t in 0..TOKENS {
                let [a, b, c, d] = sums[t];
                products[t] = vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
            }
        }
        products
    }
}

/// Passes four tokens over a filled panel whose first block is block `first` of the row.
#[inline(always)]
unsafe fn pass<const KIND: u8>(
    shared: usize,
    with_minima: bool,
    panel: *const Panel,
    first: usize,
    blocks: usize,
    x: &[Row<'_>; TOKENS],
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's panel is filled so far, and its activations have these blocks.
    unsafe {
        let mut totals = [vdupq_n_f32(0.0); TOKENS];
        for b in 0..blocks {
            let at = x.map(|row| row.values.as_ptr().add(32 * (first + b)));
            let values = &*(&raw const (*panel).values[b]);
            if shared == 16 {
                for half in 0..2 {
                    let products = products::<KIND>(&values[half..=half], at.map(|at| at.add(16 * half)));
                    for t in 0..TOKENS {
                        let scale = vmulq_n_f32((*panel).scales[b][half], x[t].scales[first + b]);
                        totals[t] = vfmaq_f32(totals[t], vcvtq_f32_s32(products[t]), scale);
                    }
                }
            } else {
                let products = products::<KIND>(values, at);
                for t in 0..TOKENS {
                    let scale = vmulq_n_f32((*panel).scales[b][0], x[t].scales[first + b]);
                    totals[t] = vfmaq_f32(totals[t], vcvtq_f32_s32(products[t]), scale);
                }
            }
            if with_minima && shared == 16 {
                for half in 0..2 {
                    for t in 0..TOKENS {
                        let of_x = x[t].sums_16[2 * (first + b) + half];
                        totals[t] = vfmsq_n_f32(totals[t], (*panel).minima[b][half], of_x);
                    }
                }
            } else if with_minima {
                for t in 0..TOKENS {
                    totals[t] = vfmsq_n_f32(totals[t], (*panel).minima[b][0], x[t].sums_32[first + b]);
                }
            }
        }
        for (sums, total) in sums.iter_mut().zip(totals) {
            vst1q_f32(sums.as_mut_ptr(), vaddq_f32(vld1q_f32(sums.as_ptr()), total));
        }
    }
}
