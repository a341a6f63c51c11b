//! Products with many tokens. Some rows of weights are unpacked once into a panel (four columns of each row side by side,
//! so that a vector's lanes are the rows) that stays in the first-level cache while all tokens pass over it. The unpacking
//! is paid once for each block of tokens, so the file's own layout can stay mapped and no second copy of it is kept.

use std::ops::Range;

use crate::activations::Row;
use crate::format::Matrix;
use crate::level::{Level, Set};
#[cfg(target_arch = "aarch64")]
use crate::neon;
use crate::strips::STRIP_ROWS;
#[cfg(target_arch = "x86_64")]
use crate::{avx2, avx512};

/// With fewer tokens than this, unpacking costs more than it saves.
pub(crate) const FEWEST_TOKENS: usize = 6;

/// Up to so many tokens in one product are each multiplied as they would be alone, with the same result to the last bit.
pub const FEW_TOKENS: usize = FEWEST_TOKENS - 1;

/// Tokens whose sums are kept at a time.
const TOKENS: usize = 128;

/// Rows in a panel of this level; `None` where it has no panels.
pub(crate) fn rows(level: Level) -> Option<usize> {
    match level.0 {
        Set::Scalar => None,
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 | Set::AvxVnni | Set::AvxVnniEvex => Some(avx2::ROWS),
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => Some(avx512::ROWS),
        #[cfg(target_arch = "aarch64")]
        Set::Neon | Set::NeonDotprod | Set::NeonI8mm => Some(neon::ROWS),
    }
}

/// Multiplies `rows` (at most as many as a panel has) of the weights with `tokens` rows of activations, and hands each
/// token's results to `write`.
pub(crate) fn multiply<'x>(
    level: Level,
    weights: &Matrix<'_>,
    rows: Range<usize>,
    tokens: usize,
    x: &dyn Fn(usize) -> Row<'x>,
    write: &mut dyn FnMut(usize, &[f32]),
) {
    macro_rules! with {
        ($kernel:path) => {{
            let source = PanelRows::of(weights, &rows);
            by_tokens(&rows, tokens, write, &|first, sums| {
                let x = |token| x(first + token);
                // SAFETY: the level is proof of the instructions of its kernel; `Matrix` and `Activations` have made the lengths
                // agree, and the activations were quantized for panels of this level.
                unsafe { $kernel(weights.format, &source, weights.columns, &x, sums) }
            })
        }};
    }
    match level.0 {
        Set::Scalar => unreachable!("the scalar level has no panels"),
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => with!(avx2::multiply_panel::<avx2::Pairs>),
        #[cfg(target_arch = "x86_64")]
        Set::AvxVnni => with!(avx2::multiply_panel::<avx2::Vex>),
        #[cfg(target_arch = "x86_64")]
        Set::AvxVnniEvex => with!(avx2::multiply_panel::<avx2::Evex>),
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => with!(avx512::multiply_panel),
        #[cfg(target_arch = "aarch64")]
        Set::Neon => with!(neon::plain::multiply_panel),
        #[cfg(target_arch = "aarch64")]
        Set::NeonDotprod => with!(neon::dotprod::multiply_panel),
        #[cfg(target_arch = "aarch64")]
        Set::NeonI8mm => with!(neon::i8mm::multiply_panel),
    }
}

/// The rows of a panel, as they lie in memory.
pub(crate) enum PanelRows<'w, const ROWS: usize> {
    /// Each by itself. The last panel may be short: its empty places repeat the last row and are not written.
    Apart([&'w [u8]; ROWS]),
    /// In strips: part `part` of the first one, or the whole of both where a panel has more rows than a strip. The last panel may
    /// be short: the second then repeats the first, and is not written.
    InStrips([&'w [u8]; 2], usize),
}

impl<'w, const ROWS: usize> PanelRows<'w, ROWS> {
    fn of(weights: &Matrix<'w>, rows: &Range<usize>) -> PanelRows<'w, ROWS> {
        if !weights.in_strips {
            return PanelRows::Apart(std::array::from_fn(|i| weights.row((rows.start + i).min(rows.end - 1))));
        }
        let (first, last) = (rows.start / STRIP_ROWS, (rows.end - 1) / STRIP_ROWS);
        PanelRows::InStrips([weights.strip(first), weights.strip(last)], rows.start % STRIP_ROWS / ROWS)
    }

    /// The rows of a format that has no strips.
    pub(crate) fn apart(&self) -> &[&'w [u8]; ROWS] {
        match self {
            PanelRows::Apart(rows) => rows,
            PanelRows::InStrips(..) => unreachable!("floats have no strips"),
        }
    }
}

/// What a level does with the first token of a run, and the sums of each token.
type Kernel<'k, const ROWS: usize> = &'k dyn Fn(usize, &mut [[f32; ROWS]]);

/// Runs a panel of `ROWS` rows over all tokens, some at a time.
fn by_tokens<const ROWS: usize>(
    rows: &Range<usize>,
    tokens: usize,
    write: &mut dyn FnMut(usize, &[f32]),
    kernel: Kernel<'_, ROWS>,
) {
    assert!(!rows.is_empty() && rows.len() <= ROWS, "a panel holds one to {ROWS} rows");
    let mut first = 0;
    while first < tokens {
        let count = (tokens - first).min(TOKENS);
        let mut sums = [[0f32; ROWS]; TOKENS];
        kernel(first, &mut sums[..count]);
        for (token, sums) in sums[..count].iter().enumerate() {
            write(first + token, &sums[..rows.len()]);
        }
        first += count;
    }
}
