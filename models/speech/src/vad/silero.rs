//! Silero, a detector of speech that runs in ONNX Runtime (feature `onnx`).

use super::{VadError, VoiceActivity, check_frame};
use crate::audio::SampleRate;
use nearfield_onnx::{OnnxInput, OnnxModel, OnnxOptions};
use std::path::Path;

/// Silero VAD (version 5, the 16 kHz model) through ONNX Runtime: 32 ms frames, each seen with the 4 ms before it.
pub struct Silero {
    model: OnnxModel,
    state: Vec<f32>,   // [2, 1, 128]
    context: Vec<f32>, // [64], the end of the previous frame
}

impl Silero {
    /// 16 kHz * 32 ms.
    const FRAME: usize = 512;
    /// 16 kHz * 4 ms.
    const CONTEXT: usize = 64;
    /// The recurrent state: 2 (hidden and cell) * 1 (batch) * 128.
    const STATE: usize = 2 * 128;

    /// Loads the model and tries it once on silence.
    ///
    /// # Errors
    /// [`VadError::Onnx`] where the runtime or the file is missing, or the file is not this model.
    pub fn open(path: &Path) -> Result<Silero, VadError> {
        // One thread: a frame costs a fraction of a millisecond, and the cores belong to the language model.
        let options = OnnxOptions { threads: 1, ..OnnxOptions::default() };
        let model = OnnxModel::open(path, &options)?;
        model.expect(&["input", "state", "sr"], &["output", "stateN"])?;
        let mut silero = Silero { model, state: vec![0.0; Self::STATE], context: vec![0.0; Self::CONTEXT] };
        silero.probability(&[0.0; Self::FRAME])?;
        silero.reset();
        Ok(silero)
    }
}

impl VoiceActivity for Silero {
    fn frame_samples(&self) -> usize {
        Self::FRAME
    }

    fn probability(&mut self, frame: &[f32]) -> Result<f32, VadError> {
        check_frame(frame, Self::FRAME)?;
        let mut input = Vec::with_capacity(Self::CONTEXT + Self::FRAME);
        input.extend_from_slice(&self.context);
        input.extend_from_slice(frame);
        let outputs = self.model.run(&[
            ("input", OnnxInput::F32(&[1, Self::CONTEXT + Self::FRAME], &input)),
            ("state", OnnxInput::F32(&[2, 1, 128], &self.state)),
            ("sr", OnnxInput::I64(&[], &[i64::from(SampleRate::SPEECH.0)])),
        ])?;
        let output =
            |name: &str| outputs.iter().find(|o| o.name == name).map(|o| o.data.as_slice()).unwrap_or_default();
        let (probability, state) = (output("output"), output("stateN"));
        if probability.len() != 1 || state.len() != Self::STATE {
            return Err(self.model.wrong_kind("a probability and a state of [2, 1, 128]").into());
        }
        let probability = probability[0];
        self.state.copy_from_slice(state);
        self.context.copy_from_slice(&frame[Self::FRAME - Self::CONTEXT..]);
        Ok(probability)
    }

    fn reset(&mut self) {
        self.state.fill(0.0);
        self.context.fill(0.0);
    }

    fn name(&self) -> &str {
        "silero"
    }
}
