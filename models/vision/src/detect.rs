//! A detector's outputs become objects: decoding as its manifest says, suppression, names, and the embedding for the gate.
//!
//! The embedding: for each label and each third of the picture how many there are, as three soft steps (at least one, two, three),
//! beside a constant that stands for the empty scene.

use super::VisionError;
use super::heads::{self, Found, GflLevel, YoloLayout};
use super::manifest::{Activation, DetectorHead, DetectorSpec};
use super::onnx_model::ManifestModel;
use super::resample::Placement;
use super::result::{Object, Rect, VisionResult};
use nearfield_onnx::OnnxOutput;

/// The strides of the grids of NanoDet and PicoDet, finest first; some have only the first three.
const STRIDES: [usize; 4] = [8, 16, 32, 64];

impl ManifestModel {
    pub(super) fn detected(&self, outputs: &[OnnxOutput], place: Placement) -> Result<VisionResult, VisionError> {
        let spec = self.manifest.detector.as_ref().expect("a detector");
        // Weaker boxes count a little in the embedding, so that a score near the threshold does not switch it.
        let floor = spec.threshold * 0.6;
        let found = self.decoded(spec, outputs, floor)?;
        let wanted = |class: usize| {
            let label = &self.labels[class];
            !label.is_empty() && (spec.only.is_empty() || spec.only.contains(label))
        };
        let found = found.into_iter().filter(|f| wanted(f.class)).collect();
        let mut found = heads::suppress(found, spec.overlap, spec.most);
        let embedding = self.counts(&found, spec.threshold);
        let faint = found.extract_if(.., |f| f.score < spec.threshold).collect();
        let named = |found| {
            let mut objects = self.objects(found, place);
            for object in &mut objects {
                if let Some(word) = spec.words.get(&object.label) {
                    object.label.clone_from(word);
                }
            }
            objects
        };
        let (objects, faint) = (named(found), named(faint));
        let n = objects.len().max(1) as f32;
        let confidence = if objects.is_empty() { 1.0 } else { objects.iter().map(|o| o.score).sum::<f32>() / n };
        Ok(VisionResult { embedding, objects, faint, confidence, ..VisionResult::default() })
    }

    /// All boxes that are sure enough, in parts of the input, before suppression.
    fn decoded(&self, spec: &DetectorSpec, outputs: &[OnnxOutput], floor: f32) -> Result<Vec<Found>, VisionError> {
        let n = self.labels.len();
        let input = &self.manifest.input;
        let (columns, rows) = (input.width, input.height);
        let in_pixels = (1.0 / columns as f32, 1.0 / rows as f32);
        let scale = |pixels: bool| if pixels { in_pixels } else { (1.0, 1.0) };
        Ok(match &spec.head {
            DetectorHead::FastestDet { output } => {
                let output = self.output(outputs, output.as_deref())?;
                let &[1, channels, rows, columns] = output.shape.as_slice() else {
                    return Err(self.wrong(format!("a fastestdet output is [1, {}, rows, columns]", n + 5)));
                };
                if channels != n + 5 {
                    let knows = channels.saturating_sub(5);
                    return Err(self.wrong(format!("it knows {knows} labels, but the manifest has {n}")));
                }
                heads::fastestdet(&output.data, n, rows, columns, floor)
            }
            DetectorHead::Boxes { boxes, scores, activation, corners, pixels } => {
                let (boxes, scores) = (self.output(outputs, Some(boxes))?, self.output(outputs, Some(scores))?);
                self.check_box_rows(boxes)?;
                let probabilities = self.activated(scores, *activation)?;
                heads::boxes(&boxes.data, &probabilities, n, *corners, scale(*pixels), floor)
            }
            DetectorHead::Lists { boxes, scores, classes, yx, pixels, first } => {
                let [boxes, scores, classes] = [boxes, scores, classes].map(|name| self.output(outputs, Some(name)));
                let (boxes, scores, classes) = (boxes?, scores?, classes?);
                self.check_box_rows(boxes)?;
                let lists = (&boxes.data[..], &scores.data[..], &classes.data[..]);
                heads::lists(lists, n, (*yx, *first), scale(*pixels), floor)
            }
            DetectorHead::Rows { output, parts } => {
                let output = self.output(outputs, output.as_deref())?;
                let width = output.shape.last().copied().unwrap_or(0);
                if width < 6 {
                    return Err(self.wrong(format!("a rows output is [1, n, 6], but it has {:?}", output.shape)));
                }
                heads::rows(&output.data, width, n, !parts, scale(!parts), floor)
            }
            DetectorHead::Yolo { output, objectness, parts } => {
                let output = self.output(outputs, output.as_deref())?;
                let rows = *objectness || *parts;
                let needed = n + if *objectness { 5 } else { 4 };
                let side = if rows { output.shape.last() } else { output.shape.iter().rev().nth(1) };
                let Some(&width) = side.filter(|width| **width >= needed) else {
                    let shape = &output.shape;
                    return Err(self.wrong(format!("{n} labels need {needed} numbers a box, but it has {shape:?}")));
                };
                let layout = YoloLayout { width, rows, objectness: *objectness };
                heads::yolo(&output.data, n, layout, scale(!parts), floor)
            }
            DetectorHead::Yolox { output } => {
                let output = self.output(outputs, output.as_deref())?;
                self.check_columns(output, n + 5)?;
                self.check_cells(output, &STRIDES[..3])?;
                heads::yolox(&output.data, n, (columns, rows), floor)
            }
            DetectorHead::Gfl { output, scores, boxes, corner } => {
                self.distributed(outputs, (output.as_deref(), scores, boxes), *corner, floor)?
            }
        })
    }

    fn distributed(
        &self,
        outputs: &[OnnxOutput],
        (output, scores, boxes): (Option<&str>, &[String], &[String]),
        corner: bool,
        floor: f32,
    ) -> Result<Vec<Found>, VisionError> {
        let n = self.labels.len();
        let (columns, rows) = (self.manifest.input.width, self.manifest.input.height);
        if scores.is_empty() {
            let output = self.output(outputs, output)?;
            let width = output.shape.last().copied().unwrap_or(0);
            let distributions = width.saturating_sub(n);
            if distributions < 8 || !distributions.is_multiple_of(4) {
                let shape = &output.shape;
                return Err(self.wrong(format!("{n} labels and four distributions do not fit into rows of {shape:?}")));
            }
            let found = output.data.len() / width;
            let strides = (3..=4).map(|levels| &STRIDES[..levels]).find(|s| heads::cells(columns, rows, s) == found);
            let Some(strides) = strides else {
                return Err(self.wrong(format!("its {found} boxes are not those of a grid of {columns} x {rows}")));
            };
            let all = (&output.data[..], 0, width);
            let level = GflLevel { scores: all, boxes: (all.0, n, width), bins: distributions / 4 };
            return Ok(heads::gfl(level, n, (columns, rows), strides, corner, floor));
        }
        let mut found = Vec::new();
        for ((scores, boxes), stride) in scores.iter().zip(boxes).zip(STRIDES) {
            let (scores, boxes) = (self.output(outputs, Some(scores))?, self.output(outputs, Some(boxes))?);
            self.check_columns(scores, n)?;
            self.check_cells(scores, &[stride])?;
            self.check_cells(boxes, &[stride])?;
            let width = boxes.shape.last().copied().unwrap_or(0);
            if width < 8 || !width.is_multiple_of(4) {
                return Err(self.wrong(format!("the output {} holds no four distributions a row", boxes.name)));
            }
            let level = GflLevel { scores: (&scores.data, 0, n), boxes: (&boxes.data, 0, width), bins: width / 4 };
            found.extend(heads::gfl(level, n, (columns, rows), &[stride], corner, floor));
        }
        Ok(found)
    }

    /// Scores as probabilities of the labels, `[n, n_labels]`.
    fn activated(&self, scores: &OnnxOutput, activation: Activation) -> Result<Vec<f32>, VisionError> {
        let n = self.labels.len();
        let mut data = scores.data.clone();
        match activation {
            Activation::None => self.check_columns(scores, n)?,
            Activation::Sigmoid => {
                self.check_columns(scores, n)?;
                data.iter_mut().for_each(|v| *v = heads::sigmoid(*v));
            }
            Activation::Softmax => {
                self.check_columns(scores, n + 1)?;
                data.chunks_exact_mut(n + 1).for_each(heads::softmax);
                data = data.chunks_exact(n + 1).flat_map(|row| row[..n].to_vec()).collect();
            }
        }
        Ok(data)
    }

    fn check_box_rows(&self, boxes: &OnnxOutput) -> Result<(), VisionError> {
        match boxes.shape.last() {
            Some(4) => Ok(()),
            _ => {
                Err(self.wrong(format!("the output {} is {:?}, but boxes have four numbers", boxes.name, boxes.shape)))
            }
        }
    }

    fn check_cells(&self, output: &OnnxOutput, strides: &[usize]) -> Result<(), VisionError> {
        let (columns, rows) = (self.manifest.input.width, self.manifest.input.height);
        let cells = heads::cells(columns, rows, strides);
        if output.shape.iter().rev().nth(1) == Some(&cells) {
            return Ok(());
        }
        Err(self.wrong(format!(
            "the output {} is {:?}, but the grids of {columns} x {rows} have {cells} cells",
            output.name, output.shape
        )))
    }

    pub(super) fn check_columns(&self, scores: &OnnxOutput, n: usize) -> Result<(), VisionError> {
        match scores.shape.last() {
            Some(&columns) if columns == n => Ok(()),
            _ => Err(self.wrong(format!(
                "the output {} is {:?}, but {n} numbers a row are expected",
                scores.name, scores.shape
            ))),
        }
    }

    /// Boxes of the tensor become boxes of the picture, with names.
    pub(super) fn objects(&self, found: Vec<Found>, place: Placement) -> Vec<Object> {
        let back = |r: Rect| Rect {
            x: (r.x - place.left) / place.width,
            y: (r.y - place.top) / place.height,
            w: r.w / place.width,
            h: r.h / place.height,
        };
        found
            .into_iter()
            .map(|f| Object {
                label: self.labels[f.class].clone(),
                score: f.score.min(1.0),
                rect: back(f.rect).clipped(),
                class: f.class,
            })
            .collect()
    }

    /// The embedding of a detector. A box counts in full from half-way above the threshold, less below, nothing at 0.6 of it;
    /// between two thirds of the picture it counts in both.
    fn counts(&self, found: &[Found], threshold: f32) -> Vec<f32> {
        const STEPS: usize = 3;
        let n = self.labels.len();
        let mut counts = vec![0.0f32; n * 3];
        for f in found {
            let sure = ((f.score - threshold * 0.6) / (threshold * 0.6)).clamp(0.0, 1.0);
            let x = f.rect.centre().0 * 3.0 - 0.5; // 0, 1, 2 at the middles of the thirds
            for third in 0..3 {
                // Full within the third but for a tenth of the picture around its edges.
                let share = ((0.5 - (x - third as f32).abs()) / 0.3 + 0.5).clamp(0.0, 1.0);
                let outer = (third == 0 && x < 0.0) || (third == 2 && x > 2.0);
                counts[third * n + f.class] += sure * if outer { 1.0 } else { share };
            }
        }
        let mut embedding = vec![0.0; n * 3 * STEPS + 1];
        for (i, count) in counts.into_iter().enumerate() {
            for step in 0..STEPS {
                embedding[i * STEPS + step] = (count - step as f32).clamp(0.0, 1.0);
            }
        }
        embedding[n * 3 * STEPS] = 1.0;
        embedding
    }
}
