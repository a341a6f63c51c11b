//! One answer of the language model, whoever asks: a conversation with tools or a text to be continued goes in, pieces of text and
//! calls come out. It blocks, and so runs on a thread of its own; the forms of the clients are the business of their modules.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nearfield_llm::{
    Chat, ChatOptions, Constrained, Dialect, Finish, ForcedCall, GenerateOptions, Likelihood, LogitBias, Message,
    ReplyParser, SamplerOptions, Thinking, TokenId, ToolCall,
};
use nearfield_stages::flow::{Cancel, Turn, Turns};
use nearfield_stages::llm_thread::{Event, Extras, Job, LlmThread};
use serde_json::Value;

use super::answer::Answer;
pub use super::answer_format::Format;
use super::answer_format::whole_constraint;
use super::conversation::{forget_oldest, repeats_a_call};
use super::failure::Failure;
use super::home_assistant::{self, Assist, Context};
use super::pictures::{self, PictureLimits, PictureReader, Pictures};
use super::sessions::Sessions;

/// The longest answer where neither the client nor the configuration says.
const USUAL_TOKENS: usize = 1024;
/// Lists of tools whose grammars are remembered.
const REMEMBERED: usize = 8;
/// The most tools, and the most bytes of their schemas together.
const MOST_TOOLS: usize = 128;
const MOST_TOOL_BYTES: usize = 512 << 10;
/// The most strings that end an answer, and the bytes of each.
const MOST_STOPS: usize = 16;
const MOST_STOP_BYTES: usize = 256;

/// What is to be continued.
pub enum Prompt {
    /// A conversation.
    Chat {
        /// From the oldest to the newest.
        messages: Vec<Message>,
        /// What the model may call, as OpenAI writes it; see [`checked_tools`].
        tools: Vec<Value>,
        /// Whether it must.
        choice: ToolChoice,
        /// Whether it may call several at once.
        is_parallel: bool,
        /// The pictures whose marks are in the messages.
        pictures: Pictures,
    },
    /// A text, with the marks of the model's template if it has any.
    Text(String),
}

/// Whether the model may or must call a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// It may not.
    None,
    /// One of them.
    Required,
    /// This one.
    Named(String),
}

/// A request for an answer.
pub struct Request {
    /// What is to be continued.
    pub prompt: Prompt,
    /// What the answer must fit.
    pub format: Format,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// What is added to logits before a token is chosen.
    pub bias: LogitBias,
    /// Whether the likelihoods of tokens are wanted, and how many of the likeliest with each.
    pub likelihoods: Option<usize>,
    /// At most so many tokens.
    pub max_tokens: Option<usize>,
    /// What ends the answer.
    pub stop: Vec<String>,
    /// Whether the model thinks first; `None`: as configured.
    pub thinking: Option<Thinking>,
    /// Whether the oldest messages are dropped where the conversation is too long; else it is refused.
    pub may_forget: bool,
}

/// What comes of a request, in this order: `Begun`, any number of `Text`, each after the `Likelihoods` of its tokens where they are wanted,
/// `Calls` where there are some, `Ended`.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// The prompt has been read.
    Begun {
        /// Its tokens.
        prompt: usize,
        /// How many of these the cache held.
        cached: usize,
    },
    /// The likelihoods of the tokens of the next text.
    Likelihoods(Vec<Likelihood>),
    /// More text.
    Text(String),
    /// What the model wants called.
    Calls(Vec<ToolCall>),
    /// The end.
    Ended {
        /// Why.
        reason: Reason,
        /// The stop string of the request that ended it.
        stopped_by: Option<String>,
        /// Tokens that were written.
        generated: usize,
    },
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The model, or a stop string, ended it, or the model repeated itself (`server.end_loops`).
    #[default]
    Stop,
    /// A limit did.
    Length,
    /// The model wants tools called.
    Calls,
}

impl Reason {
    /// As OpenAI calls it.
    pub fn open_ai(self) -> &'static str {
        match self {
            Reason::Stop => "stop",
            Reason::Length => "length",
            Reason::Calls => "tool_calls",
        }
    }
}

/// The language model with the conversations of all clients.
pub struct Engine {
    llm: LlmThread,
    sessions: Sessions,
    options: ChatOptions,
    sampler: SamplerOptions,
    /// Set by the configuration.
    most_tokens: Option<usize>,
    most_time: Duration,
    /// Whether an answer in a conversation that repeats itself ends there.
    ends_loops: bool,
    /// What answers Home Assistant's plain commands.
    assist: Assist,
    /// Where the model takes pictures.
    reader: Option<PictureReader>,
    /// The newest last.
    chats: Mutex<Vec<(Vec<Value>, Thinking, Chat)>>,
}

/// A prompt that is ready, and how its answer is held and read.
struct Prepared {
    tokens: Vec<TokenId>,
    /// The embeddings among them.
    extras: Extras,
    options: GenerateOptions,
    /// `None`: the answer is taken as it is.
    parser: Option<ReplyParser>,
    /// What the answer begins with, which ends the prompt.
    opening: String,
    /// The names of the tools that may be called.
    names: Vec<String>,
    is_parallel: bool,
}

impl Engine {
    /// An engine over the model's thread. `most_tokens`: no answer is longer.
    pub fn new(
        llm: LlmThread,
        sessions: Sessions,
        options: ChatOptions,
        sampler: SamplerOptions,
        most_tokens: Option<usize>,
        most_time: Duration,
    ) -> Self {
        let assist = Assist::new(None);
        let (ends_loops, reader, chats) = (true, None, Mutex::default());
        Self { llm, sessions, options, sampler, most_tokens, most_time, ends_loops, assist, reader, chats }
    }

    /// The same with a sentence matcher for the homes of clients.
    #[must_use]
    pub fn with_assist(self, assist: Assist) -> Self {
        Self { assist, ..self }
    }

    /// The same, which lets answers in conversations repeat themselves, or not.
    #[must_use]
    pub fn ending_loops(self, ends_loops: bool) -> Self {
        Self { ends_loops, ..self }
    }

    /// The same, which takes pictures.
    #[must_use]
    pub fn with_picture_reader(self, reader: Option<PictureReader>) -> Self {
        Self { reader, ..self }
    }

    /// Whether the model takes pictures.
    pub fn takes_pictures(&self) -> bool {
        self.reader.is_some()
    }

    /// The model's thread.
    pub fn llm(&self) -> &LlmThread {
        &self.llm
    }

    /// How tokens are chosen where a client does not say.
    pub fn sampler(&self) -> SamplerOptions {
        self.sampler
    }

    /// Which of the conversations that are kept are being answered.
    pub fn busy(&self) -> Vec<bool> {
        self.sessions.busy()
    }

    /// How the model writes calls.
    ///
    /// # Errors
    /// It was not trained to answer.
    pub fn dialect(&self) -> Result<Dialect, Failure> {
        Ok(self.options.dialect.unwrap_or(self.llm.llm().template()?.dialect()))
    }

    /// How many tokens a conversation may have, the answer included.
    pub fn context_tokens(&self) -> usize {
        self.sessions.context_tokens()
    }

    /// Answers, piece by piece, as turn 1 of `turns`, which its owner silences when nobody wants the answer any more.
    ///
    /// # Errors
    /// The request is wrong, or the model failed. After the first piece only the latter.
    pub fn answer(
        &self,
        request: Request,
        turns: &Turns,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + self.most_time;
        check_stops(&request.stop)?;
        let sampler = request.sampler;
        sampler.check().map_err(Failure::wrong)?;
        let context = context_of(&request);
        if let Some(matched) = self.matched(&request, context.as_ref()) {
            let pieces = match matched {
                home_assistant::Answer::Calls(calls) => [Piece::Calls(calls), ended(Reason::Calls)],
                home_assistant::Answer::Said(text) => [Piece::Text(text), ended(Reason::Stop)],
            };
            let begun = Piece::Begun { prompt: 0, cached: 0 };
            let _ = [begun].into_iter().chain(pieces).try_for_each(sink);
            return Ok(());
        }
        let cancel = turns.cancel_of(Turn(1));
        let mut prepared = self.prepared(request, &cancel, deadline)?;
        let (room, length) = (self.sessions.context_tokens(), prepared.tokens.len());
        if length >= room {
            let message =
                format!("the prompt has {length} tokens, and the context has room for {room} with the answer");
            return Err(Failure::of("messages", message).code("context_length_exceeded"));
        }
        prepared.options.max_tokens = prepared.options.max_tokens.min(room - length);
        let lease = self.sessions.take(&prepared.tokens)?;
        let Prepared { tokens, extras, options, parser, opening, names, is_parallel } = prepared;
        let with_likelihoods = options.likelihoods.is_some();
        let job = Job { session: lease.id(), prompt: tokens.clone(), sampler, options, cancel };
        let (most, stops) = (job.options.max_tokens, job.options.stop.clone());
        let mut answer = Answer::new(parser, names, is_parallel, context).stopped_at(stops);
        let n_prompt = tokens.len();
        let mut tokens = Some(tokens);
        answer.push(&opening);
        let (mut reply, mut pieces) = (self.llm.run_with(job, extras), 0);
        // Text that waits for the likelihoods of its tokens.
        let mut held = String::new();
        while let Some(event) = reply.next() {
            let go_on = match event {
                Event::Prefilled(prefill) => {
                    lease.holds(tokens.take().unwrap_or_default());
                    sink(Piece::Begun { prompt: n_prompt, cached: prefill.reused.min(n_prompt) })
                }
                Event::Text(text) => {
                    pieces += 1;
                    let said = answer.push(&text);
                    if with_likelihoods {
                        held.push_str(&said);
                        ControlFlow::Continue(())
                    } else if said.is_empty() {
                        ControlFlow::Continue(())
                    } else {
                        sink(Piece::Text(said))
                    }
                }
                Event::Done { finish, generated, .. } => {
                    // Before the end is told: who goes on at once finds the conversation free.
                    drop(lease);
                    if !held.is_empty() && sink(Piece::Text(held)).is_break() {
                        return Ok(());
                    }
                    // A loop that the limit cut, and not the guard.
                    let is_limit = matches!(finish, Finish::Repetition { .. }) && generated >= most;
                    answer.end(if is_limit { &Finish::MaxTokens } else { &finish }, generated, sink);
                    return Ok(());
                }
                Event::Failed(error) => return Err(error.into()),
                Event::Likelihoods(likelihoods) => match sink(Piece::Likelihoods(likelihoods)) {
                    ControlFlow::Continue(()) if !held.is_empty() => sink(Piece::Text(std::mem::take(&mut held))),
                    go_on => go_on,
                },
                Event::Logits(_) => ControlFlow::Continue(()),
            };
            let is_late = Instant::now() >= deadline;
            if go_on.is_break() || is_late {
                // The session is given back when the thread has left it.
                turns.silence_all();
                reply.for_each(drop);
                drop(lease);
                if is_late {
                    answer.end(&Finish::Stopped, pieces, sink);
                }
                return Ok(());
            }
        }
        Err(Failure::broken("the language model has ended"))
    }

    /// What the sentence matcher makes of a command of Home Assistant's.
    fn matched(&self, request: &Request, context: Option<&Context>) -> Option<home_assistant::Answer> {
        let Prompt::Chat { messages, tools, choice: ToolChoice::Auto, is_parallel, pictures } = &request.prompt else {
            return None;
        };
        if !pictures.is_empty() {
            return None;
        }
        let answer = self.assist.answer(messages, context?, tools)?;
        let is_one = !matches!(&answer, home_assistant::Answer::Calls(calls) if calls.len() > 1);
        (is_one || *is_parallel).then_some(answer)
    }

    /// The prompt, and how its answer is held.
    fn prepared(&self, request: Request, cancel: &Cancel, deadline: Instant) -> Result<Prepared, Failure> {
        let Request { prompt, format, max_tokens, stop, thinking, may_forget, bias, likelihoods, .. } = request;
        let llm = self.llm.llm();
        let max_tokens = max_tokens.unwrap_or(USUAL_TOKENS).min(self.most_tokens.unwrap_or(usize::MAX));
        // What continues a text, such as a table, is taken as it comes.
        let ends_loops = self.ends_loops && matches!(prompt, Prompt::Chat { .. });
        let mut options =
            GenerateOptions { max_tokens, stop, bias, likelihoods, ends_loops, ..GenerateOptions::default() };
        let whole = whole_constraint(&format)?;
        if let Some(constraint) = &whole {
            llm.check_constraint(constraint).map_err(|error| Failure::of("response_format", error))?;
        }
        options.constraint = whole.map(|constraint| Constrained { constraint, after: None });
        let (mut messages, tools, choice, is_parallel, pictures) = match prompt {
            Prompt::Text(text) => {
                let tokens = llm.tokenizer()?.encode_prompt(&text);
                let opening = String::new();
                return match tokens.is_empty() {
                    true => Err(Failure::of("prompt", "is empty")),
                    false => {
                        let (extras, names) = (Extras::default(), Vec::new());
                        Ok(Prepared { tokens, extras, options, parser: None, opening, names, is_parallel: true })
                    }
                };
            }
            Prompt::Chat { messages, tools, choice, is_parallel, pictures } => {
                (messages, tools, choice, is_parallel, pictures)
            }
        };
        let tools = if choice == ToolChoice::None { Vec::new() } else { tools };
        let must_fit = options.constraint.is_some();
        if must_fit && !tools.is_empty() {
            return Err(Failure::of(
                "response_format",
                "cannot be held together with tools: send tool_choice \"none\", or no tools",
            ));
        }
        let wanted = thinking.unwrap_or(self.options.thinking);
        let is_forced = matches!(choice, ToolChoice::Required | ToolChoice::Named(_));
        let thinking = if must_fit || is_forced { Thinking::Off } else { wanted };
        let mut chat = self.chat(&tools, thinking)?;
        messages = self.safe(&messages)?;
        pictures.check_marks(&mut messages)?;
        let limits = PictureLimits { context_tokens: self.sessions.context_tokens(), deadline, cancel };
        let encoded = |messages: &[Message]| match &self.reader {
            Some(reader) if !pictures.is_empty() => {
                reader.prompt(&chat.text(messages, true)?, &pictures, &self.llm, limits)
            }
            _ => Ok((chat.prompt(messages, true)?, Extras::default())),
        };
        let (mut tokens, mut extras) = encoded(&messages)?;
        while may_forget && tokens.len() > self.sessions.context_tokens() / 8 * 7 && forget_oldest(&mut messages) {
            (tokens, extras) = encoded(&messages)?;
        }
        let mut opening = String::new();
        // What a grammar holds ends where the grammar ends it: half of a value or of a call would be none.
        options.ends_loops &= !must_fit && !is_forced;
        if is_forced {
            let forced = forced(&chat, &tools, &choice)?;
            tokens.extend(llm.tokenizer()?.encode(&forced.opening, true));
            (opening, options.constraint) = (forced.opening, Some(forced.constraint));
        } else if !tools.is_empty() {
            options.lazy = chat.constraints(&tools);
            self.remember(&tools, thinking, &chat);
            if repeats_a_call(&messages)
                && let Some(plain) = chat.plain()
            {
                (options.lazy, options.constraint) = (Vec::new(), Some(plain));
            }
        }
        options.thought = chat.thought_limit();
        let names = tools.iter().filter_map(|tool| tool["function"]["name"].as_str().map(str::to_owned)).collect();
        let parser = (!must_fit).then(|| chat.parser());
        Ok(Prepared { tokens, extras, options, parser, opening, names, is_parallel })
    }

    /// Messages in which nobody speaks for another.
    ///
    /// # Errors
    /// The model carries no vocabulary.
    pub fn safe(&self, messages: &[Message]) -> Result<Vec<Message>, Failure> {
        let tokenizer = self.llm.llm().tokenizer()?;
        let safe = |message: &Message| Message::new(message.role, tokenizer.without_control(&message.content));
        Ok(messages.iter().map(safe).collect())
    }

    /// How one talks to the model with these tools.
    fn chat(&self, tools: &[Value], thinking: Thinking) -> Result<Chat, Failure> {
        let chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., chat)) = chats.iter().find(|(known, how, _)| known == tools && *how == thinking) {
            return Ok(chat.clone());
        }
        drop(chats);
        let mut chat = Chat::new(self.llm.llm(), ChatOptions { thinking, ..self.options })?;
        chat.offer(tools.to_vec(), &[]);
        Ok(chat)
    }

    /// Keeps a chat with the grammars that were made for it.
    fn remember(&self, tools: &[Value], thinking: Thinking, chat: &Chat) {
        let mut chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
        chats.retain(|(known, how, _)| known != tools || *how != thinking);
        if chats.len() == REMEMBERED {
            chats.remove(0);
        }
        chats.push((tools.to_vec(), thinking, chat.clone()));
    }
}

/// The end of an answer that the model had no part in.
fn ended(reason: Reason) -> Piece {
    Piece::Ended { reason, stopped_by: None, generated: 0 }
}

/// The home that Home Assistant tells of.
fn context_of(request: &Request) -> Option<Context> {
    match &request.prompt {
        Prompt::Chat { messages, tools, .. } if request.format == Format::Text => Context::of(messages, tools),
        _ => None,
    }
}

/// What makes the answer a call.
fn forced(chat: &Chat, tools: &[Value], choice: &ToolChoice) -> Result<ForcedCall, Failure> {
    let due: Vec<Value> = match choice {
        ToolChoice::Named(name) => tools.iter().filter(|tool| tool["function"]["name"] == **name).cloned().collect(),
        _ => tools.to_vec(),
    };
    if due.is_empty() {
        return Err(Failure::of("tool_choice", "names no tool of the request"));
    }
    let none = || {
        Failure::of("tool_choice", format!("calls of the dialect {} cannot be forced: send \"auto\"", chat.dialect()))
    };
    chat.forced(&due).ok_or_else(none)
}

fn check_stops(stops: &[String]) -> Result<(), Failure> {
    match stops.len() > MOST_STOPS || stops.iter().any(|stop| stop.len() > MOST_STOP_BYTES) {
        true => {
            Err(Failure::of("stop", format!("takes at most {MOST_STOPS} strings of at most {MOST_STOP_BYTES} bytes")))
        }
        false => Ok(()),
    }
}

/// Tools as OpenAI writes them, each with a name that is one.
///
/// # Errors
/// Says what is wrong with which.
pub fn checked_tools(tools: Vec<Value>, engine: &Engine) -> Result<Vec<Value>, Failure> {
    if tools.is_empty() {
        return Ok(tools);
    }
    if tools.len() > MOST_TOOLS {
        return Err(Failure::of("tools", format!("there are {}; at most {MOST_TOOLS} are taken", tools.len())));
    }
    for (at, tool) in tools.iter().enumerate() {
        if let Some(kind) = tool["type"].as_str().filter(|kind| *kind != "function") {
            let kind: String = kind.chars().take(40).collect();
            let message = format!("has the type {kind:?}, which is not supported: tools have the type \"function\"");
            return Err(Failure::of(&format!("tools[{at}]"), message).code("unsupported_parameter"));
        }
        let name = tool["function"]["name"].as_str().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
            let message = "must have function.name, 1 to 64 letters, digits, `_`, `-` and `.`";
            return Err(Failure::of(&format!("tools[{at}]"), message));
        }
        let parameters = &tool["function"]["parameters"];
        if !(parameters.is_null() || parameters.is_object()) {
            return Err(Failure::of(&format!("tools[{at}]"), "function.parameters must be a JSON schema, an object"));
        }
    }
    let text = Value::from(tools).to_string().replace(pictures::MARK, "");
    if text.len() > MOST_TOOL_BYTES {
        return Err(Failure::of("tools", format!("have {} bytes; at most {MOST_TOOL_BYTES} are taken", text.len())));
    }
    let safe = engine.llm.llm().tokenizer()?.without_control(&text);
    serde_json::from_str(&safe).map_err(|error| Failure::of("tools", error))
}
