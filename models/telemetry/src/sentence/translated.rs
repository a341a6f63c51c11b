//! The plain sentences in any language, as computed from the table.

use super::Topic;
use crate::figure::Figure;
use crate::language::Language;
use crate::table::{Change, ClockTime, Extreme, Figures, NoteKind, Row, States, Table};

/// The plain sentence for a topic, in a language.
pub(super) fn translated(language: Language, table: &Table, topic: Topic) -> String {
    match topic {
        Topic::NothingUnusual => language.say("Nothing unusual was seen.", &[]),
        Topic::Note(n) => {
            let note = &table.notes()[n];
            Teller { language, row: &table.rows()[note.row] }.note(&note.kind)
        }
        Topic::Row(r) => Teller { language, row: &table.rows()[r] }.row(table.before()),
    }
}

struct Teller<'a> {
    language: Language,
    row: &'a Row,
}

impl Teller<'_> {
    fn say(&self, english: &'static str, slots: &[(&str, &str)]) -> String {
        let mut all = vec![("name", self.row.name.as_str())];
        all.extend_from_slice(slots);
        self.language.say(english, &all)
    }

    fn value(&self, figure: Figure) -> String {
        self.language.quantity(figure, &self.row.unit)
    }

    fn extreme(&self, extreme: &Extreme) -> String {
        let value = self.value(extreme.value);
        match extreme.at {
            None => value,
            Some(at) => self.language.say("{value} at {at}", &[("value", &value), ("at", &at.to_string())]),
        }
    }

    /// One of two texts, by whether times are told.
    fn with_times(&self, texts: [&'static str; 2], value: &str, times: &Option<(ClockTime, ClockTime)>) -> String {
        match times {
            None => self.say(texts[0], &[("value", value)]),
            Some((from, to)) => {
                self.say(texts[1], &[("value", value), ("from", &from.to_string()), ("to", &to.to_string())])
            }
        }
    }

    fn note(&self, kind: &NoteKind) -> String {
        match kind {
            NoteKind::Spike(Extreme { value, at: None }) => {
                self.say("The {name} spiked to {value}.", &[("value", &self.value(*value))])
            }
            NoteKind::Spike(Extreme { value, at: Some(at) }) => {
                let slots = [("value", self.value(*value)), ("at", at.to_string())];
                self.say("The {name} spiked to {value} at {at}.", &slots.each_ref().map(|(k, v)| (*k, v.as_str())))
            }
            NoteKind::Gap(times) => self.with_times(
                ["The {name} has a gap in its readings.", "The {name} has no readings from {from} to {to}."],
                "",
                times,
            ),
            NoteKind::Drift { up, by, from } => {
                let by = self.value(*by);
                match (up, from) {
                    (true, None) => self.say("The {name} drifted up by {by}.", &[("by", &by)]),
                    (false, None) => self.say("The {name} drifted down by {by}.", &[("by", &by)]),
                    (up, Some(from)) => {
                        let text = match up {
                            true => "The {name} drifted up by {by} from {from}.",
                            false => "The {name} drifted down by {by} from {from}.",
                        };
                        self.say(text, &[("by", &by), ("from", &from.to_string())])
                    }
                }
            }
            NoteKind::Stuck(value, times) => self.with_times(
                ["The {name} was stuck at {value}.", "The {name} was stuck at {value} from {from} to {to}."],
                &self.value(*value),
                times,
            ),
            NoteKind::Above(limit, times) => self.with_times(
                ["The {name} was above {value}.", "The {name} was above {value} from {from} to {to}."],
                &self.value(*limit),
                times,
            ),
            NoteKind::Below(limit, times) => self.with_times(
                ["The {name} was below {value}.", "The {name} was below {value} from {from} to {to}."],
                &self.value(*limit),
                times,
            ),
        }
    }

    fn row(&self, before: &'static str) -> String {
        if let Some(counted) = &self.row.counted {
            let gain = self.value(counted.gain);
            return match counted.last {
                None => self.say("The {name} counted {gain}.", &[("gain", &gain)]),
                Some(last) => self.say(
                    "The {name} counted {gain} and stood at {last}.",
                    &[("gain", &gain), ("last", &self.value(last))],
                ),
            };
        }
        if let Some(charge) = &self.row.charge {
            let text = match charge.days {
                1 => "The {name} stood at {last} and lasts about 1 day.",
                _ => "The {name} stood at {last} and lasts about {days} days.",
            };
            return self.say(text, &[("last", &self.value(charge.last)), ("days", &charge.days.to_string())]);
        }
        if let Some(states) = &self.row.states {
            return self.states(states);
        }
        let Some(Figures { mean, low, high, change }) = &self.row.figures else {
            return self.say("The {name} gave no readings.", &[]);
        };
        let mean = self.value(*mean);
        let (low, high) = (self.extreme(low), self.extreme(high));
        let slots = |by: &str| [mean.clone(), low.clone(), high.clone(), by.to_owned()];
        let (text, by) = match change {
            Some(Change::Steady) => return self.say("The {name} stayed steady at {mean}.", &[("mean", &mean)]),
            Some(Change::Rose(by)) => (
                "The {name} averaged {mean} and rose by {by} against {before}, between {low} and {high}.",
                self.value(*by),
            ),
            Some(Change::Fell(by)) => (
                "The {name} averaged {mean} and fell by {by} against {before}, between {low} and {high}.",
                self.value(*by),
            ),
            None => ("The {name} averaged {mean}, between {low} and {high}.", String::new()),
        };
        let [mean, low, high, by] = slots(&by);
        let before = self.language.text(before);
        self.say(text, &[("mean", &mean), ("low", &low), ("high", &high), ("by", &by), ("before", before)])
    }

    fn states(&self, states: &States) -> String {
        let Some(first) = states.lines.first() else { return self.say("The {name} gave no readings.", &[]) };
        let state = self.language.state(&first.word);
        let lasted = self.language.duration(&first.lasted);
        let changes = states.changes.to_string();
        let slots = [("state", state.as_str()), ("lasted", lasted.as_str()), ("changes", changes.as_str())];
        match (states.changes, first.longest) {
            (0, _) => self.say("The {name} stayed {state}.", &slots),
            (1, _) => self.say("The {name} was {state} for {lasted} and changed 1 time.", &slots),
            (3.., Some((from, to))) => {
                let (from, to) = (from.to_string(), to.to_string());
                let mut all = slots.to_vec();
                all.extend([("from", from.as_str()), ("to", to.as_str())]);
                self.say(
                    "The {name} was {state} for {lasted}, longest from {from} to {to}, and changed {changes} times.",
                    &all,
                )
            }
            _ => self.say("The {name} was {state} for {lasted} and changed {changes} times.", &slots),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use snapbox::{assert_data_eq, file};

    use super::super::{compute, english};
    use super::*;
    use crate::table::{Charge, Counted, Note, StateLine};

    /// A table with every kind of sentence, with times or without.
    fn table(has_times: bool) -> Table {
        let figure = |text: &str| Figure::parse(text).unwrap();
        let time = |minutes: u16| has_times.then_some(ClockTime(minutes));
        let times = || time(130).zip(time(225));
        let row = |name: &str, unit: &str| Row { name: name.to_owned(), unit: unit.to_owned(), ..Row::default() };
        let figures = |change| {
            let at = |value: &str, minutes| Extreme { value: figure(value), at: time(minutes) };
            Some(Figures { mean: figure("21.3"), low: at("-1.5", 310), high: at("24.9", 860), change })
        };
        let states = |lines: &[(&str, &str)], changes| {
            let line = |(word, lasted): &(&str, &str)| StateLine {
                word: (*word).to_owned(),
                lasted: (*lasted).to_owned(),
                longest: times(),
            };
            Some(States { lines: lines.iter().map(line).collect(), changes })
        };
        let counted = |last| Some(Counted { gain: figure("12.5"), last, resets: 0 });
        let charge = |days| Some(Charge { last: figure("61.5"), days });
        let rows = vec![
            Row { figures: figures(None), ..row("hall", "°C") },
            Row { figures: figures(Some(Change::Rose(figure("0.6")))), ..row("kitchen", "°C") },
            Row { figures: figures(Some(Change::Fell(figure("0.6")))), ..row("attic", "°C") },
            Row { figures: figures(Some(Change::Steady)), ..row("flow", "") },
            row("garage", ""),
            Row { counted: counted(Some(figure("1894.5"))), ..row("meter", "kWh") },
            Row { counted: counted(None), ..row("rain", "mm") },
            Row { charge: charge(1), ..row("remote", "%") },
            Row { charge: charge(7), ..row("sensor 2", "%") },
            Row { states: states(&[("open", "5 days")], 0), ..row("door", "") },
            Row { states: states(&[("on", "3 h 10 min"), ("off", "2 h")], 1), ..row("pump", "") },
            Row { states: states(&[("heating", "40 min"), ("idle", "2 h")], 2), ..row("boiler", "") },
            Row { states: states(&[("open", "40 min"), ("closed", "2 h")], 9), ..row("window", "") },
        ];
        let kinds = [
            NoteKind::Spike(Extreme { value: figure("91.2"), at: time(860) }),
            NoteKind::Gap(times()),
            NoteKind::Drift { up: true, by: figure("3.1"), from: time(480) },
            NoteKind::Drift { up: false, by: figure("3.1"), from: time(480) },
            NoteKind::Stuck(figure("4.2"), times()),
            NoteKind::Above(figure("15"), times()),
            NoteKind::Below(figure("2.5"), times()),
        ];
        let notes = kinds.map(|kind| Note { row: 0, kind }).to_vec();
        let days = [date(2026, 11, 20), date(2026, 11, if has_times { 20 } else { 26 })];
        Table::of(String::new(), days, rows, notes).after("the day before")
    }

    fn topics(table: &Table) -> Vec<Topic> {
        let notes = (0..table.notes().len()).map(Topic::Note);
        let rows = (0..table.rows().len()).map(Topic::Row);
        std::iter::once(Topic::NothingUnusual).chain(notes).chain(rows).collect()
    }

    #[test]
    fn the_english_texts_are_the_plain_sentences() {
        for table in [table(true), table(false)] {
            for topic in topics(&table) {
                assert_eq!(translated(Language::English, &table, topic), english(&table, topic));
            }
        }
    }

    #[test]
    fn every_sentence_in_every_language() {
        for language in Language::ALL {
            let mut text = String::new();
            for table in [table(true), table(false)] {
                let table = table.in_language(language);
                for topic in topics(&table) {
                    text.push_str(&compute(&table, topic));
                    text.push('\n');
                }
            }
            let expected = match language {
                Language::English => file!["translated/en.txt": Text],
                Language::German => file!["translated/de.txt": Text],
                Language::French => file!["translated/fr.txt": Text],
                Language::Spanish => file!["translated/es.txt": Text],
            };
            assert_data_eq!(text, expected.raw());
        }
    }
}
