//! Which path is whose. `openapi.rs` describes each of them: a route that is added here is added there.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Server;
use super::embeddings;
use super::failure::{Failure, Form};
use super::http::{self, Reply, read_json, read_prompt};
use super::llama_cpp;
use super::ollama;
use super::openai::{self, audio, chat, completions, responses};
use super::openapi;
use super::page;
use super::realtime;
use super::request_json;

/// Whether a path is answered without a token: those that say only that the server lives.
pub fn is_open(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/health") || page::is_file(path)
}

/// Answers a request.
///
/// # Errors
/// Why it can't be answered.
pub async fn route(server: &Arc<Server>, request: Request<Incoming>) -> Result<Response<Reply>, Failure> {
    let most = server.config.most_kib << 10;
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_end_matches('/');
    if let Some(allowed) = openapi::allowed(path)
        && !allowed.split(", ").any(|method| method == head.method.as_str())
    {
        return Ok(not_so(path, allowed));
    }
    let is_get = matches!(head.method, Method::GET | Method::HEAD);
    if is_get && path == "/readyz" {
        let server = server.clone();
        tokio::task::spawn_blocking(move || server.golden.check()).await.map_err(Failure::broken)??;
        return Ok(http::json(StatusCode::OK, &json!({"status": "ready"})));
    }
    if is_get && path == "/events" {
        let seen = head.headers.get("last-event-id").and_then(|id| id.to_str().ok()?.trim().parse().ok());
        let lines = http::Reply::Blocks { first: None, blocks: server.shared.events.stream(seen) };
        return Ok(http::respond(StatusCode::OK, "text/event-stream", lines));
    }
    if is_get && path == "/v1/home" {
        let server = server.clone();
        let home = tokio::task::spawn_blocking(move || page::home(&server)).await.map_err(Failure::broken)??;
        return Ok(http::json(StatusCode::OK, &home));
    }
    // Ollama's clients look for a server there, and browsers for a page.
    let wants_page = |value: &hyper::header::HeaderValue| value.to_str().is_ok_and(|kinds| kinds.contains("text/html"));
    if is_get
        && (!path.is_empty() || head.headers.get(hyper::header::ACCEPT).is_some_and(wants_page))
        && let Some(file) = page::file(path)
    {
        return Ok(file);
    }
    if is_get && path == "/v1/realtime" {
        return realtime::open(server, Request::from_parts(head, body));
    }
    if is_get {
        return get(server, path);
    }
    if head.method != Method::POST {
        // What is described has been looked at above; these are other names of it.
        return match path {
            "/chat/completions" | "/responses" => Ok(not_so(path, "POST")),
            _ if get(server, path).is_ok() => Ok(not_so(path, "GET, HEAD")),
            _ => Err(unknown(path)),
        };
    }
    match path {
        "/v1/chat/completions" | "/chat/completions" => chat::chat(server, read_prompt(body, most).await?).await,
        "/v1/completions" => completions::complete(server, read_prompt(body, most).await?).await,
        "/v1/responses" | "/responses" => responses::respond(server, read_prompt(body, most).await?).await,
        "/v1/audio/transcriptions" => audio::transcribe(server, &head.headers, body, false).await,
        "/v1/audio/translations" => audio::transcribe(server, &head.headers, body, true).await,
        "/v1/audio/speech" => audio::speak(server, read_json(body, most).await?).await,
        "/v1/ask" => ask(server, read_json(body, most).await?).await,
        "/api/chat" => ollama::chat(server, read_prompt(body, most).await?).await,
        "/api/generate" => ollama::generate(server, read_prompt(body, most).await?).await,
        "/api/show" => Ok(http::json(StatusCode::OK, &ollama::show(server, &read_json(body, most).await?)?)),
        "/api/pull" => ollama::pull(server, &read_json(body, most).await?),
        path if embeddings::is_path(path) => embeddings::post(server, path, body, most).await,
        "/completion" => {
            let body = http::read_refusing(body, most, request_json::UNSUPPORTED_COMPLETION).await?;
            llama_cpp::complete(server, body).await
        }
        "/tokenize" => Ok(http::json(StatusCode::OK, &llama_cpp::tokenize(server, &read_json(body, most).await?)?)),
        "/detokenize" => Ok(http::json(StatusCode::OK, &llama_cpp::detokenize(server, &read_json(body, most).await?)?)),
        "/apply-template" => {
            Ok(http::json(StatusCode::OK, &llama_cpp::apply_template(server, read_json(body, most).await?)?))
        }
        _ if get(server, path).is_ok() => Ok(not_so(path, "GET, HEAD")),
        _ => Err(unknown(path)),
    }
}

/// `/v1/ask`
#[derive(Debug, Deserialize, JsonSchema)]
pub struct AskBody {
    text: String,
    #[serde(default)]
    conversation_id: Option<String>,
}

/// A question or a command to the home.
async fn ask(server: &Arc<Server>, body: AskBody) -> Result<Response<Reply>, Failure> {
    let conversation = body.conversation_id.unwrap_or_default();
    let replied = server.ask_home(&body.text, &conversation).await?;
    Ok(http::json(
        StatusCode::OK,
        &json!({
            "reply": replied.reply, "answered_by": replied.answered_by.as_str(), "tools": replied.tools,
            "conversation_id": conversation, "cut_off": replied.cut_off,
        }),
    ))
}

fn get(server: &Arc<Server>, path: &str) -> Result<Response<Reply>, Failure> {
    match path {
        "" => Ok(http::whole(StatusCode::OK, "text/plain; charset=utf-8", "Nearfield is running")),
        "/healthz" | "/health" => Ok(http::json(StatusCode::OK, &json!({"status": "ok"}))),
        "/v1/models" | "/models" => Ok(http::json(StatusCode::OK, &openai::models(server))),
        "/api/version" => Ok(http::json(StatusCode::OK, &ollama::version())),
        "/api/tags" => Ok(http::json(StatusCode::OK, &ollama::tags(server))),
        "/api/ps" => Ok(http::json(StatusCode::OK, &ollama::running(server))),
        "/props" => Ok(http::json(StatusCode::OK, &llama_cpp::props(server))),
        "/slots" => Ok(http::json(StatusCode::OK, &llama_cpp::slots(server))),
        "/openapi.json" => Ok(http::json(StatusCode::OK, openapi::document())),
        "/metrics" => {
            let (running, waiting) = server.load();
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            Ok(http::whole(StatusCode::OK, kind, server.metrics.text(running, waiting)))
        }
        "/flows" => Ok(http::json(StatusCode::OK, &json!({"flows": server.flows()}))),
        "/events" => Ok(http::whole(StatusCode::OK, "text/event-stream", "")),
        "/captions" => {
            let captions = server.shared.events.latest(&["caption", "alert"]);
            Ok(http::json(StatusCode::OK, &json!({"captions": captions})))
        }
        "/events/recent" => {
            let events = server.shared.events.latest(&["event_ended"]);
            Ok(http::json(StatusCode::OK, &json!({"events": events})))
        }
        "/reports" => Ok(http::json(StatusCode::OK, &json!({"reports": server.shared.events.latest(&["report"])}))),
        _ if path.starts_with("/captions/") && path.ends_with(".jpg") => {
            let name = &path["/captions/".len()..path.len() - ".jpg".len()];
            Ok(http::whole(StatusCode::OK, "image/jpeg", server.shared.events.jpeg(name)?))
        }
        _ if path.starts_with("/reports/") && path.ends_with(".html") => {
            let name = &path["/reports/".len()..path.len() - ".html".len()];
            Ok(http::whole(StatusCode::OK, "text/html; charset=utf-8", server.shared.events.page(name)?))
        }
        _ => match path.strip_prefix("/v1/models/") {
            Some(name) => openai::model(server, name).map(|model| http::json(StatusCode::OK, &model)),
            None => Err(unknown(path)),
        },
    }
}

fn unknown(path: &str) -> Failure {
    let path: String = path.chars().take(100).collect();
    Failure::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}: docs/server.md lists what there is"))
}

/// The path is there, and not for this method.
fn not_so(path: &str, allowed: &'static str) -> Response<Reply> {
    let message = format!("this path is not for this method: use {allowed}");
    let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, message);
    let mut response = http::json(failure.status, &failure.body(Form::of(path)));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
