//! Times of words: from the attention of the decoder to the encoder's frames, aligned by dynamic time warping (whisper.cpp's DTW, after
//! OpenAI's `timing.py`), then bounded by where somebody speaks.

use super::Segment;
use crate::audio::SampleRate;
use std::ops::Range;
use std::time::Duration;

/// A word and its time in the audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it begins.
    pub start: Duration,
    /// Where it ends.
    pub end: Duration,
    /// The word with its punctuation.
    pub text: String,
}

/// A token, and where the attention leaves it, in hundredths of a second: its end. -1 where there is no time.
pub(super) struct TimedToken {
    pub(super) text: Vec<u8>,
    pub(super) ends: i64,
}

/// The words of a segment. Times: where the piece begins in the audio, the silence put before it, where the segment begins and ends.
pub(super) fn words(tokens: Vec<TimedToken>, times: (Duration, Duration, Duration, Duration)) -> Vec<Word> {
    let (offset, lead, start, end) = times;
    let mut found: Vec<(Duration, Vec<u8>)> = Vec::new();
    for TimedToken { text, ends } in tokens {
        let ends = Duration::from_millis(ends.clamp(0, 360_000) as u64 * 10);
        let ends = offset + ends.saturating_sub(lead);
        match found.last_mut() {
            Some((word_ends, word)) if !text.starts_with(b" ") => {
                *word_ends = ends.max(*word_ends);
                word.extend_from_slice(&text);
            }
            _ => found.push((ends, text)),
        }
    }
    let n = found.len();
    let mut begins = start;
    let words = found.into_iter().enumerate().map(|(i, (ends, text))| {
        let ends = if i + 1 == n { end } else { ends.min(end) }.max(begins);
        let word = Word { start: begins, end: ends, text: String::from_utf8_lossy(&text).trim().to_string() };
        begins = ends;
        word
    });
    words.filter(|word| !word.text.is_empty()).collect()
}

/// Lets words begin and end where somebody speaks: a word does not last through the pause behind it.
pub(super) fn bound(segments: &mut [Segment], speech: &[Range<usize>]) {
    let rate = SampleRate::SPEECH;
    for word in segments.iter_mut().flat_map(|segment| &mut segment.words) {
        let spoken = speech.iter().map(|s| (rate.duration_of(s.start), rate.duration_of(s.end)));
        for (start, end) in spoken {
            // It begins within this speech and ends in the silence behind it.
            if word.start >= start && word.start < end && word.end > end {
                word.end = end;
            }
            // It begins in the silence before this speech.
            if word.start < start
                && word.end > start
                && !speech.iter().any(|s| {
                    let (from, until) = (rate.duration_of(s.start), rate.duration_of(s.end));
                    (from..until).contains(&word.start)
                })
            {
                word.start = start;
            }
        }
    }
}
