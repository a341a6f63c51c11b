//! Events: what objects do before a camera, from the first that appears to the last that has gone or come to rest. [`Follow`] is the
//! stage; [`News`] is what it tells.

mod assemble;
mod sentence;
mod sighting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nearfield_base::range::in_range;
use nearfield_vision::{Picture, Rect};
use serde::{Deserialize, Serialize};

use crate::caption::alerts::Alerts;
use crate::flow::{Emit, Stage, Turn};
use crate::messages::{Captioned, Envelope};

pub use assemble::Assembler;
pub use sighting::Sighting;

/// What makes an event, and where events are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventOptions {
    /// Labels of the vision model that make events; empty: all.
    pub objects: Vec<String>,
    /// An object that has not moved for so long has come to rest: it keeps no event going, and makes a new one when it moves.
    pub stationary_s: f64,
    /// An event ends when for so long no object was there that moves.
    pub quiet_s: f64,
    /// A longer event is ended, and goes on as another one.
    pub max_s: f64,
    /// The longest side of an event's picture, in pixels.
    pub picture_px: u32,
    /// The folder in which events are kept: one JSON file each, with its picture and, with `[clips]`, its clip; empty: none. `nearfield
    /// events FOLDER` makes a page of it.
    pub folder: PathBuf,
    /// How long they are kept, as in "14d"; empty: any time.
    pub keep: String,
    /// And how much of them, in bytes with pictures and clips; the oldest go first.
    pub keep_bytes: u64,
}

impl Default for EventOptions {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            stationary_s: 30.0,
            quiet_s: 3.0,
            max_s: 300.0,
            picture_px: 480,
            folder: PathBuf::new(),
            keep: "14d".to_owned(),
            keep_bytes: 10_000_000_000,
        }
    }
}

impl EventOptions {
    /// Checks ranges.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("stationary_s", self.stationary_s, 0.1..=86_400.0)?;
        in_range("quiet_s", self.quiet_s, 0.0..=3600.0)?;
        in_range("max_s", self.max_s, 1.0..=86_400.0)?;
        in_range("picture_px", self.picture_px, 32..=4096)?;
        in_range("keep_bytes", self.keep_bytes, 1_000_000..=10_000_000_000_000)
    }
}

/// A stay in a zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZoneStay {
    /// The zone's name.
    pub zone: String,
    /// For how long in all, in seconds.
    pub seconds: f64,
}

/// An object of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventObject {
    /// Its number, as long as the flow runs.
    pub id: u64,
    /// Its label.
    pub label: String,
    /// Its best score.
    pub score: f64,
    /// How long it was there in this event, in seconds.
    pub seconds: f64,
    /// Where it went: `left to right`, `towards the camera`; empty where it stayed.
    pub direction: String,
    /// Whether it had come to rest by the event's end.
    pub stationary: bool,
    /// The zones that it entered, in order.
    pub zones: Vec<ZoneStay>,
}

/// An event as a whole.
#[derive(Clone, Debug)]
pub struct SceneEvent {
    /// Names it: its start and its camera.
    pub id: String,
    /// Its start.
    pub start: SystemTime,
    /// Its start in the source's time.
    pub start_at: Duration,
    /// Its end, once it has ended.
    pub end: Option<(SystemTime, Duration)>,
    /// Its objects, in the order in which they came.
    pub objects: Vec<EventObject>,
    /// Lines that were crossed: name, and whether inwards.
    pub crossed: Vec<(String, bool)>,
    /// What it was, in one sentence.
    pub caption: String,
    /// The caption of the scene at the time of the best picture; empty if there was none.
    pub scene: String,
    /// Its best picture: the object that shows best, with some of what is around it.
    pub picture: Option<Arc<Picture>>,
}

/// A step in an object's life, as others are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// It has appeared.
    New,
    /// Its zones, its rest or its best picture have changed.
    Update,
    /// It has gone.
    End,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum News {
    /// An object came, changed or went: before and after.
    Object(Step, Box<Sighting>, Box<Sighting>),
    /// An object entered a zone, left it after so long, or stays in it.
    Zone {
        /// The zone's name.
        zone: String,
        /// `zone_entered`, `zone_left` or `loitering`.
        kind: &'static str,
        /// The object's number.
        id: u64,
        /// Its label.
        label: String,
        /// How long it was there, or has been.
        seconds: f64,
    },
    /// An object crossed a line.
    Crossed {
        /// The line's name.
        line: String,
        /// The object's number.
        id: u64,
        /// Its label.
        label: String,
        /// Which way.
        inwards: bool,
        /// Crossings of the line since the flow began, inwards and outwards.
        total: (u64, u64),
    },
    /// How many objects there are now where the number has changed: by zone (`None`: the whole picture) and label (`all` for all).
    Counts(BTreeMap<(Option<String>, String), usize>),
    /// An event has begun.
    Started(Box<SceneEvent>),
    /// An event has ended.
    Ended(Box<SceneEvent>),
}

/// What comes out of the captioner for a picture, or at its end.
#[derive(Debug)]
pub struct Followed {
    /// What became of the picture; `None` at the source's end.
    pub captioned: Option<Captioned>,
    /// The calendar's time of the picture, or of the last one.
    pub time: SystemTime,
    /// What happened by then.
    pub news: Vec<News>,
}

/// The stage that follows objects: what became of each picture comes in, and goes out with what happened and with the alerts that hold.
pub struct Follow {
    assembler: Option<Assembler>,
    alerts: Alerts,
    last: Option<(Turn, SystemTime)>,
    /// When the last picture came, where something may still be under way.
    came: Option<Instant>,
}

/// A source without a picture for so long is away, and so is whatever was before it. A caption of a slow language model takes less.
const AWAY: Duration = Duration::from_secs(60);

impl Follow {
    /// With this assembler and these rules; without an assembler nothing is followed, and each object of a picture counts.
    pub fn new(assembler: Option<Assembler>, alerts: Alerts) -> Self {
        Self { assembler, alerts, last: None, came: None }
    }
}

impl Stage for Follow {
    type In = Captioned;
    type Out = Followed;

    fn name(&self) -> &'static str {
        "follow"
    }

    /// An event that is under way when the flow is stopped ends with it, and is told.
    fn takes_silenced(&self) -> bool {
        true
    }

    fn step(&mut self, input: Envelope<Captioned>, emit: &mut Emit<'_, Followed>) -> anyhow::Result<()> {
        let Envelope { turn, body: mut captioned, .. } = input;
        let time = captioned.view.time;
        self.last = Some((turn, time));
        self.came = self.assembler.is_some().then(Instant::now);
        let news = match &mut self.assembler {
            Some(assembler) => assembler.see(&captioned.view, &captioned.sight, &captioned.caption),
            None => Vec::new(),
        };
        let confirmed = self.assembler.as_ref().map(|assembler| assembler.confirmed(&captioned.sight));
        let objects = confirmed.as_deref().unwrap_or(&captioned.sight.objects);
        let caption = captioned.changed.then_some(captioned.caption.as_str());
        captioned.alerts = self.alerts.of(caption, objects, captioned.view.at, captioned.view.time);
        let _ = emit(Envelope::new(turn, Followed { captioned: Some(captioned), time, news }));
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        self.came.map(|came| came + AWAY)
    }

    fn wake(&mut self, emit: &mut Emit<'_, Followed>) -> anyhow::Result<()> {
        self.came = None;
        self.finish(emit)
    }

    fn finish(&mut self, emit: &mut Emit<'_, Followed>) -> anyhow::Result<()> {
        let news = self.assembler.as_mut().map(Assembler::finish).unwrap_or_default();
        if let Some((turn, time)) = self.last
            && !news.is_empty()
        {
            let _ = emit(Envelope::new(turn, Followed { captioned: None, time, news }));
        }
        Ok(())
    }
}

/// The quality of a view of an object: how sure, how large, and whether it is whole.
fn quality(score: f32, rect: &Rect) -> f32 {
    const EDGE: f32 = 0.005;
    let is_cut = rect.x < EDGE || rect.y < EDGE || rect.x + rect.w > 1.0 - EDGE || rect.y + rect.h > 1.0 - EDGE;
    score * (rect.w * rect.h).max(0.0).sqrt() * if is_cut { 0.7 } else { 1.0 }
}

#[cfg(test)]
mod tests;
