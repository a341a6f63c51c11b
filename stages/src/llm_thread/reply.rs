//! What the thread answers to a job, and how its owner reads it.

use std::ops::ControlFlow;

use anyhow::Context;
use crossbeam_channel::Receiver;
use nearfield_llm::{Finish, Likelihood, LlmError, Prefill};

use crate::messages::Tokens;

/// What a job's owner is told, in this order: `Prefilled`, any number of `Text` (or one `Logits`), `Done`; or `Failed` at
/// any point.
#[derive(Debug)]
pub enum Event {
    /// The prompt stands in the cache.
    Prefilled(Prefill),
    /// More text; never half a character.
    Text(String),
    /// The likelihoods of the tokens of the texts before, where the job asked for them.
    Likelihoods(Vec<Likelihood>),
    /// The logits that were asked for ([`Extras::choices`](super::Extras::choices)).
    Logits(Vec<f32>),
    /// The end.
    Done {
        /// Why it ended.
        finish: Finish,
        /// How many tokens were generated.
        generated: usize,
        /// How many of these had been guessed from the prompt and cost no pass of their own.
        drafted: usize,
    },
    /// The end, for a bad reason.
    Failed(LlmError),
}

/// What a job comes to, as it comes. Dropping it ends the job.
pub struct Reply {
    events: Receiver<Event>,
}

impl Reply {
    pub(super) fn new(events: Receiver<Event>) -> Self {
        Self { events }
    }

    /// Hands the text to `sink`, piece by piece, until the end: why it ended, or `None` when `sink` had enough. What became of the
    /// tokens is added to `tokens` as it is known.
    ///
    /// # Errors
    /// The model failed.
    pub fn read(
        self,
        tokens: &mut Tokens,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> anyhow::Result<Option<Finish>> {
        let mut pieces = 0;
        for event in self {
            match event {
                Event::Prefilled(prefill) => *tokens += Tokens::from(prefill),
                Event::Text(text) => {
                    pieces += 1;
                    if sink(&text).is_break() {
                        *tokens += Tokens { generated: pieces, ..Tokens::default() };
                        return Ok(None);
                    }
                }
                Event::Likelihoods(_) | Event::Logits(_) => {}
                Event::Done { finish, generated, drafted } => {
                    *tokens += Tokens { generated, drafted, ..Tokens::default() };
                    return Ok(Some(finish));
                }
                Event::Failed(error) => return Err(error).context(STOPPED),
            }
        }
        Err(super::gone()).context(STOPPED)
    }

    /// The logits that were asked for ([`Extras::choices`](super::Extras::choices)); `None` when nobody wanted them any more.
    ///
    /// # Errors
    /// The model failed.
    pub fn logits(self, tokens: &mut Tokens) -> anyhow::Result<Option<Vec<f32>>> {
        for event in self {
            match event {
                Event::Prefilled(prefill) => *tokens += Tokens::from(prefill),
                Event::Logits(logits) => return Ok(Some(logits)),
                Event::Failed(error) => return Err(error).context(STOPPED),
                Event::Text(_) | Event::Likelihoods(_) => {}
                Event::Done { .. } => return Ok(None),
            }
        }
        Err(super::gone()).context(STOPPED)
    }
}

const STOPPED: &str = "the language model stopped";

/// The events one by one; each waits until there is one.
impl Iterator for Reply {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.events.recv().ok()
    }
}
