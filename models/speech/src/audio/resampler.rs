//! Change of sample rate, as a stream and for whole clips.
//!
//! The filter is rubato's FFT resampler. What this module adds is exactness at the ends: its start-up delay is cut off
//! and its tail is flushed, so that n samples in give round(n * to / from) samples out, none lost and none shifted.

use super::{AudioError, Clip, SampleRate};
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// Converts a stream of mono samples from one sample rate to another.
pub struct Resampler {
    from: SampleRate,
    to: SampleRate,
    /// `None` where the rates are equal and samples pass unchanged.
    fft: Option<Fft<f32>>,
    /// Samples that do not fill a block yet.
    pending: Vec<f32>,
    block_out: Vec<f32>,
    /// Output samples of the filter's delay still to be dropped.
    delay_left: usize,
    n_in: u64,
    n_out: u64,
}

impl Resampler {
    /// A resampler at the beginning of a stream.
    ///
    /// # Errors
    /// [`AudioError::Rate`] where a rate is implausible.
    pub fn new(from: SampleRate, to: SampleRate) -> Result<Resampler, AudioError> {
        for rate in [from, to] {
            if !rate.is_plausible() {
                return Err(AudioError::Rate { name: "the stream to resample".to_string(), found: rate.0 });
            }
        }
        let fft = (from != to).then(|| {
            // Blocks of some 20 ms: long enough for a steep filter, short enough to speak live. They are made of whole
            // steps of the ratio, and even, because the filter's middle would otherwise lie half a sample off.
            let step = from.0 as usize / greatest_common_divisor(from.0, to.0) as usize;
            let steps = (from.0 as usize / 50).div_ceil(step);
            let block = step * (steps + (step * steps) % 2);
            Fft::new_custom(
                from.0 as usize,
                to.0 as usize,
                block,
                1,
                1,
                rubato::WindowFunction::BlackmanHarris2,
                FixedSync::Both,
            )
            .expect("rates are positive and the block is not empty")
        });
        let mut resampler = Resampler {
            from,
            to,
            block_out: vec![0.0; fft.as_ref().map_or(0, |f| f.output_frames_max())],
            fft,
            pending: Vec::new(),
            delay_left: 0,
            n_in: 0,
            n_out: 0,
        };
        resampler.reset();
        Ok(resampler)
    }

    /// Takes samples at the input rate and gives to `sink` what is ready at the output rate.
    pub fn push(&mut self, samples: &[f32], sink: &mut dyn FnMut(&[f32])) {
        self.n_in += samples.len() as u64;
        let Some(fft) = &self.fft else {
            if !samples.is_empty() {
                sink(samples);
            }
            return;
        };
        let block = fft.input_frames_next();
        self.pending.extend_from_slice(samples);
        let mut at = 0;
        while self.pending.len() - at >= block {
            self.process(at, block);
            at += block;
            self.give(usize::MAX, sink);
        }
        self.pending.drain(..at);
    }

    /// Gives the rest to `sink`, so that the whole output has round(n * to / from) samples, and is ready for a new stream.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[f32])) {
        if self.fft.is_some() {
            let expected = (u128::from(self.n_in) * u128::from(self.to.0) * 2 + u128::from(self.from.0))
                / (u128::from(self.from.0) * 2);
            let expected = expected as u64;
            while self.n_out < expected {
                let rest = self.pending.len();
                self.process(0, rest);
                self.pending.clear();
                let left = usize::try_from(expected - self.n_out).unwrap_or(usize::MAX);
                self.give(left, sink);
            }
        }
        self.reset();
    }

    /// Discards the stream so far.
    pub fn reset(&mut self) {
        if let Some(fft) = &mut self.fft {
            fft.reset();
            self.delay_left = fft.output_delay();
        }
        self.pending.clear();
        self.n_in = 0;
        self.n_out = 0;
    }

    /// Filters one block of `pending`, from `at`; a block shorter than the filter's is filled up with silence.
    fn process(&mut self, at: usize, n: usize) {
        let fft = self.fft.as_mut().expect("called only where the rates differ");
        let block = fft.input_frames_next();
        let mut padded;
        let input = if n == block {
            &self.pending[at..at + block]
        } else {
            padded = vec![0.0; block];
            padded[..n].copy_from_slice(&self.pending[at..at + n]);
            &padded
        };
        let n_out = fft.output_frames_next();
        self.block_out.resize(n_out, 0.0);
        let input = SequentialSlice::new(input, 1, block).expect("the slice has the length stated");
        let mut output =
            SequentialSlice::new_mut(&mut self.block_out, 1, n_out).expect("the slice has the length stated");
        fft.process_into_buffer(&input, &mut output, None)
            .expect("both buffers have the size that the filter asked for");
    }

    /// Passes on the last filtered block, without the filter's delay and at most `limit` samples of it.
    fn give(&mut self, limit: usize, sink: &mut dyn FnMut(&[f32])) {
        let skipped = self.delay_left.min(self.block_out.len());
        self.delay_left -= skipped;
        let ready = &self.block_out[skipped..];
        let ready = &ready[..ready.len().min(limit)];
        if !ready.is_empty() {
            self.n_out += ready.len() as u64;
            sink(ready);
        }
    }
}

/// The whole clip at another rate: round(n * to / from) samples.
///
/// # Errors
/// [`AudioError::Rate`] where a rate is implausible.
pub fn resample(clip: &Clip, to: SampleRate) -> Result<Clip, AudioError> {
    let mut resampler = Resampler::new(clip.rate, to)?;
    let capacity = clip.samples.len() as u64 * u64::from(to.0) / u64::from(clip.rate.0) + 1;
    let mut samples = Vec::with_capacity(capacity as usize);
    resampler.push(&clip.samples, &mut |block| samples.extend_from_slice(block));
    resampler.finish(&mut |block| samples.extend_from_slice(block));
    Ok(Clip { rate: to, samples, truncated: clip.truncated })
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
