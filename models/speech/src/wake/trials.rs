//! What a wake word is worth: how often it is missed and how often it is heard where nobody said it, for every threshold.

use std::time::Duration;

/// One recording, scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Whether the word is said in it, once.
    pub has_word: bool,
    /// How long it is.
    pub audio: Duration,
    /// The scores, in order; where the model did not compute, there are none.
    pub scores: Vec<f32>,
}

/// Recordings with and without a word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trials(pub Vec<Trial>);

impl Trial {
    /// The highest score.
    pub fn best(&self) -> f32 {
        self.scores.iter().copied().fold(0.0, f32::max)
    }

    /// How often the score rises to `threshold`.
    fn detections(&self, threshold: f32) -> usize {
        let rises = |pair: &[f32]| pair[0] < threshold && pair[1] >= threshold;
        usize::from(self.scores.first().is_some_and(|score| *score >= threshold))
            + self.scores.windows(2).filter(|pair| rises(pair)).count()
    }
}

impl Trials {
    /// Recordings with the word.
    pub fn with_word(&self) -> usize {
        self.0.iter().filter(|trial| trial.has_word).count()
    }

    /// The length of the recordings without it, in hours.
    pub fn hours_without(&self) -> f64 {
        let without = self.0.iter().filter(|trial| !trial.has_word);
        without.map(|trial| trial.audio.as_secs_f64()).sum::<f64>() / 3600.0
    }

    /// Recordings in which the word is said and not heard.
    pub fn false_rejects(&self, threshold: f32) -> usize {
        self.0.iter().filter(|trial| trial.has_word && trial.best() < threshold).count()
    }

    /// How often it is heard where nobody says it.
    pub fn false_accepts(&self, threshold: f32) -> usize {
        self.0.iter().filter(|trial| !trial.has_word).map(|trial| trial.detections(threshold)).sum()
    }
}

/// The least and the greatest threshold that is chosen: below, any speech wakes; above, a bad microphone never does.
const LEAST: f32 = 0.1;
const GREATEST: f32 = 0.95;

/// The threshold for a user's own recordings: as few words missed as possible while fewer than `most_accepts_per_hour` are heard
/// that nobody said; of equally good ones the middle. `None` without recordings of the word.
pub fn choose_threshold(trials: &Trials, most_accepts_per_hour: f64) -> Option<f32> {
    if trials.with_word() == 0 {
        return None;
    }
    let steps = || (0..=170).map(|i| LEAST + (GREATEST - LEAST) * i as f32 / 170.0);
    let hours = trials.hours_without();
    let rank = |threshold: f32| {
        let accepts = trials.false_accepts(threshold);
        // Without an hour of other sound, a single one counts as a fault.
        let excess = if accepts as f64 <= most_accepts_per_hour * hours { 0 } else { accepts };
        (excess, trials.false_rejects(threshold), accepts)
    };
    let best = steps().map(rank).min()?;
    let good: Vec<f32> = steps().filter(|threshold| rank(*threshold) == best).collect();
    good.get(good.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(has_word: bool, seconds: u64, scores: &[f32]) -> Trial {
        Trial { has_word, audio: Duration::from_secs(seconds), scores: scores.to_vec() }
    }

    #[test]
    fn rejects_and_accepts_are_counted_by_recordings_and_by_rises() {
        let trials = Trials(vec![
            trial(true, 2, &[0.0, 0.7, 0.8, 0.1]),
            trial(true, 2, &[0.0, 0.3]),
            trial(false, 1800, &[0.6, 0.7, 0.1, 0.9, 0.0, 0.4]),
            trial(false, 1800, &[]),
        ]);
        assert_eq!((trials.with_word(), trials.hours_without()), (2, 1.0));
        assert_eq!((trials.false_rejects(0.5), trials.false_accepts(0.5)), (1, 2));
        assert_eq!((trials.false_rejects(0.2), trials.false_accepts(0.95)), (0, 0));
    }

    #[test]
    fn the_threshold_lies_between_the_word_and_everything_else() {
        let trials = Trials(vec![trial(true, 2, &[0.5]), trial(true, 2, &[0.9]), trial(false, 600, &[0.0, 0.3, 0.0])]);
        let chosen = choose_threshold(&trials, 0.5).unwrap();
        assert!((0.35..0.45).contains(&chosen), "{chosen}");
        // One word is no louder than the noise: it is given up rather than to be woken by noise all day.
        let overlapping =
            Trials(vec![trial(true, 2, &[0.2]), trial(true, 2, &[0.9]), trial(false, 600, &[0.0, 0.6, 0.0])]);
        let chosen = choose_threshold(&overlapping, 0.5).unwrap();
        assert!((0.65..0.85).contains(&chosen), "{chosen}");
        assert_eq!(choose_threshold(&Trials::default(), 0.5), None);
    }
}
