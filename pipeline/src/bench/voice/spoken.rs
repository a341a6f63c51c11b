//! Questions and sentences for `bench voice`, spoken by whatever voices there are: espeak-ng's, and the configured one at other rates
//! than the answers'. The same on each run, but for voices that are random themselves.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nearfield_speech::audio::{Clip, SampleRate, resample};
use nearfield_speech::tts::{Engine, TtsOptions, Voice, open_voice};

use crate::config::VoiceConfig;
use crate::hub::registry::Registry;
use crate::load::voice::load_voice;

/// Silence, or noise, behind each sentence.
const TAIL: Duration = Duration::from_secs(2);

/// Noise before a sentence: a room is noisy before somebody speaks in it.
const NOISE_BEFORE: Duration = Duration::from_secs(1);

const SENTENCES: &str = include_str!("sentences.txt");

/// A sentence as it is spoken.
pub struct Spoken {
    /// The words.
    pub text: String,
    /// Who spoke, and how.
    pub voice: String,
    /// `[n_samples]`, 16 kHz, in [-1, 1], with two seconds of silence or noise behind, and with a second of noise before.
    pub samples: Arc<[f32]>,
    /// Where the last sample of speech is.
    pub speech_end: usize,
    /// Whether it is one of those by which weights were chosen.
    pub is_for_tuning: bool,
}

/// The voices that can be had here, each with its name.
pub struct Speakers(Vec<(String, Box<dyn Voice>)>);

impl Speakers {
    /// espeak-ng in four voices, the configured voice at two rates.
    ///
    /// # Errors
    /// There is none at all.
    pub fn open(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Self> {
        let mut voices: Vec<(String, Box<dyn Voice>)> = Vec::new();
        for (name, words_per_minute) in [("en-us", 160), ("en-gb+f3", 185), ("en-us+m3", 200), ("en-gb-x-rp+f2", 150)] {
            let options = TtsOptions {
                engine: Engine::EspeakNg,
                voice: Some(name.to_owned()),
                words_per_minute,
                ..TtsOptions::default()
            };
            if let Ok(voice) = open_voice(&options) {
                voices.push((format!("espeak-ng {name} at {words_per_minute}"), voice));
            }
        }
        if config.tts.engine == Engine::Piper {
            for words_per_minute in [150, 200] {
                let mut config = config.clone();
                config.tts.words_per_minute = words_per_minute;
                let voice = load_voice(&config, registry)?;
                // Two Piper voices for each one of espeak-ng's: they are nearer to people.
                voices.insert(0, (format!("{} at {words_per_minute}", voice.name()), voice));
            }
        }
        anyhow::ensure!(
            !voices.is_empty(),
            "no voice asks the questions: install espeak-ng, or name recordings with --input"
        );
        Ok(Self(voices))
    }

    /// The questions, each in one voice, every third with noise.
    ///
    /// # Errors
    /// A voice fails.
    pub fn questions(&mut self) -> anyhow::Result<Vec<Spoken>> {
        let lines = SENTENCES.lines().filter_map(|line| line.strip_prefix("? "));
        lines.enumerate().map(|(i, text)| self.speak(i, i % self.0.len(), &[text], i % 3 == 2)).collect()
    }

    /// `n` sentences with pauses of 0.3 to 1.5 s within, in all voices in turn, every fourth with noise.
    ///
    /// # Errors
    /// A voice fails.
    pub fn sentences(&mut self, n: usize) -> anyhow::Result<Vec<Spoken>> {
        let lines: Vec<&str> = SENTENCES.lines().filter_map(|line| line.strip_prefix("| ")).collect();
        (0..n)
            .map(|i| {
                let parts: Vec<&str> = lines[i % lines.len()].split('|').map(str::trim).collect();
                // Each sentence comes in another voice each time.
                let voice = (i + i / lines.len()) % self.0.len();
                self.speak(i, voice, &parts, i % 4 == 3)
            })
            .collect()
    }

    fn speak(&mut self, number: usize, voice: usize, parts: &[&str], is_noisy: bool) -> anyhow::Result<Spoken> {
        let (name, voice) = &mut self.0[voice];
        let mut random = Random(0x9e37_79b9 ^ (number as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut samples = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            // A voice that reads a part on its own would end it like a sentence.
            let goes_on = i + 1 < parts.len() && !part.ends_with([',', ':']);
            let text = if goes_on { format!("{part},") } else { (*part).to_owned() };
            let part = sound(voice.as_mut(), &text).with_context(|| name.clone())?;
            if i > 0 {
                let pause = 300 + random.next() % 1201;
                samples.resize(samples.len() + 16 * pause as usize, 0.0); // 16 samples a millisecond
            }
            samples.extend(part);
        }
        let mut voice = name.clone();
        let loudness = (samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt();
        if is_noisy {
            samples.splice(0..0, std::iter::repeat_n(0.0, SampleRate::SPEECH.samples_in(NOISE_BEFORE)));
        }
        let speech_end = samples.len().saturating_sub(1);
        samples.resize(samples.len() + SampleRate::SPEECH.samples_in(TAIL), 0.0);
        if is_noisy {
            voice.push_str(" with noise");
            let mut low = 0.0;
            for sample in &mut samples {
                let white = (random.next() % 2001) as f32 / 1000.0 - 1.0;
                low = 0.7 * low + 0.3 * white;
                *sample = (*sample + 0.3 * low * loudness).clamp(-1.0, 1.0); // some 20 dB below the speech
            }
        }
        let is_for_tuning = number.is_multiple_of(2);
        Ok(Spoken { text: parts.join(" "), voice, samples: samples.into(), speech_end, is_for_tuning })
    }
}

/// What a voice makes of a text at 16 kHz, from the first audible sample to the last.
fn sound(voice: &mut dyn Voice, text: &str) -> anyhow::Result<Vec<f32>> {
    let mut samples = Vec::new();
    voice.speak(text, &mut |block| {
        samples.extend_from_slice(block);
        ControlFlow::Continue(())
    })?;
    let clip = resample(&Clip::new(voice.sample_rate(), samples), SampleRate::SPEECH)?;
    let (first, last) = audible(&clip.samples).context("the voice made no sound")?;
    Ok(clip.samples[first..=last].to_vec())
}

/// The first and the last sample that is heard: above a hundredth (-40 dB) of the loudest.
pub fn audible(samples: &[f32]) -> Option<(usize, usize)> {
    let loudest = samples.iter().fold(0f32, |loudest, s| loudest.max(s.abs()));
    let is_heard = |s: &f32| s.abs() > loudest / 100.0;
    Some((samples.iter().position(is_heard)?, samples.iter().rposition(is_heard)?))
}

/// Numbers that are the same on each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_questions_and_sentences_enough() {
        let questions = SENTENCES.lines().filter(|line| line.starts_with("? ")).count();
        let sentences: Vec<&str> = SENTENCES.lines().filter_map(|line| line.strip_prefix("| ")).collect();
        assert!(questions >= 24, "{questions}");
        assert!(sentences.len() >= 50 && sentences.iter().all(|line| line.contains('|')), "{}", sentences.len());
    }

    #[test]
    fn what_is_audible_begins_and_ends_with_sound() {
        assert_eq!(audible(&[0.0, 0.001, 0.5, -0.2, 0.006, 0.0]), Some((2, 4)));
        assert_eq!(audible(&[0.0; 4]), None);
    }
}
