//! Which writes a program that ends must not cut off: those whose data would be lost with it. Each is marked while it lasts; what
//! ends the program by force (see the program's `signals`) waits for them, within bounds. The marks belong to the process, as
//! signals do.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So long a flow that ends waits for such writes. Service managers wait longer (systemd: 90 s).
pub const LONGEST: Duration = Duration::from_secs(10);
/// Between two writes of a series (batches that follow each other into the store) nothing is marked for so long at most.
const GAP: Duration = Duration::from_millis(150);

static WRITES: Mutex<Writes> = Mutex::new(Writes { under_way: 0, last_end: None });

struct Writes {
    under_way: usize,
    last_end: Option<Instant>,
}

impl Writes {
    fn begin(&mut self) {
        self.under_way += 1;
    }

    fn end(&mut self) {
        self.under_way -= 1;
        self.last_end = Some(Instant::now());
    }

    fn are_under_way(&self) -> bool {
        self.under_way > 0 || self.last_end.is_some_and(|end| end.elapsed() < GAP)
    }
}

fn writes() -> MutexGuard<'static, Writes> {
    WRITES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A write whose data would be lost with the program; over when dropped.
#[derive(Debug)]
pub struct Write(());

/// Such a write begins.
pub fn begin() -> Write {
    writes().begin();
    Write(())
}

impl Drop for Write {
    fn drop(&mut self) {
        writes().end();
    }
}

/// Whether such a write is under way, or has only just ended, so that the next one of its series may follow.
pub fn are_under_way() -> bool {
    writes().are_under_way()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_under_way_until_shortly_after_its_end() {
        let mut writes = Writes { under_way: 0, last_end: None };
        assert!(!writes.are_under_way());
        writes.begin();
        writes.begin();
        writes.end();
        std::thread::sleep(2 * GAP);
        assert!(writes.are_under_way());
        writes.end();
        assert!(writes.are_under_way());
        std::thread::sleep(2 * GAP);
        assert!(!writes.are_under_way());
    }
}
