//! From pictures to events: tracks become sightings, sightings become events, and whatever changes is told.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use nearfield_vision::{Line, Object, Passage, Track, TrackOptions, Tracker, VisionResult, Zone};

use super::sentence;
use super::sighting::{Sighting, tenths};
use super::{EventOptions, News, SceneEvent, Step, ZoneStay};
use crate::messages::View;

/// A better picture of an object is told at most so often.
const PICTURES_APART: Duration = Duration::from_secs(2);
/// More objects than this make no larger event.
const MOST_OBJECTS: usize = 200;

/// Follows the objects before one camera.
pub struct Assembler {
    camera: String,
    options: EventOptions,
    zones: Vec<Zone>,
    lines: Vec<Line>,
    tracker: Tracker,
    sightings: BTreeMap<u64, Sighting>,
    event: Option<Open>,
    /// When the last event was closed.
    closed_at: Duration,
    /// Crossings of each line, inwards and outwards.
    crossings: Vec<(u64, u64)>,
    counts: BTreeMap<(Option<String>, String), usize>,
    /// A track that is not seen for longer is lost.
    lost: Duration,
    /// When the last picture was taken.
    seen_at: Option<Duration>,
    /// The last two pictures are further apart than that: between them nothing can be followed.
    is_sparse: bool,
}

/// An event under way.
struct Open {
    event: SceneEvent,
    /// The objects that belong to it; those that have gone with what was known of them.
    members: Vec<u64>,
    gone: BTreeMap<u64, Sighting>,
    /// When something last moved, and when something was last there that is not at rest.
    active: (SystemTime, Duration),
}

impl Assembler {
    /// For a camera.
    pub fn new(camera: &str, options: EventOptions, track: TrackOptions, zones: Vec<Zone>, lines: Vec<Line>) -> Self {
        let crossings = vec![(0, 0); lines.len()];
        let lost = Duration::from_millis(track.lost_ms);
        Self {
            camera: camera.to_owned(),
            options,
            zones,
            lines,
            tracker: Tracker::new(track),
            sightings: BTreeMap::new(),
            event: None,
            closed_at: Duration::ZERO,
            crossings,
            counts: BTreeMap::new(),
            lost,
            seen_at: None,
            is_sparse: false,
        }
    }

    /// Takes a picture; answers what happened.
    pub fn see(&mut self, view: &View, sight: &VisionResult, caption: &str) -> Vec<News> {
        let now = (view.time, view.at);
        let mut news = Vec::new();
        self.is_sparse = self.seen_at.replace(view.at).is_some_and(|at| view.at.saturating_sub(at) > self.lost);
        let ended = match sight.is_held {
            true => self.tracker.hold(view.at),
            false if sight.is_foreign => self.tracker.see(&[], &[], view.at),
            false => self.tracker.see(&sight.objects, &sight.faint, view.at),
        };
        for track in ended {
            self.gone(&track, &mut news);
        }
        let counts = |label: &str| self.options.objects.is_empty() || self.options.objects.iter().any(|o| o == label);
        let tracks: Vec<Track> =
            self.tracker.tracks().iter().filter(|t| t.is_confirmed() && counts(&t.label)).cloned().collect();
        for track in &tracks {
            self.followed(track, now, view, caption, !sight.is_held, &mut news);
        }
        self.scene(now, &mut news);
        self.count(&mut news);
        news
    }

    /// Those objects of the picture seen last that so many pictures have shown as `track.confirm_pictures` says; all of them where pictures
    /// are too far apart to follow anything.
    pub fn confirmed(&self, sight: &VisionResult) -> Vec<Object> {
        if self.is_sparse {
            return sight.objects.clone();
        }
        let is_confirmed = |object: &&Object| {
            self.tracker.tracks().iter().any(|t| t.is_confirmed() && t.is_seen && t.rect == object.rect)
        };
        sight.objects.iter().filter(is_confirmed).cloned().collect()
    }

    /// The source is at its end: what is under way ends.
    pub fn finish(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        for track in self.tracker.finish() {
            self.gone(&track, &mut news);
        }
        if let Some(open) = self.event.take() {
            news.push(self.close(open));
        }
        self.count(&mut news);
        news
    }

    /// The calendar's time of a time of the source.
    fn time_of(&self, at: Duration, now: (SystemTime, Duration)) -> SystemTime {
        now.0.checked_sub(now.1.saturating_sub(at)).unwrap_or(now.0)
    }

    fn followed(
        &mut self,
        track: &Track,
        now: (SystemTime, Duration),
        view: &View,
        caption: &str,
        is_looked_at: bool,
        news: &mut Vec<News>,
    ) {
        let start = self.time_of(track.first, now);
        let is_new = !self.sightings.contains_key(&track.id);
        let name = name_of(&self.camera, track.id, start);
        let sighting = self.sightings.entry(track.id).or_insert_with(|| Sighting::new(track, name, start, now));
        let before = sighting.clone();
        if !track.is_seen {
            return;
        }
        let mut is_news = sighting.follow(track, now, Duration::from_secs_f64(self.options.stationary_s));
        if is_looked_at {
            let better = sighting.consider(&view.picture, now.0, caption, self.options.picture_px);
            if better && now.1.saturating_sub(sighting.picture_told_at) >= PICTURES_APART {
                sighting.picture_told_at = now.1;
                is_news = true;
            }
        }
        let passages = sighting.whereabouts.at(&self.zones, &self.lines, &track.label, &track.rect, now.1);
        is_news |= passages.iter().any(|p| !matches!(p, Passage::Crossed(..)));
        let told: Vec<News> = passages.into_iter().map(|p| self.passage(track.id, p)).collect();
        let Some(after) = self.sightings.get(&track.id).cloned() else { return };
        let step = if is_new { Step::New } else { Step::Update };
        if is_new || is_news {
            let before = if is_new { after.clone() } else { before };
            news.push(News::Object(step, Box::new(before), Box::new(after)));
        }
        news.extend(told);
    }

    /// What an object did with a zone or a line.
    fn passage(&mut self, id: u64, passage: Passage) -> News {
        let sighting = self.sightings.get_mut(&id).expect("it is followed");
        let label = sighting.label.clone();
        let zone = |number: usize| self.zones[number].name.clone();
        match passage {
            Passage::Entered(number, since) => {
                let name = zone(number);
                if !sighting.current_zones.contains(&name) {
                    sighting.current_zones.push(name.clone());
                }
                if !sighting.zones.iter().any(|z| z.zone == name) {
                    sighting.zones.push(ZoneStay { zone: name.clone(), seconds: 0.0 });
                }
                sighting.zone_since.insert(name.clone(), since);
                let seconds = tenths(sighting.last.1.saturating_sub(since));
                News::Zone { zone: name, kind: "zone_entered", id, label, seconds }
            }
            Passage::Left(number, stayed) => {
                let name = zone(number);
                sighting.current_zones.retain(|z| *z != name);
                sighting.zone_since.remove(&name);
                let seconds = tenths(stayed);
                if let Some(stay) = sighting.zones.iter_mut().find(|z| z.zone == name) {
                    stay.seconds = ((stay.seconds + seconds) * 10.0).round() / 10.0;
                }
                News::Zone { zone: name, kind: "zone_left", id, label, seconds }
            }
            Passage::Loitering(number, stayed) => {
                News::Zone { zone: zone(number), kind: "loitering", id, label, seconds: tenths(stayed) }
            }
            Passage::Crossed(number, inwards) => {
                let total = &mut self.crossings[number];
                *(if inwards { &mut total.0 } else { &mut total.1 }) += 1;
                let line = self.lines[number].name.clone();
                if let Some(open) = &mut self.event
                    && open.event.crossed.len() < MOST_OBJECTS
                {
                    open.event.crossed.push((line.clone(), inwards));
                }
                News::Crossed { line, id, label, inwards, total: *total }
            }
        }
    }

    /// An object has gone.
    fn gone(&mut self, track: &Track, news: &mut Vec<News>) {
        let Some(sighting) = self.sightings.get_mut(&track.id) else { return };
        let before = sighting.clone();
        let left = sighting.whereabouts.leave();
        let told: Vec<News> = left.into_iter().map(|p| self.passage(track.id, p)).collect();
        let Some(mut after) = self.sightings.remove(&track.id) else { return };
        after.is_gone = true;
        if let Some(open) = &mut self.event
            && open.members.contains(&track.id)
        {
            open.gone.insert(track.id, after.clone());
        }
        news.extend(told);
        news.push(News::Object(Step::End, Box::new(before), Box::new(after)));
    }

    /// Begins and ends events.
    fn scene(&mut self, now: (SystemTime, Duration), news: &mut Vec<News>) {
        let active: Vec<u64> = self.sightings.values().filter(|s| !s.is_stationary).map(|s| s.id).collect();
        if let Some(open) = &mut self.event {
            for id in &active {
                if !open.members.contains(id) && open.members.len() < MOST_OBJECTS {
                    open.members.push(*id);
                }
            }
            // Time goes on with those that are there; of those that rest, it stood still when they last moved.
            if let Some(last) =
                active.iter().filter_map(|id| self.sightings.get(id)).map(|s| s.last).max_by_key(|l| l.1)
            {
                open.active = last;
            }
            let quiet = now.1.saturating_sub(open.active.1) >= Duration::from_secs_f64(self.options.quiet_s);
            let is_long = now.1.saturating_sub(open.event.start_at) >= Duration::from_secs_f64(self.options.max_s);
            if (active.is_empty() && quiet) || is_long {
                let open = self.event.take().expect("it is open");
                let ended = self.close(open);
                self.closed_at = now.1;
                news.push(ended);
            }
        }
        if self.event.is_none() && !active.is_empty() {
            let first = active.iter().filter_map(|id| self.sightings.get(id)).map(|s| s.start).min_by_key(|s| s.1);
            // One that has moved on from its rest, or from an event that was too long, begins a new event now, not when it first came.
            let recent = now.1.saturating_sub(Duration::from_secs_f64(self.options.stationary_s));
            let start = first.filter(|s| s.1 >= recent.max(self.closed_at)).unwrap_or(now);
            let event = SceneEvent {
                id: id_of(&self.camera, start.0),
                start: start.0,
                start_at: start.1,
                end: None,
                objects: Vec::new(),
                crossed: Vec::new(),
                caption: String::new(),
                scene: String::new(),
                picture: None,
            };
            let mut open = Open { event, members: active, gone: BTreeMap::new(), active: now };
            self.sum_up(&mut open);
            news.push(News::Started(Box::new(open.event.clone())));
            self.event = Some(open);
        }
    }

    /// Fills in what is known of an event by now.
    fn sum_up(&self, open: &mut Open) {
        let members: Vec<&Sighting> =
            open.members.iter().filter_map(|id| self.sightings.get(id).or_else(|| open.gone.get(id))).collect();
        open.event.objects = members.iter().map(|s| s.summary(open.event.start_at)).collect();
        if let Some(best) = members.iter().max_by(|a, b| a.quality().total_cmp(&b.quality())) {
            open.event.picture.clone_from(&best.picture);
            open.event.scene.clone_from(&best.scene);
        }
        open.event.caption = sentence::caption(&open.event);
    }

    fn close(&self, mut open: Open) -> News {
        self.sum_up(&mut open);
        let last = open.active.max((open.event.start, open.event.start_at));
        open.event.end = Some(last);
        News::Ended(Box::new(open.event))
    }

    fn count(&mut self, news: &mut Vec<News>) {
        let mut counts: BTreeMap<(Option<String>, String), usize> = BTreeMap::new();
        for sighting in self.sightings.values() {
            for place in std::iter::once(None).chain(sighting.current_zones.iter().cloned().map(Some)) {
                for label in [sighting.label.as_str(), "all"] {
                    *counts.entry((place.clone(), label.to_owned())).or_default() += 1;
                }
            }
        }
        let mut changed: BTreeMap<(Option<String>, String), usize> = BTreeMap::new();
        for key in self.counts.keys().filter(|key| !counts.contains_key(*key)) {
            changed.insert(key.clone(), 0);
        }
        changed.extend(counts.iter().filter(|(key, n)| self.counts.get(*key) != Some(n)).map(|(k, n)| (k.clone(), *n)));
        self.counts = counts;
        if !changed.is_empty() {
            news.push(News::Counts(changed));
        }
    }
}

/// The name of an object for others, in Frigate's form: the seconds of its start, and six letters.
fn name_of(camera: &str, id: u64, start: SystemTime) -> String {
    let since = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut hash = crc32fast::Hasher::new();
    hash.update(camera.as_bytes());
    hash.update(&id.to_le_bytes());
    let mut number = hash.finalize();
    let letters: String = (0..6)
        .map(|_| {
            let letter = char::from(b"abcdefghijklmnopqrstuvwxyz"[(number % 26) as usize]);
            number /= 26;
            letter
        })
        .collect();
    format!("{}.{:06}-{letters}", since.as_secs(), since.subsec_micros())
}

/// The name of an event: a name for its files, too. In the order of names they are in the order of time.
fn id_of(camera: &str, start: SystemTime) -> String {
    let camera: String = camera.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    let time = Timestamp::try_from(start).unwrap_or_default().strftime("%Y%m%dT%H%M%S.%3fZ");
    format!("{time}-{camera}")
}
