//! Wake words: from their names, or paths of the user's own, to the models that hear them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nearfield_speech::vad::Earshot;
use nearfield_speech::wake::{OpenWakeWord, WakeFiles, WakeSpotter};
use nearfield_stages::voice::wake::WakeWord;

use crate::config::WakeConfig;
use crate::hub::registry::{Kind, Registry, Resolved, Role};

/// The spotter of all words of the configuration, and what each does; `None` where everything is listened to.
///
/// # Errors
/// A word is unknown, not there, or broken.
pub fn load_wake(config: &WakeConfig, registry: &Registry) -> anyhow::Result<Option<(WakeSpotter, Vec<WakeWord>)>> {
    if config.word.is_empty() {
        return Ok(None);
    }
    let wakes = config.word.iter().map(|name| WakeWord { name: name.clone(), stops: false });
    let stops = config.stop.iter().map(|name| WakeWord { name: name.clone(), stops: true });
    let words: Vec<WakeWord> = wakes.chain(stops).collect();
    let names: Vec<&str> = words.iter().map(|word| word.name.as_str()).collect();
    let model = open_words(&names, registry)?;
    let thresholds = (0..words.len()).map(|word| config.threshold_of(word)).collect();
    let spotter = WakeSpotter::new(Box::new(model), thresholds, Some(Box::new(Earshot::default())));
    Ok(Some((spotter, words)))
}

/// The model of these words.
///
/// # Errors
/// A word is unknown, not there, or broken.
pub fn open_words(names: &[&str], registry: &Registry) -> anyhow::Result<OpenWakeWord> {
    let mut shared = None;
    let mut words = Vec::new();
    for name in names {
        let resolved = resolve(name, registry)?;
        let beside = shared_files(&resolved);
        shared = shared.or(beside);
        words.push(resolved.path().to_owned());
    }
    // For a word of the user's own, those of any other word.
    let listed = || {
        let models = registry.models().iter().filter(|model| model.kind == Kind::Wake);
        models.filter_map(|model| registry.resolve(&model.name).ok()).find_map(|model| shared_files(&model))
    };
    let Some((spectrogram, embedding)) = shared.or_else(listed) else {
        bail!(
            "wake.word: melspectrogram.onnx and embedding_model.onnx, which all words share, are not there: put them beside {}, or \
             `nearfield models pull hey-jarvis`",
            names.first().unwrap_or(&"the word")
        );
    };
    OpenWakeWord::open(&WakeFiles { spectrogram, embedding, words }).context("wake.word")
}

/// "hey jarvis" is hey-jarvis in the list; what has a file's form is one.
pub fn resolve(name: &str, registry: &Registry) -> anyhow::Result<Resolved> {
    let is_file = name.contains('/') || Path::new(name).extension().is_some();
    let listed = name.to_lowercase().replace([' ', '_'], "-");
    if Path::new(name).extension().is_some_and(|extension| extension == "tflite") {
        bail!(
            "wake.word: {name} is a TensorFlow Lite model, and only ONNX models run here: give the word's .onnx file"
        );
    }
    registry.resolve_as(if is_file { name } else { &listed }, &[Kind::Wake]).context("wake.word")
}

/// The spectrogram and the embedding that come with a word of the list, or lie beside a file.
fn shared_files(word: &Resolved) -> Option<(PathBuf, PathBuf)> {
    let role = |role, name: &str| {
        word.file(role)
            .map(Path::to_owned)
            .or_else(|| Some(word.path().with_file_name(name)).filter(|path| path.is_file()))
    };
    Some((role(Role::Preprocessing, "melspectrogram.onnx")?, role(Role::Embedding, "embedding_model.onnx")?))
}
