//! Products with many tokens: what a panel is. Some rows of weights are unpacked once into a panel (four columns of each row
//! side by side, so that a vector's lanes are the rows) that stays in the first-level cache while all tokens pass over it.
//! The unpacking is paid once for each block of tokens. Every instruction set has panels of its own (see `isa`).

use crate::activations::Row;
use crate::formats::Format;

/// With fewer tokens than this, unpacking costs more than it saves.
pub(crate) const FEWEST_TOKENS: usize = 6;

/// Up to so many tokens in one product are each multiplied as they would be alone, with the same result to the last bit.
pub const FEW_TOKENS: usize = FEWEST_TOKENS - 1;

/// The most rows that a panel of any level has.
pub(crate) const MOST_ROWS: usize = 32;

/// The rows of a panel, as they lie in memory.
#[derive(Clone, Copy)]
pub(crate) enum PanelRows<'w> {
    /// Each by itself, as many as the panel has. The last panel may be short: its empty places repeat the last row and are not
    /// written.
    Apart(&'w [&'w [u8]]),
    /// In strips: part `part` of the first one, or the whole of both where a panel has more rows than a strip. The last panel may
    /// be short: the second then repeats the first, and is not written.
    InStrips([&'w [u8]; 2], usize),
}

impl<'w> PanelRows<'w> {
    /// The rows of a format that has no strips.
    pub(crate) fn apart<const ROWS: usize>(&self) -> &'w [&'w [u8]; ROWS] {
        match self {
            PanelRows::Apart(rows) => (*rows).try_into().expect("as many rows as the panel has"),
            PanelRows::InStrips(..) => unreachable!("floats have no strips"),
        }
    }
}

/// Adds the rows of a panel (of `columns` weights) times each token's activations to `sums: [tokens, rows of the panel]`.
pub(crate) type MultiplyPanel = for<'x> unsafe fn(Format, &PanelRows<'_>, usize, &dyn Fn(usize) -> Row<'x>, &mut [f32]);
