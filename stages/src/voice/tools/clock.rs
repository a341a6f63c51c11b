//! The clock tool: the local time and date, in the words the replies use.

use jiff::Zoned;
use serde_json::{Value, json};

/// `{"time": "14:05", "date": "Saturday 21 November 2026"}`
pub(super) fn read(now: &Zoned) -> Value {
    json!({"time": now.strftime("%H:%M").to_string(), "date": now.strftime("%A %-d %B %Y").to_string()})
}
