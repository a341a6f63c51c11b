//! A vision model behind its manifest: a picture in, a [`Sight`] out. Without a model (`none`) a picture is only compared with
//! others, by a small descriptor of light and edges.
//!
//! The embeddings, where the model has none of its own: of a classifier, the square roots of its probabilities (the cosine of
//! two is then the Bhattacharyya coefficient); of a detector, for each label and each third of the picture how many there
//! are, as three soft steps (at least one, two, three), beside a constant that stands for the empty scene.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::heads::{self, Found};
use super::manifest::{DetectorHead, VisionManifest};
use super::picture::{Picture, Placement};
use super::sight::{Label, Object, Rect, Sight, Slots};
use nearfield_onnx::{OnnxError, OnnxInput, OnnxModel, OnnxOptions, OnnxOutput};

/// The longest file of labels.
const MAX_LABELS_BYTES: u64 = 4 << 20;

/// Why a vision model can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VisionError {
    /// The ONNX file, the runtime or a run.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The manifest says what can't be, or what the model is not.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The model.
        path: PathBuf,
        /// What is wrong, with what would be right.
        reason: String,
    },
    /// The file of labels.
    #[error("the labels {} can't be used: {reason}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A vision model, ready to look.
pub struct VisionModel {
    looks: Looks,
}

enum Looks {
    Descriptor,
    Model(Box<Model>),
}

struct Model {
    onnx: OnnxModel,
    manifest: VisionManifest,
    input: String,
    labels: Vec<String>,
}

impl VisionModel {
    /// No model: pictures are only compared.
    pub fn none() -> Self {
        Self { looks: Looks::Descriptor }
    }

    /// Opens a model; files that the manifest names are looked for in `folder`, then beside the model.
    ///
    /// # Errors
    /// The model, its labels or its manifest can't be used, or do not fit together.
    pub fn open(
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
        let mut model = Model { onnx, manifest, input, labels };
        // Shapes are only known by running: a model that does not fit is refused now, not at the first picture.
        let black = Picture::from_rgb(2, 2, vec![0; 12], "a black picture").expect("four pixels are a picture");
        model.look(&black)?;
        Ok(Self { looks: Looks::Model(Box::new(model)) })
    }

    /// Looks at a picture.
    ///
    /// # Errors
    /// If the model fails.
    pub fn look(&mut self, picture: &Picture) -> Result<Sight, VisionError> {
        match &mut self.looks {
            Looks::Descriptor => Ok(Sight { embedding: light_and_edges(picture), confidence: 1.0, ..Sight::default() }),
            Looks::Model(model) => model.look(picture),
        }
    }

    /// Whether the model makes soft tokens of its own.
    pub fn has_soft_tokens(&self) -> bool {
        match &self.looks {
            Looks::Model(model) => model.manifest.encoder.as_ref().is_some_and(|e| e.soft_tokens.is_some()),
            Looks::Descriptor => false,
        }
    }

    /// The labels that objects may get; empty where the model finds none.
    pub fn object_labels(&self) -> BTreeSet<&str> {
        let Looks::Model(model) = &self.looks else { return BTreeSet::new() };
        let labels = model.labels.iter().map(String::as_str);
        match &model.manifest {
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

    /// The words of the soft tokens, where the model is an encoder that speaks in words.
    pub fn words(&self) -> &[String] {
        match &self.looks {
            Looks::Model(model) => model.manifest.encoder.as_ref().map_or(&[], |e| &e.words),
            Looks::Descriptor => &[],
        }
    }
}

impl Model {
    fn wrong(&self, reason: String) -> VisionError {
        VisionError::Manifest { path: self.onnx.path().to_owned(), reason }
    }

    fn output<'a>(&self, outputs: &'a [OnnxOutput], name: Option<&str>) -> Result<&'a OnnxOutput, VisionError> {
        let found = match name {
            Some(name) => outputs.iter().find(|o| o.name == name),
            None if outputs.len() == 1 => outputs.first(),
            None => return Err(self.wrong("it has several outputs: name one in the manifest".to_owned())),
        };
        found.ok_or_else(|| self.wrong(format!("the output {} is no float tensor", name.unwrap_or("of the model"))))
    }

    fn look(&mut self, picture: &Picture) -> Result<Sight, VisionError> {
        let spec = &self.manifest.input;
        let (tensor, place) = picture.tensor(spec);
        let shape = match spec.layout {
            super::Layout::Nchw => [1, 3, spec.height, spec.width],
            super::Layout::Nhwc => [1, spec.height, spec.width, 3],
        };
        let outputs = self.onnx.run(&[(self.input.as_str(), OnnxInput::F32(&shape, &tensor))])?;
        let outputs = outputs.as_slice();
        let manifest = &self.manifest;
        let mut sight = if manifest.encoder.is_some() {
            self.encoded(outputs, place)?
        } else if manifest.classifier.is_some() {
            self.classified(outputs)?
        } else {
            self.detected(outputs, place)?
        };
        let length = sight.embedding.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt() as f32;
        if !length.is_finite() {
            return Err(self.wrong("it answered with what is no number".to_owned()));
        }
        if length > 0.0 {
            sight.embedding.iter_mut().for_each(|v| *v /= length);
        }
        Ok(sight)
    }

    fn encoded(&self, outputs: &[OnnxOutput], place: Placement) -> Result<Sight, VisionError> {
        let spec = self.manifest.encoder.as_ref().expect("an encoder");
        let mut sight = Sight { confidence: 1.0, ..Sight::default() };
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
            sight.confidence = slots.best().map(|(_, probability)| probability).fold(1.0, f32::min);
            sight.words = slots.best().map(|(word, _)| spec.words[word].clone()).collect();
            sight.slots = Some(slots);
        }
        if let Some(name) = &spec.soft_tokens {
            let rows = self.output(outputs, Some(name))?;
            let width = rows.shape.last().copied().unwrap_or(0);
            if width == 0 || rows.data.is_empty() {
                return Err(self.wrong(format!("the output {name} is empty")));
            }
            sight.soft_tokens = Some((rows.data.clone(), width));
        }
        if let (Some(boxes), Some(scores)) = (&spec.boxes, &spec.scores)
            && !self.labels.is_empty()
        {
            let (boxes, scores) = (self.output(outputs, Some(boxes))?, self.output(outputs, Some(scores))?);
            self.check_columns(scores, self.labels.len())?;
            let threshold = spec.threshold.max(1e-6);
            let found = heads::boxes(&boxes.data, &scores.data, self.labels.len(), false, (1.0, 1.0), threshold);
            sight.objects = self.objects(heads::suppress(found, 0.6, 100), place);
        }
        sight.embedding = match (&spec.embedding, &sight.soft_tokens) {
            (Some(name), _) => self.output(outputs, Some(name))?.data.clone(),
            (None, Some((rows, width))) => {
                let mut mean = vec![0.0; *width];
                rows.chunks_exact(*width).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v));
                mean
            }
            (None, None) => sight.slots.as_ref().map(|s| s.probabilities.clone()).unwrap_or_default(),
        };
        Ok(sight)
    }

    fn classified(&self, outputs: &[OnnxOutput]) -> Result<Sight, VisionError> {
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
        Ok(Sight { embedding, labels, confidence, ..Sight::default() })
    }

    fn detected(&self, outputs: &[OnnxOutput], place: Placement) -> Result<Sight, VisionError> {
        let spec = self.manifest.detector.as_ref().expect("a detector");
        let n = self.labels.len();
        // Weaker ones still count a little for the embedding, so that a score at the threshold is no switch.
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
        Ok(Sight { embedding, objects, confidence, ..Sight::default() })
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

/// A descriptor of a picture without a model: 16 x 12 means of luminance and as many of its edges, each without its mean, so
/// that a change of the light's strength alone changes little. Length 1.
fn light_and_edges(picture: &Picture) -> Vec<f32> {
    const W: usize = 32;
    const H: usize = 24;
    let (pixels, _) = picture.resampled(W, H, super::Fit::Stretch);
    let light: Vec<f32> =
        pixels.chunks_exact(3).map(|p| (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]) / 255.0).collect();
    let mut blocks = [vec![0.0f32; W * H / 4], vec![0.0f32; W * H / 4]];
    for y in 0..H {
        for x in 0..W {
            let at = |x: usize, y: usize| light[y.min(H - 1) * W + x.min(W - 1)];
            let edge = (at(x + 1, y) - at(x, y)).abs() + (at(x, y + 1) - at(x, y)).abs();
            let block = y / 2 * (W / 2) + x / 2;
            blocks[0][block] += at(x, y) / 4.0;
            blocks[1][block] += edge;
        }
    }
    let mut out = Vec::with_capacity(W * H / 2);
    for block in blocks {
        let mean = block.iter().sum::<f32>() / block.len() as f32;
        let centred: Vec<f32> = block.iter().map(|v| v - mean).collect();
        // A hundredth of the range: what a flat picture's noise must not be blown up beyond.
        let length = centred.iter().map(|v| v * v).sum::<f32>().sqrt().max(0.01 * (centred.len() as f32).sqrt());
        out.extend(centred.iter().map(|v| v / length));
    }
    // Flat pictures have no direction of their own; this gives them one.
    out.push(0.1);
    let length = out.iter().map(|v| v * v).sum::<f32>().sqrt();
    out.iter_mut().for_each(|v| *v /= length);
    out
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
    use super::super::gate::cosine;
    use super::*;

    #[test]
    fn a_label_loses_its_number_and_its_other_names() {
        assert_eq!(label_of("n01440764 tench, Tinca tinca"), "tench");
        assert_eq!(label_of("traffic light"), "traffic light");
        assert_eq!(label_of("n0144 odd"), "n0144 odd");
    }

    #[test]
    fn without_a_model_noise_is_near_and_another_scene_is_far() {
        let scene = |bright: usize, left: usize, seed: usize| {
            let rgb = (0..160 * 120)
                .flat_map(|i| {
                    let (x, y) = (i % 160, i / 160);
                    let thing = (left..left + 40).contains(&x) && (40..90).contains(&y);
                    let noise = (i * 7919 + seed * 104_729) % 13;
                    [(if thing { 200 } else { 60 } + bright + noise) as u8; 3]
                })
                .collect();
            light_and_edges(&Picture::from_rgb(160, 120, rgb, "made").unwrap())
        };
        let base = scene(0, 20, 1);
        let (noisy, brighter, moved) = (scene(0, 20, 2), scene(20, 20, 3), scene(0, 90, 1));
        assert!(cosine(&base, &noisy) > 0.99, "{}", cosine(&base, &noisy));
        assert!(cosine(&base, &brighter) > 0.98, "{}", cosine(&base, &brighter));
        assert!(cosine(&base, &moved) < 0.5, "{}", cosine(&base, &moved));
    }
}
