//! Pictures resized as Pillow does it, bit by bit: separable filters whose weights are fixed-point numbers, one pass across and one
//! down, each rounded to bytes. The processors of vision-language models were written over Pillow (or over torchvision, whose weights
//! have 16 bits), and their models have seen no other pictures.

/// The curve of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Bilinear,
    Bicubic,
    Lanczos,
}

/// A filter, and how its weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resize {
    pub filter: Filter,
    /// As torchvision rounds them for pictures of bytes: to 16 bits.
    pub short_weights: bool,
}

/// Rows of pixels, each red, green, blue: `[height, width, 3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

/// The source pixels of one target pixel, and their weights in 1/2^22.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

/// Fractional bits of the weights: 32 - 8 of a byte - 2 to spare for sums.
const BITS: u32 = 22;

impl Filter {
    /// How far the curve reaches.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        let distance = x.abs();
        match self {
            Filter::Bilinear => (1.0 - distance).max(0.0),
            // Keys' cubic with a = -0.5.
            Filter::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
            Filter::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5,
            Filter::Bicubic => 0.0,
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = std::f64::consts::PI * x;
    x.sin() / x
}

impl Resize {
    pub(crate) fn by(filter: Filter) -> Resize {
        Resize { filter, short_weights: false }
    }

    /// The picture in another size.
    pub(crate) fn apply(self, from: &Pixels, width: usize, height: usize) -> Pixels {
        let across = (from.width != width).then(|| self.across(from, width));
        let wide = across.as_ref().unwrap_or(from);
        if from.height == height { wide.clone() } else { self.down(wide, height) }
    }

    /// The picture in the middle of one of another size, as large as fits, with the rest in one colour.
    pub(crate) fn letterbox(self, from: &Pixels, width: usize, height: usize, colour: [u8; 3]) -> Pixels {
        if (from.width, from.height) == (width, height) {
            return from.clone();
        }
        // In single precision, as the reference has it.
        let scale = (width as f32 / from.width as f32).min(height as f32 / from.height as f32);
        let inner = |side: usize, most: usize| ((side as f32 * scale).ceil() as usize).clamp(1, most);
        let small = self.apply(from, inner(from.width, width), inner(from.height, height));
        let mut out = Pixels { width, height, rgb: colour.repeat(width * height) };
        let (left, top) = ((width - small.width) / 2, (height - small.height) / 2);
        for (row, line) in small.rgb.chunks_exact(small.width * 3).enumerate() {
            out.rgb[((top + row) * width + left) * 3..][..line.len()].copy_from_slice(line);
        }
        out
    }

    fn across(self, from: &Pixels, width: usize) -> Pixels {
        let taps = self.taps(from.width, width);
        let mut rgb = Vec::with_capacity(width * from.height * 3);
        for row in from.rgb.chunks_exact(from.width * 3) {
            for tap in &taps {
                let mut sums = [1i32 << (BITS - 1); 3];
                for (pixel, weight) in row[tap.first * 3..].chunks_exact(3).zip(&tap.weights) {
                    for (sum, channel) in sums.iter_mut().zip(pixel) {
                        *sum = sum.wrapping_add(i32::from(*channel) * weight);
                    }
                }
                rgb.extend(sums.map(to_byte));
            }
        }
        Pixels { width, height: from.height, rgb }
    }

    fn down(self, from: &Pixels, height: usize) -> Pixels {
        let stride = from.width * 3;
        let mut rgb = Vec::with_capacity(stride * height);
        let mut sums = vec![0i32; stride];
        for tap in self.taps(from.height, height) {
            sums.fill(1 << (BITS - 1));
            for (row, weight) in from.rgb[tap.first * stride..].chunks_exact(stride).zip(&tap.weights) {
                for (sum, channel) in sums.iter_mut().zip(row) {
                    *sum = sum.wrapping_add(i32::from(*channel) * weight);
                }
            }
            rgb.extend(sums.iter().map(|sum| to_byte(*sum)));
        }
        Pixels { width: from.width, height, rgb }
    }

    /// The filter's curve around each target pixel's centre, cut at the picture's edges and made to sum to one.
    fn taps(self, source: usize, target: usize) -> Vec<Tap> {
        let step = source as f64 / target as f64;
        // A picture that shrinks is seen through a wider filter.
        let unit = step.max(1.0);
        let reach = self.filter.support() * unit;
        let exact: Vec<(usize, Vec<f64>)> = (0..target)
            .map(|at| {
                let centre = (at as f64 + 0.5) * step;
                let first = (centre - reach + 0.5).max(0.0) as usize;
                let last = ((centre + reach + 0.5) as usize).min(source);
                let inverse = 1.0 / unit;
                let mut weights: Vec<f64> =
                    (first..last).map(|pixel| self.filter.at((pixel as f64 - centre + 0.5) * inverse)).collect();
                let sum: f64 = weights.iter().sum();
                if sum != 0.0 {
                    weights.iter_mut().for_each(|weight| *weight /= sum);
                }
                (first, weights)
            })
            .collect();
        let bits = if self.short_weights {
            // As many fractional bits as leave the largest weight within 16 bits.
            let largest = exact.iter().flat_map(|(_, weights)| weights).copied().fold(0.0, f64::max);
            (0..BITS).find(|bits| 0.5 + largest * f64::from(1u32 << (bits + 1)) >= 32768.0).unwrap_or(BITS)
        } else {
            BITS
        };
        let scale = f64::from(1u32 << bits);
        let fixed = |weight: f64| ((weight * scale + if weight < 0.0 { -0.5 } else { 0.5 }) as i32) << (BITS - bits);
        exact
            .into_iter()
            .map(|(first, weights)| Tap { first, weights: weights.into_iter().map(fixed).collect() })
            .collect()
    }
}

fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

impl Pixels {
    /// A rectangle of the picture.
    pub(crate) fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> Pixels {
        let mut rgb = Vec::with_capacity(width * height * 3);
        for row in top..top + height {
            rgb.extend_from_slice(&self.rgb[(row * self.width + left) * 3..][..width * 3]);
        }
        Pixels { width, height, rgb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[u8]) -> Pixels {
        Pixels { width: values.len(), height: 1, rgb: values.iter().flat_map(|value| [*value; 3]).collect() }
    }

    fn first_channel(pixels: &Pixels) -> Vec<u8> {
        pixels.rgb.chunks_exact(3).map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn a_row_is_resized_as_pillow_does_it() {
        // Image.fromarray(row).resize((n, 1), FILTER) of Pillow 11.
        let edge = row(&[0, 0, 200, 200]);
        assert_eq!(first_channel(&Resize::by(Filter::Bicubic).apply(&edge, 8, 1)), [0, 0, 0, 41, 159, 214, 204, 200]);
        let ramp = row(&[0, 10, 20, 30, 40, 50, 60, 70]);
        assert_eq!(first_channel(&Resize::by(Filter::Bilinear).apply(&ramp, 4, 1)), [7, 25, 45, 63]);
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            for short_weights in [false, true].into_iter().filter(|short| !short || filter != Filter::Lanczos) {
                let flat = Resize { filter, short_weights }.apply(&row(&[77; 13]), 5, 9);
                assert!(flat.rgb.iter().all(|value| *value == 77), "{filter:?} {short_weights}");
            }
        }
    }

    #[test]
    fn bars_stand_left_and_right_of_a_high_picture() {
        let high = Pixels { width: 2, height: 4, rgb: vec![9; 24] };
        let square = Resize::by(Filter::Bilinear).letterbox(&high, 4, 4, [1, 2, 3]);
        assert_eq!(first_channel(&square), [1, 9, 9, 1].repeat(4));
    }
}
