//! The kernels for x86-64 with AVX-512 (F, BW, DQ, VL) and its byte products (VNNI): twice as wide as the AVX2 kernels, and
//! one instruction where those need three.
//!
//! `dpbusd` multiplies unsigned bytes with signed ones and adds four products to a 32-bit lane. With one token, the weights
//! are the unsigned side, and the sums begin at minus what their zero point adds: everything stays exact until the scales.
//! With many tokens, the activations are the unsigned side (128 is added to them when they are quantized) and the sums begin
//! at what that adds, which is a matter of the weights alone.
//!
//! As in the AVX2 kernels, loops run over indices, since closures would be compiled without these instructions.
#![allow(clippy::needless_range_loop)]

pub(crate) mod strips;

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use crate::activations::Row;
use crate::avx2::{self, Bf16, Blocks, F16, F32, Floats, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0};
use crate::format::Format;
use crate::panel::PanelRows;

/// Rows in a panel: two registers of lanes.
pub(crate) const ROWS: usize = 32;

/// One row of weights times one row of activations. Rows go one after the other: one stream through memory is read faster than
/// two.
///
/// # Safety
/// The processor has this level. `weights` is a whole row of `format`, as wide as `x`.
#[inline]
pub(crate) unsafe fn dot(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
    // SAFETY: the caller's promises are those of each kernel.
    unsafe {
        match format {
            Format::F32 => dot_floats::<F32>(weights, x.floats),
            Format::F16 => dot_floats::<F16>(weights, x.floats),
            Format::Bf16 => dot_floats::<Bf16>(weights, x.floats),
            Format::Q8_0 => dot_groups::<Q8_0>(weights, x),
            Format::Q4_0 => dot_groups::<Q4_0>(weights, x),
            Format::Q5_0 => dot_groups::<Q5_0>(weights, x),
            Format::Q4K => dot_groups::<Q4K>(weights, x),
            Format::Q5K => dot_groups::<Q5K>(weights, x),
            Format::Q6K => dot_groups::<Q6K>(weights, x),
        }
    }
}

/// Adds 32 rows of weights times each token's activations to `sums: [tokens][32]`.
///
/// # Safety
/// The processor has this level. `rows` are whole rows or strips of `format` with `columns` weights a row, and `x` gives rows of
/// activations as wide, whose quantized values have had 128 added.
pub(crate) unsafe fn multiply_panel<'x>(
    format: Format,
    rows: &PanelRows<'_, ROWS>,
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's promises are those of each kernel.
    unsafe {
        match format {
            Format::F32 => panel_floats::<F32>(rows.apart(), columns, x, sums),
            Format::F16 => panel_floats::<F16>(rows.apart(), columns, x, sums),
            Format::Bf16 => panel_floats::<Bf16>(rows.apart(), columns, x, sums),
            Format::Q8_0 => panel_blocks::<Q8_0>(rows, columns, x, sums),
            Format::Q4_0 => panel_blocks::<Q4_0>(rows, columns, x, sums),
            Format::Q5_0 => panel_blocks::<Q5_0>(rows, columns, x, sums),
            Format::Q4K => panel_blocks::<Q4K>(rows, columns, x, sums),
            Format::Q5K => panel_blocks::<Q5K>(rows, columns, x, sums),
            Format::Q6K => panel_blocks::<Q6K>(rows, columns, x, sums),
        }
    }
}

/// How a quantized format fills registers of 64 unsigned weights. Every function needs this level, and a pointer to a whole
/// row that has the blocks.
trait Groups: Blocks {
    /// What is taken off each unsigned value; zero where the format has minima instead.
    const ZERO_POINT: i8;
    /// True where the weights of a register belong to blocks 0 and 2, 1 and 3, 4 and 6, 5 and 7 of their eight.
    const CROSSED: bool = false;
    /// Weights that share a scale.
    const SHARED: usize = 32;

    /// The 256 weights of the eight blocks from `8 * group`.
    unsafe fn quarters(row: *const u8, group: usize) -> [__m512i; 4];

    /// Their scales, 8 of them or 16 (where 16 weights share one), and their minima.
    unsafe fn all_scales(row: *const u8, group: usize) -> (__m512, __m256);

    /// The 64 weights of blocks `b` and `b + 1`, for what is left over; where `last`, there is only block `b`, and the upper
    /// half may be anything that a register can hold.
    unsafe fn pair(row: *const u8, b: usize, last: bool) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            let low = Self::unpack(row, b);
            let high = Self::unpack(row, if last { b } else { b + 1 });
            let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
            if Self::LARGEST == 0 { _mm512_xor_si512(both, _mm512_set1_epi8(-128)) } else { both }
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
    const ZERO_POINT: i8 = 8;

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
    const ZERO_POINT: i8 = -128; // of the bytes with their upper bit turned

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
    const ZERO_POINT: i8 = 16;

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
        unsafe { (_mm512_castps256_ps512(Self::scales(row, group).0), _mm256_setzero_ps()) }
    }
}

impl Groups for Q4K {
    const ZERO_POINT: i8 = 0;
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
            let (scales, minima) = Self::scales(row, group);
            (_mm512_castps256_ps512(scales), minima)
        }
    }
}

impl Groups for Q5K {
    const ZERO_POINT: i8 = 0;
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
            let (scales, minima) = Self::scales(row, group);
            (_mm512_castps256_ps512(scales), minima)
        }
    }
}

impl Groups for Q6K {
    const ZERO_POINT: i8 = 32;
    const SHARED: usize = 16;

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
    let zero_point = _mm512_set1_epi8(B::ZERO_POINT);
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
            let bytes = 256 / B::FORMAT.block_weights() * B::FORMAT.block_bytes();
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
                i32::from(row.add((b + i) * B::FORMAT.block_bytes()).cast::<u16>().read_unaligned())
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

/// Bytes that are asked for ahead of their use: the best of four distances that were tried on a Zen 4.
const AHEAD: usize = 4608;

/// Asks for the `bytes` bytes that follow [`AHEAD`] of `from`: the rows of a matrix lie one after the other, so they are those
/// of one of the next rows. Without this, one core reads at three quarters of
/// the speed. Beyond the matrix this does nothing.
#[inline(always)]
unsafe fn prefetch(from: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        // SAFETY: a prefetch touches nothing, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD + line).cast()) };
    }
}

/// Sixteen weights as floats; eight are `Floats::load`.
#[inline(always)]
unsafe fn sixteen<F: Floats>(row: *const u8, index: usize) -> __m512 {
    // SAFETY: the row has sixteen weights from `index`.
    unsafe {
        match F::FORMAT {
            Format::F32 => _mm512_loadu_ps(row.add(4 * index).cast()),
            Format::F16 => _mm512_cvtph_ps(_mm256_loadu_si256(row.add(2 * index).cast())),
            _ => {
                let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(row.add(2 * index).cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
            }
        }
    }
}

/// # Safety
/// As for [`dot`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot_floats<F: Floats>(weights: &[u8], x: &[f32]) -> f32 {
    let (row, whole) = (weights.as_ptr(), x.len() / 16);
    let mut sums = [_mm512_setzero_ps(); 4];
    // SAFETY: all indices are below `whole`, so all have sixteen numbers from sixteen times them.
    unsafe {
        for four in 0..whole / 4 {
            let bytes = 64 * F::FORMAT.block_bytes();
            prefetch(row.wrapping_add(four * bytes), bytes);
            for lane in 0..4 {
                let i = 16 * (4 * four + lane);
                sums[lane] = _mm512_fmadd_ps(sixteen::<F>(row, i), _mm512_loadu_ps(x.as_ptr().add(i)), sums[lane]);
            }
        }
        for i in whole / 4 * 4..whole {
            let of_x = _mm512_loadu_ps(x.as_ptr().add(16 * i));
            sums[0] = _mm512_fmadd_ps(sixteen::<F>(row, 16 * i), of_x, sums[0]);
        }
    }
    let tail = &x[whole * 16..];
    let mut rest = [0f32; 16];
    avx2::float_tail(F::FORMAT, weights, whole * 16, &mut rest[..tail.len()]);
    let rest: f32 = rest.iter().zip(tail).map(|(w, x)| w * x).sum();
    let [a, b, c, d] = sums;
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d))) + rest
}

/// Columns in a panel of bytes: with its scales, it fills most of a 32 KiB cache.
const PANEL_COLUMNS: usize = 512;
/// Columns in a panel of floats.
const PANEL_FLOATS: usize = 128;
/// Tokens that pass over a panel together.
const TOKENS_AT_ONCE: usize = 4;

/// 32 rows, column-interleaved: two registers of sixteen rows stand side by side.
#[repr(C, align(64))]
struct Panel {
    blocks: [PanelBlock; PANEL_COLUMNS / 32],
}

#[repr(C, align(64))]
struct PanelBlock {
    values: [[__m512i; 2]; 8], // [group of 4 columns]: 4 signed bytes of each row
    begin: [[__m512i; 2]; 2], // [16 columns]: minus 128 times the sum of these values; the second only where scales differ
    scales: [[__m512; 2]; 2], // [16 columns]: one lane a row; the second only where they differ
    minima: [__m512; 2],      // one lane a row, of formats that have them
}

/// # Safety
/// As for [`multiply_panel`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn panel_blocks<'x, B: Groups>(
    rows: &PanelRows<'_, ROWS>,
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    let mut panel = MaybeUninit::<Panel>::uninit();
    let mut column = 0;
    while column < columns {
        let width = (columns - column).min(PANEL_COLUMNS);
        // SAFETY: the rows hold the blocks of these columns; what `fill` writes of the panel is what the kernel reads.
        unsafe {
            let blocks = (&raw mut (*panel.as_mut_ptr()).blocks).cast::<PanelBlock>();
            match rows {
                PanelRows::Apart(rows) => fill::<B>(blocks, rows, column / 32, width / 32),
                PanelRows::InStrips(strips, _) => strips::fill(B::FORMAT, blocks, *strips, column / 32, width / 32),
            }
            let mut token = 0;
            while token + TOKENS_AT_ONCE <= sums.len() {
                let x = |i| x(token + i);
                pass::<B, TOKENS_AT_ONCE>(blocks, column / 32, width / 32, x, &mut sums[token..]);
                token += TOKENS_AT_ONCE;
            }
            while token < sums.len() {
                pass::<B, 1>(blocks, column / 32, width / 32, |i| x(token + i), &mut sums[token..]);
                token += 1;
            }
        }
        column += width;
    }
}

/// Two registers of eight lanes as one of sixteen.
#[inline(always)]
unsafe fn join(low: __m256, high: __m256) -> __m512 {
    // SAFETY: register operations, under the caller's promise of this level.
    unsafe { _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high) }
}

/// Unpacks `blocks` blocks of 32 rows from block `first`, a multiple of 8.
///
/// # Safety
/// The rows hold these blocks, and the panel has room.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn fill<B: Groups>(panel: *mut PanelBlock, rows: &[&[u8]; ROWS], first: usize, blocks: usize) {
    // SAFETY: the caller's promise; every index below is of a block in the rows and of a place in the panel.
    unsafe {
        let zero_point = _mm512_set1_epi8(if B::LARGEST == 0 { 0 } else { B::ZERO_POINT });
        let offset = _mm512_set1_epi8(-128); // 128 as an unsigned byte
        for b in 0..blocks {
            let place = &raw mut *panel.add(b);
            for side in 0..2 {
                let mut eights = [[_mm256_setzero_si256(); 8]; 2];
                for eight in 0..2 {
                    for r in 0..8 {
                        eights[eight][r] = B::unpack(rows[16 * side + 8 * eight + r].as_ptr(), first + b);
                    }
                    eights[eight] = avx2::transpose(eights[eight]);
                }
                let mut sums = [_mm512_setzero_si512(); 2];
                for group in 0..8 {
                    let both = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(eights[0][group]), eights[1][group]);
                    let signed = _mm512_sub_epi8(both, zero_point);
                    sums[group / 4] = _mm512_dpbusd_epi32(sums[group / 4], offset, signed);
                    (*place).values[group][side] = signed;
                }
                if B::SHARED == 32 {
                    sums[0] = _mm512_add_epi32(sums[0], sums[1]);
                }
                for half in 0..2 {
                    (*place).begin[half][side] = _mm512_sub_epi32(_mm512_setzero_si512(), sums[half]);
                }
            }
        }
        for group in 0..blocks / 8 {
            for side in 0..2 {
                let (mut of_scales, mut more, mut of_minima) =
                    ([[_mm256_setzero_ps(); 8]; 2], [[_mm256_setzero_ps(); 8]; 2], [[_mm256_setzero_ps(); 8]; 2]);
                for eight in 0..2 {
                    for r in 0..8 {
                        let row = rows[16 * side + 8 * eight + r].as_ptr();
                        let (scales, minima) = B::all_scales(row, first / 8 + group);
                        of_scales[eight][r] = _mm512_castps512_ps256(scales);
                        more[eight][r] = _mm512_extractf32x8_ps::<1>(scales);
                        of_minima[eight][r] = minima;
                    }
                    of_scales[eight] = avx2::transpose_floats(of_scales[eight]);
                    if B::SHARED == 16 {
                        more[eight] = avx2::transpose_floats(more[eight]);
                    }
                    if B::ZERO_POINT == 0 {
                        of_minima[eight] = avx2::transpose_floats(of_minima[eight]);
                    }
                }
                for part in 0..8 {
                    let scales = join(of_scales[0][part], of_scales[1][part]);
                    let place = &raw mut *panel.add(8 * group + part);
                    if B::SHARED == 16 {
                        // Sixteen scales for eight blocks.
                        (*panel.add(8 * group + part / 2)).scales[part % 2][side] = scales;
                        let scales = join(more[0][part], more[1][part]);
                        (*panel.add(8 * group + 4 + part / 2)).scales[part % 2][side] = scales;
                    } else {
                        (*place).scales[0][side] = scales;
                        (*place).minima[side] = join(of_minima[0][part], of_minima[1][part]);
                    }
                }
            }
        }
        for b in blocks / 8 * 8..blocks {
            // Only formats with blocks of 32 come here; each begins with its f16 scale.
            let mut halves = [0u16; ROWS];
            for r in 0..ROWS {
                halves[r] = rows[r].as_ptr().add((first + b) * B::FORMAT.block_bytes()).cast::<u16>().read_unaligned();
            }
            for side in 0..2 {
                (*panel.add(b)).scales[0][side] =
                    _mm512_cvtph_ps(_mm256_loadu_si256(halves[16 * side..].as_ptr().cast()));
            }
        }
    }
}

/// Passes `T` tokens over a filled panel whose first block is block `first` of the row.
///
/// # Safety
/// `blocks` blocks of the panel are filled, the activations have blocks `first..first + blocks`, and `sums` has `T` rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn pass<'x, B: Groups, const T: usize>(
    panel: *const PanelBlock,
    first: usize,
    blocks: usize,
    x: impl Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's promise; all indices stay below `blocks`.
    unsafe {
        let rows: [Row<'_>; T] = std::array::from_fn(x);
        let values: [*const i8; T] = rows.map(|row| row.values.as_ptr().add(32 * first));
        let x_scales: [*const f32; T] = rows.map(|row| row.scales.as_ptr().add(first));
        let x_sums: [*const f32; T] = rows.map(|row| row.sums_32.as_ptr().add(first));
        let mut totals = [[_mm512_setzero_ps(); 2]; T];
        for t in 0..T {
            for side in 0..2 {
                totals[t][side] = _mm512_loadu_ps(sums[t][16 * side..].as_ptr());
            }
        }
        for b in 0..blocks {
            let block = &raw const *panel.add(b);
            let halves = 32 / B::SHARED;
            for half in 0..halves {
                let mut lanes = [(*block).begin[half]; T];
                for group in half * 8 / halves..(half + 1) * 8 / halves {
                    let [w0, w1] = (*block).values[group];
                    for t in 0..T {
                        let four = values[t].add(32 * b + 4 * group).cast::<i32>().read_unaligned();
                        let four = _mm512_set1_epi32(four);
                        lanes[t][0] = _mm512_dpbusd_epi32(lanes[t][0], four, w0);
                        lanes[t][1] = _mm512_dpbusd_epi32(lanes[t][1], four, w1);
                    }
                }
                let scales = (*block).scales[half];
                for t in 0..T {
                    let x_scale = _mm512_set1_ps(*x_scales[t].add(b));
                    for side in 0..2 {
                        totals[t][side] = _mm512_fmadd_ps(
                            _mm512_cvtepi32_ps(lanes[t][side]),
                            _mm512_mul_ps(scales[side], x_scale),
                            totals[t][side],
                        );
                    }
                }
            }
            if B::ZERO_POINT == 0 {
                let minima = (*block).minima;
                for t in 0..T {
                    let sum = _mm512_set1_ps(*x_sums[t].add(b));
                    for side in 0..2 {
                        totals[t][side] = _mm512_fnmadd_ps(minima[side], sum, totals[t][side]);
                    }
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

/// # Safety
/// As for [`multiply_panel`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn panel_floats<'x, F: Floats>(
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
                    parts[part] = avx2::transpose_floats(parts[part]);
                }
                for c in 0..8 {
                    panel[column + c].write([join(parts[0][c], parts[1][c]), join(parts[2][c], parts[3][c])]);
                }
            }
        }
        if whole < width {
            let mut tails = [[0f32; 8]; ROWS];
            for (row, tail) in rows.iter().zip(&mut tails) {
                avx2::float_tail(F::FORMAT, row, first + whole, &mut tail[..width - whole]);
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

/// Quantizes rows of activations in blocks of 32, as `Activations` says; for panels, 128 is added to each value.
///
/// # Safety
/// The processor has this level.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(crate) unsafe fn quantize(
    x: &[f32],
    values: &mut [i8],
    scales: &mut [f32],
    sums_32: &mut [f32],
    sums_16: &mut [f32],
    for_panels: bool,
) {
    let offset = _mm_set1_epi8(if for_panels { -128 } else { 0 });
    let blocks = x.as_chunks::<32>().0.iter().zip(values.as_chunks_mut::<32>().0);
    let results = scales.iter_mut().zip(sums_32).zip(sums_16.as_chunks_mut::<2>().0);
    for ((x, values), ((scale, sum_32), sums_16)) in blocks.zip(results) {
        // SAFETY: a block has 32 numbers and 32 values.
        unsafe {
            let (low, high) = (_mm512_loadu_ps(x.as_ptr()), _mm512_loadu_ps(x[16..].as_ptr()));
            let largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
            *scale = largest / 127.0;
            let inverse = _mm512_set1_ps(if largest > 0.0 { 127.0 / largest } else { 0.0 });
            // To the nearest, ties to even: the rounding that the processor is in.
            let low = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
            let high = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
            let to = values.as_mut_ptr();
            _mm_storeu_si128(to.cast(), _mm_xor_si128(_mm512_cvtepi32_epi8(low), offset));
            _mm_storeu_si128(to.add(16).cast(), _mm_xor_si128(_mm512_cvtepi32_epi8(high), offset));
            let (low, high) = (_mm512_reduce_add_epi32(low), _mm512_reduce_add_epi32(high));
            *sums_16 = [*scale * low as f32, *scale * high as f32];
            *sum_32 = *scale * (low + high) as f32;
        }
    }
}
