//! GGUF files written: what a file holds is stated first ([`Layout`]), then the bytes of its tensors are streamed ([`Writer`]), in any
//! pieces. Nothing but the head is kept in memory. The file appears under its name only when it is complete.

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use nearfield_base::persist::Replacement;

use crate::reader::{LONGEST_NAME, LONGEST_STRING, MOST_ELEMENTS, MOST_ENTRIES};
use crate::{Gguf, GgufError, TensorType};

/// The version that is written.
const VERSION: u32 = 3;
/// What tensors are aligned to where `general.alignment` says nothing.
const ALIGNMENT: usize = 32;
/// What is gathered before the file is written to.
const BUFFER_BYTES: usize = 1 << 20;

/// A metadata value as it is written, of the file's own types.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is named as the type of the specification")]
pub enum Metadata {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    U64(u64),
    I64(i64),
    F64(f64),
    U8s(Vec<u8>),
    I8s(Vec<i8>),
    U16s(Vec<u16>),
    I16s(Vec<i16>),
    U32s(Vec<u32>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
    U64s(Vec<u64>),
    I64s(Vec<i64>),
    F64s(Vec<f64>),
}

/// What a file will hold: metadata and the shapes of its tensors, both in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    entries: Vec<Entry>,
    keys: HashSet<String>,
    tensors: Vec<Planned>,
    names: HashSet<String>,
    alignment: Option<usize>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: String,
    /// The type and the value, as they stand in the file.
    encoded: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Planned {
    name: String,
    kind: TensorType,
    dims: Vec<usize>,
    bytes: usize,
}

impl Layout {
    /// An empty file.
    pub fn new() -> Layout {
        Layout::default()
    }

    /// Sets a metadata key; one that is there already keeps its place.
    ///
    /// # Errors
    /// The key or the value is longer than readers believe; `general.alignment` is not a power of two as a [`Metadata::U32`].
    pub fn set(&mut self, key: &str, value: &Metadata) -> Result<(), GgufError> {
        if key == "general.alignment" {
            self.alignment = match value {
                Metadata::U32(n) if n.is_power_of_two() && *n <= 1 << 20 => Some(*n as usize),
                other => return Err(unwritable(format!("general.alignment is {other:?}, not a power of two as u32"))),
            };
        }
        let mut encoded = Vec::new();
        encode(value, &mut encoded).map_err(|what| unwritable(format!("metadata key {key}: {what}")))?;
        self.put(key, encoded)
    }

    /// Copies a metadata value of another file, byte for byte. Nothing happens where that file has no such key.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn copy(&mut self, from: &Gguf, key: &str) -> Result<(), GgufError> {
        let Some((_, range)) = from.keys.iter().find(|(name, _)| name == key) else { return Ok(()) };
        if key == "general.alignment" {
            // The reader has checked that it is a power of two.
            self.alignment = from.integer(key, 1, 1 << 20)?;
        }
        self.put(key, from.bytes()[range.clone()].to_vec())
    }

    /// Copies all metadata of another file, in its order.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn copy_all(&mut self, from: &Gguf) -> Result<(), GgufError> {
        from.keys().try_for_each(|key| self.copy(from, key))
    }

    /// Removes a metadata key, if it is there.
    pub fn remove(&mut self, key: &str) {
        if self.keys.remove(key) {
            self.entries.retain(|entry| entry.key != key);
            if key == "general.alignment" {
                self.alignment = None;
            }
        }
    }

    /// Adds a tensor; `dims` has columns first.
    ///
    /// # Errors
    /// The name is there already or too long; there are not 1 to 4 dimensions; a row is not whole blocks of that type.
    pub fn tensor(&mut self, name: &str, kind: TensorType, dims: &[usize]) -> Result<(), GgufError> {
        checked_name(name)?;
        let weights = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        let whole = (1..=4).contains(&dims.len())
            && dims.iter().all(|dim| *dim > 0)
            && dims[0].is_multiple_of(kind.block_weights);
        let Some(bytes) = weights.filter(|_| whole).and_then(|weights| kind.bytes(weights)) else {
            return Err(unwritable(format!("tensor {name}: {dims:?} numbers do not fit blocks of {}", kind.name)));
        };
        if self.tensors.len() as u64 >= MOST_ENTRIES {
            return Err(unwritable(format!("more than {MOST_ENTRIES} tensors")));
        }
        if !self.names.insert(name.to_owned()) {
            return Err(unwritable(format!("tensor {name} is there twice")));
        }
        self.tensors.push(Planned { name: name.to_owned(), kind, dims: dims.to_vec(), bytes });
        Ok(())
    }

    /// The length of the file to be.
    pub fn file_bytes(&self) -> u64 {
        let align = self.alignment();
        let data: u64 = self.tensors.iter().map(|tensor| padded(tensor.bytes, align) as u64).sum();
        self.head().len() as u64 + data
    }

    fn alignment(&self) -> usize {
        self.alignment.unwrap_or(ALIGNMENT)
    }

    fn put(&mut self, key: &str, encoded: Vec<u8>) -> Result<(), GgufError> {
        checked_name(key)?;
        if !self.keys.insert(key.to_owned()) {
            let entry = self.entries.iter_mut().find(|entry| entry.key == key);
            entry.expect("every key has its entry").encoded = encoded;
            return Ok(());
        }
        if self.entries.len() as u64 >= MOST_ENTRIES {
            return Err(unwritable(format!("more than {MOST_ENTRIES} metadata entries")));
        }
        self.entries.push(Entry { key: key.to_owned(), encoded });
        Ok(())
    }

    /// All that stands before the first tensor's bytes.
    fn head(&self) -> Vec<u8> {
        let align = self.alignment();
        let mut head = b"GGUF".to_vec();
        head.extend(VERSION.to_le_bytes());
        head.extend((self.tensors.len() as u64).to_le_bytes());
        head.extend((self.entries.len() as u64).to_le_bytes());
        for entry in &self.entries {
            text(&entry.key, &mut head);
            head.extend(&entry.encoded);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            text(&tensor.name, &mut head);
            head.extend((tensor.dims.len() as u32).to_le_bytes());
            for dim in &tensor.dims {
                head.extend((*dim as u64).to_le_bytes());
            }
            head.extend(tensor.kind.id.to_le_bytes());
            head.extend(offset.to_le_bytes());
            offset += padded(tensor.bytes, align) as u64;
        }
        head.resize(padded(head.len(), align), 0);
        head
    }
}

/// A file being written.
///
/// ```
/// use nearfield_gguf::{Gguf, Layout, Metadata, TensorType, Writer};
///
/// let path = std::env::temp_dir().join(format!("nearfield-writer-{}.gguf", std::process::id()));
/// let mut layout = Layout::new();
/// layout.set("general.architecture", &Metadata::Text("example".to_owned()))?;
/// layout.tensor("bias", TensorType::of(0).expect("F32"), &[2])?;
/// let mut writer = Writer::create(&path, layout)?;
/// writer.write("bias", &1f32.to_le_bytes())?; // in any pieces
/// writer.write("bias", &2f32.to_le_bytes())?;
/// writer.finish()?;
/// assert_eq!(Gguf::open(&path)?.text("general.architecture")?, Some("example"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), nearfield_gguf::GgufError>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    sink: BufWriter<Replacement>,
    align: usize,
    tensors: Vec<Planned>,
    /// The tensor that is being written, and how much of it there is.
    current: usize,
    written: usize,
}

impl Writer {
    /// Begins the file with its head. What `path` names stays as it is before [`finish`](Self::finish).
    ///
    /// # Errors
    /// The folder is missing or read-only, or the disk is full.
    pub fn create(path: &Path, layout: Layout) -> Result<Writer, GgufError> {
        let failed = |cause| GgufError::Write { path: path.to_owned(), cause };
        let replacement = Replacement::begin(path).map_err(failed)?;
        let mut sink = BufWriter::with_capacity(BUFFER_BYTES, replacement);
        sink.write_all(&layout.head()).map_err(failed)?;
        let align = layout.alignment();
        Ok(Writer { path: path.to_owned(), sink, align, tensors: layout.tensors, current: 0, written: 0 })
    }

    /// Writes the next bytes of a tensor. Tensors come in the layout's order, each whole before the next begins.
    ///
    /// # Errors
    /// Another tensor is next, there are more bytes than its shape has, or the disk is full.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), GgufError> {
        let Some(tensor) = self.tensors.get(self.current) else {
            return Err(unwritable(format!("tensor {name} comes after the last one")));
        };
        if tensor.name != name {
            return Err(unwritable(format!("tensor {name} comes where {} is next", tensor.name)));
        }
        if bytes.len() > tensor.bytes - self.written {
            let len = self.written + bytes.len();
            return Err(unwritable(format!("tensor {name} has {len} bytes, but its shape has {}", tensor.bytes)));
        }
        let failed = |cause| GgufError::Write { path: self.path.clone(), cause };
        self.sink.write_all(bytes).map_err(failed)?;
        self.written += bytes.len();
        if self.written == tensor.bytes {
            let padding = padded(self.written, self.align) - self.written;
            self.sink.write_all(&vec![0; padding]).map_err(failed)?;
            self.current += 1;
            self.written = 0;
        }
        Ok(())
    }

    /// Gives the complete file its name, durably.
    ///
    /// # Errors
    /// A tensor is missing, or the disk is full; what the path named is then unchanged.
    pub fn finish(self) -> Result<(), GgufError> {
        if let Some(tensor) = self.tensors.get(self.current) {
            return Err(unwritable(format!("tensor {} is not complete", tensor.name)));
        }
        let failed = |cause| GgufError::Write { path: self.path.clone(), cause };
        let replacement = self.sink.into_inner().map_err(|error| failed(error.into_error()))?;
        replacement.commit().map(drop).map_err(failed)
    }
}

fn padded(len: usize, align: usize) -> usize {
    len.next_multiple_of(align)
}

fn unwritable(what: String) -> GgufError {
    GgufError::Unwritable { what }
}

/// A name that the reader accepts.
fn checked_name(name: &str) -> Result<(), GgufError> {
    if name.len() as u64 > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(unwritable(format!("{} is no name for a key or tensor", crate::quoted(name))));
    }
    Ok(())
}

/// A string as the file has it: its length in bytes, then the bytes.
fn text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The number of a value's type in the file, then the value.
fn encode(value: &Metadata, out: &mut Vec<u8>) -> Result<(), String> {
    macro_rules! number {
        ($id:expr, $n:expr) => {{
            out.extend(u32::to_le_bytes($id));
            out.extend($n.to_le_bytes());
        }};
    }
    macro_rules! numbers {
        ($id:expr, $list:expr) => {{
            begin_array($id, $list.len(), out)?;
            $list.iter().for_each(|n| out.extend(n.to_le_bytes()));
        }};
    }
    match value {
        Metadata::U8(n) => number!(0, n),
        Metadata::I8(n) => number!(1, n),
        Metadata::U16(n) => number!(2, n),
        Metadata::I16(n) => number!(3, n),
        Metadata::U32(n) => number!(4, n),
        Metadata::I32(n) => number!(5, n),
        Metadata::F32(n) => number!(6, n),
        Metadata::Bool(truth) => number!(7, u8::from(*truth)),
        Metadata::Text(string) => {
            out.extend(8u32.to_le_bytes());
            checked_text(string)?;
            text(string, out);
        }
        Metadata::U64(n) => number!(10, n),
        Metadata::I64(n) => number!(11, n),
        Metadata::F64(n) => number!(12, n),
        Metadata::U8s(list) => numbers!(0, list),
        Metadata::I8s(list) => numbers!(1, list),
        Metadata::U16s(list) => numbers!(2, list),
        Metadata::I16s(list) => numbers!(3, list),
        Metadata::U32s(list) => numbers!(4, list),
        Metadata::I32s(list) => numbers!(5, list),
        Metadata::F32s(list) => numbers!(6, list),
        Metadata::Bools(list) => {
            begin_array(7, list.len(), out)?;
            out.extend(list.iter().map(|truth| u8::from(*truth)));
        }
        Metadata::Texts(list) => {
            begin_array(8, list.len(), out)?;
            for string in list {
                checked_text(string)?;
                text(string, out);
            }
        }
        Metadata::U64s(list) => numbers!(10, list),
        Metadata::I64s(list) => numbers!(11, list),
        Metadata::F64s(list) => numbers!(12, list),
    }
    Ok(())
}

fn begin_array(kind: u32, len: usize, out: &mut Vec<u8>) -> Result<(), String> {
    if len as u64 > MOST_ELEMENTS {
        return Err(format!("{len} elements, more than {MOST_ELEMENTS}"));
    }
    out.extend(9u32.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend((len as u64).to_le_bytes());
    Ok(())
}

fn checked_text(text: &str) -> Result<(), String> {
    match text.len() as u64 {
        0..=LONGEST_STRING => Ok(()),
        len => Err(format!("a string of {len} bytes, more than {LONGEST_STRING}")),
    }
}
