//! The program: reads the command line, runs the command, and turns its outcome into an exit status.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use nearfield::cli::Cli;
use nearfield::commands::{self, Outcome};
use nearfield::signals;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Help and version that were asked for are no error.
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    nearfield::log::install(cli.verbose, cli.quiet);
    let status = match commands::run(cli) {
        Outcome::Done => 0,
        Outcome::Failed(error) => {
            eprintln!("nearfield: {error:#}");
            1
        }
        Outcome::Wrong(error) => {
            eprintln!("nearfield: {error:#}");
            2
        }
    };
    let _ = std::io::stdout().flush();
    // A flow that had to end in a hurry may have left a thread in a library that must not be taken down around it.
    signals::end_now(status)
}
