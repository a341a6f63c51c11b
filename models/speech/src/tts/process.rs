//! A speech program as a child process with a time limit: text in, WAV or text out. Engines that are programs (`espeak.rs`, `flite.rs`)
//! start one process for each clause.
//!
//! A process for each clause was measured against one kept alive: espeak-ng starts and gives its first audio within
//! 30 ms on a slow core, and its stream has no mark between two texts, so there is nothing to keep it for.
//!
//! This is the only file of the crate that reads a clock and sleeps (for a millisecond), because a hung child cannot be detected
//! otherwise. It spawns no thread: the child's pipes are socket pairs, which the standard library reads with a time limit, and writes
//! without a signal when the child is gone.

use super::TtsError;
use crate::audio::WavStream;
use nearfield_base::child::spawn_in_own_group;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running program. Dropping it kills it.
pub(super) struct Process {
    program: &'static str,
    child: Child,
    input: Option<UnixStream>,
    output: UnixStream,
    errors: UnixStream,
    stall: Duration,
}

impl Process {
    pub(super) fn start(program: &'static str, arguments: &[String], stall: Duration) -> Result<Process, TtsError> {
        let pair = || UnixStream::pair().map_err(|e| failed(program, &e));
        let ((input, child_input), (output, child_output), (errors, child_errors)) = (pair()?, pair()?, pair()?);
        output
            .set_read_timeout(Some(stall))
            .and_then(|()| errors.set_nonblocking(true))
            .and_then(|()| input.set_write_timeout(Some(stall)))
            .map_err(|e| failed(program, &e))?;
        // Ctrl-C goes to a terminal's whole group: it is for the caller, for whom a clause that breaks off is a failure.
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(child_input)))
            .stdout(Stdio::from(OwnedFd::from(child_output)))
            .stderr(Stdio::from(OwnedFd::from(child_errors)));
        let child = spawn_in_own_group(&mut command).map_err(|e| match e.kind() {
            ErrorKind::NotFound => TtsError::missing(program),
            _ => failed(program, &e),
        })?;
        Ok(Process { program, child, input: Some(input), output, errors, stall })
    }

    /// Writes the text to the child and closes its input.
    pub(super) fn give(&mut self, text: &str) -> Result<(), TtsError> {
        let Some(mut input) = self.input.take() else {
            return Ok(());
        };
        let written = input.write_all(text.as_bytes()).and_then(|()| input.write_all(b"\n"));
        match written {
            // A child that ended before it read its input reports a better reason than this error.
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(e) if is_timeout(&e) => Err(TtsError::Hung { program: self.program, after: self.stall }),
            Err(e) => Err(failed(self.program, &e)),
        }
        .inspect(|()| {
            let _ = input.shutdown(Shutdown::Write);
        })
    }

    /// The audio that the child writes; `None` where it wrote none.
    pub(super) fn sound(&mut self) -> Result<Option<WavStream<&mut UnixStream>>, TtsError> {
        let (program, stall) = (self.program, self.stall);
        match WavStream::open(&mut self.output, program) {
            Ok(wav) => Ok(Some(wav)),
            Err(crate::audio::AudioError::Damaged { .. }) => Ok(None),
            Err(e) => Err(process_error(program, stall, &e)),
        }
    }

    /// The text that the child writes.
    pub(super) fn text(mut self) -> Result<String, TtsError> {
        let mut bytes = Vec::new();
        // A phoneme takes a few bytes and the text given is bounded, so this is far above any correct output.
        let longest = 64 * super::LONGEST_TEXT as u64;
        (&mut self.output).take(longest).read_to_end(&mut bytes).map_err(|e| {
            if is_timeout(&e) {
                TtsError::Hung { program: self.program, after: self.stall }
            } else {
                failed(self.program, &e)
            }
        })?;
        self.finish()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits for the end, which the closed output announces; then looks at how it ended.
    pub(super) fn finish(mut self) -> Result<(), TtsError> {
        let deadline = Instant::now() + self.stall;
        let status = loop {
            match self.child.try_wait().map_err(|e| failed(self.program, &e))? {
                Some(status) => break status,
                None if Instant::now() >= deadline => {
                    return Err(TtsError::Hung { program: self.program, after: self.stall });
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if status.success() { Ok(()) } else { Err(self.failure()) }
    }

    /// The error of a child that gave no output: the first line of its stderr, if there is one.
    pub(super) fn failure(&mut self) -> TtsError {
        let mut said = Vec::new();
        // It has ended or is about to; what it wrote by now is enough.
        let _ = (&mut self.errors).take(2_048).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gave no sound");
        TtsError::Failed { program: self.program, reason: said.to_string() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the child has already been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failed(program: &'static str, e: &dyn std::fmt::Display) -> TtsError {
    TtsError::Failed { program, reason: e.to_string() }
}

pub(super) fn process_error(program: &'static str, stall: Duration, e: &crate::audio::AudioError) -> TtsError {
    match e {
        crate::audio::AudioError::Read { cause, .. } if is_timeout(cause) => TtsError::Hung { program, after: stall },
        e => failed(program, e),
    }
}

fn is_timeout(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(program: &'static str, arguments: &[&str]) -> Result<Process, TtsError> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Process::start(program, &arguments, Duration::from_millis(200))
    }

    #[test]
    fn a_missing_program_is_named_with_the_way_to_get_it() {
        let error = start("no-such-synthesizer", &[]).err().unwrap().to_string();
        assert!(error.contains("no-such-synthesizer") && error.contains("apt install"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let started = Instant::now();
        let mut process = start("sleep", &["60"]).unwrap();
        let error = process.sound().err().unwrap();
        assert!(matches!(error, TtsError::Hung { .. }), "{error}");
        let closed_but_alive = start("sh", &["-c", "exec >&- 2>&-; sleep 60"]).unwrap();
        let error = closed_but_alive.finish().err().unwrap();
        assert!(matches!(error, TtsError::Hung { .. }), "{error}");
        drop(process);
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_program_that_prints_rubbish_or_nothing_is_an_error() {
        let mut process = start("sh", &["-c", "echo this is no WAV file at all, but text; cat"]).unwrap();
        process.give("a").unwrap();
        assert!(matches!(process.sound().err(), Some(TtsError::Failed { .. })));
        let mut process = start("true", &[]).unwrap();
        assert!(process.sound().unwrap().is_none());
    }

    #[test]
    fn the_words_of_a_program_that_fails_are_passed_on() {
        let error = start("sh", &["-c", "echo the voice is hoarse >&2; exit 3"]).unwrap().finish().err().unwrap();
        assert!(error.to_string().contains("the voice is hoarse"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_read_its_text_does_not_hold_us_up() {
        let mut process = start("sleep", &["60"]).unwrap();
        process.give(&"word ".repeat(super::super::LONGEST_TEXT / 5)).unwrap();
    }
}
