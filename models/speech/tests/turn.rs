//! Smart Turn against the numbers of its reference (`make_smart_turn_golden.py`).

use nearfield_speech::audio::read_clip;
use nearfield_speech::turn::SmartTurn;
use nearfield_testdata::{asset, test_model};
use serde_json::Value;

/// The recording and what the reference made of it.
fn cases() -> Vec<(Vec<f32>, Value)> {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/smart_turn.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap().clone();
    cases
        .into_iter()
        .map(|case| {
            let clip = read_clip(&asset("speech").join(case["file"].as_str().unwrap())).unwrap();
            (clip.samples[..case["samples"].as_u64().unwrap() as usize].to_vec(), case)
        })
        .collect()
}

#[test]
fn features_and_probabilities_of_the_real_smart_turn_are_those_of_the_reference() {
    let Some(model) = test_model("smart-turn-v3.2-cpu.onnx") else { return };
    let mut turn = SmartTurn::open(&model).unwrap();
    for (sound, case) in cases() {
        let features = turn.features(&sound);
        assert_eq!(features.len(), 80 * 800);
        let mut furthest = 0f64;
        for (frame, bands) in (5..800).step_by(37).zip(case["features"].as_array().unwrap()) {
            for (band, expected) in (0..80).step_by(7).zip(bands.as_array().unwrap()) {
                furthest = furthest.max((f64::from(features[band * 800 + frame]) - expected.as_f64().unwrap()).abs());
            }
        }
        assert!(furthest < 1e-3, "{}: a feature is off by {furthest}", case["file"]);
        let (found, expected) = (turn.probability(&sound).unwrap(), case["probability"].as_f64().unwrap());
        // Its integers are rounded by the range of each input: features that differ by 0.00001 move a doubtful result by 0.05.
        assert!((f64::from(found) - expected).abs() < 0.1, "{}: {found} instead of {expected}", case["file"]);
    }
}

#[test]
fn a_model_of_another_kind_is_refused_by_name() {
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny-piper.onnx");
    let error = SmartTurn::open(other.as_ref()).err().unwrap().to_string();
    assert!(error.contains("tiny-piper.onnx") && error.contains("input_features"), "{error}");
}
