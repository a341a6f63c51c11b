//! The end of a report flow: passes each report to the caller, then puts it where it outlives a crash, then counts its window as reported.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use anyhow::ensure;
use jiff::tz::TimeZone;
use nearfield_stages::flow::{FlowEvent, Health, Ledger, StageTimes, StopSignal, Turn};
use nearfield_stages::messages::{Envelope, Report, ReportPart, Sentence};
use nearfield_stages::outlets::{Delivery, Mailbox};
use nearfield_stages::report::persist::note_reported;
use nearfield_stages::report::store::Store;
use nearfield_telemetry::Moment;

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

/// Whom a report flow tells; they may end the flow.
pub(super) type OnEvent<'a> = dyn FnMut(ReportEvent<'_>) -> anyhow::Result<ControlFlow<()>> + 'a;

/// Where a report is kept until it has been delivered, and where its window counts as reported.
pub(super) struct Kept {
    /// Those who deliver to other machines.
    pub outlets: Vec<Mailbox>,
    /// What was reported, where there is a store.
    pub store: Option<Arc<Mutex<Store>>>,
    /// A live flow waits for a full disk to be emptied, and its source with it; a file can be reported again.
    pub live: bool,
    /// Ends the waiting.
    pub stop: StopSignal,
    /// Tells of it.
    pub health: Health,
}

impl Kept {
    fn keep(&mut self, report: &Report, delivery: &Delivery) -> anyhow::Result<()> {
        let Kept { outlets, store, live, stop, health } = self;
        // On the disk of each outlet before the window counts as reported.
        outlets.iter_mut().try_for_each(|mailbox| match live {
            true => mailbox.accept_until(delivery, stop),
            false => mailbox.accept(delivery),
        })?;
        let window = &report.summary.window;
        if let Some(store) = store.as_ref().filter(|_| !window.cut_short) {
            note_reported(store, window.span.to, *live, stop, health)?;
        }
        Ok(())
    }
}

/// The end of a report flow.
pub(super) struct Reporter<'a> {
    kept: Kept,
    zone: TimeZone,
    ledger: Ledger,
    /// Steps that have failed.
    failures: &'a mut u64,
    on_event: &'a mut OnEvent<'a>,
}

impl<'a> Reporter<'a> {
    pub fn new(
        kept: Kept,
        zone: TimeZone,
        ledger: Ledger,
        failures: &'a mut u64,
        on_event: &'a mut OnEvent<'a>,
    ) -> Self {
        Self { kept, zone, ledger, failures, on_event }
    }

    /// Takes an event of the flow.
    ///
    /// # Errors
    /// The caller's; a report can't be kept.
    pub fn hear(&mut self, event: FlowEvent<'_, ReportPart>) -> anyhow::Result<ControlFlow<()>> {
        match event {
            FlowEvent::Output(Envelope { turn, body, .. }) => match &body {
                ReportPart::Title(title) => return (self.on_event)(ReportEvent::Title(title)),
                ReportPart::Sentence(sentence) => return (self.on_event)(ReportEvent::Sentence(turn, sentence)),
                ReportPart::Done(report) => return self.done(turn, report),
            },
            FlowEvent::Failed(failure) if !failure.is_fatal => {
                *self.failures += 1;
                tracing::error!("{}: {}", failure.stage, chain(&failure.error));
            }
            FlowEvent::Failed(_) => {}
            FlowEvent::Ended { .. } => self.kept.outlets.clear(),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn done(&mut self, turn: Turn, report: &Report) -> anyhow::Result<ControlFlow<()>> {
        let span = report.summary.window.span;
        // Noted as reported, it would keep all to come from being so.
        ensure!(
            span.from < span.to && Moment::from(span.to.timestamp()) == span.to,
            "a report on a time from {} to {} is not told: there is no such time; this is a bug in Nearfield: please report it",
            span.from.timestamp(),
            span.to.timestamp()
        );
        let told = (self.on_event)(ReportEvent::Done(report, &self.ledger.take(turn)))?;
        self.kept.keep(report, &delivery_of(report_pages::json(report, &self.zone)))?;
        Ok(told)
    }
}

/// What other machines get of a report.
fn delivery_of(body: serde_json::Value) -> Delivery {
    let id = format!("report-{}", body["window"]["start"].as_str().unwrap_or_default());
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    Delivery { id, text, body }
}
