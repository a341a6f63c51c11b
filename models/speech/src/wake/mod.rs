//! Wake words: when one of several words has been said in an endless stream of sound.
//!
//! A [`WakeModel`] scores the sound so far, for each of its words, every 80 ms ([`OpenWakeWord`]). [`WakeSpotter`] makes detections of
//! the scores: a threshold for each word, one detection however long a word scores, and no computing while nobody speaks. What
//! a detection leads to is left to the caller.

mod open_wake_word;
mod trials;

pub use open_wake_word::{OpenWakeWord, WakeFiles};
pub use trials::{Trial, Trials, choose_threshold};

use std::collections::VecDeque;

use crate::vad::{SamplePosition, VadError, VoiceActivity};

/// A model that scores a stream of sound for some words, once for each hop.
pub trait WakeModel: Send {
    /// How many words it scores.
    fn words(&self) -> usize;

    /// Samples between two scores.
    fn hop_samples(&self) -> usize;

    /// Hops of sound that a score depends on.
    fn context_hops(&self) -> usize;

    /// The scores, each 0 to 1, after the next hop. `hop`: [[`hop_samples`](Self::hop_samples)], f32, 16 kHz, [-1, 1].
    ///
    /// # Errors
    /// [`WakeError`] where the model fails.
    fn scores(&mut self, hop: &[f32]) -> Result<Vec<f32>, WakeError>;

    /// Forgets the sound so far.
    fn reset(&mut self);
}

/// Why a stream can't be scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WakeError {
    /// The model of the words.
    #[error(transparent)]
    Model(#[from] nearfield_onnx::OnnxError),
    /// The detector of speech in front of it.
    #[error("the detector of speech before the wake word failed: {0}")]
    Activity(VadError),
}

/// A word that has been said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Which of the model's words.
    pub word: usize,
    /// Its score, at or above the threshold.
    pub score: f32,
    /// Where the score was reached: some 0.1 to 0.4 s after the word's end.
    pub at: SamplePosition,
}

/// Finds words in a stream of sound.
pub struct WakeSpotter {
    model: Box<dyn WakeModel>,
    thresholds: Vec<f32>,
    /// Which words may be detected: not again before their score has been below the threshold.
    armed: Vec<bool>,
    gate: Option<Gate>,
    /// The hop that is not complete yet.
    pending: Vec<f32>,
    /// Samples of complete hops.
    position: u64,
}

/// Keeps the model from computing while nobody speaks. What is quiet is held, so that the model knows the sound before the speech.
struct Gate {
    activity: Box<dyn VoiceActivity>,
    /// The frame that is not complete yet.
    frame: Vec<f32>,
    /// The last hops, complete.
    held: VecDeque<Vec<f32>>,
    /// Hops that the model goes on computing after the last speech; 0: it sleeps.
    open: usize,
}

/// From this probability of speech on the model computes: a missed onset costs a detection, a false one only time.
const GATE_PROBABILITY: f32 = 0.2;
/// Sound below this (-66 dB of full scale, root mean square) is nobody's speech.
const GATE_RMS: f32 = 0.0005;

impl WakeSpotter {
    /// Detects the words of `model` from a score of `thresholds` (one for each word) on. With a detector of speech, the model computes
    /// only around speech.
    pub fn new(model: Box<dyn WakeModel>, thresholds: Vec<f32>, gate: Option<Box<dyn VoiceActivity>>) -> Self {
        let words = model.words();
        debug_assert_eq!(thresholds.len(), words, "one threshold for each word");
        let gate = gate.map(|activity| Gate { activity, frame: Vec::new(), held: VecDeque::new(), open: 0 });
        Self { model, thresholds, armed: vec![true; words], gate, pending: Vec::new(), position: 0 }
    }

    /// Takes the next samples; calls `scored` with the scores at the end of each hop that the model has computed, and `found` for
    /// each word that was detected there.
    ///
    /// # Errors
    /// [`WakeError`]; the hop in question is lost.
    pub fn push(
        &mut self,
        samples: &[f32],
        scored: &mut dyn FnMut(SamplePosition, &[f32]),
        found: &mut dyn FnMut(Detection),
    ) -> Result<(), WakeError> {
        let hop_samples = self.model.hop_samples();
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(hop_samples - self.pending.len()));
            self.pending.extend_from_slice(now);
            rest = later;
            if self.pending.len() == hop_samples {
                let hop = std::mem::take(&mut self.pending);
                self.position += hop_samples as u64;
                self.hop(hop, scored, found)?;
            }
        }
        Ok(())
    }

    /// Forgets the sound so far; the position goes on.
    pub fn reset(&mut self) {
        self.model.reset();
        self.armed.fill(true);
        self.pending.clear();
        if let Some(gate) = &mut self.gate {
            gate.activity.reset();
            gate.frame.clear();
            gate.held.clear();
            gate.open = 0;
        }
    }

    fn hop(
        &mut self,
        hop: Vec<f32>,
        scored: &mut dyn FnMut(SamplePosition, &[f32]),
        found: &mut dyn FnMut(Detection),
    ) -> Result<(), WakeError> {
        let Some(gate) = &mut self.gate else { return self.score(&hop, scored, found) };
        let context = self.model.context_hops();
        let is_speech = gate.hears(&hop).map_err(WakeError::Activity)?;
        let was_open = gate.open > 0;
        gate.open = if is_speech { context } else { gate.open.saturating_sub(1) };
        if gate.open == 0 {
            gate.held.push_back(hop);
            // The next hop is speech at the earliest.
            while gate.held.len() >= context {
                gate.held.pop_front();
            }
            return Ok(());
        }
        if !was_open {
            self.model.reset();
            self.armed.fill(true);
            // What was quiet is no word; its scores, of a model that has not heard enough yet, mean nothing.
            for quiet in std::mem::take(&mut gate.held) {
                self.model.scores(&quiet)?;
            }
        }
        self.score(&hop, scored, found)
    }

    fn score(
        &mut self,
        hop: &[f32],
        scored: &mut dyn FnMut(SamplePosition, &[f32]),
        found: &mut dyn FnMut(Detection),
    ) -> Result<(), WakeError> {
        let at = SamplePosition(self.position);
        let scores = self.model.scores(hop)?;
        scored(at, &scores);
        for (word, &score) in scores.iter().enumerate() {
            let is_over = score >= self.thresholds[word];
            if is_over && self.armed[word] {
                found(Detection { word, score, at });
            }
            self.armed[word] = !is_over;
        }
        Ok(())
    }
}

impl Gate {
    /// Whether the hop holds speech.
    fn hears(&mut self, hop: &[f32]) -> Result<bool, VadError> {
        let mut is_speech = false;
        self.frame.extend_from_slice(hop);
        let frame_samples = self.activity.frame_samples();
        let whole = self.frame.len() / frame_samples * frame_samples;
        let loudness = (hop.iter().map(|s| s * s).sum::<f32>() / hop.len().max(1) as f32).sqrt();
        for frame in self.frame[..whole].chunks_exact(frame_samples) {
            is_speech |= self.activity.probability(frame)? >= GATE_PROBABILITY;
        }
        self.frame.drain(..whole);
        Ok(is_speech && loudness >= GATE_RMS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores a hop by its loudest sample, and counts its calls.
    struct Peak(std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl WakeModel for Peak {
        fn words(&self) -> usize {
            1
        }
        fn hop_samples(&self) -> usize {
            1280
        }
        fn context_hops(&self) -> usize {
            4
        }
        fn scores(&mut self, hop: &[f32]) -> Result<Vec<f32>, WakeError> {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(vec![hop.iter().fold(0.0, |a: f32, s| a.max(*s))])
        }
        fn reset(&mut self) {}
    }

    struct Loudness;

    impl VoiceActivity for Loudness {
        fn frame_samples(&self) -> usize {
            256
        }
        fn probability(&mut self, frame: &[f32]) -> Result<f32, VadError> {
            Ok(if frame.iter().any(|s| s.abs() > 0.1) { 1.0 } else { 0.0 })
        }
        fn reset(&mut self) {}
        fn name(&self) -> &str {
            "loudness"
        }
    }

    /// The hops after which something was detected, and how many the model computed.
    fn run(gated: bool, hops: &[f32]) -> (Vec<u64>, usize) {
        let calls = std::sync::Arc::default();
        let gate = gated.then(|| Box::new(Loudness) as Box<dyn VoiceActivity>);
        let mut spotter = WakeSpotter::new(Box::new(Peak(std::sync::Arc::clone(&calls))), vec![0.5], gate);
        let mut found = Vec::new();
        let sound: Vec<f32> = hops.iter().flat_map(|&level| vec![level; 1280]).collect();
        // As a microphone gives it.
        for samples in sound.chunks(320) {
            spotter.push(samples, &mut |_, _| {}, &mut |d: Detection| found.push(d.at.0 / 1280)).unwrap();
        }
        (found, calls.load(std::sync::atomic::Ordering::Relaxed))
    }

    #[test]
    fn a_word_that_scores_for_long_is_detected_once_and_again_when_it_is_said_again() {
        assert_eq!(run(false, &[0.0, 0.6, 0.7, 0.9, 0.2, 0.6, 0.0]).0, [2, 6]);
    }

    #[test]
    fn nothing_is_computed_in_silence_and_the_word_is_found_all_the_same() {
        let mut hops = vec![0.0; 1000];
        hops[500] = 0.3;
        hops[501] = 0.7;
        let ((all, all_computed), (gated, computed)) = (run(false, &hops), run(true, &hops));
        assert_eq!((all_computed, &gated), (1000, &all));
        // Three before the speech, two of speech, three after it.
        assert_eq!((gated, computed), (vec![502], 8));
    }
}
