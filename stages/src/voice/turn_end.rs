//! When a turn is over: the silence to wait for in the pause under way, by the sound so far (Smart Turn) and by its words.

use crossbeam_channel::Receiver;
use nearfield_speech::turn::{Evidence, SmartTurn, TurnEndOptions, WHOLE, completeness};

use crate::flow::Turn;
use crate::flow::fault::Fault;

/// Whether a text is a command that is whole as it stands.
type WholeCommand = Box<dyn FnMut(&str) -> bool + Send>;

/// Decides how long a pause has to be, from evidence that comes bit by bit.
pub struct TurnEnd {
    options: TurnEndOptions,
    model: Option<SmartTurn>,
    /// The words of guesses, by their numbers.
    words: Option<Receiver<(Turn, String)>>,
    is_whole: Option<WholeCommand>,
    pause: Option<Pause>,
    fault: Fault,
}

/// What is known of a pause once its words are.
pub struct Looked {
    /// The silence to wait for, in milliseconds.
    pub silence_ms: u32,
    /// The words.
    pub text: String,
}

/// The pause under way.
struct Pause {
    guess: Turn,
    /// The turn so far, as long as it may still be listened to.
    sound: Vec<f32>,
}

impl TurnEnd {
    /// By the sound where there is a `model`, by the words where they come.
    pub fn new(options: TurnEndOptions, model: Option<SmartTurn>, words: Option<Receiver<(Turn, String)>>) -> Self {
        Self { options, model, words, is_whole: None, pause: None, fault: Fault::of("turn-end") }
    }

    /// With a judge of commands that are whole as they stand.
    pub fn knowing(self, is_whole: impl FnMut(&str) -> bool + Send + 'static) -> Self {
        Self { is_whole: Some(Box::new(is_whole)), ..self }
    }

    /// The silence that ends a turn of which nothing is known, in milliseconds.
    pub fn longest_ms(&self) -> u32 {
        self.options.unsure_ms
    }

    /// The speaker pauses: `sound` is the turn so far, `guess` its number. Answers the silence to wait for, in milliseconds, where that
    /// is known already.
    pub fn paused(&mut self, guess: Turn, mut sound: Vec<f32>) -> Option<u32> {
        if let Err(error) = self.fault.step() {
            self.do_without(&error);
        }
        if self.fault.garbled().is_some() {
            sound.fill(f32::NAN);
        }
        // Before the words are known there can be no answer, so nothing is lost by waiting for them.
        if self.words.is_some() {
            self.pause = Some(Pause { guess, sound });
            return None;
        }
        let evidence = Evidence { sound: self.heard(&sound), words: None };
        Some(self.options.silence_ms(evidence))
    }

    /// The probability that the turn is complete, by its sound.
    fn heard(&mut self, sound: &[f32]) -> Option<f32> {
        match self.model.as_mut()?.probability(sound) {
            Ok(probability) => Some(probability),
            Err(error) => {
                self.do_without(&error);
                None
            }
        }
    }

    fn do_without(&mut self, error: &dyn std::fmt::Display) {
        tracing::warn!(%error, "the end of turns is decided without Smart Turn from now on");
        self.model = None;
    }

    /// The speaker goes on, or has finished.
    pub fn over(&mut self) {
        self.pause = None;
    }

    /// Looks whether the words of the pause under way have come; answers them and the silence to wait for, if so. The sound is listened to only
    /// where it makes a difference: that takes the processor from the reply, which is begun now.
    pub fn look(&mut self) -> Option<Looked> {
        let words = self.words.as_ref()?;
        let guess = self.pause.as_ref()?.guess;
        let text = words.try_iter().filter(|(of, _)| *of == guess).last().map(|(_, text)| text)?;
        let Pause { sound, .. } = self.pause.take()?;
        let is_whole = self.is_whole.as_mut().is_some_and(|is_whole| is_whole(&text));
        let words = Some(if is_whole { WHOLE } else { completeness(&text) });
        let [least, most] = [1.0, 0.0].map(|sound| self.options.silence_ms(Evidence { sound: Some(sound), words }));
        let sound = if least == most { None } else { self.heard(&sound) };
        let silence_ms = self.options.silence_ms(Evidence { sound, words });
        tracing::debug!(text, sound, words, silence_ms, "the speaker pauses");
        Some(Looked { silence_ms, text })
    }
}
