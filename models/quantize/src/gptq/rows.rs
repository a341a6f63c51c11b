//! Rows of a matrix, rounded with feedback.

use std::num::NonZeroUsize;

use nearfield_kernels::{Activations, Format, Matrix, Pool, Product, Together, multiply};

use super::factor::{BLOCK, Feedback};
use crate::fine::{Block, Shape};
use crate::formats::SUPER_BLOCK;
use crate::search::{sum_of_squares, weigh};

/// Writes rows of weights `[n, columns]` in a format that has a [`Shape`].
pub(crate) fn quantize_rows(feedback: &Feedback, format: Format, rows: &[f32], out: &mut [u8]) {
    let Some(shape) = Shape::of(format) else { return };
    let n = feedback.columns();
    let (weights, bytes) = (format.block_weights(), format.block_bytes());
    let n_rows = rows.len() / n;
    let mut counts = vec![0.0f32; rows.len()];
    for (row, counts) in rows.chunks_exact(n).zip(counts.chunks_exact_mut(n)) {
        let sigma2 = sum_of_squares(row) / n as f32;
        weigh(counts, &feedback.mean_squares, row, sigma2);
    }
    let blocks: Vec<Block<'_>> = rows
        .chunks_exact(weights)
        .zip(counts.chunks_exact(weights))
        .map(|(x, counts)| {
            let mut block = Block::new(shape, x, counts);
            block.improve();
            block
        })
        .collect();
    let levels = rounded(feedback, shape, rows, &blocks, weights);
    let mut integers = [0u8; SUPER_BLOCK];
    for ((block, levels), out) in
        blocks.iter().zip(levels.chunks_exact(weights)).zip(out.chunks_exact_mut(bytes).take(n_rows * n / weights))
    {
        integers[..weights].copy_from_slice(levels);
        block.put_levels(format, &mut integers, out);
    }
}

/// The level of each weight: `[n_rows, columns]`.
fn rounded(feedback: &Feedback, shape: Shape, rows: &[f32], blocks: &[Block<'_>], weights: usize) -> Vec<u8> {
    let n = feedback.columns();
    let n_rows = rows.len() / n;
    let mut levels = vec![0u8; rows.len()];
    // Weights in the order in which they are rounded, with all feedback so far.
    let mut wanted = vec![0.0f32; rows.len()];
    for (wanted, row) in wanted.chunks_exact_mut(n).zip(rows.chunks_exact(n)) {
        wanted.iter_mut().zip(&feedback.order).for_each(|(to, column)| *to = row[*column as usize]);
    }
    let (pool, mut scratch, mut out) = (Pool::new(NonZeroUsize::new(1)), Activations::new(), Vec::new());
    for (at, factor) in feedback.blocks.iter().enumerate() {
        let first = at * BLOCK;
        let width = BLOCK.min(n - first);
        let mut errors = vec![0.0f32; n_rows * width];
        for r in 0..n_rows {
            let row = &rows[r * n..][..n];
            let wanted = &mut wanted[r * n + first..][..width];
            let errors = &mut errors[r * width..][..width];
            for (j, kept) in errors.iter_mut().enumerate() {
                let column = feedback.order[first + j] as usize;
                let block = &blocks[(r * n + column) / weights];
                let (scale, minimum) = block.of_group(column % weights / shape.group);
                let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
                let (level, worth) = shape.level((wanted[j] + minimum) * inverse);
                levels[r * n + column] = level;
                let error = row[column] - (scale * worth - minimum);
                *kept = error;
                let factors = &factor.within[j * width + j + 1..(j + 1) * width];
                wanted[j + 1..].iter_mut().zip(factors).for_each(|(x, f)| *x += error * f);
            }
        }
        let left = n - first - width;
        if left == 0 {
            break;
        }
        out.clear();
        out.resize(n_rows * left, 0.0);
        let matrix = Matrix::new(Format::F32, &factor.behind, left, width).expect("as many numbers as it has");
        let mut products = [Product { weights: matrix, out: &mut out }];
        multiply(feedback.level, &pool, Together::Fastest, &errors, &mut scratch, &mut products);
        for (r, added) in out.chunks_exact(left).enumerate() {
            wanted[r * n + first + width..][..left].iter_mut().zip(added).for_each(|(x, added)| *x += added);
        }
    }
    levels
}
