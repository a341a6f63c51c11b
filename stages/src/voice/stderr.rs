//! ALSA, PulseAudio and JACK write to stderr by themselves when a device is missing, a dozen lines for one answer.
//! Here that goes to the log (`-vv`) instead, so that what people read is our one sentence.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

/// More than any library says at once; the rest is dropped.
const MAX_CHATTER_BYTES: u64 = 64 << 10;

/// Standard error belongs to the whole process: two calls at once would each take the other's file for the original.
static STDERR: Mutex<()> = Mutex::new(());

/// Runs `work` with the process's standard error turned aside; what was written meanwhile is logged at debug level.
/// Where that is not possible (no room for a temporary file), `work` runs as it is.
pub(crate) fn silence_stderr<T>(work: impl FnOnce() -> T) -> T {
    let _one_at_a_time = STDERR.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(aside) = Aside::begin() else { return work() };
    let result = work();
    for line in aside.end().lines().filter(|l| !l.trim().is_empty()) {
        tracing::debug!(line, "said by a sound library");
    }
    result
}

/// Standard error, turned aside into a file; dropping it turns it back.
struct Aside {
    original: rustix::fd::OwnedFd,
    file: File,
}

impl Aside {
    fn begin() -> Option<Self> {
        let file = tempfile::tempfile().ok()?;
        let original = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).ok()?;
        rustix::stdio::dup2_stderr(&file).ok()?;
        Some(Self { original, file })
    }

    fn end(mut self) -> String {
        self.turn_back();
        let mut said = Vec::new();
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| {
            let mut bounded = Read::by_ref(&mut self.file).take(MAX_CHATTER_BYTES);
            bounded.read_to_end(&mut said)
        });
        if read.is_err() {
            said.clear();
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    fn turn_back(&self) {
        let _ = rustix::stdio::dup2_stderr(&self.original);
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.turn_back();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_libraries_write_to_stderr_is_taken_aside_and_given_back() {
        let _one_at_a_time = STDERR.lock().unwrap_or_else(PoisonError::into_inner);
        let aside = Aside::begin().expect("a temporary file can be made");
        let written = writeln!(std::io::stderr(), "ALSA lib confmisc.c: no card");
        let said = aside.end();
        written.expect("standard error takes a line");
        assert!(said.contains("ALSA lib confmisc.c: no card"), "{said:?}");
    }
}
