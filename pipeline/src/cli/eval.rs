//! The arguments of `nearfield eval`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ConfigArgs;

/// `nearfield eval`
#[derive(Args, Debug)]
pub struct EvalArgs {
    /// What is evaluated.
    #[command(subcommand)]
    pub what: EvalWhat,
}

/// What is evaluated.
#[derive(Debug, Subcommand)]
pub enum EvalWhat {
    /// How well a language model predicts a text.
    #[command(
        after_help = "The perplexity is llama.cpp's: the text is cut into chunks of --context tokens, and the second half of each is \
                      scored.\n\nExamples:\n  nearfield eval perplexity --model smollm2-135m-instruct --text wiki.txt\n  \
                      nearfield eval perplexity --model model-q4.gguf --text wiki.txt --chunks 20 --json"
    )]
    Perplexity(FidelityArgs),
    /// How far a model's predictions are from those of another with the same vocabulary, such as the one that it was quantized from.
    #[command(
        after_help = "Both models are read at once, chunk by chunk; the divergence is that of the reference's distribution from the \
                      model's, in nats.\n\nExamples:\n  nearfield eval kld --model model-q4.gguf --reference model-f16.gguf --text wiki.txt\n  \
                      nearfield eval kld --model q4.gguf --reference f16.gguf --text wiki.txt --json | jq .kld_mean"
    )]
    Kld(FidelityArgs),
    /// A hundred prompts with known answers, and what the model costs: for comparing a model with what it was made from.
    #[command(
        after_help = "Exit status 1 when the score is more than --tolerance points below the baseline's.\n\nExamples:\n  \
                      nearfield eval suite --model model-f16.gguf --output f16.json\n  \
                      nearfield eval suite --model model-q4.gguf --baseline f16.json --page q4.html"
    )]
    Suite(SuiteArgs),
    /// How many questions with several answers a model answers right, from files as ARC and HellaSwag come.
    #[command(
        after_help = "Each row is one JSON object: {\"question\": …, \"choices\": [...], \"answer\": 0} or {\"ctx\": …, \"endings\": [...], \
                      \"label\": 0}; the answer is an index from 0, a label, a letter or a text.\n\nExample:\n  \
                      nearfield eval choice arc-easy.jsonl --model smollm2-135m-instruct --limit 500"
    )]
    Choice(ChoiceArgs),
    /// Whether the assistant remembers at the end of a long conversation what was said at its beginning.
    #[command(
        after_help = "Each row is one JSON object: {\"id\": …, \"turns\": [what is said, ..., a question], \"expect\": [words of which a \
                      right answer has one]}.\n\nExamples:\n  nearfield eval recall --model qwen2.5-0.5b-instruct --set llm.context_tokens=1024\n  \
                      nearfield eval recall talks.jsonl --set conversation.summary=false --json"
    )]
    Recall(RecallArgs),
    /// How much summaries have in common with those of people: ROUGE-1, ROUGE-2 and ROUGE-L.
    #[command(
        after_help = "Each row is one JSON object with `reference` (one or several) and `summary`, or `document` for a model to \
                      summarize.\n\nExamples:\n  nearfield eval rouge summaries.jsonl\n  \
                      nearfield eval rouge articles.jsonl --model qwen2.5-0.5b-instruct --limit 50 --json"
    )]
    Rouge(RougeArgs),
    /// The bundled models, on what was held out from their training.
    #[command(after_help = "Example:\n  nearfield eval bundled --json --data ~/nearfield/models/recipes")]
    Bundled(HeldOutArgs),
    /// The assistant, on homes and sentences in the public `assist` format.
    #[command(after_help = "Example:\n  nearfield eval assist homes/ --json --set llm.model=model.gguf")]
    Assist(HeldOutArgs),
    /// The assistant, on our own suite of twelve homes in the same format.
    #[command(after_help = "Example:\n  nearfield eval home --part tuning")]
    Home(HeldOutArgs),
    /// The detector of anomalies in readings, on the Numenta Anomaly Benchmark.
    #[command(after_help = "Example:\n  nearfield eval anomalies NAB/data --output NAB/results")]
    Anomalies(HeldOutArgs),
}

/// `nearfield eval perplexity` and `nearfield eval kld`
#[derive(Args, Debug)]
pub struct FidelityArgs {
    /// The model: a name from `nearfield models list`, or a GGUF file [default: llm.model of the configuration].
    #[arg(long, value_name = "NAME|FILE.gguf")]
    pub model: Option<String>,
    /// The model that it is compared with, which has the same vocabulary.
    #[arg(long, value_name = "NAME|FILE.gguf")]
    pub reference: Option<String>,
    /// The text that is read, UTF-8.
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Tokens of a chunk; the second half of each is scored.
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(8..=1 << 20))]
    pub context: u32,
    /// Read only this many chunks [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub chunks: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// `nearfield eval suite`
#[derive(Args, Debug)]
pub struct SuiteArgs {
    /// The model: a name from `nearfield models list`, or a GGUF file [default: llm.model of the configuration].
    #[arg(long, value_name = "NAME|FILE.gguf")]
    pub model: Option<String>,
    /// The prompts, one JSON object a line [default: eval/suite.jsonl of the assets].
    #[arg(long, value_name = "FILE.jsonl")]
    pub suite: Option<PathBuf>,
    /// Compare with the result of an earlier run, which --output wrote.
    #[arg(long, value_name = "FILE.json")]
    pub baseline: Option<PathBuf>,
    /// How many points of a hundred the score may be below the baseline's.
    #[arg(long, value_name = "POINTS", default_value_t = 2.0)]
    pub tolerance: f64,
    /// Write the result to this file.
    #[arg(long, value_name = "FILE.json")]
    pub output: Option<PathBuf>,
    /// Write the result as a page of HTML to this file.
    #[arg(long, value_name = "FILE.html")]
    pub page: Option<PathBuf>,
    /// Replace existing --output and --page files.
    #[arg(long)]
    pub overwrite: bool,
    /// Use only this many prompts.
    #[arg(long, value_name = "PROMPTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// `nearfield eval choice`
#[derive(Args, Debug)]
pub struct ChoiceArgs {
    /// The questions, one JSON object a line.
    #[arg(value_name = "FILE.jsonl")]
    pub file: PathBuf,
    /// The model: a name from `nearfield models list`, or a GGUF file [default: llm.model of the configuration].
    #[arg(long, value_name = "NAME|FILE.gguf")]
    pub model: Option<String>,
    /// Use only this many rows.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Print one JSON object for each question; the last holds the whole.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// `nearfield eval recall`
#[derive(Args, Debug)]
pub struct RecallArgs {
    /// The conversations, one JSON object a line [default: eval/recall.jsonl of the assets].
    #[arg(value_name = "FILE.jsonl")]
    pub file: Option<PathBuf>,
    /// The model: a name from `nearfield models list`, or a GGUF file [default: llm.model of the configuration].
    #[arg(long, value_name = "NAME|FILE.gguf")]
    pub model: Option<String>,
    /// Between two turns wait so long at the most for a summary that is being written.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = pause)]
    pub pause_s: f64,
    /// Use only this many conversations.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Print one JSON object for each conversation; the last holds the whole.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

fn pause(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "must be 0 to 3600 seconds".to_owned())
}

/// `nearfield eval rouge`
#[derive(Args, Debug)]
pub struct RougeArgs {
    /// The summaries, or what is to be summarized, one JSON object a line.
    #[arg(value_name = "FILE.jsonl")]
    pub file: PathBuf,
    /// The model that writes the summaries [default: those of the file are scored].
    #[arg(long, value_name = "NAME|FILE.gguf")]
    pub model: Option<String>,
    /// What the model is told to do with each document.
    #[arg(long, value_name = "TEXT", default_value = "Summarize this text in two sentences.")]
    pub ask: String,
    /// The longest summary.
    #[arg(long, value_name = "TOKENS", default_value_t = 160, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_tokens: u32,
    /// Use only this many rows.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Print one JSON object for each row; the last holds the whole.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// `nearfield eval bundled`, `assist`, `home` and `anomalies`
#[derive(Args, Debug)]
pub struct HeldOutArgs {
    /// With `assist`: folders with homes (`_fixtures.yaml`) and files of tests. With `anomalies`: the benchmark's folder `data`.
    #[arg(value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// With `home`: only this part of the suite. Of the held-out part only sums are shown, but with --json.
    #[arg(long, value_enum)]
    pub part: Option<HomePart>,
    /// Print one JSON object for each set, or with `assist` and `home` for each sentence; the last holds the whole.
    #[arg(long)]
    pub json: bool,
    /// The folder with the held-out files, or with `home` the suite [default: models/recipes of the clone, or eval/home of the
    /// assets].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// With `anomalies`: the folder that gets the result files, in the form of the benchmark's scorer.
    #[arg(long, value_name = "RESULTS")]
    pub output: Option<PathBuf>,
    /// Use only this many rows of each set.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// A part of our own suite of homes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HomePart {
    /// What templates, prompts and models may be improved on.
    Tuning,
    /// What nobody who improves them reads.
    HeldOut,
}

impl HomePart {
    /// The name of its folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Tuning => "tuning",
            Self::HeldOut => "held-out",
        }
    }
}
