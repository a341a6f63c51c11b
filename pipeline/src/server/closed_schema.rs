//! Schemas for answers, closed: objects whose properties are listed get no others. A schema that leaves that open allows any number of
//! properties more, which a small model would write until it is cut off; without them the answer fits it as well. Objects that `allOf`
//! joins become one before that.

use serde_json::{Map, Value};

/// Keywords under which schemas stand by name.
const BY_NAME: [&str; 3] = ["properties", "$defs", "definitions"];
/// Keywords that are a schema, or a list of some.
const BELOW: [&str; 5] = ["items", "prefixItems", "anyOf", "oneOf", "additionalProperties"];
/// Keywords by which several schemas hold for one object: what one of them lists, another would forbid.
const JOINED: [&str; 8] = [
    "allOf",
    "if",
    "not",
    "dependentSchemas",
    "patternProperties",
    "unevaluatedProperties",
    "propertyNames",
    "$dynamicRef",
];

/// Closes a schema, unless it joins others.
pub fn close(schema: &mut Value) {
    join_all_of(schema, 0);
    if !joins(schema) {
        close_below(schema);
    }
}

/// The deepest schema within a schema that is looked at.
const MOST_DEPTH: usize = 64;

/// Makes one object of objects that must all fit, where no property is in two of them.
fn join_all_of(schema: &mut Value, depth: usize) {
    if depth > MOST_DEPTH {
        return;
    }
    match schema {
        Value::Array(all) => all.iter_mut().for_each(|one| join_all_of(one, depth + 1)),
        Value::Object(fields) => {
            for key in BELOW.into_iter().chain(["allOf"]) {
                fields.get_mut(key).into_iter().for_each(|below| join_all_of(below, depth + 1));
            }
            for key in BY_NAME {
                let named = fields.get_mut(key).and_then(Value::as_object_mut);
                named.into_iter().flat_map(|all| all.values_mut()).for_each(|below| join_all_of(below, depth + 1));
            }
            if let Some(joined) = joined(fields) {
                *fields = joined;
            }
        }
        _ => {}
    }
}

/// The one object that these fields and those under their `allOf` describe.
fn joined(fields: &Map<String, Value>) -> Option<Map<String, Value>> {
    const OWN: [&str; 6] = ["type", "properties", "required", "title", "description", "$comment"];
    const OUTER: [&str; 5] = ["$schema", "$id", "$defs", "definitions", "allOf"];
    let is_object = |part: &Map<String, Value>| part.get("type").is_none_or(|kind| kind == "object");
    let mut outer = fields.clone();
    let Some(Value::Array(parts)) = outer.remove("allOf") else { return None };
    let parts: Vec<&Map<String, Value>> = parts.iter().map(Value::as_object).collect::<Option<_>>()?;
    let has_properties = parts.iter().any(|part| part.contains_key("properties"));
    let plain = |part: &Map<String, Value>, outer: &[&str]| {
        is_object(part) && part.keys().all(|key| OWN.contains(&key.as_str()) || outer.contains(&key.as_str()))
    };
    if !has_properties || !plain(fields, &OUTER) || !parts.iter().all(|part| plain(part, &[])) {
        return None;
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in std::iter::once(&outer).chain(parts) {
        for (name, property) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if properties.insert(name.clone(), property.clone()).is_some() {
                return None;
            }
        }
        required.extend(part.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
    }
    outer.insert("type".to_owned(), "object".into());
    outer.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        outer.insert("required".to_owned(), required.into());
    }
    Some(outer)
}

/// Whether several of its schemas may hold for one object, so that [`close`] may leave it open.
pub fn joins(schema: &Value) -> bool {
    let Value::Object(fields) = schema else {
        return schema.as_array().is_some_and(|all| all.iter().any(joins));
    };
    // An alternative beside properties of its own adds to them.
    let adds =
        fields.contains_key("properties") && ["anyOf", "oneOf", "$ref"].iter().any(|key| fields.contains_key(*key));
    adds || JOINED.iter().any(|key| fields.contains_key(*key))
        || BELOW.iter().filter_map(|key| fields.get(*key)).any(joins)
        || BY_NAME.iter().filter_map(|key| fields.get(*key)?.as_object()).any(|all| all.values().any(joins))
}

fn close_below(schema: &mut Value) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(close_below),
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            for key in BELOW {
                fields.get_mut(key).into_iter().for_each(close_below);
            }
            for key in BY_NAME {
                let named = fields.get_mut(key).and_then(Value::as_object_mut);
                named.into_iter().flat_map(|all| all.values_mut()).for_each(close_below);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn closed(mut schema: Value) -> Value {
        close(&mut schema);
        schema
    }

    #[test]
    fn objects_with_listed_properties_get_no_others_at_any_depth() {
        let point = json!({"properties": {"x": {"type": "number"}}});
        let schema =
            closed(json!({"properties": {"at": point, "all": {"items": point}, "properties": {"type": "string"}}}));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["at"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["all"]["items"]["additionalProperties"], false);
        assert!(schema["properties"]["properties"].get("additionalProperties").is_none());
        assert_eq!(
            closed(json!({"$defs": {"p": point}, "$ref": "#/$defs/p"}))["$defs"]["p"]["additionalProperties"],
            false
        );
    }

    #[test]
    fn objects_that_must_all_fit_become_one_that_gets_no_other_property() {
        let part = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
        let schema =
            closed(json!({"allOf": [part("a"), part("b")], "$defs": {"c": {"allOf": [part("d"), part("e")]}}}));
        let one = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
        assert_eq!(schema["properties"], one["properties"]);
        assert_eq!(schema["required"], json!(["a", "b"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["$defs"]["c"]["additionalProperties"], false);
        assert!(schema.get("allOf").is_none());
        // The same property twice must fit both: that stays.
        let twice = json!({"allOf": [part("a"), part("a")]});
        assert_eq!(closed(twice.clone()), twice);
    }

    #[test]
    fn what_says_so_itself_or_joins_schemas_stays_as_it_is() {
        for schema in [
            json!({"type": "object"}),
            json!({"properties": {}, "additionalProperties": {"type": "string"}}),
            json!({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}, "minProperties": 1}]}),
            json!({"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}]}),
            json!({"properties": {"a": {}}, "patternProperties": {"^x": {}}}),
        ] {
            assert_eq!(closed(schema.clone()), schema);
        }
    }
}
