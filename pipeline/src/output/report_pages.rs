//! Reports as people and programs read them: Markdown and JSON, and the figures below a report's sentences.

use jiff::tz::TimeZone;
use nearfield_base::persist::Records;
use nearfield_stages::messages::Report;
use nearfield_telemetry::anomaly::Anomaly;
use nearfield_telemetry::check::readable_name;
use nearfield_telemetry::figure::{Figure, decimals_for};
use nearfield_telemetry::kind::Kind;
use nearfield_telemetry::language::Language;
use nearfield_telemetry::table::digits_of;
use nearfield_telemetry::{Moment, SensorId};
use serde_json::{Value, json};

use crate::output::report_remarks::remarks;
use crate::output::sensor_lines::{counted_or_lasted, states_json};
use crate::output::turn_report::ms;

/// Sensors in a Markdown table; all of them are in the JSON.
const MAX_ROWS: usize = 40;

pub(crate) fn time(at: Moment, zone: &TimeZone) -> String {
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
pub(super) fn figures(report: &Report) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let summary = &report.summary;
    let window = &summary.window;
    let language = summary.table.language();
    let mut head =
        ["sensor", "readings", "mean", "median", "p95", "lowest", "highest", "std dev", "per hour", "change"]
            .map(|word| language.text(word))
            .to_vec();
    let compares = window.sensors.iter().any(|s| s.change_from_day_before.is_some());
    if compares {
        head.push(language.text("since day before"));
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
        let number = |v: f64| language.number(Figure::exact(v, digits));
        let small = |v: f64| language.number(Figure::new(v, decimals_for(v).min(digits + 1)));
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
pub(super) fn anomalies(report: &Report, zone: &TimeZone) -> Vec<String> {
    let summary = &report.summary;
    let language = summary.table.language();
    let mut lines = Vec::new();
    for s in summary.window.sensors.iter().take(MAX_ROWS) {
        lines.extend(counted_or_lasted(s, &summary.traits[s.sensor.0 as usize], language));
    }
    for s in &summary.window.sensors {
        let traits = &summary.traits[s.sensor.0 as usize];
        let name = &traits.name;
        lines.extend(
            s.anomalies
                .iter()
                .map(|a| format!("{name}: {} ({})", described(a, &traits.unit, zone, language), a.method())),
        );
        if s.more_out_of_limits > 0 {
            let n = s.more_out_of_limits.to_string();
            lines.push(language.say("{name}: {n} more readings out of limits", &[("name", name), ("n", &n)]));
        }
    }
    for e in &summary.window.expected {
        let traits = &summary.traits[e.sensor.0 as usize];
        let reason = if e.reason.is_empty() { language.text("expected") } else { &e.reason };
        let (what, reason) = (described(&e.anomaly, &traits.unit, zone, language), readable_name(reason));
        let slots = [("name", traits.name.as_str()), ("what", &what), ("reason", &reason)];
        lines.push(language.say("{name}: {what}, as expected: {reason}", &slots));
    }
    lines
}

/// What stands below them: the table, the anomalies, what was not used.
pub fn details(report: &Report, zone: &TimeZone) -> String {
    let (window, language) = (&report.summary.window, report.summary.table.language());
    let mut out = String::from("\n\n");
    if window.readings() == 0 {
        out.push_str(&format!("{}\n\n", language.text("No readings in this window.")));
    } else {
        let (head, rows) = figures(report);
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        out.push_str(&format!("| {} |\n|---|{}\n", head.join(" | "), "---:|".repeat(head.len() - 1)));
        for mut row in rows {
            row[0] = row[0].replace('|', "/");
            out.push_str(&line(&row));
        }
        if let Some(more) = more_sensors(window.sensors.len(), language) {
            out.push_str(&format!("\n{more}\n"));
        }
        out.push('\n');
    }
    anomalies(report, zone).iter().for_each(|line| out.push_str(&format!("- {line}\n")));
    let notes = remarks(report);
    if !notes.is_empty() {
        out.push_str(&format!("\n{}: {}.\n", language.text("Not used or not whole"), notes.join("; ")));
    }
    out
}

/// The same as HTML.
pub(super) fn html_details(report: &Report, zone: &TimeZone) -> String {
    let (window, language) = (&report.summary.window, report.summary.table.language());
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
        let figures = escaped(language.text("Figures"));
        out.push_str(&format!("<details open><summary>{figures}</summary><div class=\"wide\"><table>\n"));
        out.push_str(&cells("th", head.into_iter().map(str::to_owned).collect()));
        rows.into_iter().for_each(|row| out.push_str(&cells("td", row)));
        out.push_str("</table></div></details>\n");
        if let Some(more) = more_sensors(window.sensors.len(), language) {
            out.push_str(&format!("<p>{}</p>\n", escaped(&more)));
        }
    }
    let notes = remarks(report);
    if !notes.is_empty() {
        let what = language.text("Not used or not whole");
        out.push_str(&format!("<p class=\"notes\">{}: {}.</p>\n", escaped(what), escaped(&notes.join("; "))));
    }
    out
}

/// How many sensors the table leaves out.
pub(super) fn more_sensors(all: usize, language: Language) -> Option<String> {
    let more = all.checked_sub(MAX_ROWS).filter(|n| *n > 0)?;
    Some(language.say("and {n} more sensors.", &[("n", &more.to_string())]))
}

fn described(anomaly: &Anomaly, unit: &str, zone: &TimeZone, language: Language) -> String {
    let at = |m: Moment| language.short_time(&m.timestamp().to_zoned(zone.clone()));
    let number = |v: f64| language.quantity(Figure::exact(v, decimals_for(v)), unit);
    match *anomaly {
        Anomaly::Spike { value, at: when, .. } => {
            language.say("spike to {value} at {at}", &[("value", &number(value)), ("at", &at(when))])
        }
        Anomaly::Drift { by, from, .. } => {
            let text = if by > 0.0 { "drift up by {value} from {at}" } else { "drift down by {value} from {at}" };
            language.say(text, &[("value", &number(by.abs())), ("at", &at(from))])
        }
        Anomaly::Stuck { value, span } => {
            let slots = [number(value), at(span.from), at(span.to)];
            let [value, from, to] = slots.each_ref().map(String::as_str);
            language.say("stuck at {value} from {from} to {to}", &[("value", value), ("from", from), ("to", to)])
        }
        Anomaly::Gap { span } => {
            language.say("no readings from {from} to {to}", &[("from", &at(span.from)), ("to", &at(span.to))])
        }
        Anomaly::Above { limit, extreme, span } | Anomaly::Below { limit, extreme, span } => {
            let text = match anomaly {
                Anomaly::Above { .. } => "above {limit} from {from} to {to}, up to {value}",
                _ => "below {limit} from {from} to {to}, down to {value}",
            };
            let slots = [number(limit), at(span.from), at(span.to), number(extreme)];
            let [limit, from, to, value] = slots.each_ref().map(String::as_str);
            language.say(text, &[("limit", limit), ("from", from), ("to", to), ("value", value)])
        }
    }
}

/// A report as Markdown.
pub fn markdown(report: &Report, zone: &TimeZone) -> String {
    let texts: Vec<&str> = report.composed.sentences.iter().map(|s| s.text.as_str()).collect();
    format!("{}{}{}", heading(report.summary.table.heading()), texts.join(" "), details(report, zone))
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

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
