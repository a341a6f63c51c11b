//! `nearfield eval anomalies`: the streaming detector over the files of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015), in
//! the form that the benchmark's own scorer reads. One setting for all files; a score is written before the next reading is seen.
//!
//! The folder is the benchmark's `data`, or the one that holds it: a folder for each category, in it CSV files with the columns
//! `timestamp` and `value`. Labels, where the benchmark's `labels/combined_windows.json` is there, are copied into the results
//! after the file has been scored; the detector never sees them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use jiff::civil::DateTime;
use nearfield_base::files;
use nearfield_stages::flow::StopSignal;
use nearfield_telemetry::novelty::Novelty;
use serde_json::json;

use crate::cli::HeldOutArgs;
use crate::signals;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// The most categories, and files in one.
const MAX_ENTRIES: usize = 10_000;
/// The name of the detector in the benchmark's tables.
const DETECTOR: &str = "nearfield";

/// The labelled windows of each file, as the benchmark writes them: beginning and end, both within.
type Labels = BTreeMap<String, Vec<(String, String)>>;

/// What the run came to.
#[derive(Default)]
struct Totals {
    files: usize,
    readings: usize,
    time: Duration,
    most_bytes: usize,
}

/// Scores every file and writes the results.
///
/// # Errors
/// If the data can't be read or the results not written, or the user stops it.
pub fn run(args: &HeldOutArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let [folder] = &args.folders[..] else {
        bail!(
            "`eval anomalies` takes one folder: the benchmark's data, as in `nearfield eval anomalies NAB/data --output NAB/results`"
        );
    };
    let Some(results) = &args.output else {
        bail!("`eval anomalies` writes result files: name a folder for them with --output RESULTS");
    };
    let data = if folder.join("data").is_dir() { folder.join("data") } else { folder.clone() };
    let labels = labels(&data)?;
    let mut totals = Totals::default();
    for category in entries(&data)?.into_iter().filter(|entry| entry.is_dir()) {
        for file in entries(&category)?.into_iter().filter(|file| file.extension().is_some_and(|e| e == "csv")) {
            let (category, name) = (name_of(&category), name_of(&file));
            let windows = labels.get(&format!("{category}/{name}")).map_or(&[][..], Vec::as_slice);
            let text = score(&file, windows, &mut totals)?;
            let to = results.join(DETECTOR).join(&category);
            fs::create_dir_all(&to).with_context(|| format!("the folder {} can't be made", to.display()))?;
            let to = to.join(format!("{DETECTOR}_{name}"));
            fs::write(&to, text).with_context(|| format!("the results {} can't be written", to.display()))?;
            totals.files += 1;
            if totals.files >= MAX_ENTRIES || signals::is_stopped(stop) {
                bail!("stopped after {} files", totals.files);
            }
        }
    }
    ensure!(
        totals.files > 0,
        "in {} there is no folder with CSV files: name the folder `data` of the benchmark",
        data.display()
    );
    let Totals { files, readings, time, most_bytes } = totals;
    let micros = time.as_secs_f64() * 1e6 / readings.max(1) as f64;
    match args.json {
        true => writeln!(
            out,
            "{}",
            json!({"eval": "anomalies", "files": files, "readings": readings, "microseconds_per_reading": (micros * 100.0).round() / 100.0, "most_bytes": most_bytes, "labelled": !labels.is_empty()})
        )?,
        false => writeln!(
            out,
            "{files} files, {readings} readings: {micros:.1} µs a reading, {} KiB for a sensor at most; results in {}",
            most_bytes.div_ceil(1024),
            results.join(DETECTOR).display()
        )?,
    }
    Ok(())
}

/// The result file of one data file: its rows with a score and a label.
fn score(file: &Path, windows: &[(String, String)], totals: &mut Totals) -> anyhow::Result<String> {
    let text = files::read_text(file, MAX_FILE_BYTES).with_context(|| format!("{} can't be read", file.display()))?;
    let rows = rows(&text).with_context(|| file.display().to_string())?;
    let mut novelty = Novelty::default();
    let begun = Instant::now();
    // The share of readings that are less new, in the event's first reading and where it grows; 0 elsewhere.
    let scores: Vec<f64> =
        rows.iter().map(|row| novelty.push(row.value).map_or(0.0, |surprise| 1.0 - 10f64.powf(-surprise))).collect();
    totals.time += begun.elapsed();
    totals.readings += rows.len();
    totals.most_bytes = totals.most_bytes.max(novelty.bytes());
    let mut results = String::from("timestamp,value,anomaly_score,label\n");
    for (row, score) in rows.iter().zip(scores) {
        // The benchmark's times have one form, in which the order of texts is the order of time.
        let labelled = windows.iter().any(|(from, to)| &from[..19] <= row.time && row.time <= &to[..19]);
        let (time, value) = (row.time, row.text);
        writeln!(results, "{time},{value},{score:.9},{}", u8::from(labelled)).expect("a text takes what is written");
    }
    Ok(results)
}

struct Row<'a> {
    time: &'a str,
    text: &'a str,
    value: f64,
}

/// The rows of a file with the columns `timestamp` and `value`.
fn rows(text: &str) -> anyhow::Result<Vec<Row<'_>>> {
    let mut lines = text.lines().enumerate();
    let header = lines.next().map(|(_, line)| line.trim_end());
    ensure!(header == Some("timestamp,value"), "the first line must be `timestamp,value`");
    lines
        .map(|(i, line)| {
            let what = || format!("line {} must be a time and a number, as in `2014-04-01 00:05:00,20.1`", i + 1);
            let (time, text) = line.trim_end().split_once(',').with_context(what)?;
            time.parse::<DateTime>().ok().with_context(what)?;
            let value: f64 = text.parse().ok().filter(|v: &f64| v.is_finite()).with_context(what)?;
            Ok(Row { time, text, value })
        })
        .collect()
}

/// The benchmark's labels, if they lie beside the data.
fn labels(data: &Path) -> anyhow::Result<Labels> {
    let path = data.join("../labels/combined_windows.json");
    if !path.is_file() {
        return Ok(Labels::new());
    }
    let text = files::read(&path, MAX_FILE_BYTES).with_context(|| format!("{} can't be read", path.display()))?;
    let labels: Labels = nearfield_base::json::from_slice(&text).with_context(|| path.display().to_string())?;
    for (from, to) in labels.values().flatten() {
        ensure!(
            [from, to].iter().all(|time| time.len() >= 19 && time.is_ascii()),
            "{}: `{from}` to `{to}` is not a window",
            path.display()
        );
    }
    Ok(labels)
}

/// What a folder holds, in the order of names.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let what = || format!("the folder {} can't be read", folder.display());
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(what)?
        .take(MAX_ENTRIES)
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .with_context(what)?;
    entries.sort();
    Ok(entries)
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(folder: &Path, output: &Path) -> HeldOutArgs {
        HeldOutArgs {
            folders: vec![folder.to_owned()],
            json: false,
            data: None,
            output: Some(output.to_owned()),
            part: None,
            limit: None,
            config: crate::cli::ConfigArgs::default(),
        }
    }

    /// A benchmark of one file, whose reading `at` is far off; the rows after `until` are another course.
    fn benchmark(at: usize, until: usize) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("data/made")).unwrap();
        fs::create_dir_all(root.path().join("labels")).unwrap();
        let mut text = String::from("timestamp,value\n");
        let start: DateTime = "2026-03-02 00:00:00".parse().unwrap();
        for i in 0..1500usize {
            let time = start.checked_add(jiff::Span::new().minutes(5 * i as i64)).unwrap();
            let usual = 20.0 + (i as f64 / 288.0 * std::f64::consts::TAU).sin() + (i * 7919 % 101) as f64 / 500.0;
            let value = if i == at {
                60.0
            } else if i > until {
                -usual
            } else {
                usual
            };
            writeln!(text, "{},{value}", time.strftime("%Y-%m-%d %H:%M:%S")).unwrap();
        }
        fs::write(root.path().join("data/made/one.csv"), text).unwrap();
        let labels = r#"{"made/one.csv": [["2026-03-05 20:00:00.000000", "2026-03-06 04:00:00.000000"]]}"#;
        fs::write(root.path().join("labels/combined_windows.json"), labels).unwrap();
        root
    }

    fn results(root: &Path) -> Vec<(f64, u8)> {
        run(&args(root, &root.join("results")), &crossbeam_channel::never(), &mut Vec::new()).unwrap();
        let text = fs::read_to_string(root.join("results/nearfield/made/nearfield_one.csv")).unwrap();
        assert!(text.starts_with("timestamp,value,anomaly_score,label\n2026-03-02 00:00:00,"), "{text:.120}");
        let field = |line: &str, n: usize| line.split(',').nth(n).unwrap().to_owned();
        text.lines().skip(1).map(|line| (field(line, 2).parse().unwrap(), field(line, 3).parse().unwrap())).collect()
    }

    #[test]
    fn the_reading_that_is_far_off_has_the_highest_score_and_rows_within_a_window_are_labelled() {
        let root = benchmark(1100, 1500);
        let rows = results(root.path());
        let highest = (0..rows.len()).max_by(|a, b| rows[*a].0.total_cmp(&rows[*b].0)).unwrap();
        assert_eq!((rows.len(), highest), (1500, 1100));
        let labelled: Vec<usize> = (0..rows.len()).filter(|i| rows[*i].1 == 1).collect();
        assert_eq!((labelled.first(), labelled.last(), labelled.len()), (Some(&1104), Some(&1200), 97));
    }

    #[test]
    fn a_score_is_the_same_whatever_comes_after_it() {
        let (one, other) = (benchmark(1100, 1500), benchmark(1100, 1200));
        let (one, other) = (results(one.path()), results(other.path()));
        assert_eq!(one[..=1200], other[..=1200]);
        assert_ne!(one[1201..], other[1201..]);
    }

    #[test]
    fn what_is_no_benchmark_is_refused_with_the_line_that_is_wrong() {
        let root = benchmark(0, 0);
        fs::write(root.path().join("data/made/one.csv"), "timestamp,value\n2026-03-02 00:00:00,warm\n").unwrap();
        let error = run(&args(root.path(), root.path()), &crossbeam_channel::never(), &mut Vec::new()).unwrap_err();
        assert!(format!("{error:#}").contains("line 2 must be a time and a number"), "{error:#}");
        let empty = tempfile::tempdir().unwrap();
        let error = run(&args(empty.path(), root.path()), &crossbeam_channel::never(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("name the folder `data` of the benchmark"), "{error:#}");
    }
}
