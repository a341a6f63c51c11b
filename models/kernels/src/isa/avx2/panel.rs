//! Products with many tokens: panels of eight rows.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::floats::{Bf16, F16, F32, panel_floats};
use super::rows::{Blocks, zero_point};
use super::{Bytes, Evex, Pairs, ROWS, Vex, transpose, transpose_floats};
use crate::activations::Row;
use crate::formats::{BlockFormat, Format, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0, Scales, with_blocks};
use crate::panel::PanelRows;

/// Columns in a panel of bytes: with its scales, it fills most of a 32 KiB cache.
const PANEL_COLUMNS: usize = 2048;
/// Tokens that pass over a panel of bytes together: four sums, four 16-bit sums and the weights fill the registers.
const TOKENS_AT_ONCE: usize = 4;

/// Adds eight rows of weights times each token's activations to `sums: [tokens, 8]`.
///
/// # Safety
/// The processor has AVX2, FMA, F16C and the instructions of `M`. `rows` are whole rows (of a format that the row kernels read)
/// or strips of `format` with `columns` weights a row, and `x` gives rows of activations as wide.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn multiply<'x, M: PanelPass>(
    format: Format,
    rows: &PanelRows<'_>,
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [f32],
) {
    let sums = sums.as_chunks_mut::<ROWS>().0;
    // SAFETY: the caller's promises are those of each kernel.
    unsafe {
        match (rows, format) {
            (_, Format::F32) => panel_floats::<F32>(rows.apart(), columns, x, sums),
            (_, Format::F16) => panel_floats::<F16>(rows.apart(), columns, x, sums),
            (_, Format::Bf16) => panel_floats::<Bf16>(rows.apart(), columns, x, sums),
            (PanelRows::InStrips([strip, _], half), _) => with_blocks!(format, F => {
                let fill = |panel: *mut Panel, first: usize, blocks: usize| fill_strip::<F>(panel, strip, *half, first, blocks);
                panel_blocks::<F, M>(&fill, columns, x, sums)
            }),
            (PanelRows::Apart(_), Format::Q8_0) => panel_rows::<Q8_0, M>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q4_0) => panel_rows::<Q4_0, M>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q5_0) => panel_rows::<Q5_0, M>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q4K) => panel_rows::<Q4K, M>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q5K) => panel_rows::<Q5K, M>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q6K) => panel_rows::<Q6K, M>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), _) => unreachable!("see `rows::reads`"),
        }
    }
}

/// Rows of the file.
///
/// # Safety
/// As for [`multiply`].
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn panel_rows<'x, B: Blocks, M: PanelPass>(
    rows: &[&[u8]; ROWS],
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let fill = |panel: *mut Panel, first: usize, blocks: usize| fill_rows::<B>(panel, rows, first, blocks);
        panel_blocks::<B, M>(&fill, columns, x, sums);
    }
}

/// Eight rows, column-interleaved.
#[repr(C, align(32))]
pub(crate) struct Panel {
    values: [[__m256i; 8]; PANEL_COLUMNS / 32], // [block][group of 4 columns]: 4 bytes of each of 8 rows
    scales: [[__m256; 2]; PANEL_COLUMNS / 32], // [block][16 columns]: one lane a row; the second only where they differ
    minima: [[__m256; 2]; PANEL_COLUMNS / 32],
}

/// Fills a panel with `fill` (from a first block, so many blocks) and passes all tokens over it, as often as the columns need.
///
/// # Safety
/// As for [`multiply`]; `fill` writes what [`pass`] reads.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn panel_blocks<'x, B: BlockFormat, M: PanelPass>(
    fill: &dyn Fn(*mut Panel, usize, usize), // dyn: one copy of the loop below, into which `pass` is inlined
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    let mut panel = MaybeUninit::<Panel>::uninit();
    let mut column = 0;
    while column < columns {
        let width = (columns - column).min(PANEL_COLUMNS);
        let (first, blocks) = (column / 32, width / 32);
        fill(panel.as_mut_ptr(), first, blocks);
        // SAFETY: the panel is filled and the activations have these columns.
        unsafe {
            let mut token = 0;
            while token + TOKENS_AT_ONCE <= sums.len() {
                let rows: [Row<'_>; TOKENS_AT_ONCE] = std::array::from_fn(|i| x(token + i));
                M::pass::<B, TOKENS_AT_ONCE>(panel.as_ptr(), first, blocks, &rows, &mut sums[token..]);
                token += TOKENS_AT_ONCE;
            }
            while token < sums.len() {
                M::pass::<B, 1>(panel.as_ptr(), first, blocks, &[x(token)], &mut sums[token..]);
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
unsafe fn fill_rows<B: Blocks>(panel: *mut Panel, rows: &[&[u8]; ROWS], first: usize, blocks: usize) {
    // SAFETY: the caller's promise; every index below is of a block in the rows and of a place in the panel.
    unsafe {
        let (values, scales, minima) = (&raw mut (*panel).values, &raw mut (*panel).scales, &raw mut (*panel).minima);
        let (values, scales, minima) =
            (values.cast::<[__m256i; 8]>(), scales.cast::<[__m256; 2]>(), minima.cast::<[__m256; 2]>());
        for b in 0..blocks {
            let mut unpacked = [_mm256_setzero_si256(); 8];
            for r in 0..8 {
                unpacked[r] = B::row_weights(rows[r].as_ptr(), first + b);
            }
            values.add(b).write(transpose(unpacked));
        }
        for group in 0..blocks / 8 {
            if B::SHARED == 16 {
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
                    (of_scales[r], of_minima[r]) = B::row_scales(rows[r].as_ptr(), first / 8 + group);
                }
                of_scales = transpose_floats(of_scales);
                for part in 0..8 {
                    (*scales.add(group * 8 + part))[0] = of_scales[part];
                }
                if !B::SIGNED {
                    of_minima = transpose_floats(of_minima);
                    for part in 0..8 {
                        (*minima.add(group * 8 + part))[0] = of_minima[part];
                    }
                }
            }
        }
        for b in blocks / 8 * 8..blocks {
            // Only formats with blocks of 32 come here; each begins with its f16 scale.
            let at = |r: usize| rows[r].as_ptr().add((first + b) * B::BYTES).cast::<i16>().read_unaligned();
            let scale = _mm256_cvtph_ps(_mm_setr_epi16(at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7)));
            (*scales.add(b))[0] = scale;
            (*minima.add(b))[0] = _mm256_mul_ps(scale, _mm256_set1_ps(zero_point::<B>()));
        }
    }
}

/// Unpacks `blocks` blocks of 32 columns, from block `first`, of half a strip into a panel.
///
/// # Safety
/// The processor has AVX2, FMA and F16C. The strip holds these blocks, `first` begins a unit, and the panel has room.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn fill_strip<F: BlockFormat>(panel: *mut Panel, strip: &[u8], half: usize, first: usize, blocks: usize) {
    // SAFETY: every index is of a block in the strip and of a place in the panel.
    unsafe {
        let (values, of_scales, of_minima) =
            (&raw mut (*panel).values, &raw mut (*panel).scales, &raw mut (*panel).minima);
        let (values, of_scales, of_minima) =
            (values.cast::<[__m256i; 8]>(), of_scales.cast::<[__m256; 2]>(), of_minima.cast::<[__m256; 2]>());
        for index in 0..blocks / F::PARTS {
            let unit = strip.as_ptr().add((first / F::PARTS + index) * F::UNIT_BYTES);
            for part in 0..F::PARTS {
                let b = index * F::PARTS + part;
                for four in 0..8 {
                    (*values.add(b))[four] = if F::SIGNED {
                        F::signed_weights(unit, half, part, four)
                    } else {
                        F::weights(unit, half, part, four)
                    };
                }
                let (scales, minima) = scales_and_offsets::<F>(unit, half, part);
                of_scales.add(b).write(scales);
                of_minima.add(b).write(minima);
            }
        }
    }
}

/// The scales of the two halves of a part, and what is taken off for the sums of the activations.
///
/// # Safety
/// As for [`BlockFormat::scales`].
#[inline(always)]
pub(super) unsafe fn scales_and_offsets<F: BlockFormat>(
    unit: *const u8,
    half: usize,
    part: usize,
) -> ([__m256; 2], [__m256; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        let Scales { scales, minima } = F::scales::<__m256i>(unit, half, part);
        if F::MINIMA || F::SIGNED {
            return (scales, minima);
        }
        let zero_point = _mm256_set1_ps(f32::from(F::ZERO_POINT));
        (scales, [_mm256_mul_ps(scales[0], zero_point), _mm256_mul_ps(scales[1], zero_point)])
    }
}

/// [`pass`], compiled with the instructions of one kind of [`Bytes`].
pub(crate) trait PanelPass {
    /// # Safety
    /// As for [`pass`], and the processor has these instructions.
    unsafe fn pass<B: BlockFormat, const T: usize>(
        panel: *const Panel,
        first: usize,
        blocks: usize,
        rows: &[Row<'_>; T],
        sums: &mut [[f32; ROWS]],
    );
}

macro_rules! panel_pass {
    ($($bytes:ident with $features:literal),*) => {$(
        impl PanelPass for $bytes {
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn pass<B: BlockFormat, const T: usize>(
                panel: *const Panel,
                first: usize,
                blocks: usize,
                rows: &[Row<'_>; T],
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
unsafe fn pass<B: BlockFormat, M: Bytes, const T: usize>(
    panel: *const Panel,
    first: usize,
    blocks: usize,
    rows: &[Row<'_>; T],
    sums: &mut [[f32; ROWS]],
) {
    const { assert!(B::SIGNED || B::LARGEST <= 31 || B::SHARED == 16 && B::LARGEST <= 63, "see the sums in 16 bits below") };
    // SAFETY: the caller's promise; all indices stay below `blocks`.
    unsafe {
        let values: [*const i8; T] = rows.map(|row| row.values.as_ptr().add(32 * first));
        let x_scales: [*const f32; T] = rows.map(|row| row.scales.as_ptr().add(first));
        let x_sums: [*const f32; T] = rows.map(|row| match B::SHARED {
            16 => row.sums_16.as_ptr().add(2 * first),
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
            match (B::SIGNED, B::SHARED) {
                (true, _) => {
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
                (false, 16) => {
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
                (false, _) => {
                    // 8 * 2 * 15 * 127 = 30480 and 4 * 2 * 31 * 127 = 31496 fit 16 bits.
                    let mut quads = [_mm256_setzero_si256(); T];
                    let together = if B::LARGEST <= 15 { 8 } else { 4 };
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
