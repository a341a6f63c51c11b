//! Pulling one file from a Hugging Face hub into the cache: ask what it is, fetch or resume it, hold it to every hash that is
//! known of it, record it in `models.lock`, and only then let it appear under its name. The terminal is not its affair: what
//! happens is told as [`Event`]s. What the hub states of a file is `metadata.rs`, fetching `fetch.rs`, what it is held to
//! `expected.rs`, failures and pauses `retry.rs`; one request is `exchange.rs`, the layout on disk `cache.rs`.
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
mod expected;
mod fetch;
mod metadata;
pub mod models_lock;
mod partial;
pub mod registry;
mod retry;

use cache::{HubCache, is_commit};
pub use error::{HubError, WrongHash};
pub use exchange::RetryPolicy;
use exchange::{Exchange, shown, sleep};
use expected::{Expected, lock_entry};
use partial::{disk, hash_whole};

/// Where models come from unless `HF_ENDPOINT` says otherwise.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

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

/// A hub to pull from.
pub struct Hub {
    endpoint: String,
    exchange: Exchange,
    has_token: bool,
    retry: RetryPolicy,
}

impl Hub {
    /// The hub of `HF_ENDPOINT` (default huggingface.co), asked with `HF_TOKEN` if that is set.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] and [`HubError::Token`].
    pub fn from_env() -> Result<Self, HubError> {
        let var = |name| std::env::var(name).ok().map(|v| v.trim().to_string()).filter(|v| !v.is_empty());
        let endpoint = var("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_string());
        Self::new(&endpoint, var("HF_TOKEN").as_deref(), RetryPolicy::default())
    }

    /// The hub at this address.
    ///
    /// # Errors
    /// [`HubError::Endpoint`] and [`HubError::Token`].
    pub fn new(endpoint: &str, token: Option<&str>, retry: RetryPolicy) -> Result<Self, HubError> {
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
            exchange: Exchange::new(uri, token, &retry),
            has_token: token.is_some(),
            retry,
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
        let stated = self.remote_metadata(wanted, revision, stop, on_event)?;
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
                    let entry = lock_entry(wanted, &stated, sha256);
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
        let entry = lock_entry(wanted, &stated, sha256);
        // Recorded first: should this be the last thing that happens, the file under its name is still held to it.
        lock.record(entry.clone())?;
        let path = cache.place(wanted.repository, revision, &stated.commit, wanted.file, &stated.etag);
        Ok(Pulled { path: path.map_err(disk(&incomplete))?, locked: entry, was_here: false })
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
                Err(TryLockError::WouldBlock) if since.elapsed() >= self.retry.other_pull => {
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

    fn address(&self, wanted: &Wanted<'_>, revision: &str) -> Result<Uri, HubError> {
        let file: Vec<_> = wanted.file.split('/').map(percent).collect();
        let text = format!("{}/{}/resolve/{}/{}", self.endpoint, wanted.repository, percent(revision), file.join("/"));
        text.parse().map_err(|_| HubError::Endpoint(shown(&text)))
    }
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
        let hub = Hub::new("http://127.0.0.1:8000/", None, RetryPolicy::default()).unwrap();
        let wanted =
            Wanted { repository: "org/na.me", revision: "main", file: "a b/ü.onnx", bytes: None, sha256: None };
        let uri = hub.address(&wanted, "refs/pr/1").unwrap().to_string();
        assert_eq!(uri, "http://127.0.0.1:8000/org/na.me/resolve/refs%2Fpr%2F1/a%20b/%C3%BC.onnx");
    }

    #[test]
    fn an_endpoint_or_token_that_cannot_be_used_is_refused() {
        for endpoint in ["", "huggingface.co", "ftp://x", "http://", "http://x?y", "not an address"] {
            assert!(
                matches!(Hub::new(endpoint, None, RetryPolicy::default()), Err(HubError::Endpoint(_))),
                "{endpoint}"
            );
        }
        let token = Hub::new("http://x", Some("a\nb"), RetryPolicy::default());
        assert!(matches!(token, Err(HubError::Token)));
    }
}
