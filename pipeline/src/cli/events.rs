//! `nearfield events`

use std::path::PathBuf;

use clap::Args;

/// `nearfield events`
#[derive(Args, Debug)]
pub struct EventsArgs {
    /// The folder of events (event.folder of the configuration).
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Only events with these words in their captions, objects, zones, lines or camera; the best first.
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// Write a page with a timeline and pictures instead of a list; an existing one is replaced. Best into the same folder.
    #[arg(long, value_name = "FILE.html", conflicts_with = "json")]
    pub output: Option<PathBuf>,
    /// Print one JSON object for each event.
    #[arg(long)]
    pub json: bool,
    /// At most so many events, the newest.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub most: usize,
}
