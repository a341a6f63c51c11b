//! Models without a manifest: files of the layout of each family that is recognized, with one object planted in their outputs, and files
//! that look alike or are none of them, which are refused.

use std::path::{Path, PathBuf};

use nearfield_onnx::OnnxOptions;
use nearfield_testdata::onnx::{Kind, TinyOnnx};
use nearfield_testdata::test_data;
use nearfield_vision::{Beside, Picture, VisionError, VisionManifest, VisionModel, VisionResult};

/// `None`, visibly, where there is no ONNX Runtime.
fn runtime() -> Option<()> {
    use std::io::Write;
    let found = nearfield_onnx::init().map_err(|e| writeln!(std::io::stderr(), "SKIPPED: {e}").unwrap());
    found.ok().map(|_| ())
}

struct Files {
    folder: tempfile::TempDir,
    model: PathBuf,
}

fn written(name: &str, model: &TinyOnnx) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, model.bytes()).unwrap();
    Files { model: path, folder }
}

impl Files {
    fn beside(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn open(&self) -> Result<VisionModel, VisionError> {
        VisionModel::recognize(&self.model, &Beside::of(&self.model), &OnnxOptions::default())
    }

    /// What is seen in a grey picture twice as wide as high.
    fn look(&self) -> VisionResult {
        let picture = Picture::from_rgb(200, 100, vec![90; 200 * 100 * 3], "grey").unwrap();
        self.open().unwrap_or_else(|e| panic!("{e}")).look(&picture).unwrap()
    }

    /// Why it is refused, and the manifest that is offered, with which it then opens.
    fn refused(&self) -> (String, VisionManifest) {
        match self.open().err() {
            Some(VisionError::Unrecognized { reason, manifest: Some(text), .. }) => {
                let manifest: VisionManifest = toml::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
                let folder = self.folder.path();
                let opened = VisionModel::open(&self.model, manifest.clone(), folder, &OnnxOptions::default());
                assert!(opened.is_ok(), "{text}: {}", opened.err().map(|e| e.to_string()).unwrap_or_default());
                (reason, manifest)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The one object of a result: its label, its score and its rectangle as whole percents of the picture.
fn only(result: &VisionResult) -> (&str, f32, [i32; 4]) {
    let [object] = &result.objects[..] else { panic!("{:?}", result.objects) };
    let percent = |v: f32| (v * 100.0).round() as i32;
    let r = object.rect;
    (&object.label, (object.score * 100.0).round() / 100.0, [r.x, r.y, r.w, r.h].map(percent))
}

/// `rows` of `width` zeros, with these numbers in one of them.
fn table(rows: usize, width: usize, at: usize, row: &[f32]) -> Vec<f32> {
    let mut data = vec![0.0; rows * width];
    data[at * width..][..row.len()].copy_from_slice(row);
    data
}

fn transposed(data: &[f32], width: usize) -> Vec<f32> {
    let rows = data.len() / width;
    (0..width).flat_map(|column| (0..rows).map(move |row| data[row * width + column])).collect()
}

/// Four numbers, then `n` scores of which `class` is 0.9.
fn row(numbers: &[f32], n: usize, class: usize) -> Vec<f32> {
    let mut row = numbers.to_vec();
    row.resize(numbers.len() + n, 0.0);
    row[numbers.len() + class] = 0.9;
    row
}

const NAMES: &str = "{0: 'person', 1: 'hard_hat', 2: \"driver's seat\"}";

fn ultralytics(model: TinyOnnx, names: &str) -> TinyOnnx {
    model.note("names", names).note("stride", "32").note("task", "detect").note("imgsz", "[64, 64]")
}

// 64 x 64: 64 + 16 + 4 cells of strides 8, 16 and 32. A picture of 2:1 lies in rows 16 to 48.
const CELLS: usize = 84;

#[test]
fn yolo_of_every_layout_is_recognized_and_its_object_lies_where_it_was_put() {
    if runtime().is_none() {
        return;
    }
    let input = |side: i64| TinyOnnx::new("images", &[1, 3, side, side]);
    // Centre 32, 32, a quarter wide, an eighth high: within a picture of half the height, a quarter of its height.
    let centre = [32.0, 32.0, 16.0, 8.0];
    let wanted = ("driver's seat", 0.9, [38, 38, 25, 25]);
    let v8 = transposed(&table(CELLS, 7, 30, &row(&centre, 3, 2)), 7);
    let model = ultralytics(input(64).output("output0", &[1, 7, CELLS as i64], &v8), NAMES);
    assert_eq!(only(&written("yolo11n.onnx", &model).look()), wanted, "v8, 9, 11, 12");
    // The same with open sides, whose size the notes say.
    let open = TinyOnnx::new("images", &[-1, 3, -1, -1]).output("output0", &[1, 7, CELLS as i64], &v8);
    assert_eq!(only(&written("dynamic.onnx", &ultralytics(open, NAMES)).look()), wanted, "dynamic");
    let v5 = [&centre[..], &[1.0]].concat();
    let v5 = table(3 * CELLS, 8, 100, &row(&v5, 3, 2));
    let model = ultralytics(input(64).output("output0", &[1, 3 * CELLS as i64, 8], &v5), NAMES);
    assert_eq!(only(&written("yolov5s.onnx", &model).look()), wanted, "v5, v7");
    let end = table(300, 6, 0, &[24.0, 28.0, 40.0, 36.0, 0.9, 2.0]);
    let model = ultralytics(input(64).output("output0", &[1, 300, 6], &end), NAMES);
    assert_eq!(only(&written("yolo26n.onnx", &model).look()), wanted, "v10, 26, or with suppression built in");
    // Masks behind the scores, and their prototypes as a second output.
    let masked = transposed(&table(CELLS, 39, 30, &row(&centre, 3, 2)), 39);
    let model =
        input(64).output("output0", &[1, 39, CELLS as i64], &masked).output("output1", &[1, 32, 16, 16], &[0.0; 8192]);
    let model = model.note("names", NAMES).note("stride", "32").note("task", "segment").note("imgsz", "[64, 64]");
    assert_eq!(only(&written("yolo11n-seg.onnx", &model).look()), wanted, "segmentation");
    // RT-DETR stretches the picture, and speaks of parts of it.
    let parts = table(300, 7, 7, &row(&[0.5, 0.5, 0.25, 0.25], 3, 2));
    let model = ultralytics(input(64).output("output0", &[1, 300, 7], &parts), NAMES);
    let model = model.note("description", "Ultralytics RT-DETR-l model trained on coco.yaml");
    assert_eq!(only(&written("rtdetr-l.onnx", &model).look()), wanted, "RT-DETR");
    let parts = table(300, 6, 7, &[0.5, 0.5, 0.25, 0.25, 0.9, 2.0]);
    let model = ultralytics(input(64).output("output0", &[1, 300, 6], &parts), NAMES).note("head", "RTDETRDecoder");
    assert_eq!(only(&written("rtdetr-new.onnx", &model).look()), wanted, "RT-DETR of newer versions");
    // Without notes 80 labels are COCO's, and others have no names.
    let cells = 144 + 36 + 9; // of 96 x 96: as many as numbers a box would be a form of its own
    let coco = transposed(&table(cells, 84, 30, &row(&centre, 80, 39)), 84);
    let model = input(96).output("output0", &[1, 84, cells as i64], &coco);
    assert_eq!(only(&written("m.onnx", &model).look()).0, "bottle");
    let model = input(64).output("output0", &[1, 7, CELLS as i64], &v8);
    let (reason, manifest) = written("m.onnx", &model).refused();
    assert!(reason.contains("names of its labels"), "{reason}");
    assert!(manifest.detector.is_some());
    // Boxes at any angle are no boxes.
    let turned = input(64).output("output0", &[1, 8, CELLS as i64], &[0.0; 8 * CELLS]);
    let turned = turned.note("names", NAMES).note("stride", "32").note("task", "obb");
    let said = written("obb.onnx", &turned).open().err().unwrap().to_string();
    assert!(said.contains("obb.onnx needs a manifest") && said.contains("angle"), "{said}");
}

#[test]
fn yolox_is_told_from_models_of_the_same_shape_by_what_it_gives() {
    if runtime().is_none() {
        return;
    }
    let input = || TinyOnnx::new("images", &[1, 3, 64, 64]);
    // The picture lies in the upper half. Cell 0 of stride 16 (row 64), in strides: centre 2, 1, a stride wide.
    let raw = table(CELLS, 85, 64, &[&[2.0, 1.0, 0.0, 0.0, 1.0][..], &row(&[], 80, 15)].concat());
    let model = input().output("output", &[1, CELLS as i64, 85], &raw);
    assert_eq!(only(&written("yolox_nano.onnx", &model).look()), ("cat", 0.9, [38, 25, 25, 50]));
    // In pixels: YOLOv6, or YOLOX with its decoder.
    let mut pixels = Vec::new();
    for stride in [8usize, 16, 32] {
        for cell in 0..(64 / stride) * (64 / stride) {
            let (x, y) = ((cell % (64 / stride)) as f32, (cell / (64 / stride)) as f32);
            let size = stride as f32;
            pixels.extend([(x + 0.5) * size, (y + 0.5) * size, size, size, 1.0]);
            pixels.extend([0.0; 80]);
        }
    }
    let model = input().output("outputs", &[1, CELLS as i64, 85], &pixels);
    let (reason, _) = written("m.onnx", &model).refused();
    assert!(reason.contains("YOLOv6") && reason.contains("bgr"), "{reason}");
    // Of one kind of thing nobody knows the name.
    let raw = table(CELLS, 6, 64, &[2.0, 1.0, 0.0, 0.0, 1.0, 0.9]);
    let (reason, _) = written("m.onnx", &input().output("output", &[1, CELLS as i64, 6], &raw)).refused();
    assert!(reason.contains("names of its labels"), "{reason}");
}

#[test]
fn detr_and_its_descendants_are_recognized_with_their_activations_and_labels() {
    if runtime().is_none() {
        return;
    }
    let input = |side: i64| TinyOnnx::new("pixel_values", &[-1, 3, side, side]);
    let boxes = table(300, 4, 5, &[0.5, 0.25, 0.5, 0.25]);
    let scores = |n: usize, class: usize, logit: f32| {
        let mut data = vec![-9.0; 300 * n];
        data[5 * n + class] = logit;
        data
    };
    let hf = |n: usize, scores: &[f32]| {
        input(64).output("logits", &[1, 300, n as i64], scores).output("pred_boxes", &[1, 300, 4], &boxes)
    };
    let wanted = [25, 13, 50, 25];
    // RT-DETR and D-FINE: a logistic function each; 80 labels are COCO's.
    let found = written("model.onnx", &hf(80, &scores(80, 16, 2.0))).look();
    assert_eq!(only(&found), ("dog", 0.88, wanted));
    // With a configuration, its names; and pictures as its preprocessing says.
    let config = r#"{"model_type": "d_fine", "id2label": {"0": "cup", "1": "tea pot"}}"#;
    let found = written("model.onnx", &hf(2, &scores(2, 1, 2.0))).beside("config.json", config).look();
    assert_eq!(only(&found).0, "tea pot");
    let config = r#"{"model_type": "conditional_detr", "id2label": {"0": "cup", "1": "tea pot"}}"#;
    let files = written("model.onnx", &hf(2, &scores(2, 1, 2.0))).beside("config.json", config);
    assert!(files.refused().0.contains("preprocessor_config.json"));
    let files = files.beside(
        "preprocessor_config.json",
        r#"{"size": {"height": 64, "width": 64}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#,
    );
    assert_eq!(only(&files.look()).0, "tea pot");
    assert_eq!(files.open().unwrap().manifest().unwrap().input.mean, [0.5; 3]);
    // DETR and YOLOS: a softmax with "no object" as the last.
    let yolos = r#"{"model_type": "yolos", "id2label": {"0": "cup", "1": "tea pot"}}"#;
    let prepared = r#"{"size": {"height": 64, "width": 64}}"#;
    let mut three = vec![0.0; 300 * 3];
    three.chunks_exact_mut(3).for_each(|row| row[2] = 9.0);
    three[15..18].copy_from_slice(&[0.0, 3.0, 0.0]);
    let files =
        written("model.onnx", &hf(3, &three)).beside("config.json", yolos).beside("preprocessor_config.json", prepared);
    assert_eq!(only(&files.look()), ("tea pot", 0.91, wanted));
    // RF-DETR's own export counts as COCO does, with gaps.
    let rf = TinyOnnx::new("input", &[1, 3, 64, 64]).output("dets", &[1, 300, 4], &boxes).output(
        "labels",
        &[1, 300, 91],
        &scores(91, 18, 2.0),
    );
    let files = written("rf-detr-nano.onnx", &rf);
    assert_eq!(only(&files.look()), ("dog", 0.88, wanted));
    assert!(files.open().unwrap().manifest().unwrap().input.mean[0] > 0.4, "ImageNet's mean");
    let gap = TinyOnnx::new("input", &[1, 3, 64, 64]).output("dets", &[1, 300, 4], &boxes).output(
        "labels",
        &[1, 300, 91],
        &scores(91, 12, 2.0),
    );
    assert_eq!(written("rf.onnx", &gap).look().objects, [], "12 is no label of COCO's");
}

#[test]
fn lists_of_objects_are_read_in_pixels_in_parts_and_with_y_first() {
    if runtime().is_none() {
        return;
    }
    // D-FINE's own export takes the picture's size, and says nothing of how many labels it has.
    let size = |model: TinyOnnx| model.input("orig_target_sizes", Kind::I64, &[1, 2]);
    let dfine = size(TinyOnnx::new("images", &[1, 3, 64, 64]))
        .whole_output("labels", &[1, 2], &[16, 2])
        .output("boxes", &[1, 2, 4], &[16.0, 16.0, 48.0, 32.0, 0.0, 0.0, 1.0, 1.0])
        .output("scores", &[1, 2], &[0.9, 0.1]);
    let files = written("dfine_n.onnx", &dfine);
    let (reason, manifest) = files.refused();
    assert!(reason.contains("how many labels"), "{reason}");
    let picture = Picture::from_rgb(200, 100, vec![90; 60_000], "grey").unwrap();
    let mut model = VisionModel::open(&files.model, manifest, files.folder.path(), &OnnxOptions::default()).unwrap();
    assert_eq!(only(&model.look(&picture).unwrap()), ("dog", 0.9, [25, 25, 50, 25]));
    // TensorFlow: bytes, y first, labels by COCO's numbers.
    let ssd = TinyOnnx::default()
        .input("inputs", Kind::U8, &[1, -1, -1, 3])
        .output("detection_boxes", &[1, 2, 4], &[0.25, 0.5, 0.75, 0.75, 0.0, 0.0, 1.0, 1.0])
        .output("detection_classes", &[1, 2], &[18.0, 1.0])
        .output("detection_scores", &[1, 2], &[0.9, 0.2])
        .output("num_detections", &[1], &[2.0]);
    assert_eq!(only(&written("ssd_mobilenet_v1_12.onnx", &ssd).look()), ("dog", 0.9, [50, 25, 25, 50]));
    assert!(written("mine.onnx", &ssd).refused().0.contains("how many labels"));
}

#[test]
fn grids_of_fastestdet_nanodet_and_picodet_are_recognized() {
    if runtime().is_none() {
        return;
    }
    // FastestDet: a plane a number, 4 x 4 cells of 64 pixels. The centre of cell 5 (row 1, column 1), half the picture.
    let mut planes = vec![0.0; 85 * 16];
    for (channel, value) in [(0, 1.0), (5 + 2, 1.0)] {
        planes[channel * 16 + 5] = value;
    }
    let model = TinyOnnx::new("input.1", &[1, 3, 64, 64]).output("758", &[1, 85, 4, 4], &planes);
    assert_eq!(only(&written("FastestDet.onnx", &model).look()), ("car", 1.0, [0, 0, 50, 50]));
    // Distributions of which each side's whole weight lies on bin 1: a stride to each side.
    let sides =
        |bins: usize| [0.0, 99.0].into_iter().chain(std::iter::repeat_n(0.0, bins - 2)).collect::<Vec<f32>>().repeat(4);
    // NanoDet-Plus: 64 + 16 + 4 + 1 cells, centres at corners. Cell 9 of stride 8: row 1, column 1.
    let plus = table(85, 112, 9, &[row(&[], 80, 2), sides(8)].concat());
    let model = TinyOnnx::new("data", &[1, 3, 64, 64]).output("output", &[1, 85, 112], &plus);
    let files = written("nanodet-plus-m_416.onnx", &model);
    assert_eq!(only(&files.look()), ("car", 0.9, [0, 0, 25, 25]));
    assert!((files.open().unwrap().manifest().unwrap().input.mean[0] - 103.53 / 255.0).abs() < 1e-6);
    // PicoDet: an output of scores and one of distributions for each level, and its labels in a note.
    let mut pico = TinyOnnx::new("image", &[1, 3, 64, 64]).note("character", "text\ntitle");
    for (i, cells) in [64usize, 16, 4, 1].into_iter().enumerate() {
        let scores = if i == 1 { table(cells, 2, 5, &row(&[], 2, 1)) } else { vec![0.0; cells * 2] };
        pico = pico.output(&format!("scores{i}"), &[1, cells as i64, 2], &scores);
    }
    for (i, cells) in [64usize, 16, 4, 1].into_iter().enumerate() {
        pico = pico.output(&format!("boxes{i}"), &[1, cells as i64, 32], &sides(8).repeat(cells));
    }
    // Cell 5 of stride 16: its middle is at 24, 24; 16 to each side.
    assert_eq!(only(&written("layout.onnx", &pico).look()), ("title", 0.9, [13, 13, 50, 50]));
}

#[test]
fn classifiers_need_to_know_how_their_pictures_are_prepared() {
    if runtime().is_none() {
        return;
    }
    let logits = |n: usize, class: usize| row(&[], n, class).iter().map(|v| v * 20.0).collect::<Vec<f32>>();
    let imagenet = |n: usize, class: usize| {
        TinyOnnx::new("data", &[1, 3, 224, 224]).output("output", &[1, n as i64], &logits(n, class))
    };
    // A file of the ONNX model zoo by its name and shape; the same file under another name could be anybody's.
    let found = written("mobilenetv2-12.onnx", &imagenet(1000, 281)).look();
    assert_eq!(found.labels[0].label, "tabby");
    let (reason, manifest) = written("mine.onnx", &imagenet(1000, 281)).refused();
    assert!(reason.contains("prepared"), "{reason}");
    assert!(manifest.classifier.is_some_and(|c| c.softmax));
    // From the hub: names and preprocessing lie beside it, or above the folder `onnx`. A "background" is no label.
    let hub = TinyOnnx::new("pixel_values", &[-1, 3, 224, 224]).output("logits", &[1, 3], &[0.0, 0.0, 9.0]);
    let config = r#"{"id2label": {"0": "background", "1": "tench, Tinca tinca", "2": "tabby, tabby cat"}}"#;
    let prepared = r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224},
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#;
    let files = written("model.onnx", &hub).beside("config.json", config).beside("preprocessor_config.json", prepared);
    assert_eq!(files.look().labels[0].label, "tabby");
    let folder = files.folder.path().join("onnx");
    std::fs::create_dir(&folder).unwrap();
    std::fs::rename(&files.model, folder.join("model.onnx")).unwrap();
    let above = VisionModel::recognize(
        &folder.join("model.onnx"),
        &Beside::of(&folder.join("model.onnx")),
        &OnnxOptions::default(),
    );
    assert_eq!(above.unwrap().manifest().unwrap().input.std, [0.5; 3]);
    let broken = written("model.onnx", &hub).beside("config.json", "{");
    assert!(broken.open().err().unwrap().to_string().contains("config.json: it is not JSON"));
    // Ultralytics' classifier is already a probability.
    let cls = TinyOnnx::new("images", &[1, 3, 64, 64]).output("output0", &[1, 3], &[0.1, 0.2, 0.7]);
    let cls = cls.note("names", NAMES).note("stride", "1").note("task", "classify").note("imgsz", "[64, 64]");
    let files = written("yolov8n-cls.onnx", &cls.clone().note("version", "8.4.190"));
    assert_eq!((files.look().labels[0].label.as_str(), files.look().labels[0].score), ("driver's seat", 0.7));
    assert!(written("old.onnx", &cls.note("version", "8.0.20")).refused().0.contains("prepared"));
}

#[test]
fn encoders_embed_and_files_that_take_no_picture_are_named() {
    if runtime().is_none() {
        return;
    }
    let clip = TinyOnnx::new("pixel_values", &[-1, 3, 224, 224])
        .output("last_hidden_state", &[1, 2, 3], &[0.5; 6])
        .output("image_embeds", &[1, 2], &[3.0, 4.0]);
    let prepared = r#"{"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "resample": 3,
        "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.26, 0.27]}"#;
    let files = written("vision_model.onnx", &clip).beside("preprocessor_config.json", prepared);
    let found = files.look();
    assert_eq!(found.embedding, [0.6, 0.8]);
    assert!(files.open().unwrap().only_compares());
    assert!(written("vision_model.onnx", &clip).refused().0.contains("prepared"));
    let refused = |model: &TinyOnnx| written("x.onnx", model).open().err().unwrap().to_string();
    let text = TinyOnnx::default().input("input_ids", Kind::I64, &[1, 77]).output("text_embeds", &[1, 2], &[1.0, 0.0]);
    assert!(
        refused(&text).contains("none of its inputs takes a picture") && refused(&text).contains("input_ids [1, 77]")
    );
    let half =
        TinyOnnx::default().input("pixel_values", Kind::F16, &[1, 3, 64, 64]).output("logits", &[1, 2], &[1.0, 0.0]);
    assert!(refused(&half).contains("float32"), "{}", refused(&half));
    let odd = TinyOnnx::new("images", &[1, 3, 64, 64]).output("depth", &[1, 64, 64], &[0.0; 4096]);
    assert!(
        refused(&odd).contains("no model of this form") && refused(&odd).contains("depth [1, 64, 64]"),
        "{}",
        refused(&odd)
    );
    let masked = TinyOnnx::new("pixel_values", &[1, 3, 64, 64]).input("pixel_mask", Kind::I64, &[1, 64, 64]).output(
        "logits",
        &[1, 2],
        &[1.0, 0.0],
    );
    assert!(refused(&masked).contains("more than a picture"), "{}", refused(&masked));
}

#[test]
fn a_manifest_that_does_not_fit_is_refused_with_what_the_model_has() {
    if runtime().is_none() {
        return;
    }
    let model = TinyOnnx::new("images", &[1, 3, 64, 64]).output("output0", &[1, 7, CELLS as i64], &[0.0; 7 * CELLS]);
    let files = written("m.onnx", &model);
    let open = |text: &str| {
        let manifest: VisionManifest = toml::from_str(text).unwrap();
        let opened = VisionModel::open(&files.model, manifest, Path::new("/nowhere"), &OnnxOptions::default());
        opened.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let with = |input: &str, detector: &str| format!("[input]\n{input}\n[detector]\nhead = {{ {detector}");
    let labels = "labels = [\"a\", \"b\", \"c\"]";
    let size = "width = 64\nheight = 64";
    let said = open(&with("width = 96\nheight = 64", &format!("yolo = {{}} }}\n{labels}")));
    assert!(said.contains("[1, 3, 64, 96]") && said.contains("images is [1, 3, 64, 64]"), "{said}");
    let said = open(&with(&format!("{size}\nname = \"pixels\""), &format!("yolo = {{}} }}\n{labels}")));
    assert!(said.contains("input.name is \"pixels\"") && said.contains("images"), "{said}");
    let said = open(&with(size, &format!("yolo = {{ output = \"out\" }} }}\n{labels}")));
    assert!(said.contains("the output \"out\"") && said.contains("output0"), "{said}");
    let said = open(&with(size, "yolo = {} }\nlabels = \"coco\""));
    assert!(said.contains("80 labels need 84 numbers a box"), "{said}");
    let said = open(&with(size, &format!("yolo = {{}} }}\n{labels}\nonly = [\"d\"]")));
    assert!(said.contains("detector.only names \"d\""), "{said}");
    let said = open(&with(size, "yolo = {} }\nlabels = \"none.txt\""));
    assert!(said.contains("none.txt") && said.contains("coco-91"), "{said}");
}

/// Real files, where they are: the layouts above are theirs.
#[test]
fn real_detectors_and_classifiers_are_recognized_without_their_manifests() {
    let Some(detector) = test_data("vision/FastestDet.onnx") else { return };
    if runtime().is_none() {
        return;
    }
    let open = |path: &Path| VisionModel::recognize(path, &Beside::of(path), &OnnxOptions::default());
    let mut model = open(&detector).unwrap();
    let picture = Picture::read(&test_data("vision/cat_720p.jpg").unwrap()).unwrap();
    let found = model.look(&picture).unwrap();
    assert!(found.objects.iter().any(|o| o.label == "cat"), "{found:?}");
    let classifier = test_data("vision/shufflenet-v2-12-int8.onnx").unwrap();
    let found = open(&classifier).unwrap().look(&picture).unwrap();
    assert!(found.labels[0].label.contains("cat") || found.labels[0].label.contains("tabby"), "{:?}", found.labels);
}
