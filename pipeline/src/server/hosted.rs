//! The flows that run beside the server, each on a thread of its own, over the models of the process. One that fails is started again
//! alone, after a pause that grows; the others do not notice.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use nearfield_base::persist::Existing;
use nearfield_base::redact::redacted;
use nearfield_stages::caption::pictures::SourceEvent;
use nearfield_stages::flow::{Health, StopSignal, is_stopped, panics};
use nearfield_stages::reconnect::{Attempts, ReconnectPolicy};
use nearfield_stages::report::read_text::TextSource;
use nearfield_stages::voice::capture::{Pace, Source};
use nearfield_stages::voice::microphone::check_microphone;
use nearfield_stages::voice::play::Play;
use nearfield_stages::voice::tools::{KeptError, Rings, SharedTimers};
use serde_json::{Value, json};

use super::events::Events;
use crate::cli::Usage;
use crate::commands::report::{Format, Output};
use crate::config::VoiceConfig;
use crate::config::caption::CaptionConfig;
use crate::config::flows::{FlowConfig, FlowWork};
use crate::config::report::ReportConfig;
use crate::flows::caption::{self, CaptionEvent};
use crate::flows::report::{self, ReportEvent};
use crate::flows::voice::{self, Questions};
use crate::hub::registry::Registry;
use crate::load::caption::{Captioner, open_input};
use crate::load::report::{ReadingsFrom, load_llm};
use crate::load::shared::{FlowLlm, SharedModels};
use crate::load::voice::Assistant;
use crate::output::captions;
use crate::output::terminal::chain;
use crate::output::{report_page, report_pages};
use crate::recordings::recordings;

/// When a flow that has failed is started again.
const RESTARTS: ReconnectPolicy = ReconnectPolicy {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    stable_after: Duration::from_secs(300),
};
/// So long all flows together may take to end with the process.
pub const ENDING: Duration = Duration::from_millis(1700);
/// A flow that has run for so long since it was started again has got over what ended it.
const RECOVERED: Duration = Duration::from_secs(60);
/// How often an end is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the flows of a process share.
pub struct Shared {
    /// The models on disk.
    pub registry: Registry,
    /// Those that are loaded.
    pub models: SharedModels,
    /// What the flows tell.
    pub events: Events,
    /// Timers by the file that they are kept in; an empty name is no file.
    pub timers: Mutex<Vec<(PathBuf, SharedTimers)>>,
}

impl Shared {
    /// The timers of the process that are kept in this file, or in none.
    ///
    /// # Errors
    /// The file can't be read, or holds something else.
    pub fn timers(&self, file: &Path) -> Result<SharedTimers, KeptError> {
        let mut all = self.timers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, timers)) = all.iter().find(|(known, _)| known == file) {
            return Ok(timers.clone());
        }
        let timers = match file.as_os_str().is_empty() {
            true => SharedTimers::default(),
            false => SharedTimers::open(file)?,
        };
        all.push((file.to_owned(), timers.clone()));
        Ok(timers)
    }
}

/// What is known of a flow.
#[derive(Clone, Debug)]
struct State {
    phase: &'static str,
    restarts: u64,
    outputs: u64,
    last_output: Option<Instant>,
    /// Why it was started again, until it works.
    error: Option<String>,
    /// What fails in it, while it goes on.
    health: Health,
    since: Instant,
}

impl State {
    /// What is wrong with it now. That it had to be started again is forgotten when it has given something, or has run for a while.
    fn error_now(&self) -> Option<String> {
        let recovered = self.phase == "running" && self.since.elapsed() >= RECOVERED;
        self.health.error().or_else(|| self.error.clone().filter(|_| !recovered))
    }
}

/// A flow beside the server; it ends when this is dropped.
pub struct Hosted {
    /// What it was started with.
    pub config: FlowConfig,
    state: Arc<Mutex<State>>,
    /// Dropped when the flow is to end.
    stop: Option<Sender<Infallible>>,
    thread: JoinHandle<()>,
}

/// The models of a flow, loaded.
pub enum Loaded {
    /// Of a voice.
    Voice(Box<Assistant>),
    /// Of captions.
    Caption(Box<Captioner>),
    /// Of reports.
    Report(Option<FlowLlm>),
}

/// Loads a flow's models.
///
/// # Errors
/// Whatever is missing or broken, with the flow's name.
pub fn load(flow: &FlowConfig, shared: &Shared) -> anyhow::Result<Loaded> {
    let Shared { registry, models, .. } = shared;
    let loaded = match &flow.work {
        FlowWork::Voice { config, .. } => {
            let rings = Rings::Own(flow.name.clone());
            let timers = shared.timers(&config.home.timers).map_err(anyhow::Error::from);
            Assistant::load_with(config, registry, true, Some(models)).and_then(|mut assistant| {
                assistant.toolbox = assistant.toolbox.with_timers(timers?, rings);
                Ok(Loaded::Voice(Box::new(assistant)))
            })
        }
        FlowWork::Caption { config, .. } => {
            Captioner::load_models(config, registry, Some(models)).map(|it| Loaded::Caption(Box::new(it)))
        }
        FlowWork::Report { config, output, input } => {
            readings_from(input)?;
            if !output.as_os_str().is_empty() {
                Format::of(output)?;
            }
            load_llm(config, registry, Some(models)).map(Loaded::Report)
        }
    };
    loaded.with_context(|| format!("the flow {}", flow.name))
}

impl Hosted {
    /// Starts a flow over what has been loaded for it.
    ///
    /// # Errors
    /// The system can't start a thread.
    pub fn start(flow: FlowConfig, loaded: Loaded, shared: Arc<Shared>) -> anyhow::Result<Self> {
        let (stop, stopped) = bounded(0);
        let (restarts, outputs, since, health) = (0, 0, Instant::now(), Health::default());
        let begun = State { phase: "running", restarts, outputs, last_output: None, error: None, health, since };
        let state = Arc::new(Mutex::new(begun));
        let (config, told) = (flow.clone(), state.clone());
        let thread = std::thread::Builder::new().name(flow.name.clone()).spawn(move || {
            let _flow = tracing::error_span!("flow", name = flow.name.as_str()).entered();
            Supervised { flow, shared, state: told }.run(loaded, &stopped);
        })?;
        Ok(Self { config, state, stop: Some(stop), thread })
    }

    /// What there is to know of it.
    pub fn json(&self) -> Value {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        json!({
            "name": self.config.name, "kind": self.config.work.kind(), "state": state.phase, "seconds": state.since.elapsed().as_secs(),
            "restarts": state.restarts, "outputs": state.outputs, "error": state.error_now(),
            "last_output_s": state.last_output.map(|at| at.elapsed().as_secs()),
        })
    }

    /// Ends flows, all at once, and waits for them, but not for longer than `most`; answers whether all have ended.
    pub fn end(flows: &mut [Hosted], most: Duration) -> bool {
        flows.iter_mut().for_each(|flow| flow.stop = None);
        let begun = Instant::now();
        let all_have = |flows: &[Hosted]| flows.iter().all(|flow| flow.thread.is_finished());
        while begun.elapsed() < most && !all_have(flows) {
            std::thread::sleep(LOOK_AGAIN);
        }
        all_have(flows)
    }
}

/// A flow on its thread.
struct Supervised {
    flow: FlowConfig,
    shared: Arc<Shared>,
    state: Arc<Mutex<State>>,
}

impl Supervised {
    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn health(&self) -> Health {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).health.clone()
    }

    fn phase(&self, phase: &'static str) {
        self.note(|state| (state.phase, state.since) = (phase, Instant::now()));
        self.shared.events.tell(&self.flow.name, "flow", json!({"state": phase}));
    }

    /// Until it is at its end, or `stop`.
    fn run(&self, loaded: Loaded, stop: &StopSignal) {
        let mut attempts = Attempts::new(RESTARTS);
        let mut loaded = Some(loaded);
        loop {
            self.phase("running");
            let begun = Instant::now();
            self.health().clear();
            let once = || {
                let models = loaded.take().map_or_else(|| load(&self.flow, &self.shared), Ok)?;
                self.run_once(models, stop)
            };
            let ran = panics::catch(&self.flow.name, once).map_err(anyhow::Error::from).flatten();
            match ran {
                Ok(()) => return self.phase("ended"),
                Err(_) if is_stopped(stop) => return self.phase("ended"),
                Err(error) => {
                    let reason = chain(&error);
                    let next = attempts.lost(begun.elapsed(), &reason);
                    if let Some(message) = next.message {
                        tracing::error!("{message}");
                    }
                    self.note(|state| (state.restarts, state.error) = (state.restarts + 1, Some(reason)));
                    self.phase("waiting");
                    if stop.recv_timeout(next.retry_in) == Err(RecvTimeoutError::Disconnected) {
                        return self.phase("ended");
                    }
                }
            }
        }
    }

    fn run_once(&self, loaded: Loaded, stop: &StopSignal) -> anyhow::Result<()> {
        match (&self.flow.work, loaded) {
            (FlowWork::Voice { input, output, config }, Loaded::Voice(assistant)) => {
                self.voice(*assistant, config, input, output, stop)
            }
            (FlowWork::Caption { input, events, snapshots, config }, Loaded::Caption(captioner)) => {
                self.caption(*captioner, config, input, (events, snapshots), stop)
            }
            (FlowWork::Report { input, output, config }, Loaded::Report(llm)) => {
                self.report(llm, config, input, output, stop)
            }
            _ => unreachable!("what was loaded is of the flow's own kind"),
        }
    }

    fn tell(&self, kind: &'static str, body: Value) {
        self.note(|state| {
            (state.outputs, state.last_output, state.error) = (state.outputs + 1, Some(Instant::now()), None);
        });
        self.shared.events.tell(&self.flow.name, kind, body);
    }

    fn voice(
        &self,
        assistant: Assistant,
        config: &VoiceConfig,
        input: &str,
        output: &str,
        stop: &StopSignal,
    ) -> anyhow::Result<()> {
        let source = match input {
            "mic" => {
                let device = Some(config.listen.device.clone()).filter(|device| !device.is_empty());
                check_microphone(device.as_deref())?;
                Source::Microphone(device)
            }
            path => Source::Files(recordings(Path::new(path))?, Pace::Realtime),
        };
        let outlet = crate::commands::outlet(output, Existing::Replace, &config.play.device)?;
        Play::check(&outlet)?;
        voice::run(assistant, config, Questions::Spoken(source), &outlet, stop, &mut |turn| {
            for error in &turn.errors {
                tracing::error!("turn {}: {error}", turn.turn);
            }
            self.shared.events.tell_actions(&self.flow.name, Some(turn.turn), &turn.replied.tools);
            self.tell("turn", turn.json());
            Ok(ControlFlow::Continue(()))
        })
    }

    fn caption(
        &self,
        mut captioner: Captioner,
        config: &CaptionConfig,
        input: &str,
        (events, snapshots): (&Path, &Path),
        stop: &StopSignal,
    ) -> anyhow::Result<()> {
        let named = |path: &Path| !path.as_os_str().is_empty();
        let camera = &config.source.camera;
        let mut events = named(events).then(|| captions::Events::open(events, false)).transpose()?;
        let snapshots = named(snapshots).then(|| captions::Snapshots::open(snapshots)).transpose()?;
        captioner.deliver_as(&self.flow.object(), config, &self.shared.registry)?;
        let input = open_input(input, true, config)?;
        let (mut source, health) = (captions::SourceLog::default(), self.health());
        let ran = caption::run(captioner, config, input, None, stop, &mut |event| {
            match event {
                CaptionEvent::Captioned(done) => {
                    let c = &done.captioned;
                    self.shared.events.picture(&self.flow.name, c.view.picture.clone());
                    let is_news = c.changed || !c.alerts.is_empty();
                    let snapshot = match &snapshots {
                        Some(snapshots) if is_news => Some(snapshots.write(&done, camera)?),
                        _ => None,
                    };
                    if let Some(events) = &mut events {
                        events.of(&done, camera, snapshot.as_deref())?;
                    }
                    if is_news {
                        let kind = if c.alerts.is_empty() { "caption" } else { "alert" };
                        self.tell(kind, captions::json_of(done.turn, c, camera));
                    }
                }
                CaptionEvent::News { time, news } => {
                    if let Some(events) = &mut events {
                        events.news(&news, camera, time)?;
                    }
                    for (kind, mut body) in news.iter().filter_map(|news| captions::news_json(news, camera)) {
                        // `id` is the number of the message there.
                        if let Some(id) = body.get("id").cloned() {
                            body["event_id"] = id;
                        }
                        self.tell(kind, body);
                    }
                }
                CaptionEvent::Failed { reason, .. } => tracing::warn!("{reason}"),
                CaptionEvent::Source(event) => {
                    match &event {
                        SourceEvent::Disconnected { reason, .. } => health.fails("source", reason.clone()),
                        SourceEvent::Reconnected => health.works("source"),
                    }
                    let (kind, body) = source.log(event);
                    if let Some(events) = &mut events {
                        events.write(camera, SystemTime::now(), kind, &body)?;
                    }
                    self.shared.events.tell(&self.flow.name, kind, body);
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        if let Some(events) = events {
            events.end()?;
        }
        ran
    }

    fn report(
        &self,
        llm: Option<FlowLlm>,
        config: &ReportConfig,
        input: &str,
        output: &Path,
        stop: &StopSignal,
    ) -> anyhow::Result<()> {
        let (name, registry) = (&self.flow.name, &self.shared.registry);
        let mut config = config.clone();
        config.store.file = store_of_flow(name, &config, registry);
        let zone = config.zone().map_err(anyhow::Error::msg)?;
        let mut output = match output.as_os_str().is_empty() {
            true => None,
            false => Some(Output::open(output, Format::of(output)?, false)?),
        };
        if let Some(output) = &mut output {
            output.resume()?;
        }
        let object = self.flow.object();
        let page = Arc::<Mutex<report_page::Page>>::default();
        let health = self.health();
        report::run(&config, registry, llm, readings_from(input)?, stop, (&object, &health), &mut |event| {
            if let ReportEvent::Done(report, _) = event {
                if let Some(output) = &mut output {
                    output.add(report, &zone)?;
                }
                page.lock().unwrap_or_else(PoisonError::into_inner).add(report, &zone);
                self.shared.events.new_page(name, page.clone());
                self.tell("report", report_pages::json(report, &zone));
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Where a flow keeps its readings; "none": nowhere.
pub fn store_of_flow(name: &str, config: &ReportConfig, registry: &Registry) -> PathBuf {
    match config.store.file.as_os_str().is_empty() {
        true => registry.places().data.join(format!("{name}.sqlite")),
        false => config.store.file.clone(),
    }
}

/// Where a service has its readings from: a broker, or a file that grows.
fn readings_from(input: &str) -> anyhow::Result<ReadingsFrom> {
    if let Some(broker) = ReadingsFrom::broker("input", input)? {
        return Ok(broker);
    }
    match input {
        url if url.contains("://") => {
            let url = redacted(url);
            Err(Usage(format!("input {url}: name a file, or a broker as in mqtt://host/topic/#")).into())
        }
        path => Ok(ReadingsFrom::Text(TextSource::Follow(path.into()))),
    }
}
