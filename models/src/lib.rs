//! Everything that computes: sound, speech to text, voice activity, language, text to speech, telemetry. No threads of its own (but
//! for the kernels' pool), no channels, clocks or devices.
//!
//! Weights are loaded once and shared; everything that changes is a named state. What takes long takes a sink, and obeys
//! its answer ([`flow::Flow`]).

pub mod audio;
pub mod files;
pub mod flow;
pub mod json;
pub mod llm;
pub mod memory;
pub mod onnx;
pub mod persist;
pub mod range;
pub mod stt;
pub mod telemetry;
pub mod tts;
pub mod vad;
pub mod vision;
pub mod wording;

pub use flow::Flow;
