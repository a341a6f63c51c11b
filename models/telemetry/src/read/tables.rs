//! The tables of an input: the layout of each is inferred from a sample of its rows, and where another header comes, as of a logger that
//! was set up anew, another table begins.

use super::fields::DELIMITERS;
use super::infer::{Wanted, infer};
use super::printed;
use super::sheet::Sheet;
use super::workbook::MARK;
use super::{Emit, InputError, Reader};

/// Lines that wait for the layout to be found, and their bytes.
const SAMPLE_LINES: usize = 5000;
const SAMPLE_BYTES: usize = 1 << 20;

/// So often another header begins a table of its own at most: each is inferred anew.
const MAX_HEADERS: u32 = 128;

/// Comments right above the first row that may be its header: names and units.
const MAX_HEADER_COMMENTS: usize = 2;

/// Of the comments right above a row of numbers those that name its columns, since they have as many.
fn header_of(comments: Vec<(u64, String)>, row: &str) -> Vec<(u64, String)> {
    if !row.trim_start().starts_with(|c: char| c.is_ascii_digit()) {
        return Vec::new();
    }
    let marks = |text: &str, d: char| text.matches(d).count();
    let delimiter = DELIMITERS.into_iter().filter(|d| marks(row, *d) > 0).max_by_key(|d| marks(row, *d));
    let width = |text: &str| match delimiter {
        Some(delimiter) => marks(text, delimiter) + 1,
        None => text.split_whitespace().count(),
    };
    let fits = |comment: &(u64, String)| width(&comment.1) == width(row) && width(row) > 1;
    let n = comments.iter().rev().take_while(|comment| fits(comment)).count();
    let from = comments.len() - n;
    comments.into_iter().skip(from).collect()
}

impl Reader {
    /// Takes a row.
    pub(super) fn row(&mut self, number: u64, text: &str, emit: &mut Emit<'_>) -> Result<(), InputError> {
        if text.starts_with('#') && !text.starts_with("#N/A") {
            if self.sheet.is_none() && self.sample.is_empty() {
                self.comments.push((number, text.trim_start_matches('#').trim_start().to_owned()));
                if self.comments.len() > MAX_HEADER_COMMENTS {
                    self.comments.remove(0);
                }
            }
            return Ok(());
        }
        if !self.comments.is_empty() {
            let comments = std::mem::take(&mut self.comments);
            self.sample.extend(header_of(comments, text));
        }
        let drawn;
        let mut text = text;
        if matches!(self.options.delimiter.as_str(), "" | "|") {
            let Some(row) = printed::row(text) else { return Ok(()) };
            drawn = row;
            text = &drawn;
        }
        if self.sheet.is_none()
            && let Some(told) = text.trim_start().strip_prefix("sep=")
        {
            self.delimiter_told = told.chars().next().filter(|c| *c != '\r').or(Some('\t'));
            // A spreadsheet's first row stands behind the mark, so that its lines have the numbers of its rows.
            let mut parts = told.splitn(4, MARK).skip(1);
            let (Some(read), Some(left_out), Some(row)) = (parts.next(), parts.next(), parts.next()) else {
                return Ok(());
            };
            read.clone_into(&mut self.sheets);
            if !left_out.is_empty() {
                self.rejected.sheets.push(left_out.to_owned());
            }
            text = row;
        }
        if self.ends_at(text) {
            self.leave_sheet();
        }
        if let Some(sheet) = &mut self.sheet {
            sheet.row(number, text, &mut self.rejected, emit);
            return sheet.check();
        }
        self.sample_bytes += text.len();
        self.sample.push((number, text.to_owned()));
        if self.sample.len() >= SAMPLE_LINES || self.sample_bytes >= SAMPLE_BYTES {
            self.decide(true, emit)?;
        }
        Ok(())
    }

    /// Whether a row is the header of another table.
    fn ends_at(&self, text: &str) -> bool {
        self.headers < MAX_HEADERS && self.sheet.as_ref().is_some_and(|sheet| sheet.is_other_header(text))
    }

    /// What follows is another table: its rows are read by its own header.
    fn leave_sheet(&mut self) {
        let Some(sheet) = self.sheet.take() else { return };
        self.records += sheet.rows;
        self.timed += sheet.times;
        self.headers += 1;
        self.sample_bytes = 0;
        if self.options.decimal.is_empty() {
            sheet.layout.marks.decimal().clone_into(&mut self.options.decimal);
        }
    }

    /// Finds the layout by what there is, and reads it.
    pub(super) fn decide(&mut self, at_end: bool, emit: &mut Emit<'_>) -> Result<(), InputError> {
        // A header at the end of the input, after rows of another, has nothing below it.
        if self.sheet.is_none() && !self.sample.is_empty() && !(self.timed > 0 && self.sample.len() == 1) {
            let wanted = Wanted {
                options: &self.options,
                zone: &self.zone,
                lone_name: &self.lone_name,
                delimiter: self.delimiter_told,
                live: self.live,
            };
            let Some(layout) = infer(&self.sample, &wanted, at_end)? else { return Ok(()) };
            let from = layout.data_from;
            let mut sheet = Sheet::new(layout, self.zone.clone(), &self.options, self.live);
            let mut sample = std::mem::take(&mut self.sample).into_iter().skip(from);
            while let Some((number, text)) = sample.next() {
                if self.headers < MAX_HEADERS && sheet.is_other_header(&text) {
                    self.sheet = Some(sheet);
                    self.leave_sheet();
                    self.sample.push((number, text));
                    self.sample.extend(sample);
                    return self.decide(at_end, emit);
                }
                sheet.row(number, &text, &mut self.rejected, emit);
                sheet.check()?;
            }
            self.without_time = sheet.times == 0;
            self.sheet = Some(sheet);
        }
        Ok(())
    }
}
