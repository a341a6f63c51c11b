//! The plain definition of every product: what a block of weights means, and its dot product with quantized activations.
//! Slow, portable, and what the other levels are tested against.

use half::{bf16, f16};

use crate::activations::Row;
use crate::format::Format;

/// 32 consecutive weights: `w[i] = scales[i / 16] * values[i] - minima[i / 16]`.
pub(crate) struct Block {
    pub values: [i8; 32],
    pub scales: [f32; 2],
    pub minima: [f32; 2],
}

/// Reads block `index` (of 32 weights) of a row in a quantized format.
pub(crate) fn unpack(format: Format, row: &[u8], index: usize) -> Block {
    let bytes = format.block_bytes();
    match format {
        Format::Q8_0 => {
            let block = &row[index * bytes..][..bytes];
            let d = half_at(block, 0);
            Block { values: std::array::from_fn(|i| block[2 + i] as i8), scales: [d; 2], minima: [0.0; 2] }
        }
        Format::Q4_0 => {
            let block = &row[index * bytes..][..bytes];
            let d = half_at(block, 0);
            let values = std::array::from_fn(|i| nibble(block[2 + i % 16], i >= 16));
            Block { values, scales: [d; 2], minima: [8.0 * d; 2] }
        }
        Format::Q5_0 => {
            let block = &row[index * bytes..][..bytes];
            let d = half_at(block, 0);
            let fifth = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
            let values = std::array::from_fn(|i| nibble(block[6 + i % 16], i >= 16) | ((fifth >> i & 1) << 4) as i8);
            Block { values, scales: [d; 2], minima: [16.0 * d; 2] }
        }
        Format::Q4K | Format::Q5K => {
            let (block, part) = (&row[index / 8 * bytes..][..bytes], index % 8);
            let (scale, minimum) = scale_and_minimum(&block[4..16], part);
            let (d, m) = (half_at(block, 0) * f32::from(scale), half_at(block, 2) * f32::from(minimum));
            let (fifths, nibbles) = block[16..].split_at(if format == Format::Q5K { 32 } else { 0 });
            let values = std::array::from_fn(|i| {
                let fifth = if fifths.is_empty() { 0 } else { fifths[i] >> part & 1 };
                nibble(nibbles[part / 2 * 32 + i], part % 2 == 1) | (fifth << 4) as i8
            });
            Block { values, scales: [d; 2], minima: [m; 2] }
        }
        Format::Q6K => {
            let (block, half, part) = (&row[index / 8 * bytes..][..bytes], index % 8 / 4, index % 4);
            let (low, high, scales) =
                (&block[half * 64..], &block[128 + half * 32..], &block[192 + half * 8 + part * 2..]);
            let d = half_at(block, 208);
            let scales = [d * f32::from(scales[0] as i8), d * f32::from(scales[1] as i8)];
            let values = std::array::from_fn(|i| {
                nibble(low[part % 2 * 32 + i], part >= 2) | ((high[i] >> (2 * part) & 3) << 4) as i8
            });
            Block { values, scales, minima: scales.map(|scale| 32.0 * scale) }
        }
        Format::F32 | Format::F16 | Format::Bf16 => unreachable!("float formats have no blocks"),
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

fn nibble(byte: u8, upper: bool) -> i8 {
    (if upper { byte >> 4 } else { byte & 15 }) as i8
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
    for (index, out) in out.chunks_exact_mut(32).enumerate() {
        let block = unpack(format, row, index);
        for (i, value) in out.iter_mut().enumerate() {
            *value = block.scales[i / 16] * f32::from(block.values[i]) - block.minima[i / 16];
        }
    }
}

/// The dot product of one row of weights with one row of activations.
pub(crate) fn dot(format: Format, weights: &[u8], x: Row<'_>) -> f32 {
    if !format.is_quantized() {
        return x.floats.iter().enumerate().map(|(index, x)| x * float_at(format, weights, index)).sum();
    }
    let mut sum = 0.0;
    for (index, (x_values, x_scale)) in x.values.chunks_exact(32).zip(x.scales).enumerate() {
        let block = unpack(format, weights, index);
        for part in 0..2 {
            let half = part * 16..part * 16 + 16;
            let products = block.values[half.clone()].iter().zip(&x_values[half]);
            let product: i32 = products.map(|(w, x)| i32::from(*w) * i32::from(*x)).sum();
            sum += block.scales[part] * x_scale * product as f32 - block.minima[part] * x.sums_16[2 * index + part];
        }
    }
    sum
}
