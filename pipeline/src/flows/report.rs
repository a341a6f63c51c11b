//! Reports on sensor readings: which stages there are, in what order, with which queues between them. The only place that knows.
//!
//! ```text
//! source ─Batch─► persist ─Batch─► window ─WindowSummary─► schedule ─WindowSummary─► compose ─ReportPart─► reporter ─Delivery─► publish
//!    ▲ receipts   │ (store)                                                           ▲ │
//!    └────────────┘                                                             Event │ ▼ Job
//!                                                                                     llm
//! ```

mod reporter;

use std::ops::ControlFlow;

use anyhow::bail;
use nearfield_stages::flow::{AtStop, Flow, Health, Queue, StopSignal, Turns};
use nearfield_stages::report::compose::{Compose, ModelWriter, Writer};
use nearfield_stages::report::schedule::Scheduler;

pub use self::reporter::ReportEvent;
use self::reporter::{Kept, Reporter};
use crate::config::report::ReportConfig;
use crate::hub::registry::Registry;
use crate::load::outlets::outlets;
use crate::load::report::{Readings, ReadingsFrom, compose_options, max_report_tokens};
use crate::load::shared::FlowLlm;

/// Runs the flow until its source is at its end or `stop` is disconnected. `object` is what its reports are called in topics and in the
/// spool; `health` tells what keeps it waiting.
///
/// # Errors
/// If the source, the store, or `on_event` fails, or a thread of the flow panics; what was complete by then has been
/// told.
pub fn run(
    config: &ReportConfig,
    registry: &Registry,
    llm: Option<FlowLlm>,
    from: ReadingsFrom,
    stop: &StopSignal,
    (object, health): (&str, &Health),
    on_event: &mut dyn FnMut(ReportEvent<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    // Until when the model may write. Windows are never silenced: what the model has no time for is computed.
    let writing = Turns::default();
    let mut flow = Flow::new().at_stop(AtStop::Complete(writing.clone()));
    let (live, zone) = (from.is_live(), config.zone().map_err(anyhow::Error::msg)?);
    let Readings { source, persist, windower, store } = Readings::open(config, registry, from, &flow, health)?;
    let schedule = Scheduler::new(config.schedule().map_err(anyhow::Error::msg)?, zone.clone());
    let mut writer: Option<Box<dyn Writer>> = None;
    if let Some(llm) = llm {
        let thread = llm.start_in(&mut flow);
        writer = Some(Box::new(ModelWriter::new(thread, compose_options(config, registry), writing)?));
    }
    let compose = Compose::new(writer, max_report_tokens(config));
    let outlets = outlets(&config.outlets, &config.mqtt, object, registry)?;
    let outlets = outlets.into_iter().map(|outlet| outlet.branch_off(&mut flow, stop)).collect();
    let mut failures = 0;
    let kept = Kept { outlets, store, live, stop: stop.clone(), health: health.clone() };
    let mut reporter = Reporter::new(kept, zone, flow.ledger(), &mut failures, on_event);

    // Readings block and are never dropped: a file waits, a broker is not acknowledged.
    let batches = flow.source(Queue::Wait(8), source); // 8 * 4,096 readings: the source reads while the store syncs.
    let kept = match persist {
        Some(persist) => batches.then(persist, Queue::Wait(8)),
        None => batches,
    };
    kept.then(windower, Queue::Wait(16)) // Windows close together when a long absence ends.
        .then(schedule, Queue::Wait(4))
        .then(compose, Queue::Wait(64)) // A dozen reports of five sentences.
        .run(stop, move |event| reporter.hear(event))?;
    match failures {
        0 => Ok(()),
        1 => bail!("a step failed; the log says why"),
        n => bail!("{n} steps failed; the log says why"),
    }
}
