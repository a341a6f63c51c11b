//! Products with many tokens. Eight rows of weights are unpacked once into a panel (four columns of each row side by side,
//! so that a vector's lanes are the rows) that stays in the first-level cache while all tokens pass over it. The unpacking
//! is paid once for each block of tokens, so the file's own layout can stay mapped and no second copy of it is kept.

use std::ops::Range;

use crate::activations::Row;
use crate::format::Matrix;
use crate::level::{Level, Set};

/// Rows in a panel.
pub(crate) const ROWS: usize = 8;

/// With fewer tokens than this, unpacking costs more than it saves.
pub(crate) const FEWEST_TOKENS: usize = 6;

/// Tokens whose sums are kept at a time.
const TOKENS: usize = 128;

/// True where this level has panel kernels.
pub(crate) fn exists(level: Level) -> bool {
    level != Level::SCALAR
}

/// Multiplies `rows` (at most [`ROWS`]) of the weights with `tokens` rows of activations, and hands each token's results to `write`.
pub(crate) fn multiply<'x>(
    level: Level,
    weights: &Matrix<'_>,
    rows: Range<usize>,
    tokens: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    write: &mut dyn FnMut(usize, &[f32]),
) {
    assert!(!rows.is_empty() && rows.len() <= ROWS && rows.end <= weights.rows, "a panel holds one to {ROWS} rows");
    // The last panel may be short: its empty places repeat the last row and are not written.
    let bytes: [&[u8]; ROWS] = std::array::from_fn(|i| weights.row((rows.start + i).min(rows.end - 1)));
    let mut first = 0;
    while first < tokens {
        let count = (tokens - first).min(TOKENS);
        let mut sums = [[0f32; ROWS]; TOKENS];
        match level.0 {
            Set::Scalar => unreachable!("the scalar level has no panels"),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is proof of AVX2, FMA and F16C; `Matrix` and `Activations` have made the lengths agree.
            Set::Avx2 => unsafe {
                crate::avx2::multiply_panel(
                    weights.format,
                    &bytes,
                    weights.columns,
                    &|token| x(first + token),
                    &mut sums[..count],
                );
            },
        }
        for (token, sums) in sums[..count].iter().enumerate() {
            write(first + token, &sums[..rows.len()]);
        }
        first += count;
    }
}
