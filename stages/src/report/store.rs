//! The embedded store: accepted readings, the sensors, and what has been reported, so that a window which was open at a crash is
//! completed after the restart. One file, one writer, bounded in age and size.
//!
//! It is an SQLite file (`docs/decisions/0001-store.md`). Every row carries a checksum, and readings are counted by day and sensor, so
//! that damage is found when the store is opened, and once a day while it is open. A damaged store is salvaged: what is readable, in
//! it and in its backups, goes into a new file, and the damaged one is kept beside it.

mod backup;
mod file;
mod journal;
mod rows;
mod salvage;
mod schema;

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nearfield_telemetry::clock::CLOCK_IS_SET;
use nearfield_telemetry::{Moment, Reading, SensorId, SensorTraits};
use thiserror::Error;

use crate::report::windower::now;

pub use self::backup::BackupPlan;
use self::file::{LeftOver, OpenFile};
use self::journal::Journal;
use self::rows::PAGE_BYTES;
pub use self::salvage::{Loss, Repair};
use self::schema::Trouble;

/// The state's key for the end of the last window that was reported.
const REPORTED: &str = "reported_until";
/// The state's key for the offset of a sensor's clock: the store's number of the sensor follows.
const CLOCK: &str = "clock/";
/// What was reported lies so far ahead only if the clock has been set back since.
const SET_BACK_MICROS: i64 = 7 * 86_400 * 1_000_000;
/// Between two checks of the whole store while it is open.
const CHECK_EVERY: Duration = Duration::from_secs(86_400);
/// Between two days of readings within such a check, so that commits need not wait for all of it.
const CHECK_PAUSE: Duration = Duration::from_millis(200);
/// A backup that failed is tried again after this.
const BACKUP_RETRY: Duration = Duration::from_secs(3600);
/// After the start, what was waiting comes in first.
const SETTLING: Duration = Duration::from_secs(10);
/// The first pages hold the schema and the state.
const PEEK_BYTES: u64 = 16 * PAGE_BYTES as u64;

/// The store can't do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("the store {0} is in use by another process: end that one, or name another file with store.file")]
    InUse(PathBuf),
    /// There is something else under its name.
    #[error("{path} is no store but {found}: name another file with store.file, or move this one away")]
    NoStore {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// It is not whole.
    #[error("the store {path} is damaged ({reason}); it is salvaged when it is opened again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The disk says no.
    #[error(
        "the store {path} can't be written: {reason}. Make room or the folder writable, or name another file with store.file"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        reason: String,
    },
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Readings older than the newest, or than now where that is earlier, by more than this are dropped.
    pub age: Duration,
    /// The oldest are dropped when there are more bytes of them than this.
    pub bytes: u64,
}

/// What one commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Readings that were not there yet.
    pub new: u64,
    /// Which of the readings were there already, by their places.
    pub known: Vec<usize>,
    /// Readings dropped for their age.
    pub dropped_by_age: u64,
    /// Readings dropped for want of room.
    pub dropped_by_size: u64,
}

/// An open store.
///
/// Sensors have numbers of the store's own, which never change; [`Store::bind`] and [`Store::commit`] translate those of a run.
pub struct Store {
    /// `None` after an error that asks for opening the file again. Closed before the lock is let go of.
    open: Option<OpenFile>,
    path: PathBuf,
    retention: Retention,
    backups: Option<BackupPlan>,
    /// The store's number of each of the run's sensors.
    bound: Vec<Option<u32>>,
    repairs: Vec<Repair>,
    /// The sensors, while the file is closed after an error.
    known: Option<Vec<(String, SensorTraits)>>,
    /// The next check; the next day that it looks at, when it is under way; the next backup.
    check_at: Instant,
    check_day: Option<i64>,
    backup_at: Option<Instant>,
    /// No backup is made before this, unless the run ends before.
    settled_at: Instant,
}

/// The path with something after its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Now, as part of a file's name.
fn time_in_a_name() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

impl Store {
    /// Opens or begins a store. A damaged one is salvaged first.
    ///
    /// # Errors
    /// It is in use, can't be written, or is something else.
    pub fn open(path: &Path, retention: Retention) -> Result<Store, StoreError> {
        Self::open_with_backups(path, retention, None)
    }

    /// As [`Store::open`], with copies made by [`Store::tend`], which a salvage reads, too.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with_backups(
        path: &Path,
        retention: Retention,
        backups: Option<BackupPlan>,
    ) -> Result<Store, StoreError> {
        let backup_at = backups.as_ref().map(|plan| {
            let rest = plan.age(path).map_or(Duration::ZERO, |age| plan.every.saturating_sub(age));
            Instant::now() + rest
        });
        let mut store = Store {
            open: None,
            path: path.to_owned(),
            retention,
            backups,
            bound: Vec::new(),
            repairs: Vec::new(),
            known: None,
            check_at: Instant::now() + CHECK_EVERY,
            check_day: None,
            backup_at,
            settled_at: Instant::now() + SETTLING,
        };
        store.open = Some(store.open_file(None)?);
        Ok(store)
    }

    /// What had to be repaired since this store was opened.
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

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
                .map_err(|e| Trouble::Io(e.to_string()))
                .and_then(|()| Ok(open.connection.execute("VACUUM INTO ?", [salvaged.to_string_lossy()])?));
            if let Err(trouble) = copied {
                let _ = salvage::remove(&salvaged);
                return Err(self.error(trouble));
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
            written.map_err(|trouble| self.error(trouble))?;
            self.bound = bound;
        }
        (self.open, self.known, self.check_day) = (Some(open), None, None);
        Ok(())
    }

    fn error(&self, trouble: Trouble) -> StoreError {
        let path = self.path.clone();
        match trouble {
            Trouble::InUse => StoreError::InUse(path),
            Trouble::Damaged(reason) => StoreError::Damaged { path, reason },
            Trouble::Io(reason) => StoreError::Io { path, reason },
        }
    }

    fn io(&self, error: &std::io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), reason: error.to_string() }
    }

    /// The file itself, locked, and whether it was there before.
    fn lock(&self) -> Result<(File, bool), StoreError> {
        let path = &self.path;
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| self.io(&e))?;
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
        let file = file.map_err(|e| self.io(&e))?;
        match file.try_lock() {
            Ok(()) => Ok((file, there.is_ok())),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.clone())),
            Err(TryLockError::Error(error)) => Err(self.io(&error)),
        }
    }

    /// Opens the file, after repairing it where it has to be.
    fn open_file(&mut self, known: Option<&[(String, SensorTraits)]>) -> Result<OpenFile, StoreError> {
        let (mut lock, was_there) = self.lock()?;
        if salvage::finish(&self.path).map_err(|e| self.io(&e))? {
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
                Err(Trouble::Damaged(reason)) => Err(reason),
                // A changed header says that this program may not write.
                Err(Trouble::Io(reason)) if reason.contains("readonly") || reason.contains("read-only") => Err(reason),
                Err(trouble) => return Err(self.error(trouble)),
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
                let repair = repair.map_err(|trouble| match trouble {
                    Trouble::Io(reason) => {
                        let reason =
                            format!("it is damaged, and what is readable can't be saved to a new file ({reason})");
                        StoreError::Io { path: self.path.clone(), reason }
                    }
                    trouble => self.error(trouble),
                })?;
                tracing::error!("{repair}");
                self.repairs.push(repair);
                rows = (BTreeMap::new(), Vec::new());
                (lock, _) = self.lock()?;
                schema::open(&self.path).map_err(|trouble| self.error(trouble))?
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
        open.recover(rows).map_err(|trouble| self.error(trouble))?;
        open.mark();
        Ok(open)
    }

    /// Looks at the file and its journal before SQLite does, which would take damage for an end, or write into what it should not.
    fn look(&self, file: &File, was_there: bool) -> Result<Look, StoreError> {
        let path = &self.path;
        let mut head = Vec::new();
        file.take(PAGE_BYTES as u64).read_to_end(&mut head).map_err(|e| self.io(&e))?;
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
            std::fs::rename(path, &name).map_err(|e| self.io(&e))?;
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
        let committed = match journal::examine(&journal, PAGE_BYTES).map_err(|e| self.io(&e))? {
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
        salvage::remove(&unfinished).map_err(|e| self.io(&e))?;
        let made = schema::create(&unfinished, rand_number())
            .and_then(|new| new.close().map_err(|(_, error)| Trouble::from(error)));
        made.map_err(|trouble| self.error(trouble))?;
        let named = File::open(&unfinished)
            .and_then(|f| f.sync_all())
            .and_then(|()| std::fs::rename(&unfinished, beside(&self.path, ".salvaged")));
        named.and_then(|()| salvage::finish(&self.path)).map_err(|e| self.io(&e))?;
        Ok(())
    }

    /// The file, opened again if it was closed.
    fn open_mut(&mut self) -> Result<&mut OpenFile, StoreError> {
        if self.open.is_none() {
            self.reopen()?;
        }
        Ok(self.open.as_mut().expect("it has just been opened"))
    }

    fn get(&self) -> Result<&OpenFile, StoreError> {
        let closed = || StoreError::Io { path: self.path.clone(), reason: "it is closed after an error".to_owned() };
        self.open.as_ref().ok_or_else(closed)
    }

    /// From now on the run's sensor `id` is the one that the store has under this key.
    pub fn bind(&mut self, key: &str, id: SensorId) {
        let place = self.open.as_ref().and_then(|open| open.content.sensors.iter().position(|(k, _)| k == key));
        self.set_bound(id, place.map(|p| p as u32));
    }

    fn set_bound(&mut self, id: SensorId, place: Option<u32>) {
        let at = id.0 as usize;
        if self.bound.len() <= at {
            self.bound.resize(at + 1, None);
        }
        self.bound[at] = place;
    }

    /// Writes sensors and readings in one transaction that is synced when this returns.
    ///
    /// # Errors
    /// If the disk refuses, or the file turns out to be damaged; nothing of it is then in the store.
    pub fn commit(
        &mut self,
        sensors: &[(SensorId, &str, &SensorTraits)],
        readings: &[Reading],
    ) -> Result<Committed, StoreError> {
        let retention = self.retention;
        let mut bound = self.bound.clone();
        let replaced = self.is_replaced();
        if replaced {
            self.reopen()?;
        }
        let open = self.open_mut()?;
        let done = open.write(|open, change| open.add(change, sensors, readings, retention, &mut bound));
        match done {
            Ok(done) => {
                self.bound = bound;
                Ok(done)
            }
            Err(trouble) => Err(self.error(trouble)),
        }
    }

    /// Whether another file, or none, lies under the store's name.
    fn is_replaced(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some(open) = &self.open else { return false };
        match (std::fs::metadata(&self.path), open.lock.metadata()) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) != (b.dev(), b.ino()),
            (Err(error), _) => error.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// The sensors in the order of the store's own numbers: key and traits.
    ///
    /// # Errors
    /// If the store is closed after an error.
    pub fn sensors(&self) -> Result<Vec<(String, SensorTraits)>, StoreError> {
        Ok(self.get()?.content.sensors.clone())
    }

    /// Readings of the run's sensors from `from` on, in the order of time.
    ///
    /// # Errors
    /// If the file can't be read or turns out to be damaged.
    pub fn read_from(&self, from: Moment, take: &mut dyn FnMut(Reading)) -> Result<(), StoreError> {
        let open = self.get()?;
        let runs: HashMap<u32, u32> =
            (0..).zip(&self.bound).filter_map(|(id, place)| place.map(|place| (place, id))).collect();
        let read = schema::read(&open.connection, open.content.number, from.0..=i64::MAX, &mut |reading| {
            if let Some(id) = runs.get(&reading.sensor.0) {
                take(Reading { sensor: SensorId(*id), ..reading });
            }
            Ok(())
        });
        read.map(drop).map_err(|trouble| self.error(trouble))
    }

    /// Up to when windows have been reported.
    ///
    /// # Errors
    /// If the store is closed after an error.
    pub fn reported(&self) -> Result<Option<Moment>, StoreError> {
        Ok(self.get()?.content.state.get(REPORTED).map(|at| Moment(*at)))
    }

    /// A window that ends at `end` has been reported. Of two the later counts, unless the clock has been set back by more than a
    /// week in between.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_reported(&mut self, end: Moment) -> Result<(), StoreError> {
        let before = self.open_mut()?.content.state.get(REPORTED).copied().unwrap_or(i64::MIN);
        // A clock that nobody has set yet says nothing of when reports were made.
        let now = now();
        let was_set_back = before.saturating_sub(end.0) > SET_BACK_MICROS && before > now.0 && now >= CLOCK_IS_SET;
        let end = if was_set_back { end.0 } else { end.0.max(before) };
        let written = self.open_mut()?.write(|_, change| {
            change.set(REPORTED, end);
            Ok(())
        });
        written.map_err(|trouble| self.error(trouble))
    }

    /// The time of the newest reading; `None` while there is none.
    pub fn newest(&self) -> Option<Moment> {
        self.open.as_ref().and_then(|open| open.content.newest)
    }

    /// Notes the offsets of the clocks of the run's sensors, in microseconds.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_clocks(&mut self, offsets: &[(SensorId, i64)]) -> Result<(), StoreError> {
        let bound = self.bound.clone();
        let written = self.open_mut()?.write(|_, change| {
            for (sensor, offset) in offsets {
                if let Some(place) = bound.get(sensor.0 as usize).copied().flatten() {
                    change.set(&format!("{CLOCK}{place}"), *offset);
                }
            }
            Ok(())
        });
        written.map_err(|trouble| self.error(trouble))
    }

    /// The offsets that were put in by [`Store::set_clocks`], for the run's sensors.
    ///
    /// # Errors
    /// If the store is closed after an error.
    pub fn clocks(&self) -> Result<Vec<(SensorId, i64)>, StoreError> {
        let state = &self.get()?.content.state;
        let of = |(id, place): (u32, &Option<u32>)| {
            let offset = state.get(&format!("{CLOCK}{}", (*place)?))?;
            Some((SensorId(id), *offset))
        };
        Ok((0..).zip(&self.bound).filter_map(of).collect())
    }

    /// How many readings there are.
    ///
    /// # Errors
    /// If the store is closed after an error.
    pub fn len(&self) -> Result<u64, StoreError> {
        Ok(self.get()?.count)
    }

    /// Whether there is none.
    ///
    /// # Errors
    /// If the store is closed after an error.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// When [`Store::tend`] has something to do.
    pub fn tend_at(&self) -> Instant {
        self.backup_at.map_or(self.check_at, |backup| backup.max(self.settled_at).min(self.check_at))
    }

    /// Whether a backup is due.
    pub fn is_backup_due(&self) -> bool {
        self.backup_at.is_some_and(|due| due <= Instant::now())
    }

    /// Does a part of what is due: checks the readings of one more day, or makes a backup. Damage is repaired.
    ///
    /// # Errors
    /// A backup can't be made, or the store can't be written; both are tried again.
    pub fn tend(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if now >= self.check_at {
            self.check_a_day()?;
        }
        let Some((plan, _)) = self.backups.clone().zip(self.backup_at.filter(|due| now >= *due)) else {
            return Ok(());
        };
        self.backup_at = Some(now + BACKUP_RETRY.min(plan.every));
        let path = self.path.clone();
        let open = self.open_mut()?;
        match plan.make(&path, &open.connection) {
            Ok(made) => {
                tracing::info!("the store was copied to {}", made.display());
                self.backup_at = Some(now + plan.every);
                Ok(())
            }
            Err(Trouble::Damaged(_)) => self.reopen(),
            Err(Trouble::Io(reason)) => {
                let folder = plan.folder.display();
                let reason = format!("no backup can be made in {folder} ({reason}); it is tried again in an hour");
                Err(StoreError::Io { path, reason })
            }
            Err(trouble) => Err(self.error(trouble)),
        }
    }

    fn check_a_day(&mut self) -> Result<(), StoreError> {
        self.check_at = Instant::now() + CHECK_PAUSE;
        let from = self.check_day.unwrap_or(i64::MIN);
        let open = self.open_mut()?;
        // What is in memory is not what is on the disk.
        let forgotten = open.connection.execute_batch("PRAGMA shrink_memory");
        let day = open.content.tallies.range((from, 0)..).next().map(|((day, _), _)| *day);
        let Some(day) = day else {
            self.check_day = None;
            self.check_at = Instant::now() + CHECK_EVERY;
            return Ok(());
        };
        forgotten.map_err(|error| self.error(error.into()))?;
        self.check_day = Some(day + 1);
        match self.open_mut()?.check_day(day) {
            Ok(()) => Ok(()),
            Err(Trouble::Damaged(_)) => self.reopen(),
            Err(trouble) => Err(self.error(trouble)),
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

#[cfg(test)]
mod tests {
    use super::file::BYTES_PER_READING;
    use super::*;
    use crate::report::windower::now;

    const KEEP_ALL: Retention = Retention { age: Duration::from_secs(86_400 * 365), bytes: 1 << 40 };

    fn readings(range: std::ops::Range<i64>) -> Vec<Reading> {
        range.map(|i| Reading { at: Moment(i * 1_000_000), sensor: SensorId(0), value: i as f64 }).collect()
    }

    fn hall() -> SensorTraits {
        SensorTraits { name: "hall".into(), ..SensorTraits::default() }
    }

    /// A store that knows sensor 0.
    fn open(path: &Path, retention: Retention) -> Store {
        let mut store = Store::open(path, retention).unwrap();
        store.commit(&[(SensorId(0), "h", &hall())], &[]).unwrap();
        store
    }

    fn all(store: &Store) -> Vec<i64> {
        let mut found = Vec::new();
        store.read_from(Moment(0), &mut |r| found.push(r.at.0 / 1_000_000)).unwrap();
        found
    }

    #[test]
    fn what_was_committed_is_there_after_opening_again_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/readings.redb");
        {
            let mut store = Store::open(&path, KEEP_ALL).unwrap();
            let done = store.commit(&[(SensorId(0), "h", &hall())], &readings(0..100)).unwrap();
            assert_eq!(done.new, 100);
            assert_eq!(store.commit(&[], &readings(50..120)).unwrap().new, 20);
            store.set_reported(Moment(7)).unwrap();
            assert!(matches!(Store::open(&path, KEEP_ALL), Err(StoreError::InUse(_))));
        }
        let mut store = Store::open(&path, KEEP_ALL).unwrap();
        assert!(store.repairs().is_empty());
        assert!(all(&store).is_empty(), "no sensor of this run is bound yet");
        store.bind("h", SensorId(0));
        assert_eq!(all(&store), (0..120).collect::<Vec<_>>());
        assert_eq!(store.reported().unwrap(), Some(Moment(7)));
        assert_eq!(store.sensors().unwrap()[0].1.name, "hall");
    }

    #[test]
    fn the_store_is_bounded_in_age_and_size_and_says_what_it_drops() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: Duration::from_secs(50), ..KEEP_ALL };
        let mut store = open(&folder.path().join("a"), retention);
        let done = store.commit(&[], &readings(0..100)).unwrap();
        assert_eq!((done.dropped_by_age, all(&store).len()), (49, 51));
        let retention = Retention { bytes: 10 * BYTES_PER_READING, ..KEEP_ALL };
        let mut store = open(&folder.path().join("b"), retention);
        let done = store.commit(&[], &readings(0..100)).unwrap();
        assert_eq!((done.dropped_by_size, all(&store)), (90, (90..100).collect()));
    }

    #[test]
    fn a_reading_from_another_century_drops_nothing_and_a_clock_set_back_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: Duration::from_secs(3 * 86_400), ..KEEP_ALL };
        let mut store = open(&folder.path().join("a"), retention);
        let reading = |at: Moment| Reading { at, sensor: SensorId(0), value: 1.0 };
        store.commit(&[], &[reading(now())]).unwrap();
        let jumped = now().plus_seconds(86_400.0 * 365.0 * 70.0);
        assert_eq!(store.commit(&[], &[reading(jumped)]).unwrap().dropped_by_age, 0);
        assert_eq!(store.commit(&[], &[reading(now())]).unwrap().dropped_by_age, 0);
        assert_eq!(store.len().unwrap(), 3);
        store.set_reported(jumped).unwrap();
        let hour_ago = now().plus_seconds(-3600.0);
        for (end, reported) in [(now(), now()), (hour_ago, now())] {
            store.set_reported(end).unwrap();
            assert!(store.reported().unwrap().unwrap().seconds_since(reported).abs() < 60.0);
        }
    }

    #[test]
    fn damage_while_the_store_is_open_is_found_by_the_check_and_repaired() {
        use std::os::unix::fs::FileExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let written: Vec<Reading> = readings(0..3_000).into_iter().chain(readings(200_000..203_000)).collect();
        open(&path, KEEP_ALL).commit(&[], &[]).unwrap();
        let mut store = open(&path, KEEP_ALL);
        store.commit(&[], &written).unwrap();
        drop(store);
        let mut store = open(&path, KEEP_ALL);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0; 4096], 20 * 4096).unwrap();
        for _ in 0..10 {
            store.check_at = Instant::now();
            store.tend().unwrap();
        }
        let lost = store.repairs()[0].readings_lost();
        assert_eq!(store.repairs().len(), 1);
        assert!(lost > 0 && lost < 300, "{}", store.repairs()[0]);
        assert_eq!(all(&store).len() as u64 + lost, 6_000);
        assert_eq!(store.commit(&[], &written).unwrap().new, lost, "the run's sensors are still the same");
    }

    #[test]
    fn a_store_that_is_removed_while_it_is_open_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut store = open(&path, KEEP_ALL);
        store.commit(&[], &readings(0..100)).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(store.commit(&[], &readings(50..150)).unwrap().new, 50);
        drop(store);
        let store = open(&path, KEEP_ALL);
        assert_eq!(all(&store).len(), 150);
        assert!(store.repairs().is_empty(), "{:?}", store.repairs());
    }

    #[test]
    fn an_unfinished_salvage_is_finished_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        open(&path, KEEP_ALL).commit(&[], &readings(0..100)).unwrap();
        // As if the process had ended before the new file took the old one's name.
        std::fs::copy(&path, beside(&path, ".salvaged")).unwrap();
        std::fs::write(&path, "damaged").unwrap();
        std::fs::write(beside(&path, "-wal"), "the journal of the damaged one").unwrap();
        assert_eq!(all(&open(&path, KEEP_ALL)).len(), 100);
        assert!(!beside(&path, ".salvaged").exists());
    }
}
