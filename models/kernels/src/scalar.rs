//! The plain definition of every product: what a block of weights means, and its dot product with quantized activations.
//! Slow, portable, and what the other levels are tested against.

use half::{bf16, f16};

use crate::activations::Row;
use crate::format::Format;
use crate::strips::{self, STRIP_ROWS};
use crate::vector::half_to_float;

/// 32 consecutive weights: `w[i] = scales[i / 16] * values[i] - minima[i / 16]`.
pub(crate) struct Block {
    pub values: [i8; 32],
    pub scales: [f32; 2],
    pub minima: [f32; 2],
}

/// Reads block `index` (of 32 weights) of a row in a quantized format.
#[inline]
pub(crate) fn unpack(format: Format, row: &[u8], index: usize) -> Block {
    let bytes = format.block_bytes();
    let mut values = [0i8; 32];
    let (scales, minima) = match format {
        Format::Q8_0 => {
            let block = &row[index * bytes..][..bytes];
            for (value, byte) in values.iter_mut().zip(&block[2..]) {
                *value = *byte as i8;
            }
            ([half_at(block, 0); 2], [0.0; 2])
        }
        Format::Q4_0 => {
            let block = &row[index * bytes..][..bytes];
            let d = half_at(block, 0);
            split_nibbles(&block[2..], &mut values);
            ([d; 2], [8.0 * d; 2])
        }
        Format::Q5_0 => {
            let block = &row[index * bytes..][..bytes];
            let d = half_at(block, 0);
            let fifths = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
            split_nibbles(&block[6..], &mut values);
            for (i, value) in values.iter_mut().enumerate() {
                *value |= ((fifths >> i & 1) << 4) as i8;
            }
            ([d; 2], [16.0 * d; 2])
        }
        Format::Q4K | Format::Q5K => {
            let (block, part) = (&row[index / 8 * bytes..][..bytes], index % 8);
            let (scale, minimum) = scale_and_minimum(&block[4..16], part);
            let (d, m) = (half_at(block, 0) * f32::from(scale), half_at(block, 2) * f32::from(minimum));
            let (fifths, nibbles) = block[16..].split_at(if format == Format::Q5K { 32 } else { 0 });
            for (value, byte) in values.iter_mut().zip(&nibbles[part / 2 * 32..]) {
                *value = (byte >> (part % 2 * 4) & 15) as i8;
            }
            for (value, fifths) in values.iter_mut().zip(fifths) {
                *value |= ((fifths >> part & 1) << 4) as i8;
            }
            ([d; 2], [m; 2])
        }
        Format::Q6K => {
            let (block, half, part) = (&row[index / 8 * bytes..][..bytes], index % 8 / 4, index % 4);
            let (low, high) = (&block[half * 64 + part % 2 * 32..], &block[128 + half * 32..]);
            let eights = &block[192 + half * 8 + part * 2..];
            let d = half_at(block, 208);
            for ((value, low), high) in values.iter_mut().zip(low).zip(high) {
                *value = (low >> (part / 2 * 4) & 15 | (high >> (2 * part) & 3) << 4) as i8;
            }
            let scales = [d * f32::from(eights[0] as i8), d * f32::from(eights[1] as i8)];
            (scales, scales.map(|scale| 32.0 * scale))
        }
        Format::F32 | Format::F16 | Format::Bf16 => unreachable!("float formats have no blocks"),
    };
    Block { values, scales, minima }
}

/// Sixteen bytes as 32 values: the lower nibbles first.
fn split_nibbles(bytes: &[u8], values: &mut [i8; 32]) {
    let (low, high) = values.split_at_mut(16);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        *low = (byte & 15) as i8;
        *high = (byte >> 4) as i8;
    }
}

/// The 6-bit scale and minimum of sub-block `part` from the 12 packed bytes of the 4- and 5-bit K formats.
pub(crate) fn scale_and_minimum(packed: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        let (low, scale_high, minimum_high) = (packed[part + 4], packed[part - 4] >> 6, packed[part] >> 6);
        (low & 15 | scale_high << 4, low >> 4 | minimum_high << 4)
    }
}

/// The f16 at `offset` bytes.
pub(crate) fn half_at(bytes: &[u8], offset: usize) -> f32 {
    f16::from_le_bytes([bytes[offset], bytes[offset + 1]]).to_f32()
}

/// Weight `index` of a row in a float format.
fn float_at(format: Format, row: &[u8], index: usize) -> f32 {
    match format {
        Format::F16 => half_at(row, 2 * index),
        Format::Bf16 => bf16::from_le_bytes([row[2 * index], row[2 * index + 1]]).to_f32(),
        _ => f32::from_le_bytes([row[4 * index], row[4 * index + 1], row[4 * index + 2], row[4 * index + 3]]),
    }
}

/// Writes a whole row as floats.
pub(crate) fn dequantize(format: Format, row: &[u8], out: &mut [f32]) {
    if !format.is_quantized() {
        for (index, value) in out.iter_mut().enumerate() {
            *value = float_at(format, row, index);
        }
        return;
    }
    dequantize_blocks(out, |index| unpack(format, row, index));
}

/// Writes a row as floats that has its blocks of 32 from `block`.
pub(crate) fn dequantize_blocks(out: &mut [f32], block: impl Fn(usize) -> Block) {
    for (index, out) in out.chunks_exact_mut(32).enumerate() {
        let block = block(index);
        for (i, value) in out.iter_mut().enumerate() {
            *value = block.scales[i / 16] * f32::from(block.values[i]) - block.minima[i / 16];
        }
    }
}

/// The dot product of one row of weights with one row of activations. The match is made once for each row, so that a compiler
/// finds plain loops to vectorise: on processors without kernels of their own, this is what runs.
pub(crate) fn dot(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
    match format {
        Format::F32 => dot_floats(weights.as_chunks::<4>().0, x.floats, f32::from_le_bytes),
        Format::F16 => {
            dot_floats(weights.as_chunks::<2>().0, x.floats, |bytes| half_to_float(u16::from_le_bytes(bytes)))
        }
        Format::Bf16 => dot_floats(weights.as_chunks::<2>().0, x.floats, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Format::Q8_0 => dot_blocks(x, |index| unpack(Format::Q8_0, weights, index)),
        Format::Q4_0 => dot_blocks(x, |index| unpack(Format::Q4_0, weights, index)),
        Format::Q5_0 => dot_blocks(x, |index| unpack(Format::Q5_0, weights, index)),
        Format::Q4K => dot_blocks(x, |index| unpack(Format::Q4K, weights, index)),
        Format::Q5K => dot_blocks(x, |index| unpack(Format::Q5K, weights, index)),
        Format::Q6K => dot_blocks(x, |index| unpack(Format::Q6K, weights, index)),
    }
}

/// The dot products of the rows of a strip with one row of activations.
pub(crate) fn dot_strip(format: Format, strip: &[u8], x: Row<'_>) -> [f32; STRIP_ROWS] {
    std::array::from_fn(|lane| dot_blocks(x, |index| strips::unpack(format, strip, lane, index)))
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
