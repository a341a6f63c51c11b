//! Smart Turn, a model that tells from the sound of the last seconds whether the speaker has finished (feature `onnx`).

use std::path::Path;

use nearfield_onnx::{OnnxError, OnnxInput, OnnxModel, OnnxOptions};

use super::log_mel::{BANDS, HOP, LogMel};

/// Smart Turn, version 3 (github.com/pipecat-ai/smart-turn), through ONNX Runtime: an encoder of the form of Whisper's tiny one, over
/// 8 s of sound that end with the pause.
pub struct SmartTurn {
    model: OnnxModel,
    log_mel: LogMel,
}

impl SmartTurn {
    /// Samples that the model sees: 16 kHz * 8 s.
    const SAMPLES: usize = 8 * 16_000;
    const FRAMES: usize = Self::SAMPLES / HOP;

    /// Loads the model and tries it once on silence.
    ///
    /// # Errors
    /// [`OnnxError`] where the runtime or the file is missing, or the file is not this model.
    pub fn open(path: &Path) -> Result<Self, OnnxError> {
        // One thread: the other cores transcribe at the same time.
        let model = OnnxModel::open(path, &OnnxOptions { threads: 1, ..OnnxOptions::default() })?;
        model.expect(&["input_features"], &["logits"])?;
        let mut turn = Self { model, log_mel: LogMel::new() };
        turn.probability(&[])?;
        Ok(turn)
    }

    /// What the model is given: `[80, 800]`, f32, row-major; `sound` is 16 kHz, mono, of which the last 8 s count.
    pub fn features(&self, sound: &[f32]) -> Vec<f32> {
        let last = &sound[sound.len().saturating_sub(Self::SAMPLES)..];
        let mut padded = vec![0.0; Self::SAMPLES - last.len()];
        padded.extend_from_slice(last);
        self.log_mel.features(&padded)
    }

    /// The probability that the speaker has finished with `sound`: 16 kHz, mono, from the beginning of the turn into the pause.
    ///
    /// # Errors
    /// [`OnnxError`] where the model fails.
    pub fn probability(&mut self, sound: &[f32]) -> Result<f32, OnnxError> {
        let features = self.features(sound);
        let outputs = self.model.run(&[("input_features", OnnxInput::F32(&[1, BANDS, Self::FRAMES], &features))])?;
        let probability = outputs.iter().find(|output| output.name == "logits").and_then(|output| output.data.first());
        // The last layer is a sigmoid, whatever the output is called.
        match probability.copied().filter(|p| (0.0..=1.0).contains(p)) {
            Some(probability) => Ok(probability),
            None => Err(self.model.wrong_kind("a probability for [1, 80, 800] features")),
        }
    }
}
