//! The timer tool: kitchen timers that run while the program runs. They count with the monotonic clock, so that
//! setting the wall clock moves none of them; they do not survive a restart.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// The most timers that run at once.
pub const MAX_TIMERS: usize = 64;

/// The longest time a timer is set for.
pub const MAX_TIMER: Duration = Duration::from_secs(24 * 3600);

/// A timer that has run out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerDone {
    /// The time it was set for, in words: "10 minutes".
    pub label: String,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    /// In the order in which they run out.
    running: Vec<(Instant, String)>,
}

impl Timers {
    /// Starts a timer and answers its label. `arguments` are known to be numbers.
    pub(super) fn start(&mut self, arguments: &Map<String, Value>, now: Instant) -> Result<String, String> {
        let mut seconds = 0.0;
        let mut words = Vec::new();
        for (key, unit, factor) in [("hours", "hour", 3600.0), ("minutes", "minute", 60.0), ("seconds", "second", 1.0)]
        {
            let count = arguments.get(key).and_then(Value::as_f64).unwrap_or(0.0);
            if count < 0.0 {
                return Err("a timer cannot run for less than no time".to_owned());
            }
            if count > 0.0 {
                seconds += count * factor;
                words.push(format!("{count} {unit}{}", if count == 1.0 { "" } else { "s" }));
            }
        }
        if words.is_empty() {
            return Err("the timer needs a time in hours, minutes or seconds".to_owned());
        }
        if seconds > MAX_TIMER.as_secs_f64() {
            return Err("a timer can run for 24 hours at most".to_owned());
        }
        if self.running.len() >= MAX_TIMERS {
            return Err(format!("{MAX_TIMERS} timers are running already"));
        }
        let due = now + Duration::from_secs_f64(seconds);
        let label = words.join(" ");
        let at = self.running.partition_point(|(other, _)| *other <= due);
        self.running.insert(at, (due, label.clone()));
        Ok(label)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.running.first().map(|(due, _)| *due)
    }

    pub(super) fn due(&mut self, now: Instant) -> Vec<TimerDone> {
        let done = self.running.partition_point(|(due, _)| *due <= now);
        self.running.drain(..done).map(|(_, label)| TimerDone { label }).collect()
    }
}
