//! FLAC, without its length and checksum in the head, which a stream doesn't know.

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::error::{Verified, Verify};
use flacenc::source::{Fill, FrameBuf};
use flacenc::{config, encode_fixed_size_frame};

use super::{EncodeError, SoundEncoder};
use crate::audio::{SampleRate, to_i16};

/// Samples in a block: 93 ms at 22,050 Hz, the last one may have fewer.
const BLOCK: usize = 2048;
/// The fewest that the encoder takes in one: less than two milliseconds.
const FEWEST: usize = 32;

/// Encodes to FLAC, mono, 16 bit.
pub struct FlacEncoder {
    config: Verified<config::Encoder>,
    info: StreamInfo,
    pending: Vec<i32>,
    frames: usize,
    has_begun: bool,
}

fn failed(reason: impl std::fmt::Display) -> EncodeError {
    EncodeError { format: "FLAC", reason: reason.to_string() }
}

impl FlacEncoder {
    /// An encoder for sound of this rate.
    ///
    /// # Errors
    /// The format does not know the rate.
    pub fn new(rate: SampleRate) -> Result<FlacEncoder, EncodeError> {
        let mut info = StreamInfo::new(rate.0 as usize, 1, 16).map_err(failed)?;
        info.set_block_sizes(BLOCK, BLOCK).map_err(failed)?;
        info.set_frame_sizes(0, 0).map_err(failed)?; // not known
        let mut config = config::Encoder::default();
        config.block_size = BLOCK;
        config.multithread = false;
        let config = config.into_verified().map_err(|(_, error)| failed(error))?;
        Ok(FlacEncoder { config, info, pending: Vec::new(), frames: 0, has_begun: false })
    }

    /// The mark and the one block of metadata.
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !std::mem::replace(&mut self.has_begun, true) {
            let mut sink = ByteSink::new();
            self.info.write(&mut sink).map_err(failed)?;
            let length = sink.as_slice().len() as u8; // 34
            out.extend_from_slice(b"fLaC");
            out.extend_from_slice(&[0x80, 0, 0, length]); // the last block of metadata, and its length
            out.extend_from_slice(sink.as_slice());
        }
        Ok(())
    }

    fn frame(&mut self, n: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut buffer = FrameBuf::with_size(1, n).map_err(failed)?;
        buffer.fill_interleaved(&self.pending[..n]).map_err(failed)?;
        self.pending.drain(..n);
        let frame = encode_fixed_size_frame(&self.config, &buffer, self.frames, &self.info).map_err(failed)?;
        self.frames += 1;
        let mut sink = ByteSink::new();
        frame.write(&mut sink).map_err(failed)?;
        out.extend_from_slice(sink.as_slice());
        Ok(())
    }
}

impl SoundEncoder for FlacEncoder {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.begin(out)?;
        self.pending.extend(samples.iter().map(|sample| i32::from(to_i16(*sample))));
        while self.pending.len() >= BLOCK {
            self.frame(BLOCK, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.begin(out)?;
        if !self.pending.is_empty() {
            // Up to that much silence where the rest is too short for a block.
            let n = self.pending.len().max(FEWEST);
            self.pending.resize(n, 0);
            self.frame(n, out)?;
        }
        Ok(())
    }
}
