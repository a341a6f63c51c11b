//! Opus in Ogg pages (RFC 6716, RFC 7845), by libopus.

use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use opusic_c::{Application, Bitrate, Channels, Encoder, SampleRate as OpusRate, Signal};

use super::{EncodeError, SoundEncoder};
use crate::audio::SampleRate;

/// Samples of a packet: 20 ms at 24 kHz.
const FRAME: usize = 480;
/// Positions in Ogg count at 48 kHz.
const POSITIONS_PER_SAMPLE: u64 = 2;
/// The most bytes of a packet, as libopus recommends.
const PACKET_BYTES: usize = 4000;
/// Packets of a page: 200 ms.
const PAGE_PACKETS: usize = 10;
/// Bits a second: speech is transparent from some 24,000 on.
const BIT_RATE: u32 = 32_000;
/// The number of the one stream.
const SERIAL: u32 = 1;

/// Encodes to Ogg Opus, mono.
pub struct OpusEncoder {
    encoder: Encoder,
    pages: PacketWriter<'static, Vec<u8>>,
    pending: Vec<f32>,
    /// Positions to be skipped at the beginning, which the encoder looks ahead.
    skipped: u64,
    samples: u64,
    packets: u64,
    has_begun: bool,
}

fn failed(reason: impl std::fmt::Display) -> EncodeError {
    EncodeError { format: "Opus", reason: reason.to_string() }
}

fn refused(code: opusic_c::ErrorCode) -> EncodeError {
    failed(code.message())
}

impl OpusEncoder {
    /// The rate of the samples that it takes.
    pub const RATE: SampleRate = SampleRate(24_000);

    /// An encoder for sound of [`RATE`](Self::RATE).
    ///
    /// # Errors
    /// There is no memory.
    pub fn new() -> Result<OpusEncoder, EncodeError> {
        let mut encoder = Encoder::new(Channels::Mono, OpusRate::Hz24000, Application::Audio).map_err(refused)?;
        encoder.set_bitrate(Bitrate::Value(BIT_RATE)).map_err(refused)?;
        encoder.set_signal(Signal::Voice).map_err(refused)?;
        let skipped = u64::from(encoder.get_look_ahead().map_err(refused)?) * POSITIONS_PER_SAMPLE;
        let pages = PacketWriter::new(Vec::new());
        Ok(OpusEncoder { encoder, pages, pending: Vec::new(), skipped, samples: 0, packets: 0, has_begun: false })
    }

    fn begin(&mut self) -> Result<(), EncodeError> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        let mut head = b"OpusHead\x01\x01".to_vec(); // version 1, one channel
        head.extend_from_slice(&(self.skipped as u16).to_le_bytes());
        head.extend_from_slice(&Self::RATE.0.to_le_bytes());
        head.extend_from_slice(&[0, 0, 0]); // no gain, the mapping of mono and stereo
        let mut tags = b"OpusTags".to_vec();
        let vendor = b"nearfield";
        tags.extend_from_slice(&(vendor.len() as u32).to_le_bytes());
        tags.extend_from_slice(vendor);
        tags.extend_from_slice(&0u32.to_le_bytes()); // no comments
        for packet in [head, tags] {
            self.pages.write_packet(packet, SERIAL, PacketWriteEndInfo::EndPage, 0).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the first samples that wait, filled up with silence where there are too few, as a packet.
    fn packet(&mut self, is_last: bool) -> Result<(), EncodeError> {
        let n = self.pending.len().min(FRAME);
        let mut frame: Vec<f32> = self.pending.drain(..n).collect();
        frame.resize(FRAME, 0.0);
        self.samples += n as u64;
        let mut packet = vec![0; PACKET_BYTES];
        let length = self.encoder.encode_float_to_slice(&frame, &mut packet).map_err(refused)?;
        packet.truncate(length);
        self.packets += 1;
        // The end is cut at the last sample; before it, a position is that behind the packet.
        let written = if is_last {
            self.skipped + self.samples * POSITIONS_PER_SAMPLE
        } else {
            self.packets * FRAME as u64 * POSITIONS_PER_SAMPLE
        };
        let ends = match is_last {
            true => PacketWriteEndInfo::EndStream,
            // The first sound at once.
            false if self.packets == 1 || self.packets.is_multiple_of(PAGE_PACKETS as u64) => {
                PacketWriteEndInfo::EndPage
            }
            false => PacketWriteEndInfo::NormalPacket,
        };
        self.pages.write_packet(packet, SERIAL, ends, written).map_err(failed)
    }

    fn give(&mut self, out: &mut Vec<u8>) {
        out.append(self.pages.inner_mut());
    }
}

impl SoundEncoder for OpusEncoder {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.begin()?;
        self.pending.extend_from_slice(samples);
        // One packet is always kept back, which may be the last.
        while self.pending.len() > FRAME {
            self.packet(false)?;
        }
        self.give(out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.begin()?;
        // The decoder is as far behind as the encoder looks ahead.
        let needed = (self.skipped / POSITIONS_PER_SAMPLE) as usize;
        while self.pending.len() + needed > FRAME {
            self.packet(false)?;
        }
        self.packet(true)?;
        self.give(out);
        Ok(())
    }
}
