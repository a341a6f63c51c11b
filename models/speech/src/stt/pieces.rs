//! Where long sound is cut: in the pauses between utterances, and in quiet places where nobody pauses, so that memory stays bounded.

use std::ops::Range;

use crate::audio::SampleRate;
use crate::vad::{Earshot, EndpointOptions, Endpointer, SpeechEvent, VadError};

/// A piece of the sound for the model, and where in it somebody speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// What the model is given.
    pub sound: Range<usize>,
    /// From the first to the last speech; `None` where none was found, or where it was not looked for.
    pub speech: Option<Range<usize>>,
    /// Whether speech was looked for.
    pub is_searched: bool,
}

/// Sound of more than this is searched for speech.
const LONG: usize = 48_000; // 16 kHz * 3 s

/// Where somebody speaks, in sound of more than a few seconds.
pub(super) fn spoken(samples: &[f32]) -> Result<Option<Vec<Range<usize>>>, VadError> {
    if samples.len() <= LONG {
        return Ok(None);
    }
    let mut spoken = Vec::new();
    let mut note = |event| {
        if let SpeechEvent::Ended { start, last_speech_sample, .. } = event {
            spoken.push(start.0 as usize..last_speech_sample.0 as usize);
        }
    };
    let options = EndpointOptions { pause_ms: 0, quiet_db: 0, ..EndpointOptions::default() }; // no guesses, which are copies of the sound
    let mut endpointer = Endpointer::new(Box::new(Earshot::default()), options)?;
    for second in samples.chunks(SampleRate::SPEECH.0 as usize) {
        endpointer.push(second, &mut note)?; // which keeps what it is given until it is judged
    }
    endpointer.finish(&mut note);
    Ok(Some(spoken))
}

/// The pieces of at most `window` samples to transcribe: cut in every pause of at least `pause` samples, and without the silence around
/// the speech where that is long.
pub(super) fn plan(samples: &[f32], spoken: Option<&[Range<usize>]>, pause: usize, window: usize) -> Vec<Piece> {
    // Kept of a silence that is left out: quiet consonants, and the end of a word dying away.
    const BEFORE: usize = 4_800; // 16 kHz * 0.3 s
    const BEHIND: usize = 8_000; // 16 kHz * 0.5 s
    // The endpointer keeps 250 ms before what it notices; a first consonant has some 100.
    const SOONER: usize = 2_400; // 16 kHz * 0.15 s
    // Less silence than this stays, for it costs little.
    const WORTHWHILE: usize = 16_000; // 16 kHz * 1 s
    let speech = spoken.unwrap_or_default();
    let cuts = speech
        .windows(2)
        .filter(|pair| pair[1].start.saturating_sub(pair[0].end) >= pause)
        .map(|pair| usize::midpoint(pair[0].end, pair[1].start).min(samples.len()));
    let edges: Vec<usize> = std::iter::once(0).chain(cuts).chain([samples.len()]).collect();
    let mut plan = Vec::new();
    for edge in edges.windows(2) {
        let within = || speech.iter().filter(|s| s.end > edge[0] && s.start < edge[1]);
        let bounds = within()
            .next()
            .zip(within().next_back())
            .map(|(first, last)| first.start.max(edge[0])..last.end.min(edge[1]));
        let mut part = edge[0]..edge[1];
        if let Some(bounds) = bounds {
            if bounds.start.saturating_sub(part.start) > BEFORE + WORTHWHILE {
                part.start = bounds.start - BEFORE;
            }
            if part.end.saturating_sub(bounds.end) > BEHIND + WORTHWHILE {
                part.end = bounds.end + BEHIND;
            }
        }
        for sound in pieces(samples, part, window) {
            let first = speech.iter().find(|s| s.end > sound.start && s.start < sound.end);
            let last = speech.iter().rfind(|s| s.end > sound.start && s.start < sound.end);
            let speech = first.zip(last).map(|(first, last)| {
                let end = last.end.min(sound.end);
                // Sound cut off before it, it begins with the piece.
                let start = if first.start <= sound.start { sound.start } else { first.start + SOONER };
                start.min(end)..end
            });
            plan.push(Piece { sound, speech, is_searched: spoken.is_some() });
        }
    }
    plan
}

/// Cuts a part of the sound into pieces of at most `window` samples, each in the quietest tenth of a second of the window's
/// last third.
fn pieces(samples: &[f32], part: Range<usize>, window: usize) -> Vec<Range<usize>> {
    const QUIET: usize = 1_600; // 16 kHz * 0.1 s
    let mut pieces = Vec::new();
    let mut start = part.start;
    while part.end - start > window {
        let earliest = start + window * 2 / 3;
        let energy = |at: usize| samples[at..at + QUIET].iter().map(|s| f64::from(s * s)).sum::<f64>();
        let quietest = (earliest..=start + window - QUIET)
            .step_by(QUIET / 4)
            .min_by(|&a, &b| energy(a).total_cmp(&energy(b)))
            .unwrap_or(earliest);
        let cut = quietest + QUIET / 2;
        pieces.push(start..cut);
        start = cut;
    }
    pieces.push(start..part.end);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sound_is_cut_in_its_pauses_and_nothing_is_lost() {
        // Speech-like noise with a pause of 0.2 s at 22 s, in a window of 28 s.
        let mut samples: Vec<f32> = (0..60 * 16_000).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
        samples[22 * 16_000..22 * 16_000 + 3_200].fill(0.0);
        let pieces = pieces(&samples, 0..samples.len(), 28 * 16_000);
        assert_eq!(pieces[0].start, 0);
        assert!((22 * 16_000..22 * 16_000 + 3_200).contains(&pieces[0].end), "{pieces:?}");
        assert!(pieces.windows(2).all(|p| p[0].end == p[1].start), "{pieces:?}");
        assert!(pieces.iter().all(|p| p.len() <= 28 * 16_000), "{pieces:?}");
        assert_eq!(pieces.last().unwrap().end, samples.len());
    }

    #[test]
    fn long_silence_is_left_out_and_pauses_are_cut() {
        let second = 16_000;
        let samples = vec![0.1; 60 * second];
        // Speech from 20 s to 24 s (with a short pause) and from 31 s to 32 s.
        let speech = [20 * second..22 * second, 22 * second + 9_000..24 * second, 31 * second..32 * second];
        let plan = plan(&samples, Some(&speech), 2 * second, 28 * second);
        let bounds: Vec<(usize, usize)> = plan.iter().map(|p| (p.sound.start, p.sound.end)).collect();
        assert_eq!(bounds, [(20 * second - 4_800, 24 * second + 8_000), (31 * second - 4_800, 32 * second + 8_000)]);
        assert_eq!(plan[0].speech, Some(20 * second + 2_400..24 * second));
        assert_eq!(plan[1].speech, Some(31 * second + 2_400..32 * second));
    }

    #[test]
    fn sound_in_which_nobody_was_found_is_kept_whole() {
        let plan = plan(&[0.1; 50_000], Some(&[]), 32_000, 100_000);
        assert_eq!(plan, [Piece { sound: 0..50_000, speech: None, is_searched: true }]);
    }

    #[test]
    fn sound_within_the_window_stays_whole() {
        assert_eq!(pieces(&[0.0; 1000], 0..1000, 1000), vec![0..1000]);
    }
}
