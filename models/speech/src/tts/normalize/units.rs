//! Units behind numbers: symbols, their powers and quotients; durations and feet.

use super::numbers::{Number, digits};
use super::{Said, View, is_capitalized};

impl View<'_> {
    /// A unit's name for one and for many. `is_attached`: it stands right behind the digits.
    pub(super) fn unit(&self, symbol: &str, is_attached: bool) -> Option<(String, String)> {
        let rules = &self.pack.unit_rules;
        if !is_attached && rules.attached_only.contains(symbol) {
            return None;
        }
        if let Some([one, many]) = self.pack.units.get(symbol) {
            return Some((one.clone(), many.clone()));
        }
        // The longest unit has a few characters; nothing else is looked at.
        if symbol.len() > 12 {
            return None;
        }
        if let Some((left, right)) = symbol.split_once('/') {
            let (one, many) = self.unit_or_power(left)?;
            let squared = match right {
                "s²" | "s2" => self.pack.units.get("s").map(|[one, _]| format!("{one} {}", rules.squared)),
                _ => None,
            };
            let per = squared.or_else(|| self.unit_or_power(right).map(|(one, _)| one)).or_else(|| {
                let is_word = right.len() > 2 && right.chars().all(char::is_alphabetic);
                is_word.then(|| right.to_string())
            })?;
            return Some((format!("{one} {} {per}", rules.per), format!("{many} {} {per}", rules.per)));
        }
        self.unit_or_power(symbol)
    }

    fn unit_or_power(&self, symbol: &str) -> Option<(String, String)> {
        if let Some([one, many]) = self.pack.units.get(symbol) {
            return Some((one.clone(), many.clone()));
        }
        let rules = &self.pack.unit_rules;
        let (base, power) = if let Some(base) = symbol.strip_suffix(['²', '2']) {
            (base, &rules.square)
        } else if let Some(base) = symbol.strip_suffix(['³', '3']) {
            (base, &rules.cubic)
        } else {
            return None;
        };
        // Lengths only: "W2" is a name.
        if !matches!(base, "nm" | "mm" | "cm" | "dm" | "m" | "km" | "in" | "ft" | "yd" | "mi" | "s") {
            return None;
        }
        let [one, many] = self.pack.units.get(base)?;
        Some((format!("{power} {one}"), format!("{power} {many}")))
    }

    /// The unit in the word behind the number that takes `n_tokens`: its names, and how many words it takes.
    pub(super) fn unit_behind(&self, at: usize, n_tokens: usize) -> Option<((String, String), usize)> {
        let last = at + n_tokens - 1;
        let next = self.next(last);
        if next.is_empty() {
            return None;
        }
        let behind = self.next(last + 1);
        if next == "sq" {
            let (one, many) = self.unit(behind, false)?;
            let square = &self.pack.unit_rules.square;
            return Some(((format!("{square} {one}"), format!("{square} {many}")), 2));
        }
        if matches!(next, "°" | "º") && matches!(behind, "C" | "F") {
            return Some((self.unit(behind, true)?, 2));
        }
        // "5 ft 11 in": behind feet it is no preposition.
        let behind_feet = next == "in" && matches!(self.previous(at), "ft" | "feet" | "foot");
        let unit = self.unit(next, behind_feet)?;
        // "5 m" beside hours is minutes; "2 A" before a name is a letter.
        let unit = if next == "m" && self.is_beside_time(last + 1) { self.unit("min", true)? } else { unit };
        let is_letter = next.len() == 1 && next != "%" && is_capitalized(next) && is_capitalized(behind);
        (!is_letter).then_some((unit, 1))
    }

    /// A spoken number with the unit behind it, if there is one.
    pub(super) fn with_unit(&self, at: usize, n_tokens: usize, spoken: &str, is_many: bool) -> Option<Said> {
        let Some(((one, many), n)) = self.unit_behind(at, n_tokens) else { return Said::of(n_tokens, spoken) };
        let last = at + n_tokens + n - 1;
        let words = format!("{spoken} {}", if is_many { many } else { one });
        // "5 oz." within a sentence.
        let goes_on =
            self.tokens.get(last + 1).is_some_and(|t| t.core.starts_with(char::is_lowercase) && !t.begins_line);
        let trail = if goes_on && self.tokens[last].trail == "." { Some(String::new()) } else { None };
        Some(Said { n_tokens: n_tokens + n, words, trail, drops_lead: false })
    }

    /// Whether hours stand before the token, or seconds behind it.
    pub(super) fn is_beside_time(&self, at: usize) -> bool {
        let timed = |word: &str, units: &[&str]| {
            let (count, unit) = digits(word);
            (!count.is_empty() && units.contains(&unit)) || (count.is_empty() && units.contains(&word))
        };
        timed(self.previous(at), &["h", "hr", "hrs"]) || timed(self.next(at), &["s", "sec"])
    }

    /// 1h30m, 2m30s, 1h30.
    pub(super) fn duration(&self, at: usize) -> Option<Said> {
        let mut rest = self.tokens[at].core;
        let mut words: Vec<String> = Vec::new();
        let mut last = "";
        while !rest.is_empty() {
            let (count, after) = digits(rest);
            let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (symbol, after) = after.split_at(end);
            let unit = match (symbol, last) {
                ("d" | "h" | "s" | "min" | "sec" | "ms", _) => symbol,
                ("m", _) => "min",
                ("", "h") if count.len() == 2 => "min",
                _ => return None,
            };
            if count.is_empty() || words.len() >= 8 {
                return None;
            }
            let (one, many) = self.unit(unit, true)?;
            let number = Number::all_of(count)?;
            let is_one = number.is_one() || count == "01";
            words.push(format!("{} {}", self.speller.cardinal(count), if is_one { one } else { many }));
            (rest, last) = (after, symbol);
        }
        if words.len() > 1 { Said::one(words.join(" ")) } else { None }
    }

    /// 6'2", 5', 5′10″, 27".
    pub(super) fn feet(&self, at: usize) -> Option<Said> {
        let (feet, rest) = digits(self.tokens[at].core);
        if feet.is_empty() {
            return None;
        }
        let rest = rest.strip_prefix(['\'', '’', '′'])?;
        let foot = self.pack.units.get("′")?;
        let (inches, rest) = digits(rest);
        if !matches!(rest, "" | "\"" | "″" | "''" | "”") {
            return None;
        }
        let spoken = self.speller.cardinal(feet);
        match inches {
            "" if feet == "1" => Said::one(format!("{spoken} {}", foot[0])),
            "" => Said::one(format!("{spoken} {}", foot[1])),
            _ => Said::one(format!("{spoken} {} {}", foot[0], self.speller.cardinal(inches))),
        }
    }
}
