//! The triangular factor of a Hessian that says how much each later column makes up for an error in an earlier one.
//!
//! With `H = L^T L`, `L` lower triangular over the columns in the order in which they are rounded, the squared error of a row's products
//! is `|L e|^2` for errors `e`. Column `c` contributes `L[c,c] e[c] + sum over j < c of L[c,j] e[j]`, which is zero but for rounding if its
//! weight is rounded after `sum of e[j] L[c,j] / L[c,c]` has been added to it. This is GPTQ without an inverse.

use std::num::NonZeroUsize;

use nearfield_kernels::{Activations, Format, Level, Matrix, Pool, Product, Together, multiply};

use crate::file::parallel;

/// Columns that are factored, and later rounded, before what follows from them is added to the others.
pub(super) const BLOCK: usize = 128;
/// Rows of the trailing matrix that are updated together.
const ROWS_TOGETHER: usize = 512;
/// How often the damping is made ten times larger where a Hessian is not positive.
const TRIES: usize = 5;

/// What rounding a matrix needs to know of its inputs.
#[derive(Debug)]
pub struct Feedback {
    /// Which column comes when.
    pub(super) order: Vec<u32>,
    /// Mean squares of the inputs, by column.
    pub(super) mean_squares: Vec<f32>,
    /// For each block of columns: what comes of its errors within it, and behind it.
    pub(super) blocks: Vec<FactorBlock>,
    pub(super) level: Level,
}

/// A block of columns of `L[c,j] / L[c,c]`.
#[derive(Debug)]
pub(super) struct FactorBlock {
    /// `[j, c]` for both in the block: a row for each column that was rounded.
    pub within: Vec<f32>,
    /// `[c, j]`, `c` behind the block and `j` in it; floats as bytes.
    pub behind: Vec<u8>,
}

impl Feedback {
    /// Factors `sums: [columns, columns]`, the sums of products of input channels over `rows` inputs. `damping` is the part of the mean of
    /// the diagonal that is added to it. `None` where sums are not finite, none was seen, or rounding errors leave no factor.
    pub fn new(sums: &[f32], columns: usize, rows: u64, damping: f32, threads: usize) -> Option<Feedback> {
        let n = columns;
        if rows == 0 || n == 0 || sums.len() != n * n || !sums.iter().all(|sum| sum.is_finite()) {
            return None;
        }
        let diagonal = |c: usize| sums[c * n + c].max(0.0);
        let mean = (0..n).map(|c| f64::from(diagonal(c))).sum::<f64>() / n as f64;
        if mean <= 0.0 {
            return None;
        }
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_by(|a, b| diagonal(*b as usize).total_cmp(&diagonal(*a as usize)));
        let mean_squares = (0..n).map(|c| diagonal(c) / rows as f32).collect();
        let level = Level::detect().unwrap_or_else(|_| Level::best());
        let pool = Pool::new(NonZeroUsize::new(threads));
        let mut lower = vec![0.0f32; n * n];
        let mut damping = f64::from(damping);
        for _ in 0..TRIES {
            // Backwards, so that the usual factor C C^T is L^T L. Scaled to a mean of one.
            for i in 0..n {
                let from = order[n - 1 - i] as usize * n;
                for (j, to) in lower[i * n..=i * n + i].iter_mut().enumerate() {
                    *to = (f64::from(sums[from + order[n - 1 - j] as usize]) / mean) as f32;
                }
                lower[i * n + i] += damping as f32;
            }
            if cholesky(&mut lower, n, level, &pool, threads) {
                let blocks = (0..n).step_by(BLOCK).map(|first| FactorBlock::of(&lower, n, first)).collect();
                return Some(Feedback { order, mean_squares, blocks, level });
            }
            damping *= 10.0;
        }
        None
    }

    /// Numbers in a row of the matrix.
    pub fn columns(&self) -> usize {
        self.order.len()
    }

    /// Mean squares of the inputs, by column.
    pub fn mean_squares(&self) -> &[f32] {
        &self.mean_squares
    }
}

impl FactorBlock {
    /// The block that begins with column `first`, of the factor in reverse order.
    fn of(lower: &[f32], n: usize, first: usize) -> FactorBlock {
        let width = BLOCK.min(n - first);
        let at = |c: usize, j: usize| lower[(n - 1 - j) * n + n - 1 - c];
        let inverse: Vec<f32> = (first..n).map(|c| 1.0 / at(c, c)).collect();
        let mut within = vec![0.0; width * width];
        for j in 0..width {
            for (c, inverse) in inverse.iter().enumerate().take(width).skip(j + 1) {
                within[j * width + c] = at(first + c, first + j) * inverse;
            }
        }
        let mut behind = vec![0u8; (n - first - width) * width * 4];
        for (c, row) in (first + width..n).zip(behind.chunks_exact_mut(width * 4)) {
            for (j, out) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *out = (at(c, first + j) * inverse[c - first]).to_le_bytes();
            }
        }
        FactorBlock { within, behind }
    }
}

/// Replaces the lower triangle of a matrix with its Cholesky factor; false where it is not positive.
fn cholesky(a: &mut [f32], n: usize, level: Level, pool: &Pool, threads: usize) -> bool {
    let (mut scratch, mut out, mut bytes) = (Activations::new(), Vec::new(), Vec::new());
    for first in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - first);
        let end = first + width;
        let Some(corner) = corner(a, n, first, width) else { return false };
        for (i, row) in corner.chunks_exact(width).enumerate() {
            for (to, x) in a[(first + i) * n + first..][..=i].iter_mut().zip(row) {
                *to = *x as f32;
            }
        }
        // Rows below: each is solved against the corner, column by column.
        let transposed: Vec<f32> = (0..width * width).map(|i| corner[(i % width) * width + i / width] as f32).collect();
        let rows = a[end * n..].chunks_exact_mut(n);
        parallel(threads, rows, |row: &mut [f32]| {
            let row = &mut row[first..end];
            for j in 0..width {
                let solved = row[j] / transposed[j * width + j];
                row[j] = solved;
                let factors = &transposed[j * width..][..width];
                row[j + 1..].iter_mut().zip(&factors[j + 1..]).for_each(|(x, f)| *x -= solved * f);
            }
        });
        // What is left: less the products of the rows below with each other.
        let below: Vec<f32> = a[end * n..].chunks_exact(n).flat_map(|row| row[first..end].iter().copied()).collect();
        bytes.clear();
        bytes.extend(below.iter().flat_map(|x| x.to_le_bytes()));
        for begin in (0..n - end).step_by(ROWS_TOGETHER) {
            let rows = ROWS_TOGETHER.min(n - end - begin);
            let columns = begin + rows;
            out.clear();
            out.resize(rows * columns, 0.0);
            let weights = Matrix::new(Format::F32, &bytes[..columns * width * 4], columns, width);
            let Ok(weights) = weights else { return false };
            let x = &below[begin * width..][..rows * width];
            multiply(level, pool, Together::Fastest, x, &mut scratch, &mut [Product { weights, out: &mut out }]);
            for (i, products) in out.chunks_exact(columns).enumerate() {
                let row = &mut a[(end + begin + i) * n + end..][..=begin + i];
                row.iter_mut().zip(products).for_each(|(x, product)| *x -= product);
            }
        }
    }
    true
}

/// The factor of a square on the diagonal: `[width, width]`.
fn corner(a: &[f32], n: usize, first: usize, width: usize) -> Option<Vec<f64>> {
    let mut c = vec![0.0f64; width * width];
    for i in 0..width {
        for j in 0..=i {
            let mut sum = f64::from(a[(first + i) * n + first + j]);
            for k in 0..j {
                sum -= c[i * width + k] * c[j * width + k];
            }
            if i == j {
                // Below that nothing is left but rounding errors.
                if sum.is_nan() || sum <= 1e-9 {
                    return None;
                }
                c[i * width + i] = sum.sqrt();
            } else {
                c[i * width + j] = sum / c[j * width + j];
            }
        }
    }
    Some(c)
}
