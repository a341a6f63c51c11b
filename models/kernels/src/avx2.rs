//! The kernels for x86-64 with AVX2, FMA and F16C, and with AVX-VNNI beside them.
//!
//! Products with quantized weights multiply bytes: `maddubs` takes unsigned weights and signed activations and adds pairs;
//! VNNI's `dpbusd` adds four at once ([`Bytes`]); products of single rows, which only mapped weights need, do without it.
//! Weights with a minimum or an offset are unsigned as they are stored, and the offset is taken off through the sums that
//! the activations carry. `Q8_0` weights are signed: their sign goes over to the activation.
//!
//! Loops here run over indices, and arrays are filled in loops: a closure handed to `map` or `from_fn` is compiled without
//! these instructions unless it happens to be inlined, and is then slower by far.
#![allow(clippy::needless_range_loop)]

pub(crate) mod attention;
pub(crate) mod strips;

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use crate::activations::Row;
use crate::format::Format;
use crate::panel::PanelRows;
use crate::scalar;

/// Rows in a panel.
pub(crate) const ROWS: usize = 8;

/// `R` rows of weights times one row of activations. Rows that go together hide each other's waits.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. `weights` are whole rows of `format`, as wide as `x`.
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
                Format::Q4_0 | Format::Q4K => unreachable!("returned above"),
            };
        }
    }
    sums
}

/// Adds eight rows of weights times each token's activations to `sums: [tokens][8]`.
///
/// # Safety
/// The processor has AVX2, FMA, F16C and the instructions of `M`. `rows` are whole rows or strips of `format` with `columns`
/// weights a row, and `x` gives rows of activations as wide.
pub(crate) unsafe fn multiply_panel<'x, M: PanelPass>(
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
            Format::Q8_0 => panel_blocks::<Q8_0, M>(rows, columns, x, sums),
            Format::Q4_0 => panel_blocks::<Q4_0, M>(rows, columns, x, sums),
            Format::Q5_0 => panel_blocks::<Q5_0, M>(rows, columns, x, sums),
            Format::Q4K => panel_blocks::<Q4K, M>(rows, columns, x, sums),
            Format::Q5K => panel_blocks::<Q5K, M>(rows, columns, x, sums),
            Format::Q6K => panel_blocks::<Q6K, M>(rows, columns, x, sums),
        }
    }
}

/// A quantized format: how 32 weights become bytes in a register, and what scales them. Every function needs AVX2, FMA and
/// F16C, and a pointer to a whole row that has the block.
pub(crate) trait Blocks {
    const FORMAT: Format;
    /// The largest unpacked value; 0 for signed bytes.
    const LARGEST: i32;

    /// The 32 weights of block `b` in order: unsigned, or signed bytes.
    unsafe fn unpack(row: *const u8, b: usize) -> __m256i;

    /// Scales and minima of the eight blocks from `8 * group`.
    unsafe fn scales(row: *const u8, group: usize) -> (__m256, __m256);
}

pub(crate) struct Q8_0;
pub(crate) struct Q4_0;
pub(crate) struct Q5_0;
pub(crate) struct Q4K;
pub(crate) struct Q5K;
pub(crate) struct Q6K;

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
    const FORMAT: Format = Format::Q8_0;
    const LARGEST: i32 = 0;

    #[inline(always)]
    unsafe fn unpack(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe { _mm256_loadu_si256(row.add(b * 34 + 2).cast()) }
    }

    #[inline(always)]
    unsafe fn scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the eight blocks are in the row.
        unsafe { (eight_scales(row.add(group * 8 * 34), 34), _mm256_setzero_ps()) }
    }
}

impl Blocks for Q4_0 {
    const FORMAT: Format = Format::Q4_0;
    const LARGEST: i32 = 15;

    #[inline(always)]
    unsafe fn unpack(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe { nibbles(row.add(b * 18 + 2)) }
    }

    #[inline(always)]
    unsafe fn scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the eight blocks are in the row.
        unsafe {
            let scales = eight_scales(row.add(group * 8 * 18), 18);
            (scales, _mm256_mul_ps(scales, _mm256_set1_ps(8.0)))
        }
    }
}

impl Blocks for Q5_0 {
    const FORMAT: Format = Format::Q5_0;
    const LARGEST: i32 = 31;

    #[inline(always)]
    unsafe fn unpack(row: *const u8, b: usize) -> __m256i {
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
    unsafe fn scales(row: *const u8, group: usize) -> (__m256, __m256) {
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
    const FORMAT: Format = Format::Q4K;
    const LARGEST: i32 = 15;

    #[inline(always)]
    unsafe fn unpack(row: *const u8, b: usize) -> __m256i {
        // SAFETY: block `b` is in the row.
        unsafe {
            let part = b % 8;
            let packed = _mm256_loadu_si256(row.add(b / 8 * 144 + 16 + part / 2 * 32).cast());
            let shifted = if part % 2 == 1 { _mm256_srli_epi16::<4>(packed) } else { packed };
            _mm256_and_si256(shifted, _mm256_set1_epi8(15))
        }
    }

    #[inline(always)]
    unsafe fn scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the block is in the row.
        unsafe { k_scales(row.add(group * 144)) }
    }
}

impl Blocks for Q5K {
    const FORMAT: Format = Format::Q5K;
    const LARGEST: i32 = 31;

    #[inline(always)]
    unsafe fn unpack(row: *const u8, b: usize) -> __m256i {
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
    unsafe fn scales(row: *const u8, group: usize) -> (__m256, __m256) {
        // SAFETY: the block is in the row.
        unsafe { k_scales(row.add(group * 176)) }
    }
}

impl Blocks for Q6K {
    const FORMAT: Format = Format::Q6K;
    const LARGEST: i32 = 63;

    #[inline(always)]
    unsafe fn unpack(row: *const u8, b: usize) -> __m256i {
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
    unsafe fn scales(_: *const u8, _: usize) -> (__m256, __m256) {
        // SAFETY: register operations, under the caller's promise of AVX2.
        unsafe { (_mm256_setzero_ps(), _mm256_setzero_ps()) }
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

/// Sums of four products each: 32 weights times 32 activations in eight lanes.
#[inline(always)]
unsafe fn products<B: Blocks>(weights: __m256i, x: __m256i) -> __m256i {
    // SAFETY: register operations, under the caller's promise of AVX2.
    unsafe {
        let (weights, x) =
            if B::LARGEST == 0 { (_mm256_abs_epi8(weights), _mm256_sign_epi8(x, weights)) } else { (weights, x) };
        Pairs::add_quads(_mm256_setzero_si256(), weights, x)
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
                let (scales, minima) = B::scales(weights[r].as_ptr(), group);
                let scales = _mm256_mul_ps(scales, _mm256_loadu_ps(x.scales.as_ptr().add(8 * group)));
                if B::LARGEST != 0 {
                    offsets[r] =
                        _mm256_fmadd_ps(minima, _mm256_loadu_ps(x.sums_32.as_ptr().add(8 * group)), offsets[r]);
                }
                _mm256_storeu_ps(each[r].as_mut_ptr(), scales);
            }
            for part in 0..8 {
                let b = 8 * group + part;
                let x = _mm256_loadu_si256(values.add(32 * b).cast());
                for r in 0..R {
                    let products = _mm256_cvtepi32_ps(products::<B>(B::unpack(weights[r].as_ptr(), b), x));
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
            let scale = scalar::half_at(weights[r], b * B::FORMAT.block_bytes());
            // SAFETY: the rows and the activations hold block `b`.
            unsafe {
                let x_values = _mm256_loadu_si256(values.add(32 * b).cast());
                let products = _mm256_cvtepi32_ps(products::<B>(B::unpack(weights[r].as_ptr(), b), x_values));
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

/// What the formats with blocks of 32 take off each value.
#[inline(always)]
const fn zero_point<B: Blocks>() -> f32 {
    ((B::LARGEST + 1) / 2) as f32
}

/// # Safety
/// As for [`dots`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_q6k(weights: &[u8], x: Row<'_>) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 2];
    let mut offset = _mm256_setzero_ps();
    for (group, block) in weights.chunks_exact(210).enumerate() {
        let d = scalar::half_at(block, 208);
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
                    Q6K::unpack(weights.as_ptr(), b),
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

/// A float format: how eight weights become eight floats.
pub(crate) trait Floats {
    const FORMAT: Format;

    /// Eight weights from number `index` of the row.
    unsafe fn load(row: *const u8, index: usize) -> __m256;
}

pub(crate) struct F32;
pub(crate) struct F16;
pub(crate) struct Bf16;

impl Floats for F32 {
    const FORMAT: Format = Format::F32;

    #[inline(always)]
    unsafe fn load(row: *const u8, index: usize) -> __m256 {
        // SAFETY: the row has eight weights from `index`.
        unsafe { _mm256_loadu_ps(row.add(4 * index).cast()) }
    }
}

impl Floats for F16 {
    const FORMAT: Format = Format::F16;

    #[inline(always)]
    unsafe fn load(row: *const u8, index: usize) -> __m256 {
        // SAFETY: the row has eight weights from `index`.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(row.add(2 * index).cast())) }
    }
}

impl Floats for Bf16 {
    const FORMAT: Format = Format::Bf16;

    #[inline(always)]
    unsafe fn load(row: *const u8, index: usize) -> __m256 {
        // SAFETY: the row has eight weights from `index`.
        unsafe {
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(row.add(2 * index).cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        }
    }
}

/// Reads the weights beyond the last eight.
pub(crate) fn float_tail(format: Format, row: &[u8], from: usize, out: &mut [f32]) {
    let bytes = format.block_bytes();
    scalar::dequantize(format, &row[from * bytes..][..out.len() * bytes], out);
}

/// # Safety
/// As for [`dots`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_floats<F: Floats>(weights: &[u8], x: &[f32]) -> f32 {
    let whole = x.len() / 8;
    let mut sums = [_mm256_setzero_ps(); 4];
    let at = |i: usize| {
        // SAFETY: `i < whole`, so both have eight numbers from `8 * i`.
        unsafe { (F::load(weights.as_ptr(), 8 * i), _mm256_loadu_ps(x.as_ptr().add(8 * i))) }
    };
    for i in 0..whole / 4 {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let (w, x) = at(4 * i + lane);
            *sum = _mm256_fmadd_ps(w, x, *sum);
        }
    }
    for i in whole / 4 * 4..whole {
        let (w, x) = at(i);
        sums[0] = _mm256_fmadd_ps(w, x, sums[0]);
    }
    let mut rest = [0f32; 8];
    let tail = &x[whole * 8..];
    float_tail(F::FORMAT, weights, whole * 8, &mut rest[..tail.len()]);
    let rest: f32 = rest.iter().zip(tail).map(|(w, x)| w * x).sum();
    // SAFETY: this function has AVX2.
    unsafe { sum(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]))) + rest }
}

/// Columns in a panel of bytes: with its scales, it fills most of a 32 KiB cache.
const PANEL_COLUMNS: usize = 2048;
/// Columns in a panel of floats.
const PANEL_FLOATS: usize = 512;
/// Tokens that pass over a panel of bytes together: four sums, four 16-bit sums and the weights fill the registers.
const TOKENS_AT_ONCE: usize = 4;
/// Tokens that pass over a panel of floats together.
const FLOAT_TOKENS_AT_ONCE: usize = 8;

/// Eight rows, column-interleaved.
#[repr(C, align(32))]
pub(crate) struct Panel {
    values: [[__m256i; 8]; PANEL_COLUMNS / 32], // [block][group of 4 columns]: 4 bytes of each of 8 rows
    scales: [[__m256; 2]; PANEL_COLUMNS / 32], // [block][16 columns]: one lane a row; the second only where they differ
    minima: [[__m256; 2]; PANEL_COLUMNS / 32],
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

/// # Safety
/// As for [`multiply_panel`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn panel_blocks<'x, B: Blocks, M: PanelPass>(
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
            let (to, first, blocks) = (panel.as_mut_ptr(), column / 32, width / 32);
            match rows {
                PanelRows::Apart(rows) => fill::<B>(to, rows, first, blocks),
                PanelRows::InStrips([strip, _], half) => strips::fill(B::FORMAT, to, (strip, *half), first, blocks),
            }
            let mut token = 0;
            while token + TOKENS_AT_ONCE <= sums.len() {
                let rows: [Row<'_>; TOKENS_AT_ONCE] = std::array::from_fn(|i| x(token + i));
                M::pass::<B, TOKENS_AT_ONCE>(panel.as_ptr(), first, blocks, rows, &mut sums[token..]);
                token += TOKENS_AT_ONCE;
            }
            while token < sums.len() {
                M::pass::<B, 1>(panel.as_ptr(), first, blocks, [x(token)], &mut sums[token..]);
                token += 1;
            }
        }
        column += width;
    }
}

/// Unpacks `blocks` blocks of eight rows from block `first`, a multiple of 8.
///
/// # Safety
/// The rows hold these blocks, and the panel has room.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn fill<B: Blocks>(panel: *mut Panel, rows: &[&[u8]; ROWS], first: usize, blocks: usize) {
    // SAFETY: the caller's promise; every index below is of a block in the rows and of a place in the panel.
    unsafe {
        let (values, scales, minima) = (&raw mut (*panel).values, &raw mut (*panel).scales, &raw mut (*panel).minima);
        let (values, scales, minima) =
            (values.cast::<[__m256i; 8]>(), scales.cast::<[__m256; 2]>(), minima.cast::<[__m256; 2]>());
        for b in 0..blocks {
            let mut unpacked = [_mm256_setzero_si256(); 8];
            for r in 0..8 {
                unpacked[r] = B::unpack(rows[r].as_ptr(), first + b);
            }
            values.add(b).write(transpose(unpacked));
        }
        for group in 0..blocks / 8 {
            if B::LARGEST == 63 {
                // 16 scales of 8 bits and one f16 for each row: lanes are sub-blocks, until they are transposed.
                let mut both = [[_mm256_setzero_ps(); 8]; 2];
                for half in 0..2 {
                    for r in 0..8 {
                        let block = rows[r].as_ptr().add((first / 8 + group) * 210);
                        let scales = _mm256_cvtepi8_epi32(_mm_loadl_epi64(block.add(192 + 8 * half).cast()));
                        let d =
                            _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(block.add(208).cast::<u16>().read_unaligned())));
                        both[half][r] = _mm256_mul_ps(_mm256_broadcastss_ps(d), _mm256_cvtepi32_ps(scales));
                    }
                    both[half] = transpose_floats(both[half]);
                }
                for part in 0..16 {
                    let scale = both[part / 8][part % 8];
                    let b = group * 8 + part / 2;
                    (*scales.add(b))[part % 2] = scale;
                    (*minima.add(b))[part % 2] = _mm256_mul_ps(scale, _mm256_set1_ps(32.0));
                }
            } else {
                let (mut of_scales, mut of_minima) = ([_mm256_setzero_ps(); 8], [_mm256_setzero_ps(); 8]);
                for r in 0..8 {
                    (of_scales[r], of_minima[r]) = B::scales(rows[r].as_ptr(), first / 8 + group);
                }
                of_scales = transpose_floats(of_scales);
                for part in 0..8 {
                    (*scales.add(group * 8 + part))[0] = of_scales[part];
                }
                if B::LARGEST != 0 {
                    of_minima = transpose_floats(of_minima);
                    for part in 0..8 {
                        (*minima.add(group * 8 + part))[0] = of_minima[part];
                    }
                }
            }
        }
        for b in blocks / 8 * 8..blocks {
            // Only formats with blocks of 32 come here; each begins with its f16 scale.
            let at =
                |r: usize| rows[r].as_ptr().add((first + b) * B::FORMAT.block_bytes()).cast::<i16>().read_unaligned();
            let scale = _mm256_cvtph_ps(_mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
            (*scales.add(b))[0] = scale;
            (*minima.add(b))[0] = _mm256_mul_ps(scale, _mm256_set1_ps(zero_point::<B>()));
        }
    }
}

/// [`pass`], compiled with the instructions of one kind of [`Bytes`].
pub(crate) trait PanelPass {
    /// # Safety
    /// As for [`pass`], and the processor has these instructions.
    unsafe fn pass<B: Blocks, const T: usize>(
        panel: *const Panel,
        first: usize,
        blocks: usize,
        rows: [Row<'_>; T],
        sums: &mut [[f32; ROWS]],
    );
}

macro_rules! panel_pass {
    ($($bytes:ident with $features:literal),*) => {$(
        impl PanelPass for $bytes {
            #[target_feature(enable = $features)]
            unsafe fn pass<B: Blocks, const T: usize>(
                panel: *const Panel,
                first: usize,
                blocks: usize,
                rows: [Row<'_>; T],
                sums: &mut [[f32; ROWS]],
            ) {
                // SAFETY: the caller's promise.
                unsafe { pass::<B, $bytes, T>(panel, first, blocks, rows, sums) }
            }
        }
    )*};
}

panel_pass! {
    Pairs with "avx2,fma,f16c",
    Vex with "avx2,fma,f16c,avxvnni",
    Evex with "avx2,fma,f16c,avx512f,avx512vl,avx512vnni"
}

/// Passes `T` tokens over a filled panel whose first block is block `first` of the row.
///
/// # Safety
/// `blocks` blocks of the panel are filled, the activations have blocks `first..first + blocks`, and `sums` has `T` rows.
#[inline(always)]
unsafe fn pass<B: Blocks, M: Bytes, const T: usize>(
    panel: *const Panel,
    first: usize,
    blocks: usize,
    rows: [Row<'_>; T],
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's promise; all indices stay below `blocks`.
    unsafe {
        let values: [*const i8; T] = rows.map(|row| row.values.as_ptr().add(32 * first));
        let x_scales: [*const f32; T] = rows.map(|row| row.scales.as_ptr().add(first));
        let x_sums: [*const f32; T] = rows.map(|row| match B::LARGEST {
            63 => row.sums_16.as_ptr().add(2 * first),
            _ => row.sums_32.as_ptr().add(first),
        });
        let mut totals = [_mm256_setzero_ps(); T];
        for t in 0..T {
            totals[t] = _mm256_loadu_ps(sums[t].as_ptr());
        }
        let ones = _mm256_set1_epi16(1);
        let panel_values = (&raw const (*panel).values).cast::<[__m256i; 8]>();
        let panel_scales = (&raw const (*panel).scales).cast::<[__m256; 2]>();
        let panel_minima = (&raw const (*panel).minima).cast::<[__m256; 2]>();
        for b in 0..blocks {
            let weights = &*panel_values.add(b);
            let four = |t: usize, group: usize| {
                _mm256_set1_epi32(values[t].add(32 * b + 4 * group).cast::<i32>().read_unaligned())
            };
            let pairs = |t: usize, group: usize| _mm256_maddubs_epi16(weights[group], four(t, group));
            match B::LARGEST {
                0 => {
                    let mut quads = [_mm256_setzero_si256(); T];
                    for group in 0..8 {
                        let w = weights[group];
                        let positive = _mm256_abs_epi8(w);
                        for t in 0..T {
                            quads[t] = M::add_quads(quads[t], positive, _mm256_sign_epi8(four(t, group), w));
                        }
                    }
                    let scale = (*panel_scales.add(b))[0];
                    for t in 0..T {
                        let scale = _mm256_mul_ps(scale, _mm256_broadcast_ss(&*x_scales[t].add(b)));
                        totals[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(quads[t]), scale, totals[t]);
                    }
                }
                63 => {
                    for half in 0..2 {
                        let (scale, minimum) = ((*panel_scales.add(b))[half], (*panel_minima.add(b))[half]);
                        for t in 0..T {
                            let quads = if M::QUADS {
                                let mut quads = _mm256_setzero_si256();
                                for group in 4 * half..4 * half + 4 {
                                    quads = M::add_quads(quads, weights[group], four(t, group));
                                }
                                quads
                            } else {
                                // 2 * 2 * 63 * 127 = 32004 fits 16 bits: two groups at a time.
                                let low = _mm256_add_epi16(pairs(t, 4 * half), pairs(t, 4 * half + 1));
                                let high = _mm256_add_epi16(pairs(t, 4 * half + 2), pairs(t, 4 * half + 3));
                                _mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones))
                            };
                            let scale = _mm256_mul_ps(scale, _mm256_broadcast_ss(&*x_scales[t].add(b)));
                            totals[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(quads), scale, totals[t]);
                            totals[t] = _mm256_fnmadd_ps(
                                minimum,
                                _mm256_broadcast_ss(&*x_sums[t].add(2 * b + half)),
                                totals[t],
                            );
                        }
                    }
                }
                largest => {
                    // 8 * 2 * 15 * 127 = 30480 and 4 * 2 * 31 * 127 = 31496 fit 16 bits.
                    let mut quads = [_mm256_setzero_si256(); T];
                    let together = if largest == 15 { 8 } else { 4 };
                    if M::QUADS {
                        // Two sums for each token: the instruction takes several times as long as the next one has to wait.
                        let mut others = [_mm256_setzero_si256(); T];
                        for group in (0..8).step_by(2) {
                            for t in 0..T {
                                quads[t] = M::add_quads(quads[t], weights[group], four(t, group));
                                others[t] = M::add_quads(others[t], weights[group + 1], four(t, group + 1));
                            }
                        }
                        for t in 0..T {
                            quads[t] = _mm256_add_epi32(quads[t], others[t]);
                        }
                    }
                    let halves = if M::QUADS { 0 } else { 8 / together };
                    for half in 0..halves {
                        let mut lanes = [_mm256_setzero_si256(); T];
                        for group in half * together..(half + 1) * together {
                            for t in 0..T {
                                lanes[t] = _mm256_add_epi16(lanes[t], pairs(t, group));
                            }
                        }
                        for t in 0..T {
                            quads[t] = _mm256_add_epi32(quads[t], _mm256_madd_epi16(lanes[t], ones));
                        }
                    }
                    let (scale, minimum) = ((*panel_scales.add(b))[0], (*panel_minima.add(b))[0]);
                    for t in 0..T {
                        let scale = _mm256_mul_ps(scale, _mm256_broadcast_ss(&*x_scales[t].add(b)));
                        totals[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(quads[t]), scale, totals[t]);
                        totals[t] = _mm256_fnmadd_ps(minimum, _mm256_broadcast_ss(&*x_sums[t].add(b)), totals[t]);
                    }
                }
            }
        }
        for t in 0..T {
            _mm256_storeu_ps(sums[t].as_mut_ptr(), totals[t]);
        }
    }
}

/// # Safety
/// As for [`multiply_panel`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn panel_floats<'x, F: Floats>(
    rows: &[&[u8]; ROWS],
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    let mut panel = [MaybeUninit::<__m256>::uninit(); PANEL_FLOATS]; // [column]: one lane a row
    let mut first = 0;
    while first < columns {
        let width = (columns - first).min(PANEL_FLOATS);
        let whole = width / 8 * 8;
        for column in (0..whole).step_by(8) {
            // SAFETY: the rows have eight columns from here.
            let lanes = unsafe {
                let mut lanes = [_mm256_setzero_ps(); 8];
                for r in 0..8 {
                    lanes[r] = F::load(rows[r].as_ptr(), first + column);
                }
                transpose_floats(lanes)
            };
            for (place, lanes) in panel[column..].iter_mut().zip(lanes) {
                place.write(lanes);
            }
        }
        if whole < width {
            let mut tails = [[0f32; 8]; ROWS];
            for (row, tail) in rows.iter().zip(&mut tails) {
                float_tail(F::FORMAT, row, first + whole, &mut tail[..width - whole]);
            }
            for column in whole..width {
                let at = |r: usize| tails[r][column - whole];
                panel[column].write(_mm256_setr_ps(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
            }
        }
        let mut token = 0;
        // SAFETY: `width` places of the panel are written, and the activations have these columns.
        unsafe {
            while token + FLOAT_TOKENS_AT_ONCE <= sums.len() {
                pass_floats::<FLOAT_TOKENS_AT_ONCE>(
                    &panel[..width],
                    |i| &x(token + i).floats[first..first + width],
                    &mut sums[token..],
                );
                token += FLOAT_TOKENS_AT_ONCE;
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
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn pass_floats<'x, const T: usize>(
    panel: &[MaybeUninit<__m256>],
    x: impl Fn(usize) -> &'x [f32],
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let x: [*const f32; T] = std::array::from_fn(|t| x(t).as_ptr());
        let mut totals = [_mm256_setzero_ps(); T];
        for t in 0..T {
            totals[t] = _mm256_loadu_ps(sums[t].as_ptr());
        }
        for (column, weights) in panel.iter().enumerate() {
            let weights = weights.assume_init();
            for t in 0..T {
                totals[t] = _mm256_fmadd_ps(weights, _mm256_broadcast_ss(&*x[t].add(column)), totals[t]);
            }
        }
        for t in 0..T {
            _mm256_storeu_ps(sums[t].as_mut_ptr(), totals[t]);
        }
    }
}
