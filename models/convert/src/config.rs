//! `config.json` and its neighbours: JSON files of a folder, and numbers in them within bounds.

use std::path::{Path, PathBuf};

use nearfield_base::{files, json};
use serde_json::{Map, Value};

use crate::ConvertError;

/// The longest of these files; those of vocabularies have some megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// A JSON file that holds an object.
#[derive(Debug, Clone)]
pub(crate) struct Json {
    pub path: PathBuf,
    pub object: Map<String, Value>,
}

impl Json {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Json, ConvertError> {
        let text =
            files::read(path, MOST_BYTES).map_err(|cause| ConvertError::Read { path: path.to_owned(), cause })?;
        let object = json::from_slice(&text).map_err(|error| ConvertError::broken(path, error.to_string()))?;
        Ok(Json { path: path.to_owned(), object })
    }

    /// Reads a file if it is there.
    pub fn read_if_there(path: &Path) -> Result<Option<Json>, ConvertError> {
        if path.exists() { Json::read(path).map(Some) } else { Ok(None) }
    }

    /// The value of a key; what is null is not there.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// A string.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// An integer from `least` to `most`, if it is there.
    pub fn integer(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>, ConvertError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|n| (least..=most).contains(n)) {
                Some(n) => Ok(Some(n)),
                None => Err(self.bad(key, &format!("expected {least} to {most}, found {}", short(value)))),
            },
        }
    }

    /// The same, which must be there.
    pub fn need(&self, key: &str, least: u64, most: u64) -> Result<u64, ConvertError> {
        self.integer(key, least, most)?.ok_or_else(|| self.bad(key, "is missing"))
    }

    /// A finite number, if it is there.
    pub fn float(&self, key: &str) -> Result<Option<f64>, ConvertError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|x| x.is_finite()) {
                Some(x) => Ok(Some(x)),
                None => Err(self.bad(key, &format!("expected a number, found {}", short(value)))),
            },
        }
    }

    /// A truth value, if it is there.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(Value::as_bool)
    }

    /// An error about a key.
    pub fn bad(&self, key: &str, what: &str) -> ConvertError {
        ConvertError::broken(&self.path, format!("{key}: {what}"))
    }
}

/// A value as errors quote it.
pub(crate) fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= 80 { text } else { text.chars().take(80).collect::<String>() + "…" }
}
