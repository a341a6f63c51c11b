//! `nearfield ps`, `reload` and `stop`: what runs with this data folder, and orders to it, by the socket of `server/control.rs`.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use serde_json::Value;

use crate::cli::ServiceArgs;
use crate::hub::registry::Registry;
use crate::output::table::table;
use crate::output::terminal::one_line;
use crate::server::control::sockets;
use crate::server::reload::Changes;

/// So long a process may take to answer; a reload loads models.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
const RELOAD: Duration = Duration::from_secs(600);
/// So long it may take to end: a little more than what is waited for writes.
const STOP: Duration = Duration::from_secs(15);
/// How often that is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The longest answer.
const MOST_BYTES: u64 = 4 << 20;

/// A process that runs.
pub(super) struct Running {
    pid: u32,
    socket: PathBuf,
}

/// The processes that run; the sockets of others are removed.
pub(super) fn running(data: &Path) -> Vec<Running> {
    let lives = |(pid, socket): (u32, PathBuf)| match UnixStream::connect(&socket) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            let _ = std::fs::remove_file(&socket);
            None
        }
        Err(_) => None,
        Ok(_) => Some(Running { pid, socket }),
    };
    sockets(data).into_iter().filter_map(lives).collect()
}

/// The process that is meant.
pub(super) fn the_one(pid: Option<u32>, data: &Path, mut all: Vec<Running>) -> anyhow::Result<Running> {
    let folder = data.display();
    if let Some(pid) = pid {
        let found = all.into_iter().find(|running| running.pid == pid);
        return found
            .ok_or_else(|| anyhow!("no `nearfield run` with the number {pid} runs with the data folder {folder}"));
    }
    match all.len() {
        0 => bail!("no `nearfield run` runs with the data folder {folder} (NEARFIELD_DATA names another)"),
        1 => Ok(all.remove(0)),
        _ => {
            let pids: Vec<String> = all.iter().map(|running| running.pid.to_string()).collect();
            bail!("several run with the data folder {folder}: choose one with --pid ({})", pids.join(", "))
        }
    }
}

impl Running {
    /// Asks the process.
    pub(super) fn ask(&self, request: &str, within: Duration) -> anyhow::Result<Value> {
        let asked = || -> anyhow::Result<(String, Value)> {
            let mut stream = UnixStream::connect(&self.socket)?;
            stream.set_read_timeout(Some(within))?;
            stream.set_write_timeout(Some(ANSWER))?;
            write!(stream, "{request} HTTP/1.1\r\nhost: nearfield\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.take(MOST_BYTES).read_to_string(&mut text)?;
            let (head, body) = text.split_once("\r\n\r\n").context("the answer breaks off")?;
            let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
            Ok((status, serde_json::from_str(body)?))
        };
        let (status, body) = asked().with_context(|| format!("the process {} does not answer", self.pid))?;
        match status.as_str() {
            "200" => Ok(body),
            _ => Err(anyhow!("{}", body["error"].as_str().unwrap_or("the process refuses"))),
        }
    }
}

/// `nearfield ps`
///
/// # Errors
/// A process does not answer, or the output can't be written.
pub fn ps(args: &ServiceArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let registry = Registry::open()?;
    let data = &registry.places().data;
    let all = match args.pid {
        Some(_) => vec![the_one(args.pid, data, running(data))?],
        None => running(data),
    };
    if all.is_empty() && !args.json {
        writeln!(out, "Nothing runs with the data folder {}.", data.display())?;
    }
    for running in all {
        let state = running.ask("GET /ps", ANSWER)?;
        match args.json {
            true => writeln!(out, "{state}")?,
            false => print(&state, out)?,
        }
    }
    Ok(out.flush()?)
}

pub(super) fn print(state: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => one_line(text).into_owned(),
        other => other.to_string(),
    };
    let mb = |bytes: &Value| bytes.as_u64().map_or("-".to_owned(), |bytes| format!("{:.0} MB", bytes as f64 / 1e6));
    let s = &state["sessions"];
    writeln!(
        out,
        "nearfield {} (process {}) on {}, for {}, {}; sessions: {} answering, {} waiting, {} kept of {}",
        text(&state["version"]),
        state["pid"],
        text(&state["url"]),
        duration(state["seconds"].as_u64()),
        mb(&state["resident_bytes"]),
        s["answering"],
        s["waiting"],
        s["kept"],
        s["most"]
    )?;
    let mut rows = vec![["MODEL", "FILE", "SIZE"].map(str::to_owned)];
    for model in state["models"].as_array().into_iter().flatten() {
        rows.push([text(&model["role"]), text(&model["file"]), mb(&model["bytes"])]);
    }
    writeln!(out, "\n{}", table(rows, &[2]).trim_end())?;
    let mut rows = vec![["FLOW", "KIND", "STATE", "FOR", "RESTARTS", "OUTPUTS", "LAST", "ERROR"].map(str::to_owned)];
    for flow in state["flows"].as_array().into_iter().flatten() {
        rows.push([
            text(&flow["name"]),
            text(&flow["kind"]),
            text(&flow["state"]),
            duration(flow["seconds"].as_u64()),
            text(&flow["restarts"]),
            text(&flow["outputs"]),
            duration(flow["last_output_s"].as_u64()),
            text(&flow["error"]),
        ]);
    }
    if rows.len() > 1 {
        writeln!(out, "\n{}", table(rows, &[3, 4, 5, 6]).trim_end())?;
    }
    Ok(())
}

/// In the largest unit that fits.
fn duration(seconds: Option<u64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(s) if s < 60 => format!("{s} s"),
        Some(s) if s < 3600 => format!("{} min", s / 60),
        Some(s) if s < 172_800 => format!("{} h", s / 3600),
        Some(s) => format!("{} d", s / 86_400),
    }
}

/// `nearfield reload`
///
/// # Errors
/// No process runs, several do, or the new configuration is wrong.
pub fn reload(args: &ServiceArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let registry = Registry::open()?;
    let answer =
        the_one(args.pid, &registry.places().data, running(&registry.places().data))?.ask("POST /reload", RELOAD)?;
    if args.json {
        writeln!(out, "{answer}")?;
    } else {
        let changes: Changes = serde_json::from_value(answer)?;
        writeln!(out, "{changes}")?;
    }
    Ok(out.flush()?)
}

/// `nearfield stop`
///
/// # Errors
/// No process runs, several do, or it does not end.
pub fn stop(args: &ServiceArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let registry = Registry::open()?;
    let running = the_one(args.pid, &registry.places().data, running(&registry.places().data))?;
    let answer = running.ask("POST /stop", ANSWER)?;
    let begun = Instant::now();
    while UnixStream::connect(&running.socket).is_ok() {
        if begun.elapsed() > STOP {
            bail!("the process {} has not ended within {} s", running.pid, STOP.as_secs());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    match args.json {
        true => writeln!(out, "{answer}")?,
        false => writeln!(out, "The process {} has ended.", running.pid)?,
    }
    Ok(out.flush()?)
}
