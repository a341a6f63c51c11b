//! Wake words for Wyoming's `detect`: the words that the configuration names, heard in a stream of sound. Each connection that listens has
//! a model of its own, since the sound so far is in it.

use std::sync::Arc;
use std::time::Duration;

use nearfield_speech::audio::{Resampler, SampleRate};
use nearfield_speech::vad::Earshot;
use nearfield_speech::wake::WakeSpotter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;
use crate::hub::registry::Registry;
use crate::load::wake::open_words;

/// Connections that may listen at a time: 2 % of a core and some 20 MB each.
const LISTENING: usize = 8;

/// The words that clients may listen for.
pub(super) struct Wake {
    words: Vec<String>,
    threshold: f32,
    registry: Registry,
    places: Arc<Semaphore>,
}

impl Wake {
    /// Tries the words once.
    ///
    /// # Errors
    /// A word is unknown, not there, or broken.
    pub(super) fn load(words: &[String], threshold: f32, registry: &Registry) -> anyhow::Result<Self> {
        if !words.is_empty() {
            open_words(&words.iter().map(String::as_str).collect::<Vec<_>>(), registry)?;
        }
        let places = Arc::new(Semaphore::new(LISTENING));
        Ok(Self { words: words.to_vec(), threshold, registry: registry.clone(), places })
    }

    /// The words.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// Begins to listen for these words, or for all where none is named.
    ///
    /// # Errors
    /// None of them is known, too many listen already, or the model can't be loaded.
    pub(super) fn listen(&self, names: &[String]) -> Result<Ear, Failure> {
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| Failure::busy("too many connections listen for wake words"))?;
        let is_meant = |word: &&String| names.is_empty() || names.iter().any(|name| plain(name) == plain(word));
        let words: Vec<String> = self.words.iter().filter(is_meant).cloned().collect();
        if words.is_empty() {
            return Err(Failure::wrong(match self.words.is_empty() {
                true => "no wake word is loaded: name some in server.wake".to_owned(),
                false => format!("no such wake word; known: {}", self.words.join(", ")),
            }));
        }
        let names: Vec<&str> = words.iter().map(String::as_str).collect();
        let model = open_words(&names, &self.registry).map_err(|error| Failure::wrong(format!("{error:#}")))?;
        let thresholds = vec![self.threshold; words.len()];
        let spotter = WakeSpotter::new(Box::new(model), thresholds, Some(Box::new(Earshot::default())));
        Ok(Ear { spotter, words, resampler: None, _place: place })
    }
}

/// `hey jarvis`, `hey_jarvis` and `Hey-Jarvis` are one word.
fn plain(word: &str) -> String {
    word.to_lowercase().replace([' ', '-'], "_")
}

/// Listens on one connection.
pub(super) struct Ear {
    spotter: WakeSpotter,
    words: Vec<String>,
    resampler: Option<(SampleRate, Resampler)>,
    _place: OwnedSemaphorePermit,
}

impl Ear {
    /// Takes the next sound, mono; answers a word that was said, and when, counted from the beginning.
    ///
    /// # Errors
    /// The rate is none, or the model fails.
    pub(super) fn hear(&mut self, rate: SampleRate, samples: &[f32]) -> anyhow::Result<Option<(String, Duration)>> {
        let resampler = match &mut self.resampler {
            Some((from, resampler)) if *from == rate => resampler,
            slot => &mut slot.insert((rate, Resampler::new(rate, SampleRate::SPEECH)?)).1,
        };
        let mut sound = Vec::new();
        resampler.push(samples, &mut |samples| sound.extend_from_slice(samples));
        let mut found = None;
        self.spotter.push(&sound, &mut |_, _| {}, &mut |detection| found = found.or(Some(detection)))?;
        Ok(found.map(|found| {
            let at = SampleRate::SPEECH.duration_of(found.at.0 as usize);
            (self.words[found.word].clone(), at)
        }))
    }
}
