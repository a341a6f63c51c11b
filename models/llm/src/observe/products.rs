//! Products of input channels with each other, `X^T X`: the Hessian that GPTQ needs of a matrix. It has as many rows as the matrix has
//! columns, so only those of some tensors are taken at a time; the caller chooses which fit the memory ([`InputProducts::bytes`]) and
//! reads the text once for each lot.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use nearfield_kernels::{Activations, Format, Level, Matrix, Pool, Product, Together, multiply};

use super::{InputObserver, MatrixSource};
use crate::LlmError;

/// Rows of inputs that are multiplied together.
const ROWS_TOGETHER: usize = 256;
/// Channels whose products with all others are computed at a time.
const CHANNELS_TOGETHER: usize = 256;

/// A matrix: its tensor, and which of those that share it (0 but in mixtures of experts).
pub type MatrixPart = (Box<str>, usize);

/// What one lot of tensors with the same inputs came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Products {
    /// Numbers in an input.
    pub columns: usize,
    /// How many inputs were seen.
    pub rows: u64,
    /// `[columns, columns]`: the sums of the products.
    pub sums: Vec<f32>,
}

/// Adds up the products of the inputs of some matrices. Matrices that are multiplied with the same rows, such as those of queries and
/// keys, share one result.
#[derive(Debug)]
pub struct InputProducts {
    wanted: Vec<MatrixPart>,
    level: Level,
    pool: Pool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lots: Vec<Lot>,
    /// Which lot a tensor's part belongs to.
    of: BTreeMap<MatrixPart, usize>,
    scratch: Activations,
    out: Vec<f32>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Lot {
    products: Products,
    /// `[columns, ROWS_TOGETHER]`: inputs that wait to be multiplied, channel by channel.
    waiting: Vec<f32>,
    count: usize,
}

impl InputProducts {
    /// For matrices, each a tensor and its part (0 but in mixtures of experts).
    ///
    /// # Errors
    /// The instructions that `NEARFIELD_SIMD` names are not to be had.
    pub fn new(wanted: Vec<MatrixPart>, threads: usize) -> Result<Arc<InputProducts>, LlmError> {
        let (level, pool) = (Level::detect()?, Pool::new(NonZeroUsize::new(threads)));
        Ok(Arc::new(InputProducts { wanted, level, pool, state: Mutex::default() }))
    }

    /// The memory that the products of inputs with so many numbers take.
    pub fn bytes(columns: usize) -> usize {
        (columns * (columns + ROWS_TOGETHER)).saturating_mul(4)
    }

    /// Takes the products: each with the matrices that share it.
    pub fn take(&self) -> Vec<(Vec<MatrixPart>, Products)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for index in 0..state.lots.len() {
            self.multiply(&mut state, index);
        }
        let State { lots, of, .. } = std::mem::take(&mut *state);
        let names = |index| of.iter().filter(move |(_, lot)| **lot == index).map(|(name, _)| name.clone()).collect();
        lots.into_iter().enumerate().map(|(index, lot)| (names(index), lot.products)).collect()
    }

    /// Multiplies what waits in a lot.
    fn multiply(&self, state: &mut State, index: usize) {
        let State { lots, scratch, out, bytes, .. } = state;
        let Lot { products, waiting, count } = &mut lots[index];
        if *count == 0 {
            return;
        }
        let n = products.columns;
        bytes.clear();
        bytes.extend(waiting.iter().flat_map(|x| x.to_le_bytes()));
        let weights = || Matrix::new(Format::F32, bytes, n, ROWS_TOGETHER).expect("as many numbers as it has");
        for (channels, sums) in
            waiting.chunks(CHANNELS_TOGETHER * ROWS_TOGETHER).zip(products.sums.chunks_mut(CHANNELS_TOGETHER * n))
        {
            out.clear();
            out.resize(sums.len(), 0.0);
            let mut product = [Product { weights: weights(), out }];
            multiply(self.level, &self.pool, Together::Fastest, channels, scratch, &mut product);
            sums.iter_mut().zip(&*out).for_each(|(sum, x)| *sum += x);
        }
        waiting.fill(0.0);
        *count = 0;
    }
}

impl InputObserver for InputProducts {
    fn observe(&self, matrices: &[&MatrixSource], x: &[f32]) {
        let is_wanted = |source: &MatrixSource| {
            self.wanted.iter().any(|(tensor, part)| *tensor == source.tensor && *part == source.part.0)
        };
        let Some(first) = matrices.iter().find(|source| is_wanted(source)) else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (first.tensor.clone(), first.part.0);
        let columns = first.columns;
        let index = match state.of.get(&key) {
            Some(index) => *index,
            None => {
                let index = state.lots.len();
                let products = Products { columns, rows: 0, sums: vec![0.0; columns * columns] };
                state.lots.push(Lot { products, waiting: vec![0.0; columns * ROWS_TOGETHER], count: 0 });
                let wanted = matrices.iter().filter(|source| is_wanted(source));
                state.of.extend(wanted.map(|source| ((source.tensor.clone(), source.part.0), index)));
                index
            }
        };
        for row in x.chunks_exact(columns) {
            let lot = &mut state.lots[index];
            for (channel, x) in row.iter().enumerate() {
                lot.waiting[channel * ROWS_TOGETHER + lot.count] = *x;
            }
            lot.count += 1;
            lot.products.rows += 1;
            if lot.count == ROWS_TOGETHER {
                self.multiply(&mut state, index);
            }
        }
    }
}
