//! `/openapi.json`: what all routes take and answer, as OpenAPI 3.1. The bodies of requests are described by the types that read them.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::embeddings::{LlamaCppBody, OllamaBody, OllamaOneBody, OpenAiBody};
use super::llama_cpp;
use super::ollama;
use super::openai::{audio, chat, completions, responses};
use super::routes::{self, AskBody};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";
const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A route.
struct Route {
    path: &'static str,
    is_get: bool,
    summary: &'static str,
    /// The content type of the body that it takes, and its schema.
    body: Option<(&'static str, Value)>,
    /// The content types in which it answers.
    answers: &'static [&'static str],
    /// What a JSON answer is.
    answer: Value,
}

fn get(path: &'static str, summary: &'static str, answers: &'static [&'static str], fields: &[&str]) -> Route {
    Route { path, is_get: true, summary, body: None, answers, answer: object(fields) }
}

fn post<T: JsonSchema>(
    path: &'static str,
    summary: &'static str,
    answers: &'static [&'static str],
    fields: &[&str],
) -> Route {
    Route { path, is_get: false, summary, body: Some((JSON, schema_of::<T>())), answers, answer: object(fields) }
}

/// An object with at least these fields.
fn object(fields: &[&str]) -> Value {
    json!({"type": "object", "required": fields})
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value();
    if let Some(fields) = schema.as_object_mut() {
        // The name of a Rust type says nothing to a client.
        fields.remove("title");
    }
    schema
}

/// The form with a recording.
fn recording() -> Value {
    json!({
        "type": "object", "required": ["file"],
        "properties": {
            "file": {"type": "string", "format": "binary", "description": "WAV, FLAC, MP3, AIFF, M4A, Ogg (Vorbis, Opus) or WebM."},
            "model": {"type": "string"}, "language": {"type": "string"},
            "response_format": {"enum": ["json", "text", "srt", "vtt", "verbose_json"]},
            "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word", "segment"]}},
        },
    })
}

/// Routes with a body.
fn posts() -> Vec<Route> {
    let form = |path, summary| Route {
        path,
        is_get: false,
        summary,
        body: Some(("multipart/form-data", recording())),
        answers: &[JSON, TEXT],
        answer: object(&["text"]),
    };
    let sound: &[&str] = &["audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/aac", "audio/pcm"];
    let chat_fields = ["id", "object", "created", "model", "choices", "usage"];
    vec![
        post::<chat::Body>("/v1/chat/completions", "Answer a conversation.", &[JSON, EVENTS], &chat_fields),
        post::<completions::Body>("/v1/completions", "Continue a text.", &[JSON, EVENTS], &chat_fields),
        post::<responses::Body>(
            "/v1/responses",
            "Answer items.",
            &[JSON, EVENTS],
            &["id", "object", "status", "output"],
        ),
        post::<OpenAiBody>(
            "/v1/embeddings",
            "Turn texts into vectors.",
            &[JSON],
            &["object", "data", "model", "usage"],
        ),
        form("/v1/audio/transcriptions", "Transcribe a recording."),
        form("/v1/audio/translations", "Translate a recording into English."),
        post::<audio::SpeechBody>("/v1/audio/speech", "Speak a text; the sound comes as it is made.", sound, &[]),
        post::<AskBody>(
            "/v1/ask",
            "Ask or command the home.",
            &[JSON],
            &["reply", "answered_by", "tools", "conversation_id"],
        ),
        post::<ollama::ChatBody>(
            "/api/chat",
            "Answer a conversation (Ollama).",
            &[JSON, LINES],
            &["model", "message", "done"],
        ),
        post::<ollama::GenerateBody>(
            "/api/generate",
            "Answer a prompt (Ollama).",
            &[JSON, LINES],
            &["model", "response", "done"],
        ),
        post::<OllamaBody>("/api/embed", "Turn texts into vectors (Ollama).", &[JSON], &["model", "embeddings"]),
        post::<OllamaOneBody>(
            "/api/embeddings",
            "Turn a text into a vector (Ollama, old form).",
            &[JSON],
            &["embedding"],
        ),
        post::<ollama::ModelBody>("/api/show", "What the model is (Ollama).", &[JSON], &["details", "capabilities"]),
        post::<ollama::ModelBody>(
            "/api/pull",
            "Nothing is pulled by clients: says whether the model is there (Ollama).",
            &[JSON, LINES],
            &["status"],
        ),
        post::<llama_cpp::Body>("/completion", "Continue a text (llama.cpp).", &[JSON, EVENTS], &["content", "stop"]),
        Route {
            answer: json!({"type": "array", "items": object(&["index", "embedding"])}),
            ..post::<LlamaCppBody>("/embedding", "Turn texts into vectors (llama.cpp).", &[JSON], &[])
        },
        post::<llama_cpp::TokenizeBody>("/tokenize", "The tokens of a text (llama.cpp).", &[JSON], &["tokens"]),
        post::<llama_cpp::DetokenizeBody>("/detokenize", "The text of tokens (llama.cpp).", &[JSON], &["content"]),
        post::<llama_cpp::TemplateBody>(
            "/apply-template",
            "A conversation as the model reads it (llama.cpp).",
            &[JSON],
            &["prompt"],
        ),
    ]
}

/// Routes without a body.
fn gets() -> Vec<Route> {
    vec![
        get("/", "Says that the server runs; browsers get a page.", &[TEXT, "text/html; charset=utf-8"], &[]),
        get("/v1/home", "The home's areas and entities with their states.", &[JSON], &["areas", "entities"]),
        get(
            "/v1/realtime",
            "A conversation by voice over a WebSocket, in the form of OpenAI's Realtime API.",
            &[JSON],
            &[],
        ),
        get("/healthz", "Whether the server answers; needs no token.", &[JSON], &["status"]),
        get("/health", "The same (llama.cpp).", &[JSON], &["status"]),
        get(
            "/readyz",
            "Whether the language model writes what it wrote when it was loaded; needs no token.",
            &[JSON],
            &["status"],
        ),
        get("/metrics", "Counters for Prometheus.", &[METRICS], &[]),
        get("/openapi.json", "This document.", &[JSON], &["openapi", "info", "paths"]),
        get("/v1/models", "The models.", &[JSON], &["object", "data"]),
        get("/v1/models/{model}", "A model.", &[JSON], &["id", "object", "created", "owned_by"]),
        get("/api/version", "The version of Ollama whose answers these are.", &[JSON], &["version"]),
        get("/api/tags", "The models (Ollama).", &[JSON], &["models"]),
        get("/api/ps", "The models that are loaded (Ollama).", &[JSON], &["models"]),
        get("/props", "Properties (llama.cpp).", &[JSON], &["total_slots", "chat_template"]),
        Route {
            answer: json!({"type": "array", "items": object(&["id", "n_ctx", "is_processing"])}),
            ..get("/slots", "Conversations in the cache (llama.cpp).", &[JSON], &[])
        },
        get("/flows", "Voices, cameras and reports beside the server.", &[JSON], &["flows"]),
        get("/events", "What happens, as it happens; `Last-Event-ID` goes on from there.", &[EVENTS], &[]),
        get("/captions", "The last captions.", &[JSON], &["captions"]),
        get("/captions/{camera}.jpg", "A camera's newest picture.", &["image/jpeg"], &[]),
        get("/reports", "The last reports.", &[JSON], &["reports"]),
        get(
            "/reports/{flow}.html",
            "The reports of a flow, with tables and plots.",
            &["text/html; charset=utf-8"],
            &[],
        ),
    ]
}

/// The document.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
        let mut paths: Map<String, Value> = Map::new();
        for route in gets().into_iter().chain(posts()) {
            let method = if route.is_get { "get" } else { "post" };
            let entry = paths.entry(route.path).or_insert_with(|| json!({}));
            entry[method] = operation(&route);
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Nearfield", "version": env!("CARGO_PKG_VERSION"),
                "description": "The local server of Nearfield: OpenAI's, Ollama's and llama.cpp's clients, the home, the flows.",
                "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "paths": paths,
            "components": {
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "The token of server.token_file, if there is one."}},
                "schemas": {"Error": {
                    "description": "OpenAI's form; below /api/ Ollama's, whose `error` is a text.",
                    "type": "object", "required": ["error"],
                    "properties": {"error": {"anyOf": [
                        {"type": "string"},
                        {"type": "object", "required": ["message", "type", "param", "code"], "properties": {
                            "message": {"type": "string"}, "type": {"type": "string"}, "param": {"type": ["string", "null"]},
                            "code": {"type": ["string", "null"]}}},
                    ]}},
                }},
            },
        })
    });
    &DOCUMENT
}

/// By which methods a path that is described here is asked.
pub fn allowed(path: &str) -> Option<&'static str> {
    let path = if path.is_empty() { "/" } else { path };
    let is_it = |known: &str| match known.split_once('{') {
        None => known == path,
        Some((before, rest)) => {
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(|name| !name.is_empty())
        }
    };
    let paths = document()["paths"].as_object()?;
    let (_, methods) = paths.iter().find(|(known, _)| is_it(known))?;
    Some(if methods.get("get").is_some() { "GET, HEAD" } else { "POST" })
}

/// The statuses of failures, and what they mean.
fn failures(route: &Route) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("403", "The name by which the server was called, or the page that asks, is not known.")];
    if !routes::is_open(route.path) {
        all.push(("401", "The token is missing or wrong."));
    }
    if route.body.is_some() {
        all.extend([
            ("400", "The request is wrong: the message says what, and what would be right."),
            ("404", "There is no such model."),
            ("408", "The request did not come in time."),
            ("413", "The request is too large (server.most_kib)."),
            ("500", "Something is broken."),
            (
                "503",
                "Too much is asked at a time, or what is asked for is not there; `Retry-After` says when to try again.",
            ),
        ]);
    } else if route.path == "/readyz" {
        all.push(("503", "The language model is not as it was."));
    } else if route.path == "/v1/realtime" {
        all.extend([
            ("101", "The connection is a WebSocket now."),
            ("404", "There is no such model."),
            ("426", "The request is no WebSocket's."),
            ("503", "There are as many conversations as there may be (server.realtime), or no voice or recognizer."),
        ]);
    } else if route.path == "/v1/home" {
        all.extend([("404", "No home is configured."), ("500", "Its file can't be read.")]);
    } else if route.path.contains('{') {
        all.push(("404", "There is none of this name."));
    }
    all
}

fn operation(route: &Route) -> Value {
    let content: Map<String, Value> = route
        .answers
        .iter()
        .map(|kind| {
            let schema = if *kind == JSON { route.answer.clone() } else { json!({"type": "string"}) };
            ((*kind).to_owned(), json!({"schema": schema}))
        })
        .collect();
    let mut answers = json!({"200": {"description": "The answer.", "content": content}});
    for (status, meaning) in failures(route) {
        let error = json!({JSON: {"schema": {"$ref": "#/components/schemas/Error"}}});
        answers[status] = json!({"description": meaning, "content": error});
    }
    let name: String = route.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name = if route.path == "/" { "root" } else { name.trim_matches('_') };
    let mut operation = json!({"summary": route.summary, "operationId": name, "responses": answers});
    operation["security"] = match routes::is_open(route.path) {
        true => json!([]),
        // Where the server has no token it wants none.
        false => json!([{}, {"token": []}]),
    };
    if let Some((kind, schema)) = &route.body {
        let mut content = Map::new();
        content.insert((*kind).to_owned(), json!({"schema": schema}));
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    if let (Some(begin), Some(end)) = (route.path.find('{'), route.path.find('}')) {
        let schema = json!({"type": "string", "minLength": 1});
        let name = &route.path[begin + 1..end];
        operation["parameters"] = json!([{"name": name, "in": "path", "required": true, "schema": schema}]);
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_asked_by_its_own_methods() {
        for (path, due) in [
            ("", Some("GET, HEAD")),
            ("/v1/models/x", Some("GET, HEAD")),
            ("/v1/models", Some("GET, HEAD")),
            ("/captions/door.jpg", Some("GET, HEAD")),
            ("/v1/ask", Some("POST")),
            ("/nothing", None),
            ("/captions/.jpg", None),
        ] {
            assert_eq!(allowed(path), due, "{path}");
        }
    }

    #[test]
    fn every_route_has_an_answer_and_its_failures_and_no_two_have_one_name() {
        let paths = document()["paths"].as_object().unwrap();
        let mut names = Vec::new();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(operation["responses"]["200"]["content"].is_object(), "{method} {path}");
                assert!(operation["responses"]["403"].is_object(), "{method} {path}");
                assert_eq!(method == "post", operation["requestBody"].is_object(), "{method} {path}");
                names.push(operation["operationId"].as_str().unwrap().to_owned());
            }
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        let chat = &paths["/v1/chat/completions"]["post"]["requestBody"]["content"][JSON]["schema"];
        assert!(chat["properties"]["messages"]["items"]["properties"]["role"].is_object(), "{chat}");
        assert!(chat["properties"]["temperature"].is_object(), "what is flattened is there: {chat}");
    }
}
