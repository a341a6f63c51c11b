//! Reports at set times: windows that are over wait until the schedule says so. Without a schedule nobody waits.
//!
//! The times are those of the wall clock, which may be set (a board without a clock of its own starts in 1970) and drifts from the
//! clock that waits are timed by: it is read again every half minute.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use nearfield_telemetry::window::Length;

use crate::flow::{Emit, Stage};
use crate::messages::{Envelope, WindowSummary};

/// Windows that wait at most; the oldest is told early when there are more, never dropped.
const MAX_WAITING: usize = 96;

/// How often the wall clock is read.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// When reports are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// When their window is over.
    AtOnce,
    /// Every day at this time of day (hour, minute).
    Daily(i8, i8),
    /// So often, counted from midnight.
    Every(Length),
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a schedule: write \"daily at 07:00\", \"every 1h\", or leave it empty");
        let text = text.trim();
        if text.is_empty() {
            return Ok(Schedule::AtOnce);
        }
        if let Some(time) = text.strip_prefix("daily at ") {
            let (hour, minute) = time.trim().split_once(':').ok_or_else(wrong)?;
            let (hour, minute): (i8, i8) = (hour.parse().map_err(|_| wrong())?, minute.parse().map_err(|_| wrong())?);
            if !(0..24).contains(&hour) || !(0..60).contains(&minute) {
                return Err(wrong());
            }
            return Ok(Schedule::Daily(hour, minute));
        }
        let length = text.strip_prefix("every ").ok_or_else(wrong)?;
        Ok(Schedule::Every(length.parse().map_err(|_| wrong())?))
    }
}

impl Schedule {
    /// The first time after `now` at which reports are due; `None` when they never wait.
    pub fn next(self, now: &Zoned) -> Option<Zoned> {
        match self {
            Schedule::AtOnce => None,
            Schedule::Daily(hour, minute) => {
                let on = |day: jiff::civil::Date| day.at(hour, minute, 0, 0).to_zoned(now.time_zone().clone()).ok();
                let today = on(now.date())?;
                if today > *now { Some(today) } else { on(now.date().tomorrow().ok()?) }
            }
            Schedule::Every(Length::Months(months)) => {
                let first = now.first_of_month().ok()?.start_of_day().ok()?;
                first.checked_add(i64::from(months).months()).ok()
            }
            Schedule::Every(Length::Days(days)) => now.start_of_day().ok()?.checked_add(i64::from(days).days()).ok(),
            Schedule::Every(Length::Seconds(step)) => {
                let midnight = now.start_of_day().ok()?;
                let since = now.timestamp().as_second() - midnight.timestamp().as_second();
                let next = (since / i64::from(step) + 1) * i64::from(step);
                let next = midnight.checked_add(next.seconds()).ok()?;
                Some(next.min(now.tomorrow().ok()?.start_of_day().ok()?))
            }
        }
    }
}

/// The stage.
pub struct Scheduler {
    schedule: Schedule,
    zone: TimeZone,
    waiting: VecDeque<Envelope<WindowSummary>>,
    due: Option<Zoned>,
    wake: Option<Instant>,
}

impl Scheduler {
    /// By `schedule`, in the time of `zone`.
    pub fn new(schedule: Schedule, zone: TimeZone) -> Scheduler {
        let mut scheduler = Scheduler { schedule, zone, waiting: VecDeque::new(), due: None, wake: None };
        scheduler.look(&scheduler.now());
        scheduler
    }

    fn now(&self) -> Zoned {
        jiff::Timestamp::now().to_zoned(self.zone.clone())
    }

    /// Whether what waits is due, now that the wall clock says `now`; plans the next look.
    fn look(&mut self, now: &Zoned) -> bool {
        let is_due = self.due.as_ref().is_some_and(|due| now >= due);
        // Also where nothing is due: the clock may have been set back.
        self.due = self.schedule.next(now);
        self.wake = self.due.as_ref().map(|due| {
            let left = due.timestamp().duration_since(now.timestamp());
            Instant::now() + Duration::try_from(left).map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN))
        });
        is_due
    }

    fn release(&mut self, emit: &mut Emit<'_, WindowSummary>) {
        for summary in self.waiting.drain(..) {
            if emit(summary).is_break() {
                return;
            }
        }
    }
}

impl Stage for Scheduler {
    type In = WindowSummary;
    type Out = WindowSummary;

    fn name(&self) -> &'static str {
        "schedule"
    }

    fn step(&mut self, input: Envelope<WindowSummary>, emit: &mut Emit<'_, WindowSummary>) -> anyhow::Result<()> {
        self.waiting.push_back(input);
        if self.due.is_none() {
            self.release(emit);
        }
        while self.waiting.len() > MAX_WAITING {
            let oldest = self.waiting.pop_front().expect("it holds more than none");
            let _ = emit(oldest);
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Instant> {
        self.wake
    }

    fn wake(&mut self, emit: &mut Emit<'_, WindowSummary>) -> anyhow::Result<()> {
        if self.look(&self.now()) {
            self.release(emit);
        }
        Ok(())
    }

    fn finish(&mut self, emit: &mut Emit<'_, WindowSummary>) -> anyhow::Result<()> {
        self.release(emit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_that_of_the_calendar_when_the_clocks_change_too() {
        let next = |schedule: &str, now: &str| {
            let now: Zoned = now.parse().unwrap();
            schedule.parse::<Schedule>().unwrap().next(&now).map(|z| z.timestamp().to_string())
        };
        for (schedule, now, due) in [
            ("daily at 07:00", "2026-11-20T06:59:00[Europe/Berlin]", "2026-11-20T06:00:00Z"),
            ("daily at 07:00", "2026-11-20T07:00:00[Europe/Berlin]", "2026-11-21T06:00:00Z"),
            ("daily at 07:00", "2026-10-24T08:00:00[Europe/Berlin]", "2026-10-25T06:00:00Z"),
            ("daily at 07:00", "2026-03-28T08:00:00[Europe/Berlin]", "2026-03-29T05:00:00Z"),
            ("every 1h", "2026-11-20T06:59:00[UTC]", "2026-11-20T07:00:00Z"),
            ("every 7h", "2026-11-20T22:00:00[UTC]", "2026-11-21T00:00:00Z"),
            ("every 1d", "2026-11-20T22:00:00[UTC]", "2026-11-21T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, now).as_deref(), Some(due), "{schedule} after {now}");
        }
        assert_eq!(next("", "2026-11-20T06:59:00[UTC]"), None);
        for wrong in ["daily", "daily at 25:00", "daily at seven", "every", "every 0h", "hourly"] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_clock_that_is_set_moves_what_is_due() {
        let at = |text: &str| format!("{text}[Europe/Berlin]").parse::<Zoned>().unwrap();
        let mut scheduler = Scheduler::new(Schedule::Daily(7, 0), TimeZone::get("Europe/Berlin").unwrap());
        scheduler.due = None;
        let due = |scheduler: &Scheduler| scheduler.due.as_ref().unwrap().timestamp().to_string();
        for (now, is_due, next) in [
            ("1970-01-01T01:00:12", false, "1970-01-01T06:00:00Z"),
            // NTP has set it; what has waited since then waits no longer.
            ("2026-06-15T10:00:00", true, "2026-06-16T05:00:00Z"),
            ("2026-06-15T10:00:30", false, "2026-06-16T05:00:00Z"),
            ("2026-06-16T06:59:59", false, "2026-06-16T05:00:00Z"),
            ("2026-06-16T07:00:00", true, "2026-06-17T05:00:00Z"),
            // Back by a minute and a half: the same time comes again, and what is over by then is due.
            ("2026-06-16T06:58:40", false, "2026-06-16T05:00:00Z"),
            ("2026-06-16T07:00:10", true, "2026-06-17T05:00:00Z"),
            // Back by years.
            ("2026-01-01T00:00:00", false, "2026-01-01T06:00:00Z"),
        ] {
            assert_eq!((scheduler.look(&at(now)), due(&scheduler).as_str()), (is_due, next), "{now}");
            let wake = scheduler.wake_at().unwrap().saturating_duration_since(Instant::now());
            assert!(wake <= LOOK_AGAIN, "{now}");
        }
    }
}
