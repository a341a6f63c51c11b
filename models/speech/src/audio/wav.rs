//! WAV, read and written as a stream.
//!
//! Symphonia reads WAV too, but refuses headers whose outer length does not fit the inner one, and those are what a pipe
//! produces: a program that writes to its standard output cannot know the length yet (espeak-ng writes 0x7ffff000,
//! ffmpeg 0xffffffff, others 0). This reader takes the data chunk's length as an announcement: a known length that is
//! not reached marks the sound as truncated, an unknown one means "until the end".
//!
//! Written files carry a header that is right every second, so that what was written survives an interruption.

use super::{AudioError, Clip, MAX_CHANNELS, MixDown, SampleRate};
use nearfield_base::persist::{self, Existing, NewFile};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Whether `head` (the first bytes of a file, 12 at least) begins a WAV file.
pub(crate) fn is_wav(head: &[u8]) -> bool {
    head.len() >= 12 && (head.starts_with(b"RIFF") || head.starts_with(b"RF64")) && &head[8..12] == b"WAVE"
}

/// A WAV file read as a stream.
pub(crate) struct WavStream<R> {
    reader: R,
    name: String,
    rate: SampleRate,
    n_channels: usize,
    encoding: Encoding,
    /// Bytes of the data chunk still to come; `None` means until the end of the stream.
    remaining: Option<u64>,
    truncated: bool,
    ended: bool,
    bytes: Vec<u8>,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    mix_down: MixDown,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
    ALaw,
    MuLaw,
}

impl Encoding {
    fn bytes(self) -> usize {
        match self {
            Encoding::Unsigned8 | Encoding::ALaw | Encoding::MuLaw => 1,
            Encoding::Signed16 => 2,
            Encoding::Signed24 => 3,
            Encoding::Signed32 | Encoding::Float32 => 4,
            Encoding::Float64 => 8,
        }
    }

    fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Encoding::Unsigned8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
            Encoding::Signed16 => {
                out.extend(bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0));
            }
            // The three bytes go to the top of an i32, so that the sign comes by itself.
            Encoding::Signed24 => out.extend(
                bytes.chunks_exact(3).map(|b| i32::from_le_bytes([0, b[0], b[1], b[2]]) as f32 / 2_147_483_648.0),
            ),
            Encoding::Signed32 => out.extend(
                bytes.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32 / 2_147_483_648.0),
            ),
            Encoding::Float32 => {
                out.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            }
            Encoding::Float64 => out.extend(
                bytes
                    .chunks_exact(8)
                    .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32),
            ),
            Encoding::ALaw => out.extend(bytes.iter().map(|&b| a_law(b))),
            Encoding::MuLaw => out.extend(bytes.iter().map(|&b| mu_law(b))),
        }
    }
}

/// ITU-T G.711, A-law: even bits inverted, sign, 3 bits of exponent, 4 of mantissa; 13-bit result.
fn a_law(byte: u8) -> f32 {
    let byte = byte ^ 0x55;
    let exponent = (byte >> 4) & 7;
    let mantissa = i32::from(byte & 0x0f);
    let magnitude = if exponent == 0 { (mantissa << 4) + 8 } else { ((mantissa << 4) + 0x108) << (exponent - 1) };
    let value = if byte & 0x80 != 0 { magnitude } else { -magnitude };
    value as f32 / 32_768.0
}

/// ITU-T G.711, mu-law: all bits inverted, sign, 3 bits of exponent, 4 of mantissa, bias 33 (132 after scaling).
fn mu_law(byte: u8) -> f32 {
    let byte = !byte;
    let exponent = (byte >> 4) & 7;
    let mantissa = i32::from(byte & 0x0f);
    let magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84;
    let value = if byte & 0x80 != 0 { -magnitude } else { magnitude };
    value as f32 / 32_768.0
}

/// Everything before the data of a real file is far smaller; a stream that only pretends is given up here.
const MAX_SKIPPED: u64 = 64 << 20;
/// A data length from here on means "unknown": programs that write to a pipe put such values there.
const UNKNOWN_LENGTH: u64 = 0x7fff_f000;

impl<R: Read> WavStream<R> {
    /// Reads up to the first sample.
    pub(crate) fn open(mut reader: R, name: &str) -> Result<WavStream<R>, AudioError> {
        let damaged = |reason: &str| AudioError::Damaged { name: name.to_string(), reason: reason.to_string() };
        let mut head = [0u8; 12];
        read_exactly(&mut reader, &mut head, name, "the WAV header")?;
        if !is_wav(&head) {
            return Err(AudioError::NotAudio { name: name.to_string(), found: "no RIFF/WAVE header".to_string() });
        }
        let mut format = None;
        let mut data_length_64 = None;
        let mut skipped = 0u64;
        loop {
            let mut chunk = [0u8; 8];
            read_exactly(&mut reader, &mut chunk, name, "a chunk header before the data chunk")?;
            let id = [chunk[0], chunk[1], chunk[2], chunk[3]];
            let length = u64::from(u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]));
            match &id {
                b"data" => {
                    let Some((rate, n_channels, encoding)) = format else {
                        return Err(damaged("its data comes before its format"));
                    };
                    let length = if length == 0xffff_ffff { data_length_64.unwrap_or(length) } else { length };
                    // Whoever was killed before the header was brought up to date left a zero there, too.
                    let first = if length == 0 { first_of_data(&mut reader, name)? } else { Vec::new() };
                    let unknown = (length >= UNKNOWN_LENGTH && data_length_64.is_none()) || !first.is_empty();
                    return Ok(WavStream {
                        reader,
                        name: name.to_string(),
                        rate,
                        n_channels,
                        encoding,
                        remaining: (!unknown).then_some(length),
                        truncated: false,
                        ended: false,
                        bytes: first,
                        interleaved: Vec::new(),
                        mono: Vec::new(),
                        mix_down: MixDown::default(),
                    });
                }
                b"fmt " => {
                    if !(16..=4096).contains(&length) {
                        return Err(damaged(&format!("its format chunk has {length} bytes, expected 16 to 40")));
                    }
                    let mut bytes = vec![0u8; (length + (length & 1)) as usize];
                    read_exactly(&mut reader, &mut bytes, name, "the format chunk")?;
                    format = Some(parse_format(&bytes, name)?);
                }
                b"ds64" if (28..=4096).contains(&length) => {
                    let mut bytes = vec![0u8; (length + (length & 1)) as usize];
                    read_exactly(&mut reader, &mut bytes, name, "the ds64 chunk")?;
                    let field = [bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]];
                    data_length_64 = Some(u64::from_le_bytes(field));
                }
                _ => {
                    let padded = length + (length & 1);
                    skipped += padded;
                    if skipped > MAX_SKIPPED {
                        return Err(damaged("more than 64 MiB stand before its data"));
                    }
                    let got = std::io::copy(&mut (&mut reader).take(padded), &mut std::io::sink())
                        .map_err(|source| AudioError::Read { name: name.to_string(), cause: source })?;
                    if got < padded {
                        return Err(damaged("it ends before its data chunk"));
                    }
                }
            }
        }
    }

    pub(crate) fn rate(&self) -> SampleRate {
        self.rate
    }

    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }

    /// The next samples, mono; as soon as any have arrived. `None` at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<&[f32]>, AudioError> {
        let frame = self.n_channels * self.encoding.bytes();
        // A tenth of a second, so that a live stream is passed on while it runs.
        let block = frame * (self.rate.0 as usize / 10);
        self.mono.clear();
        while self.mono.is_empty() && !self.ended {
            let pending = self.bytes.len();
            let wanted = match self.remaining {
                Some(remaining) => usize::try_from(remaining).unwrap_or(usize::MAX).min(block),
                None => block,
            };
            if wanted == 0 {
                self.ended = true;
                break;
            }
            self.bytes.resize(pending + wanted, 0);
            let got = loop {
                match self.reader.read(&mut self.bytes[pending..]) {
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    result => break result,
                }
            }
            .map_err(|source| AudioError::Read { name: self.name.clone(), cause: source })?;
            self.bytes.truncate(pending + got);
            if got == 0 {
                self.ended = true;
                self.truncated = self.remaining.is_some_and(|remaining| remaining > 0);
            }
            if let Some(remaining) = &mut self.remaining {
                *remaining -= got as u64;
            }
            let whole = self.bytes.len() / frame * frame;
            self.interleaved.clear();
            self.encoding.decode(&self.bytes[..whole], &mut self.interleaved);
            self.mix_down.push(&self.interleaved, self.n_channels, &mut self.mono);
            self.bytes.drain(..whole);
        }
        if self.mono.is_empty() {
            self.mix_down.check(&self.name)?;
        }
        Ok((!self.mono.is_empty()).then_some(self.mono.as_slice()))
    }

    /// Whether channels cancelled each other out.
    pub(crate) fn cancelled(&self) -> bool {
        self.mix_down.cancelled()
    }

    /// How many samples so far were NaN or infinite.
    pub(crate) fn not_numbers(&self) -> u64 {
        self.mix_down.not_numbers()
    }
}

fn parse_format(bytes: &[u8], name: &str) -> Result<(SampleRate, usize, Encoding), AudioError> {
    let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let mut tag = u16_at(0);
    let n_channels = usize::from(u16_at(2));
    let rate = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let block_align = usize::from(u16_at(12));
    let bits = u16_at(14);
    // WAVE_FORMAT_EXTENSIBLE: the real tag is the first field of the sub-format GUID.
    if tag == 0xfffe && bytes.len() >= 26 {
        tag = u16_at(24);
    }
    if n_channels == 0 || n_channels > MAX_CHANNELS {
        return Err(AudioError::Channels { name: name.to_string(), found: n_channels });
    }
    if !SampleRate(rate).is_plausible() {
        return Err(AudioError::Rate { name: name.to_string(), found: rate });
    }
    let encoding = match (tag, bits) {
        (1, 8) => Encoding::Unsigned8,
        (1, 9..=16) => Encoding::Signed16,
        (1, 17..=24) => Encoding::Signed24,
        (1, 25..=32) => Encoding::Signed32,
        (3, 32) => Encoding::Float32,
        (3, 64) => Encoding::Float64,
        (6, 8) => Encoding::ALaw,
        (7, 8) => Encoding::MuLaw,
        (1 | 3, _) => {
            return Err(AudioError::Damaged {
                name: name.to_string(),
                reason: format!("it says {bits} bits a sample; expected 8, 16, 24 or 32, or 64 for float"),
            });
        }
        _ => {
            return Err(AudioError::Unsupported { name: name.to_string(), what: format!("WAV encoding 0x{tag:04x}") });
        }
    };
    if block_align != n_channels * encoding.bytes() {
        return Err(AudioError::Damaged {
            name: name.to_string(),
            reason: format!(
                "it says {block_align} bytes a frame, but {n_channels} channels of {bits} bits need {}",
                n_channels * encoding.bytes()
            ),
        });
    }
    Ok((SampleRate(rate), n_channels, encoding))
}

/// The first bytes behind a data chunk of length 0, if they are samples and not the next chunk.
fn first_of_data(reader: &mut impl Read, name: &str) -> Result<Vec<u8>, AudioError> {
    const OTHERS: [&[u8; 4]; 14] = [
        b"LIST", b"list", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"fact", b"JUNK", b"junk", b"PAD ", b"iXML",
        b"_PMX", b"inst",
    ];
    let mut first = Vec::new();
    reader
        .take(8)
        .read_to_end(&mut first)
        .map_err(|source| AudioError::Read { name: name.to_string(), cause: source })?;
    if OTHERS.iter().any(|id| first.starts_with(*id)) {
        first.clear();
    }
    Ok(first)
}

fn read_exactly(reader: &mut impl Read, buffer: &mut [u8], name: &str, what: &str) -> Result<(), AudioError> {
    reader.read_exact(buffer).map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            AudioError::Damaged { name: name.to_string(), reason: format!("it ends inside {what}") }
        }
        _ => AudioError::Read { name: name.to_string(), cause: source },
    })
}

/// Writes mono 16-bit WAV as a stream.
///
/// The file appears with the first second of sound, or at [`finish`](WavWriter::finish); the header is brought up to date then,
/// and each second afterwards, so that a process that is killed leaves a file that plays. Where the target cannot seek (a pipe, a terminal) the header says "unknown".
pub struct WavWriter {
    target: Target,
    name: String,
    n_samples: u64,
    since_header: usize,
    rate: SampleRate,
}

enum Target {
    File(BufWriter<NewFile>),
    Stream(Box<dyn Write + Send>),
}

impl Target {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Target::File(file) => file.write_all(bytes),
            Target::Stream(stream) => stream.write_all(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Target::File(file) => file.flush(),
            Target::Stream(stream) => stream.flush(),
        }
    }
}

/// The most bytes of audio that a WAV header can state: 32 bits, less the header itself.
const MAX_DATA_BYTES: u64 = 0xffff_ffff - 36;

impl WavWriter {
    /// Creates the file at `path`, or replaces an existing one, where that is asked for.
    ///
    /// # Errors
    /// [`AudioError::Write`], also when there is a file that is to be kept.
    pub fn create(path: &Path, rate: SampleRate, existing: Existing) -> Result<WavWriter, AudioError> {
        let name = path.display().to_string();
        let fail = |cause| AudioError::Write { name: name.clone(), cause: persist::explained(path, cause) };
        // Pipes and terminals can be opened by name too; only a regular file gets its header rewritten.
        let is_stream = path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir());
        let target = match is_stream {
            true => Target::Stream(Box::new(File::options().write(true).open(path).map_err(fail)?)),
            false => Target::File(BufWriter::new(NewFile::begin(path, existing).map_err(fail)?)),
        };
        Self::begin(target, name, rate)
    }

    /// Writes to a stream such as the standard output; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`AudioError::Write`].
    pub fn to_stream(stream: Box<dyn Write + Send>, name: &str, rate: SampleRate) -> Result<WavWriter, AudioError> {
        Self::begin(Target::Stream(stream), name.to_string(), rate)
    }

    fn begin(target: Target, name: String, rate: SampleRate) -> Result<WavWriter, AudioError> {
        let unknown = matches!(target, Target::Stream(_));
        let mut writer = WavWriter { target, name, n_samples: 0, since_header: 0, rate };
        let first = if unknown { stream_header(rate) } else { header(rate, 0) };
        let result = writer.target.write_all(&first).and_then(|()| writer.target.flush());
        result.map_err(|source| writer.error(source))?;
        Ok(writer)
    }

    /// Appends mono samples; what lies outside [-1, 1] is clipped.
    ///
    /// # Errors
    /// [`AudioError::Write`], for instance when the disk is full or the file reaches 4 GiB.
    pub fn write(&mut self, samples: &[f32]) -> Result<(), AudioError> {
        if matches!(self.target, Target::File(_)) && (self.n_samples + samples.len() as u64) * 2 > MAX_DATA_BYTES {
            return Err(self.error(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "a WAV file ends at 4 GiB")));
        }
        self.target.write_all(&pcm16(samples)).map_err(|source| self.error(source))?;
        self.n_samples += samples.len() as u64;
        self.since_header += samples.len();
        if self.since_header >= self.rate.0 as usize {
            self.update_header()?;
        }
        Ok(())
    }

    /// How many samples have been written.
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }

    /// Updates the header and flushes everything to the file.
    ///
    /// # Errors
    /// [`AudioError::Write`].
    pub fn finish(mut self) -> Result<(), AudioError> {
        self.update_header()?;
        match &mut self.target {
            Target::File(file) => file.get_mut().settle().map_err(|source| self.error(source)),
            Target::Stream(_) => Ok(()),
        }
    }

    fn update_header(&mut self) -> Result<(), AudioError> {
        self.since_header = 0;
        let length = (self.n_samples * 2) as u32;
        let rate = self.rate;
        let update = |file: &mut BufWriter<NewFile>| -> std::io::Result<()> {
            // The samples go first: a header that promises more than there is would be worse than one that is late.
            file.flush()?;
            let mut raw = file.get_ref().file()?;
            raw.seek(SeekFrom::Start(0))?;
            raw.write_all(&header(rate, length))?;
            raw.seek(SeekFrom::End(0))?;
            if length > 0 { file.get_mut().settle() } else { Ok(()) }
        };
        let result = match &mut self.target {
            Target::Stream(stream) => stream.flush(),
            Target::File(file) => update(file),
        };
        result.map_err(|source| self.error(source))
    }

    fn error(&self, cause: std::io::Error) -> AudioError {
        AudioError::Write { name: self.name.clone(), cause: persist::explained(Path::new(&self.name), cause) }
    }
}

impl Drop for WavWriter {
    fn drop(&mut self) {
        // An error cannot be reported here; `finish` reports it.
        let _ = self.update_header();
    }
}

/// Samples of [-1, 1] as a WAV file holds them: 16 bit, little-endian; what lies outside is clipped.
pub fn pcm16(samples: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(samples.len() * 2);
    bytes.extend(samples.iter().flat_map(|&s| to_i16(s).to_le_bytes()));
    bytes
}

/// The header of a WAV stream whose length is not known: mono, 16 bit.
pub fn stream_header(rate: SampleRate) -> [u8; 44] {
    header(rate, u32::MAX)
}

pub(crate) fn to_i16(sample: f32) -> i16 {
    // `as` saturates, and turns NaN into 0.
    (sample * 32_768.0).round() as i16
}

fn header(rate: SampleRate, data_bytes: u32) -> [u8; 44] {
    let mut header = [0u8; 44];
    header[0..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&data_bytes.saturating_add(36).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16u32.to_le_bytes());
    header[20..22].copy_from_slice(&1u16.to_le_bytes()); // PCM
    header[22..24].copy_from_slice(&1u16.to_le_bytes()); // mono
    header[24..28].copy_from_slice(&rate.0.to_le_bytes());
    header[28..32].copy_from_slice(&(rate.0 * 2).to_le_bytes()); // bytes a second
    header[32..34].copy_from_slice(&2u16.to_le_bytes()); // bytes a frame
    header[34..36].copy_from_slice(&16u16.to_le_bytes()); // bits a sample
    header[36..40].copy_from_slice(b"data");
    header[40..44].copy_from_slice(&data_bytes.to_le_bytes());
    header
}

/// Writes a whole clip as mono 16-bit WAV. An existing file is replaced atomically.
///
/// # Errors
/// [`AudioError::Write`]; the existing file is then untouched.
pub fn write_wav(path: &Path, clip: &Clip) -> Result<(), AudioError> {
    let mut writer = WavWriter::create(path, clip.rate, Existing::Replace)?;
    writer.write(&clip.samples)?;
    writer.finish()
}
