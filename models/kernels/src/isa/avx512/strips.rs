//! Products of strips with a few tokens: a register holds four columns of sixteen rows. Each token's sums are computed as they would be
//! alone; only the weights are unpacked once for all.

use std::arch::x86_64::*;

use super::prefetch;
use crate::activations::Row;
use crate::formats::{BlockFormat, Format, STRIP_ROWS, Scales, with_blocks};

/// Parts of at least so many cache lines are prefetched, one by one: out of memory, on one core of a Zen 4, Q6_K goes from 13 to 20
/// GB/s and Q5_K from 17 to 21. The processor foresees the others by itself, which then lose by it (IQ4_XS 31 to 26, Q5_0 a fifth).
const FEWEST_LINES: usize = 6;

/// The dot products of sixteen rows of weights with one row of activations.
///
/// # Safety
/// The processor has this level. `strip` is a whole strip of `format`, as wide as `x`.
pub(crate) unsafe fn dot(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    // SAFETY: the caller's promises are those of the kernel.
    let [dots] = unsafe { with_blocks!(format, F => dot_units::<F, 1>(strip, [x])) };
    dots
}

/// The same with each of up to [`STRIP_TOKENS`] rows of activations, which are equally wide.
///
/// # Safety
/// As for [`dot`].
pub(crate) unsafe fn dot_few(format: Format, strip: &[u8], x: &[Row<'_>], out: &mut [[f32; STRIP_ROWS]]) {
    // SAFETY: the caller's promises are those of the kernels.
    unsafe {
        match *x {
            [a] => out.copy_from_slice(&with_blocks!(format, F => dot_units::<F, 1>(strip, [a]))),
            [a, b] => out.copy_from_slice(&with_blocks!(format, F => dot_units::<F, 2>(strip, [a, b]))),
            [a, b, c] => out.copy_from_slice(&with_blocks!(format, F => dot_units::<F, 3>(strip, [a, b, c]))),
            [a, b, c, d] => out.copy_from_slice(&with_blocks!(format, F => dot_units::<F, 4>(strip, [a, b, c, d]))),
            _ => unreachable!("a few rows of activations"),
        }
    }
}

/// # Safety
/// As for [`dot`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot_units<F: BlockFormat, const TOKENS: usize>(
    strip: &[u8],
    x: [Row<'_>; TOKENS],
) -> [[f32; STRIP_ROWS]; TOKENS] {
    let mut totals = [[_mm512_setzero_ps(); 2]; TOKENS];
    let mut out = [[0f32; STRIP_ROWS]; TOKENS];
    let zero_point = f32::from(F::ZERO_POINT);
    // SAFETY: the strip holds a unit for each `PARTS` blocks of the activations.
    unsafe {
        for index in 0..x[0].scales.len() / F::PARTS {
            let unit = strip.as_ptr().add(index * F::UNIT_BYTES);
            for part in 0..F::PARTS {
                let lines = F::UNIT_BYTES.div_ceil(64 * F::PARTS);
                if F::PARTS > 1 && lines >= FEWEST_LINES {
                    prefetch(unit.wrapping_add(64 * lines * part), 64 * lines);
                }
                let at = index * F::PARTS + part;
                let mut sums = [[_mm512_setzero_si512(); 2]; TOKENS];
                for four in 0..8 {
                    let weights = F::weights::<__m512i>(unit, 0, part, four);
                    for token in 0..TOKENS {
                        let values = x[token].values.as_ptr().add(32 * at + 4 * four);
                        let of_x = _mm512_set1_epi32(values.cast::<i32>().read_unaligned());
                        sums[token][four / 4] = _mm512_dpbusd_epi32(sums[token][four / 4], weights, of_x);
                    }
                }
                let Scales { scales, minima } = F::scales::<__m512i>(unit, 0, part);
                for token in 0..TOKENS {
                    let (x, sums, totals) = (&x[token], &sums[token], &mut totals[token]);
                    let x_scale = _mm512_set1_ps(x.scales[at]);
                    if F::SHARED == 16 {
                        for half in 0..2 {
                            let of_x = x.sums_16[2 * at + half];
                            let sum = if F::MINIMA {
                                totals[1] = _mm512_fnmadd_ps(minima[half], _mm512_set1_ps(of_x), totals[1]);
                                _mm512_mul_ps(_mm512_cvtepi32_ps(sums[half]), x_scale)
                            } else {
                                let offset = _mm512_set1_ps(-zero_point * of_x);
                                _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[half]), x_scale, offset)
                            };
                            totals[half] = _mm512_fmadd_ps(sum, scales[half], totals[half]);
                        }
                    } else {
                        let sum = _mm512_cvtepi32_ps(_mm512_add_epi32(sums[0], sums[1]));
                        let of_x = _mm512_set1_ps(x.sums_32[at]);
                        if F::MINIMA {
                            let sum = _mm512_mul_ps(sum, x_scale);
                            totals[0] = _mm512_fmadd_ps(sum, scales[0], totals[0]);
                            totals[1] = _mm512_fnmadd_ps(minima[0], of_x, totals[1]);
                        } else {
                            let sum = _mm512_fmsub_ps(sum, x_scale, _mm512_mul_ps(of_x, _mm512_set1_ps(zero_point)));
                            totals[0] = _mm512_fmadd_ps(sum, scales[0], totals[0]);
                        }
                    }
                }
            }
        }
        for token in 0..TOKENS {
            _mm512_storeu_ps(out[token].as_mut_ptr(), _mm512_add_ps(totals[token][0], totals[token][1]));
        }
    }
    out
}
