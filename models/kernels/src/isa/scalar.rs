//! The plain definition of every product. Slow, portable, and what the other levels are tested against.

use half::bf16;

use crate::activations::{Parts, Row, quantize_row};
use crate::float::{exp, half_to_float};
use crate::formats::{Block, Format, STRIP_ROWS, read_row, read_strip, with_blocks};
use crate::kv_cache::{Head, Query, Scoring};

/// The dot product of one row of weights with one row of activations. The match is made once for each row, so that a compiler
/// finds plain loops to vectorise: on processors without kernels of their own, this is what runs.
pub(crate) fn dot(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
    match format {
        Format::F32 => dot_floats(weights.as_chunks::<4>().0, x.floats, f32::from_le_bytes),
        Format::F16 => {
            dot_floats(weights.as_chunks::<2>().0, x.floats, |bytes| half_to_float(u16::from_le_bytes(bytes)))
        }
        Format::Bf16 => dot_floats(weights.as_chunks::<2>().0, x.floats, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        _ => with_blocks!(format, F => dot_blocks(x, |index| read_row::<F>(weights, index))),
    }
}

/// The dot products of the rows of a strip with one row of activations.
pub(crate) fn dot_strip(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    with_blocks!(format, F => std::array::from_fn(|lane| dot_blocks(x, |index| read_strip::<F>(strip, lane, index))))
}

#[inline(always)]
fn dot_blocks(x: Row<'_>, block: impl Fn(usize) -> Block) -> f32 {
    let mut sum = 0.0;
    for (index, (values, scale)) in x.values.as_chunks::<32>().0.iter().zip(x.scales).enumerate() {
        let block = block(index);
        let mut products = [0i32; 2];
        for ((product, w), x) in
            products.iter_mut().zip(block.values.as_chunks::<16>().0).zip(values.as_chunks::<16>().0)
        {
            *product = w.iter().zip(x).map(|(w, x)| i32::from(i16::from(*w) * i16::from(*x))).sum();
        }
        for (part, product) in products.into_iter().enumerate() {
            sum += block.scales[part] * scale * product as f32 - block.minima[part] * x.sums_16[2 * index + part];
        }
    }
    sum
}

#[inline(always)]
fn dot_floats<const N: usize>(weights: &[[u8; N]], x: &[f32], read: impl Fn([u8; N]) -> f32) -> f32 {
    let mut sums = [0f32; 8];
    let ((weights, weights_rest), (x, x_rest)) = (weights.as_chunks::<8>(), x.as_chunks::<8>());
    for (weights, x) in weights.iter().zip(x) {
        for ((sum, w), x) in sums.iter_mut().zip(weights).zip(x) {
            *sum += read(*w) * x;
        }
    }
    let rest: f32 = weights_rest.iter().zip(x_rest).map(|(w, x)| read(*w) * x).sum();
    sums.iter().sum::<f32>() + rest
}

/// Attention of some queries to one head.
pub(crate) fn attend(scoring: Scoring, head: Head<'_>, queries: &mut [Query<'_>]) {
    queries.iter_mut().for_each(|query| attend_to_each(scoring, head, query));
}

/// Attention of one query to one head, one position after the other.
fn attend_to_each(scoring: Scoring, head: Head<'_>, query: &mut Query<'_>) {
    query.out.fill(0.0);
    for position in query.first..query.end {
        let product = head.score(position, query.q);
        let score = scoring.score::<false>(product, query.slope, (query.position - position) as f32);
        if score > query.largest {
            let shrink = exp::<false>(query.largest - score);
            query.total *= shrink;
            query.out.iter_mut().for_each(|out| *out *= shrink);
            query.largest = score;
        }
        let weight = exp::<false>(score - query.largest);
        query.total += weight;
        head.add_value(position, weight, query.out);
    }
}

/// Quantizes a row of activations.
pub(crate) fn quantize(x: &[f32], parts: Parts<'_>, _: bool) {
    quantize_row(x, parts);
}
