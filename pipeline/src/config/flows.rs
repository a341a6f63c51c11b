//! `[[voice]]`, `[[caption]]` and `[[report]]` in the file of `nearfield run`: flows that run beside the server. Each takes the keys of its own
//! file besides those here; what it leaves out of `[stt]`, `[llm]`, `[tts]`, `[home]`, `[prompt]`, `[conversation]` and `[remote]` it has from the whole file.

use std::path::{Path, PathBuf};

use nearfield_stages::caption::pictures::check_scheme;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caption::{CaptionConfig, SourceConfig};
use super::report::ReportConfig;
use super::{Config, OutletConfig, RunConfig, VoiceConfig, WrongPart, said_by_parser};

/// A voice beside the server; all keys of `voice.toml` stand here too, as in `listen.device = "USB"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VoiceFlow {
    /// Its name in the log and in events; empty: `voice`, and `voice-2` for the second one.
    #[schemars(extend("examples" = ["kitchen"]))]
    pub name: String,
    /// Where questions come from: "mic", or a recording or a folder of some, after which it ends; empty: "mic".
    #[schemars(extend("examples" = ["mic"]))]
    pub input: String,
    /// Where answers go: "speaker", "null", or a file that ends in .wav; empty: "speaker".
    #[schemars(extend("examples" = ["speaker"]))]
    pub output: String,
    /// What `voice.toml` has too.
    #[serde(flatten)]
    #[schemars(skip)]
    pub keys: toml::Table,
}

/// A camera beside the server; all keys of `caption.toml` stand here too, as in `source.fps = 5.0`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CaptionFlow {
    /// Its name in the log, in events and, where `source.camera` says nothing else, of the camera; empty: `caption`, `caption-2`.
    #[schemars(extend("examples" = ["door"]))]
    pub name: String,
    /// Where pictures come from, as `source.input`; a path starts at this file.
    #[schemars(extend("examples" = ["rtsp://camera.local/stream"]))]
    pub input: String,
    /// A file that gets each event, one line of JSON each; empty: none.
    #[schemars(extend("examples" = ["door.jsonl"]))]
    pub events: PathBuf,
    /// A folder that gets a picture of each change; empty: none.
    #[schemars(extend("examples" = ["door"]))]
    pub snapshots: PathBuf,
    /// What `caption.toml` has too.
    #[serde(flatten)]
    #[schemars(skip)]
    pub keys: toml::Table,
}

/// Reports beside the server; all keys of `report.toml` stand here too, as in `window.length = "1h"`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReportFlow {
    /// Its name in the log and in events; empty: `report`, and `report-2` for the second one.
    #[schemars(extend("examples" = ["house"]))]
    pub name: String,
    /// Where readings come from: a broker, as in "mqtt://hub.local/home/#", or a file, which is followed as it grows.
    #[schemars(extend("examples" = ["mqtt://hub.local/home/#"]))]
    pub input: String,
    /// A file that gets each report, and ends in .md, .html or .jsonl; empty: none.
    #[schemars(extend("examples" = ["house.md"]))]
    pub output: PathBuf,
    /// What `report.toml` has too.
    #[serde(flatten)]
    #[schemars(skip)]
    pub keys: toml::Table,
}

/// A flow with everything that it has of the whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowConfig {
    /// Its name.
    pub name: String,
    /// What it does.
    pub work: FlowWork,
}

/// What a flow does.
#[derive(Clone, Debug, PartialEq)]
pub enum FlowWork {
    /// Answers aloud.
    Voice {
        /// From where.
        input: String,
        /// To where.
        output: String,
        /// How.
        config: Box<VoiceConfig>,
    },
    /// Captions pictures.
    Caption {
        /// Of what.
        input: String,
        /// The file of events.
        events: PathBuf,
        /// The folder of pictures.
        snapshots: PathBuf,
        /// How.
        config: Box<CaptionConfig>,
    },
    /// Reports on readings.
    Report {
        /// Of what.
        input: String,
        /// The file of reports.
        output: PathBuf,
        /// How.
        config: Box<ReportConfig>,
    },
}

impl FlowWork {
    /// What kind of flow it is.
    pub fn kind(&self) -> &'static str {
        match self {
            FlowWork::Voice { .. } => "voice",
            FlowWork::Caption { .. } => "caption",
            FlowWork::Report { .. } => "report",
        }
    }
}

impl FlowConfig {
    /// What its results are called in topics, in Home Assistant and in the spool.
    pub fn object(&self) -> String {
        match &self.work {
            FlowWork::Voice { .. } => self.name.clone(),
            FlowWork::Caption { config, .. } => config.source.outlet_name(),
            // The first one is called as by `nearfield report`, so that its sensor in Home Assistant stays.
            FlowWork::Report { .. } if self.name == "report" => self.name.clone(),
            FlowWork::Report { .. } => format!("report_{}", self.name.replace('-', "_")),
        }
    }

    /// Where its results go besides files.
    fn outlets(&self) -> Option<&OutletConfig> {
        let outlets = match &self.work {
            FlowWork::Voice { .. } => return None,
            FlowWork::Caption { config, .. } => &config.outlets,
            FlowWork::Report { config, .. } => &config.outlets,
        };
        outlets.any().then_some(outlets)
    }
}

/// A key of a flow that is wrong, which the parser finds as it finds those of the other tables: with its place in the text.
///
/// # Errors
/// The flow's name, what the parser says, and the keys that a flow has besides those the parser knows.
pub(super) fn check_keys(text: &str) -> Result<(), WrongPart> {
    let Ok(mut all) = toml::de::DeTable::parse(text) else { return Ok(()) };
    let own: [(_, &[&str]); 3] = [
        ("voice", &["name", "input", "output"]),
        ("caption", &["name", "input", "events", "snapshots"]),
        ("report", &["name", "input", "output"]),
    ];
    for (kind, own) in own {
        let Some(toml::de::DeValue::Array(flows)) = all.get_mut().get_mut(kind).map(toml::Spanned::get_mut) else {
            continue;
        };
        for (at, flow) in flows.iter_mut().enumerate() {
            let span = flow.span();
            let toml::de::DeValue::Table(keys) = flow.get_mut() else { continue };
            let name = keys.get("name").and_then(|name| name.get_ref().as_str()).unwrap_or_default();
            let name = named(name, kind, at);
            own.iter().for_each(|key| drop(keys.remove(*key)));
            let keys = toml::de::Deserializer::from(toml::Spanned::new(span, std::mem::take(keys)));
            let checked = match kind {
                "voice" => VoiceConfig::deserialize(keys).map(drop),
                "caption" => CaptionConfig::deserialize(keys).map(drop),
                _ => ReportConfig::deserialize(keys).map(drop),
            };
            let wrong = |error| WrongPart { whose: format!("the flow {name}"), error: Box::new(error), also: own };
            checked.map_err(wrong)?;
        }
    }
    Ok(())
}

/// Of `all`, the keys that `mask` has.
fn only(all: &toml::Table, mask: &toml::Table) -> toml::Table {
    let keep = |(key, of): (&String, &toml::Value)| {
        let value = all.get(key)?;
        Some((
            key.clone(),
            match (value, of) {
                (toml::Value::Table(all), toml::Value::Table(mask)) => toml::Value::Table(only(all, mask)),
                _ => value.clone(),
            },
        ))
    };
    mask.iter().filter_map(keep).collect()
}

/// Puts the keys of `over` over those of `under`.
fn merge(under: &mut toml::Table, over: &toml::Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => merge(under, over),
            _ => _ = under.insert(key.clone(), value.clone()),
        }
    }
}

fn parsed<T: Config>(table: &toml::Table) -> Result<T, String> {
    table.clone().try_into().map_err(|e: toml::de::Error| said_by_parser(&e))
}

/// Has the paths among a flow's keys start at `folder`. Keys that are wrong are left to the check.
fn rooted<T: Config>(keys: &mut toml::Table, folder: &Path) {
    let Ok(mut config) = parsed::<T>(keys) else { return };
    for path in config.paths() {
        if !path.as_os_str().is_empty() && path != Path::new("none") {
            *path = folder.join(&*path);
        }
    }
    if let Ok(all) = toml::Table::try_from(&config) {
        *keys = only(&all, keys);
    }
}

/// A file's path starts at `folder`; a word, an address and a device are no paths.
fn rooted_input(input: &mut String, words: &[&str], folder: &Path) {
    if !input.is_empty() && !words.contains(&input.as_str()) && !input.contains("://") {
        *input = folder.join(&*input).to_string_lossy().into_owned();
    }
}

impl RunConfig {
    /// Has the paths of flows start at `folder`.
    pub(super) fn root_flows(&mut self, folder: &Path) {
        let join = |path: &mut PathBuf| {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        };
        for flow in &mut self.voice {
            rooted_input(&mut flow.input, &["mic", "-"], folder);
            rooted_input(&mut flow.output, &["speaker", "null"], folder);
            rooted::<VoiceConfig>(&mut flow.keys, folder);
        }
        for flow in &mut self.caption {
            rooted_input(&mut flow.input, &["-"], folder);
            join(&mut flow.events);
            join(&mut flow.snapshots);
            rooted::<CaptionConfig>(&mut flow.keys, folder);
        }
        for flow in &mut self.report {
            rooted_input(&mut flow.input, &["-"], folder);
            join(&mut flow.output);
            rooted::<ReportConfig>(&mut flow.keys, folder);
        }
    }

    /// The flows, each with what it has of the whole file.
    ///
    /// # Errors
    /// One sentence that names the flow, the key and what is accepted.
    pub fn flows(&self) -> Result<Vec<FlowConfig>, String> {
        let mut flows = Vec::new();
        for (at, flow) in self.voice.iter().enumerate() {
            let name = named(&flow.name, "voice", at);
            let config = Box::new(self.whole(
                &["stt", "llm", "prompt", "conversation", "remote", "tts", "home"],
                &flow.keys,
                &name,
            )?);
            let input = if flow.input.is_empty() { "mic" } else { &flow.input }.to_owned();
            let output = if flow.output.is_empty() { "speaker" } else { &flow.output }.to_owned();
            no_stdin("voice", &name, &input)?;
            flows.push(FlowConfig { name, work: FlowWork::Voice { input, output, config } });
        }
        for (at, flow) in self.caption.iter().enumerate() {
            let name = named(&flow.name, "caption", at);
            let mut config: CaptionConfig = self.whole(&["llm"], &flow.keys, &name)?;
            // The first one without a name is called as by `nearfield caption`.
            if name != "caption" && config.source.camera == SourceConfig::default().camera {
                config.source.camera.clone_from(&name);
            }
            let input = if flow.input.is_empty() { &config.source.input } else { &flow.input }.clone();
            no_stdin("caption", &name, &input)?;
            check_scheme(&input).map_err(|what| format!("the flow {name}: input: {what}"))?;
            let (events, snapshots) = (flow.events.clone(), flow.snapshots.clone());
            flows.push(FlowConfig {
                name,
                work: FlowWork::Caption { input, events, snapshots, config: Box::new(config) },
            });
        }
        for (at, flow) in self.report.iter().enumerate() {
            let name = named(&flow.name, "report", at);
            let config = Box::new(self.whole(&["llm"], &flow.keys, &name)?);
            no_stdin("report", &name, &flow.input)?;
            let work = FlowWork::Report { input: flow.input.clone(), output: flow.output.clone(), config };
            flows.push(FlowConfig { name, work });
        }
        for (at, flow) in flows.iter().enumerate() {
            let name = &flow.name;
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if name.len() > 40 || !name.chars().all(is_plain) {
                return Err(format!(
                    "the name {name:?} of a flow must be at most 40 of a to z, A to Z, 0 to 9, \"_\" and \"-\""
                ));
            }
            if flows[..at].iter().any(|other| other.name == *name) {
                return Err(format!("two flows have the name {name:?}: give one of them another"));
            }
            let (Some(outlets), object) = (flow.outlets(), flow.object()) else { continue };
            let shares = |other: &&FlowConfig| {
                let same = |theirs: &OutletConfig| theirs.name == outlets.name && theirs.spool == outlets.spool;
                other.outlets().is_some_and(same) && other.object() == object
            };
            if let Some(other) = flows[..at].iter().find(shares) {
                return Err(format!(
                    "the flows {} and {name} would both deliver as {object:?}: give one of them another name, or another source.camera",
                    other.name
                ));
            }
        }
        Ok(flows)
    }

    /// A flow's configuration: the tables of the whole file that it shares, under its own keys.
    fn whole<T: Config>(&self, shared: &[&str], keys: &toml::Table, name: &str) -> Result<T, String> {
        let wrong = |reason: String| format!("the flow {name}: {reason}");
        // Its own keys first, so that what is wrong in them is said of them.
        parsed::<T>(keys).map_err(wrong)?;
        let all = toml::Table::try_from(self).map_err(|e| wrong(e.to_string()))?;
        let mut table: toml::Table = all.into_iter().filter(|(key, _)| shared.contains(&key.as_str())).collect();
        merge(&mut table, keys);
        let config: T = parsed(&table).map_err(wrong)?;
        config.check().map_err(wrong)?;
        Ok(config)
    }
}

fn named(name: &str, kind: &str, at: usize) -> String {
    match (name, at) {
        ("", 0) => kind.to_owned(),
        ("", _) => format!("{kind}-{}", at + 1),
        _ => name.to_owned(),
    }
}

fn no_stdin(kind: &str, name: &str, input: &str) -> Result<(), String> {
    match input {
        "-" => Err(format!(
            "the flow {name}: input is \"-\", and a service has no standard input: name a file or a device"
        )),
        "" => Err(format!("the flow {name}: input is missing: [[{kind}]] needs one, as docs/configuration.md shows")),
        _ => Ok(()),
    }
}
