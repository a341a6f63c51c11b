//! Copies of the store in a folder, made while it is in use, and the oldest of too many removed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::schema::DatabaseError;
use super::{beside, salvage, time_in_a_name};

/// Where copies go, how often one is made, and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPlan {
    /// The folder; it is made when it is not there.
    pub folder: PathBuf,
    /// A copy is made when the last one is older than this.
    pub every: Duration,
    /// Copies at most, at least one.
    pub keep: usize,
}

impl BackupPlan {
    fn prefix(store: &Path) -> String {
        format!("{}.backup-", store.file_name().unwrap_or_default().to_string_lossy())
    }

    /// The backups of a store, the newest first.
    pub(super) fn list(&self, store: &Path) -> Vec<PathBuf> {
        let prefix = Self::prefix(store);
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)))
            .filter(|p| p.is_file() && p.extension().is_none_or(|e| e != "unfinished"))
            .collect();
        found.sort();
        found.reverse();
        found
    }

    /// How long ago the newest backup was made, by the file's own time; `None` when there is none.
    pub(super) fn age(&self, store: &Path) -> Option<Duration> {
        let newest = self.list(store).into_iter().next()?;
        std::fs::metadata(newest).and_then(|m| m.modified()).ok()?.elapsed().ok()
    }

    /// Copies the store as it is now, whole or not at all.
    pub(super) fn make(&self, store: &Path, connection: &Connection) -> Result<PathBuf, DatabaseError> {
        let io = |e: std::io::Error| DatabaseError::Io(e.to_string());
        std::fs::create_dir_all(&self.folder).map_err(io)?;
        let name = self.folder.join(format!("{}{}", Self::prefix(store), time_in_a_name()));
        let unfinished = beside(&name, ".unfinished");
        let copy = || -> Result<(), DatabaseError> {
            salvage::remove(&unfinished).map_err(io)?;
            connection.execute("VACUUM INTO ?", [unfinished.to_string_lossy()])?;
            File::open(&unfinished).and_then(|f| f.sync_all()).map_err(io)?;
            std::fs::rename(&unfinished, &name).map_err(io)
        };
        if let Err(error) = copy() {
            let _ = salvage::remove(&unfinished);
            return Err(error);
        }
        salvage::sync_folder(&name);
        for old in self.list(store).into_iter().filter(|p| *p != name).skip(self.keep.max(1) - 1) {
            salvage::remove(&old).map_err(io)?;
        }
        Ok(name)
    }
}
