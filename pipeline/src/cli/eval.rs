//! The arguments of `nearfield eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ConfigArgs;

/// `nearfield eval`
#[derive(Args, Debug)]
pub struct EvalArgs {
    /// What is evaluated.
    #[arg(value_enum)]
    pub what: EvalWhat,
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

/// What is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvalWhat {
    /// The bundled models.
    Bundled,
    /// The assistant, on homes and sentences in the public `assist` format.
    Assist,
    /// The assistant, on our own suite of twelve homes in the same format.
    Home,
    /// The detector of anomalies in readings, on the Numenta Anomaly Benchmark.
    Anomalies,
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
