//! Sound as a compressed stream, block by block as it is made: FLAC and Ogg Opus. What ffmpeg encodes is not here.

#[cfg(feature = "flac")]
mod flac;
#[cfg(feature = "opus")]
mod opus;

#[cfg(feature = "flac")]
pub use flac::FlacEncoder;
#[cfg(feature = "opus")]
pub use opus::OpusEncoder;

/// Why sound can't be encoded.
#[derive(Debug, thiserror::Error)]
#[error("the sound can't be encoded as {format}: {reason}")]
pub struct EncodeError {
    /// The format.
    pub format: &'static str,
    /// What the encoder says.
    pub reason: String,
}

/// Takes mono samples as they are made and gives the bytes of a stream.
pub trait SoundEncoder: Send {
    /// Appends the bytes that are complete after these samples, the head of the stream before the first.
    ///
    /// # Errors
    /// The encoder failed.
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Appends the rest. Nothing may be pushed after it.
    ///
    /// # Errors
    /// The encoder failed.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}
