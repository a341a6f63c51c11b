//! `[wake]`: the words before which nobody is listened to.

use std::time::Duration;

use nearfield_base::range::in_range;
use nearfield_stages::voice::wake::AttentionOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// The words before which nobody is listened to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WakeConfig {
    /// The words that wake the assistant: names from `nearfield models list`, such as "hey jarvis" (`nearfield models pull hey-jarvis`), or
    /// paths of openWakeWord classifiers (ONNX). One may stand without brackets. Empty: everything is listened to.
    #[serde(deserialize_with = "one_or_more")]
    pub word: Vec<String>,
    /// Words that end the reply under way at any time, and do not wake: names or paths as in `word`.
    #[serde(deserialize_with = "one_or_more")]
    pub stop: Vec<String>,
    /// The score from which a word counts as said. `nearfield wake enroll` finds one for your voice and room.
    pub threshold: f32,
    /// The same for each word of `word`, then of `stop`; empty: `threshold` for all.
    pub thresholds: Vec<f32>,
    /// After the word, so long is waited for somebody to speak.
    pub wait_ms: u32,
    /// After a reply, so long a follow-up needs no word. 0: each question needs it, and only a word interrupts a reply.
    pub follow_up_ms: u32,
    /// Whether a chime sounds when a word wakes (at a loudspeaker).
    pub chime: bool,
    /// A program and its arguments, run when a word wakes, when a stop word was said and when attention ends, for a light, or a message to a
    /// broker. It gets {"event": "awake" | "stopped" | "asleep", "word": …, "score": …} on standard input. No shell is involved.
    pub command: Vec<String>,
}

impl Default for WakeConfig {
    fn default() -> Self {
        Self {
            word: Vec::new(),
            stop: Vec::new(),
            threshold: 0.5,
            thresholds: Vec::new(),
            wait_ms: 5000,
            follow_up_ms: 6000,
            chime: true,
            command: Vec::new(),
        }
    }
}

/// `word = "hey jarvis"`, or a list.
pub(super) fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        More(Vec<String>),
    }
    match Written::deserialize(deserializer) {
        Ok(Written::One(word)) if word.is_empty() => Ok(Vec::new()),
        Ok(Written::One(word)) => Ok(vec![word]),
        Ok(Written::More(words)) => Ok(words),
        Err(_) => Err(serde::de::Error::custom("a word or a list of words in quotes is expected")),
    }
}

impl WakeConfig {
    /// The threshold of the word with this number, counted through `word` and then `stop`.
    pub fn threshold_of(&self, word: usize) -> f32 {
        self.thresholds.get(word).copied().unwrap_or(self.threshold)
    }

    /// How long attention lasts.
    pub fn options(&self) -> AttentionOptions {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        AttentionOptions { wait: ms(self.wait_ms), follow_up: ms(self.follow_up_ms) }
    }

    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("threshold", self.threshold, 0.01..=1.0)?;
        let words = self.word.len() + self.stop.len();
        if !self.thresholds.is_empty() && self.thresholds.len() != words {
            return Err(format!(
                "thresholds has {} numbers for {words} words: give one for each of `word` and `stop`, or none",
                self.thresholds.len()
            ));
        }
        self.thresholds.iter().try_for_each(|threshold| in_range("thresholds", *threshold, 0.01..=1.0))?;
        if !self.stop.is_empty() && self.word.is_empty() {
            return Err(
                "stop needs a `word` as well: without one, everything is listened to, and any speech stops".to_owned()
            );
        }
        in_range("wait_ms", self.wait_ms, 500..=60_000)?;
        in_range("follow_up_ms", self.follow_up_ms, 0..=600_000)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, VoiceConfig};

    fn load(sets: &[&str]) -> Result<VoiceConfig, String> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        VoiceConfig::load(None, &sets).map_err(|error| error.to_string())
    }

    #[test]
    fn one_word_needs_no_brackets_and_a_threshold_belongs_to_a_word() {
        assert_eq!(load(&["wake.word=hey jarvis"]).unwrap().wake.word, ["hey jarvis"]);
        let several =
            load(&["wake.word=[\"a\", \"b\"]", "wake.stop=c", "wake.thresholds=[0.1, 0.2, 0.3]"]).unwrap().wake;
        assert_eq!([0, 1, 2].map(|i| several.threshold_of(i)), [0.1, 0.2, 0.3]);
        for (sets, named) in [
            (&["wake.word=3"][..], "word"),
            (&["wake.word=a", "wake.thresholds=[0.1, 0.2]"], "thresholds"),
            (&["wake.word=a", "wake.threshold=0"], "wake.threshold"),
            (&["wake.stop=a"], "stop"),
        ] {
            let error = load(sets).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
