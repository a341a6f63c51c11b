//! Audio, voice activity, speech to text and text to speech.
//!
//! ```
//! # #[cfg(feature = "whisper")] {
//! use nearfield_speech::audio::{SampleRate, read_clip, resample};
//! use nearfield_speech::stt::{SpeechToText, SttOptions};
//! use std::ops::ControlFlow;
//!
//! let clip = read_clip("../../assets/speech/2-light.wav".as_ref())?; // WAV, FLAC, Ogg, MP3, M4A, WebM or AIFF
//! let speech = resample(&clip, SampleRate::SPEECH)?; // 16 kHz
//! let mut stt = SpeechToText::open("../../assets/models/hear-nano.bin".as_ref(), &SttOptions::default())?;
//! let transcription = stt.transcribe(&speech.samples, &mut || ControlFlow::Continue(()))?;
//! assert_eq!(transcription.text.trim(), "Turn on the living room light.");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | content | feature |
//! |---|---|---|
//! | [`audio`] | sample rates, clips, reading and writing of audio files, resampling | |
//! | [`encode`] | sound as a compressed stream: FLAC, Ogg Opus | `flac`, `opus` |
//! | `echo` | echo cancellation: the loudspeaker's sound is subtracted from the microphone's | `echo` |
//! | [`vad`] | voice activity (Earshot, or Silero) and the ends of utterances | Silero: `onnx` |
//! | [`wake`] | wake words: when one has been said (openWakeWord's models), with a threshold and a gate for silence | models: `onnx` |
//! | [`turn`] | whether a speaker who pauses has finished: by the sound (Smart Turn) and by the words | Smart Turn: `onnx` |
//! | [`stt`] | Whisper models through whisper.cpp, compiled from C++ (needs cmake) | `whisper` |
//! | [`tts`] | espeak-ng and flite as programs, Piper voices | Piper: `onnx` |
//!
//! All features are on by default; `onnx` loads ONNX Runtime at run time. Without `whisper` or `onnx` the types are there, but opening a model is an
//! error that says so. Absent on purpose: devices, threads and clocks.
//! Functions that run long take a callback and stop when it returns [`Break`](std::ops::ControlFlow::Break).

pub mod audio;
#[cfg(feature = "echo")]
pub mod echo;
pub mod encode;
pub mod stt;
pub mod tts;
pub mod turn;
pub mod vad;
pub mod wake;
