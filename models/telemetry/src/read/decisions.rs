//! What a reader has decided, in words.

use super::infer::Layout;
use super::{Reader, number, time};

impl Reader {
    /// What has been decided: a line each, as `delimiter: ";"`.
    pub fn decisions(&self) -> Vec<(&'static str, String)> {
        let mut told = vec![("encoding", self.decode.name().to_owned())];
        let Some(format) = self.format else { return told };
        told.push(("format", format.name().to_owned()));
        if !self.sheets.is_empty() {
            told.push(("sheets", self.sheets.clone()));
        }
        let Some(sheet) = &self.sheet else { return told };
        let Layout { delimiter, time, single, devices, columns, marks, header_line, matrix, .. } = &sheet.layout;
        told.push(("delimiter", format!("{delimiter:?}").replace('\'', "\"")));
        told.push(("header", header_line.map_or("none".to_owned(), |line| format!("line {line}"))));
        told.push((
            "decimal mark",
            match marks {
                number::Marks::Point => "\".\"",
                number::Marks::Comma => "\",\"",
                number::Marks::Mixed => "both",
                number::Marks::Unknown => "none seen",
            }
            .to_owned(),
        ));
        let title = |c: &usize| columns.get(*c).map_or(String::new(), |c| format!("{:?}", c.title));
        let mut times = time.all().map(|c| title(&c)).collect::<Vec<_>>().join(" and ");
        if time.excel {
            times.push_str(", Excel's days");
        }
        if time.elapsed.is_some() {
            times.push_str(&format!(", counted from {}", self.options.start));
        }
        match time.order {
            Some(time::DateOrder::DayFirst) => times.push_str(", day first"),
            Some(time::DateOrder::MonthFirst) => times.push_str(", month first"),
            Some(time::DateOrder::YearFirst) => times.push_str(", year first"),
            None => {}
        }
        told.push(("time", times));
        let own = self.zone.iana_name().unwrap_or("of the offsets").to_owned();
        let of_header = time.zone.as_ref().map(|zone| match zone.iana_name() {
            Some(name) => format!("{name}, by the header"),
            None => format!("UTC{}, by the header", zone.to_offset(jiff::Timestamp::UNIX_EPOCH)),
        });
        let of_column = time.zone_column.map(|c| format!("of each row, in {}", title(&c)));
        told.push(("zone", of_header.or(of_column).unwrap_or(own)));
        let layout = match (single, devices.is_empty()) {
            _ if !matrix.is_empty() => format!("a day a row, {} times of the day a column each", matrix.len()),
            (Some(single), _) => {
                let sensors: Vec<String> = single.sensors.iter().map(title).collect();
                format!("one reading a line: sensor in {}, value in {}", sensors.join(" and "), title(&single.value))
            }
            (None, true) => "a column a sensor".to_owned(),
            (None, false) => {
                format!(
                    "a column a quantity, device in {}",
                    devices.iter().map(title).collect::<Vec<_>>().join(" and ")
                )
            }
        };
        told.push(("layout", layout));
        told
    }
}
