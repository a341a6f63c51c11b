//! A vision model in ONNX form behind its manifest: a picture in, a [`VisionResult`] out.
//!
//! The embeddings, where the model has none of its own: of a classifier, the square roots of its probabilities (the cosine of
//! two is then the Bhattacharyya coefficient); of a detector, for each label and each third of the picture how many there
//! are, as three soft steps (at least one, two, three), beside a constant that stands for the empty scene.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::VisionError;
use super::heads::{self, Found};
use super::manifest::{DetectorHead, VisionManifest};
use super::picture::{Picture, Placement};
use super::result::{Label, Object, Rect, Slots, VisionResult};
use nearfield_onnx::{OnnxInput, OnnxModel, OnnxOptions, OnnxOutput};

/// The longest file of labels.
const MAX_LABELS_BYTES: u64 = 4 << 20;

/// A model and the manifest that describes it.
pub(super) struct ManifestModel {
    onnx: OnnxModel,
    pub(super) manifest: VisionManifest,
    input: String,
    labels: Vec<String>,
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
        let wrong = |reason: String| VisionError::Manifest { path: path.to_owned(), reason };
        manifest.check().map_err(wrong)?;
        let onnx = OnnxModel::open(path, options)?;
        let inputs = onnx.inputs();
        let input = match &manifest.input.name {
            Some(name) => name.clone(),
            None if inputs.len() == 1 => inputs[0].to_owned(),
            None => return Err(wrong(format!("it has the inputs {}: name one as input.name", inputs.join(", ")))),
        };
        let mut outputs: Vec<&str> = Vec::new();
        let labels = if let Some(encoder) = &manifest.encoder {
            let named = [&encoder.soft_tokens, &encoder.slots, &encoder.embedding, &encoder.boxes, &encoder.scores];
            outputs.extend(named.into_iter().flatten().map(String::as_str));
            encoder.labels.clone()
        } else if let Some(classifier) = &manifest.classifier {
            outputs.extend(classifier.output.as_deref());
            read_labels(&beside(folder, path, &classifier.labels))?
        } else {
            let detector = manifest.detector.as_ref().expect("the manifest was checked");
            match &detector.head {
                DetectorHead::FastestDet { output } | DetectorHead::Yolo { output, .. } => {
                    outputs.extend(output.as_deref())
                }
                DetectorHead::Boxes { boxes, scores, .. } => outputs.extend([boxes.as_str(), scores.as_str()]),
            }
            read_labels(&beside(folder, path, &detector.labels))?
        };
        onnx.expect(&[&input], &outputs)?;
        let mut model = ManifestModel { onnx, manifest, input, labels };
        let black = Picture::from_rgb(2, 2, vec![0; 12], "a black picture").expect("four pixels are a picture");
        model.look(&black)?;
        Ok(model)
    }

    /// The labels that objects may get; empty where the model finds none.
    pub(super) fn object_labels(&self) -> BTreeSet<&str> {
        let labels = self.labels.iter().map(String::as_str);
        match &self.manifest {
            VisionManifest { detector: Some(detector), .. } => labels
                .filter(|label| detector.only.is_empty() || detector.only.iter().any(|only| only == label))
                .map(|label| detector.words.get(label).map_or(label, String::as_str))
                .collect(),
            VisionManifest { encoder: Some(encoder), .. } if encoder.boxes.is_some() && encoder.scores.is_some() => {
                labels.collect()
            }
            _ => BTreeSet::new(),
        }
    }

    fn wrong(&self, reason: String) -> VisionError {
        VisionError::Manifest { path: self.onnx.path().to_owned(), reason }
    }

    fn output<'a>(&self, outputs: &'a [OnnxOutput], name: Option<&str>) -> Result<&'a OnnxOutput, VisionError> {
        let found = match name {
            Some(name) => outputs.iter().find(|o| o.name == name),
            None if outputs.len() == 1 => outputs.first(),
            None => return Err(self.wrong("it has several outputs: name one in the manifest".to_owned())),
        };
        found.ok_or_else(|| self.wrong(format!("the output {} is not a float tensor", name.unwrap_or("of the model"))))
    }

    pub(super) fn look(&mut self, picture: &Picture) -> Result<VisionResult, VisionError> {
        let spec = &self.manifest.input;
        let (tensor, place) = picture.tensor(spec);
        let shape = match spec.layout {
            super::Layout::Nchw => [1, 3, spec.height, spec.width],
            super::Layout::Nhwc => [1, spec.height, spec.width, 3],
        };
        let outputs = self.onnx.run(&[(self.input.as_str(), OnnxInput::F32(&shape, &tensor))])?;
        let outputs = outputs.as_slice();
        let manifest = &self.manifest;
        let mut result = if manifest.encoder.is_some() {
            self.encoded(outputs, place)?
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

    fn encoded(&self, outputs: &[OnnxOutput], place: Placement) -> Result<VisionResult, VisionError> {
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
        if spec.softmax {
            heads::softmax(&mut probabilities);
        }
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        let mut labels: Vec<Label> = Vec::new();
        for &i in order.iter().take(spec.top) {
            if probabilities[i] >= spec.threshold {
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

    fn detected(&self, outputs: &[OnnxOutput], place: Placement) -> Result<VisionResult, VisionError> {
        let spec = self.manifest.detector.as_ref().expect("a detector");
        let n = self.labels.len();
        // Weaker boxes count a little in the embedding, so that a score near the threshold does not switch it.
        let floor = spec.threshold * 0.6;
        let (columns, rows) = (self.manifest.input.width as f32, self.manifest.input.height as f32);
        let found = match &spec.head {
            DetectorHead::FastestDet { output } => {
                let output = self.output(outputs, output.as_deref())?;
                let &[1, channels, rows, columns] = output.shape.as_slice() else {
                    return Err(self.wrong(format!("a fastestdet output is [1, {}, rows, columns]", n + 5)));
                };
                if channels != n + 5 {
                    return Err(self.wrong(format!("it knows {} labels, but the file of labels has {n}", channels - 5)));
                }
                heads::fastestdet(&output.data, n, rows, columns, floor)
            }
            DetectorHead::Boxes { boxes, scores, corners, pixels } => {
                let (boxes, scores) = (self.output(outputs, Some(boxes))?, self.output(outputs, Some(scores))?);
                self.check_columns(scores, n)?;
                let scale = if *pixels { (1.0 / columns, 1.0 / rows) } else { (1.0, 1.0) };
                heads::boxes(&boxes.data, &scores.data, n, *corners, scale, floor)
            }
            DetectorHead::Yolo { output, objectness } => {
                let output = self.output(outputs, output.as_deref())?;
                let width = n + if *objectness { 5 } else { 4 };
                let side = if *objectness { output.shape.last() } else { output.shape.iter().rev().nth(1) };
                if side != Some(&width) {
                    return Err(
                        self.wrong(format!("{n} labels need {width} numbers a box, but it has {:?}", output.shape))
                    );
                }
                heads::yolo(&output.data, n, *objectness, (1.0 / columns, 1.0 / rows), floor)
            }
        };
        let wanted = |class: usize| spec.only.is_empty() || spec.only.contains(&self.labels[class]);
        let found = found.into_iter().filter(|f| wanted(f.class)).collect();
        let mut found = heads::suppress(found, spec.overlap, spec.most);
        let embedding = self.counts(&found, spec.threshold);
        found.retain(|f| f.score >= spec.threshold);
        let mut objects = self.objects(found, place);
        for object in &mut objects {
            if let Some(word) = spec.words.get(&object.label) {
                object.label.clone_from(word);
            }
        }
        let n = objects.len().max(1) as f32;
        let confidence = if objects.is_empty() { 1.0 } else { objects.iter().map(|o| o.score).sum::<f32>() / n };
        Ok(VisionResult { embedding, objects, confidence, ..VisionResult::default() })
    }

    fn check_columns(&self, scores: &OnnxOutput, n: usize) -> Result<(), VisionError> {
        match scores.shape.last() {
            Some(&columns) if columns == n => Ok(()),
            _ => Err(self.wrong(format!("the output {} is {:?}, but there are {n} labels", scores.name, scores.shape))),
        }
    }

    /// Boxes of the tensor become boxes of the picture, with names.
    fn objects(&self, found: Vec<Found>, place: Placement) -> Vec<Object> {
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

/// A file that the manifest names: beside the manifest, else beside the model.
fn beside(folder: &Path, model: &Path, file: &Path) -> PathBuf {
    let first = folder.join(file);
    if first.exists() { first } else { model.parent().unwrap_or(Path::new("")).join(file) }
}

/// One label a line. `n01440764 tench, Tinca tinca` (ImageNet) becomes `tench`.
fn read_labels(path: &Path) -> Result<Vec<String>, VisionError> {
    let wrong = |reason: String| VisionError::Labels { path: path.to_owned(), reason };
    let text = nearfield_base::files::read_text(path, MAX_LABELS_BYTES).map_err(|e| wrong(e.to_string()))?;
    let labels: Vec<String> = text.lines().map(label_of).collect();
    if labels.is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    Ok(labels)
}

fn label_of(line: &str) -> String {
    let line = line.trim();
    let is_synset =
        |word: &str| word.len() == 9 && word.starts_with('n') && word[1..].bytes().all(|b| b.is_ascii_digit());
    let names = match line.split_once(' ') {
        Some((first, rest)) if is_synset(first) => rest,
        _ => line,
    };
    names.split(',').next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_loses_its_number_and_its_other_names() {
        assert_eq!(label_of("n01440764 tench, Tinca tinca"), "tench");
        assert_eq!(label_of("traffic light"), "traffic light");
        assert_eq!(label_of("n0144 odd"), "n0144 odd");
    }
}
