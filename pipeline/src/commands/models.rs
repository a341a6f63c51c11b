//! What `nearfield models list|show|pull|verify|path` prints. Results go to the writer that is passed in, progress to stderr; the
//! models themselves are `registry.rs`, fetching is `hub/`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use nearfield_llm::Llm;
use serde_json::json;

use super::models_file;
use crate::hub::content_hash::Sha256;
use crate::hub::registry::{Found, Model, ModelFile, Registry, Role, Status, hint};
use crate::hub::{Event, Hub, Pulled, Wanted};
use crate::output::table::table;
use crate::output::terminal::one_line;

/// Between two lines of progress where stderr is no terminal.
const PROGRESS_LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How `nearfield models pull` behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct PullSettings {
    /// No progress on stderr.
    pub quiet: bool,
    /// Take what the hub has now and record it anew, instead of holding the file to models.lock.
    pub update: bool,
    /// One JSON object a line.
    pub json: bool,
}

/// Prints all models, aligned, or as one JSON object a line.
///
/// # Errors
/// When `out` cannot be written.
pub fn list(registry: &Registry, json: bool, out: &mut dyn Write) -> Result<()> {
    if json {
        for model in registry.models() {
            let size = registry.size(model);
            let line = json!({
                "name": model.name, "aliases": model.aliases, "kind": model.kind, "status": registry.status(model), "licence": model.licence,
                "bytes": size.exact.then_some(size.bytes), "about_bytes": size.bytes, "languages": model.languages,
                "parameters_m": model.parameters_m, "context": model.context, "good_for": model.good_for,
            });
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    let mut rows = vec![["NAME", "KIND", "SIZE", "LICENCE", "STATUS", "GOOD FOR"].map(String::from)];
    for model in registry.models() {
        rows.push([
            model.name.clone(),
            model.kind.name().to_string(),
            registry.size(model).to_string().replace("about ", "~"),
            model.licence.clone(),
            registry.status(model).name().to_string(),
            model.good_for.clone(),
        ]);
    }
    writeln!(out, "{}", table(rows, &[2]))?;
    Ok(())
}

/// Prints all that is known of one model, and where its files lie; of a file of the user's own, what it says of itself.
///
/// # Errors
/// When there is no such model, the lock cannot be read, or `out` cannot be written.
pub fn show(registry: &Registry, name: &str, json: bool, out: &mut dyn Write) -> Result<()> {
    if !registry.is_listed(name) {
        return models_file::show(registry, name, json, out);
    }
    let model = registry.model(name)?;
    let found: Vec<_> = model.files.iter().map(|file| registry.find(model, file)).collect::<Result<_, _>>()?;
    if json {
        let mut line = serde_json::to_value(model)?;
        line["status"] = json!(registry.status(model));
        for (i, found) in found.iter().enumerate() {
            line["files"][i]["on_disk"] = json!(found.as_ref().map(|f| f.path.display().to_string()));
            line["files"][i]["locked"] = json!(found.as_ref().and_then(|f| f.locked.as_ref()));
        }
        return Ok(writeln!(out, "{line}")?);
    }
    let mut field = |key: &str, value: &str| writeln!(out, "{key:<12} {value}");
    field("name", &model.name)?;
    if !model.aliases.is_empty() {
        field("also", &model.aliases.join(", "))?;
    }
    field("kind", model.kind.name())?;
    field("status", registry.status(model).name())?;
    field("size", &registry.size(model).to_string())?;
    field("licence", &model.licence)?;
    field("good for", &model.good_for)?;
    if !model.languages.is_empty() {
        field("languages", &model.languages.join(", "))?;
    }
    if let Some(millions) = model.parameters_m {
        field("parameters", &format!("{millions} million"))?;
    }
    if let Some(context) = model.context {
        field("context", &format!("{context} tokens"))?;
    }
    if let Some(notes) = &model.notes {
        field("notes", notes)?;
    }
    let settings = serde_json::to_value(model.settings)?;
    for (key, value) in settings.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        field("setting", &format!("{key} = {value}"))?;
    }
    let prompt = serde_json::to_value(&model.prompt)?;
    for (key, value) in prompt.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        field("prompt", &format!("{key} = {value}"))?;
    }
    let weights =
        model.files.iter().zip(&found).find(|(file, _)| file.role == Role::Model && file.path.ends_with(".gguf"));
    if let Some(info) = weights.and_then(|(_, found)| Llm::info_of(&found.as_ref()?.path).ok()) {
        field("dialect", &models_file::dialect(&info))?;
    }
    for (file, found) in model.files.iter().zip(&found) {
        field("\nfile        ", &file.path)?;
        if file.role == Role::Vision {
            field("  role", "the projector, by which the model sees pictures")?;
        }
        if let Some((repository, revision)) = model.origin(file) {
            field("  from", &format!("https://huggingface.co/{repository} at {revision}"))?;
        }
        let locked = found.as_ref().and_then(|f| f.locked.as_ref());
        if let Some(bytes) = file.bytes.or(locked.map(|l| l.bytes)) {
            field("  bytes", &bytes.to_string())?;
        } else if let Some(about) = file.about_mb {
            field("  bytes", &format!("about {about} million"))?;
        }
        match (file.sha256, locked) {
            (Some(sha256), _) => field("  sha256", &sha256.to_string())?,
            (None, Some(locked)) => field("  sha256", &locked.sha256.to_string())?,
            (None, None) => field("  sha256", "recorded at the first pull")?,
        }
        if let Some(locked) = locked {
            field("  locked", &format!("commit {} on {}", locked.commit, locked.date))?;
        }
        field("  on disk", &found.as_ref().map_or("not here".to_string(), |f| f.path.display().to_string()))?;
    }
    Ok(())
}

/// Fetches models from the hub of the environment (`HF_ENDPOINT`, `HF_TOKEN`). `stop` is called a few times a second and says whether to
/// give up (Ctrl-C); what has arrived is then kept for resuming.
///
/// # Errors
/// At the first model that is unknown or cannot be fetched.
pub fn pull(
    registry: &Registry,
    names: &[String],
    settings: PullSettings,
    stop: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<()> {
    pull_from(&Hub::from_env()?, registry, names, settings, stop, out)
}

/// As [`pull`], from this hub.
///
/// # Errors
/// As [`pull`].
pub fn pull_from(
    hub: &Hub,
    registry: &Registry,
    names: &[String],
    settings: PullSettings,
    stop: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<()> {
    // All names first: a typing error in the last one should not be found an hour later.
    let models = names.iter().map(|name| registry.model(name)).collect::<Result<Vec<_>, _>>()?;
    for model in models {
        for file in &model.files {
            let Some((repository, revision)) = model.origin(file) else {
                registry.resolve(&model.name)?;
                if settings.json {
                    writeln!(out, "{}", json!({"name": model.name, "file": file.path, "status": Status::Bundled}))?;
                } else {
                    writeln!(out, "{}: is bundled, nothing to pull", model.name)?;
                }
                continue;
            };
            let wanted = Wanted { repository, revision, file: &file.path, bytes: file.bytes, sha256: file.sha256 };
            let mut progress = PullProgress::new(&model.name, &file.path, settings.quiet);
            let places = registry.places();
            let pulled = hub.pull(&places.cache, &places.lock(), &wanted, settings.update, stop, &mut |event| {
                progress.show(&event);
            });
            progress.end();
            report_pulled(model, file, &pulled?, settings.json, out)?;
        }
    }
    Ok(())
}

fn report_pulled(model: &Model, file: &ModelFile, pulled: &Pulled, json: bool, out: &mut dyn Write) -> Result<()> {
    let locked = &pulled.locked;
    if json {
        let line = json!({
            "name": model.name, "file": file.path, "status": Status::Pulled, "was_here": pulled.was_here,
            "path": pulled.path.display().to_string(), "bytes": locked.bytes, "sha256": locked.sha256,
            "repository": locked.repository, "commit": locked.commit,
        });
        return Ok(writeln!(out, "{line}")?);
    }
    let how = if pulled.was_here { "already here, verified" } else { "pulled, verified" };
    let (size, path) = (DecimalBytes(locked.bytes), pulled.path.display());
    Ok(writeln!(out, "{}: {how}: {size}, sha256 {}, {path}", model.name, locked.sha256)?)
}

/// Hashes the files of one model, or of every model that is here, and compares them with the list and the lock.
///
/// # Errors
/// When a file is not what it must be: named, with how to fix it, after all have been checked. When the one model that was named
/// is not here.
pub fn verify(
    registry: &Registry,
    name: Option<&str>,
    json: bool,
    stop: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<()> {
    let models: Vec<&Model> = match name {
        Some(name) => vec![registry.model(name)?],
        None => registry.models().iter().filter(|m| registry.status(m) != Status::Available).collect(),
    };
    let (mut checked, mut wrong) = (0, Vec::new());
    for model in models {
        for file in &model.files {
            let Some(found) = registry.find(model, file)? else {
                if model.bundled || name.is_none() {
                    wrong.push(format!(
                        "{}: {} is missing; {}",
                        model.name,
                        file.path,
                        hint(model, &Path::new("assets/models").join(&file.path))
                    ));
                    print_verdict(model, file, None, "missing", None, None, json, out)?;
                    continue;
                }
                registry.resolve(&model.name)?; // says how to get it
                bail!("{}: {} is missing", model.name, file.path);
            };
            checked += 1;
            let (by, expected) = held_to(registry, file, &found);
            let hash = Sha256::of_file(&found.path, &mut |_| !stop());
            if stop() {
                bail!("stopped before all was verified");
            }
            let hash = hash.with_context(|| found.path.display().to_string())?;
            let verdict = match expected {
                Some(expected) if expected == hash => "right",
                Some(_) => "wrong",
                None => "unknown",
            };
            if let Some(expected) = expected.filter(|e| *e != hash) {
                wrong.push(format!(
                    "{} is not what {by} says (sha256 {expected}, found {hash}); {}",
                    found.path.display(),
                    hint(model, &found.path)
                ));
            }
            print_verdict(model, file, Some(&found.path), verdict, expected, Some(hash), json, out)?;
        }
    }
    if checked == 0 && wrong.is_empty() && !json {
        writeln!(out, "no model is here; `nearfield models list` shows what can be pulled")?;
    }
    if !wrong.is_empty() {
        out.flush()?;
        bail!("{}", wrong.join("; "));
    }
    Ok(())
}

/// What a file is held to, and by whom: the list, the lock, or the name that the cache gives a large file (its hash).
fn held_to(registry: &Registry, file: &ModelFile, found: &Found) -> (String, Option<Sha256>) {
    if let Some(sha256) = file.sha256 {
        return (registry.source().display().to_string(), Some(sha256));
    }
    if let Some(locked) = &found.locked {
        return (registry.places().lock().path().display().to_string(), Some(locked.sha256));
    }
    let blob = std::fs::canonicalize(&found.path).ok();
    let name = blob.as_deref().and_then(Path::file_name).and_then(|n| n.to_str());
    ("the cache".to_string(), name.and_then(|n| n.parse().ok()))
}

#[expect(clippy::too_many_arguments, reason = "the columns of one line")]
fn print_verdict(
    model: &Model,
    file: &ModelFile,
    path: Option<&Path>,
    verdict: &str,
    expected: Option<Sha256>,
    found: Option<Sha256>,
    json: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let path = path.map(|p| p.display().to_string());
    if json {
        let line = json!({
            "name": model.name, "file": file.path, "path": path, "verdict": verdict, "expected": expected, "found": found,
        });
        return Ok(writeln!(out, "{line}")?);
    }
    let what = match verdict {
        "unknown" => "unknown: no hash is recorded of it; `nearfield models pull` records one",
        other => other,
    };
    Ok(writeln!(out, "{}: {}: {what}", model.name, path.as_deref().unwrap_or(&file.path))?)
}

/// Prints where a model's main file lies.
///
/// # Errors
/// When the model is unknown or not here; the message says how to get it.
pub fn path(registry: &Registry, name: &str, out: &mut dyn Write) -> Result<()> {
    Ok(writeln!(out, "{}", registry.resolve(name)?.path().display())?)
}

/// Progress of a pull on stderr: a bar on a terminal, else a line every few seconds, or nothing with `--quiet`.
struct PullProgress {
    what: String,
    bar: Option<ProgressBar>,
    quiet: bool,
    of: u64,
    last_line: Instant,
}

impl PullProgress {
    fn new(name: &str, file: &str, quiet: bool) -> Self {
        let what = one_line(&format!("{name}: {}", file.rsplit('/').next().unwrap_or(file))).into_owned();
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template(
                "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
            );
            let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.with_message(what.clone())
        });
        Self { what, bar, quiet, of: 0, last_line: Instant::now() }
    }

    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Fetching { from, of } => {
                self.of = *of;
                if let Some(bar) = &self.bar {
                    bar.set_length(*of);
                    bar.set_position(*from);
                    bar.reset_eta();
                }
                let rest = DecimalBytes(of - from);
                let resumed = if *from > 0 { format!(" (resumed at {})", DecimalBytes(*from)) } else { String::new() };
                self.line(&format!("downloading {rest}{resumed}"), false);
            }
            Event::Arrived(bytes) => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*bytes);
                } else if self.last_line.elapsed() >= PROGRESS_LINE_INTERVAL {
                    self.line(&format!("{} of {}", DecimalBytes(*bytes), DecimalBytes(self.of)), false);
                }
            }
            // A small file is hashed before anyone could read that it is.
            Event::Hashing(bytes) if *bytes >= 50_000_000 => {
                self.line(&format!("verifying {} on disk", DecimalBytes(*bytes)), false);
            }
            Event::Hashing(_) => {}
            Event::Waiting => self.line("waiting for another process that is downloading it", true),
            Event::Damaged(path) => self.line(&format!("{} is damaged and is downloaded again", path.display()), true),
            Event::Retrying { why, after } => {
                self.line(&format!("{why}; trying again in {:.1} s", after.as_secs_f64()), true);
            }
        }
    }

    /// A line on stderr; beside a bar only what the bar does not show.
    fn line(&mut self, text: &str, beside_a_bar: bool) {
        self.last_line = Instant::now();
        let text = one_line(text);
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) if beside_a_bar => bar.println(format!("{}: {text}", self.what)),
            Some(_) => {}
            // Nobody reads it: no reason to stop pulling.
            None => drop(writeln!(io::stderr(), "{}: {text}", self.what)),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
