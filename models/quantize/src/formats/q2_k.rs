//! Q2_K: 256 weights of 2 bits; sixteen groups, each with a 4-bit scale and a 4-bit minimum; an f16 scale for each kind.

use crate::formats::{SUPER_BLOCK, half_value, put_half, put_pairs};
use crate::search::{Affine, affine, nearest, positive, sum_of_squares, weigh};

const GROUP: usize = 16;
const GROUPS: usize = SUPER_BLOCK / GROUP;
/// The largest scale and the largest minimum of a group.
const MOST: f32 = 15.0;

pub(crate) fn q2_k(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    for (b, (x, out)) in row.chunks_exact(SUPER_BLOCK).zip(out.chunks_exact_mut(84)).enumerate() {
        block(x, importance.map(|importance| &importance[b * SUPER_BLOCK..]), out);
    }
}

fn block(x: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let mut integers = [0u8; SUPER_BLOCK];
    let (mut scales, mut minima, mut sums) = ([0.0f32; GROUPS], [0.0f32; GROUPS], [0.0f32; GROUPS]);
    let sigma2 = sum_of_squares(x) / SUPER_BLOCK as f32;
    for (j, x) in x.chunks_exact(GROUP).enumerate() {
        let mut weights = [0.0; GROUP];
        let search = if let Some(importance) = importance {
            weigh(&mut weights, &importance[j * GROUP..], x, sigma2);
            sums[j] = weights.iter().fold(0.0, |sum, w| sum + w);
            Affine { most: 3, from: -0.9, step: 0.05, steps: 36, absolute: false, guarded: true }
        } else {
            weights.iter_mut().zip(x).for_each(|(w, x)| *w = x.abs());
            Affine { most: 3, from: -0.5, step: 0.1, steps: 15, absolute: true, guarded: false }
        };
        (scales[j], minima[j]) = affine(search, x, &weights, &mut integers[j * GROUP..][..GROUP]);
    }
    let (mut low, mut high) = ([0u8; GROUPS], [0u8; GROUPS]);
    let (scale, minimum) = if importance.is_some() {
        (positive(15, &scales, &sums, &mut low), positive(15, &minima, &sums, &mut high))
    } else {
        (shared(&scales, &mut low), shared(&minima, &mut high))
    };
    put_half(out, 80, scale);
    put_half(out, 82, minimum);
    let (scale, minimum) = (half_value(out, 80), half_value(out, 82));
    for (j, x) in x.chunks_exact(GROUP).enumerate() {
        let both = low[j] | high[j] << 4;
        let d = scale * f32::from(both & 15);
        if d == 0.0 {
            continue;
        }
        let m = minimum * f32::from(both >> 4);
        for (l, x) in integers[j * GROUP..].iter_mut().zip(x) {
            *l = nearest((x + m) / d).clamp(0, 3) as u8;
        }
    }
    put(&low, &high, &integers, out);
}

/// Everything but the two f16 at the end.
pub(crate) fn put(scales: &[u8; GROUPS], minima: &[u8; GROUPS], integers: &[u8; SUPER_BLOCK], out: &mut [u8]) {
    for (out, (scale, minimum)) in out.iter_mut().zip(scales.iter().zip(minima)) {
        *out = scale | minimum << 4;
    }
    put_pairs(integers, &mut out[GROUPS..80]);
}

/// The numbers as fifteenths of the largest, which is returned as the scale.
fn shared(numbers: &[f32; GROUPS], out: &mut [u8; GROUPS]) -> f32 {
    let largest = numbers.iter().fold(0.0f32, |largest, &n| if n > largest { n } else { largest });
    if largest > 0.0 {
        let inverse = MOST / largest;
        for (out, number) in out.iter_mut().zip(numbers) {
            *out = nearest(inverse * number) as u8;
        }
    }
    if largest > 0.0 { largest / MOST } else { 0.0 }
}
