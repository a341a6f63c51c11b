//! `tokenizer.model`: the vocabulary of a SentencePiece model, a protocol buffer. Of its fields only the pieces are read: text, score
//! and kind.

use std::path::Path;

use nearfield_base::files;

use crate::ConvertError;

/// The longest file; Gemma's has four megabytes.
const MOST_BYTES: u64 = 64 << 20;
/// The most pieces.
const MOST_PIECES: usize = 1 << 22;

/// One piece.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub text: String,
    pub score: f32,
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    pub kind: i32,
}

/// Reads the pieces of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Piece>, ConvertError> {
    let bytes = files::read(path, MOST_BYTES).map_err(|cause| ConvertError::Read { path: path.to_owned(), cause })?;
    pieces(&bytes)
        .ok_or_else(|| ConvertError::broken(path, "it is no SentencePiece model, or is cut short; fetch it again"))
}

fn pieces(bytes: &[u8]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        if let (1, Field::Bytes(piece)) = (number, value) {
            pieces.push(one(piece)?);
            if pieces.len() > MOST_PIECES {
                return None;
            }
        }
    }
    (!pieces.is_empty()).then_some(pieces)
}

fn one(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: 1 };
    let mut fields = Fields(bytes);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Field::Bytes(text)) => piece.text = String::from_utf8(text.to_vec()).ok()?,
            (2, Field::Four(bytes)) => piece.score = f32::from_le_bytes(bytes),
            (3, Field::Integer(kind)) => piece.kind = i32::try_from(kind).ok()?,
            _ => {}
        }
    }
    Some(piece)
}

/// The fields of a message that are left.
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Integer(u64),
    Four([u8; 4]),
    Bytes(&'a [u8]),
    Eight,
}

impl<'a> Fields<'a> {
    /// The next field and its number; `Some(None)` at the end, `None` where the message is broken.
    #[allow(clippy::should_implement_trait, clippy::type_complexity)]
    fn next(&mut self) -> Option<Option<(u64, Field<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Integer(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Eight
            }
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Four(self.take(4)?.try_into().ok()?),
            _ => return None,
        };
        Some(Some((key >> 3, field)))
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_read_and_broken_files_refused() {
        // Two pieces: "<s>" with kind 3, and "ab" with score -2.5; between them a field that is skipped.
        let first = [0x0a, 7, 0x0a, 3, b'<', b's', b'>', 0x18, 3];
        let other = [0x12, 2, 0x08, 1];
        let second = [0x0a, 9, 0x0a, 2, b'a', b'b', 0x15, 0, 0, 0x20, 0xc0];
        let whole = [&first[..], &other, &second].concat();
        let read = pieces(&whole).unwrap();
        let wanted = [
            Piece { text: "<s>".to_owned(), score: 0.0, kind: 3 },
            Piece { text: "ab".to_owned(), score: -2.5, kind: 1 },
        ];
        assert_eq!(read, wanted);
        for len in 1..whole.len() {
            // Cut between fields it is a shorter file; elsewhere it is broken.
            assert_eq!(
                pieces(&whole[..len]).is_some(),
                len == first.len() || len == first.len() + other.len(),
                "{len}"
            );
        }
        assert_eq!(pieces(&[]), None);
        assert_eq!(pieces(&[0xff; 64]), None);
        assert_eq!(pieces(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]), None);
    }
}
