//! The time of an object in JSON whose date and time of day have keys of their own, and the zone that a key beside it tells.

use std::cell::{Cell, RefCell};

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::time::{Course, DateOrder};
use super::time_columns::is_clock;
use super::{time, zones};
use crate::Moment;

/// Keys of a time of day.
const CLOCK_KEYS: &[&str] = &["time", "time_of_day", "clock", "hour", "uhrzeit", "zeit", "heure", "hora", "ora"];
/// Keys of a whole time.
const WHOLE_KEYS: &[&str] = &["timestamp", "datetime", "date_time", "ts", "_time"];
/// Keys of a date.
const DATE_KEYS: &[&str] = &["date", "day", "datum", "fecha", "data", "jour"];
/// Keys of a zone.
const ZONE_KEYS: &[&str] =
    &["timezone", "tz", "time_zone", "utc_offset_seconds", "utc_offset", "utcoffset", "gmt_offset"];

/// The order of day and month in the dates of an input, as the first date shows it that has no other.
#[derive(Debug, Default)]
pub(super) struct Dates {
    order: Cell<Option<DateOrder>>,
    /// The first date that came before one that shows the order.
    open: RefCell<Option<String>>,
}

impl Dates {
    /// The time of a value; a date of which nobody knows yet which of day and month comes first has none, and is remembered.
    pub(super) fn time(&self, value: &Value, format: &str, zone: &TimeZone) -> Option<Moment> {
        let Value::String(text) = value else { return time::json_time(value, format, zone) };
        if !format.is_empty() {
            return time::parse_time(text, format, zone);
        }
        if time::is_open(text) {
            let Some(order) = self.order.get() else {
                self.open.borrow_mut().get_or_insert_with(|| text.clone());
                return None;
            };
            return time::parse(text, "", zone, Some(order), Course::default());
        }
        let at = time::parse_time(text, "", zone)?;
        if self.order.get().is_none() && !text.contains('.') {
            let orders = [DateOrder::DayFirst, DateOrder::MonthFirst];
            let reads = |order: &DateOrder| time::parse(text, "", zone, Some(*order), Course::default()).is_some();
            if let [order] = orders.into_iter().filter(reads).collect::<Vec<_>>()[..] {
                self.order.set(Some(order));
            }
        }
        Some(at)
    }

    /// A date that was not read, since nothing before it has shown the order.
    pub(super) fn open(&self) -> Option<String> {
        self.open.borrow().clone()
    }
}

fn find<'v>(object: &'v Map<String, Value>, keys: &[&str]) -> impl Iterator<Item = (&'v String, &'v Value)> {
    let is_one = move |key: &str| keys.iter().any(|k| key.eq_ignore_ascii_case(k));
    let found: Vec<_> = object.iter().filter(|(key, _)| is_one(key)).collect();
    found.into_iter()
}

/// A date alone and the time of day beside it as one text, and their two keys; `None`: the object has no such pair.
pub(super) fn date_and_clock(object: &Map<String, Value>) -> Option<(String, [&str; 2])> {
    let is_date = |text: &str| time::civil(text, None).is_some_and(|civil| !civil.has_time);
    let (date_key, date) =
        find(object, DATE_KEYS).find_map(|(key, v)| Some((key, v.as_str().filter(|d| is_date(d))?)))?;
    find(object, CLOCK_KEYS).find_map(|(key, value)| {
        let clock = match value {
            Value::String(text) if is_clock(text) => text.clone(),
            Value::Number(hour) if !key.eq_ignore_ascii_case("time") => {
                format!("{}:00", hour.as_u64().filter(|hour| *hour <= 24)?)
            }
            _ => return None,
        };
        Some((format!("{date} {clock}"), [date_key.as_str(), key.as_str()]))
    })
}

/// The keys of an object that hold a whole time, if any does: they go before a date and the time of day beside it.
pub(super) fn whole(object: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    find(object, WHOLE_KEYS)
}

/// The zone that the name of a time tells: `EnqueuedTimeUtc`.
pub(super) fn zone_of_key(key: &str, own: &TimeZone) -> Option<TimeZone> {
    let is_utc = || key.to_ascii_lowercase().ends_with("utc").then_some(TimeZone::UTC);
    zones::of_title(key, own).or_else(is_utc)
}

/// The zone of the object's local times.
pub(super) fn zone(object: &Map<String, Value>) -> Option<TimeZone> {
    find(object, ZONE_KEYS).find_map(|(_, value)| match value {
        Value::String(text) => zones::of_cell(text),
        Value::Number(number) => zones::of_cell(&number.to_string()),
        _ => None,
    })
}

/// Whether a key tells the zone of an object's times, and no reading.
pub(super) fn is_zone(key: &str, value: &Value) -> bool {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return false,
    };
    ZONE_KEYS.iter().any(|k| key.eq_ignore_ascii_case(k)) && zones::of_cell(&text).is_some()
}
