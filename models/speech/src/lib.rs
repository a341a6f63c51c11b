//! Speech: audio as data ([`audio`]), voice activity and ends of utterances ([`vad`]), speech to text ([`stt`]) and text to speech
//! ([`tts`]). Devices, threads and clocks are none of this crate's business; what takes long takes a sink and obeys its answer.
//!
//! Features: `whisper` (Whisper models through whisper.cpp, needs cmake and a C++ compiler) and `onnx` (Silero voice activity and
//! Piper voices through ONNX Runtime, loaded at run time).

pub mod audio;
#[cfg(feature = "whisper")]
pub mod stt;
pub mod tts;
pub mod vad;
