//! What a model is told of the tools where its template does not show them, and calls as a model would write them, for worked
//! examples.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Dialect, ToolCall, ToolSchema};

/// A worked example: what somebody says, and what the model answers to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What is asked or wished.
    pub ask: String,
    /// The call that this needs, with its result.
    pub call: Option<(ToolCall, String)>,
    /// What is said then.
    pub say: String,
}

/// Values of one argument that are named.
const MOST_VALUES: usize = 24;

/// JSON as models were trained to write it, with a space after each colon and comma.
pub(crate) fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), spaced(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn pythonic(call: &ToolCall) -> String {
    let value = |value: &Value| match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => "None".to_owned(),
        other => spaced(other),
    };
    let arguments = call.arguments.as_object().into_iter().flatten();
    let arguments: Vec<String> = arguments.map(|(name, it)| format!("{name}={}", value(it))).collect();
    format!("{}({})", call.name, arguments.join(", "))
}

fn tagged(call: &ToolCall, pair: &dyn Fn(&str, &str) -> String) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| spaced(value), str::to_owned);
    call.arguments.as_object().into_iter().flatten().map(|(name, value)| pair(name, &text(value))).collect()
}

impl Dialect {
    /// The name by which a template knows a call, the `number`th of a conversation. Mistral's insist on nine letters.
    pub(crate) fn call_id(self, number: usize, name: &str) -> String {
        match self {
            Dialect::Kimi => format!("functions.{name}:{number}"),
            _ => format!("call{number:05}"),
        }
    }

    /// Calls as a model of this dialect writes them.
    pub fn written(self, calls: &[ToolCall]) -> String {
        let json = |call: &ToolCall, key: &str| {
            format!("{{\"name\": {}, \"{key}\": {}}}", Value::from(call.name.as_str()), spaced(&call.arguments))
        };
        let each = |form: &dyn Fn(&ToolCall) -> String, between: &str| {
            calls.iter().map(form).collect::<Vec<_>>().join(between)
        };
        let arguments = |call: &ToolCall| spaced(&call.arguments);
        match self {
            Dialect::Hermes => each(&|call| format!("<tool_call>\n{}\n</tool_call>", json(call, "arguments")), "\n"),
            Dialect::QwenXml => each(
                &|call| {
                    let pairs = tagged(call, &|key, value| format!("<parameter={key}>\n{value}\n</parameter>\n"));
                    format!("<tool_call>\n<function={}>\n{pairs}</function>\n</tool_call>", call.name)
                },
                "\n",
            ),
            Dialect::Glm => each(
                &|call| {
                    let pair =
                        |key: &str, value: &str| format!("<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n");
                    format!("<tool_call>{}\n{}</tool_call>", call.name, tagged(call, &pair))
                },
                "\n",
            ),
            Dialect::Llama => each(&|call| json(call, "parameters"), "; "),
            Dialect::Pythonic => format!("[{}]", each(&pythonic, ", ")),
            Dialect::Lfm2 => format!("<|tool_call_start|>[{}]<|tool_call_end|>", each(&pythonic, ", ")),
            Dialect::Mistral => format!("[TOOL_CALLS] [{}]", each(&|call| json(call, "arguments"), ", ")),
            Dialect::MistralArgs => each(&|call| format!("[TOOL_CALLS]{}[ARGS]{}", call.name, arguments(call)), ""),
            Dialect::Gemma => format!("```tool_code\n{}\n```", each(&pythonic, "\n")),
            Dialect::Gemma4 => each(
                &|call| {
                    let value = |value: &Value| match value {
                        Value::String(text) => format!("<|\"|>{text}<|\"|>"),
                        other => spaced(other),
                    };
                    let fields = call.arguments.as_object().into_iter().flatten();
                    let fields: Vec<String> = fields.map(|(key, it)| format!("{key}:{}", value(it))).collect();
                    format!("<|tool_call>call:{}{{{}}}<tool_call|>", call.name, fields.join(","))
                },
                "",
            ),
            Dialect::Granite => format!("<|tool_call|>[{}]", each(&|call| json(call, "arguments"), ", ")),
            Dialect::DeepSeek => {
                let one = |call: &ToolCall| {
                    format!(
                        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n{}\n```<｜tool▁call▁end｜>",
                        call.name,
                        arguments(call)
                    )
                };
                format!("<｜tool▁calls▁begin｜>{}<｜tool▁calls▁end｜>", each(&one, "\n"))
            }
            Dialect::Harmony => each(
                &|call| {
                    format!(
                        "<|channel|>commentary to=functions.{} <|constrain|>json<|message|>{}<|call|>",
                        call.name,
                        arguments(call)
                    )
                },
                "",
            ),
            Dialect::Functionary => {
                each(&|call| format!("<function={}>{}</function>", call.name, arguments(call)), "\n")
            }
            Dialect::FunctionaryRecipient => each(&|call| format!("{}\n{}", call.name, arguments(call)), ">>>"),
            Dialect::FunctionCall => each(&|call| format!("<functioncall> {}", json(call, "arguments")), "\n"),
            Dialect::Kimi => {
                let one = |(number, call): (usize, &ToolCall)| {
                    format!(
                        "<|tool_call_begin|>{}<|tool_call_argument_begin|>{}<|tool_call_end|>",
                        self.call_id(number, &call.name),
                        arguments(call)
                    )
                };
                let all: String = calls.iter().enumerate().map(one).collect();
                format!("<|tool_calls_section_begin|>{all}<|tool_calls_section_end|>")
            }
            Dialect::Apertus => {
                let one = |call: &ToolCall| format!("{{{}: {}}}", Value::from(call.name.as_str()), arguments(call));
                format!("<|tools_prefix|>[{}]<|tools_suffix|>", each(&one, ", "))
            }
            Dialect::GigaChat => each(&|call| format!("<|function_call|>{}", json(call, "arguments")), ""),
            Dialect::Cohere => {
                let one = |(number, call): (usize, &ToolCall)| {
                    let name = Value::from(call.name.as_str());
                    format!(
                        "    {{\"tool_call_id\": \"{number}\", \"tool_name\": {name}, \"parameters\": {}}}",
                        arguments(call)
                    )
                };
                let all: Vec<String> = calls.iter().enumerate().map(one).collect();
                format!("<|START_ACTION|>[\n{}\n]<|END_ACTION|>", all.join(",\n"))
            }
            Dialect::Nemotron => format!("<TOOLCALL>[{}]</TOOLCALL>", each(&|call| json(call, "arguments"), ", ")),
            Dialect::ToolCalls => format!("<tool_calls>[{}]</tool_calls>", each(&|call| json(call, "arguments"), ", ")),
            Dialect::MiniMax => {
                let pair = |key: &str, value: &str| format!("<parameter name=\"{key}\">{value}</parameter>\n");
                let one =
                    |call: &ToolCall| format!("<invoke name=\"{}\">\n{}</invoke>\n", call.name, tagged(call, &pair));
                format!("<minimax:tool_call>\n{}</minimax:tool_call>", each(&one, ""))
            }
            Dialect::MiniCpm => {
                let pair = |key: &str, value: &str| format!("<param name=\"{key}\">{value}</param>");
                each(&|call| format!("<function name=\"{}\">{}</function>", call.name, tagged(call, &pair)), "\n")
            }
            Dialect::Dsml => {
                let one = |call: &ToolCall| {
                    let pairs = call.arguments.as_object().into_iter().flatten().map(|(key, value)| {
                        let text = value.as_str().map_or_else(|| spaced(value), str::to_owned);
                        let is_text = value.is_string();
                        format!("<｜DSML｜parameter name=\"{key}\" string=\"{is_text}\">{text}</｜DSML｜parameter>\n")
                    });
                    let pairs: String = pairs.collect();
                    format!("<｜DSML｜invoke name=\"{}\">\n{pairs}</｜DSML｜invoke>\n", call.name)
                };
                format!("<｜DSML｜function_calls>\n{}</｜DSML｜function_calls>", each(&one, ""))
            }
            Dialect::Solar => {
                let one = |(number, call): (usize, &ToolCall)| {
                    format!(
                        "<|tool_call:begin|>{}<|tool_call:name|>{}<|tool_call:args|>{}<|tool_call:end|>",
                        self.call_id(number, &call.name),
                        call.name,
                        arguments(call)
                    )
                };
                let all: String = calls.iter().enumerate().map(one).collect();
                format!("<|tool_calls|>{all}")
            }
            Dialect::Functools => format!(" functools[{}]", each(&|call| json(call, "arguments"), ", ")),
            Dialect::HomeLlm | Dialect::Generic => each(&|call| json(call, "arguments"), "\n"),
        }
    }

    /// A reply as a model of this dialect writes it: text, then calls.
    pub fn reply(self, text: &str, calls: &[ToolCall]) -> String {
        match (text.is_empty(), calls.is_empty(), self) {
            (_, true, _) => text.to_owned(),
            (true, false, _) => self.written(calls),
            (false, false, Dialect::FunctionaryRecipient) => format!("all\n{text}>>>{}", self.written(calls)),
            (false, false, _) => format!("{text}\n{}", self.written(calls)),
        }
    }

    /// What the system text says of the tools, for a model whose template does not.
    pub(crate) fn told(self, tools: &[ToolSchema]) -> String {
        if tools.is_empty() {
            return String::new();
        }
        let mut text = String::from("Tools:\n");
        for tool in tools {
            let arguments: Vec<String> = tool
                .parameters
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, schema)| format!("{name}: {}", kind(schema)))
                .collect();
            let _ = writeln!(text, "- {}({}): {}", tool.name, arguments.join(", "), tool.description.trim());
        }
        let form =
            self.written(&[ToolCall { name: "TOOL".to_owned(), arguments: serde_json::json!({"ARGUMENT": "VALUE"}) }]);
        let _ = write!(
            text,
            "To use a tool, write only this, and nothing else:\n{form}\nUse a tool only to change something, to read the clock or to \
             start a timer. To a question, give the answer in one short sentence."
        );
        text
    }
}

/// What an argument may be, in short.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let mut names: Vec<String> = values.iter().take(MOST_VALUES).map(spaced).collect();
        if values.len() > MOST_VALUES {
            names.push("…".to_owned());
        }
        return names.join(" | ");
    }
    match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        _ => "any".to_owned(),
    }
}
