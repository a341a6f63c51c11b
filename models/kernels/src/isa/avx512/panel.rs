//! Products with many tokens: panels of 32 rows.

use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::floats::panel_floats;
use super::rows::Groups;
use super::{ROWS, join};
use crate::activations::Row;
use crate::formats::{BlockFormat, Format, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0, Scales, with_blocks};
use crate::isa::avx2::floats::{Bf16, F16, F32};
use crate::isa::avx2::{transpose, transpose_floats};
use crate::panel::PanelRows;

/// Columns in a panel of bytes: with its scales, it fills most of a 32 KiB cache.
const PANEL_COLUMNS: usize = 512;
/// Tokens that pass over a panel together.
const TOKENS_AT_ONCE: usize = 4;

/// Adds 32 rows of weights times each token's activations to `sums: [tokens, 32]`.
///
/// # Safety
/// The processor has this level. `rows` are whole rows (of a format that the row kernels read) or strips of `format` with
/// `columns` weights a row, and `x` gives rows of activations as wide, whose quantized values have had 128 added.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(crate) unsafe fn multiply<'x>(
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
            (PanelRows::InStrips(strips, _), _) => with_blocks!(format, F => {
                let fill = |panel: *mut PanelBlock, first: usize, blocks: usize| fill_strips::<F>(panel, *strips, first, blocks);
                panel_blocks::<F>(&fill, Some(*strips), columns, x, sums)
            }),
            (PanelRows::Apart(_), Format::Q8_0) => panel_rows::<Q8_0>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q4_0) => panel_rows::<Q4_0>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q5_0) => panel_rows::<Q5_0>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q4K) => panel_rows::<Q4K>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q5K) => panel_rows::<Q5K>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), Format::Q6K) => panel_rows::<Q6K>(rows.apart(), columns, x, sums),
            (PanelRows::Apart(_), _) => unreachable!("see `rows::reads`"),
        }
    }
}

/// Rows of the file.
///
/// # Safety
/// As for [`multiply`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn panel_rows<'x, B: Groups>(
    rows: &[&[u8]; ROWS],
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let fill = |panel: *mut PanelBlock, first: usize, blocks: usize| fill_rows::<B>(panel, rows, first, blocks);
        panel_blocks::<B>(&fill, None, columns, x, sums);
    }
}

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
    minima: [[__m512; 2]; 2], // as the scales, of formats that have them
}

/// Fills a panel with `fill` (from a first block, so many blocks) and passes all tokens over it, as often as the columns need. While
/// they pass, what the next panel is filled from is prefetched from `strips`: the runs are too short for the processor to foresee.
///
/// # Safety
/// As for [`multiply`]; `fill` writes what [`pass`] reads.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn panel_blocks<'x, B: BlockFormat>(
    fill: &dyn Fn(*mut PanelBlock, usize, usize), // dyn: one copy of the loop below, into which `pass` is inlined
    strips: Option<[&[u8]; 2]>,
    columns: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    sums: &mut [[f32; ROWS]],
) {
    let mut panel = MaybeUninit::<Panel>::uninit();
    let mut column = 0;
    while column < columns {
        let width = (columns - column).min(PANEL_COLUMNS);
        let mut ahead = strips.map(|strips| Ahead::behind::<B>(strips, column + width, columns, sums.len()));
        // SAFETY: the panel has these blocks, is filled, and the activations have these columns.
        unsafe {
            let panel = (&raw mut (*panel.as_mut_ptr()).blocks).cast::<PanelBlock>();
            let (first, blocks) = (column / 32, width / 32);
            fill(panel, first, blocks);
            let mut token = 0;
            while token + TOKENS_AT_ONCE <= sums.len() {
                if let Some(ahead) = &mut ahead {
                    ahead.prefetch();
                }
                let x = |i| x(token + i);
                pass::<B, TOKENS_AT_ONCE>(panel, first, blocks, x, &mut sums[token..]);
                token += TOKENS_AT_ONCE;
            }
            while token < sums.len() {
                pass::<B, 1>(panel, first, blocks, |i| x(token + i), &mut sums[token..]);
                token += 1;
            }
        }
        column += width;
    }
}

/// What the next panel is filled from, prefetched in as many steps as tokens pass meanwhile.
struct Ahead {
    sides: [*const u8; 2],
    /// Bytes of each side that are still to be prefetched, and how many in each step.
    left: usize,
    step: usize,
}

impl Ahead {
    /// The columns from `column` on, or behind the last the first ones of the next two strips, which lie behind these.
    fn behind<B: BlockFormat>(strips: [&[u8]; 2], column: usize, columns: usize, tokens: usize) -> Ahead {
        let bytes = |columns: usize| columns / B::WEIGHTS * B::UNIT_BYTES;
        let (offset, width) =
            if column < columns { (bytes(column), columns - column) } else { (2 * strips[0].len(), columns) };
        let left = bytes(width.min(PANEL_COLUMNS));
        let step = left.div_ceil((tokens / TOKENS_AT_ONCE).max(1)).next_multiple_of(64);
        Ahead { sides: strips.map(|strip| strip.as_ptr().wrapping_add(offset)), left, step }
    }

    /// Prefetches the next step into the second-level cache: the first has the panel in it.
    #[inline(always)]
    fn prefetch(&mut self) {
        let bytes = self.step.min(self.left);
        for side in &mut self.sides {
            for line in (0..bytes).step_by(64) {
                // SAFETY: a prefetch touches nothing, whatever the address.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(side.wrapping_add(line).cast()) };
            }
            *side = side.wrapping_add(bytes);
        }
        self.left -= bytes;
    }
}

/// Unpacks `blocks` blocks of 32 rows from block `first`, a multiple of 8.
///
/// # Safety
/// The rows hold these blocks, and the panel has room.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn fill_rows<B: Groups>(panel: *mut PanelBlock, rows: &[&[u8]; ROWS], first: usize, blocks: usize) {
    // SAFETY: the caller's promise; every index below is of a block in the rows and of a place in the panel.
    unsafe {
        let zero_point = _mm512_set1_epi8(if B::SIGNED { 0 } else { B::ZERO_POINT.cast_signed() });
        let offset = _mm512_set1_epi8(-128); // 128 as an unsigned byte
        for b in 0..blocks {
            let place = &raw mut *panel.add(b);
            for side in 0..2 {
                let mut eights = [[_mm256_setzero_si256(); 8]; 2];
                for eight in 0..2 {
                    for r in 0..8 {
                        eights[eight][r] = B::row_weights(rows[16 * side + 8 * eight + r].as_ptr(), first + b);
                    }
                    eights[eight] = transpose(eights[eight]);
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
                    of_scales[eight] = transpose_floats(of_scales[eight]);
                    if B::SHARED == 16 {
                        more[eight] = transpose_floats(more[eight]);
                    }
                    if B::ZERO_POINT == 0 {
                        of_minima[eight] = transpose_floats(of_minima[eight]);
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
                        (*place).minima[0][side] = join(of_minima[0][part], of_minima[1][part]);
                    }
                }
            }
        }
        for b in blocks / 8 * 8..blocks {
            // Only formats with blocks of 32 come here; each begins with its f16 scale.
            let mut halves = [0u16; ROWS];
            for r in 0..ROWS {
                halves[r] = rows[r].as_ptr().add((first + b) * B::BYTES).cast::<u16>().read_unaligned();
            }
            for side in 0..2 {
                (*panel.add(b)).scales[0][side] =
                    _mm512_cvtph_ps(_mm256_loadu_si256(halves[16 * side..].as_ptr().cast()));
            }
        }
    }
}

/// Unpacks `blocks` blocks of 32 columns of two strips, from block `first`, into a panel.
///
/// # Safety
/// The processor has this level. The strips hold these blocks, `first` begins a unit, and the panel has room.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn fill_strips<F: BlockFormat>(panel: *mut PanelBlock, strips: [&[u8]; 2], first: usize, blocks: usize) {
    // SAFETY: every index is of a block in the strips and of a place in the panel.
    unsafe {
        let zero_point = _mm512_set1_epi8(F::ZERO_POINT.cast_signed());
        let offset = _mm512_set1_epi8(-128); // 128 as an unsigned byte
        for (side, strip) in strips.into_iter().enumerate() {
            for index in 0..blocks / F::PARTS {
                let unit = strip.as_ptr().add((first / F::PARTS + index) * F::UNIT_BYTES);
                for part in 0..F::PARTS {
                    let place = &raw mut *panel.add(index * F::PARTS + part);
                    let mut sums = [_mm512_setzero_si512(); 2];
                    for four in 0..8 {
                        let signed = if F::SIGNED {
                            F::signed_weights::<__m512i>(unit, 0, part, four)
                        } else {
                            _mm512_sub_epi8(F::weights::<__m512i>(unit, 0, part, four), zero_point)
                        };
                        sums[four / 4] = _mm512_dpbusd_epi32(sums[four / 4], offset, signed);
                        (*place).values[four][side] = signed;
                    }
                    if F::SHARED == 32 {
                        sums[0] = _mm512_add_epi32(sums[0], sums[1]);
                    }
                    let Scales { scales, minima } = F::scales::<__m512i>(unit, 0, part);
                    for half in 0..32 / F::SHARED {
                        (*place).begin[half][side] = _mm512_sub_epi32(_mm512_setzero_si512(), sums[half]);
                        (*place).scales[half][side] = scales[half];
                        (*place).minima[half][side] = minima[half];
                    }
                }
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
unsafe fn pass<'x, B: BlockFormat, const T: usize>(
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
        let x_sums: [*const f32; T] = rows.map(|row| match B::SHARED {
            16 => row.sums_16.as_ptr().add(2 * first),
            _ => row.sums_32.as_ptr().add(first),
        });
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
            if B::MINIMA {
                for half in 0..halves {
                    let minima = (*block).minima[half];
                    for t in 0..T {
                        let sum = _mm512_set1_ps(*x_sums[t].add(halves * b + half));
                        for side in 0..2 {
                            totals[t][side] = _mm512_fnmadd_ps(minima[side], sum, totals[t][side]);
                        }
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
