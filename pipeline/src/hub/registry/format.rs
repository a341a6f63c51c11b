//! The formats of model files of the user's own, told by how they begin.

use std::fs;
use std::path::Path;

use crate::hub::registry::Kind;

/// The formats of model files that can be told by how they begin or, for want of that, by how they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Gguf,
    Ggml,
    Onnx,
}

impl Format {
    pub(super) fn of(path: &Path) -> Option<Format> {
        use std::io::Read;
        // Opening a pipe would wait for its other end.
        if !fs::metadata(path).ok()?.is_file() {
            return None;
        }
        let mut begin = [0; 4];
        fs::File::open(path).ok()?.read_exact(&mut begin).ok()?;
        match &begin {
            b"GGUF" => Some(Format::Gguf),
            b"lmgg" => Some(Format::Ggml),
            _ => (path.extension()? == "onnx").then_some(Format::Onnx),
        }
    }

    pub(super) fn fits(self, kind: Kind) -> bool {
        match self {
            Format::Gguf => matches!(kind, Kind::Llm | Kind::Multimodal),
            Format::Ggml => kind == Kind::Stt,
            Format::Onnx => matches!(kind, Kind::Tts | Kind::Vad | Kind::Wake | Kind::Vision | Kind::Multimodal),
        }
    }

    pub(super) fn spoken(self) -> &'static str {
        match self {
            Format::Gguf => "a language model (GGUF)",
            Format::Ggml => "a speech-to-text model (ggml)",
            Format::Onnx => "an ONNX model",
        }
    }
}
