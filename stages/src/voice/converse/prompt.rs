//! The prompt: what stands in it, what is dropped when there is no room, and what is kept warm of it.

use nearfield_llm::{Message, Role, TokenId};
use serde_json::json;

use super::{Converse, PromptTooLong, Summary};
use crate::voice::tool_calls;
use crate::voice::tools::{ToolResult, spaced_json};

/// The most tokens of a tool's result that the model reads; a smaller context allows fewer.
pub const MOST_RESULT_TOKENS: usize = 1024;

impl Converse {
    /// Offers the model the tools that there are, with the names of this home.
    fn offer_tools(&mut self) {
        let now = (self.toolbox.schemas(), self.toolbox.things());
        if now != self.offered {
            let named = tool_calls::named(&now.0, &now.1);
            let examples = tool_calls::examples(&named, &now.1, self.toolbox.is_by_entity());
            self.chat.offer(named, &examples);
            self.offered = now;
        }
    }

    /// A tool's result as the model reads it: cut where it is too long, which it then says.
    pub(super) fn read_result(&self, result: &ToolResult) -> anyhow::Result<String> {
        let tokenizer = self.llm.llm().tokenizer()?;
        let most = MOST_RESULT_TOKENS.min(self.room() / 4);
        let text = result.to_text();
        let tokens = tokenizer.encode(&text, false);
        let mut kept = most;
        while tokens.len() > most {
            let beginning = tokenizer.decode(&tokens[..kept]);
            let cut = spaced_json(&json!({
                "ok": result.ok,
                "cut": format!("the result is too long: this is how its {} characters begin", text.chars().count()),
                "beginning": beginning.trim_end_matches(char::REPLACEMENT_CHARACTER),
            }));
            if kept == 0 || tokenizer.encode(&cut, false).len() <= most {
                return Ok(cut);
            }
            kept = kept * 3 / 4; // the quotation marks within were doubled
        }
        Ok(text)
    }

    pub(super) fn system(&self) -> Message {
        let home = self.toolbox.home_text(self.options.home);
        let content = match home.is_empty() {
            true => self.options.system.clone(),
            false => format!("{}\nHome:\n{home}", self.options.system),
        };
        Message { role: Role::System, content }
    }

    pub(super) fn tokens(&self, messages: &[Message], reply_follows: bool) -> anyhow::Result<Vec<TokenId>> {
        Ok(self.chat.prompt(messages, reply_follows)?)
    }

    /// The prompt for `exchange` after as much of the history as the context has room for; what has none is forgotten. Where not even
    /// the exchange alone fits, less is told of the home; where that does not help, the history loses nothing.
    pub(super) fn compose(&mut self, exchange: &[Message]) -> anyhow::Result<Vec<TokenId>> {
        self.offer_tools();
        let room = self.room();
        let (mut dropped, mut summary) = (0, self.summary.messages());
        loop {
            let mut messages = vec![self.system()];
            messages.extend_from_slice(&summary);
            messages.extend(self.messages_from(dropped));
            messages.extend_from_slice(exchange);
            let tokens = self.tokens(&messages, true)?;
            if tokens.len() <= room {
                self.keep_statements(dropped);
                self.history.drain(..dropped);
                self.forgotten += dropped;
                return Ok(tokens);
            }
            if dropped < self.history.len() {
                dropped += 1;
            } else if !summary.is_empty() {
                summary.clear();
            } else if self.toolbox.tell_less() {
                self.offer_tools();
            } else {
                return Err(PromptTooLong { tokens: tokens.len(), room }.into());
            }
        }
    }

    /// The prompt for `exchange` as if nothing had been said before.
    pub(super) fn compose_alone(&mut self, exchange: &[Message]) -> anyhow::Result<Vec<TokenId>> {
        let before = (std::mem::take(&mut self.history), std::mem::take(&mut self.summary));
        let prompt = self.compose(exchange);
        (self.history, self.summary) = before;
        prompt
    }

    fn room(&self) -> usize {
        self.options.session.context_tokens.saturating_sub(self.options.max_reply_tokens)
    }

    /// Has the beginning of the next prompt computed while nobody speaks, and a summary begun where the history grows long. Where it is
    /// nearly too long, its oldest turns are dropped here, ahead of time; what follows them moves down in the cache.
    pub(super) fn keep_warm(&mut self) {
        self.offer_tools();
        let most = self.room() * 3 / 4;
        loop {
            let mut messages = vec![self.system()];
            messages.extend(self.summary.messages());
            messages.extend(self.messages_from(0));
            match self.tokens(&messages, false) {
                Ok(tokens) if tokens.len() > most && !self.history.is_empty() => {
                    self.keep_statements(1);
                    self.history.remove(0);
                    self.forgotten += 1;
                }
                Ok(tokens) if tokens.len() > self.room() && !self.summary.is_empty() => {
                    tracing::info!("the home leaves no room for the summary of earlier turns");
                    self.summary = Summary::default();
                }
                Ok(tokens) if tokens.len() > self.room() && self.toolbox.tell_less() => self.offer_tools(),
                Ok(tokens) if tokens.is_empty() || tokens.len() > self.room() => return,
                Ok(tokens) => {
                    self.llm.warm(self.session, tokens);
                    if let Err(error) = self.condense(most) {
                        tracing::debug!(%error, "earlier turns could not be summarized");
                    }
                    return;
                }
                // Some templates insist on a question; then the first one pays for the prefill.
                Err(error) => return tracing::debug!(%error, "the chat template does not render without a question"),
            }
        }
    }

    /// Corrects the history by what was really heard of interrupted replies.
    pub(super) fn learn_what_was_heard(&mut self) {
        for (turn, played) in self.played.try_iter() {
            if !played.interrupted {
                continue;
            }
            let Some(exchange) = self.history.iter_mut().find(|e| e.turn == turn) else { continue };
            if let Some(reply) = exchange.messages.iter_mut().rev().find(|m| m.role == Role::Assistant) {
                reply.content = played.heard.join(" ");
            }
        }
    }
}
