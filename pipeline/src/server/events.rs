//! What the flows of a process tell: turns, actions, captions, alerts and reports, as they happen and the latest of each. Whoever listens
//! and is too slow loses events, and is told how many.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use jiff::{Timestamp, Unit};
use nearfield_stages::flow::Turn;
use nearfield_stages::voice::tools::ToolResult;
use nearfield_vision::{Picture, encode_jpeg};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use super::failure::Failure;
use crate::output::report_page::Page;

/// Events that are kept for `/captions`, `/reports`, and clients that come back with `Last-Event-ID`.
const KEPT: usize = 256;
/// Events that wait for a client.
const WAITING: usize = 64;
/// So often a client without events gets a comment, so that one who has left is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The quality of pictures.
const JPEG_QUALITY: u8 = 85;

/// An event of a flow.
#[derive(Debug)]
pub struct FlowEvent {
    id: u64,
    kind: &'static str,
    flow: String,
    /// When it happened.
    time: Timestamp,
    body: Value,
}

impl FlowEvent {
    fn json(&self) -> Value {
        let time = self.time.round(Unit::Millisecond).unwrap_or(self.time).to_string();
        let mut value = json!({"id": self.id, "event": self.kind, "flow": self.flow, "time": time});
        if let (Some(all), Some(body)) = (value.as_object_mut(), self.body.as_object()) {
            all.extend(body.iter().filter(|(key, _)| *key != "id").map(|(key, value)| (key.clone(), value.clone())));
        }
        value
    }

    fn line(&self) -> Bytes {
        format!("id: {}\nevent: {}\ndata: {}\n\n", self.id, self.kind, self.json()).into()
    }
}

/// The events of all flows.
pub struct Events {
    recent: Mutex<VecDeque<Arc<FlowEvent>>>,
    live: broadcast::Sender<Arc<FlowEvent>>,
    pictures: Mutex<BTreeMap<String, Arc<Picture>>>,
    pages: Mutex<BTreeMap<String, Arc<Mutex<Page>>>>,
}

impl Default for Events {
    fn default() -> Self {
        let (live, _) = broadcast::channel(KEPT);
        Self { recent: Mutex::default(), live, pictures: Mutex::default(), pages: Mutex::default() }
    }
}

impl Events {
    /// Something has happened in a flow.
    pub fn tell(&self, flow: &str, kind: &'static str, body: Value) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let id = recent.back().map_or(1, |event| event.id + 1);
        let event = Arc::new(FlowEvent { id, kind, flow: flow.to_owned(), time: Timestamp::now(), body });
        if recent.len() == KEPT {
            recent.pop_front();
        }
        recent.push_back(event.clone());
        // Sent while the list is held: in the order of their numbers. Nobody listens: an error that is none.
        let _ = self.live.send(event);
    }

    /// What a flow has done in the home; `turn`, where its turns have numbers.
    pub fn tell_actions(&self, flow: &str, turn: Option<Turn>, tools: &[ToolResult]) {
        for tool in tools {
            self.tell(
                flow,
                "action",
                match turn {
                    Some(turn) => json!({"turn": turn, "tool": tool}),
                    None => json!({"tool": tool}),
                },
            );
        }
    }

    /// The newest reports of a flow, whose page is put together when a client asks for it.
    pub fn new_page(&self, flow: &str, page: Arc<Mutex<Page>>) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).insert(flow.to_owned(), page);
    }

    /// The page with a flow's reports.
    ///
    /// # Errors
    /// There is none.
    pub fn page(&self, flow: &str) -> Result<String, Failure> {
        let page = self.pages.lock().unwrap_or_else(PoisonError::into_inner).get(flow).cloned();
        let flow: String = flow.chars().take(100).collect();
        let none = || Failure::new(StatusCode::NOT_FOUND, format!("there is no report of {flow:?} yet"));
        Ok(page.ok_or_else(none)?.lock().unwrap_or_else(PoisonError::into_inner).html())
    }

    /// The newest picture of a camera.
    pub fn picture(&self, flow: &str, picture: Arc<Picture>) {
        self.pictures.lock().unwrap_or_else(PoisonError::into_inner).insert(flow.to_owned(), picture);
    }

    /// The newest picture of a camera, as a JPEG.
    ///
    /// # Errors
    /// There is none, or it can't be packed.
    pub fn jpeg(&self, flow: &str) -> Result<Vec<u8>, Failure> {
        let picture = self.pictures.lock().unwrap_or_else(PoisonError::into_inner).get(flow).cloned();
        let flow: String = flow.chars().take(100).collect();
        let none = || Failure::new(StatusCode::NOT_FOUND, format!("there is no picture of {flow:?}"));
        encode_jpeg(&*picture.ok_or_else(none)?, JPEG_QUALITY).map_err(Failure::broken)
    }

    /// The kept events of these kinds, the newest first.
    pub fn latest(&self, kinds: &[&str]) -> Vec<Value> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().rev().filter(|event| kinds.contains(&event.kind)).map(|event| event.json()).collect()
    }

    /// The events as lines of a stream, those after `seen` first.
    pub fn stream(&self, seen: Option<u64>) -> mpsc::Receiver<Result<Bytes, Failure>> {
        let (lines, out) = mpsc::channel(WAITING);
        let (missed, mut live) = {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            let missed = recent.iter().filter(|event| seen.is_some_and(|seen| event.id > seen)).cloned();
            (missed.collect::<Vec<_>>(), self.live.subscribe())
        };
        tokio::spawn(async move {
            for event in missed {
                if lines.send(Ok(event.line())).await.is_err() {
                    return;
                }
            }
            loop {
                let line: Bytes = match tokio::time::timeout(KEEP_ALIVE, live.recv()).await {
                    Ok(Ok(event)) => event.line(),
                    Ok(Err(broadcast::error::RecvError::Lagged(n))) => {
                        format!("event: lost\ndata: {{\"events\":{n}}}\n\n").into()
                    }
                    Ok(Err(broadcast::error::RecvError::Closed)) => return,
                    Err(_) => Bytes::from_static(b": nothing\n\n"),
                };
                if lines.send(Ok(line)).await.is_err() {
                    return;
                }
            }
        });
        out
    }
}
