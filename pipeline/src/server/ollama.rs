//! Ollama's HTTP API, as its Python client and Home Assistant's integration ask it.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use jiff::Timestamp;
use nearfield_llm::{Likelihood, Llm, LogitBias, Message, Role, SamplerOptions, Thinking};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Server;
use super::answering::{Meter, Usage};
use super::engine::{Format, Piece, Prompt, Reason, Request, ToolChoice, checked_tools};
use super::failure::{Failure, Form};
use super::http::{self, Reply, Writer};
use super::openai::{self, InMessage, logprobs};
use super::pictures::{self, PicturePlace, Pictures};
use super::request_json::{self, NO_LIMIT};

/// The version of Ollama whose answers these are, and ours.
const VERSION: &str = concat!("0.12.0+nearfield.", env!("CARGO_PKG_VERSION"));
/// What streams are.
const LINES: &str = "application/x-ndjson";

/// What both kinds of requests have.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Common {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    format: Value,
    #[serde(default)]
    options: Option<Map<String, Value>>,
    #[serde(default)]
    keep_alive: Value,
    #[serde(default)]
    think: Value,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    top_logprobs: Option<usize>,
    /// Whether a conversation that is too long loses its oldest questions, as it does where nothing is said.
    #[serde(default)]
    truncate: Option<bool>,
}

/// `/api/chat`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ChatBody {
    #[serde(flatten)]
    common: Common,
    #[serde(default)]
    messages: Vec<InMessage>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
}

/// `/api/generate`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GenerateBody {
    #[serde(flatten)]
    common: Common,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    raw: Option<bool>,
    #[serde(default)]
    suffix: Option<String>,
    #[serde(default)]
    images: Option<Vec<Value>>,
    /// Tokens of an earlier answer, which are refused.
    #[serde(default)]
    context: Option<Vec<Value>>,
}

/// `/api/show` and `/api/pull`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ModelBody {
    #[serde(default, alias = "name")]
    model: Option<String>,
}

/// What is common to requests, checked.
struct Asked {
    sampler: SamplerOptions,
    max_tokens: Option<usize>,
    stop: Vec<String>,
    format: Format,
    thinking: Option<Thinking>,
    is_streamed: bool,
    is_unloading: bool,
    bias: LogitBias,
    likelihoods: Option<usize>,
    may_forget: bool,
}

impl Common {
    fn checked(&self, server: &Server) -> Result<Asked, Failure> {
        server.check_model(self.model.as_deref())?;
        let format = match &self.format {
            Value::Null => Format::Text,
            Value::String(word) if word.is_empty() => Format::Text,
            Value::String(word) if word == "json" => Format::JsonObject,
            Value::Object(_) => Format::Schema(self.format.clone()),
            _ => return Err(Failure::of("format", "must be \"json\" or a JSON schema")),
        };
        let options = self.options.clone().unwrap_or_default();
        request_json::refuse(&options, request_json::UNSUPPORTED_OPTIONS, "options.")?;
        // Numbers come as integers or as floats, whatever they are.
        let number = |name: &str| match options.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_f64().map(Some).ok_or_else(|| Failure::of(&format!("options.{name}"), "must be a number"))
            }
        };
        let mut sampler = server.engine.sampler();
        let float = |name: &str, old: f32| Ok::<f32, Failure>(number(name)?.map_or(old, |new| new as f32));
        sampler.temperature = float("temperature", sampler.temperature)?;
        sampler.top_p = float("top_p", sampler.top_p)?;
        sampler.min_p = float("min_p", sampler.min_p)?;
        sampler.repetition_penalty = float("repeat_penalty", sampler.repetition_penalty)?;
        if let Some(last) = number("repeat_last_n")? {
            let room = server.engine.context_tokens();
            sampler.repetition_window = openai::window("options.repeat_last_n", last as i64, room)?;
        }
        let penalty = |name: &str| match float(name, 0.0)? {
            value if (-2.0..=2.0).contains(&value) => Ok(value),
            value => Err(Failure::of(&format!("options.{name}"), format!("is {value} but must be from -2 to 2"))),
        };
        let bias = LogitBias {
            tokens: Vec::new(),
            frequency_penalty: penalty("frequency_penalty")?,
            presence_penalty: penalty("presence_penalty")?,
        };
        sampler.top_k = number("top_k")?.map_or(sampler.top_k, |k| k.max(0.0) as usize);
        sampler.seed = number("seed")?.map_or_else(openai::chance, |seed| seed as i64 as u64);
        sampler.check().map_err(|error| Failure::of("options", error))?;
        number("num_ctx")?;
        // -1: as many as there is room for; so is -2, the end of the context.
        let max_tokens = match number("num_predict")? {
            Some(n) if n < 0.0 => Some(NO_LIMIT as usize),
            most => most.filter(|n| *n >= 1.0).map(|n| n as usize),
        };
        let thinking = match &self.think {
            Value::Null => None,
            Value::Bool(false) => Some(Thinking::Off),
            Value::Bool(true) | Value::String(_) if server.engine.llm().llm().info().thinks => Some(Thinking::On),
            Value::Bool(true) | Value::String(_) => {
                return Err(Failure::wrong(format!("{:?} does not support thinking", server.model)));
            }
            _ => return Err(Failure::of("think", "must be true or false")),
        };
        Ok(Asked {
            sampler,
            max_tokens,
            stop: openai::strings("options.stop", options.get("stop"))?,
            format,
            thinking,
            is_streamed: self.stream != Some(false),
            is_unloading: keep_alive(&self.keep_alive)? == Some(0.0),
            bias,
            likelihoods: logprobs::of_chat(self.logprobs, self.top_logprobs)?,
            may_forget: self.truncate != Some(false),
        })
    }
}

/// Seconds that a model is to stay loaded: a number, or a time such as "5m", "1h30m", "-1.0s". It is checked and has no effect:
/// the model stays.
fn keep_alive(value: &Value) -> Result<Option<f64>, Failure> {
    let wrong = || Failure::of("keep_alive", "must be a number of seconds or a time such as \"5m\" or \"-1\"");
    match value {
        Value::Null => Ok(None),
        Value::Number(seconds) => Ok(seconds.as_f64()),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => text.parse().ok().or_else(|| seconds(text)).map(Some).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// A time as Go writes it.
fn seconds(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let n: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let units = [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
        let (unit, worth) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total += n * worth;
    }
    Some(sign * total)
}

/// `/api/chat`
///
/// # Errors
/// The request is wrong, or the model failed.
pub async fn chat(server: &Arc<Server>, body: ChatBody) -> Result<Response<Reply>, Failure> {
    let asked = body.common.checked(server)?;
    let mut lines = Lines::new(server, true);
    if body.messages.is_empty() {
        return Ok(lines.nothing(&asked));
    }
    let tools = checked_tools(body.tools.unwrap_or_default(), &server.engine)?;
    let (messages, pictures) = openai::messages(body.messages, &server.engine, server.dialect()?)?;
    // Home Assistant wants a schema held and offers no tools then; where both come, the schema counts.
    let choice = if asked.format == Format::Text { ToolChoice::Auto } else { ToolChoice::None };
    let prompt = Prompt::Chat { messages, tools, choice, is_parallel: true, pictures };
    answered(server, asked, prompt, lines).await
}

/// `/api/generate`
///
/// # Errors
/// The request is wrong, or the model failed.
pub async fn generate(server: &Arc<Server>, body: GenerateBody) -> Result<Response<Reply>, Failure> {
    let asked = body.common.checked(server)?;
    let mut lines = Lines::new(server, false);
    let (mut pictures, mut asked_text) = (Pictures::default(), String::new());
    for image in body.images.into_iter().flatten() {
        let mut place = PicturePlace::of_user(server.engine.takes_pictures(), &mut pictures);
        asked_text.push(place.take(&image, "images")?);
    }
    if body.suffix.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(Failure::of("suffix", "is not supported: leave it out"));
    }
    if body.context.is_some_and(|context| !context.is_empty()) {
        let message = "is not supported: nothing is stored, send the whole conversation to /api/chat";
        return Err(Failure::of("context", message).code("unsupported_parameter"));
    }
    if body.prompt.is_empty() {
        return Ok(lines.nothing(&asked));
    }
    let has_template = server.engine.llm().llm().template().is_ok();
    let prompt = match body.raw == Some(true) || !has_template {
        true if !pictures.is_empty() => return Err(Failure::of("images", "need a chat: leave raw out")),
        true => Prompt::Text(body.prompt),
        false => {
            let system = body.system.filter(|system| !system.is_empty());
            let mut messages: Vec<Message> =
                system.map(|system| Message::new(Role::System, system)).into_iter().collect();
            asked_text.push_str(&body.prompt.replace(pictures::MARK, ""));
            messages.push(Message::new(Role::User, asked_text));
            Prompt::Chat { messages, tools: Vec::new(), choice: ToolChoice::None, is_parallel: true, pictures }
        }
    };
    answered(server, asked, prompt, lines).await
}

async fn answered(
    server: &Arc<Server>,
    asked: Asked,
    prompt: Prompt,
    mut lines: Lines,
) -> Result<Response<Reply>, Failure> {
    let Asked { sampler, max_tokens, stop, format, thinking, is_streamed, bias, likelihoods, may_forget, .. } = asked;
    let request = Request { prompt, format, sampler, bias, likelihoods, max_tokens, stop, thinking, may_forget };
    let answering = server.ask(vec![request]).await?;
    if is_streamed {
        lines.meter = Some(answering.meter());
        return Ok(http::stream(LINES, answering, lines));
    }
    let (mut all, usage) = answering.whole().await?;
    let one = all.remove(0);
    let text = if one.calls.is_empty() { one.text } else { one.text.trim_end().to_owned() };
    lines.waiting = one.likelihoods;
    let mut line = lines.line(&text);
    if !one.calls.is_empty() {
        line["message"]["tool_calls"] = one.calls.iter().map(call).collect();
    }
    end_line(&mut line, one.reason, &usage);
    Ok(http::json(StatusCode::OK, &line))
}

fn call(call: &nearfield_llm::ToolCall) -> Value {
    json!({"function": {"name": call.name, "arguments": call.arguments}})
}

fn end_line(line: &mut Value, reason: Reason, usage: &Usage) {
    line["done"] = true.into();
    line["done_reason"] = if reason == Reason::Length { "length" } else { "stop" }.into();
    line["total_duration"] = ((usage.reading + usage.writing).as_nanos() as u64).into();
    line["load_duration"] = 0.into();
    line["prompt_eval_count"] = usage.prompt.into();
    line["prompt_eval_duration"] = (usage.reading.as_nanos() as u64).into();
    line["eval_count"] = usage.generated.into();
    line["eval_duration"] = (usage.writing.as_nanos() as u64).into();
}

/// The lines of an answer.
struct Lines {
    model: String,
    is_chat: bool,
    meter: Option<Meter>,
    llm: Arc<Llm>,
    /// The likelihoods of the next text's tokens, where they are wanted.
    waiting: Vec<Likelihood>,
}

impl Lines {
    fn new(server: &Server, is_chat: bool) -> Self {
        let llm = server.engine.llm().llm().clone();
        Self { model: tagged(&server.model), is_chat, meter: None, llm, waiting: Vec::new() }
    }

    fn line(&mut self, text: &str) -> Value {
        let mut line = json!({"model": self.model, "created_at": Timestamp::now().to_string()});
        match self.is_chat {
            true => line["message"] = json!({"role": "assistant", "content": text}),
            false => line["response"] = text.into(),
        }
        let likelihoods = std::mem::take(&mut self.waiting);
        if let Some(tokenizer) = self.llm.tokenizer().ok().filter(|_| !likelihoods.is_empty()) {
            line["logprobs"] = logprobs::content(&likelihoods, tokenizer).into();
        }
        line["done"] = false.into();
        line
    }

    /// The answer to a request that only wants the model loaded or unloaded.
    fn nothing(&mut self, asked: &Asked) -> Response<Reply> {
        let mut line = self.line("");
        line["done"] = true.into();
        line["done_reason"] = if asked.is_unloading { "unload" } else { "load" }.into();
        match asked.is_streamed {
            true => http::whole(StatusCode::OK, LINES, format!("{line}\n")),
            false => http::json(StatusCode::OK, &line),
        }
    }
}

impl Writer for Lines {
    fn piece(&mut self, _index: usize, piece: Piece) -> String {
        if let Some(meter) = &mut self.meter {
            meter.see(&piece);
        }
        let line = match piece {
            Piece::Begun { .. } => return String::new(),
            Piece::Likelihoods(likelihoods) => {
                self.waiting.extend(likelihoods);
                return String::new();
            }
            Piece::Text(text) => self.line(&text),
            Piece::Calls(calls) => {
                let mut line = self.line("");
                line["message"]["tool_calls"] = calls.iter().map(call).collect();
                line
            }
            Piece::Ended { reason, .. } => {
                let mut line = self.line("");
                let usage = self.meter.as_ref().map(Meter::usage).unwrap_or_default();
                end_line(&mut line, reason, &usage);
                line
            }
        };
        format!("{line}\n")
    }

    fn end(&mut self) -> String {
        String::new()
    }

    fn failed(&mut self, failure: &Failure) -> String {
        format!("{}\n", failure.body(Form::Ollama))
    }
}

/// Models have a tag.
fn tagged(model: &str) -> String {
    format!("{model}:latest")
}

/// `/api/version`
pub fn version() -> Value {
    json!({"version": VERSION})
}

fn entry(server: &Server) -> Value {
    let info = server.engine.llm().llm().info();
    let name = tagged(&server.model);
    let what = format!("{name} {} {}", info.file_bytes, info.quantization);
    let digest: String = Sha256::digest(what.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"name": name, "model": name, "size": info.file_bytes, "digest": digest, "details": details(server)})
}

fn details(server: &Server) -> Value {
    let info = server.engine.llm().llm().info();
    let size = match info.parameters {
        0..1_000_000_000 => format!("{:.2}M", info.parameters as f64 / 1e6),
        _ => format!("{:.1}B", info.parameters as f64 / 1e9),
    };
    json!({
        "parent_model": "", "format": "gguf", "family": info.architecture, "families": [info.architecture],
        "parameter_size": size, "quantization_level": info.type_name(),
    })
}

fn begun(server: &Server) -> String {
    Timestamp::from_second(server.begun as i64).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// `/api/tags`
pub fn tags(server: &Server) -> Value {
    let mut model = entry(server);
    model["modified_at"] = begun(server).into();
    json!({"models": [model]})
}

/// `/api/ps`
pub fn running(server: &Server) -> Value {
    let mut model = entry(server);
    // It stays.
    model["expires_at"] = "2318-01-01T00:00:00Z".into();
    model["size_vram"] = 0.into();
    model["context_length"] = server.engine.context_tokens().into();
    json!({"models": [model]})
}

/// `/api/show`
///
/// # Errors
/// There is no such model.
pub fn show(server: &Server, body: &ModelBody) -> Result<Value, Failure> {
    server.check_model(body.model.as_deref())?;
    let llm = server.engine.llm().llm();
    let info = llm.info();
    let mut capabilities = vec!["completion"];
    if server.engine.takes_pictures() {
        capabilities.push("vision");
    }
    let template = llm.template().map(|template| template.source().to_owned()).unwrap_or_default();
    if llm.template().is_ok() {
        capabilities.push("tools");
    }
    if info.thinks {
        capabilities.push("thinking");
    }
    let architecture = &info.architecture;
    Ok(json!({
        "modelfile": "", "parameters": "", "template": template, "details": details(server),
        "model_info": {
            "general.architecture": architecture,
            "general.basename": info.name,
            "general.parameter_count": info.parameters,
            format!("{architecture}.context_length"): info.context_length,
            format!("{architecture}.embedding_length"): info.d_model,
            format!("{architecture}.block_count"): info.layers,
        },
        "capabilities": capabilities, "modified_at": begun(server),
    }))
}

/// `/api/pull`: what is there needs no pulling, and what is not is pulled on the command line.
///
/// # Errors
/// There is no such model.
pub fn pull(server: &Server, body: &ModelBody) -> Result<Response<Reply>, Failure> {
    server.check_model(body.model.as_deref()).map_err(|failure| {
        let message = format!("{failure}; pull models with `nearfield models pull` and name one in llm.model");
        Failure { message, ..failure }
    })?;
    Ok(http::whole(StatusCode::OK, LINES, format!("{}\n", json!({"status": "success"}))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_stay_is_read_in_all_its_forms() {
        for (value, due) in [
            (json!(null), None),
            (json!(-1), Some(-1.0)),
            (json!(300), Some(300.0)),
            (json!("-1"), Some(-1.0)),
            (json!("-1.0s"), Some(-1.0)),
            (json!("5m"), Some(300.0)),
            (json!("1h30m"), Some(5400.0)),
            (json!("500ms"), Some(0.5)),
            (json!(0), Some(0.0)),
            (json!("0"), Some(0.0)),
        ] {
            assert_eq!(keep_alive(&value).unwrap(), due, "{value}");
        }
        for value in [json!("soon"), json!("5 minutes"), json!([]), json!("m")] {
            assert!(keep_alive(&value).is_err(), "{value}");
        }
    }
}
