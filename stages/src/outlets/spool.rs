//! Deliveries on disk, oldest first: a folder with one file each, written whole or not at all, bounded in number.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nearfield_models::persist;
use thiserror::Error;

use super::Delivery;

/// A delivery's file is at most this long.
const MAX_BYTES: u64 = 4 << 20;

/// The spool can't be used.
#[derive(Debug, Error)]
#[error("the spool {path} can't be used: {reason}")]
pub struct SpoolError {
    path: PathBuf,
    reason: String,
}

/// The folder.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    most: usize,
    files: BTreeSet<String>,
    next: u64,
}

impl Spool {
    /// Opens a folder, which is made if it is not there; at most `most` deliveries wait in it.
    ///
    /// # Errors
    /// If it can't be made or read.
    pub fn open(folder: PathBuf, most: usize) -> Result<Spool, SpoolError> {
        let wrong = |e: std::io::Error| SpoolError { path: folder.clone(), reason: e.to_string() };
        std::fs::create_dir_all(&folder).map_err(wrong)?;
        let mut files = BTreeSet::new();
        for entry in std::fs::read_dir(&folder).map_err(wrong)? {
            let name = entry.map_err(wrong)?.file_name().to_string_lossy().into_owned();
            if name.len() == 25 && name.ends_with(".json") {
                files.insert(name);
            }
        }
        let next = files.last().and_then(|f| f[..20].parse::<u64>().ok()).map_or(0, |n| n + 1);
        Ok(Spool { folder, most: most.max(1), files, next })
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds a delivery; answers how many old ones had to make room.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn add(&mut self, delivery: &Delivery) -> Result<usize, SpoolError> {
        let name = format!("{:020}.json", self.next);
        let write =
            || -> std::io::Result<()> { persist::replace(&self.folder.join(&name), &serde_json::to_vec(delivery)?) };
        write().map_err(|e| self.wrong(&self.folder, &e))?;
        self.files.insert(name);
        self.next += 1;
        let mut dropped = 0;
        while self.files.len() > self.most {
            let oldest = self.files.pop_first().expect("it holds more than none");
            let _ = std::fs::remove_file(self.folder.join(oldest));
            dropped += 1;
        }
        Ok(dropped)
    }

    /// The oldest delivery and its file; one that can't be read is removed.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn first(&mut self) -> Result<Option<(String, Delivery)>, SpoolError> {
        while let Some(name) = self.files.first().cloned() {
            let path = self.folder.join(&name);
            let is_small = std::fs::metadata(&path).is_ok_and(|m| m.len() <= MAX_BYTES);
            let read = if is_small { std::fs::read(&path).ok() } else { None };
            match read.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                Some(delivery) => return Ok(Some((name, delivery))),
                None => {
                    tracing::warn!(file = %path.display(), "a spooled message can't be read and is dropped");
                    self.remove(&name)?;
                }
            }
        }
        Ok(None)
    }

    /// Removes a delivered one.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove(&mut self, name: &str) -> Result<(), SpoolError> {
        self.files.remove(name);
        let path = self.folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(self.wrong(&path, &error)),
            _ => Ok(()),
        }
    }

    fn wrong(&self, path: &Path, error: &std::io::Error) -> SpoolError {
        SpoolError { path: path.to_owned(), reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(id: &str) -> Delivery {
        Delivery { id: id.to_owned(), text: String::new(), body: serde_json::Value::Null }
    }

    #[test]
    fn the_spool_is_bounded_and_passes_over_what_it_can_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path().to_owned(), 3).unwrap();
        let dropped: usize = (0..5).map(|i| spool.add(&delivery(&i.to_string())).unwrap()).sum();
        assert_eq!((dropped, spool.len()), (2, 3));
        let (first, found) = spool.first().unwrap().unwrap();
        assert_eq!(found.id, "2");
        std::fs::write(folder.path().join(&first), "no json").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "of somebody else").unwrap();
        let mut spool = Spool::open(folder.path().to_owned(), 3).unwrap();
        assert_eq!(spool.first().unwrap().unwrap().1.id, "3");
        assert!(folder.path().join("notes.txt").exists());
    }
}
