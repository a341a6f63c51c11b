//! A number as people read it: at most four significant digits, no exponent. What is printed is what texts are held to, so it
//! is kept as digits, not as a float.

use std::fmt;

/// Significant digits of a printed number.
const SIGNIFICANT: i32 = 4;
/// Digits after the point, at most.
pub const MAX_DECIMALS: u8 = 12;

/// A decimal number: `units / 10^decimals`.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    units: i128,
    decimals: u8,
}

impl Figure {
    /// `value` with `decimals` digits after the point, and with no more than four significant ones; halves away from zero.
    pub fn new(value: f64, decimals: u8) -> Figure {
        let value = if value.is_finite() { value.clamp(-1e18, 1e18) } else { 0.0 };
        let before_point = if value == 0.0 { 1 } else { value.abs().log10().floor() as i32 + 1 };
        let fits = SIGNIFICANT - before_point;
        let decimals = i32::from(decimals.min(MAX_DECIMALS));
        if fits < 0 {
            // 12345 is printed as 12350.
            let step = 10f64.powi(-fits);
            return Figure { units: ((value / step).round() * step) as i128, decimals: 0 };
        }
        let decimals = decimals.min(fits);
        let units = (value * 10f64.powi(decimals)).round() as i128;
        Figure { units, decimals: decimals as u8 }.trimmed()
    }

    /// `value` with `decimals` digits after the point, all of them: what a meter shows is not rounded to four digits.
    pub fn exact(value: f64, decimals: u8) -> Figure {
        let value = if value.is_finite() { value.clamp(-1e15, 1e15) } else { 0.0 };
        let decimals = decimals.min(MAX_DECIMALS);
        let units = (value * 10f64.powi(i32::from(decimals))).round() as i128;
        Figure { units, decimals }.trimmed()
    }

    /// What a text says: an optional minus, digits, and perhaps a point and digits. `None` where it is no such number, or one
    /// of more digits than any sensor gives.
    pub fn parse(text: &str) -> Option<Figure> {
        let (negative, digits) = match text.strip_prefix(['-', '\u{2212}']) {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() + fraction.len() > 24 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let units: i128 = format!("{whole}{fraction}").parse().ok()?;
        Some(Figure { units: if negative { -units } else { units }, decimals: fraction.len() as u8 })
    }

    /// As a float.
    pub fn value(self) -> f64 {
        self.units as f64 / 10f64.powi(i32::from(self.decimals))
    }

    /// Its size without its sign.
    #[must_use]
    pub fn abs(self) -> Figure {
        Figure { units: self.units.abs(), ..self }
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.units == 0
    }

    /// Digits after the point.
    pub fn decimals(self) -> u8 {
        self.decimals
    }

    /// Whether it is `other` rounded to as many decimals as it has itself, halves away from zero. Nothing but zero rounds to
    /// zero, and a number with more decimals than `other` must be equal.
    pub fn is_rounding_of(self, other: Figure) -> bool {
        if self.is_zero() != other.is_zero() {
            return false;
        }
        if self.decimals >= other.decimals {
            let scale = 10i128.pow(u32::from(self.decimals - other.decimals));
            return other.units.checked_mul(scale) == Some(self.units);
        }
        let scale = 10i128.pow(u32::from(other.decimals - self.decimals));
        let rounded = (other.units.abs() + scale / 2) / scale * other.units.signum();
        rounded == self.units
    }

    fn trimmed(mut self) -> Figure {
        while self.decimals > 0 && self.units % 10 == 0 {
            self.units /= 10;
            self.decimals -= 1;
        }
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10i128.pow(u32::from(self.decimals));
        let (whole, fraction) = (self.units.abs() / scale, self.units.abs() % scale);
        let minus = if self.units < 0 { "-" } else { "" };
        match self.decimals {
            0 => write!(f, "{minus}{whole}"),
            decimals => write!(f, "{minus}{whole}.{fraction:0width$}", width = usize::from(decimals)),
        }
    }
}

/// How many digits after the point suit values of this size: 1013, 123.4, 21.3, 4.25, 0.125.
pub fn decimals_for(largest: f64) -> u8 {
    match largest.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.1 => 3,
        v if v >= 0.01 => 4,
        v if v >= 0.001 => 5,
        // Of tiny ones as many digits as of others, as far as they are printed: 0.00000002.
        v if v > 0.0 => (3.0 - v.log10().floor()).clamp(6.0, f64::from(MAX_DECIMALS)) as u8,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_printed_with_four_significant_digits_at_most_and_without_exponent() {
        for (value, decimals, text) in [
            (21.25, 1, "21.3"),
            (-21.25, 1, "-21.3"),
            (45.0, 1, "45"),
            (1013.25, 2, "1013"),
            (12_345.0, 0, "12350"),
            (123.456, 2, "123.5"),
            (0.000_012_4, 6, "0.000012"),
            (2.002e-8, 11, "0.00000002002"),
            (-0.01, 1, "0"),
            (9.996, 2, "10"),
            (1e15, 0, "1000000000000000"),
        ] {
            assert_eq!(Figure::new(value, decimals).to_string(), text);
        }
    }

    #[test]
    fn only_the_one_right_rounding_passes() {
        let says = |text: &str, fact: &str| Figure::parse(text).unwrap().is_rounding_of(Figure::parse(fact).unwrap());
        for (text, fact) in [("21", "21.3"), ("22", "21.5"), ("-22", "-21.5"), ("21.30", "21.3"), ("0", "0")] {
            assert!(says(text, fact), "{text} of {fact}");
        }
        for (text, fact) in
            [("21", "21.5"), ("22", "21.3"), ("20", "21.3"), ("0", "0.4"), ("21.31", "21.3"), ("-21", "21")]
        {
            assert!(!says(text, fact), "{text} of {fact}");
        }
        for text in ["", "-", "1e5", ".5", "1,000", "12345678901234567890123456", "½", "NaN"] {
            assert!(Figure::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_as_itself(value in -1e9f64..1e9, decimals in 0u8..7) {
            let figure = Figure::new(value, decimals);
            let read = Figure::parse(&figure.to_string()).unwrap();
            prop_assert!(read.is_rounding_of(figure) && figure.is_rounding_of(read));
            let digits = figure.to_string().chars().filter(char::is_ascii_digit).collect::<String>();
            prop_assert!(digits.trim_start_matches('0').trim_end_matches('0').len() <= 4, "{}", figure);
        }
    }
}
