//! What can be wrong with a model folder.

use std::path::PathBuf;

use nearfield_gguf::GgufError;

/// Why a folder cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file is cut short, contradicts itself or has another form.
    #[error("{path}: {what}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        what: String,
    },
    /// A tensor is missing, has another shape, or cannot be stored.
    #[error("{path}: tensor {tensor}: {what}")]
    Tensor {
        /// The file, or the folder where it is in none.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// What was expected and what was found.
        what: String,
    },
    /// The model is of a kind that is not converted.
    #[error("{path}: {what}")]
    Unsupported {
        /// The file that says so.
        path: PathBuf,
        /// What it is, and what is supported.
        what: String,
    },
    /// The GGUF file cannot be written.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// The caller stopped it.
    #[error("stopped; no file was written")]
    Stopped,
}

impl ConvertError {
    pub(crate) fn broken(path: impl Into<PathBuf>, what: impl Into<String>) -> ConvertError {
        ConvertError::Broken { path: path.into(), what: what.into() }
    }

    pub(crate) fn tensor(path: impl Into<PathBuf>, tensor: &str, what: impl Into<String>) -> ConvertError {
        ConvertError::Tensor { path: path.into(), tensor: tensor.to_owned(), what: what.into() }
    }

    pub(crate) fn unsupported(path: impl Into<PathBuf>, what: impl Into<String>) -> ConvertError {
        ConvertError::Unsupported { path: path.into(), what: what.into() }
    }
}
