//! From readings in any order to closed windows: put in the order of time, told apart from repetitions, gathered for each
//! window and sensor, compared with what was before. In bounded memory, without a clock.
//!
//! The watermark, the time up to which readings are complete, follows the newest reading at the distance of the allowed
//! lateness. Readings behind it are too late: they are counted and not used. One reading that lies far ahead of all others (a
//! clock that jumped) does not move it; several in a row do.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use super::anomaly::{self, Anomaly, AnomalyOptions, DAY_PARTS, DayProfile};
use super::statistics::{Statistics, Tally};
use super::track::Track;
use super::window::WindowPlan;
use super::{Moment, Reading, SensorId, SensorTraits, Span};

/// Windows without any reading that are told one by one; a longer absence is told in one line.
const MAX_EMPTY_WINDOWS: usize = 48;
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
    /// A reading farther ahead than this, in seconds, is not believed before others agree.
    pub clock_jump_seconds: f64,
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
    /// A time far ahead that no other reading agreed with.
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
    /// All readings up to here have been handed on.
    complete: Option<Moment>,
    /// Readings far ahead, in a row.
    ahead: Vec<Reading>,
    /// Readings far behind, in a row.
    behind: usize,
    unused: Unused,
    skipped: u64,
    /// Windows up to here are not told.
    reported: Option<Moment>,
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
            complete: None,
            ahead: Vec::new(),
            behind: 0,
            unused: Unused::default(),
            skipped: 0,
            reported: None,
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
        self.reported = Some(end);
        self.complete = Some(Moment(of_use.0 - 1));
        of_use
    }

    /// The end of the window that closes next, if one is open.
    pub fn next_end(&self) -> Option<Moment> {
        self.open.front().map(|w| w.span.to)
    }

    /// Takes a reading; windows that it completes go to `closed`.
    ///
    /// # Panics
    /// If its sensor has not been introduced.
    pub fn push(&mut self, reading: Reading, closed: &mut dyn FnMut(ClosedWindow)) {
        assert!((reading.sensor.0 as usize) < self.memories.len(), "a reading's sensor has been introduced");
        let jump = self.options.clock_jump_seconds;
        if let Some(newest) = self.newest
            && reading.at.seconds_since(newest) > jump
        {
            self.ahead.push(reading);
            if self.ahead.len() >= AGREEING {
                self.believe_those_ahead(closed);
            }
            return;
        }
        self.unused.implausible_times += self.ahead.len() as u64;
        self.ahead.clear();
        self.admit(reading, closed);
    }

    fn admit(&mut self, reading: Reading, closed: &mut dyn FnMut(ClosedWindow)) {
        if self.complete.is_some_and(|complete| reading.at <= complete) {
            let known = self.newest.or(self.complete);
            let far = known.is_some_and(|k| k.seconds_since(reading.at) > self.options.clock_jump_seconds);
            self.behind = if far { self.behind + 1 } else { 0 };
            if self.behind < AGREEING * 8 || self.options.lateness_seconds.is_none() {
                self.unused.late += 1;
                return;
            }
            // The clock has been set back for good: what is open ends here, and time begins anew.
            self.close_all(false, closed);
            (self.newest, self.complete, self.next_start, self.behind) = (None, None, None, 0);
            // What was reported was of a time that never was.
            self.reported = None;
        }
        self.behind = 0;
        match self.waiting.entry((reading.at, reading.sensor)) {
            Entry::Vacant(place) => _ = place.insert(reading.value),
            Entry::Occupied(_) => self.unused.duplicates += 1,
        }
        self.newest = Some(self.newest.map_or(reading.at, |newest| newest.max(reading.at)));
        if let (Some(lateness), Some(newest)) = (self.options.lateness_seconds, self.newest) {
            self.complete_up_to(newest.plus_seconds(-lateness), closed);
        }
        while self.waiting.len() > self.options.waiting {
            let oldest = self.waiting.first_key_value().expect("it holds more than none").0.0;
            self.complete_up_to(oldest, closed);
        }
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
        while let Some(entry) = self.waiting.first_entry() {
            let (at, sensor) = *entry.key();
            if at > moment {
                break;
            }
            let value = entry.remove();
            self.gather(Reading { at, sensor, value }, closed);
        }
        self.close_up_to(moment, closed);
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
        let known_until = self.newest;
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
        while start <= moment {
            let span = Span { from: start, to: self.options.plan.end_of(start) };
            while self.open.front().is_some_and(|w| w.span.to <= start) {
                let window = self.open.pop_front().expect("its front has just been seen");
                let end = window.span.to;
                empty = if window.tallies.is_empty() { empty + 1 } else { 0 };
                if empty > MAX_EMPTY_WINDOWS {
                    self.skipped += 1;
                } else {
                    self.tell(window, end, false, closed);
                }
            }
            if empty > MAX_EMPTY_WINDOWS && span.to.seconds_since(start) > 0.0 {
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
        memory.last = Some(reading.at);
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
        let skipped = std::mem::take(&mut self.skipped);
        ClosedWindow { span, sensors, unused, skipped, cut_short }
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
