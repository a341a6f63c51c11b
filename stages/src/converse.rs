//! The conversation: transcripts in, the reply's text out. Composes the prompt, has the model continue it, lets it use
//! tools, and keeps the history in one session whose cache is reused from turn to turn.
//!
//! What stands in the prompt, in this order: the system text, the home's state, the history, the question. The first two
//! change seldom, the history only grows; so a question costs its own tokens and little more. After each turn, and when
//! the home changes, the new beginning is kept warm while nobody speaks.

use std::time::Instant;

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender};
use nearfield_models::llm::{Finish, GenerateOptions, Message, Role, SamplerOptions, SessionOptions, TokenId};
use serde::Serialize;

use crate::drive::{Emit, Stage};
use crate::generate::{Event, Job, LlmThread, SessionId, Urgency};
use crate::messages::{Envelope, Played, TextDelta, Transcript};
use crate::notes::{Note, Replied};
use crate::tool_calls::{FilteredReply, ToolCallFilter};
use crate::tools::{ToolCall, ToolResult, Toolbox, spaced_json};
use crate::turn::{Turn, Turns};

/// Rounds of tool calls in one turn; a model that wants more is going in circles.
const MAX_TOOL_ROUNDS: usize = 4;

/// How the model is asked.
#[derive(Clone, Debug)]
pub struct ConverseOptions {
    /// The system text, before the home's state.
    pub system: String,
    /// The session's context and cache.
    pub session: SessionOptions,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// The longest reply.
    pub max_reply_tokens: usize,
}

/// What became of the tokens of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Prompt tokens that the cache already held.
    pub reused: usize,
    /// Prompt tokens that had to be computed.
    pub prefilled: usize,
    /// Tokens that the model wrote.
    pub generated: usize,
}

/// One question and what followed it; dropped from the history only as a whole.
#[derive(Clone, Debug)]
struct Exchange {
    turn: Turn,
    messages: Vec<Message>,
}

/// The conversation of one flow.
pub struct Converse {
    llm: LlmThread,
    session: SessionId,
    options: ConverseOptions,
    toolbox: Toolbox,
    turns: Turns,
    history: Vec<Exchange>,
    /// Exchanges dropped from the history and not yet reported.
    forgotten: usize,
    /// How earlier replies fared at the loudspeaker: what was not heard must not stand in the history.
    played: Receiver<(Turn, Played)>,
    notes: Sender<Note>,
}

impl Converse {
    /// Opens a session and prefills the system prompt before the first question.
    ///
    /// # Errors
    /// If the session can't be opened or the model carries no vocabulary.
    pub fn new(
        llm: LlmThread,
        options: ConverseOptions,
        toolbox: Toolbox,
        turns: Turns,
        played: Receiver<(Turn, Played)>,
        notes: Sender<Note>,
    ) -> anyhow::Result<Self> {
        let session = llm.open(Urgency::Voice, options.session)?;
        let mut converse =
            Self { llm, session, options, toolbox, turns, history: Vec::new(), forgotten: 0, played, notes };
        converse.keep_warm();
        Ok(converse)
    }

    fn system(&self) -> Message {
        let home = self.toolbox.home_text();
        let content = match home.is_empty() {
            true => self.options.system.clone(),
            false => format!("{}\nHome:\n{home}", self.options.system),
        };
        Message { role: Role::System, content }
    }

    fn tokens(&self, messages: &[Message], reply_follows: bool) -> anyhow::Result<Vec<TokenId>> {
        let llm = self.llm.llm();
        let text = llm.template()?.render(messages, &self.toolbox.schemas(), reply_follows)?;
        Ok(llm.tokenizer()?.encode_prompt(&text))
    }

    /// The prompt for `exchange` after as much of the history as the context has room for.
    fn compose(&mut self, exchange: &[Message]) -> anyhow::Result<Vec<TokenId>> {
        let room = self.room();
        loop {
            let mut messages = vec![self.system()];
            messages.extend(self.history.iter().flat_map(|e| e.messages.iter().cloned()));
            messages.extend_from_slice(exchange);
            let tokens = self.tokens(&messages, true)?;
            if tokens.len() <= room {
                return Ok(tokens);
            }
            anyhow::ensure!(
                !self.history.is_empty(),
                "the prompt has {} tokens but the context has room for {room}: raise llm.context_tokens or shorten \
                 the question, the home or llm.system",
                tokens.len()
            );
            self.history.remove(0);
            self.forgotten += 1;
        }
    }

    fn room(&self) -> usize {
        self.options.session.context_tokens.saturating_sub(self.options.max_reply_tokens)
    }

    /// Has the beginning of the next prompt computed while nobody speaks. A history that is nearly too long is halved
    /// here, all at once and ahead of time: each time a turn is dropped, everything after it has to be computed anew.
    fn keep_warm(&mut self) {
        let mut most = self.room() * 3 / 4;
        loop {
            let mut messages = vec![self.system()];
            messages.extend(self.history.iter().flat_map(|e| e.messages.iter().cloned()));
            match self.tokens(&messages, false) {
                Ok(tokens) if tokens.len() > most && !self.history.is_empty() => {
                    most = self.room() / 2;
                    self.history.remove(0);
                    self.forgotten += 1;
                }
                Ok(tokens) if tokens.is_empty() || tokens.len() > self.room() => return,
                Ok(tokens) => return self.llm.warm(self.session, tokens),
                // Some templates insist on a question; then the first one pays for the prefill.
                Err(error) => return tracing::debug!(%error, "the chat template does not render without a question"),
            }
        }
    }

    /// Corrects the history by what was really heard of interrupted replies.
    fn learn_what_was_heard(&mut self) {
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

    fn reply(&mut self, turn: Turn, question: String, emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<Replied> {
        let mut exchange = vec![Message { role: Role::User, content: question }];
        let mut replied = Replied::default();
        for round in 0..=MAX_TOOL_ROUNDS {
            let prompt = self.compose(&exchange)?;
            replied.forgotten += std::mem::take(&mut self.forgotten);
            let turns = self.turns.clone();
            let events = self.llm.run(Job {
                session: self.session,
                prompt,
                sampler: self.options.sampler,
                options: GenerateOptions { max_tokens: self.options.max_reply_tokens, stop: Vec::new() },
                wanted: Box::new(move || turns.is_alive(turn)),
            });
            let mut filter = ToolCallFilter::default();
            let mut raw = String::new();
            let mut say = |text: String, replied: &mut Replied| {
                if !text.is_empty() {
                    replied.reply.push_str(&text);
                    let _ = emit(Envelope::new(turn, TextDelta::Text(text)));
                }
            };
            for event in events {
                match event {
                    Event::Prefilled(prefill) => {
                        replied.tokens.reused += prefill.reused;
                        replied.tokens.prefilled += prefill.prefilled;
                    }
                    Event::Logits(_) => {}
                    Event::Text(text) => {
                        replied.first_token.get_or_insert_with(Instant::now);
                        raw.push_str(&text);
                        say(filter.push(&text), &mut replied);
                    }
                    Event::Done { finish, generated } => {
                        replied.tokens.generated += generated;
                        replied.cut_off |= matches!(finish, Finish::MaxTokens | Finish::ContextFull);
                        break;
                    }
                    Event::Failed(error) => return Err(error).context("the language model stopped"),
                }
            }
            let FilteredReply { rest, calls, broken } = filter.finish();
            say(rest, &mut replied);
            exchange.push(Message { role: Role::Assistant, content: raw.trim().to_owned() });
            for error in &broken {
                tracing::warn!(%turn, error, "the model wrote a tool call that can't be read");
            }
            if (calls.is_empty() && broken.is_empty()) || round == MAX_TOOL_ROUNDS || !self.turns.is_alive(turn) {
                break;
            }
            for call in &calls {
                let result = self.call(turn, call);
                exchange.push(Message { role: Role::Tool, content: result.to_text() });
                replied.tools.push(result);
            }
            for error in &broken {
                let result = serde_json::json!({"ok": false, "error": error});
                exchange.push(Message { role: Role::Tool, content: spaced_json(&result) });
            }
        }
        replied.reply = replied.reply.trim().to_owned();
        self.history.push(Exchange { turn, messages: exchange });
        Ok(replied)
    }

    fn call(&mut self, turn: Turn, call: &ToolCall) -> ToolResult {
        let turns = self.turns.clone();
        let result = self.toolbox.call(call, &move || !turns.is_alive(turn));
        tracing::debug!(%turn, tool = call.name, arguments = %call.arguments, result = %result.result, "tool");
        result
    }
}

impl Stage for Converse {
    type In = Transcript;
    type Out = TextDelta;

    fn name(&self) -> &'static str {
        "converse"
    }

    fn step(&mut self, input: Envelope<Transcript>, emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<()> {
        let Envelope { turn, body: transcript, born } = input;
        self.learn_what_was_heard();
        self.toolbox.home_changed_outside();
        let _ = self.notes.send(Note::Heard {
            turn,
            text: transcript.text.clone(),
            suppressed: transcript.suppressed,
            speech_ended: transcript.speech_ended,
            closed: transcript.closed,
            transcribed: born,
        });
        let mut result = Ok(());
        if !transcript.text.is_empty() {
            match self.reply(turn, transcript.text, emit) {
                Ok(replied) => {
                    let _ = self.notes.send(Note::Replied { turn, replied });
                }
                Err(error) => result = Err(error),
            }
        }
        let _ = emit(Envelope::new(turn, TextDelta::End));
        self.keep_warm();
        result
    }

    fn wake_at(&self) -> Option<Instant> {
        self.toolbox.next_timer()
    }

    fn finish(&mut self, _emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<()> {
        if self.toolbox.next_timer().is_some() {
            tracing::warn!("a timer was still running and will not ring");
        }
        Ok(())
    }

    fn wake(&mut self, emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<()> {
        for timer in self.toolbox.due_timers(Instant::now()) {
            let turn = self.turns.begin();
            let text = format!("The timer of {} is over.", timer.label);
            let now = Instant::now();
            let _ = self.notes.send(Note::Heard {
                turn,
                text: String::new(),
                suppressed: None,
                speech_ended: now,
                closed: now,
                transcribed: now,
            });
            let replied = Replied { reply: text.clone(), ..Replied::default() };
            let _ = self.notes.send(Note::Replied { turn, replied });
            let _ = emit(Envelope::new(turn, TextDelta::Text(text)));
            let _ = emit(Envelope::new(turn, TextDelta::End));
        }
        Ok(())
    }
}
