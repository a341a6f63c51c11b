//! Suppresses text that nobody said.
//!
//! Whisper models hallucinate text on silence and noise. Four signs: there was no sound, the model's own probability of no speech is
//! high, the words are unlikely, or they loop. The first three follow OpenAI's reference
//! implementation (`transcribe.py`); the last stands in for its compression ratio.

use super::{Segment, SttOptions};
use std::collections::HashSet;
use std::fmt;

/// Why text was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suppression {
    /// There was no sound, or too little for a word.
    Silence,
    /// There was sound, but nobody spoke.
    NoSpeech,
    /// The words are unlikely.
    LowConfidence,
    /// The words loop.
    Repetition,
}

impl Suppression {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Suppression::Silence => "silence",
            Suppression::NoSpeech => "no_speech",
            Suppression::LowConfidence => "low_confidence",
            Suppression::Repetition => "repetition",
        }
    }
}

impl fmt::Display for Suppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No sound: below -80 dBFS, under the noise of any microphone, so the model need not run.
pub(super) fn is_silent(samples: &[f32]) -> bool {
    const FLOOR: f64 = 1e-4; // 10^(-80 / 20)
    let energy: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    energy < FLOOR * FLOOR * samples.len() as f64
}

/// Keeps the segments that are speech. `is_doubted`: voice activity detection found nobody speaking.
pub(super) fn judge(
    segments: Vec<Segment>,
    options: &SttOptions,
    is_doubted: bool,
) -> Result<Vec<Segment>, Suppression> {
    let mut reason = Suppression::NoSpeech;
    let kept: Vec<Segment> = segments
        .into_iter()
        .filter(|segment| match suppression(segment, options) {
            None if is_doubted && !outweighs_doubt(segment) => false,
            None => true,
            Some(found) => {
                reason = found;
                false
            }
        })
        .collect();
    if kept.is_empty() { Err(reason) } else { Ok(kept) }
}

/// Words that the model is sure of, and sure that somebody says them. What it makes up on music is neither.
fn outweighs_doubt(segment: &Segment) -> bool {
    segment.average_log_probability > -0.4 && segment.no_speech_probability.is_none_or(|p| p < 0.3)
}

/// Whether all of a text, or three words or more of it, come twice one right after the other.
pub(super) fn says_twice(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    (1..=words.len() / 2).any(|n| {
        let is_twice = |pair: &[String]| pair[..n] == pair[n..];
        if n < 3 { words.len() == 2 * n && is_twice(&words) } else { words.windows(2 * n).any(is_twice) }
    })
}

/// Unlikely or a loop, although somebody speaks.
pub(super) fn deserves_another_try(segment: &Segment, options: &SttOptions) -> bool {
    suppression(segment, options) != Some(Suppression::NoSpeech)
        && (segment.average_log_probability < options.logprob_threshold || repeats_itself(&segment.text))
}

fn suppression(segment: &Segment, options: &SttOptions) -> Option<Suppression> {
    let unlikely = segment.average_log_probability < options.logprob_threshold;
    if is_no_word(&segment.text)
        || (segment.no_speech_probability.is_some_and(|p| p > options.no_speech_threshold) && unlikely)
    {
        Some(Suppression::NoSpeech)
    } else if repeats_itself(&segment.text) {
        Some(Suppression::Repetition)
    } else if segment.average_log_probability < options.logprob_floor {
        Some(Suppression::LowConfidence)
    } else {
        None
    }
}

/// Only punctuation, or a remark on the audio such as `[BLANK_AUDIO]`, `(music)` or `*sighs*`.
fn is_no_word(text: &str) -> bool {
    let text = text.trim();
    let remark = [('[', ']'), ('(', ')'), ('*', '*')].iter().any(|&(open, close)| {
        text.len() > 1 && text.starts_with(open) && text.ends_with(close) && !text[1..text.len() - 1].contains(close)
    });
    remark || !text.chars().any(char::is_alphanumeric)
}

/// Fewer than a third of the runs of three words are different ones. People repeat themselves less than that: "no, no,
/// no" is too short to be judged, a chorus has lines in between.
fn repeats_itself(text: &str) -> bool {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
        .collect();
    if words.len() >= 12 {
        return few_distinct(words.windows(3));
    }
    // One endless "word": the same by characters.
    let chars: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    chars.len() >= 40 && few_distinct(chars.windows(4))
}

fn few_distinct<T: std::hash::Hash + Eq>(runs: impl ExactSizeIterator<Item = T>) -> bool {
    let n = runs.len();
    runs.collect::<HashSet<_>>().len() * 3 < n
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn segment(text: &str, no_speech: f32, average_log_probability: f32) -> Segment {
        Segment {
            start: Duration::ZERO,
            end: Duration::from_secs(1),
            text: text.to_string(),
            no_speech_probability: Some(no_speech),
            average_log_probability,
            words: Vec::new(),
        }
    }

    fn verdict(text: &str, no_speech: f32, logprob: f32) -> Option<Suppression> {
        judge(vec![segment(text, no_speech, logprob)], &SttOptions::default(), false).err()
    }

    #[test]
    fn a_likely_sentence_is_kept_even_if_the_model_doubts_that_anybody_spoke() {
        assert_eq!(verdict("Turn on the light.", 0.9, -0.3), None);
    }

    #[test]
    fn unlikely_words_in_what_the_model_takes_for_no_speech_are_dropped() {
        assert_eq!(verdict("Thank you.", 0.7, -1.2), Some(Suppression::NoSpeech));
    }

    #[test]
    fn words_below_the_floor_are_dropped_as_a_guess() {
        assert_eq!(verdict("Purple monkey.", 0.1, -2.0), Some(Suppression::LowConfidence));
    }

    #[test]
    fn where_nobody_was_found_speaking_only_sure_words_are_kept() {
        let doubted = |no_speech, logprob| {
            judge(vec![segment("Thank you.", no_speech, logprob)], &SttOptions::default(), true).err()
        };
        assert_eq!(doubted(0.6, -0.3), Some(Suppression::NoSpeech));
        assert_eq!(doubted(0.1, -0.6), Some(Suppression::NoSpeech));
        assert_eq!(doubted(0.1, -0.2), None);
    }

    #[test]
    fn loops_are_dropped_but_emphasis_is_kept() {
        assert_eq!(verdict(&"the light ".repeat(12), 0.0, -0.1), Some(Suppression::Repetition));
        assert_eq!(verdict(&"ha".repeat(40), 0.0, -0.1), Some(Suppression::Repetition));
        assert_eq!(verdict("No, no, no, no, not that one.", 0.0, -0.1), None);
        assert_eq!(
            verdict("What is the temperature in the kitchen and what is the temperature in the hall?", 0.0, -0.1),
            None
        );
    }

    #[test]
    fn a_sentence_that_comes_twice_is_noticed_and_words_that_come_again_later_are_not() {
        for twice in [
            "Play some music. Play some music.",
            "Stop. Stop",
            "So how do I reset the router? How do I reset the router?",
            "Wake me up at six on Monday. Wake me up at six on Monday.",
        ] {
            assert!(says_twice(twice), "{twice}");
        }
        for once in
            ["", "Stop.", "No, no, not that one.", "Is it warmer in the hall than in the loft?", "very, very warm"]
        {
            assert!(!says_twice(once), "{once}");
        }
    }

    #[test]
    fn remarks_on_the_sound_are_no_words() {
        for remark in ["[BLANK_AUDIO]", "(music)", "*sighs*", "...", "- ", ""] {
            assert_eq!(verdict(remark, 0.0, -0.1), Some(Suppression::NoSpeech), "{remark}");
        }
        assert_eq!(verdict("(two) and (three)", 0.0, -0.1), None);
    }

    #[test]
    fn the_quietest_microphone_is_not_silence_but_digital_silence_is() {
        assert!(is_silent(&[0.0; 100]));
        assert!(is_silent(&[3e-5; 100]));
        assert!(!is_silent(&[3e-4; 100]));
    }
}
