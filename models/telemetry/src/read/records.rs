//! Lines that are a record of their own: InfluxDB's line protocol, Prometheus' metrics, MQTT messages with their topics.

use serde_json::Value;

use super::header::names_device;
use super::logs::{self, LogLine};
use super::{Cause, Emit, Found, Reader, influx, json, mqtt, parse_time, prometheus, time};
use crate::{LARGEST_VALUE, Moment, NO_TIME};

/// Words that tell the device of one line.
const MAX_LABELS: usize = 4;

impl Reader {
    /// Counts a record; answers its time where it has one that can be used.
    fn moment(&mut self, number: u64, at: Option<Moment>) -> Option<Moment> {
        self.records += 1;
        let Some(at) = at.or(self.untimed.then_some(NO_TIME)) else {
            self.rejected.without_time += 1;
            self.without_time = true;
            self.rejected.at_line(number);
            return None;
        };
        self.timed += 1;
        if !at.is_plausible() && at != NO_TIME {
            self.rejected.implausible_time += 1;
            self.rejected.at_line(number);
            return None;
        }
        Some(at)
    }

    pub(super) fn influx(&mut self, number: u64, text: &str, emit: &mut Emit<'_>) {
        if text.starts_with('#') {
            return;
        }
        let Some(line) = influx::read(text) else {
            self.rejected.malformed += 1;
            self.rejected.at_line(number);
            return;
        };
        let at = line.time.and_then(time::epoch);
        let Some(at) = self.moment(number, at) else { return };
        let unit = line.unit();
        for (field, value) in &line.fields {
            let key = line.key(field);
            let found = Found { unit, ..Found::number(&key, at, 0.0) };
            let value = match *value {
                "t" | "T" | "true" | "True" | "TRUE" => Value::Bool(true),
                "f" | "F" | "false" | "False" | "FALSE" => Value::Bool(false),
                text => match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
                    Some(inner) => Value::String(inner.to_owned()),
                    None => serde_json::json!(text.trim_end_matches(['i', 'u']).parse::<f64>().unwrap_or(f64::NAN)),
                },
            };
            match json::leaf(&value, field == "state") {
                json::Leaf::Text => {}
                leaf => json::put(number, leaf, &value, found, &mut self.rejected, emit),
            }
        }
    }

    pub(super) fn metrics(&mut self, number: u64, text: &str, emit: &mut Emit<'_>) {
        if text.starts_with('#') {
            return;
        }
        let Some(line) = prometheus::read(text) else {
            self.rejected.malformed += 1;
            self.rejected.at_line(number);
            return;
        };
        let at = line.millis.and_then(|ms| time::epoch(if ms > 1e11 { ms } else { ms * 1000.0 }));
        let Some(at) = self.moment(number, at) else { return };
        let cause = match line.value {
            v if !v.is_finite() => Some(Cause::NotFinite),
            v if v.abs() > LARGEST_VALUE => Some(Cause::OutOfRange),
            _ => None,
        };
        match cause {
            Some(cause) => self.rejected.cell(cause, &line.key, number, &line.value.to_string()),
            None => emit(line.found(at)),
        }
    }

    pub(super) fn message(&mut self, number: u64, text: &str, emit: &mut Emit<'_>) {
        let (time, rest) = match text.split_once(' ') {
            // With -F "%U %t %p" or "%I %t %p" the time stands in front.
            Some((first, rest)) if rest.contains(' ') => (parse_time(first, "", &self.zone), rest),
            _ => (None, text),
        };
        let line = if time.is_some() { rest } else { text };
        let Some((topic, payload)) = mqtt::split(line) else {
            self.rejected.malformed += 1;
            self.rejected.at_line(number);
            return;
        };
        let mut readings = 0;
        let (mut timed, untimed) = (0, self.untimed);
        let faults = self.rejected.faults();
        mqtt::message(topic, payload, "", &self.zone, &mut self.rejected, &mut |found, stamp| {
            readings += 1;
            let at = match stamp {
                crate::clock::Stamp::At(at) => Some(at),
                _ => time.or(untimed.then_some(NO_TIME)),
            };
            if let Some(at) = at {
                timed += 1;
                emit(Found { at, ..found });
            }
        });
        self.records += 1;
        self.timed += u64::from(timed > 0);
        if readings > timed {
            self.rejected.without_time += readings - timed;
            self.without_time = true;
        }
        if self.rejected.faults() > faults {
            self.rejected.at_line(number);
        }
    }

    pub(super) fn log_line(&mut self, number: u64, text: &str, emit: &mut Emit<'_>) {
        match logs::read(&logs::plain(text)) {
            Some(LogLine::State(stamp, name, value)) => {
                let at = parse_time(stamp, "", &self.zone);
                let Some(at) = self.moment(number, at) else { return };
                let value = Value::String(value.to_owned());
                json::put(
                    number,
                    json::leaf(&value, true),
                    &value,
                    Found::number(name, at, 0.0),
                    &mut self.rejected,
                    emit,
                );
            }
            Some(LogLine::Pairs(stamp, pairs)) => {
                let at = parse_time(stamp, "", &self.zone);
                let Some(at) = self.moment(number, at) else { return };
                // `device=a temp=20`: the words that tell whose the line is lead the names of its readings.
                let (labels, pairs): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| names_device(name));
                let device = labels.iter().take(MAX_LABELS).map(|(_, word)| *word).collect::<Vec<_>>().join(" ");
                for (name, value) in pairs {
                    let name = format!("{device} {name}");
                    let name = name.trim_start();
                    let value = Value::String(value.to_owned());
                    match json::leaf(&value, true) {
                        // What is told in words beside the readings.
                        json::Leaf::Text => {}
                        leaf => json::put(number, leaf, &value, Found::number(name, at, 0.0), &mut self.rejected, emit),
                    }
                }
            }
            Some(LogLine::Message(topic, payload)) => self.message(number, &format!("{topic} {payload}"), emit),
            Some(LogLine::Other) => {}
            None => {
                self.rejected.malformed += 1;
                self.rejected.at_line(number);
            }
        }
    }

    pub(super) fn rrd_line(&mut self, number: u64, text: &str, emit: &mut Emit<'_>) {
        let Reader { rrd, rejected, records, timed, .. } = self;
        let is_one = rrd.line(text, &mut |key, value, at| {
            (*records, *timed) = (*records + 1, *timed + 1);
            if value.ends_with("nan") || value.ends_with("NaN") {
                rejected.empty += 1;
                return;
            }
            let value = Value::String(value.to_owned());
            json::put(number, json::leaf(&value, false), &value, Found::number(key, at, 0.0), rejected, emit);
        });
        if !is_one {
            rejected.malformed += 1;
            rejected.at_line(number);
        }
    }
}
