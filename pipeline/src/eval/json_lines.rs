//! Files with one JSON object a line, as sets of questions and summaries come.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// The most rows that are kept.
const MAX_ROWS: usize = 1 << 20;

/// The rows of a file, the first `limit` of them; empty lines are skipped.
pub(super) fn rows<T: DeserializeOwned>(path: &Path, limit: Option<u32>) -> anyhow::Result<Vec<T>> {
    let open =
        nearfield_base::files::open(path).with_context(|| format!("the file {} can't be read", path.display()))?;
    let mut rows = Vec::new();
    for (index, line) in BufReader::new(open.take(MAX_FILE_BYTES)).lines().enumerate() {
        let line = line.with_context(|| format!("{}, line {}", path.display(), index + 1))?;
        if line.trim().is_empty() {
            continue;
        }
        if rows.len() >= limit.map_or(MAX_ROWS, |limit| limit as usize) {
            break;
        }
        let row = nearfield_base::json::from_slice(line.as_bytes());
        rows.push(row.with_context(|| format!("{}, line {}", path.display(), index + 1))?);
    }
    ensure!(!rows.is_empty(), "the file {} has no rows: it must have one JSON object a line", path.display());
    Ok(rows)
}
