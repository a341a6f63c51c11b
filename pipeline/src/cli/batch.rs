//! The arguments of `nearfield batch`.

use std::path::PathBuf;

use clap::Args;

use super::ConfigArgs;

/// `nearfield batch`
#[derive(Args, Debug)]
pub struct BatchArgs {
    /// Prompts, one JSON object a line: {"prompt": "..."}, {"messages": [...]}, either with "id" and with what else a request to
    /// /v1/chat/completions may have; or OpenAI's lines for batches ({"custom_id", "method", "url", "body"}).
    pub prompts: PathBuf,
    /// Where answers go, one JSON object a line. Those that are there already are kept, so an interrupted batch goes on where it was
    /// [default: stdout].
    #[arg(short, long, value_name = "FILE.jsonl")]
    pub output: Option<PathBuf>,
    /// How many prompts are answered at a time: they share each pass over the weights.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub sessions: u32,
    /// What the model is told before each prompt; `@` and a name: that file.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub system: Option<String>,
    /// A JSON schema that each answer must fit, where a line names none itself.
    #[arg(long, value_name = "FILE.json")]
    pub schema: Option<PathBuf>,
    /// The longest answer in tokens, where a line says nothing else.
    #[arg(long, value_name = "TOKENS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub max_tokens: u32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}
