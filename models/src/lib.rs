//! Everything that computes.

pub mod audio;
pub mod flow;
pub mod onnx;
pub mod stt;
pub mod tts;
pub mod vad;
