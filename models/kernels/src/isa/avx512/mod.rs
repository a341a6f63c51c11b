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

pub(crate) mod attention;
pub(crate) mod floats;
pub(crate) mod panel;
pub(crate) mod rows;
pub(crate) mod strips;

use std::arch::x86_64::*;

use crate::activations::Parts;
use crate::formats::Lanes;

/// Rows in a panel: two registers of lanes.
pub(crate) const ROWS: usize = 32;

/// Sixteen rows: a whole strip.
impl Lanes for __m512i {
    type Floats = __m512;

    #[inline(always)]
    unsafe fn words(from: *const u8, _: usize) -> __m512i {
        // SAFETY: the caller has sixteen words.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn splat(byte: u8) -> __m512i {
        // SAFETY: register operations, under the caller's promise of this level; so below.
        unsafe { _mm512_set1_epi8(byte.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn and(self, other: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_and_si512(self, other) }
    }
    #[inline(always)]
    unsafe fn or(self, other: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_or_si512(self, other) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_xor_si512(self, other) }
    }
    #[inline(always)]
    unsafe fn left(self, bits: usize) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_sll_epi16(self, _mm_cvtsi32_si128(bits as i32)) }
    }
    #[inline(always)]
    unsafe fn right(self, bits: usize) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_srl_epi16(self, _mm_cvtsi32_si128(bits as i32)) }
    }
    #[inline(always)]
    unsafe fn nibbles(self, upper: bool) -> __m512i {
        // SAFETY: see above.
        unsafe {
            let bytes = if upper { _mm512_srli_epi16::<4>(self) } else { self };
            _mm512_and_si512(bytes, _mm512_set1_epi8(15))
        }
    }
    #[inline(always)]
    unsafe fn lookup(self, table: &[u8; 16]) -> __m512i {
        // SAFETY: see above; the table has sixteen bytes.
        unsafe { _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast())), self) }
    }
    #[inline(always)]
    unsafe fn halves(from: *const u8, _: usize) -> __m512 {
        // SAFETY: the caller has sixteen f16.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn brain_floats(from: *const u8, _: usize) -> __m512 {
        // SAFETY: the caller has sixteen bf16.
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }
    #[inline(always)]
    unsafe fn signed(from: *const u8, _: usize) -> __m512 {
        // SAFETY: the caller has sixteen bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn unsigned(from: *const u8, _: usize, shift: u32, mask: u8) -> __m512 {
        // SAFETY: the caller has sixteen bytes.
        unsafe {
            let bytes = _mm_loadu_si128(from.cast());
            let bytes = if shift == 0 { bytes } else { _mm_srl_epi16(bytes, _mm_cvtsi32_si128(shift as i32)) };
            let bytes = if mask == 0xff { bytes } else { _mm_and_si128(bytes, _mm_set1_epi8(mask.cast_signed())) };
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))
        }
    }
    #[inline(always)]
    unsafe fn multiply(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn negative(a: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_xor_ps(a, _mm512_set1_ps(-0.0)) }
    }
    #[inline(always)]
    unsafe fn zero() -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_setzero_ps() }
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

/// Two registers of eight lanes as one of sixteen.
#[inline(always)]
unsafe fn join(low: __m256, high: __m256) -> __m512 {
    // SAFETY: register operations, under the caller's promise of this level.
    unsafe { _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high) }
}

/// Quantizes rows of activations in blocks of 32, as `Activations` says; for panels, 128 is added to each value.
///
/// # Safety
/// The processor has this level.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(crate) unsafe fn quantize(x: &[f32], parts: Parts<'_>, for_panels: bool) {
    let Parts { values, scales, sums_32, sums_16 } = parts;
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
