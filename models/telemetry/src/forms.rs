//! The forms in which one fact of a table may be told, as a regular expression: what a sampler is held to when a sentence is
//! written for the second time. A model then chooses among sentences that are all true, by the order and the words it likes;
//! the numbers, names, units and times are the table's. The check judges the result like any other.
//!
//! A fact has some dozens of forms at most, so that all of them can be listed too: tests hold each one to the check.

use super::figure::Figure;
use super::sentence::Topic;
use super::table::{Change, Extreme, Figures, NoteKind, Row, Spaced, Table, Times};

mod report;

pub use report::report_forms;

/// Sentences in a few words: text, or one of several, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forms {
    /// This text.
    Text(String),
    /// Any one of these.
    OneOf(Vec<Forms>),
    /// These one after the other.
    Row(Vec<Forms>),
}

impl Forms {
    /// As a regular expression over the whole text. A space may stand before it, since many vocabularies begin words with one.
    pub fn expression(&self) -> String {
        let mut expression = String::from(" ?");
        self.write(&mut expression);
        expression
    }

    fn write(&self, out: &mut String) {
        match self {
            Forms::Text(text) => {
                for c in text.chars() {
                    if "\\.+*?()|[]{}^$#&-~".contains(c) {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
            Forms::OneOf(forms) => {
                out.push('(');
                for (i, form) in forms.iter().enumerate() {
                    if i > 0 {
                        out.push('|');
                    }
                    form.write(out);
                }
                out.push(')');
            }
            Forms::Row(forms) => forms.iter().for_each(|form| form.write(out)),
        }
    }

    /// One of them, as `choose` decides: it is told how many ways there are and answers with the place of one.
    pub fn pick(&self, choose: &mut dyn FnMut(usize) -> usize) -> String {
        match self {
            Forms::Text(text) => text.clone(),
            Forms::OneOf(forms) => forms[choose(forms.len()).min(forms.len() - 1)].pick(choose),
            Forms::Row(forms) => forms.iter().map(|form| form.pick(choose)).collect(),
        }
    }

    /// Whether a text is one of them.
    pub fn allows(&self, text: &str) -> bool {
        self.rests(text).iter().any(|rest| rest.is_empty())
    }

    /// What can be left of a text behind one of them.
    fn rests<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut rests: Vec<&str> = match self {
            Forms::Text(own) => text.strip_prefix(own.as_str()).into_iter().collect(),
            Forms::OneOf(forms) => forms.iter().flat_map(|form| form.rests(text)).collect(),
            Forms::Row(forms) => forms.iter().fold(vec![text], |open, form| {
                let mut rests: Vec<&str> = open.iter().flat_map(|rest| form.rests(rest)).collect();
                rests.sort_by_key(|rest| rest.len());
                rests.dedup_by_key(|rest| rest.len());
                rests
            }),
        };
        rests.sort_by_key(|rest| rest.len());
        rests.dedup_by_key(|rest| rest.len());
        rests
    }

    /// Every sentence.
    pub fn all(&self) -> Vec<String> {
        match self {
            Forms::Text(text) => vec![text.clone()],
            Forms::OneOf(forms) => forms.iter().flat_map(Forms::all).collect(),
            Forms::Row(forms) => forms.iter().fold(vec![String::new()], |begun, next| {
                let next = next.all();
                begun.iter().flat_map(|b| next.iter().map(move |n| format!("{b}{n}"))).collect()
            }),
        }
    }
}

/// The forms in which `topic` may be told, each with all of its facts.
pub fn forms(table: &Table, topic: Topic) -> Forms {
    match topic {
        Topic::NothingUnusual => one_of(&["Nothing unusual was [seen|recorded].", "There was nothing unusual."], &[]),
        Topic::Note(n) => {
            let note = &table.notes()[n];
            of_note(&note.kind, &table.rows()[note.row])
        }
        Topic::Row(r) => of_row(&table.rows()[r], table.before()),
    }
}

fn of_note(kind: &NoteKind, row: &Row) -> Forms {
    let name = text(&row.name);
    let value = |figure: &Figure| with_unit(figure, &row.unit);
    match kind {
        NoteKind::Spike(Extreme { value: peak, at: None }) => {
            one_of(&["The {name} [spiked|had a spike] to {peak}."], &[("name", name), ("peak", value(peak))])
        }
        NoteKind::Spike(Extreme { value: peak, at: Some(at) }) => one_of(
            &[
                "The {name} [spiked|had a spike] to {peak} at {at}.",
                "At {at}[|,] the {name} [spiked|had a spike] to {peak}.",
                "There was a spike of the {name} to {peak} at {at}.",
            ],
            &[("name", name), ("peak", value(peak)), ("at", text(&at.to_string()))],
        ),
        NoteKind::Gap(None) => one_of(&["The {name} [has|had] a gap[| in its readings]."], &[("name", name)]),
        NoteKind::Gap(times) => one_of(
            &[
                "The {name} [has|had|gave] no [readings|data]{span}.",
                "The {name} [has|had] a gap[| in its readings]{span}.",
            ],
            &[("name", name), ("span", span_of(times))],
        ),
        NoteKind::Drift { up, by, from } => {
            let from =
                from.map_or(text(""), |from| one_of(&[" [from|since] {from}"], &[("from", text(&from.to_string()))]));
            let way = if *up { "up" } else { "down" };
            one_of(
                &[
                    "The {name} [|has ]drifted {way}[|wards] by {by}{from}.",
                    "The {name} [has|had|showed] a drift {way}[|wards] by {by}{from}.",
                ],
                &[("name", name), ("way", text(way)), ("by", value(by)), ("from", from)],
            )
        }
        NoteKind::Stuck(at, times) => one_of(
            &["The {name} [was|stayed|remained] [stuck|frozen] at {at}{span}."],
            &[("name", name), ("at", value(at)), ("span", span_of(times))],
        ),
        NoteKind::Above(limit, times) => one_of(
            &["The {name} [was|stayed|remained] above {limit}{span}.", "The {name} exceeded {limit}{span}."],
            &[("name", name), ("limit", value(limit)), ("span", span_of(times))],
        ),
        NoteKind::Below(limit, times) => one_of(
            &["The {name} [was|stayed|remained] below {limit}{span}."],
            &[("name", name), ("limit", value(limit)), ("span", span_of(times))],
        ),
    }
}

/// From when to when, after what it tells of.
fn span_of(times: &Times) -> Forms {
    match times {
        None => text(""),
        Some((from, to)) => one_of(
            &[" from {from} to {to}", " between {from} and {to}"],
            &[("from", text(&from.to_string())), ("to", text(&to.to_string()))],
        ),
    }
}

/// A value and when it was, where times are told.
fn extreme(extreme: &Extreme, row: &Row) -> Forms {
    match extreme.at {
        None => with_unit(&extreme.value, &row.unit),
        Some(at) => {
            let parts = [("value", with_unit(&extreme.value, &row.unit)), ("at", text(&at.to_string()))];
            one_of(&["{value} at {at}"], &parts)
        }
    }
}

fn name_of(row: &Row) -> Forms {
    text(&row.name)
}

fn of_row(row: &Row, before: &str) -> Forms {
    let name = ("name", text(&row.name));
    if let Some(counted) = &row.counted {
        let Some(last) = &counted.last else { return text(&super::sentence::of_row(row, before)) };
        let parts = [name, ("gain", with_unit(&counted.gain, &row.unit)), ("last", with_unit(last, &row.unit))];
        return one_of(
            &["The {name} counted {gain} and stood at {last}.", "The {name} stood at {last} and counted {gain}."],
            &parts,
        );
    }
    if row.states.is_some() || row.charge.is_some() {
        return text(&super::sentence::of_row(row, before));
    }
    let Some(Figures { mean, low, high, change }) = &row.figures else {
        return one_of(&["The {name} [gave|has|had] no [readings|data]."], &[name]);
    };
    let moved =
        |words: &str, by: &Figure| one_of(&[words], &[("by", with_unit(by, &row.unit)), ("before", text(before))]);
    let moved = match change {
        Some(Change::Rose(by)) => Some(moved("[rose|climbed|increased] by {by} against {before}", by)),
        Some(Change::Fell(by)) => Some(moved("[fell|dropped|decreased|declined] by {by} against {before}", by)),
        Some(Change::Steady) | None => None,
    };
    let range = one_of(
        &["between {low} and {high}", "ranging from {low} to {high}", "with a lowest of {low} and a highest of {high}"],
        &[("low", extreme(low, row)), ("high", extreme(high, row))],
    );
    let averaged =
        one_of(&["averaged {mean}", "had [a mean|an average] of {mean}"], &[("mean", with_unit(mean, &row.unit))]);
    match (change, moved) {
        (Some(Change::Steady), _) => one_of(
            &[
                "The {name} [stayed|remained] [steady|stable|constant] at {mean}.",
                "The {name} {averaged} and stayed steady, {range}.",
            ],
            &[name, ("mean", with_unit(mean, &row.unit)), ("averaged", averaged), ("range", range)],
        ),
        (_, Some(moved)) => one_of(
            &["The {name} {averaged} and {moved}, {range}.", "The {name} {moved} and {averaged}, {range}."],
            &[name, ("averaged", averaged), ("moved", moved), ("range", range)],
        ),
        _ => one_of(&["The {name} {averaged}, {range}."], &[name, ("averaged", averaged), ("range", range)]),
    }
}

fn text(text: &str) -> Forms {
    Forms::Text(text.to_owned())
}

/// A number and its unit.
fn with_unit(figure: &Figure, unit: &str) -> Forms {
    Forms::Text(format!("{figure}{}", Spaced(unit)))
}

/// Forms as they are written above: `[a|b|]` is one of those, `{name}` what `slots` holds under that name.
fn one_of(templates: &[&str], slots: &[(&str, Forms)]) -> Forms {
    let mut forms: Vec<Forms> = templates.iter().map(|template| read(&mut &**template, slots)).collect();
    if forms.len() == 1 { forms.remove(0) } else { Forms::OneOf(forms) }
}

/// Reads up to the `|` or `]` that belongs to somebody else, or to the end.
fn read(rest: &mut &str, slots: &[(&str, Forms)]) -> Forms {
    let mut row = Vec::new();
    loop {
        let end = rest.find(['[', ']', '|', '{']).unwrap_or(rest.len());
        if end > 0 {
            row.push(text(&rest[..end]));
        }
        *rest = &rest[end..];
        if let Some(inside) = rest.strip_prefix('{') {
            let (slot, behind) = inside.split_once('}').expect("a slot is closed");
            row.push(slots.iter().find(|(name, _)| *name == slot).expect("every slot is filled").1.clone());
            *rest = behind;
        } else if let Some(inside) = rest.strip_prefix('[') {
            *rest = inside;
            let mut ways = vec![read(rest, slots)];
            while let Some(next) = rest.strip_prefix('|') {
                *rest = next;
                ways.push(read(rest, slots));
            }
            *rest = rest.strip_prefix(']').expect("a bracket is closed");
            row.push(Forms::OneOf(ways));
        } else {
            return Forms::Row(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read_with_choices_and_slots() {
        let forms = one_of(&["a[b|c[d|]|] {x}.", "e"], &[("x", text("1.5 [m|s]"))]);
        let all = ["ab 1.5 [m|s].", "acd 1.5 [m|s].", "ac 1.5 [m|s].", "a 1.5 [m|s].", "e"];
        assert_eq!(forms.all(), all);
        assert_eq!(forms.expression(), r" ?(a(b|c(d|)|) 1\.5 \[m\|s\]\.|e)");
    }
}
