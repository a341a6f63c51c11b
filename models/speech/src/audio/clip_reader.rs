//! Audio files as blocks of mono samples, for files too long for memory and for live pipes.

use super::{AudioError, MAX_CHANNELS, MixDown, Resampler, SampleRate, WavStream, is_wav};
use nearfield_base::files;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AC3, CODEC_ID_ALAC, CODEC_ID_DCA, CODEC_ID_EAC3, CODEC_ID_MONKEYS_AUDIO, CODEC_ID_OPUS, CODEC_ID_SPEEX,
    CODEC_ID_TTA, CODEC_ID_WAVPACK, CODEC_ID_WMA,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

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
        let begin = || files::open(path).map_err(|source| AudioError::Open { name: name.clone(), cause: source });
        let mut file = begin()?;
        let head = read_head(&mut file, &name)?;
        if file.seek(SeekFrom::Start(0)).is_err() {
            return Self::begin_stream(&head, name, Cursor::new(head.clone()).chain(file));
        }
        if is_wav(&head) {
            return Self::begin_stream(&head, name, file);
        }
        Self::begin_file(&head, name.clone(), Box::new(file), || Ok(Box::new(ReadOnlySource::new(begin()?))))
    }

    /// As [`open`](Self::open), from a stream of bytes; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_reader(mut reader: impl Read + Send + Sync + 'static, name: &str) -> Result<ClipReader, AudioError> {
        let head = read_head(&mut reader, name)?;
        Self::begin_stream(&head, name.to_string(), Cursor::new(head.clone()).chain(reader))
    }

    /// As [`open`](Self::open), of a whole file in memory; MP4 and Matroska are looked through in any order.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static, name: &str) -> Result<ClipReader, AudioError> {
        let head = read_head(&mut bytes.as_ref(), name)?;
        let bytes = Cursor::new(Shared(Arc::new(bytes)));
        if is_wav(&head) {
            return Self::begin_stream(&head, name.to_string(), bytes);
        }
        let again = bytes.clone();
        Self::begin_file(&head, name.to_string(), Box::new(bytes), || Ok(Box::new(ReadOnlySource::new(again))))
    }

    fn begin_stream(
        head: &[u8],
        name: String,
        reader: impl Read + Send + Sync + 'static,
    ) -> Result<ClipReader, AudioError> {
        let (rate, source) = if is_wav(head) {
            let boxed: Box<dyn Read + Send + Sync> = Box::new(reader);
            let wav = WavStream::open(boxed, &name)?;
            (wav.rate(), Source::Wav(Box::new(wav)))
        } else {
            let coded = Coded::open(Box::new(ReadOnlySource::new(reader)), &name, head)?;
            (coded.rate, Source::Coded(Box::new(coded)))
        };
        Ok(ClipReader { name, rate, source })
    }

    /// A file that can be looked through in any order. One that is cut short misses what stands at its end, or says that its sound goes on
    /// behind it: it is read from its beginning then, as a stream of it would be.
    fn begin_file(
        head: &[u8],
        name: String,
        media: Box<dyn MediaSource>,
        again: impl FnOnce() -> Result<Box<dyn MediaSource>, AudioError>,
    ) -> Result<ClipReader, AudioError> {
        let opened = Coded::open(media, &name, head).and_then(|coded| coded.with_first(&name));
        let coded = match opened {
            Err(error @ (AudioError::NotAudio { .. } | AudioError::Damaged { .. })) => {
                let streamed = Coded::open(again()?, &name, head).and_then(|coded| coded.with_first(&name));
                Coded { truncated: true, ..streamed.map_err(|_| error)? }
            }
            opened => opened?,
        };
        Ok(ClipReader { name, rate: coded.rate, source: Source::Coded(Box::new(coded)) })
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
            Source::Coded(coded) => coded.mix_down.not_numbers(),
        }
    }

    /// Whether channels cancelled each other out, so that one of them was taken for the sound.
    pub fn channels_cancelled(&self) -> bool {
        match &self.source {
            Source::Wav(wav) => wav.cancelled(),
            Source::Coded(coded) => coded.mix_down.cancelled(),
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
    if head.starts_with(MATROSKA) {
        // Up to the size of its one segment.
        let more = reader.take(MATROSKA_HEAD).read_to_end(&mut head);
        more.map_err(|source| AudioError::Read { name: name.to_string(), cause: source })?;
    }
    Ok(head)
}

/// How WebM and Matroska begin.
const MATROSKA: &[u8] = b"\x1a\x45\xdf\xa3";
/// More streams are not joined in an Ogg file.
const MOST_LINKS: u32 = 10_000;
/// So much of one is read to know whether its length is.
const MATROSKA_HEAD: u64 = 256;

/// Whether it is WebM or Matroska of unknown length, as it is written to a pipe or by a browser while it records: its end is where it ends.
fn is_live(head: &[u8]) -> bool {
    /// The element that holds all others, and its size, which is of ones only where it is not known.
    const SEGMENT: &[u8] = b"\x18\x53\x80\x67";
    let size = head.windows(4).position(|id| id == SEGMENT).map(|at| &head[at + 4..]);
    head.starts_with(MATROSKA)
        && size.is_some_and(|size| {
            let length = size.first().map_or(8, |first| first.leading_zeros() as usize);
            match size.get(..=length.min(7)) {
                Some([first, rest @ ..]) => {
                    u16::from(*first) == 0xff >> length && rest.iter().all(|byte| *byte == 0xff)
                }
                _ => false,
            }
        })
}

/// Bytes that several readers have.
struct Shared<T>(Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Shared<T> {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// What Symphonia demuxes and decodes.
struct Coded {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    rate: SampleRate,
    /// MP3, and version, rate and whether it is mono by the last frame's header: a decoder keeps to those of its first frame.
    is_mp3: bool,
    shape: Option<(u8, u8, bool)>,
    /// How many streams came after the first, of those that are joined in an Ogg file.
    n_links: u32,
    /// The first packet, where it was read already.
    first: Option<Packet>,
    announced_frames: Option<u64>,
    /// In MP3: where the file ends by its header. What was appended to it is sound as well.
    appended_from: Option<Timestamp>,
    /// Its length is not known before its end.
    is_live: bool,
    mix_down: MixDown,
    n_undecodable: u64,
    truncated: bool,
    interleaved: Vec<f32>,
    /// What follows at another rate is brought to the first one.
    other_rate: Option<(u32, Resampler)>,
    at_other_rate: Vec<f32>,
    mono: Vec<f32>,
    is_over: bool,
}

impl Coded {
    fn open(media: Box<dyn MediaSource>, name: &str, head: &[u8]) -> Result<Coded, AudioError> {
        let not_audio = || match kind_of(head) {
            Some(kind) => {
                let reason = format!("it is {kind}, but cut short or damaged where its sound is described");
                AudioError::Damaged { name: name.to_string(), reason }
            }
            None => AudioError::NotAudio { name: name.to_string(), found: describe(head) },
        };
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
        let track = format.default_track(TrackType::Audio);
        let track = track.ok_or_else(|| AudioError::NotAudio { name: name.to_string(), found: describe(head) })?;
        let (track_id, announced_frames) = (track.id, track.num_frames);
        let is_mp3 = format.format_info().short_name == "mp3";
        let appended_from = announced_frames.filter(|_| is_mp3).and_then(|frames| {
            Timestamp::ZERO.checked_add(Duration::from(frames + u64::from(track.padding.unwrap_or(0))))
        });
        let (decoder, rate) = decoder_of(track, name)?;
        let rate = rate.ok_or_else(|| AudioError::Rate { name: name.to_string(), found: 0 })?;
        if !rate.is_plausible() {
            return Err(AudioError::Rate { name: name.to_string(), found: rate.0 });
        }
        Ok(Coded {
            format,
            decoder,
            track_id,
            rate,
            is_mp3,
            shape: None,
            n_links: 0,
            first: None,
            announced_frames,
            appended_from,
            is_live: is_live(head),
            mix_down: MixDown::default(),
            n_undecodable: 0,
            truncated: false,
            interleaved: Vec::new(),
            other_rate: None,
            at_other_rate: Vec::new(),
            mono: Vec::new(),
            is_over: false,
        })
    }

    /// Reads the first packet ahead: some files show only then that they are cut short.
    fn with_first(mut self, name: &str) -> Result<Coded, AudioError> {
        match self.format.next_packet() {
            Ok(packet) => self.first = packet,
            // What the end of the file costs is seen when it is read.
            Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {}
            Err(SymphoniaError::ResetRequired) => self.next_link(name)?,
            Err(SymphoniaError::IoError(source)) => {
                return Err(AudioError::Read { name: name.to_string(), cause: source });
            }
            Err(e) => return Err(AudioError::Damaged { name: name.to_string(), reason: e.to_string() }),
        }
        Ok(self)
    }

    /// Another stream follows in the same file, as in Ogg files that were joined.
    fn next_link(&mut self, name: &str) -> Result<(), AudioError> {
        self.n_links += 1;
        if self.n_links > MOST_LINKS {
            let reason = format!("more than {MOST_LINKS} streams are joined in it");
            return Err(AudioError::Damaged { name: name.to_string(), reason });
        }
        let Some(track) = self.format.default_track(TrackType::Audio) else {
            let what = "in a later part an encoding that is not known".to_string();
            return Err(AudioError::Unsupported { name: name.to_string(), what });
        };
        self.track_id = track.id;
        self.announced_frames = None;
        (self.decoder, _) = decoder_of(track, name)?;
        Ok(())
    }

    fn next_block(&mut self, name: &str) -> Result<Option<&[f32]>, AudioError> {
        self.mono.clear();
        while self.mono.is_empty() && !self.is_over {
            let packet = match self.first.take().map_or_else(|| self.format.next_packet(), |packet| Ok(Some(packet))) {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.end(name),
                Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    self.truncated |= !self.is_live;
                    return self.end(name);
                }
                Err(SymphoniaError::ResetRequired) => match self.next_link(name) {
                    // What follows can't be decoded; what came before is kept.
                    Err(_) if self.mix_down.samples() > 0 => {
                        self.truncated = true;
                        return self.end(name);
                    }
                    linked => {
                        linked?;
                        continue;
                    }
                },
                Err(SymphoniaError::IoError(source)) => {
                    return Err(AudioError::Read { name: name.to_string(), cause: source });
                }
                // A file that was known to be cut short ends here.
                Err(_) if self.truncated && self.mix_down.samples() > 0 => return self.end(name),
                Err(e) => {
                    return Err(AudioError::Damaged { name: name.to_string(), reason: e.to_string() });
                }
            };
            if packet.track_id != self.track_id {
                continue;
            }
            self.decode(packet, name)?;
        }
        Ok((!self.mono.is_empty()).then_some(self.mono.as_slice()))
    }

    /// Decodes a packet and appends its sound to `mono`.
    fn decode(&mut self, mut packet: Packet, name: &str) -> Result<(), AudioError> {
        if self.appended_from.is_some_and(|end| packet.pts >= end) {
            packet.trim_end = Duration::ZERO;
        }
        if self.is_mp3 {
            self.keep_to_shape(&packet, name)?;
        }
        let buffer = match self.decoder.decode(&packet) {
            Ok(buffer) => buffer,
            // One bad packet costs its few milliseconds, as in any player; a file of nothing else is refused at the end.
            Err(SymphoniaError::DecodeError(_) | SymphoniaError::IoError(_)) => {
                self.n_undecodable += 1;
                return Ok(());
            }
            Err(e) => return Err(AudioError::Damaged { name: name.to_string(), reason: e.to_string() }),
        };
        let (rate, n_channels) = (buffer.spec().rate(), buffer.spec().channels().count());
        if n_channels == 0 || n_channels > MAX_CHANNELS {
            return Err(AudioError::Channels { name: name.to_string(), found: n_channels });
        }
        buffer.copy_to_vec_interleaved(&mut self.interleaved);
        if self.other_rate.as_ref().map_or(self.rate.0, |(rate, _)| *rate) != rate {
            self.change_rate(rate, name)?;
        }
        match &mut self.other_rate {
            None => self.mix_down.push(&self.interleaved, n_channels, &mut self.mono),
            Some((_, resampler)) => {
                self.at_other_rate.clear();
                self.mix_down.push(&self.interleaved, n_channels, &mut self.at_other_rate);
                resampler.push(&self.at_other_rate, &mut |s| self.mono.extend_from_slice(s));
            }
        }
        Ok(())
    }

    /// Makes a new decoder where an MP3 goes on at another rate or with another number of channels.
    fn keep_to_shape(&mut self, packet: &Packet, name: &str) -> Result<(), AudioError> {
        let &[_, version, rate, mode, ..] = &*packet.data else { return Ok(()) };
        let shape = (version & 0x18, rate & 0x0c, mode >> 6 == 3);
        if self.shape.replace(shape).is_some_and(|before| before != shape) {
            let parameters = self.decoder.codec_params().clone();
            let decoder = codecs().make_audio_decoder(&parameters, &AudioDecoderOptions::default());
            self.decoder =
                decoder.map_err(|e| AudioError::Damaged { name: name.to_string(), reason: e.to_string() })?;
        }
        Ok(())
    }

    fn change_rate(&mut self, rate: u32, name: &str) -> Result<(), AudioError> {
        if !SampleRate(rate).is_plausible() {
            return Err(AudioError::Rate { name: name.to_string(), found: rate });
        }
        self.finish_other_rate();
        if rate != self.rate.0 {
            self.other_rate = Some((rate, Resampler::new(SampleRate(rate), self.rate)?));
        }
        Ok(())
    }

    fn finish_other_rate(&mut self) {
        if let Some((_, mut resampler)) = self.other_rate.take() {
            resampler.finish(&mut |s| self.mono.extend_from_slice(s));
        }
    }

    fn end(&mut self, name: &str) -> Result<Option<&[f32]>, AudioError> {
        self.is_over = true;
        self.mix_down.check(name)?;
        if self.mix_down.samples() == 0 && self.n_undecodable > 0 {
            let reason = format!("none of its {} packets could be decoded", self.n_undecodable);
            return Err(AudioError::Damaged { name: name.to_string(), reason });
        }
        // Encoder padding is cut off at both ends, by less than four MP3 frames (4 * 1152).
        self.truncated |= self.announced_frames.is_some_and(|announced| self.mix_down.samples() + 4608 < announced);
        self.finish_other_rate();
        Ok((!self.mono.is_empty()).then_some(self.mono.as_slice()))
    }
}

/// The decoder of a track, and the rate that it says it has.
fn decoder_of(track: &Track, name: &str) -> Result<(Box<dyn AudioDecoder>, Option<SampleRate>), AudioError> {
    let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| AudioError::Unsupported {
        name: name.to_string(),
        what: "an encoding that its header does not name".to_string(),
    })?;
    if let Some(found) = parameters.channels.as_ref().map(|c| c.count()).filter(|&c| c == 0 || c > MAX_CHANNELS) {
        return Err(AudioError::Channels { name: name.to_string(), found });
    }
    let decoder = codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default()).map_err(|e| {
        let what = match encoding_name(parameters.codec) {
            Some(encoding) => encoding.to_string(),
            None => e.to_string(),
        };
        AudioError::Unsupported { name: name.to_string(), what }
    })?;
    Ok((decoder, parameters.sample_rate.map(SampleRate)))
}

/// What people call an encoding that Nearfield does not read.
fn encoding_name(codec: AudioCodecId) -> Option<&'static str> {
    let known = [
        (CODEC_ID_ALAC, "Apple Lossless (ALAC)"),
        (CODEC_ID_AC3, "Dolby Digital (AC-3)"),
        (CODEC_ID_EAC3, "Dolby Digital Plus (E-AC-3)"),
        (CODEC_ID_DCA, "DTS"),
        (CODEC_ID_WMA, "Windows Media Audio"),
        (CODEC_ID_WAVPACK, "WavPack"),
        (CODEC_ID_MONKEYS_AUDIO, "Monkey's Audio"),
        (CODEC_ID_TTA, "True Audio"),
        (CODEC_ID_SPEEX, "Speex"),
        (CODEC_ID_OPUS, "Opus, which this build leaves out"),
    ];
    known.into_iter().find(|(id, _)| *id == codec).map(|(_, name)| name)
}

/// The kind of sound file that begins so, of those that say it at once.
fn kind_of(head: &[u8]) -> Option<&'static str> {
    let form = head.get(8..12).unwrap_or_default();
    match head {
        _ if head.starts_with(MATROSKA) => Some("a WebM or Matroska file"),
        _ if head.starts_with(b"FORM") && (form == b"AIFF" || form == b"AIFC") => Some("an AIFF file"),
        _ if head.starts_with(b"OggS") => Some("an Ogg file"),
        _ if head.starts_with(b"fLaC") => Some("a FLAC file"),
        _ if head.get(4..8) == Some(b"ftyp") && !is_picture(head) => Some("an MP4 or M4A file"),
        _ => None,
    }
}

/// Whether it is a picture in MP4's container, as telephones take them.
fn is_picture(head: &[u8]) -> bool {
    let brand = head.get(8..12).unwrap_or_default();
    head.get(4..8) == Some(b"ftyp") && [b"heic", b"heix", b"mif1", b"avif"].iter().any(|picture| brand == *picture)
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
    if is_picture(head) {
        return "it is a HEIC or AVIF picture".to_string();
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
