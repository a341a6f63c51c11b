//! What a model's metadata says about its shape: the families that are supported, and where they differ.

use super::LlmError;
use super::gguf::Gguf;

/// The model families with code here. They share one forward pass; the differences are read off this and off which tensors
/// are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// Llama 2, 3, 3.2, Mistral, TinyLlama, SmolLM2: rotated neighbouring pairs.
    Llama,
    /// Qwen 2 and 2.5: rotated halves, biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: rotated halves, normalised queries and keys.
    Qwen3,
}

const SUPPORTED: [(&str, Architecture); 3] =
    [("llama", Architecture::Llama), ("qwen2", Architecture::Qwen2), ("qwen3", Architecture::Qwen3)];

/// Which numbers of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// (2i, 2i + 1)
    Pairs,
    /// (i, i + rotated / 2)
    Halves,
}

/// The dimensions of a model.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub architecture: Architecture,
    pub n_layers: usize,
    pub d_model: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub d_ffn: usize,
    pub n_vocab: usize,
    pub context_length: usize,
    pub norm_epsilon: f32,
    pub rotation: Rotation,
    /// Radians by which each pair of a head turns from one position to the next: `[rotated / 2]`.
    pub frequencies: Vec<f64>,
    /// How many positions a token sees; `None` for all before it.
    pub window: Option<usize>,
}

impl Architecture {
    pub(crate) fn of(gguf: &Gguf) -> Result<(Architecture, &str), LlmError> {
        let found = gguf.text("general.architecture")?.unwrap_or_default();
        match SUPPORTED.iter().find(|(name, _)| *name == found) {
            Some((name, architecture)) => Ok((*architecture, name)),
            None => Err(LlmError::Architecture {
                path: gguf.path().to_owned(),
                found: found.to_owned(),
                supported: SUPPORTED.iter().map(|(name, _)| *name).collect(),
            }),
        }
    }
}

impl Shape {
    /// Reads and checks the dimensions.
    pub(crate) fn of(gguf: &Gguf) -> Result<Shape, LlmError> {
        let (architecture, name) = Architecture::of(gguf)?;
        let key = |suffix: &str| format!("{name}.{suffix}");
        let need = |suffix: &str, least: u64, most: u64| {
            let key = key(suffix);
            gguf.integer(&key, least, most)?.ok_or_else(|| gguf.bad(&key, "is missing"))
        };
        let n_layers = need("block_count", 1, 1024)?;
        let d_model = need("embedding_length", 1, 1 << 17)?;
        let n_heads = need("attention.head_count", 1, 4096)?;
        let n_kv_heads = gguf.integer(&key("attention.head_count_kv"), 1, 4096)?.unwrap_or(n_heads);
        let d_ffn = need("feed_forward_length", 1, 1 << 20)?;
        let context_length = need("context_length", 1, 1 << 32)?;
        if n_heads % n_kv_heads != 0 {
            return Err(
                gguf.bad(&key("attention.head_count_kv"), format!("{n_kv_heads} does not divide the {n_heads} heads"))
            );
        }
        let widest = nearfield_kernels::KvStore::MOST_HEAD_DIM as u64;
        let head_dim = match gguf.integer(&key("attention.key_length"), 1, widest)? {
            Some(head_dim) => head_dim,
            None if d_model % n_heads == 0 && (d_model / n_heads) as u64 <= widest => d_model / n_heads,
            None => {
                return Err(gguf
                    .bad(&key("attention.head_count"), format!("{n_heads} heads do not share a width of {d_model}")));
            }
        };
        if gguf.integer(&key("attention.value_length"), 1, widest)?.is_some_and(|values| values != head_dim) {
            return Err(gguf.bad(&key("attention.value_length"), "values of another width than keys are not supported"));
        }
        let epsilon_key = key("attention.layer_norm_rms_epsilon");
        let norm_epsilon = gguf.float(&epsilon_key)?.ok_or_else(|| gguf.bad(&epsilon_key, "is missing"))?;
        if !(0.0..1.0).contains(&norm_epsilon) {
            return Err(gguf.bad(&epsilon_key, format!("expected a small positive number, found {norm_epsilon}")));
        }
        let Some(n_vocab) = gguf.tensor("token_embd.weight").and_then(|tensor| tensor.dims.get(1).copied()) else {
            return Err(LlmError::Tensor {
                path: gguf.path().to_owned(),
                tensor: "token_embd.weight".to_owned(),
                what: "is missing, or not a matrix".to_owned(),
            });
        };
        Ok(Shape {
            architecture,
            n_layers,
            d_model,
            n_heads,
            n_kv_heads,
            head_dim,
            d_ffn,
            n_vocab,
            context_length,
            norm_epsilon,
            rotation: if architecture == Architecture::Llama { Rotation::Pairs } else { Rotation::Halves },
            frequencies: frequencies(gguf, name, head_dim)?,
            window: gguf.integer(&key("attention.sliding_window"), 0, 1 << 32)?.filter(|window| *window > 0),
        })
    }
}

/// Radians a position of each rotated pair (Su et al., 2021): `base^(-2i / rotated)`, slowed down as the file says.
fn frequencies(gguf: &Gguf, name: &str, head_dim: usize) -> Result<Vec<f64>, LlmError> {
    let key = |suffix: &str| format!("{name}.{suffix}");
    let rotated = gguf.integer(&key("rope.dimension_count"), 2, head_dim as u64)?.unwrap_or(head_dim) / 2 * 2;
    let base = f64::from(gguf.float(&key("rope.freq_base"))?.unwrap_or(10_000.0));
    if base <= 1.0 {
        return Err(gguf.bad(&key("rope.freq_base"), format!("expected more than 1, found {base}")));
    }
    let linear = match gguf.text(&key("rope.scaling.type"))? {
        None | Some("none") => gguf.float(&key("rope.scale_linear"))?,
        Some("linear") => gguf.float(&key("rope.scaling.factor"))?,
        Some(other) => {
            return Err(
                gguf.bad(&key("rope.scaling.type"), format!("{other:?} is not supported; supported are: none, linear"))
            );
        }
    };
    let linear = linear.unwrap_or(1.0);
    if linear < 1e-3 {
        return Err(gguf.bad(&key("rope.scaling.factor"), format!("expected a positive factor, found {linear}")));
    }
    // Llama 3 writes its scaling as one factor for each pair.
    let factors: Vec<f32> = match gguf.tensor("rope_freqs.weight") {
        None => vec![1.0; rotated / 2],
        Some(tensor) if tensor.kind.name == "F32" && tensor.dims == [rotated / 2] => gguf.bytes()[tensor.range.clone()]
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect(),
        Some(tensor) => {
            return Err(LlmError::Tensor {
                path: gguf.path().to_owned(),
                tensor: "rope_freqs.weight".to_owned(),
                what: format!(
                    "expected {} numbers of F32, found {:?} of {}",
                    rotated / 2,
                    tensor.dims,
                    tensor.kind.name
                ),
            });
        }
    };
    if factors.iter().any(|factor| !factor.is_finite() || *factor < 1e-6) {
        return Err(LlmError::Tensor {
            path: gguf.path().to_owned(),
            tensor: "rope_freqs.weight".to_owned(),
            what: "expected positive factors".to_owned(),
        });
    }
    let exponent = |i: usize| -2.0 * i as f64 / rotated as f64;
    Ok(factors
        .iter()
        .enumerate()
        .map(|(i, factor)| base.powf(exponent(i)) / f64::from(*factor) / f64::from(linear))
        .collect())
}
