//! `/v1/completions`: a text is continued, with the marks of the model's template if the client has put some into it.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use nearfield_llm::{Likelihood, Llm};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::chat::StreamOptions;
use super::{Sampling, logprobs};
use crate::server::Server;
use crate::server::answering::Meter;
use crate::server::engine::{Piece, Prompt, Request};
use crate::server::failure::{Failure, Form};
use crate::server::http::{self, Reply, Writer};

/// The most prompts at once.
const MOST_PROMPTS: usize = 16;

/// What is read of a request.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Body {
    #[serde(default)]
    model: Option<String>,
    prompt: Value,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    echo: Option<bool>,
    #[serde(default)]
    suffix: Option<String>,
    #[serde(default)]
    logprobs: Option<usize>,
    #[serde(default)]
    response_format: Option<Value>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// Continues a text, or several.
///
/// # Errors
/// The request is wrong, or the model failed.
pub async fn complete(server: &Arc<Server>, body: Body) -> Result<Response<Reply>, Failure> {
    server.check_model(body.model.as_deref())?;
    if body.suffix.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(Failure::of(
            "suffix",
            "is not supported: put what comes before and after into the prompt, with the model's own marks",
        ));
    }
    let likelihoods = body.logprobs.map(|top| logprobs::checked("logprobs", top)).transpose()?;
    if likelihoods.is_some() && body.echo == Some(true) {
        return Err(Failure::of("echo", "cannot be had together with logprobs: those of the prompt are not computed"));
    }
    let prompts = super::strings("prompt", Some(&body.prompt))?;
    if !(1..=MOST_PROMPTS).contains(&prompts.len()) {
        return Err(Failure::of("prompt", format!("there are {}; 1 to {MOST_PROMPTS} are taken", prompts.len())));
    }
    let (max_tokens, stop) = (body.sampling.max_tokens()?.unwrap_or(16), body.sampling.stop()?);
    let bias = body.sampling.bias(&server.engine)?;
    let format = super::format(body.response_format.as_ref())?;
    let samplers = body.sampling.samplers(&server.engine)?;
    let mut requests = Vec::new();
    let mut echoes = Vec::new();
    for prompt in prompts {
        for sampler in &samplers {
            echoes.push(if body.echo == Some(true) { prompt.clone() } else { String::new() });
            requests.push(Request {
                prompt: Prompt::Text(prompt.clone()),
                format: format.clone(),
                sampler: *sampler,
                bias: bias.clone(),
                likelihoods,
                max_tokens: Some(max_tokens),
                stop: stop.clone(),
                thinking: None,
                may_forget: false,
            });
        }
    }
    let answering = server.ask(requests).await?;
    let llm = server.engine.llm().llm().clone();
    let head = json!({
        "id": super::id("cmpl-"), "object": "text_completion", "created": super::now(), "model": server.model,
        "choices": [],
    });
    if body.stream == Some(true) {
        let tells_usage = body.stream_options.is_some_and(|options| options.include_usage);
        let logprobs = likelihoods.map(|_| (llm, Vec::new()));
        let chunks = Chunks { head, echoes, meter: answering.meter(), tells_usage, logprobs, offset: 0 };
        return Ok(http::stream("text/event-stream", answering, chunks));
    }
    let (all, usage) = answering.whole().await?;
    let mut answer = head;
    let tokenizer = llm.tokenizer()?;
    let choices = all.iter().zip(echoes).enumerate().map(|(index, (one, echo))| {
        let logs = logprobs::completion(&one.likelihoods, tokenizer, likelihoods.is_some(), 0);
        choice(index, &(echo + &one.text), &logs, Some(one.reason.open_ai()))
    });
    answer["choices"] = choices.collect();
    answer["usage"] = super::usage(&usage);
    Ok(http::json(StatusCode::OK, &answer))
}

fn choice(index: usize, text: &str, logprobs: &Value, reason: Option<&str>) -> Value {
    json!({"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason})
}

/// A stream of chunks.
struct Chunks {
    head: Value,
    echoes: Vec<String>,
    meter: Meter,
    tells_usage: bool,
    /// Where likelihoods are wanted: those of the next text's tokens, and where it begins.
    logprobs: Option<(Arc<Llm>, Vec<Likelihood>)>,
    offset: usize,
}

impl Chunks {
    fn chunk(&self, choices: Vec<Value>) -> Value {
        let mut chunk = self.head.clone();
        chunk["choices"] = Value::from(choices);
        chunk
    }
}

impl Writer for Chunks {
    fn piece(&mut self, index: usize, piece: Piece) -> String {
        self.meter.see(&piece);
        let none = Value::Null;
        let choice = match piece {
            Piece::Begun { .. } => {
                self.offset = 0;
                match self.echoes[index].as_str() {
                    "" => return String::new(),
                    echo => choice(index, echo, &none, None),
                }
            }
            Piece::Likelihoods(likelihoods) => {
                if let Some((_, waiting)) = &mut self.logprobs {
                    waiting.extend(likelihoods);
                }
                return String::new();
            }
            Piece::Text(text) => {
                let logs = self.logprobs.as_mut().and_then(|(llm, waiting)| {
                    let waiting = std::mem::take(waiting);
                    Some(logprobs::completion(&waiting, llm.tokenizer().ok()?, true, self.offset))
                });
                self.offset += text.chars().count();
                choice(index, &text, &logs.unwrap_or(none), None)
            }
            Piece::Calls(_) => return String::new(),
            Piece::Ended { reason, .. } => choice(index, "", &none, Some(reason.open_ai())),
        };
        super::event(&self.chunk(vec![choice]))
    }

    fn end(&mut self) -> String {
        let mut end = String::new();
        if self.tells_usage {
            let mut chunk = self.chunk(Vec::new());
            chunk["usage"] = super::usage(&self.meter.usage());
            end = super::event(&chunk);
        }
        end + "data: [DONE]\n\n"
    }

    fn failed(&mut self, failure: &Failure) -> String {
        super::event(&failure.body(Form::OpenAi))
    }
}
