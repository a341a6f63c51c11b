//! What is wrong with a home's file: one sentence that names the file, the place in it and the remedy.

use std::io;
use std::path::PathBuf;

use crate::model::ModelError;

/// The largest file of a home that is read, in bytes. A home of 300 entities needs a tenth of this.
pub const MAX_HOME_BYTES: u64 = 1 << 20;

/// What is wrong with a text that describes a home.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The text is neither YAML nor JSON, or a key stands there twice.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// A value is missing or of another kind.
    #[error("{place}: `{key}` must be {expected}")]
    Kind {
        /// Where: "entities, number 3 (light.kitchen)".
        place: String,
        /// The key.
        key: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// Names something that is not there.
    #[error("there is no {what} {id:?} in this home")]
    Unknown {
        /// "entity"
        what: String,
        /// Its id.
        id: String,
    },
    /// Ids that do not fit together.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A home of rooms with a wrong value.
    #[error("{0}")]
    Rooms(String),
}

/// Why a home's file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The file is missing or unreadable.
    #[error("cannot read the home's file {path}: {cause}; name an existing YAML or JSON file with --home")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is longer than [`MAX_HOME_BYTES`].
    #[error("the home's file {path} is larger than {MAX_HOME_BYTES} bytes; is it the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file describes no home.
    #[error("the home's file {path}: {cause}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: FormatError,
    },
    /// The changed home could not be written; the file and the home in memory are as before.
    #[error("cannot write the home's file {path}: {cause}; the change was not made")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl HomeError {
    /// The cause alone, worded to be spoken: "the disk is full".
    pub fn cause(&self) -> String {
        match self {
            Self::Read { cause, .. } => match cause.kind() {
                io::ErrorKind::NotFound => "the file of the home is gone".to_owned(),
                io::ErrorKind::PermissionDenied => "the file of the home may not be read".to_owned(),
                io::ErrorKind::InvalidInput => "the file of the home is no file any more".to_owned(),
                _ => format!("the file of the home cannot be read, {}", words_of(cause)),
            },
            Self::TooLarge { .. } => "the file of the home is too large".to_owned(),
            Self::Format { .. } => "the file of the home has an error in it".to_owned(),
            Self::Write { cause, .. } => match cause.kind() {
                io::ErrorKind::StorageFull => "the disk is full".to_owned(),
                io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
                io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".to_owned(),
                io::ErrorKind::PermissionDenied => "the folder of the home's file may not be written".to_owned(),
                io::ErrorKind::NotFound => "the file of the home is gone".to_owned(),
                _ => format!("the file of the home cannot be written, {}", words_of(cause)),
            },
        }
    }
}

/// What the system says, without its number.
fn words_of(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.split(": ").last().unwrap_or_default().to_lowercase()
}
