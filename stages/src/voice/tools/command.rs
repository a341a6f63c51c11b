//! Tools that the user adds in `voice.toml`: a program that gets the arguments as JSON on its standard input and
//! prints its result as JSON. It is run without a shell, in a process group of its own, on the calling thread, and
//! nothing that it does (hang, flood, die, ignore its input, leave a child behind) outlasts its time limit.
//! A child that it leaves behind on purpose, such as a music player, goes on when the tool itself has ended in time.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nearfield_base::child::spawn_in_own_group;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::CallError;

/// The most that a tool may print as its result, in bytes.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// The longest time limit that can be given to a tool.
pub const MAX_TIMEOUT_MS: u64 = 600_000;

/// How much of what a tool writes to its standard error is kept (the end of it), in bytes.
const KEPT_COMPLAINT_BYTES: usize = 4096;

/// How often the tool's end, the time limit and the caller's wish to stop are looked at while nothing is printed.
const LOOK: Duration = Duration::from_millis(10);

/// A tool of the user's own: a `[[tools]]` entry of `voice.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandTool {
    /// The name that the model calls it by: letters, digits, `_` and `-`.
    #[schemars(example = &"radio")]
    pub name: String,
    /// What it does and when to call it, for the model.
    #[schemars(example = &"Plays a radio station.")]
    pub description: String,
    /// The program and its arguments. No shell is involved.
    #[schemars(example = ["/usr/local/bin/radio", "--json"])]
    pub command: Vec<String>,
    /// The JSON schema of the arguments (`type`, `properties`, `required`); `{}` for none.
    #[serde(default = "no_parameters")]
    #[schemars(example = serde_json::json!({"type": "object", "properties": {"station": {"type": "string"}}, "required": ["station"]}))]
    pub parameters: Value,
    /// After this many milliseconds the program and all its children are killed.
    #[serde(default = "default_timeout_ms")]
    #[schemars(example = 5000)]
    pub timeout_ms: u64,
}

fn no_parameters() -> Value {
    Value::Object(Map::new())
}

fn default_timeout_ms() -> u64 {
    5000
}

/// Runs a command of the user's that is no tool of the model's; what it prints is dropped.
///
/// # Errors
/// A sentence: it can't be run, fails or takes too long.
pub(crate) fn run_command(command: &CommandTool, input: &Value) -> Result<(), String> {
    match run(command, input, &|| false) {
        Ok(_) => Ok(()),
        Err(CallError::Mistake(reason) | CallError::Unknown(reason) | CallError::Failed { reason, .. }) => Err(reason),
    }
}

/// Runs the tool and answers what it printed, or why it has no result. What is not JSON is `{"ok": true, "output": "…"}`:
/// the program says by its status whether it did what was asked, and its text is its own.
pub(super) fn run(tool: &CommandTool, arguments: &Value, stop: &dyn Fn() -> bool) -> Result<Value, CallError> {
    let name = &tool.name;
    let started = Instant::now();
    let limit = Duration::from_millis(tool.timeout_ms);
    let failed = |reason: String| CallError::Failed { what: format!("use the tool {name}"), reason };
    let Some((program, rest)) = tool.command.split_first() else {
        return Err(failed("it has no command".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(rest.iter().map(OsStr::new)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn_in_own_group(&mut command).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed(format!("there is no program {program}")),
        io::ErrorKind::PermissionDenied => failed(format!("the program {program} may not be run")),
        _ => failed(format!("the program {program} cannot be started: {error}")),
    })?;
    let mut child = Group(child);
    let mut pipes = Pipes::of(&mut child.0, arguments).map_err(|error| failed(error.to_string()))?;
    let ended = loop {
        if stop() {
            return Err(stopped(name));
        }
        if started.elapsed() >= limit {
            return Err(failed(format!("it did not answer within {}", seconds(tool.timeout_ms))));
        }
        // Asked before reading, so that all that an ended program printed is in the pipe by then.
        let ended = child.has_ended();
        pipes.exchange();
        if pipes.output.len() > MAX_OUTPUT_BYTES {
            return Err(failed(format!("it printed more than {MAX_OUTPUT_BYTES} bytes")));
        }
        if ended {
            break child.reap();
        }
        pipes.wait(LOOK.min(limit.saturating_sub(started.elapsed())));
    };
    let complaint = match last_line(&pipes.complaint) {
        line if line.is_empty() => String::new(),
        line => format!(": {line}"),
    };
    let status = ended.map_err(|error| failed(error.to_string()))?;
    match (status.code(), status.signal()) {
        (Some(0), _) => {}
        (Some(code), _) => return Err(failed(format!("it ended with status {code}{complaint}"))),
        (None, signal) => {
            let signal = signal.map_or_else(String::new, |signal| format!(" by signal {signal}"));
            return Err(failed(format!("it was killed{signal}{complaint}")));
        }
    }
    Ok(serde_json::from_slice(&pipes.output).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&pipes.output);
        let plain: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
        json!({"ok": true, "output": plain.trim()})
    }))
}

/// The caller has lost interest.
pub(super) fn stopped(name: &str) -> CallError {
    CallError::Failed { what: format!("use the tool {name}"), reason: "it was stopped".to_owned() }
}

fn seconds(timeout_ms: u64) -> String {
    match timeout_ms {
        1000 => "1 second".to_owned(),
        ms if ms % 1000 == 0 => format!("{} seconds", ms / 1000),
        ms => format!("{} seconds", ms as f64 / 1000.0),
    }
}

/// The program, with everything in its process group ended should it not have ended by itself.
struct Group(Child);

impl Group {
    /// Whether the program has ended. It is not reaped, so that its number still stands for its group.
    fn has_ended(&self) -> bool {
        let id = WaitId::Pid(Pid::from_child(&self.0));
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(id, options), Ok(None) | Err(rustix::io::Errno::INTR))
    }

    fn reap(mut self) -> io::Result<std::process::ExitStatus> {
        self.0.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // After `reap` the answer is remembered and nothing is killed.
        if let Ok(None) = self.0.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.kill(); // should it have left its group
            let _ = self.0.wait();
        }
    }
}

/// The three standard streams, none of which is ever waited for.
struct Pipes {
    stdin: Option<(std::process::ChildStdin, Vec<u8>, usize)>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    output: Vec<u8>,
    complaint: Vec<u8>,
}

impl Pipes {
    fn of(child: &mut Child, arguments: &Value) -> io::Result<Self> {
        let mut text = serde_json::to_vec(arguments)?;
        text.push(b'\n');
        let pipes = Self {
            stdin: child.stdin.take().map(|pipe| (pipe, text, 0)),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            output: Vec::new(),
            complaint: Vec::new(),
        };
        for pipe in pipes.open() {
            let flags = rustix::fs::fcntl_getfl(pipe.0)?;
            rustix::fs::fcntl_setfl(pipe.0, flags | rustix::fs::OFlags::NONBLOCK)?;
        }
        Ok(pipes)
    }

    fn open(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let stdin = self.stdin.iter().map(|(pipe, ..)| (pipe.as_fd(), PollFlags::OUT));
        let stdout = self.stdout.iter().map(|pipe| (pipe.as_fd(), PollFlags::IN));
        let stderr = self.stderr.iter().map(|pipe| (pipe.as_fd(), PollFlags::IN));
        stdin.chain(stdout).chain(stderr).collect()
    }

    /// Sleeps until a pipe is ready, at most for `time`.
    fn wait(&self, time: Duration) {
        let mut pipes: Vec<PollFd<'_>> =
            self.open().into_iter().map(|(pipe, flags)| PollFd::from_borrowed_fd(pipe, flags)).collect();
        let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
        if pipes.is_empty() {
            std::thread::sleep(Duration::from_millis(1)); // all closed: only the end is awaited
        }
        let _ = poll(&mut pipes, Some(&time)); // interrupted or not, the caller looks again
    }

    /// Writes what the pipe takes and reads what is there.
    fn exchange(&mut self) {
        if let Some((pipe, text, sent)) = &mut self.stdin {
            let done = loop {
                match pipe.write(&text[*sent..]) {
                    Ok(count) => {
                        *sent += count;
                        if *sent == text.len() {
                            break true;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break true, // it does not want its arguments
                }
            };
            if done {
                self.stdin = None; // closed: the end of the input
            }
        }
        read_ready(&mut self.stdout, &mut self.output, MAX_OUTPUT_BYTES);
        // One turn is bounded too: who floods this pipe is still looked at for the time limit.
        read_ready(&mut self.stderr, &mut self.complaint, 16 * KEPT_COMPLAINT_BYTES);
        let excess = self.complaint.len().saturating_sub(KEPT_COMPLAINT_BYTES);
        self.complaint.drain(..excess);
    }
}

/// Reads until nothing is ready or `into` holds more than `limit` bytes.
fn read_ready(pipe: &mut Option<impl Read>, into: &mut Vec<u8>, limit: usize) {
    let mut piece = [0; 4096];
    while into.len() <= limit {
        let Some(reader) = pipe else { return };
        match reader.read(&mut piece) {
            Ok(0) => *pipe = None,
            Ok(count) => into.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => *pipe = None,
        }
    }
}

/// The last line with something on it, shortened and printable.
fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(160).collect();
    if line.chars().count() > 160 {
        short.push('…');
    }
    short
}
