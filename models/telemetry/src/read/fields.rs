//! A line's fields, and lines that belong together because a quoted field goes on in the next one.

use std::borrow::Cow;

/// Columns at most.
pub(super) const MAX_FIELDS: usize = 16_384;
/// Lines that one quoted field may span.
const MAX_LINES: usize = 64;
/// Bytes of such lines.
const MAX_BYTES: usize = 64 << 10;
/// Marks between columns.
pub(super) const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// A line's fields; quotes around a field are taken off, doubled ones inside are one.
pub(super) fn split(text: &str, delimiter: char) -> Vec<Cow<'_, str>> {
    if delimiter == ' ' {
        // Columns of fixed width: any number of spaces parts them.
        return text.split_whitespace().take(MAX_FIELDS).map(Cow::Borrowed).collect();
    }
    if !text.contains('"') {
        return text.split(delimiter).take(MAX_FIELDS).map(|f| f.trim().into()).collect();
    }
    let mut fields = Vec::new();
    let (mut field, mut quoted) = (String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => {
                fields.push(std::mem::take(&mut field).trim().to_owned().into());
                if fields.len() >= MAX_FIELDS {
                    return fields;
                }
            }
            '\n' => field.push(' '),
            c => field.push(c),
        }
    }
    fields.push(field.trim().to_owned().into());
    fields
}

/// Whether a quote that opens at the beginning of a field is still open at the end of `text`.
fn is_open(text: &str) -> bool {
    let (mut quoted, mut at_start) = (false, true);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted => {
                if characters.peek() == Some(&'"') {
                    characters.next();
                } else {
                    quoted = false;
                }
            }
            '"' if at_start => quoted = true,
            ' ' => continue,
            _ => {}
        }
        at_start = !quoted && DELIMITERS.contains(&c);
    }
    quoted
}

/// Joins lines whose quotes are open.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    open: Vec<(u64, String)>,
    bytes: usize,
}

/// Where whole records go, each with the number of its first line.
pub(super) type OnRecord<'a, E> = dyn FnMut(u64, &str) -> Result<(), E> + 'a;

impl Joiner {
    /// Takes a line; hands on the records that are whole.
    pub(super) fn line<E>(&mut self, number: u64, line: &str, record: &mut OnRecord<'_, E>) -> Result<(), E> {
        if self.open.is_empty() {
            if !line.contains('"') || !is_open(line) {
                return record(number, line);
            }
            self.open.push((number, line.to_owned()));
            self.bytes = line.len();
            return Ok(());
        }
        self.bytes += line.len();
        self.open.push((number, line.to_owned()));
        let whole: String = self.open.iter().map(|(_, l)| l.as_str()).collect::<Vec<_>>().join("\n");
        if !is_open(&whole) {
            let first = self.open[0].0;
            self.open.clear();
            return record(first, &whole);
        }
        if self.open.len() > MAX_LINES || self.bytes > MAX_BYTES {
            // A lone quote: each line stands for itself.
            return self.end(record);
        }
        Ok(())
    }

    /// Nothing more comes: lines that wait stand for themselves.
    pub(super) fn end<E>(&mut self, record: &mut OnRecord<'_, E>) -> Result<(), E> {
        for (number, line) in std::mem::take(&mut self.open) {
            record(number, &line)?;
        }
        Ok(())
    }

    /// Another input begins.
    pub(super) fn begin(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_field_may_hold_delimiters_quotes_and_lines() {
        assert_eq!(split("a,\"b,c\",\"d \"\"e\"\"\"", ','), ["a", "b,c", "d \"e\""]);
        let mut joiner = Joiner::default();
        let mut found = Vec::new();
        let mut record = |n: u64, text: &str| -> Result<(), ()> {
            found.push((n, text.to_owned()));
            Ok(())
        };
        for (n, line) in [(1, "a,\"two"), (2, "lines\",1"), (3, "6\" pipe,2"), (4, "\"lone,3")] {
            joiner.line(n, line, &mut record).unwrap();
        }
        joiner.end(&mut record).unwrap();
        let lines: Vec<_> = found.iter().map(|(n, t)| (*n, t.as_str())).collect();
        assert_eq!(lines, [(1, "a,\"two\nlines\",1"), (3, "6\" pipe,2"), (4, "\"lone,3")]);
    }
}
