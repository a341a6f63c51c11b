//! The Wyoming protocol, by which Home Assistant reaches speech to text, text to speech, wake words and whoever handles commands: lines of JSON,
//! each followed by as many bytes of data and of sound as it says.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use nearfield_speech::audio::{Clip, SampleRate, pcm16, resample};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::channel;
use tokio::time::{sleep, timeout};

use super::failure::Failure;
use super::openai::audio::transcribed;
use super::speech::Hearing;
use super::wake::Ear;
use super::{Current, Server, now};

/// The most connections.
const CONNECTIONS: usize = 32;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(600);
/// So long a client may leave what it is sent unread.
const STALL: Duration = Duration::from_secs(30);
/// So long what a refused client still sends is read.
const LINGER: Duration = Duration::from_secs(2);
/// The longest line, the most data of an event, and the most sound of one.
const MOST_LINE: u64 = 64 << 10;
const MOST_DATA: usize = 1 << 20;
const MOST_PAYLOAD: usize = 4 << 20;
/// The most bytes of one utterance: five minutes at 48 kHz in stereo.
const MOST_SOUND: usize = 5 * 60 * 48_000 * 2 * 2;
/// The longest text that is spoken, in bytes.
const MOST_TEXT: usize = 16 << 10;
/// Blocks of sound that wait to be sent.
const BLOCKS: usize = 16;
/// The samples of a chunk.
const CHUNK: usize = 1024;
/// Languages that whisper's multilingual models know best, and espeak-ng speaks.
const LANGUAGES: [&str; 20] = [
    "en", "de", "fr", "es", "it", "nl", "pt", "pl", "ru", "uk", "cs", "sv", "da", "fi", "tr", "el", "ja", "ko", "zh",
    "ar",
];

/// Something that is said on the wire.
struct Event {
    kind: String,
    data: Value,
    payload: Vec<u8>,
}

/// Sound that comes in, with its form.
#[derive(Default)]
struct Incoming {
    rate: u32,
    width: usize,
    channels: usize,
    bytes: Vec<u8>,
}

/// Serves connections until the task is dropped.
pub async fn serve(listener: TcpListener, current: Current) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Who finds no place is disconnected.
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let server = now(&current);
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    if let Err(error) = connection(stream, &server).await {
                        tracing::debug!("a Wyoming connection ended: {error}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("a Wyoming connection can't be accepted: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn broken(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

async fn read_line(from: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let n = from.take(MOST_LINE).read_until(b'\n', &mut line).await?;
    match line.last() {
        _ if n == 0 => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        _ => Err(broken("a line is too long, or breaks off")),
    }
}

async fn read_event(from: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Event>> {
    let Some(line) = read_line(from).await? else { return Ok(None) };
    let head: Value = serde_json::from_slice(&line).map_err(|_| broken("a line is no JSON"))?;
    let kind = head["type"].as_str().ok_or_else(|| broken("an event has no type"))?.to_owned();
    let length = |name: &str, most: usize| match head[name].as_u64().unwrap_or(0) as usize {
        n if n <= most => Ok(n),
        _ => Err(broken("an event is too large")),
    };
    let (n_data, n_payload) = (length("data_length", MOST_DATA)?, length("payload_length", MOST_PAYLOAD)?);
    let mut data = match &head["data"] {
        Value::Object(fields) => fields.clone(),
        _ => serde_json::Map::new(),
    };
    if n_data > 0 {
        let mut bytes = vec![0; n_data];
        from.read_exact(&mut bytes).await?;
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(more)) => data.extend(more),
            _ => return Err(broken("the data of an event is no JSON object")),
        }
    }
    let mut payload = vec![0; n_payload];
    from.read_exact(&mut payload).await?;
    Ok(Some(Event { kind, data: Value::Object(data), payload }))
}

async fn send(to: &mut OwnedWriteHalf, kind: &str, data: Value, payload: &[u8]) -> std::io::Result<()> {
    let data = data.to_string();
    let mut head = json!({"type": kind, "version": "1.7.2", "data_length": data.len()});
    if !payload.is_empty() {
        head["payload_length"] = payload.len().into();
    }
    let all = [format!("{head}\n").as_bytes(), data.as_bytes(), payload].concat();
    timeout(STALL, to.write_all(&all)).await.map_err(|_| broken("the client does not read"))?
}

async fn fail(to: &mut OwnedWriteHalf, failure: &Failure) -> std::io::Result<()> {
    send(to, "error", json!({"text": failure.message, "code": failure.status.as_u16().to_string()}), &[]).await
}

/// Says what is wrong with what has come, and ends the connection: what follows makes no sense without it.
async fn refuse(
    from: &mut BufReader<OwnedReadHalf>,
    to: &mut OwnedWriteHalf,
    failure: &Failure,
) -> std::io::Result<()> {
    tracing::warn!("a Wyoming client was refused: {}", failure.message);
    fail(to, failure).await?;
    to.shutdown().await?;
    // What is on its way is read: a connection that is closed before takes the error with it.
    let mut rest = [0; 4096];
    let _ = timeout(LINGER, async { while matches!(from.read(&mut rest).await, Ok(n) if n > 0) {} }).await;
    Ok(())
}

async fn connection(stream: TcpStream, server: &Arc<Server>) -> std::io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from: BufReader<OwnedReadHalf> = BufReader::new(from);
    let (mut sound, mut language) = (Incoming::default(), None);
    // A text that comes in pieces, while one does.
    let mut pieces: Option<String> = None;
    // While wake words are listened for; whether one was said.
    let mut ear: Option<Ear> = None;
    let mut is_detected = false;
    loop {
        let event = timeout(IDLE, read_event(&mut from)).await.map_err(|_| broken("nothing was said for long"))??;
        let Some(event) = event else { return Ok(()) };
        let text = || event.data["text"].as_str().unwrap_or_default().to_owned();
        match event.kind.as_str() {
            "describe" => send(&mut to, "info", info(server), &[]).await?,
            "ping" => send(&mut to, "pong", event.data.clone(), &[]).await?,
            "transcribe" => language = event.data["language"].as_str().map(language_code),
            "audio-start" => match Incoming::of(&event.data) {
                Ok(begun) => sound = begun,
                Err(failure) => return refuse(&mut from, &mut to, &failure).await,
            },
            "detect" => {
                let names = event.data["names"].as_array().into_iter().flatten();
                let names: Vec<String> = names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
                let listening = server.clone();
                let opened = blocking(move || listening.wake.listen(&names)).await?;
                is_detected = false;
                match opened {
                    Ok(opened) => ear = Some(opened),
                    Err(failure) => fail(&mut to, &failure).await?,
                }
            }
            "audio-chunk" if ear.is_some() => {
                let mut piece = sound.like();
                if let Err(failure) = piece.push(&event) {
                    return refuse(&mut from, &mut to, &failure).await;
                }
                let (rate, samples) = piece.mono();
                let Some(mut listening) = ear.take() else { continue };
                let (heard, listening) = blocking(move || (listening.hear(rate, &samples), listening)).await?;
                ear = Some(listening);
                match heard {
                    Ok(None) => {}
                    Ok(Some((name, at))) => {
                        is_detected = true;
                        let data = json!({"name": name, "timestamp": at.as_millis() as u64});
                        send(&mut to, "detection", data, &[]).await?;
                    }
                    Err(error) => {
                        ear = None;
                        fail(&mut to, &Failure::wrong(format!("{error:#}"))).await?;
                    }
                }
            }
            "audio-stop" if ear.is_some() => {
                ear = None;
                let said_nothing = (!is_detected).then(|| send(&mut to, "not-detected", json!({}), &[]));
                if let Some(sent) = said_nothing {
                    sent.await?;
                }
            }
            "audio-chunk" => {
                if let Err(failure) = sound.push(&event) {
                    return refuse(&mut from, &mut to, &failure).await;
                }
            }
            "audio-stop" => {
                let how = Hearing {
                    language: language.take().filter(|_| server.speech.is_multilingual),
                    ..Hearing::default()
                };
                let clip = std::mem::take(&mut sound);
                match transcribed(server, how, move || clip.speech()).await {
                    Ok(heard) => {
                        let data = json!({"text": heard.text, "language": heard.language});
                        send(&mut to, "transcript", data, &[]).await?;
                    }
                    Err(failure) => fail(&mut to, &failure).await?,
                }
            }
            // While a text comes in pieces, the whole of it is sent besides, for servers that can't take pieces.
            "synthesize" if pieces.is_some() => {}
            "synthesize" => speak(server, &mut to, text()).await?,
            "synthesize-start" => pieces = Some(String::new()),
            "synthesize-chunk" => match &mut pieces {
                Some(all) if all.len() + text().len() <= MOST_TEXT => all.push_str(&text()),
                _ => return Err(broken("a text in pieces is too long, or has no beginning")),
            },
            "synthesize-stop" => {
                speak(server, &mut to, pieces.take().unwrap_or_default()).await?;
                send(&mut to, "synthesize-stopped", json!({}), &[]).await?;
            }
            "transcript" | "recognize" => handle(server, &mut to, &event.data).await?,
            _ => {}
        }
    }
}

/// What computes runs beside the connections.
async fn blocking<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(compute).await.map_err(|_| broken("what was asked for failed"))
}

/// `en-US` and `en_US` are `en`.
fn language_code(language: &str) -> String {
    language.split(['-', '_']).next().unwrap_or_default().to_lowercase()
}

impl Incoming {
    fn of(data: &Value) -> Result<Self, Failure> {
        let number = |name: &str, known: std::ops::RangeInclusive<u64>| {
            let found = data[name].as_u64().filter(|number| known.contains(number));
            found.ok_or_else(|| {
                let value: String = data[name].to_string().chars().take(40).collect();
                let (least, most) = (known.start(), known.end());
                Failure::of(name, format!("of the sound is {value} but must be from {least} to {most}"))
            })
        };
        let (rate, width) = (number("rate", 8_000..=192_000)?, number("width", 1..=4)?);
        let channels = number("channels", 1..=8)?;
        Ok(Self { rate: rate as u32, width: width as usize, channels: channels as usize, bytes: Vec::new() })
    }

    fn push(&mut self, event: &Event) -> Result<(), Failure> {
        if self.width == 0 {
            *self = Self::of(&event.data)?;
        }
        if self.bytes.len() + event.payload.len() > MOST_SOUND {
            return Err(Failure::wrong(format!("the utterance has more than {MOST_SOUND} bytes of sound")));
        }
        self.bytes.extend_from_slice(&event.payload);
        Ok(())
    }

    /// Of the same form, without sound.
    fn like(&self) -> Self {
        Self { bytes: Vec::new(), ..*self }
    }

    fn mono(self) -> (SampleRate, Vec<f32>) {
        let samples = samples(&self.bytes, self.width);
        let mono: Vec<f32> = match self.channels {
            1 => samples,
            n => samples.chunks_exact(n).map(|frame| frame.iter().sum::<f32>() / n as f32).collect(),
        };
        (SampleRate(self.rate), mono)
    }

    /// Mono at 16 kHz.
    fn speech(self) -> Result<Vec<f32>, Failure> {
        if self.width == 0 {
            return Ok(Vec::new());
        }
        let (rate, mono) = self.mono();
        let clip = Clip::new(rate, mono);
        Ok(resample(&clip, SampleRate::SPEECH).map_err(Failure::wrong_sound)?.samples)
    }
}

/// Whole numbers of `width` bytes, the lowest first, as samples from -1 to 1; those of one byte have no sign, as in WAV files.
fn samples(bytes: &[u8], width: usize) -> Vec<f32> {
    if width == 1 {
        return bytes.iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0).collect();
    }
    let whole = |sample: &[u8]| {
        let mut all = [0; 4];
        all[4 - sample.len()..].copy_from_slice(sample);
        i32::from_le_bytes(all) as f32 / -(i32::MIN as f32)
    };
    bytes.chunks_exact(width.clamp(2, 4)).map(whole).collect()
}

async fn speak(server: &Arc<Server>, to: &mut OwnedWriteHalf, text: String) -> std::io::Result<()> {
    let rate = server.speech.rate();
    let form = json!({"rate": rate.0, "width": 2, "channels": 1, "timestamp": null});
    let Ok(place) = server.speaking.clone().try_acquire_owned() else {
        return fail(to, &Failure::busy("too many texts are being spoken")).await;
    };
    if text.len() > MOST_TEXT {
        return fail(to, &Failure::of("text", format!("has more than {MOST_TEXT} bytes"))).await;
    }
    let (sender, mut blocks) = channel::<Result<Vec<u8>, Failure>>(BLOCKS);
    let speaking = server.clone();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let spoken = speaking.speech.speak(&text, 1.0, rate, &mut |samples| match samples
            .chunks(CHUNK)
            .all(|chunk| sender.blocking_send(Ok(pcm16(chunk))).is_ok())
        {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        });
        if let Err(failure) = spoken {
            let _ = sender.blocking_send(Err(failure));
        }
    });
    send(to, "audio-start", form.clone(), &[]).await?;
    while let Some(block) = blocks.recv().await {
        match block {
            Ok(block) => send(to, "audio-chunk", form.clone(), &block).await?,
            Err(failure) => fail(to, &failure).await?,
        }
    }
    send(to, "audio-stop", json!({"timestamp": null}), &[]).await
}

/// A command or question to the home.
async fn handle(server: &Arc<Server>, to: &mut OwnedWriteHalf, data: &Value) -> std::io::Result<()> {
    let context = data["context"].clone();
    let conversation = context["conversation_id"].as_str().unwrap_or_default().to_owned();
    let text = data["text"].as_str().unwrap_or_default();
    let (kind, said) = match server.ask_home(text, &conversation).await {
        Ok(replied) => {
            let is_done = !replied.reply.trim().is_empty() && replied.tools.iter().all(|tool| tool.ok);
            (if is_done { "handled" } else { "not-handled" }, replied.reply)
        }
        Err(failure) => ("not-handled", failure.message),
    };
    send(to, kind, json!({"text": said, "context": context}), &[]).await
}

fn info(server: &Server) -> Value {
    let own = json!({"name": "Nearfield", "url": ""});
    let version = env!("CARGO_PKG_VERSION");
    let about = |name: &str, description: &str| json!({"name": name, "attribution": own, "installed": true, "description": description, "version": version});
    let with = |mut one: Value, more: &[(&str, Value)]| {
        more.iter().for_each(|(key, value)| one[*key] = value.clone());
        one
    };
    let (hears, speaks) = server.speech.has();
    let heard = if server.speech.is_multilingual { LANGUAGES.to_vec() } else { vec!["en"] };
    let model = with(about(&server.stt_name, "Whisper"), &[("languages", json!(heard))]);
    let asr = with(about("nearfield", "Speech to text"), &[("models", json!([model]))]);
    let name = &server.speech.voice.0;
    let voice = with(about(name, "Voice"), &[("languages", json!([server.voice_language])), ("speakers", Value::Null)]);
    let tts = with(
        about("nearfield", "Text to speech"),
        &[("voices", json!([voice])), ("supports_synthesize_streaming", true.into())],
    );
    let model = with(about(&server.model, "The home's commands and questions"), &[("languages", json!(["en"]))]);
    let handle = with(
        about("nearfield", "The home"),
        &[
            ("models", json!([model])),
            ("supports_handled_streaming", false.into()),
            ("supports_home_control", true.into()),
        ],
    );
    let word = |word: &String| with(about(word, "Wake word"), &[("languages", json!(["en"])), ("phrase", json!(word))]);
    let words: Vec<Value> = server.wake.words().iter().map(word).collect();
    let wake = with(about("nearfield", "Wake words"), &[("models", json!(words))]);
    let some = |is_there: bool, one: Value| if is_there { json!([one]) } else { json!([]) };
    json!({
        "asr": some(hears, asr), "tts": some(speaks, tts), "handle": some(server.home.is_some(), handle),
        "intent": [], "wake": some(!server.wake.words().is_empty(), wake), "mic": [], "snd": [], "satellite": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_of_every_width_is_the_same_sound() {
        for (width, bytes) in [
            (1, vec![128, 192, 64]),
            (2, vec![0, 0, 0, 64, 0, 192]),
            (3, vec![0, 0, 0, 0, 0, 64, 0, 0, 192]),
            (4, vec![0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 192]),
        ] {
            assert_eq!(samples(&bytes, width), [0.0, 0.5, -0.5], "{width}");
        }
    }

    #[test]
    fn sound_that_can_not_be_read_is_refused_by_what_is_wrong_with_it() {
        let of = |rate: u64, width: u64, channels: u64| {
            Incoming::of(&json!({"rate": rate, "width": width, "channels": channels}))
        };
        for width in 1..=4 {
            assert!(of(16_000, width, 8).is_ok());
        }
        for (begun, message) in [
            (of(0, 2, 1), "rate: of the sound is 0 but must be from 8000 to 192000"),
            (of(16_000, 5, 1), "width: of the sound is 5 but must be from 1 to 4"),
            (of(16_000, 2, 9), "channels: of the sound is 9 but must be from 1 to 8"),
        ] {
            assert_eq!(begun.err().unwrap().message, message);
        }
    }
}
