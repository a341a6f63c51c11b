//! A pass over several sessions of one model: the weights are read once for all of them, and each session attends to its own past.
//! What a session gets is what it would get alone, to the last bit, so that no answer hangs on who else asks at the time.

use std::sync::Arc;

use nearfield_kernels::Together;

use super::forward::{Buffers, forward};
use super::{LlmError, Session, TokenId};

/// The buffers of such passes, which grow once and are then reused.
#[derive(Debug, Default)]
pub struct Batch {
    buffers: Buffers,
    logits: Vec<f32>, // [rows, n_vocab]
}

impl Batch {
    /// No buffers yet.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Appends a few tokens to each of some sessions in one pass, and leaves the logits after each of them: what
    /// [`Session::append_each`] would leave in each session, to the last bit.
    ///
    /// # Errors
    /// Some are not the model's, or more than fit; the sessions are then as they were.
    ///
    /// # Panics
    /// They are more than [`Session::MOST_EACH`] for one session, or the sessions are of different models.
    pub fn append(&mut self, texts: &mut [(&mut Session, &[TokenId])]) -> Result<(), LlmError> {
        if let [(session, tokens)] = texts {
            return session.append_each(tokens); // in buffers of its own
        }
        for (session, tokens) in texts.iter_mut() {
            assert!(tokens.len() <= Session::MOST_EACH, "at most {} tokens of a session", Session::MOST_EACH);
            session.before_batch(tokens)?;
        }
        let Some(llm) = texts.first().map(|(session, _)| Arc::clone(session.llm())) else { return Ok(()) };
        assert!(texts.iter().all(|(session, _)| Arc::ptr_eq(session.llm(), &llm)), "sessions of one model");
        self.buffers.tokens.clear();
        self.buffers.x.clear();
        let of_some = |(_, tokens): &&mut (&mut Session, &[TokenId])| !tokens.is_empty();
        texts.iter_mut().filter(of_some).for_each(|(_, tokens)| self.buffers.look_up(&llm, tokens));
        let mut parts: Vec<_> = texts.iter_mut().filter(of_some).map(|(session, n)| session.part(n.len())).collect();
        if parts.is_empty() {
            return Ok(());
        }
        forward(&llm, &mut parts, &mut self.buffers, Together::AsAlone, &mut self.logits);
        let mut logits = &self.logits[..];
        for (session, tokens) in texts.iter_mut().filter(of_some) {
            let (own, rest) = logits.split_at(tokens.len() * llm.info().vocab_size);
            session.after_batch(tokens, own);
            logits = rest;
        }
        Ok(())
    }
}
