//! Numbers that stand for "no value", as loggers and weather services write them: -999, -9999. A column in which one lies far below all
//! other values, or whose unit can't have it, means none by it; what the options name means none everywhere.

use super::{Found, TextOptions};

/// Numbers that are used so.
const NONE: [f64; 8] = [-999.0, -999.9, -9999.0, -9999.9, -99_999.0, -99_999.9, -999_999.0, -32_768.0];

/// Numbers that may stand for no value in a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing {
    given: Vec<f64>,
}

impl Missing {
    pub(super) fn new(options: &TextOptions) -> Missing {
        Missing { given: numbers(&options.missing).unwrap_or_default() }
    }

    /// Whether a number stands for no value: as the options say, or since its unit or name can't have it.
    pub(super) fn is_none(&self, found: &Found<'_>) -> bool {
        let is_number = found.kind.is_none_or(|kind| !kind.is_state());
        let is_impossible = || match found.unit {
            "" => is_impossible_of(found.key),
            unit => is_impossible_in(unit),
        };
        is_number && (self.given.contains(&found.value) || (is_usual(found.value) && is_impossible()))
    }
}

/// The numbers that the options name.
pub(super) fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect()
}

/// Whether `value` is a number that is used for none.
pub(super) fn is_usual(value: f64) -> bool {
    // Nearly no value is.
    value < -990.0 && NONE.contains(&value)
}

/// Whether no reading in `unit` can be -999 or less.
pub(super) fn is_impossible_in(unit: &str) -> bool {
    matches!(
        unit,
        "°C" | "C"
            | "°F"
            | "F"
            | "K"
            | "degrees"
            | "%"
            | "hPa"
            | "mbar"
            | "kPa"
            | "inHg"
            | "mmHg"
            | "mm"
            | "in"
            | "l/m²"
            | "mm/h"
            | "in/h"
            | "m/s"
            | "km/h"
            | "mph"
            | "kn"
            | "lx"
            | "W/m²"
            | "ppm"
            | "ppb"
            | "µg/m³"
            | "°"
            | "dBm"
            | "dB"
            | "V"
            | "Hz"
            | "pH"
            | "UV index"
    )
}

/// Whether the name of a sensor without a unit tells a quantity that can't be -999 or less.
fn is_impossible_of(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "temp",
        "humid",
        "feucht",
        "moist",
        "pressure",
        "druck",
        "rain",
        "regen",
        "niederschlag",
        "precip",
        "wind",
        "co2",
        "lux",
        "bright",
        "dew",
    ];
    let lower = name.to_lowercase();
    NAMES.iter().any(|n| lower.contains(n))
}

/// What the sample shows of a column: whether numbers such as -999 lie far below all of its other values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    others: u32,
    lowest: f64,
    /// Numbers that are used for none, as long as they are the same.
    none: Option<(f64, u32)>,
}

impl Floor {
    pub(super) fn see(&mut self, value: f64) {
        if !is_usual(value) && value.is_finite() {
            self.lowest = if self.others == 0 { value } else { self.lowest.min(value) };
            self.others += 1;
        } else if is_usual(value) {
            self.none = match self.none {
                None => Some((value, 1)),
                Some((first, n)) if first == value => Some((value, n.saturating_add(1))),
                Some((first, _)) => Some((first, 0)),
            };
        }
    }

    /// Other values end far above, or there are none: a column of nothing but -999 has no value.
    pub(super) fn is_far_above(&self) -> bool {
        let is_nothing_else = self.others == 0 && self.none.is_some_and(|(_, n)| n >= 3);
        is_nothing_else || (self.others >= 3 && self.lowest > -200.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_far_below_all_others_are_none() {
        let far = |values: &[f64]| {
            let mut floor = Floor::default();
            values.iter().for_each(|v| floor.see(*v));
            floor.is_far_above()
        };
        assert!(far(&[20.0, -999.0, 21.0, -9999.0, 22.0]));
        // A house that feeds in a kilowatt may well feed in 999 W.
        assert!(!far(&[-980.0, -999.0, -1010.0, 300.0]));
        assert!(!far(&[20.0, -999.0]));
        assert!(far(&[-999.0; 3]) && !far(&[-999.0; 2]));
        assert!(is_usual(-9999.0) && !is_usual(-998.0) && !is_usual(999.0));
        assert_eq!(numbers("-99, 9999"), Some(vec![-99.0, 9999.0]));
        assert_eq!(numbers("none"), None);
    }
}
