//! Name and unit in the title of a column. What stands in brackets or behind a slash is a unit where it is written as one and the name
//! can have it; else it tells this column from others: a phase, a room, a day.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::unit;

/// Name and unit of a title: `Temperature (°C)`, `temp [°C]`, `Humidity, %`, `Temp / °C`, `Power in kW`, `gust km/h`.
pub(super) fn apart(title: &str) -> (Cow<'_, str>, &str) {
    let title = title.trim();
    if let Some((name, inner)) = bracket(title) {
        let told = inner.trim();
        // A bare F is a degree or a farad, by the name.
        if (unit::has_form_of_one(told) || told == "F") && unit::fits_name(name, told) {
            return (name.into(), told);
        }
        // `Active energy Wh (A)`, `°C [Kanal 1]`: the unit stands before what tells the column apart.
        return match behind_name(name) {
            _ if is_unit_alone(name) && name.contains(['°', '%', '℃']) => (told.into(), name),
            _ if is_unit_alone(name) => (title.into(), name),
            Some((bare, unit)) => (format!("{bare} {}", title[name.len()..].trim_start()).into(), unit),
            None => (title.into(), ""),
        };
    }
    if is_unit_alone(title) {
        return (title.into(), title);
    }
    behind_name(title).map_or((title.into(), ""), |(name, unit)| (name.into(), unit))
}

/// `Temp (indoor)`: the name, and what stands in the bracket at the end.
fn bracket(title: &str) -> Option<(&str, &str)> {
    [('(', ')'), ('[', ']')].into_iter().find_map(|(open, close)| {
        let (name, inner) = title.strip_suffix(close)?.rsplit_once(open)?;
        (!name.trim().is_empty() && !inner.trim().is_empty()).then_some((name.trim(), inner))
    })
}

/// Whether a title is nothing but a unit, as `kWh`. A letter, or a word such as `in` or `min`, is a name.
fn is_unit_alone(title: &str) -> bool {
    let has_mark = |c: char| !c.is_ascii_alphabetic() || c.is_ascii_uppercase();
    unit::has_form_of_one(title)
        && (matches!(title, "kwh" | "wh") || (title.chars().any(has_mark) && (title.len() > 1 || title == "%")))
        && !matches!(title, "pH" | "Deg" | "Grad")
}

/// Units that may stand behind a name without a bracket.
fn stands_for_unit(text: &str) -> bool {
    unit::is_known(text)
        && !matches!(text, "degrees" | "m" | "s" | "l" | "g" | "A" | "V" | "C" | "K" | "W" | "t" | "h" | "d" | "J")
}

/// The name and the unit behind it, without a bracket.
fn behind_name(title: &str) -> Option<(&str, &str)> {
    // `gust km/h`, `price_ct/kWh`: the slash is the unit's own.
    if let Some((name, told)) = title.rsplit_once([' ', '_'])
        && told.contains('/')
        && unit::has_form_of_one(told)
    {
        return Some((tidy_name(name)?, told));
    }
    for mark in [", ", " / ", " - ", " in ", ",", "/"] {
        let Some((name, told)) = title.rsplit_once(mark) else { continue };
        let (told, is_apart) = (told.trim(), matches!(mark, ", " | " / " | " - " | " in "));
        let is_unit = stands_for_unit(told)
            || (is_apart && unit::is_known(told))
            || (is_apart && told.contains('/') && unit::has_form_of_one(told));
        if is_unit && unit::fits_name(name, told) && !name.trim().is_empty() {
            return Some((name.trim(), told));
        }
    }
    // `Temperature°C`, `Humidity%`
    if let Some(at) = title.rfind(['°', '℃', '%']).filter(|at| *at > 0)
        && !title.contains([' ', '_'])
        && unit::is_known(&title[at..])
    {
        return Some((&title[..at], &title[at..]));
    }
    let (name, told) = title.rsplit_once([' ', '_'])?;
    let is_unit = stands_for_unit(told)
        && unit::fits_name(name, told)
        && told.chars().any(|c| !c.is_ascii_alphabetic() || c.is_ascii_uppercase());
    let name = if title.contains(' ') { name.trim() } else { title };
    (is_unit && !name.is_empty()).then_some((name, told))
}

fn tidy_name(name: &str) -> Option<&str> {
    let name = name.trim_end_matches([' ', '_', '-', ',', '/', ':']).trim();
    (!name.is_empty()).then_some(name)
}

/// A title's name, and the capital letter alone in the bracket behind it.
fn lettered(title: &str) -> Option<(&str, char)> {
    let (name, inner) = bracket(title.trim())?;
    let mut chars = inner.trim().chars();
    let letter = chars.next().filter(|c| c.is_ascii_uppercase())?;
    chars.next().is_none().then_some((name, letter))
}

/// The names whose titles letters in brackets number, as `Pump (A)` beside `Pump (B)`.
pub(super) fn numbered<'a>(all: &[&'a str]) -> HashSet<&'a str> {
    // F is a unit too: a temperature is in C and in F.
    let is_number = |letter: char| letter != 'F' && !unit::is_known(letter.encode_utf8(&mut [0; 4]));
    all.iter().filter_map(|title| lettered(title)).filter(|(_, l)| is_number(*l)).map(|(name, _)| name).collect()
}

/// Whether a title has a letter that numbers it among those of `numbered`.
pub(super) fn is_numbered(title: &str, numbered: &HashSet<&str>) -> bool {
    lettered(title).is_some_and(|(name, _)| numbered.contains(name))
}
