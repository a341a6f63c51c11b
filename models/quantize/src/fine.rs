//! A wider search than llama.cpp's for the scales of a block, under the same weights. Scales and minima are tried in the form in which
//! they are stored, integers are rounded anew for each, and what all groups of a block share is solved by least squares; as long as the
//! weighted squared error falls. Every program that reads the formats reads the files; the bytes are not llama.cpp's.

use half::f16;
use nearfield_kernels::Format;

use crate::formats::{SUPER_BLOCK, iq4, legacy, put_half, q2_k, q3_k, q4_k, q6_k};
use crate::quantize_row;
use crate::search::{ALL_ZERO, Affine, affine, extreme, nearest, sum_of_squares, symmetric, weigh};

/// How scales and integers are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// As llama.cpp finds them, byte for byte.
    #[default]
    Plain,
    /// By a wider search: smaller errors, other bytes, more time.
    Fine,
}

/// Writes a row of weights in a format, as [`quantize_row`] does, by a method.
///
/// # Panics
/// As [`quantize_row`].
pub fn quantize_row_by(method: Method, format: Format, row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let is_searched = |shape: &Shape| method == Method::Fine && !shape.bytes;
    let Some(shape) = Shape::of(format).filter(is_searched) else {
        quantize_row(format, row, importance, out);
        return;
    };
    assert_eq!(Some(out.len()), format.row_bytes(row.len()), "the bytes of a row of whole blocks");
    let (weights, bytes) = (format.block_weights(), format.block_bytes());
    let sigma2 = sum_of_squares(row) / row.len() as f32;
    for (b, (x, out)) in row.chunks_exact(weights).zip(out.chunks_exact_mut(bytes)).enumerate() {
        let mut counts = [0.0f32; SUPER_BLOCK];
        let counts = &mut counts[..weights];
        match importance {
            Some(importance) => weigh(counts, &importance[b * weights..], x, sigma2),
            None => weigh(counts, &[1.0; SUPER_BLOCK][..weights], x, sigma2),
        }
        let mut block = Block::new(shape, x, counts);
        block.improve();
        block.put(format, out);
    }
}

/// What the formats differ in: `w = scale * scales[j] * level - minimum * minima[j]`.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub group: usize,
    /// The least and the largest level; IQ4's come from its table instead.
    levels: (i32, i32),
    table: bool,
    /// Whether levels are signed bytes, of which the wider search leaves nothing to gain.
    bytes: bool,
    /// The least and the largest scale of a group; the same where there is but one scale.
    scales: (i32, i32),
    /// The largest minimum of a group: 0 without minima, 1 where the minimum is the block's own, of either sign.
    minima: i32,
}

impl Shape {
    /// That of a format with scales that can be chosen.
    pub(crate) fn of(format: Format) -> Option<Shape> {
        let all = Shape { group: 32, levels: (-127, 113), table: false, bytes: false, scales: (1, 1), minima: 0 };
        let shape = |group, levels, scales, minima| Some(Shape { group, levels, scales, minima, ..all });
        match format {
            Format::F32 | Format::F16 | Format::Bf16 | Format::Mxfp4 => None,
            Format::Q8_0 => Some(Shape { levels: (-127, 127), bytes: true, ..all }),
            Format::Q4_0 => shape(32, (-8, 7), (1, 1), 0),
            Format::Q5_0 => shape(32, (-16, 15), (1, 1), 0),
            Format::Q4_1 => shape(32, (0, 15), (1, 1), 1),
            Format::Q5_1 => shape(32, (0, 31), (1, 1), 1),
            Format::Q2K => shape(16, (0, 3), (0, 15), 15),
            Format::Q3K => shape(16, (-4, 3), (-32, 31), 0),
            Format::Q4K => shape(32, (0, 15), (0, 63), 63),
            Format::Q5K => shape(32, (0, 31), (0, 63), 63),
            Format::Q6K => shape(16, (-32, 31), (-128, 127), 0),
            Format::Iq4Nl => Some(Shape { table: true, ..all }),
            Format::Iq4Xs => Some(Shape { table: true, scales: (-32, 31), ..all }),
        }
    }

    /// The nearest level, as the number that stands for it and as what it is worth.
    #[inline(always)]
    pub(crate) fn level(self, x: f32) -> (u8, f32) {
        if self.table {
            let index = iq4::index(x);
            return (index as u8, iq4::TABLE[index]);
        }
        let limited = x.max(self.levels.0 as f32).min(self.levels.1 as f32);
        let level = nearest(limited);
        ((level - self.levels.0) as u8, level as f32)
    }
}

/// More than the largest scale, level and scale of a group make of each other (65504 * 128 * 128), in any format.
const LARGEST: f32 = 2e9;

/// A block being searched.
pub(crate) struct Block<'a> {
    shape: Shape,
    x: &'a [f32],
    counts: &'a [f32],
    scale: f32,
    minimum: f32,
    scales: [i32; 16],
    minima: [i32; 16],
}

impl<'a> Block<'a> {
    /// The best scale and minimum for each group by itself, then as multiples of what they share.
    pub(crate) fn new(shape: Shape, x: &'a [f32], counts: &'a [f32]) -> Block<'a> {
        let mut block = Block { shape, x, counts, scale: 0.0, minimum: 0.0, scales: [1; 16], minima: [1; 16] };
        if extreme(x).1 > LARGEST {
            // No number that is stored is: the caller refuses it.
            block.scale = f32::INFINITY;
            return block;
        }
        let (mut scales, mut minima) = ([0.0f32; 16], [0.0f32; 16]);
        for (j, (x, counts)) in x.chunks(shape.group).zip(counts.chunks(shape.group)).enumerate() {
            (scales[j], minima[j]) = best_alone(shape, x, counts);
        }
        let groups = x.len() / shape.group;
        if shape.scales.0 == shape.scales.1 {
            block.scale = half(scales[0]);
            block.minimum = half(minima[0]);
            return block;
        }
        let largest =
            |numbers: &[f32]| numbers.iter().fold(0.0f32, |most, x| if x.abs() > most.abs() { *x } else { most });
        let most = largest(&scales[..groups]);
        // The largest goes on the end of the range that is further from zero.
        let end = if shape.scales.0 < 0 { shape.scales.0 } else { shape.scales.1 };
        block.scale = half(most / end as f32);
        block.minimum = if shape.minima > 0 { half(largest(&minima[..groups]) / shape.minima as f32) } else { 0.0 };
        for j in 0..groups {
            block.scales[j] = multiple(scales[j], block.scale).clamp(shape.scales.0, shape.scales.1);
            block.minima[j] = multiple(minima[j], block.minimum).clamp(0, shape.minima);
        }
        block
    }

    /// Groups and what they share, in turn.
    pub(crate) fn improve(&mut self) {
        if self.shape.scales.0 == self.shape.scales.1 {
            self.solve();
            return;
        }
        let mut error = f32::INFINITY;
        for _ in 0..4 {
            for j in 0..self.x.len() / self.shape.group {
                self.improve_group(j);
            }
            self.solve();
            let now = self.error();
            if now >= error * 0.9999 {
                break;
            }
            error = now;
        }
        for j in 0..self.x.len() / self.shape.group {
            self.improve_group(j);
        }
    }

    fn group(&self, j: usize) -> (&'a [f32], &'a [f32]) {
        let at = j * self.shape.group..(j + 1) * self.shape.group;
        (&self.x[at.clone()], &self.counts[at])
    }

    fn error_of(&self, j: usize, scale: i32, minimum: i32) -> f32 {
        let (x, counts) = self.group(j);
        error(self.shape, x, counts, self.scale * scale as f32, self.minimum * minimum as f32)
    }

    fn error(&self) -> f32 {
        (0..self.x.len() / self.shape.group).map(|j| self.error_of(j, self.scales[j], self.minima[j])).sum()
    }

    /// The best scale and minimum around those of now.
    fn improve_group(&mut self, j: usize) {
        let mut best = self.error_of(j, self.scales[j], self.minima[j]);
        let reach = if self.shape.minima > 0 { 1 } else { 3 };
        for _ in 0..6 {
            let (s, m) = (self.scales[j], self.minima[j]);
            let mut moved = false;
            for scale in (s - reach).max(self.shape.scales.0)..=(s + reach).min(self.shape.scales.1) {
                let around = if self.shape.minima > 0 { 1 } else { 0 };
                for minimum in (m - around).max(0)..=(m + around).min(self.shape.minima.max(m)) {
                    let error = self.error_of(j, scale, minimum);
                    if error < best {
                        (best, moved) = (error, true);
                        (self.scales[j], self.minima[j]) = (scale, minimum);
                    }
                }
            }
            if !moved {
                break;
            }
        }
    }

    /// What all groups share, by least squares for the integers of now; kept where it is better once it is rounded.
    fn solve(&mut self) {
        for _ in 0..3 {
            // The normal equations of x = scale * u - minimum * v.
            let (mut uu, mut uv, mut vv, mut ux, mut vx) = (0.0f64, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
            for j in 0..self.x.len() / self.shape.group {
                let (x, counts) = self.group(j);
                let (s, m) = (self.scales[j] as f32, self.minima[j] as f32);
                let (scale, minimum) = (self.scale * s, self.minimum * m);
                let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
                for (&x, &w) in x.iter().zip(counts) {
                    let (u, v, w) =
                        (f64::from(self.shape.level((x + minimum) * inverse).1 * s), f64::from(m), f64::from(w));
                    uu += w * u * u;
                    uv += w * u * v;
                    vv += w * v * v;
                    ux += w * u * f64::from(x);
                    vx += w * v * f64::from(x);
                }
            }
            let (scale, minimum) = if self.shape.minima == 0 {
                (ux / uu, 0.0)
            } else {
                let determinant = uu * vv - uv * uv;
                ((ux * vv - vx * uv) / determinant, (ux * uv - vx * uu) / determinant)
            };
            let (scale, minimum) = (half(scale as f32), half(minimum as f32));
            let allowed = self.shape.minima <= 1 || minimum >= 0.0;
            if !scale.is_finite() || !minimum.is_finite() || !allowed {
                return;
            }
            let before = (self.scale, self.minimum, self.error());
            (self.scale, self.minimum) = (scale, minimum);
            if self.error() >= before.2 {
                (self.scale, self.minimum) = (before.0, before.1);
                return;
            }
        }
    }

    /// The scale and the minimum of a group, as they are read again.
    pub(crate) fn of_group(&self, j: usize) -> (f32, f32) {
        (self.scale * self.scales[j] as f32, self.minimum * self.minima[j] as f32)
    }

    fn put(&self, format: Format, out: &mut [u8]) {
        let mut integers = [0u8; SUPER_BLOCK];
        for j in 0..self.x.len() / self.shape.group {
            let (x, _) = self.group(j);
            let (scale, minimum) = self.of_group(j);
            let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
            for (out, x) in integers[j * self.shape.group..].iter_mut().zip(x) {
                *out = self.shape.level((x + minimum) * inverse).0;
            }
        }
        self.put_levels(format, &mut integers, out);
    }

    /// Writes the block with these levels.
    pub(crate) fn put_levels(&self, format: Format, integers: &mut [u8; SUPER_BLOCK], out: &mut [u8]) {
        let (first, _) = integers.split_at(32);
        let first = first.try_into().unwrap_or(&[0; 32]);
        let scales = self.scales.map(|scale| scale as u8);
        let minima = self.minima.map(|minimum| minimum as u8);
        let eight = |all: [u8; 16]| <[u8; 8]>::try_from(&all[..8]).unwrap_or([0; 8]);
        match format {
            Format::Q4_0 | Format::Q5_0 | Format::Q4_1 | Format::Q5_1 => {
                put_half(out, 0, self.scale);
                let with_minimum = matches!(format, Format::Q4_1 | Format::Q5_1);
                if with_minimum {
                    put_half(out, 2, -self.minimum);
                }
                let out = &mut out[if with_minimum { 4 } else { 2 }..];
                match format {
                    Format::Q4_0 | Format::Q4_1 => legacy::put_integers::<4>(first, out),
                    _ => legacy::put_integers::<5>(first, out),
                }
            }
            Format::Iq4Nl => {
                put_half(out, 0, self.scale);
                iq4::put_nibbles(first, &mut out[2..]);
            }
            Format::Iq4Xs => {
                put_half(out, 0, self.scale);
                let scales = <[i32; 8]>::try_from(&self.scales[..8]).unwrap_or([0; 8]);
                iq4::put_scales(&scales, out);
                for (integers, out) in integers.chunks(32).zip(out[8..].chunks_mut(16)) {
                    iq4::put_nibbles(integers, out);
                }
            }
            Format::Q2K => {
                put_half(out, 80, self.scale);
                put_half(out, 82, self.minimum);
                q2_k::put(&scales, &minima, integers, out);
            }
            Format::Q3K => {
                put_half(out, 108, self.scale);
                q3_k::put(&self.scales.map(|scale| (scale + 32) as u8), integers, out);
            }
            Format::Q4K | Format::Q5K => {
                put_half(out, 0, self.scale);
                put_half(out, 2, self.minimum);
                match format {
                    Format::Q4K => q4_k::put::<4>(&eight(scales), &eight(minima), integers, out),
                    _ => q4_k::put::<5>(&eight(scales), &eight(minima), integers, out),
                }
            }
            Format::Q6K => {
                put_half(out, 208, self.scale);
                q6_k::put(&self.scales.map(|scale| scale as i8), integers, out);
            }
            Format::Q8_0 => {
                put_half(out, 0, self.scale);
                out[2..].iter_mut().zip(first).for_each(|(out, l)| *out = l.wrapping_sub(127));
            }
            Format::F32 | Format::F16 | Format::Bf16 | Format::Mxfp4 => {}
        }
    }
}

/// The weighted squared error of a group.
#[inline]
fn error(shape: Shape, x: &[f32], counts: &[f32], scale: f32, minimum: f32) -> f32 {
    let inverse = if scale != 0.0 { 1.0 / scale } else { 0.0 };
    let mut sum = 0.0;
    for (&x, &w) in x.iter().zip(counts) {
        let difference = scale * shape.level((x + minimum) * inverse).1 - minimum - x;
        sum += w * difference * difference;
    }
    sum
}

/// The best scale and minimum of a group that shares neither with others.
fn best_alone(shape: Shape, x: &[f32], counts: &[f32]) -> (f32, f32) {
    let mut integers = [0u8; 32];
    if shape.minima > 0 {
        let most = shape.levels.1;
        let narrow = Affine { most, from: -0.9, step: 0.05, steps: 36, absolute: false, guarded: true };
        // Ranges down to six sevenths of the weights', in as many steps.
        let from = -0.15 * most as f32;
        let wide = Affine { from, step: (0.5 - from) / 60.0, steps: 60, ..narrow };
        let tried = [narrow, wide].map(|search| {
            let (scale, minimum) = affine(search, x, counts, &mut integers[..x.len()]);
            (scale, minimum, error(shape, x, counts, scale, minimum))
        });
        let best = if tried[1].2 < tried[0].2 { tried[1] } else { tried[0] };
        return (best.0, best.1);
    }
    let (max, magnitude) = extreme(x);
    if magnitude < ALL_ZERO {
        return (0.0, 0.0);
    }
    let mut best = (0.0, f32::INFINITY);
    let mut keep = |scale: f32| {
        let error = error(shape, x, counts, scale, 0.0);
        if error < best.1 {
            best = (scale, error);
        }
    };
    if !shape.table {
        keep(symmetric(-shape.levels.0, x, Some(counts), &mut integers[..x.len()]));
    }
    // The extreme weight on places around either end of the levels, each scale improved by least squares.
    for end in [shape.levels.0, shape.levels.1] {
        for step in -12..=8 {
            let unit = if shape.table {
                end as f32 / 40.0
            } else {
                (end as f32).signum() * 0.1 * (end.abs() as f32 / 8.0).max(1.0)
            };
            let inverse = (end as f32 + step as f32 * unit) / max;
            let (mut sum_lx, mut sum_l2) = (0.0f32, 0.0f32);
            for (&x, &w) in x.iter().zip(counts) {
                let l = shape.level(inverse * x).1;
                sum_lx += w * l * x;
                sum_l2 += w * l * l;
            }
            if sum_l2 > 0.0 {
                keep(sum_lx / sum_l2);
            }
        }
    }
    (best.0, 0.0)
}

/// An f16 as it is read again.
fn half(x: f32) -> f32 {
    f16::from_f32(x).to_f32()
}

/// How often the unit is in a number, to the nearest.
fn multiple(x: f32, unit: f32) -> i32 {
    if unit == 0.0 { 0 } else { nearest((x / unit).clamp(-1e6, 1e6)) }
}
