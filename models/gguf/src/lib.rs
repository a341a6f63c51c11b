//! GGUF model files (specification: `docs/gguf.md` of the ggml project): a bounded reader of versions 2 and 3, which gives metadata and
//! tensors over a memory map ([`Gguf`]), and a writer of version 3, which streams and writes atomically ([`Writer`]).
//!
//! ```
//! use nearfield_gguf::Gguf;
//!
//! let file = Gguf::open("../../assets/models/talk-nano.gguf".as_ref())?;
//! let architecture = file.text("general.architecture")?.unwrap_or("unknown");
//! let tensor = file.tensor("token_embd.weight").expect("every language model has one");
//! println!("{architecture}: token_embd is {:?}, {}", tensor.dims, tensor.kind.name);
//! let bytes = &file.bytes()[tensor.range.clone()];
//! # assert!(!bytes.is_empty());
//! # Ok::<(), nearfield_gguf::GgufError>(())
//! ```
//!
//! A file that is cut short, contradicts itself or has another format is an error that says what was expected and at which byte.
//! Every length is checked against the bytes that the file has before anything is allocated.

mod reader;
mod tensor_type;
pub mod word_patterns;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

pub use tensor_type::TensorType;
pub use writer::{Layout, Metadata, Writer};

use reader::{Head, Reader, what_it_is};

/// What can be wrong with a GGUF file.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The file cannot be opened or mapped.
    #[error("{path}: cannot be read: {cause}")]
    Read {
        /// The model file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is something else than a GGUF model.
    #[error("{path}: expected a GGUF model, found {found}; get one with `nearfield models pull`")]
    NotGguf {
        /// The model file.
        path: PathBuf,
        /// What the file begins like.
        found: String,
    },
    /// The file is cut short or contradicts itself.
    #[error("{path}: broken GGUF file: {what} (at byte {offset}); fetch it again")]
    Broken {
        /// The model file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What was expected and what was found.
        what: String,
    },
    /// A key of the metadata is missing or makes no sense.
    #[error("{path}: metadata key {key}: {what}")]
    Metadata {
        /// The model file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What was expected and what was found.
        what: String,
    },
    /// The file cannot be written.
    #[error("{path}: cannot be written: {cause}")]
    Write {
        /// The file to be.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// What a file was to be made of is no GGUF file: a name twice, a tensor of another length than its shape says.
    #[error("a GGUF file cannot be made so: {what}")]
    Unwritable {
        /// What was expected and what was found.
        what: String,
    },
}

/// An open GGUF file.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    file: File,
    map: Mmap,
    metadata: HashMap<String, Value>,
    keys: Vec<(String, Range<usize>)>,
    tensors: HashMap<String, TensorInfo>,
    names: Vec<String>,
}

/// A metadata value. All integers are widened; arrays hold one kind of thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An integer of any width.
    Integer(i128),
    /// A float of either width.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Text(String),
    /// An array of integers or truth values.
    Integers(Vec<i64>),
    /// An array of floats.
    Floats(Vec<f32>),
    /// An array of strings.
    Texts(Vec<String>),
}

/// One tensor of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// How its numbers are stored.
    pub kind: TensorType,
    /// Columns first, as the file lists them: a matrix is `[columns, rows]`.
    pub dims: Vec<usize>,
    /// Where its bytes are in the file.
    pub range: Range<usize>,
}

impl Gguf {
    /// Opens and checks a file; its tensors stay on disk until they are touched.
    ///
    /// # Errors
    /// The file cannot be read, is another kind of file, or is broken.
    pub fn open(path: &Path) -> Result<Gguf, GgufError> {
        let read = |source| GgufError::Read { path: path.to_owned(), cause: source };
        // Asked before opening: to open a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(read)?.is_file() {
            return Err(GgufError::NotGguf {
                path: path.to_owned(),
                found: "something that is not a regular file".to_owned(),
            });
        }
        let file = File::open(path).map_err(read)?;
        if file.metadata().map_err(read)?.len() == 0 {
            return Err(GgufError::NotGguf { path: path.to_owned(), found: what_it_is(&[]).to_owned() });
        }
        // SAFETY: the map is read-only and private to us. That nobody shortens the file while it is mapped cannot be had
        // from the system; models are moved into place whole and never rewritten, and a shortened one ends the program.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        let Head { metadata, keys, tensors, names } = Reader::new(path, &map).read()?;
        Ok(Gguf { path: path.to_owned(), file, map, metadata, keys, tensors, names })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length.
    pub fn file_bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Copies the file's bytes from `offset` into `to`, without touching the map: what is read so does not stay in our memory.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), GgufError> {
        self.file
            .read_exact_at(to, offset as u64)
            .map_err(|source| GgufError::Read { path: self.path.clone(), cause: source })
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &HashMap<String, TensorInfo> {
        &self.tensors
    }

    /// Names of all tensors, in the file's order.
    pub fn tensor_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Keys of all metadata, in the file's order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.keys.iter().map(|(key, _)| key.as_str())
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// The metadata value of that key.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// Frees the memory of the metadata's arrays whose keys begin so: a vocabulary can be as large as a tenth of a small model's
    /// weights, and is of no use once its reader has a form of its own.
    pub fn drop_arrays(&mut self, prefix: &str) {
        let is_array = |value: &Value| matches!(value, Value::Integers(_) | Value::Floats(_) | Value::Texts(_));
        self.metadata.retain(|key, value| !(key.starts_with(prefix) && is_array(value)));
    }

    /// A string of the metadata, if it is there.
    ///
    /// # Errors
    /// The key holds something else.
    pub fn text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.bad(key, format!("expected a string, found {}", other.kind()))),
        }
    }

    /// A number of the metadata as a float, if it is there.
    ///
    /// # Errors
    /// The key holds something else, or no finite number.
    pub fn float(&self, key: &str) -> Result<Option<f32>, GgufError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Float(number)) if number.is_finite() => Ok(Some(*number as f32)),
            Some(Value::Integer(number)) => Ok(Some(*number as f32)),
            Some(other) => Err(self.bad(key, format!("expected a finite number, found {}", other.kind()))),
        }
    }

    /// A truth value of the metadata, if it is there.
    ///
    /// # Errors
    /// The key holds something else.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, GgufError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(other) => Err(self.bad(key, format!("expected true or false, found {}", other.kind()))),
        }
    }

    /// An integer of the metadata between `least` and `most`, if it is there. An array counts when all its elements are equal.
    ///
    /// # Errors
    /// The key holds something else, or a number beyond these bounds.
    pub fn integer(&self, key: &str, least: u64, most: u64) -> Result<Option<usize>, GgufError> {
        let number = match self.value(key) {
            None => return Ok(None),
            Some(Value::Integer(number)) => *number,
            Some(Value::Integers(numbers))
                if numbers.first().is_some_and(|first| numbers.iter().all(|n| n == first)) =>
            {
                i128::from(numbers[0])
            }
            Some(other) => {
                return Err(self.bad(key, format!("expected an integer, found {}", other.kind())));
            }
        };
        match usize::try_from(number) {
            Ok(size) if (least..=most).contains(&(size as u64)) => Ok(Some(size)),
            _ => Err(self.bad(key, format!("expected {least} to {most}, found {number}"))),
        }
    }

    /// `n` integers of the metadata between `least` and `most`, if the key is there: an array of at least as many, or one number for
    /// all of them. Truth values count as 0 and 1.
    ///
    /// # Errors
    /// The key holds something else, fewer numbers, or one beyond these bounds.
    pub fn integers(&self, key: &str, n: usize, least: u64, most: u64) -> Result<Option<Vec<usize>>, GgufError> {
        let Some(Value::Integers(numbers)) = self.value(key) else {
            return Ok(self.integer(key, least, most)?.map(|number| vec![number; n]));
        };
        let Some(numbers) = numbers.get(..n) else {
            return Err(self.bad(key, format!("expected {n} integers, found {}", numbers.len())));
        };
        let within = |number: &i64| {
            let size = usize::try_from(*number).ok().filter(|size| (least..=most).contains(&(*size as u64)));
            size.ok_or_else(|| self.bad(key, format!("expected {least} to {most}, found {number}")))
        };
        numbers.iter().map(within).collect::<Result<_, _>>().map(Some)
    }

    /// An error about a metadata key.
    pub fn bad(&self, key: &str, what: impl Into<String>) -> GgufError {
        GgufError::Metadata { path: self.path.clone(), key: key.to_owned(), what: what.into() }
    }
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Integer(_) => "an integer",
            Value::Float(number) if number.is_finite() => "a float",
            Value::Float(_) => "a float that is not finite",
            Value::Bool(_) => "a truth value",
            Value::Text(_) => "a string",
            Value::Integers(_) => "an array of integers",
            Value::Floats(_) => "an array of floats",
            Value::Texts(_) => "an array of strings",
        }
    }
}

/// The beginning of a text of the file, as errors quote it.
pub fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
