//! Columns that tell the unit of another: `value,unit`, `USAGE,UNITS`, `temp,temp_unit`.

use std::collections::BTreeSet;

use super::header::{self, Column};
use crate::unit;

/// Values of one quantity, of which one unit tells.
const STATISTICS: &[&str] = &[
    "min", "max", "mean", "avg", "average", "median", "sum", "state", "last", "first", "change", "value", "minimum",
    "maximum",
];

/// Of each column, the one that tells its unit. `numbers` says which columns hold numbers, `cells` hands over those of a column.
pub(super) fn find<'a, I: Iterator<Item = &'a str>>(
    columns: &[Column],
    numbers: &dyn Fn(usize) -> bool,
    cells: &dyn Fn(usize) -> I,
) -> Vec<Option<usize>> {
    let mut found = vec![None; columns.len()];
    for (u, column) in columns.iter().enumerate() {
        let Some(of) = named(&column.key) else { continue };
        let told: BTreeSet<&str> = cells(u).filter(|cell| !cell.is_empty()).collect();
        if numbers(u) || told.is_empty() || !told.iter().all(|cell| is_unit(cell)) {
            continue;
        }
        let fits = |c: usize| told.iter().all(|cell| unit::measures(&columns[c].key, cell));
        let takes =
            |c: &usize| *c != u && numbers(*c) && columns[*c].unit.is_empty() && found[*c].is_none() && fits(*c);
        let targets: Vec<usize> = match of {
            "" => {
                let before = u.checked_sub(1).filter(takes);
                let all: Vec<usize> = (0..columns.len()).filter(takes).collect();
                let is_one = all.len() == 1
                    || all.iter().all(|c| STATISTICS.iter().any(|s| columns[*c].key.eq_ignore_ascii_case(s)));
                match before {
                    Some(before) => vec![before],
                    None if is_one => all,
                    None => Vec::new(),
                }
            }
            of => (0..columns.len()).filter(takes).filter(|c| columns[*c].key.eq_ignore_ascii_case(of)).collect(),
        };
        targets.into_iter().for_each(|c| found[c] = Some(u));
    }
    found
}

/// Of which column a name tells the unit; empty: that is not said.
fn named(key: &str) -> Option<&str> {
    // `Einheit 2`: the second of that name.
    let key = key.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
    if header::UNIT_NAMES.iter().any(|n| key.eq_ignore_ascii_case(n)) {
        return Some("");
    }
    let ends = ["_unit", " unit", "_units", " units", "_uom", " einheit", "_einheit", ".unit"];
    ends.iter().find_map(|end| {
        let at = key.len().checked_sub(end.len()).filter(|at| *at > 0 && key.is_char_boundary(*at))?;
        key[at..].eq_ignore_ascii_case(end).then_some(&key[..at])
    })
}

/// Whether a cell is a unit; a currency counts as one.
fn is_unit(cell: &str) -> bool {
    matches!(unit::read(cell), Some(unit::Read::One(_)))
        || unit::has_form_of_one(cell)
        || matches!(cell, "F" | "Euro" | "kg CO2")
}
