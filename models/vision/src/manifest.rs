//! The manifest of a vision model: how its input is made and what its outputs mean. It is a small TOML file beside the model
//! (`see-nano.toml` beside `see-nano.onnx`); this file has the types only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A vision model: its input and exactly one of the three kinds of head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionManifest {
    /// How the picture becomes the model's input.
    pub input: InputSpec,
    /// An encoder: soft tokens for the language model, and an embedding for the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderSpec>,
    /// A classifier: labels with probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<ClassifierSpec>,
    /// A detector: boxes with labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<DetectorSpec>,
}

impl VisionManifest {
    /// Checks ranges and combinations.
    ///
    /// # Errors
    /// One sentence that names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let heads = [self.encoder.is_some(), self.classifier.is_some(), self.detector.is_some()];
        if heads.iter().filter(|present| **present).count() != 1 {
            return Err("there must be exactly one of [encoder], [classifier] and [detector]".to_owned());
        }
        let input = &self.input;
        for (key, value) in [("width", input.width), ("height", input.height)] {
            if !(1..=4096).contains(&value) {
                return Err(format!("input.{key} is {value} but must be from 1 to 4096"));
            }
        }
        if input.std.iter().any(|s| !s.is_finite() || *s == 0.0) {
            return Err("input.std must not be 0".to_owned());
        }
        if let Fit::Crop { part } = input.fit
            && !(part > 0.0 && part <= 1.0)
        {
            return Err(format!("input.fit.crop.part is {part} but must be above 0 and at most 1"));
        }
        if let Fit::Letterbox { pad, .. } = input.fit
            && !(0.0..=255.0).contains(&pad)
        {
            return Err(format!("input.fit.letterbox.pad is {pad} but must be from 0 to 255"));
        }
        if input.mean.iter().any(|m| !m.is_finite()) {
            return Err("input.mean must be three numbers".to_owned());
        }
        if let Some(encoder) = &self.encoder
            && encoder.soft_tokens.is_none()
            && encoder.slots.is_none()
            && encoder.embedding.is_none()
        {
            return Err("[encoder] needs soft_tokens or slots, the output that goes to the language model, or embedding, the one \
                 that the gate compares"
                .to_owned());
        }
        if let Some(encoder) = &self.encoder
            && encoder.slots.is_some() == encoder.words.is_empty()
        {
            return Err("encoder.slots and encoder.words go together".to_owned());
        }
        let ranges = [
            ("classifier.threshold", self.classifier.as_ref().map(|c| c.threshold)),
            ("detector.threshold", self.detector.as_ref().map(|d| d.threshold)),
            ("detector.overlap", self.detector.as_ref().map(|d| d.overlap)),
        ];
        for (key, value) in ranges {
            if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
                return Err(format!("{key} is {value} but must be from 0 to 1"));
            }
        }
        if let Some(detector) = &self.detector
            && let DetectorHead::Gfl { scores, boxes, .. } = &detector.head
            && scores.len() != boxes.len()
        {
            return Err(format!(
                "detector.head.gfl.scores names {} outputs and boxes {}, but each level has one of both",
                scores.len(),
                boxes.len()
            ));
        }
        Ok(())
    }

    /// The manifest as a file that can be kept beside the model.
    pub fn to_toml(&self) -> String {
        // Writing these types can't fail: they hold no maps with other keys than text.
        toml::to_string(self).unwrap_or_default()
    }
}

/// `[input]`: the value of each channel is `(byte / 255 - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// The input's name; the only one where it is left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Columns of the tensor.
    pub width: usize,
    /// Rows of the tensor.
    pub height: usize,
    /// How a picture of another shape is made to fit.
    #[serde(default)]
    pub fit: Fit,
    /// Order of the tensor's dimensions.
    #[serde(default)]
    pub layout: Layout,
    /// Order of the channels.
    #[serde(default)]
    pub channels: PixelOrder,
    /// Subtracted, channel by channel in the order of `channels`.
    #[serde(default)]
    pub mean: [f32; 3],
    /// Divided by.
    #[serde(default = "ones")]
    pub std: [f32; 3],
    /// How pixels are weighted when the picture is scaled.
    #[serde(default)]
    pub filter: Filter,
    /// A second input `[1, 2]` of whole numbers that takes the picture's width and height (D-FINE's `orig_target_sizes`). It gets those
    /// of the tensor, so that boxes come back in its pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

/// How pixels are weighted when a picture is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// A triangle as wide as the scale, as in PIL.
    #[default]
    Bilinear,
    /// The nearest two pixels each way, whatever lies between: OpenCV's `INTER_LINEAR`, with which YOLO and its like were trained.
    Linear,
    /// A cubic as wide as the scale, as in PIL (a = -0.5): what CLIP and its like were trained with.
    Bicubic,
}

/// The labels of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Labels {
    /// The labels themselves, in the model's order. Nothing is reported for an empty one.
    List(Vec<String>),
    /// A file with one label a line, beside the manifest or the model where the path is relative; or, where there is no such file, a
    /// list that Nearfield has: `coco` (80), `coco-91` (by COCO's own numbers), `voc` (20), `imagenet` (1000).
    Named(String),
}

fn ones() -> [f32; 3] {
    [1.0; 3]
}

/// How a picture is made to fit the input's shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Width and height are scaled separately.
    #[default]
    Stretch,
    /// The middle is taken: `part` of the largest rectangle of the right shape (0.875 for ImageNet's 224 out of 256).
    Crop {
        /// Above 0, at most 1.
        part: f32,
    },
    /// The whole picture, with bars of this brightness (0 to 255).
    Letterbox {
        /// The bars.
        pad: f32,
        /// The picture in the upper left corner (YOLOX) instead of the middle.
        #[serde(default)]
        corner: bool,
    },
}

/// Order of the input's dimensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[1, 3, height, width]`
    #[default]
    Nchw,
    /// `[1, height, width, 3]`
    Nhwc,
}

/// Order of the channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PixelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV has it.
    Bgr,
}

/// `[encoder]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderSpec {
    /// Output `[n, d_model]` (or `[1, n, d_model]`): rows that stand in the prompt in the place of tokens.
    pub soft_tokens: Option<String>,
    /// Output `[n, n_words]`: for each soft token a distribution over `words`. The rows are then mixed from the language
    /// model's own embeddings of those words, so that they fit whichever model is used; words that it spells with several
    /// tokens go into the prompt as text.
    pub slots: Option<String>,
    /// The words of `slots`.
    pub words: Vec<String>,
    /// Output for the gate; any shape, it is flattened. Left out: the mean of the soft tokens.
    pub embedding: Option<String>,
    /// Output `[n, 4]`: boxes as centre x, centre y, width, height in parts of the input.
    pub boxes: Option<String>,
    /// Output `[n, n_labels]`: the score of each box for each label.
    pub scores: Option<String>,
    /// The labels of `scores`; empty: `words` can't be used for them and boxes are left out.
    pub labels: Vec<String>,
    /// Boxes below this score are left out.
    pub threshold: f32,
    /// For models that know drawn scenes only: how such a picture is told from others, which are not described.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn_only: Option<DrawnOnly>,
}

/// How a drawn scene is told from a photograph.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnOnly {
    /// The most that half of the pixels may differ in brightness (0 to 1) from the median of their row.
    pub most_row_deviation: f32,
    /// Where anything is found, the best score is at least this.
    pub least_score: f32,
}

/// `[classifier]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierSpec {
    /// Output `[1, n]`; the only one where it is left out.
    #[serde(default)]
    pub output: Option<String>,
    /// Whether the output still needs a softmax.
    #[serde(default = "yes")]
    pub softmax: bool,
    /// The labels. Of a file's lines a first word such as `n01440764` (ImageNet) is dropped, and of several names the first is kept.
    pub labels: Labels,
    /// At most so many labels.
    #[serde(default = "three")]
    pub top: usize,
    /// Labels below this probability are left out.
    #[serde(default = "a_fifth")]
    pub threshold: f32,
    /// Other words for labels: `"great grey owl" = "owl"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, String>,
}

/// `[detector]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorSpec {
    /// What the outputs mean.
    pub head: DetectorHead,
    /// The labels.
    pub labels: Labels,
    /// Boxes below this score are left out.
    #[serde(default = "half")]
    pub threshold: f32,
    /// Of two boxes with the same label that overlap by more than this (intersection over union), the better one stays; 1: both.
    #[serde(default = "nms_overlap")]
    pub overlap: f32,
    /// At most so many boxes.
    #[serde(default = "hundred")]
    pub most: usize,
    /// Only these labels count; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Other words for labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, String>,
}

/// What a detector's outputs mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum DetectorHead {
    /// FastestDet: one output `[1, 5 + n_labels, rows, columns]`: objectness, four numbers for the box, class probabilities.
    FastestDet {
        /// The output; the only one where it is left out.
        #[serde(default)]
        output: Option<String>,
    },
    /// Two outputs: boxes `[n, 4]` and scores `[n, n_labels]` (leading ones are dropped). DETR and what came after it: RT-DETR, D-FINE,
    /// RF-DETR.
    Boxes {
        /// The output with the boxes.
        boxes: String,
        /// The output with the scores.
        scores: String,
        /// What makes the scores probabilities.
        #[serde(default)]
        activation: Activation,
        /// Whether boxes are two corners (x, y, x, y) instead of centre and size.
        #[serde(default)]
        corners: bool,
        /// Whether they are in pixels of the input instead of parts of it.
        #[serde(default)]
        pixels: bool,
    },
    /// Three outputs, one entry an object: boxes `[n, 4]` as two corners, scores `[n]` and labels by number `[n]`: D-FINE's own export,
    /// SSD of TensorFlow and of the ONNX model zoo.
    Lists {
        /// The output with the boxes.
        boxes: String,
        /// The output with the scores.
        scores: String,
        /// The output with the labels' numbers.
        classes: String,
        /// Whether corners are y, x, y, x (TensorFlow).
        #[serde(default)]
        yx: bool,
        /// Whether boxes are in pixels of the input instead of parts of it.
        #[serde(default)]
        pixels: bool,
        /// The number of the first label.
        #[serde(default)]
        first: usize,
    },
    /// One output `[1, n, 6]`, an object a row: two corners in pixels, score, label by number. YOLOv10, YOLO26, and exports with
    /// suppression built in; further numbers a row (masks, keypoints) are passed over.
    Rows {
        /// The output; the only one where it is left out.
        #[serde(default)]
        output: Option<String>,
        /// Whether a box is centre and size in parts of the input instead (RT-DETR as newer versions of Ultralytics export it).
        #[serde(default)]
        parts: bool,
    },
    /// YOLOv5 and later in one output, in pixels: `[1, 4 + n_labels, n]` (v8, 9, 11, 12) or, with `objectness`, `[1, n, 5 + n_labels]`
    /// (v5, v6, v7). Further numbers a box (masks, keypoints) are passed over.
    Yolo {
        /// The output; the only one where it is left out.
        #[serde(default)]
        output: Option<String>,
        /// Whether each box has an objectness before its class scores.
        #[serde(default)]
        objectness: bool,
        /// Whether boxes are rows in parts of the input, `[1, n, 4 + n_labels]`: RT-DETR as older versions of Ultralytics export it.
        #[serde(default)]
        parts: bool,
    },
    /// YOLOX as it is exported: one output `[1, n, 5 + n_labels]`, positions relative to the cells of three grids, sizes as logarithms.
    Yolox {
        /// The output; the only one where it is left out.
        #[serde(default)]
        output: Option<String>,
    },
    /// NanoDet and PicoDet: for each side of a box a distribution over distances (generalised focal loss). One output with both,
    /// `[1, n, n_labels + 4 * bins]`, or two for each level of the grid.
    Gfl {
        /// The output with both; the only one where it and the lists are left out.
        #[serde(default)]
        output: Option<String>,
        /// The outputs with the scores, level by level.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scores: Vec<String>,
        /// The outputs with the boxes, level by level.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        boxes: Vec<String>,
        /// Whether a box's centre is its cell's corner (NanoDet-Plus) instead of its middle.
        #[serde(default)]
        corner: bool,
    },
}

/// What makes scores probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// They are.
    #[default]
    None,
    /// The logistic function of each.
    Sigmoid,
    /// A softmax over the labels and, as the last, "no object".
    Softmax,
}

fn yes() -> bool {
    true
}
fn three() -> usize {
    3
}
fn a_fifth() -> f32 {
    0.2
}
fn half() -> f32 {
    0.5
}
fn nms_overlap() -> f32 {
    0.45
}
fn hundred() -> usize {
    100
}
