//! Objects before a camera, over MQTT in the layout of Frigate's topics, so that what was built for it works: `PREFIX/events` with `new`,
//! `update` and `end`, counts at `PREFIX/CAMERA/LABEL` and `PREFIX/ZONE/LABEL`, pictures at `PREFIX/CAMERA/LABEL/snapshot`. Home Assistant
//! learns of counts, presence and pictures by its discovery protocol.
//!
//! These are states and not documents: what happens while the broker is away is not delivered later, but counts and pictures are
//! published as they are when it is back. Events as a whole are in the folder of events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Sender, bounded};
use nearfield_vision::{Rect, encode_jpeg};
use serde_json::{Value, json};

use crate::caption::events::{News, Sighting, Step};
use crate::flow::{Emit, Flow, Stage, Turn};
use crate::messages::Envelope;
use crate::mqtt::{ConnectOptions, Connection, MqttError, Will};
use crate::reconnect::{Attempts, ReconnectPolicy};

/// Batches of news that wait for the broker.
const WAITING: usize = 256;
/// The quality of pictures.
const JPEG_QUALITY: u8 = 80;
/// Between attempts to reach the broker.
const RETRY: ReconnectPolicy = ReconnectPolicy {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    stable_after: Duration::from_secs(600),
};

/// How it is published.
pub struct FrigateOptions {
    /// The broker.
    pub connect: ConnectOptions,
    /// The first part of all topics, usually `frigate`.
    pub prefix: String,
    /// The camera.
    pub camera: String,
    /// What this installation is called in Home Assistant: letters, digits, `_` and `-`.
    pub installation: String,
    /// What Home Assistant shows as the device's name.
    pub device: String,
    /// Where discovery messages go; empty: none are sent.
    pub discovery_prefix: String,
    /// Whether events are kept as files, and with clips.
    pub has_clips: bool,
}

/// The stage that publishes.
pub struct Frigate {
    options: FrigateOptions,
    connection: Option<Connection>,
    attempts: Attempts,
    next_try: Option<Instant>,
    last_used: Instant,
    /// What the retained topics hold.
    states: BTreeMap<String, Vec<u8>>,
    announced: BTreeSet<String>,
}

/// A message.
struct Post {
    topic: String,
    payload: Vec<u8>,
    is_kept: bool,
}

impl Frigate {
    /// For a broker, which is not connected to yet.
    pub fn new(mut options: FrigateOptions) -> Self {
        for prefix in [&mut options.prefix, &mut options.discovery_prefix] {
            *prefix = prefix.trim_matches('/').to_owned();
        }
        Self {
            options,
            connection: None,
            attempts: Attempts::new(RETRY),
            next_try: Some(Instant::now()),
            last_used: Instant::now(),
            states: BTreeMap::new(),
            announced: BTreeSet::new(),
        }
    }

    /// Makes it a branch of `flow`; answers where news is handed in.
    pub fn branch_off<N>(self, flow: &mut Flow<N>) -> Sender<Envelope<Vec<News>>> {
        let (sender, receiver) = bounded(WAITING);
        flow.branch(self, receiver);
        sender
    }

    fn name(&self) -> String {
        format!("events to {}", self.options.connect.url)
    }

    fn available(&self) -> String {
        format!("{}/available", self.options.prefix)
    }

    /// The messages that news makes.
    fn posts(&mut self, news: &[News]) -> Vec<Post> {
        let (prefix, camera) = (self.options.prefix.clone(), plain(&self.options.camera));
        let mut posts = Vec::new();
        for news in news {
            match news {
                News::Object(step, before, after) => {
                    let side = |sighting: &Sighting| object_json(sighting, &camera, self.options.has_clips);
                    let body = json!({"type": step, "before": side(before), "after": side(after)});
                    posts.push(Post {
                        topic: format!("{prefix}/events"),
                        payload: body.to_string().into_bytes(),
                        is_kept: false,
                    });
                    // What is not new at the end was published when it was.
                    let picture = after.picture.as_ref().filter(|_| *step != Step::End || before.best != after.best);
                    if let Some(Ok(jpeg)) = picture.map(|p| encode_jpeg(p, JPEG_QUALITY)) {
                        let topic = format!("{prefix}/{camera}/{}/snapshot", plain(&after.label));
                        posts.push(Post { topic, payload: jpeg, is_kept: true });
                    }
                }
                News::Counts(counts) => {
                    for ((zone, label), n) in counts {
                        let place = zone.as_deref().map_or(camera.clone(), plain);
                        posts.extend(self.announcement(zone.as_deref(), label));
                        let topic = format!("{prefix}/{place}/{}", plain(label));
                        posts.push(Post { topic, payload: n.to_string().into_bytes(), is_kept: true });
                    }
                }
                News::Crossed { line, total: (inwards, outwards), .. } => {
                    for (way, n) in [("in", inwards), ("out", outwards)] {
                        let topic = format!("{prefix}/{camera}/lines/{}/{way}", plain(line));
                        posts.push(Post { topic, payload: n.to_string().into_bytes(), is_kept: true });
                    }
                }
                News::Zone { .. } | News::Started(_) | News::Ended(_) => {}
            }
        }
        posts
    }

    /// What Home Assistant is told before the first count of a place and label.
    fn announcement(&mut self, zone: Option<&str>, label: &str) -> Vec<Post> {
        let FrigateOptions { prefix, camera, installation, device, discovery_prefix, .. } = &self.options;
        let camera = plain(camera);
        let place = zone.map_or(camera.clone(), plain);
        let object = plain(label);
        let id = match zone {
            None => format!("{camera}_{object}"),
            Some(_) => format!("{camera}_{place}_{object}"),
        };
        let id = discovery_id(&id);
        if discovery_prefix.is_empty() || !self.announced.insert(id.clone()) {
            return Vec::new();
        }
        let called = format!("{} {label}", zone.unwrap_or(&self.options.camera));
        let topic = format!("{prefix}/{place}/{object}");
        let common = |what: &str, more: Value| {
            let mut body = json!({
                "name": format!("{called} {what}"),
                "unique_id": format!("nearfield_{installation}_{id}_{what}"),
                "availability_topic": format!("{prefix}/available"),
                "device": {"identifiers": [format!("nearfield_{installation}")], "name": device},
            });
            if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
                body.extend(more.clone());
            }
            body
        };
        let config =
            |kind: &str, what: &str| format!("{discovery_prefix}/{kind}/nearfield_{installation}/{id}_{what}/config");
        let mut announced = vec![
            (config("sensor", "count"), common("count", json!({"state_topic": topic, "state_class": "measurement"}))),
            (
                config("binary_sensor", "present"),
                common(
                    "present",
                    json!({
                        "state_topic": topic, "device_class": "occupancy",
                        "value_template": "{{ 'ON' if value | int(0) > 0 else 'OFF' }}",
                    }),
                ),
            ),
        ];
        if zone.is_none() && label != "all" {
            let picture = json!({"image_topic": format!("{topic}/snapshot"), "content_type": "image/jpeg"});
            announced.push((config("image", "picture"), common("picture", picture)));
        }
        let post =
            |(topic, body): (String, Value)| Post { topic, payload: body.to_string().into_bytes(), is_kept: true };
        announced.into_iter().map(post).collect()
    }

    /// The connection, if there is one or the next attempt is due and succeeds.
    fn connected(&mut self) -> Option<&mut Connection> {
        if self.connection.is_none() && self.next_try.is_none_or(|at| at <= Instant::now()) {
            let will = Will { topic: self.available(), payload: b"offline".to_vec() };
            let opened = Connection::open_with(&self.options.connect, Some(&will)).and_then(|mut connection| {
                connection.publish(&self.available(), b"online", true, &mut |_| {})?;
                for (topic, payload) in &self.states {
                    connection.publish(topic, payload, true, &mut |_| {})?;
                }
                Ok(connection)
            });
            match opened {
                Ok(connection) => {
                    if let Some(after) = self.attempts.succeeded() {
                        tracing::warn!("{}: publishing again {after}", self.name());
                    }
                    (self.next_try, self.last_used) = (None, Instant::now());
                    self.connection = Some(connection);
                }
                Err(error) => self.lost(&error),
            }
        }
        self.connection.as_mut()
    }

    fn lost(&mut self, error: &MqttError) {
        self.connection = None;
        let next = self.attempts.failed(&format!("{}: {error}", self.name()));
        if let Some(message) = next.message {
            tracing::warn!("{message}");
        }
        self.next_try = Some(Instant::now() + next.retry_in);
    }

    fn publish(&mut self, posts: Vec<Post>) {
        for Post { topic, payload, is_kept } in posts {
            if let Some(connection) = self.connected() {
                match connection.publish(&topic, &payload, is_kept, &mut |_| {}) {
                    Ok(()) => self.last_used = Instant::now(),
                    // This one message: an access list, its size. The others may pass.
                    Err(error @ MqttError::MessageRefused { .. }) => {
                        let reason = format!("{}: {topic}: {error}", self.name());
                        if let Some(message) = self.attempts.failed_with(&reason, Duration::ZERO).message {
                            tracing::warn!("{message}");
                        }
                    }
                    Err(error) => self.lost(&error),
                }
            }
            if is_kept {
                self.states.insert(topic, payload);
            }
        }
    }
}

impl Stage for Frigate {
    type In = Vec<News>;
    type Out = ();

    fn name(&self) -> &'static str {
        "frigate"
    }

    fn takes_silenced(&self) -> bool {
        true
    }

    fn step(&mut self, input: Envelope<Vec<News>>, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        let posts = self.posts(&input.body);
        self.publish(posts);
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        match self.connection {
            Some(_) => Some(self.last_used + self.options.connect.keep_alive / 2),
            None => self.next_try,
        }
    }

    fn wake(&mut self, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        let available = self.available();
        if let Some(connection) = self.connected() {
            // Also another camera's flow may have ended, and said that all has.
            match connection.publish(&available, b"online", true, &mut |_| {}) {
                Ok(()) => self.last_used = Instant::now(),
                Err(error) => self.lost(&error),
            }
        }
        Ok(())
    }

    fn finish(&mut self, _emit: &mut Emit<'_, ()>) -> anyhow::Result<()> {
        let available = self.available();
        if let Some(mut connection) = self.connection.take() {
            let _ = connection.publish(&available, b"offline", true, &mut |_| {});
            connection.close();
        }
        Ok(())
    }
}

/// Hands news in; answers whether there was room for it.
pub fn hand_in(frigate: &Sender<Envelope<Vec<News>>>, news: Vec<News>) -> bool {
    frigate.try_send(Envelope::new(Turn(0), news)).is_ok()
}

/// A name as a part of a topic.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' }).collect()
}

/// A name as Home Assistant's discovery takes it, which is of `[a-zA-Z0-9_-]` only: "Haustür" gets a checksum in place of what is lost,
/// so that two names stay two.
fn discovery_id(name: &str) -> String {
    let is_known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id: String = name.chars().map(|c| if is_known(c) { c } else { '_' }).collect();
    if id == name { id } else { format!("{id}_{:08x}", crc32fast::hash(name.as_bytes())) }
}

/// An object as Frigate describes it; boxes and areas in pixels of the camera's picture.
fn object_json(sighting: &Sighting, camera: &str, has_clips: bool) -> Value {
    let (width, height) = sighting.size;
    let seconds = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (since.as_secs_f64() * 1e6).round() / 1e6
    };
    let pixels = |rect: &Rect| {
        let scaled = |part: f32, side: u32| (part * side as f32).round().max(0.0) as u32;
        [scaled(rect.x, width), scaled(rect.y, height), scaled(rect.x + rect.w, width), scaled(rect.y + rect.h, height)]
    };
    let area = |[left, top, right, bottom]: [u32; 4]| right.saturating_sub(left) * bottom.saturating_sub(top);
    let score = |score: f32| (f64::from(score) * 1e4).round() / 1e4;
    let (here, best) = (pixels(&sighting.rect), pixels(&sighting.best.1));
    let region = [0, 0, width, height];
    let ratio = f64::from(here[2].saturating_sub(here[0])) / f64::from(here[3].saturating_sub(here[1]).max(1));
    let entered: Vec<&str> = sighting.zones.iter().map(|z| z.zone.as_str()).collect();
    let snapshot = sighting.picture.is_some().then(|| {
        json!({
            "frame_time": seconds(sighting.best.2), "box": best, "area": area(best), "region": region,
            "score": score(sighting.best.0), "attributes": [],
        })
    });
    json!({
        "id": sighting.name, "camera": camera, "frame_time": seconds(sighting.last.0), "snapshot_time": seconds(sighting.best.2),
        "snapshot": snapshot, "label": sighting.label, "sub_label": null, "top_score": score(sighting.top_score),
        "false_positive": false, "start_time": seconds(sighting.start.0),
        "end_time": sighting.is_gone.then(|| seconds(sighting.last.0)),
        "score": score(sighting.score), "box": here, "area": area(here), "ratio": (ratio * 1e3).round() / 1e3, "region": region,
        "active": !sighting.is_stationary, "stationary": sighting.is_stationary, "motionless_count": sighting.motionless,
        "position_changes": sighting.position_changes, "current_zones": sighting.current_zones, "entered_zones": entered,
        "has_clip": has_clips, "has_snapshot": sighting.picture.is_some(), "thumbnail": null, "attributes": {}, "current_attributes": [],
    })
}

#[cfg(test)]
mod tests;
