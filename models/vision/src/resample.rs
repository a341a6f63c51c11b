//! A picture resampled into a model's input tensor: stretched, cropped or with bars, by PIL's filters.

use super::manifest::{Filter, Fit, InputSpec, Layout, PixelOrder};
use super::picture::Picture;

/// The place of a picture within its tensor; maps the tensor's coordinates back to the picture's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The picture's left, top, width and height in the tensor, as parts of the tensor's own width and height. Beyond
    /// [0, 1] where the picture was cropped.
    pub left: f32,
    /// As above.
    pub top: f32,
    /// As above.
    pub width: f32,
    /// As above.
    pub height: f32,
}

impl Picture {
    /// The part of the picture that `fit` shows, resampled to `width` x `height`: `[height, width, 3]`, 0 to 255, and where the
    /// whole picture lies in it. The resampling is PIL's or OpenCV's, as models were trained with.
    pub fn resampled(&self, width: usize, height: usize, fit: Fit, filter: Filter) -> (Vec<f32>, Placement) {
        let (w, h) = (f64::from(self.width()), f64::from(self.height()));
        let (tw, th) = (width as f64, height as f64);
        match fit {
            Fit::Stretch => {
                let whole = Placement { left: 0.0, top: 0.0, width: 1.0, height: 1.0 };
                (self.resample((0.0, 0.0, w, h), width, height, filter), whole)
            }
            Fit::Crop { part } => {
                // The largest rectangle of the target's shape, in the middle, and of it the given part.
                let scale = (w / tw).min(h / th) * f64::from(part);
                let (cw, ch) = (tw * scale, th * scale);
                let (left, top) = ((w - cw) / 2.0, (h - ch) / 2.0);
                let place = Placement {
                    left: (-left / cw) as f32,
                    top: (-top / ch) as f32,
                    width: (w / cw) as f32,
                    height: (h / ch) as f32,
                };
                (self.resample((left, top, cw, ch), width, height, filter), place)
            }
            Fit::Letterbox { pad, corner } => {
                let scale = (tw / w).min(th / h);
                let inner = |side: f64, most: usize| ((side * scale).round() as usize).clamp(1, most);
                let (iw, ih) = (inner(w, width), inner(h, height));
                let small = self.resample((0.0, 0.0, w, h), iw, ih, filter);
                let (left, top) = if corner { (0, 0) } else { ((width - iw) / 2, (height - ih) / 2) };
                let mut out = vec![pad; width * height * 3];
                for (row, line) in small.chunks_exact(iw * 3).enumerate() {
                    out[((top + row) * width + left) * 3..][..iw * 3].copy_from_slice(line);
                }
                let place = Placement {
                    left: left as f32 / width as f32,
                    top: top as f32 / height as f32,
                    width: iw as f32 / width as f32,
                    height: ih as f32 / height as f32,
                };
                (out, place)
            }
        }
    }

    /// The tensor that `spec` asks for, without its leading 1: `[3, height, width]` or `[height, width, 3]`.
    pub fn tensor(&self, spec: &InputSpec) -> (Vec<f32>, Placement) {
        let (pixels, place) = self.resampled(spec.width, spec.height, spec.fit, spec.filter);
        let n = spec.width * spec.height;
        let mut out = vec![0.0; n * 3];
        for channel in 0..3 {
            let from = match spec.channels {
                PixelOrder::Rgb => channel,
                PixelOrder::Bgr => 2 - channel,
            };
            let (scale, mean, std) = (1.0 / 255.0, spec.mean[channel], spec.std[channel]);
            for i in 0..n {
                let value = (pixels[i * 3 + from] * scale - mean) / std;
                match spec.layout {
                    Layout::Nchw => out[channel * n + i] = value,
                    Layout::Nhwc => out[i * 3 + channel] = value,
                }
            }
        }
        (out, place)
    }

    /// Resamples a rectangle (left, top, width, height in pixels) of the picture. Of the source only one row at a time is held as
    /// floats: what this allocates grows with the target alone, and with the source's sides.
    fn resample(&self, from: (f64, f64, f64, f64), width: usize, height: usize, filter: Filter) -> Vec<f32> {
        let across = taps(from.0, from.2, self.width() as usize, width, filter);
        let down = taps(from.1, from.3, self.height() as usize, height, filter);
        let stride = self.width() as usize * 3;
        let first_row = down.iter().map(|t| t.first).min().unwrap_or(0);
        let last_row = down.iter().map(|t| t.first + t.weights.len()).max().unwrap_or(0);
        let mut line = vec![0.0f32; width * 3];
        let mut out = vec![0.0f32; width * height * 3];
        // Both ends of the taps only move down: those of a row stand side by side.
        let mut oldest = 0;
        for row in first_row..last_row {
            let pixels = &self.rgb()[row * stride..][..stride];
            for (tap, out) in across.iter().zip(line.chunks_exact_mut(3)) {
                let (mut r, mut g, mut b) = (0.0f32, 0.0f32, 0.0f32);
                for (weight, pixel) in tap.weights.iter().zip(pixels[tap.first * 3..].chunks_exact(3)) {
                    r += weight * f32::from(pixel[0]);
                    g += weight * f32::from(pixel[1]);
                    b += weight * f32::from(pixel[2]);
                }
                out.copy_from_slice(&[r, g, b]);
            }
            while down.get(oldest).is_some_and(|tap| tap.first + tap.weights.len() <= row) {
                oldest += 1;
            }
            let targets = out.chunks_exact_mut(width * 3).skip(oldest);
            for (tap, out) in down[oldest..].iter().zip(targets).take_while(|(tap, _)| tap.first <= row) {
                let Some(weight) = tap.weights.get(row - tap.first) else { continue };
                for (o, v) in out.iter_mut().zip(&line) {
                    *o += weight * v;
                }
            }
        }
        out
    }
}

/// The source pixels of one target pixel.
struct Tap {
    first: usize,
    weights: Vec<f32>,
}

/// The filter's curve around each target pixel's centre, cut at the picture's edges and made to sum to one.
fn taps(start: f64, length: f64, source: usize, target: usize, filter: Filter) -> Vec<Tap> {
    let step = length / target as f64;
    let unit = if filter == Filter::Linear { 1.0 } else { step.max(1.0) };
    let reach = if filter == Filter::Bicubic { unit * 2.0 } else { unit };
    (0..target)
        .map(|i| {
            let centre = start + (i as f64 + 0.5) * step;
            let first = ((centre - reach).floor().max(0.0) as usize).min(source - 1);
            let last = ((centre + reach).ceil().max(1.0) as usize).clamp(first + 1, source);
            let mut weights: Vec<f32> =
                (first..last).map(|pixel| weight((pixel as f64 + 0.5 - centre).abs() / unit, filter) as f32).collect();
            let sum: f32 = weights.iter().sum();
            if sum > 0.0 {
                weights.iter_mut().for_each(|w| *w /= sum);
            } else {
                weights = vec![1.0];
            }
            Tap { first, weights }
        })
        .collect()
}

/// The weight of a pixel at a distance from the centre, in units of the filter's.
fn weight(distance: f64, filter: Filter) -> f64 {
    const A: f64 = -0.5; // PIL's bicubic
    match filter {
        Filter::Bilinear | Filter::Linear => (1.0 - distance).max(0.0),
        Filter::Bicubic if distance < 1.0 => ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0,
        Filter::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A,
        Filter::Bicubic => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::MAX_SIDE;
    use super::super::picture::tests::gradient;
    use super::*;

    #[test]
    fn resampling_keeps_a_gradient_a_gradient_and_a_flat_colour_flat() {
        let (small, place) = gradient(640, 480).resampled(16, 12, Fit::Stretch, Filter::Bilinear);
        assert_eq!(place, Placement { left: 0.0, top: 0.0, width: 1.0, height: 1.0 });
        for (i, pixel) in small.chunks_exact(3).enumerate() {
            let (x, y) = ((i % 16) as f32 + 0.5, (i / 16) as f32 + 0.5);
            assert!((pixel[0] - x / 16.0 * 255.0).abs() < 4.0, "{i}: {pixel:?}");
            assert!((pixel[1] - y / 12.0 * 255.0).abs() < 5.0, "{i}: {pixel:?}");
            assert!((pixel[2] - 128.0).abs() < 1e-3, "{i}: {pixel:?}");
        }
    }

    #[test]
    fn resampling_row_by_row_is_the_sum_over_all_pixels_by_definition() {
        let picture = gradient(37, 23);
        let windows = [(0.0, 0.0, 37.0, 23.0), (3.3, 2.7, 20.0, 11.0), (-4.0, -3.0, 50.0, 40.0)];
        for (from, (w, h)) in windows.into_iter().zip([(5, 40), (60, 7), (9, 9)]) {
            let out = picture.resample(from, w, h, Filter::Bilinear);
            let (across, down) =
                (taps(from.0, from.2, 37, w, Filter::Bilinear), taps(from.1, from.3, 23, h, Filter::Bilinear));
            for (i, found) in out.iter().enumerate() {
                let (x, y, channel) = (i / 3 % w, i / 3 / w, i % 3);
                let mut wanted = 0.0f64;
                for (j, wy) in down[y].weights.iter().enumerate() {
                    for (k, wx) in across[x].weights.iter().enumerate() {
                        let at = ((down[y].first + j) * 37 + across[x].first + k) * 3 + channel;
                        wanted += f64::from(wy * wx) * f64::from(picture.rgb()[at]);
                    }
                }
                assert!((f64::from(*found) - wanted).abs() < 1e-2, "{from:?} {x},{y}: {found} {wanted}");
            }
        }
    }

    #[test]
    fn one_pixel_is_a_picture_too() {
        let dot = Picture::from_rgb(1, 1, vec![10, 20, 30], "dot").unwrap();
        for fit in [Fit::Stretch, Fit::Crop { part: 0.9 }, Fit::Letterbox { pad: 114.0, corner: false }] {
            let (out, _) = dot.resampled(4, 4, fit, Filter::Bilinear);
            assert!(out.chunks_exact(3).all(|p| (p[0] - 10.0).abs() < 1e-4 && (p[2] - 30.0).abs() < 1e-4), "{out:?}");
        }
    }

    #[test]
    fn a_letterbox_says_where_the_picture_lies_in_it() {
        let (out, place) =
            gradient(200, 100).resampled(100, 100, Fit::Letterbox { pad: 7.0, corner: false }, Filter::Bilinear);
        assert_eq!(place, Placement { left: 0.0, top: 0.25, width: 1.0, height: 0.5 });
        assert!(out[..25 * 100 * 3].iter().all(|&v| v == 7.0) && out[75 * 100 * 3..].iter().all(|&v| v == 7.0));
        assert!((out[50 * 100 * 3 + 2] - 128.0).abs() < 1e-3);
    }

    #[test]
    fn a_picture_of_absurd_sides_is_refused_and_a_long_one_costs_what_its_target_costs() {
        let long = |w, h| Picture::from_rgb(w, h, vec![9; (w * h * 3) as usize], "long");
        let error = long(1, 5_000_000).unwrap_err().to_string();
        assert!(error.contains("1 x 5000000") && error.contains("65535"), "{error}");
        for picture in [long(1, MAX_SIDE).unwrap(), long(MAX_SIDE, 1).unwrap()] {
            for fit in [Fit::Stretch, Fit::Crop { part: 1.0 }, Fit::Letterbox { pad: 9.0, corner: false }] {
                let (out, _) = picture.resampled(64, 64, fit, Filter::Bilinear);
                assert!(out.len() == 64 * 64 * 3 && out.iter().all(|v| (v - 9.0).abs() < 1e-3));
            }
        }
    }

    #[test]
    fn the_linear_filter_is_opencv_s_which_passes_over_what_lies_between() {
        // cv2.resize of 0 10 20 ... 70 to three columns with INTER_LINEAR, as floats.
        let row = Picture::from_rgb(8, 1, (0..8u8).flat_map(|v| [v * 10; 3]).collect(), "row").unwrap();
        let (out, _) = row.resampled(3, 1, Fit::Stretch, Filter::Linear);
        for (found, wanted) in out.chunks_exact(3).zip([8.333333, 35.0, 61.666668]) {
            assert!((found[0] - wanted).abs() < 1e-3, "{out:?}");
        }
        let thin =
            Picture::from_rgb(9, 1, (0..9u8).flat_map(|v| [if v == 3 { 90 } else { 0 }; 3]).collect(), "line").unwrap();
        let (out, _) = thin.resampled(3, 1, Fit::Stretch, Filter::Linear);
        assert!(out.iter().all(|v| v.abs() < 1e-3), "{out:?}");
    }

    #[test]
    fn the_bicubic_filter_keeps_flat_colours_flat_and_sharpens_an_edge_as_pil_does() {
        let grey = Picture::from_rgb(40, 30, vec![77; 40 * 30 * 3], "grey").unwrap();
        let (out, _) = grey.resampled(13, 70, Fit::Stretch, Filter::Bicubic);
        assert!(out.iter().all(|v| (v - 77.0).abs() < 1e-3));
        // PIL's `Image.resize` with BICUBIC of one row 0 0 200 200, as floats, to eight.
        let edge = Picture::from_rgb(4, 1, [[0u8; 3], [0; 3], [200; 3], [200; 3]].concat(), "edge").unwrap();
        let (out, _) = edge.resampled(8, 1, Fit::Stretch, Filter::Bicubic);
        let wanted = [0.0, -4.379562, -13.74046, 40.625, 159.375, 213.74046, 204.37956, 200.0];
        for (found, wanted) in out.chunks_exact(3).zip(wanted) {
            assert!((found[0] - wanted).abs() < 1e-3, "{out:?}");
        }
    }
}
