//! The last minutes of a live camera, as it sent them: ffmpeg writes its packets into short files beside decoding them, and what is
//! older than a clip may need is removed. A clip is put together from these files without encoding anything.
//!
//! The files of one run of ffmpeg are `rN-00000.ts`, `rN-00001.ts`, ...; `rN.csv` lists those that are complete with their times.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use nearfield_base::files;

/// A list is read up to this; a day of segments of a second is 3 MB.
const MOST_LIST_BYTES: u64 = 64 << 20;

/// What is recorded, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct RingOptions {
    /// The folder for the files; one camera has it alone.
    pub folder: PathBuf,
    /// The length of a file, in seconds, if the camera sends key frames as often.
    pub segment_s: f64,
    /// What is older is removed.
    pub keep: Duration,
}

/// The ring of one camera: its source writes, whoever makes clips reads.
#[derive(Clone, Debug)]
pub struct Ring {
    options: RingOptions,
    runs: Arc<Mutex<Vec<Run>>>,
}

/// A run of ffmpeg.
#[derive(Clone, Copy, Debug)]
struct Run {
    number: u64,
    /// The source's time at its first picture.
    base: Option<Duration>,
}

/// A recorded file.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// Its start and its end in the source's time.
    pub span: (Duration, Duration),
}

impl Ring {
    /// An empty ring; what an earlier program left in its folder is removed.
    ///
    /// # Errors
    /// The folder can't be created or read.
    pub fn open(options: RingOptions) -> std::io::Result<Self> {
        std::fs::create_dir_all(&options.folder)?;
        let ring = Self { options, runs: Arc::default() };
        ring.remove(|_| true)?;
        Ok(ring)
    }

    /// The folder in which ffmpeg is to run.
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// A new run of ffmpeg begins: what it is to be told besides its input.
    pub fn begin(&self) -> Vec<String> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let number = runs.last().map_or(0, |run| run.number + 1);
        runs.push(Run { number, base: None });
        let seconds = self.options.segment_s;
        // A failure to record (a full disk) must not end the pictures: `tee` lets one of its outputs fail.
        let segments = format!(
            "[f=segment:onfail=ignore:segment_time={seconds}:segment_format=mpegts:segment_list=r{number}.csv:\
             segment_list_type=csv:segment_list_flags=+live:segment_list_size=0]r{number}-%05d.ts"
        );
        let arguments = ["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", "-f", "tee"];
        arguments.map(str::to_owned).into_iter().chain([segments]).collect()
    }

    /// The run has given its first picture.
    pub fn first_picture(&self, at: Duration) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = runs.last_mut() {
            run.base.get_or_insert(at);
        }
    }

    /// The complete files, in the order of time.
    pub fn segments(&self) -> Vec<Segment> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut segments = Vec::new();
        for Run { number, base } in runs {
            let Some(base) = base else { continue };
            let list = self.options.folder.join(format!("r{number}.csv"));
            let Ok(text) = files::read_text(&list, MOST_LIST_BYTES) else { continue };
            for line in text.lines() {
                if let Some((name, start, end)) = parsed(line) {
                    let path = self.options.folder.join(name);
                    if path.is_file() {
                        segments.push(Segment { path, span: (base.saturating_add(start), base.saturating_add(end)) });
                    }
                }
            }
        }
        segments
    }

    /// Removes what is older than is kept; answers how many files.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn clean(&self) -> std::io::Result<usize> {
        let now = SystemTime::now();
        let keep = self.options.keep;
        self.remove(|changed| now.duration_since(changed).is_ok_and(|age| age > keep))
    }

    /// When something was last recorded.
    pub fn last_recorded(&self) -> Option<SystemTime> {
        let entries = std::fs::read_dir(&self.options.folder).ok()?;
        entries.flatten().filter(|e| is_ours(&e.path())).filter_map(|e| e.metadata().ok()?.modified().ok()).max()
    }

    fn remove(&self, is_old: impl Fn(SystemTime) -> bool) -> std::io::Result<usize> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.options.folder)?.flatten() {
            let path = entry.path();
            let changed = entry.metadata().and_then(|m| m.modified());
            if is_ours(&path) && changed.is_ok_and(&is_old) && std::fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

impl Drop for Ring {
    /// The last holder leaves nothing behind.
    fn drop(&mut self) {
        if Arc::strong_count(&self.runs) == 1 {
            let _ = self.remove(|_| true);
        }
    }
}

/// Whether a file is one of a ring.
fn is_ours(path: &Path) -> bool {
    let Some((stem, extension)) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.rsplit_once('.')) else {
        return false;
    };
    let Some(numbers) = stem.strip_prefix('r') else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match (extension, numbers.split_once('-')) {
        ("csv", None) => is_number(numbers),
        ("ts", Some((run, file))) => is_number(run) && is_number(file),
        _ => false,
    }
}

/// A line of a list: name, start and end in seconds.
fn parsed(line: &str) -> Option<(&str, Duration, Duration)> {
    let mut parts = line.split(',');
    let (name, start, end) = (parts.next()?, parts.next()?, parts.next()?);
    let seconds = |text: &str| Duration::try_from_secs_f64(text.trim().parse::<f64>().ok()?.max(0.0)).ok();
    let (start, end) = (seconds(start)?, seconds(end)?);
    (is_ours(Path::new(name)) && !name.contains('/') && end >= start).then_some((name, start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_the_sources_time_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        put("r7-00000.ts", "left by an earlier program");
        put("mine.ts", "somebody's");
        let keep = Duration::from_secs(60);
        let ring = Ring::open(RingOptions { folder: folder.path().to_owned(), segment_s: 2.0, keep }).unwrap();
        assert!(!folder.path().join("r7-00000.ts").exists() && folder.path().join("mine.ts").exists());
        assert!(ring.begin().last().unwrap().ends_with("]r0-%05d.ts"));
        ring.first_picture(Duration::from_secs(10));
        put(
            "r0.csv",
            "r0-00000.ts,0.000000,2.000000\nr0-00001.ts,2.0,4.5\nr0-00002.ts,4.5\n../x.ts,1,2\nr0-9.ts,nan,1\n",
        );
        put("r0-00000.ts", "a");
        put("r0-00001.ts", "b");
        let spans: Vec<_> = ring.segments().iter().map(|s| (s.span.0.as_millis(), s.span.1.as_millis())).collect();
        assert_eq!(spans, [(10_000, 12_000), (12_000, 14_500)]);
        // After a reconnection the next run has its own times.
        ring.begin();
        ring.first_picture(Duration::from_secs(30));
        put("r1.csv", "r1-00000.ts,0,2\n");
        put("r1-00000.ts", "c");
        assert_eq!(ring.segments().last().unwrap().span.0, Duration::from_secs(30));
        let old = SystemTime::now() - Duration::from_secs(100);
        let file = std::fs::File::open(folder.path().join("r0-00000.ts")).unwrap();
        file.set_modified(old).unwrap();
        assert_eq!(ring.clean().unwrap(), 1);
        assert_eq!(ring.segments().len(), 2);
        drop(ring);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["mine.ts"]);
    }
}
