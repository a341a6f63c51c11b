//! Attention with AVX2, and the rounding of what goes into a cache of half floats.

use std::arch::x86_64::*;

use crate::isa::attention::{self, Vector};
use crate::kv_cache::{Head, Query, Scoring};

/// Attention of some queries to one head.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. The positions of each query are in the head's cache, at least one of them.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn attend(scoring: Scoring, head: Head<'_>, queries: &mut [Query<'_>]) {
    // SAFETY: the caller's promise.
    unsafe { attention::attend::<__m256>(scoring, head, queries) }
}

impl Vector for __m256 {
    const EIGHTS: usize = 1;
    type Narrow = __m256;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: register operations and unaligned reads and writes, under the caller's promise; so below.
        unsafe { _mm256_setzero_ps() }
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_broadcast_ss(&*from) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32, _: usize) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn of_halves(from: *const u16, _: usize) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }
    #[inline(always)]
    unsafe fn of_bytes(from: *const i8, _: usize) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, _: usize) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(to, self) }
    }
    #[inline(always)]
    unsafe fn times(self, other: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_mul_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn add_product(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_fmadd_ps(a, b, self) }
    }
}

/// Rounds floats to f16, to the nearest even.
///
/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn to_halves(from: &[f32], to: &mut [u16]) {
    let to = &mut to[..from.len()];
    let (chunks, rest) = from.as_chunks::<8>();
    let (to_chunks, to_rest) = to.as_chunks_mut::<8>();
    for (from, to) in chunks.iter().zip(to_chunks) {
        // SAFETY: both have room for eight numbers.
        unsafe {
            let halves = _mm256_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(_mm256_loadu_ps(from.as_ptr()));
            _mm_storeu_si128(to.as_mut_ptr().cast(), halves);
        }
    }
    for (from, to) in rest.iter().zip(to_rest) {
        *to = half::f16::from_f32(*from).to_bits();
    }
}
