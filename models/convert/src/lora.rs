//! LoRA adapters of the `peft` library, merged into the weights: a matrix becomes `W + scale * B A` (Hu et al., 2021).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::ConvertError;
use crate::config::Json;
use crate::safetensors::{Shards, Tensor};

/// The largest rank that is read.
const MOST_RANK: u64 = 4096;

/// An adapter.
#[derive(Debug)]
pub(crate) struct Lora {
    shards: Shards,
    scale: f32,
    /// `A: [rank, columns]` and `B: [rows, rank]` by the weight that they change.
    pairs: BTreeMap<String, (String, String)>,
    path: std::path::PathBuf,
}

/// What is added to the rows of one weight.
#[derive(Debug)]
pub(crate) struct Delta {
    a: Vec<f32>,
    b: Vec<f32>,
    rank: usize,
    scale: f32,
}

impl Lora {
    /// Opens an adapter's folder.
    pub fn open(folder: &Path) -> Result<Lora, ConvertError> {
        let config = Json::read(&folder.join("adapter_config.json"))?;
        if let Some(kind) = config.text("peft_type").filter(|kind| *kind != "LORA") {
            let what = format!("an adapter of the kind {kind} is not merged; supported is LORA");
            return Err(ConvertError::unsupported(&config.path, what));
        }
        for key in ["use_dora", "fan_in_fan_out"] {
            if config.bool(key) == Some(true) {
                return Err(config.bad(key, "is not supported"));
            }
        }
        for key in ["rank_pattern", "alpha_pattern"] {
            if let Some(Value::Object(pattern)) =
                config.get(key).filter(|it| it.as_object().is_none_or(|it| !it.is_empty()))
            {
                return Err(config.bad(key, &format!("{} ranks of their own are not supported", pattern.len())));
            }
        }
        if config.text("bias").is_some_and(|bias| bias != "none") {
            return Err(config.bad("bias", "trained biases are not supported"));
        }
        if config.get("modules_to_save").and_then(Value::as_array).is_some_and(|modules| !modules.is_empty()) {
            return Err(config.bad("modules_to_save", "whole modules in an adapter are not supported"));
        }
        let rank = config.need("r", 1, MOST_RANK)? as f32;
        let alpha = config.float("lora_alpha")?.ok_or_else(|| config.bad("lora_alpha", "is missing"))? as f32;
        let scale = if config.bool("use_rslora") == Some(true) { alpha / rank.sqrt() } else { alpha / rank };
        let shards = Shards::open(folder, "adapter_model")?;
        let mut pairs = BTreeMap::new();
        for name in shards.tensors().keys() {
            let bare = name.strip_prefix("base_model.model.").unwrap_or(name);
            if let Some(weight) = bare.strip_suffix(".lora_A.weight") {
                let b = name.replace(".lora_A.weight", ".lora_B.weight");
                if !shards.tensors().contains_key(&b) {
                    return Err(ConvertError::tensor(folder, name, "its other half (lora_B) is missing"));
                }
                pairs.insert(format!("{weight}.weight"), (name.clone(), b));
            } else if !bare.ends_with(".lora_B.weight") {
                return Err(ConvertError::tensor(folder, name, "it is no half of a LoRA pair and is not merged"));
            }
        }
        if pairs.is_empty() {
            return Err(ConvertError::broken(folder, "the adapter changes no weight"));
        }
        Ok(Lora { shards, scale, pairs, path: folder.to_owned() })
    }

    /// The weights that it changes.
    pub fn weights(&self) -> impl Iterator<Item = &str> {
        self.pairs.keys().map(String::as_str)
    }

    /// An error that names a weight of it.
    pub fn bad(&self, weight: &str, what: &str) -> ConvertError {
        ConvertError::tensor(&self.path, weight, what)
    }

    /// What it adds to a weight of that shape, if anything.
    pub fn delta(&self, weight: &str, shape: &[usize]) -> Result<Option<Delta>, ConvertError> {
        let Some((a, b)) = self.pairs.get(weight) else { return Ok(None) };
        let find = |name: &str| -> Result<(&Tensor, Vec<f32>), ConvertError> {
            let tensor = self.shards.tensors().get(name);
            let tensor = tensor.ok_or_else(|| self.bad(name, "is missing"))?;
            let mut numbers = vec![0.0; tensor.shape.iter().product()];
            self.shards.read(name, tensor, 0, &mut numbers)?;
            Ok((tensor, numbers))
        };
        let ((of_a, a), (of_b, b)) = (find(a)?, find(b)?);
        match (shape, of_a.shape.as_slice(), of_b.shape.as_slice()) {
            ([rows, columns], [rank, a_columns], [b_rows, b_rank])
                if rows == b_rows && columns == a_columns && rank == b_rank && *rank > 0 =>
            {
                Ok(Some(Delta { a, b, rank: *rank, scale: self.scale }))
            }
            (_, a, b) => {
                let what = format!(
                    "the adapter's halves {a:?} and {b:?} do not fit the weight {shape:?}; it is of another model"
                );
                Err(self.bad(weight, &what))
            }
        }
    }
}

impl Delta {
    /// Adds to one row of the weight.
    pub fn add(&self, row: usize, to: &mut [f32]) {
        for (rank, b) in self.b[row * self.rank..][..self.rank].iter().enumerate() {
            let factor = self.scale * b;
            let a = &self.a[rank * to.len()..][..to.len()];
            to.iter_mut().zip(a).for_each(|(x, a)| *x += factor * a);
        }
    }
}
