//! What a model's metadata says about its shape: the families that are supported, and where they differ.

use super::LlmError;
use super::positions::Rope;
use nearfield_gguf::Gguf;

/// The model families with code here. They share one forward pass; the differences are read off the [`Shape`] and off which
/// tensors are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// Llama 2, 3, 3.2, Mistral, TinyLlama, SmolLM2: rotated neighbouring pairs.
    Llama,
    /// Qwen 2 and 2.5: rotated halves, biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: rotated halves, normalised queries and keys.
    Qwen3,
    /// Phi-2: layer normalisation, attention and the other half of a block side by side, a part of each head rotated.
    Phi2,
    /// Phi-3, 3.5 and 4: queries, keys and values in one tensor, gate and up in another.
    Phi3,
    /// Gemma 3 (text): normalised after each half of a block too, most layers see a window only.
    Gemma3,
}

const SUPPORTED: [(&str, Architecture); 6] = [
    ("llama", Architecture::Llama),
    ("qwen2", Architecture::Qwen2),
    ("qwen3", Architecture::Qwen3),
    ("phi2", Architecture::Phi2),
    ("phi3", Architecture::Phi3),
    ("gemma3", Architecture::Gemma3),
];

/// How rows are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Normalisation {
    /// By the root of the mean square.
    RootMeanSquare,
    /// To mean 0 and deviation 1, with a bias.
    Layer,
}

/// What stands between the two matrices of a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `silu(gate) * up`
    Swiglu,
    /// `gelu(gate) * up`
    Geglu,
    /// `gelu(up)`: there is no gate.
    Gelu,
}

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
    pub normalisation: Normalisation,
    pub norm_epsilon: f32,
    pub activation: Activation,
    pub rotation: Rotation,
    pub rope: Rope,
    /// What a look-up of an embedding is multiplied by.
    pub embedding_scale: f32,
    /// What the product of a query and a key is multiplied by.
    pub attention_scale: f32,
    /// `cap * tanh(logit / cap)`, where the file asks for it.
    pub logit_cap: Option<f32>,
    /// Which layers see a window, and how they count positions.
    pub windows: Option<Windows>,
}

/// The layers that see the last few positions only.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    /// How many positions such a layer sees, the token's own included.
    pub size: usize,
    /// Every so many layers one sees all; 0 when none does.
    pub period: usize,
    /// Their own angles, where they differ from the others'.
    pub rope: Option<Rope>,
}

impl Windows {
    /// Whether this layer sees a window only.
    pub(crate) fn covers(&self, layer: usize) -> bool {
        self.period == 0 || layer % self.period < self.period - 1
    }
}

impl Architecture {
    pub(crate) fn of(gguf: &Gguf) -> Result<(Architecture, &str), LlmError> {
        let found = gguf.text("general.architecture")?.unwrap_or_default();
        match SUPPORTED.iter().find(|(name, _)| *name == found) {
            Some((name, architecture)) => Ok((*architecture, name)),
            None => Err(LlmError::Architecture {
                path: gguf.path().to_owned(),
                found: found.chars().take(64).collect(),
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
            gguf.integer(&key, least, most)?.ok_or_else(|| LlmError::metadata(gguf, &key, "is missing"))
        };
        let n_layers = need("block_count", 1, 1024)?;
        let d_model = need("embedding_length", 1, 1 << 17)?;
        let n_heads = need("attention.head_count", 1, 4096)?;
        let n_kv_heads = gguf.integer(&key("attention.head_count_kv"), 1, 4096)?.unwrap_or(n_heads);
        let d_ffn = need("feed_forward_length", 1, 1 << 20)?;
        let context_length = need("context_length", 1, 1 << 32)?;
        if n_heads % n_kv_heads != 0 {
            return Err(LlmError::metadata(
                gguf,
                &key("attention.head_count_kv"),
                format!("{n_kv_heads} does not divide the {n_heads} heads"),
            ));
        }
        let widest = nearfield_kernels::KvStore::MOST_HEAD_DIM as u64;
        let head_dim = match gguf.integer(&key("attention.key_length"), 1, widest)? {
            Some(head_dim) => head_dim,
            None if d_model % n_heads == 0 && (d_model / n_heads) as u64 <= widest => d_model / n_heads,
            None => {
                return Err(LlmError::metadata(
                    gguf,
                    &key("attention.head_count"),
                    format!("{n_heads} heads do not share a width of {d_model}"),
                ));
            }
        };
        if gguf.integer(&key("attention.value_length"), 1, widest)?.is_some_and(|values| values != head_dim) {
            return Err(LlmError::metadata(
                gguf,
                &key("attention.value_length"),
                "values of another width than keys are not supported",
            ));
        }
        let normalisation = match architecture {
            Architecture::Phi2 => Normalisation::Layer,
            _ => Normalisation::RootMeanSquare,
        };
        let epsilon_key = key(match normalisation {
            Normalisation::Layer => "attention.layer_norm_epsilon",
            Normalisation::RootMeanSquare => "attention.layer_norm_rms_epsilon",
        });
        let norm_epsilon =
            gguf.float(&epsilon_key)?.ok_or_else(|| LlmError::metadata(gguf, &epsilon_key, "is missing"))?;
        if !(0.0..1.0).contains(&norm_epsilon) {
            return Err(LlmError::metadata(
                gguf,
                &epsilon_key,
                format!("expected a small positive number, found {norm_epsilon}"),
            ));
        }
        let Some(n_vocab) = gguf.tensor("token_embd.weight").and_then(|tensor| tensor.dims.get(1).copied()) else {
            return Err(LlmError::Tensor {
                path: gguf.path().to_owned(),
                tensor: "token_embd.weight".to_owned(),
                what: "is missing, or not a matrix".to_owned(),
            });
        };
        let window = gguf.integer(&key("attention.sliding_window"), 0, 1 << 32)?.filter(|window| *window > 0);
        let windows = match (window, architecture) {
            (None, _) => None,
            (Some(size), Architecture::Gemma3) => Some(Windows {
                size,
                period: gguf.integer(&key("attention.sliding_window_pattern"), 1, 1024)?.unwrap_or(6),
                rope: Some(Rope::local(gguf, name, head_dim)?),
            }),
            (Some(size), _) => Some(Windows { size, period: 0, rope: None }),
        };
        let attention_scale = match gguf.float(&key("attention.scale"))? {
            Some(scale) if scale > 0.0 => scale,
            // The 27B model scales by the width that its heads would have if they shared d_model.
            _ if architecture == Architecture::Gemma3 && n_layers == 62 => ((d_model / n_heads) as f32).powf(-0.5),
            _ => 1.0 / (head_dim as f32).sqrt(),
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
            normalisation,
            norm_epsilon,
            activation: match architecture {
                Architecture::Phi2 => Activation::Gelu,
                Architecture::Gemma3 => Activation::Geglu,
                _ => Activation::Swiglu,
            },
            rotation: if architecture == Architecture::Llama { Rotation::Pairs } else { Rotation::Halves },
            rope: Rope::of(gguf, name, head_dim, context_length)?,
            embedding_scale: if architecture == Architecture::Gemma3 { (d_model as f32).sqrt() } else { 1.0 },
            attention_scale,
            logit_cap: gguf.float(&key("final_logit_softcapping"))?.filter(|cap| *cap > 0.0),
            windows,
        })
    }
}
