//! Which vision model a file holds, told from its inputs, its outputs on a test picture, the notes that its exporter left in it, and the
//! files that lie beside it on the Hugging Face hub.
//!
//! A guess is used only where nothing else is published in that form. Otherwise [`VisionError::Unrecognized`] carries the manifest as far
//! as it could be told, to be completed and kept beside the model.

mod beside;
mod detectors;
mod notes;
mod pictures;

use std::path::{Path, PathBuf};

use nearfield_onnx::{Element, OnnxInput, OnnxModel, OnnxOutput, TensorInfo};

use super::VisionError;
use super::manifest::{Fit, InputSpec, Labels, Layout, VisionManifest};
use beside::{Config, Preprocessing};
use notes::Notes;

/// The files that lie beside a model on the Hugging Face hub.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// `config.json`: the names of labels.
    pub config: Option<PathBuf>,
    /// `preprocessor_config.json`: how pictures are prepared.
    pub preprocessing: Option<PathBuf>,
}

impl Beside {
    /// The files that lie beside a model, or above it where it lies in a folder `onnx`, as in the repositories of the hub.
    pub fn of(model: &Path) -> Self {
        let folder = model.parent().unwrap_or(Path::new(""));
        let above = folder.file_name().is_some_and(|name| name == "onnx").then(|| folder.parent()).flatten();
        let find = |name: &str| {
            [Some(folder), above].into_iter().flatten().map(|folder| folder.join(name)).find(|path| path.is_file())
        };
        Self { config: find("config.json"), preprocessing: find("preprocessor_config.json") }
    }
}

/// What can be told of a model.
struct Guess {
    manifest: VisionManifest,
    /// What could not be told, so that the manifest must be looked over; `None` where it is certain.
    open: Option<String>,
}

impl Guess {
    fn sure(manifest: VisionManifest) -> Self {
        Self { manifest, open: None }
    }

    fn open(manifest: VisionManifest, what: impl Into<String>) -> Self {
        Self { manifest, open: Some(what.into()) }
    }

    /// Certain where the labels are known.
    fn with_labels(manifest: VisionManifest, known: bool) -> Self {
        let what = "the names of its labels are not in the file";
        Self { manifest, open: (!known).then(|| what.to_owned()) }
    }
}

/// A model, what is known of it, and what it gave for a test picture.
struct Evidence {
    path: PathBuf,
    input: TensorInfo,
    layout: Layout,
    width: usize,
    height: usize,
    /// The second input that takes the picture's size.
    size: Option<String>,
    outputs: Vec<OnnxOutput>,
    notes: Notes,
    config: Config,
    preprocessing: Option<Preprocessing>,
}

impl Evidence {
    /// The file's name without its ending, in lower case.
    fn stem(&self) -> String {
        self.path.file_stem().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default()
    }

    fn output(&self, name: &str) -> Option<&OnnxOutput> {
        self.outputs.iter().find(|o| o.name == name || o.name.strip_suffix(":0") == Some(name))
    }

    /// The input with pixels from 0 to 1.
    fn input(&self, fit: Fit) -> InputSpec {
        InputSpec {
            name: None,
            width: self.width,
            height: self.height,
            fit,
            layout: self.layout,
            channels: Default::default(),
            mean: [0.0; 3],
            std: [1.0; 3],
            filter: Default::default(),
            size: self.size.clone(),
        }
    }

    /// `n` labels: from the notes, from `config.json`, or COCO's, whose 80 (or 91) nobody else has. And whether they are certain.
    fn labels(&self, n: usize) -> (Labels, bool) {
        if let Some(names) = [&self.notes.names, &self.config.labels].into_iter().flatten().find(|l| l.len() == n) {
            return (Labels::List(names.clone()), true);
        }
        match n {
            80 => (Labels::Named("coco".to_owned()), true),
            91 => (Labels::Named("coco-91".to_owned()), true),
            _ => (Labels::List((1..=n.min(2000)).map(|i| format!("label {i}")).collect()), false),
        }
    }
}

/// ImageNet's mean and standard deviation, which most models of PyTorch's were trained with.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

fn normalized(input: InputSpec, (mean, std): ([f32; 3], [f32; 3])) -> InputSpec {
    InputSpec { mean, std, ..input }
}

/// The manifest of a model that has none.
///
/// # Errors
/// [`VisionError::Unrecognized`] with what is missing.
pub(super) fn recognize(onnx: &mut OnnxModel, beside: &Beside) -> Result<VisionManifest, VisionError> {
    let path = onnx.path().to_owned();
    let unknown = |reason: String, manifest: Option<VisionManifest>| VisionError::Unrecognized {
        path: path.clone(),
        reason,
        manifest: manifest.map(|m| m.to_toml()),
    };
    let inputs = onnx.input_tensors();
    let named = |tensors: &[TensorInfo]| {
        let each = tensors.iter().map(|t| format!("{} {}", t.name, t.shape_text()));
        each.collect::<Vec<_>>().join(", ")
    };
    let found = format!("inputs {} and outputs {}", named(&inputs), named(&onnx.output_tensors()));
    let pictures: Vec<&TensorInfo> = inputs.iter().filter(|i| layout_of(i).is_some()).collect();
    let [input] = pictures[..] else {
        return Err(unknown(
            format!("none of its inputs takes a picture as [1, 3, height, width] or so ({found})"),
            None,
        ));
    };
    if !matches!(input.element, Element::F32 | Element::U8) {
        let what = "takes numbers of another type than 32-bit floats or bytes: use the model's float32 or int8 file";
        return Err(unknown(format!("its input {} {what}", input.name), None));
    }
    let sizes: Vec<&TensorInfo> = inputs.iter().filter(|i| i.name != input.name).collect();
    let size = match sizes[..] {
        [] => None,
        [one] if one.element == Element::I64 && one.shape.last() == Some(&Some(2)) => Some(one.name.clone()),
        _ => return Err(unknown(format!("it takes more than a picture ({found})"), None)),
    };
    let layout = layout_of(input).unwrap_or_default();
    let notes = Notes::of(onnx);
    let config = Config::read(beside.config.as_deref())?;
    let preprocessing = Preprocessing::read(beside.preprocessing.as_deref())?;
    let (rows, columns) = match layout {
        Layout::Nchw => (input.shape[2], input.shape[3]),
        Layout::Nhwc => (input.shape[1], input.shape[2]),
    };
    let usual = match (input.name.as_str(), input.element) {
        (_, Element::U8) => 300,
        ("pixel_values" | "input" | "data", _) => 224,
        _ => 640,
    };
    let side = |declared: Option<usize>, noted: Option<usize>, prepared: Option<usize>| {
        declared.filter(|n| *n > 0).or(noted).or(prepared).unwrap_or(usual)
    };
    let prepared = preprocessing.as_ref().and_then(|p| p.size);
    let height = side(rows, notes.size.map(|s| s.0), prepared.map(|s| s.0));
    let width = side(columns, notes.size.map(|s| s.1), prepared.map(|s| s.1));
    if !(1..=4096).contains(&width) || !(1..=4096).contains(&height) {
        return Err(unknown(format!("its input is {width} x {height}, but at most 4096 x 4096 is used"), None));
    }
    let input = input.clone();
    let outputs = probe(onnx, &input, layout, (width, height), size.as_deref())
        .map_err(|e| unknown(format!("it does not run on a picture of {width} x {height}: {e}"), None))?;
    let evidence =
        Evidence { path: path.clone(), input, layout, width, height, size, outputs, notes, config, preprocessing };
    if let Some(task) = evidence.notes.unread_task() {
        return Err(unknown(format!("it is made for {task}, of which captions have no use"), None));
    }
    match detectors::guess(&evidence).or_else(|| pictures::guess(&evidence)) {
        Some(Guess { manifest, open: None }) => {
            let kind = if manifest.detector.is_some() {
                "a detector"
            } else if manifest.classifier.is_some() {
                "a classifier"
            } else {
                "an encoder"
            };
            tracing::info!(model = %path.display(), "recognized as {kind} by its inputs and outputs; no manifest is needed");
            Ok(manifest)
        }
        Some(Guess { manifest, open: Some(what) }) => Err(unknown(what, Some(manifest))),
        None => Err(unknown(format!("no model of this form is known ({found})"), None)),
    }
}

/// The order of dimensions of an input that takes a picture.
fn layout_of(input: &TensorInfo) -> Option<Layout> {
    match input.shape[..] {
        [_, Some(3), _, _] => Some(Layout::Nchw),
        [_, _, _, Some(3)] => Some(Layout::Nhwc),
        [_, None, _, _] => Some(Layout::Nchw),
        _ => None,
    }
}

/// What the model gives for a test picture: bright and dark areas with noise, always the same.
fn probe(
    onnx: &mut OnnxModel,
    input: &TensorInfo,
    layout: Layout,
    (width, height): (usize, usize),
    size: Option<&str>,
) -> Result<Vec<OnnxOutput>, nearfield_onnx::OnnxError> {
    let shape = match layout {
        Layout::Nchw => [1, 3, height, width],
        Layout::Nhwc => [1, height, width, 3],
    };
    let n = 3 * width * height;
    let mut state = 1u32;
    let pixels: Vec<u8> = (0..n)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let area = (i / (n / 6).max(1)) as u32 * 37 % 200;
            (area + (state >> 27)) as u8
        })
        .collect();
    let floats: Vec<f32>;
    let tensor = if input.element == Element::U8 {
        OnnxInput::U8(&shape, &pixels)
    } else {
        floats = pixels.iter().map(|&p| f32::from(p) / 255.0).collect();
        OnnxInput::F32(&shape, &floats)
    };
    let sides = [width as i64, height as i64];
    let mut inputs = vec![(input.name.as_str(), tensor)];
    inputs.extend(size.map(|name| (name, OnnxInput::I64(&[1, 2], &sides))));
    onnx.run(&inputs)
}
