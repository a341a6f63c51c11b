//! Whose clock is right: live readings bring a time of their own and come at a time of arrival. Each sensor is judged by itself:
//! a time ahead of the arrival, one behind it at a constant distance, and one of a device without a clock give way to the time
//! of arrival, and the sensor is named. No sensor's clock moves the time of another.
//!
//! What a late message and a wrong clock have in common is that the time lies in the past. They differ in what follows: of
//! messages that were held up (while this program or the broker was away) the distance shrinks as they are worked off; of a clock
//! that is behind it stays. So a distance is believed after it was the same for a while, and the offset is then kept, so that a
//! message that comes again has the same time again.
//!
//! Pure: who calls says when a reading came.

use std::collections::BTreeMap;

use serde::Serialize;

use super::window::WindowPlan;
use super::{MICROS, Moment, NO_TIME, SensorId};

/// A machine whose clock says less than this has not been told the time yet: 2026-01-01, which is before this was written.
pub const CLOCK_IS_SET: Moment = Moment(1_767_225_600 * MICROS);
/// A distance is the same as far as it differs by no more than this.
const JITTER: i64 = 5 * MICROS;
/// Readings at the same distance, and for how long, before a clock counts as behind.
const SAME_READINGS: u32 = 3;
const SAME_FOR: i64 = 10 * MICROS;
/// Messages that are taken one by one may come so much closer together than they were written.
const BURST_SLACK: i64 = MICROS / 2;
/// Messages that were held up keep coming until there was none for so long.
const CATCHING_UP: i64 = 2 * MICROS;
/// A stream is live for so long after a reading whose time was that of its arrival.
const LIVE_FOR: i64 = 600 * MICROS;
/// Where no other sensor shows what time it is, a stream that is farther behind than this runs in a time of its own.
const OWN_TIME: i64 = 86_400 * MICROS;
/// A time that stands still for so long, while values change, is that of a clock that has stopped.
const STOPPED: i64 = MICROS;

/// What time a reading says it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// It says nothing.
    None,
    /// This.
    At(Moment),
    /// One that only a device without a clock tells, as in 1970.
    NoClock,
}

impl From<Moment> for Stamp {
    fn from(at: Moment) -> Stamp {
        match at {
            NO_TIME => Stamp::None,
            at if at.is_plausible() => Stamp::At(at),
            _ => Stamp::NoClock,
        }
    }
}

/// What is wrong with a sensor's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockFault {
    /// It shows a time that has not come yet.
    Ahead,
    /// It is late by a constant time.
    Behind,
    /// There is none, or it stands still.
    NoClock,
}

/// A fault that a reading showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockNote {
    /// Whose clock.
    pub sensor: SensorId,
    /// What is wrong with it.
    pub fault: ClockFault,
    /// By how much, in seconds; 0 without a clock.
    pub seconds: f64,
}

/// What was found of clocks: by sensor and fault, the last distance in seconds and the number of readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClockFindings(BTreeMap<(SensorId, ClockFault), (f64, u64)>);

impl ClockFindings {
    /// One more reading.
    pub fn add(&mut self, note: ClockNote) {
        let found = self.0.entry((note.sensor, note.fault)).or_default();
        *found = (note.seconds, found.1 + 1);
    }

    /// Both together; `later` was found after these.
    pub fn append(&mut self, later: ClockFindings) {
        for (key, (seconds, readings)) in later.0 {
            let found = self.0.entry(key).or_default();
            *found = (seconds, found.1 + readings);
        }
    }

    /// Whether no clock was found wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sensor, fault, distance in seconds and number of readings.
    pub fn iter(&self) -> impl Iterator<Item = (SensorId, ClockFault, f64, u64)> + '_ {
        self.0.iter().map(|((sensor, fault), (seconds, readings))| (*sensor, *fault, *seconds, *readings))
    }
}

/// When a reading was taken, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The time that counts.
    pub at: Moment,
    /// Why it is not the one that the reading brought.
    pub note: Option<ClockNote>,
    /// It shows that readings come as they are taken.
    pub current: bool,
    /// It was held up, and more of that kind may follow.
    pub held_up: bool,
}

/// How clocks are judged.
#[derive(Clone, Debug)]
pub struct ClockOptions {
    /// A time farther ahead of its arrival than this, in seconds, is wrong.
    pub ahead_seconds: f64,
    /// A reading may come so much later than it was taken, in seconds.
    pub lateness_seconds: f64,
    /// The windows: a time is of use as long as its window is open.
    pub plan: WindowPlan,
}

/// The clocks of all sensors.
#[derive(Debug)]
pub struct Clocks {
    options: ClockOptions,
    sources: Vec<Source>,
    /// The last arrival of a reading that came as it was taken.
    live: Option<Moment>,
    /// The last arrival of a reading that was held up.
    caught: Option<Moment>,
    /// What has to be added to this machine's own clock, as long as nobody has set it.
    own_offset: Option<i64>,
    changed: Vec<(SensorId, i64)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Source {
    /// What is added to its times, in microseconds.
    offset: i64,
    /// The last reading: its arrival, and how far its time lay behind that.
    last: Option<(Moment, i64)>,
    /// The last time and value, to find clocks that stand still.
    stamp: Option<(Moment, f64)>,
    /// Since when the distance has been the same, the first one, the least and the most of them, and how many.
    same_since: i64,
    first: i64,
    same: (i64, i64),
    readings: u32,
}

impl Clocks {
    /// Without any sensor yet.
    pub fn new(options: ClockOptions) -> Clocks {
        Clocks { options, sources: Vec::new(), live: None, caught: None, own_offset: None, changed: Vec::new() }
    }

    /// Takes up offsets of an earlier run, and the newest time that it knew: it is later than that now, whatever a clock says
    /// that has not been set.
    pub fn resume(&mut self, offsets: &[(SensorId, i64)], newest: Option<Moment>, arrived: Moment) {
        for (sensor, offset) in offsets {
            self.source(*sensor).offset = *offset;
        }
        if arrived < CLOCK_IS_SET
            && let Some(newest) = newest.filter(|newest| *newest > arrived)
        {
            self.own_offset = Some(newest.0 - arrived.0);
        }
    }

    /// Offsets that have changed since this was last asked.
    pub fn take_changed(&mut self) -> Vec<(SensorId, i64)> {
        std::mem::take(&mut self.changed)
    }

    /// A connection begins: what was held up in the meantime comes first.
    pub fn begin(&mut self, arrived: Moment) {
        self.caught = Some(arrived);
    }

    /// When the reading was taken that brought the time `stamp` and came at `arrived`.
    pub fn judge(&mut self, sensor: SensorId, stamp: Stamp, value: f64, arrived: Moment) -> Judged {
        let judged = self.judged(sensor, stamp, value, arrived);
        if judged.current {
            self.live = Some(arrived);
        }
        if judged.held_up {
            self.caught = Some(arrived);
        }
        judged
    }

    fn judged(&mut self, sensor: SensorId, stamp: Stamp, value: f64, arrived: Moment) -> Judged {
        let is_set = arrived >= CLOCK_IS_SET;
        if is_set {
            self.own_offset = None;
        }
        let by_arrival = |offset: Option<i64>, note: Option<ClockNote>| Judged {
            at: Moment(arrived.0.saturating_add(offset.unwrap_or(0))),
            note,
            current: offset.is_none(),
            held_up: false,
        };
        let plain = |at: Moment| Judged { at, note: None, current: false, held_up: false };
        let no_clock = ClockNote { sensor, fault: ClockFault::NoClock, seconds: 0.0 };
        let stamp = match stamp {
            Stamp::None => return by_arrival(self.own_offset, None),
            Stamp::NoClock => return by_arrival(self.own_offset, Some(no_clock)),
            Stamp::At(stamp) => stamp,
        };
        if !is_set {
            // Sensors know better than a machine that nobody has told the time.
            self.own_offset.get_or_insert(stamp.0.saturating_sub(arrived.0));
            return plain(stamp);
        }
        let ahead = micros(self.options.ahead_seconds);
        let behind = micros(self.options.lateness_seconds).max(ahead);
        let lag = arrived.0.saturating_sub(stamp.0);
        let source = *self.source(sensor);
        let stands_still = source.stamp.is_some_and(|(s, v)| s == stamp && v.to_bits() != value.to_bits())
            && source.last.is_some_and(|(a, _)| arrived.0 - a.0 >= STOPPED);
        if stands_still {
            return by_arrival(None, Some(no_clock));
        }
        let source = self.source(sensor);
        source.stamp = Some((stamp, value));
        if (-ahead..=behind).contains(&lag) {
            (source.last, source.readings) = (Some((arrived, lag)), 0);
            self.set_offset(sensor, 0);
            return Judged { at: stamp, note: None, current: true, held_up: false };
        }
        let note = |offset: i64| {
            let fault = if offset < 0 { ClockFault::Ahead } else { ClockFault::Behind };
            Some(ClockNote { sensor, fault, seconds: offset.unsigned_abs() as f64 / MICROS as f64 })
        };
        let moved = Moment(stamp.0.saturating_add(source.offset));
        let offset = source.offset;
        if offset != 0 && (-ahead..=behind).contains(&arrived.0.saturating_sub(moved.0)) {
            source.last = Some((arrived, lag));
            return Judged { at: moved, note: note(offset), current: true, held_up: false };
        }
        if lag < 0 {
            (source.last, source.readings) = (Some((arrived, lag)), 0);
            self.set_offset(sensor, lag);
            return Judged { at: arrived, note: note(lag), current: true, held_up: false };
        }
        let before = source.last.replace((arrived, lag));
        let is_same = source.readings > 0 && {
            let (least, most) = source.same;
            let passed = arrived.0 - source.same_since;
            // Messages that come much faster than they were written are worked off, not taken.
            let is_burst = passed + source.first - lag > 2 * passed + BURST_SLACK;
            most.max(lag) - least.min(lag) <= JITTER && passed >= 0 && !is_burst
        };
        if is_same {
            source.readings += 1;
            source.same = (source.same.0.min(lag), source.same.1.max(lag));
        } else {
            (source.readings, source.same_since, source.first, source.same) = (1, arrived.0, lag, (lag, lag));
        }
        let lasts = source.readings >= SAME_READINGS && arrived.0 - source.same_since >= SAME_FOR;
        let least = source.same.0;
        let since = |moment: Option<Moment>| moment.map_or(i64::MAX, |m| arrived.0.saturating_sub(m.0));
        let is_live = (0..LIVE_FOR).contains(&since(self.live));
        let catches_up = (0..CATCHING_UP).contains(&since(self.caught));
        if lasts && (is_live || lag < OWN_TIME) {
            self.set_offset(sensor, least);
            return Judged { at: Moment(stamp.0 + least), note: note(least), current: true, held_up: false };
        }
        let shrinks = before.is_some_and(|(_, lag_before)| lag < lag_before);
        if catches_up || !is_live {
            return Judged { held_up: shrinks || before.is_none(), ..plain(stamp) };
        }
        if !self.is_closed(stamp, arrived) {
            return plain(stamp);
        }
        if before.is_none() || is_same {
            return by_arrival(None, note(lag));
        }
        Judged { held_up: shrinks, ..plain(stamp) }
    }

    /// Whether the clock has closed every window of `at` by now.
    fn is_closed(&self, at: Moment, arrived: Moment) -> bool {
        let end = self.options.plan.windows_at(at).last().map_or(at, |w| w.to);
        end.plus_seconds(self.options.lateness_seconds) < arrived
    }

    fn source(&mut self, sensor: SensorId) -> &mut Source {
        let place = sensor.0 as usize;
        if self.sources.len() <= place {
            self.sources.resize(place + 1, Source::default());
        }
        &mut self.sources[place]
    }

    fn set_offset(&mut self, sensor: SensorId, offset: i64) {
        let source = self.source(sensor);
        if source.offset != offset {
            source.offset = offset;
            self.changed.retain(|(s, _)| *s != sensor);
            self.changed.push((sensor, offset));
        }
    }
}

fn micros(seconds: f64) -> i64 {
    (seconds * MICROS as f64) as i64
}

/// A span as people say it: `45 s`, `3 min`, `1 h`, `1 h 10 min`, `12 days`, `6 years`.
pub fn spoken(seconds: f64) -> String {
    let s = seconds.abs().round() as u64;
    let two = |large: u64, unit: &str, small: u64, unit_below: &str| match small {
        0 => format!("{large} {unit}"),
        n => format!("{large} {unit} {n} {unit_below}"),
    };
    match s {
        0..120 => format!("{s} s"),
        120..3600 => two(s / 60, "min", s % 60, "s"),
        3600..172_800 => two((s + 30) / 3600, "h", (s + 30) % 3600 / 60, "min"),
        172_800..63_072_000 => format!("{} days", (s + 43_200) / 86_400),
        _ => format!("{} years", s / 31_557_600),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const A: SensorId = SensorId(0);
    const B: SensorId = SensorId(1);

    fn clocks(window: &str) -> Clocks {
        let length = window.parse().unwrap();
        let plan = WindowPlan::new(length, length, TimeZone::UTC).unwrap();
        Clocks::new(ClockOptions { ahead_seconds: 30.0, lateness_seconds: 30.0, plan })
    }

    fn at(seconds: i64) -> Moment {
        Moment(seconds * MICROS)
    }

    /// The time that counts, in seconds, and the fault.
    fn judge(clocks: &mut Clocks, sensor: SensorId, stamp: i64, arrived: i64) -> (i64, Option<(ClockFault, f64)>) {
        let judged = clocks.judge(sensor, at(stamp).into(), stamp as f64, at(arrived));
        (judged.at.0 / MICROS, judged.note.map(|n| (n.fault, n.seconds)))
    }

    #[test]
    fn a_clock_an_hour_ahead_gives_way_to_the_arrival_and_keeps_its_own_pace() {
        let mut clocks = clocks("10s");
        assert_eq!(judge(&mut clocks, A, NOW, NOW), (NOW, None));
        let ahead = Some((ClockFault::Ahead, 3600.0));
        assert_eq!(judge(&mut clocks, B, NOW + 3600, NOW), (NOW, ahead));
        assert_eq!(clocks.take_changed(), [(B, -3600 * MICROS)]);
        // A second later, and the same message once more, as a broker sends it after a fault of the line.
        assert_eq!(judge(&mut clocks, B, NOW + 3601, NOW + 2), (NOW + 1, ahead));
        assert_eq!(judge(&mut clocks, B, NOW + 3601, NOW + 20), (NOW + 1, ahead));
        assert_eq!(judge(&mut clocks, A, NOW + 2, NOW + 2), (NOW + 2, None));
        // It is set right.
        assert_eq!(judge(&mut clocks, B, NOW + 30, NOW + 30), (NOW + 30, None));
        assert_eq!(clocks.take_changed(), [(B, 0)]);
    }

    #[test]
    fn a_clock_a_minute_behind_is_named_and_none_of_its_readings_falls_into_a_closed_window() {
        let mut clocks = clocks("10s");
        let mut named = 0;
        for second in 0..60 {
            assert_eq!(judge(&mut clocks, A, NOW + second, NOW + second), (NOW + second, None));
            let (counted, fault) = judge(&mut clocks, B, NOW + second - 60, NOW + second);
            assert!((counted - NOW - second).abs() <= 1, "{second}: {}", counted - NOW);
            named += i32::from(fault == Some((ClockFault::Behind, 60.0)));
        }
        assert_eq!(named, 60);
        assert_eq!(clocks.take_changed(), [(B, 60 * MICROS)]);
    }

    #[test]
    fn what_was_held_up_keeps_its_time() {
        let mut clocks = clocks("10s");
        (0..5).for_each(|s| _ = judge(&mut clocks, A, NOW + s, NOW + s));
        // Away for an hour; the broker sends what it has kept, a thousand messages a second.
        clocks.begin(at(NOW + 3605));
        for s in 5..3605 {
            let arrived = Moment(at(NOW + 3605).0 + s * 1000);
            let judged = clocks.judge(A, at(NOW + s).into(), s as f64, arrived);
            assert_eq!((judged.at, judged.note), (at(NOW + s), None));
        }
        // A sensor that was without a network, in the midst of live ones: only its first reading is taken for a wrong clock.
        let mut wrong = 0;
        let base = NOW + 4000;
        (0..9).for_each(|s| _ = judge(&mut clocks, A, base + s, base + s));
        for s in 0..300 {
            let judged = clocks.judge(B, at(base - 600 + s).into(), s as f64, Moment(at(base + 9).0 + s * 1000));
            wrong += i32::from(judged.note.is_some());
        }
        assert_eq!(wrong, 1);
    }

    #[test]
    fn a_device_without_a_clock_and_one_whose_clock_stands_still_are_told_by_arrival() {
        let mut clocks = clocks("10s");
        let none = Some((ClockFault::NoClock, 0.0));
        assert_eq!(judge(&mut clocks, A, 12, NOW), (NOW, none));
        assert_eq!(judge(&mut clocks, A, 13, NOW + 1), (NOW + 1, none));
        assert_eq!(judge(&mut clocks, B, NOW, NOW), (NOW, None));
        let judged = clocks.judge(B, at(NOW).into(), 5.0, at(NOW + 5));
        assert_eq!((judged.at, judged.note.map(|n| n.fault)), (at(NOW + 5), Some(ClockFault::NoClock)));
        // The same value at the same time is the same reading.
        let again = |clocks: &mut Clocks, arrived| clocks.judge(B, at(NOW + 9).into(), 5.0, at(arrived)).at;
        assert_eq!((again(&mut clocks, NOW + 9), again(&mut clocks, NOW + 12)), (at(NOW + 9), at(NOW + 9)));
    }

    #[test]
    fn a_stream_that_runs_in_a_time_of_its_own_keeps_it() {
        let mut clocks = clocks("10s");
        for i in 0..5000 {
            let judged = clocks.judge(A, at(NOW + i - 700_000).into(), i as f64, at(NOW + i));
            assert_eq!((judged.at, judged.current), (at(NOW + i - 700_000), false));
        }
    }

    #[test]
    fn before_this_machine_knows_the_time_its_sensors_do() {
        let mut clocks = clocks("10s");
        let unstamped = |clocks: &mut Clocks, arrived| clocks.judge(A, Stamp::None, 1.0, at(arrived)).at;
        assert_eq!(unstamped(&mut clocks, 5), at(5));
        assert_eq!(judge(&mut clocks, B, NOW, 10), (NOW, None));
        assert_eq!(unstamped(&mut clocks, 15), at(NOW + 5));
        assert_eq!(unstamped(&mut clocks, NOW + 7), at(NOW + 7));
        // After a restart it is later than it was, at any rate.
        let mut clocks = super::tests::clocks("10s");
        clocks.resume(&[], Some(at(NOW)), at(3));
        assert_eq!(unstamped(&mut clocks, 10), at(NOW + 7));
    }

    #[test]
    fn spans_are_told_as_people_tell_them() {
        for (seconds, text) in [
            (3.0, "3 s"),
            (60.0, "60 s"),
            (3600.0, "1 h"),
            (3599.0, "59 min 59 s"),
            (3725.0, "1 h 2 min"),
            (-864_000.0, "10 days"),
            (2e8, "6 years"),
        ] {
            assert_eq!(spoken(seconds), text);
        }
    }
}
