//! Debounces detections: an object has entered when enough pictures in a row show it, and has left when it has not been detected
//! for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::result::Object;
use nearfield_base::range::in_range;

/// How much flicker is borne.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct PresenceOptions {
    /// An object has come when so many pictures in a row show it.
    pub enter_pictures: u32,
    /// An object has gone when no picture has shown it for so long.
    pub leave_ms: u64,
}

impl Default for PresenceOptions {
    fn default() -> Self {
        Self { enter_pictures: 3, leave_ms: 1000 }
    }
}

impl PresenceOptions {
    /// Checks ranges.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("enter_pictures", self.enter_pictures, 1..=1000)?;
        in_range("leave_ms", self.leave_ms, 0..=86_400_000)
    }
}

/// An object entered or left.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Movement {
    /// Its label.
    pub label: String,
    /// Whether it entered.
    pub entered: bool,
    /// When it was first seen, or last.
    pub at: Duration,
    /// Its best score while it entered, or while it was present.
    pub score: f32,
}

/// The objects that are present, by label.
#[derive(Clone, Debug)]
pub struct Presence {
    options: PresenceOptions,
    seen: BTreeMap<String, Track>,
}

#[derive(Clone, Debug)]
struct Track {
    since: Duration,
    last: Duration,
    in_a_row: u32,
    here: bool,
    score: f32,
}

/// The most labels that are tracked at once; a detector has about a hundred.
const MOST_LABELS: usize = 4096;

impl Presence {
    /// No object is present yet.
    pub fn new(options: PresenceOptions) -> Self {
        Self { options, seen: BTreeMap::new() }
    }

    /// Takes the objects of a picture; returns those that entered or left.
    pub fn see(&mut self, objects: &[Object], now: Duration) -> Vec<Movement> {
        let mut movements = Vec::new();
        for track in self.seen.values_mut().filter(|t| !t.here) {
            track.in_a_row |= 1 << 31; // Marked until it is seen in this picture.
        }
        let mut done: Vec<&str> = Vec::new();
        for object in objects {
            if done.contains(&object.label.as_str()) {
                continue;
            }
            done.push(&object.label);
            let score = objects.iter().filter(|o| o.label == object.label).map(|o| o.score).fold(0.0, f32::max);
            if self.seen.len() >= MOST_LABELS && !self.seen.contains_key(&object.label) {
                continue;
            }
            let track = self.seen.entry(object.label.clone()).or_insert(Track {
                since: now,
                last: now,
                in_a_row: 0,
                here: false,
                score: 0.0,
            });
            track.in_a_row = (track.in_a_row & !(1 << 31)) + u32::from(!track.here);
            track.last = now;
            track.score = track.score.max(score);
            if !track.here && track.in_a_row >= self.options.enter_pictures {
                track.here = true;
                let label = object.label.clone();
                movements.push(Movement { label, entered: true, at: track.since, score: track.score });
            }
        }
        let leave = Duration::from_millis(self.options.leave_ms);
        self.seen.retain(|label, track| {
            if !track.here {
                return track.in_a_row & (1 << 31) == 0;
            }
            let gone = now.saturating_sub(track.last) >= leave && track.last != now;
            if gone {
                let label = label.clone();
                movements.push(Movement { label, entered: false, at: track.last, score: track.score });
            }
            !gone
        });
        movements
    }

    /// The labels that are present now.
    pub fn here(&self) -> impl Iterator<Item = &str> {
        self.seen.iter().filter(|(_, track)| track.here).map(|(label, _)| label.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::super::result::Rect;
    use super::*;

    #[test]
    fn flicker_neither_brings_nor_takes_away() {
        let mut presence = Presence::new(PresenceOptions { enter_pictures: 2, leave_ms: 300 });
        let person = |score| Object { label: "person".to_owned(), score, rect: Rect::default(), class: 0 };
        // A picture each 100 ms: one flash; then there, with two gaps; then gone.
        let shown = "010110110100001";
        let mut told = Vec::new();
        for (i, c) in shown.chars().enumerate() {
            let objects = if c == '1' { vec![person(0.5 + i as f32 / 100.0)] } else { Vec::new() };
            for movement in presence.see(&objects, Duration::from_millis(i as u64 * 100)) {
                told.push((movement.entered, movement.at.as_millis(), i));
            }
        }
        assert_eq!(told, [(true, 300, 4), (false, 900, 12)]);
        assert_eq!(presence.here().count(), 0);
    }
}
