//! `[embeddings]`: the model that turns texts into vectors.

use nearfield_base::range::in_range;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model of `/v1/embeddings`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingsConfig {
    /// The path of a GGUF file: an encoder (all-MiniLM, BGE, nomic-embed) or a language model trained for embeddings (Qwen3-Embedding);
    /// empty: none.
    pub model: String,
    /// Threads; 0: one a core, at most 4.
    pub threads: usize,
}

impl EmbeddingsConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("threads", self.threads, 0..=256)
    }
}
