//! Numbers, ordinals and fractions, in digits and in English words.

/// Words below twenty and the tens.
const SMALL: &[(&str, f64)] = &[
    ("zero", 0.0),
    ("nought", 0.0),
    ("naught", 0.0),
    ("one", 1.0),
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
    ("thirteen", 13.0),
    ("fourteen", 14.0),
    ("fifteen", 15.0),
    ("sixteen", 16.0),
    ("seventeen", 17.0),
    ("eighteen", 18.0),
    ("nineteen", 19.0),
];

const TENS: &[(&str, f64)] = &[
    ("twenty", 20.0),
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fourty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("seventy", 70.0),
    ("eighty", 80.0),
    ("ninety", 90.0),
];

const ORDINALS: &[(&str, u32)] = &[
    ("first", 1),
    ("second", 2),
    ("third", 3),
    ("fourth", 4),
    ("fifth", 5),
    ("sixth", 6),
    ("seventh", 7),
    ("eighth", 8),
    ("ninth", 9),
    ("tenth", 10),
    ("eleventh", 11),
    ("twelfth", 12),
    ("thirteenth", 13),
    ("fourteenth", 14),
    ("fifteenth", 15),
    ("sixteenth", 16),
    ("seventeenth", 17),
    ("eighteenth", 18),
    ("nineteenth", 19),
    ("twentieth", 20),
    ("thirtieth", 30),
];

/// Numbers beyond this are not said to a home.
const LARGEST: f64 = 1e9;

fn find(table: &[(&str, f64)], word: &str) -> Option<f64> {
    table.iter().find(|(w, _)| *w == word).map(|(_, v)| *v)
}

/// A number at the beginning of `words`: "25", "21.5", "twenty five", "minus five", "one and a half", "two point five",
/// "a hundred and twenty", "a dozen", "a couple of".
pub fn number(words: &[&str]) -> Option<(f64, usize)> {
    if matches!(words.first(), Some(&("minus" | "negative"))) {
        let (value, n) = number(&words[1..])?;
        return (value >= 0.0).then_some((-value, n + 1));
    }
    let (mut value, mut n) = whole(words)?;
    if words.get(n) == Some(&"point") {
        let digits: Vec<f64> = words[n + 1..]
            .iter()
            .map_while(|w| if *w == "oh" { Some(0.0) } else { find(SMALL, w).or_else(|| w.parse().ok()) })
            .take_while(|d| *d < 10.0)
            .take(6)
            .collect();
        if !digits.is_empty() {
            n += 1 + digits.len();
            let mut place = 1.0;
            for d in digits {
                place /= 10.0;
                value += d * place;
            }
            value = (value * 1e6).round() / 1e6;
        }
    } else if words.get(n) == Some(&"and")
        && let Some((part, m)) = fraction(&words[n + 1..])
        && part < 1.0
        && value.fract() == 0.0
        // "half past seven and half an hour" is not seven and a half.
        && (words.get(n + 1).is_some_and(|w| matches!(*w, "a" | "one" | "two" | "three")))
    {
        n += 1 + m;
        value += part;
    }
    (value.abs() <= LARGEST).then_some((value, n))
}

/// A number without sign or fraction.
fn whole(words: &[&str]) -> Option<(f64, usize)> {
    let first = *words.first()?;
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        if first.len() > 15 {
            return None;
        }
        let value: f64 = first.parse().ok()?;
        return match words.get(1) {
            Some(&"thousand") => Some((value * 1000.0, 2)),
            Some(&"hundred") => Some((value * 100.0, 2)),
            _ => Some((value, 1)),
        };
    }
    match (first, words.get(1).copied(), words.get(2).copied()) {
        ("a" | "one" | "half", Some("dozen"), _) => return Some((if first == "half" { 6.0 } else { 12.0 }, 2)),
        ("half", Some("a"), Some("dozen")) => return Some((6.0, 3)),
        ("a", Some("couple"), Some("of")) => return Some((2.0, 3)),
        ("a", Some("couple"), _) => return Some((2.0, 2)),
        ("a", Some("few"), _) => return Some((3.0, 2)),
        ("a", Some("hundred" | "thousand"), _) => {}
        ("a", ..) => return None,
        _ => {}
    }
    let (mut total, mut n) = below_thousand(words)?;
    if words.get(n) == Some(&"thousand") {
        total *= 1000.0;
        n += 1;
        let skip = usize::from(words.get(n) == Some(&"and"));
        if let Some((rest, m)) = below_thousand(&words[(n + skip).min(words.len())..]) {
            total += rest;
            n += skip + m;
        }
    }
    Some((total, n))
}

fn below_thousand(words: &[&str]) -> Option<(f64, usize)> {
    let (mut value, mut n) = match words.first() {
        Some(&"a") if matches!(words.get(1), Some(&("hundred" | "thousand"))) => (1.0, 1),
        _ => below_hundred(words)?,
    };
    if words.get(n) == Some(&"hundred") && value < 100.0 {
        value *= 100.0;
        n += 1;
        let skip = usize::from(words.get(n) == Some(&"and"));
        // "a hundred and a half" leaves the half to the caller.
        if let Some((rest, m)) = below_hundred(&words[(n + skip).min(words.len())..]) {
            value += rest;
            n += skip + m;
        }
    }
    Some((value, n))
}

fn below_hundred(words: &[&str]) -> Option<(f64, usize)> {
    let first = words.first()?;
    if let Some(value) = find(SMALL, first) {
        return Some((value, 1));
    }
    let tens = find(TENS, first)?;
    match words.get(1).and_then(|w| find(SMALL, w)) {
        Some(ones) if (1.0..10.0).contains(&ones) => Some((tens + ones, 2)),
        _ => Some((tens, 1)),
    }
}

/// An ordinal at the beginning of `words`: "3rd", "third", "twenty first".
pub fn ordinal(words: &[&str]) -> Option<(u32, usize)> {
    let first = *words.first()?;
    if let Some(digits) = ["st", "nd", "rd", "th"].iter().find_map(|end| first.strip_suffix(end))
        && !digits.is_empty()
        && digits.len() <= 3
        && digits.bytes().all(|b| b.is_ascii_digit())
    {
        return digits.parse().ok().map(|n| (n, 1));
    }
    if let Some((_, n)) = ORDINALS.iter().find(|(w, _)| *w == first) {
        return Some((*n, 1));
    }
    let tens = find(TENS, first)? as u32;
    let ones = ORDINALS.iter().find(|(w, n)| *n < 10 && words.get(1) == Some(w))?.1;
    Some((tens + ones, 2))
}

/// A fraction at the beginning of `words`: "half", "a half", "a quarter", "three quarters", "two thirds".
pub fn fraction(words: &[&str]) -> Option<(f64, usize)> {
    let (count, n) = match *words.first()? {
        "half" => return Some((0.5, 1)),
        "quarter" => return Some((0.25, 1)),
        "a" | "one" => (1.0, 1),
        "two" | "2" => (2.0, 1),
        "three" | "3" => (3.0, 1),
        "four" | "4" => (4.0, 1),
        _ => return None,
    };
    let part = match *words.get(n)? {
        "half" | "halves" => 2.0,
        "third" | "thirds" => 3.0,
        "quarter" | "quarters" | "fourth" | "fourths" => 4.0,
        "fifth" | "fifths" => 5.0,
        "tenth" | "tenths" => 10.0,
        _ => return None,
    };
    (count < part).then_some((count / part, n + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spoken::write;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(f64, usize)> {
        number(&text.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn numbers_are_read_in_digits_and_words() {
        for (text, value, n) in [
            ("25", 25.0, 1),
            ("21.5 degrees", 21.5, 1),
            ("twenty five percent", 25.0, 2),
            ("minus five", -5.0, 2),
            ("minus 5", -5.0, 2),
            ("zero minutes", 0.0, 1),
            ("one and a half hours", 1.5, 4),
            ("two and a quarter", 2.25, 4),
            ("twenty one point five", 21.5, 4),
            ("a hundred and twenty", 120.0, 4),
            ("one hundred", 100.0, 2),
            ("two thousand seven hundred", 2700.0, 4),
            ("three and ten minutes", 3.0, 1),
            ("a couple of minutes", 2.0, 3),
            ("half a dozen eggs", 6.0, 3),
            ("twenty twenty", 20.0, 1),
        ] {
            assert_eq!(read(text), Some((value, n)), "{text}");
        }
        for text in ["a light", "and", "hundred", "half", ""] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn ordinals_and_fractions_are_read() {
        assert_eq!(ordinal(&["3rd"]), Some((3, 1)));
        assert_eq!(ordinal(&["twenty", "first", "of"]), Some((21, 2)));
        assert_eq!(ordinal(&["th"]), None);
        assert_eq!(fraction(&["three", "quarters"]), Some((0.75, 2)));
        assert_eq!(fraction(&["half"]), Some((0.5, 1)));
        assert_eq!(fraction(&["three", "halves"]), None);
    }

    proptest! {
        #[test]
        fn a_number_written_in_words_is_read_back(n in -999_999i64..=999_999) {
            let text = write::number_words(n);
            let words: Vec<&str> = text.split(' ').collect();
            prop_assert_eq!(number(&words), Some((n as f64, words.len())));
        }

        #[test]
        fn an_ordinal_written_in_words_is_read_back(n in 1u32..=39) {
            let text = write::ordinal_words(n);
            let words: Vec<&str> = text.split(' ').collect();
            prop_assert_eq!(ordinal(&words), Some((n, words.len())));
        }

        #[test]
        fn no_words_break_the_readers(text in "(a|half|and|one|two|hundred|thousand|point|minus|7|3\\.5|th|quarters| )*") {
            let words: Vec<&str> = text.split_whitespace().collect();
            for from in 0..words.len() {
                if let Some((value, n)) = number(&words[from..]) {
                    prop_assert!(n >= 1 && from + n <= words.len() && value.is_finite());
                }
                let _ = (ordinal(&words[from..]), fraction(&words[from..]));
            }
        }
    }
}
