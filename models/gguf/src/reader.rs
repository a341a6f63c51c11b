//! The head of a GGUF file, read within bounds: metadata, and where each tensor is. No length is believed before it is compared with the
//! bytes that the file has.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use crate::{GgufError, TensorInfo, TensorType, Value};

/// The most metadata entries and tensors that are believed, and written.
pub(super) const MOST_ENTRIES: u64 = 65_536;
/// The most elements of a metadata array: no vocabulary is nearly as large.
pub(super) const MOST_ELEMENTS: u64 = 1 << 22;
/// Of all arrays together: an element of a byte in the file takes eight in memory, an empty string three times as many.
const MOST_IN_ALL: u64 = 1 << 23;
/// Of all texts together; the largest vocabularies have some megabytes.
const MOST_TEXT_BYTES: u64 = 1 << 28;
/// The longest string, which a chat template may be.
pub(super) const LONGEST_STRING: u64 = 1 << 20;
/// The longest name of a key or a tensor.
pub(super) const LONGEST_NAME: u64 = 256;

/// What the head of a file holds.
pub(super) struct Head {
    /// Metadata by key.
    pub(super) metadata: HashMap<String, Value>,
    /// Keys in the file's order, and where each value, its type included, is in the file.
    pub(super) keys: Vec<(String, Range<usize>)>,
    /// Tensors by name.
    pub(super) tensors: HashMap<String, TensorInfo>,
    /// Names of tensors in the file's order.
    pub(super) names: Vec<String>,
}

/// A place in the file's head.
pub(super) struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
    /// What all arrays of the metadata together have so far.
    elements: u64,
    /// What all texts together have so far.
    text_bytes: u64,
}

impl<'a> Reader<'a> {
    /// At the beginning of a file.
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Reader<'a> {
        Reader { path, bytes, at: 0, elements: 0, text_bytes: 0 }
    }

    /// Reads all metadata and where the tensors are.
    pub(super) fn read(mut self) -> Result<Head, GgufError> {
        if !self.bytes.starts_with(b"GGUF") {
            return Err(GgufError::NotGguf { path: self.path.to_owned(), found: what_it_is(self.bytes).to_owned() });
        }
        self.at = 4;
        let version = self.u32("the version")?;
        match version {
            2 | 3 => {}
            0x0200_0000 | 0x0300_0000 => {
                return Err(self.broken("it is a big-endian file, which is not supported"));
            }
            other => return Err(self.broken(format!("expected version 2 or 3, found {other}"))),
        }
        let n_tensors = self.count("the number of tensors", MOST_ENTRIES)?;
        let n_entries = self.count("the number of metadata entries", MOST_ENTRIES)?;
        let mut metadata = HashMap::new();
        let mut keys = Vec::new();
        for _ in 0..n_entries {
            let key = self.name("a metadata key")?;
            let start = self.at;
            let kind = self.u32("the type of a metadata value")?;
            let value = self.value(&key, kind)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(self.broken(format!("metadata key {key} is there twice")));
            }
            keys.push((key, start..self.at));
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Integer(n)) if (1..=1 << 20).contains(n) && (*n as u64).is_power_of_two() => *n as usize,
            Some(other) => {
                let found = match other {
                    Value::Integer(n) => n.to_string(),
                    other => other.kind().to_owned(),
                };
                return Err(
                    self.broken(format!("general.alignment: expected a power of two up to 1048576, found {found}"))
                );
            }
        };
        let mut listed = Vec::new();
        for _ in 0..n_tensors {
            listed.push(self.tensor()?);
        }
        let data = self.at.next_multiple_of(alignment);
        let mut tensors = HashMap::new();
        let mut names = Vec::new();
        for (name, kind, dims, offset, bytes) in listed {
            let start = usize::try_from(offset).ok().and_then(|offset| data.checked_add(offset));
            let end = start.and_then(|start| start.checked_add(bytes));
            let (Some(start), Some(end)) = (start, end.filter(|end| *end <= self.bytes.len())) else {
                let found = self.bytes.len();
                return Err(self.broken(format!(
                    "tensor {name} needs {bytes} bytes from {offset} of the data, but the file ends at {found}"
                )));
            };
            if offset % alignment as u64 != 0 {
                return Err(
                    self.broken(format!("tensor {name} begins at {offset}, which is not a multiple of {alignment}"))
                );
            }
            if tensors.insert(name.clone(), TensorInfo { kind, dims, range: start..end }).is_some() {
                return Err(self.broken(format!("tensor {name} is there twice")));
            }
            names.push(name);
        }
        let mut in_order: Vec<(&String, &TensorInfo)> = tensors.iter().collect();
        in_order.sort_by_key(|(name, tensor)| (tensor.range.start, *name));
        for pair in in_order.windows(2) {
            if pair[0].1.range.end > pair[1].1.range.start {
                return Err(self.broken(format!("tensors {} and {} overlap", pair[0].0, pair[1].0)));
            }
        }
        Ok(Head { metadata, keys, tensors, names })
    }

    /// Name, type, dimensions, offset in the data, bytes.
    fn tensor(&mut self) -> Result<(String, TensorType, Vec<usize>, u64, usize), GgufError> {
        let name = self.name("a tensor's name")?;
        let n_dims = self.u32("a tensor's number of dimensions")?;
        if !(1..=4).contains(&n_dims) {
            return Err(self.broken(format!("tensor {name}: expected 1 to 4 dimensions, found {n_dims}")));
        }
        let mut dims = Vec::new();
        for _ in 0..n_dims {
            let dim = self.u64("a tensor's dimension")?;
            match usize::try_from(dim) {
                Ok(dim) if dim > 0 => dims.push(dim),
                _ => return Err(self.broken(format!("tensor {name}: a dimension of {dim}"))),
            }
        }
        let id = self.u32("a tensor's type")?;
        let Some(kind) = TensorType::of(id) else {
            return Err(self.broken(format!("tensor {name}: unknown type {id}")));
        };
        let offset = self.u64("a tensor's offset")?;
        let weights = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        let bytes = weights.filter(|_| dims[0] % kind.block_weights == 0).and_then(|weights| kind.bytes(weights));
        match bytes {
            Some(bytes) => Ok((name, kind, dims, offset, bytes)),
            None => Err(self.broken(format!("tensor {name}: {dims:?} numbers do not fit blocks of {}", kind.name))),
        }
    }

    fn value(&mut self, key: &str, kind: u32) -> Result<Value, GgufError> {
        let what = "a metadata value";
        Ok(match kind {
            0..=5 | 10 | 11 => Value::Integer(self.integer(kind)?),
            6 => Value::Float(f64::from(f32::from_bits(self.u32(what)?))),
            12 => Value::Float(f64::from_bits(self.u64(what)?)),
            7 => match self.array::<1>(what)?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => {
                    return Err(self.broken(format!("{key}: expected true or false, found {other}")));
                }
            },
            8 => Value::Text(self.string(what, LONGEST_STRING)?),
            9 => {
                let kind = self.u32("the type of an array")?;
                let least = match kind {
                    0 | 1 | 7 => 1,
                    2 | 3 => 2,
                    4..=6 => 4,
                    8 | 10..=12 => 8,
                    9 => {
                        return Err(self.broken(format!("{key}: arrays of arrays are not supported")));
                    }
                    other => return Err(self.broken(format!("{key}: unknown value type {other}"))),
                };
                let len = self.count("the length of an array", MOST_ELEMENTS)?;
                self.elements += len as u64;
                if self.elements > MOST_IN_ALL {
                    return Err(
                        self.broken(format!("{key}: the arrays have more than {MOST_IN_ALL} elements together"))
                    );
                }
                let left = self.bytes.len() - self.at;
                if len > left / least {
                    return Err(self.broken(format!("{key}: an array of {len} elements, but {left} bytes are left")));
                }
                match kind {
                    8 => {
                        let mut texts = Vec::with_capacity(len);
                        for _ in 0..len {
                            texts.push(self.string("a string of an array", LONGEST_STRING)?);
                        }
                        Value::Texts(texts)
                    }
                    6 => Value::Floats((0..len).map(|_| self.u32(what).map(f32::from_bits)).collect::<Result<_, _>>()?),
                    12 => Value::Floats(
                        (0..len)
                            .map(|_| self.u64(what).map(|bits| f64::from_bits(bits) as f32))
                            .collect::<Result<_, _>>()?,
                    ),
                    _ => Value::Integers(
                        (0..len).map(|_| self.integer(kind).map(|n| n as i64)).collect::<Result<_, _>>()?,
                    ),
                }
            }
            other => return Err(self.broken(format!("{key}: unknown value type {other}"))),
        })
    }

    fn integer(&mut self, kind: u32) -> Result<i128, GgufError> {
        let what = "an integer of the metadata";
        Ok(match kind {
            0 | 7 => i128::from(self.array::<1>(what)?[0]),
            1 => i128::from(i8::from_le_bytes(self.array(what)?)),
            2 => i128::from(u16::from_le_bytes(self.array(what)?)),
            3 => i128::from(i16::from_le_bytes(self.array(what)?)),
            4 => i128::from(self.u32(what)?),
            5 => i128::from(i32::from_le_bytes(self.array(what)?)),
            10 => i128::from(self.u64(what)?),
            _ => i128::from(i64::from_le_bytes(self.array(what)?)),
        })
    }

    /// A length that is believed only up to `most`.
    fn count(&mut self, what: &str, most: u64) -> Result<usize, GgufError> {
        match self.u64(what)? {
            count if count <= most => Ok(count as usize),
            count => Err(self.broken(format!("{what} is {count}, more than {most}"))),
        }
    }

    /// A name, which errors will repeat: one that would spoil them is none.
    fn name(&mut self, what: &str) -> Result<String, GgufError> {
        let name = self.string(what, LONGEST_NAME)?;
        if name.chars().any(char::is_control) {
            return Err(self.broken(format!("{what} holds control characters: {name:?}")));
        }
        Ok(name)
    }

    /// A string; bytes that are not UTF-8 become the replacement character.
    fn string(&mut self, what: &str, most: u64) -> Result<String, GgufError> {
        let len = self.count(what, most)?;
        self.text_bytes += len as u64;
        if self.text_bytes > MOST_TEXT_BYTES {
            return Err(self.broken(format!("its texts have more than {MOST_TEXT_BYTES} bytes together")));
        }
        let bytes = self.take(what, len)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(what, N)?);
        Ok(out)
    }

    fn take(&mut self, what: &str, len: usize) -> Result<&[u8], GgufError> {
        match self.at.checked_add(len).filter(|end| *end <= self.bytes.len()) {
            Some(end) => {
                let taken = &self.bytes[self.at..end];
                self.at = end;
                Ok(taken)
            }
            None => Err(self.broken(format!("the file ends in {what} ({len} bytes)"))),
        }
    }

    fn broken(&self, what: impl Into<String>) -> GgufError {
        GgufError::Broken { path: self.path.to_owned(), offset: self.at as u64, what: what.into() }
    }
}

/// A guess at what a file is instead, from how it begins.
pub(super) fn what_it_is(bytes: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).to_lowercase();
    match bytes {
        [] => "an empty file",
        [b'l', b'm', b'g', b'g', ..] | [b't', b'j', b'g', b'g', ..] => "an old GGML file, such as a Whisper model",
        [b'R', b'I', b'F', b'F', ..] => "a RIFF file, such as a WAV recording",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive, such as a PyTorch checkpoint",
        [8, _, 0x12, ..] | [8, _, 0x3a, ..] => "what looks like an ONNX model",
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => "a safetensors file",
        _ if text.starts_with("version https://git-lfs") => "a Git LFS pointer: the real file was not fetched",
        _ if text.contains("<html") || text.contains("<!doctype") => "a web page: the download went wrong",
        _ => "another kind of file",
    }
}
