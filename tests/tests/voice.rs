//! The voice assistant from question to answer, through the program, on the bundled models.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use nearfield_tests::{
    arg, ask, assets, finish, home, nearfield, noise, run, run_with_input, speech, wait_for, write_wav,
};
use serde_json::Value;

fn state(home: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(home).unwrap()).unwrap()
}

#[test]
fn every_turn_prints_one_object_with_the_documented_keys() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let ran = ask(&home, &["What is the temperature in the kitchen?"]);
    let turns = ran.assert_done().json();
    assert_eq!(turns.len(), 1);
    let turn = &turns[0];
    for key in ["turn", "heard", "reply", "tools", "tokens", "latency_ms", "stages", "over_budget"] {
        assert!(turn.get(key).is_some(), "{key} is missing: {turn:#}");
    }
    for key in ["reused", "prefilled", "generated"] {
        assert!(turn["tokens"][key].is_u64(), "{turn:#}");
    }
    for key in ["end_of_speech_to_first_audio", "stt", "llm_first_token", "tts_first_audio", "total"] {
        assert!(turn["latency_ms"][key].is_f64(), "{key}: {turn:#}");
    }
    assert!(turn["tokens"]["generated"].as_u64().unwrap() > 0);
}

#[test]
fn the_first_audio_is_the_sum_of_what_led_to_it() {
    let ran = run(&["voice", "--text", "Is the front door locked?", "--output", "null", "--json"]);
    let turn = &ran.assert_done().json()[0];
    let ms = |key: &str| turn["latency_ms"][key].as_f64().unwrap();
    let first = ms("end_of_speech_to_first_audio");
    let parts = ms("end_of_turn") + ms("stt") + ms("llm_first_token") + ms("tts_first_audio");
    assert!(parts <= first + 0.01, "the parts {parts} exceed the whole {first}");
    assert!(first <= ms("total") + 0.01);
}

#[test]
fn a_second_question_reuses_the_cache_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let ran = ask(&home, &["Is the front door locked?", "And the back door?"]);
    let turns = ran.assert_done().json();
    let tokens = |i: usize, key: &str| turns[i]["tokens"][key].as_u64().unwrap();
    assert!(tokens(1, "reused") > 80, "{turns:#?}");
    assert!(tokens(1, "prefilled") < 25, "{turns:#?}");
}

#[test]
fn spoken_questions_are_heard_and_answered_aloud_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (home, answer, trace) =
        (home(folder.path()), folder.path().join("answer.wav"), folder.path().join("trace.json"));
    let speech = assets().join("speech");
    let ran = run(&[
        "voice",
        "--input",
        arg(&speech),
        "--output",
        arg(&answer),
        "--home",
        arg(&home),
        "--json",
        "--trace",
        arg(&trace),
    ]);
    let turns = ran.assert_done().json();
    let recordings = std::fs::read_dir(&speech)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "wav"))
        .count();
    assert_eq!(turns.len(), recordings, "{turns:#?}");
    assert!(turns.iter().all(|t| !t["reply"].as_str().unwrap().is_empty()), "{turns:#?}");
    assert!(turns.windows(2).all(|t| t[0]["turn"].as_u64() < t[1]["turn"].as_u64()));

    let wav = hound::WavReader::open(&answer).unwrap();
    let seconds = f64::from(wav.duration()) / f64::from(wav.spec().sample_rate);
    let spoken: f64 = turns.iter().map(|t| t["audio_ms"].as_f64().unwrap() / 1000.0).sum();
    let gaps = 0.7 * turns.len() as f64;
    assert!(
        (seconds - spoken - gaps).abs() < 0.1,
        "{seconds} s in the file, {spoken} s of speech and {gaps} s of gaps"
    );

    let trace: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&trace).unwrap()).unwrap();
    let named = |name: &str| trace.iter().any(|e| e["args"]["name"] == name);
    assert!(["transcribe", "converse", "phrase", "speak", "play"].into_iter().all(named));
}

#[test]
fn a_recording_at_its_own_pace_is_transcribed_during_the_silence_at_its_end() {
    let Some(mut question) = speech("What is the temperature in the kitchen?") else { return };
    question.extend(vec![0.0; 16_000]); // Silence to end in: 1 s.
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("question.wav");
    write_wav(&wav, 16_000, &question);
    let ran = run(&["voice", "--input", arg(&wav), "--pace", "realtime", "--output", "null", "--json"]);
    let turn = &ran.assert_done().json()[0];
    let ms = |key: &str| turn["latency_ms"][key].as_f64().unwrap();
    assert!((80.0..1600.0).contains(&ms("end_of_turn")), "{turn:#}");
    let worked = turn["stages"].as_array().unwrap().iter().find(|s| s["stage"] == "transcribe").unwrap()["worked"]
        .as_f64()
        .unwrap();
    assert!(ms("stt") < worked.max(1.0), "waited {} ms for {worked} ms of work: {turn:#}", ms("stt"));
}

#[test]
fn a_file_that_answers_a_recording_at_its_own_pace_has_each_sound_when_it_was_heard() {
    let Some(mut question) = speech("What is the temperature in the kitchen?") else { return };
    let spoken = question.iter().rposition(|sample| sample.abs() > 0.02).unwrap() as f64 / 16_000.0;
    question.extend(vec![0.0; 40_000]); // 2.5 s
    let folder = tempfile::tempdir().unwrap();
    let (wav, answer) = (folder.path().join("question.wav"), folder.path().join("answer.wav"));
    write_wav(&wav, 16_000, &question);
    let ran = run(&["voice", "--input", arg(&wav), "--pace", "realtime", "--output", arg(&answer), "--json"]);
    let turn = &ran.assert_done().json()[0];
    let mut answer = hound::WavReader::open(&answer).unwrap();
    let rate = f64::from(answer.spec().sample_rate);
    let samples: Vec<i16> = answer.samples().map(Result::unwrap).collect();
    let begins = samples.iter().position(|s| s.abs() > 500).expect("something was said") as f64 / rate;
    let sounds = turn["audio_ms"].as_f64().unwrap() / 1_000.0;
    assert!(begins > spoken, "the answer is heard at {begins} s, before the question of {spoken} s is over");
    assert!(samples.len() as f64 / rate > begins + 0.8 * sounds, "{} samples, {turn:#}", samples.len());
}

#[test]
fn silence_and_noise_get_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    for (name, samples) in [("silence", vec![0.0; 48_000]), ("noise", noise(48_000, 0.05)), ("hum", hum(48_000))] {
        let wav = folder.path().join(format!("{name}.wav"));
        write_wav(&wav, 16_000, &samples);
        let ran = run(&["voice", "--input", arg(&wav), "--output", "null", "--json"]);
        ran.assert_done();
        assert!(ran.json().iter().all(|t| t["reply"] == ""), "{name}: {ran:#?}");
    }
}

/// Ten notes with overtones, each with a beginning and an end as syllables have them.
fn music(seed: u32) -> Vec<f32> {
    let mut samples = vec![0.0; 4000];
    for note in 0..10 {
        let pitch = [220.0, 247.0, 262.0, 294.0, 330.0, 392.0, 440.0][((seed + note * 5) % 7) as usize];
        let length = [2500, 4000, 6000][((seed + note) % 3) as usize];
        samples.extend((0..length).map(|i| {
            let (at, phase) = (i as f32 / length as f32, pitch * i as f32 / 16_000.0 * std::f32::consts::TAU);
            let overtones = [(1.0, 1.0), (2.0, 0.5), (3.0, 0.4), (5.0, 0.3)];
            let sum: f32 = overtones.iter().map(|(n, strength)| strength * (n * phase).sin()).sum();
            0.25 * (i as f32 / 400.0).min(1.0) * (1.0 - at) * sum
        }));
    }
    samples.extend(vec![0.0; 16_000]);
    samples
}

#[test]
fn a_sound_without_words_leaves_the_next_question_answered() {
    let Some(mut question) = speech("Is the front door locked?") else { return };
    question.extend(vec![0.0; 16_000]);
    let folder = tempfile::tempdir().unwrap();
    let mut empty = 0;
    for seed in 0..4 {
        write_wav(&folder.path().join(format!("{seed}-a.wav")), 16_000, &music(seed));
        write_wav(&folder.path().join(format!("{seed}-b.wav")), 16_000, &question);
        let ran = run(&["voice", "--input", arg(folder.path()), "--output", "null", "--json"]);
        let turns = ran.assert_done().json();
        let last = turns.last().unwrap();
        assert!(last["heard"].as_str().unwrap().contains("door") && last["reply"] != "", "{seed}: {ran:#?}");
        empty += turns.iter().filter(|turn| turn["heard"] == "").count();
    }
    assert!(empty > 0, "no sound passed for speech and had no words: this proves nothing");
}

#[test]
fn a_turn_that_is_empty_or_far_too_long_leaves_the_next_question_answered() {
    let folder = tempfile::tempdir().unwrap();
    let long = "light ".repeat(1700);
    let ran = ask(&home(folder.path()), &["", "Hello.", &long, "Is the front door locked?", "", "", "Hello."]);
    ran.assert_fails(1, &["a turn failed", "context", "shorten the question"]);
    let turns = ran.json();
    let answered: Vec<bool> = turns.iter().map(|turn| turn["reply"] != "").collect();
    assert_eq!(answered, [false, true, false, true, false, false, true], "{ran:#?}");
    assert!(turns[2]["errors"][0].as_str().unwrap().contains("context"), "{ran:#?}");
}

#[test]
fn a_program_that_blocks_where_it_does_not_look_at_signals_is_over_within_two_seconds_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("trace.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for signal in ["TERM", "INT", "HUP"] {
        // Nobody reads the pipe, so that opening it for writing blocks.
        let mut child = nearfield(&["voice", "--text", "Hello.", "--output", "null", "--trace", arg(&pipe)])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1000));
        assert!(child.try_wait().unwrap().is_none(), "it does not block: this proves nothing");
        let _ = std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        let ended = wait_for(Duration::from_millis(2300), || child.try_wait().unwrap().is_some());
        let _ = child.kill();
        let ran = nearfield_tests::Ran::from(child.wait_with_output().unwrap());
        let status = 128
            + match signal {
                "TERM" => 15,
                "INT" => 2,
                _ => 1,
            };
        assert!(ended && ran.code == status, "{signal}: {ran:#?}");
    }
}

fn hum(n: usize) -> Vec<f32> {
    (0..n).map(|i| 0.1 * (i as f32 * 50.0 * std::f32::consts::TAU / 16_000.0).sin()).collect()
}

#[test]
fn a_recording_can_come_from_standard_input() {
    let Some(question) = speech("Is the front door locked?") else { return };
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("question.wav");
    write_wav(&wav, 16_000, &question);
    let ran = run_with_input(&["voice", "--input", "-", "--output", "null", "--json"], &std::fs::read(&wav).unwrap());
    assert_eq!(ran.assert_done().json().len(), 1);
}

#[test]
fn a_command_of_the_users_is_offered_to_the_model_and_the_configuration_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("voice.toml");
    let tool = "[[tools]]\nname = \"radio\"\ndescription = \"Plays.\"\ncommand = [\"/bin/true\"]\n";
    std::fs::write(&config, tool).unwrap();
    run(&["chat", "Hello.", "--config", arg(&config)]).assert_done();
    std::fs::write(&config, format!("{tool}{tool}")).unwrap();
    run(&["chat", "Hello.", "--config", arg(&config)]).assert_fails(1, &["radio"]);
    std::fs::write(&config, tool.replace("radio", "clock")).unwrap();
    run(&["chat", "Hello.", "--config", arg(&config)]).assert_fails(1, &["clock"]);
}

#[test]
fn the_home_file_is_never_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let before = state(&home);
    run(&["voice", "--text", "Turn on the kitchen light.", "--home", arg(&home), "--output", "null", "--json"])
        .assert_done();
    let after = state(&home);
    assert_eq!(before["doors"], after["doors"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left behind");
}

#[test]
fn ctrl_c_ends_it_in_any_state_and_what_was_complete_is_kept() {
    let Some(question) = speech("What is the temperature in the kitchen, and which lights are on?") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (wav, answer) = (folder.path().join("question.wav"), folder.path().join("answer.wav"));
    let mut long = Vec::new();
    for _ in 0..40 {
        long.extend_from_slice(&question);
        long.extend(vec![0.0; 16_000]);
    }
    write_wav(&wav, 16_000, &long);
    for (after_ms, pace) in [(30, "fast"), (150, "fast"), (400, "fast"), (900, "realtime"), (3000, "realtime")] {
        let mut child = nearfield(&[
            "voice",
            "--input",
            arg(&wav),
            "--pace",
            pace,
            "--output",
            arg(&answer),
            "--overwrite",
            "--json",
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
        std::thread::sleep(Duration::from_millis(after_ms));
        let _ = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(
            wait_for(Duration::from_secs(10), || child.try_wait().unwrap().is_some()),
            "it hangs after {after_ms} ms, {pace}"
        );
        let ran = nearfield_tests::Ran::from(child.wait_with_output().unwrap());
        assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
        ran.json(); // Every line that was printed is complete.
        if answer.exists() {
            hound::WavReader::open(&answer).expect("the file's header is right");
        }
    }
}

/// A terminal sends it to the programs that make the sound as well.
#[test]
fn ctrl_c_of_a_terminal_while_something_is_said_is_no_failure() {
    use std::os::unix::process::CommandExt;
    let texts: Vec<String> = (0..200).map(|n| format!("Tell me about the house number {n} please.")).collect();
    let mut args = vec!["voice", "--output", "null", "--json"];
    args.extend(texts.iter().flat_map(|text| ["--text", text]));
    for (signal, after_ms) in [("INT", 0), ("INT", 50), ("INT", 110), ("TERM", 170), ("INT", 230), ("HUP", 290)] {
        let mut command = nearfield(&args);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let mut first = [0; 1];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        std::thread::sleep(Duration::from_millis(after_ms));
        let group = format!("-{}", child.id());
        let _ = std::process::Command::new("kill").args([&format!("-{signal}"), "--", &group]).status();
        let ran = nearfield_tests::Ran::from(child.wait_with_output().unwrap());
        assert!(!ran.stderr.contains("failed"), "{signal} after {after_ms} ms: {ran:#?}");
        assert_ne!(ran.code, 1, "{signal} after {after_ms} ms: {ran:#?}");
    }
}

#[test]
fn ctrl_c_ends_a_program_that_waits_for_somebody_to_type_or_speak() {
    for args in
        [&["chat", "--json"][..], &["voice", "--input", "-", "--output", "null"], &["transcribe", "-"], &["say", "-"]]
    {
        let mut child = nearfield(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1000));
        let _ = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        let ended = wait_for(Duration::from_secs(10), || child.try_wait().unwrap().is_some());
        let _ = child.kill();
        let ran = nearfield_tests::Ran::from(child.wait_with_output().unwrap());
        assert!(ended && !ran.stderr.contains("panicked"), "{args:?}: {ran:#?}");
    }
}

#[test]
fn a_reply_that_can_not_be_written_is_reported_and_the_turn_is_still_printed() {
    let mut command = nearfield(&["voice", "--text", "Hello.", "--output", "/dev/full/answer.wav", "--json"]);
    command.env("NO_COLOR", "1");
    finish(command, &[], Duration::from_secs(60)).assert_fails(1, &["/dev/full"]);
}
