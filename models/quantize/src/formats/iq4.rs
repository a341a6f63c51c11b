//! IQ4_NL and IQ4_XS: 4 bits that index a table of sixteen values, denser around zero.

use crate::formats::{SUPER_BLOCK, put_half};
use crate::search::{ALL_ZERO, extreme, nearest, sum_of_squares, weigh};

const GROUP: usize = 32;
const GROUPS: usize = SUPER_BLOCK / GROUP;
/// The values, as the GGUF specification's formats have them.
pub(crate) const TABLE: [f32; 16] =
    [-127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0];
/// Halfway between two values.
const MIDDLES: [f32; 15] = {
    let mut middles = [0.0; 15];
    let mut k = 0;
    while k < 15 {
        middles[k] = 0.5 * (TABLE[k] + TABLE[k + 1]);
        k += 1;
    }
    middles
};

/// 32 weights and an f16 scale.
pub(crate) fn iq4_nl(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    for (b, (x, out)) in row.chunks_exact(GROUP).zip(out.chunks_exact_mut(18)).enumerate() {
        let sigma2 = sum_of_squares(x) * (2.0 / GROUP as f32);
        let scale = scale_of(x, importance.map(|importance| &importance[b * GROUP..]), sigma2);
        put_half(out, 0, scale);
        put_indices(x, if scale != 0.0 { 1.0 / scale } else { 0.0 }, &mut out[2..]);
    }
}

/// 256 weights, eight 6-bit scales and an f16 scale.
pub(crate) fn iq4_xs(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    for (b, (x, out)) in row.chunks_exact(SUPER_BLOCK).zip(out.chunks_exact_mut(136)).enumerate() {
        let sigma2 = sum_of_squares(x) * (2.0 / SUPER_BLOCK as f32);
        let mut scales = [0.0f32; GROUPS];
        let (mut largest, mut magnitude) = (0.0f32, 0.0f32);
        for (j, x) in x.chunks_exact(GROUP).enumerate() {
            let importance = importance.map(|importance| &importance[b * SUPER_BLOCK + j * GROUP..]);
            scales[j] = scale_of(x, importance, sigma2);
            if scales[j].abs() > magnitude {
                (largest, magnitude) = (scales[j], scales[j].abs());
            }
        }
        let d = -largest / 32.0;
        let inverse = if d != 0.0 { 1.0 / d } else { 0.0 };
        put_half(out, 0, d);
        let stored = scales.map(|scale| nearest(inverse * scale).clamp(-32, 31));
        for (j, (x, out)) in x.chunks_exact(GROUP).zip(out[8..].chunks_exact_mut(16)).enumerate() {
            let scale = d * stored[j] as f32;
            put_indices(x, if scale != 0.0 { 1.0 / scale } else { 0.0 }, out);
        }
        put_scales(&stored, out);
    }
}

/// Eight 6-bit scales, with 32 added, behind the f16 of IQ4_XS.
pub(crate) fn put_scales(scales: &[i32; GROUPS], out: &mut [u8]) {
    let mut high = 0u16;
    out[4..8].fill(0);
    for (j, scale) in scales.iter().enumerate() {
        let stored = (scale + 32) as u8;
        out[4 + j / 2] |= (stored & 15) << (4 * (j % 2));
        high |= u16::from(stored >> 4) << (2 * j);
    }
    out[2..4].copy_from_slice(&high.to_le_bytes());
}

/// Indices of 32 weights as nibbles.
pub(crate) fn put_nibbles(indices: &[u8], out: &mut [u8]) {
    for (j, out) in out.iter_mut().enumerate() {
        *out = indices[j] | indices[j + 16] << 4;
    }
}

/// The scale that represents a group best: the extreme weight is put on the table's first value and on 15 others around it.
fn scale_of(x: &[f32], importance: Option<&[f32]>, sigma2: f32) -> f32 {
    const STEPS: i32 = 7;
    const LANES: usize = 2 * STEPS as usize + 2;
    let mut weights = [0.0f32; GROUP];
    match importance {
        Some(importance) => weigh(&mut weights, importance, x, sigma2),
        None => weights.iter_mut().zip(x).for_each(|(w, x)| *w = x * x),
    }
    let (max, amax) = extreme(x);
    if amax < ALL_ZERO {
        return 0.0;
    }
    let mut inverse = [0.0f32; LANES];
    inverse[0] = 1.0 / (-max / TABLE[0]);
    for (lane, step) in (-STEPS..=STEPS).enumerate() {
        inverse[lane + 1] = (step as f32 + TABLE[0]) / max;
    }
    let (mut sum_qx, mut sum_q2) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (&x, &w) in x.iter().zip(&weights) {
        for lane in 0..LANES {
            let q = value(inverse[lane] * x);
            sum_qx[lane] += w * q * x;
            sum_q2[lane] += w * q * q;
        }
    }
    let mut scale = if sum_q2[0] > 0.0 { sum_qx[0] / sum_q2[0] } else { 0.0 };
    let mut best = scale * sum_qx[0];
    for lane in 1..LANES {
        if sum_q2[lane] > 0.0 && sum_qx[lane] * sum_qx[lane] > best * sum_q2[lane] {
            scale = sum_qx[lane] / sum_q2[lane];
            best = scale * sum_qx[lane];
        }
    }
    scale
}

/// The nearest value, by steps from one to the next: all lanes at once, without a look-up.
#[inline(always)]
fn value(x: f32) -> f32 {
    let mut value = TABLE[0];
    for k in 0..15 {
        value += if x < MIDDLES[k] { 0.0 } else { TABLE[k + 1] - TABLE[k] };
    }
    value
}

/// The index of the nearest value.
#[inline(always)]
pub(crate) fn index(x: f32) -> usize {
    15 - MIDDLES.iter().map(|&middle| usize::from(x < middle)).sum::<usize>()
}

/// Indices of 32 weights, the second half in the upper nibbles.
fn put_indices(x: &[f32], inverse: f32, out: &mut [u8]) {
    for (j, out) in out.iter_mut().enumerate() {
        *out = index(inverse * x[j]) as u8 | (index(inverse * x[j + 16]) as u8) << 4;
    }
}
