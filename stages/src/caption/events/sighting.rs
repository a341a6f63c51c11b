//! One object before the camera, from its first picture to its last: what is known of it beyond its track.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nearfield_vision::{Picture, Rect, Track, Whereabouts};

use super::{EventObject, ZoneStay, quality};

/// A better picture is one that is better by this factor.
const BETTER: f32 = 1.1;
/// An object has moved when its box overlaps by less than this with that in which it rested.
const MOVED_BELOW: f32 = 0.6;
/// Around the object its picture shows this part of its box more, on each side,
const MARGIN: f32 = 0.35;
/// and at least this part of the picture.
const LEAST_PART: f32 = 0.2;

/// An object that is, or was, before the camera.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Its number.
    pub id: u64,
    /// Its name for others: the time of its start, and a mark of its own.
    pub name: String,
    /// Its label.
    pub label: String,
    /// The last picture's score and the best.
    pub score: f32,
    /// The best score.
    pub top_score: f32,
    /// Its box.
    pub rect: Rect,
    /// Its first box.
    pub first_rect: Rect,
    /// When it appeared.
    pub start: (SystemTime, Duration),
    /// When it was last seen.
    pub last: (SystemTime, Duration),
    /// Whether it has gone.
    pub is_gone: bool,
    /// Whether it has come to rest.
    pub is_stationary: bool,
    /// Pictures in a row in which it did not move.
    pub motionless: u32,
    /// How often it has moved on from where it was.
    pub position_changes: u32,
    /// The zones it is in, by name.
    pub current_zones: Vec<String>,
    /// Those it was in, in order, with the stays that are over.
    pub zones: Vec<ZoneStay>,
    /// Since when it is in those that it is in.
    pub(super) zone_since: BTreeMap<String, Duration>,
    /// The size of the camera's pictures.
    pub size: (u32, u32),
    /// Its best picture: its score, its box, its time.
    pub best: (f32, Rect, SystemTime),
    /// The pixels of it.
    pub picture: Option<Arc<Picture>>,
    /// The scene's caption then.
    pub scene: String,
    /// Where it is among zones and lines.
    pub(super) whereabouts: Whereabouts,
    pub(super) moved_at: Duration,
    pub(super) picture_told_at: Duration,
    best_quality: f32,
    anchor: Rect,
}

impl Sighting {
    pub(super) fn new(track: &Track, name: String, start: SystemTime, now: (SystemTime, Duration)) -> Self {
        Self {
            id: track.id,
            name,
            label: track.label.clone(),
            score: track.score,
            top_score: track.best_score,
            rect: track.rect,
            first_rect: track.rect,
            start: (start, track.first),
            last: now,
            is_gone: false,
            is_stationary: false,
            motionless: 0,
            position_changes: 0,
            current_zones: Vec::new(),
            zones: Vec::new(),
            zone_since: BTreeMap::new(),
            size: (0, 0),
            best: (0.0, track.rect, start),
            picture: None,
            scene: String::new(),
            whereabouts: Whereabouts::default(),
            moved_at: now.1,
            picture_told_at: now.1,
            best_quality: 0.0,
            anchor: track.rect,
        }
    }

    /// Takes its place in a picture; answers whether its rest began or ended.
    pub(super) fn follow(&mut self, track: &Track, now: (SystemTime, Duration), stationary: Duration) -> bool {
        self.label.clone_from(&track.label);
        (self.score, self.top_score, self.rect, self.last) = (track.score, track.best_score, track.rect, now);
        if self.rect.overlap(&self.anchor) < MOVED_BELOW {
            self.anchor = self.rect;
            (self.moved_at, self.motionless) = (now.1, 0);
            self.position_changes = self.position_changes.saturating_add(1);
        } else {
            self.motionless = self.motionless.saturating_add(1);
        }
        let rests = now.1.saturating_sub(self.moved_at) >= stationary;
        std::mem::replace(&mut self.is_stationary, rests) != rests
    }

    /// Takes the picture if it shows the object better than those before; answers whether it did.
    pub(super) fn consider(&mut self, picture: &Picture, time: SystemTime, scene: &str, most_px: u32) -> bool {
        self.size = (picture.width(), picture.height());
        let quality = quality(self.score, &self.rect);
        if quality < self.best_quality * BETTER || quality <= 0.0 {
            return false;
        }
        self.best_quality = quality;
        self.best = (self.score, self.rect, time);
        self.picture = Some(Arc::new(picture.cropped(&around(&self.rect), most_px)));
        scene.clone_into(&mut self.scene);
        true
    }

    pub(super) fn quality(&self) -> f32 {
        self.best_quality
    }

    /// What an event that began at `since` says of it.
    pub fn summary(&self, since: Duration) -> EventObject {
        EventObject {
            id: self.id,
            label: self.label.clone(),
            score: (f64::from(self.top_score) * 1e3).round() / 1e3,
            seconds: tenths(self.last.1.saturating_sub(self.start.1.max(since))),
            direction: super::sentence::direction(&self.first_rect, &self.rect).to_owned(),
            stationary: self.is_stationary,
            zones: self.zones.iter().map(|stay| self.until_now(stay)).collect(),
        }
    }
}

impl Sighting {
    /// A stay with what it has been since it last began.
    fn until_now(&self, stay: &ZoneStay) -> ZoneStay {
        let since = self.zone_since.get(&stay.zone);
        let more = since.map_or(0.0, |since| self.last.1.saturating_sub(*since).as_secs_f64());
        ZoneStay { zone: stay.zone.clone(), seconds: ((stay.seconds + more) * 10.0).round() / 10.0 }
    }
}

/// Seconds, to a tenth.
pub(super) fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

/// What of the picture is shown of an object.
fn around(rect: &Rect) -> Rect {
    let side = |length: f32| (length * (1.0 + 2.0 * MARGIN)).clamp(LEAST_PART, 1.0);
    let (x, y) = rect.centre();
    let (w, h) = (side(rect.w), side(rect.h));
    Rect { x: (x - w / 2.0).clamp(0.0, 1.0 - w), y: (y - h / 2.0).clamp(0.0, 1.0 - h), w, h }
}
