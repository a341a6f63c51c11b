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
            let mut text = error.render().to_string();
            for argument in std::env::args_os() {
                for line in argument.to_string_lossy().split('\n').skip(1).filter(|line| !line.is_empty()) {
                    text = text.replace(&format!("\n{line}"), &format!("\\n{line}"));
                }
            }
            let _ = write!(std::io::stderr(), "{}", escape(&text));
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
