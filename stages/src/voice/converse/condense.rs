//! When turns are summarized: before the context is so full that turns are dropped, after a turn and not during one. What is ready by the
//! next turn takes the place of the oldest turns; what is not is given up, and begun anew after that turn.

use std::ops::Range;

use nearfield_llm::{Message, Role};

use super::summary::{Condensed, Condensing, Work, statements};
use super::{Converse, Exchange, Statement};

/// What the model is told to write.
const INSTRUCTION: &str = "Write down what I have told you so far: names, numbers, dates, places, plans and wishes. One short sentence \
                           on each line, in my own words, and nothing else.";
/// Turns are summarized once they fill this share of the room that they have, and those that stay then fill no more than the other.
const FULL: Share = Share(13, 20);
const KEPT: Share = Share(3, 10);
/// The most of that room that a summary has, and the most tokens; where it would have fewer than the last, there is none.
const SUMMARY: Share = Share(1, 5);
const MOST_TOKENS: usize = 384;
const FEWEST_TOKENS: usize = 32;
/// Statements of dropped turns that wait for the next summary.
const MOST_PENDING: usize = 64;

#[derive(Clone, Copy)]
struct Share(usize, usize);

impl Share {
    fn of(self, whole: usize) -> usize {
        whole * self.0 / self.1
    }
}

impl Exchange {
    /// The question.
    pub(super) fn asked(&self) -> Option<&str> {
        self.messages.iter().find(|message| message.role == Role::User).map(|message| message.content.as_str())
    }

    /// What is known of it: the speaker's words, and what was answered where a tool was used.
    pub(super) fn said(&self) -> String {
        let has_tools = self.messages.iter().any(|message| message.role == Role::Tool);
        let is_known = |message: &&Message| message.role == Role::User || has_tools && message.role == Role::Assistant;
        let parts = self.messages.iter().filter(is_known).map(|message| message.content.as_str());
        parts.collect::<Vec<_>>().join("\n")
    }

    /// What the speaker stated; a command states nothing.
    pub(super) fn statements(&self) -> impl Iterator<Item = Statement> {
        self.messages
            .iter()
            .filter(|message| !self.has_acted && message.role == Role::User)
            .flat_map(|message| statements(&message.content))
    }
}

/// The first of these numbers that is enough, or the one behind them, where every greater one is enough too. Few are tried: to try one
/// is to split all of the conversation into tokens.
fn fewest(range: Range<usize>, mut is_enough: impl FnMut(usize) -> anyhow::Result<bool>) -> anyhow::Result<usize> {
    let Range { start: mut low, end: mut high } = range;
    while low < high {
        let middle = low + (high - low) / 2;
        match is_enough(middle)? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(low)
}

impl Converse {
    /// Whether turns are summarized: not by a model that was trained on nothing but homes.
    pub(super) fn summarizes(&self) -> bool {
        #[cfg(test)]
        if self.scripted.is_some() {
            return self.options.summary;
        }
        self.options.summary && !self.llm.llm().knows_tools()
    }

    /// Whether a summary is being made.
    pub fn is_summarizing(&self) -> bool {
        self.condensing.as_ref().is_some_and(Condensing::is_under_way)
    }

    /// Takes the summary that was being made, if it is ready, and gives it up otherwise.
    pub(super) fn take_summary(&mut self) {
        let Some(Condensed { summary, covered, session }) = self.condensing.take().and_then(Condensing::take) else {
            return;
        };
        if let Some(session) = session {
            self.llm.exchange(self.session, session);
            self.llm.close(session);
        }
        tracing::info!(turns = covered, ?summary, "earlier turns were replaced by a summary");
        self.history.drain(..covered.min(self.history.len()));
        self.summarized += covered;
        self.summary = summary;
        self.pending.clear();
    }

    /// Keeps what turns state that are about to be dropped.
    pub(super) fn keep_statements(&mut self, dropped: usize) {
        if self.summarizes() {
            self.pending.extend(self.history[..dropped].iter().flat_map(Exchange::statements));
            let surplus = self.pending.len().saturating_sub(MOST_PENDING);
            self.pending.drain(..surplus);
        }
    }

    /// Begins a summary of the oldest turns, where the history is nearly as long as it may be; `most` is the longest prompt before turns
    /// are dropped.
    pub(super) fn condense(&mut self, most: usize) -> anyhow::Result<()> {
        if !self.summarizes() || self.history.len() < 2 {
            return Ok(());
        }
        let system = self.system();
        let fixed = self.tokens(std::slice::from_ref(&system), false)?.len();
        let room = most.saturating_sub(fixed);
        let most_tokens = SUMMARY.of(room).min(MOST_TOKENS);
        let taken = |this: &Self, covered: usize| {
            let mut messages = vec![system.clone()];
            messages.extend(this.messages_from(covered));
            anyhow::Ok(this.tokens(&messages, false)?.len().saturating_sub(fixed))
        };
        if most_tokens < FEWEST_TOKENS || taken(self, 0)? <= FULL.of(room) {
            return Ok(());
        }
        let covered = fewest(1..self.history.len() - 1, |covered| Ok(taken(self, covered)? <= KEPT.of(room)))?;
        let chat = self.chat.clone().without_thinking();
        let mut messages = vec![system.clone()];
        messages.extend(self.summary.messages());
        messages.extend(self.messages_from(0));
        messages.push(Message::new(Role::User, INSTRUCTION));
        let prompt = chat.prompt(&messages, true)?;
        let fits = prompt.len() + most_tokens <= self.options.session.context_tokens;
        let stated = self.history[..covered].iter().flat_map(Exchange::statements);
        let work = Work {
            session: self.options.session,
            prompt: fits.then_some(prompt),
            constraint: chat.plain(),
            before: self.summary.clone(),
            stated: self.pending.iter().cloned().chain(stated).collect(),
            said: self.history.iter().map(Exchange::said).collect(),
            system,
            kept: self.messages_from(covered),
            most_tokens,
            covered,
            chat,
        };
        #[cfg(test)]
        let work = Work { constraint: self.scripted.clone().or(work.constraint), ..work };
        let cancel = self.turns.cancel_when_followed(self.turn);
        self.condensing = Some(Condensing::begin(&self.llm, work, cancel));
        Ok(())
    }

    /// The messages of the history but for its first turns.
    pub(super) fn messages_from(&self, first: usize) -> Vec<Message> {
        self.history[first..].iter().flat_map(|exchange| exchange.messages.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_turns_that_are_enough_are_found_in_few_tries() {
        for (turns, enough) in [(1, 1), (2, 1), (2, 9), (100, 1), (100, 37), (100, 98), (100, 99), (100, 500)] {
            let mut tries = 0;
            let found = fewest(1..turns, |covered| {
                tries += 1;
                Ok(covered >= enough)
            });
            assert_eq!(found.unwrap(), enough.min(turns));
            assert!(tries <= 7, "{tries} of {turns}");
        }
    }
}
