//! A new store out of what is readable: every whole row of a damaged store, of its journal and of its backups, whatever the pages around
//! it say. The damaged files are kept beside the store, and what is missing is counted by sensor and day.
//!
//! The new file takes the damaged one's place in two steps, so that a process that ends in between leaves a store: it is complete under
//! the name `STORE.salvaged` first (the step that decides), then the journal is removed and the name changed. [`finish`] does the second
//! step again at the next start.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nearfield_telemetry::{Reading, SensorId, SensorTraits};

use super::rows::{Row, day_of, scan};
use super::schema::{self, COMMIT, DROPPED, DatabaseError, MAX_SENSORS, MAX_TALLIES};
use super::{beside, time_in_a_name};

/// Rows that are enough to know a store's number by.
const ENOUGH_ROWS: u32 = 10_000;
/// Numbers that are told apart; random bytes say one each.
const MAX_NUMBERS: usize = 1 << 16;
/// Keys and traits of sensors and state at most; they are held in memory.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// Damaged files that are kept.
const KEPT: usize = 3;

/// What a salvage did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// What was found.
    pub reason: String,
    /// Where the damaged file is now; `None` when there was none.
    pub kept: Option<PathBuf>,
    /// Readings in the new file.
    pub readings: u64,
    /// Those of them that only a backup had.
    pub from_backup: u64,
    /// Readings lost, by the name of their sensor and the day in UTC; `None` when the damaged file does not say how many there were.
    pub lost: Option<Vec<Loss>>,
    /// Sensors whose names can't be read; their readings are among those lost.
    pub sensors_lost: usize,
}

/// Readings of one sensor on one day that are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What people call the sensor; `None` when that is lost, too.
    pub sensor: Option<String>,
    /// The day in UTC, counted from 1970.
    pub day: i64,
    /// How many.
    pub readings: u64,
}

impl Repair {
    /// Readings lost, as far as is known.
    pub fn readings_lost(&self) -> u64 {
        self.lost.iter().flatten().map(|l| l.readings).sum()
    }

    fn lost_in_words(&self) -> String {
        let Some(lost) = &self.lost else {
            return "how many are lost can't be told, since the counts can't be read either".to_owned();
        };
        if lost.is_empty() {
            return "none is lost".to_owned();
        }
        let mut by_sensor: BTreeMap<&str, u64> = BTreeMap::new();
        for loss in lost {
            *by_sensor.entry(loss.sensor.as_deref().unwrap_or("sensors without a readable name")).or_default() +=
                loss.readings;
        }
        let day = |day: i64| {
            let date = jiff::Timestamp::from_second(day.saturating_mul(86_400));
            date.map_or_else(|_| "an unknown day".to_owned(), |t| t.strftime("%Y-%m-%d").to_string())
        };
        let mut days: Vec<i64> = lost.iter().map(|l| l.day).collect();
        days.sort_unstable();
        let days = match (days.first(), days.last()) {
            (Some(first), Some(last)) if first != last => format!("between {} and {}", day(*first), day(*last)),
            (Some(first), _) => format!("on {}", day(*first)),
            _ => String::new(),
        };
        let mut sensors: Vec<_> = by_sensor.into_iter().collect();
        sensors.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let more = sensors.len().saturating_sub(5);
        let mut named: Vec<String> = sensors.iter().take(5).map(|(name, n)| format!("{name} {n}")).collect();
        if more > 0 {
            named.push(format!("{more} more sensors"));
        }
        format!(
            "{} are lost ({}; {days} in UTC), and windows of that time lack them",
            self.readings_lost(),
            named.join(", ")
        )
    }
}

impl std::fmt::Display for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} readings were recovered", self.reason, self.readings)?;
        if self.from_backup > 0 {
            write!(f, ", {} of them from a backup", self.from_backup)?;
        }
        write!(f, "; {}", self.lost_in_words())?;
        if let Some(kept) = &self.kept {
            write!(f, "; the damaged file is kept as {}", kept.display())?;
        }
        Ok(())
    }
}

/// Rows other than readings, of the store that has most rows.
#[derive(Default)]
struct Frame {
    sensors: BTreeMap<u32, (String, String)>,
    /// Value and commit; the latest counts.
    state: HashMap<String, (i64, i64)>,
    tallies: BTreeMap<(i64, u32), (i64, i64)>,
}

/// The number of the store that most rows of these files are of.
fn number(sources: &[PathBuf]) -> Option<u32> {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    let mut enough = None;
    for source in sources {
        // What can't be opened has no rows.
        let _ = scan(source, 0, &mut |_, number, _| {
            let is_known = counts.contains_key(&number);
            if is_known || counts.len() < MAX_NUMBERS {
                let count = counts.entry(number).or_default();
                *count += 1;
                if *count >= ENOUGH_ROWS {
                    enough = Some(number);
                }
            }
            enough.is_none()
        });
        if enough.is_some() {
            return enough;
        }
        // What the header says, too, is no chance.
        let mut header = [0; 64];
        let headed = File::open(source).and_then(|f| f.read_exact_at(&mut header, 0)).is_ok();
        let said = u32::from_be_bytes([header[60], header[61], header[62], header[63]]);
        if headed && header.starts_with(b"SQLite format 3") && counts.contains_key(&said) {
            return Some(said);
        }
        // The store itself before its journal, and that before backups: a number by chance is said once.
        if let Some((number, _)) = counts.iter().filter(|(_, n)| **n > 1).max_by_key(|(_, n)| **n) {
            return Some(*number);
        }
    }
    // A store of one row.
    (counts.len() == 1).then(|| counts.into_keys().next()).flatten()
}

/// The number that the rows in the first pages of a file agree on, and the latest commit that they tell of.
pub(super) fn peek(path: &Path, bytes: u64) -> (Option<u32>, Option<i64>) {
    let mut counts: HashMap<u32, u32> = HashMap::new();
    let mut commits: HashMap<u32, i64> = HashMap::new();
    let _ = scan(path, 0, &mut |row, number, at| {
        if counts.contains_key(&number) || counts.len() < MAX_NUMBERS {
            *counts.entry(number).or_default() += 1;
            if let Row::State(key, _, commit) = &row
                && key == COMMIT
            {
                let latest = commits.entry(number).or_insert(*commit);
                *latest = (*latest).max(*commit);
            }
        }
        at < bytes
    });
    // Every store has its commit's row; bytes by chance do not make one.
    let best = counts.iter().filter(|(n, _)| commits.contains_key(n)).max_by_key(|(_, n)| **n).map(|(n, _)| *n);
    (best, best.and_then(|n| commits.get(&n).copied()))
}

fn frame(sources: &[PathBuf], number: u32) -> Frame {
    let mut frame = Frame::default();
    let mut text = 0;
    for source in sources {
        let _ = scan(source, 0, &mut |row, of, _| {
            if of != number || text > MAX_TEXT_BYTES {
                return true;
            }
            match row {
                Row::Reading(_) => {}
                Row::Sensor(id, key, traits) => {
                    if (id as usize) < MAX_SENSORS && !frame.sensors.contains_key(&id) {
                        text += key.len() + traits.len();
                        frame.sensors.insert(id, (key, traits));
                    }
                }
                Row::State(key, value, commit) => {
                    let latest = frame.state.get(&key).is_none_or(|(_, before)| *before <= commit);
                    if latest {
                        text += key.len();
                        frame.state.insert(key, (value, commit));
                    }
                }
                Row::Tally(day, sensor, count, commit) => {
                    let before = frame.tallies.get(&(day, sensor)).map(|(_, before)| *before);
                    if before.map_or(frame.tallies.len() < MAX_TALLIES, |before| before <= commit) {
                        frame.tallies.insert((day, sensor), (count, commit));
                    }
                }
            }
            true
        });
    }
    frame
}

/// The sensors of the new store: key and traits by their number there, and the number there by that in the damaged one.
struct Sensors {
    names: Vec<(String, String)>,
    places: HashMap<u32, u32>,
}

impl Sensors {
    /// Those that a running program knows, or those of the damaged store whose names can be read. Others would leave holes in the numbers.
    fn of(frame: &Frame, known: Option<&[(String, SensorTraits)]>) -> Sensors {
        let mut sensors = Sensors { names: Vec::new(), places: HashMap::new() };
        match known {
            Some(known) => {
                for (id, (key, traits)) in (0..).zip(known) {
                    sensors.places.insert(id, id);
                    sensors.names.push((key.clone(), serde_json::to_string(traits).unwrap_or_default()));
                }
            }
            None => {
                let mut keys = std::collections::HashSet::new();
                for (id, (key, traits)) in &frame.sensors {
                    if keys.insert(key.clone()) && serde_json::from_str::<SensorTraits>(traits).is_ok() {
                        sensors.places.insert(*id, sensors.names.len() as u32);
                        sensors.names.push((key.clone(), traits.clone()));
                    }
                }
            }
        }
        sensors
    }

    /// What people call a sensor of the damaged store.
    fn name(&self, id: u32) -> Option<String> {
        let (key, traits) = self.names.get(*self.places.get(&id)? as usize)?;
        let traits: SensorTraits = serde_json::from_str(traits).unwrap_or_default();
        let name = if traits.name.is_empty() { key.clone() } else { traits.name };
        Some(name.chars().filter(|c| !c.is_control()).take(80).collect())
    }
}

/// The readings that were copied into the new store.
#[derive(Default)]
struct Copied {
    readings: u64,
    from_backup: u64,
    /// By day and the sensor's number in the new store.
    counts: BTreeMap<(i64, u32), i64>,
    /// By day and the sensor's number in the damaged store.
    found: BTreeMap<(i64, u32), i64>,
    /// Sensors of the damaged store that have readings and no name.
    nameless: std::collections::HashSet<u32>,
}

impl Copied {
    /// Copies every reading of `sources` (the store, its journal, backups) that is of the store `number` and not older than `dropped`.
    fn copy(
        sources: &[PathBuf],
        number: u32,
        dropped: i64,
        sensors: &Sensors,
        new: &rusqlite::Connection,
    ) -> Result<Copied, DatabaseError> {
        let mut copied = Copied::default();
        let mut failed = None;
        for (i, source) in sources.iter().enumerate() {
            let _ = scan(source, 0, &mut |row, of, _| {
                let Row::Reading(Reading { at, sensor, value }) = row else { return true };
                if of != number || at.0 < dropped || !value.is_finite() {
                    return true;
                }
                let Some(place) = sensors.places.get(&sensor.0) else {
                    if copied.nameless.len() < MAX_SENSORS {
                        copied.nameless.insert(sensor.0);
                    }
                    return true;
                };
                let row = Row::Reading(Reading { at, sensor: SensorId(*place), value });
                match schema::insert(new, &row, number) {
                    Ok(true) => {
                        *copied.counts.entry((day_of(at.0), *place)).or_default() += 1;
                        *copied.found.entry((day_of(at.0), sensor.0)).or_default() += 1;
                        copied.readings += 1;
                        copied.from_backup += u64::from(i > 1);
                    }
                    Ok(false) => {}
                    Err(error) => failed = Some(DatabaseError::from(error)),
                }
                failed.is_none()
            });
            if let Some(failed) = failed {
                return Err(failed);
            }
        }
        Ok(copied)
    }

    /// What the damaged store had counted and is not there, by day and sensor; `None` where it does not say how many there were.
    fn lost(&self, frame: &Frame, dropped: i64, sensors: &Sensors) -> Option<Vec<Loss>> {
        if frame.tallies.is_empty() {
            return None;
        }
        let lost = frame.tallies.iter().filter_map(|(place, (expected, _))| {
            let readings = expected.saturating_sub(self.found.get(place).copied().unwrap_or(0));
            let is_dropped = place.0 < day_of(dropped);
            (readings > 0 && !is_dropped).then(|| Loss {
                sensor: sensors.name(place.1),
                day: place.0,
                readings: readings as u64,
            })
        });
        Some(lost.collect())
    }
}

/// Writes what is not a reading: sensors, counts by day, and the store's state.
fn describe(
    new: &rusqlite::Connection,
    number: u32,
    frame: &Frame,
    sensors: &Sensors,
    copied: &Copied,
) -> Result<(), DatabaseError> {
    let commit = frame.state.values().map(|(_, commit)| *commit).max().unwrap_or(0).saturating_add(1);
    for (id, (key, traits)) in (0..).zip(&sensors.names) {
        schema::insert(new, &Row::Sensor(id, key.clone(), traits.clone()), number)?;
    }
    for ((day, sensor), count) in &copied.counts {
        schema::insert(new, &Row::Tally(*day, *sensor, *count, commit), number)?;
    }
    for (key, (value, _)) in &frame.state {
        let value = if key == COMMIT { commit } else { *value };
        schema::insert(new, &Row::State(key.clone(), value, commit), number)?;
    }
    schema::insert(new, &Row::State(COMMIT.to_owned(), commit, commit), number)?;
    Ok(())
}

/// Makes a new store of what is readable in the store at `path`, in its journal and in `backups`, and puts it in the place of the damaged
/// one. `known` are all sensors in the order of their numbers, where a running program knows them.
///
/// # Errors
/// There is no room, or no right to write.
pub(super) fn salvage(
    path: &Path,
    backups: &[PathBuf],
    known: Option<&[(String, SensorTraits)]>,
    reason: String,
    fresh: u32,
) -> Result<Repair, DatabaseError> {
    let io = |e: std::io::Error| DatabaseError::Io(e.to_string());
    let journal = beside(path, "-wal");
    let mut sources = vec![path.to_owned(), journal.clone()];
    sources.extend_from_slice(backups);
    let number = number(&sources).unwrap_or(fresh);
    let frame = frame(&sources, number);
    let sensors = Sensors::of(&frame, known);
    // Rows that were dropped for their age may still lie about.
    let dropped = frame.state.get(DROPPED).map_or(i64::MIN, |(before, _)| *before);

    let unfinished = beside(path, ".salvaging");
    remove(&unfinished).map_err(io)?;
    let new = schema::create(&unfinished, number)?;
    new.execute_batch("BEGIN")?;
    let copied = match Copied::copy(&sources, number, dropped, &sensors, &new) {
        Ok(copied) => copied,
        Err(error) => {
            drop(new);
            let _ = remove(&unfinished);
            return Err(error);
        }
    };
    describe(&new, number, &frame, &sensors, &copied)?;
    new.execute_batch("COMMIT")?;
    new.close().map_err(|(_, error)| DatabaseError::from(error))?;

    let mut repair = Repair {
        reason,
        kept: None,
        readings: copied.readings,
        from_backup: copied.from_backup,
        lost: copied.lost(&frame, dropped, &sensors),
        sensors_lost: copied.nameless.len(),
    };
    File::open(&unfinished).and_then(|f| f.sync_all()).map_err(io)?;
    repair.kept = keep_damaged(path, &journal).map_err(io)?;
    std::fs::rename(&unfinished, beside(path, ".salvaged")).map_err(io)?;
    sync_folder(path);
    finish(path).map_err(io)?;
    Ok(repair)
}

/// Puts a complete salvaged store in its place, if there is one.
pub(super) fn finish(path: &Path) -> std::io::Result<bool> {
    let salvaged = beside(path, ".salvaged");
    if !salvaged.is_file() {
        return Ok(false);
    }
    // A journal that is left would be played into the new file.
    for suffix in ["-wal", "-journal", "-shm"] {
        remove(&beside(path, suffix))?;
    }
    std::fs::rename(&salvaged, path)?;
    sync_folder(path);
    Ok(true)
}

/// Gives the damaged store and its journal second names, and forgets the oldest of too many.
fn keep_damaged(path: &Path, journal: &Path) -> std::io::Result<Option<PathBuf>> {
    let prefix = format!("{}.damaged-", path.file_name().unwrap_or_default().to_string_lossy());
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut kept: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)))
        .filter(|p| !p.to_string_lossy().ends_with("-wal"))
        .collect();
    kept.sort();
    while kept.len() >= KEPT {
        let oldest = kept.remove(0);
        remove(&oldest)?;
        remove(&beside(&oldest, "-wal"))?;
        tracing::info!("{} was removed: only the last {KEPT} damaged stores are kept", oldest.display());
    }
    let second_name = |from: &Path, to: &Path| match std::fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        // Not all file systems have second names.
        Err(_) => std::fs::copy(from, to).map(drop),
    };
    let stem = beside(path, &format!(".damaged-{}", time_in_a_name()));
    let mut name = stem.clone();
    for n in 2..1000 {
        if !name.exists() {
            break;
        }
        name = beside(&stem, &format!("-{n}"));
    }
    let mut found = None;
    if std::fs::metadata(path).is_ok_and(|m| m.len() > 0) {
        second_name(path, &name)?;
        found = Some(name.clone());
    }
    if std::fs::metadata(journal).is_ok_and(|m| m.len() > 0) {
        second_name(journal, &beside(&name, "-wal"))?;
        found.get_or_insert_with(|| beside(&name, "-wal"));
    }
    Ok(found)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes changed names last through a power cut, where the system can.
pub(super) fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|f| f.sync_all());
}

/// Readings and sensors in the part of a journal that SQLite will not read, since their commit was not complete.
pub(super) fn left_over(journal: &Path, from: u64, number: u32) -> (BTreeMap<u32, (String, String)>, Vec<Reading>) {
    let (mut sensors, mut readings) = (BTreeMap::new(), Vec::new());
    let _ = scan(journal, from, &mut |row, of, _| {
        match row {
            Row::Reading(reading) if of == number => readings.push(reading),
            Row::Sensor(id, key, traits) if of == number && sensors.len() < ENOUGH_ROWS as usize => {
                sensors.insert(id, (key, traits));
            }
            _ => {}
        }
        readings.len() < ENOUGH_ROWS as usize * 100
    });
    readings.sort_by_key(|r| (r.at, r.sensor));
    (sensors, readings)
}
