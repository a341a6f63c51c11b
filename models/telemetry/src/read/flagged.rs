//! Values with a quality flag behind a comma, as NOAA's Integrated Surface Database writes them: `+0080,1` is 8.0 °C, checked. Such a
//! cell is no number with a decimal comma.

/// A column of such values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flagged {
    /// What one step of the number is.
    scale: f64,
    /// Its unit.
    pub(super) unit: &'static str,
    /// The number that stands for no value.
    none: f64,
}

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FlaggedValue {
    /// A value.
    Value(f64),
    /// None was measured.
    None,
    /// It is known to be wrong, or no such cell.
    Wrong,
}

/// Whether a cell is a signed number of a fixed width with a flag behind it.
pub(super) fn is_one(cell: &str) -> bool {
    apart(cell).is_some_and(|(number, _)| {
        number.starts_with(['+', '-']) && number.len() >= 5 && number[1..].starts_with(['0', '9'])
    })
}

/// Whether a cell is a pressure as that database writes it, without a sign: `10150,1`. `1013,2` is a decimal number.
pub(super) fn is_pressure(cell: &str) -> bool {
    let is_digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    cell.split_once(',').is_some_and(|(number, flag)| is_digits(number, 5) && is_digits(flag, 1))
}

fn apart(cell: &str) -> Option<(&str, char)> {
    let (number, flag) = cell.split_once(',')?;
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let mut flags = flag.chars();
    let flag = flags.next().filter(|f| f.is_ascii_digit() || f.is_ascii_uppercase())?;
    let is_one =
        (4..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && flags.next().is_none();
    is_one.then_some((number, flag))
}

/// What a column of this name holds in such cells; `None`: nobody knows the scale.
pub(super) fn of_column(name: &str) -> Option<Flagged> {
    match name {
        "TMP" | "DEW" => Some(Flagged { scale: 0.1, unit: "°C", none: 9999.0 }),
        "SLP" => Some(Flagged { scale: 0.1, unit: "hPa", none: 99_999.0 }),
        _ => None,
    }
}

impl Flagged {
    /// Reads a cell. The flags 3 and 7 say that a value is wrong.
    pub(super) fn read(self, cell: &str) -> FlaggedValue {
        let Some((number, flag)) = apart(cell) else { return FlaggedValue::Wrong };
        match number.parse::<f64>() {
            Ok(n) if n == self.none => FlaggedValue::None,
            Ok(n) if !matches!(flag, '3' | '7') => FlaggedValue::Value((n * self.scale * 1e6).round() / 1e6),
            _ => FlaggedValue::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_and_its_flag_are_no_decimal_number() {
        let tmp = of_column("TMP").unwrap();
        assert_eq!(tmp.read("+0080,1"), FlaggedValue::Value(8.0));
        assert_eq!(tmp.read("-0011,1"), FlaggedValue::Value(-1.1));
        assert_eq!((tmp.read("+9999,9"), tmp.read("+0080,3")), (FlaggedValue::None, FlaggedValue::Wrong));
        assert_eq!(of_column("SLP").unwrap().read("10150,1"), FlaggedValue::Value(1015.0));
        assert!(is_one("+0080,1") && !is_one("20,5") && !is_one("-1020,5") && !is_one("+0080,15"));
        assert!(is_pressure("10150,1") && !is_pressure("1013,2") && !is_pressure("10150,12"));
    }
}
