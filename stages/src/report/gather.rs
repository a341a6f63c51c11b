//! Readings become windows: a stage around [`Windows`], which adds the roster, the table, and the passing of time where readings
//! come live.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nearfield_models::flow::Flow;
use nearfield_models::telemetry::parse::Rejected;
use nearfield_models::telemetry::table::Table;
use nearfield_models::telemetry::window::WindowPlan;
use nearfield_models::telemetry::windows::{ClosedWindow, Windows, WindowsOptions};
use nearfield_models::telemetry::{Moment, Reading, SensorTraits};

use crate::drive::{Emit, Stage};
use crate::messages::{Batch, Envelope, WindowSummary};
use crate::turn::Turns;

/// How often a window that no reading closes is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(250);

/// What happens to windows that are open when the input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// They are told as they are: nothing more will come.
    Tell,
    /// They are left: the store keeps their readings, and the next start completes them.
    Leave,
}

/// Hands over stored readings from a moment on, in the order of time.
pub type ReadBack<'a> = dyn FnMut(Moment, &mut dyn FnMut(Reading)) -> anyhow::Result<()> + 'a;

/// The stage.
pub struct Gather {
    windows: Windows,
    plan: WindowPlan,
    lateness: f64,
    traits: Arc<Vec<SensorTraits>>,
    rejected: Rejected,
    turns: Turns,
    at_end: AtEnd,
    /// Readings come as they are taken, so that time passes without them too.
    live: bool,
    /// The newest reading's time was that of the clock.
    on_time: bool,
    wake: Option<Instant>,
    /// Windows that the readings of an earlier run have closed.
    resumed: Vec<ClosedWindow>,
}

impl Gather {
    /// Without any reading yet. `live` when readings come as they are taken.
    pub fn new(options: WindowsOptions, turns: Turns, live: bool, at_end: AtEnd) -> Gather {
        Gather {
            plan: options.plan.clone(),
            lateness: options.lateness_seconds.unwrap_or(0.0),
            windows: Windows::new(options),
            traits: Arc::default(),
            rejected: Rejected::default(),
            turns,
            at_end,
            live,
            on_time: false,
            wake: live.then(Instant::now),
            resumed: Vec::new(),
        }
    }

    /// Takes sensors and readings of an earlier run: windows up to `reported` are not told again. `read` hands over the readings
    /// from a moment on, in the order of time.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn resume(
        &mut self,
        sensors: Vec<SensorTraits>,
        reported: Option<Moment>,
        read: &mut ReadBack<'_>,
    ) -> anyhow::Result<()> {
        for traits in sensors {
            self.windows.add_sensor(traits.clone());
            Arc::make_mut(&mut self.traits).push(traits);
        }
        let from = match reported {
            Some(end) => self.windows.resume_after(end),
            None => Moment(0),
        };
        let Self { windows, resumed, .. } = self;
        read(from, &mut |reading| windows.push(reading, &mut |w| resumed.push(w)))
    }

    fn summary(&mut self, window: ClosedWindow) -> Envelope<WindowSummary> {
        let traits = self.traits.clone();
        let table = Table::new(&window, &|s| traits[s.sensor.0 as usize].clone(), self.plan.zone());
        let rejected = std::mem::take(&mut self.rejected);
        let summary = WindowSummary { window, traits, table, rejected, closed: Instant::now() };
        Envelope::new(self.turns.begin(), summary)
    }

    fn send(&mut self, closed: Vec<ClosedWindow>, emit: &mut Emit<'_, WindowSummary>) {
        for window in closed {
            let summary = self.summary(window);
            if emit(summary) == Flow::Stop {
                return;
            }
        }
    }
}

/// Now, as sensors tell time.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment(since.as_micros() as i64)
}

impl Stage for Gather {
    type In = Batch;
    type Out = WindowSummary;

    fn name(&self) -> &'static str {
        "gather"
    }

    fn step(&mut self, input: Envelope<Batch>, emit: &mut Emit<'_, WindowSummary>) -> anyhow::Result<()> {
        let batch = input.body;
        for (_, traits) in batch.introduced {
            self.windows.add_sensor(traits.clone());
            Arc::make_mut(&mut self.traits).push(traits);
        }
        self.rejected = self.rejected.plus(batch.rejected);
        let mut closed = std::mem::take(&mut self.resumed);
        if let (true, Some(last)) = (self.live, batch.readings.last()) {
            self.on_time = now().seconds_since(last.at).abs() <= self.lateness.max(5.0);
        }
        for reading in batch.readings {
            self.windows.push(reading, &mut |w| closed.push(w));
        }
        self.send(closed, emit);
        if let Some(receipt) = batch.receipt {
            // Without a store, a reading that has been gathered is as safe as it gets.
            receipt.give();
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        self.wake
    }

    fn wake(&mut self, emit: &mut Emit<'_, WindowSummary>) -> anyhow::Result<()> {
        self.wake = Some(Instant::now() + LOOK_AFTER);
        let resumed = std::mem::take(&mut self.resumed);
        self.send(resumed, emit);
        let complete = now().plus_seconds(-self.lateness);
        if self.on_time && self.windows.next_end().is_some_and(|end| end <= complete) {
            let mut closed = Vec::new();
            self.windows.complete_up_to(complete, &mut |w| closed.push(w));
            self.send(closed, emit);
        }
        Ok(())
    }

    fn finish(&mut self, emit: &mut Emit<'_, WindowSummary>) -> anyhow::Result<()> {
        let mut closed = std::mem::take(&mut self.resumed);
        if self.at_end == AtEnd::Tell {
            self.windows.finish(&mut |w| closed.push(w));
        }
        self.send(closed, emit);
        Ok(())
    }
}
