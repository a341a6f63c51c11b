//! What can go wrong with a language model, by what the caller can do about it.

use std::path::PathBuf;

use nearfield_gguf::{Gguf, GgufError};

/// An error of the language model.
#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// The file cannot be opened or mapped.
    #[error("{path}: cannot be read: {cause}")]
    Read {
        /// The model file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The GGUF file cannot be read, is broken, or says what makes no sense.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// There is no memory for the weights.
    #[error(
        "{path}: no memory for {bytes} bytes of weights ({cause}); take a smaller model, or one with fewer bits a weight"
    )]
    Memory {
        /// The model file.
        path: PathBuf,
        /// How much was asked for.
        bytes: usize,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A tensor is missing, or has another shape or type than the model needs.
    #[error("{path}: tensor {tensor}: {what}")]
    Tensor {
        /// The model file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What was expected and what was found.
        what: String,
    },
    /// A projector and a language model do not belong together.
    #[error(
        "{path}: this projector does not fit the language model {model}: {what}; take the mmproj file that comes with the model"
    )]
    Projector {
        /// The projector file.
        path: PathBuf,
        /// The language model's name.
        model: String,
        /// Why not.
        what: String,
    },
    /// The model belongs to a family that has no code here.
    #[error("{path}: architecture {found:?} is not supported; supported are: {}", supported.join(", "))]
    Architecture {
        /// The model file.
        path: PathBuf,
        /// What the file says.
        found: String,
        /// What would have been accepted.
        supported: Vec<&'static str>,
    },
    /// The file has no vocabulary, so text can go neither in nor out.
    #[error("{path}: carries no vocabulary (tokenizer.ggml.tokens): it can be measured, but not talked to")]
    NoVocabulary {
        /// The model file.
        path: PathBuf,
    },
    /// The file has no chat template: its model continues text, and was not trained to answer.
    #[error(
        "{path}: carries no chat template, so it continues text but was not trained to answer; take the model's instruct version \
         (often named -it, -instruct or -chat)"
    )]
    NoTemplate {
        /// The model file.
        path: PathBuf,
    },
    /// The chat template failed, or refused the messages.
    #[error("{path}: chat template: {what}")]
    Template {
        /// The model file.
        path: PathBuf,
        /// What the template engine, or the template itself, said.
        what: String,
    },
    /// More tokens than the session has room for.
    #[error(
        "the context is full: {needed} tokens are needed and {capacity} fit; raise the context size or shorten the prompt"
    )]
    ContextFull {
        /// Tokens that the session would hold.
        needed: usize,
        /// Tokens that fit.
        capacity: usize,
    },
    /// A session of that size cannot be made.
    #[error("a context of {context_tokens} tokens cannot be had: {what}")]
    Context {
        /// What was asked for.
        context_tokens: usize,
        /// Why not.
        what: String,
    },
    /// A session's file cannot be written.
    #[error("{path}: cannot be written: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A session's file is damaged, or does not fit; a new one can take its place.
    #[error("{path}: the saved session cannot be used: {what}")]
    Session {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// The file that was named for a session is something else, and is not to be overwritten.
    #[error("{path}: is not a saved session; name a file of its own for it")]
    NotSession {
        /// The file.
        path: PathBuf,
    },
    /// A schema, grammar or expression that cannot be followed.
    #[error("the {kind} for the model's output cannot be used: {what}")]
    Constraint {
        /// Which of the three.
        kind: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The thread that runs the model has panicked: nothing more comes from it.
    #[error("the language model can't be used any more: {what}")]
    Crashed {
        /// The panic, as an error says it.
        what: String,
    },
    /// The input makes no sense to the model.
    #[error("{0}")]
    Input(String),
    /// The environment asks for a kernel set that is not here.
    #[error(transparent)]
    Level(#[from] nearfield_kernels::UnknownLevel),
}

impl LlmError {
    /// A key of the file's metadata is missing or makes no sense.
    pub(crate) fn metadata(gguf: &Gguf, key: &str, what: impl Into<String>) -> LlmError {
        gguf.bad(key, what).into()
    }
}
