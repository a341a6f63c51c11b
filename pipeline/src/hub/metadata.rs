//! What the hub states of a file before any of it is fetched: its commit, its hash and its size, from a `HEAD` request.

use crate::hub::cache::{is_commit, is_etag_name};
use crate::hub::content_hash::Sha256;
use crate::hub::exchange::shown;
use crate::hub::retry::Transient;
use crate::hub::{Event, Hub, HubError, Wanted, host};

/// Redirects within the hub (renamed repositories) that are followed before it counts as a loop.
const MAX_HUB_REDIRECTS: usize = 10;

/// What the hub states of a file before any of it is fetched.
#[derive(Debug)]
pub(super) struct RemoteMetadata {
    pub commit: String,
    pub etag: String,
    pub bytes: u64,
}

impl RemoteMetadata {
    /// The content's SHA-256, where the ETag is one (every large file).
    pub(super) fn sha256(&self) -> Option<Sha256> {
        self.etag.parse().ok()
    }

    /// Whether the ETag is a git blob's SHA-1 (every small file).
    pub(super) fn is_git_hash(&self) -> bool {
        self.etag.len() == 40 && self.etag.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

impl Hub {
    /// What the hub says the file is.
    pub(super) fn remote_metadata(
        &self,
        wanted: &Wanted<'_>,
        revision: &str,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<RemoteMetadata, HubError> {
        let mut failures = 0;
        loop {
            let transient = match self.metadata_once(wanted, revision, stop)? {
                Ok(stated) => return Ok(stated),
                Err(transient) => transient,
            };
            failures += 1;
            // Without a network the second attempt ends as the first; the user should know at once.
            let allowed = if transient.unreachable { self.retry.attempts.min(2) } else { self.retry.attempts };
            if failures >= allowed {
                return Err(match transient.unreachable {
                    true => HubError::Unreachable(transient.why),
                    false => HubError::HubFails { file: wanted.file.into(), attempts: failures, why: transient.why },
                });
            }
            self.wait(failures, &transient, stop, on_event)?;
        }
    }

    /// One attempt: outside, what no further attempt would change; inside, what the next one may.
    fn metadata_once(
        &self,
        wanted: &Wanted<'_>,
        revision: &str,
        stop: &dyn Fn() -> bool,
    ) -> Result<Result<RemoteMetadata, Transient>, HubError> {
        let mut uri = self.address(wanted, revision)?;
        let (mut commit, mut linked_etag, mut linked_bytes) = (None, None, None);
        for _ in 0..=MAX_HUB_REDIRECTS {
            let answer = match self.exchange.head(&uri, stop) {
                Ok(answer) => answer,
                Err(error) => return self.transient(wanted, &uri, error).map(Err),
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
                    Err(error) => return self.transient(wanted, &uri, error).map(Err),
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
            return Ok(Ok(RemoteMetadata { commit: commit.to_ascii_lowercase(), etag, bytes }));
        }
        let found = format!("with more than {MAX_HUB_REDIRECTS} redirects, one after the other");
        Err(HubError::NotAHub { host: host(&uri), file: wanted.file.to_string(), found })
    }
}

/// An ETag without its quotes and weakness mark.
fn plain_etag(text: &str) -> String {
    text.trim_start_matches("W/").trim_matches('"').to_string()
}
