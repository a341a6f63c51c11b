//! Cutting the silence off both ends of synthetic speech, as it streams by.
//!
//! Engines pad what they say (espeak-ng by some 60 ms before and 300 ms after). Before the first word that is latency;
//! after it, it is a pause that only the caller can judge.

use crate::audio::SampleRate;
use std::ops::ControlFlow;
use std::time::Duration;

/// Between the engine and the sink.
pub(super) struct Trim {
    /// Quiet samples that are passed on only if sound follows.
    quiet: Vec<f32>,
    begun: bool,
    lead_in: usize,
    tail: usize,
}

/// About -46 dBFS: above the rounding noise of an engine, below its softest consonant.
const QUIET: f32 = 0.005;
/// The softest beginning of a word may lie under the threshold for this long.
const LEAD_IN: Duration = Duration::from_millis(5);
/// A word's end dies away.
const TAIL: Duration = Duration::from_millis(40);

impl Trim {
    pub(super) fn new(rate: SampleRate) -> Trim {
        Trim { quiet: Vec::new(), begun: false, lead_in: rate.samples_in(LEAD_IN), tail: rate.samples_in(TAIL) }
    }

    /// Passes on what is known to lie between the first and the last sound.
    pub(super) fn push(&mut self, samples: &[f32], sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> ControlFlow<()> {
        self.quiet.extend_from_slice(samples);
        let loud = |s: &f32| s.abs() >= QUIET;
        if !self.begun {
            match self.quiet.iter().position(loud) {
                Some(first) => {
                    self.begun = true;
                    self.quiet.drain(..first.saturating_sub(self.lead_in));
                }
                None => {
                    let kept = self.quiet.len().min(self.lead_in);
                    self.quiet.drain(..self.quiet.len() - kept);
                    return ControlFlow::Continue(());
                }
            }
        }
        match self.quiet.iter().rposition(loud) {
            Some(last) => {
                let flow = sink(&self.quiet[..=last]);
                self.quiet.drain(..=last);
                flow
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// Passes on the end of the last word.
    pub(super) fn finish(mut self, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> ControlFlow<()> {
        self.quiet.truncate(self.tail);
        if self.begun && !self.quiet.is_empty() { sink(&self.quiet) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_goes_from_the_ends_and_stays_in_the_middle_however_it_is_cut() {
        let rate = SampleRate::SPEECH;
        let mut sound = vec![0.0; 5_000];
        sound.extend([0.5; 100]);
        sound.extend([0.0; 3_000]);
        sound.extend([0.5; 100]);
        sound.extend([0.0; 9_000]);
        let expected = 80 + 100 + 3_000 + 100 + 640; // lead-in of 5 ms, the sound, tail of 40 ms
        for chunk in [1, 7, 1_000, 100_000] {
            let mut trim = Trim::new(rate);
            let mut out = Vec::new();
            let mut sink = |block: &[f32]| {
                out.extend_from_slice(block);
                ControlFlow::Continue(())
            };
            for part in sound.chunks(chunk) {
                let _ = trim.push(part, &mut sink);
            }
            let _ = trim.finish(&mut sink);
            assert_eq!(out.len(), expected, "in chunks of {chunk}");
            assert_eq!(&out[80..180], &[0.5; 100]);
        }
    }

    #[test]
    fn nothing_but_silence_gives_nothing() {
        let mut trim = Trim::new(SampleRate::SPEECH);
        let mut sink = |_: &[f32]| panic!("silence was passed on");
        let _ = trim.push(&[0.0; 10_000], &mut sink);
        let _ = trim.finish(&mut sink);
    }
}
