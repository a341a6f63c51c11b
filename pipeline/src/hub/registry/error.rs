//! What can be wrong with the list, with a name, or with what lies on the disk.

use std::path::{Path, PathBuf};

use crate::hub::models_lock::LockError;
use crate::hub::registry::Model;

/// What can be wrong with the list, with a name, or with what lies on the disk.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The list could not be read.
    #[error("{path}: cannot be read ({cause}); NEARFIELD_ASSETS names the folder that holds models/models.toml")]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The list is not TOML of the right form.
    #[error("{path} line {line}: {message}")]
    Malformed {
        /// The list.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong and what is accepted.
        message: String,
    },
    /// A model of the list contradicts itself.
    #[error("{path}: model {model:?}: {message}")]
    Inconsistent {
        /// The list.
        path: PathBuf,
        /// Its name.
        model: String,
        /// Which key, what was found, what is accepted.
        message: String,
    },
    /// No model has this name, and no file either.
    #[error("there is no model named {name:?}{}; `nearfield models list` lists all, and the path of a file of your own is accepted too", did_you_mean(.near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that are close to it.
        near: Vec<String>,
    },
    /// The model does something else than what is wanted.
    #[error("{name} is {is}, but {wanted} is wanted here; `nearfield models list` shows what each model does")]
    WrongKind {
        /// Its name or path.
        name: String,
        /// What it is.
        is: &'static str,
        /// What is wanted.
        wanted: &'static str,
    },
    /// A path was given and nothing is there.
    #[error("there is no model file at {path}: {cause}")]
    NoSuchFile {
        /// What was asked for.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The model is known, and is not on this disk.
    #[error("{name} is not on this machine; `nearfield models pull {name}` downloads it ({size})")]
    NotPulled {
        /// Its name.
        name: String,
        /// How much that is.
        size: String,
    },
    /// A bundled model's file is missing.
    #[error(
        "{name} is bundled, but its file {file} is not in {folder}: set NEARFIELD_ASSETS to the assets folder of a complete clone"
    )]
    BundledMissing {
        /// The model.
        name: String,
        /// Which file.
        file: String,
        /// Where it was looked for.
        folder: String,
    },
    /// A file is not as long as it must be.
    #[error("{path} is {found} bytes long, but {by} says {expected}: {hint}")]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The right size.
        expected: u64,
        /// The list or the lock.
        by: String,
        /// What to do.
        hint: String,
    },
    /// The lock could not be used.
    #[error(transparent)]
    Lock(#[from] LockError),
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) }
}

/// What to do about a file of a model that is not what it must be.
pub(crate) fn hint(model: &Model, path: &Path) -> String {
    if model.bundled {
        format!("restore it (`git checkout -- {}`, or `git lfs pull`)", path.display())
    } else {
        format!("`nearfield models pull {}` downloads it again", model.name)
    }
}
