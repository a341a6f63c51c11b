//! The tables, how a connection is set up, and the check of a whole file: its pages by SQLite, each row by its checksum, and the number
//! of rows by the tallies, so that neither a changed nor a missing row goes unnoticed.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use nearfield_telemetry::read::states;
use nearfield_telemetry::{Moment, Reading, SensorId, SensorTraits};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::rows::{PAGE_BYTES, Row, day_of};

/// The table of each kind of row; `sqlite_schema` holds exactly these words. Sensors stand twice: one page that is lost would else take
/// the names from all readings.
const TABLES: [&str; 5] = [
    "CREATE TABLE sensors(id INTEGER NOT NULL, key TEXT NOT NULL, traits TEXT NOT NULL, sum INTEGER NOT NULL)",
    "CREATE TABLE readings(at INTEGER NOT NULL, sensor INTEGER NOT NULL, value REAL NOT NULL, sum INTEGER NOT NULL, \
     PRIMARY KEY(at, sensor)) WITHOUT ROWID",
    "CREATE TABLE state(key TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL, \"commit\" INTEGER NOT NULL, \
     sum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE tallies(day INTEGER NOT NULL, sensor INTEGER NOT NULL, count INTEGER NOT NULL, \"commit\" INTEGER NOT NULL, \
     sum INTEGER NOT NULL, PRIMARY KEY(day, sensor)) WITHOUT ROWID",
    "CREATE TABLE sensors_copy(id INTEGER NOT NULL, key TEXT NOT NULL, traits TEXT NOT NULL, sum INTEGER NOT NULL)",
];
/// SQLite's `application_id` of a store: `NfSt`.
pub(super) const APPLICATION: u32 = 0x4e66_5374;
/// The state's key for the number of the last commit.
pub(super) const COMMIT: &str = "commit";
/// The state's key for the time before which readings were dropped on purpose.
pub(super) const DROPPED: &str = "dropped_before";

/// The state's key for a word of a state that can't be told from its number: the word follows, and its value is the number.
pub(super) const WORD: &str = "word/";

/// Memory for pages.
const CACHE_BYTES: usize = 16 << 20;
/// All that SQLite may allocate, whatever a damaged file asks for.
const MEMORY_BYTES: usize = 64 << 20;
/// No value and no row is longer.
const MAX_VALUE_BYTES: i32 = 16 << 20;
/// Sensors at most, as many as the configuration allows.
pub(super) const MAX_SENSORS: usize = 100_000;
/// Days times sensors at most.
pub(super) const MAX_TALLIES: usize = 4_000_000;

/// Why a file can't be used as it is.
#[derive(Debug)]
pub(super) enum DatabaseError {
    /// It is not what was written.
    Damaged(String),
    /// The system refuses.
    Io(String),
    /// Somebody else has it.
    InUse,
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> DatabaseError {
        let (code, text) = match &error {
            rusqlite::Error::SqliteFailure(code, text) => (code, text.clone().unwrap_or_else(|| code.to_string())),
            rusqlite::Error::SqlInputError { error, msg, .. } => (error, msg.clone()),
            // A value of the wrong type.
            other => return DatabaseError::Damaged(other.to_string()),
        };
        match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                DatabaseError::InUse
            }
            ErrorCode::DiskFull => DatabaseError::Io("the disk is full".to_owned()),
            ErrorCode::CannotOpen => DatabaseError::Io("no file can be made beside it".to_owned()),
            ErrorCode::SystemIoFailure if code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ => {
                DatabaseError::Damaged("it is cut off".to_owned())
            }
            ErrorCode::SystemIoFailure => {
                let what = match code.extended_code {
                    rusqlite::ffi::SQLITE_IOERR_WRITE => "a write fails, as on a full disk",
                    rusqlite::ffi::SQLITE_IOERR_READ => "a read fails",
                    rusqlite::ffi::SQLITE_IOERR_FSYNC | rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC => "syncing it fails",
                    _ => text.as_str(),
                };
                DatabaseError::Io(what.to_owned())
            }
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::OutOfMemory => DatabaseError::Io(text),
            // Malformed pages, schemas and values, and whatever a damaged file makes of a statement that is known to be right.
            _ => DatabaseError::Damaged(text),
        }
    }
}

/// What a whole file holds beside its readings.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) number: u32,
    pub(super) sensors: Vec<(String, SensorTraits)>,
    pub(super) state: BTreeMap<String, i64>,
    /// Readings by day and sensor.
    pub(super) tallies: BTreeMap<(i64, u32), i64>,
    pub(super) newest: Option<Moment>,
}

/// Makes a store at a path where there is nothing; nothing is synced.
pub(super) fn create(path: &Path, number: u32) -> Result<Connection, DatabaseError> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA page_size=4096; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF")?;
    // In one transaction, or a process that ends half-way leaves half a schema.
    let tables = TABLES.join(";");
    connection.execute_batch(&format!(
        "BEGIN; PRAGMA application_id={APPLICATION}; PRAGMA user_version={}; {tables}; COMMIT",
        number as i32
    ))?;
    insert(&connection, &Row::State(COMMIT.to_owned(), 0, 0), number)?;
    Ok(connection)
}

/// Puts a row in; a reading that is there already stays as it is. Answers whether something changed.
pub(super) fn insert(connection: &Connection, row: &Row, number: u32) -> Result<bool, rusqlite::Error> {
    let sum = row.sum(number);
    let changed = match row {
        Row::Reading(r) => connection
            .prepare_cached("INSERT OR IGNORE INTO readings VALUES(?,?,?,?)")?
            .execute((r.at.0, r.sensor.0, r.value, sum))?,
        Row::Sensor(id, key, traits) => {
            connection.prepare_cached("INSERT INTO sensors VALUES(?,?,?,?)")?.execute((id, key, traits, sum))?;
            connection.prepare_cached("INSERT INTO sensors_copy VALUES(?,?,?,?)")?.execute((id, key, traits, sum))?
        }
        Row::State(key, value, commit) => connection
            .prepare_cached("INSERT OR REPLACE INTO state VALUES(?,?,?,?)")?
            .execute((key, value, commit, sum))?,
        Row::Tally(day, sensor, count, commit) => connection
            .prepare_cached("INSERT OR REPLACE INTO tallies VALUES(?,?,?,?,?)")?
            .execute((day, sensor, count, commit, sum))?,
    };
    Ok(changed > 0)
}

/// A connection that believes as little of the file as SQLite can, and that leaves the journal alone.
fn connect(path: &Path) -> Result<Connection, DatabaseError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.execute_batch(&format!(
        "PRAGMA hard_heap_limit={MEMORY_BYTES}; PRAGMA mmap_size=0; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF; \
         PRAGMA cache_size=-{}; PRAGMA temp_store=MEMORY; PRAGMA locking_mode=EXCLUSIVE; PRAGMA wal_autocheckpoint=0",
        CACHE_BYTES / 1024
    ))?;
    Ok(connection)
}

/// Opens a store, and checks all of it. Nothing is written before it is found whole.
pub(super) fn open(path: &Path) -> Result<(Connection, Content), DatabaseError> {
    let connection = connect(path)?;
    let content = check(&connection)?;
    connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get::<_, String>(0)).map(drop)?;
    // A commit is on the disk when it returns; pages go back into the file by themselves.
    connection
        .execute_batch("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=8388608")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok((connection, content))
}

fn check(connection: &Connection) -> Result<Content, DatabaseError> {
    let damaged = |what: &str| DatabaseError::Damaged(what.to_owned());
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    if number("PRAGMA page_size")? != PAGE_BYTES as i64 || number("PRAGMA application_id")? as u32 != APPLICATION {
        return Err(damaged("its header is not that of a store"));
    }
    let mut content = Content { number: number("PRAGMA user_version")? as u32, ..Content::default() };
    let mut tables = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY rowid")?;
    let tables =
        tables.query_map([], |row| row.get::<_, String>(0))?.take(TABLES.len() + 1).collect::<Result<Vec<_>, _>>()?;
    if tables != TABLES {
        return Err(damaged("its tables are not those of a store"));
    }
    let pages: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if pages != "ok" {
        return Err(DatabaseError::Damaged(pages.lines().last().unwrap_or_default().to_owned()));
    }
    let is_whole = |row: &Row, sum: i32| match row.sum(content.number) == sum {
        true => Ok(()),
        false => Err(damaged("a row's checksum is wrong")),
    };

    let mut keys = HashSet::new();
    for table in ["sensors", "sensors_copy"] {
        // In the order in which they were written, which is that of their numbers.
        let mut statement = connection.prepare(&format!("SELECT id, key, traits, sum FROM {table} ORDER BY rowid"))?;
        let mut found = statement.query([])?;
        let mut next = 0;
        while let Some(row) = found.next()? {
            let (id, key, traits): (u32, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let sensor = Row::Sensor(id, key, traits);
            is_whole(&sensor, row.get(3)?)?;
            let Row::Sensor(id, key, traits) = sensor else { unreachable!("it was made above") };
            if id as usize != next || next >= MAX_SENSORS {
                return Err(damaged("its sensors are not numbered one after the other"));
            }
            next += 1;
            if table == "sensors" {
                let traits =
                    serde_json::from_str(&traits).map_err(|_| damaged("what is known of a sensor is not JSON"))?;
                if !keys.insert(key.clone()) {
                    return Err(damaged("a sensor has two numbers"));
                }
                content.sensors.push((key, traits));
            } else if content.sensors.get(id as usize).is_none_or(|(known, _)| *known != key) {
                return Err(damaged("the copy of its sensors is another"));
            }
        }
        if next != content.sensors.len() {
            return Err(damaged("the copy of its sensors is another"));
        }
    }
    let mut statement = connection.prepare("SELECT key, value, \"commit\", sum FROM state")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let (key, value, commit) = (row.get::<_, String>(0)?, row.get(1)?, row.get(2)?);
        is_whole(&Row::State(key.clone(), value, commit), row.get(3)?)?;
        // A word that there is no room for is told by its number.
        key.strip_prefix(WORD).into_iter().for_each(|word| _ = states::remember(word));
        content.state.insert(key, value);
    }
    if !content.state.contains_key(COMMIT) {
        return Err(damaged("it lacks its own state"));
    }
    let mut statement = connection.prepare("SELECT day, sensor, count, \"commit\", sum FROM tallies")?;
    let mut found = statement.query([])?;
    let mut tallies = BTreeMap::new();
    while let Some(row) = found.next()? {
        let (day, sensor, count, commit) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        is_whole(&Row::Tally(day, sensor, count, commit), row.get(4)?)?;
        if tallies.len() >= MAX_TALLIES {
            return Err(damaged("it counts more days than there are"));
        }
        tallies.insert((day, sensor), count);
    }
    let known = content.sensors.len();
    let mut counts: BTreeMap<(i64, u32), i64> = BTreeMap::new();
    content.newest = read(connection, content.number, i64::MIN..=i64::MAX, &mut |reading| {
        if reading.sensor.0 as usize >= known {
            return Err(damaged("a reading is of a sensor that it does not know"));
        }
        *counts.entry((day_of(reading.at.0), reading.sensor.0)).or_default() += 1;
        Ok(())
    })?;
    for (place, count) in &tallies {
        if counts.get(place).copied().unwrap_or(0) != *count {
            return Err(damaged("readings are missing"));
        }
    }
    if counts.keys().any(|place| !tallies.contains_key(place)) {
        return Err(damaged("it holds readings that it has not counted"));
    }
    content.tallies = tallies;
    Ok(content)
}

/// Readings between two moments in the order of time, each held to its checksum. Answers the time of the last one.
pub(super) fn read(
    connection: &Connection,
    number: u32,
    range: std::ops::RangeInclusive<i64>,
    take: &mut dyn FnMut(Reading) -> Result<(), DatabaseError>,
) -> Result<Option<Moment>, DatabaseError> {
    let sql = "SELECT at, sensor, value, sum FROM readings WHERE at BETWEEN ? AND ? ORDER BY at, sensor";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((range.start(), range.end()))?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let reading = Reading { at: Moment(row.get(0)?), sensor: SensorId(row.get(1)?), value: row.get(2)? };
        if Row::Reading(reading).sum(number) != row.get::<_, i32>(3)? {
            return Err(DatabaseError::Damaged("a reading's checksum is wrong".to_owned()));
        }
        last = Some(reading.at);
        take(reading)?;
    }
    Ok(last)
}
