//! Matrix products: rows of activations times a matrix of weights in any format, shared out over the pool.
//!
//! Few tokens (writing text) are limited by memory: each row of weights is read once and multiplied with each token. Many
//! tokens (reading a prompt) are limited by arithmetic: see the panels.

use std::marker::PhantomData;

use crate::activations::{Activations, Row};
use crate::format::{Format, Matrix};
use crate::level::{Level, Set};
use crate::pool::Pool;
use crate::strips::STRIP_ROWS;
use crate::{panel, scalar};

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

/// Computes several products of the same `x: [tokens, columns]` in one go. `scratch` is kept by the caller so that nothing
/// is allocated once it has grown.
///
/// # Panics
/// The shapes do not fit each other.
pub fn multiply(level: Level, pool: &Pool, x: &[f32], scratch: &mut Activations, products: &mut [Product<'_>]) {
    let Some(columns) = products.first().map(|product| product.weights.columns) else {
        return;
    };
    assert!(columns > 0 && x.len().is_multiple_of(columns), "whole rows of activations");
    let tokens = x.len() / columns;
    let in_panels = tokens >= panel::FEWEST_TOKENS && panel::rows(level).is_some();
    if products.iter().any(|product| product.weights.format.is_quantized()) {
        scratch.quantize(level, pool, x, columns, in_panels);
    }
    let scratch = &*scratch;
    let row = |weights: &Matrix<'_>, token: usize| {
        let floats = &x[token * columns..][..columns];
        if weights.format.is_quantized() { scratch.row(floats, token) } else { Row::floats(floats) }
    };
    // Splits a product into (rows of a task, tasks).
    let split = |weights: &Matrix<'_>| {
        let rows_each = if let Some(rows) = panel::rows(level).filter(|_| in_panels) {
            rows
        } else {
            let by_bytes = TASK_BYTES / weights.row_bytes.max(1);
            let whole = if weights.in_strips { STRIP_ROWS } else { 4 };
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
            if in_panels {
                panel::multiply(
                    level,
                    weights,
                    rows.clone(),
                    tokens,
                    &|token| row(weights, token),
                    &mut |token, values| {
                        // SAFETY: these rows of the output belong to this task alone.
                        unsafe { shared.out(index, token * weights.rows + rows.start, values.len()) }
                            .copy_from_slice(values);
                    },
                );
            } else if weights.in_strips {
                for strip in rows.start / STRIP_ROWS..rows.end.div_ceil(STRIP_ROWS) {
                    let count = STRIP_ROWS.min(rows.end - strip * STRIP_ROWS);
                    for token in 0..tokens {
                        let dots = strip_dots(level, weights.format, weights.strip(strip), row(weights, token));
                        let place = token * weights.rows + strip * STRIP_ROWS;
                        // SAFETY: these rows of the output belong to this task alone.
                        unsafe { shared.out(index, place, count) }.copy_from_slice(&dots[..count]);
                    }
                }
            } else {
                let mut r = rows.start;
                while r < rows.end {
                    let both = r + 1 < rows.end;
                    for token in 0..tokens {
                        let (x, place) = (row(weights, token), token * weights.rows + r);
                        // SAFETY: these rows of the output belong to this task alone.
                        let out = unsafe { shared.out(index, place, 1 + usize::from(both)) };
                        if both {
                            out.copy_from_slice(&dots(level, weights.format, [weights.row(r), weights.row(r + 1)], x));
                        } else {
                            out.copy_from_slice(&dots(level, weights.format, [weights.row(r)], x));
                        }
                    }
                    r += 2;
                }
            }
            return;
        }
    });
}

/// `R` rows of weights times one row of activations.
#[inline]
fn dots<const R: usize>(level: Level, format: Format, weights: [&[u8]; R], x: Row<'_>) -> [f32; R] {
    match level.0 {
        Set::Scalar => weights.map(|weights| scalar::dot(format, weights, x)),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these levels are proof of AVX2, FMA and F16C; `Matrix` and `Activations` have made the lengths agree.
        Set::Avx2 | Set::AvxVnni | Set::AvxVnniEvex => unsafe { crate::avx2::dots(format, weights, x) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is proof of its instructions; the lengths agree, as above.
        Set::Avx512 => weights.map(|weights| unsafe { crate::avx512::dot(format, weights, x) }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every such processor has NEON; the lengths agree, as above.
        Set::Neon => weights.map(|weights| unsafe { crate::neon::plain::dot(format, weights, x) }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level is proof of its instructions; the lengths agree, as above.
        Set::NeonDotprod => weights.map(|weights| unsafe { crate::neon::dotprod::dot(format, weights, x) }),
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level is proof of its instructions; the lengths agree, as above.
        Set::NeonI8mm => weights.map(|weights| unsafe { crate::neon::i8mm::dot(format, weights, x) }),
    }
}

/// A strip of rows of weights times one row of activations.
#[inline]
fn strip_dots(level: Level, format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is proof of its instructions; `Matrix` and `Activations` have made the lengths agree.
        Set::Avx512 => unsafe { crate::avx512::strips::dot(format, strip, x) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is proof of AVX2, FMA and F16C; the lengths agree, as above.
        Set::Avx2 => unsafe { crate::avx2::strips::dot(format, strip, x) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is proof of its instructions; the lengths agree, as above.
        Set::AvxVnni => unsafe { crate::avx2::strips::dot_vex(format, strip, x) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is proof of its instructions; the lengths agree, as above.
        Set::AvxVnniEvex => unsafe { crate::avx2::strips::dot_evex(format, strip, x) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: every such processor has NEON; the lengths agree, as above.
        Set::Neon => unsafe { crate::neon::plain::dot_strip(format, strip, x) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level is proof of its instructions; the lengths agree, as above.
        Set::NeonDotprod => unsafe { crate::neon::dotprod::dot_strip(format, strip, x) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level is proof of its instructions; the lengths agree, as above.
        Set::NeonI8mm => unsafe { crate::neon::i8mm::dot_strip(format, strip, x) },
        Set::Scalar => scalar::dot_strip(format, strip, x),
    }
}

/// A slice that several tasks write, each its own ranges.
pub(crate) struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: the ranges handed out are disjoint (the contract of `range`), so this is no more than sending `&mut [T]`s.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> SharedSlice<'a, T> {
        SharedSlice { start: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }

    /// The `len` elements from `start`.
    ///
    /// # Safety
    /// No two ranges that are alive at the same time overlap.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn range(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "a task stays within its output");
        // SAFETY: within the slice (just checked), and disjoint from other ranges (the caller's promise).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
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

/// The bandwidth at which memory can be read with that many threads, in units of 10^9 bytes a second: the best of fifty
/// sums over a buffer, which should be several times the caches and lie as the weights lie. `now` is a clock that never goes back.
pub fn read_bandwidth(threads: usize, buffer: &[u8], now: &dyn Fn() -> std::time::Duration) -> f64 {
    let pool = Pool::new(std::num::NonZeroUsize::new(threads));
    let buffer = buffer.as_chunks::<8>().0;
    let each = 1 << 13;
    let mut best = 0f64;
    for _ in 0..50 {
        let total = std::sync::atomic::AtomicU64::new(0);
        let start = now();
        pool.run(buffer.len().div_ceil(each), &|task| {
            let mut lanes = [0u64; 16];
            for chunk in buffer[task * each..buffer.len().min((task + 1) * each)].chunks_exact(16) {
                for (lane, number) in lanes.iter_mut().zip(chunk) {
                    *lane ^= u64::from_ne_bytes(*number);
                }
            }
            total.fetch_xor(lanes.iter().fold(0, |a, b| a ^ b), std::sync::atomic::Ordering::Relaxed);
        });
        let seconds = (now() - start).as_secs_f64().max(1e-9);
        std::hint::black_box(total.into_inner());
        best = best.max(buffer.len() as f64 * 8.0 / seconds / 1e9);
    }
    best
}
