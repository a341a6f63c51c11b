//! Log-probabilities of tokens, in the forms of chats and of completions.

use nearfield_llm::{Likelihood, TokenId, Tokenizer};
use serde_json::{Map, Value, json};

use crate::server::failure::Failure;

/// The most of the likeliest tokens at each place.
const MOST_TOP: usize = 20;

/// How many of the likeliest tokens a chat wants with each of its own; `None`: no likelihoods.
///
/// # Errors
/// There are too many, or they are asked for without `logprobs`.
pub fn of_chat(logprobs: Option<bool>, top: Option<usize>) -> Result<Option<usize>, Failure> {
    match (logprobs.unwrap_or(false), top) {
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(Failure::of("top_logprobs", "needs \"logprobs\": true")),
        (true, top) => checked("top_logprobs", top.unwrap_or(0)).map(Some),
    }
}

/// Checks how many of the likeliest tokens are wanted.
///
/// # Errors
/// They are too many.
pub fn checked(name: &str, top: usize) -> Result<usize, Failure> {
    match top <= MOST_TOP {
        true => Ok(top),
        false => Err(Failure::of(name, format!("is {top} but must be from 0 to {MOST_TOP}"))),
    }
}

/// The `logprobs` of a choice of a chat; null without likelihoods.
pub fn chat(likelihoods: &[Likelihood], tokenizer: &Tokenizer, is_wanted: bool) -> Value {
    match is_wanted {
        true => json!({"content": content(likelihoods, tokenizer), "refusal": null}),
        false => Value::Null,
    }
}

/// The tokens of a text with how likely they were, as chats, responses, Ollama and llama.cpp tell them.
pub fn content(likelihoods: &[Likelihood], tokenizer: &Tokenizer) -> Vec<Value> {
    let one = |token: TokenId, log_probability: f32| json!({"token": tokenizer.text_of(token), "logprob": log(log_probability), "bytes": tokenizer.bytes_of(token)});
    let told = likelihoods.iter().map(|likelihood| {
        let mut written = one(likelihood.token, likelihood.log_probability);
        written["top_logprobs"] = likelihood.top.iter().map(|(token, log)| one(*token, *log)).collect();
        written
    });
    told.collect()
}

/// The `logprobs` of a choice of a completion, whose text begins at `offset` of what is sent; null without likelihoods.
pub fn completion(likelihoods: &[Likelihood], tokenizer: &Tokenizer, is_wanted: bool, mut offset: usize) -> Value {
    if !is_wanted {
        return Value::Null;
    }
    let (mut tokens, mut logs, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for likelihood in likelihoods {
        let text = tokenizer.text_of(likelihood.token);
        let mut top = Map::new();
        for (token, log_probability) in &likelihood.top {
            top.entry(tokenizer.text_of(*token)).or_insert_with(|| log(*log_probability).into());
        }
        offsets.push(offset);
        offset += text.chars().count();
        tokens.push(text);
        logs.push(log(likelihood.log_probability));
        tops.push(top);
    }
    json!({"tokens": tokens, "token_logprobs": logs, "top_logprobs": tops, "text_offset": offsets})
}

/// JSON knows no infinity: what is impossible is as unlikely as OpenAI writes it.
fn log(log_probability: f32) -> f32 {
    log_probability.max(-9999.0)
}
