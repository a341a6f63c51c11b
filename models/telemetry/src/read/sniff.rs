//! What a text is, by its first lines.

use serde_json::Value;

use super::{Format, influx, logs, prometheus, rrd};

/// What a text is, by its first lines; `None` where there are too few yet.
pub(super) fn sniff(head: &[u8], pause: bool) -> Option<Format> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n', '\u{1e}']);
    if text.is_empty() {
        return None;
    }
    let has_line = text.contains(['\n', '\r']);
    if !has_line && !pause && head.len() < 64 << 10 {
        return None;
    }
    let lines = || text.split(['\n', '\r']).map(str::trim).filter(|l| !l.is_empty());
    let first = lines().next().unwrap_or("");
    let is_log = |l: &str| logs::read(&logs::plain(l)).is_some();
    if lines().take(8).filter(|l| is_log(l)).count() * 2 > lines().take(8).count() {
        return Some(Format::Log);
    }
    if first.starts_with('{') || first.starts_with('[') {
        let is_whole = has_line && serde_json::from_str::<Value>(first).is_ok();
        let is_lone = pause && serde_json::from_str::<Value>(first).is_ok();
        // A lone array may be long: its elements are read one by one.
        return Some(if is_whole || is_lone {
            Format::JsonLines
        } else if first.starts_with('{')
            && lines().nth(1).is_some_and(|l| serde_json::from_str::<Value>(l).is_ok_and(|v| v.is_object()))
        {
            // The first line is broken, those behind it are not.
            Format::JsonLines
        } else {
            Format::Json
        });
    }
    let data = || lines().filter(|l| !l.starts_with('#')).take(5);
    if lines().take(3).any(|l| l.starts_with("# TYPE ") || l.starts_with("# HELP "))
        || (data().next().is_some() && data().all(|l| l.contains('{') && prometheus::is_line(l)))
    {
        return Some(Format::Metrics);
    }
    let is_influx = |l: &str| influx::read(l).is_some();
    if data().next().is_some() && data().all(is_influx) {
        return Some(Format::Influx);
    }
    // "-- topic payload" with slashes in the topic; a colon in it stands before a number, as in `status/switch:0`.
    let is_channel = |topic: &str| {
        topic.split(':').skip(1).all(|behind| behind.starts_with(|c: char| c.is_ascii_digit()))
            && topic
                .split(':')
                .rev()
                .skip(1)
                .all(|before| before.ends_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
    };
    let is_message = |l: &str| {
        let mut words = l.split(' ');
        let first = words.next().unwrap_or("");
        let topic = if first.contains('/') || first.len() < 9 { first } else { words.next().unwrap_or("") };
        topic.contains('/')
            && !topic.contains([',', ';', '"', '\t'])
            && is_channel(topic)
            && topic.chars().any(char::is_alphabetic)
            && words.next().is_some()
    };
    if data().next().is_some() && data().all(is_message) {
        return Some(Format::Messages);
    }
    if lines().take(8).any(rrd::is_line) {
        return Some(Format::Rrd);
    }
    Some(Format::Table)
}
