//! Where long sound is cut: in the pauses between utterances, and in quiet places where nobody pauses, so that memory stays bounded.

use std::ops::Range;

use crate::audio::SampleRate;
use crate::vad::{Earshot, EndpointOptions, Endpointer, SpeechEvent, VadError};

/// Where to cut sound of more than a few seconds: its beginning, the middle of each pause between utterances, its end.
pub(super) fn pauses(samples: &[f32]) -> Result<Vec<usize>, VadError> {
    const LONG: usize = 48_000; // 16 kHz * 3 s
    if samples.len() <= LONG {
        return Ok(vec![0, samples.len()]);
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
    let cuts = spoken.windows(2).map(|pair| usize::midpoint(pair[0].end, pair[1].start).min(samples.len()));
    Ok(std::iter::once(0).chain(cuts).chain([samples.len()]).collect())
}

/// Cuts a part of the sound into pieces of at most `window` samples, each in the quietest tenth of a second of the window's
/// last third.
pub(super) fn pieces(samples: &[f32], part: Range<usize>, window: usize) -> Vec<Range<usize>> {
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
    fn sound_within_the_window_stays_whole() {
        assert_eq!(pieces(&[0.0; 1000], 0..1000, 1000), vec![0..1000]);
    }
}
