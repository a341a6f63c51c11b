//! The scales, minima and integers that represent a group of weights best. The searches are those of llama.cpp's quantizer, with its
//! order of operations in f32, because files are to be equal to the last bit; the comments say what each one optimizes.

/// Weights below this are all zero.
pub(crate) const ALL_ZERO: f32 = 1e-15;

/// The nearest integer, ties to even, of a number below 2^22 in magnitude: the bits of `x + 1.5 * 2^23`, as llama.cpp rounds.
#[inline(always)]
pub(crate) fn nearest(x: f32) -> i32 {
    ((x + 12_582_912.0).to_bits() & 0x007f_ffff) as i32 - 0x0040_0000
}

/// The weight of the largest magnitude, with its sign, and the magnitude.
#[inline]
pub(crate) fn extreme(x: &[f32]) -> (f32, f32) {
    let (mut value, mut magnitude) = (0.0, 0.0);
    for &x in x {
        if x.abs() > magnitude {
            (value, magnitude) = (x, x.abs());
        }
    }
    (value, magnitude)
}

/// Integers in `-half..half` with a scale of either sign, `x = scale * l`, by least squares under `weights` (x² where there are none).
/// The extreme weight is put on `-half` and on 18 neighbouring places; the best of the 19 scales is kept. Integers are returned with
/// `half` added.
pub(crate) fn symmetric(half: i32, x: &[f32], weights: Option<&[f32]>, out: &mut [u8]) -> f32 {
    let (max, amax) = extreme(x);
    if amax < ALL_ZERO {
        out.fill(0);
        return 0.0;
    }
    let weight = |i: usize| weights.map_or_else(|| x[i] * x[i], |weights| weights[i]);
    // One lane for each scale tried; each sums in order. The first is the scale that puts the extreme on `-half`.
    const LANES: usize = 20;
    const TRIED: usize = 19;
    let mut inverse = [0.0f32; LANES];
    inverse[0] = -(half as f32) / max;
    for (lane, step) in (-9i32..=9).filter(|step| *step != 0).enumerate() {
        inverse[lane + 1] = -(half as f32 + 0.1 * step as f32) / max;
    }
    let (mut sum_lx, mut sum_l2) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (low, high) = (-half, half - 1);
    for i in 0..x.len() {
        let (w, x) = (weight(i), x[i]);
        let wx = w * x;
        for lane in 0..LANES {
            let l = nearest(inverse[lane] * x).min(high).max(low) as f32;
            sum_lx[lane] += wx * l;
            sum_l2[lane] += w * l * l;
        }
    }
    let mut scale = if sum_l2[0] != 0.0 { sum_lx[0] / sum_l2[0] } else { 0.0 };
    let mut best = scale * sum_lx[0];
    let mut chosen = 0;
    for lane in 1..TRIED {
        if sum_l2[lane] > 0.0 && sum_lx[lane] * sum_lx[lane] > best * sum_l2[lane] {
            scale = sum_lx[lane] / sum_l2[lane];
            best = scale * sum_lx[lane];
            chosen = lane;
        }
    }
    for (out, x) in out.iter_mut().zip(x) {
        *out = (nearest(inverse[chosen] * x).min(high).max(low) + half) as u8;
    }
    scale
}

/// As [`symmetric`] under the weights x², but improved by moving single integers until none moves, five rounds at most (Q3_K).
pub(crate) fn symmetric_by_moves(half: i32, x: &[f32], out: &mut [u8]) -> f32 {
    let (max, amax) = extreme(x);
    if amax < ALL_ZERO {
        out.fill(0);
        return 0.0;
    }
    let inverse = -(half as f32) / max;
    let clamp = |l: i32| l.min(half - 1).max(-half);
    let mut integers = [0i32; 32];
    let integers = &mut integers[..x.len()];
    let (mut sum_lx, mut sum_l2) = (0.0f32, 0.0f32);
    for (l, &x) in integers.iter_mut().zip(x) {
        *l = clamp(nearest(inverse * x));
        let (w, lf) = (x * x, *l as f32);
        sum_lx += w * x * lf;
        sum_l2 += w * lf * lf;
    }
    for _ in 0..5 {
        let mut moved = false;
        for (l, &x) in integers.iter_mut().zip(x) {
            let (w, old) = (x * x, *l as f32);
            let mut without_lx = sum_lx - w * x * old;
            if without_lx > 0.0 {
                let mut without_l2 = sum_l2 - w * old * old;
                let new = clamp(nearest(x * without_l2 / without_lx));
                if new != *l {
                    without_lx += w * x * new as f32;
                    without_l2 += w * new as f32 * new as f32;
                    if without_l2 > 0.0 && without_lx * without_lx * sum_l2 > sum_lx * sum_lx * without_l2 {
                        *l = new;
                        (sum_lx, sum_l2) = (without_lx, without_l2);
                        moved = true;
                    }
                }
            }
        }
        if !moved {
            break;
        }
    }
    for (out, l) in out.iter_mut().zip(integers) {
        *out = (*l + half) as u8;
    }
    if sum_l2 > 0.0 { sum_lx / sum_l2 } else { 0.0 }
}

/// How [`affine`] searches.
#[derive(Clone, Copy)]
pub(crate) struct Affine {
    /// The largest integer.
    pub most: i32,
    /// The range of weights is divided by `most + from + step * n`, for n in `0..=steps`.
    pub from: f32,
    pub step: f32,
    pub steps: i32,
    /// Absolute instead of squared differences.
    pub absolute: bool,
    /// Guards against steps outside the integers before rounding, as llama.cpp does with an importance matrix.
    pub guarded: bool,
}

/// Steps that are tried at once.
const STEPS: usize = 8;

/// Integers in `0..=most` with a scale and a minimum that is not above zero, `x = scale * l + minimum`. The range is divided more and
/// less finely; for each division, scale and minimum are those of least squares, and the best is kept. Returns the scale and the
/// minimum without its sign. At most 32 weights.
pub(crate) fn affine(search: Affine, x: &[f32], weights: &[f32], out: &mut [u8]) -> (f32, f32) {
    let Affine { most, from, step, steps, absolute, guarded } = search;
    let n = x.len();
    let weights = &weights[..n];
    let (mut min, mut max) = (x[0], x[0]);
    let mut sum_w = weights[0];
    let mut sum_x = sum_w * x[0];
    for i in 1..n {
        if x[i] < min {
            min = x[i];
        }
        if x[i] > max {
            max = x[i];
        }
        sum_w += weights[i];
        sum_x += weights[i] * x[i];
    }
    if min > 0.0 {
        min = 0.0;
    }
    if max == min || (guarded && max <= min) {
        out.fill(0);
        return (0.0, -min);
    }
    let mostf = most as f32;
    let measure = |difference: f32| if absolute { difference.abs() } else { difference * difference };
    let mut scale = 1.0 / (mostf / (max - min));
    let inverse = mostf / (max - min);
    let mut best = 0.0f32;
    for i in 0..n {
        let l = nearest(inverse * (x[i] - min)).min(most).max(0);
        out[i] = l as u8;
        best += weights[i] * measure(scale * l as f32 + min - x[i]);
    }
    let mut first = 0i32;
    // Several divisions at once, each in its lane and in order; a better one changes the minimum that the next ones start from, so that
    // they are computed anew.
    'batches: while first <= steps {
        let mut inverse = [0.0f32; STEPS];
        for (lane, inverse) in inverse.iter_mut().enumerate() {
            *inverse = (from + step * (first + lane as i32) as f32 + mostf) / (max - min);
        }
        let (mut sum_l, mut sum_l2, mut sum_xl) = ([0.0f32; STEPS], [0.0f32; STEPS], [0.0f32; STEPS]);
        let mut integers = [[0.0f32; STEPS]; 32];
        for i in 0..n {
            let (w, xi) = (weights[i], x[i]);
            let shifted = xi - min;
            for lane in 0..STEPS {
                let l = integer(inverse[lane] * shifted, most, guarded);
                integers[i][lane] = l;
                sum_l[lane] += w * l;
                sum_l2[lane] += w * l * l;
                sum_xl[lane] += w * l * xi;
            }
        }
        let (mut scales, mut minima) = ([0.0f32; STEPS], [0.0f32; STEPS]);
        let mut solvable = [false; STEPS];
        for lane in 0..STEPS {
            let determinant = sum_w * sum_l2[lane] - sum_l[lane] * sum_l[lane];
            solvable[lane] = determinant > 0.0;
            scales[lane] = (sum_w * sum_xl[lane] - sum_x * sum_l[lane]) / determinant;
            minima[lane] = (sum_l2[lane] * sum_x - sum_l[lane] * sum_xl[lane]) / determinant;
            if minima[lane] > 0.0 {
                minima[lane] = 0.0;
                scales[lane] = sum_xl[lane] / sum_l2[lane];
            }
        }
        let mut errors = [0.0f32; STEPS];
        for i in 0..n {
            let (w, xi) = (weights[i], x[i]);
            for lane in 0..STEPS {
                errors[lane] += w * measure(scales[lane] * integers[i][lane] + minima[lane] - xi);
            }
        }
        for lane in 0..STEPS.min((steps - first + 1) as usize) {
            if solvable[lane] && errors[lane] < best {
                for i in 0..n {
                    out[i] = integers[i][lane] as u8;
                }
                best = errors[lane];
                scale = scales[lane];
                if min.to_bits() != minima[lane].to_bits() {
                    min = minima[lane];
                    first += lane as i32 + 1;
                    continue 'batches;
                }
            }
        }
        first += STEPS as i32;
    }
    (scale, -min)
}

/// An integer of [`affine`], as a float.
#[inline(always)]
fn integer(x: f32, most: i32, guarded: bool) -> f32 {
    if guarded {
        // A minimum near the maximum makes numbers that are too large for `nearest`, infinite, or none.
        let limited = if x < most as f32 { x } else { most as f32 };
        let l = nearest(limited) as f32;
        if x > 0.0 { l } else { 0.0 }
    } else {
        nearest(x).min(most).max(0) as f32
    }
}

/// Integers up to `most` and a scale for numbers that are not negative (the scales of a block's groups), by least squares: nine scales
/// are tried, then single integers moved until none moves, five rounds at most.
pub(crate) fn positive(most: i32, x: &[f32], weights: &[f32], out: &mut [u8]) -> f32 {
    let max = x.iter().fold(0.0f32, |max, &x| if max > x { max } else { x });
    if max < ALL_ZERO {
        out.fill(0);
        return 0.0;
    }
    let mostf = most as f32;
    let mut inverse = mostf / max;
    let scale = 1.0 / inverse;
    let mut best = 0.0f32;
    for (&x, &w) in x.iter().zip(weights) {
        let difference = x - scale * f32::from(nearest(inverse * x) as u8);
        best += w * difference * difference;
    }
    for step in (-4i32..=4).filter(|step| *step != 0) {
        let tried = (0.1 * step as f32 + mostf) / max;
        let scale = 1.0 / tried;
        let mut error = 0.0f32;
        for (&x, &w) in x.iter().zip(weights) {
            let difference = x - scale * nearest(tried * x).min(most) as f32;
            error += w * difference * difference;
        }
        if error < best {
            (best, inverse) = (error, tried);
        }
    }
    let (mut sum_lx, mut sum_l2) = (0.0f32, 0.0f32);
    for ((out, &x), &w) in out.iter_mut().zip(x).zip(weights) {
        let l = nearest(inverse * x).min(most);
        *out = l as u8;
        sum_lx += w * x * l as f32;
        sum_l2 += w * l as f32 * l as f32;
    }
    for _ in 0..5 {
        let mut moved = false;
        for ((out, &x), &w) in out.iter_mut().zip(x).zip(weights) {
            let old = f32::from(*out);
            let mut without_lx = sum_lx - w * x * old;
            let mut without_l2 = sum_l2 - w * old * old;
            if without_lx > 0.0 && without_l2 > 0.0 {
                let new = nearest(x * without_l2 / without_lx).min(most);
                if new != i32::from(*out) {
                    without_lx += w * x * new as f32;
                    without_l2 += w * new as f32 * new as f32;
                    if without_lx * without_lx * sum_l2 > sum_lx * sum_lx * without_l2 {
                        *out = new as u8;
                        (sum_lx, sum_l2) = (without_lx, without_l2);
                        moved = true;
                    }
                }
            }
        }
        if !moved {
            break;
        }
    }
    if sum_l2 > 0.0 { sum_lx / sum_l2 } else { 0.0 }
}

/// Weights of squared differences: the importance of a column, times the size of the weight there, so that neither small weights nor
/// unimportant columns decide alone.
pub(crate) fn weigh(out: &mut [f32], importance: &[f32], x: &[f32], sigma2: f32) {
    for ((out, &importance), &x) in out.iter_mut().zip(importance).zip(x) {
        *out = importance * (sigma2 + x * x).sqrt();
    }
}

/// The sum of squares, in order.
pub(crate) fn sum_of_squares(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |sum, x| sum + x * x)
}
