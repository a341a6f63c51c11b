//! From a sample of lines to the layout of a table: delimiter, header, units, time, and the part that each column plays.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::tz::TimeZone;

use super::compass::{self, Compass};
use super::fields::{DELIMITERS, split};
use super::flagged::{self, Flagged};
use super::header::{self, Column};
use super::matrix::{self, Slot};
use super::missing::Floor;
use super::number::{self, Cell, Evidence, Marks};
use super::roles::{dates_alone, decide, devices_of, is_constant_label, is_row_number, key_of, order, single};
use super::states;
use super::time;
use super::time_columns::{Found, TimeColumns, find_time, is_clock, is_data, is_date, number_of};
use super::{InputError, TextOptions, unit_columns, zones};
use crate::unit;

/// Rows that decide.
const LOOK: usize = 2000;
/// Distinct words that are counted of a column.
const MAX_WORDS: usize = 64;
/// A column has so many states at most.
pub(super) const MAX_STATES: usize = 16;
/// The longest text that may be a point of the compass, or say that there is no wind.
const MAX_POINT: usize = 10;

/// What has been found out, or given.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) delimiter: char,
    pub(super) columns: Vec<Column>,
    pub(super) parts: Vec<Part>,
    pub(super) time: TimeColumns,
    /// Sensor columns, value and perhaps unit column, where each line holds one reading.
    pub(super) single: Option<Single>,
    /// Columns that tell whose the row is, where each row holds several readings.
    pub(super) devices: Vec<usize>,
    /// Fields that rows have in front of the header's.
    pub(super) shift: usize,
    /// The marks of the whole table, for columns that show none themselves.
    pub(super) marks: Marks,
    /// Series of single layouts, as far as the sample has shown them.
    pub(super) series: HashMap<String, Shown>,
    /// Columns of the times of day, where a row is a day.
    pub(super) matrix: Vec<Slot>,
    /// The first row of the sample that is data.
    pub(super) data_from: usize,
    /// The line of the header, where there is one.
    pub(super) header_line: Option<u64>,
}

/// Columns of a layout in which each line holds one reading.
#[derive(Clone, Debug)]
pub(super) struct Single {
    pub(super) sensors: Vec<usize>,
    pub(super) value: usize,
    pub(super) unit: Option<usize>,
}

/// The part that a column plays.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// Read elsewhere, or not at all.
    None,
    /// Numbers; and whether -999 and the like are none, since all others lie far above.
    Numbers(Marks, bool),
    /// Numbers in the unit that another column tells, as `Numbers`.
    InUnit(Marks, bool, usize),
    /// Numbers with a quality flag.
    Flagged(Flagged),
    /// Points of the compass.
    Compass(Compass),
    /// States.
    States(Shown),
    /// Text that is no state; its cells are counted.
    Text,
    /// Numbers of rows.
    RowNumber,
}

/// How the values of a sensor are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shown {
    pub(super) marks: Marks,
    /// Its values are words.
    pub(super) is_state: bool,
    /// What its 0 and 1 are called, where it has two states.
    pub(super) pair: Option<[&'static str; 2]>,
    /// -999 and the like are none, since all others lie far above.
    pub(super) has_floor: bool,
    /// Its values are points of the compass.
    pub(super) compass: Option<Compass>,
}

/// What the cells of a column or series look like.
#[derive(Default)]
struct Looks {
    numbers: u32,
    words: u32,
    others: u32,
    distinct: BTreeMap<String, u32>,
    /// Short texts, which may be points of the compass; and whether there are others.
    points: BTreeSet<String>,
    has_long: bool,
    evidence: Evidence,
    floor: Floor,
}

impl Looks {
    fn see(&mut self, cell: &str, point: bool) {
        match number::read(cell, Marks::Unknown) {
            Cell::Empty => {}
            Cell::Number(..) | Cell::Ambiguous => {
                self.numbers += 1;
                self.evidence.see(cell, point);
                if let Some(value) = number_of(cell) {
                    self.floor.see(value);
                }
            }
            Cell::Other => {
                match cell.len() <= MAX_POINT && self.points.len() < MAX_WORDS {
                    true if self.points.contains(cell) => {}
                    true => _ = self.points.insert(cell.to_owned()),
                    false => self.has_long = true,
                }
                match states::word_of_cell(cell) {
                    Some(word) if self.distinct.len() < MAX_WORDS || self.distinct.contains_key(&word) => {
                        self.words += 1;
                        *self.distinct.entry(word).or_default() += 1;
                    }
                    _ => self.others += 1,
                }
            }
        }
    }

    /// How a series of this name is read; `None` where it is text.
    fn shown(&self, name: &str) -> Option<Shown> {
        if self.numbers == 0
            && !self.has_long
            && let Some(compass) = compass::of_column(name, self.points.iter().map(String::as_str))
        {
            return Some(Shown { compass: Some(compass), ..Shown::default() });
        }
        if self.words == 0 || self.numbers > 0 {
            let has_floor = self.floor.is_far_above();
            return Some(Shown { marks: self.evidence.own(), has_floor, ..Shown::default() });
        }
        let (kind, pair) = states::kind_of(self.distinct.keys().map(String::as_str));
        let few = self.distinct.len() <= MAX_STATES
            && (self.distinct.len() <= 3 || self.distinct.len() as u32 * 2 <= self.words);
        (self.others == 0 && few).then(|| Shown {
            marks: Marks::Unknown,
            is_state: true,
            pair: (kind == crate::kind::Kind::Binary).then_some(pair),
            ..Shown::default()
        })
    }
}

/// A row of the sample.
pub(super) type Fields<'a> = Vec<Cow<'a, str>>;

/// What is wanted of the table.
pub(super) struct Wanted<'a> {
    pub(super) options: &'a TextOptions,
    pub(super) zone: &'a TimeZone,
    pub(super) lone_name: &'a str,
    /// The delimiter that a line `sep=;` has told.
    pub(super) delimiter: Option<char>,
    /// Rows come as they are taken: small times are those of a device without a clock.
    pub(super) live: bool,
}

/// Finds the layout. `None`: there is no row with a time yet.
///
/// # Errors
/// A column that was asked for is not there; the sample can be read in two ways.
pub(super) fn infer(sample: &[(u64, String)], wanted: &Wanted<'_>, at_end: bool) -> Result<Option<Layout>, InputError> {
    let look = &sample[..sample.len().min(LOOK)];
    let delimiter = delimiter(look, wanted);
    let rows: Vec<Fields<'_>> = look.iter().map(|(_, text)| split(text, delimiter)).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let named = (!wanted.options.time.is_empty())
        .then(|| {
            let is_named = |row: &Fields<'_>| {
                row.iter().any(|f| header::column(f).key == wanted.options.time || f == &wanted.options.time)
            };
            rows.iter().take(50).position(is_named).ok_or_else(|| no_column(&wanted.options.time, &rows[0]))
        })
        .transpose()?;
    if rows[0].len() > 1 && rows[0][0] == "100" && rows[0][1].starts_with("NEM1") {
        return Err(InputError::DayRows("NEM12"));
    }
    let Some(found) = find_time(&rows, named, wanted, at_end)? else {
        if !at_end && named.is_none() {
            return Ok(None);
        }
        return without_time(&rows, look, delimiter, named.unwrap_or(0), wanted).map(Some);
    };
    let Found { mut time, data_from } = found;
    let width = rows[data_from..].iter().filter(|r| is_data(r, &time, wanted)).map(Vec::len).fold(
        HashMap::new(),
        |mut n, w| {
            *n.entry(w).or_insert(0u32) += 1;
            n
        },
    );
    let width = width.into_iter().max_by_key(|(w, n)| (*n, *w)).map_or(rows[data_from].len(), |(w, _)| w);
    let head = head(&rows, data_from, width, named, &time, wanted);
    let (mut columns, mut shift) = (head.columns, 0);
    let has_header = head.row.is_some();
    if has_header && columns.len() + 1 == width && time.column > 0 && !time.holds(0) {
        // As R writes it: the rows have a name that the header lacks.
        shift = 1;
        time = time.moved_left();
    }
    let lacking = width.saturating_sub(shift + columns.len());
    if lacking > 0 && !has_header {
        columns = unnamed(&rows[data_from], &time, wanted);
    }
    let time_column = time.column;
    let data: Vec<&Fields<'_>> = rows[data_from..].iter().filter(|r| r.len() > time.column + shift).collect();
    let cell = |row: &'_ Fields<'_>, c: usize| row.get(c + shift).map_or(String::new(), |f| f.to_string());
    let beyond = &sample[look.len()..];
    order(&data, &mut time, shift, wanted, &mut || {
        let cell = |(_, text): &(u64, String)| Some(split(text, delimiter).get(time_column + shift)?.to_string());
        beyond.iter().filter_map(cell).collect()
    })?;
    let titles = [Some(time.column), time.clock].into_iter().flatten().filter_map(|c| columns.get(c));
    time.zone = titles.filter(|_| has_header).find_map(|c| zones::of_title(&c.title, wanted.zone));
    let is_day_a_row = has_header && time.clock.is_none() && time.parts.is_none() && !time.excel;
    let tells_day = |row: &&Fields<'_>| row.get(time_column + shift).is_none_or(|f| wanted.tells_day_alone(f));
    let is_day_a_row = is_day_a_row && data.iter().all(tells_day);
    let matrix = if is_day_a_row { matrix::slots(&columns) } else { Vec::new() };

    let single = single(&columns, &data, &time, shift, has_header, wanted)?;
    let point = delimiter == ',';
    let mut parts = vec![Part::None; columns.len()];
    let mut series: HashMap<String, Shown> = HashMap::new();
    let mut devices = Vec::new();
    let marks;
    let is_time = |c: usize| time.holds(c);
    if let Some(single) = &single {
        let mut looks: HashMap<String, Looks> = HashMap::new();
        for row in &data {
            let key = key_of(row, &single.sensors, shift);
            let value = cell(row, single.value);
            let is_quoted = point && value.contains(',');
            looks.entry(key).or_default().see(&value, point && !is_quoted);
        }
        marks = decide(looks.iter().map(|(k, l)| (k.as_str(), &l.evidence)), wanted)?;
        for (key, looks) in looks {
            let shown = looks.shown(&key).unwrap_or_default();
            series.insert(key, shown);
        }
    } else {
        devices = devices_of(&columns, &data, &time, shift);
        for slot in &matrix {
            // One sensor, called as its device or as the file.
            let column = &mut columns[slot.column];
            column.key = if devices.is_empty() { wanted.lone_name.to_owned() } else { String::new() };
        }
        let looks: Vec<Looks> = (0..columns.len())
            .map(|c| {
                let mut looks = Looks::default();
                if !is_time(c) && !devices.contains(&c) {
                    data.iter().for_each(|row| {
                        let value = cell(row, c);
                        let is_quoted = point && value.contains(',');
                        looks.see(&value, point && !is_quoted);
                    });
                }
                looks
            })
            .collect();
        let cells = |c: usize| data.iter().filter_map(move |r| r.get(c + shift)).map(|f| &**f);
        let filled = |c: usize| cells(c).filter(|cell| !number::is_nothing(cell));
        let is_flagged: Vec<bool> = looks
            .iter()
            .enumerate()
            .map(|(c, l)| {
                let is_one =
                    |cell: &str| flagged::is_one(cell) || (columns[c].key == "SLP" && flagged::is_pressure(cell));
                l.numbers > 0 && filled(c).all(is_one)
            })
            .collect();
        let evident = || looks.iter().enumerate().filter(|(c, _)| !is_flagged[*c]);
        if point && wanted.options.decimal.is_empty() && evident().any(|(_, l)| l.evidence.own() == Marks::Point) {
            // One digit behind a comma, where other columns have points: a decimal, or a flag?
            let digit_behind = |cell: &str| cell.split_once(',').is_some_and(|(_, d)| d.len() == 1);
            let open = evident()
                .find(|(c, l)| l.numbers > 0 && l.evidence.own() == Marks::Comma && filled(*c).all(digit_behind));
            if let Some((c, _)) = open {
                let example = filled(c).next().unwrap_or("").to_owned();
                return Err(InputError::OpenNumber { column: columns[c].key.clone(), example });
            }
        }
        marks = decide(evident().map(|(c, l)| (columns[c].key.as_str(), &l.evidence)), wanted)?;
        let units = unit_columns::find(
            &columns,
            &|c| looks[c].numbers > looks[c].words + looks[c].others && !is_time(c) && !devices.contains(&c),
            &cells,
        );
        for (c, looks) in looks.iter().enumerate() {
            if is_time(c) || devices.contains(&c) {
                continue;
            }
            parts[c] = match looks.shown(&columns[c].key) {
                _ if is_other_time(&columns[c], looks, data.iter().map(|row| cell(row, c)), wanted) => Part::None,
                _ if is_row_number(&columns[c], &data, c, shift) => Part::RowNumber,
                _ if is_constant_label(&columns[c], &data, c, shift) => Part::RowNumber,
                // A number that names a device is no reading.
                _ if !devices.is_empty() && header::names_device(&columns[c].key) => Part::RowNumber,
                _ if units.contains(&Some(c)) => Part::None,
                _ if is_flagged[c] => flagged::of_column(&columns[c].key).map_or(Part::Text, Part::Flagged),
                Some(shown) if shown.is_state => Part::States(shown),
                Some(Shown { compass: Some(compass), .. }) => Part::Compass(compass),
                Some(shown) => {
                    let marks = if shown.marks == Marks::Unknown { marks } else { shown.marks };
                    match units[c] {
                        Some(unit) => Part::InUnit(marks, shown.has_floor, unit),
                        None => Part::Numbers(marks, shown.has_floor),
                    }
                }
                None => Part::Text,
            };
        }
        if !matrix.is_empty() {
            matrix::unite(&matrix, &mut parts);
        }
        // A lone column of values is called as its file.
        let values: Vec<usize> =
            (0..columns.len()).filter(|c| !is_time(*c) && !devices.contains(c) && !units.contains(&Some(*c))).collect();
        if let [lone] = values[..]
            && has_header
            && header::VALUE_NAMES.iter().any(|n| columns[lone].key.eq_ignore_ascii_case(n))
            && devices.is_empty()
        {
            wanted.lone_name.clone_into(&mut columns[lone].key);
        }
    }
    let sensors = single.as_ref().map_or(&devices, |single| &single.sensors);
    if let Some((column, date)) = dates_alone(&columns, &data, sensors, &time, shift, wanted) {
        return Err(InputError::DatesAlone { column, date });
    }
    Ok(Some(Layout {
        delimiter,
        columns,
        parts,
        time,
        single,
        devices,
        shift,
        marks,
        series,
        matrix,
        data_from,
        header_line: head.row.map(|r| look[r].0),
    }))
}

fn no_column(wanted: &str, row: &Fields<'_>) -> InputError {
    InputError::NoColumn {
        wanted: wanted.to_owned(),
        found: row.iter().take(12).map(|f| header::column(f).key).collect::<Vec<_>>().join(", "),
    }
}

/// The delimiter under which most rows have a time in a field of their own.
fn delimiter(look: &[(u64, String)], wanted: &Wanted<'_>) -> char {
    if let Some(given) = wanted.options.delimiter.chars().next().or(wanted.delimiter) {
        return given;
    }
    let rows: Vec<&str> = look.iter().map(|(_, text)| text.as_str()).take(200).collect();
    let score = |d: char| {
        let mut widths: HashMap<usize, u32> = HashMap::new();
        let mut times = 0;
        for row in &rows {
            let fields = split(row, d);
            if fields.len() > 1 {
                *widths.entry(fields.len()).or_default() += 1;
                let has_time =
                    fields.iter().take(64).any(|f| wanted.time(f).is_some() || is_date(f, wanted) || is_wanted_time(f));
                times += u32::from(has_time);
            }
        }
        let (width, same) = widths.into_iter().max_by_key(|(w, n)| (*n, *w)).unwrap_or((1, 0));
        let fits_header = rows.first().is_some_and(|r| split(r, d).len() == width);
        (times, same, fits_header, width)
    };
    let first = rows.first().copied().unwrap_or("");
    let found = DELIMITERS.into_iter().rev().max_by_key(|d| score(*d)).unwrap_or(',');
    if score(found).0 == 0 {
        if is_aligned(&rows, wanted) {
            return ' ';
        }
        return DELIMITERS.into_iter().rev().max_by_key(|d| split(first, *d).len()).unwrap_or(',');
    }
    found
}

/// Whether columns are parted by spaces, as tables of fixed width are: nearly all rows have as many words, and a time or the numbers of a
/// date among them.
fn is_aligned(rows: &[&str], wanted: &Wanted<'_>) -> bool {
    let words: Vec<Vec<&str>> = rows.iter().map(|row| row.split_whitespace().collect()).collect();
    let mut widths: HashMap<usize, usize> = HashMap::new();
    words.iter().for_each(|row| *widths.entry(row.len()).or_default() += 1);
    let Some((width, same)) = widths.into_iter().max_by_key(|(width, n)| (*n, *width)) else { return false };
    let alike = || words.iter().filter(|row| row.len() == width);
    let is_time = |word: &&str| wanted.time(word).is_some() || is_date(word, wanted) || is_clock(word);
    let times = alike().filter(|row| row.iter().any(is_time)).count();
    // `2026 03 09 00 00`
    let is_year = |word: &&str| word.len() == 4 && word.parse().is_ok_and(|year: u32| (1900..2200).contains(&year));
    let parts = alike().filter(|row| row.iter().take(2).any(is_year)).count();
    let others = |row: &&Vec<&str>| row.iter().any(|word| !is_time(word) && number_of(word).is_some());
    same > 1
        && same * 10 >= rows.len() * 8
        && width > 1
        // Above the data stand names, and perhaps units.
        && times.max(if width > 3 { parts } else { 0 }) + 2 >= (same * 8).div_ceil(10)
        && alike().filter(others).count() * 2 >= same
}

/// Whether a column holds another time of the row, as when the interval ended, which is no reading: most of its cells are times and none
/// is a number, but for seconds since 1970 under a name of times.
fn is_other_time(column: &Column, looks: &Looks, cells: impl Iterator<Item = String>, wanted: &Wanted<'_>) -> bool {
    let is_named = header::names_time(&column.key) || header::names_end(&column.key);
    if looks.numbers > 0 && !is_named {
        return false;
    }
    let (mut times, mut others) = (0, 0);
    for cell in cells.filter(|cell| !number::is_nothing(cell)) {
        let is_time = wanted.time(&cell).is_some() || is_date(&cell, wanted) || (is_named && is_clock(&cell));
        *(if is_time { &mut times } else { &mut others }) += 1;
    }
    // A name of times over numbers that are none, as hours of work, is that of a reading.
    times > others && (looks.numbers == 0 || others == 0)
}

/// Excel's days stand for a time where nothing else does.
fn is_wanted_time(text: &str) -> bool {
    text.replace(',', ".").parse::<f64>().is_ok_and(|n| time::excel(n).is_some() && n.fract() != 0.0)
}

struct Head {
    columns: Vec<Column>,
    row: Option<usize>,
}

/// The header above the first row of data.
fn head(
    rows: &[Fields<'_>],
    data_from: usize,
    width: usize,
    named: Option<usize>,
    time: &TimeColumns,
    wanted: &Wanted<'_>,
) -> Head {
    let titled = |row: usize| header::columns(rows[row].iter().map(|f| f.as_ref()));
    if let Some(row) = named {
        return Head { columns: titled(row), row: Some(row) };
    }
    let with_units = |names: usize, units: Option<usize>| {
        let mut columns = titled(names);
        if let Some(units) = units {
            for (column, unit) in columns.iter_mut().zip(&rows[units]) {
                if column.unit.is_empty() {
                    column.unit = unit::tidy(unit.trim_matches(['[', ']', '(', ')'])).to_owned();
                }
            }
        }
        columns
    };
    if rows[0].first().is_some_and(|f| f == "TOA5") && data_from > 2 {
        return Head { columns: with_units(1, Some(2)), row: Some(1) };
    }
    let fits = |row: &Fields<'_>| {
        let filled = row.iter().filter(|f| !f.is_empty()).count();
        (row.len() == width || row.len() + 1 == width || row.len() == width + 1) && (filled > 1 || row.len() == 1)
    };
    let mut first = data_from;
    while first > 0 && fits(&rows[first - 1]) && data_from - first < 8 {
        first -= 1;
    }
    if first == data_from {
        return Head { columns: unnamed(&rows[data_from], time, wanted), row: None };
    }
    let is_unit = |f: &str| {
        let bare = f.trim_matches(['[', ']', '(', ')']);
        // Of buoys: degrees from true north.
        unit::is_known(bare) || bare == "degT"
    };
    let is_units = |row: usize| {
        let others: Vec<&str> = rows[row]
            .iter()
            .enumerate()
            .filter(|(c, f)| !time.holds(*c) && !f.is_empty())
            .map(|(_, f)| f.as_ref())
            .collect();
        !others.is_empty() && others.iter().filter(|f| is_unit(f)).count() * 2 > others.len()
    };
    let units = (first + 1..data_from).rev().find(|r| is_units(*r));
    let mut names = units.unwrap_or(data_from) - 1;
    // SMA: below the names stands how each column is recorded.
    let tells_recording = |f: &Cow<'_, str>| matches!(f.as_ref(), "" | "Counter" | "Analog" | "Gauge" | "Status");
    if names > first && rows[names].iter().all(tells_recording) {
        names -= 1;
    }
    let labels: Vec<&str> =
        rows[names].iter().enumerate().filter(|(c, _)| *c != time.column).map(|(_, f)| f.as_ref()).collect();
    let distinct: HashSet<&&str> = labels.iter().collect();
    let mut columns = with_units(names, units);
    // Victron's portal: the device in the first row, the quantity below the name of the time.
    let has_devices =
        names == first + 1 && units.is_some() && header::names_time(rows[first].get(time.column).map_or("", |f| f));
    if units.is_some() && names > first && (distinct.len() < labels.len() || has_devices) {
        // Several rows name a column together: the device, its number, the quantity.
        let joined: Vec<String> = (0..rows[names].len())
            .map(|c| {
                let mut words: Vec<&str> = Vec::new();
                for row in &rows[first..=names] {
                    let word = row.get(c).map_or("", |f| f.as_ref());
                    if !word.is_empty() && !words.contains(&word) {
                        words.push(word);
                    }
                }
                words.join(" ")
            })
            .collect();
        let renamed = header::columns(joined.iter().map(String::as_str));
        for (column, renamed) in columns.iter_mut().zip(renamed) {
            (column.key, column.title) = (renamed.key, renamed.title);
        }
    }
    Head { columns, row: Some(names) }
}

/// The columns of a table without header.
fn unnamed(row: &Fields<'_>, time: &TimeColumns, wanted: &Wanted<'_>) -> Vec<Column> {
    let is_time = |i: usize| time.holds(i);
    let lone = (0..row.len()).filter(|i| !is_time(*i)).count() == 1;
    let mut n = 0;
    (0..row.len())
        .map(|i| {
            n += usize::from(!is_time(i));
            let key = if lone && !is_time(i) { wanted.lone_name.to_owned() } else { format!("column {n}") };
            Column { title: key.clone(), key, unit: String::new() }
        })
        .collect()
}

/// No row has a time: the first is taken for the header, and every row is counted as one without time.
fn without_time(
    rows: &[Fields<'_>],
    look: &[(u64, String)],
    delimiter: char,
    head: usize,
    wanted: &Wanted<'_>,
) -> Result<Layout, InputError> {
    let columns = header::columns(rows[head].iter().map(|f| f.as_ref()));
    let by_name = header::place(&columns, header::TIME_NAMES).unwrap_or(0);
    let column = match wanted.options.time.as_str() {
        "" => by_name,
        given => columns
            .iter()
            .position(|c| c.key == given || c.title == given)
            .ok_or_else(|| no_column(given, &rows[head]))?,
    };
    Ok(Layout {
        delimiter,
        parts: vec![Part::Numbers(Marks::Unknown, false); columns.len()],
        time: TimeColumns { column, ..TimeColumns::default() },
        single: None,
        devices: Vec::new(),
        shift: 0,
        marks: Marks::Unknown,
        series: HashMap::new(),
        matrix: Vec::new(),
        data_from: head + 1,
        header_line: Some(look[head].0),
        columns,
    })
}
