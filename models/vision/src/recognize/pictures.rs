//! Models that speak of the picture as a whole: classifiers and encoders. How their pictures are prepared is in no output: it is taken
//! from `preprocessor_config.json`, from the exporter's notes, or from the file's name where the ONNX model zoo uses it, or it is open.

use super::{Evidence, Guess, IMAGENET, normalized};
use crate::manifest::{ClassifierSpec, EncoderSpec, Fit, InputSpec, Labels, Layout, VisionManifest};
use nearfield_onnx::OnnxOutput;

/// The middle 224 of 256 pixels.
const MIDDLE: Fit = Fit::Crop { part: 0.875 };
const OPEN: &str =
    "how its pictures are prepared is not in the file: lay its preprocessor_config.json beside it, or correct [input]";

/// Files of the ONNX model zoo, by how their names begin, that take ImageNet's pictures as PyTorch prepares them.
const ZOO: [&str; 11] = [
    "resnet18-v1-",
    "resnet34-v1-",
    "resnet50-v1-",
    "resnet101-v1-",
    "resnet18-v2-",
    "resnet34-v2-",
    "resnet50-v2-",
    "mobilenetv2-",
    "shufflenet-v2-",
    "squeezenet1.",
    "vgg16-",
];

pub(super) fn guess(e: &Evidence) -> Option<Guess> {
    encoder(e).or_else(|| classifier(e))
}

/// CLIP, SigLIP and MobileCLIP (`image_embeds` or `pooler_output`), DINOv2 (`last_hidden_state`).
fn encoder(e: &Evidence) -> Option<Guess> {
    let names = ["image_embeds", "image_features", "pooler_output", "last_hidden_state"];
    let output = names.iter().find_map(|name| e.output(name))?;
    let encoder = EncoderSpec { embedding: Some(output.name.clone()), ..EncoderSpec::default() };
    let manifest =
        |input: InputSpec| VisionManifest { input, encoder: Some(encoder), classifier: None, detector: None };
    Some(match e.preprocessing.as_ref().and_then(|p| p.applied(e.input(MIDDLE))) {
        Some(input) => Guess::sure(manifest(input)),
        None => Guess::open(manifest(normalized(e.input(Fit::Crop { part: 1.0 }), IMAGENET)), OPEN),
    })
}

/// How many labels an output `[1, n]` or `[1, n, 1, 1]` is for.
fn labels_of(output: &OnnxOutput) -> Option<usize> {
    let n = *output.shape.get(1)?;
    (output.shape.first() == Some(&1) && output.shape[2..].iter().all(|side| *side == 1) && n >= 2).then_some(n)
}

fn classifier(e: &Evidence) -> Option<Guess> {
    let named = e.output("logits");
    let [output] = named.map_or_else(|| e.outputs.iter().collect(), |o| vec![o])[..] else { return None };
    let n = labels_of(output)?;
    let sum: f32 = output.data.iter().sum();
    let is_probability = (sum - 1.0).abs() < 1e-2 && output.data.iter().all(|p| *p >= 0.0);
    let from_file = [&e.notes.names, &e.config.labels].into_iter().flatten().find(|l| l.len() == n || l.len() + 1 == n);
    let imagenet = crate::labels::length_of("imagenet") == Some(if n == 1001 { 1000 } else { n });
    let (labels, known) = match from_file {
        Some(list) => (Labels::List(without_background(list)), true),
        None if imagenet => (Labels::Named("imagenet".to_owned()), true),
        None => (Labels::List((1..=n.min(2000)).map(|i| format!("label {i}")).collect()), false),
    };
    let manifest = |input: InputSpec| VisionManifest {
        input,
        encoder: None,
        classifier: Some(ClassifierSpec {
            output: (e.outputs.len() > 1).then(|| output.name.clone()),
            softmax: !is_probability,
            labels,
            top: 3,
            threshold: 0.2,
            words: Default::default(),
        }),
        detector: None,
    };
    if e.notes.is_ultralytics {
        let input = e.input(Fit::Crop { part: 1.0 });
        // Earlier versions, and YOLOv5's own export, subtract ImageNet's mean.
        let is_plain = e.notes.version.is_some_and(|version| version >= (8, 1));
        return Some(if is_plain {
            Guess::with_labels(manifest(input), known)
        } else {
            Guess::open(manifest(input), OPEN)
        });
    }
    if let Some(input) = e.preprocessing.as_ref().and_then(|p| p.applied(e.input(MIDDLE))) {
        return Some(Guess::with_labels(manifest(input), known));
    }
    let stem = e.stem();
    if n == 1000 && e.layout == Layout::Nchw && ZOO.iter().any(|name| stem.starts_with(name)) {
        return Some(Guess::sure(manifest(normalized(e.input(MIDDLE), IMAGENET))));
    }
    if n == 1000 && e.layout == Layout::Nhwc && stem.starts_with("efficientnet-lite4-") {
        // (byte - 127) / 128
        let scale = ([127.0 / 255.0; 3], [128.0 / 255.0; 3]);
        return Some(Guess::sure(manifest(normalized(e.input(MIDDLE), scale))));
    }
    let what = if known { OPEN.to_owned() } else { format!("{OPEN}; nor are the names of its labels") };
    Some(Guess::open(manifest(normalized(e.input(MIDDLE), IMAGENET)), what))
}

/// `background` as the first of the labels stands for nothing.
fn without_background(list: &[String]) -> Vec<String> {
    let mut list = list.to_vec();
    if let Some(first) = list.first_mut().filter(|first| first.eq_ignore_ascii_case("background")) {
        first.clear();
    }
    list
}
