//! Strips (see `crate::strips`) with AVX-512 and its byte products: a register holds four columns of sixteen rows.

use std::arch::x86_64::*;

use super::{PanelBlock, ROWS};
use crate::activations::Row;
use crate::format::Format;
use crate::strips::{K_HEAD, STRIP_ROWS, unit_bytes};

/// How the weights of a format lie in a unit. Every function needs AVX-512 (F, BW, DQ, VL, VNNI), and a pointer to a
/// whole unit.
trait Unit {
    const FORMAT: Format;
    /// Blocks of 32 columns that share words, and how many such groups a unit has.
    const PARTS: usize;
    const GROUPS: usize;
    /// What is taken off each unsigned weight; zero where the format has minima instead.
    const ZERO_POINT: u8;
    /// Weights that share a scale.
    const SHARED: usize = 32;

    /// The weights of columns `4 * four..` of block `part` of a group, unsigned.
    unsafe fn weights(unit: *const u8, group: usize, part: usize, four: usize) -> __m512i;

    /// The scales of a block (the second only where 16 weights share one), and its minima.
    unsafe fn scales(unit: *const u8, block: usize) -> ([__m512; 2], __m512);
}

struct Q4_0;
struct Q8_0;
struct Q4K;
struct Q5K;
struct Q6K;

/// Sixteen f16.
#[inline(always)]
unsafe fn halves(from: *const u8) -> __m512 {
    // SAFETY: the caller has 32 bytes.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
}

/// 64 bytes: word `word` of sixteen rows.
#[inline(always)]
unsafe fn words(from: *const u8, word: usize) -> __m512i {
    // SAFETY: the caller has these words.
    unsafe { _mm512_loadu_si512(from.add(64 * word).cast()) }
}

/// The lower or the upper nibbles.
#[inline(always)]
unsafe fn nibbles(bytes: __m512i, upper: bool) -> __m512i {
    // SAFETY: register operations of this level.
    unsafe {
        let bytes = if upper { _mm512_srli_epi16::<4>(bytes) } else { bytes };
        _mm512_and_si512(bytes, _mm512_set1_epi8(15))
    }
}

impl Unit for Q4_0 {
    const FORMAT: Format = Format::Q4_0;
    const PARTS: usize = 1;
    const GROUPS: usize = 1;
    const ZERO_POINT: u8 = 8;

    #[inline(always)]
    unsafe fn weights(unit: *const u8, _: usize, _: usize, four: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { nibbles(words(unit.add(32), four % 4), four >= 4) }
    }

    #[inline(always)]
    unsafe fn scales(unit: *const u8, _: usize) -> ([__m512; 2], __m512) {
        // SAFETY: the caller's promise.
        unsafe { ([halves(unit); 2], _mm512_setzero_ps()) }
    }
}

impl Unit for Q8_0 {
    const FORMAT: Format = Format::Q8_0;
    const PARTS: usize = 1;
    const GROUPS: usize = 1;
    const ZERO_POINT: u8 = 128;

    #[inline(always)]
    unsafe fn weights(unit: *const u8, _: usize, _: usize, four: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { words(unit.add(32), four) }
    }

    #[inline(always)]
    unsafe fn scales(unit: *const u8, _: usize) -> ([__m512; 2], __m512) {
        // SAFETY: the caller's promise.
        unsafe { ([halves(unit); 2], _mm512_setzero_ps()) }
    }
}

/// The scales and minima of a block of the formats that have both.
#[inline(always)]
unsafe fn scales_and_minima(unit: *const u8, block: usize) -> ([__m512; 2], __m512) {
    // SAFETY: the caller has a unit of such a format.
    unsafe {
        let floats = |at: usize| {
            _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(unit.add(64 + 32 * block + at).cast())))
        };
        let scales = _mm512_mul_ps(halves(unit), floats(0));
        ([scales; 2], _mm512_mul_ps(halves(unit.add(32)), floats(16)))
    }
}

impl Unit for Q4K {
    const FORMAT: Format = Format::Q4K;
    const PARTS: usize = 2;
    const GROUPS: usize = 4;
    const ZERO_POINT: u8 = 0;

    #[inline(always)]
    unsafe fn weights(unit: *const u8, group: usize, part: usize, four: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { nibbles(words(unit.add(K_HEAD), 8 * group + four), part == 1) }
    }

    #[inline(always)]
    unsafe fn scales(unit: *const u8, block: usize) -> ([__m512; 2], __m512) {
        // SAFETY: the caller's promise.
        unsafe { scales_and_minima(unit, block) }
    }
}

impl Unit for Q5K {
    const FORMAT: Format = Format::Q5K;
    const PARTS: usize = 2;
    const GROUPS: usize = 4;
    const ZERO_POINT: u8 = 0;

    #[inline(always)]
    unsafe fn weights(unit: *const u8, group: usize, part: usize, four: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            let low = nibbles(words(unit.add(K_HEAD), 8 + 8 * group + four), part == 1);
            let own = _mm512_set1_epi8(1 << (2 * group + part));
            let set = _mm512_test_epi8_mask(words(unit.add(K_HEAD), four), own);
            _mm512_mask_add_epi8(low, set, low, _mm512_set1_epi8(16))
        }
    }

    #[inline(always)]
    unsafe fn scales(unit: *const u8, block: usize) -> ([__m512; 2], __m512) {
        // SAFETY: the caller's promise.
        unsafe { scales_and_minima(unit, block) }
    }
}

impl Unit for Q6K {
    const FORMAT: Format = Format::Q6K;
    const PARTS: usize = 4;
    const GROUPS: usize = 2;
    const ZERO_POINT: u8 = 32;
    const SHARED: usize = 16;

    #[inline(always)]
    unsafe fn weights(unit: *const u8, group: usize, part: usize, four: usize) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            let low = nibbles(words(unit.add(K_HEAD), 16 * group + part % 2 * 8 + four), part >= 2);
            let high = words(unit.add(K_HEAD + 32 * 64), 8 * group + four);
            let high = match part {
                0 => _mm512_slli_epi16::<4>(high),
                1 => _mm512_slli_epi16::<2>(high),
                2 => high,
                _ => _mm512_srli_epi16::<2>(high),
            };
            _mm512_ternarylogic_epi64::<0xf8>(low, high, _mm512_set1_epi8(0x30)) // low | high & 0x30
        }
    }

    #[inline(always)]
    unsafe fn scales(unit: *const u8, block: usize) -> ([__m512; 2], __m512) {
        // SAFETY: the caller's promise.
        unsafe {
            let d = halves(unit);
            let scales = |at: usize| {
                let bytes = _mm_loadu_si128(unit.add(64 + 16 * (2 * block + at)).cast());
                _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)))
            };
            ([scales(0), scales(1)], _mm512_setzero_ps())
        }
    }
}

/// The dot products of sixteen rows of weights with one row of activations.
///
/// # Safety
/// The processor has this level. `strip` is a whole strip of `format`, as wide as `x`.
pub(crate) unsafe fn dot(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    // SAFETY: the caller's promises are those of the kernel.
    unsafe {
        match format {
            Format::Q4_0 => dot_units::<Q4_0>(strip, x),
            Format::Q8_0 => dot_units::<Q8_0>(strip, x),
            Format::Q4K => dot_units::<Q4K>(strip, x),
            Format::Q5K => dot_units::<Q5K>(strip, x),
            Format::Q6K => dot_units::<Q6K>(strip, x),
            _ => unreachable!("this format has no strips"),
        }
    }
}

/// # Safety
/// As for [`dot`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn dot_units<U: Unit>(strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    let bytes = const { unit_bytes(U::FORMAT) };
    let blocks = U::PARTS * U::GROUPS;
    let mut totals = [_mm512_setzero_ps(); 2];
    let mut out = [0f32; STRIP_ROWS];
    // SAFETY: the strip holds a unit for each `blocks` blocks of the activations.
    unsafe {
        for index in 0..x.scales.len() / blocks {
            let unit = strip.as_ptr().add(index * bytes);
            for group in 0..U::GROUPS {
                for part in 0..U::PARTS {
                    let block = group * U::PARTS + part;
                    let at = index * blocks + block;
                    let values = x.values.as_ptr().add(32 * at);
                    let mut sums = [_mm512_setzero_si512(); 2];
                    for four in 0..8 {
                        let of_x = _mm512_set1_epi32(values.add(4 * four).cast::<i32>().read_unaligned());
                        let weights = U::weights(unit, group, part, four);
                        sums[four / 4] = _mm512_dpbusd_epi32(sums[four / 4], weights, of_x);
                    }
                    let x_scale = _mm512_set1_ps(x.scales[at]);
                    let (scales, minima) = U::scales(unit, block);
                    if U::SHARED == 16 {
                        let zero_point = f32::from(U::ZERO_POINT);
                        for half in 0..2 {
                            let offset = _mm512_set1_ps(-zero_point * x.sums_16[2 * at + half]);
                            let sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[half]), x_scale, offset);
                            totals[half] = _mm512_fmadd_ps(sum, scales[half], totals[half]);
                        }
                    } else {
                        let sum = _mm512_cvtepi32_ps(_mm512_add_epi32(sums[0], sums[1]));
                        let of_x = _mm512_set1_ps(x.sums_32[at]);
                        if U::ZERO_POINT == 0 {
                            let sum = _mm512_mul_ps(sum, x_scale);
                            totals[0] = _mm512_fmadd_ps(sum, scales[0], totals[0]);
                            totals[1] = _mm512_fnmadd_ps(minima, of_x, totals[1]);
                        } else {
                            let zero_point = _mm512_set1_ps(f32::from(U::ZERO_POINT));
                            let sum = _mm512_fmsub_ps(sum, x_scale, _mm512_mul_ps(of_x, zero_point));
                            totals[0] = _mm512_fmadd_ps(sum, scales[0], totals[0]);
                        }
                    }
                }
            }
        }
        _mm512_storeu_ps(out.as_mut_ptr(), _mm512_add_ps(totals[0], totals[1]));
    }
    out
}

/// Unpacks `blocks` blocks of 32 columns of two strips, from block `first`, into a panel.
///
/// # Safety
/// The processor has this level. The strips are of `format` and hold these blocks, `first` begins a unit, and the panel has
/// room.
pub(super) unsafe fn fill(
    format: Format,
    panel: *mut PanelBlock,
    strips: [&[u8]; ROWS / STRIP_ROWS],
    first: usize,
    blocks: usize,
) {
    // SAFETY: the caller's promises are those of the kernel.
    unsafe {
        match format {
            Format::Q4_0 => fill_units::<Q4_0>(panel, strips, first, blocks),
            Format::Q8_0 => fill_units::<Q8_0>(panel, strips, first, blocks),
            Format::Q4K => fill_units::<Q4K>(panel, strips, first, blocks),
            Format::Q5K => fill_units::<Q5K>(panel, strips, first, blocks),
            Format::Q6K => fill_units::<Q6K>(panel, strips, first, blocks),
            _ => unreachable!("this format has no strips"),
        }
    }
}

/// # Safety
/// As for [`fill`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn fill_units<U: Unit>(panel: *mut PanelBlock, strips: [&[u8]; 2], first: usize, blocks: usize) {
    let per_unit = U::PARTS * U::GROUPS;
    // SAFETY: every index is of a block in the strips and of a place in the panel.
    unsafe {
        let zero_point = _mm512_set1_epi8(U::ZERO_POINT as i8);
        let offset = _mm512_set1_epi8(-128); // 128 as an unsigned byte
        for (side, strip) in strips.into_iter().enumerate() {
            for index in 0..blocks / per_unit {
                let unit = strip.as_ptr().add((first / per_unit + index) * unit_bytes(U::FORMAT));
                for group in 0..U::GROUPS {
                    for part in 0..U::PARTS {
                        let block = group * U::PARTS + part;
                        let place = &raw mut *panel.add(index * per_unit + block);
                        let mut sums = [_mm512_setzero_si512(); 2];
                        for four in 0..8 {
                            let signed = _mm512_sub_epi8(U::weights(unit, group, part, four), zero_point);
                            sums[four / 4] = _mm512_dpbusd_epi32(sums[four / 4], offset, signed);
                            (*place).values[four][side] = signed;
                        }
                        if U::SHARED == 32 {
                            sums[0] = _mm512_add_epi32(sums[0], sums[1]);
                        }
                        let (scales, minima) = U::scales(unit, block);
                        for half in 0..32 / U::SHARED {
                            (*place).begin[half][side] = _mm512_sub_epi32(_mm512_setzero_si512(), sums[half]);
                            (*place).scales[half][side] = scales[half];
                        }
                        (*place).minima[side] = minima;
                    }
                }
            }
        }
    }
}
