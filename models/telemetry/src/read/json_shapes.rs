//! Readings in JSON that do not stand in a record each with its time: rows and columns in arrays, times as keys, and records within
//! objects that tell whose they are.

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::header::{self, joined};
use super::json::{Json, leaf, put};
use super::json_keys::origin;
use super::{Emit, Found, Rejected, json_times};
use crate::{Moment, unit};

/// JSON deeper than this is not searched.
const MAX_DEPTH: usize = 16;
/// Values that are looked at to find a time.
const MAX_LOOK: usize = 10_000;
/// Columns of a row.
const MAX_COLUMNS: usize = 1024;

/// What the objects around a record say of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Around {
    /// Whose it is.
    pub(super) device: String,
    /// What a value without a name is.
    pub(super) name: String,
    /// Its unit.
    pub(super) unit: String,
    /// The units of the columns within.
    units: Arc<Map<String, Value>>,
    /// The zone of the times.
    pub(super) zone: Option<TimeZone>,
    /// Titles of the keys within, as `field1` of a channel.
    pub(super) titles: Arc<Map<String, Value>>,
    pub(super) depth: usize,
}

impl Around {
    /// With the device before a name.
    pub(super) fn of(&self, name: &str) -> String {
        format!("{} {name}", self.device).trim().to_owned()
    }

    fn within(&mut self, word: &str) {
        if !word.is_empty() && !self.device.split(' ').any(|w| w == word) && self.device.len() + word.len() < 512 {
            self.device = self.of(word);
        }
    }
}

/// Names of what only holds readings.
fn is_container(key: &str) -> bool {
    matches!(
        joined(key).as_str(),
        "data"
            | "values"
            | "value"
            | "readings"
            | "results"
            | "result"
            | "items"
            | "feeds"
            | "samples"
            | "records"
            | "list"
            | "rows"
            | "body"
            | "response"
            | "payload"
            | "series"
            | "history"
            | "measurements"
            | "hits"
            | "features"
            | "properties"
            | "source"
            | "hourly"
            | "minutely15"
            | "points"
            | "datapoints"
            | "observations"
            | "sensors"
            | "devices"
            | "entries"
            | "telemetry"
            | "message"
    )
}

/// MongoDB's extended JSON as plain JSON, where there is any: `{"$date": ...}`, `{"$numberDouble": "20.1"}`.
pub(super) fn plain(value: &Value) -> Option<Value> {
    fn has(value: &Value, depth: usize) -> bool {
        match value {
            Value::Object(object) if depth < MAX_DEPTH => {
                object.iter().any(|(key, inner)| key == "$date" || key.starts_with("$number") || has(inner, depth + 1))
            }
            Value::Array(elements) if depth < MAX_DEPTH => elements.iter().any(|e| has(e, depth + 1)),
            _ => false,
        }
    }
    fn turned(value: &Value) -> Value {
        match value {
            Value::Object(object) if object.len() == 1 => {
                let (key, inner) = object.iter().next().expect("there is one");
                match (key.as_str(), inner) {
                    ("$date", inner) => turned(inner),
                    (key, Value::String(text)) if key.starts_with("$number") => {
                        text.parse::<f64>().map_or(Value::Null, |n| serde_json::json!(n))
                    }
                    _ => Value::Object([(key.clone(), turned(inner))].into_iter().collect()),
                }
            }
            Value::Object(object) => Value::Object(object.iter().map(|(k, v)| (k.clone(), turned(v))).collect()),
            Value::Array(elements) => Value::Array(elements.iter().map(turned).collect()),
            other => other.clone(),
        }
    }
    has(value, 0).then(|| turned(value))
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// Rows of an object that tells their columns beside them: `{"columns": ["time", "temp"], "data": [[...]]}`.
fn table(object: &Map<String, Value>) -> Option<(Vec<String>, &Vec<Value>)> {
    let names = ["columns", "fields", "headers", "header"].iter().find_map(|key| object.get(*key)?.as_array())?;
    let rows = ["data", "rows", "values"].iter().find_map(|key| object.get(*key)?.as_array())?;
    let name = |value: &Value| value.as_str().or_else(|| value.get("name")?.as_str()).map(str::to_owned);
    let names: Vec<String> = names.iter().take(MAX_COLUMNS).map(name).collect::<Option<_>>()?;
    (!names.is_empty() && rows.iter().all(Value::is_array)).then_some((names, rows))
}

/// The key of the times, and how many there are, of an object that holds an array for each column.
fn columns(object: &Map<String, Value>) -> Option<(&str, usize)> {
    let is_time =
        |key: &str| header::names_time(key) || matches!(joined(key).as_str(), "timestamps" | "times" | "timestampsutc");
    let (key, times) = object.iter().find(|(key, value)| is_time(key) && value.is_array())?;
    let n = times.as_array()?.len();
    let others =
        object.values().filter_map(Value::as_array).filter(|a| a.len() == n && a.iter().all(is_scalar)).count();
    (n > 0 && others > 1).then_some((key, n))
}

impl Json {
    /// The time of a value under a name, in the zone that this or an object around it tells.
    fn time_within(&self, value: &Value, name: &str, around: &Around) -> Option<Moment> {
        let zone = json_times::zone_of_key(name, &self.zone).or_else(|| around.zone.clone());
        let at = zone.and_then(|zone| self.dates.time(value, &self.options.time_format, &zone));
        at.or_else(|| self.time(value)).filter(|at| at.is_plausible())
    }

    /// A key that is a time.
    fn stamp(&self, key: &str) -> Option<Moment> {
        let is_one = key.len() >= 9 && key.starts_with(|c: char| c.is_ascii_digit());
        is_one.then(|| self.time(&Value::String(key.to_owned()))).flatten().filter(|at| at.is_plausible())
    }

    /// Whether a value holds readings with a time.
    fn holds_time(&self, value: &Value, depth: usize, budget: &mut usize) -> bool {
        if depth >= MAX_DEPTH || *budget == 0 {
            return false;
        }
        *budget -= 1;
        match value {
            Value::Object(object) => {
                self.time_key(object, None).is_some_and(|(_, at)| at.is_some())
                    || columns(object).is_some()
                    || (!object.is_empty() && object.keys().take(3).all(|key| self.stamp(key).is_some()))
                    || object.values().any(|inner| !is_scalar(inner) && self.holds_time(inner, depth + 1, budget))
            }
            Value::Array(elements) => match elements.first() {
                Some(first) if is_scalar(first) => self.time_of_row(elements).is_some(),
                _ => elements.iter().take(4).any(|e| self.holds_time(e, depth + 1, budget)),
            },
            _ => false,
        }
    }

    /// Where the time of a row of values stands: in front, or behind a lone value.
    fn time_of_row(&self, row: &[Value]) -> Option<usize> {
        let is_time = |at: usize| row.get(at).and_then(|v| self.time(v)).is_some_and(Moment::is_plausible);
        (row.len() > 1 && is_time(0)).then_some(0).or_else(|| (row.len() == 2 && is_time(1)).then_some(1))
    }

    /// A row of values, `[1773014400000, 20.1]`. `names` are those of its columns.
    pub(super) fn values_of_row(
        &mut self,
        line: u64,
        row: &[Value],
        names: &[String],
        around: &Around,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        let named = names.iter().position(|name| header::names_time(name));
        let place = named.or_else(|| self.time_of_row(row));
        let name = named.map_or("", |place| names[place].as_str());
        let at = place.and_then(|p| row.get(p)).and_then(|t| self.time_within(t, name, around));
        let Some(at) = self.moment(line, at, rejected) else { return };
        let mut n = 0;
        for (c, value) in row.iter().enumerate().filter(|(c, _)| Some(*c) != place).take(MAX_COLUMNS) {
            n += 1;
            let column = names.get(c).map(|name| header::column(name));
            let (key, unit) = match &column {
                Some(column) => (around.of(&column.key), column.unit.as_str()),
                None if row.len() == 2 && (!around.name.is_empty() || !around.device.is_empty()) => {
                    (around.of(&around.name), around.unit.as_str())
                }
                None if row.len() == 2 => (self.lone_name.clone(), around.unit.as_str()),
                None => (around.of(&format!("column {n}")), ""),
            };
            put(
                line,
                leaf(value, names.len() > c),
                value,
                Found { unit: unit::tidy(unit), ..Found::number(&key, at, 0.0) },
                rejected,
                emit,
            );
        }
    }

    /// Readings of an object without a time of its own. `false`: there are none.
    pub(super) fn inside(
        &mut self,
        line: u64,
        object: &Map<String, Value>,
        around: &Around,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) -> bool {
        if around.depth >= MAX_DEPTH {
            return false;
        }
        let mut within = around.clone();
        within.depth += 1;
        within.zone = json_times::zone(object).or(within.zone);
        if let Some(target) = object.get("target").and_then(Value::as_str)
            && let Some(points) = object.get("datapoints").and_then(Value::as_array)
        {
            // Grafana: the value stands in front.
            within.within(target);
            for point in points.iter().filter_map(Value::as_array) {
                self.values += 1;
                let turned: Vec<Value> = point.iter().rev().cloned().collect();
                self.values_of_row(line, &turned, &[], &within, rejected, emit);
            }
            return true;
        }
        if let Some((names, rows)) = table(object) {
            let index = object.get("index").and_then(Value::as_array).filter(|i| i.len() == rows.len());
            let has_time = names.iter().any(|name| header::names_time(name));
            for (i, row) in rows.iter().enumerate() {
                let mut cells = row.as_array().cloned().unwrap_or_default();
                let mut names = names.clone();
                if let Some(index) = index.filter(|_| !has_time) {
                    cells.insert(0, index[i].clone());
                    names.insert(0, "time".to_owned());
                }
                self.values += 1;
                self.values_of_row(line, &cells, &names, &within, rejected, emit);
            }
            return true;
        }
        if let Some((time, n)) = columns(object) {
            self.columns(line, object, time, n, &within, rejected, emit);
            return true;
        }
        if !object.is_empty() && object.keys().all(|key| self.stamp(key).is_some()) {
            for (key, value) in object {
                self.values += 1;
                let mut row = vec![Value::String(key.clone())];
                match value {
                    Value::Object(inner) => {
                        let mut record = inner.clone();
                        record.insert("time".to_owned(), Value::String(key.clone()));
                        self.read(line, &Value::Object(record), &within, rejected, emit);
                        continue;
                    }
                    Value::Array(cells) => row.extend(cells.iter().cloned()),
                    scalar => row.push(scalar.clone()),
                }
                self.values_of_row(line, &row, &[], &within, rejected, emit);
            }
            return true;
        }
        self.children(line, object, within, rejected, emit)
    }

    /// What stands in the objects and arrays of an object, which tells whose it is.
    fn children(
        &mut self,
        line: u64,
        object: &Map<String, Value>,
        mut within: Around,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) -> bool {
        let mut children: Vec<(&String, &Value)> = object.iter().filter(|(_, v)| !is_scalar(v)).collect();
        children.retain(|(_, v)| self.holds_time(v, within.depth, &mut { MAX_LOOK }));
        if children.is_empty() {
            return false;
        }
        let text = |keys: &[&str]| keys.iter().find_map(|key| object.get(*key)?.as_str());
        if let Some(channel) = object.get("channel").and_then(Value::as_object).filter(|_| object.contains_key("feeds"))
        {
            // ThingSpeak: the channel tells what its fields are called.
            let fields = channel.iter().filter(|(key, _)| key.starts_with("field"));
            within.titles = Arc::new(fields.map(|(k, v)| (k.clone(), v.clone())).collect());
            children.retain(|(key, _)| *key == "feeds");
        }
        // An id of each record is none of a device.
        let is_series = children.iter().any(|(_, v)| v.is_array());
        let names_it = |found: &String| is_series || object.get("id").and_then(Value::as_str) != Some(found.as_str());
        origin(object).filter(names_it).into_iter().for_each(|device| within.within(&device));
        if let Some(unit) = text(header::UNIT_NAMES) {
            unit::tidy(unit).clone_into(&mut within.unit);
        }
        let many = children.len() > 1;
        for (key, child) in children {
            let mut within = within.clone();
            if !is_container(key) {
                if many {
                    within.within(key);
                } else {
                    key.clone_into(&mut within.name);
                }
            }
            if let Some(Value::Object(units)) = object.get(&format!("{key}_units")) {
                within.units = Arc::new(units.clone());
            }
            self.read(line, child, &within, rejected, emit);
        }
        true
    }

    /// An array for each column.
    #[expect(clippy::too_many_arguments, reason = "where it stands, what it is, and where its readings go")]
    fn columns(
        &mut self,
        line: u64,
        object: &Map<String, Value>,
        time: &str,
        n: usize,
        around: &Around,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        let columns: Vec<(String, String, &Vec<Value>)> = object
            .iter()
            .filter(|(key, _)| *key != time)
            .filter_map(|(key, value)| Some((key, value.as_array().filter(|a| a.len() == n)?)))
            .take(MAX_COLUMNS)
            .map(|(key, values)| {
                let column = header::column(key);
                let unit =
                    around.units.get(key).and_then(Value::as_str).map_or(column.unit, |u| unit::tidy(u).to_owned());
                (around.of(&column.key), unit, values)
            })
            .collect();
        for i in 0..n {
            self.values += 1;
            let at = self.time_within(&object[time][i], time, around);
            let Some(at) = self.moment(line, at, rejected) else { continue };
            for (key, unit, values) in &columns {
                put(
                    line,
                    leaf(&values[i], false),
                    &values[i],
                    Found { unit, ..Found::number(key, at, 0.0) },
                    rejected,
                    emit,
                );
            }
        }
    }
}
