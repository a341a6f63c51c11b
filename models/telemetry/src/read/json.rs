//! Readings in JSON: objects of numbers, one reading an object, SenML, ThingsBoard, answers of Prometheus, and what Tasmota,
//! Zigbee2MQTT and Shelly publish.

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::header::{SENSOR_NAMES, TIME_NAMES, UNIT_NAMES, VALUE_NAMES};
use super::json_keys::{self, origin as origin_of};
use super::json_shapes::{self, Around};
use super::number::{self, Cell, Marks};
use super::rejected::Cause;
use super::states;
use super::time;
use super::{Emit, Found, Rejected, TextOptions, json_times};
use crate::kind::Kind;
use crate::{LARGEST_VALUE, Moment, NO_TIME, unit};

/// SenML: smaller numbers are seconds from now on (RFC 8428, 4.5.3).
const SENML_RELATIVE: f64 = 268_435_456.0;

/// What stands at a path such as `sensor.values[0].temperature`; a leading `$.` may stand before it.
pub fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    let mut place = value;
    for part in path.trim_start_matches('$').split(['.', '[']).filter(|p| !p.is_empty()) {
        place = match part.strip_suffix(']') {
            Some(index) => place.get(index.parse::<usize>().ok()?)?,
            None => place.get(part)?,
        };
    }
    Some(place)
}

/// A number in JSON, or in a text within it.
pub fn json_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => match number::read(text, Marks::Unknown) {
            Cell::Number(number, _) => number,
            _ => return None,
        },
        Value::Bool(on) => f64::from(u8::from(*on)),
        _ => return None,
    };
    (number.is_finite() && number.abs() <= LARGEST_VALUE).then_some(number)
}

/// What a value in JSON is.
pub(super) enum Leaf<'a> {
    Empty,
    Number(f64, &'a str),
    State(Kind, f64, [&'static str; 2]),
    /// A state whose word has to be kept, as long as its sensor has few of them.
    Word(String),
    Wrong(Cause),
    /// Text that is no state.
    Text,
}

impl<'a> Leaf<'a> {
    /// Of an entity whose `off` is one state of several, as a thermostat's beside `heat`: no pair of two. `mark` stands behind its domain.
    pub(super) fn of_several(self, entity: &str, mark: char, value: &Value) -> Leaf<'a> {
        const DOMAINS: [&str; 3] = ["climate", "water_heater", "media_player"];
        let is_one = |domain: &&str| entity.strip_prefix(*domain).is_some_and(|rest| rest.starts_with(mark));
        match (self, value.as_str().and_then(states::word)) {
            (Leaf::State(Kind::Binary, ..), Some(word)) if DOMAINS.iter().any(is_one) => {
                states::code(&word).map_or(Leaf::Text, |code| Leaf::State(Kind::States, code, ["", ""]))
            }
            (leaf, _) => leaf,
        }
    }
}

/// Looks at a value. Words are states where `words` says so, or where they belong to a pair as on and off do.
pub(super) fn leaf(value: &Value, words: bool) -> Leaf<'_> {
    let of_number = |number: f64| match number {
        n if !n.is_finite() => Leaf::Wrong(Cause::NotFinite),
        n if n.abs() > LARGEST_VALUE => Leaf::Wrong(Cause::OutOfRange),
        n => Leaf::Number(n, ""),
    };
    match value {
        Value::Null => Leaf::Empty,
        Value::Bool(on) => Leaf::State(Kind::Binary, f64::from(u8::from(*on)), ["off", "on"]),
        Value::Number(number) => of_number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => match number::read(text, if text.contains(',') { Marks::Unknown } else { Marks::Point })
        {
            Cell::Empty => Leaf::Empty,
            Cell::Number(n, unit) if n.is_finite() && n.abs() <= LARGEST_VALUE => Leaf::Number(n, unit),
            Cell::Number(n, _) => of_number(n),
            Cell::Ambiguous => Leaf::Wrong(Cause::Ambiguous),
            Cell::Other => match states::word(text) {
                Some(word) => match states::pair(&word) {
                    Some((pair, is_one)) => Leaf::State(Kind::Binary, f64::from(u8::from(is_one)), pair),
                    None if words => Leaf::Word(word),
                    None => Leaf::Text,
                },
                None => Leaf::Text,
            },
        },
        Value::Array(_) | Value::Object(_) => Leaf::Text,
    }
}

/// Reads JSON values.
#[derive(Debug)]
pub(super) struct Json {
    pub(super) options: TextOptions,
    pub(super) zone: TimeZone,
    /// Times of devices without a clock are handed on.
    pub(super) live: bool,
    /// Readings without a time are handed on too.
    pub(super) untimed: bool,
    /// The order of day and month.
    pub(super) dates: json_times::Dates,
    /// What SenML's records leave out stands in one before.
    base: Base,
    /// What a lone value is called.
    pub(super) lone_name: String,
    /// Values with a time, and all.
    pub(super) times: u64,
    pub(super) values: u64,
}

/// The base of SenML's records.
#[derive(Debug, Default)]
struct Base {
    name: String,
    time: f64,
    unit: String,
    value: f64,
}

impl Json {
    pub(super) fn new(options: &TextOptions, zone: TimeZone, lone_name: &str) -> Json {
        Json {
            options: options.clone(),
            zone,
            live: false,
            untimed: false,
            dates: json_times::Dates::default(),
            base: Base::default(),
            lone_name: lone_name.to_owned(),
            times: 0,
            values: 0,
        }
    }

    /// Reads a document, a line, or an element of an array.
    pub(super) fn value(&mut self, line: u64, value: &Value, rejected: &mut Rejected, emit: &mut Emit<'_>) {
        let plain = json_shapes::plain(value);
        self.read(line, plain.as_ref().unwrap_or(value), &Around::default(), rejected, emit);
    }

    /// Reads a value that stands within others.
    pub(super) fn read(
        &mut self,
        line: u64,
        value: &Value,
        around: &Around,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        self.values += 1;
        match value {
            Value::Object(object) => self.object(line, value, object, around, rejected, emit),
            Value::Array(elements) if elements.iter().any(is_senml) => self.senml(line, elements, rejected, emit),
            Value::Array(elements) if is_history(elements) => {
                for series in elements.iter().filter_map(Value::as_array) {
                    self.history(line, series, rejected, emit);
                }
            }
            Value::Array(elements) if elements.iter().all(Value::is_object) => {
                let types = elements.iter().filter_map(|e| e.get("type")?.as_str());
                let differ = types.clone().any(|t| types.clone().next() != Some(t));
                for element in elements {
                    let mut around = around.clone();
                    if differ && element.as_object().is_some_and(|o| origin_of(o).is_none() && !o.contains_key("value"))
                    {
                        around.device = around.of(element.get("type").and_then(Value::as_str).unwrap_or(""));
                    }
                    self.read(line, element, &around, rejected, emit);
                }
            }
            Value::Array(rows) if rows.iter().all(Value::is_array) => {
                let words = |row: &Value| -> Option<Vec<String>> {
                    row.as_array()?.iter().map(|cell| cell.as_str().map(str::to_owned)).collect()
                };
                let names = rows.first().and_then(words).filter(|n| n.iter().any(|n| super::header::names_time(n)));
                for row in rows.iter().skip(usize::from(names.is_some())).filter_map(Value::as_array) {
                    self.values += 1;
                    self.values_of_row(line, row, names.as_deref().unwrap_or(&[]), around, rejected, emit);
                }
            }
            Value::Array(row) if row.len() > 1 && row.iter().all(|v| !v.is_array() && !v.is_object()) => {
                self.values_of_row(line, row, &[], around, rejected, emit);
            }
            _ => {
                rejected.malformed += 1;
                rejected.at_line(line);
            }
        }
    }

    pub(super) fn moment(&mut self, line: u64, at: Option<Moment>, rejected: &mut Rejected) -> Option<Moment> {
        let Some(at) = at.or(self.untimed.then_some(NO_TIME)) else {
            rejected.without_time += 1;
            rejected.at_line(line);
            return None;
        };
        self.times += 1;
        if at == NO_TIME {
            return Some(at);
        }
        if !at.is_plausible() && !self.live {
            rejected.implausible_time += 1;
            rejected.at_line(line);
            return None;
        }
        Some(at)
    }

    pub(super) fn time(&self, value: &Value) -> Option<Moment> {
        let small = || {
            let number = value.as_f64()?;
            (self.live && (0.0..1e8).contains(&number)).then_some(Moment((number * 1e6) as i64))
        };
        self.dates.time(value, &self.options.time_format, &self.zone).or_else(small)
    }

    /// The time at a path of an object, in the zone that the object or one around it tells.
    fn time_in(&self, value: &Value, object: &Map<String, Value>, around: &Around) -> Option<Moment> {
        let zone = json_times::zone(object).or_else(|| around.zone.clone());
        let local = zone.and_then(|zone| self.dates.time(value, &self.options.time_format, &zone));
        local.or_else(|| self.time(value))
    }

    /// The key of the time in an object, whatever its case. `around` is the zone that the objects around it tell.
    pub(super) fn time_key<'v>(
        &self,
        object: &'v Map<String, Value>,
        around: Option<&TimeZone>,
    ) -> Option<(&'v str, Option<Moment>)> {
        let find =
            |n: &&str| object.get_key_value(*n).or_else(|| object.iter().find(|(k, _)| k.eq_ignore_ascii_case(n)));
        let own_zone = json_times::zone(object).or_else(|| around.cloned()).unwrap_or_else(|| self.zone.clone());
        let time_of = |key: &str, value: &Value| {
            let zone = json_times::zone_of_key(key, &self.zone).unwrap_or_else(|| own_zone.clone());
            self.dates.time(value, &self.options.time_format, &zone).or_else(|| self.time(value))
        };
        if let Some((text, [date, _])) = json_times::date_and_clock(object) {
            let whole = json_times::whole(object).find_map(|(key, value)| Some((key, time_of(key, value)?)));
            if let Some((key, at)) = whole.filter(|(_, at)| at.is_plausible()) {
                return Some((key, Some(at)));
            }
            if let Some(at) = self.dates.time(&Value::String(text), "", &own_zone) {
                return Some((date, Some(at)));
            }
        }
        let mut unreadable = None;
        for name in TIME_NAMES.iter().chain(&["tst", "dt", "epoch", "unixtime"]) {
            if let Some((key, value)) = find(name) {
                match time_of(key, value) {
                    Some(at) => return Some((key, Some(at))),
                    None => unreadable = unreadable.or(Some(key.as_str())),
                }
            }
        }
        for keys in json_keys::time_keys(object) {
            let mut readable = keys.iter().filter_map(|key| Some((*key, time_of(key, &object[*key])?)));
            match (readable.next(), readable.next()) {
                (Some((key, at)), other) if other.is_none_or(|(_, other)| other == at) => return Some((key, Some(at))),
                // Two times under such names: nobody knows which is meant.
                (Some((key, _)), _) => return Some((unreadable.unwrap_or(key), None)),
                _ => {}
            }
        }
        unreadable.map(|key| (key, None))
    }

    fn object(
        &mut self,
        line: u64,
        value: &Value,
        object: &Map<String, Value>,
        around: &Around,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        if self.prometheus(line, object, rejected, emit)
            || self.influxql(line, object, rejected, emit)
            || self.uplink(line, value, rejected, emit)
            || self.things_board(line, object, rejected, emit)
        {
            return;
        }
        if is_senml(value) {
            return self.senml(line, std::slice::from_ref(value), rejected, emit);
        }
        if let (Some(topic), Some(payload)) = (object.get("topic").and_then(Value::as_str), object.get("payload"))
            && object.contains_key("tst")
        {
            return self.mosquitto(line, object, topic, payload, rejected, emit);
        }
        let (key, at) = match self.options.time.as_str() {
            "" => match self.time_key(object, around.zone.as_ref()) {
                Some((key, at)) => (Some(key.to_owned()), at),
                None => (None, None),
            },
            path => (Some(path.to_owned()), lookup(value, path).and_then(|t| self.time_in(t, object, around))),
        };
        if at.is_none() && self.options.time.is_empty() && self.inside(line, object, around, rejected, emit) {
            return;
        }
        if key.is_none()
            && let Some(values) = only_array(object)
        {
            // `{"data": [...]}`: the readings stand one level deeper.
            for element in values {
                self.read(line, element, around, rejected, emit);
            }
            return;
        }
        let Some(at) = self.moment(line, at, rejected) else { return };
        let given = |given: &str, names: &[&str]| -> Option<String> {
            if !given.is_empty() {
                return Some(given.to_owned());
            }
            names.iter().find(|n| value.get(**n).is_some()).map(|n| (*n).to_owned())
        };
        let sensor = given(&self.options.sensor, SENSOR_NAMES).and_then(|k| lookup(value, &k)).and_then(Value::as_str);
        let reading = given(&self.options.value, VALUE_NAMES)
            .and_then(|k| lookup(value, &k))
            .filter(|v| !v.is_object() && !v.is_array());
        let name = match self.options.sensor.as_str() {
            "" => json_keys::name_of_value(object, sensor, &around.device),
            _ => sensor.map(str::to_owned),
        };
        let bare = around.of(&around.name);
        let name = name.or_else(|| (!bare.is_empty() && reading.is_some()).then_some(bare));
        if let (Some(sensor), Some(reading)) = (name.as_deref(), reading) {
            let attributes = value.get("attributes").unwrap_or(&Value::Null);
            let text = |of: &'_ Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
            let unit = UNIT_NAMES
                .iter()
                .find_map(|u| value.get(*u).or_else(|| attributes.get(*u)))
                .and_then(Value::as_str)
                .unwrap_or(&around.unit);
            let unit = unit::of_name(sensor, unit::tidy(unit));
            let kind =
                Kind::of_home_assistant(&text(attributes, "device_class"), &text(attributes, "state_class"), unit);
            let name = text(attributes, "friendly_name");
            let found = Found { name: &name, unit, kind, ..Found::number(sensor, at, 0.0) };
            let leaf = match (leaf(reading, true), states::of_device_class(&text(attributes, "device_class"))) {
                (Leaf::State(Kind::Binary, value, ["off", "on"]), Some(words)) => {
                    Leaf::State(Kind::Binary, value, words)
                }
                (leaf, _) => leaf.of_several(sensor, '.', reading),
            };
            put(line, leaf, reading, found, rejected, emit);
            return;
        }
        let mut origin = around.clone();
        if let Some(own) = origin_of(object).filter(|own| *own != around.device) {
            origin.device = around.of(&own);
        }
        origin.depth += 1;
        let skip = key.as_deref().unwrap_or("");
        self.leaves_of(line, value, skip, at, &origin, rejected, emit);
    }

    /// `{"temperature": [{"ts": 1451649600512, "value": "20.5"}]}`, and `{"ts": ..., "values": {...}}`.
    fn things_board(
        &mut self,
        line: u64,
        object: &Map<String, Value>,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) -> bool {
        if let (Some(ts), Some(Value::Object(values))) = (object.get("ts"), object.get("values")) {
            let at = self.time(ts);
            if let Some(at) = self.moment(line, at, rejected) {
                for (key, value) in values {
                    put(line, leaf(value, true), value, Found::number(key, at, 0.0), rejected, emit);
                }
            }
            return true;
        }
        let is_point = |v: &Value| v.get("ts").is_some() && (v.get("value").is_some() || v.get("values").is_some());
        let is_series = |v: &Value| v.as_array().is_some_and(|a| !a.is_empty() && a.iter().all(is_point));
        if object.is_empty() || !object.values().all(is_series) {
            return false;
        }
        for (key, series) in object {
            for point in series.as_array().into_iter().flatten() {
                let at = self.time(&point["ts"]);
                let Some(at) = self.moment(line, at, rejected) else { continue };
                match point.get("values").and_then(Value::as_object) {
                    Some(values) => {
                        for (name, value) in values {
                            let key = format!("{key} {name}");
                            put(line, leaf(value, true), value, Found::number(&key, at, 0.0), rejected, emit);
                        }
                    }
                    None => {
                        let value = &point["value"];
                        put(line, leaf(value, true), value, Found::number(key, at, 0.0), rejected, emit);
                    }
                }
            }
        }
        true
    }

    /// An answer of Prometheus' API.
    fn prometheus(
        &mut self,
        line: u64,
        object: &Map<String, Value>,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) -> bool {
        let Some(results) = object.get("data").and_then(|d| d.get("result")).and_then(Value::as_array) else {
            return false;
        };
        for result in results {
            let labels: Vec<(&str, &str)> = result["metric"]
                .as_object()
                .map(|m| m.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_str()?))).collect())
                .unwrap_or_default();
            let metric = labels.iter().find(|(k, _)| *k == "__name__").map_or("value", |(_, v)| *v);
            let (key, name, unit) =
                super::prometheus::names(metric, labels.iter().copied().filter(|(k, _)| *k != "__name__"));
            let points = result["values"].as_array().cloned().unwrap_or_default();
            let single = result.get("value").cloned();
            for point in points.iter().chain(&single) {
                let at = self.time(&point[0]);
                let Some(at) = self.moment(line, at, rejected) else { continue };
                let found = Found { name: &name, unit, ..Found::number(&key, at, 0.0) };
                put(line, leaf(&point[1], false), &point[1], found, rejected, emit);
            }
        }
        true
    }

    /// What Home Assistant's API answers for the history of entities: an array of arrays of states.
    fn history(&mut self, line: u64, series: &[Value], rejected: &mut Rejected, emit: &mut Emit<'_>) {
        let first = series.first().cloned().unwrap_or(Value::Null);
        for state in series {
            let mut whole = first.as_object().cloned().unwrap_or_default();
            // A minimal answer names the entity in its first state only.
            whole.retain(|key, _| matches!(key.as_str(), "entity_id" | "attributes"));
            whole.extend(state.as_object().cloned().unwrap_or_default());
            if !whole.contains_key("last_updated") && !whole.contains_key("last_changed") {
                whole.extend(first.get("last_changed").map(|t| ("last_changed".to_owned(), t.clone())));
            }
            self.value(line, &Value::Object(whole), rejected, emit);
        }
    }

    /// A pack of SenML (RFC 8428).
    fn senml(&mut self, line: u64, records: &[Value], rejected: &mut Rejected, emit: &mut Emit<'_>) {
        if records.len() > 1 {
            self.base = Base::default();
        }
        for record in records {
            let text = |key: &str| record.get(key).and_then(Value::as_str);
            let number = |key: &str| record.get(key).and_then(Value::as_f64);
            let base = &mut self.base;
            text("bn").into_iter().for_each(|n| n.clone_into(&mut base.name));
            text("bu").into_iter().for_each(|u| u.clone_into(&mut base.unit));
            base.time = number("bt").unwrap_or(base.time);
            base.value = number("bv").unwrap_or(base.value);
            let (base_value, base_unit) = (base.value, base.unit.clone());
            let seconds = base.time + number("t").unwrap_or(0.0);
            let at = if seconds < SENML_RELATIVE { None } else { time::epoch(seconds) };
            let name = format!("{}{}", base.name, text("n").unwrap_or(""));
            let unit = unit::tidy(text("u").unwrap_or(&base_unit));
            let value = ["v", "vb", "vs"].iter().find_map(|k| record.get(*k));
            let sum = record.get("s");
            if value.is_none() && sum.is_none() {
                continue; // it only sets the base
            }
            let Some(at) = self.moment(line, at, rejected) else { continue };
            let relative = unit == "%RH" || unit == "/";
            let unit = match unit {
                "/" => "%",
                unit => unit,
            };
            let found = Found { unit, ..Found::number(&name, at, 0.0) };
            if let Some(value) = value {
                match leaf(value, true) {
                    Leaf::Number(n, of) => {
                        let n = (n + base_value) * if relative && unit == "%" { 100.0 } else { 1.0 };
                        put(line, Leaf::Number(n, of), value, found, rejected, emit);
                    }
                    other => put(line, other, value, found, rejected, emit),
                }
            } else if let Some(sum) = sum {
                put(line, leaf(sum, false), sum, Found { kind: Some(Kind::TotalIncreasing), ..found }, rejected, emit);
            }
        }
    }

    /// A message as `mosquitto_sub -F %J` prints it.
    fn mosquitto(
        &mut self,
        line: u64,
        object: &Map<String, Value>,
        topic: &str,
        payload: &Value,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        let at = self.time(&object["tst"]);
        let Some(arrived) = self.moment(line, at, rejected) else { return };
        let text = match payload {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        super::mqtt::file_message(topic, &text, arrived, &self.zone, line, rejected, emit);
    }
}

/// Emits or counts a value.
pub(super) fn put(
    line: u64,
    leaf: Leaf<'_>,
    value: &Value,
    found: Found<'_>,
    rejected: &mut Rejected,
    emit: &mut Emit<'_>,
) {
    match leaf {
        Leaf::Empty => rejected.empty += 1,
        Leaf::Number(n, behind) => {
            let unit = if found.unit.is_empty() { unit::tidy(behind) } else { found.unit };
            emit(Found { value: n, unit, ..found });
        }
        Leaf::State(kind, value, states) => emit(Found { value, kind: Some(kind), states, unit: "", ..found }),
        Leaf::Word(word) => match states::code_of(found.key, &word) {
            Some(value) => emit(Found { value, kind: Some(Kind::States), unit: "", ..found }),
            None => rejected.cell(Cause::NotANumber, found.key, line, &word),
        },
        Leaf::Wrong(cause) => rejected.cell(cause, found.key, line, &value.to_string()),
        Leaf::Text => rejected.cell(Cause::NotANumber, found.key, line, value.as_str().unwrap_or("{...}")),
    }
}

fn is_senml(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let has = |keys: &[&str]| keys.iter().any(|k| object.contains_key(*k));
    let known = ["bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"];
    has(&["n", "bn"]) && has(&["v", "vs", "vb", "s", "bn"]) && object.keys().all(|k| known.contains(&k.as_str()))
}

fn is_history(elements: &[Value]) -> bool {
    !elements.is_empty()
        && elements.iter().all(|e| e.as_array().is_some_and(|s| s.iter().all(|s| s.get("state").is_some())))
}

/// The array of objects in an object that has just one.
fn only_array(object: &Map<String, Value>) -> Option<&Vec<Value>> {
    let mut arrays =
        object.values().filter_map(Value::as_array).filter(|a| !a.is_empty() && a.iter().all(Value::is_object));
    arrays.next().filter(|_| arrays.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_into_json_are_followed() {
        let value: Value = serde_json::from_str(r#"{"a":{"b":[{"c":5}]},"x.y":7}"#).unwrap();
        for (path, found) in
            [("a.b[0].c", Some(5)), ("$.a.b[0].c", Some(5)), ("x.y", Some(7)), ("a.b[1].c", None), ("a.[", None)]
        {
            assert_eq!(lookup(&value, path).and_then(Value::as_i64), found, "{path}");
        }
    }
}
