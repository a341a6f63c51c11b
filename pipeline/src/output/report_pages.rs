//! Reports as people and programs read them: Markdown, JSON, one page of HTML.

use jiff::tz::TimeZone;
use nearfield_base::persist::Records;
use nearfield_stages::messages::{Report, WindowSummary};
use nearfield_telemetry::anomaly::Anomaly;
use nearfield_telemetry::check::readable_name;
use nearfield_telemetry::clock::{ClockFault, spoken};
use nearfield_telemetry::figure::{Figure, decimals_for};
use nearfield_telemetry::kind::Kind;
use nearfield_telemetry::read::{Rejected, RejectedOf};
use nearfield_telemetry::table::digits_of;
use nearfield_telemetry::windows::UnusedOf;
use nearfield_telemetry::{Moment, SensorId};
use serde_json::{Value, json};

use crate::output::plot;
use crate::output::sensor_lines::{counted_or_lasted, states_json};
use crate::output::turn_report::ms;

/// Sensors in a Markdown table; all of them are in the JSON.
const MAX_ROWS: usize = 40;
/// Windows on one page of HTML: the newest.
const MAX_SECTIONS: usize = 400;

pub(super) fn time(at: Moment, zone: &TimeZone) -> String {
    at.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn anomaly_json(sensor: &str, anomaly: &Anomaly, zone: &TimeZone) -> Value {
    let mut line = json!({"sensor": sensor, "method": anomaly.method()});
    let rounded = |v: f64| (v * 100.0).round() / 100.0;
    let more = match *anomaly {
        Anomaly::Spike { value, at, score } => {
            json!({"kind": "spike", "value": value, "at": time(at, zone), "score": rounded(score)})
        }
        Anomaly::Drift { by, from, score } => {
            json!({"kind": "drift", "by": by, "from": time(from, zone), "score": rounded(score)})
        }
        Anomaly::Stuck { value, span } => {
            json!({"kind": "stuck", "value": value, "from": time(span.from, zone), "to": time(span.to, zone)})
        }
        Anomaly::Gap { span } => json!({"kind": "gap", "from": time(span.from, zone), "to": time(span.to, zone)}),
        Anomaly::Above { limit, extreme, span } => {
            json!({"kind": "above", "limit": limit, "extreme": extreme, "from": time(span.from, zone), "to": time(span.to, zone)})
        }
        Anomaly::Below { limit, extreme, span } => {
            json!({"kind": "below", "limit": limit, "extreme": extreme, "from": time(span.from, zone), "to": time(span.to, zone)})
        }
    };
    if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
        line.extend(more);
    }
    line
}

/// The object that `--json` prints.
pub fn json(report: &Report, zone: &TimeZone) -> Value {
    let Report { summary, composed } = report;
    let window = &summary.window;
    let sensors: Vec<Value> = window
        .sensors
        .iter()
        .map(|s| {
            let traits = &summary.traits[s.sensor.0 as usize];
            let mut row = json!({"sensor": traits.name, "unit": traits.unit, "count": 0});
            if let Some(f) = s.statistics.as_ref().filter(|_| s.states.is_some()) {
                row = json!({"sensor": traits.name, "unit": traits.unit, "count": f.count, "per_hour": f.per_hour});
            } else if let Some(f) = &s.statistics {
                row = json!({
                    "sensor": traits.name, "unit": traits.unit, "count": f.count, "per_hour": f.per_hour,
                    "min": f.low.0, "min_at": time(f.low.1, zone), "max": f.high.0, "max_at": time(f.high.1, zone),
                    "mean": f.mean, "median": f.median, "p95": f.p95, "stddev": f.deviation,
                    "slope_per_hour": f.slope_per_hour, "change": s.change, "change_from_day_before": s.change_from_day_before,
                    "first": f.first.0, "last": f.last.0, "usual_pause_s": s.usual_pause,
                });
                if let Some(direction) = f.mean_direction {
                    row["mean"] = json!(direction);
                }
            }
            match &s.statistics {
                Some(f) if s.is_total => {
                    row["counted"] = json!(f.growth.gain);
                    row["resets"] = json!(f.growth.resets);
                }
                Some(f) if s.is_amount => row["counted"] = json!(f.sum()),
                _ => {}
            }
            if let Some(days) = s.lasts_days {
                row["lasts_days"] = json!((days * 10.0).round() / 10.0);
            }
            if let Some(states) = &s.states {
                row["changes"] = json!(states.changes);
                row["states"] = states_json(states, traits, zone);
            }
            let found = s.is_total.then_some(Kind::TotalIncreasing).or(s.is_amount.then_some(Kind::Amount));
            if let Some(kind) = traits.kind.or(found) {
                row["kind"] = json!(kind);
            }
            row
        })
        .collect();
    let anomalies: Vec<Value> = window
        .sensors
        .iter()
        .flat_map(|s| {
            let name = &summary.traits[s.sensor.0 as usize].name;
            s.anomalies.iter().map(move |a| anomaly_json(name, a, zone))
        })
        .collect();
    let name = |sensor: SensorId| summary.traits[sensor.0 as usize].name.as_str();
    let expected: Vec<Value> = window
        .expected
        .iter()
        .map(|e| {
            let mut line = anomaly_json(name(e.sensor), &e.anomaly, zone);
            line["reason"] = json!(e.reason);
            line
        })
        .collect();
    let clocks: Vec<Value> = summary
        .clocks
        .iter()
        .map(|(sensor, fault, seconds, readings)| {
            json!({"sensor": name(sensor), "fault": fault, "seconds": seconds, "readings": readings})
        })
        .collect();
    let unused_of: Vec<Value> = window
        .unused_of
        .iter()
        .map(
            |(sensor, of)| json!({"sensor": name(*sensor), "late": of.late, "implausible_times": of.implausible_times}),
        )
        .collect();
    let texts: Vec<&str> = composed.sentences.iter().map(|s| s.text.as_str()).collect();
    let refused: Vec<Value> =
        composed.refused.iter().map(|(text, reason)| json!({"text": text, "reason": reason})).collect();
    json!({
        "window": {"start": time(window.span.from, zone), "end": time(window.span.to, zone)},
        "text": texts.join(" "),
        "sentences": composed.sentences,
        "table": {"text": summary.table.to_string(), "sensors": sensors},
        "anomalies": anomalies,
        "expected": expected,
        "tokens": composed.tokens,
        "latency_ms": {"first_word": composed.first_word.map(ms), "checked": ms(composed.checked)},
        "refused": refused,
        "readings": window.readings(),
        "unused": window.unused,
        "unused_by_sensor": unused_of,
        "clocks": clocks,
        "rejected": summary.rejected,
        "cut_short": window.cut_short,
        "empty_windows_skipped": window.skipped,
        "model_failure": composed.failure,
    })
}

/// What stands above a report's sentences.
pub fn heading(title: &str) -> String {
    format!("## {title}\n\n")
}

/// The figures of a window as a table for people: the head, and a row a sensor.
fn figures(report: &Report) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let summary = &report.summary;
    let window = &summary.window;
    let mut head =
        vec!["sensor", "readings", "mean", "median", "p95", "lowest", "highest", "std dev", "per hour", "change"];
    let compares = window.sensors.iter().any(|s| s.change_from_day_before.is_some());
    if compares {
        head.push("since day before");
    }
    let rows = window.sensors.iter().take(MAX_ROWS).map(|s| {
        let traits = &summary.traits[s.sensor.0 as usize];
        let unit = if traits.unit.is_empty() { String::new() } else { format!(" ({})", traits.unit) };
        let mut row = vec![format!("{}{unit}", traits.name)];
        let Some(f) = &s.statistics else {
            row.push("0".to_owned());
            row.resize(head.len(), String::new());
            return row;
        };
        if s.states.is_some() {
            row.push(f.count.to_string());
            row.resize(head.len(), String::new());
            return row;
        }
        let digits = traits.decimals.unwrap_or_else(|| digits_of(f));
        let number = |v: f64| Figure::exact(v, digits).to_string();
        let small = |v: f64| Figure::new(v, decimals_for(v).min(digits + 1)).to_string();
        let signed = |v: Option<f64>| {
            v.map_or(String::new(), |v| {
                let text = small(v);
                if v > 0.0 && text != "0" { format!("+{text}") } else { text }
            })
        };
        row.push(f.count.to_string());
        if let Some(direction) = f.mean_direction {
            row.extend([number(direction), String::new(), String::new(), number(f.low.0), number(f.high.0)]);
            row.resize(head.len(), String::new());
            return row;
        }
        row.extend([f.mean, f.median, f.p95, f.low.0, f.high.0].map(number));
        row.extend([small(f.deviation), signed(Some(f.slope_per_hour)), signed(s.change)]);
        if compares {
            row.push(signed(s.change_from_day_before));
        }
        row
    });
    let rows = rows.collect();
    (head, rows)
}

/// What totals counted, how long states lasted, and the anomalies of a window, a line each.
fn anomalies(report: &Report, zone: &TimeZone) -> Vec<String> {
    let summary = &report.summary;
    let mut lines = Vec::new();
    for s in summary.window.sensors.iter().take(MAX_ROWS) {
        lines.extend(counted_or_lasted(s, &summary.traits[s.sensor.0 as usize]));
    }
    for s in &summary.window.sensors {
        let traits = &summary.traits[s.sensor.0 as usize];
        let name = &traits.name;
        lines.extend(
            s.anomalies.iter().map(|a| format!("{name}: {} ({})", described(a, &traits.unit, zone), a.method())),
        );
        if s.more_out_of_limits > 0 {
            lines.push(format!("{name}: {} more readings out of limits", s.more_out_of_limits));
        }
    }
    for e in &summary.window.expected {
        let traits = &summary.traits[e.sensor.0 as usize];
        let reason = if e.reason.is_empty() { "expected" } else { &e.reason };
        lines.push(format!(
            "{}: {}, as expected: {}",
            traits.name,
            described(&e.anomaly, &traits.unit, zone),
            readable_name(reason)
        ));
    }
    lines
}

/// Sensors that are named one by one.
const MAX_NAMED: usize = 5;

/// Of which sensors something was not used, as in ` of the hall temperature`; nothing where nobody knows.
fn of_sensors(summary: &WindowSummary, count: &dyn Fn(&UnusedOf) -> u64) -> String {
    let mut sensors: Vec<(u64, &str)> = summary
        .window
        .unused_of
        .iter()
        .filter(|(_, of)| count(of) > 0)
        .map(|(sensor, of)| (count(of), summary.traits[sensor.0 as usize].name.as_str()))
        .collect();
    sensors.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    match sensors.len() {
        0 => String::new(),
        n => {
            let names: Vec<&str> = sensors.iter().take(MAX_NAMED).map(|(_, name)| *name).collect();
            let more = if n > MAX_NAMED { format!(" and {} more", n - MAX_NAMED) } else { String::new() };
            format!(" of {}{more}", names.join(", "))
        }
    }
}

/// Whose cells were rejected for a cause, each with an example, as in ` (hall: "on"; attic: "off")`.
fn rejected_of(rejected: &Rejected, count: fn(&RejectedOf) -> u64) -> String {
    let mut sensors: Vec<(u64, &String, &RejectedOf)> =
        rejected.by_sensor.iter().map(|(key, of)| (count(of), key, of)).filter(|(n, ..)| *n > 0).collect();
    sensors.sort_by_key(|(n, key, _)| (std::cmp::Reverse(*n), *key));
    if sensors.is_empty() {
        return String::new();
    }
    let named = sensors.iter().take(MAX_NAMED).map(|(n, key, of)| {
        // A cell is foreign text: what would be a command in a page is left out.
        let tame = |text: &str| text.replace(['<', '>', '&', '|', '`', '*', '_', '[', ']', '\\'], "");
        let example = of.examples.first().map_or(String::new(), |(_, text)| format!(", as {:?}", tame(text)));
        format!("{n} of {}{example}", readable_name(key))
    });
    let more =
        if sensors.len() > MAX_NAMED { format!("; {} more sensors", sensors.len() - MAX_NAMED) } else { String::new() };
    format!(" ({}{more})", named.collect::<Vec<_>>().join("; "))
}

/// What was found of sensors' clocks, a clause each.
fn wrong_clocks(summary: &WindowSummary) -> Vec<String> {
    let found: Vec<_> = summary.clocks.iter().collect();
    let clause = |&(sensor, fault, seconds, readings): &(SensorId, ClockFault, f64, u64)| {
        let name = &summary.traits[sensor.0 as usize].name;
        let what = match fault {
            ClockFault::Ahead => format!("clock of {name} is {} ahead", spoken(seconds)),
            ClockFault::Behind => format!("clock of {name} is {} behind", spoken(seconds)),
            ClockFault::NoClock => format!("{name} has no running clock"),
        };
        let readings = if readings == 1 { "1 reading".to_owned() } else { format!("{readings} readings") };
        format!("{what}: arrival time used for {readings}")
    };
    let mut notes: Vec<String> = found.iter().take(MAX_NAMED).map(clause).collect();
    if found.len() > MAX_NAMED {
        let readings: u64 = found.iter().skip(MAX_NAMED).map(|f| f.3).sum();
        notes.push(format!(
            "{} more clocks are wrong: arrival time used for {readings} readings",
            found.len() - MAX_NAMED
        ));
    }
    notes
}

/// What was not used, or is not whole.
fn remarks(report: &Report) -> Vec<String> {
    let summary = &report.summary;
    let window = &summary.window;
    let mut notes = Vec::new();
    let mut count = |n: u64, one: &str, several: &str| match n {
        0 => {}
        1 => notes.push(format!("1 {one}")),
        n => notes.push(format!("{n} {several}")),
    };
    let late = |of: &UnusedOf| of.late;
    let of = of_sensors(summary, &late);
    count(window.unused.late, &format!("reading{of} came too late"), &format!("readings{of} came too late"));
    count(window.unused.duplicates, "reading came twice", "readings came twice");
    let far = |of: &UnusedOf| of.implausible_times;
    let (of, far) = (of_sensors(summary, &far), "had a time that no other agreed with");
    count(window.unused.implausible_times, &format!("reading{of} {far}"), &format!("readings{of} {far}"));
    count(window.skipped, "empty window before this one skipped", "empty windows before this one skipped");
    let r = &summary.rejected;
    count(r.not_utf8, "line that is not UTF-8 skipped", "lines that are not UTF-8 skipped");
    count(r.too_long, "line too long", "lines too long");
    count(r.malformed, "malformed line skipped", "malformed lines skipped");
    count(r.without_reading, "message without a reading skipped", "messages without a reading skipped");
    count(r.without_time, "line without a readable time skipped", "lines without a readable time skipped");
    let outside =
        ["line with a time before 1990 or after 2200 skipped", "lines with a time before 1990 or after 2200 skipped"];
    count(r.implausible_time, outside[0], outside[1]);
    for (n, of, one, several) in [
        (r.not_a_number, (|of| of.not_a_number) as fn(&RejectedOf) -> u64, "non-numeric value", "non-numeric values"),
        (r.not_finite, |of| of.not_finite, "non-finite value", "non-finite values"),
        (r.out_of_range, |of| of.out_of_range, "value beyond 1e15", "values beyond 1e15"),
        (
            r.ambiguous,
            |of| of.ambiguous,
            "number that can be read in two ways (set text.decimal)",
            "numbers that can be read in two ways (set text.decimal)",
        ),
    ] {
        let whose = rejected_of(r, of);
        count(n, &format!("{one}{whose} skipped"), &format!("{several}{whose} skipped"));
    }
    let beyond = "of sensors beyond readings.max_sensors skipped";
    count(r.sensors_beyond, &format!("reading {beyond}"), &format!("readings {beyond}"));
    if let Some(line) = r.first_line {
        notes.push(format!("the first such line is line {line}"));
    }
    notes.extend(wrong_clocks(summary));
    if window.cut_short {
        notes.push("the readings end before the window does".to_owned());
    }
    notes
}

/// What stands below them: the table, the anomalies, what was not used.
pub fn details(report: &Report, zone: &TimeZone) -> String {
    let window = &report.summary.window;
    let mut out = String::from("\n\n");
    if window.readings() == 0 {
        out.push_str("No readings in this window.\n\n");
    } else {
        let (head, rows) = figures(report);
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        out.push_str(&format!("| {} |\n|---|{}\n", head.join(" | "), "---:|".repeat(head.len() - 1)));
        for mut row in rows {
            row[0] = row[0].replace('|', "/");
            out.push_str(&line(&row));
        }
        if window.sensors.len() > MAX_ROWS {
            out.push_str(&format!("\nand {} more sensors.\n", window.sensors.len() - MAX_ROWS));
        }
        out.push('\n');
    }
    anomalies(report, zone).iter().for_each(|line| out.push_str(&format!("- {line}\n")));
    let notes = remarks(report);
    if !notes.is_empty() {
        out.push_str(&format!("\nNot used or not whole: {}.\n", notes.join("; ")));
    }
    out
}

/// The same as HTML.
fn html_details(report: &Report, zone: &TimeZone) -> String {
    let window = &report.summary.window;
    let mut out = String::new();
    let lines = anomalies(report, zone);
    if !lines.is_empty() {
        let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
        out.push_str(&format!("<ul>\n{items}</ul>\n"));
    }
    if window.readings() > 0 {
        let (head, rows) = figures(report);
        let cells = |name: &str, cells: Vec<String>| -> String {
            let cells: String = cells.iter().map(|c| format!("<{name}>{}</{name}>", escaped(c))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        out.push_str("<details open><summary>Figures</summary><div class=\"wide\"><table>\n");
        out.push_str(&cells("th", head.into_iter().map(str::to_owned).collect()));
        rows.into_iter().for_each(|row| out.push_str(&cells("td", row)));
        out.push_str("</table></div></details>\n");
        if window.sensors.len() > MAX_ROWS {
            out.push_str(&format!("<p>and {} more sensors.</p>\n", window.sensors.len() - MAX_ROWS));
        }
    }
    let notes = remarks(report);
    if !notes.is_empty() {
        out.push_str(&format!("<p class=\"notes\">Not used or not whole: {}.</p>\n", escaped(&notes.join("; "))));
    }
    out
}

fn described(anomaly: &Anomaly, unit: &str, zone: &TimeZone) -> String {
    let at = |m: Moment| m.timestamp().to_zoned(zone.clone()).strftime("%-d %b %H:%M").to_string();
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let number = |v: f64| format!("{}{unit}", Figure::exact(v, decimals_for(v)));
    match *anomaly {
        Anomaly::Spike { value, at: when, .. } => format!("spike to {} at {}", number(value), at(when)),
        Anomaly::Drift { by, from, .. } => {
            let direction = if by > 0.0 { "up" } else { "down" };
            format!("drift {direction} by {} from {}", number(by.abs()), at(from))
        }
        Anomaly::Stuck { value, span } => {
            format!("stuck at {} from {} to {}", number(value), at(span.from), at(span.to))
        }
        Anomaly::Gap { span } => format!("no readings from {} to {}", at(span.from), at(span.to)),
        Anomaly::Above { limit, extreme, span } => {
            format!("above {} from {} to {}, up to {}", number(limit), at(span.from), at(span.to), number(extreme))
        }
        Anomaly::Below { limit, extreme, span } => {
            format!("below {} from {} to {}, down to {}", number(limit), at(span.from), at(span.to), number(extreme))
        }
    }
}

/// A report as Markdown.
pub fn markdown(report: &Report, zone: &TimeZone) -> String {
    let texts: Vec<&str> = report.composed.sentences.iter().map(|s| s.text.as_str()).collect();
    format!("{}{}{}", heading(report.summary.table.title()), texts.join(" "), details(report, zone))
}

/// How records of [`json`](fn@json) are distinguished in a file.
pub const JSON_RECORDS: Records = Records::Lines("{\"window\":{\"start\":");
const BEGIN: &str = "<!-- report ";
const END: &str = "<!-- end of report -->";
/// How those of [`markdown_record`] are.
pub const MARKDOWN_RECORDS: Records = Records::Blocks { begin: BEGIN, end: END };

/// What a report is called where only one of each may be: its window.
pub fn window_name(report: &Report, zone: &TimeZone) -> String {
    let window = &report.summary.window;
    named(&time(window.span.from, zone), &time(window.span.to, zone), window.cut_short)
}

fn named(from: &str, to: &str, cut_short: bool) -> String {
    // What is reported of a window before it is over does not stand for the whole.
    format!("{from}/{to}{}", if cut_short { ", not over yet" } else { "" })
}

/// The [`window_name`] of a line of [`json`](fn@json).
pub fn window_of_json(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    let (from, to) = (value["window"]["start"].as_str()?, value["window"]["end"].as_str()?);
    Some(named(from, to, value["cut_short"].as_bool()?))
}

/// The [`window_name`] of a [`markdown_record`].
pub fn window_of_markdown(record: &str) -> Option<String> {
    Some(record.strip_prefix(BEGIN)?.split_once(" -->")?.0.to_owned())
}

/// A report as Markdown between two comments, which distinguish a whole one from one that was cut off.
pub fn markdown_record(report: &Report, zone: &TimeZone) -> String {
    format!("{BEGIN}{} -->\n{}\n{END}\n\n", window_name(report, zone), markdown(report, zone))
}

/// How a page begins, up to what may change from one version to the next.
const PAGE_BEGIN: &str = "<!doctype html>\n<html lang=\"en\">\n";
const PAGE_TITLE: &str = "<title>Nearfield report</title>";
const SECTION_BEGIN: &str = "<section";
const SECTION_END: &str = "</section>\n";
const LEFT_OUT: &str = " older windows are left out.</p>";

/// A page that grows by a section a report.
#[derive(Debug, Default)]
pub struct Page {
    sections: std::collections::VecDeque<String>,
    left_out: usize,
}

impl Page {
    /// Adds a report.
    ///
    /// # Errors
    /// If its plots can't be drawn.
    pub fn add(&mut self, report: &Report, zone: &TimeZone) -> anyhow::Result<()> {
        let Report { summary, composed } = report;
        let mut section = format!(
            "<section data-window=\"{}\">\n<h2>{}</h2>\n<p>",
            window_name(report, zone),
            escaped(summary.table.title())
        );
        for (i, sentence) in composed.sentences.iter().enumerate() {
            let origin = format!("{:?}", sentence.origin).to_lowercase();
            let space = if i > 0 { " " } else { "" };
            section.push_str(&format!("{space}<span title=\"{origin}\">{}</span>", escaped(&sentence.text)));
        }
        section.push_str("</p>\n");
        section.push_str(&plot::svg(summary, zone)?);
        section.push_str(&format!("\n{}</section>\n", html_details(report, zone)));
        self.sections.push_front(section);
        if self.sections.len() > MAX_SECTIONS {
            self.sections.pop_back();
            self.left_out += 1;
        }
        Ok(())
    }

    /// Reads a page back; `None` if it is none of [`html`](Self::html).
    pub fn read(text: &str) -> Option<Page> {
        let head = &text[..text.find(SECTION_BEGIN).unwrap_or(text.len())];
        if !(head.starts_with(PAGE_BEGIN) && head.contains(PAGE_TITLE) && text.trim_end().ends_with("</html>")) {
            return None;
        }
        let mut page = Page::default();
        let mut rest = &text[head.len()..];
        while rest.starts_with(SECTION_BEGIN) {
            let (section, after) = rest.split_once(SECTION_END)?;
            page.sections.push_back(format!("{section}{SECTION_END}"));
            rest = after;
        }
        let left_out = rest.split_once(LEFT_OUT).and_then(|(before, _)| before.strip_prefix("<p>"));
        page.left_out = left_out.map_or(Some(0), |n| n.parse().ok())?;
        Some(page)
    }

    /// The [`window_name`] of the newest section.
    pub fn newest_window(&self) -> Option<&str> {
        let (_, rest) = self.sections.front()?.split_once("data-window=\"")?;
        Some(rest.split_once('"')?.0)
    }

    /// The whole page; it needs nothing but itself.
    pub fn html(&self) -> String {
        let mut page = format!(
            "{PAGE_BEGIN}<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
             {PAGE_TITLE}\n<style>\nbody {{ font: 16px/1.5 sans-serif; max-width: 920px; margin: 2em auto; padding: 0 1em }}\n\
             h2 {{ font-size: 1.1em; margin: 2em 0 .3em }}\nsvg {{ max-width: 100%; height: auto }}\n.wide {{ overflow-x: auto }}\ntable {{ border-collapse: collapse; font-size: 13px }}\n\
             th, td {{ padding: .15em .7em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }}\n\
             th:first-child, td:first-child {{ text-align: left }}\n.notes {{ color: #666; font-size: 14px }}\n\
             </style>\n<h1>Nearfield report</h1>\n",
        );
        self.sections.iter().for_each(|s| page.push_str(s));
        if self.left_out > 0 {
            page.push_str(&format!("<p>{}{LEFT_OUT}\n", self.left_out));
        }
        page.push_str("</html>\n");
        page
    }
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
