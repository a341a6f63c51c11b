//! Reads what stands between the marks of a call: JSON in all the shapes that models give it, and by way of the other files
//! here, pythonic calls and XML.

use serde_json::{Map, Value};

use super::json_scan::{JsonScan, Scanned};
use super::marks::Body;
use super::{ToolCall, ToolSchema, clipped, markup, pythonic};

/// What a piece of a reply came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    pub calls: Vec<ToolCall>,
    /// What the model says within the same JSON.
    pub say: String,
}

/// Keys of a tool's name, and of its arguments.
const NAMES: [&str; 5] = ["name", "tool_name", "tool", "function_name", "action"];
const ARGUMENTS: [&str; 7] = ["arguments", "parameters", "args", "input", "tool_input", "action_input", "kwargs"];
/// Keys under which calls stand.
const WRAPPERS: [&str; 4] = ["tool_call", "tool_calls", "function_call", "function_calls"];
/// Keys of what is only said.
const SAYINGS: [&str; 5] = ["to_say", "response", "answer", "reply", "say"];
/// Keys that may stand beside a call and say nothing.
const BESIDES: [&str; 4] = ["id", "type", "tool_call_id", "index"];
const SERVICE: &str = "service";

/// Whether an object that begins with this key (or with the beginning of it, as long as it is not whole) may be a call.
pub(super) fn may_begin(key: &str, whole: bool, tools: &[ToolSchema]) -> bool {
    let known = NAMES.iter().chain(&ARGUMENTS).chain(&WRAPPERS).chain(&SAYINGS).chain(&BESIDES);
    let known = known.copied().chain([SERVICE, "function", "target_device"]);
    known
        .chain(tools.iter().map(|tool| tool.name.as_str()))
        .any(|known| if whole { known == key } else { known.starts_with(key) })
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its closing mark has been read, so that nothing is missing.
    Closed,
    /// Only the beginning of its closing mark has been read.
    Half,
    /// Another call has begun within it.
    Next,
    /// The reply ended within it.
    Open,
}

/// Reads the whole of what stands between the marks of a call.
///
/// # Errors
/// One sentence: why it is none.
pub(super) fn read(body: Body, text: &str, tools: &[ToolSchema], ending: Ending) -> Result<Read, String> {
    let text = text.trim();
    if !is_whole(body, text, ending) {
        return Err(format!("a tool call is not whole: {}", clipped(text)));
    }
    if text.is_empty() {
        return Err("a tool call was empty".to_owned());
    }
    let calls = match body {
        Body::Function => markup::function(text, tools)?,
        Body::Invoke => markup::invoke(text, tools)?,
        Body::DeepSeek => markup::deep_seek(text)?,
        Body::Gemma4 => markup::gemma4(text)?,
        Body::Headed => markup::headed(text)?,
        Body::Mistral => named(text, &["[ARGS]", "[CALL_ID]"], tools, ending)?,
        Body::Any | Body::Json => return any(text, tools, ending),
    };
    Ok(Read { calls, say: String::new() })
}

/// Whether a call whose closing mark is missing can be known to be whole. A value between tags may have been cut anywhere, so its
/// own closing tag is needed; JSON is looked at when it is read.
fn is_whole(body: Body, text: &str, ending: Ending) -> bool {
    let ends = ending != Ending::Open;
    let inner = without_fence(text);
    match body {
        _ if ending == Ending::Closed => true,
        Body::Function => markup::is_whole_function(text, ends),
        Body::Invoke => ends && markup::is_whole_invoke(text),
        Body::DeepSeek => {
            let fenced = text.ends_with("```") && text.matches("```").count().is_multiple_of(2);
            ends || fenced || text.ends_with('}') || text.ends_with("<｜tool▁call▁end｜>")
        }
        Body::Gemma4 | Body::Headed => ends || text.ends_with('}'),
        _ => match inner.strip_prefix("<function=") {
            Some(rest) => markup::is_whole_function(rest, ends),
            None if has_arg_pairs(inner) => ends && markup::has_whole_arg_pairs(inner),
            None => ends || !is_plain_name(text),
        },
    }
}

/// Whether a call is GLM's, which has its arguments between tags; JSON may speak of such tags.
fn has_arg_pairs(text: &str) -> bool {
    !text.starts_with(['{', '[']) && text.contains("<arg_key>")
}

/// JSON, pythonic or XML, as it begins, in a code fence or not.
fn any(text: &str, tools: &[ToolSchema], ending: Ending) -> Result<Read, String> {
    let text = without_fence(text);
    if has_arg_pairs(text) {
        return Ok(Read { calls: markup::arg_pairs(text, tools)?, say: String::new() });
    }
    if let Some(rest) = text.strip_prefix("<function=") {
        return Ok(Read { calls: markup::function(rest, tools)?, say: String::new() });
    }
    if text.starts_with('{') || text.starts_with('[') && pythonic::begins(text).is_none() {
        return json(text, tools, ending);
    }
    if pythonic::begins(text).is_some() {
        return Ok(Read { calls: pythonic::calls(text, tools)?, say: String::new() });
    }
    // GLM writes a call without arguments as its name alone.
    if is_plain_name(text) && named_well(text, tools) {
        return Ok(Read { calls: vec![with_arguments(text, "")?], say: String::new() });
    }
    let name = text.split(['{', '\n']).next().unwrap_or_default().trim();
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(Read { calls: named(text, &[], tools, ending)?, say: String::new() });
    }
    json(text, tools, ending)
}

fn is_plain_name(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.starts_with(char::is_alphabetic) && text.chars().all(plain)
}

/// Whether a tool of this name is offered, where any are known.
fn named_well(name: &str, tools: &[ToolSchema]) -> bool {
    tools.is_empty() || tools.iter().any(|tool| tool.name == name)
}

/// A JSON value, several in a row, or lists of them: all calls.
pub(super) fn json(text: &str, tools: &[ToolSchema], ending: Ending) -> Result<Read, String> {
    let mut read = Read::default();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut any = false;
    loop {
        let rest = &text[values.byte_offset()..];
        let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
        if any && rest.len() < text.len() - values.byte_offset() {
            // A mark between two calls.
            let mut more = self::json_or_none(rest, tools, ending)?;
            read.calls.append(&mut more.calls);
            read.say.push_str(&more.say);
            return Ok(read);
        }
        match values.next() {
            Some(Ok(value)) => {
                any = true;
                of_value(value, tools, &mut read)?;
            }
            // A stray bracket after a whole call is ignored.
            Some(Err(_)) if any => break,
            Some(Err(error)) => match repaired(text, tools, ending) {
                Some(value) => {
                    of_value(value, tools, &mut read)?;
                    break;
                }
                None => return Err(format!("a tool call is not valid JSON ({error}): {}", clipped(text))),
            },
            None => break,
        }
    }
    if read.calls.is_empty() && read.say.is_empty() {
        return Err(format!("a tool call names no tool: {}", clipped(text)));
    }
    Ok(read)
}

fn json_or_none(text: &str, tools: &[ToolSchema], ending: Ending) -> Result<Read, String> {
    if text.trim().is_empty() || !text.starts_with(['{', '[']) {
        Ok(Read::default())
    } else {
        json(text, tools, ending)
    }
}

/// JSON whose last brackets are missing, or whose arguments stand in single quotes. Where the reply has ended within it, the
/// arguments at least must be closed: others may have been to come.
fn repaired(text: &str, tools: &[ToolSchema], ending: Ending) -> Option<Value> {
    let mut scan = JsonScan::default();
    for c in text.chars() {
        match scan.push(c) {
            Scanned::More => {}
            Scanned::Done => break,
            Scanned::Bad => return single_quoted(text),
        }
    }
    let closers = scan.closers()?;
    let is_cut = matches!(ending, Ending::Open | Ending::Next);
    if is_cut && !(text.trim_end().ends_with('}') && ["}", "]", "}]"].contains(&closers.as_str())) {
        return single_quoted(text);
    }
    let value = serde_json::from_str(&format!("{text}{closers}")).ok();
    let value = value.filter(|value| !is_cut || !closers.starts_with('}') || has_all_arguments(value, tools));
    value.or_else(|| single_quoted(text))
}

/// Whether the arguments of a call are an object of their own within it, so that none stands behind them.
fn has_all_arguments(value: &Value, tools: &[ToolSchema]) -> bool {
    let object = match value {
        Value::Array(values) => return values.last().is_some_and(|last| has_all_arguments(last, tools)),
        Value::Object(object) => object,
        _ => return false,
    };
    let is_named = |(key, _): (&String, &Value)| tools.iter().any(|tool| tool.name == *key);
    ARGUMENTS.iter().chain(&WRAPPERS).any(|key| object.contains_key(*key))
        || object.get("function").is_some_and(Value::is_object)
        || object.len() == 1 && object.iter().all(is_named)
}

/// `{"name": "f", "arguments": '{"a": 1}'}`, as Glaive's data has it.
fn single_quoted(text: &str) -> Option<Value> {
    let (head, rest) = text.split_once('\'')?;
    let (inner, tail) = rest.rsplit_once('\'')?;
    let arguments: Value = serde_json::from_str(inner).ok()?;
    serde_json::from_str(&format!("{head}{arguments}{tail}")).ok()
}

/// What a JSON value means.
fn of_value(value: Value, tools: &[ToolSchema], read: &mut Read) -> Result<(), String> {
    let mut object = match value {
        Value::Array(values) => return values.into_iter().try_for_each(|value| of_value(value, tools, read)),
        Value::Object(object) => object,
        other => return Err(format!("a tool call is not a JSON object: {}", clipped(&other.to_string()))),
    };
    for key in WRAPPERS {
        if let Some(inner @ (Value::Object(_) | Value::Array(_))) = object.get(key) {
            return of_value(inner.clone(), tools, read);
        }
    }
    if let Some(Value::Object(inner)) = object.get("function") {
        object = inner.clone();
    }
    let said = SAYINGS.iter().find_map(|key| object.get(*key).and_then(Value::as_str).map(str::to_owned));
    let name = NAMES.iter().chain(&["function"]).find(|key| object.get(**key).is_some_and(Value::is_string));
    if let Some(name_key) = name {
        let name = object[*name_key].as_str().unwrap_or_default().trim().to_owned();
        if name.is_empty() {
            return Err(format!("a tool call names no tool: {}", clipped(&Value::Object(object).to_string())));
        }
        let given = ARGUMENTS.iter().find_map(|key| object.get(*key).cloned());
        let arguments = match given {
            Some(Value::Null) => Value::Object(Map::new()),
            Some(Value::String(text)) if text.trim().is_empty() => Value::Object(Map::new()),
            Some(Value::String(text)) => serde_json::from_str(&text).map_err(|error| {
                format!(
                    "the arguments of the tool call {} are not valid JSON ({error}): {}",
                    clipped(&name),
                    clipped(&text)
                )
            })?,
            Some(arguments) => arguments,
            // `{"name": "set_light", "room": "kitchen"}`
            None => {
                let rest = object.into_iter().filter(|(key, _)| key != name_key && !BESIDES.contains(&key.as_str()));
                Value::Object(rest.collect())
            }
        };
        read.calls.push(ToolCall { name, arguments });
        return Ok(());
    }
    if let Some(service) = object.get(SERVICE).and_then(Value::as_str).map(|it| it.trim().to_owned()) {
        let rest = object.into_iter().filter(|(key, _)| key != SERVICE && !SAYINGS.contains(&key.as_str()));
        let arguments: Map<String, Value> = rest.collect();
        read.say.push_str(said.as_deref().unwrap_or_default());
        if !service.is_empty() {
            read.calls.push(ToolCall { name: service, arguments: Value::Object(arguments) });
        }
        return Ok(());
    }
    // `{"set_light": {"room": "kitchen"}}`
    if object.len() == 1
        && let Some((name, arguments @ Value::Object(_))) = object.iter().next()
        && tools.iter().any(|tool| tool.name == *name)
    {
        read.calls.push(ToolCall { name: name.clone(), arguments: arguments.clone() });
        return Ok(());
    }
    match said {
        Some(said) if object.len() == 1 => {
            read.say.push_str(&said);
            Ok(())
        }
        _ => Err(format!("a tool call names no tool: {}", clipped(&Value::Object(object).to_string()))),
    }
}

/// Whether JSON that stands in a text without any marks is a call: it names a tool that there is, or has a name and arguments
/// and nothing else.
pub(super) fn is_call(text: &str, tools: &[ToolSchema]) -> bool {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>().peekable();
    let is = |value: &Value| -> bool {
        let Value::Object(object) = value else { return false };
        let inner = match object.get("function") {
            Some(Value::Object(inner)) => inner,
            _ => object,
        };
        if WRAPPERS.iter().any(|key| object.contains_key(*key)) || object.contains_key(SERVICE) {
            return true;
        }
        let known = |name: &str| tools.iter().any(|tool| tool.name == name.trim());
        let name = NAMES.iter().chain(&["function"]).find_map(|key| inner.get(*key).and_then(Value::as_str));
        if let Some(name) = name {
            let only = inner.keys().all(|key| {
                let key = key.as_str();
                key == "function" || NAMES.contains(&key) || ARGUMENTS.contains(&key) || BESIDES.contains(&key)
            });
            let called = ARGUMENTS.iter().any(|key| inner.get(*key).is_some_and(|it| it.is_object() || it.is_string()));
            return known(name) || only && called;
        }
        object.len() == 1
            && object.iter().all(|(key, value)| {
                known(key) && value.is_object() || SAYINGS.contains(&key.as_str()) && value.is_string()
            })
    };
    values.peek().is_some()
        && values.all(|value| match value {
            Ok(Value::Array(values)) => !values.is_empty() && values.iter().all(is),
            Ok(value) => is(&value),
            Err(_) => false,
        })
}

/// `name{…}` or `name[ARGS]{…}`, several in a row; or JSON.
fn named(text: &str, between: &[&str], tools: &[ToolSchema], ending: Ending) -> Result<Vec<ToolCall>, String> {
    let mut calls = Vec::new();
    let mut rest = text;
    while !rest.trim().is_empty() {
        rest = rest.trim_start().trim_start_matches("[TOOL_CALLS]").trim_start();
        if rest.starts_with(['{', '[']) && between.iter().all(|mark| !rest.starts_with(mark)) {
            calls.append(&mut json(rest, tools, ending)?.calls);
            break;
        }
        let Some(at) = rest.find('{') else {
            if !calls.is_empty() {
                break; // text behind the calls
            }
            return Err(format!("a tool call has no arguments: {}", clipped(rest)));
        };
        let head = &rest[..at];
        let mut name = head;
        for mark in between {
            name = name.split(mark).next().unwrap_or_default();
        }
        let is_call = is_plain_name(name.trim()) && (name.len() < head.len() || named_well(name.trim(), tools));
        if !calls.is_empty() && !is_call {
            break; // text with a brace in it
        }
        let end = object_end(&rest[at..]).unwrap_or(rest.len() - at);
        calls.push(with_arguments(name.trim(), &rest[at..at + end])?);
        rest = &rest[at + end..];
    }
    if calls.is_empty() { Err(format!("a tool call names no tool: {}", clipped(text))) } else { Ok(calls) }
}

/// A call of a name and the text of its arguments.
pub(super) fn with_arguments(name: &str, arguments: &str) -> Result<ToolCall, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err(format!("a tool call names no tool: {}", clipped(arguments)));
    }
    let text = without_fence(arguments.trim());
    let arguments = if text.is_empty() {
        Value::Object(Map::new())
    } else {
        // What stands behind the object is no part of it.
        let text = object_end(text).map_or(text, |end| &text[..end]);
        let read = serde_json::from_str(text);
        read.or_else(|error| single_quoted(text).ok_or(error)).map_err(|error| {
            format!("the arguments of the tool call {} are not valid JSON ({error}): {}", clipped(name), clipped(text))
        })?
    };
    Ok(ToolCall { name: name.to_owned(), arguments })
}

/// Whether a message with a call's name in its first line has whole arguments on the next.
pub(super) fn has_arguments(message: &str) -> bool {
    message.split_once('\n').is_some_and(|(_, arguments)| object_end(arguments.trim_start()).is_some())
}

/// Where the JSON object at the beginning of a text ends, in bytes.
fn object_end(text: &str) -> Option<usize> {
    let mut scan = JsonScan::default();
    text.char_indices().find_map(|(at, c)| (scan.push(c) == Scanned::Done).then_some(at + c.len_utf8()))
}

/// What stands in a code fence, if the text is one.
pub(super) fn without_fence(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```") else { return text };
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    inner.trim_end().strip_suffix("```").unwrap_or(inner).trim()
}
