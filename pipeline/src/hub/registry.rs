//! The models Nearfield knows (`assets/models/models.toml`), and the way from a name, or from a path of the user's own, to files
//! on this disk: bundled beside that list, or pulled into the Hugging Face cache. It never uses the network: fetching is
//! `hub/`, and what was fetched is held to by `models_lock.rs`.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use nearfield_stages::voice::tools::HomeForm;
use serde::{Deserialize, Serialize};

use crate::hub::cache::{HubCache, is_commit, is_inner_path, is_repository};
use crate::hub::content_hash::Sha256;
use crate::hub::models_lock::{LockError, LockedFile, ModelsLock};

/// The list as it was when this program was built, so that it is known even where the clone is not.
const COMPILED_IN: &str = include_str!("../../../assets/models/models.toml");

/// The largest list that is read.
const MAX_LIST_BYTES: u64 = 1 << 20;

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Speech to text.
    Stt,
    /// Language model.
    Llm,
    /// Text to speech.
    Tts,
    /// Voice activity.
    Vad,
    /// Classifier, detector or embedding of pictures.
    Vision,
    /// Language model together with an encoder of pictures.
    Multimodal,
}

impl Kind {
    /// As it stands in the list.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Stt => "stt",
            Kind::Llm => "llm",
            Kind::Tts => "tts",
            Kind::Vad => "vad",
            Kind::Vision => "vision",
            Kind::Multimodal => "multimodal",
        }
    }
}

/// What one file of a model is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The weights themselves.
    #[default]
    Model,
    /// The description beside the weights (a Piper voice's JSON).
    Config,
    /// The language model of a multimodal one.
    Language,
    /// The picture encoder of a multimodal one.
    Vision,
    /// The names of a classifier's classes.
    Labels,
    /// How pictures are prepared.
    Preprocessing,
    /// The tokenizer, where it is not inside the weights.
    Tokenizer,
}

impl Kind {
    /// As people call it.
    pub fn spoken(self) -> &'static str {
        match self {
            Kind::Stt => "a speech-to-text model",
            Kind::Llm => "a language model",
            Kind::Tts => "a text-to-speech voice",
            Kind::Vad => "a voice-activity model",
            Kind::Vision => "a vision model",
            Kind::Multimodal => "a multimodal model",
        }
    }
}

/// One file of a model, as the list has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Path inside the repository, or beside the list when bundled.
    pub path: String,
    /// Repository on the hub, where it is not the model's.
    pub repository: Option<String>,
    /// Revision there, where it is not the model's.
    pub revision: Option<String>,
    /// What the file is.
    #[serde(default)]
    pub role: Role,
    /// Exact size, where it is known for certain.
    pub bytes: Option<u64>,
    /// Hash of the content, where it is known for certain.
    pub sha256: Option<Sha256>,
    /// A hint for people, in millions of bytes; never checked.
    pub about_mb: Option<u32>,
}

/// What Nearfield sets for a model unless the configuration says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Language models: tokens of context to allocate.
    pub context_tokens: Option<u32>,
    /// Language models: the form in which they have learned to read a home; `entities` where nothing is said.
    pub home: Option<HomeForm>,
    /// Speech to text: the encoder's context is never cut below this many frames (20 ms each).
    pub audio_ctx_min: Option<u32>,
    /// Voices and voice activity: the rate the model works at, in Hz.
    pub sample_rate_hz: Option<u32>,
    /// Vision: edge of the square picture the model takes, in pixels.
    pub image_px: Option<u32>,
}

/// One model of the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What the user types.
    pub name: String,
    /// Shorter names for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What it does.
    pub kind: Kind,
    /// Licence of the weights.
    pub licence: String,
    /// Whether its files come with Nearfield.
    #[serde(default)]
    pub bundled: bool,
    /// Repository on the hub; not for bundled models.
    pub repository: Option<String>,
    /// Branch, tag or commit there; `main` when absent.
    pub revision: Option<String>,
    /// Its files; the first is the model itself.
    pub files: Vec<ModelFile>,
    /// Languages (BCP 47), or `multilingual`.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Parameters, in millions.
    pub parameters_m: Option<f64>,
    /// Tokens of context that it was trained for.
    pub context: Option<u32>,
    /// For which board and task, in a line.
    pub good_for: String,
    /// What else there is to know.
    pub notes: Option<String>,
    /// What Nearfield sets for it.
    #[serde(default)]
    pub settings: Settings,
}

impl Model {
    /// Whether it has this name, or this shorter one.
    pub fn is_named(&self, name: &str) -> bool {
        self.names().any(|n| n == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// Repository and revision of one of its files; `None` when bundled.
    pub fn origin<'a>(&'a self, file: &'a ModelFile) -> Option<(&'a str, &'a str)> {
        let repository = file.repository.as_deref().or(self.repository.as_deref())?;
        Some((repository, file.revision.as_deref().or(self.revision.as_deref()).unwrap_or("main")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default, rename = "model")]
    models: Vec<Model>,
}

/// The folders that the registry looks into.
#[derive(Clone, Debug)]
pub struct Places {
    /// The `assets` folder of Nearfield's clone, if it was found.
    pub assets: Option<PathBuf>,
    /// The Hugging Face cache.
    pub cache: HubCache,
    /// Nearfield's own data: `models.lock`, and the libraries that set-up fetches.
    pub data: PathBuf,
}

impl Places {
    /// From the environment. Assets: `NEARFIELD_ASSETS`, else the `assets` folder of the clone that the program, else the
    /// current folder, lies in. Cache: `HF_HUB_CACHE`, else `$HF_HOME/hub`, else
    /// `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`. Data: see
    /// [`data_folder`].
    pub fn from_env() -> Self {
        let cache = var("HF_HUB_CACHE").unwrap_or_else(|| {
            let home = var("HF_HOME");
            home.unwrap_or_else(|| {
                var("XDG_CACHE_HOME").unwrap_or_else(|| home_folder().join(".cache")).join("huggingface")
            })
            .join("hub")
        });
        Self { assets: assets_folder(), cache: HubCache::new(cache), data: data_folder() }
    }

    /// The lock of pulled files.
    pub fn lock(&self) -> ModelsLock {
        ModelsLock::in_data_folder(&self.data)
    }
}

/// Nearfield's own data folder: `NEARFIELD_DATA`, else `$XDG_DATA_HOME/nearfield`, else `~/.local/share/nearfield`. It need not
/// exist.
pub fn data_folder() -> PathBuf {
    var("NEARFIELD_DATA")
        .unwrap_or_else(|| var("XDG_DATA_HOME").unwrap_or_else(|| home_folder().join(".local/share")).join("nearfield"))
}

fn assets_folder() -> Option<PathBuf> {
    if let Some(named) = var("NEARFIELD_ASSETS") {
        return Some(named);
    }
    let starts = [env::current_exe().ok(), env::current_dir().ok()];
    let above = starts.iter().flatten().flat_map(|start| start.ancestors());
    let mut assets = above.map(|folder| folder.join("assets"));
    assets.find(|assets| assets.join("models/models.toml").is_file())
}

fn home_folder() -> PathBuf {
    // A service without a home (systemd's DynamicUser) has its state here.
    env::home_dir().filter(|home| home.is_absolute()).unwrap_or_else(|| PathBuf::from("/var/lib/nearfield"))
}

fn var(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// What can be wrong with the list, with a name, or with what lies on the disk.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The list could not be read.
    #[error("{path}: cannot be read ({cause}); NEARFIELD_ASSETS names the folder that holds models/models.toml")]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The list is not TOML of the right form.
    #[error("{path} line {line}: {message}")]
    Malformed {
        /// The list.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong and what is accepted.
        message: String,
    },
    /// A model of the list contradicts itself.
    #[error("{path}: model {model:?}: {message}")]
    Inconsistent {
        /// The list.
        path: PathBuf,
        /// Its name.
        model: String,
        /// Which key, what was found, what is accepted.
        message: String,
    },
    /// No model has this name, and no file either.
    #[error("there is no model named {name:?}{}; `nearfield models list` shows all, and the path of a file of your own is accepted too", did_you_mean(.near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that are close to it.
        near: Vec<String>,
    },
    /// The model does something else than what is wanted.
    #[error("{name} is {is}, but {wanted} is wanted here; `nearfield models list` shows what each model does")]
    WrongKind {
        /// Its name or path.
        name: String,
        /// What it is.
        is: &'static str,
        /// What is wanted.
        wanted: &'static str,
    },
    /// A path was given and nothing is there.
    #[error("there is no model file at {path}: {cause}")]
    NoSuchFile {
        /// What was asked for.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The model is known, and is not on this disk.
    #[error("{name} is not on this machine; `nearfield models pull {name}` fetches it ({size})")]
    NotPulled {
        /// Its name.
        name: String,
        /// How much that is.
        size: String,
    },
    /// A bundled model's file is missing.
    #[error(
        "{name} comes with Nearfield, but its file {file} is not in {folder}: set NEARFIELD_ASSETS to the assets folder of a complete clone"
    )]
    BundledMissing {
        /// The model.
        name: String,
        /// Which file.
        file: String,
        /// Where it was looked for.
        folder: String,
    },
    /// A file is not as long as it must be.
    #[error("{path} is {found} bytes long, but {by} says {expected}: {hint}")]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The right size.
        expected: u64,
        /// The list or the lock.
        by: String,
        /// What to do.
        hint: String,
    },
    /// The lock could not be used.
    #[error(transparent)]
    Lock(#[from] LockError),
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) }
}

/// Whether a model is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Came with Nearfield.
    Bundled,
    /// In the cache.
    Pulled,
    /// Can be pulled.
    Available,
    /// Part of it is here, a file is missing or has the wrong size.
    Incomplete,
}

impl Status {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Status::Bundled => "bundled",
            Status::Pulled => "pulled",
            Status::Available => "available",
            Status::Incomplete => "incomplete",
        }
    }
}

/// The formats of model files that can be told by how they begin or, for want of that, by how they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gguf,
    Ggml,
    Onnx,
}

impl Format {
    fn of(path: &Path) -> Option<Format> {
        use std::io::Read;
        // Opening a pipe would wait for its other end.
        if !fs::metadata(path).ok()?.is_file() {
            return None;
        }
        let mut begin = [0; 4];
        fs::File::open(path).ok()?.read_exact(&mut begin).ok()?;
        match &begin {
            b"GGUF" => Some(Format::Gguf),
            b"lmgg" => Some(Format::Ggml),
            _ => (path.extension()? == "onnx").then_some(Format::Onnx),
        }
    }

    fn fits(self, kind: Kind) -> bool {
        match self {
            Format::Gguf => matches!(kind, Kind::Llm | Kind::Multimodal),
            Format::Ggml => kind == Kind::Stt,
            Format::Onnx => matches!(kind, Kind::Tts | Kind::Vad | Kind::Vision | Kind::Multimodal),
        }
    }

    fn spoken(self) -> &'static str {
        match self {
            Format::Gguf => "a language model (GGUF)",
            Format::Ggml => "a speech-to-text model (ggml)",
            Format::Onnx => "an ONNX model",
        }
    }
}

/// A model on this disk.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its name in the list, or the path that was given.
    pub name: String,
    /// What it does; `None` for a file of the user's own.
    pub kind: Option<Kind>,
    /// What Nearfield sets for it; nothing for a file of the user's own.
    pub settings: Settings,
    /// Its files and what they are; the first is the model itself, and there is at least one.
    pub files: Vec<(Role, PathBuf)>,
}

impl Resolved {
    /// The model itself.
    pub fn path(&self) -> &Path {
        &self.files[0].1
    }

    /// The file with this role.
    pub fn file(&self, role: Role) -> Option<&Path> {
        self.files.iter().find(|(r, _)| *r == role).map(|(_, path)| path.as_path())
    }
}

/// A file of a model on this disk.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// What the lock says of it.
    pub locked: Option<LockedFile>,
}

/// The list of models, and where their files may lie.
#[derive(Clone, Debug)]
pub struct Registry {
    models: Vec<Model>,
    source: PathBuf,
    places: Places,
}

impl Registry {
    /// The list, with the folders from the environment.
    ///
    /// # Errors
    /// [`RegistryError`] when the list is there but wrong.
    pub fn open() -> Result<Self, RegistryError> {
        Self::in_places(Places::from_env())
    }

    /// The list of the assets folder, or the one compiled into the program where there is none.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn in_places(places: Places) -> Result<Self, RegistryError> {
        let Some(assets) = &places.assets else {
            return Self::from_text(COMPILED_IN, Path::new("models.toml (compiled in)"), places);
        };
        let path = assets.join("models/models.toml");
        let unreadable = |source| RegistryError::Unreadable { path: path.clone(), cause: source };
        if fs::metadata(&path).map_err(unreadable)?.len() > MAX_LIST_BYTES {
            return Err(unreadable(std::io::Error::other(format!("longer than {MAX_LIST_BYTES} bytes"))));
        }
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        Self::from_text(&text, &path, places)
    }

    /// A list from memory; `source` is its name in errors.
    ///
    /// # Errors
    /// [`RegistryError::Malformed`] and [`RegistryError::Inconsistent`].
    pub fn from_text(text: &str, source: &Path, places: Places) -> Result<Self, RegistryError> {
        let list: List = toml::from_str(text).map_err(|e| RegistryError::Malformed {
            path: source.to_path_buf(),
            line: e.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1),
            message: e.message().replace('\n', " "),
        })?;
        for (i, model) in list.models.iter().enumerate() {
            let twice = list.models[..i].iter().any(|m| model.names().any(|name| m.is_named(name)));
            let wrong = if twice {
                Some("name or aliases: one of them is used twice".to_string())
            } else {
                contradiction(model)
            };
            if let Some(message) = wrong {
                return Err(RegistryError::Inconsistent {
                    path: source.to_path_buf(),
                    model: model.name.clone(),
                    message,
                });
            }
        }
        Ok(Self { models: list.models, source: source.to_path_buf(), places })
    }

    /// All models, in the list's order.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Where the list was read from.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Where files are looked for.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The model of this name.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], with names that are close.
    pub fn model(&self, name: &str) -> Result<&Model, RegistryError> {
        self.models.iter().find(|m| m.is_named(name)).ok_or_else(|| {
            let lower = name.to_lowercase();
            let mut near: Vec<(f64, &str)> =
                self.models.iter().map(|m| (likeness(&lower, &m.name), m.name.as_str())).collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let near =
                near.into_iter().filter(|(score, _)| *score >= 0.8).take(3).map(|(_, n)| n.to_string()).collect();
            RegistryError::Unknown { name: name.to_string(), near }
        })
    }

    /// The files of a model, by its name in the list or by the path of a file of the user's own (`./mine.gguf`, `/x/y.bin`; a
    /// Piper voice's `X.onnx.json` beside it is taken along).
    ///
    /// # Errors
    /// [`RegistryError`]: unknown name, no such file, not pulled, missing, or not as long as the list or the lock says.
    pub fn resolve(&self, name_or_path: &str) -> Result<Resolved, RegistryError> {
        if let Some(model) = self.models.iter().find(|m| m.is_named(name_or_path)) {
            let mut files = Vec::with_capacity(model.files.len());
            for file in &model.files {
                let path = self.locate(model, file)?.ok_or_else(|| self.absent(model, file))?;
                files.push((file.role, path));
            }
            return Ok(Resolved { name: model.name.clone(), kind: Some(model.kind), settings: model.settings, files });
        }
        let path = PathBuf::from(name_or_path);
        let looks_like_a_path = name_or_path.contains('/') || path.is_file();
        if !looks_like_a_path {
            self.model(name_or_path)?;
        }
        let meta =
            fs::metadata(&path).map_err(|source| RegistryError::NoSuchFile { path: path.clone(), cause: source })?;
        if !meta.is_file() {
            let source = std::io::Error::other("it is not a regular file");
            return Err(RegistryError::NoSuchFile { path, cause: source });
        }
        let mut beside = path.clone().into_os_string();
        beside.push(".json");
        let mut files = vec![(Role::Model, path)];
        if Path::new(&beside).is_file() {
            files.push((Role::Config, beside.into()));
        }
        Ok(Resolved { name: name_or_path.to_string(), kind: None, settings: Settings::default(), files })
    }

    /// As [`Registry::resolve`], for one of `kinds`, the first of which is the one that is usual.
    ///
    /// # Errors
    /// [`RegistryError::WrongKind`] for a model that does something else, whether or not it is here.
    pub fn resolve_as(&self, name_or_path: &str, kinds: &[Kind]) -> Result<Resolved, RegistryError> {
        let wrong = |is: &'static str| {
            let wanted = kinds.first().map_or("another model", |kind| kind.spoken());
            Err(RegistryError::WrongKind { name: name_or_path.to_owned(), is, wanted })
        };
        if let Some(model) = self.models.iter().find(|m| m.is_named(name_or_path)) {
            if !kinds.contains(&model.kind) {
                return wrong(model.kind.spoken());
            }
        } else if let Some(format) = Format::of(Path::new(name_or_path))
            && !kinds.iter().any(|kind| format.fits(*kind))
        {
            return wrong(format.spoken());
        }
        self.resolve(name_or_path)
    }

    /// Where one file of a model lies on this disk; `None` when it is not here.
    ///
    /// # Errors
    /// [`RegistryError::WrongSize`] when it is here and not what the list or the lock says; [`RegistryError::Lock`].
    pub fn locate(&self, model: &Model, file: &ModelFile) -> Result<Option<PathBuf>, RegistryError> {
        let Some(found) = self.find(model, file)? else {
            return Ok(None);
        };
        let (by, expected) = match &found.locked {
            Some(locked) => (self.places.lock().path().display().to_string(), Some(locked.bytes)),
            None => (self.source.display().to_string(), file.bytes),
        };
        let path = found.path;
        let bytes = fs::metadata(&path)
            .map_err(|source| RegistryError::NoSuchFile { path: path.clone(), cause: source })?
            .len();
        match expected {
            Some(expected) if expected != bytes => {
                Err(RegistryError::WrongSize { hint: hint(model, &path), path, found: bytes, expected, by })
            }
            _ => Ok(Some(path)),
        }
    }

    /// As [`Registry::locate`], whatever its size.
    ///
    /// # Errors
    /// [`RegistryError::Lock`].
    pub fn find(&self, model: &Model, file: &ModelFile) -> Result<Option<Found>, RegistryError> {
        let Some((repository, revision)) = model.origin(file) else {
            let path = self.places.assets.as_ref().map(|a| a.join("models").join(&file.path));
            return Ok(path.filter(|p| p.is_file()).map(|path| Found { path, locked: None }));
        };
        let locked = self.places.lock().find(repository, &file.path)?;
        let path = match &locked {
            Some(locked) => self.places.cache.find_locked(locked),
            None => self.places.cache.find(repository, revision, &file.path),
        };
        Ok(path.map(|path| Found { path, locked }))
    }

    /// Whether a model is here. A file of the wrong size, or a lock that cannot be read, count as incomplete.
    pub fn status(&self, model: &Model) -> Status {
        let here: Vec<_> = model.files.iter().map(|file| self.locate(model, file)).collect();
        if here.iter().all(|f| matches!(f, Ok(Some(_)))) {
            if model.bundled { Status::Bundled } else { Status::Pulled }
        } else if !model.bundled && here.iter().all(|f| matches!(f, Ok(None))) {
            Status::Available
        } else {
            Status::Incomplete
        }
    }

    /// The size of a whole model: from the disk, the list or the lock where it is known, else from the hint.
    pub fn size(&self, model: &Model) -> Size {
        let lock = self.places.lock().read().unwrap_or_default();
        let mut size = Size::default();
        for file in &model.files {
            let on_disk = || {
                let path = self.locate(model, file).ok().flatten()?;
                fs::metadata(path).ok().map(|m| m.len())
            };
            let locked = || {
                let (repository, _) = model.origin(file)?;
                lock.iter().find(|l| l.repository == repository && l.file == file.path).map(|l| l.bytes)
            };
            match file.bytes.or_else(locked).or_else(on_disk) {
                Some(bytes) => size.bytes += bytes,
                None => {
                    size.exact = false;
                    size.bytes += u64::from(file.about_mb.unwrap_or(0)) * 1_000_000;
                }
            }
        }
        size
    }

    fn absent(&self, model: &Model, file: &ModelFile) -> RegistryError {
        if model.bundled {
            let folder = self.places.assets.as_ref().map(|a| a.join("models").display().to_string());
            return RegistryError::BundledMissing {
                name: model.name.clone(),
                file: file.path.clone(),
                folder: folder.unwrap_or_else(|| "an assets folder, which was not found".into()),
            };
        }
        RegistryError::NotPulled { name: model.name.clone(), size: self.size(model).to_string() }
    }
}

/// What to do about a file of a model that is not what it must be.
pub(crate) fn hint(model: &Model, path: &Path) -> String {
    if model.bundled {
        format!("restore it (`git checkout -- {}`, or `git lfs pull`)", path.display())
    } else {
        format!("`nearfield models pull {}` fetches it again", model.name)
    }
}

/// The size of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In bytes.
    pub bytes: u64,
    /// Whether every file's size is known, not estimated.
    pub exact: bool,
}

impl Default for Size {
    fn default() -> Self {
        Self { bytes: 0, exact: true }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 && !self.exact {
            return f.write_str("size unknown");
        }
        if self.exact {
            return f.write_str(&human_bytes(self.bytes));
        }
        write!(f, "about {}", human_bytes(self.bytes).replace(".0 ", " ")) // an estimate has no tenths
    }
}

/// Bytes as people read them, in powers of ten as disks are sold: `74.8 MB`.
pub fn human_bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if unit == 0 || value >= 99.95 { 0 } else { 1 };
    format!("{value:.decimals$} {}", units[unit])
}

/// How alike two names are, 0 to 1: 1 when one begins with the other, else Jaro-Winkler.
fn likeness(asked: &str, name: &str) -> f64 {
    if asked.len() >= 3 && name.starts_with(asked) { 1.0 } else { strsim::jaro_winkler(asked, name) }
}

fn contradiction(model: &Model) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if model.names().any(|name| name.is_empty() || !name.chars().all(plain) || name.starts_with(['.', '-'])) {
        return Some(
            "name, aliases: letters, digits, '.', '_' and '-' are accepted, and the first is a letter or digit".into(),
        );
    }
    if model.files.is_empty() {
        return Some("files: names no file; at least one is needed".into());
    }
    for file in &model.files {
        if !is_inner_path(&file.path) {
            return Some(format!("files.path: {:?} is not a plain relative path", file.path));
        }
        if model.bundled {
            if file.sha256.is_none() || file.bytes.is_none() {
                return Some(format!("files: {} is bundled and must have both bytes and sha256", file.path));
            }
            if file.repository.is_some() || model.repository.is_some() {
                return Some("repository: a bundled model has none".into());
            }
            continue;
        }
        let Some((repository, revision)) = model.origin(file) else {
            return Some(format!("repository: is missing for {} (or write bundled = true)", file.path));
        };
        if !is_repository(repository) {
            return Some(format!("repository: {repository:?} is not of the form ORG/NAME"));
        }
        if !is_commit(revision) && !is_inner_path(revision) {
            return Some(format!("revision: {revision:?} is not a branch, tag or commit"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(folder: &Path) -> Places {
        Places { assets: None, cache: HubCache::new(folder.join("hub")), data: folder.join("data") }
    }

    fn registry(text: &str, folder: &Path) -> Registry {
        Registry::from_text(text, Path::new("models.toml"), places(folder)).unwrap()
    }

    const TINY: &str = r#"
        [[model]]
        name = "tiny"
        kind = "llm"
        licence = "MIT"
        repository = "org/name"
        files = [{ path = "tiny.gguf", about_mb = 12 }]
        good_for = "tests"
    "#;

    fn put(folder: &Path, commit: &str, file: &str, content: &[u8]) -> PathBuf {
        let path = HubCache::new(folder.join("hub")).snapshot_file("org/name", commit, file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn the_compiled_in_list_is_right_and_every_name_can_be_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::in_places(places(folder.path())).unwrap();
        assert!(registry.models().len() >= 40);
        for model in registry.models() {
            assert_eq!(registry.model(&model.name).unwrap().name, model.name);
            if !model.bundled {
                assert_eq!(registry.status(model), Status::Available, "{}", model.name);
            }
        }
        for kind in [Kind::Stt, Kind::Llm, Kind::Tts, Kind::Vad, Kind::Vision, Kind::Multimodal] {
            assert!(registry.models().iter().any(|m| m.kind == kind), "{}", kind.name());
        }
    }

    #[test]
    fn a_wrong_key_a_wrong_value_and_a_contradiction_are_refused_with_file_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = |from: &str, to: &str| {
            let text = TINY.replace(from, to);
            assert_ne!(text, TINY, "{from}");
            Registry::from_text(&text, Path::new("models.toml"), places(folder.path())).unwrap_err().to_string()
        };
        for (from, to, parts) in [
            ("good_for", "good_fro", &["models.toml line", "good_fro"][..]),
            ("\"llm\"", "\"lmm\"", &["models.toml line 4", "lmm", "llm"]),
            ("about_mb = 12", "about_mb = \"x\"", &["models.toml line 7"]),
            ("\"org/name\"", "\"../name\"", &["models.toml", "tiny", "repository", "../name"]),
            ("\"tiny.gguf\"", "\"../tiny.gguf\"", &["files.path", "../tiny.gguf"]),
            ("repository = \"org/name\"", "bundled = true", &["bytes", "sha256"]),
            ("repository = \"org/name\"", "", &["repository", "missing"]),
            ("[{ path = \"tiny.gguf\", about_mb = 12 }]", "[]", &["files"]),
            ("\"tiny\"", "\"ti ny\"", &["name"]),
        ] {
            let message = wrong(from, to);
            for part in parts {
                assert!(message.contains(part), "{part:?} is not in {message:?}");
            }
        }
        let twice = format!("{TINY}{TINY}");
        let error = Registry::from_text(&twice, Path::new("m.toml"), places(folder.path())).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }

    #[test]
    fn an_unknown_name_suggests_near_ones() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::in_places(places(folder.path())).unwrap();
        for (typed, meant) in [
            ("whisper-tinny.en", "whisper-tiny.en"),
            ("smollm2-360m", "smollm2-360m-instruct-q8_0"),
            ("Phi-3-mini", "phi-3-mini-4k-instruct-q4"),
            ("Qwen3-0.6b", "qwen3-0.6b-q8_0"),
            ("piper-en_US-lesac-low", "piper-en_US-lessac-low"),
        ] {
            let error = registry.resolve(typed).unwrap_err().to_string();
            assert!(error.contains(meant), "{typed}: {error}");
        }
        let error = registry.resolve("zzzz").unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[test]
    fn a_shorter_name_is_the_same_model_and_no_two_models_share_one() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::in_places(places(folder.path())).unwrap();
        for (short, name) in [
            ("qwen2.5-0.5b-instruct", "qwen2.5-0.5b-instruct-q4_k_m"),
            ("qwen3-0.6b", "qwen3-0.6b-q8_0"),
            ("phi-2", "phi-2-q4_k_m"),
        ] {
            assert_eq!(registry.model(short).unwrap().name, name);
            assert!(matches!(registry.resolve(short), Err(RegistryError::NotPulled { .. })));
        }
        let other = TINY.replace("name = \"tiny\"", "name = \"other\"\naliases = [\"tiny\"]");
        let both = Registry::from_text(&format!("{TINY}{other}"), Path::new("m.toml"), places(folder.path()));
        assert!(both.unwrap_err().to_string().contains("aliases"));
    }

    #[test]
    fn a_plain_path_is_taken_as_it_is_with_the_json_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(TINY, folder.path());
        let voice = folder.path().join("voice.onnx");
        fs::write(&voice, b"x").unwrap();
        fs::write(folder.path().join("voice.onnx.json"), b"{}").unwrap();
        let resolved = registry.resolve(voice.to_str().unwrap()).unwrap();
        assert_eq!(resolved.path(), voice);
        assert_eq!(resolved.file(Role::Config), Some(folder.path().join("voice.onnx.json").as_path()));
        let missing = folder.path().join("none.gguf");
        let error = registry.resolve(missing.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, RegistryError::NoSuchFile { .. }), "{error}");
        let error = registry.resolve(folder.path().to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_model_that_another_tool_fetched_is_found_and_one_that_is_nowhere_names_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(TINY, folder.path());
        let error = registry.resolve("tiny").unwrap_err().to_string();
        assert!(error.contains("`nearfield models pull tiny`") && error.contains("about 12 MB"), "{error}");
        let path = put(folder.path(), &"a".repeat(40), "tiny.gguf", b"by another tool");
        assert_eq!(registry.resolve("tiny").unwrap().path(), path);
        assert_eq!(registry.status(registry.model("tiny").unwrap()), Status::Pulled);
    }

    #[test]
    fn only_the_file_that_the_lock_speaks_of_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(TINY, folder.path());
        let locked = LockedFile {
            repository: "org/name".into(),
            file: "tiny.gguf".into(),
            revision: "main".into(),
            commit: "b".repeat(40),
            bytes: 5,
            sha256: Sha256::of(b"right"),
            date: "2026-11-21T08:00:00Z".into(),
        };
        registry.places().lock().record(locked).unwrap();
        put(folder.path(), &"a".repeat(40), "tiny.gguf", b"wrong");
        assert!(matches!(registry.resolve("tiny"), Err(RegistryError::NotPulled { .. })));
        let path = put(folder.path(), &"b".repeat(40), "tiny.gguf", b"right");
        assert_eq!(registry.resolve("tiny").unwrap().path(), path);
        fs::write(&path, b"cut").unwrap();
        let error = registry.resolve("tiny").unwrap_err();
        assert!(matches!(error, RegistryError::WrongSize { found: 3, expected: 5, .. }), "{error}");
        assert!(error.to_string().contains("pull tiny"), "{error}");
    }

    #[test]
    fn a_bundled_model_is_found_beside_the_list_and_refused_when_cut_or_missing() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("assets/models");
        fs::create_dir_all(&models).unwrap();
        let hash = Sha256::of(b"weights");
        let text = TINY.replace(
            "repository = \"org/name\"\n        files = [{ path = \"tiny.gguf\", about_mb = 12 }]",
            &format!("bundled = true\nfiles = [{{ path = \"tiny.gguf\", bytes = 7, sha256 = \"{hash}\" }}]"),
        );
        fs::write(models.join("models.toml"), text).unwrap();
        let places = Places { assets: Some(folder.path().join("assets")), ..places(folder.path()) };
        let registry = Registry::in_places(places).unwrap();
        assert!(matches!(registry.resolve("tiny"), Err(RegistryError::BundledMissing { .. })));
        fs::write(models.join("tiny.gguf"), b"weights").unwrap();
        assert_eq!(registry.resolve("tiny").unwrap().path(), models.join("tiny.gguf"));
        assert_eq!(registry.status(registry.model("tiny").unwrap()), Status::Bundled);
        fs::write(models.join("tiny.gguf"), b"weight").unwrap();
        assert!(matches!(registry.resolve("tiny"), Err(RegistryError::WrongSize { .. })));
    }

    #[test]
    fn sizes_are_printed_as_people_read_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (74_800_000, "74.8 MB"),
            (999_999_999, "1.0 GB"),
            (4_368_439_584, "4.4 GB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
