//! Who goes first on a machine that several programs of ours share: a voice that somebody waits for. It is a lock on a file
//! in the folder of data. While a voice's language model works, it holds the lock; the others look between two tokens whether it
//! is held, and wait. A program that ends gives its locks back; one with another folder of data knows nothing of it.

use std::fs::{File, TryLockError};
use std::path::Path;

/// The lock's name in the folder of data.
pub const FILE: &str = "voice-priority";

/// A program's view of the lock.
#[derive(Debug)]
pub struct VoicePriority {
    file: File,
    is_held: bool,
}

impl VoicePriority {
    /// The lock in this folder; `None` where there can be none, and nobody waits for anybody.
    pub fn of(folder: &Path) -> Option<Self> {
        let path = folder.join(FILE);
        let opened = std::fs::create_dir_all(folder)
            .and_then(|()| File::options().create(true).truncate(false).read(true).write(true).open(&path));
        match opened {
            Ok(file) => Some(Self { file, is_held: false }),
            Err(error) => {
                tracing::debug!(%error, file = %path.display(), "voices in other programs are not waited for");
                None
            }
        }
    }

    /// Takes the lock or gives it back. Several voices may hold it at once.
    pub fn hold(&mut self, wanted: bool) {
        if wanted != self.is_held {
            let done = if wanted { self.file.lock_shared() } else { self.file.unlock() };
            self.is_held = wanted && done.is_ok();
        }
    }

    /// Whether another program holds it.
    pub fn is_taken(&self) -> bool {
        match self.file.try_lock() {
            Ok(()) => {
                let _ = self.file.unlock();
                false
            }
            Err(TryLockError::WouldBlock) => true,
            // A file system without locks.
            Err(TryLockError::Error(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_voice_holds_the_way_until_it_is_done_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let open = || VoicePriority::of(&folder.path().join("data")).unwrap();
        let (mut voice, mut second, caption) = (open(), open(), open());
        assert!(!caption.is_taken());
        voice.hold(true);
        second.hold(true);
        assert!(caption.is_taken());
        voice.hold(false);
        assert!(caption.is_taken(), "the other voice is still at work");
        drop(second);
        // A process that another test starts at this moment holds a copy of the lock until its program begins.
        let freed = (0..200).any(|_| {
            !caption.is_taken() || {
                std::thread::sleep(Duration::from_millis(10));
                false
            }
        });
        assert!(freed);
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(VoicePriority::of(&folder.path().join("file")).is_none());
    }
}
