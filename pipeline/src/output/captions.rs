//! `nearfield caption`: what is printed, and what is written into the file of events and the folder of snapshots.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use jiff::Timestamp;
use nearfield_base::persist;
use nearfield_stages::caption::events::News;
use nearfield_stages::caption::pictures::{PictureFiles, SourceEvent};
use nearfield_stages::flow::{StopSignal, Turn};
use nearfield_stages::messages::{Author, Captioned, Tokens};
use nearfield_stages::reconnect::Attempts;
use nearfield_stages::voice::capture::Pace;
use nearfield_vision::Verdict;
use serde::Serialize;
use serde_json::{Value, json};
use std::ops::ControlFlow;

use crate::cli::{self, CaptionArgs};
use crate::config::caption::CaptionConfig;
use crate::config::{Config, ConfigError};
use crate::files::Files;
use crate::flows::caption::{self, CaptionEvent, Done};
use crate::hub::registry::Registry;
use crate::load::caption::{Captioner, open_input};
#[cfg(feature = "server")]
pub(crate) use crate::output::caption_files::news_json;
pub(crate) use crate::output::caption_files::{Events, Snapshots};
use crate::output::terminal::one_line;
use crate::output::turn_report::{TraceWriter, ms};

/// A source that has been back for so long starts its messages anew.
const SOURCE_IS_STABLE: Duration = Duration::from_secs(600);

/// Runs the command.
///
/// # Errors
/// If something that it needs is missing, the source fails for good, or no picture could be used.
pub fn caption(args: &CaptionArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = CaptionConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if let Some(every) = args.every {
        config.output.every_s = every;
        config.output.check().map_err(|reason| ConfigError::Wrong { place: format!("--every {every}"), reason })?;
    }
    if let Some(model) = &args.model {
        config.vision.model.clone_from(model);
    }
    let name = args.input.as_deref().unwrap_or(&config.source.input).to_owned();
    let input = open_input(&name, args.realtime, &config)?;
    let registry = Registry::open()?;
    files_of(args, &name, &config, &registry).check()?;
    let captioner = Captioner::load(&config, &registry)?;
    // From here on everything is known to be good but the source, and outputs are opened.
    let events = args.events.as_deref().map(|path| Events::open(path, args.overwrite)).transpose()?;
    let snapshots = args.snapshots.as_deref().map(Snapshots::open).transpose()?;
    let existing = cli::existing(args.overwrite);
    let trace = args.trace.as_deref().map(|path| TraceWriter::create(path, existing)).transpose()?;
    let mut reporter = Reporter {
        camera: config.source.camera.clone(),
        prints_all: config.output.all,
        every: Duration::from_secs_f64(config.output.every_s),
        as_json: args.json,
        out,
        events,
        snapshots,
        trace,
        summary: Summary::default(),
        printed: None,
        foreign: foreign_hint(&config.vision.model, &registry),
        told_foreign: false,
        source: SourceLog::default(),
    };
    let result = caption::run(captioner, &config, input, args.max_frames, stop, &mut |event| {
        reporter.take(event)?;
        Ok(ControlFlow::Continue(()))
    });
    let Reporter { out, events, trace, summary, .. } = reporter;
    // Whatever happened, what is complete is on the disk.
    if let Some(events) = events {
        events.end()?;
    }
    if let Some(trace) = trace {
        trace.end()?;
    }
    result?;
    if args.json {
        writeln!(out, "{}", json!({"summary": summary}))?;
    } else {
        summary.print(out)?;
    }
    out.flush()?;
    if summary.pictures == 0 && summary.unusable > 0 {
        match summary.unusable {
            1 => bail!("the only picture could not be used"),
            n => bail!("none of the {n} pictures could be used"),
        }
    }
    if summary.failed > 0 {
        bail!("a stage failed on {}; the log says why", number(summary.failed, "picture", "pictures"));
    }
    Ok(())
}

/// What to do about pictures that the vision model does not know: the models to pull for this board, of those that find things in
/// photographs.
fn foreign_hint(model: &str, registry: &Registry) -> String {
    let bytes = nearfield_base::memory::of_system("MemTotal").unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    // D-FINE's smallest needs some 150 MB beside the language model; on a Pi 3 a classifier is what there is room and time for.
    let names: &[&str] = match (bytes / 1_000_000, cores) {
        (0..1_500, _) | (_, 1) => &["mobilenet-v2", "dfine-nano"],
        (1_500..6_000, _) | (_, 2..=3) => &["dfine-nano"],
        _ => &["dfine-nano", "dfine-small"],
    };
    let listed = names.iter().filter_map(|name| registry.model(name).ok());
    let pulls: Vec<String> =
        listed.map(|m| format!("`nearfield models pull {}` ({})", m.name, registry.size(m))).collect();
    format!(
        "{model} knows drawn scenes only, and this picture is none: it is not described. For photographs and cameras: {}, then \
         `nearfield caption --model {}`",
        pulls.join(" or "),
        names[0]
    )
}

/// Prints captions, and writes events, snapshots and the trace.
struct Reporter<'a> {
    camera: String,
    prints_all: bool,
    /// A line at least this often; zero: only changes.
    every: Duration,
    as_json: bool,
    out: &'a mut dyn Write,
    events: Option<Events>,
    snapshots: Option<Snapshots>,
    trace: Option<TraceWriter>,
    summary: Summary,
    /// When the last line was printed, in the source's time.
    printed: Option<Duration>,
    /// What is logged of the first picture that the vision model does not know, and whether it was.
    foreign: String,
    told_foreign: bool,
    source: SourceLog,
}

impl Reporter<'_> {
    fn take(&mut self, event: CaptionEvent) -> anyhow::Result<()> {
        self.summary.count(&event);
        match event {
            CaptionEvent::Captioned(done) => self.captioned(&done),
            CaptionEvent::Failed { turn, stage, reason } => {
                tracing::warn!("{reason}");
                let kind = if stage == "decode" { "unusable" } else { "failed" };
                self.write_event(kind, &json!({"frame": turn.map(|t| t.0), "reason": reason}))
            }
            CaptionEvent::News { time, news } => self.news(time, &news),
            CaptionEvent::Source(event) => {
                let (kind, body) = self.source.log(event);
                self.write_event(kind, &body)
            }
        }
    }

    fn news(&mut self, time: SystemTime, news: &[News]) -> anyhow::Result<()> {
        if let Some(events) = &mut self.events {
            events.news(news, &self.camera, time)?;
        }
        if self.as_json {
            return Ok(());
        }
        for news in news {
            if let News::Ended(event) = news {
                writeln!(self.out, "{} # {}", clock(event.start_at), one_line(&event.caption))?;
            }
        }
        Ok(())
    }

    fn captioned(&mut self, done: &Done) -> anyhow::Result<()> {
        let captioned = &done.captioned;
        if captioned.sight.is_foreign && !std::mem::replace(&mut self.told_foreign, true) {
            tracing::warn!("{}", self.foreign);
        }
        // First the picture, then what names it.
        let snapshot = match &self.snapshots {
            Some(snapshots) if captioned.changed || !captioned.alerts.is_empty() => {
                Some(snapshots.write(done, &self.camera)?)
            }
            _ => None,
        };
        let snapshot = snapshot.as_deref();
        let due = self.printed.is_none_or(|at| captioned.view.at.saturating_sub(at) >= self.every);
        let due = due && !self.every.is_zero() && !captioned.caption.is_empty();
        if captioned.changed || self.prints_all || due {
            self.printed = Some(captioned.view.at);
            print(done, &self.camera, snapshot, self.as_json, self.out)?;
        }
        if let Some(trace) = &mut self.trace {
            trace.stages(done.turn, &done.stages)?;
        }
        if let Some(events) = &mut self.events {
            events.of(done, &self.camera, snapshot)?;
        }
        Ok(())
    }

    fn write_event(&mut self, kind: &str, body: &Value) -> anyhow::Result<()> {
        match &mut self.events {
            Some(events) => events.write(&self.camera, SystemTime::now(), kind, body),
            None => Ok(()),
        }
    }
}

/// What is logged of a source that disconnects again and again.
pub struct SourceLog {
    attempts: Attempts,
    /// The last message, if one was logged.
    message: Option<String>,
    back_since: Option<Instant>,
}

impl Default for SourceLog {
    fn default() -> Self {
        Self { attempts: Attempts::to_print(), message: None, back_since: None }
    }
}

impl SourceLog {
    /// Logs the event; answers its kind and body for the file of events.
    pub fn log(&mut self, event: SourceEvent) -> (&'static str, Value) {
        match event {
            SourceEvent::Disconnected { reason, retry_in, attempts } => {
                if self.back_since.take().is_some_and(|at| at.elapsed() > SOURCE_IS_STABLE) {
                    let _ = self.attempts.succeeded();
                }
                self.message = self.attempts.failed_with(&reason, retry_in).message;
                if let Some(message) = &self.message {
                    tracing::warn!("{message}");
                }
                let body = json!({"reason": reason, "retry_in_ms": ms(retry_in), "attempts": attempts});
                ("source_disconnected", body)
            }
            SourceEvent::Reconnected => {
                self.back_since = Some(Instant::now());
                // Of a source that comes and goes, only what was printed of its going.
                if self.message.is_some() {
                    tracing::warn!("the source is back");
                }
                ("source_reconnected", json!({}))
            }
        }
    }
}

/// What it all came to.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Pictures that went through the gate.
    pictures: u64,
    /// Captions that were new.
    captions: u64,
    /// Pictures for which the language model was called.
    language_model: u64,
    /// Time at it.
    language_ms: f64,
    /// Captions that the rule wrote because the model's did not name what was found.
    by_rule: u64,
    /// Captions that a second opinion upheld.
    upheld: u64,
    /// Pictures of a kind that the vision model does not know.
    foreign: u64,
    /// Pictures that a newer one took the place of.
    dropped: u64,
    /// Pictures that could not be used.
    unusable: u64,
    /// Pictures on which a stage failed.
    failed: u64,
    /// How often the source disconnected.
    source_disconnects: u64,
    /// Events that have ended.
    events: u64,
    /// What became of the prompts' tokens.
    tokens: Tokens,
}

impl Summary {
    fn count(&mut self, told: &CaptionEvent) {
        match told {
            CaptionEvent::Captioned(done) => {
                let c = &done.captioned;
                self.pictures += 1;
                self.captions += u64::from(c.changed);
                self.language_model += u64::from(c.tokens.prefilled + c.tokens.generated > 0);
                self.language_ms += ms(c.language);
                self.by_rule += u64::from(c.author == Author::Rule && c.changed);
                self.foreign += u64::from(c.sight.is_foreign);
                self.upheld += u64::from(c.second_opinion.is_some() && c.author == Author::Kept);
                self.dropped = done.dropped;
                self.tokens += c.tokens;
            }
            CaptionEvent::Failed { stage: "decode", .. } => self.unusable += 1,
            CaptionEvent::Failed { .. } => self.failed += 1,
            CaptionEvent::Source(SourceEvent::Disconnected { .. }) => self.source_disconnects += 1,
            CaptionEvent::Source(SourceEvent::Reconnected) => {}
            CaptionEvent::News { news, .. } => {
                self.events += news.iter().filter(|news| matches!(news, News::Ended(_))).count() as u64;
            }
        }
    }

    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{}, {}; the language model was needed for {} ({:.0} ms; tokens: {}), the other {} cost it nothing",
            number(self.pictures, "picture", "pictures"),
            number(self.captions, "caption", "captions"),
            number(self.language_model, "picture", "pictures"),
            self.language_ms,
            self.tokens,
            self.pictures - self.language_model
        )?;
        let more = [
            (
                self.by_rule,
                "caption was computed, not written by the model",
                "captions were computed, not written by the model",
            ),
            (self.upheld, "caption was upheld by a second opinion", "captions were upheld by a second opinion"),
            (
                self.foreign,
                "picture was of a kind that the vision model does not know, and was not described",
                "pictures were of a kind that the vision model does not know, and were not described",
            ),
            (
                self.dropped,
                "picture was dropped because a newer one had come",
                "pictures were dropped because a newer one had come",
            ),
            (self.unusable, "picture could not be used", "pictures could not be used"),
            (self.failed, "picture on which a stage failed", "pictures on which a stage failed"),
            (self.source_disconnects, "source disconnect", "source disconnects"),
            (self.events, "event", "events"),
        ];
        for (n, one, many) in more.iter().filter(|(n, ..)| *n > 0) {
            writeln!(out, "{}", number(*n, one, many))?;
        }
        Ok(())
    }
}

/// A number with its noun.
fn number(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn print(
    done: &Done,
    camera: &str,
    snapshot: Option<&Path>,
    as_json: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let c = &done.captioned;
    if as_json {
        writeln!(out, "{}", line(done, camera, snapshot))?;
        return out.flush();
    }
    let clock = clock(c.view.at);
    let caption = if c.caption.is_empty() { "(nothing described yet)" } else { &c.caption };
    let cost = if c.tokens.prefilled + c.tokens.generated > 0 {
        format!("{:.0} ms; {}", ms(done.latency), c.tokens)
    } else {
        "no language model".to_owned()
    };
    let mark = match (c.changed, c.verdict) {
        (true, _) => "*",
        (false, Verdict::Waiting) => "?",
        (false, _) => "=",
    };
    writeln!(out, "{clock} {mark} {}  [{cost}]", one_line(caption))?;
    for alert in &c.alerts {
        writeln!(out, "{clock} ! {} ({})", one_line(&alert.name), one_line(&alert.because))?;
    }
    out.flush()
}

/// A time of the source as lines begin.
fn clock(at: Duration) -> String {
    format!("{:02}:{:02}:{:04.1}", at.as_secs() / 3600, at.as_secs() / 60 % 60, at.as_secs_f64() % 60.0)
}

/// The machine-readable form of a picture's line.
fn line(done: &Done, camera: &str, snapshot: Option<&Path>) -> Value {
    let mut value = json_of(done.turn, &done.captioned, camera);
    value["latency_ms"] = json!(ms(done.latency));
    value["dropped"] = json!(done.dropped);
    if let Some(path) = snapshot {
        value["snapshot"] = json!(path.display().to_string());
    }
    value
}

/// The machine-readable form of what became of a picture.
pub(crate) fn json_of(turn: Turn, c: &Captioned, camera: &str) -> Value {
    let latency = Instant::now().saturating_duration_since(c.view.taken);
    let round = |x: f32| (f64::from(x) * 1e4).round() / 1e4;
    let mut value = json!({
        "time": stamp(c.view.time),
        "frame": turn,
        "camera": camera,
        "caption": c.caption,
        "changed": c.changed,
        "similarity": round(c.similarity),
        "objects": c.sight.objects,
        "confidence": round(c.sight.confidence),
        "tokens": c.tokens,
        "latency_ms": ms(latency),
        "language_ms": ms(c.language),
        "verdict": c.verdict,
        "written_by": c.author,
        "source": c.view.name,
        "at_ms": ms(c.view.at),
    });
    let object = value.as_object_mut().expect("it was made as an object");
    if c.sight.is_foreign {
        object.insert("foreign".into(), json!(true));
    }
    if !c.sight.labels.is_empty() {
        object.insert("labels".into(), json!(c.sight.labels));
    }
    if !c.sight.words.is_empty() {
        object.insert("words".into(), json!(c.sight.words.join(" ")));
    }
    if let Some(difference) = c.second_opinion {
        object.insert("second_opinion".into(), json!(round(difference)));
    }
    if !c.alerts.is_empty() {
        object.insert("alerts".into(), json!(c.alerts));
    }
    value
}

pub(super) fn stamp(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|t| format!("{t:.3}")).unwrap_or_default()
}

/// All files of the command.
fn files_of(args: &CaptionArgs, input: &str, config: &CaptionConfig, registry: &Registry) -> Files {
    let none = Path::new("");
    let mut files = Files::new();
    files.reads("--config", args.config.config.as_deref().unwrap_or(none));
    let outputs = [args.events.as_deref(), args.trace.as_deref()].map(|path| path.unwrap_or(none));
    list_files(&mut files, "--input", input, config, registry, &outputs);
    files.writes("--events", args.events.as_deref().unwrap_or(none));
    files.writes("--snapshots", args.snapshots.as_deref().unwrap_or(none));
    if let Some(path) = &args.trace {
        files.creates("--trace", path, cli::existing(args.overwrite));
    }
    files
}

/// Lists what captions read, and the files among their keys; `outputs`: which files they are to be told apart from.
pub(crate) fn list_files(
    files: &mut Files,
    role: &str,
    input: &str,
    config: &CaptionConfig,
    registry: &Registry,
    outputs: &[&Path],
) {
    match input {
        "-" => files.reads_stdin(),
        _ if input.contains("://") => {}
        path => {
            let path = Path::new(path);
            let is_pattern = path.file_name().is_some_and(|n| n.to_string_lossy().contains(['*', '?', '[']));
            // Snapshots in the folder of a pattern would be the next run's input.
            let read = if is_pattern && !path.exists() { persist::folder_of(path) } else { path };
            files.reads(role, read);
            // Stating each picture of a large folder takes time; a file that is not there yet is none of them.
            if outputs.iter().any(|output| output.is_file()) {
                let pictures = PictureFiles::new(input, config.source.interval(), Pace::Fast).list();
                pictures.unwrap_or_default().iter().for_each(|picture| files.reads(role, picture));
            }
        }
    }
    for (role, name) in [("llm.model", &config.llm.model), ("vision.model", &config.vision.model)] {
        // One that can't be found is an error when it is loaded.
        if let Ok(model) = registry.resolve(name) {
            files.reads_model(role, &model);
        }
    }
    files.reads("vision.manifest", &config.vision.manifest);
    files.reads("nominal.picture", &config.nominal.picture);
    files.reads("output.schema", &config.output.schema);
    files.reads("mqtt.password_file", &config.mqtt.password_file);
    files.reads("mqtt.ca_file", &config.mqtt.ca_file);
    config.outlets.list(files);
    // Several cameras may share these: what lies there has the camera's name.
    files.writes_shared("event.folder", &config.event.folder);
    files.writes_shared("clips.recent", &config.clips.recent);
}
