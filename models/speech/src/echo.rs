//! Echo cancellation: the loudspeaker's sound is subtracted from the microphone's, so that somebody can speak while a reply is
//! being spoken. WebRTC's AEC3, as the crate `sonora-aec3` ports it to Rust; it estimates the delay itself, up to half a second.

use std::time::Duration;

use sonora_aec3::block::Block;
use sonora_aec3::block_processor::BlockProcessor;
use sonora_aec3::config::EchoCanceller3Config;

/// An echo canceller at 16 kHz, mono.
pub struct EchoCanceller {
    processor: BlockProcessor,
    played: Block,
    heard: Block,
    high_pass: HighPass,
    /// Blocks with sound that were played so far, up to [`LEARNING`].
    learned: usize,
    /// Blocks since the last one with sound.
    silent: usize,
}

/// 16-bit units, in which AEC3's thresholds are.
const FULL_SCALE: f32 = 32768.0;
/// Until so many blocks with sound were played, the delay is not known and echo goes through: 1.5 s.
const LEARNING: usize = 375; // 1.5 s * 16 kHz / 64
/// So many blocks after a played one its echo may still be heard: 0.6 s.
const TAIL: usize = 150; // 0.6 s * 16 kHz / 64
/// What is played below this root mean square (-60 dB) is silence.
const SOUND: f32 = 0.001;

impl Default for EchoCanceller {
    fn default() -> Self {
        Self::new()
    }
}

impl EchoCanceller {
    /// Samples of a block: 16 kHz * 4 ms.
    pub const BLOCK_SAMPLES: usize = 64;

    /// A canceller that has heard nothing yet. While it learns the room, for the first 1.5 s of played sound, nobody is heard over it.
    pub fn new() -> Self {
        let processor = BlockProcessor::new(&Self::tuned(), 16_000, 1, 1);
        let (played, heard) = (Block::new(1, 1), Block::new(1, 1));
        Self { processor, played, heard, high_pass: HighPass::default(), learned: 0, silent: TAIL }
    }

    /// WebRTC's defaults suit telephones, whose listeners mind a rest of echo more than a lost syllable. Here a recognizer listens: it has to
    /// notice who interrupts. In the tests' rooms 45 of 51 interruptions are noticed within 0.3 s, with the defaults some 42.
    fn tuned() -> EchoCanceller3Config {
        let mut config = EchoCanceller3Config::default();
        // How much better than the echo itself the filter may be taken to be, in power; the defaults are 4 and 1.5.
        config.erle.max_l = 6.0;
        config.erle.max_h = 2.0;
        // Blocks after which somebody is taken to speak, and how fast they are let through: 12 and 2.
        config.suppressor.dominant_nearend_detection.trigger_threshold = 5;
        config.suppressor.normal_tuning.max_inc_factor = 3.0;
        config
    }

    /// Takes the next block that the loudspeaker plays: [[`BLOCK_SAMPLES`](Self::BLOCK_SAMPLES)], f32, [-1, 1]. Blocks come before the
    /// microphone records them, and as many as it records.
    ///
    /// # Panics
    /// The block has another length.
    pub fn played(&mut self, block: &[f32]) {
        assert_eq!(block.len(), Self::BLOCK_SAMPLES, "a block that was played");
        for (to, from) in self.played.view_mut(0, 0).iter_mut().zip(block) {
            *to = sound(*from);
        }
        self.processor.buffer_render(&self.played);
        let power = block.iter().map(|s| s * s).sum::<f32>() / block.len() as f32;
        if power > SOUND * SOUND {
            self.learned = (self.learned + 1).min(LEARNING);
            self.silent = 0;
        } else {
            self.silent = self.silent.saturating_add(1);
        }
    }

    /// Takes the echo out of the next block that the microphone heard, of the same form.
    ///
    /// # Panics
    /// The block has another length.
    pub fn clean(&mut self, block: &mut [f32]) {
        assert_eq!(block.len(), Self::BLOCK_SAMPLES, "a block that was heard");
        let is_clipped = block.iter().any(|s| s.abs() >= 0.999);
        for (to, from) in self.heard.view_mut(0, 0).iter_mut().zip(&*block) {
            *to = self.high_pass.next(sound(*from));
        }
        self.processor.process_capture(false, is_clipped, None, &mut self.heard);
        let is_learning = self.learned < LEARNING && self.silent < TAIL;
        for (to, from) in block.iter_mut().zip(self.heard.view(0, 0)) {
            *to = if is_learning || !from.is_finite() { 0.0 } else { (from / FULL_SCALE).clamp(-1.0, 1.0) };
        }
    }

    /// The delay between playing and hearing, as far as it is known.
    pub fn delay(&self) -> Option<Duration> {
        let ms = self.processor.get_metrics().delay_ms;
        u64::try_from(ms).ok().map(Duration::from_millis)
    }
}

/// In AEC3's units; what is no number would stay in its filters.
fn sound(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-1.0, 1.0) * FULL_SCALE } else { 0.0 }
}

/// Takes out a constant offset, and what is below 25 Hz.
#[derive(Default)]
struct HighPass {
    last_in: f32,
    last_out: f32,
}

impl HighPass {
    fn next(&mut self, sample: f32) -> f32 {
        // exp(-2 pi * 25 Hz / 16 kHz)
        const POLE: f32 = 0.99;
        self.last_out = sample - self.last_in + POLE * self.last_out;
        self.last_in = sample;
        self.last_out
    }
}
