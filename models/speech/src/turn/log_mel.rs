//! The log-mel spectrogram of Whisper's feature extractor, for models that take the last seconds of sound.
//!
//! The steps are those of Hugging Face's `WhisperFeatureExtractor` with `do_normalize`: the sound is shifted and scaled to mean 0 and
//! variance 1, mirrored at both ends, cut into frames of 25 ms every 10 ms under a Hann window, and its power is summed into 80
//! bands of Slaney's mel scale; then `log10`, at most 8 below the maximum, and `(x + 4) / 4`.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// Bands of the mel scale.
pub(super) const BANDS: usize = 80;
/// Samples between two frames: 16 kHz * 10 ms.
pub(super) const HOP: usize = 160;
/// Samples in a frame: 16 kHz * 25 ms.
const FRAME: usize = 400;
/// Frequencies of a frame's spectrum.
const BINS: usize = FRAME / 2 + 1;
const RATE_HZ: f64 = 16_000.0;
/// The least power that is not taken for nothing.
const FLOOR: f32 = 1e-10;
/// What is further below the loudest value, in powers of ten, is raised to this.
const RANGE: f32 = 8.0;

/// Computes spectrograms; keeps its tables and buffers.
pub(super) struct LogMel {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    /// For each band its first bin and the weights from there.
    filters: Vec<(usize, Vec<f32>)>,
}

impl LogMel {
    pub(super) fn new() -> Self {
        let window = (0..FRAME).map(|i| (0.5 - 0.5 * (TAU * i as f64 / FRAME as f64).cos()) as f32).collect();
        Self { fft: RealFftPlanner::new().plan_fft_forward(FRAME), window, filters: filters() }
    }

    /// The features of `sound`: `[BANDS, sound.len() / HOP]`, f32, row-major. The sound must have at least a frame.
    pub(super) fn features(&self, sound: &[f32]) -> Vec<f32> {
        let sound = normalized(sound);
        let frames = sound.len() / HOP;
        let mut features = vec![0.0; BANDS * frames];
        let (mut frame, mut spectrum) = (vec![0.0; FRAME], vec![Complex::default(); BINS]);
        let mut scratch = self.fft.make_scratch_vec();
        let mut power = [0.0; BINS];
        for at in 0..frames {
            for (i, (value, weight)) in frame.iter_mut().zip(&self.window).enumerate() {
                *value = weight * mirrored(&sound, (at * HOP + i) as isize - (FRAME / 2) as isize);
            }
            if self.fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).is_err() {
                continue; // the buffers have the plan's lengths
            }
            for (power, bin) in power.iter_mut().zip(&spectrum) {
                *power = bin.norm_sqr();
            }
            for (band, (first, weights)) in self.filters.iter().enumerate() {
                let sum: f32 = weights.iter().zip(&power[*first..]).map(|(weight, power)| weight * power).sum();
                features[band * frames + at] = sum.max(FLOOR).log10();
            }
        }
        let loudest = features.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in &mut features {
            *value = (value.max(loudest - RANGE) + 4.0) / 4.0;
        }
        features
    }
}

/// The sound with mean 0 and variance 1.
fn normalized(sound: &[f32]) -> Vec<f32> {
    let n = sound.len().max(1) as f64;
    let mean = sound.iter().map(|&s| f64::from(s)).sum::<f64>() / n;
    let variance = sound.iter().map(|&s| (f64::from(s) - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (variance + 1e-7).sqrt();
    sound.iter().map(|&s| ((f64::from(s) - mean) * scale) as f32).collect()
}

/// The sample at a place that may lie before the first or behind the last one, where the sound is mirrored.
fn mirrored(sound: &[f32], at: isize) -> f32 {
    let last = sound.len() as isize - 1;
    let at = if at < 0 { -at } else { at };
    let at = if at > last { 2 * last - at } else { at };
    usize::try_from(at).ok().and_then(|at| sound.get(at)).copied().unwrap_or_default()
}

/// The filters of Slaney's mel scale, each with an area of 1: linear to 1 kHz, logarithmic above.
fn filters() -> Vec<(usize, Vec<f32>)> {
    const LINEAR_HZ: f64 = 200.0 / 3.0;
    const KNEE: f64 = 15.0; // 1000 Hz / LINEAR_HZ
    let log_step = 6.4_f64.ln() / 27.0;
    let hertz = |mel: f64| if mel < KNEE { mel * LINEAR_HZ } else { 1000.0 * (log_step * (mel - KNEE)).exp() };
    let top = KNEE + (RATE_HZ / 2.0 / 1000.0).ln() / log_step;
    let edge = |i: usize| hertz(top * i as f64 / (BANDS + 1) as f64);
    (0..BANDS)
        .map(|band| {
            let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
            let weight = |bin: usize| {
                let hz = bin as f64 * RATE_HZ / FRAME as f64;
                let slope = ((hz - low) / (middle - low)).min((high - hz) / (high - middle));
                (slope.max(0.0) * 2.0 / (high - low)) as f32
            };
            let first = (0..BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first..BINS).map(weight).take_while(|&weight| weight > 0.0).collect();
            (first, weights)
        })
        .collect()
}
