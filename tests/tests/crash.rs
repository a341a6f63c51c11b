//! Each operation that changes a file is, one after the other, the last one of a run: the process is killed there, the power is cut
//! there, or the disk is full from there on. A library preloaded into the program counts the operations and does it
//! (`tests/crash/shim.c`). Afterwards, what `docs/reliability.md` promises is checked, and the same command is run again and
//! must bring everything to its end.
//!
//! `make test-crash` takes at least 500 of each kind; `NEARFIELD_CRASHES` says how many for each output and kind, evenly spread.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use nearfield_tests::{Ran, arg, finish, home, nearfield, root, skipped, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
/// Windows of a minute in the readings; one more minute follows, which the end of the file ends.
const WINDOWS: usize = 6;

fn crashes() -> usize {
    std::env::var("NEARFIELD_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

/// The library that is preloaded, compiled once; `None`, said aloud, where there is no compiler.
static SHIM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{}.so", std::process::id()));
    let source = root().join("tests/crash/shim.c");
    let args = ["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", arg(&library), arg(&source), "-lpthread"];
    match Command::new("cc").args(args).status() {
        Ok(status) => {
            assert!(status.success(), "tests/crash/shim.c does not compile");
            Some(library)
        }
        Err(_) => {
            skipped("no C compiler (cc) for the library that crashes programs");
            None
        }
    }
});

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Kill,
    Power,
    /// The disk stays full, or has room again after so many operations.
    Full(Option<u32>),
}

/// A command with outputs, and what must hold of them.
struct Case {
    name: &'static str,
    /// Puts the inputs into a folder.
    prepare: fn(&Path),
    args: fn(&Path) -> Vec<String>,
    /// What must hold at any moment, `before` being the bytes of all files at the start.
    whole: fn(&Path, &BTreeMap<PathBuf, Vec<u8>>),
    /// What must hold after the command has been run to its end.
    done: fn(&Path),
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|s| (*s).to_owned()).collect()
}

fn run_in(folder: &Path, args: &[String], shim: &[(&str, String)]) -> Ran {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = nearfield(&args);
    command.current_dir(folder).env("NEARFIELD_THREADS", "1");
    if let Some(library) = SHIM.as_ref().filter(|_| !shim.is_empty()) {
        command.env("LD_PRELOAD", library).env("CRASH_FOLDER", folder);
        command.envs(shim.iter().map(|(key, value)| (*key, value)));
    }
    // A disk that stays full is waited for; then the signal that ends services ends the program.
    if !shim.iter().any(|(key, _)| *key == "CRASH_MODE") {
        return finish(command, &[], LIMIT);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let is_over = |child: &mut std::process::Child, limit| wait_for(limit, || child.try_wait().unwrap().is_some());
    if !is_over(&mut child, Duration::from_secs(10)) {
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        if !is_over(&mut child, Duration::from_secs(4)) {
            let _ = child.kill();
            panic!("it ignores SIGTERM: {:#?}", Ran::from(child.wait_with_output().unwrap()));
        }
    }
    child.wait_with_output().unwrap().into()
}

fn files_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_of(&path));
        } else if path.is_file() {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

/// Runs `case` to its end at each of so many operations, for each kind. Answers how many runs died or failed.
fn crash(case: &Case) -> usize {
    if SHIM.is_none() {
        return 0;
    }
    let fresh = || {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().canonicalize().unwrap().join("data");
        fs::create_dir(&inside).unwrap();
        (case.prepare)(&inside);
        (folder, inside)
    };
    let (folder, inside) = fresh();
    let counted = folder.path().join("count");
    let ran = run_in(&inside, &(case.args)(&inside), &[("CRASH_COUNT", arg(&counted).to_owned())]);
    assert_eq!(ran.code, 0, "{}: {ran:#?}", case.name);
    (case.done)(&inside);
    let operations: usize = fs::read_to_string(&counted).unwrap().trim().parse().unwrap();
    assert!(operations >= 3, "{}: {operations} operations were seen", case.name);
    let mut happened = 0;
    for kind in [Kind::Kill, Kind::Power, Kind::Full(None), Kind::Full(Some(3))] {
        let n = crashes().min(operations);
        for i in 0..n {
            let at = 1 + i * operations / n + (i * 7919) % (operations / n).max(1);
            happened += usize::from(crash_at(case, kind, at, &fresh()));
        }
    }
    eprintln!("{}: {operations} operations, {happened} crashes and full disks", case.name);
    happened
}

fn crash_at(case: &Case, kind: Kind, at: usize, (folder, inside): &(tempfile::TempDir, PathBuf)) -> bool {
    let shadow = folder.path().join("shadow");
    fs::create_dir(&shadow).unwrap();
    let before = files_of(inside);
    let mut shim = vec![("CRASH_AT", at.to_string()), ("CRASH_SHADOW", arg(&shadow).to_owned())];
    shim.push(("CRASH_SEED", at.to_string()));
    let (mode, full) = match kind {
        Kind::Kill => ("kill", None),
        Kind::Power => ("power", None),
        Kind::Full(operations) => ("full", operations),
    };
    shim.push(("CRASH_MODE", mode.to_owned()));
    shim.extend(full.map(|n| ("CRASH_FULL", n.to_string())));
    let ran = run_in(inside, &(case.args)(inside), &shim);
    let what = format!("{}, {kind:?} at operation {at}", case.name);
    if std::env::var_os("NEARFIELD_CRASH_KEEP").is_some() {
        eprintln!("{what}: {ran:#?}");
    }
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert!(!ran.stderr.contains("panicked"), "a panic");
        if let Kind::Full(_) = kind {
            assert!([0, 1, 130, 143].contains(&ran.code), "status {}", ran.code);
            let cause = ["full", "room"].iter().any(|word| ran.stderr.contains(word));
            assert!(ran.code == 0 || cause, "the cause is not told");
        }
        (case.whole)(inside, &before);
        let again = run_in(inside, &(case.args)(inside), &[]);
        assert_eq!(again.code, 0, "the next run failed: {again:#?}");
        assert!(!again.stderr.contains("panicked"), "{again:#?}");
        (case.done)(inside);
        let left = files_of(inside).into_keys().filter(|p| p.to_string_lossy().contains(".nearfield-"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new(), "temporary files of the killed run stay");
    }));
    if let Err(why) = checked {
        let why = why.downcast_ref::<String>().cloned().or(why.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        panic!("{what}: {}\nthe run: {ran:#?}", why.unwrap_or_default());
    }
    ran.code != 0
}

/// Readings every 20 s of all windows and a part of the next.
fn readings(folder: &Path) {
    let line = |i: usize| format!("2026-11-20T00:{:02}:{:02}Z,{}\n", i / 3, i % 3 * 20, i % 7);
    let text = format!("time,hall\n{}", (0..WINDOWS * 3 + 2).map(line).collect::<String>());
    fs::write(folder.join("in.csv"), text).unwrap();
}

fn report_args(folder: &Path, more: &[&str]) -> Vec<String> {
    let store = format!("store.file={}", arg(&folder.join("store.db")));
    let input = folder.join("in.csv");
    let fixed =
        ["report", "--input", arg(&input), "--window", "1m", "--set", "llm.model=none", "--set", "window.zone=UTC"];
    strings(&[&fixed[..], &["--set", &store], more].concat())
}

/// The inputs are as they were; where a file is replaced whole, it is the old one or a whole new one.
fn inputs_are_kept(folder: &Path, before: &BTreeMap<PathBuf, Vec<u8>>) {
    for name in ["in.csv", "pictures"] {
        for (path, bytes) in before.iter().filter(|(path, _)| path.starts_with(folder.join(name))) {
            assert_eq!(&fs::read(path).unwrap(), bytes, "{} was changed", path.display());
        }
    }
}

/// Each window of the file once, in order; the last one ends with the input and may be told by each run.
fn each_window_once(starts: &[String]) {
    let expected: Vec<String> = (0..=WINDOWS).map(|m| format!("00:{m:02}")).collect();
    let mut starts = starts.to_vec();
    starts.dedup_by(|a, b| a == b && *a == expected[WINDOWS]);
    assert_eq!(starts, expected);
}

fn start_of(name: &str) -> String {
    name.split('/').next().unwrap()[11..16].to_owned()
}

fn lines_of_json(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{}: {e}: {l:?}", path.display()))).collect()
}

const REPORT_LINES: Case = Case {
    name: "report --output r.jsonl, with a store",
    prepare: readings,
    args: |folder| report_args(folder, &["--output", arg(&folder.join("r.jsonl"))]),
    whole: inputs_are_kept,
    done: |folder| {
        let windows: Vec<String> = lines_of_json(&folder.join("r.jsonl"))
            .iter()
            .map(|line| start_of(line["window"]["start"].as_str().unwrap()))
            .collect();
        each_window_once(&windows);
    },
};

const REPORT_TEXT: Case = Case {
    name: "report --output r.md, with a store",
    prepare: readings,
    args: |folder| report_args(folder, &["--output", arg(&folder.join("r.md"))]),
    whole: inputs_are_kept,
    done: |folder| {
        let text = fs::read_to_string(folder.join("r.md")).unwrap();
        let windows: Vec<String> = text
            .split("<!-- report ")
            .skip(1)
            .map(|record| {
                let (name, rest) = record.split_once(" -->\n").unwrap();
                assert!(rest.trim_end().ends_with("<!-- end of report -->"), "{rest:?}");
                start_of(name)
            })
            .collect();
        each_window_once(&windows);
    },
};

fn page_is_whole(folder: &Path) {
    let (page, plot) = (folder.join("r.html"), folder.join("p.svg"));
    if page.exists() {
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.is_empty() || text.trim_end().ends_with("</html>"), "the page has no end");
    }
    if plot.exists() {
        assert!(fs::read_to_string(&plot).unwrap().trim_end().ends_with("</svg>"), "the plot has no end");
    }
}

const REPORT_PAGE: Case = Case {
    name: "report --output r.html --plot p.svg, with a store",
    prepare: readings,
    args: |folder| {
        report_args(folder, &["--output", arg(&folder.join("r.html")), "--plot", arg(&folder.join("p.svg"))])
    },
    whole: |folder, before| {
        inputs_are_kept(folder, before);
        page_is_whole(folder);
    },
    done: |folder| {
        page_is_whole(folder);
        let text = fs::read_to_string(folder.join("r.html")).unwrap();
        let mut windows: Vec<String> = text.split("\" data-window=\"").skip(1).map(start_of).collect();
        windows.reverse();
        each_window_once(&windows);
    },
};

const DELIVERIES: Case = Case {
    name: "report to a webhook that is away, with a spool and a store",
    prepare: readings,
    args: |folder| {
        let spool = format!("outlets.spool={}", arg(&folder.join("spool")));
        report_args(folder, &["--json", "--set", &spool, "--set", "outlets.webhook=http://127.0.0.1:1/hook"])
    },
    whole: inputs_are_kept,
    done: |folder| {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder.join("spool/report-webhook")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "json"));
        paths.sort();
        let mut windows: Vec<String> = paths
            .iter()
            .map(|path| {
                let text = fs::read_to_string(path).unwrap();
                let delivery: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
                start_of(delivery["body"]["window"]["start"].as_str().unwrap_or_else(|| panic!("{delivery}")))
            })
            .collect();
        windows.dedup(); // at least once
        each_window_once(&windows);
    },
};

fn pictures(folder: &Path) {
    fs::create_dir(folder.join("pictures")).unwrap();
    for i in 0..6 {
        let name = if i % 2 == 0 { "plain.jpg" } else { "cmyk.jpg" };
        fs::copy(root().join("tests/data/pictures").join(name), folder.join(format!("pictures/{i}.jpg"))).unwrap();
    }
}

fn snapshots_are_whole(folder: &Path) {
    let Ok(shots) = fs::read_dir(folder.join("shots")) else { return };
    for path in shots.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "jpg")) {
        nearfield_vision::Picture::decode(&fs::read(&path).unwrap(), arg(&path)).unwrap();
    }
}

const CAPTIONS: Case = Case {
    name: "caption --snapshots --events",
    prepare: pictures,
    args: |folder| {
        let (pictures, shots, events) = (folder.join("pictures"), folder.join("shots"), folder.join("events.jsonl"));
        let fixed =
            ["caption", "--set", "vision.model=none", "--set", "gate.min_interval_ms=0", "--input", arg(&pictures)];
        strings(&[&fixed[..], &["--snapshots", arg(&shots), "--events", arg(&events)]].concat())
    },
    whole: |folder, before| {
        inputs_are_kept(folder, before);
        snapshots_are_whole(folder);
    },
    done: |folder| {
        snapshots_are_whole(folder);
        let events = lines_of_json(&folder.join("events.jsonl"));
        assert!(!events.is_empty());
        let names = events.iter().filter_map(|event| event["snapshot"].as_str());
        names.for_each(|name| assert!(folder.join(name).exists(), "{name} is named and is not there"));
    },
};

const HOME: Case = Case {
    name: "voice --home, a light turned on",
    prepare: |folder| {
        home(folder);
    },
    args: |folder| {
        let (home, text) = (folder.join("home.json"), "Turn on the kitchen light.");
        strings(&["voice", "--text", text, "--home", arg(&home), "--output", "null", "--json"])
    },
    whole: |folder, before| {
        let path = folder.join("home.json");
        let now = fs::read(&path).unwrap();
        assert!(before[&path] == now || serde_json::from_slice::<Value>(&now).is_ok(), "the home is damaged");
    },
    done: |folder| {
        let home: Value = serde_json::from_slice(&fs::read(folder.join("home.json")).unwrap()).unwrap();
        assert!(home.to_string().contains("\"on\""), "{home}");
    },
};

const SESSION: Case = Case {
    name: "chat --session",
    prepare: |folder| {
        let args = strings(&["chat", "Hello.", "--session", arg(&folder.join("talk.session"))]);
        run_in(folder, &args, &[]).assert_done();
    },
    args: |folder| strings(&["chat", "Good morning.", "--json", "--session", arg(&folder.join("talk.session"))]),
    whole: |folder, _| {
        let args = strings(&["chat", "Hello.", "--json", "--session", arg(&folder.join("talk.session"))]);
        let ran = run_in(folder, &args, &[]);
        assert!(ran.code == 0 && !ran.stderr.contains("damaged"), "{ran:#?}");
    },
    done: |folder| assert!(folder.join("talk.session").metadata().unwrap().len() > 1000),
};

const RECORDING: Case = Case {
    name: "voice --output x.wav --trace t.json",
    prepare: |_| {},
    args: |folder| {
        let (wav, trace) = (folder.join("x.wav"), folder.join("t.json"));
        strings(&["voice", "--text", "Hello.", "--output", arg(&wav), "--trace", arg(&trace), "--overwrite"])
    },
    whole: |folder, _| {
        let path = folder.join("x.wav");
        if path.exists() {
            hound::WavReader::open(&path).unwrap();
        }
    },
    done: |folder| {
        assert!(hound::WavReader::open(folder.join("x.wav")).unwrap().duration() > 1000);
        serde_json::from_slice::<Value>(&fs::read(folder.join("t.json")).unwrap()).unwrap();
    },
};

macro_rules! cases {
    ($($test:ident: $case:expr,)*) => { $(
        #[test]
        fn $test() {
            let happened = crash(&$case);
            assert!(SHIM.is_none() || happened > 0, "nothing happened to any run");
        }
    )* };
}

cases! {
    report_lines_are_written_exactly_once_across_kills_power_cuts_and_full_disks: REPORT_LINES,
    report_texts_are_written_exactly_once_across_kills_power_cuts_and_full_disks: REPORT_TEXT,
    report_pages_and_plots_are_whole_across_kills_power_cuts_and_full_disks: REPORT_PAGE,
    deliveries_are_spooled_at_least_once_across_kills_power_cuts_and_full_disks: DELIVERIES,
    snapshots_and_events_are_whole_across_kills_power_cuts_and_full_disks: CAPTIONS,
    a_home_is_the_old_or_the_new_one_across_kills_power_cuts_and_full_disks: HOME,
    a_session_is_the_old_or_the_new_one_across_kills_power_cuts_and_full_disks: SESSION,
    a_recording_is_whole_or_absent_across_kills_power_cuts_and_full_disks: RECORDING,
}

/// The library does what it says: at the operation named, and not before.
#[test]
fn a_power_cut_takes_what_was_not_synced_and_leaves_what_was() {
    let Some(library) = SHIM.as_ref() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let mut outcomes = BTreeMap::new();
    for seed in 0..40 {
        let (data, shadow) = (folder.join(format!("d{seed}")), folder.join(format!("s{seed}")));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&shadow).unwrap();
        let program = "import os,sys\n\
            def put(name, text, sync):\n  f = os.open(name, os.O_CREAT | os.O_WRONLY); os.write(f, text); sync and os.fsync(f); os.close(f)\n\
            put('synced', b'one', True)\n\
            d = os.open('.', os.O_RDONLY); os.fsync(d)\n\
            put('unsynced', b'two', False)\n\
            os.rename('unsynced', 'moved')\n\
            put('last', b'x', False)\n";
        let status = Command::new("python3")
            .args(["-c", program])
            .current_dir(&data)
            .env("LD_PRELOAD", library)
            .env("CRASH_FOLDER", &data)
            .env("CRASH_SHADOW", &shadow)
            .env("CRASH_MODE", "power")
            .env("CRASH_SEED", seed.to_string())
            .env("CRASH_AT", "8") // create, write, sync, sync, create, write, rename, create
            .stdin(Stdio::null())
            .status();
        let Ok(status) = status else { return skipped("python3 is not installed") };
        assert_eq!(status.signal(), Some(9), "{status}");
        assert_eq!(fs::read(data.join("synced")).unwrap(), b"one");
        assert!(!data.join("last").exists());
        let names = ["unsynced", "moved"].map(|name| fs::read(data.join(name)).ok());
        *outcomes.entry(names).or_insert(0) += 1;
    }
    // Neither name, the old name, the new name; and the content whole, empty, or of its length without its bytes.
    assert!(outcomes.len() >= 5, "{outcomes:?}");
}
