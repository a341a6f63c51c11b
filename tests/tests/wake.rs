//! Wake words through the program: a conversation that begins with one, the commands that judge one, and what is said of wrong ones.

use std::path::{Path, PathBuf};

use nearfield_speech::audio::read_clip;
use nearfield_testdata::test_model;
use nearfield_tests::{arg, assets, home, root, run, write_wav};

const RATE: u32 = 16_000;

/// The classifier of "hey jarvis", with what all words share beside it.
fn word() -> Option<PathBuf> {
    test_model("melspectrogram.onnx")?;
    test_model("embedding_model.onnx")?;
    test_model("hey_jarvis_v0.1.onnx")
}

fn said() -> PathBuf {
    root().join("models/speech/tests/data/hey-jarvis.wav")
}

fn samples(path: &Path) -> Vec<f32> {
    read_clip(path).unwrap().samples
}

fn question(name: &str) -> Vec<f32> {
    samples(&assets().join("speech").join(name))
}

#[test]
fn with_a_real_wake_word_only_what_follows_it_is_answered() {
    let Some(word) = word() else { return };
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let silence = |seconds: f32| vec![0.0; (seconds * RATE as f32) as usize];
    // Nobody is meant by the first question; the second follows the word; the third comes long after the follow-up is over.
    let sound = [
        question("5-door.wav"),
        silence(2.0),
        samples(&said()),
        silence(0.6),
        question("1-temperature.wav"),
        silence(9.0),
        question("5-door.wav"),
        silence(2.0),
    ];
    let input = folder.path().join("talk.wav");
    write_wav(&input, RATE, &sound.concat());
    let set = format!("wake.word={}", word.display());
    let ran =
        run(&["voice", "--input", arg(&input), "--output", "null", "--home", arg(&home), "--json", "--set", &set]);
    let turns = ran.assert_done().json();
    let heard: Vec<String> = turns.iter().map(|turn| turn["heard"].as_str().unwrap().to_lowercase()).collect();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("temperature") && !heard[0].contains("door"), "{heard:?}");
}

#[test]
fn a_real_wake_word_is_judged_by_recordings_and_gets_its_threshold_from_them() {
    let Some(word) = word() else { return };
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.wav");
    std::fs::write(&broken, "no sound").unwrap();
    let without = assets().join("speech");
    let args = [arg(&word), arg(&without)];
    let files = [arg(&said()).to_owned()];
    let tested = run(&["wake", "test", &files[0], "--without", args[1], "--word", args[0], "--json"]);
    let lines = tested.assert_done().json();
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["with_word"], &summary["false_rejects"], &summary["false_accepts"]),
        (&1.into(), &0.into(), &0.into())
    );
    assert!(lines[0]["score"].as_f64().unwrap() > 0.9 && lines[0]["detected"] == true, "{}", lines[0]);
    assert!(lines[1..lines.len() - 1].iter().all(|line| line["has_word"] == false && line["detected"] == false));

    let enrolled = run(&["wake", "enroll", &files[0], "--without", args[1], "--word", args[0]]);
    let text = &enrolled.assert_done().stdout;
    let threshold = text.lines().find_map(|line| line.strip_prefix("threshold = ")).unwrap();
    assert!((0.1..0.95).contains(&threshold.parse().unwrap()), "{text}");
    let config = folder.path().join("voice.toml");
    std::fs::write(&config, text).unwrap();
    let again = run(&["wake", "test", &files[0], "--config", arg(&config), "--json"]).assert_done().json();
    assert_eq!(again.last().unwrap()["threshold"], threshold.parse::<f64>().unwrap());

    run(&["wake", "test", &files[0], arg(&broken), "--word", args[0]]).assert_fails(1, &["broken.wav", "1 of 2"]);
}

#[test]
fn wrong_wake_words_are_refused_with_the_way_out() {
    run(&["wake", "test"]).assert_fails(2, &["--without"]);
    run(&["wake", "enroll", "--without", "x.wav"]).assert_fails(2, &["recordings of the word"]);
    let said = said();
    run(&["wake", "test", arg(&said), "--word", "hey jarvs"]).assert_fails(2, &["hey-jarvs", "hey-jarvis"]);
    run(&["wake", "test", arg(&said), "--word", "silero-vad"]).assert_fails(1, &["silero-vad", "voice-activity"]);
    run(&["wake", "test", arg(&said), "--word", "okay_nabu.tflite"]).assert_fails(1, &["okay_nabu.tflite", ".onnx"]);
    run(&["voice", "--text", "hello", "--set", "wake.thresholds=[0.5]"]).assert_fails(2, &["wake.thresholds"]);
}
