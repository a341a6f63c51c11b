//! Pulling one file from a Hugging Face hub into the cache: ask what it is, fetch or resume it, hold it to every hash that is
//! known of it, record it in `models.lock`, and only then let it appear under its name. The terminal is not its affair: what
//! happens is told as [`Event`]s. One request is `exchange.rs`, the layout on disk `cache.rs`.
//!
//! The hub's protocol: `HEAD {endpoint}/{repository}/resolve/{revision}/{file}` states the commit (`X-Repo-Commit`), the
//! content's hash (`X-Linked-Etag`, or the `ETag` of a small file: its git blob hash) and its size (`X-Linked-Size`, or
//! `Content-Length`); `GET` of the same address leads, often through redirects to other hosts, to the content.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ureq::http::Uri;

use crate::hub::content_hash::Sha256;
use crate::hub::models_lock::{LockedFile, ModelsLock};

pub mod cache;
pub mod content_hash;
mod error;
mod exchange;
pub mod models_lock;
mod partial;
pub mod registry;

use cache::{HubCache, is_commit, is_etag_name};
pub use error::{HubError, WrongHash};
pub use exchange::Patience;
use exchange::{Answer, Exchange, Part, Trouble, shown, sleep};
use partial::{Partial, disk, hash_whole};

/// Where models come from unless `HF_ENDPOINT` says otherwise.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// Redirects within the hub (renamed repositories) that are followed before it counts as a loop.
const MAX_HUB_REDIRECTS: usize = 10;
/// A failure after this much progress is the first one again.
const PROGRESS_BYTES: u64 = 1 << 20;
/// The longest that a server may make us wait before the next attempt.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Between two `Arrived` events.
const ARRIVED_INTERVAL: Duration = Duration::from_millis(100);

/// A file that is wanted from the hub.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Repository, such as `ggerganov/whisper.cpp`.
    pub repository: &'a str,
    /// Branch, tag or commit.
    pub revision: &'a str,
    /// Path inside the repository.
    pub file: &'a str,
    /// Its size, where it is known for certain.
    pub bytes: Option<u64>,
    /// Its hash, where it is known for certain.
    pub sha256: Option<Sha256>,
}

/// A file that is here.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Where it lies.
    pub path: PathBuf,
    /// What models.lock says of it.
    pub locked: LockedFile,
    /// Whether it was here before.
    pub was_here: bool,
}

/// What happens while a file is pulled.
#[derive(Debug)]
pub enum Event<'a> {
    /// What is already here of the file, this many bytes, is being read and hashed.
    Hashing(u64),
    /// Another process is fetching the same file; its end is waited for.
    Waiting,
    /// What was here is not what it must be, and is fetched again.
    Damaged(&'a Path),
    /// Bytes begin to come, from this position, out of so many.
    Fetching {
        /// Position of the first one.
        from: u64,
        /// Size of the whole.
        of: u64,
    },
    /// So many bytes are here now.
    Arrived(u64),
    /// An attempt failed; there will be another.
    Retrying {
        /// Why it failed.
        why: &'a str,
        /// When the next one is.
        after: Duration,
    },
}

/// What the hub states of a file before any of it is fetched.
#[derive(Debug)]
struct Stated {
    commit: String,
    etag: String,
    bytes: u64,
}

impl Stated {
    /// The content's SHA-256, where the ETag is one (every large file).
    fn sha256(&self) -> Option<Sha256> {
        self.etag.parse().ok()
    }

    /// Whether the ETag is a git blob's SHA-1 (every small file).
    fn is_git_hash(&self) -> bool {
        self.etag.len() == 40 && self.etag.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

/// A hub to pull from.
pub struct Hub {
    endpoint: String,
    exchange: Exchange,
    has_token: bool,
    patience: Patience,
}

impl Hub {
    /// The hub of `HF_ENDPOINT` (default huggingface.co), asked with `HF_TOKEN` if that is set.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] and [`HubError::Token`].
    pub fn from_env() -> Result<Self, HubError> {
        let var = |name| std::env::var(name).ok().map(|v| v.trim().to_string()).filter(|v| !v.is_empty());
        let endpoint = var("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_string());
        Self::new(&endpoint, var("HF_TOKEN").as_deref(), Patience::default())
    }

    /// The hub at this address.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] and [`HubError::Token`].
    pub fn new(endpoint: &str, token: Option<&str>, patience: Patience) -> Result<Self, HubError> {
        let endpoint = endpoint.trim_end_matches('/');
        let wrong = || HubError::Endpoint(shown(endpoint));
        let uri: Uri = endpoint.parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "https"))
            || uri.host().is_none_or(str::is_empty)
            || uri.query().is_some()
        {
            return Err(wrong());
        }
        if token.is_some_and(|t| !t.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(HubError::Token);
        }
        Ok(Self {
            endpoint: endpoint.to_string(),
            exchange: Exchange::new(uri, token, &patience),
            has_token: token.is_some(),
            patience,
        })
    }

    /// Brings one file into the cache and into the lock, or finds that it is there and right. With `update`, what the lock says
    /// of it is replaced by what the hub has now. `stop` is asked about twenty times a second.
    ///
    /// # Errors
    /// [`HubError`]. Whatever it is, nothing unverified lies under the file's name.
    pub fn pull(
        &self,
        cache: &HubCache,
        lock: &ModelsLock,
        wanted: &Wanted<'_>,
        update: bool,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Pulled, HubError> {
        let locked = if update { None } else { lock.find(wanted.repository, wanted.file)? };
        let expected = Expected { wanted, locked: locked.as_ref(), lock };
        expected.agree_with_each_other()?;

        let mut told_damaged = false;
        // What the lock speaks of is here: no network is needed to say so.
        if let Some(locked) = &locked
            && let Some(path) = cache.find_locked(locked)
        {
            let found = fs::metadata(&path).map(|m| m.len()).unwrap_or(0);
            if found == locked.bytes && hash_whole(&path, None, stop, on_event)?.0 == locked.sha256 {
                return Ok(Pulled { path, locked: locked.clone(), was_here: true });
            }
            on_event(Event::Damaged(&path));
            told_damaged = true;
        }

        let revision = locked.as_ref().map_or(wanted.revision, |l| l.commit.as_str());
        let stated = self.ask(wanted, revision, stop, on_event)?;
        expected.allow(&stated)?;
        if is_commit(revision) && stated.commit != revision {
            return Err(HubError::WrongCommit {
                repository: wanted.repository.to_string(),
                expected: revision.to_string(),
                found: stated.commit,
            });
        }

        let _guard = self.lock_against_others(&cache.pull_lock(wanted.repository, &stated.etag), stop, on_event)?;
        let blob = cache.blob(wanted.repository, &stated.etag);
        let blob_folder = blob.parent().unwrap_or(cache.root());
        fs::create_dir_all(blob_folder).map_err(disk(blob_folder))?;

        if let Ok(meta) = fs::metadata(&blob) {
            if meta.len() == stated.bytes {
                let git = stated.is_git_hash().then_some(stated.bytes);
                let (sha256, git) = hash_whole(&blob, git, stop, on_event)?;
                if expected.verify(&stated, sha256, git).is_ok() {
                    let entry = entry(wanted, &stated, sha256);
                    lock.record(entry.clone())?;
                    let path = cache.link(wanted.repository, revision, &stated.commit, wanted.file, &stated.etag);
                    return Ok(Pulled { path: path.map_err(disk(&blob))?, locked: entry, was_here: true });
                }
            }
            if !told_damaged {
                on_event(Event::Damaged(&blob));
            }
        }

        let incomplete = cache.incomplete(wanted.repository, &stated.etag);
        let sha256 = self.fetch_verified(wanted, &stated, &expected, &incomplete, stop, on_event)?;
        let entry = entry(wanted, &stated, sha256);
        // Recorded first: should this be the last thing that happens, the file under its name is still held to it.
        lock.record(entry.clone())?;
        let path = cache.place(wanted.repository, revision, &stated.commit, wanted.file, &stated.etag);
        Ok(Pulled { path: path.map_err(disk(&incomplete))?, locked: entry, was_here: false })
    }

    /// What the hub says the file is.
    fn ask(
        &self,
        wanted: &Wanted<'_>,
        revision: &str,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Stated, HubError> {
        let mut failures = 0;
        loop {
            let passing = match self.ask_once(wanted, revision, stop)? {
                Ok(stated) => return Ok(stated),
                Err(passing) => passing,
            };
            failures += 1;
            // Without a network the second attempt ends as the first; the user should know at once.
            let allowed = if passing.unreachable { self.patience.attempts.min(2) } else { self.patience.attempts };
            if failures >= allowed {
                return Err(match passing.unreachable {
                    true => HubError::Unreachable(passing.why),
                    false => HubError::HubFails { file: wanted.file.into(), attempts: failures, why: passing.why },
                });
            }
            self.wait(failures, &passing, stop, on_event)?;
        }
    }

    /// One attempt: outside, what no further attempt would change; inside, what the next one may.
    fn ask_once(
        &self,
        wanted: &Wanted<'_>,
        revision: &str,
        stop: &dyn Fn() -> bool,
    ) -> Result<Result<Stated, Passing>, HubError> {
        let mut uri = self.address(wanted, revision)?;
        let (mut commit, mut linked_etag, mut linked_bytes) = (None, None, None);
        for _ in 0..=MAX_HUB_REDIRECTS {
            let answer = match self.exchange.head(&uri, stop) {
                Ok(answer) => answer,
                Err(trouble) => return self.passing(wanted, &uri, trouble).map(Err),
            };
            if !answer.is_redirect() && !(200..300).contains(&answer.status) {
                return self.refusal(wanted, revision, &answer).map(Err);
            }
            // The first to state something is the hub itself, which knows; where it leads to may not.
            commit = commit.or_else(|| answer.header("x-repo-commit").map(str::to_string));
            linked_etag = linked_etag.or_else(|| answer.header("x-linked-etag").map(plain_etag));
            linked_bytes = linked_bytes.or_else(|| answer.number("x-linked-size"));
            let complete = commit.is_some() && linked_etag.is_some() && linked_bytes.is_some();
            if answer.is_redirect() && !complete {
                let target = match answer.target() {
                    Ok(target) => target,
                    Err(trouble) => return self.passing(wanted, &uri, trouble).map(Err),
                };
                if self.exchange.is_endpoint(&target) {
                    uri = target;
                    continue;
                }
            }
            let own = |name| {
                if answer.is_redirect() { None } else { answer.header(name) }
            };
            let bytes = linked_bytes.or_else(|| own("content-length")?.parse().ok());
            let etag = linked_etag.or_else(|| answer.header("etag").map(plain_etag));
            let not_a_hub =
                |found: String| HubError::NotAHub { host: host(&uri), file: wanted.file.to_string(), found };
            if let Some(page) = own("content-type").filter(|t| commit.is_none() && t.starts_with("text/html")) {
                return Err(not_a_hub(format!("with a web page ({})", shown(page))));
            }
            let Some(commit) =
                commit.filter(|c| is_commit(c)).or_else(|| is_commit(revision).then(|| revision.to_string()))
            else {
                return Err(not_a_hub("without naming the commit (X-Repo-Commit)".into()));
            };
            let Some(etag) = etag.filter(|e| is_etag_name(e)) else {
                return Err(not_a_hub("without a usable ETag".into()));
            };
            let Some(bytes) = bytes else {
                return Err(not_a_hub("without stating the size".into()));
            };
            return Ok(Ok(Stated { commit: commit.to_ascii_lowercase(), etag, bytes }));
        }
        let found = format!("with more than {MAX_HUB_REDIRECTS} redirects, one after the other");
        Err(HubError::NotAHub { host: host(&uri), file: wanted.file.to_string(), found })
    }

    /// Fetches into `incomplete`, from where it ends, until all is there and is what it must be.
    fn fetch_verified(
        &self,
        wanted: &Wanted<'_>,
        stated: &Stated,
        expected: &Expected<'_>,
        incomplete: &Path,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Sha256, HubError> {
        let mut partial = Partial::open(incomplete, stated.bytes, stated.is_git_hash(), stop, on_event)?;
        loop {
            let resumed = partial.len > 0;
            if let Err(error) = self.fetch(wanted, stated, &mut partial, stop, on_event) {
                if partial.len == 0 {
                    let _ = fs::remove_file(incomplete); // an empty one is of no use to anyone
                }
                return Err(error);
            }
            let (sha256, git) = partial.hashes();
            match expected.verify(stated, sha256, git) {
                Ok(()) => return Ok(sha256),
                // The beginning came from elsewhere or was hurt on the disk: once, all of it is fetched anew.
                Err(_) if resumed => {
                    on_event(Event::Damaged(incomplete));
                    partial.start_again()?;
                }
                Err(error) => {
                    fs::remove_file(incomplete).map_err(disk(incomplete))?;
                    return Err(error);
                }
            }
        }
    }

    /// Fetches what is missing, in as many attempts as it takes, or as are allowed without progress.
    fn fetch(
        &self,
        wanted: &Wanted<'_>,
        stated: &Stated,
        partial: &mut Partial,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), HubError> {
        let folder = partial.path.parent().unwrap_or(Path::new("."));
        let need = stated.bytes - partial.len;
        // A file system that does not say how full it is will say so when it is full.
        if let Ok(room) = rustix::fs::statvfs(folder)
            && need > room.f_bavail.saturating_mul(room.f_frsize)
        {
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            return Err(HubError::NoRoom { file: wanted.file.into(), folder: folder.to_path_buf(), need, free });
        }
        let mut failures = 0;
        while partial.len < stated.bytes {
            let before = partial.len;
            let Err(passing) = self.fetch_once(wanted, stated, partial, stop, on_event)? else {
                break;
            };
            failures = if partial.len >= before + PROGRESS_BYTES { 1 } else { failures + 1 };
            if failures >= self.patience.attempts {
                return Err(HubError::CutShort {
                    file: wanted.file.to_string(),
                    attempts: failures,
                    why: passing.why,
                    have: partial.len,
                    of: stated.bytes,
                });
            }
            self.wait(failures, &passing, stop, on_event)?;
        }
        Ok(())
    }

    /// One attempt: outside, what no further attempt would change; inside, what the next one may.
    fn fetch_once(
        &self,
        wanted: &Wanted<'_>,
        stated: &Stated,
        partial: &mut Partial,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Result<(), Passing>, HubError> {
        // By commit, so that a branch that moves in between cannot mix two files.
        let uri = self.address(wanted, &stated.commit)?;
        let mut headers = Vec::new();
        if partial.len > 0 {
            headers.push(("range", format!("bytes={}-", partial.len)));
            // To the hub only: the ETag of where it leads to is another one. A large file is held to its SHA-256 in any case.
            headers.push(("if-range", format!("\"{}\"", stated.etag)));
        }
        let parts = self.exchange.get(&uri, headers);
        let answer = match parts.next(stop) {
            Part::Answer(answer) => answer,
            Part::Trouble(trouble) => return self.passing(wanted, &uri, trouble).map(Err),
            Part::Piece(_) | Part::End => {
                return Ok(Err(Passing::because("the answer ended before it began")));
            }
        };
        let refused =
            |found: String| HubError::NotAHub { host: host(&answer.uri), file: wanted.file.to_string(), found };
        match answer.status {
            200 if partial.len > 0 => partial.start_again()?, // a server that knows no ranges, or has another file by now
            200 => {}
            206 => {
                let range = answer.header("content-range").unwrap_or_default();
                if range != format!("bytes {}-{}/{}", partial.len, stated.bytes - 1, stated.bytes) || partial.len == 0 {
                    let why = format!("a range that was not asked for ({:?})", shown(range));
                    partial.start_again()?;
                    return Ok(Err(Passing::because(&why)));
                }
            }
            416 => {
                partial.start_again()?;
                return Ok(Err(Passing::because("the rest was refused (HTTP 416)")));
            }
            _ => return self.refusal(wanted, &stated.commit, &answer).map(Err),
        }
        if answer.header("content-type").is_some_and(|t| t.starts_with("text/html")) && !wanted.file.ends_with(".html")
        {
            return Err(refused("with a web page".into()));
        }
        if let Some(encoding) = answer.header("content-encoding").filter(|e| !e.eq_ignore_ascii_case("identity")) {
            return Err(refused(format!("with a {} encoding", shown(encoding))));
        }
        let missing = stated.bytes - partial.len;
        if let Some(length) = answer.number("content-length").filter(|length| *length != missing) {
            return Err(self.wrong_size(wanted, stated, "what arrives has", partial.len + length));
        }

        on_event(Event::Fetching { from: partial.len, of: stated.bytes });
        let mut told = Instant::now();
        loop {
            match parts.next(stop) {
                Part::Piece(piece) => {
                    if partial.len + piece.len() as u64 > stated.bytes {
                        let found = partial.len + piece.len() as u64;
                        partial.start_again()?; // not kept: all of it is in doubt
                        return Err(self.wrong_size(wanted, stated, "what arrives has at least", found));
                    }
                    partial.write(&piece)?;
                    if told.elapsed() >= ARRIVED_INTERVAL || partial.len == stated.bytes {
                        on_event(Event::Arrived(partial.len));
                        told = Instant::now();
                    }
                }
                Part::End if partial.len == stated.bytes => return Ok(Ok(())),
                Part::End => return Ok(Err(Passing::because("the connection was cut"))),
                Part::Trouble(trouble) => return self.passing(wanted, &uri, trouble).map(Err),
                Part::Answer(_) => return Ok(Err(Passing::because("a second answer came"))),
            }
        }
    }

    /// What an answer other than success means.
    fn refusal(&self, wanted: &Wanted<'_>, revision: &str, answer: &Answer) -> Result<Passing, HubError> {
        let code = answer.header("x-error-code").map(shown);
        let of_the_hub = self.exchange.is_endpoint(&answer.uri);
        match answer.status {
            404 | 410 => Err(HubError::NoSuchFile {
                file: wanted.file.to_string(),
                repository: wanted.repository.to_string(),
                revision: revision.to_string(),
                status: answer.status,
                code,
            }),
            401 | 403 if of_the_hub => Err(HubError::Gated {
                repository: wanted.repository.to_string(),
                status: answer.status,
                code,
                page: format!("{}/{}", self.endpoint, wanted.repository),
                had_token: self.has_token,
            }),
            // Where the hub leads to, 403 means that the signed address is too old: the hub gives a new one.
            403 | 408 | 425 | 429 | 500..=599 => Ok(Passing {
                why: format!("{} answered HTTP {}", host(&answer.uri), answer.status),
                unreachable: false,
                retry_after: answer.number("retry-after").map(Duration::from_secs),
            }),
            status => Err(HubError::NotAHub {
                host: host(&answer.uri),
                file: wanted.file.to_string(),
                found: format!("HTTP {status}"),
            }),
        }
    }

    fn passing(&self, wanted: &Wanted<'_>, uri: &Uri, trouble: Trouble) -> Result<Passing, HubError> {
        match trouble {
            Trouble::Stopped => Err(HubError::Stopped),
            Trouble::Passing(why) => Ok(Passing::because(&why)),
            Trouble::Unreachable(why) => Ok(Passing { unreachable: true, ..Passing::because(&why) }),
            Trouble::Lasting(why) => Err(HubError::NotAHub {
                host: host(uri),
                file: wanted.file.to_string(),
                found: format!("in a way that cannot be used ({})", shown(&why)),
            }),
        }
    }

    fn wait(
        &self,
        failures: u32,
        passing: &Passing,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), HubError> {
        let backoff = self.patience.backoff * 2u32.saturating_pow((failures - 1).min(6));
        let after = passing.retry_after.map_or(backoff, |asked| asked.min(MAX_RETRY_AFTER).max(backoff));
        on_event(Event::Retrying { why: &passing.why, after });
        if sleep(after, stop) { Err(HubError::Stopped) } else { Ok(()) }
    }

    fn address(&self, wanted: &Wanted<'_>, revision: &str) -> Result<Uri, HubError> {
        let file: Vec<_> = wanted.file.split('/').map(percent).collect();
        let text = format!("{}/{}/resolve/{}/{}", self.endpoint, wanted.repository, percent(revision), file.join("/"));
        text.parse().map_err(|_| HubError::Endpoint(shown(&text)))
    }

    fn wrong_size(&self, wanted: &Wanted<'_>, stated: &Stated, from: &'static str, found: u64) -> HubError {
        HubError::WrongSize {
            file: wanted.file.to_string(),
            repository: wanted.repository.to_string(),
            by: self.endpoint.clone(),
            expected: stated.bytes,
            from,
            found,
        }
    }

    fn lock_against_others(
        &self,
        path: &Path,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<File, HubError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(disk(folder))?;
        let file = File::options().create(true).append(true).open(path).map_err(disk(path))?;
        let since = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if since.elapsed() >= self.patience.other_pull => {
                    return Err(HubError::Busy { path: path.to_path_buf() });
                }
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut told, true) {
                        on_event(Event::Waiting);
                    }
                    if sleep(Duration::from_millis(200), stop) {
                        return Err(HubError::Stopped);
                    }
                }
                Err(TryLockError::Error(source)) => {
                    return Err(HubError::Disk { path: path.to_path_buf(), cause: source });
                }
            }
        }
    }
}

/// A failure that the next attempt may not meet.
struct Passing {
    why: String,
    unreachable: bool,
    retry_after: Option<Duration>,
}

impl Passing {
    fn because(why: &str) -> Self {
        Self { why: shown(why), unreachable: false, retry_after: None }
    }
}

/// Everything that a file is held to.
struct Expected<'a> {
    wanted: &'a Wanted<'a>,
    locked: Option<&'a LockedFile>,
    lock: &'a ModelsLock,
}

impl Expected<'_> {
    /// The list and the lock must say the same.
    fn agree_with_each_other(&self) -> Result<(), HubError> {
        match (self.locked, self.wanted.sha256) {
            (Some(locked), Some(listed)) if locked.sha256 != listed => {
                Err(self.wrong_hash("models.toml", listed, "models.lock says", locked.sha256))
            }
            _ => Ok(()),
        }
    }

    /// What the hub states must not contradict what is known; nothing is fetched that would be refused anyway.
    fn allow(&self, stated: &Stated) -> Result<(), HubError> {
        let listed = ("models.toml".to_string(), self.wanted.bytes, self.wanted.sha256);
        let locked = self.locked.map(|l| (self.lock.path().display().to_string(), Some(l.bytes), Some(l.sha256)));
        for (by, bytes, sha256) in std::iter::once(listed).chain(locked) {
            if let (Some(expected), Some(found)) = (sha256, stated.sha256())
                && expected != found
            {
                return Err(self.wrong_hash(&by, expected, "the hub states", found));
            }
            if let Some(expected) = bytes.filter(|b| *b != stated.bytes) {
                return Err(HubError::WrongSize {
                    file: self.wanted.file.to_string(),
                    repository: self.wanted.repository.to_string(),
                    by,
                    expected,
                    from: "the hub states",
                    found: stated.bytes,
                });
            }
        }
        Ok(())
    }

    /// What arrived must be what the list, the lock and the hub say. `git` is its hash as a git blob, where the hub states that.
    fn verify(&self, stated: &Stated, sha256: Sha256, git: Option<String>) -> Result<(), HubError> {
        let says = [
            ("models.toml".to_string(), self.wanted.sha256),
            (self.lock.path().display().to_string(), self.locked.map(|l| l.sha256)),
            ("the hub".to_string(), stated.sha256()),
        ];
        for (by, expected) in says {
            if let Some(expected) = expected.filter(|e| *e != sha256) {
                return Err(self.wrong_hash(&by, expected, "what arrived has", sha256));
            }
        }
        match git {
            Some(found) if found != stated.etag.to_ascii_lowercase() => Err(HubError::WrongGitHash {
                file: self.wanted.file.to_string(),
                repository: self.wanted.repository.to_string(),
                expected: stated.etag.clone(),
                found,
            }),
            _ => Ok(()),
        }
    }

    fn wrong_hash(&self, by: &str, expected: Sha256, from: &'static str, found: Sha256) -> HubError {
        let hint = match self.locked {
            Some(_) => format!(
                "if the new content is wanted and trusted, pull with --update, or remove its entry from {}",
                self.lock.path().display()
            ),
            None => "nothing of it was kept".to_string(),
        };
        HubError::WrongHash(Box::new(WrongHash {
            file: self.wanted.file.to_string(),
            repository: self.wanted.repository.to_string(),
            by: by.to_string(),
            expected,
            from,
            found,
            hint,
        }))
    }
}

fn entry(wanted: &Wanted<'_>, stated: &Stated, sha256: Sha256) -> LockedFile {
    LockedFile {
        repository: wanted.repository.to_string(),
        file: wanted.file.to_string(),
        revision: wanted.revision.to_string(),
        commit: stated.commit.clone(),
        bytes: stated.bytes,
        sha256,
        date: jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string(),
    }
}

/// An ETag without its quotes and weakness mark.
fn plain_etag(text: &str) -> String {
    text.trim_start_matches("W/").trim_matches('"').to_string()
}

fn host(uri: &Uri) -> String {
    uri.host().unwrap_or("the hub").to_string()
}

/// A path's segment with everything but unreserved characters percent-encoded (RFC 3986, section 2.3).
fn percent(segment: &str) -> String {
    segment.bytes().fold(String::with_capacity(segment.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_as_the_hub_has_them() {
        let hub = Hub::new("http://127.0.0.1:8000/", None, Patience::default()).unwrap();
        let wanted =
            Wanted { repository: "org/na.me", revision: "main", file: "a b/ü.onnx", bytes: None, sha256: None };
        let uri = hub.address(&wanted, "refs/pr/1").unwrap().to_string();
        assert_eq!(uri, "http://127.0.0.1:8000/org/na.me/resolve/refs%2Fpr%2F1/a%20b/%C3%BC.onnx");
    }

    #[test]
    fn an_endpoint_or_token_that_cannot_be_used_is_refused() {
        for endpoint in ["", "huggingface.co", "ftp://x", "http://", "http://x?y", "not an address"] {
            assert!(matches!(Hub::new(endpoint, None, Patience::default()), Err(HubError::Endpoint(_))), "{endpoint}");
        }
        let token = Hub::new("http://x", Some("a\nb"), Patience::default());
        assert!(matches!(token, Err(HubError::Token)));
    }
}
