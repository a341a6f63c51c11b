//! The kernels for 64-bit ARM: plain NEON (which every such processor has), the byte products `sdot` (dotprod: Cortex-A55, A76
//! and later), and the byte matrices `smmla` (i8mm). The three share everything but the one step in which bytes are
//! multiplied; that step is written as instructions where the intrinsics are not stable yet.
//!
//! Unlike on x86, both sides are signed bytes: weights are unpacked with their zero point taken off.
#![allow(clippy::needless_range_loop)]

mod strips;

use std::arch::aarch64::*;
use std::arch::asm;
use std::mem::MaybeUninit;

use crate::activations::Row;
use crate::format::Format;
use crate::panel::PanelRows;
use crate::scalar::{half_at, scale_and_minimum};
use crate::strips::{STRIP_ROWS, unit_bytes, unit_columns};

/// Rows in a panel.
pub(crate) const ROWS: usize = 4;

/// How bytes are multiplied.
const PLAIN: u8 = 0;
const DOT: u8 = 1;
const MATRIX: u8 = 2;

/// Tokens that pass over a panel together.
const TOKENS: usize = 4;
/// Blocks of 32 columns in a panel.
const BLOCKS: usize = 64;
/// Columns in a panel of floats.
const FLOATS: usize = 512;

/// Compiles both kernels with one set of instructions.
macro_rules! kernels {
    ($name:ident, $kind:expr, $features:literal) => {
        pub(crate) mod $name {
            use super::*;

            /// One row of weights times one row of activations.
            ///
            /// # Safety
            /// The processor has these instructions. `weights` is a whole row of `format`, as wide as `x`.
            #[target_feature(enable = $features)]
            pub(crate) unsafe fn dot(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
                // SAFETY: the caller's promise.
                unsafe { dot_row::<{ $kind }>(format, weights, x) }
            }

            /// Adds four rows of weights times each token's activations to `sums: [tokens][4]`.
            ///
            /// # Safety
            /// The processor has these instructions. `rows` are whole rows or a strip of `format` with `columns` weights a row, and
            /// `x` gives rows of activations as wide.
            #[target_feature(enable = $features)]
            pub(crate) unsafe fn multiply_panel<'x>(
                format: Format,
                rows: &PanelRows<'_, ROWS>,
                columns: usize,
                x: &dyn Fn(usize) -> Row<'x>,
                sums: &mut [[f32; ROWS]],
            ) {
                // SAFETY: the caller's promise.
                unsafe {
                    if format.is_quantized() {
                        panel_blocks::<{ $kind }>(format, rows, columns, x, sums);
                    } else {
                        panel_floats(format, rows.apart(), columns, x, sums);
                    }
                }
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

/// The 32 weights of block `b`, less their zero point.
#[inline(always)]
unsafe fn unpack(format: Format, row: *const u8, b: usize) -> [int8x16_t; 2] {
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
fn scales(format: Format, row: &[u8], b: usize) -> ([f32; 2], f32) {
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

/// # Safety
/// As for the `dot` of this kind.
#[inline(always)]
unsafe fn dot_row<const KIND: u8>(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
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

#[inline]
#[target_feature(enable = "neon")]
unsafe fn dot_floats(format: Format, weights: &[u8], x: &[f32]) -> f32 {
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
    crate::scalar::dequantize(format, &weights[whole * 4 * bytes..], &mut rest[..tail.len()]);
    let rest: f32 = rest.iter().zip(tail).map(|(w, x)| w * x).sum();
    vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3]))) + rest
}

/// Four rows, unpacked.
struct Panel {
    /// `[block][16 columns]`: sixteen bytes of each row; for byte matrices, eight columns of rows 0 and 1, the next eight, then
    /// the same of rows 2 and 3.
    values: [[[int8x16_t; ROWS]; 2]; BLOCKS],
    scales: [[float32x4_t; 2]; BLOCKS], // [block][16 columns]: one lane a row
    minima: [float32x4_t; BLOCKS],
}

#[inline(always)]
unsafe fn panel_blocks<'x, const KIND: u8>(
    format: Format,
    rows: &PanelRows<'_, ROWS>,
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    let mut panel = MaybeUninit::<Panel>::uninit();
    let blocks = columns / 32;
    for first in (0..blocks).step_by(BLOCKS) {
        let count = (blocks - first).min(BLOCKS);
        // SAFETY: the rows hold these blocks; `fill` writes what `pass` reads.
        unsafe {
            match format {
                Format::Q8_0 => fill::<KIND>(Format::Q8_0, panel.as_mut_ptr(), rows, first, count),
                Format::Q4_0 => fill::<KIND>(Format::Q4_0, panel.as_mut_ptr(), rows, first, count),
                Format::Q4K => fill::<KIND>(Format::Q4K, panel.as_mut_ptr(), rows, first, count),
                _ => fill::<KIND>(format, panel.as_mut_ptr(), rows, first, count),
            }
            let mut token = 0;
            while token < sums.len() {
                // The last pass may be short: its empty places repeat the last token and are not written.
                let here = (sums.len() - token).min(TOKENS);
                let of_x = std::array::from_fn(|i| x(token + i.min(here - 1)));
                pass::<KIND>(format, panel.as_ptr(), first, count, &of_x, &mut sums[token..token + here]);
                token += here;
            }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
unsafe fn fill<const KIND: u8>(
    format: Format,
    panel: *mut Panel,
    rows: &PanelRows<'_, ROWS>,
    first: usize,
    blocks: usize,
) {
    for b in 0..blocks {
        // SAFETY: the caller has these blocks in the rows, and room for them in the panel.
        unsafe {
            let (mut halves, mut of_scales) = ([[vdupq_n_s8(0); ROWS]; 2], [vdupq_n_f32(0.0); 2]);
            let of_minima;
            match rows {
                PanelRows::Apart(rows) => {
                    let (mut scales_of, mut minima) = ([[0f32; ROWS]; 2], [0f32; ROWS]);
                    for r in 0..ROWS {
                        let [low, high] = unpack(format, rows[r].as_ptr(), first + b);
                        (halves[0][r], halves[1][r]) = (low, high);
                        let (scales, minimum) = scales(format, rows[r], first + b);
                        (scales_of[0][r], scales_of[1][r], minima[r]) = (scales[0], scales[1], minimum);
                    }
                    for half in 0..2 {
                        of_scales[half] = vld1q_f32(scales_of[half].as_ptr());
                    }
                    of_minima = vld1q_f32(minima.as_ptr());
                }
                PanelRows::InStrips([strip, _], quarter) => {
                    let per_unit = unit_columns(format).unwrap_or(32) / 32;
                    let unit = strip.as_ptr().add((first + b) / per_unit * unit_bytes(format));
                    halves = strips::rows_of_block(format, unit, (first + b) % per_unit, *quarter);
                    (of_scales, of_minima) = strips::scales(format, unit, (first + b) % per_unit, *quarter);
                }
            }
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
                (*panel).scales[b][half] = of_scales[half];
            }
            (*panel).minima[b] = of_minima;
        }
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

#[inline(always)]
unsafe fn pass<const KIND: u8>(
    format: Format,
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
            if format == Format::Q6K {
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
            if matches!(format, Format::Q4K | Format::Q5K) {
                for t in 0..TOKENS {
                    totals[t] = vfmsq_n_f32(totals[t], (*panel).minima[b], x[t].sums_32[first + b]);
                }
            }
        }
        for (sums, total) in sums.iter_mut().zip(totals) {
            vst1q_f32(sums.as_mut_ptr(), vaddq_f32(vld1q_f32(sums.as_ptr()), total));
        }
    }
}

/// Four rows at a time, as floats.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn panel_floats<'x>(
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
            crate::scalar::dequantize(format, &row[(first + whole) * bytes..], &mut panel[whole..width]);
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
