//! Schemas for answers, closed: objects whose properties are listed get no others. A schema that leaves that open allows any number of
//! properties more, which a small model would write until it is cut off; without them the answer fits it as well.

use serde_json::Value;

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
    if !joins(schema) {
        close_below(schema);
    }
}

fn joins(schema: &Value) -> bool {
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
    fn what_says_so_itself_or_joins_schemas_stays_as_it_is() {
        for schema in [
            json!({"type": "object"}),
            json!({"properties": {}, "additionalProperties": {"type": "string"}}),
            json!({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}),
            json!({"properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}]}),
            json!({"properties": {"a": {}}, "patternProperties": {"^x": {}}}),
        ] {
            assert_eq!(closed(schema.clone()), schema);
        }
    }
}
