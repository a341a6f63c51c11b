//! A sensor's course through a window in bounded memory: readings in the order of time, merged two by two whenever there are
//! too many. Anomalies are sought in it and plots are drawn from it.

use super::Moment;

/// Slots of a track: 1,024 of 72 bytes. A day of minutes is held two by two.
pub const MAX_SLOTS: usize = 1024;

/// Neighbouring readings taken together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Time of its first reading.
    pub first: Moment,
    /// Time of its last reading.
    pub last: Moment,
    /// How many readings.
    pub count: u32,
    /// Their sum.
    pub sum: f64,
    /// The lowest, and when.
    pub low: (f64, Moment),
    /// The highest, and when.
    pub high: (f64, Moment),
}

impl Slot {
    /// A slot of one reading.
    pub fn of(at: Moment, value: f64) -> Slot {
        Slot { first: at, last: at, count: 1, sum: value, low: (value, at), high: (value, at) }
    }

    /// The mean of its readings.
    pub fn mean(&self) -> f64 {
        self.sum / f64::from(self.count)
    }

    fn absorb(&mut self, later: &Slot) {
        self.last = later.last;
        self.count = self.count.saturating_add(later.count);
        self.sum += later.sum;
        if later.low.0 < self.low.0 {
            self.low = later.low;
        }
        if later.high.0 > self.high.0 {
            self.high = later.high;
        }
    }
}

/// The course of a sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    slots: Vec<Slot>,
    readings_per_slot: u32,
}

impl Default for Track {
    fn default() -> Self {
        Track { slots: Vec::new(), readings_per_slot: 1 }
    }
}

impl Track {
    /// Turns every value into `value * scale + offset`, with a positive scale.
    pub fn map(&mut self, scale: f64, offset: f64) {
        for slot in &mut self.slots {
            slot.sum = slot.sum * scale + offset * f64::from(slot.count);
            slot.low.0 = slot.low.0 * scale + offset;
            slot.high.0 = slot.high.0 * scale + offset;
        }
    }

    /// Adds a reading; one that is older than the one before finds its place among the others.
    pub fn push(&mut self, at: Moment, value: f64) {
        let reading = Slot::of(at, value);
        if self.slots.last().is_some_and(|last| at < last.last) {
            return self.insert(reading);
        }
        match self.slots.last_mut() {
            Some(last) if last.count < self.readings_per_slot => last.absorb(&reading),
            _ => {
                if self.slots.len() == MAX_SLOTS {
                    self.halve();
                }
                self.slots.push(reading);
            }
        }
    }

    /// The slots in the order of time.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Whether every slot holds a single reading, so that nothing has been merged.
    pub fn is_exact(&self) -> bool {
        self.readings_per_slot == 1
    }

    fn insert(&mut self, reading: Slot) {
        if self.is_exact() && self.slots.len() < MAX_SLOTS {
            let place = self.slots.partition_point(|slot| slot.first <= reading.first);
            return self.slots.insert(place, reading);
        }
        if self.is_exact() {
            self.halve();
        }
        let place = self.slots.partition_point(|slot| slot.first <= reading.first).saturating_sub(1);
        let slot = &mut self.slots[place];
        let (first, last) = (slot.first.min(reading.first), slot.last.max(reading.last));
        slot.absorb(&reading);
        (slot.first, slot.last) = (first, last);
    }

    /// Whether a reading of this very time is known to be in it.
    pub fn holds(&self, at: Moment) -> bool {
        let place = self.slots.partition_point(|slot| slot.last < at);
        self.slots.get(place).is_some_and(|slot| slot.first == at || slot.last == at)
    }

    /// The reading of this very time, where it has not been merged with others.
    pub fn value_at(&self, at: Moment) -> Option<f64> {
        let place = self.slots.partition_point(|slot| slot.last < at);
        self.slots.get(place).filter(|slot| slot.first == at && slot.count == 1).map(|slot| slot.sum)
    }

    fn halve(&mut self) {
        let half = self.slots.len() / 2;
        for i in 0..half {
            let mut merged = self.slots[2 * i];
            merged.absorb(&self.slots[2 * i + 1]);
            self.slots[i] = merged;
        }
        self.slots.truncate(half);
        self.readings_per_slot = self.readings_per_slot.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_comes_late_finds_its_place() {
        for n in [10i64, 5000] {
            let mut track = Track::default();
            (0..n).filter(|i| i % 3 != 1).for_each(|i| track.push(Moment(i), i as f64));
            (0..n).rev().filter(|i| i % 3 == 1).for_each(|i| track.push(Moment(i), i as f64));
            let count: u32 = track.slots().iter().map(|s| s.count).sum();
            let sum: f64 = track.slots().iter().map(|s| s.sum).sum();
            assert_eq!((i64::from(count), sum), (n, (0..n).sum::<i64>() as f64));
            assert!(track.slots().windows(2).all(|w| w[0].last < w[1].first) && track.slots().len() <= MAX_SLOTS);
            assert!(track.holds(Moment(0)) && !track.holds(Moment(n)));
        }
    }

    #[test]
    fn a_long_course_keeps_its_extremes_its_sum_and_its_bound() {
        let mut track = Track::default();
        let value = |i: i64| if i == 77_777 { 1e3 } else { (i % 17) as f64 };
        for i in 0..100_000 {
            track.push(Moment(i), value(i));
        }
        assert!(track.slots().len() <= MAX_SLOTS && !track.is_exact());
        assert_eq!(track.slots().iter().map(|s| u64::from(s.count)).sum::<u64>(), 100_000);
        let sum: f64 = (0..100_000).map(value).sum();
        assert!((track.slots().iter().map(|s| s.sum).sum::<f64>() - sum).abs() < 1e-6);
        let highest = track.slots().iter().map(|s| s.high).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        assert_eq!(highest, (1e3, Moment(77_777)));
        assert!(track.slots().windows(2).all(|w| w[0].last < w[1].first));
    }
}
