//! The end of a turn: how long to wait in a pause before the speaker is taken to have finished.
//!
//! A fixed silence is either slow or cuts off people who think while they speak. Here evidence decides: the sound ([`SmartTurn`], a
//! model) and the words so far ([`completeness`]) give a confidence that the turn is complete, and the confidence gives the silence to
//! wait for ([`TurnEndOptions::silence_ms`]): little when sure, long when not. Both kinds of evidence are optional.

mod log_mel;
mod smart_turn;
mod words;

pub use smart_turn::SmartTurn;
pub use words::{WHOLE, completeness};

/// The silence that ends a turn, between two limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnEndOptions {
    /// The silence after which a turn is over that is surely complete, in milliseconds.
    pub sure_ms: u32,
    /// The silence after which a turn is over however incomplete it seems, in milliseconds.
    pub unsure_ms: u32,
}

impl Default for TurnEndOptions {
    fn default() -> Self {
        Self { sure_ms: 120, unsure_ms: 1500 }
    }
}

/// What is known of a pause. Each is a probability that the turn is complete; `None` where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// By the sound.
    pub sound: Option<f32>,
    /// By the words.
    pub words: Option<f32>,
}

/// How much the log-odds of each kind of evidence count, and the log-odds without any: somebody who pauses goes on more often than not.
/// Chosen on the tuning half of `nearfield bench voice`'s sentences with pauses. They are spoken by machines, whose voices hardly tell
/// Smart Turn whether they have finished; it may deserve more weight with people.
const SOUND_WEIGHT: f32 = 0.1;
const WORDS_WEIGHT: f32 = 1.5;
const PRIOR_LOG_ODDS: f32 = -1.5;
/// Log-odds beyond this count no more: no single evidence is that good.
const MOST_LOG_ODDS: f32 = 4.0;

impl Evidence {
    /// The probability that the turn is complete, by all that is known.
    pub fn confidence(self) -> f32 {
        let odds = |probability: Option<f32>| {
            // What is no number is no evidence.
            let p = probability.filter(|p| !p.is_nan()).unwrap_or(0.5).clamp(0.001, 0.999);
            (p / (1.0 - p)).ln().clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS)
        };
        let sum = PRIOR_LOG_ODDS + SOUND_WEIGHT * odds(self.sound) + WORDS_WEIGHT * odds(self.words);
        1.0 / (1.0 + (-sum).exp())
    }
}

impl TurnEndOptions {
    /// Up to this confidence the longest silence is waited for.
    pub const DOUBT: f32 = 0.5;
    /// From this confidence the shortest silence is enough.
    pub const SURE: f32 = 0.95;

    /// The silence to wait for, in milliseconds: `unsure_ms` up to a confidence of [`Self::DOUBT`], `sure_ms` from [`Self::SURE`], and
    /// between them geometrically, so that each step of confidence saves the same share of the wait.
    pub fn silence_ms(&self, evidence: Evidence) -> u32 {
        let share = ((evidence.confidence() - Self::DOUBT) / (Self::SURE - Self::DOUBT)).clamp(0.0, 1.0);
        let (sure, unsure) = (self.sure_ms.max(1) as f32, self.unsure_ms.max(1) as f32);
        (unsure * (sure / unsure).powf(share)).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silence_falls_from_the_longest_to_the_shortest_as_the_evidence_grows() {
        let options = TurnEndOptions::default();
        let silence = |sound, words| options.silence_ms(Evidence { sound, words });
        assert_eq!(silence(Some(0.01), Some(0.02)), 1500);
        assert_eq!(silence(Some(0.99), Some(WHOLE)), 120);
        let steps: Vec<u32> = (0..=20).map(|i| silence(None, Some(i as f32 / 20.0))).collect();
        assert!(steps.is_sorted_by(|a, b| a >= b) && steps[0] == 1500 && steps[20] == 120, "{steps:?}");
        // Words that cannot end a sentence outweigh a voice that sounds finished.
        assert!(silence(Some(0.99), Some(completeness("Turn on the"))) > 500);
        assert_eq!(silence(None, None), 1500);
        // A whole question needs no look at its sound, which would cost more time than the silence.
        let question = Some(completeness("What is the capital of France?"));
        assert_eq!([silence(Some(0.0), question), silence(Some(1.0), question)], [120, 120]);
        assert_eq!(silence(Some(f32::NAN), Some(f32::NAN)), 1500);
        assert_eq!(silence(Some(f32::NAN), Some(0.95)), silence(None, Some(0.95)));
        let unsure = silence(None, Some(completeness("Turn it off.")));
        assert!((600..1_500).contains(&unsure), "{unsure}");
    }
}
