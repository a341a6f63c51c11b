//! Months without attention. On a clock that the test moves (`tests/src/clock.rs`) a month of reports, pictures and questions takes
//! minutes, or seconds in the small form of `make test`; `make test-endurance` takes the whole month (`NEARFIELD_ENDURANCE=month`).
//! Real models in real time: `make test-endurance-real`. In real time, too, many turns in one process leave memory, threads and latency as they were.

mod captions;
mod program;
mod real;
mod reports;
mod voice;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use nearfield_tests::{arg, home, nearfield};
use serde_json::Value;

/// Whether a whole month is asked for.
fn is_whole() -> bool {
    std::env::var("NEARFIELD_ENDURANCE").is_ok_and(|text| text == "month")
}

const TURNS: usize = 60;
/// After so many turns everything that is allocated once has been.
const SETTLED: usize = 10;

fn status(pid: u32, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn sixty_turns_leave_memory_threads_and_latency_flat() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let questions = [
        "Which lights are on?",
        "Turn on the kitchen light.",
        "Is the back door locked?",
        "Turn off the kitchen light.",
        "Hello.",
    ];
    let mut command = nearfield(&["voice", "--home", arg(&home), "--output", "null", "--json"]);
    for i in 0..TURNS {
        command.args(["--text", questions[i % questions.len()]]);
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let (mut memory, mut threads, mut latency) = (Vec::new(), Vec::new(), Vec::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let turn: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if let Some(ms) = turn["latency_ms"]["llm_first_token"].as_f64() {
            latency.push(ms);
        }
        if memory.len() + 1 < TURNS {
            memory.push(status(pid, "VmRSS:"));
            threads.push(status(pid, "Threads:"));
        }
    }
    assert!(child.wait().unwrap().success());
    assert!(memory.len() >= TURNS - 1);
    let settled = memory[SETTLED];
    let most = *memory[SETTLED..].iter().max().unwrap();
    eprintln!(
        "resident after {SETTLED} turns {settled} KiB, at most {most} KiB; first token {:.1} ms, then {:.1} ms",
        mean(&latency[SETTLED..SETTLED + TURNS / 4]),
        mean(&latency[latency.len() - TURNS / 4..])
    );
    assert!(most < settled + settled / 20 + 2048, "memory grew from {settled} to {most} KiB");
    assert_eq!(threads[SETTLED..].iter().max(), threads[SETTLED..].iter().min(), "threads come and go");
    // The history fills the context early on; from then on, a turn must cost what a turn costs. The machine is shared:
    // only growth by a multiple is a defect.
    let (early, late) = (mean(&latency[SETTLED..SETTLED + TURNS / 4]), mean(&latency[latency.len() - TURNS / 4..]));
    assert!(late < early * 3.0 + 20.0, "the first token took {early:.1} ms early on and {late:.1} ms at the end");
}

#[test]
fn lines_of_a_conversation_are_flushed_as_they_come() {
    let mut child = nearfield(&["chat", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        stdin.write_all(b"Hello.\n").unwrap();
        stdin.flush().unwrap();
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["prompt"], "Hello.");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
