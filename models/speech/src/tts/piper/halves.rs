//! A Piper voice as two models, cut at its latent: the encoder turns phonemes into frames, the decoder (HiFi-GAN) turns frames into
//! sound. Because the decoder is made of convolutions only, it can work on some frames at a time: with enough frames on both sides the
//! result is that of the whole, so the first sound is there long before the last.
//!
//! The cut is found in the graph: the decoder begins at the convolution before the first transposed one. What a frame of sound
//! depends on, and how many samples a frame has, follow from the kernels and strides. The two halves are made once, compared with the
//! whole voice, and kept in a folder.

use super::super::TtsError;
use nearfield_base::persist;
use nearfield_onnx::graph::{Node, OnnxGraph};
use nearfield_onnx::{OnnxError, OnnxInput, OnnxModel, OnnxOptions};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What the halves may differ by from the whole voice, of full scale 1: rounding in sums of another order, 84 dB below full scale.
pub(super) const MOST_DIFFERENCE: f32 = 6e-5;
/// The largest voice: Piper's `high` ones have 114 MB.
const MAX_VOICE: u64 = 512 << 20;
/// The first chunk, and the longest: sound to begin with, and steps in which the sink may stop it.
const FIRST_CHUNK_S: f64 = 0.14;
const LONGEST_CHUNK_S: f64 = 1.2;
/// The version of the form of the kept files.
const VERSION: &str = "v1";

/// How a graph is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The tensor [1, channels, frames] between the halves.
    pub latent: String,
    /// Samples a frame.
    pub hop_samples: usize,
    /// Frames on each side that a frame's sound depends on.
    pub halo_frames: usize,
}

/// The two halves, loaded.
pub(super) struct Halves {
    encoder: OnnxModel,
    decoder: OnnxModel,
    cut: Cut,
    decoder_takes_speaker: bool,
}

/// The inputs of a voice for one sentence.
pub(super) struct Sentence<'a> {
    pub ids: &'a [i64],
    /// Noise, length, noise of durations.
    pub scales: [f32; 3],
    pub speaker: Option<i64>,
}

impl Sentence<'_> {
    /// Runs a model on the inputs of a whole voice (or its encoder).
    pub fn run(&self, model: &mut OnnxModel, output: &str) -> Result<(Vec<usize>, Vec<f32>), TtsError> {
        let (lengths, speaker, shape) = ([self.ids.len() as i64], [self.speaker.unwrap_or(0)], [1, self.ids.len()]);
        let mut inputs = vec![
            ("input", OnnxInput::I64(&shape, self.ids)),
            ("input_lengths", OnnxInput::I64(&[1], &lengths)),
            ("scales", OnnxInput::F32(&[3], &self.scales)),
        ];
        if self.speaker.is_some() {
            inputs.push(("sid", OnnxInput::I64(&[1], &speaker)));
        }
        let found = model.inputs();
        let has: Vec<bool> = inputs.iter().map(|(name, _)| found.contains(name)).collect();
        let mut has = has.into_iter();
        inputs.retain(|_| has.next().unwrap_or(true));
        let outputs = model.run(&inputs)?;
        match outputs.into_iter().find(|o| o.name == output) {
            Some(output) => Ok((output.shape, output.data)),
            None => Err(model.wrong_kind("a float output").into()),
        }
    }
}

impl Halves {
    /// The halves of the voice at `path`, from `folder` if they are there; else they are cut, compared with the whole, and put
    /// there. The reason where the voice can't be cut.
    pub fn open(path: &Path, folder: &Path, options: &OnnxOptions, test: &Sentence<'_>) -> Result<Halves, String> {
        let bytes = nearfield_base::files::read(path, MAX_VOICE).map_err(|e| e.to_string())?;
        let graph = OnnxGraph::parse(&bytes).map_err(|e| e.to_string())?;
        let cut = find_cut(&graph)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}-{:08x}-{}-{VERSION}", crc32fast::hash(&bytes), bytes.len());
        let files = [folder.join(format!("{name}.encoder.onnx")), folder.join(format!("{name}.decoder.onnx"))];
        let (encoder, _) = graph.part(&[], &cut.latent).map_err(|e| e.to_string())?;
        let (decoder, _) = graph.part(&[&cut.latent], "output").map_err(|e| e.to_string())?;
        // Only what was proved once has these names; a card that fails may have changed it since.
        let parts = [encoder, decoder];
        if files.iter().zip(&parts).all(|(file, part)| holds(file, part)) {
            drop(parts);
            return Halves::load(&files, cut, options).map_err(|e| e.to_string());
        }
        if files.iter().any(|file| file.exists()) {
            tracing::warn!(folder = %folder.display(), "the halves of the voice are damaged and are made again");
        }
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        remove_left_behind(folder);
        let unproved = files.clone().map(|file| file.with_extension(format!("{}.new", std::process::id())));
        let made = (|| {
            for (file, part) in unproved.iter().zip(parts) {
                persist::replace(file, &part).map_err(|e| format!("{}: {e}", file.display()))?;
            }
            let mut halves = Halves::load(&unproved, cut, options).map_err(|e| e.to_string())?;
            halves.prove(path, options, test)?;
            for (from, to) in unproved.iter().zip(&files) {
                persist::rename(from, to).map_err(|e| format!("{}: {e}", to.display()))?;
            }
            Ok(halves)
        })();
        if made.is_err() {
            unproved.iter().for_each(|file| drop(std::fs::remove_file(file)));
        }
        made
    }

    fn load(files: &[PathBuf; 2], cut: Cut, options: &OnnxOptions) -> Result<Halves, OnnxError> {
        let (encoder, decoder) = (OnnxModel::open(&files[0], options)?, OnnxModel::open(&files[1], options)?);
        encoder.expect(&["input", "input_lengths", "scales"], &[&cut.latent])?;
        decoder.expect(&[&cut.latent], &["output"])?;
        let decoder_takes_speaker = decoder.inputs().contains(&"sid");
        Ok(Halves { encoder, decoder, cut, decoder_takes_speaker })
    }

    /// Compares the halves, in the smallest chunks, with the whole voice on one sentence without noise.
    fn prove(&mut self, path: &Path, options: &OnnxOptions, test: &Sentence<'_>) -> Result<(), String> {
        let mut whole = OnnxModel::open(path, options).map_err(|e| e.to_string())?;
        let test = Sentence { scales: [0.0, test.scales[1], 0.0], ..*test };
        let (_, expected) = test.run(&mut whole, "output").map_err(|e| e.to_string())?;
        let mut found = Vec::new();
        let frames = self.encode(&test).map_err(|e| e.to_string())?;
        let (first, longest) = (4, 9); // frames; so short that every seam is seen
        let collect = &mut |chunk: &[f32]| {
            found.extend_from_slice(chunk);
            ControlFlow::Continue(())
        };
        let _ = self.decode(&frames, test.speaker, (first, longest), collect).map_err(|e| e.to_string())?;
        if found.len() != expected.len() {
            return Err(format!("its halves give {} samples, the whole {}", found.len(), expected.len()));
        }
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        tracing::debug!(voice = %path.display(), off, samples = found.len(), "the halves of the voice were compared with the whole");
        if off <= MOST_DIFFERENCE { Ok(()) } else { Err(format!("its halves differ from the whole by {off}")) }
    }

    /// The frames of a sentence: [1, channels, frames].
    pub fn encode(&mut self, sentence: &Sentence<'_>) -> Result<(Vec<usize>, Vec<f32>), TtsError> {
        sentence.run(&mut self.encoder, &self.cut.latent)
    }

    /// Speaks a sentence: chunks that grow from a short first one.
    pub fn speak(
        &mut self,
        sentence: &Sentence<'_>,
        rate: f64,
        sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TtsError> {
        let frames = self.encode(sentence)?;
        tracing::debug!(ids = sentence.ids.len(), shape = ?frames.0, "a sentence is encoded");
        let in_frames = |seconds: f64| (seconds * rate / self.cut.hop_samples as f64).ceil() as usize;
        let sizes = (in_frames(FIRST_CHUNK_S).max(1), in_frames(LONGEST_CHUNK_S).max(1));
        self.decode(&frames, sentence.speaker, sizes, sink)
    }

    /// Decodes frames in chunks of `sizes.0` frames at first, then twice as many each time, at most `sizes.1`.
    fn decode(
        &mut self,
        frames: &(Vec<usize>, Vec<f32>),
        speaker: Option<i64>,
        sizes: (usize, usize),
        sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TtsError> {
        let (&[1, channels, n_frames], data) = (frames.0.as_slice(), &frames.1) else {
            return Err(self.encoder.wrong_kind("a latent of three dimensions").into());
        };
        let (halo, hop) = (self.cut.halo_frames, self.cut.hop_samples);
        let (mut at, mut size) = (0, sizes.0);
        let speaker = [speaker.unwrap_or(0)];
        while at < n_frames {
            // A last chunk much shorter than the others is not worth its overlap.
            let end = if n_frames - at <= size + size / 2 { n_frames } else { at + size };
            let (from, until) = (at.saturating_sub(halo), (end + halo).min(n_frames));
            let mut part = Vec::with_capacity(channels * (until - from));
            for channel in data.chunks_exact(n_frames) {
                part.extend_from_slice(&channel[from..until]);
            }
            let shape = [1, channels, until - from];
            let mut inputs = vec![(self.cut.latent.as_str(), OnnxInput::F32(&shape, &part))];
            if self.decoder_takes_speaker {
                inputs.push(("sid", OnnxInput::I64(&[1], &speaker)));
            }
            let outputs = self.decoder.run(&inputs)?;
            let sound = outputs.iter().find(|o| o.name == "output").map(|o| o.data.as_slice()).unwrap_or_default();
            let Some(chunk) = sound.get((at - from) * hop..(end - from) * hop) else {
                return Err(self.decoder.wrong_kind(&format!("{hop} samples a frame")).into());
            };
            if sink(chunk).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            (at, size) = (end, (size * 2).min(sizes.1));
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Whether the file is there and has exactly these bytes.
fn holds(file: &Path, bytes: &[u8]) -> bool {
    file.is_file() && nearfield_base::files::read(file, MAX_VOICE).is_ok_and(|found| found == bytes)
}

/// Removes what a process that was killed has not proved any more: `NAME.PROCESS.new`.
fn remove_left_behind(folder: &Path) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let process = name.strip_suffix(".new").and_then(|name| name.rsplit('.').next()?.parse::<u32>().ok());
        if process.is_some_and(|id| id != std::process::id() && !Path::new(&format!("/proc/{id}")).exists()) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Where a voice's graph can be cut; the reason where it can't.
pub(super) fn find_cut(graph: &OnnxGraph<'_>) -> Result<Cut, String> {
    let first = graph.nodes().iter().find(|node| node.operator == "ConvTranspose");
    let first = first.ok_or("it has no transposed convolution, with which a decoder begins")?;
    // Back from there: activations, and with several speakers a sum with what the speaker adds.
    let mut wanted: Vec<&str> = first.inputs.iter().take(1).copied().collect();
    let mut looked_at = 0;
    while let Some(tensor) = wanted.pop() {
        looked_at += 1;
        if looked_at > 64 {
            break;
        }
        let Some(maker) = graph.maker(tensor) else { continue };
        match maker.operator {
            "LeakyRelu" | "Add" | "Identity" | "Mul" | "Relu" => {
                wanted.extend(maker.inputs.iter().filter(|input| !graph.is_weight(input)));
            }
            "Conv" => {
                let Some(&latent) = maker.inputs.first() else { continue };
                // The speaker's own convolution leaves the voice's inputs in the rest.
                let Ok((_, inputs)) = graph.part(&[latent], "output") else { continue };
                if inputs.iter().all(|input| *input == "sid") {
                    let (hop_samples, halo_frames) = reach(graph, latent)?;
                    return Ok(Cut { latent: latent.to_string(), hop_samples, halo_frames });
                }
            }
            _ => {}
        }
    }
    Err("its decoder does not begin with a convolution of the latent alone".to_string())
}

/// Samples a frame of the tensor `latent`, and the frames on each side that a sample of `output` depends on.
fn reach(graph: &OnnxGraph<'_>, latent: &str) -> Result<(usize, usize), String> {
    // Forward: how many values a tensor has for each frame; only what depends on the latent.
    let mut rates: HashMap<&str, usize> = HashMap::from([(latent, 1)]);
    let mut path: Vec<(&Node<'_>, usize)> = Vec::new();
    for node in graph.nodes() {
        let Some(rate) = node.inputs.iter().filter_map(|input| rates.get(input)).max().copied() else { continue };
        let stride = if node.operator == "ConvTranspose" { one(node, "strides", 1)? } else { 1 };
        let Some(faster) = rate.checked_mul(stride).filter(|rate| (1..=4_096).contains(rate)) else {
            return Err(format!("a transposed convolution has the stride {stride}"));
        };
        rates.extend(node.outputs.iter().map(|output| (*output, faster)));
        path.push((node, stride));
    }
    // Backward: how many values on each side of a tensor are needed.
    let mut needs: HashMap<&str, usize> = HashMap::from([("output", 0)]);
    for (node, stride) in path.iter().rev() {
        let Some(need) = node.outputs.iter().filter_map(|output| needs.get(output)).max().copied() else { continue };
        let need = match node.operator {
            "Conv" => {
                let (kernel, dilation) = (one(node, "kernel_shape", 0)?, one(node, "dilations", 1)?);
                if kernel == 0 || kernel > 1_024 || dilation > 1_024 || one(node, "strides", 1)? != 1 {
                    return Err("a convolution of its decoder has no plain kernel".to_string());
                }
                let reach = (kernel - 1) * dilation;
                // The usual padding puts half of the kernel on each side.
                let is_usual = matches!(node.integers("pads").as_slice(), [before, after]
                    if before == after && usize::try_from(*before).is_ok_and(|n| n.checked_mul(2) == Some(reach)));
                need + if is_usual { reach / 2 } else { reach }
            }
            "ConvTranspose" => {
                let kernel = one(node, "kernel_shape", 0)?;
                if kernel == 0 || kernel > 1_024 || one(node, "dilations", 1)? != 1 {
                    return Err("a transposed convolution of its decoder has no plain kernel".to_string());
                }
                (need + kernel).div_ceil(*stride)
            }
            "LeakyRelu" | "Relu" | "Add" | "Sub" | "Mul" | "Div" | "Tanh" | "Sigmoid" | "Identity" | "Unsqueeze"
            | "Squeeze" | "Sin" | "Pow" | "Cast" | "Clip" | "Neg" | "Exp" => need,
            other => {
                let name: String = other.chars().take(100).collect();
                return Err(format!("its decoder has the operation {name:?}"));
            }
        };
        for input in node.inputs.iter().filter(|input| rates.contains_key(*input)) {
            let known = needs.entry(input).or_default();
            *known = need.max(*known);
        }
    }
    match (rates.get("output"), needs.get(latent)) {
        (Some(&hop), Some(&halo)) if halo <= 256 => Ok((hop, halo)),
        _ => Err("its output does not follow from the latent by convolutions of a short reach".to_string()),
    }
}

fn one(node: &Node<'_>, attribute: &str, default: usize) -> Result<usize, String> {
    match node.integers(attribute).as_slice() {
        [] => Ok(default),
        [value] => usize::try_from(*value).map_err(|_| format!("{attribute} is {value}")),
        values => Err(format!("{attribute} has {} values", values.len())),
    }
}
