//! What can go wrong when a model is quantized.

use std::path::PathBuf;

use nearfield_gguf::GgufError;

/// What can go wrong when a model is quantized.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// A file is no GGUF file, or cannot be read or written.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A weight of the source is infinite or not a number.
    #[error("{path}: tensor {tensor}: weight {index} is {value}: the source is damaged, fetch or convert it again")]
    NotFinite {
        /// The source.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Which weight of the tensor.
        index: usize,
        /// What it is.
        value: f32,
    },
    /// Weights are too large for the f16 scales of a format.
    #[error(
        "{path}: tensor {tensor}: its weights are too large for {format}: use a type with wider scales, such as BF16"
    )]
    TooLarge {
        /// The source.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The format.
        format: &'static str,
    },
    /// The source has a tensor in a format that cannot be read as floats.
    #[error(
        "{path}: tensor {tensor} is {kind}, which cannot be dequantized: start from a file in F16, BF16, F32 or one of the formats that Nearfield runs"
    )]
    Source {
        /// The source.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        kind: &'static str,
    },
    /// An importance matrix is broken, or is another model's.
    #[error("{path}: {what}")]
    Importance {
        /// The importance matrix.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Where finished tensors are to be kept, there is another file.
    #[error(
        "{path} is in the way: finished tensors are kept there, but it holds something else; move it, or write elsewhere"
    )]
    Kept {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes to the file of finished tensors.
    #[error("{path}: another process is writing to it: end that one or name another file")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// No choice of formats is small enough.
    #[error(
        "the smallest file that can be made of this model has {least} bytes, but the budget is {budget}: allow at least as many"
    )]
    Budget {
        /// The smallest size.
        least: u64,
        /// What was asked for.
        budget: u64,
    },
    /// The caller has stopped the work; nothing was written.
    #[error("stopped; nothing was written")]
    Stopped,
}
