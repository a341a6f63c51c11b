//! Speech in the format that a client asks for, block by block as it is made. FLAC and Opus are encoded here; MP3 and AAC by ffmpeg,
//! which is a process of its own (docs/decisions/0027-sound-formats.md).

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;

use hyper::body::Bytes;
use nearfield_base::child::spawn_in_own_group;
use nearfield_speech::audio::{SampleRate, pcm16, stream_header};
use nearfield_speech::encode::SoundEncoder;
use tokio::sync::mpsc::Sender;

use super::failure::Failure;

/// The rate of `pcm`, as OpenAI has it.
const PCM: SampleRate = SampleRate(24_000);
/// Bytes that are read from ffmpeg at a time.
const READ_BYTES: usize = 4096;
/// The most bytes of ffmpeg's complaint that are told.
const COMPLAINT_BYTES: u64 = 300;

/// A format of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With a head that leaves the length open.
    Wav,
    /// 16 bit at 24 kHz, without a head.
    Pcm,
    /// Without loss.
    Flac,
    /// In Ogg pages.
    Opus,
    /// By ffmpeg.
    Mp3,
    /// In ADTS frames, by ffmpeg.
    Aac,
}

impl Format {
    /// The format of this name. Without one it is WAV, where OpenAI sends MP3: a player that is told what it gets plays both.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn named(name: Option<&str>) -> Result<Self, Failure> {
        Ok(match name {
            None | Some("wav") => Self::Wav,
            Some("pcm") => Self::Pcm,
            Some("flac") => Self::Flac,
            Some("opus") => Self::Opus,
            Some("mp3") => Self::Mp3,
            Some("aac") => Self::Aac,
            Some(_) => return Err(Failure::of("response_format", "must be wav, mp3, opus, flac, aac or pcm")),
        })
    }

    /// What HTTP calls it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
            Self::Flac => "audio/flac",
            Self::Opus => "audio/ogg",
            Self::Mp3 => "audio/mpeg",
            Self::Aac => "audio/aac",
        }
    }

    /// The rate of the samples that its encoder takes from a voice of rate `own`.
    pub fn rate(self, own: SampleRate) -> SampleRate {
        match self {
            Self::Pcm => PCM,
            Self::Opus => SampleRate(24_000),
            Self::Wav | Self::Flac | Self::Mp3 | Self::Aac => own,
        }
    }
}

/// Where encoded sound goes: to a client, who may have left.
pub type Blocks = Sender<Result<Bytes, Failure>>;

/// Encodes samples and sends what comes of them.
pub struct SoundWriter {
    blocks: Blocks,
    encoder: Encoder,
}

enum Encoder {
    /// Samples as they are, behind a head if there is one.
    Plain(Option<Vec<u8>>),
    Own(Box<dyn SoundEncoder>),
    Ffmpeg(Ffmpeg),
}

impl SoundWriter {
    /// Begins a stream of samples at [`Format::rate`].
    ///
    /// # Errors
    /// The encoder is not to be had.
    pub fn new(format: Format, rate: SampleRate, blocks: Blocks) -> Result<Self, Failure> {
        let encoder = match format {
            Format::Wav => Encoder::Plain(Some(stream_header(rate).to_vec())),
            Format::Pcm => Encoder::Plain(None),
            Format::Flac => {
                Encoder::Own(Box::new(nearfield_speech::encode::FlacEncoder::new(rate).map_err(Failure::broken)?))
            }
            #[cfg(feature = "opus")]
            Format::Opus => {
                Encoder::Own(Box::new(nearfield_speech::encode::OpusEncoder::new().map_err(Failure::broken)?))
            }
            #[cfg(not(feature = "opus"))]
            Format::Opus => {
                return Err(Failure::of(
                    "response_format",
                    "this build has no opus (feature `opus`): ask for wav, flac or pcm",
                ));
            }
            Format::Mp3 => Encoder::Ffmpeg(Ffmpeg::start(
                "mp3",
                &["-f", "mp3", "-b:a", "64k", "-write_xing", "0", "-id3v2_version", "0"],
                rate,
                &blocks,
            )?),
            Format::Aac => {
                Encoder::Ffmpeg(Ffmpeg::start("aac", &["-f", "adts", "-c:a", "aac", "-b:a", "64k"], rate, &blocks)?)
            }
        };
        Ok(Self { blocks, encoder })
    }

    fn send(&self, block: Vec<u8>) -> ControlFlow<()> {
        match block.is_empty() || self.blocks.blocking_send(Ok(block.into())).is_ok() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    /// Takes samples; [`Break`](ControlFlow::Break) when the client has left.
    ///
    /// # Errors
    /// The encoder failed.
    pub fn push(&mut self, samples: &[f32]) -> Result<ControlFlow<()>, Failure> {
        let mut block = Vec::new();
        match &mut self.encoder {
            Encoder::Plain(head) => {
                block = head.take().unwrap_or_default();
                block.extend(pcm16(samples));
            }
            Encoder::Own(encoder) => encoder.push(samples, &mut block).map_err(Failure::broken)?,
            Encoder::Ffmpeg(ffmpeg) => {
                if self.blocks.is_closed() {
                    return Ok(ControlFlow::Break(()));
                }
                ffmpeg.write(&pcm16(samples))?;
            }
        }
        Ok(self.send(block))
    }

    /// Sends the rest.
    ///
    /// # Errors
    /// The encoder failed.
    pub fn finish(mut self) -> Result<(), Failure> {
        let mut block = Vec::new();
        match &mut self.encoder {
            Encoder::Plain(head) => block = head.take().unwrap_or_default(),
            Encoder::Own(encoder) => encoder.finish(&mut block).map_err(Failure::broken)?,
            Encoder::Ffmpeg(ffmpeg) => ffmpeg.finish()?,
        }
        let _ = self.send(block);
        Ok(())
    }
}

/// An ffmpeg that encodes. Its output goes to the client from a thread of its own; one that has left closes the pipe, which ends it.
struct Ffmpeg {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<JoinHandle<()>>,
    format: &'static str,
}

impl Ffmpeg {
    fn start(format: &'static str, encoding: &[&str], rate: SampleRate, blocks: &Blocks) -> Result<Self, Failure> {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-f", "s16le", "-ar", &rate.0.to_string()]);
        command.args(["-ac", "1", "-i", "pipe:0", "-flush_packets", "1"]).args(encoding).arg("pipe:1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn_in_own_group(&mut command).map_err(|error| {
            let message = format!("{format} is encoded by the program ffmpeg, which can't be started ({error}): install it, or ask for wav, flac, opus or pcm");
            Failure::of("response_format", message)
        })?;
        let (input, stdout) = (child.stdin.take(), child.stdout.take());
        let blocks = blocks.clone();
        let output = std::thread::Builder::new().name("encoded".to_owned()).spawn(move || {
            let (Some(mut stdout), mut buffer) = (stdout, vec![0; READ_BYTES]) else { return };
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                if blocks.blocking_send(Ok(Bytes::copy_from_slice(&buffer[..n]))).is_err() {
                    return;
                }
            }
        });
        let output = Some(output.map_err(Failure::broken)?);
        Ok(Self { child, input, output, format })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.input.as_mut().map_or(Ok(()), |input| input.write_all(bytes));
        written.map_err(|_| self.complaint())
    }

    /// What it has to say before it ended.
    fn complaint(&mut self) -> Failure {
        let mut said = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(COMPLAINT_BYTES).read_to_string(&mut said);
        }
        Failure::broken(format!("ffmpeg did not encode {}: {}", self.format, said.trim()))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.input = None;
        if let Some(output) = self.output.take() {
            let _ = output.join();
        }
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.complaint()),
        }
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
