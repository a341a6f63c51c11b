//! The forms in which clients ask for embeddings: OpenAI's `/v1/embeddings`, Ollama's `/api/embed` and `/api/embeddings`, llama.cpp's
//! `/embedding`.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use nearfield_llm::TokenId;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Input;
use crate::server::Server;
use crate::server::failure::Failure;
use crate::server::http::{self, Reply, read_json};

/// Whether a path is answered here.
pub fn is_path(path: &str) -> bool {
    matches!(path, "/v1/embeddings" | "/embeddings" | "/embedding" | "/api/embed" | "/api/embeddings")
}

/// Answers a request to one of these paths.
///
/// # Errors
/// The request is wrong, there is no model, or it failed.
pub async fn post(server: &Arc<Server>, path: &str, body: Incoming, most: usize) -> Result<Response<Reply>, Failure> {
    let answer = match path {
        "/api/embed" => ollama(server, read_json(body, most).await?).await?,
        "/api/embeddings" => ollama_one(server, read_json(body, most).await?).await?,
        "/embedding" => llama_cpp(server, read_json(body, most).await?).await?,
        _ => open_ai(server, read_json(body, most).await?).await?,
    };
    Ok(http::json(StatusCode::OK, &answer))
}

/// `/v1/embeddings`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OpenAiBody {
    #[serde(default)]
    model: Option<String>,
    input: Value,
    #[serde(default)]
    encoding_format: Option<String>,
    #[serde(default)]
    dimensions: Option<usize>,
}

async fn open_ai(server: &Arc<Server>, body: OpenAiBody) -> Result<Value, Failure> {
    let is_packed = match body.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Failure::of("encoding_format", "must be \"float\" or \"base64\"")),
    };
    let embeddings = &server.embeddings;
    let name = embeddings.check(body.model.as_deref())?.name.clone();
    let made = embeddings.embed(body.model.as_deref(), inputs("input", body.input)?, body.dimensions, false).await?;
    let written = |vector: &Vec<f32>| match is_packed {
        // Little-endian floats, as OpenAI's libraries unpack them.
        true => Value::from(STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())),
        false => json!(vector),
    };
    let data = made.vectors.iter().enumerate();
    let data = data.map(|(at, vector)| json!({"object": "embedding", "index": at, "embedding": written(vector)}));
    Ok(json!({
        "object": "list", "data": data.collect::<Vec<_>>(), "model": name,
        "usage": {"prompt_tokens": made.tokens, "total_tokens": made.tokens},
    }))
}

/// `/api/embed`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OllamaBody {
    #[serde(default)]
    model: Option<String>,
    input: Value,
    #[serde(default)]
    truncate: Option<bool>,
    #[serde(default)]
    dimensions: Option<usize>,
}

async fn ollama(server: &Arc<Server>, body: OllamaBody) -> Result<Value, Failure> {
    let begun = Instant::now();
    let cuts = body.truncate.unwrap_or(true);
    let name = server.embeddings.check(body.model.as_deref())?.name.clone();
    let inputs = inputs("input", body.input)?;
    let made = server.embeddings.embed(body.model.as_deref(), inputs, body.dimensions, cuts).await?;
    Ok(json!({
        "model": name, "embeddings": made.vectors, "total_duration": begun.elapsed().as_nanos() as u64, "load_duration": 0,
        "prompt_eval_count": made.tokens,
    }))
}

/// `/api/embeddings`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OllamaOneBody {
    #[serde(default)]
    model: Option<String>,
    prompt: String,
}

async fn ollama_one(server: &Arc<Server>, body: OllamaOneBody) -> Result<Value, Failure> {
    let made = server.embeddings.embed(body.model.as_deref(), vec![Input::Text(body.prompt)], None, true).await?;
    Ok(json!({"embedding": made.vectors.first()}))
}

/// `/embedding`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LlamaCppBody {
    content: Value,
}

async fn llama_cpp(server: &Arc<Server>, body: LlamaCppBody) -> Result<Value, Failure> {
    let made = server.embeddings.embed(None, inputs("content", body.content)?, None, false).await?;
    let all = made.vectors.iter().enumerate().map(|(at, vector)| json!({"index": at, "embedding": [vector]}));
    Ok(all.collect())
}

/// A text, texts, the tokens of a text, or those of several.
fn inputs(name: &str, value: Value) -> Result<Vec<Input>, Failure> {
    let wrong = || Failure::of(name, "must be a text, a list of texts, a list of tokens, or a list of lists of tokens");
    let is_number = |value: &Value| value.is_number();
    let tokens = |all: &[Value]| -> Result<Input, Failure> {
        let token = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).map(TokenId).ok_or_else(wrong);
        Ok(Input::Tokens(all.iter().map(token).collect::<Result<_, _>>()?))
    };
    match value {
        Value::String(text) => Ok(vec![Input::Text(text)]),
        Value::Array(all) if all.is_empty() => Err(Failure::of(name, "is empty")),
        Value::Array(all) if all.iter().all(is_number) => Ok(vec![tokens(&all)?]),
        Value::Array(all) => all
            .into_iter()
            .map(|one| match one {
                Value::String(text) => Ok(Input::Text(text)),
                Value::Array(one) => tokens(&one),
                _ => Err(wrong()),
            })
            .collect(),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_tokens_come_alone_and_in_lists() {
        let kinds = |value: Value| -> Result<String, String> {
            let all = inputs("input", value).map_err(|failure| failure.message)?;
            let kind = |input: &Input| match input {
                Input::Text(text) => format!("{text:?}"),
                Input::Tokens(tokens) => format!("{:?}", tokens.iter().map(|token| token.0).collect::<Vec<_>>()),
            };
            Ok(all.iter().map(kind).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(kinds(json!("a")).unwrap(), "\"a\"");
        assert_eq!(kinds(json!(["a", "b"])).unwrap(), "\"a\" \"b\"");
        assert_eq!(kinds(json!([1, 2])).unwrap(), "[1, 2]");
        assert_eq!(kinds(json!([[1, 2], [3]])).unwrap(), "[1, 2] [3]");
        for wrong in [json!([]), json!(7), json!([1, "a"]), json!([-1]), json!([[1.5]]), json!({"a": 1}), json!(null)] {
            assert!(kinds(wrong.clone()).unwrap_err().starts_with("input: "), "{wrong}");
        }
    }
}
