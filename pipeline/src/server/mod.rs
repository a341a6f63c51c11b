//! `nearfield run`: one process, one copy of the weights, and the clients that people already have. The only home of async: one thread
//! of tokio moves bytes, everything that computes runs on threads of its own and is reached through channels.

mod access;
mod answer;
mod answer_format;
mod answering;
mod ask;
pub(crate) mod batch;
mod closed_schema;
pub(crate) mod control;
mod conversation;
mod embeddings;
mod engine;
mod events;
mod failure;
mod flow_files;
mod golden;
mod home_assistant;
mod hosted;
mod http;
mod llama_cpp;
mod metrics;
mod ollama;
mod one_of;
mod openai;
mod openapi;
mod page;
mod pictures;
mod realtime;
pub(crate) mod reload;
mod request_json;
mod routes;
mod schema_bounds;
mod sessions;
mod sound;
mod speech;
mod supervisor;
mod systemd;
mod tls;
mod wake;
mod wyoming;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crossbeam_channel::Receiver;
use nearfield_llm::Dialect;
use nearfield_llm::SessionOptions;
use nearfield_stages::flow::{Failure as FlowFailure, StopSignal};
use nearfield_stages::voice::notes::Replied;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use crate::cli::{RunArgs, Usage};
use crate::config::flows::FlowConfig;
use crate::config::{Config, ConfigError, RunConfig, ServerConfig};
use crate::hub::registry::Registry;
use crate::load::shared::SharedModels;
use access::Access;
use ask::Home;
use embeddings::Embeddings;
use engine::Engine;
use failure::Failure;
use golden::Golden;
use home_assistant::Assist;
use hosted::{Hosted, Shared};
use metrics::Metrics;
use pictures::PictureReader;
use sessions::Sessions;
use speech::Speech;
use tls::Tls;
use wake::Wake;

/// The context of a session where the configuration leaves it open: the tools of a large home are 4,000 tokens.
const CONTEXT_TOKENS: usize = 8192;
/// Recordings and texts that may wait for the recognizer and the voice.
const SPEAKING: usize = 8;
/// So long the last answers may take to be broken off when the server ends.
const ENDING: Duration = Duration::from_millis(300);

/// What all requests share.
pub struct Server {
    config: ServerConfig,
    access: Access,
    engine: Engine,
    embeddings: Embeddings,
    speech: Speech,
    wake: Wake,
    /// Absent where the model was not trained to answer.
    home: Option<Home>,
    golden: Golden,
    metrics: Arc<Metrics>,
    /// The flows beside it, and what they tell.
    flows: Arc<Mutex<Vec<Hosted>>>,
    shared: Arc<Shared>,
    /// Called when the model's thread panics.
    _on_panic: Arc<dyn Fn(FlowFailure) + Send + Sync>,
    /// By what name the model is listed.
    model: String,
    /// By what others it is known.
    names: Vec<String>,
    /// By what name the recognizer is known, and the language of the voice.
    stt_name: String,
    voice_language: String,
    begun: u64,
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// Recordings and texts that may wait for the recognizer and the voice.
    speaking: Arc<Semaphore>,
    /// Conversations by voice.
    conversing: Arc<Semaphore>,
}

impl Server {
    /// Asks the home.
    ///
    /// # Errors
    /// There is none, or as [`Home::ask`].
    async fn ask_home(&self, text: &str, conversation: &str) -> Result<Replied, Failure> {
        let none = || Failure::wrong("this model was not trained to answer: name an instruct model in llm.model");
        let replied = self.home.as_ref().ok_or_else(none)?.ask(text, conversation).await?;
        self.shared.events.tell_actions("ask", None, &replied.tools);
        Ok(replied)
    }

    /// Whether this is the model.
    ///
    /// # Errors
    /// It is not.
    fn check_model(&self, asked: Option<&str>) -> Result<(), Failure> {
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(()) };
        let asked = asked.strip_suffix(":latest").unwrap_or(asked);
        match asked == self.model || self.names.iter().any(|name| name == asked) {
            true => Ok(()),
            false => Err(Failure::no_model(asked, &[&self.model])),
        }
    }

    /// The flows beside the server.
    fn flows(&self) -> Vec<serde_json::Value> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Hosted::json).collect()
    }

    fn dialect(&self) -> Result<Dialect, Failure> {
        self.engine.dialect()
    }

    /// Answers that are being written, and requests that wait.
    fn load(&self) -> (usize, usize) {
        let running = self.config.sessions - self.running.available_permits();
        let taken = self.config.sessions + self.config.waiting - self.waiting.available_permits();
        (running, taken.saturating_sub(running))
    }
}

/// The server that answers now: one whose language model has panicked is replaced.
pub type Current = Arc<RwLock<Arc<Server>>>;

/// The server that answers now.
fn now(current: &Current) -> Arc<Server> {
    current.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Serves until `stop`. What comes by `hung_up` has the configuration read again.
///
/// # Errors
/// The configuration is wrong, a model can't be loaded, or an address can't be listened on.
pub fn run(args: &RunArgs, stop: &StopSignal, hung_up: Receiver<()>, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut sets = args.config.set.clone();
    sets.extend(args.listen.iter().map(|address| format!("server.listen={address:?}")));
    sets.extend(args.wyoming.iter().map(|address| format!("server.wyoming={address:?}")));
    let file = args.config.config.clone();
    let config = RunConfig::load(file.as_deref(), &sets)?;
    let access = Access::new(&config.server.token_file, &config.server.hosts)?;
    let http = address("server.listen", &config.server.listen)?;
    let mut inherited = systemd::Sockets::inherited();
    let given = inherited.next("server.listen")?;
    let http = given.as_ref().map_or(Ok(http), std::net::TcpListener::local_addr)?;
    access.check_listen("server.listen", &http).map_err(|error| Usage(error.to_string()))?;
    let tls = Tls::new(&config.server).map_err(|error| Usage(format!("{error:#}")))?;
    let registry = Registry::open()?;
    // A taken port is told before models are loaded.
    let listener = match given {
        Some(listener) => listener,
        None => std::net::TcpListener::bind(http).with_context(|| format!("server.listen: {http}"))?,
    };
    let wyoming = wyoming_listener(&config.server, &mut inherited)?;
    let flows =
        config.flows().map_err(|reason| ConfigError::Wrong { place: "the configuration".to_owned(), reason })?;
    flow_files::check(&config, file.as_deref(), &flows, &registry)?;
    let (models, events) = (SharedModels::default(), events::Events::default());
    let data = registry.places().data.clone();
    let shared = Arc::new(Shared { registry, models, events, timers: Mutex::default() });
    let (panicked, replace) = crossbeam_channel::bounded::<()>(1);
    let (flows_now, metrics) = (Arc::default(), Arc::default());
    let base = Base { config, file, sets, http, access, shared: shared.clone(), flows: flows_now, metrics, panicked };
    let server = Arc::new(load(&base)?);
    let loaded: Vec<_> =
        flows.into_iter().map(|flow| Ok((hosted::load(&flow, &shared)?, flow))).collect::<anyhow::Result<_>>()?;
    if args.check {
        return say_what_there_is(&server, loaded.iter().map(|(_, flow)| flow), out);
    }
    let address = listener.local_addr()?;
    let place = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    writeln!(out, "Listening on {place} (OpenAI: /v1, Ollama: /api). Ctrl-C ends.")?;
    if let Some(wyoming) = &wyoming {
        writeln!(out, "Listening on tcp://{} (Wyoming).", wyoming.local_addr()?)?;
        wyoming.set_nonblocking(true)?;
    }
    for (loaded, flow) in loaded {
        writeln!(out, "Running {} ({}).", flow.name, flow.work.kind())?;
        let started = Hosted::start(flow, loaded, shared.clone())?;
        base.flows.lock().unwrap_or_else(PoisonError::into_inner).push(started);
    }
    out.flush()?;
    let current: Current = Arc::new(RwLock::new(server));
    listener.set_nonblocking(true)?;
    let control = match control::Socket::open(&data) {
        Ok(control) => Some(control),
        Err(error) => {
            tracing::warn!("`nearfield ps`, `reload` and `stop` can't reach this process: {error:#}");
            None
        }
    };
    let (orders, ordered) = crossbeam_channel::bounded(1);
    let (begun, file) = (Instant::now(), base.file.clone());
    let about = control::About {
        current: current.clone(),
        orders,
        address: address.to_string(),
        url: place.clone(),
        file,
        begun,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        tokio::spawn(http::serve(TcpListener::from_std(listener)?, tls, current.clone()));
        tokio::spawn(systemd::watchdog());
        systemd::ready(&format!("Listening on {place}"));
        if let Some(wyoming) = wyoming {
            tokio::spawn(wyoming::serve(TcpListener::from_std(wyoming)?, current.clone()));
        }
        if let Some(control) = &control {
            tokio::spawn(control::serve(UnixListener::from_std(control.listener()?)?, about.clone()));
        }
        let calls = supervisor::Calls { panicked: replace, hung_up, ordered };
        let (stop, flows) = (stop.clone(), base.flows.clone());
        let until_the_end = move || {
            supervisor::run(base, &current, &calls, &stop);
            systemd::stopping();
            Hosted::end(&mut flows.lock().unwrap_or_else(PoisonError::into_inner), hosted::ENDING);
        };
        let _ = tokio::task::spawn_blocking(until_the_end).await;
        anyhow::Ok(())
    })?;
    let timers = shared.timers.lock().unwrap_or_else(PoisonError::into_inner);
    if timers.iter().any(|(_, timers)| timers.would_be_lost()) {
        tracing::warn!(
            "a timer was still running and is forgotten; `home.timers` names a file in which timers survive a restart"
        );
    }
    drop(timers);
    drop(about);
    runtime.shutdown_timeout(ENDING);
    Ok(())
}

/// What `--check` prints.
fn say_what_there_is<'a>(
    server: &Server,
    flows: impl Iterator<Item = &'a FlowConfig>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let info = server.engine.llm().llm().info();
    let tokens = server.engine.context_tokens();
    let (architecture, quantization) = (&info.architecture, info.type_name());
    writeln!(out, "llm: {} ({architecture}, {quantization}), {tokens} tokens of context", server.model)?;
    let (hears, speaks) = server.speech.has();
    if let Some((name, model)) = server.embeddings.model() {
        let (dimensions, pooling) = (model.dimensions(), model.pooling().name());
        writeln!(out, "embeddings: {name}, {dimensions} dimensions, {pooling} pooling")?;
    }
    writeln!(out, "stt: {}", if hears { &server.stt_name } else { "none" })?;
    writeln!(out, "tts: {}", if speaks { &server.speech.voice.0 } else { "none" })?;
    for flow in flows {
        writeln!(out, "{}: {}", flow.work.kind(), flow.name)?;
    }
    Ok(out.flush()?)
}

fn address(key: &str, text: &str) -> anyhow::Result<SocketAddr> {
    let text = text.replace("localhost:", "127.0.0.1:");
    let wrong = || Usage(format!("{key} is {text:?} but must be an address and a port, as in 127.0.0.1:8642"));
    Ok(text.parse().map_err(|_| wrong())?)
}

/// Where Wyoming listens.
fn wyoming_listener(
    config: &ServerConfig,
    inherited: &mut systemd::Sockets,
) -> anyhow::Result<Option<std::net::TcpListener>> {
    let given = inherited.next("server.wyoming")?;
    if config.wyoming.is_empty() && given.is_none() {
        return Ok(None);
    }
    let at = match &given {
        Some(listener) => listener.local_addr()?,
        None => address("server.wyoming", &config.wyoming)?,
    };
    if !at.ip().is_loopback() && !config.wyoming_open {
        return Err(Usage(format!(
            "server.wyoming is {at}, which other machines can reach, and Wyoming has no tokens: set server.wyoming_open=true if your \
             network may use the home and the models, or listen on 127.0.0.1"
        ))
        .into());
    }
    match given {
        Some(listener) => Ok(Some(listener)),
        None => Ok(Some(std::net::TcpListener::bind(at).with_context(|| format!("server.wyoming: {at}"))?)),
    }
}

/// By what name a model is called: its name in the list, or that of its file.
fn name_of(named: &str, registry: &Registry) -> String {
    let listed = registry.models().iter().find(|model| model.is_named(named)).map(|model| model.name.clone());
    let stem = || Path::new(named).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    listed.or_else(stem).unwrap_or_default()
}

/// What a server is made of, and those that take its place.
#[derive(Clone)]
pub struct Base {
    config: RunConfig,
    /// Where the configuration stands, and what is set over it.
    file: Option<PathBuf>,
    sets: Vec<String>,
    /// Where it listens.
    http: SocketAddr,
    access: Access,
    shared: Arc<Shared>,
    flows: Arc<Mutex<Vec<Hosted>>>,
    metrics: Arc<Metrics>,
    /// Gets a message when a model's thread has panicked.
    panicked: crossbeam_channel::Sender<()>,
}

/// Loads what the configuration names.
fn load(base: &Base) -> anyhow::Result<Server> {
    let Base { config, access, shared, flows, metrics, panicked, .. } = base;
    let (registry, panicked) = (&shared.registry, panicked.clone());
    let on_panic: Arc<dyn Fn(FlowFailure) + Send + Sync> = Arc::new(move |_| {
        let _ = panicked.try_send(());
    });
    let voice = config.voice();
    let thread = shared.models.llm(&config.llm, registry)?.join_with(&on_panic);
    let llm = thread.llm().clone();
    let is_listed = registry.models().iter().find(|model| model.is_named(&config.llm.model));
    let model = name_of(&config.llm.model, registry);
    if model.is_empty() {
        bail!("llm.model {:?} has no name that clients could call it by", config.llm.model);
    }
    let mut names: Vec<String> = is_listed.map(|model| model.aliases.clone()).unwrap_or_default();
    names.push(config.llm.model.clone());
    names.extend(config.server.aliases.iter().cloned());
    let context_tokens = match config.llm.context_tokens {
        0 => llm.info().context_length.min(CONTEXT_TOKENS),
        set => set,
    };
    let speech = Speech::load(voice.clone(), shared.clone())?;
    let embeddings = Embeddings::load(&config.embeddings, registry)?;
    let wake = Wake::load(&config.server.wake, config.server.wake_threshold, registry)?;
    let options = SessionOptions { context_tokens, cache: config.llm.cache };
    let golden = Golden::new(thread.clone())?;
    let home = match thread.llm().template() {
        Ok(_) => Some(Home::start(&voice, shared, thread.clone())?),
        Err(error) => {
            tracing::warn!("{error}");
            None
        }
    };
    let sessions = Sessions::new(thread.clone(), options, config.server.sessions);
    let most_tokens = Some(config.llm.max_tokens).filter(|most| *most > 0);
    let most_time = Duration::from_secs(config.server.most_seconds);
    let tower = crate::load::projector::load(&config.llm, registry, &llm)?;
    let engine = Engine::new(thread, sessions, config.llm.chat_options(), config.llm.sampler, most_tokens, most_time)
        .with_assist(Assist::load(&config.home)?)
        .ending_loops(config.server.end_loops)
        .with_picture_reader(tower.map(PictureReader::new));
    tracing::info!(model, context_tokens, sessions = config.server.sessions, "loaded");
    // "en-us" and "en_US-lessac-medium" begin with the language; a voice without a name is English.
    let language = speech.voice.0.split_whitespace().last().unwrap_or_default().get(..2).unwrap_or("en").to_owned();
    Ok(Server {
        access: access.clone(),
        flows: flows.clone(),
        shared: shared.clone(),
        _on_panic: on_panic,
        engine,
        embeddings,
        speech,
        wake,
        home,
        golden,
        stt_name: name_of(&config.stt.model, registry),
        voice_language: language,
        speaking: Arc::new(Semaphore::new(SPEAKING)),
        conversing: Arc::new(Semaphore::new(config.server.realtime)),
        metrics: metrics.clone(),
        model,
        names,
        begun: openai::now(),
        running: Arc::new(Semaphore::new(config.server.sessions)),
        waiting: Arc::new(Semaphore::new(config.server.sessions + config.server.waiting)),
        config: config.server.clone(),
    })
}
