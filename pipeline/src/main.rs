//! The program: reads the command line, runs the command, and turns its outcome into an exit status.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use nearfield::cli::Cli;
use nearfield::commands::{self, Outcome};
use nearfield::output::terminal::{escape, print_error};
use nearfield::signals;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version that were asked for are no error.
            if !error.use_stderr() {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            if error.kind() == ErrorKind::InvalidUtf8
                && let Some(argument) = std::env::args_os().find(|argument| argument.to_str().is_none())
            {
                let shown = argument.to_string_lossy();
                let text = format!("{shown} is not UTF-8 and can't be named here: rename the file, or name its folder");
                print_error(&anyhow::Error::msg(text));
                return ExitCode::from(2);
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
    let status = match outcome {
        Outcome::Done => 0,
        Outcome::Failed(error) => {
            print_error(&error);
            1
        }
        Outcome::Wrong(error) => {
            print_error(&error);
            2
        }
    };
    let _ = std::io::stdout().flush();
    // A flow that had to end in a hurry may have left a thread in a library that must not be taken down around it.
    signals::end_now(status)
}
