//! What a flow does when one of its parts fails: every stage of the three flows, the language model's thread, sources and readers
//! panic once, stall or fail, at a step that is asked for (`stages/src/flow/fault.rs`). Whatever fails, the program ends by itself, says what
//! failed, and keeps what was complete.
//!
//! `make test-faults` builds the program with the feature and runs this; without the feature there is nothing here.
#![cfg(feature = "fault-injection")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nearfield_tests::{Ran, arg, assets, home, nearfield, run, wait_for};
use serde_json::Value;

/// From the fault to the end of the program; on a machine that others use too, half a second more than it promises.
const LIMIT: Duration = Duration::from_millis(2500);

/// What is to happen, and where.
#[derive(Clone, Copy, Debug)]
struct Fault {
    stage: &'static str,
    step: u64,
    action: &'static str,
}

const fn panic_in(stage: &'static str, step: u64) -> Fault {
    Fault { stage, step, action: "panic" }
}

/// Runs with a fault; answers how the run ended and how long after the fault. With `signal`, SIGTERM is sent right after the fault.
fn run_with(fault: Fault, args: &[&str], signal: bool) -> (Ran, Duration) {
    let Fault { stage, step, action } = fault;
    let mut command = nearfield(args);
    command.env("NEARFIELD_FAULT", format!("stage={stage},step={step},action={action}")).env_remove("RUST_BACKTRACE");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().to_string();
    let (stderr, mut stdout) = (child.stderr.take().unwrap(), child.stdout.take().unwrap());
    let said = std::thread::spawn(move || {
        let (mut text, mut happened) = (String::new(), None);
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.starts_with("fault: ") {
                happened = Some(Instant::now());
                if signal {
                    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
                }
            }
            text += &line;
            text.push('\n');
        }
        (text, happened)
    });
    let printed = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let ended = wait_for(Duration::from_secs(60), || child.try_wait().unwrap().is_some());
    let end = Instant::now();
    if !ended {
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    let (stderr, happened) = said.join().unwrap();
    let ran = Ran { code: status.code().unwrap_or(-1), stdout: printed.join().unwrap(), stderr };
    assert!(ended, "{fault:?}: the program hangs: {ran:#?}");
    let happened = happened.unwrap_or_else(|| panic!("{fault:?} did not happen: {ran:#?}"));
    (ran, end - happened)
}

/// Ends in time, with status 1 and one sentence that names the stage and the panic; answers the objects that were printed.
fn assert_ends(fault: Fault, args: &[&str]) -> Vec<Value> {
    let (ran, after) = run_with(fault, args, false);
    let Fault { stage, step, .. } = fault;
    let named = format!("{stage} panicked: a panic was injected into step {step} of {stage} (at ");
    let is_named = ran.stderr.lines().any(|line| line.starts_with("nearfield: ") && line.contains(&named));
    assert!(is_named, "{fault:?}: {ran:#?}");
    let said = ran.stderr.lines().filter(|line| line.starts_with("nearfield: ") && line.contains("panicked")).count();
    assert_eq!(said, 1, "said once: {fault:?}: {ran:#?}");
    // A report that the model could not write says so, once.
    assert!(ran.stderr.matches("panicked").count() <= 2, "{fault:?}: {ran:#?}");
    assert_eq!(ran.code, 1, "{fault:?}: {ran:#?}");
    assert!(after < LIMIT, "{fault:?}: {after:?}: {ran:#?}");
    ran.json()
}

fn voice(extra: &[&'static str], home: &Path) -> Vec<String> {
    let mut args = vec!["voice", "--output", "null", "--json", "--home", arg(home)];
    args.extend(extra);
    args.into_iter().map(str::to_owned).collect()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn a_panic_anywhere_in_a_voice_ends_it_with_an_error_and_finished_turns_stay_reported() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let speech = assets().join("speech");
    let mut spoken = voice(&[], &home);
    spoken.extend(["--input".to_owned(), arg(&speech).to_owned()]);
    for stage in ["source", "listen", "transcribe", "converse", "phrase", "speak", "play", "llm"] {
        assert_ends(panic_in(stage, 1), &strs(&spoken));
    }
    // The fast recordings are heard one after the other, each with a guess: the second is complete before the third begins.
    let turns = assert_ends(panic_in("converse", 3), &strs(&spoken));
    let replies = turns.iter().filter(|turn| turn["reply"] != "").count();
    assert!(replies >= 2, "{turns:#?}");
    let typed = voice(&["--text", "Hello.", "--text", "Is the front door locked?", "--text", "Hello."], &home);
    for stage in ["source", "converse", "phrase", "speak", "play", "llm"] {
        assert_ends(panic_in(stage, 1), &strs(&typed));
    }
    let turns = assert_ends(panic_in("converse", 2), &strs(&typed));
    assert!(turns[0]["reply"] != "", "{turns:#?}");
    assert!(
        turns[1..].iter().any(|turn| turn["errors"][0].as_str().is_some_and(|e| e.contains("panicked"))),
        "{turns:#?}"
    );
}

#[test]
fn a_panic_anywhere_in_captions_ends_them_with_an_error_and_what_was_described_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("outlets.spool={}", arg(folder.path()));
    let pictures = assets().join("pictures");
    let args = ["caption", "--input", arg(&pictures), "--json", "--set", "output.all=true"];
    let outlet = ["--set", "outlets.webhook=http://127.0.0.1:1/", "--set", &spool];
    for stage in ["source", "decode", "look", "describe", "llm"] {
        assert_ends(panic_in(stage, 1), &args);
    }
    assert_ends(panic_in("publish", 1), &[&args[..], &outlet].concat());
    for stage in ["decode", "look", "describe"] {
        let lines = assert_ends(panic_in(stage, 4), &args);
        assert_eq!(lines.len(), 3, "{stage}: {lines:#?}");
    }
    // A live source, of which only the newest picture waits.
    let live = [&args[..], &["--realtime", "--set", "source.fps=20"]].concat();
    for stage in ["source", "decode", "look", "describe"] {
        assert_ends(panic_in(stage, 2.min(if stage == "source" { 1 } else { 2 })), &live);
    }
}

#[test]
fn a_panic_of_the_reader_of_ffmpegs_words_or_of_standard_input_ends_the_program_with_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ffmpeg");
    std::fs::write(&program, "#!/bin/sh\necho a word >&2\nexec sleep 30\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ffmpeg = format!("source.ffmpeg={}", arg(&program));
    assert_ends(
        panic_in("ffmpeg-words", 1),
        &["caption", "--input", "rtsp://127.0.0.1:1/", "--json", "--set", &ffmpeg],
    );
    assert_ends(panic_in("stdin", 1), &["report", "--input", "-", "--json", "--set", "llm.model=none"]);
    assert_ends(panic_in("stdin", 1), &["transcribe", "-", "--json"]);
}

#[test]
fn a_panic_anywhere_in_reports_ends_them_with_an_error_and_the_next_run_reports_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let day = assets().join("telemetry/day.csv");
    let plain = ["report", "--input", arg(&day), "--json", "--window", "2h", "--set", "window.zone=UTC"];
    let whole = run(&[&plain[..], &["--set", "llm.model=none"]].concat()).assert_done().json();
    let starts = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["window"]["start"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert!(whole.len() > 6, "{whole:#?}");
    for (n, stage) in ["source", "persist", "window", "schedule", "compose", "publish", "llm"].into_iter().enumerate() {
        let (store, spool) = (folder.path().join(format!("{n}.redb")), folder.path().join(format!("spool-{n}")));
        let (store, spool) = (format!("store.file={}", arg(&store)), format!("outlets.spool={}", arg(&spool)));
        let kept = ["--set", &store, "--set", "outlets.webhook=http://127.0.0.1:1/", "--set", &spool];
        let args = [&plain[..], &kept].concat();
        assert_ends(panic_in(stage, 1), &args);
    }
    let stored = |name: &str| format!("store.file={}", arg(&folder.path().join(name)));
    for stage in ["compose", "schedule"] {
        let store = stored(stage);
        let args = [&plain[..], &["--set", &store, "--set", "llm.model=none"]].concat();
        let lines = assert_ends(panic_in(stage, 4), &args);
        assert_eq!(starts(&lines), starts(&whole)[..3], "{stage}");
    }
    // All was stored before; what had been reported is not reported again.
    let store = stored("compose");
    let args = [&plain[..], &["--set", &store, "--set", "llm.model=none"]].concat();
    let mut told = starts(&assert_ends(panic_in("compose", 3), &args));
    told.extend(starts(&run(&args).assert_done().json()));
    assert_eq!(told, starts(&whole)[3..]);
}

#[test]
fn a_stage_that_stalls_does_not_outlive_a_signal_by_more_than_two_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let typed = voice(&["--text", "Hello.", "--text", "Hello."], &home);
    let (pictures, day) = (assets().join("pictures"), assets().join("telemetry/day.csv"));
    let caption = ["caption", "--input", arg(&pictures), "--json"];
    let store = format!("store.file={}", arg(&folder.path().join("stall.redb")));
    let report = ["report", "--input", arg(&day), "--json", "--set", "llm.model=none", "--set", &store];
    for (stages, args) in [
        (&["source", "converse", "phrase", "speak", "play", "llm"][..], &strs(&typed)[..]),
        (&["source", "decode", "look", "describe", "llm"], &caption),
        (&["source", "persist", "window", "schedule", "compose"], &report),
    ] {
        for stage in stages {
            let (ran, after) = run_with(Fault { stage, step: 1, action: "stall" }, args, true);
            assert!(after < LIMIT, "{stage}: {after:?}: {ran:#?}");
            assert!([0, 143].contains(&ran.code) && !ran.stderr.contains("panicked"), "{stage}: {ran:#?}");
        }
    }
}

#[test]
fn a_step_that_fails_costs_its_turn_and_the_program_says_so_in_its_status() {
    let folder = tempfile::tempdir().unwrap();
    let typed = voice(&["--text", "Hello.", "--text", "Is the front door locked?"], &home(folder.path()));
    for stage in ["converse", "phrase", "speak", "play", "llm"] {
        let (ran, _) = run_with(Fault { stage, step: 1, action: "error" }, &strs(&typed), false);
        assert_eq!(ran.code, 1, "{stage}: {ran:#?}");
        assert!(ran.stderr.contains("an error was injected into step 1"), "{stage}: {ran:#?}");
        let turns = ran.json();
        assert!(turns.len() == 2 && turns[1]["reply"] != "", "{stage}: the second question is answered: {ran:#?}");
    }
}
