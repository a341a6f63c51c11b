//! Files of runs that end early: kill -9 at random moments and a full disk leave whole files. `docs/reliability.md` lists what is
//! promised for each.
//!
//! `NEARFIELD_KILLS=500 cargo test --release -p nearfield-tests --test outputs_interrupted killed` kills more often.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nearfield_tests::outputs::{BLIND, PLAIN, minutes, readings, report, windows};
use nearfield_tests::{Ran, arg, finish, home, nearfield, program, root, run, skipped, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

/// Starts the program and kills it at a random moment; answers whether it had ended by itself.
fn kill_at_random(mut child: Child, random: &mut u64, longest_ms: u64) {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    std::thread::sleep(Duration::from_micros((*random >> 33) % (longest_ms * 1000)));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn kills() -> usize {
    std::env::var("NEARFIELD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

#[test]
fn reports_killed_at_random_moments_come_into_their_file_exactly_once_and_whole() {
    // Windows, and the longest life of a run: a page is written whole with each report.
    for (name, count, longest_ms) in [("r.jsonl", 600, 500), ("r.md", 600, 500), ("r.html", 150, 500)] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (input, output) = (path("in.csv"), path(name));
        fs::write(&input, readings(0, count + 1)).unwrap();
        let store = format!("store.file={}", arg(&path("store.redb")));
        let args = [
            &[
                "report",
                "--input",
                arg(&input),
                "--follow",
                "--output",
                arg(&output),
                "--set",
                &store,
                "--set",
                "window.lateness_s=0",
            ],
            &PLAIN[..],
        ]
        .concat();
        let start = || nearfield(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (mut random, mut in_between) = (0x9e37_79b9_u64, 0);
        // Later and later: a run that has told all its windows leaves nothing to kill.
        let tries = kills().div_ceil(3).max(12);
        for n in 1..=tries {
            kill_at_random(start(), &mut random, longest_ms * n as u64 / tries as u64);
            in_between += usize::from(output.exists() && (1..count).contains(&last_whole(&output)));
        }
        let mut child = start();
        let done = wait_for(LIMIT, || {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            output.exists() && last_whole(&output) >= count
        });
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        child.wait().unwrap();
        assert!(done, "{name}: {} of {count}", last_whole(&output));
        assert_eq!(windows(&output), minutes(0, count), "{name}");
        assert!(in_between > 0, "no run of {name} was killed between the first window and the last");
        let left = fs::read_dir(folder.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("tmp"));
        assert_eq!(left.count(), 0, "temporary files of killed runs stay");
    }
}

/// Roughly how many reports a file holds that may end within one.
fn last_whole(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|l| l.starts_with("{\"window\"") || l.starts_with("<!-- end of") || *l == "</section>").count()
}

#[test]
fn recordings_homes_and_snapshots_of_killed_runs_are_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let home = home(folder.path());
    let mut random = 0x517c_c1b7_u64;
    for i in 0..kills() / 4 {
        let text = if i % 2 == 0 { "Turn on the kitchen light." } else { "Turn off the kitchen light." };
        let wav = path("x.wav");
        let child = nearfield(&["voice", "--text", text, "--home", arg(&home), "--output", arg(&wav), "--overwrite"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        kill_at_random(child, &mut random, 900);
        serde_json::from_str::<Value>(&fs::read_to_string(&home).unwrap()).unwrap();
        if wav.exists() {
            hound::WavReader::open(&wav).unwrap();
        }
    }
    fs::create_dir(path("pictures")).unwrap();
    for i in 0..40 {
        let name = if i % 2 == 0 { "plain.jpg" } else { "cmyk.jpg" };
        fs::copy(root().join("tests/data/pictures").join(name), path(&format!("pictures/{i}.jpg"))).unwrap();
    }
    let (pictures, shots, events) = (path("pictures"), path("shots"), path("events.jsonl"));
    for _ in 0..kills() / 4 {
        let args = ["caption", "--input", arg(&pictures), "--snapshots", arg(&shots), "--events", arg(&events)];
        let child =
            nearfield(&[&args[..], &BLIND[..]].concat()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        kill_at_random(child, &mut random, 400);
    }
    run(&[&["caption", "--input", arg(&pictures), "--snapshots", arg(&shots), "--events", arg(&events)], &BLIND[..]]
        .concat())
    .assert_done();
    for entry in fs::read_dir(&shots).unwrap() {
        let file = entry.unwrap().path();
        assert!(file.extension().is_some_and(|e| e == "jpg"), "{} is left behind", file.display());
        nearfield_vision::Picture::decode(&fs::read(&file).unwrap(), arg(&file)).unwrap();
    }
    for line in fs::read_to_string(&events).unwrap().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
    }
}

/// The program, allowed to write files of so many bytes only: the write beyond fails as it does on a full disk.
fn limited(bytes: u64, args: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$0\" -- \"$@\"", &bytes.to_string()]);
    command.arg(program()).args(args);
    command.env("NEARFIELD_DATA", nearfield_data());
    finish(command, &[], LIMIT)
}

fn nearfield_data() -> PathBuf {
    std::env::var_os("NEARFIELD_DATA").map_or_else(|| root().join(".data"), PathBuf::from)
}

#[test]
fn a_report_that_does_not_fit_leaves_the_reports_before_it_and_the_cause_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let input = path("in.csv");
    for name in ["r.md", "r.jsonl", "r.html"] {
        fs::write(&input, readings(0, 2)).unwrap();
        report(&["--input", arg(&input), "--output", arg(&path(name))]).assert_done();
        let before = windows(&path(name));
        let room = fs::metadata(path(name)).unwrap().len() * 5 / 2;
        fs::write(&input, readings(60, 30)).unwrap();
        let output = path(name);
        let args = [&["report", "--input", arg(&input), "--output", arg(&output)], &PLAIN[..]].concat();
        limited(room, &args).assert_fails(1, &[name, "larger than is allowed"]);
        let after = windows(&path(name));
        assert!(after.len() > before.len() && after.len() < before.len() + 30, "{name}: {after:?}");
        assert_eq!(after, [before, minutes(60, 60 + after.len() - 2)].concat(), "{name}");
    }
}

/// A file system of so many bytes that is gone with the value; `None`, said aloud, where mounting is not allowed.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(bytes: u64) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "nearfield-test", arg(folder.path())]).output();
        if mount.is_ok_and(|o| o.status.success()) {
            return Some(SmallDisk { folder });
        }
        skipped("a small tmpfs can't be mounted (that needs root)");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves no byte free.
    fn fill(&self) {
        use std::io::Write;
        let mut file = fs::File::create(self.path("filler")).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_reports_pictures_recordings_sessions_and_homes_as_they_were_and_is_told() {
    let Some(disk) = SmallDisk::mount(16 << 20) else { return };
    let input = tempfile::tempdir().unwrap();
    let readings_file = input.path().join("in.csv");
    fs::write(&readings_file, readings(0, 2)).unwrap();
    let pictures = input.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    fs::copy(root().join("tests/data/pictures/plain.jpg"), pictures.join("a.jpg")).unwrap();
    let home = home(disk.folder.path());
    let p = |name: &str| arg(&disk.path(name)).to_owned();
    let csv = arg(&readings_file).to_owned();
    let own = |args: &[&str], more: &[&str]| args.iter().chain(more).map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let runs: Vec<(&str, Vec<String>)> = vec![
        ("r.md", own(&["report", "--input", &csv, "--output", &p("r.md")], &PLAIN)),
        ("r.jsonl", own(&["report", "--input", &csv, "--output", &p("r.jsonl")], &PLAIN)),
        ("r.html", own(&["report", "--input", &csv, "--output", &p("r.html")], &PLAIN)),
        ("p.svg", own(&["report", "--input", &csv, "--plot", &p("p.svg")], &PLAIN)),
        ("t.json", own(&["report", "--input", &csv, "--trace", &p("t.json"), "--overwrite"], &PLAIN)),
        ("shots", own(&["caption", "--input", arg(&pictures), "--snapshots", &p("shots")], &BLIND)),
        ("e.jsonl", own(&["caption", "--input", arg(&pictures), "--events", &p("e.jsonl")], &BLIND)),
        ("w.wav", own(&["say", "Hello, and good morning.", "--output", &p("w.wav"), "--overwrite"], &[])),
        ("talk.session", own(&["chat", "How warm is it in the kitchen?", "--session", &p("talk.session")], &[])),
    ];
    let args = |args: &[String]| -> Ran { run(&args.iter().map(String::as_str).collect::<Vec<_>>()) };
    for (_, command) in &runs {
        args(command).assert_done();
    }
    let content = || -> BTreeMap<PathBuf, Vec<u8>> {
        let files = |folder: &Path| {
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect::<Vec<_>>()
        };
        let all = [files(disk.folder.path()), files(&disk.path("shots"))].concat();
        all.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    disk.fill();
    let mut before = content();
    assert!(before.len() >= 11, "{:?}", before.keys());
    for (name, command) in &runs {
        let ran = args(command);
        // Room in the last page of a file may let a report or two in, whole.
        let may_grow = ["r.md", "r.jsonl", "e.jsonl"].contains(name);
        if ran.code != 0 {
            assert!(ran.stderr.contains("the disk is full") && ran.stderr.contains(name), "{ran:#?}");
            assert!(!ran.stderr.contains(".nearfield-"), "{ran:#?}");
        }
        assert!(ran.code != 0 || may_grow, "{name} was written on a full disk: {ran:#?}");
        let after = content();
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{name}");
        for (path, bytes) in &before {
            let now = &after[path];
            let is_kept = if may_grow && path.ends_with(name) { now.starts_with(bytes) } else { now == bytes };
            assert!(is_kept, "{} was changed by {name}", path.display());
        }
        match *name {
            "r.md" | "r.jsonl" => drop(windows(&disk.path(name))),
            "e.jsonl" => fs::read_to_string(disk.path(name)).unwrap().lines().for_each(|line| {
                serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
            }),
            _ => {}
        }
        // The next one starts from the same.
        before = after;
    }
    let said = nearfield_tests::ask(&home, &["Turn on the kitchen light."]);
    assert!(format!("{said:?}").contains("the disk is full"), "{said:#?}");
    assert!(fs::read(&home).unwrap() == before[&home]);
    // Room again: everything goes on.
    fs::remove_file(disk.path("filler")).unwrap();
    for (_, command) in &runs {
        args(command).assert_done();
    }
    assert_eq!(windows(&disk.path("r.html")).len() % 2, 0);
}
