//! Whether a sentence did what its test expects, by the public set's own rules: the home afterwards is the home that was set up
//! with the expected changes and no others; a reply that is expected has one of the words; a command is not answered by "Sorry".

use std::collections::BTreeMap;

use nearfield_home::{EntityState, Home};
use serde_json::Value;

use super::dataset::Test;

/// Attributes that follow from state and position, which the set's rules leave out.
const DERIVED: [&str; 3] = ["is_closed", "is_opening", "is_closing"];

/// Whether a test expects anything: one without is run and not scored.
pub(super) fn is_scored(test: &Test) -> bool {
    test.expect_changes.is_some() || test.expect_response.is_some()
}

/// What is wrong; nothing where all is as expected.
pub(super) fn faults(test: &Test, before: &Home, changes: &BTreeMap<String, EntityState>, reply: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let none = BTreeMap::new();
    let expected = test.expect_changes.as_ref().unwrap_or(&none);
    for id in expected.keys().filter(|id| before.entity(id).is_none()) {
        faults.push(format!("{id} is expected to change and is not in the home"));
    }
    for entity in before.entities() {
        let change = changes.get(&entity.id);
        let wanted = expected.get(&entity.id);
        let ignored = test.ignore_changes.as_ref().and_then(|ignored| ignored.get(&entity.id));
        let is_ignored =
            |key: &str| DERIVED.contains(&key) || ignored.is_some_and(|keys| keys.iter().any(|k| k == key));
        let now = change.and_then(|change| change.state.as_deref()).unwrap_or(&entity.state);
        let due = wanted.and_then(|wanted| wanted.state.as_ref()).map_or_else(|| entity.state.clone(), word);
        if now != due && !is_ignored("state") {
            faults.push(format!("{} is {now:?} instead of {due:?}", entity.id));
        }
        let empty = serde_json::Map::new();
        let wanted = wanted.and_then(|wanted| wanted.attributes.as_ref()).unwrap_or(&empty);
        let changed = change.map_or(&empty, |change| &change.attributes);
        let keys = wanted.keys().chain(changed.keys().filter(|key| !wanted.contains_key(*key)));
        for key in keys.filter(|key| !is_ignored(key)) {
            let was = entity.attributes.get(key).unwrap_or(&Value::Null);
            let now = changed.get(key).unwrap_or(was);
            let due = wanted.get(key).unwrap_or(was);
            // The set compares no lists (colours) unless they are named.
            let is_list = (now.is_array() || was.is_array()) && !wanted.contains_key(key);
            if !same(now, due) && !is_list {
                faults.push(format!("{}: {key} is {now} instead of {due}", entity.id));
            }
        }
    }
    if !expected.is_empty() && reply.contains("Sorry") {
        faults.push("the reply says sorry".to_owned());
    }
    if let Some(words) = &test.expect_response {
        let reply = reply.to_lowercase();
        if !words.texts().iter().any(|word| reply.contains(&word.to_lowercase())) {
            faults.push(format!("the reply has none of {:?}", words.texts()));
        }
    }
    faults
}

/// A state as a word: YAML may have read it as a number or as true.
fn word(state: &Value) -> String {
    match state {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        other => other.to_string(),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    if let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) {
        return a == b;
    }
    a == b || (!a.is_null() && !b.is_null() && word(a) == word(b))
}
