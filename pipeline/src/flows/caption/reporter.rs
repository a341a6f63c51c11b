//! The end of a caption flow: passes each caption to the caller, and what is for others to those who deliver, keep and publish it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Sender;
use nearfield_stages::caption::archive;
use nearfield_stages::caption::events::{Followed, News, SceneEvent};
use nearfield_stages::caption::pictures::SourceEvent;
use nearfield_stages::flow::{Dropped, FlowEvent, Ledger, StageTimes, Turn};
use nearfield_stages::llm_thread::is_crash;
use nearfield_stages::messages::{Captioned, Envelope};
use nearfield_stages::outlets::{Delivery, Mailbox};

use crate::output::captions::json_of;
use crate::output::terminal::chain;

/// What happens while captions are made.
pub enum CaptionEvent {
    /// A picture has gone through.
    Captioned(Box<Done>),
    /// What objects did by a picture, or by the source's end.
    News {
        /// The calendar's time of the picture.
        time: SystemTime,
        /// What they did.
        news: Vec<News>,
    },
    /// A picture could not be used, or a stage failed on it.
    Failed {
        /// The picture's number, if it belongs to one.
        turn: Option<Turn>,
        /// The stage.
        stage: &'static str,
        /// Why.
        reason: String,
    },
    /// The source has disconnected or reconnected.
    Source(SourceEvent),
}

/// A picture that has gone through.
pub struct Done {
    /// Its number.
    pub turn: Turn,
    /// What became of it.
    pub captioned: Captioned,
    /// From the picture to its caption.
    pub latency: Duration,
    /// The stages' times.
    pub stages: Vec<StageTimes>,
    /// Pictures dropped until now because a newer one had come.
    pub dropped: u64,
}

/// Who tells a caption flow's events; they may end the flow.
pub(super) type OnEvent<'a> = dyn FnMut(CaptionEvent) -> anyhow::Result<ControlFlow<()>> + 'a;

/// The branches beside the chain of stages, which the end of the flow feeds.
pub(super) struct Branches {
    /// Those who deliver captions to other machines.
    pub outlets: Vec<Mailbox>,
    /// Who keeps events.
    pub archive: Option<Sender<Envelope<Box<SceneEvent>>>>,
    /// Who publishes what objects do.
    #[cfg(feature = "mqtt")]
    pub frigate: Option<Sender<Envelope<Vec<News>>>>,
}

impl Branches {
    /// Hands on what objects have done.
    fn tell(&self, news: &[News]) {
        for event in news.iter().filter_map(|news| if let News::Ended(event) = news { Some(event) } else { None }) {
            self.archive.iter().for_each(|archive| archive::hand_in(archive, event.clone()));
        }
        #[cfg(feature = "mqtt")]
        if let Some(frigate) = &self.frigate
            && !nearfield_stages::outlets::frigate::hand_in(frigate, news.to_vec())
        {
            tracing::warn!("the broker is too slow for what objects do: some of it is not published");
        }
    }

    /// Lets them come to their end; answers how many captions could not be kept for delivery.
    fn close(&mut self) -> u64 {
        let lost = self.outlets.iter().map(Mailbox::lost).sum();
        self.outlets.clear();
        self.archive = None;
        #[cfg(feature = "mqtt")]
        {
            self.frigate = None;
        }
        lost
    }
}

/// The end of a caption flow.
pub(super) struct Reporter<'a> {
    branches: Branches,
    camera: &'a str,
    ledger: Ledger,
    dropped: Dropped,
    /// Captions that could not be kept for delivery.
    losses: &'a mut u64,
    on_event: &'a mut OnEvent<'a>,
}

impl<'a> Reporter<'a> {
    pub fn new(
        branches: Branches,
        camera: &'a str,
        ledger: Ledger,
        dropped: Dropped,
        losses: &'a mut u64,
        on_event: &'a mut OnEvent<'a>,
    ) -> Self {
        Self { branches, camera, ledger, dropped, losses, on_event }
    }

    /// Takes an event of the flow.
    ///
    /// # Errors
    /// The caller's.
    pub fn hear(&mut self, event: FlowEvent<'_, Followed, SourceEvent>) -> anyhow::Result<ControlFlow<()>> {
        match event {
            FlowEvent::Output(Envelope { turn, body, .. }) => self.followed(turn, body),
            FlowEvent::Note(event) => (self.on_event)(CaptionEvent::Source(event)),
            FlowEvent::Failed(failure) if !failure.is_fatal && !is_crash(&failure.error) => {
                let (turn, stage) = (failure.turn, failure.stage);
                (self.on_event)(CaptionEvent::Failed { turn, stage, reason: chain(&failure.error) })
            }
            // A panic is the flow's own error.
            FlowEvent::Failed(_) => Ok(ControlFlow::Continue(())),
            FlowEvent::Ended { .. } => {
                *self.losses = self.branches.close();
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    fn followed(&mut self, turn: Turn, followed: Followed) -> anyhow::Result<ControlFlow<()>> {
        let Followed { captioned, time, news } = followed;
        let mut told = ControlFlow::Continue(());
        if !news.is_empty() {
            self.branches.tell(&news);
            told = (self.on_event)(CaptionEvent::News { time, news })?;
        }
        let Some(captioned) = captioned else { return Ok(told) };
        let latency = Instant::now().saturating_duration_since(captioned.view.taken);
        if captioned.changed || !captioned.alerts.is_empty() {
            let delivery = delivery_of(turn, &captioned, self.camera);
            self.branches.outlets.iter_mut().for_each(|mailbox| mailbox.accept_or_log(&delivery));
        }
        let (stages, dropped) = (self.ledger.take(turn), self.dropped.count());
        let done = Done { turn, captioned, latency, stages, dropped };
        let done = (self.on_event)(CaptionEvent::Captioned(Box::new(done)))?;
        Ok(if told.is_break() { told } else { done })
    }
}

/// What other machines get of a picture.
fn delivery_of(turn: Turn, c: &Captioned, camera: &str) -> Delivery {
    let body = json_of(turn, c, camera);
    let text = match c.alerts.first() {
        Some(alert) => format!("{}: {}", alert.name, c.caption),
        None => c.caption.clone(),
    };
    Delivery { id: format!("{camera}-{}-{turn}", body["time"].as_str().unwrap_or_default()), text, body }
}
