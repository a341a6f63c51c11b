//! Q4_K and Q5_K: 256 weights of 4 or 5 bits; eight groups, each with a 6-bit scale and a 6-bit minimum; an f16 scale for each kind.

use crate::formats::{SUPER_BLOCK, half_value, put_half};
use crate::search::{Affine, affine, nearest, positive, sum_of_squares, weigh};

const GROUP: usize = 32;
const GROUPS: usize = SUPER_BLOCK / GROUP;

/// `BITS` is 4 or 5.
pub(crate) fn q4_k<const BITS: u32>(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let bytes = if BITS == 4 { 144 } else { 176 };
    for (b, (x, out)) in row.chunks_exact(SUPER_BLOCK).zip(out.chunks_exact_mut(bytes)).enumerate() {
        block::<BITS>(x, importance.map(|importance| &importance[b * SUPER_BLOCK..]), out);
    }
}

fn block<const BITS: u32>(x: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let most = (1i32 << BITS) - 1;
    let mut integers = [0u8; SUPER_BLOCK];
    let (mut scales, mut minima, mut sums) = ([0.0f32; GROUPS], [0.0f32; GROUPS], [0.0f32; GROUPS]);
    let sigma2 = 2.0 * sum_of_squares(x) / SUPER_BLOCK as f32;
    for (j, x) in x.chunks_exact(GROUP).enumerate() {
        let mut weights = [0.0; GROUP];
        let search = if let Some(importance) = importance {
            weigh(&mut weights, &importance[j * GROUP..], x, sigma2);
            sums[j] = weights.iter().fold(0.0, |sum, w| sum + w);
            Affine { most, from: -0.9, step: 0.05, steps: 36, absolute: false, guarded: true }
        } else {
            let size = (sum_of_squares(x) / GROUP as f32).sqrt();
            weights.iter_mut().zip(x).for_each(|(w, x)| *w = size + x.abs());
            let (from, steps) = if BITS == 4 { (-1.0, 20) } else { (-0.5, 15) };
            Affine { most, from, step: 0.1, steps, absolute: false, guarded: false }
        };
        (scales[j], minima[j]) = affine(search, x, &weights, &mut integers[j * GROUP..][..GROUP]);
    }
    let (mut short, mut low) = ([0u8; GROUPS], [0u8; GROUPS]);
    if importance.is_some() {
        put_half(out, 0, positive(63, &scales, &sums, &mut short));
        put_half(out, 2, positive(63, &minima, &sums, &mut low));
    } else {
        put_half(out, 0, shared(&scales, &mut short));
        put_half(out, 2, shared(&minima, &mut low));
    }
    if BITS == 5 || importance.is_none() {
        short.iter_mut().chain(&mut low).for_each(|l| *l = (*l).min(63));
    }
    put_scales(&short, &low, &mut out[4..16]);
    let (scale, minimum) = (half_value(out, 0), half_value(out, 2));
    for (j, x) in x.chunks_exact(GROUP).enumerate() {
        let (short, low) = scale_and_minimum(j, &out[4..16]);
        let d = scale * f32::from(short);
        if d == 0.0 {
            continue;
        }
        let m = minimum * f32::from(low);
        for (l, x) in integers[j * GROUP..].iter_mut().zip(x) {
            *l = nearest((x + m) / d).min(most).max(0) as u8;
        }
    }
    put_integers::<BITS>(&integers, &mut out[16..]);
}

/// Everything but the two f16 at the beginning.
pub(crate) fn put<const BITS: u32>(
    scales: &[u8; GROUPS],
    minima: &[u8; GROUPS],
    integers: &[u8; SUPER_BLOCK],
    out: &mut [u8],
) {
    put_scales(scales, minima, &mut out[4..16]);
    put_integers::<BITS>(integers, &mut out[16..]);
}

/// The numbers as 63rds of the largest, which is returned as the scale.
fn shared(numbers: &[f32; GROUPS], out: &mut [u8; GROUPS]) -> f32 {
    let largest = numbers.iter().fold(0.0f32, |largest, &n| if n > largest { n } else { largest });
    let inverse = if largest > 0.0 { 63.0 / largest } else { 0.0 };
    for (out, number) in out.iter_mut().zip(numbers) {
        *out = nearest(inverse * number) as u8;
    }
    largest / 63.0
}

/// Eight 6-bit scales and minima in twelve bytes.
fn put_scales(scales: &[u8; GROUPS], minima: &[u8; GROUPS], out: &mut [u8]) {
    out[..4].copy_from_slice(&scales[..4]);
    out[4..8].copy_from_slice(&minima[..4]);
    for j in 4..GROUPS {
        out[j + 4] = (scales[j] & 15) | (minima[j] & 15) << 4;
        out[j - 4] |= (scales[j] >> 4) << 6;
        out[j] |= (minima[j] >> 4) << 6;
    }
}

/// What [`put_scales`] has written for a group.
fn scale_and_minimum(j: usize, packed: &[u8]) -> (u8, u8) {
    if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        let (low, high) = (packed[j + 4] & 15, packed[j + 4] >> 4);
        (low | packed[j - 4] >> 6 << 4, high | packed[j] >> 6 << 4)
    }
}

/// Nibbles of 64 weights in 32 bytes, and before them the fifth bits, where there are any.
fn put_integers<const BITS: u32>(integers: &[u8; SUPER_BLOCK], out: &mut [u8]) {
    let nibbles = if BITS == 5 {
        let (fifths, nibbles) = out.split_at_mut(32);
        fifths.fill(0);
        for (i, l) in integers.iter().enumerate() {
            fifths[i % 32] |= (l >> 4) << (i / 32);
        }
        nibbles
    } else {
        out
    };
    for (integers, nibbles) in integers.chunks_exact(64).zip(nibbles.chunks_exact_mut(32)) {
        for (j, nibbles) in nibbles.iter_mut().enumerate() {
            *nibbles = if BITS == 5 {
                (integers[j] & 15) | integers[j + 32] << 4
            } else {
                integers[j] | integers[j + 32] << 4
            };
        }
    }
}
