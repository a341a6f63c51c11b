//! openWakeWord against the scores of its reference (`make_wake_golden.py`), and the gate in front of it.

use nearfield_speech::audio::read_clip;
use nearfield_speech::vad::{Earshot, VoiceActivity};
use nearfield_speech::wake::{Detection, OpenWakeWord, WakeFiles, WakeModel, WakeSpotter};
use nearfield_testdata::test_model;
use serde_json::Value;
use std::path::{Path, PathBuf};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

fn golden() -> Value {
    serde_json::from_str(&std::fs::read_to_string(Path::new(HERE).join("data/wake.json")).unwrap()).unwrap()
}

/// The stream that the reference was given.
fn stream(golden: &Value) -> Vec<f32> {
    let files = golden["files"].as_array().unwrap().iter();
    files.flat_map(|file| read_clip(&Path::new(HERE).join(file.as_str().unwrap())).unwrap().samples).collect()
}

fn files(words: &[String]) -> Option<WakeFiles> {
    let spectrogram = test_model("melspectrogram.onnx")?;
    let words = words.iter().map(|word| test_model(word)).collect::<Option<Vec<PathBuf>>>()?;
    Some(WakeFiles { spectrogram, embedding: test_model("embedding_model.onnx")?, words })
}

fn words(golden: &Value) -> Vec<String> {
    golden["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn scores_of_the_real_open_wake_word_are_those_of_the_reference() {
    let golden = golden();
    let Some(files) = files(&words(&golden)) else { return };
    let mut model = OpenWakeWord::open(&files).unwrap();
    let sound = stream(&golden);
    let scores: Vec<Vec<f32>> = sound.chunks_exact(model.hop_samples()).map(|hop| model.scores(hop).unwrap()).collect();
    let first = golden["first"].as_u64().unwrap() as usize;
    assert_eq!(model.context_hops(), first + 1);
    let (mut furthest, mut best) = (0.0f64, 0.0f64);
    for (found, expected) in scores[first..].iter().zip(golden["scores"].as_array().unwrap()) {
        for (found, expected) in found.iter().zip(expected.as_array().unwrap()) {
            furthest = furthest.max((f64::from(*found) - expected.as_f64().unwrap()).abs());
        }
        best = best.max(f64::from(found[0]));
    }
    assert!(furthest < 1e-3, "a score is off by {furthest}");
    assert!(best > 0.9, "the word is not heard: {best}");
    assert_eq!(scores.len(), first + golden["scores"].as_array().unwrap().len());
}

/// What is found in the stream with silence of `lead` and `trail` seconds around it, and how many hops were computed.
fn spot(files: &WakeFiles, gated: bool, sound: &[f32]) -> (Vec<Detection>, usize) {
    let gate = gated.then(|| Box::new(Earshot::default()) as Box<dyn VoiceActivity>);
    let model = OpenWakeWord::open(files).unwrap();
    let thresholds = vec![0.5; files.words.len()];
    let mut spotter = WakeSpotter::new(Box::new(model), thresholds, gate);
    let (mut found, mut computed) = (Vec::new(), 0);
    for samples in sound.chunks(320) {
        spotter.push(samples, &mut |_, _| computed += 1, &mut |detection| found.push(detection)).unwrap();
    }
    (found, computed)
}

#[test]
fn the_gate_in_front_of_the_real_open_wake_word_changes_no_detection_and_computes_nothing_in_silence() {
    let golden = golden();
    let Some(files) = files(&words(&golden)) else { return };
    let mut sound = vec![0.0; 20 * 16_000];
    sound.extend(stream(&golden));
    sound.extend(vec![0.0; 20 * 16_000]);
    let ((all, all_computed), (gated, computed)) = (spot(&files, false, &sound), spot(&files, true, &sound));
    assert_eq!(gated.len(), 1, "{gated:?}");
    assert_eq!((gated[0].word, gated[0].at), (all[0].word, all[0].at));
    assert!((gated[0].score - all[0].score).abs() < 1e-4, "{gated:?} {all:?}");
    assert!(computed * 3 < all_computed, "{computed} of {all_computed} hops");
}

#[test]
fn a_model_of_another_kind_is_refused_by_name() {
    let other = Path::new(HERE).join("data/tiny-piper.onnx");
    let files = WakeFiles { spectrogram: other.clone(), embedding: other.clone(), words: Vec::new() };
    let error = OpenWakeWord::open(&files).err().unwrap().to_string();
    assert!(error.contains("tiny-piper.onnx"), "{error}");
    let Some(real) = self::files(&[]) else { return };
    let error = OpenWakeWord::open(&WakeFiles { words: vec![other], ..real }).err().unwrap().to_string();
    assert!(error.contains("tiny-piper.onnx") && error.contains("openWakeWord"), "{error}");
}
