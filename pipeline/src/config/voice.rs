//! `voice.toml`: the voice assistant.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nearfield_base::range::in_range;
use nearfield_home::{Policy, Rule};
use nearfield_stages::voice::tools::{CommandTool, MAX_TIMEOUT_MS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{
    Config, ConversationConfig, LatencyConfig, ListenConfig, LlmConfig, PlayConfig, PromptConfig, RemoteConfig,
    SttConfig, TtsConfig, TurnConfig, WakeConfig,
};

/// The whole of `voice.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VoiceConfig {
    /// The microphone.
    pub listen: ListenConfig,
    /// The words before which nobody is listened to.
    pub wake: WakeConfig,
    /// When a speaker who pauses has finished.
    pub turn: TurnConfig,
    /// Speech to text.
    pub stt: SttConfig,
    /// The language model.
    pub llm: LlmConfig,
    /// The system text of the language model.
    pub prompt: PromptConfig,
    /// What is kept of a conversation.
    pub conversation: ConversationConfig,
    /// A remote language model for what the local one should not answer. Off unless `when` says otherwise.
    pub remote: RemoteConfig,
    /// Text to speech.
    pub tts: TtsConfig,
    /// The loudspeaker.
    pub play: PlayConfig,
    /// The home.
    pub home: HomeConfig,
    /// The latency budget.
    pub latency: LatencyConfig,
    /// Commands that the model may run. The arguments come as JSON on stdin; a JSON object is expected on stdout. The model reads the
    /// first 1024 tokens of it (fewer where the context is small) and whether that is all; a sentence of the model's that
    /// does not keep to the result is replaced by the values themselves. Other text is spoken as it is: "The tool radio says: …". A
    /// status other than 0, a signal, a time limit, or {"ok": false, "error": "…"} is a failure, and is spoken with its cause.
    pub tools: Vec<CommandTool>,
}

/// The home.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HomeConfig {
    /// The home: an inventory of entities in YAML, or a JSON file of rooms (`assets/home.json` shows its form); empty: no home.
    pub file: PathBuf,
    /// The name of the area of the device that is spoken to: "turn off the light" means the one there.
    pub area: String,
    /// Whether requests that the sentence templates understand surely are done and answered without the language model. The bundled
    /// model answers everything itself in a JSON home of rooms, which it was trained on.
    pub matcher: bool,
    /// A folder of your own sentence templates, or one file, that the matcher knows besides its own (`docs/voice.md`); empty: none.
    pub sentences: PathBuf,
    /// A JSON file for what people ask to be remembered; empty: until the program ends.
    pub remember: PathBuf,
    /// A JSON file of timers, alarms and wishes for later, which then survive a restart of `voice` and `run`; empty: until the program
    /// ends.
    pub timers: PathBuf,
    /// Rules by domain (`lock`, `garage`, `cover`, `alarm_control_panel`, `valve`, ...); without one everything is allowed.
    pub policy: BTreeMap<String, Rule>,
}

impl Default for HomeConfig {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            area: String::new(),
            matcher: true,
            sentences: PathBuf::new(),
            remember: PathBuf::new(),
            timers: PathBuf::new(),
            policy: BTreeMap::new(),
        }
    }
}

impl Config for VoiceConfig {
    const MOVED: &'static [(&'static str, &'static str)] =
        &[("llm.system", "prompt.system"), ("llm.max_reply_tokens", "llm.max_tokens"), ("llm.remote", "remote")];

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let home = &mut self.home;
        vec![&mut home.file, &mut home.sentences, &mut home.remember, &mut home.timers, &mut self.remote.key_file]
    }

    fn check(&self) -> Result<(), String> {
        self.listen.check().map_err(|e| format!("listen.{e}"))?;
        self.wake.check().map_err(|e| format!("wake.{e}"))?;
        self.turn.check().map_err(|e| format!("turn.{e}"))?;
        self.stt.check().map_err(|e| format!("stt.{e}"))?;
        self.llm.check().map_err(|e| format!("llm.{e}"))?;
        self.remote.check().map_err(|e| format!("remote.{e}"))?;
        self.tts.check().map_err(|e| format!("tts.{e}"))?;
        self.play.check().map_err(|e| format!("play.{e}"))?;
        self.latency.check().map_err(|e| format!("latency.{e}"))?;
        Policy::new(self.home.policy.clone())?;
        for tool in &self.tools {
            in_range("timeout_ms", tool.timeout_ms, 1..=MAX_TIMEOUT_MS)
                .map_err(|e| format!("the tool {}: {e}", tool.name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_value_wins_over_the_file() {
        let sets = ["llm.threads=3", "llm.model=other", "llm.sampler.temperature=0.5"].map(str::to_owned);
        let config = VoiceConfig::load(None, &sets).unwrap();
        assert_eq!((config.llm.threads, config.llm.model.as_str()), (3, "other"));
    }
}
