//! In the place of `whisper`, in builds without the feature of that name: there are no models.

use std::ops::ControlFlow;
use std::path::Path;

use super::{GgmlHeader, RawSegment, SttError, SttOptions};

/// No value of it exists. It stands in private fields, so that the code that holds models compiles as it stands.
#[derive(Clone)]
enum Never {}

pub(super) struct Whisper(Never);

#[allow(dead_code)] // Nothing reads what no model is run with.
pub(super) struct Pass {
    pub(super) temperature: f32,
    pub(super) increment: f32,
    pub(super) audio_ctx: usize,
    pub(super) max_tokens: usize,
}

#[derive(Clone)]
pub(super) struct Weights(Never);

impl Weights {
    pub(super) fn load(_: &Path, _: bool, _: &GgmlHeader) -> Result<Self, SttError> {
        Err(SttError::Absent)
    }

    pub(super) fn is_shared(&self) -> bool {
        match self.0 {}
    }
}

impl Whisper {
    pub(super) fn over(weights: &Weights, _: &Path, _: &SttOptions, _: &GgmlHeader) -> Result<Self, SttError> {
        match weights.0 {}
    }

    pub(super) fn language(&self) -> Option<&'static str> {
        match self.0 {}
    }

    pub(super) fn run(&mut self, _: &[f32], _: &Pass, _: &mut dyn FnMut() -> ControlFlow<()>) -> Result<bool, String> {
        match self.0 {}
    }

    pub(super) fn no_speech_probability(&mut self) -> Result<f32, String> {
        match self.0 {}
    }

    pub(super) fn segments(&self) -> Vec<RawSegment> {
        match self.0 {}
    }
}

pub(super) fn check_language(_: &SttOptions, _: &GgmlHeader) -> Result<(), SttError> {
    Err(SttError::Absent)
}

pub(super) fn check() -> Result<(), SttError> {
    Err(SttError::Absent)
}
