//! The languages of reports: numbers, dates, durations and states, and the texts that a report is made of.
//!
//! The words are chosen by computation alone; what a language model writes is checked against an English vocabulary, so that reports in
//! other languages do without one.

mod texts;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// A language of reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
    /// French.
    #[serde(rename = "fr")]
    French,
    /// Spanish.
    #[serde(rename = "es")]
    Spanish,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 4] = [Language::English, Language::German, Language::French, Language::Spanish];

    /// As HTML and the configuration call it: `de`.
    pub fn code(self) -> &'static str {
        ["en", "de", "fr", "es"][self as usize]
    }

    /// A text in this language, by its English form; one that is not known stays English.
    pub fn text(self, english: &'static str) -> &'static str {
        let all = texts::SENTENCES.iter().chain(texts::PAGES);
        all.into_iter().find(|text| text[0] == english).map_or(english, |text| text[self as usize])
    }

    /// The same with its slots filled: `{name}` becomes what stands beside `name`. What is filled in is not searched for slots.
    pub fn say(self, english: &'static str, slots: &[(&str, &str)]) -> String {
        let mut out = String::new();
        let mut rest = self.text(english);
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let Some((slot, after)) = behind.split_once('}') else { break };
            out.push_str(slots.iter().find(|(name, _)| *name == slot).map_or("", |(_, value)| value));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// One of two texts, by a number, which fills `{n}`.
    pub fn count(self, n: u64, texts: [&'static str; 2], of: &str) -> String {
        self.say(texts[usize::from(n != 1)], &[("n", &n.to_string()), ("of", of)])
    }

    /// A number with this language's decimal mark.
    pub fn number(self, figure: Figure) -> String {
        self.decimal(&figure.to_string())
    }

    /// The same of a number that is text already, with a point.
    pub fn decimal(self, number: &str) -> String {
        if self == Language::English { number.to_owned() } else { number.replace('.', ",") }
    }

    /// A number and its unit.
    pub fn quantity(self, figure: Figure, unit: &str) -> String {
        let space = if unit.is_empty() { "" } else { " " };
        format!("{}{space}{unit}", self.number(figure))
    }

    /// A day: `20. November 2026`.
    pub fn date(self, date: Date) -> String {
        let (day, year) = (date.day(), date.year());
        let month = texts::MONTHS[date.month() as usize - 1][self as usize];
        match self {
            Language::English => format!("{day} {month} {year}"),
            Language::German => format!("{day}. {month} {year}"),
            Language::French if day == 1 => format!("1er {month} {year}"),
            Language::French => format!("{day} {month} {year}"),
            Language::Spanish => format!("{day} de {month} de {year}"),
        }
    }

    /// A day and a time in few letters: `20.11. 14:20`.
    pub fn short_time(self, at: &jiff::Zoned) -> String {
        let form = match self {
            Language::English => "%-d %b %H:%M",
            Language::German => "%-d.%-m. %H:%M",
            Language::French | Language::Spanish => "%-d/%-m %H:%M",
        };
        at.strftime(form).to_string()
    }

    /// A duration as [`spoken`](crate::clock::spoken) tells it in English.
    pub fn duration(self, english: &str) -> String {
        let word = |word: &str| texts::DURATIONS.iter().find(|text| text[0] == word).map(|text| text[self as usize]);
        let words: Vec<&str> = english.split(' ').map(|w| word(w).unwrap_or(w)).collect();
        words.join(" ")
    }

    /// The word of a state, where it is a usual one.
    pub fn state(self, word: &str) -> String {
        let known = texts::STATES.iter().find(|text| text[0] == word);
        known.map_or(word, |text| text[self as usize]).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn slots(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|behind| behind.split_once('}')).map(|(slot, _)| slot).collect()
    }

    #[test]
    fn every_text_has_the_same_slots_in_every_language_and_is_there_once() {
        let mut seen = BTreeSet::new();
        for text in texts::SENTENCES.iter().chain(texts::PAGES) {
            assert!(seen.insert(text[0]), "{} is there twice", text[0]);
            for other in text {
                assert_eq!(slots(other), slots(text[0]), "{other}");
                assert!(!other.is_empty());
            }
        }
    }

    #[test]
    fn slots_are_filled_once_and_what_fills_them_is_left_as_it_is() {
        let said = Language::German.say("The {name} spiked to {value}.", &[("name", "{value}"), ("value", "5 °C")]);
        assert_eq!(said, "{value}: Ausreißer auf 5 °C.");
    }

    #[test]
    fn numbers_days_and_durations_are_written_as_the_language_does() {
        let figure = Figure::parse("-1234.5").unwrap();
        let day = jiff::civil::date(2026, 3, 1);
        for (language, number, date, lasted) in [
            (Language::English, "-1234.5 kWh", "1 March 2026", "5 days"),
            (Language::German, "-1234,5 kWh", "1. März 2026", "5 Tage"),
            (Language::French, "-1234,5 kWh", "1er mars 2026", "5 jours"),
            (Language::Spanish, "-1234,5 kWh", "1 de marzo de 2026", "5 días"),
        ] {
            assert_eq!(language.quantity(figure, "kWh"), number);
            assert_eq!(language.date(day), date);
            assert_eq!(language.duration("5 days"), lasted);
            assert_eq!(language.duration("3 h 10 min"), "3 h 10 min");
        }
    }
}
