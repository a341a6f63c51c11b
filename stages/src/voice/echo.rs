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
const WINDOW_BLOCKS: usize = 200;
/// A backlog of so many samples is left alone: 20 ms.
const SLACK: usize = 2 * BLOCK;

/// Takes the echo of a loudspeaker out of what a microphone hears.
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
