//! Why speech could not be turned into text: what callers act on, with the file, the place and the fix.

use std::path::PathBuf;

use crate::vad::VadError;

/// Why speech could not be turned into text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SttError {
    /// The crate was built without the feature `whisper`.
    #[error("this build has no speech recognition; build it with the feature `whisper`")]
    Absent,
    /// The model's file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Another kind of file.
    #[error("{} is not a Whisper model in ggml format: {found}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// Cut short, or contradicting itself.
    #[error("{} is damaged at byte {offset}: {reason}; get it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The pauses could not be found.
    #[error("cannot find the pauses in the sound: {0}")]
    Pauses(VadError),
    /// whisper.cpp refused a file that looked right.
    #[error("whisper.cpp cannot load {}: {reason}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A language that the model or Whisper does not know.
    #[error("language `{found}`: {reason}; leave it out or take another model")]
    Language {
        /// The language asked for.
        found: String,
        /// Why not.
        reason: &'static str,
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
    /// The processor lacks what whisper.cpp was compiled for.
    #[error(
        "this processor has no {feature}, for which whisper.cpp was compiled; build with GGML_AVX=OFF GGML_AVX2=OFF GGML_FMA=OFF GGML_F16C=OFF GGML_BMI2=OFF in the environment"
    )]
    Processor {
        /// The feature missing.
        feature: &'static str,
    },
    /// whisper.cpp failed while running.
    #[error("{} failed on the sound: {reason}", path.display())]
    Failed {
        /// The model.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}
