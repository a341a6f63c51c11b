//! The unfinished file of a pull: written at its end, hashed as it grows, hashed again from the disk when a pull goes on where
//! another one stopped. Also the hashes of a finished file, in the same two forms: SHA-256, and git's for small files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::Digest;

use crate::hub::Event;
use crate::hub::content_hash::{Sha256, for_each_chunk};
use crate::hub::error::HubError;

/// The unfinished file, and the hashes of what is in it.
pub(crate) struct Partial {
    pub(crate) path: PathBuf,
    file: File,
    pub(crate) len: u64,
    sha256: sha2::Sha256,
    git: Option<sha1::Sha1>,
    bytes: u64,
}

impl Partial {
    /// Opens it, or begins it; what is there is read and hashed. It will have so many `bytes`, and is hashed `as_git` does too.
    pub(crate) fn open(
        path: &Path,
        bytes: u64,
        as_git: bool,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Self, HubError> {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(disk(path))?;
        let len = file.metadata().map_err(disk(path))?.len();
        let mut this = Self {
            path: path.to_path_buf(),
            file,
            len: 0,
            sha256: sha2::Sha256::new(),
            git: as_git.then(|| git_blob(bytes)),
            bytes,
        };
        if len > bytes {
            this.len = len;
            this.start_again()?;
            return Ok(this);
        }
        if len > 0 {
            on_event(Event::Hashing(len));
            let mut here = (&this.file).take(len);
            let read = for_each_chunk(&mut here, &mut |chunk| {
                this.sha256.update(chunk);
                if let Some(git) = &mut this.git {
                    git.update(chunk);
                }
                this.len += chunk.len() as u64;
                !stop()
            });
            read.map_err(|e| if stop() { HubError::Stopped } else { disk(path)(e) })?;
        }
        Ok(this)
    }

    pub(crate) fn start_again(&mut self) -> Result<(), HubError> {
        if self.len > 0 {
            self.file.set_len(0).map_err(disk(&self.path))?;
            self.file.seek(SeekFrom::Start(0)).map_err(disk(&self.path))?;
        }
        self.len = 0;
        self.sha256 = sha2::Sha256::new();
        self.git = self.git.is_some().then(|| git_blob(self.bytes));
        Ok(())
    }

    pub(crate) fn write(&mut self, piece: &[u8]) -> Result<(), HubError> {
        use io::ErrorKind as K;
        self.file.write_all(piece).map_err(|source| match source.kind() {
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => {
                HubError::DiskFull { path: self.path.clone(), have: self.len, cause: source }
            }
            _ => HubError::Disk { path: self.path.clone(), cause: source },
        })?;
        self.sha256.update(piece);
        if let Some(git) = &mut self.git {
            git.update(piece);
        }
        self.len += piece.len() as u64;
        Ok(())
    }

    pub(crate) fn hashes(&self) -> (Sha256, Option<String>) {
        (Sha256::from_hasher(self.sha256.clone()), self.git.clone().map(hex_of))
    }
}

/// The SHA-256 of a whole file, and its hash as a git blob of this size where one is given.
pub(crate) fn hash_whole(
    path: &Path,
    git: Option<u64>,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<(Sha256, Option<String>), HubError> {
    let mut file = File::open(path).map_err(disk(path))?;
    on_event(Event::Hashing(file.metadata().map_err(disk(path))?.len()));
    let mut sha256 = sha2::Sha256::new();
    let mut git = git.map(git_blob);
    let read = for_each_chunk(&mut file, &mut |chunk| {
        sha256.update(chunk);
        if let Some(git) = &mut git {
            git.update(chunk);
        }
        !stop()
    });
    read.map_err(|e| if stop() { HubError::Stopped } else { disk(path)(e) })?;
    Ok((Sha256::from_hasher(sha256), git.map(hex_of)))
}

/// A git blob's hash is that of its content after `blob SIZE\0` (Pro Git, section 10.2).
pub(crate) fn git_blob(bytes: u64) -> sha1::Sha1 {
    let mut hasher = sha1::Sha1::new();
    hasher.update(format!("blob {bytes}\0"));
    hasher
}

fn hex_of(hasher: sha1::Sha1) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The error of a disk operation on this path.
pub(crate) fn disk(path: &Path) -> impl FnOnce(io::Error) -> HubError + use<> {
    let path = path.to_path_buf();
    move |source| HubError::Disk { path, cause: source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_blob_s_hash_is_git_s() {
        // $ printf 'test content\n' | git hash-object --stdin      (Pro Git, section 10.2)
        let mut hasher = git_blob(13);
        hasher.update(b"test content\n");
        assert_eq!(hex_of(hasher), "d670460b4b4aece5915caf5c68d12f560a9fe3e4");
    }
}
