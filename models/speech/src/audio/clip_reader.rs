//! Audio files as blocks of mono samples, for files too long for memory and for live pipes.

use super::{AudioError, MAX_CHANNELS, MixDown, SampleRate, WavStream, is_wav};
use nearfield_base::files;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::LazyLock;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;

/// An audio file being read, block by block, in bounded memory.
pub struct ClipReader {
    name: String,
    rate: SampleRate,
    source: Source,
}

enum Source {
    Wav(Box<WavStream<Box<dyn Read + Send + Sync>>>),
    Coded(Box<Coded>),
}

impl ClipReader {
    /// Opens an audio file: WAV, AIFF, FLAC, MP3, AAC (also in MP4), Vorbis and Opus (in Ogg, WebM and Matroska), recognized by content, not by
    /// name. Opus needs the feature `opus`.
    ///
    /// # Errors
    /// [`AudioError`] where the file cannot be opened, is empty or is not audio.
    pub fn open(path: &Path) -> Result<ClipReader, AudioError> {
        let name = path.display().to_string();
        let mut file = files::open(path).map_err(|source| AudioError::Open { name: name.clone(), cause: source })?;
        let head = read_head(&mut file, &name)?;
        if file.seek(SeekFrom::Start(0)).is_ok() {
            Self::begin(&head, name, file, |file| Box::new(file))
        } else {
            let chained = Cursor::new(head.clone()).chain(file);
            Self::begin(&head, name, chained, |chained| Box::new(ReadOnlySource::new(chained)))
        }
    }

    /// As [`open`](Self::open), from a stream of bytes; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_reader(mut reader: impl Read + Send + Sync + 'static, name: &str) -> Result<ClipReader, AudioError> {
        let head = read_head(&mut reader, name)?;
        let chained = Cursor::new(head.clone()).chain(reader);
        Self::begin(&head, name.to_string(), chained, |chained| Box::new(ReadOnlySource::new(chained)))
    }

    /// As [`open`](Self::open), of a whole file in memory; MP4 and Matroska are looked through in any order.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static, name: &str) -> Result<ClipReader, AudioError> {
        let head = read_head(&mut bytes.as_ref(), name)?;
        Self::begin(&head, name.to_string(), Cursor::new(bytes), |cursor| Box::new(cursor))
    }

    fn begin<R: Read + Send + Sync + 'static>(
        head: &[u8],
        name: String,
        reader: R,
        media: impl FnOnce(R) -> Box<dyn MediaSource>,
    ) -> Result<ClipReader, AudioError> {
        let (rate, source) = if is_wav(head) {
            let boxed: Box<dyn Read + Send + Sync> = Box::new(reader);
            let wav = WavStream::open(boxed, &name)?;
            (wav.rate(), Source::Wav(Box::new(wav)))
        } else {
            let coded = Coded::open(media(reader), &name, head)?;
            (coded.rate, Source::Coded(Box::new(coded)))
        };
        Ok(ClipReader { name, rate, source })
    }

    /// The file's own rate; blocks come at this rate.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// The file's name, as it stands in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the file ended before its header said. Known once [`next_block`](Self::next_block) gave `None`.
    pub fn truncated(&self) -> bool {
        match &self.source {
            Source::Wav(wav) => wav.truncated(),
            Source::Coded(coded) => coded.truncated,
        }
    }

    /// How many samples so far were NaN or infinite and were replaced by silence. A file of nothing else is an error at its end.
    pub fn not_numbers(&self) -> u64 {
        match &self.source {
            Source::Wav(wav) => wav.not_numbers(),
            Source::Coded(coded) => coded.mix_down.not_numbers,
        }
    }

    /// The next block: mono, [-1, 1], at [`rate`](Self::rate), of any length above 0. `None` at the end.
    ///
    /// # Errors
    /// [`AudioError`] where reading breaks off or the file contradicts itself.
    pub fn next_block(&mut self) -> Result<Option<&[f32]>, AudioError> {
        match &mut self.source {
            Source::Wav(wav) => wav.next_block(),
            Source::Coded(coded) => coded.next_block(&self.name),
        }
    }
}

/// The first bytes, enough to tell the kinds of files apart; fewer where there are fewer.
fn read_head(reader: &mut impl Read, name: &str) -> Result<Vec<u8>, AudioError> {
    let mut head = Vec::new();
    reader
        .take(16)
        .read_to_end(&mut head)
        .map_err(|source| AudioError::Read { name: name.to_string(), cause: source })?;
    if head.is_empty() {
        return Err(AudioError::Empty { name: name.to_string() });
    }
    Ok(head)
}

/// What Symphonia demuxes and decodes.
struct Coded {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    rate: SampleRate,
    announced_frames: Option<u64>,
    mix_down: MixDown,
    n_undecodable: u64,
    truncated: bool,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
}

impl Coded {
    fn open(media: Box<dyn MediaSource>, name: &str, head: &[u8]) -> Result<Coded, AudioError> {
        let not_audio = || AudioError::NotAudio { name: name.to_string(), found: describe(head) };
        let stream = MediaSourceStream::new(media, Default::default());
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|e| match e {
                SymphoniaError::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
                    AudioError::Read { name: name.to_string(), cause: source }
                }
                SymphoniaError::DecodeError(reason) => {
                    AudioError::Damaged { name: name.to_string(), reason: reason.to_string() }
                }
                _ => not_audio(),
            })?;
        let track = format.default_track(TrackType::Audio).ok_or_else(not_audio)?;
        let track_id = track.id;
        let announced_frames = track.num_frames;
        let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(not_audio)?;
        let rate = parameters.sample_rate.unwrap_or(0);
        if !SampleRate(rate).is_plausible() {
            return Err(AudioError::Rate { name: name.to_string(), found: rate });
        }
        if let Some(found) = parameters.channels.as_ref().map(|c| c.count()).filter(|&c| c == 0 || c > MAX_CHANNELS) {
            return Err(AudioError::Channels { name: name.to_string(), found });
        }
        let decoder = codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())
            .map_err(|e| AudioError::Unsupported { name: name.to_string(), what: e.to_string() })?;
        Ok(Coded {
            format,
            decoder,
            track_id,
            rate: SampleRate(rate),
            announced_frames,
            mix_down: MixDown::default(),
            n_undecodable: 0,
            truncated: false,
            interleaved: Vec::new(),
            mono: Vec::new(),
        })
    }

    fn next_block(&mut self, name: &str) -> Result<Option<&[f32]>, AudioError> {
        self.mono.clear();
        while self.mono.is_empty() {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.end(name),
                Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    self.truncated = true;
                    return self.end(name);
                }
                Err(SymphoniaError::IoError(source)) => {
                    return Err(AudioError::Read { name: name.to_string(), cause: source });
                }
                Err(e) => {
                    return Err(AudioError::Damaged { name: name.to_string(), reason: e.to_string() });
                }
            };
            if packet.track_id != self.track_id {
                continue;
            }
            let buffer = match self.decoder.decode(&packet) {
                Ok(buffer) => buffer,
                // One bad packet costs its few milliseconds, as in any player; a file of nothing else is refused at the end.
                Err(SymphoniaError::DecodeError(_) | SymphoniaError::IoError(_)) => {
                    self.n_undecodable += 1;
                    continue;
                }
                Err(e) => {
                    return Err(AudioError::Damaged { name: name.to_string(), reason: e.to_string() });
                }
            };
            let (rate, n_channels) = (buffer.spec().rate(), buffer.spec().channels().count());
            if rate != self.rate.0 {
                let reason = format!("its rate changes from {} to {rate} Hz on the way", self.rate.0);
                return Err(AudioError::Damaged { name: name.to_string(), reason });
            }
            if n_channels == 0 || n_channels > MAX_CHANNELS {
                return Err(AudioError::Channels { name: name.to_string(), found: n_channels });
            }
            buffer.copy_to_vec_interleaved(&mut self.interleaved);
            self.mix_down.push(&self.interleaved, n_channels, &mut self.mono);
        }
        Ok(Some(&self.mono))
    }

    fn end(&mut self, name: &str) -> Result<Option<&[f32]>, AudioError> {
        self.mix_down.check(name)?;
        if self.mix_down.samples == 0 && self.n_undecodable > 0 {
            let reason = format!("none of its {} packets could be decoded", self.n_undecodable);
            return Err(AudioError::Damaged { name: name.to_string(), reason });
        }
        // Encoder padding is cut off at both ends, by less than four MP3 frames (4 * 1152).
        self.truncated |= self.announced_frames.is_some_and(|announced| self.mix_down.samples + 4608 < announced);
        Ok(None)
    }
}

/// The decoders.
fn codecs() -> &'static CodecRegistry {
    static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
        let mut codecs = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut codecs);
        #[cfg(feature = "opus")]
        codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
        codecs
    });
    &CODECS
}

/// Names the kind of a file that was passed by mistake.
fn describe(head: &[u8]) -> String {
    let known: [(&[u8], &str); 9] = [
        (b"GGUF", "it is a GGUF model"),
        (b"lmgg", "it is a ggml model"),
        (b"\x7fELF", "it is a program"),
        (b"\x89PNG", "it is a PNG picture"),
        (b"\xff\xd8\xff", "it is a JPEG picture"),
        (b"PK\x03\x04", "it is a ZIP archive"),
        (b"%PDF", "it is a PDF document"),
        (b"RIFF", "it is a RIFF file, but not WAVE"),
        (b"{", "it looks like JSON"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (*what).to_string();
    }
    if head.get(4..8) == Some(b"ftyp") {
        return "it is an MP4 or M4A file without sound that can be read".to_string();
    }
    if head.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        return "it looks like text".to_string();
    }
    let bytes: Vec<String> = head.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("it begins with the bytes {}", bytes.join(" "))
}
