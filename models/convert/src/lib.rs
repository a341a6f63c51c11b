//! Model folders of the Hugging Face hub, made into GGUF files: safetensors in one file or several, `config.json`, `tokenizer.json` or
//! `tokenizer.model`, chat templates, and LoRA adapters, which are merged. Weights are streamed row by row.
//!
//! ```no_run
//! use std::ops::ControlFlow::Continue;
//! use nearfield_convert::{ConvertOptions, convert};
//!
//! let options = ConvertOptions::default();
//! let made = convert("SmolLM2-135M-Instruct".as_ref(), "smollm2.gguf".as_ref(), &options, &mut |_, _| Continue(()))?;
//! println!("{}: {} tensors", made.architecture, made.tensors);
//! # Ok::<(), nearfield_convert::ConvertError>(())
//! ```
//!
//! Names, shapes and numbers are those of llama.cpp's `convert_hf_to_gguf.py`. Absent on purpose: pickled weights, which would have to be
//! executed, and quantization, which has a tool of its own.

mod config;
mod cutting;
mod error;
mod family;
mod lora;
mod names;
mod numbers;
mod safetensors;
mod sentence_pieces;
mod vocabulary;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use nearfield_gguf::{Layout, Metadata, TensorType, Writer};

pub use error::ConvertError;
pub use numbers::Float;

use config::Json;
use family::{Change, Model, Planned};
use lora::Lora;
use safetensors::{Dtype, Shards, Tensor};
use vocabulary::Vocabulary;

/// Numbers that are read and written at a time.
const PIECE: usize = 1 << 18;
/// The version of the formats of quantized blocks.
const QUANTIZATION_VERSION: u32 = 2;

/// How a folder is converted.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// How matrices are stored; `None`: half floats where the folder has half floats, else brain floats.
    pub float: Option<Float>,
    /// LoRA adapters that are merged, in this order.
    pub loras: Vec<PathBuf>,
    /// What the model is called; `None`: as its folder.
    pub name: Option<String>,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// `llama`, `qwen2`, ...
    pub architecture: &'static str,
    /// How its matrices are stored.
    pub float: Float,
    /// How many tensors it has.
    pub tensors: usize,
    /// How many weights.
    pub weights: u64,
    /// The file's length.
    pub file_bytes: u64,
    /// What is not as one might expect, in sentences.
    pub notes: Vec<String>,
}

/// A tensor to be, and where it comes from.
struct Job {
    planned: Planned,
    source: String,
    tensor: Tensor,
    float: Float,
}

/// Makes a GGUF file of a folder. `go_on` is told how many of how many weights are written, and may stop it. The file appears under its name
/// only when it is whole.
///
/// # Errors
/// The folder is of a kind that is not converted, something in it is broken or missing, the file cannot be written, or `go_on` stops it.
pub fn convert(
    folder: &Path,
    out: &Path,
    options: &ConvertOptions,
    go_on: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Converted, ConvertError> {
    let config = Json::read(&folder.join("config.json"))?;
    let model = Model::of(&config)?;
    let shards = Shards::open(folder, "model")?;
    let float = options.float.unwrap_or(match shards.first_dtype() {
        Dtype::F16 => Float::F16,
        _ => Float::Bf16,
    });
    let vocabulary = Vocabulary::of(folder, &config, model.family, model.vocab)?;
    let mut notes = vocabulary.notes.clone();
    let jobs = jobs(&model, &shards, folder, float, &mut notes)?;
    let loras = options.loras.iter().map(|folder| Lora::open(folder)).collect::<Result<Vec<_>, _>>()?;
    let sources: BTreeSet<&str> = jobs.iter().map(|job| job.source.as_str()).collect();
    for lora in &loras {
        if let Some(other) = lora.weights().find(|weight| !sources.contains(*weight)) {
            return Err(lora.bad(other, "the model has no such weight; the adapter is of another model"));
        }
    }
    let weights: u64 = jobs.iter().map(|job| count(&job.planned.shape)).sum();
    let mut layout = Layout::new();
    layout.set("general.architecture", &Metadata::Text(model.family.name().to_owned()))?;
    layout.set("general.type", &Metadata::Text("model".to_owned()))?;
    for (key, value) in names::general(folder, options.name.as_deref(), weights) {
        layout.set(&key, &value)?;
    }
    for (key, value) in model.metadata.iter().chain(&vocabulary.metadata) {
        layout.set(key, value)?;
    }
    layout.set("general.file_type", &Metadata::U32(float.file_type()))?;
    layout.set("general.quantization_version", &Metadata::U32(QUANTIZATION_VERSION))?;
    let kind = |float: Float| TensorType::named(float.tensor_type()).expect("every float type is one of GGUF");
    if let Some(factors) = &model.rope_factors {
        layout.tensor("rope_freqs.weight", kind(Float::F32), &[factors.len()])?;
    }
    for job in &jobs {
        let dims: Vec<usize> = job.planned.shape.iter().rev().copied().collect();
        layout.tensor(&job.planned.name, kind(job.float), &dims)?;
    }
    let file_bytes = layout.file_bytes();
    let mut writer = Writer::create(out, layout)?;
    if let Some(factors) = &model.rope_factors {
        let bytes: Vec<u8> = factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
        writer.write("rope_freqs.weight", &bytes)?;
    }
    let mut done = 0;
    for job in &jobs {
        write(job, &shards, &loras, &mut writer, &mut |more| {
            done += more;
            go_on(done, weights)
        })?;
    }
    writer.finish()?;
    let tensors = jobs.len() + usize::from(model.rope_factors.is_some());
    Ok(Converted { architecture: model.family.name(), float, tensors, weights, file_bytes, notes })
}

/// Finds every tensor of the model in the folder, and refuses a folder that has others.
fn jobs(
    model: &Model,
    shards: &Shards,
    folder: &Path,
    float: Float,
    notes: &mut Vec<String>,
) -> Result<Vec<Job>, ConvertError> {
    // Within models for pictures and text the language model has a name of its own.
    const PREFIXES: [(&str, &str); 4] =
        [("", ""), ("language_model.", ""), ("model.language_model.", "model."), ("", "model.")];
    let tensors = shards.tensors();
    let renamed = |source: &str| {
        let found = PREFIXES.iter().find_map(|(prefix, dropped)| {
            let name = format!("{prefix}{}", source.strip_prefix(dropped)?);
            tensors.contains_key(&name).then_some(name)
        });
        found.unwrap_or_else(|| source.to_owned())
    };
    let (mut jobs, mut used) = (Vec::new(), BTreeSet::new());
    for planned in model.tensors() {
        let source = renamed(&planned.source);
        let Some(tensor) = tensors.get(&source) else {
            if planned.optional {
                continue;
            }
            return Err(ConvertError::tensor(folder, &planned.source, "it is missing; fetch the model again"));
        };
        let mut planned = planned;
        // Some models have more rows of embeddings than tokens.
        let is_table = planned.source.ends_with("embed_tokens.weight") || planned.source == "lm_head.weight";
        let rows_over = match (planned.shape.as_slice(), tensor.shape.as_slice()) {
            ([rows, columns], [found, other]) if is_table && columns == other && found > rows => found - rows,
            _ => 0,
        };
        if rows_over > 0 {
            notes.push(format!("{source}: {rows_over} rows beyond the vocabulary are left out"));
        } else if tensor.shape != planned.shape {
            let what = format!("expected the shape {:?} by config.json, found {:?}", planned.shape, tensor.shape);
            return Err(ConvertError::tensor(shards.path(tensor), &source, what));
        }
        used.insert(source.clone());
        // Vectors and norms are always 32-bit floats.
        let float = if planned.shape.len() == 1 { Float::F32 } else { float };
        planned.source.clone_from(&source);
        jobs.push(Job { planned, source, tensor: tensor.clone(), float });
    }
    let left_out = |name: &str| {
        let parts =
            ["vision_tower.", "vision_model.", "multi_modal_projector.", "multimodal_projector.", "audio_tower."];
        let computed = [".rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"];
        parts.iter().any(|part| name.contains(part)) || computed.iter().any(|end| name.ends_with(end))
    };
    match tensors.iter().find(|(name, _)| !used.contains(*name) && !left_out(name)) {
        None => Ok(jobs),
        Some((name, tensor)) => {
            let what = format!("it is no tensor of a {} model, and would be lost", model.family.name());
            Err(ConvertError::tensor(shards.path(tensor), &safetensors::shown(name), what))
        }
    }
}

/// Writes one tensor, some rows at a time.
fn write(
    job: &Job,
    shards: &Shards,
    loras: &[Lora],
    writer: &mut Writer,
    go_on: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), ConvertError> {
    let (rows, columns) = match job.planned.shape.as_slice() {
        [rows, columns] => (*rows, *columns),
        shape => match job.planned.change {
            // A bias of heads that are turned: each number is a row.
            Change::Interleave { .. } => (shape.iter().product(), 1),
            _ => (1, shape.iter().product()),
        },
    };
    let mut deltas = Vec::new();
    for lora in loras {
        deltas.extend(lora.delta(&job.source, &job.planned.shape)?);
    }
    let each = (PIECE / columns.max(1)).clamp(1, rows.max(1));
    let (mut numbers, mut bytes) = (vec![0.0; each * columns], Vec::new());
    for first in (0..rows).step_by(each) {
        let count = each.min(rows - first);
        let numbers = &mut numbers[..count * columns];
        match job.planned.change {
            Change::Interleave { heads } => {
                for (index, row) in numbers.chunks_exact_mut(columns).enumerate() {
                    let from = interleaved(first + index, rows, heads);
                    shards.read(&job.source, &job.tensor, from * columns, row)?;
                    deltas.iter().for_each(|delta| delta.add(from, row));
                }
            }
            change => {
                shards.read(&job.source, &job.tensor, first * columns, numbers)?;
                for (index, row) in numbers.chunks_exact_mut(columns).enumerate() {
                    deltas.iter().for_each(|delta| delta.add(first + index, row));
                }
                if change == Change::PlusOne {
                    numbers.iter_mut().for_each(|x| *x += 1.0);
                }
            }
        }
        bytes.clear();
        if let Some(large) = job.float.write(numbers, &mut bytes) {
            let what = format!("{large} is too large for half floats; convert with --type bf16");
            return Err(ConvertError::tensor(shards.path(&job.tensor), &job.source, what));
        }
        writer.write(&job.planned.name, &bytes)?;
        if go_on(numbers.len() as u64).is_break() {
            return Err(ConvertError::Stopped);
        }
    }
    Ok(())
}

/// The row that stands at `row` when the two halves of each head alternate.
fn interleaved(row: usize, rows: usize, heads: usize) -> usize {
    let width = rows / heads;
    let (head, within) = (row / width, row % width);
    head * width + (within % 2) * (width / 2) + within / 2
}

fn count(shape: &[usize]) -> u64 {
    shape.iter().map(|dim| *dim as u64).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_each_head_alternate() {
        let order: Vec<usize> = (0..8).map(|row| interleaved(row, 8, 2)).collect();
        assert_eq!(order, [0, 2, 1, 3, 4, 6, 5, 7]);
    }
}
