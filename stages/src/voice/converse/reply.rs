//! What one turn comes to: what the model writes, round by round, the tools it calls in between, and what is said instead where it
//! does not come to its end.

use std::ops::ControlFlow;
use std::time::Instant;

use nearfield_llm::{Finish, GenerateOptions, Message, ParsedReply, Role, TokenId};
use serde_json::json;

use super::{Converse, Exchange};
use crate::flow::{Emit, Turn};
use crate::llm_thread::Job;
use crate::messages::{Envelope, TextDelta};
use crate::voice::notes::{AnsweredBy, Replied};
use crate::voice::tool_calls;
use crate::voice::tools::{self, ToolCall, ToolResult, spaced_json};

/// Rounds of tool calls in one turn; a model that wants more is going in circles.
const MAX_TOOL_ROUNDS: usize = 4;

/// What is said where the model has nothing to say but the same again.
const LOST: &str = "I could not finish the answer, because the model repeated itself.";

/// What is said where the model does not get a call right.
const MISUSED: &str = "I could not do that: the call of the tool could not be read.";

/// What is said where the model calls one tool after another and comes to no end.
const CIRCLES: &str = "I could not finish that, because the model called one tool after another.";

/// What the model wrote at a time.
struct Round {
    /// All of it, but for a loop.
    raw: String,
    /// What of it is to be said.
    said: String,
    calls: Vec<ToolCall>,
    broken: Vec<String>,
    /// Whether it ended in a loop.
    repeated: bool,
}

/// What calls came to, one sentence after the other.
fn answers(results: &[ToolResult]) -> String {
    match results {
        [] => MISUSED.to_owned(),
        results => results.iter().map(tools::answer).collect::<Vec<_>>().join(" "),
    }
}

impl Replied {
    /// Adds what was not written by the model, or was looked over.
    fn say(&mut self, text: &str, send: &mut dyn FnMut(TextDelta)) {
        let text = format!("{}{text}", if self.reply.trim().is_empty() { "" } else { " " });
        self.reply.push_str(&text);
        send(TextDelta::Text(text));
    }
}

impl Converse {
    pub(super) fn reply(
        &mut self,
        turn: Turn,
        question: String,
        emit: &mut Emit<'_, TextDelta>,
    ) -> anyhow::Result<Replied> {
        let mut send = |delta| {
            let _ = emit(Envelope::new(turn, delta));
        };
        let mut exchange = vec![Message { role: Role::User, content: question.clone() }];
        let mut replied = Replied::default();
        if let Some(matched) = self.toolbox.matched(&question) {
            replied.answered_by = AnsweredBy::Matcher;
            replied.tools = matched.tools;
            replied.say(&matched.reply, &mut send);
            exchange.push(Message { role: Role::Assistant, content: matched.reply });
            self.history.push(Exchange { turn, messages: exchange });
            return Ok(replied);
        }
        // What the last round's calls came to. Of these the model is to say something, if they went well.
        let mut results: Vec<ToolResult> = Vec::new();
        let mut is_second_try = false;
        for round in 0..=MAX_TOOL_ROUNDS {
            let prompt = self.compose(&exchange)?;
            replied.forgotten += std::mem::take(&mut self.forgotten);
            // What is to be looked over is not said while it is written.
            let is_checked = is_second_try || results.iter().any(ToolResult::is_of_command);
            let written = match is_checked {
                true => self.write(turn, &question, prompt, &mut replied, &mut |_| {})?,
                false => self.write(turn, &question, prompt, &mut replied, &mut send)?,
            };
            let Round { raw, said, calls, broken, repeated } = written;
            if repeated {
                tracing::warn!(%turn, "the model repeated itself and was stopped");
                replied.repeated = true;
                if !is_checked {
                    send(TextDelta::Cut);
                }
            }
            if !is_checked {
                replied.reply.push_str(&said);
            }
            let is_alive = self.turns.is_alive(turn);
            if (calls.is_empty() && broken.is_empty()) || round == MAX_TOOL_ROUNDS || !is_alive {
                let said = said.trim();
                let says_nothing = said.is_empty() && (repeated || !results.is_empty());
                let instead = if !is_alive {
                    None
                } else if !calls.is_empty() || !broken.is_empty() {
                    Some(CIRCLES.to_owned())
                } else if is_second_try || says_nothing || (is_checked && !tools::keeps_to(said, &results, &question)) {
                    Some(if repeated && results.is_empty() { LOST.to_owned() } else { answers(&results) })
                } else {
                    None
                };
                match &instead {
                    Some(sentence) => replied.say(sentence, &mut send),
                    None if is_checked => replied.say(said, &mut send),
                    None => {}
                }
                exchange.push(Message { role: Role::Assistant, content: instead.unwrap_or(raw) });
                break;
            }
            exchange.push(Message { role: Role::Assistant, content: raw });
            results.clear();
            for call in &calls {
                let result = self.call(turn, call);
                exchange.push(Message { role: Role::Tool, content: self.read_result(&result)? });
                replied.tools.push(result.clone());
                results.push(result);
            }
            for error in &broken {
                tracing::warn!(%turn, error, "the model wrote a tool call that can't be read");
                let result = json!({"ok": false, "error": error});
                exchange.push(Message { role: Role::Tool, content: spaced_json(&result) });
            }
            let is_mistaken = !broken.is_empty() || results.iter().any(|result| result.mistake);
            let is_settled = results.iter().any(|result| result.own_words || (!result.ok && !result.mistake));
            if is_settled || (is_mistaken && is_second_try) {
                let sentence = answers(&results);
                replied.say(&sentence, &mut send);
                exchange.push(Message { role: Role::Assistant, content: sentence });
                break;
            }
            is_second_try = is_mistaken;
        }
        replied.reply = replied.reply.trim().to_owned();
        self.history.push(Exchange { turn, messages: exchange });
        Ok(replied)
    }

    /// Has the model continue a prompt; what may be said at once goes to `send`.
    fn write(
        &mut self,
        turn: Turn,
        question: &str,
        prompt: Vec<TokenId>,
        replied: &mut Replied,
        send: &mut dyn FnMut(TextDelta),
    ) -> anyhow::Result<Round> {
        let held = tool_calls::held(&self.offered.0, &self.offered.1, question);
        let lazy = self.chat.constraints(&held);
        let reply = self.llm.run(Job {
            session: self.session,
            prompt,
            sampler: self.options.sampler,
            options: GenerateOptions {
                max_tokens: self.options.max_reply_tokens,
                lazy,
                thought: self.chat.thought_limit(),
                ..GenerateOptions::default()
            },
            cancel: self.turns.cancel_of(turn),
        });
        let mut filter = self.chat.parser();
        let (mut raw, mut said) = (String::new(), String::new());
        let Replied { tokens, first_token, cut_off, .. } = replied;
        let mut take = |text: &str| {
            first_token.get_or_insert_with(Instant::now);
            raw.push_str(text);
            let text = filter.push(text);
            said.push_str(&text);
            if !text.is_empty() {
                send(TextDelta::Text(text));
            }
            ControlFlow::Continue(())
        };
        let ended = reply.read(tokens, &mut take)?.unwrap_or(Finish::Stopped);
        *cut_off |= matches!(ended, Finish::MaxTokens | Finish::ContextFull);
        let ParsedReply { rest, calls, broken } = filter.finish();
        let repeated = matches!(ended, Finish::Repetition { .. });
        if repeated {
            let sound = ended.sound_part(&raw).to_owned();
            let mut filter = self.chat.parser();
            said = filter.push(&sound) + &filter.finish().rest;
            // A call that is whole stays, whatever followed it.
            raw = if calls.is_empty() { sound } else { raw };
        } else if !rest.is_empty() {
            said.push_str(&rest);
            send(TextDelta::Text(rest));
        }
        Ok(Round { raw: raw.trim().to_owned(), said, calls, broken, repeated })
    }

    fn call(&mut self, turn: Turn, call: &ToolCall) -> ToolResult {
        let cancel = self.turns.cancel_of(turn);
        let result = self.toolbox.call(call, &|| cancel.is_cancelled());
        tracing::debug!(%turn, tool = call.name, arguments = %call.arguments, result = %result.result, "tool");
        result
    }
}
