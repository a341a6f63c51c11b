//! Readings in the order of time: which are believed, which wait, which come too late.

use std::collections::VecDeque;
use std::collections::btree_map::Entry;

use super::{AGREEING, ClosedWindow, KeepLast, RECENT, SILENT, Windows};
use crate::{Moment, Reading, SensorId};

impl Windows {
    pub(super) fn set_aside(&mut self, sensor: SensorId) {
        self.unused.implausible_times += 1;
        self.unused_of.entry(sensor).or_default().implausible_times += 1;
    }

    fn repeated(&mut self, is_other: bool) {
        self.unused.duplicates += 1;
        self.unused.conflicting += u64::from(is_other);
    }

    /// Readings before this are of windows that are closed.
    pub(super) fn floor(&self) -> Option<Moment> {
        let begins = self.open.front().map(|w| w.span.from).or(self.next_start);
        begins.or_else(|| self.complete.map(|complete| Moment(complete.0 + 1)))
    }

    pub(super) fn admit(&mut self, reading: Reading, closed: &mut dyn FnMut(ClosedWindow)) {
        let Reading { at, sensor, value } = reading;
        let is_complete = self.complete.is_some_and(|complete| at <= complete);
        if is_complete || self.floor().is_some_and(|floor| at < floor) {
            let last = self.memories[sensor.0 as usize].last;
            let is_open = self.floor().is_some_and(|floor| at >= floor);
            let tally = self.open.iter().find_map(|w| w.tallies.get(&sensor));
            if is_open && let Some(tally) = tally.filter(|t| t.track().holds(at)) {
                let is_other = tally.track().value_at(at).is_some_and(|before| before != value);
                self.repeated(is_other);
                return;
            }
            if is_open && (self.options.distinct || last.is_none_or(|(last, _)| at > last)) {
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
            Entry::Occupied(place) => {
                let is_other = *place.get() != value;
                self.repeated(is_other);
            }
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
    pub(super) fn agreed_time(&self) -> Moment {
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

    pub(super) fn believe_those_ahead(&mut self, closed: &mut dyn FnMut(ClosedWindow)) {
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.sort_unstable_by_key(|r| r.at);
        for reading in ahead {
            self.admit(reading, closed);
        }
    }

    /// Gathers what waits up to `moment`; answers up to when windows are over, which a time that nobody believes does not decide.
    pub(super) fn gather_up_to(&mut self, moment: Moment, closed: &mut dyn FnMut(ClosedWindow)) -> Moment {
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
    pub(super) fn alone(&self, at: Moment, moment: Moment) -> usize {
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
}
