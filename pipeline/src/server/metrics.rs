//! What the server has done, counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::answering::Usage;

/// The bounds of histograms, in seconds.
const BOUNDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];

/// The counters.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<u16, u64>>,
    request_seconds: Histogram,
    first_token_seconds: Histogram,
    writing_ms: AtomicU64,
    prompt: AtomicU64,
    cached: AtomicU64,
    generated: AtomicU64,
}

#[derive(Default)]
struct Histogram {
    counts: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Histogram {
    fn see(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        for (bound, count) in BOUNDS.iter().zip(&self.counts) {
            add(count, u64::from(seconds <= *bound));
        }
        add(&self.micros, time.as_micros() as u64);
        add(&self.count, 1);
    }

    fn write(&self, out: &mut String, name: &str, help: &str) {
        let _ = writeln!(out, "# TYPE {name} histogram\n# UNIT {name} seconds\n# HELP {name} {help}");
        for (bound, count) in BOUNDS.iter().zip(&self.counts) {
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound:?}\"}} {}", get(count));
        }
        let count = get(&self.count);
        let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_count {count}");
        let _ = writeln!(out, "{name}_sum {}", get(&self.micros) as f64 / 1e6);
    }
}

impl Metrics {
    /// A request was answered; a streamed answer has only begun.
    pub fn request(&self, status: u16, time: Duration) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
        self.request_seconds.see(time);
    }

    /// The first text of an answer came so long after its turn.
    pub fn first_token(&self, time: Duration) {
        self.first_token_seconds.see(time);
    }

    /// The model has written an answer.
    pub fn answered(&self, usage: &Usage) {
        add(&self.prompt, usage.prompt as u64);
        add(&self.cached, usage.cached as u64);
        add(&self.generated, usage.generated as u64);
        add(&self.writing_ms, usage.writing.as_millis() as u64);
    }

    /// What `nearfield top` counts.
    pub fn totals(&self) -> Value {
        let requests: u64 = self.requests.lock().unwrap_or_else(PoisonError::into_inner).values().sum();
        json!({
            "requests": requests, "prompt_tokens": get(&self.prompt), "cached_tokens": get(&self.cached),
            "generated_tokens": get(&self.generated),
        })
    }

    /// In OpenMetrics' form.
    pub fn text(&self, running: usize, waiting: usize) -> String {
        let mut out = String::new();
        let name = "nearfield_requests";
        let _ = writeln!(out, "# TYPE {name} counter\n# HELP {name} HTTP requests by status.");
        for (status, n) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(out, "{name}_total{{status=\"{status}\"}} {n}");
        }
        for (name, help, n) in [
            ("nearfield_prompt_tokens", "Tokens of prompts.", get(&self.prompt)),
            ("nearfield_cached_tokens", "Tokens of prompts that the cache held.", get(&self.cached)),
            ("nearfield_generated_tokens", "Tokens that the model wrote.", get(&self.generated)),
        ] {
            let _ = writeln!(out, "# TYPE {name} counter\n# HELP {name} {help}\n{name}_total {n}");
        }
        let seconds = get(&self.writing_ms) as f64 / 1e3;
        let name = "nearfield_writing_seconds";
        let _ = writeln!(out, "# TYPE {name} counter\n# UNIT {name} seconds\n# HELP {name} Time of writing answers.");
        let _ = writeln!(out, "{name}_total {seconds}");
        for (name, help, n) in [
            ("nearfield_answers_running", "Answers that are being written.", running),
            ("nearfield_answers_waiting", "Requests that wait for their turn.", waiting),
        ] {
            let _ = writeln!(out, "# TYPE {name} gauge\n# HELP {name} {help}\n{name} {n}");
        }
        if let Some(bytes) = resident_bytes() {
            let name = "nearfield_resident_bytes";
            let _ = writeln!(
                out,
                "# TYPE {name} gauge\n# UNIT {name} bytes\n# HELP {name} Memory of the process.\n{name} {bytes}"
            );
        }
        self.request_seconds.write(&mut out, "nearfield_request_seconds", "Until the answer to a request begins.");
        self.first_token_seconds.write(
            &mut out,
            "nearfield_first_token_seconds",
            "From a request's turn to its first text.",
        );
        out + "# EOF\n"
    }
}

/// Memory of this process that is not only reserved.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
