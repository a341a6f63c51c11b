//! Attention with AVX-512: twice eight floats at a time, from two panels of keys or from one value.

use std::arch::x86_64::*;

use crate::isa::attention::{self, Vector};
use crate::kv_cache::{Head, Query, Scoring};

/// Attention of some queries to one head.
///
/// # Safety
/// The processor has AVX-512 (F, BW, DQ, VL), AVX2, FMA and F16C. The positions of each query are in the head's cache, at least one of
/// them.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(crate) unsafe fn attend(scoring: Scoring, head: Head<'_>, queries: &mut [Query<'_>]) {
    // SAFETY: the caller's promise.
    unsafe { attention::attend::<__m512>(scoring, head, queries) }
}

impl Vector for __m512 {
    const EIGHTS: usize = 2;
    type Narrow = __m256;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        // SAFETY: register operations and unaligned reads and writes, under the caller's promise; so below.
        unsafe { _mm512_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_set1_ps(from.read()) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32, apart: usize) -> __m512 {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(apart)));
            _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high)
        }
    }
    #[inline(always)]
    unsafe fn of_halves(from: *const u16, apart: usize) -> __m512 {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(apart).cast()));
            _mm512_cvtph_ps(_mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high))
        }
    }
    #[inline(always)]
    unsafe fn of_bytes(from: *const i8, apart: usize) -> __m512 {
        // SAFETY: as above.
        unsafe {
            let (low, high) = (_mm_loadl_epi64(from.cast()), _mm_loadl_epi64(from.add(apart).cast()));
            _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpacklo_epi64(low, high)))
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, apart: usize) {
        // SAFETY: as above.
        unsafe {
            _mm256_storeu_ps(to, _mm512_castps512_ps256(self));
            _mm256_storeu_ps(to.add(apart), _mm512_extractf32x8_ps::<1>(self));
        }
    }
    #[inline(always)]
    unsafe fn times(self, other: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn add_product(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }
}
