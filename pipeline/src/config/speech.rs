//! `[listen]`, `[stt]`, `[tts]` and `[play]`: speech in and out.

use nearfield_base::range::in_range;
use nearfield_speech::stt::SttOptions;
pub use nearfield_speech::tts::TtsOptions as TtsConfig;
use nearfield_speech::turn::TurnEndOptions;
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
    /// Whether speech interrupts a reply; false where the microphone picks up the loudspeaker and `echo` does not help. A wake word
    /// interrupts in any case.
    pub interrupt: bool,
    /// Whether a reply goes on where it stopped after somebody coughed, said "mhm" or "okay", or asked it to wait; false: whatever is
    /// said ends it. Needs `interrupt`, and `turn.decide = "content"`.
    pub resume: bool,
    /// Echo cancellation, which subtracts the loudspeaker's sound from the microphone's: "on", "off", or "auto": on, unless
    /// the microphone's name says that its echo is cancelled already.
    pub echo: EchoMode,
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

/// Whether the echo of the loudspeaker is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EchoMode {
    /// Unless the microphone's name says that it is already.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl EchoMode {
    /// Whether the echo in this microphone is to be cancelled. A name such as "Echo-Cancel Source" is that of a sound server's own canceller.
    pub fn cancels(self, microphone: Option<&str>) -> bool {
        let says = |name: &str| {
            let name = name.to_lowercase();
            name.contains("echo") && name.contains("cancel")
        };
        match self {
            Self::Auto => !microphone.is_some_and(says),
            Self::On => true,
            Self::Off => false,
        }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            device: String::new(),
            vad: VadKind::Auto,
            interrupt: true,
            resume: true,
            echo: EchoMode::Off,
            endpoint: EndpointOptions::default(),
        }
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

/// When a speaker who pauses has finished.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TurnConfig {
    /// What ends a turn: "content", a silence between `sure_ms` and `unsure_ms` by how complete it sounds and reads, or "silence",
    /// `listen.endpoint.end_silence_ms` whatever was said.
    pub decide: Decide,
    /// The model that tells from the sound whether a turn is complete: "auto", Smart Turn if it is there (`nearfield models pull smart-turn`);
    /// "none"; or the path of its ONNX file. The words count in any case.
    pub model: String,
    /// The silence after a turn that is surely complete.
    pub sure_ms: u32,
    /// The longest silence, after a turn that seems to break off.
    pub unsure_ms: u32,
    /// Whether the reply is begun while it is not yet sure that the turn is over: nobody hears it, no tool is called, and it is
    /// dropped when the speaker goes on.
    pub ahead: bool,
}

/// What ends a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decide {
    /// How complete it sounds and reads.
    Content,
    /// A fixed silence.
    Silence,
}

impl Default for TurnConfig {
    fn default() -> Self {
        let TurnEndOptions { sure_ms, unsure_ms } = TurnEndOptions::default();
        Self { decide: Decide::Content, model: "auto".to_owned(), sure_ms, unsure_ms, ahead: true }
    }
}

impl TurnConfig {
    /// The silences.
    pub fn options(&self) -> TurnEndOptions {
        TurnEndOptions { sure_ms: self.sure_ms, unsure_ms: self.unsure_ms }
    }

    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("sure_ms", self.sure_ms, 50..=10_000)?;
        in_range("unsure_ms", self.unsure_ms, self.sure_ms..=10_000)
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlayConfig {
    /// The loudspeaker's id or a part of its name (`nearfield devices`); empty: the default one.
    pub device: String,
    /// How loud it speaks, in per cent of what the loudspeaker is set to, 10 to 100. "Louder", "quieter" and "set your volume to 40 percent"
    /// change it until the program ends.
    pub volume: u32,
    /// What a model writes at length is said up to the end of a sentence after so many seconds; then it asks whether to go on. A question that
    /// wants a long answer, or details, gets all of it. 0: always all of it.
    pub longest_s: u32,
}

impl Default for PlayConfig {
    fn default() -> Self {
        Self { device: String::new(), volume: 100, longest_s: 20 }
    }
}

impl PlayConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("volume", self.volume, 10..=100)?;
        in_range("longest_s", self.longest_s, 0..=3600)
    }
}

/// The latency budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyConfig {
    /// From the end of speech to the first audio; a turn that takes longer is marked `over_budget`. From what the stages usually take on
    /// this machine it is foreseen whether that will hold; where not, first clauses are shorter, speech is transcribed in a shorter
    /// context if that makes the difference, and the filler is said. The turn's report says so under `budget`.
    pub first_audio_ms: u64,
    /// What is said where nothing of the reply can be said by then, such as "One moment.": for boards and models that are slow. It comes
    /// at once where it is known that the reply will be late. Empty: nothing. It is no part of the conversation, and the turn's report has
    /// `"filler": true`.
    pub filler: String,
}

impl Default for LatencyConfig {
    fn default() -> Self {
        Self { first_audio_ms: 1500, filler: String::new() }
    }
}

impl LatencyConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("first_audio_ms", self.first_audio_ms, 1..=3_600_000)?;
        let chars = self.filler.chars().count();
        match chars > 200 {
            true => Err(format!("filler has {chars} characters: at most 200 are said")),
            false => Ok(()),
        }
    }
}
