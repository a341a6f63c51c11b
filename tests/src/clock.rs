//! A clock that a test moves: a library preloaded into the program (`tests/clock/shim.c`) adds to each clock that it reads, and
//! to each end of a wait, what the test says has passed. So a month passes as fast as the program's own work takes, in the very
//! program that is shipped.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::{arg, root, skipped, wait_for};

/// The longest that a thread of the program takes to notice that time has passed.
const NOTICED: Duration = Duration::from_millis(5);

/// Where the numbers stand that the library reads.
const PASSED: u64 = 0;
const SET: u64 = 8;
const FULL: u64 = 16;
const WAITING: u64 = 24;

/// The library, compiled once; `None`, said aloud, where there is no compiler.
static SHIM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let library = std::env::temp_dir().join(format!("nearfield-clock-{}.so", std::process::id()));
    let source = root().join("tests/clock/shim.c");
    let args = ["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", arg(&library), arg(&source), "-ldl"];
    match Command::new("cc").args(args).status() {
        Ok(status) => {
            assert!(status.success(), "tests/clock/shim.c does not compile");
            Some(library)
        }
        Err(_) => {
            skipped("no C compiler (cc) for the library that moves clocks");
            None
        }
    }
});

/// The clocks of one program.
pub struct SimulatedClock {
    library: PathBuf,
    path: PathBuf,
    control: File,
    /// How many threads wait while the program has nothing to do, as far as is known.
    idle: AtomicI64,
}

impl SimulatedClock {
    /// Says `begin` now; keeps its numbers in `folder`. `None`, said aloud, where there is no C compiler.
    pub fn new(folder: &Path, begin: &str) -> Option<Self> {
        let library = SHIM.clone()?;
        let path = folder.join("clock");
        std::fs::write(&path, [0; 32]).unwrap();
        let control = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let clock = Self { library, path, control, idle: AtomicI64::new(0) };
        clock.set(begin.parse().unwrap());
        Some(clock)
    }

    /// Has a program follow this clock. `disk` is the folder that [`SimulatedClock::fill_disk`] fills.
    pub fn govern(&self, command: &mut Command, disk: &Path) {
        command.env("LD_PRELOAD", &self.library).env("CLOCK_CONTROL", &self.path).env("CLOCK_DISK", disk);
    }

    fn get(&self, at: u64) -> i64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, at).unwrap();
        i64::from_ne_bytes(bytes)
    }

    fn put(&self, at: u64, value: i64) {
        self.control.write_all_at(&value.to_ne_bytes(), at).unwrap();
    }

    /// What the program's wall clock says.
    pub fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_nanos(self.get(PASSED) + self.get(SET))
    }

    /// Sets the wall clock, as NTP does.
    pub fn set(&self, to: Timestamp) {
        let by = to.duration_since(self.now());
        self.put(SET, self.get(SET) + i64::try_from(by.as_nanos()).unwrap());
    }

    /// So much time passes at once. Returns when every thread has had time to notice.
    pub fn pass(&self, time: Duration) {
        self.put(PASSED, self.get(PASSED) + i64::try_from(time.as_nanos()).unwrap());
        std::thread::sleep(NOTICED);
    }

    /// Whether the disk is full.
    pub fn fill_disk(&self, full: bool) {
        self.put(FULL, i64::from(full));
    }

    /// Learns how many threads wait while the program has nothing to do, as it has now.
    pub fn learn_idle(&self) {
        let begun = Instant::now();
        self.idle.store(0, Ordering::Relaxed);
        while begun.elapsed() < Duration::from_millis(500) {
            self.idle.fetch_max(self.get(WAITING), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the program has done what was to be done.
    pub fn settle(&self) {
        let mut in_a_row = 0;
        wait_for_often(Duration::from_secs(20), || {
            in_a_row = if self.get(WAITING) >= self.idle.load(Ordering::Relaxed) { in_a_row + 1 } else { 0 };
            in_a_row > 2
        });
    }
}

/// As [`wait_for`], for what takes less than a millisecond.
fn wait_for_often(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(20) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    wait_for(limit, condition)
}

/// What a running program holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Resident memory in KiB.
    pub memory_kib: u64,
    pub threads: u64,
    pub handles: u64,
}

/// What the process `pid` holds now.
pub fn held(pid: u32) -> Held {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let number = |key: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
    };
    let handles = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64;
    Held { memory_kib: number("VmRSS:"), threads: number("Threads:"), handles }
}

/// By which share the mean of the last quarter is above that of the second.
pub fn growth(values: &[u64]) -> f64 {
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
    let quarter = values.len() / 4;
    mean(&values[values.len() - quarter..]) / mean(&values[quarter..2 * quarter]) - 1.0
}

/// Fails unless memory is flat: within 2 % in a long run, in a short one by less than a tenth and 4 MiB.
pub fn assert_memory_is_flat(held: &[Held], is_long: bool) {
    let memory: Vec<u64> = held.iter().map(|held| held.memory_kib).collect();
    if is_long {
        assert!(growth(&memory) < 0.02, "{memory:?}");
    } else {
        assert!(*memory.last().unwrap() < memory[0] + memory[0] / 10 + 4096, "{memory:?}");
    }
}
