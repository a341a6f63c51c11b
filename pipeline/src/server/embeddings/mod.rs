//! Embeddings of texts for whoever asks, one request after the other. A request whose client has left is dropped between two layers; there
//! it also waits while a voice's language model works, in this program or another.

mod routes;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use nearfield_llm::{Embedder, LlmError, LlmOptions, TokenId};
use nearfield_stages::flow::{Turn, Turns, panics};
use nearfield_stages::voice_priority::VoicePriority;
use tokio::sync::Semaphore;

use super::failure::Failure;
use crate::config::EmbeddingsConfig;
use crate::hub::registry::{Kind, Registry};
pub use routes::{LlamaCppBody, OllamaBody, OllamaOneBody, OpenAiBody, is_path, post};

/// Requests that may wait for the model.
const WAITING: usize = 16;
/// The most texts of a request, as with OpenAI.
const MOST_TEXTS: usize = 2048;
/// The most tokens of a request: some minutes of computing on a small board.
const MOST_TOKENS: usize = 300_000;
/// The longest text in bytes: more is more than any model takes.
const MOST_BYTES: usize = 1 << 20;

/// How often it looks whether a voice still works, and so long it waits for one at most between two layers: a reply is over by then.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const MOST_PAUSE: Duration = Duration::from_secs(20);

/// The model, if there is one.
pub struct Embeddings {
    loaded: Option<Loaded>,
    waiting: Arc<Semaphore>,
}

struct Loaded {
    model: Arc<Embedder>,
    /// By what name it is listed, and what else it may be called.
    name: String,
    also: String,
    /// Held while it computes: a second text at a time would only take the cores from the first. Tells whether a voice works.
    turn: Arc<Mutex<Option<VoicePriority>>>,
}

/// A text, or its tokens.
pub enum Input {
    /// Read by the model's own vocabulary.
    Text(String),
    /// As they are.
    Tokens(Vec<TokenId>),
}

/// Vectors of length 1, in the order of the texts.
pub struct Vectors {
    /// One for each text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub tokens: usize,
}

impl Embeddings {
    /// Loads what the configuration names.
    ///
    /// # Errors
    /// The model is not there, broken, or of a kind that is not supported.
    pub fn load(config: &EmbeddingsConfig, registry: &Registry) -> anyhow::Result<Self> {
        let waiting = Arc::new(Semaphore::new(WAITING));
        if config.model.is_empty() {
            return Ok(Self { loaded: None, waiting });
        }
        let file = registry.resolve_as(&config.model, &[Kind::Llm]).context("embeddings.model")?;
        let model = Embedder::open(file.path(), &LlmOptions { threads: config.threads }).context("embeddings.model")?;
        let name = super::name_of(&config.model, registry);
        let (dimensions, pooling) = (model.dimensions(), model.pooling().name());
        tracing::info!(model = name, dimensions, pooling, "loaded for embeddings");
        let turn = Arc::new(Mutex::new(VoicePriority::of(&registry.places().data)));
        Ok(Self { loaded: Some(Loaded { model: Arc::new(model), name, also: config.model.clone(), turn }), waiting })
    }

    /// What it is called, and its numbers: dimensions, context.
    pub fn model(&self) -> Option<(&str, &Embedder)> {
        self.loaded.as_ref().map(|loaded| (loaded.name.as_str(), &*loaded.model))
    }

    /// Whether this is the model; OpenAI's own names mean it too.
    ///
    /// # Errors
    /// It is not, or there is none.
    fn check(&self, asked: Option<&str>) -> Result<&Loaded, Failure> {
        let Some(loaded) = &self.loaded else {
            let message = "no model for embeddings is configured: name a GGUF file in the key embeddings.model, as in --set \
                           embeddings.model=all-minilm-l6-v2.gguf";
            return Err(Failure::new(hyper::StatusCode::NOT_FOUND, message).code("model_not_found"));
        };
        let asked = asked.map(|asked| asked.strip_suffix(":latest").unwrap_or(asked)).unwrap_or_default();
        match asked.is_empty() || asked == loaded.name || asked == loaded.also || asked.starts_with("text-embedding-") {
            true => Ok(loaded),
            false => Err(Failure::no_model(asked, &[&loaded.name])),
        }
    }

    /// The vectors of some texts, cut to `dimensions` numbers. With `cuts`, texts that are too long are cut.
    ///
    /// # Errors
    /// There is no such model, a text can't be taken, or too many requests wait.
    async fn embed(
        &self,
        asked: Option<&str>,
        inputs: Vec<Input>,
        dimensions: Option<usize>,
        cuts: bool,
    ) -> Result<Vectors, Failure> {
        let loaded = self.check(asked)?;
        let width = loaded.model.dimensions();
        if let Some(wanted) = dimensions.filter(|wanted| !(1..=width).contains(wanted)) {
            return Err(Failure::of(
                "dimensions",
                format!("is {wanted} but must be from 1 to {width}, which this model has"),
            ));
        }
        if inputs.len() > MOST_TEXTS {
            return Err(Failure::of("input", format!("has {} texts; at most {MOST_TEXTS} are taken", inputs.len())));
        }
        let place = self.waiting.clone().try_acquire_owned();
        let place = place.map_err(|_| Failure::busy("too many texts wait for the model of embeddings"))?;
        let turns = Turns::default();
        turns.begin();
        let _guard = Silenced(turns.clone());
        let (model, turn) = (loaded.model.clone(), loaded.turn.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _place = place;
            let voices = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let work = || computed(&model, inputs, dimensions, cuts, &turns, voices.as_ref());
            panics::catch("the model of embeddings", work).map_err(Failure::broken)?
        });
        task.await.map_err(Failure::broken)?
    }
}

/// Stops the work when nobody waits for it any more.
struct Silenced(Turns);

impl Drop for Silenced {
    fn drop(&mut self) {
        self.0.silence_all();
    }
}

fn computed(
    model: &Embedder,
    inputs: Vec<Input>,
    dimensions: Option<usize>,
    cuts: bool,
    turns: &Turns,
    voices: Option<&VoicePriority>,
) -> Result<Vectors, Failure> {
    let (most, mut all, mut sum) = (model.context_length(), Vec::with_capacity(inputs.len()), 0);
    for (at, input) in inputs.into_iter().enumerate() {
        let name = format!("input[{at}]");
        let mut tokens = match input {
            Input::Text(text) if text.len() > MOST_BYTES => {
                return Err(Failure::of(&name, format!("has {} bytes; at most {MOST_BYTES} are taken", text.len())));
            }
            Input::Text(text) => model.encode(&text)?,
            Input::Tokens(tokens) => tokens,
        };
        if cuts {
            model.cut(&mut tokens);
        }
        if tokens.is_empty() {
            return Err(Failure::of(&name, "is empty"));
        }
        if tokens.len() > most {
            let message = format!("has {} tokens, and the model takes at most {most}", tokens.len());
            return Err(Failure::of(&name, message).code("context_length_exceeded"));
        }
        sum += tokens.len();
        all.push(tokens);
    }
    if sum > MOST_TOKENS {
        return Err(Failure::of(
            "input",
            format!("has {sum} tokens in all; at most {MOST_TOKENS} are taken at a time"),
        ));
    }
    let cancel = turns.cancel_of(Turn(1));
    let vectors =
        model.embed(&all, &mut || yielding(voices, || cancel.check(), MOST_PAUSE)).map_err(|error| match error {
            LlmError::Input(what) => Failure::of("input", what),
            error => error.into(),
        })?;
    let mut vectors = vectors.ok_or_else(|| Failure::busy("the request was broken off"))?;
    if let Some(n) = dimensions {
        vectors.iter_mut().for_each(|vector| shorten(vector, n));
    }
    Ok(Vectors { vectors, tokens: sum })
}

/// Waits while a voice works, `most` at a time; breaks off as `go_on` does.
fn yielding(voices: Option<&VoicePriority>, go_on: impl Fn() -> ControlFlow<()>, most: Duration) -> ControlFlow<()> {
    let begun = Instant::now();
    while voices.is_some_and(VoicePriority::is_taken) && begun.elapsed() < most {
        go_on()?;
        std::thread::sleep(LOOK_AGAIN);
    }
    go_on()
}

/// Cuts a vector and scales it to length 1 again.
fn shorten(vector: &mut Vec<f32>, n: usize) {
    vector.truncate(n);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter_mut().for_each(|x| *x /= length);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn embeddings_wait_while_a_voice_works_and_break_off_when_their_client_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let (voices, mut voice) =
            (VoicePriority::of(folder.path()).unwrap(), VoicePriority::of(folder.path()).unwrap());
        let looked = Cell::new(0);
        let look = |last: u32, answer: ControlFlow<()>| {
            looked.set(looked.get() + 1);
            if looked.get() >= last { answer } else { ControlFlow::Continue(()) }
        };
        let minute = Duration::from_secs(60);
        assert!(yielding(Some(&voices), || look(9, ControlFlow::Continue(())), minute).is_continue());
        assert_eq!(looked.get(), 1, "nobody works: once");
        voice.hold(true);
        assert!(yielding(Some(&voices), || look(5, ControlFlow::Break(())), minute).is_break());
        assert_eq!(looked.get(), 5, "until the client has left");
        let begun = Instant::now();
        assert!(yielding(Some(&voices), || ControlFlow::Continue(()), 3 * LOOK_AGAIN).is_continue());
        assert!(begun.elapsed() >= 3 * LOOK_AGAIN, "no longer than the most");
        let ended = std::thread::spawn(move || {
            std::thread::sleep(20 * LOOK_AGAIN);
            voice.hold(false);
        });
        let begun = Instant::now();
        assert!(yielding(Some(&voices), || ControlFlow::Continue(()), minute).is_continue());
        assert!((20 * LOOK_AGAIN..minute).contains(&begun.elapsed()), "until the voice has ended");
        ended.join().unwrap();
    }
}
