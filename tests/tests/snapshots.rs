//! What people read, word for word: the help of every command, the errors of usual mistakes, tables, reports and captions. After a
//! change that is wanted, `SNAPSHOTS=overwrite cargo test --release -p nearfield-tests --test snapshots` writes them anew.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nearfield_tests::{Ran, arg, assets, finish, nearfield, root};

/// Compares a text with `snapshots/NAME`. Paths of this run and of this clone are written as `[FOLDER]` and `[CLONE]`.
fn assert_snapshot(name: &str, text: &str, folder: &Path) {
    let clone = root();
    let text = text.replace(arg(folder), "[FOLDER]").replace(arg(&clone), "[CLONE]");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    snapbox::assert_data_eq!(text, snapbox::Data::read_from(&path, None).raw());
}

/// Runs in `folder`, with nothing but the bundled models.
fn run_in(folder: &Path, args: &[&str]) -> Ran {
    let mut command = nearfield(args);
    command.current_dir(folder).env("HF_HOME", folder.join("hub")).env("NEARFIELD_DATA", folder.join("data"));
    command.env("NEARFIELD_ASSETS", assets()).env("TZ", "UTC");
    finish(command, &[], Duration::from_secs(60))
}

#[test]
fn the_help_of_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let commands = [
        "voice",
        "caption",
        "report",
        "transcribe",
        "say",
        "wake",
        "chat",
        "batch",
        "run",
        "ps",
        "top",
        "reload",
        "stop",
        "devices",
        "models",
        "doctor",
        "bench",
        "eval",
        "completions",
        "man",
    ];
    let models = ["list", "show", "pull", "verify", "path", "convert", "imatrix", "quantize"];
    let eval = ["perplexity", "kld", "suite", "choice", "recall", "rouge", "bundled", "assist", "home", "anomalies"];
    let mut all = vec![vec![]];
    all.extend(commands.iter().map(|command| vec![*command]));
    all.extend(models.iter().map(|action| vec!["models", *action]));
    all.extend(eval.iter().map(|what| vec!["eval", *what]));
    all.extend(["test", "enroll"].map(|action| vec!["wake", action]));
    for mut command in all {
        let name = [&["nearfield"], &command[..]].concat().join("-");
        command.push("--help");
        let ran = run_in(folder.path(), &command);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        assert_snapshot(&format!("help/{name}.txt"), &ran.stdout, folder.path());
    }
}

#[test]
fn the_errors_of_usual_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put("typing-error.toml", "[llm]\nmodel = \"talk-nano\"\n\n[stt]\nmodle = \"x\"\n");
    put("wrong-type.toml", "[llm]\ncontext_tokens = \"many\"\n");
    put("unclosed.toml", "[llm\nmodel = 1\n");
    put("home.json", "{\"rooms\": {\"kitchen\": {\"light\": \"dim\"}}}");
    put("notes.txt", "no picture, no sound, no readings");
    put("there.wav", "RIFF");
    put("readings.csv", "time,temperature\n2026-11-20T10:00:00Z,20.5\n");
    let mut transcript = String::new();
    for args in [
        // The command line.
        &["fly"][..],
        &["voice", "--inptu", "x.wav"],
        &["voice", "--text", "hello", "--output", "answer.mp3"],
        &["say", "Hello.", "--output", "there.wav"],
        &["bench", "dance"],
        &["caption"],
        &["caption", "--input", "x.jpg", "--every=-5"],
        &["report", "--input", "readings.csv", "--window", "fortnight"],
        &["report", "--input", "readings.csv", "--output", "report.pdf"],
        &["report", "--input", "readings.csv", "--plot", "plot.gif"],
        &["report", "--input", "-", "--follow"],
        &["report", "--input", "ftp://hub/readings.csv"],
        &["report", "--input", "readings.csv", "--output", "readings.csv"],
        // The configuration.
        &["voice", "--config", "missing.toml"],
        &["voice", "--config", "typing-error.toml"],
        &["voice", "--config", "wrong-type.toml"],
        &["voice", "--config", "unclosed.toml"],
        &["chat", "hello", "--set", "llm.colour=red"],
        &["chat", "hello", "--set", "llm.threads"],
        &["chat", "hello", "--set", "llm.sampler.temperature=-5"],
        &["caption", "--input", "x.jpg", "--set", "llm.sampler.top_p=7"],
        &["report", "--input", "readings.csv", "--set", "window.zone=Mars"],
        &["caption", "--input", "x.jpg", "--set", "alerts=[{name=\"door\", objects=[\"persn\"]}]"],
        // Files.
        &["transcribe", "missing.wav"],
        &["transcribe", "notes.txt"],
        &["caption", "--input", "missing.jpg"],
        &["caption", "--input", "*.png"],
        &["caption", "--input", "a[1.png"],
        &["report", "--input", "missing.csv"],
        &["report", "--input", "notes.txt", "--set", "llm.model=none"],
        &["chat", "hello", "--home", "missing.json"],
        &["chat", "hello", "--home", "home.json"],
        // Models.
        &["models", "show", "whisper-bse"],
        &["chat", "hello", "--set", "llm.model=talk-nan"],
        &["chat", "hello", "--set", "llm.model=hear-nano"],
        &["chat", "hello", "--set", "llm.model=qwen2.5-0.5b-instruct-q8_0"],
        &["chat", "hello", "--set", "llm.model=./missing.gguf"],
        &["chat", "hello", "--set", "llm.model=./notes.txt"],
    ] {
        let ran = run_in(folder.path(), args);
        assert!(ran.code == 1 || ran.code == 2, "{args:?}: {ran:#?}");
        assert_eq!(ran.stdout, "", "{args:?}");
        let quoted: Vec<String> = args
            .iter()
            .map(|a| if a.contains([' ', '"', '*', '[']) { format!("'{a}'") } else { (*a).to_owned() })
            .collect();
        transcript.push_str(&format!(
            "$ nearfield {}\n{}[exit {}]\n\n",
            quoted.join(" "),
            logged(&ran.stderr),
            ran.code
        ));
    }
    assert_snapshot("mistakes.txt", &transcript, folder.path());
}

#[test]
fn tables_of_models() {
    let folder = tempfile::tempdir().unwrap();
    let listed = run_in(folder.path(), &["models", "list"]);
    let head: String = listed.assert_done().stdout.lines().take(6).map(|line| format!("{line}\n")).collect();
    assert_snapshot("models-list.txt", &head, folder.path());
    let shown = run_in(folder.path(), &["models", "show", "talk-nano"]);
    assert_snapshot("models-show.txt", &shown.assert_done().stdout, folder.path());
    let shown = run_in(folder.path(), &["models", "show", "piper-en_US-lessac-medium"]);
    assert_snapshot("models-show-available.txt", &shown.assert_done().stdout, folder.path());
}

#[test]
fn a_report_computed_without_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let input = assets().join("telemetry/day.csv");
    let args = ["report", "--input", arg(&input), "--set", "llm.model=none", "--set", "window.zone=UTC"];
    let ran = run_in(folder.path(), &args);
    assert_snapshot("report.txt", &ran.assert_done().stdout, folder.path());
    run_in(folder.path(), &[&args[..], &["--output", "report.md"]].concat()).assert_done();
    let text = fs::read_to_string(folder.path().join("report.md")).unwrap();
    assert_snapshot("report.md", &text, folder.path());
}

#[test]
fn captions_computed_by_rule() {
    let folder = tempfile::tempdir().unwrap();
    let input = assets().join("pictures");
    let ran = run_in(folder.path(), &["caption", "--input", arg(&input), "--set", "caption.by_rule=true"]);
    assert_snapshot("captions.txt", &without_times(&ran.assert_done().stdout), folder.path());
}

/// Log lines begin with the time.
fn logged(text: &str) -> String {
    let line = |line: &str| match line.split_once("Z ") {
        Some((time, rest)) if time.starts_with("20") => format!("[TIME] {rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Times of the day and durations differ from run to run.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| word.bytes().any(|b| b.is_ascii_digit()) && word.contains([':', '.']);
    let line =
        |line: &str| line.split(' ').map(|w| if is_time(w) { "[TIME]" } else { w }).collect::<Vec<_>>().join(" ");
    text.lines().map(|l| line(l) + "\n").collect()
}
