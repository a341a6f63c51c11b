//! `run.toml`: the server.

use std::path::{Path, PathBuf};

use nearfield_base::range::in_range;
use nearfield_home::Policy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flows::{self, CaptionFlow, ReportFlow, VoiceFlow};
use super::wake::one_or_more;
use crate::config::{
    Config, ConversationConfig, EmbeddingsConfig, HomeConfig, LlmConfig, PromptConfig, RemoteConfig, SttConfig,
    TtsConfig, VoiceConfig, WrongPart,
};

/// The whole of `run.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Where the server listens, who may ask, and how much at a time.
    pub server: ServerConfig,
    /// Speech to text.
    pub stt: SttConfig,
    /// The language model.
    pub llm: LlmConfig,
    /// The model that turns texts into vectors, for `/v1/embeddings`.
    pub embeddings: EmbeddingsConfig,
    /// The system text of the language model for questions to the home; other clients bring their own.
    pub prompt: PromptConfig,
    /// What is kept of a conversation.
    pub conversation: ConversationConfig,
    /// A remote language model for questions to the home that the local one should not answer.
    pub remote: RemoteConfig,
    /// Text to speech.
    pub tts: TtsConfig,
    /// The home, for `/v1/ask` and for Wyoming's `handle`.
    pub home: HomeConfig,
    /// Voices beside the server. Each may have all keys of `voice.toml` too, as in `listen.device = "USB"`; what it leaves out it has from
    /// the tables above.
    pub voice: Vec<VoiceFlow>,
    /// Cameras beside the server. Each may have all keys of `caption.toml` too, as in `source.fps = 5.0`; `[llm]` it has from above.
    pub caption: Vec<CaptionFlow>,
    /// Reports beside the server. Each may have all keys of `report.toml` too, as in `window.length = "1h"`; `[llm]` it has from above.
    /// Readings are kept in a store named after the flow in Nearfield's data folder, unless `store.file` says otherwise.
    pub report: Vec<ReportFlow>,
}

/// The network side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// The address for HTTP; port 0 takes a free one. Anything but this machine itself (127.0.0.1, ::1) needs `token_file`.
    pub listen: String,
    /// The address for Wyoming, such as "127.0.0.1:10300"; empty: none. Wyoming has no tokens, so outside of this machine it needs
    /// `wyoming_open`.
    pub wyoming: String,
    /// The words that Wyoming's `detect` listens for: names from `nearfield models list`, such as "hey jarvis", or paths of openWakeWord
    /// classifiers (ONNX). One may stand without brackets.
    #[serde(deserialize_with = "one_or_more")]
    pub wake: Vec<String>,
    /// The score from which a wake word counts as said.
    pub wake_threshold: f32,
    /// Whether Wyoming may listen where other machines reach it: whoever does can speak, transcribe and command the home.
    pub wyoming_open: bool,
    /// A file with the token that clients must send as `Authorization: Bearer …`; empty: none.
    pub token_file: PathBuf,
    /// A file with the certificate (PEM, with its chain) by which HTTP is encrypted; empty: HTTP is not. It is read again when it changes.
    pub tls_certificate: PathBuf,
    /// The file with the certificate's private key (PEM, without a password).
    pub tls_key: PathBuf,
    /// Names by which clients may call this machine, besides addresses and localhost. A web page whose name is pointed at this machine
    /// is refused by the others.
    pub hosts: Vec<String>,
    /// Other names by which clients may ask for the language model, such as "gpt-4o-mini".
    pub aliases: Vec<String>,
    /// Conversations that are kept in the model's cache, and so the most requests that are answered at a time.
    pub sessions: usize,
    /// Requests that may wait for one of these; more are refused.
    pub waiting: usize,
    /// Conversations by voice over WebSockets (`/v1/realtime`) at a time; each has a recognizer and a voice of its own. 0: none.
    pub realtime: usize,
    /// The most connections.
    pub connections: usize,
    /// The largest request, in KiB; sound counts too.
    pub most_kib: usize,
    /// The longest that one answer may take, in seconds.
    pub most_seconds: u64,
    /// Whether an answer in a conversation ends where it repeats the same passage word for word, as small models do without end; what stood
    /// before is given, with the reason "stop". Continued texts (`/v1/completions`, `/completion`, `raw`) never end so.
    pub end_loops: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8642".to_owned(),
            wyoming: String::new(),
            wake: Vec::new(),
            wake_threshold: 0.5,
            wyoming_open: false,
            token_file: PathBuf::new(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            hosts: Vec::new(),
            aliases: Vec::new(),
            sessions: 4,
            waiting: 16,
            realtime: 2,
            connections: 64,
            most_kib: 32 * 1024,
            most_seconds: 600,
            end_loops: true,
        }
    }
}

impl ServerConfig {
    fn check(&self) -> Result<(), String> {
        in_range("wake_threshold", self.wake_threshold, 0.01..=1.0)?;
        in_range("sessions", self.sessions, 1..=64)?;
        in_range("waiting", self.waiting, 0..=1024)?;
        in_range("realtime", self.realtime, 0..=16)?;
        in_range("connections", self.connections, 1..=4096)?;
        in_range("most_kib", self.most_kib, 1..=1 << 20)?;
        in_range("most_seconds", self.most_seconds, 1..=86_400)
    }
}

impl RunConfig {
    /// What it says of the server alone.
    pub fn without_flows(&self) -> Self {
        Self { voice: Vec::new(), caption: Vec::new(), report: Vec::new(), ..self.clone() }
    }

    /// What loads the models and the home, as for a voice.
    pub fn voice(&self) -> VoiceConfig {
        VoiceConfig {
            stt: self.stt.clone(),
            llm: self.llm.clone(),
            prompt: self.prompt.clone(),
            conversation: self.conversation.clone(),
            remote: self.remote.clone(),
            tts: self.tts.clone(),
            home: self.home.clone(),
            ..VoiceConfig::default()
        }
    }
}

impl Config for RunConfig {
    const MOVED: &'static [(&'static str, &'static str)] = &[];

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let home = &mut self.home;
        vec![
            &mut self.server.token_file,
            &mut self.server.tls_certificate,
            &mut self.server.tls_key,
            &mut home.file,
            &mut home.sentences,
            &mut home.remember,
            &mut home.timers,
            &mut self.remote.key_file,
        ]
    }

    fn misplaced(table: &toml::Table) -> Option<String> {
        let kind = ["voice", "caption", "report"]
            .into_iter()
            .find(|kind| table.get(*kind).is_some_and(toml::Value::is_table))?;
        Some(format!(
            "[{kind}] is a table, and this file takes flows, as in [[{kind}]]; a file of `nearfield {kind}` is for that command"
        ))
    }

    fn check_parts(text: &str) -> Result<(), WrongPart> {
        flows::check_keys(text)
    }

    fn root(&mut self, folder: &Path) {
        for path in self.paths() {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        }
        self.root_flows(folder);
    }

    fn check(&self) -> Result<(), String> {
        self.server.check().map_err(|e| format!("server.{e}"))?;
        self.stt.check().map_err(|e| format!("stt.{e}"))?;
        self.llm.check().map_err(|e| format!("llm.{e}"))?;
        self.embeddings.check().map_err(|e| format!("embeddings.{e}"))?;
        self.remote.check().map_err(|e| format!("remote.{e}"))?;
        self.tts.check().map_err(|e| format!("tts.{e}"))?;
        Policy::new(self.home.policy.clone())?;
        self.flows().map(drop)
    }
}
