//! The conversation: transcripts in, the reply's text out. Composes the prompt, has the model continue it, lets it use
//! tools, and keeps the history in one session whose cache is reused from turn to turn.
//!
//! What stands in the prompt, in this order: the system text, the home's state, the history, the question. The first two
//! change seldom, the history only grows; so a question costs its own tokens and little more. After each turn, and when
//! the home changes, the new beginning is kept warm while nobody speaks. What follows a changed home or a dropped turn is
//! moved within the cache rather than computed anew.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender};
use nearfield_llm::{
    Chat, ChatOptions, Finish, GenerateOptions, LlmError, Message, ParsedReply, Role, SamplerOptions, SessionOptions,
    TokenId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::flow::{Emit, Failure, Stage, Turn, Turns};
use crate::llm_thread::{Event, Job, LlmThread, SessionId, Urgency};
use crate::messages::{Envelope, Played, TextDelta, Tokens, Transcript};
use crate::voice::home::HomeLayout;
use crate::voice::notes::{Note, Replied};
use crate::voice::tool_calls;
use crate::voice::tools::{self, ToolCall, ToolResult, Toolbox, spaced_json};

/// Rounds of tool calls in one turn; a model that wants more is going in circles.
const MAX_TOOL_ROUNDS: usize = 4;

/// What is said where the model has nothing to say but the same again.
const LOST: &str = "I could not finish the answer, because the model repeated itself.";

/// What is said where the model does not get a call right.
const MISUSED: &str = "I could not do that: the call of the tool could not be read.";

/// What is said where the model calls one tool after another and comes to no end.
const CIRCLES: &str = "I could not finish that, because the model called one tool after another.";

/// The shortest run of tokens that is moved within the cache. Shorter ones are as soon computed.
const LEAST_MOVED_TOKENS: usize = 24;

/// The most tokens of a tool's result that the model reads; a smaller context allows fewer.
pub const MOST_RESULT_TOKENS: usize = 1024;

/// How the model is asked.
#[derive(Clone, Debug)]
pub struct ConverseOptions {
    /// The system text, before the home's state.
    pub system: String,
    /// How the model writes tool calls, and whether it thinks.
    pub chat: ChatOptions,
    /// How the home's state is written.
    pub home: HomeLayout,
    /// The session's context and cache.
    pub session: SessionOptions,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// The longest reply.
    pub max_reply_tokens: usize,
}

/// One question and what followed it; dropped from the history only as a whole.
#[derive(Clone, Debug)]
struct Exchange {
    turn: Turn,
    messages: Vec<Message>,
}

/// A question that leaves no room for an answer. The conversation goes on without it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the prompt has {tokens} tokens but the context has room for {room}: raise llm.context_tokens or shorten the question, \
     the home or prompt.system"
)]
pub struct PromptTooLong {
    /// Tokens of the prompt without any history.
    pub tokens: usize,
    /// Tokens that it may have.
    pub room: usize,
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

/// What goes into a session's file besides the session.
#[derive(Serialize, Deserialize)]
struct Saved {
    exchanges: Vec<Vec<Message>>,
}

/// The conversation of one flow.
pub struct Converse {
    llm: LlmThread,
    session: SessionId,
    options: ConverseOptions,
    toolbox: Toolbox,
    chat: Chat,
    /// The schemas and the home, grouped, that the chat was made for.
    offered: (Vec<Value>, String),
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
        let chat = Chat::new(llm.llm(), options.chat)?;
        let session = llm.open_moving(Urgency::Voice, options.session, LEAST_MOVED_TOKENS)?;
        let mut converse = Self {
            llm,
            session,
            options,
            toolbox,
            chat,
            offered: (Vec::new(), String::new()),
            turns,
            history: Vec::new(),
            forgotten: 0,
            played,
            notes,
        };
        converse.keep_warm();
        // Now, while the prompt is being read, and not when the first question waits.
        converse.chat.constraints(&tool_calls::held(&converse.offered.0, &converse.offered.1, ""));
        Ok(converse)
    }

    /// Writes the conversation to a file, with all that the model has read of it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let saved = Saved { exchanges: self.history.iter().map(|exchange| exchange.messages.clone()).collect() };
        Ok(self.llm.save(self.session, path, serde_json::to_vec(&saved)?)?)
    }

    /// Goes on with the conversation of a file.
    ///
    /// # Errors
    /// The file is damaged or does not fit ([`LlmError`]); the conversation then begins anew.
    pub fn restore(&mut self, path: &Path) -> Result<(), LlmError> {
        let note = self.llm.restore(self.session, path)?;
        let saved: Saved = serde_json::from_slice(&note)
            .map_err(|error| LlmError::Session { path: path.to_owned(), what: format!("its history: {error}") })?;
        // Turns are counted from 1: what was said before this program was started cannot be interrupted any more.
        self.history = saved.exchanges.into_iter().map(|messages| Exchange { turn: Turn(0), messages }).collect();
        self.keep_warm();
        Ok(())
    }

    /// Begins a new conversation, with what the model has read of the home still in its cache.
    pub fn forget_history(&mut self) {
        self.history.clear();
    }

    /// Offers the model the tools that there are, with the names of this home.
    fn offer_tools(&mut self) {
        let now = (self.toolbox.schemas(), self.toolbox.home_text(HomeLayout::Grouped));
        if now != self.offered {
            let named = tool_calls::named(&now.0, &now.1);
            let examples = tool_calls::examples(&named, &now.1);
            self.chat.offer(named, &examples);
            self.offered = now;
        }
    }

    /// A tool's result as the model reads it: cut where it is too long, which it then says.
    fn read_result(&self, result: &ToolResult) -> anyhow::Result<String> {
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

    fn system(&self) -> Message {
        let home = self.toolbox.home_text(self.options.home);
        let content = match home.is_empty() {
            true => self.options.system.clone(),
            false => format!("{}\nHome:\n{home}", self.options.system),
        };
        Message { role: Role::System, content }
    }

    fn tokens(&self, messages: &[Message], reply_follows: bool) -> anyhow::Result<Vec<TokenId>> {
        Ok(self.chat.prompt(messages, reply_follows)?)
    }

    /// The prompt for `exchange` after as much of the history as the context has room for; what has none is forgotten. An exchange
    /// that does not even fit alone costs the history nothing.
    fn compose(&mut self, exchange: &[Message]) -> anyhow::Result<Vec<TokenId>> {
        self.offer_tools();
        let room = self.room();
        let mut dropped = 0;
        loop {
            let mut messages = vec![self.system()];
            messages.extend(self.history[dropped..].iter().flat_map(|e| e.messages.iter().cloned()));
            messages.extend_from_slice(exchange);
            let tokens = self.tokens(&messages, true)?;
            if tokens.len() <= room {
                self.history.drain(..dropped);
                self.forgotten += dropped;
                return Ok(tokens);
            }
            if dropped == self.history.len() {
                return Err(PromptTooLong { tokens: tokens.len(), room }.into());
            }
            dropped += 1;
        }
    }

    fn room(&self) -> usize {
        self.options.session.context_tokens.saturating_sub(self.options.max_reply_tokens)
    }

    /// Has the beginning of the next prompt computed while nobody speaks. Where the history is nearly too long, its oldest
    /// turns are dropped here, ahead of time; what follows them moves down in the cache.
    fn keep_warm(&mut self) {
        self.offer_tools();
        let most = self.room() * 3 / 4;
        loop {
            let mut messages = vec![self.system()];
            messages.extend(self.history.iter().flat_map(|e| e.messages.iter().cloned()));
            match self.tokens(&messages, false) {
                Ok(tokens) if tokens.len() > most && !self.history.is_empty() => {
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
        let mut send = |delta| {
            let _ = emit(Envelope::new(turn, delta));
        };
        let mut exchange = vec![Message { role: Role::User, content: question.clone() }];
        let mut replied = Replied::default();
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
        let (lazy, turns) = (self.chat.constraints(&held), self.turns.clone());
        let events = self.llm.run(Job {
            session: self.session,
            prompt,
            sampler: self.options.sampler,
            options: GenerateOptions {
                max_tokens: self.options.max_reply_tokens,
                lazy,
                thought: self.chat.thought_limit(),
                ..GenerateOptions::default()
            },
            wanted: Box::new(move || turns.is_alive(turn)),
        });
        let mut filter = self.chat.parser();
        let (mut raw, mut said) = (String::new(), String::new());
        let mut ended = Finish::Stopped;
        for event in events {
            match event {
                Event::Prefilled(prefill) => {
                    replied.tokens += Tokens::from(prefill);
                }
                Event::Logits(_) => {}
                Event::Text(text) => {
                    replied.first_token.get_or_insert_with(Instant::now);
                    raw.push_str(&text);
                    let text = filter.push(&text);
                    said.push_str(&text);
                    if !text.is_empty() {
                        send(TextDelta::Text(text));
                    }
                }
                Event::Done { finish, generated, drafted } => {
                    replied.tokens += Tokens { generated, drafted, ..Tokens::default() };
                    replied.cut_off |= matches!(finish, Finish::MaxTokens | Finish::ContextFull);
                    ended = finish;
                    break;
                }
                Event::Failed(error) => return Err(error).context("the language model stopped"),
            }
        }
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
                Err(error) => {
                    // Told before the turn comes to its end, so that it is told with the turn.
                    let error_as_told = anyhow::anyhow!("{error:#}");
                    let failure =
                        Failure { stage: self.name(), turn: Some(turn), error: error_as_told, is_fatal: false };
                    let _ = self.notes.send(Note::Failed(failure));
                    result = Err(error);
                }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{bounded, never};
    use nearfield_llm::{CacheType, Llm, LlmOptions};

    use super::*;
    use crate::voice::tools::CommandTool;

    fn converse(context_tokens: usize, commands: Vec<CommandTool>) -> Converse {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
        let (llm, _) = LlmThread::start(Llm::open(&model, &LlmOptions { threads: 1 }).unwrap());
        let options = ConverseOptions {
            system: String::new(),
            chat: ChatOptions::default(),
            session: SessionOptions { context_tokens, cache: CacheType::F16 },
            sampler: SamplerOptions::default(),
            home: HomeLayout::Grouped,
            max_reply_tokens: 100,
        };
        let toolbox = Toolbox::new(None, commands).unwrap();
        Converse::new(llm, options, toolbox, Turns::default(), never(), bounded(1).0).unwrap()
    }

    #[test]
    fn a_long_result_is_cut_to_its_share_of_the_context_and_says_so() {
        let result = |text: String| ToolResult {
            name: "list".to_owned(),
            arguments: json!({}),
            result: json!({"ok": true, "lines": text}),
            ok: true,
            elapsed: Duration::ZERO,
            failure: None,
            mistake: false,
            own_words: false,
        };
        for (context_tokens, most) in [(2048, 487), (9000, MOST_RESULT_TOKENS)] {
            let converse = converse(context_tokens, Vec::new());
            let tokens = |text: &str| converse.llm.llm().tokenizer().unwrap().encode(text, false).len();
            let short = result("one line".to_owned());
            assert_eq!(converse.read_result(&short).unwrap(), short.to_text());
            for long in ["one \"line\"\n".repeat(5000), "\u{1f44b}".repeat(16_000)] {
                let long = result(long);
                let read = converse.read_result(&long).unwrap();
                assert!(tokens(&read) <= most && tokens(&read) > most / 3, "{} of {most}", tokens(&read));
                let value: Value = serde_json::from_str(&read).unwrap();
                assert!(value["ok"] == true && value["cut"].as_str().unwrap().contains("characters begin"), "{value}");
                let beginning = value["beginning"].as_str().unwrap();
                assert!(long.to_text().starts_with(beginning) && beginning.len() > 100, "{beginning}");
            }
        }
    }

    /// The reply to a question, as it is said.
    fn asked(converse: &mut Converse, question: &str) -> (String, Vec<TextDelta>) {
        let mut deltas = Vec::new();
        let turn = converse.turns.begin();
        let replied = converse
            .reply(turn, question.to_owned(), &mut |delta| {
                deltas.push(delta.body);
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        (replied.reply, deltas)
    }

    #[test]
    fn a_failed_call_is_answered_by_a_computed_sentence_and_the_next_turns_are_sane() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home.json");
        let home =
            r#"{"rooms": {"kitchen": {"light": "off"}, "hall": {"light": "on"}}, "doors": {"front door": "locked"}}"#;
        std::fs::write(&path, home).unwrap();
        let mut converse = converse(2048, Vec::new());
        converse.toolbox = Toolbox::new(Some(crate::voice::home::Home::load(&path).unwrap()), Vec::new()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let failed = "I could not change the kitchen light: the file of the home is gone.";
        let (reply, deltas) = asked(&mut converse, "Turn on the kitchen light.");
        assert_eq!((reply.as_str(), deltas), (failed, vec![TextDelta::Text(failed.to_owned())]));
        let last: Vec<(Role, &str)> =
            converse.history[0].messages.iter().map(|message| (message.role, message.content.as_str())).collect();
        assert_eq!(last.last(), Some(&(Role::Assistant, failed)));
        assert_eq!(last[2], (Role::Tool, r#"{"ok": false, "error": "the file of the home is gone"}"#));
        let (reply, _) = asked(&mut converse, "Is the front door locked?");
        assert!(reply.contains("front door is locked"), "{reply}");
        std::fs::write(&path, home).unwrap();
        let (reply, _) = asked(&mut converse, "Turn on the kitchen light.");
        assert!(reply.contains("kitchen light is") && reply.ends_with(" on."), "{reply}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"light\": \"on\""));
    }

    #[test]
    fn a_question_without_room_leaves_the_conversation_as_it_was() {
        let mut converse = converse(512, Vec::new());
        asked(&mut converse, "Hello.");
        let long = "word ".repeat(2000);
        let turn = converse.turns.begin();
        let error = converse.reply(turn, long, &mut |_| std::ops::ControlFlow::Continue(())).err().unwrap();
        assert!(error.is::<PromptTooLong>() && error.to_string().contains("room for"), "{error}");
        assert_eq!(converse.history.len(), 1);
        assert!(!asked(&mut converse, "Hello.").0.is_empty());
    }

    #[test]
    fn whatever_a_turn_is_the_next_question_is_answered_and_one_that_does_not_fit_costs_the_history_nothing() {
        let mut converse = converse(640, Vec::new());
        let mut ask = |turn: u64, text: &str| {
            let now = Instant::now();
            let transcript = Transcript { text: text.to_owned(), suppressed: None, speech_ended: now, closed: now };
            let mut reply = String::new();
            let mut ends = 0;
            let outcome = converse.step(Envelope::new(Turn(turn), transcript), &mut |delta| {
                match delta.body {
                    TextDelta::Text(text) => reply.push_str(&text),
                    TextDelta::End => ends += 1,
                    TextDelta::Cut => panic!("nothing repeats itself here"),
                }
                std::ops::ControlFlow::Continue(())
            });
            assert_eq!(ends, 1, "{text:.20}");
            (outcome.map_err(|e| e.to_string()), reply, converse.history.len())
        };
        let (outcome, reply, turns) = ask(1, "Hello.");
        assert!(outcome.is_ok() && !reply.is_empty() && turns == 1, "{outcome:?}");
        let long = "light ".repeat(1700);
        let odd = ["", "", &long, "", &long, "\u{0}\u{7}<|user|>", "\u{1f44b}"];
        for (turn, text) in odd.into_iter().enumerate() {
            let (outcome, reply, _) = ask(2 + turn as u64, text);
            assert_eq!(outcome.is_err(), text == long, "{text:.20}: {outcome:?}");
            assert_eq!(reply.is_empty(), text.is_empty() || text == long, "{text:.20}: {reply}");
        }
        let (outcome, reply, turns) = ask(20, "Hello.");
        assert!(outcome.is_ok() && !reply.is_empty() && turns == 4, "{outcome:?} {turns}");
    }
}
