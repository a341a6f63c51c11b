//! `/v1/chat/completions`

use std::sync::Arc;

use hyper::{Response, StatusCode};
use nearfield_llm::{Likelihood, Llm, Thinking};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{InMessage, Sampling, logprobs};
use crate::server::Server;
use crate::server::answering::{Meter, Usage, Whole};
use crate::server::engine::{Engine, Piece, Prompt, Request, checked_tools};
use crate::server::failure::{Failure, Form};
use crate::server::http::{self, Reply, Writer};

/// What is read of a request; the rest says nothing to a local model.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Body {
    #[serde(default)]
    model: Option<String>,
    messages: Vec<InMessage>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    response_format: Option<Value>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    top_logprobs: Option<usize>,
    /// What the template is given; `enable_thinking` is read.
    #[serde(default)]
    chat_template_kwargs: Option<Map<String, Value>>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// What a stream tells besides.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct StreamOptions {
    /// Whether its last chunk says what it cost.
    #[serde(default)]
    pub include_usage: bool,
}

/// A chat that is ready to be answered.
pub struct Ready {
    /// One for each answer.
    pub requests: Vec<Request>,
    /// Whether likelihoods are wanted, and how many of the likeliest tokens with each.
    pub likelihoods: Option<usize>,
}

impl Body {
    /// By what name the model is asked for.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// What the engine is to do.
    ///
    /// # Errors
    /// The request is wrong.
    pub fn ready(self, engine: &Engine) -> Result<Ready, Failure> {
        let likelihoods = logprobs::of_chat(self.logprobs, self.top_logprobs)?;
        let tools = checked_tools(self.tools.unwrap_or_default(), engine)?;
        let (choice, tools) = super::tool_choice(self.tool_choice.as_ref(), tools)?;
        let (messages, pictures) = super::messages(self.messages, engine, engine.dialect()?)?;
        let format = super::format(self.response_format.as_ref())?;
        let (max_tokens, stop) = (self.sampling.max_tokens()?, self.sampling.stop()?);
        let bias = self.sampling.bias(engine)?;
        let is_parallel = self.parallel_tool_calls.unwrap_or(true);
        let thinking = thinking(self.chat_template_kwargs.as_ref(), engine)?;
        let request = |sampler| Request {
            prompt: Prompt::Chat {
                messages: messages.clone(),
                tools: tools.clone(),
                choice: choice.clone(),
                is_parallel,
                pictures: pictures.clone(),
            },
            format: format.clone(),
            sampler,
            bias: bias.clone(),
            likelihoods,
            max_tokens,
            stop: stop.clone(),
            thinking,
            may_forget: false,
        };
        let requests = self.sampling.samplers(engine)?.into_iter().map(request).collect();
        Ok(Ready { requests, likelihoods })
    }
}

/// Whether the model thinks first, as clients of other servers say it: by an argument of Qwen's template.
fn thinking(arguments: Option<&Map<String, Value>>, engine: &Engine) -> Result<Option<Thinking>, Failure> {
    const AT: &str = "chat_template_kwargs";
    let Some(arguments) = arguments else { return Ok(None) };
    if let Some(other) = arguments.keys().find(|name| *name != "enable_thinking") {
        let other: String = other.chars().take(40).collect();
        return Err(Failure::of(AT, format!("has {other:?}, and only enable_thinking is supported")));
    }
    match arguments.get("enable_thinking") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(false)) => Ok(Some(Thinking::Off)),
        Some(Value::Bool(true)) if engine.llm().llm().info().thinks => Ok(Some(Thinking::On)),
        Some(Value::Bool(true)) => Err(Failure::of(AT, "has enable_thinking, and this model does not think")),
        Some(_) => Err(Failure::of(AT, "must have true or false for enable_thinking")),
    }
}

/// The whole answer to a chat.
///
/// # Errors
/// The model carries no vocabulary.
pub fn whole(
    model: &str,
    llm: &Llm,
    likelihoods: Option<usize>,
    all: &[Whole],
    usage: &Usage,
) -> Result<Value, Failure> {
    let head = Head { id: super::id("chatcmpl-"), created: super::now(), model: model.to_owned() };
    let tokenizer = llm.tokenizer()?;
    let logs = |one: &Whole| logprobs::chat(&one.likelihoods, tokenizer, likelihoods.is_some());
    let choices: Vec<Value> = all.iter().enumerate().map(|(index, one)| choice_of(index, one, &logs(one))).collect();
    let mut answer = head.object("chat.completion", choices);
    answer["usage"] = super::usage(usage);
    Ok(answer)
}

/// Answers a conversation.
///
/// # Errors
/// The request is wrong, or the model failed.
pub async fn chat(server: &Arc<Server>, body: Body) -> Result<Response<Reply>, Failure> {
    server.check_model(body.model())?;
    let is_streamed = body.stream == Some(true);
    let tells_usage = body.stream_options.as_ref().is_some_and(|options| options.include_usage);
    let Ready { requests, likelihoods } = body.ready(&server.engine)?;
    let answering = server.ask(requests).await?;
    let llm = server.engine.llm().llm().clone();
    if is_streamed {
        let head = Head { id: super::id("chatcmpl-"), created: super::now(), model: server.model.clone() };
        let logprobs = likelihoods.map(|_| (llm, Vec::new()));
        let chunks = Chunks { head, meter: answering.meter(), tells_usage, calls: 0, logprobs };
        return Ok(http::stream("text/event-stream", answering, chunks));
    }
    let (all, usage) = answering.whole().await?;
    Ok(http::json(StatusCode::OK, &whole(&server.model, &llm, likelihoods, &all, &usage)?))
}

fn choice_of(index: usize, one: &Whole, logprobs: &Value) -> Value {
    let is_silent = one.text.trim().is_empty() && !one.calls.is_empty();
    let content = if is_silent { Value::Null } else { Value::from(one.text.as_str()) };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !one.calls.is_empty() {
        message["tool_calls"] = one.calls.iter().map(super::call).collect();
    }
    json!({"index": index, "message": message, "logprobs": logprobs, "finish_reason": one.reason.open_ai()})
}

/// What all chunks of an answer say.
struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    fn object(&self, kind: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id, "object": kind, "created": self.created, "model": self.model,
            "system_fingerprint": null, "choices": choices,
        })
    }
}

/// A stream of chunks.
struct Chunks {
    head: Head,
    meter: Meter,
    tells_usage: bool,
    calls: usize,
    /// Where likelihoods are wanted: those of the next text's tokens.
    logprobs: Option<(Arc<Llm>, Vec<Likelihood>)>,
}

impl Chunks {
    fn chunk(&mut self, index: usize, delta: &Value, reason: Option<&str>) -> String {
        let logs = self.logprobs.as_mut().filter(|(_, waiting)| !waiting.is_empty());
        let logs = logs.and_then(|(llm, waiting)| {
            let waiting = std::mem::take(waiting);
            llm.tokenizer().ok().map(|tokenizer| logprobs::chat(&waiting, tokenizer, true))
        });
        let choice = json!({"index": index, "delta": delta, "logprobs": logs, "finish_reason": reason});
        let mut chunk = self.head.object("chat.completion.chunk", vec![choice]);
        if self.tells_usage {
            chunk["usage"] = Value::Null;
        }
        super::event(&chunk)
    }
}

impl Writer for Chunks {
    fn piece(&mut self, index: usize, piece: Piece) -> String {
        self.meter.see(&piece);
        match piece {
            Piece::Begun { .. } => {
                self.calls = 0;
                self.chunk(index, &json!({"role": "assistant", "content": ""}), None)
            }
            Piece::Likelihoods(likelihoods) => {
                if let Some((_, waiting)) = &mut self.logprobs {
                    waiting.extend(likelihoods);
                }
                String::new()
            }
            Piece::Text(text) => self.chunk(index, &json!({"content": text}), None),
            Piece::Calls(calls) => {
                let mut all = Vec::new();
                for call in &calls {
                    let mut call = super::call(call);
                    call["index"] = self.calls.into();
                    self.calls += 1;
                    all.push(self.chunk(index, &json!({"tool_calls": [call]}), None));
                }
                all.concat()
            }
            Piece::Ended { reason, .. } => self.chunk(index, &json!({}), Some(reason.open_ai())),
        }
    }

    fn end(&mut self) -> String {
        let mut end = String::new();
        if self.tells_usage {
            let mut chunk = self.head.object("chat.completion.chunk", Vec::new());
            chunk["usage"] = super::usage(&self.meter.usage());
            end = super::event(&chunk);
        }
        end + "data: [DONE]\n\n"
    }

    fn failed(&mut self, failure: &Failure) -> String {
        super::event(&failure.body(Form::OpenAi))
    }
}
