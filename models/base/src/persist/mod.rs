//! Files that survive a crash and a full disk: replaced atomically ([`replace`], [`Replacement`]), appended record by record
//! ([`Journal`]), or created once and never over another ([`NewFile`]). All files that the program keeps are written here.
//!
//! A replacement is written to a temporary file in the target's own folder, synced, renamed over the target, and the folder is
//! synced. A process that is killed in between leaves the target as it was, and a temporary file (`.nearfield-*.tmp`) that the
//! next replacement in that folder removes (a live writer holds a lock on its own). Anything but a regular file (a terminal, a
//! pipe, `/dev/null`) is written to directly.
//!
//! Errors state the cause in words ("the disk is full: ..."), without a path: the caller names the path that the user wrote.

mod journal;
mod new_file;

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Error, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

pub use journal::{Journal, Records};
pub use new_file::{Existing, NewFile};

const PREFIX: &str = ".nearfield-";
const SUFFIX: &str = ".tmp";
/// The number of links that Linux follows.
const MAX_LINKS: usize = 40;

/// Replaces the file at `path` atomically, or creates it.
///
/// # Errors
/// The folder is missing or read-only, the disk is full; what was there is then still there, unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut replacement = Replacement::begin(path)?;
    replacement.write_all(bytes)?;
    replacement.commit().map(drop)
}

/// Renames a complete file over `to`, within one file system, durably: content first, then name.
///
/// # Errors
/// What the file system says, in words.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let moved = File::open(from).and_then(|file| file.sync_all()).and_then(|()| fs::rename(from, to));
    moved.map_err(|error| explained(to, error))?;
    sync_folder(folder_of(to));
    Ok(())
}

/// The target of a path behind its symbolic links, also when the last one points to a file that does not exist yet.
///
/// # Errors
/// The links form a cycle.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(Error::new(ErrorKind::InvalidInput, "its symbolic links lead to each other"))
}

/// The folder that a path lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file being written that will take the place of another.
#[derive(Debug)]
pub struct Replacement {
    sink: Sink,
    named: PathBuf,
}

#[derive(Debug)]
enum Sink {
    /// Beside the target, renamed over it at the end.
    Beside(NamedTempFile, PathBuf),
    /// The target itself is no regular file.
    Direct(File),
}

impl Replacement {
    /// Begins; the target is not touched before [`commit`](Self::commit). Temporary files of killed processes are removed
    /// from the folder.
    ///
    /// # Errors
    /// The folder is missing or can't be written, the target is a folder or write-protected.
    pub fn begin(path: &Path) -> io::Result<Replacement> {
        let begin = || {
            let target = resolve(path)?;
            remove_stale(folder_of(&target));
            Self::begin_at(path, target)
        };
        begin().map_err(|error| explained(path, error))
    }

    fn begin_at(named: &Path, target: PathBuf) -> io::Result<Replacement> {
        let before = match fs::metadata(&target) {
            Ok(before) if before.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(before) if !before.is_file() => {
                let sink = Sink::Direct(OpenOptions::new().write(true).open(&target)?);
                return Ok(Replacement { sink, named: named.to_owned() });
            }
            Ok(before) => {
                // A rename would not ask whether the file is write-protected.
                OpenOptions::new().write(true).open(&target).map_err(|error| match error.kind() {
                    ErrorKind::PermissionDenied => Error::new(error.kind(), "it is write-protected"),
                    _ => error,
                })?;
                Some(before)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let temporary = temporary_in(folder_of(&target))?;
        if let Some(before) = before {
            // Only root may give a file away; for everyone else the owner is already the right one.
            let _ = std::os::unix::fs::fchown(temporary.as_file(), Some(before.uid()), Some(before.gid()));
            temporary.as_file().set_permissions(before.permissions())?;
        }
        Ok(Replacement { sink: Sink::Beside(temporary, target), named: named.to_owned() })
    }

    /// The file that is being written.
    pub fn file(&self) -> &File {
        match &self.sink {
            Sink::Beside(temporary, _) => temporary.as_file(),
            Sink::Direct(file) => file,
        }
    }

    /// The file that it will be; `None` where that is no regular file.
    fn target(&self) -> Option<&Path> {
        match &self.sink {
            Sink::Beside(_, target) => Some(target),
            Sink::Direct(_) => None,
        }
    }

    /// The metadata of the file that is being written; after the commit it is the target's.
    ///
    /// # Errors
    /// What the file system says.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file().metadata()
    }

    /// Puts the file in the target's place, durably. Returns the open file, which can be written further.
    ///
    /// # Errors
    /// The disk is full, or the file system refuses; the target is then unchanged.
    pub fn commit(self) -> io::Result<File> {
        self.finish(|temporary, target| temporary.persist(target))
    }

    /// As [`commit`](Self::commit), but never over another file.
    ///
    /// # Errors
    /// Also when there is a file of that name by now ([`ErrorKind::AlreadyExists`]).
    pub fn commit_new(self) -> io::Result<File> {
        self.finish(|temporary, target| temporary.persist_noclobber(target))
    }

    fn finish(
        self,
        place: impl FnOnce(NamedTempFile, &Path) -> Result<File, tempfile::PersistError>,
    ) -> io::Result<File> {
        let Replacement { sink, named } = self;
        match sink {
            Sink::Direct(mut file) => file.flush().map(|()| file),
            Sink::Beside(temporary, target) => temporary.as_file().sync_all().and_then(|()| {
                let file = place(temporary, &target).map_err(|error| error.error)?;
                sync_folder(folder_of(&target));
                Ok(file)
            }),
        }
        .map_err(|error| explained(&named, error))
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes).map_err(|error| explained(&self.named, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A folder into which many files are written; temporary files of killed processes are removed once, when it is opened.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder; creates it where it does not exist.
    ///
    /// # Errors
    /// It can't be created or written to.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let open = || {
            fs::create_dir_all(path)?;
            remove_stale(path);
            temporary_in(path).map(drop)
        };
        open().map_err(|error| explained(&path.join("_"), error))?;
        Ok(Folder { path: path.to_owned() })
    }

    /// Writes a new file atomically; an existing name is an error.
    ///
    /// # Errors
    /// As [`Replacement::commit_new`]; there is then no file of that name by this call.
    pub fn add(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        let mut file = Replacement::begin_at(&path, path.clone()).map_err(|error| explained(&path, error))?;
        file.write_all(bytes)?;
        file.commit_new().map(drop)
    }
}

/// A temporary file that no other process takes for a stale one.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        // The permissions are those of any new file: what the process' umask leaves of them.
        let mut builder = Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX).permissions(Permissions::from_mode(0o666));
        // Its errors name the temporary file, which the user does not know.
        let temporary = builder.tempfile_in(folder).map_err(|error| Error::from(error.kind()))?;
        // File systems without locks have no removal of stale files either.
        let _ = temporary.as_file().lock();
        if temporary.as_file().metadata()?.nlink() > 0 {
            return Ok(temporary);
        }
        // Between its creation and its lock somebody took it for a stale one.
    }
}

/// Removes temporary files whose writers are gone. A failure costs room on the disk, no more.
fn remove_stale(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if !(name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())) {
            continue;
        }
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A rename is durable when its folder is; where a file system can't sync a folder, the content is still whole.
fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// An error of writing `path` in words that a user can act on; its kind stays. One that is explained already is left as it is.
pub fn explained(path: &Path, error: Error) -> Error {
    if error.get_ref().is_some() {
        return error;
    }
    let folder = folder_of(path);
    let text = match error.kind() {
        ErrorKind::StorageFull => format!("the disk is full: {error}"),
        ErrorKind::QuotaExceeded => format!("the disk quota is used up: {error}"),
        ErrorKind::FileTooLarge => format!("the file would be larger than is allowed here: {error}"),
        ErrorKind::NotFound if !folder.is_dir() => format!("there is no folder {}: create it first", folder.display()),
        ErrorKind::NotFound => format!("no file can be made in {}", folder.display()),
        ErrorKind::NotADirectory => format!("{} is not a folder", folder.display()),
        ErrorKind::IsADirectory => "it is a folder: name a file".to_owned(),
        ErrorKind::PermissionDenied => format!("there is no permission to write into {}", folder.display()),
        _ => return error,
    };
    Error::new(error.kind(), text)
}

/// Takes the lock of a file's only writer, or fails because another process has it.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::ResourceBusy,
            "another process is writing to it: end that one or name another file",
        )),
        // A file system without locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
