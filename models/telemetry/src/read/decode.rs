//! The encoding of a text: UTF-8, UTF-16 by its mark or its zero bytes, or the old one of Western Europe.

use encoding_rs::{Decoder, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::InputError;

/// Bytes that decide.
const LOOK: usize = 64 << 10;

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Utf8,
    Other(&'static Encoding),
}

/// Turns bytes into UTF-8.
#[derive(Default)]
pub(super) struct Decode {
    wanted: Option<&'static Encoding>,
    found: Option<Found>,
    decoder: Option<Decoder>,
    waiting: Vec<u8>,
}

impl std::fmt::Debug for Decode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decode").field("found", &self.found).finish_non_exhaustive()
    }
}

impl Decode {
    /// For an encoding by its name; empty: by the bytes.
    pub(super) fn new(name: &str) -> Result<Decode, InputError> {
        let wanted = match name {
            "" => None,
            name => Some(Encoding::for_label(name.as_bytes()).ok_or_else(|| {
                InputError::Options(format!(
                    "text.encoding is {name:?} but must be the name of an encoding, as in \"utf-8\", \"windows-1252\" or \"utf-16le\""
                ))
            })?),
        };
        Ok(Decode { wanted, ..Decode::default() })
    }

    /// The name of the encoding, once it is known.
    pub(super) fn name(&self) -> &'static str {
        match self.found {
            Some(Found::Other(encoding)) => encoding.name(),
            _ => "UTF-8",
        }
    }

    /// Adds bytes; those that are decoded go to `out`.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), InputError> {
        if self.found.is_none() {
            self.waiting.extend_from_slice(bytes);
            // A few lines show it; what begins like UTF-8 and goes on so is UTF-8.
            if self.waiting.len() < LOOK {
                return Ok(());
            }
            return self.settle(out);
        }
        self.decode(bytes, out);
        Ok(())
    }

    /// Decides by what is there.
    pub(super) fn settle(&mut self, out: &mut Vec<u8>) -> Result<(), InputError> {
        if self.found.is_some() || self.waiting.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.waiting);
        let found = match self.wanted {
            Some(encoding) if encoding == encoding_rs::UTF_8 => Found::Utf8,
            Some(encoding) => Found::Other(encoding),
            None => look(&bytes)?,
        };
        self.found = Some(found);
        if let Found::Other(encoding) = found {
            self.decoder = Some(encoding.new_decoder_with_bom_removal());
        }
        let bytes = match found {
            Found::Utf8 => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes),
            Found::Other(_) => &bytes,
        };
        self.decode(bytes, out);
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(decoder) = &mut self.decoder else {
            out.extend_from_slice(bytes);
            return;
        };
        let mut text =
            String::with_capacity(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(bytes.len() * 3 + 16));
        let _ = decoder.decode_to_string(bytes, &mut text, false);
        out.extend_from_slice(text.as_bytes());
    }

    /// Another input begins.
    pub(super) fn begin(&mut self) {
        self.found = None;
        self.decoder = None;
        self.waiting.clear();
    }
}

/// What is no text is called what it is, before anybody wonders about columns.
fn look(bytes: &[u8]) -> Result<Found, InputError> {
    match bytes {
        [0x1f, 0x8b, ..] => return Err(InputError::Compressed("gzip", "gunzip")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(InputError::Compressed("zstd", "unzstd")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(InputError::Compressed("xz", "unxz")),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Err(InputError::Compressed("bzip2", "bunzip2")),
        [b'P', b'K', 3, 4, ..] => return Err(InputError::Compressed("zip", "unzip")),
        [b'%', b'P', b'D', b'F', ..] => return Err(InputError::NotText("it is a PDF document")),
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => return Err(InputError::NotText("it is an SQLite database")),
        [b'P', b'A', b'R', b'1', ..] => return Err(InputError::NotText("it is a Parquet file: export it as CSV")),
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => return Err(InputError::NotText("it is a picture")),
        [0xff, 0xfe, ..] => return Ok(Found::Other(UTF_16LE)),
        [0xfe, 0xff, ..] => return Ok(Found::Other(UTF_16BE)),
        _ => {}
    }
    let head = &bytes[..bytes.len().min(4096)];
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    if head.contains(&0) {
        let half = head.len() / 2;
        return match (zeros(0), zeros(1)) {
            (few, many) if few == 0 && many * 10 > half * 7 && half > 3 => Ok(Found::Other(UTF_16LE)),
            (many, few) if few == 0 && many * 10 > half * 7 && half > 3 => Ok(Found::Other(UTF_16BE)),
            _ => Err(InputError::NotText("it holds zero bytes")),
        };
    }
    let controls = head.iter().filter(|b| **b < 32 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)).count();
    if controls * 20 > head.len() {
        return Err(InputError::NotText("it is full of control characters"));
    }
    // The end may lie within a character.
    let is_utf8 = |line: &[u8]| match std::str::from_utf8(line) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    if is_utf8(bytes) {
        return Ok(Found::Utf8);
    }
    // A single broken line is a broken line; a header, or letters of the old encoding, are the encoding.
    let lines: Vec<&[u8]> = bytes.split(|b| matches!(b, b'\n' | b'\r')).filter(|l| !l.is_empty()).collect();
    let wrong: Vec<&&[u8]> = lines.iter().filter(|l| std::str::from_utf8(l).is_err()).collect();
    let is_western = wrong.iter().all(|line| {
        // °, ², ³, µ and the letters of German, French and Spanish between ASCII.
        let high = line.iter().filter(|b| **b >= 0x80);
        high.clone().count() * 3 <= line.len()
            && high.into_iter().all(|b| {
                matches!(b, 0xb0 | 0xb2 | 0xb3 | 0xb5 | 0xb7 | 0xba | 0x80 | 0x92 | 0x96 | 0xa0 | 0xc0..=0xdc | 0xdf..=0xfc)
            })
    });
    Ok(if is_western { Found::Other(WINDOWS_1252) } else { Found::Utf8 })
}
