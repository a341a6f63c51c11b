//! Safetensors files: eight bytes that say how long the header is, the header in JSON, and the tensors. Nothing is believed before it
//! is compared with the length of the file; of the tensors only the rows that are asked for are read.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use nearfield_base::{files, json};
use serde::Deserialize;
use serde_json::Value;

use crate::ConvertError;

/// The longest header that is believed; the specification has the same limit.
const MOST_HEADER_BYTES: u64 = 100_000_000;
/// The longest index.
const MOST_INDEX_BYTES: u64 = 64 << 20;
/// The most tensors of a model.
const MOST_TENSORS: usize = 65_536;
/// The most files of a model.
const MOST_SHARDS: usize = 1024;

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit floats.
    F32,
    /// Half floats.
    F16,
    /// Brain floats.
    Bf16,
    /// 64-bit floats.
    F64,
}

impl Dtype {
    fn named(name: &str) -> Option<Dtype> {
        Some(match name {
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::Bf16,
            "F64" => Dtype::F64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }
}

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// Rows first: a matrix is `[rows, columns]`.
    pub shape: Vec<usize>,
    shard: usize,
    begin: u64,
}

/// The tensors of a model, in one file or several.
#[derive(Debug)]
pub struct Shards {
    files: Vec<(PathBuf, File)>,
    tensors: BTreeMap<String, Tensor>,
    /// The first tensor of the first file.
    first: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Shards {
    /// Opens the files of a folder: those that `model.safetensors.index.json` names, or all whose names begin with `stem`.
    ///
    /// # Errors
    /// There is none, one is missing, cut short or not a safetensors file, or a tensor is there twice or not at all.
    pub fn open(folder: &Path, stem: &str) -> Result<Shards, ConvertError> {
        let index = folder.join(format!("{stem}.safetensors.index.json"));
        let wanted = if index.is_file() { Some(read_index(&index)?) } else { None };
        let mut names: Vec<String> = match &wanted {
            Some(wanted) => wanted.values().cloned().collect(),
            None => {
                let list = std::fs::read_dir(folder);
                let list = list.map_err(|cause| ConvertError::Read { path: folder.to_owned(), cause })?;
                let names = list.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                names.filter(|name| name.starts_with(stem) && name.ends_with(".safetensors")).collect()
            }
        };
        names.sort();
        names.dedup();
        if names.is_empty() {
            let what = format!("no file {stem}*.safetensors is there; pickled weights (.bin, .pth) are not read");
            return Err(ConvertError::broken(folder, what));
        }
        if names.len() > MOST_SHARDS {
            return Err(ConvertError::broken(folder, format!("{} weight files, more than {MOST_SHARDS}", names.len())));
        }
        let mut shards = Shards { files: Vec::new(), tensors: BTreeMap::new(), first: None };
        for name in names {
            shards.add(&folder.join(name))?;
        }
        if let Some(wanted) = wanted {
            for (tensor, file) in &wanted {
                let found = shards.tensors.get(tensor).map(|found| shards.files[found.shard].0.file_name());
                if found.flatten().is_none_or(|found| found != file.as_str()) {
                    return Err(ConvertError::tensor(
                        &index,
                        tensor,
                        format!("it is not in {file}; fetch the model again"),
                    ));
                }
            }
        }
        Ok(shards)
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// How the first tensor's numbers are stored, which is how most are.
    pub fn first_dtype(&self) -> Dtype {
        self.first.as_ref().and_then(|name| self.tensors.get(name)).map_or(Dtype::F32, |tensor| tensor.dtype)
    }

    /// The file that a tensor is in.
    pub fn path(&self, tensor: &Tensor) -> &Path {
        &self.files[tensor.shard].0
    }

    /// Reads numbers of a tensor from `begin` on, as 32-bit floats.
    ///
    /// # Errors
    /// The file cannot be read, or one of them is no finite number.
    pub fn read(&self, name: &str, tensor: &Tensor, begin: usize, to: &mut [f32]) -> Result<(), ConvertError> {
        let (path, file) = &self.files[tensor.shard];
        let each = tensor.dtype.bytes();
        let mut bytes = vec![0; to.len() * each];
        file.read_exact_at(&mut bytes, tensor.begin + (begin * each) as u64)
            .map_err(|cause| ConvertError::Read { path: path.clone(), cause })?;
        match tensor.dtype {
            Dtype::F32 => floats(&bytes, to, f32::from_le_bytes),
            Dtype::F16 => floats(&bytes, to, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::Bf16 => floats(&bytes, to, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Dtype::F64 => floats(&bytes, to, |bytes| f64::from_le_bytes(bytes) as f32),
        }
        match to.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let what = format!("number {} is {}, not a finite number; the model is damaged", begin + at, to[at]);
                Err(ConvertError::tensor(path, name, what))
            }
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), ConvertError> {
        let read = |cause| ConvertError::Read { path: path.to_owned(), cause };
        let broken = |what: String| ConvertError::broken(path, what);
        let file = files::open(path).map_err(read)?;
        let len = file.metadata().map_err(read)?.len();
        let mut head = [0; 8];
        if len < 8 {
            return Err(broken(format!("it has {len} bytes and is no safetensors file; fetch it again")));
        }
        file.read_exact_at(&mut head, 0).map_err(read)?;
        let header_bytes = u64::from_le_bytes(head);
        if header_bytes > MOST_HEADER_BYTES.min(len - 8) {
            return Err(broken(format!(
                "its header would have {header_bytes} bytes, and the file has {len}: it is cut short or no safetensors file"
            )));
        }
        let mut header = vec![0; header_bytes as usize];
        file.read_exact_at(&mut header, 8).map_err(read)?;
        let header: HashMap<String, Value> =
            json::from_slice(&header).map_err(|error| broken(format!("its header is broken: {error}")))?;
        let shard = self.files.len();
        let data = 8 + header_bytes;
        let mut at_begin = None;
        for (name, value) in header {
            if name == "__metadata__" {
                continue;
            }
            let bad = |what: String| ConvertError::tensor(path, &shown(&name), what);
            let entry: Entry =
                serde_json::from_value(value).map_err(|error| bad(format!("its entry is broken: {error}")))?;
            let dtype = Dtype::named(&entry.dtype).ok_or_else(|| {
                bad(format!("its numbers are {}; supported are F32, F16, BF16 and F64", shown(&entry.dtype)))
            })?;
            let count = entry.shape.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim));
            let bytes = count.and_then(|count| count.checked_mul(dtype.bytes() as u64));
            let (begin, end) = entry.data_offsets;
            if end.checked_sub(begin) != bytes {
                let what = format!("its shape {:?} does not fit the bytes {begin} to {end}", entry.shape);
                return Err(bad(what));
            }
            if end > len - data {
                let what = format!(
                    "it ends at byte {end} of {} that the file has: the file is cut short; fetch it again",
                    len - data
                );
                return Err(bad(what));
            }
            if begin == 0 {
                at_begin = Some(name.clone());
            }
            let shape = entry.shape.iter().map(|dim| *dim as usize).collect();
            let tensor = Tensor { dtype, shape, shard, begin: data + begin };
            if let Some(other) = self.tensors.insert(name.clone(), tensor) {
                let other = &self.files[other.shard].0;
                return Err(bad(format!("it is there twice, also in {}", other.display())));
            }
            if self.tensors.len() > MOST_TENSORS {
                return Err(broken(format!("more than {MOST_TENSORS} tensors")));
            }
        }
        self.first = self.first.take().or(at_begin);
        self.files.push((path.to_owned(), file));
        Ok(())
    }
}

/// Which file each tensor is in.
fn read_index(path: &Path) -> Result<BTreeMap<String, String>, ConvertError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text =
        files::read(path, MOST_INDEX_BYTES).map_err(|cause| ConvertError::Read { path: path.to_owned(), cause })?;
    let index: Index = json::from_slice(&text).map_err(|error| ConvertError::broken(path, error.to_string()))?;
    if let Some(outside) = index.weight_map.values().find(|name| name.contains(['/', '\\']) || name.starts_with('.')) {
        return Err(ConvertError::broken(
            path,
            format!("it names the file {}, which is in no model folder", shown(outside)),
        ));
    }
    Ok(index.weight_map)
}

fn floats<const N: usize>(bytes: &[u8], to: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    bytes.as_chunks::<N>().0.iter().zip(to).for_each(|(bytes, x)| *x = number(*bytes));
}

/// A name of the file as errors quote it.
pub(crate) fn shown(name: &str) -> String {
    let short: String = name.chars().take(100).collect();
    short.escape_debug().to_string()
}
