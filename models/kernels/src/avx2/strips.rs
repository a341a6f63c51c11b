//! Strips (see `crate::strips`) with AVX2 and AVX-VNNI: a register holds four columns of eight rows, half a strip.

use std::arch::x86_64::*;

use super::{Bytes, Evex, Pairs, Panel, ROWS, Vex};
use crate::activations::Row;
use crate::format::Format;
use crate::strips::{K_HEAD, STRIP_ROWS, unit_bytes, unit_columns};

/// Blocks of 32 columns in a unit that share words.
const fn parts(format: Format) -> usize {
    match format {
        Format::Q4K | Format::Q5K => 2,
        Format::Q6K => 4,
        _ => 1,
    }
}

/// The weights of columns `4 * four..` of block `part` of the parts of a group, in half a strip: signed for `Q8_0`, unsigned for
/// the others.
#[inline(always)]
unsafe fn weights(format: Format, unit: *const u8, group: usize, part: usize, four: usize, half: usize) -> __m256i {
    // SAFETY: the caller has the unit; register operations otherwise.
    unsafe {
        let from = unit.add(4 * ROWS * half);
        let words = |word: usize| _mm256_loadu_si256(from.add(K_HEAD + 64 * word).cast());
        let first = |word: usize| _mm256_loadu_si256(from.add(32 + 64 * word).cast());
        let nibbles = |bytes: __m256i, upper: bool| {
            _mm256_and_si256(if upper { _mm256_srli_epi16::<4>(bytes) } else { bytes }, _mm256_set1_epi8(15))
        };
        match format {
            Format::Q4_0 => nibbles(first(four % 4), four >= 4),
            Format::Q8_0 => _mm256_xor_si256(first(four), _mm256_set1_epi8(-128)),
            Format::Q4K => nibbles(words(8 * group + four), part == 1),
            Format::Q5K => {
                let own = _mm256_set1_epi8((1u8 << (2 * group + part)) as i8);
                let set = _mm256_cmpeq_epi8(_mm256_and_si256(words(four), own), own);
                let nibbles = nibbles(words(8 + 8 * group + four), part == 1);
                _mm256_or_si256(nibbles, _mm256_and_si256(set, _mm256_set1_epi8(16)))
            }
            _ => {
                let nibbles = nibbles(words(16 * group + part % 2 * 8 + four), part >= 2);
                let upper = words(32 + 8 * group + four);
                let upper = match part {
                    0 => _mm256_slli_epi16::<4>(upper),
                    1 => _mm256_slli_epi16::<2>(upper),
                    2 => upper,
                    _ => _mm256_srli_epi16::<2>(upper),
                };
                _mm256_or_si256(nibbles, _mm256_and_si256(upper, _mm256_set1_epi8(0x30)))
            }
        }
    }
}

/// The scales of a block in half a strip (the second only where 16 weights share one), and what is taken off for the sum of the
/// activations.
#[inline(always)]
unsafe fn scales(format: Format, unit: *const u8, block: usize, half: usize) -> ([__m256; 2], [__m256; 2]) {
    // SAFETY: the caller has the unit; register operations otherwise.
    unsafe {
        let halves = |from: usize| _mm256_cvtph_ps(_mm_loadu_si128(unit.add(from + 2 * ROWS * half).cast()));
        let bytes = |from: usize| _mm_loadl_epi64(unit.add(from + ROWS * half).cast());
        match format {
            Format::Q4K | Format::Q5K => {
                let of = |at: usize| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes(64 + 32 * block + at)));
                ([_mm256_mul_ps(halves(0), of(0)); 2], [_mm256_mul_ps(halves(32), of(STRIP_ROWS)); 2])
            }
            Format::Q6K => {
                let of = |side: usize| {
                    let bytes = _mm256_cvtepi8_epi32(bytes(64 + 16 * (2 * block + side)));
                    _mm256_mul_ps(halves(0), _mm256_cvtepi32_ps(bytes))
                };
                let scales = [of(0), of(1)];
                let zero_point = _mm256_set1_ps(32.0);
                (scales, [_mm256_mul_ps(scales[0], zero_point), _mm256_mul_ps(scales[1], zero_point)])
            }
            Format::Q8_0 => ([halves(0); 2], [_mm256_setzero_ps(); 2]),
            _ => ([halves(0); 2], [_mm256_mul_ps(halves(0), _mm256_set1_ps(8.0)); 2]),
        }
    }
}

macro_rules! dot {
    ($($name:ident: $bytes:ident with $features:literal),*) => {$(
        /// The dot products of sixteen rows of weights with one row of activations.
        ///
        /// # Safety
        /// The processor has these instructions. `strip` is a whole strip of `format`, as wide as `x`.
        #[target_feature(enable = $features)]
        pub(crate) unsafe fn $name(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
            // SAFETY: the caller's promises are those of the kernel.
            unsafe {
                match format {
                    Format::Q4_0 => dot_units::<$bytes>(Format::Q4_0, strip, x),
                    Format::Q8_0 => dot_units::<$bytes>(Format::Q8_0, strip, x),
                    Format::Q4K => dot_units::<$bytes>(Format::Q4K, strip, x),
                    Format::Q5K => dot_units::<$bytes>(Format::Q5K, strip, x),
                    Format::Q6K => dot_units::<$bytes>(Format::Q6K, strip, x),
                    _ => unreachable!("this format has no strips"),
                }
            }
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
unsafe fn dot_units<M: Bytes>(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    let blocks = unit_columns(format).unwrap_or(32) / 32;
    let parts = parts(format);
    // SAFETY: the strip holds a unit for each `blocks` blocks of the activations.
    unsafe {
        let ones = _mm256_set1_epi16(1);
        let mut totals = [[_mm256_setzero_ps(); 2]; 2];
        for index in 0..x.scales.len() / blocks {
            let unit = strip.as_ptr().add(index * unit_bytes(format));
            for group in 0..blocks / parts {
                for part in 0..parts {
                    let block = group * parts + part;
                    let at = index * blocks + block;
                    let values = x.values.as_ptr().add(32 * at);
                    for half in 0..2 {
                        // Sums of 16 columns each.
                        let mut sums = [_mm256_setzero_si256(); 2];
                        for side in 0..2 {
                            let mut lanes = _mm256_setzero_si256();
                            for four in 4 * side..4 * side + 4 {
                                let of_x = _mm256_set1_epi32(values.add(4 * four).cast::<i32>().read_unaligned());
                                let w = weights(format, unit, group, part, four, half);
                                if format == Format::Q8_0 {
                                    let of_x = _mm256_sign_epi8(of_x, w);
                                    sums[side] = M::add_quads(sums[side], _mm256_abs_epi8(w), of_x);
                                    continue;
                                }
                                if M::QUADS {
                                    sums[side] = M::add_quads(sums[side], w, of_x);
                                    continue;
                                }
                                // 4 * 2 * 31 * 127 = 31496 and 2 * 2 * 63 * 127 = 32004 fit 16 bits.
                                lanes = _mm256_add_epi16(lanes, _mm256_maddubs_epi16(w, of_x));
                                if format == Format::Q6K && four % 2 == 1 {
                                    sums[side] = _mm256_add_epi32(sums[side], _mm256_madd_epi16(lanes, ones));
                                    lanes = _mm256_setzero_si256();
                                }
                            }
                            if !M::QUADS && matches!(format, Format::Q4_0 | Format::Q4K | Format::Q5K) {
                                sums[side] = _mm256_madd_epi16(lanes, ones);
                            }
                        }
                        let (scales, minima) = scales(format, unit, block, half);
                        let x_scale = _mm256_set1_ps(x.scales[at]);
                        if format == Format::Q6K {
                            for side in 0..2 {
                                let sum = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[side]), x_scale);
                                totals[half][0] = _mm256_fmadd_ps(sum, scales[side], totals[half][0]);
                                let of_x = _mm256_set1_ps(x.sums_16[2 * at + side]);
                                totals[half][1] = _mm256_fnmadd_ps(minima[side], of_x, totals[half][1]);
                            }
                        } else {
                            let sum = _mm256_cvtepi32_ps(_mm256_add_epi32(sums[0], sums[1]));
                            let sum = _mm256_mul_ps(sum, x_scale);
                            totals[half][0] = _mm256_fmadd_ps(sum, scales[0], totals[half][0]);
                            if format != Format::Q8_0 {
                                let of_x = _mm256_set1_ps(x.sums_32[at]);
                                totals[half][1] = _mm256_fnmadd_ps(minima[0], of_x, totals[half][1]);
                            }
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

/// Unpacks `blocks` blocks of 32 columns, from block `first`, of half a strip into a panel.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. The strip is of `format` and holds these blocks, `first` begins a unit, and the panel
/// has room.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn fill(
    format: Format,
    panel: *mut Panel,
    (strip, half): (&[u8], usize),
    first: usize,
    blocks: usize,
) {
    // SAFETY: the caller's promises are those of the kernel.
    unsafe {
        match format {
            Format::Q4_0 => fill_units(Format::Q4_0, panel, strip, half, first, blocks),
            Format::Q8_0 => fill_units(Format::Q8_0, panel, strip, half, first, blocks),
            Format::Q4K => fill_units(Format::Q4K, panel, strip, half, first, blocks),
            Format::Q5K => fill_units(Format::Q5K, panel, strip, half, first, blocks),
            Format::Q6K => fill_units(Format::Q6K, panel, strip, half, first, blocks),
            _ => unreachable!("this format has no strips"),
        }
    }
}

/// One body for all formats, compiled for each into [`fill`].
///
/// # Safety
/// As for [`fill`].
#[inline(always)]
unsafe fn fill_units(format: Format, panel: *mut Panel, strip: &[u8], half: usize, first: usize, blocks: usize) {
    let (per_unit, parts) = (unit_columns(format).unwrap_or(32) / 32, parts(format));
    // SAFETY: every index is of a block in the strip and of a place in the panel.
    unsafe {
        let (values, of_scales, of_minima) =
            (&raw mut (*panel).values, &raw mut (*panel).scales, &raw mut (*panel).minima);
        let (values, of_scales, of_minima) =
            (values.cast::<[__m256i; 8]>(), of_scales.cast::<[__m256; 2]>(), of_minima.cast::<[__m256; 2]>());
        for index in 0..blocks / per_unit {
            let unit = strip.as_ptr().add((first / per_unit + index) * unit_bytes(format));
            for group in 0..per_unit / parts {
                for part in 0..parts {
                    let block = group * parts + part;
                    let b = index * per_unit + block;
                    for four in 0..8 {
                        (*values.add(b))[four] = weights(format, unit, group, part, four, half);
                    }
                    let (scales, minima) = scales(format, unit, block, half);
                    of_scales.add(b).write(scales);
                    of_minima.add(b).write(minima);
                }
            }
        }
    }
}
