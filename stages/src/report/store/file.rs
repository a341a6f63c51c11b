//! The store's file while it is open: what it holds, known in memory, and transactions on it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use nearfield_telemetry::read::states;
use nearfield_telemetry::{Moment, Reading, SensorId, SensorTraits};
use rusqlite::Connection;

use super::rows::{Row, day_of};
use super::schema::{self, COMMIT, Content, DROPPED, DatabaseError, WORD};
use super::{Committed, Retention, beside};
use crate::report::windower::now;

/// Clocks may differ by so much.
const AHEAD_SECONDS: f64 = 86_400.0;
/// A reading with its key, its checksum and its share of the tree.
pub(super) const BYTES_PER_READING: u64 = 40;
/// SQLite holds in memory what a statement has deleted.
const DROPPED_AT_ONCE: u64 = 20_000;
/// The file that tells how many commits there have been: the store's number, the last commit, and a CRC-32 of both.
const MARK: &str = "-mark";
const MARK_BYTES: usize = 4 + 8 + 4;

/// Sensors and readings of a commit that was under way when its process ended.
pub(super) type LeftOver = (BTreeMap<u32, (String, String)>, Vec<Reading>);

/// The file with what is known of it.
pub(super) struct OpenFile {
    pub(super) connection: Connection,
    pub(super) content: Content,
    /// Readings.
    pub(super) count: u64,
    mark: Option<File>,
    /// Held as long as the connection is: SQLite's own locks end when any descriptor of the file is closed.
    pub(super) lock: File,
}

/// What a transaction changes, known to the program when the disk has it.
pub(super) struct Change {
    commit: i64,
    sensors: Vec<(String, SensorTraits)>,
    state: Vec<(String, i64)>,
    /// Readings more, or less, by day and sensor.
    readings: HashMap<(i64, u32), i64>,
    newest: Option<Moment>,
    /// Days before this are not counted any more.
    first_day: Option<i64>,
}

impl Change {
    pub(super) fn set(&mut self, key: &str, value: i64) {
        self.state.retain(|(k, _)| k != key);
        self.state.push((key.to_owned(), value));
    }

    fn is_none(&self) -> bool {
        self.sensors.is_empty() && self.state.is_empty() && self.readings.is_empty()
    }
}

impl OpenFile {
    pub(super) fn new(connection: Connection, content: Content, lock: File, path: &Path) -> OpenFile {
        let count = content.tallies.values().sum::<i64>().max(0) as u64;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).to_owned();
        let mark = options.open(beside(path, MARK)).ok();
        OpenFile { connection, content, count, mark, lock }
    }

    /// Writes down the number of the last commit outside the store, since a journal that is cut off looks like one that ends. It is not
    /// synced: after a power cut it may be an older one, which tells less and nothing wrong.
    pub(super) fn mark(&self) {
        let mut bytes = [0; MARK_BYTES];
        bytes[..4].copy_from_slice(&self.content.number.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.state(COMMIT).unwrap_or(0).to_le_bytes());
        let crc = crc32fast::hash(&bytes[..12]);
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        if let Some(mark) = &self.mark {
            // Without it a loss may go unnoticed, no more.
            let _ = mark.write_all_at(&bytes, 0);
        }
    }

    /// How many commits are marked that the file does not have.
    pub(super) fn missing_commits(&self, was_salvaged: bool) -> Option<i64> {
        let mut bytes = [0; MARK_BYTES];
        self.mark.as_ref()?.read_exact_at(&mut bytes, 0).ok()?;
        let (marked, crc) = bytes.split_at(12);
        let is_whole = crc32fast::hash(marked).to_le_bytes() == crc && marked[..4] == self.content.number.to_le_bytes();
        let marked = i64::from_le_bytes(marked[4..].try_into().ok().filter(|_| is_whole)?);
        // A salvage is a commit of its own.
        let missing = marked.saturating_sub(self.state(COMMIT)?.saturating_sub(i64::from(was_salvaged)));
        (missing > 0).then_some(missing)
    }

    pub(super) fn state(&self, key: &str) -> Option<i64> {
        self.content.state.get(key).copied()
    }

    /// Runs `work` in a transaction that is synced when this returns. After an error everything is as it was before.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&OpenFile, &mut Change) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut change = Change {
            commit: self.state(COMMIT).unwrap_or(0).saturating_add(1),
            sensors: Vec::new(),
            state: Vec::new(),
            readings: HashMap::new(),
            newest: self.content.newest,
            first_day: None,
        };
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let written = work(self, &mut change).and_then(|done| {
            if !change.is_none() {
                self.finish(&mut change)?;
            }
            self.connection.execute_batch("COMMIT")?;
            Ok(done)
        });
        if written.is_err() {
            if !self.connection.is_autocommit() {
                // A transaction that can't be rolled back is none for the next reader of the journal either.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            return written;
        }
        let content = &mut self.content;
        content.sensors.append(&mut change.sensors);
        for (key, value) in change.state {
            content.state.insert(key, value);
        }
        for (place, delta) in change.readings {
            *content.tallies.entry(place).or_default() += delta;
            self.count = self.count.saturating_add_signed(delta);
        }
        if let Some(day) = change.first_day {
            content.tallies = content.tallies.split_off(&(day, 0));
        }
        content.newest = change.newest;
        self.mark();
        written
    }

    /// Writes what every commit writes: the counts of what it changed, and its number.
    fn finish(&self, change: &mut Change) -> Result<(), DatabaseError> {
        let (content, number) = (&self.content, self.content.number);
        for (place, delta) in &change.readings {
            let count = content.tallies.get(place).copied().unwrap_or(0) + delta;
            schema::insert(&self.connection, &Row::Tally(place.0, place.1, count, change.commit), number)?;
        }
        if let Some(day) = change.first_day {
            self.connection.prepare_cached("DELETE FROM tallies WHERE day < ?")?.execute([day])?;
        }
        for (id, (key, traits)) in (content.sensors.len() as u32..).zip(&change.sensors) {
            let traits = serde_json::to_string(traits).unwrap_or_default();
            schema::insert(&self.connection, &Row::Sensor(id, key.clone(), traits), number)?;
        }
        change.set(COMMIT, change.commit);
        for (key, value) in &change.state {
            schema::insert(&self.connection, &Row::State((*key).to_owned(), *value, change.commit), number)?;
        }
        Ok(())
    }

    /// Adds sensors and readings, and drops what is too old or too much.
    pub(super) fn add(
        &self,
        change: &mut Change,
        sensors: &[(SensorId, &str, &SensorTraits)],
        readings: &[Reading],
        retention: Retention,
        bound: &mut Vec<Option<u32>>,
    ) -> Result<Committed, DatabaseError> {
        let known = &self.content.sensors;
        if !sensors.is_empty() {
            let mut places: HashMap<String, u32> = known.iter().map(|(key, _)| key.clone()).zip(0..).collect();
            for (id, key, traits) in sensors {
                let next = places.len() as u32;
                let place = *places.entry((*key).to_owned()).or_insert_with(|| {
                    change.sensors.push(((*key).to_owned(), (*traits).clone()));
                    next
                });
                let at = id.0 as usize;
                bound.resize(bound.len().max(at + 1), None);
                bound[at] = Some(place);
            }
        }
        let mut done = Committed::default();
        let mut dropped_before = self.state(DROPPED).unwrap_or(i64::MIN);
        let mut kept: HashSet<i64> = HashSet::new();
        for (nth, reading) in readings.iter().enumerate().filter(|(_, r)| r.value.is_finite()) {
            let place = bound.get(reading.sensor.0 as usize).copied().flatten();
            let place = place.expect("a sensor is committed no later than its readings");
            // The first one counts, as in a window.
            let row = Row::Reading(Reading { sensor: SensorId(place), ..*reading });
            let code = reading.value as i64;
            if let Some(word) = states::word_to_keep(reading.value).filter(|_| kept.insert(code)) {
                let key = format!("{WORD}{word}");
                if self.state(&key).is_none() {
                    change.state.push((key, code));
                }
            }
            if schema::insert(&self.connection, &row, self.content.number)? {
                *change.readings.entry((day_of(reading.at.0), place)).or_default() += 1;
                done.new += 1;
                dropped_before = dropped_before.min(reading.at.0);
            } else {
                done.known.push(nth);
                let stored = self
                    .connection
                    .prepare_cached("SELECT value FROM readings WHERE at = ? AND sensor = ?")?
                    .query_row((reading.at.0, place), |row| row.get::<_, f64>(0))?;
                done.conflicting += u64::from(stored != reading.value);
            }
            change.newest = change.newest.max(Some(reading.at));
        }
        // One reading with the date of another century does not make all others old.
        let newest = change.newest.unwrap_or(Moment(0)).min(now().plus_seconds(AHEAD_SECONDS));
        let too_old = newest.0.saturating_sub(retention.age.as_micros().min(i64::MAX as u128) as i64);
        let mut drop_oldest = |older_than: i64, at_most: u64| -> Result<(u64, i64), DatabaseError> {
            let mut statement = self.connection.prepare_cached(
                "DELETE FROM readings WHERE (at, sensor) IN \
                 (SELECT at, sensor FROM readings WHERE at < ? ORDER BY at, sensor LIMIT ?) RETURNING at, sensor",
            )?;
            let (mut dropped, mut last) = (0, i64::MIN);
            loop {
                let before = dropped;
                let limit = DROPPED_AT_ONCE.min(at_most - dropped);
                let mut rows = statement.query((older_than, limit as i64))?;
                while let Some(row) = rows.next()? {
                    let (at, sensor) = (row.get::<_, i64>(0)?, row.get::<_, u32>(1)?);
                    *change.readings.entry((day_of(at), sensor)).or_default() -= 1;
                    (dropped, last) = (dropped + 1, last.max(at));
                }
                if dropped - before < limit || dropped >= at_most {
                    return Ok((dropped, last));
                }
            }
        };
        (done.dropped_by_age, _) = drop_oldest(too_old, u64::MAX)?;
        if done.dropped_by_age > 0 {
            dropped_before = dropped_before.max(too_old);
        }
        let count = (self.count + done.new).saturating_sub(done.dropped_by_age);
        let excess = count.saturating_sub(retention.bytes / BYTES_PER_READING);
        if excess > 0 {
            let last;
            (done.dropped_by_size, last) = drop_oldest(i64::MAX, excess)?;
            dropped_before = dropped_before.max(last);
        }
        if self.state(DROPPED).unwrap_or(i64::MIN) != dropped_before {
            change.set(DROPPED, dropped_before);
            let first = day_of(dropped_before);
            change.readings.retain(|(day, _), delta| *day >= first || *delta != 0);
            change.first_day = Some(first);
        }
        Ok(done)
    }

    /// Takes up what a commit that was not complete had already written: it may have been damaged instead.
    pub(super) fn recover(&mut self, (sensors, readings): LeftOver) -> Result<(), DatabaseError> {
        if sensors.is_empty() && readings.is_empty() {
            return Ok(());
        }
        let recovered = self.write(|open, change| {
            let known = open.content.sensors.len() as u32;
            let mut keys: HashSet<&str> = open.content.sensors.iter().map(|(key, _)| key.as_str()).collect();
            for (id, (key, traits)) in &sensors {
                if let Ok(traits) = serde_json::from_str(traits)
                    && *id == known + change.sensors.len() as u32
                    && keys.insert(key)
                {
                    change.sensors.push((key.clone(), traits));
                }
            }
            let known = known + change.sensors.len() as u32;
            let dropped = open.state(DROPPED).unwrap_or(i64::MIN);
            let mut recovered = 0u64;
            for reading in readings.iter().filter(|r| r.sensor.0 < known && r.at.0 >= dropped && r.value.is_finite()) {
                if schema::insert(&open.connection, &Row::Reading(*reading), open.content.number)? {
                    *change.readings.entry((day_of(reading.at.0), reading.sensor.0)).or_default() += 1;
                    change.newest = change.newest.max(Some(reading.at));
                    recovered += 1;
                }
            }
            Ok(recovered)
        })?;
        if recovered > 0 {
            tracing::info!(
                readings = recovered,
                "readings of a commit that was cut off were recovered from the journal"
            );
        }
        Ok(())
    }

    /// Holds the readings of a day to their checksums and their count.
    pub(super) fn check_day(&self, day: i64) -> Result<(), DatabaseError> {
        let mut counts: BTreeMap<u32, i64> = BTreeMap::new();
        let from = day.saturating_mul(86_400_000_000);
        let until = from.saturating_add(86_400_000_000 - 1);
        schema::read(&self.connection, self.content.number, from..=until, &mut |reading| {
            *counts.entry(reading.sensor.0).or_default() += 1;
            Ok(())
        })?;
        let expected = self.content.tallies.range((day, 0)..=(day, u32::MAX));
        let expected: BTreeMap<u32, i64> = expected.map(|((_, id), n)| (*id, *n)).filter(|(_, n)| *n > 0).collect();
        match counts == expected {
            true => Ok(()),
            false => Err(DatabaseError::Damaged("readings are missing".to_owned())),
        }
    }
}
