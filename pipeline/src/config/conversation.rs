//! `[conversation]`: what the voice assistant keeps of what was said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConversationConfig {
    /// Whether turns that the context has no room for are replaced by a summary, which is written while nobody speaks, instead of being
    /// dropped. The bundled talk-nano, which knows nothing but homes, drops them.
    pub summary: bool,
}

impl Default for ConversationConfig {
    fn default() -> Self {
        Self { summary: true }
    }
}
