//! What a user writes into `voice.toml`, and on the command line with `--set`.
//!
//! A configuration is read once, refuses keys that it does not know, is checked once, and is plain data from then on.
//! Every key has a default, so an empty file is complete; `configs/voice.toml` shows all of them.

pub mod caption;
pub mod report;

use std::path::{Path, PathBuf};

use nearfield_base::range::in_range;
use nearfield_llm::{CacheType, ChatOptions, Dialect, SamplerOptions, Thinking};
use nearfield_speech::stt::SttOptions;
use nearfield_speech::tts::TtsOptions;
use nearfield_speech::vad::EndpointOptions;
use nearfield_stages::voice::tools::CommandTool;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest configuration file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("the configuration {path} can't be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// It says something wrong.
    #[error("{place}: {reason}")]
    Wrong {
        /// File and line, or the `--set` that it came from.
        place: String,
        /// What is wrong, with what would be right.
        reason: String,
    },
}

/// The whole of `voice.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoiceConfig {
    /// The microphone and the ends of speech.
    pub listen: ListenConfig,
    /// Speech to text.
    pub stt: SttConfig,
    /// The language model.
    pub llm: LlmConfig,
    /// Text to speech.
    pub tts: TtsOptions,
    /// The loudspeaker.
    pub play: PlayConfig,
    /// The home.
    pub home: HomeConfig,
    /// The time that a reply may take.
    pub latency: LatencyConfig,
    /// Commands that the model may run.
    pub tools: Vec<CommandTool>,
}

/// `[listen]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// The microphone's id or a part of its name; empty: the default one.
    pub device: String,
    /// Voice activity by "earshot", "silero", or "auto": Silero where its model is there, else earshot.
    pub vad: VadKind,
    /// Whether speech interrupts a reply. Needs a microphone that does not hear the loudspeaker.
    pub interrupt: bool,
    /// When speech begins and ends.
    pub endpoint: EndpointOptions,
}

/// Which voice-activity model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VadKind {
    /// Silero where its model has been pulled, else earshot.
    Auto,
    /// Earshot, whose weights are in the program.
    Earshot,
    /// Silero's ONNX model.
    Silero,
}

/// `[stt]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SttConfig {
    /// A model's name, or the path of a ggml Whisper file.
    pub model: String,
    /// How it is run.
    pub options: SttOptions,
}

/// `[llm]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LlmConfig {
    /// A model's name, or the path of a GGUF file.
    pub model: String,
    /// The system text; the home's state follows it.
    pub system: String,
    /// Tokens that the cache has room for; 0: what suits the model.
    pub context_tokens: usize,
    /// How keys and values are kept: "f16" or "q8_0".
    pub cache: CacheType,
    /// Threads; 0: chosen from the cores.
    pub threads: usize,
    /// The longest reply.
    pub max_reply_tokens: usize,
    /// How the model writes tool calls: "auto", or one of the names that `nearfield models show` knows.
    pub dialect: String,
    /// Whether a model that can think does: "off", "on", or at most so many tokens.
    pub thinking: Thinking,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
}

impl LlmConfig {
    /// How one talks to the model.
    pub fn chat_options(&self) -> ChatOptions {
        ChatOptions { dialect: Dialect::named(&self.dialect), thinking: self.thinking }
    }
}

/// `[play]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlayConfig {
    /// The loudspeaker's id or a part of its name; empty: the default one.
    pub device: String,
}

/// `[home]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HomeConfig {
    /// The home's state, a JSON file; empty: no home. Relative paths start at the configuration file.
    pub file: PathBuf,
}

/// `[latency]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyConfig {
    /// From the end of speech to the first audio; a turn that takes longer is marked.
    pub first_audio_ms: u64,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self { device: String::new(), vad: VadKind::Auto, interrupt: true, endpoint: EndpointOptions::default() }
    }
}

impl Default for SttConfig {
    fn default() -> Self {
        Self { model: "hear-nano".to_owned(), options: SttOptions::default() }
    }
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            model: "talk-nano".to_owned(),
            system: "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.".to_owned(),
            context_tokens: 0,
            cache: CacheType::F16,
            threads: 0,
            max_reply_tokens: 160,
            dialect: "auto".to_owned(),
            thinking: Thinking::Off,
            sampler: SamplerOptions::default(),
        }
    }
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self { first_audio_ms: 1500 }
    }
}

impl VoiceConfig {
    /// Reads `path` (or starts from the defaults), then applies each `key=value` of `sets`.
    ///
    /// # Errors
    /// A file that can't be read, a key that is unknown, a value of the wrong type or out of range; each with its place.
    pub fn load(path: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        let resolve = |config: &mut Self, folder: &Path| {
            if !config.home.file.as_os_str().is_empty() {
                config.home.file = folder.join(&config.home.file);
            }
        };
        load(path, sets, resolve, Self::check)
    }

    fn check(&self) -> Result<(), String> {
        let llm = &self.llm;
        if llm.context_tokens != 0 {
            in_range("llm.context_tokens", llm.context_tokens, 64..=1 << 20)
                .map_err(|e| e.replace("must be", "must be 0 or"))?;
        }
        in_range("llm.max_reply_tokens", llm.max_reply_tokens, 1..=8192)?;
        if llm.context_tokens != 0 && llm.max_reply_tokens * 2 > llm.context_tokens {
            return Err(format!(
                "llm.max_reply_tokens is {} but must be at most half of llm.context_tokens ({})",
                llm.max_reply_tokens, llm.context_tokens
            ));
        }
        in_range("llm.threads", llm.threads, 0..=256)?;
        if llm.dialect != "auto" && Dialect::named(&llm.dialect).is_none() {
            let names: Vec<&str> = Dialect::names().collect();
            return Err(format!(
                "llm.dialect is {:?} but must be \"auto\" or one of {}",
                llm.dialect,
                names.join(", ")
            ));
        }
        llm.sampler.check().map_err(|e| format!("llm.sampler.{e}"))?;
        self.stt.options.check().map_err(|e| format!("stt.options.{e}"))?;
        self.tts.check().map_err(|e| format!("tts.{e}"))?;
        in_range("latency.first_audio_ms", self.latency.first_audio_ms, 1..=3_600_000)?;
        for tool in &self.tools {
            in_range("timeout_ms", tool.timeout_ms, 1..=86_400_000)
                .map_err(|e| format!("the tool {}: {e}", tool.name))?;
        }
        self.listen.endpoint.check().map_err(|e| format!("listen.endpoint: {e}"))
    }
}

/// A configuration from `path` (or its defaults), whose relative paths `resolve` has start at the file's folder, with each
/// `key=value` of `sets` changed, and checked.
pub(crate) fn load<T: Default + Serialize + DeserializeOwned>(
    path: Option<&Path>,
    sets: &[String],
    resolve: impl FnOnce(&mut T, &Path),
    check: impl FnOnce(&T) -> Result<(), String>,
) -> Result<T, ConfigError> {
    let mut config = T::default();
    if let Some(path) = path {
        let text = read(path)?;
        config = toml::from_str(&text).map_err(|e| located(path, &text, &e))?;
        resolve(&mut config, path.parent().unwrap_or(Path::new("")));
    }
    for set in sets {
        config = with_key(&config, set)?;
    }
    check(&config).map_err(|reason| {
        // The last one given is the one that counts.
        let is_named = |set: &&String| set.split_once('=').is_some_and(|(key, _)| reason.contains(key.trim()));
        let place = match (sets.iter().rev().find(is_named), path) {
            (Some(set), _) => format!("--set {set}"),
            (None, Some(path)) => path.display().to_string(),
            (None, None) => "the configuration".to_owned(),
        };
        ConfigError::Wrong { place, reason }
    })?;
    Ok(config)
}

/// A configuration with `key.key=value` changed; a value that is no TOML is taken as a string.
///
/// # Errors
/// The key is unknown, or the value of the wrong type.
fn with_key<T: Serialize + DeserializeOwned>(config: &T, set: &str) -> Result<T, ConfigError> {
    let wrong = |reason: String| ConfigError::Wrong { place: format!("--set {set}"), reason };
    let (key, value) = set.split_once('=').ok_or_else(|| wrong("write it as key=value, as in llm.threads=2".into()))?;
    let keys: Vec<&str> = key.trim().split('.').collect();
    let value = format!("v={value}").parse::<toml::Table>().map_or_else(
        |_| toml::Value::String(value.to_owned()),
        |mut t| t.remove("v").expect("the table has just been parsed from this key"),
    );
    let mut table = toml::Table::try_from(config).map_err(|e| wrong(e.to_string()))?;
    let (last, parents) = keys.split_last().expect("splitting gives at least one part");
    let mut place = &mut table;
    for parent in parents {
        place = place
            .entry(*parent)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .ok_or_else(|| wrong(format!("{parent} is a value and has no keys")))?;
    }
    place.insert((*last).to_owned(), value);
    table.try_into().map_err(|e: toml::de::Error| wrong(e.message().to_owned()))
}

/// The text of a configuration file.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let metadata = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(unreadable("it is no file of at most 1 MiB".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))
}

/// What the TOML parser says, with file and line.
pub(crate) fn located(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    };
    ConfigError::Wrong { place, reason: error.message().replace('\n', " ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str, sets: &[&str]) -> String {
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), text).unwrap();
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        VoiceConfig::load(Some(file.path()), &sets).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_configuration_is_the_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/voice.toml");
        let mut shipped = VoiceConfig::load(Some(&path), &[]).unwrap();
        shipped.home.file = PathBuf::new();
        assert_eq!(shipped, VoiceConfig { tools: shipped.tools.clone(), ..VoiceConfig::default() });
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_known_ones() {
        let message = wrong("[llm]\nmodle = \"x\"\n", &[]);
        assert!(message.contains(":2") && message.contains("modle") && message.contains("`model`"), "{message}");
    }

    #[test]
    fn a_wrong_value_is_named_with_what_would_be_right() {
        let message = wrong("[llm]\ncontext_tokens = \"many\"\n", &[]);
        assert!(message.contains(":2") && message.contains("many"), "{message}");
        let message = wrong("[llm]\ncontext_tokens = 3\n", &[]);
        assert!(message.contains("llm.context_tokens is 3") && message.contains("64"), "{message}");
        let message = wrong("", &["listen.vad=loud"]);
        assert!(message.contains("--set listen.vad=loud") && message.contains("earshot"), "{message}");
        let message = wrong("", &["llm.threads"]);
        assert!(message.contains("key=value"), "{message}");
        let message = wrong("", &["llm.threads.x=1"]);
        assert!(message.contains("has no keys"), "{message}");
    }

    #[test]
    fn a_set_value_wins_over_the_file() {
        let sets = ["llm.threads=3", "llm.model=other", "llm.sampler.temperature=0.5"].map(str::to_owned);
        let config = VoiceConfig::load(None, &sets).unwrap();
        assert_eq!((config.llm.threads, config.llm.model.as_str()), (3, "other"));
    }
}
