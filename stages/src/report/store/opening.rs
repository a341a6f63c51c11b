//! Opening the store's file: it is locked, looked at before SQLite does, and salvaged where it is damaged.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;

use nearfield_telemetry::{SensorId, SensorTraits};

use super::file::{LeftOver, OpenFile};
use super::journal::{self, Journal};
use super::rows::PAGE_BYTES;
use super::schema::{self, DatabaseError};
use super::{Repair, Store, StoreError, beside, salvage, time_in_a_name};

/// The first pages hold the schema and the state.
const PEEK_BYTES: u64 = 16 * PAGE_BYTES as u64;

impl Store {
    /// Opens the file anew, after damage or when another file has taken its place; damage is repaired.
    ///
    /// # Errors
    /// As [`Store::open`]; the store is closed then, and the next commit opens it.
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        if let Some(open) = &self.open
            && !self.path.exists()
        {
            // Its name is gone, its content is not: as long as it is open it can be copied.
            let salvaged = beside(&self.path, ".salvaged");
            let copied = salvage::remove(&salvaged)
                .map_err(|e| DatabaseError::Io(e.to_string()))
                .and_then(|()| Ok(open.connection.execute("VACUUM INTO ?", [salvaged.to_string_lossy()])?));
            if let Err(error) = copied {
                let _ = salvage::remove(&salvaged);
                return Err(self.error(error));
            }
            tracing::warn!("the store {} was removed while in use: it is written again", self.path.display());
        }
        // First let go of it: the file is locked as long as it is open.
        if let Some(open) = self.open.take() {
            self.known = Some(open.content.sensors.clone());
        }
        let known = self.known.clone();
        let mut open = self.open_file(known.as_deref())?;
        if let Some(known) = known
            && open.content.sensors.get(..known.len()) != Some(&known)
        {
            // Another file has taken its place: its numbers are others.
            let mut bound = vec![None; self.bound.len()];
            let sensors: Vec<_> =
                (0..).zip(&self.bound).filter_map(|(id, place)| Some((SensorId(id), (*place)?))).collect();
            let sensors: Vec<_> = sensors
                .iter()
                .filter_map(|(id, place)| known.get(*place as usize).map(|(key, traits)| (*id, key.as_str(), traits)))
                .collect();
            let retention = self.retention;
            let written = open.write(|open, change| open.add(change, &sensors, &[], retention, &mut bound));
            written.map_err(|error| self.error(error))?;
            self.bound = bound;
        }
        (self.open, self.known, self.check_day) = (Some(open), None, None);
        Ok(())
    }

    /// The file itself, locked, and whether it was there before.
    fn lock(&self) -> Result<(File, bool), StoreError> {
        let path = &self.path;
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| self.io(e))?;
        }
        let there = std::fs::metadata(path);
        match &there {
            Ok(found) if found.is_dir() => {
                return Err(StoreError::NoStore { path: path.clone(), found: "a folder" });
            }
            Ok(found) if !found.is_file() => {
                return Err(StoreError::NoStore { path: path.clone(), found: "no regular file" });
            }
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|e| self.io(e))?;
        match file.try_lock() {
            Ok(()) => Ok((file, there.is_ok())),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.clone())),
            Err(TryLockError::Error(error)) => Err(self.io(error)),
        }
    }

    /// Opens the file, after repairing it where it has to be.
    pub(super) fn open_file(&mut self, known: Option<&[(String, SensorTraits)]>) -> Result<OpenFile, StoreError> {
        let (mut lock, was_there) = self.lock()?;
        if salvage::finish(&self.path).map_err(|e| self.io(e))? {
            tracing::info!("the salvage of the store {} was finished", self.path.display());
            (lock, _) = self.lock()?;
        }
        let mut rows = (BTreeMap::new(), Vec::new());
        let damage = match self.look(&lock, was_there)? {
            Look::Fresh => {
                self.begin()?;
                (lock, _) = self.lock()?;
                None
            }
            Look::Whole(left_over) => {
                rows = left_over;
                None
            }
            Look::Damaged(reason) => Some(reason),
        };
        let opened = match damage {
            None => match schema::open(&self.path) {
                Ok(opened) => Ok(opened),
                Err(DatabaseError::Damaged(reason)) => Err(reason),
                // A changed header says that this program may not write.
                Err(DatabaseError::Io(reason)) if reason.contains("readonly") || reason.contains("read-only") => {
                    Err(reason)
                }
                Err(error) => return Err(self.error(error)),
            },
            Some(reason) => Err(reason),
        };
        let was_salvaged = opened.is_err();
        let (connection, content) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                let backups = self.backups.as_ref().map(|plan| plan.list(&self.path)).unwrap_or_default();
                let reason = format!("the store {} was damaged ({reason})", self.path.display());
                let repair = salvage::salvage(&self.path, &backups, known, reason, rand_number());
                let repair = repair.map_err(|error| match error {
                    DatabaseError::Io(reason) => {
                        let reason =
                            format!("it is damaged, and what is readable can't be saved to a new file ({reason})");
                        StoreError::Io { path: self.path.clone(), reason }
                    }
                    error => self.error(error),
                })?;
                tracing::error!("{repair}");
                self.repairs.push(repair);
                rows = (BTreeMap::new(), Vec::new());
                (lock, _) = self.lock()?;
                schema::open(&self.path).map_err(|error| self.error(error))?
            }
        };
        let mut open = OpenFile::new(connection, content, lock, &self.path);
        let missing = open.missing_commits(was_salvaged);
        if let Some(commits) = missing {
            let reason = format!(
                "the last {commits} commits to the store {} are missing, as if its journal had been cut off or removed",
                self.path.display()
            );
            let repair = Repair { reason, readings: open.count, ..Repair::default() };
            tracing::error!("{repair}");
            self.repairs.push(repair);
        }
        open.recover(rows).map_err(|error| self.error(error))?;
        open.mark();
        Ok(open)
    }

    /// Looks at the file and its journal before SQLite does, which would take damage for an end, or write into what it should not.
    fn look(&self, file: &File, was_there: bool) -> Result<Look, StoreError> {
        let path = &self.path;
        let mut head = Vec::new();
        file.take(PAGE_BYTES as u64).read_to_end(&mut head).map_err(|e| self.io(e))?;
        let has_journal = std::fs::metadata(beside(path, "-wal")).is_ok_and(|m| m.len() > 0);
        let has_backups = self.backups.as_ref().is_some_and(|plan| !plan.list(path).is_empty());
        if head.is_empty() {
            if has_journal || has_backups {
                return Ok(Look::Damaged(if was_there { "it is empty" } else { "it is missing" }.to_owned()));
            }
            if was_there {
                tracing::warn!("the store {} is an empty file: a new store is begun", path.display());
            }
            return Ok(Look::Fresh);
        }
        if head.starts_with(b"redb") {
            let name = beside(path, &format!(".redb-{}", time_in_a_name()));
            std::fs::rename(path, &name).map_err(|e| self.io(e))?;
            tracing::warn!(
                "the store {} is of an earlier version, which kept it in another format: it is kept as {}, and a new store is begun",
                path.display(),
                name.display()
            );
            return Ok(Look::Fresh);
        }
        let is_sqlite = head.starts_with(b"SQLite format 3\0");
        let is_ours = head.get(68..72) == Some(&schema::APPLICATION.to_be_bytes());
        let (number, commit) = salvage::peek(path, PEEK_BYTES);
        if !is_ours && number.is_none() {
            if is_sqlite {
                return Err(StoreError::NoStore { path: path.clone(), found: "another program's database" });
            }
            if is_text(&head[..head.len().min(512)]) {
                return Err(StoreError::NoStore { path: path.clone(), found: "a text file" });
            }
        }
        if !is_sqlite || !is_ours {
            return Ok(Look::Damaged("its header is not that of a store".to_owned()));
        }
        let journal = beside(path, "-wal");
        let committed = match journal::examine(&journal, PAGE_BYTES).map_err(|e| self.io(e))? {
            Journal::Empty => return Ok(Look::Whole(Default::default())),
            Journal::Damaged => return Ok(Look::Damaged("its journal is damaged".to_owned())),
            Journal::Whole(committed) => committed,
        };
        let (of, latest) = salvage::peek(&journal, u64::MAX);
        if number.is_some() && of.is_some() && of != number {
            return Ok(Look::Damaged("its journal is that of another store".to_owned()));
        }
        if commit > latest && latest.is_some() {
            return Ok(Look::Damaged("its journal is older than itself".to_owned()));
        }
        let number = of.or(number).unwrap_or_default();
        Ok(Look::Whole(salvage::left_over(&journal, committed, number)))
    }

    /// Makes a new store, complete before it has its name.
    fn begin(&self) -> Result<(), StoreError> {
        let unfinished = beside(&self.path, ".salvaging");
        salvage::remove(&unfinished).map_err(|e| self.io(e))?;
        let made = schema::create(&unfinished, rand_number())
            .and_then(|new| new.close().map_err(|(_, error)| DatabaseError::from(error)));
        made.map_err(|error| self.error(error))?;
        let named = File::open(&unfinished)
            .and_then(|f| f.sync_all())
            .and_then(|()| std::fs::rename(&unfinished, beside(&self.path, ".salvaged")));
        named.and_then(|()| salvage::finish(&self.path)).map_err(|e| self.io(e))?;
        Ok(())
    }

    /// Whether another file, or none, lies under the store's name.
    pub(super) fn is_replaced(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some(open) = &self.open else { return false };
        match (std::fs::metadata(&self.path), open.lock.metadata()) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) != (b.dev(), b.ino()),
            (Err(error), _) => error.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// What lies under a store's name.
enum Look {
    /// Nothing yet.
    Fresh,
    /// A store, with the rows of a commit that was under way when its process ended.
    Whole(LeftOver),
    /// A store that SQLite is not to open.
    Damaged(String),
}

/// Whether these bytes begin a text.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The last letter may be cut in two.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}

/// A number for a new store.
fn rand_number() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    // Seeded by the system.
    std::hash::RandomState::new().build_hasher().finish() as u32 | 1
}
