//! From readings in any order to closed windows: put in the order of time, told apart from repetitions, gathered for each
//! window and sensor, compared with what was before. In bounded memory, without a clock.
//!
//! The watermark, the time up to which readings are complete, closes windows. Where readings come as they are taken, whoever calls
//! moves it by the clock ([`Windows::follow_clock`]), and no reading does. Else it follows the readings at the distance of the
//! allowed lateness: not the newest of them, but the time that the sensors heard last agree on, so that one sensor that is ahead
//! of the others does not close their windows. A reading counts as long as its window is open; later it is counted as late. A
//! few readings that lie far away from all others (a clock that jumped) are set aside; several in a row are believed.

mod close;
mod closed;
mod order;
mod pulses;
mod units;

use std::collections::{BTreeMap, HashMap, VecDeque};

pub use closed::{ClosedWindow, SensorSummary, Unused, UnusedOf};

use super::anomaly::{AnomalyOptions, DayProfile};
use super::rain::RainCourse;
use super::statistics::Tally;
use super::window::WindowPlan;
use super::{Moment, Reading, SensorId, SensorTraits, Span};
use pulses::Pulses;

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
    /// Its usual spikes.
    pulses: Pulses,
    /// The newest reading.
    last: Option<(Moment, f64)>,
    /// It counts up.
    is_total: bool,
    /// Each of its readings is an amount of its own.
    is_amount: bool,
    /// Its course, where it tells of rain.
    rain: Option<RainCourse>,
    /// When a battery was last charged, and its charge then.
    charged: Option<(Moment, f64)>,
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

    /// Introduces the next sensor; its number follows that of the one before.
    pub fn add_sensor(&mut self, traits: SensorTraits) -> SensorId {
        self.memories.push(Memory { rain: RainCourse::of(&traits), traits, ..Memory::default() });
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

    /// From here on readings come as they are taken, and so much later than newer ones at most.
    pub fn allow_lateness(&mut self, seconds: f64) {
        self.options.lateness_seconds = Some(seconds);
    }

    /// Readings may come from times up to `latest`, which moves on where they come live.
    pub fn expect_until(&mut self, latest: Moment) {
        self.options.latest = Some(latest);
    }

    /// Counts readings that came again, `conflicting` of them with another value.
    pub fn count_duplicates(&mut self, n: u64, conflicting: u64) {
        self.unused.duplicates += n;
        self.unused.conflicting += conflicting;
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

    /// Time has passed although no reading came: everything up to `moment` is complete.
    pub fn complete_up_to(&mut self, moment: Moment, closed: &mut dyn FnMut(ClosedWindow)) {
        if self.complete.is_some_and(|complete| moment <= complete) {
            return;
        }
        self.complete = Some(moment);
        let until = self.gather_up_to(moment, closed);
        self.close_up_to(until, closed);
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

#[cfg(test)]
mod tests;
