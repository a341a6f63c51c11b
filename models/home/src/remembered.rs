//! What people ask to be remembered: a small list of sentences in a file of its own, told, searched and deleted on request. It
//! stands in the prompt, so it is bounded.

use std::io;
use std::path::{Path, PathBuf};

use nearfield_base::persist;
use serde::{Deserialize, Serialize};

use crate::model::one_line;

/// The most things remembered, and the longest of them in characters.
pub const MAX_NOTES: usize = 100;
/// The longest one, in characters.
pub const MAX_NOTE_CHARS: usize = 300;
/// The largest file of notes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One thing remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedNote {
    /// "the bins are collected on Tuesday"
    pub text: String,
    /// When it was said, as a date.
    pub when: String,
}

/// The list, and the file that it is kept in.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    notes: Vec<RememberedNote>,
    path: Option<PathBuf>,
}

/// Why something is not remembered or forgotten. Worded to be spoken.
#[derive(Debug, thiserror::Error)]
pub enum RememberedError {
    /// The list is full.
    #[error("I already remember {MAX_NOTES} things; tell me to forget one first")]
    Full,
    /// It is too long, or empty.
    #[error("that is too long to remember; use at most {MAX_NOTE_CHARS} characters")]
    TooLong,
    /// The file can't be read.
    #[error("cannot read what is remembered in {path}: {cause}; repair the file or remove it")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file can't be written; the list is as before.
    #[error("cannot write what is remembered to {path}: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl Remembered {
    /// The list of a file; empty where there is none yet.
    ///
    /// # Errors
    /// The file can't be read or holds something else.
    pub fn open(path: &Path) -> Result<Self, RememberedError> {
        let failed = |cause| RememberedError::Read { path: path.to_owned(), cause };
        let notes = match nearfield_base::files::read(path, MAX_FILE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
            Ok(bytes) => nearfield_base::json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
        };
        Ok(Self { notes, path: Some(path.to_owned()) })
    }

    /// What is remembered, the oldest first.
    pub fn notes(&self) -> &[RememberedNote] {
        &self.notes
    }

    /// Remembers a sentence. What is remembered already is not added again.
    ///
    /// # Errors
    /// [`RememberedError`]
    pub fn remember(&mut self, text: &str, when: &str) -> Result<(), RememberedError> {
        let plain = one_line(text);
        if plain.is_empty() || plain.chars().count() > MAX_NOTE_CHARS {
            return Err(RememberedError::TooLong);
        }
        if self.notes.iter().any(|note| note.text.eq_ignore_ascii_case(&plain)) {
            return Ok(());
        }
        if self.notes.len() >= MAX_NOTES {
            return Err(RememberedError::Full);
        }
        let mut notes = self.notes.clone();
        notes.push(RememberedNote { text: plain, when: when.to_owned() });
        self.write(notes)
    }

    /// Forgets what has all of these words, or everything where there are none. Answers what it was.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn forget(&mut self, words: &str) -> Result<Vec<RememberedNote>, RememberedError> {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        let matches = |note: &RememberedNote| {
            let text = note.text.to_lowercase();
            words.iter().all(|word| text.split(|c: char| !c.is_alphanumeric()).any(|other| other == word))
        };
        let (gone, kept): (Vec<_>, Vec<_>) = self.notes.iter().cloned().partition(matches);
        if !gone.is_empty() {
            self.write(kept)?;
        }
        Ok(gone)
    }

    fn write(&mut self, notes: Vec<RememberedNote>) -> Result<(), RememberedError> {
        if let Some(path) = &self.path {
            let text = serde_json::to_string_pretty(&notes).unwrap_or_default() + "\n";
            persist::replace(path, text.as_bytes())
                .map_err(|cause| RememberedError::Write { path: path.clone(), cause })?;
        }
        self.notes = notes;
        Ok(())
    }
}
