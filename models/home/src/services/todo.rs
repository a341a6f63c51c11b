//! To-do lists and calendars. Items and events are stored, not shown as attributes: the state of a list is the number of its
//! items that are still to be done, as in Home Assistant.

use serde_json::{Map, Value, json};

use super::{Data, ServiceError, on_off};
use crate::domain::Domain;
use crate::model::Entity;

/// The most items or events of one list.
pub const MAX_ITEMS: usize = 1000;

/// An event of a calendar. Times stand as they are written: a date, or a date with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CalendarEvent<'a> {
    /// What it is.
    pub summary: &'a str,
    /// When it begins.
    pub start: &'a str,
    /// When it ends; the beginning where that is not said.
    pub end: &'a str,
    /// Where it is.
    pub location: Option<&'a str>,
    /// More about it.
    pub description: Option<&'a str>,
}

impl Entity {
    /// The events of a calendar, in the file's order.
    pub fn events(&self) -> impl Iterator<Item = CalendarEvent<'_>> {
        let events = self.stored.get("events").and_then(Value::as_array).into_iter().flatten();
        events.filter_map(|event| {
            let text = |keys: &[&str]| keys.iter().find_map(|key| event.get(*key)?.as_str());
            let start = text(&["start", "dtstart"])?;
            Some(CalendarEvent {
                summary: text(&["summary"])?,
                start,
                end: text(&["end", "dtend"]).unwrap_or(start),
                location: text(&["location"]),
                description: text(&["description"]),
            })
        })
    }
}

pub(super) fn settle(entity: &mut Entity) {
    let key = if entity.domain == Domain::Todo { "todo_items" } else { "events" };
    if let Some(Value::Array(items)) = entity.attributes.remove(key) {
        let items: Vec<Value> = items
            .into_iter()
            .filter_map(|item| match item {
                Value::String(summary) => Some(json!({"summary": summary})),
                Value::Object(_) => Some(item),
                Value::Number(number) => Some(json!({"summary": number.to_string()})),
                _ => None,
            })
            .collect();
        entity.stored.insert(key.to_owned(), Value::Array(items));
    }
    if entity.domain == Domain::Todo {
        entity.state = entity.open_items().count().to_string();
    } else {
        entity.state = on_off(&entity.state).unwrap_or("off").to_owned();
    }
}

pub(super) fn run(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    let key = if entity.domain == Domain::Todo { "todo_items" } else { "events" };
    let name = entity.name.clone();
    let items = entity.stored.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(items) = items else { return Err(ServiceError::Unsupported(format!("the {name} holds no list"))) };
    let wanted = data.text("item").unwrap_or_default();
    let found = items.iter().position(|item| item["summary"].as_str().is_some_and(|text| same(text, wanted)));
    let missing = || ServiceError::Parameter(format!("{wanted} is not on the {name}"));
    match data.name {
        "add_item" => {
            room(items, &name)?;
            let mut item = Map::new();
            item.insert("summary".to_owned(), wanted.into());
            details(&mut item, data);
            items.push(Value::Object(item));
        }
        "update_item" => {
            let item = items[found.ok_or_else(missing)?].as_object_mut().ok_or_else(missing)?;
            if let Some(rename) = data.text("rename") {
                item.insert("summary".to_owned(), rename.into());
            }
            if let Some(status) = data.text("status") {
                item.insert("status".to_owned(), status.into());
            }
            details(item, data);
        }
        "remove_item" => {
            items.remove(found.ok_or_else(missing)?);
        }
        "remove_completed_items" => items.retain(|item| item["status"] != "completed"),
        _ => {
            room(items, &name)?;
            let start = data.text("start_date_time").or(data.text("start_date"));
            let Some(start) = start else {
                return Err(ServiceError::Parameter(format!("it was not said when the event of the {name} begins")));
            };
            let mut event = Map::new();
            event.insert("summary".to_owned(), data.text("summary").unwrap_or_default().into());
            event.insert("start".to_owned(), start.into());
            if let Some(end) = data.text("end_date_time").or(data.text("end_date")) {
                event.insert("end".to_owned(), end.into());
            }
            for key in ["description", "location"] {
                if let Some(text) = data.text(key) {
                    event.insert(key.to_owned(), text.into());
                }
            }
            items.push(Value::Object(event));
        }
    }
    Ok(())
}

fn room(items: &[Value], name: &str) -> Result<(), ServiceError> {
    if items.len() < MAX_ITEMS {
        return Ok(());
    }
    Err(ServiceError::Unsupported(format!("the {name} is full: it holds {MAX_ITEMS} items")))
}

fn details(item: &mut Map<String, Value>, data: &Data<'_>) {
    for (key, field) in [("due", "due_date"), ("due", "due_datetime"), ("description", "description")] {
        if let Some(text) = data.text(field) {
            item.insert(key.to_owned(), text.into());
        }
    }
}

/// Whether two items are the same but for case, spaces and a leading article.
fn same(a: &str, b: &str) -> bool {
    let folded = |text: &str| {
        let text = text.to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["the" | "a" | "an", rest @ ..] if !rest.is_empty() => rest.join(" "),
            all => all.join(" "),
        }
    };
    folded(a) == folded(b)
}
