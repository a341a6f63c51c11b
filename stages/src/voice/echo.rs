//! The echo of the loudspeaker in the microphone: pairs what was played with what was heard, and has it cancelled.
//!
//! The two devices hand over sound in pieces of their own, and run at clocks of their own. For each block that is heard one that was played
//! is taken; what the loudspeaker is ahead for good, by drift or after a stall, is caught up with.

use std::collections::VecDeque;

use nearfield_speech::audio::{Resampler, SampleRate};
use nearfield_speech::echo::EchoCanceller;

use crate::voice::speaker::{Copied, Reference};

const BLOCK: usize = EchoCanceller::BLOCK_SAMPLES;
/// Blocks over which the least backlog counts as one for good: 2 s.
const WINDOW_BLOCKS: usize = 500;
/// A backlog of so many samples is left alone: 20 ms.
const SLACK: usize = 5 * BLOCK;

/// Subtracts the echo of a loudspeaker from a microphone's sound.
pub struct EchoPath {
    reference: Reference,
    canceller: EchoCanceller,
    /// The loudspeaker as it was last opened, and its sound on the way to 16 kHz.
    playing: Option<(Copied, Resampler)>,
    /// What was played and is not paired yet, at 16 kHz.
    played: VecDeque<f32>,
    /// The least backlog since the window began, and the blocks until its end.
    least: usize,
    left: usize,
}

impl EchoPath {
    /// For the loudspeaker behind `reference`.
    pub fn new(reference: Reference) -> Self {
        Self {
            reference,
            canceller: EchoCanceller::new(),
            playing: None,
            played: VecDeque::new(),
            least: usize::MAX,
            left: WINDOW_BLOCKS,
        }
    }

    /// Takes the echo out of all that was heard since the last time: whole blocks, f32, 16 kHz.
    pub fn clean(&mut self, heard: &mut [f32]) {
        debug_assert!(heard.len().is_multiple_of(BLOCK), "{} samples are no whole blocks", heard.len());
        self.take_played();
        for block in heard.chunks_exact_mut(BLOCK) {
            self.play_block();
            self.canceller.clean(block);
            self.left = self.left.saturating_sub(1);
        }
        self.least = self.least.min(self.played.len());
        if self.left == 0 {
            tracing::debug!(delay = ?self.canceller.delay(), backlog = self.least, "echo");
            let excess = self.least.saturating_sub(SLACK / 2);
            if self.least > SLACK {
                (0..excess / BLOCK).for_each(|_| self.play_block());
            }
            (self.least, self.left) = (usize::MAX, WINDOW_BLOCKS);
        }
    }

    fn play_block(&mut self) {
        if self.played.len() >= BLOCK {
            let block: Vec<f32> = self.played.drain(..BLOCK).collect();
            self.canceller.played(&block);
        }
    }

    fn take_played(&mut self) {
        if let Some(opened) = self.reference.opened() {
            self.playing = match Resampler::new(opened.rate, SampleRate::SPEECH) {
                Ok(resampler) => Some((opened, resampler)),
                Err(error) => {
                    tracing::warn!(%error, "the echo of this loudspeaker is not cancelled");
                    None
                }
            };
        }
        let Some((copied, resampler)) = &mut self.playing else { return };
        let Ok(chunk) = copied.samples.read_chunk(copied.samples.slots()) else { return };
        let (first, second) = chunk.as_slices();
        for part in [first, second] {
            resampler.push(part, &mut |samples| self.played.extend(samples));
        }
        chunk.commit_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that comes and goes as syllables do, at 16 kHz.
    fn speech_like(n: usize) -> Vec<f32> {
        let mut state = 9u64;
        let mut noise = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f32 / (1u64 << 30) as f32 - 1.0
        };
        (0..n).map(|i| 0.3 * noise() * (i as f32 * std::f32::consts::TAU / 4_000.0).sin().max(0.0)).collect()
    }

    fn power(samples: &[f32]) -> f64 {
        samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>()
    }

    /// How much of the echo is gone in the last second, in decibels, when the loudspeaker's device takes `burst` samples at a time, and the
    /// microphone's thread stands still for a while in the middle.
    fn gone_db(burst: usize, stalls: bool) -> f64 {
        let reference = Reference::default();
        let mut producer = reference.open(SampleRate::SPEECH);
        let mut path = EchoPath::new(reference);
        let played = speech_like(8 * 16_000);
        const DELAY: usize = 1_500; // of the device and the air, more than a burst
        let echo = |at: usize| if at < DELAY { 0.0 } else { 0.5 * played[at - DELAY] };
        let (mut copied, mut at, mut before, mut after) = (0, 0, 0.0, 0.0);
        while at + 320 <= played.len() {
            let is_stalled = stalls && at == 4 * 16_000;
            let frames = if is_stalled { 20 } else { 1 };
            let heard_until = (at + frames * 320).min(played.len() / 320 * 320);
            while copied < heard_until {
                played[copied..(copied + burst).min(played.len())].iter().for_each(|s| producer.push(*s).unwrap());
                copied += burst;
            }
            let mut heard: Vec<f32> = (at..heard_until).map(echo).collect();
            let with_echo = power(&heard);
            path.clean(&mut heard);
            if at > 7 * 16_000 {
                before += with_echo;
                after += power(&heard);
            }
            at = heard_until;
        }
        10.0 * (before / after.max(1e-12)).log10()
    }

    #[test]
    fn echo_is_cancelled_in_whatever_pieces_the_devices_come_and_after_a_stall() {
        for (burst, stalls) in [(320, false), (1_280, false), (320, true), (700, true)] {
            let gone = gone_db(burst, stalls);
            assert!(gone > 20.0, "bursts of {burst}, stalls: {stalls}: {gone:.1} dB");
        }
    }

    #[test]
    fn without_a_loudspeaker_sound_goes_through() {
        let mut path = EchoPath::new(Reference::default());
        let heard = speech_like(32_000);
        let mut cleaned = heard.clone();
        cleaned.chunks_exact_mut(320).for_each(|frame| path.clean(frame));
        let ratio = power(&cleaned[16_000..]) / power(&heard[16_000..]);
        assert!((0.5..1.5).contains(&ratio), "{ratio}");
    }
}
