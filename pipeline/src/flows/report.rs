//! Reports on sensor readings: which stages there are, in what order, with which queues between them. The only place that knows.
//!
//! ```text
//! source ─Batch─► keep ─Batch─► gather ─WindowSummary─► schedule ─WindowSummary─► word ─ReportPart─► reporter ─Delivery─► publish
//!    ▲ receipts   │ (store)                                                       ▲ │
//!    └────────────┘                                                         Event │ ▼ Job
//!                                                                                 llm
//! ```

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{bounded, never, select};
use nearfield_llm::{GenerateOptions, Llm, LlmOptions, SessionOptions};
use nearfield_stages::flow::{FlowContext, drive, spawn};
use nearfield_stages::flow::{Ledger, StageTimes};
use nearfield_stages::flow::{Turn, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Envelope, Report, ReportPart, Sentence};
use nearfield_stages::mqtt::{ConnectOptions, MqttUrl};
use nearfield_stages::outlets::home_assistant::{HomeAssistant, HomeAssistantOptions};
use nearfield_stages::outlets::webhook::{TokenSource, Webhook};
use nearfield_stages::outlets::{Delivery, Mailbox, Outlet, Publish};
use nearfield_stages::report::keep::{Keep, note_reported};
use nearfield_stages::report::read_mqtt::MqttSource;
use nearfield_stages::report::read_text::TextSource;
use nearfield_stages::report::schedule::Scheduler;
use nearfield_stages::report::sensors::SensorRegistry;
use nearfield_stages::report::store::Store;
use nearfield_stages::report::windower::{AtEnd, Windower, now};
use nearfield_stages::report::word::{ModelWriter, Word, WordOptions, Writer};
use nearfield_stages::voice::capture::StopSignal;
use nearfield_stages::voice_priority::VoicePriority;
use nearfield_telemetry::Moment;
use nearfield_telemetry::clock::{CLOCK_IS_SET, ClockOptions, Clocks};
use nearfield_telemetry::windows::WindowsOptions;
use std::ops::ControlFlow;

use crate::config::report::ReportConfig;
use crate::config::{ConfigError, MqttConfig, OutletConfig};
use crate::flows::ending::{Due, Ending};
use crate::hub::registry::{Kind, Registry};
use crate::installation::{ClientId, Installation};
use crate::output::report_pages;
use crate::output::terminal::chain;
use crate::prompts;

/// A password or token is at most this long.
const MAX_SECRET_BYTES: u64 = 4096;

/// Where readings come from.
#[derive(Clone, Debug)]
pub enum ReadingsFrom {
    /// A file or standard input.
    Text(TextSource),
    /// A broker.
    Mqtt(MqttUrl),
}

impl ReadingsFrom {
    /// Whether readings come as they are taken.
    fn is_live(&self) -> bool {
        matches!(self, ReadingsFrom::Mqtt(_) | ReadingsFrom::Text(TextSource::Follow(_)))
    }
}

/// What whoever runs a flow of reports hears of it.
pub enum Heard<'a> {
    /// A report begins: its window in words.
    Title(&'a str),
    /// A sentence of the report to come is certain.
    Sentence(Turn, &'a Sentence),
    /// A report is finished; where its time went.
    Done(&'a Report, &'a [StageTimes]),
}

/// The language model that `config` names; `None` when it names none.
///
/// # Errors
/// If it is unknown, not there, or broken.
pub fn load_llm(config: &ReportConfig, registry: &Registry) -> anyhow::Result<Option<Arc<Llm>>> {
    if config.llm.model == "none" {
        return Ok(None);
    }
    let model = registry.resolve_as(&config.llm.model, &[Kind::Llm]).context("llm.model")?;
    let llm = Llm::open(model.path(), &LlmOptions { threads: config.llm.threads })?;
    llm.tokenizer()?;
    Ok(Some(llm))
}

/// Tokens of context where the configuration leaves them open: the system text, the largest table and a report.
const DEFAULT_CONTEXT_TOKENS: usize = 1024;
/// The longest report where the configuration leaves it open.
const MAX_REPORT_TOKENS: usize = 200;

/// The most tokens of a report.
pub fn max_report_tokens(config: &ReportConfig) -> usize {
    let wanted = config.llm.max_tokens_or(MAX_REPORT_TOKENS);
    if config.llm.context_tokens == 0 { wanted } else { wanted.min(config.llm.context_tokens / 2) }
}

/// How the model is prompted.
pub fn word_options(config: &ReportConfig, registry: &Registry) -> WordOptions {
    let form = registry.resolve(&config.llm.model).map(|model| model.prompt).unwrap_or_default();
    let context_tokens = match config.llm.context_tokens {
        0 => DEFAULT_CONTEXT_TOKENS.max(max_report_tokens(config) * 2),
        set => set,
    };
    WordOptions {
        system: prompts::report_system(&config.prompt.system, &form),
        session: SessionOptions { context_tokens, cache: config.llm.cache },
        sampler: config.llm.sampler,
        max_tokens: max_report_tokens(config),
        lookahead: GenerateOptions::default().lookahead,
    }
}

/// How windows are made. Where readings come live, `window.lateness_s` holds; a file is sorted as far as the room for waiting
/// readings allows.
pub fn windows_options(config: &ReportConfig, live: bool) -> Result<WindowsOptions, ConfigError> {
    let wrong = |reason: String| ConfigError::Wrong { place: "the configuration".to_owned(), reason };
    Ok(WindowsOptions {
        plan: config.plan().map_err(wrong)?,
        lateness_seconds: live.then_some(config.window.lateness_s),
        waiting: config.window.waiting,
        clock_jump_seconds: config.window.clock_jump.seconds(),
        latest: (now() >= CLOCK_IS_SET).then(|| now().plus_seconds(86_400.0)),
        distinct: false,
        rereads: false,
        anomalies: config.anomalies,
    })
}

fn secret(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = nearfield_base::files::open(path).with_context(|| format!("{} can't be read", path.display()))?;
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).with_context(|| path.display().to_string())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn connect_options(config: &MqttConfig, url: MqttUrl, client_id: String, keep: bool) -> anyhow::Result<ConnectOptions> {
    let file = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
    let login = match config.user.as_str() {
        "" => None,
        user => {
            let password = file(&config.password_file).map(|p| secret(&p)).transpose().context("mqtt.password_file")?;
            Some((user.to_owned(), password.unwrap_or_default()))
        }
    };
    Ok(ConnectOptions {
        url,
        version: config.version,
        client_id,
        login,
        ca_file: file(&config.ca_file),
        keep_session: keep,
        keep_alive: Duration::from_secs(config.keep_alive_s),
    })
}

/// Where the store is; `None` when there is to be none.
pub(crate) fn store_path(config: &ReportConfig, registry: &Registry, from: &ReadingsFrom) -> Option<PathBuf> {
    let file = &config.store.file;
    match from {
        _ if file == Path::new("none") => None,
        _ if !file.as_os_str().is_empty() => Some(file.clone()),
        ReadingsFrom::Text(_) => None,
        ReadingsFrom::Mqtt(_) => Some(registry.places().data.join("report.sqlite")),
    }
}

/// A path as it is known from everywhere.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

/// The client id of the source. The broker keeps messages for it, and they are acknowledged when the store has them: so it goes
/// with the store, or where there is none with the address.
fn source_client_id(config: &ReportConfig, registry: &Registry, store: Option<&Path>, url: &MqttUrl) -> ClientId {
    if !config.mqtt.client_id.is_empty() {
        return ClientId::fixed(&config.mqtt.client_id);
    }
    let data = &registry.places().data;
    let installation = Installation::of(data);
    let id = match store {
        Some(store) => installation.id_for(&["report", "store", &absolute(store)]),
        None => installation.id_for(&["report", "address", &url.to_string(), &url.topic]),
    };
    ClientId::claim(&format!("nearfield-report-{id}"), data)
}

/// The stages that deliver to other machines; `object` is what Home Assistant calls what is delivered: `report`, `caption`.
///
/// # Errors
/// An address, a secret or the spool can't be used.
pub(crate) fn outlets(
    outlets: &OutletConfig,
    mqtt: &MqttConfig,
    object: &str,
    registry: &Registry,
) -> anyhow::Result<Vec<Publish>> {
    let spool = match outlets.spool.as_os_str().is_empty() {
        true => registry.places().data.join("spool"),
        false => outlets.spool.clone(),
    };
    let limits = outlets.limits().map_err(anyhow::Error::msg)?;
    let mut publishers = Vec::new();
    if !outlets.webhook.is_empty() {
        let token: Option<TokenSource> = match outlets.webhook_token_file.as_os_str().is_empty() {
            true => None,
            false => {
                let file = outlets.webhook_token_file.clone();
                // A file that is not there is a mistake at the start, and may be one that comes back later.
                secret(&file).context("outlets.webhook_token_file")?;
                Some(Box::new(move || secret(&file).context("outlets.webhook_token_file")))
            }
        };
        let webhook = Webhook::new(&outlets.webhook, token, Duration::from_secs_f64(outlets.webhook_timeout_s))
            .map_err(|reason| ConfigError::Wrong { place: "outlets.webhook".to_owned(), reason })?;
        let outlet: Box<dyn Outlet> = Box::new(webhook);
        publishers.push(Publish::new(outlet, spool.join(format!("{object}-webhook")), limits)?);
    }
    if !outlets.mqtt.is_empty() {
        let url = outlets.mqtt.parse().map_err(anyhow::Error::msg)?;
        let installation = Installation::of(&registry.places().data);
        let folder = spool.join(format!("{object}-mqtt"));
        let client_id = match mqtt.client_id.as_str() {
            // One program at a time delivers from a spool, so one at a time has its client id.
            "" => format!("nearfield-{object}-out-{}", installation.id_for(&["out", &absolute(&folder)])),
            set => format!("{set}-{object}-out"),
        };
        let options = HomeAssistantOptions {
            connect: connect_options(mqtt, url, client_id, false)?,
            object: object.to_owned(),
            installation: match outlets.name.as_str() {
                "" => installation.id().to_owned(),
                name => name.to_owned(),
            },
            device: match outlets.name.as_str() {
                "" => installation.device(),
                name => format!("Nearfield ({name})"),
            },
            discovery_prefix: outlets.discovery_prefix.clone(),
            confirm: outlets.mqtt_confirm,
        };
        let outlet: Box<dyn Outlet> = Box::new(HomeAssistant::new(options));
        publishers.push(Publish::new(outlet, folder, limits)?);
    }
    Ok(publishers)
}

/// Runs the flow until its source is at its end or `stop` is disconnected.
///
/// # Errors
/// If the source, the store, or whoever hears the reports fails, or a thread of the flow panics; what was complete by then has been
/// told.
pub fn run(
    config: &ReportConfig,
    registry: &Registry,
    llm: Option<Arc<Llm>>,
    from: ReadingsFrom,
    stop: &StopSignal,
    hear: &mut dyn FnMut(Heard<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let turns = Turns::default();
    let ledger = Ledger::default();
    let zone = config.zone().map_err(anyhow::Error::msg)?;
    let (fatal, mut failures) = bounded(8); // The first one ends the flow.
    let flow = FlowContext {
        turns: turns.clone(),
        ledger: ledger.clone(),
        on_failure: Arc::new(move |failure| match failure.is_fatal {
            true => drop(fatal.try_send(failure)),
            false => tracing::error!("{}: {}", failure.stage, chain(&failure.error)),
        }),
    };
    let (mut ending, source_stop) = Ending::new(stop.clone());
    // Until when the model may write. Windows themselves are never silenced: what the model has no time for is computed.
    let writing = Turns::default();
    let hurry = || writing.silence_before(Turn(u64::MAX));

    // Every queue of the flow. Readings block and are never dropped: a file waits, a broker is not acknowledged.
    let (batches, to_keep) = bounded(8); // 8 * 4,096 readings: the source reads while the store syncs.
    let (kept, to_gather) = bounded(8);
    let (closed, to_hold) = bounded(16); // Windows close together when a long absence ends.
    let (due, to_word) = bounded(4);
    let (parts, to_tell) = bounded(64); // A dozen reports of five sentences.

    let live = from.is_live();
    let mut sensor_registry =
        SensorRegistry::new(config.sensors.clone(), config.readings.only_known, config.readings.max_sensors);
    let store_path = store_path(config, registry, &from);
    let at_end = if live && store_path.is_some() { AtEnd::Leave } else { AtEnd::Tell };
    let mut windows = windows_options(config, live)?;
    windows.distinct = store_path.is_some();
    windows.rereads = matches!(from, ReadingsFrom::Text(_));
    let mut clocks = Clocks::new(ClockOptions {
        ahead_seconds: config.window.clock_tolerance_s,
        lateness_seconds: config.window.lateness_s,
        plan: windows.plan.clone(),
    });
    let mut gather = Windower::new(windows, turns.clone(), live, at_end);
    let mut threads = Vec::new();
    let store = match &store_path {
        None => {
            // Nothing to keep: the gatherer reads what the source sends.
            drop((kept, to_gather));
            None
        }
        Some(path) => {
            let mut store = Store::open_with_backups(path, config.retention(), config.backups())?;
            for (key, traits) in &store.sensors()? {
                // Sensors that are no longer wanted stay in the store and have no number in this run.
                if let Some(id) = sensor_registry.stored(key, traits) {
                    store.bind(key, id);
                }
            }
            // The configuration may have changed what is known of them.
            let known: Vec<_> = sensor_registry.take_introduced().into_iter().map(|(_, traits)| traits).collect();
            let sensors = known.len() as u32;
            let readings = |from: Moment, take: &mut dyn FnMut(_)| Ok(store.read_from(from, take)?);
            clocks.resume(&store.clocks()?, store.reported()?.max(store.newest()), now());
            gather.resume(known, store.reported()?, &mut { readings })?;
            let store = Arc::new(Mutex::new(store));
            let keep = Keep::new(store.clone(), sensors, source_stop.clone());
            threads.push(drive(keep, to_keep.clone(), kept, flow.clone()));
            Some((store, to_gather))
        }
    };
    let (store, to_gather) = match store {
        Some((store, to_gather)) => (Some(store), to_gather),
        None => (None, to_keep.clone()),
    };
    drop(to_keep);
    threads.push(drive(gather, to_gather, closed, flow.clone()));
    let schedule = config.schedule().map_err(anyhow::Error::msg)?;
    threads.push(drive(Scheduler::new(schedule, zone.clone()), to_hold, due, flow.clone()));
    let writer = match llm {
        None => None,
        Some(llm) => {
            let (thread, handle) = LlmThread::start_in(&flow, llm, VoicePriority::of(&registry.places().data));
            threads.push(handle);
            let writer: Box<dyn Writer> =
                Box::new(ModelWriter::new(thread, word_options(config, registry), writing.clone())?);
            Some(writer)
        }
    };
    threads.push(drive(Word::new(writer, max_report_tokens(config)), to_word, parts, flow.clone()));
    let mut mailboxes: Vec<Mailbox> = Vec::new();
    for publish in outlets(&config.outlets, &config.mqtt, "report", registry)? {
        // Deliveries wait on disk; the queue only holds the news that there are some.
        let (arrived, receiver) = bounded(1);
        let (nothing, _) = bounded(1);
        mailboxes.push(publish.mailbox(arrived));
        threads.push(drive(publish.with_stop(stop.clone()), receiver, nothing, flow.clone()));
    }

    let (source_ended, source_result) = mpsc::channel();
    let text = config.text.clone();
    let source_zone = zone.clone();
    let source: Box<dyn FnOnce() -> anyhow::Result<()> + Send> = match from {
        ReadingsFrom::Text(source) => {
            let clocks = live.then_some(clocks);
            Box::new(move || source.run(&text, source_zone, sensor_registry, clocks, &batches, &source_stop))
        }
        ReadingsFrom::Mqtt(url) => {
            let topic = if url.topic.is_empty() && config.source.topics.is_empty() { "#" } else { url.topic.as_str() };
            let mut filters: Vec<String> = config.source.topics.clone();
            if !topic.is_empty() {
                filters.insert(0, topic.to_owned());
            }
            let client = source_client_id(config, registry, store_path.as_deref(), &url);
            let connect = connect_options(&config.mqtt, url, client.id.clone(), true)?;
            let source = MqttSource { connect, filters, mappings: config.source.mappings.clone(), zone: source_zone };
            Box::new(move || {
                let _client = client;
                source.run(sensor_registry, clocks, &batches, &source_stop)
            })
        }
    };
    threads.push(spawn("source", flow.clone(), move || {
        let _ = source_ended.send(source());
    }));
    drop(flow);

    let mut tell = |turn: Turn, part: &ReportPart| -> anyhow::Result<ControlFlow<()>> {
        let report = match part {
            ReportPart::Title(title) => return hear(Heard::Title(title)),
            ReportPart::Sentence(sentence) => return hear(Heard::Sentence(turn, sentence)),
            ReportPart::Done(report) => report,
        };
        let told = hear(Heard::Done(report, &ledger.take_after(turn, "word")))?;
        let window = &report.summary.window;
        let body = report_pages::json(report, &zone);
        let id = format!("report-{}", body["window"]["start"].as_str().unwrap_or_default());
        let text = body["text"].as_str().unwrap_or_default().to_owned();
        let delivery = Delivery { id, text, body };
        // On the disk of each outlet before the window counts as reported. A live flow waits for a full disk to be emptied, and
        // its source with it; a file can be reported again.
        mailboxes.iter_mut().try_for_each(|mailbox| match live {
            true => mailbox.accept_until(&delivery, stop),
            false => mailbox.accept(&delivery),
        })?;
        if let Some(store) = store.as_ref().filter(|_| !window.cut_short) {
            note_reported(store, window.span.to);
        }
        Ok(told)
    };
    let mut outcome = Ok(());
    loop {
        let (user, timer) = (ending.user(), ending.timer());
        select! {
            recv(user) -> _ => ending.begin(),
            recv(timer) -> _ => match ending.due() {
                Some(Due::Hurry) => hurry(),
                Some(Due::GiveUp) => break,
                None => {}
            },
            recv(failures) -> failure => match failure {
                Ok(failure) => drop(ending.note(failure)),
                Err(_) => failures = never(),
            },
            recv(to_tell) -> part => {
                let Ok(Envelope { turn, body, .. }) = part else { break };
                match tell(turn, &body) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => {
                        ending.begin();
                        break;
                    }
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
        }
    }
    drop((to_tell, mailboxes));
    // After a failure the source may wait for readings that nobody will hear of any more; the process ends with it.
    outcome?;
    ending.join(threads, &hurry, &mut |ending| failures.try_iter().for_each(|failure| drop(ending.note(failure))))?;
    source_result.try_recv().unwrap_or(Ok(()))
}
