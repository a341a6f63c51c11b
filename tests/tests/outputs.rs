//! What becomes of files that the program writes: no output is an input, what earlier runs wrote stays, and kill -9 and a full disk
//! leave whole files. `docs/reliability.md` lists what is promised for each.
//!
//! `NEARFIELD_KILLS=500 cargo test --release -p nearfield-tests --test outputs killed` kills more often.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nearfield_tests::{Ran, arg, assets, finish, home, nearfield, program, root, run, skipped, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
const PLAIN: [&str; 6] = ["--set", "llm.model=none", "--set", "window.zone=UTC", "--window", "1m"];
const BLIND: [&str; 4] = ["--set", "vision.model=none", "--set", "gate.min_interval_ms=0"];

/// Readings every 20 s of so many minutes, the first of them at 2026-11-20 00:00 and `from` minutes.
fn readings(from: usize, minutes: usize) -> String {
    let line = |i: usize| {
        let (minute, second) = (from + i / 3, i % 3 * 20);
        format!("2026-11-20T{:02}:{:02}:{second:02}Z,{}\n", minute / 60, minute % 60, i % 7)
    };
    format!("time,hall\n{}", (0..minutes * 3).map(line).collect::<String>())
}

fn report(args: &[&str]) -> Ran {
    run(&[&["report"], args, &PLAIN].concat())
}

/// The starts of the reported windows, as `HH:MM`, in the order of the file. Panics if anything in it is not whole.
fn windows(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let start = |name: &str| name.split('/').next().unwrap()[11..16].to_owned();
    match path.extension().unwrap().to_str().unwrap() {
        "jsonl" => {
            assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end: {text:?}");
            let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
            text.lines().map(|l| start(parse(l)["window"]["start"].as_str().unwrap())).collect()
        }
        "md" => {
            let mut found = Vec::new();
            for record in text.split("<!-- report ").skip(1) {
                let (name, rest) = record.split_once(" -->\n## ").unwrap_or_else(|| panic!("{record:?}"));
                assert!(rest.contains("\n| hall |") && rest.trim_end().ends_with("<!-- end of report -->"), "{rest:?}");
                found.push(start(name));
            }
            found
        }
        _ => {
            assert!(text.is_empty() || text.ends_with("</html>\n"), "the page has no end");
            let sections = text.split("<section data-window=\"").skip(1);
            let whole = |s: &str| assert!(s.contains("</svg>") && s.contains("</section>\n"), "{s}");
            let mut found: Vec<String> = sections.inspect(|s| whole(s)).map(start).collect();
            found.reverse(); // The newest stands first.
            found
        }
    }
}

fn minutes(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|m| format!("{:02}:{:02}", m / 60, m % 60)).collect()
}

#[test]
fn no_command_writes_over_what_it_reads_or_writes_two_things_into_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let put = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).unwrap();
    put("in.jsonl", b"{\"time\":\"2026-11-20T00:30:00Z\",\"a\":1}\n");
    fs::hard_link(path("in.jsonl"), path("hard.svg")).unwrap();
    symlink("in.jsonl", path("soft.md")).unwrap();
    put("report.toml", b"[window]\n");
    put("voice.toml", b"[llm]\n");
    put("token", b"secret");
    fs::create_dir(path("pictures")).unwrap();
    fs::copy(root().join("tests/data/pictures/plain.jpg"), path("pictures/a.jpg")).unwrap();
    fs::hard_link(path("pictures/a.jpg"), path("a.jpg")).unwrap();
    fs::copy(assets().join("home.json"), path("home.json")).unwrap();
    nearfield_tests::write_wav(&path("question.wav"), 16_000, &nearfield_tests::noise(16_000, 0.01));
    let model = nearfield_tests::Ran::from(nearfield(&["models", "path", "talk-nano"]).output().unwrap());
    fs::copy(model.assert_done().stdout.trim(), path("model.gguf")).unwrap();
    let model = format!("llm.model={}", arg(&path("model.gguf")));
    let token = format!("outlets.webhook_token_file={}", arg(&path("token")));
    let store = format!("store.file={}", arg(&path("in.jsonl")));
    let before: BTreeMap<PathBuf, Vec<u8>> =
        ["in.jsonl", "report.toml", "voice.toml", "token", "pictures/a.jpg", "home.json", "question.wav", "model.gguf"]
            .map(|name| (path(name), fs::read(path(name)).unwrap()))
            .into();
    let p = |name: &str| arg(&path(name)).to_owned();
    let input = ["report", "--input", &p("in.jsonl")];
    let more = |more: &[&str]| input.iter().chain(more).map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let own = |args: &[&str]| args.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let cases: Vec<(Vec<String>, [&str; 2])> = vec![
        (more(&["--output", &p("in.jsonl")]), ["--output", "--input"]),
        (more(&["--output", &p("soft.md")]), ["--output", "--input"]),
        (more(&["--plot", &p("hard.svg")]), ["--plot", "--input"]),
        (more(&["--trace", &p("in.jsonl"), "--overwrite"]), ["--trace", "--input"]),
        (more(&["--trace", &p("report.toml"), "--overwrite", "--config", &p("report.toml")]), ["--trace", "--config"]),
        (more(&["--trace", &p("model.gguf"), "--overwrite", "--set", &model]), ["--trace", "llm.model"]),
        (more(&["--trace", &p("token"), "--overwrite", "--set", &token]), ["--trace", "outlets.webhook_token_file"]),
        (more(&["--trace", &p("new.jsonl"), "--output", &p("new.jsonl")]), ["--trace", "--output"]),
        (more(&["--set", &store]), ["the store", "--input"]),
        (own(&["caption", "--input", &p("pictures"), "--snapshots", &p("pictures")]), ["--snapshots", "--input"]),
        (own(&["caption", "--input", &p("pictures/*.jpg"), "--snapshots", &p("pictures")]), ["--snapshots", "--input"]),
        (own(&["caption", "--input", &p("pictures"), "--events", &p("a.jpg")]), ["--events", "--input"]),
        (own(&["caption", "--input", &p("a.jpg"), "--events", &p("pictures/a.jpg")]), ["--events", "--input"]),
        (
            own(&["caption", "--input", &p("pictures"), "--events", &p("e"), "--trace", &p("e")]),
            ["--trace", "--events"],
        ),
        (
            own(&[
                "voice",
                "--text",
                "Hi.",
                "--home",
                &p("home.json"),
                "--trace",
                &p("home.json"),
                "--overwrite",
                "--output",
                "null",
            ]),
            ["--trace", "the home"],
        ),
        (
            own(&["voice", "--input", &p("question.wav"), "--output", &p("question.wav"), "--overwrite"]),
            ["--output", "--input"],
        ),
        (own(&["voice", "--text", "Hi.", "--output", &p("x.wav"), "--trace", &p("x.wav")]), ["--trace", "--output"]),
        (own(&["chat", "Hi.", "--home", &p("home.json"), "--session", &p("home.json")]), ["--session", "the home"]),
        (own(&["chat", "Hi.", "--config", &p("voice.toml"), "--session", &p("voice.toml")]), ["--session", "--config"]),
    ];
    for (args, names) in &cases {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = run(&args);
        ran.assert_fails(2, &[names[0], names[1], "same file"]);
        assert_eq!(ran.stderr.trim().lines().count(), 1, "{args:?}: {ran:#?}");
        for (path, bytes) in &before {
            assert!(fs::read(path).unwrap() == *bytes, "{args:?} has changed {}", path.display());
        }
    }
    for made in ["new.jsonl", "e", "x.wav"] {
        assert!(!path(made).exists(), "{made}");
    }
    // What a shell has opened counts as well.
    for redirected in ["<in.jsonl >>in.jsonl", "--output in.jsonl <in.jsonl", "--input in.jsonl >>in.jsonl"] {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("exec \"$0\" report --set llm.model=none {redirected}"));
        command.arg(program()).current_dir(folder.path());
        finish(command, &[], LIMIT).assert_fails(2, &["standard", "same file"]);
        assert!(fs::read(path("in.jsonl")).unwrap() == before[&path("in.jsonl")], "{redirected}");
    }
}

#[test]
fn a_start_that_fails_leaves_every_output_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("in.csv"), readings(0, 3)).unwrap();
    let report_outputs = ["x.md", "x.jsonl", "x.html", "x.svg", "x.json"];
    for name in report_outputs.into_iter().chain(["e.jsonl", "x.wav"]) {
        fs::write(path(name), "precious").unwrap();
    }
    for (name, option) in report_outputs.into_iter().zip(["--output", "--output", "--output", "--plot", "--trace"]) {
        let input = path("in.csv");
        let ran = run(&[
            "report",
            "--input",
            arg(&input),
            option,
            arg(&path(name)),
            "--overwrite",
            "--set",
            "llm.model=talk-nan",
        ]);
        ran.assert_fails(2, &["talk-nan"]);
    }
    let events = path("e.jsonl");
    run(&[
        "caption",
        "--input",
        arg(&path("in.csv")),
        "--events",
        arg(&events),
        "--overwrite",
        "--set",
        "llm.model=talk-nan",
    ])
    .assert_fails(2, &["talk-nan"]);
    let wav = path("x.wav");
    run(&[
        "say",
        "Hi.",
        "--output",
        arg(&wav),
        "--overwrite",
        "--set",
        "tts.engine=piper",
        "--set",
        "tts.model=none-such",
    ])
    .assert_fails(2, &["none-such"]);
    for name in report_outputs.into_iter().chain(["e.jsonl", "x.wav"]) {
        assert_eq!(fs::read_to_string(path(name)).unwrap(), "precious", "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 8, "nothing else is left behind");
}

#[test]
fn an_output_that_can_not_be_written_is_named_as_the_user_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.csv");
    fs::write(&input, readings(0, 3)).unwrap();
    for (option, path) in [
        ("--output", "/nope/x.html"),
        ("--output", "/nope/x.md"),
        ("--plot", "/nope/x.svg"),
        ("--trace", "/nope/x.json"),
        ("--plot", "/proc/x.svg"),
    ] {
        let ran = report(&["--input", arg(&input), option, path]);
        assert_ne!(ran.code, 0, "{ran:#?}");
        assert!(ran.stderr.contains(path) && ran.stderr.contains("can't be written"), "{ran:#?}");
        assert!(!ran.stderr.contains("tmp") && ran.stderr.trim().lines().count() == 1, "{ran:#?}");
    }
}

#[test]
fn reports_of_earlier_runs_stay_in_their_file_whatever_format_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["r.md", "r.jsonl", "r.html"] {
        let store = format!("store.file={}", arg(&path(&format!("{name}.redb"))));
        let input = path("in.csv");
        // After a reboot the store goes on, with what has come meanwhile.
        for (to, reported) in [(4, 3), (4, 3), (7, 6)] {
            fs::write(&input, readings(0, to)).unwrap();
            let mut child = nearfield(
                &[
                    &[
                        "report",
                        "--input",
                        arg(&input),
                        "--follow",
                        "--output",
                        arg(&path(name)),
                        "--set",
                        &store,
                        "--set",
                        "window.lateness_s=0",
                    ],
                    &PLAIN[..],
                ]
                .concat(),
            )
            .spawn()
            .unwrap();
            let done = wait_for(LIMIT, || path(name).exists() && windows(&path(name)).len() == reported);
            std::thread::sleep(Duration::from_millis(300)); // Time to add what should not be added.
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            child.wait().unwrap();
            assert!(done, "{name}: {:?}", windows(&path(name)));
            assert_eq!(windows(&path(name)), minutes(0, reported), "{name}");
        }
        // Without a store every run reports all, after what is there; or in its place, when that is asked for.
        fs::write(&input, readings(60, 2)).unwrap();
        report(&["--input", arg(&input), "--output", arg(&path(name))]).assert_done();
        assert_eq!(windows(&path(name)), [minutes(0, 6), minutes(60, 62)].concat(), "{name}");
        report(&["--input", arg(&input), "--output", arg(&path(name)), "--overwrite"]).assert_done();
        assert_eq!(windows(&path(name)), minutes(60, 62), "{name}");
    }
}

#[test]
fn a_foreign_text_is_continued_and_a_foreign_page_or_picture_is_refused_until_it_may_be_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let input = path("in.csv");
    fs::write(&input, readings(0, 2)).unwrap();
    let foreign = [
        ("notes.md", "# Notes\n\nno end"),
        ("log.jsonl", "{\"a\":1}\n{\"b\":"),
        ("index.html", "<html></html>\n"),
        ("photo.png", "\u{89}PNG, but of what"),
        ("logo.svg", "<svg xmlns=\"x\"/>"),
    ];
    for (name, text) in foreign {
        fs::write(path(name), text).unwrap();
        let option = if name.ends_with("svg") || name.ends_with("png") { "--plot" } else { "--output" };
        let ran = report(&["--input", arg(&input), option, arg(&path(name))]);
        if name == "notes.md" || name == "log.jsonl" {
            ran.assert_done();
            assert!(fs::read_to_string(path(name)).unwrap().starts_with(&format!("{text}\n")), "{name}");
        } else {
            assert!(ran.code != 0 && ran.stderr.contains("--overwrite") && ran.stderr.contains(name), "{ran:#?}");
            assert_eq!(fs::read_to_string(path(name)).unwrap(), text);
            report(&["--input", arg(&input), option, arg(&path(name)), "--overwrite"]).assert_done();
            // A plot, or a page, of ours takes the place of the one before.
            report(&["--input", arg(&input), option, arg(&path(name))]).assert_done();
            assert_ne!(fs::read(path(name)).unwrap(), text.as_bytes());
        }
    }
}

#[test]
fn a_recording_and_a_trace_are_never_written_over_another_unless_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (wav, trace) = (folder.path().join("x.wav"), folder.path().join("t.json"));
    let say = ["say", "Hello.", "--output", arg(&wav)];
    run(&say).assert_done();
    let first = fs::read(&wav).unwrap();
    hound::WavReader::new(&first[..]).unwrap();
    run(&say).assert_fails(2, &["x.wav", "--overwrite"]);
    let voice = ["voice", "--text", "Hello.", "--output", "null", "--trace", arg(&trace)];
    run(&voice).assert_done();
    run(&voice).assert_fails(2, &["t.json", "--overwrite"]);
    run(&["voice", "--text", "Hello.", "--output", arg(&wav)]).assert_fails(2, &["x.wav", "--overwrite"]);
    assert!(fs::read(&wav).unwrap() == first);
    run(&[&voice[..], &["--overwrite"]].concat()).assert_done();
    let longer = ["say", "Hello, and good morning.", "--output", arg(&wav), "--overwrite"];
    run(&longer).assert_done();
    assert!(fs::read(&wav).unwrap().len() > first.len());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left behind");
}

#[test]
fn snapshots_are_named_by_time_and_every_line_and_event_names_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("pictures")).unwrap();
    for i in 0..3 {
        fs::copy(root().join("tests/data/pictures/plain.jpg"), path(&format!("pictures/{i}.jpg"))).unwrap();
    }
    let config = "[[alerts]]\nname = \"something\"\nwords = [\"scene\"]\ncooldown_s = 0.0\n";
    fs::write(path("caption.toml"), config).unwrap();
    let (pictures, shots, events, toml) = (path("pictures"), path("shots"), path("events.jsonl"), path("caption.toml"));
    let args = [
        "caption",
        "--input",
        arg(&pictures),
        "--snapshots",
        arg(&shots),
        "--events",
        arg(&events),
        "--json",
        "--config",
        arg(&toml),
        "--set",
        "source.camera=back door",
    ];
    let (mut named, mut runs) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let ran = run(&[&args[..], &BLIND[..]].concat());
        let lines = ran.assert_done().json();
        let snapshots: Vec<String> = lines.iter().filter_map(|l| Some(l["snapshot"].as_str()?.to_owned())).collect();
        assert!(!snapshots.is_empty(), "{lines:#?}");
        for line in lines.iter().filter(|l| l["snapshot"].is_string()) {
            // The name is the line's time, and the picture is there.
            let time = line["time"].as_str().unwrap().replace(['-', ':'], "");
            let name = line["snapshot"].as_str().unwrap();
            assert!(name.contains(&format!("back-door-{time}")), "{name}: {time}");
            nearfield_vision::Picture::decode(&fs::read(name).unwrap(), name).unwrap();
        }
        runs.push(snapshots.len());
        named.extend(snapshots);
    }
    let mut there: Vec<String> =
        fs::read_dir(&shots).unwrap().map(|e| e.unwrap().path().to_str().unwrap().to_owned()).collect();
    there.sort();
    assert_eq!(there, named, "{runs:?}: in the order of names they are in the order of time, and none was overwritten");
    let told = fs::read_to_string(&events).unwrap();
    let told: Vec<Value> = told.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let of = |kind: &str| told.iter().filter(|e| e["event"] == kind).filter_map(|e| e["snapshot"].as_str()).count();
    assert!(
        of("caption") > 0
            && told
                .iter()
                .filter(|e| e["event"] == "caption" || e["event"] == "alert")
                .all(|e| Path::new(e["snapshot"].as_str().unwrap()).is_file()),
        "{told:#?}"
    );
}

/// Starts the program and kills it at a random moment; answers whether it had ended by itself.
fn kill_at_random(mut child: Child, random: &mut u64, longest_ms: u64) {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    std::thread::sleep(Duration::from_micros((*random >> 33) % (longest_ms * 1000)));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn kills() -> usize {
    std::env::var("NEARFIELD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

#[test]
fn reports_killed_at_random_moments_come_into_their_file_exactly_once_and_whole() {
    // Windows, and the longest life of a run: a page is written whole with each report.
    for (name, count, longest_ms) in [("r.jsonl", 600, 250), ("r.md", 600, 250), ("r.html", 150, 250)] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (input, output) = (path("in.csv"), path(name));
        fs::write(&input, readings(0, count + 1)).unwrap();
        let store = format!("store.file={}", arg(&path("store.redb")));
        let args = [
            &[
                "report",
                "--input",
                arg(&input),
                "--follow",
                "--output",
                arg(&output),
                "--set",
                &store,
                "--set",
                "window.lateness_s=0",
            ],
            &PLAIN[..],
        ]
        .concat();
        let start = || nearfield(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (mut random, mut in_between) = (0x9e37_79b9_u64, 0);
        for _ in 0..kills().div_ceil(3) {
            kill_at_random(start(), &mut random, longest_ms);
            in_between += usize::from(output.exists() && (1..count).contains(&last_whole(&output)));
        }
        let mut child = start();
        let done = wait_for(LIMIT, || {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            output.exists() && last_whole(&output) >= count
        });
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        child.wait().unwrap();
        assert!(done, "{name}: {} of {count}", last_whole(&output));
        assert_eq!(windows(&output), minutes(0, count), "{name}");
        assert!(in_between > 0, "no run of {name} was killed between the first window and the last");
        let left = fs::read_dir(folder.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("tmp"));
        assert_eq!(left.count(), 0, "temporary files of killed runs stay");
    }
}

/// Roughly how many reports a file holds that may end within one.
fn last_whole(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|l| l.starts_with("{\"window\"") || l.starts_with("<!-- end of") || *l == "</section>").count()
}

#[test]
fn recordings_homes_and_snapshots_of_killed_runs_are_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let home = home(folder.path());
    let mut random = 0x517c_c1b7_u64;
    for i in 0..kills() / 4 {
        let text = if i % 2 == 0 { "Turn on the kitchen light." } else { "Turn off the kitchen light." };
        let wav = path("x.wav");
        let child = nearfield(&["voice", "--text", text, "--home", arg(&home), "--output", arg(&wav), "--overwrite"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        kill_at_random(child, &mut random, 900);
        serde_json::from_str::<Value>(&fs::read_to_string(&home).unwrap()).unwrap();
        if wav.exists() {
            hound::WavReader::open(&wav).unwrap();
        }
    }
    fs::create_dir(path("pictures")).unwrap();
    for i in 0..40 {
        let name = if i % 2 == 0 { "plain.jpg" } else { "cmyk.jpg" };
        fs::copy(root().join("tests/data/pictures").join(name), path(&format!("pictures/{i}.jpg"))).unwrap();
    }
    let (pictures, shots, events) = (path("pictures"), path("shots"), path("events.jsonl"));
    for _ in 0..kills() / 4 {
        let args = ["caption", "--input", arg(&pictures), "--snapshots", arg(&shots), "--events", arg(&events)];
        let child =
            nearfield(&[&args[..], &BLIND[..]].concat()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        kill_at_random(child, &mut random, 400);
    }
    run(&[&["caption", "--input", arg(&pictures), "--snapshots", arg(&shots), "--events", arg(&events)], &BLIND[..]]
        .concat())
    .assert_done();
    for entry in fs::read_dir(&shots).unwrap() {
        let file = entry.unwrap().path();
        assert!(file.extension().is_some_and(|e| e == "jpg"), "{} is left behind", file.display());
        nearfield_vision::Picture::decode(&fs::read(&file).unwrap(), arg(&file)).unwrap();
    }
    for line in fs::read_to_string(&events).unwrap().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    }
}

/// The program, allowed to write files of so many bytes only: the write beyond fails as it does on a full disk.
fn limited(bytes: u64, args: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$0\" -- \"$@\"", &bytes.to_string()]);
    command.arg(program()).args(args);
    command.env("NEARFIELD_DATA", nearfield_data());
    finish(command, &[], LIMIT)
}

fn nearfield_data() -> PathBuf {
    std::env::var_os("NEARFIELD_DATA").map_or_else(|| root().join(".data"), PathBuf::from)
}

#[test]
fn a_report_that_does_not_fit_leaves_the_reports_before_it_and_the_cause_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let input = path("in.csv");
    for name in ["r.md", "r.jsonl", "r.html"] {
        fs::write(&input, readings(0, 2)).unwrap();
        report(&["--input", arg(&input), "--output", arg(&path(name))]).assert_done();
        let before = windows(&path(name));
        let room = fs::metadata(path(name)).unwrap().len() * 5 / 2;
        fs::write(&input, readings(60, 30)).unwrap();
        let output = path(name);
        let args = [&["report", "--input", arg(&input), "--output", arg(&output)], &PLAIN[..]].concat();
        limited(room, &args).assert_fails(1, &[name, "larger than is allowed"]);
        let after = windows(&path(name));
        assert!(after.len() > before.len() && after.len() < 10, "{name}: {after:?}");
        assert_eq!(after, [before, minutes(60, 60 + after.len() - 2)].concat(), "{name}");
    }
}

/// A file system of so many bytes that is gone with the value; `None`, said aloud, where mounting is not allowed.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(bytes: u64) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "nearfield-test", arg(folder.path())]).output();
        if mount.is_ok_and(|o| o.status.success()) {
            return Some(SmallDisk { folder });
        }
        skipped("a small tmpfs can't be mounted (that needs root)");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves no byte free.
    fn fill(&self) {
        use std::io::Write;
        let mut file = fs::File::create(self.path("filler")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_reports_pictures_recordings_sessions_and_homes_as_they_were_and_is_told() {
    let Some(disk) = SmallDisk::mount(16 << 20) else { return };
    let input = tempfile::tempdir().unwrap();
    let readings_file = input.path().join("in.csv");
    fs::write(&readings_file, readings(0, 2)).unwrap();
    let pictures = input.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    fs::copy(root().join("tests/data/pictures/plain.jpg"), pictures.join("a.jpg")).unwrap();
    let home = home(disk.folder.path());
    let p = |name: &str| arg(&disk.path(name)).to_owned();
    let csv = arg(&readings_file).to_owned();
    let own = |args: &[&str], more: &[&str]| args.iter().chain(more).map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let runs: Vec<(&str, Vec<String>)> = vec![
        ("r.md", own(&["report", "--input", &csv, "--output", &p("r.md")], &PLAIN)),
        ("r.jsonl", own(&["report", "--input", &csv, "--output", &p("r.jsonl")], &PLAIN)),
        ("r.html", own(&["report", "--input", &csv, "--output", &p("r.html")], &PLAIN)),
        ("p.svg", own(&["report", "--input", &csv, "--plot", &p("p.svg")], &PLAIN)),
        ("t.json", own(&["report", "--input", &csv, "--trace", &p("t.json"), "--overwrite"], &PLAIN)),
        ("shots", own(&["caption", "--input", arg(&pictures), "--snapshots", &p("shots")], &BLIND)),
        ("e.jsonl", own(&["caption", "--input", arg(&pictures), "--events", &p("e.jsonl")], &BLIND)),
        ("w.wav", own(&["say", "Hello, and good morning.", "--output", &p("w.wav"), "--overwrite"], &[])),
        ("talk.session", own(&["chat", "How warm is it in the kitchen?", "--session", &p("talk.session")], &[])),
    ];
    let args = |args: &[String]| -> Ran { run(&args.iter().map(String::as_str).collect::<Vec<_>>()) };
    for (_, command) in &runs {
        args(command).assert_done();
    }
    let content = || -> BTreeMap<PathBuf, Vec<u8>> {
        let files = |folder: &Path| {
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect::<Vec<_>>()
        };
        let all = [files(disk.folder.path()), files(&disk.path("shots"))].concat();
        all.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    disk.fill();
    let mut before = content();
    assert!(before.len() >= 11, "{:?}", before.keys());
    for (name, command) in &runs {
        let ran = args(command);
        // Room in the last page of a file may let a report or two in, whole.
        let may_grow = ["r.md", "r.jsonl", "e.jsonl"].contains(name);
        if ran.code != 0 {
            assert!(ran.stderr.contains("the disk is full") && ran.stderr.contains(name), "{ran:#?}");
            assert!(!ran.stderr.contains(".nearfield-"), "{ran:#?}");
        }
        assert!(ran.code != 0 || may_grow, "{name} was written on a full disk: {ran:#?}");
        let after = content();
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{name}");
        for (path, bytes) in &before {
            let now = &after[path];
            let is_kept = if may_grow && path.ends_with(name) { now.starts_with(bytes) } else { now == bytes };
            assert!(is_kept, "{} was changed by {name}", path.display());
        }
        match *name {
            "r.md" | "r.jsonl" => drop(windows(&disk.path(name))),
            "e.jsonl" => fs::read_to_string(disk.path(name)).unwrap().lines().for_each(|line| {
                serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
            }),
            _ => {}
        }
        // The next one starts from the same.
        before = after;
    }
    let said = nearfield_tests::ask(&home, &["Turn on the kitchen light."]);
    assert!(format!("{said:?}").contains("the disk is full"), "{said:#?}");
    assert!(fs::read(&home).unwrap() == before[&home]);
    // Room again: everything goes on.
    fs::remove_file(disk.path("filler")).unwrap();
    for (_, command) in &runs {
        args(command).assert_done();
    }
    assert_eq!(windows(&disk.path("r.html")).len() % 2, 0);
}
