//! The paths of llama.cpp's server that are its own: completions of bare text, tokens, the template, and what it says of itself.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use nearfield_llm::TokenId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::answering::{Meter, Usage};
use super::engine::{Format, Piece, Prompt, Reason, Request};
use super::failure::{Failure, Form};
use super::http::{self, Reply, Writer};
use super::openai::{self, InMessage, Sampling};
use super::request_json::NO_LIMIT;

/// The most tokens that are turned into text at once.
const MOST_TOKENS: usize = 1 << 20;

/// `/completion`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Body {
    prompt: String,
    /// -1: as many as there is room for.
    #[serde(default)]
    n_predict: Option<i64>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    json_schema: Option<Value>,
    #[serde(default)]
    grammar: Option<String>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// Continues a text.
///
/// # Errors
/// The request is wrong, or the model failed.
pub async fn complete(server: &Arc<Server>, body: Body) -> Result<Response<Reply>, Failure> {
    if body.grammar.is_some_and(|grammar| !grammar.is_empty()) {
        return Err(Failure::of("grammar", "is not supported: send a json_schema"));
    }
    let format = match body.json_schema {
        Some(schema) if schema.as_object().is_some_and(|schema| !schema.is_empty()) => Format::Schema(schema),
        _ => Format::Text,
    };
    let most =
        body.n_predict.map_or(body.sampling.max_tokens()?, |n| Some(usize::try_from(n).unwrap_or(NO_LIMIT as usize)));
    let request = Request {
        prompt: Prompt::Text(body.prompt),
        format,
        sampler: body.sampling.samplers(&server.engine)?.remove(0),
        bias: body.sampling.bias(&server.engine)?,
        likelihoods: None,
        max_tokens: most,
        stop: body.sampling.stop()?,
        thinking: None,
        may_forget: false,
    };
    let answering = server.ask(vec![request]).await?;
    if body.stream == Some(true) {
        let chunks = Chunks { meter: answering.meter(), model: server.model.clone() };
        return Ok(http::stream("text/event-stream", answering, chunks));
    }
    let (mut all, usage) = answering.whole().await?;
    let one = all.remove(0);
    Ok(http::json(StatusCode::OK, &last(&one.text, &server.model, one.reason, &usage)))
}

fn last(text: &str, model: &str, reason: Reason, usage: &Usage) -> Value {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    let rate = |n: usize, time: std::time::Duration| n as f64 / time.as_secs_f64().max(1e-6);
    let computed = usage.prompt - usage.cached.min(usage.prompt);
    json!({
        "index": 0, "content": text, "stop": true, "model": model,
        "stop_type": if reason == Reason::Length { "limit" } else { "eos" },
        "tokens_predicted": usage.generated, "tokens_evaluated": usage.prompt, "tokens_cached": usage.cached, "truncated": false,
        "timings": {
            "prompt_n": computed, "prompt_ms": ms(usage.reading), "prompt_per_second": rate(computed, usage.reading),
            "predicted_n": usage.generated, "predicted_ms": ms(usage.writing),
            "predicted_per_second": rate(usage.generated, usage.writing),
        },
    })
}

/// A stream of chunks.
struct Chunks {
    meter: Meter,
    model: String,
}

impl Writer for Chunks {
    fn piece(&mut self, _index: usize, piece: Piece) -> String {
        self.meter.see(&piece);
        match piece {
            Piece::Begun { .. } | Piece::Likelihoods(_) | Piece::Calls(_) => String::new(),
            Piece::Text(text) => openai::event(&json!({"index": 0, "content": text, "stop": false})),
            Piece::Ended { reason, .. } => openai::event(&last("", &self.model, reason, &self.meter.usage())),
        }
    }

    fn end(&mut self) -> String {
        String::new()
    }

    fn failed(&mut self, failure: &Failure) -> String {
        openai::event(&failure.body(Form::OpenAi))
    }
}

/// `/tokenize`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TokenizeBody {
    content: String,
    #[serde(default)]
    add_special: bool,
    #[serde(default)]
    with_pieces: bool,
}

/// The tokens of a text.
///
/// # Errors
/// The model carries no vocabulary.
pub fn tokenize(server: &Server, body: &TokenizeBody) -> Result<Value, Failure> {
    let tokenizer = server.engine.llm().llm().tokenizer()?;
    let tokens = match body.add_special {
        true => tokenizer.encode_prompt(&body.content),
        false => tokenizer.encode(&body.content, true),
    };
    let piece = |token: &TokenId| json!({"id": token.0, "piece": String::from_utf8_lossy(tokenizer.bytes_of(*token))});
    Ok(match body.with_pieces {
        true => json!({"tokens": tokens.iter().map(piece).collect::<Vec<_>>()}),
        false => json!({"tokens": tokens}),
    })
}

/// `/detokenize`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DetokenizeBody {
    #[schemars(with = "Vec<u32>")]
    tokens: Vec<TokenId>,
}

/// The text of tokens.
///
/// # Errors
/// There are too many.
pub fn detokenize(server: &Server, body: &DetokenizeBody) -> Result<Value, Failure> {
    if body.tokens.len() > MOST_TOKENS {
        return Err(Failure::of("tokens", format!("there are more than {MOST_TOKENS}")));
    }
    Ok(json!({"content": server.engine.llm().llm().tokenizer()?.decode(&body.tokens)}))
}

/// `/apply-template`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TemplateBody {
    messages: Vec<InMessage>,
}

/// A conversation as the model reads it.
///
/// # Errors
/// The template refuses it.
pub fn apply_template(server: &Server, body: TemplateBody) -> Result<Value, Failure> {
    let (messages, pictures) = openai::messages(body.messages, &server.engine, server.dialect()?)?;
    if !pictures.is_empty() {
        return Err(Failure::of("messages", "have pictures, which are no text: leave them out"));
    }
    let messages = server.engine.safe(&messages)?;
    Ok(json!({"prompt": server.engine.llm().llm().template()?.render(&messages, &[], true)?}))
}

/// `/props`
pub fn props(server: &Server) -> Value {
    let llm = server.engine.llm().llm();
    let template = llm.template().map(|template| template.source().to_owned()).unwrap_or_default();
    json!({
        "default_generation_settings": {"n_ctx": server.engine.context_tokens()}, "total_slots": server.config.sessions,
        "model_alias": server.model, "chat_template": template, "modalities": {"vision": server.engine.takes_pictures(), "audio": false},
        "build_info": concat!("nearfield-", env!("CARGO_PKG_VERSION")),
    })
}

/// `/slots`
pub fn slots(server: &Server) -> Value {
    let busy = server.engine.busy();
    let slot = |(id, is_busy): (usize, &bool)| json!({"id": id, "n_ctx": server.engine.context_tokens(), "is_processing": is_busy});
    busy.iter().enumerate().map(slot).collect()
}
