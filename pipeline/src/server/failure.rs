//! What a client is told when its request comes to nothing, in the form that its kind of client reads.

use hyper::StatusCode;
use nearfield_llm::LlmError;
use nearfield_speech::stt::SttError;
use serde_json::{Value, json};

/// A request that comes to nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The HTTP status.
    pub status: StatusCode,
    /// One sentence: what is wrong, and what would be right.
    pub message: String,
    /// Which part of the request it is about.
    pub param: Option<String>,
    /// A word for programs, such as `model_not_found`.
    pub code: Option<&'static str>,
}

/// Whose form an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"error": {"message", "type", "param", "code"}}`
    OpenAi,
    /// `{"error": "…"}`
    Ollama,
}

impl Form {
    /// The form of a path's clients.
    pub fn of(path: &str) -> Self {
        if path.starts_with("/api/") { Form::Ollama } else { Form::OpenAi }
    }
}

impl Failure {
    /// A failure with a status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// The request is wrong.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A part of the request is wrong.
    pub fn of(param: &str, message: impl std::fmt::Display) -> Self {
        Self { param: Some(param.to_owned()), ..Self::wrong(format!("{param}: {message}")) }
    }

    /// With a word for programs.
    #[must_use]
    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// There is no such model.
    pub fn no_model(asked: &str, there: &[&str]) -> Self {
        let asked: String = asked.chars().take(100).collect();
        let message = format!("the model {asked:?} does not exist here; there is {}", there.join(", "));
        Self { param: Some("model".to_owned()), ..Self::new(StatusCode::NOT_FOUND, message).code("model_not_found") }
    }

    /// Sound that can't be used.
    pub fn wrong_sound(error: nearfield_speech::audio::AudioError) -> Self {
        Self::of("sound", error)
    }

    /// Too much is asked at a time.
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).code("overloaded")
    }

    /// Something in here is broken.
    pub fn broken(error: impl std::fmt::Display) -> Self {
        let message = error.to_string();
        tracing::error!("{message}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// The body of the answer.
    pub fn body(&self, form: Form) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 | 503 => "overloaded_error",
            400..500 => "invalid_request_error",
            _ => "server_error",
        };
        match form {
            Form::Ollama => json!({"error": self.message}),
            Form::OpenAi => json!({"error": {
                "message": self.message, "type": kind, "param": self.param, "code": self.code,
            }}),
        }
    }
}

impl From<LlmError> for Failure {
    fn from(error: LlmError) -> Self {
        match error {
            LlmError::ContextFull { .. } => Failure::wrong(error.to_string()).code("context_length_exceeded"),
            // The template's path is nobody's business.
            LlmError::Template { what, .. } => Failure::of("messages", format!("the model's chat template: {what}")),
            LlmError::Constraint { .. } | LlmError::Input(_) => Failure::wrong(error.to_string()),
            LlmError::NoTemplate { .. } => {
                Failure::wrong("this model continues text and was not trained to answer: use /v1/completions")
            }
            other => Failure::broken(other),
        }
    }
}

impl From<SttError> for Failure {
    fn from(error: SttError) -> Self {
        Failure::broken(error)
    }
}
