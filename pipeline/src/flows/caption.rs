//! The captioner: which stages there are, in what order, with which queues between them. The only place that knows.
//!
//! ```text
//! source ─Shot─► decode ─View─► look ─Seen─► describe ─Captioned─► follow ─Followed─► reporter
//!                                              ▲ │                                   │ │
//!                                        Event │ ▼ Job                   SceneEvent  ▼ ▼  News
//!                                              llm                              archive frigate
//! ```

use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use anyhow::ensure;
use crossbeam_channel::bounded;
use nearfield_stages::caption::archive;
use nearfield_stages::caption::decode::Decode;
use nearfield_stages::caption::describe::DescribeOptions;
use nearfield_stages::caption::events::{Followed, News};
use nearfield_stages::caption::pictures::{SourceEvent, run as run_source};
use nearfield_stages::flow::{Dropped, Flow, FlowEvent, Queue, StageTimes, StopSignal, Turn};
use nearfield_stages::llm_thread::is_crash;
use nearfield_stages::messages::{Captioned, Envelope};
use nearfield_stages::outlets::{Delivery, Mailbox};

use crate::config::caption::CaptionConfig;
use crate::load::caption::{Captioner, Input, describe_options, reconnect_pauses};
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

/// Runs the captioner until its source is at its end or `stop` is disconnected; calls `report` with each event, which may end the run.
///
/// # Errors
/// If the source or the report fails, or a thread of the flow panics; what was complete by then has been reported.
pub fn run(
    captioner: Captioner,
    config: &CaptionConfig,
    input: Input,
    max_frames: Option<u64>,
    stop: &StopSignal,
    report: &mut dyn FnMut(CaptionEvent) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let (events, notes) = bounded(16);
    let mut flow = Flow::new().notes(notes);
    let (turns, ledger, dropped) = (flow.turns(), flow.ledger(), Dropped::default());
    let options = describe_options(config, &captioner);
    #[cfg(feature = "mqtt")]
    let frigate = captioner.frigate;
    let Captioner { llm, vision, nominal, constraint, publishers, .. } = captioner;
    let options = DescribeOptions { constraint, ..options };
    let framing = config.source.framing().map_err(anyhow::Error::msg)?;
    let llm = llm.start_in(&mut flow);
    let (look, describe, follow) =
        Captioner::stages(vision, nominal, options, config, input.stills, llm, turns.clone())?;
    let mut mailboxes: Vec<Mailbox> = publishers.into_iter().map(|p| p.branch_off(&mut flow, stop)).collect();
    let Input { mut source, live, stills, clips } = input;
    let mut archived = crate::load::caption::archive(config, clips)?.map(|archive| archive.branch_off(&mut flow));
    #[cfg(feature = "mqtt")]
    let mut published = frigate.map(|frigate| frigate.branch_off(&mut flow));
    let pauses = reconnect_pauses(config, live && !stills);

    let mut losses = 0;
    let lost = &mut losses;
    // Of a live source only the newest picture waits, before each stage; of files nothing is lost, and a queue is as long as makes
    // the stages overlap.
    let pictures = || if live { Queue::Newest(dropped.clone()) } else { Queue::Wait(2) };
    flow.source(pictures(), move |shots, stop| {
        run_source(&mut *source, shots, &turns, max_frames, pauses, stop, &mut |n| drop(events.send(n)))
    })
    .then(Decode::new(framing), pictures())
    .then(look, pictures())
    .then(describe, Queue::Wait(16)) // Captions are never dropped,
    .then(follow, Queue::Wait(16)) // and wait for the reporter.
    .run(stop, move |event| {
        let event = match event {
            FlowEvent::Output(Envelope { turn, body: Followed { captioned, time, news }, .. }) => {
                if !news.is_empty() {
                    for event in
                        news.iter().filter_map(|news| if let News::Ended(event) = news { Some(event) } else { None })
                    {
                        archived.iter().for_each(|archive| archive::hand_in(archive, event.clone()));
                    }
                    #[cfg(feature = "mqtt")]
                    if let Some(frigate) = &published
                        && !nearfield_stages::outlets::frigate::hand_in(frigate, news.clone())
                    {
                        tracing::warn!("the broker is too slow for what objects do: some of it is not published");
                    }
                }
                let told = match news.is_empty() {
                    true => ControlFlow::Continue(()),
                    false => report(CaptionEvent::News { time, news })?,
                };
                let Some(captioned) = captioned else { return Ok(told) };
                let latency = Instant::now().saturating_duration_since(captioned.view.taken);
                if captioned.changed || !captioned.alerts.is_empty() {
                    let delivery = delivery_of(turn, &captioned, &config.source.camera);
                    mailboxes.iter_mut().for_each(|mailbox| mailbox.accept_or_log(&delivery));
                }
                let (stages, dropped) = (ledger.take(turn), dropped.count());
                let done =
                    report(CaptionEvent::Captioned(Box::new(Done { turn, captioned, latency, stages, dropped })))?;
                return Ok(if told.is_break() { told } else { done });
            }
            FlowEvent::Note(events) => CaptionEvent::Source(events),
            FlowEvent::Failed(failure) if !failure.is_fatal && !is_crash(&failure.error) => {
                CaptionEvent::Failed { turn: failure.turn, stage: failure.stage, reason: chain(&failure.error) }
            }
            // A panic is the flow's own error.
            FlowEvent::Failed(_) => return Ok(ControlFlow::Continue(())),
            FlowEvent::Ended { .. } => {
                *lost = mailboxes.iter().map(Mailbox::lost).sum();
                mailboxes.clear();
                archived = None;
                #[cfg(feature = "mqtt")]
                {
                    published = None;
                }
                return Ok(ControlFlow::Continue(()));
            }
        };
        report(event)
    })?;
    ensure!(losses == 0, "{losses} captions could not be kept for delivery; the log says why");
    Ok(())
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
