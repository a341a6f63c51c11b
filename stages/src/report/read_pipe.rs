//! Readings from a pipe. Nobody says whether it carries a file or what sensors tell right now: it is read as a file until it pauses, and
//! from then on live if its newest reading is of now, has no time of its own, or is as much newer than an earlier one as time has passed.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::Context;
use nearfield_telemetry::Moment;
use nearfield_telemetry::read::is_workbook;

use super::read_text::{Reader, rows_of_workbook};
use super::windower::now;
use crate::flow::{StopSignal, is_stopped};
use crate::pipes::Pauses;

/// So long nothing comes in a pause.
const PAUSE: Duration = Duration::from_millis(200);
/// Readings are sent on so often, also where they come without a pause.
const SEND: Duration = Duration::from_millis(500);
/// The layout is decided by what is there after so long, however little it is.
const DECIDE: Duration = Duration::from_secs(2);
/// A reading is of now if it is so old at most, in seconds.
const OF_NOW: f64 = 180.0;
/// A clock that is wrong is known by its pace after so long.
const PACED: Duration = Duration::from_secs(5);
/// Bytes read at once.
const BLOCK: usize = 64 << 10;

/// The newest reading so far, and when it was seen.
struct Seen {
    newest: Moment,
    at: Instant,
}

impl Reader<'_> {
    /// Reads a pipe to its end, a stop, or until nobody listens any more.
    pub(super) fn drain_pipe(&mut self, pipe: &mut dyn Pauses, stop: &StopSignal) -> anyhow::Result<()> {
        let Some((head, paused)) = head(pipe, stop)? else { return Ok(()) };
        if is_workbook(&head) {
            let rows = rows_of_workbook(head, pipe)?;
            return self.take(&rows).map(|_| ());
        }
        if paused {
            // Readings without a time can only be of now.
            self.reader.allow_untimed();
        }
        if self.take(&head)?.is_break() {
            return Ok(());
        }
        let (begun, mut sent) = (Instant::now(), Instant::now());
        let mut seen = None;
        let mut pauses = paused;
        loop {
            let waited = !pauses && !pipe.wait(PAUSE).context("it can't be read")?;
            if std::mem::take(&mut pauses) || waited || (sent.elapsed() >= SEND && begun.elapsed() >= DECIDE) {
                self.reading(|reader, emit| reader.pause(emit))?;
                self.judge_pace(&mut seen);
                if self.send().is_break() {
                    return Ok(());
                }
                sent = Instant::now();
            }
            if waited && !pipe.wait(Duration::from_secs(3600)).context("it can't be read")? {
                continue;
            }
            match read(pipe, stop)? {
                Some(block) if self.take(&block)?.is_continue() => {}
                _ => return Ok(()),
            }
        }
    }

    /// Whether readings come as they are taken.
    fn judge_pace(&mut self, seen: &mut Option<Seen>) {
        let Some(newest) = self.newest.filter(|_| !self.is_live()) else { return };
        let is_of_now = now().seconds_since(newest).abs() <= OF_NOW;
        let is_paced = match seen {
            None => {
                *seen = Some(Seen { newest, at: Instant::now() });
                false
            }
            Some(seen) => {
                let passed = seen.at.elapsed().as_secs_f64();
                let moved = newest.seconds_since(seen.newest);
                passed >= PACED.as_secs_f64() && moved > 0.0 && (moved - passed).abs() <= 2.0 + passed * 0.1
            }
        };
        if is_of_now || is_paced {
            tracing::info!("readings come as they are taken: windows are reported when they end");
            self.go_live();
        }
    }
}

/// The first bytes: up to a pause, a block, or the end; and whether it was a pause.
fn head(pipe: &mut dyn Pauses, stop: &StopSignal) -> anyhow::Result<Option<(Vec<u8>, bool)>> {
    let mut head = Vec::new();
    let mut begun = None;
    while head.len() < BLOCK {
        // What has no line yet shows neither encoding nor format.
        let pause = if head.iter().any(|b| matches!(b, b'\n' | b'\r')) { PAUSE } else { DECIDE };
        if !head.is_empty() && !pipe.wait(pause).context("it can't be read")? {
            return Ok(Some((head, true)));
        }
        // Nor may whoever writes a byte a second keep it undecided.
        if begun.get_or_insert_with(Instant::now).elapsed() > DECIDE * 5 && !head.is_empty() {
            return Ok(Some((head, true)));
        }
        match read(pipe, stop)? {
            Some(block) => head.extend(block),
            None if is_stopped(stop) => return Ok(None),
            None => break,
        }
    }
    Ok(Some((head, false)))
}

/// The next bytes; `None` at the end or when a stop is asked.
fn read(pipe: &mut dyn Pauses, stop: &StopSignal) -> anyhow::Result<Option<Vec<u8>>> {
    let mut block = vec![0; BLOCK];
    loop {
        match pipe.read(&mut block) {
            Ok(0) => return Ok(None),
            Ok(n) => {
                block.truncate(n);
                return Ok((!is_stopped(stop)).then_some(block));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("it can't be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crossbeam_channel::{Sender, bounded, unbounded};
    use jiff::tz::TimeZone;
    use nearfield_telemetry::clock::{ClockOptions, Clocks};
    use nearfield_telemetry::read::TextOptions;
    use nearfield_telemetry::window::WindowPlan;

    use super::super::read_text::{TextSource, read_pipe_for_test};
    use super::super::sensors::SensorRegistry;
    use super::*;
    use crate::flow::Output;
    use crate::messages::Batch;

    /// A writer that says when it pauses; nothing is its end.
    struct Written(crossbeam_channel::Receiver<Vec<u8>>, Vec<u8>, bool);

    impl std::io::Read for Written {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            if self.1.is_empty() && !self.2 {
                self.1 = self.0.recv().unwrap_or_default();
            }
            let n = self.1.len().min(out.len());
            out[..n].copy_from_slice(&self.1[..n]);
            self.1.drain(..n);
            Ok(n)
        }
    }

    impl Pauses for Written {
        fn wait(&mut self, timeout: Duration) -> std::io::Result<bool> {
            if self.1.is_empty() && !self.2 {
                match self.0.recv_timeout(timeout.min(Duration::from_secs(30))) {
                    Ok(bytes) => (self.2, self.1) = (bytes.is_empty(), bytes),
                    Err(crossbeam_channel::RecvTimeoutError::Timeout) => return Ok(false),
                    Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {}
                }
            }
            Ok(true)
        }
    }

    fn run(write: impl FnOnce(&Sender<Vec<u8>>, &dyn Fn() -> Batch) + Send + 'static) -> anyhow::Result<()> {
        let (input, written) = unbounded();
        let (sender, batches) = unbounded::<crate::messages::Envelope<Batch>>();
        let (_keep, stop) = bounded(0);
        let writer = std::thread::spawn(move || {
            let next = || batches.recv_timeout(Duration::from_secs(20)).map(|e| e.body).expect("a batch comes");
            write(&input, &next);
        });
        let length = "1h".parse().unwrap();
        let plan = WindowPlan::new(length, length, TimeZone::UTC).unwrap();
        let clocks = Clocks::new(ClockOptions { ahead_seconds: 30.0, lateness_seconds: 30.0, plan });
        let sensors = SensorRegistry::new(BTreeMap::new(), false, 10);
        let mut pipe = Written(written, Vec::new(), false);
        let output = Output::Wait(sender);
        let outcome =
            read_pipe_for_test(&TextSource::Stdin, &TextOptions::default(), sensors, clocks, &output, &mut pipe, &stop);
        drop(output);
        writer.join().unwrap();
        outcome
    }

    #[test]
    fn readings_of_now_are_handed_on_while_the_pipe_stays_open() {
        run(|input, next| {
            let line = |value: f64| format!("{},{value}\n", now().timestamp()).into_bytes();
            input.send([b"time,a\n".to_vec(), line(1.0)].concat()).unwrap();
            let first = next();
            assert!(first.goes_live && first.readings.len() == 1, "{first:?}");
            input.send(line(2.0)).unwrap();
            let second = next();
            assert!(!second.goes_live && second.readings[0].value == 2.0 && second.pace.current, "{second:?}");
        })
        .unwrap();
    }

    #[test]
    fn readings_without_a_time_are_of_now_where_a_pipe_pauses_and_refused_where_it_ends() {
        run(|input, next| {
            input.send(b"home/hall/temperature 21.5\n".to_vec()).unwrap();
            let first = next();
            assert!(first.goes_live && now().seconds_since(first.readings[0].at).abs() < 20.0, "{first:?}");
            input.send(b"home/hall/temperature 21.6\n".to_vec()).unwrap();
            assert!(now().seconds_since(next().readings[0].at).abs() < 20.0);
        })
        .unwrap();
        let error = run(|input, _| input.send(b"{\"a\":1}\n{\"a\":2}\n".to_vec()).unwrap()).unwrap_err();
        assert!(format!("{error:#}").contains("holds a time"), "{error:#}");
    }

    #[test]
    fn a_line_that_is_broken_off_is_no_reading_of_a_live_pipe() {
        run(|input, next| {
            let at = now().timestamp();
            input.send(format!("time,a\n{at},21.5\n").into_bytes()).unwrap();
            assert!(next().goes_live);
            input.send(format!("{at},21.6\n{at},2").into_bytes()).unwrap();
            let second = next();
            assert_eq!(second.readings.iter().map(|r| r.value).collect::<Vec<_>>(), [21.6]);
            input.send(Vec::new()).unwrap();
            let last = next();
            assert!(last.readings.is_empty() && last.rejected.malformed == 1, "{last:?}");
        })
        .unwrap();
    }

    #[test]
    fn a_pipe_that_stops_within_its_first_line_is_read_once_the_line_is_whole() {
        run(|input, next| {
            let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
            let text = utf16(&format!("time,Wärme\r\n{},21.5\r\n", now().timestamp()));
            input.send(text[..5].to_vec()).unwrap();
            std::thread::sleep(PAUSE * 3);
            input.send(text[5..].to_vec()).unwrap();
            let first = next();
            assert!(first.readings.len() == 1 && first.introduced[0].1.name == "Wärme", "{first:?}");
        })
        .unwrap();
    }

    #[test]
    fn old_readings_stay_those_of_a_file_however_slowly_they_come() {
        run(|input, next| {
            input.send(b"time,a\n2026-03-10 00:00,1\n2026-03-10 00:10,2\n".to_vec()).unwrap();
            let first = next();
            assert!(!first.goes_live && first.readings.len() == 2 && !first.pace.current, "{first:?}");
        })
        .unwrap();
    }
}
