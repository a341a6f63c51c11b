//! Nothing that the program quotes reaches the terminal as a command, and each error is said once: file names, labels and topics
//! of the hostile kind, from outside.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nearfield_tests::{Ran, arg, run};
use nearfield_vision::{Picture, encode_jpeg};

/// A name that sets the window's title, rings, clears the screen, writes backwards, and fakes a line.
const NAME: &str = "a\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\n2026-01-01T00:00:00Z ERROR all is lost.jpg";

fn assert_harmless(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let obeyed = |c: char| (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!text.contains(obeyed), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "a faked line: {text:?}");
    }
}

fn picture() -> Vec<u8> {
    encode_jpeg(&Picture::from_rgb(32, 24, vec![120; 32 * 24 * 3], "made").unwrap(), 80).unwrap()
}

#[test]
fn file_names_reach_neither_terminal_nor_log_raw() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join(NAME);
    fs::write(&good, picture()).unwrap();
    fs::write(folder.path().join(format!("broken {NAME}")), b"no picture").unwrap();
    let not_utf8 = PathBuf::from(std::ffi::OsStr::from_bytes(b"\x9b2J\xff.jpg"));
    fs::write(folder.path().join(not_utf8), b"no picture").unwrap();
    for more in [&["--json"][..], &[], &["-v"]] {
        let ran = run(&[&["caption", "--input", arg(folder.path()), "--set", "vision.model=none"], more].concat());
        assert_harmless(ran.assert_done());
        if more == ["--json"] {
            let lines = ran.json();
            assert!(lines[0]["source"].as_str().unwrap().ends_with(NAME), "JSON says the real name: {}", lines[0]);
        }
    }
    for args in [
        &["transcribe", NAME][..],
        &["caption", "--input", NAME],
        &["report", "--input", NAME],
        &["voice", "--input", NAME, "--output", "null"],
        &["voice", "--text", "hi", "--output", NAME],
        &["chat", "--home", NAME, "hi"],
        &["chat", "--set", &format!("llm.model={NAME}"), "hi"],
        &["caption", "--config", NAME],
        &["caption", "--set", NAME],
        &["models", "show", NAME],
        &[NAME],
    ] {
        let ran = run(args);
        assert!(ran.code == 1 || ran.code == 2, "{args:?}: {ran:#?}");
        assert_harmless(&ran);
    }
}

#[test]
fn labels_and_names_of_a_configuration_reach_no_terminal_raw() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jpg");
    fs::write(&path, picture()).unwrap();
    let camera = format!("source.camera={NAME}");
    let alert = format!("alerts=[{{name={}, words=[\"scene\", \"nothing\", \"a\"]}}]", toml_text(NAME));
    let nominal = format!("nominal.picture={}", arg(&path));
    let caption = format!("nominal.caption={NAME}");
    let args =
        ["caption", "--input", arg(&path), "--set", &camera, "--set", &alert, "--set", &nominal, "--set", &caption];
    for more in [&[][..], &["--json"]] {
        assert_harmless(run(&[&args[..], more].concat()).assert_done());
    }
    let objects = format!("alerts=[{{name=\"x\", objects=[{}]}}]", toml_text(NAME));
    let ran = run(&["caption", "--input", arg(&path), "--set", &objects]);
    ran.assert_fails(2, &["finds no object"]);
    assert_harmless(&ran);
}

/// A string of TOML.
fn toml_text(text: &str) -> String {
    let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}

#[test]
fn readings_and_units_reach_no_terminal_and_no_page_raw() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("x.jsonl");
    let unit = "<b>\u{1b}[2J";
    let lines: String = (0..120)
        .map(|i| {
            let time = format!("2026-01-05T10:{:02}:{:02}Z", i / 2, i % 2 * 30);
            let row = serde_json::json!({"time": time, "sensor": NAME, "value": 20 + i % 3, "unit": unit});
            format!("{row}\n")
        })
        .collect();
    fs::write(&input, lines).unwrap();
    let (html, md) = (folder.path().join("x.html"), folder.path().join("x.md"));
    for more in [&["--json"][..], &[], &["--output", arg(&html)], &["--output", arg(&md)]] {
        let ran =
            run(&[&["report", "--input", arg(&input), "--set", "llm.model=none", "--window", "1h"], more].concat());
        assert_harmless(ran.assert_done());
    }
    for page in [html, md] {
        let text = fs::read_to_string(page).unwrap();
        assert!(text.contains("title") && !text.contains("<b>") && !text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn the_systems_word_is_said_once() {
    for args in [
        &["transcribe", "/nope/x.wav"][..],
        &["caption", "--input", "/nope/x.jpg"],
        &["caption", "--input", "/nope/*.jpg"],
        &["caption", "--input", "/nope/x.mp4"],
        &["report", "--input", "/nope/x.csv"],
        &["voice", "--input", "/nope/x.wav", "--output", "null"],
        &["voice", "--text", "hi", "--output", "/nope/x.wav"],
        &["voice", "--home", "/nope/home.json", "--text", "hi", "--output", "null"],
        &["chat", "--set", "llm.model=/nope/x.gguf", "hi"],
        &["chat", "--session", "/nope/x.session", "hi"],
        &["transcribe", "--set", "stt.model=/nope/x.bin", "x.wav"],
        &["caption", "--input", "x.jpg", "--set", "vision.model=/nope/x.onnx"],
        &["caption", "--input", "x.jpg", "--set", "nominal.picture=/nope/x.png"],
        &["caption", "--input", "x.jpg", "--config", "/nope/x.toml"],
        &["caption", "--input", "x.jpg", "--set", "output.schema=/nope/x.json"],
    ] {
        let ran = run(args);
        assert!(ran.code == 1 || ran.code == 2, "{args:?}: {ran:#?}");
        let said = ran.stderr.matches("os error").count();
        let lines = ran.stderr.lines().filter(|l| l.contains("os error")).count();
        assert!(said <= lines, "{args:?}: {}", ran.stderr);
        println!("{args:?}: {}", ran.stderr.trim());
    }
}
