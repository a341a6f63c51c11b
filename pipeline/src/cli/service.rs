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
