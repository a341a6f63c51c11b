//! The command line as others rely on it: names, exit statuses, where results go and where errors go.

use std::process::Stdio;
use std::time::Duration;

use nearfield_tests::{arg, assets, finish, home, nearfield, run, run_with_input, wait_for};

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in ["voice", "transcribe", "say", "chat", "devices", "models", "doctor", "bench"] {
        let ran = run(&[command, "--help"]);
        ran.assert_done();
        assert!(ran.stdout.contains("nearfield ") && ran.stdout.contains("Example"), "{command}: {}", ran.stdout);
    }
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_wrong() {
    run(&[]).assert_fails(2, &["Usage"]);
    run(&["voice", "--inptu", "x.wav"]).assert_fails(2, &["--inptu", "--input"]);
    run(&["fly"]).assert_fails(2, &["fly"]);
    run(&["voice", "--text", "hello", "--output", "answer.mp3"]).assert_fails(2, &["answer.mp3", ".wav"]);
    run(&["bench", "dance"]).assert_fails(2, &["dance"]);
}

#[test]
fn a_configuration_with_an_unknown_key_exits_with_2_naming_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("voice.toml");
    std::fs::write(&file, "[llm]\nmodel = \"talk-nano\"\n\n[stt]\nmodle = \"x\"\n").unwrap();
    run(&["voice", "--text", "hello", "--output", "null", "--config", arg(&file)])
        .assert_fails(2, &["voice.toml:5", "modle", "model"]);
    std::fs::write(&file, "[llm]\ncontext_tokens = -1\n").unwrap();
    run(&["chat", "hello", "--config", arg(&file)]).assert_fails(2, &["voice.toml:2", "-1"]);
    run(&["chat", "hello", "--config", "/nowhere/voice.toml"]).assert_fails(2, &["/nowhere/voice.toml"]);
    run(&["chat", "hello", "--set", "llm.colour=red"]).assert_fails(2, &["llm.colour=red", "colour"]);
}

#[test]
fn the_shipped_configurations_load() {
    let config = nearfield_tests::root().join("configs/voice.toml");
    let ran = run(&["chat", "Hello.", "--json", "--config", arg(&config)]);
    ran.assert_done();
    assert_eq!(ran.json().len(), 1);
}

#[test]
fn completions_and_the_manual_page_are_generated() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).assert_done().stdout.contains("transcribe"), "{shell}");
    }
    let man = run(&["man"]);
    assert!(man.assert_done().stdout.contains(".TH") && man.stdout.contains("transcribe"));
}

#[test]
fn the_version_names_the_kernels_level() {
    let ran = run(&["--version"]);
    assert!(ran.assert_done().stdout.contains("kernels: "), "{}", ran.stdout);
    let mut scalar = nearfield(&["--version"]);
    scalar.env("NEARFIELD_SIMD", "scalar");
    let ran = nearfield_tests::finish(scalar, &[], Duration::from_secs(10));
    assert!(ran.stdout.contains("scalar"), "{}", ran.stdout);
}

#[test]
fn results_go_to_stdout_and_logs_to_stderr() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let ran = run(&[
        "-vv",
        "voice",
        "--text",
        "Is the front door locked?",
        "--home",
        arg(&home),
        "--output",
        "null",
        "--json",
    ]);
    ran.assert_done();
    assert_eq!(ran.json().len(), 1, "stdout holds JSON and nothing else");
    assert!(!ran.stderr.is_empty());
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let mut child = nearfield(&["models", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(wait_for(Duration::from_secs(20), || child.try_wait().unwrap().is_some()));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");

    let mut child = nearfield(&["voice", "--text", "Hello.", "--text", "Thank you.", "--output", "null"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(wait_for(Duration::from_secs(20), || child.try_wait().unwrap().is_some()));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn chat_goes_on_with_a_saved_session_and_never_overwrites_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let (home, file) = (home(folder.path()), folder.path().join("talk.session"));
    let chat = |question: &str| run(&["chat", question, "--json", "--home", arg(&home), "--session", arg(&file)]);
    let first = chat("How warm is it in the kitchen?");
    first.assert_done();
    let tokens = |line: &serde_json::Value, key: &str| line["tokens"][key].as_u64().unwrap();
    let read = tokens(&first.json()[0], "prefilled") + tokens(&first.json()[0], "reused");
    let second = chat("Is the front door locked?");
    second.assert_done();
    let line = &second.json()[0];
    assert!(tokens(line, "reused") >= read, "{line}: the first question's {read} tokens are there");
    assert!(tokens(line, "prefilled") < 50, "{line}");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let third = chat("Hello.");
    third.assert_done();
    assert!(third.stderr.contains("talk.session") && third.stderr.contains("damaged"), "{}", third.stderr);
    chat("Hello.").assert_done();
    std::fs::write(&file, "Dear diary, ".repeat(20)).unwrap();
    chat("Hello.").assert_fails(1, &["talk.session", "not a saved session"]);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("Dear diary"));
}

#[test]
fn a_line_that_cannot_be_answered_is_refused_and_the_lines_behind_it_are_answered() {
    let mut input = b"Hello.\n".to_vec();
    input.extend(std::iter::repeat_n(b'x', 3 << 20));
    input.extend(b"\nHello.\n\xff\xfe\n");
    input.extend("word ".repeat(20_000).bytes());
    input.extend(b"\nHello.\n");
    let ran = run_with_input(&["chat", "--json"], &input);
    assert_eq!(ran.json().len(), 3, "{ran:#?}");
    assert!(ran.json().iter().all(|line| line["prompt"] == "Hello." && line["reply"] != ""), "{ran:#?}");
    let says = [
        "line 2 is not answered: it has 3145728 bytes; at most 1048576",
        "line 4 is not answered: it is not UTF-8",
        "line 5 is not answered: the prompt has",
        "3 lines of standard input were not answered",
    ];
    ran.assert_fails(1, &says);
}

#[test]
fn chat_answers_line_by_line_from_stdin() {
    let ran = run_with_input(&["chat", "--json"], b"Hello.\n\nThank you.\n");
    ran.assert_done();
    assert_eq!(ran.json().len(), 2);
}

#[test]
fn an_unknown_model_exits_with_2_and_the_nearest_names() {
    run(&["models", "show", "whisper-bse"]).assert_fails(2, &["whisper-bse", "whisper-base"]);
    run(&["chat", "hello", "--set", "llm.model=talk-nan"]).assert_fails(2, &["talk-nan", "talk-nano"]);
}

#[test]
fn doctor_checks_every_part_and_prints_one_object_a_line() {
    let ran = run(&["doctor", "--json"]);
    let checks = ran.json();
    let status = |name: &str| checks.iter().find(|c| c["name"] == name).map(|c| c["status"].clone());
    assert_eq!(status("language model"), Some("ok".into()), "{checks:#?}");
    assert_eq!(status("speech to text"), Some("ok".into()), "{checks:#?}");
    assert!(checks.len() >= 9);
}

#[test]
fn doctor_says_what_a_missing_ffmpeg_is_needed_for() {
    let mut command = nearfield(&["doctor", "--json"]);
    command.env("PATH", "/nowhere");
    let ran = finish(command, &[], Duration::from_secs(60));
    let ffmpeg = ran.json().into_iter().find(|c| c["name"] == "ffmpeg").unwrap();
    let detail = ffmpeg["detail"].as_str().unwrap();
    assert_eq!(ffmpeg["status"], "warning");
    assert!(["not installed", "RTSP", "apt-get install ffmpeg"].iter().all(|w| detail.contains(w)), "{detail}");
}

#[test]
fn models_show_tells_what_a_file_of_the_users_own_is() {
    let talk = assets().join("models/talk-nano.gguf");
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("mine.gguf");
    std::fs::copy(&talk, &own).unwrap();
    let ran = run(&["models", "show", arg(&own), "--json"]);
    let told = &ran.assert_done().json()[0];
    assert_eq!(told["bytes"], own.metadata().unwrap().len(), "{told}");
    assert!(told["llm"]["context_length"].as_u64() > Some(0) && told["llm"]["dialect"].is_string(), "{told}");
    let text = run(&["models", "show", arg(&own)]);
    for field in ["architecture", "context", "type", "dialect", "a language model (GGUF)"] {
        assert!(text.assert_done().stdout.contains(field), "{field}: {}", text.stdout);
    }
    for absent in ["/nowhere/x.gguf", "x.gguf"] {
        let said = run(&["models", "show", absent]);
        said.assert_fails(1, &["there is no model file at", absent]);
    }
    std::fs::write(&own, b"GGUF and nothing else").unwrap();
    run(&["models", "show", arg(&own)]).assert_fails(1, &["mine.gguf"]);
}

#[test]
fn doctor_checks_what_the_command_needs_whose_file_it_is_given() {
    let configs = assets().join("../configs");
    let checks = |args: &[&str]| -> Vec<(String, String, String)> {
        let ran = run(&[&["doctor", "--json"], args].concat());
        let field = |check: &serde_json::Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        ran.json().iter().map(|it| (field(it, "name"), field(it, "status"), field(it, "detail"))).collect()
    };
    let has = |all: &[(String, String, String)], name: &str| all.iter().any(|(it, ..)| it == name);
    for (file, there, absent) in [
        ("caption.toml", "vision model", "speech to text"),
        ("report.toml", "language model", "text to speech"),
        ("run.toml", "speech to text", "microphone"),
        ("voice.toml", "microphone", "vision model"),
    ] {
        let all = checks(&["--config", arg(&configs.join(file))]);
        assert!(has(&all, there) && !has(&all, absent) && has(&all, "data folder"), "{file}: {all:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("own.toml");
    std::fs::write(&config, "[[caption]]\nname = \"door\"\ninput = \"x.jpg\"\nvision.model = \"nothing\"\n").unwrap();
    let all = checks(&["--config", arg(&config)]);
    let flow = all.iter().find(|(name, ..)| name == "flow").unwrap();
    assert!(flow.1 == "failed" && flow.2.contains("door (caption)") && flow.2.contains("nothing"), "{flow:?}");
    // A folder that is a file can't be written, whoever runs the test.
    let mut command =
        nearfield(&["doctor", "--json", "--set", "llm.model=none", "--config", arg(&configs.join("report.toml"))]);
    command.env("NEARFIELD_DATA", &config);
    finish(command, b"", std::time::Duration::from_secs(60)).assert_fails(1, &["1 checks failed"]);
}

#[test]
fn a_file_of_another_command_a_wrong_model_and_a_wrong_type_are_named_with_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("report.toml");
    std::fs::write(&config, "[report]\nlanguage = \"german\"\n").unwrap();
    run(&["run", "--check", "--config", arg(&config)]).assert_fails(2, &["[[report]]", "`nearfield report`"]);
    std::fs::write(&config, "[[report]]\nnam = \"a\"\ninput = \"b\"\n").unwrap();
    run(&["run", "--check", "--config", arg(&config)]).assert_fails(2, &["did you mean `name`?"]);
    std::fs::write(&config, "[[report]]\nname = \"台所\"\ninput = \"b\"\n").unwrap();
    run(&["run", "--check", "--config", arg(&config)]).assert_fails(2, &["a to z"]);
    for what in ["stt", "tts", "caption", "report", "llm"] {
        run(&["bench", what, "--model", "nope"]).assert_fails(2, &["there is no model named", "nope"]);
    }
    let ran = run(&["models", "quantize", arg(&assets().join("models/talk-nano.gguf")), "b.gguf", "--type", "q4"]);
    ran.assert_fails(2, &["Q4_K_M", "auto"]);
    assert!(!ran.stderr.contains("\\n"), "{}", ran.stderr);
    let home = folder.path().join("home.yaml");
    std::fs::write(&home, "\n").unwrap();
    run(&["chat", "hello", "--home", arg(&home)]).assert_fails(1, &["home.yaml", "it is empty"]);
}
