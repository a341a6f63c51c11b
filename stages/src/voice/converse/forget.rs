//! What is taken out of a conversation: "forget that" what was said last, "forget everything" all of it. It leaves the history, the
//! summary, what waits for the next one, and the cache, so that neither a prompt nor a session's file has it any more.

use super::asides::{Forgets, is_aside};
use super::{Converse, Exchange, Summary};

impl Converse {
    /// Begins a new conversation, with what the model has read of the home still in its cache.
    pub fn forget_history(&mut self) {
        self.history.clear();
        self.condensing = None;
        self.summary = Summary::default();
        self.pending.clear();
        self.asked = None;
        self.offers_more = false;
        self.last_reply.clear();
        self.forget_read();
    }

    /// Forgets what somebody wants forgotten.
    pub(super) fn forget(&mut self, what: Forgets) {
        // Where what was said last has left the history already, it can't be told from the rest.
        if what == Forgets::All || self.history.is_empty() {
            return self.forget_history();
        }
        // The one in the making may have it.
        self.condensing = None;
        while let Some(exchange) = self.history.pop() {
            self.forget_statements(&exchange);
            if !exchange.asked().is_some_and(is_aside) {
                break;
            }
        }
        self.asked = None;
        self.offers_more = false;
        self.last_reply.clear();
        self.forget_read();
    }

    /// What it stated may have been stated before.
    fn forget_statements(&mut self, exchange: &Exchange) {
        let stated: Vec<_> = exchange.statements().collect();
        self.pending.retain(|kept| !stated.iter().any(|gone| gone.is_same(kept)));
        self.summary.remove(&stated, &exchange.said());
    }

    /// Has the model keep of what it has read only what still stands in the prompt.
    fn forget_read(&mut self) {
        let mut messages = vec![self.system()];
        messages.extend(self.summary.messages());
        messages.extend(self.messages_from(0));
        // Some templates insist on a question: then all of it is read again.
        let kept = self.tokens(&messages, false).unwrap_or_default();
        self.llm.keep_only(self.session, kept);
    }
}
