//! A file that grows by whole records: reports, events. Earlier records are kept; an unfinished record of a killed run is removed
//! first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Replacement, explained, lock};

/// How much of a file's end is searched for an unfinished record; no record is longer.
const MAX_TAIL_BYTES: u64 = 16 << 20;

/// The form of records: how they are separated, and how an unfinished one is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// One JSON object a line; the text is how each of ours begins.
    Lines(&'static str),
    /// Blocks between two marks, each at the beginning of a line.
    Blocks {
        /// How a block's first line begins.
        begin: &'static str,
        /// A block's last line.
        end: &'static str,
    },
}

/// The file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    records: Records,
    state: State,
    removed_bytes: u64,
}

#[derive(Debug)]
enum State {
    /// A regular file that holds whole records only, and is ours alone.
    Open(File),
    /// A terminal, a pipe, a device.
    Stream(File),
    /// A new file that replaces the existing one with its first record.
    Anew(Option<Replacement>),
}

impl Journal {
    /// Opens a file to be continued, or creates it. An unfinished record at its end is removed, and so are records whose pages a
    /// power cut took; of a text whose last line has no end, and of files that hold no record of ours, nothing is removed.
    ///
    /// # Errors
    /// It can't be written, or another process is writing it.
    pub fn open(path: &Path, records: Records) -> io::Result<Journal> {
        let (state, removed_bytes) = open(path, records).map_err(|error| explained(path, error))?;
        Ok(Journal { path: path.to_owned(), records, state, removed_bytes })
    }

    /// How many bytes of unfinished or lost records were found at the end of the file, and removed.
    pub fn removed_bytes(&self) -> u64 {
        self.removed_bytes
    }

    /// Begins a new file that replaces an existing one when the first record is complete.
    ///
    /// # Errors
    /// It can't be written.
    pub fn begin_anew(path: &Path, records: Records) -> io::Result<Journal> {
        let state = match fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => return Self::open(path, records),
            Ok(metadata) if metadata.is_file() => {
                // Another program's file is not taken away from under it.
                File::open(path).and_then(|file| lock(&file)).map_err(|error| explained(path, error))?;
                State::Anew(Some(Replacement::begin(path)?))
            }
            _ => State::Anew(Some(Replacement::begin(path)?)),
        };
        Ok(Journal { path: path.to_owned(), records, state, removed_bytes: 0 })
    }

    /// Adds a record (with its line end): whole, or not at all. When the file has been moved away meanwhile (log rotation), a
    /// new one of the same name is begun.
    ///
    /// # Errors
    /// The disk is full, or the file system refuses; the file is then as it was.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.write(record).map_err(|error| explained(&self.path, error))
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        match &mut self.state {
            State::Stream(file) => file.write_all(record),
            State::Anew(replacement) => {
                let mut replacement = match replacement.take() {
                    Some(begun) => begun,
                    None => Replacement::begin(&self.path)?,
                };
                replacement.write_all(record)?;
                // The writer's lock on the temporary file goes on as the journal's.
                self.state = State::Open(replacement.commit()?);
                Ok(())
            }
            State::Open(file) => {
                let here = file.metadata()?;
                let moved = fs::metadata(&self.path).map_or(true, |m| (m.dev(), m.ino()) != (here.dev(), here.ino()));
                if moved {
                    self.state = open(&self.path, self.records)?.0;
                    return self.write(record);
                }
                let length = here.len();
                file.seek(SeekFrom::Start(length))?;
                file.write_all(record).inspect_err(|_| {
                    let _ = file.set_len(length);
                })
            }
        }
    }

    /// Syncs the records to disk.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&self) -> io::Result<()> {
        match &self.state {
            State::Open(file) => file.sync_data().map_err(|error| explained(&self.path, error)),
            State::Stream(_) | State::Anew(_) => Ok(()),
        }
    }

    /// The last record, if there is one in the last 16 MiB: a line, or a block with its marks.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn last_record(&mut self) -> io::Result<Option<String>> {
        let State::Open(file) = &mut self.state else { return Ok(None) };
        let (tail, _) = read_tail(file)?;
        let text = String::from_utf8_lossy(&tail);
        Ok(match self.records {
            Records::Lines(_) => text.lines().next_back().map(str::to_owned),
            Records::Blocks { begin, .. } => last_line_that_begins(&tail, begin).map(|at| text[at..].to_owned()),
        })
    }
}

fn open(path: &Path, records: Records) -> io::Result<(State, u64)> {
    if fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        return Ok((State::Stream(OpenOptions::new().write(true).open(path)?), 0));
    }
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    lock(&file)?;
    let (mut tail, start) = read_tail(&mut file)?;
    let mut removed = 0;
    if let Some(kept) = without_lost_pages(&tail, records) {
        removed = (tail.len() - kept.len()) as u64;
        if tail.starts_with(&kept) {
            file.set_len(start + kept.len() as u64)?;
        } else {
            let mut whole = Replacement::begin(path)?;
            file.seek(SeekFrom::Start(0))?;
            io::copy(&mut Read::by_ref(&mut file).take(start), &mut whole)?;
            whole.write_all(&kept)?;
            file = whole.commit()?;
        }
        tail = kept;
    }
    if let Some(unfinished) = unfinished(&tail, records) {
        file.set_len(start + unfinished as u64)?;
        removed += (tail.len() - unfinished) as u64;
    } else if tail.last().is_some_and(|byte| *byte != b'\n') {
        file.seek(SeekFrom::End(0))?;
        file.write_all(b"\n")?;
    }
    Ok((State::Open(file), removed))
}

/// The file's end, and where it begins.
fn read_tail(file: &mut File) -> io::Result<(Vec<u8>, u64)> {
    let start = file.metadata()?.len().saturating_sub(MAX_TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(MAX_TAIL_BYTES).read_to_end(&mut tail)?;
    Ok((tail, start))
}

/// The tail without the records that a power cut took, or `None` where it took none: file systems may keep a file's length and
/// not its last pages, which then read as zeros. Of a file that holds no record of ours nothing is removed.
fn without_lost_pages(tail: &[u8], records: Records) -> Option<Vec<u8>> {
    let zero = tail.iter().position(|byte| *byte == 0)?;
    let (Records::Lines(begin) | Records::Blocks { begin, .. }) = records;
    let is_first_cut = || begin.as_bytes().starts_with(&tail[..zero]) && tail[zero..].iter().all(|byte| *byte == 0);
    let pieces = || tail.split(|byte| *byte == 0);
    if !pieces().any(|piece| last_line_that_begins(piece, begin).is_some()) && !is_first_cut() {
        return None;
    }
    // Behind zeros a piece goes on with the middle of a record: where does the next one begin?
    let next_begin = |piece: &[u8]| match records {
        Records::Lines(_) if !piece.starts_with(begin.as_bytes()) => {
            piece.iter().position(|b| *b == b'\n').map(|n| n + 1)
        }
        _ => (0..piece.len())
            .find(|at| (*at == 0 || piece[at - 1] == b'\n') && piece[*at..].starts_with(begin.as_bytes())),
    };
    // Before zeros a piece stops within a record: where does the last whole one end?
    let last_end = |piece: &[u8]| match records {
        Records::Lines(_) => piece.iter().rposition(|byte| *byte == b'\n').map(|n| n + 1),
        Records::Blocks { end, .. } => last_line_that_begins(piece, end)
            .map(|at| piece[at..].iter().position(|byte| *byte == b'\n').map_or(piece.len(), |n| at + n + 1)),
    };
    let mut kept = Vec::with_capacity(tail.len());
    let mut at = 0;
    for piece in pieces() {
        let end = at + piece.len();
        let from = if at == 0 { Some(0) } else { next_begin(piece) };
        let to = if end == tail.len() { Some(piece.len()) } else { last_end(piece) };
        if let (Some(from), Some(to)) = (from, to)
            && from < to
        {
            if kept.last().is_some_and(|byte| *byte != b'\n') {
                kept.push(b'\n');
            }
            kept.extend_from_slice(&piece[from..to]);
        }
        at = end + 1;
    }
    Some(kept)
}

/// Where an unfinished record of ours begins.
fn unfinished(tail: &[u8], records: Records) -> Option<usize> {
    let line = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let is_cut = |begin: &str| line < tail.len() && begin.as_bytes().starts_with(&tail[line..]);
    match records {
        Records::Lines(begin) => {
            let last = &tail[line..];
            let is_ours = is_cut(begin) || last.starts_with(begin.as_bytes());
            // A whole record whose line end an editor took away is no unfinished one.
            let is_whole = || serde_json::from_slice::<serde::de::IgnoredAny>(last).is_ok();
            (is_ours && !is_whole()).then_some(line)
        }
        Records::Blocks { begin, end } => {
            // Of the last mark, whichever it is, there may be a part only.
            let whole = if is_cut(begin) { &tail[..line] } else { tail };
            let open =
                last_line_that_begins(whole, begin).filter(|at| last_line_that_begins(&whole[*at..], end).is_none());
            open.or_else(|| is_cut(begin).then_some(line))
        }
    }
}

fn last_line_that_begins(text: &[u8], with: &str) -> Option<usize> {
    let with = with.as_bytes();
    (0..text.len()).rev().find(|at| text[*at..].starts_with(with) && (*at == 0 || text[at - 1] == b'\n'))
}
