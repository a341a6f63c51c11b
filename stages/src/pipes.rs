//! Reading from a pipe (a FIFO) that is named like a file: data is taken as it comes, to the end of the last writer, and nobody
//! waits beyond a stop.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use nearfield_base::files;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::flow::{StopSignal, is_stopped};
use crate::voice::capture::StoppableStdin;

/// How often a wait looks at the stop signal.
const TICK: Duration = Duration::from_millis(50);

/// The reading end of a pipe. It ends where the last writer leaves, and when `stop` is disconnected.
pub struct Pipe {
    file: File,
    stop: StopSignal,
}

impl Pipe {
    /// Opens `path` without waiting for a writer; `None` where it is no pipe.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn open(path: &Path, stop: &StopSignal) -> io::Result<Option<Pipe>> {
        if !files::is_pipe(path) {
            return Ok(None);
        }
        let (file, is_pipe) = files::open_at_once(path)?;
        Ok(is_pipe.then(|| Pipe { file, stop: stop.clone() }))
    }
}

/// What may pause: whoever writes to it has no more for now.
pub trait Pauses: Read {
    /// Waits until there is something to read, or the end; `false` when there is nothing after `timeout`.
    ///
    /// # Errors
    /// It can't be read.
    fn wait(&mut self, timeout: Duration) -> io::Result<bool>;
}

impl Pauses for StoppableStdin {
    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        StoppableStdin::wait(self, timeout)
    }
}

impl Pauses for Pipe {
    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        let deadline = std::time::Instant::now() + timeout;
        loop {
            if is_stopped(&self.stop) {
                return Ok(true);
            }
            let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
            let tick = Timespec { tv_sec: 0, tv_nsec: TICK.min(timeout).as_nanos() as i64 };
            match poll(&mut ready, Some(&tick)) {
                Ok(0) | Err(rustix::io::Errno::INTR) if std::time::Instant::now() >= deadline => return Ok(false),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if is_stopped(&self.stop) {
                return Ok(0);
            }
            let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
            let tick = Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as i64 };
            match poll(&mut ready, Some(&tick)) {
                // Before the first writer there is neither data nor an end.
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match self.file.read(out) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_pipe_is_read_from_its_first_writer_to_its_last_and_a_stop_ends_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (keep, stop) = crossbeam_channel::bounded(0);
        assert!(Pipe::open(folder.path(), &stop).unwrap().is_none());
        let mut pipe = Pipe::open(&path, &stop).unwrap().unwrap();
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(120));
                let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
                file.write_all(b"one ").unwrap();
                std::thread::sleep(Duration::from_millis(120));
                file.write_all(b"two").unwrap();
            })
        };
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
        writer.join().unwrap();
        let begun = Instant::now();
        let mut waiting = Pipe::open(&path, &stop).unwrap().unwrap();
        let ender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(keep);
        });
        assert_eq!(waiting.read(&mut [0; 8]).unwrap(), 0);
        assert!(begun.elapsed() >= Duration::from_millis(150) && begun.elapsed() < Duration::from_secs(2));
        ender.join().unwrap();
    }
}
