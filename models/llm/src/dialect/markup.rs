//! Reads calls whose arguments stand between tags: Qwen3-Coder's and Functionary's `<function=…>`, `<invoke …>`, GLM's pairs, and
//! the marks of DeepSeek and Gemma 4.

use serde_json::{Map, Value};

use super::bodies::{self, Ending, with_arguments};
use super::{ToolCall, ToolSchema, clipped};

/// A value as the schema of its argument wants it: a text where that says so, and else JSON where it is any.
fn typed(text: &str, name: &str, argument: &str, tools: &[ToolSchema]) -> Value {
    let schema = tools.iter().find(|tool| tool.name == name).and_then(|tool| tool.argument(argument));
    let is_text = match schema.and_then(|schema| schema.get("type")) {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => schema
            .and_then(|schema| schema.get("enum"))
            .and_then(Value::as_array)
            .is_some_and(|values| values.iter().any(|value| value == text)),
    };
    if is_text {
        return Value::from(text);
    }
    let python = match text.trim() {
        "True" => Some(Value::Bool(true)),
        "False" => Some(Value::Bool(false)),
        "None" => Some(Value::Null),
        _ => None,
    };
    python.or_else(|| serde_json::from_str(text.trim()).ok()).unwrap_or_else(|| Value::from(text))
}

/// One line break at each end belongs to the tags.
fn unwrapped(text: &str) -> &str {
    let text = text.strip_prefix('\n').unwrap_or(text);
    text.strip_suffix('\n').unwrap_or(text)
}

/// Tags around an argument: what opens it, and what closes it.
type Tags = (&'static str, &'static str);

const PARAMETER: Tags = ("<parameter=", "</parameter>");
const ARG_PAIR: Tags = ("<arg_key>", "</arg_value>");
const INVOKED: [Tags; 3] = [
    ("<parameter name=", "</parameter>"),
    ("<param name=", "</param>"),
    ("<｜DSML｜parameter name=", "</｜DSML｜parameter>"),
];

/// The tags of an `<invoke …>`: those whose opening one comes first.
fn tags_of_invoke(text: &str) -> Tags {
    let found = INVOKED.into_iter().filter_map(|tags| Some((text.find(tags.0)?, tags)));
    found.min_by_key(|(at, _)| *at).map_or(INVOKED[0], |(_, tags)| tags)
}

/// Where the value at the beginning of a text has its closing tag. Within CDATA none counts.
fn value_end(text: &str, close: &str) -> Option<usize> {
    let from = if text.trim_start().starts_with("<![CDATA[") { text.find("]]>")? } else { 0 };
    text[from..].find(close).map(|at| from + at)
}

/// The pairs of `open key > value close`.
fn pairs(mut text: &str, (open, close): Tags) -> Option<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    while let Some((_, rest)) = text.split_once(open) {
        let (key, rest) = rest.split_once('>')?;
        // A value that was never closed ends with the next key.
        let end = value_end(rest, close).or_else(|| rest.find(open)).unwrap_or(rest.len());
        pairs.push((key.trim().trim_matches('"'), &rest[..end]));
        text = rest[end..].strip_prefix(close).unwrap_or(&rest[end..]);
    }
    Some(pairs)
}

/// What of a text stands outside of its arguments; `None` where one of them is not closed.
fn outside(mut text: &str, (open, close): Tags) -> Option<String> {
    let mut outside = String::new();
    while let Some((before, rest)) = text.split_once(open) {
        outside.push_str(before);
        let (_, rest) = rest.split_once('>')?;
        text = &rest[value_end(rest, close)? + close.len()..];
    }
    Some(outside + text)
}

/// Whether what follows `<function=` is whole without its closing mark. `ends`: something has been read that ends it.
pub(super) fn is_whole_function(text: &str, ends: bool) -> bool {
    let Some(outside) = outside(text, PARAMETER) else { return false };
    let last = outside.rsplit("<function=").next().unwrap_or_default();
    let Some((_, rest)) = last.split_once('>') else { return false };
    let rest = rest.trim();
    rest.ends_with("</function>") || rest.starts_with('{') && rest.ends_with('}') || ends && rest.is_empty()
}

/// Whether what follows `<invoke name=` has nothing but whole arguments.
pub(super) fn is_whole_invoke(text: &str) -> bool {
    let outside = outside(text, tags_of_invoke(text));
    outside.is_some_and(|text| text.split_once('>').is_some_and(|(_, rest)| rest.trim().is_empty()))
}

/// Whether GLM's call has nothing but whole arguments behind its name.
pub(super) fn has_whole_arg_pairs(text: &str) -> bool {
    outside(text, ARG_PAIR).is_some_and(|text| !text.contains('<'))
}

/// What follows `<function=`.
pub(super) fn function(text: &str, tools: &[ToolSchema]) -> Result<Vec<ToolCall>, String> {
    let mut calls = Vec::new();
    for text in text.split("<function=").filter(|text| !text.trim().is_empty()) {
        let text = text.split("</function>").next().unwrap_or_default();
        let Some((name, rest)) = text.split_once('>') else {
            return Err(format!("a tool call names no tool: {}", clipped(text)));
        };
        let name = name.trim().trim_matches('"');
        if rest.trim_start().starts_with('{') || !rest.contains(PARAMETER.0) {
            calls.push(with_arguments(name, rest)?);
            continue;
        }
        let pairs = pairs(rest, PARAMETER).ok_or_else(|| format!("a tool call cannot be read: {}", clipped(text)))?;
        let arguments =
            pairs.into_iter().map(|(key, value)| (key.to_owned(), typed(unwrapped(value), name, key, tools)));
        calls.push(ToolCall { name: name.to_owned(), arguments: Value::Object(arguments.collect()) });
    }
    if calls.is_empty() { Err(format!("a tool call names no tool: {}", clipped(text))) } else { Ok(calls) }
}

/// What follows `<invoke name=`, MiniCPM's `<function name=` and DeepSeek's `<｜DSML｜invoke name=`.
pub(super) fn invoke(text: &str, tools: &[ToolSchema]) -> Result<Vec<ToolCall>, String> {
    let unread = || format!("a tool call cannot be read: {}", clipped(text));
    let (name, rest) = text.split_once('>').ok_or_else(|| format!("a tool call names no tool: {}", clipped(text)))?;
    let name = name.trim().trim_matches('"');
    let tags = tags_of_invoke(rest);
    let mut arguments = Map::new();
    for (key, value) in pairs(rest, tags).ok_or_else(unread)? {
        // `"key" string="false"`: JSON, whatever the schema says.
        let (key, kind) = key.split_once('"').map_or((key, ""), |(key, kind)| (key, kind.trim()));
        let value = if tags == INVOKED[0] { unwrapped(value) } else { value };
        let cdata = value.trim().strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>"));
        let value = match kind {
            // The last quotation mark is gone with the key's.
            "string=\"true" => Value::from(value),
            "string=\"false" => serde_json::from_str(value.trim()).map_err(|_| unread())?,
            _ => typed(cdata.unwrap_or(value), name, key, tools),
        };
        arguments.insert(key.to_owned(), value);
    }
    Ok(vec![ToolCall { name: name.to_owned(), arguments: Value::Object(arguments) }])
}

/// A name behind a header, and JSON behind a mark: Kimi's and Solar's.
pub(super) fn headed(text: &str) -> Result<Vec<ToolCall>, String> {
    let marks = ["<|tool_call_argument_begin|>", "<|tool_call:args|>"];
    let (head, arguments) = marks
        .into_iter()
        .find_map(|mark| text.split_once(mark))
        .ok_or_else(|| format!("a tool call has no arguments: {}", clipped(text)))?;
    let head = head.split_once("<|tool_call:name|>").map_or(head, |(_, name)| name).trim();
    let head = head.strip_prefix("functions.").unwrap_or(head);
    let name = match head.rsplit_once(':') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => head,
    };
    Ok(vec![with_arguments(name, arguments)?])
}

/// GLM's `name<arg_key>key</arg_key><arg_value>value</arg_value>`.
pub(super) fn arg_pairs(text: &str, tools: &[ToolSchema]) -> Result<Vec<ToolCall>, String> {
    let name = text.split("<arg_key>").next().unwrap_or_default().trim();
    let mut arguments = Map::new();
    for pair in text.split("<arg_key>").skip(1) {
        let (key, rest) =
            pair.split_once("</arg_key>").ok_or_else(|| format!("a tool call cannot be read: {}", clipped(text)))?;
        let value = rest.split_once("<arg_value>").map_or("", |(_, value)| value);
        let value = value.split("</arg_value>").next().unwrap_or_default();
        arguments.insert(key.trim().to_owned(), typed(value, name, key.trim(), tools));
    }
    if name.is_empty() {
        return Err(format!("a tool call names no tool: {}", clipped(text)));
    }
    Ok(vec![ToolCall { name: name.to_owned(), arguments: Value::Object(arguments) }])
}

/// DeepSeek's calls, each `function<｜tool▁sep｜>name` and a fence with the arguments, or `name<｜tool▁sep｜>{…}`.
pub(super) fn deep_seek(text: &str) -> Result<Vec<ToolCall>, String> {
    let mut calls = Vec::new();
    for call in text.split("<｜tool▁call▁begin｜>").filter(|call| !call.trim().is_empty()) {
        let call = call.split("<｜tool▁call▁end｜>").next().unwrap_or_default();
        let Some((kind, rest)) = call.split_once("<｜tool▁sep｜>") else {
            return Err(format!("a tool call names no tool: {}", clipped(call)));
        };
        let (name, arguments) = match kind.trim() {
            "function" => rest.split_once(['\n', '{']).map_or((rest, ""), |(name, _)| (name, &rest[name.len()..])),
            name => (name, rest),
        };
        if arguments.trim().is_empty() {
            return Err(format!("a tool call has no arguments: {}", clipped(call)));
        }
        calls.push(with_arguments(name, arguments)?);
    }
    if calls.is_empty() { Err(format!("a tool call names no tool: {}", clipped(text))) } else { Ok(calls) }
}

/// Gemma 4's `call:name{key:<|"|>text<|"|>,other:3}`.
pub(super) fn gemma4(text: &str) -> Result<Vec<ToolCall>, String> {
    let unread = || format!("a tool call cannot be read: {}", clipped(text));
    let call = text.trim().strip_prefix("call:").ok_or_else(unread)?;
    let at = call.find('{').ok_or_else(unread)?;
    let (name, rest) = call.split_at(at);
    // Into JSON: texts between their marks are quoted, keys without quotes are too.
    let mut json = String::with_capacity(rest.len() + 16);
    for (index, part) in rest.split("<|\"|>").enumerate() {
        if index % 2 == 1 {
            json.push_str(&Value::from(part).to_string());
            continue;
        }
        let mut word = String::new();
        for c in part.chars() {
            if c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+') {
                word.push(c);
                continue;
            }
            match c {
                ':' if !word.is_empty() => json.push_str(&Value::from(std::mem::take(&mut word)).to_string()),
                _ => json.push_str(&std::mem::take(&mut word)),
            }
            json.push(c);
        }
        json.push_str(&word);
    }
    Ok(vec![with_arguments(name, &json)?])
}

/// The calls of one fenced block, by its kind; `None` where it is something else.
pub(super) fn fenced(kind: &str, body: &str, tools: &[ToolSchema], ending: Ending) -> Option<bodies::Read> {
    let body = body.trim();
    if body.starts_with(['{', '[']) && super::pythonic::begins(body).is_none() {
        return bodies::is_call(body, tools).then(|| bodies::json(body, tools, ending).ok()).flatten();
    }
    let name = super::pythonic::begins(body.strip_prefix("print(").unwrap_or(body))?;
    let known = tools.iter().any(|tool| name.split('.').any(|part| part == tool.name));
    if !known && kind != "tool_code" {
        return None;
    }
    let calls = super::pythonic::calls(body, tools).ok()?;
    Some(bodies::Read { calls, say: String::new() })
}
