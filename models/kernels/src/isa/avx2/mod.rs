//! The kernels for x86-64 with AVX2, FMA and F16C, and with AVX-VNNI beside them.
//!
//! Products with quantized weights multiply bytes: `maddubs` takes unsigned weights and signed activations and adds pairs;
//! VNNI's `dpbusd` adds four at once ([`Bytes`]); products of single rows, which only mapped weights need, do without it.
//! Weights with a minimum or an offset are unsigned as they are stored, and the offset is taken off through the sums that
//! the activations carry. Signed weights (`Q8_0`, the `IQ4` formats) hand their sign to the activation.
//!
//! Loops here run over indices, and arrays are filled in loops: a closure handed to `map` or `from_fn` is compiled without
//! these instructions unless it happens to be inlined, and is then slower by far.
#![allow(clippy::needless_range_loop)]

pub(crate) mod activations;
pub(crate) mod attention;
pub(crate) mod floats;
pub(crate) mod panel;
pub(crate) mod rows;
pub(crate) mod strips;

use std::arch::x86_64::*;

use crate::formats::Lanes;

/// Rows in a panel.
pub(crate) const ROWS: usize = 8;

/// Eight rows of a strip.
impl Lanes for __m256i {
    type Floats = __m256;

    #[inline(always)]
    unsafe fn words(from: *const u8, rows: usize) -> __m256i {
        // SAFETY: the caller has sixteen words.
        unsafe { _mm256_loadu_si256(from.add(4 * ROWS * rows).cast()) }
    }
    #[inline(always)]
    unsafe fn splat(byte: u8) -> __m256i {
        // SAFETY: register operations, under the caller's promise of AVX2; so below.
        unsafe { _mm256_set1_epi8(byte.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn and(self, other: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(self, other) }
    }
    #[inline(always)]
    unsafe fn or(self, other: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_or_si256(self, other) }
    }
    #[inline(always)]
    unsafe fn xor(self, other: __m256i) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_xor_si256(self, other) }
    }
    #[inline(always)]
    unsafe fn left(self, bits: usize) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_sll_epi16(self, _mm_cvtsi32_si128(bits as i32)) }
    }
    #[inline(always)]
    unsafe fn right(self, bits: usize) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_srl_epi16(self, _mm_cvtsi32_si128(bits as i32)) }
    }
    #[inline(always)]
    unsafe fn nibbles(self, upper: bool) -> __m256i {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(if upper { _mm256_srli_epi16::<4>(self) } else { self }, _mm256_set1_epi8(15)) }
    }
    #[inline(always)]
    unsafe fn lookup(self, table: &[u8; 16]) -> __m256i {
        // SAFETY: see above; the table has sixteen bytes.
        unsafe { _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast())), self) }
    }
    #[inline(always)]
    unsafe fn halves(from: *const u8, rows: usize) -> __m256 {
        // SAFETY: the caller has sixteen f16.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.add(2 * ROWS * rows).cast())) }
    }
    #[inline(always)]
    unsafe fn brain_floats(from: *const u8, rows: usize) -> __m256 {
        // SAFETY: the caller has sixteen bf16.
        unsafe {
            let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(2 * ROWS * rows).cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
        }
    }
    #[inline(always)]
    unsafe fn signed(from: *const u8, rows: usize) -> __m256 {
        // SAFETY: the caller has sixteen bytes.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.add(ROWS * rows).cast()))) }
    }
    #[inline(always)]
    unsafe fn unsigned(from: *const u8, rows: usize, shift: u32, mask: u8) -> __m256 {
        // SAFETY: the caller has sixteen bytes.
        unsafe {
            let bytes = _mm_loadl_epi64(from.add(ROWS * rows).cast());
            let bytes = if shift == 0 { bytes } else { _mm_srl_epi16(bytes, _mm_cvtsi32_si128(shift as i32)) };
            let bytes = if mask == 0xff { bytes } else { _mm_and_si128(bytes, _mm_set1_epi8(mask.cast_signed())) };
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))
        }
    }
    #[inline(always)]
    unsafe fn multiply(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn negative(a: __m256) -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_xor_ps(a, _mm256_set1_ps(-0.0)) }
    }
    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: see above.
        unsafe { _mm256_setzero_ps() }
    }
}

/// How unsigned weights and signed activations are multiplied. Every function needs the instructions of its kind.
pub(crate) trait Bytes {
    /// Whether [`Bytes::add_quads`] is one instruction; where it is not, sums of pairs are gathered in 16 bits first.
    const QUADS: bool;

    /// Adds sums of four products each to eight lanes.
    unsafe fn add_quads(sums: __m256i, weights: __m256i, x: __m256i) -> __m256i;
}

/// AVX2 alone.
pub(crate) struct Pairs;
/// AVX-VNNI, as processors without AVX-512 have it (Alder Lake and its like, the N100).
pub(crate) struct Vex;
/// The same instruction as AVX-512 encodes it, on 256 bits.
pub(crate) struct Evex;

impl Bytes for Pairs {
    const QUADS: bool = false;

    #[inline(always)]
    unsafe fn add_quads(sums: __m256i, weights: __m256i, x: __m256i) -> __m256i {
        // SAFETY: register operations, under the caller's promise of AVX2.
        unsafe {
            let pairs = _mm256_maddubs_epi16(weights, x);
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
}

impl Bytes for Vex {
    const QUADS: bool = true;

    #[inline(always)]
    unsafe fn add_quads(sums: __m256i, weights: __m256i, x: __m256i) -> __m256i {
        // SAFETY: register operations, under the caller's promise of AVX-VNNI.
        unsafe { _mm256_dpbusd_avx_epi32(sums, weights, x) }
    }
}

impl Bytes for Evex {
    const QUADS: bool = true;

    #[inline(always)]
    unsafe fn add_quads(sums: __m256i, weights: __m256i, x: __m256i) -> __m256i {
        // SAFETY: register operations, under the caller's promise of AVX-512 with VNNI and VL.
        unsafe { _mm256_dpbusd_epi32(sums, weights, x) }
    }
}

/// The sum of eight lanes.
#[inline(always)]
pub(crate) unsafe fn sum(lanes: __m256) -> f32 {
    // SAFETY: register operations, under the caller's promise of AVX2.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    }
}

/// Eight registers of eight 32-bit lanes, rows and columns exchanged.
#[inline(always)]
pub(crate) unsafe fn transpose(rows: [__m256i; 8]) -> [__m256i; 8] {
    // SAFETY: register operations, under the caller's promise of AVX2.
    unsafe {
        let pair =
            |i: usize| (_mm256_unpacklo_epi32(rows[i], rows[i + 1]), _mm256_unpackhi_epi32(rows[i], rows[i + 1]));
        let ((a0, a1), (b0, b1), (c0, c1), (d0, d1)) = (pair(0), pair(2), pair(4), pair(6));
        let quad = |a, b| (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        let ((e0, e1), (e2, e3)) = (quad(a0, b0), quad(a1, b1));
        let ((f0, f1), (f2, f3)) = (quad(c0, d0), quad(c1, d1));
        let low = |a, b| _mm256_permute2x128_si256::<0x20>(a, b);
        let high = |a, b| _mm256_permute2x128_si256::<0x31>(a, b);
        [low(e0, f0), low(e1, f1), low(e2, f2), low(e3, f3), high(e0, f0), high(e1, f1), high(e2, f2), high(e3, f3)]
    }
}

/// The same for floats.
#[inline(always)]
pub(crate) unsafe fn transpose_floats(rows: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: register operations, under the caller's promise of AVX2.
    unsafe {
        let mut bits = [_mm256_setzero_si256(); 8];
        for r in 0..8 {
            bits[r] = _mm256_castps_si256(rows[r]);
        }
        let bits = transpose(bits);
        let mut columns = rows;
        for c in 0..8 {
            columns[c] = _mm256_castsi256_ps(bits[c]);
        }
        columns
    }
}
