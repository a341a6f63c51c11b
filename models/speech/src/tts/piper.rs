//! Piper voices: VITS models in ONNX, with phonemes from espeak-ng.
//!
//! A voice is two files, `NAME.onnx` and `NAME.onnx.json`. The model takes phoneme ids and gives a whole sentence of
//! sound at once, so long text is spoken sentence by sentence. The interface is that of github.com/rhasspy/piper:
//! `input` [1, n] i64, `input_lengths` [1] i64, `scales` [3] f32 (noise, length, noise of durations), `sid` [1] i64
//! where there are several speakers; `output` [1, 1, 1, m] or [1, 1, m] f32.

use super::silence::Trim;
use super::{TtsError, TtsOptions, Voice, espeak, speakable};
use crate::audio::SampleRate;
use nearfield_onnx::{OnnxInput, OnnxModel, OnnxOptions};
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a voice's `.onnx.json` says, as far as it is needed.
#[derive(Clone, Debug, Deserialize)]
pub struct PiperConfig {
    audio: AudioSection,
    espeak: EspeakSection,
    #[serde(default)]
    inference: InferenceSection,
    #[serde(default = "one")]
    num_speakers: u32,
    phoneme_id_map: HashMap<String, Vec<i64>>,
}

#[derive(Clone, Debug, Deserialize)]
struct AudioSection {
    sample_rate: u32,
}

#[derive(Clone, Debug, Deserialize)]
struct EspeakSection {
    voice: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct InferenceSection {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

impl Default for InferenceSection {
    fn default() -> Self {
        // The values that Piper itself falls back to.
        InferenceSection { noise_scale: 0.667, length_scale: 1.0, noise_w: 0.8 }
    }
}

fn one() -> u32 {
    1
}

/// Piper's marks around and between phonemes.
const BEGIN: char = '^';
const PAD: char = '_';
const END: char = '$';
/// A voice's description is some 5 kB; this bounds what a wrong file can cost.
const MAX_CONFIG: u64 = 4 << 20;

impl PiperConfig {
    /// Reads and checks a `.onnx.json`.
    ///
    /// # Errors
    /// [`TtsError::VoiceConfig`].
    pub fn read(path: &Path) -> Result<PiperConfig, TtsError> {
        use std::io::Read;
        let wrong = |reason: String| TtsError::VoiceConfig { path: path.to_path_buf(), reason };
        let mut text = String::new();
        nearfield_base::files::open(path)
            .and_then(|file| file.take(MAX_CONFIG).read_to_string(&mut text))
            .map_err(|e| wrong(e.to_string()))?;
        let config: PiperConfig =
            nearfield_base::json::from_slice(text.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        let rate = SampleRate(config.audio.sample_rate);
        if !(SampleRate::LOWEST..=SampleRate::HIGHEST).contains(&rate) {
            return Err(wrong(format!("audio.sample_rate is {}", rate.0)));
        }
        for mark in [BEGIN, PAD, END] {
            if config.phoneme_id_map.get(mark.encode_utf8(&mut [0; 4]) as &str).is_none_or(Vec::is_empty) {
                return Err(wrong(format!("phoneme_id_map has no `{mark}`")));
            }
        }
        let voice = &config.espeak.voice;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_+".contains(c);
        if voice.is_empty() || voice.starts_with('-') || !voice.chars().all(plain) {
            return Err(wrong(format!("espeak.voice is {voice:?}")));
        }
        let scales = &config.inference;
        if ![scales.noise_scale, scales.length_scale, scales.noise_w].iter().all(|s| (0.0..=10.0).contains(s)) {
            return Err(wrong("a scale under `inference` is not between 0 and 10".to_string()));
        }
        Ok(config)
    }

    /// The ids of a sentence's phonemes: `^`, then each phoneme followed by `_`, then `$`. Phonemes that the voice does
    /// not know are skipped.
    pub fn ids(&self, phonemes: &str) -> Vec<i64> {
        let of = |c: char| self.phoneme_id_map.get(c.encode_utf8(&mut [0; 4]) as &str);
        let pad = of(PAD).cloned().unwrap_or_default();
        let mut ids = of(BEGIN).cloned().unwrap_or_default();
        ids.extend(&pad);
        for found in phonemes.chars().filter_map(of) {
            ids.extend(found);
            ids.extend(&pad);
        }
        ids.extend(of(END).into_iter().flatten());
        ids
    }
}

/// A Piper voice, loaded.
pub struct Piper {
    name: String,
    model: OnnxModel,
    config: PiperConfig,
    speaker: Option<i64>,
    length_scale: f32,
    stall: Duration,
}

impl Piper {
    /// Loads the voice that `options.model` names.
    ///
    /// # Errors
    /// [`TtsError`] where a file is missing or no Piper voice, or ONNX Runtime or espeak-ng is missing.
    pub fn open(options: &TtsOptions) -> Result<Piper, TtsError> {
        options.check()?;
        let path = options.model.as_ref().ok_or(TtsError::NoModel)?;
        let mut config_path = path.clone().into_os_string();
        config_path.push(".json");
        let config_path = PathBuf::from(config_path);
        let config = PiperConfig::read(&config_path)?;
        let speaker = match (&options.voice, config.num_speakers) {
            (None, n) if n <= 1 => None,
            (None, _) => Some(0),
            (Some(voice), n) => match voice.parse::<u32>() {
                Ok(speaker) if speaker < n.max(1) => (n > 1).then_some(i64::from(speaker)),
                _ => {
                    return Err(TtsError::Option {
                        key: "voice",
                        found: voice.clone(),
                        expected: "the number of one of the Piper voice's speakers, counted from 0",
                    });
                }
            },
        };
        let model = OnnxModel::open(path, &OnnxOptions { threads: options.threads, ..OnnxOptions::default() })?;
        let inputs: &[&str] = match speaker {
            Some(_) => &["input", "input_lengths", "scales", "sid"],
            None => &["input", "input_lengths", "scales"],
        };
        model.expect(inputs, &["output"])?;
        // The pace of a voice is its own; the wish for another is relative to the 175 words a minute of the others.
        let length_scale = config.inference.length_scale * 175.0 / options.words_per_minute as f32;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        // One word proves that espeak-ng is there and knows the voice's language.
        espeak::phonemes("a", &config.espeak.voice, options.stall())?;
        Ok(Piper { name: format!("piper {stem}"), model, config, speaker, length_scale, stall: options.stall() })
    }

    /// Phonemes of a sentence. espeak-ng leaves punctuation out, but Piper voices were trained with it: it carries the
    /// melody. So the sentence is split there, and each mark put back.
    fn phonemes(&self, sentence: &str) -> Result<String, TtsError> {
        let mut phonemes = String::new();
        for clause in sentence.split_inclusive([',', ';', ':', '.', '?', '!']) {
            let words = clause.trim_end_matches([',', ';', ':', '.', '?', '!']);
            if words.chars().any(char::is_alphanumeric) {
                if !phonemes.is_empty() {
                    phonemes.push(' ');
                }
                let spoken = espeak::phonemes(words, &self.config.espeak.voice, self.stall)?;
                phonemes.push_str(&without_language_marks(&spoken));
            }
            phonemes.extend(clause[words.len()..].chars().next());
        }
        Ok(phonemes)
    }
}

/// espeak-ng marks words of another language as `(fr)...(en)`, and ends lines; neither is a phoneme.
fn without_language_marks(phonemes: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0;
    for c in phonemes.trim().chars() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            '\n' => kept.push(' '),
            c if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

impl Voice for Piper {
    fn name(&self) -> &str {
        &self.name
    }

    fn sample_rate(&self) -> SampleRate {
        SampleRate(self.config.audio.sample_rate)
    }

    fn speak(&mut self, text: &str, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<(), TtsError> {
        let Some(text) = speakable(text)? else {
            return Ok(());
        };
        let rate = self.sample_rate();
        for sentence in sentences(&text) {
            let ids = self.config.ids(&self.phonemes(sentence)?);
            let scales = [self.config.inference.noise_scale, self.length_scale, self.config.inference.noise_w];
            let lengths = [ids.len() as i64];
            let speaker = [self.speaker.unwrap_or(0)];
            let shape = [1, ids.len()];
            let mut inputs = vec![
                ("input", OnnxInput::I64(&shape, &ids)),
                ("input_lengths", OnnxInput::I64(&[1], &lengths)),
                ("scales", OnnxInput::F32(&[3], &scales)),
            ];
            if self.speaker.is_some() {
                inputs.push(("sid", OnnxInput::I64(&[1], &speaker)));
            }
            let outputs = self.model.run(&inputs)?;
            let Some(output) = outputs.into_iter().find(|o| o.name == "output") else {
                return Err(self.model.wrong_kind("a float output").into());
            };
            let peak = output.data.iter().filter(|s| s.is_finite()).fold(1.0f32, |peak, s| peak.max(s.abs()));
            let samples: Vec<f32> = output.data.iter().map(|s| if s.is_finite() { s / peak } else { 0.0 }).collect();
            let mut trim = Trim::new(rate);
            // Blocks of a tenth of a second, so that the sink can stop it on the way.
            for block in samples.chunks(rate.0 as usize / 10) {
                if trim.push(block, sink).is_break() {
                    return Ok(());
                }
            }
            if trim.finish(sink).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Sentences: up to and including `.`, `?` or `!` before a space.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .zip(rest.chars().skip(1))
            .find(|((_, c), next)| matches!(c, '.' | '?' | '!') && next.is_whitespace())
            .map_or(rest.len(), |((at, c), _)| at + c.len_utf8());
        let (sentence, after) = rest.split_at(end);
        rest = after;
        Some(sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_into_sentences_but_not_inside_numbers() {
        let parts: Vec<&str> = sentences("It is 21.5 degrees. Really? Yes!  Good").collect();
        assert_eq!(parts, ["It is 21.5 degrees.", "Really?", "Yes!", "Good"]);
    }

    #[test]
    fn phoneme_ids_stand_between_their_marks_and_unknown_ones_are_skipped() {
        let config: PiperConfig = serde_json::from_str(
            r#"{"audio": {"sample_rate": 22050}, "espeak": {"voice": "en-us"},
                "phoneme_id_map": {"^": [1], "_": [0], "$": [2], "a": [14], "ˈ": [120], " ": [3]}}"#,
        )
        .unwrap();
        assert_eq!(config.ids("ˈa x"), [1, 0, 120, 0, 14, 0, 3, 0, 2]);
    }

    #[test]
    fn a_description_with_a_key_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("voice.onnx.json");
        let text = r#"{"audio": {"sample_rate": 22050}, "espeak": {"voice": "en-us"},
            "phoneme_id_map": {"^": [1], "_": [0], "$": [2], "a": [14], "a": [15]}}"#;
        std::fs::write(&path, text).unwrap();
        let error = PiperConfig::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("`phoneme_id_map.a` stands there twice at line 2") && error.contains("voice.onnx.json"),
            "{error}"
        );
    }

    #[test]
    fn language_marks_are_no_phonemes() {
        assert_eq!(without_language_marks("wˈɜːld (fr)ʒˈur(en)\n"), "wˈɜːld ʒˈur");
    }
}
