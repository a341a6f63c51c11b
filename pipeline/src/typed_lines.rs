//! Lines of text from a reader, each within a limit: what is too long, or is not UTF-8, is refused alone, and the lines behind
//! it are still read.

use std::io::{self, BufRead};

/// A line, or why it is none.
#[derive(Debug, PartialEq, Eq)]
pub enum TypedLine {
    /// Its text, without white space around it.
    Text(String),
    /// It is longer than the limit, of so many bytes.
    TooLong(usize),
    /// It is not UTF-8.
    NotText,
}

/// The next line, of `most` bytes at the most; `None` at the end. Of a longer one no more than that is held.
///
/// # Errors
/// The reader's.
pub fn next_line(reader: &mut impl BufRead, most: usize) -> io::Result<Option<TypedLine>> {
    let mut line = Vec::new();
    let mut length = 0;
    loop {
        let piece = match reader.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = piece.iter().position(|byte| *byte == b'\n');
        let own = &piece[..end.unwrap_or(piece.len())];
        line.extend_from_slice(&own[..own.len().min(most.saturating_sub(line.len()))]);
        length += own.len();
        let (taken, at_end) = (own.len() + usize::from(end.is_some()), piece.is_empty());
        reader.consume(taken);
        if at_end && length == 0 {
            return Ok(None);
        }
        if at_end || end.is_some() {
            break;
        }
    }
    Ok(Some(match String::from_utf8(line) {
        _ if length > most => TypedLine::TooLong(length),
        Ok(text) => TypedLine::Text(text.trim().to_owned()),
        Err(_) => TypedLine::NotText,
    }))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(text: &[u8], most: usize, piece: usize) -> Vec<TypedLine> {
        let mut reader = BufReader::with_capacity(piece, text);
        std::iter::from_fn(|| next_line(&mut reader, most).unwrap()).collect()
    }

    #[test]
    fn a_line_that_cannot_be_read_is_refused_alone() {
        let long = "x".repeat(100);
        let text = [b" one \n\n", long.as_bytes(), b"\r\n\xff\xfe\ntwo\n", long.as_bytes(), b"\nlast"].concat();
        for piece in [1, 2, 7, 64, 1000] {
            use TypedLine::{NotText, Text, TooLong};
            let text_of = |text: &str| Text(text.to_owned());
            assert_eq!(
                lines(&text, 10, piece),
                [text_of("one"), text_of(""), TooLong(101), NotText, text_of("two"), TooLong(100), text_of("last")]
            );
        }
        assert_eq!(lines(b"", 10, 8), []);
        assert_eq!(lines("0123456789\n".as_bytes(), 10, 8), [TypedLine::Text("0123456789".to_owned())]);
    }
}
