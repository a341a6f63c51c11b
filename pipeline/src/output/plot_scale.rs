//! Where readings stand in a plot: so exactly that the page's script, which reads them back from the picture, tells each value with the
//! digits it was told with, and each time to the second.

/// The picture's own units.
pub(super) const WIDTH: f64 = 10_000.0;
pub(super) const HEIGHT: f64 = 1000.0;
/// Digits after the point of a coordinate, at most.
const MAX_DIGITS: i32 = 9;
/// A value is told wrong by no more than this share of its last digit, before it is rounded.
const SHARE_OF_DIGIT: f64 = 0.05;
/// Nor a time by more than these seconds, before it is rounded to seconds.
const SECONDS: f64 = 0.25;

/// The axes of a plot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    x_digits: i32,
    y_digits: i32,
}

/// Digits after the point of a coordinate of which one unit stands for `unit`, so that it is off by at most `error`.
fn digits(unit: f64, error: f64) -> i32 {
    let digits = (unit / 2.0 / error).log10().ceil();
    if digits.is_finite() { (digits.max(0.0) as i32).min(MAX_DIGITS) } else { 0 }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

impl Scale {
    /// From `low` to `high`, whose values are told with `decimals` digits after the point, over `seconds`.
    pub(super) fn new((low, high): (f64, f64), decimals: u8, seconds: f64) -> Scale {
        let last_digit = 10f64.powi(-i32::from(decimals));
        let y_digits = digits((high - low) / HEIGHT, last_digit * SHARE_OF_DIGIT).max(1);
        Scale { low, high, x_digits: digits(seconds / WIDTH, SECONDS), y_digits }
    }

    /// Of a share of the time, from 0 to 1.
    pub(super) fn x(&self, share: f64) -> f64 {
        rounded(share * WIDTH, self.x_digits)
    }

    /// Of a value.
    pub(super) fn y(&self, value: f64) -> f64 {
        rounded((self.high - value) / (self.high - self.low) * HEIGHT, self.y_digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_times_are_read_back_as_they_were() {
        for (low, high, decimals) in [(-160.0, 2400.0, 1), (18.894, 26.101, 2), (0.0, 250_000.0, 3), (-1e-6, 2e-6, 0)] {
            for days in [1.0, 7.0, 31.0, 366.0] {
                let seconds = days * 86_400.0;
                let scale = Scale::new((low, high), decimals, seconds);
                let last_digit = 10f64.powi(-i32::from(decimals));
                for n in 0..1000 {
                    let told = ((low + (high - low) * f64::from(n) / 1000.0) / last_digit).round() * last_digit;
                    // As the page's script reads it.
                    let read = high - scale.y(told) / HEIGHT * (high - low);
                    assert!((read - told).abs() < last_digit * 0.1, "{told} is read as {read}");
                    let at = (seconds * f64::from(n) / 1000.0).round();
                    let read = scale.x(at / seconds) / WIDTH * seconds;
                    assert_eq!(read.round(), at, "of {days} days");
                }
            }
        }
    }

    #[test]
    fn no_range_makes_a_coordinate_that_is_no_number() {
        for (low, high) in [(0.0, 0.0), (-1e15, 1e15), (5.0, 5.0 + 1e-15)] {
            let scale = Scale::new((low, high), 6, 0.0);
            assert!(scale.x(0.5).is_finite() && scale.x_digits >= 0 && scale.y_digits <= MAX_DIGITS, "{scale:?}");
        }
    }
}
