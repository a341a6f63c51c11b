//! Runs each example on the bundled models, as `cargo run --example` would, and on real models where they are there.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use nearfield_testdata::{asset, root, test_model};

/// An example as cargo built it, beside the folder of this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let file = test.ancestors().nth(2).expect("target/release/deps/run").join("examples").join(name);
    assert!(file.is_file(), "{} is not built: run `cargo test --release -p nearfield-examples`", file.display());
    file
}

/// What an example printed.
fn run<S: AsRef<OsStr>>(name: &str, arguments: &[S]) -> String {
    let mut command = Command::new(example(name));
    if std::env::var_os("NEARFIELD_DATA").is_none() {
        command.env("NEARFIELD_DATA", root().join(".data"));
    }
    let output = command.args(arguments).output().expect("the example starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

const NONE: &[&str] = &[];

#[test]
fn chat_streams_a_reply_and_says_why_it_ended() {
    let text = run("chat", NONE);
    let (reply, end) = text.trim_end().rsplit_once('\n').expect("a reply and a line about it");
    assert!(!reply.trim().is_empty() && end.ends_with("EndOfText)"), "{text}");
}

#[test]
fn tool_call_prints_the_call_with_its_arguments() {
    assert!(run("tool_call", NONE).contains(r#"call set_light with {"room":"kitchen","state":"on"}"#));
}

#[test]
fn constrained_json_prints_an_object_that_fits_the_schema() {
    let value: serde_json::Value = serde_json::from_str(&run("constrained_json", NONE)).expect("one JSON value");
    assert!(["kitchen", "hall", "bedroom"].iter().any(|room| value["room"] == *room), "{value}");
    assert!(["on", "off"].iter().any(|state| value["state"] == *state), "{value}");
}

#[test]
fn transcribe_prints_what_was_said_with_its_times() {
    let text = run("transcribe", NONE).to_lowercase();
    assert!(text.contains("temperature") && text.contains(" s  "), "{text}");
}

#[test]
fn transcribe_stream_prints_each_utterance() {
    assert!(run("transcribe_stream", NONE).to_lowercase().contains("light"));
}

#[test]
fn speak_writes_a_wav_file_that_the_recognizer_reads_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let wav = folder.path().join("out.wav");
    let said = run("speak", &[OsStr::new("What is the temperature in the kitchen?"), wav.as_os_str()]);
    assert!(said.contains(" s spoken by "), "{said}");
    assert!(run("transcribe", &[wav.as_os_str()]).to_lowercase().contains("temperature in the kitchen"));
}

#[test]
fn caption_folder_describes_new_scenes_and_passes_over_unchanged_ones() {
    let text = run("caption_folder", NONE);
    assert_eq!(text.lines().count(), std::fs::read_dir(asset("pictures")).expect("bundled").count() - 1, "{text}");
    let unchanged = text.lines().filter(|line| line.ends_with("(unchanged)")).count();
    assert!(unchanged > 0 && unchanged < text.lines().count(), "{text}");
}

#[test]
fn report_csv_names_the_spike_of_the_bundled_day() {
    let text = run("report_csv", NONE);
    assert!(text.contains(" spiked to "), "{text}");
}

#[test]
fn examples_run_on_real_models_too() {
    if let Some(model) = test_model("SmolLM2-135M-Instruct.Q4_1.gguf") {
        let reply = run("chat", &[OsStr::new("Is the kitchen light on?"), model.as_os_str()]);
        assert!(reply.to_lowercase().contains("kitchen"), "{reply}");
    }
    if let Some(model) = test_model("ggml-tiny.en.bin") {
        let text = run("transcribe", &[asset("speech/1-temperature.wav").as_os_str(), model.as_os_str()]);
        assert!(text.to_lowercase().contains("temperature"), "{text}");
    }
}
