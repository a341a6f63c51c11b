//! What one turn comes to: what the model writes, round by round, the tools it calls in between, and what is said instead where it
//! does not come to its end.

use std::ops::ControlFlow;
use std::time::Instant;

use nearfield_home::sentences::wish::{Kind, Wish};
use nearfield_llm::{Constrained, Finish, GenerateOptions, Message, ParsedReply, Role, TokenId};
use serde_json::{Value, json};

use super::claims::{HonestText, claims};
use super::{Converse, Exchange};
use crate::flow::{Emit, Turn};
use crate::llm_thread::Job;
use crate::messages::{Envelope, TextDelta};
use crate::voice::notes::{AnsweredBy, Replied};
use crate::voice::tool_calls;
use crate::voice::tools::{self, Plan, ToolCall, ToolResult, spaced_json};

/// Rounds of tool calls in one turn; a model that wants more is going in circles.
pub(super) const MAX_TOOL_ROUNDS: usize = 4;

/// What is said where the model has nothing to say but the same again.
const LOST: &str = "I could not finish the answer, because the model repeated itself.";

/// What is said where the model does not get a call right.
const MISUSED: &str = "I could not do that: the call of the tool could not be read.";

/// What is said where the model calls one tool after another and comes to no end.
pub(super) const CIRCLES: &str = "I could not finish that, because the model called one tool after another.";

/// What is said where a wish came to nothing, and the model says otherwise.
const NOT_DONE: &str = "I have not done that: I found nothing here that I could do it with.";

/// What is said where the model claims a deed that nobody wished for.
const NOTHING_DONE: &str = "I have not changed anything.";

/// The longest answer to a question that was asked back, in words: "the one in the kitchen".
const MOST_ANSWER_WORDS: usize = 6;

/// How a reply is held while it is written.
#[derive(Default)]
struct Held {
    /// The text with which it begins, and which ends the prompt.
    opening: String,
    /// What all of it must fit.
    whole: Option<Constrained>,
}

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
pub(super) fn answers(results: &[ToolResult]) -> String {
    match results {
        [] => MISUSED.to_owned(),
        results => results.iter().map(tools::answer).collect::<Vec<_>>().join(" "),
    }
}

/// A question with the states that it may be about.
fn told(facts: &str, question: &str) -> String {
    if facts.is_empty() { question.to_owned() } else { format!("{facts}\n{question}") }
}

/// Whether a sentence of a reply to a wish claims that something was done.
fn claims_any(reply: &str) -> bool {
    reply.split_inclusive(['.', '!', '?', '\n', ',']).any(|clause| claims(clause, true))
}

/// The same for an answer to a question, where a state is none.
fn claims_any_deed(reply: &str) -> bool {
    reply.split_inclusive(['.', '!', '?', '\n', ',']).any(|clause| claims(clause, false))
}

impl Replied {
    /// Adds what was not written by the model, or was looked over.
    pub(super) fn say(&mut self, text: &str, send: &mut dyn FnMut(TextDelta)) {
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
        self.toolbox.begin(&question);
        let mut exchange = vec![Message { role: Role::User, content: question.clone() }];
        let mut replied = Replied::default();
        if let Some(matched) = self.toolbox.consent(&question).or_else(|| self.toolbox.matched(&question)) {
            replied.answered_by = AnsweredBy::Matcher;
            replied.tools = matched.tools;
            replied.say(&matched.reply, &mut send);
            exchange.push(Message { role: Role::Assistant, content: matched.reply });
            self.history.push(Exchange { turn, is_remote: false, messages: exchange });
            return Ok(replied);
        }
        if self.is_for_remote(&question)
            && let Some(said) = self.ask_remote(turn, &question, &mut replied, &mut send)?
        {
            exchange.push(Message { role: Role::Assistant, content: said });
            self.history.push(Exchange { turn, is_remote: true, messages: exchange });
            return Ok(replied);
        }
        let plan = self.plan(&question);
        let is_wish = match &plan {
            Plan::Ask(asked) => {
                replied.say(asked, &mut send);
                exchange.push(Message { role: Role::Assistant, content: asked.clone() });
                self.history.push(Exchange { turn, is_remote: false, messages: exchange });
                self.asked = Some(question);
                return Ok(replied);
            }
            Plan::Call(steps) => {
                if self.make_calls(turn, steps, &mut exchange, &mut replied)? {
                    let sentence = answers(&replied.tools);
                    replied.say(&sentence, &mut send);
                    exchange.push(Message { role: Role::Assistant, content: sentence });
                    self.history.push(Exchange { turn, is_remote: false, messages: exchange });
                    return Ok(replied);
                }
                true
            }
            Plan::Free { is_wish } | Plan::Speak { is_wish, .. } => *is_wish,
        };
        // What the last round's calls came to. Of these the model is to say something, if they went well.
        let mut results: Vec<ToolResult> = Vec::new();
        let mut is_second_try = false;
        for round in 0..=MAX_TOOL_ROUNDS {
            let (prompt, held) = match &plan {
                Plan::Speak { facts, .. } => {
                    let told = [Message { role: Role::User, content: told(&facts.told, &question) }];
                    (self.compose(&told)?, Held { whole: self.chat.plain(), ..Held::default() })
                }
                _ => (self.compose(&exchange)?, Held::default()),
            };
            replied.forgotten += std::mem::take(&mut self.forgotten);
            let was_done = replied.tools.iter().any(|result| result.ok && !result.is_of_command());
            // What is to be looked over is not said while it is written.
            let facts = match &plan {
                Plan::Speak { facts, .. } if !facts.is_empty() => Some(facts),
                _ => None,
            };
            let is_checked = is_second_try
                || results.iter().any(ToolResult::is_of_command)
                || (is_wish && !was_done)
                || facts.is_some();
            let mut honest = (!is_checked && !was_done).then(HonestText::default);
            let mut passed = String::new();
            let written = match is_checked {
                true => self.write(turn, &question, prompt, held, &mut replied, &mut |_| {})?,
                false => {
                    let mut filtered = |delta| match (&mut honest, delta) {
                        (Some(honest), TextDelta::Text(text)) => {
                            let text = honest.push(&text);
                            passed.push_str(&text);
                            if !text.is_empty() {
                                send(TextDelta::Text(text));
                            }
                        }
                        (_, delta) => send(delta),
                    };
                    self.write(turn, &question, prompt, held, &mut replied, &mut filtered)?
                }
            };
            let mut written = written;
            if let Some(mut honest) = honest {
                let rest = honest.finish();
                passed.push_str(&rest);
                if !rest.is_empty() && !written.repeated {
                    send(TextDelta::Text(rest));
                }
                if honest.dropped {
                    tracing::info!(%turn, said = written.said, "the model claimed what was not done");
                    if passed.trim().is_empty() && written.calls.is_empty() {
                        NOTHING_DONE.clone_into(&mut passed);
                        send(TextDelta::Text(passed.clone()));
                    }
                    written.raw = passed.trim().to_owned();
                    written.said = passed;
                }
            }
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
                } else if is_wish && !was_done && results.is_empty() && (said.is_empty() || claims_any(said)) {
                    tracing::info!(%turn, said, "the model claimed what was not done");
                    Some(NOT_DONE.to_owned())
                } else if let Some(facts) = facts.filter(|facts| !facts.agree_with(said, &question)) {
                    tracing::info!(%turn, said, "the model contradicted the states");
                    Some(facts.answer.clone())
                } else if facts.is_some() && claims_any_deed(said) {
                    Some(NOTHING_DONE.to_owned())
                } else if is_second_try
                    || says_nothing
                    || (!results.is_empty() && is_checked && !tools::keeps_to(said, &results, &question))
                {
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
            // Of the home's own tools it is known what they did: a model that was not trained on them is not asked to word it.
            let is_known = !self.llm.llm().knows_tools()
                && broken.is_empty()
                && results.iter().all(|it| it.ok && !it.is_of_command());
            let is_settled =
                is_known || results.iter().any(|result| result.own_words || (!result.ok && !result.mistake));
            if is_settled || (is_mistaken && is_second_try) {
                let sentence = answers(&results);
                replied.say(&sentence, &mut send);
                exchange.push(Message { role: Role::Assistant, content: sentence });
                break;
            }
            is_second_try = is_mistaken;
        }
        replied.reply = replied.reply.trim().to_owned();
        self.history.push(Exchange { turn, is_remote: false, messages: exchange });
        Ok(replied)
    }

    /// What a request may come to. A model that was trained on our tools decides for itself.
    fn plan(&mut self, question: &str) -> Plan {
        let asked = self.asked.take();
        if self.llm.llm().knows_tools() {
            return Plan::Free { is_wish: false };
        }
        // The answer to a question that was asked back goes on with the wish.
        let answer = Wish::of(question);
        let is_answer = answer.kind == Kind::Talk && answer.words().len() <= MOST_ANSWER_WORDS;
        let plan = asked.filter(|_| is_answer).map(|wish| self.toolbox.plan(&format!("{wish} {question}")));
        match plan {
            Some(plan @ Plan::Call(_)) => plan,
            _ => self.toolbox.plan(question),
        }
    }

    /// Has the model make one call for each step; answers whether all that were made can be told. Where the first one cannot be
    /// held, nothing has happened.
    fn make_calls(
        &mut self,
        turn: Turn,
        steps: &[Vec<Value>],
        exchange: &mut Vec<Message>,
        replied: &mut Replied,
    ) -> anyhow::Result<bool> {
        for schemas in steps {
            let Some(forced) = self.chat.forced(schemas) else { return Ok(!replied.tools.is_empty()) };
            let mut prompt = self.compose(exchange)?;
            replied.forgotten += std::mem::take(&mut self.forgotten);
            prompt.extend_from_slice(&forced.tokens);
            let held = Held { opening: forced.opening, whole: Some(forced.constraint) };
            let Round { raw, calls, .. } = self.write(turn, "", prompt, held, replied, &mut |_| {})?;
            let Some(call) = calls.into_iter().next().filter(|_| self.turns.is_alive(turn)) else {
                return Ok(!replied.tools.is_empty());
            };
            exchange.push(Message { role: Role::Assistant, content: raw });
            let result = self.call(turn, &call);
            exchange.push(Message { role: Role::Tool, content: self.read_result(&result)? });
            let failed = !result.ok;
            replied.tools.push(result);
            if failed {
                break; // what follows may rest on it
            }
        }
        Ok(true)
    }

    /// Has the model continue a prompt; what may be said at once goes to `send`.
    fn write(
        &mut self,
        turn: Turn,
        question: &str,
        prompt: Vec<TokenId>,
        held: Held,
        replied: &mut Replied,
        send: &mut dyn FnMut(TextDelta),
    ) -> anyhow::Result<Round> {
        let Held { opening, whole } = held;
        let lazy = match &whole {
            Some(_) => Vec::new(),
            None => self.chat.constraints(&tool_calls::held(&self.offered.0, &self.offered.1, question)),
        };
        let reply = self.llm.run(Job {
            session: self.session,
            prompt,
            sampler: self.options.sampler,
            options: GenerateOptions {
                max_tokens: self.options.max_reply_tokens,
                constraint: whole,
                lazy,
                thought: self.chat.thought_limit(),
                ..GenerateOptions::default()
            },
            cancel: self.turns.cancel_of(turn),
        });
        let mut filter = self.chat.parser();
        let mut said = filter.push(&opening);
        let mut raw = opening;
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

    pub(super) fn call(&mut self, turn: Turn, call: &ToolCall) -> ToolResult {
        let cancel = self.turns.cancel_of(turn);
        let result = self.toolbox.call(call, &|| cancel.is_cancelled());
        tracing::debug!(%turn, tool = call.name, arguments = %call.arguments, result = %result.result, "tool");
        result
    }
}
