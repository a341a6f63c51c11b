//! Spreadsheets (xlsx, xls, ods): the tallest sheet and those with the same header, as lines that the table's reader understands. What is
//! in other sheets is not read, and they are named.

use std::io::Cursor;

use calamine::{Data, Reader as _, open_workbook_auto_from_rs};

use super::{InputError, percent};

/// The largest spreadsheet that is read.
pub const MAX_WORKBOOK: u64 = 256 << 20;

/// Stands before the names of the sheets that are read, of those that are not, and before the first row.
pub(super) const MARK: char = '\u{1f}';

/// Whether a file that begins so may be a spreadsheet: a ZIP archive, or a compound document of old.
pub fn is_workbook(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
}

/// The rows of a spreadsheet, a line each, with tabs between the cells.
///
/// # Errors
/// It is none, or has no rows.
pub fn rows_of(bytes: Vec<u8>) -> Result<Vec<u8>, InputError> {
    let is_zip = bytes.starts_with(b"PK");
    let mut percentages = percent::of_workbook(&bytes);
    let mut book = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(|error| match is_zip {
        true => InputError::Compressed("zip", "unzip"),
        false => InputError::Workbook(error.to_string()),
    })?;
    let mut sheets = Vec::new();
    for name in book.sheet_names() {
        let range = book.worksheet_range(&name).map_err(|e| InputError::Workbook(e.to_string()))?;
        let percentages = percentages.remove(&name).unwrap_or_default();
        sheets.push(Sheet { name, range, percentages });
    }
    let tallest = sheets.iter().map(|s| s.range.height()).max().filter(|height| *height > 0);
    let best = sheets.iter().find(|s| Some(s.range.height()) == tallest);
    let best = best.ok_or_else(|| InputError::Workbook("no sheet has a row".to_owned()))?;
    let is_alike = |s: &&Sheet| s.name == best.name || (s.range.height() > 1 && s.header() == best.header());
    let read: Vec<&Sheet> = sheets.iter().filter(is_alike).collect();
    let is_table = |s: &&Sheet| s.range.height() > 1 && s.range.width() > 1;
    let left_out: Vec<&str> =
        sheets.iter().filter(|s| !is_alike(s)).filter(is_table).map(|s| s.name.as_str()).collect();
    // Sheets of the same time are of a room or device each; others go on where one ends.
    let times: Vec<_> = read.iter().map(|s| s.times()).collect();
    let overlaps = |i: usize| times[..i].iter().any(|t| t.0 <= times[i].1 && times[i].0 <= t.1);
    let is_each_a_device = (1..read.len()).any(overlaps);
    // The range begins with the first row that has a cell: those above keep their numbers.
    let above = best.range.start().filter(|_| read.len() == 1).map_or(0, |(row, _)| row as usize);
    let mut text = "\n".repeat(above);
    text.push_str("sep=\t");
    let names = |names: &[&str]| tame(&names.join(", "));
    let read_names: Vec<&str> = read.iter().map(|s| s.name.as_str()).collect();
    for told in [names(&read_names), names(&left_out)] {
        text.push(MARK);
        text.push_str(&told);
    }
    text.push(MARK);
    for (i, sheet) in read.iter().enumerate() {
        // They have one header.
        for (n, row) in sheet.range.rows().enumerate().skip(usize::from(i > 0)) {
            if is_each_a_device {
                text.push_str(if n == 0 { "device" } else { &sheet.name });
                text.push('\t');
            }
            for (i, cell) in row.iter().enumerate() {
                if i > 0 {
                    text.push('\t');
                }
                match cell {
                    Data::Float(value) if sheet.is_percentage(n, i) => text.push_str(&percent::text_of(*value)),
                    Data::Int(value) if sheet.is_percentage(n, i) => text.push_str(&percent::text_of(*value as f64)),
                    _ => text.push_str(&tame(&cell_text(cell))),
                }
            }
            text.push('\n');
        }
    }
    Ok(text.into_bytes())
}

struct Sheet {
    name: String,
    range: calamine::Range<Data>,
    percentages: percent::Cells,
}

impl Sheet {
    /// Whether a cell is shown as a percentage, by its place in the range.
    fn is_percentage(&self, row: usize, column: usize) -> bool {
        let (top, left) = self.range.start().unwrap_or((0, 0));
        let place = |from: u32, n: usize| u32::try_from(n).ok().and_then(|n| from.checked_add(n));
        !self.percentages.is_empty()
            && place(top, row).zip(place(left, column)).is_some_and(|place| self.percentages.contains(&place))
    }

    fn header(&self) -> Vec<String> {
        self.range.rows().next().into_iter().flatten().map(cell_text).collect()
    }

    /// The first and the last of its times, as text.
    fn times(&self) -> (String, String) {
        let column = self.range.rows().nth(1).and_then(|row| row.iter().position(|c| matches!(c, Data::DateTime(_))));
        let cells = self.range.rows().skip(1).filter_map(|row| row.get(column.unwrap_or(0))).map(cell_text);
        let mut cells: Vec<String> = cells.filter(|c| !c.is_empty()).collect();
        cells.sort_unstable();
        (cells.first().cloned().unwrap_or_default(), cells.last().cloned().unwrap_or_default())
    }
}

/// Without what would end a cell or a row.
fn tame(text: &str) -> String {
    text.replace(['\t', '\n', '\r', MARK], " ")
}

fn cell_text(cell: &Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(text) => text.clone(),
        // With six digits, so that no cell can be read in two ways.
        Data::Float(value) => number(*value),
        Data::Int(value) => value.to_string(),
        Data::Bool(on) => (if *on { "true" } else { "false" }).to_owned(),
        Data::DateTime(at) => {
            let days = at.as_f64();
            if days < 1.0 {
                let seconds = (days * 86_400.0).round() as u32;
                return format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            }
            // A date alone may have its time of day in a cell of its own.
            let form = if days.fract() == 0.0 { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M:%S" };
            super::time::excel(days).map_or_else(String::new, |at| at.strftime(form).to_string())
        }
        Data::DateTimeIso(text) => text.clone(),
        Data::DurationIso(text) => time_of_day(text).unwrap_or_else(|| text.clone()),
        Data::Error(_) => "#N/A".to_owned(),
    }
}

/// `PT07H30M00S`, as OpenDocument writes a time of day.
fn time_of_day(text: &str) -> Option<String> {
    let (hours, rest) = text.strip_prefix("PT")?.split_once('H')?;
    let (minutes, rest) = rest.split_once('M').unwrap_or(("0", rest));
    let seconds = rest.strip_suffix('S').map_or("0", |s| s.split(['.', ',']).next().unwrap_or(s));
    let number = |text: &str, most: u32| text.parse::<u32>().ok().filter(|n| *n < most);
    Some(format!("{:02}:{:02}:{:02}", number(hours, 24)?, number(minutes, 60)?, number(seconds, 60)?))
}

/// A number with a point that can't be taken for a mark between thousands.
pub(super) fn number(value: f64) -> String {
    let text = value.to_string();
    match text.split_once('.') {
        Some((_, fraction)) if fraction.len() == 3 => format!("{text}0"),
        _ => text,
    }
}
