//! A vision model in ONNX form behind its manifest: a picture in, a [`VisionResult`] out.
//!
//! The embeddings, where the model has none of its own: of a classifier, the square roots of its probabilities (the cosine of
//! two is then the Bhattacharyya coefficient); of a detector, what `detect.rs` counts.

use std::collections::BTreeSet;
use std::path::Path;

use super::VisionError;
use super::domain::is_foreign;
use super::heads;
use super::labels::read_labels;
use super::manifest::{DetectorHead, Layout, VisionManifest};
use super::picture::Picture;
use super::resample::Placement;
use super::result::{Label, Slots, VisionResult};
use nearfield_onnx::{Element, OnnxInput, OnnxModel, OnnxOptions, OnnxOutput};

/// A model and the manifest that describes it.
pub(super) struct ManifestModel {
    onnx: OnnxModel,
    pub(super) manifest: VisionManifest,
    input: String,
    /// Whether the input takes bytes instead of floats.
    takes_bytes: bool,
    pub(super) labels: Vec<String>,
}

impl ManifestModel {
    /// Opens a model, and runs it once on a black picture: shapes are known only by running, and a model that does not fit its
    /// manifest is refused here, not at the first picture.
    pub(super) fn open(
        path: &Path,
        manifest: VisionManifest,
        folder: &Path,
        options: &OnnxOptions,
    ) -> Result<Self, VisionError> {
        manifest.check().map_err(|reason| VisionError::Manifest { path: path.to_owned(), reason })?;
        Self::of(OnnxModel::open(path, options)?, manifest, folder)
    }

    /// As [`open`](Self::open), of a model that is open already.
    pub(super) fn of(onnx: OnnxModel, manifest: VisionManifest, folder: &Path) -> Result<Self, VisionError> {
        let path = onnx.path().to_owned();
        let wrong = |reason: String| VisionError::Manifest { path: path.clone(), reason };
        manifest.check().map_err(wrong)?;
        let inputs: Vec<_> =
            onnx.input_tensors().into_iter().filter(|i| Some(&i.name) != manifest.input.size.as_ref()).collect();
        let names = || inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ");
        let tensor = match &manifest.input.name {
            Some(name) => inputs.iter().find(|i| i.name == *name),
            None if inputs.len() == 1 => inputs.first(),
            None => return Err(wrong(format!("it has the inputs {}: name one as input.name", names()))),
        };
        let Some(tensor) = tensor else {
            let name = manifest.input.name.clone().unwrap_or_default();
            return Err(wrong(format!("input.name is {name:?}, but its inputs are {}", names())));
        };
        let takes_bytes = match tensor.element {
            Element::U8 => true,
            Element::F32 => false,
            _ => {
                let what =
                    "takes numbers of another type than 32-bit floats or bytes: use the model's float32 or int8 file";
                return Err(wrong(format!("its input {} {what}", tensor.name)));
            }
        };
        let wanted = shape_of(&manifest);
        let fits = |(has, wants): (&Option<usize>, &usize)| has.is_none_or(|has| has == *wants);
        if tensor.shape.len() != 4 || !tensor.shape.iter().zip(&wanted).all(fits) {
            return Err(wrong(format!(
                "the manifest's input.width, input.height and input.layout make a tensor of {wanted:?}, but its input {} is {}",
                tensor.name,
                tensor.shape_text()
            )));
        }
        let input = tensor.name.clone();
        let mut outputs: Vec<&str> = Vec::new();
        let labels = if let Some(encoder) = &manifest.encoder {
            let named = [&encoder.soft_tokens, &encoder.slots, &encoder.embedding, &encoder.boxes, &encoder.scores];
            outputs.extend(named.into_iter().flatten().map(String::as_str));
            encoder.labels.clone()
        } else if let Some(classifier) = &manifest.classifier {
            outputs.extend(classifier.output.as_deref());
            read_labels(&classifier.labels, folder, &path)?
        } else {
            let detector = manifest.detector.as_ref().expect("the manifest was checked");
            outputs.extend(named_outputs(&detector.head));
            read_labels(&detector.labels, folder, &path)?
        };
        let has = onnx.outputs();
        if let Some(missing) = outputs.iter().find(|name| !has.contains(*name)) {
            return Err(wrong(format!(
                "the manifest names the output {missing:?}, but its outputs are {}",
                has.join(", ")
            )));
        }
        if let Some(only) = manifest.detector.iter().flat_map(|d| &d.only).find(|only| !labels.contains(only)) {
            return Err(wrong(format!(
                "detector.only names {only:?}, but that is none of its {} labels",
                labels.len()
            )));
        }
        let mut model = ManifestModel { onnx, manifest, input, takes_bytes, labels };
        let black = Picture::from_rgb(2, 2, vec![0; 12], "a black picture").expect("four pixels are a picture");
        model.look(&black)?;
        Ok(model)
    }

    /// What computes it.
    pub(super) fn provider(&self) -> nearfield_onnx::Provider {
        self.onnx.active_provider()
    }

    /// The labels that objects may get; empty where the model finds none.
    pub(super) fn object_labels(&self) -> BTreeSet<&str> {
        let labels = self.labels.iter().map(String::as_str);
        match &self.manifest {
            VisionManifest { detector: Some(detector), .. } => labels
                .filter(|label| !label.is_empty())
                .filter(|label| detector.only.is_empty() || detector.only.iter().any(|only| only == label))
                .map(|label| detector.words.get(label).map_or(label, String::as_str))
                .collect(),
            VisionManifest { encoder: Some(encoder), .. } if encoder.boxes.is_some() && encoder.scores.is_some() => {
                labels.collect()
            }
            _ => BTreeSet::new(),
        }
    }

    pub(super) fn wrong(&self, reason: String) -> VisionError {
        VisionError::Manifest { path: self.onnx.path().to_owned(), reason }
    }

    pub(super) fn output<'a>(
        &self,
        outputs: &'a [OnnxOutput],
        name: Option<&str>,
    ) -> Result<&'a OnnxOutput, VisionError> {
        let found = match name {
            Some(name) => outputs.iter().find(|o| o.name == name),
            None if outputs.len() == 1 => outputs.first(),
            None => return Err(self.wrong("it has several outputs: name one in the manifest".to_owned())),
        };
        found
            .ok_or_else(|| self.wrong(format!("the output {} is no tensor of numbers", name.unwrap_or("of the model"))))
    }

    pub(super) fn look(&mut self, picture: &Picture) -> Result<VisionResult, VisionError> {
        let spec = &self.manifest.input;
        let (pixels, place) = picture.tensor(spec);
        let shape = shape_of(&self.manifest);
        let bytes: Vec<u8>;
        let tensor = if self.takes_bytes {
            // The manifest scales to 0 to 1, as for floats; mean and std can't matter to bytes.
            bytes = pixels.iter().map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8).collect();
            OnnxInput::U8(&shape, &bytes)
        } else {
            OnnxInput::F32(&shape, &pixels)
        };
        let size = [spec.width as i64, spec.height as i64];
        let mut inputs = vec![(self.input.as_str(), tensor)];
        inputs.extend(spec.size.as_deref().map(|name| (name, OnnxInput::I64(&[1, 2], &size))));
        let outputs = self.onnx.run(&inputs)?;
        let outputs = outputs.as_slice();
        let manifest = &self.manifest;
        let mut result = if manifest.encoder.is_some() {
            self.encoded(outputs, place, &pixels)?
        } else if manifest.classifier.is_some() {
            self.classified(outputs)?
        } else {
            self.detected(outputs, place)?
        };
        let length = result.embedding.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt() as f32;
        if !length.is_finite() {
            return Err(self.wrong("its outputs contain NaN or infinity".to_owned()));
        }
        if length > 0.0 {
            result.embedding.iter_mut().for_each(|v| *v /= length);
        }
        Ok(result)
    }

    fn encoded(&self, outputs: &[OnnxOutput], place: Placement, pixels: &[f32]) -> Result<VisionResult, VisionError> {
        let spec = self.manifest.encoder.as_ref().expect("an encoder");
        let mut result = VisionResult { confidence: 1.0, ..VisionResult::default() };
        if let Some(name) = &spec.slots {
            let slots = self.output(outputs, Some(name))?;
            let n_words = slots.shape.last().copied().unwrap_or(0);
            if n_words != spec.words.len() {
                return Err(self.wrong(format!(
                    "the output {name} has {n_words} columns, but encoder.words has {} words",
                    spec.words.len()
                )));
            }
            let slots = Slots { n_words, probabilities: slots.data.clone() };
            result.confidence = slots.best().map(|(_, probability)| probability).fold(1.0, f32::min);
            result.words = slots.best().map(|(word, _)| spec.words[word].clone()).collect();
            result.slots = Some(slots);
        }
        if let Some(name) = &spec.soft_tokens {
            let rows = self.output(outputs, Some(name))?;
            let width = rows.shape.last().copied().unwrap_or(0);
            if width == 0 || rows.data.is_empty() {
                return Err(self.wrong(format!("the output {name} is empty")));
            }
            result.soft_tokens = Some((rows.data.clone(), width));
        }
        if let (Some(boxes), Some(scores)) = (&spec.boxes, &spec.scores)
            && !self.labels.is_empty()
        {
            let (boxes, scores) = (self.output(outputs, Some(boxes))?, self.output(outputs, Some(scores))?);
            self.check_columns(scores, self.labels.len())?;
            let threshold = spec.threshold.max(1e-6);
            result.is_foreign = spec
                .drawn_only
                .is_some_and(|drawn| is_foreign(&drawn, pixels, self.manifest.input.width, &scores.data, threshold));
            let found = heads::boxes(&boxes.data, &scores.data, self.labels.len(), false, (1.0, 1.0), threshold);
            result.objects = self.objects(heads::suppress(found, 0.6, 100), place);
        }
        result.embedding = match (&spec.embedding, &result.soft_tokens) {
            (Some(name), _) => self.output(outputs, Some(name))?.data.clone(),
            (None, Some((rows, width))) => {
                let mut mean = vec![0.0; *width];
                rows.chunks_exact(*width).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v));
                mean
            }
            (None, None) => result.slots.as_ref().map(|s| s.probabilities.clone()).unwrap_or_default(),
        };
        Ok(result)
    }

    fn classified(&self, outputs: &[OnnxOutput]) -> Result<VisionResult, VisionError> {
        let spec = self.manifest.classifier.as_ref().expect("a classifier");
        let output = self.output(outputs, spec.output.as_deref())?;
        let mut probabilities = output.data.clone();
        if spec.softmax {
            heads::softmax(&mut probabilities);
        }
        // Some models count from a "background" that the list of labels lacks.
        if probabilities.len() == self.labels.len() + 1 {
            probabilities.remove(0);
        }
        if probabilities.len() != self.labels.len() {
            return Err(self.wrong(format!(
                "it knows {} labels, but the file of labels has {}",
                probabilities.len(),
                self.labels.len()
            )));
        }
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let mut labels: Vec<Label> = Vec::new();
        for &i in order.iter().take(spec.top) {
            if probabilities[i] >= spec.threshold && !self.labels[i].is_empty() {
                let name = &self.labels[i];
                let label = spec.words.get(name).unwrap_or(name).clone();
                match labels.iter_mut().find(|l| l.label == label) {
                    Some(same) => same.score += probabilities[i],
                    None => labels.push(Label { label, score: probabilities[i] }),
                }
            }
        }
        let confidence = order.first().map_or(0.0, |&i| probabilities[i]);
        let embedding = probabilities.iter().map(|p| p.max(0.0).sqrt()).collect();
        Ok(VisionResult { embedding, labels, confidence, ..VisionResult::default() })
    }
}

/// The shape of the input's tensor.
fn shape_of(manifest: &VisionManifest) -> [usize; 4] {
    let input = &manifest.input;
    match input.layout {
        Layout::Nchw => [1, 3, input.height, input.width],
        Layout::Nhwc => [1, input.height, input.width, 3],
    }
}

/// The outputs that a detector's head names.
fn named_outputs(head: &DetectorHead) -> Vec<&str> {
    match head {
        DetectorHead::FastestDet { output }
        | DetectorHead::Yolo { output, .. }
        | DetectorHead::Yolox { output }
        | DetectorHead::Rows { output, .. } => output.as_deref().into_iter().collect(),
        DetectorHead::Boxes { boxes, scores, .. } => vec![boxes, scores],
        DetectorHead::Lists { boxes, scores, classes, .. } => vec![boxes, scores, classes],
        DetectorHead::Gfl { output, scores, boxes, .. } => {
            output.iter().chain(scores).chain(boxes).map(String::as_str).collect()
        }
    }
}
