//! The database of Home Assistant's recorder, `home-assistant_v2.db`: states, and of the time before the oldest state the long-term
//! statistics. It is opened for reading only, also while Home Assistant writes to it, and handed on as lines of JSON, so that units,
//! classes and states are read as in any other export of Home Assistant.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row, Rows};
use serde_json::{Value, json};

/// How an SQLite database begins.
pub const MAGIC: &[u8] = b"SQLite format 3\0";
/// The longest text that is read out of it.
const MAX_TEXT_BYTES: i32 = 1 << 20;
/// Attributes of entities that are remembered.
const MAX_ATTRIBUTES: usize = 4096;
/// Lines handed on together.
const BLOCK_BYTES: usize = 64 << 10;
/// How long a writer may hold the database.
const BUSY: Duration = Duration::from_secs(5);

/// Entities whose states are readings. Of the others (automations, updates, scenes) the state is a time or says nothing of the home.
const DOMAINS: [&str; 23] = [
    "air_quality",
    "alarm_control_panel",
    "binary_sensor",
    "climate",
    "counter",
    "cover",
    "device_tracker",
    "fan",
    "humidifier",
    "input_boolean",
    "input_number",
    "input_select",
    "light",
    "lock",
    "media_player",
    "number",
    "person",
    "sensor",
    "siren",
    "switch",
    "vacuum",
    "valve",
    "water_heater",
];

const STATES: &str = "SELECT s.state_id, m.entity_id, s.state, s.last_updated_ts, s.attributes_id \
     FROM states s JOIN states_meta m ON m.metadata_id = s.metadata_id \
     WHERE s.last_updated_ts IS NOT NULL ORDER BY s.last_updated_ts";
const NEWER_STATES: &str = "SELECT s.state_id, m.entity_id, s.state, s.last_updated_ts, s.attributes_id \
     FROM states s JOIN states_meta m ON m.metadata_id = s.metadata_id \
     WHERE s.state_id > ?1 AND s.last_updated_ts IS NOT NULL ORDER BY s.state_id";
/// Only of the time before the entity's oldest state; one from before 1990 has no time of its own.
const STATISTICS: &str = "SELECT m.statistic_id, t.mean, t.state, t.start_ts, m.unit_of_measurement, m.name, t.sum \
     FROM statistics t JOIN statistics_meta m ON m.id = t.metadata_id \
     LEFT JOIN (SELECT e.entity_id AS entity, MIN(s.last_updated_ts) AS begins \
         FROM states s JOIN states_meta e ON e.metadata_id = s.metadata_id \
         WHERE s.last_updated_ts > 631152000 GROUP BY s.metadata_id) AS o ON o.entity = m.statistic_id \
     WHERE t.start_ts IS NOT NULL AND (o.begins IS NULL OR t.start_ts + 3600 <= o.begins) ORDER BY t.start_ts";

/// What the newest state of each entity says of it.
const NEWEST_ATTRIBUTES: &str = "SELECT m.entity_id, a.shared_attrs FROM \
     (SELECT o.metadata_id, MAX(o.state_id) AS newest FROM states o \
         JOIN state_attributes b ON b.attributes_id = o.attributes_id \
         WHERE b.shared_attrs LIKE '%friendly_name%' GROUP BY o.metadata_id) AS n \
     JOIN states s ON s.state_id = n.newest JOIN states_meta m ON m.metadata_id = n.metadata_id \
     JOIN state_attributes a ON a.attributes_id = s.attributes_id";

/// An opened database.
pub struct Recorder {
    connection: Connection,
    /// The newest state that has been handed on.
    newest: i64,
    attributes: HashMap<i64, Value>,
    /// Which file it is.
    file: Option<(u64, u64)>,
}

/// Takes lines; answers whether more are wanted.
pub type Take<'a> = dyn FnMut(&[u8]) -> anyhow::Result<bool> + 'a;

impl Recorder {
    /// Opens the file.
    ///
    /// # Errors
    /// It can't be opened, or is another database.
    pub fn open(path: &Path) -> anyhow::Result<Recorder> {
        // Its journal lies beside the file, not beside a link to it.
        let path = &std::fs::canonicalize(path).context("it can't be read")?;
        let connection = match connect(path, "mode=ro") {
            Ok(connection) => connection,
            Err(error) if is_locked(&error) => {
                return Err(
                    error.context("another program holds it locked: try again later, or copy it and read the copy")
                );
            }
            // In a folder where nobody may write, SQLite can't share a database that was left in its WAL mode. One with no open
            // journal is read as it is.
            Err(error) => {
                for ending in ["-wal", "-journal"] {
                    let mut journal = path.as_os_str().to_owned();
                    journal.push(ending);
                    let is_open = std::fs::metadata(Path::new(&journal)).is_ok_and(|m| m.len() > 0);
                    ensure!(
                        !is_open,
                        "it can't be read ({error:#}): its journal {} has to be readable and its folder writable; or copy both \
                         and read the copy",
                        Path::new(&journal).display()
                    );
                }
                connect(path, "mode=ro&immutable=1").context("it can't be read")?
            }
        };
        let mut tables = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let names: Vec<String> =
            tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>().context("it can't be read")?;
        drop(tables);
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        ensure!(
            has("states"),
            "it is an SQLite database, but not Home Assistant's: it has no table \"states\"; export what it holds as CSV"
        );
        ensure!(
            has("states_meta") && has("state_attributes"),
            "it is a database of Home Assistant before 2023.4: start it once with a newer Home Assistant, or export CSV"
        );
        let file = identity(path);
        Ok(Recorder { connection, newest: 0, attributes: HashMap::new(), file })
    }

    /// Whether another file has taken its place, as Home Assistant begins a new one where the old is damaged.
    pub fn is_replaced(&self, path: &Path) -> bool {
        identity(path).is_some_and(|file| self.file != Some(file))
    }

    /// Hands on everything in the order of time.
    ///
    /// # Errors
    /// The database is damaged, or `take` fails.
    pub fn read_all(&mut self, take: &mut Take<'_>) -> anyhow::Result<()> {
        let Recorder { connection, newest, attributes, .. } = self;
        let mut lines = Lines { take, block: Vec::new(), wanted: true };
        // Both in one view of the database.
        let view = connection.transaction()?;
        let is_table = |name: &str| {
            view.query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", [name], |_| Ok(())).is_ok()
        };
        let mut attributes_of = view.prepare(ATTRIBUTES)?;
        let mut statistics = match is_table("statistics") && is_table("statistics_meta") {
            true => Some(view.prepare(STATISTICS).context("its statistics can't be read")?),
            false => None,
        };
        let mut statistics = statistics.as_mut().map(|s| s.query([])).transpose()?;
        // Statistics lack the name that people have given to an entity.
        let described = if statistics.is_some() { described(&view)? } else { HashMap::new() };
        let of_statistics = |row: &Row<'_>| of_statistics(row, &described);
        let mut states = view.prepare(STATES).context("its states can't be read")?;
        let mut states = states.query([])?;
        let mut hour = next(statistics.as_mut(), of_statistics)?;
        let mut state = next(Some(&mut states), of_state)?;
        while lines.wanted {
            let is_hour = match (&hour, &state) {
                (Some(hour), Some(state)) => hour.at <= state.at,
                (hour, state) => {
                    if hour.is_none() && state.is_none() {
                        break;
                    }
                    hour.is_some()
                }
            };
            if is_hour {
                let told = std::mem::replace(&mut hour, next(statistics.as_mut(), of_statistics)?);
                told.into_iter().try_for_each(|hour| lines.push(&hour.line))?;
            } else {
                let told = std::mem::replace(&mut state, next(Some(&mut states), of_state)?);
                if let Some(state) = told {
                    *newest = state.id.max(*newest);
                    lines.state(state, attributes, &mut attributes_of)?;
                }
            }
        }
        lines.end()
    }

    /// Hands on states that have come since.
    ///
    /// # Errors
    /// The database is damaged, or `take` fails.
    pub fn read_newer(&mut self, take: &mut Take<'_>) -> anyhow::Result<()> {
        let Recorder { connection, newest, attributes, .. } = self;
        let mut lines = Lines { take, block: Vec::new(), wanted: true };
        let mut attributes_of = connection.prepare_cached(ATTRIBUTES)?;
        let mut states = connection.prepare_cached(NEWER_STATES)?;
        let mut states = states.query([*newest])?;
        while let Some(state) = next(Some(&mut states), of_state)? {
            *newest = state.id.max(*newest);
            lines.state(state, attributes, &mut attributes_of)?;
            if !lines.wanted {
                break;
            }
        }
        lines.end()
    }
}

/// Device and number of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

/// Whether only another program's lock is in the way.
pub fn is_locked(error: &anyhow::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    let code = error.chain().find_map(|e| e.downcast_ref::<rusqlite::Error>()).and_then(|e| e.sqlite_error_code());
    matches!(code, Some(DatabaseBusy | DatabaseLocked))
}

const ATTRIBUTES: &str = "SELECT shared_attrs FROM state_attributes WHERE attributes_id = ?1";

fn connect(path: &Path, how: &str) -> anyhow::Result<Connection> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::absolute(path)?;
    let mut name = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => name.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(*byte)),
            byte => name.push_str(&format!("%{byte:02X}")),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("{name}?{how}"), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_TEXT_BYTES)?;
    // What stands in the file's schema calls no function that does more than compute.
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; PRAGMA cell_size_check = ON;")?;
    connection.query_row("SELECT COUNT(*) FROM sqlite_master", [], |_| Ok(()))?;
    Ok(connection)
}

/// A state, or an hour of statistics that is a line already.
struct State {
    at: f64,
    id: i64,
    entity: String,
    state: Value,
    attributes: Option<i64>,
    line: Value,
}

/// The next row that can be told. SQLite keeps any value in any column: a row without a name, a time or a state is passed over.
fn next(rows: Option<&mut Rows<'_>>, of: impl Fn(&Row<'_>) -> Option<State>) -> anyhow::Result<Option<State>> {
    let Some(rows) = rows else { return Ok(None) };
    while let Some(row) = rows.next().context("it can't be read to its end")? {
        if let Some(state) = of(row) {
            return Ok(Some(state));
        }
    }
    Ok(None)
}

/// Names and classes of entities, by their newest states.
fn described(view: &Connection) -> anyhow::Result<HashMap<String, Value>> {
    let mut newest = view.prepare(NEWEST_ATTRIBUTES).context("its states can't be read")?;
    let mut rows = newest.query([])?;
    let mut found = HashMap::new();
    while let Some(row) = rows.next().context("it can't be read to its end")? {
        let (Some(entity), Some(attributes)) = (text(row, 0), text(row, 1)) else { continue };
        let all: Value = serde_json::from_str(&attributes).unwrap_or_default();
        if found.len() < MAX_ATTRIBUTES {
            let kept = json!({"friendly_name": all["friendly_name"], "device_class": all["device_class"]});
            found.insert(entity, kept);
        }
    }
    Ok(found)
}

fn text(row: &Row<'_>, column: usize) -> Option<String> {
    row.get_ref(column).ok()?.as_str().ok().map(str::to_owned)
}

fn number(row: &Row<'_>, column: usize) -> Option<f64> {
    match row.get_ref(column).ok()? {
        ValueRef::Integer(number) => Some(number as f64),
        ValueRef::Real(number) => Some(number),
        _ => None,
    }
}

fn of_state(row: &Row<'_>) -> Option<State> {
    let entity = text(row, 1)?;
    let domain = entity.split('.').next().unwrap_or("");
    if !DOMAINS.contains(&domain) {
        return None;
    }
    Some(State {
        at: number(row, 3)?,
        id: row.get(0).ok()?,
        state: Value::String(text(row, 2)?),
        attributes: row.get(4).ok()?,
        line: Value::Null,
        entity,
    })
}

/// An hour: its mean in its midst, or what a meter showed at its end.
fn of_statistics(row: &Row<'_>, described: &HashMap<String, Value>) -> Option<State> {
    let (entity, start) = (text(row, 0)?, number(row, 3)?);
    let (value, at, class) = match (number(row, 1), number(row, 2).or(number(row, 6))) {
        (Some(mean), _) => (mean, start + 1800.0, "measurement"),
        (None, Some(state)) => (state, start + 3599.0, "total_increasing"),
        (None, None) => return None,
    };
    let told = |column| text(row, column).unwrap_or_default();
    let known = described.get(&entity).unwrap_or(&Value::Null);
    let of_state = |key: &str| known[key].as_str().unwrap_or_default().to_owned();
    let name = Some(told(5)).filter(|name| !name.is_empty()).unwrap_or_else(|| of_state("friendly_name"));
    let line = json!({"entity_id": entity, "state": value, "last_updated": at,
        "attributes": {"unit_of_measurement": told(4), "friendly_name": name, "device_class": of_state("device_class"),
            "state_class": class}});
    Some(State { at, id: 0, entity, state: Value::Null, attributes: None, line })
}

/// Lines on their way to the reader.
struct Lines<'a, 't> {
    take: &'a mut Take<'t>,
    block: Vec<u8>,
    wanted: bool,
}

impl Lines<'_, '_> {
    fn state(
        &mut self,
        state: State,
        known: &mut HashMap<i64, Value>,
        attributes_of: &mut rusqlite::Statement<'_>,
    ) -> anyhow::Result<()> {
        let attributes = match state.attributes {
            None => Value::Null,
            Some(id) => match known.get(&id) {
                Some(found) => found.clone(),
                None => {
                    let text: Option<String> = attributes_of.query_row([id], |row| row.get(0)).unwrap_or_default();
                    let all: Value = text.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default();
                    let mut kept = serde_json::Map::new();
                    for key in ["unit_of_measurement", "device_class", "state_class", "friendly_name"] {
                        all.get(key).into_iter().for_each(|value| _ = kept.insert(key.to_owned(), value.clone()));
                    }
                    if known.len() >= MAX_ATTRIBUTES {
                        known.clear();
                    }
                    known.insert(id, Value::Object(kept.clone()));
                    Value::Object(kept)
                }
            },
        };
        // The state of these is a time.
        if matches!(attributes["device_class"].as_str(), Some("timestamp" | "date")) {
            return Ok(());
        }
        self.push(&json!({"entity_id": state.entity, "state": state.state, "last_updated": state.at, "attributes": attributes}))
    }

    fn push(&mut self, line: &Value) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.block, line)?;
        self.block.push(b'\n');
        if self.block.len() >= BLOCK_BYTES {
            self.wanted = (self.take)(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        if !self.block.is_empty() && self.wanted {
            self.wanted = (self.take)(&self.block)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Home Assistant 2025.4 declares it (schema 50), written by SQLAlchemy from its own `db_schema.py`.
    const SCHEMA: &str = include_str!("recorder_schema.sql");

    fn database(path: &Path) -> Connection {
        let db = Connection::open(path).unwrap();
        db.execute_batch(&format!("PRAGMA journal_mode = WAL; {SCHEMA}")).unwrap();
        db.execute_batch(
            r#"INSERT INTO states_meta VALUES (1,'sensor.hall'),(2,'binary_sensor.door'),(3,'automation.night'),(4,'sensor.meter'),(5,'sensor.next_alarm');
            INSERT INTO state_attributes VALUES
                (1,1,'{"unit_of_measurement":"°C","device_class":"temperature","state_class":"measurement","friendly_name":"Hall"}'),
                (2,2,'{"device_class":"door","friendly_name":"Front door"}'),
                (4,4,'{"unit_of_measurement":"kWh","device_class":"energy","state_class":"total_increasing"}'),
                (5,5,'{"device_class":"timestamp"}'),(6,6,'{broken');
            INSERT INTO statistics_meta (id,statistic_id,source,unit_of_measurement,has_mean,has_sum,name,mean_type) VALUES
                (1,'sensor.hall','recorder','°C',1,0,NULL,1),(2,'grid:import','grid','kWh',0,1,'Grid import',0);
            INSERT INTO statistics (metadata_id,start_ts,mean,min,max,state,sum) VALUES
                (1,1773093600,19.5,19,20,NULL,NULL),(1,1773100800,99,99,99,NULL,NULL),(2,1773093600,NULL,NULL,NULL,7.5,3.5);"#,
        )
        .unwrap();
        let mut insert = db
            .prepare(
                "INSERT INTO states (state_id,state,last_updated_ts,attributes_id,metadata_id) VALUES (?1,?2,?3,?4,?5)",
            )
            .unwrap();
        for (id, state, at, attributes, meta) in [
            (1, "20.5", 1_773_100_800.5, 1, 1),
            (2, "off", 1_773_100_801.0, 2, 2),
            (3, "on", 1_773_100_802.0, 6, 3),
            (4, "unavailable", 1_773_100_900.0, 6, 1),
            (5, "1234.5", 1_773_101_000.0, 4, 4),
            (6, "2026-03-11T06:00:00+00:00", 1_773_101_100.0, 5, 5),
            (7, "on", 1_773_101_200.0, 2, 2),
        ] {
            insert.execute((id, state, at, attributes, meta)).unwrap();
        }
        drop(insert);
        db
    }

    fn told(recorder: &mut Recorder, newer: bool) -> anyhow::Result<Vec<String>> {
        use nearfield_telemetry::read::{Reader, TextOptions};
        let mut reader = Reader::new(&TextOptions::default(), jiff::tz::TimeZone::UTC, "x")?;
        let mut found = Vec::new();
        let mut emit = |f: nearfield_telemetry::read::Found<'_>| {
            let kind = f.kind.map_or("", |k| k.name());
            found.push(
                format!("{} {} {}{} {kind} {}", f.at.0 / 1_000_000, f.key, f.value, f.unit, f.name)
                    .trim_end()
                    .to_owned(),
            );
        };
        let mut take = |lines: &[u8]| {
            reader.push(lines, &mut emit)?;
            Ok(true)
        };
        match newer {
            true => recorder.read_newer(&mut take)?,
            false => recorder.read_all(&mut take)?,
        }
        reader.end(&mut emit)?;
        Ok(found)
    }

    #[test]
    fn states_and_the_statistics_before_them_are_read_in_order_while_home_assistant_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home-assistant_v2.db");
        let db = database(&path);
        // A writer holds the database, as Home Assistant does.
        db.execute_batch("BEGIN IMMEDIATE; INSERT INTO states_meta VALUES (9,'sensor.uncommitted');").unwrap();
        let mut recorder = Recorder::open(&path).unwrap();
        assert_eq!(
            told(&mut recorder, false).unwrap(),
            [
                "1773095400 sensor.hall 19.5°C measurement Hall",
                "1773097199 grid:import 7.5kWh increasing total Grid import",
                "1773100800 sensor.hall 20.5°C measurement Hall",
                "1773100801 binary_sensor.door 0 on/off state Front door",
                "1773101000 sensor.meter 1234.5kWh increasing total",
                "1773101200 binary_sensor.door 1 on/off state Front door",
            ]
        );
        db.execute_batch(
            "INSERT INTO states (state_id,state,last_updated_ts,attributes_id,metadata_id) VALUES (8,'21.5',1773101300,1,1); COMMIT;",
        )
        .unwrap();
        assert_eq!(told(&mut recorder, true).unwrap(), ["1773101300 sensor.hall 21.5°C measurement Hall"]);
        assert!(told(&mut recorder, true).unwrap().is_empty());
    }

    #[test]
    fn nothing_of_the_database_is_changed_and_a_strange_name_is_no_option() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a?mode=rwc&x=%41#b.db");
        drop(database(&path));
        let before = std::fs::read(&path).unwrap();
        assert_eq!(told(&mut Recorder::open(&path).unwrap(), false).unwrap().len(), 6);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn a_row_that_says_nothing_hides_no_other_and_a_link_is_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("real.db");
        let db = database(&path);
        db.execute_batch(
            "PRAGMA foreign_keys = OFF;
            INSERT INTO states_meta VALUES (20,NULL),(21,x'00ff');
            INSERT INTO states (state_id,state,last_updated_ts,attributes_id,metadata_id) VALUES
                (20,'1',1773100803,1,20),(21,'1',1773100803,1,21),(22,NULL,1773100803,1,1),(23,x'31',1773100803,1,1),
                (24,'1','soon',1,1),(25,'1',1e300,1,1),(26,'1',-9e999,1,1),(27,'1',1773100804,'none',1),(28,'9e999',1773100805,1,1),
                (29,'21.5',1773101300,1,1);
            INSERT INTO statistics (metadata_id,start_ts,mean,state) VALUES (1,'soon',1,NULL),(1,1773093700,'warm',NULL),(99,1,1,1);",
        )
        .unwrap();
        let link = folder.path().join("elsewhere");
        std::fs::create_dir(&link).unwrap();
        let link = link.join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        // What is committed is still in the journal beside the file, not beside the link.
        assert!(folder.path().join("real.db-wal").exists());
        let mut recorder = Recorder::open(&link).unwrap();
        let found = told(&mut recorder, false).unwrap();
        assert_eq!(found.len(), 7, "{found:?}");
        assert_eq!(found[6], "1773101300 sensor.hall 21.5°C measurement Hall");
        assert!(!recorder.is_replaced(&link));
        drop(db);
        std::fs::remove_file(&path).unwrap();
        drop(database(&path));
        assert!(recorder.is_replaced(&link));
    }

    #[test]
    fn a_locked_database_is_called_locked_and_not_read_past_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let db = database(&path);
        db.execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE; DELETE FROM states;").unwrap();
        let error = Recorder::open(&path).err().unwrap();
        assert!(is_locked(&error) && format!("{error:#}").contains("holds it locked"), "{error:#}");
        db.execute_batch("ROLLBACK").unwrap();
        assert_eq!(told(&mut Recorder::open(&path).unwrap(), false).unwrap().len(), 6);
    }

    #[test]
    fn an_empty_database_of_home_assistant_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        Connection::open(&path).unwrap().execute_batch(SCHEMA).unwrap();
        assert!(told(&mut Recorder::open(&path).unwrap(), false).unwrap().is_empty());
    }

    #[test]
    fn other_and_damaged_databases_are_refused_in_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let refused = |bytes: Option<Vec<u8>>, sql: &str| {
            let _ = std::fs::remove_file(&path);
            match bytes {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => Connection::open(&path).unwrap().execute_batch(sql).unwrap(),
            }
            let outcome = Recorder::open(&path).and_then(|mut r| told(&mut r, false));
            format!("{:#}", outcome.unwrap_err())
        };
        assert!(refused(None, "CREATE TABLE a (b)").contains("not Home Assistant's"));
        assert!(refused(None, "CREATE TABLE states (state_id, entity_id, state)").contains("before 2023.4"));
        // Views in place of tables could compute without end.
        let views = "CREATE VIEW states AS SELECT 1; CREATE VIEW states_meta AS SELECT 1; CREATE VIEW state_attributes AS SELECT 1";
        assert!(refused(None, views).contains("not Home Assistant's"));
        let half = "CREATE TABLE states (x); CREATE TABLE states_meta (x); CREATE TABLE state_attributes (attributes_id, shared_attrs)";
        assert!(refused(None, half).contains("states can't be read"));
        assert!(!refused(Some(MAGIC.to_vec()), "").is_empty());
        let good = {
            let path = folder.path().join("good.db");
            drop(database(&path));
            std::fs::read(&path).unwrap()
        };
        // Whatever is cut or overwritten, it ends with readings or a sentence.
        for at in (100..good.len()).step_by(509) {
            let mut bad = good.clone();
            bad[at] ^= 0x5a;
            std::fs::write(&path, &bad).unwrap();
            let _ = Recorder::open(&path).and_then(|mut r| told(&mut r, false));
            std::fs::write(&path, &good[..at]).unwrap();
            let _ = Recorder::open(&path).and_then(|mut r| told(&mut r, false));
        }
    }
}
