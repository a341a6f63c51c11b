//! What one turn comes to: what the model writes, round by round, the tools it calls in between, and what is said instead where it
//! does not come to its end.

use std::ops::ControlFlow;
use std::time::Instant;

use nearfield_home::sentences::wish::{Kind, Wish};
use nearfield_llm::{Constrained, Finish, GenerateOptions, Message, ParsedReply, Role, TokenId};
use serde_json::{Value, json};

use super::asides::{self, Budget, Forgets};
use super::copies::Copies;
use super::draft::{Begun, Rest, Times};
use super::ending::{Ending, MISUSED, NOTHING_DONE, answers, facts_of, is_wish};
use super::{Converse, Exchange};
use crate::flow::{Cancel, Emit, Turn};
use crate::llm_thread::{Job, Reply};
use crate::messages::{Envelope, TextDelta};
use crate::voice::notes::{AnsweredBy, Replied};
use crate::voice::tool_calls;
use crate::voice::tools::{Plan, ToolCall, ToolResult, spaced_json};

/// Rounds of tool calls in one turn; a model that wants more is going in circles.
pub(super) const MAX_TOOL_ROUNDS: usize = 4;

/// What is said where the model says of the home what is not so.
const NOT_UNDERSTOOD: &str = "I did not understand that.";

/// The longest answer to a question that was asked back, in words: "the one in the kitchen".
const MOST_ANSWER_WORDS: usize = 6;

/// How a reply is held while it is written.
#[derive(Default)]
pub(super) struct Held {
    /// The text with which it begins, and which ends the prompt.
    pub(super) opening: String,
    /// What all of it must fit.
    pub(super) whole: Option<Constrained>,
    /// What of it is said while it is written.
    pub(super) said: SaidAs,
}

/// What the model is to continue.
struct Writing<'a> {
    turn: Turn,
    /// For whose words tools are offered.
    question: &'a str,
    prompt: Vec<TokenId>,
    held: Held,
    /// What is asked, where a reply that only repeats an earlier one is to be written anew.
    exchange: &'a [Message],
}

/// What of a reply is said while it is written.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum SaidAs {
    /// Nothing: it is checked first.
    #[default]
    Nothing,
    /// All but sentences that claim what was not done.
    Honest,
    /// All of it.
    Written,
}

/// Who answered a request.
enum Answered {
    /// The matcher, a question back, or forced calls.
    Here,
    /// The remote model.
    Remotely,
    /// Nobody yet: the local model is to write.
    Not(Plan),
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
    /// Whether more may be said than was.
    has_more: bool,
}

/// A question with the states that it may be about.
fn told(facts: &str, question: &str) -> String {
    if facts.is_empty() { question.to_owned() } else { format!("{facts}\n{question}") }
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
        let is_remote = match self.answer_elsewhere(turn, &question, &mut exchange, &mut replied, &mut send)? {
            Answered::Here => false,
            Answered::Remotely => true,
            Answered::Not(plan) => {
                self.write_reply(turn, &question, &plan, &mut exchange, &mut replied, &mut send)?;
                if let Some(left_out) = self.toolbox.times_left_out() {
                    replied.say(&left_out, &mut send);
                }
                false
            }
        };
        // A question that got no answer would stand there alone, which many templates refuse.
        if exchange.len() > 1 {
            let has_acted = replied.answered_by == AnsweredBy::Matcher || !replied.tools.is_empty();
            self.history.push(Exchange { turn, is_remote, has_acted, messages: exchange });
        }
        if !replied.reply.is_empty() {
            self.last_reply.clone_from(&replied.reply);
        }
        Ok(replied)
    }

    /// Answers with the sentence matcher, the remote model, a question back or forced calls, where one of them can.
    fn answer_elsewhere(
        &mut self,
        turn: Turn,
        question: &str,
        exchange: &mut Vec<Message>,
        replied: &mut Replied,
        send: &mut dyn FnMut(TextDelta),
    ) -> anyhow::Result<Answered> {
        if asides::is_again(question) {
            let again = if self.last_reply.is_empty() { asides::NOTHING_YET } else { &self.last_reply };
            replied.answered_by = AnsweredBy::Matcher;
            replied.say(again, send);
            exchange.push(Message { role: Role::Assistant, content: again.to_owned() });
            return Ok(Answered::Here);
        }
        if std::mem::take(&mut self.offers_more) && asides::is_go_on(question) {
            return Ok(Answered::Not(Plan::Free { is_wish: false }));
        }
        self.hold.wait(&self.turns.cancel_of(turn));
        if !self.turns.is_alive(turn) {
            return Ok(Answered::Here);
        }
        let consent = self.toolbox.consent(question);
        if let Some(what) = Forgets::of(question) {
            // Neither this nor its answer stands in the history.
            self.forget(what);
            replied.answered_by = AnsweredBy::Matcher;
            replied.say(what.said(), send);
            return Ok(Answered::Here);
        }
        if let Some(matched) = consent.or_else(|| self.toolbox.matched(question)) {
            replied.answered_by = AnsweredBy::Matcher;
            replied.tools = matched.tools;
            replied.say(&matched.reply, send);
            exchange.push(Message { role: Role::Assistant, content: matched.reply });
            return Ok(Answered::Here);
        }
        let about_itself = asides::dismissed(question).map(str::to_owned).or_else(|| self.volume.asked(question));
        if let Some(said) = about_itself {
            self.asked = None;
            replied.answered_by = AnsweredBy::Matcher;
            if !said.is_empty() {
                replied.say(&said, send);
                exchange.push(Message { role: Role::Assistant, content: said });
            }
            return Ok(Answered::Here);
        }
        if self.is_for_remote(question)
            && let Some(said) = self.ask_remote(turn, question, replied, send)?
        {
            exchange.push(Message { role: Role::Assistant, content: said });
            return Ok(Answered::Remotely);
        }
        let plan = self.plan(question);
        let sentence = match &plan {
            Plan::Ask(asked) => {
                self.asked = Some(question.to_owned());
                asked.clone()
            }
            Plan::Call(steps) if self.make_calls(turn, steps, exchange, replied)? => answers(&replied.tools),
            Plan::Call(_) | Plan::Free { .. } | Plan::Speak { .. } => return Ok(Answered::Not(plan)),
        };
        replied.say(&sentence, send);
        exchange.push(Message { role: Role::Assistant, content: sentence });
        Ok(Answered::Here)
    }

    /// Has the local model write, and makes the calls that it wants made, round by round.
    fn write_reply(
        &mut self,
        turn: Turn,
        question: &str,
        plan: &Plan,
        exchange: &mut Vec<Message>,
        replied: &mut Replied,
        send: &mut dyn FnMut(TextDelta),
    ) -> anyhow::Result<()> {
        let (is_wish, facts) = (is_wish(plan), facts_of(plan));
        // What the last round's calls came to. Of these the model is to say something, if they went well.
        let mut results: Vec<ToolResult> = Vec::new();
        let mut is_second_try = false;
        for round in 0..=MAX_TOOL_ROUNDS {
            let (prompt, mut held) = self.first_round(plan, question, exchange)?;
            replied.forgotten += std::mem::take(&mut self.forgotten);
            let was_done = replied.tools.iter().any(|result| result.ok && !result.is_of_command());
            // What is to be looked over is not said while it is written.
            let is_checked = is_second_try
                || results.iter().any(ToolResult::is_of_command)
                || (is_wish && !was_done)
                || facts.is_some();
            held.said = match (is_checked, was_done) {
                (true, _) => SaidAs::Nothing,
                (false, true) => SaidAs::Written,
                (false, false) => SaidAs::Honest,
            };
            let Round { raw, said, mut calls, mut broken, repeated, .. } =
                self.write_and_say(Writing { turn, question, prompt, held, exchange }, replied, send)?;
            if matches!(plan, Plan::Speak { .. }) && !(calls.is_empty() && broken.is_empty()) {
                // JSON that names a tool: nothing is to be done here.
                (calls, broken) = (Vec::new(), Vec::new());
                if said.trim().is_empty() && replied.reply.trim().is_empty() {
                    replied.say(MISUSED, send);
                }
            }
            let is_alive = self.turns.is_alive(turn);
            let wants_calls = !calls.is_empty() || !broken.is_empty();
            if !wants_calls || round == MAX_TOOL_ROUNDS || !is_alive {
                let said = said.trim();
                let results = results.as_slice();
                let ending = Ending {
                    question,
                    facts,
                    results,
                    is_wish,
                    was_done,
                    is_checked,
                    is_second_try,
                    wants_calls,
                    repeated,
                };
                let instead = if is_alive { ending.instead_of(turn, said) } else { None };
                match &instead {
                    Some(sentence) => replied.say(sentence, send),
                    None if is_checked => replied.say(said, send),
                    None => {}
                }
                exchange.push(Message { role: Role::Assistant, content: instead.unwrap_or(raw) });
                break;
            }
            exchange.push(Message { role: Role::Assistant, content: raw });
            results = self.answer_calls(turn, &calls, &broken, exchange)?;
            replied.tools.extend(results.iter().cloned());
            let is_mistaken = !broken.is_empty() || results.iter().any(|result| result.mistake);
            // Of the home's own tools it is known what they did: a model that was not trained on them is not asked to word it.
            let is_known = !self.llm.llm().knows_tools()
                && broken.is_empty()
                && results.iter().all(|it| it.ok && !it.is_of_command());
            let is_settled =
                is_known || results.iter().any(|result| result.own_words || (!result.ok && !result.mistake));
            if is_settled || (is_mistaken && is_second_try) {
                let sentence = answers(&results);
                replied.say(&sentence, send);
                exchange.push(Message { role: Role::Assistant, content: sentence });
                break;
            }
            is_second_try = is_mistaken;
        }
        replied.reply = replied.reply.trim().to_owned();
        Ok(())
    }

    /// What the model is to continue after `exchange`, and how what it writes is held. What is said of it is that of a first round.
    pub(super) fn first_round(
        &mut self,
        plan: &Plan,
        question: &str,
        exchange: &[Message],
    ) -> anyhow::Result<(Vec<TokenId>, Held)> {
        let said = match is_wish(plan) || facts_of(plan).is_some() {
            true => SaidAs::Nothing,
            false => SaidAs::Honest,
        };
        Ok(match plan {
            Plan::Speak { facts, is_wish } => {
                let told = [Message { role: Role::User, content: told(&facts.told, question) }];
                // What is asked for may be code, a table or JSON; states and wishes are answered in sentences.
                let is_open = facts.is_empty() && !*is_wish;
                let whole = if is_open { self.chat.prose() } else { self.chat.plain() };
                (self.compose(&told)?, Held { whole, said, ..Held::default() })
            }
            _ => (self.compose(exchange)?, Held { said, ..Held::default() }),
        })
    }

    /// Makes the calls of a round, and tells the model what they came to.
    fn answer_calls(
        &mut self,
        turn: Turn,
        calls: &[ToolCall],
        broken: &[String],
        exchange: &mut Vec<Message>,
    ) -> anyhow::Result<Vec<ToolResult>> {
        let mut results = Vec::new();
        for call in calls {
            let result = self.call(turn, call);
            exchange.push(Message { role: Role::Tool, content: self.read_result(&result)? });
            results.push(result);
        }
        for error in broken {
            tracing::warn!(%turn, error, "the model wrote a tool call that can't be read");
            let result = json!({"ok": false, "error": error});
            exchange.push(Message { role: Role::Tool, content: spaced_json(&result) });
        }
        Ok(results)
    }

    /// Has the model write a round, of which as much is said as `held` allows.
    fn write_and_say(
        &mut self,
        writing: Writing<'_>,
        replied: &mut Replied,
        send: &mut dyn FnMut(TextDelta),
    ) -> anyhow::Result<Round> {
        let (turn, said_as) = (writing.turn, writing.held.said);
        let written = match said_as {
            SaidAs::Nothing => self.write(writing, replied, &mut |delta| {
                if matches!(delta, TextDelta::Begin { .. }) {
                    send(delta);
                }
            })?,
            SaidAs::Written => self.write(writing, replied, send)?,
            SaidAs::Honest => {
                let (mut honest, mut passed) =
                    (self.honest_text(writing.question, self.llm.llm().knows_tools()), String::new());
                let mut filtered = |delta| match delta {
                    TextDelta::Text(text) => {
                        let text = honest.push(&text);
                        passed.push_str(&text);
                        if !text.is_empty() {
                            send(TextDelta::Text(text));
                        }
                    }
                    delta => send(delta),
                };
                let mut written = self.write(writing, replied, &mut filtered)?;
                let rest = honest.finish();
                passed.push_str(&rest);
                if !rest.is_empty() && !written.repeated {
                    send(TextDelta::Text(rest));
                }
                if honest.dropped {
                    tracing::info!(%turn, said = written.said, "the model claimed what is not so");
                    if passed.trim().is_empty() && written.calls.is_empty() {
                        let instead = if honest.untrue { NOT_UNDERSTOOD } else { NOTHING_DONE };
                        instead.clone_into(&mut passed);
                        send(TextDelta::Text(passed.clone()));
                    }
                    written.raw = passed.trim().to_owned();
                    written.said = passed;
                }
                written
            }
        };
        if written.repeated {
            tracing::warn!(%turn, "the model repeated itself and was stopped");
            replied.repeated = true;
        }
        if said_as != SaidAs::Nothing {
            if written.repeated {
                send(TextDelta::Cut);
            }
            replied.reply.push_str(&written.said);
        }
        Ok(written)
    }

    /// What a request may come to. A model that was trained on our tools decides for itself.
    pub(super) fn plan(&mut self, question: &str) -> Plan {
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
            let held = Held { opening: forced.opening, whole: Some(forced.constraint), ..Held::default() };
            let Round { raw, calls, .. } =
                self.write(Writing { turn, question: "", prompt, held, exchange: &[] }, replied, &mut |_| {})?;
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
        writing: Writing<'_>,
        replied: &mut Replied,
        send: &mut dyn FnMut(TextDelta),
    ) -> anyhow::Result<Round> {
        let Writing { turn, question, prompt, held: Held { opening, whole, said: said_as }, exchange } = writing;
        let begun = match self.begun(turn, &prompt, &opening, whole.is_some()) {
            Some(begun) => {
                replied.ahead.kept = true;
                send(TextDelta::Begin { haste: begun.haste, is_late: false });
                begun
            }
            None => {
                let haste = self.haste(said_as);
                let is_late = self.pace.is_late(turn, self.speech_ended, haste, said_as == SaidAs::Nothing);
                send(TextDelta::Begin { haste, is_late });
                Begun::new(self.submit(prompt, whole, question, self.turns.cancel_of(turn)), haste)
            }
        };
        let haste = begun.haste;
        let copies = if begun.is_alone { Copies::none() } else { self.copies(question, exchange, said_as) };
        // What is looked over is not said while it is written, and is short.
        let words_at_once = if said_as == SaidAs::Nothing { 0 } else { self.options.words_at_once };
        let budget = Budget::of(words_at_once, question);
        let round = match self.read_round(begun, opening, (copies, budget.clone()), replied, send)? {
            Some(round) => round,
            None => {
                tracing::debug!(%turn, "the model repeated an earlier reply and is prompted without it");
                let prompt = self.compose_alone(exchange)?;
                let begun = Begun::new(self.submit(prompt, None, question, self.turns.cancel_of(turn)), haste);
                let round = self.read_round(begun, String::new(), (Copies::none(), budget), replied, send)?;
                round.expect("nothing was compared")
            }
        };
        self.offers_more = round.has_more;
        Ok(round)
    }

    /// What a reply is compared with while it is written.
    pub(super) fn copies(&self, question: &str, exchange: &[Message], said_as: SaidAs) -> Copies {
        let is_free = said_as == SaidAs::Honest && exchange.len() == 1 && !self.llm.llm().knows_tools();
        if is_free { Copies::of(&self.history, question) } else { Copies::none() }
    }

    /// Reads what the model writes; `None` where that repeats an earlier reply, of which nothing has been sent then.
    fn read_round(
        &self,
        begun: Begun,
        opening: String,
        (mut copies, mut budget): (Copies, Budget),
        replied: &mut Replied,
        send: &mut dyn FnMut(TextDelta),
    ) -> anyhow::Result<Option<Round>> {
        let (mut waiting, mut has_more) = (String::new(), false);
        let mut filter = self.chat.parser();
        let mut said = filter.push(&opening);
        let mut raw = opening;
        let Replied { tokens, first_token, cut_off, .. } = replied;
        // A draft has told its times already.
        let mut times = begun.pieces.is_empty().then(|| Times::begin(&self.pace));
        let mut take = |text: &str| {
            if let Some(times) = &mut times {
                times.token(first_token.is_none());
            }
            first_token.get_or_insert_with(Instant::now);
            let mut filtered = filter.push(text);
            let left = budget.take(&filtered).map(str::len);
            match left {
                None => raw.push_str(text),
                Some(left) => {
                    filtered.truncate(left);
                    raw.push_str(&filtered);
                    has_more = true;
                }
            }
            let text = filtered;
            said.push_str(&text);
            waiting.push_str(&text);
            match copies.push(&text) {
                None => {}
                Some(true) => return ControlFlow::Break(()),
                Some(false) if waiting.is_empty() => {}
                Some(false) => send(TextDelta::Text(std::mem::take(&mut waiting))),
            }
            if has_more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        *tokens += begun.tokens;
        let is_read = begun.pieces.iter().try_for_each(|piece| take(piece));
        let ended = match begun.rest {
            _ if is_read.is_break() => Finish::Stopped,
            Rest::Coming(reply) => reply.read(tokens, &mut take)?.unwrap_or(Finish::Stopped),
            Rest::Ended(finish) => finish,
        };
        if copies.finish() {
            return Ok(None);
        }
        if has_more {
            let offer = if said.ends_with(' ') { asides::OFFER.trim_start() } else { asides::OFFER };
            [&mut raw, &mut said, &mut waiting].into_iter().for_each(|text| text.push_str(offer));
        }
        if !waiting.is_empty() {
            send(TextDelta::Text(waiting));
        }
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
        Ok(Some(Round { raw: raw.trim().to_owned(), said, calls, broken, repeated, has_more }))
    }

    /// Has the model continue a prompt.
    pub(super) fn submit(
        &mut self,
        prompt: Vec<TokenId>,
        whole: Option<Constrained>,
        question: &str,
        cancel: Cancel,
    ) -> Reply {
        let lazy = match &whole {
            Some(_) => Vec::new(),
            None => self.chat.constraints(&tool_calls::held(&self.offered.0, &self.offered.1, question)),
        };
        self.llm.run(Job {
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
            cancel,
        })
    }

    pub(super) fn call(&mut self, turn: Turn, call: &ToolCall) -> ToolResult {
        let cancel = self.turns.cancel_of(turn);
        self.hold.wait(&cancel);
        let result = self.toolbox.call(call, &|| cancel.is_cancelled());
        tracing::debug!(%turn, tool = call.name, arguments = %call.arguments, result = %result.result, "tool");
        result
    }
}
