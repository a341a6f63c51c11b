//! The program: reads the command line, runs the command, and turns its outcome into an exit status.

use std::process::ExitCode;

use clap::Parser;
use nearfield::cli::Cli;
use nearfield::commands::{self, Outcome};

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
    match commands::run(cli) {
        Outcome::Done => ExitCode::SUCCESS,
        Outcome::Failed(error) => {
            eprintln!("nearfield: {error:#}");
            ExitCode::from(1)
        }
        Outcome::Wrong(error) => {
            eprintln!("nearfield: {error:#}");
            ExitCode::from(2)
        }
    }
}
