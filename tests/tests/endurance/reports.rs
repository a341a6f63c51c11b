//! A month of daily reports, on a clock that the test moves.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use nearfield_tests::clock::{SimulatedClock, assert_memory_is_flat};
use nearfield_tests::{arg, nearfield};

use crate::is_whole;
use crate::program::{Program, Server};

/// Before a line that was written is read.
const A_SECOND: Duration = Duration::from_secs(1);

/// A program that follows a file of readings and reports each day at seven.
struct Reports {
    clock: std::sync::Arc<SimulatedClock>,
    program: Program,
    server: Server,
    zone: TimeZone,
    readings: File,
    folder: tempfile::TempDir,
    /// Between two readings.
    step: Duration,
    written: u64,
}

/// A report as it was printed.
#[derive(Debug)]
struct Report {
    start: Zoned,
    end: Zoned,
    printed: Zoned,
    readings: u64,
    late: u64,
}

impl Reports {
    /// `None`, said aloud, where clocks can't be moved.
    fn start(begin: &str, zone: &str, step: Duration) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().canonicalize().unwrap().join("data");
        fs::create_dir(&data).unwrap();
        let clock = std::sync::Arc::new(SimulatedClock::new(folder.path(), begin)?);
        let input = folder.path().join("readings.jsonl");
        let readings = File::create(&input).unwrap();
        let server = Server::start();
        let set = [
            format!("window.zone={zone}"),
            "window.schedule=daily at 07:00".to_owned(),
            format!("store.file={}", arg(&data.join("store.sqlite"))),
            "store.max_age=5d".to_owned(),
            format!("store.backup={}", arg(&data.join("copies"))),
            format!("outlets.webhook={}", server.url()),
            format!("outlets.spool={}", arg(&data.join("spool"))),
        ];
        let mut args = vec!["report", "--input", arg(&input), "--follow", "--json", "--window", "1d"];
        args.extend(set.iter().flat_map(|s| ["--set", s]));
        let mut command = nearfield(&args);
        clock.govern(&mut command, &data);
        let program = Program::start(command, clock.clone(), folder.path());
        let wal = data.join("store.sqlite-wal");
        assert!(nearfield_tests::wait_for(Duration::from_secs(60), || wal.exists()), "{}", program.log());
        clock.learn_idle();
        let zone = TimeZone::get(zone).unwrap();
        Some(Self { clock, program, server, zone, readings, folder, step, written: 0 })
    }

    fn now(&self) -> Zoned {
        self.clock.now().to_zoned(self.zone.clone())
    }

    /// Two sensors are read at `at`, by their own clocks.
    fn write(&mut self, at: Timestamp) {
        let n = self.written;
        let line = format!(
            "{{\"time\":\"{}\",\"hall\":{}.5,\"cellar\":{}}}\n",
            at.strftime("%FT%T%.3fZ"),
            18 + n % 7,
            10 + n % 3
        );
        self.readings.write_all(line.as_bytes()).unwrap();
        self.written += 2;
    }

    /// Two sensors are read at `at`, and then time passes until they are read again.
    fn read_at(&mut self, at: Timestamp) {
        self.write(at);
        self.clock.pass(A_SECOND);
        self.clock.settle();
        self.clock.pass(self.step - A_SECOND);
        self.clock.settle();
    }

    /// The disk is full for some minutes, which pass second by second: whoever waits for it is asked again each second.
    fn fill_disk(&mut self, from: Timestamp, to: Timestamp) {
        if let Ok(rest) = Duration::try_from(from.duration_since(self.clock.now())) {
            self.clock.pass(rest);
            self.clock.settle();
        }
        self.clock.fill_disk(true);
        self.write(self.clock.now());
        while self.clock.now() < to {
            self.clock.pass(A_SECOND);
            self.clock.settle();
        }
        self.clock.fill_disk(false);
        // What has waited is read before anything else happens.
        for _ in 0..10 {
            self.clock.pass(A_SECOND);
            self.clock.settle();
        }
    }

    fn run_until(&mut self, end: Timestamp, each_step: &mut dyn FnMut(&mut Self)) {
        while self.clock.now() < end {
            each_step(self);
            self.read_at(self.clock.now());
        }
    }

    /// Puts the file of readings away, as logrotate does.
    fn rotate(&mut self) {
        let path = self.folder.path().join("readings.jsonl");
        fs::rename(&path, self.folder.path().join("readings.old")).unwrap();
        self.readings = OpenOptions::new().create_new(true).append(true).open(&path).unwrap();
    }

    fn reports(&self) -> Vec<Report> {
        let zoned = |text: &str| text.parse::<Timestamp>().unwrap().to_zoned(self.zone.clone());
        let lines = self.program.lines();
        let report = |(printed, line): &(Timestamp, serde_json::Value)| Report {
            start: zoned(line["window"]["start"].as_str().unwrap()),
            end: zoned(line["window"]["end"].as_str().unwrap()),
            printed: printed.to_zoned(self.zone.clone()),
            readings: line["readings"].as_u64().unwrap(),
            late: line["unused"]["late"].as_u64().unwrap_or(u64::MAX),
        };
        lines.iter().map(report).collect()
    }
}

/// A whole number of days from `begin`, with all that can happen in them; `changed` is the day with 23 or 25 hours.
fn a_month(begin: &str, days: i64, step: Duration, changed: (&str, i64)) {
    let Some(mut month) = Reports::start(begin, "Europe/Berlin", step) else { return };
    let first = month.now();
    let end = first.checked_add(days.days()).unwrap();
    let at = |day: i64, hour: i64| first.checked_add((day * 24 + hour).hours()).unwrap().timestamp();
    // Full across midnight, when a window ends.
    let full_disk = at(3, 0).checked_sub(30.seconds()).unwrap()..at(3, 0).checked_add(60.seconds()).unwrap();
    // The other side is away for longer than a report waits for the next.
    let away = at(1, 0)..at(2, 12);
    let (mut day, mut held) = (first.date(), Vec::new());
    month.run_until(end.timestamp(), &mut |month| {
        let now = month.clock.now();
        month.server.refuse(away.contains(&now));
        if now < full_disk.start && now + SignedDuration::try_from(2 * step).unwrap() > full_disk.start {
            month.fill_disk(full_disk.start, full_disk.end);
        }
        let today = month.now().date();
        if today != day {
            day = today;
            held.push(month.program.held());
            month.rotate();
        }
    });
    let (reports, log) = (month.reports(), month.program.log());
    let about = || format!("{reports:#?}\n{log}");
    // The last day's report is not due yet.
    assert_eq!(reports.len() as i64, days - 1, "{}", about());
    for pair in reports.windows(2) {
        assert_eq!(pair[0].end, pair[1].start, "one window after the other: {}", about());
    }
    let step_seconds = step.as_secs() as i64;
    let mut counted = 0;
    for report in &reports {
        counted += report.readings;
        let hours = report.end.timestamp().duration_since(report.start.timestamp()).as_hours();
        let expected = if report.start.date().to_string() == changed.0 { changed.1 } else { 24 };
        assert_eq!(hours, expected, "{}", about());
        let due = report.end.date().at(7, 0, 0, 0).to_zoned(month.zone.clone()).unwrap();
        let late = report.printed.timestamp().duration_since(due.timestamp()).as_secs();
        assert!((0..=step_seconds + 60).contains(&late), "printed {late} s after it was due: {}", about());
        assert_eq!(report.late, 0, "none comes too late: {}", about());
        // A reading each step and sensor, give or take the one at the border.
        let expected_readings = 2 * hours * 3600 / step_seconds;
        assert!((report.readings as i64 - expected_readings).abs() <= 4, "{expected_readings} expected: {}", about());
    }
    let covered = reports.last().unwrap().end.timestamp().duration_since(reports[0].start.timestamp()).as_secs();
    assert!((counted as i64 - 2 * covered / step_seconds).abs() <= 4, "{counted} readings: {}", about());
    // What could not be delivered then has been since.
    assert_eq!(month.server.delivered(), reports.len(), "{}", about());
    let stored = fs::read_dir(month.folder.path().join("data/copies")).unwrap().count();
    assert_eq!(stored, 3, "copies of the store are made, and the oldest make room");
    // What happens each day is not logged each day, and a full disk or another machine that is away not at each attempt.
    eprintln!(
        "{days} days, {} readings, {} reports, {} bytes of log, resident {} to {} KiB, {} to {} handles",
        month.written,
        reports.len(),
        log.len(),
        held[0].memory_kib,
        held.last().unwrap().memory_kib,
        held[0].handles,
        held.last().unwrap().handles,
    );
    assert!(log.len() < 4000 + 300 * days as usize, "{} bytes of log: {log}", log.len());
    let settled = &held[1..];
    let handles: Vec<u64> = settled.iter().map(|h| h.handles).collect();
    let threads: Vec<u64> = settled.iter().map(|h| h.threads).collect();
    assert!(handles.iter().max().unwrap() - handles.iter().min().unwrap() <= 2, "{handles:?}");
    assert!(threads.iter().max().unwrap() - threads.iter().min().unwrap() <= 1, "{threads:?}");
    assert_memory_is_flat(settled, days >= 28);
    month.program.stop();
}

fn step() -> (i64, Duration) {
    if is_whole() { (31, Duration::from_secs(300)) } else { (5, Duration::from_secs(3600)) }
}

#[test]
fn a_month_in_which_summer_time_ends_is_reported_each_day_at_seven_and_nothing_grows() {
    let (days, step) = step();
    a_month("2026-10-22T22:00:00Z", days, step, ("2026-10-25", 25));
}

#[test]
fn a_month_in_which_summer_time_begins_is_reported_each_day_at_seven_and_nothing_grows() {
    let (days, step) = step();
    a_month("2026-03-26T23:00:00Z", days, step, ("2026-03-29", 23));
}

#[test]
fn a_clock_that_begins_in_1970_and_is_set_forth_and_back_by_ntp_loses_no_reading_and_no_report() {
    let step = Duration::from_secs(1800);
    let Some(mut boot) = Reports::start("1970-01-01T06:30:12Z", "Europe/Berlin", step) else { return };
    // Sensors with the right time, on a machine that does not know it yet.
    let right: Timestamp = "2026-06-15T08:00:00Z".parse().unwrap();
    for i in 0..3 {
        boot.read_at(right.checked_add((i * 1800).seconds()).unwrap());
    }
    let set_to =
        |boot: &Reports, seconds: i64| boot.clock.set(boot.clock.now().checked_add(seconds.seconds()).unwrap());
    boot.clock.set(right.checked_add(5400.seconds()).unwrap());
    let mut steps = 0;
    boot.run_until("2026-06-18T06:00:00Z".parse().unwrap(), &mut |boot| {
        steps += 1;
        // A minute and a half back and forth in the first hours, as a daemon does that changes its mind.
        match steps {
            3 | 9 => set_to(boot, -90),
            6 | 12 => set_to(boot, 90),
            _ => {}
        }
    });
    let (reports, log) = (boot.reports(), boot.program.log());
    let about = format!("{reports:#?}\n{log}");
    let days: Vec<String> = reports.iter().map(|r| r.start.date().to_string()).collect();
    assert_eq!(days, ["2026-06-15", "2026-06-16", "2026-06-17"], "{about}");
    for report in &reports {
        let due = report.end.date().at(7, 0, 0, 0).to_zoned(boot.zone.clone()).unwrap();
        let late = report.printed.timestamp().duration_since(due.timestamp()).as_secs();
        assert!((0..=1900).contains(&late), "printed {late} s after it was due: {about}");
        assert_eq!(report.late, 0, "{about}");
    }
    let after: u64 = 2 * 7 * 2; // In the last day, of which no report is due.
    let counted: u64 = reports.iter().map(|r| r.readings).sum();
    assert!(counted.abs_diff(boot.written - after) <= 20, "{counted} of {}: {about}", boot.written);
    boot.program.stop();
}

#[test]
fn readings_that_come_again_after_longer_than_a_clock_jump_count_although_the_program_runs_on() {
    let Some(mut away) = Reports::start("2026-06-15T08:00:00Z", "UTC", Duration::from_secs(1800)) else { return };
    away.run_until("2026-06-15T20:00:00Z".parse().unwrap(), &mut |_| {});
    for _ in 0..35 * 24 {
        away.clock.pass(Duration::from_secs(3600));
        away.clock.settle();
    }
    let back = away.written;
    away.run_until("2026-07-22T12:00:00Z".parse().unwrap(), &mut |_| {});
    let after: u64 =
        away.reports().iter().filter(|r| r.start.month() == 7 && r.start.day() >= 20).map(|r| r.readings).sum();
    let open = 2 * 12 * 2;
    assert!(
        (away.written - back - open).abs_diff(after) <= 4,
        "{after} of {}: {}",
        away.written - back,
        away.program.log()
    );
    away.program.stop();
}
