//! The options of speech to text, and their check.

use serde::{Deserialize, Serialize};

use super::SttError;

/// How speech is turned into text. The defaults suit questions and commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SttOptions {
    /// Threads; 0: one for small models, else as many as there are idle cores, at most 4.
    // whisper.cpp's threads wait for each other by spinning, after each of some hundred steps, so one that has to share its core
    // slows all of them down by an order of magnitude.
    pub threads: usize,
    /// The language spoken, for multilingual models; without it the language is recognized first.
    #[cfg_attr(feature = "schema", schemars(example = &"en"))]
    pub language: Option<String>,
    /// Whether speech of other languages is translated into English, by multilingual models.
    pub translate: bool,
    /// Whether the words get times: [`Segment::words`](super::Segment::words). It costs one more pass of the decoder.
    #[serde(skip)]
    pub word_timestamps: bool,
    /// The fewest encoder frames (20 ms each) that the model is given, however short the utterance. Models trained on full windows
    /// only, as OpenAI's are, repeat themselves when given much less. Without it: what suits the model; for OpenAI's 384, and 512 where a
    /// sentence comes out twice.
    #[cfg_attr(feature = "schema", schemars(example = 512))]
    pub audio_ctx_min: Option<u32>,
    /// A doubtful result is tried again with the temperature raised by this, up to 1; 0: one try. Without it: 0 for small models,
    /// which only guess then, else 0.2.
    #[cfg_attr(feature = "schema", schemars(example = 0.2))]
    pub temperature_increment: Option<f32>,
    /// Hypotheses that are followed at once; more make somewhat fewer errors and take longer.
    pub beam_size: u32,
    /// Above this probability of "no speech", a doubtful text is dropped.
    pub no_speech_threshold: f32,
    /// Below this average log-probability a result is doubtful.
    pub logprob_threshold: f32,
    /// Below this average log-probability the final result is dropped: better no answer than one to a guess.
    pub logprob_floor: f32,
    /// Below this entropy (nats, over the last 32 tokens) a result is a loop.
    pub entropy_threshold: f32,
    /// Text that the model is told came before: names, spelling. Off by default: on silence it is what is transcribed.
    #[cfg_attr(feature = "schema", schemars(example = &"Nearfield, Zigbee"))]
    pub initial_prompt: Option<String>,
    /// The most tokens of a piece; 0: by the length of the sound.
    pub max_tokens: u32,
    /// Longer sound is cut into pieces of at most this, at its quietest places.
    pub window_ms: u32,
    /// Whether sound of more than 3 s is first cut wherever nobody speaks for half a second, as models need that have only learned
    /// single sentences. Without it: what suits the model.
    #[cfg_attr(feature = "schema", schemars(example = true))]
    pub cut_at_pauses: Option<bool>,
}

impl Default for SttOptions {
    fn default() -> Self {
        SttOptions {
            threads: 0,
            language: None,
            translate: false,
            word_timestamps: false,
            audio_ctx_min: None,
            temperature_increment: None,
            beam_size: 1,
            no_speech_threshold: 0.6,
            logprob_threshold: -1.0,
            logprob_floor: -1.5,
            entropy_threshold: 2.4,
            initial_prompt: None,
            max_tokens: 0,
            window_ms: 28_000,
            cut_at_pauses: None,
        }
    }
}

impl SttOptions {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// [`SttError::Option`] naming the key, its value and what is accepted.
    pub fn check(&self) -> Result<(), SttError> {
        let wrong =
            |key: &'static str, found: String, expected: &'static str| Err(SttError::Option { key, found, expected });
        if self.threads > 256 {
            return wrong("threads", self.threads.to_string(), "from 0 to 256");
        }
        if let Some(increment) = self.temperature_increment
            && !(0.0..=1.0).contains(&increment)
        {
            return wrong("temperature_increment", increment.to_string(), "from 0 to 1");
        }
        if !(1..=8).contains(&self.beam_size) {
            return wrong("beam_size", self.beam_size.to_string(), "from 1 to 8");
        }
        if !(0.0..=1.0).contains(&self.no_speech_threshold) {
            return wrong("no_speech_threshold", self.no_speech_threshold.to_string(), "from 0 to 1");
        }
        if !(-100.0..=0.0).contains(&self.logprob_threshold) {
            return wrong("logprob_threshold", self.logprob_threshold.to_string(), "from -100 to 0");
        }
        if !(-100.0..=0.0).contains(&self.logprob_floor) {
            return wrong("logprob_floor", self.logprob_floor.to_string(), "from -100 to 0");
        }
        if !(-100.0..=100.0).contains(&self.entropy_threshold) {
            return wrong("entropy_threshold", self.entropy_threshold.to_string(), "from -100 to 100");
        }
        if let Some(frames) = self.audio_ctx_min
            && frames > 1500
        {
            return wrong("audio_ctx_min", frames.to_string(), "from 0 to 1500");
        }
        if !(1_000..=29_000).contains(&self.window_ms) {
            return wrong("window_ms", self.window_ms.to_string(), "from 1000 to 29000");
        }
        if self.max_tokens > 1_000 {
            return wrong("max_tokens", self.max_tokens.to_string(), "from 0 to 1000");
        }
        if self.initial_prompt.as_ref().is_some_and(|p| p.contains('\0') || p.len() > 2_000) {
            return wrong(
                "initial_prompt",
                "a longer one, or one with a NUL".to_string(),
                "at most 2000 bytes of text",
            );
        }
        Ok(())
    }
}
