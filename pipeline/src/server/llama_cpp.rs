//! The paths of llama.cpp's server that are its own: completions of bare text, tokens, the template, and what it says of itself.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use nearfield_llm::{Likelihood, Llm, TokenId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::answering::{Meter, Usage};
use super::engine::{Format, Piece, Prompt, Reason, Request};
use super::failure::{Failure, Form};
use super::http::{self, Reply, Writer};
use super::openai::{self, InMessage, Sampling, logprobs};

/// The most tokens that are turned into text at once.
const MOST_TOKENS: usize = 1 << 20;

/// `/completion`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Body {
    prompt: String,
    /// How many of the likeliest tokens are told with each token.
    #[serde(default)]
    n_probs: Option<usize>,
    /// How many of the last tokens `repeat_penalty` looks at; -1: all.
    #[serde(default)]
    repeat_last_n: Option<i64>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    json_schema: Option<Value>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// Continues a text.
///
/// # Errors
/// The request is wrong, or the model failed.
pub async fn complete(server: &Arc<Server>, body: Body) -> Result<Response<Reply>, Failure> {
    body.sampling.check_is_one()?;
    let likelihoods = body.n_probs.filter(|top| *top > 0).map(|top| logprobs::checked("n_probs", top)).transpose()?;
    let format = match body.json_schema {
        Some(schema) if schema.as_object().is_some_and(|schema| !schema.is_empty()) => Format::Schema(schema),
        _ => Format::Text,
    };
    let mut sampler = body.sampling.samplers(&server.engine)?.remove(0);
    if let Some(last) = body.repeat_last_n {
        sampler.repetition_window = openai::window("repeat_last_n", last, server.engine.context_tokens())?;
    }
    let request = Request {
        prompt: Prompt::Text(body.prompt),
        format,
        sampler,
        bias: body.sampling.bias(&server.engine)?,
        likelihoods,
        max_tokens: body.sampling.max_tokens()?,
        stop: body.sampling.stop()?,
        thinking: None,
        may_forget: false,
    };
    let answering = server.ask(vec![request]).await?;
    let llm = server.engine.llm().llm().clone();
    if body.stream == Some(true) {
        let meter = answering.meter();
        let chunks = Chunks { meter, model: server.model.clone(), llm, waiting: Vec::new() };
        return Ok(http::stream("text/event-stream", answering, chunks));
    }
    let (mut all, usage) = answering.whole().await?;
    let one = all.remove(0);
    let mut answer = last(&one.text, &server.model, (one.reason, one.stopped_by.as_deref()), &usage);
    if likelihoods.is_some() {
        answer["completion_probabilities"] = probabilities(&llm, &one.likelihoods).into();
    }
    Ok(http::json(StatusCode::OK, &answer))
}

/// The tokens with how likely they were.
fn probabilities(llm: &Llm, likelihoods: &[Likelihood]) -> Vec<Value> {
    let Ok(tokenizer) = llm.tokenizer() else { return Vec::new() };
    let mut told = logprobs::content(likelihoods, tokenizer);
    for (told, likelihood) in told.iter_mut().zip(likelihoods) {
        told["id"] = likelihood.token.0.into();
        let top = told["top_logprobs"].as_array_mut().into_iter().flatten();
        top.zip(&likelihood.top).for_each(|(told, (token, _))| told["id"] = token.0.into());
    }
    told
}

fn last(text: &str, model: &str, (reason, stopped_by): (Reason, Option<&str>), usage: &Usage) -> Value {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    let rate = |n: usize, time: std::time::Duration| n as f64 / time.as_secs_f64().max(1e-6);
    let computed = usage.prompt - usage.cached.min(usage.prompt);
    json!({
        "index": 0, "content": text, "stop": true, "model": model,
        "stop_type": match (reason, stopped_by) {
            (Reason::Length, _) => "limit",
            (_, Some(_)) => "word",
            _ => "eos",
        },
        "stopping_word": stopped_by.unwrap_or_default(),
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
    llm: Arc<Llm>,
    /// The likelihoods of the next text's tokens.
    waiting: Vec<Likelihood>,
}

impl Writer for Chunks {
    fn piece(&mut self, _index: usize, piece: Piece) -> String {
        self.meter.see(&piece);
        match piece {
            Piece::Begun { .. } | Piece::Calls(_) => String::new(),
            Piece::Likelihoods(likelihoods) => {
                self.waiting.extend(likelihoods);
                String::new()
            }
            Piece::Text(text) => {
                let mut chunk = json!({"index": 0, "content": text, "stop": false});
                if !self.waiting.is_empty() {
                    let told = probabilities(&self.llm, &std::mem::take(&mut self.waiting));
                    chunk["completion_probabilities"] = told.into();
                }
                openai::event(&chunk)
            }
            Piece::Ended { reason, stopped_by, .. } => {
                let why = (reason, stopped_by.as_deref());
                openai::event(&last("", &self.model, why, &self.meter.usage()))
            }
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
    /// Whether marks of the template are taken as such, which they are where nothing is said.
    #[serde(default)]
    parse_special: Option<bool>,
}

/// The tokens of a text.
///
/// # Errors
/// The model carries no vocabulary.
pub fn tokenize(server: &Server, body: &TokenizeBody) -> Result<Value, Failure> {
    let tokenizer = server.engine.llm().llm().tokenizer()?;
    let tokens = match (body.add_special, body.parse_special.unwrap_or(true)) {
        (true, true) => tokenizer.encode_prompt(&body.content),
        (true, false) => tokenizer.encode_text(&body.content),
        (false, special) => tokenizer.encode(&body.content, special),
    };
    // As llama.cpp: what is no whole character is told as its bytes.
    let piece = |token: &TokenId| match std::str::from_utf8(tokenizer.bytes_of(*token)) {
        Ok(_) => json!({"id": token.0, "piece": tokenizer.text_of(*token)}),
        Err(_) => json!({"id": token.0, "piece": tokenizer.bytes_of(*token)}),
    };
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
