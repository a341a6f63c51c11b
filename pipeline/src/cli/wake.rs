//! `nearfield wake`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigArgs;

/// `nearfield wake`
#[derive(Args, Debug)]
pub struct WakeArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: WakeAction,
}

/// What to do with recordings of a wake word.
#[derive(Debug, Subcommand)]
pub enum WakeAction {
    /// Print the scores of recordings, and how often the word is missed and heard where nobody said it, for several thresholds.
    Test(WakeFilesArgs),
    /// Find the threshold for your own recordings of the word, as lines for voice.toml.
    Enroll {
        #[command(flatten)]
        #[allow(missing_docs)]
        files: WakeFilesArgs,
        /// The most detections an hour in recordings without the word.
        #[arg(long, default_value_t = 0.5, value_name = "N")]
        most_accepts_per_hour: f64,
    },
}

/// Recordings of a wake word, and without it.
#[derive(Args, Debug)]
pub struct WakeFilesArgs {
    /// Recordings in which the word is said once, or folders of them.
    #[arg(value_name = "FILE|DIR")]
    pub with: Vec<PathBuf>,
    /// Recordings in which nobody says it, or folders of them.
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    pub without: Vec<PathBuf>,
    /// The word: a name, or the path of an openWakeWord classifier [default: the first of wake.word, or "hey jarvis"].
    #[arg(long, value_name = "NAME|FILE")]
    pub word: Option<String>,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}
