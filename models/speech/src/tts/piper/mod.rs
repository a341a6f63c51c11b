//! Piper voices: VITS models in ONNX, with phonemes from espeak-ng.
//!
//! A voice is two files, `NAME.onnx` and `NAME.onnx.json`. The model takes the phoneme ids of a sentence and gives its sound at once; cut
//! in two (`halves.rs`), it gives it in chunks. The interface is that of github.com/rhasspy/piper:
//! `input` [1, n] i64, `input_lengths` [1] i64, `scales` [3] f32 (noise, length, noise of durations), `sid` [1] i64
//! where there are several speakers; `output` [1, 1, 1, m] or [1, 1, m] f32.

mod halves;
mod phonemes;

use super::silence::Trim;
use super::{Normalizer, TtsError, TtsOptions, Voice, speakable};
use crate::audio::SampleRate;
use halves::{Halves, Sentence};
use nearfield_onnx::{OnnxModel, OnnxOptions};
use phonemes::{PhonemeType, Phonemizer};
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What a voice's `.onnx.json` says, as far as it is needed.
#[derive(Clone, Debug, Deserialize)]
pub struct PiperConfig {
    audio: AudioSection,
    espeak: EspeakSection,
    #[serde(default)]
    inference: InferenceSection,
    #[serde(default = "one")]
    num_speakers: u32,
    #[serde(default)]
    phoneme_type: PhonemeType,
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
    model: Model,
    config: PiperConfig,
    normalizer: Normalizer,
    phonemizer: Phonemizer,
    speaker: Option<i64>,
    length_scale: f32,
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
        // The pace of a voice is its own; the wish for another is relative to the 175 words a minute of the others.
        let length_scale = config.inference.length_scale * 175.0 / options.words_per_minute as f32;
        let model = Self::open_model(path, options, &config, speaker)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let phonemizer = Phonemizer::open(config.phoneme_type, &config.espeak.voice, options.stall())?;
        let normalizer = Normalizer::for_voice(&config.espeak.voice);
        Ok(Piper { name: format!("piper {stem}"), model, config, normalizer, phonemizer, speaker, length_scale })
    }

    /// The voice in two halves where a folder to keep them is named and it can be cut, else whole.
    fn open_model(
        path: &Path,
        options: &TtsOptions,
        config: &PiperConfig,
        speaker: Option<i64>,
    ) -> Result<Model, TtsError> {
        let onnx = OnnxOptions { threads: options.threads, ..OnnxOptions::default() };
        if let Some(folder) = &options.halves {
            nearfield_onnx::init()?;
            // The phonemes that every voice has: enough frames for several chunks.
            let ids = config.ids(&"abdefhijklmnoprstuvwz ".repeat(2));
            let test = Sentence { ids: &ids, scales: [0.0, config.inference.length_scale, 0.0], speaker };
            match Halves::open(path, folder, &onnx, &test) {
                Ok(halves) => return Ok(Model::Halves(Box::new(halves))),
                Err(reason) => {
                    tracing::info!(voice = %path.display(), %reason, "the voice is used whole: its first sound comes with its last");
                }
            }
        }
        let model = OnnxModel::open(path, &onnx)?;
        let inputs: &[&str] = match speaker {
            Some(_) => &["input", "input_lengths", "scales", "sid"],
            None => &["input", "input_lengths", "scales"],
        };
        model.expect(inputs, &["output"])?;
        Ok(Model::Whole(model))
    }
}

impl Voice for Piper {
    fn name(&self) -> &str {
        &self.name
    }

    fn sample_rate(&self) -> SampleRate {
        SampleRate(self.config.audio.sample_rate)
    }

    fn speak(&mut self, text: &str, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<(), TtsError> {
        let Some(text) = speakable(text, &self.normalizer)? else {
            return Ok(());
        };
        let rate = self.sample_rate();
        for sentence in phonemes::sentences(&text) {
            for piece in self.phonemizer.phonemes(sentence)? {
                let ids = self.config.ids(&piece);
                let scales = [self.config.inference.noise_scale, self.length_scale, self.config.inference.noise_w];
                let sentence = Sentence { ids: &ids, scales, speaker: self.speaker };
                let mut trim = Trim::new(rate);
                let flow = self.model.speak(&sentence, rate, &mut |chunk| trim.push(chunk, sink))?;
                if flow.is_break() || trim.finish(sink).is_break() {
                    self.phonemizer.prepare();
                    return Ok(());
                }
            }
            self.phonemizer.prepare();
        }
        Ok(())
    }
}

/// The voice's model: in two halves where it can be cut, else whole.
enum Model {
    Halves(Box<Halves>),
    Whole(OnnxModel),
}

impl Model {
    /// Speaks a sentence in blocks of samples between -1 and 1.
    fn speak(
        &mut self,
        sentence: &Sentence<'_>,
        rate: SampleRate,
        sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TtsError> {
        let mut block = Vec::new();
        let mut bounded = |chunk: &[f32]| {
            block.clear();
            block.extend(chunk.iter().map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 }));
            sink(&block)
        };
        match self {
            Model::Halves(halves) => halves.speak(sentence, f64::from(rate.0), &mut bounded),
            Model::Whole(model) => {
                let (_, samples) = sentence.run(model, "output")?;
                // Blocks of a tenth of a second, so that the sink can stop it on the way.
                for block in samples.chunks(rate.0 as usize / 10) {
                    if bounded(block).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
