//! Products of rows as they stand in the file, for weights that stay mapped: formats without such kernels are interleaved on
//! the way.

use std::arch::x86_64::*;

use super::prefetch;
use crate::activations::Row;
use crate::formats::{Format, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0};
use crate::isa::avx2;
use crate::isa::avx2::rows::Blocks;
pub(crate) use crate::isa::avx2::rows::reads;

/// One row of weights times one row of activations. Rows go one after the other: one stream through memory is read faster than
/// two.
///
/// # Safety
/// The processor has this level. `weights` is a whole row of `format`, which [`reads`] accepts, as wide as `x`.
#[inline]
pub(crate) unsafe fn dot(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
    // SAFETY: the caller's promises are those of each kernel.
    unsafe {
        match format {
            // Limited by memory, which is read faster without what wider registers would add.
            Format::F32 | Format::F16 | Format::Bf16 => avx2::rows::dots(format, [weights], x)[0],
            Format::Q8_0 => dot_groups::<Q8_0>(weights, x),
            Format::Q4_0 => dot_groups::<Q4_0>(weights, x),
            Format::Q5_0 => dot_groups::<Q5_0>(weights, x),
            Format::Q4K => dot_groups::<Q4K>(weights, x),
            Format::Q5K => dot_groups::<Q5K>(weights, x),
            Format::Q6K => dot_groups::<Q6K>(weights, x),
            _ => unreachable!("see `reads`"),
        }
    }
}

/// How a quantized format fills registers of 64 unsigned weights. Every function needs this level, and a pointer to a whole
/// row that has the blocks.
pub(super) trait Groups: Blocks {
    /// True where the weights of a register belong to blocks 0 and 2, 1 and 3, 4 and 6, 5 and 7 of their eight.
    const CROSSED: bool = false;
    /// The 256 weights of the eight blocks from `8 * group`.
    unsafe fn quarters(row: *const u8, group: usize) -> [__m512i; 4];

    /// Their scales, 8 of them or 16 (where 16 weights share one), and their minima.
    unsafe fn all_scales(row: *const u8, group: usize) -> (__m512, __m256);

    /// The 64 weights of blocks `b` and `b + 1`, for what is left over; where `last`, there is only block `b`, and the upper
    /// half may be anything that a register can hold.
    unsafe fn pair(row: *const u8, b: usize, last: bool) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            let low = Self::row_weights(row, b);
            let high = Self::row_weights(row, if last { b } else { b + 1 });
            let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            if Self::SIGNED { _mm512_xor_si512(both, _mm512_set1_epi8(-128)) } else { both }
        }
    }
}

/// 16 bytes of nibbles of each of two blocks as 64 bytes, the lower nibbles of a block first.
#[inline(always)]
unsafe fn nibbles(first: *const u8, second: *const u8) -> __m512i {
    // SAFETY: the caller has 16 bytes from each.
    unsafe {
        let a = _mm512_broadcast_i32x4(_mm_loadu_si128(first.cast()));
        let both = _mm512_mask_broadcast_i32x4(a, 0xff00, _mm_loadu_si128(second.cast()));
        let shifted = _mm512_srlv_epi64(both, _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4));
        _mm512_and_si512(shifted, _mm512_set1_epi8(15))
    }
}

/// The words of these numbers out of two registers of 32 words each. The instruction itself, as the compiler takes the
/// intrinsic with a constant apart into many shuffles.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx2")]
unsafe fn pick_words(low: *const u8, high: *const u8, words: [i16; 8]) -> __m128i {
    // SAFETY: the caller has 64 bytes from each; the instruction is of AVX-512 BW, under the caller's promise of this level.
    unsafe {
        let [a, b, c, d, e, f, g, h] = words;
        let index = _mm512_castsi128_si512(_mm_setr_epi16(a, b, c, d, e, f, g, h));
        let mut picked = _mm512_loadu_si512(low.cast());
        std::arch::asm!(
            "vpermt2w {picked}, {index}, {high}",
            picked = inout(zmm_reg) picked,
            index = in(zmm_reg) index,
            high = in(zmm_reg) _mm512_loadu_si512(high.cast()),
            options(pure, nomem, nostack, preserves_flags)
        );
        _mm512_castsi512_si128(picked)
    }
}

impl Groups for Q4_0 {
    #[inline(always)]
    unsafe fn quarters(row: *const u8, group: usize) -> [__m512i; 4] {
        // SAFETY: the eight blocks are in the row.
        unsafe {
            let first = row.add(group * 8 * 18 + 2);
            [
                nibbles(first, first.add(18)),
                nibbles(first.add(36), first.add(54)),
                nibbles(first.add(72), first.add(90)),
                nibbles(first.add(108), first.add(126)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn all_scales(row: *const u8, group: usize) -> (__m512, __m256) {
        // SAFETY: the eight blocks, 144 bytes, are in the row; a block is nine words, which begin with its scale.
        unsafe {
            let first = row.add(group * 8 * 18);
            let halves = pick_words(first, first.add(64), [0, 9, 18, 27, 36, 45, 54, 63]);
            (_mm512_castps256_ps512(_mm256_cvtph_ps(halves)), _mm256_setzero_ps())
        }
    }
}

impl Groups for Q8_0 {
    #[inline(always)]
    unsafe fn quarters(row: *const u8, group: usize) -> [__m512i; 4] {
        // SAFETY: the eight blocks are in the row.
        unsafe {
            let first = row.add(group * 8 * 34 + 2);
            let mut quarters = [_mm512_setzero_si512(); 4];
            for q in 0..4 {
                let low = _mm512_castsi256_si512(_mm256_loadu_si256(first.add(q * 68).cast()));
                let both = _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(first.add(q * 68 + 34).cast()));
                quarters[q] = _mm512_xor_si512(both, _mm512_set1_epi8(-128));
            }
            quarters
        }
    }

    #[inline(always)]
    unsafe fn all_scales(row: *const u8, group: usize) -> (__m512, __m256) {
        // SAFETY: the eight blocks, 272 bytes, are in the row; a block is seventeen words, which begin with its scale.
        unsafe {
            let first = row.add(group * 8 * 34);
            let low = pick_words(first, first.add(64), [0, 17, 34, 51, 0, 0, 0, 0]);
            let high = pick_words(first.add(128), first.add(192), [4, 21, 38, 55, 0, 0, 0, 0]);
            let halves = _mm_unpacklo_epi64(low, high);
            (_mm512_castps256_ps512(_mm256_cvtph_ps(halves)), _mm256_setzero_ps())
        }
    }
}

impl Groups for Q5_0 {
    #[inline(always)]
    unsafe fn quarters(row: *const u8, group: usize) -> [__m512i; 4] {
        // SAFETY: the eight blocks are in the row.
        unsafe {
            let mut quarters = [_mm512_setzero_si512(); 4];
            for q in 0..4 {
                let (first, second) = (row.add((group * 8 + 2 * q) * 22), row.add((group * 8 + 2 * q + 1) * 22));
                let fifths = |block: *const u8| u64::from(block.add(2).cast::<u32>().read_unaligned());
                let low = nibbles(first.add(6), second.add(6));
                let set = fifths(first) | fifths(second) << 32;
                quarters[q] = _mm512_mask_add_epi8(low, set, low, _mm512_set1_epi8(16));
            }
            quarters
        }
    }

    #[inline(always)]
    unsafe fn all_scales(row: *const u8, group: usize) -> (__m512, __m256) {
        // SAFETY: the eight blocks are in the row.
        unsafe { (_mm512_castps256_ps512(Self::row_scales(row, group).0), _mm256_setzero_ps()) }
    }
}

impl Groups for Q4K {
    const CROSSED: bool = true;

    #[inline(always)]
    unsafe fn quarters(row: *const u8, group: usize) -> [__m512i; 4] {
        // SAFETY: the block is in the row.
        unsafe {
            let block = row.add(group * 144);
            let (a, b) = (_mm512_loadu_si512(block.add(16).cast()), _mm512_loadu_si512(block.add(80).cast()));
            let low = _mm512_set1_epi8(15);
            [
                _mm512_and_si512(a, low),
                _mm512_and_si512(_mm512_srli_epi16::<4>(a), low),
                _mm512_and_si512(b, low),
                _mm512_and_si512(_mm512_srli_epi16::<4>(b), low),
            ]
        }
    }

    #[inline(always)]
    unsafe fn all_scales(row: *const u8, group: usize) -> (__m512, __m256) {
        // SAFETY: the block is in the row.
        unsafe {
            let (scales, minima) = Self::row_scales(row, group);
            (_mm512_castps256_ps512(scales), minima)
        }
    }
}

impl Groups for Q5K {
    const CROSSED: bool = true;

    #[inline(always)]
    unsafe fn quarters(row: *const u8, group: usize) -> [__m512i; 4] {
        // SAFETY: the block is in the row.
        unsafe {
            let block = row.add(group * 176);
            let (a, b) = (_mm512_loadu_si512(block.add(48).cast()), _mm512_loadu_si512(block.add(112).cast()));
            let low = _mm512_set1_epi8(15);
            let mut quarters = [
                _mm512_and_si512(a, low),
                _mm512_and_si512(_mm512_srli_epi16::<4>(a), low),
                _mm512_and_si512(b, low),
                _mm512_and_si512(_mm512_srli_epi16::<4>(b), low),
            ];
            // Bit p of each of the 32 bytes belongs to block p; here blocks 0 and 2, then 1 and 3, and so on.
            let fifths = _mm512_broadcast_i64x4(_mm256_loadu_si256(block.add(16).cast()));
            let low_half = _mm512_setr_epi64(
                0x0101_0101_0101_0101,
                0x0101_0101_0101_0101,
                0x0101_0101_0101_0101,
                0x0101_0101_0101_0101,
                0x0404_0404_0404_0404,
                0x0404_0404_0404_0404,
                0x0404_0404_0404_0404,
                0x0404_0404_0404_0404,
            );
            let own = [
                low_half,
                _mm512_slli_epi16::<1>(low_half),
                _mm512_slli_epi16::<4>(low_half),
                _mm512_slli_epi16::<5>(low_half),
            ];
            for q in 0..4 {
                let set = _mm512_test_epi8_mask(fifths, own[q]);
                quarters[q] = _mm512_mask_add_epi8(quarters[q], set, quarters[q], _mm512_set1_epi8(16));
            }
            quarters
        }
    }

    #[inline(always)]
    unsafe fn all_scales(row: *const u8, group: usize) -> (__m512, __m256) {
        // SAFETY: the block is in the row.
        unsafe {
            let (scales, minima) = Self::row_scales(row, group);
            (_mm512_castps256_ps512(scales), minima)
        }
    }
}

impl Groups for Q6K {
    #[inline(always)]
    unsafe fn quarters(row: *const u8, group: usize) -> [__m512i; 4] {
        // SAFETY: the block is in the row.
        unsafe {
            let block = row.add(group * 210);
            let mut quarters = [_mm512_setzero_si512(); 4];
            let (low, two) = (_mm512_set1_epi8(15), _mm512_set1_epi8(0x30));
            for half in 0..2 {
                let nibbles = _mm512_loadu_si512(block.add(64 * half).cast());
                let high = _mm512_broadcast_i64x4(_mm256_loadu_si256(block.add(128 + 32 * half).cast()));
                // The two bits of each part, moved to bits 4 and 5.
                let first = _mm512_sllv_epi64(high, _mm512_setr_epi64(4, 4, 4, 4, 2, 2, 2, 2));
                let second = _mm512_srlv_epi64(high, _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2));
                // a & b | c & d in two instructions: the ternary form takes the and with its own operand.
                quarters[2 * half] = _mm512_ternarylogic_epi64::<0xf8>(_mm512_and_si512(nibbles, low), first, two);
                quarters[2 * half + 1] = _mm512_ternarylogic_epi64::<0xf8>(
                    _mm512_and_si512(_mm512_srli_epi16::<4>(nibbles), low),
                    second,
                    two,
                );
            }
            quarters
        }
    }

    #[inline(always)]
    unsafe fn all_scales(row: *const u8, group: usize) -> (__m512, __m256) {
        // SAFETY: the block is in the row.
        unsafe {
            let block = row.add(group * 210);
            let scales = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(block.add(192).cast())));
            let d = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(block.add(208).cast::<u16>().read_unaligned())));
            (_mm512_mul_ps(scales, _mm512_broadcastss_ps(d)), _mm256_setzero_ps())
        }
    }
}

/// Which of the 8 (or 16) scales belongs to each lane of four weights, for each register of 64 weights.
const fn scale_lanes(shared: usize, crossed: bool) -> [[i32; 16]; 4] {
    let mut lanes = [[0; 16]; 4];
    let mut q = 0;
    while q < 4 {
        let mut lane = 0;
        while lane < 16 {
            let half = lane / 8;
            let block = if crossed { q / 2 * 4 + q % 2 + 2 * half } else { 2 * q + half };
            lanes[q][lane] = if shared == 16 { 2 * block + lane % 8 / 4 } else { block } as i32;
            lane += 1;
        }
        q += 1;
    }
    lanes
}

/// # Safety
/// As for [`dot`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot_groups<B: Groups>(weights: &[u8], x: Row<'_>) -> f32 {
    let blocks = x.scales.len();
    let row = weights.as_ptr();
    let values = x.values.as_ptr();
    let zero = _mm512_setzero_si512();
    let zero_point = _mm512_set1_epi8(B::ZERO_POINT.cast_signed());
    let lanes = const { scale_lanes(B::SHARED, B::CROSSED) };
    let mut sums = [_mm512_setzero_ps(); 2];
    let mut offset = _mm256_setzero_ps();
    // SAFETY: the row and the activations hold `blocks` blocks, and `lanes` has four times sixteen numbers.
    unsafe {
        let mut spread = [zero; 4];
        for q in 0..4 {
            spread[q] = _mm512_loadu_si512(lanes[q].as_ptr().cast());
        }
        let twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
        for group in 0..blocks / 8 {
            let from = values.add(256 * group);
            let (mut of_x, mut begin) = ([zero; 4], [zero; 4]);
            for q in 0..4 {
                of_x[q] = if B::CROSSED {
                    let first = from.add(q / 2 * 128 + q % 2 * 32);
                    let low = _mm512_castsi256_si512(_mm256_loadu_si256(first.cast()));
                    _mm512_inserti64x4::<1>(low, _mm256_loadu_si256(first.add(64).cast()))
                } else {
                    _mm512_loadu_si512(from.add(64 * q).cast())
                };
                if B::ZERO_POINT != 0 {
                    begin[q] = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, zero_point, of_x[q]));
                }
            }
            let x_scales = _mm512_castps256_ps512(_mm256_loadu_ps(x.scales.as_ptr().add(8 * group)));
            let x_scales = if B::SHARED == 16 { _mm512_permutexvar_ps(twice, x_scales) } else { x_scales };
            let bytes = 256 / B::WEIGHTS * B::BYTES;
            prefetch(row.wrapping_add(group * bytes), bytes);
            let (scales, minima) = B::all_scales(row, group);
            let scales = _mm512_mul_ps(scales, x_scales);
            if B::ZERO_POINT == 0 {
                offset = _mm256_fmadd_ps(minima, _mm256_loadu_ps(x.sums_32.as_ptr().add(8 * group)), offset);
            }
            let quarters = B::quarters(row, group);
            for q in 0..4 {
                let products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(begin[q], quarters[q], of_x[q]));
                sums[q % 2] = _mm512_fmadd_ps(products, _mm512_permutexvar_ps(spread[q], scales), sums[q % 2]);
            }
        }
        // Only formats with blocks of 32 come here; each begins with its f16 scale.
        for b in (blocks / 8 * 8..blocks).step_by(2) {
            let last = b + 1 == blocks;
            let there: u64 = if last { 0xffff_ffff } else { u64::MAX };
            let of_x = _mm512_maskz_loadu_epi8(there, values.add(32 * b));
            let begin = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, zero_point, of_x));
            let x_scale = |i: usize| if last { x.scales[b] } else { x.scales[b + i] };
            let at = |i: usize| {
                let i = if last { 0 } else { i };
                i32::from(row.add((b + i) * B::BYTES).cast::<u16>().read_unaligned())
            };
            let halves = _mm_cvtph_ps(_mm_cvtsi32_si128(at(0) | at(1) << 16));
            let scales = _mm_mul_ps(halves, _mm_setr_ps(x_scale(0), x_scale(1), 0.0, 0.0));
            let scales = _mm512_permutexvar_ps(spread[0], _mm512_castps128_ps512(scales));
            let products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(begin, B::pair(row, b, last), of_x));
            sums[0] = _mm512_fmadd_ps(products, scales, sums[0]);
        }
    }
    let both = _mm512_add_ps(sums[0], sums[1]);
    // SAFETY: this function has AVX2.
    unsafe {
        let halves = _mm256_add_ps(_mm512_castps512_ps256(both), _mm512_extractf32x8_ps::<1>(both));
        avx2::sum(_mm256_sub_ps(halves, offset))
    }
}
