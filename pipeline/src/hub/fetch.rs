//! Fetching a file's content: resumed from where the last attempt ended, in as many attempts as it takes, and verified.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::hub::content_hash::Sha256;
use crate::hub::exchange::{Part, shown};
use crate::hub::expected::Expected;
use crate::hub::metadata::RemoteMetadata;
use crate::hub::partial::{Partial, disk};
use crate::hub::retry::Transient;
use crate::hub::{Event, Hub, HubError, Wanted, host};

/// A failure after this much progress is the first one again.
const PROGRESS_BYTES: u64 = 1 << 20;
/// Between two `Arrived` events.
const ARRIVED_INTERVAL: Duration = Duration::from_millis(100);

impl Hub {
    /// Fetches into `incomplete`, from where it ends, until all is there and is what it must be.
    pub(super) fn fetch_verified(
        &self,
        wanted: &Wanted<'_>,
        stated: &RemoteMetadata,
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
        stated: &RemoteMetadata,
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
            let Err(transient) = self.fetch_once(wanted, stated, partial, stop, on_event)? else {
                break;
            };
            failures = if partial.len >= before + PROGRESS_BYTES { 1 } else { failures + 1 };
            if failures >= self.retry.attempts {
                return Err(HubError::CutShort {
                    file: wanted.file.to_string(),
                    attempts: failures,
                    why: transient.why,
                    have: partial.len,
                    of: stated.bytes,
                });
            }
            self.wait(failures, &transient, stop, on_event)?;
        }
        Ok(())
    }

    /// One attempt: outside, what no further attempt would change; inside, what the next one may.
    fn fetch_once(
        &self,
        wanted: &Wanted<'_>,
        stated: &RemoteMetadata,
        partial: &mut Partial,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Result<(), Transient>, HubError> {
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
            Part::Failed(error) => return self.transient(wanted, &uri, error).map(Err),
            Part::Piece(_) | Part::End => {
                return Ok(Err(Transient::because("the answer ended before it began")));
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
                    return Ok(Err(Transient::because(&why)));
                }
            }
            416 => {
                partial.start_again()?;
                return Ok(Err(Transient::because("the rest was refused (HTTP 416)")));
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
                Part::End => return Ok(Err(Transient::because("the connection was cut"))),
                Part::Failed(error) => return self.transient(wanted, &uri, error).map(Err),
                Part::Answer(_) => return Ok(Err(Transient::because("a second answer came"))),
            }
        }
    }

    fn wrong_size(&self, wanted: &Wanted<'_>, stated: &RemoteMetadata, from: &'static str, found: u64) -> HubError {
        HubError::WrongSize {
            file: wanted.file.to_string(),
            repository: wanted.repository.to_string(),
            by: self.endpoint.clone(),
            expected: stated.bytes,
            from,
            found,
        }
    }
}
