//! The models Nearfield knows (`assets/models/models.toml`), and the way from a name, or from a path of the user's own, to files
//! on this disk: bundled beside that list, or pulled into the Hugging Face cache. It never uses the network: fetching is
//! `hub/`, and what was fetched is held to by `models_lock.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::{line_of, said_by_parser};
use crate::hub::models_lock::LockedFile;

mod entry;
mod error;
mod format;
mod places;
mod size;

use entry::contradiction;
pub use entry::{Kind, Model, ModelFile, PromptForm, Role, Settings};
pub use error::RegistryError;
pub(crate) use error::hint;
use format::Format;
pub use places::{Places, data_folder};
pub use size::Size;

/// The list as it was when this program was built, so that it is known even where the clone is not.
const COMPILED_IN: &str = include_str!("../../../../assets/models/models.toml");

/// The largest list that is read.
const MAX_LIST_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default, rename = "model")]
    models: Vec<Model>,
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

/// A model on this disk.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its name in the list, or the path that was given.
    pub name: String,
    /// What it does; `None` for a file of the user's own.
    pub kind: Option<Kind>,
    /// What Nearfield sets for it; nothing for a file of the user's own.
    pub settings: Settings,
    /// How it was trained to be prompted; nothing for a file of the user's own.
    pub prompt: PromptForm,
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
            line: line_of(text, &e),
            message: said_by_parser(&e),
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

    /// Whether a file is GGUF, and what it is, told by how it begins; `None` where that is not known.
    pub fn format_of(&self, path: &Path) -> Option<(bool, &'static str)> {
        Format::of(path).map(|format| (format == Format::Gguf, format.spoken()))
    }

    /// Whether this is the name of a model of the list.
    pub fn is_listed(&self, name: &str) -> bool {
        self.models.iter().any(|model| model.is_named(name))
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
            return Ok(Resolved {
                name: model.name.clone(),
                kind: Some(model.kind),
                settings: model.settings,
                prompt: model.prompt.clone(),
                files,
            });
        }
        let path = PathBuf::from(name_or_path);
        let ends_as_a_file = ["gguf", "bin", "onnx"].iter().any(|end| path.extension().is_some_and(|own| own == *end));
        let looks_like_a_path = name_or_path.contains('/') || ends_as_a_file || path.is_file();
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
        // The bundled model stays what it is under another path, such as a copy's.
        let prompt = self.listed_as(&path, meta.len()).map(|model| model.prompt.clone()).unwrap_or_default();
        let mut files = vec![(Role::Model, path)];
        if Path::new(&beside).is_file() {
            files.push((Role::Config, beside.into()));
        }
        Ok(Resolved { name: name_or_path.to_string(), kind: None, settings: Settings::default(), prompt, files })
    }

    /// The model of the list whose file has this name and exactly this size.
    fn listed_as(&self, path: &Path, bytes: u64) -> Option<&Model> {
        let name = path.file_name()?.to_str()?;
        self.models.iter().find(|model| model.files.iter().any(|f| f.path == name && f.bytes == Some(bytes)))
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

/// How alike two names are, 0 to 1: 1 when one begins with the other, else Jaro-Winkler.
fn likeness(asked: &str, name: &str) -> f64 {
    if asked.len() >= 3 && name.starts_with(asked) { 1.0 } else { strsim::jaro_winkler(asked, name) }
}

#[cfg(test)]
mod tests;
