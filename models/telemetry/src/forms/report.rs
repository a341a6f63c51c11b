//! The forms in which a whole report may be told: what a sampler is held to at the first try. Which facts are told follows from the
//! table; the words, the order of the facts in a sentence, and what shares a sentence are the model's choice. The forms of a single
//! fact, to which a second try is held, are the plainest of them.

use super::{Forms, extreme, name_of, of_note, one_of, span_of, text, with_unit};
use crate::figure::Figure;
use crate::sentence::{Topic, topics};
use crate::table::{Change, Figures, NoteKind, Row, States, Table};

/// Every way to tell what a report of this table has to tell, sentence after sentence.
pub fn report_forms(table: &Table) -> Forms {
    let topics = topics(table);
    // With two sentences of two facts each a report would be one sentence.
    let may_join = topics.len() > 2;
    let mut parts: Vec<Forms> = Vec::new();
    let mut rest = topics.as_slice();
    while let [topic, behind @ ..] = rest {
        if !parts.is_empty() {
            parts.push(text(" "));
        }
        let joined = behind.first().filter(|_| may_join).and_then(|next| {
            let together = joined(table, *topic, *next)?;
            let apart =
                Forms::Row(vec![sentence_of(table, *topic, &topics), text(" "), sentence_of(table, *next, &topics)]);
            Some(Forms::OneOf(vec![apart, together]))
        });
        rest = if joined.is_some() { &behind[1..] } else { behind };
        parts.push(joined.unwrap_or_else(|| sentence_of(table, *topic, &topics)));
    }
    Forms::Row(parts)
}

/// Two facts in one sentence, where both are of a kind.
fn joined(table: &Table, first: Topic, second: Topic) -> Option<Forms> {
    match (first, second) {
        (Topic::Row(a), Topic::Row(b)) => {
            let (a, b) = (&table.rows()[a], &table.rows()[b]);
            let clauses = [clause(a, table.before())?, clause(b, table.before())?];
            let [first, second] = clauses;
            Some(one_of(
                &["The {a} {first}[, while|;] the {b} {second}."],
                &[("a", name_of(a)), ("first", first), ("b", name_of(b)), ("second", second)],
            ))
        }
        (Topic::Note(a), Topic::Note(b)) => {
            let (a, b) = (&table.notes()[a], &table.notes()[b]);
            let rows = [&table.rows()[a.row], &table.rows()[b.row]];
            let parts = [
                ("a", name_of(rows[0])),
                ("first", event(&a.kind, rows[0])),
                ("b", name_of(rows[1])),
                ("second", event(&b.kind, rows[1])),
            ];
            let template = match a.row == b.row {
                true => "The {a} {first} and {second}.",
                false => "The {a} {first}[, and|, while|;] the {b} {second}.",
            };
            Some(one_of(&[template], &parts))
        }
        _ => None,
    }
}

fn sentence_of(table: &Table, topic: Topic, told: &[Topic]) -> Forms {
    match topic {
        Topic::NothingUnusual => one_of(
            &[
                "Nothing unusual was [seen|recorded][| in the readings][| during {window}].",
                "There was nothing unusual[| in the readings][| during {window}].",
            ],
            &[("window", text(this_window(table)))],
        ),
        Topic::Note(n) => {
            let note = &table.notes()[n];
            let row = &table.rows()[note.row];
            let mut ways = vec![of_note(&note.kind, row)];
            ways.extend(other_notes(&note.kind, row));
            // A sensor whose figures no other sentence tells.
            if !told.contains(&Topic::Row(note.row))
                && let Some(Figures { mean, low, high, .. }) = &row.figures
            {
                let parts = [
                    ("name", name_of(row)),
                    ("event", event(&note.kind, row)),
                    ("mean", with_unit(mean, &row.unit)),
                    ("low", extreme(low, row)),
                    ("high", extreme(high, row)),
                ];
                ways.push(one_of(
                    &["The {name} {event}[; it| and] averaged {mean}[|, between {low} and {high}]."],
                    &parts,
                ));
            }
            Forms::OneOf(ways)
        }
        Topic::Row(r) => of_row(&table.rows()[r], table.before()),
    }
}

fn this_window(table: &Table) -> &'static str {
    match table.before() {
        "the day before" => "the day",
        _ => "this window",
    }
}

/// What happened, as it stands after the sensor's name.
fn event(kind: &NoteKind, row: &Row) -> Forms {
    let value = |figure: &Figure| with_unit(figure, &row.unit);
    match kind {
        NoteKind::Spike(peak) => one_of(&["[spiked|had a spike] to {peak}"], &[("peak", extreme(peak, row))]),
        NoteKind::Gap(None) => text("had a gap in its readings"),
        NoteKind::Gap(times) => {
            one_of(&["had no [readings|data]{span}", "had a gap in its readings{span}"], &[("span", span_of(times))])
        }
        NoteKind::Drift { up, by, from } => {
            let from =
                from.map_or(text(""), |from| one_of(&[" [from|since] {from}"], &[("from", text(&from.to_string()))]));
            let way = text(if *up { "up" } else { "down" });
            one_of(
                &["drifted {way}[|wards] by {by}{from}", "showed a drift {way}[|wards] by {by}{from}"],
                &[("way", way), ("by", value(by)), ("from", from)],
            )
        }
        NoteKind::Stuck(at, times) => {
            one_of(&["was [stuck|frozen] at {at}{span}"], &[("at", value(at)), ("span", span_of(times))])
        }
        NoteKind::Above(limit, times) => one_of(
            &["[was|stayed] above {limit}{span}", "exceeded {limit}{span}"],
            &[("limit", value(limit)), ("span", span_of(times))],
        ),
        NoteKind::Below(limit, times) => {
            one_of(&["[was|stayed] below {limit}{span}"], &[("limit", value(limit)), ("span", span_of(times))])
        }
    }
}

/// Sentences on an event that begin with its time, or with what it is.
fn other_notes(kind: &NoteKind, row: &Row) -> Option<Forms> {
    let name = ("name", name_of(row));
    let ends = |times: &crate::table::Times| {
        times.map(|(from, to)| [("from", text(&from.to_string())), ("to", text(&to.to_string()))])
    };
    let early = "[From {from} to {to}|Between {from} and {to}][|,]";
    Some(match kind {
        NoteKind::Spike(peak) => one_of(
            &["A spike of the {name} to {peak} was recorded.", "The {name} showed a spike to {peak}."],
            &[name, ("peak", extreme(peak, row))],
        ),
        NoteKind::Gap(times) => {
            let [from, to] = ends(times)?;
            one_of(&[&format!("{early} the {{name}} [had|gave] no [readings|data].")], &[name, from, to])
        }
        NoteKind::Drift { up, by, from } => {
            let from = ("from", text(&(*from)?.to_string()));
            let way = ("way", text(if *up { "up" } else { "down" }));
            one_of(
                &["Since {from}[|,] the {name} has drifted {way}[|wards] by {by}."],
                &[name, way, ("by", with_unit(by, &row.unit)), from],
            )
        }
        NoteKind::Stuck(at, times) => {
            let [from, to] = ends(times)?;
            let at = ("at", with_unit(at, &row.unit));
            one_of(&[&format!("{early} the {{name}} was [stuck|frozen] at {{at}}.")], &[name, at, from, to])
        }
        NoteKind::Above(limit, times) => {
            let [from, to] = ends(times)?;
            let limit = ("limit", with_unit(limit, &row.unit));
            one_of(&[&format!("{early} the {{name}} was above {{limit}}.")], &[name, limit, from, to])
        }
        NoteKind::Below(limit, times) => {
            let [from, to] = ends(times)?;
            let limit = ("limit", with_unit(limit, &row.unit));
            one_of(&[&format!("{early} the {{name}} was below {{limit}}.")], &[name, limit, from, to])
        }
    })
}

fn of_row(row: &Row, before: &str) -> Forms {
    let Some(clause) = clause(row, before) else {
        let mut ways = vec![super::of_row(row, before)];
        ways.extend(row.states.as_ref().and_then(|states| changes_first(row, states)));
        return Forms::OneOf(ways);
    };
    let mut ways = vec![one_of(&["The {name} {clause}."], &[("name", name_of(row)), ("clause", clause)])];
    if let Some(Figures { mean, low, high, change }) = &row.figures {
        let parts = [
            ("name", name_of(row)),
            ("mean", with_unit(mean, &row.unit)),
            ("low", extreme(low, row)),
            ("high", extreme(high, row)),
            ("moved", moved(change, row, before).unwrap_or(text(""))),
        ];
        let mean_first = "On average[|,] the {name} was [|at ]{mean}";
        ways.push(match change {
            Some(Change::Rose(_) | Change::Fell(_)) => one_of(
                &[&format!("{mean_first}; it {{moved}} and ranged from {{low}} to {{high}}.")],
                &parts,
            ),
            _ => one_of(
                &[
                    &format!("{mean_first}, with a [lowest|low] of {{low}} and a [highest|high] of {{high}}."),
                    "The [highest|maximum] {name} was {high}, the [lowest|minimum] {low}, and the [average|mean] {mean}.",
                ],
                &parts,
            ),
        });
    }
    Forms::OneOf(ways)
}

/// A sensor's figures, as they stand after its name; `None` where its kind has other figures.
fn clause(row: &Row, before: &str) -> Option<Forms> {
    if row.counted.is_some() || row.states.is_some() || row.charge.is_some() {
        return None;
    }
    let Some(Figures { mean, low, high, change }) = &row.figures else {
        return Some(one_of(&["[gave|had] no [readings|data]"], &[]));
    };
    let (low, high) = (("low", extreme(low, row)), ("high", extreme(high, row)));
    let mean = ("mean", with_unit(mean, &row.unit));
    let averaged =
        ("averaged", one_of(&["averaged {mean}", "had [a mean|an average] of {mean}"], std::slice::from_ref(&mean)));
    let range = (
        "range",
        one_of(
            &[
                "between {low} and {high}",
                "ranging from {low} to {high}",
                "with a [lowest|low|minimum] of {low} and a [highest|high|maximum|peak] of {high}",
                "peaking at {high} with a [low|minimum] of {low}",
            ],
            &[low.clone(), high.clone()],
        ),
    );
    let ranged = (
        "ranged",
        one_of(
            &["ranged from {low} to {high}", "varied between {low} and {high}", "peaked at {high} and dipped to {low}"],
            &[low, high],
        ),
    );
    let with_mean = (
        "with",
        one_of(
            &[", averaging {mean}", ", with an average of {mean}", "; its average was {mean}"],
            std::slice::from_ref(&mean),
        ),
    );
    let parts = [mean, averaged, range, ranged, with_mean, ("moved", moved(change, row, before).unwrap_or(text("")))];
    Some(match change {
        Some(Change::Rose(_) | Change::Fell(_)) => one_of(
            &[
                "{averaged} and {moved}, {range}",
                "{moved} and {averaged}, {range}",
                "{moved} to an average of {mean}, {range}",
                "{moved}, averaging {mean}, and {ranged}",
                "{ranged}, {averaged} and {moved}",
            ],
            &parts,
        ),
        Some(Change::Steady) => one_of(
            &[
                "[stayed|remained|held] [steady|stable|constant] at {mean}[|, {range}]",
                "{averaged} and stayed [steady|stable], {range}",
            ],
            &parts,
        ),
        None => one_of(&["{averaged}, {range}", "{ranged}{with}"], &parts),
    })
}

/// How a mean compares with the one before.
fn moved(change: &Option<Change>, row: &Row, before: &str) -> Option<Forms> {
    let (words, by) = match change {
        Some(Change::Rose(by)) => ("[rose|climbed|increased|was up]", by),
        Some(Change::Fell(by)) => ("[fell|dropped|decreased|declined|was down]", by),
        Some(Change::Steady) | None => return None,
    };
    let parts = [("by", with_unit(by, &row.unit)), ("before", text(before))];
    Some(one_of(&[&format!("{words} by {{by}} against {{before}}")], &parts))
}

/// States that are told with the number of their changes first.
fn changes_first(row: &Row, States { lines, changes }: &States) -> Option<Forms> {
    let first = lines.first().filter(|_| *changes > 0)?;
    let times = if *changes == 1 { "time" } else { "times" };
    let longest = match first.longest {
        Some((from, to)) if *changes > 2 => format!(", longest from {from} to {to}"),
        _ => String::new(),
    };
    let told =
        format!("The {} changed {changes} {times} and was {} for {}{longest}.", row.name, first.word, first.lasted);
    Some(text(&told))
}
