//! The file of a home: read in either form, written back atomically and whole, and read again when another program wrote it. Each
//! change is made on what the file holds at that moment; the file is not locked, so that only a foreign write in the very
//! instant between reading and renaming can be lost.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield_base::persist::Replacement;
use serde_json::Map;

use crate::error::{FormatError, HomeError, MAX_HOME_BYTES};
use crate::inventory::Inventory;
use crate::model::Home;
use crate::rooms::Rooms;
use crate::yaml;

/// How often a file that cannot be understood is read again before a change is refused: another program may be in the middle of
/// writing it.
const ATTEMPTS: u32 = 5;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(20);

/// A home and where it is kept. Clone it freely; only the original should write.
#[derive(Debug, Clone)]
pub struct HomeFile {
    home: Home,
    form: Form,
    path: Option<PathBuf>,
    seen: Option<Stamp>,
}

/// The form of a file.
#[derive(Debug, Clone)]
enum Form {
    /// YAML, or JSON of the same shape.
    Inventory {
        document: Inventory,
        is_json: bool,
    },
    Rooms(Rooms),
}

impl Form {
    fn parse(text: &str) -> Result<(Self, Home), FormatError> {
        let bare = text.trim_start_matches('\u{feff}').trim_start();
        if bare.is_empty() {
            return Err(FormatError::Syntax(
                "it is empty: it needs areas and entities, or rooms, doors and devices".to_owned(),
            ));
        }
        if bare.starts_with('{') {
            let rooms = Rooms::parse(text)?;
            let document = rooms.document();
            if Inventory::is_one(document) {
                let document = Inventory::of(document.clone());
                let home = document.home()?;
                return Ok((Self::Inventory { document, is_json: true }, home));
            }
            let home = rooms.home()?;
            return Ok((Self::Rooms(rooms), home));
        }
        let document = yaml::parse(text)?;
        if Inventory::is_one(&document) {
            let document = Inventory::of(document);
            let home = document.home()?;
            return Ok((Self::Inventory { document, is_json: false }, home));
        }
        Err(FormatError::Syntax("it has neither areas nor entities, nor rooms, doors and devices as JSON".to_owned()))
    }

    fn text(&self) -> String {
        match self {
            Self::Inventory { document, is_json: true } => document.to_json(),
            Self::Inventory { document, .. } => document.to_yaml(),
            Self::Rooms(rooms) => rooms.to_json(),
        }
    }

    fn update(&mut self, before: &Home, now: &Home) {
        match self {
            Self::Inventory { document, .. } => document.update(before, now),
            Self::Rooms(rooms) => rooms.update(before, now),
        }
    }
}

impl HomeFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`HomeError`] when it is missing, too large, or describes no home.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let path = path.into();
        let Found { form, home, stamp, .. } = read(&path)?;
        Ok(Self { home, form, path: Some(path), seen: Some(stamp) })
    }

    /// A home that lives in memory only, from a text of either form.
    ///
    /// # Errors
    /// [`FormatError`]
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let (form, home) = Form::parse(text)?;
        Ok(Self { home, form, path: None, seen: None })
    }

    /// A home that lives in memory only.
    pub fn in_memory(home: Home) -> Self {
        let form = Form::Inventory { document: Inventory::of(Map::new()), is_json: false };
        Self { home, form, path: None, seen: None }
    }

    /// The home as it was last read or changed.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The home in the form of rooms: the file's own, or made of its entities.
    pub fn rooms(&self) -> Rooms {
        match &self.form {
            Form::Rooms(rooms) => rooms.clone(),
            Form::Inventory { .. } => Rooms::of(&self.home),
        }
    }

    /// Whether the file is one of rooms.
    pub fn is_of_rooms(&self) -> bool {
        matches!(self.form, Form::Rooms(_))
    }

    /// The same home as an inventory in YAML, for a file that is migrated.
    pub fn to_inventory(&self) -> String {
        match &self.form {
            Form::Inventory { document, .. } => document.to_yaml(),
            Form::Rooms(_) => Inventory::of_home(&self.home).to_yaml(),
        }
    }

    /// Reads the file again if someone wrote it since. Answers whether the home in memory is another one now.
    ///
    /// # Errors
    /// [`HomeError`] when the file is broken or gone: once for each version of it. The last good home is kept.
    pub fn reload_if_changed(&mut self) -> Result<bool, HomeError> {
        let Some(path) = &self.path else { return Ok(false) };
        let now = fs::metadata(path).ok().map(|meta| Stamp::of(&meta));
        if now == self.seen {
            return Ok(false);
        }
        self.seen = now;
        let Found { form, home, stamp, .. } = read(path)?;
        self.seen = Some(stamp);
        let changed = home != self.home;
        (self.form, self.home) = (form, home);
        Ok(changed)
    }

    /// Changes the home as the file holds it now, writes the file, and only then takes the change as made. `edit` may refuse.
    ///
    /// # Errors
    /// What kept the file from being read or written; `Ok(Err)` is what `edit` answers.
    pub fn change<T, E>(&mut self, edit: impl FnOnce(&mut Home) -> Result<T, E>) -> Result<Result<T, E>, HomeError> {
        let (mut form, before, written) = match &self.path {
            Some(path) => {
                let found = read_patiently(path)?;
                (found.form, found.home, found.text)
            }
            None => (self.form.clone(), self.home.clone(), String::new()),
        };
        let holds_more = matches!(form, Form::Inventory { is_json: false, .. }) && has_notes(&written);
        let mut home = before.clone();
        let done = match edit(&mut home) {
            Ok(done) => done,
            Err(refused) => return Ok(Err(refused)),
        };
        form.update(&before, &home);
        if let Form::Rooms(rooms) = &form {
            // A door is a cover and a lock: each follows from what was written of the other.
            home = rooms.home().unwrap_or(home);
        }
        if let Some(path) = &self.path
            && before != home
        {
            if holds_more {
                keep_original(path, &written)?;
            }
            let stamp = write(path, &form.text()).map_err(|cause| HomeError::Write { path: path.clone(), cause })?;
            self.seen = Some(stamp);
        }
        (self.form, self.home) = (form, home);
        Ok(Ok(done))
    }
}

/// Tells one version of a file from the next. The inode is part of it: an atomic rename within one tick of the clock, to the same
/// length, is still seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    seconds: i64,
    nanoseconds: i64,
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self { seconds: meta.mtime(), nanoseconds: meta.mtime_nsec(), length: meta.len(), inode: meta.ino() }
    }
}

/// What a file holds.
struct Found {
    form: Form,
    home: Home,
    stamp: Stamp,
    text: String,
}

/// The most copies of a file as its owner wrote it.
const MOST_ORIGINALS: usize = 9;

/// Whether a YAML text holds what is lost when it is written anew: comments, anchors. A text in quotation marks that looks so costs a
/// copy of the file, and nothing else.
fn has_notes(text: &str) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.any(|word| word.starts_with('#') || word.len() > 1 && word.starts_with(['&', '*']))
    })
}

/// Copies a file as its owner wrote it to `NAME.original`, beside those that are there already, unless one of them is the same.
fn keep_original(path: &Path, text: &str) -> Result<(), HomeError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let failed = |path: &Path, cause| HomeError::Write { path: path.to_owned(), cause };
    for number in 1..=MOST_ORIGINALS {
        let end = if number == 1 { String::new() } else { format!("-{number}") };
        let copy = path.with_file_name(format!("{name}.original{end}"));
        // A link is not followed, whoever made it.
        let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(&copy) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_same = fs::metadata(&copy).is_ok_and(|meta| meta.is_file() && meta.len() == text.len() as u64)
                    && fs::read(&copy).is_ok_and(|bytes| bytes == text.as_bytes());
                if is_same {
                    return Ok(());
                }
                if number < MOST_ORIGINALS {
                    continue;
                }
                // The first copies are kept, and the newest.
                let anew = fs::remove_file(&copy)
                    .and_then(|()| fs::OpenOptions::new().write(true).create_new(true).open(&copy));
                anew.map_err(|cause| failed(&copy, cause))?
            }
            Err(error) => return Err(failed(&copy, error)),
        };
        let permissions = fs::metadata(path).map_err(|cause| failed(path, cause))?.permissions();
        let written = file.set_permissions(permissions).and_then(|()| file.write_all(text.as_bytes()));
        return written.and_then(|()| file.sync_all()).map_err(|cause| failed(&copy, cause));
    }
    Ok(())
}

fn read_patiently(path: &Path) -> Result<Found, HomeError> {
    let mut attempt = 1;
    loop {
        match read(path) {
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => {
                attempt += 1;
                std::thread::sleep(ATTEMPT_PAUSE);
            }
            good => return good,
        }
    }
}

fn read(path: &Path) -> Result<Found, HomeError> {
    let failed = |cause| HomeError::Read { path: path.to_owned(), cause };
    // Asked before opening: to open a named pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let stamp = Stamp::of(&file.metadata().map_err(failed)?);
    let mut bytes = Vec::new();
    file.take(MAX_HOME_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_HOME_BYTES {
        return Err(HomeError::TooLarge { path: path.to_owned() });
    }
    let format = |cause| HomeError::Format { path: path.to_owned(), cause };
    let text = String::from_utf8(bytes).map_err(|_| format(FormatError::Syntax("it is not UTF-8 text".to_owned())))?;
    let (form, home) = Form::parse(&text).map_err(format)?;
    Ok(Found { form, home, stamp, text })
}

/// Replaces the file whole, so that a reader sees the old text or the new one and never half of it.
fn write(path: &Path, text: &str) -> io::Result<Stamp> {
    let mut file = Replacement::begin(path)?;
    file.write_all(text.as_bytes())?;
    let stamp = Stamp::of(&file.metadata()?);
    file.commit()?;
    Ok(stamp)
}
