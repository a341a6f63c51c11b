//! Times of words: from the attention of the decoder to the encoder's frames, aligned by dynamic time warping (whisper.cpp's DTW, after
//! OpenAI's `timing.py`), then bounded by where somebody speaks.

use super::{GgmlHeader, Segment};
use crate::audio::SampleRate;
use std::ops::Range;
use std::time::Duration;
use whisper_rs::{DtwMode, DtwModelPreset, DtwParameters, WhisperSegment};

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

/// The attention heads that follow the sound: those that OpenAI names for its models, else the upper half of the layers.
pub(super) fn alignment(header: &GgmlHeader) -> DtwParameters<'static> {
    let preset = match (header.n_audio_state, header.n_text_layer, header.is_multilingual()) {
        (384, 4, true) => Some(DtwModelPreset::Tiny),
        (384, 4, false) => Some(DtwModelPreset::TinyEn),
        (512, 6, true) => Some(DtwModelPreset::Base),
        (512, 6, false) => Some(DtwModelPreset::BaseEn),
        (768, 12, true) => Some(DtwModelPreset::Small),
        (768, 12, false) => Some(DtwModelPreset::SmallEn),
        (1_024, 24, true) => Some(DtwModelPreset::Medium),
        (1_024, 24, false) => Some(DtwModelPreset::MediumEn),
        _ => None,
    };
    let mode = match preset {
        Some(model_preset) => DtwMode::ModelPreset { model_preset },
        None => DtwMode::TopMost { n_top: (header.n_text_layer / 2).max(1) as i32 },
    };
    // Three copies of tokens x frames x heads floats: 360 * 1500 * 20 * 4 bytes each. Only what is used is touched.
    DtwParameters { mode, dtw_mem_size: 512 << 20 }
}

/// The words of a segment. Times: where the piece begins in the audio, the silence put before it, where the segment begins and ends.
pub(super) fn words(
    segment: &WhisperSegment<'_>,
    eot: i32,
    times: (Duration, Duration, Duration, Duration),
) -> Vec<Word> {
    let (offset, lead, start, end) = times;
    let mut found: Vec<(Duration, Vec<u8>)> = Vec::new();
    for token in (0..segment.n_tokens()).filter_map(|i| segment.get_token(i)) {
        let data = token.token_data();
        let Ok(text) = token.to_bytes() else { continue };
        if data.id >= eot {
            continue;
        }
        // Hundredths of a second; -1 where there is none. whisper.cpp's time of a token is where the attention leaves it: its end.
        let ends = Duration::from_millis(data.t_dtw.clamp(0, 360_000) as u64 * 10);
        let ends = offset + ends.saturating_sub(lead);
        match found.last_mut() {
            Some((word_ends, word)) if !text.starts_with(b" ") => {
                *word_ends = ends.max(*word_ends);
                word.extend_from_slice(text);
            }
            _ => found.push((ends, text.to_vec())),
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
