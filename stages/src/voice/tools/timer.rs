//! Kitchen timers and alarms that run while the program runs: started, named, paused, changed, cancelled, asked for. They count
//! with the monotonic clock, so that setting the wall clock moves none of them; with a file (`kept.rs`) they survive a restart.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nearfield_base::lists::joined;
use nearfield_home::sentences::Reading;
use serde_json::{Map, Value};

use super::capital;
use super::kept::{Kept, KeptError, KeptTimer};

/// The most timers that run at once.
pub const MAX_TIMERS: usize = 64;

/// The longest time a timer is set for.
pub const MAX_TIMER: Duration = Duration::from_secs(24 * 3600);

/// A wish whose moment was so long ago, while the program was not running, is told and not carried out.
const LATE: Duration = Duration::from_secs(15 * 60);

/// A timer that has run out.
#[derive(Debug, Clone, PartialEq)]
pub struct TimerDone {
    /// The time it was set for, in words: "10 minutes"; of an alarm "07:00".
    pub label: String,
    /// What it is called; of a wish for later, the wish: "turn off the fan".
    pub name: Option<String>,
    /// What is to be done now.
    pub(super) wish: Vec<Reading>,
    /// Whether it ran out long ago, while the program was not running.
    pub(super) missed: bool,
    /// Whether it rings at a time of day.
    pub(super) is_alarm: bool,
}

impl TimerDone {
    /// What is said when it rings.
    pub fn said(&self) -> String {
        match (&self.name, self.missed) {
            (Some(name), true) if !self.wish.is_empty() => {
                format!("I was not running at the time, so I did not {name}.")
            }
            (Some(name), false) if self.is_alarm => format!("It is {}: {name}.", self.label),
            (Some(name), false) => format!("The {name} timer of {} is over.", self.label),
            (None, false) => format!("The timer of {} is over.", self.label),
            (Some(name), true) if self.is_alarm => {
                format!("At {} I was not running: {name}.", self.label)
            }
            (Some(name), true) => format!("The {name} timer of {} ran out while I was not running.", self.label),
            (None, true) => format!("The timer of {} ran out while I was not running.", self.label),
        }
    }
}

/// Which timers are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Which {
    /// All of them.
    pub all: bool,
    /// The one of this name.
    pub name: Option<String>,
    /// The one that was set for so long.
    pub duration: Option<Duration>,
    /// Whether an alarm was spoken of, or a timer; `None` for either.
    pub alarm: Option<bool>,
}

#[derive(Debug, Clone)]
struct Timer {
    label: String,
    name: Option<String>,
    /// Whether it rings at a time of day.
    is_alarm: bool,
    total: Duration,
    /// What is done when it runs out, in place of ringing.
    wish: Vec<Reading>,
    /// Whether it ran out long before the program was started again.
    missed: bool,
    /// The voice that started it and rings it.
    voice: Option<String>,
    /// When it rings, or how much is left of one that is paused.
    due: Due,
}

#[derive(Debug, Clone, Copy)]
enum Due {
    At(Instant),
    Paused(Duration),
}

impl Timer {
    fn new(total: Duration, label: String, name: Option<String>, now: Instant) -> Self {
        let due = Due::At(now + total);
        Self { label, name, is_alarm: false, total, wish: Vec::new(), missed: false, voice: None, due }
    }

    fn left(&self, now: Instant) -> Duration {
        match self.due {
            Due::At(at) => at.saturating_duration_since(now),
            Due::Paused(left) => left,
        }
    }

    /// "the 10-minute timer", "the egg timer"
    fn called(&self) -> String {
        match &self.name {
            Some(name) if !self.wish.is_empty() => format!("the wish to {name}"),
            Some(name) if self.is_alarm => format!("the alarm at {} to {name}", self.label),
            None if self.is_alarm => format!("the alarm at {}", self.label),
            Some(name) => format!("the {name} timer"),
            None => format!("the timer of {}", self.label),
        }
    }

    /// Whether it is a wish for later whose words hold those that were said.
    fn is_wish_for(&self, said: &str) -> bool {
        let is_in = |name: &String| format!(" {} ", name.to_lowercase()).contains(&format!(" {said} "));
        !self.wish.is_empty() && self.name.as_ref().is_some_and(is_in)
    }

    /// Whether it is one of those that were spoken of as alarms, or as timers.
    fn is_called(&self, alarm: bool) -> bool {
        self.is_alarm == alarm && self.wish.is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    /// In the order in which they ring; paused ones in between.
    running: Vec<Timer>,
    /// Where they are kept.
    kept: Option<Kept>,
    /// Whose voice starts the next one, if a voice does.
    pub(super) started_by: Option<String>,
    /// The voices that are running.
    pub(super) voices: Vec<String>,
}

impl Timers {
    /// The timers of a file, which is written at each change from now on. What ran out while the program was not running rings at
    /// once.
    ///
    /// # Errors
    /// The file can't be read or holds something else.
    pub(super) fn open(path: &Path, wall: Timestamp, now: Instant) -> Result<Self, KeptError> {
        let (kept, timers) = Kept::open(path, wall)?;
        let running = timers.into_iter().map(|(timer, overdue)| {
            let left = Duration::from_secs_f64((-overdue).max(0.0));
            Timer {
                due: if timer.paused { Due::Paused(left) } else { Due::At(now + left) },
                missed: overdue > LATE.as_secs_f64(),
                label: timer.label,
                name: timer.name,
                is_alarm: timer.alarm,
                total: Duration::from_secs_f64(timer.total_s),
                wish: timer.wish,
                voice: timer.voice,
            }
        });
        let mut timers = Self { running: running.collect(), kept: Some(kept), ..Self::default() };
        timers.order(now);
        Ok(timers)
    }

    /// Whether they survive a restart.
    pub(super) fn are_kept(&self) -> bool {
        self.kept.is_some()
    }

    fn keep(&self, now: Instant) {
        let Some(kept) = &self.kept else { return };
        let timers = self.running.iter().map(|timer| KeptTimer {
            label: timer.label.clone(),
            name: timer.name.clone(),
            total_s: timer.total.as_secs_f64(),
            left_s: timer.left(now).as_secs_f64(),
            paused: matches!(timer.due, Due::Paused(_)),
            alarm: timer.is_alarm,
            wish: timer.wish.clone(),
            voice: timer.voice.clone(),
        });
        kept.write(timers.collect());
    }

    /// Starts a timer and answers its label. `arguments` are known to be numbers.
    pub(super) fn start(&mut self, arguments: &Map<String, Value>, now: Instant) -> Result<String, String> {
        let mut seconds = 0.0;
        for (key, factor) in [("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0)] {
            let count = arguments.get(key).and_then(Value::as_f64).unwrap_or(0.0);
            if count < 0.0 {
                return Err("a timer cannot run for less than no time".to_owned());
            }
            seconds += count * factor;
        }
        if seconds > MAX_TIMER.as_secs_f64() {
            return Err("a timer can run for 24 hours at most".to_owned());
        }
        let mut words = Vec::new();
        for (key, unit) in [("hours", "hour"), ("minutes", "minute"), ("seconds", "second")] {
            let count = arguments.get(key).and_then(Value::as_f64).unwrap_or(0.0);
            if count > 0.0 {
                words.push(format!("{count} {unit}{}", if count == 1.0 { "" } else { "s" }));
            }
        }
        let timer = Timer::new(Duration::from_secs_f64(seconds), words.join(" "), None, now);
        self.add(timer, now)
    }

    /// Starts a timer for a time and answers its label.
    pub(super) fn start_for(&mut self, time: Duration, name: Option<String>, now: Instant) -> Result<String, String> {
        if time > MAX_TIMER {
            return Err("a timer can run for 24 hours at most".to_owned());
        }
        self.add(Timer::new(time, in_words(time), name, now), now)
    }

    /// Rings at a time of day, which is so far away.
    pub(super) fn ring_at(
        &mut self,
        label: String,
        away: Duration,
        name: Option<String>,
        now: Instant,
    ) -> Result<String, String> {
        if away > 8 * MAX_TIMER {
            return Err("an alarm can be set for the next week at most".to_owned());
        }
        self.add(Timer { is_alarm: true, ..Timer::new(away, label, name, now) }, now)
    }

    /// Has something done after a time: `wish` says what, in words.
    pub(super) fn do_after(
        &mut self,
        time: Duration,
        wish: String,
        readings: Vec<Reading>,
        now: Instant,
    ) -> Result<String, String> {
        if time > 8 * MAX_TIMER {
            return Err("it can wait for a week at most".to_owned());
        }
        self.add(Timer { wish: readings, ..Timer::new(time, in_words(time), Some(wish), now) }, now)
    }

    fn add(&mut self, timer: Timer, now: Instant) -> Result<String, String> {
        let label = timer.label.clone();
        if timer.total.is_zero() || label.is_empty() {
            return Err("the timer needs a time in hours, minutes or seconds".to_owned());
        }
        if let Some(reason) = self.refusal(1) {
            return Err(reason);
        }
        self.running.push(Timer { voice: self.started_by.clone(), ..timer });
        self.order(now);
        self.keep(now);
        Ok(label)
    }

    /// Why so many more can't be started, if they can't.
    pub(super) fn refusal(&self, more: usize) -> Option<String> {
        (self.running.len() + more > MAX_TIMERS).then(|| format!("{MAX_TIMERS} timers are running already"))
    }

    fn order(&mut self, now: Instant) {
        self.running.sort_by_key(|timer| timer.left(now));
    }

    /// Those that are meant; a sentence where none is, or where one of several was not named.
    fn meant(&self, which: &Which) -> Result<Vec<usize>, String> {
        if self.running.is_empty() {
            return Err("There is no timer running.".to_owned());
        }
        let folded = |name: &str| name.to_lowercase();
        let found: Vec<usize> = (0..self.running.len())
            .filter(|at| {
                let timer = &self.running[*at];
                let named = which.name.as_ref().is_none_or(|name| {
                    timer
                        .name
                        .as_ref()
                        .is_some_and(|own| folded(own).contains(&folded(name)) || folded(name).contains(&folded(own)))
                });
                named && which.duration.is_none_or(|time| timer.total == time)
            })
            .collect();
        let is_named = which.name.is_some() || which.duration.is_some();
        let found = match which.alarm {
            Some(alarm) if !is_named => self.called_so(found, alarm),
            _ => found,
        };
        match found.len() {
            0 => Err("There is no such timer.".to_owned()),
            1 => Ok(found),
            _ if which.all => Ok(found),
            _ if is_named => Ok(vec![found[0]]),
            count => {
                let names: Vec<String> = found.iter().map(|at| self.running[*at].called()).collect();
                Err(format!("There are {count} timers: {}. Which one?", joined(&names)))
            }
        }
    }

    /// Of some those that are called alarms, or timers: each for want of the other, and a wish for later for want of both.
    fn called_so(&self, found: Vec<usize>, alarm: bool) -> Vec<usize> {
        let of = |is: &dyn Fn(&Timer) -> bool| -> Vec<usize> {
            found.iter().copied().filter(|at| is(&self.running[*at])).collect()
        };
        let (exactly, nearly) = (of(&|timer| timer.is_called(alarm)), of(&|timer| timer.wish.is_empty()));
        match (exactly.is_empty(), nearly.is_empty()) {
            (false, _) => exactly,
            (true, false) => nearly,
            (true, true) => found,
        }
    }

    /// Whether a wish for later is about what was said.
    pub(super) fn has_wish(&self, said: &str) -> bool {
        self.running.iter().any(|timer| timer.is_wish_for(said))
    }

    /// Drops the wishes for later that are about what was said, and says so.
    pub(super) fn call_off(&mut self, said: &str, now: Instant) -> String {
        let (gone, running): (Vec<Timer>, Vec<Timer>) =
            std::mem::take(&mut self.running).into_iter().partition(|timer| timer.is_wish_for(said));
        self.running = running;
        self.keep(now);
        let names: Vec<String> = gone.iter().filter_map(|timer| timer.name.clone()).collect();
        format!("I will not {}.", nearfield_home::spoken::write::or(&names))
    }

    /// Ends timers before they ring; answers a sentence.
    pub(super) fn cancel(&mut self, which: &Which, now: Instant) -> String {
        match self.meant(which) {
            Err(said) => said,
            Ok(found) => {
                let names = self.names(&found);
                let mut at = 0;
                self.running.retain(|_| {
                    at += 1;
                    !found.contains(&(at - 1))
                });
                self.keep(now);
                format!("I cancelled {names}.")
            }
        }
    }

    /// Stops timers, which can go on later.
    pub(super) fn pause(&mut self, which: &Which, now: Instant) -> String {
        self.each(which, "paused", now, |timer| {
            timer.due = Due::Paused(timer.left(now));
        })
    }

    /// Lets paused timers go on.
    pub(super) fn resume(&mut self, which: &Which, now: Instant) -> String {
        self.each(which, "resumed", now, |timer| {
            timer.due = Due::At(now + timer.left(now));
        })
    }

    /// Makes a timer longer, or with negative seconds shorter.
    pub(super) fn change(&mut self, which: &Which, seconds: f64, now: Instant) -> String {
        let found = match self.meant(which) {
            Err(said) => return said,
            Ok(found) => found,
        };
        for at in &found {
            let timer = &mut self.running[*at];
            let left = (timer.left(now).as_secs_f64() + seconds).clamp(0.0, MAX_TIMER.as_secs_f64());
            let left = Duration::from_secs_f64(left);
            timer.due = match timer.due {
                Due::At(_) => Due::At(now + left),
                Due::Paused(_) => Due::Paused(left),
            };
        }
        let timer = &self.running[found[0]];
        let said = format!("{} has {} left.", capital(&timer.called()), in_words(timer.left(now)));
        self.order(now);
        self.keep(now);
        said
    }

    /// How much is left.
    pub(super) fn status(&self, which: &Which, now: Instant) -> String {
        let which = Which { all: true, ..which.clone() };
        match self.meant(&which) {
            Err(said) => said,
            Ok(found) => {
                let told = found.iter().map(|at| {
                    let timer = &self.running[*at];
                    let paused = if matches!(timer.due, Due::Paused(_)) { " and is paused" } else { "" };
                    format!("{} has {} left{paused}", timer.called(), in_words(timer.left(now)))
                });
                capital(&format!("{}.", joined(&told.collect::<Vec<_>>())))
            }
        }
    }

    fn each(&mut self, which: &Which, deed: &str, now: Instant, act: impl Fn(&mut Timer)) -> String {
        match self.meant(which) {
            Err(said) => said,
            Ok(found) => {
                let names = self.names(&found);
                found.iter().for_each(|at| act(&mut self.running[*at]));
                self.order(now);
                self.keep(now);
                format!("I {deed} {names}.")
            }
        }
    }

    fn names(&self, found: &[usize]) -> String {
        joined(&found.iter().map(|at| self.running[*at].called()).collect::<Vec<_>>())
    }

    /// Whether any is running, and not paused.
    pub(super) fn is_any_running(&self) -> bool {
        self.next_of(&|_| true).is_some()
    }

    /// When the next one of those rings whose voice is wanted.
    pub(super) fn next_of(&self, is_wanted: &dyn Fn(Option<&str>) -> bool) -> Option<Instant> {
        let wanted = self.running.iter().filter(|timer| is_wanted(timer.voice.as_deref()));
        let due = wanted.filter_map(|timer| match timer.due {
            Due::At(at) => Some(at),
            Due::Paused(_) => None,
        });
        due.min()
    }

    /// Takes those that have run out by `now`, of the voices and with the times that are wanted.
    pub(super) fn due(&mut self, now: Instant, is_wanted: &dyn Fn(Option<&str>, Instant) -> bool) -> Vec<TimerDone> {
        let is_due =
            |timer: &Timer| matches!(timer.due, Due::At(at) if at <= now && is_wanted(timer.voice.as_deref(), at));
        let (done, running): (Vec<Timer>, Vec<Timer>) = std::mem::take(&mut self.running).into_iter().partition(is_due);
        self.running = running;
        if !done.is_empty() {
            self.keep(now);
        }
        let over = |timer: Timer| TimerDone {
            label: timer.label,
            name: timer.name,
            wish: timer.wish,
            missed: timer.missed,
            is_alarm: timer.is_alarm,
        };
        done.into_iter().map(over).collect()
    }
}

/// "1 hour 30 minutes", "45 seconds"; rounded to whole seconds.
pub(super) fn in_words(time: Duration) -> String {
    let whole = time.as_secs_f64().round() as u64;
    let parts = [(whole / 3600, "hour"), (whole / 60 % 60, "minute"), (whole % 60, "second")];
    let words: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() { "0 seconds".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn timers_are_named_paused_changed_cancelled_and_asked_for() {
        let (mut timers, start) = (Timers::default(), Instant::now());
        let any = Which::default();
        assert_eq!(timers.status(&any, start), "There is no timer running.");
        timers.start_for(minutes(10), None, start).unwrap();
        timers.start_for(minutes(5), Some("egg".to_owned()), start).unwrap();
        let egg = Which { name: Some("egg".to_owned()), ..Which::default() };
        assert_eq!(timers.status(&egg, start + minutes(1)), "The egg timer has 4 minutes left.");
        assert_eq!(
            timers.cancel(&any, start),
            "There are 2 timers: the egg timer and the timer of 10 minutes. Which one?",
            "of several one must be named"
        );
        assert_eq!(timers.pause(&egg, start + minutes(1)), "I paused the egg timer.");
        assert_eq!(timers.next_of(&|_| true), Some(start + minutes(10)));
        assert_eq!(timers.change(&egg, 30.0, start + minutes(3)), "The egg timer has 4 minutes 30 seconds left.");
        assert_eq!(timers.resume(&egg, start + minutes(3)), "I resumed the egg timer.");
        assert_eq!(timers.next_of(&|_| true), Some(start + minutes(7) + Duration::from_secs(30)));
        let ten = Which { duration: Some(minutes(10)), ..Which::default() };
        assert_eq!(timers.cancel(&ten, start), "I cancelled the timer of 10 minutes.");
        let done = timers.due(start + minutes(8), &|_, _| true);
        assert_eq!(done[0].said(), "The egg timer of 5 minutes is over.");
        assert_eq!((done.len(), timers.is_any_running()), (1, false));
    }

    #[test]
    fn an_alarm_is_told_from_timers_and_from_wishes() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let off =
            Reading { intent: "TurnOn".to_owned(), targets: vec!["switch.coffee".to_owned()], ..Reading::default() };
        for count in [5, 10, 15] {
            timers.start_for(minutes(count), None, now).unwrap();
        }
        timers.ring_at("07:00".to_owned(), minutes(600), None, now).unwrap();
        timers.do_after(minutes(20), "turn on the coffee machine".to_owned(), vec![off], now).unwrap();
        let (alarm, timer) =
            (Which { alarm: Some(true), ..Which::default() }, Which { alarm: Some(false), ..Which::default() });
        assert!(timers.cancel(&timer, now).starts_with("There are 3 timers"));
        assert_eq!(timers.cancel(&alarm, now), "I cancelled the alarm at 07:00.");
        assert!(timers.has_wish("coffee machine") && !timers.has_wish("fee mach"));
        assert_eq!(timers.call_off("coffee machine", now), "I will not turn on the coffee machine.");
        assert!(!timers.has_wish("coffee machine"));
        assert_eq!(timers.running.len(), 3);
        // With one of each kind, each is called by its kind.
        timers.cancel(&Which { all: true, ..timer.clone() }, now);
        timers.start_for(minutes(5), None, now).unwrap();
        timers
            .ring_at("20:00 on Thursday".to_owned(), minutes(600), Some("take out the bins".to_owned()), now)
            .unwrap();
        assert_eq!(timers.cancel(&timer, now), "I cancelled the timer of 5 minutes.");
        let rung = timers.due(now + minutes(600), &|_, _| true);
        assert_eq!(rung[0].said(), "It is 20:00 on Thursday: take out the bins.");
    }

    #[test]
    fn timers_and_wishes_survive_a_restart_and_what_was_missed_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timers.json");
        let (wall, start) = (Timestamp::now(), Instant::now());
        let later = |minutes: i64| wall + jiff::SignedDuration::from_mins(minutes);
        let mut timers = Timers::open(&path, wall, start).unwrap();
        let off = Reading { intent: "TurnOff".to_owned(), targets: vec!["fan.hall".to_owned()], ..Reading::default() };
        timers.do_after(minutes(10), "turn off the fan".to_owned(), vec![off.clone()], start).unwrap();
        timers.start_for(minutes(30), Some("egg".to_owned()), start).unwrap();
        timers.start_for(minutes(60), None, start).unwrap();
        timers.pause(&Which { duration: Some(minutes(60)), ..Which::default() }, start);
        // Three minutes later the program runs again: all three are there, with what is left of each.
        let mut again = Timers::open(&path, later(3), start).unwrap();
        let all = Which { all: true, ..Which::default() };
        let said = again.status(&all, start);
        assert!(said.starts_with("The wish to turn off the fan has 7 minutes left"), "{said}");
        assert!(
            said.contains("the egg timer has 27 minutes left") && said.contains("1 hour left and is paused"),
            "{said}"
        );
        let done = again.due(start + minutes(8), &|_, _| true);
        assert_eq!((done.len(), &done[0].wish[..], done[0].missed), (1, &[off][..], false));
        assert_eq!(Timers::open(&path, wall, start).unwrap().running.len(), 2, "what was done is not kept");
        // A wish that is some minutes late is carried out; one that is hours late is told.
        let late = |after: i64| {
            timers.keep(start);
            Timers::open(&path, later(after), start).unwrap().due(start, &|_, _| true)
        };
        let (soon, hours) = (late(20), late(300));
        assert_eq!((soon.len(), soon[0].missed), (1, false));
        assert_eq!(hours[0].said(), "I was not running at the time, so I did not turn off the fan.");
        assert_eq!(hours[1].said(), "The egg timer of 30 minutes ran out while I was not running.");
        // A clock that was set back makes no timer longer.
        timers.keep(start);
        let back = Timers::open(&path, later(-600), start).unwrap().status(&all, start);
        assert!(back.starts_with("The wish to turn off the fan has 10 minutes left"), "{back}");
    }

    #[test]
    fn a_file_that_holds_no_timers_is_named_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timers.json");
        let timer =
            |left: &str| format!(r#"{{"written": 0, "timers": [{{"label": "x", "total_s": 60, "left_s": {left}}}]}}"#);
        for text in ["[]", "{", &timer("-1"), &timer("1e300"), &timer("\"soon\"")] {
            std::fs::write(&path, text).unwrap();
            let error = Timers::open(&path, Timestamp::now(), Instant::now()).unwrap_err().to_string();
            assert!(
                error.contains("timers.json") && error.ends_with("repair the file or remove it"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_timer_of_nothing_or_of_days_is_refused() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        assert!(timers.start_for(Duration::ZERO, None, now).unwrap_err().contains("needs a time"));
        assert!(timers.start_for(25 * minutes(60), None, now).unwrap_err().contains("24 hours"));
        for _ in 0..MAX_TIMERS {
            timers.start_for(minutes(1), None, now).unwrap();
        }
        assert!(timers.start_for(minutes(1), None, now).unwrap_err().contains("running already"));
    }
}
