//! The embedded store: accepted readings, the sensors, and what has been reported, so that a window which was open at a crash is
//! completed after the restart. One file, one writer, bounded in age and size.
//!
//! Why redb: it is Rust throughout (no C to build on a device), every commit is atomic and synced, and a file cut off in the
//! middle of a commit opens as it was before it. A commit takes many readings at once; it costs one sync, not one each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield_models::telemetry::clock::CLOCK_IS_SET;
use nearfield_models::telemetry::{Moment, Reading, SensorId, SensorTraits};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use thiserror::Error;

use crate::report::gather::now;

/// (microseconds since 1970, sensor) to value: a window is a range, and a reading that comes again falls on itself.
const READINGS: TableDefinition<(i64, u32), f64> = TableDefinition::new("readings");
/// Number to (key, traits as JSON).
const SENSORS: TableDefinition<u32, (&str, &str)> = TableDefinition::new("sensors");
/// What else is to be known.
const STATE: TableDefinition<&str, i64> = TableDefinition::new("state");
/// The end of the last window that was reported.
const REPORTED: &str = "reported_until";
/// The offset of a sensor's clock: the sensor's number follows.
const CLOCK: &str = "clock/";
/// Memory for pages.
const CACHE_BYTES: usize = 16 << 20;
/// Clocks may differ by so much.
const AHEAD_SECONDS: f64 = 86_400.0;
/// What was reported lies so far ahead only if the clock has been set back since.
const SET_BACK_MICROS: i64 = 7 * 86_400 * 1_000_000;
/// A reading with its key and its share of the tree.
const BYTES_PER_READING: u64 = 40;

/// The store can't do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("the store {0} is in use by another process: end that one, or name another file with store.file")]
    InUse(PathBuf),
    /// It is no store, or not whole.
    #[error("the store {path} is damaged ({reason}): move it away, and a new one is begun")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The disk says no.
    #[error("the store {path} can't be written: {reason}")]
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

/// An open store.
pub struct Store {
    /// `None` after an error of the disk, until it could be opened again.
    database: Option<Database>,
    path: PathBuf,
    retention: Retention,
    newest: Moment,
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

impl Store {
    /// Opens or begins a store.
    ///
    /// # Errors
    /// It is in use, damaged, or can't be written.
    pub fn open(path: &Path, retention: Retention) -> Result<Store, StoreError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            let io = |e: std::io::Error| StoreError::Io { path: path.to_owned(), reason: e.to_string() };
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let (database, newest) = Self::open_database(path)?;
        Ok(Store { database: Some(database), path: path.to_owned(), retention, newest })
    }

    /// Opens the file anew, as redb wants it after an error of the disk.
    ///
    /// # Errors
    /// As [`Store::open`]; the store is closed then, and the next commit opens it.
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        // First let go of it: the file is locked as long as it is open.
        self.database = None;
        let (database, newest) = Self::open_database(&self.path)?;
        (self.database, self.newest) = (Some(database), newest);
        Ok(())
    }

    fn open_database(path: &Path) -> Result<(Database, Moment), StoreError> {
        // redb asserts what it believes of its own pages; in a file that somebody has damaged those beliefs are the file's word.
        let opened = std::panic::catch_unwind(|| Self::open_tables(path));
        let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
        match opened {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(redb::Error::DatabaseAlreadyOpen)) => Err(StoreError::InUse(path.to_owned())),
            Ok(Err(redb::Error::Io(error))) if error.kind() != std::io::ErrorKind::InvalidData => {
                // A file that is shorter than it says reads to its end too early.
                Err(match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => damaged(error.to_string()),
                    _ => StoreError::Io { path: path.to_owned(), reason: error.to_string() },
                })
            }
            Ok(Err(error)) => Err(damaged(error.to_string())),
            Err(_) => Err(damaged("its pages contradict each other".to_owned())),
        }
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        let closed = || redb::Error::Io(std::io::Error::other("it is closed after an error of the disk"));
        self.database.as_ref().ok_or_else(closed)
    }

    fn open_tables(path: &Path) -> Result<(Database, Moment), redb::Error> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        let transaction = database.begin_write()?;
        let newest = {
            let readings = transaction.open_table(READINGS)?;
            transaction.open_table(SENSORS)?;
            transaction.open_table(STATE)?;
            let last = readings.last()?;
            last.map_or(Moment(0), |(key, _)| Moment(key.value().0))
        };
        transaction.commit()?;
        Ok((database, newest))
    }

    /// Writes sensors and readings in one transaction that is synced when this returns.
    ///
    /// # Errors
    /// If the disk refuses; nothing of it is then in the store.
    pub fn commit(
        &mut self,
        sensors: &[(SensorId, &str, &SensorTraits)],
        readings: &[Reading],
    ) -> Result<Committed, StoreError> {
        if self.database.is_none() {
            self.reopen()?;
        }
        let newest = readings.iter().map(|r| r.at).fold(self.newest, Moment::max);
        let done = self.write(sensors, readings, newest).map_err(|e| self.io(e))?;
        self.newest = newest;
        Ok(done)
    }

    fn write(
        &self,
        sensors: &[(SensorId, &str, &SensorTraits)],
        readings: &[Reading],
        newest: Moment,
    ) -> Result<Committed, redb::Error> {
        let mut done = Committed::default();
        let transaction = self.database()?.begin_write()?;
        {
            let mut table = transaction.open_table(SENSORS)?;
            for (id, key, traits) in sensors {
                let traits = serde_json::to_string(traits).unwrap_or_default();
                table.insert(id.0, (*key, traits.as_str()))?;
            }
            let mut table = transaction.open_table(READINGS)?;
            for (place, reading) in readings.iter().enumerate() {
                // The first one counts, as in a window.
                let key = (reading.at.0, reading.sensor.0);
                if table.get(key)?.is_none() {
                    table.insert(key, reading.value)?;
                    done.new += 1;
                } else {
                    done.known.push(place);
                }
            }
            // One reading with the date of another century does not make all others old.
            let newest = newest.min(now().plus_seconds(AHEAD_SECONDS));
            let too_old = newest.0.saturating_sub(self.retention.age.as_micros().min(i64::MAX as u128) as i64);
            while table.first()?.is_some_and(|(key, _)| key.value().0 < too_old) {
                table.pop_first()?;
                done.dropped_by_age += 1;
            }
            while table.len()? * BYTES_PER_READING > self.retention.bytes {
                table.pop_first()?;
                done.dropped_by_size += 1;
            }
        }
        transaction.commit()?;
        Ok(done)
    }

    /// The sensors by their numbers: key and traits.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn sensors(&self) -> Result<Vec<(String, SensorTraits)>, StoreError> {
        let read = || -> Result<Vec<_>, redb::Error> {
            let table = self.database()?.begin_read()?.open_table(SENSORS)?;
            let mut sensors = Vec::new();
            for row in table.iter()? {
                let (_, value) = row?;
                let (key, traits) = value.value();
                sensors.push((key.to_owned(), serde_json::from_str(traits).unwrap_or_default()));
            }
            Ok(sensors)
        };
        read().map_err(|e| self.io(e))
    }

    /// Readings from `from` on, in the order of time.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn read_from(&self, from: Moment, take: &mut dyn FnMut(Reading)) -> Result<(), StoreError> {
        let read = |take: &mut dyn FnMut(Reading)| -> Result<(), redb::Error> {
            let table = self.database()?.begin_read()?.open_table(READINGS)?;
            for row in table.range((from.0, 0)..)? {
                let (key, value) = row?;
                let (at, sensor) = key.value();
                take(Reading { at: Moment(at), sensor: SensorId(sensor), value: value.value() });
            }
            Ok(())
        };
        read(take).map_err(|e| self.io(e))
    }

    /// Up to when windows have been reported.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn reported(&self) -> Result<Option<Moment>, StoreError> {
        let read = || -> Result<Option<Moment>, redb::Error> {
            let table = self.database()?.begin_read()?.open_table(STATE)?;
            Ok(table.get(REPORTED)?.map(|v| Moment(v.value())))
        };
        read().map_err(|e| self.io(e))
    }

    /// A window that ends at `end` has been reported. Of two the later counts, unless the clock has been set back by more than a
    /// week in between.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_reported(&self, end: Moment) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database()?.begin_write()?;
            {
                let mut table = transaction.open_table(STATE)?;
                let before = table.get(REPORTED)?.map_or(i64::MIN, |v| v.value());
                // A clock that nobody has set yet says nothing of when reports were made.
                let now = now();
                let was_set_back =
                    before.saturating_sub(end.0) > SET_BACK_MICROS && before > now.0 && now >= CLOCK_IS_SET;
                table.insert(REPORTED, if was_set_back { end.0 } else { end.0.max(before) })?;
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|e| self.io(e))
    }

    /// The time of the newest reading.
    pub fn newest(&self) -> Moment {
        self.newest
    }

    /// Offsets of sensors' clocks, in microseconds.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_clocks(&self, offsets: &[(SensorId, i64)]) -> Result<(), StoreError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database()?.begin_write()?;
            {
                let mut table = transaction.open_table(STATE)?;
                for (sensor, offset) in offsets {
                    table.insert(format!("{CLOCK}{}", sensor.0).as_str(), *offset)?;
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|e| self.io(e))
    }

    /// The offsets that were put in by [`Store::set_clocks`].
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn clocks(&self) -> Result<Vec<(SensorId, i64)>, StoreError> {
        let read = || -> Result<Vec<_>, redb::Error> {
            let table = self.database()?.begin_read()?.open_table(STATE)?;
            let mut clocks = Vec::new();
            for row in table.range(CLOCK..)? {
                let (key, offset) = row?;
                let Some(id) = key.value().strip_prefix(CLOCK) else { break };
                clocks.extend(id.parse().ok().map(|id| (SensorId(id), offset.value())));
            }
            Ok(clocks)
        };
        read().map_err(|e| self.io(e))
    }

    /// How many readings there are.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn len(&self) -> Result<u64, StoreError> {
        let read = || -> Result<u64, redb::Error> { Ok(self.database()?.begin_read()?.open_table(READINGS)?.len()?) };
        read().map_err(|e| self.io(e))
    }

    /// Whether there is none.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    fn io(&self, error: redb::Error) -> StoreError {
        match error {
            redb::Error::Corrupted(reason) => StoreError::Damaged { path: self.path.clone(), reason },
            error => StoreError::Io { path: self.path.clone(), reason: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALL: Retention = Retention { age: Duration::from_secs(86_400 * 365), bytes: 1 << 40 };

    fn readings(range: std::ops::Range<i64>) -> Vec<Reading> {
        range.map(|i| Reading { at: Moment(i * 1_000_000), sensor: SensorId(0), value: i as f64 }).collect()
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
            let traits = SensorTraits { name: "hall".into(), ..SensorTraits::default() };
            let done = store.commit(&[(SensorId(0), "h", &traits)], &readings(0..100)).unwrap();
            assert_eq!(done.new, 100);
            assert_eq!(store.commit(&[], &readings(50..120)).unwrap().new, 20);
            store.set_reported(Moment(7)).unwrap();
            assert!(matches!(Store::open(&path, KEEP_ALL), Err(StoreError::InUse(_))));
        }
        let store = Store::open(&path, KEEP_ALL).unwrap();
        assert_eq!(all(&store), (0..120).collect::<Vec<_>>());
        assert_eq!(store.reported().unwrap(), Some(Moment(7)));
        assert_eq!(store.sensors().unwrap()[0].1.name, "hall");
    }

    #[test]
    fn the_store_is_bounded_in_age_and_size_and_says_what_it_drops() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: Duration::from_secs(50), ..KEEP_ALL };
        let mut store = Store::open(&folder.path().join("a"), retention).unwrap();
        let done = store.commit(&[], &readings(0..100)).unwrap();
        assert_eq!((done.dropped_by_age, all(&store).len()), (49, 51));
        let retention = Retention { bytes: 10 * BYTES_PER_READING, ..KEEP_ALL };
        let mut store = Store::open(&folder.path().join("b"), retention).unwrap();
        let done = store.commit(&[], &readings(0..100)).unwrap();
        assert_eq!((done.dropped_by_size, all(&store)), (90, (90..100).collect()));
    }

    #[test]
    fn a_reading_from_another_century_drops_nothing_and_a_clock_set_back_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: Duration::from_secs(3 * 86_400), ..KEEP_ALL };
        let mut store = Store::open(&folder.path().join("a"), retention).unwrap();
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
    fn a_damaged_store_is_called_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("readings.redb");
        Store::open(&path, KEEP_ALL).unwrap().commit(&[], &readings(0..10_000)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut zeroed = whole.clone();
        zeroed[..4096].fill(0);
        let mut scrambled = whole.clone();
        scrambled.iter_mut().skip(64).for_each(|b| *b ^= 0x5a);
        for bytes in [b"not a store at all, but text".to_vec(), zeroed, scrambled] {
            std::fs::write(&path, bytes).unwrap();
            let message = Store::open(&path, KEEP_ALL).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(message.contains("damaged") && message.contains("readings.redb"), "{message}");
        }
    }
}
