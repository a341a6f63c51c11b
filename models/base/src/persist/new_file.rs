//! A file of one run (a recording, a trace): an existing file is kept, or replaced atomically where that was asked for.

use std::fs::{self, File};
use std::io::{self, Error, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{Replacement, explained};

/// What is to happen to a file that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It is kept and the call fails. An empty file counts as none.
    #[default]
    Keep,
    /// It is replaced.
    Replace,
}

/// The file. It appears under its name with [`settle`](Self::settle), when its content is complete for the first time; later writes
/// go straight into it.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    existing: Existing,
    state: State,
}

#[derive(Debug)]
enum State {
    Hidden(Replacement),
    There(File),
    /// Settling failed.
    Gone,
}

impl NewFile {
    /// Begins; nothing appears under the name yet.
    ///
    /// # Errors
    /// There is such a file and it is to be kept ([`ErrorKind::AlreadyExists`]), or it can't be written.
    pub fn begin(path: &Path, existing: Existing) -> io::Result<NewFile> {
        check(path, existing)?;
        let replacement = Replacement::begin(path)?;
        Ok(NewFile { path: path.to_owned(), existing, state: State::Hidden(replacement) })
    }

    /// Whether a file could be begun, without beginning one.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn probe(path: &Path, existing: Existing) -> io::Result<()> {
        // Opening and closing a pipe would signal the end of the data to its reader.
        let is_stream = fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir());
        if is_stream { Ok(()) } else { Self::begin(path, existing).map(drop) }
    }

    /// The open file.
    ///
    /// # Errors
    /// If settling has failed.
    pub fn file(&self) -> io::Result<&File> {
        match &self.state {
            State::Hidden(replacement) => Ok(replacement.file()),
            State::There(file) => Ok(file),
            State::Gone => Err(Error::other("it could not be put in its place")),
        }
    }

    /// The content so far is complete: from now on the file has its name.
    ///
    /// # Errors
    /// The disk is full, the file system refuses, or a file of that name has appeared meanwhile and is to be kept.
    pub fn settle(&mut self) -> io::Result<()> {
        let State::Hidden(_) = &self.state else { return Ok(()) };
        let State::Hidden(replacement) = std::mem::replace(&mut self.state, State::Gone) else { return Ok(()) };
        self.state = State::There(match (self.existing, replacement.target()) {
            (Existing::Keep, Some(target)) if target.exists() => {
                check(target, Existing::Keep)?;
                replacement.commit()?
            }
            (Existing::Keep, Some(_)) => replacement.commit_new()?,
            _ => replacement.commit()?,
        });
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Hidden(replacement) => replacement.write(bytes),
            State::There(file) => file.write(bytes).map_err(|error| explained(&self.path, error)),
            State::Gone => Err(Error::other("it could not be put in its place")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check(path: &Path, existing: Existing) -> io::Result<()> {
    let is_somebodys = fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() > 0);
    if existing == Existing::Keep && is_somebodys {
        let text = "there is such a file already: name another, or add --overwrite to replace it";
        return Err(Error::new(ErrorKind::AlreadyExists, text));
    }
    Ok(())
}
