//! A record in JSON whose every number and state is a reading, named by its path; and the readings in the arrays within it.

use serde_json::Value;

use super::header::{self, SENSOR_NAMES, UNIT_NAMES, VALUE_NAMES};
use super::json::{Json, Leaf, leaf, put};
use super::json_keys::{self, origin as origin_of};
use super::json_shapes::Around;
use super::rejected::Cause;
use super::{Emit, Found, Rejected, json_times};
use crate::{Moment, unit};

/// JSON deeper than this is not searched.
const MAX_DEPTH: usize = 16;
/// Numbers in one object.
const MAX_LEAVES: usize = 16_384;
/// Numbers in an array that are sensors each.
const MAX_ELEMENTS: usize = 32;

/// Arrays of numbers that are places and colours.
const NO_READINGS: [&str; 14] = [
    "coordinates",
    "bbox",
    "loc",
    "location",
    "position",
    "latlng",
    "geo",
    "gps",
    "rgb",
    "xy",
    "hs",
    "rgb_color",
    "hs_color",
    "xy_color",
];

impl Json {
    /// All numbers and states of a record, each a sensor named by its path.
    #[expect(clippy::too_many_arguments, reason = "where it stands, what it is, and where its readings go")]
    pub(super) fn leaves_of(
        &mut self,
        line: u64,
        value: &Value,
        skip: &str,
        at: Moment,
        origin: &Around,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        let mut budget = MAX_LEAVES;
        let mut path = origin.device.clone();
        let mut arrays = Vec::new();
        // The keys of a date and its time of day hold one time.
        let clock = value.as_object().and_then(json_times::date_and_clock).map_or("", |(_, [_, clock])| clock);
        leaves(value, &mut path, 0, &mut budget, &mut |path, name, inner, unit| {
            let is_own =
                |key: &str| name == key || path == key || path.strip_suffix(key).is_some_and(|p| p.ends_with('.'));
            if (!skip.is_empty() && is_own(skip))
                || json_keys::counts_messages(name)
                || (!clock.is_empty() && is_own(clock))
                || json_times::is_zone(name, inner)
                || (name == "id" && inner.is_number())
            {
                return;
            }
            if is_label(name) && (inner.is_string() || labels_row(inner, path, name)) {
                return;
            }
            if let Value::Array(elements) = inner {
                if NO_READINGS.contains(&name) {
                    return;
                }
                arrays.push((path.to_owned(), elements.clone()));
                return;
            }
            match (leaf(inner, false), origin.titles.get(name).and_then(Value::as_str)) {
                (Leaf::Text, _) => {}
                (found, Some(title)) => {
                    let column = header::column(title);
                    let of = Found { name: &column.key, unit: &column.unit, ..Found::number(path, at, 0.0) };
                    put(line, found, inner, of, rejected, emit);
                }
                (found, None) => {
                    let path =
                        if unit.is_empty() { path } else { path.rsplit_once('.').map_or(path, |(path, _)| path) };
                    put(line, found, inner, Found { unit, ..Found::number(path, at, 0.0) }, rejected, emit);
                }
            }
        });
        for (path, elements) in arrays {
            self.elements(line, &path, &elements, at, origin, rejected, emit);
        }
    }

    /// The elements of an array within a record: readings with a name each, records with a time of their own, or numbers.
    #[expect(clippy::too_many_arguments, reason = "where it stands, what it is, and where its readings go")]
    fn elements(
        &mut self,
        line: u64,
        path: &str,
        elements: &[Value],
        at: Moment,
        origin: &Around,
        rejected: &mut Rejected,
        emit: &mut Emit<'_>,
    ) {
        for (i, element) in elements.iter().enumerate() {
            let key = format!("{path}[{i}]");
            let Value::Object(object) = element else {
                match leaf(element, false) {
                    Leaf::Text if element.is_string() => {}
                    _ if i >= MAX_ELEMENTS => rejected.cell(Cause::NotANumber, path, line, &element.to_string()),
                    found => put(line, found, element, Found::number(&key, at, 0.0), rejected, emit),
                }
                continue;
            };
            if origin.depth >= MAX_DEPTH || i >= MAX_LEAVES {
                rejected.cell(Cause::NotANumber, path, line, "{...}");
                continue;
            }
            let has_time = self.time_key(object, origin.zone.as_ref()).is_some_and(|(_, at)| at.is_some());
            if has_time {
                let mut within = origin.clone();
                within.depth += 1;
                self.read(line, element, &within, rejected, emit);
                continue;
            }
            let sensor = SENSOR_NAMES.iter().find_map(|name| object.get(*name)?.as_str());
            let value =
                VALUE_NAMES.iter().find_map(|name| object.get(*name)).filter(|v| !v.is_array() && !v.is_object());
            match (json_keys::name_of_value(object, sensor, &origin.device), value) {
                (Some(name), Some(value)) => {
                    let unit = UNIT_NAMES.iter().find_map(|u| object.get(*u)?.as_str()).unwrap_or("");
                    let unit = unit::of_name(&name, unit::tidy(unit));
                    put(
                        line,
                        leaf(value, true),
                        value,
                        Found { unit, ..Found::number(&name, at, 0.0) },
                        rejected,
                        emit,
                    );
                }
                _ => {
                    let mut within = origin.clone();
                    within.depth += 1;
                    within.device = match origin_of(object) {
                        Some(own) => origin.of(&own),
                        None => key,
                    };
                    self.leaves_of(line, element, "", at, &within, rejected, emit);
                }
            }
        }
    }
}

/// Whether a number names the device that the whole object is of.
fn labels_row(inner: &Value, path: &str, name: &str) -> bool {
    let Some(number) = inner.as_u64() else { return false };
    let is_word = |device: &str| device.split(' ').any(|word| word.parse() == Ok(number));
    path.split_once('.').is_some_and(|(device, rest)| rest == name && is_word(device))
}

fn is_label(name: &str) -> bool {
    header::names_device(name)
}

/// All values that are no objects, with their path and their own name.
pub(super) fn leaves(
    value: &Value,
    path: &mut String,
    depth: usize,
    budget: &mut usize,
    leaf: &mut dyn FnMut(&str, &str, &Value, &str),
) {
    match value {
        Value::Object(object) if depth < MAX_DEPTH => {
            for (key, inner) in object {
                let length = path.len();
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                let told = inner.as_object().and_then(json_keys::value_in_unit);
                if let Some((own, inner, unit)) = told.filter(|_| *budget > 0) {
                    *budget -= 1;
                    path.push('.');
                    path.push_str(own);
                    leaf(path, own, inner, unit);
                } else if inner.is_object() {
                    leaves(inner, path, depth + 1, budget, leaf);
                } else if *budget > 0 {
                    *budget -= 1;
                    leaf(path, key, inner, "");
                }
                path.truncate(length);
            }
        }
        _ => {}
    }
}
