//! What reports are made of: the source of the readings, the store, the windows, and how the language model is prompted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use nearfield_llm::{GenerateOptions, SessionOptions};
use nearfield_stages::flow::{Flow, Health, Output, StopSignal};
use nearfield_stages::messages::Batch;
use nearfield_stages::mqtt::MqttUrl;
use nearfield_stages::report::compose::ComposeOptions;
use nearfield_stages::report::persist::Persist;
use nearfield_stages::report::read_text::TextSource;
use nearfield_stages::report::sensors::SensorRegistry;
use nearfield_stages::report::store::Store;
use nearfield_stages::report::windower::{AtEnd, Windower, now};
use nearfield_telemetry::Moment;
use nearfield_telemetry::clock::{CLOCK_IS_SET, ClockOptions, Clocks};
use nearfield_telemetry::examples::examples;
use nearfield_telemetry::language::Language;
use nearfield_telemetry::windows::WindowsOptions;

use crate::cli::Usage;
use crate::config::report::ReportConfig;
use crate::config::{ConfigError, MQTT_LEFT_OUT};
use crate::hub::registry::Registry;
use crate::load::shared::{FlowLlm, SharedModels};
use crate::prompts;

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
    pub fn is_live(&self) -> bool {
        matches!(self, ReadingsFrom::Mqtt(_) | ReadingsFrom::Text(TextSource::Follow(_)))
    }

    /// The broker that `input` names, where it names one; `key` is what the user has set it by.
    ///
    /// # Errors
    /// The address is wrong, or this build knows no brokers.
    pub fn broker(key: &str, input: &str) -> anyhow::Result<Option<Self>> {
        if !input.starts_with("mqtt://") && !input.starts_with("mqtts://") {
            return Ok(None);
        }
        if !cfg!(feature = "mqtt") {
            return Err(Usage(format!("{key} {input}: {MQTT_LEFT_OUT}")).into());
        }
        Ok(Some(ReadingsFrom::Mqtt(input.parse().map_err(Usage)?)))
    }
}

/// The language model that `config` names; `None` when it names none.
///
/// # Errors
/// If it is unknown, not there, or broken.
pub fn load_llm(
    config: &ReportConfig,
    registry: &Registry,
    shared: Option<&SharedModels>,
) -> anyhow::Result<Option<FlowLlm>> {
    match config.llm.model.as_str() {
        "none" => Ok(None),
        // It would never be called.
        _ if config.report.language != Language::English => Ok(None),
        _ => FlowLlm::load(&config.llm, registry, shared).map(Some),
    }
}

/// Tokens of context where the configuration leaves them open: the system text, the examples, the largest table and a report.
const DEFAULT_CONTEXT_TOKENS: usize = 2560;
/// The longest report where the configuration leaves it open: five sentences of figures whose digits are a token each.
const MAX_REPORT_TOKENS: usize = 400;

/// The most tokens of a report.
pub fn max_report_tokens(config: &ReportConfig) -> usize {
    let wanted = config.llm.max_tokens_or(MAX_REPORT_TOKENS);
    if config.llm.context_tokens == 0 { wanted } else { wanted.min(config.llm.context_tokens / 2) }
}

/// How the model is prompted.
pub fn compose_options(config: &ReportConfig, registry: &Registry) -> ComposeOptions {
    let form = registry.resolve(&config.llm.model).map(|model| model.prompt).unwrap_or_default();
    let context_tokens = match config.llm.context_tokens {
        0 => DEFAULT_CONTEXT_TOKENS.max(max_report_tokens(config) * 2),
        set => set,
    };
    // A model that was trained on tables knows what is wanted; so does whoever writes a system text.
    let knows_tables = form.report_system.is_some() || !config.prompt.system.is_empty();
    let examples = if knows_tables { Vec::new() } else { examples() };
    ComposeOptions {
        examples: examples.into_iter().map(|(table, report)| (table.to_string(), report.to_owned())).collect(),
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

/// The source, run on a thread of its own.
pub(super) type Source = Box<dyn FnOnce(&Output<Batch>, &StopSignal) -> anyhow::Result<()> + Send>;

/// Where readings come from, where they are kept, and the windows they are gathered in, with what earlier runs left.
pub struct Readings {
    /// Where they come from.
    pub source: Source,
    /// Puts them into the store; absent where there is none.
    pub persist: Option<Persist>,
    /// Gathers them.
    pub windower: Windower,
    /// The store, for what was reported.
    pub store: Option<Arc<Mutex<Store>>>,
}

impl Readings {
    /// Opens the store and takes up what it holds; the source is opened when it runs.
    ///
    /// # Errors
    /// The store can't be used, or a setting or secret of the source.
    pub fn open(
        config: &ReportConfig,
        registry: &Registry,
        from: ReadingsFrom,
        flow: &Flow,
        health: &Health,
    ) -> anyhow::Result<Self> {
        let live = from.is_live();
        let mut sensors =
            SensorRegistry::new(config.sensors.clone(), config.readings.only_known, config.readings.max_sensors);
        let path = store_path(config, registry, &from);
        let at_end = if live && path.is_some() { AtEnd::Leave } else { AtEnd::Tell };
        let mut windows = windows_options(config, live)?;
        windows.distinct = path.is_some();
        windows.rereads = matches!(from, ReadingsFrom::Text(_));
        let mut clocks = Clocks::new(ClockOptions {
            ahead_seconds: config.window.clock_tolerance_s,
            lateness_seconds: config.window.lateness_s,
            plan: windows.plan.clone(),
        });
        let when_live = if path.is_some() { AtEnd::Leave } else { AtEnd::Tell };
        let mut windower = Windower::new(windows, flow.turns(), live, at_end)
            .when_live(config.window.lateness_s, when_live)
            .in_units(config.readings.units)
            .in_language(config.report.language)
            .expecting(config.expected.clone());
        let (mut persist, mut kept) = (None, None);
        if let Some(path) = &path {
            let mut store = Store::open_with_backups(path, config.retention(), config.backups())?;
            let n_sensors = resume(&mut store, &mut sensors, &mut clocks, &mut windower)?;
            let store = Arc::new(Mutex::new(store));
            persist = Some(Persist::new(store.clone(), n_sensors, flow.source_stop()).telling(health.clone()));
            kept = Some(store);
        }
        let source = source(config, registry, from, path.as_deref(), (sensors, clocks), health)?;
        Ok(Self { source, persist, windower, store: kept })
    }
}

/// Goes on from what an earlier run left in the store; answers how many sensors it knew.
fn resume(
    store: &mut Store,
    sensors: &mut SensorRegistry,
    clocks: &mut Clocks,
    windower: &mut Windower,
) -> anyhow::Result<u32> {
    for (key, traits) in &store.sensors()? {
        // Sensors that are no longer wanted stay in the store and have no number in this run.
        if let Some(id) = sensors.stored(key, traits) {
            store.bind(key, id);
        }
    }
    // The configuration may have changed what is known of them.
    let known: Vec<_> = sensors.take_introduced().into_iter().map(|(_, traits)| traits).collect();
    let n_sensors = known.len() as u32;
    let readings = |from: Moment, take: &mut dyn FnMut(_)| Ok(store.read_from(from, take)?);
    clocks.resume(&store.clocks()?, store.reported()?.max(store.newest()), now());
    windower.resume(known, store.reported()?, &mut { readings })?;
    Ok(n_sensors)
}

fn source(
    config: &ReportConfig,
    registry: &Registry,
    from: ReadingsFrom,
    store: Option<&Path>,
    (sensors, clocks): (SensorRegistry, Clocks),
    health: &Health,
) -> anyhow::Result<Source> {
    let zone = config.zone().map_err(anyhow::Error::msg)?;
    Ok(match from {
        ReadingsFrom::Text(source) => {
            let text = config.text.clone();
            Box::new(move |batches: &Output<Batch>, stop: &StopSignal| {
                source.run(&text, zone, sensors, clocks, batches, stop)
            })
        }
        #[cfg(feature = "mqtt")]
        ReadingsFrom::Mqtt(url) => {
            super::mqtt::source(config, registry, url, store, (sensors, clocks), zone, health.clone())?
        }
        #[cfg(not(feature = "mqtt"))]
        ReadingsFrom::Mqtt(_) => {
            let _ = (registry, store, health);
            anyhow::bail!("{MQTT_LEFT_OUT}");
        }
    })
}
