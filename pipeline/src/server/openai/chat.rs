//! `/v1/chat/completions`

use std::sync::Arc;

use hyper::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{InMessage, Sampling};
use crate::server::Server;
use crate::server::answering::{Meter, Whole};
use crate::server::engine::{Piece, Prompt, Request, checked_tools};
use crate::server::failure::{Failure, Form};
use crate::server::http::{self, Reply, Writer};

/// What is read of a request; the rest says nothing to a local model.
#[derive(Debug, Deserialize)]
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
    #[serde(flatten)]
    sampling: Sampling,
}

/// What a stream tells besides.
#[derive(Debug, Default, Deserialize)]
pub struct StreamOptions {
    /// Whether its last chunk says what it cost.
    #[serde(default)]
    pub include_usage: bool,
}

/// Answers a conversation.
///
/// # Errors
/// The request is wrong, or the model failed.
pub async fn chat(server: &Arc<Server>, body: Body) -> Result<Response<Reply>, Failure> {
    server.check_model(body.model.as_deref())?;
    if body.logprobs == Some(true) {
        return Err(Failure::of("logprobs", "are not supported: leave it out"));
    }
    let engine = &server.engine;
    let tools = checked_tools(body.tools.unwrap_or_default(), engine)?;
    let choice = super::tool_choice(body.tool_choice.as_ref(), !tools.is_empty())?;
    let messages = super::messages(body.messages, engine, server.dialect()?)?;
    let format = super::format(body.response_format.as_ref())?;
    let (max_tokens, stop) = (body.sampling.max_tokens()?, body.sampling.stop()?);
    let is_parallel = body.parallel_tool_calls.unwrap_or(true);
    let requests = body.sampling.samplers(engine)?.into_iter().map(|sampler| Request {
        prompt: Prompt::Chat { messages: messages.clone(), tools: tools.clone(), choice: choice.clone(), is_parallel },
        format: format.clone(),
        sampler,
        max_tokens,
        stop: stop.clone(),
        thinking: None,
        may_forget: false,
    });
    let answering = server.ask(requests.collect()).await?;
    let head = Head { id: super::id("chatcmpl-"), created: super::now(), model: server.model.clone() };
    if body.stream == Some(true) {
        let tells_usage = body.stream_options.is_some_and(|options| options.include_usage);
        let chunks = Chunks { head, meter: answering.meter(), tells_usage, calls: 0 };
        return Ok(http::stream("text/event-stream", answering, chunks));
    }
    let (all, usage) = answering.whole().await?;
    let choices: Vec<Value> = all.iter().enumerate().map(|(index, one)| choice_of(index, one)).collect();
    let mut answer = head.object("chat.completion", choices);
    answer["usage"] = super::usage(&usage);
    Ok(http::json(StatusCode::OK, &answer))
}

fn choice_of(index: usize, one: &Whole) -> Value {
    let is_silent = one.text.trim().is_empty() && !one.calls.is_empty();
    let content = if is_silent { Value::Null } else { Value::from(one.text.as_str()) };
    let mut message = json!({"role": "assistant", "content": content, "refusal": null});
    if !one.calls.is_empty() {
        message["tool_calls"] = one.calls.iter().map(super::call).collect();
    }
    json!({"index": index, "message": message, "logprobs": null, "finish_reason": one.reason.open_ai()})
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
}

impl Chunks {
    fn chunk(&self, index: usize, delta: &Value, reason: Option<&str>) -> String {
        let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": reason});
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
