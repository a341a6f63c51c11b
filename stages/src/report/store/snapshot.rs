//! A store as it is at a moment, for questions: a copy, so that a running report keeps its file and nothing of it is changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield_telemetry::{Moment, SensorTraits, Span};
use rusqlite::Connection;

use super::rows::Row;
use super::schema::{self, DatabaseError};
use super::{StoreError, beside};
use nearfield_telemetry::{Reading, SensorId};

/// A copy that is made while pages go back into the file is not whole, which its checksums show; then another is made.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// A copy of a store.
#[derive(Debug)]
pub struct Snapshot {
    connection: Connection,
    number: u32,
    sensors: Vec<(String, SensorTraits)>,
    newest: Option<Moment>,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Snapshot {
    /// Copies a store, which another process may be writing to, and checks the copy.
    ///
    /// # Errors
    /// There is none, it can't be copied, or it is damaged.
    pub fn take(path: &Path) -> Result<Snapshot, StoreError> {
        let io = |error: std::io::Error| StoreError::Io { path: path.to_owned(), reason: error.to_string() };
        if path.is_dir() {
            return Err(StoreError::NoStore { path: path.to_owned(), found: "a folder" });
        }
        let folder = tempfile::tempdir().map_err(io)?;
        let copy = folder.path().join("store");
        let mut tries = 0;
        loop {
            tries += 1;
            std::fs::copy(path, &copy)
                .map_err(|error| StoreError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
            let journal = beside(&copy, "-wal");
            match std::fs::copy(beside(path, "-wal"), &journal) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => _ = std::fs::remove_file(&journal),
                Err(error) => return Err(io(error)),
            }
            match schema::open(&copy) {
                Ok((connection, content)) => {
                    return Ok(Snapshot {
                        connection,
                        number: content.number,
                        sensors: content.sensors,
                        newest: content.newest,
                        path: path.to_owned(),
                        _folder: folder,
                    });
                }
                Err(_) if tries < TRIES => {
                    std::thread::sleep(BETWEEN_TRIES);
                    let _ = std::fs::remove_file(beside(&copy, "-shm"));
                }
                Err(DatabaseError::Damaged(reason)) => {
                    return Err(StoreError::Unreadable { path: path.to_owned(), reason });
                }
                Err(DatabaseError::Io(reason)) => return Err(StoreError::Io { path: path.to_owned(), reason }),
                Err(DatabaseError::InUse) => return Err(StoreError::InUse(path.to_owned())),
            }
        }
    }

    /// The sensors: key and traits, in the order of their numbers.
    pub fn sensors(&self) -> &[(String, SensorTraits)] {
        &self.sensors
    }

    /// The time of the newest reading.
    pub fn newest(&self) -> Option<Moment> {
        self.newest
    }

    /// The readings of one sensor from `span.from` to before `span.to`, in the order of time.
    ///
    /// # Errors
    /// A reading is damaged.
    pub fn read(&self, sensor: u32, span: Span, take: &mut dyn FnMut(Moment, f64)) -> Result<(), StoreError> {
        self.rows(sensor, span, take)
            .map_err(|error| StoreError::Unreadable { path: self.path.clone(), reason: format!("{error:?}") })
    }

    /// The readings of all sensors, in the order of time.
    ///
    /// # Errors
    /// A reading is damaged.
    pub fn read_all(&self, take: &mut dyn FnMut(u32, Moment, f64)) -> Result<(), StoreError> {
        let mut all = || {
            let mut statement =
                self.connection.prepare("SELECT sensor, at, value, sum FROM readings ORDER BY at, sensor")?;
            let mut rows = statement.query(())?;
            while let Some(row) = rows.next()? {
                let sensor = row.get(0)?;
                let reading = Reading { at: Moment(row.get(1)?), sensor: SensorId(sensor), value: row.get(2)? };
                if Row::Reading(reading).sum(self.number) != row.get::<_, i32>(3)? {
                    return Err(DatabaseError::Damaged("a reading's checksum is wrong".to_owned()));
                }
                take(sensor, reading.at, reading.value);
            }
            Ok(())
        };
        all().map_err(|error: DatabaseError| StoreError::Unreadable {
            path: self.path.clone(),
            reason: format!("{error:?}"),
        })
    }

    fn rows(&self, sensor: u32, span: Span, take: &mut dyn FnMut(Moment, f64)) -> Result<(), DatabaseError> {
        let sql = "SELECT at, value, sum FROM readings WHERE at >= ? AND at < ? AND sensor = ? ORDER BY at";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((span.from.0, span.to.0, sensor))?;
        while let Some(row) = rows.next()? {
            let reading = Reading { at: Moment(row.get(0)?), sensor: SensorId(sensor), value: row.get(1)? };
            if Row::Reading(reading).sum(self.number) != row.get::<_, i32>(2)? {
                return Err(DatabaseError::Damaged("a reading's checksum is wrong".to_owned()));
            }
            take(reading.at, reading.value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Retention, Store};
    use super::*;

    fn keep_all() -> Retention {
        Retention { age: Duration::from_secs(1 << 40), bytes: 1 << 40 }
    }

    #[test]
    fn a_store_in_use_is_read_with_what_is_still_in_its_journal_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut store = Store::open(&path, keep_all()).unwrap();
        let traits = SensorTraits { unit: "°C".to_owned(), ..SensorTraits::default() };
        let second = |n: i64| Moment(1_795_132_800_000_000 + n * 1_000_000);
        let readings: Vec<Reading> =
            (0..100).map(|n| Reading { at: second(n), sensor: SensorId((n % 2) as u32), value: n as f64 }).collect();
        store.commit(&[(SensorId(0), "hall", &traits), (SensorId(1), "attic", &traits)], &readings).unwrap();
        let before = std::fs::read(&path).unwrap();
        let snapshot = Snapshot::take(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(snapshot.sensors().iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["hall", "attic"]);
        assert_eq!(snapshot.newest(), Some(second(99)));
        let mut found = Vec::new();
        let span = Span { from: second(10), to: second(21) };
        snapshot.read(1, span, &mut |at, value| found.push((at, value))).unwrap();
        let expected: Vec<(Moment, f64)> = (11..21).step_by(2).map(|n| (second(n), n as f64)).collect();
        assert_eq!(found, expected);
        let mut all = Vec::new();
        snapshot.read_all(&mut |sensor, at, value| all.push((sensor, at, value))).unwrap();
        assert_eq!(all, (0..100).map(|n| ((n % 2) as u32, second(n), n as f64)).collect::<Vec<_>>());
        // What is written later is not in it.
        store.commit(&[], &[Reading { at: second(15), sensor: SensorId(0), value: 1.0 }]).unwrap();
        let mut count = 0;
        snapshot.read(0, span, &mut |_, _| count += 1).unwrap();
        assert_eq!(count, 6);
    }

    #[test]
    fn what_is_no_store_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("readings.csv");
        for (content, words) in [(None, "no such file"), (Some("time,hall\n1,2\n"), "readings.csv")] {
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let error = Snapshot::take(&path).unwrap_err().to_string().to_lowercase();
            assert!(error.contains(words) && error.contains("readings.csv"), "{error}");
        }
        assert!(Snapshot::take(folder.path()).unwrap_err().to_string().contains("a folder"));
    }
}
