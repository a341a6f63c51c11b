//! Audio as data: sample rates, clips, reading and writing of audio files, and resampling.
//!
//! Everything downstream of this module is mono `f32` in [-1, 1]. Files may hold anything from 8-bit mono to 32-bit 5.1;
//! they are mixed down and scaled here, once. Audio devices are in crate `nearfield-stages`.

mod clip_reader;
mod mix_down;
mod resampler;
mod wav;

pub use clip_reader::ClipReader;
pub use mix_down::MixDown;
pub use nearfield_base::persist::Existing;
pub use resampler::{Resampler, resample};
#[cfg(feature = "flac")]
pub(crate) use wav::to_i16;
pub(crate) use wav::{WavStream, is_wav};
pub use wav::{WavWriter, pcm16, stream_header, write_wav};

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Samples a second, of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleRate(pub u32);

impl SampleRate {
    /// The rate at which voice activity and speech to text work.
    pub const SPEECH: SampleRate = SampleRate(16_000);
    /// The lowest rate that is accepted (telephone).
    pub const LOWEST: SampleRate = SampleRate(8_000);
    /// The highest rate that is accepted (studio).
    pub const HIGHEST: SampleRate = SampleRate(192_000);

    /// How long `n_samples` last at this rate.
    pub fn duration_of(self, n_samples: usize) -> Duration {
        let rate = u64::from(self.0.max(1));
        let n = n_samples as u64;
        // Whole seconds apart, so that the product stays within 64 bits for any length.
        Duration::new(n / rate, ((n % rate) * 1_000_000_000 / rate) as u32)
    }

    /// How many samples last `duration` at this rate, rounded to the nearest.
    pub fn samples_in(self, duration: Duration) -> usize {
        let n = duration.as_nanos() * u128::from(self.0);
        usize::try_from((n + 500_000_000) / 1_000_000_000).unwrap_or(usize::MAX)
    }

    fn is_plausible(self) -> bool {
        (Self::LOWEST..=Self::HIGHEST).contains(&self)
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// A piece of mono audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Samples a second.
    pub rate: SampleRate,
    /// Mono, [-1, 1].
    pub samples: Vec<f32>,
    /// The file is shorter than its header says; `samples` is what it holds.
    pub truncated: bool,
}

impl Clip {
    /// A whole clip of `samples` (mono, [-1, 1]).
    pub fn new(rate: SampleRate, samples: Vec<f32>) -> Clip {
        Clip { rate, samples, truncated: false }
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        self.rate.duration_of(self.samples.len())
    }
}

/// The longest clip that is read into memory at once. Longer audio is read block by block, through [`ClipReader`].
pub const LONGEST_CLIP: Duration = Duration::from_secs(2 * 60 * 60);

/// The most samples that are read into memory at once: [`LONGEST_CLIP`] at 16 kHz, 461 MB.
pub const MOST_SAMPLES: usize = 16_000 * 2 * 60 * 60;

/// Appends a block without asking for twice the memory, as vectors do by themselves.
///
/// # Errors
/// [`AudioError::TooLong`] beyond [`MOST_SAMPLES`]; `name` and `rate` are those of the audio.
pub fn append(samples: &mut Vec<f32>, block: &[f32], rate: SampleRate, name: &str) -> Result<(), AudioError> {
    /// A quarter of a minute of speech, so that small blocks do not each move what is there.
    const STEP: usize = 16_000 * 15;
    let wanted = samples.len() + block.len();
    if wanted > MOST_SAMPLES {
        return Err(AudioError::TooLong { name: name.to_string(), limit: rate.duration_of(MOST_SAMPLES) });
    }
    if wanted > samples.capacity() {
        samples.reserve_exact(block.len().max(samples.len() / 8).max(STEP));
    }
    samples.extend_from_slice(block);
    Ok(())
}

/// Reads a whole audio file (WAV, AIFF, FLAC, MP3, AAC in MP4, Vorbis and Opus in Ogg, WebM or Matroska), mixed down to mono, at the file's own rate.
///
/// A file that ends before its header says keeps what is complete and is marked [`Clip::truncated`].
///
/// # Errors
/// [`AudioError`] where the file cannot be opened, is empty, is not audio, holds no samples, has an implausible rate or
/// number of channels, or has more than [`MOST_SAMPLES`].
pub fn read_clip(path: &Path) -> Result<Clip, AudioError> {
    read_whole(ClipReader::open(path)?)
}

/// As [`read_clip`], from a stream of bytes such as the standard input; `name` stands for it in errors.
///
/// # Errors
/// As [`read_clip`].
pub fn read_clip_from(reader: impl Read + Send + Sync + 'static, name: &str) -> Result<Clip, AudioError> {
    read_whole(ClipReader::from_reader(reader, name)?)
}

fn read_whole(mut reader: ClipReader) -> Result<Clip, AudioError> {
    let rate = reader.rate();
    let (name, mut samples) = (reader.name().to_string(), Vec::new());
    while let Some(block) = reader.next_block()? {
        append(&mut samples, block, rate, &name)?;
    }
    if samples.is_empty() {
        return Err(AudioError::NoSamples { name: reader.name().to_string() });
    }
    Ok(Clip { rate, samples, truncated: reader.truncated() })
}

/// Why audio could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The file does not exist or may not be read.
    #[error("cannot open {name}: {cause}")]
    Open {
        /// The file.
        name: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Reading broke off.
    #[error("cannot read {name}: {cause}")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file has no bytes.
    #[error("{name} is empty; expected a WAV, AIFF, FLAC, Ogg, MP3, M4A or WebM file")]
    Empty {
        /// The file.
        name: String,
    },
    /// Another kind of file.
    #[error(
        "{name} is not a sound file that Nearfield reads ({found}); expected WAV, AIFF, FLAC, Ogg, MP3, M4A or WebM"
    )]
    NotAudio {
        /// The file.
        name: String,
        /// What it seems to be.
        found: String,
    },
    /// An audio file that contradicts itself.
    #[error("{name} is damaged: {reason}")]
    Damaged {
        /// The file.
        name: String,
        /// Where and how.
        reason: String,
    },
    /// An audio file of an unsupported encoding.
    #[error("{name} uses {what}, which Nearfield does not read; convert it to 16-bit PCM WAV first")]
    Unsupported {
        /// The file.
        name: String,
        /// The encoding.
        what: String,
    },
    /// No channels, or too many.
    #[error("{name} says it has {found} channels; expected 1 to {MAX_CHANNELS}")]
    Channels {
        /// The file.
        name: String,
        /// The number found.
        found: usize,
    },
    /// A sample rate out of range.
    #[error("{name} says it has {found} samples a second; expected {} to {}", SampleRate::LOWEST.0, SampleRate::HIGHEST.0)]
    Rate {
        /// The file.
        name: String,
        /// The rate found.
        found: u32,
    },
    /// A header and nothing after it.
    #[error("{name} holds no samples")]
    NoSamples {
        /// The file.
        name: String,
    },
    /// Longer than the limit.
    #[error("{name} is longer than {} minutes; split it", limit.as_secs() / 60)]
    TooLong {
        /// The file.
        name: String,
        /// The limit.
        limit: Duration,
    },
    /// The file could not be written: no such folder, no right, no space.
    #[error("cannot write {name}: {cause}")]
    Write {
        /// The file.
        name: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// The most channels; the bound keeps a wrong header from allocating absurd buffers.
pub const MAX_CHANNELS: usize = 64;
