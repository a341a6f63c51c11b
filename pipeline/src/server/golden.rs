//! Whether the language model still answers, and answers right: it writes the same text as when it was loaded, in a session of its own.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nearfield_llm::{GenerateOptions, SamplerOptions, SessionOptions};
use nearfield_stages::flow::Cancel;
use nearfield_stages::llm_thread::{Event, Job, LlmThread, SessionId, Urgency};

use super::failure::Failure;

/// What the model continues.
const PROMPT: &str = "One, two, three, four,";
/// So many tokens.
const TOKENS: usize = 8;
/// The context of the session.
const CONTEXT: usize = 128;
/// An answer counts for so long: whoever asks more often is told the last one.
const FRESH: Duration = Duration::from_secs(10);

/// The answer as it must be.
pub struct Golden {
    llm: LlmThread,
    session: SessionId,
    due: String,
    last: Mutex<(Instant, Result<(), Failure>)>,
}

impl Golden {
    /// Has the model write the answer that later ones are compared with.
    ///
    /// # Errors
    /// The model fails.
    pub fn new(llm: LlmThread) -> Result<Self, Failure> {
        let options = SessionOptions { context_tokens: CONTEXT, ..SessionOptions::default() };
        let session = llm.open(Urgency::Request, options)?;
        let due = written(&llm, session)?;
        Ok(Self { llm, session, due, last: Mutex::new((Instant::now(), Ok(()))) })
    }

    /// Whether it still does. It blocks for some tokens.
    ///
    /// # Errors
    /// The model fails, or writes something else.
    pub fn check(&self) -> Result<(), Failure> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.elapsed() >= FRESH {
            let checked = written(&self.llm, self.session).and_then(|said| match said == self.due {
                true => Ok(()),
                false => Err(Failure::broken("the language model does not write what it wrote when it was loaded")),
            });
            *last = (Instant::now(), checked);
        }
        last.1.clone().map_err(|failure| Failure::busy(failure.message))
    }
}

fn written(llm: &LlmThread, session: SessionId) -> Result<String, Failure> {
    // Computed, not remembered.
    llm.forget(session);
    let prompt = llm.llm().tokenizer()?.encode_prompt(PROMPT);
    let sampler = SamplerOptions { temperature: 0.0, repetition_penalty: 1.0, ..SamplerOptions::default() };
    let options = GenerateOptions { max_tokens: TOKENS, ..GenerateOptions::default() };
    let mut said = String::new();
    for event in llm.run(Job { session, prompt, sampler, options, cancel: Cancel::never() }) {
        match event {
            Event::Text(text) => said.push_str(&text),
            Event::Failed(error) => return Err(error.into()),
            Event::Done { .. } => return Ok(said),
            Event::Prefilled(_) | Event::Likelihoods(_) | Event::Logits(_) => {}
        }
    }
    Err(Failure::broken("the language model has ended"))
}
