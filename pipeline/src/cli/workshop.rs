//! The arguments of `nearfield models convert` and `nearfield models imatrix`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ConfigArgs;

/// `nearfield models convert`
#[derive(Args, Debug)]
pub struct ConvertArgs {
    /// The model's folder, as the Hugging Face hub has it: config.json, *.safetensors, tokenizer.json or tokenizer.model.
    #[arg(value_name = "FOLDER")]
    pub source: PathBuf,
    /// The file to write.
    #[arg(long, value_name = "OUT.gguf")]
    pub to: PathBuf,
    /// How matrices are stored.
    #[arg(long = "type", value_enum, default_value_t = FloatArg::Auto)]
    pub float: FloatArg,
    /// The folder of a LoRA adapter that is merged into the weights; may be repeated.
    #[arg(long, value_name = "FOLDER")]
    pub lora: Vec<PathBuf>,
    /// What the model is called [default: as its folder].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Replace an existing file.
    #[arg(long)]
    pub overwrite: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FloatArg {
    /// As half floats where the folder has half floats, else as brain floats.
    Auto,
    /// As 32-bit floats.
    F32,
    /// As half floats.
    F16,
    /// As brain floats.
    Bf16,
}

/// `nearfield models imatrix`
#[derive(Args, Debug)]
pub struct ImatrixArgs {
    /// The model: a name from `nearfield models list`, or a GGUF file; best the one in full precision.
    #[arg(value_name = "NAME|MODEL.gguf")]
    pub model: String,
    /// The text that the model reads: a file, or `home`, `reports` or `captions`: what Nearfield itself has models read.
    #[arg(long, value_name = "FILE|home|reports|captions", required = true)]
    pub calibrate: String,
    /// The file to write.
    #[arg(short, long, value_name = "OUT.gguf")]
    pub output: PathBuf,
    /// Read only this many chunks [default: all of a file; 64 of Nearfield's own].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub chunks: Option<u32>,
    /// Tokens of a chunk.
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=1 << 20))]
    pub context: u32,
    /// Take in the matrix of the logits, too.
    #[arg(long)]
    pub with_output: bool,
    /// Replace an existing file.
    #[arg(long)]
    pub overwrite: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}
