//! Q3_K: 256 weights of 3 bits, zero in the middle; sixteen groups with a 6-bit scale; an f16 scale.

use crate::formats::{SUPER_BLOCK, half_value, put_half, put_pairs};
use crate::search::{nearest, sum_of_squares, symmetric, symmetric_by_moves, weigh};

const GROUP: usize = 16;
const GROUPS: usize = SUPER_BLOCK / GROUP;

pub(crate) fn q3_k(row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    for (b, (x, out)) in row.chunks_exact(SUPER_BLOCK).zip(out.chunks_exact_mut(110)).enumerate() {
        block(x, importance.map(|importance| &importance[b * SUPER_BLOCK..]), out);
    }
}

fn block(x: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let mut integers = [0u8; SUPER_BLOCK];
    let (mut scales, mut sums) = ([0.0f32; GROUPS], [0.0f32; GROUPS]);
    let sigma2 = 2.0 * sum_of_squares(x) / SUPER_BLOCK as f32;
    for (j, x) in x.chunks_exact(GROUP).enumerate() {
        let integers = &mut integers[j * GROUP..][..GROUP];
        scales[j] = if let Some(importance) = importance {
            let mut weights = [0.0; GROUP];
            weigh(&mut weights, &importance[j * GROUP..], x, sigma2);
            sums[j] = weights.iter().fold(0.0, |sum, w| sum + w);
            symmetric(4, x, Some(&weights), integers)
        } else {
            symmetric_by_moves(4, x, integers)
        };
    }
    // 6-bit scales with 32 added; none at all where the block is zero.
    let mut stored = [0u8; GROUPS];
    if importance.is_some() {
        put_half(out, 108, symmetric(32, &scales, Some(&sums), &mut stored));
    } else {
        let (mut largest, mut magnitude) = (0.0f32, 0.0f32);
        for &scale in &scales {
            if scale.abs() > magnitude {
                (largest, magnitude) = (scale, scale.abs());
            }
        }
        if largest != 0.0 {
            let inverse = -32.0 / largest;
            for (stored, scale) in stored.iter_mut().zip(&scales) {
                *stored = (i32::from(nearest(inverse * scale) as i8).clamp(-32, 31) + 32) as u8;
            }
            put_half(out, 108, 1.0 / inverse);
        } else {
            put_half(out, 108, 0.0);
        }
    }
    let scale = half_value(out, 108);
    for (j, x) in x.chunks_exact(GROUP).enumerate() {
        let d = scale * (f32::from(stored[j]) - 32.0);
        if d == 0.0 {
            continue;
        }
        for (l, x) in integers[j * GROUP..].iter_mut().zip(x) {
            *l = (nearest(x / d).clamp(-4, 3) + 4) as u8;
        }
    }
    put(&stored, &mut integers, out);
}

/// Everything but the f16 at the end; the third bits of the integers are taken off.
pub(crate) fn put(scales: &[u8; GROUPS], integers: &mut [u8; SUPER_BLOCK], out: &mut [u8]) {
    let (high, low) = out[..96].split_at_mut(32);
    high.fill(0);
    for (i, l) in integers.iter_mut().enumerate() {
        if *l > 3 {
            high[i % 32] |= 1 << (i / 32);
            *l -= 4;
        }
    }
    put_pairs(integers, low);
    let packed = &mut out[96..108];
    packed.fill(0);
    for (j, scale) in scales.iter().enumerate() {
        packed[j % 8] |= (scale & 15) << (4 * (j / 8));
        packed[8 + j % 4] |= (scale >> 4) << (2 * (j / 4));
    }
}
