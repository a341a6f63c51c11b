//! Readings become windows: a stage around [`Windows`], which adds the sensors, the table, and the passing of time where readings
//! come live.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nearfield_telemetry::clock::{CLOCK_IS_SET, ClockFindings};
use nearfield_telemetry::expected::Expected;
use nearfield_telemetry::language::Language;
use nearfield_telemetry::read::Rejected;
use nearfield_telemetry::table::Table;
use nearfield_telemetry::unit::System;
use nearfield_telemetry::window::WindowPlan;
use nearfield_telemetry::windows::{ClosedWindow, Windows, WindowsOptions};
use nearfield_telemetry::{Moment, Reading, SensorTraits};
use std::ops::ControlFlow;

use crate::flow::{Emit, Stage, Turns};
use crate::messages::{Batch, Envelope, WindowSummary};

/// How often a window that no reading closes is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(250);

/// While messages that were held up keep coming, no window is closed by the clock; so long after the last of them it is.
const CATCHING_UP: Duration = Duration::from_secs(2);
/// A clock that differs by more than this from the time that has passed has been set.
const SET_SECONDS: f64 = 5.0;
/// A time that an earlier run knew and that lies so far ahead was of a clock that has been set back since.
const AHEAD_SECONDS: f64 = 60.0;

/// Live readings are expected up to so long after now.
const A_DAY_SECONDS: f64 = 86_400.0;

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
pub struct Windower {
    windows: Windows,
    plan: WindowPlan,
    lateness: f64,
    traits: Arc<Vec<SensorTraits>>,
    rejected: Rejected,
    turns: Turns,
    at_end: AtEnd,
    /// Readings come as they are taken, so that time passes without them too.
    live: bool,
    /// A reading came as it was taken: time passes by the clock.
    current: bool,
    /// The last reading that was held up.
    held_up: Option<Instant>,
    clocks: ClockFindings,
    own_clock: OwnClock,
    wake: Option<Instant>,
    /// Windows that the readings of an earlier run have closed.
    resumed: Vec<ClosedWindow>,
    /// The lateness, and what happens to open windows at the end, once a pipe turns out to be live.
    when_live: (f64, AtEnd),
    /// In which units windows are told.
    units: System,
    language: Language,
    /// Anomalies with a known cause.
    expected: Vec<Expected>,
}

impl Windower {
    /// Without any reading yet. `live` when readings come as they are taken.
    pub fn new(options: WindowsOptions, turns: Turns, live: bool, at_end: AtEnd) -> Windower {
        Windower {
            when_live: (0.0, at_end),
            units: System::Own,
            language: Language::English,
            expected: Vec::new(),
            plan: options.plan.clone(),
            lateness: options.lateness_seconds.unwrap_or(0.0),
            windows: Windows::new(options),
            traits: Arc::default(),
            rejected: Rejected::default(),
            turns,
            at_end,
            live,
            current: false,
            held_up: None,
            clocks: ClockFindings::default(),
            own_clock: OwnClock::default(),
            wake: live.then(Instant::now),
            resumed: Vec::new(),
        }
    }

    /// If the source turns out to hand over readings as they are taken, they may be so much later than newer ones, and `at_end`
    /// happens at its end.
    #[must_use]
    pub fn when_live(mut self, lateness_seconds: f64, at_end: AtEnd) -> Windower {
        self.when_live = (lateness_seconds, at_end);
        self
    }

    /// Tells windows in this language.
    #[must_use]
    pub fn in_language(mut self, language: Language) -> Windower {
        self.language = language;
        self
    }

    /// Tells windows in these units.
    #[must_use]
    pub fn in_units(mut self, units: System) -> Windower {
        self.units = units;
        self
    }

    /// Tells these anomalies apart.
    #[must_use]
    pub fn expecting(mut self, expected: Vec<Expected>) -> Windower {
        self.expected = expected;
        self
    }

    fn go_live(&mut self) {
        (self.lateness, self.at_end) = self.when_live;
        self.windows.allow_lateness(self.lateness);
        self.live = true;
        self.wake = Some(Instant::now() + LOOK_AFTER);
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
        let now = now();
        let is_ahead = |at: Moment| self.live && now >= CLOCK_IS_SET && at.seconds_since(now) > AHEAD_SECONDS;
        let reported = reported.map(|end| {
            if is_ahead(end) && self.plan.windows_at(now).last().is_some_and(|w| w.to < end) {
                let begin = self.plan.windows_at(now).first().map_or(now, |w| w.from);
                tracing::warn!(
                    "reports were made up to {}, but this machine's clock says {}: windows are reported again from {} on",
                    end.timestamp(),
                    now.timestamp(),
                    begin.timestamp()
                );
                return begin;
            }
            end
        });
        let from = match reported {
            Some(end) => self.windows.resume_after(end),
            None => Moment(0),
        };
        let mut ahead = 0;
        let Self { windows, resumed, live, .. } = self;
        let is_ahead = |at: Moment| *live && now >= CLOCK_IS_SET && at.seconds_since(now) > AHEAD_SECONDS;
        read(from, &mut |reading| {
            if is_ahead(reading.at) {
                ahead += 1;
                return;
            }
            windows.push(reading, &mut |w| resumed.push(w));
        })?;
        if ahead > 0 {
            tracing::warn!("{ahead} stored readings have a time that has not come yet: they are passed over");
        }
        Ok(())
    }

    /// Looks whether somebody has set this machine's clock; before the readings that come by the new time.
    fn watch_clock(&mut self, closed: &mut Vec<ClosedWindow>) {
        if self.live
            && let Some((before, now)) = self.own_clock.was_set()
        {
            tracing::warn!("this machine's clock was set from {} to {}", before.timestamp(), now.timestamp());
            if self.current {
                self.windows.clock_was_set(before, now, &mut |w| closed.push(w));
            }
        }
    }

    /// Closes what is over by the clock, where time passes by it.
    fn pass_time(&mut self, closed: &mut Vec<ClosedWindow>) {
        if self.live && self.current && self.held_up.is_none_or(|at| at.elapsed() > CATCHING_UP) {
            self.windows.complete_up_to(now().plus_seconds(-self.lateness), &mut |w| closed.push(w));
        }
    }

    fn summary(&mut self, mut window: ClosedWindow) -> Envelope<WindowSummary> {
        let mut traits = self.traits.clone();
        if self.units != System::Own {
            window.convert(Arc::make_mut(&mut traits).as_mut_slice(), self.units);
        }
        window.set_expected_apart(&self.expected, &traits, self.plan.zone());
        let table = Table::new(&window, &|s| traits[s.sensor.0 as usize].clone(), self.plan.zone());
        let table = table.in_language(self.language);
        let rejected = std::mem::take(&mut self.rejected);
        let clocks = std::mem::take(&mut self.clocks);
        let summary = WindowSummary { window, traits, table, rejected, clocks, closed: Instant::now() };
        Envelope::new(self.turns.begin(), summary)
    }

    fn send(&mut self, closed: Vec<ClosedWindow>, emit: &mut Emit<'_, WindowSummary>) {
        for window in closed {
            let summary = self.summary(window);
            if emit(summary) == ControlFlow::Break(()) {
                return;
            }
        }
    }
}

/// This machine's clock against the time that passes, which nobody can set.
#[derive(Default)]
struct OwnClock {
    before: Option<(Moment, f64)>,
}

impl OwnClock {
    /// What the clock would say, and what it says, if it was set since this was last asked.
    fn was_set(&mut self) -> Option<(Moment, Moment)> {
        let (passed, now) = (uptime()?, now());
        // Held up in between, the two can't be compared.
        if uptime()? - passed > 1.0 {
            return None;
        }
        let (before, then) = self.before.replace((now, passed))?;
        let expected = before.plus_seconds(passed - then);
        (now.seconds_since(expected).abs() > SET_SECONDS).then_some((expected, now))
    }
}

/// Seconds since the machine was started, those in which it slept among them.
fn uptime() -> Option<f64> {
    std::fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()
}

/// Now, as sensors tell time.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment(since.as_micros() as i64)
}

impl Stage for Windower {
    type In = Batch;
    type Out = WindowSummary;

    fn name(&self) -> &'static str {
        "window"
    }

    fn step(&mut self, input: Envelope<Batch>, emit: &mut Emit<'_, WindowSummary>) -> anyhow::Result<()> {
        let mut batch = input.body;
        for (_, traits) in std::mem::take(&mut batch.introduced) {
            self.windows.add_sensor(traits.clone());
            Arc::make_mut(&mut self.traits).push(traits);
        }
        let possible = batch.leave_out_impossible(self.traits.len());
        if batch.goes_live && !self.live {
            self.go_live();
        }
        self.rejected = std::mem::take(&mut self.rejected).plus(batch.rejected);
        let mut closed = std::mem::take(&mut self.resumed);
        self.watch_clock(&mut closed);
        self.clocks.append(batch.clocks);
        self.windows.count_duplicates(batch.repeated, batch.conflicting);
        if batch.pace.held_up {
            self.held_up = Some(Instant::now());
        }
        self.current |= batch.pace.current;
        self.windows.follow_clock(self.live && self.current);
        if self.live && now() >= CLOCK_IS_SET {
            self.windows.expect_until(now().plus_seconds(A_DAY_SECONDS));
        }
        for reading in batch.readings {
            self.windows.push(reading, &mut |w| closed.push(w));
        }
        self.pass_time(&mut closed);
        self.send(closed, emit);
        if let Some(receipt) = batch.receipt {
            // Without a store, a reading that has been gathered is as safe as it gets.
            receipt.give();
        }
        possible
    }

    fn wake_at(&self) -> Option<Instant> {
        self.wake
    }

    fn wake(&mut self, emit: &mut Emit<'_, WindowSummary>) -> anyhow::Result<()> {
        self.wake = Some(Instant::now() + LOOK_AFTER);
        let mut closed = std::mem::take(&mut self.resumed);
        self.watch_clock(&mut closed);
        self.pass_time(&mut closed);
        self.send(closed, emit);
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

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use nearfield_telemetry::SensorId;
    use nearfield_telemetry::anomaly::AnomalyOptions;

    use super::*;
    use crate::flow::Turn;
    use crate::messages::Pace;

    /// A machine that is started in 1970 and told the time later, and one whose clock is set back.
    #[test]
    fn a_clock_that_is_set_while_readings_come_costs_none_and_makes_up_no_window() {
        for jump in [56.0 * 365.0 * 86_400.0, 3000.0, -3000.0] {
            let length = "10m".parse().unwrap();
            let plan = WindowPlan::new(length, length, TimeZone::UTC).unwrap();
            let options = WindowsOptions {
                plan,
                lateness_seconds: Some(30.0),
                waiting: 1000,
                clock_jump_seconds: 86_400.0 * 30.0,
                latest: None,
                distinct: false,
                rereads: false,
                anomalies: AnomalyOptions::default(),
            };
            let mut gather = Windower::new(options, Turns::default(), true, AtEnd::Tell);
            let mut told = Vec::new();
            let mut emit = |summary: Envelope<WindowSummary>| {
                told.push((summary.body.window.readings(), summary.body.window.span.seconds()));
                ControlFlow::Continue(())
            };
            let batch = |at: Moment, first: bool| Batch {
                introduced: first.then(|| ("a".to_owned(), SensorTraits::default())).into_iter().collect(),
                readings: vec![Reading { at, sensor: SensorId(0), value: 1.0 }],
                pace: Pace { current: true, held_up: false },
                ..Batch::default()
            };
            // What the clock said until now lay `jump` before what it says.
            let before = now().plus_seconds(-jump);
            for i in 0..5 {
                gather.own_clock.before = Some((now().plus_seconds(-jump), uptime().unwrap()));
                gather.windows.follow_clock(true);
                gather.windows_for_test(batch(before.plus_seconds(f64::from(i)), i == 0));
            }
            gather.current = true;
            gather.step(Envelope::new(Turn(0), batch(now(), false)), &mut emit).unwrap();
            gather.wake(&mut emit).unwrap();
            gather.finish(&mut emit).unwrap();
            assert_eq!(told.iter().map(|w| w.0).sum::<u64>(), 6, "{jump}: {told:?}");
            assert!(told.len() <= 3 && told.iter().all(|w| w.0 > 0 && w.1 == 600.0), "{jump}: {told:?}");
        }
    }

    impl Windower {
        /// As a batch does, at a time when nothing has happened to the clock.
        fn windows_for_test(&mut self, batch: Batch) {
            for (_, traits) in batch.introduced {
                self.windows.add_sensor(traits.clone());
                Arc::make_mut(&mut self.traits).push(traits);
            }
            batch.readings.into_iter().for_each(|r| self.windows.push(r, &mut |_| {}));
        }
    }
}
