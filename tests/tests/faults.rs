//! What a flow does when one of its parts fails: every stage of the three flows, the language model's thread, sources, readers, the
//! reporter, the store, the spool, deliveries and the audio device panic once, stall, fail or get garbage, at a step that is asked for
//! (`stages/src/flow/fault.rs`). Whatever fails, the program ends by itself or goes on, says what failed, and keeps what was complete.
//!
//! Each test prints how many faults of each kind there have been so far in each flow: the last table is the whole matrix. `make test-faults` builds the program with the feature and runs this; without the feature there is nothing here.
#![cfg(feature = "fault-injection")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
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

/// How many faults there have been, by command and action.
static MATRIX: Mutex<BTreeMap<(String, &str), usize>> = Mutex::new(BTreeMap::new());

/// Prints the matrix so far, where everybody sees it.
fn print_matrix() {
    let matrix = MATRIX.lock().unwrap().clone();
    let cells: Vec<String> = matrix.iter().map(|((flow, action), n)| format!("{flow} {action} {n}")).collect();
    let _ = writeln!(std::io::stderr(), "faults: {} in all; {}", matrix.values().sum::<usize>(), cells.join(", "));
}

/// Runs with a fault; answers how the run ended and how long after the fault. With `signal`, SIGTERM is sent right after the fault.
fn run_with(fault: Fault, args: &[&str], signal: bool) -> (Ran, Duration) {
    let Fault { stage, step, action } = fault;
    *MATRIX.lock().unwrap().entry((args[0].to_owned(), action)).or_default() += 1;
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
    assert_ends_in(fault, fault.stage, args).json()
}

/// The same, where the fault is in what another part calls: `part` panics.
fn assert_ends_in(fault: Fault, part: &str, args: &[&str]) -> Ran {
    let (ran, after) = run_with(fault, args, false);
    let Fault { stage, step, .. } = fault;
    let named = format!("{part} panicked: a panic was injected into step {step} of {stage} (at ");
    let is_named = ran.stderr.lines().any(|line| line.starts_with("nearfield: ") && line.contains(&named));
    assert!(is_named, "{fault:?}: {ran:#?}");
    let said = ran.stderr.lines().filter(|line| line.starts_with("nearfield: ") && line.contains("panicked")).count();
    assert_eq!(said, 1, "said once: {fault:?}: {ran:#?}");
    // A report that the model could not write says so, once.
    assert!(ran.stderr.matches("panicked").count() <= 2, "{fault:?}: {ran:#?}");
    assert_eq!(ran.code, 1, "{fault:?}: {ran:#?}");
    assert!(after < LIMIT, "{fault:?}: {after:?}: {ran:#?}");
    ran
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
    print_matrix();
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
    print_matrix();
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
    print_matrix();
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
    print_matrix();
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
    print_matrix();
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
    print_matrix();
}

/// The recordings of two questions, each with a pause in which it is guessed at.
fn two_recordings(folder: &Path) -> std::path::PathBuf {
    let two = folder.join("two");
    std::fs::create_dir(&two).unwrap();
    let mut recordings: Vec<_> =
        std::fs::read_dir(assets().join("speech")).unwrap().map(|entry| entry.unwrap().path()).collect();
    recordings.retain(|path| path.extension().is_some_and(|e| e == "wav"));
    recordings.sort();
    for path in &recordings[..2] {
        std::fs::copy(path, two.join(path.file_name().unwrap())).unwrap();
    }
    two
}

#[test]
fn a_panic_of_the_reporter_or_of_what_it_calls_is_a_sentence_and_what_was_complete_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let typed = voice(&["--text", "Hello.", "--text", "Hello.", "--text", "Hello."], &home(folder.path()));
    let trace = folder.path().join("trace.json");
    let turns = assert_ends(panic_in("reporter", 2), &[&strs(&typed)[..], &["--trace", arg(&trace)]].concat());
    assert_eq!(turns.len(), 1, "{turns:#?}");
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(serde_json::from_str::<Value>(&trace).is_ok(), "{trace}");

    let (pictures, events) = (assets().join("pictures"), folder.path().join("events.jsonl"));
    let args = ["caption", "--input", arg(&pictures), "--json", "--set", "output.all=true", "--events", arg(&events)];
    assert_eq!(assert_ends(panic_in("reporter", 4), &args).len(), 3);
    assert!(std::fs::read_to_string(events).unwrap().lines().all(|l| serde_json::from_str::<Value>(l).is_ok()));

    let (day, store) = (assets().join("telemetry/day.csv"), folder.path().join("reporter.sqlite"));
    let plain = ["report", "--input", arg(&day), "--json", "--window", "2h", "--set", "llm.model=none"];
    let whole = run(&plain).assert_done().json();
    let (store, spool) = (format!("store.file={}", arg(&store)), format!("outlets.spool={}/spool", arg(folder.path())));
    let args =
        [&plain[..], &["--set", &store, "--set", &spool, "--set", "outlets.webhook=http://127.0.0.1:1/"]].concat();
    let mut told = assert_ends(panic_in("reporter", 3), &args);
    for (fault, part) in
        [(panic_in("spool", 2), "reporter"), (panic_in("store-note", 2), "reporter"), (panic_in("store", 1), "persist")]
    {
        told.extend(assert_ends_in(fault, part, &args).json());
    }
    told.extend(run(&args).assert_done().json());
    let starts: Vec<&Value> = told.iter().map(|report| &report["window"]["start"]).collect();
    for report in &whole {
        let start = &report["window"]["start"];
        assert!(starts.contains(&start), "{start} is never told: {starts:?}");
    }
    print_matrix();
}

#[test]
fn a_panic_in_a_command_without_a_flow_is_a_sentence_and_what_was_complete_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session");
    let chat = ["chat", "Hello.", "--session", arg(&session)];
    let ran = assert_ends_in(panic_in("chat", 1), "chat", &chat);
    assert!(!ran.stdout.trim().is_empty() && session.exists(), "the answer, and the session: {ran:#?}");
    run(&chat).assert_done();
    let speech = two_recordings(folder.path());
    let files: Vec<_> = std::fs::read_dir(&speech).unwrap().map(|entry| entry.unwrap().path()).collect();
    let transcribe = ["transcribe", arg(&files[0]), arg(&files[1]), "--json"];
    assert_eq!(assert_ends_in(panic_in("transcribe-file", 2), "transcribe", &transcribe).json().len(), 1);
    assert_ends_in(panic_in("eval", 1), "eval", &["eval", "bundled"]);
    print_matrix();
}

#[test]
fn the_store_the_spool_deliveries_and_devices_that_fail_lose_nothing_that_was_complete() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |stage, step| Fault { stage, step, action: "error" };
    let typed = voice(&["--text", "Hello.", "--text", "Hello."], &home(folder.path()));
    let (ran, _) = run_with(fails("device", 1), &strs(&typed), false);
    assert!(ran.code == 1 && ran.json().len() == 2 && ran.json()[1]["spoken"] != "", "{ran:#?}");
    let two = two_recordings(folder.path());
    let spoken = voice(&[], &home(folder.path()));
    let spoken = [&strs(&spoken)[..], &["--input", arg(&two)]].concat();
    let (ran, after) = run_with(fails("capture", 60), &spoken, false);
    assert!(ran.code == 1 && ran.stderr.contains("an error was injected into step 60 of capture"), "{ran:#?}");
    assert!(after < LIMIT, "{after:?}: {ran:#?}");

    let day = assets().join("telemetry/day.csv");
    let plain = ["report", "--input", arg(&day), "--json", "--window", "2h", "--set", "llm.model=none"];
    let whole = run(&plain).assert_done().json().len();
    for (stage, code) in [("store", 0), ("store-note", 0), ("spool", 1), ("delivery", 0), ("reporter", 1)] {
        let data = folder.path().join(stage);
        let (store, spool) =
            (format!("store.file={}/store", arg(&data)), format!("outlets.spool={}/spool", arg(&data)));
        let kept = ["--set", &store, "--set", &spool, "--set", "outlets.webhook=http://127.0.0.1:1/"];
        let args = [&plain[..], &kept].concat();
        std::fs::create_dir(&data).unwrap();
        // One batch of readings is written, and an attempt stands for all deliveries.
        let step = if ["store", "delivery"].contains(&stage) { 1 } else { 2 };
        let (ran, _) = run_with(fails(stage, step), &args, false);
        assert!(ran.code == code && ran.stderr.contains("an error was injected"), "{stage}: {ran:#?}");
        // Where everything has been told, there is nothing left.
        let again = run(&args);
        let told = ran.json().len() + again.json().len();
        assert!(
            !again.stderr.contains("panicked") && told >= whole,
            "{stage}: {told} of {whole}: {ran:#?}\n{again:#?}"
        );
    }
    for (stage, step) in [("store", 1), ("store-note", 1), ("spool", 1), ("delivery", 1)] {
        let data = folder.path().join(format!("{stage}-stalls"));
        let (store, spool) =
            (format!("store.file={}/store", arg(&data)), format!("outlets.spool={}/spool", arg(&data)));
        let kept = ["--set", &store, "--set", &spool, "--set", "outlets.webhook=http://127.0.0.1:1/"];
        let args = [&plain[..], &kept].concat();
        std::fs::create_dir(&data).unwrap();
        let (ran, after) = run_with(Fault { stage, step, action: "stall" }, &args, true);
        // A disk that hangs within a write that keeps data is waited for longer.
        let limit = if stage == "delivery" { LIMIT } else { Duration::from_millis(10_500) };
        assert!(after < limit && [0, 143].contains(&ran.code), "{stage}: {after:?}: {ran:#?}");
        let again = run(&args);
        assert!(again.code == 0 || stage == "delivery", "{stage}: {again:#?}");
    }
    for (stage, args) in [("device", &strs(&typed)[..]), ("capture", &spoken), ("reporter", &strs(&typed))] {
        let (ran, after) = run_with(Fault { stage, step: 1, action: "stall" }, args, true);
        assert!(after < LIMIT && [0, 143].contains(&ran.code), "{stage}: {after:?}: {ran:#?}");
    }
    print_matrix();
}

/// How long a run takes in which nothing fails.
fn usual(args: &[&str]) -> Duration {
    let begun = Instant::now();
    run(args).assert_done();
    begun.elapsed()
}

/// Runs with a message that is garbage: the program recovers or ends with an error, at most two seconds later than it would have
/// ended (`usual`; thrice on a machine that others use too), without a crash, and what it prints is JSON without control characters.
fn assert_survives_garbage(stage: &'static str, step: u64, args: &[&str], usual: Duration) -> Ran {
    let fault = Fault { stage, step, action: "garbage" };
    let (ran, after) = run_with(fault, args, false);
    assert!(after < LIMIT + 3 * usual, "{fault:?}: {after:?}: {ran:#?}");
    assert!(ran.code == 0 || ran.code == 1, "{fault:?}: {ran:#?}");
    let errors = ran.stderr.lines().filter(|line| line.starts_with("nearfield: ")).count();
    assert_eq!(errors, usize::from(ran.code == 1), "{fault:?}: {ran:#?}");
    let said = |text: &str| text.chars().filter(|c| c.is_control() && *c != '\n').collect::<String>();
    assert_eq!((said(&ran.stdout).as_str(), said(&ran.stderr).as_str()), ("", ""), "{fault:?}: {ran:#?}");
    let _ = ran.json();
    ran
}

#[test]
fn garbage_in_any_queue_of_the_voice_costs_its_turn_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let read = || serde_json::from_slice::<Value>(&std::fs::read(&home).unwrap()).unwrap();
    let mut asked = read();
    let typed = voice(&["--text", "Hello.", "--text", "Is the front door locked?", "--text", "Hello."], &home);
    let (typed, lasts) = (strs(&typed), usual(&strs(&typed)));
    for stage in ["converse", "phrase", "speak", "play", "device", "reporter", "llm"] {
        for step in 1..=3 {
            let ran = assert_survives_garbage(stage, step, &typed, lasts);
            let turns = ran.json();
            let answered = turns.iter().filter(|turn| turn["reply"] != "" && turn["errors"].is_null()).count();
            assert!(turns.len() == 3 && answered >= 2, "{stage} {step}: {ran:#?}");
            assert!(answered == 3 || ran.code == 1 || stage == "converse", "{stage} {step}: {ran:#?}");
        }
    }
    let two = two_recordings(folder.path());
    let spoken = voice(&[], &home);
    let spoken = [&strs(&spoken)[..], &["--input", arg(&two)]].concat();
    let lasts = usual(&spoken);
    for (stage, step) in [("listen", 1), ("listen", 62), ("listen", 63), ("transcribe", 1), ("transcribe", 2)] {
        let ran = assert_survives_garbage(stage, step, &spoken, lasts);
        let turns = ran.json();
        assert!(turns.iter().any(|turn| turn["reply"] != ""), "{stage} {step}: {ran:#?}");
        assert!(step == 62 || turns.len() >= 2, "{stage} {step}: {ran:#?}");
    }
    // The second recording asks for it.
    asked["rooms"]["living room"]["light"] = "on".into();
    assert_eq!(read(), asked, "nobody has asked for another change");
    print_matrix();
}

/// Only a voice that hears in real time does work on guesses: the pause is judged, the reply begun, its first clause spoken ahead.
#[test]
fn what_is_done_on_a_guess_may_fail_in_any_way_and_costs_no_turn_but_that_whose_sound_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let two = two_recordings(folder.path());
    let mut live = voice(&["--pace", "realtime", "--set", "home.matcher=true"], &home(folder.path()));
    live.extend(["--input".to_owned(), arg(&two).to_owned()]);
    let live = strs(&live);
    let replies = |ran: &Ran| ran.json().iter().map(|turn| turn["reply"].clone()).collect::<Vec<_>>();
    let begun = Instant::now();
    let expected = replies(run(&live).assert_done());
    let lasts = begun.elapsed();
    assert!(expected.len() == 2 && expected.iter().all(|reply| reply != ""), "{expected:?}");
    for (part, stage, steps) in [("turn-end", "listen", 2), ("draft", "converse", 2), ("ahead", "speak", 1)] {
        assert_ends_in(panic_in(part, 1), stage, &live);
        let (ran, after) = run_with(Fault { stage: part, step: 1, action: "stall" }, &live, true);
        assert!(after < LIMIT && [0, 143].contains(&ran.code), "{part}: {after:?}: {ran:#?}");
        for step in 1..=steps {
            home(folder.path());
            let (ran, _) = run_with(Fault { stage: part, step, action: "error" }, &live, false);
            assert_eq!((ran.code, replies(&ran)), (0, expected.clone()), "{part} {step}: {ran:#?}");
            home(folder.path());
            let ran = assert_survives_garbage(part, step, &live, lasts);
            let spoken_ahead = part == "ahead" && ran.stderr.contains("are no sound");
            assert_eq!(
                (ran.code, replies(&ran)),
                (i32::from(spoken_ahead), expected.clone()),
                "{part} {step}: {ran:#?}"
            );
        }
    }
    for stage in ["transcribe", "converse", "phrase", "speak"] {
        home(folder.path());
        let ran = assert_survives_garbage(stage, 1, &live, lasts);
        assert_eq!((ran.code, replies(&ran)), (0, expected.clone()), "a guess at {stage}: {ran:#?}");
    }
    print_matrix();
}

#[test]
fn garbage_in_any_queue_of_captions_costs_its_picture_at_most_or_ends_the_program_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = assets().join("pictures");
    let lasts = usual(&["caption", "--input", arg(&pictures), "--json", "--set", "output.all=true"]);
    for stage in ["decode", "look", "describe", "reporter", "llm"] {
        for step in 1..=3 {
            let shots = folder.path().join(format!("{stage}-{step}"));
            let events = folder.path().join(format!("{stage}-{step}.jsonl"));
            let args = ["caption", "--input", arg(&pictures), "--json", "--set", "output.all=true"];
            let files = ["--snapshots", arg(&shots), "--events", arg(&events), "--max-frames", "12"];
            let ran = assert_survives_garbage(stage, step, &[&args[..], &files].concat(), lasts);
            let lines = ran.json();
            let pictures = lines.iter().filter(|line| line["summary"].is_null()).count();
            let panicked = ran.stderr.contains("panicked");
            assert!(pictures >= 11 || panicked && pictures as u64 >= step - 1, "{stage} {step}: {ran:#?}");
            // Names that a picture was given reach no path.
            let names = std::fs::read_dir(&shots).into_iter().flatten().map(|entry| entry.unwrap().file_name());
            for name in names.map(|name| name.to_string_lossy().into_owned()) {
                assert!(name.len() < 60 && !name.contains(|c: char| c.is_control() || c == '{'), "{name:?}");
            }
        }
    }
    print_matrix();
}

#[test]
fn garbage_in_any_queue_of_reports_leaves_the_store_whole_and_the_next_run_reports_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let day = assets().join("telemetry/day.csv");
    let plain = ["report", "--input", arg(&day), "--json", "--window", "2h", "--set", "window.zone=UTC"];
    let fast = [&plain[..], &["--set", "llm.model=none"]].concat();
    let lasts = usual(&fast);
    let whole: Vec<Value> =
        run(&fast).assert_done().json().into_iter().map(|report| report["window"]["start"].clone()).collect();
    for stage in ["persist", "window", "schedule", "compose", "reporter", "publish", "delivery"] {
        for step in 1..=3 {
            // There is one batch of readings in the file, and one piece of news may stand for several deliveries.
            if step > 1 && ["persist", "window", "publish", "delivery"].contains(&stage) {
                continue;
            }
            let data = folder.path().join(format!("{stage}-{step}"));
            std::fs::create_dir(&data).unwrap();
            let (store, spool) =
                (format!("store.file={}/store", arg(&data)), format!("outlets.spool={}/spool", arg(&data)));
            let kept = ["--set", &store, "--set", "outlets.webhook=http://127.0.0.1:1/", "--set", &spool];
            let args = [&fast[..], &kept].concat();
            let first = assert_survives_garbage(stage, step, &args, lasts);
            let again = run(&args);
            let mut told: Vec<Value> = first.json().iter().map(|report| report["window"]["start"].clone()).collect();
            assert!(told.len() == whole.len() || again.code == 0, "{stage} {step}: {again:#?}");
            told.extend(again.json().iter().map(|report| report["window"]["start"].clone()));
            let missing: Vec<&Value> = whole.iter().filter(|window| !told.contains(window)).collect();
            assert!(missing.is_empty(), "{stage} {step}: {missing:?}: {first:#?}\n{again:#?}");
        }
    }
    let written = ["report", "--input", arg(&day), "--json", "--window", "12h", "--set", "window.zone=UTC"];
    let lasts = usual(&written);
    for step in [1, 2, 3] {
        let ran = assert_survives_garbage("llm", step, &written, lasts);
        assert!(!ran.stdout.contains("1e999"), "what the model makes up is not told: {ran:#?}");
    }
    print_matrix();
}
