//! Which cells of a spreadsheet are shown as percentages: 0.55 in a cell of the format `0.00%` is 55 %. The reader of spreadsheets gives
//! their values without the formats, so they are read here: of xlsx from styles and sheets, of ods from the types of the cells. Cells of
//! xls, whose formats are in a binary form, are not told apart.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

/// The largest part of a spreadsheet that is looked through, unpacked.
const MAX_PART: u64 = 1 << 30;
/// Rows and columns of the largest sheets.
const MAX_ROWS: u32 = 1 << 20;
const MAX_COLUMNS: u32 = 1 << 14;
/// Cells that are remembered.
const MAX_CELLS: usize = 4 << 20;

/// Cells of a sheet, row and column from 0.
pub(super) type Cells = HashSet<(u32, u32)>;

/// The percentages of each sheet, by its name. What can't be read has none.
pub(super) fn of_workbook(bytes: &[u8]) -> HashMap<String, Cells> {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else { return HashMap::new() };
    let found = match archive.index_for_name("content.xml") {
        Some(_) => of_ods(&mut archive),
        None => of_xlsx(&mut archive),
    };
    found.unwrap_or_default()
}

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Calls `on` with each tag that begins, and whether it is an empty one; `None`: there is no such part, or it is no XML.
fn tags(archive: &mut Archive<'_>, part: &str, on: &mut dyn FnMut(&BytesStart<'_>)) -> Option<()> {
    let file = archive.by_name(part).ok()?;
    let mut reader = Reader::from_reader(BufReader::new(file.take(MAX_PART)));
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Start(tag) | Event::Empty(tag) => on(&tag),
            Event::Eof => return Some(()),
            _ => {}
        }
        buffer.clear();
    }
}

/// An attribute's text, by its name without a prefix.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|a| a.key.local_name().as_ref() == name.as_bytes())?;
    let raw = std::str::from_utf8(&found.value).ok()?;
    Some(quick_xml::escape::unescape(raw).ok()?.into_owned())
}

fn number(tag: &BytesStart<'_>, name: &str) -> Option<u32> {
    attribute(tag, name)?.parse().ok()
}

/// Whether a number's format shows a percentage: a `%` that is neither quoted nor escaped.
fn is_percent(code: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for c in code.chars() {
        match c {
            _ if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' | '_' | '*' if !quoted => escaped = true,
            '%' if !quoted => return true,
            // Only the format of positive numbers counts.
            ';' if !quoted => return false,
            _ => {}
        }
    }
    false
}

fn of_xlsx(archive: &mut Archive<'_>) -> Option<HashMap<String, Cells>> {
    let mut formats: HashMap<u32, bool> = HashMap::from([(9, true), (10, true)]);
    let (mut styles, mut in_cells) = (Vec::new(), false);
    tags(archive, "xl/styles.xml", &mut |tag| match tag.local_name().as_ref() {
        b"numFmt" => {
            if let (Some(id), Some(code)) = (number(tag, "numFmtId"), attribute(tag, "formatCode")) {
                formats.insert(id, is_percent(&code));
            }
        }
        b"cellXfs" => in_cells = true,
        b"cellStyles" | b"dxfs" | b"cellStyleXfs" => in_cells = false,
        b"xf" if in_cells => styles.push(number(tag, "numFmtId").unwrap_or(0)),
        _ => {}
    })?;
    let styles: Vec<bool> = styles.iter().map(|id| formats.get(id).copied().unwrap_or(false)).collect();
    if !styles.contains(&true) {
        return None;
    }
    let mut names: Vec<(String, String)> = Vec::new();
    tags(archive, "xl/workbook.xml", &mut |tag| {
        if tag.local_name().as_ref() == b"sheet"
            && let (Some(name), Some(id)) = (attribute(tag, "name"), attribute(tag, "id"))
        {
            names.push((name, id));
        }
    })?;
    let mut targets: HashMap<String, String> = HashMap::new();
    tags(archive, "xl/_rels/workbook.xml.rels", &mut |tag| {
        if let (Some(id), Some(target)) = (attribute(tag, "Id"), attribute(tag, "Target")) {
            targets.insert(id, target);
        }
    })?;
    let mut found = HashMap::new();
    let mut total = 0;
    for (name, id) in names {
        let Some(target) = targets.get(&id) else { continue };
        let part = match target.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => format!("xl/{target}"),
        };
        let mut cells = Cells::new();
        let (mut row, mut column) = (0u32, 0u32);
        tags(archive, &part, &mut |tag| match tag.local_name().as_ref() {
            b"row" => {
                row = number(tag, "r").unwrap_or(row.saturating_add(1));
                column = 0;
            }
            b"c" => {
                // A cell without a place stands behind the one before.
                column = attribute(tag, "r").and_then(|place| column_of(&place)).unwrap_or(column.saturating_add(1));
                let style = number(tag, "s").unwrap_or(0) as usize;
                if styles.get(style) == Some(&true) && row > 0 && total < MAX_CELLS {
                    total += 1;
                    cells.insert((row - 1, column - 1));
                }
            }
            _ => {}
        });
        found.insert(name, cells);
    }
    Some(found)
}

/// The number of the column of a place such as `AB12`, from 1.
fn column_of(place: &str) -> Option<u32> {
    let letters = place.bytes().take_while(u8::is_ascii_uppercase);
    let column = letters.take(4).fold(0, |n, letter| n * 26 + u32::from(letter - b'A' + 1));
    (1..=MAX_COLUMNS).contains(&column).then_some(column)
}

fn of_ods(archive: &mut Archive<'_>) -> Option<HashMap<String, Cells>> {
    let mut found: HashMap<String, Cells> = HashMap::new();
    let (mut name, mut row, mut column, mut rows, mut total) = (String::new(), 0u32, 0u32, 0u32, 0usize);
    tags(archive, "content.xml", &mut |tag| match tag.local_name().as_ref() {
        b"table" => {
            name = attribute(tag, "name").unwrap_or_default();
            (row, rows) = (0, 0);
        }
        b"table-row" => {
            row = row.saturating_add(rows);
            rows = number(tag, "number-rows-repeated").unwrap_or(1);
            column = 0;
        }
        b"table-cell" | b"covered-table-cell" => {
            let columns = number(tag, "number-columns-repeated").unwrap_or(1);
            if attribute(tag, "value-type").as_deref() == Some("percentage") {
                let cells = found.entry(name.clone()).or_default();
                let rows = row..row.saturating_add(rows).min(MAX_ROWS);
                let columns = column..column.saturating_add(columns).min(MAX_COLUMNS);
                let places = rows.flat_map(|row| columns.clone().map(move |column| (row, column)));
                for place in places.take(MAX_CELLS - total) {
                    total += 1;
                    cells.insert(place);
                }
            }
            column = column.saturating_add(columns);
        }
        _ => {}
    })?;
    Some(found)
}

/// A percentage as text: without the noise of the last bits that a factor of 100 leaves.
pub(super) fn text_of(value: f64) -> String {
    let rounded: f64 = format!("{:.12e}", value * 100.0).parse().unwrap_or(value * 100.0);
    format!("{}%", super::workbook::number(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_percentages_are_told_from_others() {
        for code in ["0%", "0.00%", "#,##0.0 %", "[Red]0%", "0%;-0%"] {
            assert!(is_percent(code), "{code}");
        }
        for code in ["0.00", "0.0\"%\"", "0.0\\%", "General", "0;0%", ""] {
            assert!(!is_percent(code), "{code}");
        }
    }

    #[test]
    fn percentages_are_written_without_noise() {
        for (value, text) in [(0.55, "55%"), (0.07, "7%"), (0.551, "55.1%"), (0.55125, "55.1250%"), (1.0, "100%")] {
            assert_eq!(text_of(value), text);
        }
    }

    fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
        use std::io::Write;
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in parts {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn lines(bytes: Vec<u8>) -> Vec<String> {
        let text = String::from_utf8(super::super::rows_of(bytes).unwrap()).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn cells_of_xlsx_that_are_shown_as_percentages_are_read_as_such() {
        let bytes = archive(&[
            (
                "[Content_Types].xml",
                r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>"#,
            ),
            (
                "_rels/.rels",
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
            ),
            (
                "xl/workbook.xml",
                r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="R &amp; D" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
            ),
            (
                "xl/_rels/workbook.xml.rels",
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#,
            ),
            (
                "xl/styles.xml",
                r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts count="1"><numFmt numFmtId="164" formatCode="0.0%"/></numFmts><cellStyleXfs count="1"><xf numFmtId="9"/></cellStyleXfs><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="10"/><xf numFmtId="164"/></cellXfs></styleSheet>"#,
            ),
            (
                "xl/worksheets/sheet1.xml",
                r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="3"><c r="B3" t="inlineStr"><is><t>time</t></is></c><c r="C3" t="inlineStr"><is><t>RH (%)</t></is></c><c r="D3" t="inlineStr"><is><t>share</t></is></c></row><row r="4"><c r="B4" t="inlineStr"><is><t>2026-03-09 10:00</t></is></c><c r="C4" s="1"><v>0.55</v></c><c r="D4"><v>0.55</v></c></row><row r="5"><c r="B5" t="inlineStr"><is><t>2026-03-09 10:10</t></is></c><c s="2"><v>0.575</v></c><c s="0"><v>1</v></c></row></sheetData></worksheet>"#,
            ),
        ]);
        let read = lines(bytes);
        assert_eq!(read[read.len() - 2..], ["2026-03-09 10:00\t55%\t0.55", "2026-03-09 10:10\t57.5%\t1"], "{read:?}");
    }

    #[test]
    fn cells_of_ods_that_are_percentages_are_read_as_such() {
        let content = r#"<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet><table:table table:name="a"><table:table-row><table:table-cell office:value-type="string"><text:p>time</text:p></table:table-cell><table:table-cell office:value-type="string"><text:p>RH</text:p></table:table-cell></table:table-row><table:table-row table:number-rows-repeated="2"><table:table-cell office:value-type="float" office:value="46090"/><table:table-cell office:value-type="percentage" office:value="0.5"/></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"#;
        let bytes = archive(&[
            ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
            (
                "META-INF/manifest.xml",
                r#"<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>"#,
            ),
            ("content.xml", content),
        ]);
        let read = lines(bytes);
        assert_eq!(read[read.len() - 2..], ["46090\t50%", "46090\t50%"], "{read:?}");
    }

    #[test]
    fn places_of_cells_name_their_column() {
        assert_eq!(["A1", "Z9", "AA10", "XFD1"].map(column_of), [Some(1), Some(26), Some(27), Some(16_384)]);
        assert_eq!(["", "1", "ZZZZZ1"].map(column_of), [None; 3]);
    }
}
