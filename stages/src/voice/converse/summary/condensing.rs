//! A summary in the making. While nobody speaks, a thread has the model write it in a session of its own, checks it, and has the session
//! read the prompt that the next question will continue: what was said before is copied from the voice's cache, not read again. The
//! voice's own session is left as it is until all of that is done, so that a summary that is given up has cost the next question nothing.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nearfield_llm::{
    Chat, Constrained, Finish, GenerateOptions, LlmError, Message, SamplerOptions, SessionOptions, TokenId,
};

use super::check::{Said, checked};
use super::{Statement, Summary};
use crate::flow::{Cancel, Guesses, panics};
use crate::llm_thread::{Job, LlmThread, SessionId, Urgency, is_crash};
use crate::messages::Tokens;

/// The thread's name.
const NAME: &str = "summary";

/// What a summary is made of.
pub(in crate::voice::converse) struct Work {
    pub(in crate::voice::converse) chat: Chat,
    pub(in crate::voice::converse) session: SessionOptions,
    /// The prompt that the model continues with a summary; `None` where there is no room for that.
    pub(in crate::voice::converse) prompt: Option<Vec<TokenId>>,
    /// What holds it to text without calls.
    pub(in crate::voice::converse) constraint: Option<Constrained>,
    /// The summary that it goes on from.
    pub(in crate::voice::converse) before: Summary,
    /// What the turns to be replaced state.
    pub(in crate::voice::converse) stated: Vec<Statement>,
    /// What was said, turn by turn, that sentences of the model are held to.
    pub(in crate::voice::converse) said: Vec<String>,
    /// The system message.
    pub(in crate::voice::converse) system: Message,
    /// The turns that stay.
    pub(in crate::voice::converse) kept: Vec<Message>,
    pub(in crate::voice::converse) most_tokens: usize,
    /// How many turns are replaced.
    pub(in crate::voice::converse) covered: usize,
}

/// A summary that is ready.
#[derive(Debug)]
pub(in crate::voice::converse) struct Condensed {
    pub(in crate::voice::converse) summary: Summary,
    /// How many turns it replaces.
    pub(in crate::voice::converse) covered: usize,
    /// The session that has read the prompt with it; `None` where that is not wanted.
    pub(in crate::voice::converse) session: Option<SessionId>,
}

/// A summary in the making; given up when it is dropped.
pub(in crate::voice::converse) struct Condensing {
    llm: LlmThread,
    guesses: Guesses,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    outcome: Outcome,
    /// The session is not wanted, only the summary.
    leaves_session: bool,
}

#[derive(Default)]
enum Outcome {
    #[default]
    UnderWay,
    Ready(Condensed),
    /// Given up, failed, or taken.
    Over,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Condensing {
    /// Begins; the work ends with `cancel`.
    pub(in crate::voice::converse) fn begin(llm: &LlmThread, work: Work, cancel: Cancel) -> Self {
        let (guesses, state) = (Guesses::default(), Arc::new(Mutex::new(State::default())));
        let cancel = cancel.or_withdrawn(&guesses, guesses.begin());
        let (thread, told) = (llm.clone(), state.clone());
        let run = move || {
            let outcome = match panics::catch(NAME, || work.run(&thread, &cancel, &told)) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(panicked) => panicked.into(),
            };
            locked(&told).outcome = Outcome::Over;
            if !is_crash(&outcome) {
                tracing::warn!("earlier turns could not be summarized: {outcome:#}");
            }
        };
        if let Err(error) = std::thread::Builder::new().name(NAME.to_owned()).spawn(run) {
            tracing::debug!(%error, "no thread for a summary");
            locked(&state).outcome = Outcome::Over;
        }
        Self { llm: llm.clone(), guesses, state }
    }

    /// Whether it is still being made.
    pub(in crate::voice::converse) fn is_under_way(&self) -> bool {
        matches!(locked(&self.state).outcome, Outcome::UnderWay)
    }

    /// What it came to, if it is ready; from now on it is over in any case.
    pub(in crate::voice::converse) fn take(self) -> Option<Condensed> {
        match std::mem::replace(&mut locked(&self.state).outcome, Outcome::Over) {
            Outcome::Ready(condensed) => Some(condensed),
            Outcome::UnderWay | Outcome::Over => None,
        }
    }

    /// Leaves the session to others: another conversation takes its turn, and only the summary is wanted.
    pub(in crate::voice::converse) fn leave_session(&self) {
        let mut state = locked(&self.state);
        state.leaves_session = true;
        if let Outcome::Ready(condensed) = &mut state.outcome
            && let Some(session) = condensed.session.take()
        {
            self.llm.close(session);
        }
    }
}

impl Drop for Condensing {
    fn drop(&mut self) {
        self.guesses.withdraw_all();
        if let Outcome::Ready(Condensed { session: Some(session), .. }) =
            std::mem::replace(&mut locked(&self.state).outcome, Outcome::Over)
        {
            self.llm.close(session);
        }
    }
}

impl std::fmt::Debug for Condensing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Condensing").field("is_under_way", &self.is_under_way()).finish()
    }
}

impl Work {
    fn run(self, llm: &LlmThread, cancel: &Cancel, state: &Mutex<State>) -> anyhow::Result<()> {
        // Where there is no memory for a second session, turns are dropped.
        let session = match llm.open(Urgency::Idle, self.session) {
            Ok(session) => session,
            Err(LlmError::Context { .. }) => {
                locked(state).outcome = Outcome::Over;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let made = self.make(llm, session, cancel, state);
        let mut state = locked(state);
        let is_wanted = matches!(state.outcome, Outcome::UnderWay);
        let (made, failed) = match made {
            Ok(summary) => (summary.filter(|_| is_wanted), None),
            Err(error) => (None, Some(error)),
        };
        let keeps_session = made.is_some() && !state.leaves_session;
        state.outcome = made.map_or(Outcome::Over, |summary| {
            Outcome::Ready(Condensed { summary, covered: self.covered, session: keeps_session.then_some(session) })
        });
        drop(state);
        if !keeps_session {
            llm.close(session);
        }
        failed.map_or(Ok(()), Err)
    }

    /// The summary, which the session has read; `None` where somebody spoke meanwhile.
    fn make(
        &self,
        llm: &LlmThread,
        session: SessionId,
        cancel: &Cancel,
        state: &Mutex<State>,
    ) -> anyhow::Result<Option<Summary>> {
        let written = match &self.prompt {
            None => String::new(),
            Some(prompt) => match self.write(llm, session, prompt.clone(), cancel)? {
                Some(written) => written,
                None => return Ok(None),
            },
        };
        let said: Vec<Said> = self.said.iter().map(|turn| Said::of(turn)).collect();
        let sentences = checked(&written, &said);
        tracing::debug!(written, ?sentences, "summary");
        let tokenizer = llm.llm().tokenizer()?;
        let summary = self.before.with(&self.stated, sentences, self.most_tokens, tokenizer);
        if locked(state).leaves_session {
            return Ok(Some(summary));
        }
        let mut messages = vec![self.system.clone()];
        messages.extend(summary.messages());
        messages.extend(self.kept.iter().cloned());
        let is_read = llm.read(session, self.chat.prompt(&messages, false)?, cancel.clone())?;
        Ok(is_read.then_some(summary))
    }

    /// What the model writes; `None` where somebody spoke meanwhile.
    fn write(
        &self,
        llm: &LlmThread,
        session: SessionId,
        prompt: Vec<TokenId>,
        cancel: &Cancel,
    ) -> anyhow::Result<Option<String>> {
        let options = GenerateOptions {
            max_tokens: self.most_tokens,
            constraint: self.constraint.clone(),
            ..GenerateOptions::default()
        };
        let sampler = SamplerOptions::default();
        let reply = llm.run(Job { session, prompt, sampler, options, cancel: cancel.clone() });
        let mut raw = String::new();
        let finish = reply.read(&mut Tokens::default(), &mut |text| {
            raw.push_str(text);
            ControlFlow::Continue(())
        })?;
        let Some(finish) = finish.filter(|finish| !matches!(finish, Finish::Stopped)) else { return Ok(None) };
        let mut parser = self.chat.parser();
        let text = parser.push(finish.sound_part(&raw));
        Ok(Some(text + &parser.finish().rest))
    }
}
