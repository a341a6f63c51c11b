//! Sums of squares by input channel: what an importance matrix is made of.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{InputObserver, MatrixSource};

/// What one tensor's inputs came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Squares {
    /// `[parts, columns]`: the sums of the squares; `parts` is 1 but in mixtures of experts.
    pub sums: Vec<f64>,
    /// `[parts]`: how many rows each has seen.
    pub rows: Vec<u64>,
}

/// Adds up squares for the matrices of the blocks.
#[derive(Debug, Default)]
pub struct InputSquares {
    sums: Mutex<BTreeMap<Box<str>, Squares>>,
    with_output: bool,
}

/// Rows that are added up in single precision, which is quicker, before their sum is added to the others.
const ROWS_TOGETHER: usize = 64;

impl InputSquares {
    /// None yet. `with_output` says whether the matrix of the logits counts, too.
    pub fn new(with_output: bool) -> InputSquares {
        InputSquares { sums: Mutex::default(), with_output }
    }

    /// Goes on from sums that were taken before.
    pub fn resume(&self, sums: BTreeMap<Box<str>, Squares>) {
        *self.lock() = sums;
    }

    /// The sums so far, by tensor.
    pub fn sums(&self) -> BTreeMap<Box<str>, Squares> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Squares>> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InputObserver for InputSquares {
    fn observe(&self, matrices: &[&MatrixSource], x: &[f32]) {
        let wanted = |source: &&&MatrixSource| source.tensor.starts_with("blk.") || self.with_output;
        let mut wanted = matrices.iter().filter(wanted).peekable();
        let Some(columns) = wanted.peek().map(|source| source.columns) else { return };
        let mut of_rows = vec![0.0f64; columns];
        let mut together = vec![0.0f32; columns];
        for rows in x.chunks(columns * ROWS_TOGETHER) {
            together.fill(0.0);
            for row in rows.chunks_exact(columns) {
                together.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * x);
            }
            of_rows.iter_mut().zip(&together).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let mut all = self.lock();
        for source in wanted {
            let (part, parts) = source.part;
            let squares = match all.get_mut(&source.tensor) {
                Some(squares) => squares,
                None => all
                    .entry(source.tensor.clone())
                    .or_insert_with(|| Squares { sums: vec![0.0; parts * columns], rows: vec![0; parts] }),
            };
            // Resumed sums may be of another model; the caller compares their shapes with the model's.
            let Some(sums) = squares.sums.get_mut(part * columns..(part + 1) * columns) else { continue };
            sums.iter_mut().zip(&of_rows).for_each(|(sum, x)| *sum += x);
            if let Some(rows) = squares.rows.get_mut(part) {
                *rows += (x.len() / columns) as u64;
            }
        }
    }
}
