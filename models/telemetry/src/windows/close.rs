//! Readings are gathered into open windows, and an open window becomes a closed one: figures, anomalies, and the comparison with
//! what was before.

use super::{ClosedWindow, KeepLast, MAX_PAST, Memory, OpenWindow, PastMean, SensorSummary, Windows};
use crate::anomaly::{self, Anomaly, DAY_PARTS, DayProfile};
use crate::course::StateTimes;
use crate::kind::{Kind, Seen};
use crate::statistics::Tally;
use crate::track::Track;
use crate::window::WindowPlan;
use crate::{Moment, Reading, SensorId, Span};

impl Windows {
    pub(super) fn gather(&mut self, reading: Reading, closed: &mut dyn FnMut(ClosedWindow)) {
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
                    let before = memory.last.filter(|(last, _)| *last < window.span.from);
                    let limits = (memory.traits.low, memory.traits.high);
                    Tally::new(window.span.from, limits, before, memory.traits.kind)
                });
                tally.push(reading.at, reading.value);
            }
        }
        if let Some(rain) = &mut memory.rain {
            rain.push(reading.at, reading.value);
        }
        if memory.traits.kind == Some(Kind::Battery)
            && memory.last.is_none_or(|(at, charge)| at <= reading.at && reading.value > charge + CHARGED)
        {
            memory.charged = Some((reading.at, reading.value));
        }
        if memory.last.is_none_or(|(last, _)| last <= reading.at) {
            memory.last = Some((reading.at, reading.value));
        }
    }

    pub(super) fn close(&mut self, mut window: OpenWindow, end: Moment, cut_short: bool) -> ClosedWindow {
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
                sensors.push(silent(memory, sensor, span, end));
                continue;
            };
            let statistics = tally.statistics(end).expect("a tally is made by its first reading");
            let usual_pause = memory.traits.every_seconds.or_else(|| tally.usual_pause()).or(memory.usual_pause);
            let profile: Option<(&DayProfile, &dyn Fn(Moment) -> usize)> = Some((&memory.profile, &part));
            let range = (statistics.low.0, statistics.high.0);
            let seen = Seen { growth: &statistics.growth, count: statistics.count, range };
            let is_rain = memory.rain.as_ref().is_some_and(|rain| rain.is_amount(plan.zone()));
            memory.is_amount = is_rain || seen.is_amount(&memory.traits, memory.is_amount);
            memory.is_total = !memory.is_amount && seen.is_total(&memory.traits, memory.is_total);
            let states = tally.states(end);
            let all = anomaly::find(&tally, end, usual_pause, profile, &self.options.anomalies);
            let mut anomalies: Vec<Anomaly> = all.into_iter().filter(|a| is_told(a, memory)).collect();
            memory.pulses.leave_out(&mut anomalies, statistics.median, !cut_short);
            let mean_of =
                |wanted: &dyn Fn(&PastMean) -> bool| memory.past.iter().rev().find(|p| wanted(p)).map(|p| p.mean);
            // Of a total, what was counted is compared.
            let level = match (memory.is_total, memory.is_amount) {
                (true, _) => statistics.growth.gain,
                (_, true) => statistics.sum(),
                _ => statistics.mean,
            };
            let change = mean_of(&|p| p.span.to == span.from).map(|m| level - m);
            let change_from_day_before = mean_of(&|p| p.span.from == day_before).map(|m| level - m);
            // Of directions, a difference of means says nothing.
            // A part of a window is not compared with a whole one: a night is colder than a day.
            let is_part = cut_short && end.seconds_since(span.from) < span.seconds() * 0.9;
            let compares = memory.traits.kind != Some(Kind::Angle) && !is_part;
            let (change, change_from_day_before) =
                (change.filter(|_| compares), change_from_day_before.filter(|_| compares));
            if !cut_short {
                memory.past.push_back(PastMean { span, mean: level });
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
                is_total: memory.is_total,
                is_amount: memory.is_amount,
                lasts_days: lasts_days(memory),
                states,
            });
        }
        let unused = std::mem::take(&mut self.unused);
        let unused_of = std::mem::take(&mut self.unused_of);
        let skipped = std::mem::take(&mut self.skipped);
        ClosedWindow { span, sensors, unused, unused_of, skipped, expected: Vec::new(), cut_short }
    }
}

/// A sensor that gave no reading in a window. One that only tells changes is as it was.
fn silent(memory: &Memory, sensor: SensorId, span: Span, end: Moment) -> SensorSummary {
    let is_state = memory.traits.kind.is_some_and(Kind::is_state);
    let before = memory.last.filter(|(at, _)| is_state && *at < span.from).map(|(_, value)| value);
    SensorSummary {
        sensor,
        statistics: None,
        change: None,
        change_from_day_before: None,
        usual_pause: memory.usual_pause,
        anomalies: Vec::new(),
        more_out_of_limits: 0,
        track: Track::default(),
        is_total: memory.is_total,
        is_amount: memory.is_amount,
        lasts_days: None,
        states: before.and_then(|state| StateTimes::after(span.from, Some(state)).until(end)),
    }
}

/// A battery that has risen by more percent has been charged.
const CHARGED: f64 = 3.0;
/// It has to have fallen by so many percent, in so many seconds, before anybody says how long it lasts.
const DISCHARGED: f64 = 4.0;
const DISCHARGED_IN: f64 = 86_400.0;
/// Longer than this nobody can say, in days.
const LASTS_AT_MOST: f64 = 730.0;

/// In how many days a battery is empty if it goes on as since it was last charged.
fn lasts_days(memory: &Memory) -> Option<f64> {
    let ((since, full), (now, charge)) = (memory.charged?, memory.last?);
    let (fallen, seconds) = (full - charge, now.seconds_since(since));
    if fallen < DISCHARGED || seconds < DISCHARGED_IN || charge <= 0.0 {
        return None;
    }
    Some(charge / fallen * seconds / 86_400.0).filter(|days| *days <= LASTS_AT_MOST)
}

/// Whether an anomaly is one of a sensor of this kind: a switch has no drift, a counter no level.
fn is_told(anomaly: &Anomaly, memory: &Memory) -> bool {
    let is_state = memory.traits.kind.is_some_and(Kind::is_state);
    match anomaly {
        Anomaly::Above { .. } | Anomaly::Below { .. } => true,
        Anomaly::Gap { .. } => !is_state,
        Anomaly::Spike { .. } | Anomaly::Drift { .. } => {
            // A battery that empties drifts, and jumps when it is charged.
            let is_usual = matches!(memory.traits.kind, Some(Kind::Angle | Kind::Battery));
            !is_state && !memory.is_total && !memory.is_amount && !is_usual
        }
        Anomaly::Stuck { .. } => {
            !is_state && !memory.is_total && !memory.is_amount && memory.traits.kind != Some(Kind::Battery)
        }
    }
}

fn part_of_day(plan: &WindowPlan, at: Moment) -> usize {
    let time = at.timestamp().to_zoned(plan.zone().clone()).time();
    (time.hour() as usize * 60 + time.minute() as usize) / 15
}
