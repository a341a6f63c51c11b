//! Detectors by the form of their outputs. Where two families share a form, the values on the test picture decide, or nothing does.

use super::{Evidence, Guess, IMAGENET, normalized};
use crate::heads::{cells, grid};
use crate::manifest::{
    Activation, DetectorHead, DetectorSpec, Filter, Fit, InputSpec, Labels, Layout, PixelOrder, VisionManifest,
};
use nearfield_onnx::OnnxOutput;

/// YOLO's grey bars.
const LETTERBOX: Fit = Fit::Letterbox { pad: 114.0, corner: false };
/// The strides of nearly all detectors' grids.
const STRIDES: [usize; 3] = [8, 16, 32];
/// More objects than an output of finished ones has.
const MOST_OBJECTS: usize = 1000;
/// NanoDet's and PicoDet's bins a side.
const BINS: usize = 8;

fn detector(input: InputSpec, head: DetectorHead, labels: Labels, overlap: f32) -> VisionManifest {
    let detector =
        DetectorSpec { head, labels, threshold: 0.5, overlap, most: 100, only: Vec::new(), words: Default::default() };
    VisionManifest { input, encoder: None, classifier: None, detector: Some(detector) }
}

/// The input of models that were trained on OpenCV's pictures.
fn opencv(e: &Evidence, fit: Fit) -> InputSpec {
    InputSpec { filter: Filter::Linear, ..e.input(fit) }
}

pub(super) fn guess(e: &Evidence) -> Option<Guess> {
    if e.notes.is_ultralytics {
        return if e.notes.task.as_deref() == Some("classify") { None } else { ultralytics(e) };
    }
    detr(e).or_else(|| listed(e)).or_else(|| gfl_levels(e)).or_else(|| one_output(e))
}

/// Rows and columns of an output `[1, rows, columns]`.
fn sides(output: &OnnxOutput) -> Option<(usize, usize)> {
    match output.shape[..] {
        [1, rows, columns] => Some((rows, columns)),
        _ => None,
    }
}

/// An export of Ultralytics' (YOLOv3 to 12, 26, RT-DETR) or of YOLOv5's own: the labels stand in the file.
fn ultralytics(e: &Evidence) -> Option<Guess> {
    let output = e.outputs.first()?;
    let (rows, columns) = sides(output)?;
    let n = e.notes.names.as_ref()?.len();
    let labels = e.labels(n).0;
    let name = (e.outputs.len() > 1).then(|| output.name.clone());
    let more = e.notes.more;
    if e.notes.is_rtdetr {
        let head = match columns {
            6 if e.notes.has_head => DetectorHead::Rows { output: name, parts: true },
            _ if columns == 4 + n => DetectorHead::Yolo { output: name, objectness: false, parts: true },
            _ => return None,
        };
        return Some(Guess::sure(detector(opencv(e, Fit::Stretch), head, labels, 1.0)));
    }
    let of_three = 3 * cells(e.width, e.height, &STRIDES);
    let (head, overlap) = if rows == of_three && columns == 5 + n + more {
        (DetectorHead::Yolo { output: name, objectness: true, parts: false }, 0.45)
    } else if rows == 4 + n + more && columns != 6 {
        (DetectorHead::Yolo { output: name, objectness: false, parts: false }, 0.45)
    } else if rows <= MOST_OBJECTS && columns == 6 + more {
        (DetectorHead::Rows { output: name, parts: false }, 1.0)
    } else {
        return None;
    };
    Some(Guess::sure(detector(opencv(e, LETTERBOX), head, labels, overlap)))
}

/// DETR and its descendants: `logits` and `pred_boxes` as transformers name them, `labels` and `dets` as RF-DETR does.
fn detr(e: &Evidence) -> Option<Guess> {
    let (scores, boxes, is_rf) =
        match (e.output("logits"), e.output("pred_boxes"), e.output("labels"), e.output("dets")) {
            (Some(scores), Some(boxes), ..) => (scores, boxes, false),
            (_, _, Some(scores), Some(boxes)) => (scores, boxes, true),
            _ => return None,
        };
    let columns = *scores.shape.last()?;
    let queries = scores.shape.iter().rev().nth(1).copied()?;
    let kind = e.config.model_type.as_deref();
    // DETR itself and YOLOS have "no object" as a last label; what came after them has not.
    let softmax = match kind {
        Some("detr" | "yolos" | "table-transformer") => true,
        Some(_) => false,
        None => columns == 92 && queries == 100,
    };
    let activation = if softmax { Activation::Softmax } else { Activation::Sigmoid };
    let n = if softmax { columns - 1 } else { columns };
    let (labels, known) = e.labels(n);
    let plain = e.input(Fit::Stretch);
    // RT-DETR and D-FINE take pixels from 0 to 1; with 91 labels (COCO's numbers) it is RF-DETR or DETR.
    let usual = match (is_rf || n == 91, kind) {
        (true, _) => Some(normalized(plain.clone(), IMAGENET)),
        (false, Some("rt_detr" | "rt_detr_v2" | "d_fine")) => Some(plain.clone()),
        (false, None) if columns == 80 && queries == 300 => Some(plain.clone()),
        _ => None,
    };
    let prepared = e.preprocessing.as_ref().and_then(|p| p.applied(plain.clone()));
    let head = DetectorHead::Boxes {
        boxes: boxes.name.clone(),
        scores: scores.name.clone(),
        activation,
        corners: false,
        pixels: false,
    };
    Some(match prepared.or(usual) {
        Some(input) => Guess::with_labels(detector(input, head, labels, 1.0), known),
        None => Guess::open(
            detector(normalized(plain, IMAGENET), head, labels, 1.0),
            "how its pictures are prepared is not in the file: lay its preprocessor_config.json beside it, or correct [input]",
        ),
    })
}

/// Three lists: TensorFlow's detection API, SSD of the ONNX model zoo, D-FINE's and RT-DETR's own export.
fn listed(e: &Evidence) -> Option<Guess> {
    let of = |boxes: &str, scores: &str, classes: &str| Some((e.output(boxes)?, e.output(scores)?, e.output(classes)?));
    let head =
        |(boxes, scores, classes): (&OnnxOutput, &OnnxOutput, &OnnxOutput), yx, pixels, first| DetectorHead::Lists {
            boxes: boxes.name.clone(),
            scores: scores.name.clone(),
            classes: classes.name.clone(),
            yx,
            pixels,
            first,
        };
    let what = "how many labels it has and what they are called is not in the file; those below are a guess";
    if let Some(three) = of("detection_boxes", "detection_scores", "detection_classes") {
        // Numbered as in COCO, from 1.
        let manifest =
            detector(e.input(Fit::Stretch), head(three, true, false, 0), Labels::Named("coco-91".to_owned()), 1.0);
        let is_zoo = ["ssd_mobilenet_v1_1", "ssd-mobilenetv1-1"].iter().any(|known| e.stem().starts_with(known));
        return Some(if is_zoo { Guess::sure(manifest) } else { Guess::open(manifest, what) });
    }
    let coco = || Labels::Named("coco".to_owned());
    if let Some(three) = of("bboxes", "scores", "labels") {
        let input = normalized(e.input(Fit::Stretch), IMAGENET);
        let manifest = detector(input, head(three, false, false, 1), coco(), 1.0);
        let is_zoo = e.stem().starts_with("ssd-1");
        return Some(if is_zoo { Guess::sure(manifest) } else { Guess::open(manifest, what) });
    }
    let three = of("boxes", "scores", "labels").filter(|_| e.size.is_some())?;
    let labels = e.config.labels.as_ref().filter(|l| three.2.data.iter().all(|class| (*class as usize) < l.len()));
    let known = labels.map(|list| Labels::List(list.clone()));
    let open = known.is_none();
    let manifest = detector(e.input(Fit::Stretch), head(three, false, true, 0), known.unwrap_or_else(coco), 1.0);
    Some(if open { Guess::open(manifest, what) } else { Guess::sure(manifest) })
}

/// PicoDet: for each level one output of scores and one of distributions.
fn gfl_levels(e: &Evidence) -> Option<Guess> {
    const ALL: [usize; 4] = [8, 16, 32, 64];
    let levels = e.outputs.len() / 2;
    if !matches!(e.outputs.len(), 6 | 8) {
        return None;
    }
    let (mut scores, mut boxes, mut n) = (Vec::new(), Vec::new(), None);
    for stride in &ALL[..levels] {
        let here = cells(e.width, e.height, std::slice::from_ref(stride));
        let mut level = e.outputs.iter().filter_map(|o| sides(o).filter(|s| s.0 == here).map(|s| (o, s.1)));
        let (first, second) = (level.next()?, level.next()?);
        let ((score, labels), (distribution, width)) =
            if second.1 == 4 * BINS { (first, second) } else { (second, first) };
        if width != 4 * BINS || n.is_some_and(|n| n != labels) {
            return None;
        }
        n = Some(labels);
        scores.push(score.name.clone());
        boxes.push(distribution.name.clone());
    }
    let (labels, known) = e.labels(n?);
    let input = normalized(opencv(e, Fit::Stretch), IMAGENET);
    let head = DetectorHead::Gfl { output: None, scores, boxes, corner: false };
    let manifest = detector(input, head, labels, 0.5);
    // PaddleDetection's name for its input; NanoDet's early exports have the same outputs and other colours.
    Some(if e.input.name == "image" {
        Guess::with_labels(manifest, known)
    } else {
        Guess::open(manifest, "it may be a PicoDet or an early NanoDet, whose pictures are prepared in different ways")
    })
}

/// One output without notes.
fn one_output(e: &Evidence) -> Option<Guess> {
    let [output] = &e.outputs[..] else { return None };
    if e.layout != Layout::Nchw {
        return None;
    }
    if let [1, channels, rows, columns] = output.shape[..]
        && channels > 5
        && (rows, columns) == (e.height / 16, e.width / 16)
    {
        let (labels, known) = e.labels(channels - 5);
        let input = InputSpec { channels: PixelOrder::Bgr, ..opencv(e, Fit::Stretch) };
        return Some(Guess::with_labels(
            detector(input, DetectorHead::FastestDet { output: None }, labels, 0.45),
            known,
        ));
    }
    let (rows, columns) = sides(output)?;
    let of_one = cells(e.width, e.height, &STRIDES);
    let of_four = cells(e.width, e.height, &[8, 16, 32, 64]);
    if (rows == of_four || rows == of_one) && columns == 80 + 4 * BINS {
        // NanoDet subtracts and divides in bytes, blue first.
        let input = InputSpec { channels: PixelOrder::Bgr, ..opencv(e, Fit::Stretch) };
        let input = normalized(
            input,
            ([103.53, 116.28, 123.675].map(|v| v / 255.0), [57.375, 57.12, 58.395].map(|v| v / 255.0)),
        );
        let head = DetectorHead::Gfl { output: None, scores: Vec::new(), boxes: Vec::new(), corner: rows == of_four };
        return Some(Guess::sure(detector(input, head, Labels::Named("coco".to_owned()), 0.6)));
    }
    if rows == 3 * of_one && columns > 5 {
        let (labels, known) = e.labels(columns - 5);
        let head = DetectorHead::Yolo { output: None, objectness: true, parts: false };
        return Some(Guess::with_labels(detector(opencv(e, LETTERBOX), head, labels, 0.45), known));
    }
    if rows == of_one && columns > 5 {
        return Some(one_a_cell(e, output, columns));
    }
    if columns == of_one && rows > 4 {
        let (labels, known) = e.labels(rows - 4);
        let head = DetectorHead::Yolo { output: None, objectness: false, parts: false };
        return Some(Guess::with_labels(detector(opencv(e, LETTERBOX), head, labels, 0.45), known));
    }
    if columns == 6 && rows <= MOST_OBJECTS {
        let head = DetectorHead::Rows { output: None, parts: false };
        let known = e.config.labels.clone().map(Labels::List);
        let open = known.is_none();
        let manifest = detector(opencv(e, LETTERBOX), head, known.unwrap_or(Labels::Named("coco".to_owned())), 1.0);
        let what = "how many labels it has and what they are called is not in the file; those below are a guess";
        return Some(if open { Guess::open(manifest, what) } else { Guess::sure(manifest) });
    }
    None
}

/// `[1, cells, 5 + n]`: YOLOX gives positions within cells, YOLOv6 and YOLOX with its decoder built in give pixels.
fn one_a_cell(e: &Evidence, output: &OnnxOutput, columns: usize) -> Guess {
    let (labels, known) = e.labels(columns - 5);
    let mut off_cells = 0.0;
    let rows: Vec<_> = output.data.chunks_exact(columns).zip(grid(e.width, e.height, &STRIDES)).collect();
    for (row, (x, y, stride)) in &rows {
        off_cells += ((row[0] - x * stride).abs() + (row[1] - y * stride).abs()) / stride;
    }
    let corner = Fit::Letterbox { pad: 114.0, corner: true };
    // Within a cell or near it, where the cells themselves are up to a picture away.
    let off_cells = off_cells / rows.len().max(1) as f32;
    let near_zero = rows.iter().map(|(row, _)| row[0].abs() + row[1].abs()).sum::<f32>() / rows.len().max(1) as f32;
    if near_zero < 8.0 && off_cells > 4.0 {
        // Pixels as bytes, blue first.
        let input = InputSpec { channels: PixelOrder::Bgr, std: [1.0 / 255.0; 3], ..opencv(e, corner) };
        return Guess::with_labels(detector(input, DetectorHead::Yolox { output: None }, labels, 0.45), known);
    }
    let head = DetectorHead::Yolo { output: None, objectness: true, parts: false };
    Guess::open(
        detector(opencv(e, LETTERBOX), head, labels, 0.45),
        "it may be a YOLOv6, or a YOLOX with its decoder built in, whose pictures are prepared in different ways: for YOLOX, \
         input.channels is \"bgr\", input.std [0.003921569, 0.003921569, 0.003921569] and input.fit \
         { letterbox = { pad = 114.0, corner = true } }",
    )
}
