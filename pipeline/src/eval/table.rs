//! Tables of sensor readings out of held-out rows, which hold them as the model sees them: read back, so that the report can
//! be worded as the program words it.

use jiff::civil::Date;
use nearfield_telemetry::figure::Figure;
use nearfield_telemetry::table::{Change, ClockTime, Extreme, Figures, Note, NoteKind, Row, Table, Times};

/// The table that prints as `text`; `None` where none does.
pub(crate) fn read(text: &str) -> Option<Table> {
    let (head, notes) = text.split_once("\nAnomalies:")?;
    let mut lines = head.lines();
    let title = lines.next()?.strip_prefix("Window: ")?;
    let rows: Vec<Row> = lines.map(row).collect::<Option<_>>()?;
    let notes: Vec<Note> = match notes {
        " none" => Vec::new(),
        lines => lines.trim_start().lines().map(|line| note(line, &rows)).collect::<Option<_>>()?,
    };
    let (first, last) = title.split_once(" to ")?;
    let first = first.split_once(", ")?.0;
    let last = last.split_once(", ").map_or(first, |(date, _)| date);
    let date = |text| Date::strptime("%d %B %Y", text).ok();
    let table = Table::of(title.to_owned(), [date(first)?, date(last)?], rows, notes);
    (table.to_string() == text).then_some(table)
}

fn row(line: &str) -> Option<Row> {
    let (name, rest) = line.split_once(": ")?;
    if rest == "no readings" {
        return Some(Row { name: name.to_owned(), ..Row::default() });
    }
    let mut parts = rest.split(", ");
    let (mean, unit) = with_unit(parts.next()?.strip_prefix("mean ")?);
    let low = extreme(parts.next()?.strip_prefix("lowest ")?)?;
    let high = extreme(parts.next()?.strip_prefix("highest ")?)?;
    let change = match parts.next() {
        None => None,
        Some("steady") => Some(Change::Steady),
        Some(change) => match change.split_once(" by ")? {
            ("rose", by) => Some(Change::Rose(Figure::parse(by)?)),
            ("fell", by) => Some(Change::Fell(Figure::parse(by)?)),
            _ => return None,
        },
    };
    let figures = Some(Figures { mean: Figure::parse(mean)?, low, high, change });
    Some(Row { name: name.to_owned(), unit: unit.to_owned(), figures, ..Row::default() })
}

fn note(line: &str, rows: &[Row]) -> Option<Note> {
    let (name, what) = line.split_once(": ")?;
    let row = rows.iter().position(|row| row.name == name)?;
    let (what, times) = match what.split_once(" from ") {
        Some((what, times)) => (what, Some(times)),
        None => (what, None),
    };
    let span: Option<Times> = match times.map(|times| times.split_once(" to ")) {
        None => Some(None),
        Some(Some((from, to))) => Some(Some((clock(from)?, clock(to)?))),
        Some(None) => None, // a drift has only a beginning
    };
    let value = |text: &str| Figure::parse(with_unit(text).0);
    let kind = if let Some(spike) = what.strip_prefix("spike to ") {
        NoteKind::Spike(extreme(spike)?)
    } else if what == "gap" {
        NoteKind::Gap(span?)
    } else if let Some(drift) = what.strip_prefix("drift ") {
        let (way, by) = drift.split_once(" by ")?;
        NoteKind::Drift { up: way == "up", by: value(by)?, from: times.and_then(clock) }
    } else if let Some(stuck) = what.strip_prefix("stuck at ") {
        NoteKind::Stuck(value(stuck)?, span?)
    } else if let Some(limit) = what.strip_prefix("above ") {
        NoteKind::Above(value(limit)?, span?)
    } else {
        NoteKind::Below(value(what.strip_prefix("below ")?)?, span?)
    };
    Some(Note { row, kind })
}

/// `21.3 °C`: the number, and the unit or nothing.
fn with_unit(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// `19.8 at 05:10` or `19.8 °C at 05:10`, or without the time.
fn extreme(text: &str) -> Option<Extreme> {
    let (value, at) = match text.split_once(" at ") {
        Some((value, at)) => (value, Some(clock(at)?)),
        None => (text, None),
    };
    Some(Extreme { value: Figure::parse(with_unit(value).0)?, at })
}

fn clock(text: &str) -> Option<ClockTime> {
    let (hours, minutes) = text.split_once(':')?;
    Some(ClockTime(hours.parse::<u16>().ok()?.checked_mul(60)?.checked_add(minutes.parse().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_printed_or_not_at_all() {
        let text = "Window: 8 September 2034, 18:00 to 9 September 2034, 21:00\n\
            hall ozone: mean 1005 ppb, lowest 782.7 at 20:05, highest 1011 at 24:00, rose by 87.6\nmill: mean -10, lowest -17, highest 1, steady\n\
            quikat noise: no readings\nAnomalies:\nhall ozone: above 1305 ppb from 02:00 to 03:30\nmill: spike to 4 at 02:10\n\
            hall ozone: drift down by 3.5 ppb from 01:00\nquikat noise: gap\nmill: stuck at -10";
        let table = read(text).unwrap();
        assert_eq!((table.rows().len(), table.notes().len()), (3, 5));
        assert_eq!(table.dates().map(|date| date.to_string()), ["2034-09-08", "2034-09-09"]);
        let calm = "Window: 2 March 2024, 04:42 to 07:42\npantry: mean 53 km/h, lowest 48 at 05:00, highest 78 at 05:47\nAnomalies: none";
        assert!(read(calm).unwrap().notes().is_empty());
        for broken in
            ["", "Window: today", &text.replace("mean -10", "mean ten"), &text.replace("mill: stuck", "attic: stuck")]
        {
            assert!(read(broken).is_none(), "{broken}");
        }
    }
}
