//! What a chat template can do, found out by having it render a few short conversations; and messages written so that it can.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::dialect::{Dialect, ReplyParser, ToolCall, ToolSchema, spaced};
use super::template::ChatTemplate;
use super::{Message, Role};

/// What a template can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Abilities {
    /// It takes a system message and shows it.
    pub system: bool,
    /// How it takes calls and their results.
    pub results: Results,
    /// It shows the tools that it is given.
    pub shows_tools: bool,
    /// It opens a thought, or has a switch for it.
    pub thinks: bool,
    /// It opens a thought at the end of a prompt, where the model is to think.
    pub opens_thought: bool,
    /// It takes results within the message that has the calls: Gemma 4, as it first was.
    pub embeds_results: bool,
    /// What stands between the end of a reply and the next question.
    pub turn_end: String,
}

/// How a template takes the results of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Results {
    /// In a role of their own, after the reply as the model wrote it.
    Own,
    /// In a role of their own, after a list of calls; `true`: their arguments as text.
    Listed(bool),
    /// Not at all: they are put into a message of the user.
    InUserMessage,
}

impl Default for Abilities {
    fn default() -> Self {
        Abilities {
            system: true,
            results: Results::Own,
            shows_tools: true,
            thinks: false,
            opens_thought: false,
            embeds_results: false,
            turn_end: String::new(),
        }
    }
}

const SYSTEM: &str = "nearfield-system";
const QUESTION: &str = "nearfield-question";
const ANSWER: &str = "nearfield-answer";
const RESULT: &str = "nearfield-result";
const TOOL: &str = "nearfield_tool";
const OTHER: &str = "nearfield_other";
const SAID: &str = "nearfield-said";
const VALUE: &str = "nearfield-value";

impl Abilities {
    /// What `template` can do. `has_tool_role`: its vocabulary has a mark for the results of tools.
    pub fn of(template: &ChatTemplate, has_tool_role: bool) -> Abilities {
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let user = message("user", QUESTION);
        let render = |messages: &[Value], tools: &[Value]| template.render_values(messages, tools, true, true);
        let shows = |messages: &[Value], what: &[&str]| {
            render(messages, &[]).is_ok_and(|text| what.iter().all(|what| text.contains(what)))
        };
        let Ok(alone) = render(std::slice::from_ref(&user), &[]) else {
            // It insists on something; what that is, its user sees.
            return Abilities::default();
        };
        let system = shows(&[message("system", SYSTEM), user.clone()], &[SYSTEM]);
        let tool = json!({"type": "function", "function": {"name": TOOL, "description": "A tool.", "parameters":
            {"type": "object", "properties": {"a": {"type": "string", "description": "A value."}}, "required": ["a"]}}});
        let shows_tools =
            render(std::slice::from_ref(&user), std::slice::from_ref(&tool)).is_ok_and(|text| text.contains(TOOL));
        let answer = message("assistant", ANSWER);
        let own_role = has_tool_role || template.source().contains("tool");
        let tools = [
            tool,
            json!({"type": "function", "function": {"name": OTHER, "description": "Another.", "parameters":
            {"type": "object", "properties": {}}}}),
        ];
        // One call, or text with two of them; as the model writes them, or in a list, with arguments as objects or as text.
        let first = ToolCall { name: TOOL.to_owned(), arguments: json!({"a": VALUE}) };
        let several = [
            ToolCall { name: TOOL.to_owned(), arguments: json!({"a": VALUE, "b": true, "c": 0.5}) },
            ToolCall { name: OTHER.to_owned(), arguments: json!({}) },
        ];
        let several_said = template.dialect().reply(SAID, &several);
        let with = |said: Value, calls: usize| {
            let mut messages = vec![user.clone(), said];
            messages.extend(
                [(0, TOOL), (1, OTHER)]
                    .into_iter()
                    .take(calls)
                    .map(|(at, name)| result(template.dialect(), at, name, RESULT)),
            );
            messages.extend([answer.clone(), user.clone()]);
            let text = render(&messages, &tools).ok().filter(|_| own_role)?;
            let what = [TOOL, VALUE, RESULT];
            what.iter().all(|what| text.contains(what)).then_some(text)
        };
        let listed = |text: &str, calls: &[ToolCall], as_text: bool| {
            let list = calls.iter().enumerate().map(|(at, call)| called(template.dialect(), at, call.clone(), as_text));
            let list: Vec<Value> = list.collect();
            with(json!({"role": "assistant", "content": text, "tool_calls": list}), calls.len())
        };
        let own = with(message("assistant", &template.dialect().written(std::slice::from_ref(&first))), 1);
        let one = std::slice::from_ref(&first);
        let listed_one =
            listed("", one, false).map(|text| (text, false)).or_else(|| Some((listed("", one, true)?, true)));
        // What the model wrote stays as it is where the template writes the same; else what it was trained on counts. Text that a
        // template drops beside calls is worth more than that.
        let results = match (own, listed_one) {
            (Some(own), Some((listed_one, as_text))) => {
                let two = listed(SAID, &several, as_text).filter(|text| text.contains(SAID));
                let differs = two.is_some() && two != with(message("assistant", &several_said), 2);
                if own != listed_one || differs { Results::Listed(as_text) } else { Results::Own }
            }
            (Some(_), None) => Results::Own,
            (None, Some((_, as_text))) => Results::Listed(as_text),
            (None, None) => Results::InUserMessage,
        };
        let switched =
            template.render_values(std::slice::from_ref(&user), &[], true, false).is_ok_and(|off| off != alone);
        let opens_thought = template.is_thinking(&alone).is_some();
        let thinks = switched || opens_thought;
        let two = [user.clone(), answer, message("user", VALUE)];
        let turn_end = render(&two, &[]).ok().and_then(|text| {
            let after = text.find(ANSWER)? + ANSWER.len();
            let next = after + text[after..].find(VALUE)?;
            Some(text[after..next].to_owned())
        });
        let embeds_results = matches!(results, Results::Listed(_))
            && template.source().contains("message['tool_responses']")
            && !template.source().contains("message.get('tool_responses')");
        let turn_end = turn_end.unwrap_or_default();
        Abilities { system, results, shows_tools, thinks, opens_thought, embeds_results, turn_end }
    }
}

/// A call as templates know it.
fn called(dialect: Dialect, number: usize, call: ToolCall, as_text: bool) -> Value {
    let arguments = if as_text { Value::from(spaced(&call.arguments)) } else { call.arguments };
    let id = dialect.call_id(number, &call.name);
    json!({"id": id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
}

fn result(dialect: Dialect, number: usize, name: &str, content: &str) -> Value {
    json!({"role": "tool", "content": content, "tool_call_id": dialect.call_id(number, name), "name": name})
}

/// Messages as the template takes them.
pub(super) fn adapted(
    messages: &[Message],
    abilities: &Abilities,
    dialect: Dialect,
    tools: &[Value],
    results: Results,
) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::with_capacity(messages.len());
    let mut system = String::new();
    // The calls of the last reply that have no result yet, with their numbers in the conversation.
    let mut open: VecDeque<(usize, String)> = VecDeque::new();
    let mut called_so_far = 0;
    for (index, message) in messages.iter().enumerate() {
        let results_follow = messages.get(index + 1).is_some_and(|next| next.role == Role::Tool);
        match message.role {
            Role::System if !abilities.system => {
                system.push_str(&message.content);
                system.push_str("\n\n");
            }
            Role::User if !system.is_empty() => {
                let content = std::mem::take(&mut system) + &message.content;
                values.push(json!({"role": "user", "content": content}));
            }
            Role::Assistant if results_follow && results != Results::InUserMessage => {
                let mut parser = ReplyParser::new(dialect, ToolSchema::all(tools), false);
                let mut text = parser.push(&message.content);
                let parsed = parser.finish();
                text.push_str(&parsed.rest);
                let first = called_so_far;
                called_so_far += parsed.calls.len();
                let names = parsed.calls.iter().map(|call| call.name.clone());
                open = names.enumerate().map(|(at, name)| (first + at, name)).collect();
                let Results::Listed(as_text) = results else {
                    values.push(json!({"role": "assistant", "content": message.content}));
                    continue;
                };
                if parsed.calls.is_empty() {
                    values.push(json!({"role": "assistant", "content": message.content}));
                    continue;
                }
                let calls =
                    parsed.calls.into_iter().enumerate().map(|(at, call)| called(dialect, first + at, call, as_text));
                let calls: Vec<Value> = calls.collect();
                values.push(json!({"role": "assistant", "content": text.trim(), "tool_calls": calls}));
            }
            Role::Tool => match (results, open.pop_front()) {
                (Results::Own | Results::Listed(_), Some((number, name))) => {
                    values.push(result(dialect, number, &name, &message.content));
                }
                (Results::Own, None) => values.push(json!({"role": "tool", "content": message.content})),
                _ => tell(&mut values, &message.content, index > 0 && messages[index - 1].role == Role::Tool),
            },
            _ => values.push(json!({"role": message.role, "content": message.content})),
        }
    }
    if !system.is_empty() {
        values.push(json!({"role": "user", "content": system.trim_end()}));
    }
    match abilities.embeds_results && matches!(results, Results::Listed(_)) {
        true => with_results_embedded(values),
        false => values,
    }
}

/// Messages in which a reply with calls has its results, and what was said then, in itself. Text beside the calls makes room for
/// what was said then, since the template has one place for both; llama.cpp drops it too.
fn with_results_embedded(values: Vec<Value>) -> Vec<Value> {
    let mut embedded: Vec<Value> = Vec::with_capacity(values.len());
    // Whether the last reply has what was said after its results.
    let mut is_said = false;
    for value in values {
        let last = embedded.last_mut().filter(|last| last.get("tool_calls").is_some() && !is_said);
        match (value["role"].as_str(), last) {
            (Some("tool"), Some(last)) => {
                let content = value["content"].as_str().unwrap_or_default();
                let response = serde_json::from_str(content).unwrap_or_else(|_| Value::from(content));
                let response = json!({"name": value["name"], "response": response});
                match last.get_mut("tool_responses").and_then(Value::as_array_mut) {
                    Some(responses) => responses.push(response),
                    None => last["tool_responses"] = json!([response]),
                }
                last["content"] = Value::from("");
            }
            (Some("assistant"), Some(last)) if value.get("tool_calls").is_none() => {
                last["content"] = value["content"].clone();
                is_said = true;
            }
            _ => {
                embedded.push(value);
                is_said = false;
            }
        }
    }
    embedded
}

/// A result as the user tells it; several in one message, since most templates want the roles to take turns.
fn tell(values: &mut Vec<Value>, content: &str, goes_on: bool) {
    let text = format!("Result: {content}");
    match values.last_mut().and_then(|last| last.get_mut("content")) {
        Some(Value::String(told)) if goes_on => {
            told.push('\n');
            told.push_str(&text);
        }
        _ => values.push(json!({"role": "user", "content": text})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_results_add_no_field_of_our_own_to_a_message() {
        let call = json!({"role": "assistant", "content": "Sure.", "tool_calls": [{"function": {"name": "clock"}}]});
        let result = json!({"role": "tool", "name": "clock", "content": "{\"time\": 3}"});
        let said = json!({"role": "assistant", "content": "It is three."});
        let embedded = with_results_embedded(vec![call, result.clone(), said.clone(), result.clone(), said.clone()]);
        let whole = json!({"role": "assistant", "content": "It is three.", "tool_calls": [{"function": {"name": "clock"}}],
            "tool_responses": [{"name": "clock", "response": {"time": 3}}]});
        assert_eq!(embedded, [whole, result, said]);
    }
}
