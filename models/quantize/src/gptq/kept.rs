//! Tensors that are done, in a file beside the one to be, so that a run that is stopped or killed goes on where it was.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use nearfield_gguf::GgufError;

use crate::QuantizeError;

const MAGIC: &[u8] = b"nearfield tensors 1\n";
/// The longest name that is believed.
const LONGEST_NAME: u32 = 256;
/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// Quantized tensors by name.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    file: File,
    /// Where each tensor's bytes are.
    tensors: BTreeMap<String, (u64, u64)>,
    end: u64,
}

impl Kept {
    /// Opens the file of an earlier run with the same `identity`, or begins a new one. A record that was not completed is dropped, and
    /// all that follow.
    ///
    /// # Errors
    /// The file cannot be read or written, is something else, or another process writes to it.
    pub fn open(path: &Path, identity: &[u8; 32]) -> Result<Kept, QuantizeError> {
        let failed = |cause| QuantizeError::Gguf(GgufError::Write { path: path.to_owned(), cause });
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        // A file system without locks has none.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(QuantizeError::InUse { path: path.to_owned() });
        }
        let mut kept = Kept { path: path.to_owned(), file, tensors: BTreeMap::new(), end: 0 };
        let begin = (MAGIC.len() + identity.len()) as u64;
        if !kept.is_ours().map_err(failed)? {
            return Err(QuantizeError::Kept { path: path.to_owned() });
        }
        if kept.is_of(identity).map_err(failed)? {
            kept.end = begin;
            while kept.next().map_err(failed)? {}
            kept.file.set_len(kept.end).map_err(failed)?;
        } else {
            kept.file.set_len(0).map_err(failed)?;
            kept.file.seek(SeekFrom::Start(0)).map_err(failed)?;
            kept.file.write_all(MAGIC).and_then(|()| kept.file.write_all(identity)).map_err(failed)?;
            kept.end = begin;
        }
        Ok(kept)
    }

    /// Whether the file begins as such files do, as far as it goes.
    fn is_ours(&mut self) -> std::io::Result<bool> {
        let mut begin = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(MAGIC.len() as u64).read_to_end(&mut begin)?;
        Ok(MAGIC.starts_with(&begin))
    }

    fn is_of(&mut self, identity: &[u8; 32]) -> std::io::Result<bool> {
        let mut head = vec![0; MAGIC.len() + identity.len()];
        self.file.seek(SeekFrom::Start(0))?;
        match self.file.read_exact(&mut head) {
            Ok(()) => Ok(head.starts_with(MAGIC) && head.ends_with(identity)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the record at the end of those known; false where there is none that is whole.
    fn next(&mut self) -> std::io::Result<bool> {
        let len = self.file.metadata()?.len();
        self.file.seek(SeekFrom::Start(self.end))?;
        if len.saturating_sub(self.end) < 12 {
            return Ok(false);
        }
        let mut head = [0u8; 12];
        self.file.read_exact(&mut head)?;
        let [a, b, c, d, e, f, g, h, i, j, k, l] = head;
        let name_len = u32::from_le_bytes([a, b, c, d]);
        let bytes = u64::from_le_bytes([e, f, g, h, i, j, k, l]);
        let begin = self.end + 12 + u64::from(name_len);
        let whole = begin.checked_add(bytes).and_then(|end| end.checked_add(4)).is_some_and(|end| end <= len);
        if name_len > LONGEST_NAME || !whole {
            return Ok(false);
        }
        let mut name = vec![0; name_len as usize];
        self.file.read_exact(&mut name)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&name);
        let mut chunk = vec![0; CHUNK];
        let mut left = bytes;
        while left > 0 {
            let take = chunk.len().min(usize::try_from(left).unwrap_or(CHUNK));
            self.file.read_exact(&mut chunk[..take])?;
            crc.update(&chunk[..take]);
            left -= take as u64;
        }
        let mut stored = [0u8; 4];
        self.file.read_exact(&mut stored)?;
        let Ok(name) = String::from_utf8(name) else { return Ok(false) };
        if u32::from_le_bytes(stored) != crc.finalize() {
            return Ok(false);
        }
        self.tensors.insert(name, (begin, bytes));
        self.end = begin + bytes + 4;
        Ok(true)
    }

    /// Adds a tensor, durably.
    ///
    /// # Errors
    /// The disk is full.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), QuantizeError> {
        let failed = |cause| QuantizeError::Gguf(GgufError::Write { path: self.path.clone(), cause });
        let mut crc = crc32fast::Hasher::new();
        crc.update(name.as_bytes());
        crc.update(bytes);
        let mut record = Vec::with_capacity(16 + name.len());
        record.extend((name.len() as u32).to_le_bytes());
        record.extend((bytes.len() as u64).to_le_bytes());
        record.extend(name.as_bytes());
        let begin = self.end + record.len() as u64;
        self.file.seek(SeekFrom::Start(self.end)).map_err(failed)?;
        self.file.write_all(&record).map_err(failed)?;
        self.file.write_all(bytes).map_err(failed)?;
        self.file.write_all(&crc.finalize().to_le_bytes()).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.tensors.insert(name.to_owned(), (begin, bytes.len() as u64));
        self.end = begin + bytes.len() as u64 + 4;
        Ok(())
    }

    /// Whether a tensor is there.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The bytes of a tensor, where it is there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, QuantizeError> {
        let Some((begin, len)) = self.tensors.get(name) else { return Ok(None) };
        let failed = |cause| QuantizeError::Gguf(GgufError::Read { path: self.path.clone(), cause });
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(*begin)).map_err(failed)?;
        let mut bytes = vec![0; *len as usize];
        file.read_exact(&mut bytes).map_err(failed)?;
        Ok(Some(bytes))
    }

    /// Removes the file.
    pub fn remove(self) {
        drop(self.file);
        std::fs::remove_file(&self.path).ok(); // nothing depends on it any more
    }
}
