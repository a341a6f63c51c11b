//! What the tests of written files share: readings, reports made of them, and the windows that a file holds whole.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Ran, run};

/// Arguments of a report without a language model, in windows of a minute.
pub const PLAIN: [&str; 6] = ["--set", "llm.model=none", "--set", "window.zone=UTC", "--window", "1m"];
/// Arguments of captions without a vision model.
pub const BLIND: [&str; 4] = ["--set", "vision.model=none", "--set", "gate.min_interval_ms=0"];

/// Readings every 20 s of so many minutes, the first of them at 2026-11-20 00:00 and `from` minutes.
pub fn readings(from: usize, minutes: usize) -> String {
    let line = |i: usize| {
        let (minute, second) = (from + i / 3, i % 3 * 20);
        format!("2026-11-20T{:02}:{:02}:{second:02}Z,{}\n", minute / 60, minute % 60, i % 7)
    };
    format!("time,hall\n{}", (0..minutes * 3).map(line).collect::<String>())
}

/// Runs a report without a language model.
pub fn report(args: &[&str]) -> Ran {
    run(&[&["report"], args, &PLAIN].concat())
}

/// The starts of the reported windows, as `HH:MM`, in the order of the file. Panics if anything in it is not whole.
pub fn windows(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let start = |name: &str| name.split('/').next().unwrap()[11..16].to_owned();
    match path.extension().unwrap().to_str().unwrap() {
        "jsonl" => {
            assert!(text.is_empty() || text.ends_with('\n'), "the last line has no end: {text:?}");
            let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
            text.lines().map(|l| start(parse(l)["window"]["start"].as_str().unwrap())).collect()
        }
        "md" => {
            let mut found = Vec::new();
            for record in text.split("<!-- report ").skip(1) {
                let (name, rest) = record.split_once(" -->\n## ").unwrap_or_else(|| panic!("{record:?}"));
                assert!(rest.contains("\n| hall |") && rest.trim_end().ends_with("<!-- end of report -->"), "{rest:?}");
                found.push(start(name));
            }
            found
        }
        _ => {
            assert!(text.is_empty() || text.ends_with("</html>\n"), "the page has no end");
            let sections = text.split("\" data-window=\"").skip(1);
            let whole = |s: &str| assert!(s.contains("</svg>") && s.contains("</section>\n"), "{s}");
            let mut found: Vec<String> = sections.inspect(|s| whole(s)).map(start).collect();
            found.reverse(); // The newest stands first.
            found
        }
    }
}

/// The names of the windows `from..to`, in minutes after midnight.
pub fn minutes(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|m| format!("{:02}:{:02}", m / 60, m % 60)).collect()
}
