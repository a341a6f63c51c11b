//! OpenAI's HTTP API, and what its forms have in common with Ollama's: messages, tools, sampling.

pub mod audio;
pub mod chat;
pub mod completions;
pub mod logprobs;
pub mod responses;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use nearfield_llm::{Dialect, LogitBias, Message, Role, SamplerOptions, TokenId, ToolCall};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::answering::Usage;
use super::engine::{Engine, Format, ToolChoice};
use super::failure::Failure;
use super::pictures::{self, PicturePlace, Pictures};

/// The most answers to one request.
const MOST_ANSWERS: usize = 8;
/// The most tokens with a bias.
const MOST_BIASES: usize = 1024;
/// The most messages.
const MOST_MESSAGES: usize = 4096;

/// How tokens are chosen, as OpenAI's clients say it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct Sampling {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    #[serde(alias = "repeat_penalty")]
    repetition_penalty: Option<f32>,
    seed: Option<i64>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    max_output_tokens: Option<usize>,
    /// As llama.cpp's clients say it.
    n_predict: Option<usize>,
    stop: Option<Value>,
    n: Option<usize>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    logit_bias: Option<Value>,
}

impl Sampling {
    /// The sampler of each answer.
    ///
    /// # Errors
    /// Something is asked for that is not to be had.
    pub fn samplers(&self, engine: &Engine) -> Result<Vec<SamplerOptions>, Failure> {
        let n = self.n.unwrap_or(1);
        if !(1..=MOST_ANSWERS).contains(&n) {
            return Err(Failure::of("n", format!("is {n} but must be from 1 to {MOST_ANSWERS}")));
        }
        let mut sampler = engine.sampler();
        sampler.temperature = self.temperature.unwrap_or(sampler.temperature);
        sampler.top_p = self.top_p.unwrap_or(sampler.top_p);
        sampler.top_k = self.top_k.unwrap_or(sampler.top_k);
        sampler.min_p = self.min_p.unwrap_or(sampler.min_p);
        sampler.repetition_penalty = self.repetition_penalty.unwrap_or(sampler.repetition_penalty);
        sampler.seed = self.seed.map_or_else(chance, |seed| seed as u64);
        sampler.check().map_err(Failure::wrong)?;
        Ok((0..n as u64).map(|i| SamplerOptions { seed: sampler.seed.wrapping_add(i), ..sampler }).collect())
    }

    /// What is added to logits.
    ///
    /// # Errors
    /// A penalty is out of range, or a bias is for no token of the model.
    pub fn bias(&self, engine: &Engine) -> Result<LogitBias, Failure> {
        let penalty = |name: &str, value: Option<f32>| match value.unwrap_or(0.0) {
            value if (-2.0..=2.0).contains(&value) => Ok(value),
            value => Err(Failure::of(name, format!("is {value} but must be from -2 to 2"))),
        };
        let mut bias = LogitBias {
            tokens: Vec::new(),
            frequency_penalty: penalty("frequency_penalty", self.frequency_penalty)?,
            presence_penalty: penalty("presence_penalty", self.presence_penalty)?,
        };
        let all = match &self.logit_bias {
            None | Some(Value::Null) => return Ok(bias),
            Some(Value::Object(all)) => all,
            Some(_) => return Err(Failure::of("logit_bias", "must map tokens of the model to numbers")),
        };
        let n_vocab = engine.llm().llm().info().vocab_size;
        if all.len() > MOST_BIASES {
            return Err(Failure::of(
                "logit_bias",
                format!("has {} tokens; at most {MOST_BIASES} are taken", all.len()),
            ));
        }
        for (token, value) in all {
            let known = token.parse::<u32>().ok().filter(|token| (*token as usize) < n_vocab);
            let token: String = token.chars().take(40).collect();
            let known = known.ok_or_else(|| {
                let message =
                    format!("{token:?} is no token of this model, which has {n_vocab} (/tokenize gives them)");
                Failure::of("logit_bias", message)
            })?;
            let value = value.as_f64().filter(|value| (-100.0..=100.0).contains(value));
            let value = value
                .ok_or_else(|| Failure::of("logit_bias", format!("{token} must have a number from -100 to 100")))?;
            bias.tokens.push((TokenId(known), value as f32));
        }
        Ok(bias)
    }

    /// The longest answer.
    ///
    /// # Errors
    /// It is 0.
    pub fn max_tokens(&self) -> Result<Option<usize>, Failure> {
        let most = self.n_predict.or(self.max_completion_tokens).or(self.max_tokens).or(self.max_output_tokens);
        match most {
            // llama.cpp's: the prompt is read into the cache.
            Some(0) if self.n_predict.is_some() => Ok(Some(0)),
            Some(0) => Err(Failure::of("max_tokens", "is 0 but must be 1 or more")),
            most => Ok(most),
        }
    }

    /// Checks that one answer is asked for.
    ///
    /// # Errors
    /// Several are.
    pub fn check_is_one(&self) -> Result<(), Failure> {
        match self.n {
            None | Some(1) => Ok(()),
            Some(n) => Err(Failure::of("n", format!("is {n}, and one answer is given here: send 1"))),
        }
    }

    /// What ends an answer.
    ///
    /// # Errors
    /// It is neither a string nor a list of strings.
    pub fn stop(&self) -> Result<Vec<String>, Failure> {
        strings("stop", self.stop.as_ref())
    }
}

/// How many of the last tokens a penalty looks at; -1: all of a context of `room`.
///
/// # Errors
/// It is less.
pub fn window(name: &str, last: i64, room: usize) -> Result<usize, Failure> {
    match last {
        -1 => Ok(room),
        last => usize::try_from(last)
            .map(|last| last.min(room))
            .map_err(|_| Failure::of(name, format!("is {last} but must be a number of tokens, or -1 for all"))),
    }
}

/// A number that nobody foresees.
pub fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A string, or a list of strings.
///
/// # Errors
/// It is something else.
pub fn strings(name: &str, value: Option<&Value>) -> Result<Vec<String>, Failure> {
    let wrong = || Failure::of(name, "must be a string or a list of strings");
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(all)) => all.iter().map(|it| it.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

/// A message as clients send it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct InMessage {
    role: String,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Option<Vec<InCall>>,
    /// Ollama's pictures.
    #[serde(default)]
    images: Option<Vec<Value>>,
}

/// A call of an earlier answer.
#[derive(Debug, Deserialize, JsonSchema)]
struct InCall {
    function: InFunction,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct InFunction {
    name: String,
    /// JSON as text (OpenAI), or as it is (Ollama).
    #[serde(default)]
    arguments: Value,
}

/// The text of a content: a string, or parts.
///
/// # Errors
/// It is something else, or has pictures or sound.
pub fn text_of(content: &Value, at: &str) -> Result<String, Failure> {
    content_of(content, at, PicturePlace::NotOfUser)
}

/// The text of a content, with a mark for each of its pictures.
///
/// # Errors
/// It is something else, or has sound, or pictures that have no place.
pub fn content_of(content: &Value, at: &str, mut pictures: PicturePlace<'_>) -> Result<String, Failure> {
    let plain = |text: &str| text.replace(pictures::MARK, "");
    match content {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(plain(text)),
        Value::Array(parts) => {
            let mut all = String::new();
            for part in parts {
                let kind = part["type"].as_str().unwrap_or_default();
                match kind {
                    "text" | "input_text" | "output_text" | "refusal" => {
                        let text = part.get("text").or_else(|| part.get("refusal")).and_then(Value::as_str);
                        all.push_str(&plain(text.ok_or_else(|| Failure::of(at, "has a part of text without text"))?));
                    }
                    "image_url" | "input_image" | "image" => {
                        let data = ["image_url", "image"].into_iter().find_map(|key| part.get(key));
                        all.push(pictures.take(data.unwrap_or(&Value::Null), at)?);
                    }
                    other => {
                        let other: String = other.chars().take(40).collect();
                        return Err(Failure::of(at, format!("has a part of type {other:?}; text is taken")));
                    }
                }
            }
            Ok(all)
        }
        _ => Err(Failure::of(at, "must be a string or a list of parts")),
    }
}

/// A call as the model would have written it.
pub fn call_of(name: &str, arguments: &Value, engine: &Engine, at: &str) -> Result<ToolCall, Failure> {
    let text = match arguments {
        Value::Null => "{}".to_owned(),
        Value::String(text) if text.trim().is_empty() => "{}".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let tokenizer = engine.llm().llm().tokenizer()?;
    let arguments: Value = serde_json::from_str(&tokenizer.without_control(&text))
        .map_err(|error| Failure::of(at, format!("the arguments of {name} are no JSON: {error}")))?;
    Ok(ToolCall { name: tokenizer.without_control(name).into_owned(), arguments })
}

/// What an assistant said and called.
pub fn assistant(text: &str, calls: &[ToolCall], dialect: Dialect) -> Message {
    Message::new(Role::Assistant, dialect.reply(text, calls))
}

/// Messages as the model reads them, and the pictures that users show it. System messages at the beginning become one.
///
/// # Errors
/// Says what is wrong with which.
pub fn messages(all: Vec<InMessage>, engine: &Engine, dialect: Dialect) -> Result<(Vec<Message>, Pictures), Failure> {
    if all.is_empty() || all.len() > MOST_MESSAGES {
        return Err(Failure::of("messages", format!("there are {}; 1 to {MOST_MESSAGES} are taken", all.len())));
    }
    let mut messages: Vec<Message> = Vec::with_capacity(all.len());
    let mut pictures = Pictures::default();
    for (at, message) in all.into_iter().enumerate() {
        let at = format!("messages[{at}]");
        let mut place = match message.role == "user" {
            true => PicturePlace::of_user(engine.takes_pictures(), &mut pictures),
            false => PicturePlace::NotOfUser,
        };
        let mut text = String::new();
        for image in message.images.into_iter().flatten() {
            text.push(place.take(&image, &at)?);
        }
        text.push_str(&content_of(&message.content, &at, place)?);
        match message.role.as_str() {
            "system" | "developer" => push_system(&mut messages, text),
            "user" => messages.push(Message::new(Role::User, text)),
            "tool" | "function" => messages.push(Message::new(Role::Tool, text)),
            "assistant" => {
                let calls = message.tool_calls.unwrap_or_default();
                let calls: Result<Vec<ToolCall>, Failure> = calls
                    .iter()
                    .map(|call| call_of(&call.function.name, &call.function.arguments, engine, &at))
                    .collect();
                messages.push(assistant(&text, &calls?, dialect));
            }
            other => {
                let other: String = other.chars().take(40).collect();
                let known = "system, developer, user, assistant or tool";
                return Err(Failure::of(&at, format!("has the role {other:?} but must have {known}")));
            }
        }
    }
    Ok((messages, pictures))
}

/// Adds a system message, to the one before it where there is one.
pub fn push_system(messages: &mut Vec<Message>, text: String) {
    match messages.last_mut() {
        Some(last) if last.role == Role::System => {
            last.content.push_str("\n\n");
            last.content.push_str(&text);
        }
        _ => messages.push(Message::new(Role::System, text)),
    }
}

/// Whether the model may or must call a tool, and which of `tools` it may call.
///
/// # Errors
/// It is none of the known forms.
pub fn tool_choice(value: Option<&Value>, mut tools: Vec<Value>) -> Result<(ToolChoice, Vec<Value>), Failure> {
    const AT: &str = "tool_choice";
    let choice = match value {
        None | Some(Value::Null) => return Ok((ToolChoice::Auto, tools)),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Required,
            _ => return Err(Failure::of(AT, "must be \"auto\", \"none\", \"required\" or a function")),
        },
        Some(object) => match object["type"].as_str() {
            Some("allowed_tools") => allowed_tools(object, &mut tools)?,
            None | Some("function") => {
                ToolChoice::Named(named(object).ok_or_else(|| Failure::of(AT, "names no function"))?.to_owned())
            }
            Some(kind) => {
                let kind: String = kind.chars().take(40).collect();
                let message =
                    format!("has the type {kind:?}, and only \"function\" and \"allowed_tools\" are supported");
                return Err(Failure::of(AT, message).code("unsupported_parameter"));
            }
        },
    };
    match choice {
        ToolChoice::Required | ToolChoice::Named(_) if tools.is_empty() => {
            Err(Failure::of(AT, "wants a tool called, and the request has no tools"))
        }
        choice => Ok((choice, tools)),
    }
}

/// The name of a function, as chats (`function.name`) or responses (`name`) write it.
fn named(object: &Value) -> Option<&str> {
    object["function"]["name"].as_str().or_else(|| object["name"].as_str())
}

/// Leaves those of `tools` that a choice of the type `allowed_tools` names, in the form of chats or of responses.
fn allowed_tools(choice: &Value, tools: &mut Vec<Value>) -> Result<ToolChoice, Failure> {
    const AT: &str = "tool_choice";
    let choice = choice.get("allowed_tools").unwrap_or(choice);
    let mode = match choice["mode"].as_str() {
        Some("auto") => ToolChoice::Auto,
        Some("required") => ToolChoice::Required,
        _ => return Err(Failure::of(AT, "of the type allowed_tools must have the mode \"auto\" or \"required\"")),
    };
    let allowed =
        choice["tools"].as_array().ok_or_else(|| Failure::of(AT, "of the type allowed_tools has no tools"))?;
    let mut names = Vec::new();
    for tool in allowed {
        let name = named(tool).ok_or_else(|| Failure::of(AT, "allows a tool without a name"))?;
        if !tools.iter().any(|tool| tool["function"]["name"] == name) {
            let name: String = name.chars().take(64).collect();
            return Err(Failure::of(AT, format!("allows {name:?}, which is no tool of the request")));
        }
        names.push(name);
    }
    tools.retain(|tool| names.iter().any(|name| tool["function"]["name"] == **name));
    Ok(mode)
}

/// What an answer must fit: `response_format` of the chat, `text.format` of responses.
///
/// # Errors
/// It is none of the known forms.
pub fn format(value: Option<&Value>) -> Result<Format, Failure> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Format::Text) };
    match value["type"].as_str() {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let schema = value["json_schema"].get("schema").or_else(|| value.get("schema"));
            match schema {
                Some(schema) => Ok(Format::Schema(schema.clone())),
                None => Err(Failure::of("response_format", "has the type json_schema but no schema")),
            }
        }
        _ => Err(Failure::of("response_format", "must have the type text, json_object or json_schema")),
    }
}

/// A name that no other object has, such as `chatcmpl-…`.
pub fn id(kind: &str) -> String {
    format!("{kind}{:016x}{:08x}", chance(), chance() as u32)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What an answer cost.
pub fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.generated,
        "total_tokens": usage.prompt + usage.generated,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    })
}

/// A call with a name of its own.
pub fn call(call: &ToolCall) -> Value {
    json!({
        "id": id("call_"), "type": "function",
        "function": {"name": call.name, "arguments": call.arguments.to_string()},
    })
}

/// An event of a stream.
pub fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// `/v1/models`
pub fn models(server: &Server) -> Value {
    let embeds = server.embeddings.model().map(|(name, _)| name);
    let all = [server.model.as_str()].into_iter().chain(embeds);
    json!({"object": "list", "data": all.map(|name| object(server, name)).collect::<Vec<_>>()})
}

fn object(server: &Server, name: &str) -> Value {
    json!({"id": name, "object": "model", "created": server.begun, "owned_by": "nearfield"})
}

/// `/v1/models/NAME`
///
/// # Errors
/// There is no such model.
pub fn model(server: &Server, name: &str) -> Result<Value, Failure> {
    if server.embeddings.model().is_none_or(|(embeds, _)| embeds != name) {
        server.check_model(Some(name))?;
    }
    Ok(object(server, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Vec<Value> {
        ["on", "off", "dim"].map(|name| json!({"type": "function", "function": {"name": name}})).to_vec()
    }

    #[test]
    fn of_several_limits_that_of_llama_cpp_counts_first() {
        let most = |value: Value| serde_json::from_value::<Sampling>(value).unwrap().max_tokens();
        for (value, due) in [
            (json!({"n_predict": 3, "max_completion_tokens": 4, "max_tokens": 5}), 3),
            (json!({"max_output_tokens": 6, "max_tokens": 5, "max_completion_tokens": 4}), 4),
            (json!({"max_output_tokens": 6, "max_tokens": 5}), 5),
            (json!({"n_predict": 0, "max_tokens": 5}), 0),
        ] {
            assert_eq!(most(value.clone()).unwrap(), Some(due), "{value}");
        }
        assert!(most(json!({"max_tokens": 0})).is_err());
    }

    #[test]
    fn allowed_tools_are_those_of_the_request_that_may_be_called() {
        let of_chat = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "dim"}}, {"type": "function", "function": {"name": "on"}}]}});
        let of_responses =
            json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "off"}]});
        for (value, due, names) in
            [(of_chat, ToolChoice::Required, vec!["on", "dim"]), (of_responses, ToolChoice::Auto, vec!["off"])]
        {
            let (choice, left) = tool_choice(Some(&value), tools()).unwrap();
            let left: Vec<&str> = left.iter().filter_map(named).collect();
            assert_eq!((choice, left), (due, names));
        }
        for (value, message) in [
            (json!({"type": "allowed_tools", "mode": "auto", "tools": [{"name": "x"}]}), "\"x\", which is no tool"),
            (json!({"type": "allowed_tools", "mode": "any", "tools": []}), "the mode"),
            (json!({"type": "allowed_tools", "mode": "required", "tools": []}), "has no tools"),
            (json!({"type": "custom", "custom": {"name": "on"}}), "has the type \"custom\""),
            (json!({"type": "function"}), "names no function"),
        ] {
            let failure = tool_choice(Some(&value), tools()).unwrap_err();
            assert!(failure.message.contains(message), "{}", failure.message);
        }
    }

    #[test]
    fn a_picture_has_a_place_in_messages_of_users_to_models_with_a_projector() {
        let content =
            json!([{"type": "text", "text": "a\u{F8FF}"}, {"type": "image_url", "image_url": {"url": "AAAA"}}]);
        let mut pictures = Pictures::default();
        let place = PicturePlace::of_user(true, &mut pictures);
        assert_eq!(content_of(&content, "messages[0]", place).unwrap(), "a\u{F8FF}");
        assert!(!pictures.is_empty());
        let failure = content_of(&content, "messages[0]", PicturePlace::of_user(false, &mut pictures)).unwrap_err();
        assert!(failure.message.contains("llm.mmproj"), "{}", failure.message);
        let failure = text_of(&content, "messages[3]").unwrap_err();
        assert!(failure.message.contains("only messages with the role \"user\""), "{}", failure.message);
    }
}
