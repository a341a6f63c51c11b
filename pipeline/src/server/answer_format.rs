//! What an answer must fit, as a constraint of the model's text.

use nearfield_llm::Constraint;
use serde_json::{Value, json};

use super::failure::Failure;
use super::{closed_schema, one_of, schema_bounds};

/// The most bytes of a schema for the answer.
const MOST_SCHEMA_BYTES: usize = 64 << 10;

/// What an answer must fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Nothing.
    #[default]
    Text,
    /// A JSON object.
    JsonObject,
    /// What this schema accepts.
    Schema(Value),
}

/// What holds the whole of an answer.
///
/// # Errors
/// The schema is too large, or none.
pub fn whole_constraint(format: &Format) -> Result<Option<Constraint>, Failure> {
    let mut schema = match format {
        Format::Text => return Ok(None),
        Format::JsonObject => json!({"type": "object"}),
        Format::Schema(schema) => schema.clone(),
    };
    if schema.to_string().len() > MOST_SCHEMA_BYTES {
        return Err(Failure::of("response_format", format!("the schema has more than {MOST_SCHEMA_BYTES} bytes")));
    }
    if let Some(at) = one_of::undecided(&schema, !closed_schema::joins(&schema)) {
        let message = format!(
            "has oneOf at {at} with branches that are not certain to be apart, which can't be held: use anyOf, or give each \
             branch a required property with a const of its own"
        );
        return Err(Failure::of("response_format", message));
    }
    closed_schema::close(&mut schema);
    schema_bounds::make_inclusive(&mut schema);
    match &mut schema {
        // White space is bounded, or a model that has lost its way would write nothing else.
        Value::Object(fields) => {
            let form = json!({"whitespace_pattern": r" |\n {0,8}", "coerce_one_of": true});
            fields.insert("x-guidance".to_owned(), form);
        }
        Value::Bool(true) => return Ok(None),
        other => return Err(Failure::of("response_format", format!("the schema must be an object, not {other}"))),
    }
    Ok(Some(Constraint::JsonSchema(schema)))
}
