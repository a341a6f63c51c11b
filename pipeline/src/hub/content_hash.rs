//! The SHA-256 of a file's content: the newtype by which every model is held to what it was, and the streaming hash of a
//! file, with progress and a way to stop. It knows nothing of where files come from.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest;

/// A SHA-256, printed and read as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sha256([u8; 32]);

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("a sha256 is 64 hexadecimal digits, found {0:?}")]
pub struct NotASha256(String);

impl Sha256 {
    /// The hash of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The hash that a finished hasher holds.
    pub(crate) fn from_hasher(hasher: sha2::Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The hash of a file's content. `progress` is told how many bytes were read since it was last called and answers whether to
    /// go on.
    ///
    /// # Errors
    /// What reading the file gives; [`io::ErrorKind::Interrupted`] when `progress` answers `false`.
    pub fn of_file(path: &Path, progress: &mut dyn FnMut(u64) -> bool) -> io::Result<Self> {
        let mut hasher = sha2::Sha256::new();
        for_each_chunk(&mut File::open(path)?, &mut |chunk| {
            hasher.update(chunk);
            progress(chunk.len() as u64)
        })?;
        Ok(Self::from_hasher(hasher))
    }
}

/// Reads to the end in pieces of at most 256 KiB; `each` answers whether to go on.
pub(crate) fn for_each_chunk(reader: &mut impl Read, each: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut buffer = vec![0u8; 256 * 1024];
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if !each(&buffer[..n]) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped on request"));
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl FromStr for Sha256 {
    type Err = NotASha256;

    fn from_str(text: &str) -> Result<Self, NotASha256> {
        let wrong = || NotASha256(text.chars().take(80).collect());
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or_else(wrong)?;
            let low = char::from(pair[1]).to_digit(16).ok_or_else(wrong)?;
            *byte = (high * 16 + low) as u8;
        }
        Ok(Self(bytes))
    }
}

impl From<Sha256> for String {
    fn from(hash: Sha256) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for Sha256 {
    type Error = NotASha256;

    fn try_from(text: String) -> Result<Self, NotASha256> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_file_is_the_published_one_of_its_bytes() {
        // FIPS 180-2, appendix B.1: SHA-256("abc").
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let mut seen = 0;
        let hash = Sha256::of_file(file.path(), &mut |n| {
            seen += n;
            true
        });
        assert_eq!(hash.unwrap().to_string(), abc);
        assert_eq!(seen, 3);
        assert_eq!(abc.to_uppercase().parse::<Sha256>().unwrap().to_string(), abc);
    }

    #[test]
    fn text_that_is_no_sha256_is_refused() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
            assert!(text.parse::<Sha256>().is_err(), "{text}");
        }
    }

    #[test]
    fn hashing_stops_when_asked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 1_000_000]).unwrap();
        let error = Sha256::of_file(file.path(), &mut |_| false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
