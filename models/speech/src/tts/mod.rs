//! Text to speech: a [`Voice`] speaks a clause or a sentence into a sink, block by block.
//!
//! espeak-ng and flite are separate programs (so that espeak-ng's GPL stays outside), Piper voices are ONNX models that
//! run here and take their phonemes from espeak-ng. All of them are given text that a [`Normalizer`] has written out. Splitting a reply
//! into clauses is the caller's work.

mod espeak;
mod flite;
mod normalize;
mod piper;
mod process;
mod silence;

pub use espeak::Espeak;
pub use flite::Flite;
pub use normalize::Normalizer;
pub use piper::{Piper, PiperConfig};

use crate::audio::SampleRate;
use serde::{Deserialize, Serialize};
use silence::Trim;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// A text-to-speech engine with its voice.
pub trait Voice: Send {
    /// Engine and voice, such as `espeak-ng en-us`.
    fn name(&self) -> &str;

    /// The rate of the samples given to the sink.
    fn sample_rate(&self) -> SampleRate;

    /// Speaks `text`: gives `sink` blocks of mono samples in [-1, 1] as they are made. Silence before and after the
    /// words is cut off, so the caller decides the pauses. When the sink answers [`ControlFlow::Break`] synthesis ends at once,
    /// without an error. Text without a word gives no block.
    ///
    /// # Errors
    /// [`TtsError`] where the engine is missing, hangs or fails, or the text is too long.
    fn speak(&mut self, text: &str, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<(), TtsError>;
}

/// Which engine speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// espeak-ng where it is installed, else flite.
    #[default]
    Auto,
    /// espeak-ng: small, quick, many languages.
    EspeakNg,
    /// flite: English, softer.
    Flite,
    /// A Piper voice: natural, needs ONNX Runtime and a voice file.
    Piper,
}

/// How to speak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TtsOptions {
    /// "espeak-ng", "flite", "piper", or "auto": espeak-ng, else flite.
    pub engine: Engine,
    /// The engine's name of the voice: en-us, de+f3 (espeak-ng), slt, kal16 (flite), a speaker's number (Piper).
    #[cfg_attr(feature = "schema", schemars(example = &"en-gb"))]
    pub voice: Option<String>,
    /// Words a minute.
    pub words_per_minute: u32,
    /// 50 is the voice's own. Piper voices have no other.
    pub pitch: u32,
    /// For Piper: a name from `nearfield models list`, or an .onnx file with the .onnx.json beside it.
    #[cfg_attr(feature = "schema", schemars(example = &"piper-en_US-lessac-medium"))]
    pub model: Option<PathBuf>,
    /// Threads for Piper.
    pub threads: usize,
    /// Where the halves of a Piper voice are kept, with which it speaks early; without it the voice is used whole.
    #[serde(skip)]
    pub halves: Option<PathBuf>,
    /// An engine that gives no sound for so long is taken to hang, and ended.
    pub stall_ms: u32,
}

impl Default for TtsOptions {
    fn default() -> Self {
        TtsOptions {
            engine: Engine::Auto,
            voice: None,
            words_per_minute: 175,
            pitch: 50,
            model: None,
            threads: 2,
            halves: None,
            stall_ms: 10_000,
        }
    }
}

impl TtsOptions {
    /// Checks ranges.
    ///
    /// # Errors
    /// [`TtsError::Option`] naming the key, its value and what is accepted.
    pub fn check(&self) -> Result<(), TtsError> {
        let wrong =
            |key: &'static str, found: String, expected: &'static str| Err(TtsError::Option { key, found, expected });
        if !(80..=450).contains(&self.words_per_minute) {
            return wrong("words_per_minute", self.words_per_minute.to_string(), "from 80 to 450");
        }
        if self.pitch > 99 {
            return wrong("pitch", self.pitch.to_string(), "from 0 to 99");
        }
        if self.threads > 256 {
            return wrong("threads", self.threads.to_string(), "from 0 to 256");
        }
        if !(100..=600_000).contains(&self.stall_ms) {
            return wrong("stall_ms", self.stall_ms.to_string(), "from 100 to 600000");
        }
        // The name becomes an argument of another program and, there, part of a path.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_+".contains(c);
        if let Some(voice) = &self.voice
            && (voice.is_empty() || voice.len() > 64 || voice.starts_with('-') || !voice.chars().all(plain))
        {
            return wrong("voice", format!("{voice:?}"), "letters, digits, -, _ and +, not beginning with -");
        }
        Ok(())
    }

    fn stall(&self) -> Duration {
        Duration::from_millis(self.stall_ms.into())
    }
}

/// Opens the voice that the options name, and checks that it can speak.
///
/// # Errors
/// [`TtsError`] where the program, the model or the voice is missing, or an option is out of range.
pub fn open_voice(options: &TtsOptions) -> Result<Box<dyn Voice>, TtsError> {
    match options.engine {
        Engine::EspeakNg => Ok(Box::new(Espeak::open(options)?)),
        Engine::Flite => Ok(Box::new(Flite::open(options)?)),
        Engine::Piper => Ok(Box::new(Piper::open(options)?)),
        Engine::Auto => match Espeak::open(options) {
            Ok(voice) => Ok(Box::new(voice)),
            // flite's voices have other names, so the wish for one is dropped with espeak-ng.
            Err(TtsError::MissingProgram { .. }) => match Flite::open(&TtsOptions { voice: None, ..options.clone() }) {
                Ok(voice) => Ok(Box::new(voice)),
                Err(TtsError::MissingProgram { .. }) => Err(TtsError::missing("espeak-ng")),
                Err(e) => Err(e),
            },
            Err(e) => Err(e),
        },
    }
}

/// The longest text that is spoken at once, in bytes: some ten minutes.
pub const LONGEST_TEXT: usize = 16 * 1024;

/// Text as the engines may see it: without control characters (espeak-ng takes 0x01 for a command), and without the
/// `[[` that begins phoneme codes there, and written out: numbers, units and abbreviations as words. `None` where no word is left.
fn speakable(text: &str, normalizer: &Normalizer) -> Result<Option<String>, TtsError> {
    if text.len() > LONGEST_TEXT {
        return Err(TtsError::TooLong { found: text.len() });
    }
    let plain: String = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    let clean = normalizer.normalize(&plain).replace('\n', " ");
    let clean = clean.replace("[[", "[ [").trim().to_string();
    Ok(clean.chars().any(char::is_alphanumeric).then_some(clean))
}

/// Takes a block of samples and says whether more is wanted.
type Sink<'a> = dyn FnMut(&[f32]) -> ControlFlow<()> + 'a;

/// Speaks what is speakable of `text` by `say`, without the silence that engines put before and after it. For engines whose [`Voice::speak`]
/// has nothing else to do.
fn speak_trimmed(
    text: &str,
    normalizer: &Normalizer,
    rate: SampleRate,
    sink: &mut Sink<'_>,
    say: &mut dyn FnMut(&str, &mut Sink<'_>) -> Result<(), TtsError>,
) -> Result<(), TtsError> {
    let Some(text) = speakable(text, normalizer)? else {
        return Ok(());
    };
    let mut trim = Trim::new(rate);
    let mut flow = ControlFlow::Continue(());
    say(&text, &mut |block| {
        flow = trim.push(block, sink);
        flow
    })?;
    if !flow.is_break() {
        let _ = trim.finish(sink);
    }
    Ok(())
}

/// Why text could not be spoken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TtsError {
    /// The engine's program is not installed.
    #[error("the program `{program}` is missing; install it with `sudo apt install {program}` (or run `make setup`)")]
    MissingProgram {
        /// Its name.
        program: &'static str,
    },
    /// The program could not be run, or reported an error.
    #[error("{program} failed: {reason}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it said.
        reason: String,
    },
    /// The program hung.
    #[error("{program} gave no sound for {} s and was ended", after.as_secs_f32())]
    Hung {
        /// Its name.
        program: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// Too much text at once.
    #[error("the text has {found} bytes; at most {LONGEST_TEXT} are spoken at once")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// An option out of range.
    #[error("{key} is {found} but must be {expected}")]
    Option {
        /// The key in the configuration.
        key: &'static str,
        /// The value found.
        found: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// The engine is `piper` and no voice file is named.
    #[error("tts.engine `piper` needs tts.model: the name of a voice to pull, or its .onnx file")]
    NoModel,
    /// A Piper voice's `.onnx.json` is wrong.
    #[error("{} does not describe a Piper voice: {reason}", path.display())]
    VoiceConfig {
        /// The `.onnx.json` file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A Piper voice's model or its runtime.
    #[error(transparent)]
    Onnx(#[from] nearfield_onnx::OnnxError),
}

impl TtsError {
    fn missing(program: &'static str) -> TtsError {
        TtsError::MissingProgram { program }
    }
}
