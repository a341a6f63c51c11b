//! Follows detected objects from picture to picture: each gets a number that stays its own.
//!
//! The association is ByteTrack's (Zhang et al., 2022): sure detections are given to tracks first, then faint ones to the tracks that
//! are left, which keeps an object through a moment in which the detector doubts, and never begins a track. A third round with wider
//! boxes is for fast objects at few pictures a second (C-BIoU, Yang et al., 2023). Boxes are predicted by a Kalman filter; after a gap
//! its velocity is that between the two sightings (OC-SORT, Cao et al., 2023). Appearance is not compared.

mod assign;
mod kalman;

use std::time::Duration;

use nearfield_base::range::in_range;
use serde::{Deserialize, Serialize};

use super::result::{Object, Rect};
use assign::{FORBIDDEN, assign};
use kalman::BoxFilter;

/// How objects are followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TrackOptions {
    /// An object counts when so many pictures have shown it.
    pub confirm_pictures: u32,
    /// It has gone when no picture has shown it for so long.
    pub lost_ms: u64,
    /// A box belongs to an object from this intersection over union with where the object is expected, both boxes half as wide again.
    pub min_overlap: f32,
}

impl Default for TrackOptions {
    fn default() -> Self {
        Self { confirm_pictures: 3, lost_ms: 2000, min_overlap: 0.2 }
    }
}

impl TrackOptions {
    /// Checks ranges.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("confirm_pictures", self.confirm_pictures, 1..=1000)?;
        in_range("lost_ms", self.lost_ms, 0..=3_600_000)?;
        in_range("min_overlap", self.min_overlap, 0.01..=0.99)
    }
}

/// By this part of its sides a box is widened for the first round,
const WIDER: f32 = 0.25;
/// and for the last.
const WIDEST: f32 = 0.8;
/// A faint detection belongs to a track only from this overlap, not widened.
const FAINT_OVERLAP: f32 = 0.3;
/// Two boxes of different labels are one object only from this overlap: detectors confuse car and truck, but a cup in a hand is none.
const OTHER_LABEL_OVERLAP: f32 = 0.65;
/// In the last round the larger box has at most so many times the area of the smaller.
const MOST_GROWTH: f32 = 2.5;
/// A track that is not confirmed yet may be missed in so many pictures in a row.
const TENTATIVE_MISSES: u32 = 1;
/// The most tracks at a time; further objects are left alone.
const MOST_TRACKS: usize = 256;
/// The most labels that a track's votes are counted for.
const MOST_LABELS: usize = 8;

/// An object that is followed.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its number, from 1; 0 until it is confirmed.
    pub id: u64,
    /// The label that most of its detections had, weighted by score.
    pub label: String,
    /// The score of its last detection.
    pub score: f32,
    /// The best score so far.
    pub best_score: f32,
    /// Its last detected box.
    pub rect: Rect,
    /// When it was first detected.
    pub first: Duration,
    /// When it was last detected, or known not to have moved.
    pub last: Duration,
    /// In how many pictures it was detected.
    pub hits: u32,
    /// Whether the last picture showed it.
    pub is_seen: bool,
    votes: Vec<(String, f32)>,
    misses: u32,
    filter: BoxFilter,
}

impl Track {
    fn new(object: &Object, now: Duration) -> Self {
        Self {
            id: 0,
            label: object.label.clone(),
            score: object.score,
            best_score: object.score,
            rect: object.rect,
            first: now,
            last: now,
            hits: 1,
            is_seen: true,
            votes: vec![(object.label.clone(), object.score)],
            misses: 0,
            filter: BoxFilter::new(&object.rect),
        }
    }

    /// Whether enough pictures have shown it.
    pub fn is_confirmed(&self) -> bool {
        self.id > 0
    }

    /// The velocity of its centre, in parts of the picture a second.
    pub fn velocity(&self) -> (f32, f32) {
        self.filter.velocity()
    }

    fn take(&mut self, object: &Object, now: Duration) {
        let gap = now.saturating_sub(self.last).as_secs_f32();
        if self.misses > 0 && gap > 0.0 {
            self.filter.found_again(&self.rect, &object.rect, gap);
        } else {
            self.filter.update(&object.rect);
        }
        (self.rect, self.score, self.last) = (object.rect, object.score, now);
        (self.is_seen, self.misses, self.hits) = (true, 0, self.hits.saturating_add(1));
        self.best_score = self.best_score.max(object.score);
        if let Some((_, votes)) = self.votes.iter_mut().find(|(label, _)| *label == object.label) {
            *votes += object.score;
        } else if self.votes.len() < MOST_LABELS {
            self.votes.push((object.label.clone(), object.score));
        }
        if let Some((label, _)) = self.votes.iter().max_by(|a, b| a.1.total_cmp(&b.1))
            && *label != self.label
        {
            self.label.clone_from(label);
        }
    }

    fn knows(&self, label: &str) -> bool {
        self.label == label || self.votes.iter().any(|(known, _)| known == label)
    }
}

/// The objects before one camera.
#[derive(Clone, Debug)]
pub struct Tracker {
    options: TrackOptions,
    tracks: Vec<Track>,
    ids: u64,
    /// The time of the last picture.
    now: Duration,
}

/// One round of the association.
#[derive(Clone, Copy)]
struct Round {
    /// Boxes are widened by this part of their sides,
    widened: f32,
    /// must then overlap by at least this,
    overlap: f32,
    /// and be alike in size.
    is_sized: bool,
}

impl Tracker {
    /// Of an empty scene.
    pub fn new(options: TrackOptions) -> Self {
        Self { options, tracks: Vec::new(), ids: 0, now: Duration::ZERO }
    }

    /// Those that are followed; some are not [confirmed](Track::is_confirmed) yet.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Takes the objects of a picture, and those of which the detector is not sure. Answers the confirmed tracks that have ended.
    pub fn see(&mut self, objects: &[Object], faint: &[Object], now: Duration) -> Vec<Track> {
        let mut ended = self.end_lost(now);
        let dt = now.saturating_sub(self.now).as_secs_f32();
        self.now = now;
        for track in &mut self.tracks {
            track.filter.predict(dt);
            track.is_seen = false;
        }
        let sound = |objects: &[Object]| (0..objects.len()).filter(|n| is_sound(&objects[*n])).collect::<Vec<usize>>();
        let mut free = sound(objects);
        let overlap = self.options.min_overlap;
        // Confirmed tracks choose first: a flash beside a known object does not take its detections.
        for confirmed in [true, false] {
            self.round(objects, &mut free, now, confirmed, Round { widened: WIDER, overlap, is_sized: false });
        }
        let mut doubtful = sound(faint);
        self.round(faint, &mut doubtful, now, true, Round { widened: 0.0, overlap: FAINT_OVERLAP, is_sized: false });
        for confirmed in [true, false] {
            let overlap = overlap / 2.0;
            self.round(objects, &mut free, now, confirmed, Round { widened: WIDEST, overlap, is_sized: true });
        }
        for track in self.tracks.iter_mut().filter(|t| !t.is_seen) {
            track.misses = track.misses.saturating_add(1);
        }
        self.tracks.retain(|t| t.is_confirmed() || t.misses <= TENTATIVE_MISSES);
        for index in free {
            if self.tracks.len() < MOST_TRACKS {
                self.tracks.push(Track::new(&objects[index], now));
            }
        }
        for track in &mut self.tracks {
            if track.id == 0 && track.hits >= self.options.confirm_pictures {
                self.ids += 1;
                track.id = self.ids;
            }
        }
        ended.extend(self.end_lost(now));
        ended
    }

    /// A picture in which nothing has moved: what was seen in the last one is still where it was.
    pub fn hold(&mut self, now: Duration) -> Vec<Track> {
        for track in self.tracks.iter_mut().filter(|t| t.is_seen) {
            track.last = now;
        }
        self.now = now;
        self.end_lost(now)
    }

    /// The scene is at its end: answers the confirmed tracks.
    pub fn finish(&mut self) -> Vec<Track> {
        self.tracks.drain(..).filter(Track::is_confirmed).collect()
    }

    fn end_lost(&mut self, now: Duration) -> Vec<Track> {
        let lost = Duration::from_millis(self.options.lost_ms);
        let is_lost = |t: &Track| !t.is_seen_at(now) && now.saturating_sub(t.last) > lost;
        self.tracks.extract_if(.., |t| is_lost(t)).filter(Track::is_confirmed).collect()
    }

    fn round(&mut self, objects: &[Object], free: &mut Vec<usize>, now: Duration, confirmed: bool, round: Round) {
        let open = |t: &Track| !t.is_seen && t.is_confirmed() == confirmed;
        let tracks: Vec<usize> = (0..self.tracks.len()).filter(|i| open(&self.tracks[*i])).collect();
        if tracks.is_empty() || free.is_empty() {
            return;
        }
        let costs: Vec<f32> =
            tracks.iter().flat_map(|t| free.iter().map(|o| cost(&self.tracks[*t], &objects[*o], round))).collect();
        let chosen = assign(&costs, tracks.len(), free.len());
        let mut taken: Vec<usize> = Vec::new();
        for (track, object) in tracks.into_iter().zip(chosen) {
            if let Some(object) = object {
                self.tracks[track].take(&objects[free[object]], now);
                taken.push(free[object]);
            }
        }
        free.retain(|index| !taken.contains(index));
    }
}

impl Track {
    fn is_seen_at(&self, now: Duration) -> bool {
        self.is_seen && self.last == now
    }
}

/// What it costs to hold a detection for the track's object.
fn cost(track: &Track, object: &Object, round: Round) -> f32 {
    let expected = track.filter.rect();
    // In the last round also where it was: an object that stops is not where it was expected.
    let plain = expected.overlap(&object.rect).max(track.rect.overlap(&object.rect));
    if !track.knows(&object.label) && plain < OTHER_LABEL_OVERLAP {
        return FORBIDDEN;
    }
    let (larger, smaller) = (track.rect.w * track.rect.h, object.rect.w * object.rect.h);
    let growth = larger.max(smaller) / larger.min(smaller).max(1e-9);
    if round.is_sized && growth > MOST_GROWTH {
        return FORBIDDEN;
    }
    let wide = |rect: &Rect| {
        let (x, y) = rect.centre();
        Rect::around(x, y, rect.w * (1.0 + 2.0 * round.widened), rect.h * (1.0 + 2.0 * round.widened))
    };
    let mut overlap = wide(&expected).overlap(&wide(&object.rect));
    if round.is_sized {
        overlap = overlap.max(wide(&track.rect).overlap(&wide(&object.rect)));
    }
    if overlap < round.overlap {
        return FORBIDDEN;
    }
    // Of two that overlap alike, the one of the track's own label and of its size.
    let other = if track.label == object.label { 0.0 } else { 0.2 };
    let cost = 1.0 - overlap + other + 0.05 * growth.min(4.0);
    if cost.is_finite() { cost } else { FORBIDDEN }
}

/// Whether an object has a place: what others hand over may have none.
fn is_sound(object: &Object) -> bool {
    let Rect { x, y, w, h } = object.rect;
    object.score.is_finite() && [x, y].iter().all(|v| v.abs() <= 2.0) && [w, h].iter().all(|v| *v > 0.0 && *v <= 2.0)
}

#[cfg(test)]
mod tests;
