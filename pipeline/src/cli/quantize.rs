//! `nearfield models quantize`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Behind the help.
pub(super) const EXAMPLES: &str = "Examples:
  nearfield models quantize model-f16.gguf model-q4.gguf --type Q4_K_M
  nearfield models quantize model-f16.gguf model-q4.gguf --type Q4_K_M --imatrix imatrix.gguf
  nearfield models quantize model-f16.gguf small.gguf --type auto --budget 300MB --imatrix imatrix.gguf --method fine
  nearfield models quantize model-f16.gguf model-q4.gguf --type Q4_K_M --method gptq --calibrate text.txt
  nearfield models quantize model-f16.gguf small.gguf --type auto --budget 300MB --imatrix imatrix.gguf --method gptq --calibrate text.txt
  nearfield models quantize model-f16.gguf x.gguf --type Q5_K_M --dry-run";

/// `nearfield models quantize`
#[derive(Args, Debug)]
pub struct QuantizeArgs {
    /// The model to make smaller: a GGUF file, best in F16, BF16 or F32.
    #[arg(value_name = "IN.gguf")]
    pub source: PathBuf,
    /// The file to write.
    #[arg(value_name = "OUT.gguf")]
    pub to: PathBuf,
    /// What tensors become: a type of llama.cpp (Q4_K_M, Q8_0, ...; any other word lists them), or `auto`: chosen tensor by tensor for
    /// --budget.
    #[arg(long = "type", value_name = "TYPE|auto")]
    pub kind: String,
    /// How much errors count, column by column: a file of `llama-imatrix`, in either of its forms.
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
    /// The largest file that `--type auto` may write, such as 300MB, 1.5GB or 250MiB.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub budget: Option<u64>,
    /// How scales are found [default: imatrix where there is one, else rtn].
    #[arg(long, value_enum)]
    pub method: Option<MethodArg>,
    /// What the model reads for `--method gptq`: a text file, or home, reports or captions, which are texts of Nearfield's own.
    #[arg(long, value_name = "FILE|home|reports|captions")]
    pub calibrate: Option<String>,
    /// Read only this many chunks of it [default: 48].
    #[arg(long, value_name = "N", requires = "calibrate", value_parser = clap::value_parser!(u32).range(1..))]
    pub chunks: Option<u32>,
    /// Tokens of a chunk.
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=1 << 20))]
    pub context: u32,
    /// Memory for what `--method gptq` collects, but at least what one tensor needs; with less, the text is read more often.
    #[arg(long, value_name = "SIZE", default_value = "1.5GB", value_parser = size)]
    pub memory: u64,
    /// Print what each tensor would become, and the file's size, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Threads to use [default: all cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Replace an existing file.
    #[arg(long)]
    pub overwrite: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How scales are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// Round to nearest, as llama.cpp without an importance matrix, byte for byte.
    Rtn,
    /// As llama.cpp with an importance matrix, byte for byte.
    Imatrix,
    /// A wider search than llama.cpp's, under the importance matrix if there is one: smaller errors, takes longer.
    Fine,
    /// The wider search, and what rounding changes is made up for in the weights that follow (GPTQ); needs --calibrate. The smallest
    /// errors, takes longest; a run that is stopped or killed goes on where it was.
    Gptq,
}

/// A number of bytes as people write it.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match lower[digits.len()..].trim() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        other => return Err(format!("{other} is no unit of size: write MB, GB, MiB or GiB")),
    };
    match digits.parse::<f64>() {
        Ok(number) if number > 0.0 && number * unit < 1e15 => Ok((number * unit) as u64),
        _ => Err("write a size such as 300MB or 1.5GB".to_owned()),
    }
}
