//! Everything that a file is held to: what the list, the lock and the hub say of its size and hash.

use crate::hub::content_hash::Sha256;
use crate::hub::metadata::RemoteMetadata;
use crate::hub::models_lock::{LockedFile, ModelsLock};
use crate::hub::{HubError, Wanted, WrongHash};

/// Everything that a file is held to.
pub(super) struct Expected<'a> {
    pub wanted: &'a Wanted<'a>,
    pub locked: Option<&'a LockedFile>,
    pub lock: &'a ModelsLock,
}

impl Expected<'_> {
    /// The list and the lock must say the same.
    pub(super) fn agree_with_each_other(&self) -> Result<(), HubError> {
        match (self.locked, self.wanted.sha256) {
            (Some(locked), Some(listed)) if locked.sha256 != listed => {
                Err(self.wrong_hash("models.toml", listed, "models.lock says", locked.sha256))
            }
            _ => Ok(()),
        }
    }

    /// What the hub states must not contradict what is known; nothing is fetched that would be refused anyway.
    pub(super) fn allow(&self, stated: &RemoteMetadata) -> Result<(), HubError> {
        let listed = ("models.toml".to_string(), self.wanted.bytes, self.wanted.sha256);
        let locked = self.locked.map(|l| (self.lock.path().display().to_string(), Some(l.bytes), Some(l.sha256)));
        for (by, bytes, sha256) in std::iter::once(listed).chain(locked) {
            if let (Some(expected), Some(found)) = (sha256, stated.sha256())
                && expected != found
            {
                return Err(self.wrong_hash(&by, expected, "the hub states", found));
            }
            if let Some(expected) = bytes.filter(|b| *b != stated.bytes) {
                return Err(HubError::WrongSize {
                    file: self.wanted.file.to_string(),
                    repository: self.wanted.repository.to_string(),
                    by,
                    expected,
                    from: "the hub states",
                    found: stated.bytes,
                });
            }
        }
        Ok(())
    }

    /// What arrived must be what the list, the lock and the hub say. `git` is its hash as a git blob, where the hub states that.
    pub(super) fn verify(&self, stated: &RemoteMetadata, sha256: Sha256, git: Option<String>) -> Result<(), HubError> {
        let says = [
            ("models.toml".to_string(), self.wanted.sha256),
            (self.lock.path().display().to_string(), self.locked.map(|l| l.sha256)),
            ("the hub".to_string(), stated.sha256()),
        ];
        for (by, expected) in says {
            if let Some(expected) = expected.filter(|e| *e != sha256) {
                return Err(self.wrong_hash(&by, expected, "what arrived has", sha256));
            }
        }
        match git {
            Some(found) if found != stated.etag.to_ascii_lowercase() => Err(HubError::WrongGitHash {
                file: self.wanted.file.to_string(),
                repository: self.wanted.repository.to_string(),
                expected: stated.etag.clone(),
                found,
            }),
            _ => Ok(()),
        }
    }

    fn wrong_hash(&self, by: &str, expected: Sha256, from: &'static str, found: Sha256) -> HubError {
        let hint = match self.locked {
            Some(_) => format!(
                "if the new content is wanted and trusted, pull with --update, or remove its entry from {}",
                self.lock.path().display()
            ),
            None => "nothing of it was kept".to_string(),
        };
        HubError::WrongHash(Box::new(WrongHash {
            file: self.wanted.file.to_string(),
            repository: self.wanted.repository.to_string(),
            by: by.to_string(),
            expected,
            from,
            found,
            hint,
        }))
    }
}

/// What the lock records of a file that has been verified.
pub(super) fn lock_entry(wanted: &Wanted<'_>, stated: &RemoteMetadata, sha256: Sha256) -> LockedFile {
    LockedFile {
        repository: wanted.repository.to_string(),
        file: wanted.file.to_string(),
        revision: wanted.revision.to_string(),
        commit: stated.commit.clone(),
        bytes: stated.bytes,
        sha256,
        date: jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string(),
    }
}
