//! A peer that keeps its model loaded and does short pieces of work on request, so that the programs can take turns many times a
//! minute: what disturbs a busy machine then disturbs them alike.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::{Error, Peer, text};

/// A running peer.
pub struct Served {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Served {
    /// Starts a peer on a file, with room for so many tokens in a cache of that type.
    pub fn start(peer: &Peer, file: &Path, context_tokens: usize, cache: &str) -> Result<Served, Error> {
        let mut child = Command::new(&peer.path)
            .args(["serve", text(file), &context_tokens.to_string(), cache])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", peer.path.display()))?;
        let input = child.stdin.take().ok_or("no pipe")?;
        let output = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut served = Served { name: peer.name, child, input, output };
        served.answer()?; // it has loaded its model
        Ok(served)
    }

    /// The seconds that a piece of work took.
    pub fn seconds(&mut self, command: &str, count: usize) -> Result<f64, Error> {
        self.number(command, count, "seconds")
    }

    /// A number of the answer to a command.
    pub fn number(&mut self, command: &str, count: usize, name: &str) -> Result<f64, Error> {
        writeln!(self.input, "{command} {count}")?;
        Ok(self.answer()?[name].as_f64().ok_or_else(|| format!("{} says no {name}", self.name))?)
    }

    fn answer(&mut self) -> Result<Value, Error> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("{} ended with {}", self.name, self.child.wait()?).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A peer that has nothing left to answer holds nothing worth keeping.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
