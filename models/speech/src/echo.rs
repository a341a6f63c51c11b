//! Echo cancellation: what the loudspeaker plays is taken out of what the microphone hears, so that somebody can speak while a reply is
//! being spoken. WebRTC's AEC3, as the crate `sonora` ports it to Rust; it estimates the delay itself, up to half a second.

use std::time::Duration;

use sonora::config::{EchoCanceller as Aec3, Pipeline};
use sonora::{AudioProcessing, Config, StreamConfig};

/// An echo canceller at 16 kHz, mono.
pub struct EchoCanceller {
    processing: AudioProcessing,
    /// A block of either side while it is processed.
    block: [f32; EchoCanceller::BLOCK_SAMPLES],
}

impl Default for EchoCanceller {
    fn default() -> Self {
        Self::new()
    }
}

impl EchoCanceller {
    /// Samples of a block: 16 kHz * 10 ms.
    pub const BLOCK_SAMPLES: usize = 160;

    /// A canceller that has heard nothing yet; it knows the room after about a second of sound.
    pub fn new() -> Self {
        let stream = StreamConfig::new(16_000, 1);
        let config = Config {
            pipeline: Pipeline { multi_channel_render: false, multi_channel_capture: false, ..Pipeline::default() },
            echo_canceller: Some(Aec3::default()),
            ..Config::default()
        };
        let processing = AudioProcessing::builder().config(config).capture_config(stream).render_config(stream).build();
        Self { processing, block: [0.0; Self::BLOCK_SAMPLES] }
    }

    /// Takes the next block that the loudspeaker plays: [[`BLOCK_SAMPLES`](Self::BLOCK_SAMPLES)], f32, [-1, 1]. Blocks come before the
    /// microphone hears them, and as many as it hears.
    pub fn played(&mut self, block: &[f32]) {
        // Its only errors are about forms of streams, which are fixed here.
        let done = self.processing.process_render_f32(&[block], &mut [&mut self.block]);
        debug_assert!(done.is_ok(), "{done:?}");
    }

    /// Takes the echo out of the next block that the microphone heard, of the same form.
    pub fn clean(&mut self, block: &mut [f32]) {
        let done = self.processing.process_capture_f32(&[block], &mut [&mut self.block]);
        debug_assert!(done.is_ok(), "{done:?}");
        // What is no number would stay in everything behind.
        if self.block.iter().all(|sample| sample.is_finite()) {
            block.copy_from_slice(&self.block);
        }
    }

    /// The delay between playing and hearing, as far as it is known.
    pub fn delay(&self) -> Option<Duration> {
        let ms = self.processing.statistics().delay_ms?;
        u64::try_from(ms).ok().map(Duration::from_millis)
    }
}
