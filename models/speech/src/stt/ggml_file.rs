//! Checks a Whisper model in ggml format from its first byte to its last before whisper.cpp reads it.
//!
//! whisper.cpp trusts its files: it allocates what the header asks for, ignores short reads, and aborts the process on
//! an unknown tensor type. So everything that it relies on is checked here: sizes, counts, names, types, and that
//! the file ends where its last tensor does. Only headers are read, never the weights.
//!
//! The format (written by whisper.cpp's `convert-pt-to-ggml.py`), little-endian: magic; 11 hyperparameters; the mel
//! filter bank; the vocabulary; then tensors until the end, each with its dimensions, name and type before its data.

use super::SttError;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// The hyperparameters in a model's header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names are Whisper's own.
pub struct GgmlHeader {
    pub n_vocab: u32,
    pub n_audio_ctx: u32,
    pub n_audio_state: u32,
    pub n_audio_head: u32,
    pub n_audio_layer: u32,
    pub n_text_ctx: u32,
    pub n_text_state: u32,
    pub n_text_head: u32,
    pub n_text_layer: u32,
    pub n_mels: u32,
    pub ftype: u32,
}

/// "ggml" as a little-endian number.
const MAGIC: u32 = 0x6767_6d6c;
/// The English-only vocabulary; one more with languages, two more since `large-v3`.
const VOCABULARIES: std::ops::RangeInclusive<u32> = 51_864..=51_866;
/// whisper.cpp's n_fft / 2 + 1 at 16 kHz: 400 / 2 + 1.
const N_FREQUENCIES: u32 = 201;

impl GgmlHeader {
    /// Whether the model knows languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.n_vocab > *VOCABULARIES.start()
    }

    /// OpenAI's smallest, `tiny`, is 384 wide.
    pub(super) fn is_smaller_than_openai(&self) -> bool {
        self.n_audio_state < 384
    }

    /// Reads the header, and checks the rest of the file.
    ///
    /// # Errors
    /// [`SttError::File`], [`SttError::WrongKind`] or [`SttError::Damaged`] with what is wrong and where.
    pub fn read(path: &Path) -> Result<GgmlHeader, SttError> {
        let mut walk = Walk::open(path)?;
        walk.check_magic()?;
        let header = walk.hyperparameters()?;
        walk.mel_filters(&header)?;
        walk.vocabulary(&header)?;
        walk.tensors(&header)?;
        Ok(header)
    }

    /// 10 + 15 for the two ends, and those of each layer, as whisper.cpp counts them.
    fn n_tensors(&self) -> u64 {
        // Encoder: positions, two convolutions (weight, bias), final norm (weight, bias). Decoder: positions, tokens, norm.
        7 + 4 + 15 * u64::from(self.n_audio_layer) + 24 * u64::from(self.n_text_layer)
    }
}

struct Walk<'a> {
    file: BufReader<File>,
    path: &'a Path,
    length: u64,
    offset: u64,
}

impl Walk<'_> {
    fn open(path: &Path) -> Result<Walk<'_>, SttError> {
        let unreadable = |source| SttError::File { path: path.to_path_buf(), cause: source };
        let file = nearfield_base::files::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(SttError::WrongKind { path: path.to_path_buf(), found: "it is a folder".to_string() });
        }
        Ok(Walk { file: BufReader::new(file), path, length: metadata.len(), offset: 0 })
    }

    fn check_magic(&mut self) -> Result<(), SttError> {
        let mut head = Vec::new();
        (&mut self.file).take(4).read_to_end(&mut head).map_err(|source| self.unreadable(source))?;
        self.offset = head.len() as u64;
        let found = match head.as_slice() {
            _ if head == MAGIC.to_le_bytes() => return Ok(()),
            [] => "it is empty",
            b"GGUF" => "it is a GGUF file, which holds language models",
            b"RIFF" | b"fLaC" | b"OggS" => "it is a sound file",
            b"PK\x03\x04" => "it is a ZIP archive (perhaps a PyTorch checkpoint); convert it to ggml first",
            b"vers" => "it is a Git LFS pointer, not the model itself",
            [b'<', ..] => "it is a web page, not the model itself",
            [0x08, _, 0x12, _] | [0x08, _, 0x3a, _] => "it is an ONNX model",
            [_, _, _, _] => "its first four bytes are not `lmgg`",
            _ => "it is shorter than any model",
        };
        Err(SttError::WrongKind { path: self.path.to_path_buf(), found: found.to_string() })
    }

    fn hyperparameters(&mut self) -> Result<GgmlHeader, SttError> {
        let mut next = |name: &'static str, accepted: std::ops::RangeInclusive<u32>| -> Result<u32, SttError> {
            let value = self.u32(name)?;
            if accepted.contains(&value) {
                return Ok(value);
            }
            Err(self.damaged(4, format!("{name} is {value}, expected {} to {}", accepted.start(), accepted.end())))
        };
        // The bounds are those of every Whisper so far (`tiny` to `large`), with room below for small ones.
        let header = GgmlHeader {
            n_vocab: next("n_vocab", VOCABULARIES)?,
            n_audio_ctx: next("n_audio_ctx", 1..=1_500)?,
            n_audio_state: next("n_audio_state", 8..=2_048)?,
            n_audio_head: next("n_audio_head", 1..=64)?,
            n_audio_layer: next("n_audio_layer", 1..=64)?,
            n_text_ctx: next("n_text_ctx", 16..=448)?,
            n_text_state: next("n_text_state", 8..=2_048)?,
            n_text_head: next("n_text_head", 1..=64)?,
            n_text_layer: next("n_text_layer", 1..=64)?,
            n_mels: next("n_mels", 80..=128)?,
            ftype: next("ftype", 0..=u32::MAX)?,
        };
        if header.n_audio_state != header.n_text_state {
            let reason =
                format!("its encoder is {} wide and its decoder {}", header.n_audio_state, header.n_text_state);
            return Err(self.damaged(0, reason));
        }
        for (state, heads) in [(header.n_audio_state, header.n_audio_head), (header.n_text_state, header.n_text_head)] {
            if state % heads != 0 {
                return Err(self.damaged(0, format!("its width {state} does not divide into {heads} heads")));
            }
        }
        // Above 1000 the quantization's version is added in thousands.
        if TensorType::of_file(header.ftype % 1_000).is_none() || header.ftype / 1_000 > 4 {
            return Err(self.damaged(4, format!("ftype is {}, which whisper.cpp does not know", header.ftype)));
        }
        Ok(header)
    }

    fn mel_filters(&mut self, header: &GgmlHeader) -> Result<(), SttError> {
        let (n_mels, n_frequencies) = (self.u32("the mel filters' rows")?, self.u32("the mel filters' columns")?);
        if n_mels != header.n_mels || n_frequencies != N_FREQUENCIES {
            let reason =
                format!("its mel filters are {n_mels} x {n_frequencies}, expected {} x {N_FREQUENCIES}", header.n_mels);
            return Err(self.damaged(8, reason));
        }
        self.skip(u64::from(n_mels) * u64::from(n_frequencies) * 4, "the mel filters")
    }

    fn vocabulary(&mut self, header: &GgmlHeader) -> Result<(), SttError> {
        let n = self.u32("the number of words")?;
        if n == 0 || n > header.n_vocab {
            return Err(self.damaged(4, format!("it lists {n} words, expected at most {}", header.n_vocab)));
        }
        // whisper.cpp aborts the process where one of these is missing.
        let mut missing = vec![&b" "[..], b" -", b" '"];
        for _ in 0..n {
            let length = self.u32("a word's length")?;
            // The longest token of the GPT-2 vocabulary has 128 bytes.
            if length > 1_024 {
                return Err(self.damaged(4, format!("a word has {length} bytes, expected at most 1024")));
            }
            if length > 2 {
                self.skip(u64::from(length), "the vocabulary")?;
            } else {
                let word = self.bytes(length as usize, "the vocabulary")?;
                missing.retain(|wanted| *wanted != word);
            }
        }
        match missing.first() {
            None => Ok(()),
            Some(word) => {
                let reason = format!("its vocabulary lacks the word {:?}", String::from_utf8_lossy(word));
                Err(self.damaged(0, reason))
            }
        }
    }

    fn tensors(&mut self, header: &GgmlHeader) -> Result<(), SttError> {
        let mut found = 0;
        while self.offset < self.length {
            let n_dims = self.u32("a tensor's number of dimensions")?;
            let name_length = self.u32("a tensor's name length")?;
            let type_number = self.u32("a tensor's type")?;
            if !(1..=3).contains(&n_dims) {
                return Err(self.damaged(12, format!("a tensor has {n_dims} dimensions, expected 1 to 3")));
            }
            if !(1..=128).contains(&name_length) {
                return Err(self.damaged(8, format!("a tensor's name has {name_length} bytes, expected 1 to 128")));
            }
            let Some(kind) = TensorType::of_tensor(type_number) else {
                return Err(
                    self.damaged(4, format!("a tensor has type {type_number}, which whisper.cpp does not know"))
                );
            };
            let mut n_elements = 1u64;
            let mut row = 0;
            for i in 0..n_dims {
                let n = self.u32("a tensor's dimension")?;
                // The largest is the vocabulary's 51866; a product of three such stays within 64 bits.
                if n == 0 || n > 65_536 {
                    return Err(self.damaged(4, format!("a tensor's dimension is {n}, expected 1 to 65536")));
                }
                if i == 0 {
                    row = u64::from(n);
                }
                n_elements *= u64::from(n);
            }
            self.skip(u64::from(name_length), "a tensor's name")?;
            if row % kind.block != 0 {
                return Err(
                    self.damaged(0, format!("a tensor's rows of {row} do not divide into blocks of {}", kind.block))
                );
            }
            self.skip(n_elements / kind.block * kind.block_bytes, "a tensor's data")?;
            found += 1;
        }
        let expected = header.n_tensors();
        match found {
            0 => Err(SttError::WrongKind {
                path: self.path.to_path_buf(),
                found: "it holds no weights (a `for-tests` file of whisper.cpp)".to_string(),
            }),
            n if n == expected => Ok(()),
            n => Err(self.damaged(0, format!("it holds {n} tensors, expected {expected}"))),
        }
    }

    fn u32(&mut self, what: &str) -> Result<u32, SttError> {
        let bytes = self.bytes(4, what)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// The next `n` bytes; callers bound `n`.
    fn bytes(&mut self, n: usize, what: &str) -> Result<Vec<u8>, SttError> {
        if self.length - self.offset < n as u64 {
            return Err(self.damaged(0, format!("it ends inside {what}")));
        }
        let mut bytes = vec![0; n];
        self.file.read_exact(&mut bytes).map_err(|source| self.unreadable(source))?;
        self.offset += n as u64;
        Ok(bytes)
    }

    fn skip(&mut self, n: u64, what: &str) -> Result<(), SttError> {
        if n > self.length - self.offset {
            let left = self.length - self.offset;
            return Err(self.damaged(0, format!("{what} needs {n} bytes, but only {left} are left")));
        }
        self.offset += n;
        // Within the buffer this costs nothing; `seek` would throw the buffer away at each word.
        let distance = i64::try_from(n).unwrap_or(i64::MAX);
        self.file.seek_relative(distance).map_err(|source| self.unreadable(source))
    }

    /// An error about what was read `back` bytes before here.
    fn damaged(&self, back: u64, reason: String) -> SttError {
        SttError::Damaged { path: self.path.to_path_buf(), offset: self.offset - back, reason }
    }

    fn unreadable(&self, source: std::io::Error) -> SttError {
        SttError::File { path: self.path.to_path_buf(), cause: source }
    }
}

/// How a tensor's elements are packed: so many elements in so many bytes.
struct TensorType {
    block: u64,
    block_bytes: u64,
}

impl TensorType {
    /// By ggml's number of the type (`enum ggml_type`); those in which Whisper models are published.
    fn of_tensor(number: u32) -> Option<TensorType> {
        let (block, block_bytes) = match number {
            0 => (1, 4),      // F32
            1 => (1, 2),      // F16
            2 => (32, 18),    // Q4_0: a half and 16 bytes
            3 => (32, 20),    // Q4_1: two halves and 16 bytes
            6 => (32, 22),    // Q5_0
            7 => (32, 24),    // Q5_1
            8 => (32, 34),    // Q8_0: a half and 32 bytes
            10 => (256, 84),  // Q2_K
            11 => (256, 110), // Q3_K
            12 => (256, 144), // Q4_K
            13 => (256, 176), // Q5_K
            14 => (256, 210), // Q6_K
            30 => (1, 2),     // BF16
            _ => return None,
        };
        Some(TensorType { block, block_bytes })
    }

    /// By the file's number (`enum ggml_ftype`), which says what most tensors are.
    fn of_file(number: u32) -> Option<TensorType> {
        let tensor = match number {
            0 => 0,
            1 => 1,
            2 => 2,
            3 => 3,
            7 => 8,
            8 => 6,
            9 => 7,
            10 => 10,
            11 => 11,
            12 => 12,
            13 => 13,
            14 => 14,
            24 => 30,
            _ => return None,
        };
        Self::of_tensor(tensor)
    }
}
