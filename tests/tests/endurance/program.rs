//! A program that runs on a clock that the test moves, and a server that it delivers to.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use nearfield_tests::clock::{Held, SimulatedClock, assert_memory_is_flat, held};
use nearfield_tests::wait_for;
use serde_json::Value;

use crate::is_whole;

type Lines = Arc<Mutex<Vec<(Timestamp, Value)>>>;

/// A program with `--json`, its lines with the simulated time at which each came, and its log.
pub struct Program {
    child: Child,
    lines: Lines,
    reader: Option<JoinHandle<()>>,
    log: PathBuf,
}

impl Program {
    pub fn start(mut command: Command, clock: Arc<SimulatedClock>, folder: &Path) -> Self {
        let log = folder.join("log");
        let stderr = File::create(&log).unwrap();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let lines = Lines::default();
        let (out, kept) = (BufReader::new(child.stdout.take().unwrap()), lines.clone());
        let reader = std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                kept.lock().unwrap().push((clock.now(), serde_json::from_str(&line).unwrap()));
            }
        });
        Self { child, lines, reader: Some(reader), log }
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub fn lines(&self) -> Vec<(Timestamp, Value)> {
        self.lines.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// Waits for so many lines in all; panics, with the log, if they do not come.
    pub fn wait_for_lines(&self, n: usize) {
        assert!(
            wait_for(Duration::from_secs(60), || self.count() >= n),
            "{} of {n} lines: {}",
            self.count(),
            self.log()
        );
    }

    pub fn held(&self) -> Held {
        held(self.child.id())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// It ends well on SIGTERM.
    pub fn stop(mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        self.end();
    }

    /// It ends well by itself or on the signal that it was sent.
    pub fn end(&mut self) {
        let ended = wait_for(Duration::from_secs(20), || self.child.try_wait().unwrap().is_some());
        assert!(ended, "it does not end: {}", self.log());
        let status = self.child.wait().unwrap();
        assert!(matches!(status.code(), Some(0 | 143)), "{status}: {}", self.log());
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Counts the lines of a program's output.
pub struct LineCounter(Arc<AtomicUsize>);

impl LineCounter {
    pub fn new(out: impl Read + Send + 'static) -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        std::thread::spawn(move || {
            for _ in BufReader::new(out).lines().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self(count)
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A web server that takes what is posted, or says that it can't just now.
pub struct Server {
    port: u16,
    refuses: Arc<AtomicBool>,
    delivered: Arc<AtomicUsize>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (refuses, delivered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (busy, count) = (refuses.clone(), delivered.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(&stream);
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                    if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = n.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                let whole = reader.read_exact(&mut body).is_ok();
                let answer = if busy.load(Ordering::SeqCst) { "503 Service Unavailable" } else { "200 OK" };
                let text = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let sent = (&stream).write_all(text.as_bytes()).is_ok();
                if whole && sent && answer.starts_with("200") {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { port, refuses, delivered }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Whether it says that it can't just now.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    pub fn delivered(&self) -> usize {
        self.delivered.load(Ordering::SeqCst)
    }
}

/// Fails unless a program that has done `what` holds at the end what it held once it had settled, and has logged little.
pub fn assert_flat(what: &str, held: &[Held], log: &str) {
    let (first, last) = (held[0], held[held.len() - 1]);
    eprintln!(
        "{what}, {} bytes of log, resident {} to {} KiB, {} to {} handles, {} to {} threads",
        log.len(),
        first.memory_kib,
        last.memory_kib,
        first.handles,
        last.handles,
        first.threads,
        last.threads
    );
    assert!(log.len() < 20_000, "{} bytes of log: {log}", log.len());
    // A thread or a handle may come or go for a moment; one that stays raises the median of a half.
    let median = |half: &[Held], of: fn(&Held) -> u64| {
        let mut values: Vec<u64> = half.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    let (early, late) = held.split_at(held.len() / 2);
    assert!(early.is_empty() || median(late, |held| held.threads) <= median(early, |held| held.threads), "{held:?}");
    assert!(
        early.is_empty() || median(late, |held| held.handles) <= median(early, |held| held.handles) + 2,
        "{held:?}"
    );
    assert_memory_is_flat(held, is_whole());
}
