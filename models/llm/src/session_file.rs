//! Sessions on disk, so that a conversation goes on after a restart without reading its past again: the tokens with their keys
//! and values, and a note of the caller's. The file is written whole or not at all, holds a sum over itself, and names the
//! model that it belongs to; whatever does not fit is a clear error, and nothing is allocated on the word of a length.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use nearfield_kernels::KvFormat;
use sha2::{Digest, Sha256};

use super::forward::Past;
use super::{LlmError, Session, TokenId};
use nearfield_base::persist::Replacement;
use nearfield_gguf::Gguf;

/// The format's name and version.
const MAGIC: &[u8; 8] = b"NFSESS\x00\x01";
/// The head: magic, the model's identity, six numbers.
const HEAD_BYTES: usize = 8 + 32 + 6 * 4;
/// The sum at the end.
const SUM_BYTES: usize = 32;
/// The longest note.
const LONGEST_NOTE: usize = 16 << 20;
/// Bytes at the beginning of each tensor that go into a model's identity.
const SAMPLE_BYTES: usize = 256;

/// What tells a model from others: a sum over its length, its metadata and list of tensors, and the first bytes of each tensor.
pub(super) fn identity(gguf: &Gguf) -> [u8; 32] {
    let mut ranges: Vec<_> = gguf.tensors().values().map(|tensor| tensor.range.clone()).collect();
    ranges.sort_by_key(|range| range.start);
    let mut sum = Sha256::new();
    sum.update(gguf.file_bytes().to_le_bytes());
    let head = ranges.first().map_or(gguf.bytes().len(), |range| range.start);
    sum.update(&gguf.bytes()[..head]);
    for range in ranges {
        sum.update(&gguf.bytes()[range.start..range.end.min(range.start + SAMPLE_BYTES)]);
    }
    sum.finalize().into()
}

impl Session {
    /// Writes the session, with a note that [`restore`](Self::restore) gives back. The file is replaced whole.
    ///
    /// # Errors
    /// The note is longer than 16 MiB, or the file cannot be written.
    pub fn save(&self, path: &Path, note: &[u8]) -> Result<(), LlmError> {
        if note.len() > LONGEST_NOTE {
            return Err(LlmError::Input(format!(
                "a session's note has {} bytes; up to {LONGEST_NOTE} fit",
                note.len()
            )));
        }
        let write = || -> io::Result<()> {
            let mut out = Summing { inner: BufWriter::new(Replacement::begin(path)?), sum: Sha256::new() };
            out.write_all(MAGIC)?;
            out.write_all(&self.llm().identity())?;
            // A picture that stands by rows and columns is not kept, nor is what follows it.
            let len = self.pictures().iter().find(|(_, span)| span.columns.is_some() || span.is_whole);
            let len = len.map_or(self.len(), |(start, _)| *start);
            for number in self.head(len, note.len()) {
                out.write_all(&number.to_le_bytes())?;
            }
            out.write_all(note)?;
            for token in &self.tokens()[..len] {
                out.write_all(&token.0.to_le_bytes())?;
            }
            let Past { store, states } = self.past();
            store.save(len, &mut out)?;
            if states.is_used() {
                let (at, numbers) = states.saved();
                out.write_all(&(at as u32).to_le_bytes())?;
                numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))?;
            }
            let sum = out.sum.clone().finalize();
            out.inner.write_all(&sum)?;
            let file = out.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.commit().map(drop)
        };
        write().map_err(|source| LlmError::Write { path: path.to_owned(), cause: source })
    }

    /// Takes the place of what the session holds by what a file holds, and answers the note. There are no logits until the
    /// next prompt.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, is none of ours, or belongs to another model or another kind of session; the
    /// session is then empty.
    pub fn restore(&mut self, path: &Path) -> Result<Vec<u8>, LlmError> {
        self.truncate(0);
        let read = |source| LlmError::Read { path: path.to_owned(), cause: source };
        let bad = |what: String| LlmError::Session { path: path.to_owned(), what };
        let file = nearfield_base::files::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(bad("it is not a regular file".to_owned()));
        }
        let found = metadata.len();
        let mut from = Summing { inner: BufReader::new(file), sum: Sha256::new() };
        let mut head = [0; HEAD_BYTES];
        let known = head.len().min(found as usize);
        from.read_exact(&mut head[..known]).map_err(read)?;
        // An empty file, or the beginning of one of ours, is a damaged session; all else is somebody's, and is left alone.
        let named = MAGIC.len() - 1;
        if head[..known.min(named)] != MAGIC[..known.min(named)] {
            return Err(LlmError::NotSession { path: path.to_owned() });
        }
        if found < (HEAD_BYTES + SUM_BYTES) as u64 {
            return Err(bad(format!("it is damaged: it has {found} bytes, fewer than any session")));
        }
        if head[named] != MAGIC[named] {
            return Err(bad(format!(
                "its version is {}, and this program reads version {}",
                head[named], MAGIC[named]
            )));
        }
        if head[8..40] != self.llm().identity() {
            return Err(bad(format!("it was made with another model than {}", self.llm().info().name)));
        }
        let number = |index: usize| {
            let at = 40 + 4 * index;
            u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
        };
        let (n_tokens, note_bytes) = (number(4) as usize, number(5) as usize);
        let expected = self.head(n_tokens, note_bytes);
        if (0..4).any(|index| number(index) != expected[index]) {
            return Err(bad(
                "its cache is of another kind: `llm.cache` or the length of the context was changed".to_owned()
            ));
        }
        if note_bytes > LONGEST_NOTE {
            return Err(bad(format!("its note has {note_bytes} bytes, more than {LONGEST_NOTE}")));
        }
        if n_tokens > self.capacity() {
            return Err(bad(format!(
                "it holds {n_tokens} tokens and {} fit: raise `llm.context_tokens`",
                self.capacity()
            )));
        }
        let whole = HEAD_BYTES
            + note_bytes
            + 4 * n_tokens
            + self.past().store.saved_bytes(n_tokens)
            + self.state_bytes()
            + SUM_BYTES;
        if found != whole as u64 {
            return Err(bad(format!("it is damaged: it has {found} bytes and should have {whole}")));
        }
        let mut note = vec![0; note_bytes];
        from.read_exact(&mut note).map_err(read)?;
        let mut numbers = vec![0; 4 * n_tokens];
        from.read_exact(&mut numbers).map_err(read)?;
        let mut tokens: Vec<TokenId> =
            numbers.as_chunks::<4>().0.iter().map(|bytes| TokenId(u32::from_le_bytes(*bytes))).collect();
        self.past_mut().store.load(n_tokens, &mut from).map_err(read)?;
        let mut state = vec![0; self.state_bytes()];
        from.read_exact(&mut state).map_err(read)?;
        let mut sum = [0; SUM_BYTES];
        from.inner.read_exact(&mut sum).map_err(read)?;
        if sum != <[u8; 32]>::from(from.sum.finalize()) {
            return Err(bad("it is damaged: its sum does not match".to_owned()));
        }
        let n_vocab = self.llm().info().vocab_size;
        if tokens.iter().any(|token| *token != TokenId::EMBEDDING && token.0 as usize >= n_vocab) {
            return Err(bad("it is damaged: it holds tokens that the model does not have".to_owned()));
        }
        if let Some((at, numbers)) = state.split_first_chunk::<4>() {
            let at = u32::from_le_bytes(*at) as usize;
            if at > n_tokens {
                return Err(bad(format!("it is damaged: its state comes from {at} tokens and it holds {n_tokens}")));
            }
            let numbers = numbers.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            match tokens.iter().position(|token| *token == TokenId::EMBEDDING) {
                None => self.past_mut().states.restore(at, numbers),
                // What embeddings gave the states could not be read again after a cut: these tokens are forgotten.
                Some(first) => tokens.truncate(first),
            }
        }
        self.take_tokens(tokens);
        Ok(note)
    }

    /// What the states of recurrent layers take, with the number of tokens that they come from.
    fn state_bytes(&self) -> usize {
        match self.llm().shape.state_len {
            0 => 0,
            len => 4 + 4 * len,
        }
    }

    /// The numbers of the head: the cache's type, its layers, the width of a position, which angles; tokens, bytes of the note.
    fn head(&self, n_tokens: usize, note_bytes: usize) -> [u32; 6] {
        let shape = &self.llm().shape;
        let format = match self.past().store.format() {
            KvFormat::F16 => 0,
            KvFormat::Q8_0 => 1,
        };
        let width = shape.stored.iter().map(|heads| heads.count * heads.head_dim).max().unwrap_or(0) as u32;
        let long = u32::from(shape.rope.is_long(self.capacity()));
        [format, shape.stored.len() as u32, width, long, n_tokens as u32, note_bytes as u32]
    }
}

/// Passes bytes on and sums them up.
struct Summing<T> {
    inner: T,
    sum: Sha256,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.sum.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(bytes)?;
        self.sum.update(&bytes[..n]);
        Ok(n)
    }
}
