//! `/v1/realtime`: a conversation by voice over a WebSocket, in the form of OpenAI's Realtime API. Each connection is a voice flow of its own,
//! with all that `nearfield voice` does: turns that end by what was said, replies that are begun while the speaker pauses, interruption,
//! the home's tools. The client has the microphone and the loudspeaker.

mod flow;
mod settings;
mod tell;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::future::{Either, select};
use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
};
use hyper::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nearfield_speech::audio::{Resampler, SampleRate};
use nearfield_stages::messages::Order;
use nearfield_stages::voice::connection::ClientInput;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::Server;
use super::failure::Failure;
use super::http::{Reply, whole};
use flow::{Flow, FlowOutput};
use settings::Settings;
use tell::Teller;

/// The largest message: what a client may send at a time, a minute of sound in base64.
const MOST_MESSAGE: usize = 8 << 20;
/// A connection on which nothing comes for so long is closed.
const IDLE: Duration = Duration::from_secs(600);
/// So long a client may leave what it is sent unread.
const STALL: Duration = Duration::from_secs(30);
/// The longest text that is typed or given as instructions, in bytes.
const MOST_TEXT: usize = 32 << 10;
/// The rate of the sound, in both directions: what clients of the API send and take.
pub(super) const RATE: SampleRate = SampleRate(24_000);
/// The subprotocol of browsers, which can send no headers, and the beginning of the one that holds the token.
const PROTOCOL: &str = "realtime";
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";
/// Names of models that mean what is configured.
const MODELS: [&str; 3] = ["gpt-realtime", "gpt-4o-realtime", "gpt-4o-mini-realtime"];

/// The token that a browser sends among the subprotocols.
pub fn token_of(headers: &HeaderMap) -> Option<&str> {
    protocols(headers).find_map(|name| name.strip_prefix(KEY_PROTOCOL))
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// Makes a connection a conversation.
///
/// # Errors
/// The request is no WebSocket's, there is no such model, or too many conversations are under way.
pub fn open(server: &Arc<Server>, mut request: Request<Incoming>) -> Result<Response<Reply>, Failure> {
    let headers = request.headers();
    let has = |name, word: &str| {
        let value = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|_| has(CONNECTION, "upgrade") && has(UPGRADE, "websocket") && has(SEC_WEBSOCKET_VERSION, "13"));
    let Some(key) = key.cloned() else {
        let message = "this path is for WebSockets (version 13): connect to it with a client of OpenAI's Realtime API";
        return Err(Failure::new(StatusCode::UPGRADE_REQUIRED, message));
    };
    let asked = request.uri().query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("model="));
    if let Some(asked) = asked.filter(|asked| !MODELS.iter().any(|known| asked.starts_with(known))) {
        server.check_model(Some(asked))?;
    }
    let (hears, speaks) = server.speech.has();
    if !hears || !speaks {
        let missing = if hears { "a voice (tts.model)" } else { "a recognizer (stt.model)" };
        return Err(Failure::busy(format!("a conversation needs {missing}, which is not there: the log says why")));
    }
    let place = server.conversing.clone().try_acquire_owned().map_err(|_| {
        Failure::busy(format!("there are {} conversations already (server.realtime)", server.config.realtime))
    })?;
    let is_beta =
        headers.get("openai-beta").and_then(|value| value.to_str().ok()).is_some_and(|it| it.contains("realtime=v1"))
            || protocols(headers).any(|name| name == "openai-beta.realtime-v1");
    let wants_turns = request.uri().query().unwrap_or_default().split('&').any(|pair| pair == "turns=true");
    let speaks_protocol = protocols(headers).any(|name| name == PROTOCOL);
    let upgrade = hyper::upgrade::on(&mut request);
    let serving = server.clone();
    tokio::spawn(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => return tracing::debug!("a WebSocket could not be opened: {error}"),
        };
        let limits = WebSocketConfig::default().max_message_size(Some(MOST_MESSAGE)).max_frame_size(Some(MOST_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
        Conversation::new(serving, socket, is_beta, wants_turns, place).run().await;
    });
    let mut response = whole(StatusCode::SWITCHING_PROTOCOLS, "text/plain", "");
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = derive_accept_key(key.as_bytes());
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept.parse().map_err(Failure::broken)?);
    if speaks_protocol {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(response)
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// One connection.
struct Conversation {
    server: Arc<Server>,
    socket: Socket,
    settings: Settings,
    teller: Teller,
    /// From the first sound or text on.
    flow: Option<Flow>,
    resampler: Option<Resampler>,
    /// Typed, and not answered yet.
    typed: Vec<String>,
    /// Whether a turn that the client ends itself waits for its `response.create`.
    is_committed: bool,
    _place: OwnedSemaphorePermit,
}

/// Why a connection ends.
enum Over {
    /// The client has gone, or the server ends.
    Gone,
    /// The flow has ended: why.
    Failed(String),
}

impl Conversation {
    fn new(server: Arc<Server>, socket: Socket, is_beta: bool, wants_turns: bool, place: OwnedSemaphorePermit) -> Self {
        let settings = Settings::new(&server);
        let teller = Teller::new(is_beta, wants_turns, server.stt_name.clone());
        Self {
            server,
            socket,
            settings,
            teller,
            flow: None,
            resampler: None,
            typed: Vec::new(),
            is_committed: false,
            _place: place,
        }
    }

    async fn run(mut self) {
        let created = self.teller.session("session.created", &self.settings);
        let mut over = self.send(created).await;
        while over.is_ok() {
            over = self.step().await;
        }
        if let Err(Over::Failed(reason)) = over {
            tracing::error!("a conversation ended: {reason}");
            let failed = self.teller.failed(&Failure::new(StatusCode::INTERNAL_SERVER_ERROR, reason), None);
            let _ = self.send(vec![failed]).await;
        }
        let _ = timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }

    async fn step(&mut self) -> Result<(), Over> {
        let Self { flow, socket, .. } = self;
        let told = async {
            match flow {
                Some(flow) => flow.next().await,
                None => std::future::pending().await,
            }
        };
        let message = timeout(IDLE, socket.next());
        let next = match select(pin!(told), pin!(message)).await {
            Either::Left((told, _)) => Either::Left(told),
            Either::Right((message, _)) => Either::Right(message),
        };
        match next {
            Either::Left(FlowOutput::Ended(reason)) => Err(reason.map_or(Over::Gone, Over::Failed)),
            Either::Left(told) => {
                let events = self.teller.tell(told);
                self.send(events).await
            }
            Either::Right(Ok(Some(Ok(Message::Text(text))))) => self.take(text.as_str()).await,
            Either::Right(Ok(Some(Ok(Message::Binary(_))))) => {
                let failure = Failure::wrong("a message must be text with JSON in it; sound goes into it as base64");
                let failed = self.teller.failed(&failure, None);
                self.send(vec![failed]).await
            }
            Either::Right(Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_)) => Err(Over::Gone),
            Either::Right(Ok(Some(Ok(_)))) => Ok(()), // Pings are answered by the library.
        }
    }

    async fn send(&mut self, events: Vec<Value>) -> Result<(), Over> {
        for event in events {
            let message = Message::text(event.to_string());
            match timeout(STALL, self.socket.send(message)).await {
                Ok(Ok(())) => {}
                _ => return Err(Over::Gone),
            }
        }
        Ok(())
    }

    /// An event of the client's.
    async fn take(&mut self, text: &str) -> Result<(), Over> {
        let event: Value = serde_json::from_str(text).unwrap_or_default();
        let taken = match event.is_object() {
            true => self.obey(&event).await,
            false => Err(Failure::wrong("a message is no JSON object")),
        };
        match taken {
            Ok(events) => self.send(events).await,
            Err(failure) => {
                let failed = self.teller.failed(&failure, event["event_id"].as_str());
                self.send(vec![failed]).await
            }
        }
    }

    async fn obey(&mut self, event: &Value) -> Result<Vec<Value>, Failure> {
        match event["type"].as_str().unwrap_or_default() {
            "session.update" => {
                if self.flow.is_some() && self.settings.needs_a_new_flow(&event["session"]) {
                    return Err(Failure::of(
                        "session",
                        "can be changed before the first sound or text only; open a new connection",
                    ));
                }
                self.settings.update(&event["session"])?;
                Ok(self.teller.session("session.updated", &self.settings))
            }
            "input_audio_buffer.append" => {
                let bytes = BASE64.decode(event["audio"].as_str().unwrap_or_default());
                let bytes = bytes.map_err(|error| Failure::of("audio", format!("is no base64: {error}")))?;
                if bytes.len() % 2 == 1 {
                    return Err(Failure::of("audio", "has an odd number of bytes; samples are 16-bit"));
                }
                let samples = self.speech(&bytes)?;
                self.teller.took(samples.len());
                self.input(ClientInput::Sound(samples)).await?;
                Ok(Vec::new())
            }
            "input_audio_buffer.commit" if !self.teller.has_sound() => {
                let message = "the buffer has no sound: append some first";
                Err(Failure::wrong(message).code("input_audio_buffer_commit_empty"))
            }
            "input_audio_buffer.commit" => match self.settings.is_manual() {
                true => {
                    self.is_committed = true;
                    Ok(self.teller.committed())
                }
                false => {
                    self.input(ClientInput::End).await?;
                    self.teller.ended();
                    Ok(Vec::new())
                }
            },
            "input_audio_buffer.clear" => {
                self.is_committed = false;
                self.teller.cleared();
                self.input(ClientInput::Order(Order::Forget)).await?;
                Ok(vec![self.teller.event("input_audio_buffer.cleared", json!({}))])
            }
            "conversation.item.create" => self.add(&event["item"]).await,
            "conversation.item.truncate" | "conversation.item.delete" | "conversation.item.retrieve" => {
                self.teller.about_item(event)
            }
            "response.create" => self.respond(&event["response"]).await,
            "response.cancel" if !self.teller.is_responding() => {
                let message = "there is no response to cancel";
                Err(Failure::wrong(message).code("response_cancel_not_active"))
            }
            "response.cancel" | "output_audio_buffer.clear" => {
                if self.flow.is_some() {
                    self.input(ClientInput::Order(Order::Silence)).await?;
                }
                Ok(Vec::new())
            }
            other => {
                let other: String = other.chars().take(100).collect();
                Err(Failure::of("type", format!("is {other:?}, which this server does not know")))
            }
        }
    }

    /// Sound as the recognizer takes it.
    fn speech(&mut self, bytes: &[u8]) -> Result<Vec<f32>, Failure> {
        let samples: Vec<f32> =
            bytes.chunks_exact(2).map(|two| f32::from(i16::from_le_bytes([two[0], two[1]])) / 32_768.0).collect();
        let resampler = match &mut self.resampler {
            Some(resampler) => resampler,
            None => self.resampler.insert(Resampler::new(RATE, SampleRate::SPEECH).map_err(Failure::broken)?),
        };
        let mut speech = Vec::with_capacity(samples.len());
        resampler.push(&samples, &mut |block| speech.extend_from_slice(block));
        Ok(speech)
    }

    /// Sends something to the flow, which is started with the first.
    async fn input(&mut self, input: ClientInput) -> Result<(), Failure> {
        let flow = match &mut self.flow {
            Some(flow) => flow,
            None => self.flow.insert(Flow::start(&self.server, &self.settings)?),
        };
        flow.send(input).await
    }

    /// An item of the conversation.
    async fn add(&mut self, item: &Value) -> Result<Vec<Value>, Failure> {
        match (item["type"].as_str(), item["role"].as_str()) {
            (Some("message"), Some("user")) => {
                let parts = item["content"].as_array().into_iter().flatten();
                let mut text = String::new();
                for part in parts {
                    match (part["type"].as_str(), part["text"].as_str()) {
                        (Some("input_text" | "text"), Some(words)) => text.push_str(words),
                        _ => {
                            return Err(Failure::of(
                                "item.content",
                                "can hold input_text; sound is appended to the buffer",
                            ));
                        }
                    }
                }
                if text.trim().is_empty() || text.len() + self.typed.iter().map(String::len).sum::<usize>() > MOST_TEXT
                {
                    return Err(Failure::of("item.content", format!("must have 1 to {MOST_TEXT} bytes of text")));
                }
                let events = self.teller.typed(item, &text);
                self.typed.push(text);
                Ok(events)
            }
            (Some("function_call_output"), _) => {
                let (id, output) = (item["call_id"].as_str().unwrap_or_default(), item["output"].as_str());
                let output = output.filter(|output| output.len() <= MOST_TEXT);
                let output = output.ok_or_else(|| {
                    Failure::of("item.output", format!("must be a text of at most {MOST_TEXT} bytes"))
                })?;
                match self.flow.as_ref().is_some_and(|flow| flow.tools().answer(id, output)) {
                    true => Ok(self.teller.added(item.clone())),
                    false => Err(Failure::of("item.call_id", "names no call that waits for its output")),
                }
            }
            _ => Err(Failure::of(
                "item",
                "must be a user's message or a function_call_output: the conversation is kept here",
            )),
        }
    }

    async fn respond(&mut self, how: &Value) -> Result<Vec<Value>, Failure> {
        let told = how["instructions"].as_str().map(str::to_owned).filter(|text| text.len() <= MOST_TEXT);
        let mut typed = std::mem::take(&mut self.typed);
        if std::mem::take(&mut self.is_committed) {
            self.input(ClientInput::End).await?;
            self.teller.asked();
            return Ok(Vec::new());
        }
        if self.flow.as_ref().is_some_and(|flow| flow.tools().was_just_answered()) {
            return Ok(Vec::new()); // The reply goes on by itself.
        }
        if typed.is_empty() {
            typed.extend(told);
        }
        if typed.is_empty() {
            return Err(Failure::of(
                "response",
                "there is nothing to answer: a turn that was spoken is answered by itself",
            ));
        }
        self.input(ClientInput::Order(Order::Answer(typed.join("\n")))).await?;
        self.teller.asked();
        Ok(Vec::new())
    }
}
