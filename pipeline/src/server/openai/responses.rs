//! `/v1/responses`: the same answers as items, with an event for each thing that happens. Nothing is stored: clients send the whole
//! conversation, as Home Assistant does.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use nearfield_llm::{Likelihood, Llm, Message, Role, ToolCall};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sampling, logprobs};
use crate::server::Server;
use crate::server::answering::{Meter, Usage};
use crate::server::engine::{Engine, Piece, Prompt, Reason, Request, checked_tools};
use crate::server::failure::Failure;
use crate::server::http::{self, Reply, Writer};
use crate::server::pictures::{PicturePlace, Pictures};
use crate::server::request_json::NO_LIMIT;

/// What of an answer may be included.
const LOGPROBS: &str = "message.output_text.logprobs";

/// What is read of a request.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Body {
    #[serde(default)]
    model: Option<String>,
    input: Value,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    text: Option<Value>,
    #[serde(default)]
    previous_response_id: Option<String>,
    /// A prompt that is stored with OpenAI, which is refused.
    #[serde(default)]
    prompt: Option<Value>,
    /// `auto`: the oldest messages of a conversation that is too long are left out; `disabled`: it is refused.
    #[serde(default)]
    truncation: Option<String>,
    /// `message.output_text.logprobs` is known; what else may be asked for, there is none of.
    #[serde(default)]
    include: Option<Vec<String>>,
    #[serde(default)]
    top_logprobs: Option<usize>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// Answers.
///
/// # Errors
/// The request is wrong, or the model failed.
pub async fn respond(server: &Arc<Server>, body: Body) -> Result<Response<Reply>, Failure> {
    server.check_model(body.model.as_deref())?;
    if body.previous_response_id.is_some() {
        return Err(Failure::of(
            "previous_response_id",
            "responses are not stored: send the whole conversation as input",
        ));
    }
    if body.prompt.is_some() {
        let message = "is not supported: prompts are not stored here, send instructions and input";
        return Err(Failure::of("prompt", message).code("unsupported_parameter"));
    }
    let may_forget = match body.truncation.as_deref() {
        None | Some("disabled") => false,
        Some("auto") => true,
        Some(_) => return Err(Failure::of("truncation", "must be \"auto\" or \"disabled\"")),
    };
    body.sampling.check_is_one()?;
    let wants_logprobs = body.include.iter().flatten().any(|what| what == LOGPROBS);
    let likelihoods = match (wants_logprobs, body.top_logprobs) {
        (false, Some(top)) if top > 0 => {
            return Err(Failure::of("top_logprobs", format!("needs {LOGPROBS:?} in include")));
        }
        (is_wanted, top) => logprobs::of_chat(Some(is_wanted), top)?,
    };
    let engine = &server.engine;
    let flat = body.tools.unwrap_or_default();
    let tools = checked_tools(flat.iter().enumerate().map(nested).collect::<Result<_, _>>()?, engine)?;
    let (choice, tools) = super::tool_choice(body.tool_choice.as_ref(), tools)?;
    let (messages, pictures) = messages(body.instructions.as_deref(), &body.input, server)?;
    let format = super::format(body.text.as_ref().and_then(|text| text.get("format")))?;
    let is_parallel = body.parallel_tool_calls.unwrap_or(true);
    let sampler = body.sampling.samplers(engine)?.remove(0);
    let request = Request {
        prompt: Prompt::Chat { messages, tools, choice, is_parallel, pictures },
        format,
        sampler,
        bias: body.sampling.bias(engine)?,
        likelihoods,
        max_tokens: body.sampling.max_tokens()?,
        stop: body.sampling.stop()?,
        thinking: None,
        may_forget,
    };
    let answering = server.ask(vec![request]).await?;
    let head = json!({
        "id": super::id("resp_"), "object": "response", "created_at": super::now(), "status": "in_progress",
        "background": false, "error": null, "incomplete_details": null, "instructions": body.instructions,
        "max_output_tokens": body.sampling.max_tokens()?.filter(|most| *most < NO_LIMIT as usize), "metadata": {}, "model": server.model, "output": [],
        "parallel_tool_calls": is_parallel, "previous_response_id": null, "reasoning": {"effort": null, "summary": null},
        "store": false, "temperature": sampler.temperature, "text": body.text.unwrap_or_else(|| json!({"format": {"type": "text"}})),
        "tool_choice": body.tool_choice.unwrap_or_else(|| "auto".into()), "tools": flat, "top_p": sampler.top_p,
        "truncation": if may_forget { "auto" } else { "disabled" }, "top_logprobs": likelihoods.unwrap_or(0),
        "usage": null, "user": null,
    });
    let llm = engine.llm().llm().clone();
    let mut events = Events {
        response: head,
        meter: answering.meter(),
        number: 0,
        text: None,
        llm,
        waiting: Vec::new(),
        told: Vec::new(),
    };
    if body.stream == Some(true) {
        return Ok(http::stream("text/event-stream", answering, events));
    }
    let (mut all, usage) = answering.whole().await?;
    let one = all.remove(0);
    if !one.text.trim().is_empty() || one.calls.is_empty() {
        let told = events.logprobs(&one.likelihoods);
        let item = message_item(&super::id("msg_"), &one.text, told, "completed");
        events.keep(item);
    }
    for call in &one.calls {
        events.keep(call_item(call, &super::id("fc_"), &super::id("call_"), "completed"));
    }
    events.close(one.reason, &usage);
    Ok(http::json(StatusCode::OK, &events.response))
}

/// A tool as the chat API writes it.
fn nested((at, tool): (usize, &Value)) -> Result<Value, Failure> {
    match tool["type"].as_str() {
        Some("function") if tool.get("function").is_some() => Ok(tool.clone()),
        Some("function") => Ok(json!({"type": "function", "function": {
            "name": tool["name"], "description": tool["description"].as_str().unwrap_or_default(), "parameters": tool["parameters"],
        }})),
        _ => Err(Failure::of(&format!("tools[{at}]"), "must have the type function: there are no others here")),
    }
}

/// The conversation of the items.
fn messages(instructions: Option<&str>, input: &Value, server: &Server) -> Result<(Vec<Message>, Pictures), Failure> {
    let (mut messages, mut pictures) = (Vec::new(), Pictures::default());
    if let Some(text) = instructions.filter(|text| !text.is_empty()) {
        messages.push(Message::new(Role::System, text));
    }
    let items = match input {
        Value::String(text) => {
            messages.push(Message::new(Role::User, text));
            return Ok((messages, pictures));
        }
        Value::Array(items) if (1..=super::MOST_MESSAGES).contains(&items.len()) => items,
        _ => {
            return Err(Failure::of(
                "input",
                format!("must be a string, or a list of 1 to {} items", super::MOST_MESSAGES),
            ));
        }
    };
    let dialect = server.dialect()?;
    // What the assistant said and called, until somebody else says something.
    let mut said: Option<(String, Vec<ToolCall>)> = None;
    for (at, item) in items.iter().enumerate() {
        let at = format!("input[{at}]");
        let is_ours = item["type"] == "function_call" || item["role"] == "assistant" || item["type"] == "reasoning";
        if !is_ours && let Some((text, calls)) = said.take() {
            messages.push(super::assistant(&text, &calls, dialect));
        }
        add_item(item, &at, &server.engine, (&mut messages, &mut pictures), &mut said)?;
    }
    if let Some((text, calls)) = said {
        messages.push(super::assistant(&text, &calls, dialect));
    }
    Ok((messages, pictures))
}

fn add_item(
    item: &Value,
    at: &str,
    engine: &Engine,
    (messages, pictures): (&mut Vec<Message>, &mut Pictures),
    said: &mut Option<(String, Vec<ToolCall>)>,
) -> Result<(), Failure> {
    match (item["type"].as_str(), item["role"].as_str()) {
        (Some("reasoning"), _) => {}
        (Some("function_call"), _) => {
            let name = item["name"].as_str().ok_or_else(|| Failure::of(at, "names no function"))?;
            let call = super::call_of(name, &item["arguments"], engine, at)?;
            said.get_or_insert_default().1.push(call);
        }
        (Some("function_call_output"), _) => {
            messages.push(Message::new(Role::Tool, super::text_of(&item["output"], at)?));
        }
        (None | Some("message"), Some("assistant")) => {
            said.get_or_insert_default().0.push_str(&super::text_of(&item["content"], at)?);
        }
        (None | Some("message"), Some("user")) => {
            let place = PicturePlace::of_user(engine.takes_pictures(), pictures);
            messages.push(Message::new(Role::User, super::content_of(&item["content"], at, place)?));
        }
        (None | Some("message"), Some("system" | "developer")) => {
            super::push_system(messages, super::text_of(&item["content"], at)?);
        }
        _ => return Err(Failure::of(at, "must be a message, a function_call or a function_call_output")),
    }
    Ok(())
}

fn part(text: &str, logprobs: Vec<Value>) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs})
}

fn message_item(id: &str, text: &str, logprobs: Vec<Value>, status: &str) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": [part(text, logprobs)]})
}

fn call_item(call: &ToolCall, id: &str, call_id: &str, status: &str) -> Value {
    json!({
        "id": id, "type": "function_call", "status": status, "call_id": call_id, "name": call.name,
        "arguments": call.arguments.to_string(),
    })
}

/// The events of an answer, and the answer as far as it is there.
struct Events {
    response: Value,
    meter: Meter,
    number: usize,
    /// The message under way: its id and text.
    text: Option<(String, String)>,
    llm: Arc<Llm>,
    /// The likelihoods of the next text's tokens, and of the text under way what was told of them.
    waiting: Vec<Likelihood>,
    told: Vec<Value>,
}

impl Events {
    /// Adds an item to the answer, and gives its place.
    fn keep(&mut self, item: Value) -> usize {
        let output = self.response["output"].as_array_mut();
        output.map_or(0, |output| {
            output.push(item);
            output.len() - 1
        })
    }

    fn logprobs(&self, likelihoods: &[Likelihood]) -> Vec<Value> {
        self.llm.tokenizer().map(|tokenizer| logprobs::content(likelihoods, tokenizer)).unwrap_or_default()
    }

    fn place(&self) -> usize {
        self.response["output"].as_array().map_or(0, Vec::len)
    }

    fn close(&mut self, reason: Reason, usage: &Usage) {
        let is_whole = reason != Reason::Length;
        self.response["status"] = if is_whole { "completed" } else { "incomplete" }.into();
        if !is_whole {
            self.response["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        self.response["usage"] = json!({
            "input_tokens": usage.prompt, "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.generated, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt + usage.generated,
        });
    }

    fn event(&mut self, kind: &str, mut data: Value) -> String {
        data["type"] = kind.into();
        data["sequence_number"] = self.number.into();
        self.number += 1;
        format!("event: {kind}\n{}", super::event(&data))
    }

    fn whole(&mut self, kind: &str) -> String {
        let response = self.response.clone();
        self.event(kind, json!({"response": response}))
    }

    fn text(&mut self, delta: &str) -> String {
        let mut out = String::new();
        let place = self.place();
        if self.text.is_none() {
            // White space before calls is no message.
            if delta.trim().is_empty() {
                return out;
            }
            let id = super::id("msg_");
            let mut item = message_item(&id, "", Vec::new(), "in_progress");
            item["content"] = json!([]);
            out += &self.event("response.output_item.added", json!({"output_index": place, "item": item}));
            let begun = json!({"item_id": id, "output_index": place, "content_index": 0, "part": part("", Vec::new())});
            out += &self.event("response.content_part.added", begun);
            self.text = Some((id, String::new()));
        }
        let waiting = std::mem::take(&mut self.waiting);
        let logs = self.logprobs(&waiting);
        self.told.extend(logs.iter().cloned());
        let Some((id, text)) = &mut self.text else { return out };
        text.push_str(delta);
        let data = json!({"item_id": id, "output_index": place, "content_index": 0, "delta": delta, "logprobs": logs});
        out + &self.event("response.output_text.delta", data)
    }

    /// Ends the message under way.
    fn end_text(&mut self) -> String {
        let Some((id, text)) = self.text.take() else { return String::new() };
        let logs = std::mem::take(&mut self.told);
        let item = message_item(&id, &text, logs.clone(), "completed");
        let place = self.keep(item.clone());
        let of = |key: &str, value: Value| {
            let mut data = json!({"item_id": id, "output_index": place, "content_index": 0});
            data[key] = value;
            data
        };
        let mut done = of("text", text.as_str().into());
        done["logprobs"] = logs.clone().into();
        let mut out = self.event("response.output_text.done", done);
        out += &self.event("response.content_part.done", of("part", part(&text, logs)));
        out + &self.event("response.output_item.done", json!({"output_index": place, "item": item}))
    }

    fn call(&mut self, call: &ToolCall) -> String {
        let (id, call_id) = (super::id("fc_"), super::id("call_"));
        let mut begun = call_item(call, &id, &call_id, "in_progress");
        begun["arguments"] = "".into();
        let item = call_item(call, &id, &call_id, "completed");
        let place = self.keep(item.clone());
        let arguments = item["arguments"].clone();
        let mut out = self.event("response.output_item.added", json!({"output_index": place, "item": begun}));
        let delta = json!({"item_id": id, "output_index": place, "delta": arguments});
        out += &self.event("response.function_call_arguments.delta", delta);
        let done = json!({"item_id": id, "output_index": place, "name": call.name, "arguments": arguments});
        out += &self.event("response.function_call_arguments.done", done);
        out + &self.event("response.output_item.done", json!({"output_index": place, "item": item}))
    }
}

impl Writer for Events {
    fn piece(&mut self, _index: usize, piece: Piece) -> String {
        self.meter.see(&piece);
        match piece {
            Piece::Begun { .. } => self.whole("response.created") + &self.whole("response.in_progress"),
            Piece::Likelihoods(likelihoods) => {
                self.waiting.extend(likelihoods);
                String::new()
            }
            Piece::Text(text) => self.text(&text),
            Piece::Calls(calls) => {
                let text = self.end_text();
                calls.iter().fold(text, |out, call| out + &self.call(call))
            }
            Piece::Ended { reason, .. } => {
                let text = self.end_text();
                let usage = self.meter.usage();
                self.close(reason, &usage);
                let kind = if reason == Reason::Length { "response.incomplete" } else { "response.completed" };
                text + &self.whole(kind)
            }
        }
    }

    fn end(&mut self) -> String {
        String::new()
    }

    fn failed(&mut self, failure: &Failure) -> String {
        self.response["status"] = "failed".into();
        self.response["error"] = json!({"code": "server_error", "message": failure.message});
        self.whole("response.failed")
    }
}
