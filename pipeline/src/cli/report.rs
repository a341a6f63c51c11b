//! `nearfield report` and `nearfield report ask`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::ConfigArgs;

/// `nearfield report`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ReportArgs {
    #[command(subcommand)]
    #[allow(missing_docs)]
    pub command: Option<ReportCommand>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
    /// Source of readings: a CSV or JSON-lines file, `-` for stdin, or an MQTT broker [default: stdin, unless it is a terminal].
    #[arg(long, value_name = "FILE|-|mqtt://host/topic/#")]
    pub input: Option<String>,
    /// Show how a file is read, without reporting: its columns or topics with sensor, unit, kind, first and last value, and the
    /// cells that are not read.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["input", "follow", "json", "output", "plot", "trace"])]
    pub explain: Option<String>,
    /// Length of a window (90s, 15m, 1h, 1d, 1w); short for --set window.length=...
    #[arg(long, value_name = "LENGTH", allow_hyphen_values = true)]
    pub window: Option<String>,
    /// Keep reading as the file grows or is rotated.
    #[arg(long)]
    pub follow: bool,
    /// Print one JSON object for each window.
    #[arg(long)]
    pub json: bool,
    /// Write reports to this file instead of stdout: .md, .html, .jsonl or .csv. They are appended (see --overwrite).
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Plot the last window: .svg or .png. It replaces an earlier plot; any other picture only with --overwrite.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Write the last window's report as the body of an e-mail: inline styles and tables, no scripts. It replaces an earlier one; any
    /// other file only with --overwrite.
    #[arg(long, value_name = "FILE.html")]
    pub html_email: Option<PathBuf>,
    /// Print the JSON Schema of the objects that --json prints, and exit.
    #[arg(long, exclusive = true)]
    pub schema: bool,
    /// Replace existing --output, --plot, --html-email and --trace files once the first report is complete.
    #[arg(long)]
    pub overwrite: bool,
    /// Write a Chrome trace (chrome://tracing, ui.perfetto.dev) of all stages.
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
}

/// What `nearfield report` does beside reporting.
#[derive(Subcommand, Debug)]
pub enum ReportCommand {
    /// Answer a question on the readings in a store.
    #[command(
        long_about = "Answer a question on the readings in a store, in English. Every number of an answer is computed from the readings; \
            what can't be answered so is refused with the reason.",
        after_help = "Examples:\n  nearfield report ask 'Which day was the coldest?' --store report.sqlite\n  \
            nearfield report ask 'How long was the front door open yesterday?' --config report.toml\n  \
            nearfield report ask 'Was the fridge above 8 °C this week?' --json\n  \
            nearfield report ask 'Did we use more energy this week than last week?'"
    )]
    Ask(AskArgs),
}

/// `nearfield report ask`
#[derive(Args, Debug)]
pub struct AskArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
    /// The question.
    #[arg(required = true, value_name = "QUESTION")]
    pub question: Vec<String>,
    /// The store of readings [default: store.file of the configuration, else report.sqlite in Nearfield's data folder].
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// Print a JSON object: answer, value, unit, sensor and time.
    #[arg(long)]
    pub json: bool,
}
