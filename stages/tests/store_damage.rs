//! Hundreds of damaged stores, opened by the real code in a process whose memory is bounded, and kills at random moments.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nearfield_stages::report::store::{Retention, Store};
use nearfield_telemetry::{Moment, Reading, SensorId, SensorTraits};
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

const KEEP_ALL: Retention = Retention { age: Duration::from_secs(86_400 * 3650), bytes: 1 << 40 };
const SENSORS: u32 = 12;
const PAGE: usize = 4096;
/// 2026-11-20.
const START: i64 = 1_795_132_800_000_000;
/// Damaged stores a run.
const CASES: u64 = 450;
/// A reading in the file, with its share of the page.
const READING_BYTES: usize = 29;
/// For the child processes of these tests.
const CHILD: &str = "NEARFIELD_STORE_TEST_CHILD";

/// (key of the sensor, microseconds) to value.
type Rows = BTreeMap<(String, i64), f64>;

fn key(sensor: u32) -> String {
    format!("home/room {sensor}/temperature")
}

/// A folder in memory where there is one: thousands of syncs are not what is tested here.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn commit(store: &mut Store, readings: &[Reading]) {
    let traits: Vec<(String, SensorTraits)> = (0..SENSORS)
        .map(|i| (key(i), SensorTraits { name: format!("room {i}"), unit: "°C".to_owned(), ..SensorTraits::default() }))
        .collect();
    let sensors: Vec<_> = (0..).zip(&traits).map(|(i, (k, t))| (SensorId(i), k.as_str(), t)).collect();
    store.commit(&sensors, readings).unwrap();
}

fn bind(store: &mut Store) {
    (0..SENSORS).for_each(|i| store.bind(&key(i), SensorId(i)));
}

/// Readings `from..to`, one of the sensors after the other, ten minutes in all for a round.
fn readings(range: std::ops::Range<i64>, offset: f64) -> Vec<Reading> {
    let reading = |i: i64| Reading {
        at: Moment(START + i * 50_000_000),
        sensor: SensorId((i % i64::from(SENSORS)) as u32),
        value: offset + (i % 97) as f64 / 7.0,
    };
    range.map(reading).collect()
}

fn rows(readings: &[Reading]) -> Rows {
    readings.iter().map(|r| ((key(r.sensor.0), r.at.0), r.value)).collect()
}

fn read(store: &mut Store) -> Rows {
    bind(store);
    let mut found = Vec::new();
    store.read_from(Moment(i64::MIN), &mut |r| found.push(r)).unwrap();
    let rows = rows(&found);
    assert_eq!(rows.len(), found.len(), "no reading twice");
    rows
}

/// The bytes of a store and of its journal.
#[derive(Clone)]
struct Files {
    store: Vec<u8>,
    journal: Vec<u8>,
    mark: Vec<u8>,
}

impl Files {
    /// After a clean end, or (`hot`) as a process that was killed leaves them.
    fn make(offset: f64, hot: bool) -> Files {
        let folder = folder();
        let path = folder.path().join("s");
        let mut store = Store::open(&path, KEEP_ALL).unwrap();
        for batch in readings(0..3_000, offset).chunks(100) {
            commit(&mut store, batch);
        }
        store.set_reported(Moment(START)).unwrap();
        let journal = match hot {
            true => std::fs::read(folder.path().join("s-wal")).unwrap(),
            false => Vec::new(),
        };
        let hot_store = std::fs::read(&path).unwrap();
        drop(store);
        let store = if hot { hot_store } else { std::fs::read(&path).unwrap() };
        let files = Files { store, journal, mark: std::fs::read(folder.path().join("s-mark")).unwrap() };
        assert!(!hot || files.journal.len() > 10 * PAGE);
        files
    }

    fn write(&self, path: &Path) {
        std::fs::write(path, &self.store).unwrap();
        std::fs::write(path.with_file_name("s-mark"), &self.mark).unwrap();
        let journal = path.with_file_name("s-wal");
        match self.journal.is_empty() {
            true => _ = std::fs::remove_file(journal),
            false => std::fs::write(journal, &self.journal).unwrap(),
        }
    }
}

/// Damages one of the files; answers how many bytes can be lost by it, and what was done.
fn damage(case: u64, random: &mut SmallRng, files: &mut Files, other: &Files) -> (usize, String) {
    let journal_kinds = if files.journal.is_empty() { 0 } else { 5 };
    let kind = case % (9 + journal_kinds);
    let place = |random: &mut SmallRng, bytes: &[u8]| random.random_range(0..bytes.len());
    let page = |random: &mut SmallRng, bytes: &[u8]| random.random_range(0..bytes.len() / PAGE) * PAGE;
    let flip = random.random_range(1..=255u8);
    match kind {
        0 => {
            let at = random.random_range(0..files.store.len().min(8 * PAGE));
            files.store[at] ^= flip;
            (1, format!("byte {at} of the first pages"))
        }
        1 | 2 => {
            let at = place(random, &files.store);
            files.store[at] ^= flip;
            (1, format!("byte {at}"))
        }
        3 => {
            let at = page(random, &files.store);
            files.store[at..at + PAGE].fill(0);
            (PAGE, format!("zeroed page at {at}"))
        }
        4 => {
            let at = page(random, &files.store) + random.random_range(0..8) * 512;
            random.fill_bytes(&mut files.store[at..at + 512]);
            (512, format!("random sector at {at}"))
        }
        5 => {
            let length = place(random, &files.store);
            let lost = files.store.len() - length;
            files.store.truncate(length);
            (lost, format!("cut to {length}"))
        }
        6 => {
            random.fill_bytes(&mut files.store[..100]);
            (PAGE, "a random header".to_owned())
        }
        7 => {
            let at = page(random, &files.store).min(other.store.len() / PAGE * PAGE - PAGE);
            files.store[at..at + PAGE].copy_from_slice(&other.store[at..at + PAGE]);
            (PAGE, format!("another store's page at {at}"))
        }
        8 => {
            let (a, b) = (page(random, &files.store), page(random, &files.store));
            let first = files.store[a..a + PAGE].to_vec();
            files.store.copy_within(b..b + PAGE, a);
            files.store[b..b + PAGE].copy_from_slice(&first);
            (0, format!("pages at {a} and {b} exchanged"))
        }
        9 => {
            let at = place(random, &files.journal);
            files.journal[at] ^= flip;
            (PAGE, format!("byte {at} of the journal"))
        }
        10 => {
            let at = page(random, &files.journal);
            files.journal[at..at + PAGE].fill(0);
            (2 * PAGE, format!("zeroed page of the journal at {at}"))
        }
        11 => {
            let length = place(random, &files.journal);
            let lost = files.journal.len() - length;
            files.journal.truncate(length);
            (lost, format!("the journal cut to {length}"))
        }
        12 => {
            files.journal.clone_from(&other.journal);
            (usize::MAX, "another store's journal".to_owned())
        }
        _ => {
            files.journal.clear();
            (usize::MAX, "no journal".to_owned())
        }
    }
}

fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|v| v == name)
}

/// This test again, in a process of its own.
fn child(name: &str) -> Command {
    let mut command = Command::new("bash");
    // 512 MiB of addresses for everything: what a damaged file asks for is not given.
    command.args(["-c", "ulimit -v 524288; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, name).env("MALLOC_ARENA_MAX", "2");
    command
}

#[test]
fn damage_takes_only_what_it_hit_and_what_is_lost_is_told_exactly() {
    const NAME: &str = "damage_takes_only_what_it_hit_and_what_is_lost_is_told_exactly";
    if !is_child(NAME) {
        let begun = Instant::now();
        let ran = child(NAME).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{}\n{said}{}", ran.status, String::from_utf8_lossy(&ran.stderr));
        assert!(begun.elapsed() < Duration::from_secs(300));
        print!("{said}");
        return;
    }
    let truth = rows(&readings(0..3_000, 0.0));
    let (clean, hot) = (Files::make(0.0, false), Files::make(0.0, true));
    let (other_clean, other_hot) = (Files::make(500.0, false), Files::make(500.0, true));
    let folder = folder();
    let (mut repaired, mut lost_in_all, mut slowest) = (0, 0, Duration::ZERO);
    for case in 0..CASES {
        let mut random = SmallRng::seed_from_u64(case);
        let is_hot = case % 2 == 1;
        let (mut files, other) = if is_hot { (hot.clone(), &other_hot) } else { (clean.clone(), &other_clean) };
        let (bytes, what) = damage(case / 2, &mut random, &mut files, other);
        let what = format!("case {case}: {what}{}", if is_hot { ", with a journal" } else { "" });
        let place = folder.path().join(case.to_string());
        std::fs::create_dir(&place).unwrap();
        let path = place.join("s");
        files.write(&path);

        let begun = Instant::now();
        let mut store = Store::open(&path, KEEP_ALL).unwrap_or_else(|e| panic!("{what}: {e}"));
        slowest = slowest.max(begun.elapsed());
        let found = read(&mut store);
        for (row, value) in &found {
            assert_eq!(truth.get(row), Some(value), "{what}: {row:?} was never written so");
        }
        let lost = truth.len() - found.len();
        let repairs = store.repairs().to_vec();
        assert!(lost == 0 || !repairs.is_empty(), "{what}: {lost} readings are missing in silence");
        let told: Option<u64> = repairs.iter().map(|r| r.lost.as_ref().map(|_| r.readings_lost())).sum();
        if let Some(told) = told.filter(|_| !repairs.is_empty()) {
            // The counts of the last commits may be lost with them, in a journal that is cut off.
            assert!(told == lost as u64 || what.contains("journal"), "{what}: {told} told, {lost} lost: {repairs:?}");
        }
        let hit = (bytes / READING_BYTES).saturating_add(1);
        let spared = truth.len().saturating_sub(hit);
        assert!(found.len() * 10 >= spared * 9, "{what}: {} of {} salvaged: {repairs:?}", found.len(), truth.len());
        for repair in &repairs {
            repaired += 1;
            if let Some(kept) = &repair.kept {
                let damaged = if kept.to_string_lossy().ends_with("-wal") { &files.journal } else { &files.store };
                assert!(&std::fs::read(kept).unwrap() == damaged, "{what}: the damaged file is kept as it was");
            }
        }
        lost_in_all += lost;

        // And it goes on as any other.
        commit(&mut store, &readings(5_000..5_050, 0.0));
        drop(store);
        let mut store = Store::open(&path, KEEP_ALL).unwrap();
        assert!(store.repairs().is_empty(), "{what}: {:?}", store.repairs());
        assert_eq!(read(&mut store).len(), found.len() + 50, "{what}");
        drop(store);
        std::fs::remove_dir_all(place).unwrap();
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    println!(
        "{CASES} damaged stores of {} readings: {repaired} repaired, {lost_in_all} readings lost in all, the slowest took {slowest:?}",
        truth.len()
    );
}

/// What the killed process does: commits batches, and says how many when they are acknowledged.
fn write_until_killed(path: &Path) {
    let mut store = Store::open(path, KEEP_ALL).unwrap();
    assert!(store.repairs().is_empty(), "{:?}", store.repairs());
    bind(&mut store);
    let mut next = store.len().unwrap() as i64;
    loop {
        commit(&mut store, &readings(next..next + 7, 0.0));
        next += 7;
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {next}").and_then(|()| out.flush()).unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_loses_no_acknowledged_reading() {
    const NAME: &str = "a_kill_at_any_moment_loses_no_acknowledged_reading";
    if is_child(NAME) {
        return write_until_killed(&PathBuf::from(std::env::var_os("NEARFIELD_STORE_TEST_PATH").unwrap()));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut random = SmallRng::seed_from_u64(7);
    let mut acknowledged = 0usize;
    for kill in 0..40 {
        let mut command = child(NAME);
        let mut child = command.env("NEARFIELD_STORE_TEST_PATH", &path).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // From the first commit on, or before it.
        if kill % 4 != 0 {
            while !lines.next().is_some_and(|line| line.contains("acknowledged")) {}
        }
        std::thread::sleep(Duration::from_micros(random.random_range(0..60_000)));
        child.kill().unwrap();
        let last = lines.filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse::<usize>().ok()).last();
        let ended = child.wait().unwrap();
        assert_eq!(ended.signal(), Some(9), "kill {kill}: it ended by itself: {ended}");
        acknowledged = acknowledged.max(last.unwrap_or(0));
        if kill % 5 == 4 {
            let mut store = Store::open(&path, KEEP_ALL).unwrap();
            assert!(store.repairs().is_empty(), "{:?}", store.repairs());
            let found = read(&mut store);
            assert!(found.len() >= acknowledged, "{} of {acknowledged} acknowledged readings", found.len());
            assert_eq!(found, rows(&readings(0..found.len() as i64, 0.0)));
        }
    }
    assert!(acknowledged > 500, "{acknowledged}");
    println!("40 kills, {acknowledged} acknowledged readings, none lost");
}

#[test]
fn a_commit_whose_header_was_written_and_whose_page_was_not_is_no_damage() {
    const FRAME: usize = 24 + PAGE;
    let hot = Files::make(0.0, true);
    // The newest frame: the last one with the journal's own salts.
    let salts = hot.journal[16..24].to_vec();
    let end = (0..)
        .map(|n| 32 + n * FRAME)
        .find(|at| hot.journal.get(at + 8..at + 16).is_none_or(|frame| frame != salts))
        .unwrap();
    let header = hot.journal[end - FRAME..end - PAGE].to_vec();
    for (headers, is_damage) in [(1, false), (2, true)] {
        let folder = folder();
        let path = folder.path().join("s");
        let mut files = hot.clone();
        files.journal.resize(files.journal.len().max(end + headers * FRAME), 0);
        for n in 0..headers {
            files.journal[end + n * FRAME..][..header.len()].copy_from_slice(&header);
        }
        files.write(&path);
        let mut store = Store::open(&path, KEEP_ALL).unwrap();
        assert_eq!(!store.repairs().is_empty(), is_damage, "{headers}: {:?}", store.repairs());
        assert_eq!(read(&mut store), rows(&readings(0..3_000, 0.0)), "{headers}");
    }
}
