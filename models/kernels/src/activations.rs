//! Activations as 8-bit blocks: the right-hand side of every product with quantized weights.

use crate::pool::Pool;
use crate::shared_slice::SharedSlice;

/// Quantizes one row in blocks of 32; the last argument is whether it is meant for a panel.
pub(crate) type QuantizeRow = unsafe fn(&[f32], Parts<'_>, bool);

/// Where the quantized parts of one row go.
pub(crate) struct Parts<'a> {
    pub values: &'a mut [i8],
    pub scales: &'a mut [f32],
    pub sums_32: &'a mut [f32],
    pub sums_16: &'a mut [f32],
}

/// Rows of activations quantized in blocks of 32: `x[i] = scales[i / 32] * values[i]`, with the sums that weights with a
/// minimum (or an offset) need. The buffers grow to the largest input seen and are then reused.
#[derive(Debug, Default, Clone)]
pub struct Activations {
    columns: usize,
    values: Vec<i8>,   // [tokens, columns]
    scales: Vec<f32>,  // [tokens, columns / 32]
    sums_32: Vec<f32>, // [tokens, columns / 32]: scale * sum of 32 values
    sums_16: Vec<f32>, // [tokens, columns / 16]: scale * sum of 16 values
}

/// One row of activations, in every form that a kernel asks for. The quantized parts are empty where only floats are used.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub floats: &'a [f32],
    pub values: &'a [i8],
    pub scales: &'a [f32],
    pub sums_32: &'a [f32],
    pub sums_16: &'a [f32],
}

impl Activations {
    /// Empty buffers.
    pub fn new() -> Activations {
        Activations::default()
    }

    /// Quantizes `x: [tokens, columns]`; `columns` is a multiple of 32. For panels, the values are as the panels of the level
    /// want them.
    ///
    /// # Safety
    /// The processor has the instructions of `quantize_row`.
    pub(crate) unsafe fn quantize(
        &mut self,
        quantize_row: QuantizeRow,
        pool: &Pool,
        x: &[f32],
        columns: usize,
        for_panels: bool,
    ) {
        assert_eq!(columns % 32, 0, "quantized products work on blocks of 32");
        let (tokens, blocks) = (x.len() / columns, columns / 32);
        self.columns = columns;
        self.values.resize(tokens * columns, 0);
        self.scales.resize(tokens * blocks, 0.0);
        self.sums_32.resize(tokens * blocks, 0.0);
        self.sums_16.resize(tokens * blocks * 2, 0.0);
        let values = SharedSlice::new(&mut self.values);
        let scales = SharedSlice::new(&mut self.scales);
        let sums_32 = SharedSlice::new(&mut self.sums_32);
        let sums_16 = SharedSlice::new(&mut self.sums_16);
        let tokens_each = tokens.div_ceil(4 * pool.threads()).max(4);
        pool.run(tokens.div_ceil(tokens_each), &|task| {
            for token in task * tokens_each..tokens.min((task + 1) * tokens_each) {
                // SAFETY: each token's range is written by one task alone; the instructions are the caller's promise.
                unsafe {
                    let parts = Parts {
                        values: values.range(token * columns, columns),
                        scales: scales.range(token * blocks, blocks),
                        sums_32: sums_32.range(token * blocks, blocks),
                        sums_16: sums_16.range(token * blocks * 2, blocks * 2),
                    };
                    quantize_row(&x[token * columns..][..columns], parts, for_panels);
                }
            }
        });
    }

    /// Row `token`, beside the floats that it was made from.
    pub(crate) fn row<'a>(&'a self, floats: &'a [f32], token: usize) -> Row<'a> {
        let (columns, blocks) = (self.columns, self.columns / 32);
        Row {
            floats,
            values: &self.values[token * columns..][..columns],
            scales: &self.scales[token * blocks..][..blocks],
            sums_32: &self.sums_32[token * blocks..][..blocks],
            sums_16: &self.sums_16[token * blocks * 2..][..blocks * 2],
        }
    }
}

impl<'a> Row<'a> {
    /// A row for float formats alone.
    pub(crate) fn floats(floats: &'a [f32]) -> Row<'a> {
        Row { floats, values: &[], scales: &[], sums_32: &[], sums_16: &[] }
    }
}

/// The plain form, which levels compile for themselves.
#[inline(always)]
pub(crate) fn quantize_row(x: &[f32], parts: Parts<'_>) {
    // As arguments, the compiler knows that these do not overlap.
    quantize_blocks(x, parts.values, parts.scales, parts.sums_32, parts.sums_16);
}

#[inline(always)]
fn quantize_blocks(x: &[f32], values: &mut [i8], scales: &mut [f32], sums_32: &mut [f32], sums_16: &mut [f32]) {
    let blocks = x.chunks_exact(32).zip(values.chunks_exact_mut(32));
    let results = scales.iter_mut().zip(sums_32).zip(sums_16.chunks_exact_mut(2));
    for ((x, values), ((scale, sum_32), sums_16)) in blocks.zip(results) {
        let mut largest = [0f32; 8];
        for lanes in x.chunks_exact(8) {
            for (largest, x) in largest.iter_mut().zip(lanes) {
                *largest = if x.abs() > *largest { x.abs() } else { *largest };
            }
        }
        let largest = largest.iter().fold(0f32, |a, b| if *b > a { *b } else { a });
        *scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        let mut rounded = [0i32; 32];
        for (rounded, x) in rounded.iter_mut().zip(x) {
            // 1.5 * 2^23: adding it leaves a float whose last bits are the nearest integer.
            const MAGIC: f32 = 12_582_912.0;
            *rounded = ((x * inverse + MAGIC).to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
        }
        for (value, rounded) in values.iter_mut().zip(&rounded) {
            *value = *rounded as i8;
        }
        let (low, high): (i32, i32) = (rounded[..16].iter().sum(), rounded[16..].iter().sum());
        sums_16[0] = *scale * low as f32;
        sums_16[1] = *scale * high as f32;
        *sum_32 = *scale * (low + high) as f32;
    }
}
