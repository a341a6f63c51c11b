//! A remote language model: any endpoint that takes OpenAI's chat completions, streamed, tools included. Requests run on a thread of
//! their own, so that the caller can give up at any time; what comes back is bounded in bytes and time, and after a failure a circuit
//! breaker ([`Breaker`]) pauses the requests.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nearfield_base::redact::redacted;
use nearfield_llm::ToolCall;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::http::Uri;

use crate::reconnect::{Breaker, ReconnectPolicy};

/// The longest line of an answer, in bytes.
const LONGEST_LINE: usize = 64 << 10;
/// The longest answer, in bytes.
const LONGEST_ANSWER: u64 = 2 << 20;
/// The most calls of one answer, and the longest arguments of one, in bytes.
const MOST_CALLS: usize = 16;
const LONGEST_ARGUMENTS: usize = 16 << 10;
/// The longest key, in bytes.
const LONGEST_KEY: u64 = 64 << 10;
/// What a whole answer may take, however steadily it comes.
const LONGEST_TIME: Duration = Duration::from_secs(120);
/// How often one who waits looks whether the answer is still wanted.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What is told of a server's complaint.
const MOST_COMPLAINT: u64 = 300;
/// Pieces that wait to be read.
const QUEUE: usize = 256;

const RETRY: ReconnectPolicy = ReconnectPolicy {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(300),
    stable_after: Duration::from_secs(600),
};

/// The key that a file holds.
///
/// # Errors
/// It can't be read, or is no file of text of at most 64 KiB.
pub fn read_key(file: &Path) -> std::io::Result<String> {
    nearfield_base::files::read_text(file, LONGEST_KEY).map(|key| key.trim().to_owned())
}

/// Which requests a remote model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// None: nothing leaves the device.
    #[default]
    Never,
    /// Those that are about nothing in the home.
    Pass,
    /// All that the sentence matcher does not answer.
    Always,
}

/// Which endpoint, and how it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteOptions {
    /// Where, up to and without `/chat/completions`.
    pub url: String,
    /// The file with the key; read for each request.
    pub key_file: Option<PathBuf>,
    /// The model's name there.
    pub model: String,
    /// Which requests it answers.
    pub when: When,
    /// The longest wait for the first piece of an answer, and between two.
    pub timeout: Duration,
}

/// Why there is no answer, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// Not called: it failed a short while ago, or still works on an earlier request.
    #[error("it is not called again so soon after a failure")]
    Suspended,
    /// The answer is no longer wanted.
    #[error("the request was cancelled")]
    Cancelled,
    /// No answer, or a wrong one.
    #[error("{0}")]
    Failed(String),
}

/// A call that a remote model wants made.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteCall {
    /// Its id there.
    pub id: String,
    /// The call; its arguments may not fit.
    pub call: ToolCall,
}

/// What one question comes to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RemoteAnswer {
    /// The whole text.
    pub text: String,
    /// The calls it wants made.
    pub calls: Vec<RemoteCall>,
    /// Whether it ended at the limit of tokens.
    pub cut_off: bool,
}

/// One request to a remote model.
pub struct Request<'a> {
    /// The conversation, as the endpoint takes it.
    pub messages: &'a [Value],
    /// The tools, as the endpoint takes them.
    pub tools: &'a [Value],
    /// The most tokens of the answer.
    pub max_tokens: usize,
    /// Whether the answer is still wanted; called many times a second.
    pub is_wanted: &'a dyn Fn() -> bool,
    /// Gets the text as it comes.
    pub sink: &'a mut dyn FnMut(&str),
}

/// A remote model.
#[derive(Debug)]
pub struct Remote {
    options: RemoteOptions,
    endpoint: Uri,
    agent: ureq::Agent,
    breaker: Breaker,
    running: Option<JoinHandle<()>>,
}

enum Piece {
    Text(String),
    Done(RemoteAnswer),
    Failed(String),
}

impl Remote {
    /// A remote model; nothing is sent yet.
    ///
    /// # Errors
    /// The URL is none; one sentence.
    pub fn new(options: RemoteOptions) -> Result<Remote, String> {
        let url = &options.url;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!("{:?} begins with neither http:// nor https://", redacted(url)));
        }
        let endpoint = format!("{}/chat/completions", url.trim_end_matches('/'));
        let endpoint = endpoint.parse().map_err(|error| format!("{:?} is not a URL: {error}", redacted(url)))?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(LONGEST_TIME))
            .timeout_connect(Some(options.timeout))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_read(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Ok(Remote { options, endpoint, agent: config.into(), breaker: Breaker::new(RETRY), running: None })
    }

    /// Which requests it answers.
    pub fn when(&self) -> When {
        self.options.when
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// [`RemoteError`]; what `sink` got before stands.
    pub fn complete(&mut self, request: &mut Request<'_>) -> Result<RemoteAnswer, RemoteError> {
        let is_busy = self.running.as_ref().is_some_and(|thread| !thread.is_finished());
        if is_busy || !self.breaker.allows(Instant::now()) {
            return Err(RemoteError::Suspended);
        }
        let answer = self.send(request);
        match &answer {
            Ok(_) => {
                if let Some(after) = self.breaker.succeeded() {
                    tracing::info!("the remote model answers again {after}");
                }
            }
            Err(RemoteError::Failed(reason)) => {
                if let Some(message) = self.breaker.failed(Instant::now(), reason) {
                    tracing::warn!("the remote model is unavailable, and the local model answers: {message}");
                }
            }
            Err(RemoteError::Suspended | RemoteError::Cancelled) => {}
        }
        answer
    }

    fn send(&mut self, wanted: &mut Request<'_>) -> Result<RemoteAnswer, RemoteError> {
        let Request { messages, tools, max_tokens, .. } = *wanted;
        let mut body = json!({
            "model": self.options.model, "messages": messages, "stream": true, "max_tokens": max_tokens,
        });
        if !tools.is_empty() {
            body["tools"] = json!(tools);
        }
        let mut request = self.agent.post(self.endpoint.clone()).header("Content-Type", "application/json");
        request = request.header("Accept", "text/event-stream");
        if let Some(file) = &self.options.key_file {
            let key = read_key(file).map_err(|error| {
                RemoteError::Failed(format!("its key can't be read from {}: {error}", file.display()))
            })?;
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let (pieces, inbox) = bounded(QUEUE);
        let body = body.to_string();
        let thread = std::thread::Builder::new().name("remote-llm".to_owned()).spawn(move || {
            let answered = request
                .send(&body)
                .map_err(|error| error.to_string())
                .and_then(|response| read_response(response, &pieces));
            let _ = pieces.send(match answered {
                Ok(answer) => Piece::Done(answer),
                Err(reason) => Piece::Failed(reason),
            });
        });
        self.running = Some(thread.map_err(|error| RemoteError::Failed(format!("no thread can be started: {error}")))?);
        self.wait(&inbox, wanted)
    }

    fn wait(&mut self, inbox: &Receiver<Piece>, request: &mut Request<'_>) -> Result<RemoteAnswer, RemoteError> {
        let begun = Instant::now();
        let mut last = Instant::now();
        loop {
            if !(request.is_wanted)() {
                return Err(RemoteError::Cancelled);
            }
            match inbox.recv_timeout(LOOK_AGAIN) {
                Ok(Piece::Text(text)) => {
                    last = Instant::now();
                    (request.sink)(&text);
                }
                // That was all: its thread does no more than end, and the next request need not find it ended.
                Ok(Piece::Done(answer)) => {
                    self.running = None;
                    return Ok(answer);
                }
                Ok(Piece::Failed(reason)) => {
                    self.running = None;
                    return Err(RemoteError::Failed(reason));
                }
                Err(RecvTimeoutError::Timeout) if last.elapsed() > self.options.timeout => {
                    let seconds = self.options.timeout.as_secs_f64();
                    return Err(RemoteError::Failed(format!("nothing came for {seconds} s")));
                }
                Err(RecvTimeoutError::Timeout) if begun.elapsed() > LONGEST_TIME => {
                    return Err(RemoteError::Failed(format!("it went on for more than {} s", LONGEST_TIME.as_secs())));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(RemoteError::Failed("its reader failed".to_owned())),
            }
        }
    }
}

fn read_response(
    mut response: ureq::http::Response<ureq::Body>,
    pieces: &Sender<Piece>,
) -> Result<RemoteAnswer, String> {
    let status = response.status().as_u16();
    if status != 200 {
        let mut answer = Vec::new();
        let _ = response.body_mut().as_reader().take(MOST_COMPLAINT).read_to_end(&mut answer);
        let answer: String = String::from_utf8_lossy(&answer).chars().filter(|c| !c.is_control()).collect();
        let hint = match status {
            401 | 403 => ": the key is missing, expired or not allowed; write a valid one into remote.key_file",
            404 => ": remote.url or remote.model is probably wrong",
            301..=308 => ": it redirects; set remote.url to the final address",
            _ => "",
        };
        return Err(format!("it answers {status}{hint} {answer}").trim_end().to_owned());
    }
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_whole = kind.starts_with("application/json");
    let reader = response.into_body().into_reader().take(LONGEST_ANSWER);
    let mut answer = Answer::default();
    let mut tell = |text: String| pieces.send(Piece::Text(text)).is_ok();
    match is_whole {
        true => {
            let mut text = Vec::new();
            let mut reader = reader;
            reader.read_to_end(&mut text).map_err(|error| format!("its answer broke off: {error}"))?;
            answer.take(&text, "message", &mut tell)?;
            answer.ended = true;
        }
        false => read_events(BufReader::new(reader), &mut answer, &mut tell)?,
    }
    answer.finish()
}

/// Reads the lines of a stream of events; their data are chunks of the answer.
fn read_events(
    mut lines: impl BufRead,
    answer: &mut Answer,
    tell: &mut dyn FnMut(String) -> bool,
) -> Result<(), String> {
    let mut line = Vec::new();
    while !answer.ended {
        line.clear();
        let read = lines.by_ref().take(LONGEST_LINE as u64).read_until(b'\n', &mut line);
        match read {
            Ok(0) => break,
            Ok(_) if line.last() != Some(&b'\n') && line.len() >= LONGEST_LINE => {
                return Err(format!("a line of its answer has more than {LONGEST_LINE} bytes"));
            }
            Ok(_) => {}
            Err(error) => return Err(format!("its answer broke off: {error}")),
        }
        let text = line.trim_ascii();
        let Some(data) = text.strip_prefix(b"data:") else { continue };
        match data.trim_ascii() {
            b"[DONE]" => answer.ended = true,
            data => {
                if !answer.take(data, "delta", tell)? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// An answer as far as it has come.
#[derive(Default)]
struct Answer {
    text: String,
    /// Id, name and arguments as far as they have come.
    calls: Vec<(String, String, String)>,
    /// Why it says that it ended.
    reason: Option<String>,
    ended: bool,
}

impl Answer {
    /// Takes a chunk; answers whether anybody listens.
    fn take(&mut self, data: &[u8], key: &str, tell: &mut dyn FnMut(String) -> bool) -> Result<bool, String> {
        let chunk: Value =
            serde_json::from_slice(data).map_err(|error| format!("its answer can't be read: {error}"))?;
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            let what = error.get("message").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
            let short: String = what.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(format!("it reports an error: {short}"));
        }
        let choice = &chunk["choices"][0];
        let part = &choice[key];
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.reason = Some(reason.to_owned());
        }
        for call in part["tool_calls"].as_array().into_iter().flatten() {
            let at = call["index"].as_u64().map_or(self.calls.len(), |at| at as usize);
            if at >= MOST_CALLS {
                return Err(format!("it requests more than {MOST_CALLS} tool calls"));
            }
            if self.calls.len() <= at {
                self.calls.resize(at + 1, Default::default());
            }
            let (id, name, arguments) = &mut self.calls[at];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            id.push_str(&text(&call["id"]));
            name.push_str(&text(&call["function"]["name"]));
            arguments.push_str(&text(&call["function"]["arguments"]));
            if id.len() + name.len() + arguments.len() > LONGEST_ARGUMENTS {
                return Err("the arguments of a call are too long".to_owned());
            }
        }
        match part["content"].as_str().filter(|text| !text.is_empty()) {
            None => Ok(true),
            Some(text) => {
                self.text.push_str(text);
                Ok(tell(text.to_owned()))
            }
        }
    }

    fn finish(self) -> Result<RemoteAnswer, String> {
        if !self.ended && self.reason.is_none() {
            return Err("its answer broke off".to_owned());
        }
        let calls = self.calls.into_iter().enumerate().map(|(at, (id, name, arguments))| {
            let arguments = if arguments.trim().is_empty() { "{}" } else { arguments.as_str() };
            let arguments = serde_json::from_str(arguments)
                .map_err(|error| format!("the arguments of a call can't be read: {error}"))?;
            let id = if id.is_empty() { format!("call_{at}") } else { id };
            Ok(RemoteCall { id, call: ToolCall { name, arguments } })
        });
        let calls = calls.collect::<Result<Vec<RemoteCall>, String>>()?;
        Ok(RemoteAnswer { text: self.text, calls, cut_off: self.reason.as_deref() == Some("length") })
    }
}
