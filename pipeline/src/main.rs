//! The program: reads the command line, runs the command, and turns its outcome into an exit status.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use nearfield::cli::Cli;
use nearfield::commands::{self, Outcome};
use nearfield::terminal::{escape, print_error};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version that were asked for are no error.
            if !error.use_stderr() {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            // It quotes arguments.
            let _ = write!(std::io::stderr(), "{}", escape(&error.render().to_string()));
            return ExitCode::from(2);
        }
    };
    let log = nearfield::log::install(cli.verbose, cli.quiet);
    let outcome = commands::run(cli);
    drop(log);
    match outcome {
        Outcome::Done => ExitCode::SUCCESS,
        Outcome::Failed(error) => {
            print_error(&error);
            ExitCode::from(1)
        }
        Outcome::Wrong(error) => {
            print_error(&error);
            ExitCode::from(2)
        }
    }
}
