//! What a user writes into `voice.toml`, `caption.toml`, `report.toml` and `run.toml`, and on the command line with `--set`.
//!
//! One struct a concept, shared by the files: the same key means the same wherever it stands. A configuration is read once,
//! refuses keys that it does not know, is checked once, and is plain data from then on. Every key has a default, so an empty file
//! is complete. `configs/*.toml` and `docs/configuration.md` are written from these types by `pipeline/tests/configuration.rs`.

pub mod any;
pub mod caption;
mod conversation;
mod embeddings;
pub mod flows;
mod llm;
mod mqtt;
mod outlets;
mod remote;
pub mod report;
mod run;
mod speech;
mod unknown_key;
mod voice;
mod wake;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use conversation::ConversationConfig;
pub use embeddings::EmbeddingsConfig;
pub use llm::{LlmConfig, PromptConfig};
pub use mqtt::MqttConfig;
pub(crate) use outlets::MQTT_LEFT_OUT;
pub use outlets::OutletConfig;
pub use remote::RemoteConfig;
pub use run::{RunConfig, ServerConfig};
pub use speech::{
    Decide, EchoMode, LatencyConfig, ListenConfig, PlayConfig, SttConfig, TtsConfig, TurnConfig, VadKind,
};
pub use voice::{HomeConfig, VoiceConfig};
pub use wake::WakeConfig;

/// The largest configuration file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("the configuration {path} can't be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It says something wrong.
    #[error("{place}: {reason}")]
    Wrong {
        /// File and line, or the `--set` that it came from.
        place: String,
        /// What is wrong, with what would be right.
        reason: String,
    },
}

/// A part of a file that is wrong.
pub struct WrongPart {
    /// Whose: "the flow door".
    pub whose: String,
    /// What the parser says.
    pub error: Box<toml::de::Error>,
    /// Keys that are known there, and that the parser does not know.
    pub also: &'static [&'static str],
}

/// A configuration file of one flow.
pub trait Config: Default + Serialize + DeserializeOwned {
    /// Keys of earlier versions and what they are called now. They are still read, with a warning.
    const MOVED: &'static [(&'static str, &'static str)];

    /// The paths among its keys. In a file, relative ones start at the file; empty ones and "none" are none.
    fn paths(&mut self) -> Vec<&mut PathBuf>;

    /// Has relative paths start at `folder`.
    fn root(&mut self, folder: &Path) {
        for path in self.paths() {
            if !path.as_os_str().is_empty() && path != Path::new("none") {
                *path = folder.join(&*path);
            }
        }
    }

    /// Checks the parts of a file that its type takes as they are.
    ///
    /// # Errors
    /// Whose part it is, and what the parser says.
    fn check_parts(_text: &str) -> Result<(), WrongPart> {
        Ok(())
    }

    /// What shows that a file is for another command, in a sentence.
    fn misplaced(_table: &toml::Table) -> Option<String> {
        None
    }

    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    fn check(&self) -> Result<(), String>;

    /// Reads `path` (or starts from the defaults), then applies each `key=value` of `sets`.
    ///
    /// # Errors
    /// A file that can't be read, a key that is unknown, a value of the wrong type or out of range; each with its place.
    fn load(path: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        let mut config = match path {
            Some(path) => from_file::<Self>(path)?,
            None => Self::default(),
        };
        for set in sets {
            config = with_key(&config, set)?;
        }
        config.check().map_err(|reason| {
            // The last one given is the one that counts.
            let is_named = |set: &&String| {
                set.split_once('=').is_some_and(|(key, _)| {
                    reason.contains(&moved::<Self>(key.trim()).unwrap_or_else(|| key.trim().to_owned()))
                })
            };
            let place = match (sets.iter().rev().find(is_named), path) {
                (Some(set), _) => format!("--set {set}"),
                (None, Some(path)) => path.display().to_string(),
                (None, None) => "the configuration".to_owned(),
            };
            ConfigError::Wrong { place, reason }
        })?;
        Ok(config)
    }
}

fn from_file<T: Config>(path: &Path) -> Result<T, ConfigError> {
    let text = read(path)?;
    let mut table: toml::Table = toml::from_str(&text).map_err(|e| located(path, &text, &e))?;
    if let Some(reason) = T::misplaced(&table) {
        return Err(ConfigError::Wrong { place: path.display().to_string(), reason });
    }
    let mut is_moved = false;
    for (old, new) in T::MOVED {
        if let Some(value) = take(&mut table, old) {
            is_moved = true;
            tracing::warn!("{}: {old} is called {new} now", path.display());
            put(&mut table, new, value)
                .map_err(|reason| ConfigError::Wrong { place: path.display().to_string(), reason })?;
        }
    }
    let parsed = match is_moved {
        // The lines of a table that was changed are not known.
        true => table.try_into().map_err(|e: toml::de::Error| located(path, "", &e)),
        false => toml::from_str(&text).map_err(|e| located(path, &text, &e)),
    };
    let mut config: T = parsed?;
    T::check_parts(&text).map_err(|WrongPart { whose, error, also }| match located(path, &text, &error) {
        ConfigError::Wrong { place, .. } => {
            let reason = format!("{whose}: {}", unknown_key::explained_with(&one_line_of(&error), also));
            ConfigError::Wrong { place, reason }
        }
        unreadable @ ConfigError::Unreadable { .. } => unreadable,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    config.root(folder);
    Ok(config)
}

/// What a key of an earlier version is called now.
fn moved<T: Config>(key: &str) -> Option<String> {
    T::MOVED.iter().find_map(|(old, new)| {
        let rest = key.strip_prefix(old)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{new}{rest}"))
    })
}

/// Takes the value of `a.b` out of a table.
fn take(table: &mut toml::Table, key: &str) -> Option<toml::Value> {
    match key.split_once('.') {
        Some((parent, rest)) => take(table.get_mut(parent)?.as_table_mut()?, rest),
        None => table.remove(key),
    }
}

/// Puts a value at `a.b`, making the tables on the way.
fn put(table: &mut toml::Table, key: &str, value: toml::Value) -> Result<(), String> {
    match key.split_once('.') {
        Some((parent, rest)) => {
            let child = table.entry(parent).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let child = child.as_table_mut().ok_or_else(|| format!("{parent} is a value and has no keys"))?;
            put(child, rest, value)
        }
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
    }
}

/// A configuration with `key.key=value` changed; a value that is no TOML is taken as a string.
fn with_key<T: Config>(config: &T, set: &str) -> Result<T, ConfigError> {
    let wrong = |reason: String| ConfigError::Wrong { place: format!("--set {set}"), reason };
    let (key, value) = set.split_once('=').ok_or_else(|| wrong("write it as key=value, as in llm.threads=2".into()))?;
    let mut key = key.trim().to_owned();
    if let Some(new) = moved::<T>(&key) {
        tracing::warn!("--set {set}: {key} is called {new} now");
        key = new;
    }
    let value = format!("v={value}").parse::<toml::Table>().map_or_else(
        |_| toml::Value::String(value.to_owned()),
        |mut t| t.remove("v").expect("the table has just been parsed from this key"),
    );
    let mut table = toml::Table::try_from(config).map_err(|e| wrong(e.to_string()))?;
    put(&mut table, &key, value).map_err(wrong)?;
    table.try_into().map_err(|e: toml::de::Error| wrong(said_by_parser(&e)))
}

/// The text of a configuration file.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let metadata = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(unreadable("it is not a file of at most 1 MiB".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))
}

/// What the TOML parser says, with file and line.
pub(crate) fn located(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let place = match error.span() {
        Some(_) if !text.is_empty() => format!("{}:{}", path.display(), line_of(text, error)),
        _ => path.display().to_string(),
    };
    ConfigError::Wrong { place, reason: said_by_parser(error) }
}

/// The line of `text` in which the TOML parser found an error; the first if it names none.
pub(crate) fn line_of(text: &str, error: &toml::de::Error) -> usize {
    error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1)
}

/// What the TOML parser says, in one line: it repeats what the file holds, and that may be anything.
pub(crate) fn said_by_parser(error: &toml::de::Error) -> String {
    unknown_key::explained(&one_line_of(error))
}

fn one_line_of(error: &toml::de::Error) -> String {
    error.message().replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
