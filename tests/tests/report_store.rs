//! The store of readings, as the program's user meets it: damaged, in the way, copied, and with other sensors than before.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nearfield_tests::{Ran, arg, nearfield, run, run_with_input, wait_for};

const PLAIN: [&str; 7] = ["report", "--json", "--set", "llm.model=none", "--set", "window.zone=UTC", "--window=1h"];

/// A day of two sensors, a reading each minute.
fn csv(day: u32) -> String {
    let line = |m: u32| format!("2026-11-{day} {:02}:{:02}:00,{},{}\n", m / 60, m % 60, m % 7, 100 + m % 11);
    format!("time,hall,cellar\n{}", (0..1440).map(line).collect::<String>())
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("r.sqlite")
    }

    /// A day's report with the store.
    fn report(&self, day: u32, more: &[&str]) -> Ran {
        let input = self.path("in.csv");
        fs::write(&input, csv(day)).unwrap();
        let store = format!("store.file={}", arg(&self.store()));
        run(&[&PLAIN[..], &["--input", arg(&input), "--set", &store], more].concat())
    }

    /// Files beside the store whose names go on with this.
    fn beside(&self, suffix: &str) -> Vec<PathBuf> {
        let prefix = format!("r.sqlite{suffix}");
        let entries = fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().path());
        entries.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(&prefix)).collect()
    }
}

fn readings(ran: &Ran) -> u64 {
    ran.json().iter().map(|w| w["readings"].as_u64().unwrap()).sum()
}

#[test]
fn a_damaged_store_is_salvaged_and_the_report_is_made() {
    let place = Place::new();
    place.report(20, &[]).assert_done();
    let whole = fs::read(place.store()).unwrap();
    let mut zeroed = whole.clone();
    let middle = whole.len() / 2 / 4096 * 4096;
    zeroed[middle..middle + 4096].fill(0);
    fs::write(place.store(), &zeroed).unwrap();
    let ran = place.report(21, &[]);
    assert_eq!(readings(ran.assert_done()), 2 * 1440);
    assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
    assert!(ran.stderr.contains("r.sqlite was damaged") && ran.stderr.contains("are lost ("), "{ran:#?}");
    assert!(ran.stderr.contains("on 2026-11-20 in UTC"), "{ran:#?}");
    let kept = place.beside(".damaged-");
    assert!(kept.len() == 1 && ran.stderr.contains(arg(&kept[0])), "{ran:#?}");
    assert!(fs::read(&kept[0]).unwrap() == zeroed, "it is kept as it was");
    // Once.
    let ran = place.report(22, &[]);
    assert!(!ran.assert_done().stderr.contains("damaged"), "{ran:#?}");
}

#[test]
fn the_stores_that_once_ended_the_program_do_so_no_more() {
    let Some(faults) = nearfield_testdata::test_data("faults") else { return };
    for path in
        fs::read_dir(&faults).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "redb"))
    {
        let place = Place::new();
        fs::write(place.store(), fs::read(&path).unwrap()).unwrap();
        let ran = place.report(20, &[]);
        assert_eq!(readings(ran.assert_done()), 2 * 1440);
        assert!(ran.stderr.contains("earlier version") && place.beside(".redb-").len() == 1, "{ran:#?}");
    }
}

#[test]
fn what_is_no_store_is_named_and_left_as_it_is() {
    let place = Place::new();
    let mut database = vec![0; 8192];
    database[..16].copy_from_slice(b"SQLite format 3\0");
    for (bytes, what) in [(b"my notes\n".to_vec(), "a text file"), (database, "another program's database")] {
        fs::write(place.store(), &bytes).unwrap();
        place.report(20, &[]).assert_fails(1, &["r.sqlite is not a store", what, "store.file"]);
        assert!(fs::read(place.store()).unwrap() == bytes);
    }
    fs::remove_file(place.store()).unwrap();
    fs::create_dir(place.store()).unwrap();
    place.report(20, &[]).assert_fails(1, &["r.sqlite is not a store but a folder", "store.file"]);
}

#[test]
fn a_store_that_can_not_be_written_is_one_sentence() {
    let place = Place::new();
    let input = place.path("in.csv");
    fs::write(&input, csv(20)).unwrap();
    for path in ["/proc/nearfield/r.sqlite", "/sys/r.sqlite"] {
        let store = format!("store.file={path}");
        let ran = run(&[&PLAIN[..], &["--input", arg(&input), "--set", &store]].concat());
        ran.assert_fails(1, &[path, "can't be written", "store.file"]);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:#?}");
    }
}

#[test]
fn a_store_that_another_program_has_open_is_left_alone() {
    let place = Place::new();
    let (input, store) = (place.path("f.csv"), format!("store.file={}", arg(&place.store())));
    fs::write(&input, csv(20)).unwrap();
    let mut first = nearfield(&[&PLAIN[..], &["--input", arg(&input), "--follow", "--set", &store]].concat());
    let mut first = first.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let open =
        wait_for(Duration::from_secs(20), || fs::metadata(place.path("r.sqlite-wal")).is_ok_and(|m| m.len() > 8192));
    place.report(20, &[]).assert_fails(1, &["r.sqlite is in use by another process"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(open);
    place.report(20, &[]).assert_done();
}

#[test]
fn a_store_that_is_gone_comes_back_from_its_backup() {
    let place = Place::new();
    let folder = format!("store.backup={}", arg(&place.path("copies")));
    let backups = ["--set", folder.as_str(), "--set", "store.backup_every=1s", "--set", "store.backups_kept=2"];
    let copies = || fs::read_dir(place.path("copies")).map_or(0, Iterator::count);
    for day in 20..23 {
        place.report(day, &backups).assert_done();
        std::thread::sleep(Duration::from_millis(1100));
    }
    assert_eq!(copies(), 2, "the oldest make room");
    for suffix in ["", "-wal"] {
        let _ = fs::remove_file(place.path(&format!("r.sqlite{suffix}")));
    }
    let ran = place.report(23, &["--set", folder.as_str()]);
    assert!(ran.assert_done().stderr.contains("it is missing"), "{ran:#?}");
    let from_backup = ran.stderr.contains("8640 readings were recovered, 8640 of them from a backup; none is lost");
    assert!(from_backup, "{ran:#?}");
}

/// The numbers of sensors in the store were once those of the run, which left unwanted sensors out: readings went to other sensors.
#[test]
fn sensors_that_are_no_longer_wanted_do_not_give_their_readings_to_others() {
    let place = Place::new();
    let (log, out) = (place.path("log.csv"), place.path("out.jsonl"));
    let store = format!("store.file={}", arg(&place.store()));
    let session = |text: &str, more: &[&str]| -> serde_json::Value {
        fs::write(&log, text).unwrap();
        let stdout = fs::File::create(&out).unwrap();
        let follow = ["--follow", "--input", arg(&log), "--set", &store, "--set", "window.lateness_s=0"];
        let mut child = nearfield(&[&PLAIN[..], &follow, more].concat()).stdout(stdout).spawn().unwrap();
        let mut said = String::new();
        let told = wait_for(Duration::from_secs(30), || {
            said.clear();
            fs::File::open(&out).unwrap().read_to_string(&mut said).unwrap();
            said.ends_with('\n')
        });
        std::thread::sleep(Duration::from_millis(300));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(told);
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    };
    session("time,a,b,c\n2026-11-20 00:10:00,1,2,3\n2026-11-20 01:10:00,1,2,3\n", &[]);
    let only_c = ["--set", "readings.only_known=true", "--set", "sensors.c.unit=W"];
    let window = session("time,a,b,c\n2026-11-20 01:20:00,1,2,5\n2026-11-20 02:10:00,1,2,3\n", &only_c);
    let sensors = window["table"]["sensors"].as_array().unwrap();
    assert_eq!(sensors.len(), 1, "{window:#}");
    assert_eq!((sensors[0]["count"].as_u64(), sensors[0]["mean"].as_f64()), (Some(2), Some(4.0)), "{window:#}");
}

#[test]
fn a_pipe_without_a_usable_reading_fails_with_a_store_too() {
    let place = Place::new();
    let store = format!("store.file={}", arg(&place.store()));
    for text in ["time,a\n", "time,a\n2026-11-20 00:00,1.2.3.4\n2026-11-20 00:01,\n", "\n\n"] {
        let ran = run_with_input(&[&PLAIN[..], &["--input", "-", "--set", &store]].concat(), text.as_bytes());
        assert_eq!(ran.code, 1, "{text:?}: {ran:#?}");
        assert!(ran.stderr.contains("standard input"), "{text:?}: {ran:#?}");
    }
}

#[test]
fn rows_of_csv_stand_once_however_often_a_window_is_reported_and_whatever_a_sensor_is_called() {
    let place = Place::new();
    let (input, other, output) = (place.path("in.csv"), place.path("other.csv"), place.path("out.csv"));
    let names = "time,\"=cmd|'/C calc'!A1\",\"say \"\"x\"\", y\",\"two\nlines\",door\n";
    let row = |m: u32, a: u32| {
        format!("2026-11-20 {:02}:{:02}:00,{a},2,3,{}\n", m / 60, m % 60, ["on", "off"][m as usize % 2])
    };
    fs::write(&input, format!("{names}{}", (0..180).map(|m| row(m, m)).collect::<String>())).unwrap();
    fs::write(&other, csv(20)).unwrap();
    let report = |input: &PathBuf, more: &[&str]| {
        run(&[&PLAIN[..], &["--input", arg(input), "--output", arg(&output)], more].concat()).assert_done();
        fs::read_to_string(&output).unwrap()
    };
    let once = report(&input, &[]);
    assert_eq!(report(&input, &[]), once, "the same windows are the same rows");
    let mut rows = csv_records(&once);
    assert_eq!(rows.len(), 1 + 3 * 4, "{once}");
    let head = rows.remove(0);
    let place_of = |name: &str| head.iter().position(|c| c == name).unwrap();
    for row in &rows {
        assert_eq!(row.len(), head.len(), "{row:?}");
        let sensor = &row[place_of("sensor")];
        assert!(!sensor.starts_with('='), "{row:?}");
        assert!(!sensor.contains(['"', '\n', ',']), "{row:?}");
        assert!(
            sensor != "door" || (row[place_of("change")].is_empty() && row[place_of("mean")].is_empty()),
            "{row:?}"
        );
    }
    assert!(rows.iter().any(|row| row[place_of("sensor")].contains("say x y")), "{once}");
    // Of other sensors in the same windows nothing is lost, and each is there once.
    let both = csv_records(&report(&other, &[]));
    assert_eq!(both.len(), 1 + 3 * 4 + 24 * 2);
    assert_eq!(csv_records(&report(&input, &[])).len(), both.len());
    assert_eq!(csv_records(&report(&other, &["--overwrite"])).len(), 1 + 24 * 2);
    // Neither the input nor a folder is written over.
    for to in [&other, &place.0.path().join("folder.csv")] {
        if to != &other {
            fs::create_dir(to).unwrap();
        }
        let ran = run(&[&PLAIN[..], &["--input", arg(&other), "--output", arg(to)]].concat());
        assert!(ran.code != 0 && ran.stderr.contains(arg(to)), "{ran:#?}");
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), csv(20));
}

#[test]
fn questions_on_a_store_are_answered_by_computation_or_refused_also_while_a_report_has_it() {
    let place = Place::new();
    place.report(20, &[]).assert_done();
    place.report(21, &[]).assert_done();
    let store = place.store();
    let ask = |question: &str, more: &[&str]| {
        run(&[&["report", "ask", question, "--store", arg(&store), "--set", "window.zone=UTC"], more].concat())
    };
    let before = fs::read(&store).unwrap();
    // Of each day, the cellar goes from 100 to 110.
    for (question, answer) in [
        ("What was the highest cellar on 20 November 2026?", "was 110, at 00:10."),
        (
            "How long was the cellar above 109 on 2026-11-21?",
            "was above 109 for 2 h 10 min on Saturday, 21 November 2026",
        ),
        (
            "Which day had the lowest cellar in November 2026?",
            "Of 2 days in November 2026, none stands out: the cellar was the same in each, 100.",
        ),
    ] {
        let ran = ask(question, &[]);
        assert!(ran.assert_done().stdout.contains(answer), "{question}: {ran:#?}");
    }
    let ran = ask("What was the highest cellar?", &["--json"]);
    let json = &ran.assert_done().json()[0];
    assert_eq!((json["value"].as_f64(), json["sensor"].as_str()), (Some(110.0), Some("cellar")), "{ran:#?}");
    for (question, words) in [
        ("What is the attic?", "\"attic\""),
        ("What will the hall be tomorrow?", "\"will\""),
        ("How are you?", "\"you\""),
    ] {
        let ran = ask(question, &[]);
        assert!(ran.code == 1 && ran.stdout.is_empty() && ran.stderr.contains(words), "{question}: {ran:#?}");
    }
    assert!(fs::read(&store).unwrap() == before, "asking changes nothing");
    // A report that is running has the store for itself.
    let mut running = nearfield(&PLAIN);
    running.args(["--input", "-", "--set", &format!("store.file={}", arg(&store))]);
    let mut running = running.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(wait_for(Duration::from_secs(30), || fs::metadata(format!("{}-wal", arg(&store))).is_ok()));
    ask("What was the highest cellar?", &[]).assert_done();
    drop(running.stdin.take());
    running.wait().unwrap();
    let ran = run(&["report", "ask", "What was the highest cellar?", "--store", arg(&place.path("none.sqlite"))]);
    assert!(ran.code == 2 && ran.stderr.contains("there is no store"), "{ran:#?}");
}

/// Rows of cells.
fn csv_records(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    assert!(cell.is_empty() && row.is_empty() && !quoted, "{text}");
    rows
}
