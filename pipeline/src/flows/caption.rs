//! The captioner: which stages there are, in what order, with which queues between them. The only place that knows.
//!
//! ```text
//! source ─Shot─► decode ─View─► look ─Seen─► describe ─Captioned─► follow ─Followed─► reporter
//!                                              ▲ │                                   │ │
//!                                        Event │ ▼ Job                   SceneEvent  ▼ ▼  News
//!                                              llm                             archive frigate
//! ```

mod reporter;

use std::ops::ControlFlow;

use anyhow::ensure;
use crossbeam_channel::bounded;
use nearfield_stages::caption::decode::Decode;
use nearfield_stages::caption::pictures::run as run_source;
use nearfield_stages::flow::{Dropped, Flow, Queue, StopSignal};

use self::reporter::{Branches, Reporter};
pub use self::reporter::{CaptionEvent, Done};
use crate::config::caption::CaptionConfig;
use crate::load::caption::{Captioner, Input, archive, reconnect_pauses};

/// Runs the captioner until its source is at its end or `stop` is disconnected; calls `report` with each event, which may end the run.
///
/// # Errors
/// If the source or the report fails, or a thread of the flow panics; what was complete by then has been reported.
pub fn run(
    mut captioner: Captioner,
    config: &CaptionConfig,
    input: Input,
    max_frames: Option<u64>,
    stop: &StopSignal,
    report: &mut dyn FnMut(CaptionEvent) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let (events, notes) = bounded(16);
    let mut flow = Flow::new().notes(notes);
    let (turns, dropped) = (flow.turns(), Dropped::default());
    let Input { mut source, live, stills, clips } = input;
    let pauses = reconnect_pauses(config, live && !stills);
    let decode = Decode::new(config.source.framing().map_err(anyhow::Error::msg)?);
    #[cfg(feature = "mqtt")]
    let frigate = captioner.frigate.take();
    let outlets = std::mem::take(&mut captioner.publishers);
    let (look, describe, follow) = captioner.stages_in(&mut flow, config, stills)?;
    let branches = Branches {
        outlets: outlets.into_iter().map(|outlet| outlet.branch_off(&mut flow, stop)).collect(),
        archive: archive(config, clips)?.map(|archive| archive.branch_off(&mut flow)),
        #[cfg(feature = "mqtt")]
        frigate: frigate.map(|frigate| frigate.branch_off(&mut flow)),
    };
    let mut losses = 0;
    let camera = &config.source.camera;
    let mut reporter = Reporter::new(branches, camera, flow.ledger(), dropped.clone(), &mut losses, report);

    // Of a live source only the newest picture waits, before each stage; of files nothing is lost, and a queue is as long as makes
    // the stages overlap.
    let pictures = || if live { Queue::Newest(dropped.clone()) } else { Queue::Wait(2) };
    flow.source(pictures(), move |shots, stop| {
        run_source(&mut *source, shots, &turns, max_frames, pauses, stop, &mut |n| drop(events.send(n)))
    })
    .then(decode, pictures())
    .then(look, pictures())
    .then(describe, Queue::Wait(16)) // Captions are never dropped,
    .then(follow, Queue::Wait(16)) // and wait for the reporter.
    .run(stop, move |event| reporter.hear(event))?;
    ensure!(losses == 0, "{losses} captions could not be kept for delivery; the log says why");
    Ok(())
}
