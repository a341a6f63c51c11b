//! Channels mixed down to one: their mean, unless they cancel each other out. A stereo recording whose channels are opposite (a balanced line
//! wired as stereo, a plug put in wrong) would be silence then; of such a one the loudest channel is taken.

use super::AudioError;

/// Channels that have nothing in common leave one part in their number of their mean power when they are mixed. Less than this part of that:
/// they cancel each other out.
const CANCELS: f32 = 0.1;
/// So much of it, and the mix is used again.
const CANCELS_NO_MORE: f32 = 0.4;
/// Below this mean power (-70 dB) nothing is decided: noise of two converters may cancel by chance.
const QUIET: f32 = 1e-7;
/// From fewer loud samples than this, channels cancel each other out only where next to nothing is left, [`CANCELS_AT_ONCE`]: at an onset two
/// deep tones run in opposite directions by chance.
const LEAST_HEARD: f32 = 1024.0;
const CANCELS_AT_ONCE: f32 = CANCELS * 0.01;
/// The powers are means over about so many samples: half a second at 16 kHz.
const MEMORY: f32 = 8000.0;

/// Mixes a source's samples down to mono and counts those that are not finite.
#[derive(Debug, Default)]
pub struct MixDown {
    samples: u64,
    not_numbers: u64,
    /// The power of each channel and of the mix, over the last half second.
    powers: Vec<f32>,
    mix: f32,
    /// How many samples of the last half second were not quiet.
    heard: f32,
    /// The sums over a block; kept, since an audio callback must not allocate.
    sums: Vec<f32>,
    /// The channel that is taken instead of the mix.
    taken: Option<usize>,
    cancelled: bool,
}

impl MixDown {
    /// For sound of so many channels: nothing is allocated later.
    pub fn of(n_channels: usize) -> Self {
        Self { powers: vec![0.0; n_channels], sums: vec![0.0; n_channels], ..Self::default() }
    }

    /// Appends to `mono` the mean of the channels of `interleaved`, or the loudest of them where they cancel each other out. NaN and
    /// infinite values become silence, and what lies outside [-1, 1] (float files may) is clipped, because everything downstream relies on
    /// that range.
    pub fn push(&mut self, interleaved: &[f32], n_channels: usize, mono: &mut Vec<f32>) {
        if n_channels > 1 {
            self.weigh(interleaved, n_channels);
        }
        let scale = 1.0 / n_channels as f32;
        let before = mono.len();
        mono.extend(interleaved.chunks_exact(n_channels).map(|frame| {
            let value = match self.taken {
                Some(channel) if n_channels > 1 => frame[channel],
                _ => frame.iter().sum::<f32>() * scale,
            };
            self.not_numbers += u64::from(!value.is_finite());
            if value.is_finite() { value.clamp(-1.0, 1.0) } else { 0.0 }
        }));
        self.samples += (mono.len() - before) as u64;
    }

    /// Measures whether the channels cancel each other out. A block that is not of numbers decides nothing.
    fn weigh(&mut self, interleaved: &[f32], n_channels: usize) {
        let n = (interleaved.len() / n_channels) as f32;
        if n == 0.0 {
            return;
        }
        if self.powers.len() != n_channels {
            (self.powers, self.sums) = (vec![0.0; n_channels], vec![0.0; n_channels]);
            (self.mix, self.heard, self.taken) = (0.0, 0.0, None);
        }
        let powers = &mut self.sums;
        powers.fill(0.0);
        let mut mix = 0.0f32;
        for frame in interleaved.chunks_exact(n_channels) {
            let mean = frame.iter().sum::<f32>() / n_channels as f32;
            mix += mean * mean;
            powers.iter_mut().zip(frame).for_each(|(power, value)| *power += value * value);
        }
        if !(mix.is_finite() && powers.iter().all(|power| power.is_finite())) {
            return;
        }
        let keep = (-n / MEMORY).exp();
        let smoothed = |old: f32, sum: f32| old * keep + sum / n * (1.0 - keep);
        self.mix = smoothed(self.mix, mix);
        self.powers.iter_mut().zip(&self.sums).for_each(|(old, sum)| *old = smoothed(*old, *sum));
        let is_loud = self.sums.iter().sum::<f32>() / (n * n_channels as f32) >= QUIET;
        self.heard = self.heard * keep + if is_loud { n } else { 0.0 };
        let cancels = if self.heard < LEAST_HEARD { CANCELS_AT_ONCE } else { CANCELS };
        let mean = self.powers.iter().sum::<f32>() / n_channels as f32;
        // The first blocks count for less than their power: the mix as well.
        if mean < QUIET * (1.0 - keep).min(1.0) {
            return;
        }
        let part = self.mix / mean * n_channels as f32;
        match self.taken {
            None if part < cancels => {
                let loudest = |a: &usize, b: &usize| self.powers[*a].total_cmp(&self.powers[*b]);
                // Of channels that are equally loud the first.
                self.taken = (0..n_channels).rev().max_by(loudest);
                self.cancelled = true;
            }
            Some(_) if part > CANCELS_NO_MORE => self.taken = None,
            _ => {}
        }
    }

    /// How many samples there were, of the mix.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// How many of them were NaN or infinite.
    pub fn not_numbers(&self) -> u64 {
        self.not_numbers
    }

    /// Whether channels cancelled each other out somewhere.
    pub fn cancelled(&self) -> bool {
        self.cancelled
    }

    /// Called at the end of the file: a file without any finite sample is damaged, not silent.
    pub(super) fn check(&self, name: &str) -> Result<(), AudioError> {
        if self.samples == 0 || self.not_numbers < self.samples {
            return Ok(());
        }
        let reason = format!("none of its {} samples is a number (all are NaN or infinite)", self.samples);
        Err(AudioError::Damaged { name: name.to_string(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone, as of a voice: its loudness changes.
    fn tone(n: usize, hertz: f32) -> Vec<f32> {
        let at = |i: usize| i as f32 / 16_000.0;
        (0..n)
            .map(|i| 0.4 * (at(i) * hertz * std::f32::consts::TAU).sin() * (0.6 + 0.4 * (at(i) * 19.0).sin()))
            .collect()
    }

    fn mixed(channels: &[Vec<f32>], block: usize) -> (Vec<f32>, bool) {
        let n = channels[0].len();
        let interleaved: Vec<f32> = (0..n).flat_map(|i| channels.iter().map(move |c| c[i])).collect();
        let (mut mix, mut mono) = (MixDown::default(), Vec::new());
        interleaved.chunks(block * channels.len()).for_each(|b| mix.push(b, channels.len(), &mut mono));
        (mono, mix.cancelled())
    }

    #[test]
    fn opposite_channels_leave_one_of_them_in_blocks_of_any_length() {
        let voice = tone(16_000, 220.0);
        let opposite: Vec<f32> = voice.iter().map(|v| -v).collect();
        for block in [160, 1152, 16_000] {
            assert_eq!(mixed(&[voice.clone(), opposite.clone()], block), (voice.clone(), true));
            // Not quite opposite: the one is softer, and the louder is taken once enough was heard.
            let softer: Vec<f32> = opposite.iter().map(|v| v * 0.8).collect();
            let (mono, cancelled) = mixed(&[softer, voice.clone()], block);
            assert!(cancelled && mono[2048..] == voice[2048..], "blocks of {block}");
        }
        // Two of four are opposite, the others silent.
        let silence = vec![0.0; voice.len()];
        let four = [silence.clone(), opposite.clone(), voice.clone(), silence];
        assert_eq!(mixed(&four, 800), (opposite, true));
    }

    #[test]
    fn two_speakers_one_speaker_and_equal_channels_are_mixed() {
        let (a, b) = (tone(16_000, 220.0), tone(16_000, 331.0));
        let silence = vec![0.0; a.len()];
        for (left, right) in [(&a, &b), (&a, &a), (&a, &silence), (&silence, &silence)] {
            let (mono, cancelled) = mixed(&[left.clone(), right.clone()], 1152);
            let wanted: Vec<f32> = left.iter().zip(right).map(|(l, r)| (l + r) * 0.5).collect();
            assert!(!cancelled);
            assert_eq!(mono, wanted);
        }
    }

    #[test]
    fn two_deep_tones_that_begin_in_opposite_directions_do_not_cancel_each_other_out() {
        let silence = vec![0.0; 4096];
        let left = [silence.clone(), tone(16_000, 40.0)].concat();
        let right: Vec<f32> = [silence, tone(16_000, 63.0)].concat().iter().map(|v| -v).collect();
        for block in [64, 128] {
            let (mono, cancelled) = mixed(&[left.clone(), right.clone()], block);
            assert!(!cancelled, "blocks of {block}");
            assert!(mono.iter().zip(&left).zip(&right).all(|((m, l), r)| (m - (l + r) * 0.5).abs() < 1e-6));
        }
    }

    #[test]
    fn a_recording_whose_channels_cancel_for_a_while_is_mixed_again_afterwards() {
        let (a, b) = (tone(48_000, 220.0), tone(48_000, 331.0));
        let right: Vec<f32> = (0..48_000).map(|i| if i < 16_000 { -a[i] } else { b[i] }).collect();
        let (mono, cancelled) = mixed(&[a.clone(), right.clone()], 1600);
        assert!(cancelled);
        assert_eq!(mono[..16_000], a[..16_000]);
        assert!((32_000..48_000).all(|i| (mono[i] - (a[i] + right[i]) * 0.5).abs() < 1e-6), "both speakers are there");
    }
}
