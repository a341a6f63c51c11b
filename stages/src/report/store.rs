//! The embedded store: accepted readings, the sensors, and what has been reported, so that a window which was open at a crash is
//! completed after the restart. One file, one writer, bounded in age and size.
//!
//! It is an SQLite file (`docs/decisions/0001-store.md`). Every row carries a checksum, and readings are counted by day and sensor, so
//! that damage is found when the store is opened, and once a day while it is open. A damaged store is salvaged: what is readable, in
//! it and in its backups, goes into a new file, and the damaged one is kept beside it.

mod backup;
mod file;
mod journal;
mod maintenance;
mod opening;
mod rows;
mod salvage;
mod schema;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nearfield_base::persist;
use nearfield_telemetry::clock::CLOCK_IS_SET;
use nearfield_telemetry::{Moment, Reading, SensorId, SensorTraits};
use thiserror::Error;

use crate::flow::fault::Fault;
use crate::report::windower::now;

pub use self::backup::BackupPlan;
use self::file::OpenFile;
pub use self::salvage::{Loss, Repair};
use self::schema::DatabaseError;
pub use self::snapshot::Snapshot;

/// The state's key for the end of the last window that was reported.
const REPORTED: &str = "reported_until";
/// The state's key for the offset of a sensor's clock: the store's number of the sensor follows.
const CLOCK: &str = "clock/";
/// What was reported lies so far ahead only if the clock has been set back since.
const SET_BACK_MICROS: i64 = 7 * 86_400 * 1_000_000;
/// Between two checks of the whole store while it is open.
const CHECK_EVERY: Duration = Duration::from_secs(86_400);
/// After the start, what was waiting comes in first.
const SETTLING: Duration = Duration::from_secs(10);

/// The store can't do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("the store {0} is in use by another process: end that one, or name another file with store.file")]
    InUse(PathBuf),
    /// There is something else under its name.
    #[error("{path} is not a store but {found}: name another file with store.file, or move this one away")]
    NoStore {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// It can't be read.
    #[error(
        "the store {path} can't be read: {reason}. Name the store of a report (store.file), and look whether it is whole"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
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
    /// How many of those had another value.
    pub conflicting: u64,
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
    /// Of writing readings, and of noting what was reported; for tests.
    fault: Fault,
    note_fault: Fault,
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

    /// As [`Store::open`], with copies made by [`Store::maintain`], which a salvage reads, too.
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
            fault: Fault::of("store"),
            note_fault: Fault::of("store-note"),
        };
        store.open = Some(store.open_file(None)?);
        Ok(store)
    }

    /// What had to be repaired since this store was opened.
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    fn error(&self, error: DatabaseError) -> StoreError {
        let path = self.path.clone();
        match error {
            DatabaseError::InUse => StoreError::InUse(path),
            DatabaseError::Damaged(reason) => StoreError::Damaged { path, reason },
            DatabaseError::Io(reason) => StoreError::Io { path, reason },
        }
    }

    /// As if the disk had refused.
    fn refused(&self, injected: &anyhow::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), reason: injected.to_string() }
    }

    fn io(&self, error: std::io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), reason: persist::explained(&self.path, error).to_string() }
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
        self.fault.step().map_err(|error| self.refused(&error))?;
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
            Err(error) => Err(self.error(error)),
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
        read.map(drop).map_err(|error| self.error(error))
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
        self.note_fault.step().map_err(|error| self.refused(&error))?;
        let before = self.open_mut()?.content.state.get(REPORTED).copied().unwrap_or(i64::MIN);
        // A clock that nobody has set yet says nothing of when reports were made.
        let now = now();
        let was_set_back = before.saturating_sub(end.0) > SET_BACK_MICROS && before > now.0 && now >= CLOCK_IS_SET;
        let end = if was_set_back { end.0 } else { end.0.max(before) };
        let written = self.open_mut()?.write(|_, change| {
            change.set(REPORTED, end);
            Ok(())
        });
        written.map_err(|error| self.error(error))
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
        written.map_err(|error| self.error(error))
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
}
