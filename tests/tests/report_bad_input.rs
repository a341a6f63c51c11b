//! Bad input to reports: each kind by name, through the program. It is counted, set aside or refused with a clear sentence; never a
//! panic, a hang or a wrong number.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nearfield_tests::{Ran, arg, finish, nearfield, program, run, run_with_input, skipped};
use serde_json::Value;

const PLAIN: [&str; 6] = ["report", "--json", "--set", "llm.model=none", "--set", "window.zone=UTC"];

fn of(text: &[u8], more: &[&str]) -> Ran {
    run_with_input(&[&PLAIN[..], more].concat(), text)
}

/// The only window of a text.
fn window(text: &str) -> Value {
    let windows = of(text.as_bytes(), &[]).assert_done().json();
    assert_eq!(windows.len(), 1, "{windows:#?}");
    windows.into_iter().next().unwrap()
}

fn csv(values: &[&str]) -> String {
    let rows = values.iter().enumerate().map(|(i, v)| format!("2026-11-20 00:{i:02}:00;{v}\n"));
    format!("time;a\n{}", rows.collect::<String>())
}

fn count(window: &Value) -> u64 {
    window["table"]["sensors"][0]["count"].as_u64().unwrap()
}

#[test]
fn nan_infinity_and_1e308_are_counted_and_not_used() {
    let w = window(&csv(&["1", "NaN", "inf", "-infinity", "1e308", "-1e308", "1e999", "3"]));
    assert_eq!((count(&w), w["table"]["sensors"][0]["mean"].as_f64()), (2, Some(2.0)));
    assert_eq!(
        (w["rejected"]["not_finite"].as_u64(), w["rejected"]["out_of_range"].as_u64()),
        (Some(4), Some(2)),
        "{w:#}"
    );
}

#[test]
fn the_largest_values_that_are_taken_give_finite_figures() {
    let w = window(&csv(&["1e15", "-1e15", "1e15", "0.000001"]));
    let row = &w["table"]["sensors"][0];
    for key in ["mean", "median", "p95", "stddev", "slope_per_hour", "min", "max"] {
        assert!(row[key].is_f64(), "{key}: {row:#}");
    }
    assert!(!w["text"].as_str().unwrap().contains('e') || !w["text"].as_str().unwrap().contains("e15"), "no exponents");
}

#[test]
fn empty_fields_are_gaps_and_no_zeros() {
    let w = window(&csv(&["1", "", "  ", "NA", "null", "unavailable", "3"]));
    assert_eq!((count(&w), w["rejected"]["empty"].as_u64()), (2, Some(5)));
}

#[test]
fn mixed_decimal_commas_are_read_where_they_are_certain() {
    let w = window(&csv(&["1,5", "1.5", "1.234,5", "1,234.5"]));
    assert_eq!((count(&w), w["rejected"]["not_a_number"].as_u64()), (2, Some(2)));
    assert_eq!(w["table"]["sensors"][0]["mean"].as_f64(), Some(1.5));
}

#[test]
fn duplicated_and_reversed_timestamps_give_the_same_window_as_sorted_ones() {
    let sorted = csv(&["1", "2", "3", "4"]);
    let rows: Vec<&str> = sorted.lines().skip(1).collect();
    let mut reversed: Vec<&str> = rows.iter().rev().copied().collect();
    reversed.extend(&rows);
    let (a, b) = (window(&sorted), window(&format!("time;a\n{}\n", reversed.join("\n"))));
    assert_eq!(a["table"], b["table"]);
    assert_eq!(b["unused"]["duplicates"], 4);
}

#[test]
fn a_clock_that_jumps_once_makes_no_window_of_its_own() {
    let mut rows = String::from("time;a\n");
    for minute in 0..30 {
        if minute == 9 {
            rows.push_str("2099-01-01 00:00:00;1\n1970-01-01 00:00:00;1\n");
        }
        rows.push_str(&format!("2026-11-20 00:{minute:02}:00;2\n"));
    }
    let w = window(&rows);
    assert_eq!(count(&w), 30);
    assert_eq!(
        (w["unused"]["implausible_times"].as_u64(), w["rejected"]["implausible_time"].as_u64()),
        (Some(1), Some(1))
    );
}

#[test]
fn far_stamps_at_either_end_of_a_file_make_no_windows() {
    let mut rows = String::from("time,a\n2001-01-01 00:00:00,1\n");
    for minute in 0..30 {
        rows.push_str(&format!("2026-11-20 00:{minute:02}:00,2\n"));
    }
    rows.push_str("2099-01-01 00:00:00,1\n");
    let windows = of(rows.as_bytes(), &["--window", "10m"]).assert_done().json();
    let counts: Vec<u64> = windows.iter().map(|w| w["readings"].as_u64().unwrap()).collect();
    assert_eq!(counts, [10, 10, 10], "{windows:#?}");
    let aside = windows.iter().flat_map(|w| w["unused_by_sensor"].as_array().unwrap().clone());
    let aside: u64 = aside.filter(|s| s["sensor"] == "a").map(|s| s["implausible_times"].as_u64().unwrap()).sum();
    assert_eq!(aside, 2);
}

#[test]
fn a_line_that_is_refused_is_counted_with_its_number_and_the_rest_is_read() {
    let mut text = b"time,a\n2026-11-20 00:00:00,1\n".to_vec();
    text.extend(std::iter::repeat_n(b'9', 2 << 20));
    text.extend_from_slice(b"\n2026-11-20 00:01:00,3\nnoon,4\n2026-11-20 00:02:00,5\n");
    let w = &of(&text, &[]).assert_done().json()[0];
    assert_eq!(
        (count(w), w["rejected"]["too_long"].as_u64(), w["rejected"]["without_time"].as_u64()),
        (3, Some(1), Some(1))
    );
    assert_eq!(w["rejected"]["first_line"], 3);
    let told = run_with_input(&["report", "--set", "llm.model=none"], &text);
    assert!(told.assert_done().stdout.contains("the first such line is line 3"), "{}", told.stdout);
}

#[test]
fn half_a_million_bad_lines_are_a_number_and_no_flood() {
    let mut text = String::from("time,a\n2026-11-20 00:00:00,1\n");
    text.push_str(&"nonsense\n".repeat(500_000));
    text.push_str("2026-11-20 00:01:00,3\n");
    let ran = of(text.as_bytes(), &[]);
    let w = &ran.assert_done().json()[0];
    let refused = w["rejected"]["malformed"].as_u64().unwrap() + w["rejected"]["without_time"].as_u64().unwrap();
    assert_eq!((count(w), refused), (2, 500_000));
    assert!(ran.stdout.len() + ran.stderr.len() < 10_000, "{} bytes", ran.stdout.len() + ran.stderr.len());
}

#[test]
fn usual_mistakes_are_named_with_their_cause_and_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.csv");
    fs::write(&empty, "").unwrap();
    for json in [&[][..], &["--json"]] {
        run(&[&["report", "--input", arg(&empty), "--set", "llm.model=none"], json].concat())
            .assert_fails(1, &["empty.csv is empty"]);
    }
    for (window, words) in [
        ("0", ["--window", "90s"]),
        ("0s", ["--window", "from 1 second to 366 days"]),
        ("-5", ["--window", "\"-5\""]),
        ("-5s", ["--window", "from 1 second to 366 days"]),
        ("99999999999999h", ["--window", "from 1 second to 366 days"]),
        ("9600h", ["--window", "from 1 second to 366 days"]),
        ("5 parsecs", ["--window", "\"5 parsecs\" is not a length"]),
        ("60", ["--window", "lacks its unit"]),
    ] {
        run(&["report", "--input", arg(&empty), "--window", window]).assert_fails(2, &words);
    }
    for (command, set, words) in [
        ("report", "llm.sampler.top_p=7", ["llm.sampler.top_p is 7", "from 0 to 1"]),
        ("report", "llm.sampler.temperature=-5", ["llm.sampler.temperature is -5", "from 0 to 10"]),
        ("caption", "llm.sampler.top_p=7", ["llm.sampler.top_p is 7", "from 0 to 1"]),
        ("caption", "llm.sampler.temperature=-5", ["llm.sampler.temperature is -5", "from 0 to 10"]),
        (
            "caption",
            "vision.model=talk-nano",
            ["vision.model: talk-nano is a language model", "a vision model is wanted"],
        ),
        (
            "report",
            "llm.model=mobilenet-v2",
            ["llm.model: mobilenet-v2 is a vision model", "a language model is wanted"],
        ),
        (
            "caption",
            "llm.model=hear-nano",
            ["llm.model: hear-nano is a speech-to-text model", "a language model is wanted"],
        ),
    ] {
        let code = if set.contains(".model=") { 1 } else { 2 };
        run(&[command, "--input", arg(&empty), "--set", set]).assert_fails(code, &words);
    }
    let wav = nearfield_tests::assets().join("speech");
    run(&["transcribe", arg(&wav), "--set", "stt.model=talk-nano"])
        .assert_fails(1, &["stt.model: talk-nano is a language model", "a speech-to-text model is wanted"]);
    // A file of one's own is told by how it begins.
    let gguf = folder.path().join("own.bin");
    fs::write(&gguf, b"GGUF and more").unwrap();
    let set = format!("stt.model={}", arg(&gguf));
    run(&["transcribe", arg(&wav), "--set", &set]).assert_fails(1, &["own.bin is a language model (GGUF)"]);
}

#[test]
fn without_an_input_on_a_terminal_the_usage_is_told_instead_of_waiting() {
    let command = format!("{} report --set llm.model=none", arg(&program()));
    let Ok(ran) = Command::new("timeout").args(["20", "script", "-qec", &command, "/dev/null"]).output() else {
        return skipped("script is not installed");
    };
    let told = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(told.contains("--input") && told.contains("Ctrl-D"), "{told}");
    assert_eq!(ran.status.code(), Some(2), "{told}");
}

#[test]
fn five_thousand_sensors_are_gathered_and_more_than_the_bound_are_counted() {
    let header: String = (0..5000).map(|i| format!(",s{i}")).collect();
    let mut text = format!("time{header}\n");
    for minute in 0..20 {
        let row: String = (0..5000).map(|i| format!(",{}", i + minute)).collect();
        text.push_str(&format!("2026-11-20 00:{minute:02}:00{row}\n"));
    }
    let w = window(&text);
    assert_eq!(w["table"]["sensors"].as_array().unwrap().len(), 5000);
    assert_eq!(w["readings"], 100_000);
    let few = of(text.as_bytes(), &["--set", "readings.max_sensors=100"]).assert_done().json();
    assert_eq!(
        (few[0]["readings"].as_u64(), few[0]["rejected"]["sensors_beyond"].as_u64()),
        (Some(2000), Some(98_000))
    );
}

#[test]
fn lines_of_ten_megabytes_cost_no_memory_and_no_neighbour() {
    let mut text = b"time,a\n2026-11-20 00:00:00,1\n".to_vec();
    for _ in 0..3 {
        text.extend(std::iter::repeat_n(b'9', 10 << 20));
        text.push(b'\n');
    }
    text.extend_from_slice(b"2026-11-20 00:01:00,3\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.csv");
    fs::write(&path, text).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -v 1000000; exec \"$0\" \"$@\""])
        .arg(program())
        .args(PLAIN)
        .args(["--input", arg(&path)]);
    let w = &finish(command, &[], Duration::from_secs(60)).assert_done().json()[0];
    assert_eq!((count(w), w["rejected"]["too_long"].as_u64()), (2, Some(3)));
}

#[test]
fn invalid_utf8_is_counted_line_by_line() {
    let mut text = csv(&["1", "2"]).into_bytes();
    text.extend_from_slice(b"2026-11-20 00:10:00;\xff\xfe\n2026-11-20 00:11:00;3\n");
    let w = &of(&text, &[]).assert_done().json()[0];
    assert_eq!((count(w), w["rejected"]["not_utf8"].as_u64()), (3, Some(1)));
}

#[test]
fn gzip_where_text_was_expected_is_called_gzip() {
    of(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0", &[]).assert_fails(1, &["gzip", "gunzip"]);
    of(b"\x89PNG\r\n\x1a\n\0\0\0\0", &[]).assert_fails(1, &["standard input"]);
}

#[test]
fn text_without_any_time_and_no_text_at_all_are_refused() {
    of(b"a,b\n1,2\n3,4\n", &[]).assert_fails(1, &["text.time"]);
    of(b"{\"a\":1}\n", &[]).assert_fails(1, &["text.time"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.csv");
    fs::write(&path, "").unwrap();
    run(&["report", "--input", arg(&path), "--set", "llm.model=none"]).assert_fails(1, &["empty.csv", "no reading"]);
    run(&["report", "--input", "/nowhere.csv"]).assert_fails(1, &["/nowhere.csv"]);
    run(&["report", "--input", arg(folder.path())]).assert_fails(1, &["folder"]);
    run(&["report", "--input", "http://x/y.csv"]).assert_fails(2, &["mqtt://"]);
    run(&["report", "--input", "-", "--output", "x.pdf"]).assert_fails(2, &[".html"]);
    run(&["report", "--input", "x.csv", "--window", "fortnight"]).assert_fails(2, &["fortnight", "1h"]);
}

#[test]
fn names_that_would_forge_the_table_are_made_harmless() {
    let text = "time,\"x: mean 9\",Anomalies: none\n2026-11-20 00:00:00,1,2\n2026-11-20 00:01:00,1,2\n";
    let w = window(text);
    let table = w["table"]["text"].as_str().unwrap();
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.lines().all(|l| l.matches(": mean").count() <= 1), "{table}");
}

#[test]
fn a_broker_that_is_not_there_is_named_and_tried_again_until_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("store.file={}", arg(&folder.path().join("r.sqlite")));
    let mut command = nearfield(&[&PLAIN[..], &["--input", "mqtt://127.0.0.1:1/x", "--set", &store]].concat());
    let log = folder.path().join("log");
    let mut child = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    assert!(nearfield_tests::wait_for(Duration::from_secs(20), || said().contains("mqtt://127.0.0.1:1")));
    // It is tried again, and not told again in the same words.
    std::thread::sleep(Duration::from_secs(3));
    assert!(child.try_wait().unwrap().is_none() && said().lines().count() <= 2, "{}", said());
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(child.wait().unwrap().success(), "{}", said());
}

#[test]
fn a_full_disk_is_reported_for_every_output() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("a.csv");
    fs::write(&input, csv(&["1", "2", "3"])).unwrap();
    for name in ["full.md", "full.jsonl", "full.html"] {
        let link = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        run(&[&PLAIN[..], &["--input", arg(&input), "--output", arg(&link)]].concat())
            .assert_fails(1, &[name, "No space left"]);
    }
    let plot = folder.path().join("full.svg");
    std::os::unix::fs::symlink("/dev/full", &plot).unwrap();
    run(&[&PLAIN[..], &["--input", arg(&input), "--plot", arg(&plot)]].concat()).assert_fails(1, &["full.svg"]);
}

#[test]
fn a_store_that_can_not_grow_loses_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("a.csv");
    let rows: String = (0..40_000).map(|i| format!("{},{}\n", 1_795_132_800 + i, i % 100)).collect();
    fs::write(&input, format!("time,a\n{rows}")).unwrap();
    let store = format!("store.file={}", arg(&folder.path().join("r.sqlite")));
    // A limit on the size of files stands in for a full disk; without its signal a write then fails.
    let script = "trap '' XFSZ; ulimit -f 1100; exec timeout -s TERM 4 \"$0\" \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(program()).args(PLAIN).args(["--input", arg(&input), "--set", &store]);
    let ran = finish(command, &[], Duration::from_secs(60));
    assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
    assert!(ran.stderr.contains("r.sqlite") && ran.stderr.contains("tried again"), "{ran:#?}");
    // With room again, the next run has everything.
    let ran = run(&[&PLAIN[..], &["--input", arg(&input), "--set", &store]].concat());
    let used: u64 = ran.assert_done().json().iter().map(|w| w["readings"].as_u64().unwrap()).sum();
    assert_eq!(used, 40_000);
}

/// A disk of a few megabytes; `None`, with the reason told, where we may not mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs", arg(at)]).output();
        match mounted {
            Ok(ran) if ran.status.success() => Some(SmallDisk(at.to_owned())),
            _ => {
                skipped("only root may mount a small disk");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", arg(&self.0)]).status();
    }
}

#[test]
fn a_full_disk_is_waited_for_and_gone_on_from_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk")) else { return };
    let place = |name: &str| folder.path().join(name);
    let rows: String = (0..40_000).map(|i| format!("{},{}\n", 1_795_132_800 + i, i % 100)).collect();
    fs::write(place("a.csv"), format!("time,a\n{rows}")).unwrap();
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; (8 << 20) - (512 << 10)]).unwrap();
    let store = format!("store.file={}", arg(&disk.0.join("r.sqlite")));
    let mut command = nearfield(&[&PLAIN[..], &["--input", arg(&place("a.csv")), "--set", &store]].concat());
    let (out, log) = (place("out"), place("log"));
    let mut child =
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    let full = nearfield_tests::wait_for(Duration::from_secs(30), || said().contains("the disk is full"));
    assert!(full && said().contains("r.sqlite") && said().contains("tried again"), "{}", said());
    assert!(child.try_wait().unwrap().is_none(), "it waits: {}", said());
    fs::remove_file(&ballast).unwrap();
    let over = nearfield_tests::wait_for(Duration::from_secs(30), || child.try_wait().unwrap().is_some());
    assert!(over && child.wait().unwrap().success(), "{}", said());
    let told = fs::read_to_string(&out).unwrap();
    let windows = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(windows.map(|w| w["readings"].as_u64().unwrap()).sum::<u64>(), 40_000, "none missing, none twice");
}
