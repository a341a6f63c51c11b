//! A clock that a test moves: a library preloaded into the program (`tests/clock/shim.c`) adds to each clock that it reads, and
//! to each end of a wait, what the test says has passed. So a month passes as fast as the program's own work takes, in the very
//! program that is shipped.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::{arg, root, skipped};

/// However busy the machine is, a thread of the program has noticed by then that time has passed, and done what was to be done.
const LONGEST: Duration = Duration::from_secs(120);
/// Between two looks at the program.
const LOOK_AGAIN: Duration = Duration::from_micros(100);

/// Where the numbers stand that the library reads.
const PASSED: u64 = 0;
const SET: u64 = 8;
const FULL: u64 = 16;
const CHANGES: u64 = 24;
const WAITING: u64 = 32;
const NOTICED: u64 = 40;
const NOTICER: u64 = 48;
const PROCESS: u64 = 56;

/// The library, compiled once; `None`, said aloud, where there is no compiler.
static SHIM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let library = std::env::temp_dir().join(format!("nearfield-clock-{}.so", std::process::id()));
    let source = root().join("tests/clock/shim.c");
    let args = ["-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", arg(&library), arg(&source), "-ldl", "-lpthread"];
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
    /// Where the library reads changes, once the program runs.
    changed: OnceLock<File>,
    /// How many threads wait while the program has nothing to do, as far as is known.
    idle: AtomicI64,
}

impl SimulatedClock {
    /// Says `begin` now; keeps its numbers in `folder`. `None`, said aloud, where there is no C compiler.
    pub fn new(folder: &Path, begin: &str) -> Option<Self> {
        let library = SHIM.clone()?;
        let path = folder.join("clock");
        std::fs::write(&path, [0; 64]).unwrap();
        let control = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let clock = Self { library, path, control, changed: OnceLock::new(), idle: AtomicI64::new(0) };
        clock.set(begin.parse().unwrap());
        Some(clock)
    }

    /// Has a program follow this clock. `disk` is the folder that [`SimulatedClock::fill_disk`] fills. Its data are its own, or it
    /// would let voices pass that live at another time.
    pub fn govern(&self, command: &mut Command, disk: &Path) {
        let data = std::env::var_os("NEARFIELD_DATA").map_or_else(|| root().join(".data"), PathBuf::from);
        let own = self.path.with_file_name("own-data");
        std::fs::create_dir(&own).unwrap();
        for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
            if entry.file_name() != nearfield_stages::voice_priority::FILE {
                std::os::unix::fs::symlink(entry.path().canonicalize().unwrap(), own.join(entry.file_name())).unwrap();
            }
        }
        command.env("NEARFIELD_DATA", own);
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
        self.change();
    }

    /// So much time passes at once. Returns when every thread that waits has noticed.
    pub fn pass(&self, time: Duration) {
        self.put(PASSED, self.get(PASSED) + i64::try_from(time.as_nanos()).unwrap());
        self.change();
    }

    fn change(&self) {
        let change = self.get(CHANGES) + 1;
        self.put(CHANGES, change);
        if self.get(PROCESS) == 0 {
            return; // It has not begun, and will begin with this time.
        }
        // Opened both ways, since one who only writes would wait for a program that has ended.
        let open = || OpenOptions::new().read(true).write(true).open(self.path.with_extension("changed")).unwrap();
        self.changed.get_or_init(open).write_all(&[0]).unwrap();
        assert!(
            wait_closely(|| self.get(NOTICED) >= change),
            "the program has ended, or does not notice that time passes"
        );
    }

    /// Whether the disk is full.
    pub fn fill_disk(&self, full: bool) {
        self.put(FULL, i64::from(full));
    }

    /// Learns how many threads wait while the program has nothing to do, as it has now.
    pub fn learn_idle(&self) {
        let mut counts = Vec::new();
        let learned = wait_closely(|| {
            std::thread::sleep(Duration::from_millis(20));
            // In between some of them look at the time, for as long as a busy machine makes them wait for their turn.
            if self.sleeps() {
                counts.push(self.get(WAITING));
            }
            counts.len() >= 10 && counts.iter().rev().take(10).all(|n| n == counts.last().unwrap())
        });
        assert!(learned, "the program does not come to rest: {counts:?}");
        self.idle.store(*counts.last().unwrap(), Ordering::Relaxed);
    }

    /// Waits until the program has done what was to be done.
    pub fn settle(&self) {
        let idle = self.idle.load(Ordering::Relaxed);
        assert!(wait_closely(|| self.get(WAITING) >= idle && self.sleeps()), "the program does not come to rest");
    }

    /// Whether all threads sleep, and have not run while this was found out. One that was woken, and has not had its turn on a
    /// busy machine, does not sleep.
    fn sleeps(&self) -> bool {
        let asleep = self.asleep();
        asleep.is_some() && asleep == self.asleep()
    }

    /// How often each thread has run, if all sleep.
    fn asleep(&self) -> Option<Vec<(i64, String)>> {
        let noticer = self.get(NOTICER);
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.get(PROCESS))).ok()?;
        let mut threads = Vec::new();
        for task in tasks {
            let task = task.ok()?;
            let thread: i64 = task.file_name().to_str()?.parse().ok()?;
            if thread == noticer {
                continue;
            }
            let status = std::fs::read_to_string(task.path().join("status")).ok()?;
            if !status.contains("\nState:\tS") {
                return None;
            }
            threads.push((thread, status[status.find("\nvoluntary_ctxt_switches:")?..].to_owned()));
        }
        Some(threads)
    }
}

/// Waits for what takes less than a millisecond, mostly; answers whether it came true.
fn wait_closely(mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > LONGEST {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    true
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
