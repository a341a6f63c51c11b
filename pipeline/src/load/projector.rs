//! The projector file (`mmproj`) of a language model that sees pictures: found in the list of models, or beside the model's own file by
//! the name that such files have.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use nearfield_llm::{Llm, LlmOptions, VisionTower};

use crate::config::LlmConfig;
use crate::hub::registry::{Registry, Role};
use crate::load::LANGUAGE;

/// What such files have in their names.
const MARK: &str = "mmproj";

/// The projector of the language model that `config` names, opened and held to the model; `None` where it has none.
///
/// # Errors
/// The file is named and not there, broken, of an unsupported projector, or belongs to another language model.
pub fn load(config: &LlmConfig, registry: &Registry, llm: &Llm) -> anyhow::Result<Option<Arc<VisionTower>>> {
    let Some(path) = find(config, registry)? else { return Ok(None) };
    let tower = VisionTower::open(&path, &LlmOptions { threads: config.threads }).context("llm.mmproj")?;
    tower.check(llm).context("llm.mmproj")?;
    let info = tower.info();
    tracing::info!(projector = info.projector, file = %path.display(), "the language model sees pictures");
    Ok(Some(tower))
}

/// The file that [`load`] opens.
///
/// # Errors
/// The model is unknown or not there.
pub fn find(config: &LlmConfig, registry: &Registry) -> anyhow::Result<Option<PathBuf>> {
    match config.mmproj.as_str() {
        "none" => Ok(None),
        "" => {
            let model = registry.resolve_as(&config.model, LANGUAGE).context("llm.model")?;
            Ok(model.file(Role::Vision).map(Path::to_owned).or_else(|| beside(model.path())))
        }
        path => Ok(Some(path.into())),
    }
}

/// The projector beside a model's file: the one of the same name but for `mmproj` and the type of the weights, or the only one beside
/// the only model.
fn beside(model: &Path) -> Option<PathBuf> {
    let folder = match model.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")))
        .collect();
    files.sort();
    let is_projector = |path: &PathBuf| stem(path).contains(MARK);
    let (projectors, models): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(is_projector);
    if stem(model).contains(MARK) {
        return None;
    }
    let same = projectors.iter().find(|path| bare(path) == bare(model));
    match (same, &projectors[..], &models[..]) {
        (Some(same), ..) => Some(same.clone()),
        (None, [only], [_]) => Some(only.clone()),
        _ => None,
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// A file's name without what says that it is a projector and how its weights are stored.
fn bare(path: &Path) -> String {
    let is_type = |part: &str| {
        let rest =
            part.strip_prefix("iq").or(part.strip_prefix('q')).or(part.strip_prefix("bf")).or(part.strip_prefix('f'));
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let stem = stem(path);
    let parts = stem.split(['-', '.']).filter(|part| *part != MARK && *part != "model" && !is_type(part));
    parts.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projector_beside_a_model_is_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let make = |name: &str| fs::write(path(name), b"GGUF").unwrap();
        make("SmolVLM-256M-Instruct-Q8_0.gguf");
        assert_eq!(beside(&path("SmolVLM-256M-Instruct-Q8_0.gguf")), None);
        make("mmproj-model-f16.gguf");
        assert_eq!(beside(&path("SmolVLM-256M-Instruct-Q8_0.gguf")), Some(path("mmproj-model-f16.gguf")));
        assert_eq!(beside(&path("mmproj-model-f16.gguf")), None, "a projector has none");
        // Among several the one of the same name.
        make("mmproj-SmolVLM-256M-Instruct-f16.gguf");
        make("gemma-3-4b-it-Q4_K_M.gguf");
        let found = beside(&path("SmolVLM-256M-Instruct-Q8_0.gguf"));
        assert_eq!(found, Some(path("mmproj-SmolVLM-256M-Instruct-f16.gguf")));
        assert_eq!(beside(&path("gemma-3-4b-it-Q4_K_M.gguf")), None, "none of these is certain");
    }
}
