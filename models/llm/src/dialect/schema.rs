//! The JSON schemas of tools' arguments: what of one a grammar can hold, and the check of the whole afterwards.

use serde_json::{Map, Value, json};

/// Schemas nested deeper are not looked into.
const MOST_DEPTH: usize = 32;

/// Holds arguments to a schema.
///
/// # Errors
/// One sentence: what does not fit.
pub(super) fn check(tool: &str, schema: &Value, arguments: &Value) -> Result<(), String> {
    if !arguments.is_object() {
        return Err(format!("the arguments of {tool} must be an object"));
    }
    // A schema that makes no sense is the user's fault and not the model's: it was reported when the tools were read.
    let Ok(validator) = jsonschema::validator_for(&closed(schema.clone(), 0)) else { return Ok(()) };
    match validator.iter_errors(arguments).next() {
        None => Ok(()),
        Some(error) => {
            let at = error.instance_path().to_string();
            let at = at.trim_start_matches('/').replace('/', ".");
            let what: String = error.to_string().chars().take(200).collect();
            Err(if at.is_empty() { format!("{tool}: {what}") } else { format!("the argument {at} of {tool}: {what}") })
        }
    }
}

/// The schema as a grammar can hold it. What it cannot hold (`not`, `uniqueItems`, `contains`, …) is left to [`check`].
pub(super) fn held(schema: &Value) -> Value {
    let mut schema = closed(schema.clone(), 0);
    without_empty_properties(&mut schema, 0);
    if let Value::Object(fields) = &mut schema {
        fields.insert(
            "x-guidance".to_owned(),
            // White space is bounded, or a model that has lost its way would write nothing else.
            json!({"whitespace_pattern": r"[ \n\t]{1,16}", "coerce_one_of": true, "lenient": true}),
        );
    }
    schema
}

/// The schema of an object whose names are all known, unless it says that there may be others: a model that makes up an argument
/// has misunderstood the tool. Where there are alternatives, each gets the properties that it stands beside.
fn closed(schema: Value, depth: usize) -> Value {
    let Value::Object(mut fields) = schema else { return schema };
    fields.entry("type").or_insert_with(|| Value::from("object"));
    let combined = ["allOf", "$ref", "if", "patternProperties", "unevaluatedProperties", "dependentSchemas"];
    if combined.iter().any(|key| fields.contains_key(*key)) || fields.contains_key("additionalProperties") {
        return Value::Object(fields);
    }
    let key = ["oneOf", "anyOf"].into_iter().find(|key| fields.get(*key).is_some_and(Value::is_array));
    let Some(key) = key else {
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
        return Value::Object(fields);
    };
    if depth > MOST_DEPTH {
        return Value::Object(fields);
    }
    let Some(Value::Array(branches)) = fields.remove(key) else { return Value::Object(fields) };
    let aside = ["$defs", "definitions", "title", "description", "$schema", "$id"];
    let shared: Map<String, Value> = fields
        .iter()
        .filter(|(name, _)| !aside.contains(&name.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let merged = branches.into_iter().map(|branch| match branch {
        Value::Object(branch) if !branch.contains_key("$ref") => {
            closed(Value::Object(merge(&shared, branch)), depth + 1)
        }
        other => other,
    });
    let merged: Vec<Value> = merged.collect();
    fields.retain(|name, _| aside.contains(&name.as_str()));
    fields.insert(key.to_owned(), Value::Array(merged));
    Value::Object(fields)
}

/// A branch of alternatives with what stands beside them.
fn merge(shared: &Map<String, Value>, mut branch: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in shared {
        match (branch.get_mut(name), value) {
            (Some(Value::Object(own)), Value::Object(shared)) if name == "properties" => {
                for (key, schema) in shared {
                    own.entry(key.clone()).or_insert_with(|| schema.clone());
                }
            }
            (Some(Value::Array(own)), Value::Array(shared)) if name == "required" => {
                own.extend(shared.iter().filter(|key| !own.contains(key)).cloned().collect::<Vec<_>>());
            }
            (Some(_), _) => {}
            (None, _) => {
                branch.insert(name.clone(), value.clone());
            }
        }
    }
    branch
}

/// An empty `properties` beside nothing else that names any makes a grammar that nothing fits.
fn without_empty_properties(schema: &mut Value, depth: usize) {
    let Value::Object(fields) = schema else { return };
    if depth > MOST_DEPTH {
        return;
    }
    if fields.get("enum").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        fields.remove("enum");
    }
    for value in fields.values_mut() {
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| without_empty_properties(value, depth + 1)),
            value => without_empty_properties(value, depth + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_get_what_stands_beside_them_and_are_closed() {
        let schema = json!({"type": "object", "properties": {}, "oneOf": [
            {"properties": {"room": {"type": "string"}}, "required": ["room"]},
            {"properties": {"floor": {"type": "integer"}}, "required": ["floor"]},
        ]});
        let closed = closed(schema, 0);
        assert!(closed.get("properties").is_none(), "{closed}");
        for branch in closed["oneOf"].as_array().unwrap() {
            assert_eq!(branch["additionalProperties"], false);
            assert_eq!(branch["properties"].as_object().unwrap().len(), 1);
        }
        assert_eq!(check("t", &closed, &json!({"room": "hall"})), Ok(()));
        assert!(check("t", &closed, &json!({"room": "hall", "floor": 1})).is_err());
        assert!(check("t", &closed, &json!({})).is_err());
    }

    #[test]
    fn what_does_not_fit_is_named_in_one_sentence() {
        let schema = json!({"type": "object", "properties": {"level": {"type": "integer", "maximum": 10},
            "tags": {"type": "array", "uniqueItems": true}, "name": {"not": {"const": "all"}}}, "required": ["level"]});
        for (arguments, says) in [
            (json!({"level": 12}), "the argument level of dim"),
            (json!({}), "level"),
            (json!({"level": 1, "x": 2}), "x"),
            (json!({"level": 1, "tags": ["a", "a"]}), "the argument tags of dim"),
            (json!({"level": 1, "name": "all"}), "the argument name of dim"),
            (json!([1]), "must be an object"),
        ] {
            let error = check("dim", &schema, &arguments).unwrap_err();
            assert!(error.contains(says) && !error.contains('\n') && error.len() < 300, "{error}");
        }
        assert_eq!(check("dim", &schema, &json!({"level": 1, "tags": ["a", "b"], "name": "hall"})), Ok(()));
    }
}
