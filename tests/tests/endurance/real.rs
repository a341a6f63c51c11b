//! Real models in real time: spoken questions for as many minutes as `NEARFIELD_ENDURANCE_MINUTES` says (`make test-endurance-real`).

use std::process::Stdio;
use std::time::{Duration, Instant};

use nearfield_testdata::test_model;
use nearfield_tests::clock::{growth, held};
use nearfield_tests::{arg, assets, home, nearfield, skipped, wait_for};

use crate::program::LineCounter;
use crate::voice::{Mouth, recorded};

#[test]
fn real_models_answer_for_as_long_as_is_asked_and_memory_stays_flat() {
    let Some(minutes) = std::env::var("NEARFIELD_ENDURANCE_MINUTES").ok().and_then(|n| n.parse::<u64>().ok()) else {
        return skipped("NEARFIELD_ENDURANCE_MINUTES is not set: real models in real time take that long");
    };
    let [Some(stt), Some(llm), Some(voice)] =
        ["ggml-tiny.en.bin", "SmolLM2-135M-Instruct.Q4_1.gguf", "en_US-joe-medium.onnx"].map(test_model)
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let set = [
        format!("stt.model={}", arg(&stt)),
        format!("llm.model={}", arg(&llm)),
        format!("tts.model={}", arg(&voice)),
        "tts.engine=piper".to_owned(),
    ];
    let mut args = vec!["voice", "--input", "-", "--output", "null", "--json", "--home", arg(&home)];
    args.extend(set.iter().flat_map(|s| ["--set", s]));
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut child = nearfield(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let (pid, lines) = (child.id(), LineCounter::new(child.stdout.take().unwrap()));
    let mut mouth = Mouth::new(child.stdin.take().unwrap());
    let mut recordings: Vec<_> =
        std::fs::read_dir(assets().join("speech")).unwrap().map(|e| e.unwrap().path()).collect();
    recordings.retain(|path| path.extension().is_some_and(|e| e == "wav"));
    recordings.sort();
    let recordings: Vec<Vec<f32>> = recordings.iter().map(|path| recorded(path)).collect();
    let (begun, mut turns, mut curve) = (Instant::now(), 0, Vec::new());
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        mouth.say(&recordings[turns % recordings.len()]);
        turns += 1;
        let answered = wait_for(Duration::from_secs(180), || lines.count() >= turns);
        assert!(
            answered,
            "turn {turns} is not answered: {}",
            std::fs::read_to_string(folder.path().join("log")).unwrap()
        );
        let now = held(pid);
        if curve.len() as u64 * 60 <= begun.elapsed().as_secs() {
            eprintln!(
                "{:>4} s: {turns} turns, {} KiB resident, {} threads, {} handles",
                begun.elapsed().as_secs(),
                now.memory_kib,
                now.threads,
                now.handles
            );
            curve.push(now);
        }
    }
    let memory: Vec<u64> = curve.iter().map(|held| held.memory_kib).collect();
    if curve.len() >= 12 {
        assert!(growth(&memory) < 0.02, "{memory:?}");
        let (first, last) = (curve[curve.len() / 4], curve[curve.len() - 1]);
        assert!(last.threads <= first.threads && last.handles <= first.handles + 2, "{curve:?}");
    }
    drop(mouth);
    assert!(wait_for(Duration::from_secs(20), || child.try_wait().unwrap().is_some()));
    assert!(child.wait().unwrap().success());
}
