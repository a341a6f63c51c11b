//! What captions leave on disk: the file of events, a line each, and the folder of snapshots.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use jiff::Timestamp;
use nearfield_base::persist::{Folder, Journal, Records};
use nearfield_stages::caption::events::News;
use nearfield_vision::{annotate, encode_jpeg};
use serde_json::{Value, json};

use super::captions::stamp;
use super::terminal::escape;
use crate::flows::caption::Done;
use crate::output::turn_report::ms;

/// How an event begins: distinguishes one that was cut off from another program's line.
const EVENTS: Records = Records::Lines("{\"time\":\"");

/// The file of events: each is one whole line, handed to the system at once, after those of earlier runs.
pub(crate) struct Events {
    file: Journal,
    path: PathBuf,
}

impl Events {
    pub(crate) fn open(path: &Path, anew: bool) -> anyhow::Result<Self> {
        let file = if anew { Journal::begin_anew(path, EVENTS) } else { Journal::open(path, EVENTS) };
        let file = file.with_context(|| format!("the events {} can't be written", path.display()))?;
        if file.removed_bytes() > 0 {
            let bytes = file.removed_bytes();
            tracing::warn!(file = %path.display(), bytes, "an earlier run ended within an event: the unfinished line was removed");
        }
        Ok(Self { file, path: path.to_owned() })
    }

    pub(crate) fn write(&mut self, camera: &str, time: SystemTime, kind: &str, body: &Value) -> anyhow::Result<()> {
        let mut event = json!({"time": stamp(time), "camera": camera, "event": kind});
        if let (Some(event), Some(body)) = (event.as_object_mut(), body.as_object()) {
            event.extend(body.clone());
        }
        let text = format!("{}\n", escape(&event.to_string()));
        self.file
            .append(text.as_bytes())
            .with_context(|| format!("the events {} can't be written", self.path.display()))
    }

    pub(crate) fn of(&mut self, done: &Done, camera: &str, snapshot: Option<&Path>) -> anyhow::Result<()> {
        let c = &done.captioned;
        let time = c.view.time;
        let at = |at: Duration| json!(ms(at));
        for movement in &c.movements {
            let kind = if movement.entered { "entered" } else { "left" };
            // Reported a little later than it happened: after enough pictures, or long enough without any. So the lines of the file are in
            // the order of their times.
            let happened = time.checked_sub(c.view.at.saturating_sub(movement.at)).unwrap_or(time);
            let body = json!({
                "object": movement.label, "score": movement.score, "frame": done.turn, "at_ms": at(movement.at),
                "since": stamp(happened),
            });
            self.write(camera, time, kind, &body)?;
        }
        let with_snapshot = |mut body: Value| {
            if let Some(path) = snapshot {
                body["snapshot"] = json!(path.display().to_string());
            }
            body
        };
        if c.changed {
            let body = with_snapshot(json!({
                "caption": c.caption, "frame": done.turn, "at_ms": at(c.view.at), "similarity": c.similarity, "written_by": c.author,
            }));
            self.write(camera, time, "caption", &body)?;
        }
        for alert in &c.alerts {
            let body = with_snapshot(json!({
                "alert": alert.name, "because": alert.because, "caption": c.caption, "frame": done.turn, "at_ms": at(c.view.at),
            }));
            self.write(camera, time, "alert", &body)?;
        }
        Ok(())
    }

    /// What objects did.
    pub(crate) fn news(&mut self, news: &[News], camera: &str, time: SystemTime) -> anyhow::Result<()> {
        for (kind, body) in news.iter().filter_map(|news| news_json(news, camera)) {
            self.write(camera, time, kind, &body)?;
        }
        Ok(())
    }

    pub(crate) fn end(self) -> anyhow::Result<()> {
        self.file.sync().with_context(|| format!("the events {} can't be written", self.path.display()))
    }
}

/// Pictures of one camera with the same time, to the millisecond, at most.
const MAX_SAME_TIME: u32 = 999;

/// The folder of snapshots. Their names are those of the camera and the time, in UTC: in the order of names they are in the order
/// of time, and no later run has the names of an earlier one. Where a clock was set back, a number follows.
pub(crate) struct Snapshots {
    path: PathBuf,
    folder: Folder,
}

impl Snapshots {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let folder =
            Folder::open(path).with_context(|| format!("the snapshots {} can't be written", path.display()))?;
        Ok(Self { path: path.to_owned(), folder })
    }

    /// Writes a picture; answers its path.
    pub(crate) fn write(&self, done: &Done, camera: &str) -> anyhow::Result<PathBuf> {
        let c = &done.captioned;
        let jpeg = encode_jpeg(&annotate(&c.view.picture, &c.sight.objects, &c.caption), 85)?;
        let camera: String = camera.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let time = Timestamp::try_from(c.view.time).unwrap_or_default().strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
        for n in 1..=MAX_SAME_TIME {
            let name = match n {
                1 => format!("{camera}-{time}.jpg"),
                n => format!("{camera}-{time}_{n:03}.jpg"),
            };
            match self.folder.add(&name, &jpeg) {
                Ok(()) => return Ok(self.path.join(name)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    let path = self.path.join(name);
                    return Err(error).with_context(|| format!("the snapshot {} can't be written", path.display()));
                }
            }
        }
        bail!("the snapshots {}: there are {MAX_SAME_TIME} pictures of {time} already", self.path.display())
    }
}

/// What is told of news, with its kind: in the file of events, and at `/events`. Of objects only what they do in zones and with lines;
/// brokers are told more.
pub(crate) fn news_json(news: &News, camera: &str) -> Option<(&'static str, Value)> {
    Some(match news {
        News::Object(..) | News::Counts(_) => return None,
        News::Zone { zone, kind, id, label, seconds } => {
            (kind, json!({"zone": zone, "object": label, "object_id": id, "seconds": seconds}))
        }
        News::Crossed { line, id, label, inwards, total: (all_in, all_out) } => {
            let direction = if *inwards { "in" } else { "out" };
            let total = json!({"in": all_in, "out": all_out});
            ("crossed", json!({"line": line, "object": label, "object_id": id, "direction": direction, "total": total}))
        }
        News::Started(event) => ("event_started", event.json(camera)),
        News::Ended(event) => ("event_ended", event.json(camera)),
    })
}
