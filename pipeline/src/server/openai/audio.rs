//! `/v1/audio/transcriptions`, `/v1/audio/translations` and `/v1/audio/speech`

use std::ops::ControlFlow;
use std::sync::Arc;

use http_body_util::{BodyDataStream, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Response, StatusCode};
use multer::Multipart;
use nearfield_speech::stt::Transcription;
use nearfield_stages::flow::Turns;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::channel;
use tokio::time::timeout;

use crate::cli::TranscriptFormat;
use crate::output::transcript;
use crate::server::Server;
use crate::server::failure::Failure;
use crate::server::http::{self, BODY_TIME, Reply};
use crate::server::sound::{Format, SoundWriter};
use crate::server::speech::{Hearing, Speech};

/// OpenAI's names of recognizers and voices, which mean what is configured.
const RECOGNIZERS: [&str; 4] = ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper"];
const SPEAKERS: [&str; 3] = ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"];
const VOICES: [&str; 13] =
    ["alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse", "marin", "cedar"];
/// The longest text that is spoken, as with OpenAI.
const MOST_CHARS: usize = 4096;
/// A text without words is so much of a second of silence: a tenth.
const SILENCE_PARTS: usize = 10;
/// Blocks of sound that wait for a client.
const BLOCKS: usize = 32;

/// What a form asks for.
#[derive(Default)]
struct Form {
    file: Option<(Bytes, String)>,
    model: Option<String>,
    format: String,
    how: Hearing,
    is_streamed: bool,
}

/// Transcribes a recording, or translates it into English.
///
/// # Errors
/// The form is wrong, or the recording can't be read.
pub async fn transcribe(
    server: &Arc<Server>,
    headers: &HeaderMap,
    body: Incoming,
    translate: bool,
) -> Result<Response<Reply>, Failure> {
    let read = timeout(BODY_TIME, form(headers, body, server.config.most_kib << 10)).await;
    let late = || Failure::new(StatusCode::REQUEST_TIMEOUT, "the recording did not come in time");
    let mut form = read.map_err(|_| late())??;
    let known = |name: &str| RECOGNIZERS.contains(&name) || name == server.stt_name;
    if let Some(asked) = form.model.as_deref().filter(|name| !known(name)) {
        return Err(Failure::no_model(asked, &[&server.stt_name, "whisper-1"]));
    }
    if form.is_streamed {
        return Err(Failure::of("stream", "is not supported for transcriptions: leave it out"));
    }
    if !matches!(form.format.as_str(), "json" | "text" | "srt" | "vtt" | "verbose_json") {
        return Err(Failure::of("response_format", "must be json, text, srt, vtt or verbose_json"));
    }
    form.how.translate = translate;
    let (file, name) = form.file.take().ok_or_else(|| Failure::of("file", "is missing"))?;
    let how = form.how.clone();
    let heard = transcribed(server, how, move || Speech::read(file, &name)).await?;
    answer(&heard, &form, translate)
}

/// Transcribes on a thread of its own, and no further when nobody waits any more.
///
/// # Errors
/// As [`Speech::transcribe`], and what `read` says.
pub async fn transcribed(
    server: &Arc<Server>,
    how: Hearing,
    read: impl FnOnce() -> Result<Vec<f32>, Failure> + Send + 'static,
) -> Result<Transcription, Failure> {
    struct Guard(Turns);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.silence_all();
        }
    }
    let turns = Turns::default();
    turns.begin();
    let _guard = Guard(turns.clone());
    let place = server.speaking.clone().try_acquire_owned();
    let place = place.map_err(|_| Failure::busy("too many recordings at a time"))?;
    let server = server.clone();
    let task = tokio::task::spawn_blocking(move || {
        let _place = place;
        server.speech.transcribe(&read()?, &how, &turns)
    });
    task.await.map_err(Failure::broken)?
}

async fn form(headers: &HeaderMap, body: Incoming, most: usize) -> Result<Form, Failure> {
    let wrong = |error: multer::Error| {
        let is_large = std::error::Error::source(&error).is_some_and(|e| e.to_string().contains("length limit"));
        match is_large {
            true => Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the recording has more than {most} bytes")),
            false => Failure::wrong(format!("the form can't be read: {error}")),
        }
    };
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind)
        .map_err(|_| Failure::wrong("send a form (multipart/form-data) with file and model"))?;
    let mut parts = Multipart::new(BodyDataStream::new(Limited::new(body, most)), boundary);
    let mut form = Form { format: "json".to_owned(), ..Form::default() };
    while let Some(part) = parts.next_field().await.map_err(wrong)? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" {
            let file = part.file_name().unwrap_or_default().to_owned();
            form.file = Some((part.bytes().await.map_err(wrong)?, file));
            continue;
        }
        let text = part.text().await.map_err(wrong)?;
        match name.as_str() {
            "model" => form.model = Some(text),
            "response_format" => form.format = text,
            "language" if !text.is_empty() => form.how.language = Some(text),
            "timestamp_granularities[]" | "timestamp_granularities" => form.how.words |= text == "word",
            "stream" => form.is_streamed = text == "true",
            _ => refuse(&name, &text)?,
        }
    }
    Ok(form)
}

/// Refuses fields that would change what is transcribed, or told of it. A `prompt` is only a hint, and Home Assistant always sends one.
fn refuse(name: &str, text: &str) -> Result<(), Failure> {
    let text = text.trim();
    let hint = match name {
        "include" | "include[]" if !text.is_empty() => {
            "the response_format verbose_json tells the probabilities of segments"
        }
        "temperature" if text.parse::<f64>() != Ok(0.0) && !text.is_empty() => {
            "the likeliest words are taken: leave it out, or send 0"
        }
        "known_speaker_names[]" | "known_speaker_references[]" if !text.is_empty() => {
            "speakers are not told apart: leave it out"
        }
        _ => return Ok(()),
    };
    Err(Failure::of(name, format!("is not supported: {hint}")).code("unsupported_parameter"))
}

fn answer(heard: &Transcription, form: &Form, translate: bool) -> Result<Response<Reply>, Failure> {
    let plain = "text/plain; charset=utf-8";
    let written = |format| {
        let mut out = Vec::new();
        transcript::write(&mut out, format, heard, &Value::Null, false).map_err(Failure::broken)?;
        Ok(http::whole(StatusCode::OK, plain, out))
    };
    let seconds = |time: std::time::Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    match form.format.as_str() {
        "text" => written(TranscriptFormat::Txt),
        "srt" => written(TranscriptFormat::Srt),
        "vtt" => written(TranscriptFormat::Vtt),
        "json" => Ok(http::json(StatusCode::OK, &json!({"text": heard.text}))),
        _ => {
            let segments = heard.segments.iter().enumerate().map(|(id, segment)| {
                json!({
                    "id": id, "seek": 0, "start": seconds(segment.start), "end": seconds(segment.end),
                    "text": segment.text, "tokens": [], "temperature": 0.0,
                    "avg_logprob": segment.average_log_probability, "compression_ratio": null,
                    "no_speech_prob": segment.no_speech_probability,
                })
            });
            let mut document = json!({
                "task": if translate { "translate" } else { "transcribe" }, "language": heard.language,
                "duration": seconds(heard.audio), "text": heard.text, "segments": segments.collect::<Vec<_>>(),
            });
            if form.how.words {
                let words = heard.segments.iter().flat_map(|segment| &segment.words);
                let word = |word: &nearfield_speech::stt::Word| json!({"word": word.text, "start": seconds(word.start), "end": seconds(word.end)});
                document["words"] = words.map(word).collect();
            }
            Ok(http::json(StatusCode::OK, &document))
        }
    }
}

/// `/v1/audio/speech`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SpeechBody {
    #[serde(default)]
    model: Option<String>,
    input: String,
    #[serde(default)]
    voice: Option<String>,
    #[serde(default)]
    response_format: Option<String>,
    #[serde(default)]
    stream_format: Option<String>,
    #[serde(default)]
    speed: Option<f32>,
}

/// Speaks a text; the sound comes as it is made.
///
/// # Errors
/// The request is wrong, or there is no voice.
pub async fn speak(server: &Arc<Server>, body: SpeechBody) -> Result<Response<Reply>, Failure> {
    let own = &server.speech.voice.0;
    if let Some(asked) = body.model.as_deref().filter(|asked| !SPEAKERS.contains(asked) && asked != own) {
        return Err(Failure::no_model(asked, &["tts-1"]));
    }
    if let Some(asked) = body.voice.as_deref().filter(|asked| !VOICES.contains(asked) && asked != own) {
        let asked: String = asked.chars().take(60).collect();
        return Err(Failure::of("voice", format!("is {asked:?}, and there is {own:?}, which \"alloy\" means too")));
    }
    if body.input.trim().is_empty() || body.input.chars().count() > MOST_CHARS {
        return Err(Failure::of("input", format!("must have 1 to {MOST_CHARS} characters")));
    }
    let speed = body.speed.unwrap_or(1.0);
    if !(0.25..=4.0).contains(&speed) {
        return Err(Failure::of("speed", "must be from 0.25 to 4"));
    }
    if body.stream_format.as_deref().is_some_and(|format| format != "audio") {
        return Err(Failure::of("stream_format", "must be audio: sound is streamed as it is, not in events"));
    }
    let format = Format::named(body.response_format.as_deref())?;
    let rate = format.rate(server.speech.rate());
    let place = server.speaking.clone().try_acquire_owned();
    let place = place.map_err(|_| Failure::busy("too many texts are being spoken"))?;
    let (sender, mut blocks) = channel::<Result<Bytes, Failure>>(BLOCKS);
    let (speaking, text) = (server.clone(), body.input);
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let spoken = || {
            let mut writer = SoundWriter::new(format, rate, sender.clone())?;
            let (mut encoded, mut is_silent) = (Ok(()), true);
            speaking.speech.speak(&text, speed, rate, &mut |samples| {
                is_silent = false;
                match writer.push(samples) {
                    Ok(go_on) => go_on,
                    Err(failure) => {
                        encoded = Err(failure);
                        ControlFlow::Break(())
                    }
                }
            })?;
            encoded?;
            // A text without words: some players and encoders refuse a file without any sound.
            if is_silent {
                let _ = writer.push(&vec![0.0; rate.0 as usize / SILENCE_PARTS])?;
            }
            writer.finish()
        };
        if let Err(failure) = spoken() {
            let _ = sender.blocking_send(Err(failure));
        }
    });
    match blocks.recv().await {
        Some(Err(failure)) => Err(failure),
        first => Ok(http::respond(
            StatusCode::OK,
            format.content_type(),
            Reply::Blocks { first: first.and_then(Result::ok), blocks },
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_a_transcript_is_refused_by_its_name() {
        for (name, text) in [("include[]", "logprobs"), ("temperature", "0.5"), ("known_speaker_names[]", "a")] {
            let failure = refuse(name, text).unwrap_err();
            assert!(failure.message.starts_with(&format!("{name}: is not supported: ")), "{}", failure.message);
        }
        for (name, text) in [
            ("prompt", "Nearfield"),
            ("temperature", "0"),
            ("temperature", " 0.0 "),
            ("temperature", " "),
            ("known_speaker_names[]", ""),
            ("chunking_strategy", "auto"),
        ] {
            refuse(name, text).unwrap();
        }
    }
}
