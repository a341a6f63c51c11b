//! `nearfield models show FILE`: what a model file of the user's own is, told from the file itself.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use nearfield_gguf::Gguf;
use nearfield_llm::{Llm, LlmInfo};
use serde_json::json;

use crate::hub::registry::Registry;

/// Prints what a file is: of a language model its architecture, type, context and how it writes calls.
///
/// # Errors
/// There is no such file, it is broken, or `out` can't be written.
pub fn show(registry: &Registry, name: &str, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let resolved = registry.resolve(name)?;
    let path = resolved.path();
    let bytes = fs::metadata(path).with_context(|| path.display().to_string())?.len();
    let what = registry.format_of(path);
    let is_gguf = what.is_some_and(|(is_gguf, _)| is_gguf);
    let kind = what.map_or("a file of no kind that is known here", |(_, spoken)| spoken);
    let info = if is_gguf { Some(read(path)?) } else { None };
    if as_json {
        let mut line = json!({"file": path.display().to_string(), "kind": kind, "bytes": bytes});
        match info {
            Some(Ok(info)) => line["llm"] = serde_json::to_value(info)?,
            Some(Err(other)) => line["architecture"] = json!(other),
            None => {}
        }
        return Ok(writeln!(out, "{line}")?);
    }
    let mut field = |key: &str, value: &str| writeln!(out, "{key:<12} {value}");
    field("file", &path.display().to_string())?;
    field("kind", kind)?;
    field("bytes", &bytes.to_string())?;
    match info {
        Some(Ok(info)) => {
            field("name", &info.name)?;
            field("architecture", &info.architecture)?;
            field("parameters", &format!("{:.1} million", info.parameters as f64 / 1e6))?;
            let type_ = match info.file_type {
                Some(named) if named != info.quantization => format!("{named} (most weights: {})", info.quantization),
                _ => info.quantization.clone(),
            };
            field("type", &type_)?;
            field("context", &format!("{} tokens", info.context_length))?;
            field("vocabulary", &format!("{} tokens", info.vocab_size))?;
            field("dialect", &dialect(&info))?;
        }
        Some(Err(architecture)) => field("architecture", &format!("{architecture}, which is no language model here"))?,
        None => {}
    }
    Ok(())
}

/// A language model, or the architecture of what is none.
fn read(path: &Path) -> Result<Result<LlmInfo, String>> {
    match Llm::info_of(path) {
        Ok(info) => Ok(Ok(info)),
        Err(error) => {
            // An encoder, a projector: a good file all the same.
            let other =
                Gguf::open(path).ok().and_then(|gguf| gguf.text("general.architecture").ok()?.map(str::to_owned));
            match other.filter(|name| matches!(name.as_str(), "clip" | "bert" | "nomic-bert" | "mmproj")) {
                Some(architecture) => Ok(Err(architecture)),
                None => Err(error.into()),
            }
        }
    }
}

/// How a model writes calls, and by what that is known.
pub(super) fn dialect(info: &LlmInfo) -> String {
    let Some(dialect) = info.dialect else { return "none: it continues text and was not trained to answer".to_owned() };
    let from = if info.has_chat_template { "by its template" } else { "by its marks; it has no template" };
    let thinks = if info.thinks { "; it can think before it answers" } else { "" };
    format!("{dialect} ({from}{thinks})")
}
