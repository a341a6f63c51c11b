//! Search in a folder of events by words: an index beside them, brought up to date before each search. Captions, objects, zones, lines
//! and the camera's name are searched; the index can be deleted at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nearfield_base::files;
use rusqlite::{Connection, params};
use serde_json::Value;
use thiserror::Error;

use super::archive::is_event_name;

/// The index's file in the folder of events.
pub const INDEX: &str = "index.sqlite";
/// An event's JSON file is read up to this.
const MOST_EVENT_BYTES: u64 = 1 << 20;
/// Words of a search at most.
const MOST_WORDS: usize = 32;
/// The form of the index; another one is made anew.
const FORM: i64 = 1;

/// Why a folder of events can't be searched.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The folder.
    #[error("the events in {path} can't be read: {reason}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The index.
    #[error("the index {path} can't be used: {reason}; it can be deleted, and is then made anew")]
    Index {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The index of a folder of events.
pub struct EventIndex {
    folder: PathBuf,
    path: PathBuf,
    database: Connection,
}

impl EventIndex {
    /// Opens the index of a folder, or makes one.
    ///
    /// # Errors
    /// It can't be opened, nor made anew.
    pub fn open(folder: &Path) -> Result<Self, IndexError> {
        let path = folder.join(INDEX);
        let wrong = |e: rusqlite::Error| IndexError::Index { path: path.clone(), reason: e.to_string() };
        let database = match opened(&path) {
            Ok(database) => database,
            Err(_) => {
                // Everything in it can be had again.
                let _ = std::fs::remove_file(&path);
                opened(&path).map_err(wrong)?
            }
        };
        Ok(Self { folder: folder.to_owned(), path, database })
    }

    fn wrong(&self, error: rusqlite::Error) -> IndexError {
        IndexError::Index { path: self.path.clone(), reason: error.to_string() }
    }

    /// Takes in what has come and leaves out what has gone, and records that can't be read; answers those, with why.
    ///
    /// # Errors
    /// The folder or the index can't be read.
    pub fn refresh(&mut self) -> Result<Vec<Unreadable>, IndexError> {
        let there = event_names(&self.folder)?;
        let mut known: BTreeMap<String, i64> = BTreeMap::new();
        {
            let mut all = self.database.prepare("SELECT name, changed FROM known").map_err(|e| self.wrong(e))?;
            let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(|e| self.wrong(e))?;
            for row in rows {
                let (name, changed) = row.map_err(|e| self.wrong(e))?;
                known.insert(name, changed);
            }
        }
        let transaction = self.database.unchecked_transaction().map_err(|e| self.wrong(e))?;
        let names: BTreeSet<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
        let gone: Vec<&String> = known.keys().filter(|name| !names.contains(name.as_str())).collect();
        let mut unreadable = Vec::new();
        let put = || -> rusqlite::Result<()> {
            let mut forget =
                transaction.prepare("DELETE FROM events WHERE rowid = (SELECT id FROM known WHERE name = ?1)")?;
            let mut forget_name = transaction.prepare("DELETE FROM known WHERE name = ?1")?;
            for name in gone {
                forget.execute(params![name])?;
                forget_name.execute(params![name])?;
            }
            let mut know = transaction.prepare(
                "INSERT INTO known (name, changed) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET changed = ?2 RETURNING id",
            )?;
            let mut add = transaction.prepare("INSERT OR REPLACE INTO events (rowid, words) VALUES (?1, ?2)")?;
            for (name, changed) in there.iter().filter(|(name, changed)| known.get(name) != Some(changed)) {
                let event = match read_event(&self.folder, name) {
                    Ok(event) => event,
                    Err(record) => {
                        // What was known of it is no longer so; it is read again by the next search.
                        forget.execute(params![name])?;
                        forget_name.execute(params![name])?;
                        unreadable.push(record);
                        continue;
                    }
                };
                let id: i64 = know.query_row(params![name, changed], |row| row.get(0))?;
                forget.execute(params![name])?;
                add.execute(params![id, words_of(&event)])?;
            }
            Ok(())
        };
        put().map_err(|e| self.wrong(e))?;
        transaction.commit().map_err(|e| self.wrong(e))?;
        Ok(unreadable)
    }

    /// The names of events that have all these words, also in other forms (`walks`, `walking`), the best first. Without such, those that
    /// have one of them.
    ///
    /// # Errors
    /// The index can't be read.
    pub fn search(&self, text: &str, most: usize) -> Result<Vec<String>, IndexError> {
        let quoted: Vec<String> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .take(MOST_WORDS)
            .map(|word| format!("\"{word}\""))
            .collect();
        for joined in [quoted.join(" "), quoted.join(" OR ")] {
            if joined.is_empty() {
                break;
            }
            let found = self.matching(&joined, most).map_err(|e| self.wrong(e))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    fn matching(&self, query: &str, most: usize) -> rusqlite::Result<Vec<String>> {
        let mut found = self.database.prepare_cached(
            "SELECT known.name FROM (SELECT rowid, rank FROM events WHERE events MATCH ?1 ORDER BY rank, rowid DESC LIMIT ?2) AS hit \
             JOIN known ON known.id = hit.rowid ORDER BY hit.rank, known.name DESC",
        )?;
        let rows = found.query_map(params![query, most as i64], |row| row.get(0))?;
        rows.collect()
    }
}

fn opened(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.busy_timeout(std::time::Duration::from_secs(5))?;
    let form: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if form != FORM && form != 0 {
        return Err(rusqlite::Error::InvalidQuery);
    }
    database.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS known (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, changed INTEGER NOT NULL);
         CREATE VIRTUAL TABLE IF NOT EXISTS events USING fts5 (words, tokenize = 'porter unicode61');
         PRAGMA user_version = {FORM};"
    ))?;
    Ok(database)
}

/// The names of the events in a folder, with the time of their last change in milliseconds, in the order of time.
///
/// # Errors
/// The folder can't be read.
pub fn event_names(folder: &Path) -> Result<Vec<(String, i64)>, IndexError> {
    let wrong = |e: std::io::Error| IndexError::Folder { path: folder.to_owned(), reason: e.to_string() };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)?.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|n| n.strip_suffix(".json")).filter(|n| is_event_name(n)) else {
            continue;
        };
        let changed = entry.metadata().and_then(|m| m.modified()).unwrap_or(std::time::UNIX_EPOCH);
        let since = changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        names.push((name.to_owned(), since.as_millis() as i64));
    }
    names.sort();
    Ok(names)
}

/// A record of a folder of events that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name}.json: {reason}")]
pub struct Unreadable {
    /// The event's name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// An event of a folder.
///
/// # Errors
/// [`Unreadable`] where its file can't be read, is damaged, or is no event.
pub fn read_event(folder: &Path, name: &str) -> Result<Value, Unreadable> {
    let wrong = |reason: String| Unreadable { name: name.to_owned(), reason };
    let text = files::read(&folder.join(format!("{name}.json")), MOST_EVENT_BYTES).map_err(|e| wrong(e.to_string()))?;
    let event: Value = nearfield_base::json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    let has_start = event["start"].as_str().is_some_and(|start| start.parse::<jiff::Timestamp>().is_ok());
    if !has_start || !event["objects"].is_array() {
        return Err(wrong("it is no event: it has no time of its start, or no objects".to_owned()));
    }
    Ok(event)
}

/// What is searched of an event.
fn words_of(event: &Value) -> String {
    let mut words: Vec<&str> = ["caption", "scene", "camera"].iter().filter_map(|key| event[*key].as_str()).collect();
    let all = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let (objects, zones, crossed) = (all(&event["objects"]), all(&event["zones"]), all(&event["crossed"]));
    words.extend(objects.iter().filter_map(|o| o["label"].as_str()));
    words.extend(objects.iter().filter_map(|o| o["direction"].as_str()));
    words.extend(zones.iter().filter_map(Value::as_str));
    words.extend(crossed.iter().filter_map(|c| c["line"].as_str()));
    words.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(folder: &Path, n: usize, caption: &str, label: &str) -> String {
        let name = format!("20270115T08{:02}{:02}.000Z-door", n / 60 % 60, n % 60);
        let event = json!({"id": name, "camera": "front door", "start": "2027-01-15T08:00:00.000Z", "caption": caption,
            "objects": [{"label": label}], "zones": ["drive way"]});
        std::fs::write(folder.join(format!("{name}.json")), event.to_string()).unwrap();
        name
    }

    #[test]
    fn words_are_found_in_any_form_and_what_has_gone_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let walk = put(folder.path(), 1, "A person walking from left to right.", "person");
        let dog = put(folder.path(), 2, "Two dogs towards the camera.", "dog");
        std::fs::write(folder.path().join("20270115T080003.000Z-door.json"), "{broken").unwrap();
        std::fs::write(folder.path().join("notes.json"), "{}").unwrap();
        let mut index = EventIndex::open(folder.path()).unwrap();
        let damaged = index.refresh().unwrap();
        assert_eq!(damaged.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["20270115T080003.000Z-door"]);
        assert_eq!(index.search("walks", 10).unwrap(), [walk.as_str()]);
        assert_eq!(index.search("dog camera", 10).unwrap(), [dog.as_str()]);
        assert_eq!(index.search("front driveway", 10).unwrap().len(), 2, "one word of two");
        assert!(index.search("\" OR * NEAR(", 10).unwrap().is_empty());
        assert!(index.search("zebra", 10).unwrap().is_empty());
        std::fs::remove_file(folder.path().join(format!("{dog}.json"))).unwrap();
        put(folder.path(), 1, "A cat.", "cat");
        let changed = std::fs::File::open(folder.path().join(format!("{walk}.json"))).unwrap();
        changed.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
        index.refresh().unwrap();
        assert!(index.search("dogs", 10).unwrap().is_empty() && index.search("walking", 10).unwrap().is_empty());
        assert_eq!(index.search("cats", 10).unwrap(), [walk.as_str()]);
        // One that was known and is cut short is found no more, and named each time.
        let file = folder.path().join(format!("{walk}.json"));
        std::fs::write(&file, "{\"id\": \"2027").unwrap();
        let cut = std::fs::File::open(&file).unwrap();
        cut.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(9)).unwrap();
        for _ in 0..2 {
            let damaged = index.refresh().unwrap();
            assert!(damaged.iter().any(|d| d.name == walk), "{damaged:?}");
            assert!(index.search("cats", 10).unwrap().is_empty());
        }
    }

    #[test]
    fn a_damaged_index_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), 1, "A person.", "person");
        std::fs::write(
            folder.path().join(INDEX),
            "this is no database, and it is long enough to be taken for one".repeat(100),
        )
        .unwrap();
        let mut index = EventIndex::open(folder.path()).unwrap();
        index.refresh().unwrap();
        assert_eq!(index.search("person", 10).unwrap().len(), 1);
    }
}
