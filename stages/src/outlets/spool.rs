//! Deliveries on disk, oldest first: a folder with one file each, written whole or not at all, bounded in number, bytes and, where
//! it is configured, age. Messages that the other side will never take are set aside in `refused`, each with the reason.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nearfield_base::persist;
use serde::Serialize;
use thiserror::Error;

use super::Delivery;
use crate::reconnect::in_words;

/// A delivery's file is at most this long.
const MAX_BYTES: u64 = 64 << 20;
/// Before this a clock has not been set yet (2020 in seconds since 1970), and tells nothing about an age.
const CLOCK_IS_SET: Duration = Duration::from_secs(1_577_836_800);
/// The folder of what was refused.
const REFUSED: &str = "refused";

/// The spool can't be used.
#[derive(Debug, Error)]
#[error("the spool {path} can't be used: {reason}")]
pub struct SpoolError {
    path: PathBuf,
    reason: String,
}

impl SpoolError {
    /// As if the disk had refused.
    pub(super) fn refused(injected: anyhow::Error) -> Self {
        Self { path: PathBuf::new(), reason: injected.to_string() }
    }
}

/// What the spool holds at most; the oldest make room. What was refused is held to the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpoolLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes on disk.
    pub bytes: u64,
    /// How old they may be; `None`: any age.
    pub age: Option<Duration>,
}

/// A message that a limit has discarded.
#[derive(Clone, Debug, PartialEq)]
pub struct Discarded {
    /// Its name.
    pub id: String,
    /// Which limit.
    pub why: String,
}

/// A file that waits.
#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    written: SystemTime,
}

/// The folder.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limits: SpoolLimits,
    waiting: BTreeMap<String, Entry>,
    refused: BTreeMap<String, Entry>,
    /// The one that is being delivered: it is not discarded meanwhile.
    under_way: Option<String>,
    next: u64,
    /// Held for as long as this value lives.
    _lock: File,
}

/// What lies in `refused`: moved back, it is a delivery again.
#[derive(Serialize)]
struct Refused<'a> {
    #[serde(flatten)]
    delivery: &'a Delivery,
    refused: Reason<'a>,
}

#[derive(Serialize)]
struct Reason<'a> {
    reason: &'a str,
    time: String,
}

impl Spool {
    /// Opens a folder, which is made if it is not there. One program at a time has it open.
    ///
    /// # Errors
    /// If it can't be made or read, or another program has it.
    pub fn open(folder: PathBuf, limits: SpoolLimits) -> Result<Spool, SpoolError> {
        let wrong =
            |e: std::io::Error| SpoolError { path: folder.clone(), reason: persist::explained(&folder, e).to_string() };
        std::fs::create_dir_all(&folder).map_err(wrong)?;
        let lock = File::create(folder.with_added_extension("lock")).map_err(wrong)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => SpoolError {
                path: folder.clone(),
                reason: "another nearfield program delivers from it; set outlets.spool to a folder of its own for this one, \
                         and for captions also source.camera"
                    .to_owned(),
            },
            TryLockError::Error(error) => wrong(error),
        })?;
        let waiting = entries(&folder).map_err(wrong)?;
        let refused = match entries(&folder.join(REFUSED)) {
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            found => found.map_err(wrong)?,
        };
        let newest = [&waiting, &refused].into_iter().filter_map(|files| files.last_key_value());
        let next = newest.filter_map(|(name, _)| name[..20].parse::<u64>().ok()).max().map_or(0, |n| n + 1);
        let limits = SpoolLimits { messages: limits.messages.max(1), ..limits };
        Ok(Spool { folder, limits, waiting, refused, under_way: None, next, _lock: lock })
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many were refused and set aside.
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where refused messages are.
    pub fn refused_folder(&self) -> PathBuf {
        self.folder.join(REFUSED)
    }

    /// Adds a delivery, which is on disk when this returns; answers which old ones had to make room.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn add(&mut self, delivery: &Delivery) -> Result<Vec<Discarded>, SpoolError> {
        let name = format!("{:020}.json", self.next);
        let bytes = serde_json::to_vec(delivery).map_err(|e| self.wrong(&self.folder, e.into()))?;
        if bytes.len() as u64 > MAX_BYTES {
            let reason = format!("{} has {} bytes, and {MAX_BYTES} are the most", delivery.id, bytes.len());
            return Err(SpoolError { path: self.folder.clone(), reason });
        }
        persist::replace(&self.folder.join(&name), &bytes).map_err(|e| self.wrong(&self.folder, e))?;
        self.waiting.insert(name, Entry { bytes: bytes.len() as u64, written: SystemTime::now() });
        self.next += 1;
        let mut discarded = self.expire(SystemTime::now());
        let newest = self.waiting.last_key_value().map(|(name, _)| name.clone());
        while let Some(why) = self.limits.exceeded(&self.waiting) {
            let spared = [&self.under_way, &newest];
            let mut names = self.waiting.keys();
            let Some(oldest) = names.find(|name| !spared.iter().any(|s| s.as_ref() == Some(*name))).cloned() else {
                break;
            };
            discarded.push(discard(&self.folder, &mut self.waiting, &oldest, why));
        }
        Ok(discarded)
    }

    /// The oldest delivery and its file, which is then under way; and what had to be discarded on the way to it. A file that
    /// is no delivery is set aside.
    ///
    /// # Errors
    /// If the disk refuses.
    #[allow(clippy::type_complexity)]
    pub fn first(&mut self) -> Result<(Option<(String, Delivery)>, Vec<Discarded>), SpoolError> {
        let discarded = self.expire(SystemTime::now());
        while let Some(name) = self.waiting.keys().next().cloned() {
            let path = self.folder.join(&name);
            let read = match std::fs::metadata(&path) {
                Ok(m) if m.len() > MAX_BYTES => Err("it is too long".to_owned()),
                Ok(_) => match std::fs::read(&path) {
                    Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| e.to_string()),
                    Err(error) => return Err(self.wrong(&path, error)),
                },
                // Somebody has taken it away: that is their right.
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.waiting.remove(&name);
                    continue;
                }
                Err(error) => return Err(self.wrong(&path, error)),
            };
            match read {
                Ok(delivery) => {
                    self.under_way = Some(name.clone());
                    return Ok((Some((name, delivery)), discarded));
                }
                Err(reason) => {
                    let place = self.move_to_refused(&name)?;
                    tracing::error!("{} is not a message ({reason}) and is set aside", place.display());
                }
            }
        }
        Ok((None, discarded))
    }

    /// The one under way waits again.
    pub fn release(&mut self) {
        self.under_way = None;
    }

    /// Removes a delivered one.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove(&mut self, name: &str) -> Result<(), SpoolError> {
        self.under_way = None;
        self.waiting.remove(name);
        let path = self.folder.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.wrong(&path, error)),
            _ => Ok(()),
        }
    }

    /// Sets a refused one aside with the reason; answers where it is now, and which refused ones had to make room.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_aside(
        &mut self,
        name: &str,
        delivery: &Delivery,
        reason: &str,
    ) -> Result<(PathBuf, Vec<Discarded>), SpoolError> {
        self.under_way = None;
        let time = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
        let refused = Refused { delivery, refused: Reason { reason, time } };
        // Moved first, which a full disk allows; the reason, which needs room, comes second.
        let place = self.move_to_refused(name)?;
        let written = serde_json::to_vec(&refused)
            .map_err(std::io::Error::from)
            .and_then(|bytes| persist::replace(&self.refused_folder().join(name), &bytes).map(|()| bytes.len() as u64));
        match (written, self.refused.get_mut(name)) {
            (Ok(bytes), Some(entry)) => entry.bytes = bytes,
            (Ok(_), None) => {}
            (Err(error), _) => tracing::warn!("the reason can't be written into {}: {error}", place.display()),
        }
        let mut discarded = Vec::new();
        while self.refused.len() > 1
            && let Some(why) = self.limits.exceeded(&self.refused)
            && let Some(oldest) = self.refused.keys().next().cloned()
        {
            discarded.push(discard(&self.refused_folder(), &mut self.refused, &oldest, why));
        }
        Ok((place, discarded))
    }

    fn move_to_refused(&mut self, name: &str) -> Result<PathBuf, SpoolError> {
        let folder = self.refused_folder();
        let place = folder.join(name);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::rename(self.folder.join(name), &place))
            .map_err(|e| self.wrong(&place, e))?;
        if let Some(entry) = self.waiting.remove(name) {
            self.refused.insert(name.to_owned(), entry);
        }
        Ok(place)
    }

    /// Discards what is older than configured. A file of a time when the clock was not set has no age.
    fn expire(&mut self, now: SystemTime) -> Vec<Discarded> {
        let mut discarded = Vec::new();
        let Some(most) = self.limits.age else { return discarded };
        let why = format!("it is older than outlets.spool_max_age allows ({})", in_words(most));
        let is_old = |entry: &Entry| {
            entry.written.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since > CLOCK_IS_SET)
                && now.duration_since(entry.written).is_ok_and(|age| age > most)
        };
        let folders = [(self.folder.clone(), &mut self.waiting), (self.folder.join(REFUSED), &mut self.refused)];
        for (folder, files) in folders {
            let old: Vec<String> = files.iter().filter(|(_, e)| is_old(e)).map(|(name, _)| name.clone()).collect();
            for name in old.into_iter().filter(|name| self.under_way.as_ref() != Some(name)) {
                discarded.push(discard(&folder, files, &name, why.clone()));
            }
        }
        discarded
    }

    fn wrong(&self, path: &Path, error: std::io::Error) -> SpoolError {
        SpoolError { path: path.to_owned(), reason: persist::explained(path, error).to_string() }
    }
}

impl SpoolLimits {
    /// Which limit `files` exceed.
    fn exceeded(&self, files: &BTreeMap<String, Entry>) -> Option<String> {
        if files.len() > self.messages {
            return Some(format!("more than outlets.spool_messages = {} were there", self.messages));
        }
        let bytes: u64 = files.values().map(|e| e.bytes).sum();
        (bytes > self.bytes).then(|| format!("they had more than outlets.spool_max_bytes = {}", self.bytes))
    }
}

fn discard(folder: &Path, files: &mut BTreeMap<String, Entry>, name: &str, why: String) -> Discarded {
    #[derive(serde::Deserialize)]
    struct Named {
        id: String,
    }
    let path = folder.join(name);
    let entry = files.remove(name);
    let bytes = entry.filter(|e| e.bytes <= MAX_BYTES).and_then(|_| std::fs::read(&path).ok());
    let id = bytes.and_then(|bytes| serde_json::from_slice::<Named>(&bytes).ok()).map(|named| named.id);
    let _ = std::fs::remove_file(&path);
    Discarded { id: id.unwrap_or_else(|| name.to_owned()), why }
}

/// The deliveries in a folder.
fn entries(folder: &Path) -> std::io::Result<BTreeMap<String, Entry>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if name.len() == 25 && name.ends_with(".json") && is_number(&name[..20]) {
            let about = entry.metadata()?;
            let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.insert(name, Entry { bytes: about.len(), written });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SpoolLimits = SpoolLimits { messages: 3, bytes: 1 << 20, age: None };

    fn delivery(id: &str) -> Delivery {
        Delivery { id: id.to_owned(), text: String::new(), body: serde_json::Value::Null }
    }

    fn first(spool: &mut Spool) -> Option<(String, Delivery)> {
        spool.first().unwrap().0
    }

    #[test]
    fn the_spool_is_bounded_in_number_and_sets_aside_what_it_can_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("spool");
        let mut spool = Spool::open(folder.clone(), LIMITS).unwrap();
        let discarded: Vec<_> = (0..5).flat_map(|i| spool.add(&delivery(&i.to_string())).unwrap()).collect();
        assert_eq!(discarded.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["0", "1"]);
        assert!(discarded[0].why.contains("outlets.spool_messages = 3"), "{discarded:?}");
        assert_eq!(spool.len(), 3);
        let (name, found) = first(&mut spool).unwrap();
        assert_eq!(found.id, "2");
        // The one that is being delivered is not the one that makes room.
        assert_eq!(spool.add(&delivery("5")).unwrap()[0].id, "3");
        drop(spool);
        std::fs::write(folder.join(&name), "no json").unwrap();
        std::fs::write(folder.join("notes.txt"), "of somebody else").unwrap();
        let mut spool = Spool::open(folder.clone(), LIMITS).unwrap();
        assert_eq!(first(&mut spool).unwrap().1.id, "4");
        assert!(folder.join("notes.txt").exists());
        assert_eq!(std::fs::read_to_string(folder.join("refused").join(&name)).unwrap(), "no json");
    }

    #[test]
    fn the_spool_is_bounded_in_bytes_and_in_age_where_the_clock_was_set() {
        let folder = tempfile::tempdir().unwrap();
        let limits = SpoolLimits { messages: 100, bytes: 250, age: Some(Duration::from_secs(3600)) };
        let mut spool = Spool::open(folder.path().join("spool"), limits).unwrap();
        let discarded: Vec<_> = (0..20).flat_map(|i| spool.add(&delivery(&format!("report {i}"))).unwrap()).collect();
        assert!(spool.len() > 2 && spool.len() + discarded.len() == 20, "{}", spool.len());
        assert!(discarded[0].id == "report 0" && discarded[0].why.contains("outlets.spool_max_bytes"), "{discarded:?}");
        // The oldest was written with a clock that had not been set, the second two hours ago.
        let (now, n) = (SystemTime::now(), spool.len());
        for (entry, ago) in spool.waiting.values_mut().zip([u64::MAX, 7200]) {
            entry.written = now.checked_sub(Duration::from_secs(ago)).unwrap_or(SystemTime::UNIX_EPOCH);
        }
        let old = spool.expire(now);
        assert_eq!((old.len(), spool.len()), (1, n - 1));
        assert!(old[0].why.contains("outlets.spool_max_age allows (60 min)"), "{old:?}");
    }

    #[test]
    fn a_refused_message_that_is_moved_back_is_a_delivery_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("spool");
        let mut spool = Spool::open(folder.clone(), LIMITS).unwrap();
        for id in ["a", "b"] {
            spool.add(&delivery(id)).unwrap();
        }
        let (name, found) = first(&mut spool).unwrap();
        let (place, _) = spool.set_aside(&name, &found, "too large").unwrap();
        assert!(std::fs::read_to_string(&place).unwrap().contains("too large"));
        assert_eq!((spool.len(), spool.refused()), (1, 1));
        let (rest, _) = first(&mut spool).unwrap();
        spool.remove(&rest).unwrap();
        drop(spool);
        // New ones come behind it, also when it is moved back later.
        let mut spool = Spool::open(folder.clone(), LIMITS).unwrap();
        spool.add(&delivery("c")).unwrap();
        drop(spool);
        std::fs::rename(&place, folder.join(&name)).unwrap();
        let mut spool = Spool::open(folder, LIMITS).unwrap();
        assert_eq!((first(&mut spool).unwrap().1, spool.len()), (delivery("a"), 2));
    }

    #[test]
    fn a_second_program_does_not_deliver_from_the_same_folder() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path().join("spool"), LIMITS).unwrap();
        let error = Spool::open(folder.path().join("spool"), LIMITS).unwrap_err().to_string();
        assert!(error.contains("another nearfield program") && error.contains("outlets.spool"), "{error}");
        drop(spool);
        assert!(Spool::open(folder.path().join("spool"), LIMITS).is_ok());
    }
}
