//! Percentages, temperatures and relative amounts: "20 percent", "half", "all the way", "21 degrees", "a bit brighter", "twice as
//! bright", "by ten percent".

use super::number::{fraction, number};

/// A temperature's unit, where it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degrees {
    /// °C
    Celsius,
    /// °F
    Fahrenheit,
}

/// How far a relative change goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// "a bit"
    Small,
    /// No amount said.
    Medium,
    /// "a lot"
    Large,
    /// "by 10 percent", "by two degrees": the amount in the thing's own unit.
    By(f64),
    /// "half as bright", "twice as loud": the present value times this.
    Times(f64),
}

/// A relative change: its direction is told by the words around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Whether up.
    pub up: bool,
    /// How far.
    pub size: Size,
}

impl Change {
    /// The new value for a present one in percent.
    pub fn of_percent(self, present: f64) -> f64 {
        let step = match self.size {
            Size::Small => 10.0,
            Size::Medium => 20.0,
            Size::Large => 40.0,
            Size::By(amount) => amount,
            Size::Times(factor) => return (present * factor).round().clamp(0.0, 100.0),
        };
        (present + if self.up { step } else { -step }).round().clamp(0.0, 100.0)
    }

    /// The new value for a present temperature; `fahrenheit` has larger steps.
    pub fn of_degrees(self, present: f64, fahrenheit: bool) -> f64 {
        let scale = if fahrenheit { 2.0 } else { 1.0 };
        let step = match self.size {
            Size::Small | Size::Medium => scale,
            Size::Large => 3.0 * scale,
            Size::By(amount) => amount,
            Size::Times(_) => return present,
        };
        present + if self.up { step } else { -step }
    }
}

/// A percentage at the beginning of `words`, 0 to 100 where it is a position, brightness or volume: "20 percent", "half", "three
/// quarters", "full", "maximum", "all the way up". A bare number counts where `bare` allows it.
pub fn percent(words: &[&str], bare: bool) -> Option<(f64, usize)> {
    if let Some((share, n)) = fraction(words) {
        return Some(((share * 100.0).round(), n));
    }
    if let Some((value, n)) = number(words) {
        return match (words.get(n), words.get(n + 1)) {
            (Some(&"percent"), _) => Some((value, n + 1)),
            (Some(&"per"), Some(&"cent")) => Some((value, n + 2)),
            // Numbers with another unit are no percentages.
            (Some(unit), _) if is_unit(unit) => None,
            _ => bare.then_some((value, n)),
        };
    }
    let skip = usize::from(matches!(words.first(), Some(&("its" | "the" | "a"))));
    let at = |value: f64, n: usize| Some((value, skip + n));
    match words.get(skip..)? {
        ["full", "blast" | "power" | "brightness" | "volume" | "speed", ..] if skip == 0 => at(100.0, 1),
        ["full" | "fully" | "maximum" | "max" | "highest" | "top" | "brightest" | "loudest" | "fastest", ..] => {
            at(100.0, 1)
        }
        ["halfway" | "midway", ..] => at(50.0, 1),
        ["half", "way", ..] => at(50.0, 2),
        ["lowest" | "minimum" | "min" | "dimmest" | "quietest", ..] => at(1.0, 1),
        _ => None,
    }
}

fn is_unit(word: &str) -> bool {
    matches!(
        word,
        "degrees"
            | "degree"
            | "celsius"
            | "fahrenheit"
            | "minutes"
            | "minute"
            | "hours"
            | "hour"
            | "seconds"
            | "second"
            | "kelvin"
            | "k"
            | "days"
            | "am"
            | "pm"
            | "oclock"
    )
}

/// A temperature at the beginning of `words`: "21 degrees", "21.5", "seventy degrees fahrenheit". A bare number counts.
pub fn temperature(words: &[&str]) -> Option<(f64, Option<Degrees>, usize)> {
    if let ["half" | "a", rest @ ..] = words {
        // "half a degree", "a degree", "a degree and a half"
        let half = words[0] == "half";
        let n = usize::from(half && matches!(rest.first(), Some(&"a")));
        if matches!(rest.get(n), Some(&("degree" | "degrees"))) {
            return match rest.get(n + 1..) {
                Some(["and", "a", "half", ..]) if !half => Some((1.5, None, n + 5)),
                _ => Some((if half { 0.5 } else { 1.0 }, None, n + 2)),
            };
        }
    }
    let (value, mut n) = number(words)?;
    if matches!(words.get(n), Some(&("degrees" | "degree"))) {
        n += 1;
    } else if words.get(n).is_some_and(|w| is_unit(w) && !matches!(*w, "celsius" | "fahrenheit"))
        || words.get(n) == Some(&"percent")
    {
        return None;
    }
    let unit = match words.get(n) {
        Some(&("celsius" | "centigrade" | "c")) => Some(Degrees::Celsius),
        Some(&("fahrenheit" | "f")) => Some(Degrees::Fahrenheit),
        _ => None,
    };
    (-60.0..=400.0).contains(&value).then_some((value, unit, n + usize::from(unit.is_some())))
}

/// The size of a relative change at the beginning of `words`: "a bit", "slightly", "a lot", "much", "by 10 percent", "by half".
pub fn relative(words: &[&str]) -> Option<(Size, usize)> {
    Some(match words {
        ["just", rest @ ..] => {
            let (size, n) = relative(rest)?;
            (size, n + 1)
        }
        ["a", "little", "bit", ..] | ["a", "tiny", "bit", ..] | ["a", "wee", "bit", ..] => (Size::Small, 3),
        ["a", "bit" | "little" | "touch" | "notch" | "tad" | "smidge" | "smidgen", ..] => (Size::Small, 2),
        ["a", "wee" | "tiny", ..] | ["one" | "1", "notch", ..] => (Size::Small, 2),
        ["slightly" | "somewhat", ..] => (Size::Small, 1),
        ["little" | "bit", ..] => (Size::Small, 1),
        ["quite", "a", "bit", ..] | ["a", "whole", "lot", ..] => (Size::Large, 3),
        ["a", "lot", ..] | ["a", "good", ..] | ["a", "great", ..] => (Size::Large, 2),
        ["much" | "lots" | "considerably" | "way" | "significantly" | "far", ..] => (Size::Large, 1),
        ["by", rest @ ..] => {
            let (value, n) = match percent(rest, true) {
                Some(found) => found,
                None => {
                    let (value, _, n) = temperature(rest)?;
                    (value, n)
                }
            };
            (value >= 0.0).then_some((Size::By(value), n + 1))?
        }
        _ => return None,
    })
}

/// "twice as", "half as", "double the": the factor by which something changes.
pub fn factor(words: &[&str]) -> Option<(f64, usize)> {
    match words {
        ["twice" | "double", "as" | "the", ..] => Some((2.0, 2)),
        ["half", "as" | "the", ..] => Some((0.5, 2)),
        ["three" | "3", "times", "as" | "the", ..] => Some((3.0, 3)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spoken::write;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        text.split(' ').collect()
    }

    #[test]
    fn percentages_are_read_in_figures_and_words() {
        for (text, value) in [
            ("20 percent", 20.0),
            ("twenty five percent", 25.0),
            ("half", 50.0),
            ("three quarters", 75.0),
            ("full", 100.0),
            ("the maximum", 100.0),
            ("halfway", 50.0),
            ("the lowest", 1.0),
            ("30 per cent", 30.0),
        ] {
            assert_eq!(percent(&split(text), false), Some((value, split(text).len())), "{text}");
        }
        assert_eq!(percent(&["20"], true), Some((20.0, 1)));
        assert_eq!(percent(&["20"], false), None);
        assert_eq!(percent(&["20", "degrees"], true), None);
    }

    #[test]
    fn temperatures_know_their_unit() {
        assert_eq!(temperature(&split("21 degrees")), Some((21.0, None, 2)));
        assert_eq!(temperature(&split("seventy degrees fahrenheit")), Some((70.0, Some(Degrees::Fahrenheit), 3)));
        assert_eq!(temperature(&split("minus five")), Some((-5.0, None, 2)));
        assert_eq!(temperature(&split("20 percent")), None);
        assert_eq!(temperature(&split("20 minutes")), None);
    }

    #[test]
    fn relative_sizes_are_read() {
        assert_eq!(relative(&split("a little bit")), Some((Size::Small, 3)));
        assert_eq!(relative(&split("by ten percent")), Some((Size::By(10.0), 3)));
        assert_eq!(relative(&split("by two degrees")), Some((Size::By(2.0), 3)));
        assert_eq!(relative(&split("much")), Some((Size::Large, 1)));
        assert_eq!(factor(&split("twice as")), Some((2.0, 2)));
    }

    proptest! {
        #[test]
        fn a_change_stays_within_percent(present in 0f64..=100.0, up: bool, amount in 0f64..500.0) {
            for size in [Size::Small, Size::Medium, Size::Large, Size::By(amount), Size::Times(2.0), Size::Times(0.5)] {
                let new = Change { up, size }.of_percent(present);
                prop_assert!((0.0..=100.0).contains(&new));
            }
        }

        #[test]
        fn a_percentage_written_in_words_is_read_back(n in 0i64..=100) {
            let text = format!("{} percent", write::number_words(n));
            prop_assert_eq!(percent(&split(&text), false), Some((n as f64, split(&text).len())));
        }
    }
}
