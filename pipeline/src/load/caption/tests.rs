//! What a caption flow loads: vision models of every listed layout, as files of random weights, and ffmpeg where its input needs one.

use std::fs;

use nearfield_testdata::onnx::TinyOnnx;

use super::*;
use crate::hub::cache::HubCache;
use crate::hub::registry::Places;

/// A file of the layout of a listed model, and the two that lie beside it.
fn layout(name: &str) -> (TinyOnnx, String, &'static str) {
    let input = |side: i64| TinyOnnx::new("pixel_values", &[-1, 3, side, side]);
    let labels = |n: usize| (0..n).map(|i| format!("\"{i}\": \"thing {i}\"")).collect::<Vec<_>>().join(", ");
    let detr = |model_type: &str, side: i64, n: usize| {
        let mut scores = vec![-9.0; 300 * n];
        scores[0] = 5.0;
        let model =
            input(side).output("logits", &[1, 300, n as i64], &scores).output("pred_boxes", &[1, 300, 4], &[0.5; 1200]);
        (model, format!("{{\"model_type\": \"{model_type}\", \"id2label\": {{{}}}}}", labels(n)))
    };
    let square = r#"{"size": {"height": 640, "width": 640}, "do_normalize": false}"#;
    match name {
        "mobilenet-v2" => {
            let mut logits = vec![0.0; 1001];
            logits[1] = 20.0;
            let preprocessing = r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
                "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#;
            let config = format!("{{\"id2label\": {{{}}}}}", labels(1001));
            (input(224).output("logits", &[1, 1001], &logits), config, preprocessing)
        }
        "dfine-nano" | "dfine-small" => {
            let (model, config) = detr("d_fine", 640, 80);
            (model, config, square)
        }
        "rtdetr-v2-r18" => {
            let (model, config) = detr("rt_detr_v2", 640, 80);
            (model, config, square)
        }
        "rfdetr-nano" => {
            let (model, config) = detr("rf_detr", 384, 91);
            (
                model,
                config,
                r#"{"size": {"height": 384, "width": 384}, "image_mean": [0.4, 0.4, 0.4], "image_std": [0.2, 0.2, 0.2]}"#,
            )
        }
        other => panic!("{other} is listed: add its layout here"),
    }
}

#[test]
fn a_model_that_sees_for_itself_loads_the_vision_model_only_where_one_is_named() {
    let named = |model: &str| {
        let mut config = CaptionConfig::default();
        config.vision.model = model.to_owned();
        (wants_vision(&config, false), wants_vision(&config, true))
    };
    assert_eq!(named(&VisionConfig::default().model), (true, false));
    assert_eq!(named("yolox-nano"), (true, true));
    assert_eq!(named("none"), (false, false));
}

#[test]
fn ffmpeg_is_needed_for_videos_and_streams_and_folders_of_videos() {
    let config = CaptionConfig::default();
    let needed = |input: &str| needs_ffmpeg(input, &config);
    for input in ["rtsp://cam/1", "https://cam/x.jpg", "http://x/v.mp4?a=b", "v.mp4"] {
        assert!(needed(input), "{input}");
    }
    for input in ["", "-", "http://cam/mjpeg", "x.jpg"] {
        assert!(!needed(input), "{input}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.jpg"), "").unwrap();
    let inside = folder.path().to_str().unwrap();
    assert!(!needed(inside));
    fs::write(folder.path().join("b.mp4"), "").unwrap();
    assert!(needed(inside));
}

#[test]
fn every_listed_vision_model_opens_without_a_manifest_and_says_what_it_sees() {
    if nearfield_onnx::init().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = HubCache::new(folder.path().join("hub"));
    let assets = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets"));
    let places = Places { assets, cache: cache.clone(), data: folder.path().join("data") };
    let registry = Registry::in_places(places).unwrap();
    let listed: Vec<_> = registry.models().iter().filter(|m| m.kind == Kind::Vision).collect();
    assert!(listed.len() >= 6);
    for model in listed.iter().filter(|m| !m.bundled) {
        let (onnx, config, preprocessing) = layout(&model.name);
        for file in &model.files {
            let (repository, _) = model.origin(file).unwrap();
            let path = cache.snapshot_file(repository, &"a".repeat(40), &file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match file.role {
                Role::Model => fs::write(path, onnx.bytes()).unwrap(),
                Role::Labels => fs::write(path, &config).unwrap(),
                Role::Preprocessing => fs::write(path, preprocessing).unwrap(),
                other => panic!("{}: a file of the role {other:?}", model.name),
            }
        }
        let mut config = CaptionConfig::default();
        config.vision.model.clone_from(&model.name);
        let mut vision = load_vision(&config, &registry).unwrap_or_else(|e| panic!("{}: {e:#}", model.name));
        let picture = Picture::from_rgb(64, 48, vec![90; 64 * 48 * 3], "grey").unwrap();
        let seen = vision.look(&picture).unwrap();
        let said = seen.objects.first().map(|o| &o.label).or(seen.labels.first().map(|l| &l.label));
        let wanted = if model.name == "mobilenet-v2" { "thing 1" } else { "thing 0" };
        assert_eq!(said.map(String::as_str), Some(wanted), "{}", model.name);
        assert_eq!(
            vision.manifest().map(|m| m.input.width as u32),
            model.settings.image_px,
            "{}: image_px is what the model takes",
            model.name
        );
    }
    let bundled = load_vision(&CaptionConfig::default(), &registry).unwrap();
    assert!(!bundled.words().is_empty());
}
