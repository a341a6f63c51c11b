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
            if let Some((scale, offset)) = traits.tell_in(system) {
                summary.convert(scale, offset);
            }
        }
    }
}

impl SensorTraits {
    /// Gives the sensor the unit and the limits of `system`; `value * scale + offset` then tells its values. `None`: they stay as they
    /// are.
    pub fn tell_in(&mut self, system: System) -> Option<(f64, f64)> {
        let unit = system.unit_for(&self.unit)?;
        let (scale, offset) = factors(&self.unit, unit)?;
        unit.clone_into(&mut self.unit);
        for limit in [&mut self.low, &mut self.high] {
            *limit = limit.map(|l| l * scale + offset);
        }
        Some((scale, offset))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensor_is_told_in_another_unit_with_its_limits() {
        let fridge =
            SensorTraits { unit: "°C".to_owned(), low: Some(2.0), high: Some(8.0), ..SensorTraits::default() };
        let mut told = fridge.clone();
        let (scale, offset) = told.tell_in(System::Imperial).unwrap();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(5.0 * scale + offset, 41.0);
        assert_eq!(told.unit, "°F");
        near(told.low.unwrap(), 35.6);
        near(told.high.unwrap(), 46.4);
        for system in [System::Own, System::Metric] {
            let mut same = fridge.clone();
            assert_eq!((same.tell_in(system), &same), (None, &fridge));
        }
    }
}
