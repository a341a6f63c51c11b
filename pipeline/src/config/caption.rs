//! What a user writes into `caption.toml`, and on the command line with `--set`. Read once, checked once, plain data from then
//! on; every key has a default, and `configs/caption.toml` shows all of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield_base::range::in_range;
use nearfield_llm::{CacheType, SamplerOptions};
use nearfield_stages::caption::alerts::AlertRule;
use nearfield_stages::caption::describe::{CAPTION, PICTURE};
use nearfield_stages::mqtt::Version;
use nearfield_vision::{GateOptions, PresenceOptions};
use serde::{Deserialize, Serialize};

use crate::config::report::{MqttConfig, OutletsConfig};
use crate::config::{ConfigError, load};

/// The whole of `caption.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionConfig {
    /// Where pictures come from.
    pub source: SourceConfig,
    /// What looks at them.
    pub vision: VisionConfig,
    /// When a scene has changed.
    pub gate: GateOptions,
    /// What nothing going on looks like.
    pub nominal: NominalConfig,
    /// When something has come or gone.
    pub presence: PresenceOptions,
    /// The language model.
    pub llm: CaptionLlmConfig,
    /// What it is asked.
    pub prompt: PromptConfig,
    /// What becomes a caption.
    pub caption: CaptionRules,
    /// What is printed.
    pub output: OutputConfig,
    /// Other machines that get captions and alerts.
    pub outlets: OutletsConfig,
    /// How the broker is spoken to.
    pub mqtt: BrokerConfig,
    /// Rules that raise an event of their own.
    pub alerts: Vec<AlertRule>,
}

/// `[mqtt]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// "3.1.1" or "5".
    pub version: Version,
    /// The client id; empty: made from the machine and the spool, the same after each restart.
    pub client_id: String,
    /// The user; empty: none.
    pub user: String,
    /// The file that holds the password.
    pub password_file: PathBuf,
    /// Authorities to trust for mqtts, a PEM file; empty: the well-known ones.
    pub ca_file: PathBuf,
    /// How often we say that we are there.
    pub keep_alive_s: u64,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        let MqttConfig { version, user, password_file, ca_file, keep_alive_s, .. } = MqttConfig::default();
        Self { version, client_id: String::new(), user, password_file, ca_file, keep_alive_s }
    }
}

impl BrokerConfig {
    /// The same, for those who subscribe as well.
    pub fn connection(&self) -> MqttConfig {
        let Self { version, client_id, user, password_file, ca_file, keep_alive_s } = self.clone();
        MqttConfig { version, client_id, user, password_file, ca_file, keep_alive_s, ..MqttConfig::default() }
    }
}

/// `[source]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// As `--input`.
    pub input: String,
    /// The name of the camera in the output.
    pub camera: String,
    /// Pictures a second of videos and streams, and the time between still pictures.
    pub fps: f64,
    /// Frames of videos and streams are scaled down to this width; 0: never.
    pub max_width: u32,
    /// Without a picture for so long, a live source has died.
    pub stall_ms: u64,
    /// It is taken up again after so long; the wait doubles each time.
    pub retry_ms: u64,
    /// Up to this.
    pub retry_max_ms: u64,
    /// The ffmpeg program.
    pub ffmpeg: String,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            input: String::new(),
            camera: "camera".to_owned(),
            fps: 10.0,
            max_width: 640,
            stall_ms: 10_000,
            retry_ms: 1000,
            retry_max_ms: 30_000,
            ffmpeg: "ffmpeg".to_owned(),
        }
    }
}

/// `[vision]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VisionConfig {
    /// A model's name, the path of an ONNX file, or "none".
    pub model: String,
    /// Its manifest; empty: the one that belongs to the model, or the file of the same name that ends in .toml.
    pub manifest: PathBuf,
    /// Threads.
    pub threads: usize,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self { model: "see-nano".to_owned(), manifest: PathBuf::new(), threads: 1 }
    }
}

/// `[nominal]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NominalConfig {
    /// A picture in which nothing is going on; empty: none. Relative paths start at the configuration file.
    pub picture: PathBuf,
    /// The caption of such pictures.
    pub caption: String,
}

impl Default for NominalConfig {
    fn default() -> Self {
        Self { picture: PathBuf::new(), caption: "Nothing is going on.".to_owned() }
    }
}

/// `[llm]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionLlmConfig {
    /// A model's name, or the path of a GGUF file.
    pub model: String,
    /// Tokens that the cache has room for; 0: 512, or more where soft tokens need it.
    pub context_tokens: usize,
    /// How keys and values are kept: "f16" or "q8_0".
    pub cache: CacheType,
    /// Threads; 0: chosen from the cores.
    pub threads: usize,
    /// The longest caption.
    pub max_caption_tokens: usize,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
}

impl Default for CaptionLlmConfig {
    fn default() -> Self {
        Self {
            model: "talk-nano".to_owned(),
            context_tokens: 0,
            cache: CacheType::F16,
            threads: 0,
            max_caption_tokens: 64,
            sampler: SamplerOptions::default(),
        }
    }
}

/// `[prompt]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptConfig {
    /// The system text.
    pub system: String,
    /// The question; `{picture}` stands for the picture.
    pub question: String,
    /// Whether the language model is asked first if the earlier caption still holds.
    pub second_opinion: bool,
    /// That question; `{caption}` stands for the earlier caption.
    pub second_question: String,
    /// How the answer begins if it does.
    pub yes: String,
    /// And if it does not.
    pub no: String,
    /// By how much "yes" must be likelier, in logits.
    pub margin: f32,
}

impl Default for PromptConfig {
    fn default() -> Self {
        Self {
            system: "You describe pictures in one sentence.".to_owned(),
            question: "{picture}\nWhat do you see?".to_owned(),
            second_opinion: false,
            second_question: "{picture}\nIs this right: {caption}".to_owned(),
            yes: "Yes".to_owned(),
            no: "No".to_owned(),
            margin: 0.0,
        }
    }
}

/// `[caption]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionRules {
    /// Captions are written by a rule from what the vision model found, not by the language model.
    pub by_rule: bool,
    /// A caption of the language model's that does not name what was found gives way to the rule's.
    pub must_name: bool,
}

impl Default for CaptionRules {
    fn default() -> Self {
        Self { by_rule: false, must_name: true }
    }
}

/// `[output]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// A line for each picture, also where nothing changed.
    pub all: bool,
    /// As `--every`; 0: only changes.
    pub every_s: f64,
    /// A JSON schema that the language model's captions must fit; empty: free text. Relative paths start at the configuration file.
    pub schema: PathBuf,
}

impl SourceConfig {
    /// The time between two pictures.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.fps)
    }
}

impl CaptionConfig {
    /// Reads `path` (or starts from the defaults), then applies each `key=value` of `sets`.
    ///
    /// # Errors
    /// A file that can't be read, a key that is unknown, a value of the wrong type or out of range; each with its place.
    pub fn load(path: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        load(path, sets, Self::resolve, Self::check)
    }

    /// Relative paths in a file start at the file.
    fn resolve(&mut self, folder: &Path) {
        for file in [
            &mut self.nominal.picture,
            &mut self.vision.manifest,
            &mut self.output.schema,
            &mut self.mqtt.password_file,
            &mut self.mqtt.ca_file,
            &mut self.outlets.webhook_token_file,
            &mut self.outlets.spool,
        ] {
            if !file.as_os_str().is_empty() {
                *file = folder.join(&file);
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        in_range("source.fps", self.source.fps, 0.001..=1000.0)?;
        in_range("source.max_width", self.source.max_width, 0..=16_384)?;
        in_range("source.stall_ms", self.source.stall_ms, 10..=86_400_000)?;
        in_range("source.retry_ms", self.source.retry_ms, 1..=86_400_000)?;
        in_range("source.retry_max_ms", self.source.retry_max_ms, 1..=86_400_000)?;
        in_range("vision.threads", self.vision.threads, 1..=256)?;
        in_range("llm.threads", self.llm.threads, 0..=256)?;
        in_range("llm.max_caption_tokens", self.llm.max_caption_tokens, 1..=4096)?;
        self.llm.sampler.check().map_err(|e| format!("llm.sampler.{e}"))?;
        in_range("prompt.margin", self.prompt.margin, -1000.0..=1000.0)?;
        in_range("mqtt.keep_alive_s", self.mqtt.keep_alive_s, 1..=3600)?;
        self.outlets.check().map_err(|e| format!("outlets.{e}"))?;
        in_range("output.every_s", self.output.every_s, 0.0..=1e9)?;
        let context = self.llm.context_tokens;
        if context != 0 && !(64..=1 << 20).contains(&context) {
            return Err(format!("llm.context_tokens is {context} but must be 0 or from 64 to 1048576"));
        }
        if !self.prompt.question.contains(PICTURE) {
            return Err(format!("prompt.question must hold {PICTURE}, where the picture goes"));
        }
        if self.prompt.second_opinion
            && !(self.prompt.second_question.contains(PICTURE) && self.prompt.second_question.contains(CAPTION))
        {
            return Err(format!("prompt.second_question must hold {PICTURE} and {CAPTION}"));
        }
        if self.prompt.second_opinion && (self.prompt.yes.is_empty() || self.prompt.no.is_empty()) {
            return Err("prompt.yes and prompt.no must not be empty".to_owned());
        }
        self.gate.check().map_err(|e| format!("gate.{e}"))?;
        self.presence.check().map_err(|e| format!("presence.{e}"))?;
        self.alerts.iter().try_for_each(AlertRule::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_is_the_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/caption.toml");
        let shipped = CaptionConfig::load(Some(&path), &[]).unwrap();
        assert_eq!(shipped, CaptionConfig { alerts: shipped.alerts.clone(), ..CaptionConfig::default() });
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let wrong = |set: &str| CaptionConfig::load(None, &[set.to_owned()]).unwrap_err().to_string();
        for (set, words) in [
            ("gate.change_below=2", ["gate", "cosines"]),
            ("gate.change_below=0.99", ["calm_above", "0.99"]),
            ("prompt.question=What?", ["prompt.question", "{picture}"]),
            ("source.fps=0", ["source.fps is 0", "0.001"]),
            ("vision.modle=x", ["modle", "`model`"]),
            ("alerts=[{name=\"x\"}]", ["the alert x", "words or objects"]),
        ] {
            let message = wrong(set);
            assert!(words.iter().all(|w| message.contains(w)), "{set}: {message}");
        }
    }
}
