//! Importance matrices: for each weight matrix, how large its inputs are, column by column, over a calibration text. A squared error in a
//! column counts as much as the square of what is multiplied with it. Files are llama.cpp's: the GGUF form is read and written, the older
//! `.dat` form is read.

use std::collections::BTreeMap;
use std::path::Path;

use nearfield_gguf::{Gguf, GgufError, Layout, Metadata, TensorType, Writer};

use crate::QuantizeError;

const DATASETS: &str = "imatrix.datasets";
const CHUNK_COUNT: &str = "imatrix.chunk_count";
const CHUNK_SIZE: &str = "imatrix.chunk_size";
/// What is believed of an old file: entries, the length of a name, the bytes of the file.
const MOST_ENTRIES: usize = 65_536;
const LONGEST_NAME: usize = 256;
const MOST_BYTES: u64 = 1 << 30;

/// How much errors count, for all matrices of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportanceMatrix {
    /// The texts that it was collected on.
    pub datasets: Vec<String>,
    /// How many chunks of text, and the tokens of each.
    pub chunks: u32,
    /// Tokens in a chunk.
    pub chunk_tokens: u32,
    /// By the name of the weight matrix.
    pub entries: BTreeMap<String, Importance>,
}

/// What was multiplied with one weight matrix, or with each of its experts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Importance {
    /// Sums of squared inputs: `[experts, columns]`, row-major; one expert where there are none.
    pub sums_of_squares: Vec<f32>,
    /// Sums of inputs, the same shape; empty where they were not collected.
    pub sums: Vec<f32>,
    /// Tokens summed, for each expert.
    pub counts: Vec<u64>,
}

impl Importance {
    /// Mean squares of the inputs, `[experts, columns]`; 1 for experts that no token reached.
    pub fn mean_squares(&self) -> Vec<f32> {
        let columns = self.sums_of_squares.len() / self.counts.len().max(1);
        let mean = |(expert, sums): (usize, &[f32])| -> Vec<f32> {
            match self.counts.get(expert).copied().unwrap_or(0) {
                0 => vec![1.0; sums.len()],
                count => sums.iter().map(|sum| sum / count as f32).collect(),
            }
        };
        self.sums_of_squares.chunks(columns.max(1)).enumerate().flat_map(mean).collect()
    }
}

impl ImportanceMatrix {
    /// Reads a file of either form.
    ///
    /// # Errors
    /// It cannot be read, is broken, or holds numbers that are not finite or below zero.
    pub fn open(path: &Path) -> Result<ImportanceMatrix, QuantizeError> {
        let matrix = match Gguf::open(path) {
            Ok(file) => Self::of_gguf(&file)?,
            Err(GgufError::NotGguf { .. }) if path.is_file() => Self::of_dat(path)?,
            Err(error) => return Err(error.into()),
        };
        let broken = |what: String| QuantizeError::Importance { path: path.to_owned(), what };
        if matrix.entries.is_empty() {
            return Err(broken("it holds no importance of any tensor".to_owned()));
        }
        for (name, entry) in &matrix.entries {
            if !entry.sums_of_squares.iter().all(|sum| sum.is_finite() && *sum >= 0.0) {
                return Err(broken(format!(
                    "the importance of {name} holds numbers that are infinite or below zero: collect it again"
                )));
            }
        }
        Ok(matrix)
    }

    fn of_gguf(file: &Gguf) -> Result<ImportanceMatrix, QuantizeError> {
        let broken = |what: String| QuantizeError::Importance { path: file.path().to_owned(), what };
        if file.tensor_names().all(|name| !name.ends_with(".in_sum2")) {
            let what = "it is a GGUF file, but no importance matrix: it has no tensor whose name ends in .in_sum2";
            return Err(broken(what.to_owned()));
        }
        let floats = |name: &str| -> Result<Option<Vec<f32>>, QuantizeError> {
            let Some(tensor) = file.tensor(name) else { return Ok(None) };
            if tensor.kind.name != "F32" {
                return Err(broken(format!("{name} is {}, but F32 was expected", tensor.kind.name)));
            }
            let bytes = &file.bytes()[tensor.range.clone()];
            Ok(Some(bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect()))
        };
        let mut entries = BTreeMap::new();
        for name in file.tensor_names().filter_map(|name| name.strip_suffix(".in_sum2")) {
            let sums_of_squares = floats(&format!("{name}.in_sum2"))?.unwrap_or_default();
            let counts = floats(&format!("{name}.counts"))?
                .ok_or_else(|| broken(format!("{name}.in_sum2 is there, but not {name}.counts")))?;
            let counts: Vec<u64> = counts.iter().map(|count| count.round() as u64).collect();
            if counts.is_empty() || !sums_of_squares.len().is_multiple_of(counts.len()) {
                let (sums, counts) = (sums_of_squares.len(), counts.len());
                return Err(broken(format!("{name} has {sums} sums for {counts} counts")));
            }
            let sums = floats(&format!("{name}.in_sum"))?.filter(|sums| sums.len() == sums_of_squares.len());
            let entry = Importance { sums_of_squares, sums: sums.unwrap_or_default(), counts };
            entries.insert(name.to_owned(), entry);
        }
        let datasets = match file.value(DATASETS) {
            Some(nearfield_gguf::Value::Texts(texts)) => texts.clone(),
            _ => Vec::new(),
        };
        let number = |key| Ok::<u32, GgufError>(file.integer(key, 0, u32::MAX.into())?.unwrap_or(0) as u32);
        Ok(ImportanceMatrix { datasets, chunks: number(CHUNK_COUNT)?, chunk_tokens: number(CHUNK_SIZE)?, entries })
    }

    /// The old form: the number of entries, then for each a name, a number of calls and its sums; the number of chunks and the text's name.
    fn of_dat(path: &Path) -> Result<ImportanceMatrix, QuantizeError> {
        let read = |cause| QuantizeError::Gguf(GgufError::Read { path: path.to_owned(), cause });
        let bytes = nearfield_base::files::read(path, MOST_BYTES).map_err(read)?;
        let mut at = Cursor { path, bytes: &bytes };
        let n_entries = at.number("the number of entries", MOST_ENTRIES)?;
        let mut matrix = ImportanceMatrix::default();
        for _ in 0..n_entries {
            let len = at.number("the length of a name", LONGEST_NAME)?;
            let name = String::from_utf8_lossy(at.take("a name", len)?).into_owned();
            let calls = at.number("the number of calls", i32::MAX as usize)?;
            let len = at.number("the number of sums", bytes.len() / 4)?;
            let sums = at.take("sums", 4 * len)?.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
            let entry = Importance { sums_of_squares: sums, sums: Vec::new(), counts: vec![calls.max(1) as u64] };
            matrix.entries.insert(name, entry);
        }
        if !at.bytes.is_empty() {
            matrix.chunks = at.number("the number of chunks", i32::MAX as usize)? as u32;
            let len = at.number("the length of the text's name", 1 << 16)?;
            matrix.datasets.push(String::from_utf8_lossy(at.take("the text's name", len)?).into_owned());
        }
        Ok(matrix)
    }

    /// Writes the GGUF form, atomically.
    ///
    /// # Errors
    /// An entry's lengths contradict each other, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), GgufError> {
        let f32s = TensorType::named("F32").expect("a type of the specification");
        let mut layout = Layout::new();
        layout.set("general.type", &Metadata::Text("imatrix".to_owned()))?;
        layout.set(DATASETS, &Metadata::Texts(self.datasets.clone()))?;
        layout.set(CHUNK_COUNT, &Metadata::U32(self.chunks))?;
        layout.set(CHUNK_SIZE, &Metadata::U32(self.chunk_tokens))?;
        let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
        for (name, entry) in &self.entries {
            let experts = entry.counts.len();
            let columns = entry.sums_of_squares.len() / experts.max(1);
            let counts: Vec<f32> = entry.counts.iter().map(|count| *count as f32).collect();
            for (suffix, columns, numbers) in
                [("in_sum2", columns, &entry.sums_of_squares), ("counts", 1, &counts), ("in_sum", columns, &entry.sums)]
            {
                if suffix == "in_sum" && numbers.is_empty() {
                    continue;
                }
                let name = format!("{name}.{suffix}");
                layout.tensor(&name, f32s, &[columns, experts])?;
                parts.push((name, numbers.iter().flat_map(|x| x.to_le_bytes()).collect()));
            }
        }
        let mut writer = Writer::create(path, layout)?;
        for (name, bytes) in parts {
            writer.write(&name, &bytes)?;
        }
        writer.finish()
    }

    /// Mean squares of the inputs of a tensor, `[experts, columns]`, if they were collected.
    ///
    /// # Errors
    /// They are those of another shape, that is, of another model. For an embedding, which is only looked up, that is no error.
    pub(crate) fn importance_of(
        &self,
        path: &Path,
        name: &str,
        dims: &[usize],
    ) -> Result<Option<Vec<f32>>, QuantizeError> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let expected: usize = dims[0] * dims.iter().skip(2).product::<usize>();
        if entry.sums_of_squares.len() == expected {
            return Ok(Some(entry.mean_squares()));
        }
        if matches!(name, "token_embd.weight" | "per_layer_token_embd.weight") {
            return Ok(None);
        }
        let what = format!(
            "it has {} numbers for {name}, but the model needs {expected}: it was collected on another model",
            entry.sums_of_squares.len()
        );
        Err(QuantizeError::Importance { path: path.to_owned(), what })
    }
}

/// The rest of an old file.
struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, what: &str, len: usize) -> Result<&'a [u8], QuantizeError> {
        let (taken, rest) =
            self.bytes.split_at_checked(len).ok_or_else(|| self.broken(format!("the file ends in {what}")))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self, what: &str, most: usize) -> Result<usize, QuantizeError> {
        let bytes = self.take(what, 4)?;
        let number = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        usize::try_from(number)
            .ok()
            .filter(|number| *number <= most)
            .ok_or_else(|| self.broken(format!("{what} is {number}")))
    }

    fn broken(&self, what: String) -> QuantizeError {
        QuantizeError::Importance {
            path: self.path.to_owned(),
            what: format!("it is no importance matrix of llama.cpp, or a broken one: {what}"),
        }
    }
}
