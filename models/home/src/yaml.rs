//! YAML as JSON values: read within bounds, with keys that stand twice refused, and written in a plain form. Only `true` and `false`
//! are booleans; `on`, `off`, `yes` and `1.2.3` are texts. Merge keys and tags are not read.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use crate::error::FormatError;
use crate::model::one_line;

/// The deepest nesting of lists and mappings.
const MAX_DEPTH: usize = 32;
/// The most values in a file, with those that aliases repeat.
const MAX_NODES: usize = 500_000;
/// Bytes of a text that an alias repeats which count as one more value.
const BYTES_A_NODE: usize = 32;

/// A document that is a mapping; an empty one is an empty mapping.
///
/// # Errors
/// [`FormatError::Syntax`] with the line: it is not YAML, a key stands there twice, or it is too deep or too large.
pub fn parse(text: &str) -> Result<Map<String, Value>, FormatError> {
    let mut reader = Reader::default();
    for next in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let (event, span) = next.map_err(|error| syntax(&error.info(), error.marker().line()))?;
        reader.take(event).map_err(|what| syntax(&what, span.start.line()))?;
    }
    match reader.document {
        Some(Value::Object(document)) => Ok(document),
        Some(Value::Null) | None => Ok(Map::new()),
        Some(_) => Err(FormatError::Syntax("it must be a mapping of names to values".to_owned())),
    }
}

/// What is wrong in a line; names from the file are shown in one line, too.
fn syntax(what: &str, line: usize) -> FormatError {
    FormatError::Syntax(format!("{} at line {line}", one_line(what)))
}

/// What is open while a document is read.
#[derive(Default)]
struct Reader {
    open: Vec<(Open, usize)>,
    anchors: HashMap<usize, Value>,
    nodes: usize,
    document: Option<Value>,
    documents: usize,
}

enum Open {
    List(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document begins".to_owned());
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                let value = if style == ScalarStyle::Plain { plain(&text) } else { Value::String(text.into_owned()) };
                self.put(value, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.open(Open::Mapping(Map::new(), None), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::List(list), anchor)) => self.put(Value::Array(list), anchor),
                Some((Open::Mapping(mapping, _), anchor)) => self.put(Value::Object(mapping), anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).ok_or("an alias names what is not complete")?;
                self.nodes += size(value);
                self.check_size()?;
                self.put(value.clone(), 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, what: Open, anchor: usize) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        if let Some((Open::Mapping(_, None), _)) = self.open.last() {
            return Err("a key must be a text".to_owned());
        }
        self.open.push((what, anchor));
        Ok(())
    }

    fn check_size(&self) -> Result<(), String> {
        if self.nodes > MAX_NODES { Err(format!("it holds more than {MAX_NODES} values")) } else { Ok(()) }
    }

    fn put(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.nodes += 1;
        self.check_size()?;
        if anchor != 0 {
            self.nodes += size(&value);
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None => self.document = Some(value),
            Some((Open::List(list), _)) => list.push(value),
            Some((Open::Mapping(mapping, key), _)) => match key.take() {
                Some(key) => {
                    mapping.insert(key, value);
                }
                None => {
                    let name = match value {
                        Value::String(name) => name,
                        Value::Number(_) | Value::Bool(_) => value.to_string(),
                        _ => return Err("a key must be a text".to_owned()),
                    };
                    if mapping.contains_key(&name) {
                        let short: String = name.chars().take(60).collect();
                        return Err(format!("the key `{short}` stands there twice, keep one of them,"));
                    }
                    *key = Some(name);
                }
            },
        }
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(size).sum::<usize>(),
        Value::Object(mapping) => {
            1 + mapping.iter().map(|(key, value)| key.len() / BYTES_A_NODE + size(value)).sum::<usize>()
        }
        Value::String(text) => 1 + text.len() / BYTES_A_NODE,
        _ => 1,
    }
}

/// What a text without quotation marks is.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        // `007` is a name more often than seven.
        && !(digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0."));
    if is_number {
        let whole = text.trim_start_matches('+');
        if let Ok(whole) = whole.parse::<i64>() {
            return whole.into();
        }
        if let Ok(whole) = whole.parse::<u64>() {
            return whole.into();
        }
        // An identifier of so many digits would lose the last of them.
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            return Value::String(text.to_owned());
        }
        if let Some(number) = text.parse::<f64>().ok().and_then(Number::from_f64) {
            return Value::Number(number);
        }
    }
    Value::String(text.to_owned())
}

/// The text of a document: block style, texts in double quotes where they need them.
pub fn write(document: &Map<String, Value>) -> String {
    let mut text = "---\n".to_owned();
    write_mapping(document, 0, &mut text);
    text
}

fn write_mapping(mapping: &Map<String, Value>, indent: usize, text: &mut String) {
    for (key, value) in mapping {
        text.push_str(&" ".repeat(indent));
        text.push_str(&scalar(key));
        text.push(':');
        write_value(value, indent, text);
    }
}

/// A value behind its key or dash, with the end of the line.
fn write_value(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(mapping) if !mapping.is_empty() => {
            text.push('\n');
            write_mapping(mapping, indent + 2, text);
        }
        Value::Array(list) if !list.is_empty() => {
            text.push('\n');
            write_list(list, indent, text);
        }
        other => {
            text.push(' ');
            text.push_str(&flow(other));
            text.push('\n');
        }
    }
}

fn write_list(list: &[Value], indent: usize, text: &mut String) {
    for item in list {
        text.push_str(&" ".repeat(indent));
        match item {
            Value::Object(mapping) if !mapping.is_empty() => {
                let mut inner = String::new();
                write_mapping(mapping, indent + 2, &mut inner);
                text.push_str("- ");
                text.push_str(inner.trim_start());
            }
            other => {
                text.push('-');
                write_value(other, indent + 2, text);
            }
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        // What is empty, a number, a boolean or null is the same in both languages.
        other => other.to_string(),
    }
}

/// A text without quotation marks where it can only be read as this text.
fn scalar(text: &str) -> String {
    let is_simple =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | '/' | '%' | '°' | '\'' | '(' | ')' | '-');
    let starts_well = text.starts_with(char::is_alphabetic);
    let is_safe = starts_well && !text.ends_with(' ') && text.chars().all(is_simple) && plain(text).is_string();
    // Readers of YAML 1.1 take these for booleans.
    let is_word = matches!(text.to_lowercase().as_str(), "on" | "off" | "yes" | "no" | "y" | "n");
    if is_safe && !is_word { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_read_as_the_public_inventories_mean_them() {
        let text = "a: on\nb: 'off'\nc: 1.2.3\nd: 5.235\ne: 007\nf: -3\ng: \"m\\xB3\"\nh: true\ni: ~\nj: 0:05:00\nk: 2026-05-24\nl: {x: [1, two]}\n";
        let expected = json!({"a": "on", "b": "off", "c": "1.2.3", "d": 5.235, "e": "007", "f": -3, "g": "m³", "h": true, "i": null,
            "j": "0:05:00", "k": "2026-05-24", "l": {"x": [1, "two"]}});
        assert_eq!(Value::Object(parse(text).unwrap()), expected);
        assert_eq!(parse("a: &x [1, 2]\nb: *x\n").unwrap()["b"], json!([1, 2]));
        for digits in ["12345678901234567890", "123456789012345678901234567890", "-12345678901234567890123"] {
            let document = parse(&format!("a: {digits}\n")).unwrap();
            let written = write(&document);
            assert!(written.contains(digits) && parse(&written).unwrap() == document, "{written}");
        }
        assert_eq!(parse("").unwrap(), Map::new());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        for (text, says) in [
            ("a: 1\nb: 2\na: 3\n", "the key `a` stands there twice, keep one of them, at line 3"),
            ("\"a\\tb\": 1\n\"a\\tb\": 3\n", "the key `a b` stands there twice, keep one of them, at line 2"),
            ("a: [1, 2\n", "at line"),
            ("a: 1\n---\nb: 2\n", "a second document begins at line 2"),
            ("[a]: 1\n", "a key must be a text"),
            ("- a\n", "it must be a mapping"),
            ("a: *x\n", "at line 1"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(says), "{text}: {message}");
        }
        assert!(parse(&format!("a: {}", "[".repeat(100))).is_err());
        // Half a megabyte of text, a hundred thousand times.
        let long = format!("a: &a {}\nb:\n{}", "x".repeat(1 << 19), "- *a\n".repeat(100_000));
        assert!(parse(&long).unwrap_err().to_string().contains("more than 500000 values at line"));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e6_f64..1e6).prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[a-z:#\\-?!&*{}\\[\\],'\"%@` \n\t0-9.]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("\\PC{1,8}", inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_as_it_was(value in values()) {
            let document = Map::from_iter([("key".to_owned(), value)]);
            let text = write(&document);
            prop_assert_eq!(parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?, document);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[a-z:#\\-?!&*{}\\[\\],'\"%@`| \n0-9.]{0,80}") {
            let _ = parse(&text);
        }
    }
}
