//! The layout for writing text: strips of sixteen interleaved rows (elsewhere called repacked rows).
//!
//! In a file's layout a row stands by itself, so a product with one token ends in sums across a register and pays for the
//! scales of each block. In a strip, the same four columns of sixteen rows lie side by side: a lane of a register is a row,
//! the activation is the same for all, and the scales of sixteen blocks are one register.
//!
//! A strip is a run of *units*, one block of each of its sixteen rows. A unit begins with what the scales are made of and goes
//! on with the weights: 32-bit words of four columns each, word `w` of all sixteen rows before word `w + 1`. Each format's file
//! says what its units hold, with `[16]` for one entry a row. A matrix whose rows do not fill its last strip has zeros there.

use crate::formats::{STRIP_ROWS, with_blocks};
use crate::matrix::{Matrix, strip_bytes};
use crate::pool::Pool;
use crate::shared_slice::SharedSlice;

/// Lays a matrix out in strips.
///
/// # Panics
/// The matrix is in strips already, its format has no strips, or `out` has another length than [`strip_bytes`].
pub fn to_strips(pool: &Pool, matrix: &Matrix<'_>, out: &mut [u8]) {
    assert!(!matrix.in_strips, "rows are laid out in strips, not strips");
    let total = strip_bytes(matrix.format, matrix.rows, matrix.columns).expect("a format with strips");
    assert_eq!(out.len(), total, "room for every strip");
    let strips = matrix.rows.div_ceil(STRIP_ROWS);
    let each = total / strips.max(1);
    let out = SharedSlice::new(out);
    pool.run(strips, &|strip| {
        // SAFETY: each strip is written by one task alone.
        pack_strip(matrix, strip * STRIP_ROWS, unsafe { out.range(strip * each, each) });
    });
}

/// Lays the rows from `first` out as one strip.
pub(crate) fn pack_strip(matrix: &Matrix<'_>, first: usize, strip: &mut [u8]) {
    with_blocks!(matrix.format, F => {
        for (index, unit) in strip.chunks_exact_mut(F::UNIT_BYTES).enumerate() {
            unit.fill(0);
            for lane in 0..STRIP_ROWS.min(matrix.rows - first) {
                F::pack(&matrix.row(first + lane)[index * F::BYTES..][..F::BYTES], lane, unit);
            }
        }
    });
}
