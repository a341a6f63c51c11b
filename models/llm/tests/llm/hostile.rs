//! Files that are cut short, lie, or are something else: one clear error each, at once, and never a panic.

use std::path::{Path, PathBuf};

use nearfield_gguf::Gguf;
use nearfield_llm::{Llm, LlmError, LlmOptions};
use proptest::prelude::*;

/// A tensor as the file lists it: name, dimensions, type, offset.
type Listed = (String, Vec<u64>, u32, u64);

/// A GGUF file under construction, byte by byte.
#[derive(Clone)]
struct File {
    magic: &'static [u8],
    version: u32,
    n_tensors: Option<u64>,
    n_entries: Option<u64>,
    entries: Vec<u8>,
    count: u64,
    tensors: Vec<Listed>,
    data: usize,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl File {
    fn new() -> File {
        File {
            magic: b"GGUF",
            version: 3,
            n_tensors: None,
            n_entries: None,
            entries: Vec::new(),
            count: 0,
            tensors: Vec::new(),
            data: 0,
        }
    }

    fn entry(mut self, key: &str, kind: u32, value: &[u8]) -> File {
        self.entries.extend(string(key));
        self.entries.extend(kind.to_le_bytes());
        self.entries.extend(value);
        self.count += 1;
        self
    }

    fn text(self, key: &str, value: &str) -> File {
        self.entry(key, 8, &string(value))
    }

    fn number(self, key: &str, value: u32) -> File {
        self.entry(key, 4, &value.to_le_bytes())
    }

    fn tensor(mut self, name: &str, dims: &[u64], kind: u32, offset: u64) -> File {
        self.tensors.push((name.to_owned(), dims.to_vec(), kind, offset));
        self
    }

    /// A float tensor after the last one.
    fn floats(mut self, name: &str, dims: &[u64]) -> File {
        let offset = self.data;
        self.data += (dims.iter().product::<u64>() as usize * 4).next_multiple_of(32);
        self.tensor(name, dims, 0, offset as u64)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.n_tensors.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        bytes.extend(self.n_entries.unwrap_or(self.count).to_le_bytes());
        bytes.extend(&self.entries);
        for (name, dims, kind, offset) in &self.tensors {
            bytes.extend(string(name));
            bytes.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend((0..self.data).map(|i| (i * 31 % 60) as u8));
        bytes
    }
}

/// The smallest model that opens.
fn model() -> File {
    let mut file = File::new().text("general.architecture", "llama");
    for (key, value) in [
        ("block_count", 1),
        ("context_length", 64),
        ("embedding_length", 8),
        ("feed_forward_length", 16),
        ("attention.head_count", 2),
    ] {
        file = file.number(&format!("llama.{key}"), value);
    }
    file = file.entry("llama.attention.layer_norm_rms_epsilon", 6, &1e-5f32.to_le_bytes());
    for (name, dims) in [
        ("token_embd.weight", &[8, 20][..]),
        ("output_norm.weight", &[8]),
        ("blk.0.attn_norm.weight", &[8]),
        ("blk.0.ffn_norm.weight", &[8]),
        ("blk.0.attn_q.weight", &[8, 8]),
        ("blk.0.attn_k.weight", &[8, 8]),
        ("blk.0.attn_v.weight", &[8, 8]),
        ("blk.0.attn_output.weight", &[8, 8]),
        ("blk.0.ffn_gate.weight", &[8, 16]),
        ("blk.0.ffn_up.weight", &[8, 16]),
        ("blk.0.ffn_down.weight", &[16, 8]),
    ] {
        file = file.floats(name, dims);
    }
    file
}

/// The same file with another number of layers.
fn with_layers(n: u8) -> File {
    let (mut file, key) = (model(), b"llama.block_count");
    let at = file.entries.windows(key.len()).position(|bytes| bytes == key).unwrap();
    file.entries[at + key.len() + 4] = n; // after the type
    file
}

fn open_bytes(folder: &Path, bytes: &[u8]) -> Result<(), LlmError> {
    let path = folder.join("hostile.gguf");
    std::fs::write(&path, bytes).unwrap();
    Llm::open(&path, &LlmOptions { threads: 1 }).map(|_| ())
}

#[test]
fn the_smallest_model_opens() {
    let folder = tempfile::tempdir().unwrap();
    open_bytes(folder.path(), &model().bytes()).unwrap();
}

#[test]
fn every_lie_is_an_error_that_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let huge = u64::MAX.to_le_bytes();
    let array = |kind: u32, len: u64, rest: &[u8]| [&kind.to_le_bytes()[..], &len.to_le_bytes(), rest].concat();
    let without = |name: &str| {
        let mut file = model();
        file.tensors.retain(|tensor| tensor.0 != name);
        file
    };
    let changed = |name: &str, change: &dyn Fn(&mut Listed)| {
        let mut file = model();
        file.tensors.iter_mut().filter(|tensor| tensor.0 == name).for_each(change);
        file
    };
    let cases: Vec<(&str, File)> = vec![
        ("version 1", File { version: 1, ..model() }),
        ("big-endian", File { version: 3u32.swap_bytes(), ..model() }),
        ("too many tensors", File { n_tensors: Some(u64::MAX), ..model() }),
        ("more tensors than there are", File { n_tensors: Some(60_000), ..model() }),
        ("too many entries", File { n_entries: Some(1 << 40), ..model() }),
        ("more entries than there are", File { n_entries: Some(100), ..model() }),
        ("an endless string", model().entry("x", 8, &huge)),
        ("a string beyond the end", model().entry("x", 8, &900_000u64.to_le_bytes())),
        ("an endless array", model().entry("x", 9, &array(4, u64::MAX, &[]))),
        ("an array beyond the end", model().entry("x", 9, &array(8, 4_000_000, &[]))),
        ("an array of arrays", model().entry("x", 9, &array(9, 1, &array(4, 0, &[])))),
        ("an unknown value type", model().entry("x", 77, &[])),
        ("an unknown element type", model().entry("x", 9, &array(78, 1, &[0; 8]))),
        ("a truth value of 2", model().entry("x", 7, &[2])),
        ("a key twice", model().number("llama.block_count", 1)),
        ("an alignment of 3", model().number("general.alignment", 3)),
        ("an alignment of 0", model().number("general.alignment", 0)),
        ("a tensor twice", model().floats("output_norm.weight", &[8])),
        ("overlapping tensors", changed("blk.0.attn_q.weight", &|t| t.3 = 0)),
        ("a tensor beyond the end", changed("blk.0.ffn_down.weight", &|t| t.3 = 1 << 40)),
        ("an offset that wraps", changed("blk.0.ffn_down.weight", &|t| t.3 = u64::MAX - 31)),
        ("a crooked offset", changed("blk.0.ffn_down.weight", &|t| t.3 -= 8)),
        ("a dimension of 0", changed("output_norm.weight", &|t| t.1 = vec![0])),
        ("no dimension", changed("output_norm.weight", &|t| t.1 = vec![])),
        ("nine dimensions", changed("output_norm.weight", &|t| t.1 = vec![1; 9])),
        ("dimensions that wrap", changed("output_norm.weight", &|t| t.1 = vec![1 << 33, 1 << 33])),
        ("an unknown tensor type", changed("output_norm.weight", &|t| t.2 = 99)),
        ("crooked blocks", changed("blk.0.attn_q.weight", &|t| t.2 = 2)),
        ("integers for weights", changed("blk.0.attn_q.weight", &|t| t.2 = 26)),
        ("a missing tensor", without("blk.0.ffn_up.weight")),
        ("a missing embedding", without("token_embd.weight")),
        ("another shape", changed("blk.0.ffn_up.weight", &|t| t.1 = vec![16, 8])),
        ("a key that moves the cursor", model().number("x\u{1b}[2J\n", 1)),
        ("a tensor of two lines", changed("output_norm.weight", &|t| t.0 = "a\nb".to_owned())),
        ("an endless architecture", File::new().text("general.architecture", &"x".repeat(9999))),
        ("no architecture", File::new()),
        ("an architecture that is a number", File::new().number("general.architecture", 1)),
        ("no layers", with_layers(0)),
        ("a million layers", File::new().text("general.architecture", "llama").number("llama.block_count", 1_000_000)),
        ("a base that is no number", model().entry("llama.rope.freq_base", 6, &f32::NAN.to_le_bytes())),
        ("heads that do not fit", model().number("llama.attention.head_count_kv", 3)),
        ("more layers than tensors", with_layers(9)),
    ];
    let mut errors = String::new();
    for (what, file) in cases {
        match open_bytes(folder.path(), &file.bytes()) {
            Ok(()) => panic!("{what}: opened"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("hostile.gguf") && !error.contains(char::is_control), "{what}: {error}");
                assert!(error.len() < 1000, "{what}: {error}");
                errors.push_str(&format!("{what}: {}\n", error.replace(&*folder.path().to_string_lossy(), "[FOLDER]")));
            }
        }
    }
    snapbox::assert_data_eq!(errors, snapbox::file!["snapshots/hostile.txt"].raw());
}

#[test]
fn other_kinds_of_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [&[u8]; 9] = [
        b"",
        b"GG",
        b"lmgg\0\0",
        b"RIFF\0\0\0\0WAVE",
        b"PK\x03\x04rest",
        b"\x08\x07\x12\x04test",
        b"\x10\0\0\0\0\0\0\0{\"a\":1}",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"<!DOCTYPE html><html>",
    ];
    let mut errors = String::new();
    for bytes in cases {
        let error = open_bytes(folder.path(), bytes).unwrap_err().to_string();
        errors.push_str(&format!("{}\n", error.replace(&*folder.path().to_string_lossy(), "[FOLDER]")));
    }
    snapbox::assert_data_eq!(errors, snapbox::file!["snapshots/other_files.txt"].raw());
    let missing = Llm::open(&PathBuf::from("/no/such/file.gguf"), &LlmOptions::default()).unwrap_err().to_string();
    assert!(missing.contains("/no/such/file.gguf: cannot be read"), "{missing}");
    let error = Llm::open(folder.path(), &LlmOptions::default()).unwrap_err().to_string();
    assert!(error.contains("not a regular file") || error.contains("cannot be read"), "{error}");
}

#[test]
fn a_file_cut_at_any_byte_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = model().bytes();
    // Every byte of the head, then now and then one of the data.
    for len in (0..1100).chain((1100..bytes.len()).step_by(41)) {
        // The last tensor ends before the padding does.
        if len >= bytes.len() - 32 && open_bytes(folder.path(), &bytes[..len]).is_ok() {
            continue;
        }
        assert!(open_bytes(folder.path(), &bytes[..len]).is_err(), "cut to {len} of {}", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((0..1200usize, any::<u8>()), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = model().bytes();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        let path = folder.path().join("changed.gguf");
        std::fs::write(&path, &bytes).unwrap();
        let _ = Gguf::open(&path);
        let _ = Llm::open(&path, &LlmOptions { threads: 1 });
    }
}
