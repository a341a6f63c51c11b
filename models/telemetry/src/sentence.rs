//! The sentences of a report: which ones there should be, what each says in plain words computed from the table, and where
//! one ends in a text that a model writes.

mod translated;

use super::language::Language;
use super::table::{Change, Charge, Counted, Figures, FromTo, NoteKind, Row, Spaced, States, Table};

/// Anomalies that a report tells in sentences; the table may hold one more.
const MAX_ANOMALY_SENTENCES: usize = 3;
/// Sentences of a report.
pub const MAX_SENTENCES: usize = 5;
/// Sensors that are told when nothing else is.
const SENSOR_SENTENCES: usize = 2;

/// A battery that is empty in so many days is told before other sensors.
const BATTERY_DUE_DAYS: u32 = 14;

/// What a sentence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// That there is nothing to say.
    NothingUnusual,
    /// An anomaly: an index into the table's notes.
    Note(usize),
    /// A sensor: an index into the table's rows.
    Row(usize),
}

/// What a report of this table has to tell, in order: its first anomalies, then its first sensors; two to five sentences.
pub fn topics(table: &Table) -> Vec<Topic> {
    let mut topics: Vec<Topic> = (0..table.notes().len().min(MAX_ANOMALY_SENTENCES)).map(Topic::Note).collect();
    // Of a window without any reading nobody can say that it was as usual.
    if topics.is_empty() && table.rows().iter().any(Row::has_readings) {
        topics.push(Topic::NothingUnusual);
    }
    // What needs somebody to act comes first.
    let is_due = |r: &usize| table.rows()[*r].charge.is_some_and(|c| c.days <= BATTERY_DUE_DAYS);
    let mut rows: Vec<usize> = (0..table.rows().len()).collect();
    rows.sort_by_key(|r| !is_due(r));
    topics.extend(rows.into_iter().take(SENSOR_SENTENCES).map(Topic::Row));
    topics.truncate(MAX_SENTENCES);
    topics
}

/// The facts of one sentence as a table of their own.
pub fn facts(table: &Table, topic: Topic) -> Table {
    match topic {
        Topic::NothingUnusual => table.clone(),
        Topic::Note(n) => table.narrowed(table.notes()[n].row, Some(n)),
        Topic::Row(r) => table.narrowed(r, None),
    }
}

/// The plain sentence for a topic, in the table's language.
pub fn compute(table: &Table, topic: Topic) -> String {
    match table.language() {
        Language::English => english(table, topic),
        language => translated::translated(language, table, topic),
    }
}

fn english(table: &Table, topic: Topic) -> String {
    match topic {
        Topic::NothingUnusual => "Nothing unusual was seen.".to_owned(),
        Topic::Note(n) => {
            let note = &table.notes()[n];
            let Row { name, unit, .. } = &table.rows()[note.row];
            let unit = Spaced(unit);
            match &note.kind {
                NoteKind::Spike(spike) => match spike.at {
                    Some(at) => format!("The {name} spiked to {}{unit} at {at}.", spike.value),
                    None => format!("The {name} spiked to {}{unit}.", spike.value),
                },
                NoteKind::Gap(None) => format!("The {name} has a gap in its readings."),
                NoteKind::Gap(times) => format!("The {name} has no readings{}.", FromTo(times)),
                NoteKind::Drift { up, by, from } => {
                    let direction = if *up { "up" } else { "down" };
                    match from {
                        Some(from) => format!("The {name} drifted {direction} by {by}{unit} from {from}."),
                        None => format!("The {name} drifted {direction} by {by}{unit}."),
                    }
                }
                NoteKind::Stuck(value, times) => format!("The {name} was stuck at {value}{unit}{}.", FromTo(times)),
                NoteKind::Above(limit, times) => format!("The {name} was above {limit}{unit}{}.", FromTo(times)),
                NoteKind::Below(limit, times) => format!("The {name} was below {limit}{unit}{}.", FromTo(times)),
            }
        }
        Topic::Row(r) => of_row(&table.rows()[r], table.before()),
    }
}

/// The plain sentence of a sensor.
pub(super) fn of_row(row: &Row, before: &str) -> String {
    let Row { name, unit, figures, counted, states, charge } = row;
    let unit = Spaced(unit);
    if let Some(Counted { gain, last, .. }) = counted {
        return match last {
            Some(last) => format!("The {name} counted {gain}{unit} and stood at {last}{unit}."),
            None => format!("The {name} counted {gain}{unit}."),
        };
    }
    if let Some(Charge { last, days }) = charge {
        let days = if *days == 1 { "1 day".to_owned() } else { format!("{days} days") };
        return format!("The {name} stood at {last}{unit} and lasts about {days}.");
    }
    if let Some(states) = states {
        return of_states(name, states);
    }
    let Some(Figures { mean, low, high, change }) = figures else {
        return format!("The {name} gave no readings.");
    };
    let at = |e: &super::table::Extreme| match e.at {
        Some(at) => format!("{}{unit} at {at}", e.value),
        None => format!("{}{unit}", e.value),
    };
    let change = match change {
        Some(Change::Steady) => return format!("The {name} stayed steady at {mean}{unit}."),
        Some(Change::Rose(by)) => format!(" and rose by {by}{unit} against {before}"),
        Some(Change::Fell(by)) => format!(" and fell by {by}{unit} against {before}"),
        None => String::new(),
    };
    format!("The {name} averaged {mean}{unit}{change}, between {} and {}.", at(low), at(high))
}

fn of_states(name: &str, States { lines, changes }: &States) -> String {
    let Some(first) = lines.first() else { return format!("The {name} gave no readings.") };
    if *changes == 0 {
        return format!("The {name} stayed {}.", first.word);
    }
    let times = if *changes == 1 { "time" } else { "times" };
    let longest = match first.longest {
        Some((from, to)) if *changes > 2 => format!(", longest from {from} to {to},"),
        _ => String::new(),
    };
    format!("The {name} was {} for {}{longest} and changed {changes} {times}.", first.word, first.lasted)
}

/// Cuts a stream of text into sentences: a sentence ends with `.`, `!` or `?` before a space or a newline, or with a newline.
#[derive(Debug, Default)]
pub struct SentenceCutter {
    pending: String,
}

impl SentenceCutter {
    /// Adds text; answers the sentences that are complete by now.
    pub fn push(&mut self, text: &str) -> Vec<String> {
        self.pending.push_str(text);
        let mut sentences = Vec::new();
        let mut begin = 0;
        let mut characters = self.pending.char_indices().peekable();
        while let Some((i, c)) = characters.next() {
            let ends = match c {
                '\n' => true,
                '.' | '!' | '?' => characters.peek().is_some_and(|(_, next)| next.is_whitespace()),
                _ => false,
            };
            if ends {
                let end = i + c.len_utf8();
                let sentence = self.pending[begin..end].trim();
                if !sentence.is_empty() {
                    sentences.push(sentence.to_owned());
                }
                begin = end;
            }
        }
        self.pending.drain(..begin);
        sentences
    }

    /// The text is at its end: what is left, if there is any.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.pending);
        let rest = rest.trim();
        (!rest.is_empty()).then(|| rest.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_cut_alike_however_the_text_arrives() {
        let text = "The hall was 21.3 °C at 05:10. It flows at 4.2 l/min! Really?\nYes. And so";
        let whole = {
            let mut cutter = SentenceCutter::default();
            let mut found = cutter.push(text);
            found.extend(cutter.finish());
            found
        };
        assert_eq!(whole, ["The hall was 21.3 °C at 05:10.", "It flows at 4.2 l/min!", "Really?", "Yes.", "And so"]);
        let mut cutter = SentenceCutter::default();
        let mut piecewise: Vec<String> = text.chars().flat_map(|c| cutter.push(&c.to_string())).collect();
        piecewise.extend(cutter.finish());
        assert_eq!(piecewise, whole);
    }
}
