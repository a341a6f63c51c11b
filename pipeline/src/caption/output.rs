//! `nearfield caption`: what is printed, and what is written into the file of events and the folder of snapshots.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use jiff::Timestamp;
use nearfield_models::flow::Flow;
use nearfield_models::vision::{Verdict, annotate, encode_jpeg};
use nearfield_stages::caption::pictures::SourceNews;
use nearfield_stages::messages::{Author, Captioned, Tokens};
use nearfield_stages::turn::Turn;
use nearfield_stages::voice::capture::StopSignal;
use serde::Serialize;
use serde_json::{Value, json};

use crate::caption::config::CaptionConfig;
use crate::caption::{self, Captioner, Done, Told, open_input};
use crate::cli::CaptionArgs;
use crate::registry::Registry;
use crate::terminal::{escape, one_line};
use crate::turn_report::{TraceWriter, ms};

/// Runs the command.
///
/// # Errors
/// If something that it needs is missing, the source fails for good, or no picture could be used.
pub fn caption(args: &CaptionArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = CaptionConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if let Some(every) = args.every {
        config.output.every_s = every;
    }
    let name = args.input.as_deref().unwrap_or(&config.source.input).to_owned();
    let input = open_input(&name, args.realtime, &config)?;
    let registry = Registry::open()?;
    let mut events = args.events.as_deref().map(Events::open).transpose()?;
    let snapshots = args.snapshots.as_deref().map(Snapshots::open).transpose()?;
    let mut trace = args.trace.as_deref().map(TraceWriter::create).transpose()?;
    let captioner = Captioner::load(&config, &registry)?;
    let mut summary = Summary::default();
    let mut printed: Option<Duration> = None;
    let every = Duration::from_secs_f64(config.output.every_s);
    let result = {
        let mut report = |told: Told| -> anyhow::Result<Flow> {
            summary.count(&told);
            match told {
                Told::Captioned(done) => {
                    let due = printed.is_none_or(|at| done.captioned.view.at.saturating_sub(at) >= every);
                    let due = due && !every.is_zero() && !done.captioned.caption.is_empty();
                    if done.captioned.changed || config.output.all || due {
                        printed = Some(done.captioned.view.at);
                        print(&done, &config.source.camera, args.json, out)?;
                    }
                    if let Some(trace) = &mut trace {
                        trace.stages(done.turn, &done.stages).context("the trace can't be written")?;
                    }
                    if let Some(events) = &mut events {
                        events.of(&done, &config.source.camera)?;
                    }
                    if let Some(snapshots) = &snapshots
                        && (done.captioned.changed || !done.captioned.alerts.is_empty())
                    {
                        snapshots.write(&done, &config.source.camera)?;
                    }
                }
                Told::Failed { turn, stage, reason } => {
                    tracing::warn!("{reason}");
                    if let Some(events) = &mut events {
                        let kind = if stage == "decode" { "unusable" } else { "failed" };
                        let frame = turn.map(|t| t.0);
                        events.write(
                            &config.source.camera,
                            SystemTime::now(),
                            kind,
                            &json!({"frame": frame, "reason": reason}),
                        )?;
                    }
                }
                Told::Source(news) => {
                    let (kind, body) = match news {
                        SourceNews::Died { reason, retry_in, attempts } => {
                            let wait = retry_in.as_secs_f32();
                            tracing::warn!("{reason}; reconnecting in {wait} s (attempt {attempts})");
                            (
                                "source_died",
                                json!({"reason": reason, "retry_in_ms": ms(retry_in), "attempts": attempts}),
                            )
                        }
                        SourceNews::Revived => {
                            tracing::warn!("the source is back");
                            ("source_back", json!({}))
                        }
                    };
                    if let Some(events) = &mut events {
                        events.write(&config.source.camera, SystemTime::now(), kind, &body)?;
                    }
                }
            }
            Ok(Flow::Continue)
        };
        caption::run(captioner, &config, input, args.max_frames, stop, &mut report)
    };
    // Whatever happened, what is complete is on the disk.
    if let Some(events) = events {
        events.end()?;
    }
    if let Some(trace) = trace {
        trace.end().context("the trace can't be written")?;
    }
    result?;
    if args.json {
        writeln!(out, "{}", json!({"summary": summary}))?;
    } else {
        summary.print(out)?;
    }
    out.flush()?;
    if summary.pictures == 0 && summary.unusable > 0 {
        bail!("none of the {} pictures could be used", summary.unusable);
    }
    Ok(())
}

/// What it all came to.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Pictures that went through the gate.
    pictures: u64,
    /// Captions that were new.
    captions: u64,
    /// Pictures for which the language model was asked anything.
    language_model: u64,
    /// Time at it.
    language_ms: f64,
    /// Captions that the rule wrote because the model's did not name what was found.
    by_rule: u64,
    /// Captions that a second opinion upheld.
    upheld: u64,
    /// Pictures that a newer one took the place of.
    dropped: u64,
    /// Pictures that could not be used.
    unusable: u64,
    /// Times that the source died.
    source_deaths: u64,
    /// What became of the prompts' tokens.
    tokens: Tokens,
}

impl Summary {
    fn count(&mut self, told: &Told) {
        match told {
            Told::Captioned(done) => {
                let c = &done.captioned;
                self.pictures += 1;
                self.captions += u64::from(c.changed);
                self.language_model += u64::from(c.tokens.prefilled + c.tokens.generated > 0);
                self.language_ms += ms(c.language);
                self.by_rule += u64::from(c.author == Author::Rule);
                self.upheld += u64::from(c.second_opinion.is_some() && c.author == Author::Kept);
                self.dropped = done.dropped;
                self.tokens += c.tokens;
            }
            Told::Failed { stage: "decode", .. } => self.unusable += 1,
            Told::Failed { .. } => {}
            Told::Source(SourceNews::Died { .. }) => self.source_deaths += 1,
            Told::Source(SourceNews::Revived) => {}
        }
    }

    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{} pictures, {} captions; the language model was needed for {} pictures ({:.0} ms; tokens: {}), the other {} cost \
             it nothing",
            self.pictures,
            self.captions,
            self.language_model,
            self.language_ms,
            self.tokens,
            self.pictures - self.language_model
        )?;
        let more = [
            (self.by_rule, "captions were computed, not written by the model"),
            (self.upheld, "captions were upheld by a second opinion"),
            (self.dropped, "pictures were dropped because a newer one had come"),
            (self.unusable, "pictures could not be used"),
            (self.source_deaths, "times the source died"),
        ];
        for (n, what) in more.iter().filter(|(n, _)| *n > 0) {
            writeln!(out, "{n} {what}")?;
        }
        Ok(())
    }
}

fn print(done: &Done, camera: &str, as_json: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let c = &done.captioned;
    if as_json {
        writeln!(out, "{}", line(done, camera))?;
        return out.flush();
    }
    let at = c.view.at;
    let clock = format!("{:02}:{:02}:{:04.1}", at.as_secs() / 3600, at.as_secs() / 60 % 60, at.as_secs_f64() % 60.0);
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

/// The machine-readable form of a picture's line.
fn line(done: &Done, camera: &str) -> Value {
    let mut value = json_of(done.turn, &done.captioned, camera);
    value["latency_ms"] = json!(ms(done.latency));
    value["dropped"] = json!(done.dropped);
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

fn stamp(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|t| format!("{t:.3}")).unwrap_or_default()
}

/// The file of events: each is one whole line, handed to the system at once.
struct Events {
    file: File,
    path: PathBuf,
}

impl Events {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("the events {} can't be written", path.display()))?;
        Ok(Self { file, path: path.to_owned() })
    }

    fn write(&mut self, camera: &str, time: SystemTime, kind: &str, body: &Value) -> anyhow::Result<()> {
        let mut event = json!({"time": stamp(time), "camera": camera, "event": kind});
        if let (Some(event), Some(body)) = (event.as_object_mut(), body.as_object()) {
            event.extend(body.clone());
        }
        let text = format!("{}\n", escape(&event.to_string()));
        self.file.write_all(text.as_bytes()).with_context(|| format!("the events {}", self.path.display()))
    }

    fn of(&mut self, done: &Done, camera: &str) -> anyhow::Result<()> {
        let c = &done.captioned;
        let time = c.view.time;
        let at = |at: Duration| json!(ms(at));
        for movement in &c.movements {
            let kind = if movement.entered { "entered" } else { "left" };
            // Told a little later than it happened: after enough pictures, or long enough without any.
            let happened = time - c.view.at.saturating_sub(movement.at);
            let body = json!({"object": movement.label, "score": movement.score, "frame": done.turn, "at_ms": at(movement.at)});
            self.write(camera, happened, kind, &body)?;
        }
        if c.changed {
            let body = json!({
                "caption": c.caption, "frame": done.turn, "at_ms": at(c.view.at), "similarity": c.similarity, "written_by": c.author,
            });
            self.write(camera, time, "caption", &body)?;
        }
        for alert in &c.alerts {
            let body = json!({
                "alert": alert.name, "because": alert.because, "caption": c.caption, "frame": done.turn, "at_ms": at(c.view.at),
            });
            self.write(camera, time, "alert", &body)?;
        }
        Ok(())
    }

    fn end(self) -> anyhow::Result<()> {
        self.file.sync_all().or_else(|e| match e.kind() {
            // A pipe or a terminal has no disk behind it.
            std::io::ErrorKind::InvalidInput => Ok(()),
            _ => Err(e).with_context(|| format!("the events {}", self.path.display())),
        })
    }
}

/// The folder of snapshots.
struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("the snapshots {} can't be written", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn write(&self, done: &Done, camera: &str) -> anyhow::Result<()> {
        let c = &done.captioned;
        let jpeg = encode_jpeg(&annotate(&c.view.picture, &c.sight.objects, &c.caption), 85)?;
        let safe: String = camera.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = self.folder.join(format!("{safe}-{:06}.jpg", done.turn.0));
        std::fs::write(&path, jpeg).with_context(|| format!("the snapshot {} can't be written", path.display()))
    }
}
