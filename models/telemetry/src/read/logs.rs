//! Logs in which devices and programs print what they measure: ESPHome's, the console of Tasmota, and lines of `name=value` behind a time.

use serde_json::Value;

use super::header::names_time;
use super::time;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum LogLine<'a> {
    /// ESPHome: the time as it stands, the name, and the value with its unit.
    State(&'a str, &'a str, &'a str),
    /// Tasmota: a topic and its payload.
    Message(&'a str, &'a str),
    /// A time, and names with their values.
    Pairs(&'a str, Vec<(&'a str, &'a str)>),
    /// A line of the log that tells no value.
    Other,
}

/// The line without the escapes that colour it on a terminal.
pub(super) fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        let end = escape.find(|c: char| c.is_ascii_alphabetic()).map_or(escape.len(), |at| at + 1);
        rest = &escape[end..];
    }
    out.push_str(rest);
    out.into()
}

/// Reads a line; `None` where it is none of such a log.
pub(super) fn read(text: &str) -> Option<LogLine<'_>> {
    esphome(text).or_else(|| tasmota(text)).or_else(|| pairs(text))
}

/// Names under which a program tells of itself.
const TEXTS: [&str; 9] = ["level", "lvl", "severity", "msg", "message", "logger", "caller", "component", "source"];
/// Pairs of one line at most.
const MAX_PAIRS: usize = 256;

/// `2026-03-09T00:00:00Z INFO temp=20.0 door=open`, `time=2026-03-09T00:00:00Z level=info temp=20.0`.
fn pairs(text: &str) -> Option<LogLine<'_>> {
    let text = text.trim();
    let is_key = |key: &str| {
        key.starts_with(char::is_alphabetic) && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
    };
    let pair = |word: &'_ str| word.split_once('=').filter(|(key, value)| is_key(key) && !value.is_empty()).is_some();
    let mut found: Vec<(&str, &str)> = text
        .split_whitespace()
        .filter(|word| pair(word))
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| (key, value.trim_end_matches([',', ';']).trim_matches('"')))
        .take(MAX_PAIRS)
        .collect();
    found.retain(|(key, _)| !TEXTS.contains(key));
    if found.is_empty() {
        return None;
    }
    let is_time = |text: &str| time::civil(text, None).is_some_and(|civil| civil.has_time && !civil.is_open);
    if let Some(at) = found.iter().position(|(key, value)| names_time(key) && is_time(value)) {
        let (_, time) = found.remove(at);
        return Some(LogLine::Pairs(time, found));
    }
    // The time stands in the first word, or in the first two.
    let first = text.split_whitespace().next()?;
    let behind = text[first.len()..].trim_start();
    let second = behind.split_whitespace().next().unwrap_or("");
    let two = text.get(..text.len() - behind.len() + second.len());
    let time = two.into_iter().chain([first]).map(|t| t.trim_matches(['[', ']'])).find(|t| is_time(t))?;
    Some(LogLine::Pairs(time, found))
}

/// `[2026-03-10 12:00:01][D][sensor:094]: 'Hall': Sending state 21.30000 °C with 1 decimals of accuracy`.
fn esphome(text: &str) -> Option<LogLine<'_>> {
    let (time, rest) = text.trim().strip_prefix('[')?.split_once(']')?;
    if !time.contains(':') || !time.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let (level, rest) = rest.strip_prefix('[')?.split_once(']')?;
    let (_, rest) = rest.strip_prefix('[')?.split_once(']')?;
    let is_level = matches!(level, "E" | "W" | "I" | "C" | "D" | "V" | "VV");
    let message = rest.strip_prefix(':').filter(|_| is_level)?.trim();
    let told = message.strip_prefix('\'').and_then(|m| {
        let (name, told) = m.split_once("': ").or_else(|| m.split_once("' >> ")).or_else(|| m.split_once("' "))?;
        let told = told.trim_start_matches(">> ");
        let value = match told.strip_prefix("Sending state ").or_else(|| told.strip_prefix("New state ")) {
            Some(value) => value,
            None if message.contains("' >> ") => told,
            None => return None,
        };
        let value = value.split(" with ").next().unwrap_or(value).trim().trim_matches('\'');
        (!name.is_empty() && !value.is_empty()).then_some(LogLine::State(time, name, value))
    });
    Some(told.unwrap_or(LogLine::Other))
}

/// `12:00:01.123 MQT: tele/plug/SENSOR = {"Time":"2026-03-10T12:00:01",...}`.
fn tasmota(text: &str) -> Option<LogLine<'_>> {
    let (time, rest) = text.trim().split_once(' ')?;
    let is_clock =
        time.len() >= 8 && time.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-' | b'T'));
    let (source, message) = rest.split_once(": ").filter(|_| is_clock && time.matches(':').count() == 2)?;
    let is_source = source.len() == 3 && source.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if !is_source {
        return None;
    }
    let told = message.split_once(" = ").filter(|(topic, payload)| {
        source == "MQT" && topic.contains('/') && !topic.contains(' ') && serde_json::from_str::<Value>(payload).is_ok()
    });
    Some(told.map_or(LogLine::Other, |(topic, payload)| LogLine::Message(topic, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_logs_are_told_from_each_other() {
        let state = |text| match read(text) {
            Some(LogLine::State(time, name, value)) => format!("{time}|{name}|{value}"),
            other => format!("{other:?}"),
        };
        for (text, told) in [
            (
                "[12:00:01][D][sensor:094]: 'Hall': Sending state 21.30000 °C with 1 decimals of accuracy",
                "12:00:01|Hall|21.30000 °C",
            ),
            (
                "[2026-03-10 12:00:01.5][D][binary_sensor:036]: 'Door': Sending state ON",
                "2026-03-10 12:00:01.5|Door|ON",
            ),
            ("[12:00:01.123][S][sensor]: 'x'", "None"),
            ("[12:00:01][S][sensor:1]: 'x' >> 1", "None"),
            ("[12:00:01][D][sensor:135]: 'Hall' >> 21.3 °C", "12:00:01|Hall|21.3 °C"),
            ("[12:00:01][C][wifi:600]: WiFi:", "Some(Other)"),
            ("[12:00:01][D][text:1]: 'A", "Some(Other)"),
            ("12:00:01.123 MQT: tele/x/STATE = {\"a\":1}", "Some(Message(\"tele/x/STATE\", \"{\\\"a\\\":1}\"))"),
            ("12:00:01.123 WIF: Connected", "Some(Other)"),
            (
                "2026-03-09T00:00:00Z INFO temp=20.0 door=open",
                "Some(Pairs(\"2026-03-09T00:00:00Z\", [(\"temp\", \"20.0\"), (\"door\", \"open\")]))",
            ),
            ("[2026-03-09 00:00:00] hall: t=20.0,", "Some(Pairs(\"2026-03-09 00:00:00\", [(\"t\", \"20.0\")]))"),
            ("time=2026-03-09T00:00:00Z t=20", "Some(Pairs(\"2026-03-09T00:00:00Z\", [(\"t\", \"20\")]))"),
            ("weather,room=hall temp=20.0 1773014400", "None"),
            ("12:00:01,21.5", "None"),
            ("2026-03-10 12:00:01 21.5", "None"),
        ] {
            assert_eq!(state(text), told, "{text}");
        }
        assert_eq!(plain("\u{1b}[0;36m[D]\u{1b}[0m"), "[D]");
        assert_eq!(plain("a\u{1b}"), "a");
    }
}
