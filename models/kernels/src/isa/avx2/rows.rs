//! Products of rows as they stand in the file, for weights that stay mapped: formats without such kernels are interleaved on
//! the way.

use std::arch::x86_64::*;

use super::floats::{Bf16, F16, F32, dot_floats};
use super::{Bytes, Pairs, sum};
use crate::activations::Row;
use crate::formats::{BlockFormat, Format, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0, half_at};

/// Whether rows of this format are multiplied as they stand.
pub(crate) fn reads(format: Format) -> bool {
    match format {
        Format::F32 | Format::F16 | Format::Bf16 => true,
        Format::Q8_0 | Format::Q4_0 | Format::Q5_0 | Format::Q4K | Format::Q5K | Format::Q6K => true,
        Format::Q4_1 | Format::Q5_1 | Format::Q2K | Format::Q3K => false,
        Format::Iq4Nl | Format::Iq4Xs | Format::Mxfp4 => false,
    }
}

/// `R` rows of weights times one row of activations. Rows that go together hide each other's waits.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. `weights` are whole rows of `format`, which [`reads`] accepts, as wide as `x`.
#[inline]
pub(crate) unsafe fn dots<const R: usize>(format: Format, weights: [&[u8]; R], x: Row<'_>) -> [f32; R] {
    let mut sums = [0.0; R];
    // SAFETY: the caller's promises are those of each kernel.
    unsafe {
        match format {
            Format::Q4_0 => return dot_blocks::<Q4_0, R>(weights, x),
            Format::Q4K => return dot_blocks::<Q4K, R>(weights, x),
            _ => {} // the others do not gain by going together
        }
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = match format {
                Format::F32 => dot_floats::<F32>(weights, x.floats),
                Format::F16 => dot_floats::<F16>(weights, x.floats),
                Format::Bf16 => dot_floats::<Bf16>(weights, x.floats),
                Format::Q8_0 => dot_blocks::<Q8_0, 1>([weights], x)[0],
                Format::Q5_0 => dot_blocks::<Q5_0, 1>([weights], x)[0],
                Format::Q5K => dot_blocks::<Q5K, 1>([weights], x)[0],
                Format::Q6K => dot_q6k(weights, x),
                _ => unreachable!("see `reads`"),
            };
        }
    }
    sums
}

/// How 32 weights of a row of the file become bytes in a register, and what scales them. Every function needs AVX2, FMA and
/// F16C, and a pointer to a whole row that has the block.
pub(crate) trait Blocks: BlockFormat {
    /// The 32 weights of block `b` in order: unsigned, or signed bytes.
    unsafe fn row_weights(row: *const u8, b: usize) -> __m256i;

    /// Scales and minima of the eight blocks from `8 * group`.
    unsafe fn row_scales(row: *const u8, group: usize) -> (__m256, __m256);
}

/// The f16 scales at the head of eight neighbouring blocks.
#[inline(always)]
unsafe fn eight_scales(first: *const u8, bytes: usize) -> __m256 {
    // SAFETY: the caller has eight blocks of `bytes` bytes from `first`.
    unsafe {
        let at = |i: usize| first.add(i * bytes).cast::<i16>().read_unaligned();
        _mm256_cvtph_ps(_mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)))
    }
}

/// Sixteen bytes of nibbles as 32 bytes: the lower nibbles first.
#[inline(always)]
unsafe fn nibbles(from: *const u8) -> __m256i {
    // SAFETY: the caller has 16 bytes from `from`.
    unsafe {
        // The load itself fills both halves; then only the upper one is shifted.
        let packed = _mm256_broadcastsi128_si256(_mm_loadu_si128(from.cast()));
        let shifted = _mm256_srlv_epi32(packed, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4));
        _mm256_and_si256(shifted, _mm256_set1_epi8(15))
    }
}

impl Blocks for Q8_0 {
    #[inline(always)]
    unsafe fn row_weights(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe { _mm256_loadu_si256(row.add(b * 34 + 2).cast()) }
    }

    #[inline(always)]
    unsafe fn row_scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the eight blocks are in the row.
        unsafe { (eight_scales(row.add(group * 8 * 34), 34), _mm256_setzero_ps()) }
    }
}

impl Blocks for Q4_0 {
    #[inline(always)]
    unsafe fn row_weights(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe { nibbles(row.add(b * 18 + 2)) }
    }

    #[inline(always)]
    unsafe fn row_scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the eight blocks are in the row.
        unsafe {
            let scales = eight_scales(row.add(group * 8 * 18), 18);
            (scales, _mm256_mul_ps(scales, _mm256_set1_ps(8.0)))
        }
    }
}

impl Blocks for Q5_0 {
    #[inline(always)]
    unsafe fn row_weights(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe {
            let block = row.add(b * 22);
            // Each byte gets the byte of fifth bits that holds its own, then keeps that bit alone.
            let fifths = _mm256_set1_epi32(block.add(2).cast::<i32>().read_unaligned());
            let spread = _mm256_setr_epi8(
                0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3,
            );
            let own = _mm256_set1_epi64x(0x8040_2010_0804_0201_u64 as i64);
            let set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(fifths, spread), own), own);
            _mm256_or_si256(nibbles(block.add(6)), _mm256_and_si256(set, _mm256_set1_epi8(16)))
        }
    }

    #[inline(always)]
    unsafe fn row_scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the eight blocks are in the row.
        unsafe {
            let scales = eight_scales(row.add(group * 8 * 22), 22);
            (scales, _mm256_mul_ps(scales, _mm256_set1_ps(16.0)))
        }
    }
}

/// Scales and minima of a 4- or 5-bit K block: two f16 factors, then twelve bytes of eight 6-bit pairs.
#[inline(always)]
unsafe fn k_scales(block: *const u8) -> (__m256, __m256) {
    // SAFETY: the caller has the 16 bytes at the head of a block.
    unsafe {
        let word = |i: usize| block.add(4 + 4 * i).cast::<u32>().read_unaligned();
        let (a, b, c) = (word(0), word(1), word(2));
        let upper = |low: u32, high: u32| u64::from(low & 0x0f0f_0f0f | (high >> 6 & 0x0303_0303) << 4) << 32;
        let scales = u64::from(a & 0x3f3f_3f3f) | upper(c, a);
        let minima = u64::from(b & 0x3f3f_3f3f) | upper(c >> 4, b);
        let floats = |bytes: u64| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes as i64)));
        let factors = _mm_cvtph_ps(_mm_cvtsi32_si128(block.cast::<i32>().read_unaligned()));
        let d = _mm256_broadcastss_ps(factors);
        let m = _mm256_broadcastss_ps(_mm_movehdup_ps(factors));
        (_mm256_mul_ps(d, floats(scales)), _mm256_mul_ps(m, floats(minima)))
    }
}

impl Blocks for Q4K {
    #[inline(always)]
    unsafe fn row_weights(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe {
            let part = b % 8;
            let packed = _mm256_loadu_si256(row.add(b / 8 * 144 + 16 + part / 2 * 32).cast());
            let shifted = if part % 2 == 1 { _mm256_srli_epi16::<4>(packed) } else { packed };
            _mm256_and_si256(shifted, _mm256_set1_epi8(15))
        }
    }

    #[inline(always)]
    unsafe fn row_scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the block is in the row.
        unsafe { k_scales(row.add(group * 144)) }
    }
}

impl Blocks for Q5K {
    #[inline(always)]
    unsafe fn row_weights(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe {
            let (block, part) = (row.add(b / 8 * 176), b % 8);
            let packed = _mm256_loadu_si256(block.add(48 + part / 2 * 32).cast());
            let shifted = if part % 2 == 1 { _mm256_srli_epi16::<4>(packed) } else { packed };
            let own = _mm256_set1_epi8(1_i8 << part);
            let set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_loadu_si256(block.add(16).cast()), own), own);
            let low = _mm256_and_si256(shifted, _mm256_set1_epi8(15));
            _mm256_or_si256(low, _mm256_and_si256(set, _mm256_set1_epi8(16)))
        }
    }

    #[inline(always)]
    unsafe fn row_scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the block is in the row.
        unsafe { k_scales(row.add(group * 176)) }
    }
}

impl Blocks for Q6K {
    #[inline(always)]
    unsafe fn row_weights(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe {
            let (block, half, part) = (row.add(b / 8 * 210), b % 8 / 4, b % 4);
            let low = _mm256_loadu_si256(block.add(half * 64 + part % 2 * 32).cast());
            let low = if part >= 2 { _mm256_srli_epi16::<4>(low) } else { low };
            let high = _mm256_loadu_si256(block.add(128 + half * 32).cast());
            // The two bits of this part, moved to bits 4 and 5.
            let high = match part {
                0 => _mm256_slli_epi16::<4>(high),
                1 => _mm256_slli_epi16::<2>(high),
                2 => high,
                _ => _mm256_srli_epi16::<2>(high),
            };
            let low = _mm256_and_si256(low, _mm256_set1_epi8(15));
            _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8(0x30)))
        }
    }

    /// Not used: this format has a scale for each 16 weights.
    #[inline(always)]
    unsafe fn row_scales(_: *const u8, _: usize) -> (__m256, __m256) {
        // SAFETY: register operations, under the caller's promise of AVX2.
        unsafe { (_mm256_setzero_ps(), _mm256_setzero_ps()) }
    }
}

/// Sums of four products each: 32 weights times 32 activations in eight lanes.
#[inline(always)]
unsafe fn products<B: Blocks>(weights: __m256i, x: __m256i) -> __m256i {
    // SAFETY: register operations, under the caller's promise of AVX2.
    unsafe {
        let (weights, x) =
            if B::SIGNED { (_mm256_abs_epi8(weights), _mm256_sign_epi8(x, weights)) } else { (weights, x) };
        Pairs::add_quads(_mm256_setzero_si256(), weights, x)
    }
}

/// # Safety
/// As for [`dots`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_blocks<B: Blocks, const R: usize>(weights: [&[u8]; R], x: Row<'_>) -> [f32; R] {
    let blocks = x.scales.len();
    let values = x.values.as_ptr();
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    let mut offsets = [_mm256_setzero_ps(); R];
    for group in 0..blocks / 8 {
        // SAFETY: the rows and the activations hold eight blocks from `8 * group`.
        unsafe {
            let mut each = [[0f32; 8]; R];
            for r in 0..R {
                let (scales, minima) = B::row_scales(weights[r].as_ptr(), group);
                let scales = _mm256_mul_ps(scales, _mm256_loadu_ps(x.scales.as_ptr().add(8 * group)));
                if !B::SIGNED {
                    offsets[r] =
                        _mm256_fmadd_ps(minima, _mm256_loadu_ps(x.sums_32.as_ptr().add(8 * group)), offsets[r]);
                }
                _mm256_storeu_ps(each[r].as_mut_ptr(), scales);
            }
            for part in 0..8 {
                let b = 8 * group + part;
                let x = _mm256_loadu_si256(values.add(32 * b).cast());
                for r in 0..R {
                    let products = _mm256_cvtepi32_ps(products::<B>(B::row_weights(weights[r].as_ptr(), b), x));
                    sums[r][part % 2] =
                        _mm256_fmadd_ps(products, _mm256_broadcast_ss(&each[r][part]), sums[r][part % 2]);
                }
            }
        }
    }
    let mut rests = [0f32; R];
    for b in blocks / 8 * 8..blocks {
        for r in 0..R {
            // Only formats with blocks of 32 come here; each begins with its f16 scale.
            let scale = half_at(weights[r], b * B::BYTES);
            // SAFETY: the rows and the activations hold block `b`.
            unsafe {
                let x_values = _mm256_loadu_si256(values.add(32 * b).cast());
                let products = _mm256_cvtepi32_ps(products::<B>(B::row_weights(weights[r].as_ptr(), b), x_values));
                sums[r][0] = _mm256_fmadd_ps(products, _mm256_set1_ps(scale * x.scales[b]), sums[r][0]);
            }
            rests[r] += scale * zero_point::<B>() * x.sums_32[b];
        }
    }
    for r in 0..R {
        // SAFETY: this function has AVX2.
        rests[r] = unsafe { sum(_mm256_sub_ps(_mm256_add_ps(sums[r][0], sums[r][1]), offsets[r])) } - rests[r];
    }
    rests
}

/// What the formats with blocks of 32 take off each value, where they are not signed.
#[inline(always)]
pub(super) const fn zero_point<B: Blocks>() -> f32 {
    if B::SIGNED { 0.0 } else { B::ZERO_POINT as f32 }
}

/// # Safety
/// As for [`dots`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_q6k(weights: &[u8], x: Row<'_>) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 2];
    let mut offset = _mm256_setzero_ps();
    for (group, block) in weights.chunks_exact(210).enumerate() {
        let d = half_at(block, 208);
        // SAFETY: the row and the activations hold the eight blocks of 32 of this group.
        unsafe {
            let scales = _mm_loadu_si128(block.as_ptr().add(192).cast());
            let low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(scales));
            let high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128::<8>(scales)));
            let of_x = x.sums_16.as_ptr().add(16 * group);
            let both = _mm256_fmadd_ps(low, _mm256_loadu_ps(of_x), _mm256_mul_ps(high, _mm256_loadu_ps(of_x.add(8))));
            offset = _mm256_fmadd_ps(both, _mm256_set1_ps(32.0 * d), offset);
            let mut each = [0f32; 8];
            _mm256_storeu_ps(
                each.as_mut_ptr(),
                _mm256_mul_ps(_mm256_set1_ps(d), _mm256_loadu_ps(x.scales.as_ptr().add(8 * group))),
            );
            for (part, factor) in each.iter().enumerate() {
                let b = 8 * group + part;
                let pairs = _mm256_maddubs_epi16(
                    Q6K::row_weights(weights.as_ptr(), b),
                    _mm256_loadu_si256(x.values.as_ptr().add(32 * b).cast()),
                );
                // The two 8-bit scales of this part, each in eight lanes of 16 bits.
                let first = _mm_set1_epi8(2 * part as i8);
                let pick = _mm_add_epi8(first, _mm_set_epi64x(0x0101_0101_0101_0101, 0));
                let scale = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scales, pick));
                let products = _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, scale));
                sums[part % 2] = _mm256_fmadd_ps(products, _mm256_broadcast_ss(factor), sums[part % 2]);
            }
        }
    }
    // SAFETY: this function has AVX2.
    unsafe { sum(_mm256_sub_ps(_mm256_add_ps(sums[0], sums[1]), offset)) }
}
