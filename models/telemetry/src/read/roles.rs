//! The parts that columns play beside the time: which tell the sensor, the value and the device, and which only count rows; and the marks of their numbers.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::InputError;
use super::header::{self, Column};
use super::infer::{Fields, Single, Wanted};
use super::number::{self, Cell, Evidence, Marks};
use super::time::{self, Course, DateOrder};
use super::time_columns::TimeColumns;
use crate::{Moment, unit};

pub(super) fn key_of(row: &[Cow<'_, str>], columns: &[usize], shift: usize) -> String {
    let mut words: Vec<&str> = Vec::new();
    for c in columns {
        let word = row.get(c + shift).map_or("", |f| f.as_ref());
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

/// Rows whose key and time another row has too.
fn collisions(data: &[&Fields<'_>], sensors: &[usize], time: &TimeColumns, shift: usize) -> usize {
    let mut seen = HashSet::new();
    let of = |row: &Fields<'_>, c: usize| row.get(c + shift).map_or(String::new(), |f| f.to_string());
    let is_again = |row: &&&Fields<'_>| {
        let times: Vec<String> = time.all().map(|c| of(row, c)).collect();
        !seen.insert((key_of(row, sensors, shift), times))
    };
    data.iter().filter(is_again).count()
}

/// Whether so many rows of the same key have the same time that the key can't be the whole of it.
fn collides(data: &[&Fields<'_>], sensors: &[usize], time: &TimeColumns, shift: usize) -> bool {
    let n = collisions(data, sensors, time, shift);
    n > 0 && n * 10 >= data.len()
}

/// A column of dates alone of which several rows of a sensor have the same, although they are not the same row: nobody knows which
/// is when. Its title and one such date.
pub(super) fn dates_alone(
    columns: &[Column],
    data: &[&Fields<'_>],
    sensors: &[usize],
    time: &TimeColumns,
    shift: usize,
    wanted: &Wanted<'_>,
) -> Option<(String, String)> {
    if time.clock.is_some() || time.excel || time.elapsed.is_some() || wanted.live {
        return None;
    }
    let mut seen: HashMap<(String, Cow<'_, str>), &Fields<'_>> = HashMap::new();
    let (mut rows, mut again, mut example) = (0, 0, Cow::Borrowed(""));
    for row in data {
        let of = |c: usize| row.get(c + shift).map_or("", |f| f.as_ref());
        let date = match time.parts {
            None => row.get(time.column + shift).map(|f| Cow::Borrowed(f.as_ref())),
            Some(parts) => parts.date(of(time.column), &of).map(Cow::Owned),
        };
        let Some(date) = date else { continue };
        if wanted.civil(&date).is_none_or(|civil| civil.has_time) && time.parts.is_none() {
            // Times of day stand in the cells.
            if wanted.time(&date).is_some() {
                return None;
            }
            continue;
        }
        rows += 1;
        let first = *seen.entry((key_of(row, sensors, shift), date.clone())).or_insert(row);
        if !std::ptr::eq(first, *row) && first != *row {
            again += 1;
            example = date;
        }
    }
    let title = columns.get(time.column).map_or(String::new(), |c| c.title.clone());
    (again > 0 && again * 10 >= rows).then(|| (title, example.into_owned()))
}

/// The columns of a layout in which each line holds one reading.
pub(super) fn single(
    columns: &[Column],
    data: &[&Fields<'_>],
    time: &TimeColumns,
    shift: usize,
    has_header: bool,
    wanted: &Wanted<'_>,
) -> Result<Option<Single>, InputError> {
    let unit = header::place(columns, header::UNIT_NAMES);
    if !wanted.options.sensor.is_empty() {
        let given = |name: &str| {
            columns.iter().position(|c| c.key == name || c.title == name).ok_or_else(|| InputError::NoColumn {
                wanted: name.to_owned(),
                found: columns.iter().take(12).map(|c| c.key.as_str()).collect::<Vec<_>>().join(", "),
            })
        };
        let sensors = vec![given(&wanted.options.sensor)?];
        return Ok(Some(Single { sensors, value: given(&wanted.options.value)?, unit }));
    }
    if !has_header {
        // A word and a number beside the time: each line is one reading, and the word is its sensor.
        let Some(row) = data.first() else { return Ok(None) };
        let others = || (0..row.len()).filter(|i| !time.holds(*i));
        let is_number =
            |i: &usize| matches!(number::read(&row[*i], Marks::Unknown), Cell::Number(..) | Cell::Ambiguous);
        let is_word = |i: &usize| row[*i].chars().any(char::is_alphabetic) && !is_number(i);
        let numbers: Vec<usize> = others().filter(is_number).collect();
        return Ok(match (others().find(is_word), numbers.as_slice()) {
            (Some(sensor), [value]) => Some(Single {
                sensors: vec![sensor],
                value: *value,
                unit: others().find(|i| *i != sensor && unit::is_known(&row[*i])),
            }),
            _ => None,
        });
    }
    let value = header::VALUE_NAMES
        .iter()
        .filter(|n| **n != "measurement" || header::place(columns, &["_field"]).is_none())
        .find_map(|n| columns.iter().position(|c| c.key.eq_ignore_ascii_case(n)));
    let sensor = header::place(columns, header::SENSOR_NAMES).filter(|s| *s != time.column);
    let (Some(sensor), Some(value)) = (sensor, value) else { return Ok(None) };
    if sensor == value {
        return Ok(None);
    }
    let mut sensors = vec![sensor];
    if header::place(columns, &["_field"]).is_some() {
        // InfluxDB: the tags tell the series, the field its quantity.
        let is_tag = |c: &usize| {
            let key = columns[*c].key.as_str();
            *c != time.column
                && *c != value
                && !key.is_empty()
                && !key.starts_with('_')
                && !matches!(key, "result" | "table")
        };
        sensors = (0..columns.len()).filter(is_tag).collect();
        sensors.extend(header::place(columns, &["_measurement"]));
        sensors.extend(header::place(columns, &["_field"]));
    } else if collides(data, &sensors, time, shift) {
        // One column alone does not tell them apart: others that hold words help.
        for c in 0..columns.len() {
            let is_used = time.holds(c) || c == value || Some(c) == unit || sensors.contains(&c);
            let is_word = |row: &&&Fields<'_>| row.get(c + shift).is_some_and(|f| f.chars().any(char::is_alphabetic));
            if is_used || data.iter().filter(is_word).count() * 2 <= data.len() || !wanted_label(data, c, shift) {
                continue;
            }
            let before = collisions(data, &sensors, time, shift);
            sensors.push(c);
            match collisions(data, &sensors, time, shift) {
                0 => break,
                after if after * 2 > before => _ = sensors.pop(),
                _ => {}
            }
        }
        sensors.sort_unstable();
    }
    Ok(Some(Single { sensors, value, unit }))
}

/// Whether the words of a column repeat, as those of a label do.
fn wanted_label(data: &[&Fields<'_>], c: usize, shift: usize) -> bool {
    let distinct: HashSet<&str> = data.iter().filter_map(|r| r.get(c + shift)).map(|f| f.as_ref()).collect();
    distinct.len() <= 2 || distinct.len() * 2 <= data.len()
}

/// Columns that tell whose a row of several readings is.
pub(super) fn devices_of(columns: &[Column], data: &[&Fields<'_>], time: &TimeColumns, shift: usize) -> Vec<usize> {
    let cell = |row: &Fields<'_>, c: usize| row.get(c + shift).map_or(String::new(), |f| f.to_string());
    let times: HashSet<String> = data.iter().map(|r| cell(r, time.column)).collect();
    let others: Vec<usize> = (0..columns.len()).filter(|c| !time.holds(*c)).collect();
    let filled = |c: usize| data.iter().filter(|r| !cell(r, c).is_empty()).count();
    let is_words = |c: usize| {
        let words = data.iter().filter(|r| matches!(number::read(&cell(r, c), Marks::Unknown), Cell::Other)).count();
        words > 0 && words * 10 >= filled(c) * 9
    };
    let mut found: Vec<usize> = Vec::new();
    for &c in &others {
        let distinct: HashSet<String> = data.iter().map(|r| cell(r, c)).filter(|v| !v.is_empty()).collect();
        let is_id = distinct.len() == data.len() && times.len() == data.len() && data.len() > 1;
        // A number of its own for each row is no device.
        if distinct.is_empty() || is_id || (!wanted_label(data, c, shift) && times.len() > 1) {
            continue;
        }
        // The same value in all rows tells nothing apart, but names the device.
        if header::names_device(&columns[c].key)
            && (is_words(c) || distinct.len() > 1 || columns[c].key.to_lowercase().contains("device"))
        {
            found.push(c);
        }
    }
    let more_than_one = others.len() > found.len();
    if !more_than_one {
        found.clear();
    }
    // Enough to tell them apart; else any column of words that does.
    if found.len() > 1 {
        let all = found.clone();
        let worth = |c: &usize| {
            let name = columns[*c].key.to_lowercase();
            ["device_name", "sensor_name", "device", "room", "name", "entity_id", "device_id", "node"]
                .iter()
                .position(|n| *n == name)
                .unwrap_or(99)
        };
        found = vec![*all.iter().min_by_key(|c| worth(c)).expect("there is more than one")];
        for c in all {
            if !found.contains(&c) && collides(data, &found, time, shift) {
                found.push(c);
            }
        }
        found.sort_unstable();
    }
    if found.is_empty() && collides(data, &[], time, shift) {
        let helps = |c: &usize| is_words(*c) && wanted_label(data, *c, shift) && !collides(data, &[*c], time, shift);
        found.extend(others.iter().copied().find(helps));
        let is_count = |c: usize| data.iter().all(|r| cell(r, c).bytes().all(|b| b.is_ascii_digit()));
        let numbers = |c: &usize| {
            header::may_number(&columns[*c].key)
                && is_count(*c)
                && wanted_label(data, *c, shift)
                && !collides(data, &[*c], time, shift)
        };
        if found.is_empty() {
            found.extend(others.iter().copied().find(numbers).filter(|_| others.len() > 1));
        }
    }
    found
}

/// Whether a column counts the rows.
pub(super) fn is_row_number(column: &Column, data: &[&Fields<'_>], c: usize, shift: usize) -> bool {
    let name = column.key.to_lowercase();
    if !matches!(
        name.as_str(),
        "" | "#"
            | "id"
            | "entry_id"
            | "row_id"
            | "record_id"
            | "index"
            | "row"
            | "record"
            | "nr"
            | "no"
            | "no."
            | "nr."
            | "line"
            | "unnamed: 0"
            | "recnbr"
            | "idx"
    ) {
        return false;
    }
    let numbers: Vec<i64> = data.iter().filter_map(|r| r.get(c + shift)?.parse().ok()).collect();
    // Rows of a database may lie apart.
    let is_key = name.ends_with("id");
    let follows = |w: &[i64]| (w[1] - w[0]).abs() == 1;
    let (up, down) = (|w: &[i64]| w[1] > w[0], |w: &[i64]| w[1] < w[0]);
    numbers.len() == data.len()
        && numbers.len() > 1
        && (numbers.windows(2).all(follows) || (is_key && (numbers.windows(2).all(up) || numbers.windows(2).all(down))))
}

/// Whether a column says nothing in any row: the same number under the name of a device (`STATIONS_ID`), or its own title (`eor`).
pub(super) fn is_constant_label(column: &Column, data: &[&Fields<'_>], c: usize, shift: usize) -> bool {
    let mut cells = data.iter().filter_map(|r| r.get(c + shift)).map(|f| f.as_ref()).filter(|f| !f.is_empty());
    let Some(first) = cells.next() else { return false };
    let is_id = header::names_device(&column.key) && column.key.to_lowercase().ends_with("id");
    let says_nothing = first == column.title || (is_id && first.bytes().all(|b| b.is_ascii_digit()));
    data.len() > 1 && says_nothing && cells.all(|cell| cell == first)
}

/// The marks of the table. Columns that can be read in two ways need one.
pub(super) fn decide<'a>(
    columns: impl Iterator<Item = (&'a str, &'a Evidence)>,
    wanted: &Wanted<'_>,
) -> Result<Marks, InputError> {
    let columns: Vec<_> = columns.collect();
    match wanted.options.decimal.as_str() {
        "." => return Ok(Marks::Point),
        "," => return Ok(Marks::Comma),
        _ => {}
    }
    let all = number::of_all(columns.iter().map(|(_, e)| *e));
    let open = columns.iter().find(|(_, e)| e.is_open() && e.own() == Marks::Unknown);
    match (all, open) {
        (Some(marks), _) => Ok(marks),
        (None, Some((key, evidence))) => {
            let example = evidence.example().to_owned();
            Err(InputError::OpenNumber { column: (*key).to_owned(), example })
        }
        (None, None) => Ok(Marks::Unknown),
    }
}

/// Day or month first, and whether times run backwards. `beyond` gives the times of later rows of the sample.
pub(super) fn order(
    data: &[&Fields<'_>],
    time: &mut TimeColumns,
    shift: usize,
    wanted: &Wanted<'_>,
    beyond: &mut dyn FnMut() -> Vec<String>,
) -> Result<(), InputError> {
    let mut cells: Vec<Cow<'_, str>> =
        data.iter().filter_map(|r| r.get(time.column + shift)).map(|f| Cow::Borrowed(f.as_ref())).collect();
    let is_open = |c: &Cow<'_, str>| time::civil_in_any_zone(c).is_some_and(|civil| civil.is_open);
    if wanted.options.time_format.is_empty() && !time.excel && time.elapsed.is_none() && cells.iter().any(is_open) {
        cells.extend(beyond().into_iter().map(Cow::Owned));
        let (order, is_shown) = order_of(&cells, wanted)?;
        (time.order, time.order_is_shown) = (Some(order), is_shown);
    }
    let times = moments(&cells, time.order, wanted);
    let down = times.windows(2).filter(|w| w[1] < w[0]).count();
    let up = times.windows(2).filter(|w| w[1] > w[0]).count();
    time.descending = down > 2 * up && down > 1;
    Ok(())
}

fn moments(cells: &[Cow<'_, str>], order: Option<DateOrder>, wanted: &Wanted<'_>) -> Vec<Moment> {
    let read = |c: &Cow<'_, str>| time::parse(c, &wanted.options.time_format, wanted.zone, order, Course::default());
    cells.iter().filter_map(read).collect()
}

/// The order of day, month and a year of two digits, and whether a date shows it that has no other.
fn order_of(cells: &[Cow<'_, str>], wanted: &Wanted<'_>) -> Result<(DateOrder, bool), InputError> {
    let civils: Vec<(&str, time::Civil)> =
        cells.iter().filter_map(|c| time::civil_in_any_zone(c).map(|civil| (c.as_ref(), civil))).collect();
    let reads = |order: DateOrder, text: &str| time::civil_in_order(text, order).is_some();
    // Those in which every date can be read; where none is one, the two in which most can.
    let mut orders = vec![DateOrder::DayFirst, DateOrder::MonthFirst, DateOrder::YearFirst];
    let all_read = |order: &DateOrder| civils.iter().all(|(text, _)| reads(*order, text));
    let is_shown = match orders.iter().filter(|order| all_read(order)).count() {
        0 => {
            orders.truncate(2);
            true
        }
        n => {
            orders.retain(all_read);
            n == 1
        }
    };
    if let [order] = orders[..] {
        return Ok((order, is_shown));
    }
    // The right order makes the smaller steps.
    let roughness = |order| {
        let times = moments(cells, Some(order), wanted);
        times.windows(2).map(|w| w[1].seconds_since(w[0]).abs()).sum::<f64>()
    };
    let mut rough: Vec<(f64, DateOrder)> = orders.iter().map(|order| (roughness(*order), *order)).collect();
    rough.sort_by(|a, b| a.0.total_cmp(&b.0));
    if rough[0].0 * 3.0 < rough[1].0 {
        // Both ways in one column: the others are counted as unreadable.
        return Ok((rough[0].1, is_shown));
    }
    // Half days are counted where months come first, and elsewhere too: what the steps say has more weight.
    let is_american = civils.iter().any(|(text, _)| text.to_ascii_lowercase().trim_end().ends_with('m'));
    if is_american && !is_shown && orders.contains(&DateOrder::MonthFirst) {
        return Ok((DateOrder::MonthFirst, false));
    }
    let example = civils.iter().find(|(_, c)| c.is_open).map_or("", |(text, _)| *text);
    Err(InputError::OpenDate(example.to_owned()))
}
