//! Reports from readings to words, through the program, on the bundled day and on real series.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield_tests::{Ran, arg, assets, finish, nearfield, run, run_with_input, wait_for};
use serde_json::Value;

const PLAIN: [&str; 4] = ["--set", "llm.model=none", "--set", "window.zone=UTC"];

fn report(args: &[&str]) -> Ran {
    run(&[&["report"], args, &PLAIN].concat())
}

fn day() -> PathBuf {
    assets().join("telemetry/day.csv")
}

/// The data of the benchmark, or `None`, said aloud.
fn telemetry(name: &str) -> Option<PathBuf> {
    nearfield_testdata::test_data(&format!("telemetry/{name}"))
}

/// Numbers and times of a text, by other means than the program's.
fn numerals(text: &str) -> Vec<String> {
    let found = text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':' | '-')));
    let found = found.map(|n| n.trim_matches(['.', ':']).to_owned());
    found.filter(|n| n.chars().any(|c| c.is_ascii_digit())).collect()
}

/// Every number of every sentence stands in a line of the table about a sensor that the sentence names.
fn assert_true(window: &Value) {
    let table = window["table"]["text"].as_str().unwrap();
    for sentence in window["sentences"].as_array().unwrap() {
        let text = sentence["text"].as_str().unwrap();
        let lines = table.lines().skip(1).filter(|l| text.contains(l.split(':').next().unwrap()));
        let known: Vec<String> = lines.flat_map(numerals).collect();
        for number in numerals(text) {
            assert!(known.contains(&number), "{number} in {text:?} is not in\n{table}");
        }
    }
}

#[test]
fn the_bundled_day_names_its_spike_its_gap_and_its_drift_with_the_right_numbers() {
    let ran = run(&["report", "--input", arg(&day()), "--json", "--set", "window.zone=UTC"]);
    let windows = ran.assert_done().json();
    assert_eq!(windows.len(), 1, "{windows:#?}");
    let window = &windows[0];
    for key in ["window", "text", "sentences", "table", "anomalies", "tokens", "latency_ms"] {
        assert!(window.get(key).is_some(), "{key} is missing: {window:#}");
    }
    assert_eq!(window["window"]["start"], "2026-11-20T00:00:00+00:00");
    let kinds: Vec<_> = window["anomalies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["sensor"].as_str().unwrap(), a["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, [("hall humidity", "spike"), ("attic temperature", "gap"), ("cellar pressure", "drift")]);
    let text = window["text"].as_str().unwrap();
    for words in ["hall humidity", "91 %", "14:20", "attic temperature", "02:10", "03:45", "cellar pressure", "down"] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    assert_true(window);
    for sentence in window["sentences"].as_array().unwrap() {
        assert!(["written", "regenerated", "computed"].contains(&sentence["origin"].as_str().unwrap()));
    }
    assert!(window["tokens"]["generated"].as_u64().unwrap() > 0, "{window:#}");
    assert!(window["latency_ms"]["checked"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_report_without_a_model_is_computed_from_the_same_table() {
    let window = &report(&["--input", arg(&day()), "--json"]).assert_done().json()[0];
    let texts: Vec<&str> =
        window["sentences"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap()).collect();
    assert_eq!(texts[0], "The attic temperature has no readings from 02:10 to 03:45.");
    assert_eq!(texts[2], "The hall humidity spiked to 91 % at 14:20.");
    assert_eq!(window["cut_short"], false, "the day is whole: its last reading was the last one due");
    assert!(window["sentences"].as_array().unwrap().iter().all(|s| s["origin"] == "computed"));
    assert_eq!(window["tokens"]["generated"], 0);
}

#[test]
fn statistics_are_those_of_their_definitions() {
    let text = "time,a\n2026-11-20 00:00:00,1\n2026-11-20 06:00:00,2\n2026-11-20 12:00:00,3\n2026-11-20 18:00:00,10\n";
    let ran = run_with_input(&[&["report", "--json"], &PLAIN[..]].concat(), text.as_bytes());
    let row = &ran.assert_done().json()[0]["table"]["sensors"][0];
    let is = |key: &str, value: f64| assert!((row[key].as_f64().unwrap() - value).abs() < 1e-9, "{key}: {row:#}");
    is("count", 4.0);
    is("mean", 4.0);
    is("median", 2.5);
    is("stddev", (50.0f64 / 3.0).sqrt());
    is("p95", 3.0 + 7.0 * 0.85);
    is("slope_per_hour", 28.0 / 60.0);
    assert_eq!(row["max_at"], "2026-11-20T18:00:00+00:00");
}

#[test]
fn windows_slide_follow_the_local_calendar_and_tell_when_they_are_empty() {
    let mut text = String::from("time,a\n");
    for hour in [0, 1, 2, 3, 6] {
        text.push_str(&format!("2026-10-25T0{hour}:30:00Z,{hour}\n"));
    }
    let windows = |sets: &[&str]| {
        let mut args = vec!["report", "--json", "--set", "llm.model=none"];
        sets.iter().for_each(|s| args.extend(["--set", *s]));
        run_with_input(&args, text.as_bytes()).assert_done().json()
    };
    let starts = |found: &[Value]| -> Vec<(String, u64)> {
        let pair =
            |w: &Value| (w["window"]["start"].as_str().unwrap()[11..].to_owned(), w["readings"].as_u64().unwrap());
        found.iter().map(pair).collect()
    };
    let hours = windows(&["window.length=1h", "window.zone=Europe/Berlin"]);
    let expected: Vec<(String, u64)> = [
        ("02:00:00+02:00", 1),
        ("02:00:00+01:00", 1),
        ("03:00:00+01:00", 1),
        ("04:00:00+01:00", 1),
        ("05:00:00+01:00", 0),
        ("06:00:00+01:00", 0),
        ("07:00:00+01:00", 1),
    ]
    .map(|(s, n)| (s.to_owned(), n))
    .to_vec();
    assert_eq!(starts(&hours), expected);
    assert_eq!(hours[4]["text"], "The sensor a gave no readings.");
    let sliding = windows(&["window.length=2h", "window.every=1h", "window.zone=UTC"]);
    assert_eq!(starts(&sliding).iter().map(|s| s.1).collect::<Vec<_>>(), [1, 2, 2, 2, 1, 0, 1, 1]);
    let days = windows(&["window.length=1d", "window.zone=Europe/Berlin"]);
    let span = &days[0]["window"];
    assert_eq!(
        (&span["start"], &span["end"]),
        (&"2026-10-25T00:00:00+02:00".into(), &"2026-10-26T00:00:00+01:00".into())
    );
}

#[test]
fn markdown_lines_pages_and_plots_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["r.md", "r.jsonl", "r.html"] {
        report(&["--input", arg(&day()), "--output", arg(&path(name))]).assert_done();
    }
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    assert!(
        read("r.md").contains("## 20 November 2026, 00:00 to 24:00") && read("r.md").contains("| hall humidity (%)")
    );
    assert_eq!(read("r.jsonl").lines().count(), 1);
    let page = read("r.html");
    assert!(page.contains("<svg") && page.contains("The hall humidity spiked") && !page.contains("http://localhost"));
    let (svg, png, trace) = (path("p.svg"), path("p.png"), path("t.json"));
    report(&["--input", arg(&day()), "--plot", arg(&svg), "--trace", arg(&trace)]).assert_done();
    report(&["--input", arg(&day()), "--plot", arg(&png)]).assert_done();
    let svg = std::fs::read_to_string(svg).unwrap();
    // The spike's ring, the gap's shade, and the names.
    assert!(svg.contains("<circle") && svg.contains("#E1E1E1") && svg.contains("cellar pressure"), "{}", &svg[..400]);
    assert!(std::fs::read(png).unwrap().starts_with(b"\x89PNG"));
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
    assert!(trace.as_array().unwrap().iter().any(|e| e["name"].as_str().unwrap_or_default().starts_with("compose")));
}

#[test]
fn every_report_is_valid_by_the_published_schema() {
    let schema: Value = serde_json::from_str(&run(&["report", "--schema"]).assert_done().stdout).unwrap();
    let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // A meter, states, a battery, amounts, limits, and cells that are no readings.
    let mut rows = String::from("time,meter kWh,door,remote battery %,rain mm,oven °C,Temp (C)\n");
    for slot in 0..3 * 96 {
        let (day, hour, minute) = (10 + slot / 96, slot % 96 / 4, slot % 4 * 15);
        let door = if slot % 7 == 0 { "open" } else { "closed" };
        let temp = if slot % 50 == 9 { "68 F".to_owned() } else { format!("{}", 20.0 + f64::from(slot % 5) / 10.0) };
        let oven = if slot % 97 == 3 { "broken".to_owned() } else { format!("{}", 150 + slot % 96) };
        rows.push_str(&format!(
            "2026-03-{day} {hour:02}:{minute:02},{},{door},{},{},{oven},{temp}\n",
            1000.0 + f64::from(slot) / 4.0,
            98 - slot / 24,
            if slot % 30 == 0 { 1.5 } else { 0.0 },
        ));
    }
    std::fs::write(path("house.csv"), rows).unwrap();
    let (day, house) = (day(), path("house.csv"));
    let limits = r#"sensors={"oven" = {high = 240.0, low = 150.5}}"#;
    let runs: [&[&str]; 3] = [
        &["--input", arg(&day), "--json"],
        &["--input", arg(&house), "--json", "--set", limits],
        &["--input", arg(&house), "--json", "--set", "report.language=\"de\"", "--window", "1h"],
    ];
    for args in runs {
        let ran = report(args);
        let windows = ran.assert_done().json();
        assert!(!windows.is_empty());
        for window in windows {
            let wrong: Vec<String> =
                validator.iter_errors(&window).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(wrong.is_empty(), "{wrong:?}\n{window:#}");
        }
    }
    // And the schema says something.
    let mut window = report(&["--input", arg(&day), "--json"]).json().remove(0);
    window["anomalies"][0]["kind"] = "surprise".into();
    assert!(!validator.is_valid(&window));
}

#[test]
fn a_report_in_german_says_everything_in_german() {
    let folder = tempfile::tempdir().unwrap();
    let mail = folder.path().join("mail.html");
    let page = folder.path().join("page.html");
    let german = ["--set", "report.language=\"de\""];
    let ran = report(&[&["--input", arg(&day()), "--html-email", arg(&mail)][..], &german].concat());
    snapbox::assert_data_eq!(ran.assert_done().stdout.clone(), snapbox::file!["snapshots/report-german.md"].raw());
    report(&[&["--input", arg(&day()), "--output", arg(&page)][..], &german].concat()).assert_done();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let (mail_text, page_text) = (read(&mail), read(&page));
    for text in [&mail_text, &page_text] {
        assert!(text.contains("<html lang=\"de\">") && text.contains("20. November 2026, 00:00 bis 24:00"));
        assert!(text.contains("hall humidity: Ausreißer auf 91 % um 14:20 Uhr.") && text.contains("Messwerte"));
    }
    assert!(!mail_text.contains("<script") && !mail_text.contains("<style") && !mail_text.contains("<svg"));
    // It replaces its own, and nothing else.
    report(&["--input", arg(&day()), "--html-email", arg(&mail)]).assert_done();
    assert!(read(&mail).contains("<html lang=\"en\">"));
    let ran = report(&["--input", arg(&day()), "--html-email", arg(&page)]);
    assert!(ran.code == 2 && ran.stderr.contains("--overwrite") && read(&page) == page_text, "{ran:#?}");
}

#[test]
fn a_page_lists_its_windows_and_links_each_with_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    report(&["--input", arg(&day()), "--window", "6h", "--output", arg(&page)]).assert_done();
    let text = std::fs::read_to_string(&page).unwrap();
    let ids: Vec<&str> = text.split("<section id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.len(), 4);
    for (n, id) in ids.iter().enumerate() {
        // In the list, and from the window after it.
        let links = text.matches(&format!("href=\"#{id}\"")).count();
        assert_eq!(links, if n == 0 { 1 } else { 2 }, "{id}");
    }
    assert_eq!(text.matches("<script>").count(), 1);
    // Another run goes on with it.
    let more = folder.path().join("more.csv");
    std::fs::write(&more, "time,hall\n2026-11-22 00:00,20\n2026-11-22 05:00,21\n").unwrap();
    report(&["--input", arg(&more), "--window", "6h", "--output", arg(&page)]).assert_done();
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.matches("<section id=\"").count() == 5 && text.matches(ids[0]).count() >= 3, "{}", &text[..3000]);
}

#[test]
fn a_followed_file_is_reported_window_by_window_while_it_grows() {
    let folder = tempfile::tempdir().unwrap();
    let (log, out) = (folder.path().join("log.jsonl"), folder.path().join("out.jsonl"));
    std::fs::write(&log, "").unwrap();
    let stdout = std::fs::File::create(&out).unwrap();
    let mut command = nearfield(&["report", "--input", arg(&log), "--follow", "--json", "--window", "1h"]);
    command.args(PLAIN).args(["--set", "window.lateness_s=60"]);
    let mut child = command.stdout(stdout).spawn().unwrap();
    let lines =
        |n: usize| wait_for(Duration::from_secs(30), || std::fs::read_to_string(&out).unwrap().lines().count() >= n);
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    for hour in 0..3 {
        writeln!(file, "{{\"time\":\"2026-11-20T0{hour}:10:00Z\",\"a\":{hour}}}").unwrap();
    }
    assert!(lines(2), "two hours are over when the third has begun");
    std::fs::rename(&log, folder.path().join("log.jsonl.1")).unwrap();
    std::fs::write(&log, "{\"time\":\"2026-11-20T03:10:00Z\",\"a\":3}\n").unwrap();
    assert!(lines(3), "the rotated file is followed");
    let _ = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(child.wait().unwrap().success());
    let last: Value = serde_json::from_str(std::fs::read_to_string(&out).unwrap().lines().last().unwrap()).unwrap();
    assert_eq!(last["cut_short"], true, "the last window is told as it is, and says so");
}

#[test]
fn a_store_lets_a_followed_file_s_open_window_be_completed_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.csv");
    let store = format!("store.file={}", arg(&folder.path().join("r.sqlite")));
    let session = |text: &str, windows: usize| -> Vec<Value> {
        std::fs::write(&log, text).unwrap();
        let out = folder.path().join("out.jsonl");
        let stdout = std::fs::File::create(&out).unwrap();
        let mut command = nearfield(&["report", "--input", arg(&log), "--follow", "--json", "--window", "1h"]);
        command.args(PLAIN).args(["--set", "window.lateness_s=0", "--set", &store]);
        let mut child = command.stdout(stdout).spawn().unwrap();
        let read = || std::fs::read_to_string(&out).unwrap();
        assert!(wait_for(Duration::from_secs(30), || read().lines().count() >= windows), "{}", read());
        std::thread::sleep(Duration::from_millis(500));
        child.kill().unwrap(); // As if the power had gone.
        child.wait().unwrap();
        read().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    let first = session("time,a\n2026-11-20 00:10:00,1\n2026-11-20 01:10:00,5\n2026-11-20 01:20:00,7\n", 1);
    assert_eq!(first.len(), 1);
    let second = session("time,a\n2026-11-20 01:20:00,7\n2026-11-20 01:50:00,9\n2026-11-20 02:10:00,2\n", 1);
    assert_eq!(second.len(), 1, "the first window is not told again: {second:#?}");
    let row = &second[0]["table"]["sensors"][0];
    assert_eq!((row["count"].as_u64(), row["mean"].as_f64()), (Some(3), Some(7.0)), "{row:#}");
    assert_eq!(row["change"].as_f64(), Some(6.0), "the window before is remembered");
}

#[test]
fn rows_of_a_followed_file_that_the_store_has_are_not_late_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (log, out) = (folder.path().join("log.csv"), folder.path().join("out.jsonl"));
    let store = format!("store.file={}", arg(&folder.path().join("r.redb")));
    let row = |i: i64| format!("{},{}\n", 1_795_132_800 + i, i % 7);
    std::fs::write(&log, format!("time,a\n{}", (0..1000).map(row).collect::<String>())).unwrap();
    let start = || {
        let stdout = std::fs::OpenOptions::new().append(true).create(true).open(&out).unwrap();
        let mut command = nearfield(&["report", "--input", arg(&log), "--follow", "--json", "--window", "1m"]);
        command.args(PLAIN).args(["--set", "window.lateness_s=5", "--set", &store]).stdout(stdout).spawn().unwrap()
    };
    let windows = || -> Vec<Value> {
        let text = std::fs::read_to_string(&out).unwrap();
        text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect()
    };
    let mut child = start();
    assert!(wait_for(Duration::from_secs(30), || windows().len() >= 16), "{}", windows().len());
    child.kill().unwrap();
    child.wait().unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    // The last line is still being written when the next look is taken.
    write!(file, "{}1795134400,9", (1000..1600).map(row).collect::<String>()).unwrap();
    let mut child = start();
    assert!(wait_for(Duration::from_secs(30), || windows().len() >= 26), "{}", windows().len());
    std::thread::sleep(Duration::from_millis(600));
    writeln!(file, "9\n{}", (1601..1700).map(row).collect::<String>()).unwrap();
    assert!(wait_for(Duration::from_secs(30), || windows().len() >= 28), "{}", windows().len());
    let _ = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    child.wait().unwrap();
    let all = windows();
    let sum = |what: &dyn Fn(&Value) -> u64| all.iter().map(what).sum::<u64>();
    assert_eq!(sum(&|w| w["unused"]["late"].as_u64().unwrap()), 0, "{all:#?}");
    assert_eq!(sum(&|w| w["unused"]["duplicates"].as_u64().unwrap()), 1000, "the rows of the first run came again");
    assert_eq!(sum(&|w| w["rejected"]["malformed"].as_u64().unwrap()), 0);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for w in all.iter().filter(|w| w["cut_short"] == false) {
        counts.insert(w["window"]["start"].to_string(), w["readings"].as_u64().unwrap());
    }
    assert!(counts.len() >= 28 && counts.values().all(|n| *n == 60), "{counts:?}");
}

#[test]
fn a_heading_tells_the_seconds_of_a_short_window() {
    let text = "time,a b\n2026-11-20 23:59:58,1\n2026-11-20 23:59:59,2\n2026-11-21 00:00:00,3\n";
    let ran = run_with_input(&[&["report", "--window", "1s"], &PLAIN[..]].concat(), text.as_bytes());
    let headings: Vec<&str> = ran.assert_done().stdout.lines().filter(|l| l.starts_with("##")).collect();
    let expected = [
        "## 20 November 2026, 23:59:58 to 23:59:59",
        "## 20 November 2026, 23:59:59 to 24:00:00",
        "## 21 November 2026, 00:00:00 to 00:00:01",
    ];
    assert_eq!(headings, expected);
    assert!(ran.stdout.contains("The sensor a b averaged") && !ran.stdout.contains("The a b"), "{}", ran.stdout);
}

#[test]
fn a_real_office_is_read_as_it_was_written_down() {
    let Some(path) = telemetry("occupancy.csv") else { return };
    let windows = report(&["--input", arg(&path), "--json"]).assert_done().json();
    let rows: u64 = std::fs::read_to_string(&path).unwrap().lines().count() as u64 - 1;
    let used: u64 = windows.iter().map(|w| w["readings"].as_u64().unwrap()).sum();
    assert_eq!(used, rows * 6, "six columns of numbers, one of times, one of row names");
    windows.iter().for_each(assert_true);
}

/// Issue 6, to be shown, 2: a report a day on a real machine's temperature; which days are anomalous by each method, against the
/// labels of the benchmark (Numenta Anomaly Benchmark).
#[test]
fn a_real_machine_s_anomalous_days_are_scored_by_method() {
    let Some(path) = telemetry("machine_temperature_system_failure.csv") else { return };
    let Some(labels) = telemetry("combined_windows.json") else { return };
    let labels: Value = serde_json::from_str(&std::fs::read_to_string(labels).unwrap()).unwrap();
    let labels = labels["realKnownCause/machine_temperature_system_failure.csv"].as_array().unwrap().clone();
    let ran = finish(
        nearfield(&[&["report", "--input", arg(&path), "--json"], &PLAIN[..]].concat()),
        &[],
        Duration::from_secs(120),
    );
    let windows = ran.assert_done().json();
    let labelled =
        |day: &str| labels.iter().any(|l| &l[0].as_str().unwrap()[..10] <= day && day <= &l[1].as_str().unwrap()[..10]);
    let days: Vec<&str> = windows.iter().map(|w| &w["window"]["start"].as_str().unwrap()[..10]).collect();
    let truth = days.iter().filter(|d| labelled(d)).count();
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (window, day) in windows.iter().zip(&days) {
        let mut methods: Vec<&str> =
            window["anomalies"].as_array().unwrap().iter().map(|a| a["method"].as_str().unwrap()).collect();
        methods.sort_unstable();
        methods.dedup();
        if !methods.is_empty() {
            methods.push("any");
        }
        methods.into_iter().for_each(|m| found.entry(m).or_default().push(day));
    }
    let mut err = std::io::stderr();
    writeln!(err, "machine temperature: {} days, {truth} of them in {} labelled windows", days.len(), labels.len())
        .unwrap();
    for (method, flagged) in &found {
        let right = flagged.iter().filter(|d| labelled(d)).count();
        let windows_hit = labels
            .iter()
            .filter(|l| {
                flagged.iter().any(|d| &l[0].as_str().unwrap()[..10] <= *d && *d <= &l[1].as_str().unwrap()[..10])
            })
            .count();
        writeln!(
            err,
            "  {method}: {} days flagged, {right} of them labelled: precision {:.2}, recall {:.2}; {windows_hit} of {} windows",
            flagged.len(),
            right as f64 / flagged.len() as f64,
            right as f64 / truth as f64,
            labels.len()
        )
        .unwrap();
    }
    windows.iter().for_each(assert_true);
    let any = &found["any"];
    assert!(any.iter().any(|d| labelled(d)), "not one labelled day was found");
    assert!(any.len() < days.len() / 2, "every other day can't be out of the ordinary");
}

#[test]
fn bench_report_verifies_what_it_times() {
    let ran = run(&["bench", "report", "--runs", "1", "--json", "--set", "llm.model=none"]);
    let lines = ran.assert_done().json();
    assert!(lines[0]["readings_per_s"]["windows"].as_f64().unwrap() > 10_000.0, "{lines:#?}");
    assert_eq!(lines[1]["wrong_numbers"], 0);
}

#[test]
fn a_webhook_gets_each_report_as_the_json_that_is_printed() {
    use std::io::Read;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("outlets.webhook=http://{}/report", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut text, mut block) = (Vec::new(), [0; 65536]);
        loop {
            let n = stream.read(&mut block).unwrap();
            text.extend_from_slice(&block[..n]);
            let whole = String::from_utf8_lossy(&text).into_owned();
            if let Some((head, body)) = whole.split_once("\r\n\r\n") {
                let length = head
                    .to_lowercase()
                    .lines()
                    .find_map(|l| Some(l.strip_prefix("content-length:")?.trim().parse::<usize>().unwrap()));
                if body.len() >= length.unwrap() || n == 0 {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                    return body.to_owned();
                }
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("outlets.spool={}", arg(folder.path()));
    let ran = report(&["--input", arg(&day()), "--json", "--set", &url, "--set", &spool]);
    let posted: Value = serde_json::from_str(&server.join().unwrap()).unwrap();
    assert_eq!(posted["text"], ran.assert_done().json()[0]["text"]);
    let left = |folder: &Path| std::fs::read_dir(folder.join("report-webhook")).unwrap().count();
    assert_eq!(left(folder.path()), 0, "what was delivered is not kept");
}
