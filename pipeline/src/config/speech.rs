//! `[listen]`, `[stt]`, `[tts]` and `[play]`: speech in and out.

use nearfield_base::range::in_range;
use nearfield_speech::stt::SttOptions;
pub use nearfield_speech::tts::TtsOptions as TtsConfig;
use nearfield_speech::vad::EndpointOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The microphone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// The microphone's id or a part of its name (`nearfield devices`); empty: the default one.
    pub device: String,
    /// Voice activity detection: "earshot" (built in), "silero" (`nearfield models pull silero-vad`), or "auto": Silero if it is
    /// there.
    pub vad: VadKind,
    /// Whether speech interrupts a reply; false where the microphone picks up the loudspeaker.
    pub interrupt: bool,
    /// When an utterance begins and ends.
    pub endpoint: EndpointOptions,
}

/// Which voice-activity model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VadKind {
    /// Silero where its model has been pulled, else earshot.
    Auto,
    /// Earshot, whose weights are in the program.
    Earshot,
    /// Silero's ONNX model.
    Silero,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self { device: String::new(), vad: VadKind::Auto, interrupt: true, endpoint: EndpointOptions::default() }
    }
}

impl ListenConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        self.endpoint.check().map_err(|e| format!("endpoint.{e}"))
    }
}

/// Speech to text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SttConfig {
    /// A name from `nearfield models list`, or the path of a ggml Whisper file.
    pub model: String,
    /// How it is run.
    pub options: SttOptions,
}

impl Default for SttConfig {
    fn default() -> Self {
        Self { model: "hear-nano".to_owned(), options: SttOptions::default() }
    }
}

impl SttConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        self.options.check().map_err(|e| format!("options.{e}"))
    }
}

/// The loudspeaker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlayConfig {
    /// The loudspeaker's id or a part of its name (`nearfield devices`); empty: the default one.
    pub device: String,
}

/// The latency budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyConfig {
    /// From the end of speech to the first audio; a turn that takes longer is marked `over_budget`.
    pub first_audio_ms: u64,
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self { first_audio_ms: 1500 }
    }
}

impl LatencyConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("first_audio_ms", self.first_audio_ms, 1..=3_600_000)
    }
}
