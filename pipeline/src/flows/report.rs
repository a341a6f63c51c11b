//! Reports on sensor readings: which stages there are, in what order, with which queues between them. The only place that knows.
//!
//! ```text
//! source ─Batch─► persist ─Batch─► window ─WindowSummary─► schedule ─WindowSummary─► compose ─ReportPart─► reporter ─Delivery─► publish
//!    ▲ receipts   │ (store)                                                           ▲ │
//!    └────────────┘                                                             Event │ ▼ Job
//!                                                                                     llm
//! ```

use std::ops::ControlFlow;

use anyhow::{bail, ensure};
use nearfield_stages::flow::{AtStop, Flow, FlowEvent, Queue, StageTimes, StopSignal, Turn, Turns};
use nearfield_stages::messages::{Envelope, Report, ReportPart, Sentence};
use nearfield_stages::outlets::{Delivery, Mailbox};
use nearfield_stages::report::compose::{Compose, ModelWriter, Writer};
use nearfield_stages::report::persist::note_reported;
use nearfield_stages::report::schedule::Scheduler;
use nearfield_telemetry::Moment;

use crate::config::report::ReportConfig;
use crate::hub::registry::Registry;
use crate::load::outlets::outlets;
use crate::load::report::{Readings, ReadingsFrom, compose_options, max_report_tokens};
use crate::load::shared::FlowLlm;
use crate::output::report_pages;
use crate::output::terminal::chain;

/// What a flow of reports passes to its caller.
pub enum ReportEvent<'a> {
    /// A report begins: its window in words.
    Title(&'a str),
    /// A sentence of the report to come is certain.
    Sentence(Turn, &'a Sentence),
    /// A report is finished; where its time went.
    Done(&'a Report, &'a [StageTimes]),
}

/// Runs the flow until its source is at its end or `stop` is disconnected. `object` is what its reports are called in topics and in the
/// spool.
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
    object: &str,
    on_event: &mut dyn FnMut(ReportEvent<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    // Until when the model may write. Windows are never silenced: what the model has no time for is computed.
    let writing = Turns::default();
    let mut flow = Flow::new().at_stop(AtStop::Complete(writing.clone()));
    let (ledger, live, zone) = (flow.ledger(), from.is_live(), config.zone().map_err(anyhow::Error::msg)?);
    let Readings { source, persist, windower, store } = Readings::open(config, registry, from, &flow)?;
    let schedule = Scheduler::new(config.schedule().map_err(anyhow::Error::msg)?, zone.clone());
    let mut writer: Option<Box<dyn Writer>> = None;
    if let Some(llm) = llm {
        let thread = llm.start_in(&mut flow);
        writer = Some(Box::new(ModelWriter::new(thread, compose_options(config, registry), writing)?));
    }
    let word = Compose::new(writer, max_report_tokens(config));
    let publishers = outlets(&config.outlets, &config.mqtt, object, registry)?;
    let mut mailboxes: Vec<Mailbox> = publishers.into_iter().map(|p| p.branch_off(&mut flow, stop)).collect();

    let mut failures = 0u64;
    let failed = &mut failures;
    // Readings block and are never dropped: a file waits, a broker is not acknowledged.
    let batches = flow.source(Queue::Wait(8), source); // 8 * 4,096 readings: the source reads while the store syncs.
    let kept = match persist {
        Some(persist) => batches.then(persist, Queue::Wait(8)),
        None => batches,
    };
    kept.then(windower, Queue::Wait(16)) // Windows close together when a long absence ends.
        .then(schedule, Queue::Wait(4))
        .then(word, Queue::Wait(64)) // A dozen reports of five sentences.
        .run(stop, move |event| {
            let (turn, part) = match event {
                FlowEvent::Output(Envelope { turn, body, .. }) => (turn, body),
                FlowEvent::Failed(failure) => {
                    if !failure.is_fatal {
                        *failed += 1;
                        tracing::error!("{}: {}", failure.stage, chain(&failure.error));
                    }
                    return Ok(ControlFlow::Continue(()));
                }
                FlowEvent::Ended { .. } => {
                    mailboxes.clear();
                    return Ok(ControlFlow::Continue(()));
                }
            };
            let report = match &part {
                ReportPart::Title(title) => return on_event(ReportEvent::Title(title)),
                ReportPart::Sentence(sentence) => return on_event(ReportEvent::Sentence(turn, sentence)),
                ReportPart::Done(report) => report,
            };
            let span = report.summary.window.span;
            // Noted as reported, it would keep all to come from being so.
            ensure!(
                span.from < span.to && Moment::from(span.to.timestamp()) == span.to,
                "a report on a time from {} to {} is not told: there is no such time; this is a bug in Nearfield: please report it",
                span.from.timestamp(),
                span.to.timestamp()
            );
            let told = on_event(ReportEvent::Done(report, &ledger.take(turn)))?;
            // On the disk of each outlet before the window counts as reported. A live flow waits for a full disk to be emptied, and
            // its source with it; a file can be reported again.
            let delivery = delivery_of(report_pages::json(report, &zone));
            mailboxes.iter_mut().try_for_each(|mailbox| match live {
                true => mailbox.accept_until(&delivery, stop),
                false => mailbox.accept(&delivery),
            })?;
            let window = &report.summary.window;
            if let Some(store) = store.as_ref().filter(|_| !window.cut_short) {
                note_reported(store, window.span.to, live, stop)?;
            }
            Ok(told)
        })?;
    match failures {
        0 => Ok(()),
        1 => bail!("a step failed; the log says why"),
        n => bail!("{n} steps failed; the log says why"),
    }
}

/// What other machines get of a report.
fn delivery_of(body: serde_json::Value) -> Delivery {
    let id = format!("report-{}", body["window"]["start"].as_str().unwrap_or_default());
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    Delivery { id, text, body }
}
