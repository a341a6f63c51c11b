//! A closed window told in other units: every figure, anomaly and point of a sensor is turned alike.

use super::{ClosedWindow, SensorSummary};
use crate::anomaly::Anomaly;
use crate::statistics::Statistics;
use crate::unit::{System, factors};
use crate::{Moment, SensorTraits};

impl ClosedWindow {
    /// Tells all sensors in the units of `system`; `traits` are those of the sensors by their numbers, and get their new units.
    pub fn convert(&mut self, traits: &mut [SensorTraits], system: System) {
        for summary in &mut self.sensors {
            let Some(traits) = traits.get_mut(summary.sensor.0 as usize) else { continue };
            let Some(unit) = system.unit_for(&traits.unit) else { continue };
            let Some((scale, offset)) = factors(&traits.unit, unit) else { continue };
            summary.convert(scale, offset);
            unit.clone_into(&mut traits.unit);
            for limit in [&mut traits.low, &mut traits.high] {
                *limit = limit.map(|l| l * scale + offset);
            }
        }
    }
}

impl SensorSummary {
    fn convert(&mut self, scale: f64, offset: f64) {
        let level = |value: f64| value * scale + offset;
        let point = |(value, at): (f64, Moment)| (level(value), at);
        if let Some(s) = &mut self.statistics {
            let Statistics { low, high, first, last, mean, median, p95, deviation, slope_per_hour, growth, .. } = s;
            for extreme in [low, high, first, last] {
                *extreme = point(*extreme);
            }
            for figure in [mean, median, p95] {
                *figure = level(*figure);
            }
            for difference in [deviation, slope_per_hour, &mut growth.gain] {
                *difference *= scale;
            }
        }
        for change in [&mut self.change, &mut self.change_from_day_before] {
            *change = change.map(|c| c * scale);
        }
        for anomaly in &mut self.anomalies {
            match anomaly {
                Anomaly::Spike { value, .. } | Anomaly::Stuck { value, .. } => *value = level(*value),
                Anomaly::Drift { by, .. } => *by *= scale,
                Anomaly::Above { limit, extreme, .. } | Anomaly::Below { limit, extreme, .. } => {
                    (*limit, *extreme) = (level(*limit), level(*extreme));
                }
                Anomaly::Gap { .. } => {}
            }
        }
        self.track.map(scale, offset);
    }
}
