//! Numbers as words: cardinals, ordinals, decimals, years, digits one by one.

use super::pack::NumberWords;

/// A number as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// `-`, `+` or none.
    pub sign: Option<char>,
    /// The digits before the point, without marks between thousands; may be empty where a point follows.
    pub whole: String,
    /// The digits behind the point.
    pub fraction: Option<String>,
    /// A power of ten: whether it is negative, and its digits.
    pub exponent: Option<(bool, String)>,
    /// Whether marks stood between thousands.
    pub grouped: bool,
}

impl Number {
    /// A number at the beginning of `text`, and what follows it. `1,234.5`, `-3`, `.5`, `1.5e-3`; U+2212 and a dash are a minus, too.
    pub fn parse(text: &str) -> Option<(Number, &str)> {
        let mut rest = text;
        let sign = match rest.chars().next()? {
            '-' | '−' | '–' => Some('-'),
            '+' => Some('+'),
            _ => None,
        };
        if sign.is_some() {
            rest = &rest[rest.chars().next()?.len_utf8()..];
        }
        let (mut whole, after) = digits(rest);
        let mut number = whole.to_string();
        let mut grouped = false;
        rest = after;
        // Thousands: one to three digits, then groups of three.
        while (1..=3).contains(&whole.len()) || grouped {
            let Some(mark) = rest.chars().next().filter(|c| matches!(c, ',' | '\u{202f}' | '\u{a0}' | '\u{2009}'))
            else {
                break;
            };
            let (group, after) = digits(&rest[mark.len_utf8()..]);
            if group.len() != 3 {
                break;
            }
            number.push_str(group);
            (whole, rest, grouped) = (group, after, true);
        }
        let mut fraction = None;
        if let Some(after) = rest.strip_prefix('.') {
            let (decimals, after) = digits(after);
            if !decimals.is_empty() {
                fraction = Some(decimals.to_string());
                rest = after;
            }
        }
        if number.is_empty() && fraction.is_none() {
            return None;
        }
        let mut exponent = None;
        if let Some(after) = rest.strip_prefix(['e', 'E']) {
            let negative = after.starts_with(['-', '−']);
            let (power, after) = digits(after.trim_start_matches(['-', '−', '+']));
            if (1..=3).contains(&power.len()) && !after.starts_with(char::is_alphanumeric) {
                exponent = Some((negative, power.to_string()));
                rest = after;
            }
        }
        Some((Number { sign, whole: number, fraction, exponent, grouped }, rest))
    }

    /// A number that is all of `text`.
    pub fn all_of(text: &str) -> Option<Number> {
        Number::parse(text).and_then(|(number, rest)| rest.is_empty().then_some(number))
    }

    /// Only digits were written.
    pub fn is_plain(&self) -> bool {
        self.sign.is_none() && !self.grouped && self.fraction.is_none() && self.exponent.is_none()
    }

    /// What a unit is singular for.
    pub fn is_one(&self) -> bool {
        self.whole == "1" && self.fraction.is_none() && self.exponent.is_none()
    }
}

/// The ASCII digits at the beginning, and the rest.
pub(super) fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Says numbers in one language.
#[derive(Clone, Copy)]
pub(super) struct Speller<'a> {
    pub words: &'a NumberWords,
    pub hundred_and: bool,
}

impl Speller<'_> {
    /// "two point five", "minus three", "one point five times ten to the minus three".
    pub fn number(&self, number: &Number) -> String {
        let words = self.words;
        let mut out = match number.sign {
            Some('-') => format!("{} ", words.minus),
            Some(_) => format!("{} ", words.plus),
            None => String::new(),
        };
        if !number.whole.is_empty() {
            out += &self.cardinal(&number.whole);
        }
        if let Some(fraction) = &number.fraction {
            if !number.whole.is_empty() {
                out.push(' ');
            }
            out += &format!("{} {}", words.point, self.digits(fraction));
        }
        if let Some((negative, power)) = &number.exponent {
            out += &format!(" {} ", words.exponent);
            if *negative {
                out += &format!("{} ", words.minus);
            }
            out += &self.cardinal(power);
        }
        out
    }

    /// "one thousand two hundred thirty-four". Leading zeros, and more digits than the language has words for, are read one by one.
    pub fn cardinal(&self, digits: &str) -> String {
        let n_groups = digits.len().div_ceil(3);
        if n_groups > self.words.scales.len() || (digits.len() > 1 && digits.starts_with('0')) {
            return self.digits(digits);
        }
        let mut parts: Vec<String> = Vec::new();
        let mut at = 0;
        for group in (0..n_groups).rev() {
            let end = digits.len() - group * 3;
            let value: usize = digits[at..end].parse().unwrap_or(0);
            at = end;
            if value == 0 {
                continue;
            }
            // "one thousand and one"
            if self.hundred_and && group == 0 && value < 100 && !parts.is_empty() {
                parts.push(self.words.and.clone());
            }
            parts.push(self.below_thousand(value));
            if group > 0 {
                parts.push(self.words.scales[group].clone());
            }
        }
        if parts.is_empty() { self.words.small[0].clone() } else { parts.join(" ") }
    }

    fn below_thousand(&self, value: usize) -> String {
        let words = self.words;
        let (hundreds, rest) = (value / 100, value % 100);
        let mut out = String::new();
        if hundreds > 0 {
            out = format!("{} {}", words.small[hundreds], words.hundred);
            if rest > 0 {
                out.push(' ');
                if self.hundred_and {
                    out += &format!("{} ", words.and);
                }
            }
        }
        if rest > 0 || hundreds == 0 {
            out += &self.below_hundred(rest);
        }
        out
    }

    fn below_hundred(&self, value: usize) -> String {
        let words = self.words;
        match value {
            0..20 => words.small[value].clone(),
            _ if value.is_multiple_of(10) => words.tens[value / 10 % 10].clone(),
            _ => format!("{}-{}", words.tens[value / 10 % 10], words.small[value % 10]),
        }
    }

    /// "twenty-first".
    pub fn ordinal(&self, digits: &str) -> String {
        self.last_word(&self.cardinal(digits), |word| match self.words.ordinals.get(word) {
            Some(ordinal) => ordinal.clone(),
            None => match word.strip_suffix('y') {
                Some(stem) => format!("{stem}ieth"),
                None => format!("{word}th"),
            },
        })
    }

    /// "nineteen nineties", "fives".
    pub fn plural(&self, spoken: &str) -> String {
        self.last_word(spoken, |word| match word.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if word.ends_with('x') => format!("{word}es"),
            None => format!("{word}s"),
        })
    }

    fn last_word(&self, text: &str, change: impl Fn(&str) -> String) -> String {
        let at = text.rfind([' ', '-']).map_or(0, |at| at + 1);
        format!("{}{}", &text[..at], change(&text[at..]))
    }

    /// A year of four digits: "nineteen oh five", "two thousand five", "twenty twenty-six".
    pub fn year(&self, year: &str) -> String {
        let (Ok(value), 4) = (year.parse::<usize>(), year.len()) else { return self.cardinal(year) };
        let (century, rest) = (value / 100, value % 100);
        if century % 10 == 0 && rest < 10 {
            return self.cardinal(year);
        }
        self.pair(century, rest)
    }

    /// Two halves of a number of three or four digits: "seven oh seven", "ten eighty", "five hundred".
    pub fn pair(&self, high: usize, low: usize) -> String {
        let high = self.below_hundred(high);
        match low {
            0 => format!("{high} {}", self.words.hundred),
            1..10 => format!("{high} {} {}", self.words.oh, self.words.small[low]),
            _ => format!("{high} {}", self.below_hundred(low)),
        }
    }

    /// "nine zero two one zero".
    pub fn digits(&self, digits: &str) -> String {
        let words: Vec<&str> = digits
            .chars()
            .filter_map(|c| c.to_digit(10))
            .map(|digit| self.words.small[digit as usize].as_str())
            .collect();
        words.join(" ")
    }

    /// The digits within a name: B12 "twelve", 747 "seven forty-seven", 1080p "ten eighty"; longer ones and such with a zero in front
    /// one by one.
    pub fn label(&self, digits: &str) -> String {
        match (digits.len(), digits.parse::<usize>()) {
            (_, _) if digits.len() > 1 && digits.starts_with('0') => self.digits(digits),
            (1 | 2, Ok(value)) => self.below_hundred(value),
            (3, Ok(value)) => self.pair(value / 100, value % 100),
            (4, Ok(value)) if value % 1000 == 0 => self.cardinal(digits),
            (4, Ok(value)) => self.pair(value / 100, value % 100),
            _ => self.digits(digits),
        }
    }
}

/// A Roman number in its canonical form, below 400.
pub(super) fn roman(text: &str) -> Option<u32> {
    const STEPS: [(&str, u32); 9] =
        [("C", 100), ("XC", 90), ("L", 50), ("XL", 40), ("X", 10), ("IX", 9), ("V", 5), ("IV", 4), ("I", 1)];
    let (mut rest, mut value, mut canonical) = (text, 0, String::new());
    for (step, worth) in STEPS {
        while let Some(after) = rest.strip_prefix(step).filter(|_| value < 400) {
            (rest, value) = (after, value + worth);
        }
    }
    let mut left = value;
    for (step, worth) in STEPS {
        while left >= worth {
            canonical += step;
            left -= worth;
        }
    }
    (rest.is_empty() && (1..400).contains(&value) && canonical == text).then_some(value)
}
