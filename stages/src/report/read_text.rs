//! Readings from files and standard input: read once, or followed as they grow, also when they are rotated away.
//!
//! A source is no stage: nothing flows into it. It runs on a thread of its own until it is at its end, nobody listens any more,
//! or it is told to stop.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::RecvTimeoutError;
use jiff::tz::TimeZone;
use nearfield_base::files;
use nearfield_telemetry::clock::{ClockFindings, Clocks, Stamp};
use nearfield_telemetry::read::explain::Explanation;
use nearfield_telemetry::read::{self, Emit, InputError, MAX_WORKBOOK, Rejected, TextOptions, is_workbook, rows_of};
use nearfield_telemetry::{Moment, NO_TIME, Reading};

use crate::flow::{Output, StopSignal, Turn, is_stopped};
use crate::messages::{Batch, Envelope, Pace};
use crate::pipes::Pipe;
use crate::report::read_recorder::{MAGIC, Recorder, is_locked};
use crate::report::sensors::SensorRegistry;
use crate::report::windower::now;
use crate::voice::capture::StoppableStdin;

/// Readings sent on together.
const BATCH: usize = 4096;
/// Bytes read at once.
const BLOCK: usize = 64 << 10;
/// How often a file is looked at for more.
const POLL: Duration = Duration::from_millis(200);
/// Readings come before any turn.
const NO_TURN: Turn = Turn(0);

/// Where the text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextSource {
    /// A file, to its end.
    File(PathBuf),
    /// A file that grows.
    Follow(PathBuf),
    /// Standard input.
    Stdin,
}

impl TextSource {
    /// What a lone column of values is called.
    fn lone_name(&self) -> String {
        match self {
            TextSource::File(path) | TextSource::Follow(path) => {
                path.file_stem().map_or_else(|| "value".to_owned(), |s| s.to_string_lossy().into_owned())
            }
            TextSource::Stdin => "value".to_owned(),
        }
    }

    fn name(&self) -> String {
        match self {
            TextSource::File(path) | TextSource::Follow(path) => path.display().to_string(),
            TextSource::Stdin => "standard input".to_owned(),
        }
    }

    /// Sends batches until the end, a stop, or the last listener has gone. Of a source that hands over readings as they are taken (a
    /// file that grows, a pipe that pauses), `clocks` tell them by their arrival where the times in them can't be right.
    ///
    /// # Errors
    /// If the input can't be read, or is not what it is taken for; what was read before has been sent.
    pub fn run(
        &self,
        options: &TextOptions,
        zone: TimeZone,
        sensor_registry: SensorRegistry,
        clocks: Clocks,
        batches: &Output<Batch>,
        stop: &StopSignal,
    ) -> anyhow::Result<()> {
        let mut reading = self.reader(options, zone, sensor_registry, clocks, batches)?;
        let name = self.name();
        let outcome = match self {
            TextSource::Stdin => {
                let mut stdin = StoppableStdin::new(stop.clone())?;
                reading.drain_pipe(&mut stdin, stop)
            }
            TextSource::File(path) => match pipe_of(path, stop)? {
                Some(mut pipe) => reading.drain_pipe(&mut pipe, stop),
                None => {
                    let mut input = open_file(path)?;
                    match begun(&mut input)? {
                        Begun::Workbook(rows) => reading.take(&rows).map(|_| ()),
                        Begun::Database => reading.recorder(path, false, stop),
                        Begun::Text(head) if reading.take(&head)?.is_break() => Ok(()),
                        Begun::Text(_) => reading.drain(&mut input, stop).map(|_| ()),
                    }
                }
            },
            TextSource::Follow(path) => match files::is_pipe(path) {
                false if matches!(begun(&mut open_file(path)?)?, Begun::Database) => reading.recorder(path, true, stop),
                _ => reading.follow(path, stop),
            },
        };
        // A line that was being written when a stop was asked, or to a file that grows, is not whole.
        let whole = !matches!(self, TextSource::Follow(_)) && !is_stopped(stop);
        outcome.and_then(|()| reading.end(whole)).with_context(|| name.clone())?;
        let is_pipe = match self {
            TextSource::Stdin => true,
            TextSource::File(path) => files::is_pipe(path),
            TextSource::Follow(_) => false,
        };
        anyhow::ensure!(
            reading.taken > 0 || !is_pipe || is_stopped(stop) || reading.is_unheard,
            "{name} holds no reading that can be used"
        );
        Ok(())
    }
}

impl TextSource {
    fn reader<'a>(
        &self,
        options: &TextOptions,
        zone: TimeZone,
        sensor_registry: SensorRegistry,
        clocks: Clocks,
        batches: &'a Output<Batch>,
    ) -> Result<Reader<'a>, InputError> {
        let reader = read::Reader::new(options, zone, &self.lone_name())?;
        let is_live = matches!(self, TextSource::Follow(_));
        let (now_clocks, later) = if is_live { (Some(clocks), None) } else { (None, Some(clocks)) };
        Ok(Reader {
            reader: if is_live { reader.live() } else { reader },
            sensor_registry,
            clocks: now_clocks,
            later,
            newest: None,
            goes_live: false,
            pace: Pace::default(),
            findings: ClockFindings::default(),
            batch: Vec::with_capacity(BATCH),
            taken: 0,
            is_unheard: false,
            beyond: 0,
            batches,
        })
    }

    /// Reads the whole and writes how it was read: a table of its sensors, and what was not read.
    ///
    /// # Errors
    /// If the input can't be read, or is not what it is taken for.
    pub fn explain(
        &self,
        options: &TextOptions,
        zone: TimeZone,
        stop: &StopSignal,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let mut reader = read::Reader::new(options, zone.clone(), &self.lone_name())?;
        let mut explanation = Explanation::default();
        let outcome = (|| -> anyhow::Result<()> {
            let mut input: Box<dyn Read> = match self {
                TextSource::Stdin => Box::new(StoppableStdin::new(stop.clone())?),
                TextSource::File(path) | TextSource::Follow(path) => match pipe_of(path, stop)? {
                    Some(pipe) => Box::new(pipe),
                    None => Box::new(open_file(path)?),
                },
            };
            let (mut bytes, is_whole) = match (begun(&mut *input)?, self) {
                (Begun::Workbook(rows), _) => (rows, true),
                (Begun::Database, TextSource::File(path) | TextSource::Follow(path)) => {
                    Recorder::open(path)?.read_all(&mut |lines| {
                        reader.push(lines, &mut |found| explanation.add(found))?;
                        Ok(!is_stopped(stop))
                    })?;
                    return Ok(reader.end(&mut |found| explanation.add(found))?);
                }
                (Begun::Database, TextSource::Stdin) => (MAGIC[..8].to_vec(), false),
                (Begun::Text(head), _) => (head, false),
            };
            loop {
                reader.push(&bytes, &mut |found| explanation.add(found))?;
                bytes.resize(BLOCK, 0);
                let n = if is_whole { 0 } else { input.read(&mut bytes).context("it can't be read")? };
                if n == 0 || is_stopped(stop) {
                    break;
                }
                bytes.truncate(n);
            }
            Ok(reader.end(&mut |found| explanation.add(found))?)
        })();
        explanation.reject(reader.take_rejected());
        // What was decided helps to see why it went wrong.
        if outcome.is_ok() || !explanation.sensors().is_empty() {
            write!(out, "{}", explanation.text(&reader, &zone))?;
        }
        outcome.with_context(|| self.name())
    }
}

fn pipe_of(path: &Path, stop: &StopSignal) -> anyhow::Result<Option<Pipe>> {
    Pipe::open(path, stop).with_context(|| format!("the input {} can't be read", path.display()))
}

fn open_file(path: &Path) -> anyhow::Result<File> {
    let file = files::open(path).with_context(|| format!("the input {} can't be read", path.display()))?;
    anyhow::ensure!(!file.metadata()?.is_dir(), "the input {} is a folder: name a file", path.display());
    Ok(file)
}

/// How a file begins.
enum Begun {
    /// With these bytes.
    Text(Vec<u8>),
    /// It is a spreadsheet with these rows.
    Workbook(Vec<u8>),
    /// It is an SQLite database.
    Database,
}

/// Reads the beginning of a file, and all of it where it is a spreadsheet.
fn begun(input: &mut dyn Read) -> anyhow::Result<Begun> {
    let mut head = vec![0; 8];
    let mut n = 0;
    while n < head.len() {
        match input.read(&mut head[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("it can't be read"),
        }
    }
    head.truncate(n);
    if head == MAGIC[..8] {
        return Ok(Begun::Database);
    }
    if !is_workbook(&head) {
        return Ok(Begun::Text(head));
    }
    rows_of_workbook(head, input).map(Begun::Workbook)
}

/// The rows of a spreadsheet that begins with `head`.
pub(super) fn rows_of_workbook<R: Read + ?Sized>(mut head: Vec<u8>, input: &mut R) -> anyhow::Result<Vec<u8>> {
    input.take(MAX_WORKBOOK + 1).read_to_end(&mut head).context("it can't be read")?;
    anyhow::ensure!(
        head.len() as u64 <= MAX_WORKBOOK,
        "it is a spreadsheet of more than {} MiB: export it as CSV",
        MAX_WORKBOOK >> 20
    );
    Ok(rows_of(head)?)
}

pub(super) struct Reader<'a> {
    pub(super) reader: read::Reader,
    sensor_registry: SensorRegistry,
    clocks: Option<Clocks>,
    /// Those of a pipe, from when on it turns out to be live.
    later: Option<Clocks>,
    /// The newest time among its readings until then.
    pub(super) newest: Option<Moment>,
    goes_live: bool,
    pace: Pace,
    findings: ClockFindings,
    batch: Vec<Reading>,
    /// Readings so far.
    taken: u64,
    /// Nobody listens any more.
    is_unheard: bool,
    beyond: u64,
    batches: &'a Output<Batch>,
}

impl Reader<'_> {
    /// Reads to the end of what is there; answers how much that was. `None` when nobody listens any more or a stop is asked.
    fn drain(&mut self, from: &mut dyn Read, stop: &StopSignal) -> anyhow::Result<Option<u64>> {
        let mut block = vec![0; BLOCK];
        let mut total = 0;
        loop {
            let n = match from.read(&mut block) {
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("it can't be read"),
            };
            if n == 0 {
                return Ok(self.send().is_continue().then_some(total));
            }
            total += n as u64;
            if self.take(&block[..n])?.is_break() || is_stopped(stop) {
                return Ok(None);
            }
        }
    }

    /// Readings come as they are taken.
    pub(super) fn go_live(&mut self) {
        if let Some(mut clocks) = self.later.take() {
            clocks.begin(now());
            self.clocks = Some(clocks);
            self.goes_live = true;
            self.pace.current = true;
            self.reader.go_live();
        }
    }

    /// Whether it is known that readings come as they are taken.
    pub(super) fn is_live(&self) -> bool {
        self.later.is_none()
    }

    /// Reads the database of Home Assistant's recorder, and with `follows` what is added to it.
    fn recorder(&mut self, path: &Path, follows: bool, stop: &StopSignal) -> anyhow::Result<()> {
        let mut recorder = Recorder::open(path)?;
        self.clocks.iter_mut().for_each(|clocks| clocks.begin(now()));
        let mut is_wanted = true;
        let mut take = |reading: &mut Self, lines: &[u8]| {
            is_wanted &= reading.take(lines)?.is_continue() && !is_stopped(stop);
            Ok(is_wanted)
        };
        recorder.read_all(&mut |lines| take(self, lines))?;
        while follows && self.send().is_continue() && stop.recv_timeout(POLL * 5) == Err(RecvTimeoutError::Timeout) {
            if recorder.is_replaced(path) {
                // It may not be whole yet.
                let Ok(new) = Recorder::open(path) else { continue };
                tracing::info!(file = %path.display(), "the database was replaced; the new one is followed");
                recorder = new;
                recorder.read_all(&mut |lines| take(self, lines))?;
                continue;
            }
            match recorder.read_newer(&mut |lines| take(self, lines)) {
                Err(error) if is_locked(&error) => tracing::debug!("another program holds the database locked"),
                outcome => outcome?,
            }
        }
        Ok(())
    }

    pub(super) fn take(&mut self, bytes: &[u8]) -> anyhow::Result<ControlFlow<()>> {
        self.reading(|reader, emit| reader.push(bytes, emit))?;
        Ok(if self.batch.len() >= BATCH { self.send() } else { ControlFlow::Continue(()) })
    }

    /// Has `read` hand readings on.
    pub(super) fn reading(
        &mut self,
        read: impl FnOnce(&mut read::Reader, &mut Emit<'_>) -> Result<(), InputError>,
    ) -> anyhow::Result<()> {
        let Self { reader, sensor_registry, clocks, pace, findings, batch, beyond, newest, taken, .. } = self;
        let mut emit = |found: read::Found<'_>| match sensor_registry.id(&found) {
            Some((sensor, value)) => {
                let judged = clocks.as_mut().map(|c| c.judge(sensor, Stamp::from(found.at), value, now()));
                if let Some(judged) = &judged {
                    pace.current |= judged.current;
                    pace.held_up |= judged.held_up;
                    judged.note.into_iter().for_each(|note| findings.add(note));
                }
                // Of a pipe that nobody has called live yet.
                let untimed = || if found.at == NO_TIME { now() } else { found.at };
                let at = judged.map_or_else(untimed, |j| j.at);
                *newest = Some(newest.map_or(at, |n| n.max(at)));
                *taken += 1;
                batch.push(Reading { at, sensor, value });
            }
            None if sensor_registry.is_unwanted(found.key) => {}
            None => *beyond += 1,
        };
        Ok(read(reader, &mut emit)?)
    }

    /// Sends what there is; [`ControlFlow::Break`] when nobody listens any more.
    pub(super) fn send(&mut self) -> ControlFlow<()> {
        let mut rejected = self.reader.take_rejected();
        rejected.sensors_beyond += std::mem::take(&mut self.beyond);
        let introduced = self.sensor_registry.take_introduced();
        let is_empty = self.batch.is_empty() && introduced.is_empty() && rejected == Rejected::default();
        if is_empty && !self.goes_live {
            return ControlFlow::Continue(());
        }
        let readings = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let batch = Batch {
            introduced,
            readings,
            rejected,
            pace: std::mem::take(&mut self.pace),
            clocks: std::mem::take(&mut self.findings),
            goes_live: std::mem::take(&mut self.goes_live),
            offsets: self.clocks.as_mut().map(Clocks::take_changed).unwrap_or_default(),
            ..Batch::default()
        };
        let sent = self.batches.send(Envelope::new(NO_TURN, batch));
        self.is_unheard = sent.is_break();
        sent
    }

    fn end(&mut self, whole: bool) -> anyhow::Result<()> {
        // Of a pipe that was live, its writer broke off a line that has no end: half a number is another number.
        if whole && self.is_live() && self.reader.cut_off_line() {
            self.reader.count_cut_off();
        }
        let outcome = match whole {
            true => self.reading(|reader, emit| reader.end(emit)),
            false => Ok(()),
        };
        let _ = self.send();
        outcome
    }

    /// Reads what is there, and then what is added. A file that was rotated away is read to its end before the new one is
    /// opened; one that was cut is read from its beginning.
    fn follow(&mut self, path: &Path, stop: &StopSignal) -> anyhow::Result<()> {
        anyhow::ensure!(
            !files::is_pipe(path),
            "it is a pipe (FIFO), which is read to its end anyway: leave out --follow"
        );
        let mut file = open_file(path)?;
        let mut position = 0;
        // What was written before is there at once.
        self.clocks.iter_mut().for_each(|clocks| clocks.begin(now()));
        loop {
            match self.drain(&mut file, stop)? {
                Some(read) => position += read,
                None => return Ok(()),
            }
            // What is there decides how it is read.
            self.reading(|reader, emit| reader.pause(emit))?;
            if self.send().is_break() {
                return Ok(());
            }
            if stop.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout) {
                return Ok(());
            }
            let here = file.metadata()?;
            if here.len() < position {
                tracing::info!(file = %path.display(), "the file was cut; it is read from its beginning");
                file.seek(SeekFrom::Start(0))?;
                position = 0;
                // Whatever its last line was to become is gone.
                if self.reader.begin() {
                    self.reader.count_cut_off();
                }
                continue;
            }
            // The name may be gone for a moment between two files.
            let Ok(there) = std::fs::metadata(path) else { continue };
            if (there.dev(), there.ino()) != (here.dev(), here.ino()) {
                // What was written to the old file after the last look belongs to it.
                if self.drain(&mut file, stop)?.is_none() {
                    return Ok(());
                }
                let Ok(new) = files::open(path) else { continue };
                // The last line of the old file may lack its newline; it is not the beginning of the new one's first.
                self.reading(|reader, emit| reader.end_line(emit))?;
                self.reader.begin();
                tracing::info!(file = %path.display(), "the file was rotated; the new one is followed");
                (file, position) = (new, 0);
            }
        }
    }
}

/// Reads `pipe` as `source` would be read.
#[cfg(test)]
pub(super) fn read_pipe_for_test(
    source: &TextSource,
    options: &TextOptions,
    sensors: SensorRegistry,
    clocks: Clocks,
    batches: &Output<Batch>,
    pipe: &mut dyn crate::pipes::Pauses,
    stop: &StopSignal,
) -> anyhow::Result<()> {
    let mut reading = source.reader(options, TimeZone::UTC, sensors, clocks, batches)?;
    reading.drain_pipe(pipe, stop)?;
    reading.end(!is_stopped(stop))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;

    fn clocks() -> Clocks {
        let length = "1h".parse().unwrap();
        let plan = nearfield_telemetry::window::WindowPlan::new(length, length, TimeZone::UTC).unwrap();
        let options = nearfield_telemetry::clock::ClockOptions { ahead_seconds: 30.0, lateness_seconds: 30.0, plan };
        Clocks::new(options)
    }

    use crossbeam_channel::{Receiver, bounded};

    use super::*;

    fn values(batches: &Receiver<Envelope<Batch>>, wanted: usize) -> Vec<f64> {
        let mut found = Vec::new();
        while found.len() < wanted {
            let batch = batches.recv_timeout(Duration::from_secs(20)).expect("readings come");
            found.extend(batch.body.readings.iter().map(|r| r.value));
        }
        found
    }

    #[test]
    fn a_followed_file_survives_growth_rotation_and_cutting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        std::fs::write(&path, "time,a\n2026-11-20 12:00:00,1\n").unwrap();
        let (sender, batches) = bounded(64);
        let (keep, stop) = bounded(0);
        let source = TextSource::Follow(path.clone());
        let thread = std::thread::spawn(move || {
            let sensor_registry = SensorRegistry::new(BTreeMap::new(), false, 10);
            source.run(&TextOptions::default(), TimeZone::UTC, sensor_registry, clocks(), &Output::Wait(sender), &stop)
        });
        assert_eq!(values(&batches, 1), [1.0]);
        let append = |path: &Path, text: &str| {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append(&path, "2026-11-20 12:01:00,2\n2026-11-20 12:0");
        assert_eq!(values(&batches, 1), [2.0]);
        append(&path, "2:00,3\n");
        assert_eq!(values(&batches, 1), [3.0]);
        std::fs::rename(&path, folder.path().join("log.csv.1")).unwrap();
        append(&folder.path().join("log.csv.1"), "2026-11-20 12:03:00,4\n");
        append(&path, "2026-11-20 12:04:00,5\n");
        assert_eq!(values(&batches, 2), [4.0, 5.0]);
        std::fs::write(&path, "").unwrap();
        std::thread::sleep(POLL * 2);
        append(&path, "2026-11-20 12:05:00,6\n");
        assert_eq!(values(&batches, 1), [6.0]);
        drop(keep);
        thread.join().unwrap().unwrap();
    }
}
