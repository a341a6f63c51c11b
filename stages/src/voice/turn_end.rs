//! When a turn is over: the silence to wait for in the pause under way, by the sound so far (Smart Turn) and by its words.

use crossbeam_channel::Receiver;
use nearfield_speech::turn::{Evidence, SmartTurn, TurnEndOptions, completeness};

use crate::flow::Turn;
use crate::flow::fault::Fault;

/// Decides how long a pause has to be, from evidence that comes bit by bit.
pub struct TurnEnd {
    options: TurnEndOptions,
    model: Option<SmartTurn>,
    /// The words of guesses, by their numbers.
    words: Option<Receiver<(Turn, String)>>,
    pause: Option<(Turn, Evidence)>,
    fault: Fault,
}

impl TurnEnd {
    /// By the sound where there is a `model`, by the words where they come.
    pub fn new(options: TurnEndOptions, model: Option<SmartTurn>, words: Option<Receiver<(Turn, String)>>) -> Self {
        Self { options, model, words, pause: None, fault: Fault::of("turn-end") }
    }

    /// The silence that ends a turn of which nothing is known, in milliseconds.
    pub fn longest_ms(&self) -> u32 {
        self.options.unsure_ms
    }

    /// The speaker pauses: `sound` is the turn so far, `guess` its number. Answers the silence to wait for, in milliseconds, where that
    /// is known already.
    pub fn paused(&mut self, guess: Turn, sound: &[f32]) -> Option<u32> {
        let injected = self.fault.step();
        let asked = self.model.as_mut().map(|model| model.probability(sound).map_err(anyhow::Error::from));
        let mut by_sound = match asked.transpose().and_then(|probability| injected.map(|()| probability)) {
            Ok(probability) => probability,
            Err(error) => {
                tracing::warn!(%error, "the end of turns is decided without Smart Turn from now on");
                self.model = None;
                None
            }
        };
        if self.fault.garbled().is_some() {
            by_sound = Some(f32::NAN);
        }
        let evidence = Evidence { sound: by_sound, words: None };
        self.pause = Some((guess, evidence));
        // Before the words are known there can be no answer, so nothing is lost by waiting for them.
        self.words.is_none().then(|| self.options.silence_ms(evidence))
    }

    /// The speaker goes on, or has finished.
    pub fn over(&mut self) {
        self.pause = None;
    }

    /// Looks whether the words of the pause under way have come; answers the silence to wait for, if so.
    pub fn look(&mut self) -> Option<u32> {
        let words = self.words.as_ref()?;
        let (guess, evidence) = self.pause.as_mut()?;
        let text = words.try_iter().filter(|(of, _)| of == guess).last().map(|(_, text)| text)?;
        evidence.words = Some(completeness(&text));
        let silence_ms = self.options.silence_ms(*evidence);
        tracing::debug!(text, sound = evidence.sound, words = evidence.words, silence_ms, "the speaker pauses");
        Some(silence_ms)
    }
}
