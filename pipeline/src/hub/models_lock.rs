//! `models.lock`: what every pulled file was when it first arrived (repository, commit, size, SHA-256, date). A later pull or a
//! verification is held to it; nothing here warns, it is either the same or refused.
//!
//! It lies in Nearfield's data folder (`NEARFIELD_DATA`, else `$XDG_DATA_HOME/nearfield`, else `~/.local/share/nearfield`) and
//! not beside the cache: a cache may be thrown away at any time, and what was pulled afterwards must still be the same.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nearfield_base::persist;
use serde::{Deserialize, Serialize};

use crate::config::{line_of, said_by_parser};
use crate::hub::content_hash::Sha256;

/// The largest lock that is read: some twenty thousand files.
const MAX_LOCK_BYTES: u64 = 4 << 20;

/// What is known of one pulled file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// Repository on the hub, such as `ggerganov/whisper.cpp`.
    pub repository: String,
    /// Path of the file inside the repository.
    pub file: String,
    /// The revision that was asked for, such as `main`.
    pub revision: String,
    /// The commit that the hub said this revision was.
    pub commit: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Hash of the content.
    pub sha256: Sha256,
    /// When it was recorded, RFC 3339.
    pub date: String,
}

/// What can be wrong with `models.lock`.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It could not be read or written.
    #[error("{path}: {doing} failed: {cause}")]
    Io {
        /// The lock, or the folder it lies in.
        path: PathBuf,
        /// Reading or writing.
        doing: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is not what Nearfield writes.
    #[error("{path} line {line}: {message}; put it right, or remove the file to have it written anew at the next pull")]
    Malformed {
        /// The lock.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What the parser found.
        message: String,
    },
}

/// The lock file. Holds only its path: it is read when asked, since another process may write it.
#[derive(Clone, Debug)]
pub struct ModelsLock {
    path: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default, rename = "file")]
    files: Vec<LockedFile>,
}

impl ModelsLock {
    /// The lock in this data folder; it need not exist yet.
    pub fn in_data_folder(data: &Path) -> Self {
        Self { path: data.join("models.lock") }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All that is recorded; nothing when there is no lock yet.
    ///
    /// # Errors
    /// [`LockError`] when it is there and cannot be read or understood.
    pub fn read(&self) -> Result<Vec<LockedFile>, LockError> {
        let text = match fs::metadata(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.io("reading", source)),
            Ok(meta) if meta.len() > MAX_LOCK_BYTES => {
                return Err(self.malformed(1, format!("it is {} bytes long, more than {MAX_LOCK_BYTES}", meta.len())));
            }
            Ok(_) => fs::read_to_string(&self.path).map_err(|e| self.io("reading", e))?,
        };
        let document: Document =
            toml::from_str(&text).map_err(|e| self.malformed(line_of(&text, &e), said_by_parser(&e)))?;
        if document.version != 1 {
            return Err(self.malformed(1, format!("version is {}, this Nearfield knows version 1", document.version)));
        }
        Ok(document.files)
    }

    /// What is recorded of one file of a repository.
    ///
    /// # Errors
    /// As [`ModelsLock::read`].
    pub fn find(&self, repository: &str, file: &str) -> Result<Option<LockedFile>, LockError> {
        Ok(self.read()?.into_iter().find(|f| f.repository == repository && f.file == file))
    }

    /// Records a file, in place of what was recorded of it before. The new lock replaces the old one in one step, and two
    /// processes that record at once both succeed.
    ///
    /// # Errors
    /// [`LockError`] when the lock cannot be read, understood or written.
    pub fn record(&self, file: LockedFile) -> Result<(), LockError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(|e| self.io("making its folder", e))?;
        // The guard is a file of its own: models.lock itself is replaced, and whoever waited for it would then hold a file that is gone.
        let guard = File::options().create(true).append(true).open(folder.join(".models.lock.guard"));
        let guard = guard.map_err(|e| self.io("locking", e))?;
        guard.lock().map_err(|e| self.io("locking", e))?;

        let mut files = self.read()?;
        files.retain(|f| !(f.repository == file.repository && f.file == file.file));
        files.push(file);
        files.sort_by(|a, b| (&a.repository, &a.file).cmp(&(&b.repository, &b.file)));
        let text = toml::to_string(&Document { version: 1, files }).map_err(|e| {
            self.io("writing", std::io::Error::other(e)) // only for a value that TOML cannot hold: there is none
        })?;
        let header = "# Written by `nearfield models pull`: what every pulled file was when it first arrived.\n";
        persist::replace(&self.path, format!("{header}{text}").as_bytes()).map_err(|e| self.io("writing", e))
    }

    fn io(&self, doing: &'static str, source: std::io::Error) -> LockError {
        LockError::Io { path: self.path.clone(), doing, cause: source }
    }

    fn malformed(&self, line: usize, message: String) -> LockError {
        LockError::Malformed { path: self.path.clone(), line, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(file: &str, content: &[u8]) -> LockedFile {
        LockedFile {
            repository: "org/name".into(),
            file: file.into(),
            revision: "main".into(),
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            bytes: content.len() as u64,
            sha256: Sha256::of(content),
            date: "2026-11-21T08:00:00Z".into(),
        }
    }

    #[test]
    fn what_is_recorded_is_read_back_and_a_second_record_replaces_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let lock = ModelsLock::in_data_folder(&folder.path().join("new/data"));
        assert!(lock.read().unwrap().is_empty());
        lock.record(entry("b.gguf", b"one")).unwrap();
        lock.record(entry("a \"quoted\" näme.gguf", b"two")).unwrap();
        lock.record(entry("b.gguf", b"three")).unwrap();
        assert_eq!(lock.read().unwrap(), [entry("a \"quoted\" näme.gguf", b"two"), entry("b.gguf", b"three")]);
        assert_eq!(lock.find("org/name", "b.gguf").unwrap(), Some(entry("b.gguf", b"three")));
        assert_eq!(lock.find("org/name", "c.gguf").unwrap(), None);
    }

    #[test]
    fn sixteen_threads_that_record_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lock = ModelsLock::in_data_folder(folder.path());
        std::thread::scope(|scope| {
            for i in 0..16 {
                let lock = &lock;
                scope.spawn(move || lock.record(entry(&format!("file-{i:02}"), b"x")).unwrap());
            }
        });
        assert_eq!(lock.read().unwrap().len(), 16);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "no temporary file is left behind: {left:?}");
    }

    #[test]
    fn a_lock_that_is_not_ours_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let lock = ModelsLock::in_data_folder(folder.path());
        for (text, line, part) in [
            ("version = 1\nhello = 2\n", 2, "hello"),
            ("version = 2\n", 1, "version"),
            ("version = 1\n[[file]]\nrepository = 3\n", 3, "string"),
            ("not toml at all", 1, "expected"),
        ] {
            fs::write(lock.path(), text).unwrap();
            match lock.read().unwrap_err() {
                LockError::Malformed { line: found, message, .. } => {
                    assert_eq!(found, line, "{text:?}: {message}");
                    assert!(message.contains(part), "{text:?}: {message}");
                }
                other => panic!("{other}"),
            }
        }
    }
}
