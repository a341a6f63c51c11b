//! The file in which timers, alarms and wishes for later are kept, so that they survive a restart. It holds how much was left of each
//! when it was written; the time since then is told from the wall clock, and a clock that was set back adds none.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use nearfield_base::{files, json, persist};
use nearfield_home::sentences::Reading;
use serde::{Deserialize, Serialize};

use super::timer::{MAX_TIMER, MAX_TIMERS};

/// The largest file: each timer has a name of some hundred bytes and, as a wish, a call that may name hundreds of entities.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The longest time that a timer can have left, a wish's week and a day.
const LONGEST: Duration = Duration::from_secs(8 * MAX_TIMER.as_secs());

/// Why kept timers can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the timers kept in {path}: {cause}; repair the file or remove it")]
pub struct KeptError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub cause: io::Error,
}

/// One timer as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptTimer {
    pub(super) label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) total_s: f64,
    pub(super) left_s: f64,
    #[serde(default)]
    pub(super) paused: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) alarm: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) wish: Vec<Reading>,
    /// The voice that rings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) voice: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptFile {
    /// Seconds since 1970, at which so much was left.
    written: f64,
    timers: Vec<KeptTimer>,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    path: PathBuf,
}

impl Kept {
    /// The file at `path`, and the timers in it with the seconds for which each is overdue: negative where some are left.
    ///
    /// # Errors
    /// It can't be read or holds something else.
    pub(super) fn open(path: &Path, wall: Timestamp) -> Result<(Self, Vec<(KeptTimer, f64)>), KeptError> {
        let failed = |cause| KeptError { path: path.to_owned(), cause };
        let kept = Self { path: path.to_owned() };
        let bytes = match files::read(path, MAX_FILE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((kept, Vec::new())),
            Err(error) => return Err(failed(error)),
            Ok(bytes) => bytes,
        };
        let file: KeptFile = json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
        let is_time = |seconds: f64| seconds.is_finite() && (0.0..=LONGEST.as_secs_f64()).contains(&seconds);
        let wrong = |what: &str| failed(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        if file.timers.len() > MAX_TIMERS {
            return Err(wrong(&format!("it holds more than {MAX_TIMERS} timers")));
        }
        if !file.written.is_finite()
            || file.timers.iter().any(|timer| !is_time(timer.left_s) || !is_time(timer.total_s))
        {
            return Err(wrong("a time in it is not one that a timer can have"));
        }
        let since = (seconds(wall) - file.written).max(0.0);
        let overdue = |timer: &KeptTimer| if timer.paused { -timer.left_s } else { since - timer.left_s };
        Ok((kept, file.timers.into_iter().map(|timer| (timer.clone(), overdue(&timer))).collect()))
    }

    /// Writes what is running now. A failure is logged: the timers run all the same.
    pub(super) fn write(&self, timers: Vec<KeptTimer>) {
        let file = KeptFile { written: seconds(Timestamp::now()), timers };
        let text = serde_json::to_string_pretty(&file).unwrap_or_default() + "\n";
        if let Err(error) = persist::replace(&self.path, text.as_bytes()) {
            tracing::warn!(
                "cannot keep the timers in {}: {error}; they run, and would not survive a restart",
                self.path.display()
            );
        }
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
