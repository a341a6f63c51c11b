//! Spreadsheets (xlsx, xls, ods): the first sheet with readings, as lines that the table's reader understands.

use std::io::Cursor;

use calamine::{Data, Reader as _, open_workbook_auto_from_rs};

use super::InputError;

/// The largest spreadsheet that is read.
pub const MAX_WORKBOOK: u64 = 256 << 20;

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
    let mut book = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(|error| match is_zip {
        true => InputError::Compressed("zip", "unzip"),
        false => InputError::Workbook(error.to_string()),
    })?;
    let mut best = None;
    for name in book.sheet_names() {
        let range = book.worksheet_range(&name).map_err(|e| InputError::Workbook(e.to_string()))?;
        if best.as_ref().is_none_or(|b: &calamine::Range<Data>| b.height() < range.height()) {
            best = Some(range);
        }
    }
    let range = best.filter(|r| r.height() > 0).ok_or_else(|| InputError::Workbook("no sheet has a row".to_owned()))?;
    let mut text = String::from("sep=\t\n");
    for row in range.rows() {
        for (i, cell) in row.iter().enumerate() {
            if i > 0 {
                text.push('\t');
            }
            text.push_str(&cell_text(cell).replace(['\t', '\n', '\r'], " "));
        }
        text.push('\n');
    }
    Ok(text.into_bytes())
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
            super::time::excel(days).map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
        }
        Data::DateTimeIso(text) => text.clone(),
        Data::DurationIso(text) => text.clone(),
        Data::Error(_) => "#N/A".to_owned(),
    }
}

/// A number with a point that can't be taken for a mark between thousands.
fn number(value: f64) -> String {
    let text = value.to_string();
    match text.split_once('.') {
        Some((_, fraction)) if fraction.len() == 3 => format!("{text}0"),
        _ => text,
    }
}
