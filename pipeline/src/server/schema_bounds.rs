//! Exclusive bounds of numbers in schemas for answers. The grammar that is made of a schema lets an exclusive bound itself through where
//! both bounds have the same whole part (`exclusiveMinimum: 5, maximum: 5.5` gives 5): there the bound becomes an inclusive one that is a
//! millionth of the range further in, which every number that is written then keeps to.

use serde_json::{Map, Number, Value};

/// The deepest schema within a schema that is looked at.
const MOST_DEPTH: usize = 64;
/// So much of the range an exclusive bound is moved.
const MOVED: f64 = 1e-6;

/// Makes bounds inclusive where the grammar does not hold exclusive ones.
pub fn make_inclusive(schema: &mut Value) {
    at_depth(schema, 0);
}

fn at_depth(schema: &mut Value, depth: usize) {
    if depth > MOST_DEPTH {
        return;
    }
    match schema {
        Value::Array(all) => all.iter_mut().for_each(|one| at_depth(one, depth + 1)),
        Value::Object(fields) => {
            // What is to be said as it stands is no schema.
            let below =
                fields.iter_mut().filter(|(key, _)| !matches!(key.as_str(), "const" | "enum" | "default" | "examples"));
            below.for_each(|(_, below)| at_depth(below, depth + 1));
            bounds(fields);
        }
        _ => {}
    }
}

fn bounds(fields: &mut Map<String, Value>) {
    if fields.get("type").is_some_and(|kind| kind == "integer") {
        return;
    }
    let number = |key: &str| fields.get(key).and_then(Value::as_f64);
    let least = [number("minimum"), number("exclusiveMinimum")].into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
    let most = [number("maximum"), number("exclusiveMaximum")].into_iter().flatten().fold(f64::INFINITY, f64::min);
    let width = most - least;
    if !(width.is_finite() && width > 0.0) || (least.fract() == 0.0 && most.fract() == 0.0) {
        return;
    }
    // One decimal digit: a bound such as 5.0000005 is written as it is.
    let step = 10f64.powi((width * MOVED).log10().floor() as i32);
    for (exclusive, inclusive, bound, moved) in
        [("exclusiveMinimum", "minimum", least, least + step), ("exclusiveMaximum", "maximum", most, most - step)]
    {
        if fields.get(exclusive).and_then(Value::as_f64) == Some(bound)
            && moved != bound
            && let Some(moved) = Number::from_f64(rounded(moved, step))
        {
            fields.remove(exclusive);
            fields.insert(inclusive.to_owned(), Value::Number(moved));
        }
    }
}

/// To a multiple of the step, so that it has no more digits than it needs.
fn rounded(value: f64, step: f64) -> f64 {
    let digits = (-step.log10()).round().clamp(0.0, 15.0) as usize;
    format!("{value:.digits$}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exclusive_bounds_beside_fractions_become_inclusive_ones_within_them() {
        for (schema, least, most) in [
            (json!({"exclusiveMinimum": 0, "exclusiveMaximum": 0.01}), (0.0, "minimum"), (0.01, "maximum")),
            (json!({"type": "number", "exclusiveMinimum": 5, "maximum": 5.5}), (5.0, "minimum"), (5.5, "maximum")),
            (json!({"minimum": -0.5, "exclusiveMaximum": 0}), (-0.5, "minimum"), (0.0, "maximum")),
        ] {
            let mut made = json!({"properties": {"x": [schema.clone()]}});
            make_inclusive(&mut made);
            let made = &made["properties"]["x"][0];
            let (low, high) = (made[least.1].as_f64().unwrap(), made[most.1].as_f64().unwrap());
            assert!(low >= least.0 && high <= most.0 && low < high, "{made}");
            assert!((low - least.0).abs() < 1e-5 && (high - most.0).abs() < 1e-5, "{made}");
            assert!(made.get("exclusiveMinimum").is_none() && made.get("exclusiveMaximum").is_none(), "{made}");
            assert!(made.to_string().len() < 120, "{made}");
        }
    }

    #[test]
    fn other_bounds_stay_as_they_are() {
        for schema in [
            json!({"exclusiveMinimum": 0, "exclusiveMaximum": 10}),
            json!({"type": "integer", "exclusiveMinimum": 0.5, "maximum": 3}),
            json!({"exclusiveMinimum": 0.5}),
            json!({"minimum": 0.5, "maximum": 0.75}),
            json!({"exclusiveMinimum": 2.5, "exclusiveMaximum": 1.5}),
            json!({"const": {"exclusiveMinimum": 5, "maximum": 5.5}}),
        ] {
            let mut made = schema.clone();
            make_inclusive(&mut made);
            assert_eq!(made, schema);
        }
    }
}
