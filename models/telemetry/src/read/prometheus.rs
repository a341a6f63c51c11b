//! Metrics in Prometheus' text format, with the times that they bring.

use super::Found;
use crate::kind::Kind;

/// A metric's key, its name for people, and its unit by the suffix that Prometheus' naming rules give it.
pub(super) fn names<'a>(
    metric: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) -> (String, String, &'static str) {
    let mut key = metric.to_owned();
    let mut name = String::new();
    for (label, value) in labels {
        key.push_str(&format!(",{label}={value}"));
        if !matches!(label, "job" | "instance" | "exported_job") {
            name.push_str(value);
            name.push(' ');
        }
    }
    let bare = metric.strip_suffix("_total").unwrap_or(metric);
    let (bare, unit) = [
        ("_celsius", "°C"),
        ("_percent", "%"),
        ("_volts", "V"),
        ("_amperes", "A"),
        ("_watts", "W"),
        ("_joules", "J"),
        ("_seconds", "s"),
        ("_bytes", "B"),
        ("_meters", "m"),
        ("_pascals", "Pa"),
        ("_hertz", "Hz"),
        ("_lux", "lx"),
    ]
    .iter()
    .find_map(|(suffix, unit)| Some((bare.strip_suffix(suffix)?, *unit)))
    .unwrap_or((bare, ""));
    name.push_str(&bare.replace(['_', ':'], " "));
    (key, name, unit)
}

/// A line of metrics: the reading without its time, and the time in milliseconds.
pub(super) struct Line {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) kind: Option<Kind>,
    pub(super) value: f64,
    pub(super) millis: Option<f64>,
}

/// Whether a line looks like one of metrics.
pub(super) fn is_line(text: &str) -> bool {
    text.starts_with("# HELP ") || text.starts_with("# TYPE ") || (text.contains('{') && read(text).is_some())
}

/// Reads `metric{label="value"} 21.5 1395066363000`.
pub(super) fn read(text: &str) -> Option<Line> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')))?;
    let (metric, mut rest) = text.split_at(end);
    if metric.is_empty() || metric.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        let mut inside = inner.trim_start();
        loop {
            if let Some(after) = inside.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, value) = inside.split_once('=')?;
            let quoted = value.trim_start().strip_prefix('"')?;
            let mut text = String::new();
            let mut characters = quoted.char_indices();
            let close = loop {
                match characters.next()? {
                    (_, '\\') => text.push(match characters.next()?.1 {
                        'n' => ' ',
                        c => c,
                    }),
                    (at, '"') => break at,
                    (_, c) => text.push(c),
                }
            };
            labels.push((label.trim().to_owned(), text));
            if labels.len() > 64 {
                return None;
            }
            inside = quoted[close + 1..].trim_start();
            inside = inside.strip_prefix(',').unwrap_or(inside).trim_start();
        }
    }
    let mut parts = rest.split_whitespace();
    let value = parts.next()?.parse().ok()?;
    let millis = parts.next().map(str::parse).transpose().ok()?;
    if parts.next().is_some_and(|p| p != "#") {
        return None;
    }
    let (key, name, unit) = names(metric, labels.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let kind = metric.ends_with("_total").then_some(Kind::TotalIncreasing);
    Some(Line { key, name, unit, kind, value, millis })
}

impl Line {
    /// As a reading at a time.
    pub(super) fn found(&self, at: crate::Moment) -> Found<'_> {
        Found { name: &self.name, unit: self.unit, kind: self.kind, ..Found::number(&self.key, at, self.value) }
    }
}
