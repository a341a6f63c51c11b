//! The lines of a batch: plain prompts, messages, or OpenAI's requests, each with a name by which its answer is known.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::server::failure::Failure;
use crate::server::openai::chat::Body;
use crate::server::request_json;

/// The largest file of prompts.
const MOST_BYTES: u64 = 1 << 30;
/// The longest line.
const MOST_LINE_BYTES: usize = 8 << 20;
/// The one path that OpenAI's lines may name.
const URL: &str = "/v1/chat/completions";

/// What lines have that say nothing else.
#[derive(Debug, Default)]
pub struct Defaults {
    /// Who answers.
    pub model: String,
    /// What stands before a prompt.
    pub system: Option<String>,
    /// What each answer must fit.
    pub schema: Option<Value>,
    /// The longest answer in tokens.
    pub max_tokens: u32,
}

/// A line of the file.
#[derive(Debug)]
pub struct Line {
    /// Counted from 1, as editors do.
    pub number: usize,
    /// Its own name, or its number.
    pub id: String,
    /// What it says and how it is asked: an answer to something else has another mark.
    pub mark: String,
    /// Whether it is one of OpenAI's requests.
    pub is_request: bool,
    text: String,
}

/// Reads a file of prompts; empty lines are none.
///
/// # Errors
/// It can't be read, is too large, or two lines have the same name.
pub fn read(path: &Path, defaults: &Defaults) -> anyhow::Result<Vec<Line>> {
    let name = path.display();
    let file = nearfield_base::files::open(path).with_context(|| format!("{name} can't be read"))?;
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).with_context(|| format!("{name} can't be read"))?;
    if text.len() as u64 > MOST_BYTES {
        bail!("{name} has more than {MOST_BYTES} bytes: split it");
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut lines = Vec::new();
    let all = text.trim_start_matches('\u{feff}').lines().enumerate();
    for (at, text) in all.map(|(at, text)| (at + 1, text.trim())).filter(|(_, text)| !text.is_empty()) {
        if text.len() > MOST_LINE_BYTES {
            bail!("{name}:{at}: the line has more than {MOST_LINE_BYTES} bytes");
        }
        let line = Line::new(at, text, defaults);
        if let Some(first) = seen.insert(line.id.clone(), at) {
            bail!("{name}:{at}: the id {:?} is that of line {first} too: each line needs one of its own", line.id);
        }
        lines.push(line);
    }
    if lines.is_empty() {
        bail!("{name} has no prompts: it needs one JSON object a line, such as {{\"prompt\": \"…\"}}");
    }
    Ok(lines)
}

impl Line {
    fn new(number: usize, text: &str, defaults: &Defaults) -> Self {
        // What can't be read is told as its answer.
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let id = match value.get("custom_id").or_else(|| value.get("id")) {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => number.to_string(),
        };
        let mut hash = Sha256::new();
        hash.update(text);
        let Defaults { model, system, schema, max_tokens } = defaults;
        hash.update(json!([model, system, schema, max_tokens]).to_string());
        let mark = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { number, id, mark, is_request: value.get("body").is_some(), text: text.to_owned() }
    }

    /// The request that it makes.
    ///
    /// # Errors
    /// It is none.
    pub fn body(&self, defaults: &Defaults) -> Result<Body, Failure> {
        let wrong = |error: serde_json::Error| {
            let what: String = error.to_string().chars().take(300).collect();
            Failure::wrong(format!("the line is not the JSON that is expected here: {what}"))
        };
        let value: Value = serde_json::from_str(&self.text).map_err(wrong)?;
        let Value::Object(mut fields) = value else {
            return Err(Failure::wrong("the line must be a JSON object with prompt, messages, or custom_id and body"));
        };
        let mut body = match fields.remove("body") {
            Some(Value::Object(body)) => {
                let url = fields.get("url").and_then(Value::as_str).unwrap_or(URL);
                let method = fields.get("method").and_then(Value::as_str).unwrap_or("POST");
                if url != URL || method != "POST" {
                    let message =
                        format!("the line asks for {method} {url}, and only POST {URL} is answered in batches");
                    return Err(Failure::of("url", message.chars().take(300).collect::<String>()));
                }
                body
            }
            Some(_) => return Err(Failure::of("body", "must be an object")),
            None => plain(fields, defaults)?,
        };
        if !["max_tokens", "max_completion_tokens"].iter().any(|key| body.contains_key(*key)) {
            body.insert("max_tokens".to_owned(), defaults.max_tokens.into());
        }
        if let (Some(schema), false) = (&defaults.schema, body.contains_key("response_format")) {
            let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
            body.insert("response_format".to_owned(), format);
        }
        request_json::read(Value::Object(body), request_json::UNSUPPORTED)
    }
}

/// A prompt or messages as a request.
fn plain(mut fields: Map<String, Value>, defaults: &Defaults) -> Result<Map<String, Value>, Failure> {
    fields.remove("id");
    fields.remove("custom_id");
    let system = defaults.system.iter().map(|text| json!({"role": "system", "content": text}));
    let messages: Vec<Value> = match (fields.remove("prompt"), fields.remove("messages")) {
        (Some(Value::String(prompt)), None) => system.chain([json!({"role": "user", "content": prompt})]).collect(),
        (Some(_), None) => return Err(Failure::of("prompt", "must be a text")),
        (None, Some(Value::Array(all))) => {
            let has_own = all.first().is_some_and(|first| first["role"] == "system" || first["role"] == "developer");
            system.filter(|_| !has_own).chain(all).collect()
        }
        (None, Some(_)) => return Err(Failure::of("messages", "must be a list")),
        (Some(_), Some(_)) => {
            return Err(Failure::wrong("the line has both prompt and messages: one of them is enough"));
        }
        (None, None) => {
            return Err(Failure::wrong("the line has neither prompt nor messages, nor custom_id and body"));
        }
    };
    fields.insert("messages".to_owned(), messages.into());
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, defaults: &Defaults) -> anyhow::Result<Vec<Line>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prompts.jsonl");
        std::fs::write(&path, text).unwrap();
        read(&path, defaults)
    }

    #[test]
    fn lines_have_their_own_names_or_their_numbers_and_marks_of_what_they_say() {
        let defaults = Defaults::default();
        let all = lines("{\"prompt\": \"a\"}\n\n{\"id\": 7, \"prompt\": \"b\"}\nno JSON\n", &defaults).unwrap();
        let ids: Vec<(&str, usize)> = all.iter().map(|line| (line.id.as_str(), line.number)).collect();
        assert_eq!(ids, [("1", 1), ("7", 3), ("4", 4)]);
        let other = lines("{\"prompt\": \"a\"}", &Defaults { max_tokens: 9, ..Defaults::default() }).unwrap();
        assert_ne!(all[0].mark, other[0].mark, "asked otherwise");
        let twice = lines("{\"id\": \"x\", \"prompt\": \"a\"}\n{\"id\": \"x\", \"prompt\": \"b\"}", &defaults);
        assert!(twice.unwrap_err().to_string().contains("line 1"));
        assert!(lines("\n\n", &defaults).unwrap_err().to_string().contains("no prompts"));
    }

    #[test]
    fn what_is_no_request_says_why() {
        let system = Some("Be brief.".to_owned());
        let defaults = Defaults { system, max_tokens: 5, ..Defaults::default() };
        let why = |text: &str| lines(text, &defaults).unwrap()[0].body(&defaults).map(drop).map_err(|it| it.message);
        assert_eq!(why(r#"{"prompt": "a", "temperature": 0.5}"#), Ok(()));
        assert_eq!(why(r#"{"messages": [{"role": "user", "content": "a"}]}"#), Ok(()));
        let request = r#"{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": []}}"#;
        assert_eq!(why(request), Ok(()));
        for (text, part) in [
            ("nonsense", "JSON"),
            ("[1]", "object"),
            (r#"{"text": "a"}"#, "neither prompt"),
            (r#"{"prompt": 3}"#, "must be a text"),
            (r#"{"prompt": "a", "messages": []}"#, "both"),
            (r#"{"custom_id": "a", "url": "/v1/embeddings", "body": {}}"#, "only POST"),
            (r#"{"custom_id": "a", "body": []}"#, "must be an object"),
        ] {
            let said = why(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
