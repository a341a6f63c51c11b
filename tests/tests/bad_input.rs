//! The list of bad inputs, by name: each gets the right result or one clear sentence that names the thing and what to
//! do, with exit status 1 or 2; no panic, no hang. What a single reader does with hostile bytes is tested beside it, in
//! `models/tests`; here it is the program that must hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield_tests::{arg, assets, finish, nearfield, noise, run, run_with_input, speech, wait_for, write_wav};

fn transcribe(bytes: &[u8]) -> nearfield_tests::Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.wav");
    fs::write(&path, bytes).unwrap();
    run(&["transcribe", arg(&path), "--json"])
}

fn wav(channels: u16, rate: u32, bits: u16, format: hound::SampleFormat, seconds: f32) -> Vec<u8> {
    let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: format };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for sample in noise((rate as f32 * seconds) as usize, 0.2) {
        for _ in 0..channels {
            match format {
                hound::SampleFormat::Float => writer.write_sample(sample).unwrap(),
                hound::SampleFormat::Int => {
                    writer.write_sample((f64::from(sample) * f64::from((1u32 << (bits - 1)) - 1)) as i32).unwrap();
                }
            }
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

#[test]
fn an_empty_file_is_named_and_refused() {
    transcribe(b"").assert_fails(1, &["sound.wav"]);
}

#[test]
fn a_file_that_is_no_sound_is_named_and_refused() {
    transcribe(b"\x89PNG\r\n\x1a\n and no sound at all").assert_fails(1, &["sound.wav"]);
    transcribe(&fs::read(nearfield_tests::root().join("Cargo.toml")).unwrap()).assert_fails(1, &["sound.wav"]);
}

#[test]
fn a_truncated_wav_gives_what_is_complete() {
    let mut bytes = wav(1, 16_000, 16, hound::SampleFormat::Int, 1.0);
    bytes.truncate(bytes.len() / 2);
    let ran = transcribe(&bytes);
    let audio = ran.assert_done().json()[0]["audio_ms"].as_f64().unwrap();
    assert!((400.0..600.0).contains(&audio), "{audio} ms");
    bytes.truncate(20);
    transcribe(&bytes).assert_fails(1, &["sound.wav"]);
}

/// A recording of floats.
fn floats(samples: &[f32]) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    bytes.into_inner()
}

#[test]
fn samples_that_are_no_numbers_are_counted_and_a_recording_of_nothing_else_is_refused() {
    for bad in [f32::NAN, f32::INFINITY] {
        let ran = transcribe(&floats(&[bad; 16_000]));
        ran.assert_fails(1, &["sound.wav", "none of its 16000 samples is a number"]);
        let Some(mut question) = speech("Is the front door locked?") else { return };
        let plain = transcribe(&floats(&question));
        assert!(!plain.stderr.contains("numbers"), "{plain:#?}");
        question.iter_mut().step_by(2000).for_each(|sample| *sample = bad);
        let ran = transcribe(&floats(&question));
        let n = question.len().div_ceil(2000);
        assert!(ran.stderr.contains(&format!("{n} samples are not numbers")), "{ran:#?}");
        assert_eq!(ran.assert_done().json()[0]["text"], plain.json()[0]["text"]);
    }
}

fn pipe(folder: &Path, name: &str) -> PathBuf {
    let pipe = folder.join(name);
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    pipe
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = |name: &str| pipe(folder.path(), name);
    let (picture, gguf, ggml, onnx) = (pipe("p.jpg"), pipe("m.gguf"), pipe("m.bin"), pipe("m.onnx"));
    let (home, config, session) = (pipe("home.json"), pipe("config.toml"), pipe("session"));
    let (sentences, remembered, key) = (pipe("own.yaml"), pipe("notes.json"), pipe("key"));
    let (ours, homes) = (assets().join("home.json"), folder.path().join("homes"));
    fs::create_dir(&homes).unwrap();
    crate::pipe(&homes, "_fixtures.yaml");
    let typed = ["voice", "--text", "Hello.", "--output", "null", "--set"];
    let remote =
        ["remote.url=http://127.0.0.1:1/v1", "--set", "remote.model=m", "--set", "remote.when=always", "--set"];
    let set = |key: &str, path: &Path| format!("{key}={}", arg(path));
    let wav = folder.path().join("sound.wav");
    fs::write(&wav, floats(&[0.0; 16_000])).unwrap();
    for (args, status, named) in [
        (vec!["caption", "--input", arg(&picture)], 1, "p.jpg"),
        (vec!["caption", "--input", arg(&wav), "--set", &set("nominal.picture", &picture)], 1, "p.jpg"),
        (vec!["chat", "Hello.", "--set", &set("llm.model", &gguf)], 1, "m.gguf"),
        (vec!["transcribe", arg(&wav), "--set", &set("stt.model", &ggml)], 1, "m.bin"),
        (vec!["caption", "--input", arg(&wav), "--set", &set("vision.model", &onnx)], 1, "m.onnx"),
        (vec!["voice", "--text", "Hello.", "--output", "null", "--home", arg(&home)], 1, "home.json"),
        (vec!["chat", "Hello.", "--config", arg(&config)], 2, "config.toml"),
        (vec!["chat", "Hello.", "--session", arg(&session)], 0, "session"),
        (vec!["report", "--input", arg(&picture), "--follow", "--set", "llm.model=none"], 1, "p.jpg"),
        ([&typed[..], &[&set("home.sentences", &sentences)]].concat(), 1, "own.yaml"),
        ([&typed[..], &[&set("home.sentences", Path::new("/dev/zero"))]].concat(), 1, "/dev/zero"),
        ([&typed[..], &[&set("home.remember", &remembered), "--home", arg(&ours)]].concat(), 1, "notes.json"),
        ([&typed[..], &remote, &[&set("remote.key_file", &key)]].concat(), 0, "key"),
        (vec!["eval", "assist", arg(&homes)], 1, "_fixtures.yaml"),
    ] {
        let ran = finish(nearfield(&args), &[], Duration::from_secs(20));
        assert!(ran.code == status || status == 0 && ran.code == 1, "{args:?}: {ran:#?}");
        assert!(ran.stderr.contains(named), "{args:?}: {ran:#?}");
    }
}

#[test]
fn a_pipe_is_read_where_it_can_be_as_it_comes_and_a_signal_ends_the_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (readings, sound) = (pipe(folder.path(), "readings.csv"), pipe(folder.path(), "sound.wav"));
    let day = fs::read(assets().join("telemetry/day.csv")).unwrap();
    let spoken = fs::read(assets().join("speech/1-temperature.wav")).unwrap();
    let report = ["report", "--input", arg(&readings), "--json", "--set", "llm.model=none"];
    let transcribe = ["transcribe", arg(&sound), "--json"];
    let voice = ["voice", "--input", arg(&sound), "--output", "null", "--json"];
    for (args, pipe, bytes) in
        [(&report[..], &readings, &day), (&transcribe, &sound, &spoken), (&voice, &sound, &spoken)]
    {
        let writer = {
            let (pipe, bytes) = (pipe.clone(), bytes.clone());
            std::thread::spawn(move || fs::write(pipe, bytes).unwrap())
        };
        assert!(!run(args).assert_done().json().is_empty(), "{args:?}");
        writer.join().unwrap();
        let mut child =
            nearfield(args).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1000));
        assert!(child.try_wait().unwrap().is_none(), "{args:?}: it does not wait for a writer");
        let _ = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        let ended = wait_for(Duration::from_millis(2300), || child.try_wait().unwrap().is_some());
        let _ = child.kill();
        let ran = nearfield_tests::Ran::from(child.wait_with_output().unwrap());
        assert!(ended && !ran.stderr.contains("panicked"), "{args:?}: {ran:#?}");
    }
}

#[test]
fn every_width_channel_count_and_rate_of_wav_is_taken() {
    use hound::SampleFormat::{Float, Int};
    for (channels, rate, bits, format) in [
        (1, 8_000, 8, Int),
        (2, 16_000, 16, Int),
        (6, 48_000, 24, Int),
        (1, 96_000, 32, Int),
        (2, 44_100, 32, Float),
        (6, 22_050, 16, Int),
    ] {
        let ran = transcribe(&wav(channels, rate, bits, format, 0.5));
        let audio = ran.assert_done().json()[0]["audio_ms"].as_f64().unwrap();
        assert!((audio - 500.0).abs() < 1.0, "{channels} x {rate} Hz x {bits} bit: {audio} ms");
    }
}

#[test]
fn a_missing_recording_does_not_cost_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silence.wav");
    write_wav(&path, 16_000, &vec![0.0; 16_000]);
    let ran = run(&["transcribe", "/nowhere/missing.wav", arg(&path), "--json"]);
    ran.assert_fails(1, &["/nowhere/missing.wav", "1 of 2"]);
    assert_eq!(ran.json().len(), 1, "the other one was transcribed");
}

#[test]
fn ten_minutes_of_speech_are_transcribed_in_bounded_memory() {
    let Some(sentence) = speech("The kitchen light is on, and the front door is locked.") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.wav");
    let mut long = Vec::new();
    while long.len() < 600 * 16_000 {
        long.extend_from_slice(&sentence);
        long.extend(vec![0.0; 8_000]);
    }
    write_wav(&path, 16_000, &long);
    let mut command = std::process::Command::new("sh");
    // 1.5 GB of address space: whisper.cpp's own buffers and ten minutes of samples, and no more.
    command
        .args(["-c", "ulimit -v 1500000; exec \"$0\" transcribe \"$1\" --json"])
        .arg(nearfield_tests::program())
        .arg(&path);
    let ran = finish(command, &[], Duration::from_secs(300));
    let line = &ran.assert_done().json()[0];
    assert!(line["audio_ms"].as_f64().unwrap() > 599_000.0);
    assert!(line["segments"].as_array().unwrap().len() > 20, "{line:#}");
}

#[test]
fn an_empty_folder_and_a_missing_one_are_named() {
    let folder = tempfile::tempdir().unwrap();
    run(&["voice", "--input", arg(folder.path()), "--output", "null"]).assert_fails(1, &["holds no recording"]);
    run(&["voice", "--input", "/nowhere", "--output", "null"]).assert_fails(1, &["/nowhere"]);
}

/// Copies of a bundled model that are broken in several ways, with the names of the ways.
fn broken(model: &str, folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let whole = fs::read(assets().join("models").join(model)).unwrap();
    let mut copies = Vec::new();
    let mut add = |name: &'static str, bytes: &[u8]| {
        let path = folder.join(format!("{name}-{model}"));
        fs::write(&path, bytes).unwrap();
        copies.push((name, path));
    };
    add("empty", b"");
    add("cut short in the header", &whole[..100]);
    add("cut short in the middle", &whole[..whole.len() / 2]);
    add("cut short at the end", &whole[..whole.len() - 1]);
    add(
        "another kind",
        b"\x89PNG\r\n\x1a\nnot a model, but long enough to be read as the head of one, one would think",
    );
    let mut lying = whole.clone();
    lying[8..24].fill(0xff);
    add("lying about its sizes", &lying);
    copies
}

#[test]
fn a_broken_ggml_file_is_named_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound.wav");
    write_wav(&sound, 16_000, &noise(16_000, 0.1));
    for (name, path) in broken("hear-nano.bin", folder.path()) {
        let ran = run(&["transcribe", arg(&sound), "--set", &format!("stt.model={}", arg(&path))]);
        assert_eq!(ran.code, 1, "{name}: {ran:#?}");
        ran.assert_fails(1, &[path.file_name().unwrap().to_str().unwrap()]);
    }
}

#[test]
fn a_broken_gguf_file_is_named_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, path) in broken("talk-nano.gguf", folder.path()) {
        let ran = run(&["chat", "Hello.", "--set", &format!("llm.model={}", arg(&path))]);
        assert_eq!(ran.code, 1, "{name}: {ran:#?}");
        ran.assert_fails(1, &[path.file_name().unwrap().to_str().unwrap()]);
    }
}

#[test]
fn one_kind_of_model_in_place_of_another_is_called_what_it_is() {
    let models = assets().join("models");
    let gguf = models.join("talk-nano.gguf");
    let ggml = models.join("hear-nano.bin");
    run(&["doctor", "--set", &format!("stt.model={}", arg(&gguf))]).assert_fails(1, &[]);
    run(&["chat", "Hello.", "--set", &format!("llm.model={}", arg(&ggml))]).assert_fails(1, &["hear-nano.bin"]);
    run(&[
        "say",
        "Hello.",
        "--output",
        "null",
        "--set",
        "tts.engine=piper",
        "--set",
        &format!("tts.model={}", arg(&gguf)),
    ])
    .assert_fails(1, &["talk-nano.gguf"]);
}

#[test]
fn a_missing_model_file_is_named() {
    run(&["chat", "Hello.", "--set", "llm.model=./missing.gguf"]).assert_fails(1, &["missing.gguf"]);
    run(&["chat", "Hello.", "--set", "llm.model=qwen2.5-0.5b-instruct-q8_0"])
        .assert_fails(1, &["nearfield models pull"]);
}

#[test]
fn a_missing_synthesizer_is_named_with_what_installs_it() {
    let mut command = nearfield(&["say", "Hello.", "--output", "null"]);
    command.env("PATH", "/nowhere");
    finish(command, &[], Duration::from_secs(30)).assert_fails(1, &["espeak-ng", "install"]);
}

#[test]
fn a_missing_onnx_runtime_is_named_with_what_gets_it() {
    let tiny = nearfield_tests::root().join("models/speech/tests/data/tiny-piper.onnx");
    if !tiny.is_file() {
        nearfield_tests::skipped(&format!("{} is not there", tiny.display()));
        return;
    }
    let set = format!("tts.model={}", arg(&tiny));
    let mut command = nearfield(&["say", "Hello.", "--output", "null", "--set", "tts.engine=piper", "--set", &set]);
    command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    finish(command, &[], Duration::from_secs(30)).assert_fails(1, &["/nowhere/libonnxruntime.so"]);
}

#[test]
fn a_missing_device_is_named_with_what_does_without() {
    run(&["voice", "--text", "Hello.", "--set", "play.device=no-such-loudspeaker"])
        .assert_fails(1, &["no-such-loudspeaker", "nearfield devices"]);
    let ran = run(&["voice", "--output", "null", "--set", "listen.device=no-such-microphone"]);
    ran.assert_fails(1, &["no-such-microphone", "nearfield devices"]);
    assert_eq!(ran.stdout, "", "nobody is told to speak");
    // No sound server and no card at all.
    let mut command = nearfield(&["voice", "--output", "null"]);
    command.env("PULSE_SERVER", "unix:/nonexistent").env("ALSA_CONFIG_PATH", "/dev/null").env("HOME", "/nonexistent");
    let ran = finish(command, &[], Duration::from_secs(60));
    ran.assert_fails(1, &["microphone", "--input FILE.wav"]);
    assert_eq!(ran.stdout, "", "nobody is told to speak");
}

#[test]
fn a_broken_home_file_is_named_and_a_missing_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home.json");
    for text in ["", "{", "[]", r#"{"rooms": 5}"#, r#"{"rooms": {"kitchen": 3}}"#, "\u{0}\u{1}"] {
        fs::write(&home, text).unwrap();
        run(&["chat", "Hello.", "--home", arg(&home)]).assert_fails(1, &["home.json"]);
    }
    run(&["chat", "Hello.", "--home", "/nowhere/home.json"]).assert_fails(1, &["/nowhere/home.json"]);
}

#[test]
fn a_full_disk_is_reported_for_the_answer_and_for_stdout() {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "exec \"$0\" models list >/dev/full"]).arg(nearfield_tests::program());
    finish(command, &[], Duration::from_secs(30)).assert_fails(1, &["No space left"]);
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("full.wav");
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    run(&["say", "Hello.", "--output", arg(&link)]).assert_fails(1, &["full.wav"]);
    run(&["voice", "--text", "Hello.", "--output", arg(&link)]).assert_fails(1, &["full.wav"]);
}

#[test]
fn text_that_is_no_text_is_refused_or_spoken_harmlessly() {
    run_with_input(&["say", "-", "--output", "null"], &[0xff, 0xfe, 0x00, 0x41]).assert_fails(1, &["UTF-8"]);
    for text in ["-h", "--help; rm -rf /", "<speak><break time=\"1h\"/></speak>", "\u{7}\u{1b}[2J", "🙂🙂🙂", "a\0b"]
    {
        if !text.contains('\0') {
            run(&["say", "--output", "null", "--", text]).assert_done();
        }
        run_with_input(&["say", "-", "--output", "null"], text.as_bytes()).assert_done();
    }
}
