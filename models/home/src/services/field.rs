//! What a parameter of a service may be: its kinds, their JSON schemas, and the reading of a value that a model or a person wrote.

use FieldKind::{ColourName, Duration, Flag, Number, Option as OneOf, Rgb, Text, Whole, Within, Word};
use serde_json::{Value, json};

use super::{light, number, on_off};
use crate::model::Entity;

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: FieldKind,
    /// Whether it must be there.
    pub required: bool,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldKind {
    /// A number within bounds.
    Number(f64, f64),
    /// A whole number within bounds.
    Whole(f64, f64),
    /// A number within the entity's own attributes, or these bounds.
    Within(&'static str, &'static str, f64, f64),
    /// true or false.
    Flag,
    /// A text of at most 500 characters.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of the texts of the entity's attribute; any where it has none.
    Option(&'static str),
    /// Red, green and blue, 0 to 255 each.
    Rgb,
    /// The name of a colour.
    ColourName,
    /// Hours, minutes and seconds, `0:05:00`, or seconds.
    Duration,
}

impl FieldKind {
    /// Its JSON schema.
    pub(super) fn schema(self) -> Value {
        match self {
            Number(low, high) | Within(_, _, low, high) => {
                json!({"type": "number", "minimum": low, "maximum": high})
            }
            Whole(low, high) => json!({"type": "integer", "minimum": low, "maximum": high}),
            Flag => json!({"type": "boolean"}),
            Text | OneOf(_) | ColourName | Duration => json!({"type": "string"}),
            Word(words) => json!({"type": "string", "enum": words}),
            Rgb => json!({"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255},
                          "minItems": 3, "maxItems": 3}),
        }
    }

    /// The value in its own form; what is wrong with it, or `None` where it is of another kind.
    pub(super) fn read(self, value: &Value, entity: &Entity) -> Option<Result<Value, String>> {
        let within = |low: f64, high: f64, whole: bool| {
            let found = value.as_f64().or_else(|| value.as_str()?.trim().trim_end_matches('%').trim().parse().ok())?;
            if !found.is_finite() {
                return None;
            }
            let found = if whole { found.round() } else { found };
            Some(if (low..=high).contains(&found) {
                Ok(number(found))
            } else {
                Err(format!("must be between {} and {}", number(low), number(high)))
            })
        };
        match self {
            Number(low, high) => within(low, high, false),
            Whole(low, high) => within(low, high, true),
            Within(lowest, highest, low, high) => {
                within(entity.number(lowest).unwrap_or(low), entity.number(highest).unwrap_or(high), false)
            }
            Flag => match value {
                Value::Bool(_) => Some(Ok(value.clone())),
                Value::String(text) => on_off(text).map(|word| Ok(Value::Bool(word == "on"))),
                _ => None,
            },
            Text => text_of(value).map(|text| Ok(text.into())),
            Word(words) => {
                let text = value.as_str()?.trim().to_lowercase();
                words.contains(&text.as_str()).then(|| Ok(text.into()))
            }
            OneOf(attribute) => {
                let text = text_of(value)?;
                let options = entity.options(attribute);
                if options.is_empty() {
                    return Some(Ok(text.into()));
                }
                let folded = |text: &str| text.to_lowercase().replace(['_', '-'], " ");
                Some(match options.iter().find(|option| folded(option) == folded(&text)) {
                    Some(option) => Ok((*option).into()),
                    None => {
                        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
                        Err(format!("can be {}", nearfield_base::lists::joined(&options)))
                    }
                })
            }
            Rgb => {
                let list = value.as_array().filter(|list| list.len() == 3)?;
                let whole = |v: &Value| v.as_f64().filter(|v| (0.0..=255.0).contains(v)).map(|v| v.round() as u8);
                let rgb: Option<Vec<u8>> = list.iter().map(whole).collect();
                rgb.map(|rgb| Ok(json!(rgb)))
            }
            ColourName => {
                let name = value.as_str()?;
                Some(match light::colour_named(name) {
                    Some(_) => Ok(name.to_lowercase().into()),
                    None => Err(format!("cannot be {}", name.chars().take(40).collect::<String>())),
                })
            }
            Duration => seconds_of(value).map(|seconds| {
                if seconds <= 30.0 * 86_400.0 { Ok(number(seconds)) } else { Err("must be 30 days at most".to_owned()) }
            }),
        }
    }
}

impl std::fmt::Display for FieldKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Number(..) | Whole(..) | Within(..) => "a number",
            Flag => "true or false",
            Text | OneOf(_) => "a text of 1 to 500 characters",
            Word(words) => return write!(f, "{}", words.join(" or ")),
            Rgb => "three numbers from 0 to 255",
            ColourName => "the name of a colour",
            Duration => "a time such as 0:05:00",
        })
    }
}

fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text.chars().count() <= 500 && !text.chars().any(char::is_control)).then_some(text)
}

/// Seconds of a number, of `h:mm:ss`, or of `{"hours": …, "minutes": …, "seconds": …}`.
fn seconds_of(value: &Value) -> Option<f64> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let mut seconds = 0.0;
            for part in text.split(':') {
                let part: f64 = part.trim().parse().ok().filter(|part: &f64| part.is_finite() && *part >= 0.0)?;
                seconds = seconds * 60.0 + part;
            }
            seconds
        }
        Value::Object(parts) => {
            let part = |key: &str| parts.get(key).map_or(Some(0.0), Value::as_f64);
            part("days")? * 86_400.0 + part("hours")? * 3600.0 + part("minutes")? * 60.0 + part("seconds")?
        }
        _ => return None,
    };
    (seconds.is_finite() && seconds > 0.0).then_some(seconds)
}
