//! `[llm]` and `[prompt]`: the language model, alike in every file.

use nearfield_base::range::in_range;
use nearfield_llm::{CacheType, ChatOptions, Dialect, SamplerOptions, Thinking};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The fewest and the most tokens of context.
const CONTEXT_TOKENS: std::ops::RangeInclusive<usize> = 64..=1 << 20;

/// The fewest and the most tokens of a thought.
const MOST_THINKING: std::ops::RangeInclusive<usize> = 1..=8192;

/// The dialect that leaves the choice to Nearfield.
const AUTO: &str = "auto";

/// The language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LlmConfig {
    /// A name from `nearfield models list`, or the path of a GGUF file; for reports also "none": every sentence is computed.
    pub model: String,
    /// The projector file of a model that sees pictures (a GGUF file with "mmproj" in its name); empty: the one that the list names, or
    /// that lies beside the model; "none": the model is shown no pictures.
    pub mmproj: String,
    /// Tokens of context, for the prompt and what is generated; 0: as many as the task and the model need.
    pub context_tokens: usize,
    /// The KV cache: "f16", or "q8_0" for half the memory.
    pub cache: CacheType,
    /// Threads; 0: one a core, at most 4.
    pub threads: usize,
    /// The most tokens generated at a time; 0: 160 for a reply, 64 for a caption, 400 for a report.
    pub max_tokens: usize,
    /// How the model writes tool calls: "auto", as its template and vocabulary show (`nearfield models show NAME` names it), or the
    /// name of a dialect.
    pub dialect: String,
    /// Whether a model that can think before it answers does so: "off", "on", or at most so many tokens (1 to 8192).
    pub thinking: Thinking,
    /// How the next token is chosen.
    pub sampler: SamplerOptions,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            model: "talk-nano".to_owned(),
            mmproj: String::new(),
            context_tokens: 0,
            cache: CacheType::F16,
            threads: 0,
            max_tokens: 0,
            dialect: AUTO.to_owned(),
            thinking: Thinking::Off,
            sampler: SamplerOptions::default(),
        }
    }
}

impl LlmConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        zero_or_in_range("context_tokens", self.context_tokens, CONTEXT_TOKENS)?;
        in_range("threads", self.threads, 0..=256)?;
        in_range("max_tokens", self.max_tokens, 0..=8192)?;
        if self.context_tokens != 0 && self.max_tokens * 2 > self.context_tokens {
            return Err(format!(
                "max_tokens is {} but must be at most half of context_tokens ({})",
                self.max_tokens, self.context_tokens
            ));
        }
        if self.dialect != AUTO && Dialect::named(&self.dialect).is_none() {
            let names: Vec<&str> = Dialect::names().collect();
            return Err(format!("dialect is {:?} but must be \"auto\" or one of {}", self.dialect, names.join(", ")));
        }
        if let Thinking::Tokens(tokens) = self.thinking {
            in_range("thinking", tokens, MOST_THINKING).map_err(|e| format!("{e}; or \"off\" or \"on\""))?;
        }
        self.sampler.check().map_err(|e| format!("sampler.{e}"))
    }

    /// How messages and tool calls are written for the model and read from it.
    pub fn chat_options(&self) -> ChatOptions {
        ChatOptions { dialect: Dialect::named(&self.dialect), thinking: self.thinking }
    }

    /// `max_tokens`, or what is usual for the task where it is left open.
    pub fn max_tokens_or(&self, usual: usize) -> usize {
        if self.max_tokens == 0 { usual } else { self.max_tokens }
    }
}

/// As [`in_range`], for keys whose 0 leaves the choice to Nearfield.
fn zero_or_in_range(key: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> Result<(), String> {
    if value == 0 {
        return Ok(());
    }
    in_range(key, value, range).map_err(|e| e.replace("must be", "must be 0 or"))
}

/// The system text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PromptConfig {
    /// The system text; empty: the model's own from `models.toml`, else one that suits any model.
    pub system: String,
}
