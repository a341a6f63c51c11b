//! Speech to text and text to speech for whoever asks, one after the other: a second one at a time would only take the cores from the
//! first. What the configuration names is loaded once; one other setting (a language, a speed) is kept beside it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use nearfield_speech::audio::{ClipReader, Resampler, SampleRate};
use nearfield_speech::stt::{SpeechToText, Transcription};
use nearfield_speech::tts::Voice;
use nearfield_stages::flow::{Stage, Turns, panics};
use nearfield_stages::messages::{Envelope, Speech as Sound};
use nearfield_stages::voice::speak::Speak;

use super::failure::Failure;
use super::hosted::Shared;
use crate::commands::say::clauses;
use crate::config::{SttConfig, TtsConfig, VoiceConfig};
use crate::load::voice::{load_stt_with, load_voice};
use crate::recordings::speech_of;

/// Words a minute that voices can speak.
const WORDS_PER_MINUTE: std::ops::RangeInclusive<f32> = 80.0..=450.0;

/// How a recording is transcribed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hearing {
    /// The language spoken; `None`: as configured.
    pub language: Option<String>,
    /// Into English.
    pub translate: bool,
    /// With the times of words.
    pub words: bool,
}

/// The recognizer and the voice.
pub struct Speech {
    config: VoiceConfig,
    shared: Arc<Shared>,
    /// Why there is no recognizer, or what there is of it.
    stt: Result<Mutex<Vec<(SttConfig, SpeechToText)>>, String>,
    tts: Result<Mutex<Vec<(TtsConfig, Speak)>>, String>,
    /// What the voice is called, and its rate.
    pub voice: (String, SampleRate),
    /// Whether the recognizer knows more than English.
    pub is_multilingual: bool,
}

/// What a default that is not to be had comes to: said at the start, and told to whoever asks for it. What was configured must be
/// there.
fn optional<T>(loaded: anyhow::Result<T>, is_default: bool) -> anyhow::Result<Result<T, String>> {
    match loaded {
        Err(error) if is_default => {
            tracing::warn!("{error:#}");
            Ok(Err(format!("{error:#}")))
        }
        loaded => loaded.map(Ok),
    }
}

/// Where in `all` that with these settings is; it is loaded in the place of the other that is not as configured, if it has to be.
fn kept<C: Clone + PartialEq, T>(
    all: &mut Vec<(C, T)>,
    settings: &C,
    load: impl FnOnce() -> anyhow::Result<T>,
) -> Result<usize, Failure> {
    if let Some(at) = all.iter().position(|(known, _)| known == settings) {
        return Ok(at);
    }
    let loaded = load().map_err(|error| Failure::wrong(format!("{error:#}")))?;
    all.truncate(1);
    all.push((settings.clone(), loaded));
    Ok(all.len() - 1)
}

impl Speech {
    /// Loads what `config` names.
    ///
    /// # Errors
    /// It was changed by the user, and can't be loaded.
    pub fn load(config: VoiceConfig, shared: Arc<Shared>) -> anyhow::Result<Self> {
        let (registry, models) = (&shared.registry, Some(&shared.models));
        let stt = optional(load_stt_with(&config, registry, models), config.stt == SttConfig::default())?;
        let is_multilingual = stt.as_ref().is_ok_and(SpeechToText::is_multilingual);
        let voice: Result<Box<dyn Voice>, String> =
            optional(load_voice(&config, registry), config.tts == TtsConfig::default())?;
        let named = match &voice {
            Ok(voice) => (voice.name().to_owned(), voice.sample_rate()),
            Err(_) => (String::new(), SampleRate::SPEECH),
        };
        let stt = stt.map(|stt| Mutex::new(vec![(config.stt.clone(), stt)]));
        let tts = voice.map(|voice| Mutex::new(vec![(config.tts.clone(), Speak::new(voice))]));
        Ok(Self { stt, tts, voice: named, is_multilingual, shared, config })
    }

    /// What it was loaded with.
    pub fn config(&self) -> &VoiceConfig {
        &self.config
    }

    /// Whether there is a recognizer, and whether there is a voice.
    pub fn has(&self) -> (bool, bool) {
        (self.stt.is_ok(), self.tts.is_ok())
    }

    /// Sound in a file's form, as the recognizer takes it.
    ///
    /// # Errors
    /// It is none that can be read.
    pub fn read(sound: Bytes, name: &str) -> Result<Vec<f32>, Failure> {
        let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
        let read = panics::catch("the reader of sound", || {
            let reader = ClipReader::from_bytes(sound, if name.is_empty() { "file" } else { &name })?;
            speech_of(reader)
        });
        read.map_err(Failure::broken)?.map_err(|error| Failure::of("file", format!("{error:#}")))
    }

    /// Transcribes speech of 16 kHz, until `turns` silence their first turn.
    ///
    /// # Errors
    /// There is no recognizer, it can't do that, or it failed.
    pub fn transcribe(&self, samples: &[f32], how: &Hearing, turns: &Turns) -> Result<Transcription, Failure> {
        let all = self.stt.as_ref().map_err(|why| Failure::busy(format!("there is no recognizer: {why}")))?;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut config = self.config.clone();
        let options = &mut config.stt.options;
        options.language = how.language.clone().or(options.language.take());
        (options.translate, options.word_timestamps) = (options.translate || how.translate, how.words);
        if !self.is_multilingual {
            if options.translate {
                return Err(Failure::wrong("the recognizer knows English only and translates nothing"));
            }
            if options.language.as_ref().is_some_and(|language| language != "en") {
                return Err(Failure::of("language", "the recognizer knows English only"));
            }
            options.language.clone_from(&self.config.stt.options.language);
        }
        let at =
            kept(&mut all, &config.stt, || load_stt_with(&config, &self.shared.registry, Some(&self.shared.models)))?;
        let cancel = turns.cancel_of(nearfield_stages::flow::Turn(1));
        let heard = panics::catch("the recognizer", || all[at].1.transcribe(samples, &mut || cancel.check()));
        match heard {
            Ok(heard) => Ok(heard?),
            Err(panicked) => {
                all.remove(at); // What a panic has left of it is not used again.
                Err(Failure::broken(panicked))
            }
        }
    }

    /// The rate of the sound that [`speak`](Self::speak) makes.
    pub fn rate(&self) -> SampleRate {
        self.voice.1
    }

    /// Speaks: `sink` gets blocks of samples as they are made. `speed`: 1 is the configured one. `rate`: that of the samples.
    ///
    /// # Errors
    /// There is no voice, or it failed.
    pub fn speak(
        &self,
        text: &str,
        speed: f32,
        rate: SampleRate,
        sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let all = self.tts.as_ref().map_err(|why| Failure::busy(format!("there is no voice: {why}")))?;
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut config = self.config.clone();
        let words = config.tts.words_per_minute as f32 * speed;
        config.tts.words_per_minute = words.clamp(*WORDS_PER_MINUTE.start(), *WORDS_PER_MINUTE.end()) as u32;
        let at = kept(&mut all, &config.tts, || load_voice(&config, &self.shared.registry).map(Speak::new))?;
        let spoken = panics::catch("the voice", || spoken(&mut all[at].1, text, rate, sink));
        match spoken {
            Ok(spoken) => spoken.map_err(|error| Failure::broken(format!("{error:#}"))),
            Err(panicked) => {
                all.remove(at);
                Err(Failure::broken(panicked))
            }
        }
    }
}

fn spoken(
    speak: &mut Speak,
    text: &str,
    due: SampleRate,
    sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let turns = Turns::default();
    let mut resampler: Option<Resampler> = None;
    for clause in clauses(turns.begin(), text.to_owned())? {
        let (mut go_on, mut failed) = (ControlFlow::Continue(()), Ok(()));
        speak.take(clause, &mut |sound: Envelope<Sound>| {
            let Sound::Samples { rate, samples } = &sound.body else { return go_on };
            if *rate == due {
                go_on = sink(samples);
                return go_on;
            }
            if resampler.is_none() {
                match Resampler::new(*rate, due) {
                    Ok(made) => resampler = Some(made),
                    Err(error) => failed = Err(error),
                }
            }
            if let Some(resampler) = &mut resampler {
                resampler.push(samples, &mut |block| {
                    if go_on.is_continue() {
                        go_on = sink(block)
                    }
                });
            }
            if failed.is_err() { ControlFlow::Break(()) } else { go_on }
        })?;
        failed?;
        if go_on.is_break() {
            return Ok(());
        }
    }
    if let Some(resampler) = &mut resampler {
        let mut go_on = ControlFlow::Continue(());
        resampler.finish(&mut |block| {
            if go_on.is_continue() {
                go_on = sink(block)
            }
        });
    }
    Ok(())
}
