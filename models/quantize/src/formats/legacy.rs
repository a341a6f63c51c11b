//! The formats with 32 weights a block and no scales of scales: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.

use crate::formats::{half, put_half};
use crate::search::{Affine, affine, extreme, sum_of_squares, symmetric, weigh};

/// Weights in a block.
const BLOCK: usize = 32;

/// Scales of both signs with `bits` bits, zero in the middle: Q4_0 and Q5_0.
pub(crate) fn zero_centred<const BITS: u32>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let half_range = 1 << (BITS - 1);
    let bytes = if BITS == 4 { 18 } else { 22 };
    let sigma2 = importance.map_or(0.0, |_| sum_of_squares(row) / row.len() as f32);
    for (b, (x, out)) in row.chunks_exact(BLOCK).zip(out.chunks_exact_mut(bytes)).enumerate() {
        let mut integers = [0u8; BLOCK];
        let scale = if let Some(importance) = importance {
            let mut weights = [0.0; BLOCK];
            weigh(&mut weights, &importance[b * BLOCK..], x, sigma2);
            symmetric(half_range, x, Some(&weights), &mut integers)
        } else {
            let scale = extreme(x).0 / -(half_range as f32);
            let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
            let largest = (2 * half_range - 1) as u8;
            for (l, x) in integers.iter_mut().zip(x) {
                *l = (truncated(x * inverse + (half_range as f32 + 0.5)) as i8 as i32).min(largest.into()) as u8;
            }
            scale
        };
        put_half(out, 0, scale);
        put_integers::<BITS>(&integers, &mut out[2..]);
    }
}

/// Scales and minima with `bits` bits: Q4_1 and Q5_1.
pub(crate) fn with_minimum<const BITS: u32>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let most = (1i32 << BITS) - 1;
    let bytes = if BITS == 4 { 20 } else { 24 };
    let sigma2 = importance.map_or(0.0, |_| sum_of_squares(row) / row.len() as f32);
    for (b, (x, out)) in row.chunks_exact(BLOCK).zip(out.chunks_exact_mut(bytes)).enumerate() {
        let mut integers = [0u8; BLOCK];
        let (scale, minimum) = if let Some(importance) = importance {
            let mut weights = [0.0; BLOCK];
            weigh(&mut weights, &importance[b * BLOCK..], x, sigma2);
            let search = Affine { most, from: -0.9, step: 0.05, steps: 36, absolute: false, guarded: true };
            let (scale, minimum) = affine(search, x, &weights, &mut integers);
            (scale, -minimum)
        } else {
            let (mut min, mut max) = (f32::MAX, -f32::MAX);
            for &x in x {
                if x < min {
                    min = x;
                }
                if x > max {
                    max = x;
                }
            }
            let scale = (max - min) / most as f32;
            let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
            for (l, x) in integers.iter_mut().zip(x) {
                let number = truncated((x - min) * inverse + 0.5);
                *l = if BITS == 4 { (number as i8 as i32).min(15) as u8 } else { number as u8 };
            }
            (scale, min)
        };
        put_half(out, 0, scale);
        put_half(out, 2, minimum);
        put_integers::<BITS>(&integers, &mut out[4..]);
    }
}

/// Signed bytes: Q8_0. An importance matrix changes nothing.
pub(crate) fn q8_0(row: &[f32], out: &mut [u8]) {
    for (x, out) in row.chunks_exact(BLOCK).zip(out.chunks_exact_mut(34)) {
        let scale = extreme(x).1 / 127.0;
        let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
        out[..2].copy_from_slice(&half(scale));
        for (l, x) in out[2..].iter_mut().zip(x) {
            *l = truncated((x * inverse).round()) as u8;
        }
    }
}

/// A float without its fraction, as x86's conversion does it: what does not fit is the least integer.
#[inline(always)]
fn truncated(x: f32) -> i32 {
    if x.abs() < 2_147_483_648.0 { x as i32 } else { i32::MIN }
}

/// Nibbles, the second half of the block in the upper ones; before them the fifth bits, where there are any.
pub(crate) fn put_integers<const BITS: u32>(integers: &[u8; BLOCK], out: &mut [u8]) {
    let nibbles = if BITS == 5 {
        let fifths = integers.iter().enumerate().fold(0u32, |bits, (i, l)| bits | u32::from(l >> 4 & 1) << i);
        out[..4].copy_from_slice(&fifths.to_le_bytes());
        &mut out[4..]
    } else {
        out
    };
    for (j, nibbles) in nibbles.iter_mut().enumerate() {
        *nibbles = if BITS == 5 {
            (integers[j] & 15) | (integers[j + 16] & 15) << 4
        } else {
            integers[j] | integers[j + 16] << 4
        };
    }
}
