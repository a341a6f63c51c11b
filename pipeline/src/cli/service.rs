//! `nearfield run`, and the commands to a process that runs.

use clap::Args;

use super::ConfigArgs;

/// `nearfield run`
#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
    /// The address for HTTP; short for --set server.listen=...
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// The address for Wyoming; short for --set server.wyoming=...
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub wyoming: Option<String>,
    /// Load everything, say what there is, and end: status 0 if the server would start.
    #[arg(long)]
    pub check: bool,
}

/// `nearfield ps`, `reload` and `stop`
#[derive(Args, Debug)]
pub struct ServiceArgs {
    /// The process, where several run with the same data folder.
    #[arg(long, value_name = "NUMBER")]
    pub pid: Option<u32>,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// `nearfield top`
#[derive(Args, Debug)]
pub struct TopArgs {
    /// The process, where several run with the same data folder.
    #[arg(long, value_name = "NUMBER")]
    pub pid: Option<u32>,
    /// Seconds between two looks (0.1 to 3600); tokens and requests are counted over this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub every: f64,
    /// Print what there is once, and end; so it is where stdout is no terminal.
    #[arg(long)]
    pub once: bool,
    /// Print one JSON object a line, until Ctrl-C or, with --once, once.
    #[arg(long)]
    pub json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let within = |seconds: &f64| (0.1..=3600.0).contains(seconds);
    text.parse().ok().filter(within).ok_or_else(|| "must be a number of seconds from 0.1 to 3600".to_owned())
}
