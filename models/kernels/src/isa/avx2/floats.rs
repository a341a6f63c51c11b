//! Products of weights in float formats, which are multiplied with the activations as they are.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::{ROWS, sum, transpose_floats};
use crate::activations::Row;
use crate::formats::{Format, dequantize};

/// Columns in a panel of floats.
const PANEL_FLOATS: usize = 512;
/// Tokens that pass over a panel of floats together.
const FLOAT_TOKENS_AT_ONCE: usize = 8;

/// A float format: how eight weights become eight floats.
pub(crate) trait Floats {
    const FORMAT: Format;

    /// Eight weights from number `index` of the row.
    unsafe fn load(row: *const u8, index: usize) -> __m256;
}

pub(crate) struct F32;
pub(crate) struct F16;
pub(crate) struct Bf16;

impl Floats for F32 {
    const FORMAT: Format = Format::F32;

    #[inline(always)]
    unsafe fn load(row: *const u8, index: usize) -> __m256 {
        // SAFETY: the row has eight weights from `index`.
        unsafe { _mm256_loadu_ps(row.add(4 * index).cast()) }
    }
}

impl Floats for F16 {
    const FORMAT: Format = Format::F16;

    #[inline(always)]
    unsafe fn load(row: *const u8, index: usize) -> __m256 {
        // SAFETY: the row has eight weights from `index`.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(row.add(2 * index).cast())) }
    }
}

impl Floats for Bf16 {
    const FORMAT: Format = Format::Bf16;

    #[inline(always)]
    unsafe fn load(row: *const u8, index: usize) -> __m256 {
        // SAFETY: the row has eight weights from `index`.
        unsafe {
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(row.add(2 * index).cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        }
    }
}

/// Reads the weights beyond the last eight.
pub(crate) fn float_tail(format: Format, row: &[u8], from: usize, out: &mut [f32]) {
    let bytes = format.block_bytes();
    dequantize(format, &row[from * bytes..][..out.len() * bytes], out);
}

/// # Safety
/// The processor has AVX2, FMA and F16C. `weights` is a whole row of the format, as wide as `x`.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn dot_floats<F: Floats>(weights: &[u8], x: &[f32]) -> f32 {
    let whole = x.len() / 8;
    let mut sums = [_mm256_setzero_ps(); 4];
    let at = |i: usize| {
        // SAFETY: `i < whole`, so both have eight numbers from `8 * i`.
        unsafe { (F::load(weights.as_ptr(), 8 * i), _mm256_loadu_ps(x.as_ptr().add(8 * i))) }
    };
    for i in 0..whole / 4 {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let (w, x) = at(4 * i + lane);
            *sum = _mm256_fmadd_ps(w, x, *sum);
        }
    }
    for i in whole / 4 * 4..whole {
        let (w, x) = at(i);
        sums[0] = _mm256_fmadd_ps(w, x, sums[0]);
    }
    let mut rest = [0f32; 8];
    let tail = &x[whole * 8..];
    float_tail(F::FORMAT, weights, whole * 8, &mut rest[..tail.len()]);
    let rest: f32 = rest.iter().zip(tail).map(|(w, x)| w * x).sum();
    // SAFETY: this function has AVX2.
    unsafe { sum(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]))) + rest }
}

/// # Safety
/// As for [`multiply`](super::panel::multiply).
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn panel_floats<'x, F: Floats>(
    rows: &[&[u8]; ROWS],
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    let mut panel = [MaybeUninit::<__m256>::uninit(); PANEL_FLOATS]; // [column]: one lane a row
    let mut first = 0;
    while first < columns {
        let width = (columns - first).min(PANEL_FLOATS);
        let whole = width / 8 * 8;
        for column in (0..whole).step_by(8) {
            // SAFETY: the rows have eight columns from here.
            let lanes = unsafe {
                let mut lanes = [_mm256_setzero_ps(); 8];
                for r in 0..8 {
                    lanes[r] = F::load(rows[r].as_ptr(), first + column);
                }
                transpose_floats(lanes)
            };
            for (place, lanes) in panel[column..].iter_mut().zip(lanes) {
                place.write(lanes);
            }
        }
        if whole < width {
            let mut tails = [[0f32; 8]; ROWS];
            for (row, tail) in rows.iter().zip(&mut tails) {
                float_tail(F::FORMAT, row, first + whole, &mut tail[..width - whole]);
            }
            for column in whole..width {
                let at = |r: usize| tails[r][column - whole];
                panel[column].write(_mm256_setr_ps(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
            }
        }
        let mut token = 0;
        // SAFETY: `width` places of the panel are written, and the activations have these columns.
        unsafe {
            while token + FLOAT_TOKENS_AT_ONCE <= sums.len() {
                pass_floats::<FLOAT_TOKENS_AT_ONCE>(
                    &panel[..width],
                    |i| &x(token + i).floats[first..first + width],
                    &mut sums[token..],
                );
                token += FLOAT_TOKENS_AT_ONCE;
            }
            while token < sums.len() {
                pass_floats::<1>(&panel[..width], |i| &x(token + i).floats[first..first + width], &mut sums[token..]);
                token += 1;
            }
        }
        first += width;
    }
}

/// # Safety
/// Every place of the panel is written, the activations are as wide, and `sums` has `T` rows.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn pass_floats<'x, const T: usize>(
    panel: &[MaybeUninit<__m256>],
    x: impl Fn(usize) -> &'x [f32],
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let x: [*const f32; T] = std::array::from_fn(|t| x(t).as_ptr());
        let mut totals = [_mm256_setzero_ps(); T];
        for t in 0..T {
            totals[t] = _mm256_loadu_ps(sums[t].as_ptr());
        }
        for (column, weights) in panel.iter().enumerate() {
            let weights = weights.assume_init();
            for t in 0..T {
                totals[t] = _mm256_fmadd_ps(weights, _mm256_broadcast_ss(&*x[t].add(column)), totals[t]);
            }
        }
        for t in 0..T {
            _mm256_storeu_ps(sums[t].as_mut_ptr(), totals[t]);
        }
    }
}
