//! Takes tool calls and thoughts out of a reply while it is being written, for the generate stage: what is left may be
//! spoken at once, the calls are handed over at the end. It reads the Hermes/Qwen form
//! (`<tool_call>{"name": …, "arguments": …}</tool_call>`, `<think>…</think>`) with the liberties that small models
//! take. Whether a tool exists and its arguments fit is the toolbox's business; [`constraint`] has the model write nothing else.

use nearfield_llm::{Constrained, Constraint};
use serde_json::{Map, Value, json};

use crate::voice::tools::ToolCall;

/// The longest text inside one `<tool_call>`, in bytes; the rest of a longer one is dropped and the call is broken.
pub const MAX_CALL_BYTES: usize = 16 * 1024;

/// The most calls (and the most broken ones) kept of one reply.
pub const MAX_CALLS: usize = 16;

const OPEN_CALL: &str = "<tool_call>";
const CLOSE_CALL: &str = "</tool_call>";
const OPEN_THOUGHT: &str = "<think>";
const CLOSE_THOUGHT: &str = "</think>";

/// What holds a model to the tools that there are: once it has written the opening tag, only a call of one of them with
/// arguments that fit, and the closing tag, may follow. `schemas` are those of [`Toolbox::schemas`](crate::voice::tools::Toolbox::schemas);
/// `None` without any.
pub fn constraint(schemas: &[Value]) -> Option<Constrained> {
    let calls: Vec<Value> = schemas
        .iter()
        .filter_map(|schema| {
            let function = schema.get("function")?;
            let mut arguments = function.get("parameters")?.as_object()?.clone();
            // The toolbox refuses names that no tool has, unless the schema allows them.
            arguments.entry("additionalProperties").or_insert(Value::Bool(false));
            Some(json!({
                "type": "object",
                "properties": {"name": {"const": function.get("name")?}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": false,
            }))
        })
        .collect();
    if calls.is_empty() {
        return None;
    }
    // White space is bounded, or a model that has lost its way would write nothing else.
    let calls = json!({"x-guidance": {"whitespace_pattern": r"[ \n\t]{1,16}"}, "anyOf": calls});
    let grammar =
        format!("start: SPACE? call SPACE? {CLOSE_CALL:?}\ncall: %json {calls}\nSPACE: /[ \\n\\t]{{1,16}}/\n");
    Some(Constrained { constraint: Constraint::Lark(grammar), after: Some(OPEN_CALL.to_owned()) })
}

/// The streaming filter of one reply: text deltas in, speakable text out.
#[derive(Debug, Default)]
pub struct ToolCallFilter {
    inside: Inside,
    /// The end of the text so far that may yet turn out to be a tag. Shorter than the longest tag.
    held: String,
    call: String,
    call_too_long: bool,
    calls: Vec<ToolCall>,
    broken: Vec<String>,
}

/// What a whole reply held besides the text that [`ToolCallFilter::push`] has already passed on.
#[derive(Debug, Default, PartialEq)]
pub struct FilteredReply {
    /// Speakable text that was held back as the possible start of a tag.
    pub rest: String,
    /// The calls in the order of the reply.
    pub calls: Vec<ToolCall>,
    /// What stood between call tags but was no call: one sentence each, for the log and for the model.
    pub broken: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Inside {
    #[default]
    Text,
    Call,
    Thought,
}

impl ToolCallFilter {
    /// A filter at the start of a reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the reply and gives back what may be spoken.
    pub fn push(&mut self, delta: &str) -> String {
        let mut speakable = String::new();
        let text = std::mem::take(&mut self.held) + delta;
        let mut rest = text.as_str();
        loop {
            let tags: &[&str] = match self.inside {
                Inside::Text => &[OPEN_CALL, OPEN_THOUGHT, CLOSE_CALL, CLOSE_THOUGHT],
                Inside::Call => &[CLOSE_CALL, OPEN_CALL],
                Inside::Thought => &[CLOSE_THOUGHT],
            };
            let Some((at, tag)) = first_tag(rest, tags) else {
                let keep = rest.len() - possible_tag(rest, tags);
                self.take(&rest[..keep], &mut speakable);
                self.held = rest[keep..].to_owned();
                return speakable;
            };
            self.take(&rest[..at], &mut speakable);
            rest = &rest[at + tag.len()..];
            if self.inside == Inside::Call {
                self.end_call(); // a second opening tag ends a call that was never closed
            }
            self.inside = match tag {
                OPEN_CALL => Inside::Call,
                OPEN_THOUGHT => Inside::Thought,
                _ => Inside::Text,
            };
        }
    }

    /// Whether a call has begun: nothing may be said to be finished before its result is there.
    pub fn has_call(&self) -> bool {
        self.inside == Inside::Call || !self.calls.is_empty()
    }

    /// Ends the reply. A call whose closing tag is missing counts when its JSON is whole.
    pub fn finish(mut self) -> FilteredReply {
        let held = std::mem::take(&mut self.held);
        let mut rest = String::new();
        self.take(&held, &mut rest);
        if self.inside == Inside::Call {
            // A closing tag that was cut off is not part of the JSON; the parser ignores what follows it.
            self.end_call();
        }
        FilteredReply { rest, calls: self.calls, broken: self.broken }
    }

    fn take(&mut self, text: &str, speakable: &mut String) {
        match self.inside {
            Inside::Text => speakable.push_str(text),
            Inside::Thought => {}
            Inside::Call => {
                let room = MAX_CALL_BYTES - self.call.len();
                let fits = text.floor_char_boundary(room);
                self.call.push_str(&text[..fits]);
                self.call_too_long |= fits < text.len();
                if self.call_too_long {
                    // So that the kept part is the same however the text was cut into deltas.
                    self.call.clear();
                }
            }
        }
    }

    fn end_call(&mut self) {
        let call = std::mem::take(&mut self.call);
        if std::mem::take(&mut self.call_too_long) {
            self.complain(format!("a tool call was longer than {MAX_CALL_BYTES} bytes"));
            return;
        }
        match parse_calls(&call) {
            Ok(calls) => {
                for call in calls {
                    if self.calls.len() < MAX_CALLS {
                        self.calls.push(call);
                    } else {
                        self.complain(format!("more than {MAX_CALLS} tool calls in one reply"));
                    }
                }
            }
            Err(reason) => self.complain(reason),
        }
    }

    fn complain(&mut self, sentence: String) {
        if self.broken.len() < MAX_CALLS {
            self.broken.push(sentence);
        }
    }
}

fn first_tag<'a>(text: &str, tags: &[&'a str]) -> Option<(usize, &'a str)> {
    tags.iter().filter_map(|tag| Some((text.find(tag)?, *tag))).min()
}

/// How many bytes at the end of `text` are the beginning of one of `tags`. The tags are ASCII, so that the cut is
/// always between two characters.
fn possible_tag(text: &str, tags: &[&str]) -> usize {
    let longest = |tag: &&str| (1..tag.len()).rev().find(|&n| text.ends_with(&tag[..n])).unwrap_or(0);
    tags.iter().map(longest).max().unwrap_or(0)
}

/// Reads what stood inside one pair of tags: a call, a list of calls, or several in a row, in a code fence or not.
fn parse_calls(text: &str) -> Result<Vec<ToolCall>, String> {
    let body = without_fence(text.trim());
    if body.is_empty() {
        return Err("a tool call was empty".to_owned());
    }
    let mut calls = Vec::new();
    for value in serde_json::Deserializer::from_str(body).into_iter::<Value>() {
        match value {
            Ok(Value::Array(values)) => {
                for value in values {
                    calls.push(parse_call(value)?);
                }
            }
            Ok(value) => calls.push(parse_call(value)?),
            // A stray brace after a whole call is a slip of the pen.
            Err(_) if !calls.is_empty() => break,
            Err(error) => return Err(format!("a tool call is not valid JSON ({error}): {}", clipped(body))),
        }
    }
    if calls.is_empty() {
        return Err(format!("a tool call names no tool: {}", clipped(body)));
    }
    Ok(calls)
}

fn parse_call(value: Value) -> Result<ToolCall, String> {
    let Value::Object(mut call) = value else {
        return Err(format!("a tool call is not a JSON object: {}", clipped(&value.to_string())));
    };
    if let Some(Value::Object(_)) = call.get("function")
        && let Some(Value::Object(function)) = call.remove("function")
    {
        call = function;
    }
    let name = match call.get("name").and_then(Value::as_str).map(str::trim) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => return Err(format!("a tool call names no tool: {}", clipped(&Value::Object(call).to_string()))),
    };
    let arguments = match call.remove("arguments").or_else(|| call.remove("parameters")) {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(Value::String(text)) if text.trim().is_empty() => Value::Object(Map::new()),
        Some(Value::String(text)) => serde_json::from_str(&text).map_err(|error| {
            format!(
                "the arguments of the tool call {} are not valid JSON ({error}): {}",
                clipped(&name),
                clipped(&text)
            )
        })?,
        Some(arguments) => arguments,
    };
    Ok(ToolCall { name, arguments })
}

fn without_fence(text: &str) -> &str {
    let Some(inner) = text.strip_prefix("```") else { return text };
    let inner = inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    inner.trim_end().strip_suffix("```").unwrap_or(inner).trim()
}

fn clipped(text: &str) -> String {
    let mut short: String = text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn whole(text: &str) -> (String, Vec<ToolCall>, Vec<String>) {
        in_pieces(std::iter::once(text))
    }

    fn in_pieces<'a>(pieces: impl Iterator<Item = &'a str>) -> (String, Vec<ToolCall>, Vec<String>) {
        let mut filter = ToolCallFilter::new();
        let mut spoken = String::new();
        for piece in pieces {
            spoken += &filter.push(piece);
        }
        let end = filter.finish();
        (spoken + &end.rest, end.calls, end.broken)
    }

    fn call(name: &str, arguments: Value) -> ToolCall {
        ToolCall { name: name.to_owned(), arguments }
    }

    #[test]
    fn a_reply_without_calls_passes_unchanged() {
        for text in ["It is 21.5 degrees.", "", "a < b, <b>bold</b> <tool", "<think", "x <", "<tool_calls>", "Ünï<"] {
            assert_eq!(whole(text), (text.to_owned(), vec![], vec![]));
        }
    }

    #[test]
    fn calls_are_taken_out_and_the_text_around_them_passes() {
        let text = "Sure. <tool_call>{\"name\": \"set_light\", \"arguments\": {\"room\": \"kitchen\", \"state\": \"on\"}}\
                    </tool_call><tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call> Done.";
        let (spoken, calls, broken) = whole(text);
        assert_eq!(spoken, "Sure.  Done.");
        assert_eq!(calls, [call("set_light", json!({"room": "kitchen", "state": "on"})), call("clock", json!({}))]);
        assert!(broken.is_empty());
    }

    #[test]
    fn the_liberties_that_models_take_are_understood() {
        let timer = call("timer", json!({"minutes": 10}));
        for body in [
            r#"{"name": "timer", "parameters": {"minutes": 10}}"#,
            r#"{"name": "timer", "arguments": "{\"minutes\": 10}"}"#,
            "```json\n{\"name\": \"timer\", \"arguments\": {\"minutes\": 10}}\n```",
            "```\n{\"name\": \"timer\", \"arguments\": {\"minutes\": 10}}```",
            r#"[{"name": "timer", "arguments": {"minutes": 10}}]"#,
            r#"{"type": "function", "function": {"name": "timer", "arguments": {"minutes": 10}}}"#,
            r#"{"name": " timer ", "arguments": {"minutes": 10}}}"#,
            "\n\n  {\"arguments\":{\"minutes\":10},\n\"name\":\"timer\"} ",
        ] {
            let (spoken, calls, broken) = whole(&format!("<tool_call>{body}</tool_call>"));
            assert_eq!((spoken.as_str(), &calls, &broken), ("", &vec![timer.clone()], &vec![]), "{body}");
        }
        for body in
            [r#"{"name": "clock"}"#, r#"{"name": "clock", "arguments": null}"#, r#"{"name":"clock","arguments":""}"#]
        {
            assert_eq!(whole(&format!("<tool_call>{body}</tool_call>")).1, [call("clock", json!({}))], "{body}");
        }
    }

    #[test]
    fn an_unclosed_call_counts_when_its_json_is_whole() {
        let json = r#"{"name": "clock", "arguments": {}}"#;
        for end in ["", "\n", "</tool", "</tool_call"] {
            assert_eq!(
                whole(&format!("<tool_call>{json}{end}")),
                (String::new(), vec![call("clock", json!({}))], vec![])
            );
        }
        let (spoken, calls, broken) = whole(&format!("<tool_call>{}", &json[..20]));
        assert_eq!((spoken.as_str(), calls.len(), broken.len()), ("", 0, 1));
        assert_eq!(whole(&format!("<tool_call>{json}<tool_call>{json}")).1.len(), 2);
    }

    #[test]
    fn rubbish_between_the_tags_is_one_sentence_and_is_never_spoken() {
        for (body, says) in [
            ("", "empty"),
            ("turn on the light", "not valid JSON"),
            ("{'name': 'clock'}", "not valid JSON"),
            ("42", "not a JSON object"),
            ("[]", "names no tool"),
            (r#"{"tool": "clock"}"#, "names no tool"),
            (r#"{"name": 3}"#, "names no tool"),
            (r#"{"name": "timer", "arguments": "ten"}"#, "arguments of the tool call timer"),
        ] {
            let (spoken, calls, broken) = whole(&format!("Hm. <tool_call>{body}</tool_call>"));
            assert_eq!((spoken.as_str(), calls.len(), broken.len()), ("Hm. ", 0, 1), "{body}");
            assert!(broken[0].contains(says) && !broken[0].contains('\n'), "{body}: {broken:?}");
        }
        let deep = "[".repeat(10_000);
        assert_eq!(whole(&format!("<tool_call>{deep}</tool_call>")).2.len(), 1);
    }

    #[test]
    fn thoughts_are_never_spoken() {
        for text in [
            "<think>The user wants light. <tool_call>{}</tool_call></think>Yes.",
            "<think>\n\n</think>Yes.",
            "Yes.<think>and then it broke off",
            "</think>Yes.",
        ] {
            assert_eq!(whole(text), ("Yes.".to_owned(), vec![], vec![]), "{text}");
        }
    }

    #[test]
    fn sizes_and_counts_are_bounded() {
        let long = format!("<tool_call>{}</tool_call>Yes.", "é".repeat(MAX_CALL_BYTES));
        let (spoken, calls, broken) = whole(&long);
        assert_eq!((spoken.as_str(), calls.len(), broken.len()), ("Yes.", 0, 1));
        assert!(broken[0].contains("longer than"));
        let many = "<tool_call>{\"name\": \"clock\"}</tool_call>".repeat(1000);
        let (_, calls, broken) = whole(&many);
        assert_eq!((calls.len(), broken.len()), (MAX_CALLS, MAX_CALLS));
    }

    #[test]
    fn text_before_a_call_leaves_at_once() {
        let mut filter = ToolCallFilter::new();
        assert_eq!(filter.push("I'll do that. <to"), "I'll do that. ");
        assert_eq!(filter.push("ast>"), "<toast>");
        assert!(!filter.has_call());
        assert_eq!(filter.push("<tool_call>"), "");
        assert!(filter.has_call());
    }

    proptest! {
        #[test]
        fn any_cut_into_deltas_gives_the_same_as_the_whole_reply(
            parts in prop::collection::vec(prop::sample::select(vec![
                "<tool_call>", "</tool_call>", "<think>", "</think>", "<", "<tool_", "call>", "</", "é", "Yes. ", "\n",
                "{\"name\": \"clock\", \"arguments\": {}}", "{\"name\": \"x\"", "```json", "```", "}", "<<think>",
            ]), 0..24),
            sizes in prop::collection::vec(1usize..9, 1..40),
        ) {
            let text: String = parts.concat();
            let chars: Vec<char> = text.chars().collect();
            let mut pieces = Vec::new();
            let (mut at, mut size) = (0, sizes.iter().cycle());
            while at < chars.len() {
                let end = chars.len().min(at + size.next().unwrap());
                pieces.push(chars[at..end].iter().collect::<String>());
                at = end;
            }
            let twin = whole(&text);
            prop_assert_eq!(&in_pieces(pieces.iter().map(String::as_str)), &twin);
        }
    }
}
