//! Products of strips with one token: a register holds four columns of eight rows, half a strip.

use std::arch::x86_64::*;

use super::panel::scales_and_offsets;
use super::{Bytes, Evex, Pairs, ROWS, Vex};
use crate::activations::Row;
use crate::formats::{BlockFormat, Format, STRIP_ROWS, with_blocks};

/// How far ahead memory is prefetched, across the end of a strip into the next. Of 1.5 to 12 KiB, measured on a Zen 3 with Q5_0 and Q4_1 out
/// of memory, this was the best for most: 12.8 to 19.8 and 14.8 to 21.7 GB/s on one core.
const AHEAD_BYTES: usize = 6144;
/// Cache lines are prefetched part by part. A part with more lines than this is not prefetched, since the requests hold up the reads that are
/// needed now. On one core of a Zen 4, Q4_K went from 10 to 24, Q5_K from 11 to 18, Q6_K from 10 to 20 GB/s, and Q8_0, which is no longer
/// prefetched, from 20 to 28. A Zen 3, where prefetching took Q8_0 from 13.6 to 16.6, was not measured again.
const MOST_LINES: usize = 8;

macro_rules! dot {
    ($($name:ident: $bytes:ident with $features:literal),*) => {$(
        /// The dot products of sixteen rows of weights with one row of activations.
        ///
        /// # Safety
        /// The processor has these instructions. `strip` is a whole strip of `format`, as wide as `x`.
        #[target_feature(enable = $features)]
        pub(crate) unsafe fn $name(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
            // SAFETY: the caller's promises are those of the kernel.
            unsafe { with_blocks!(format, F => dot_units::<F, $bytes>(strip, x)) }
        }
    )*};
}

dot! {
    dot: Pairs with "avx2,fma,f16c",
    dot_vex: Vex with "avx2,fma,f16c,avxvnni",
    dot_evex: Evex with "avx2,fma,f16c,avx512f,avx512vl,avx512vnni"
}

/// One body for all formats, compiled for each into [`dot`].
///
/// # Safety
/// As for [`dot`].
#[inline(always)]
unsafe fn dot_units<F: BlockFormat, M: Bytes>(strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    // SAFETY: the strip holds a unit for each `PARTS` blocks of the activations.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        let mut totals = [[_mm256_setzero_ps(); 2]; 2];
        for index in 0..x.scales.len() / F::PARTS {
            let unit = strip.as_ptr().add(index * F::UNIT_BYTES);
            for part in 0..F::PARTS {
                let lines = F::UNIT_BYTES.div_ceil(64 * F::PARTS);
                if lines <= MOST_LINES {
                    for line in lines * part..lines * (part + 1) {
                        _mm_prefetch::<_MM_HINT_T0>(unit.wrapping_add(AHEAD_BYTES + 64 * line).cast());
                    }
                }
                let at = index * F::PARTS + part;
                let values = x.values.as_ptr().add(32 * at);
                for half in 0..2 {
                    // Sums of 16 columns each.
                    let mut sums = [_mm256_setzero_si256(); 2];
                    for side in 0..2 {
                        let mut lanes = _mm256_setzero_si256();
                        for four in 4 * side..4 * side + 4 {
                            let of_x = _mm256_set1_epi32(values.add(4 * four).cast::<i32>().read_unaligned());
                            if F::SIGNED {
                                let w = F::signed_weights::<__m256i>(unit, half, part, four);
                                let of_x = _mm256_sign_epi8(of_x, w);
                                sums[side] = M::add_quads(sums[side], _mm256_abs_epi8(w), of_x);
                                continue;
                            }
                            let w = F::weights::<__m256i>(unit, half, part, four);
                            if M::QUADS {
                                sums[side] = M::add_quads(sums[side], w, of_x);
                                continue;
                            }
                            // 4 * 2 * 31 * 127 = 31496 and 2 * 2 * 63 * 127 = 32004 fit 16 bits.
                            lanes = _mm256_add_epi16(lanes, _mm256_maddubs_epi16(w, of_x));
                            if F::LARGEST > 31 && four % 2 == 1 {
                                sums[side] = _mm256_add_epi32(sums[side], _mm256_madd_epi16(lanes, ones));
                                lanes = _mm256_setzero_si256();
                            }
                        }
                        if !M::QUADS && F::LARGEST <= 31 {
                            sums[side] = _mm256_madd_epi16(lanes, ones);
                        }
                    }
                    let (scales, offsets) = scales_and_offsets::<F>(unit, half, part);
                    let x_scale = _mm256_set1_ps(x.scales[at]);
                    if F::SHARED == 16 {
                        for side in 0..2 {
                            let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[side]), x_scale);
                            totals[half][0] = _mm256_fmadd_ps(sum, scales[side], totals[half][0]);
                            let of_x = _mm256_set1_ps(x.sums_16[2 * at + side]);
                            totals[half][1] = _mm256_fnmadd_ps(offsets[side], of_x, totals[half][1]);
                        }
                    } else {
                        let sum = _mm256_cvtepi32_ps(_mm256_add_epi32(sums[0], sums[1]));
                        let sum = _mm256_mul_ps(sum, x_scale);
                        totals[half][0] = _mm256_fmadd_ps(sum, scales[0], totals[half][0]);
                        if !F::SIGNED {
                            let of_x = _mm256_set1_ps(x.sums_32[at]);
                            totals[half][1] = _mm256_fnmadd_ps(offsets[0], of_x, totals[half][1]);
                        }
                    }
                }
            }
        }
        let mut out = [0f32; STRIP_ROWS];
        for half in 0..2 {
            let total = _mm256_add_ps(totals[half][0], totals[half][1]);
            _mm256_storeu_ps(out[ROWS * half..].as_mut_ptr(), total);
        }
        out
    }
}
