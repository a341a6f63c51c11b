//! What a chat template can do, found out by having it render a few short conversations; and messages written so that it can.

use serde_json::{Value, json};

use super::dialect::{Dialect, ReplyParser};
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
            turn_end: String::new(),
        }
    }
}

const SYSTEM: &str = "nearfield-system";
const QUESTION: &str = "nearfield-question";
const ANSWER: &str = "nearfield-answer";
const RESULT: &str = "nearfield-result";
const TOOL: &str = "nearfield_tool";
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
        let shows_tools = render(std::slice::from_ref(&user), &[tool]).is_ok_and(|text| text.contains(TOOL));
        let answer = message("assistant", ANSWER);
        let own_role = has_tool_role || template.source().contains("tool");
        let said = message("assistant", &format!("{{\"name\": \"{TOOL}\"}}"));
        let own = [user.clone(), said, message("tool", RESULT), answer.clone(), user.clone()];
        let listed = |as_text: bool| {
            let arguments = json!({"a": VALUE});
            let arguments = if as_text { Value::from(arguments.to_string()) } else { arguments };
            let messages = [
                user.clone(),
                json!({"role": "assistant", "content": "", "tool_calls": [called(0, TOOL, arguments)]}),
                result(0, TOOL, RESULT),
                answer.clone(),
                user.clone(),
            ];
            shows(&messages, &[TOOL, VALUE, RESULT])
        };
        let results = if own_role && shows(&own, &[TOOL, RESULT]) {
            Results::Own
        } else if own_role && listed(false) {
            Results::Listed(false)
        } else if own_role && listed(true) {
            Results::Listed(true)
        } else {
            Results::InUserMessage
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
        Abilities { system, results, shows_tools, thinks, opens_thought, turn_end: turn_end.unwrap_or_default() }
    }
}

/// A call as templates know it. Mistral's insist on nine letters.
fn called(index: usize, name: &str, arguments: Value) -> Value {
    json!({"id": id(index), "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn result(index: usize, name: &str, content: &str) -> Value {
    json!({"role": "tool", "content": content, "tool_call_id": id(index), "name": name})
}

fn id(index: usize) -> String {
    format!("call{index:05}")
}

/// Messages as the template takes them.
pub(super) fn adapted(messages: &[Message], abilities: &Abilities, dialect: Dialect) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::with_capacity(messages.len());
    let mut system = String::new();
    // The names of the last calls, and how many results they have had.
    let mut names: Vec<String> = Vec::new();
    let mut answered = 0;
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
            Role::Assistant if results_follow && matches!(abilities.results, Results::Listed(_)) => {
                let mut parser = ReplyParser::new(dialect, Vec::new(), false);
                let mut text = parser.push(&message.content);
                let parsed = parser.finish();
                text.push_str(&parsed.rest);
                names = parsed.calls.iter().map(|call| call.name.clone()).collect();
                answered = 0;
                if parsed.calls.is_empty() {
                    values.push(json!({"role": "assistant", "content": message.content}));
                    continue;
                }
                let calls = parsed.calls.into_iter().enumerate().map(|(index, call)| {
                    let as_text = abilities.results == Results::Listed(true);
                    let arguments = if as_text { Value::from(call.arguments.to_string()) } else { call.arguments };
                    called(index, &call.name, arguments)
                });
                let calls: Vec<Value> = calls.collect();
                values.push(json!({"role": "assistant", "content": text.trim(), "tool_calls": calls}));
            }
            Role::Tool => match (abilities.results, names.get(answered)) {
                (Results::Own, _) => values.push(json!({"role": "tool", "content": message.content})),
                (Results::Listed(_), Some(name)) => {
                    values.push(result(answered, name, &message.content));
                    answered += 1;
                }
                _ => tell(&mut values, &message.content, index > 0 && messages[index - 1].role == Role::Tool),
            },
            _ => values.push(json!({"role": message.role, "content": message.content})),
        }
    }
    if !system.is_empty() {
        values.push(json!({"role": "user", "content": system.trim_end()}));
    }
    values
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
