//! openWakeWord (github.com/dscripka/openWakeWord) through ONNX Runtime: a mel spectrogram and Google's speech embedding, which all
//! words share, and a small classifier for each word.
//!
//! The steps are those of `openwakeword.Model.predict` for 80 ms at a time. The reference begins with the embeddings of random noise; here
//! they are those of an empty spectrogram, so that equal sound has equal scores. After [`CONTEXT`] hops there is no difference.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use nearfield_onnx::{OnnxError, OnnxInput, OnnxModel, OnnxOptions};

use super::{WakeError, WakeModel};

/// Samples between two scores: 16 kHz * 80 ms.
const HOP: usize = 1280;
/// Samples before a hop that its spectrogram needs: 3 frames of 10 ms.
const BEFORE: usize = 3 * 160;
/// Bands of the spectrogram.
const BANDS: usize = 32;
/// Frames of the spectrogram in an embedding: 760 ms.
const FRAMES: usize = 76;
/// Numbers in an embedding.
const WIDTH: usize = 96;
/// The most embeddings that a classifier may want: 10 s.
const MOST_EMBEDDINGS: usize = 120;
/// Hops at the beginning of a stream whose scores count as 0, as in the reference.
const FIRST_HOPS: usize = 5;

/// The files of openWakeWord.
#[derive(Clone, Debug)]
pub struct WakeFiles {
    /// `melspectrogram.onnx`.
    pub spectrogram: PathBuf,
    /// `embedding_model.onnx`.
    pub embedding: PathBuf,
    /// A classifier for each word, such as `hey_jarvis_v0.1.onnx`.
    pub words: Vec<PathBuf>,
}

/// openWakeWord's models, with the sound so far.
pub struct OpenWakeWord {
    spectrogram: OnnxModel,
    embedding: OnnxModel,
    words: Vec<Classifier>,
    /// The last samples of the hop before, in the units of 16-bit sound; fewer at the beginning.
    before: Vec<f32>,
    /// The last frames of the spectrogram: `[FRAMES, BANDS]`.
    frames: VecDeque<f32>,
    /// The last embeddings, as many as the classifiers want: `[longest, WIDTH]`.
    embeddings: VecDeque<f32>,
    /// The embedding of an empty spectrogram.
    empty: Vec<f32>,
    longest: usize,
    hops: usize,
}

/// The classifier of a word.
struct Classifier {
    model: OnnxModel,
    input: String,
    embeddings: usize,
}

impl OpenWakeWord {
    /// Loads the models and tries them once.
    ///
    /// # Errors
    /// [`OnnxError`] where the runtime or a file is missing, or a file is not the model that it should be.
    pub fn open(files: &WakeFiles) -> Result<Self, WakeError> {
        // Small models: a second thread would cost more than it saves.
        let open = |path: &Path| OnnxModel::open(path, &OnnxOptions { threads: 1, ..OnnxOptions::default() });
        let spectrogram = open(&files.spectrogram)?;
        spectrogram.expect(&["input"], &["output"])?;
        let embedding = open(&files.embedding)?;
        embedding.expect(&["input_1"], &[])?;
        let words = files.words.iter().map(|path| Classifier::open(open(path)?)).collect::<Result<Vec<_>, _>>()?;
        let longest = words.iter().map(|word| word.embeddings).max().unwrap_or(1);
        let mut opened = Self {
            spectrogram,
            embedding,
            words,
            before: Vec::new(),
            frames: VecDeque::new(),
            embeddings: VecDeque::new(),
            empty: Vec::new(),
            longest,
            hops: 0,
        };
        opened.frames = VecDeque::from(vec![1.0; FRAMES * BANDS]);
        opened.empty = opened.embed()?;
        opened.reset();
        opened.scores(&[0.0; HOP])?;
        opened.reset();
        Ok(opened)
    }

    /// The spectrogram's frames of a hop with what is known of the sound before it: `[n_frames, BANDS]`, row-major.
    fn spectrogram(&mut self, sound: &[f32]) -> Result<Vec<f32>, OnnxError> {
        let outputs = self.spectrogram.run(&[("input", OnnxInput::F32(&[1, sound.len()], sound))])?;
        let frames = outputs.into_iter().find(|output| output.name == "output").map(|output| output.data);
        // A frame every 10 ms, as far as there is sound around it.
        match frames.filter(|frames| frames.len() == (sound.len() / 160 - 3) * BANDS && is_finite(frames)) {
            Some(mut frames) => {
                frames.iter_mut().for_each(|value| *value = *value / 10.0 + 2.0);
                Ok(frames)
            }
            None => Err(self.spectrogram.wrong_kind("a frame of 32 bands for each 10 ms of sound")),
        }
    }

    /// The embedding of the last frames.
    fn embed(&mut self) -> Result<Vec<f32>, OnnxError> {
        let frames = self.frames.make_contiguous();
        let outputs = self.embedding.run(&[("input_1", OnnxInput::F32(&[1, FRAMES, BANDS, 1], frames))])?;
        let embedding = outputs.into_iter().next().map(|output| output.data);
        match embedding.filter(|embedding| embedding.len() == WIDTH && is_finite(embedding)) {
            Some(embedding) => Ok(embedding),
            None => Err(self.embedding.wrong_kind("an embedding of 96 numbers for [1, 76, 32, 1] frames")),
        }
    }
}

fn is_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

impl Classifier {
    fn open(model: OnnxModel) -> Result<Self, OnnxError> {
        const EXPECTED: &str = "an openWakeWord classifier: one input [1, N, 96], one score";
        match &model.input_tensors()[..] {
            [input] => match input.shape[..] {
                [_, Some(embeddings @ 1..=MOST_EMBEDDINGS), Some(WIDTH)] => {
                    Ok(Self { input: input.name.clone(), model, embeddings })
                }
                _ => Err(model.wrong_kind(EXPECTED)),
            },
            _ => Err(model.wrong_kind(EXPECTED)),
        }
    }

    /// The score of the last embeddings.
    fn score(&mut self, embeddings: &[f32]) -> Result<f32, OnnxError> {
        let last = &embeddings[embeddings.len() - self.embeddings * WIDTH..];
        let outputs = self.model.run(&[(&self.input, OnnxInput::F32(&[1, self.embeddings, WIDTH], last))])?;
        match outputs.first().map(|output| output.data.as_slice()) {
            Some(&[score]) if (0.0..=1.0).contains(&score) => Ok(score),
            _ => Err(self.model.wrong_kind("one score from 0 to 1 for the embeddings of one word")),
        }
    }
}

impl WakeModel for OpenWakeWord {
    fn words(&self) -> usize {
        self.words.len()
    }

    fn hop_samples(&self) -> usize {
        HOP
    }

    fn context_hops(&self) -> usize {
        // The frames of the first of the embeddings, and the frames that the sound before the first hop has a part in.
        self.longest + FRAMES.div_ceil(HOP / 160) + 1
    }

    fn scores(&mut self, hop: &[f32]) -> Result<Vec<f32>, WakeError> {
        let mut sound = std::mem::take(&mut self.before);
        sound.extend(hop.iter().map(|sample| (sample * 32768.0).clamp(-32768.0, 32767.0)));
        self.before = sound[sound.len().saturating_sub(BEFORE)..].to_vec();
        let frames = self.spectrogram(&sound)?;
        self.frames.extend(&frames);
        self.frames.drain(..self.frames.len() - FRAMES * BANDS);
        let embedding = self.embed()?;
        self.embeddings.drain(..WIDTH);
        self.embeddings.extend(&embedding);
        self.hops += 1;
        let embeddings = self.embeddings.make_contiguous();
        let scores = self.words.iter_mut().map(|word| word.score(embeddings)).collect::<Result<Vec<_>, _>>()?;
        Ok(if self.hops <= FIRST_HOPS { vec![0.0; scores.len()] } else { scores })
    }

    fn reset(&mut self) {
        self.before.clear();
        self.frames = VecDeque::from(vec![1.0; FRAMES * BANDS]);
        self.embeddings = self.empty.iter().copied().cycle().take(self.longest * WIDTH).collect();
        self.hops = 0;
    }
}
