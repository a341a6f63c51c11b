//! Vision models of `nearfield caption`, from outside: kinds, recognition, pictures that a model does not know, what computes it, and
//! what of a picture it sees.

use std::path::PathBuf;

use nearfield_testdata::onnx::TinyOnnx;
use nearfield_testdata::test_data;
use nearfield_tests::{Ran, arg, assets, finish, has_ffmpeg, nearfield, run, skipped};
use nearfield_vision::{Picture, encode_jpeg};
use serde_json::Value;
use std::time::Duration;

/// Without a vision model: what is tested does not depend on one.
const BLIND: [&str; 4] = ["--set", "vision.model=none", "--set", "gate.min_interval_ms=0"];

/// The lines of a run with `--json`, without the summary; and the summary.
fn lines(ran: &Ran) -> (Vec<Value>, Value) {
    let mut lines = ran.assert_done().json();
    let summary = lines.pop().expect("a summary")["summary"].clone();
    assert!(summary.is_object(), "{ran:#?}");
    (lines, summary)
}

#[test]
fn the_default_model_invents_nothing_on_photographs_and_names_models_that_know_them() {
    let Some(cat) = test_data("vision/cat_720p.jpg") else { return };
    let pictures = cat.with_file_name("*.jpg");
    let ran = run(&["caption", "--input", arg(&pictures), "--json", "--set", "output.all=true"]);
    let (found, summary) = lines(&ran);
    assert_eq!(found.len(), 4);
    for line in &found {
        assert_eq!(
            (&line["caption"], &line["foreign"], &line["objects"]),
            (&"".into(), &true.into(), &serde_json::json!([])),
            "{line}"
        );
        assert!(line["words"].is_null(), "{line}");
    }
    assert_eq!((summary["captions"].as_u64(), summary["foreign"].as_u64()), (Some(0), Some(4)), "{summary}");
    let told = ran.stderr.matches("knows drawn scenes only").count();
    assert!(told == 1 && ran.stderr.contains("nearfield models pull"), "{}", ran.stderr);
    if !has_ffmpeg() {
        return;
    }
    for video in ["video/one-by-one-person-detection.mp4", "video/bottle-detection.mp4"] {
        let Some(video) = test_data(video) else { return };
        let (_, summary) = lines(&run(&["caption", "--input", arg(&video), "--json", "--set", "source.fps=1"]));
        assert_eq!((summary["captions"].as_u64(), summary["language_model"].as_u64()), (Some(0), Some(0)), "{summary}");
    }
}

#[test]
fn the_wrong_kind_of_model_is_called_what_it_is() {
    let with = |model: &str| run(&["caption", "--input", "/nowhere/x.jpg", "--model", model]);
    with("talk-nano").assert_fails(1, &["vision.model: talk-nano is a language model", "a vision model is wanted"]);
    with("whisper-tiny").assert_fails(1, &["whisper-tiny is a speech-to-text model", "a vision model is wanted"]);
    with(arg(&assets().join("models/talk-nano.gguf")))
        .assert_fails(1, &["a language model (GGUF)", "a vision model is wanted"]);
    with("dfine-nano").assert_fails(1, &["`nearfield models pull dfine-nano`"]);
    with("dfine-nan").assert_fails(2, &["did you mean dfine-nano"]);
}

#[test]
fn a_model_that_is_not_recognized_is_refused_with_a_manifest_that_fits_once_it_is_kept() {
    if nearfield_onnx::init().is_err() {
        return skipped("there is no ONNX Runtime");
    }
    let folder = tempfile::tempdir().unwrap();
    let boxes: Vec<f32> = (0..84 * 7).map(|i| if i / 84 < 4 { 20.0 } else { 0.9 }).collect();
    let model = TinyOnnx::new("images", &[1, 3, 64, 64]).output("output0", &[1, 7, 84], &boxes);
    let path = folder.path().join("mine.onnx");
    std::fs::write(&path, model.bytes()).unwrap();
    let picture = assets().join("pictures/02-1.jpg");
    let caption = || {
        run(&["caption", "--input", arg(&picture), "--json", "--model", arg(&path), "--set", "caption.by_rule=true"])
    };
    let refused = caption();
    refused.assert_fails(1, &["mine.onnx needs a manifest", "names of its labels", "ending .toml"]);
    let manifest = refused.stderr.split_once("\n\n").expect("a manifest after an empty line").1;
    std::fs::write(path.with_extension("toml"), manifest.replace("label 1", "kettle")).unwrap();
    let (found, _) = lines(&caption());
    assert_eq!(found[0]["objects"][0]["label"], "kettle", "{}", found[0]);
}

#[test]
fn pictures_are_turned_cut_and_masked_before_anything_sees_them() {
    let folder = tempfile::tempdir().unwrap();
    let (w, h) = (60u32, 40u32);
    // White in the upper left quarter, noise below it.
    let rgb = (0..w * h).flat_map(|i| {
        let (x, y) = (i % w, i / w);
        [if x < 30 && y < 20 { 255 } else { (i * 7919 % 60) as u8 }; 3]
    });
    let picture = Picture::from_rgb(w, h, rgb.collect(), "quarter").unwrap();
    std::fs::write(folder.path().join("p.jpg"), encode_jpeg(&picture, 95).unwrap()).unwrap();
    let shots = folder.path().join("shots");
    let input = folder.path().join("p.jpg");
    let framing = [
        "--set",
        "source.rotate=90",
        "--set",
        "source.crop=[0.0,0.0,1.0,0.5]",
        "--set",
        "source.masks=[[0.0,0.0,0.25,1.0]]",
    ];
    let args = [&["caption", "--input", arg(&input), "--snapshots", arg(&shots)], &framing[..], &BLIND[..]].concat();
    run(&args).assert_done();
    let shot = std::fs::read_dir(&shots).unwrap().next().unwrap().unwrap().path();
    let seen = Picture::read(&shot).unwrap();
    assert_eq!(seen.width(), 40);
    let at = |x: usize, y: usize| seen.rgb()[(y * 40 + x) * 3];
    // Turned, white is on the upper right; its left neighbour is masked.
    assert!(at(35, 5) > 230 && at(2, 5) < 20, "{} {}", at(35, 5), at(2, 5));
    run(&["caption", "--input", arg(&input), "--set", "source.rotate=45"]).assert_fails(2, &["source.rotate is 45"]);
}

/// What is captured of each change on real video is the picture's own part of the prompt, and what follows it.
#[test]
fn on_real_video_only_the_picture_s_part_of_the_prompt_is_read_and_one_bottle_is_one_thing() {
    let (Some(model), Some(video)) = (test_data("vision/FastestDet.onnx"), test_data("video/bottle-detection.mp4"))
    else {
        return;
    };
    if !has_ffmpeg() {
        return;
    }
    let args = ["caption", "--input", arg(&video), "--model", arg(&model), "--json", "--set", "source.fps=5"];
    let (found, summary) = lines(&finish(nearfield(&args), &[], Duration::from_secs(120)));
    let tokens = |value: &Value, key: &str| value["tokens"][key].as_u64().unwrap();
    // The first picture finds the system text in the cache; each has seventeen words and their token, and 16 more at most.
    for line in found.iter().filter(|l| tokens(l, "generated") > 0) {
        assert!(tokens(line, "prefilled") <= 18 + 16, "{line}");
    }
    assert!(tokens(&summary, "reused") > tokens(&summary, "prefilled"), "{summary}");
    // Nothing is generated of which nothing is used.
    let written = found.iter().filter(|l| l["written_by"] == "model").count() as u64;
    assert!(summary["language_model"].as_u64().unwrap() <= written + 3, "{summary}");
    for line in &found {
        let objects = line["objects"].as_array().unwrap();
        let of = |object: &Value, key: &str| object["box"][key].as_f64().unwrap();
        for (i, a) in objects.iter().enumerate() {
            for b in &objects[i + 1..] {
                let side = |key: &str, size: &str| {
                    let end = (of(a, key) + of(a, size)).min(of(b, key) + of(b, size));
                    (end - of(a, key).max(of(b, key))).max(0.0)
                };
                let both = side("x", "w") * side("y", "h");
                let union = of(a, "w") * of(a, "h") + of(b, "w") * of(b, "h") - both;
                assert!(both / union < 0.8, "one thing with two names: {a} {b}");
            }
        }
    }
}

/// `NEARFIELD_TEST_OPENVINO` names the library of the PyPI package `onnxruntime-openvino` (`onnxruntime/capi/libonnxruntime.so.*`).
#[test]
fn the_openvino_provider_computes_what_the_cpu_does_and_required_leaves_nothing_to_it() {
    let Some(detector) = test_data("vision/FastestDet.onnx") else { return };
    let Some(library) = std::env::var_os("NEARFIELD_TEST_OPENVINO").map(PathBuf::from) else {
        return skipped("NEARFIELD_TEST_OPENVINO is not set");
    };
    let cat = detector.with_file_name("cat_720p.jpg");
    let on = |model: &std::path::Path, providers: &str, required: bool| {
        let (providers, required) = (format!("vision.providers={providers}"), format!("vision.required={required}"));
        let sets = ["--set", "caption.by_rule=true", "--set", &providers, "--set", &required];
        let mut command =
            nearfield(&[&["-v", "caption", "--input", arg(&cat), "--model", arg(model), "--json"], &sets[..]].concat());
        command.env("ORT_DYLIB_PATH", &library);
        finish(command, &[], Duration::from_secs(120))
    };
    let (here, there) = (on(&detector, "[\"cpu\"]", false), on(&detector, "[\"openvino\"]", true));
    assert!(there.stderr.contains("OpenVINO"), "{}", there.stderr);
    let (here, there) = (lines(&here).0, lines(&there).0);
    let objects = |lines: &[Value]| lines[0]["objects"].as_array().unwrap().clone();
    let (here, there) = (objects(&here), objects(&there));
    assert_eq!(here.len(), there.len());
    for (a, b) in here.iter().zip(&there) {
        assert_eq!(a["label"], b["label"]);
        assert!((a["score"].as_f64().unwrap() - b["score"].as_f64().unwrap()).abs() < 0.01, "{a} {b}");
    }
    // An operation that OpenVINO leaves to the CPU (QLinearAdd of an int8 model).
    let int8 = detector.with_file_name("shufflenet-v2-12-int8.onnx");
    on(&int8, "[\"openvino\"]", true).assert_fails(1, &["the required execution provider does not run it", "OpenVINO"]);
    on(&int8, "[\"openvino\"]", false).assert_done();
    on(&detector, "[\"cuda\", \"cpu\"]", true)
        .assert_fails(1, &["the required execution provider does not run it (CUDA"]);
}
