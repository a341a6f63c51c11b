//! What `nearfield models list|show|pull|verify|path` prints. Results go to the writer that is passed in, progress to stderr; the
//! models themselves are `registry.rs`, fetching is `hub.rs`.

use std::io::Write;

use anyhow::Result;

use crate::registry::Registry;

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
    let _ = json;
    registry
        .models()
        .iter()
        .try_for_each(|m| Ok(writeln!(out, "{}", m.name)?))
}

/// Prints all that is known of one model, and where its files lie.
///
/// # Errors
/// When there is no such model, or `out` cannot be written.
pub fn show(registry: &Registry, name: &str, json: bool, out: &mut dyn Write) -> Result<()> {
    let _ = json;
    Ok(writeln!(out, "{}", registry.model(name)?.name)?)
}

/// Fetches models. `stop` is asked a few times a second whether to give up (Ctrl-C); what has arrived is then kept for resuming.
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
    let _ = (registry, names, settings, stop, out);
    Ok(())
}

/// Hashes the files of one model, or of every model that is here, and compares them with the list and the lock.
///
/// # Errors
/// When a file is not what it must be: named, with the way out, after all have been checked.
pub fn verify(
    registry: &Registry,
    name: Option<&str>,
    json: bool,
    stop: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<()> {
    let _ = (registry, name, json, stop, out);
    Ok(())
}

/// Prints where a model's main file lies.
///
/// # Errors
/// When the model is unknown or not here; the message says how to get it.
pub fn path(registry: &Registry, name: &str, out: &mut dyn Write) -> Result<()> {
    Ok(writeln!(
        out,
        "{}",
        registry.resolve(name)?.path().display()
    )?)
}
