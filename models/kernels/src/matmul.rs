//! Matrix products: rows of activations times a matrix of weights in any format, shared out over the pool.
//!
//! Few tokens (writing text) are limited by memory: each row of weights is read once and multiplied with each token. Many
//! tokens (reading a prompt) are limited by arithmetic: see the panels.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::activations::{Activations, Row};
use crate::dispatch::{Kernels, STRIP_TOKENS};
use crate::formats::STRIP_ROWS;
use crate::level::Level;
use crate::matrix::{Matrix, strip_bytes};
use crate::panel::{FEWEST_TOKENS, MOST_ROWS, MultiplyPanel, PanelRows};
use crate::pool::Pool;
use crate::shared_slice::SharedSlice;
use crate::strips::pack_strip;

/// One product to compute: `out[t, r] = sum over c of x[t, c] * weights[r, c]`.
#[derive(Debug)]
pub struct Product<'a> {
    /// `[rows, columns]`
    pub weights: Matrix<'a>,
    /// `[tokens, rows]`
    pub out: &'a mut [f32],
}

/// The most bytes of weights in one task of a product with few tokens: some five microseconds of reading.
const TASK_BYTES: usize = 64 * 1024;

/// Tokens whose sums a panel keeps at a time.
const TOKENS: usize = 128;

/// How several tokens are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// In the fastest way. With more than [`FEW_TOKENS`](crate::FEW_TOKENS) tokens the sums are added up in another order than one
    /// token's alone.
    Fastest,
    /// Each with the result that it would have alone, to the last bit, however many they are.
    AsAlone,
}

/// Computes several products of the same `x: [tokens, columns]` in one go. `scratch` is kept by the caller so that nothing
/// is allocated once it has grown.
///
/// # Panics
/// The shapes do not fit each other.
pub fn multiply(
    level: Level,
    pool: &Pool,
    together: Together,
    x: &[f32],
    scratch: &mut Activations,
    products: &mut [Product<'_>],
) {
    let Some(columns) = products.first().map(|product| product.weights.columns) else {
        return;
    };
    assert!(columns > 0 && x.len().is_multiple_of(columns), "whole rows of activations");
    let tokens = x.len() / columns;
    let kernels = level.kernels();
    let panel = kernels.panel.filter(|_| tokens >= FEWEST_TOKENS && together == Together::Fastest);
    if products.iter().any(|product| product.weights.format.is_quantized()) {
        // SAFETY: the level is proof of the instructions of its kernels.
        unsafe { scratch.quantize(kernels.quantize, pool, x, columns, panel.is_some()) };
    }
    let scratch = &*scratch;
    // Splits a product into (rows of a task, tasks).
    let split = |weights: &Matrix<'_>| {
        let interleave = !weights.in_strips && !(kernels.reads_rows)(weights.format);
        let rows_each = if let Some((rows, _)) = panel {
            if interleave { rows.max(STRIP_ROWS) } else { rows }
        } else {
            let by_bytes = TASK_BYTES / weights.row_bytes.max(1);
            let whole = if weights.in_strips || interleave { STRIP_ROWS } else { 4 };
            by_bytes.min(weights.rows.div_ceil(4 * pool.threads())).max(1).next_multiple_of(whole)
        };
        (rows_each, weights.rows.div_ceil(rows_each))
    };
    let outputs: usize = products.iter().map(|product| split(&product.weights).1).sum();
    let rows: usize = products.iter().map(|product| product.weights.rows).sum();
    let shared = SharedProducts::new(products, tokens, columns);
    pool.run_sized(tokens * rows * columns, outputs, &|mut task| {
        for index in 0..shared.len() {
            let weights = shared.weights(index);
            let (rows_each, tasks) = split(weights);
            if task >= tasks {
                task -= tasks;
                continue;
            }
            let rows = task * rows_each..weights.rows.min((task + 1) * rows_each);
            let row = |token: usize| {
                let floats = &x[token * columns..][..columns];
                if weights.format.is_quantized() { scratch.row(floats, token) } else { Row::floats(floats) }
            };
            let mut write = |token: usize, first: usize, values: &[f32]| {
                // SAFETY: these rows of the output belong to this task alone.
                unsafe { shared.out(index, token * weights.rows + first, values.len()) }.copy_from_slice(values);
            };
            if weights.in_strips || (kernels.reads_rows)(weights.format) {
                run_task(kernels, panel, weights, rows, 0, tokens, &row, &mut write);
                return;
            }
            // Rows of a format that is only multiplied in strips: interleaved for this task. This is for weights that stay
            // mapped from the file because memory is short.
            let mut strips = vec![0; strip_bytes(weights.format, rows.len(), columns).expect("a quantized format")];
            let each = strips.len() / rows.len().div_ceil(STRIP_ROWS);
            for (strip, first) in strips.chunks_exact_mut(each).zip(rows.clone().step_by(STRIP_ROWS)) {
                pack_strip(weights, first, strip);
            }
            let part = Matrix::of_strips(weights.format, &strips, rows.len(), columns).expect("just laid out");
            for first in (0..rows.len()).step_by(panel.map_or(rows.len(), |(rows, _)| rows)) {
                let some = first..panel.map_or(rows.len(), |(each, _)| rows.len().min(first + each));
                run_task(kernels, panel, &part, some, rows.start, tokens, &row, &mut write);
            }
            return;
        }
    });
}

/// Multiplies `rows` of the weights (those of a panel, if there is one) with every token, and hands the results to
/// `write` (token, first row, values). `offset` is added to the numbers of the rows that are written.
#[allow(clippy::too_many_arguments)]
fn run_task<'x>(
    kernels: &Kernels,
    panel: Option<(usize, MultiplyPanel)>,
    weights: &Matrix<'_>,
    rows: Range<usize>,
    offset: usize,
    tokens: usize,
    row: &dyn Fn(usize) -> Row<'x>,
    write: &mut dyn FnMut(usize, usize, &[f32]),
) {
    if let Some(panel) = panel {
        multiply_panel(panel, weights, rows, offset, tokens, row, write);
    } else if weights.in_strips {
        for strip in rows.start / STRIP_ROWS..rows.end.div_ceil(STRIP_ROWS) {
            let count = STRIP_ROWS.min(rows.end - strip * STRIP_ROWS);
            let (bytes, first) = (weights.strip(strip), offset + strip * STRIP_ROWS);
            let Some(dot_few) = kernels.dot_strip_few.filter(|_| tokens > 1) else {
                for token in 0..tokens {
                    // SAFETY: the level is proof of its instructions; `Matrix` and `Activations` have made the lengths agree.
                    let dots = unsafe { (kernels.dot_strip)(weights.format, bytes, row(token)) };
                    write(token, first, &dots[..count]);
                }
                continue;
            };
            for some in (0..tokens).step_by(STRIP_TOKENS) {
                let here = STRIP_TOKENS.min(tokens - some);
                let x: [Row<'_>; STRIP_TOKENS] = std::array::from_fn(|i| row(some + i.min(here - 1)));
                let mut dots = [[0f32; STRIP_ROWS]; STRIP_TOKENS];
                // SAFETY: as above.
                unsafe { dot_few(weights.format, bytes, &x[..here], &mut dots[..here]) };
                for (i, dots) in dots[..here].iter().enumerate() {
                    write(some + i, first, &dots[..count]);
                }
            }
        }
    } else {
        for r in rows.clone().step_by(2) {
            for token in 0..tokens {
                // SAFETY: as above.
                unsafe {
                    if r + 1 < rows.end {
                        let pair = [weights.row(r), weights.row(r + 1)];
                        write(token, offset + r, &(kernels.dot_rows)(weights.format, pair, row(token)));
                    } else {
                        write(token, offset + r, &[(kernels.dot_row)(weights.format, weights.row(r), row(token))]);
                    }
                }
            }
        }
    }
}

/// Passes all tokens, some at a time, over one panel of rows.
fn multiply_panel<'x>(
    (panel_rows, kernel): (usize, MultiplyPanel),
    weights: &Matrix<'_>,
    rows: Range<usize>,
    offset: usize,
    tokens: usize,
    row: &dyn Fn(usize) -> Row<'x>,
    write: &mut dyn FnMut(usize, usize, &[f32]),
) {
    assert!(!rows.is_empty() && rows.len() <= panel_rows && panel_rows <= MOST_ROWS, "the rows of one panel");
    let apart: [&[u8]; MOST_ROWS];
    let source = if weights.in_strips {
        let (first, last) = (rows.start / STRIP_ROWS, (rows.end - 1) / STRIP_ROWS);
        PanelRows::InStrips([weights.strip(first), weights.strip(last)], rows.start % STRIP_ROWS / panel_rows)
    } else {
        apart = std::array::from_fn(|i| weights.row((rows.start + i).min(rows.end - 1)));
        PanelRows::Apart(&apart[..panel_rows])
    };
    let mut buffer = [const { MaybeUninit::<f32>::uninit() }; TOKENS * MOST_ROWS];
    for first in (0..tokens).step_by(TOKENS) {
        let count = (tokens - first).min(TOKENS);
        let sums = &mut buffer[..count * panel_rows];
        sums.iter_mut().for_each(|sum| _ = sum.write(0.0));
        // SAFETY: every element was just written.
        let sums = unsafe { std::slice::from_raw_parts_mut(sums.as_mut_ptr().cast::<f32>(), sums.len()) };
        // SAFETY: the level is proof of the instructions of its kernel; `Matrix` and `Activations` have made the lengths
        // agree, and the activations were quantized for panels of this level.
        unsafe { kernel(weights.format, &source, weights.columns, &|token| row(first + token), sums) };
        for (token, sums) in sums.chunks_exact(panel_rows).enumerate() {
            write(first + token, offset + rows.start, &sums[..rows.len()]);
        }
    }
}

/// Products in one call.
const MOST_PRODUCTS: usize = 4;

/// The products of one call, taken apart so that tasks can write their outputs. At most [`MOST_PRODUCTS`] of them, so that they need no heap.
struct SharedProducts<'a> {
    products: [Option<(Matrix<'a>, SharedSlice<'a, f32>)>; MOST_PRODUCTS],
    len: usize,
}

impl<'a> SharedProducts<'a> {
    fn new<'b: 'a>(products: &'a mut [Product<'b>], tokens: usize, columns: usize) -> SharedProducts<'a> {
        let len = products.len();
        assert!(len <= MOST_PRODUCTS, "at most {} products of one input", MOST_PRODUCTS);
        let mut shared = SharedProducts { products: [const { None }; MOST_PRODUCTS], len };
        for (slot, product) in shared.products.iter_mut().zip(products) {
            assert_eq!(product.weights.columns, columns, "products of one input have its width");
            assert_eq!(product.out.len(), tokens * product.weights.rows, "one output for each token and row");
            *slot = Some((product.weights, SharedSlice::new(product.out)));
        }
        shared
    }

    fn len(&self) -> usize {
        self.len
    }

    fn weights(&self, index: usize) -> &Matrix<'a> {
        self.products[index].as_ref().map(|(weights, _)| weights).expect("filled by new")
    }

    /// # Safety
    /// As for [`SharedSlice::range`].
    #[allow(clippy::mut_from_ref)]
    unsafe fn out(&self, index: usize, start: usize, len: usize) -> &mut [f32] {
        let (_, out) = self.products[index].as_ref().expect("filled by new");
        // SAFETY: the caller's promise.
        unsafe { out.range(start, len) }
    }
}
