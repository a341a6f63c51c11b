//! `oneOf` in schemas for answers. A grammar holds a text to one of the branches and can't see that another fits it as well, so a
//! schema is taken only where it is certain that no answer fits two: their types, constants, ranges or required properties part them.

use serde_json::{Map, Value};

/// The most steps from a branch to what parts it, references included.
const MOST_DEPTH: usize = 32;
/// The most branches that are compared with each other.
const MOST_BRANCHES: usize = 64;
/// The most schemas and values that are compared for one answer.
const MOST_COMPARED: usize = 1_000_000;
/// The most types of a schema: as many as there are.
const MOST_TYPES: usize = 7;
/// Keywords under which schemas stand by name. Such a name may be that of a keyword.
const BY_NAME: [&str; 5] = ["properties", "$defs", "definitions", "patternProperties", "dependentSchemas"];

/// Where a `oneOf` stands whose branches may fit the same answer; `None` where there is no such. `is_closed`: whether only listed
/// properties are written.
pub fn undecided(schema: &Value, is_closed: bool) -> Option<String> {
    let mut parting = Parting { root: schema, is_closed, compared: 0 };
    parting.undecided_below(schema, "#", false)
}

/// Compares branches of one schema.
struct Parting<'s> {
    root: &'s Value,
    /// Whether objects are written with the properties only that they list, unless they say otherwise.
    is_closed: bool,
    compared: usize,
}

impl<'s> Parting<'s> {
    /// Looks through `schema`, or schemas by their names. The parser of JSON bounds the depth.
    fn undecided_below(&mut self, schema: &'s Value, at: &str, is_by_name: bool) -> Option<String> {
        match schema {
            Value::Array(all) => {
                all.iter().enumerate().find_map(|(i, one)| self.undecided_below(one, &format!("{at}/{i}"), false))
            }
            Value::Object(fields) => {
                if let Some(Value::Array(branches)) = fields.get("oneOf")
                    && !is_by_name
                    && !self.are_apart(branches)
                {
                    return Some(at.chars().take(120).collect());
                }
                // What is to be said as it stands is no schema.
                let is_schema = |key: &str| is_by_name || !matches!(key, "const" | "enum" | "default" | "examples");
                fields.iter().filter(|(key, _)| is_schema(key)).find_map(|(key, one)| {
                    let is_by_name = !is_by_name && BY_NAME.contains(&key.as_str());
                    self.undecided_below(one, &format!("{at}/{key}"), is_by_name)
                })
            }
            _ => None,
        }
    }

    fn are_apart(&mut self, branches: &'s [Value]) -> bool {
        branches.len() <= MOST_BRANCHES
            && branches
                .iter()
                .enumerate()
                .all(|(i, one)| branches[i + 1..].iter().all(|other| self.apart(one, other, MOST_DEPTH)))
    }

    /// Whether it is certain that no answer fits both.
    fn apart(&mut self, a: &'s Value, b: &'s Value, depth: usize) -> bool {
        self.compared += 1;
        if depth == 0 || self.compared > MOST_COMPARED {
            return false;
        }
        if a == &Value::Bool(false) || b == &Value::Bool(false) {
            return true;
        }
        let (Value::Object(a_fields), Value::Object(b_fields)) = (a, b) else { return false };
        for (one, other) in [(a_fields, b), (b_fields, a)] {
            if let Some(named) = self.named(one)
                && self.apart(named, other, depth - 1)
            {
                return true;
            }
            for key in ["anyOf", "oneOf"] {
                if let Some(Value::Array(all)) = one.get(key)
                    && all.iter().all(|branch| self.apart(branch, other, depth - 1))
                {
                    return true;
                }
            }
            if let Some(Value::Array(all)) = one.get("allOf")
                && all.iter().any(|part| self.apart(part, other, depth - 1))
            {
                return true;
            }
        }
        let (a_values, b_values) = (values(a_fields), values(b_fields));
        let n_values = |values: &Option<Vec<_>>| values.as_ref().map_or(1, Vec::len);
        self.compared += n_values(&a_values) * n_values(&b_values);
        if self.compared > MOST_COMPARED {
            return false;
        }
        if let (Some(a_values), Some(b_values)) = (&a_values, &b_values) {
            return !a_values.iter().any(|a| b_values.iter().any(|b| same(a, b)));
        }
        let (a_types, b_types) = (types(a_fields, &a_values), types(b_fields, &b_values));
        if let (Some(a), Some(b)) = (&a_types, &b_types)
            && !a.iter().any(|one| b.iter().any(|other| overlap(one, other)))
        {
            return true;
        }
        let only = |types: &Option<Vec<&str>>, known: &[&str]| {
            types.as_ref().is_some_and(|types| types.iter().all(|one| known.contains(one)))
        };
        let numbers = ["integer", "number"];
        if only(&a_types, &numbers) && only(&b_types, &numbers) {
            return is_below(a_fields, b_fields) || is_below(b_fields, a_fields);
        }
        only(&a_types, &["object"])
            && only(&b_types, &["object"])
            && self.parts(a_fields, b_fields, depth)
            && self.parts(b_fields, a_fields, depth)
    }

    /// Whether no object that is written for `a`, with the properties that `a` lists, fits `b`.
    fn parts(&mut self, a: &'s Map<String, Value>, b: &'s Map<String, Value>, depth: usize) -> bool {
        let properties = |fields: &'s Map<String, Value>| fields.get("properties").and_then(Value::as_object);
        let required = |fields: &'s Map<String, Value>| {
            fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        };
        self.compared += required(a).count() + required(b).count();
        let is_open = |fields: &Map<String, Value>| fields.contains_key("patternProperties");
        let (of_a, of_b) = (properties(a), properties(b));
        let writes_no_others = of_a.is_some()
            && !is_open(a)
            && a.get("additionalProperties").map_or(self.is_closed, |more| more == &Value::Bool(false));
        let takes_no_others = !is_open(b) && b.get("additionalProperties") == Some(&Value::Bool(false));
        let has = |all: Option<&Map<String, Value>>, name: &str| all.is_some_and(|all| all.contains_key(name));
        if writes_no_others && required(b).any(|name| !has(of_a, name)) {
            return true;
        }
        required(a).any(|name| match (of_a.and_then(|all| all.get(name)), of_b.and_then(|all| all.get(name))) {
            (Some(one), Some(other)) => self.apart(one, other, depth - 1),
            (_, None) => takes_no_others,
            (None, Some(_)) => false,
        })
    }

    /// What a reference to the schema or to one of its definitions stands for. Elsewhere objects may be open.
    fn named(&self, fields: &Map<String, Value>) -> Option<&'s Value> {
        let name = fields.get("$ref")?.as_str()?.strip_prefix('#')?;
        let defined = name.strip_prefix("/$defs/").or_else(|| name.strip_prefix("/definitions/"));
        match defined.map_or(name.is_empty(), |defined| !defined.contains('/')) {
            true => self.root.pointer(name),
            false => None,
        }
    }
}

/// The values that alone fit.
fn values(fields: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (fields.get("const"), fields.get("enum")) {
        (Some(value), _) => Some(vec![value]),
        (None, Some(Value::Array(all))) => Some(all.iter().collect()),
        _ => None,
    }
}

/// The types that alone fit.
fn types<'s>(fields: &'s Map<String, Value>, values: &Option<Vec<&'s Value>>) -> Option<Vec<&'s str>> {
    match (values, fields.get("type")) {
        (Some(values), _) => {
            let mut types: Vec<&str> = values.iter().map(|value| type_of(value)).collect();
            types.sort_unstable();
            types.dedup();
            Some(types)
        }
        (None, Some(Value::String(one))) => Some(vec![one]),
        (None, Some(Value::Array(all))) if all.len() <= MOST_TYPES => all.iter().map(Value::as_str).collect(),
        (None, _) => None,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn overlap(one: &str, other: &str) -> bool {
    let is_number = |kind: &str| matches!(kind, "integer" | "number");
    one == other || (is_number(one) && is_number(other))
}

/// 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

/// Whether all numbers that fit `low` are less than those that fit `high`.
fn is_below(low: &Map<String, Value>, high: &Map<String, Value>) -> bool {
    let bound = |fields: &Map<String, Value>, key: &str| fields.get(key).and_then(Value::as_f64);
    let extreme = |fields: &Map<String, Value>, further: fn(f64, f64) -> f64| {
        values(fields)?.into_iter().filter_map(Value::as_f64).reduce(further)
    };
    let (most, under) = (extreme(low, f64::max).or(bound(low, "maximum")), bound(low, "exclusiveMaximum"));
    let (least, over) = (extreme(high, f64::min).or(bound(high, "minimum")), bound(high, "exclusiveMinimum"));
    let less = |a: Option<f64>, b: Option<f64>| matches!((a, b), (Some(a), Some(b)) if a < b);
    let most_equal = |a: Option<f64>, b: Option<f64>| matches!((a, b), (Some(a), Some(b)) if a <= b);
    less(most, least) || most_equal(most, over) || most_equal(under, least) || most_equal(under, over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn branches_that_a_value_may_fit_together_are_found_wherever_they_stand() {
        let multiples = json!({"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]});
        let object = |kind: &str| json!({"type": "object", "properties": {"x": {"type": kind}}, "required": ["x"]});
        let open = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]});
        for (schema, at) in [
            (multiples.clone(), "#"),
            (json!({"oneOf": [object("integer"), object("number")]}), "#"),
            (json!({"properties": {"n": multiples}}), "#/properties/n"),
            (json!({"$defs": {"n": multiples}, "$ref": "#/$defs/n"}), "#/$defs/n"),
            (json!({"anyOf": [{"type": "null"}, multiples]}), "#/anyOf/1"),
            (json!({"oneOf": [{"type": "string"}, {}]}), "#"),
            (json!({"oneOf": [{"enum": [1, 2]}, {"enum": [2.0, 3]}]}), "#"),
            (json!({"oneOf": [{"minimum": 0, "type": "number"}, {"type": "integer", "maximum": 0}]}), "#"),
            // What is written for the second has "a" and fits the first.
            (
                json!({"oneOf": [open, {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}]}),
                "#",
            ),
            // Without a type a text fits both.
            (
                json!({"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]}),
                "#",
            ),
            (json!({"$ref": "#", "oneOf": [{"$ref": "#"}, {"$ref": "#"}]}), "#"),
            (json!({"oneOf": [{"enum": [-1, 1]}, {"type": "integer", "minimum": 0}]}), "#"),
            // Names of properties and definitions that are keywords elsewhere.
            (json!({"properties": {"default": multiples}}), "#/properties/default"),
            (json!({"$defs": {"enum": {"properties": {"const": multiples}}}}), "#/$defs/enum/properties/const"),
            (
                json!({"properties": {"properties": {"properties": {"examples": multiples}}}}),
                "#/properties/properties/properties/examples",
            ),
        ] {
            assert_eq!(undecided(&schema, true).as_deref(), Some(at), "{schema}");
        }
        let deep = (0..60).fold(multiples, |below, _| json!({"items": below}));
        assert!(undecided(&deep, true).unwrap().starts_with("#/items/items/"), "{deep}");
    }

    #[test]
    fn properties_that_are_not_listed_part_branches_only_where_they_are_not_written() {
        let object = |name: &str| json!({"type": "object", "properties": {name: {}}, "required": [name]});
        let schema = json!({"oneOf": [object("a"), object("b")]});
        assert_eq!((undecided(&schema, true), undecided(&schema, false)), (None, Some("#".to_owned())));
        // What says itself that it is closed is.
        let mut closed = object("a");
        closed["additionalProperties"] = false.into();
        assert_eq!(undecided(&json!({"oneOf": [closed, object("b")]}), false), None);
        // Such a schema is not closed.
        let joined = json!({"properties": {"x": schema, "y": {"not": {"const": 1}}}});
        assert_eq!(
            undecided(&joined, !crate::server::closed_schema::joins(&joined)),
            Some("#/properties/x".to_owned())
        );
    }

    #[test]
    fn comparing_is_bounded_in_values() {
        let values = |from: i32, n: i32| json!({"enum": (from..from + n).collect::<Vec<_>>()});
        assert_eq!(undecided(&json!({"oneOf": [values(0, 900), values(900, 900)]}), true), None);
        let many = json!({"oneOf": [values(0, 1100), values(1100, 1100)]});
        assert_eq!(undecided(&many, true), Some("#".to_owned()));
    }

    #[test]
    fn branches_that_are_apart_are_taken() {
        let kind = |kind: &str| json!({"type": "object", "properties": {"kind": {"const": kind}, "x": {"type": "number"}}, "required": ["kind"]});
        for schema in [
            json!({"oneOf": [{"type": "string"}, {"type": "null"}, {"type": ["integer", "array"]}]}),
            json!({"oneOf": [{"const": "a"}, {"enum": ["b", "c"]}, {"const": 3}]}),
            json!({"oneOf": [kind("cat"), kind("dog"), {"type": "null"}]}),
            // As pydantic writes a tagged union.
            json!({"$defs": {"Cat": kind("cat"), "Dog": kind("dog")}, "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
                "discriminator": {"propertyName": "kind"}}),
            json!({"oneOf": [{"type": "integer", "maximum": 4}, {"type": "number", "exclusiveMinimum": 4}]}),
            json!({"oneOf": [{"type": "object", "properties": {"a": {}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {}}, "required": ["b"]}]}),
            json!({"properties": {"oneOf": {"type": "string"}}}),
            json!({"const": {"oneOf": [{}, {}]}}),
            json!({"properties": {"a": {"default": {"oneOf": [{}, {}]}}}}),
            json!({"oneOf": [{"const": -1}, {"type": "integer", "minimum": 0}]}),
            json!({"oneOf": [{"enum": [7, 9.5]}, {"type": "number", "exclusiveMaximum": 7}]}),
        ] {
            assert_eq!(undecided(&schema, true), None, "{schema}");
        }
    }
}
