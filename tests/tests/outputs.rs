//! What becomes of files that the program writes: no output is an input, and what earlier runs wrote stays. `docs/reliability.md` lists
//! what is promised for each; `outputs_interrupted.rs` tests kill -9 and full disks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nearfield_tests::outputs::{BLIND, PLAIN, minutes, readings, report, windows};
use nearfield_tests::{arg, assets, finish, nearfield, program, root, run, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

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
    let of_a_voice = ["remote.key_file", "home.sentences", "home.remember", "home.timers", "turn.model"].map(|key| {
        let set = format!("{key}={}", p(if key == "turn.model" { "model.gguf" } else { "token" }));
        let trace = p(if key == "turn.model" { "model.gguf" } else { "token" });
        let args =
            own(&["voice", "--text", "Hi.", "--output", "null", "--trace", &trace, "--overwrite", "--set", &set]);
        (args, ["--trace", key])
    });
    for (args, names) in cases.iter().chain(&of_a_voice) {
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
