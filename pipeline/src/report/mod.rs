//! Reports on sensor readings: which stages there are, in what order, with which queues between them. The only place that knows.
//!
//! ```text
//! source ─Batch─► keep ─Batch─► gather ─WindowSummary─► schedule ─WindowSummary─► word ─ReportPart─► reporter ─Delivery─► publish
//!    ▲ receipts   │ (store)                                                       ▲ │
//!    └────────────┘                                                         Event │ ▼ Job
//!                                                                                 llm
//! ```

pub mod command;
pub mod config;
pub mod judge;
pub mod pages;
pub mod plot;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Sender, bounded};
use nearfield_models::flow::Flow;
use nearfield_models::llm::{GenerateOptions, Llm, LlmOptions, SessionOptions};
use nearfield_models::telemetry::Moment;
use nearfield_models::telemetry::windows::WindowsOptions;
use nearfield_stages::drive::{FlowContext, drive};
use nearfield_stages::generate::LlmThread;
use nearfield_stages::messages::{Envelope, Report, ReportPart, Sentence};
use nearfield_stages::mqtt::{ConnectOptions, MqttUrl};
use nearfield_stages::outlets::home_assistant::HomeAssistant;
use nearfield_stages::outlets::webhook::Webhook;
use nearfield_stages::outlets::{Delivery, Outlet, Publish};
use nearfield_stages::probe::{Ledger, StageTimes};
use nearfield_stages::report::gather::{AtEnd, Gather};
use nearfield_stages::report::keep::{Keep, note_reported};
use nearfield_stages::report::read_mqtt::MqttSource;
use nearfield_stages::report::read_text::TextSource;
use nearfield_stages::report::roster::Roster;
use nearfield_stages::report::schedule::Hold;
use nearfield_stages::report::store::Store;
use nearfield_stages::report::word::{ModelWriter, Word, WordOptions, Writer};
use nearfield_stages::right_of_way::RightOfWay;
use nearfield_stages::turn::{Turn, Turns};
use nearfield_stages::voice::capture::StopSignal;

use crate::config::ConfigError;
use crate::registry::Registry;
use crate::report::config::{MqttConfig, OutletsConfig, ReportConfig};
use crate::terminal::chain;

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
    let model = registry.resolve(&config.llm.model).context("llm.model")?;
    let llm = Llm::open(model.path(), &LlmOptions { threads: config.llm.threads })?;
    llm.tokenizer()?;
    Ok(Some(llm))
}

/// How the model is asked.
pub fn word_options(config: &ReportConfig) -> WordOptions {
    WordOptions {
        session: SessionOptions { context_tokens: config.llm.context_tokens, cache: config.llm.cache },
        sampler: config.llm.sampler,
        max_tokens: config.llm.max_report_tokens,
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
        anomalies: config.anomalies,
    })
}

fn secret(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(|| format!("{} can't be read", path.display()))?;
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
fn store_path(config: &ReportConfig, registry: &Registry, from: &ReadingsFrom) -> Option<PathBuf> {
    match (config.store.file.as_str(), from) {
        ("none", _) | ("", ReadingsFrom::Text(_)) => None,
        ("", ReadingsFrom::Mqtt(_)) => Some(registry.places().data.join("report.redb")),
        (path, _) => Some(PathBuf::from(path)),
    }
}

/// The stages that deliver to other machines; `object` is what Home Assistant calls what is delivered: `report`, `caption`.
///
/// # Errors
/// An address, a secret or the spool can't be used.
pub(crate) fn outlets(
    outlets: &OutletsConfig,
    mqtt: &MqttConfig,
    object: &str,
    registry: &Registry,
) -> anyhow::Result<Vec<Publish>> {
    let spool = match outlets.spool.as_os_str().is_empty() {
        true => registry.places().data.join("spool"),
        false => outlets.spool.clone(),
    };
    let most = outlets.spool_messages;
    let mut publishers = Vec::new();
    if !outlets.webhook.is_empty() {
        let file = &outlets.webhook_token_file;
        let token = (!file.as_os_str().is_empty()).then(|| secret(file)).transpose()?;
        let webhook = Webhook::new(&outlets.webhook, token, Duration::from_secs_f64(outlets.webhook_timeout_s))
            .map_err(|reason| ConfigError::Wrong { place: "outlets.webhook".to_owned(), reason })?;
        let outlet: Box<dyn Outlet> = Box::new(webhook);
        publishers.push(Publish::new(outlet, spool.join(format!("{object}-webhook")), most)?);
    }
    if !outlets.mqtt.is_empty() {
        let url = outlets.mqtt.parse().map_err(anyhow::Error::msg)?;
        let connect = connect_options(mqtt, url, format!("{}-{object}-out", mqtt.client_id), false)?;
        let outlet: Box<dyn Outlet> = Box::new(HomeAssistant::new(connect, object, &outlets.discovery_prefix));
        publishers.push(Publish::new(outlet, spool.join(format!("{object}-mqtt")), most)?);
    }
    Ok(publishers)
}

/// Runs the flow until its source is at its end or `stop` is disconnected.
///
/// # Errors
/// If the source, the store, or whoever hears the reports fails; what was complete by then has been told.
pub fn run(
    config: &ReportConfig,
    registry: &Registry,
    llm: Option<Arc<Llm>>,
    from: ReadingsFrom,
    stop: &StopSignal,
    hear: &mut dyn FnMut(Heard<'_>) -> anyhow::Result<Flow>,
) -> anyhow::Result<()> {
    let turns = Turns::default();
    let ledger = Ledger::default();
    let zone = config.zone().map_err(anyhow::Error::msg)?;
    let flow = FlowContext {
        turns: turns.clone(),
        ledger: ledger.clone(),
        on_failure: Arc::new(|failure| tracing::error!("{}: {}", failure.stage, chain(&failure.error))),
    };

    // Every queue of the flow. Readings block and are never dropped: a file waits, a broker is not acknowledged.
    let (batches, to_keep) = bounded(8); // 8 * 4,096 readings: the source reads while the store syncs.
    let (kept, to_gather) = bounded(8);
    let (closed, to_hold) = bounded(16); // Windows close together when a long absence ends.
    let (due, to_word) = bounded(4);
    let (parts, to_tell) = bounded(64); // A dozen reports of five sentences.

    let live = from.is_live();
    let mut roster = Roster::new(config.sensors.clone(), config.readings.only_known, config.readings.max_sensors);
    let store_path = store_path(config, registry, &from);
    let at_end = if live && store_path.is_some() { AtEnd::Leave } else { AtEnd::Tell };
    let mut gather = Gather::new(windows_options(config, live)?, turns.clone(), live, at_end);
    let mut threads = Vec::new();
    let store = match &store_path {
        None => {
            // Nothing to keep: the gatherer reads what the source sends.
            drop((kept, to_gather));
            None
        }
        Some(path) => {
            let store = Store::open(path, config.retention())?;
            let sensors = store.sensors()?;
            for (key, traits) in &sensors {
                roster.id(key, &traits.unit);
            }
            // The configuration may have changed what is known of them.
            let known = roster.take_introduced().into_iter().map(|(_, traits)| traits).collect();
            let readings = |from: Moment, take: &mut dyn FnMut(_)| Ok(store.read_from(from, take)?);
            gather.resume(known, store.reported()?, &mut { readings })?;
            let store = Arc::new(Mutex::new(store));
            let keep = Keep::new(store.clone(), sensors.len() as u32, stop.clone());
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
    threads.push(drive(Hold::new(schedule, zone.clone()), to_hold, due, flow.clone()));
    let writer = match llm {
        None => None,
        Some(llm) => {
            let (thread, handle) = LlmThread::start_beside_others(llm, RightOfWay::of(&registry.places().data));
            threads.push(handle);
            let writer: Box<dyn Writer> = Box::new(ModelWriter::new(thread, word_options(config), turns.clone())?);
            Some(writer)
        }
    };
    threads.push(drive(Word::new(writer, config.llm.max_report_tokens), to_word, parts, flow.clone()));
    let mut deliveries: Vec<Sender<Envelope<Delivery>>> = Vec::new();
    for publish in outlets(&config.outlets, &config.mqtt, "report", registry)? {
        // The spool is on disk; the queue only has to outlast a slow try.
        let (sender, receiver) = bounded(256);
        let (nothing, _) = bounded(1);
        deliveries.push(sender);
        threads.push(drive(publish, receiver, nothing, flow.clone()));
    }

    let (source_ended, source_result) = mpsc::channel();
    let source_stop = stop.clone();
    let text = config.text.clone();
    let source_zone = zone.clone();
    let source: Box<dyn FnOnce() -> anyhow::Result<()> + Send> = match from {
        ReadingsFrom::Text(source) => Box::new(move || source.run(&text, source_zone, roster, &batches, &source_stop)),
        ReadingsFrom::Mqtt(url) => {
            let topic = if url.topic.is_empty() && config.mqtt.topics.is_empty() { "#" } else { url.topic.as_str() };
            let mut filters: Vec<String> = config.mqtt.topics.clone();
            if !topic.is_empty() {
                filters.insert(0, topic.to_owned());
            }
            let connect = connect_options(&config.mqtt, url, config.mqtt.client_id.clone(), true)?;
            let source = MqttSource { connect, filters, mappings: config.mqtt.mappings.clone(), zone: source_zone };
            Box::new(move || source.run(roster, &batches, &source_stop))
        }
    };
    threads.push(std::thread::Builder::new().name("source".to_owned()).spawn(move || {
        let _ = source_ended.send(source());
    })?);

    let mut outcome = Ok(());
    for Envelope { turn, body, .. } in &to_tell {
        let told = match &body {
            ReportPart::Title(title) => hear(Heard::Title(title)),
            ReportPart::Sentence(sentence) => hear(Heard::Sentence(turn, sentence)),
            ReportPart::Done(report) => {
                let told = hear(Heard::Done(report, &ledger.take(turn)));
                if told.is_ok() {
                    let window = &report.summary.window;
                    let body = pages::json(report, &zone);
                    let id = format!("report-{}", body["window"]["start"].as_str().unwrap_or_default());
                    let text = body["text"].as_str().unwrap_or_default().to_owned();
                    for outlet in &deliveries {
                        let delivery = Delivery { id: id.clone(), text: text.clone(), body: body.clone() };
                        let _ = outlet.send(Envelope::new(turn, delivery));
                    }
                    if let Some(store) = store.as_ref().filter(|_| !window.cut_short) {
                        note_reported(store, window.span.to);
                    }
                }
                told
            }
        };
        match told {
            Ok(Flow::Continue) => {}
            Ok(Flow::Stop) => break,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    drop((to_tell, deliveries));
    // After a failure the source may wait for readings that nobody will hear of any more; the process ends with it.
    outcome?;
    let ended = source_result.recv_timeout(Duration::from_secs(5)).unwrap_or(Ok(()));
    for thread in threads {
        let _ = thread.join();
    }
    ended
}
