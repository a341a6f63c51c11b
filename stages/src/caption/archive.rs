//! Keeps events on disk: for each a JSON file, its best picture, and a clip of it if the camera's packets are at hand. What is older or
//! more than is kept goes, the oldest first.
//!
//! The JSON file is written last and replaced atomically, so that what it names is there; it is removed first. When the disk is full, the
//! oldest events make room for the newest.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use crossbeam_channel::{Sender, bounded};
use nearfield_base::child::spawn_in_own_group;
use nearfield_base::persist;
use nearfield_base::range::in_range;
use nearfield_vision::encode_jpeg;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event_index::read_event;
use super::events::SceneEvent;
use super::ring::Ring;
use crate::flow::{Emit, Flow, Stage, Turn};
use crate::messages::Envelope;
use crate::reconnect::Reminder;

/// Events that wait for the disk.
const WAITING: usize = 64;
/// ffmpeg, which copies a few megabytes, has hung after this.
const CUT_LIMIT: Duration = Duration::from_secs(60);
/// How often the ring is cleaned, and old events are looked for.
const CLEANING: Duration = Duration::from_secs(30);
/// So many of the oldest events make room for one when the disk is full.
const MOST_SACRIFICED: usize = 64;
/// With less than this left, a clip that could not be made was probably too large for the disk.
const FULL_BELOW: u64 = 4 << 20;
/// The quality of pictures.
const JPEG_QUALITY: u8 = 85;
/// So many events of one start and camera are kept.
const MOST_OF_A_NAME: u32 = 999;
/// Pictures and clips without an event are removed when they are older than this: a program was killed between two files.
const ORPHANED: Duration = Duration::from_secs(3600);

/// Clips of events: copied from what the camera sent, not encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipOptions {
    /// Whether an event that is kept in `event.folder` has a clip. Of rtsp:// and other addresses that ffmpeg opens, and of video files.
    pub enabled: bool,
    /// So much of what came before the event is in its clip, in seconds,
    pub before_s: f64,
    /// and so much of what came after it. A clip begins at a key frame, which may be some seconds earlier.
    pub after_s: f64,
    /// What the camera sends is kept in files of this length, in seconds, as long as an event may need it.
    pub segment_s: f64,
    /// Clips show what `source.masks` hides in pictures, since nothing is encoded anew; without this, clips of a camera with masks are
    /// refused.
    pub show_masked: bool,
    /// The folder for these files, best on a memory disk (some 30 MB a minute and camera); empty: `recent` in `event.folder`.
    pub recent: PathBuf,
}

impl Default for ClipOptions {
    fn default() -> Self {
        Self { enabled: false, before_s: 5.0, after_s: 5.0, segment_s: 4.0, show_masked: false, recent: PathBuf::new() }
    }
}

impl ClipOptions {
    /// Checks ranges.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("before_s", self.before_s, 0.0..=600.0)?;
        in_range("after_s", self.after_s, 0.0..=600.0)?;
        in_range("segment_s", self.segment_s, 0.5..=60.0)
    }
}

/// What is kept at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventRetention {
    /// For so long.
    pub age: Option<Duration>,
    /// So many bytes.
    pub bytes: u64,
}

/// Where clips are cut from.
#[derive(Debug)]
pub enum ClipsFrom {
    /// There are none.
    Nothing,
    /// A video file, which is there as a whole.
    File(PathBuf),
    /// The last minutes of a camera.
    Ring(Ring),
}

/// The archiving stage.
pub struct Archive {
    camera: String,
    folder: PathBuf,
    keep: EventRetention,
    clips: ClipOptions,
    from: ClipsFrom,
    ffmpeg: String,
    pending: VecDeque<Pending>,
    next_cleaning: Instant,
    refused: Reminder,
}

/// An event whose clip is not there yet.
struct Pending {
    event: SceneEvent,
    due: Instant,
}

impl Archive {
    /// In this folder.
    ///
    /// # Errors
    /// It can't be created or written to.
    pub fn open(
        camera: &str,
        folder: &Path,
        keep: EventRetention,
        clips: ClipOptions,
        from: ClipsFrom,
        ffmpeg: &str,
    ) -> anyhow::Result<Self> {
        let unusable = || format!("event.folder: {} can't be written", folder.display());
        drop(persist::Folder::open(folder).with_context(unusable)?);
        let archive = Self {
            camera: camera.to_owned(),
            folder: folder.to_owned(),
            keep,
            clips,
            from,
            ffmpeg: ffmpeg.to_owned(),
            pending: VecDeque::new(),
            next_cleaning: Instant::now(),
            refused: Reminder::default(),
        };
        archive.remove_orphans().with_context(unusable)?;
        Ok(archive)
    }

    /// Makes it a branch of `flow`; answers where events that have ended are handed in.
    pub fn branch_off<N>(self, flow: &mut Flow<N>) -> Sender<Envelope<Box<SceneEvent>>> {
        let (sender, receiver) = bounded(WAITING);
        flow.branch(self, receiver);
        sender
    }

    fn path(&self, id: &str, extension: &str) -> PathBuf {
        self.folder.join(format!("{id}.{extension}"))
    }

    /// Gives an event the name of files of its own. One that is kept already (the same video was looked at once more) keeps its name;
    /// another one of the same start and camera (a shorter run, another video) makes it `NAME_002`, `NAME_003` and so on.
    fn name_files(&self, event: &mut SceneEvent) -> anyhow::Result<()> {
        let id = event.id.clone();
        for n in 1..=MOST_OF_A_NAME {
            if n > 1 {
                event.id = format!("{id}_{n:03}");
            }
            let path = self.path(&event.id, "json");
            if !std::fs::exists(&path).with_context(|| format!("{} can't be read", path.display()))? {
                return Ok(());
            }
            // One that is damaged is kept as well.
            let Ok(mut kept) = read_event(&self.folder, &event.id) else { continue };
            if let Some(kept) = kept.as_object_mut() {
                kept.remove("picture");
                kept.remove("clip");
            }
            // As it was written: a number that was rounded is the one that is read.
            let body: Option<Value> = serde_json::from_str(&event.json(&self.camera).to_string()).ok();
            if body.is_some_and(|body| body == kept) {
                return Ok(());
            }
        }
        bail!("{} events have the name {id}: the folder is to be cleared", MOST_OF_A_NAME)
    }

    /// Writes what there is of an event; `clip`: its clip is there.
    fn write(&self, event: &SceneEvent, clip: bool) -> anyhow::Result<()> {
        let _write = crate::flow::writes::begin();
        let mut body = event.json(&self.camera);
        if let Some(picture) = &event.picture {
            let jpeg = encode_jpeg(picture, JPEG_QUALITY)?;
            self.replace(&self.path(&event.id, "jpg"), &jpeg)?;
            body["picture"] = json!(format!("{}.jpg", event.id));
        }
        if clip {
            body["clip"] = json!(format!("{}.mp4", event.id));
        }
        self.replace(&self.path(&event.id, "json"), format!("{body:#}\n").as_bytes())
    }

    /// Replaces a file; where the disk is full, the oldest events go.
    fn replace(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        self.with_room(|| persist::replace(path, bytes)).with_context(|| format!("{} can't be written", path.display()))
    }

    fn with_room<T>(&self, mut write: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
        for _ in 0..MOST_SACRIFICED {
            match write() {
                Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                    if let ClipsFrom::Ring(ring) = &self.from {
                        let _ = ring.clean();
                    }
                    let Some(oldest) = self.kept()?.into_iter().next() else { return Err(error) };
                    tracing::warn!(
                        "{}: the disk is full: the oldest event, {}, is removed",
                        self.folder.display(),
                        oldest.id
                    );
                    self.remove(&oldest.id);
                }
                done => return done,
            }
        }
        write()
    }

    fn remove(&self, id: &str) {
        for extension in ["json", "mp4", "jpg"] {
            let _ = std::fs::remove_file(self.path(id, extension));
        }
    }

    /// The events that are kept, the oldest first.
    fn kept(&self) -> std::io::Result<Vec<KeptEvent>> {
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(&self.folder)?.flatten() {
            let path = entry.path();
            let (Some(id), Some("json")) =
                (path.file_stem().and_then(|s| s.to_str()), path.extension().and_then(|e| e.to_str()))
            else {
                continue;
            };
            if !is_event_name(id) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            let size = |extension| std::fs::metadata(self.path(id, extension)).map_or(0, |m| m.len());
            let bytes = metadata.len() + size("jpg") + size("mp4");
            kept.push(KeptEvent { id: id.to_owned(), written: metadata.modified()?, bytes });
        }
        kept.sort_by(|a, b| (a.written, &a.id).cmp(&(b.written, &b.id)));
        Ok(kept)
    }

    /// Removes what is too old or too much; answers how many events.
    fn clean(&self) -> std::io::Result<usize> {
        let kept = self.kept()?;
        let mut bytes: u64 = kept.iter().map(|k| k.bytes).sum();
        let now = SystemTime::now();
        let mut removed = 0;
        for event in kept {
            let is_old = self.keep.age.is_some_and(|age| now.duration_since(event.written).is_ok_and(|a| a > age));
            if !is_old && bytes <= self.keep.bytes {
                break;
            }
            self.remove(&event.id);
            bytes -= event.bytes;
            removed += 1;
        }
        Ok(removed)
    }

    fn remove_orphans(&self) -> std::io::Result<()> {
        let now = SystemTime::now();
        for entry in std::fs::read_dir(&self.folder)?.flatten() {
            let path = entry.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let Some(id) = [".part.mp4", ".mp4", ".jpg", ".list"].iter().find_map(|end| name.strip_suffix(end)) else {
                continue;
            };
            let is_old = || {
                let changed = entry.metadata().and_then(|m| m.modified());
                changed.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > ORPHANED))
            };
            if is_event_name(id) && !self.path(id, "json").exists() && is_old() {
                let _ = std::fs::remove_file(&path);
            }
        }
        Ok(())
    }

    /// Cuts the clip of an event; `Ok(false)`: there is nothing to cut it from.
    fn cut(&self, event: &SceneEvent) -> anyhow::Result<bool> {
        let Some((_, end)) = event.end else { return Ok(false) };
        let from = event.start_at.saturating_sub(Duration::from_secs_f64(self.clips.before_s));
        let to = end.saturating_add(Duration::from_secs_f64(self.clips.after_s));
        let part = self.path(&event.id, "part.mp4");
        let list = self.path(&event.id, "list");
        let arguments: Vec<OsString> = match &self.from {
            ClipsFrom::Nothing => return Ok(false),
            ClipsFrom::File(video) => {
                let times =
                    ["-ss".to_owned(), from.as_secs_f64().to_string(), "-to".to_owned(), to.as_secs_f64().to_string()];
                // Without its protocol, `12:30.mp4` would be one of the protocol `12`.
                let mut file = OsString::from("file:");
                file.push(video);
                times.map(OsString::from).into_iter().chain(["-i".into(), file]).collect()
            }
            ClipsFrom::Ring(ring) => {
                let segments: Vec<_> =
                    ring.segments().into_iter().filter(|s| s.span.1 > from && s.span.0 < to).collect();
                if segments.is_empty() {
                    return Ok(false);
                }
                // The list stands in another folder than the segments: names are absolute.
                let mut text = String::from("ffconcat version 1.0\n");
                for segment in segments {
                    let path = std::path::absolute(&segment.path)?;
                    let path = path.to_str().context("the name of clips.recent is not UTF-8")?;
                    text.push_str(&format!("file '{}'\n", path.replace('\'', "'\\''")));
                }
                self.replace(&list, text.as_bytes())?;
                ["-f", "concat", "-safe", "0", "-i"]
                    .map(OsString::from)
                    .into_iter()
                    .chain([list.clone().into()])
                    .collect()
            }
        };
        let mut command = Command::new(&self.ffmpeg);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]).args(arguments);
        command
            .args(["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", "-movflags", "+faststart", "-f", "mp4"])
            .arg(&part);
        let cut = run(command);
        let _ = std::fs::remove_file(&list);
        let placed = cut.and_then(|()| {
            // On a full disk ffmpeg may end well and leave a part of it.
            ensure!(is_whole_mp4(&part)?, "it was cut short");
            std::fs::File::open(&part)?.sync_all()?;
            persist::rename(&part, &self.path(&event.id, "mp4"))?;
            Ok(true)
        });
        if placed.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        placed.with_context(|| format!("the clip of {} can't be made", event.id))
    }

    /// Makes the clip of the first pending event.
    fn cut_first(&mut self) -> anyhow::Result<()> {
        let Some(Pending { event, .. }) = self.pending.pop_front() else { return Ok(()) };
        let mut cut = self.cut(&event);
        for _ in 0..MOST_SACRIFICED {
            // ffmpeg does not say that the disk was full in a way to rely on.
            let is_full = || rustix::fs::statvfs(&self.folder).is_ok_and(|s| s.f_bavail * s.f_frsize < FULL_BELOW);
            if cut.is_ok() || !is_full() {
                break;
            }
            let Some(oldest) = self.kept()?.into_iter().find(|kept| kept.id != event.id) else { break };
            tracing::warn!("{}: the disk is full: the oldest event, {}, is removed", self.folder.display(), oldest.id);
            self.remove(&oldest.id);
            cut = self.cut(&event);
        }
        if cut? {
            self.write(&event, true)?;
        }
        Ok(())
    }

    fn tidy(&mut self) {
        self.next_cleaning = Instant::now() + CLEANING;
        if let ClipsFrom::Ring(ring) = &self.from
            && let Err(error) = ring.clean()
        {
            self.told(&format!("{}: {error}", ring.folder().display()));
        }
        if let Err(error) = self.clean() {
            self.told(&format!("{}: {error}", self.folder.display()));
        }
    }

    /// Logs now and then what goes wrong again and again.
    fn told(&mut self, what: &str) {
        if self.refused.due(Instant::now()) {
            tracing::error!("events of {}: {what}", self.camera);
        }
    }
}

impl Stage for Archive {
    type In = Box<SceneEvent>;
    type Out = ();

    fn name(&self) -> &'static str {
        "archive"
    }

    fn takes_silenced(&self) -> bool {
        true
    }

    fn step(&mut self, input: Envelope<Box<SceneEvent>>, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        let mut event = *input.body;
        // A failure is logged, and the camera goes on: its events are told in other places, too.
        if let Err(error) = self.name_files(&mut event).and_then(|()| self.write(&event, false)) {
            self.told(&format!("{error:#}"));
            return Ok(());
        }
        if self.clips.enabled {
            let wait = match self.from {
                // The file that the end is in is complete when the next one has begun.
                ClipsFrom::Ring(_) => self.clips.after_s + 2.0 * self.clips.segment_s,
                _ => 0.0,
            };
            self.pending.push_back(Pending { event, due: Instant::now() + Duration::from_secs_f64(wait) });
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        let first = self.pending.front().map_or(self.next_cleaning, |p| p.due);
        Some(first.min(self.next_cleaning))
    }

    fn wake(&mut self, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        if self.pending.front().is_some_and(|p| p.due <= Instant::now())
            && let Err(error) = self.cut_first()
        {
            self.told(&format!("{error:#}"));
        }
        if self.next_cleaning <= Instant::now() {
            self.tidy();
        }
        Ok(())
    }

    fn finish(&mut self, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        let _write = crate::flow::writes::begin();
        while !self.pending.is_empty() {
            if let Err(error) = self.cut_first() {
                self.told(&format!("{error:#}"));
            }
        }
        self.tidy();
        Ok(())
    }
}

/// An event on disk.
struct KeptEvent {
    id: String,
    written: SystemTime,
    bytes: u64,
}

/// Whether a file's name is one that events have: `20261130T095800.123Z-door`.
pub fn is_event_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() > 20
        && bytes[8] == b'T'
        && bytes[15] == b'.'
        && bytes[19] == b'Z'
        && bytes[20] == b'-'
        && bytes[..8].iter().chain(&bytes[9..15]).all(u8::is_ascii_digit)
}

/// Whether an MP4 file has all of its boxes, to their ends, and its index (`moov`) among them.
fn is_whole_mp4(path: &Path) -> std::io::Result<bool> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let (mut at, mut has_index) = (0u64, false);
    while at < length {
        let mut head = [0u8; 16];
        file.seek(SeekFrom::Start(at))?;
        let read = (&mut file).take(16).read(&mut head)?;
        let short = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        // A size of 1 stands for a longer one behind the name, 0 for the rest of the file.
        let (size, least) = match short {
            1 => {
                (u64::from_be_bytes([head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15]]), 16)
            }
            0 => (length - at, 8),
            size => (size, 8),
        };
        if (read as u64) < least || size < least || size > length - at {
            return Ok(false);
        }
        has_index |= &head[4..8] == b"moov";
        at += size;
    }
    Ok(has_index)
}

/// Runs ffmpeg to its end, but not for ever.
fn run(mut command: Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = spawn_in_own_group(&mut command).with_context(|| format!("{program} does not start"))?;
    let begun = Instant::now();
    // What it says fits into the pipe: errors only, and of a copy.
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if begun.elapsed() > CUT_LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("{program} took longer than {} s", CUT_LIMIT.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(4096).read_to_end(&mut words);
    }
    let words = String::from_utf8_lossy(&words);
    bail!("{program} failed ({status}): {}", words.lines().last().unwrap_or_default())
}

/// A line of `--events`, a body of `/events`, a file of `event.folder`.
impl SceneEvent {
    /// Everything but the picture.
    pub fn json(&self, camera: &str) -> Value {
        let stamp = |time: SystemTime| jiff::Timestamp::try_from(time).map(|t| format!("{t:.3}")).unwrap_or_default();
        let mut zones: Vec<&str> = Vec::new();
        for zone in self.objects.iter().flat_map(|o| &o.zones).map(|z| z.zone.as_str()) {
            if !zones.contains(&zone) {
                zones.push(zone);
            }
        }
        let mut body = json!({
            "id": self.id, "camera": camera, "start": stamp(self.start), "objects": self.objects, "zones": zones,
            "caption": self.caption,
        });
        if let Some((end, end_at)) = self.end {
            body["end"] = json!(stamp(end));
            body["seconds"] = json!((end_at.saturating_sub(self.start_at).as_secs_f64() * 10.0).round() / 10.0);
        }
        if !self.scene.is_empty() {
            body["scene"] = json!(self.scene);
        }
        if !self.crossed.is_empty() {
            let crossed: Vec<Value> = self
                .crossed
                .iter()
                .map(|(line, inwards)| json!({"line": line, "direction": if *inwards { "in" } else { "out" }}))
                .collect();
            body["crossed"] = json!(crossed);
        }
        body
    }
}

/// Hands an event in; one that finds no room is not kept, which is logged.
pub fn hand_in(archive: &Sender<Envelope<Box<SceneEvent>>>, event: Box<SceneEvent>) {
    let id = event.id.clone();
    if archive.try_send(Envelope::new(Turn(0), event)).is_err() {
        tracing::error!("the event {id} is not kept: {WAITING} others wait for the disk");
    }
}

#[cfg(test)]
mod tests;
