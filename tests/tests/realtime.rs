//! `/v1/realtime` of `nearfield run` from outside: conversations by voice over a WebSocket, and what their clients must not send.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use nearfield_speech::audio::{SampleRate, read_clip, resample};
use nearfield_tests::service::Service;
use nearfield_tests::{arg, assets, home};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

const RATE: SampleRate = SampleRate(24_000);
/// So long an event may take to come, on a machine that does something else too.
const TIMEOUT: Duration = Duration::from_secs(60);

fn open(service: &Service, headers: &[(&'static str, &str)]) -> Result<Client, u16> {
    let stream = service.connect();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut request = format!("ws://{}/v1/realtime?model=gpt-realtime", service.http).into_client_request().unwrap();
    headers.iter().for_each(|(name, value)| {
        request.headers_mut().insert(*name, value.parse().unwrap());
    });
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(Client { socket }),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

fn talk(service: &Service) -> Client {
    let mut client = open(service, &[]).unwrap();
    let created = client.next();
    assert_eq!(created["type"], "session.created", "{created}");
    client
}

struct Client {
    socket: WebSocket<TcpStream>,
}

impl Client {
    fn send(&mut self, event: &Value) {
        self.socket.send(Message::text(event.to_string())).unwrap();
    }

    fn next(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(_) => panic!("the server closed the connection"),
                _ => {}
            }
        }
    }

    /// All events up to one of a kind, that included.
    fn until(&mut self, kind: &str) -> Vec<Value> {
        let begun = Instant::now();
        let mut events = Vec::new();
        loop {
            let event = self.next();
            assert!(event["type"] != "error" || kind == "error", "{event}");
            let is_last = event["type"] == kind;
            events.push(event);
            if is_last {
                return events;
            }
            assert!(begun.elapsed() < TIMEOUT, "{kind} did not come after {events:?}");
        }
    }

    /// Speaks faster than life.
    fn say(&mut self, file: &str) {
        use base64::Engine as _;
        let clip = resample(&read_clip(&assets().join("speech").join(file)).unwrap(), RATE).unwrap();
        let bytes: Vec<u8> = clip.samples.iter().flat_map(|s| ((s * 32_767.0) as i16).to_le_bytes()).collect();
        for piece in bytes.chunks(4_800) {
            let audio = base64::engine::general_purpose::STANDARD.encode(piece);
            self.send(&json!({"type": "input_audio_buffer.append", "audio": audio}));
        }
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn find<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind} in {:?}", kinds(events)))
}

/// Seconds of sound in the deltas.
fn seconds(events: &[Value]) -> f32 {
    use base64::Engine as _;
    let of = |event: &&Value| event["type"] == "response.output_audio.delta";
    let bytes: usize = events
        .iter()
        .filter(of)
        .map(|event| base64::engine::general_purpose::STANDARD.decode(event["delta"].as_str().unwrap()).unwrap().len())
        .sum();
    bytes as f32 / 2.0 / RATE.0 as f32
}

fn transcript(events: &[Value]) -> &str {
    find(events, "response.output_audio_transcript.done")["transcript"].as_str().unwrap()
}

#[test]
fn a_spoken_question_is_transcribed_answered_and_spoken_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let home = format!("home.file={}", arg(&home(folder.path())));
    let service = Service::start(&["--set", &home]);
    let mut client = talk(&service);
    client.say("1-temperature.wav");
    let events = client.until("response.done");
    let order = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_item.done",
        "response.done",
    ];
    let places: Vec<usize> =
        order.iter().map(|kind| kinds(&events).iter().position(|it| it == kind).unwrap()).collect();
    assert!(places.is_sorted(), "{:?}", kinds(&events));
    let heard = find(&events, "conversation.item.input_audio_transcription.completed");
    assert!(heard["transcript"].as_str().unwrap().to_lowercase().contains("temperature"), "{heard}");
    let committed = find(&events, "input_audio_buffer.committed");
    assert_eq!(heard["item_id"], committed["item_id"]);
    assert!(heard["usage"]["seconds"].as_f64().unwrap() > 0.3, "{heard}");
    assert!(transcript(&events).contains("degrees"), "{}", transcript(&events));
    assert!(seconds(&events) > 0.5, "{} s of sound", seconds(&events));
    let done = &events.last().unwrap()["response"];
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(done["output"][0]["content"][0]["transcript"], transcript(&events));
    assert!(done["usage"]["total_tokens"].is_u64(), "{done}");
    // A second question while the first answer is still being heard, which falls silent.
    client.say("2-light.wav");
    let events = client.until("response.done");
    assert_eq!(events[0]["type"], "input_audio_buffer.speech_started", "{:?}", kinds(&events));
    assert!(transcript(&events).to_lowercase().contains("light"), "{}", transcript(&events));
}

#[test]
fn a_typed_question_is_answered_aloud_and_a_turn_that_the_client_ends_waits_for_its_response_create() {
    let service = Service::start(&[]);
    let mut client = talk(&service);
    client.send(&json!({"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": null}}}}));
    let updated = client.until("session.updated");
    assert_eq!(updated.last().unwrap()["session"]["audio"]["input"]["turn_detection"], Value::Null);
    let content = json!([{"type": "input_text", "text": "What time is it?"}]);
    client.send(
        &json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}),
    );
    client.send(&json!({"type": "response.create"}));
    let events = client.until("response.done");
    assert!(!transcript(&events).is_empty() && seconds(&events) > 0.3, "{:?}", kinds(&events));
    // Nothing is answered before it is asked for.
    client.say("4-football.wav");
    client.send(&json!({"type": "input_audio_buffer.commit"}));
    let events = client.until("input_audio_buffer.committed");
    assert!(!kinds(&events).contains(&"response.created"), "{:?}", kinds(&events));
    std::thread::sleep(Duration::from_millis(500));
    client.send(&json!({"type": "response.create"}));
    let events = client.until("response.done");
    let heard = find(&events, "conversation.item.input_audio_transcription.completed");
    assert!(!heard["transcript"].as_str().unwrap().is_empty());
    assert!(seconds(&events) > 0.3);
}

#[test]
fn what_is_wrong_is_said_and_the_conversation_goes_on() {
    let service = Service::start(&[]);
    let mut client = talk(&service);
    let item = |item: Value| json!({"type": "conversation.item.create", "item": item});
    let wrong = [
        json!([]),
        json!({"type": "no.such.event", "event_id": "mine"}),
        json!({"type": "input_audio_buffer.append", "audio": "not base64!"}),
        json!({"type": "input_audio_buffer.append", "audio": "AAAA"}),
        json!({"type": "response.create"}),
        json!({"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}}),
        json!({"type": "session.update", "session": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 5}}}),
        json!({"type": "session.update", "session": {"output_modalities": ["text"]}}),
        item(json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": " "}]})),
        item(json!({"type": "message", "role": "system", "content": []})),
        item(json!({"type": "function_call_output", "call_id": "none", "output": "1"})),
    ];
    for event in wrong {
        client.send(&event);
        let events = client.until("error");
        let message = events.last().unwrap()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.len() > 10, "{event}: {message}");
        if event["event_id"] == "mine" {
            assert_eq!(events.last().unwrap()["error"]["event_id"], "mine");
        }
    }
    client
        .send(&item(json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]})));
    client.send(&json!({"type": "response.create"}));
    assert!(!transcript(&client.until("response.done")).is_empty());
    // Pages of others, other paths of WebSockets, and more conversations than there may be.
    assert_eq!(open(&service, &[("origin", "http://elsewhere.example")]).err(), Some(403));
    let _second = talk(&service);
    assert_eq!(open(&service, &[]).err(), Some(503));
    drop(client);
    let begun = Instant::now();
    while open(&service, &[]).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the place of a client that has left is not free");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_browser_sends_its_token_as_a_subprotocol() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "0123456789abcdef-token").unwrap();
    let service = Service::start(&["--set", &format!("server.token_file={}", arg(&file))]);
    assert_eq!(open(&service, &[]).err(), Some(401));
    let wrong = "realtime, openai-insecure-api-key.wrong-token-of-some-length";
    assert_eq!(open(&service, &[("sec-websocket-protocol", wrong)]).err(), Some(401));
    let right = "realtime, openai-insecure-api-key.0123456789abcdef-token";
    let mut client = open(&service, &[("sec-websocket-protocol", right)]).unwrap();
    assert_eq!(client.next()["type"], "session.created");
}

#[test]
fn what_is_not_there_can_not_be_committed_cancelled_or_truncated() {
    let service = Service::start(&[]);
    let mut client = talk(&service);
    for (event, code) in [
        (json!({"type": "input_audio_buffer.commit"}), "input_audio_buffer_commit_empty"),
        (json!({"type": "response.cancel"}), "response_cancel_not_active"),
        (
            json!({"type": "conversation.item.truncate", "item_id": "item_x", "content_index": 0, "audio_end_ms": 10}),
            "item_truncate_invalid_item_id",
        ),
        (json!({"type": "input_audio_buffer.append", "audio": "A".repeat(6_400)}), ""),
        (json!({"type": "input_audio_buffer.commit"}), ""),
        (json!({"type": "input_audio_buffer.commit"}), "input_audio_buffer_commit_empty"),
    ] {
        client.send(&event);
        if code.is_empty() {
            continue;
        }
        let events = client.until("error");
        assert_eq!(events.last().unwrap()["error"]["code"], code, "{events:?}");
    }
}
