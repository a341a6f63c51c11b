//! Q6_K: 256 weights of 6 bits, zero in the middle; sixteen groups with an 8-bit scale; an f16 scale.

use crate::formats::{SUPER_BLOCK, half_value, put_half};
use crate::search::{ALL_ZERO, nearest, symmetric};

const GROUP: usize = 16;
const GROUPS: usize = SUPER_BLOCK / GROUP;

pub(crate) fn q6_k(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    for (b, (x, out)) in row.chunks_exact(SUPER_BLOCK).zip(out.chunks_exact_mut(210)).enumerate() {
        block(x, importance.map(|importance| &importance[b * SUPER_BLOCK..][..SUPER_BLOCK]), out);
    }
}

fn block(x: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let mut integers = [0u8; SUPER_BLOCK];
    let mut scales = [0.0f32; GROUPS];
    let (mut largest, mut magnitude) = (0.0f32, 0.0f32);
    for (j, x) in x.chunks_exact(GROUP).enumerate() {
        let weights = importance.map(|importance| &importance[j * GROUP..][..GROUP]);
        scales[j] = symmetric(32, x, weights, &mut integers[j * GROUP..][..GROUP]);
        if scales[j].abs() > magnitude {
            (largest, magnitude) = (scales[j], scales[j].abs());
        }
    }
    if magnitude < ALL_ZERO {
        out.fill(0);
        return;
    }
    let inverse = -128.0 / largest;
    put_half(out, 208, 1.0 / inverse);
    let stored = scales.map(|scale| nearest(inverse * scale).min(127) as i8);
    let scale = half_value(out, 208);
    for (j, x) in x.chunks_exact(GROUP).enumerate() {
        let d = scale * f32::from(stored[j]);
        if d == 0.0 {
            continue;
        }
        for (l, x) in integers[j * GROUP..].iter_mut().zip(x) {
            *l = (nearest(x / d).clamp(-32, 31) + 32) as u8;
        }
    }
    put(&stored, &integers, out);
}

/// Everything but the f16 at the end. Of 128 weights: the lower four bits in 64 bytes, the upper two of four weights in each of 32 bytes.
pub(crate) fn put(scales: &[i8; GROUPS], integers: &[u8; SUPER_BLOCK], out: &mut [u8]) {
    let (values, rest) = out.split_at_mut(192);
    rest.iter_mut().zip(scales).for_each(|(out, scale)| *out = scale.cast_unsigned());
    let (low, high) = values.split_at_mut(128);
    for ((integers, low), high) in
        integers.chunks_exact(128).zip(low.chunks_exact_mut(64)).zip(high.chunks_exact_mut(32))
    {
        for i in 0..32 {
            let [a, b, c, d] = [0, 32, 64, 96].map(|at| integers[i + at]);
            low[i] = (a & 15) | (c & 15) << 4;
            low[i + 32] = (b & 15) | (d & 15) << 4;
            high[i] = a >> 4 | (b >> 4) << 2 | (c >> 4) << 4 | (d >> 4) << 6;
        }
    }
}
