//! From readings in any order to closed windows: put in the order of time, told apart from repetitions, gathered for each
//! window and sensor, compared with what was before. In bounded memory, without a clock.
//!
//! The watermark, the time up to which readings are complete, closes windows. Where readings come as they are taken, whoever calls
//! moves it by the clock ([`Windows::follow_clock`]), and no reading does. Else it follows the readings at the distance of the
//! allowed lateness: not the newest of them, but the time that the sensors heard last agree on, so that one sensor that is ahead
//! of the others does not close their windows. A reading counts as long as its window is open; later it is counted as late. A
//! few readings that lie far away from all others (a clock that jumped) are set aside; several in a row are believed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use super::anomaly::{self, Anomaly, AnomalyOptions, DAY_PARTS, DayProfile};
use super::statistics::{Statistics, Tally};
use super::track::Track;
use super::window::WindowPlan;
use super::{Moment, Reading, SensorId, SensorTraits, Span};

/// Windows without any reading that are told one by one; a longer absence is told in one line.
const MAX_EMPTY_WINDOWS: usize = 3;
/// The readings whose sensors must agree on what time it is.
const RECENT: usize = 16;
/// A sensor is silent when another gives so many readings after its last.
const SILENT: usize = 3;
/// Readings in a row that must agree on a far time before it is believed.
const AGREEING: usize = 8;
/// Windows kept of a sensor for comparison: a day of sliding windows and one.
const MAX_PAST: usize = 128;

/// How readings become windows.
#[derive(Clone, Debug)]
pub struct WindowsOptions {
    /// The grid.
    pub plan: WindowPlan,
    /// How much later than the newest a reading may come, in seconds; `None`: as late as the room for waiting readings allows,
    /// which sorts a file.
    pub lateness_seconds: Option<f64>,
    /// Readings that may wait for older ones; when there are more, the oldest is taken as complete.
    pub waiting: usize,
    /// A reading farther away than this, in seconds, is not believed before others agree.
    pub clock_jump_seconds: f64,
    /// A few readings after this, at the end of the input, are not believed; `None`: nobody knows what time it is.
    pub latest: Option<Moment>,
    /// Readings come once: a store has passed over repetitions. Then one that is late but whose window is open is certainly new.
    pub distinct: bool,
    /// What an earlier run has reported may come again, as from a file that is read from its beginning.
    pub rereads: bool,
    /// When something is out of the ordinary.
    pub anomalies: AnomalyOptions,
}

/// What was not used, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// Came after their window was closed.
    pub late: u64,
    /// Same sensor, same time as another: the first one counts.
    pub duplicates: u64,
    /// A time far away that no other reading agreed with.
    pub implausible_times: u64,
}

/// What was not used of one sensor, where its time was the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnusedOf {
    /// Came after their window was closed.
    pub late: u64,
    /// A time far away that no other reading agreed with.
    pub implausible_times: u64,
}

/// One sensor in a closed window.
#[derive(Clone, Debug)]
pub struct SensorSummary {
    /// Which.
    pub sensor: SensorId,
    /// Its figures; `None` when it gave no readings.
    pub statistics: Option<Statistics>,
    /// Mean against the window before.
    pub change: Option<f64>,
    /// Mean against the same window of the day before.
    pub change_from_day_before: Option<f64>,
    /// The usual time between two readings, in seconds.
    pub usual_pause: Option<f64>,
    /// What was out of the ordinary, in the order of time.
    pub anomalies: Vec<Anomaly>,
    /// Times out of limits beyond those among the anomalies.
    pub more_out_of_limits: u64,
    /// Its course, for plots.
    pub track: Track,
}

/// A closed window.
#[derive(Clone, Debug)]
pub struct ClosedWindow {
    /// From its beginning to its end.
    pub span: Span,
    /// Every sensor that is known by then, in the order of the roster.
    pub sensors: Vec<SensorSummary>,
    /// What was not used since the last window was closed.
    pub unused: Unused,
    /// The same by sensor, where its time was the reason.
    pub unused_of: BTreeMap<SensorId, UnusedOf>,
    /// Empty windows before this one that are not told one by one.
    pub skipped: u64,
    /// Whether the input ended before the window did.
    pub cut_short: bool,
}

impl ClosedWindow {
    /// Readings in it.
    pub fn readings(&self) -> u64 {
        self.sensors.iter().filter_map(|s| s.statistics.as_ref()).map(|s| s.count).sum()
    }
}

/// A window's mean, kept for comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PastMean {
    span: Span,
    mean: f64,
}

/// What is remembered of a sensor from window to window.
#[derive(Clone, Debug, Default)]
struct Memory {
    traits: SensorTraits,
    past: VecDeque<PastMean>,
    profile: DayProfile,
    usual_pause: Option<f64>,
    last: Option<Moment>,
}

struct OpenWindow {
    span: Span,
    tallies: HashMap<SensorId, Tally>,
}

/// The engine.
pub struct Windows {
    options: WindowsOptions,
    memories: Vec<Memory>,
    open: VecDeque<OpenWindow>,
    /// Where the next window begins, once the first reading is known.
    next_start: Option<Moment>,
    waiting: BTreeMap<(Moment, SensorId), f64>,
    newest: Option<Moment>,
    /// The sensors heard last, and their times.
    recent: VecDeque<(SensorId, Moment)>,
    /// Whoever calls moves the watermark.
    by_clock: bool,
    /// All readings up to here have been handed on.
    complete: Option<Moment>,
    /// The last reading that was gathered, and how many in a row lie close together.
    gathered: Option<(Moment, usize)>,
    /// Readings far ahead, in a row.
    ahead: Vec<Reading>,
    /// Readings far behind, in a row.
    behind: usize,
    unused: Unused,
    unused_of: BTreeMap<SensorId, UnusedOf>,
    skipped: u64,
    /// Windows up to here are not told.
    reported: Option<Moment>,
    /// An earlier run has reported up to here.
    resumed: Option<Moment>,
}

impl Windows {
    /// Without any reading yet.
    pub fn new(options: WindowsOptions) -> Windows {
        Windows {
            options,
            memories: Vec::new(),
            open: VecDeque::new(),
            next_start: None,
            waiting: BTreeMap::new(),
            newest: None,
            recent: VecDeque::new(),
            by_clock: false,
            complete: None,
            gathered: None,
            ahead: Vec::new(),
            behind: 0,
            unused: Unused::default(),
            unused_of: BTreeMap::new(),
            skipped: 0,
            reported: None,
            resumed: None,
        }
    }

    /// Introduces the next sensor of the roster; its number follows that of the one before.
    pub fn add_sensor(&mut self, traits: SensorTraits) -> SensorId {
        self.memories.push(Memory { traits, ..Memory::default() });
        SensorId(self.memories.len() as u32 - 1)
    }

    /// How many sensors are known.
    pub fn sensors(&self) -> usize {
        self.memories.len()
    }

    /// Windows that end at or before `end` have been reported already and are not told again. Answers from when on readings are
    /// still of use: to complete what was open, and to compare it with the window and the day before.
    pub fn resume_after(&mut self, end: Moment) -> Moment {
        let plan = &self.options.plan;
        let day_before = plan.day_before(plan.windows_at(end).first().map_or(end, |w| w.from));
        let of_use = plan.windows_at(Moment(day_before.0 - 1)).first().map_or(day_before, |w| w.from);
        (self.reported, self.resumed) = (Some(end), Some(end));
        self.complete = Some(Moment(of_use.0 - 1));
        of_use
    }

    /// The end of the window that closes next, if one is open.
    pub fn next_end(&self) -> Option<Moment> {
        self.open.front().map(|w| w.span.to)
    }

    /// Whether the watermark is moved by the clock, with [`Windows::complete_up_to`], and not by the readings.
    pub fn follow_clock(&mut self, by_clock: bool) {
        self.by_clock = by_clock;
    }

    /// Counts readings that came again.
    pub fn count_duplicates(&mut self, n: u64) {
        self.unused.duplicates += n;
    }

    /// This machine's clock has been set: it said `before` and says `now`. What was gathered keeps its time. Windows that end in
    /// between, or that begin after `now`, close as they are; none is made up for a time that has not passed.
    pub fn clock_was_set(&mut self, before: Moment, now: Moment, closed: &mut dyn FnMut(ClosedWindow)) {
        // Whatever waits was taken by the old time.
        let newest = self.waiting.last_key_value().map_or(before, |((at, _), _)| before.max(*at));
        self.complete_up_to(newest, closed);
        let (mut stay, mut close) = (VecDeque::new(), Vec::new());
        for window in self.open.drain(..) {
            let stays = window.span.from <= now && now < window.span.to;
            if stays { stay.push_back(window) } else { close.push(window) }
        }
        self.open = stay;
        for window in close {
            let end = window.span.to.min(before);
            let cut_short = end < window.span.to;
            self.tell(window, end, cut_short, closed);
        }
        let plan = &self.options.plan;
        let first = plan.windows_at(now).first().map(|w| w.from);
        if self.next_start.is_some() {
            self.next_start = match self.open.back() {
                Some(last) => Some(plan.next_start(last.span.from)),
                None => first,
            };
        }
        if now < before {
            self.complete = None;
            self.newest = Some(now);
            if let (Some(reported), Some(first)) = (self.reported, first) {
                self.reported = Some(reported.min(first));
            }
        }
        self.recent.clear();
        self.gathered = None;
    }

    /// Takes a reading; windows that it completes go to `closed`.
    ///
    /// # Panics
    /// If its sensor has not been introduced.
    pub fn push(&mut self, reading: Reading, closed: &mut dyn FnMut(ClosedWindow)) {
        assert!((reading.sensor.0 as usize) < self.memories.len(), "a reading's sensor has been introduced");
        let jump = self.options.clock_jump_seconds;
        if let Some(newest) = self.newest.filter(|_| !self.by_clock)
            && reading.at.seconds_since(newest) > jump
        {
            self.ahead.push(reading);
            if self.ahead.len() >= AGREEING {
                self.believe_those_ahead(closed);
            }
            return;
        }
        for alone in std::mem::take(&mut self.ahead) {
            self.set_aside(alone.sensor);
        }
        self.admit(reading, closed);
    }

    fn set_aside(&mut self, sensor: SensorId) {
        self.unused.implausible_times += 1;
        self.unused_of.entry(sensor).or_default().implausible_times += 1;
    }

    /// Readings before this are of windows that are closed.
    fn floor(&self) -> Option<Moment> {
        let begins = self.open.front().map(|w| w.span.from).or(self.next_start);
        begins.or_else(|| self.complete.map(|complete| Moment(complete.0 + 1)))
    }

    fn admit(&mut self, reading: Reading, closed: &mut dyn FnMut(ClosedWindow)) {
        let Reading { at, sensor, value } = reading;
        let is_complete = self.complete.is_some_and(|complete| at <= complete);
        if is_complete || self.floor().is_some_and(|floor| at < floor) {
            let last = self.memories[sensor.0 as usize].last;
            let is_open = self.floor().is_some_and(|floor| at >= floor);
            let tally = self.open.iter().find_map(|w| w.tallies.get(&sensor));
            if is_open && tally.is_some_and(|t| t.track().holds(at)) {
                self.unused.duplicates += 1;
                return;
            }
            if is_open && (self.options.distinct || last.is_none_or(|last| at > last)) {
                // The window is open still, and the reading has not been in it.
                self.gather(reading, closed);
                return;
            }
            let known = self.newest.or(self.complete);
            let far = known.is_some_and(|k| k.seconds_since(at) > self.options.clock_jump_seconds);
            self.behind = if far { self.behind + 1 } else { 0 };
            if self.behind < AGREEING * 8 || self.options.lateness_seconds.is_none() || self.by_clock {
                if self.options.rereads && self.resumed.is_some_and(|resumed| at < resumed) {
                    self.unused.duplicates += 1;
                } else {
                    self.unused.late += 1;
                    self.unused_of.entry(sensor).or_default().late += 1;
                }
                return;
            }
            // The clock has been set back for good: what is open ends here, and time begins anew.
            self.close_all(false, closed);
            (self.newest, self.complete, self.next_start, self.behind) = (None, None, None, 0);
            (self.gathered, self.recent) = (None, VecDeque::new());
            // What was reported was of a time that never was.
            self.reported = None;
        }
        self.behind = 0;
        match self.waiting.entry((at, sensor)) {
            Entry::Vacant(place) => _ = place.insert(value),
            Entry::Occupied(_) => self.unused.duplicates += 1,
        }
        self.newest = Some(self.newest.map_or(at, |newest| newest.max(at)));
        if let Some(lateness) = self.options.lateness_seconds.filter(|_| !self.by_clock) {
            self.recent.push_back((sensor, at));
            self.recent.keep_last(RECENT);
            self.complete_up_to(self.agreed_time().plus_seconds(-lateness), closed);
        }
        while self.waiting.len() > self.options.waiting {
            let oldest = self.waiting.first_key_value().expect("it holds more than none").0.0;
            self.complete_up_to(oldest, closed);
        }
    }

    /// The time that half of the sensors heard last have reached.
    fn agreed_time(&self) -> Moment {
        let mut newest: Vec<(SensorId, Moment, usize)> = Vec::with_capacity(RECENT);
        for &(sensor, at) in self.recent.iter().rev() {
            // Who has been silent while another spoke so often has no say.
            let is_silent = newest.iter().any(|(.., n)| *n >= SILENT);
            match newest.iter_mut().find(|(s, ..)| *s == sensor) {
                Some((_, before, n)) => (*before, *n) = (at.max(*before), *n + 1),
                None if is_silent => {}
                None => newest.push((sensor, at, 1)),
            }
        }
        newest.sort_unstable_by_key(|(_, at, _)| std::cmp::Reverse(*at));
        newest.get(newest.len() / 2).map_or(Moment(i64::MIN), |(_, at, _)| *at)
    }

    fn believe_those_ahead(&mut self, closed: &mut dyn FnMut(ClosedWindow)) {
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.sort_unstable_by_key(|r| r.at);
        for reading in ahead {
            self.admit(reading, closed);
        }
    }

    /// Time has passed although no reading came: everything up to `moment` is complete.
    pub fn complete_up_to(&mut self, moment: Moment, closed: &mut dyn FnMut(ClosedWindow)) {
        if self.complete.is_some_and(|complete| moment <= complete) {
            return;
        }
        self.complete = Some(moment);
        let until = self.gather_up_to(moment, closed);
        self.close_up_to(until, closed);
    }

    /// Gathers what waits up to `moment`; answers up to when windows are over, which a time that nobody believes does not decide.
    fn gather_up_to(&mut self, moment: Moment, closed: &mut dyn FnMut(ClosedWindow)) -> Moment {
        let mut until = moment;
        while let Some((&(at, sensor), _)) = self.waiting.first_key_value() {
            if at > moment {
                break;
            }
            let alone = self.alone(at, moment);
            for _ in 0..alone {
                let ((at, sensor), _) = self.waiting.pop_first().expect("those alone wait");
                self.set_aside(sensor);
                if let Some((last, _)) = self.gathered.filter(|(last, _)| !self.by_clock && *last < at) {
                    until = last;
                }
            }
            if alone == 0 {
                let (_, value) = self.waiting.pop_first().expect("its first has just been seen");
                self.gather(Reading { at, sensor, value }, closed);
                until = moment;
            }
        }
        until
    }

    /// How many readings from `at`, the first that waits, lie far from those before and from all that is known after, and are
    /// too few to be believed.
    fn alone(&self, at: Moment, moment: Moment) -> usize {
        let jump = self.options.clock_jump_seconds;
        let before = self.gathered;
        if before.is_some_and(|(last, _)| at.seconds_since(last) <= jump) {
            return 0;
        }
        let (mut few, mut last, mut others) = (0, at, 0);
        for &(next, _) in self.waiting.keys().take(2 * AGREEING) {
            if others == 0 && next.seconds_since(last) <= jump {
                few += 1;
                last = next;
            } else if others == 0 || next.seconds_since(last) <= jump {
                others += 1;
                last = next;
            } else {
                break;
            }
        }
        let far_behind = self.by_clock && moment.seconds_since(last) > jump;
        let far_ahead = others < AGREEING
            && self.options.latest.is_some_and(|latest| at > latest)
            && before.is_some_and(|(_, row)| row >= AGREEING);
        if few < AGREEING && (others >= AGREEING || far_behind || far_ahead) { few } else { 0 }
    }

    /// The input has ended: what waits is gathered, and the windows that are open close where they are.
    pub fn finish(&mut self, closed: &mut dyn FnMut(ClosedWindow)) {
        // Nobody came to contradict those ahead; alone they may be what a sparse sensor says.
        self.believe_those_ahead(closed);
        self.close_all(true, closed);
    }

    fn close_all(&mut self, cut_short: bool, closed: &mut dyn FnMut(ClosedWindow)) {
        if let Some(&(last, _)) = self.waiting.last_key_value().map(|(key, _)| key) {
            self.complete_up_to(last, closed);
        }
        let known_until = self.gathered.map(|(last, _)| last);
        while let Some(window) = self.open.pop_front() {
            // Where no further reading was due in the window, it is whole although no later one proves it.
            let usual = window.tallies.values().filter_map(Tally::usual_pause).fold(f64::INFINITY, f64::min);
            let missing = known_until.map_or(0.0, |k| window.span.to.seconds_since(k));
            let cut_short = cut_short && !(usual.is_finite() && missing <= usual * 1.5);
            let end = known_until.filter(|_| cut_short).map_or(window.span.to, |k| k.min(window.span.to));
            self.tell(window, end, cut_short, closed);
        }
    }

    fn tell(&mut self, window: OpenWindow, end: Moment, cut_short: bool, closed: &mut dyn FnMut(ClosedWindow)) {
        let is_new = self.reported.is_none_or(|reported| window.span.to > reported);
        let window = self.close(window, end, cut_short);
        if is_new {
            closed(window);
        }
    }

    fn close_up_to(&mut self, moment: Moment, closed: &mut dyn FnMut(ClosedWindow)) {
        self.open_up_to(moment, closed);
        while self.open.front().is_some_and(|w| w.span.to <= moment) {
            let window = self.open.pop_front().expect("its front has just been seen");
            let end = window.span.to;
            self.tell(window, end, false, closed);
        }
    }

    /// Opens the windows that begin at or before `moment`, and closes those that end before on the way.
    fn open_up_to(&mut self, moment: Moment, closed: &mut dyn FnMut(ClosedWindow)) {
        let Some(mut start) = self.next_start else { return };
        let mut empty = 0;
        // Of a time that far away nobody knows whether it has passed.
        let is_far = moment.seconds_since(start) > self.options.clock_jump_seconds;
        while start <= moment {
            let span = Span { from: start, to: self.options.plan.end_of(start) };
            while self.open.front().is_some_and(|w| w.span.to <= start) {
                let window = self.open.pop_front().expect("its front has just been seen");
                let end = window.span.to;
                empty = if window.tallies.is_empty() { empty + 1 } else { 0 };
                if empty > MAX_EMPTY_WINDOWS || (is_far && empty > 0) {
                    self.skipped += 1;
                } else {
                    self.tell(window, end, false, closed);
                }
            }
            if (empty > MAX_EMPTY_WINDOWS || is_far) && span.to.seconds_since(start) > 0.0 {
                // A long absence is stepped over at once.
                let target = self.options.plan.windows_at(moment).first().map_or(moment, |w| w.from);
                if start < target {
                    let step = self.options.plan.every().seconds();
                    self.skipped += (target.seconds_since(start) / step).round() as u64;
                    start = target;
                    continue;
                }
            }
            self.open.push_back(OpenWindow { span, tallies: HashMap::new() });
            start = self.options.plan.next_start(start);
        }
        self.next_start = Some(start);
    }

    fn gather(&mut self, reading: Reading, closed: &mut dyn FnMut(ClosedWindow)) {
        if self.next_start.is_none() {
            let first = self.options.plan.windows_at(reading.at).first().map(|w| w.from);
            self.next_start = first.or(Some(reading.at));
        }
        if self.next_start.is_some_and(|start| start <= reading.at)
            || self.open.front().is_some_and(|w| w.span.to <= reading.at)
        {
            self.close_up_to(reading.at, closed);
        }
        let near = |last: Moment| reading.at.seconds_since(last) <= self.options.clock_jump_seconds;
        self.gathered = Some(match self.gathered {
            Some((last, row)) if near(last) => (last.max(reading.at), row.saturating_add(1)),
            _ => (reading.at, 1),
        });
        let memory = &mut self.memories[reading.sensor.0 as usize];
        for window in &mut self.open {
            if window.span.from <= reading.at && reading.at < window.span.to {
                let tally = window.tallies.entry(reading.sensor).or_insert_with(|| {
                    let before = memory.last.filter(|last| *last < window.span.from);
                    Tally::new(window.span.from, (memory.traits.low, memory.traits.high), before)
                });
                tally.push(reading.at, reading.value);
            }
        }
        memory.last = Some(memory.last.map_or(reading.at, |last| last.max(reading.at)));
    }

    fn close(&mut self, mut window: OpenWindow, end: Moment, cut_short: bool) -> ClosedWindow {
        let plan = self.options.plan.clone();
        let span = window.span;
        let day_before = plan.day_before(span.from);
        let midnight_part = part_of_day(&plan, span.from);
        let part =
            move |at: Moment| (midnight_part + (at.seconds_since(span.from) / 900.0).max(0.0) as usize) % DAY_PARTS;
        let tumbling = plan.length() == plan.every();
        let mut sensors = Vec::with_capacity(self.memories.len());
        for (i, memory) in self.memories.iter_mut().enumerate() {
            let sensor = SensorId(i as u32);
            let Some(tally) = window.tallies.remove(&sensor) else {
                sensors.push(SensorSummary {
                    sensor,
                    statistics: None,
                    change: None,
                    change_from_day_before: None,
                    usual_pause: memory.usual_pause,
                    anomalies: Vec::new(),
                    more_out_of_limits: 0,
                    track: Track::default(),
                });
                continue;
            };
            let statistics = tally.statistics(end).expect("a tally is made by its first reading");
            let usual_pause = memory.traits.every_seconds.or_else(|| tally.usual_pause()).or(memory.usual_pause);
            let profile: Option<(&DayProfile, &dyn Fn(Moment) -> usize)> = Some((&memory.profile, &part));
            let anomalies = anomaly::find(&tally, end, usual_pause, profile, &self.options.anomalies);
            let mean_of =
                |wanted: &dyn Fn(&PastMean) -> bool| memory.past.iter().rev().find(|p| wanted(p)).map(|p| p.mean);
            let change = mean_of(&|p| p.span.to == span.from).map(|m| statistics.mean - m);
            let change_from_day_before = mean_of(&|p| p.span.from == day_before).map(|m| statistics.mean - m);
            if !cut_short {
                memory.past.push_back(PastMean { span, mean: statistics.mean });
                memory.past.keep_last(MAX_PAST);
                memory.usual_pause = usual_pause;
                if tumbling {
                    memory.profile.learn(tally.track().slots(), &part);
                }
            }
            let more_out_of_limits = tally.excursions().1;
            let track = tally.track().clone();
            let statistics = Some(statistics);
            sensors.push(SensorSummary {
                sensor,
                statistics,
                change,
                change_from_day_before,
                usual_pause,
                anomalies,
                more_out_of_limits,
                track,
            });
        }
        let unused = std::mem::take(&mut self.unused);
        let unused_of = std::mem::take(&mut self.unused_of);
        let skipped = std::mem::take(&mut self.skipped);
        ClosedWindow { span, sensors, unused, unused_of, skipped, cut_short }
    }
}

trait KeepLast {
    fn keep_last(&mut self, len: usize);
}

impl<T> KeepLast for VecDeque<T> {
    fn keep_last(&mut self, len: usize) {
        while self.len() > len {
            self.pop_front();
        }
    }
}

fn part_of_day(plan: &WindowPlan, at: Moment) -> usize {
    let time = at.timestamp().to_zoned(plan.zone().clone()).time();
    (time.hour() as usize * 60 + time.minute() as usize) / 15
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000_000;
    const START: i64 = 1_795_000_000_000_000 / (86_400 * 1_000_000) * (86_400 * 1_000_000);

    fn windows(length: &str, every: &str, lateness: Option<f64>) -> Windows {
        let plan = WindowPlan::new(length.parse().unwrap(), every.parse().unwrap(), TimeZone::UTC).unwrap();
        Windows::new(WindowsOptions {
            plan,
            lateness_seconds: lateness,
            waiting: 10_000,
            clock_jump_seconds: 86_400.0,
            latest: None,
            distinct: false,
            rereads: false,
            anomalies: AnomalyOptions::default(),
        })
    }

    fn reading(minute: i64, sensor: u32, value: f64) -> Reading {
        Reading { at: Moment(START + minute * MINUTE), sensor: SensorId(sensor), value }
    }

    fn run(windows: &mut Windows, readings: &[Reading]) -> Vec<ClosedWindow> {
        let mut closed = Vec::new();
        for r in readings {
            windows.push(*r, &mut |w| closed.push(w));
        }
        windows.finish(&mut |w| closed.push(w));
        closed
    }

    /// (start in minutes, readings, mean of sensor 0)
    fn told(closed: &[ClosedWindow]) -> Vec<(i64, u64, Option<f64>)> {
        let mean = |w: &ClosedWindow| w.sensors[0].statistics.map(|s| s.mean);
        closed.iter().map(|w| ((w.span.from.0 - START) / MINUTE, w.readings(), mean(w))).collect()
    }

    #[test]
    fn windows_tumble_and_empty_ones_are_told_as_empty() {
        let mut w = windows("1h", "1h", Some(0.0));
        w.add_sensor(SensorTraits::default());
        let closed = run(&mut w, &[reading(10, 0, 1.0), reading(50, 0, 3.0), reading(190, 0, 5.0)]);
        assert_eq!(told(&closed), [(0, 2, Some(2.0)), (60, 0, None), (120, 0, None), (180, 1, Some(5.0))]);
        assert!(!closed[2].cut_short && closed[3].cut_short);
    }

    #[test]
    fn windows_slide_and_each_reading_counts_in_each_of_its_windows_once() {
        let mut w = windows("1h", "30m", Some(0.0));
        w.add_sensor(SensorTraits::default());
        let closed = run(&mut w, &[reading(40, 0, 1.0), reading(70, 0, 3.0), reading(100, 0, 5.0)]);
        assert_eq!(told(&closed), [(0, 1, Some(1.0)), (30, 2, Some(2.0)), (60, 2, Some(4.0)), (90, 1, Some(5.0))]);
    }

    #[test]
    fn the_change_is_told_against_the_window_before_and_the_day_before() {
        let mut w = windows("1h", "1h", Some(0.0));
        w.add_sensor(SensorTraits::default());
        let readings: Vec<Reading> = (0..30).map(|h| reading(h * 60, 0, (h * h) as f64)).collect();
        let closed = run(&mut w, &readings);
        let s = &closed[26].sensors[0];
        assert_eq!((s.change, s.change_from_day_before), (Some(676.0 - 625.0), Some(676.0 - 4.0)));
        assert_eq!(closed[0].sensors[0].change, None);
    }

    #[test]
    fn late_readings_within_the_bound_count_and_later_ones_are_counted_as_late() {
        let mut w = windows("1h", "1h", Some(600.0));
        w.add_sensor(SensorTraits::default());
        let closed = run(
            &mut w,
            &[reading(58, 0, 1.0), reading(65, 0, 9.0), reading(57, 0, 3.0), reading(80, 0, 9.0), reading(30, 0, 5.0)],
        );
        assert_eq!(told(&closed)[0], (0, 2, Some(2.0)));
        assert_eq!(closed.iter().map(|w| w.unused.late).sum::<u64>(), 1);
    }

    #[test]
    fn a_repetition_of_a_reading_counts_once() {
        let mut w = windows("1h", "1h", Some(600.0));
        w.add_sensor(SensorTraits::default());
        let closed = run(&mut w, &[reading(1, 0, 2.0), reading(1, 0, 2.0), reading(2, 0, 4.0), reading(1, 0, 2.0)]);
        assert_eq!(told(&closed), [(0, 2, Some(3.0))]);
        assert_eq!(closed[0].unused.duplicates, 2);
    }

    #[test]
    fn a_clock_that_jumps_ahead_once_is_not_believed_and_one_that_stays_is() {
        let mut w = windows("1h", "1h", Some(0.0));
        w.add_sensor(SensorTraits::default());
        let year = 365 * 24 * 60;
        let mut readings: Vec<Reading> = (0..30).map(|m| reading(m, 0, 1.0)).collect();
        readings.insert(10, reading(year, 0, 9.0));
        let closed = run(&mut w, &readings);
        assert_eq!(told(&closed), [(0, 30, Some(1.0))]);
        assert_eq!(closed[0].unused.implausible_times, 1);

        let mut w = windows("1h", "1h", Some(0.0));
        w.add_sensor(SensorTraits::default());
        let readings: Vec<Reading> = (0..20).map(|m| reading(m + if m < 10 { 0 } else { year }, 0, 1.0)).collect();
        let closed = run(&mut w, &readings);
        assert_eq!(closed.iter().map(ClosedWindow::readings).sum::<u64>(), 20);
        assert!(closed.len() < 60, "{} windows", closed.len());
        assert!(closed.iter().map(|w| w.skipped).sum::<u64>() > 8_000);
    }

    #[test]
    fn a_clock_that_is_set_back_for_good_is_followed() {
        let mut w = windows("1h", "1h", Some(0.0));
        w.add_sensor(SensorTraits::default());
        let year = 365 * 24 * 60;
        let readings: Vec<Reading> = (0..200).map(|m| reading(m + if m < 3 { year } else { 0 }, 0, 1.0)).collect();
        let closed = run(&mut w, &readings);
        let used: u64 = closed.iter().map(ClosedWindow::readings).sum();
        assert!(used > 130, "{used}");
    }

    #[test]
    fn a_clock_that_is_set_back_while_the_program_is_away_is_followed() {
        let mut w = windows("1h", "1h", Some(0.0));
        w.add_sensor(SensorTraits::default());
        let year = 365 * 24 * 60;
        w.resume_after(reading(year, 0, 1.0).at);
        let readings: Vec<Reading> = (0..200).map(|m| reading(m, 0, 1.0)).collect();
        let used: u64 = run(&mut w, &readings).iter().map(ClosedWindow::readings).sum();
        assert!(used > 130, "{used}");
    }

    #[test]
    fn a_restart_completes_the_open_window_and_remembers_what_it_is_compared_with() {
        let readings: Vec<Reading> = (0..60).map(|h| reading(h * 60 + 7, 0, (h * h) as f64)).collect();
        let mut whole = windows("1h", "1h", Some(0.0));
        whole.add_sensor(SensorTraits::default());
        let expected = run(&mut whole, &readings);
        let mut again = windows("1h", "1h", Some(0.0));
        again.add_sensor(SensorTraits::default());
        let from = again.resume_after(expected[50].span.to);
        let kept: Vec<Reading> = readings.iter().copied().filter(|r| r.at >= from).collect();
        assert!(kept.len() < 40, "{}", kept.len());
        let resumed = run(&mut again, &kept);
        assert_eq!(told(&resumed), told(&expected[51..]));
        let changes = |closed: &[ClosedWindow]| -> Vec<_> {
            closed.iter().map(|w| (w.sensors[0].change, w.sensors[0].change_from_day_before)).collect()
        };
        assert_eq!(changes(&resumed), changes(&expected[51..]));
    }

    #[test]
    fn by_the_clock_a_reading_counts_until_its_window_closes_and_no_reading_closes_one() {
        let mut w = windows("1h", "1h", Some(30.0));
        w.add_sensor(SensorTraits::default());
        w.add_sensor(SensorTraits::default());
        w.follow_clock(true);
        let mut closed = Vec::new();
        // A sensor whose readings are all a minute late in a window of an hour, beside one that is on time.
        for m in 0..59 {
            w.push(reading(m, 0, 1.0), &mut |c| closed.push(c));
            w.complete_up_to(Moment(START + m * MINUTE - 30_000_000), &mut |c| closed.push(c));
            if m > 2 {
                w.push(reading(m - 2, 1, 5.0), &mut |c| closed.push(c));
            }
        }
        // A reading of tomorrow moves nothing.
        w.push(reading(1440, 1, 5.0), &mut |c| closed.push(c));
        assert!(closed.is_empty());
        w.complete_up_to(Moment(START + 61 * MINUTE), &mut |c| closed.push(c));
        w.push(reading(50, 1, 5.0), &mut |c| closed.push(c));
        assert_eq!(closed[0].readings(), 59 + 56);
        assert_eq!((w.unused.late, w.unused_of[&SensorId(1)].late), (1, 1));
    }

    #[test]
    fn a_reading_out_of_order_counts_once_as_long_as_its_window_is_open() {
        for distinct in [true, false] {
            let mut w = windows("1h", "1h", Some(0.0));
            w.options.distinct = distinct;
            w.add_sensor(SensorTraits::default());
            let readings =
                [reading(1, 0, 2.0), reading(9, 0, 4.0), reading(5, 0, 9.0), reading(5, 0, 9.0), reading(9, 0, 4.0)];
            let closed = run(&mut w, &readings);
            let unused = closed[0].unused;
            let expected = if distinct { (3, 0, 2) } else { (2, 2, 1) };
            assert_eq!((closed[0].readings(), unused.late, unused.duplicates), expected);
        }
    }

    #[test]
    fn one_sensor_ahead_of_the_others_closes_none_of_their_windows() {
        let mut w = windows("10m", "10m", Some(30.0));
        (0..3).for_each(|_| _ = w.add_sensor(SensorTraits::default()));
        let mut readings: Vec<Reading> = (0..60).flat_map(|m| [reading(m, 0, 1.0), reading(m, 1, 1.0)]).collect();
        readings.insert(21, reading(600, 2, 5.0));
        let closed = run(&mut w, &readings);
        let used: Vec<u64> = closed.iter().take(6).map(ClosedWindow::readings).collect();
        assert_eq!(used, [20; 6]);
        assert_eq!(closed.iter().map(|w| w.unused.late).sum::<u64>(), 0);
        assert!(closed.len() <= 6 + 3 + 1, "{}", closed.len());
    }

    #[test]
    fn a_sensor_that_falls_silent_keeps_no_window_open() {
        let mut w = windows("10m", "10m", Some(60.0));
        (0..2).for_each(|_| _ = w.add_sensor(SensorTraits::default()));
        let mut closed = Vec::new();
        for m in 0..30 {
            w.push(reading(m, 0, 1.0), &mut |c| closed.push(c));
            if m < 5 {
                w.push(reading(m, 1, 1.0), &mut |c| closed.push(c));
            }
        }
        assert_eq!(told(&closed), [(0, 15, Some(1.0)), (10, 10, Some(1.0))]);
    }

    #[test]
    fn a_few_far_stamps_in_a_file_make_no_windows_wherever_they_stand() {
        let year = 365 * 24 * 60;
        let far = [reading(-20 * year, 0, 9.0), reading(70 * year, 0, 9.0), reading(3 * year, 0, 9.0)];
        for place in [0, 30, 60] {
            let mut w = windows("10m", "10m", None);
            w.options.latest = Some(reading(year / 2, 0, 0.0).at);
            w.add_sensor(SensorTraits::default());
            let mut readings: Vec<Reading> = (0..60).map(|m| reading(m, 0, 1.0)).collect();
            readings.splice(place..place, far);
            let closed = run(&mut w, &readings);
            assert_eq!(told(&closed), (0..6).map(|i| (i * 10, 10, Some(1.0))).collect::<Vec<_>>(), "at {place}");
            assert_eq!(closed.iter().map(|w| w.unused.implausible_times).sum::<u64>() + w.unused.implausible_times, 3);
        }
        // Readings once a month are no mistake.
        let mut w = windows("1d", "1d", None);
        w.add_sensor(SensorTraits::default());
        let closed = run(&mut w, &(0..6).map(|m| reading(m * 31 * 24 * 60, 0, 1.0)).collect::<Vec<_>>());
        assert_eq!(closed.iter().map(ClosedWindow::readings).sum::<u64>(), 6);
    }

    #[test]
    fn a_clock_that_is_set_makes_up_no_windows_and_loses_nothing() {
        for (every, jump) in
            [("10m", 56 * 365 * 24 * 60), ("10m", 37), ("10m", -37), ("1d", -37), ("1d", 37), ("1h", -7 * 24 * 60)]
        {
            let mut w = windows(every, every, Some(30.0));
            w.add_sensor(SensorTraits::default());
            w.follow_clock(true);
            let mut closed = Vec::new();
            let mut shift = 0;
            for m in 0..120 {
                if m == 65 {
                    let (before, now) = (reading(600 + m, 0, 0.0).at, reading(600 + m + jump, 0, 0.0).at);
                    w.clock_was_set(before, now, &mut |c| closed.push(c));
                    shift = jump;
                }
                let at = reading(600 + m + shift, 0, 1.0);
                w.push(at, &mut |c| closed.push(c));
                w.complete_up_to(at.at.plus_seconds(-30.0), &mut |c| closed.push(c));
            }
            w.finish(&mut |c| closed.push(c));
            assert_eq!(closed.iter().map(ClosedWindow::readings).sum::<u64>(), 120, "{every}, {jump} minutes");
            assert!(closed.iter().all(|w| w.readings() > 0 && w.span.seconds() > 0.0), "{every}, {jump} minutes");
            assert_eq!(w.unused.late, 0);
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut w = windows("1d", "1d", None);
        w.options.waiting = 100;
        w.add_sensor(SensorTraits::default());
        let readings: Vec<Reading> = (0..5_000).map(|m| reading(m, 0, 1.0)).collect();
        for r in &readings {
            w.push(*r, &mut |_| {});
            assert!(w.waiting.len() <= 100);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_order_gives_the_windows_of_the_sorted_readings(
            minutes in prop::collection::btree_set(0i64..3000, 1..200),
            swaps in prop::collection::vec((0usize..200, 0usize..200), 0..100),
            sliding in any::<bool>(),
        ) {
            let sorted: Vec<Reading> = minutes.iter().map(|m| reading(*m, (*m % 3) as u32, *m as f64)).collect();
            let mut shuffled = sorted.clone();
            for (a, b) in swaps {
                let n = shuffled.len();
                shuffled.swap(a % n, b % n);
            }
            let every = if sliding { "1h" } else { "6h" };
            let of = |readings: &[Reading]| {
                let mut w = windows("6h", every, None);
                w.options.clock_jump_seconds = 7.0 * 86_400.0;
                (0..3).for_each(|_| { w.add_sensor(SensorTraits::default()); });
                let closed = run(&mut w, readings);
                closed.iter().map(|w| (w.span, w.sensors.iter().map(|s| s.statistics).collect::<Vec<_>>())).collect::<Vec<_>>()
            };
            let closed = of(&sorted);
            prop_assert_eq!(&closed, &of(&shuffled));
            // Against the definition: the readings whose time lies in the window.
            for (span, sensors) in closed {
                for (i, statistics) in sensors.iter().enumerate() {
                    let inside: Vec<f64> = sorted.iter()
                        .filter(|r| r.sensor.0 as usize == i && span.from <= r.at && r.at < span.to)
                        .map(|r| r.value).collect();
                    prop_assert_eq!(statistics.map_or(0, |s| s.count), inside.len() as u64);
                    if let Some(s) = statistics {
                        prop_assert!((s.mean - inside.iter().sum::<f64>() / inside.len() as f64).abs() < 1e-6);
                    }
                }
            }
        }
    }
}
