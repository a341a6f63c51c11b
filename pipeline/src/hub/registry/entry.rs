//! One `[[model]]` of `models.toml`: what stands in the list of a model and its files, and what may not contradict itself.

use nearfield_stages::voice::tools::HomeLayout;
use serde::{Deserialize, Serialize};

use crate::hub::cache::{is_commit, is_inner_path, is_repository};
use crate::hub::content_hash::Sha256;

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Speech to text.
    Stt,
    /// Language model.
    Llm,
    /// Text to speech.
    Tts,
    /// Voice activity.
    Vad,
    /// Wake word.
    Wake,
    /// Classifier, detector or embedding of pictures.
    Vision,
    /// Language model together with an encoder of pictures.
    Multimodal,
}

impl Kind {
    /// As it stands in the list.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Stt => "stt",
            Kind::Llm => "llm",
            Kind::Tts => "tts",
            Kind::Vad => "vad",
            Kind::Wake => "wake",
            Kind::Vision => "vision",
            Kind::Multimodal => "multimodal",
        }
    }

    /// As people call it.
    pub fn spoken(self) -> &'static str {
        match self {
            Kind::Stt => "a speech-to-text model",
            Kind::Llm => "a language model",
            Kind::Tts => "a text-to-speech voice",
            Kind::Vad => "a voice-activity model",
            Kind::Wake => "a wake word",
            Kind::Vision => "a vision model",
            Kind::Multimodal => "a multimodal model",
        }
    }
}

/// What one file of a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The weights themselves.
    #[default]
    Model,
    /// The description beside the weights (a Piper voice's JSON).
    Config,
    /// The language model of a multimodal one.
    Language,
    /// The picture encoder of a multimodal one.
    Vision,
    /// The names of a classifier's classes.
    Labels,
    /// What comes before the model: how pictures are prepared, or the spectrogram of sound.
    Preprocessing,
    /// What turns a spectrogram into what a wake word takes.
    Embedding,
    /// The tokenizer, where it is not inside the weights.
    Tokenizer,
}

/// One file of a model, as the list has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Path inside the repository, or beside the list when bundled.
    pub path: String,
    /// Repository on the hub, where it is not the model's.
    pub repository: Option<String>,
    /// Revision there, where it is not the model's.
    pub revision: Option<String>,
    /// What the file is.
    #[serde(default)]
    pub role: Role,
    /// Exact size, where it is known for certain.
    pub bytes: Option<u64>,
    /// Hash of the content, where it is known for certain.
    pub sha256: Option<Sha256>,
    /// A hint for people, in millions of bytes; never checked.
    pub about_mb: Option<u32>,
}

/// What Nearfield sets for a model unless the configuration says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Language models: tokens of context to allocate.
    pub context_tokens: Option<u32>,
    /// Speech to text: the encoder's context is never cut below this many frames (20 ms each).
    pub audio_ctx_min: Option<u32>,
    /// Voices and voice activity: the rate the model works at, in Hz.
    pub sample_rate_hz: Option<u32>,
    /// Vision: edge of the square picture the model takes, in pixels.
    pub image_px: Option<u32>,
}

/// How a model was trained to be prompted. What is absent is what suits any model ([`crate::prompts`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptForm {
    /// The system text of the voice assistant.
    pub voice_system: Option<String>,
    /// How the home's state is written after it.
    pub home: Option<HomeLayout>,
    /// The system text of captions.
    pub caption_system: Option<String>,
    /// Their question, with `{picture}` in it.
    pub caption_question: Option<String>,
    /// The control token before a picture's words, which are given as embeddings or tokens after it; without one as text.
    pub picture_token: Option<String>,
    /// The system text of reports.
    pub report_system: Option<String>,
}

/// One model of the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What the user types.
    pub name: String,
    /// Shorter names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What it does.
    pub kind: Kind,
    /// Licence of the weights.
    pub licence: String,
    /// Whether its files come with Nearfield.
    #[serde(default)]
    pub bundled: bool,
    /// Repository on the hub; not for bundled models.
    pub repository: Option<String>,
    /// Branch, tag or commit there; `main` when absent.
    pub revision: Option<String>,
    /// Its files; the first is the model itself.
    pub files: Vec<ModelFile>,
    /// Languages (BCP 47), or `multilingual`.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Parameters, in millions.
    pub parameters_m: Option<f64>,
    /// Tokens of context that it was trained for.
    pub context: Option<u32>,
    /// For which board and task, in a line.
    pub good_for: String,
    /// What else there is to know.
    pub notes: Option<String>,
    /// What Nearfield sets for it.
    #[serde(default)]
    pub settings: Settings,
    /// How it was trained to be prompted.
    #[serde(default)]
    pub prompt: PromptForm,
}

impl Model {
    /// Whether it has this name, or this shorter one.
    pub fn is_named(&self, name: &str) -> bool {
        self.names().any(|n| n == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Repository and revision of one of its files; `None` when bundled.
    pub fn origin<'a>(&'a self, file: &'a ModelFile) -> Option<(&'a str, &'a str)> {
        let repository = file.repository.as_deref().or(self.repository.as_deref())?;
        Some((repository, file.revision.as_deref().or(self.revision.as_deref()).unwrap_or("main")))
    }
}

pub(super) fn contradiction(model: &Model) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if model.names().any(|name| name.is_empty() || !name.chars().all(plain) || name.starts_with(['.', '-'])) {
        return Some(
            "name, aliases: letters, digits, '.', '_' and '-' are accepted, and the first is a letter or digit".into(),
        );
    }
    if model.files.is_empty() {
        return Some("files: names no file; at least one is needed".into());
    }
    for file in &model.files {
        if !is_inner_path(&file.path) {
            return Some(format!("files.path: {:?} is not a plain relative path", file.path));
        }
        if model.bundled {
            if file.sha256.is_none() || file.bytes.is_none() {
                return Some(format!("files: {} is bundled and must have both bytes and sha256", file.path));
            }
            if file.repository.is_some() || model.repository.is_some() {
                return Some("repository: a bundled model has none".into());
            }
            continue;
        }
        let Some((repository, revision)) = model.origin(file) else {
            return Some(format!("repository: is missing for {} (or write bundled = true)", file.path));
        };
        if !is_repository(repository) {
            return Some(format!("repository: {repository:?} is not of the form ORG/NAME"));
        }
        if !is_commit(revision) && !is_inner_path(revision) {
            return Some(format!("revision: {revision:?} is not a branch, tag or commit"));
        }
    }
    None
}
