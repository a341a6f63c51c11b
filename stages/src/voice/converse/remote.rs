//! The last of those who answer: a larger model elsewhere, where the configuration allows it. What of the home it reads depends on
//! which requests are its; where it is away, or breaks off, the local model answers.

use nearfield_llm::{ParsedReply, Role};
use serde_json::{Value, json};

use super::Converse;
use super::ending::{CIRCLES, answers};
use super::reply::MAX_TOOL_ROUNDS;
use crate::flow::Turn;
use crate::messages::TextDelta;
use crate::remote::{RemoteError, Request, When};
use crate::voice::notes::{AnsweredBy, Replied};
use crate::voice::tools::{Plan, ToolCall, ToolResult};

/// Text that is said sentence by sentence, so that nothing is left half said where an answer breaks off.
#[derive(Default)]
struct Sentences {
    held: String,
}

impl Sentences {
    /// The whole sentences so far.
    fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        let ends = |(at, c): (usize, char)| {
            let end = at + c.len_utf8();
            let followed = self.held[end..].starts_with(char::is_whitespace);
            (c == '\n' || followed && matches!(c, '.' | '!' | '?' | '…') || matches!(c, '。' | '！' | '？'))
                .then_some(end)
        };
        let end = self.held.char_indices().filter_map(ends).next_back().unwrap_or(0);
        let rest = self.held.split_off(end);
        std::mem::replace(&mut self.held, rest)
    }
}

impl Converse {
    /// Whether a request is the remote model's.
    pub(super) fn is_for_remote(&self, question: &str) -> bool {
        match self.remote.as_ref().map(crate::remote::Remote::when) {
            None | Some(When::Never) => false,
            Some(When::Always) => true,
            Some(When::Pass) => match self.toolbox.plan(question) {
                Plan::Free { .. } => true,
                Plan::Speak { facts, .. } => facts.is_empty(),
                Plan::Call(_) | Plan::Ask(_) => false,
            },
        }
    }

    /// The conversation as an endpoint takes it. One that only gets what is about nothing in the home reads nothing of it: neither
    /// its state nor what was said of it.
    fn remote_messages(&self, question: &str, knows_home: bool) -> Vec<Value> {
        let system = if knows_home { self.system().content } else { self.options.system.clone() };
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(json!({"role": "system", "content": system}));
        }
        let summary = if knows_home { self.summary.messages() } else { Vec::new() };
        for message in summary {
            messages.push(json!({"role": message.role, "content": message.content}));
        }
        for exchange in self.history.iter().filter(|exchange| knows_home || exchange.is_remote) {
            let asked = exchange.messages.iter().find(|message| message.role == Role::User);
            let said = exchange.messages.iter().rfind(|message| message.role == Role::Assistant);
            if let (Some(asked), Some(said)) = (asked, said) {
                messages.push(json!({"role": "user", "content": asked.content}));
                messages.push(json!({"role": "assistant", "content": said.content}));
            }
        }
        messages.push(json!({"role": "user", "content": question}));
        messages
    }

    /// Has the remote model answer. Where it answers nothing, or not all, what it said stands in `replied`, and the answer is `None`;
    /// else it is what was said.
    pub(super) fn ask_remote(
        &mut self,
        turn: Turn,
        question: &str,
        replied: &mut Replied,
        send: &mut dyn FnMut(TextDelta),
    ) -> anyhow::Result<Option<String>> {
        let Some(mut remote) = self.remote.take() else { return Ok(None) };
        let tools = match remote.when() {
            When::Always => self.toolbox.schemas(),
            When::Pass | When::Never => self.toolbox.schemas_without_home(),
        };
        let mut messages = self.remote_messages(question, remote.when() == When::Always);
        let mut results: Vec<ToolResult> = Vec::new();
        let mut before: Vec<ToolCall> = Vec::new();
        let mut said = String::new();
        let outcome = loop {
            let (mut filter, mut honest, mut sentences) =
                (self.chat.parser(), self.honest_text(question, false), Sentences::default());
            let was_done = results.iter().any(|result| result.ok);
            let mut say = |text: String, said: &mut String| {
                if !text.is_empty() {
                    said.push_str(&text);
                    send(TextDelta::Text(text));
                }
            };
            let turns = &self.turns;
            let mut sink = |text: &str| {
                replied.first_token.get_or_insert_with(std::time::Instant::now);
                let text = filter.push(text);
                let text = if was_done { text } else { honest.push(&text) };
                say(sentences.push(&text), &mut said);
            };
            let answer = remote.complete(&mut Request {
                messages: &messages,
                tools: &tools,
                max_tokens: self.options.max_reply_tokens,
                is_wanted: &|| turns.is_alive(turn),
                sink: &mut sink,
            });
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => break Err(error),
            };
            let ParsedReply { rest, calls: written, .. } = filter.finish();
            let rest = if was_done { rest } else { honest.push(&rest) + &honest.finish() };
            say(std::mem::take(&mut sentences.held) + &rest, &mut said);
            replied.cut_off |= answer.cut_off;
            let mut calls = answer.calls;
            calls.extend(
                written
                    .into_iter()
                    .enumerate()
                    .map(|(at, call)| crate::remote::RemoteCall { id: format!("text_{at}"), call }),
            );
            if calls.is_empty() {
                break Ok(None);
            }
            let wanted: Vec<ToolCall> = calls.iter().map(|call| call.call.clone()).collect();
            if wanted == before || replied.tools.len() >= MAX_TOOL_ROUNDS * 4 || !self.turns.is_alive(turn) {
                break Ok(Some(CIRCLES.to_owned()));
            }
            before = wanted;
            let told: Vec<Value> = calls
                .iter()
                .map(|call| {
                    let arguments = call.call.arguments.to_string();
                    json!({"id": call.id, "type": "function", "function": {"name": call.call.name, "arguments": arguments}})
                })
                .collect();
            messages.push(json!({"role": "assistant", "content": answer.text, "tool_calls": told}));
            for call in &calls {
                let is_offered = tools.iter().any(|tool| tool["function"]["name"] == call.call.name.as_str());
                let result = match is_offered {
                    true => self.call(turn, &call.call),
                    false => self.toolbox.unknown(&call.call),
                };
                messages.push(json!({"role": "tool", "tool_call_id": call.id, "content": self.read_result(&result)?}));
                replied.tools.push(result.clone());
                results.push(result);
            }
        };
        self.remote = Some(remote);
        let instead = match outcome {
            Ok(instead) => instead,
            Err(RemoteError::Cancelled) => None,
            // What was done is told; the rest of the answer is lost.
            Err(_) if !results.is_empty() => Some(answers(&results)),
            Err(_) => {
                if !said.is_empty() {
                    said.push(' ');
                    send(TextDelta::Text(" ".to_owned()));
                }
                replied.reply = said;
                return Ok(None);
            }
        };
        replied.answered_by = AnsweredBy::Remote;
        replied.reply = said;
        if let Some(sentence) = instead {
            replied.say(&sentence, send);
        }
        if replied.reply.trim().is_empty() && self.turns.is_alive(turn) {
            match results.is_empty() {
                true => return Ok(None),
                false => replied.say(&answers(&results), send),
            }
        }
        Ok(Some(replied.reply.trim().to_owned()))
    }
}
