//! Why a file could not be pulled: each kind one sentence that names the thing and the fix.

use std::io;
use std::path::PathBuf;

use indicatif::DecimalBytes;

use crate::hub::content_hash::Sha256;
use crate::hub::models_lock::LockError;

/// Why a file could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// `HF_ENDPOINT` is no address.
    #[error("HF_ENDPOINT is {0:?}; an address such as https://huggingface.co is needed")]
    Endpoint(String),
    /// `HF_TOKEN` cannot be sent.
    #[error("HF_TOKEN holds a character that no token has; copy it again from the hub's settings")]
    Token,
    /// There is no way to the hub.
    #[error("the hub cannot be reached ({0}): check the network, or HF_ENDPOINT; everything bundled works offline")]
    Unreachable(String),
    /// The file is not there.
    #[error("there is no file {file} in {repository} at revision {revision} (HTTP {status}{})", code_shown(.code))]
    NoSuchFile {
        /// Path.
        file: String,
        /// Repository.
        repository: String,
        /// Revision.
        revision: String,
        /// 404 or 410.
        status: u16,
        /// What the hub calls it.
        code: Option<String>,
    },
    /// The hub wants to know who asks.
    #[error(
        "{repository} is gated, private or not there (HTTP {status}{}): accept its licence at {page}, then set HF_TOKEN to a token of your account{}",
        code_shown(.code), if *.had_token { " (the one that was sent was not accepted)" } else { "" }
    )]
    Gated {
        /// Repository.
        repository: String,
        /// 401 or 403.
        status: u16,
        /// What the hub calls it.
        code: Option<String>,
        /// Where the licence is.
        page: String,
        /// Whether a token was sent.
        had_token: bool,
    },
    /// An answer that a hub would not give.
    #[error(
        "{host} answered {found} for {file}, which is not how a Hugging Face hub answers; check HF_ENDPOINT, or whether a login page stands in between"
    )]
    NotAHub {
        /// Who answered.
        host: String,
        /// The file asked for.
        file: String,
        /// What came.
        found: String,
    },
    /// Attempts came to nothing.
    #[error("{file}: gave up after {attempts} attempts in a row ({why}) with {} of {} here; what arrived is kept, the same command goes on from there", DecimalBytes(*.have), DecimalBytes(*.of))]
    CutShort {
        /// Path.
        file: String,
        /// How many failed in a row.
        attempts: u32,
        /// Why the last one failed.
        why: String,
        /// Bytes here.
        have: u64,
        /// Bytes in all.
        of: u64,
    },
    /// The hub failed, several times.
    #[error("{file}: the hub failed {attempts} times ({why}); try again later")]
    HubFails {
        /// Path.
        file: String,
        /// How many failed in a row.
        attempts: u32,
        /// Why the last one failed.
        why: String,
    },
    /// What arrived, or is about to, is not what it must be.
    #[error("{0}")]
    WrongHash(Box<WrongHash>),
    /// As [`HubError::WrongHash`], for a small file, which the hub knows by its git hash.
    #[error(
        "{file} of {repository} is refused: the hub says git blob {expected}, what arrived is {found}; nothing of it was kept"
    )]
    WrongGitHash {
        /// Path.
        file: String,
        /// Repository.
        repository: String,
        /// What the hub says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The file is not as long as it must be.
    #[error("{file} of {repository} is refused: {by} says {expected} bytes, {from} {found}")]
    WrongSize {
        /// Path.
        file: String,
        /// Repository.
        repository: String,
        /// Who says what it must be.
        by: String,
        /// What it must be.
        expected: u64,
        /// Where the other size comes from.
        from: &'static str,
        /// What it is.
        found: u64,
    },
    /// The commit is not the one that was asked for.
    #[error("{repository} is refused: the file is held to commit {expected}, the hub answers with commit {found}")]
    WrongCommit {
        /// Repository.
        repository: String,
        /// What was asked for.
        expected: String,
        /// What came.
        found: String,
    },
    /// It would not fit.
    #[error("{file} needs {} more, but only {} are free in {folder}: make room, or set HF_HOME to a larger disk", DecimalBytes(*.need), DecimalBytes(*.free))]
    NoRoom {
        /// Path.
        file: String,
        /// The cache.
        folder: PathBuf,
        /// Bytes still to come.
        need: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// It did not fit.
    #[error("{path}: the disk is full after {} ({cause}); what arrived is kept: make room, or set HF_HOME to a larger disk, and run the same command again", DecimalBytes(*.have))]
    DiskFull {
        /// The unfinished file.
        path: PathBuf,
        /// Bytes here.
        have: u64,
        /// What the system said.
        cause: io::Error,
    },
    /// The disk failed in another way.
    #[error("{path}: {cause}")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process is at it and does not come to an end.
    #[error(
        "{path} is locked by another process that has been fetching this file for too long; end it, or try again later"
    )]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The user said stop.
    #[error("stopped; what arrived is kept, the same command goes on from there")]
    Stopped,
    /// The lock could not be used.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// A content that is not what it must be.
#[derive(Debug, thiserror::Error)]
#[error("{file} of {repository} is refused: {by} says sha256 {expected}, {from} {found}; {hint}")]
pub struct WrongHash {
    /// Path.
    pub file: String,
    /// Repository.
    pub repository: String,
    /// Who says what it must be.
    pub by: String,
    /// What it must be.
    pub expected: Sha256,
    /// Where the other hash comes from.
    pub from: &'static str,
    /// What it is.
    pub found: Sha256,
    /// What to do.
    pub hint: String,
}

fn code_shown(code: &Option<String>) -> String {
    code.as_ref().map_or_else(String::new, |code| format!(", {code}"))
}
