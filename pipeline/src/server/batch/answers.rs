//! The file of answers: one line of JSON each, added as it comes, so that a batch that was interrupted goes on where it was. When all are
//! there the lines stand in the order of the prompts.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nearfield_base::persist::{self, Journal, Records};
use serde::Deserialize;

use super::lines::Line;

/// How each line begins.
const BEGIN: &str = "{\"line\":";
/// The largest file of answers.
const MOST_BYTES: u64 = 4 << 30;

/// Where answers go.
pub struct Answers<'o> {
    place: Place<'o>,
    /// Indices of the prompts that have been answered, and whether their lines stand in order.
    done: Vec<bool>,
    last: usize,
    is_sorted: bool,
}

enum Place<'o> {
    File(Journal, PathBuf),
    /// In order: those that are ahead wait.
    Stream {
        out: &'o mut dyn Write,
        next: usize,
        ahead: BTreeMap<usize, String>,
    },
}

/// What of an earlier answer is looked at.
#[derive(Deserialize)]
struct Earlier {
    line: usize,
    of: String,
    #[serde(default)]
    error: serde_json::Value,
}

impl<'o> Answers<'o> {
    /// Opens the file, or takes `out`. Answers that it has to lines as they are now are kept; those to other lines, and failures, are
    /// dropped.
    ///
    /// # Errors
    /// It can't be written, or holds something else.
    pub fn open(path: Option<&Path>, lines: &[Line], out: &'o mut dyn Write) -> anyhow::Result<Self> {
        let done = vec![false; lines.len()];
        let Some(path) = path else {
            let place = Place::Stream { out, next: 0, ahead: BTreeMap::new() };
            return Ok(Self { place, done, last: 0, is_sorted: true });
        };
        let mut answers =
            Self { place: Place::Stream { out, next: 0, ahead: BTreeMap::new() }, done, last: 0, is_sorted: true };
        let (text, kept) = (read(path)?, &mut String::new());
        let index_of: std::collections::HashMap<usize, usize> =
            lines.iter().enumerate().map(|(index, line)| (line.number, index)).collect();
        for (at, line) in text.split_inclusive('\n').enumerate().filter(|(_, line)| line.ends_with('\n')) {
            let Some(earlier) = serde_json::from_str::<Earlier>(line).ok().filter(|_| line.starts_with(BEGIN)) else {
                bail!("{}:{}: this is no answer of a batch: name another file for the output", path.display(), at + 1);
            };
            let index = index_of.get(&earlier.line).copied();
            let index = index.filter(|index| lines[*index].mark == earlier.of && earlier.error.is_null());
            if let Some(index) = index.filter(|index| !answers.done[*index]) {
                answers.see(index);
                kept.push_str(line);
            }
        }
        if kept.len() != text.len() && !text.is_empty() {
            persist::replace(path, kept.as_bytes())?;
        }
        answers.place = Place::File(Journal::open(path, Records::Lines(BEGIN))?, path.to_owned());
        Ok(answers)
    }

    fn see(&mut self, index: usize) {
        self.is_sorted &= index >= self.last;
        self.last = index;
        self.done[index] = true;
    }

    /// Whether a prompt has been answered.
    pub fn has(&self, index: usize) -> bool {
        self.done[index]
    }

    /// How many have been answered.
    pub fn count(&self) -> usize {
        self.done.iter().filter(|done| **done).count()
    }

    /// Adds an answer, an object of JSON.
    ///
    /// # Errors
    /// It can't be written.
    pub fn add(&mut self, index: usize, line: &Line, answer: &serde_json::Value) -> anyhow::Result<()> {
        let rest = answer.to_string();
        let text = format!("{BEGIN}{},\"of\":\"{}\",{}\n", line.number, line.mark, rest.trim_start_matches('{'));
        self.see(index);
        match &mut self.place {
            Place::File(journal, _) => journal.append(text.as_bytes())?,
            Place::Stream { out, next, ahead } => {
                ahead.insert(index, text);
                while let Some(text) = ahead.remove(next) {
                    out.write_all(text.as_bytes())?;
                    *next += 1;
                }
                out.flush()?;
            }
        }
        Ok(())
    }

    /// Puts the lines into the order of the prompts, if they are not.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(self) -> anyhow::Result<()> {
        let Place::File(journal, path) = self.place else { return Ok(()) };
        journal.sync()?;
        if !self.is_sorted {
            let text = read(&path)?;
            let number = |line: &&str| serde_json::from_str::<Earlier>(line).map_or(usize::MAX, |earlier| earlier.line);
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines.sort_by_cached_key(number);
            persist::replace(&path, lines.concat().as_bytes())?;
        }
        Ok(())
    }
}

/// The text of a file; none where it is not there.
fn read(path: &Path) -> anyhow::Result<String> {
    let said = || format!("{} can't be read", path.display());
    let file = match nearfield_base::files::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
        file => file.with_context(said)?,
    };
    if !file.metadata().with_context(said)?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(said)?;
    if bytes.len() as u64 > MOST_BYTES {
        bail!("{} has more than {MOST_BYTES} bytes: name another file for the output", path.display());
    }
    // A line that a kill cut in the middle of a character is dropped with the rest of its line.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
