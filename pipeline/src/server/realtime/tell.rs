//! What a flow tells, as the API's events. A response has one message, which is spoken clause by clause, or one call of a client's tool.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nearfield_speech::audio::{SampleRate, pcm16};
use nearfield_stages::flow::Turn;
use nearfield_stages::messages::Tokens;
use nearfield_stages::voice::connection::ClientOutput;
use serde_json::{Value, json};

use super::super::failure::{Failure, Form};
use super::super::openai::{id, now};
use super::flow::FlowOutput;
use super::settings::Settings;

/// So long a session is said to last; it has no end of its own.
const SESSION_S: u64 = 24 * 3600;
/// Turns whose end has not been told, at most: those that were never heard to their end are forgotten.
const MOST_TURNS: usize = 32;
/// Items of replies that are remembered.
const MOST_REPLIES: usize = 256;
/// Speech that is shorter came faster than it can be spoken: all that was sent is counted.
const SHORTEST_SPEECH: u64 = SampleRate::SPEECH.0 as u64 / 10;
/// Clauses are shown with a space between them.
const SPACE: &str = " ";

/// Writes events.
pub struct Teller {
    session: String,
    is_beta: bool,
    /// Whether the figures of each turn are told, which is no event of the API.
    wants_turns: bool,
    recognizer: String,
    /// Samples that have come in, at [`SampleRate::SPEECH`], and how many of them belong to turns that are over or were cleared away.
    taken: u64,
    used: u64,
    /// How many had come when the client last ended a turn itself.
    ended: u64,
    /// Of each turn under way, where its speech began, and how many samples it has.
    spans: BTreeMap<Turn, (u64, u64)>,
    /// Items of replies, the newest last.
    replies: VecDeque<String>,
    /// Whether an answer was asked for that has not begun.
    is_asked: bool,
    /// The last item of the conversation.
    last_item: Option<String>,
    /// The user's item of a turn under way.
    items: BTreeMap<Turn, String>,
    committed: Option<String>,
    /// What the replies of turns under way cost, and what was written.
    replied: BTreeMap<Turn, (Tokens, String)>,
    response: Option<Response>,
    /// The last turn whose words are known, and what is played of a later one before they are: the player and what is known of turns
    /// come from two threads.
    heard: Turn,
    early: Option<Turn>,
    held: Vec<ClientOutput>,
    /// The turn that is replied to.
    turn: Option<Turn>,
    /// Whether the reply has been sent whole, and only its figures are missing.
    is_spoken: bool,
}

struct Response {
    id: String,
    item: String,
    /// What has been said so far; `None` before the first clause.
    text: Option<String>,
    output: Vec<Value>,
}

impl Response {
    /// Where its message stands, as events name it.
    fn place(&self) -> Value {
        json!({"response_id": self.id, "item_id": self.item, "output_index": 0, "content_index": 0})
    }
}

impl Teller {
    /// Nothing has been told yet.
    pub fn new(is_beta: bool, wants_turns: bool, recognizer: String) -> Self {
        Self {
            session: id("sess_"),
            is_beta,
            wants_turns,
            recognizer,
            taken: 0,
            used: 0,
            ended: 0,
            spans: BTreeMap::new(),
            replies: VecDeque::new(),
            is_asked: false,
            last_item: None,
            items: BTreeMap::new(),
            committed: None,
            replied: BTreeMap::new(),
            heard: Turn(0),
            early: None,
            held: Vec::new(),
            response: None,
            turn: None,
            is_spoken: false,
        }
    }

    /// An event.
    pub fn event(&self, kind: &str, body: Value) -> Value {
        let mut event = json!({"type": kind, "event_id": id("event_")});
        if let (Some(event), Some(body)) = (event.as_object_mut(), body.as_object()) {
            event.extend(body.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        event
    }

    /// What is set.
    pub fn session(&self, kind: &str, settings: &Settings) -> Vec<Value> {
        let mut session = settings.json(&self.session, self.is_beta, &self.recognizer);
        session["expires_at"] = (now() + SESSION_S).into();
        vec![self.event(kind, json!({"session": session}))]
    }

    /// Something that can't be done; `event` is the name of the client's event.
    pub fn failed(&self, failure: &Failure, event: Option<&str>) -> Value {
        let mut error = failure.body(Form::OpenAi)["error"].clone();
        error["event_id"] = event.map(|event| event.chars().take(200).collect::<String>()).into();
        self.event("error", json!({"error": error}))
    }

    /// Sound has come.
    pub fn took(&mut self, samples: usize) {
        self.taken += samples as u64;
    }

    /// Whether sound has come since the last turn and the last commit.
    pub fn has_sound(&self) -> bool {
        self.taken > self.used.max(self.ended)
    }

    /// The client has said that a turn ends here.
    pub fn ended(&mut self) {
        self.ended = self.taken;
    }

    /// The sound that has come is forgotten.
    pub fn cleared(&mut self) {
        self.used = self.taken;
    }

    /// An answer was asked for.
    pub fn asked(&mut self) {
        self.is_asked = true;
    }

    /// Whether a turn or a response is under way.
    pub fn is_responding(&self) -> bool {
        self.is_asked || self.response.is_some() || !self.items.is_empty()
    }

    /// An item is in the conversation now.
    pub fn added(&mut self, mut item: Value) -> Vec<Value> {
        let own = item["id"].as_str().filter(|own| own.len() <= 200).map(str::to_owned);
        let item_id = own.unwrap_or_else(|| id("item_"));
        let previous = self.last_item.replace(item_id.clone());
        item["id"] = item_id.into();
        item["object"] = "realtime.item".into();
        item["status"] = "completed".into();
        let body = json!({"previous_item_id": previous, "item": item});
        match self.is_beta {
            true => vec![self.event("conversation.item.created", body)],
            false => {
                vec![self.event("conversation.item.added", body.clone()), self.event("conversation.item.done", body)]
            }
        }
    }

    /// A question was typed.
    pub fn typed(&mut self, item: &Value, text: &str) -> Vec<Value> {
        let content = json!([{"type": "input_text", "text": text}]);
        self.added(json!({"id": item["id"], "type": "message", "role": "user", "content": content}))
    }

    /// The client has ended a turn itself.
    pub fn committed(&mut self) -> Vec<Value> {
        self.ended();
        let item = id("item_");
        self.committed = Some(item.clone());
        self.user_item(item)
    }

    fn user_item(&mut self, item: String) -> Vec<Value> {
        let body = json!({"previous_item_id": self.last_item, "item_id": item});
        let mut events = vec![self.event("input_audio_buffer.committed", body)];
        let content = json!([{"type": "input_audio", "transcript": null}]);
        events.extend(self.added(json!({"id": item, "type": "message", "role": "user", "content": content})));
        events
    }

    /// What a client asks about an item: what was heard of a reply is known by the clock, so nothing changes.
    ///
    /// # Errors
    /// Items can't be read back or taken out.
    pub fn about_item(&self, event: &Value) -> Result<Vec<Value>, Failure> {
        let item = event["item_id"].as_str().unwrap_or_default().chars().take(200).collect::<String>();
        match event["type"].as_str() {
            Some("conversation.item.truncate") if !self.replies.contains(&item) => {
                let message = format!("{item:?} is no reply of this conversation, and only replies can be truncated");
                Err(Failure::of("item_id", message).code("item_truncate_invalid_item_id"))
            }
            Some("conversation.item.truncate") => {
                let body = json!({
                    "item_id": item, "content_index": event["content_index"].as_u64().unwrap_or(0),
                    "audio_end_ms": event["audio_end_ms"].as_u64().unwrap_or(0),
                });
                Ok(vec![self.event("conversation.item.truncated", body)])
            }
            _ => Err(Failure::of("type", "items of the conversation can be added, but not read back or taken out")),
        }
    }

    /// What the flow tells.
    pub fn tell(&mut self, told: FlowOutput) -> Vec<Value> {
        match told {
            FlowOutput::Speaking(turn) => {
                let item = self.committed.take().unwrap_or_else(|| id("item_"));
                while self.items.len() >= MOST_TURNS {
                    self.items.pop_first();
                }
                self.items.insert(turn, item.clone());
                self.spans.insert(turn, (self.taken, 0));
                self.spans.retain(|turn, _| self.items.contains_key(turn));
                let body = json!({"audio_start_ms": self.heard_ms(), "item_id": item});
                vec![self.event("input_audio_buffer.speech_started", body)]
            }
            FlowOutput::Spoken(turn) => {
                let Some(item) = self.items.get(&turn).cloned() else { return Vec::new() };
                if let Some((begun, length)) = self.spans.get_mut(&turn) {
                    let spoken = self.taken - *begun;
                    *length = if spoken < SHORTEST_SPEECH { self.taken - self.used } else { spoken };
                }
                self.used = self.taken;
                let body = json!({"audio_end_ms": self.heard_ms(), "item_id": item});
                let mut events = vec![self.event("input_audio_buffer.speech_stopped", body)];
                if self.last_item.as_ref() != Some(&item) {
                    events.extend(self.user_item(item));
                }
                events
            }
            FlowOutput::Heard(turn, text) => self.heard(turn, &text),
            FlowOutput::Replied(turn, tokens, text) => {
                self.replied.insert(turn, (tokens, text));
                if self.is_spoken && self.turn == Some(turn) { self.done("completed") } else { Vec::new() }
            }
            FlowOutput::Output(output) => self.output(output),
            FlowOutput::Call { id, name, arguments } => self.call(&id, &name, &arguments),
            FlowOutput::Over { turn, errors, figures } => {
                let mut events = self.release(turn);
                events.extend(match self.turn == Some(turn) {
                    true => self.done(if errors.is_empty() { "completed" } else { "failed" }),
                    false => Vec::new(),
                });
                self.replied.retain(|open, _| *open > turn);
                self.items.retain(|open, _| *open > turn);
                // An answer that was asked for since then has not begun; a turn without words has none.
                self.is_asked &= self.turn >= Some(turn);
                let failed = errors.iter().map(|error| {
                    self.failed(&Failure::new(hyper::StatusCode::INTERNAL_SERVER_ERROR, error.clone()), None)
                });
                events.extend(failed.collect::<Vec<_>>());
                if self.wants_turns {
                    events.push(self.event("nearfield.turn", json!({"turn": figures})));
                }
                events
            }
            FlowOutput::Ended(_) => Vec::new(),
        }
    }

    fn heard_ms(&self) -> u64 {
        SampleRate::SPEECH.duration_of(self.taken as usize).as_millis() as u64
    }

    fn heard(&mut self, turn: Turn, text: &str) -> Vec<Value> {
        let mut events = Vec::new();
        if let Some(item) = self.items.get(&turn) {
            let samples = self.spans.get(&turn).map_or(0, |(_, length)| *length);
            let seconds = SampleRate::SPEECH.duration_of(samples as usize).as_secs_f64();
            let seconds = json!({"type": "duration", "seconds": (seconds * 1000.0).round() / 1000.0});
            let body = json!({"item_id": item, "content_index": 0, "transcript": text, "usage": seconds});
            events.push(self.event("conversation.item.input_audio_transcription.completed", body));
        }
        self.heard = turn;
        // What was typed may be replied to before it is told that it was heard.
        let has_begun = self.response.is_some() && self.turn == Some(turn);
        if !text.is_empty() && !has_begun {
            if self.response.is_some() {
                events.extend(self.done("cancelled"));
            }
            self.turn = Some(turn);
            events.push(self.begin());
        }
        events.extend(self.release(turn));
        events
    }

    /// What was played of a turn before its words were known.
    fn release(&mut self, turn: Turn) -> Vec<Value> {
        match self.early.take_if(|early| *early <= turn) {
            Some(_) => std::mem::take(&mut self.held).into_iter().flat_map(|output| self.output(output)).collect(),
            None => Vec::new(),
        }
    }

    /// A response begins.
    fn begin(&mut self) -> Value {
        let response = Response { id: id("resp_"), item: id("item_"), text: None, output: Vec::new() };
        let body = json!({"response": self.response_json(&response, "in_progress", None)});
        (self.response, self.is_spoken, self.is_asked) = (Some(response), false, false);
        self.event("response.created", body)
    }

    fn response_json(&self, response: &Response, status: &str, tokens: Option<Tokens>) -> Value {
        let usage = tokens.map(|tokens| {
            let input = tokens.reused + tokens.prefilled;
            json!({
                "total_tokens": input + tokens.generated, "input_tokens": input, "output_tokens": tokens.generated,
                "input_token_details": {"cached_tokens": tokens.reused, "text_tokens": input, "audio_tokens": 0},
                "output_token_details": {"text_tokens": tokens.generated, "audio_tokens": 0},
            })
        });
        let details = match status {
            "cancelled" => json!({"type": "cancelled", "reason": "turn_detected"}),
            "failed" => json!({"type": "failed"}),
            _ => Value::Null,
        };
        json!({
            "object": "realtime.response", "id": response.id, "status": status, "status_details": details,
            "output": response.output, "usage": usage, "conversation_id": self.session.replacen("sess", "conv", 1),
        })
    }

    fn output(&mut self, output: ClientOutput) -> Vec<Value> {
        if let ClientOutput::Begin(turn) = output
            && self.items.contains_key(&turn)
            && self.heard < turn
        {
            self.early = Some(turn);
        }
        if self.early.is_some() {
            self.held.push(output);
            return Vec::new();
        }
        let mut events = Vec::new();
        if self.response.is_none() && matches!(output, ClientOutput::Begin(_) | ClientOutput::Clause(_)) {
            events.push(self.begin());
        }
        if let ClientOutput::Begin(turn) = output {
            self.turn = Some(turn);
            return events;
        }
        let Some(response) = &self.response else { return events };
        let place = response.place();
        let with = |more: Value| {
            let mut body = place.clone();
            body.as_object_mut()
                .expect("it was made as an object")
                .extend(more.as_object().cloned().unwrap_or_default());
            body
        };
        match output {
            ClientOutput::Begin(_) => {}
            ClientOutput::Clause(text) => {
                if response.text.is_none() {
                    events.extend(self.message_begins());
                }
                let Some(response) = &mut self.response else { return events };
                let delta = if response.text.is_some() { format!("{SPACE}{text}") } else { text };
                response.text.get_or_insert_default().push_str(&delta);
                let kind = self.kind("audio_transcript.delta");
                events.push(self.event(&kind, with(json!({"delta": delta}))));
            }
            ClientOutput::Samples(samples) => {
                let kind = self.kind("audio.delta");
                events.push(self.event(&kind, with(json!({"delta": BASE64.encode(pcm16(&samples))}))));
            }
            ClientOutput::End => {
                self.is_spoken = true;
                if self.turn.is_some_and(|turn| self.replied.contains_key(&turn)) {
                    events.extend(self.done("completed"));
                }
            }
            // The next one may have begun.
            ClientOutput::Silenced(turn, _) if self.turn == Some(turn) => events.extend(self.done("cancelled")),
            ClientOutput::Silenced(..) => {}
        }
        events
    }

    /// The name of an event about sound, which the beta calls otherwise.
    fn kind(&self, of: &str) -> String {
        if self.is_beta { format!("response.{of}") } else { format!("response.output_{of}") }
    }

    /// The name of the event with which an item begins.
    fn added_kind(&self) -> &'static str {
        if self.is_beta { "conversation.item.created" } else { "conversation.item.added" }
    }

    fn message_begins(&mut self) -> Vec<Value> {
        let Some(response) = &self.response else { return Vec::new() };
        let (response_id, item_id) = (response.id.clone(), response.item.clone());
        let item = json!({
            "id": item_id, "object": "realtime.item", "type": "message", "status": "in_progress", "role": "assistant",
            "content": [],
        });
        let previous = self.last_item.replace(item_id.clone());
        if self.replies.len() == MOST_REPLIES {
            self.replies.pop_front();
        }
        self.replies.push_back(item_id.clone());
        let mut part = response.place();
        part["part"] = json!({"type": "audio", "transcript": ""});
        vec![
            self.event(
                "response.output_item.added",
                json!({"response_id": response_id, "output_index": 0, "item": item}),
            ),
            self.event(self.added_kind(), json!({"previous_item_id": previous, "item": item})),
            self.event("response.content_part.added", part),
        ]
    }

    fn message_ends(&mut self, status: &str) -> Vec<Value> {
        let is_beta = self.is_beta;
        let Some(response) = &mut self.response else { return Vec::new() };
        let Some(spoken) = response.text.take() else { return Vec::new() };
        // Clauses are spoken with commas that nobody wrote.
        let written = self.turn.and_then(|turn| self.replied.get(&turn)).map(|(_, text)| text.clone());
        let text = written.filter(|_| status == "completed").unwrap_or(spoken);
        let (response_id, item_id) = (response.id.clone(), response.item.clone());
        let kind = if is_beta { "audio" } else { "output_audio" };
        let item = json!({
            "id": item_id, "object": "realtime.item", "type": "message", "role": "assistant",
            "status": if status == "completed" { "completed" } else { "incomplete" },
            "content": [{"type": kind, "transcript": text}],
        });
        response.output.push(item.clone());
        let place = response.place();
        let (mut transcript, mut part) = (place.clone(), place.clone());
        transcript["transcript"] = text.clone().into();
        part["part"] = json!({"type": "audio", "transcript": text});
        let mut events = vec![
            self.event(&self.kind("audio.done"), place),
            self.event(&self.kind("audio_transcript.done"), transcript),
            self.event("response.content_part.done", part),
            self.event(
                "response.output_item.done",
                json!({"response_id": response_id, "output_index": 0, "item": item}),
            ),
        ];
        if !is_beta {
            events.push(self.event("conversation.item.done", json!({"previous_item_id": null, "item": item})));
        }
        events
    }

    /// The response under way is over.
    fn done(&mut self, status: &str) -> Vec<Value> {
        let mut events = self.message_ends(status);
        let Some(response) = self.response.take() else { return events };
        let tokens = self.turn.and_then(|turn| self.replied.get(&turn)).map(|(tokens, _)| *tokens);
        self.is_spoken = false;
        let body = json!({"response": self.response_json(&response, status, Some(tokens.unwrap_or_default()))});
        events.push(self.event("response.done", body));
        events
    }

    /// A call of a client's tool is a response of its own; what follows on its answer is the next one.
    fn call(&mut self, call: &str, name: &str, arguments: &str) -> Vec<Value> {
        let mut events = Vec::new();
        if self.response.is_none() {
            events.push(self.begin());
        }
        events.extend(self.message_ends("completed"));
        let item_id = id("item_");
        let previous = self.last_item.replace(item_id.clone());
        let Some(response) = &mut self.response else { return events };
        let (response_id, index) = (response.id.clone(), response.output.len());
        let item = |status: &str, arguments: &str| {
            json!({
                "id": item_id, "object": "realtime.item", "type": "function_call", "status": status, "name": name,
                "call_id": call, "arguments": arguments,
            })
        };
        let whole = item("completed", arguments);
        response.output.push(whole.clone());
        let place = json!({"response_id": response_id, "item_id": item_id, "output_index": index, "call_id": call});
        let (mut delta, mut all) = (place.clone(), place);
        delta["delta"] = arguments.into();
        (all["arguments"], all["name"]) = (arguments.into(), name.into());
        let open = item("in_progress", "");
        events.push(self.event(
            "response.output_item.added",
            json!({"response_id": response_id, "output_index": index, "item": open}),
        ));
        events.push(self.event(self.added_kind(), json!({"previous_item_id": previous, "item": open})));
        events.push(self.event("response.function_call_arguments.delta", delta));
        events.push(self.event("response.function_call_arguments.done", all));
        events.push(self.event(
            "response.output_item.done",
            json!({"response_id": response_id, "output_index": index, "item": whole}),
        ));
        events.extend(self.done("completed"));
        events
    }
}

#[cfg(test)]
#[path = "tell_tests.rs"]
mod tests;
