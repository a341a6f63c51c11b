//! Spikes that are the way of a sensor: what a kettle draws, or a pump, comes again and again. Of several alike in a window none is out of the
//! ordinary, and neither is one that is as high as those of other windows.

use std::collections::VecDeque;

use crate::anomaly::Anomaly;

/// Spikes of one direction in a window that make a pulse of them.
const FEWEST_ALIKE: usize = 4;
/// Windows that are remembered, and of these so many with a spike as high make it usual.
const WINDOWS: usize = 7;
const FEWEST_WINDOWS: usize = 3;
/// Heights are alike up to this ratio.
const ALIKE: f64 = 2.0;

/// How high the spikes of the last windows were: upwards and downwards; 0: there was none.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulses {
    heights: VecDeque<[f64; 2]>,
}

impl Pulses {
    /// Takes the usual spikes out of a window's anomalies. `level` is the window's median; a window that is whole is remembered.
    pub(super) fn leave_out(&mut self, anomalies: &mut Vec<Anomaly>, level: f64, is_whole: bool) {
        let height = |anomaly: &Anomaly| match anomaly {
            Anomaly::Spike { value, score, .. } => Some((usize::from(*score < 0.0), (value - level).abs())),
            _ => None,
        };
        let mut highest = [0.0f64; 2];
        let mut usual = [0.0f64; 2];
        for direction in [0, 1] {
            let mut heights: Vec<f64> =
                anomalies.iter().filter_map(height).filter(|(d, _)| *d == direction).map(|(_, h)| h).collect();
            heights.sort_unstable_by(f64::total_cmp);
            highest[direction] = heights.last().copied().unwrap_or(0.0);
            if heights.len() >= FEWEST_ALIKE {
                usual[direction] = heights[heights.len() / 2] * ALIKE;
            }
            let mut before: Vec<f64> = self.heights.iter().map(|h| h[direction]).filter(|h| *h > 0.0).collect();
            before.sort_unstable_by(f64::total_cmp);
            if before.len() >= FEWEST_WINDOWS {
                // As many as are needed were at least as high.
                usual[direction] = usual[direction].max(before[before.len() - FEWEST_WINDOWS] * ALIKE);
            }
        }
        anomalies.retain(|anomaly| height(anomaly).is_none_or(|(direction, height)| height > usual[direction]));
        if is_whole {
            self.heights.push_back(highest);
            if self.heights.len() > WINDOWS {
                self.heights.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Moment;

    fn told(pulses: &mut Pulses, values: &[f64]) -> usize {
        let spike = |value: &f64| Anomaly::Spike { value: *value, at: Moment(0), score: value.signum() * 20.0 };
        let mut anomalies: Vec<Anomaly> = values.iter().map(spike).collect();
        pulses.leave_out(&mut anomalies, 0.0, true);
        anomalies.len()
    }

    #[test]
    fn pulses_that_come_again_are_not_told_and_a_higher_one_is() {
        let mut pulses = Pulses::default();
        assert_eq!(told(&mut pulses, &[2000.0, 2100.0, 1900.0, 2000.0]), 0, "a kettle");
        assert_eq!(told(&mut pulses, &[2000.0, 2100.0, 1900.0, 2000.0, 9000.0]), 1);
        let mut once = Pulses::default();
        let days: Vec<usize> = (0..5).map(|_| told(&mut once, &[2000.0])).collect();
        assert_eq!(days, [1, 1, 1, 0, 0], "once a day");
        assert_eq!(told(&mut once, &[5000.0]), 1);
        assert_eq!(told(&mut once, &[-2000.0]), 1, "downwards is another thing");
        assert_eq!(told(&mut Pulses::default(), &[31.0]), 1);
    }
}
