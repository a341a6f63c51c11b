//! Products of weights in float formats, which are multiplied with the activations as they are.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::{ROWS, join};
use crate::activations::Row;
use crate::isa::avx2::floats::{Floats, float_tail};
use crate::isa::avx2::transpose_floats;

/// Columns in a panel of floats.
const PANEL_FLOATS: usize = 128;

/// # Safety
/// As for [`multiply`](super::panel::multiply).
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn panel_floats<'x, F: Floats>(
    rows: &[&[u8]; ROWS],
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    const AT_ONCE: usize = 8;
    let mut panel = [MaybeUninit::<[__m512; 2]>::uninit(); PANEL_FLOATS]; // [column]: one lane a row
    let mut first = 0;
    while first < columns {
        let width = (columns - first).min(PANEL_FLOATS);
        let whole = width / 8 * 8;
        for column in (0..whole).step_by(8) {
            let mut parts = [[_mm256_setzero_ps(); 8]; 4];
            // SAFETY: the rows have eight columns from here.
            unsafe {
                for part in 0..4 {
                    for r in 0..8 {
                        parts[part][r] = F::load(rows[8 * part + r].as_ptr(), first + column);
                    }
                    parts[part] = transpose_floats(parts[part]);
                }
                for c in 0..8 {
                    panel[column + c].write([join(parts[0][c], parts[1][c]), join(parts[2][c], parts[3][c])]);
                }
            }
        }
        if whole < width {
            let mut tails = [[0f32; 8]; ROWS];
            for (row, tail) in rows.iter().zip(&mut tails) {
                float_tail(F::FORMAT, row, first + whole, &mut tail[..width - whole]);
            }
            for column in whole..width {
                let mut lanes = [0f32; ROWS];
                for r in 0..ROWS {
                    lanes[r] = tails[r][column - whole];
                }
                // SAFETY: there are 32 lanes.
                panel[column]
                    .write(unsafe { [_mm512_loadu_ps(lanes.as_ptr()), _mm512_loadu_ps(lanes[16..].as_ptr())] });
            }
        }
        let mut token = 0;
        // SAFETY: `width` places of the panel are written, and the activations have these columns.
        unsafe {
            while token + AT_ONCE <= sums.len() {
                let x = |i| &x(token + i).floats[first..first + width];
                pass_floats::<AT_ONCE>(&panel[..width], x, &mut sums[token..]);
                token += AT_ONCE;
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
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn pass_floats<'x, const T: usize>(
    panel: &[MaybeUninit<[__m512; 2]>],
    x: impl Fn(usize) -> &'x [f32],
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let x: [*const f32; T] = std::array::from_fn(|t| x(t).as_ptr());
        let mut totals = [[_mm512_setzero_ps(); 2]; T];
        for t in 0..T {
            for side in 0..2 {
                totals[t][side] = _mm512_loadu_ps(sums[t][16 * side..].as_ptr());
            }
        }
        for (column, weights) in panel.iter().enumerate() {
            let weights = weights.assume_init();
            for t in 0..T {
                let of_x = _mm512_set1_ps(*x[t].add(column));
                for side in 0..2 {
                    totals[t][side] = _mm512_fmadd_ps(weights[side], of_x, totals[t][side]);
                }
            }
        }
        for t in 0..T {
            for side in 0..2 {
                _mm512_storeu_ps(sums[t][16 * side..].as_mut_ptr(), totals[t][side]);
            }
        }
    }
}
