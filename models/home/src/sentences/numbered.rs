//! Numbers that are part of a name: "bedroom 1", "rooms 1, 2 and 3", "garage door 2". Such a number is no level and no amount, and a
//! list of them names one thing each.

use std::collections::{BTreeSet, HashMap};

use super::vocabulary::{Vocabulary, stem};

/// Numbers behind a word in the names of a home.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    numbers: HashMap<String, BTreeSet<u16>>,
    /// Words of the names of areas.
    of_areas: BTreeSet<String>,
}

/// The most words in a name that has a number.
const LONGEST: usize = 6;

/// The most words before a number that are looked at, and in a phrase whose list of numbers is read.
const MOST_WORDS: usize = 40;

/// The most numbers in one list.
const MOST_NUMBERS: usize = 32;

/// Units behind which a number is a value.
const UNITS: &[&str] = &[
    "percent",
    "per",
    "degree",
    "degrees",
    "celsius",
    "fahrenheit",
    "minute",
    "minutes",
    "hour",
    "hours",
    "second",
    "seconds",
    "kelvin",
];

impl Series {
    /// Of the names of areas and of entities, as stems.
    pub(super) fn of<'n>(
        areas: impl Iterator<Item = &'n Vec<String>>,
        entities: impl Iterator<Item = &'n Vec<String>>,
    ) -> Self {
        let mut series = Self::default();
        let pairs = |name: &Vec<String>| -> Vec<(String, u16)> {
            name.windows(2).filter_map(|pair| Some((pair[0].clone(), numeral(&pair[1])?))).collect()
        };
        for (word, number) in areas.flat_map(pairs) {
            series.of_areas.insert(word.clone());
            series.numbers.entry(word).or_default().insert(number);
        }
        for (word, number) in entities.flat_map(pairs) {
            series.numbers.entry(word).or_default().insert(number);
        }
        series
    }

    fn has(&self, word: &str, number: u16) -> bool {
        self.numbers.get(word).is_some_and(|numbers| numbers.contains(&number))
    }

    /// Whether any number behind this word is one of a name: of an area, or of one of several things that are counted.
    fn counts(&self, word: &str) -> bool {
        self.of_areas.contains(word) || self.numbers.get(word).is_some_and(|numbers| numbers.len() > 1)
    }
}

/// A whole number that a name may have, from its stem.
fn numeral(stem: &str) -> Option<u16> {
    (stem.len() <= 4 && is_numeral(stem)).then(|| stem.parse().ok()).flatten()
}

/// Whether a word is nothing but digits.
pub(super) fn is_numeral(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

fn is_joiner(word: &str) -> bool {
    matches!(word, "and" | "," | "or" | "plus")
}

impl Vocabulary {
    /// Whether the word at `at` is a number that completes a name, whether or not there is such a thing: "in bedroom 7". One with a
    /// unit behind it, or one behind "to", is a value.
    pub fn is_number_of_name(&self, words: &[&str], at: usize) -> bool {
        let Some(number) = words.get(at).and_then(|word| numeral(&stem(word))) else { return false };
        let from = at.saturating_sub(MOST_WORDS);
        let (words, at) = (&words[from..words.len().min(at + 1 + LONGEST)], at - from);
        let stems: Vec<String> = words.iter().map(|word| stem(word)).collect();
        if words.get(at + 1).is_some_and(|word| UNITS.contains(word)) {
            return false;
        }
        if self.completes(&stems, at) || self.is_in_numbered_place(words, &stems, at) {
            return true;
        }
        // "Room 1, 2 and 3", "bedrooms 1 to 3": one of a list that begins with a name.
        let mut first = at;
        loop {
            let mut before = first;
            let mut is_range = false;
            while before > 0 && (is_joiner(words[before - 1]) || matches!(words[before - 1], "to" | "through")) {
                is_range |= matches!(words[before - 1], "to" | "through");
                before -= 1;
            }
            if before == 0 || numeral(&stems[before - 1]).is_none() {
                return false;
            }
            let word = before.checked_sub(2).map(|word| (&*stems[word], words[word]));
            first = before - 1;
            if self.completes(&stems, first) {
                let Some((word, said)) = word else { return false };
                return self.series().has(word, number) && (!is_range || said != word || words[at - 1] == "through");
            }
        }
    }

    /// Whether a number ends, or stands within, the name of a place or a thing, or follows a word behind which names here have one.
    fn completes(&self, stems: &[String], at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        let is_place = |from: usize| self.place_at(&stems[from..]).is_some_and(|(_, n)| from + n > at);
        let is_thing = |from: usize| {
            (at + 1..=stems.len().min(from + LONGEST)).any(|end| !self.named(&stems[from..end]).is_empty())
        };
        // "Living room 40" is not the fortieth, where there is a "room 1" too.
        let is_whole_place =
            || (0..before).any(|from| self.place_at(&stems[from..]).is_some_and(|(_, n)| from + n == at && n > 1));
        (at.saturating_sub(LONGEST - 1)..at).any(|from| is_place(from) || is_thing(from))
            || self.series().counts(&stems[before]) && !is_whole_place()
    }

    /// "In kitchen 2": a place without an article, and a number that none of its names has.
    fn is_in_numbered_place(&self, words: &[&str], stems: &[String], at: usize) -> bool {
        numeral(&stems[at]).is_some_and(|number| number < 10)
            && (1..at).any(|from| {
                matches!(words[from - 1], "in" | "of" | "inside" | "from")
                    && self.place_at(&stems[from..]).is_some_and(|(_, n)| from + n == at)
            })
    }

    /// A phrase in which each number of a list has its name: "the lamps in room 1 and the lamps in room 2" of "the lamps in room 1
    /// and 2"; `None` where it has no such list.
    pub(super) fn with_each_name(&self, words: &[&str]) -> Option<Vec<String>> {
        if words.len() > MOST_WORDS {
            return None;
        }
        let stems: Vec<String> = words.iter().map(|word| stem(word)).collect();
        let mut out: Vec<String> = Vec::with_capacity(words.len());
        let (mut at, mut part, mut is_changed) = (0, 0, false);
        while at < words.len() {
            if is_joiner(words[at]) {
                out.push(words[at].to_owned());
                part = out.len();
                at += 1;
                continue;
            }
            let first = at.checked_sub(1).and_then(|before| {
                let number = numeral(&stems[at]).filter(|number| self.series().has(&stems[before], *number))?;
                Some((before, number))
            });
            let Some((before, mut last)) = first else {
                out.push(words[at].to_owned());
                at += 1;
                continue;
            };
            let head: Vec<String> = out[part..].to_vec();
            out.push(last.to_string());
            at += 1;
            while let Some((next, numbers)) = self.continued(words, &stems, at, before, last) {
                last = *numbers.last()?;
                for number in numbers {
                    out.push("and".to_owned());
                    part = out.len();
                    out.extend(head.iter().cloned());
                    out.push(number.to_string());
                }
                is_changed = true;
                at = next;
            }
        }
        is_changed.then_some(out)
    }

    /// The numbers that go on with a name's, and where they end: "and 2", "to 4".
    fn continued(
        &self,
        words: &[&str],
        stems: &[String],
        from: usize,
        before: usize,
        last: u16,
    ) -> Option<(usize, Vec<u16>)> {
        let series = self.series();
        let joiners = words[from.min(words.len())..].iter().take_while(|word| is_joiner(word)).count();
        let is_range = joiners == 0
            && match *words.get(from)? {
                "through" => true,
                "to" => words[before] != stems[before],
                _ => false,
            };
        let at = from + joiners + usize::from(is_range);
        let number = numeral(stems.get(at)?).filter(|number| series.has(&stems[before], *number))?;
        if words.get(at + 1).is_some_and(|word| UNITS.contains(word)) || is_range && number <= last {
            return None;
        }
        let numbers: Vec<u16> = match is_range {
            true => {
                series.numbers.get(&stems[before])?.range(last + 1..=number).copied().take(MOST_NUMBERS + 1).collect()
            }
            false => vec![number],
        };
        (numbers.len() <= MOST_NUMBERS).then_some((at + 1, numbers))
    }
}

#[cfg(test)]
mod tests {
    use crate::inventory::Inventory;
    use crate::sentences::Vocabulary;

    const HOME: &str = "
areas: [{name: Bedroom 1, id: b1}, {name: Bedroom 2, id: b2}, {name: Bedroom 4, id: b4}, {name: Kitchen, id: k}]
entities:
  - {name: Garage Door 1, id: cover.g1}
  - {name: Garage Door 2, id: cover.g2}
";

    fn names() -> Vocabulary {
        Vocabulary::of(&Inventory::parse(HOME).unwrap().home().unwrap())
    }

    #[test]
    fn a_number_of_a_name_is_told_from_a_value() {
        for (text, is_name) in [
            ("close the blinds in bedroom 1", true),
            ("close the blinds in bedroom one", true),
            ("close the blinds in bedroom 7", true),
            ("close the blinds in bedroom 1 and bedroom 2", true),
            ("close the blinds in bedroom 1 and 2", true),
            ("close the blinds in bedrooms 1 to 4", true),
            ("close the blinds in kitchen 2", true),
            ("open garage door 3", true),
            ("set the blind in bedroom 1 to 4", false),
            ("set the light in bedroom 1 50", false),
            ("set the light in the kitchen 40", false),
            ("set the kitchen 5", false),
            ("set the lamp 1", false),
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(names().is_number_of_name(&words, words.len() - 1), is_name, "{text}");
        }
        assert!(!names().is_number_of_name(&["close", "the", "bedroom", "2", "percent"], 3));
    }

    #[test]
    fn a_list_of_numbers_gets_the_name_for_each() {
        for (text, each) in [
            ("the lamps in bedroom 1 and 2", Some("the lamps in bedroom 1 and the lamps in bedroom 2")),
            ("the bedroom 1 and 2 lights", Some("the bedroom 1 and the bedroom 2 lights")),
            ("bedroom 1 , 2 and 4", Some("bedroom 1 and bedroom 2 and bedroom 4")),
            ("bedroom 1 2 and 4", Some("bedroom 1 and bedroom 2 and bedroom 4")),
            ("bedrooms 1 to 4", Some("bedrooms 1 and bedrooms 2 and bedrooms 4")),
            ("bedroom one through four", Some("bedroom 1 and bedroom 2 and bedroom 4")),
            (
                "the fan and the lamps in bedroom 1 and 4",
                Some("the fan and the lamps in bedroom 1 and the lamps in bedroom 4"),
            ),
            ("garage doors 1 and 2", Some("garage doors 1 and garage doors 2")),
            ("bedroom 1 and bedroom 2", None),
            ("bedroom 1 and 7", None),
            ("bedroom 2 to 1", None),
            ("the kitchen and 2", None),
            ("1 and 2", None),
            ("", None),
        ] {
            let words: Vec<&str> = text.split(' ').filter(|w| !w.is_empty()).collect();
            assert_eq!(names().with_each_name(&words).map(|words| words.join(" ")).as_deref(), each, "{text}");
        }
        // A long list is read no further than people say one.
        let many = "bedroom 1 2 ".repeat(1000);
        let words: Vec<&str> = many.split(' ').collect();
        assert_eq!(names().with_each_name(&words), None);
        assert!(names().is_number_of_name(&words, 2998));
        let lamps: String = (1..=500).map(|n| format!("  - {{name: Lamp {n}, id: light.l{n}}}\n")).collect();
        let names = Vocabulary::of(&Inventory::parse(&format!("entities:\n{lamps}")).unwrap().home().unwrap());
        assert_eq!(names.with_each_name(&["lamps", "1", "to", "500"]), None);
        assert_eq!(names.with_each_name(&["lamps", "1", "to", "3"]).map(|words| words.len()), Some(8));
    }
}
