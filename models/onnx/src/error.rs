//! Why an ONNX model could not be loaded or run.

use std::path::PathBuf;

use crate::LIBRARY;

/// Why an ONNX model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The crate was built without the feature `runtime`.
    #[error("this build runs no ONNX models; build it with the feature `onnx`")]
    Absent,
    /// No library anywhere.
    #[error(
        "ONNX Runtime is missing: no {LIBRARY} in {} nor in the system; get it with `make setup`, or name one in ORT_DYLIB_PATH",
        list(folders)
    )]
    NoRuntime {
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// A library that is there but does not work.
    #[error("ONNX Runtime at {} cannot be used: {reason}; get a new one with `make setup`", path.display())]
    BadRuntime {
        /// The library.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The model's file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not an ONNX model, or only half of one.
    #[error("{} is not a usable ONNX model: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An ONNX model, but not the kind that is needed.
    #[error("{} is not the kind of model that is needed: expected {expected}, found {found}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// None of the execution providers that were asked for works here.
    #[error("{}: no wanted execution provider works ({reasons}); add `cpu` to run it on the CPU", path.display())]
    NoProvider {
        /// The file.
        path: PathBuf,
        /// What each one said.
        reasons: String,
    },
    /// The one execution provider that was required does not work here.
    #[error(
        "{}: the required execution provider does not run it ({reasons}); without `required` the next in the list is tried",
        path.display()
    )]
    Required {
        /// The file.
        path: PathBuf,
        /// What it said.
        reasons: String,
    },
    /// The model failed while running.
    #[error("{} failed to run: {reason}", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// What the runtime said.
        reason: String,
    },
}

impl OnnxError {
    /// Why, without the name of the file, for errors that name it themselves.
    pub(crate) fn reason(&self) -> String {
        match self {
            OnnxError::Damaged { reason, .. } | OnnxError::Run { reason, .. } => reason.clone(),
            OnnxError::NoProvider { reasons, .. } => reasons.clone(),
            other => other.to_string(),
        }
    }
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
}
